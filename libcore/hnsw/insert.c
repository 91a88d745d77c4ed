/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inserting one element: Malkov & Yashunin, algorithms 1, 2 and 4
 *
 * What lies near is looked for with the codes of codes.c. Where the candidates lie closer together
 * than codes can tell apart, the element is marked, and everything about it is measured exactly.
 */

#include "hnsw/graph.h"

/* The nearest candidates have to be spread over this many times the error of a code. */
#define TELLS_APART 4

/* Of a candidate whose links have been looked at; there are fewer elements than that. */
#define EXPANDED UINT32_C(0x80000000)
_Static_assert(HNSW_BUILD_MAX <= EXPANDED, "a bit of the id is free");

static float measure(const struct hnsw_graph *g, uint32_t a, uint32_t b)
{
	return hnsw_far(hnsw_distance(g->kernels, g->params.space, hnsw_vector(&g->index, a),
				      hnsw_vector(&g->index, b), g->index.dim));
}

static float between(const struct hnsw_graph *g, const struct hnsw_codes *codes, uint32_t a,
		     uint32_t b)
{
	return codes ? hnsw_code_distance(codes, a, b) : measure(g, a, b);
}

/* The codes, where they tell the neighbours of this element apart; else NULL. */
static const struct hnsw_codes *codes_for(const struct hnsw_graph *g, uint32_t id)
{
	bool is_close = !g->codes.is_usable ||
			atomic_load_explicit(&g->is_close[id], memory_order_relaxed) != 0;

	return is_close ? NULL : &g->codes;
}

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

/* ---- the walk ---- */

/* Put @hit in its place among the sorted candidates; returns the place, or @s->count. */
static size_t place(struct hnsw_select *s, size_t ef, struct hnsw_hit hit)
{
	size_t from = 0, to = s->count;

	if (s->count == ef && !(hit.distance < s->candidates[ef - 1].distance))
		return s->count;
	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (s->candidates[mid].distance <= hit.distance)
			from = mid + 1;
		else
			to = mid;
	}
	s->count += s->count < ef;
	memmove(s->candidates + from + 1, s->candidates + from,
		(s->count - 1 - from) * sizeof(*s->candidates));
	s->candidates[from] = hit;
	return from;
}

/*
 * As hnsw_walk(), with one sorted array in place of two heaps; it is that of @s, and @id itself is not
 * in it.
 */
static void walk(struct hnsw_graph *g, unsigned worker, const struct hnsw_codes *codes, uint32_t id,
		 struct hnsw_hit at, uint32_t level)
{
	struct hnsw_searcher *w = g->searchers[worker];
	struct hnsw_select *s = &g->selects[worker];
	size_t next = 0;

	hnsw_begin_walk(w);
	s->count = 0;
	w->seen[id] = w->walk;
	w->seen[at.id] = w->walk;
	at.distance = between(g, codes, id, at.id);
	(void)place(s, g->build_ef, at);
	while (next < s->count) {
		struct hnsw_hit *c = &s->candidates[next];
		size_t lowest = ++next;
		uint32_t count;

		if (c->id & EXPANDED)
			continue;
		count = hnsw_unseen_links(w, c->id, level, codes);
		c->id |= EXPANDED;
		for (uint32_t i = 0; i < count; i++) {
			uint32_t to = w->links[i];
			struct hnsw_hit hit = { between(g, codes, id, to), to };
			size_t at_place = place(s, g->build_ef, hit);

			lowest = VS_MIN(lowest, at_place);
		}
		next = lowest;
	}
	for (size_t i = 0; i < s->count; i++)
		s->candidates[i].id &= ~EXPANDED;
	/* Where the walk began at the element itself, which a repair may do. */
	if (at.id == id) {
		for (size_t i = 0, to = 0, count = s->count; i < count; i++) {
			if (s->candidates[i].id == id)
				s->count--;
			else
				s->candidates[to++] = s->candidates[i];
		}
	}
}

/* Do the candidates that will be chosen from lie further apart than codes may be wrong? */
static bool tells_apart(const struct hnsw_graph *g, const struct hnsw_select *s, uint32_t id)
{
	size_t last = VS_MIN(s->count, (size_t)g->index.header.max_m);
	float spread;

	if (last < 2)
		return true;
	spread = s->candidates[last - 1].distance - s->candidates[0].distance;
	return spread >= TELLS_APART * g->codes.of[id].error;
}

/* ---- the choice ---- */

/*
 * Choose up to @limit of the candidates, which are sorted: the nearest, and then each that is nearer
 * to the element than to all chosen before, so that links go in different directions.
 */
static void choose(const struct hnsw_graph *g, struct hnsw_select *s,
		   const struct hnsw_codes *codes, uint32_t limit)
{
	s->chosen_count = 0;
	for (size_t i = 0; i < s->count && s->chosen_count < limit; i++) {
		struct hnsw_hit c = s->candidates[i];
		bool is_apart = true;

		for (uint32_t k = 0; k < s->chosen_count && is_apart; k++)
			is_apart = between(g, codes, c.id, s->chosen[k]) >= c.distance;
		if (is_apart)
			s->chosen[s->chosen_count++] = c.id;
	}
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
	const struct hnsw_codes *codes;

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
	codes = codes_for(g, to) ? codes_for(g, from) : NULL;
	s->chosen[links.count] = to;
	s->count = 0;
	for (uint32_t i = 0; i <= links.count; i++)
		hnsw_heap_push(
			s->candidates, &s->count,
			(struct hnsw_hit){ between(g, codes, from, s->chosen[i]), s->chosen[i] });
	hnsw_heap_sort(s->candidates, s->count);
	choose(g, s, codes, max);
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
	struct hnsw_select *s = &g->selects[worker];
	const struct hnsw_codes *codes = codes_for(g, id);
	bool has_locks = g->threads > 1;

	walk(g, worker, codes, id, at, level);
	if (codes && !tells_apart(g, s, id)) {
		atomic_store_explicit(&g->is_close[id], 1, memory_order_relaxed);
		codes = NULL;
		walk(g, worker, codes, id, at, level);
	}
	if (s->count == 0)
		return at;
	at = s->candidates[0];
	choose(g, s, codes, (uint32_t)g->index.header.max_m);
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
void hnsw_graph_insert_at(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t top,
			  uint32_t bottom, struct hnsw_hit at)
{
	for (uint32_t level = top + 1; level > bottom; level--)
		at = link_level(g, worker, id, level - 1, at);
	for (uint32_t level = bottom; level <= top; level++)
		publish_level(g, worker, id, level);
}

struct hnsw_hit hnsw_graph_descend(struct hnsw_graph *g, unsigned worker, uint32_t id,
				   struct hnsw_hit at, uint32_t level, uint32_t to)
{
	struct hnsw_searcher *w = g->searchers[worker];

	w->codes = g->codes.is_usable ? &g->codes : NULL;
	w->query_id = id;
	at.distance = hnsw_to(w, hnsw_vector(&g->index, id), at.id);
	at = hnsw_descend(w, hnsw_vector(&g->index, id), at, level, to);
	w->codes = NULL;
	return at;
}

void hnsw_graph_insert(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t bottom)
{
	struct hnsw_hit at = { .id = g->index.header.entry };
	uint32_t levels = hnsw_levels(&g->index, id);
	uint32_t highest = hnsw_levels(&g->index, at.id);

	at = hnsw_graph_descend(g, worker, id, at, highest, levels);
	hnsw_graph_insert_at(g, worker, id, VS_MIN(levels, highest), bottom, at);
}
