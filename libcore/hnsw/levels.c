/* SPDX-License-Identifier: Apache-2.0 */

/* Which levels elements have, and the layout of the upper lists that follows from it. */

#include "hnsw/graph.h"

uint32_t hnsw_draw_level(uint64_t seed, uint32_t id, double mult)
{
	uint64_t z = seed + (uint64_t)(id + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
	double level;

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	/* 53 bits, never 0. */
	level = -log(((double)(z >> 11) + 1) * 0x1p-53) * mult;
	return level < HNSW_LEVEL_MAX ? (uint32_t)level : HNSW_LEVEL_MAX;
}

int hnsw_graph_layout(struct hnsw_graph *g, const uint8_t *levels, struct vs_err *err)
{
	struct hnsw_index *x = &g->index;
	uint64_t size = 0;

	for (uint32_t id = 0; id < x->count; id++)
		size += 4 + (uint64_t)levels[id] * x->list_size;
	/* One byte more, so that an empty file has an address too. */
	g->links = size < SIZE_MAX ? vs_try_alloc((size_t)size + 1, 1) : NULL;
	if (g->links == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu64 " bytes of links", size);
	g->links_len = 0;
	x->header.max_level = -1;
	x->header.entry = HNSW_NO_ENTRY;
	for (uint32_t id = 0; id < x->count; id++) {
		store_le32(g->links + g->links_len, (uint32_t)(levels[id] * x->list_size));
		g->links_len += 4 + levels[id] * x->list_size;
		if (levels[id] > x->header.max_level) {
			x->header.max_level = levels[id];
			x->header.entry = id;
		}
	}
	return hnsw_walk_links(slice_of(g->links, g->links_len), x, err);
}
