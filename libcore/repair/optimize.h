/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * optimize: a Chroma database made as small and as quick as it can be
 *
 * Rows of the write queue go that both segments of their collection have taken in and that the index shows;
 * the row at the position itself stays, as the server leaves it, since the numbering goes on from there.
 * The full-text index is merged into one, the file is written into as few pages as will do, and SQLite
 * counts its rows anew for its query planner. All on a copy, which takes the place of the old file in
 * one step of the journal.
 *
 * Included by repair/repair.h, the front door of the room.
 */

/* What goes of one collection's queue. */
struct optimize_purge {
	char *collection;  /* id */
	struct slice name; /* ptr owned */
	uint64_t rows;     /* that go */
	uint64_t kept;     /* that could go by the positions, and that the index does not show */
};

struct optimize_report {
	struct optimize_purge *purges;
	size_t purge_count, purge_cap;
	uint64_t bytes_before, bytes_after; /* of the database, with what is beside it */
	uint64_t page_size;
	bool is_wal;   /* the journal mode that the file says */
	bool was_kept; /* rows were to be kept for ever, as in stores from before 0.5.6 */
	int64_t auto_vacuum;
	struct plan_source source; /* of the plan; the caller may set its prepare() */
};
void optimize_report_fini(struct optimize_report *report);

/*
 * Plan it, having done it once on a copy in @scratch to know the size. An empty plan: there is nothing to
 * gain. VS_EUSAGE: the store has errors, which are to be repaired first; @report outlives the plan.
 */
must_check_ int plan_optimize(struct plan *plan, const struct store *store,
			      const struct check_request *check, const char *scratch,
			      struct optimize_report *report, struct vs_err *err);
