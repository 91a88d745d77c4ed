/* SPDX-License-Identifier: Apache-2.0 */

/* The pickle of an index directory: read without running it, its two maps held together. */

#include "check/chroma-segment-work.h"

/* Ids of 50 bytes for a hundred million records; more than any server keeps in memory. */
#define PICKLE_FILE_MAX ((uint64_t)8 << 30)

void segment_pickle_fini(struct segment_pickle *p)
{
	free(p->by_id.row);
	free(p->by_label.row);
}

static int take_entry(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct segment_pickle *p = ctx;
	struct segment_pairs *pairs = entry->map == PICKLE_ID_TO_LABEL   ? &p->by_id
				      : entry->map == PICKLE_LABEL_TO_ID ? &p->by_label
									 : NULL;

	if (!pairs)
		return 0;
	if (pairs->count == pairs->cap) {
		size_t cap = VS_MAX(pairs->cap * 2, (size_t)256);
		struct segment_pair *row = realloc(pairs->row, cap * sizeof(*row));

		if (!row)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu ids", cap);
		pairs->row = row;
		pairs->cap = cap;
	}
	pairs->row[pairs->count++] = (struct segment_pair){ entry->id, entry->number };
	return 0;
}

/* ---- faults ---- */

static int note_danger(void *ctx, const struct pickle_danger *danger, struct vs_err *err)
{
	struct buf *text = ctx;

	(void)err;
	if (text->len > 0)
		return 0;
	buf_append_str(text, danger->opcode);
	if (danger->name.len > 0) {
		buf_append_str(text, " of ");
		text_escape(text, slice_of(danger->module.ptr, VS_MIN(danger->module.len, 80u)));
		buf_append_str(text, ".");
		text_escape(text, slice_of(danger->name.ptr, VS_MIN(danger->name.len, 80u)));
	}
	buf_printf(text, " at offset %" PRIu64, danger->off);
	return 0;
}

/*
 * A pickle may be cut off in front of what it would run, or run it behind what reading stops at, so
 * the opcodes are walked whatever else is wrong.
 */
static int check_danger(struct segment_work *w, struct slice bytes, bool *is_dangerous,
			struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct pickle_scan scan;
	int r = pickle_scan(bytes, note_danger, &text, &scan, err);

	if (r < 0)
		return r;
	*is_dangerous = text.len > 0;
	if (*is_dangerous)
		segment_report(w, SEGMENT_PICKLE,
			       (struct finding){ .code = PROB_CHROMA_INDEX_PICKLE_CODE,
						 .has_count = true,
						 .count = scan.imports + scan.calls,
						 .detail = buf_cstr(&text) });
	return 0;
}

/* The server takes a pickle to its last byte, or not at all. */
static void check_end(struct segment_work *w, size_t len)
{
	uint64_t end = w->pickle.meta.end_off;
	char detail[64];

	if (end >= len)
		return;
	snprintf(detail, sizeof(detail), "%" PRIu64 " bytes follow its end", (uint64_t)len - end);
	segment_report(w, SEGMENT_PICKLE,
		       (struct finding){ .code = PROB_CHROMA_INDEX_PICKLE_UNREADABLE,
					 .has_offset = true,
					 .offset = end,
					 .detail = detail });
}

/* The server in Rust takes them into numbers without a sign, and the labels into 32 bits. */
static void check_numbers(struct segment_work *w)
{
	const struct pickle_meta *meta = &w->pickle.meta;
	const struct {
		const char *name;
		const struct pickle_integer *number;
		int64_t most;
	} rows[] = {
		{ "dimensionality", &meta->dimensionality, INT64_MAX },
		{ "total_elements_added", &meta->total_elements_added, UINT32_MAX },
		{ "max_seq_id", &meta->max_seq_id, INT64_MAX },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		const struct pickle_integer *n = rows[i].number;
		char detail[96];

		if (!n->is_set || (n->value >= 0 && n->value <= rows[i].most))
			continue;
		snprintf(detail, sizeof(detail), "%s is %" PRId64 ", which is out of range",
			 rows[i].name, n->value);
		segment_report(w, SEGMENT_PICKLE,
			       (struct finding){ .code = PROB_CHROMA_INDEX_PICKLE_UNREADABLE,
						 .has_offset = true,
						 .offset = n->off,
						 .detail = detail });
	}
}

static void report_fault(struct segment_work *w, const struct pickle_fault *fault)
{
	bool is_end = fault->kind == PICKLE_FAULT_END;

	segment_report(w, SEGMENT_PICKLE,
		       (struct finding){ .code = is_end ? PROB_CHROMA_INDEX_PICKLE_TRUNCATED
							: PROB_CHROMA_INDEX_PICKLE_UNREADABLE,
					 .has_offset = true,
					 .offset = fault->off,
					 .detail = w->bytes[SEGMENT_PICKLE].len == 0
							   ? "the file is empty"
							   : fault->text });
}

