/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is wrong with a log, found line by line in constant memory.
 *
 * A record is in its place when its number follows that of the front, the newest record in place,
 * and its `prev` is the front's digest. What departs from this is told apart by what still holds:
 *
 * - The number follows, the digest does not: the line before was edited. When the link behind is
 *   broken as well, it was this line, in its `prev`, and that explains both.
 * - The digest follows, the number does not: the number was edited. When the next line goes on from
 *   it, records are missing.
 * - Neither, and the number is higher: a gap, which lines further on may fill.
 * - Neither, and the number is lower: reordered where it fills a gap, else duplicated.
 *
 * Lines that follow each other in both are one finding at most, however many they are: a block that
 * was moved counts once.
 */

#include "audit/audit-private.h"

/* Steps of the key, over a whole log, that no line in its place accounts for. */
#define STRAY_STEPS_MAX ((uint64_t)1 << 24)

void verifier_init(struct verifier *v, const unsigned char *first_key, struct digest_ctx *digest)
{
	*v = (struct verifier){ .digest = digest, .steps_left = STRAY_STEPS_MAX };
	memset(v->front.hex, '0', DIGEST_HEX_LEN);
	v->last = v->front;
	if (!first_key)
		return;
	v->has_key = true;
	memcpy(v->key.bytes, first_key, AUDIT_KEY_LEN);
}

void verifier_fini(struct verifier *v)
{
	seal_key_fini(&v->key);
	seal_key_fini(&v->past);
	buf_fini(&v->store);
}

void verifier_expect_store(struct verifier *v, const char *store)
{
	struct jw j;

	jw_init(&j, &v->store);
	jw_str(&j, store);
}

void verifier_anchor(struct verifier *v, const struct audit_head *head, const char *where)
{
	struct verifier_anchor *a = &v->anchors[v->anchor_count++];

	assert(v->anchor_count <= VERIFIER_ANCHORS_MAX);
	a->where = where;
	a->seq = head->seq;
	digest_format(&head->digest, a->hex);
	/* The start of the log is there whatever the log holds. */
	a->line = 0;
	a->is_same = head->seq == 0;
}

static bool is_chained(const struct audit_line *line, const struct verifier_place *before)
{
	return memcmp(line->prev.ptr, before->hex, DIGEST_HEX_LEN) == 0;
}

/* ---- edited lines ---- */

static void report_edited(struct verifier *v, uint64_t line, uint64_t seq)
{
	const char *what = "its digest is not what the line behind it, or the head, records";

	/* What does not begin a chain can only be told by the first line itself. */
	if (line == 0) {
		line = 1;
		seq = 1;
		what = "the first record does not begin a chain";
	}
	v->edited_line = line;
	verifier_report(v, AUDIT_EDITED, line, seq, "%s", what);
}

/* The link behind the line in doubt is whole, or nobody can tell: it is the line itself. */
void verifier_settle_doubt(struct verifier *v)
{
	if (v->has_doubt)
		report_edited(v, v->doubt_line, v->doubt_seq);
	v->has_doubt = false;
}

/* The link between the front and what comes behind it is broken. */
void verifier_break_link(struct verifier *v)
{
	bool is_first = !v->has_doubt;

	/* Two broken links in a row: the line between them is edited, and explains both. */
	if (v->has_doubt && !v->is_doubt_first)
		report_edited(v, v->doubt_line, v->doubt_seq);
	v->has_doubt = true;
	v->is_doubt_first = is_first;
	v->doubt_line = v->front.line;
	v->doubt_seq = v->front.seq;
}

/* ---- gaps ---- */

void verifier_report_missing(struct verifier *v, const struct missing_range *m)
{
	if (m->first == m->last)
		verifier_report(v, AUDIT_REMOVED, m->line, m->first,
				"record %" PRIu64 " is missing", m->first);
	else
		verifier_report(v, AUDIT_REMOVED, m->line, m->first,
				"records %" PRIu64 " to %" PRIu64 " are missing", m->first,
				m->last);
}

