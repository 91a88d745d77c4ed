/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What leads to the pages of a segment: a row of %_idx for each page with terms, and for long lists
 * an index of the rows at which their pages begin. A search follows them, so they are held against
 * what the pages were found to have.
 */

#include "fts5/fts5.h"

static int odd(const struct fts5_reader *r, uint64_t page, const char *what, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "segment %" PRIu64 ", page %" PRIu64 ": %s",
		       r->segment.number, page, what);
}

/* The page @page as it was read; NULL: it was not. */
static const struct fts5_note *note_of(const struct fts5_reader *r, uint64_t page)
{
	uint64_t at = page - r->segment.first;

	return page >= r->segment.first && at < r->note_count ? &r->notes[at] : NULL;
}

bool fts5_is_merged(const struct fts5_reader *r, uint64_t page)
{
	return r->segment.first == 0 || page < r->segment.first;
}

/* The last term before the page at @at. */
static const struct fts5_term *last_before(const struct fts5_reader *r, size_t at)
{
	while (at-- > 0) {
		if (r->notes[at].has_term)
			return &r->notes[at].last;
	}
	return NULL;
}

/*
 * A search goes to the page of the greatest row that is not above its term. So the row of a page is
 * above all terms of the pages before it, and not above its own first one.
 */
int fts5_path_row(const struct fts5_reader *r, struct fts5_path *path, struct slice term,
		  uint64_t page, struct vs_err *err)
{
	const struct fts5_note *note = note_of(r, page);
	const struct fts5_term *before;
	struct fts5_term row = { 0 };
	size_t at;

	/* It went into a merge, or all of the segment; FTS5 leaves the rows. */
	if (fts5_is_merged(r, page))
		return 0;
	if (!note || !note->has_term || term.len > FTS5_TERM_MAX)
		return odd(r, page, "a row of the terms leads to no term", err);
	at = (size_t)(page - r->segment.first);
	if (at < path->next)
		return odd(r, page, "rows of the terms lead back", err);
	for (; path->next < at; path->next++) {
		if (r->notes[path->next].has_term)
			return odd(r, r->segment.first + path->next, "no row leads to it", err);
	}
	path->next = at + 1;
	row.len = (uint8_t)term.len;
	if (term.len > 0)
		memcpy(row.bytes, term.ptr, term.len);
	before = last_before(r, at);
	if (fts5_term_cmp(&row, &note->first) > 0 || (before && fts5_term_cmp(before, &row) >= 0))
		return odd(r, page, "another term leads to it", err);
	return 0;
}

int fts5_path_end(const struct fts5_reader *r, const struct fts5_path *path, struct vs_err *err)
{
	for (size_t i = path->next; i < r->note_count; i++) {
		if (r->notes[i].has_term)
			return odd(r, r->segment.first + i, "no row leads to it", err);
	}
	return 0;
}

/* Pages of the list that were passed over have no row that begins there. */
static int check_passed(const struct fts5_reader *r, uint64_t from, uint64_t to, struct vs_err *err)
{
	for (uint64_t page = from; page < to; page++) {
		const struct fts5_note *note = note_of(r, page);

		if (!note || note->has_rowid)
			return odd(r, page, "the index of rows passes it over", err);
	}
	return 0;
}

int fts5_check_rows(const struct fts5_reader *r, uint64_t page, struct slice record,
		    struct vs_err *err)
{
	uint64_t at_page, rowid, step;
	uint64_t before = page;
	size_t at = 1;

	if (record.len < 1 || record.ptr[0] != 0)
		return vs_fail(err, VS_ENOTSUP, "an index of rows of more than one page");
	if (!fts5_varint(record, &at, &at_page) || !fts5_varint(record, &at, &rowid))
		return odd(r, page, "its index of rows is cut short", err);
	while (true) {
		const struct fts5_note *note = note_of(r, at_page);
		int code;

		if (!note || !note->has_rowid || (uint64_t)note->rowid != rowid ||
		    at_page <= before)
			return odd(r, page, "its index of rows leads to another", err);
		code = check_passed(r, before + 1, at_page, err);
		if (code < 0)
			return code;
		before = at_page;
		for (at_page++; at < record.len && record.ptr[at] == 0; at++)
			at_page++;
		if (at == record.len)
			return 0;
		if (!fts5_varint(record, &at, &step))
			return odd(r, page, "its index of rows is cut short", err);
		rowid += step;
	}
}
