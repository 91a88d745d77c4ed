/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the two files of sessions share: session.c changes stores, session-record.c writes down what
 * was done.
 */

#include "repair/repair-private.h"

#include <limits.h>

struct session {
	const struct store *store;
	struct session_opts opts;
	char *state_path;
	char store_path[PATH_MAX]; /* absolute */
	int state_dirfd;
	struct file_lock lock;
	struct look look; /* at the store, when the session was opened */
	struct oplog *log;
	struct audit_tree *tree; /* what the last digest of the store read */
	bool has_outcome;        /* a record says how it ended, or that it was not begun */
	/* SQLite found the database sound before the change, and one that is not afterwards is taken
	 * back: so its copy needs no look of its own. */
	bool is_database_judged;
};

/* What the records of a change say beside its phase. */
struct session_change {
	const char *run;                 /* borrowed; NULL while there is none */
	unsigned jobs;                   /* threads for the digests; 0: one per processor */
	char before[DIGEST_HEX_LEN + 1]; /* "" where none could be made */
	char after[DIGEST_HEX_LEN + 1];
	const char **collections; /* NULL-ended; the texts are the plan's */
	size_t count, cap;
};

void session_change_fini(struct session_change *change);
void session_change_collections(struct session_change *change, const struct plan *plan);

/* Tell the user, and the log of this run. */
void session_note(struct session *s, const char *text);

/* Append a record, and say the same in the log of this run. @change may be NULL. */
must_check_ int session_append(struct session *s, enum audit_phase phase, int exit_status,
			       const char *message, const struct session_change *change,
			       struct vs_err *err);

/* The digest of the store as it is now; "" after a note where it cannot be made. */
void session_digest(struct session *s, unsigned jobs, char out[DIGEST_HEX_LEN + 1]);

/* What a command ends with that fails with @r. */
int session_status_of(int r);

void session_log_start(struct session *s);
void session_log_result(struct session *s, const struct apply_result *result, int r);
void session_log_end(struct session *s);
