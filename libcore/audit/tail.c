/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How the log ends: the last whole line, and what stands behind it. Read from the end, a few
 * kilobytes however long the log is.
 */

#include "audit/audit-private.h"

#include <fcntl.h>

#define STEP ((size_t)4096)

void audit_tail_fini(struct audit_tail *tail)
{
	buf_fini(&tail->torn);
}

static int read_range(int fd, uint64_t start, uint64_t end, struct buf *out, struct vs_err *err)
{
	int r;

	buf_clear(out);
	r = buf_try_reserve(out, (size_t)(end - start), err);
	if (r < 0)
		return r;
	while (start < end) {
		ssize_t got = pread(fd, out->ptr + out->len, (size_t)(end - start), (off_t)start);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vs_fail_errno(err, "%s: cannot be read at offset %" PRIu64,
					     AUDIT_LOG, start);
		if (got == 0)
			return vs_fail(err, VS_EVANISHED, "%s: became shorter", AUDIT_LOG);
		out->len += (size_t)got;
		start += (uint64_t)got;
	}
	return 0;
}

/*
 * The offset behind the last newline before @end, 0 when there is none. Looks no further back than
 * a line may be long: returns 1 when there is neither a newline nor the start of the file so near.
 */
static int line_start(int fd, uint64_t end, uint64_t *out, struct vs_err *err)
{
	uint64_t limit = end > AUDIT_LINE_MAX ? end - AUDIT_LINE_MAX : 0;
	cleanup_(buf_fini) struct buf block = { 0 };

	while (end > limit) {
		uint64_t start = end - VS_MIN((uint64_t)STEP, end - limit);
		const unsigned char *newline;
		int r = read_range(fd, start, end, &block, err);

		if (r < 0)
			return r;
		newline = memrchr(block.ptr, '\n', block.len);
		if (newline) {
			*out = start + (uint64_t)(newline - block.ptr) + 1;
			return 0;
		}
		end = start;
	}
	*out = 0;
	return limit > 0;
}

/* The line that ends with the newline before @end, which is not 0. 1 when it is too long. */
static int load_line(int fd, uint64_t end, uint64_t *start, struct buf *out, struct vs_err *err)
{
	int r = line_start(fd, end - 1, start, err);

	return r != 0 ? r : read_range(fd, *start, end - 1, out, err);
}

/* Is what stands before @end the line of the head, or with no head the start of the file? */
static int ends_with_head(int fd, uint64_t end, const struct audit_head *head, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf line = { 0 };
	struct digest digest;
	uint64_t start;
	int r;

	if (end == 0 || head->seq == 0)
		return end == 0 && head->seq == 0;
	r = load_line(fd, end, &start, &line, err);
	if (r != 0)
		return r < 0 ? r : 0;
	digest_of(buf_slice(&line), &digest);
	return memcmp(digest.bytes, head->digest.bytes, DIGEST_LEN) == 0;
}

/* The last whole line, which ends at @end. */
static int look_at_line(struct audit_tail *tail, int fd, uint64_t *end,
			const struct audit_head *head, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct audit_line line;
	uint64_t start;
	int r;

	r = load_line(fd, *end, &start, &text, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (audit_line_scan(buf_slice(&text), &line)) {
		bool has_prev = hex_parse(line.prev, tail->prev.bytes, DIGEST_LEN);

		assert(has_prev);
		tail->seq = line.seq;
		tail->is_sealed = line.seal.ptr != NULL;
		digest_of(buf_slice(&text), &tail->digest);
		return 0;
	}
	/* A power cut may leave a block of anything, newline included. When the head is the line
	 * before it, nobody was ever told that this one was written. */
	r = ends_with_head(fd, start, head, err);
	if (r <= 0)
		return r;
	*end = start;
	tail->seq = head->seq;
	tail->digest = head->digest;
	return 0;
}

int audit_tail_load(struct audit_tail *tail, int fd, uint64_t size, const struct audit_head *head,
		    struct vs_err *err)
{
	uint64_t end;
	int r;

	r = line_start(fd, size, &end, err);
	if (r < 0)
		return r;
	tail->is_endless = r > 0;
	if (r > 0)
		return 0;
	if (end > 0) {
		r = look_at_line(tail, fd, &end, head, err);
		if (r < 0)
			return r;
	}
	tail->end = end;
	return read_range(fd, end, size, &tail->torn, err);
}
