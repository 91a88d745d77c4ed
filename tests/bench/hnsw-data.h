/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Vectors for bench-hnsw, the same every time. */

#include "util/util.h"

#define BENCH_QUERIES 1000
#define BENCH_K 10

struct bench_data {
	const char *name;
	size_t count, dim;
	float *vectors;  /* owned; the queries behind the others */
	uint32_t *exact; /* owned; the BENCH_K nearest of each query */
};

/*
 * "clustered": a hundred clouds, one after the other, as embeddings of texts come that are read topic
 * by topic. "low-rank": twenty-four directions that mean something, spread over all values with a
 * little noise, in no order, as models leave them. "uniform": hardly any near and far, so that no
 * graph finds the way with a short list of candidates. NULL for any other name.
 */
struct bench_data *bench_data_new(const char *name, size_t count, size_t dim);
void bench_data_freep(struct bench_data **data);

static inline const float *bench_query(const struct bench_data *d, size_t i)
{
	return d->vectors + (d->count + i) * d->dim;
}

/* 0 to 1, below 1; one sequence for the whole run. */
double bench_random(void);
/* What a piece of work took: by the clock, and of all processors together. */
struct bench_time {
	double clock, processor;
};
struct bench_time bench_now(void);
struct bench_time bench_since(struct bench_time from);
