/* SPDX-License-Identifier: Apache-2.0 */

/* Which records the new index has, and which copy of each vector is the best. */

#include "repair/index-private.h"

#include <math.h>

enum { OP_ADD = 0, OP_UPDATE = 1, OP_UPSERT = 2, OP_DELETE = 3 };

/* What the queue says of one id. */
struct news {
	struct slice id;
	size_t from, to;    /* its rows in `order` */
	struct slice below; /* newest vector at or below the position */
	struct slice above; /* newest above */
	bool is_made_above; /* an add or upsert above: playing the queue makes it */
	bool is_made_first; /* by the first row above: it may have been there, or not */
	bool has_above;
	bool is_gone_above;  /* a delete above */
	bool was_below;      /* any row at or below */
	bool is_made_at_all; /* there is an add, so every vector it ever had is in the queue */
};

struct chooser {
	const struct index_facts *facts;
	const struct old_index *old;
	struct index_summary *summary;
	struct choices *out;
	int64_t position;
	const struct index_row **order; /* owned: the queue by id, then by number */
	struct news *news;              /* owned: sorted by id */
	size_t news_count;
	uint64_t *paired; /* owned: label by row, 0 none; NULL where pairing failed */
	float *scratch;   /* owned: two vectors */
};

static void chooser_fini(struct chooser *c)
{
	free(c->order);
	free(c->news);
	free(c->paired);
	free(c->scratch);
}

/* ---- the queue, id by id ---- */

static int compare_rows(const void *a_, const void *b_)
{
	const struct index_row *a = *(const struct index_row *const *)a_;
	const struct index_row *b = *(const struct index_row *const *)b_;
	int r = slice_cmp(a->id, b->id);

	return r != 0 ? r : (a->seq_id > b->seq_id) - (a->seq_id < b->seq_id);
}

static void take_news(const struct chooser *c, struct news *n, const struct index_row *row)
{
	bool has_vector = row->vector.len == (size_t)4 * c->facts->params.dim;

	if (row->seq_id <= c->position) {
		n->was_below = true;
		n->below = has_vector ? row->vector : n->below;
	} else {
		bool is_made = row->operation == OP_ADD || row->operation == OP_UPSERT;

		n->above = has_vector ? row->vector : n->above;
		n->is_made_first |= is_made && !n->has_above;
		n->has_above = true;
		n->is_made_above |= is_made;
		n->is_gone_above |= row->operation == OP_DELETE;
	}
	n->is_made_at_all |= row->operation == OP_ADD;
}

static int list_news(struct chooser *c, struct vs_err *err)
{
	size_t count = c->facts->log_count;

	c->order = vs_try_alloc(count + 1, sizeof(*c->order));
	c->news = vs_try_alloc(count + 1, sizeof(*c->news));
	if (!c->order || !c->news)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu rows of the queue", count);
	for (size_t i = 0; i < count; i++)
		c->order[i] = &c->facts->log[i];
	if (count > 1)
		qsort(c->order, count, sizeof(*c->order), compare_rows);
	for (size_t i = 0; i < count; c->news_count++) {
		struct news *n = &c->news[c->news_count];
		bool exists = false;

		*n = (struct news){ .id = c->order[i]->id, .from = i };
		for (; i < count && slice_eq(c->order[i]->id, n->id); i++) {
			uint8_t operation = c->order[i]->operation;

			/* An add of an id that is there changes nothing, its vector is nobody's. */
			if (operation != OP_ADD || !exists)
				take_news(c, n, c->order[i]);
			exists = operation == OP_ADD || operation == OP_UPSERT ||
				 (exists && operation != OP_DELETE);
		}
		n->to = i;
	}
	return 0;
}

