/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records whose labels are lost with the pickle of an index, paired with its elements by their
 * order. What the queue has of their vectors has to agree, or nothing is paired.
 */

#include "repair/index-chooser.h"

/* Was the record there when the old index was saved? Either at the position, or at the end. */
static bool is_candidate(const struct chooser *c, struct slice id, bool at_end)
{
	const struct news *n = at_end ? NULL : chooser_find_news(c, id);

	/* One that was deleted and made again has a new row, and will have a new label. */
	return !n || !n->is_made_above || (n->was_below && !n->is_gone_above);
}

/* 1: the vectors of the queue say yes; 0: they do not say; -1: no. */
static int confirms(const struct chooser *c, struct slice id, uint32_t element)
{
	const struct news *n = chooser_find_news(c, id);
	bool has_vector = false;

	for (size_t i = n ? n->from : 0; n && i < n->to; i++) {
		struct slice vector = c->order[i]->vector;

		if (vector.len != (size_t)4 * c->facts->params.dim)
			continue;
		has_vector = true;
		if (chooser_is_vector_of(c, element, vector))
			return 1;
	}
	/* An update that the old index never saw leaves it with a vector that is not in the queue. */
	return has_vector && n->is_made_at_all ? -1 : 0;
}

static bool try_pairing(struct chooser *c, bool at_end)
{
	const struct index_facts *f = c->facts;
	size_t at = 0;
	size_t confirmed = 0;

	memset(c->paired, 0, f->row_count * sizeof(*c->paired));
	for (size_t i = 0; i < f->row_count; i++) {
		const struct old_element *e = &c->old->element[at];
		uint64_t label = old_label(c->old, f->rows[i].id);
		int r;

		if (!is_candidate(c, f->rows[i].id, at_end))
			continue;
		if (at == c->old->element_count || (label > 0 && label != e->label))
			return false;
		r = confirms(c, f->rows[i].id, e->id);
		if (r < 0)
			return false;
		confirmed += r > 0 || label > 0;
		/* What playing the queue makes is left to it. */
		c->paired[i] = is_candidate(c, f->rows[i].id, false) ? e->label : 0;
		at++;
	}
	return at == c->old->element_count && confirmed > 0;
}

/*
 * Labels and row numbers rise together, one of each for every new id. So a row number that is missing
 * between ours, and is no other collection's, stands for an id that was deleted, whose element is
 * still there: flagged, or live where the delete is in the queue above the position. And a row that
 * the queue makes above the position was there before where its number is lower than that of one that
 * was: new rows get higher numbers than all others.
 */
struct slots {
	size_t *row; /* owned; SIZE_MAX: a gap */
	size_t count, max;
	size_t open; /* rows behind, which may have been there or not */
};

static bool add_slot(struct slots *s, size_t row)
{
	if (s->count == s->max)
		return false;
	s->row[s->count++] = row;
	return true;
}

static bool is_foreign(const struct index_facts *f, int64_t number)
{
	size_t from = 0, to = f->foreign_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (f->foreign[mid] == number)
			return true;
		if (f->foreign[mid] < number)
			from = mid + 1;
		else
			to = mid;
	}
	return false;
}

/* How many rows there are up to the last that was there for sure. */
static size_t count_old_rows(const struct chooser *c)
{
	size_t count = c->facts->row_count;

	while (count > 0 && !is_candidate(c, c->facts->rows[count - 1].id, false))
		count--;
	return count;
}

/* False: more than there are labels, or rows without numbers. */
static bool list_slots(const struct chooser *c, struct slots *s)
{
	const struct index_facts *f = c->facts;
	size_t count = count_old_rows(c);
	int64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t number = f->rows[i].row;

		if (number <= last)
			return false;
		for (int64_t gap = last + 1; last > 0 && gap < number; gap++) {
			if (!is_foreign(f, gap) && !add_slot(s, SIZE_MAX))
				return false;
		}
		last = number;
		if (!add_slot(s, i))
			return false;
	}
	s->open = f->row_count - count;
	return s->count > 0;
}

static int compare_labels(const void *a_, const void *b_)
{
	const uint64_t *a = a_, *b = b_;

	return (*a > *b) - (*a < *b);
}

