/* SPDX-License-Identifier: Apache-2.0 */

/* Which records the new index has, and which copy of each vector is the best. */

#include "repair/index-chooser.h"

#include <math.h>

enum { OP_ADD = 0, OP_UPDATE = 1, OP_UPSERT = 2, OP_DELETE = 3 };

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

const struct news *chooser_find_news(const struct chooser *c, struct slice id)
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

bool chooser_is_vector_of(const struct chooser *c, uint32_t element, struct slice vector)
{
	return index_has_vector(c->facts, c->old, element, vector, c->scratch);
}

/* Of a cosine index the length is in a file of its own, which may be of another time. */
static bool has_length_of(const struct chooser *c, uint32_t element, struct slice vector)
{
	double sum = 0, length = hnsw_length(&c->old->index, element);

	if (c->facts->params.space != HNSW_COSINE)
		return true;
	for (uint32_t i = 0; i < c->facts->params.dim; i++) {
		float value;

		memcpy(&value, vector.ptr + (size_t)4 * i, sizeof(value));
		sum += (double)value * value;
	}
	/* Beyond that a client sees another vector; the server adds up in single precision. */
	return fabs(length - sqrt(sum)) <= 1e-4 * sqrt(sum);
}

/* Is it what the index has, and with the length that went with it? */
static bool is_copy_of(const struct chooser *c, uint32_t element, struct slice vector)
{
	return chooser_is_vector_of(c, element, vector) && has_norm(c->facts, c->old, element) &&
	       has_length_of(c, element, vector);
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
	const struct news *n = chooser_find_news(c, id);
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
		n = chooser_find_news(c, pair->id);
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
	else if (!facts->has_position && old->info[INDEX_PICKLE].inode != 0)
		/* It was saved, at least in part, and the server plays all of the queue over it: the
		 * database is of a time before that or has lost its row, or the disk was full. */
		c.position = 0;
	else if (!facts->has_position)
		return vs_fail(err, VS_EUSAGE,
			       "%s: the server never saved this index; all its vectors are in the "
			       "queue, and there is nothing to rebuild",
			       facts->segment);
	c.scratch = vs_alloc_array((size_t)2 * facts->params.dim + 1, sizeof(*c.scratch));
	out->is_same = true;
	r = list_news(&c, err);
	if (r == 0)
		r = chooser_pair(&c, err);
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
