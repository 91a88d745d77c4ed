/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Building, searching, checking and re-linking an index
 *
 * Recall is measured against the exact search, on queries that are not in the index. Where hnswlib
 * is there it builds and searches the same vectors in the same run with the same parameters, in the
 * order they come in and in a random one: what it finds depends much on that. Each line is printed
 * as soon as it is known. Ends with 1 where recall is below hnswlib's or below 0.99.
 *
 *	bench-hnsw [SECTION [COUNT [DIM]]]
 *
 * SECTION is the name of some vectors (clustered, low-rank, uniform), or check, or relink.
 */

#include "bench-hnsw.h"

#if HAVE_HNSWLIB
#include "peer-hnsw.h"
#endif

struct hnsw_graph *bench_build(const struct bench_data *d, struct pool *pool,
			       struct bench_time *time)
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
	struct bench_time from = bench_now();

	if (hnsw_graph_new(&params, d->count, &g, &err) < 0)
		abort();
	for (size_t i = 0; i < d->count; i++)
		if (hnsw_graph_add(g, i + 1, d->vectors + i * d->dim, false, &err) < 0)
			abort();
	if (hnsw_graph_link(g, NULL, &x, &err) < 0)
		abort();
	*time = bench_since(from);
	return g;
}

struct bench_time bench_find_exact(struct bench_data *d, const struct hnsw_index *x)
{
	struct hnsw_hit hits[BENCH_K];
	struct bench_time from = bench_now();

	for (size_t q = 0; q < BENCH_QUERIES; q++) {
		(void)hnsw_search_exact(x, HNSW_L2, bench_query(d, q), BENCH_K, NULL, NULL, hits);
		for (size_t k = 0; k < BENCH_K; k++)
			d->exact[q * BENCH_K + k] = hits[k].id;
	}
	return bench_since(from);
}

static double recall(const struct bench_data *d, const uint32_t *found, size_t count, size_t query)
{
	size_t right = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < BENCH_K; k++)
			right += found[i] == d->exact[query * BENCH_K + k];
	return (double)right / BENCH_K;
}

double bench_recall(const struct bench_data *d, const struct hnsw_index *x, size_t ef,
		    struct bench_time *time)
{
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = NULL;
	struct hnsw_hit hits[BENCH_K];
	uint32_t found[BENCH_K];
	struct vs_err err = { 0 };
	double sum = 0;
	struct bench_time from;

	if (hnsw_searcher_new(x, HNSW_L2, &s, &err) < 0)
		abort();
	from = bench_now();
	for (size_t q = 0; q < BENCH_QUERIES; q++) {
		size_t n = hnsw_search(s, bench_query(d, q), BENCH_K, ef, hits);

		for (size_t i = 0; i < n; i++)
			found[i] = hits[i].id;
		sum += recall(d, found, n, q);
	}
	*time = bench_since(from);
	return sum / BENCH_QUERIES;
}

/* ---- building ---- */

static void print_build(const char *who, unsigned threads, const struct bench_time *building,
			const struct bench_time *searching, double found)
{
	printf("  %-22s %u thread%s  build %6.2f s (processors %6.2f)  search %.3f ms  recall@10 %.4f\n",
	       who, threads, threads == 1 ? " " : "s", building->clock, building->processor,
	       searching->processor * 1e3 / BENCH_QUERIES, found);
}

#if HAVE_HNSWLIB
static double run_peer(const struct bench_data *d, size_t ef, unsigned threads,
		       const uint32_t *order, struct bench_time *building)
{
	struct bench_time from = bench_now();
	struct peer_hnsw *p =
		peer_hnsw_build(d->vectors, d->count, d->dim, 16, 100, threads, order);
	struct bench_time searching;
	double sum = 0;
	uint32_t found[BENCH_K];

	if (p == NULL)
		abort();
	*building = bench_since(from);
	from = bench_now();
	for (size_t q = 0; q < BENCH_QUERIES; q++) {
		size_t n = peer_hnsw_search(p, bench_query(d, q), BENCH_K, ef, found);

		sum += recall(d, found, n, q);
	}
	searching = bench_since(from);
	peer_hnsw_free(p);
	print_build(order ? "hnswlib, random order" : "hnswlib", threads, building, &searching,
		    sum / BENCH_QUERIES);
	return sum / BENCH_QUERIES;
}

static uint32_t *random_order(size_t count)
{
	uint32_t *order = vs_alloc_array(count, sizeof(*order));

	for (size_t i = 0; i < count; i++) {
		size_t k = (size_t)(bench_random() * (double)(i + 1));

		order[i] = order[k];
		order[k] = (uint32_t)i;
	}
	return order;
}

/* The better of its recalls; @building is the time of the faster. */
static double run_peers(const struct bench_data *d, size_t ef, unsigned threads,
			struct bench_time *building)
{
	cleanup_(vs_freep) uint32_t *order = random_order(d->count);
	struct bench_time shuffled;
	double given = run_peer(d, ef, threads, NULL, building);
	double found = run_peer(d, ef, threads, order, &shuffled);

	building->clock = VS_MIN(building->clock, shuffled.clock);
	building->processor = VS_MIN(building->processor, shuffled.processor);
	return VS_MAX(given, found);
}
#endif

static bool run_threads(struct bench_data *d, size_t ef, unsigned threads)
{
	cleanup_(pool_freep) struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	struct bench_time building, searching, exact;
	double found, best = 0.99;

	g = bench_build(d, pool, &building);
	if (threads == 1) {
		exact = bench_find_exact(d, hnsw_graph_index(g));
		printf("  exact search %.3f ms\n", exact.processor * 1e3 / BENCH_QUERIES);
	}
	found = bench_recall(d, hnsw_graph_index(g), ef, &searching);
	print_build("ours", threads, &building, &searching, found);
#if HAVE_HNSWLIB
	struct bench_time peer;
	double peer_found = run_peers(d, ef, threads, &peer);

	best = VS_MAX(best, peer_found);
	printf("  hnswlib's faster / ours %.2f (processors %.2f)\n", peer.clock / building.clock,
	       peer.processor / building.processor);
#endif
	/* A neighbour in a thousand more or less is chance. */
	return found >= best - 0.001;
}

static bool run_build(const char *name, size_t count, size_t dim)
{
	cleanup_(bench_data_freep) struct bench_data *d = bench_data_new(name, count, dim);
	size_t ef = strcmp(name, "uniform") == 0 ? VS_MAX(count / 10, (size_t)100) : 100;
	bool is_good;

	printf("%s, %zu vectors of %zu values, ef %zu, kernels %s\n", name, count, dim, ef,
	       hnsw_kernels_best()->name);
	is_good = run_threads(d, ef, 1);
	return run_threads(d, ef, cpu_count()) && is_good;
}

static size_t number(char **argv, int argc, int i, size_t otherwise)
{
	return argc > i ? (size_t)strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "clustered", "low-rank", "uniform" };
	const char *section = argc > 1 ? argv[1] : NULL;
	size_t dim = number(argv, argc, 3, 384);
	bool is_good = true;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < VS_COUNT(names); i++)
		if (section == NULL || strcmp(section, names[i]) == 0)
			is_good = run_build(names[i], number(argv, argc, 2, 10000), dim) && is_good;
	if (section == NULL || strcmp(section, "relink") == 0)
		is_good = bench_relink(number(argv, argc, 2, 10000), dim) && is_good;
	if (section == NULL || strcmp(section, "check") == 0)
		is_good = bench_check(number(argv, argc, 2, 1000000), number(argv, argc, 3, 16)) &&
			  is_good;
	return is_good ? 0 : 1;
}
