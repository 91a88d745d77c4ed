/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * chroma-run: the check of a Chroma store, between its files
 *
 * The database is asked first; what it says of each collection is then held against that
 * collection's index directory (chroma-segment.h). Damage of the database stops only what needs the
 * damaged part.
 */

#include "check/check.h"
#include "check/chroma-segment.h"
#include "check/gaps.h"
#include "check/report.h"
#include "chroma/chroma.h"

/* What the queue holds of one collection, for its segment. */
struct chroma_log {
	struct chroma_segment_row *rows; /* ids are owned */
	size_t count, cap;
};

struct chroma_run {
	const struct store *store;
	const struct check_request *req;
	struct report report;
	struct gaps gaps;
	int dirfd; /* of the database, where it is another than the store's; else -1 */
	struct chroma_db *db;
	struct chroma_catalog catalog;
	struct chroma_log *logs; /* one for each collection of the catalog */
	bool *is_wrong;          /* likewise: a finding of an error names it */
	bool has_catalog;
	bool has_queue; /* the queue could be read whole */
	int64_t queue_max;
	uint64_t queue_rows;
	bool is_damaged; /* SQLite has said so of some part: reported once */
	/* Pages that are damaged, so that the full-text index tells nothing new. */
	bool has_bad_pages;
	bool is_fts_sound;    /* certain, by another thread */
	bool has_pages_apart; /* another thread asks SQLite about them */
	bool is_suspect;      /* they were not sound when it did, so that they come first */
	uint64_t documents, bytes;
};

/* Is the check about this collection? */
bool chroma_is_asked_for(const struct chroma_run *run, const struct chroma_collection *c);

/* Report @f; @collection, which may be NULL, is the one that it is about. */
void chroma_report(struct chroma_run *run, struct finding *f,
		   const struct chroma_collection *collection);

/*
 * What a query ended with: damage and tables that are not there become findings and are 0, since the
 * check goes on without them. @what is what was not looked at.
 */
must_check_ int chroma_settle(struct chroma_run *run, int r, const char *what, struct vs_err *err);

/* The parts, in their order. */
must_check_ int chroma_check_file(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_fts(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_schema(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_catalog(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_records(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_queue(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_positions(struct chroma_run *run, struct vs_err *err);
must_check_ int chroma_check_segments(struct chroma_run *run, const struct check_sink *sink,
				      struct vs_err *err);

must_check_ int chroma_run_store(const struct store *store, const struct check_request *req,
				 const struct check_sink *sink, struct check_summary *out,
				 struct vs_err *err);
