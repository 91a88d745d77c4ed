/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * change: what all commands that write have in common
 *
 * A writing command makes a plan and hands it over; here it is shown, confirmed, applied and
 * reported, always in the same way and with the same options.
 */

#include "cmd.h"

#include "repair/repair.h"

struct change_opts {
	bool dry_run;
	bool yes;
	bool force;
	const char *state;
	uint64_t lock_wait_s;
};

/* The rows that every writing command begins its options with; its struct has a `struct change_opts
 * change`. */
#define CHANGE_OPTIONS(type) CHANGE_OPTIONS_IN(type, change)

/* The same where they are in another member. */
#define CHANGE_OPTIONS_IN(type, member)                                                            \
	OPT_FLAG("dry-run", 'n', type, member.dry_run, "show the plan and change nothing"),        \
		OPT_FLAG("yes", 'y', type, member.yes, "do not ask for confirmation"),             \
		OPT_FLAG("force", 0, type, member.force,                                           \
			 "go on although something seems to use the store"),                       \
		OPT_DIR("state", 0, type, member.state, "DIR",                                     \
			"where journal, audit log and backups are kept; default: STORE.vsctl"),    \
		OPT_NUMBER("lock-wait", 0, type, member.lock_wait_s, 86400, "SEC",                 \
			   "how long to wait for another vsctl to finish")

/* A change from the opening of the store to the report. Zeroed, then change_open(). */
struct change {
	struct app *app;
	const struct change_opts *opts;
	struct store *store;
	struct session *session;
	struct plan plan;
	struct check_request check;
	const char *prove; /* a command that must succeed on a copy of the result; NULL: none */
	bool only_reads;   /* of the store; the state directory is written all the same */
	char *summary; /* owned; what the plan does, where its actions are too many to count; NULL */
	bool corrects; /* a repair: exits with 1 when all is corrected, 4 when something is left */
	bool minds_leftovers; /* no repair, and exits with 4 all the same when something is left */
	bool takes_chroma;    /* it can change stores of that kind */
	bool accepts_errors;  /* the person asked for what verification may call an error */
};

/*
 * Open store and session. Returns -1 to go on, or the exit status after the failure was reported.
 * The session's note callback prints to stderr.
 */
must_check_ int change_open(struct change *c, struct app *app, const struct change_opts *opts,
			    const char *store_path);

/*
 * Show the plan, and unless it is a dry run, confirm, apply and report it. Ends the command: the
 * returned value is its exit status. In JSON the document is opened and closed here; @extra, which
 * may be NULL, adds members to it.
 */
must_check_ int change_run(struct change *c, void (*extra)(struct change *c, void *ctx), void *ctx);

/* A directory for private copies of a database; borrowed from @c. */
const char *change_scratch(const struct change *c);

void change_fini(struct change *c);

/* A command for this store as it can be pasted, see text_command(); with --state where it was given.
 */
void change_command(const struct change *c, struct buf *out, const char *text);

/* Ask on the terminal for a typed "yes". True when confirmed, or when --yes was given. */
bool change_confirm(struct change *c, const char *question);
