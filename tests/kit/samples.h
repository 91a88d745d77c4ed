/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * samples: collections and documents in memory, the same each time, of all the kinds there are
 */

#include "chromem/chromem.h"

struct sample_collection {
	struct chromem_meta meta;
	struct chromem_doc *docs;
	size_t count;
};

struct sample_store {
	struct sample_collection *collections;
	size_t count;
	void **kept; /* owned: all memory */
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

/* The digest of the whole, by the rules of chromem_store_digest_begin(). */
void sample_store_digest(const struct sample_store *store, struct digest *out);
