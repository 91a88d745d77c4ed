/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every way to change a log of 200 records by one bit, one line or one cut, and the finding that
 * must come of it; and what seals and anchors see beyond that.
 */

#include "kit/auditlog.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>

#define RECORDS 200

static const unsigned char first_key[AUDIT_KEY_LEN] = "a first key for tests, 32 bytes";

/* A log, the verifier's state in front of each line, and what is found from there on. */
struct bed {
	struct kit_log log;
	struct verifier *before; /* [number] is the state in front of line number + 1 */
	struct digest_ctx *digest;
	struct kit_findings found;
	const unsigned char *key; /* that is verified with; NULL for none */
	struct audit_head anchor; /* seq 0: none */
};

static struct verifier start(struct bed *b)
{
	struct verifier v;

	verifier_init(&v, b->key, b->digest);
	v.report = kit_findings_add;
	v.ctx = &b->found;
	verifier_anchor(&v, &b->log.head, "the head");
	if (b->anchor.seq > 0)
		verifier_anchor(&v, &b->anchor, "the anchor");
	return v;
}

/* Feed whole lines; returns what is left behind the last newline. */
static struct slice feed(struct verifier *v, struct slice text)
{
	const unsigned char *newline;

	while (text.len > 0 && (newline = memchr(text.ptr, '\n', text.len))) {
		struct slice line = slice_of(text.ptr, (size_t)(newline - text.ptr));

		verifier_line(v, line);
		text = slice_of(newline + 1, text.len - line.len - 1);
	}
	return text;
}

static void finish(struct bed *b, struct verifier *v, bool is_torn)
{
	struct verifier_end end = { .head = &b->log.head,
				    .is_torn = is_torn,
				    .key = b->log.is_sealed ? &b->log.key : NULL };

	verifier_finish(v, &end);
}

/* What is found in @text when its first @same lines are those of the log. */
static void look(struct bed *b, struct slice text, size_t same)
{
	struct verifier v = b->before[same];

	b->found.count = 0;
	text = feed(&v, slice_of(text.ptr + b->log.starts[same], text.len - b->log.starts[same]));
	finish(b, &v, text.len > 0);
}

static void bed_init(struct bed *b, const unsigned char *seal_with, size_t records)
{
	struct verifier v;

	*b = (struct bed){ .digest = digest_ctx_new() };
	kit_log_init(&b->log, seal_with);
	kit_log_fill(&b->log, records);
	b->key = seal_with;
	b->before = vs_alloc_array(records + 1, sizeof(*b->before));
	v = start(b);
	for (size_t n = 0; n <= records; n++) {
		b->before[n] = v;
		if (n < records)
			feed(&v, kit_log_line(&b->log, n + 1));
	}
	finish(b, &v, false);
	cr_assert_eq(b->found.count, 0, "an untouched log has findings");
	cr_assert_eq(v.records, records);
}

static void bed_fini(struct bed *b)
{
	kit_log_fini(&b->log);
	digest_ctx_freep(&b->digest);
	free(b->before);
}

static void expect_one(struct bed *b, enum audit_fault fault, uint64_t line, const char *what,
		       size_t number)
{
	cr_assert_eq(b->found.count, 1, "%s %zu: %zu findings, the first %s at line %" PRIu64, what,
		     number, b->found.count, audit_fault_name(b->found.items[0].fault),
		     b->found.items[0].line);
	cr_assert_eq(b->found.items[0].fault, fault, "%s %zu: %s instead of %s", what, number,
		     audit_fault_name(b->found.items[0].fault), audit_fault_name(fault));
	cr_assert_eq(b->found.items[0].line, line, "%s %zu: line %" PRIu64 " instead of %" PRIu64,
		     what, number, b->found.items[0].line, line);
}

/* ---- one bit ---- */

/*
 * Feed lines, and see that the verifier is then where it was in the untouched log: what is found
 * behind them cannot differ.
 */
static void feed_some(struct bed *b, struct verifier *v, struct slice text)
{
	feed(v, text);
	cr_assert(!v->has_doubt && v->leap.line == 0 && !v->front.is_suspect);
	cr_assert_str_eq(v->front.hex, b->before[v->front.seq].front.hex);
}

