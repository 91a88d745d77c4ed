/* SPDX-License-Identifier: Apache-2.0 */

/* Vectors measured: every kind of element in every place, and all engines to the last bit. */

#include "chromem/chromem.h"
#include "chromem/vector.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#define DIMENSION_MAX 70

static uint32_t next_number(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* A vector that ends where its memory ends, so that reading behind it shows under sanitizers. */
static float *vector_new(size_t count, uint32_t *state)
{
	float *v = vs_alloc_array(count, sizeof(*v));

	for (size_t i = 0; i < count; i++) {
		uint32_t bits = next_number(state);

		memcpy(&v[i], &bits, sizeof(bits)); /* any finite number, denormals too */
		if (!isfinite(v[i]))
			v[i] = 1.0f;
	}
	return v;
}

static bool same_bits(double a, double b)
{
	uint64_t x, y;

	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	return x == y;
}

Test(vector, all_engines_agree_to_the_last_bit)
{
	uint32_t state = 2463534242;

	for (size_t count = 0; count <= DIMENSION_MAX; count++) {
		for (int round = 0; round < 50; round++) {
			cleanup_(vs_freep) float *v = vector_new(count, &state);
			double sum = vector_squares_portable(v, count);

			cr_assert(isfinite(sum));
#if VECTOR_HAS_X86
			if (vector_has_avx2())
				cr_assert(same_bits(vector_squares_avx2(v, count), sum), "%zu",
					  count);
#endif
		}
	}
}

/* Against a sum in extended precision, and as chromem_vector_measure() gives it. */
Test(vector, the_norm_is_right)
{
	static const size_t counts[] = { 1, 3, 384, 768, 1536, 3072, 8192 };
	uint32_t state = 88172645;

	for (size_t i = 0; i < VS_COUNT(counts); i++) {
		cleanup_(vs_freep) float *v = vs_alloc_array(counts[i], sizeof(*v));
		struct chromem_vector_stats stats;
		long double sum = 0;
		double norm;

		for (size_t k = 0; k < counts[i]; k++) {
			v[k] = (float)next_number(&state) / 4294967296.0f - 0.5f;
			sum += (long double)v[k] * (long double)v[k];
		}
		norm = (double)sqrtl(sum);
		chromem_vector_measure(v, counts[i], &stats);
		cr_assert_lt(fabs(stats.norm - norm), 1e-14 * norm, "%zu", counts[i]);
		cr_assert(!stats.is_zero && !stats.has_nan && !stats.has_inf);
	}
}

Test(vector, known_norms)
{
	const float triple[] = { 3.0f, -4.0f };
	const float huge[] = { FLT_MAX, -FLT_MAX, FLT_MAX, FLT_MAX };
	const float tiny[] = { 0x1p-149f, 0.0f };
	struct chromem_vector_stats stats;

	chromem_vector_measure(triple, 2, &stats);
	cr_assert(same_bits(stats.norm, 5.0));

	/* Single precision would overflow, and say infinity. */
	chromem_vector_measure(huge, 4, &stats);
	cr_assert(same_bits(stats.norm, 2.0 * (double)FLT_MAX));
	cr_assert(!stats.has_inf && !stats.is_zero);

	/* Single precision would vanish, and say zero. */
	chromem_vector_measure(tiny, 2, &stats);
	cr_assert(same_bits(stats.norm, 0x1p-149));
	cr_assert_not(stats.is_zero);

	chromem_vector_measure(NULL, 0, &stats);
	cr_assert(same_bits(stats.norm, 0.0));
	cr_assert_not(stats.is_zero, "nothing is not zero");
}

Test(vector, zeros_of_either_sign_are_zero_in_every_place)
{
	for (size_t count = 1; count <= DIMENSION_MAX; count++) {
		cleanup_(vs_freep) float *v = vs_alloc_array(count, sizeof(*v));
		struct chromem_vector_stats stats;

		for (size_t i = 0; i < count; i += 2)
			v[i] = -0.0f;
		chromem_vector_measure(v, count, &stats);
		cr_assert(stats.is_zero, "%zu", count);
		cr_assert(same_bits(stats.norm, 0.0));

		for (size_t at = 0; at < count; at++) {
			float zero = v[at];

			v[at] = -0x1p-149f;
			chromem_vector_measure(v, count, &stats);
			cr_assert_not(stats.is_zero, "%zu of %zu", at, count);
			v[at] = zero;
		}
	}
}

Test(vector, the_first_bad_element_is_named_in_every_place)
{
	const float bad[] = { NAN, -NAN, INFINITY, -INFINITY };

	for (size_t count = 1; count <= DIMENSION_MAX; count++) {
		cleanup_(vs_freep) float *v = vs_alloc_array(count, sizeof(*v));
		struct chromem_vector_stats stats;

		for (size_t at = 0; at < count; at++) {
			for (size_t k = 0; k < VS_COUNT(bad); k++) {
				v[at] = bad[k];
				chromem_vector_measure(v, count, &stats);
				cr_assert_eq(stats.has_nan, k < 2);
				cr_assert_eq(stats.has_inf, k >= 2);
				cr_assert_eq(stats.first_bad, at);
				cr_assert_not(isfinite(stats.norm));
				cr_assert_not(stats.is_zero);
			}
			v[at] = 0.0f;
		}
	}
}

Test(vector, infinity_and_nan_are_told_apart_in_one_vector)
{
	float v[40] = { 0 };
	struct chromem_vector_stats stats;

	v[7] = -INFINITY;
	v[33] = NAN;
	chromem_vector_measure(v, 40, &stats);
	cr_assert(stats.has_nan && stats.has_inf);
	cr_assert_eq(stats.first_bad, 7);
	v[7] = 1.0f;
	chromem_vector_measure(v, 40, &stats);
	cr_assert(stats.has_nan && !stats.has_inf);
	cr_assert_eq(stats.first_bad, 33);
}

Test(vector, memory_need_not_be_aligned)
{
	_Alignas(32) unsigned char bytes[256 + 4];
	float aligned[60];
	uint32_t state = 7;

	for (size_t i = 0; i < VS_COUNT(aligned); i++)
		aligned[i] = (float)(next_number(&state) % 1000);
	memcpy(bytes + 4, aligned, sizeof(aligned));
	cr_assert(same_bits(vector_squares_portable((const float *)(const void *)(bytes + 4), 60),
			    vector_squares_portable(aligned, 60)));
#if VECTOR_HAS_X86
	if (vector_has_avx2())
		cr_assert(
			same_bits(vector_squares_avx2((const float *)(const void *)(bytes + 4), 60),
				  vector_squares_portable(aligned, 60)));
#endif
}
