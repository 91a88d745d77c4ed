/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of bench-hnsw. */

#include "hnsw-data.h"
#include "hnsw/hnsw.h"

/* M 16, ef_construction 100, l2; labels from 1. @pool may be NULL. */
struct hnsw_graph *bench_build(const struct bench_data *d, struct pool *pool,
			       struct bench_time *time);

/* Fill d->exact; returns the time for all queries. */
struct bench_time bench_find_exact(struct bench_data *d, const struct hnsw_index *x);

/* Recall@10 of all queries, and the time they took. */
double bench_recall(const struct bench_data *d, const struct hnsw_index *x, size_t ef,
		    struct bench_time *time);

/* hnsw-graph.c: each prints its figures, and is false where a result is wrong. */
bool bench_check(size_t count, size_t dim);
bool bench_relink(size_t count, size_t dim);
