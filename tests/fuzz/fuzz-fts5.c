/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hostile pages of a full-text index. The first byte says what follows: 0 a structure; else it is the
 * size of a page in units of eight bytes, and pages follow, the last of which is also tried as an index
 * of rows.
 *
 * Oracles: terms and rows rise, terms have no more than their bytes, positions are in the input's
 * size, and reading ends.
 */

#include "fts5/fts5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size, page;
	uint8_t sum;
};

static int give(void *ctx, uint32_t page, struct slice *out, struct vs_err *err)
{
	const struct input *in = ctx;
	size_t off = (page - 1) * in->page;

	(void)err;
	if (off >= in->size)
		abort();
	*out = slice_of(in->data + off, VS_MIN(in->page, in->size - off));
	return 0;
}

static void read_structure(const uint8_t *data, size_t size)
{
	struct fts5_structure s = { 0 };
	struct vs_err err = { 0 };

	if (fts5_structure_read(&s, slice_of(data, size), &err) < 0)
		return;
	for (size_t i = 0; i < s.count; i++)
		if (s.segments[i].first > s.segments[i].last || s.segments[i].number == 0)
			abort();
	fts5_structure_fini(&s);
}

static void read_entries(struct fts5_reader *r, struct input *in, struct vs_err *err)
{
	struct fts5_entry e = { 0 };
	int64_t before = 0;
	bool is_first = true;

	while (fts5_reader_entry(r, &e, err) > 0) {
		if ((!is_first && e.rowid <= before) || e.positions.len > in->size)
			abort();
		for (size_t i = 0; i < e.positions.len; i++)
			in->sum ^= e.positions.ptr[i];
		before = e.rowid;
		is_first = false;
	}
}

static void read_segment(struct input *in)
{
	const uint32_t pages = (uint32_t)((in->size + in->page - 1) / in->page);
	const struct fts5_segment segment = { 1, 1, pages };
	const struct fts5_source source = { in, give };
	struct fts5_path path = { 0 };
	struct fts5_reader r = { 0 };
	struct fts5_term before = { 0 };
	struct vs_err err = { 0 };
	struct slice last = { 0 };
	unsigned count = 0;

	if (fts5_reader_begin(&r, &segment, &source, &err) == 0) {
		while (fts5_reader_term(&r, &err) > 0) {
			if (r.term.len > FTS5_TERM_MAX ||
			    (count > 0 && fts5_term_cmp(&before, &r.term) >= 0))
				abort();
			before = r.term;
			/* Every third is passed over. */
			if (count++ % 3 != 2)
				read_entries(&r, in, &err);
		}
	}
	for (size_t i = 0; i < r.note_count; i++) {
		struct slice term = slice_of(r.notes[i].first.bytes, r.notes[i].first.len);

		/* What was read whole leads to itself. */
		if (err.text[0] == '\0' && r.notes[i].has_term &&
		    fts5_path_row(&r, &path, term, i + 1, &err) < 0)
			abort();
	}
	(void)!fts5_path_end(&r, &path, &err);
	(void)!give(in, pages, &last, &err);
	for (uint64_t page = 0; page < 4; page++)
		(void)!fts5_check_rows(&r, page, last, &err);
	fts5_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data + 1, .size = size - 1 };

	if (size < 2)
		return 0;
	in.page = (size_t)data[0] * 8;
	if (in.page == 0)
		read_structure(data + 1, size - 1);
	else
		read_segment(&in);
	return 0;
}
