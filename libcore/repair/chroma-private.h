/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files share that plan the repair of a Chroma store (chroma-*.c).
 *
 * A plan is found in rounds. Each checks the store with the database as it would be by then, adds
 * statements to the plan for what has one safe answer, and makes the same change on a private copy. So
 * what one correction uncovers or settles is seen by the next, and what is planned was done once
 * already. The index directories come last, from the database as it will be.
 */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

/* A finding, kept for a round. */
struct chroma_fault {
	enum problem code;
	char *collection; /* id; NULL */
	char *path;
	char *actual; /* NULL */
	char *fix;    /* the command that a person may give; NULL */
	char *why;    /* why it is left, where a planner knows better; NULL */
	uint64_t count;
	int64_t number; /* of the row, where the path ends in one: "chroma.sqlite3#table/40" */
	bool is_planned;
};

struct chroma_fixing {
	struct plan *plan;
	const struct store *store;
	const struct check_request *check;
	const struct fixes_request *req;
	struct chroma_edit *copy; /* owned; NULL until something is to be changed */
	struct chroma_edit *edit; /* of this round: @copy, or the next on the same file */
	char *dir;                /* of the copy; owned */
	struct chroma_catalog catalog;
	struct chroma_fault *faults; /* owned; of this round */
	size_t count, cap;
	struct buf kept; /* rows that go, one JSON object a line */
	uint64_t kept_rows, kept_records;
	bool has_changed; /* in this round */
	bool is_damaged;  /* SQLite cannot read all pages: the database is left as it is */
	uint64_t refused; /* planners whose statements the database did not take, a bit each */
};

/* The first fault of that kind that nobody has planned for; NULL. */
struct chroma_fault *chroma_fault_find(const struct chroma_fixing *f, enum problem code);
bool chroma_fault_any(const struct chroma_fixing *f, enum problem code, const char *collection);

/*
 * Metadata without records, and an index with ids that no record has: the table of records has lost
 * rows, and what is left of them on both sides stays where it is.
 */
bool chroma_lost_records(const struct chroma_fixing *f);
#define CHROMA_LOST_WHY                                                                              \
	"rows of the table of records are gone, of which metadata and index still have the rest; a " \
	"snapshot has them, and nothing is removed until then"

/* All faults of that kind are settled by what was planned. */
void chroma_fault_done(struct chroma_fixing *f, enum problem code);
void chroma_fault_leave(struct chroma_fault *fault, const char *why);

/*
 * Add a part of the change to the plan, and make it on the copy. @detail is one sentence. The next check
 * tells what became of the faults.
 */
must_check_ int chroma_change(struct chroma_fixing *f, enum problem code, const char *what,
			      enum loss loss, const char *detail, const char *sql,
			      struct vs_err *err);

/* To ask the copy. */
struct chroma_db *chroma_fixing_db(const struct chroma_fixing *f);
bool chroma_has_table(struct chroma_fixing *f, const char *table);

/* ---- rows that leave the database (chroma-keep.c) ---- */

/* Remember the rows of @table for which @where holds, for the quarantine; *@count of them. */
must_check_ int chroma_keep(struct chroma_fixing *f, enum problem code, const char *table,
			    const char *where, uint64_t *count, struct vs_err *err);

/* The item of the quarantine with what chroma_keep() remembered, in front of all other actions. */
must_check_ int chroma_keep_plan(struct chroma_fixing *f, struct vs_err *err);

/* A text as SQL reads it. */
void sql_text(struct buf *out, struct slice text);

/* ---- what an index has taken in (chroma-shown.c) ---- */

struct chroma_log_row {
	int64_t seq_id;
	int64_t operation;
	struct slice id;     /* ptr owned */
	struct slice vector; /* ptr owned */
	size_t group;        /* rows of one id have the same */
};

struct chroma_log_rows {
	struct chroma_log_row *row; /* owned; rising by number */
	size_t count, cap;
};
void chroma_log_fini(struct chroma_log_rows *log);

/* The rows of the queue that are of @collection. */
must_check_ int chroma_log_load(struct chroma_db *db, const char *collection,
				struct chroma_log_rows *log, struct vs_err *err);

/*
 * The number of the last row up to which the index of @c, which has a vector segment, is seen to have
 * all of @log, which is not empty.
 */
must_check_ int chroma_index_position(int dirfd, const struct chroma_catalog *catalog,
				      const struct chroma_collection *c,
				      struct chroma_log_rows *log, int64_t *out,
				      struct vs_err *err);

/* ---- planners; each looks at the faults of the round ---- */

must_check_ int chroma_fix_schema(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_dimensions(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_segments(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_fulltext(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_values(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_orphans(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_queue(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_positions(struct chroma_fixing *f, struct vs_err *err);
must_check_ int chroma_fix_indexes(struct chroma_fixing *f, struct vs_err *err);

/* Statements that keep the numbering of the queue above @number, see chroma-queue.c. */
must_check_ int chroma_mark_queue(struct chroma_fixing *f, int64_t number, struct buf *sql,
				  struct vs_err *err);

/* Is nothing wrong with the index of a collection but that it lacks records, or has more? */
bool chroma_lacks_only_records(const struct chroma_fixing *f, const char *collection,
			       bool may_have_more);

/* The whole plan for a store of this kind; as plan_fixes(). */
must_check_ int plan_chroma_fixes(struct plan *plan, const struct store *store,
				  const struct check_request *check,
				  const struct fixes_request *req, struct vs_err *err);
