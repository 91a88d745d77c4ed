/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the writers of this room share: the parts of a document file that stand in an export too
 */

#include "chromem/chromem.h"
#include "gob/gob.h"

/* Fields by their place in the library's types. */
enum {
	CHROMEM_META_NAME,
	CHROMEM_META_METADATA,
};
enum {
	CHROMEM_DOC_ID,
	CHROMEM_DOC_METADATA,
	CHROMEM_DOC_EMBEDDING,
	CHROMEM_DOC_CONTENT,
};

/* Definitions of map[string]string, of the document with its parts' numbers, of []float32. */
void chromem_put_strings_type(struct buf *out, int64_t number);
void chromem_put_doc_type(struct buf *out, int64_t number, const char *name, int64_t strings,
			  int64_t vector);
void chromem_put_vector_type(struct buf *out, int64_t number);

/*
 * Values, without a message around them. Sizes of documents come from outside: a caller that cannot
 * afford to abort makes room for chromem_doc_bound() bytes first.
 */
void chromem_put_strings(struct buf *out, const struct chromem_pair *pairs, size_t count);
void chromem_put_doc(struct buf *out, const struct chromem_doc *doc);
uint64_t chromem_strings_bound(const struct chromem_pair *pairs, size_t count);
uint64_t chromem_doc_bound(const struct chromem_doc *doc);
