/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sqlitefile: the rows of an SQLite database file, read without SQLite
 *
 * For files that SQLite itself gives up on: it stops at the first page that is not what it should be,
 * and what hangs below a lost page is out of its reach. This reads every page by itself. Rows come
 * from the b-trees as far as these hold together, and the leaves that no tree leads to any more can be
 * asked for one by one.
 *
 *	page 1	100 bytes of header | b-tree page: the schema
 *	page n	type | free block | cells | content | fragments | (right child) | cell pointers ... cells
 *	cell	(child) | (payload size) | (rowid) | record, of which the end may be on overflow pages
 *	record	header size | a serial type a column | the columns
 *
 * https://www.sqlite.org/fileformat2.html has all of it. Numbers are big-endian, pages count from 1.
 *
 * Data only: no statement of the file is run, nothing is trusted. Every number is compared with the
 * page or the file before it is used, chains of pages are followed no further than their payload asks
 * for, trees are walked with a list and visit no page twice. Memory: a byte a page, one page, and one
 * payload of at most SQLITEFILE_PAYLOAD_MAX.
 *
 * A journal or a log beside the file is not seen. One thread uses a reader.
 */

#include "util/util.h"

#define SQLITEFILE_PAYLOAD_MAX ((uint64_t)256 << 20)
#define SQLITEFILE_COLUMNS_MAX 64u
#define SQLITEFILE_PAGES_MAX UINT32_C(0xfffffffe)

/* Where the bytes come from; borrowed until the reader is freed. */
struct sqlitefile_source {
	void *ctx;
	uint64_t size;
	/* Exactly @len bytes at @off, which are inside of @size. */
	int (*read)(void *ctx, uint64_t off, void *to, size_t len, struct vs_err *err);
};

struct sqlitefile_info {
	uint32_t page_size;
	uint32_t usable;       /* of a page: less what extensions keep at its end */
	uint32_t pages;        /* in the file; the last may be there in part */
	uint32_t header_pages; /* by the header; 0: it does not say */
	uint32_t free_pages;   /* that were never walked to, by the list of free ones */
	bool is_header_sound;  /* false: page size and the rest were found by looking at pages */
	bool is_truncated;     /* it has less than its header says, or a page in part */
	bool is_freelist_sound;
};

enum sqlitefile_type {
	SQLITEFILE_NULL,
	SQLITEFILE_INTEGER,
	SQLITEFILE_REAL,
	SQLITEFILE_TEXT, /* bytes; valid UTF-8 only when the caller finds so */
	SQLITEFILE_BLOB,
	SQLITEFILE_LOST, /* of a kind that is known and bytes that are not there any more */
};

struct sqlitefile_value {
	enum sqlitefile_type type;
	int64_t integer;
	double real;
	struct slice bytes;
};

/* A row, or an entry of an index, whose last column is the row's number. Borrowed for the call. */
struct sqlitefile_row {
	uint32_t page;
	uint64_t off;  /* of the cell, in the file */
	int64_t rowid; /* of a table's row */
	uint32_t count;
	bool is_partial; /* a value is lost */
	struct sqlitefile_value value[SQLITEFILE_COLUMNS_MAX];
};

/* Something that is not as it should be. */
struct sqlitefile_problem {
	uint32_t page;
	uint64_t off;     /* in the file */
	const char *what; /* static: "a cell that is no row" */
};

struct sqlitefile_sink {
	void *ctx;
	/* Can it be a row of what is read? Asked of all rows of a page before the first of them is
	 * handed over; a page of which more than half cannot is not handed over at all. NULL: all. */
	bool (*fits)(void *ctx, const struct sqlitefile_row *row);
	int (*row)(void *ctx, const struct sqlitefile_row *row, struct vs_err *err);
	void (*problem)(void *ctx, const struct sqlitefile_problem *problem); /* may be NULL */
};

/* A reader; owned. */
struct sqlitefile;

/*
 * Begin. Without a sound header the page size is the one with which most pages look like pages of a
 * b-tree. VS_EFORMAT: there is no such page; VS_ENOMEM.
 */
must_check_ int sqlitefile_open(struct sqlitefile **out, const struct sqlitefile_source *source,
				struct vs_err *err);
void sqlitefile_freep(struct sqlitefile **f);
const struct sqlitefile_info *sqlitefile_info(const struct sqlitefile *f);

enum sqlitefile_tree { SQLITEFILE_TABLE, SQLITEFILE_INDEX };

/*
 * All rows of the tree below page @root, in their order as far as it holds together; its pages are
 * then taken. What is wrong is told and left out. Returns 0, 1 when something was wrong, what the sink
 * returned when that was not 0, or negative. The schema is the table at page 1.
 */
must_check_ int sqlitefile_walk(struct sqlitefile *f, uint32_t root, enum sqlitefile_tree tree,
				const struct sqlitefile_sink *sink, struct vs_err *err);

/*
 * The next leaf above *@page that no walk has taken and that the file does not call free, of a table
 * or of an index. *@page begins as 0. Returns 1 with it, or 0: no more.
 */
must_check_ int sqlitefile_next_stray(struct sqlitefile *f, uint32_t *page,
				      enum sqlitefile_tree *tree, struct vs_err *err);

/* The rows of one leaf, as sqlitefile_walk() reads them; it is then taken, unless 1 is returned and
 * the sink was given nothing. */
must_check_ int sqlitefile_leaf(struct sqlitefile *f, uint32_t page, enum sqlitefile_tree tree,
				const struct sqlitefile_sink *sink, struct vs_err *err);
