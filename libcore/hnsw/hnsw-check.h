/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What can be wrong with an index, told one by one
 *
 * Everything is judged by the files alone; what the pickle and the database say is for the caller
 * to compare. Healthy indexes have live elements that no path leads to (16 of 50,000 after plain
 * adds, 5 of 38 after many updates, most of them by inner product), so HNSW_UNREACHABLE alone is no
 * damage; HNSW_CUT_OFF is.
 */

#include "util/util.h"

#include "hnsw/hnsw-search.h"

enum hnsw_finding_kind {
	/* header.bin */
	HNSW_HEADER_SIZE,   /* not 100 bytes: expected, actual */
	HNSW_HEADER_FIELD,  /* a field contradicts another: @field, expected, actual */
	HNSW_COUNT_HIGH,    /* more elements than the capacity: expected at most, actual */
	HNSW_ENTRY_RANGE,   /* the entry point is no element: expected below, actual */
	HNSW_ENTRY_LEVEL,   /* the entry point's level is not the highest: expected, actual */
	HNSW_ENTRY_DELETED, /* harmless: the entry point is marked deleted */
	/* sizes */
	HNSW_LEVEL0_SHORT, /* data_level0.bin lacks elements: bytes expected, actual */
	HNSW_LENGTH_SHORT, /* length.bin lacks elements or is missing: bytes expected, actual */
	HNSW_LINKS_SHORT,  /* link_lists.bin ends inside or before @element: bytes wanted, there */
	HNSW_LINKS_SIZE,   /* the size of @element's lists is impossible: actual */
	HNSW_LINKS_LONG, /* link_lists.bin goes on behind the last element: bytes expected, actual */
	/* an element */
	HNSW_FLAGS,            /* bits that no writer sets: actual */
	HNSW_LINK_COUNT,       /* more links than fit: expected at most, actual */
	HNSW_LINK_RANGE,       /* a link to no element: expected below, actual */
	HNSW_LINK_SELF,        /* a link to itself */
	HNSW_LINK_DUPLICATE,   /* the same link twice: actual */
	HNSW_LINK_LEVEL,       /* a link to an element that lacks the level: actual */
	HNSW_NO_LINKS,         /* no link leads away from it, though there are others to link */
	HNSW_LABEL_RANGE,      /* label 0, or above the highest given: expected at most, actual */
	HNSW_LABEL_DUPLICATE,  /* an earlier element has the label: expected is its number */
	HNSW_VALUE_NOT_FINITE, /* NaN or infinite: expected is the first such position */
	HNSW_NORM,             /* cosine: norm neither 0 nor within 1e-3 of 1: @value */
	HNSW_LENGTH_VALUE,     /* cosine: stored norm not finite, or not above 0: @value */
	/* the graph */
	HNSW_UNREACHABLE, /* a live element that no path from the entry point leads to */
	HNSW_CUT_OFF,     /* so many of them had links that are gone: expected at most, actual */
};

#define HNSW_NO_ELEMENT UINT32_MAX

struct hnsw_finding {
	enum hnsw_finding_kind kind;
	enum hnsw_file file;
	uint64_t off;      /* of the bytes in question in that file */
	uint32_t element;  /* internal id, or HNSW_NO_ELEMENT */
	uint64_t label;    /* of the element; 0 when it is none or not known */
	uint32_t level;    /* of a link */
	uint64_t expected; /* meaning by kind, above */
	uint64_t actual;
	double value;
	const char *field; /* of the header, static; NULL for other kinds */
};

/* "link-range" and so on, static: for texts and tests. */
const char *hnsw_finding_name(enum hnsw_finding_kind kind);

struct hnsw_check_request {
	/* Also tells links that were dropped from links that were lost. */
	enum hnsw_space space;
	uint64_t label_max; /* total_elements_added of the pickle; 0 when it is not known */
	bool is_quick;      /* header and sizes only; no element is read */
	struct pool *pool;  /* may be NULL: one thread. Findings come from the caller's, in order */
	/* Returns 0, or a negative status with @err filled to stop. */
	int (*finding)(void *ctx, const struct hnsw_finding *f, struct vs_err *err);
	void *ctx;
};

/* Figures of the graph; those of elements are only filled when the check is not quick. */
struct hnsw_stats {
	uint64_t findings;
	uint32_t dim;
	uint32_t count; /* records looked at */
	uint32_t deleted;
	uint32_t unreachable;                   /* live elements */
	uint32_t max_level;                     /* highest that any element has */
	uint32_t per_level[HNSW_LEVEL_MAX + 1]; /* elements by their highest level */
	uint64_t links0;                        /* on level 0, all together */
	uint32_t out_min, out_max, in_max;      /* links of one element on level 0 */
	uint32_t no_in;                         /* elements that no other one links to */
	uint64_t label_highest;
};

/*
 * Check the files. Returns 1, or 0 when the header was so broken that elements could not be looked
 * at (which was reported), or a negative status: the callback's, or VS_ENOMEM. Memory: 20
 * bytes per element and 4 for each thread; up to 36 more, to compare labels, where there is damage.
 */
must_check_ int hnsw_check(const struct hnsw_files *files, const struct hnsw_check_request *request,
			   struct hnsw_stats *stats, struct vs_err *err);

/*
 * The same for an index that is already open (with a header of the caller's, for example); sizes
 * and header are judged as far as the index still shows them.
 */
must_check_ int hnsw_check_index(const struct hnsw_index *index,
				 const struct hnsw_check_request *request, struct hnsw_stats *stats,
				 struct vs_err *err);
