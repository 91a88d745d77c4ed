/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile audit log. The first byte is a set of switches, the rest is the log.
 *
 * With MEND, each line that can be read gets the digest of the one before as its `prev`: nobody
 * finds those by chance, and without them no input would come past the first line.
 *
 * The oracle is a second verifier, which knows nothing of streaming, doubt or gaps: it says only
 * whether a log is whole. Both have to agree.
 *
 * AS_FILES does it all again through the files of a state directory, as the commands do; with
 * HOSTILE_HEAD the first line is what audit.head and audit.key hold.
 */

#include "audit/audit-private.h"
#include "kit/scratch.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
	MEND = 1,
	WITH_KEY = 2,
	HEAD_BEHIND = 4,
	HEAD_GONE = 8,
	WITH_KEY_FILE = 16,
	AS_FILES = 32,
	HOSTILE_HEAD = 64,
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
		verifier_anchor(&v, head, "the head");
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

/* ---- the same through files ---- */

struct listing {
	uint64_t count, matched;
};

static void note_matched(void *ctx, uint64_t matched)
{
	((struct listing *)ctx)->matched = matched;
}

static int note_entry(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	struct listing *l = ctx;
	struct audit_line parts;

	(void)err;
	if (!audit_line_scan(e->line, &parts) || parts.seq != e->seq || !e->time || !e->action ||
	    !e->phase)
		abort();
	l->count++;
	return 0;
}

static void list(int state, uint64_t records, uint64_t limit, const char *action)
{
	struct audit_query query = { .limit = limit, .action = action, .begin = note_matched };
	struct listing l = { 0 };
	struct vs_err err = { 0 };

	if (audit_list(state, &query, note_entry, &l, &err) < 0 || l.count > records)
		abort();
	if (limit > 0 && l.count != VS_MIN(l.matched, limit))
		abort();
	/* Without a filter nothing that is a record is left out. */
	if (!action && l.count != (limit > 0 ? VS_MIN(records, limit) : records))
		abort();
}

static void save_head(int state, struct slice log, const struct audit_head *head, unsigned switches)
{
	struct vs_err err = { 0 };
	struct slice line;

	unlinkat(state, AUDIT_HEAD, 0);
	unlinkat(state, AUDIT_KEY, 0);
	if (switches & HEAD_GONE)
		return;
	if (switches & HOSTILE_HEAD) {
		if (!take_line(&log, &line))
			line = log;
		scratch_write(state, AUDIT_HEAD, line.ptr, line.len);
		scratch_write(state, AUDIT_KEY, line.ptr, line.len);
	} else if (head->seq > 0 && audit_head_store(state, head, &err) < 0) {
		abort();
	}
}

static void look_at_files(struct slice log, const struct audit_head *head, bool whole,
			  unsigned switches)
{
	static int state = -1;
	const struct audit_expect expect = { .store = "/srv/store",
					     .first_key = switches & WITH_KEY ? first_key : NULL };
	struct audit_summary sum = { 0 };
	struct vs_err err = { 0 };
	size_t ignored = 0;
	int r;

	if (state < 0)
		scratch_new(&state);
	scratch_write(state, AUDIT_LOG, log.ptr, log.len);
	save_head(state, log, head, switches);
	r = audit_check(state, &expect, ignore, &ignored, &sum, &err);
	if (r < 0 || (r == 0 && !whole))
		abort();
	/* What is said to be proven is a record, which the head has. */
	if (sum.is_end_proven && (sum.end.seq == 0 || sum.records == 0))
		abort();
	list(state, sum.records, 0, NULL);
	list(state, sum.records, 2, NULL);
	list(state, sum.records, 3, "audit-log");
}

/* A head and a time as people type them; both are refused or come back as they were. */
static void look_at_words(struct slice log)
{
	char back[AUDIT_HEAD_TEXT_LEN + 1];
	struct audit_head head, again;
	char text[256];
	char when[32];
	int64_t ns, same;

	snprintf(text, sizeof(text), "%.*s", (int)VS_MIN(log.len, sizeof(text) - 1), log.ptr);
	text[strcspn(text, "\n")] = '\0';
	if (audit_head_parse(text, &head)) {
		audit_head_format(&head, back);
		if (!audit_head_parse(back, &again) || memcmp(&head, &again, sizeof(head)) != 0)
			abort();
	}
	if (time_parse(text, INT64_C(1769090589000000000), &ns)) {
		time_format(ns, true, when);
		if (ns < 0 || !time_parse(when, 0, &same) || same != ns)
			abort();
	}
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
	look_at_words(buf_slice(&text));
	if (switches & AS_FILES)
		look_at_files(buf_slice(&text), &head, whole, switches);
	return 0;
}
