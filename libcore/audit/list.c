/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listing: records that fit a query. For the newest so many, the log is read once and where the
 * last of them stand is kept, not what they say.
 */

#include "audit/audit-private.h"

/* Where a record that fits the query stands. */
struct found_line {
	uint64_t off;
	size_t len;
};

/* The newest so many, in a ring that grows no further than there are records. */
struct found_ring {
	struct found_line *items;
	size_t count, cap;
	size_t oldest;
	uint64_t limit;
	uint64_t matched; /* of which it keeps the newest */
};

struct filter {
	struct buf action; /* as it stands in a line */
	char since[32];
	bool has_action, has_since;
};

static void filter_fini(struct filter *f)
{
	buf_fini(&f->action);
}

static void filter_init(struct filter *f, const struct audit_query *query)
{
	struct jw j;

	f->has_action = query->action != NULL;
	f->has_since = query->since_ns > 0;
	if (f->has_action) {
		jw_init(&j, &f->action);
		jw_str(&j, query->action);
	}
	time_format(query->since_ns, true, f->since);
}

/* The action itself, or of a group any of its verbs. */
static bool is_action(struct slice action, struct slice wanted)
{
	if (action.len > wanted.len && action.ptr[wanted.len] == ' ')
		action.len = wanted.len;
	return slice_eq(action, wanted);
}

static bool fits(const struct filter *f, const struct audit_line *line)
{
	/* Between its quotes. */
	if (f->has_action &&
	    !is_action(line->action, slice_of(f->action.ptr + 1, f->action.len - 2)))
		return false;
	/* Times of one form compare as text. */
	return !f->has_since || slice_cmp(line->time, slice_str(f->since)) >= 0;
}

static void ring_add(struct found_ring *ring, uint64_t off, size_t len)
{
	struct found_line found = { off, len };

	ring->matched++;
	if (ring->count < ring->limit) {
		ring->items =
			vs_grow(ring->items, &ring->cap, ring->count + 1, sizeof(*ring->items));
		ring->items[ring->count++] = found;
		return;
	}
	ring->items[ring->oldest] = found;
	ring->oldest = (ring->oldest + 1) % ring->count;
}

/* The texts of one entry, reused from record to record. */
struct entry_texts {
	struct buf time, action, phase, user, run, message;
};

static void entry_texts_fini(struct entry_texts *t)
{
	buf_fini(&t->time);
	buf_fini(&t->action);
	buf_fini(&t->phase);
	buf_fini(&t->user);
	buf_fini(&t->run);
	buf_fini(&t->message);
}

static const char *text_or_null(struct slice escaped, struct buf *out)
{
	return escaped.ptr ? audit_line_text(escaped, out) : NULL;
}

struct lister {
	int (*fn)(void *ctx, const struct audit_entry *e, struct vs_err *err);
	void (*begin)(void *ctx, uint64_t matched);
	void *ctx;
	struct entry_texts texts;
};

static int hand_out(struct lister *l, struct slice text, const struct audit_line *line,
		    struct vs_err *err)
{
	struct audit_entry e = {
		.line = text,
		.seq = line->seq,
		.time = text_or_null(line->time, &l->texts.time),
		.action = text_or_null(line->action, &l->texts.action),
		.phase = text_or_null(line->phase, &l->texts.phase),
		.user = text_or_null(line->user, &l->texts.user),
		.run = text_or_null(line->run, &l->texts.run),
		.message = text_or_null(line->message, &l->texts.message),
		.exit_status = line->exit_status,
	};

	return l->fn(l->ctx, &e, err);
}

/* Read a line again that was seen before. It may have been set aside since, or changed. */
static int hand_out_at(struct lister *l, int fd, const struct found_line *found, struct buf *text,
		       struct vs_err *err)
{
	struct audit_line line;
	ssize_t got;
	int r;

	buf_clear(text);
	r = buf_try_reserve(text, found->len, err);
	if (r < 0)
		return r;
	do {
		got = pread(fd, text->ptr, found->len, (off_t)found->off);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return vs_fail_errno(err, "%s: cannot be read at offset %" PRIu64, AUDIT_LOG,
				     found->off);
	text->len = (size_t)got;
	if (text->len != found->len || !audit_line_scan(buf_slice(text), &line))
		return vs_fail(err, VS_EVANISHED, "%s: changed while it was read", AUDIT_LOG);
	return hand_out(l, buf_slice(text), &line, err);
}

static int hand_out_ring(struct lister *l, int fd, const struct found_ring *ring,
			 struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	for (size_t i = 0; i < ring->count; i++) {
		size_t at = (ring->oldest + i) % ring->count;
		int r = hand_out_at(l, fd, &ring->items[at], &text, err);

		if (r != 0)
			return r;
	}
	return 0;
}

static int list_lines(struct log_reader *log, const struct filter *filter, struct found_ring *ring,
		      struct lister *l, bool *was_unreadable, struct vs_err *err)
{
	struct slice text;
	uint64_t off;
	int r;

	while ((r = log_reader_next(log, &text, &off, err)) > 0) {
		struct audit_line line;

		if (!text.ptr || !audit_line_scan(text, &line)) {
			*was_unreadable = true;
			continue;
		}
		if (!fits(filter, &line))
			continue;
		if (ring->limit > 0) {
			ring_add(ring, off, text.len);
			continue;
		}
		r = hand_out(l, text, &line, err);
		if (r != 0)
			return r;
	}
	if (r < 0)
		return r;
	if (l->begin && ring->limit > 0)
		l->begin(l->ctx, ring->matched);
	return hand_out_ring(l, log->fd, ring, err);
}

int audit_list(int state_dirfd, const struct audit_query *query,
	       int (*fn)(void *ctx, const struct audit_entry *e, struct vs_err *err), void *ctx,
	       struct vs_err *err)
{
	cleanup_(log_reader_fini) struct log_reader log = { .fd = -1 };
	cleanup_(filter_fini) struct filter filter = { 0 };
	struct found_ring ring = { .limit = query->limit };
	struct lister lister = { .fn = fn, .begin = query->begin, .ctx = ctx };
	bool was_unreadable = false;
	int r;

	filter_init(&filter, query);
	r = log_reader_open(&log, state_dirfd, err);
	if (r == 0)
		r = log_reader_begin(&log, err);
	if (r == 0)
		r = list_lines(&log, &filter, &ring, &lister, &was_unreadable, err);
	entry_texts_fini(&lister.texts);
	free(ring.items);
	return r != 0 ? r : was_unreadable;
}