static void check_flip(struct bed *b, struct buf *text, size_t off, unsigned bit, size_t number)
{
	unsigned char before = text->ptr[off];
	unsigned char after = before ^ (unsigned char)(1u << bit);
	/* A newline that comes or goes splits records or joins them, which shows more than once. */
	bool is_newline = before == '\n' || after == '\n';
	struct verifier v = b->before[number - 1];
	size_t start = b->log.starts[number - 1];
	enum audit_fault fault;

	text->ptr[off] = after;
	b->found.count = 0;
	if (number + 4 > b->log.count)
		look(b, buf_slice(text), number - 1);
	else
		feed_some(b, &v, slice_of(text->ptr + start, b->log.starts[number + 3] - start));
	text->ptr[off] = before;
	cr_assert_gt(b->found.count, 0, "bit %u of byte %zu: not seen", bit, off);
	fault = b->found.items[0].fault;
	if (before == '\n' && off + 1 == text->len) {
		expect_one(b, AUDIT_TRUNCATED, number, "the last newline, bit", bit);
		return;
	}
	cr_assert_eq(b->found.items[0].line, number, "bit %u of byte %zu: %s at line %" PRIu64, bit,
		     off, audit_fault_name(fault), b->found.items[0].line);
	cr_assert(fault == AUDIT_EDITED || fault == AUDIT_UNREADABLE, "bit %u of byte %zu: %s", bit,
		  off, audit_fault_name(fault));
	if (!is_newline)
		cr_assert_eq(b->found.count, 1, "bit %u of byte %zu: %zu findings", bit, off,
			     b->found.count);
}

Test(audit_tamper, every_bit_flipped_is_found_in_its_line, .timeout = 600)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct bed b;
	size_t number = 1;

	bed_init(&b, NULL, RECORDS);
	buf_append(&text, b.log.text.ptr, b.log.text.len);
	for (size_t off = 0; off < text.len; off++) {
		number += off == b.log.starts[number];
		for (unsigned bit = 0; bit < 8; bit++)
			check_flip(&b, &text, off, bit, number);
	}
	cr_assert_eq(number, RECORDS);
	bed_fini(&b);
}

Test(audit_tamper, a_flipped_bit_is_told_apart_by_what_it_hits)
{
	static const struct {
		char where[24];
		size_t behind; /* bytes, from the start of @where */
		unsigned char with;
		enum audit_fault fault;
	} rows[] = {
		{ "\"action\":\"repair", 11, 'R', AUDIT_EDITED },
		{ "\"prev\":\"", 8, 0, AUDIT_EDITED }, /* another digit */
		{ "\"seq\":100", 6, '9', AUDIT_EDITED },
		{ "\"seq\":100", 8, '1', AUDIT_EDITED },
		{ "\"seq\":100", 6, '0', AUDIT_UNREADABLE }, /* a number does not begin so */
		{ "\"schema\":1", 9, '2', AUDIT_UNREADABLE },
		{ "\"phase\":\"", 9, 'x', AUDIT_UNREADABLE },
		{ "\"time\":\"", 8, 'x', AUDIT_UNREADABLE },
		{ "\"user\":", 1, 'x', AUDIT_UNREADABLE },
	};
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf text = { 0 };
		struct slice line = kit_log_line(&b.log, 100);
		unsigned char *at;

		buf_append(&text, b.log.text.ptr, b.log.text.len);
		at = memmem(text.ptr + b.log.starts[99], line.len, rows[i].where,
			    strlen(rows[i].where));
		cr_assert_not_null(at, "%s", rows[i].where);
		at += rows[i].behind;
		*at = rows[i].with ? rows[i].with : (*at == '0' ? '1' : '0');
		look(&b, buf_slice(&text), 0);
		expect_one(&b, rows[i].fault, 100, "row", i);
	}
	bed_fini(&b);
}

/* ---- one line ---- */

static void put_lines(struct buf *out, const struct kit_log *log, size_t first, size_t last)
{
	if (first <= last)
		buf_append(out, log->text.ptr + log->starts[first - 1],
			   log->starts[last] - log->starts[first - 1]);
}

Test(audit_tamper, every_line_removed)
{
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t n = 1; n <= RECORDS; n++) {
		cleanup_(buf_fini) struct buf text = { 0 };

		put_lines(&text, &b.log, 1, n - 1);
		put_lines(&text, &b.log, n + 1, RECORDS);
		look(&b, buf_slice(&text), n - 1);
		expect_one(&b, n < RECORDS ? AUDIT_REMOVED : AUDIT_TRUNCATED, n, "removed", n);
		cr_assert_eq(b.found.items[0].seq, n);
	}
	bed_fini(&b);
}

