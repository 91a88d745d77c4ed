/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which elements are of the same index as some others? Told by the links of level 0.
 *
 * A link is made at both ends. So the links of one index agree, but where a list was full and had one
 * dropped; those of elements that come from two indexes agree by chance only. For each element the
 * odds that this is chance are reckoned over its links with those that are sure, and it is sure itself
 * when they are small enough; what has become sure counts for the next. Odds add up as logarithms.
 *
 * Time and memory grow with the number of links.
 */

#include "repair/index-private.h"

#include <math.h>

/* One wrong element in so many indexes. */
#define INDEXES_PER_ERROR 100.0

/* Of links that ought to agree, so many are taken to do so before any is looked at. */
#define AGREEING_BEFORE 20.0

struct web {
	const struct hnsw_index *x;
	const bool *is_known; /* may be made sure */
	bool *is_seed;        /* the caller's: sure without its links */
	bool *is_sure;        /* the caller's */
	uint32_t *from;       /* owned: who links to an element ... */
	uint64_t *from_end;   /* owned: ... ends here; the first begins at 0 */
	double *odds;         /* owned */
	uint32_t *waiting;    /* owned: to be looked at again */
	bool *is_waiting;     /* owned */
	size_t waiting_count;
	uint64_t agreeing, lacking; /* links between seeds: at both ends, at one only */
	double made;                /* links that a new element is given, on average */
	double lack;                /* how often one end of a link lacks it, in one index */
	double enough;              /* the odds that make an element sure */
};

static void web_fini(struct web *w)
{
	free(w->from);
	free(w->from_end);
	free(w->odds);
	free(w->waiting);
	free(w->is_waiting);
}

static int make_room(struct web *w, struct vs_err *err)
{
	size_t count = (size_t)w->x->count + 1;

	w->from_end = vs_try_alloc(count, sizeof(*w->from_end));
	w->odds = vs_try_alloc(count, sizeof(*w->odds));
	w->waiting = vs_try_alloc(count, sizeof(*w->waiting));
	w->is_waiting = vs_try_alloc(count, sizeof(*w->is_waiting));
	if (!w->from_end || !w->odds || !w->waiting || !w->is_waiting)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " elements", w->x->count);
	return 0;
}

/* ---- links ---- */

/* The other end of a link on level 0; UINT32_MAX: of none. */
static uint32_t link_of(const struct web *w, const struct hnsw_links *links, uint32_t id,
			uint32_t i)
{
	uint32_t to = hnsw_link(links, i);

	return to < w->x->count && to != id ? to : UINT32_MAX;
}

/* Where those that link to @id begin in the list; they end at from_end[id]. */
static uint64_t from_begin(const struct web *w, uint32_t id)
{
	return id > 0 ? w->from_end[id - 1] : 0;
}

static int list_links(struct web *w, struct vs_err *err)
{
	uint64_t count = 0;

	for (uint32_t id = 0; id < w->x->count; id++) {
		struct hnsw_links links = hnsw_links(w->x, id, 0);

		for (uint32_t i = 0; i < links.count; i++) {
			uint32_t to = link_of(w, &links, id, i);

			if (to != UINT32_MAX)
				w->from_end[to + 1]++;
		}
	}
	/* Where each begins, for now. */
	for (uint32_t id = 0; id < w->x->count; id++)
		count = w->from_end[id + 1] += count;
	w->from = vs_try_alloc((size_t)count + 1, sizeof(*w->from));
	if (!w->from)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu64 " links", count);
	for (uint32_t id = 0; id < w->x->count; id++) {
		struct hnsw_links links = hnsw_links(w->x, id, 0);

		for (uint32_t i = 0; i < links.count; i++) {
			uint32_t to = link_of(w, &links, id, i);

			if (to != UINT32_MAX)
				w->from[w->from_end[to]++] = id;
		}
	}
	w->made = fmax(1, (double)count / w->x->count / 2);
	return 0;
}

static int compare_ids(const void *a_, const void *b_)
{
	const uint32_t *a = a_, *b = b_;

	return (*a > *b) - (*a < *b);
}

/* Those that link to an element were listed in their order. */
static bool has_link(const struct web *w, uint32_t id, uint32_t to)
{
	uint64_t from = from_begin(w, to);
	size_t count = (size_t)(w->from_end[to] - from);

	return count > 0 && bsearch(&id, w->from + from, count, sizeof(id), compare_ids) != NULL;
}

