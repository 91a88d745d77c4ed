/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * snapshot: what its verbs share
 *
 * Those that only look need the state directory alone: when a store is lost, its snapshots can
 * still be listed, verified and restored.
 */

#include "cmd.h"

#include "chromem/chromem.h"
#include "repair/repair.h"
#include "snap/snap.h"

struct snapshot_opts {
	const char *state;
	uint64_t lock_wait_s;
	const char *key_file;
};

#define SNAPSHOT_STATE(type)                                                                       \
	OPT_DIR("state", 0, type, common.state, "DIR",                                             \
		"where snapshots, journal and audit log are kept; default: STORE.vsctl")
#define SNAPSHOT_LOCK(type)                                                                        \
	OPT_NUMBER("lock-wait", 0, type, common.lock_wait_s, 86400, "SEC",                         \
		   "how long to wait for another vsctl to finish")
#define SNAPSHOT_KEY(type)                                                                         \
	OPT_FILE("key-file", 0, type, common.key_file, "FILE",                                     \
		 "the 32 bytes of the key of encrypted archives")

/* The state directory of a store, open. Zeroed, then one of the two open functions. */
struct snapshot_cmd {
	struct app *app;
	const struct snapshot_opts *opts;
	char *store_path; /* as given, without slashes at the end */
	char *state_path;
	int state_dirfd;
	struct file_lock lock;
	struct store *store; /* NULL: not there, or not needed */
	unsigned char key[CHROMEM_KEY_LEN];
	bool has_key;
	char absolute[4096]; /* of the store, for the audit log */
	bool is_given_state; /* then other stores may have their snapshots there as well */
	size_t others;       /* that snapshot_list_load() left out */
};
#define SNAPSHOT_CMD_CLOSED                                                                        \
	{                                                                                          \
		.state_dirfd = -1, .lock = { -1 }                                                  \
	}

/* To look: nothing is made, nothing is locked. -1 to go on, or the exit status. */
must_check_ int snapshot_open(struct snapshot_cmd *c, struct app *app,
			      const struct snapshot_opts *opts, const char *store_path);

/* To write: the state directory is made and locked, unfinished runs are ended. With @needs_store
 * the store must be there. */
must_check_ int snapshot_open_locked(struct snapshot_cmd *c, struct app *app,
				     const struct snapshot_opts *opts, const char *store_path,
				     bool needs_store);
/* Likewise for a store that is to be made: neither it nor the state directory need be there. */
must_check_ int snapshot_open_new(struct snapshot_cmd *c, struct app *app,
				  const struct snapshot_opts *opts, const char *store_path);
void snapshot_cmd_fini(struct snapshot_cmd *c);

/* The snapshots of this store. In a state directory that was given, those of other stores are left
 * out and counted; what cannot be read is of nobody knows which, and stays. */
must_check_ int snapshot_list_load(struct snapshot_cmd *c, struct snap_list *out,
				   struct vs_err *err);

/* Say that there are others, if so. */
void snapshot_say_others(struct snapshot_cmd *c);

/* One record of the audit log; @message may be NULL. Says so when it cannot be written. */
must_check_ int snapshot_record(struct snapshot_cmd *c, enum audit_phase phase, int status,
				const char *message, struct vs_err *err);

/* The outcome, once there is one: a failure to record it is said and changes nothing. */
void snapshot_record_end(struct snapshot_cmd *c, int status, const char *message);

/* "store": {...} and "state": ... of the JSON document. */
void snapshot_members_json(struct snapshot_cmd *c);

/* What the store is now, for the manifest. Strings are owned. VS_... when it cannot be checked. */
must_check_ int snapshot_health(struct snapshot_cmd *c, const struct store *store,
				enum check_level level, struct snap_health *out,
				struct vs_err *err);
void snapshot_health_fini(struct snap_health *h);

/* The last line: @text with STORE in it, and @id (NULL: none) behind. Names need no quotes. */
void snapshot_next(struct snapshot_cmd *c, const char *text, const char *id);

/* "good", "damaged" and so on, in a few words. */
const char *snapshot_state_word(const struct snap_entry *e);

extern const struct command cmd_snapshot_list, cmd_snapshot_show, cmd_snapshot_verify,
	cmd_snapshot_delete, cmd_snapshot_cleanup, cmd_snapshot_drill;
