/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * repair: the one way to change a store
 *
 *	findings or a request -> plan -> shown by --dry-run -> confirmed -> journal -> applied ->
 *verified -> audited
 *
 * A planner is pure: it reads the store and makes a plan, a list of reversible actions each with
 *what it loses. The same plan is printed, stored as a file, and applied. A new writing command adds
 *a planner (recover.c, quarantine.c, fixes.c), never a new way to write: plan_apply() is the only
 *one.
 */

#include "check/check.h"
#include "file/file.h"
#include "journal/journal.h"
#include "store/store.h"
#include "util/util.h"

enum action_kind {
	ACTION_WRITE_METADATA,        /* path: the metadata file; content in the plan */
	ACTION_REWRITE_DOCUMENT,      /* path: decoded and encoded again */
	ACTION_RENAME,                /* path -> to, inside a collection */
	ACTION_QUARANTINE_COLLECTION, /* path: directory -> to: .quarantine/<name> with a sidecar
					 beside it */
	ACTION_QUARANTINE_DOCUMENT,   /* path: file -> to, with a sidecar that keeps what could be
					 salvaged */
	ACTION_RELEASE,               /* path: .quarantine/... -> to */
	ACTION_PURGE, /* path: .quarantine/...: removed for good; names the copy that holds it */
	ACTION_SET_MODE,
};

/* What an action takes away for good, or hides from the application, if anything. */
enum loss {
	LOSS_NOTHING,
	LOSS_INDEX,     /* can be computed again */
	LOSS_DOCUMENTS, /* documents leave the store (into quarantine) */
};

struct action {
	enum action_kind kind;
	enum loss loss;
	char *path;
	char *to;           /* NULL where there is none */
	char *detail;       /* one sentence for people */
	char *reason;       /* problem code that asked for it, or the command */
	uint32_t mode;      /* SET_MODE */
	struct buf content; /* of files to write */
	/* What it was made from: applying refuses when this has changed. Digest of the file, or of
	 * the directory's tree. */
	bool has_before;
	struct digest before;
};

/* A problem that the plan leaves alone, and why. */
struct plan_leftover {
	char *code;
	char *path;
	char *why;
	char *fix; /* the command that a person may decide for; NULL */
};

struct plan {
	char *command;
	struct action *actions;
	size_t action_count, action_cap;
	struct plan_leftover *leftovers;
	size_t leftover_count, leftover_cap;
};

void plan_fini(struct plan *plan);

/* A plan as a file (JSON, vsctl-plan schema), both ways. Loading checks every field and limit. */
void plan_format(const struct plan *plan, const char *store_path, struct buf *out);
must_check_ int plan_load(struct plan *out, struct slice json, struct vs_err *err);
