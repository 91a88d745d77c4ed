/* SPDX-License-Identifier: Apache-2.0 */

/* One page of the file, and what its head says. */

#include "sqlitefile/sqlitefile-private.h"

void page_look(struct page *page, uint32_t usable)
{
	const unsigned char *head = page->bytes + page->start;
	uint32_t head_len, content, end;

	page->kind = PAGE_OTHER;
	switch (head[0]) {
	case PAGE_INDEX_INTERIOR:
	case PAGE_TABLE_INTERIOR:
		head_len = 12;
		break;
	case PAGE_INDEX_LEAF:
	case PAGE_TABLE_LEAF:
		head_len = 8;
		break;
	default:
		return;
	}
	page->cells = load_be16(head + 3);
	content = load_be16(head + 5);
	content = content == 0 ? 65536 : content;
	page->pointers = page->start + head_len;
	end = page->pointers + 2 * page->cells;
	/* Nothing is in two places, and at most 60 bytes are scattered. */
	if (end > content || content > usable || head[7] > 60 || load_be16(head + 1) >= usable)
		return;
	if (page->there < page->pointers)
		return;
	page->kind = (enum page_kind)head[0];
}

uint32_t page_cell(const struct page *page, uint32_t usable, uint32_t index)
{
	uint32_t at = page->pointers + 2 * index;
	uint32_t off;

	if (at + 2 > page->there)
		return 0;
	off = load_be16(page->bytes + at);
	return off >= page->pointers + 2 * page->cells && off < usable && off < page->there ? off
											    : 0;
}

int page_load(struct sqlitefile *f, uint32_t number, struct page *page, struct vs_err *err)
{
	uint64_t off = page_off(f, number);
	uint64_t there = VS_MIN((uint64_t)f->info.page_size, f->source.size - off);
	int r = f->source.read(f->source.ctx, off, page->bytes, (size_t)there, err);

	if (r < 0)
		return r;
	memset(page->bytes + there, 0, f->info.page_size - (size_t)there);
	page->number = number;
	page->there = (uint32_t)there;
	page->start = number == 1 ? HEADER_LEN : 0;
	page_look(page, f->info.usable);
	return 0;
}
