/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Building the graph: room for the elements, and the order in which they are inserted
 *
 * Levels are drawn before anything is inserted, so the entry point never changes, and no lock is
 * needed for it. The elements that have upper levels go first, in a shuffled order: vectors often
 * come sorted by topic, and a graph grown one topic after the other finds its way between them badly.
 * All others follow neighbour by neighbour, sorted by what is nearest to them on levels 2 and 1: what
 * one has read from memory the next one needs again.
 */

#include "hnsw/graph.h"

#include <sched.h>

/*
 * Candidates at least. An index that is rebuilt is read far more often than built, and what the codes
 * blur is made good by a few more.
 */
#define BUILD_EF_LEAST 128u

static void select_fini(struct hnsw_select *s)
{
	free(s->candidates);
	free(s->chosen);
}

/* ---- making and filling ---- */

void hnsw_graph_freep(struct hnsw_graph **g)
{
	if (*g == NULL)
		return;
	hnsw_graph_done(*g);
	hnsw_index_fini(&(*g)->index);
	free((*g)->level0);
	free((*g)->length);
	free((*g)->links);
	free(*g);
	*g = NULL;
}

int hnsw_graph_new(const struct hnsw_params *params, uint64_t count, struct hnsw_graph **out,
		   struct vs_err *err)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = vs_alloc(sizeof(*g));
	struct hnsw_fault fault;
	struct hnsw_header h;
	int r;

	if (count > HNSW_BUILD_MAX)
		return vs_fail(err, VS_ELIMIT, "%" PRIu64 " elements; up to %u are built", count,
			       HNSW_BUILD_MAX);
	r = hnsw_header_make(count, params->dim, params->m, params->ef_construction, &h, err);
	if (r < 0)
		return r;
	if (hnsw_take_sizes(&h, &g->index, &fault) == 0)
		return vs_fail(err, VS_ELIMIT, "%s", fault.text);
	g->params = *params;
	g->kernels = hnsw_kernels_best();
	g->room = count;
	g->build_ef = params->build_ef > 0 ? params->build_ef : BUILD_EF_LEAST;
	g->build_ef = VS_MAX(g->build_ef, (size_t)h.ef_construction);
	g->level0 = vs_try_alloc((size_t)count + 1, g->index.record_size);
	g->length = vs_try_alloc((size_t)count + 1, sizeof(*g->length));
	if (g->level0 == NULL || g->length == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu64 " elements of %zu bytes",
			       count, g->index.record_size);
	*out = VS_TAKE(g);
	return 0;
}

static int take_element(struct hnsw_graph *g, uint64_t label, const float *vector, bool is_deleted,
			struct vs_err *err)
{
	unsigned char *record;

	if (g->is_linked || g->index.count >= g->room)
		return vs_fail(err, VS_EUSAGE, "the graph has room for %" PRIu64 " elements only",
			       g->room);
	for (uint32_t i = 0; !hnsw_all_finite(vector, g->index.dim) && i < g->index.dim; i++)
		if (!isfinite(vector[i]))
			return vs_fail(err, VS_EFORMAT,
				       "value %u of the vector with label %" PRIu64
				       " is not finite",
				       i, label);
	record = g->level0 + (size_t)g->index.count * g->index.record_size;
	record[2] = is_deleted ? 1 : 0;
	store_le64(record + g->index.label_offset, label);
	return 0;
}

static void *place_of_vector(struct hnsw_graph *g)
{
	return g->level0 + (size_t)g->index.count * g->index.record_size + g->index.vector_offset;
}

/* The view grows with what it shows. */
static void element_is_there(struct hnsw_graph *g, float length)
{
	g->length[g->index.count++] = length;
	g->index.level0 = slice_of(g->level0, g->index.count * g->index.record_size);
	g->index.length = slice_of(g->length, g->index.count * sizeof(*g->length));
}

int hnsw_graph_add_stored(struct hnsw_graph *g, uint64_t label, const float *vector, float length,
			  bool is_deleted, struct vs_err *err)
{
	int r = take_element(g, label, vector, is_deleted, err);

	if (r < 0)
		return r;
	memcpy(place_of_vector(g), vector, g->index.dim * sizeof(*vector));
	element_is_there(g, length);
	return 0;
}

int hnsw_graph_add(struct hnsw_graph *g, uint64_t label, const float *vector, bool is_deleted,
		   struct vs_err *err)
{
	int r;

