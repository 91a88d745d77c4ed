/* SPDX-License-Identifier: Apache-2.0 */

/* What a search for names found: for programs every candidate, for people what to do with it. */

#include "lookup.h"
#include "shown.h"

/* Names shown for one hash without --verbose, and the texts of evidence for one name. */
#define SHOWN_NAMES 8
#define SHOWN_EVIDENCE 2

/* The smallest number of expected false matches is one name in 2^32: ten places show it. */
#define FALSE_DECIMALS 12

/* ---- JSON ---- */

static void candidate_json(struct emit *e, const struct lookup_candidate *c)
{
	char hash[9];

	snprintf(hash, sizeof(hash), "%08" PRIx32, c->hash);
	emit_object(e, NULL);
	emit_json_str(e, "hash", hash);
	emit_json_bytes(e, "name", slice_of(c->name, c->name_len));
	emit_json_str(e, "source", lookup_source_name(c->source));
	emit_array(e, "evidence");
	for (size_t i = 0; i < c->evidence_count; i++)
		emit_json_str(e, NULL, c->evidence[i]);
	emit_array_end(e);
	emit_json_uint(e, "tried", c->tried);
	emit_json_double(e, "expected_false_matches", c->expected_false_matches, FALSE_DECIMALS);
	emit_json_bool(e, "trusted", c->is_trusted);
	emit_object_end(e);
}

static void answer_json(struct emit *e, const struct lookup_answer *a)
{
	char hash[9];

	snprintf(hash, sizeof(hash), "%08" PRIx32, a->hash);
	emit_object(e, NULL);
	emit_json_str(e, "hash", hash);
	emit_json_str(e, "verdict", lookup_verdict_name(a->verdict));
	emit_json_uint(e, "candidates", a->count);
	emit_json_uint(e, "omitted", a->dropped);
	emit_json_uint(e, "tried", a->tried);
	emit_json_double(e, "expected_false_matches", a->expected_false_matches, FALSE_DECIMALS);
	emit_object_end(e);
}

static void report_json(struct app *app, const struct lookup_report *r)
{
	struct emit *e = &app->emit;
	struct lookup_answer a;

	emit_document(e, app->command_words);
	if (r->store) {
		emit_store_begin(e, r->store, "chromem");
		emit_object_end(e);
	} else {
		emit_json_null(e, "store");
	}
	emit_json_bool(e, "cancelled", r->is_cancelled);
	emit_array(e, "hashes");
	for (size_t i = 0; i < r->count; i++) {
		lookup_answer(r->l, r->hashes[i], &a);
		answer_json(e, &a);
	}
	emit_array_end(e);
	emit_array(e, "candidates");
	for (size_t i = 0; i < r->count; i++) {
		lookup_answer(r->l, r->hashes[i], &a);
		for (size_t k = 0; k < a.count; k++)
			candidate_json(e, &a.candidates[k]);
	}
	emit_array_end(e);
	emit_document_end(e);
}

/* ---- text ---- */

/* "690", "1.23 million": numbers as people say them. */
static void append_large(struct buf *out, double number)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = { { 1e18, " quintillion" },
		      { 1e15, " quadrillion" },
		      { 1e12, " trillion" },
		      { 1e9, " billion" },
		      { 1e6, " million" } };

	for (size_t i = 0; i < VS_COUNT(units); i++) {
		if (number >= units[i].unit) {
			buf_printf(out, "%.3g%s", number / units[i].unit, units[i].name);
			return;
		}
	}
	buf_printf(out, "%.0f", number);
}

static void append_tried(struct buf *out, uint64_t tried)
{
	append_large(out, (double)tried);
	buf_printf(out, " name%s tried", tried == 1 ? "" : "s");
}

/* How many names were tried, and what that says about one that fits. */
static void append_numbers(struct buf *out, uint64_t tried, double expected)
{
	append_tried(out, tried);
	buf_append_str(out, ": ");
	if (expected >= 1) {
		append_large(out, expected);
		buf_append_str(out, " wrong ones are expected to fit");
	} else if (expected > 0) {
		buf_append_str(out, "one in ");
		append_large(out, 1 / expected);
		buf_append_str(out, " such searches finds a wrong one");
	}
}

