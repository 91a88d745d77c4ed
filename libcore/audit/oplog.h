/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * oplog: what one run of a command did, step by step, for people
 *
 * `logs/<command>_<YYYYmmdd_HHMMSS>.log` in the state directory, UTC, mode 0600; where two runs
 * begin in the same second the later one has "-2" behind the time. A line is a time with
 * milliseconds, a level and a text without control characters:
 *
 *	2026-01-22T14:03:09.123Z INFO what was done
 *
 * These files are no proof of anything, as the audit log is, and nothing depends on them: a failure
 * to write one is kept until oplog_end() tells it, and never stops what is being logged.
 *
 * Part of the room's front door.
 */

enum oplog_level {
	OPLOG_INFO,
	OPLOG_WARNING,
	OPLOG_ERROR,
};

struct oplog; /* owned, freed with oplog_freep(), which takes NULL */

/* Lines are kept in memory until oplog_begin(). @command may have a verb: "quarantine add". */
struct oplog *oplog_new(const char *command, const struct vs_clock *clock);
void oplog_freep(struct oplog **log);

void oplog_add(struct oplog *log, enum oplog_level level, const char *fmt, ...) printf_(3, 4);

/*
 * Make the file, with what was added so far; from now on each line is written as it is added. The
 * oldest files beyond a thousand are removed. The second call does nothing.
 */
void oplog_begin(struct oplog *log, int state_dirfd);

/* Sync it and close it. Returns the first failure since it was made. */
must_check_ int oplog_end(struct oplog *log, struct vs_err *err);