/* ---- the two maps ---- */

static int compare_ids(const void *a_, const void *b_)
{
	const struct segment_pair *a = a_, *b = b_;
	int r = slice_cmp(a->id, b->id);

	return r != 0 ? r : (a->label > b->label) - (a->label < b->label);
}

static int compare_labels(const void *a_, const void *b_)
{
	const struct segment_pair *a = a_, *b = b_;
	int r = (a->label > b->label) - (a->label < b->label);

	return r != 0 ? r : slice_cmp(a->id, b->id);
}

static int compare_label_only(const void *a_, const void *b_)
{
	const struct segment_pair *a = a_, *b = b_;

	return (a->label > b->label) - (a->label < b->label);
}

static const struct segment_pair *find_label(const struct segment_pickle *p, int64_t label)
{
	const struct segment_pair key = { .label = label };

	if (p->by_label.count == 0)
		return NULL;
	return bsearch(&key, p->by_label.row, p->by_label.count, sizeof(key), compare_label_only);
}

static void sort(struct segment_pairs *pairs, int (*compare)(const void *, const void *))
{
	if (pairs->count > 1)
		qsort(pairs->row, pairs->count, sizeof(*pairs->row), compare);
}

/* Each id has one label and each label one id, and both maps say the same. */
static void check_maps(struct segment_work *w)
{
	const struct segment_pickle *p = &w->pickle;
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct finding f = { .code = PROB_CHROMA_INDEX_PICKLE_MAPS, .has_count = true };

	for (size_t i = 0; i < p->by_id.count; i++) {
		const struct segment_pair *a = &p->by_id.row[i];
		const struct segment_pair *b = find_label(p, a->label);
		bool is_double = i > 0 && slice_eq(a->id, a[-1].id);

		if (b && slice_eq(a->id, b->id) && !is_double && a->label > 0 &&
		    a->label <= UINT32_MAX)
			continue;
		if (f.count++ == 0)
			f.document = a->id;
	}
	if (p->by_label.count > p->by_id.count)
		f.count += p->by_label.count - p->by_id.count;
	if (f.count == 0)
		return;
	buf_printf(&detail, "%zu ids have a label, and %zu labels an id", p->by_id.count,
		   p->by_label.count);
	f.detail = buf_cstr(&detail);
	segment_report(w, SEGMENT_PICKLE, f);
}

static int read_bytes(struct segment_work *w, struct vs_err *err)
{
	struct vs_err why = { 0 };
	int r = file_read_at(w->fd, segment_file_name(SEGMENT_PICKLE), FILE_NO_FOLLOW,
			     PICKLE_FILE_MAX, &w->bytes[SEGMENT_PICKLE], NULL, &why);

	if (r == VS_ENOMEM)
		return vs_fail(err, VS_ENOMEM, "%s", why.text);
	if (r != 0)
		segment_gap(w, SEGMENT_PICKLE, "ids and labels", r < 0 ? why.text : "it changed");
	w->is_read[SEGMENT_PICKLE] = r == 0;
	return 0;
}

int segment_check_pickle(struct segment_work *w, struct vs_err *err)
{
	const struct pickle_sink sink = { .ctx = &w->pickle, .entry = take_entry };
	struct pickle_fault fault = { 0 };
	bool is_dangerous;
	struct slice bytes;
	int r;

	if (!w->is_there[SEGMENT_PICKLE])
		return 0;
	r = read_bytes(w, err);
	if (r < 0 || !w->is_read[SEGMENT_PICKLE])
		return r;
	bytes = buf_slice(&w->bytes[SEGMENT_PICKLE]);
	r = check_danger(w, bytes, &is_dangerous, err);
	if (r < 0)
		return r;
	r = pickle_read(bytes, &sink, &w->pickle.meta, &fault, err);
	if (r < 0)
		return r;
	sort(&w->pickle.by_id, compare_ids);
	sort(&w->pickle.by_label, compare_labels);
	w->pickle.is_whole = r > 0 && !is_dangerous;
	w->figures.is_class = w->pickle.meta.is_class;
	if (!w->pickle.is_whole) {
		if (!is_dangerous)
			report_fault(w, &fault);
		return 0;
	}
	check_end(w, bytes.len);
	check_numbers(w);
	w->figures.mapped = w->pickle.by_id.count;
	if (w->pickle.meta.total_elements_added.value > 0)
		w->figures.counter = (uint64_t)w->pickle.meta.total_elements_added.value;
	check_maps(w);
	return 0;
}
