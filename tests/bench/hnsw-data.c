/* SPDX-License-Identifier: Apache-2.0 */

#include "hnsw-data.h"

#include <math.h>

#define CLOUDS 100
#define RANK 24

static uint64_t state = 42;

double bench_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static float normal(void)
{
	return (float)(sqrt(-2 * log(bench_random() + 1e-300)) *
		       cos(2 * 3.14159265358979 * bench_random()));
}

struct bench_time bench_now(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (struct bench_time){ (double)clock_elapsed_ns() * 1e-9,
				    (double)t.tv_sec + (double)t.tv_nsec * 1e-9 };
}

struct bench_time bench_since(struct bench_time from)
{
	struct bench_time now = bench_now();

	return (struct bench_time){ now.clock - from.clock, now.processor - from.processor };
}

static float *normals(size_t count)
{
	float *out = vs_alloc_array(count, sizeof(*out));

	for (size_t i = 0; i < count; i++)
		out[i] = normal();
	return out;
}

static void fill_uniform(struct bench_data *d)
{
	for (size_t i = 0; i < (d->count + BENCH_QUERIES) * d->dim; i++)
		d->vectors[i] = (float)bench_random();
}

static void fill_clustered(struct bench_data *d)
{
	cleanup_(vs_freep) float *centres = normals(CLOUDS * d->dim);

	for (size_t i = 0; i < d->count + BENCH_QUERIES; i++) {
		size_t cloud = i < d->count ? i * CLOUDS / d->count : i % CLOUDS;

		for (size_t k = 0; k < d->dim; k++)
			d->vectors[i * d->dim + k] = centres[cloud * d->dim + k] + 0.25f * normal();
	}
}

static void fill_low_rank(struct bench_data *d)
{
	cleanup_(vs_freep) float *directions = normals(RANK * d->dim);
	float at[RANK];

	for (size_t i = 0; i < d->count + BENCH_QUERIES; i++) {
		float *v = d->vectors + i * d->dim;

		for (size_t r = 0; r < RANK; r++)
			at[r] = normal();
		for (size_t k = 0; k < d->dim; k++)
			v[k] = 0.1f * normal();
		for (size_t r = 0; r < RANK; r++)
			for (size_t k = 0; k < d->dim; k++)
				v[k] += at[r] * directions[r * d->dim + k];
	}
}

static const struct {
	const char *name;
	void (*fill)(struct bench_data *d);
} kinds[] = {
	{ "clustered", fill_clustered },
	{ "low-rank", fill_low_rank },
	{ "uniform", fill_uniform },
};

struct bench_data *bench_data_new(const char *name, size_t count, size_t dim)
{
	for (size_t i = 0; i < VS_COUNT(kinds); i++) {
		struct bench_data *d;

		if (strcmp(kinds[i].name, name) != 0)
			continue;
		d = vs_alloc(sizeof(*d));
		*d = (struct bench_data){ .name = kinds[i].name, .count = count, .dim = dim };
		d->vectors = vs_alloc_array((count + BENCH_QUERIES) * dim, sizeof(*d->vectors));
		d->exact = vs_alloc_array((size_t)BENCH_QUERIES * BENCH_K, sizeof(*d->exact));
		state = 42;
		kinds[i].fill(d);
		return d;
	}
	return NULL;
}

void bench_data_freep(struct bench_data **data)
{
	if (!*data)
		return;
	free((*data)->vectors);
	free((*data)->exact);
	free(*data);
	*data = NULL;
}
