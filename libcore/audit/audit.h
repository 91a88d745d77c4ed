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

/* ---- reading (read.c) ---- */

/* What audit_verify() can find wrong, each told apart from the others. */
enum audit_fault {
	AUDIT_EDITED,  /* a line does not have the digest that the next one, or the head, records */
	AUDIT_REMOVED, /* sequence numbers skip, and the chain with them */
	AUDIT_REORDERED,
	AUDIT_DUPLICATED,
	AUDIT_TRUNCATED,  /* ends before the anchored head */
	AUDIT_TORN,       /* the last line is incomplete: a power cut, not tampering */
	AUDIT_UNREADABLE, /* not canonical JSON of this schema */
	AUDIT_BAD_SEAL,
};

struct audit_finding {
	enum audit_fault fault;
	uint64_t line; /* from 1 */
	uint64_t seq;  /* expected there */
	const char *detail;
};

struct audit_head {
	uint64_t seq; /* 0: no record yet */
	struct digest digest;
};

must_check_ int audit_head_load(int state_dirfd, struct audit_head *out, struct vs_err *err);

/*
 * Read the whole log, streaming, and report what is wrong with it. @anchor may be NULL (then
 * audit.head is used).
 * @first_key is NULL or the 32 bytes that sealing began with. Returns the number of findings, or
 * negative.
 */
must_check_ int audit_verify(int state_dirfd, const struct audit_head *anchor,
			     const unsigned char *first_key,
			     void (*report)(void *ctx, const struct audit_finding *f), void *ctx,
			     uint64_t *records, struct vs_err *err);

struct audit_query {
	uint64_t limit; /* newest that many; 0: all */
	int64_t since_ns;
	const char *action; /* NULL: all */
};

/* One record as read: the line itself is what gets printed as JSON. Borrowed for the call. */
struct audit_entry {
	struct slice line;
	uint64_t seq;
	const char *time;
	const char *action;
	const char *phase;
	const char *user;
	const char *run;
	const char *message;
	int64_t exit_status; /* -1: none */
};

must_check_ int audit_list(int state_dirfd, const struct audit_query *query,
			   int (*fn)(void *ctx, const struct audit_entry *e, struct vs_err *err),
			   void *ctx, struct vs_err *err);

/* ---- the older tool's log ---- */

/*
 * Append to rollback_audit.jsonl, with exactly these keys: timestamp, action, snapshot_id, status
 * (initiated, verifying, rolling_back, completed, failed), trigger (manual, automatic, time-based),
 * user, rollback_type (full, partial, point-in-time), duration_seconds, collections_affected,
 * error_message, rollback_success.
 */
struct audit_rollback_record {
	const char *action;
	const char *snapshot_id;
	const char *status;
	const char *trigger;
	const char *rollback_type;
	double duration_s;
	const char *const *collections;
	const char *error_message;
	bool success;
};
must_check_ int audit_rollback(int state_dirfd, const struct vs_clock *clock,
			       const struct audit_rollback_record *rec, struct vs_err *err);
