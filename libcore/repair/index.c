/* SPDX-License-Identifier: Apache-2.0 */

/* What an index directory is written from: reading the old one, and choosing each vector. */

#include "repair/index-private.h"

#include "file/file.h"

#include <math.h>

#define OLD_FILE_MAX ((uint64_t)1 << 38)

const char *index_file_name(int file)
{
	return file == INDEX_PICKLE ? "index_metadata.pickle"
				    : hnsw_file_name((enum hnsw_file)file);
}

void index_summary_fini(struct index_summary *s)
{
	buf_fini(&s->lost_ids);
	buf_fini(&s->norm_lost_ids);
}

void old_index_fini(struct old_index *old)
{
	for (int i = 0; i < INDEX_FILES; i++)
		buf_fini(&old->bytes[i]);
	hnsw_index_fini(&old->index);
	free(old->pair);
	free(old->element);
}

/* ---- the old directory ---- */

/* link_lists.bin may be a sparse file of terabytes: as far as a sound one of that many goes. */
static size_t read_limit(const struct old_index *old, int file, uint64_t size)
{
	uint64_t records = old->info[HNSW_LEVEL0].size / 12 + 1;

	if (file != HNSW_LINKS)
		return (size_t)VS_MIN(size, OLD_FILE_MAX);
	return (size_t)VS_MIN(VS_MIN(size, OLD_FILE_MAX), records * 512 + 65536);
}

static int read_old(const struct index_facts *facts, struct old_index *old, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err why = { 0 };
	int r = file_open_dir(facts->dirfd, facts->segment, FILE_FOLLOW, &fd, &why);

	if (r == VS_ENOENT)
		return 0;
	if (r < 0)
		return vs_fail(err, (enum vs_status)r, "%s", why.text);
	for (int i = 0; i < INDEX_FILES; i++) {
		r = file_stat_at(fd, index_file_name(i), FILE_NO_FOLLOW, &old->info[i], &why);
		if (r < 0 || old->info[i].type != FILE_REGULAR)
			old->info[i] = (struct file_info){ 0 };
	}
	for (int i = 0; i < INDEX_FILES; i++) {
		size_t max = read_limit(old, i, old->info[i].size);

		if (max == 0)
			continue;
		r = file_read_head_at(fd, index_file_name(i), FILE_NO_FOLLOW, max, &old->bytes[i],
				      NULL, err);
		if (r < 0)
			return vs_err_in(err, "%s", facts->segment);
	}
	return 0;
}

/* ---- its pickle ---- */

static int take_pair(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct old_index *old = ctx;

	/* Of a pickle that was cut in its second half the first has everything. */
	if (entry->map == PICKLE_ID_TO_SEQ_ID || entry->number <= 0 || entry->number > UINT32_MAX)
		return 0;
	if (old->pair_count == old->pair_cap) {
		size_t cap = VS_MAX(old->pair_cap * 2, (size_t)256);
		struct old_pair *pair = realloc(old->pair, cap * sizeof(*pair));

		if (!pair)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu ids", cap);
		old->pair = pair;
		old->pair_cap = cap;
	}
	old->pair[old->pair_count++] = (struct old_pair){ entry->id, (uint64_t)entry->number };
	return 0;
}

static int compare_pairs(const void *a_, const void *b_)
{
	const struct old_pair *a = a_, *b = b_;
	int r = slice_cmp(a->id, b->id);

	return r != 0 ? r : (a->label > b->label) - (a->label < b->label);
}

/* Each id once; one that has two labels has none that can be believed. */
static void settle_pairs(struct old_index *old)
{
	size_t to = 0;

	if (old->pair_count > 1)
		qsort(old->pair, old->pair_count, sizeof(*old->pair), compare_pairs);
	for (size_t i = 0; i < old->pair_count;) {
		struct old_pair pair = old->pair[i];
		bool is_one = true;

		for (; i < old->pair_count && slice_eq(old->pair[i].id, pair.id); i++)
			is_one &= old->pair[i].label == pair.label;
		if (is_one)
			old->pair[to++] = pair;
		else
			old->is_doubtful = true;
	}
	old->pair_count = to;
}

