/* SPDX-License-Identifier: Apache-2.0 */

/* Checking the header and the sizes of the files, and the order of the whole check. */

#include "hnsw/checker.h"

static const char *const finding_names[] = {
	[HNSW_HEADER_SIZE] = "header-size",
	[HNSW_HEADER_FIELD] = "header-field",
	[HNSW_COUNT_HIGH] = "count-high",
	[HNSW_ENTRY_RANGE] = "entry-range",
	[HNSW_ENTRY_LEVEL] = "entry-level",
	[HNSW_ENTRY_DELETED] = "entry-deleted",
	[HNSW_LEVEL0_SHORT] = "level0-short",
	[HNSW_LENGTH_SHORT] = "length-short",
	[HNSW_LINKS_SHORT] = "links-short",
	[HNSW_LINKS_SIZE] = "links-size",
	[HNSW_LINKS_LONG] = "links-long",
	[HNSW_FLAGS] = "flags",
	[HNSW_LINK_COUNT] = "link-count",
	[HNSW_LINK_RANGE] = "link-range",
	[HNSW_LINK_SELF] = "link-self",
	[HNSW_LINK_DUPLICATE] = "link-duplicate",
	[HNSW_LINK_LEVEL] = "link-level",
	[HNSW_NO_LINKS] = "no-links",
	[HNSW_LABEL_RANGE] = "label-range",
	[HNSW_LABEL_DUPLICATE] = "label-duplicate",
	[HNSW_VALUE_NOT_FINITE] = "value-not-finite",
	[HNSW_NORM] = "norm",
	[HNSW_LENGTH_VALUE] = "length-value",
	[HNSW_UNREACHABLE] = "unreachable",
	[HNSW_CUT_OFF] = "cut-off",
};

const char *hnsw_finding_name(enum hnsw_finding_kind kind)
{
	return finding_names[kind];
}

int hnsw_report(struct hnsw_checker *c, const struct hnsw_finding *f)
{
	c->stats->findings++;
	return c->request->finding != NULL ? c->request->finding(c->request->ctx, f, c->err) : 0;
}

/* ---- the header ---- */

static int field(struct hnsw_checker *c, enum hnsw_finding_kind kind, const char *name,
		 uint64_t off, uint64_t expected, uint64_t actual)
{
	const struct hnsw_finding f = {
		.kind = kind,
		.file = HNSW_HEADER,
		.off = off,
		.element = HNSW_NO_ELEMENT,
		.expected = expected,
		.actual = actual,
		.field = kind == HNSW_HEADER_FIELD ? name : NULL,
	};

	return hnsw_report(c, &f);
}

/* Signed and floating fields are compared by what they mean, and reported by their bits. */
static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static int check_mult(struct hnsw_checker *c, const struct hnsw_header *h)
{
	double want = h->m > 1 ? 1 / log((double)h->m) : INFINITY;

	/* Nothing to compare with where M itself is impossible. */
	if (h->m < 2 || h->m > HNSW_M_MAX || fabs(h->mult - want) <= want * 1e-9)
		return 0;
	return field(c, HNSW_HEADER_FIELD, "mult", HNSW_AT_MULT, bits_of(want), bits_of(h->mult));
}

static int check_sizes_in_header(struct hnsw_checker *c, const struct hnsw_header *h)
{
	uint64_t values = h->label_offset - h->vector_offset;
	const struct {
		const char *name;
		uint64_t off, expected, actual;
	} rows[] = {
		{ "version", HNSW_AT_VERSION, 1, (uint32_t)h->version },
		{ "offset_level0", HNSW_AT_OFFSET_LEVEL0, 0, h->offset_level0 },
		{ "max_m", HNSW_AT_MAX_M, h->m, h->max_m },
		{ "max_m0", HNSW_AT_MAX_M0, 2 * h->m, h->max_m0 },
		{ "vector_offset", HNSW_AT_VECTOR_OFFSET, 4 + 4 * h->max_m0, h->vector_offset },
		{ "record_size", HNSW_AT_RECORD_SIZE, h->label_offset + 8, h->record_size },
		{ "ef_construction", HNSW_AT_EF_CONSTRUCTION, VS_MAX(h->m, h->ef_construction),
		  h->ef_construction },
	};
	int r;

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		if (rows[i].expected == rows[i].actual)
			continue;
		r = field(c, HNSW_HEADER_FIELD, rows[i].name, rows[i].off, rows[i].expected,
			  rows[i].actual);
		if (r < 0)
			return r;
	}
	if (h->label_offset <= h->vector_offset || values % 4 != 0 || values / 4 > HNSW_DIM_MAX)
		return field(c, HNSW_HEADER_FIELD, "label_offset", HNSW_AT_LABEL_OFFSET,
			     h->record_size - 8, h->label_offset);
	return 0;
}