static void evidence_text(const struct app *app, struct emit *e, const struct lookup_candidate *c,
			  size_t indent)
{
	size_t shown = app->common.verbose ? c->evidence_count
					   : VS_MIN(c->evidence_count, (size_t)SHOWN_EVIDENCE);
	char head[16];

	snprintf(head, sizeof(head), "%*s", (int)indent, "");
	for (size_t i = 0; i < shown; i++)
		emit_paragraph(e, indent + 2, EMIT_PLAIN, head, c->evidence[i]);
}

static void found_text(const struct app *app, struct emit *e, const struct lookup_answer *a)
{
	const struct lookup_candidate *c = &a->candidates[0];
	cleanup_(buf_fini) struct buf numbers = { 0 };
	cleanup_(buf_fini) struct buf name = { 0 };
	char head[16];

	snprintf(head, sizeof(head), "%08" PRIx32 "  ", a->hash);
	text_escape(&name, slice_of(c->name, c->name_len));
	emit_paragraph(e, 10, EMIT_GOOD, head, buf_cstr(&name));
	if (app->common.quiet)
		return;
	evidence_text(app, e, c, 2);
	append_numbers(&numbers, c->tried, c->expected_false_matches);
	emit_paragraph(e, 2, EMIT_DIM, "  ", buf_cstr(&numbers));
}

static void unclear_text(const struct app *app, struct emit *e, const struct lookup_answer *a)
{
	size_t shown = app->common.verbose ? a->count : VS_MIN(a->count, (size_t)SHOWN_NAMES);
	cleanup_(buf_fini) struct buf line = { 0 };
	char head[16];

	snprintf(head, sizeof(head), "%08" PRIx32 "  ", a->hash);
	if (a->count == 0)
		buf_append_str(&line, "no name found");
	else if (a->verdict == LOOKUP_AMBIGUOUS)
		buf_printf(&line,
			   "%zu names fit, and only a person can tell which it was:", a->count);
	else
		buf_printf(&line, "%zu name%s fit%s, none of them certain:", a->count,
			   a->count == 1 ? "" : "s", a->count == 1 ? "s" : "");
	emit_paragraph(e, 10, EMIT_BAD, head, buf_cstr(&line));
	for (size_t i = 0; i < shown; i++) {
		const struct lookup_candidate *c = &a->candidates[i];

		buf_clear(&line);
		text_escape(&line, slice_of(c->name, c->name_len));
		emit_paragraph(e, 4, EMIT_PLAIN, "  ", buf_cstr(&line));
		evidence_text(app, e, c, 4);
	}
	if (a->count + a->dropped > shown)
		emit_line(e, "  and %" PRIu64 " more", (uint64_t)a->count + a->dropped - shown);
	buf_clear(&line);
	if (a->count > 0)
		append_numbers(&line, a->tried, a->expected_false_matches);
	else
		append_tried(&line, a->tried);
	emit_paragraph(e, 2, EMIT_DIM, "  ", buf_cstr(&line));
}

static void report_text(struct app *app, const struct lookup_report *r)
{
	struct emit *e = &app->emit;
	bool is_any_unknown = false;

	for (size_t i = 0; i < r->count; i++) {
		struct lookup_answer a;

		lookup_answer(r->l, r->hashes[i], &a);
		is_any_unknown |= a.count == 0;
		if (a.verdict == LOOKUP_FOUND)
			found_text(app, e, &a);
		else
			unclear_text(app, e, &a);
	}
	if (r->is_cancelled)
		emit_line(e, "cancelled: not all names were tried");
	else if (is_any_unknown && !r->store && !app->common.quiet)
		emit_paragraph(e, 2, EMIT_PLAIN, "next: ",
			       "--store DIR takes names from the collections and documents of a "
			       "store; --names FILE and --mask MASK try more");
	else if (is_any_unknown && !app->common.quiet)
		emit_paragraph(e, 2, EMIT_PLAIN, "next: ",
			       "--names FILE with words of your own (add --rules), or --mask MASK");
}

void lookup_report(struct app *app, const struct lookup_report *r)
{
	if (app->emit.is_json)
		report_json(app, r);
	else
		report_text(app, r);
}
