/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the entry point leads to on level 0, and links to what it does not
 *
 * The choice of neighbours may drop the last link to an element. Such elements would never be
 * found, so each gets a link from the nearest element that is reached: in a free place of its list,
 * or in that of the farthest link whose end stays linked from elsewhere.
 */

#include "hnsw/graph.h"

#define AHEAD 8u
#define ROUNDS 4u /* of finding and linking; one is nearly always enough */

uint32_t hnsw_reach(const struct hnsw_index *x, uint32_t from, uint64_t *bits, uint32_t *queue)
{
	uint32_t head = 0;
	uint32_t tail = 0;

	if (from >= x->count || hnsw_bit(bits, from))
		return 0;
	hnsw_bit_set(bits, from);
	queue[tail++] = from;
	while (head < tail) {
		struct hnsw_links links = hnsw_links(x, queue[head++], 0);

		/* The next but few: its links are on their way when its turn comes. */
		if (head + AHEAD < tail) {
			__builtin_prefetch(hnsw_record(x, queue[head + AHEAD]));
			__builtin_prefetch(hnsw_record(x, queue[head + AHEAD]) + 64);
		}

		for (uint32_t i = 0; i < links.count; i++) {
			uint32_t to = hnsw_link(&links, i);

			if (to < x->count && !hnsw_bit(bits, to)) {
				hnsw_bit_set(bits, to);
				queue[tail++] = to;
			}
		}
	}
	return tail;
}

struct reach {
	uint64_t *bits;   /* owned */
	uint32_t *queue;  /* owned */
	uint32_t *linked; /* owned; links on level 0 to each element */
};

static void reach_fini(struct reach *r)
{
	free(r->bits);
	free(r->queue);
	free(r->linked);
}

static void count_links(const struct hnsw_index *x, uint32_t *linked)
{
	memset(linked, 0, x->count * sizeof(*linked));
	for (uint32_t id = 0; id < x->count; id++) {
		struct hnsw_links links = hnsw_links(x, id, 0);

		for (uint32_t i = 0; i < links.count; i++)
			if (hnsw_link(&links, i) < x->count)
				linked[hnsw_link(&links, i)]++;
	}
}

/* The place in @from's list for a new link; its maximum where all are needed. */
static uint32_t place_for_link(const struct hnsw_graph *g, uint32_t from, const uint32_t *linked)
{
	struct hnsw_links links = hnsw_links(&g->index, from, 0);
	uint32_t best = links.max;
	float farthest = -INFINITY;

	if (links.count < links.max)
		return links.count;
	for (uint32_t i = 0; i < links.count; i++) {
		uint32_t to = hnsw_link(&links, i);
		float d = hnsw_distance(g->kernels, g->params.space, hnsw_vector(&g->index, from),
					hnsw_vector(&g->index, to), g->index.dim);

		/* One more than needed, as the other may itself be unreached. */
		if (linked[to] > 2 && d > farthest) {
			farthest = d;
			best = i;
		}
	}
	return best;
}

static bool link_from(struct hnsw_graph *g, uint32_t from, uint32_t to, uint32_t *linked)
{
	struct hnsw_links links = hnsw_links(&g->index, from, 0);
	uint32_t place = place_for_link(g, from, linked);
	unsigned char *list = g->level0 + hnsw_record_off(&g->index, from);

	if (place == links.max)
		return false;
	if (place < links.count)
		linked[hnsw_link(&links, place)]--;
	else
		list[0] = (unsigned char)(place + 1), list[1] = (unsigned char)((place + 1) >> 8);
	store_le32(list + 4 + (size_t)4 * place, to);
	linked[to]++;
	return true;
}

/* From the nearest that the search finds, which is reached, else from the entry point's side. */
static void link_unreached(struct hnsw_graph *g, uint32_t id, struct reach *r)
{
	struct hnsw_searcher *w = g->searchers[0];
	uint32_t entry = g->index.header.entry;
	const float *vector = hnsw_vector(&g->index, id);
	struct hnsw_hit at = { hnsw_to(w, vector, entry), entry };

	at = hnsw_descend(w, vector, at, hnsw_levels(&g->index, entry), 0);
	hnsw_walk(w, vector, at, 0, g->build_ef, true);
	hnsw_heap_sort(w->best, w->best_count);
	for (size_t i = 0; i < w->best_count; i++) {
		uint32_t from = w->best[i].id;

		if (from != id && hnsw_bit(r->bits, from) && link_from(g, from, id, r->linked)) {
			(void)hnsw_reach(&g->index, id, r->bits, r->queue);
			return;
		}
	}
}

int hnsw_graph_connect(struct hnsw_graph *g, struct vs_err *err)
{
	struct hnsw_index *x = &g->index;
	size_t words = (size_t)x->count / 64 + 1;
	cleanup_(reach_fini) struct reach r = {
		.bits = vs_try_alloc(words, sizeof(*r.bits)),
		.queue = vs_try_alloc((size_t)x->count + 1, sizeof(*r.queue)),
		.linked = vs_try_alloc((size_t)x->count + 1, sizeof(*r.linked)),
	};

	if (r.bits == NULL || r.queue == NULL || r.linked == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory to follow %u elements", x->count);
	for (unsigned round = 0; round < ROUNDS; round++) {
		memset(r.bits, 0, words * sizeof(*r.bits));
		if (hnsw_reach(x, x->header.entry, r.bits, r.queue) == x->count)
			break;
		count_links(x, r.linked);
		for (uint32_t id = 0; id < x->count; id++)
			if (!hnsw_bit(r.bits, id))
				link_unreached(g, id, &r);
	}
	return 0;
}
