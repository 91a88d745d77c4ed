/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the room share: choosing the nearest, names that are alike, all vectors of a
 * Chroma collection. */

#include "chroma/chroma.h"
#include "search/search.h"

must_check_ int search_chromem(const struct store *store, const struct search_request *req,
			       struct search_result *out, struct vs_err *err);
must_check_ int search_chroma(const struct store *store, const struct search_request *req,
			      struct search_result *out, struct vs_err *err);

/* Count @gap, and keep the text of the first. */
void search_gap_add(struct search_gap *gap, const char *fmt, ...) printf_(2, 3);

/* ---- choosing (nearest.c) ---- */

struct ranked {
	float key; /* the smaller the nearer; never NaN */
	size_t row;
};

/* The nearest so far, in order. @row is owned. */
struct nearest {
	struct ranked *row;
	size_t count, limit;
	/* Orders rows of equal keys: negative when @a comes first. */
	int (*tie)(const void *ctx, size_t a, size_t b);
	const void *ctx;
};

void nearest_init(struct nearest *n, size_t limit, int (*tie)(const void *ctx, size_t a, size_t b),
		  const void *ctx);
void nearest_fini(struct nearest *n);
void nearest_offer(struct nearest *n, float key, size_t row);

/* ---- names that are alike (search.c) ---- */

struct alike {
	const char *wanted;
	char *best[3]; /* owned; the most alike first */
	unsigned distance[3];
	uint64_t count; /* of all names */
};
void alike_fini(struct alike *a);
void alike_try(struct alike *a, struct slice name);

/* VS_EUSAGE: there is no such collection; these may be meant. */
int alike_fail(struct alike *a, const struct store *store, struct vs_err *err);

/* ---- all vectors of a Chroma collection (vectors.c) ---- */

struct vector_row {
	struct slice id; /* into vectors.ids or the pickle */
	bool has_vector;
	bool is_not_finite; /* there is a vector, which nothing can be compared with */
	bool is_from_queue;
	/* The server does not see it: the index lost it, and rows that were taken in have it. */
	bool is_unserved;
	bool is_deleted; /* by the queue; its record may still be there */
	bool has_record;
	uint32_t element; /* of the index; HNSW_NO_ELEMENT */
	float *values;    /* of the queue; owned; for cosine normalised */
	uint32_t dimension;
};

struct vectors {
	struct vector_row *row; /* owned */
	size_t count, cap;
	uint32_t *slot; /* owned; hash table over ids: row + 1 */
	size_t slot_count;
	struct buf header, level0, links, pickle;
	struct hnsw_index index;
	bool has_index; /* it opened */
	bool has_position;
	int64_t position;
	char why[192];      /* it did not; "" where nothing was ever saved */
	struct vs_err *err; /* while it is being filled */
	enum hnsw_space space;
	const char *collection;
	uint64_t records;   /* rows of the metadata segment */
	struct slice *kept; /* owned ids; of rows that the pickle does not have */
	size_t kept_count, kept_cap;
	size_t *of_element;     /* owned; row of an element, or SIZE_MAX */
	struct search_gap *gap; /* for vectors that cannot be read */
};

void vectors_fini(struct vectors *v);

/* Load all there is; damage lowers what is there. @gap is told of unreadable vectors. */
must_check_ int vectors_load(struct vectors *v, struct chroma_db *db, int dirfd,
			     const struct chroma_catalog *catalog,
			     const struct chroma_collection *c, struct search_gap *gap,
			     struct vs_err *err);

/* The values of a row that has a vector; borrowed. */
const float *vectors_values(const struct vectors *v, size_t row, uint32_t *dimension);

/* The row of that id, or SIZE_MAX. */
size_t vectors_find(const struct vectors *v, struct slice id);