Test(audit_tamper, every_line_swapped_with_its_neighbour)
{
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t n = 1; n < RECORDS; n++) {
		cleanup_(buf_fini) struct buf text = { 0 };

		put_lines(&text, &b.log, 1, n - 1);
		put_lines(&text, &b.log, n + 1, n + 1);
		put_lines(&text, &b.log, n, n);
		put_lines(&text, &b.log, n + 2, RECORDS);
		look(&b, buf_slice(&text), n - 1);
		expect_one(&b, AUDIT_REORDERED, n + 1, "swapped", n);
	}
	bed_fini(&b);
}

Test(audit_tamper, every_line_duplicated)
{
	const size_t gaps[] = { 0, 1, 7, 60 };
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t i = 0; i < VS_COUNT(gaps); i++) {
		for (size_t n = 1; n + gaps[i] <= RECORDS; n++) {
			cleanup_(buf_fini) struct buf text = { 0 };

			put_lines(&text, &b.log, 1, n + gaps[i]);
			put_lines(&text, &b.log, n, n);
			put_lines(&text, &b.log, n + gaps[i] + 1, RECORDS);
			look(&b, buf_slice(&text), n - 1);
			expect_one(&b, AUDIT_DUPLICATED, n + gaps[i] + 1, "duplicated", n);
		}
	}
	bed_fini(&b);
}

/* Blocks of several lines: @from..@to, and what is done to them. */
struct block {
	size_t from, to, before;
	enum audit_fault fault;
	uint64_t line;
};

Test(audit_tamper, a_block_counts_once)
{
	static const struct block moved[] = {
		{ 20, 29, 41, AUDIT_REORDERED, 31 }, /* further down */
		{ 50, 59, 11, AUDIT_REORDERED,
		  21 }, /* further up: what it jumped is out of place */
		{ 1, 5, 201, AUDIT_REORDERED, 196 },  /* to the end */
		{ 191, 200, 1, AUDIT_REORDERED, 11 }, /* to the start */
	};
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t i = 0; i < VS_COUNT(moved); i++) {
		const struct block *m = &moved[i];
		cleanup_(buf_fini) struct buf text = { 0 };
		cleanup_(buf_fini) struct buf twice = { 0 };
		cleanup_(buf_fini) struct buf gone = { 0 };

		for (size_t n = 1; n <= RECORDS + 1; n++) {
			if (n == m->before)
				put_lines(&text, &b.log, m->from, m->to);
			if (n <= RECORDS && (n < m->from || n > m->to))
				put_lines(&text, &b.log, n, n);
		}
		cr_assert_eq(text.len, b.log.text.len);
		look(&b, buf_slice(&text), 0);
		expect_one(&b, m->fault, m->line, "moved block", i);

		put_lines(&twice, &b.log, 1, m->to);
		put_lines(&twice, &b.log, m->from, RECORDS);
		look(&b, buf_slice(&twice), 0);
		expect_one(&b, AUDIT_DUPLICATED, m->to + 1, "block twice", i);

		put_lines(&gone, &b.log, 1, m->from - 1);
		put_lines(&gone, &b.log, m->to + 1, RECORDS);
		look(&b, buf_slice(&gone), 0);
		expect_one(&b, m->to < RECORDS ? AUDIT_REMOVED : AUDIT_TRUNCATED, m->from,
			   "block gone", i);
	}
	bed_fini(&b);
}

Test(audit_tamper, several_changes_are_several_findings)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	put_lines(&text, &b.log, 1, 9);
	put_lines(&text, &b.log, 11, 49); /* 10 removed */
	put_lines(&text, &b.log, 51, 51); /* 50 and 51 swapped */
	put_lines(&text, &b.log, 50, 50);
	put_lines(&text, &b.log, 52, 99);
	put_lines(&text, &b.log, 99, 149); /* 99 twice */
	buf_append_str(&text, "{}\n");
	put_lines(&text, &b.log, 150, 190); /* and cut */
	look(&b, buf_slice(&text), 0);
	cr_assert_eq(b.found.count, 5);
	cr_assert_eq(b.found.items[0].fault, AUDIT_REORDERED);
	cr_assert_eq(b.found.items[0].line, 50);
	cr_assert_eq(b.found.items[1].fault, AUDIT_DUPLICATED);
	cr_assert_eq(b.found.items[1].line, 99);
	cr_assert_eq(b.found.items[2].fault, AUDIT_UNREADABLE);
	cr_assert_eq(b.found.items[2].line, 150);
	cr_assert_eq(b.found.items[3].fault, AUDIT_REMOVED);
	cr_assert_eq(b.found.items[3].line, 10);
	cr_assert_eq(b.found.items[3].seq, 10);
	cr_assert_eq(b.found.items[4].fault, AUDIT_TRUNCATED);
	cr_assert_eq(b.found.items[4].line, 192);
	bed_fini(&b);
}

