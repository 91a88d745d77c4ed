/* SPDX-License-Identifier: Apache-2.0 */

/* The structure of an index, and the terms and lists of one segment. */

#include "fts5/fts5.h"

#define PAGE_HEAD 4
#define SEGMENTS_MAX 2000 /* as FTS5 has it */

bool fts5_varint(struct slice bytes, size_t *at, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 9 && *at + i < bytes.len; i++) {
		unsigned char byte = bytes.ptr[*at + i];

		if (i == 8) {
			*out = value << 8 | byte;
			*at += 9;
			return true;
		}
		value = value << 7 | (byte & 0x7f);
		if (byte < 0x80) {
			*out = value;
			*at += i + 1;
			return true;
		}
	}
	return false;
}

uint64_t fts5_page_row(uint64_t segment, uint32_t page)
{
	return segment << 37 | page;
}

uint64_t fts5_rows_row(uint64_t segment, uint32_t page)
{
	return segment << 37 | UINT64_C(1) << 36 | page;
}

int fts5_term_cmp(const struct fts5_term *a, const struct fts5_term *b)
{
	int r = memcmp(a->bytes, b->bytes, VS_MIN(a->len, b->len));

	return r != 0 ? r : (int)a->len - (int)b->len;
}

/* Ends the reading. */
static int odd(struct fts5_reader *r, const char *what, struct vs_err *err)
{
	r->is_term_read = false;
	r->is_done = true;
	return vs_fail(err, VS_EFORMAT, "segment %" PRIu64 ", page %zu: %s", r->segment.number,
		       r->segment.first + r->note_count - (r->note_count > 0), what);
}

/* ---- structure ---- */

void fts5_structure_fini(struct fts5_structure *s)
{
	free(s->segments);
	*s = (struct fts5_structure){ 0 };
}

/* The segments of a level stand oldest first. */
static bool read_level(struct fts5_structure *s, struct slice record, size_t *at, size_t max)
{
	uint64_t merging, count, number, first, last;
	size_t from = s->count;

	if (!fts5_varint(record, at, &merging) || !fts5_varint(record, at, &count) ||
	    count > max - from)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		if (!fts5_varint(record, at, &number) || !fts5_varint(record, at, &first) ||
		    !fts5_varint(record, at, &last) || number == 0 || number > UINT16_MAX ||
		    last > INT32_MAX || first > last)
			return false;
		s->segments[from + (size_t)(count - 1 - i)] =
			(struct fts5_segment){ number, (uint32_t)first, (uint32_t)last };
	}
	s->count += (size_t)count;
	return true;
}

int fts5_structure_read(struct fts5_structure *out, struct slice record, struct vs_err *err)
{
	cleanup_(fts5_structure_fini) struct fts5_structure s = { 0 };
	uint64_t levels, segments, writes;
	size_t at = 4;

	/* What comes with deletes without contents has a mark behind the cookie. */
	if (record.len > at && record.ptr[at] == 0xff)
		return vs_fail(err, VS_ENOTSUP, "a structure of a newer release");
	if (record.len < at || !fts5_varint(record, &at, &levels) ||
	    !fts5_varint(record, &at, &segments) || !fts5_varint(record, &at, &writes) ||
	    levels > record.len || segments > SEGMENTS_MAX)
		return vs_fail(err, VS_EFORMAT, "a structure that is cut short");
	s.segments = vs_alloc_array((size_t)segments + 1, sizeof(*s.segments));
	for (uint64_t i = 0; i < levels; i++) {
		if (!read_level(&s, record, &at, (size_t)segments))
			return vs_fail(err, VS_EFORMAT, "level %" PRIu64 " is odd", i);
	}
	if (s.count != segments || at != record.len)
		return vs_fail(err, VS_EFORMAT, "another number of segments");
	*out = s;
	s = (struct fts5_structure){ 0 };
	return 0;
}

/* ---- pages ---- */