static const struct news *find_news(const struct chooser *c, struct slice id)
{
	size_t from = 0;
	size_t to = c->news_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int r = slice_cmp(c->news[mid].id, id);

		if (r == 0)
			return &c->news[mid];
		if (r < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* ---- vectors ---- */

static bool is_usable(const struct chooser *c, struct slice vector)
{
	float value;

	if (vector.len == 0)
		return false;
	for (uint32_t i = 0; i < c->facts->params.dim; i++) {
		memcpy(&value, vector.ptr + (size_t)4 * i, sizeof(value));
		if (!isfinite(value))
			return false;
	}
	return true;
}

bool index_has_vector(const struct index_facts *facts, const struct old_index *old,
		      uint32_t element, struct slice vector, float *scratch)
{
	const struct hnsw_params *p = &facts->params;
	const float *stored = hnsw_vector(&old->index, element);
	float *sent = scratch;
	float *unit = scratch + p->dim;

	if (vector.len != (size_t)4 * p->dim)
		return false;
	if (p->space != HNSW_COSINE)
		return memcmp(stored, vector.ptr, vector.len) == 0;
	memcpy(sent, vector.ptr, vector.len);
	hnsw_normalize(sent, p->dim, unit);
	for (uint32_t i = 0; i < p->dim; i++)
		if (!(fabsf(stored[i] - unit[i]) <= 1e-5f))
			return false;
	return true;
}

/* Does the index have, for this element, what a client sent? */
static bool is_vector_of(const struct chooser *c, uint32_t element, struct slice vector)
{
	return index_has_vector(c->facts, c->old, element, vector, c->scratch);
}

/* The same, with the length that went with it. */
static bool is_copy_of(const struct chooser *c, uint32_t element, struct slice vector)
{
	return is_vector_of(c, element, vector) && has_norm(c->facts, c->old, element);
}

/* ---- pairing by order ---- */

/* Was the record there when the old index was saved? Either at the position, or at the end. */
static bool is_candidate(const struct chooser *c, struct slice id, bool at_end)
{
	const struct news *n = at_end ? NULL : find_news(c, id);

	/* One that was deleted and made again has a new row, and will have a new label. */
	return !n || !n->is_made_above || (n->was_below && !n->is_gone_above);
}

/* 1: the vectors of the queue say yes; 0: they do not say; -1: no. */
static int confirms(const struct chooser *c, struct slice id, uint32_t element)
{
	const struct news *n = find_news(c, id);
	bool has_vector = false;

	for (size_t i = n ? n->from : 0; n && i < n->to; i++) {
		struct slice vector = c->order[i]->vector;

		if (vector.len != (size_t)4 * c->facts->params.dim)
			continue;
		has_vector = true;
		if (is_vector_of(c, element, vector))
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
static int pair(struct chooser *c, struct vs_err *err)
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

/* ---- choosing ---- */

static int choose(struct chooser *c, struct choice choice, struct vs_err *err)
{
	struct choices *out = c->out;

	if (out->count == out->cap) {
		size_t cap = VS_MAX(out->cap * 2, (size_t)256);
		struct choice *row = realloc(out->row, cap * sizeof(*row));

		if (!row)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu records", cap);
		out->row = row;
		out->cap = cap;
	}
	out->row[out->count++] = choice;
	c->summary->source[choice.source]++;
	out->is_same &= choice.source == INDEX_FROM_INDEX;
	return 0;
}

static int choose_row(struct chooser *c, size_t i, struct vs_err *err)
{
	struct slice id = c->facts->rows[i].id;
	const struct news *n = find_news(c, id);
	uint64_t label = old_label(c->old, id);
	bool is_paired = label == 0 && c->paired && c->paired[i] > 0;
	struct choice choice = { .id = id, .source = INDEX_FROM_QUEUE };
	bool has_element;

	/* Playing the queue makes it. */
	if (n && n->is_made_above && !n->was_below && label == 0 && !is_paired)
		return 0;
	choice.label = is_paired ? c->paired[i] : label;
	has_element = choice.label > 0 && old_element(c->old, choice.label, &choice.element);
	if (n && is_usable(c, n->below) &&
	    (!has_element || !is_copy_of(c, choice.element, n->below)))
		choice.vector = n->below;
	else if (has_element)
		choice.source = INDEX_FROM_INDEX;
	else if (n && is_usable(c, n->above))
		choice.vector = n->above;
	else {
		summary_add_lost(c->summary, id);
		return 0;
	}
	c->summary->paired += is_paired && choice.source == INDEX_FROM_INDEX;
	return choose(c, choice, err);
}

static int compare_ids(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Ids that only the pickle has: about to be deleted by the queue, which needs them, or nobody's. */
static int choose_rest(struct chooser *c, struct vs_err *err)
{
	size_t count = c->facts->row_count;
	cleanup_(vs_freep) struct slice *ids = vs_try_alloc(count + 1, sizeof(*ids));
	int r = 0;

	if (!ids)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu ids", count);
	for (size_t i = 0; i < count; i++)
		ids[i] = c->facts->rows[i].id;
	if (count > 1)
		qsort(ids, count, sizeof(*ids), compare_ids);
	for (size_t i = 0; r == 0 && i < c->old->pair_count; i++) {
		const struct old_pair *pair = &c->old->pair[i];
		struct choice choice = { .id = pair->id,
					 .label = pair->label,
					 .source = INDEX_FROM_INDEX };
		const struct news *n;

		if (count > 0 && bsearch(&pair->id, ids, count, sizeof(*ids), compare_ids))
			continue;
		n = find_news(c, pair->id);
		if (n && n->is_gone_above && old_element(c->old, pair->label, &choice.element))
			r = choose(c, choice, err);
		else
			c->summary->dropped++;
	}
	return r;
}

static int compare_choices(const void *a_, const void *b_)
{
	const struct choice *a = a_, *b = b_;

	/* Those without a label last: they get the next ones, in the order of their ids. */
	if (a->label != b->label)
		return a->label - 1 < b->label - 1 ? -1 : 1;
	return slice_cmp(a->id, b->id);
}

/* A label that two ids have belongs to the first; the other gets a new one if it can. */
static void settle(struct chooser *c)
{
	struct choices *out = c->out;
	size_t to = 0;

	if (out->count > 1)
		qsort(out->row, out->count, sizeof(*out->row), compare_choices);
	for (size_t i = 0; i < out->count; i++) {
		struct choice *row = &out->row[i];
		bool is_taken = to > 0 && row->label > 0 && out->row[to - 1].label == row->label;

		if (is_taken && row->source == INDEX_FROM_INDEX) {
			c->summary->source[row->source]--;
			summary_add_lost(c->summary, row->id);
			continue;
		}
		out->row[to] = *row;
		if (is_taken)
			out->row[to].label = 0;
		to++;
	}
	out->is_same &= to == out->count;
	out->count = to;
	if (out->count > 1)
		qsort(out->row, out->count, sizeof(*out->row), compare_choices);
}

int choices_make(const struct index_facts *facts, const struct old_index *old, struct choices *out,
		 struct index_summary *summary, struct vs_err *err)
{
	cleanup_(chooser_fini) struct chooser c = { .facts = facts,
						    .old = old,
						    .summary = summary,
						    .out = out,
						    .position = facts->position };
	int r;

	if (!facts->has_position && old->meta.max_seq_id.is_set)
		c.position = old->meta.max_seq_id.value;
	else if (!facts->has_position)
		return vs_fail(err, VS_EUSAGE,
			       "%s: the server never saved this index; all its vectors are in the "
			       "queue, and there is nothing to rebuild",
			       facts->segment);
	c.scratch = vs_alloc_array((size_t)2 * facts->params.dim + 1, sizeof(*c.scratch));
	out->is_same = true;
	r = list_news(&c, err);
	if (r == 0)
		r = pair(&c, err);
	for (size_t i = 0; r == 0 && i < facts->row_count; i++)
		r = choose_row(&c, i, err);
	if (r == 0)
		r = choose_rest(&c, err);
	if (r < 0)
		return r;
	settle(&c);
	summary->records = out->count;
	out->is_same &= summary->lost == 0 && summary->dropped == 0 && summary->paired == 0;
	return 0;
}