	if (g->params.space != HNSW_COSINE)
		return hnsw_graph_add_stored(g, label, vector, 0, is_deleted, err);
	r = take_element(g, label, vector, is_deleted, err);
	if (r < 0)
		return r;
	hnsw_normalize(vector, g->index.dim, place_of_vector(g));
	element_is_there(g, (float)hnsw_norm(vector, g->index.dim));
	return 0;
}

/* ---- scratch ---- */

int hnsw_graph_prepare(struct hnsw_graph *g, bool with_codes, struct vs_err *err)
{
	size_t lists = (size_t)g->index.header.max_m0 + 1;
	int r;

	r = with_codes ? hnsw_codes_make(&g->index, g->params.space, &g->codes, err) : 0;
	if (r < 0)
		return r;
	g->is_close = vs_try_alloc(g->index.count + (size_t)1, sizeof(*g->is_close));
	if (g->is_close == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u elements", g->index.count);
	g->threads = g->params.pool != NULL ? pool_threads(g->params.pool) : 1;
	g->searchers = vs_alloc_array(g->threads, sizeof(struct hnsw_searcher *));
	g->selects = vs_alloc_array(g->threads, sizeof(*g->selects));
	if (g->threads > 1) {
		g->locks.byte = vs_try_alloc(g->index.count + (size_t)1, sizeof(*g->locks.byte));
		if (g->locks.byte == NULL)
			return vs_fail(err, VS_ENOMEM, "no memory for %u locks", g->index.count);
	}
	for (unsigned i = 0; i < g->threads; i++) {
		struct hnsw_select *s = &g->selects[i];

		r = hnsw_searcher_new(&g->index, g->params.space, &g->searchers[i], err);
		if (r < 0)
			return r;
		g->searchers[i]->locks = g->threads > 1 ? &g->locks : NULL;
		s->cap = VS_MAX(g->build_ef + 1, lists);
		s->candidates = vs_try_alloc(s->cap, sizeof(*s->candidates));
		s->chosen = vs_try_alloc(lists, sizeof(*s->chosen));
		if (s->candidates == NULL || s->chosen == NULL)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu candidates", s->cap);
	}
	return 0;
}

void hnsw_graph_done(struct hnsw_graph *g)
{
	for (unsigned i = 0; i < g->threads; i++) {
		hnsw_searcher_freep(&g->searchers[i]);
		select_fini(&g->selects[i]);
	}
	free(g->searchers);
	free(g->selects);
	free(g->locks.byte);
	free(g->is_close);
	hnsw_codes_fini(&g->codes);
	g->is_close = NULL;
	g->searchers = NULL;
	g->selects = NULL;
	g->locks.byte = NULL;
	g->threads = 0;
}

void hnsw_lock(struct hnsw_locks *locks, uint32_t id)
{
	unsigned spins = 0;

	while (atomic_exchange_explicit(&locks->byte[id], 1, memory_order_acquire) != 0)
		if (++spins % 64 == 0)
			(void)sched_yield();
}

void hnsw_unlock(struct hnsw_locks *locks, uint32_t id)
{
	atomic_store_explicit(&locks->byte[id], 0, memory_order_release);
}

/* ---- all of it ---- */

/* The elements of a piece are inserted by one thread, one after the other. */
#define PIECE 64u

struct start {
	uint64_t key; /* the nearest element on level 2, and on level 1 */
	struct hnsw_hit at;
	uint32_t id;
};

struct job {
	struct hnsw_graph *g;
	uint32_t *order;     /* owned; elements with upper levels first */
	struct start *start; /* owned; where the insertion of the others starts */
	uint32_t upper, rest;
	struct vs_progress *progress;
};

static void job_fini(struct job *j)
{
	free(j->order);
	free(j->start);
}

static void count_done(struct job *j, uint64_t items)
{
	if (j->progress != NULL) {
		atomic_fetch_add(&j->progress->items, items);
		atomic_fetch_add(&j->progress->part_items_done, items);
	}
}

static void insert_upper(void *ctx, unsigned worker, size_t i)
{
	struct job *j = ctx;

	if (j->order[i] != j->g->index.header.entry)
		hnsw_graph_insert(j->g, worker, j->order[i], 0);
	count_done(j, 1);
}

static void find_starts(void *ctx, unsigned worker, size_t piece)
{
	struct job *j = ctx;
	uint32_t entry = j->g->index.header.entry;
	uint32_t highest = hnsw_levels(&j->g->index, entry);
	uint32_t middle = VS_MIN(highest, 1u);
	uint32_t from = (uint32_t)piece * PIECE;

	for (uint32_t i = from; i < VS_MIN(from + PIECE, j->rest); i++) {
		struct start *s = &j->start[i];

		s->id = j->order[j->upper + i];
		s->at = hnsw_graph_descend(j->g, worker, s->id, (struct hnsw_hit){ 0, entry },
					   highest, middle);
		s->key = (uint64_t)s->at.id << 32;
		s->at = hnsw_graph_descend(j->g, worker, s->id, s->at, middle, 0);
		s->key |= s->at.id;
	}
}

static void insert_rest(void *ctx, unsigned worker, size_t piece)
{
	struct job *j = ctx;
	uint32_t from = (uint32_t)piece * PIECE;
	uint32_t to = VS_MIN(from + PIECE, j->rest);

	for (uint32_t i = from; i < to; i++)
		if (j->start[i].id != j->g->index.header.entry)
			hnsw_graph_insert_at(j->g, worker, j->start[i].id, 0, 0, j->start[i].at);
	count_done(j, to - from);
}

static int compare_starts(const void *a_, const void *b_)
{
	const struct start *a = a_, *b = b_;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static void run(struct job *j, size_t count, void (*fn)(void *ctx, unsigned worker, size_t i))
{
	if (j->g->threads > 1)
		pool_run(j->g->params.pool, count, fn, j);
	else
		for (size_t i = 0; i < count; i++)
			fn(j, 0, i);
}

static void shuffle(uint32_t *order, uint32_t count, uint64_t seed)
{
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t i = count; i > 1; i--) {
		uint64_t z = (seed ^ i) * UINT64_C(0x9e3779b97f4a7c15);
		uint32_t k, held;

		z = (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
		k = (uint32_t)((z ^ z >> 32) % i);
		held = order[i - 1];
		order[i - 1] = order[k];
		order[k] = held;
	}
}

/* Those with upper levels to the front, in the order they have. */
static void split_order(struct job *j, uint32_t *others)
{
	uint32_t count = j->g->index.count;

	for (uint32_t i = 0; i < count; i++) {
		if (hnsw_levels(&j->g->index, j->order[i]) > 0)
			j->order[j->upper++] = j->order[i];
		else
			others[j->rest++] = j->order[i];
	}
	if (j->rest > 0)
		memcpy(j->order + j->upper, others, j->rest * sizeof(*others));
}

static int insert_all(struct hnsw_graph *g, struct vs_progress *progress, struct vs_err *err)
{
	cleanup_(job_fini) struct job j = { .g = g, .progress = progress };
	uint32_t count = g->index.count;
	cleanup_(vs_freep) uint32_t *others = vs_try_alloc((size_t)count + 1, sizeof(*others));
	size_t pieces;

	j.order = vs_try_alloc((size_t)count + 1, sizeof(*j.order));
	j.start = vs_try_alloc((size_t)count + 1, sizeof(*j.start));
	if (j.order == NULL || j.start == NULL || others == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u elements", count);
	if (progress != NULL)
		progress->part_items = count;
	shuffle(j.order, count, g->params.seed);
	split_order(&j, others);
	pieces = ((size_t)j.rest + PIECE - 1) / PIECE;
	run(&j, j.upper, insert_upper);
	run(&j, pieces, find_starts);
	qsort(j.start, j.rest, sizeof(*j.start), compare_starts);
	run(&j, pieces, insert_rest);
	return 0;
}

static int draw_levels(struct hnsw_graph *g, struct vs_err *err)
{
	cleanup_(vs_freep) uint8_t *levels = vs_try_alloc((size_t)g->index.count + 1, 1);

	if (levels == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u levels", g->index.count);
	for (uint32_t id = 0; id < g->index.count; id++)
		levels[id] = (uint8_t)hnsw_draw_level(g->params.seed, id, g->index.header.mult);
	return hnsw_graph_layout(g, levels, err);
}

int hnsw_graph_link(struct hnsw_graph *g, struct vs_progress *progress,
		    const struct hnsw_index **out, struct vs_err *err)
{
	int r;

	assert(!g->is_linked);
	g->index.header.count = g->index.count;
	r = draw_levels(g, err);
	if (r == 0)
		r = hnsw_graph_prepare(g, true, err);
	if (r == 0)
		r = insert_all(g, progress, err);
	if (r == 0)
		r = hnsw_graph_connect(g, err);
	hnsw_graph_done(g);
	if (r < 0)
		return r;
	g->is_linked = true;
	*out = &g->index;
	return 0;
}

const struct hnsw_index *hnsw_graph_index(const struct hnsw_graph *g)
{
	return &g->index;
}