static struct slice lists_of(const struct fts5_reader *r)
{
	return slice_of(r->page.ptr, r->end);
}

/* The offset of the term after the one at @from; @end where there is none. */
static bool next_offset(struct fts5_reader *r, size_t from)
{
	uint64_t step;

	r->term_off = r->end;
	if (r->footer == r->page.len)
		return true;
	if (!fts5_varint(r->page, &r->footer, &step) || step == 0 || step >= r->end - from)
		return false;
	r->term_off = from + (size_t)step;
	return true;
}

static bool read_head(struct fts5_reader *r, struct fts5_note *note)
{
	const unsigned char *p = r->page.ptr;
	uint64_t rowid = 0;
	size_t at;

	if (r->page.len < PAGE_HEAD)
		return false;
	at = r->rowid_off = (size_t)p[0] << 8 | p[1];
	r->end = r->footer = (size_t)p[2] << 8 | p[3];
	r->off = PAGE_HEAD;
	if (r->end < PAGE_HEAD || r->end > r->page.len || !next_offset(r, 0) ||
	    r->term_off < PAGE_HEAD)
		return false;
	note->has_term = r->term_off < r->end;
	note->has_rowid = at > 0;
	if (at > 0 &&
	    (at < PAGE_HEAD || at >= r->term_off || !fts5_varint(lists_of(r), &at, &rowid)))
		return false;
	note->rowid = (int64_t)rowid;
	return true;
}

/* 1, or 0: no more. */
static int next_page(struct fts5_reader *r, struct vs_err *err)
{
	uint64_t page = r->segment.first + r->note_count;
	struct fts5_note *note;
	int code;

	if (page > r->segment.last) {
		r->is_done = true;
		return 0;
	}
	code = r->source.page(r->source.ctx, (uint32_t)page, &r->page, err);
	if (code < 0) {
		r->is_term_read = false;
		r->is_done = true;
		return code;
	}
	r->notes = vs_grow(r->notes, &r->note_cap, r->note_count + 1, sizeof(*r->notes));
	note = &r->notes[r->note_count++];
	*note = (struct fts5_note){ 0 };
	return read_head(r, note) ? 1 : odd(r, "not a page of terms", err);
}

int fts5_reader_begin(struct fts5_reader *r, const struct fts5_segment *segment,
		      const struct fts5_source *source, struct vs_err *err)
{
	int code;

	*r = (struct fts5_reader){ .source = *source, .segment = *segment };
	/* All of it has gone into a merge. */
	if (segment->first == 0) {
		r->is_done = true;
		return 0;
	}
	code = next_page(r, err);
	if (code <= 0)
		return code;
	r->is_first_term = true;
	return r->term_off == PAGE_HEAD ? 0 : odd(r, "it does not begin with a term", err);
}

void fts5_reader_fini(struct fts5_reader *r)
{
	free(r->notes);
	buf_fini(&r->positions);
	*r = (struct fts5_reader){ 0 };
}

/* ---- lists ---- */

/* To the page with the next row of the list, which is its first. 0: the list is at its end. */
static int turn_page(struct fts5_reader *r, struct vs_err *err)
{
	int code = next_page(r, err);

	if (code <= 0)
		return code;
	if (r->rowid_off == PAGE_HEAD)
		return 1;
	return r->term_off == PAGE_HEAD ? 0 : odd(r, "neither a row nor a term", err);
}

/* Positions that go on on the next pages. */
static int gather(struct fts5_reader *r, uint64_t left, struct slice *out, struct vs_err *err)
{
	buf_clear(&r->positions);
	while (true) {
		size_t stop = r->rowid_off >= r->off ? r->rowid_off : r->term_off;
		size_t n = (size_t)VS_MIN(left, (uint64_t)(stop - r->off));
		int code;

		buf_append(&r->positions, r->page.ptr + r->off, n);
		r->off += n;
		left -= n;
		if (left == 0 && r->off == stop)
			break;
		if (r->off < r->end)
			return odd(r, "positions of another length", err);
		code = next_page(r, err);
		if (code <= 0)
			return code < 0 ? code : odd(r, "positions that are cut off", err);
	}
	*out = buf_slice(&r->positions);
	return 0;
}

