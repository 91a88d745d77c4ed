/* SPDX-License-Identifier: Apache-2.0 */

/* Distances for processors with AVX2 and FMA: four sums of eight, the rest one by one. */

#include "hnsw/distance.h"

#if HNSW_HAS_X86

#include <immintrin.h>

#define KERNEL __attribute__((target("avx2,fma")))

KERNEL static inline float add_all(__m256 a, __m256 b, __m256 c, __m256 d)
{
	__m256 sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
	__m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));

	half = _mm_add_ps(half, _mm_movehl_ps(half, half));
	half = _mm_add_ss(half, _mm_movehdup_ps(half));
	return _mm_cvtss_f32(half);
}

KERNEL static inline __m256 add_square(__m256 sum, const float *a, const float *b)
{
	__m256 d = _mm256_sub_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b));

	return _mm256_fmadd_ps(d, d, sum);
}

KERNEL static inline __m256 add_product(__m256 sum, const float *a, const float *b)
{
	return _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), sum);
}

KERNEL float hnsw_l2_avx2(const float *a, const float *b, size_t count)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	float rest = 0;
	size_t i = 0;

	for (; i + 32 <= count; i += 32) {
		s0 = add_square(s0, a + i, b + i);
		s1 = add_square(s1, a + i + 8, b + i + 8);
		s2 = add_square(s2, a + i + 16, b + i + 16);
		s3 = add_square(s3, a + i + 24, b + i + 24);
	}
	for (; i + 8 <= count; i += 8)
		s0 = add_square(s0, a + i, b + i);
	for (; i < count; i++)
		rest += (a[i] - b[i]) * (a[i] - b[i]);
	return add_all(s0, s1, s2, s3) + rest;
}

KERNEL float hnsw_dot_avx2(const float *a, const float *b, size_t count)
{
	__m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
	float rest = 0;
	size_t i = 0;

	for (; i + 32 <= count; i += 32) {
		s0 = add_product(s0, a + i, b + i);
		s1 = add_product(s1, a + i + 8, b + i + 8);
		s2 = add_product(s2, a + i + 16, b + i + 16);
		s3 = add_product(s3, a + i + 24, b + i + 24);
	}
	for (; i + 8 <= count; i += 8)
		s0 = add_product(s0, a + i, b + i);
	for (; i < count; i++)
		rest += a[i] * b[i];
	return add_all(s0, s1, s2, s3) + rest;
}

/*
 * Bytes are multiplied unsigned by signed: the sign of each a goes over to its b. Two products of 127
 * by 127 fit 16 bits.
 */
KERNEL int32_t hnsw_dot8_avx2(const int8_t *a, const int8_t *b, size_t count)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i sum = _mm256_setzero_si256();
	__m128i half;

	for (size_t i = 0; i < count; i += 32) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(a + i));
		__m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(b + i));
		__m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
	}
	half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
	return _mm_cvtsi128_si32(half);
}

#endif
