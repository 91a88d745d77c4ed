/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the index knows against what the database knows: labels of the pickle against the elements,
 * and ids of the pickle, with the queue played on top, against the metadata side.
 */

#include "check/chroma-segment-work.h"

/* ---- labels ---- */

struct element {
	uint64_t label;
	bool is_deleted;
};

static int compare_elements(const void *a_, const void *b_)
{
	const struct element *a = a_, *b = b_;

	if (a->label != b->label)
		return a->label < b->label ? -1 : 1;
	/* A live one first: where a label is twice, it counts. */
	return (int)a->is_deleted - (int)b->is_deleted;
}

static int list_elements(const struct hnsw_index *x, struct element **out, struct vs_err *err)
{
	struct element *row = vs_try_alloc((size_t)x->count + 1, sizeof(*row));

	if (!row)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " labels", x->count);
	for (uint32_t id = 0; id < x->count; id++)
		row[id] = (struct element){ hnsw_label(x, id), hnsw_is_deleted(x, id) };
	if (x->count > 1)
		qsort(row, x->count, sizeof(*row), compare_elements);
	*out = row;
	return 0;
}

/* A problem that many elements or ids have, and the first of them. */
struct crowd {
	uint64_t count;
	struct slice first;
	uint64_t label;
};

static void crowd_add(struct crowd *c, struct slice id, uint64_t label)
{
	if (c->count++ > 0)
		return;
	c->first = id;
	c->label = label;
}

static void tell(struct segment_work *w, int file, enum problem code, const struct crowd *c)
{
	char label[24];

	if (c->count == 0)
		return;
	snprintf(label, sizeof(label), "%" PRIu64, c->label);
	segment_report(w, file,
		       (struct finding){ .code = code,
					 .document = c->first,
					 .has_count = true,
					 .count = c->count,
					 .actual = label });
}

/* Walk both, sorted by label. */
static void compare_sides(struct segment_work *w, const struct element *row)
{
	const struct segment_pairs *pairs = &w->pickle.by_label;
	struct crowd missing = { 0 }, deleted = { 0 }, unmapped = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < pairs->count; i++) {
		const struct segment_pair *pair = &pairs->row[i];
		uint64_t label = pair->label > 0 ? (uint64_t)pair->label : 0;

		for (; at < w->index.count && row[at].label < label; at++)
			if (!row[at].is_deleted)
				crowd_add(&unmapped, slice_of(NULL, 0), row[at].label);
		if (at == w->index.count || row[at].label > label)
			crowd_add(&missing, pair->id, label);
		else if (row[at].is_deleted)
			crowd_add(&deleted, pair->id, label);
		while (at < w->index.count && row[at].label == label)
			at++;
	}
	for (; at < w->index.count; at++)
		if (!row[at].is_deleted)
			crowd_add(&unmapped, slice_of(NULL, 0), row[at].label);
	/* Of a cut file, the elements behind the cut have been told already. */
	if (w->is_index_whole)
		tell(w, SEGMENT_PICKLE, PROB_CHROMA_INDEX_LABEL_MISSING, &missing);
	tell(w, SEGMENT_PICKLE, PROB_CHROMA_INDEX_DELETED_MAPPED, &deleted);
	tell(w, SEGMENT_PICKLE, PROB_CHROMA_INDEX_LABEL_UNMAPPED, &unmapped);
}

/* The highest label that was given stands in the pickle, and the next one is counted from it. */
static void check_counter(struct segment_work *w, const struct element *row)
{
	const struct segment_pairs *pairs = &w->pickle.by_label;
	uint32_t count = w->index.count;
	char expected[24], actual[24];
	uint64_t highest;

	/* No label is above that, and what a deleted element has for one harms nobody. */
	while (count > 0 && row[count - 1].is_deleted && row[count - 1].label > UINT32_MAX)
		count--;
	highest = count > 0 ? row[count - 1].label : 0;

	if (pairs->count > 0 && pairs->row[pairs->count - 1].label > 0)
		highest = VS_MAX(highest, (uint64_t)pairs->row[pairs->count - 1].label);
	if (highest <= w->figures.counter)
		return;
	snprintf(expected, sizeof(expected), "%" PRIu64, highest);
	snprintf(actual, sizeof(actual), "%" PRIu64, w->figures.counter);
	segment_report(w, SEGMENT_PICKLE,
		       (struct finding){ .code = PROB_CHROMA_INDEX_COUNTER,
					 .expected = expected,
					 .actual = actual });
}