static int read_positions(struct fts5_reader *r, struct fts5_entry *out, struct vs_err *err)
{
	uint64_t size, len;

	if (!fts5_varint(lists_of(r), &r->off, &size) || r->off > r->term_off)
		return odd(r, "a row without a length", err);
	out->is_deleted = size & 1;
	len = size / 2;
	if (len > r->term_off - r->off)
		return gather(r, len, &out->positions, err);
	out->positions = slice_of(r->page.ptr + r->off, (size_t)len);
	r->off += (size_t)len;
	return 0;
}

/* Stand before the number of the next row. 1, or 0: there is none. *@is_whole: it is no difference. */
static int find_row(struct fts5_reader *r, bool *is_whole, struct vs_err *err)
{
	int code;

	*is_whole = r->is_at_first_row;
	if (r->off < r->end) {
		*is_whole |= r->rowid_off == r->off;
		return r->off == r->term_off && !r->is_at_first_row ? 0 : 1;
	}
	*is_whole = true;
	code = turn_page(r, err);
	return code == 0 && r->is_at_first_row ? odd(r, "a term without rows", err) : code;
}

int fts5_reader_entry(struct fts5_reader *r, struct fts5_entry *out, struct vs_err *err)
{
	uint64_t number;
	bool is_whole;
	int code;

	if (!r->is_term_read)
		return 0;
	code = find_row(r, &is_whole, err);
	if (code <= 0) {
		r->is_term_read = false;
		return code;
	}
	if (!fts5_varint(lists_of(r), &r->off, &number) || r->off > r->term_off)
		return odd(r, "a row without a number", err);
	number += is_whole ? 0 : (uint64_t)r->rowid;
	if (!r->is_at_first_row && (int64_t)number <= r->rowid)
		return odd(r, "rows that do not rise", err);
	r->is_at_first_row = false;
	r->rowid = out->rowid = (int64_t)number;
	code = read_positions(r, out, err);
	return code < 0 ? code : 1;
}

/* ---- terms ---- */

static bool read_term(struct fts5_reader *r, struct fts5_term *out)
{
	struct fts5_note *note = &r->notes[r->note_count - 1];
	uint64_t keep = 0, len;
	size_t from = r->off;

	if (note->first.len > 0 && !fts5_varint(lists_of(r), &r->off, &keep))
		return false;
	if (!fts5_varint(lists_of(r), &r->off, &len) || keep > r->term.len || len == 0 ||
	    len > FTS5_TERM_MAX - keep || len > r->end - r->off)
		return false;
	out->len = (uint8_t)(keep + len);
	memset(out->bytes, 0, sizeof(out->bytes));
	memcpy(out->bytes, r->term.bytes, (size_t)keep);
	memcpy(out->bytes + keep, r->page.ptr + r->off, (size_t)len);
	r->off += (size_t)len;
	if (note->first.len == 0)
		note->first = *out;
	note->last = *out;
	return next_offset(r, from) && r->off <= r->term_off;
}

int fts5_reader_term(struct fts5_reader *r, struct vs_err *err)
{
	struct fts5_entry passed;
	struct fts5_term term;
	int code = 1;

	while (r->is_term_read && code > 0)
		code = fts5_reader_entry(r, &passed, err);
	if (code < 0 || r->is_done)
		return code < 0 ? code : 0;
	if (!read_term(r, &term))
		return odd(r, "not a term", err);
	if (!r->is_first_term && fts5_term_cmp(&r->term, &term) >= 0)
		return odd(r, "terms that do not rise", err);
	r->term = term;
	r->is_first_term = false;
	r->is_term_read = r->is_at_first_row = true;
	return 1;
}
