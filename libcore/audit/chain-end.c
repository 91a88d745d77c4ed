/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The findings of a verifier, and what the end of the log says against its head, against an anchor
 * that was kept elsewhere, and against the key.
 */

#include "audit/audit-private.h"

static const char *const fault_names[] = {
	[AUDIT_EDITED] = "edited",         [AUDIT_REMOVED] = "removed",
	[AUDIT_REORDERED] = "reordered",   [AUDIT_DUPLICATED] = "duplicated",
	[AUDIT_TRUNCATED] = "truncated",   [AUDIT_TORN] = "torn",
	[AUDIT_UNREADABLE] = "unreadable", [AUDIT_BAD_SEAL] = "bad-seal",
	[AUDIT_UNANCHORED] = "unanchored", [AUDIT_AHEAD] = "ahead",
	[AUDIT_FOREIGN] = "foreign",
};

const char *audit_fault_name(enum audit_fault fault)
{
	return fault_names[fault];
}

bool audit_fault_is_note(enum audit_fault fault)
{
	return fault == AUDIT_TORN || fault == AUDIT_AHEAD || fault == AUDIT_FOREIGN;
}

void verifier_report(struct verifier *v, enum audit_fault fault, uint64_t line, uint64_t seq,
		     const char *fmt, ...)
{
	char detail[256];
	struct audit_finding f = { .fault = fault, .line = line, .seq = seq, .detail = detail };
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	if (!audit_fault_is_note(fault))
		v->findings++;
	v->report(v->ctx, &f);
}

void verifier_report_seal(struct verifier *v, uint64_t seq, bool is_bad, const char *why)
{
	if (is_bad && !v->was_bad)
		verifier_report(v, AUDIT_BAD_SEAL, v->line, seq, "%s", why);
	v->was_bad = is_bad;
}

static void finish_head(struct verifier *v, const struct audit_head *head)
{
	const struct verifier_anchor *a = &v->anchors[0];
	uint64_t behind = v->front.seq - VS_MIN(head->seq, v->front.seq);

	if (head->seq == v->front.seq && !v->front.is_suspect &&
	    memcmp(a->hex, v->front.hex, DIGEST_HEX_LEN) != 0)
		verifier_break_link(v);
	verifier_settle_doubt(v);
	if (behind == 0 || v->front.is_suspect)
		return;
	if (behind > 1)
		verifier_report(
			v, AUDIT_UNANCHORED, v->line, head->seq,
			"audit.head %s, so nothing shows whether records are missing at the end",
			head->seq == 0 ? "is gone" : "is older than the log");
	else if (a->is_same)
		verifier_report(v, AUDIT_AHEAD, v->line, v->front.seq,
				"the last record is whole, and audit.head does not have it yet");
	else if (a->line > 0 && v->edited_line != a->line)
		verifier_report(
			v, AUDIT_EDITED, a->line, a->seq,
			"it is not the record that audit.head has: the log was written anew");
}

/* Is this one, of two that the log does not agree with, the one to tell about? */
static bool is_better(const struct verifier_anchor *a, const struct verifier_anchor *than,
		      bool by_higher)
{
	return !than || (by_higher ? a->seq > than->seq : a->seq < than->seq);
}

/*
 * Anchors that were kept elsewhere, from the one at @first on. Of those that the log does not reach
 * the highest is told, of those that have another record the lowest: the rest follows from them.
 */
static void finish_anchors(struct verifier *v, size_t first)
{
	const struct verifier_anchor *beyond = NULL;
	const struct verifier_anchor *other = NULL;

	for (size_t i = first; i < v->anchor_count; i++) {
		const struct verifier_anchor *a = &v->anchors[i];

		if (a->seq > v->front.seq && is_better(a, beyond, true))
			beyond = a;
		if (a->line > 0 && !a->is_same && v->edited_line != a->line &&
		    is_better(a, other, false))
			other = a;
	}
	if (other)
		verifier_report(v, AUDIT_EDITED, other->line, other->seq,
				"it is not the record that %s has: the log was written anew",
				other->where);
	if (beyond)
		verifier_report(v, AUDIT_TRUNCATED, v->line + 1, v->front.seq + 1,
				"ends before record %" PRIu64 ", which %s has", beyond->seq,
				beyond->where);
}

/* Where the key has got to, which nobody can turn back, says how long the log was. */
static void compare_key(struct verifier *v, const struct seal_key *key, uint64_t next)
{
	const unsigned char *want;

	if (key->seq + 1 < next) {
		verifier_report_seal(v, next, true, "the sealing key is older than the log");
		return;
	}
	if (!v->has_key || !verifier_move_key(v, next))
		return;
	want = key->seq == next ? v->key.bytes : v->past.bytes;
	verifier_report_seal(v, next, memcmp(key->bytes, want, AUDIT_KEY_LEN) != 0,
			     "the sealing key is not the one that this log leads to");
}

static void finish_key(struct verifier *v, const struct verifier_end *end, bool is_short)
{
	uint64_t next = v->front.seq + 1;

	if (v->has_key && !v->was_sealed) {
		verifier_report_seal(v, next, true, "no record has a seal");
		return;
	}
	if (end->is_key_unknown || is_short || v->front.is_suspect)
		return;
	/* Of a log without a seal only the key can say that it had some. */
	if (!v->was_sealed && (!end->key || end->key->seq <= next))
		return;
	if (!end->key)
		verifier_report_seal(v, next, true, "the sealing key is gone or cannot be used");
	else if (end->key->seq > next)
		verifier_report(v, AUDIT_TRUNCATED, v->line + 1, next,
				"ends before record %" PRIu64 ", which the sealing key has seen",
				end->key->seq - 1);
	else
		compare_key(v, end->key, next);
}

void verifier_finish(struct verifier *v, const struct verifier_end *end)
{
	bool is_short;

	verifier_settle_leap(v, NULL);
	if (end->head)
		finish_head(v, end->head);
	else
		verifier_report(v, AUDIT_UNANCHORED, v->line, v->front.seq,
				"audit.head cannot be read");
	verifier_settle_doubt(v);
	for (size_t i = 0; i < v->missing_count; i++)
		verifier_report_missing(v, &v->missing[i]);
	is_short = end->head && v->front.seq < end->head->seq;
	if (is_short)
		verifier_report(v, AUDIT_TRUNCATED, v->line + 1, v->front.seq + 1,
				"ends%s before record %" PRIu64 ", the last that audit.head has",
				end->is_torn ? " in a line cut short" : "", end->head->seq);
	else if (end->is_torn)
		verifier_report(v, AUDIT_TORN, v->line + 1, v->front.seq + 1,
				"a line that was never finished");
	if (!is_short)
		finish_anchors(v, end->head ? 1 : 0);
	finish_key(v, end, is_short);
	if (end->has_history && v->line == 0 && v->findings == 0)
		verifier_report(v, AUDIT_TRUNCATED, 1, 1,
				"no record is there, although the journal knows of changes");
	if (v->foreign > 0)
		verifier_report(v, AUDIT_FOREIGN, v->foreign_line, 0,
				"%" PRIu64 " of %" PRIu64 " records name another store: %s",
				v->foreign, v->records, v->foreign_store);
}
