/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Distances: the portable kernels, and which ones this processor runs
 *
 * Sixteen sums side by side let a compiler use whatever vectors there are, and keep the rounding
 * error of long vectors small.
 */

#include "hnsw/distance.h"

#include <math.h>

#define LANES 16

static float add_lanes(float lane[LANES])
{
	for (size_t width = LANES / 2; width > 0; width /= 2)
		for (size_t i = 0; i < width; i++)
			lane[i] += lane[i + width];
	return lane[0];
}

static float l2_portable(const float *a, const float *b, size_t count)
{
	float lane[LANES] = { 0 };
	size_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (size_t k = 0; k < LANES; k++)
			lane[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
	for (size_t k = 0; i + k < count; k++)
		lane[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
	return add_lanes(lane);
}

static float dot_portable(const float *a, const float *b, size_t count)
{
	float lane[LANES] = { 0 };
	size_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (size_t k = 0; k < LANES; k++)
			lane[k] += a[i + k] * b[i + k];
	for (size_t k = 0; i + k < count; k++)
		lane[k] += a[i + k] * b[i + k];
	return add_lanes(lane);
}

static int32_t dot8_portable(const int8_t *a, const int8_t *b, size_t count)
{
	int32_t lane[LANES] = { 0 };

	for (size_t i = 0; i + LANES <= count; i += LANES)
		for (size_t k = 0; k < LANES; k++)
			lane[k] += a[i + k] * b[i + k];
	for (size_t k = 1; k < LANES; k++)
		lane[0] += lane[k];
	return lane[0];
}

/* From the slowest to the fastest. */
static const struct hnsw_kernels kernels[] = {
	{ "portable", l2_portable, dot_portable, dot8_portable },
#if HNSW_HAS_X86
	{ "avx2", hnsw_l2_avx2, hnsw_dot_avx2, hnsw_dot8_avx2 },
	{ "avx512", hnsw_l2_avx512, hnsw_dot_avx512, hnsw_dot8_avx2 },
#endif
};

/* How many of them this processor runs; each processor that has one has those before it. */
static size_t kernels_here(void)
{
	size_t n = 1;

#if HNSW_HAS_X86
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		n = __builtin_cpu_supports("avx512f") ? 3 : 2;
#endif
	return n;
}

const struct hnsw_kernels *hnsw_kernels_best(void)
{
	return &kernels[kernels_here() - 1];
}

const struct hnsw_kernels *hnsw_kernels_at(size_t i)
{
	return i < kernels_here() ? &kernels[i] : NULL;
}

/* Blocks without a branch: what a compiler makes vectors of. */
bool hnsw_all_finite(const float *v, size_t count)
{
	uint32_t bad = 0;
	size_t i = 0;

	for (; i + LANES <= count; i += LANES) {
		uint32_t bits[LANES];
		uint32_t here[LANES];

		memcpy(bits, v + i, sizeof(bits));
		for (size_t k = 0; k < LANES; k++)
			here[k] = (bits[k] & 0x7f800000) == 0x7f800000;
		for (size_t k = 0; k < LANES; k++)
			bad |= here[k];
	}
	for (; i < count; i++)
		bad |= !isfinite(v[i]);
	return bad == 0;
}

double hnsw_norm(const float *v, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)v[i] * (double)v[i];
	return sqrt(sum);
}

void hnsw_normalize(const float *in, size_t dim, float *out)
{
	float factor = (float)(1.0 / (hnsw_norm(in, dim) + 1e-30));

	for (size_t i = 0; i < dim; i++)
		out[i] = in[i] * factor;
}

/* ---- names ---- */

static const char *const space_names[] = {
	[HNSW_L2] = "l2",
	[HNSW_COSINE] = "cosine",
	[HNSW_IP] = "ip",
};

const char *hnsw_space_name(enum hnsw_space space)
{
	return space_names[space];
}

bool hnsw_space_parse(struct slice text, enum hnsw_space *out)
{
	for (size_t i = 0; i < VS_COUNT(space_names); i++) {
		if (slice_eq_str(text, space_names[i])) {
			*out = (enum hnsw_space)i;
			return true;
		}
	}
	return false;
}
