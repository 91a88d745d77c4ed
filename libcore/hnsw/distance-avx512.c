/* SPDX-License-Identifier: Apache-2.0 */

/* Distances for processors with AVX-512: four sums of sixteen; the last step loads under a mask. */

#include "hnsw/distance.h"

#if HNSW_HAS_X86

#include <immintrin.h>

#define KERNEL __attribute__((target("avx512f")))

/* One bit for each of the next elements that are there. */
KERNEL static inline __mmask16 left_of(size_t count, size_t i)
{
	unsigned mask = count - i >= 16 ? 0xffffu : (1u << (count - i)) - 1;

	return (__mmask16)mask;
}

KERNEL static inline __m512 add_square(__m512 sum, const float *a, const float *b, __mmask16 mask)
{
	__m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, a), _mm512_maskz_loadu_ps(mask, b));

	return _mm512_fmadd_ps(d, d, sum);
}

KERNEL static inline __m512 add_product(__m512 sum, const float *a, const float *b, __mmask16 mask)
{
	return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a), _mm512_maskz_loadu_ps(mask, b), sum);
}

KERNEL float hnsw_l2_avx512(const float *a, const float *b, size_t count)
{
	const __mmask16 all = (__mmask16)0xffff;
	__m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 64 <= count; i += 64) {
		s0 = add_square(s0, a + i, b + i, all);
		s1 = add_square(s1, a + i + 16, b + i + 16, all);
		s2 = add_square(s2, a + i + 32, b + i + 32, all);
		s3 = add_square(s3, a + i + 48, b + i + 48, all);
	}
	for (; i < count; i += 16)
		s0 = add_square(s0, a + i, b + i, left_of(count, i));
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

KERNEL float hnsw_dot_avx512(const float *a, const float *b, size_t count)
{
	const __mmask16 all = (__mmask16)0xffff;
	__m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	size_t i = 0;

	for (; i + 64 <= count; i += 64) {
		s0 = add_product(s0, a + i, b + i, all);
		s1 = add_product(s1, a + i + 16, b + i + 16, all);
		s2 = add_product(s2, a + i + 32, b + i + 32, all);
		s3 = add_product(s3, a + i + 48, b + i + 48, all);
	}
	for (; i < count; i += 16)
		s0 = add_product(s0, a + i, b + i, left_of(count, i));
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

#endif
