/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl undo`: take an applied change back. */

#include "change.h"

struct undo_opts {
	struct change_opts change;
	bool list;
};

static const struct opt options[] = {
	CHANGE_OPTIONS(struct undo_opts),
	OPT_FLAG("list", 0, struct undo_opts, list, "list the runs that are kept"),
	OPT_END,
};

static const struct emit_field run_fields[] = {
	{ .key = "run", .heading = "run" },
	{ .key = "command", .heading = "command" },
	{ .key = "state", .heading = "state" },
	{ .key = "steps", .heading = "steps", .is_number = true },
	{ 0 },
};

static const struct emit_field step_fields[] = {
	{ .key = "step", .heading = "takes back" },
	{ .key = "path", .heading = "path" },
	{ .key = "to", .heading = "to" },
	{ 0 },
};

static const char *state_name(enum run_state state)
{
	static const char *const names[] = {
		[RUN_PREPARED] = "unfinished",
		[RUN_DONE] = "done",
		[RUN_TAKEN_BACK] = "taken back",
	};

	return names[state];
}

static int list_runs(struct change *c)
{
	struct emit *e = &c->app->emit;
	struct journal_run_info *runs = NULL;
	struct vs_err err = { 0 };
	size_t count = 0;

	if (journal_list(session_state_dirfd(c->session), &runs, &count, &err) < 0)
		return app_error(c->app, &err);
	emit_document(e, c->app->command_words);
	if (count == 0)
		emit_line(e, "no run is kept for this store");
	emit_table(e, "runs", run_fields);
	for (size_t i = count; i > 0; i--) {
		emit_str(e, runs[i - 1].run);
		emit_text(e, runs[i - 1].command);
		emit_str(e, state_name(runs[i - 1].state));
		emit_uint(e, runs[i - 1].steps);
	}
	emit_table_end(e);
	emit_document_end(e);
	journal_list_free(runs, count);
	return EXIT_CLEAN;
}

static void show_step(void *ctx, const struct journal_step_info *step)
{
	struct emit *e = ctx;

	emit_str(e, step_kind_name(step->kind));
	emit_text(e, step->path);
	emit_text(e, step->to);
}

/* The newest run that is done, or the one that was named. Owned. */
static char *choose_run(struct change *c, const char *named, struct vs_err *err)
{
	struct journal_run_info *runs = NULL;
	char *found = NULL;
	size_t count = 0;

	if (named)
		return vs_strdup(named);
	if (journal_list(session_state_dirfd(c->session), &runs, &count, err) < 0)
		return NULL;
	for (size_t i = count; i > 0 && !found; i--) {
		if (runs[i - 1].state == RUN_DONE)
			found = vs_strdup(runs[i - 1].run);
	}
	journal_list_free(runs, count);
	if (!found)
		vs_fail(err, VS_ENOENT, "there is no run to take back");
	return found;
}

static int run_undo(struct change *c, const char *named)
{
	struct emit *e = &c->app->emit;
	struct vs_err err = { 0 };
	cleanup_(vs_freep) char *chosen = choose_run(c, named, &err);

	if (!chosen)
		return app_error(c->app, &err);
	emit_document(e, c->app->command_words);
	emit_line(e, "plan: take back run %s", chosen);
	emit_json_str(e, "run", chosen);
	emit_table(e, "plan", step_fields);
	if (journal_steps(session_state_dirfd(c->session), chosen, show_step, e, &err) < 0)
		return app_error(c->app, &err);
	emit_table_end(e);
	if (c->opts->dry_run) {
		emit_line(e,
			  "dry run: nothing was changed; run it again without --dry-run to do it");
		if (session_record(c->session, AUDIT_DRY_RUN, EXIT_CLEAN, chosen, &err) < 0)
			app_note(c->app, "the dry run is not in the audit log: %s", err.text);
	} else if (!change_confirm(c, "Take it back?")) {
		if (session_record(c->session, AUDIT_CANCELLED, EXIT_CANCELLED, "not confirmed",
				   &err) < 0)
			app_note(c->app, "%s", err.text);
		emit_line(e, "cancelled: nothing was changed");
		emit_json_bool(e, "applied", false);
		emit_document_end(e);
		return EXIT_CANCELLED;
	} else {
		if (session_undo(c->session, chosen, &err) < 0)
			return app_error(c->app, &err);
		emit_line(e, "done: the store is as it was before the run");
	}
	emit_json_bool(e, "applied", !c->opts->dry_run);
	emit_document_end(e);
	return EXIT_CLEAN;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct undo_opts *opts = opts_;
	cleanup_(change_fini) struct change c = { 0 };
	int status;

	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	return opts->list ? list_runs(&c) : run_undo(&c, operands[1]);
}

static const struct example examples[] = {
	{ "vsctl undo /var/lib/app/store", "take the newest change back" },
	{ "vsctl undo --list /var/lib/app/store", "which changes there were" },
	{ NULL, NULL },
};

const struct command cmd_undo = {
	.name = "undo",
	.operands = "STORE [RUN]",
	.summary = "take an applied change back",
	.details =
		"Everything that vsctl changes is kept in a journal with what was there before. Taking a run back first "
		"compares the store with what the run left; when something has changed since, nothing is done.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct undo_opts),
	.run = run,
};
