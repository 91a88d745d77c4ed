/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * search: the nearest neighbours of a vector, straight from the files of a store
 *
 * The exact answer comes from comparing with every vector there is, damaged index or not: what a
 * restored store has to answer. Of a Chroma collection the answer of its index comes as well, and
 * how far the two agree. Nothing is written, and no server is asked.
 *
 * chromem: the dot product of normalised vectors, as the library computes it: it normalises the
 * query, and trusts documents to be normalised. The larger the nearer.
 *
 * Chroma: the collection's space (l2, cosine, ip) over the vectors of the index and of the queue
 * behind it. The smaller the nearer. The index is asked with the collection's ef_search; what is
 * only in the queue is compared one by one beside it, as the Python servers do. (Those in Rust link
 * the rows into their copy of the index first, which finds them, too.)
 */

#include "store/store.h"
#include "util/util.h"

/* ---- the query (query.c) ---- */

#define SEARCH_QUERY_BYTES_MAX (UINT64_C(4) << 20) /* of a file with a vector */
#define SEARCH_DIMENSION_MAX 65536u

enum search_format {
	SEARCH_FORMAT_AUTO,    /* text is JSON, anything else floats */
	SEARCH_FORMAT_JSON,    /* an array of numbers, or an array of one such array */
	SEARCH_FORMAT_FLOAT32, /* raw, little-endian */
};

/*
 * Read a vector. *@out becomes owned, of @*count values, all of them finite. VS_EUSAGE says in one
 * clause what is wrong and where.
 */
must_check_ int search_query_parse(struct slice bytes, enum search_format format, float **out,
				   size_t *count, struct vs_err *err);

/* ---- searching ---- */

#define SEARCH_NEAREST_MAX 1000

struct search_request {
	const char *collection; /* its name; or its directory, or in a Chroma store its id */
	size_t nearest;         /* 1 to SEARCH_NEAREST_MAX */
	const char *id;         /* what lies near the vector of this record; or NULL */
	const float *vector;    /* else this one */
	size_t dimension;       /* of @vector */
	bool is_exact;          /* do not ask the index */
	struct pool *pool;
	const char *scratch; /* for a private copy of a Chroma database; NULL: /tmp */
};

enum search_source {
	SEARCH_FROM_FILE, /* a document of a chromem store */
	SEARCH_FROM_INDEX,
	SEARCH_FROM_QUEUE,
};

/* The text of a hit is kept up to here. */
#define SEARCH_TEXT_MAX 400

struct search_hit {
	struct slice id; /* owned */
	float score;     /* similarity of a chromem document, else distance */
	enum search_source source;
	size_t index_rank; /* where the index has it, from 1; 0: it does not find it */
	bool has_text;
	struct buf text; /* its beginning */
	uint64_t text_len;
};

/* Why something could not be compared: the first of a kind, and how many there are. */
struct search_gap {
	uint64_t count;
	char what[192]; /* names from the store are not escaped */
};

enum search_gap_kind {
	SEARCH_GAP_UNREADABLE, /* documents that cannot be decoded */
	SEARCH_GAP_VECTOR,     /* records without a vector, of another dimension, not finite */
	SEARCH_GAP_RECORD,     /* vectors of the index whose record is gone */
	SEARCH_GAP_INDEX,      /* the index cannot be asked */
	SEARCH_GAPS,
};

struct search_result {
	char *collection;  /* directory, or id; owned */
	struct slice name; /* owned; ptr NULL when it is not known */
	bool is_similarity;
	const char *space; /* "cosine", "l2", "ip" */
	uint32_t dimension;
	uint64_t compared;
	struct search_hit *hits; /* owned; nearest first */
	size_t count;
	struct search_gap gaps[SEARCH_GAPS];
	bool asked_index;
	uint64_t ef;    /* of the collection's configuration, and at least what was asked for */
	uint64_t found; /* by the index, at most request.nearest */
	double recall;  /* share of the exact hits that the index finds, or as near ones; 0..1 */
};
void search_result_fini(struct search_result *r);

/*
 * VS_EUSAGE: no such collection (the text names the nearest ones) or record, or a vector of another
 * dimension. VS_EBUSY: the store was written meanwhile. An export file is VS_ENOTSUP.
 */
must_check_ int search_store(const struct store *store, const struct search_request *req,
			     struct search_result *out, struct vs_err *err);

/* ---- all vectors of a Chroma collection (vectors.c) ---- */

struct chroma_db;
struct chroma_catalog;
struct chroma_collection;

/* Borrowed for the call. */
struct search_vector {
	struct slice id;
	const float *values; /* of length 1 where the space is cosine; NULL: they are not finite */
	uint32_t dimension;
	bool is_not_finite;
};

/*
 * Each vector that the server would have of @c: that of the index as far as it can be read, and what
 * the queue makes of it. What is damaged is left out, and so are ids that have none; an id need not
 * have a record.
 */
must_check_ int search_vectors_each(struct chroma_db *db, int dirfd,
				    const struct chroma_catalog *catalog,
				    const struct chroma_collection *c,
				    void (*fn)(void *ctx, const struct search_vector *vector),
				    void *ctx, struct vs_err *err);
