/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * audit-log: what the verbs of `vsctl audit-log` share
 *
 * The log is in the state directory, so it can be read when the store itself is gone; nothing here
 * opens the store but sealing, which makes the state directory where there is none. `undo --list`
 * reads the state directory in the same way.
 */

#include "cmd.h"

#include "audit/audit.h"

#define AUDIT_STATE_OPTION(type)                                                                   \
	OPT_DIR("state", 0, type, state, "DIR",                                                    \
		"where journal, audit log and backups are kept; default: STORE.vsctl")

/* Where the log of a store is. Zeroed with state_dirfd -1, then audit_scene_open(). */
struct audit_scene {
	const char *operand; /* the store as it was given; borrowed */
	char *store;         /* absolute; the store itself may be gone */
	char *state;         /* path of the state directory, which may not be there */
	int state_dirfd;     /* -1: there is none */
	bool has_state_option;
};

/*
 * Returns -1 to go on, or the exit status after the failure was reported: when neither the store
 * nor its state directory is there, or one of them may not be looked at.
 */
must_check_ int audit_scene_open(struct audit_scene *scene, struct app *app, const char *store,
				 const char *state);
void audit_scene_fini(struct audit_scene *scene);

/* "store" and "log" of the document. */
void audit_scene_emit(struct emit *e, const struct audit_scene *scene);

/* "vsctl WORDS STORE" as a shell reads it, with --state where one was given. */
void audit_scene_command(struct buf *out, const struct audit_scene *scene, const char *words);

extern const struct command cmd_audit_log_verify;
extern const struct command cmd_audit_log_seal;

/*
 * A sealing key in a file: 64 hexadecimal digits and a line end. VS_EUSAGE when it is anything
 * else.
 */
must_check_ int seal_file_load(const char *path, unsigned char key[AUDIT_KEY_LEN],
			       struct vs_err *err);
