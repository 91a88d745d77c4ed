/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The four files of an index directory: read as far as a healthy index of that many elements has
 * them, judged by the hnsw room, and told kind by kind.
 */

#include "check/chroma-segment-work.h"

#include <math.h>

#define KINDS (HNSW_CUT_OFF + 1)

/* The probe of level deep. */
#define PROBE_SAMPLES 200
#define PROBE_NEAREST 10
#define PROBE_EF 100
/* Data without structure, such as noise of many dimensions, gets no more than 0.4 to 0.9 even from
 * a sound graph; whatever is a record of something gets 0.95 and more. */
#define RECALL_LOW 0.80

/* Half deleted is what a rebuild is worth; a small index is searched in no time anyway. */
#define TOMBSTONES_MIN 100

/* How each kind of finding is told. Kinds without a row are no fault of a segment by themselves. */
struct kind_row {
	bool is_told;
	enum problem code;
	const char *text; /* with the figures as arguments: expected, actual */
};

static const struct kind_row kinds[KINDS] = {
	[HNSW_HEADER_SIZE] = { true, PROB_CHROMA_INDEX_HEADER,
			       "it should have %" PRIu64 " bytes and has %" PRIu64 },
	[HNSW_HEADER_FIELD] = { true, PROB_CHROMA_INDEX_HEADER, NULL },
	[HNSW_COUNT_HIGH] = { true, PROB_CHROMA_INDEX_HEADER,
			      "room for %" PRIu64 " elements, and a count of %" PRIu64 },
	[HNSW_ENTRY_RANGE] = { true, PROB_CHROMA_INDEX_ENTRY,
			       "there are %" PRIu64
			       " elements, and the search begins at %" PRIu64 },
	[HNSW_ENTRY_LEVEL] = { true, PROB_CHROMA_INDEX_ENTRY,
			       "the highest level is %" PRIu64
			       ", and the search begins on level %" PRIu64 },
	[HNSW_LEVEL0_SHORT] = { true, PROB_CHROMA_INDEX_VECTORS_SHORT, NULL },
	[HNSW_LENGTH_SHORT] = { true, PROB_CHROMA_INDEX_LENGTHS_SHORT, NULL },
	[HNSW_LINKS_SHORT] = { true, PROB_CHROMA_INDEX_LINKS_BROKEN,
			       "%" PRIu64 " bytes of lists are to follow, and %" PRIu64 " do" },
	[HNSW_LINKS_SIZE] = { true, PROB_CHROMA_INDEX_LINKS_BROKEN, NULL },
	[HNSW_LINKS_LONG] = { true, PROB_CHROMA_INDEX_LINKS_OVERSIZE, NULL },
	[HNSW_FLAGS] = { true, PROB_CHROMA_INDEX_LINK_ODD, "marks that no server sets" },
	[HNSW_LINK_COUNT] = { true, PROB_CHROMA_INDEX_LINK,
			      "room for %" PRIu64 " links, and a count of %" PRIu64 },
	[HNSW_LINK_RANGE] = { true, PROB_CHROMA_INDEX_LINK,
			      "there are %" PRIu64 " elements, and a link to number %" PRIu64 },
	[HNSW_LINK_SELF] = { true, PROB_CHROMA_INDEX_LINK_ODD, "a link to itself" },
	[HNSW_LINK_DUPLICATE] = { true, PROB_CHROMA_INDEX_LINK_ODD, "the same link twice" },
	[HNSW_LINK_LEVEL] = { true, PROB_CHROMA_INDEX_LINK,
			      "a link to an element that is not on that level" },
	[HNSW_NO_LINKS] = { true, PROB_CHROMA_INDEX_CUT_OFF, "no link leads to or from them" },
	[HNSW_LABEL_RANGE] = { true, PROB_CHROMA_INDEX_LABEL, NULL },
	[HNSW_LABEL_DUPLICATE] = { true, PROB_CHROMA_INDEX_LABEL_DUPLICATE, NULL },
	[HNSW_VALUE_NOT_FINITE] = { true, PROB_CHROMA_INDEX_VECTOR_NOT_FINITE, NULL },
	[HNSW_NORM] = { true, PROB_CHROMA_INDEX_NORM, NULL },
	[HNSW_LENGTH_VALUE] = { true, PROB_CHROMA_INDEX_LENGTHS_WRONG, NULL },
	[HNSW_UNREACHABLE] = { true, PROB_CHROMA_INDEX_UNREACHABLE, NULL },
	[HNSW_CUT_OFF] = { true, PROB_CHROMA_INDEX_CUT_OFF, "no path leads to them" },
};

