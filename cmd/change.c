/* SPDX-License-Identifier: Apache-2.0 */

/* The one shape of all commands that write: plan, show, confirm, apply, report. */

#include "change.h"

#include "prove.h"
#include "shown.h"

static void note(void *ctx, const char *text)
{
	app_note(ctx, "%s", text);
}

/* What an action says and what was left decide, not how the output looks. */
static int exit_status(const struct change *c, const struct apply_result *result)
{
	if (result && result->came_back[0] != '\0')
		return EXIT_PROBLEMS;
	if (!c->corrects)
		return c->minds_leftovers && c->plan.leftover_count > 0 ? EXIT_PROBLEMS
									: EXIT_CLEAN;
	if (c->plan.leftover_count > 0 || (result && result->after.errors > 0))
		return EXIT_PROBLEMS;
	return c->plan.count > 0 ? EXIT_CORRECTED : EXIT_CLEAN;
}

static int status_for_record(void *ctx, const struct apply_result *result)
{
	return exit_status(ctx, result);
}

/* The last word before a change is done. */
static int prove_result(void *ctx, struct vs_err *err)
{
	struct change *c = ctx;
	struct prove prove = { .command = c->prove,
			       .store = session_store_path(c->session),
			       .state = session_state_path(c->session) };

	return prove_run(&prove, err);
}

/* Nothing was begun: the audit log has that as well. */
static void refused(void *ctx, int status, const char *text)
{
	struct change *c = ctx;

	session_refused(c->session, status, text);
}

/* A dry run writes next to nothing, and is what one does when there is no room. */
static int check_room(struct change *c, const char *given_state, struct vs_err *err)
{
	cleanup_(vs_freep) char *state = NULL;
	int r;

	if (c->opts->dry_run)
		return 0;
	r = state_path_for(c->store->path, given_state, &state, err);
	return r == 0 ? app_preflight(c->app, c->store->path, state, err) : r;
}

int change_open(struct change *c, struct app *app, const struct change_opts *opts,
		const char *store_path)
{
	struct session_opts session = {
		.command = app->command_words,
		.argv = (const char *const *)app->argv,
		.state_path = opts->state ? opts->state : getenv("VSCTL_STATE"),
		.is_dry_run = opts->dry_run,
		.force = opts->force,
		.only_reads = c->only_reads,
		.lock_wait_s = opts->lock_wait_s,
		.clock = app->clock,
		.note = note,
		.note_ctx = app,
		.exit_status = status_for_record,
		.prove = c->prove ? prove_result : NULL,
		.exit_ctx = c,
	};
	struct vs_err err = { 0 };

	c->app = app;
	c->opts = opts;
	app->path = store_path;
	if (store_open(&c->store, store_path, false, &err) < 0)
		return app_error(app, &err);
	if (c->store->kind != STORE_CHROMEM &&
	    !(c->takes_chroma && c->store->kind == STORE_CHROMA)) {
		vs_fail(&err, VS_ENOTSUP,
			"%s: only chromem directories can be changed by this version", store_path);
		return app_error(app, &err);
	}
	if (check_room(c, session.state_path, &err) < 0)
		return app_error(app, &err);
	if (session_open(&c->session, c->store, &session, &err) < 0)
		return app_error(app, &err);
	app->failed = refused;
	app->failed_ctx = c;
	c->plan.command = vs_strdup(app->command_words);
	c->check.level = CHECK_FULL;
	c->check.jobs = app_jobs(app);
	return -1;
}

const char *change_scratch(const struct change *c)
{
	const char *tmp = getenv("TMPDIR");

	/* A dry run holds no lock: the next run that does would sweep its copy away. */
	if (!c->opts->dry_run)
		return session_state_path(c->session);
	return tmp && tmp[0] != '\0' ? tmp : "/tmp";
}

void change_fini(struct change *c)
{
	if (c->app && c->app->failed_ctx == c)
		c->app->failed = NULL;
	plan_fini(&c->plan);
	free(c->summary);
	session_closep(&c->session);
	store_closep(&c->store);
}

/* ---- showing ---- */

static const struct emit_field plan_fields[] = {
	{ .key = "action", .heading = "action" },
	{ .key = "path", .heading = "path" },
	{ .key = "to", .heading = NULL },
	{ .key = "detail", .heading = "what it does" },
	{ .key = "reason", .heading = NULL },
	{ .key = "loses", .heading = NULL },
	{ 0 },
};

static const struct emit_field left_fields[] = {
	{ .key = "code", .heading = "left alone" },
	{ .key = "path", .heading = "path" },
	{ .key = "why", .heading = "why" },
	{ .key = "fix", .heading = NULL },
	{ 0 },
};

void change_command(const struct change *c, struct buf *out, const char *text)
{
	/* Checking and looking need no state. */
	bool has_state = c->opts->state && strncmp(text, "vsctl verify", 12) != 0 &&
			 strncmp(text, "vsctl inspect", 13) != 0;

	text_command(out, text, c->store->path, has_state ? c->opts->state : NULL);
}

