/* SPDX-License-Identifier: Apache-2.0 */

/* Checking what leads where. */

#include "hnsw/checker.h"

static int check_top(struct hnsw_checker *c)
{
	const struct hnsw_index *x = c->index;
	const struct hnsw_header *h = &x->header;
	struct hnsw_finding f = {
		.file = HNSW_HEADER,
		.off = HNSW_AT_ENTRY,
		.element = h->entry,
		.expected = c->stats->max_level,
	};
	int r = 0;

	if (h->entry >= x->count)
		return 0;
	f.label = hnsw_label(x, h->entry);
	if (hnsw_is_deleted(x, h->entry)) {
		f.kind = HNSW_ENTRY_DELETED;
		r = hnsw_report(c, &f);
	}
	/* Highest of what? Only known where all lists are. */
	if (r < 0 || x->links_count < x->header.count)
		return r;
	f.actual = hnsw_levels(x, h->entry);
	if (f.actual != f.expected) {
		f.kind = HNSW_ENTRY_LEVEL;
		r = hnsw_report(c, &f);
	}
	if (r == 0 && h->max_level != (int32_t)c->stats->max_level && h->max_level >= 0 &&
	    h->max_level <= (int32_t)HNSW_LEVEL_MAX) {
		f.kind = HNSW_HEADER_FIELD;
		f.field = "max_level";
		f.off = HNSW_AT_MAX_LEVEL;
		f.element = HNSW_NO_ELEMENT;
		f.label = 0;
		f.actual = (uint64_t)h->max_level;
		r = hnsw_report(c, &f);
	}
	return r;
}

static int report_unreached(struct hnsw_checker *c, const uint64_t *bits)
{
	const struct hnsw_index *x = c->index;
	uint64_t live = x->count - c->stats->deleted;
	/* Five of 38 were seen in a healthy index, and 16 of 50,000. */
	uint64_t most = 8 + live / 100;
	uint64_t cut_off = 0;
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < x->count; id++) {
		const struct hnsw_finding f = {
			.kind = HNSW_UNREACHABLE,
			.file = HNSW_LEVEL0,
			.off = hnsw_record_off(x, id),
			.element = id,
			.label = hnsw_label(x, id),
		};

		if (hnsw_bit(bits, id) || hnsw_is_deleted(x, id))
			continue;
		c->stats->unreachable++;
		r = hnsw_report(c, &f);
	}
	if (r == 0 && c->stats->unreachable > most)
		r = hnsw_count_cut_off(c, bits, &cut_off);
	if (r == 0 && cut_off > most) {
		const struct hnsw_finding f = {
			.kind = HNSW_CUT_OFF,
			.file = HNSW_LEVEL0,
			.element = HNSW_NO_ELEMENT,
			.expected = most,
			.actual = cut_off,
		};

		r = hnsw_report(c, &f);
	}
	return r;
}

int hnsw_check_graph(struct hnsw_checker *c)
{
	const struct hnsw_index *x = c->index;
	cleanup_(vs_freep) uint64_t *bits = vs_try_alloc((size_t)x->count / 64 + 1, sizeof(*bits));
	cleanup_(vs_freep) uint32_t *queue = vs_try_alloc((size_t)x->count + 1, sizeof(*queue));
	int r;

	if (bits == NULL || queue == NULL)
		return vs_fail(c->err, VS_ENOMEM, "no memory to follow %u elements", x->count);
	for (uint32_t id = 0; id < x->count; id++) {
		c->stats->in_max = VS_MAX(c->stats->in_max, c->linked[id]);
		c->stats->no_in += c->linked[id] == 0;
	}
	r = check_top(c);
	/* Without an entry point nothing can be said to be cut off from it. */
	if (r < 0 || x->header.entry >= x->count)
		return r;
	(void)hnsw_reach(x, x->header.entry, bits, queue);
	return report_unreached(c, bits);
}
