/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ways to add up a distance, for distance.c and its tests. */

#include "hnsw/hnsw.h"

bool hnsw_all_finite(const float *v, size_t count);

#if defined(__x86_64__)
#define HNSW_HAS_X86 1

float hnsw_l2_avx2(const float *a, const float *b, size_t count);
float hnsw_dot_avx2(const float *a, const float *b, size_t count);
int32_t hnsw_dot8_avx2(const int8_t *a, const int8_t *b, size_t count);
float hnsw_l2_avx512(const float *a, const float *b, size_t count);
float hnsw_dot_avx512(const float *a, const float *b, size_t count);
#else
#define HNSW_HAS_X86 0
#endif
