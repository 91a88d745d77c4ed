/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ways to add up the squares of a vector, for vector.c and its tests
 *
 * All give the same result to the last bit: the square of a float is exact in double precision
 * (with and without fused multiply-add), and all add in the same order, element i to sum
 * i % VECTOR_LANES, and then the sums in pairs.
 */

#include "util/util.h"

#define VECTOR_LANES 16

#if defined(__x86_64__)
#define VECTOR_HAS_X86 1
#else
#define VECTOR_HAS_X86 0
#endif

double vector_squares_portable(const float *v, size_t count);

#if VECTOR_HAS_X86
/* Needs a processor with AVX2 and FMA. */
double vector_squares_avx2(const float *v, size_t count);
#endif

bool vector_has_avx2(void);

/* Add the last elements, from index @from, and then all lanes. */
double vector_squares_finish(double lane[VECTOR_LANES], const float *v, size_t from, size_t count);