struct tally {
	uint64_t count;
	struct hnsw_finding first;
};

struct tallies {
	struct tally kind[KINDS];
};

static int take_finding(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	struct tallies *t = ctx;

	(void)err;
	if (t->kind[f->kind].count++ == 0)
		t->kind[f->kind].first = *f;
	return 0;
}

/* ---- reading ---- */

/* Half of the machine's memory: an index larger than that the server cannot serve either. */
static uint64_t memory_limit(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long size = sysconf(_SC_PAGESIZE);

	if (pages <= 0 || size <= 0)
		return (uint64_t)4 << 30;
	return (uint64_t)pages / 2 * (uint64_t)size;
}

/* The bytes of a file that an index with this header can have at most. */
static uint64_t bytes_wanted(const struct hnsw_index *x, int file)
{
	uint64_t count = VS_MIN(x->header.count, (uint64_t)HNSW_ELEMENTS_MAX);

	switch (file) {
	case HNSW_LEVEL0:
		return count * x->record_size;
	case HNSW_LENGTH:
		return count * 4;
	default:
		/* One element in M has a list, one in M * M two; four times of that is no graph. */
		return count * 4 + (4 * (count / VS_MAX(x->header.max_m, 1u)) + count + 64) *
					   (uint64_t)x->list_size;
	}
}

static int read_file(struct segment_work *w, int file, const struct hnsw_index *x, uint64_t *left,
		     struct vs_err *err)
{
	uint64_t want = VS_MIN(bytes_wanted(x, file), w->info[file].size);
	struct vs_err why = { 0 };
	int r;

	if (want > *left) {
		segment_gap(w, file, "the index", "it takes more than half of the memory here");
		return 0;
	}
	*left -= want;
	r = file_read_head_at(w->fd, segment_file_name(file), FILE_NO_FOLLOW, (size_t)want,
			      &w->bytes[file], NULL, &why);
	if (r == VS_ENOMEM)
		return vs_fail(err, VS_ENOMEM, "%s", why.text);
	if (r != 0)
		segment_gap(w, file, "the index", r < 0 ? why.text : "it changed");
	w->is_read[file] = r == 0;
	return 0;
}

static int read_header(struct segment_work *w, struct vs_err *err)
{
	struct vs_err why = { 0 };
	int r = file_read_head_at(w->fd, segment_file_name(HNSW_HEADER), FILE_NO_FOLLOW,
				  HNSW_HEADER_LEN + 1, &w->bytes[HNSW_HEADER], NULL, &why);

	if (r == VS_ENOMEM)
		return vs_fail(err, VS_ENOMEM, "%s", why.text);
	if (r != 0)
		segment_gap(w, HNSW_HEADER, "the index", r < 0 ? why.text : "it changed");
	w->is_read[HNSW_HEADER] = r == 0;
	return 0;
}

static struct hnsw_files files_of(const struct segment_work *w)
{
	struct hnsw_files files;

	for (int i = 0; i < HNSW_FILES; i++)
		files.file[i] = w->is_read[i] ? buf_slice(&w->bytes[i]) : slice_of(NULL, 0);
	return files;
}

/* All that the level looks at. *@is_whole: nothing is missing because it could not be read. */
static int read_index(struct segment_work *w, bool *is_whole, struct vs_err *err)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_files files;
	struct hnsw_fault fault;
	uint64_t left = memory_limit();
	int r = read_header(w, err);

	*is_whole = false;
	if (r < 0 || !w->is_read[HNSW_HEADER])
		return r;
	files = files_of(w);
	r = hnsw_open(&files, &x, &fault, err);
	*is_whole = r == 0 || w->req->level == CHECK_QUICK;
	if (r <= 0 || w->req->level == CHECK_QUICK)
		return r;
	*is_whole = true;
	for (int i = HNSW_LEVEL0; i < HNSW_FILES && r >= 0; i++) {
		if (!w->is_there[i])
			continue;
		r = read_file(w, i, &x, &left, err);
		*is_whole &= w->is_read[i];
	}
	return r;
}

