/* SPDX-License-Identifier: Apache-2.0 */

/* How the file is laid out: by its header, or, where that is damaged, by its pages. */

#include "sqlitefile/sqlitefile-private.h"

#define PAGE_SIZE_MIN 512u
#define PAGE_SIZE_MAX 65536u

/* So many pages of each size are looked at to find the right one. */
#define SAMPLES 1024u

static bool is_page_size(uint32_t size)
{
	return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

/*
 * Is there something in the second half of the page, and nothing behind it? Cells are put at the end
 * first, so this is its size, and a smaller or a larger one is not. A page that is one large cell does
 * not tell.
 */
static bool fills_its_size(const struct page *page, uint32_t size)
{
	uint32_t content = load_be16(page->bytes + page->start + 5);
	uint32_t highest = 0;

	if (page->kind == PAGE_OTHER || page->cells == 0)
		return false;
	for (uint32_t i = 0; i < page->cells; i++) {
		uint32_t off = page_cell(page, size, i);

		if (off < content)
			return false;
		highest = VS_MAX(highest, off);
	}
	return highest >= size / 2;
}

/* How many bytes of the file look like pages of @size. */
static int count_likely(struct sqlitefile *f, uint32_t size, uint64_t *likely, struct vs_err *err)
{
	uint64_t pages = f->source.size / size;
	uint64_t step = VS_MAX(pages / SAMPLES, (uint64_t)1);

	*likely = 0;
	for (uint64_t i = 0; i < pages; i += step) {
		struct page page = { .number = (uint32_t)VS_MIN(i + 1, (uint64_t)UINT32_MAX),
				     .bytes = f->page.bytes,
				     .there = size,
				     .start = i == 0 ? HEADER_LEN : 0 };
		int r = f->source.read(f->source.ctx, i * size, page.bytes, size, err);

		if (r < 0)
			return r;
		page_look(&page, size);
		if (fills_its_size(&page, size))
			*likely += size * step;
	}
	return 0;
}

static int guess_page_size(struct sqlitefile *f, uint32_t *out, struct vs_err *err)
{
	uint64_t best = 0, likely;
	int r = 0;

	*out = 0;
	for (uint32_t size = PAGE_SIZE_MIN; r == 0 && size <= PAGE_SIZE_MAX; size *= 2) {
		r = count_likely(f, size, &likely, err);
		if (r == 0 && likely > best) {
			best = likely;
			*out = size;
		}
	}
	return r;
}

/* The fields that never differ, and a page size that one can be. */
static bool is_sound(const unsigned char head[HEADER_LEN], uint32_t *page_size)
{
	static const char magic[] = "SQLite format 3";

	*page_size = load_be16(head + 16);
	if (*page_size == 1)
		*page_size = PAGE_SIZE_MAX;
	return memcmp(head, magic, sizeof(magic)) == 0 && is_page_size(*page_size) &&
	       head[18] <= 2 && head[19] <= 2 && head[21] == 64 && head[22] == 32 &&
	       head[23] == 32 && *page_size - head[20] >= 480;
}

int header_read(struct sqlitefile *f, struct vs_err *err)
{
	unsigned char head[HEADER_LEN] = { 0 };
	struct sqlitefile_info *info = &f->info;
	size_t len = (size_t)VS_MIN(f->source.size, (uint64_t)HEADER_LEN);
	uint64_t pages, likely = 0;
	int r;

	r = f->source.read(f->source.ctx, 0, head, len, err);
	info->is_header_sound = r == 0 && len == HEADER_LEN && is_sound(head, &info->page_size);
	if (r == 0 && info->is_header_sound)
		r = count_likely(f, info->page_size, &likely, err);
	if (r == 0 && likely == 0) {
		uint32_t guess;

		r = guess_page_size(f, &guess, err);
		/* Neither does any other size explain the file: then it has no rows, and that is that. */
		if (r == 0 && guess > 0 && guess != info->page_size) {
			info->page_size = guess;
			info->is_header_sound = false;
		} else if (r == 0 && guess == 0 && !info->is_header_sound) {
			return vs_fail(err, VS_EFORMAT,
				       "no page of the file looks like one of an SQLite database");
		}
	}
	if (r < 0)
		return r;
	info->usable = info->page_size - (info->is_header_sound ? head[20] : 0);
	pages = (f->source.size + info->page_size - 1) / info->page_size;
	if (pages > SQLITEFILE_PAGES_MAX)
		return vs_fail(err, VS_ELIMIT, "more pages than an SQLite database can have");
	info->pages = (uint32_t)pages;
	info->is_truncated = f->source.size % info->page_size != 0;
	if (!info->is_header_sound)
		return 0;
	/* Valid when both counters of changes are the same. */
	if (memcmp(head + 24, head + 92, 4) == 0)
		info->header_pages = load_be32(head + 28);
	info->is_truncated |= info->header_pages > info->pages;
	return 0;
}
