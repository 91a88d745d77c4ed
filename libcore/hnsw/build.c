/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inserting elements into the graph: Malkov & Yashunin, algorithms 1, 2 and 4
 *
 * Levels are drawn before anything is inserted, so the entry point never changes, and no lock is
 * needed for it. The elements follow in a shuffled order: vectors often come sorted by topic, and a
 * graph grown one topic after the other finds its way between them badly.
 */

#include "hnsw/graph.h"

#include <sched.h>

/*
 * An index that is rebuilt is read far more often than built, so more is spent on each element than
 * the server spends on one that a client waits for.
 */
#define BUILD_EF_LEAST 128u

/* Scratch of the choice of neighbours. */
struct hnsw_select {
	struct hnsw_hit *candidates; /* owned */
	size_t count, cap;
	uint32_t *chosen; /* owned */
	uint32_t chosen_count;
};

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
	for (uint32_t i = 0; i < g->index.dim; i++)
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

int hnsw_graph_prepare(struct hnsw_graph *g, struct vs_err *err)
{
	size_t lists = (size_t)g->index.header.max_m0 + 1;
	int r;

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

/* ---- links ---- */

void hnsw_set_links(struct hnsw_graph *g, uint32_t id, uint32_t level, const uint32_t *links,
		    uint32_t count)
{
	uint64_t off = hnsw_links_off(&g->index, id, level);
	unsigned char *list = (level == 0 ? g->level0 : g->links) + off;

	list[0] = (unsigned char)count;
	list[1] = (unsigned char)(count >> 8);
	for (uint32_t i = 0; i < count; i++)
		store_le32(list + 4 + (size_t)4 * i, links[i]);
}

static float between(const struct hnsw_graph *g, uint32_t a, uint32_t b)
{
	return hnsw_far(hnsw_distance(g->kernels, g->params.space, hnsw_vector(&g->index, a),
				      hnsw_vector(&g->index, b), g->index.dim));
}

/*
 * Choose up to @limit of the candidates: the nearest, and then each that is nearer to the element
 * than to all chosen before, so that links go in different directions. Places that stay free are
 * filled with the nearest of the others where @fill says so.
 */
static void choose(const struct hnsw_graph *g, struct hnsw_select *s, uint32_t limit, bool fill)
{
	uint32_t passed = 0;

	hnsw_heap_sort(s->candidates, s->count);
	s->chosen_count = 0;
	for (size_t i = 0; i < s->count && s->chosen_count < limit; i++) {
		struct hnsw_hit c = s->candidates[i];
		bool is_apart = true;

		for (uint32_t k = 0; k < s->chosen_count && is_apart; k++)
			is_apart = between(g, c.id, s->chosen[k]) >= c.distance;
		if (is_apart)
			s->chosen[s->chosen_count++] = c.id;
		else
			s->candidates[passed++] = c;
	}
	for (uint32_t i = 0; fill && i < passed && s->chosen_count < limit; i++)
		s->chosen[s->chosen_count++] = s->candidates[i].id;
}

static uint32_t list_max(const struct hnsw_graph *g, uint32_t level)
{
	return (uint32_t)(level == 0 ? g->index.header.max_m0 : g->index.header.max_m);
}

/* Link @from to @to; where its list is full, the choice is made again. */
static void link_back(struct hnsw_graph *g, struct hnsw_select *s, uint32_t from, uint32_t to,
		      uint32_t level)
{
	struct hnsw_links links = hnsw_links(&g->index, from, level);
	uint32_t max = list_max(g, level);

	s->count = 0;
	for (uint32_t i = 0; i < links.count; i++) {
		s->chosen[i] = hnsw_link(&links, i);
		if (s->chosen[i] == to)
			return;
	}
	if (links.count < max) {
		s->chosen[links.count] = to;
		hnsw_set_links(g, from, level, s->chosen, links.count + 1);
		return;
	}
	for (uint32_t i = 0; i < links.count; i++)
		hnsw_heap_push(s->candidates, &s->count,
			       (struct hnsw_hit){ between(g, from, s->chosen[i]), s->chosen[i] });
	hnsw_heap_push(s->candidates, &s->count, (struct hnsw_hit){ between(g, from, to), to });
	choose(g, s, max, false);
	hnsw_set_links(g, from, level, s->chosen, s->chosen_count);
}

static void locked_link_back(struct hnsw_graph *g, struct hnsw_select *s, uint32_t from,
			     uint32_t to, uint32_t level)
{
	bool has_locks = g->threads > 1;

	if (has_locks)
		hnsw_lock(&g->locks, from);
	link_back(g, s, from, to, level);
	if (has_locks)
		hnsw_unlock(&g->locks, from);
}

/* Give @id links to the best of what the walk on @level found; returns the nearest. */
static struct hnsw_hit link_level(struct hnsw_graph *g, unsigned worker, uint32_t id,
				  uint32_t level, struct hnsw_hit at)
{
	struct hnsw_searcher *w = g->searchers[worker];
	struct hnsw_select *s = &g->selects[worker];
	bool has_locks = g->threads > 1;

	hnsw_walk(w, hnsw_vector(&g->index, id), at, level, g->build_ef, true);
	s->count = 0;
	for (size_t i = 0; i < w->best_count; i++)
		if (w->best[i].id != id)
			hnsw_heap_push(s->candidates, &s->count, w->best[i]);
	if (s->count == 0)
		return at;
	at = s->candidates[0];
	for (size_t i = 1; i < s->count; i++)
		if (hnsw_is_farther(at, s->candidates[i]))
			at = s->candidates[i];
	choose(g, s, (uint32_t)g->index.header.max_m, true);
	if (has_locks)
		hnsw_lock(&g->locks, id);
	hnsw_set_links(g, id, level, s->chosen, s->chosen_count);
	if (has_locks)
		hnsw_unlock(&g->locks, id);
	return at;
}

/* Link all that @id links to on @level back to it: from now on it is found there. */
static void publish_level(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t level)
{
	uint32_t *mine = g->searchers[worker]->links;
	bool has_locks = g->threads > 1;
	struct hnsw_links links;

	if (has_locks)
		hnsw_lock(&g->locks, id);
	links = hnsw_links(&g->index, id, level);
	for (uint32_t i = 0; i < links.count; i++)
		mine[i] = hnsw_link(&links, i);
	if (has_locks)
		hnsw_unlock(&g->locks, id);
	for (uint32_t i = 0; i < links.count; i++)
		locked_link_back(g, &g->selects[worker], mine[i], id, level);
}

/*
 * Links are published from below: who finds the element on an upper level goes on from it downwards,
 * and would be stuck where it is not linked yet.
 */
void hnsw_graph_insert(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t bottom)
{
	struct hnsw_searcher *w = g->searchers[worker];
	uint32_t entry = g->index.header.entry;
	uint32_t levels = hnsw_levels(&g->index, id);
	uint32_t highest = hnsw_levels(&g->index, entry);
	uint32_t top = VS_MIN(levels, highest);
	const float *vector = hnsw_vector(&g->index, id);
	struct hnsw_hit at = { hnsw_to(w, vector, entry), entry };

	at = hnsw_descend(w, vector, at, highest, levels);
	for (uint32_t level = top + 1; level > bottom; level--)
		at = link_level(g, worker, id, level - 1, at);
	for (uint32_t level = bottom; level <= top; level++)
		publish_level(g, worker, id, level);
}

/* ---- all of it ---- */

struct job {
	struct hnsw_graph *g;
	uint32_t *order; /* owned */
	struct vs_progress *progress;
};

static void job_fini(struct job *j)
{
	free(j->order);
}

static void insert_one(void *ctx, unsigned worker, size_t i)
{
	struct job *j = ctx;

	if (j->order[i] != j->g->index.header.entry)
		hnsw_graph_insert(j->g, worker, j->order[i], 0);
	if (j->progress != NULL) {
		atomic_fetch_add(&j->progress->items, 1);
		atomic_fetch_add(&j->progress->part_items_done, 1);
	}
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

static int insert_all(struct hnsw_graph *g, struct vs_progress *progress, struct vs_err *err)
{
	cleanup_(job_fini) struct job j = { .g = g, .progress = progress };
	uint32_t count = g->index.count;

	j.order = vs_try_alloc((size_t)count + 1, sizeof(*j.order));
	if (j.order == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u elements", count);
	if (progress != NULL)
		progress->part_items = count;
	shuffle(j.order, count, g->params.seed);
	if (g->threads > 1)
		pool_run(g->params.pool, count, insert_one, &j);
	else
		for (uint32_t i = 0; i < count; i++)
			insert_one(&j, 0, i);
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
		r = hnsw_graph_prepare(g, err);
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
