/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How much of the truth the graph finds: vectors of the index itself are searched for both ways
 *
 * The exact side compares every element with a group of samples at a time, so that the memory is
 * read once per group.
 */

#include "hnsw/graph.h"

#define PROBE_GROUP 8

struct probe {
	const struct hnsw_index *index;
	const struct hnsw_probe_request *request;
	const struct hnsw_kernels *kernels;
	uint32_t *sample; /* owned; internal ids */
	size_t samples;
	struct hnsw_hit *exact;           /* owned; k per sample */
	size_t *exact_count;              /* owned */
	double *recall;                   /* owned; of each sample */
	bool *self;                       /* owned */
	struct hnsw_searcher **searchers; /* owned; one per thread */
	struct hnsw_hit *found;           /* owned; k per thread */
	unsigned threads;
};

static void probe_fini(struct probe *p)
{
	for (unsigned i = 0; p->searchers != NULL && i < p->threads; i++)
		hnsw_searcher_freep(&p->searchers[i]);
	free(p->searchers);
	free(p->sample);
	free(p->exact);
	free(p->exact_count);
	free(p->recall);
	free(p->self);
	free(p->found);
}

static int prepare(struct probe *p, size_t live, struct vs_err *err)
{
	size_t k = p->request->k;
	int r;

	p->samples = VS_MIN(p->request->samples, live);
	p->threads = p->request->pool != NULL ? pool_threads(p->request->pool) : 1;
	p->sample = vs_try_alloc(p->samples + 1, sizeof(*p->sample));
	p->exact = vs_try_alloc((p->samples + 1) * k, sizeof(*p->exact));
	p->exact_count = vs_try_alloc(p->samples + 1, sizeof(*p->exact_count));
	p->recall = vs_try_alloc(p->samples + 1, sizeof(*p->recall));
	p->self = vs_try_alloc(p->samples + 1, sizeof(*p->self));
	p->found = vs_try_alloc(p->threads * k, sizeof(*p->found));
	p->searchers = vs_try_alloc(p->threads, sizeof(struct hnsw_searcher *));
	if (p->sample == NULL || p->exact == NULL || p->exact_count == NULL || p->recall == NULL ||
	    p->self == NULL || p->found == NULL || p->searchers == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu samples", p->samples);
	for (unsigned i = 0; i < p->threads; i++) {
		r = hnsw_searcher_new(p->index, p->request->space, &p->searchers[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Each live element with the same chance: of those left, take one as often as samples are left. */
static void choose(struct probe *p, size_t live)
{
	uint64_t state = p->request->seed;
	size_t left = p->samples;
	size_t n = 0;

	for (uint32_t id = 0; id < p->index->count && left > 0; id++) {
		if (hnsw_is_deleted(p->index, id))
			continue;
		assert(live > 0);
		if (next_random(&state) % live < left) {
			p->sample[n++] = id;
			left--;
		}
		live--;
	}
}

static void exact_group(void *ctx, unsigned worker, size_t group)
{
	struct probe *p = ctx;
	const struct hnsw_index *x = p->index;
	size_t from = group * PROBE_GROUP;
	size_t to = VS_MIN(from + PROBE_GROUP, p->samples);
	size_t k = p->request->k;

	(void)worker;
	for (uint32_t id = 0; id < x->count; id++) {
		if (hnsw_is_deleted(x, id))
			continue;
		for (size_t i = from; i < to; i++) {
			float d = hnsw_distance(p->kernels, p->request->space,
						hnsw_vector(x, p->sample[i]), hnsw_vector(x, id),
						x->dim);

			hnsw_heap_offer(p->exact + i * k, &p->exact_count[i], k,
					(struct hnsw_hit){ hnsw_far(d), id });
		}
	}
	for (size_t i = from; i < to; i++)
		hnsw_heap_sort(p->exact + i * k, p->exact_count[i]);
}

/* What is as near as the farthest exact one counts, whichever of equals it is. */
static void search_one(void *ctx, unsigned worker, size_t i)
{
	struct probe *p = ctx;
	size_t k = p->request->k;
	struct hnsw_hit *found = p->found + worker * k;
	const struct hnsw_hit *exact = p->exact + i * k;
	const float *query = hnsw_vector(p->index, p->sample[i]);
	size_t count = hnsw_search(p->searchers[worker], query, k, p->request->ef, found);
	size_t right = 0;

	for (size_t n = 0; n < count && p->exact_count[i] > 0; n++)
		if (found[n].distance <= exact[p->exact_count[i] - 1].distance)
			right++;
	p->recall[i] = p->exact_count[i] > 0 ? (double)right / (double)p->exact_count[i] : 1;
	p->self[i] = count > 0 && p->exact_count[i] > 0 && found[0].distance <= exact[0].distance;
}

static void run(struct probe *p, size_t count, void (*fn)(void *, unsigned, size_t))
{
	if (p->request->pool != NULL) {
		pool_run(p->request->pool, count, fn, p);
		return;
	}
	for (size_t i = 0; i < count; i++)
		fn(p, 0, i);
}

int hnsw_probe(const struct hnsw_index *index, const struct hnsw_probe_request *request,
	       struct hnsw_probe *out, struct vs_err *err)
{
	cleanup_(probe_fini) struct probe p = {
		.index = index,
		.request = request,
		.kernels = hnsw_kernels_best(),
	};
	size_t live = 0;
	size_t self = 0;
	double sum = 0;
	int r;

	assert(request->k > 0);
	for (uint32_t id = 0; id < index->count; id++)
		live += !hnsw_is_deleted(index, id);
	r = prepare(&p, live, err);
	if (r < 0)
		return r;
	choose(&p, live);
	run(&p, (p.samples + PROBE_GROUP - 1) / PROBE_GROUP, exact_group);
	run(&p, p.samples, search_one);
	*out = (struct hnsw_probe){
		.samples = p.samples, .recall = 1, .worst = 1, .self_found = 1
	};
	for (size_t i = 0; i < p.samples; i++) {
		sum += p.recall[i];
		self += p.self[i];
		out->worst = VS_MIN(out->worst, p.recall[i]);
	}
	if (p.samples > 0) {
		out->recall = sum / (double)p.samples;
		out->self_found = (double)self / (double)p.samples;
	}
	return 0;
}