/* Steps that only serve another have no detail; people need not see them. */
static bool is_shown(const struct change *c, const struct action *a)
{
	return a->detail || c->app->emit.is_json || c->app->common.verbose;
}

static uint64_t shown_count(const struct change *c, enum loss at_least)
{
	uint64_t count = 0;

	for (size_t i = 0; i < c->plan.count; i++)
		count += c->plan.actions[i].detail != NULL && c->plan.actions[i].loss >= at_least;
	return count;
}

static void show_plan(struct change *c)
{
	struct emit *e = &c->app->emit;

	emit_table(e, "plan", plan_fields);
	for (size_t i = 0; i < c->plan.count; i++) {
		const struct action *a = &c->plan.actions[i];

		if (!is_shown(c, a))
			continue;
		emit_str(e, a->what);
		emit_text(e, a->path);
		emit_text(e, a->to);
		emit_text(e, a->detail);
		emit_str(e, a->reason);
		emit_str(e, loss_name(a->loss));
	}
	emit_table_end(e);
}

static void show_left(struct change *c)
{
	cleanup_(buf_fini) struct buf fix = { 0 };
	struct emit *e = &c->app->emit;

	if (c->plan.leftover_count == 0 && !e->is_json)
		return;
	emit_table(e, "left", left_fields);
	for (size_t i = 0; i < c->plan.leftover_count; i++) {
		const struct plan_leftover *left = &c->plan.leftovers[i];

		emit_str(e, left->code);
		emit_text(e, left->path);
		emit_text(e, left->why);
		buf_clear(&fix);
		if (left->fix)
			change_command(c, &fix, left->fix);
		emit_str(e, left->fix ? buf_cstr(&fix) : NULL);
	}
	emit_table_end(e);
}

static void say_plan(struct change *c)
{
	cleanup_(buf_fini) struct buf actions = { 0 };
	uint64_t documents = shown_count(c, LOSS_DOCUMENTS);

	if (c->plan.count == 0) {
		emit_line(&c->app->emit, "nothing to do");
		return;
	}
	if (c->summary) {
		emit_line(&c->app->emit, "plan: %s", c->summary);
		return;
	}
	text_count(&actions, shown_count(c, LOSS_NOTHING), "change");
	if (documents > 0)
		buf_printf(&actions,
			   "; %" PRIu64 " of them %s documents out of the store, into quarantine",
			   documents, documents == 1 ? "moves" : "move");
	else
		buf_append_str(&actions, "; nothing leaves the store");
	emit_line(&c->app->emit, "plan: %s", buf_cstr(&actions));
}

/* ---- confirming ---- */

bool change_confirm(struct change *c, const char *question)
{
	char answer[16];
	struct vs_err ignored = { 0 };

	if (c->opts->yes)
		return true;
	if (!isatty(STDIN_FILENO))
		return false;
	/* What is to be confirmed must be on the screen before the question is. */
	(void)!emit_finish(&c->app->emit, &ignored);
	fprintf(stderr, "%s Type yes to go on: ", question);
	fflush(stderr);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	return strcmp(answer, "yes\n") == 0 || strcmp(answer, "yes") == 0;
}

/* ---- the end ---- */

static int finish(struct change *c, int status, const char *outcome,
		  const struct apply_result *result)
{
	struct emit *e = &c->app->emit;
	cleanup_(buf_fini) struct buf undo = { 0 };
	cleanup_(buf_fini) struct buf command = { 0 };
	bool is_applied = result != NULL;

	if (is_applied)
		snprintf(c->app->outcome, sizeof(c->app->outcome),
			 "applied as %.127s: %" PRIu64 " errors before, %" PRIu64 " now",
			 result->run, result->before.errors, result->after.errors);
	else
		snprintf(c->app->outcome, sizeof(c->app->outcome), "%s", outcome);
	emit_json_bool(e, "applied", is_applied);
	emit_json_str(e, "outcome", outcome);
	if (is_applied) {
		buf_printf(&undo, "vsctl undo STORE %s", result->run);
		change_command(c, &command, buf_cstr(&undo));
		emit_json_str(e, "run", result->run);
		emit_json_str(e, "undo", buf_cstr(&command));
		emit_json_str(e, "verdict", verdict_name(result->after.verdict));
		emit_json_str(e, "loadable", loadable_name(result->after.loadable));
		emit_json_uint(e, "errors_before", result->before.errors);
		emit_json_uint(e, "errors_after", result->after.errors);
		emit_json_bytes(e, "came_back",
				result->came_back[0] != '\0' ? slice_str(result->came_back)
							     : slice_of(NULL, 0));
	} else {
		emit_json_null(e, "undo");
	}
	emit_document_end(e);
	return status;
}

