/* SPDX-License-Identifier: Apache-2.0 */

/* Checking each element by itself. */

#include "hnsw/checker.h"

struct elements {
	struct hnsw_checker *c;
	struct hnsw_labels labels;
	uint32_t *stamp; /* owned; the list that linked to the element last */
	uint32_t list;   /* number of the list under the check */
};

static void elements_fini(struct elements *e)
{
	hnsw_labels_fini(&e->labels);
	free(e->stamp);
}

static int report(struct elements *e, struct hnsw_finding f, enum hnsw_finding_kind kind)
{
	f.kind = kind;
	return hnsw_report(e->c, &f);
}

/* ---- links ---- */

/* One link; @f has the place. Returns 0 whatever was found, or the callback's status. */
static int check_link(struct elements *e, struct hnsw_finding f, uint32_t to)
{
	const struct hnsw_index *x = e->c->index;

	f.actual = to;
	if (to >= x->header.count || to >= x->count) {
		/* Where records are missing, links to them are no damage of their own. */
		f.expected = x->header.count;
		return to >= x->header.count ? report(e, f, HNSW_LINK_RANGE) : 0;
	}
	if (to == f.element)
		return report(e, f, HNSW_LINK_SELF);
	if (e->stamp[to] == e->list)
		return report(e, f, HNSW_LINK_DUPLICATE);
	e->stamp[to] = e->list;
	if (f.level == 0) {
		e->c->linked[to]++;
		return 0;
	}
	if (to < x->links_count && hnsw_levels(x, to) < f.level)
		return report(e, f, HNSW_LINK_LEVEL);
	return 0;
}

static int check_list(struct elements *e, uint32_t id, uint32_t level)
{
	const struct hnsw_index *x = e->c->index;
	struct hnsw_links links = hnsw_links(x, id, level);
	struct hnsw_finding f = {
		.file = level == 0 ? HNSW_LEVEL0 : HNSW_LINKS,
		.off = hnsw_links_off(x, id, level),
		.element = id,
		.label = hnsw_label(x, id),
		.level = level,
	};
	uint32_t high = (uint32_t)links.ptr[-2] | (uint32_t)links.ptr[-1] << 8;
	uint64_t begin = f.off + 4;
	int r = 0;

	f.actual = high;
	if ((level == 0 ? high & ~1u : high) != 0)
		r = report(e, f, HNSW_FLAGS);
	f.expected = links.max;
	f.actual = links.stored_count;
	if (r == 0 && links.stored_count > links.max)
		r = report(e, f, HNSW_LINK_COUNT);
	f.expected = 0;
	if (r == 0 && level == 0 && links.stored_count == 0 && x->count > 1)
		r = report(e, f, HNSW_NO_LINKS);
	if (++e->list == 0) {
		memset(e->stamp, 0, x->count * sizeof(*e->stamp));
		e->list = 1;
	}
	for (uint32_t i = 0; r == 0 && i < links.count; i++) {
		f.off = begin + (uint64_t)4 * i;
		r = check_link(e, f, hnsw_link(&links, i));
	}
	return r;
}

static int check_lists(struct elements *e, uint32_t id)
{
	struct hnsw_stats *stats = e->c->stats;
	uint32_t levels = hnsw_levels(e->c->index, id);
	uint32_t out = hnsw_links(e->c->index, id, 0).count;
	int r = 0;

	stats->links0 += out;
	stats->out_min = VS_MIN(stats->out_min, out);
	stats->out_max = VS_MAX(stats->out_max, out);
	stats->max_level = VS_MAX(stats->max_level, levels);
	stats->per_level[levels]++;
	for (uint32_t level = 0; r == 0 && level <= levels; level++)
		r = check_list(e, id, level);
	return r;
}

/* ---- label ---- */

static int check_label(struct elements *e, uint32_t id)
{
	const struct hnsw_index *x = e->c->index;
	uint64_t max = e->c->request->label_max;
	struct hnsw_finding f = {
		.file = HNSW_LEVEL0,
		.off = hnsw_record_off(x, id) + x->label_offset,
		.element = id,
		.label = hnsw_label(x, id),
		.actual = hnsw_label(x, id),
	};
	uint32_t earlier = 0;
	int r;

	e->c->stats->label_highest = VS_MAX(e->c->stats->label_highest, f.label);
	if (f.label == 0 || (max > 0 && f.label > max)) {
		f.expected = max;
		r = report(e, f, HNSW_LABEL_RANGE);
		if (r < 0)
			return r;
	}
	r = hnsw_labels_add(&e->labels, f.label, id, &earlier, e->c->err);
	if (r != 0)
		return r < 0 ? r : 0;
	f.expected = earlier;
	return report(e, f, HNSW_LABEL_DUPLICATE);
}

