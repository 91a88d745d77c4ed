/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of the audit room share.
 *
 * A line of the log is one JSON object in canonical form. There is one way to write a record, so
 * that a reader can tell a line of ours by its bytes alone, with a scanner that knows nothing but
 * this:
 *
 *	{"action":T,"argv":L,["argv_hex":L,]"boot_id":T,"collections":L,"digest_after":T,
 *	"digest_before":T,"exit_status":N,"host":T,"login_user":T,"message":T,"phase":T,"pid":N,
 *	"prev":H,"run":T,"schema":1,["seal":H,]"seq":N,"store":T,["store_hex":T,]"time":T,"user":T}
 *
 * T is a string, L an array of strings, N a number without sign, point or leading zero, H 64
 * lower-case hexadecimal digits. What may be missing is null; only the members in brackets are left
 * out: "_hex" where text was not valid UTF-8, "seal" without a key. Strings are valid UTF-8 with
 * the escapes of the JSON writer and no others.
 */

#include "audit/audit.h"

#define AUDIT_LOG "audit.jsonl"
#define AUDIT_HEAD "audit.head"
#define AUDIT_KEY "audit.key"
#define AUDIT_TORN_PREFIX "audit.torn."

/* A line with its newline. Long argument lists are cut short when written, to stay below. */
#define AUDIT_LINE_MAX ((size_t)1 << 20)

/* Numbers up to here are exact wherever JSON is read. */
#define AUDIT_SEQ_MAX ((UINT64_C(1) << 53) - 1)

/* ---- line-write.c, line-scan.c: one record as a line ---- */

struct audit_line {
	uint64_t seq;
	struct slice prev; /* 64 digits */
	struct slice seal; /* 64 digits; ptr NULL when there is none */
	/* Strings without their quotes, escapes as they stand; ptr NULL for null. */
	struct slice action;
	struct slice message;
	struct slice phase;
	struct slice run;
	struct slice store;
	struct slice time;
	struct slice user;
	int64_t exit_status; /* -1: null */
};

/* What an appended line holds beside what its caller says. */
struct audit_place {
	uint64_t seq;
	struct digest prev;
	int64_t time_ns;
};

/*
 * Append the line for @rec, unsealed and without its newline, to @out. Returns the offset in @out
 * at which its seal goes in.
 */
size_t audit_line_format(const struct audit_record *rec, const struct audit_place *place,
			 struct buf *out);

/* Read a line without its newline. False when it is not in canonical form. @out borrows. */
must_check_ bool audit_line_scan(struct slice text, struct audit_line *out);

/* Undo the escapes of a scanned string into @out, whose content is replaced. */
const char *audit_line_text(struct slice escaped, struct buf *out);

/* ---- seal.c: the key that moves forward ---- */

struct seal_key {
	unsigned char bytes[AUDIT_KEY_LEN];
	uint64_t seq; /* of the record that it seals */
};

void seal_key_fini(struct seal_key *key); /* wipes it */

/* 1 found, 0 there is none, negative when it is there and cannot be used. */
must_check_ int seal_key_load(int state_dirfd, struct seal_key *out, struct vs_err *err);
must_check_ int seal_key_store(int state_dirfd, const struct seal_key *key, struct vs_err *err);

/* Move forward by one record. */
void seal_key_step(struct seal_key *key);

/* HMAC-SHA256 under the key of @before and @behind as one message. */
void seal_compute(const struct seal_key *key, struct digest_ctx *ctx, struct slice before,
		  struct slice behind, struct digest *out);

/* Put the seal into an unsealed line, at the offset that audit_line_format() gave. */
void seal_line(const struct seal_key *key, struct digest_ctx *ctx, size_t at, struct buf *line);

/* Does the seal of a scanned line fit the key? */
bool seal_fits(const struct seal_key *key, struct digest_ctx *ctx, struct slice text,
	       const struct audit_line *line);

/* ---- tail.c: how the log ends ---- */

struct audit_tail {
	/* The last line, or as far as that is worthless the head. 0 when it cannot be read. */
	uint64_t seq;
	struct digest digest;
	struct digest prev;
	bool is_sealed;
	uint64_t end;    /* offset behind it */
	struct buf torn; /* what stands there and was never vouched for */
	bool is_endless; /* more of it than a line may have: nothing else is set then */
};

must_check_ int audit_tail_load(struct audit_tail *tail, int fd, uint64_t size,
				const struct audit_head *head, struct vs_err *err);
void audit_tail_fini(struct audit_tail *tail);

/* ---- append.c ---- */

/*
 * The log, locked against every other appender. Opening it ends what a crash left: an incomplete
 * line is set aside, a head that is one record behind is brought up.
 */
struct audit_log {
	int state_dirfd;
	int fd;
	uint64_t size;
	struct audit_head head; /* what the next record chains to */
	uint64_t next;          /* its sequence number */
	bool has_key;
	bool was_sealed; /* the last line that could be read has a seal */
	struct seal_key key;
	struct buf notice; /* what the next record has to tell about the log itself */
	struct digest_ctx *ctx;
};

must_check_ int audit_log_open(struct audit_log *log, int state_dirfd, struct vs_err *err);
void audit_log_fini(struct audit_log *log);
must_check_ int audit_log_append(struct audit_log *log, const struct vs_clock *clock,
				 const struct audit_record *rec, struct vs_err *err);

