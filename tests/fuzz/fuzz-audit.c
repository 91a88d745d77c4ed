/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile audit log. The first byte is a set of switches, the rest is the log.
 *
 * With MEND, each line that can be read gets the digest of the one before as its `prev`: nobody
 * finds those by chance, and without them no input would come past the first line.
 *
 * The oracle is a second verifier, which knows nothing of streaming, doubt or gaps: it says only
 * whether a log is whole. Both have to agree.
 */

#include "audit/audit-private.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
	MEND = 1,
	WITH_KEY = 2,
	HEAD_BEHIND = 4,
	HEAD_GONE = 8,
	WITH_KEY_FILE = 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char first_key[AUDIT_KEY_LEN] = "a first key for tests, 32 bytes";

/* Take the next line off @rest; false at the end, with what has no newline left in it. */
static bool take_line(struct slice *rest, struct slice *line)
{
	const unsigned char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;

	if (!newline)
		return false;
	*line = slice_of(rest->ptr, (size_t)(newline - rest->ptr));
	*rest = slice_of(newline + 1, rest->len - line->len - 1);
	return true;
}

static void mend(unsigned char *bytes, size_t len)
{
	struct slice rest = slice_of(bytes, len);
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest = { 0 };
	struct audit_line parts;
	struct slice line;

	while (take_line(&rest, &line)) {
		if (!audit_line_scan(line, &parts))
			continue;
		digest_format(&digest, hex);
		memcpy(bytes + (parts.prev.ptr - bytes), hex, DIGEST_HEX_LEN);
		digest_of(line, &digest);
	}
}

/* What a reader of JSON sees in a line has to be what the scanner saw. */
static void check_line(struct slice text, const struct audit_line *line)
{
	cleanup_(jr_freep) struct jr *json = NULL;
	cleanup_(buf_fini) struct buf back = { 0 };
	struct vs_err err = { 0 };
	const char *action = NULL;
	uint64_t seq = 0;
	bool is_same = jr_parse(&json, text, &err) == 0 && jr_get_uint(json, "seq", &seq) &&
		       jr_get_str(json, "action", &action) && seq == line->seq &&
		       strcmp(action, audit_line_text(line->action, &back)) == 0;

	if (!is_same)
		abort();
}

/* Is every line a record in its place? @head gets the last one. */
static bool is_whole(struct slice log, struct audit_head *head)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct audit_line parts;
	struct slice line;
	bool was_sealed = false;

	*head = (struct audit_head){ 0 };
	while (take_line(&log, &line)) {
		digest_format(&head->digest, hex);
		if (!audit_line_scan(line, &parts) || parts.seq != head->seq + 1 ||
		    memcmp(parts.prev.ptr, hex, DIGEST_HEX_LEN) != 0 ||
		    (was_sealed && !parts.seal.ptr))
			return false;
		check_line(line, &parts);
		was_sealed = parts.seal.ptr != NULL;
		head->seq = parts.seq;
		digest_of(line, &head->digest);
	}
	return true;
}

static void ignore(void *ctx, const struct audit_finding *f)
{
	/* Every name and detail is a string. */
	*(size_t *)ctx += strlen(audit_fault_name(f->fault)) + strlen(f->detail);
}

static uint64_t verify(struct slice log, const struct audit_head *head, unsigned switches)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	struct seal_key key = { .seq = head->seq + 1 };
	struct verifier_end end = { .head = switches & HEAD_GONE ? NULL : head,
				    .key = switches & WITH_KEY_FILE ? &key : NULL,
				    .is_key_unknown = !(switches & WITH_KEY_FILE) };
	size_t ignored = 0;
	struct verifier v;
	struct slice line;

	verifier_init(&v, switches & WITH_KEY ? first_key : NULL, digest);
	v.report = ignore;
	v.ctx = &ignored;
	if (end.head)
		verifier_anchor(&v, head);
	while (take_line(&log, &line))
		verifier_line(&v, line);
	end.is_torn = log.len > 0;
	verifier_finish(&v, &end);
	return v.findings;
}

/* How an appender sees the end of the same log. */
static void look_at_tail(struct slice log, const struct audit_head *head)
{
	cleanup_(file_closep) int fd = memfd_create("fuzz-audit", MFD_CLOEXEC);
	cleanup_(audit_tail_fini) struct audit_tail tail = { 0 };
	struct vs_err err = { 0 };

	if (fd < 0 || (log.len > 0 && write(fd, log.ptr, log.len) != (ssize_t)log.len))
		return;
	if (audit_tail_load(&tail, fd, log.len, head, &err) < 0 ||
	    (!tail.is_endless && tail.end + tail.torn.len != log.len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned switches = size > 0 ? data[0] : 0;
	cleanup_(buf_fini) struct buf text = { 0 };
	struct audit_head head, older;
	bool whole;

	if (size < 2)
		return 0;
	buf_append(&text, data + 1, size - 1);
	if (switches & MEND)
		mend(text.ptr, text.len);
	whole = is_whole(buf_slice(&text), &head);
	if (!(switches & (WITH_KEY | HEAD_GONE | WITH_KEY_FILE)) && whole &&
	    verify(buf_slice(&text), &head, 0) > 0)
		abort();
	if (!whole && verify(buf_slice(&text), &head, switches & MEND) == 0)
		abort();
	older = (struct audit_head){ .seq = head.seq / 2 };
	verify(buf_slice(&text), switches & HEAD_BEHIND ? &older : &head, switches);
	look_at_tail(buf_slice(&text), &head);
	return 0;
}