static int read_pickle(struct old_index *old, struct vs_err *err)
{
	const struct pickle_sink sink = { .ctx = old, .entry = take_pair };
	struct pickle_fault fault;
	int r;

	if (old->bytes[INDEX_PICKLE].len == 0)
		return 0;
	r = pickle_read(buf_slice(&old->bytes[INDEX_PICKLE]), &sink, &old->meta, &fault, err);
	if (r < 0)
		return r;
	/* One that would run code was written by somebody else, and is not believed. */
	if (fault.kind == PICKLE_FAULT_CODE && r == 0)
		old->pair_count = 0;
	old->is_pickle_whole = r > 0;
	settle_pairs(old);
	return 0;
}

uint64_t old_label(const struct old_index *old, struct slice id)
{
	size_t from = 0;
	size_t to = old->pair_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int c = slice_cmp(old->pair[mid].id, id);

		if (c == 0)
			return old->pair[mid].label;
		if (c < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return 0;
}

/* ---- its elements ---- */

static int compare_elements(const void *a_, const void *b_)
{
	const struct old_element *a = a_, *b = b_;

	if (a->label != b->label)
		return a->label < b->label ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static int note_header(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	bool *is_sound = ctx;

	(void)err;
	/* The entry point is found again; the sizes and the number of elements are not. */
	if (f->kind == HNSW_HEADER_SIZE || f->kind == HNSW_HEADER_FIELD ||
	    f->kind == HNSW_COUNT_HIGH)
		*is_sound = false;
	return 0;
}

static int open_elements(const struct index_facts *facts, struct old_index *old, struct vs_err *err)
{
	const struct hnsw_params *p = &facts->params;
	const struct hnsw_files files = {
		.file = { buf_slice(&old->bytes[0]), buf_slice(&old->bytes[1]),
			  buf_slice(&old->bytes[2]), buf_slice(&old->bytes[3]) }
	};
	bool is_sound = true;
	const struct hnsw_check_request look = {
		.space = p->space, .is_quick = true, .finding = note_header, .ctx = &is_sound
	};
	int64_t counter = old->meta.total_elements_added.value;
	struct hnsw_stats stats;
	struct hnsw_header h;
	struct hnsw_fault fault;
	int r = hnsw_check(&files, &look, &stats, err);

	if (r < 0)
		return r;
	if (r > 0 && is_sound)
		r = hnsw_open(&files, &old->index, &fault, err);
	if (r != 0 && is_sound && old->index.dim == p->dim)
		return r < 0 ? r : 0;
	hnsw_index_fini(&old->index);
	old->is_doubtful = true;
	r = hnsw_header_make(0, p->dim, p->m, p->ef_construction, &h, err);
	if (r == 0)
		r = hnsw_open_as(&files, &h, counter > 0 ? (uint64_t)counter : INT64_MAX,
				 &old->index, &fault, err);
	return VS_MIN(r, 0);
}

static bool is_finite(const struct hnsw_index *x, uint32_t id)
{
	const float *v = hnsw_vector(x, id);

	for (uint32_t i = 0; i < x->dim; i++)
		if (!isfinite(v[i]))
			return false;
	return true;
}

static bool has_pair(const struct old_index *old, uint64_t label)
{
	for (size_t i = 0; i < old->pair_count; i++)
		if (old->pair[i].label == label)
			return true;
	return false;
}

static bool has_same_vector(const struct hnsw_index *x, uint32_t a, uint32_t b)
{
	return memcmp(hnsw_vector(x, a), hnsw_vector(x, b), x->dim * sizeof(float)) == 0;
}

/* A label one bit away from @label that the pickle gives an id, and that no element has. */
static bool lacks_neighbour(const struct old_index *old, const struct old_element *all,
			    size_t count, uint64_t label)
{
	for (unsigned bit = 0; bit < 63; bit++) {
		const struct old_element key = { .label = label ^ UINT64_C(1) << bit };
		bool is_there = false;

		if (!has_pair(old, key.label))
			continue;
		for (size_t i = 0; i < count && !is_there; i++)
			is_there = all[i].label == key.label;
		if (!is_there)
			return true;
	}
	return false;
}

/*
 * Two processes on one directory give the same label to different records, and each writes its own
 * elements over the other's, at places of its own: what is left is some of either, and labels twice.
 * A single label that two elements have, where one is missing that differs in one bit, is a flipped
 * bit.
 */
static bool is_of_two(const struct old_index *old, const struct old_element *all, size_t count)
{
	size_t doubles = 0, flips = 0;

	for (size_t i = 1; i < count && doubles < 2; i++) {
		if (all[i].label != all[i - 1].label)
			continue;
		doubles++;
		flips += !has_same_vector(&old->index, all[i].id, all[i - 1].id) &&
			 lacks_neighbour(old, all, count, all[i].label);
	}
	return doubles > 1 || doubles > flips;
}

/*
 * Of the elements @from to @to, which share a label, the one that is surely the record's; NULL: none.
 * Where two processes wrote, that is the one of whoever saved last, or any where all have the same
 * vector.
 */
static const struct old_element *believed(const struct old_index *old, const bool *is_sure,
					  const struct old_element *from,
					  const struct old_element *to)
{
	const struct old_element *sure = NULL;
	bool is_same = to - from > 1;
	size_t count = 0;

	if (!old->is_of_two)
		return to - from == 1 ? from : NULL;
	for (const struct old_element *e = from; e < to; e++) {
		is_same &= has_same_vector(&old->index, from->id, e->id);
		sure = is_sure[e->id] ? e : sure;
		count += is_sure[e->id];
	}
	if (count == 1)
		return sure;
	return is_same ? from : NULL;
}

/* Live elements with a vector and a label of their own, sorted by label. */
static int list_elements(const struct index_facts *facts, struct old_index *old, struct vs_err *err)
{
	const struct hnsw_index *x = &old->index;
	cleanup_(vs_freep) bool *is_sure = NULL;
	size_t count = 0;
	size_t to = 0;
	int r = 0;

	old->element = vs_try_alloc((size_t)x->count + 1, sizeof(*old->element));
	if (!old->element)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " elements", x->count);
	for (uint32_t id = 0; id < x->count; id++) {
		uint64_t label = hnsw_label(x, id);

		/* What is above that no server has given. */
		if (label <= UINT32_MAX)
			old->label_highest = VS_MAX(old->label_highest, label);
		if (hnsw_is_deleted(x, id))
			continue;
		old->live++;
		if (label > 0 && label <= INT64_MAX)
			old->element[count++] = (struct old_element){ label, id };
	}
	if (count > 1)
		qsort(old->element, count, sizeof(*old->element), compare_elements);
	old->is_of_two = is_of_two(old, old->element, count);
	is_sure = vs_try_alloc((size_t)x->count + 1, sizeof(*is_sure));
	if (!is_sure)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " elements", x->count);
	if (old->is_of_two)
		r = mixed_index_settle(facts, old, is_sure, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count;) {
		size_t from = i;
		const struct old_element *e;

		while (i < count && old->element[i].label == old->element[from].label)
			i++;
		e = believed(old, is_sure, old->element + from, old->element + i);
		if (e && is_finite(x, e->id))
			old->element[to++] = *e;
	}
	old->element_count = to;
	return 0;
}

