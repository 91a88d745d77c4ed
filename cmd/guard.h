/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * guard: what the files of `vsctl guard` share
 *
 * Its parts, in their order: guard-begin.c what must be so before the command runs, guard-run.c the
 * command, guard-after.c what it has done, guard-back.c the way back, guard-report.c what is said.
 */

#include "guard-run.h"
#include "snapshot.h"

#include "audit/audit.h"
#include "guard/guard.h"

enum guard_unfinished {
	GUARD_UNFINISHED_REFUSE,
	GUARD_UNFINISHED_BACK,
	GUARD_UNFINISHED_KEEP,
};

struct guard_opts {
	struct snapshot_opts common;
	const char *snapshot;
	const char *timeout, *kill_after;
	const char *max_loss, *allow;
	const char *probe, *probe_interval, *probe_give_up;
	const char *check_cmd;
	unsigned unfinished;
	bool by_count, keep_on_failure, force;
};

/* What an exit status means that is not the command's own. */
enum guard_exit {
	GUARD_EXIT_ROLLED_BACK = 10,
	GUARD_EXIT_LOSS = 11,
	GUARD_EXIT_BACK_FAILED = 12,
	GUARD_EXIT_TIME = 124, /* as of timeout(1) */
};

enum guard_outcome {
	GUARD_KEPT,
	GUARD_UNCHANGED,
	GUARD_ROLLED_BACK,
	GUARD_BACK_FAILED,
	GUARD_NOT_STARTED,
};

struct guarding {
	struct app *app;
	const struct guard_opts *opts;
	char *const *argv;
	struct snapshot_cmd c;
	char *command; /* one line, quoted for a shell; owned */
	/* Of the options. */
	int64_t timeout_ns, grace_ns, probe_interval_ns, probe_give_up_ns;
	uint64_t max_loss, min_free;
	unsigned allowed;
	/* Before. */
	int dirfd; /* of STATE/guard */
	struct file_lock lock;
	sigset_t mask;
	struct oplog *log;
	enum store_kind kind;
	uint32_t mode;                       /* of the store's directory */
	char *snapshot;                      /* its id; owned */
	uint64_t bytes;                      /* that it takes to have it again */
	bool is_made;                        /* the snapshot, by us */
	bool is_recorded;                    /* there is a record of the run */
	struct guard_census *before, *after; /* after NULL: the store cannot be read */
	struct audit_tree *tree;
	char digest_before[DIGEST_HEX_LEN + 1];
	char digest_after[DIGEST_HEX_LEN + 1]; /* of what the command left */
	char digest_end[DIGEST_HEX_LEN + 1];   /* of what is there in the end */
	/* After. */
	struct guard_run_result result, check;
	bool has_check;
	struct guard_change change;
	unsigned reasons; /* enum guard_reason */
	bool is_unchanged;
	struct buf why;    /* why it may not stay, or why it was not begun */
	const char *cause; /* "command-failed", ... ; NULL: nothing speaks against it */
	enum guard_outcome outcome;
	struct buf rollback;     /* the document that the rollback has printed */
	struct buf back_failure; /* why it did not work */
	char *aside; /* where the store that could not be rolled back in place is now; owned */
};

/* The absolute path of the store, as it was when everything began. */
#define GUARD_STORE(g) ((g)->c.absolute)

/* ---- guard-begin.c ---- */

/* Read the options; -1 to go on, or the exit status. */
must_check_ int guard_read_options(struct guarding *g);

/* Everything up to the command, its record included. -1 to go on, or the exit status. */
must_check_ int guard_begin(struct guarding *g, const char *store_path);

/* A line on standard error that --quiet does not keep, in the log of the run, and in the audit log. */
void guard_alert(struct guarding *g, const char *text);

/* A record of the audit log; that it cannot be written is said. */
void guard_record(struct guarding *g, enum audit_phase phase, int status, const char *message);

/* ---- guard-after.c ---- */

void guard_look_after(struct guarding *g);

/* ---- guard-back.c ---- */

/* The store as @snapshot has it. Sets the outcome, g->rollback and g->back_failure. */
void guard_go_back(struct guarding *g, const char *snapshot);

/* ---- guard-report.c ---- */

/* Returns the exit status. */
must_check_ int guard_status(const struct guarding *g);
void guard_report(struct guarding *g, int status);
/* The first line of the report. */
void guard_say_outcome(struct guarding *g, struct buf *out);