/* ---- telling ---- */

static bool is_cosine(const struct segment_work *w)
{
	return w->segment->has_space && w->segment->space == HNSW_COSINE;
}

static void describe_field(const struct hnsw_finding *f, struct buf *out)
{
	double expected, actual;

	if (strcmp(f->field, "mult") != 0) {
		buf_printf(out, "%s is %" PRId64 ", not %" PRId64, f->field, (int64_t)f->actual,
			   (int64_t)f->expected);
		return;
	}
	memcpy(&expected, &f->expected, sizeof(expected));
	memcpy(&actual, &f->actual, sizeof(actual));
	buf_printf(out, "%s is %g, not %g", f->field, actual, expected);
}

/* expected, actual and detail of the first finding of a kind, as texts. */
struct words {
	struct buf expected, actual, detail;
};

static void words_fini(struct words *words)
{
	buf_fini(&words->expected);
	buf_fini(&words->actual);
	buf_fini(&words->detail);
}

static void describe(const struct hnsw_finding *f, struct words *out)
{
	const char *text = kinds[f->kind].text;

	if (f->kind == HNSW_NORM || f->kind == HNSW_LENGTH_VALUE ||
	    f->kind == HNSW_VALUE_NOT_FINITE)
		buf_printf(&out->actual, "%g", f->value);
	else
		buf_printf(&out->actual, "%" PRIu64, f->actual);
	buf_printf(&out->expected, "%" PRIu64, f->expected);
	if (f->kind == HNSW_HEADER_FIELD)
		describe_field(f, &out->detail);
	else if (f->kind == HNSW_LINKS_SIZE)
		buf_printf(&out->detail, "element %" PRIu32 " has lists of %" PRIu64 " bytes",
			   f->element, f->actual);
	else if (text) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_printf(&out->detail, text, f->expected, f->actual);
#pragma GCC diagnostic pop
	}
}

/*
 * Servers of 1.0 and 1.3 were given headers with another mult. From 0 up they take and save new
 * elements, which are all on the lowest level, or on levels that grow with it: by 1.5 one of a
 * thousand million comes above level 31. What is larger makes link_lists.bin grow to kilobytes an
 * element; a number below 0, or none, ends the server of 1.3 at the first write.
 */
#define MULT_ODD_MAX 1.5

static bool is_odd_mult(const struct tally *t)
{
	double mult;

	if (t->first.kind != HNSW_HEADER_FIELD || t->count != 1 ||
	    strcmp(t->first.field, "mult") != 0)
		return false;
	memcpy(&mult, &t->first.actual, sizeof(mult));
	return mult >= 0 && mult <= MULT_ODD_MAX;
}

/* The count of a finding: places, but where it is about a file, what the damage costs. */
static uint64_t cost(const struct segment_work *w, const struct tally *t)
{
	const struct hnsw_finding *f = &t->first;

	if (f->kind == HNSW_LEVEL0_SHORT && w->has_index)
		return w->index.header.count - w->index.count;
	if (f->kind == HNSW_LENGTH_SHORT)
		return (f->expected - f->actual + 3) / 4;
	if (f->kind == HNSW_LINKS_LONG)
		return f->actual - f->expected;
	return f->kind == HNSW_CUT_OFF ? f->actual : t->count;
}

static void tell(struct segment_work *w, struct tally *t)
{
	cleanup_(words_fini) struct words words = { 0 };
	struct hnsw_finding *f = &t->first;
	struct finding out = { .code = kinds[f->kind].code };

	/* Only a piece of an oversized file was read. */
	if (f->kind == HNSW_LINKS_LONG)
		f->actual = w->info[HNSW_LINKS].size;
	if (f->kind == HNSW_LENGTH_SHORT && !is_cosine(w))
		out.code = PROB_CHROMA_INDEX_LENGTHS_UNREAD;
	if (is_odd_mult(t))
		out.code = PROB_CHROMA_INDEX_HEADER_ODD;
	describe(f, &words);
	out.has_offset = f->kind != HNSW_CUT_OFF;
	out.offset = f->off;
	out.has_count = true;
	out.count = cost(w, t);
	out.expected = buf_cstr(&words.expected);
	out.actual = buf_cstr(&words.actual);
	if (words.detail.len > 0)
		out.detail = buf_cstr(&words.detail);
	segment_report(w, (int)f->file, out);
}