int segment_check_labels(struct segment_work *w, struct vs_err *err)
{
	cleanup_(vs_freep) struct element *row = NULL;
	int r;

	if (!w->pickle.is_whole || !w->has_index || !w->is_read[HNSW_LEVEL0])
		return 0;
	/* What maps nothing, of a collection that has nothing. */
	if (w->is_ignored && w->segment->row_count == 0)
		return 0;
	r = list_elements(&w->index, &row, err);
	if (r < 0)
		return r;
	compare_sides(w, row);
	check_counter(w, row);
	return 0;
}

/* ---- ids ---- */

/* What the queue makes of an id in the end: on the vector side, and on the metadata side. */
enum fate { FATE_NONE, FATE_THERE, FATE_GONE };

struct change {
	struct slice id;
	size_t order;
	enum fate fate; /* none: of an update */
	bool has_vector;
	bool is_above_vector, is_above_metadata;
};

static int compare_changes(const void *a_, const void *b_)
{
	const struct change *a = a_, *b = b_;
	int r = slice_cmp(a->id, b->id);

	return r != 0 ? r : (a->order > b->order) - (a->order < b->order);
}

static int compare_slices(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Three lists, each sorted by id, that are walked together. */
struct sides {
	struct change *change; /* owned */
	size_t change_count;
	struct slice *row; /* owned */
	size_t row_count;
	const struct segment_pair *pair;
	size_t pair_count;
	size_t change_at, row_at, pair_at;
	struct crowd missing, extra, only_queue;
	uint64_t queued; /* of the missing: a row of the queue has a vector */
};

static void sides_fini(struct sides *s)
{
	free(s->change);
	free(s->row);
}

static bool is_above(const struct chroma_segment_position *p, int64_t seq_id)
{
	return !p->is_set || seq_id > p->seq_id;
}

static int list_sides(const struct segment_work *w, struct sides *out, struct vs_err *err)
{
	const struct chroma_segment *s = w->segment;
	struct chroma_segment_position vector = s->vector;

	if (!vector.is_set && w->pickle.is_whole && w->pickle.meta.max_seq_id.is_set)
		vector = (struct chroma_segment_position){ true, w->pickle.meta.max_seq_id.value };
	out->change = vs_try_alloc(s->log_count + 1, sizeof(*out->change));
	out->row = vs_try_alloc(s->row_count + 1, sizeof(*out->row));
	if (!out->change || !out->row)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu ids", s->row_count);
	for (size_t i = 0; i < s->log_count; i++) {
		const struct chroma_segment_row *row = &s->log[i];
		static const enum fate fates[] = { [CHROMA_SEGMENT_ADD] = FATE_THERE,
						   [CHROMA_SEGMENT_UPDATE] = FATE_NONE,
						   [CHROMA_SEGMENT_UPSERT] = FATE_THERE,
						   [CHROMA_SEGMENT_DELETE] = FATE_GONE };

		if (row->operation >= VS_COUNT(fates))
			continue;
		out->change[out->change_count++] =
			(struct change){ .id = row->id,
					 .order = i,
					 .fate = fates[row->operation],
					 .has_vector = row->has_vector,
					 .is_above_vector = is_above(&vector, row->seq_id),
					 .is_above_metadata = is_above(&s->metadata, row->seq_id) };
	}
	for (size_t i = 0; i < s->row_count; i++)
		out->row[out->row_count++] = s->rows[i].id;
	if (out->change_count > 1)
		qsort(out->change, out->change_count, sizeof(*out->change), compare_changes);
	if (out->row_count > 1)
		qsort(out->row, out->row_count, sizeof(*out->row), compare_slices);
	out->pair = w->pickle.by_id.row;
	out->pair_count = w->pickle.is_whole ? w->pickle.by_id.count : 0;
	return 0;
}

/* The first id that any list still has; false at the end of all. */
static bool next_id(const struct sides *s, struct slice *out)
{
	bool has = false;
	const struct {
		bool is_left;
		const struct slice *id;
	} heads[] = {
		{ s->change_at < s->change_count, &s->change[s->change_at].id },
		{ s->row_at < s->row_count, &s->row[s->row_at] },
		{ s->pair_at < s->pair_count,
		  s->pair_at < s->pair_count ? &s->pair[s->pair_at].id : NULL },
	};

	for (size_t i = 0; i < VS_COUNT(heads); i++) {
		if (!heads[i].is_left || (has && slice_cmp(*heads[i].id, *out) >= 0))
			continue;
		*out = *heads[i].id;
		has = true;
	}
	return has;
}

static void judge_id(struct sides *s, struct slice id)
{
	enum fate vector = FATE_NONE, metadata = FATE_NONE;
	bool is_mapped = false, is_row = false, is_queued = false, is_indexed, is_known;

	for (; s->pair_at < s->pair_count && slice_eq(s->pair[s->pair_at].id, id); s->pair_at++)
		is_mapped = true;
	for (; s->row_at < s->row_count && slice_eq(s->row[s->row_at], id); s->row_at++)
		is_row = true;
	for (; s->change_at < s->change_count && slice_eq(s->change[s->change_at].id, id);
	     s->change_at++) {
		const struct change *c = &s->change[s->change_at];

		is_queued |= c->has_vector;
		if (c->fate == FATE_NONE)
			continue;
		vector = c->is_above_vector ? c->fate : vector;
		metadata = c->is_above_metadata ? c->fate : metadata;
	}
	is_indexed = vector == FATE_NONE ? is_mapped : vector == FATE_THERE;
	is_known = metadata == FATE_NONE ? is_row : metadata == FATE_THERE;
	if (is_known && !is_indexed) {
		crowd_add(&s->missing, id, 0);
		s->queued += is_queued;
	}
	if (is_indexed && !is_known)
		crowd_add(&s->extra, id, 0);
	if (is_indexed && !is_mapped)
		crowd_add(&s->only_queue, id, 0);
}

/* Can it be told what the index knows? Not where a pickle is there and could not be read. */
static bool are_ids_known(const struct segment_work *w)
{
	bool is_pickle_missing =
		w->info[SEGMENT_PICKLE].type == FILE_REGULAR && !w->is_there[SEGMENT_PICKLE];

	return w->segment->has_rows && w->req->level != CHECK_QUICK &&
	       (w->fd < 0 || w->pickle.is_whole || is_pickle_missing);
}

/* The directory or its pickle is gone: that is what is told, and how many records it costs. */
static bool tell_loss(struct segment_work *w, const struct sides *s)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct finding f = { .has_count = are_ids_known(w), .count = s->missing.count };

	if (!w->segment->vector.is_set)
		return false;
	if (f.has_count) {
		text_count(&detail, f.count, "vector");
		buf_printf(
			&detail,
			" of %zu are not in the part of the queue that the server will still read",
			w->segment->row_count);
	} else {
		buf_append_str(&detail, "which vectors that costs was not looked at");
	}
	f.detail = buf_cstr(&detail);
	if (w->fd < 0) {
		f.code = PROB_CHROMA_INDEX_DIRECTORY_MISSING;
		segment_report(w, -1, f);
		return true;
	}
	/* Something else that has the name was told before. */
	if (w->info[SEGMENT_PICKLE].type != FILE_REGULAR || w->is_there[SEGMENT_PICKLE])
		return false;
	f.code = PROB_CHROMA_INDEX_PICKLE_MISSING;
	segment_report(w, SEGMENT_PICKLE, f);
	return true;
}

