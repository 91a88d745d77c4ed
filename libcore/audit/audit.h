/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * audit: who did what to a store, in a way that shows tampering
 *
 * `audit.jsonl` in the state directory: one canonical JSON object a line (keys in byte order, no
 * white space, one form per number), each carrying a sequence number and the SHA-256 of the line
 * before (64 zeros in the first). A writing command appends one record before it begins and one
 * when it ends; both are synced before it goes on. `audit.head` anchors the newest sequence number
 * and digest, so that a log cut at a line end is seen; snapshot manifests carry the head as well.
 *
 * Sealing is optional: with a key, each line also carries HMAC-SHA256 of itself under a key that
 * moves forward (the next is the SHA-256 of the one before, which is forgotten). Whoever takes the
 * machine over later cannot rewrite what was sealed before; the first key, kept elsewhere, checks
 * all.
 *
 * `rollback_audit.jsonl` beside it serves readers of the older tool: exactly its 11 keys, see
 * audit_rollback().
 */

#include "file/file.h"
#include "util/util.h"

enum audit_phase {
	AUDIT_STARTED,
	AUDIT_FINISHED,
	AUDIT_FAILED,
	AUDIT_CANCELLED,
	AUDIT_DRY_RUN,   /* one record, nothing changed */
	AUDIT_RECOVERED, /* an unfinished run of an earlier process was ended */
};

struct audit_record {
	enum audit_phase phase;
	const char *action; /* "recover-metadata" */
	const char *run;    /* of the journal; NULL where there is none */
	const char *store;  /* absolute path */
	const char *const *argv;
	const char *digest_before; /* hex digest of the store; NULL where it was not taken */
	const char *digest_after;
	int exit_status; /* FINISHED and FAILED only */
	const char *message;
	const char *const *collections; /* NULL-ended; may be NULL */
};

/*
 * Append one record and sync it. Adds sequence number, time, boot id, process, user and login user.
 * A torn last line (a power cut while appending) is set aside into `audit.torn.<seq>` first and a
 * record says so.
 */
must_check_ int audit_append(int state_dirfd, const struct vs_clock *clock,
			     const struct audit_record *rec, struct vs_err *err);