Test(audit_tamper, a_gap_for_every_second_line_stays_within_bounds)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t n = 2; n <= RECORDS; n += 2)
		put_lines(&text, &b.log, n, n);
	look(&b, buf_slice(&text), 0);
	cr_assert_eq(b.found.count, RECORDS / 2);
	cr_assert_eq(b.found.items[0].fault, AUDIT_REMOVED);
	cr_assert_eq(b.found.items[0].seq, 1);
	bed_fini(&b);
}

/* ---- the end ---- */

Test(audit_tamper, every_truncation_is_seen_against_the_head)
{
	struct bed b;
	size_t whole = 0;

	bed_init(&b, NULL, RECORDS);
	for (size_t len = 0; len < b.log.text.len; len++) {
		whole += len == b.log.starts[whole + 1];
		look(&b, slice_of(b.log.text.ptr, len), whole);
		expect_one(&b, AUDIT_TRUNCATED, whole + 1, "cut at byte", len);
	}
	cr_assert_eq(whole, RECORDS - 1);
	bed_fini(&b);
}

Test(audit_tamper, an_unfinished_append_is_a_note)
{
	struct audit_head head;
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	head = b.log.head;
	kit_log_fill(&b.log, 1);
	b.log.head = head;
	for (size_t len = b.log.starts[RECORDS] + 1; len <= b.log.text.len; len++) {
		struct verifier v = b.before[RECORDS];
		struct slice rest = slice_of(b.log.text.ptr + b.log.starts[RECORDS],
					     len - b.log.starts[RECORDS]);

		b.found.count = 0;
		rest = feed(&v, rest);
		finish(&b, &v, rest.len > 0);
		expect_one(&b, len < b.log.text.len ? AUDIT_TORN : AUDIT_AHEAD, RECORDS + 1, "len",
			   len);
		cr_assert_eq(v.findings, 0);
	}
	bed_fini(&b);
}

Test(audit_tamper, a_head_that_is_old_or_gone_vouches_for_nothing)
{
	const uint64_t heads[] = { 0, 1, 100, RECORDS - 2 };
	struct bed b;

	bed_init(&b, NULL, RECORDS);
	for (size_t i = 0; i < VS_COUNT(heads); i++) {
		struct verifier v;

		b.log.head = (struct audit_head){ .seq = heads[i] };
		if (heads[i] > 0)
			digest_of(slice_of(kit_log_line(&b.log, heads[i]).ptr,
					   kit_log_line(&b.log, heads[i]).len - 1),
				  &b.log.head.digest);
		b.found.count = 0;
		v = start(&b);
		feed(&v, buf_slice(&b.log.text));
		finish(&b, &v, false);
		expect_one(&b, AUDIT_UNANCHORED, RECORDS, "head at", heads[i]);
	}
	bed_fini(&b);
}

/* ---- written anew: the chain is whole, but it is another one ---- */

/* The log from record @from on says something else, and chain, head and seals fit again. */
static void rewrite(struct bed *b, size_t from, const unsigned char *key_then)
{
	struct kit_log anew;
	struct audit_record rec = { .phase = AUDIT_FINISHED,
				    .action = "nothing",
				    .message = "all is well" };

	kit_log_init(&anew, b->log.is_sealed ? first_key : NULL);
	kit_log_fill(&anew, from - 1);
	if (key_then)
		memcpy(anew.key.bytes, key_then, AUDIT_KEY_LEN);
	while (anew.count < b->log.count)
		kit_log_add(&anew, &rec);
	kit_log_fini(&b->log);
	b->log = anew;
}

static void look_anew(struct bed *b)
{
	struct verifier v;

	b->found.count = 0;
	v = start(b);
	feed(&v, buf_slice(&b->log.text));
	finish(b, &v, false);
}

Test(audit_tamper, an_anchor_kept_elsewhere_sees_a_log_written_anew)
{
	struct audit_head was;
	struct bed b;

	bed_init(&b, NULL, 50);
	was = b.log.head;
	kit_log_fill(&b.log, 50);
	b.anchor = was;
	look_anew(&b);
	cr_assert_eq(b.found.count, 0, "the log went on, which is fine");

	rewrite(&b, 30, NULL);
	look_anew(&b);
	expect_one(&b, AUDIT_EDITED, 50, "rewritten from", 30);
	b.anchor.seq = 0;
	look_anew(&b);
	cr_assert_eq(b.found.count, 0, "without the anchor nobody can tell");

	b.anchor = (struct audit_head){ .seq = 101 };
	look_anew(&b);
	expect_one(&b, AUDIT_TRUNCATED, 101, "anchor behind", 100);
	bed_fini(&b);
}