/* Calls @fn for each element that is linked with @id, at either end. */
static void each_linked(struct web *w, uint32_t id,
			void (*fn)(struct web *w, uint32_t id, uint32_t other, bool at_both))
{
	struct hnsw_links links = hnsw_links(w->x, id, 0);

	for (uint32_t i = 0; i < links.count; i++) {
		uint32_t to = link_of(w, &links, id, i);

		if (to != UINT32_MAX)
			fn(w, id, to, has_link(w, to, id));
	}
	for (uint64_t i = from_begin(w, id); i < w->from_end[id]; i++) {
		if (!has_link(w, id, w->from[i]))
			fn(w, id, w->from[i], false);
	}
}

/* ---- odds ---- */

/*
 * What a link between these two says for both being of one process. One that comes as number n is
 * linked with some of those before, so by chance with this one as often as a link is among n; the
 * first are all linked with each other in every index, which says nothing.
 */
static double weight(const struct web *w, uint32_t a, uint32_t b, bool at_both)
{
	uint32_t later = VS_MAX(a, b);
	double chance = w->made / VS_MAX(later, 1u);

	if (later <= w->x->header.max_m0 / 2)
		return 0;
	return at_both ? fmax(0, log((1 - w->lack) / fmin(chance, 1)))
		       : fmin(0, log(w->lack / 2 / (1 - fmin(chance, 0.9))));
}

static void look_again_at(struct web *w, uint32_t id)
{
	if (w->is_waiting[id])
		return;
	w->is_waiting[id] = true;
	w->waiting[w->waiting_count++] = id;
}

static void speak_for(struct web *w, uint32_t id, uint32_t other, bool at_both)
{
	w->odds[other] += weight(w, id, other, at_both);
	if (w->is_known[other] && !w->is_sure[other] && w->odds[other] >= w->enough)
		look_again_at(w, other);
}

static void speak_no_more(struct web *w, uint32_t id, uint32_t other, bool at_both)
{
	w->odds[other] -= weight(w, id, other, at_both);
	if (w->is_sure[other] && !w->is_seed[other] && w->odds[other] < w->enough)
		look_again_at(w, other);
}

static void make_sure(struct web *w, uint32_t id)
{
	w->is_sure[id] = true;
	each_linked(w, id, speak_for);
}

/* ---- what is sure ---- */

static void take_linked(struct web *w, uint32_t id, uint32_t other, bool at_both)
{
	(void)id;
	w->is_seed[other] |= at_both && w->is_known[other];
}

static void count_agreeing(struct web *w, uint32_t id, uint32_t other, bool at_both)
{
	if (other >= id || !w->is_seed[other])
		return;
	w->agreeing += at_both;
	w->lacking += !at_both;
}

/* What the first are linked with was changed with them. */
static void plant(struct web *w)
{
	for (uint32_t id = 0; id < w->x->count; id++)
		w->is_sure[id] = w->is_seed[id];
	for (uint32_t id = 0; id < w->x->count; id++) {
		if (w->is_sure[id])
			each_linked(w, id, take_linked);
	}
	for (uint32_t id = 0; id < w->x->count; id++) {
		w->is_sure[id] = false;
		if (w->is_seed[id])
			each_linked(w, id, count_agreeing);
	}
	w->lack =
		((double)w->lacking + 0.5) / ((double)(w->lacking + w->agreeing) + AGREEING_BEFORE);
	for (uint32_t id = 0; id < w->x->count; id++) {
		if (w->is_seed[id])
			make_sure(w, id);
	}
}

/* Each look makes an element sure that was not, so they come to an end. */
static void grow(struct web *w)
{
	while (w->waiting_count > 0) {
		uint32_t id = w->waiting[--w->waiting_count];

		w->is_waiting[id] = false;
		if (!w->is_sure[id] && w->odds[id] >= w->enough)
			make_sure(w, id);
	}
}

/* Those against which others have spoken since; each that goes may take some with it. */
static void shrink(struct web *w)
{
	for (uint32_t id = 0; id < w->x->count; id++) {
		if (w->is_sure[id] && !w->is_seed[id] && w->odds[id] < w->enough)
			look_again_at(w, id);
	}
	while (w->waiting_count > 0) {
		uint32_t id = w->waiting[--w->waiting_count];

		w->is_waiting[id] = false;
		w->is_sure[id] = false;
		each_linked(w, id, speak_no_more);
	}
}

int index_links_agree(const struct hnsw_index *x, const bool *is_known, bool *is_seed,
		      bool *is_sure, struct vs_err *err)
{
	cleanup_(web_fini) struct web w = {
		.x = x, .is_known = is_known, .is_seed = is_seed, .is_sure = is_sure
	};
	int r = make_room(&w, err);

	if (r == 0)
		r = list_links(&w, err);
	if (r < 0)
		return r;
	w.enough = log(INDEXES_PER_ERROR * x->count);
	plant(&w);
	grow(&w);
	shrink(&w);
	return 0;
}