static void add_missing(struct verifier *v, uint64_t first, uint64_t last, uint64_t line)
{
	if (v->missing_count == VERIFIER_MISSING_MAX) {
		verifier_report_missing(v, &v->missing[0]);
		v->missing_count--;
		memmove(v->missing, v->missing + 1, v->missing_count * sizeof(*v->missing));
	}
	v->missing[v->missing_count++] = (struct missing_range){ first, last, line };
}

/* Take @seq out of the gaps; false when it was in none. */
static bool fill_missing(struct verifier *v, uint64_t seq)
{
	for (size_t i = 0; i < v->missing_count; i++) {
		struct missing_range *m = &v->missing[i];
		struct missing_range rest = { seq + 1, m->last, m->line };

		if (seq < m->first || seq > m->last)
			continue;
		m->last = seq - 1;
		if (seq == m->first) {
			*m = rest;
			if (rest.first > rest.last) {
				v->missing_count--;
				memmove(m, m + 1, (v->missing_count - i) * sizeof(*m));
			}
		} else if (rest.first <= rest.last) {
			add_missing(v, rest.first, rest.last, rest.line);
		}
		return true;
	}
	return false;
}

/* ---- seals ---- */

/* Move the key to @seq; false when that cannot be done. */
bool verifier_move_key(struct verifier *v, uint64_t seq)
{
	uint64_t steps = seq - v->key.seq;

	if (seq < v->key.seq || steps > v->steps_left + 1)
		return false;
	v->steps_left -= steps > 0 ? steps - 1 : 0;
	while (v->key.seq < seq) {
		v->past = v->key;
		seal_key_step(&v->key);
	}
	return true;
}

/* What a log tells about itself, true or not. */
static void note_record(struct verifier *v, const struct audit_line *line)
{
	struct slice store =
		v->store.len > 0 ? slice_of(v->store.ptr + 1, v->store.len - 2) : slice_of(NULL, 0);

	/* A time has one length, or the line is no record. */
	assert(line->time.len < sizeof(v->last_time));
	memcpy(v->last_time, line->time.ptr, line->time.len);
	if (v->records++ == 0)
		memcpy(v->first_time, v->last_time, sizeof(v->first_time));
	if (v->sealed_from == 0 && line->seal.ptr)
		v->sealed_from = line->seq;
	if (!store.ptr || !line->store.ptr || slice_eq(store, line->store))
		return;
	if (v->foreign++ > 0)
		return;
	v->foreign_line = v->line;
	snprintf(v->foreign_store, sizeof(v->foreign_store), "%.*s",
		 (int)utf8_valid_len(slice_of(
			 line->store.ptr, VS_MIN(line->store.len, sizeof(v->foreign_store) - 1))),
		 line->store.ptr);
}

/* Only the first of several bad seals in a row is reported. */
static void check_seal(struct verifier *v, struct slice text, const struct audit_line *line)
{
	bool is_first = !v->was_sealed;

	if (!line->seal.ptr) {
		if (v->was_sealed)
			verifier_report_seal(v, line->seq, true,
					     "no seal, although records before have one");
		return;
	}
	v->was_sealed = true;
	if (!v->has_key)
		return;
	if (is_first)
		v->key.seq = line->seq;
	if (!verifier_move_key(v, line->seq))
		return;
	verifier_report_seal(v, line->seq, !seal_fits(&v->key, v->digest, text, line),
			     is_first ? "the first seal does not fit the key"
				      : "the seal does not fit the key");
}

/* ---- lines ---- */

static void note_anchors(struct verifier *v, const struct verifier_place *place)
{
	for (size_t i = 0; i < v->anchor_count; i++) {
		struct verifier_anchor *a = &v->anchors[i];

		if (a->seq != place->seq)
			continue;
		a->line = place->line;
		a->is_same = memcmp(a->hex, place->hex, DIGEST_HEX_LEN) == 0;
	}
}

static void advance(struct verifier *v, const struct verifier_place *place)
{
	v->front = *place;
	if (!place->is_suspect)
		note_anchors(v, place);
}

/* Take the line at @place for the record that should stand there, edited. */
static void put_in_place(struct verifier *v, struct verifier_place place)
{
	place.seq = v->front.seq + 1;
	place.is_suspect = true;
	advance(v, &place);
}

/*
 * A line that followed the front by its digest and not by its number: with @next we know which of
 * the two was true.
 */
