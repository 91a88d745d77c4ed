/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the log from its start, in blocks, whatever its length; and verifying it.
 */

#include "audit/audit-private.h"

#include <fcntl.h>
#include <limits.h>

#define BLOCK ((size_t)256 << 10)

void log_reader_fini(struct log_reader *r)
{
	file_closep(&r->fd);
	free(r->bytes);
}

int log_reader_open(struct log_reader *r, int state_dirfd, struct vs_err *err)
{
	struct file_info info;
	int status;

	*r = (struct log_reader){ .fd = -1 };
	/* Before opening, which alone would wake the writer of a FIFO. */
	status = file_stat_at(state_dirfd, AUDIT_LOG, FILE_NO_FOLLOW, &info, err);
	if (status < 0)
		return status;
	if (info.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "%s: not a regular file", AUDIT_LOG);
	r->fd = openat(state_dirfd, AUDIT_LOG,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (r->fd < 0)
		return vs_fail_errno(err, "%s", AUDIT_LOG);
	return 0;
}

int log_reader_begin(struct log_reader *r, struct vs_err *err)
{
	struct file_info info;
	int status;

	status = file_stat_fd(r->fd, &info, err);
	if (status < 0)
		return vs_err_in(err, "%s", AUDIT_LOG);
	r->left = info.size;
	r->bytes = vs_alloc(AUDIT_LINE_MAX + BLOCK);
	return 0;
}

/* Read another block behind what is there; 0 at the end. */
static int fill(struct log_reader *r, struct vs_err *err)
{
	size_t want = (size_t)VS_MIN(r->left, (uint64_t)BLOCK);
	ssize_t got;

	if (r->start > 0) {
		memmove(r->bytes, r->bytes + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
	}
	if (want == 0)
		return 0;
	do {
		got = read(r->fd, r->bytes + r->end, want);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return vs_fail_errno(err, "%s: cannot be read", AUDIT_LOG);
	/* An appender may meanwhile have set an incomplete line aside. */
	r->left = got == 0 ? 0 : r->left - (uint64_t)got;
	r->end += (size_t)got;
	return got > 0;
}

int log_reader_next(struct log_reader *r, struct slice *out, uint64_t *off, struct vs_err *err)
{
	bool is_too_long = false;
	size_t seen = 0;
	int status;

	if (off)
		*off = r->off;
	for (;;) {
		unsigned char *from = r->bytes + r->start;
		unsigned char *newline = memchr(from + seen, '\n', r->end - r->start - seen);

		if (newline) {
			size_t len = (size_t)(newline - from);

			*out = is_too_long ? slice_of(NULL, 0) : slice_of(from, len);
			r->start += len + 1;
			r->off += len + 1;
			return 1;
		}
		seen = r->end - r->start;
		if (seen >= AUDIT_LINE_MAX) {
			is_too_long = true;
			r->off += seen;
			r->start = r->end;
			seen = 0;
		}
		status = fill(r, err);
		if (status > 0)
			continue;
		r->is_torn = is_too_long || seen > 0;
		return status;
	}
}

/* ---- verifying ---- */

/* What belongs together, read while no appender is at work. */
struct verify_scope {
	struct log_reader log;
	bool has_log;
	struct audit_head head;
	bool has_head; /* readable, or not there at all */
	struct seal_key key;
	bool has_key;
	bool is_key_unknown;
};

static void verify_scope_fini(struct verify_scope *s)
{
	log_reader_fini(&s->log);
	seal_key_fini(&s->key);
}

static int load_key(struct verify_scope *s, int state_dirfd, bool is_needed, struct vs_err *err)
{
	int r = seal_key_load(state_dirfd, &s->key, err);

	s->has_key = r > 0;
	if (r >= 0 || r == VS_EFORMAT)
		return 0;
	/* Anybody may read a log whose key is not his. */
	s->is_key_unknown = true;
	return is_needed ? r : 0;
}

static int verify_scope_open(struct verify_scope *s, int state_dirfd, bool needs_key,
			     struct vs_err *err)
{
	int r;

	r = log_reader_open(&s->log, state_dirfd, err);
	if (r < 0 && r != VS_ENOENT)
		return r;
	s->has_log = r == 0;
	r = s->has_log ? audit_lock(s->log.fd, true, err) : 0;
	if (r < 0)
		return r;
	r = audit_head_load(state_dirfd, &s->head, err);
	s->has_head = r == 0;
	if (r < 0 && r != VS_EFORMAT)
		return r;
	r = load_key(s, state_dirfd, needs_key, err);
	if (r == 0 && s->has_log)
		r = log_reader_begin(&s->log, err);
	return r;
}

/* The lock goes with this; the log may grow again, and is not read further than it went. */
static int unlock(struct verify_scope *s, struct vs_err *err)
{
	struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (s->has_log && fcntl(s->log.fd, F_OFD_SETLK, &none) < 0)
		return vs_fail_errno(err, "cannot unlock %s", AUDIT_LOG);
	return 0;
}

static int verify_lines(struct verifier *v, struct verify_scope *s, struct vs_err *err)
{
	struct slice line;
	int r = 0;

	while (s->has_log && (r = log_reader_next(&s->log, &line, NULL, err)) > 0)
		verifier_line(v, line);
	return r;
}

static void summarise(const struct verifier *v, const struct verify_scope *scope,
		      struct audit_summary *out)
{
	bool has_hex;

	*out = (struct audit_summary){
		.records = v->records,
		.sealed_from = v->sealed_from,
		.has_log = scope->has_log,
	};
	memcpy(out->first_time, v->first_time, sizeof(out->first_time));
	memcpy(out->last_time, v->last_time, sizeof(out->last_time));
	/* A line that was changed is nothing to hold on to. */
	if (v->front.seq == 0 || v->front.is_suspect)
		return;
	out->end.seq = v->front.seq;
	has_hex = hex_parse(slice_of(v->front.hex, DIGEST_HEX_LEN), out->end.digest.bytes,
			    DIGEST_LEN);
	assert(has_hex);
	out->is_end_proven =
		scope->has_head && scope->head.seq == out->end.seq &&
		memcmp(scope->head.digest.bytes, out->end.digest.bytes, DIGEST_LEN) == 0;
}

static void verifier_begin(struct verifier *v, const struct verify_scope *scope,
			   const struct audit_expect *expect, struct digest_ctx *digest)
{
	verifier_init(v, expect->first_key, digest);
	if (expect->store)
		verifier_expect_store(v, expect->store);
	if (scope->has_head)
		verifier_anchor(v, &scope->head, AUDIT_HEAD);
	for (size_t i = 0; i < VS_MIN(expect->anchor_count, (size_t)AUDIT_ANCHORS_MAX); i++)
		verifier_anchor(v, &expect->anchors[i].head, expect->anchors[i].where);
}

int audit_check(int state_dirfd, const struct audit_expect *expect,
		void (*report)(void *ctx, const struct audit_finding *f), void *ctx,
		struct audit_summary *out, struct vs_err *err)
{
	static const struct audit_expect nothing = { 0 };
	cleanup_(verify_scope_fini) struct verify_scope scope = { .log = { .fd = -1 } };
	cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	cleanup_(verifier_fini) struct verifier v = { 0 };
	struct verifier_end end;
	int r;

	expect = expect ? expect : &nothing;
	r = verify_scope_open(&scope, state_dirfd, expect->first_key != NULL, err);
	if (r == 0)
		r = unlock(&scope, err);
	if (r < 0)
		return r;
	verifier_begin(&v, &scope, expect, digest);
	v.report = report;
	v.ctx = ctx;
	r = verify_lines(&v, &scope, err);
	if (r < 0)
		return r;
	end = (struct verifier_end){ .head = scope.has_head ? &scope.head : NULL,
				     .is_torn = scope.log.is_torn,
				     .key = scope.has_key ? &scope.key : NULL,
				     .is_key_unknown = scope.is_key_unknown,
				     .has_history = expect->has_history };
	verifier_finish(&v, &end);
	summarise(&v, &scope, out);
	return (int)VS_MIN(v.findings, (uint64_t)INT_MAX);
}

int audit_verify(int state_dirfd, const struct audit_head *anchor, const unsigned char *first_key,
		 void (*report)(void *ctx, const struct audit_finding *f), void *ctx,
		 uint64_t *records, struct vs_err *err)
{
	struct audit_anchor one = { .where = "the anchor" };
	struct audit_expect expect = { .anchors = &one,
				       .anchor_count = anchor != NULL,
				       .first_key = first_key };
	struct audit_summary summary = { 0 };
	int r;

	if (anchor)
		one.head = *anchor;
	r = audit_check(state_dirfd, &expect, report, ctx, &summary, err);
	if (r >= 0)
		*records = summary.records;
	return r;
}