static int check_entry(struct hnsw_checker *c, const struct hnsw_header *h)
{
	int r = 0;

	if (h->count == 0) {
		if (h->max_level != -1)
			r = field(c, HNSW_HEADER_FIELD, "max_level", HNSW_AT_MAX_LEVEL, UINT32_MAX,
				  (uint32_t)h->max_level);
		if (r == 0 && h->entry != HNSW_NO_ENTRY)
			r = field(c, HNSW_ENTRY_RANGE, "entry", HNSW_AT_ENTRY, HNSW_NO_ENTRY,
				  h->entry);
		return r;
	}
	if (h->max_level < 0 || h->max_level > (int32_t)HNSW_LEVEL_MAX)
		r = field(c, HNSW_HEADER_FIELD, "max_level", HNSW_AT_MAX_LEVEL, HNSW_LEVEL_MAX,
			  (uint32_t)h->max_level);
	if (r == 0 && h->entry >= h->count)
		r = field(c, HNSW_ENTRY_RANGE, "entry", HNSW_AT_ENTRY, h->count, h->entry);
	return r;
}

int hnsw_check_header(struct hnsw_checker *c, const struct hnsw_header *h)
{
	int r = check_sizes_in_header(c, h);

	if (r == 0)
		r = check_mult(c, h);
	if (r == 0 && h->count > h->max_elements)
		r = field(c, HNSW_COUNT_HIGH, "count", HNSW_AT_COUNT, h->max_elements, h->count);
	return r == 0 ? check_entry(c, h) : r;
}

/* ---- the sizes of the other files ---- */

static int size_finding(struct hnsw_checker *c, enum hnsw_finding_kind kind, enum hnsw_file file,
			uint64_t expected, uint64_t actual)
{
	const struct hnsw_finding f = {
		.kind = kind,
		.file = file,
		.off = VS_MIN(expected, actual),
		.element = HNSW_NO_ELEMENT,
		.expected = expected,
		.actual = actual,
	};

	return hnsw_report(c, &f);
}

/* The walk through link_lists.bin stopped before the last element: tell why. */
static int check_links_stop(struct hnsw_checker *c, struct slice links)
{
	const struct hnsw_index *x = c->index;
	uint64_t left = links.len - x->links_end;
	uint32_t size = left >= 4 ? load_le32(links.ptr + x->links_end) : 0;
	struct hnsw_finding f = {
		.kind = HNSW_LINKS_SHORT,
		.file = HNSW_LINKS,
		.off = x->links_end,
		.element = x->links_count,
		.label = hnsw_label(x, x->links_count),
		.expected = 4 + (uint64_t)size,
		.actual = left,
	};

	if (left >= 4 && (size % x->list_size != 0 || size / x->list_size > HNSW_LEVEL_MAX)) {
		f.kind = HNSW_LINKS_SIZE;
		f.expected = 0;
		f.actual = size;
	}
	return hnsw_report(c, &f);
}

