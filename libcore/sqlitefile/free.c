/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of free pages. What they hold are rows that were deleted, or older copies of rows that have
 * moved, so none of it may come back.
 *
 *	trunk page	next trunk | count | count page numbers
 */

#include "sqlitefile/sqlitefile-private.h"

static void mark(struct sqlitefile *f, uint32_t page)
{
	if (f->state[page] & PAGE_IS_FREE)
		return;
	f->state[page] |= PAGE_IS_FREE;
	f->info.free_pages++;
}

/* Does the page in f->page name other pages, and nothing else, as a part of the list does? */
static bool is_trunk(const struct sqlitefile *f)
{
	const unsigned char *bytes = f->page.bytes;
	uint32_t next = load_be32(bytes);
	uint32_t count = load_be32(bytes + 4);

	if (f->page.there < f->info.page_size || next > f->info.pages || next == 1 ||
	    next == f->page.number || count > f->info.usable / 4 - 2)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t leaf = load_be32(bytes + 8 + (size_t)4 * i);

		if (leaf < 2 || leaf > f->info.pages || leaf == f->page.number)
			return false;
	}
	return true;
}

static void mark_trunk(struct sqlitefile *f)
{
	uint32_t count = load_be32(f->page.bytes + 4);

	mark(f, f->page.number);
	for (uint32_t i = 0; i < count; i++)
		mark(f, load_be32(f->page.bytes + 8 + (size_t)4 * i));
}

int free_read(struct sqlitefile *f, struct vs_err *err)
{
	unsigned char head[8];
	uint32_t next, want;
	int r;

	if (!f->info.is_header_sound)
		return 0;
	r = f->source.read(f->source.ctx, 32, head, sizeof(head), err);
	if (r < 0)
		return r;
	next = load_be32(head);
	want = load_be32(head + 4);
	while (next != 0) {
		/* A page that is marked already makes the list a ring. */
		if (next < 2 || next > f->info.pages || (f->state[next] & PAGE_IS_FREE) != 0)
			return 0;
		r = page_load(f, next, &f->page, err);
		if (r < 0)
			return r;
		if (!is_trunk(f))
			return 0;
		mark_trunk(f);
		next = load_be32(f->page.bytes);
	}
	f->info.is_freelist_sound = f->info.free_pages == want;
	return 0;
}

int free_scan(struct sqlitefile *f, struct vs_err *err)
{
	if (f->info.is_freelist_sound || f->was_scanned)
		return 0;
	f->was_scanned = true;
	for (uint32_t i = 2; i <= f->info.pages; i++) {
		int r;

		if (f->state[i] & (PAGE_IS_TAKEN | PAGE_IS_FREE))
			continue;
		r = page_load(f, i, &f->page, err);
		if (r < 0)
			return r;
		/* Zeros name nothing, and what is taken is not free. */
		if (f->page.kind == PAGE_OTHER && load_be32(f->page.bytes + 4) > 0 && is_trunk(f))
			mark_trunk(f);
	}
	return 0;
}