/* Lock @fd until it is closed, waiting for others. */
must_check_ int audit_lock(int fd, bool is_shared, struct vs_err *err);

/* ---- read.c: the log from its start ---- */

struct log_reader {
	int fd;
	uint64_t left; /* bytes of the file not read yet, as long as it was when reading began */
	uint64_t off;  /* in the file, of the next line */
	unsigned char *bytes;
	size_t start, end; /* what is in @bytes and not yet given out */
	bool is_torn;      /* the last bytes had no newline */
};

/* VS_ENOENT when there is no log. */
must_check_ int log_reader_open(struct log_reader *r, int state_dirfd, struct vs_err *err);

/* Read from the start, and no further than the file goes now. */
must_check_ int log_reader_begin(struct log_reader *r, struct vs_err *err);

/*
 * The next line, without its newline; borrowed until the next call. ptr NULL: longer than any
 * record. Returns 1, 0 at the end, negative. @off gets where it begins; may be NULL.
 */
must_check_ int log_reader_next(struct log_reader *r, struct slice *out, uint64_t *off,
				struct vs_err *err);
void log_reader_fini(struct log_reader *r);

/* ---- head.c ---- */

must_check_ int audit_head_store(int state_dirfd, const struct audit_head *head,
				 struct vs_err *err);

/* ---- chain.c: what is wrong with a log, line by line ---- */

#define VERIFIER_MISSING_MAX 64
#define VERIFIER_ANCHORS_MAX (AUDIT_ANCHORS_MAX + 1) /* and the head */

struct verifier_anchor {
	const char *where; /* borrowed */
	uint64_t seq;
	char hex[DIGEST_HEX_LEN + 1];
	uint64_t line; /* where that record stands; 0 while not seen */
	bool is_same;  /* and whether it is the one that was anchored */
};

struct verifier_place {
	uint64_t seq;
	uint64_t line;
	char hex[DIGEST_HEX_LEN + 1]; /* digest of that line */
	/* Reported already, so that what follows cannot be held against it. */
	bool is_suspect;
};

/*
 * Holds no pointer to what it was fed, so while no store is set a copy of it is a saved state.
 */
struct verifier {
	void (*report)(void *ctx, const struct audit_finding *f);
	void *ctx;
	struct digest_ctx *digest; /* borrowed */
	uint64_t findings;         /* notes not counted */
	uint64_t records;
	uint64_t line;

	struct verifier_place front; /* the newest record that is in its place */
	struct verifier_place last;  /* the line before this one */
	struct verifier_place leap;  /* follows the front by its chain, not by its number */
	uint64_t unreadable;         /* lines since the last that could be read */

	/* A line that looks edited, until the next link tells whether it is that or the one behind.
	 */
	bool has_doubt;
	bool is_doubt_first; /* of its run of broken links */
	uint64_t doubt_line;
	uint64_t doubt_seq;
	uint64_t edited_line; /* the last one reported */

	struct missing_range {
		uint64_t first, last, line;
	} missing[VERIFIER_MISSING_MAX];
	size_t missing_count;

	struct verifier_anchor anchors[VERIFIER_ANCHORS_MAX];
	size_t anchor_count;

	bool has_key;
	bool was_sealed;
	bool was_bad;         /* the seal checked last did not fit */
	struct seal_key key;  /* where it has moved to */
	struct seal_key past; /* one record earlier */
	uint64_t steps_left;  /* bounds what a hostile sequence number can cost */

	struct buf store; /* whose records these should be, as a line has it; owned; may be empty */
	uint64_t foreign; /* records of another */
	uint64_t foreign_line;
	char foreign_store[128]; /* of the first of them, as much as fits */

	char first_time[32], last_time[32];
	uint64_t sealed_from;
};

/* How the log ends, for verifier_finish(). */
struct verifier_end {
	const struct audit_head *head; /* NULL: it is there and cannot be read */
	bool is_torn;                  /* bytes without a newline at the end */
	const struct seal_key *key;    /* the state directory's; NULL: there is none */
	bool is_key_unknown;           /* it could not be read, so nothing follows from it */
	bool has_history;              /* something else knows that there were records */
};

/* @first_key may be NULL; @digest is used and borrowed. */
void verifier_init(struct verifier *v, const unsigned char *first_key, struct digest_ctx *digest);
void verifier_anchor(struct verifier *v, const struct audit_head *head, const char *where);
void verifier_expect_store(struct verifier *v, const char *store);
void verifier_fini(struct verifier *v); /* wipes the keys */

/* A line without its newline; ptr NULL for one that is too long to be read. */
void verifier_line(struct verifier *v, struct slice text);
void verifier_finish(struct verifier *v, const struct verifier_end *end);

/* What chain.c and chain-end.c share. */
void verifier_report(struct verifier *v, enum audit_fault fault, uint64_t line, uint64_t seq,
		     const char *fmt, ...) printf_(5, 6);
void verifier_report_missing(struct verifier *v, const struct missing_range *m);
void verifier_report_seal(struct verifier *v, uint64_t seq, bool is_bad, const char *why);
void verifier_break_link(struct verifier *v);
void verifier_settle_doubt(struct verifier *v);
void verifier_settle_leap(struct verifier *v, const struct audit_line *next);
bool verifier_move_key(struct verifier *v, uint64_t seq);