/* Is this kind explained by another, or by what was not read? */
static bool is_explained(const struct segment_work *w, const struct tallies *t, int kind)
{
	switch (kind) {
	case HNSW_LEVEL0_SHORT:
		return !w->is_there[HNSW_LEVEL0];
	case HNSW_LENGTH_SHORT:
		return !w->is_there[HNSW_LENGTH];
	case HNSW_LINKS_SHORT:
	case HNSW_LINKS_SIZE:
		return !w->is_there[HNSW_LINKS];
	case HNSW_NO_LINKS:
		return t->kind[HNSW_CUT_OFF].count > 0;
	case HNSW_UNREACHABLE:
		return t->kind[HNSW_CUT_OFF].count > 0 || t->kind[HNSW_NO_LINKS].count > 0;
	default:
		return false;
	}
}

static void tell_all(struct segment_work *w, struct tallies *t)
{
	for (int kind = 0; kind < KINDS; kind++) {
		if (t->kind[kind].count > 0 && kinds[kind].is_told && !is_explained(w, t, kind))
			tell(w, &t->kind[kind]);
	}
}

/* ---- sizes, for level quick ---- */

static void check_size(struct tallies *t, const struct segment_work *w, enum hnsw_finding_kind kind,
		       enum hnsw_file file, uint64_t want)
{
	struct tally *tally = &t->kind[kind];

	*tally = (struct tally){ 0 };
	if (w->info[file].size >= want)
		return;
	*tally = (struct tally){ .count = 1,
				 .first = { .kind = kind,
					    .file = file,
					    .off = w->info[file].size,
					    .element = HNSW_NO_ELEMENT,
					    .expected = want,
					    .actual = w->info[file].size } };
}

/* Nothing but the header was read: judge the others by their sizes. */
static void check_sizes(struct segment_work *w, struct tallies *t)
{
	const struct hnsw_header *h = &w->index.header;

	t->kind[HNSW_LINKS_SIZE] = t->kind[HNSW_LINKS_LONG] = (struct tally){ 0 };
	if (h->count > h->max_elements) {
		t->kind[HNSW_LEVEL0_SHORT] = t->kind[HNSW_LENGTH_SHORT] =
			t->kind[HNSW_LINKS_SHORT] = (struct tally){ 0 };
		return;
	}
	w->index.count = (uint32_t)VS_MIN(w->info[HNSW_LEVEL0].size / w->index.record_size,
					  VS_MIN(h->count, (uint64_t)HNSW_ELEMENTS_MAX));
	check_size(t, w, HNSW_LEVEL0_SHORT, HNSW_LEVEL0, bytes_wanted(&w->index, HNSW_LEVEL0));
	check_size(t, w, HNSW_LENGTH_SHORT, HNSW_LENGTH, bytes_wanted(&w->index, HNSW_LENGTH));
	check_size(t, w, HNSW_LINKS_SHORT, HNSW_LINKS, bytes_wanted(&w->index, HNSW_LENGTH));
}

/* ---- against the database ---- */

static void check_settings(struct segment_work *w)
{
	const struct chroma_segment *s = w->segment;
	char expected[24], actual[24];
	struct finding f = { .expected = expected, .actual = actual };

	if (s->dimension > 0 && s->dimension != w->index.dim) {
		f.code = PROB_CHROMA_INDEX_DIMENSION;
		snprintf(expected, sizeof(expected), "%" PRIu32, s->dimension);
		snprintf(actual, sizeof(actual), "%" PRIu32, w->index.dim);
		segment_report(w, HNSW_HEADER, f);
	}
	if (s->m > 0 && s->m != w->index.header.m) {
		f.code = PROB_CHROMA_INDEX_PARAMETERS;
		snprintf(expected, sizeof(expected), "%" PRIu32, s->m);
		snprintf(actual, sizeof(actual), "%" PRIu64, w->index.header.m);
		segment_report(w, HNSW_HEADER, f);
	}
}

