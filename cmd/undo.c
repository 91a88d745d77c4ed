/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl undo`: take an applied change back. */

#include "audit-log.h"
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
	{ .key = "time", .heading = "time" },
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

/* The runs of a journal, oldest first. Zeroed, then journal_list(). */
struct runs {
	struct journal_run_info *items;
	size_t count;
};

static void runs_fini(struct runs *runs)
{
	journal_list_free(runs->items, runs->count);
}

/* The newest that is done and was not taken back, or NULL. */
static const struct journal_run_info *newest_done(const struct runs *runs)
{
	for (size_t i = runs->count; i > 0; i--) {
		if (runs->items[i - 1].state == RUN_DONE)
			return &runs->items[i - 1];
	}
	return NULL;
}

static void say_next(struct emit *e, const struct audit_scene *scene, const struct runs *runs)
{
	const struct journal_run_info *newest = newest_done(runs);
	cleanup_(buf_fini) struct buf next = { 0 };

	audit_scene_command(&next, scene, newest ? "undo --dry-run" : "verify");
	if (newest) {
		buf_append_byte(&next, ' ');
		text_shell_word(&next, newest->run);
	}
	emit_line(e, "next: %s", buf_cstr(&next));
	emit_json_str(e, "next", buf_cstr(&next));
}

static void show_runs(struct emit *e, const struct audit_scene *scene, const struct runs *runs)
{
	cleanup_(buf_fini) struct buf kept = { 0 };

	text_count(&kept, runs->count, "run");
	emit_line(e, "%s %s kept", buf_cstr(&kept), runs->count == 1 ? "is" : "are");
	audit_scene_emit(e, scene);
	if (runs->count > 0 || e->is_json) {
		emit_table(e, "runs", run_fields);
		for (size_t i = runs->count; i > 0; i--) {
			const struct journal_run_info *run = &runs->items[i - 1];
			char when[32];

			time_format(run->time_ns, false, when);
			emit_text(e, run->run);
			emit_str(e, when);
			emit_text(e, run->command);
			emit_str(e, state_name(run->state));
			emit_uint(e, run->steps);
		}
		emit_table_end(e);
	}
	say_next(e, scene, runs);
}

/* Only read: nothing is locked, ended or made for a list. */
static int list_runs(struct app *app, const struct undo_opts *opts, const char *store)
{
	cleanup_(audit_scene_fini) struct audit_scene scene = { .state_dirfd = -1 };
	cleanup_(runs_fini) struct runs runs = { 0 };
	struct vs_err err = { 0 };
	int status = audit_scene_open(&scene, app, store, opts->change.state);

	if (status >= 0)
		return status;
	if (scene.state_dirfd >= 0 &&
	    journal_list(scene.state_dirfd, &runs.items, &runs.count, &err) < 0)
		return app_error(app, &err);
	emit_document(&app->emit, app->command_words);
	show_runs(&app->emit, &scene, &runs);
	emit_document_end(&app->emit);
	return EXIT_CLEAN;
}

/* ---- taking back ---- */

static void show_step(void *ctx, const struct journal_step_info *step)
{
	struct emit *e = ctx;

	emit_str(e, step_kind_name(step->kind));
	emit_text(e, step->path);
	emit_text(e, step->to);
}

static int check_named(const struct runs *runs, const char *named, struct vs_err *err)
{
	for (size_t i = 0; i < runs->count; i++) {
		if (strcmp(runs->items[i].run, named) != 0)
			continue;
		if (runs->items[i].state == RUN_TAKEN_BACK)
			return vs_fail(err, VS_EUSAGE, "run %s has been taken back already", named);
		return 0;
	}
	return vs_fail(err, VS_EUSAGE,
		       "there is no run %s; vsctl undo --list shows those there are", named);
}

/* The newest run that is done, or the one that was named. Owned. */
static char *choose_run(struct change *c, const char *named, struct vs_err *err)
{
	cleanup_(runs_fini) struct runs runs = { 0 };
	const struct journal_run_info *newest;

	if (journal_list(session_state_dirfd(c->session), &runs.items, &runs.count, err) < 0)
		return NULL;
	if (named)
		return check_named(&runs, named, err) < 0 ? NULL : vs_strdup(named);
	newest = newest_done(&runs);
	if (!newest)
		vs_fail(err, VS_EUSAGE, "there is no run to take back");
	return newest ? vs_strdup(newest->run) : NULL;
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
	cleanup_(change_fini) struct change c = { .takes_chroma = true };
	int status;

	if (opts->list)
		return list_runs(app, opts, operands[0]);
	status = change_open(&c, app, &opts->change, operands[0]);
	return status >= 0 ? status : run_undo(&c, operands[1]);
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