/* ---- what a check tells beside findings ---- */

static int check_with(int state, const struct audit_expect *expect, struct kit_findings *found,
		      struct audit_summary *sum)
{
	struct vs_err err = { 0 };
	int r;

	*found = (struct kit_findings){ 0 };
	r = audit_check(state, expect, kit_findings_add, found, sum, &err);
	cr_assert_geq(r, 0, "%s", err.text);
	return r;
}

Test(audit_check, tells_from_when_to_when_and_where_it_ends)
{
	struct audit_summary sum;
	struct kit_findings found;
	struct kit_log log;
	int state;

	scratch_new(&state);
	kit_log_init(&log, first_key);
	kit_log_fill(&log, 5);
	kit_log_save(&log, state);
	cr_assert_eq(check_with(state, NULL, &found, &sum), 0);
	cr_assert_eq(sum.records, 5);
	cr_assert_eq(sum.sealed_from, 1);
	cr_assert_eq(sum.end.seq, 5);
	cr_assert_eq(memcmp(&sum.end, &log.head, sizeof(sum.end)), 0);
	cr_assert(sum.is_end_proven && sum.has_log);
	cr_assert_str_eq(sum.first_time, "2026-01-22T14:03:09.123456789Z");
	cr_assert_str_eq(sum.last_time, "2026-01-22T14:03:13.123456817Z");
	kit_log_fini(&log);
}

Test(audit_check, names_records_of_another_store)
{
	struct audit_expect expect = { .store = "/srv/store" };
	struct audit_summary sum;
	struct kit_findings found;
	struct kit_log log;
	int state;

	scratch_new(&state);
	kit_log_init(&log, NULL);
	kit_log_fill(&log, 4);
	kit_log_save(&log, state);
	cr_assert_eq(check_with(state, &expect, &found, &sum), 0);
	cr_assert_eq(found.count, 0);
	expect.store = "/srv/stor";
	cr_assert_eq(check_with(state, &expect, &found, &sum), 0, "a note is no finding");
	cr_assert_eq(found.count, 1);
	cr_assert_eq(found.items[0].fault, AUDIT_FOREIGN);
	kit_log_fini(&log);
}

static void add_expected(struct audit_anchor *anchors, size_t count, const struct kit_log *log)
{
	for (size_t i = 0; i < count; i++) {
		anchors[i].head.seq = i + 1;
		digest_of(slice_of(log->text.ptr + log->starts[i],
				   log->starts[i + 1] - log->starts[i] - 1),
			  &anchors[i].head.digest);
		anchors[i].where = "a snapshot";
	}
}

/* Heads kept in several places: what they see in common is one finding. */
Test(audit_check, many_anchors_are_one_finding_of_a_kind)
{
	struct audit_anchor anchors[AUDIT_ANCHORS_MAX + 6];
	struct audit_expect expect = { .anchors = anchors, .anchor_count = VS_COUNT(anchors) };
	struct audit_summary sum;
	struct kit_findings found;
	struct kit_log log, anew;
	int state;

	scratch_new(&state);
	kit_log_init(&log, NULL);
	kit_log_fill(&log, VS_COUNT(anchors));
	add_expected(anchors, VS_COUNT(anchors), &log);
	kit_log_save(&log, state);
	cr_assert_eq(check_with(state, &expect, &found, &sum), 0);
	/* Written anew and shorter: the oldest that differs, and the newest that is gone. */
	kit_log_init(&anew, NULL);
	kit_log_add(&anew, &(struct audit_record){ .phase = AUDIT_DRY_RUN, .action = "repair" });
	kit_log_fill(&anew, 30);
	kit_log_save(&anew, state);
	cr_assert_eq(check_with(state, &expect, &found, &sum), 2);
	cr_assert_eq(found.items[0].fault, AUDIT_EDITED);
	cr_assert_eq(found.items[0].seq, 1);
	cr_assert_eq(found.items[1].fault, AUDIT_TRUNCATED);
	cr_assert_eq(found.items[1].seq, 32);
	kit_log_fini(&log);
	kit_log_fini(&anew);
}

