/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names from a file, one a line, of any length.
 *
 * The file is read in blocks. The whole lines of a block are dealt out to the workers in parts; the
 * beginning of a line that the block cuts moves to the front of the next one. A part counts its
 * lines, so that the numbers of lines with hits are known once all parts are done.
 */

#include "lookup/search.h"

#define BLOCK_LEN ((size_t)4 << 20)
#define PAGE_LEN 4096
_Static_assert(BLOCK_LEN > 2 * LOOKUP_NAME_MAX, "every name fits into a block");

#define PARTS_PER_WORKER 4

/* What comes before a word, apart from the kinds of records that come behind it. */
static const char *const beginnings[] = { "contextd_", "org_", "remediations_org_" };

struct part {
	struct slice text;
	uint64_t lines;
	uint64_t too_long;
	uint64_t first_line; /* known when all parts before are done */
};

struct reading {
	struct lookup *l;
	int fd;
	const char *label;
	bool with_rules;
	unsigned worker_count;
	struct trial **trials; /* one a worker */
	struct part *parts;    /* PARTS_PER_WORKER for each */
	size_t part_count;     /* of the block under way */
	unsigned char *block;
	size_t len;       /* bytes in it */
	bool is_begun;    /* the first block was read */
	bool is_ended;    /* the last one was */
	bool is_skipping; /* in a line that is longer than a block */
	uint64_t lines;   /* before the block */
	uint64_t too_long;
	uint64_t tried;
};

/* ---- one part ---- */

/* Of an origin: a is the part, b what was put to the line, c the label, n the line. */
static void describe_line(const struct lookup *l, const struct origin *o, struct buf *out)
{
	const char *added = o->b;

	(void)l;
	buf_printf(out, "line %" PRIu64 " of ", o->n);
	text_escape(out, slice_str(o->c));
	if (!added)
		return;
	if (slice_ends_with(slice_str(added), "_"))
		buf_printf(out, ", behind \"%s\"", added);
	else
		buf_printf(out, ", with \"%s\", a kind of record", added);
}

static void try_word(const struct reading *r, struct trial *t, struct slice word,
		     struct origin origin)
{
	const char *kind;

	(void)trial_add(t, &word, 1, &origin);
	if (!r->with_rules || word.len == 0)
		return;
	for (size_t i = 0; (kind = record_kind_at(i)) != NULL; i++) {
		const struct slice parts[] = { word, slice_str("_"), slice_str(kind) };

		origin.b = kind;
		(void)trial_add(t, parts, VS_COUNT(parts), &origin);
	}
	for (size_t i = 0; i < VS_COUNT(beginnings); i++) {
		const struct slice parts[] = { slice_str(beginnings[i]), word };

		origin.b = beginnings[i];
		(void)trial_add(t, parts, VS_COUNT(parts), &origin);
	}
}

static void try_line(const struct reading *r, struct part *part, struct trial *t, struct slice line)
{
	struct origin origin = {
		.describe = describe_line, .a = part, .c = r->label, .n = ++part->lines
	};
	cleanup_(buf_fini) struct buf cleaned = { 0 };

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len > LOOKUP_NAME_MAX) {
		part->too_long++;
		return;
	}
	try_word(r, t, line, origin);
	if (!r->with_rules)
		return;
	contextd_identify(line, &cleaned);
	if (!slice_eq(buf_slice(&cleaned), line))
		try_word(r, t, buf_slice(&cleaned), origin);
}

static void work(void *ctx, unsigned worker, size_t index)
{
	struct reading *r = ctx;
	struct part *part = &r->parts[index];
	struct trial *t = r->trials[worker];
	struct slice rest = part->text;

	while (rest.len > 0 && !lookup_cancelled(r->l)) {
		const unsigned char *end = memchr(rest.ptr, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.ptr) : rest.len;

		try_line(r, part, t, slice_of(rest.ptr, len));
		len += end ? 1 : 0;
		rest = slice_of(rest.ptr + len, rest.len - len);
	}
	trial_flush(t);
}

/* ---- one block ---- */

/* Cut the first @len bytes into parts that end with lines. */
static void deal(struct reading *r, size_t len)
{
	size_t most = VS_MAX((size_t)r->worker_count * PARTS_PER_WORKER, (size_t)1);
	size_t from = 0;

	r->part_count = 0;
	while (from < len) {
		size_t to = VS_MIN(len, from + len / most + 1);
		const unsigned char *end = memchr(r->block + to - 1, '\n', len - to + 1);

		to = end ? (size_t)(end - r->block) + 1 : len;
		assert(r->part_count < most);
		r->parts[r->part_count++] =
			(struct part){ .text = slice_of(r->block + from, to - from) };
		from = to;
	}
}

