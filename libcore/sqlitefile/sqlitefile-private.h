/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share. */

#include "sqlitefile/sqlitefile.h"

#define HEADER_LEN 100u

enum page_kind {
	PAGE_OTHER = 0,
	PAGE_INDEX_INTERIOR = 2,
	PAGE_TABLE_INTERIOR = 5,
	PAGE_INDEX_LEAF = 10,
	PAGE_TABLE_LEAF = 13,
};

/* A page in memory. */
struct page {
	uint32_t number;
	enum page_kind kind;
	unsigned char *bytes; /* page_size of them; zeros behind @there */
	uint32_t there;       /* of them are in the file */
	uint32_t start;       /* of the b-tree page: 100 in page 1 */
	uint32_t cells;
	uint32_t pointers; /* where their pointers begin */
};

/* What is known of each page. */
enum {
	PAGE_IS_TAKEN = 1, /* by a walk */
	PAGE_IS_FREE = 2,  /* by the list of free pages */
};

struct sqlitefile {
	struct sqlitefile_source source;
	struct sqlitefile_info info;
	unsigned char *state; /* owned; info.pages + 1 */
	struct page page;
	unsigned char *overflow; /* owned; a page of a chain */
	struct buf payload;
	struct sqlitefile_row row;
	bool was_scanned; /* for lists of free pages, where the header does not tell */
};

static inline uint32_t load_be16(const unsigned char *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint64_t page_off(const struct sqlitefile *f, uint32_t number)
{
	return (uint64_t)(number - 1) * f->info.page_size;
}

/* Read page @number, which is in the file, and look at its head (page.c). */
must_check_ int page_load(struct sqlitefile *f, uint32_t number, struct page *page,
			  struct vs_err *err);

/* Fill in what the head of the page says; PAGE_OTHER when it is none of a b-tree. */
void page_look(struct page *page, uint32_t usable);

/* Offset in the page of cell @index; 0: outside of it. */
uint32_t page_cell(const struct page *page, uint32_t usable, uint32_t index);

/* A number of 1 to 9 bytes at *@at, which is moved behind it. */
must_check_ bool varint_read(const unsigned char *bytes, size_t len, size_t *at, uint64_t *out);

/*
 * The cell at @off as a row of f->row. Returns NULL, or what is wrong with it (record.c). A negative
 * *@r: reading failed.
 */
const char *cell_read(struct sqlitefile *f, const struct page *page, uint32_t off, int *r,
		      struct vs_err *err);

/* Find out how the file is laid out (header.c). */
must_check_ int header_read(struct sqlitefile *f, struct vs_err *err);

/* Mark the free pages, by the header (free.c). */
must_check_ int free_read(struct sqlitefile *f, struct vs_err *err);

/* The same by pages that look like parts of the list, where the header does not say. */
must_check_ int free_scan(struct sqlitefile *f, struct vs_err *err);