/* Neither log nor head: only what else is there can tell that there were records. */
Test(audit_check, a_log_that_is_gone_shows_by_its_traces)
{
	struct audit_expect expect = { .has_history = true };
	struct seal_key key = { .seq = 1 };
	struct audit_summary sum;
	struct kit_findings found;
	struct vs_err err = { 0 };
	int state;

	scratch_new(&state);
	cr_assert_eq(check_with(state, NULL, &found, &sum), 0);
	cr_assert_eq(check_with(state, &expect, &found, &sum), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_TRUNCATED);
	/* A key that was put there and has sealed nothing yet is what a crash leaves. */
	cr_assert_eq(seal_key_store(state, &key, &err), 0);
	cr_assert_eq(check_with(state, NULL, &found, &sum), 0);
	key.seq = 2;
	cr_assert_eq(seal_key_store(state, &key, &err), 0);
	cr_assert_eq(check_with(state, NULL, &found, &sum), 1);
	cr_assert_eq(found.items[0].fault, AUDIT_TRUNCATED);
}

Test(audit_head, is_a_word_that_people_can_keep)
{
	static const char *const bad[] = {
		"",
		":",
		"0:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"5:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a0",
		"5:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ",
		"-5:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"9007199254740992:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"99999999999999999999999999:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15",
	};
	struct audit_head head = { .seq = 12 };
	struct audit_head back;
	char text[AUDIT_HEAD_TEXT_LEN + 1];

	digest_of(slice_str("test"), &head.digest);
	audit_head_format(&head, text);
	cr_assert_str_eq(text,
			 "12:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	cr_assert(audit_head_parse(text, &back));
	cr_assert_eq(memcmp(&back, &head, sizeof(head)), 0);
	for (size_t i = 0; i < VS_COUNT(bad); i++)
		cr_assert_not(audit_head_parse(bad[i], &back), "%s", bad[i]);
}

Test(audit_tamper, the_head_sees_a_last_line_written_anew)
{
	struct audit_head was;
	struct bed b;

	bed_init(&b, NULL, 50);
	was = b.log.head;
	rewrite(&b, 50, NULL);
	b.log.head = was;
	look_anew(&b);
	expect_one(&b, AUDIT_EDITED, 50, "last", 50);
	rewrite(&b, 49, NULL);
	b.log.head = was;
	look_anew(&b);
	expect_one(&b, AUDIT_EDITED, 50, "last two", 50);
	bed_fini(&b);
}

/* ---- seals ---- */

Test(audit_seal, hmac_is_that_of_rfc_4231)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct seal_key key = { .bytes = "Jefe" };
	struct digest seal;
	char hex[DIGEST_HEX_LEN + 1];

	/* A key is padded with zeros, so a shorter one of the RFC fits. */
	seal_compute(&key, ctx, slice_str("what do ya want "), slice_str("for nothing?"), &seal);
	digest_format(&seal, hex);
	cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key.bytes, 0, sizeof(key.bytes));
	memset(key.bytes, 0x0b, 20);
	seal_compute(&key, ctx, slice_str("Hi There"), slice_of(NULL, 0), &seal);
	digest_format(&seal, hex);
	cr_assert_str_eq(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

Test(audit_seal, the_next_key_is_the_digest_of_the_one_before)
{
	struct seal_key key = { .seq = 7 };
	struct digest want;

	memcpy(key.bytes, first_key, AUDIT_KEY_LEN);
	digest_of(slice_of(first_key, AUDIT_KEY_LEN), &want);
	seal_key_step(&key);
	cr_assert_arr_eq(key.bytes, want.bytes, AUDIT_KEY_LEN);
	cr_assert_eq(key.seq, 8);
}

Test(audit_seal, every_bit_flipped_is_found_twice, .timeout = 600)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct bed b;
	size_t number = 1;

	bed_init(&b, first_key, 12);
	buf_append(&text, b.log.text.ptr, b.log.text.len);
	for (size_t off = 0; off < text.len; off++) {
		number += off == b.log.starts[number];
		for (unsigned bit = 0; bit < 8; bit++) {
			unsigned char before = text.ptr[off];
			bool is_edited, is_unsealed;

			text.ptr[off] ^= (unsigned char)(1u << bit);
			look(&b, buf_slice(&text), number - 1);
			text.ptr[off] = before;
			cr_assert_gt(b.found.count, 0, "bit %u of byte %zu", bit, off);
			/* What is no record any more has no seal to be checked. */
			if (b.found.items[0].fault != AUDIT_BAD_SEAL)
				continue;
			cr_assert_eq(b.found.items[0].line, number);
			is_edited = b.found.count == 2 && b.found.items[1].fault == AUDIT_EDITED;
			is_unsealed = is_edited && b.found.items[1].line == number;
			cr_assert(is_unsealed, "bit %u of byte %zu: %zu findings", bit, off,
				  b.found.count);
		}
	}
	bed_fini(&b);
}

