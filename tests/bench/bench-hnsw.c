/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Building and searching an index, on uniform and on clustered vectors, in one thread and in all
 *
 * Uniform vectors of many values have hardly any near and far, so that no graph finds the way with
 * a short list of candidates: for these it is a tenth of the elements.
 *
 * Recall is measured against the exact search, on queries that are not in the index. Where hnswlib
 * is there it builds and searches the same vectors in the same run with the same parameters.
 *
 *	bench-hnsw [COUNT [DIM [EF]]]
 */

#include "hnsw/hnsw.h"

#if HAVE_HNSWLIB
#include "peer-hnsw.h"
#endif

#include <math.h>

#define QUERIES 200
#define K 10

struct data {
	const char *name;
	float *vectors; /* owned; the queries behind the others */
	size_t count, dim;
	uint32_t *exact; /* owned; K per query */
};

static void data_fini(struct data *d)
{
	free(d->vectors);
	free(d->exact);
}

static uint64_t state = 42;

static double uniform(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform() + 1e-300)) * cos(2 * 3.14159265358979 * uniform());
}

static void fill_uniform(struct data *d)
{
	for (size_t i = 0; i < (d->count + QUERIES) * d->dim; i++)
		d->vectors[i] = (float)uniform();
}

/* A hundred clouds, one after the other, as embeddings of texts by topic would come. */
static void fill_clustered(struct data *d)
{
	size_t all = d->count + QUERIES;
	cleanup_(vs_freep) float *centres = vs_alloc_array(100 * d->dim, sizeof(*centres));

	for (size_t i = 0; i < 100 * d->dim; i++)
		centres[i] = (float)normal();
	for (size_t i = 0; i < all; i++) {
		size_t cluster = i < d->count ? i * 100 / d->count : i % 100;

		for (size_t k = 0; k < d->dim; k++)
			d->vectors[i * d->dim + k] =
				centres[cluster * d->dim + k] + (float)(0.25 * normal());
	}
}

static double seconds_since(int64_t from)
{
	return (double)(clock_elapsed_ns() - from) * 1e-9;
}

static double recall(const struct data *d, const uint32_t *found, size_t count, size_t query)
{
	size_t right = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < K; k++)
			right += found[i] == d->exact[query * K + k];
	return (double)right / K;
}

static struct hnsw_graph *build(const struct data *d, struct pool *pool, double *seconds)
{
	const struct hnsw_params params = {
		.space = HNSW_L2,
		.dim = (uint32_t)d->dim,
		.m = 16,
		.ef_construction = 100,
		.seed = 1,
		.pool = pool,
	};
	struct hnsw_graph *g = NULL;
	const struct hnsw_index *x;
	struct vs_err err = { 0 };
	int64_t from = clock_elapsed_ns();

	if (hnsw_graph_new(&params, d->count, &g, &err) < 0)
		abort();
	for (size_t i = 0; i < d->count; i++)
		if (hnsw_graph_add(g, i + 1, d->vectors + i * d->dim, false, &err) < 0)
			abort();
	if (hnsw_graph_link(g, NULL, &x, &err) < 0)
		abort();
	*seconds = seconds_since(from);
	return g;
}

static double find_exact(struct data *d, const struct hnsw_index *x)
{
	struct hnsw_hit hits[K];
	int64_t from = clock_elapsed_ns();

	for (size_t q = 0; q < QUERIES; q++) {
		(void)hnsw_search_exact(x, HNSW_L2, d->vectors + (d->count + q) * d->dim, K, NULL,
					NULL, hits);
		for (size_t k = 0; k < K; k++)
			d->exact[q * K + k] = hits[k].id;
	}
	return seconds_since(from);
}

static double search(const struct data *d, const struct hnsw_index *x, size_t ef, double *seconds)
{
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = NULL;
	struct hnsw_hit hits[K];
	uint32_t found[K];
	struct vs_err err = { 0 };
	double sum = 0;
	int64_t from;

	if (hnsw_searcher_new(x, HNSW_L2, &s, &err) < 0)
		abort();
	from = clock_elapsed_ns();
	for (size_t q = 0; q < QUERIES; q++) {
		size_t n = hnsw_search(s, d->vectors + (d->count + q) * d->dim, K, ef, hits);

		for (size_t i = 0; i < n; i++)
			found[i] = hits[i].id;
		sum += recall(d, found, n, q);
	}
	*seconds = seconds_since(from);
	return sum / QUERIES;
}

#if HAVE_HNSWLIB
static void run_peer(const struct data *d, size_t ef, double our_build, double our_search)
{
	int64_t from = clock_elapsed_ns();
	struct peer_hnsw *p = peer_hnsw_build(d->vectors, d->count, d->dim, 16, 100);
	double building = seconds_since(from);
	double searching, sum = 0;
	uint32_t found[K];

	if (p == NULL)
		abort();
	from = clock_elapsed_ns();
	for (size_t q = 0; q < QUERIES; q++) {
		size_t n = peer_hnsw_search(p, d->vectors + (d->count + q) * d->dim, K, ef, found);

		sum += recall(d, found, n, q);
	}
	searching = seconds_since(from);
	printf("  hnswlib: build %.2f s, search %.3f ms per query, recall@10 %.4f\n", building,
	       searching * 1e3 / QUERIES, sum / QUERIES);
	printf("  time of hnswlib / ours: build %.2f, search %.2f\n", building / our_build,
	       searching / our_search);
	peer_hnsw_free(p);
}
#endif

static bool run(struct data *d, void (*fill)(struct data *), size_t ef, double least)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *one = NULL;
	cleanup_(hnsw_graph_freep) struct hnsw_graph *many = NULL;
	cleanup_(pool_freep) struct pool *pool = pool_new(cpu_count());
	double building, building_many, searching, exact, found, found_many, ignored;

	d->vectors = vs_alloc_array((d->count + QUERIES) * d->dim, sizeof(*d->vectors));
	d->exact = vs_alloc_array((size_t)QUERIES * K, sizeof(*d->exact));
	fill(d);
	one = build(d, NULL, &building);
	many = build(d, pool, &building_many);
	exact = find_exact(d, hnsw_graph_index(one));
	found = search(d, hnsw_graph_index(one), ef, &searching);
	found_many = search(d, hnsw_graph_index(many), ef, &ignored);
	printf("%s, %zu vectors of %zu values, ef %zu\n", d->name, d->count, d->dim, ef);
	printf("  build %.2f s, in %u threads %.2f s\n", building, pool_threads(pool),
	       building_many);
	printf("  search %.3f ms per query, exact %.3f ms\n", searching * 1e3 / QUERIES,
	       exact * 1e3 / QUERIES);
	printf("  recall@10 %.4f, built in threads %.4f\n", found, found_many);
#if HAVE_HNSWLIB
	run_peer(d, ef, building, searching);
#endif
	return found >= least && found_many >= least;
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
	size_t dim = argc > 2 ? strtoull(argv[2], NULL, 10) : 384;
	size_t ef = argc > 3 ? strtoull(argv[3], NULL, 10) : 100;
	cleanup_(data_fini) struct data u = { .name = "uniform", .count = count, .dim = dim };
	cleanup_(data_fini) struct data c = { .name = "clustered", .count = count, .dim = dim };
	bool is_good = run(&c, fill_clustered, ef, 0.99);

	printf("kernels: %s\n", hnsw_kernels_best()->name);
	return run(&u, fill_uniform, VS_MAX(ef, count / 10), 0.99) && is_good ? 0 : 1;
}
