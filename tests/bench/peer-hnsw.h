/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* hnswlib behind a few C functions, for bench-hnsw to be compared with. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_hnsw;

/*
 * l2 distance; @count vectors of @dim, inserted in the order of @order, or as they come where that is
 * NULL, by @threads threads. NULL where it throws.
 */
struct peer_hnsw *peer_hnsw_build(const float *vectors, size_t count, size_t dim, size_t m,
				  size_t ef_construction, unsigned threads, const uint32_t *order);
/* Writes the labels of up to @k nearest to @out; returns how many. */
size_t peer_hnsw_search(struct peer_hnsw *p, const float *query, size_t k, size_t ef,
			uint32_t *out);
void peer_hnsw_free(struct peer_hnsw *p);

#ifdef __cplusplus
}
#endif