Test(audit_seal, a_log_written_anew_without_the_old_key_is_seen)
{
	struct seal_key stolen;
	struct bed b;

	bed_init(&b, first_key, 100);
	stolen = b.log.key; /* all that the disk holds by now */
	rewrite(&b, 60, stolen.bytes);
	b.log.key = stolen;
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 60, "rewritten from", 60);
	b.key = NULL;
	look_anew(&b);
	cr_assert_eq(b.found.count, 0, "without the first key nobody can tell");
	bed_fini(&b);
}

/* Cut the log to @count records, and let the head agree. */
static void cut(struct bed *b, size_t count)
{
	struct slice last = kit_log_line(&b->log, count);

	b->log.text.len = b->log.starts[count];
	b->log.count = count;
	b->log.head.seq = count;
	digest_of(slice_of(last.ptr, last.len - 1), &b->log.head.digest);
}

Test(audit_seal, the_key_sees_a_log_cut_together_with_its_head)
{
	struct bed b;

	bed_init(&b, first_key, 100);
	cut(&b, 80);
	look_anew(&b);
	expect_one(&b, AUDIT_TRUNCATED, 81, "cut at", 80);
	b.key = NULL;
	look_anew(&b);
	expect_one(&b, AUDIT_TRUNCATED, 81, "without the first key, cut at", 80);

	/* The intruder also says that the key is of record 81: it is not. */
	b.key = first_key;
	for (uint64_t claim = 78; claim <= 81; claim++) {
		b.log.key.seq = claim;
		look_anew(&b);
		expect_one(&b, AUDIT_BAD_SEAL, 80, "key said to be of", claim);
	}
	bed_fini(&b);
}

Test(audit_seal, a_key_one_record_behind_is_what_a_crash_leaves)
{
	struct bed b;
	struct seal_key before;

	bed_init(&b, first_key, 40);
	before = b.log.key;
	kit_log_fill(&b.log, 1);
	b.log.key = before;
	look_anew(&b);
	cr_assert_eq(b.found.count, 0);
	b.log.key.bytes[0] ^= 1;
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 41, "another key at", 41);
	bed_fini(&b);
}

Test(audit_seal, sealing_that_stops_is_seen)
{
	struct bed b;

	bed_init(&b, first_key, 20);
	b.log.is_sealed = false;
	kit_log_fill(&b.log, 5);
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 21, "no seal from", 21);
	b.key = NULL;
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 21, "without the first key, no seal from", 21);
	bed_fini(&b);
}

Test(audit_seal, sealing_may_begin_later_and_needs_its_own_key)
{
	static const unsigned char other_key[AUDIT_KEY_LEN] = "another";
	struct bed b;

	bed_init(&b, NULL, 20);
	b.log.is_sealed = true;
	memcpy(b.log.key.bytes, first_key, AUDIT_KEY_LEN);
	kit_log_fill(&b.log, 20);
	b.key = first_key;
	look_anew(&b);
	cr_assert_eq(b.found.count, 0);
	b.key = other_key;
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 21, "another key", 0);
	bed_fini(&b);

	bed_init(&b, NULL, 20);
	b.key = first_key;
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 20, "a key for a log without seals", 0);
	bed_fini(&b);
}

Test(audit_seal, a_key_that_is_gone_is_seen)
{
	struct bed b;

	bed_init(&b, first_key, 20);
	b.log.is_sealed = false; /* finish() has no key then */
	look_anew(&b);
	expect_one(&b, AUDIT_BAD_SEAL, 20, "key gone", 0);
	bed_fini(&b);
}

Test(audit_seal, lines_removed_do_not_spoil_the_seals_behind_them)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct bed b;

	bed_init(&b, first_key, RECORDS);
	put_lines(&text, &b.log, 1, 50);
	put_lines(&text, &b.log, 61, 99);
	put_lines(&text, &b.log, 101, 101);
	put_lines(&text, &b.log, 100, 100);
	put_lines(&text, &b.log, 102, RECORDS);
	look(&b, buf_slice(&text), 0);
	cr_assert_eq(b.found.count, 2);
	cr_assert_eq(b.found.items[0].fault, AUDIT_REORDERED);
	cr_assert_eq(b.found.items[1].fault, AUDIT_REMOVED);
	bed_fini(&b);
}

/* ---- the same through files ---- */