/* Do the rows fit the labels from @first on? Counts the vectors of the queue that say so. */
static bool slots_fit(const struct chooser *c, const struct slots *s, const uint64_t *labels,
		      size_t first, size_t *confirmed)
{
	*confirmed = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct slice id;
		uint64_t label;
		uint32_t element;
		int r;

		if (s->row[i] == SIZE_MAX)
			continue;
		id = c->facts->rows[s->row[i]].id;
		label = old_label(c->old, id);
		if ((label > 0 && label != labels[first + i]) ||
		    !old_element(c->old, labels[first + i], &element))
			return false;
		r = is_candidate(c, id, false) ? confirms(c, id, element) : 0;
		if (r < 0)
			return false;
		*confirmed += r > 0 || label > 0;
	}
	return true;
}

/* As many live elements must be left over as the queue deletes. */
static bool counts_fit(const struct chooser *c, const struct slots *s)
{
	size_t rows = 0, gone = 0, open = s->open;

	for (size_t i = 0; i < s->count; i++)
		rows += s->row[i] != SIZE_MAX;
	for (size_t i = 0; i < c->news_count; i++) {
		gone += c->news[i].is_gone_above && !c->news[i].is_made_first;
		open += c->news[i].is_gone_above && c->news[i].is_made_first;
	}
	return c->old->live >= rows + gone && c->old->live - rows - gone <= open;
}

/* Exactly one place must fit. */
static bool try_slots(struct chooser *c, const struct slots *s, const uint64_t *labels,
		      size_t label_count)
{
	size_t found = SIZE_MAX, confirmed, best = 0;

	if (!counts_fit(c, s))
		return false;
	for (size_t first = 0; first + s->count <= label_count; first++) {
		if (!slots_fit(c, s, labels, first, &confirmed))
			continue;
		if (found != SIZE_MAX)
			return false;
		found = first;
		best = confirmed;
	}
	if (found == SIZE_MAX || best == 0)
		return false;
	memset(c->paired, 0, c->facts->row_count * sizeof(*c->paired));
	for (size_t i = 0; i < s->count; i++) {
		if (s->row[i] != SIZE_MAX)
			c->paired[s->row[i]] = labels[found + i];
	}
	return true;
}

static bool try_pairing_gaps(struct chooser *c)
{
	uint32_t count = c->old->index.count;
	cleanup_(vs_freep) uint64_t *labels = vs_try_alloc((size_t)count + 1, sizeof(*labels));
	cleanup_(vs_freep) size_t *rows = vs_try_alloc((size_t)count + 1, sizeof(*rows));
	struct slots s = { .row = rows, .max = count };

	if (!labels || !rows)
		return false;
	for (uint32_t i = 0; i < count; i++)
		labels[i] = hnsw_label(&c->old->index, i);
	if (count > 1)
		qsort(labels, count, sizeof(*labels), compare_labels);
	for (uint32_t i = 0; i < count; i++) {
		if (labels[i] == 0 || (i > 0 && labels[i] == labels[i - 1]))
			return false;
	}
	return list_slots(c, &s) && try_slots(c, &s, labels, count);
}

/* Is there a record without a label that the old index should know? */
static bool lacks_labels(const struct chooser *c)
{
	for (size_t i = 0; i < c->facts->row_count; i++) {
		struct slice id = c->facts->rows[i].id;

		if (is_candidate(c, id, false) && old_label(c->old, id) == 0)
			return true;
	}
	return false;
}

/* Labels for the rows that the pickle no longer has, where their order gives them. */
int chooser_pair(struct chooser *c, struct vs_err *err)
{
	c->paired = vs_try_alloc(c->facts->row_count + 1, sizeof(*c->paired));
	if (!c->paired)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu labels", c->facts->row_count);
	/* Every live element has to be one that can be used, or the order means nothing. */
	if (c->old->element_count == c->old->live && c->old->live > 0 && !c->facts->is_python &&
	    lacks_labels(c) &&
	    (try_pairing(c, false) || try_pairing(c, true) || try_pairing_gaps(c)))
		return 0;
	free(c->paired);
	c->paired = NULL;
	return 0;
}