void verifier_settle_leap(struct verifier *v, const struct audit_line *next)
{
	struct verifier_place leap = v->leap;
	bool is_true;

	if (leap.line == 0)
		return;
	v->leap.line = 0;
	if (next)
		is_true = next->seq == leap.seq + 1 && is_chained(next, &leap);
	else
		is_true = v->anchor_count > 0 && v->anchors[0].seq == leap.seq &&
			  memcmp(v->anchors[0].hex, leap.hex, DIGEST_HEX_LEN) == 0;
	if (is_true) {
		add_missing(v, v->front.seq + 1, leap.seq - 1, leap.line);
		advance(v, &leap);
		return;
	}
	verifier_report(v, AUDIT_EDITED, leap.line, v->front.seq + 1,
			"its sequence number was changed");
	v->edited_line = leap.line;
	put_in_place(v, leap);
}

static void add_unreadable(struct verifier *v, bool is_too_long)
{
	struct verifier_place place = { .line = v->line };

	verifier_settle_leap(v, NULL);
	verifier_settle_doubt(v);
	verifier_report(v, AUDIT_UNREADABLE, v->line, v->front.seq + 1, "%s",
			is_too_long ? "longer than a record can be"
				    : "not a record in canonical form");
	v->unreadable++;
	put_in_place(v, place);
	v->last = v->front;
}

/* A number that does not follow the front, nor does the digest. */
static void add_stray(struct verifier *v, const struct audit_line *line,
		      const struct verifier_place *place)
{
	bool goes_on = line->seq == v->last.seq + 1 && is_chained(line, &v->last);
	bool was_missing;

	if (line->seq > v->front.seq) {
		verifier_settle_doubt(v);
		add_missing(v, v->front.seq + 1, line->seq - 1, v->line);
		advance(v, place);
		return;
	}
	was_missing = fill_missing(v, line->seq);
	if (goes_on)
		return;
	if (was_missing)
		verifier_report(v, AUDIT_REORDERED, v->line, v->front.seq + 1,
				"record %" PRIu64 " stands here", line->seq);
	else
		verifier_report(v, AUDIT_DUPLICATED, v->line, v->front.seq + 1,
				"record %" PRIu64 " stands here once more", line->seq);
}

/* Lines that could not be read may have been one record or parts of one. */
static bool resumes(const struct verifier *v, const struct audit_line *line)
{
	return v->unreadable > 0 && line->seq <= v->front.seq &&
	       line->seq + v->unreadable > v->front.seq;
}

/* Returns whether the line is in its place, so that its seal can be checked. */
static bool place_line(struct verifier *v, const struct audit_line *line,
		       const struct verifier_place *place)
{
	bool is_chain = !v->front.is_suspect && is_chained(line, &v->front);

	if (line->seq == v->front.seq + 1) {
		if (!v->front.is_suspect && !is_chain)
			verifier_break_link(v);
		else
			verifier_settle_doubt(v);
		advance(v, place);
		return true;
	}
	if (is_chain && line->seq > v->front.seq) {
		verifier_settle_doubt(v);
		v->leap = *place;
		return false;
	}
	if (is_chain) {
		verifier_settle_doubt(v);
		verifier_report(v, AUDIT_EDITED, v->line, v->front.seq + 1,
				"its sequence number was changed");
		v->edited_line = v->line;
		put_in_place(v, *place);
		return false;
	}
	if (resumes(v, line)) {
		advance(v, place);
		return true;
	}
	add_stray(v, line, place);
	return v->front.line == v->line;
}

void verifier_line(struct verifier *v, struct slice text)
{
	struct verifier_place place = { .line = ++v->line };
	struct audit_line line;
	struct digest digest;

	if (!text.ptr || !audit_line_scan(text, &line)) {
		add_unreadable(v, !text.ptr);
		return;
	}
	note_record(v, &line);
	digest_ctx_reset(v->digest);
	digest_ctx_add(v->digest, text.ptr, text.len);
	digest_ctx_final(v->digest, &digest);
	digest_format(&digest, place.hex);
	place.seq = line.seq;
	verifier_settle_leap(v, &line);
	if (place_line(v, &line, &place))
		check_seal(v, text, &line);
	v->unreadable = 0;
	v->last = place;
}
