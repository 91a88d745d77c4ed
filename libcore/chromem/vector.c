/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A document's vector, measured
 *
 * One pass adds up the squares in double precision. No sum of squares of floats can overflow a
 * double or vanish in one (the largest square is near 1.2e77, the smallest 2e-90), so the sum alone
 * tells what kind of elements there are: it is not finite only when an element is not, and zero
 * only when all are. Which element it was is looked for only then.
 */

#include "chromem/vector.h"
#include "chromem/chromem.h"

#include <math.h>

double vector_squares_finish(double lane[VECTOR_LANES], const float *v, size_t from, size_t count)
{
	for (size_t i = from; i < count; i++)
		lane[i % VECTOR_LANES] += (double)v[i] * (double)v[i];
	for (size_t half = VECTOR_LANES / 2; half > 0; half /= 2) {
		for (size_t k = 0; k < half; k++)
			lane[k] += lane[k + half];
	}
	return lane[0];
}

double vector_squares_portable(const float *v, size_t count)
{
	double lane[VECTOR_LANES] = { 0 };
	size_t i;

	for (i = 0; i + VECTOR_LANES <= count; i += VECTOR_LANES) {
		for (size_t k = 0; k < VECTOR_LANES; k++)
			lane[k] += (double)v[i + k] * (double)v[i + k];
	}
	return vector_squares_finish(lane, v, i, count);
}

bool vector_has_avx2(void)
{
#if VECTOR_HAS_X86
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

static double squares(const float *v, size_t count)
{
#if VECTOR_HAS_X86
	if (vector_has_avx2())
		return vector_squares_avx2(v, count);
#endif
	return vector_squares_portable(v, count);
}

/* Which elements are not finite; there is at least one. */
static void find_bad(const float *v, size_t count, struct chromem_vector_stats *out)
{
	bool found = false;

	for (size_t i = 0; i < count; i++) {
		if (isfinite(v[i]))
			continue;
		if (!found)
			out->first_bad = i;
		found = true;
		if (isnan(v[i]))
			out->has_nan = true;
		else
			out->has_inf = true;
	}
}

void chromem_vector_measure(const float *v, size_t count, struct chromem_vector_stats *out)
{
	double sum = squares(v, count);

	*out = (struct chromem_vector_stats){
		.norm = sqrt(sum),
		.is_zero = count > 0 && sum == 0,
	};
	if (!isfinite(sum))
		find_bad(v, count, out);
}
