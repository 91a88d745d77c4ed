/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * samples: collections and documents in memory, the same each time, of all the kinds there are
 */

#include "chromem/chromem.h"

struct sample_doc {
	struct slice key; /* in the collection's map: the id, where all is well */
	struct chromem_doc doc;
};

struct sample_collection {
	struct chromem_meta meta;
	struct sample_doc *docs; /* owned */
	size_t count, cap;
};

struct sample_store {
	struct sample_collection *collections; /* owned */
	size_t count, cap;
	void **kept; /* owned: all that documents and metadata point to */
	size_t kept_count, kept_cap;
};

#define SAMPLE_DOCUMENTS_MAX 10000

/*
 * @collections of them, the first without documents, with up to @documents each. Among the
 * documents are some without id, metadata, vector or text, with an empty map, with NaN, infinities,
 * signed zeros and denormals; all text is no UTF-8. Vectors have @dimension elements.
 */
void sample_store_init(struct sample_store *store, size_t collections, size_t documents,
		       size_t dimension);
void sample_store_fini(struct sample_store *store);

/* A source for chromem_export_write(); @store is a struct sample_store. */
int sample_store_visit(void *store, const struct chromem_export_visitor *to, struct vs_err *err);

/* The digest of the whole, by the rules of chromem_store_digest_begin(): collections by their
 * names, documents by their keys, the last of several counts. */
void sample_store_digest(const struct sample_store *store, struct digest *out);

/*
 * What a visitor meets, kept: the callbacks of struct chromem_export_visitor, with a struct
 * sample_store as their context, which begins zeroed. All is copied.
 */
int sample_store_take_collection(void *store, struct slice key, const struct chromem_meta *meta,
				 struct vs_err *err);
int sample_store_take_document(void *store, struct slice key, const struct chromem_doc *doc,
			       struct vs_err *err);