/* Saved for the first time, and killed before the pickle was written. */
static void check_unfinished(struct segment_work *w)
{
	if (w->is_there[SEGMENT_PICKLE] || w->segment->vector.is_set ||
	    w->info[SEGMENT_PICKLE].size > 0 || w->index.header.count == 0)
		return;
	segment_report(w, HNSW_HEADER,
		       (struct finding){ .code = PROB_CHROMA_INDEX_UNFINISHED,
					 .has_count = true,
					 .count = w->index.header.count });
}

static int probe(struct segment_work *w, struct vs_err *err)
{
	const struct hnsw_probe_request req = {
		.space = w->segment->space,
		.k = PROBE_NEAREST,
		.ef = w->segment->ef_search > 0 ? w->segment->ef_search : PROBE_EF,
		.samples = PROBE_SAMPLES,
		.seed = 1,
		.pool = w->req->pool,
	};
	struct hnsw_probe found;
	char actual[32], detail[96];
	int r = hnsw_probe(&w->index, &req, &found, err);

	if (r < 0 || found.samples == 0)
		return r;
	w->figures.has_recall = true;
	w->figures.recall = found.recall;
	/* Damage that was told explains it. */
	if (found.recall >= RECALL_LOW || w->report.severity[SEV_ERROR] > 0)
		return 0;
	snprintf(actual, sizeof(actual), "%.1f %%", 100 * found.recall);
	snprintf(detail, sizeof(detail), "%zu vectors asked for, ef %zu", found.samples, req.ef);
	segment_report(w, HNSW_LEVEL0,
		       (struct finding){ .code = PROB_CHROMA_INDEX_RECALL,
					 .actual = actual,
					 .detail = detail });
	return 0;
}

static void take_figures(struct segment_work *w, const struct hnsw_stats *stats)
{
	w->figures.elements = w->index.header.count;
	w->figures.dimension = w->index.dim;
	w->figures.deleted = stats->deleted;
	w->figures.unreachable = stats->unreachable;
	if (!w->is_ignored && stats->deleted >= TOMBSTONES_MIN && stats->deleted * 2 > stats->count)
		segment_report(w, HNSW_LEVEL0,
			       (struct finding){ .code = PROB_CHROMA_INDEX_TOMBSTONES,
						 .has_count = true,
						 .count = stats->deleted });
}

/* Keep an index of what was judged, for the checks that follow. */
static int open_index(struct segment_work *w, const struct hnsw_stats *stats, struct vs_err *err)
{
	const struct hnsw_files files = files_of(w);
	struct hnsw_fault fault;
	int r = hnsw_open(&files, &w->index, &fault, err);

	if (r <= 0)
		return r;
	w->has_index = true;
	w->index.count = VS_MIN(w->index.count, stats->count);
	w->is_index_whole = w->is_read[HNSW_LEVEL0] && w->index.count == w->index.header.count;
	return 1;
}

static int judge(struct segment_work *w, struct tallies *t, struct hnsw_stats *stats,
		 struct vs_err *err)
{
	const struct hnsw_files files = files_of(w);
	const struct hnsw_check_request request = {
		.space = w->segment->has_space ? w->segment->space : HNSW_L2,
		.is_quick = w->req->level == CHECK_QUICK,
		.pool = w->req->pool,
		.finding = take_finding,
		.ctx = t,
	};
	int r = hnsw_check(&files, &request, stats, err);

	return r < 0 ? r : open_index(w, stats, err);
}

int segment_check_index(struct segment_work *w, struct vs_err *err)
{
	cleanup_(vs_freep) struct tallies *t = NULL;
	struct hnsw_stats stats;
	bool is_whole = false;
	int r;

	if (!w->is_there[HNSW_HEADER])
		return 0;
	r = read_index(w, &is_whole, err);
	if (r < 0 || !is_whole)
		return r;
	t = vs_alloc(sizeof(*t));
	r = judge(w, t, &stats, err);
	if (r < 0)
		return r;
	if (w->has_index && w->req->level == CHECK_QUICK)
		check_sizes(w, t);
	if (!w->is_ignored)
		tell_all(w, t);
	if (!w->has_index)
		return 0;
	take_figures(w, &stats);
	check_unfinished(w);
	if (w->is_ignored)
		return 0;
	check_settings(w);
	if (w->req->level == CHECK_DEEP && w->segment->has_space && w->is_index_whole)
		return probe(w, err);
	return 0;
}
