/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking through one level, search by descending through all of them, and the exact search
 *
 * Links come from files: each is compared with the number of elements before it is followed.
 */

#include "hnsw/graph.h"

void hnsw_searcher_freep(struct hnsw_searcher **s)
{
	if (*s == NULL)
		return;
	free((*s)->seen);
	free((*s)->open);
	free((*s)->best);
	free((*s)->links);
	free(*s);
	*s = NULL;
}

int hnsw_searcher_new(const struct hnsw_index *index, enum hnsw_space space,
		      struct hnsw_searcher **out, struct vs_err *err)
{
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = vs_alloc(sizeof(*s));
	size_t count = VS_MAX(index->count, 1u);
	size_t links = (size_t)VS_MAX(index->header.max_m, index->header.max_m0);

	s->index = index;
	s->space = space;
	s->kernels = hnsw_kernels_best();
	s->seen = vs_try_alloc(count, sizeof(*s->seen));
	s->open = vs_try_alloc(count, sizeof(*s->open));
	s->best = vs_try_alloc(count, sizeof(*s->best));
	s->links = vs_try_alloc(links, sizeof(*s->links));
	if (s->seen == NULL || s->open == NULL || s->best == NULL || s->links == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory to search %zu elements", count);
	*out = VS_TAKE(s);
	return 0;
}

/* ---- one level ---- */

/* Copy the links that lead to elements to s->links. */
static uint32_t read_links(struct hnsw_searcher *s, uint32_t id, uint32_t level)
{
	struct hnsw_links links;
	uint32_t count = 0;

	if (s->locks != NULL)
		hnsw_lock(s->locks, id);
	links = hnsw_links(s->index, id, level);
	for (uint32_t i = 0; i < links.count; i++) {
		uint32_t to = hnsw_link(&links, i);

		if (to < s->index->count)
			s->links[count++] = to;
	}
	if (s->locks != NULL)
		hnsw_unlock(s->locks, id);
	return count;
}

void hnsw_begin_walk(struct hnsw_searcher *s)
{
	if (++s->walk == 0) {
		memset(s->seen, 0, s->index->count * sizeof(*s->seen));
		s->walk = 1;
	}
	s->open_count = 0;
	s->best_count = 0;
}

uint32_t hnsw_unseen_links(struct hnsw_searcher *s, uint32_t id, uint32_t level,
			   const struct hnsw_codes *codes)
{
	uint32_t count = read_links(s, id, level);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t to = s->links[i];

		if (s->seen[to] == s->walk)
			continue;
		s->seen[to] = s->walk;
		if (codes != NULL)
			__builtin_prefetch(codes->code + (size_t)to * codes->stride);
		else
			__builtin_prefetch(hnsw_vector(s->index, to));
		s->links[kept++] = to;
	}
	return kept;
}

static void consider(struct hnsw_searcher *s, struct hnsw_hit hit, size_t ef, bool with_deleted)
{
	if (s->best_count >= ef && !hnsw_is_farther(s->best[0], hit))
		return;
	hnsw_heap_push(s->open, &s->open_count, (struct hnsw_hit){ -hit.distance, hit.id });
	if (with_deleted || !hnsw_is_deleted(s->index, hit.id))
		hnsw_heap_offer(s->best, &s->best_count, ef, hit);
}

void hnsw_walk(struct hnsw_searcher *s, const float *query, struct hnsw_hit at, uint32_t level,
	       size_t ef, bool with_deleted)
{
	uint32_t count;

	hnsw_begin_walk(s);
	s->seen[at.id] = s->walk;
	consider(s, at, ef, with_deleted);
	while (s->open_count > 0) {
		struct hnsw_hit next = hnsw_heap_pop(s->open, &s->open_count);

		if (s->best_count >= ef && -next.distance > s->best[0].distance)
			break;
		count = hnsw_unseen_links(s, next.id, level, NULL);
		for (uint32_t i = 0; i < count; i++) {
			struct hnsw_hit hit = { hnsw_to(s, query, s->links[i]), s->links[i] };

			consider(s, hit, ef, with_deleted);
		}
	}
}

/* Go to the nearest of the links; false where none is nearer. */
static bool step_nearer(struct hnsw_searcher *s, const float *query, uint32_t level,
			struct hnsw_hit *at)
{
	uint32_t count = read_links(s, at->id, level);
	bool is_nearer = false;

	for (uint32_t i = 0; i < count; i++) {
		float distance = hnsw_to(s, query, s->links[i]);

		if (distance < at->distance) {
			*at = (struct hnsw_hit){ distance, s->links[i] };
			is_nearer = true;
		}
	}
	return is_nearer;
}

struct hnsw_hit hnsw_descend(struct hnsw_searcher *s, const float *query, struct hnsw_hit at,
			     uint32_t level, uint32_t to)
{
	/* Each step is nearer or the last on its level, so this ends. */
	for (; level > to; level--)
		while (step_nearer(s, query, level, &at))
			;
	return at;
}

size_t hnsw_search(struct hnsw_searcher *s, const float *query, size_t k, size_t ef,
		   struct hnsw_hit *hits)
{
	uint32_t entry = s->index->header.entry;
	struct hnsw_hit at;

	if (entry >= s->index->count || k == 0)
		return 0;
	ef = VS_MIN(VS_MAX(ef, k), (size_t)s->index->count);
	at = (struct hnsw_hit){ hnsw_to(s, query, entry), entry };
	at = hnsw_descend(s, query, at, hnsw_levels(s->index, entry), 0);
	hnsw_walk(s, query, at, 0, ef, false);
	while (s->best_count > k)
		(void)hnsw_heap_pop(s->best, &s->best_count);
	hnsw_heap_sort(s->best, s->best_count);
	if (s->best_count > 0)
		memcpy(hits, s->best, s->best_count * sizeof(*hits));
	return s->best_count;
}

/* ---- every element ---- */

size_t hnsw_search_exact(const struct hnsw_index *index, enum hnsw_space space, const float *query,
			 size_t k, bool (*allow)(void *ctx, uint32_t id), void *ctx,
			 struct hnsw_hit *hits)
{
	const struct hnsw_kernels *kernels = hnsw_kernels_best();
	size_t count = 0;

	for (uint32_t id = 0; id < index->count; id++) {
		struct hnsw_hit hit = { .id = id };

		if (hnsw_is_deleted(index, id) || (allow != NULL && !allow(ctx, id)))
			continue;
		hit.distance = hnsw_far(
			hnsw_distance(kernels, space, query, hnsw_vector(index, id), index->dim));
		hnsw_heap_offer(hits, &count, k, hit);
	}
	hnsw_heap_sort(hits, count);
	return count;
}
