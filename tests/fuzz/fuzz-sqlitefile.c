/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hostile SQLite files: the schema, the tree below each of the first pages, and every stray leaf.
 *
 * Oracles: nothing outside of the file is read, a page is handed over once, rows are inside of their
 * page, and all values are inside of the payload limit.
 */

#include "sqlitefile/sqlitefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
	struct sqlitefile *f;
	uint64_t rows;
	uint8_t sum;
};

static int read_input(void *ctx, uint64_t off, void *to, size_t len, struct vs_err *err)
{
	const struct input *in = ctx;

	(void)err;
	if (off > in->size || len > in->size - off)
		abort();
	memcpy(to, in->data + off, len);
	return 0;
}

static int take(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct input *in = ctx;
	uint64_t bytes = 0;

	(void)err;
	in->rows++;
	if (row->count > SQLITEFILE_COLUMNS_MAX || row->off >= in->size)
		abort();
	if ((row->off / sqlitefile_info(in->f)->page_size) + 1 != row->page)
		abort();
	for (uint32_t i = 0; i < row->count; i++) {
		const struct slice b = row->value[i].bytes;

		bytes += b.len;
		/* Every byte is there to be read. */
		for (size_t k = 0; k < b.len; k++)
			in->sum ^= b.ptr[k];
	}
	if (bytes > in->size)
		abort();
	return 0;
}

static void problem(void *ctx, const struct sqlitefile_problem *p)
{
	const struct input *in = ctx;

	if (p->page == 0 || !p->what || p->page > sqlitefile_info(in->f)->pages)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
	struct input in = { .data = data, .size = size };
	const struct sqlitefile_source source = { &in, size, read_input };
	const struct sqlitefile_sink sink = { .ctx = &in, .row = take, .problem = problem };
	struct vs_err err = { 0 };
	enum sqlitefile_tree tree;
	uint32_t page = 0;

	if (sqlitefile_open(&f, &source, &err) < 0)
		return 0;
	in.f = f;
	for (uint32_t root = 1; root < 12; root++) {
		if (sqlitefile_walk(f, root, root % 3 == 0 ? SQLITEFILE_INDEX : SQLITEFILE_TABLE,
				    &sink, &err) < 0)
			abort();
	}
	while (sqlitefile_next_stray(f, &page, &tree, &err) == 1)
		if (sqlitefile_leaf(f, page, tree, &sink, &err) < 0)
			abort();
	return 0;
}
