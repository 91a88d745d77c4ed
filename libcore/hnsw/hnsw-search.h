/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Distances, search through the graph, exact search, and how far the two agree
 *
 * The distances are the server's: l2 is the sum of squared differences (no root), ip is 1 minus the
 * dot product, cosine the same over vectors of norm 1. Sums are made in single precision; the
 * kernels differ in the order of additions and so in the last digits, and one machine always uses
 * the same one.
 */

#include "util/util.h"

struct hnsw_index;

enum hnsw_space { HNSW_L2, HNSW_COSINE, HNSW_IP };

/* "l2", "cosine", "ip", as configurations name them. */
const char *hnsw_space_name(enum hnsw_space space);
must_check_ bool hnsw_space_parse(struct slice text, enum hnsw_space *out);

/* ---- kernels ---- */

/* Over @count floats at any address divisible by 4. */
typedef float hnsw_kernel_fn(const float *a, const float *b, size_t count);

/* Dot product of values from -127 to 127, exact; @count is a multiple of 32, up to HNSW_DIM_MAX. */
typedef int32_t hnsw_code_fn(const int8_t *a, const int8_t *b, size_t count);

struct hnsw_kernels {
	const char *name;    /* "portable", "avx2", "avx512" */
	hnsw_kernel_fn *l2;  /* sum of squared differences */
	hnsw_kernel_fn *dot; /* dot product */
	hnsw_code_fn *dot8;  /* the same of bytes */
};

/* The fastest that this processor runs. */
const struct hnsw_kernels *hnsw_kernels_best(void);

/* Kernel @i of those this processor runs, portable first; NULL behind the last. */
const struct hnsw_kernels *hnsw_kernels_at(size_t i);

/* The distance of two stored vectors. */
static inline float hnsw_distance(const struct hnsw_kernels *k, enum hnsw_space space,
				  const float *a, const float *b, size_t dim)
{
	return space == HNSW_L2 ? k->l2(a, b, dim) : 1.0f - k->dot(a, b, dim);
}

/* Euclidean norm, summed in double precision. */
double hnsw_norm(const float *v, size_t dim);

/* As the server stores it for cosine: divided by its norm (plus 1e-30 as the server adds). */
void hnsw_normalize(const float *in, size_t dim, float *out);

/* ---- searching ---- */

struct hnsw_hit {
	float distance;
	uint32_t id; /* internal; hnsw_label() tells whose it is */
};

/* Scratch space of one thread; made for an index, and for no other. */
struct hnsw_searcher;

/* The index outlives the searcher. VS_ENOMEM is the only failure. */
must_check_ int hnsw_searcher_new(const struct hnsw_index *index, enum hnsw_space space,
				  struct hnsw_searcher **out, struct vs_err *err);
void hnsw_searcher_freep(struct hnsw_searcher **s);

/*
 * Up to @k nearest elements that are not deleted, nearest first, through the graph with a list of
 * @ef candidates (at least @k). @query has index->dim values and is used as it is: for cosine
 * normalise it first. @hits has room for @k. Returns how many there are; fewer where the graph does
 * not lead to more. Damage does no harm: links out of range are not followed. Without a usable
 * entry point nothing is found.
 */
size_t hnsw_search(struct hnsw_searcher *s, const float *query, size_t k, size_t ef,
		   struct hnsw_hit *hits);

/*
 * The same by comparing with every element; no link is read. Equal distances go by internal id.
 * @allow may be NULL; else only elements for which it returns true are taken.
 */
size_t hnsw_search_exact(const struct hnsw_index *index, enum hnsw_space space, const float *query,
			 size_t k, bool (*allow)(void *ctx, uint32_t id), void *ctx,
			 struct hnsw_hit *hits);

/* ---- how good the graph is ---- */

struct hnsw_probe_request {
	enum hnsw_space space;
	size_t k;       /* 10 is usual */
	size_t ef;      /* of the collection's configuration */
	size_t samples; /* elements whose vectors are searched for, chosen by @seed */
	uint64_t seed;
	struct pool *pool; /* may be NULL */
};

struct hnsw_probe {
	size_t samples; /* done; fewer than asked for where there are not so many live elements */
	double recall;  /* share of the exact @k nearest that the graph found, 0..1 */
	double worst;   /* the lowest of a single sample */
	double self_found; /* share of samples that found themselves first (or one as near) */
};

/* Costs samples * count distances. VS_ENOMEM is the only failure. */
must_check_ int hnsw_probe(const struct hnsw_index *index, const struct hnsw_probe_request *request,
			   struct hnsw_probe *out, struct vs_err *err);
