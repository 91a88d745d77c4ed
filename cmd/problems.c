/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl help problems [CODE]`: the problem table, with what repair does about each. */

#include "parse.h"

#include "check/check.h"

static const char *effect_name(enum problem_effect effect)
{
	static const char *const names[] = { "none", "silent", "refused", "hangs" };

	return names[effect];
}

static const struct emit_field fields[] = {
	{ .key = "code", .heading = "problem" },
	{ .key = "severity", .heading = "severity" },
	{ .key = "effect", .heading = "effect" },
	{ .key = "remedy", .heading = "remedy" },
	{ .key = NULL, .heading = "repair" },
	{ .key = "automatic", .heading = NULL },
	{ .key = "loses", .heading = "loses" },
	{ .key = "message", .heading = NULL },
	{ .key = "repair", .heading = NULL },
	{ .key = "fix", .heading = NULL },
	{ 0 },
};

static void problem_emit(struct emit *e, enum problem p)
{
	const struct problem_row *row = problem_row(p);
	const struct remedy_row *remedy = remedy_row(row->remedy);

	emit_str(e, row->code);
	emit_str(e, severity_name(row->severity));
	emit_str(e, effect_name(row->effect));
	emit_str(e, remedy->name);
	emit_str(e, remedy->is_automatic ? "automatic" : "no");
	emit_bool(e, remedy->is_automatic);
	emit_str(e, remedy->is_automatic ? remedy->loses : NULL);
	emit_str(e, row->message);
	emit_str(e, remedy->text);
	emit_str(e, row->fix);
}

static void some(struct app *app, size_t first, size_t end)
{
	struct emit *e = &app->emit;

	emit_document(e, app->command_words);
	emit_json_null(e, "store");
	emit_table(e, "problems", fields);
	for (size_t p = first; p < end; p++)
		problem_emit(e, (enum problem)p);
	emit_table_end(e);
	emit_document_end(e);
}

static void one(struct emit *e, enum problem p)
{
	const struct problem_row *row = problem_row(p);
	const struct remedy_row *remedy = remedy_row(row->remedy);

	emit_line(e, "%s", row->code);
	emit_line(e, "severity: %s; effect: %s", severity_name(row->severity),
		  effect_name(row->effect));
	emit_paragraph(e, 0, EMIT_PLAIN, "says: ", row->message);
	emit_paragraph(e, 0, EMIT_PLAIN, "repair: ", remedy->text);
	emit_line(e, "automatic: %s; loses: %s", remedy->is_automatic ? "yes" : "no",
		  remedy->is_automatic ? remedy->loses : "-");
	if (row->fix)
		emit_line(e, "next: %s", row->fix);
}

int help_problems(struct app *app, const char *code)
{
	struct emit *e = &app->emit;
	cleanup_(buf_fini) struct buf shown = { 0 };
	enum problem p;

	if (!code) {
		some(app, 0, PROB_COUNT_);
		emit_line(e, "next: vsctl help problems CODE, or man 7 vsctl-problems");
		return EXIT_CLEAN;
	}
	text_escape(&shown, slice_str(code));
	if (!problem_find(code, &p))
		return app_usage(app, "there is no problem '%s'; vsctl help problems lists them",
				 buf_cstr(&shown));
	if (e->is_json)
		some(app, (size_t)p, (size_t)p + 1);
	else
		one(e, p);
	return EXIT_CLEAN;
}