/* ---- values ---- */

/* The first position whose exponent is all ones; @dim where there is none. */
static uint32_t find_not_finite(const float *v, uint32_t dim)
{
	uint32_t i;

	for (i = 0; i < dim; i++)
		if (!isfinite(v[i]))
			break;
	return i;
}

static int check_length(struct elements *e, uint32_t id, double norm)
{
	const struct hnsw_index *x = e->c->index;
	float length = hnsw_length(x, id);
	struct hnsw_finding f = {
		.file = HNSW_LENGTH,
		.off = (uint64_t)4 * id,
		.element = id,
		.label = hnsw_label(x, id),
		.value = length,
	};

	if (x->length.len / 4 <= id ||
	    (isfinite(length) && (length > 0 || (length == 0 && norm < 0.5))))
		return 0;
	return report(e, f, HNSW_LENGTH_VALUE);
}

static int check_values(struct elements *e, uint32_t id)
{
	const struct hnsw_index *x = e->c->index;
	uint32_t bad = find_not_finite(hnsw_vector(x, id), x->dim);
	struct hnsw_finding f = {
		.file = HNSW_LEVEL0,
		.off = hnsw_record_off(x, id) + x->vector_offset + (uint64_t)4 * bad,
		.element = id,
		.label = hnsw_label(x, id),
		.expected = bad,
	};
	int r;

	if (bad < x->dim) {
		f.value = hnsw_vector(x, id)[bad];
		return report(e, f, HNSW_VALUE_NOT_FINITE);
	}
	if (e->c->request->space != HNSW_COSINE)
		return 0;
	f.value = hnsw_norm(hnsw_vector(x, id), x->dim);
	f.off = hnsw_record_off(x, id) + x->vector_offset;
	f.expected = 1;
	if (f.value != 0 && fabs(f.value - 1) > 1e-3) {
		r = report(e, f, HNSW_NORM);
		if (r < 0)
			return r;
	}
	return check_length(e, id, f.value);
}

static int check_piece(struct elements *e, uint32_t from)
{
	const struct hnsw_index *x = e->c->index;
	uint64_t end = VS_MIN((uint64_t)from + HNSW_CLEAN_PIECE, (uint64_t)x->count);
	int r = 0;

	for (uint64_t id = from; r == 0 && id < end; id++) {
		e->c->stats->deleted += hnsw_is_deleted(x, (uint32_t)id);
		r = check_lists(e, (uint32_t)id);
		if (r == 0)
			r = check_label(e, (uint32_t)id);
		if (r == 0)
			r = check_values(e, (uint32_t)id);
	}
	return r;
}

int hnsw_check_elements(struct hnsw_checker *c)
{
	const struct hnsw_index *x = c->index;
	size_t pieces = (size_t)x->count / HNSW_CLEAN_PIECE + 1;
	cleanup_(vs_freep) bool *is_clean = vs_try_alloc(pieces, sizeof(*is_clean));
	cleanup_(elements_fini) struct elements e = { .c = c };
	int r;

	if (is_clean == NULL)
		return vs_fail(c->err, VS_ENOMEM, "no memory to check %u elements", x->count);
	c->stats->out_min = x->count > 0 ? UINT32_MAX : 0;
	r = hnsw_find_clean(c, is_clean);
	for (size_t i = 0; r == 0 && i < pieces; i++) {
		if (is_clean[i])
			continue;
		if (e.stamp == NULL)
			e.stamp = vs_try_alloc((size_t)x->count + 1, sizeof(*e.stamp));
		if (e.stamp == NULL)
			return vs_fail(c->err, VS_ENOMEM, "no memory to check %u elements",
				       x->count);
		r = check_piece(&e, (uint32_t)(i * HNSW_CLEAN_PIECE));
	}
	return r;
}
