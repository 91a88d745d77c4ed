/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fts5: the inverted index of SQLite's full-text module, read page by page without SQLite
 *
 * An index is a list of segments, which are written once and merged later. A segment is a run of
 * pages with its terms in byte order, and for each term the rows that have it and where:
 *
 *	structure	cookie {4} | levels | segments | write counter |
 *			for each level: segments being merged | count | for each segment, oldest first:
 *				number | first page | last page
 *	page		offset of the first rowid before a term {2} | offset of the footer {2} |
 *			terms with their lists | footer: the offset of each term, as differences
 *	term		(bytes kept of the one before, not for the first of a page) | length | bytes
 *	list		rowid, later the difference | 2 * length of the positions + deleted | positions
 *	positions	difference + 2, for each; 1: another column follows
 *	row index	0 | page | first rowid there | for each page after it that has no term:
 *			difference to its first rowid, or 0
 *
 * Numbers are SQLite's varints, save those of fixed length, which are big-endian. A list goes on on
 * the next page, where its first rowid stands as it is; positions may be cut between two numbers.
 * Level 0 is the newest. Where two segments have a row at the same term, the newer one is right; one
 * without positions there says that it is deleted. Facts: fts5_index.c of SQLite 3.40, at its head.
 *
 * What is read is for comparing: anything that FTS5 would not have written itself is VS_EFORMAT, and
 * what this does not know is VS_ENOTSUP. Neither says that the index is damaged. Terms are at most
 * FTS5_TERM_MAX bytes, as those of the trigram tokenizer are, and tables have one column. Opens
 * nothing; the pages come from the caller. One thread uses a reader.
 */

#include "util/util.h"

#define FTS5_TERM_MAX 16u /* a digit for the kind of index, and three characters */

struct fts5_segment {
	uint64_t number;
	uint32_t first, last; /* pages */
};

struct fts5_structure {
	struct fts5_segment *segments; /* newest first; owned */
	size_t count;
};

/* @out is owned where 0 is returned. VS_EFORMAT, VS_ENOTSUP. */
must_check_ int fts5_structure_read(struct fts5_structure *out, struct slice record,
				    struct vs_err *err);
void fts5_structure_fini(struct fts5_structure *s);

/* Where the rows of the table %_data have pages and row indexes. */
uint64_t fts5_page_row(uint64_t segment, uint32_t page);
uint64_t fts5_rows_row(uint64_t segment, uint32_t page);

/* ---- a segment ---- */

/* The next page, which is number @page; borrowed until it is asked for another. */
struct fts5_source {
	void *ctx;
	int (*page)(void *ctx, uint32_t page, struct slice *out, struct vs_err *err);
};

struct fts5_term {
	uint8_t len;
	unsigned char bytes[FTS5_TERM_MAX];
};

/* What a page was found to have, for the checks after the reading. */
struct fts5_note {
	bool has_term, has_rowid; /* a rowid before the first term */
	struct fts5_term first, last;
	int64_t rowid;
};

struct fts5_reader {
	struct fts5_source source;
	struct fts5_segment segment;
	struct fts5_note *notes; /* one for each page that was read; owned */
	size_t note_count, note_cap;
	struct slice page;
	size_t end;       /* of its terms and lists */
	size_t off;       /* in it */
	size_t rowid_off; /* 0: none before the first term */
	size_t term_off;  /* of the next term; @end: none */
	size_t footer;    /* where the offset after that one is read */
	bool is_term_read, is_at_first_row, is_first_term, is_done;
	struct fts5_term term;
	int64_t rowid;
	struct buf positions; /* of a list that was cut */
};

struct fts5_entry {
	int64_t rowid;
	bool is_deleted;        /* an older segment's entry counts no more */
	struct slice positions; /* borrowed until the next call; empty: the row does not have it */
};

/* Begin with the first page of @segment. fts5_reader_fini() whatever is returned. */
must_check_ int fts5_reader_begin(struct fts5_reader *r, const struct fts5_segment *segment,
				  const struct fts5_source *source, struct vs_err *err);
void fts5_reader_fini(struct fts5_reader *r);

/* The next term, which is @r->term. 1, or 0: no more. Entries that were not asked for are passed
 * over. */
must_check_ int fts5_reader_term(struct fts5_reader *r, struct vs_err *err);

/* The next row of that term. 1, or 0: no more. */
must_check_ int fts5_reader_entry(struct fts5_reader *r, struct fts5_entry *out,
				  struct vs_err *err);

int fts5_term_cmp(const struct fts5_term *a, const struct fts5_term *b);

/* A number at @at, which moves behind it. False: it is not whole. */
bool fts5_varint(struct slice bytes, size_t *at, uint64_t *out);

/* ---- what leads to its pages, once all of it was read (paths.c) ---- */

/* The pages with terms have a row each of the table %_idx, in order; how far they have come. */
struct fts5_path {
	size_t next; /* the page, from 0, up to which all have been seen */
};

/* Is the page no part of the segment any more? */
bool fts5_is_merged(const struct fts5_reader *r, uint64_t page);

/*
 * The next row of the segment: @term, as FTS5 cuts it, and the page it leads to. VS_EFORMAT: it leads
 * to a page that has no such term, or passes one over. fts5_path_end(): a page is left without a row.
 */
must_check_ int fts5_path_row(const struct fts5_reader *r, struct fts5_path *path,
			      struct slice term, uint64_t page, struct vs_err *err);
must_check_ int fts5_path_end(const struct fts5_reader *r, const struct fts5_path *path,
			      struct vs_err *err);

/* The row index of the list that begins on @page. VS_EFORMAT: it says other rows than the pages do;
 * VS_ENOTSUP: it has more than one level. */
must_check_ int fts5_check_rows(const struct fts5_reader *r, uint64_t page, struct slice record,
				struct vs_err *err);
