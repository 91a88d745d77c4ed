/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * journal: a change to a store that happens wholly or not at all, and can be taken back
 *
 * A run is a directory in the state directory:
 *
 *	journal/<run>/run.jsonl	what is to happen, one step a line, then what became of it
 *	journal/<run>/<n>.new	content that step n will put in place: moved there, where the
 *				state directory is on the store's file system
 *	journal/<run>/<n>.old	content that step n replaces or removes: a copy, or the file itself
 *
 * The order of events, each made durable before the next:
 *  1. stage: new contents and the old ones are put there and synced, every step with the
 *     state it expects to find and will leave (absent, or size and SHA-256; for directories a
 *     digest over their whole tree);
 *  2. prepared: run.jsonl gets its name by a rename. Before this instant the run does not exist and
 *     its leftovers are removed; from it on the run will be finished, or taken back;
 *  3. apply: the steps in their order, each made durable before the next, but for files that are
 *     written or removed one after the other: no two of them have the same name, so whichever of
 *     them a power cut leaves done, the others can follow, and they are made durable together. A
 *     run that was cut off is gone on with where each step is found to be before or after; anything
 *     else takes the run back;
 *  4. done: a last record. Runs stay, so that undo can take them back; journal_prune() removes old
 *     ones.
 *
 * A step is one rename, exchange, mkdir, rmdir, chmod, or replace of a file, so the store never
 * shows half of one. What is written belongs to whom the file that it replaces belongs to, and else
 * to whom the directory does, as far as the system lets us: an operator who is root must not leave
 * files that the application cannot read. Paths are relative to the store, never absolute, never with "..", and no part
 * may be a symbolic link.
 */

#include "file/file.h"
#include "util/util.h"

enum step_kind {
	STEP_WRITE,    /* put a file; the old one, if any, is kept in the journal */
	STEP_REMOVE,   /* remove a file; its content is kept in the journal */
	STEP_MOVE,     /* rename a file or directory; the target must not exist */
	STEP_EXCHANGE, /* swap two names */
	STEP_MKDIR,
	STEP_RMDIR, /* an empty directory */
	STEP_MODE,
};

enum run_state {
	RUN_PREPARED, /* begun, not finished: the next writing command ends it */
	RUN_DONE,
	RUN_TAKEN_BACK, /* failed and reverted, or undone */
};

/* A run under construction or under way; owned, freed with journal_freep(), which never applies. */
struct journal;

struct journal_header {
	const char *command;     /* "recover-metadata" */
	const char *const *argv; /* NULL-ended */
	const char *plan_digest; /* hex, or NULL */
	int64_t time_ns;
	/* What a step replaces or removes is kept as the file that it is, not copied, where the system
	 * can: for stores whose programs open a file, write it and close it. What a program holds open
	 * would be written to behind the journal's back. */
	bool links_old;
};

/* Begin a run. The descriptors are borrowed until the journal is freed. */
must_check_ int journal_begin(struct journal **out, int state_dirfd, int store_dirfd,
			      const struct journal_header *head, struct vs_err *err);
void journal_freep(struct journal **j);
const char *journal_run(const struct journal *j); /* "20260122T140309Z-recover-metadata-3f2a" */

/* Add steps, in the order in which they will happen. Nothing in the store changes. Paths are
 * copied. */
must_check_ int journal_add_write(struct journal *j, const char *path, uint32_t mode,
				  struct slice bytes, struct vs_err *err);
/* The same for content that may be large in sum: it is staged at once and not kept in memory, and the
 * file gets this time of modification. */
must_check_ int journal_add_write_at(struct journal *j, const char *path, uint32_t mode,
				     int64_t modified_ns, struct slice bytes, struct vs_err *err);
/* The same with all that the file @fd holds, of any size. */
must_check_ int journal_add_write_file(struct journal *j, const char *path, uint32_t mode,
				       int64_t modified_ns, int fd, struct vs_err *err);
/* The same with the file @name of @dirfd, which is in the state directory: taken from there. */
must_check_ int journal_add_write_moved(struct journal *j, const char *path, uint32_t mode,
					int64_t modified_ns, int dirfd, const char *name,
					struct vs_err *err);
must_check_ int journal_add_remove(struct journal *j, const char *path, struct vs_err *err);
must_check_ int journal_add_move(struct journal *j, const char *from, const char *to,
				 struct vs_err *err);
must_check_ int journal_add_exchange(struct journal *j, const char *a, const char *b,
				     struct vs_err *err);
must_check_ int journal_add_mkdir(struct journal *j, const char *path, uint32_t mode,
				  struct vs_err *err);
must_check_ int journal_add_rmdir(struct journal *j, const char *path, struct vs_err *err);
must_check_ int journal_add_mode(struct journal *j, const char *path, uint32_t mode,
				 struct vs_err *err);

/*
 * Stage, prepare and apply. Returns 0 when the run is applied and durable (but not yet done),
 * negative when it failed and the store is as before (or, when even taking back failed, says so and
 * leaves the run prepared).
 */
must_check_ int journal_apply(struct journal *j, struct vs_err *err);

/* After the caller verified the result: close the run as done, or take it back. */
must_check_ int journal_commit(struct journal *j, struct vs_err *err);
must_check_ int journal_abort(struct journal *j, struct vs_err *err);

/*
 * Digest of what @path holds: of a file's bytes, of a directory's whole tree (names, kinds, modes,
 * contents), of where a link points. Returns 1, 0 when nothing is there, or negative.
 */
must_check_ int journal_look(int store_dirfd, const char *path, struct digest *out,
			     struct vs_err *err);

/* The same digest for a directory anywhere, by its path. Returns 1, or negative. */
must_check_ int journal_tree_digest(const char *path, struct digest *out, struct vs_err *err);

/* ---- past and unfinished runs (runs.c) ---- */

struct journal_run_info {
	char *run;
	char *command;
	enum run_state state;
	size_t steps;
	int64_t time_ns;
};

must_check_ int journal_list(int state_dirfd, struct journal_run_info **runs, size_t *count,
			     struct vs_err *err);
void journal_list_free(struct journal_run_info *runs, size_t count);

/*
 * End every unfinished run: forward when each of its steps is in the state before or after, else
 * back. Called by each writing command under the lock, before anything else; says through @report
 * what it did ("finished run ..."). Leftovers of runs that were never prepared are removed. Returns
 * the number of runs ended, or negative.
 */
must_check_ int journal_recover(int state_dirfd, int store_dirfd,
				void (*report)(void *ctx, const char *text), void *ctx,
				struct vs_err *err);

/*
 * Take an applied run back, last step first. All states are compared first: VS_EFORMAT, with the
 * path, when something has changed since, and then nothing is done. Itself journalled: killed, the
 * next run ends it. @run NULL: the newest done one.
 */
must_check_ int journal_undo(int state_dirfd, int store_dirfd, const char *run, struct vs_err *err);

/* Remove the oldest ended runs beyond the newest @keep, which can then no longer be taken back. */
must_check_ int journal_prune(int state_dirfd, size_t keep, struct vs_err *err);

/* The steps of a run, for showing them. */
struct journal_step_info {
	enum step_kind kind;
	const char *path;
	const char *to; /* MOVE, EXCHANGE */
};
must_check_ int journal_steps(int state_dirfd, const char *run,
			      void (*fn)(void *ctx, const struct journal_step_info *step),
			      void *ctx, struct vs_err *err);

const char *step_kind_name(enum step_kind kind);