bool old_element(const struct old_index *old, uint64_t label, uint32_t *out)
{
	const struct old_element key = { .label = label };
	size_t from = 0;
	size_t to = old->element_count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (old->element[mid].label == key.label) {
			*out = old->element[mid].id;
			return true;
		}
		if (old->element[mid].label < key.label)
			from = mid + 1;
		else
			to = mid;
	}
	return false;
}

bool has_norm(const struct index_facts *facts, const struct old_index *old, uint32_t element)
{
	float length = hnsw_length(&old->index, element);

	return facts->params.space != HNSW_COSINE || (isfinite(length) && length > 0);
}

int old_index_load(const struct index_facts *facts, struct old_index *old, struct vs_err *err)
{
	int r = read_old(facts, old, err);

	if (r == 0)
		r = read_pickle(old, err);
	if (r == 0)
		r = open_elements(facts, old, err);
	return r < 0 ? r : list_elements(facts, old, err);
}

/* Its length before each: an id may hold any byte. */
static void add_id(struct buf *ids, struct slice id)
{
	buf_append(ids, &id.len, sizeof(id.len));
	buf_append(ids, id.ptr, id.len);
}

bool index_ids_next(struct slice *rest, struct slice *id)
{
	if (rest->len < sizeof(id->len))
		return false;
	memcpy(&id->len, rest->ptr, sizeof(id->len));
	id->ptr = rest->ptr + sizeof(id->len);
	*rest = slice_of(id->ptr + id->len, rest->len - sizeof(id->len) - id->len);
	return true;
}

void summary_add_lost(struct index_summary *s, struct slice id)
{
	s->lost++;
	add_id(&s->lost_ids, id);
}

void summary_add_norm_lost(struct index_summary *s, struct slice id)
{
	s->norms_lost++;
	add_id(&s->norm_lost_ids, id);
}
