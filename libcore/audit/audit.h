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
 * all. See audit_seal_init().
 *
 * `rollback_audit.jsonl` beside it serves readers of the older tool: exactly its 11 keys, see
 * audit_rollback().
 */

#include "file/file.h"
#include "util/util.h"

#define AUDIT_KEY_LEN 32

enum audit_phase {
	AUDIT_STARTED,
	AUDIT_FINISHED,
	AUDIT_FAILED,
	AUDIT_CANCELLED,
	AUDIT_DRY_RUN,   /* one record, nothing changed */
	AUDIT_RECOVERED, /* an unfinished run of an earlier process was ended */
	AUDIT_REFUSED,   /* one record: it was asked for, and nothing was begun */
	AUDIT_ALERT,     /* something that a person should know happened while it ran */
};

const char *audit_phase_name(enum audit_phase phase); /* "dry-run" */

struct audit_record {
	enum audit_phase phase;
	const char *action; /* "recover-metadata" */
	const char *run;    /* of the journal; NULL where there is none */
	const char *store;  /* absolute path */
	const char *const *argv;
	const char *digest_before; /* hex digest of the store; NULL where it was not taken */
	const char *digest_after;
	int exit_status; /* FINISHED, FAILED and REFUSED only */
	const char *message;
	const char *const *collections; /* NULL-ended; may be NULL */
};

/*
 * Append one record and sync it. Adds sequence number, time, boot id, process, user, login user and
 * host, and cuts texts and lists that are too long for a line. Appenders of other processes are
 * waited for; VS_EBUSY when that takes half a minute.
 *
 * A torn last line (a power cut while appending) is set aside into `audit.torn.<seq>` first and a
 * record says so. A log that somebody has changed keeps its traces: where it ends before the head,
 * or with another line than that, the record chains to the head, and a record before it says why.
 *
 * When this fails, the record is in the log, whole, or not at all; the next call works.
 */
must_check_ int audit_append(int state_dirfd, const struct vs_clock *clock,
			     const struct audit_record *rec, struct vs_err *err);

/* ---- sealing (seal.c) ---- */

/*
 * `audit.key` (mode 0600) holds the key of the next record and that record's sequence number. An
 * append writes and syncs the line, then the key moved forward, then the head. Killed between any
 * two, the key is at most one record behind the log and never ahead of it, and a key that is behind
 * can always be moved: appending goes on, and the only thing lost is that the newest line could be
 * sealed again by whoever reads the disk at that moment.
 *
 * What is protected is what was sealed before an intruder could read the key file. That the file
 * system may keep the bytes of replaced files for a while is not seen from here.
 */

/* Random bytes to begin sealing with. Store them elsewhere before audit_seal_init(). */
must_check_ int audit_key_new(unsigned char out[AUDIT_KEY_LEN], struct vs_err *err);

/*
 * Seal every record from now on, @rec being the first. VS_EBUSY when the log is being sealed
 * already, or was.
 */
must_check_ int audit_seal_init(int state_dirfd, const struct vs_clock *clock,
				const unsigned char first_key[AUDIT_KEY_LEN],
				const struct audit_record *rec, struct vs_err *err);

/* 1 when records are being sealed, 0 when they are not. */
must_check_ int audit_is_sealed(int state_dirfd, struct vs_err *err);

/* ---- reading (read.c) ---- */

/*
 * What audit_verify() can find wrong, each told apart from the others. Notes are what a power cut
 * can leave; the next append deals with it.
 */
enum audit_fault {
	AUDIT_EDITED,  /* a line does not have the digest that the next one, or the head, records */
	AUDIT_REMOVED, /* sequence numbers skip, and the chain with them */
	AUDIT_REORDERED,
	AUDIT_DUPLICATED,
	AUDIT_TRUNCATED,  /* ends before the anchored head */
	AUDIT_TORN,       /* note: an incomplete line behind the head */
	AUDIT_UNREADABLE, /* not canonical JSON of this schema */
	AUDIT_BAD_SEAL,
	AUDIT_UNANCHORED, /* audit.head is missing, unreadable, or more than one record behind */
	AUDIT_AHEAD,      /* note: one whole record behind the head */
	AUDIT_FOREIGN,    /* note: records of another store, or of this one in another place */
};

const char *audit_fault_name(enum audit_fault fault); /* "edited", "bad-seal" */
bool audit_fault_is_note(enum audit_fault fault);

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

/* What the newest record has. All zero, and 0, when there is none yet. VS_EFORMAT: unreadable. */
must_check_ int audit_head_load(int state_dirfd, struct audit_head *out, struct vs_err *err);

/* A head as one word, "12:9f86d081...": for people to keep, and for the manifests of snapshots. */
#define AUDIT_HEAD_TEXT_LEN (20 + 1 + DIGEST_HEX_LEN)
void audit_head_format(const struct audit_head *head, char out[AUDIT_HEAD_TEXT_LEN + 1]);
must_check_ bool audit_head_parse(const char *text, struct audit_head *out);

/* A head that was kept elsewhere, of now or of any time before. */
struct audit_anchor {
	struct audit_head head;
	const char *where; /* for the finding: "the anchor", "the manifest of ..."; borrowed */
};

/* More of them are not looked at; each vouches for all records before its own. */
#define AUDIT_ANCHORS_MAX 64

/* What a log is held against beside its own head. Zeroed: nothing. */
struct audit_expect {
	const struct audit_anchor *anchors;
	size_t anchor_count;
	const unsigned char *first_key; /* the AUDIT_KEY_LEN bytes that sealing began with */
	const char *store;              /* absolute path: whose records these should be */
	bool has_history; /* something else says that there were records, such as the journal */
};

struct audit_summary {
	uint64_t records;     /* lines that are records */
	uint64_t sealed_from; /* the first record that has a seal; 0: none has */
	char first_time[32];  /* "" where there is no record */
	char last_time[32];
	struct audit_head end; /* number and digest of the newest record in its place */
	bool is_end_proven;    /* audit.head says the same */
	bool has_log;          /* there is a file */
};

/*
 * Read the whole log, streaming, and report what is wrong with it; gaps come last, since what is
 * missing in one place may turn up in another. audit.head is always looked at, and @expect, which
 * may be NULL. A log that does not exist has no records and no findings, unless something knows of
 * some. Takes no lock while it reads; what is appended meanwhile is not looked at. Returns the
 * number of findings that are no notes, or negative.
 */
must_check_ int audit_check(int state_dirfd, const struct audit_expect *expect,
			    void (*report)(void *ctx, const struct audit_finding *f), void *ctx,
			    struct audit_summary *out, struct vs_err *err);

/* The same for whoever has one anchor or a key and asks for no more than the number of records. */
must_check_ int audit_verify(int state_dirfd, const struct audit_head *anchor,
			     const unsigned char *first_key,
			     void (*report)(void *ctx, const struct audit_finding *f), void *ctx,
			     uint64_t *records, struct vs_err *err);

struct audit_query {
	uint64_t limit; /* newest that many; 0: all */
	int64_t since_ns;
	/* NULL: all. That of a group of commands stands for each of its verbs. */
	const char *action;
	/* With a limit: called before the first record is given, with the number of those that fit
	 * the query. May be NULL. */
	void (*begin)(void *ctx, uint64_t matched);
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

/*
 * Call @fn for each record that fits the query, oldest first. Stops with what @fn returns when that
 * is not 0. Lines that cannot be read are passed over: returns 1 when there were any, which
 * audit_verify() tells about, else 0. VS_ENOENT when there is no log.
 */
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

#include "audit/oplog.h"

#include "audit/tree.h"
