/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An index that two processes wrote: which of its elements are those of the one that saved last?
 *
 * Each of the two had the whole index in memory, with labels and places of its own, and wrote at each
 * save, over what the other had left, the elements that had changed since its last one; the pickle it
 * wrote whole. So the pickle is that of the last save, and the elements are some of either. One that is
 * the other's has, by the pickle's labels, somebody else's vector.
 *
 * A save comes after so many changes as the collection's sync_threshold says. So the newest so many of
 * whoever saved last are surely of its last save; the queue keeps the very newest, which tells where
 * that was. The rest follows from their links (index-agree.c).
 *
 * Measured on 106 stores that two servers had written, 80,000 records: of the vectors that still were
 * in the index under their own label, four of five come back, and none of another record; one had been
 * changed since, right after it was made, which nothing shows.
 */

#include "repair/index-private.h"

/* A record that the pickle knows. */
struct known {
	uint64_t label;
	int64_t seq_id;   /* of the record's last change; 0: there is no such record */
	bool is_in_order; /* nothing later was given a lower label: it was not changed since */
};

struct mixture {
	const struct index_facts *facts;
	const struct old_index *old;
	const struct hnsw_index *x;
	struct known *known; /* owned; by label */
	size_t known_count;
	int64_t *foreign; /* owned; rising: changes of records that the pickle does not know */
	size_t foreign_count;
	bool *is_known; /* owned: of each element: live, and the pickle has its label */
	bool *is_seed;  /* owned: of each: surely of the last save */
};

static void mixture_fini(struct mixture *m)
{
	free(m->known);
	free(m->foreign);
	free(m->is_known);
	free(m->is_seed);
}

static int make_room(struct mixture *m, struct vs_err *err)
{
	size_t count = (size_t)m->x->count + 1;

	m->known = vs_try_alloc(m->old->pair_count + 1, sizeof(*m->known));
	m->foreign = vs_try_alloc(m->facts->row_count + 1, sizeof(*m->foreign));
	m->is_known = vs_try_alloc(count, sizeof(*m->is_known));
	m->is_seed = vs_try_alloc(count, sizeof(*m->is_seed));
	if (!m->known || !m->foreign || !m->is_known || !m->is_seed)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " elements", m->x->count);
	return 0;
}

/* ---- records ---- */

static int compare_rows(const void *a_, const void *b_)
{
	const struct index_row *const *a = a_, *const *b = b_;

	return slice_cmp((*a)->id, (*b)->id);
}

static int compare_known(const void *a_, const void *b_)
{
	const struct known *a = a_, *b = b_;

	return (a->label > b->label) - (a->label < b->label);
}

static int compare_numbers(const void *a_, const void *b_)
{
	const int64_t *a = a_, *b = b_;

	return (*a > *b) - (*a < *b);
}

static const struct known *find_known(const struct mixture *m, uint64_t label)
{
	const struct known key = { .label = label };

	return m->known_count == 0
		       ? NULL
		       : bsearch(&key, m->known, m->known_count, sizeof(key), compare_known);
}

/* Both lists are sorted by id: what the pickle knows, and what it does not. */
static void match_rows(struct mixture *m, const struct index_row *const *rows, size_t count)
{
	size_t at = 0;

	for (size_t i = 0; i < m->old->pair_count; i++) {
		const struct old_pair *pair = &m->old->pair[i];
		struct known *k = &m->known[m->known_count++];

		for (; at < count && slice_cmp(rows[at]->id, pair->id) < 0; at++)
			m->foreign[m->foreign_count++] = rows[at]->seq_id;
		*k = (struct known){ .label = pair->label };
		if (at < count && slice_eq(rows[at]->id, pair->id))
			k->seq_id = rows[at++]->seq_id;
	}
	for (; at < count; at++)
		m->foreign[m->foreign_count++] = rows[at]->seq_id;
}

/* Labels are given in the order of changes. */
static void find_order(struct mixture *m)
{
	int64_t least = INT64_MAX;

	for (size_t i = m->known_count; i > 0; i--) {
		struct known *k = &m->known[i - 1];

		if (k->seq_id <= 0)
			continue;
		k->is_in_order = k->seq_id < least;
		least = VS_MIN(least, k->seq_id);
	}
}