/* What a person may decide for: what the first problem asks that another command mends. */
static void say_left(struct change *c)
{
	cleanup_(buf_fini) struct buf next = { 0 };
	cleanup_(buf_fini) struct buf own = { 0 };
	const char *fix = NULL;

	buf_printf(&own, "vsctl %s ", c->app->command_words);
	for (size_t i = 0; i < c->plan.leftover_count && !fix; i++) {
		fix = c->plan.leftovers[i].fix;
		if (fix && strncmp(fix, buf_cstr(&own), own.len) == 0)
			fix = NULL;
	}
	text_command(&next, fix ? fix : "vsctl verify --explain STORE", c->store->path, NULL);
	emit_line(&c->app->emit, "what is left needs a person; next: %s", buf_cstr(&next));
}

static int dry_run(struct change *c)
{
	struct emit *e = &c->app->emit;
	struct vs_err err = { 0 };
	int status = EXIT_CLEAN;

	if (c->corrects && (c->plan.count > 0 || c->plan.leftover_count > 0))
		status = EXIT_PROBLEMS;
	if (c->minds_leftovers && c->plan.leftover_count > 0)
		status = EXIT_PROBLEMS;
	session_log_plan(c->session, &c->plan);
	if (session_record(c->session, AUDIT_DRY_RUN, status, NULL, &err) < 0)
		app_note(c->app, "the dry run is not in the audit log: %s", err.text);
	if (c->plan.count > 0)
		emit_line(e,
			  "dry run: nothing was changed; run it again without --dry-run to do it");
	else if (c->plan.leftover_count > 0)
		say_left(c);
	return finish(c, status, "dry-run", NULL);
}

static int nothing_to_do(struct change *c)
{
	int status = exit_status(c, NULL);
	struct vs_err err = { 0 };

	if (session_record(c->session, AUDIT_FINISHED, status, "nothing to do", &err) < 0)
		app_note(c->app, "%s", err.text);
	if (c->plan.leftover_count > 0)
		say_left(c);
	else
		emit_line(&c->app->emit, "the store is as it was");
	return finish(c, status, "nothing-to-do", NULL);
}

static int cancelled(struct change *c)
{
	struct vs_err err = { 0 };

	session_log_plan(c->session, &c->plan);
	if (session_record(c->session, AUDIT_CANCELLED, EXIT_CANCELLED, "not confirmed", &err) < 0)
		app_note(c->app, "%s", err.text);
	if (!isatty(STDIN_FILENO))
		app_note(
			c->app,
			"nothing was changed: there is no terminal to ask on; give --yes to go on without");
	emit_line(&c->app->emit, "cancelled: nothing was changed");
	return finish(c, EXIT_CANCELLED, "cancelled", NULL);
}

/* "6 errors before, 1 now" */
static void say_errors(struct buf *out, const struct apply_result *result)
{
	text_count(out, result->before.errors, "error");
	buf_append_str(out, " before, ");
	if (result->after.errors == 0)
		buf_append_str(out, "none now");
	else
		buf_printf(out, "%" PRIu64 " now", result->after.errors);
}

static void say_result(struct change *c, const struct apply_result *result)
{
	struct emit *e = &c->app->emit;
	cleanup_(buf_fini) struct buf next = { 0 };
	cleanup_(buf_fini) struct buf undo = { 0 };
	cleanup_(buf_fini) struct buf undo_run = { 0 };
	cleanup_(buf_fini) struct buf what = { 0 };

	if (result->came_back[0] != '\0') {
		cleanup_(buf_fini) struct buf back = { 0 };

		text_escape(&back, slice_str(result->came_back));
		emit_line(
			e,
			"%s is in the store again: a running process has written to it; stop that, then set it aside once more",
			buf_cstr(&back));
	}
	if (result->after.loadable == LOADABLE_NO) {
		text_count(&what, result->after.errors, "error");
		emit_line(e, "done, and the store still does not load: %s left", buf_cstr(&what));
	} else {
		text_count(&what, result->after.documents, "document");
		buf_append_str(&what, ", ");
		say_errors(&what, result);
		emit_line(e, "done: the store loads (%s)", buf_cstr(&what));
	}
	text_command(&next, "vsctl verify STORE", c->store->path, NULL);
	if (result->after.errors > 0)
		emit_line(e, "next: %s", buf_cstr(&next));
	buf_printf(&undo_run, "vsctl undo STORE %s", result->run);
	change_command(c, &undo, buf_cstr(&undo_run));
	emit_line(e, "to take it back: %s", buf_cstr(&undo));
}

int change_run(struct change *c, void (*extra)(struct change *c, void *ctx), void *ctx)
{
	struct emit *e = &c->app->emit;
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };
	int status;

	emit_document(e, c->app->command_words);
	emit_store(e, c->store);
	if (extra)
		extra(c, ctx);
	say_plan(c);
	if (c->plan.count > 0 || e->is_json)
		show_plan(c);
	show_left(c);
	if (c->opts->dry_run)
		return dry_run(c);
	if (c->plan.count == 0)
		return nothing_to_do(c);
	if (!change_confirm(c, "Apply this plan?"))
		return cancelled(c);
	if (session_apply(c->session, &c->plan, &c->check, c->accepts_errors, &result, &err) < 0)
		return app_error(c->app, &err);
	say_result(c, &result);
	status = exit_status(c, &result);
	return finish(c, status, "applied", &result);
}
