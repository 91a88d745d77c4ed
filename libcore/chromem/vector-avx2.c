/* SPDX-License-Identifier: Apache-2.0 */

/* The squares of a vector, 16 elements at a step, for processors with AVX2 and FMA. */

#include "chromem/vector.h"

#if VECTOR_HAS_X86

#include <immintrin.h>

#define VECTOR_FN __attribute__((target("avx2,fma")))

VECTOR_FN static inline __m256d add_squares(__m256d sum, const float *v)
{
	__m256d x = _mm256_cvtps_pd(_mm_loadu_ps(v));

	return _mm256_fmadd_pd(x, x, sum);
}

VECTOR_FN double vector_squares_avx2(const float *v, size_t count)
{
	__m256d sum0 = _mm256_setzero_pd();
	__m256d sum1 = _mm256_setzero_pd();
	__m256d sum2 = _mm256_setzero_pd();
	__m256d sum3 = _mm256_setzero_pd();
	double lane[VECTOR_LANES];
	size_t i;

	for (i = 0; i + VECTOR_LANES <= count; i += VECTOR_LANES) {
		sum0 = add_squares(sum0, v + i);
		sum1 = add_squares(sum1, v + i + 4);
		sum2 = add_squares(sum2, v + i + 8);
		sum3 = add_squares(sum3, v + i + 12);
	}
	_mm256_storeu_pd(lane, sum0);
	_mm256_storeu_pd(lane + 4, sum1);
	_mm256_storeu_pd(lane + 8, sum2);
	_mm256_storeu_pd(lane + 12, sum3);
	return vector_squares_finish(lane, v, i, count);
}

#endif