static int by_line(const void *a_, const void *b_)
{
	const struct hit *a = a_, *b = b_;

	if (a->origin.n != b->origin.n)
		return a->origin.n < b->origin.n ? -1 : 1;
	return slice_cmp(slice_of(a->name, a->len), slice_of(b->name, b->len));
}

/* Hits of one block, in the order of the file, whichever worker had them. */
static void collect(struct reading *r)
{
	struct hits all = { 0 };

	for (size_t i = 0; i < r->part_count; i++) {
		r->parts[i].first_line = r->lines;
		r->lines += r->parts[i].lines;
		r->too_long += r->parts[i].too_long;
	}
	for (unsigned i = 0; i < r->worker_count; i++) {
		struct trial *t = r->trials[i];

		for (size_t k = 0; k < t->hits.count; k++) {
			const struct part *part = t->hits.list[k].origin.a;

			t->hits.list[k].origin.n += part->first_line;
		}
		r->tried += t->tried;
		t->tried = 0;
		hits_take(&all, &t->hits);
	}
	hits_sort(&all, by_line);
	group_collect(r->l, &all, LOOKUP_WORD_LIST);
	hits_fini(&all);
}

/* Try the lines in the first @len bytes and move the rest to the front. */
static void take_lines(struct reading *r, size_t len)
{
	deal(r, len);
	if (r->l->pool) {
		pool_run(r->l->pool, r->part_count, work, r);
	} else {
		for (size_t i = 0; i < r->part_count; i++)
			work(r, 0, i);
	}
	collect(r);
	r->len -= len;
	memmove(r->block, r->block + len, r->len);
	lookup_tell(r->l, r->tried, 0);
}

/* Fill the block, as far as the file goes. */
static int read_block(struct reading *r, struct vs_err *err)
{
	while (r->len < BLOCK_LEN && !r->is_ended && !lookup_cancelled(r->l)) {
		ssize_t n = read(r->fd, r->block + r->len, BLOCK_LEN - r->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "%s: cannot be read", r->label);
		r->len += (size_t)n;
		r->is_ended = n == 0;
	}
	return 0;
}

static void drop_front(struct reading *r, size_t len)
{
	r->len -= len;
	memmove(r->block, r->block + len, r->len);
}

static void take_block(struct reading *r)
{
	const unsigned char *end;

	/* Some editors put a mark of the encoding in front. */
	if (!r->is_begun && r->len >= 3 && memcmp(r->block, "\xef\xbb\xbf", 3) == 0)
		drop_front(r, 3);
	r->is_begun = true;

	end = memchr(r->block, '\n', r->len);
	if (r->is_skipping && end) {
		drop_front(r, (size_t)(end - r->block) + 1);
		r->is_skipping = false;
	} else if (r->is_skipping) {
		r->len = 0;
	}

	end = memrchr(r->block, '\n', r->len);
	if (end)
		take_lines(r, (size_t)(end - r->block) + 1);
	if (r->is_ended) {
		take_lines(r, r->len);
	} else if (r->len == BLOCK_LEN) {
		r->len = 0;
		r->lines++;
		r->too_long++;
		r->is_skipping = true;
	}
}

static void reading_init(struct reading *r)
{
	r->worker_count = r->l->pool ? pool_threads(r->l->pool) : 1;
	r->trials = vs_alloc_array(r->worker_count, sizeof(struct trial *));
	for (unsigned i = 0; i < r->worker_count; i++) {
		r->trials[i] = vs_alloc(sizeof(struct trial));
		trial_init(r->trials[i], &r->l->sieve, r->l->engine, UINT64_MAX);
	}
	r->parts = vs_alloc_array((size_t)r->worker_count * PARTS_PER_WORKER, sizeof(*r->parts));
	/* The kernel copies to the beginning of a page several times faster than to anywhere. */
	r->block = aligned_alloc(PAGE_LEN, BLOCK_LEN);
	assert(r->block);
}

static void reading_fini(struct reading *r)
{
	for (unsigned i = 0; i < r->worker_count; i++) {
		trial_fini(r->trials[i]);
		free(r->trials[i]);
	}
	free(r->trials);
	free(r->parts);
	free(r->block);
}

int lookup_try_words(struct lookup *l, int fd, const char *label, bool with_rules,
		     uint64_t *too_long, struct vs_err *err)
{
	cleanup_(reading_fini) struct reading r = {
		.l = l,
		.fd = fd,
		.label = label,
		.with_rules = with_rules,
	};
	int status = 0;

	if (too_long)
		*too_long = 0;
	if (!group_begin(l))
		return 0;
	reading_init(&r);
	while (status == 0 && !r.is_ended && !lookup_cancelled(l)) {
		status = read_block(&r, err);
		if (status == 0 && !lookup_cancelled(l))
			take_block(&r);
	}
	group_end(l, r.tried);
	if (too_long)
		*too_long = r.too_long;
	if (status < 0)
		return status;
	return lookup_cancelled(l) ? 1 : 0;
}