static int list_known(struct mixture *m, struct vs_err *err)
{
	size_t count = m->facts->row_count;
	cleanup_(vs_freep) const struct index_row **rows = vs_try_alloc(count + 1, sizeof(*rows));

	if (!rows)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu records", count);
	for (size_t i = 0; i < count; i++)
		rows[i] = &m->facts->rows[i];
	if (count > 1)
		qsort(rows, count, sizeof(*rows), compare_rows);
	match_rows(m, rows, count);
	if (m->known_count > 1)
		qsort(m->known, m->known_count, sizeof(*m->known), compare_known);
	if (m->foreign_count > 1)
		qsort(m->foreign, m->foreign_count, sizeof(*m->foreign), compare_numbers);
	find_order(m);
	for (uint32_t id = 0; id < m->x->count; id++)
		m->is_known[id] =
			!hnsw_is_deleted(m->x, id) && find_known(m, hnsw_label(m->x, id)) != NULL;
	return 0;
}

/* ---- the last save ---- */

/*
 * The newest change of the last save that still stands in the queue, which keeps the last one, and
 * which the element has by the pickle's label; 0: none, and nothing can be said.
 */
static int64_t newest_saved(const struct mixture *m)
{
	cleanup_(vs_freep) float *scratch =
		vs_alloc_array((size_t)2 * m->facts->params.dim + 1, sizeof(*scratch));

	for (size_t i = m->facts->log_count; i > 0; i--) {
		const struct index_row *row = &m->facts->log[i - 1];
		uint64_t label = old_label(m->old, row->id);
		uint32_t found = 0, fitting = 0;

		if (row->seq_id > m->facts->position || row->vector.len == 0 || label == 0)
			continue;
		for (uint32_t id = 0; id < m->x->count; id++) {
			if (hnsw_is_deleted(m->x, id) || hnsw_label(m->x, id) != label)
				continue;
			found++;
			fitting += index_has_vector(m->facts, m->old, id, row->vector, scratch);
		}
		return found > 0 && fitting == 1 ? row->seq_id : 0;
	}
	return 0;
}

static size_t count_foreign_below(const struct mixture *m, int64_t seq_id)
{
	size_t from = 0, to = m->foreign_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (m->foreign[mid] < seq_id)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/*
 * The lowest label that is surely of the last save: from it up to @newest there are no more changes
 * than lead to a save, those left out that the pickle knows nothing of.
 */
static uint64_t first_of_save(const struct mixture *m, int64_t newest)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = m->known_count; i > 0; i--) {
		const struct known *k = &m->known[i - 1];
		uint64_t changes;

		if (!k->is_in_order || k->seq_id > newest)
			continue;
		changes = (uint64_t)(newest - k->seq_id) + 1 -
			  (count_foreign_below(m, newest) - count_foreign_below(m, k->seq_id));
		if (changes > m->facts->saves_after)
			break;
		first = k->label;
	}
	return first;
}

/* The elements of these labels are the last ones. */
static void find_seeds(struct mixture *m, uint64_t first)
{
	uint64_t last = m->known[m->known_count - 1].label;
	uint64_t count = VS_MIN(last - first + 1, (uint64_t)m->x->count);

	for (uint32_t id = m->x->count - (uint32_t)count; id < m->x->count; id++)
		m->is_seed[id] = m->is_known[id] && hnsw_label(m->x, id) >= first;
}

int mixed_index_settle(const struct index_facts *facts, const struct old_index *old, bool *is_sure,
		       struct vs_err *err)
{
	cleanup_(mixture_fini) struct mixture m = { .facts = facts, .old = old, .x = &old->index };
	int64_t newest;
	uint64_t first;
	int r;

	if (!facts->has_position || facts->saves_after == 0 || old->pair_count == 0 ||
	    m.x->count < 2)
		return 0;
	r = make_room(&m, err);
	if (r == 0)
		r = list_known(&m, err);
	if (r < 0)
		return r;
	newest = newest_saved(&m);
	first = newest > 0 ? first_of_save(&m, newest) : UINT64_MAX;
	if (first == UINT64_MAX)
		return 0;
	find_seeds(&m, first);
	r = index_links_agree(m.x, m.is_known, m.is_seed, is_sure, err);
	/* One that was changed after it had its label may have the vector that it had before. */
	for (uint32_t id = 0; r == 0 && id < m.x->count; id++)
		is_sure[id] = is_sure[id] && find_known(&m, hnsw_label(m.x, id))->is_in_order;
	return r;
}