static void verify_files(int dirfd, struct kit_findings *found, int want)
{
	uint64_t records = 0;
	struct vs_err err = { 0 };
	int r;

	found->count = 0;
	r = audit_verify(dirfd, NULL, NULL, kit_findings_add, found, &records, &err);
	cr_assert_eq(r, want, "%d: %s", r, err.text);
}

Test(audit_tamper, files_give_the_same_findings, .timeout = 300)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct kit_findings found;
	struct bed b;
	int dirfd;

	scratch_new(&dirfd);
	bed_init(&b, NULL, RECORDS);
	kit_log_save(&b.log, dirfd);
	verify_files(dirfd, &found, 0);
	buf_append(&text, b.log.text.ptr, b.log.text.len);
	for (size_t off = 0; off < text.len; off += 331) {
		size_t number = 1;
		unsigned char before = text.ptr[off];

		while (off >= b.log.starts[number])
			number++;
		text.ptr[off] ^= (unsigned char)(1u << off % 8);
		scratch_write(dirfd, AUDIT_LOG, text.ptr, text.len);
		look(&b, buf_slice(&text), number - 1);
		verify_files(dirfd, &found, (int)b.found.count);
		for (size_t n = 0; n < found.count; n++) {
			cr_assert_eq(found.items[n].fault, b.found.items[n].fault);
			cr_assert_eq(found.items[n].line, b.found.items[n].line);
			cr_assert_eq(found.items[n].seq, b.found.items[n].seq);
		}
		text.ptr[off] = before;
		scratch_write(dirfd, AUDIT_LOG, text.ptr, off);
		verify_files(dirfd, &found, 1);
		cr_assert_eq(found.items[0].fault, AUDIT_TRUNCATED);
	}
	bed_fini(&b);
}

Test(audit_tamper, a_log_or_a_head_that_is_gone)
{
	struct kit_findings found;
	struct bed b;
	int dirfd;

	scratch_new(&dirfd);
	verify_files(dirfd, &found, 0);
	cr_assert_eq(found.count, 0, "no log is no finding");
	bed_init(&b, NULL, 20);
	kit_log_save(&b.log, dirfd);
	cr_assert_eq(unlinkat(dirfd, AUDIT_LOG, 0), 0);
	verify_files(dirfd, &found, 1);
	cr_assert_eq(found.items[0].fault, AUDIT_TRUNCATED);
	kit_log_save(&b.log, dirfd);
	cr_assert_eq(unlinkat(dirfd, AUDIT_HEAD, 0), 0);
	verify_files(dirfd, &found, 1);
	cr_assert_eq(found.items[0].fault, AUDIT_UNANCHORED);
	scratch_text(dirfd, AUDIT_HEAD, "{\"digest\":\"00\",\"schema\":1,\"seq\":20}\n");
	verify_files(dirfd, &found, 1);
	cr_assert_eq(found.items[0].fault, AUDIT_UNANCHORED);
	bed_fini(&b);
}

Test(audit_tamper, lines_of_any_length_are_read_within_bounds)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf filler = { 0 };
	const size_t lens[] = { 0, 1, AUDIT_LINE_MAX - 1, AUDIT_LINE_MAX, 5 * AUDIT_LINE_MAX + 3 };
	struct kit_findings found;
	struct bed b;
	int dirfd;

	scratch_new(&dirfd);
	bed_init(&b, NULL, 20);
	kit_log_save(&b.log, dirfd);
	for (size_t i = 0; i < 5 * AUDIT_LINE_MAX + 3; i++)
		buf_append_byte(&filler, 'x');
	for (size_t i = 0; i < VS_COUNT(lens); i++) {
		buf_clear(&text);
		put_lines(&text, &b.log, 1, 10);
		buf_append(&text, filler.ptr, lens[i]);
		buf_append_byte(&text, '\n');
		put_lines(&text, &b.log, 11, 20);
		scratch_write(dirfd, AUDIT_LOG, text.ptr, text.len);
		verify_files(dirfd, &found, 1);
		cr_assert_eq(found.items[0].fault, AUDIT_UNREADABLE, "%zu", lens[i]);
		cr_assert_eq(found.items[0].line, 11);
		/* And at the end, without a newline. */
		buf_clear(&text);
		put_lines(&text, &b.log, 1, 20);
		buf_append(&text, filler.ptr, lens[i]);
		scratch_write(dirfd, AUDIT_LOG, text.ptr, text.len);
		verify_files(dirfd, &found, 0);
		cr_assert_eq(found.count, lens[i] > 0);
		if (found.count > 0)
			cr_assert_eq(found.items[0].fault, AUDIT_TORN);
	}
	bed_fini(&b);
}