static int check_files(struct hnsw_checker *c, const struct hnsw_files *files)
{
	const struct hnsw_index *x = c->index;
	bool is_count_known = x->header.count <= x->header.max_elements;
	uint64_t count = is_count_known ? x->header.count : x->count;
	uint64_t want;
	int r = 0;

	if (__builtin_mul_overflow(count, (uint64_t)x->record_size, &want))
		want = UINT64_MAX;
	if (files->file[HNSW_LEVEL0].len < want)
		r = size_finding(c, HNSW_LEVEL0_SHORT, HNSW_LEVEL0, want,
				 files->file[HNSW_LEVEL0].len);
	if (__builtin_mul_overflow(count, (uint64_t)4, &want))
		want = UINT64_MAX;
	if (r == 0 && files->file[HNSW_LENGTH].len < want)
		r = size_finding(c, HNSW_LENGTH_SHORT, HNSW_LENGTH, want,
				 files->file[HNSW_LENGTH].len);
	if (r < 0)
		return r;
	if (x->links_count < x->count)
		return check_links_stop(c, files->file[HNSW_LINKS]);
	if (x->count == count && x->links_end < files->file[HNSW_LINKS].len)
		return size_finding(c, HNSW_LINKS_LONG, HNSW_LINKS, x->links_end,
				    files->file[HNSW_LINKS].len);
	return 0;
}

/* ---- all of it ---- */

/*
 * A count above the capacity says nothing; link_lists.bin, which ends behind the last element,
 * tells how many there are. Records behind that must not be looked at.
 */
static void trust_links(struct hnsw_index *x)
{
	if (x->header.count <= x->header.max_elements || x->links_count >= x->count)
		return;
	x->count = x->links_count;
	x->level0.len = x->count * x->record_size;
}

static int check_inside(struct hnsw_checker *c)
{
	size_t count = (size_t)c->index->count + 1;
	cleanup_(vs_freep) uint32_t *linked = vs_try_alloc(count, sizeof(*linked));
	int r;

	if (linked == NULL)
		return vs_fail(c->err, VS_ENOMEM, "no memory to check %zu elements", count);
	c->linked = linked;
	r = hnsw_check_elements(c);
	if (r == 0)
		r = hnsw_check_graph(c);
	c->linked = NULL;
	return r;
}

static void begin(struct hnsw_checker *c)
{
	*c->stats = (struct hnsw_stats){ 0 };
}

int hnsw_check(const struct hnsw_files *files, const struct hnsw_check_request *request,
	       struct hnsw_stats *stats, struct vs_err *err)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_checker c = { .request = request, .stats = stats, .err = err };
	const struct slice *header = &files->file[HNSW_HEADER];
	struct hnsw_fault fault;
	struct hnsw_header h;
	int r = 0;

	begin(&c);
	if (header->len != HNSW_HEADER_LEN)
		r = size_finding(&c, HNSW_HEADER_SIZE, HNSW_HEADER, HNSW_HEADER_LEN, header->len);
	if (r < 0 || !hnsw_header_decode(*header, &h))
		return r;
	r = hnsw_check_header(&c, &h);
	if (r < 0)
		return r;
	r = hnsw_open(files, &x, &fault, err);
	if (r == 0 && stats->findings == 0)
		r = field(&c, HNSW_HEADER_FIELD, "m", fault.off, 16, h.m);
	if (r <= 0)
		return r;
	trust_links(&x);
	c.index = &x;
	stats->dim = x.dim;
	stats->count = x.count;
	r = check_files(&c, files);
	if (r == 0 && !request->is_quick)
		r = check_inside(&c);
	return r < 0 ? r : 1;
}

int hnsw_check_index(const struct hnsw_index *index, const struct hnsw_check_request *request,
		     struct hnsw_stats *stats, struct vs_err *err)
{
	struct hnsw_checker c = {
		.request = request,
		.stats = stats,
		.err = err,
		.index = index,
	};
	int r;

	begin(&c);
	stats->dim = index->dim;
	stats->count = index->count;
	r = hnsw_check_header(&c, &index->header);
	if (r == 0 && index->links_count < index->count)
		r = check_links_stop(&c, slice_of(index->links.ptr, index->links_end));
	if (r == 0 && !request->is_quick)
		r = check_inside(&c);
	return r < 0 ? r : 1;
}