/*
 * A rebuild finds vectors in elements that no id is mapped to, and in rows of the queue. Where the
 * index is sound but for what it lacks, there are none of the first, and of one that was never saved
 * the server's own rule is followed: all of its vectors are in the queue.
 */
static bool is_beyond_rebuild(const struct segment_work *w, const struct sides *s)
{
	return s->queued == 0 && w->report.severity[SEV_ERROR] == 0 &&
	       (w->pickle.is_whole || !w->segment->vector.is_set);
}

static void tell_missing(struct segment_work *w, const struct sides *s)
{
	bool is_beyond = is_beyond_rebuild(w, s);

	if (s->missing.count == 0)
		return;
	segment_report(w, SEGMENT_PICKLE,
		       (struct finding){
			       .code = PROB_CHROMA_INDEX_ID_MISSING,
			       .document = s->missing.first,
			       .has_count = true,
			       .count = s->missing.count,
			       .detail = is_beyond
						 ? "no copy of their vectors is left here, so they "
						   "have to be embedded again, unless a snapshot "
						   "has them"
						 : "a rebuild brings back what has a copy",
			       .fix = is_beyond ? "vsctl snapshot list STORE" : NULL,
		       });
}

int segment_check_ids(struct segment_work *w, struct vs_err *err)
{
	cleanup_(sides_fini) struct sides s = { 0 };
	struct slice id = { 0 };
	int r;

	if (are_ids_known(w)) {
		r = list_sides(w, &s, err);
		if (r < 0)
			return r;
		while (next_id(&s, &id))
			judge_id(&s, id);
	}
	w->figures.only_queue = s.only_queue.count;
	if (!tell_loss(w, &s))
		tell_missing(w, &s);
	tell(w, SEGMENT_PICKLE, PROB_CHROMA_INDEX_ID_EXTRA, &s.extra);
	return 0;
}
