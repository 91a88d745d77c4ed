/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl audit-log`: what was done to a store, by whom, and what became of it. */

#include "audit-log.h"

#include "shown.h"

#include "repair/repair.h"

#include <fcntl.h>

/* ---- where the log is ---- */

int audit_scene_open(struct audit_scene *scene, struct app *app, const char *store,
		     const char *state)
{
	struct file_info info;
	struct vs_err absent = { 0 };
	struct vs_err err = { 0 };
	int r;

	scene->operand = store;
	scene->state_dirfd = -1;
	scene->has_state_option = state != NULL;
	app->path = store;
	r = state_path_for(store, state ? state : getenv("VSCTL_STATE"), &scene->state, &err);
	if (r == 0)
		r = path_absolute(store, &scene->store, &err);
	if (r < 0)
		return app_error(app, &err);
	r = state_open(scene->state, &scene->state_dirfd, &err);
	if (r == 0)
		return -1;
	if (r != VS_ENOENT)
		return app_error(app, &err);
	if (file_stat_at(AT_FDCWD, store, FILE_FOLLOW, &info, &absent) == 0)
		return -1;
	vs_fail(&err, VS_ENOENT, "%s: there is no such store, and no state directory %s", store,
		scene->state);
	return app_error(app, &err);
}

void audit_scene_fini(struct audit_scene *scene)
{
	file_closep(&scene->state_dirfd);
	free(scene->state);
	free(scene->store);
	*scene = (struct audit_scene){ .state_dirfd = -1 };
}

void audit_scene_emit(struct emit *e, const struct audit_scene *scene)
{
	cleanup_(buf_fini) struct buf log = { 0 };

	buf_printf(&log, "%s/audit.jsonl", scene->state);
	emit_store_path(e, scene->store);
	emit_json_bytes(e, "log", buf_slice(&log));
}

void audit_scene_command(struct buf *out, const struct audit_scene *scene, const char *words)
{
	buf_printf(out, "vsctl %s ", words);
	if (scene->has_state_option) {
		buf_append_str(out, "--state ");
		text_shell_word(out, scene->state);
		buf_append_byte(out, ' ');
	}
	text_shell_word(out, scene->operand);
}

/* ---- list ---- */

#define LIST_DEFAULT 50

struct list_opts {
	const char *state;
	uint64_t limit;
	const char *since;
	const char *action;
};

static const struct opt list_options[] = {
	AUDIT_STATE_OPTION(struct list_opts),
	OPT_COUNT("limit", 'n', struct list_opts, limit, UINT32_MAX, "N",
		  "show the newest N; default: 50"),
	OPT_TEXT("since", 0, struct list_opts, since, "TIME",
		 "show what is not older: a time (UTC), or a duration such as 24h"),
	OPT_TEXT("action", 0, struct list_opts, action, "COMMAND",
		 "show what this command did; a group stands for its verbs"),
	OPT_END,
};

static const struct emit_field fields[] = {
	{ .heading = "record", .is_number = true },
	{ .heading = "time" },
	{ .heading = "action" },
	{ .heading = "phase" },
	{ .heading = "status", .is_number = true },
	{ .heading = "user" },
	{ .heading = "run" },
	{ .heading = "message" },
	{ 0 },
};

struct listing {
	struct app *app;
	const struct audit_scene *scene;
	uint64_t limit;
	uint64_t matched;
	bool has_begun;
};

/* Now it is known how many there are. */
static void begin(void *ctx, uint64_t matched)
{
	struct listing *l = ctx;
	struct emit *e = &l->app->emit;
	cleanup_(buf_fini) struct buf all = { 0 };

	l->matched = matched;
	l->has_begun = true;
	text_count(&all, matched, "record");
	emit_document(e, l->app->command_words);
	audit_scene_emit(e, l->scene);
	emit_json_uint(e, "matched", matched);
	if (matched > l->limit)
		emit_line(e, "the newest %" PRIu64 " of %s", l->limit, buf_cstr(&all));
	else
		emit_line(e, "%s", buf_cstr(&all));
	emit_array(e, "records");
	if (!e->is_json && matched > 0)
		emit_table(e, NULL, fields);
}

/* People need no billionths of a second. */
static void show_time(struct emit *e, const char *time)
{
	char shown[32];

	snprintf(shown, sizeof(shown), "%.19sZ", time);
	emit_text(e, shown);
}

/* In JSON a record is what the log has, so that a reader can hold it against the file. */
static int show(void *ctx, const struct audit_entry *entry, struct vs_err *err)
{
	struct listing *l = ctx;
	struct emit *e = &l->app->emit;

	(void)err;
	if (e->is_json) {
		emit_json_raw(e, NULL, entry->line);
		return 0;
	}
	emit_uint(e, entry->seq);
	show_time(e, entry->time);
	emit_text(e, entry->action);
	emit_str(e, entry->phase);
	if (entry->exit_status >= 0)
		emit_uint(e, (uint64_t)entry->exit_status);
	else
		emit_null(e);
	emit_text(e, entry->user);
	emit_text(e, entry->run);
	emit_text(e, entry->message);
	return 0;
}

static int end(struct listing *l, bool was_unreadable)
{
	struct emit *e = &l->app->emit;
	cleanup_(buf_fini) struct buf next = { 0 };

	if (!e->is_json && l->matched > 0)
		emit_table_end(e);
	emit_array_end(e);
	emit_json_bool(e, "unreadable", was_unreadable);
	audit_scene_command(&next, l->scene, "audit-log verify");
	if (was_unreadable)
		emit_line(e, "lines that are no records were passed over");
	emit_line(e, "next: %s", buf_cstr(&next));
	emit_json_str(e, "next", buf_cstr(&next));
	emit_document_end(e);
	return was_unreadable ? EXIT_PROBLEMS : EXIT_CLEAN;
}

/* No log: an empty list, which says so. */
static int end_without(struct listing *l)
{
	struct emit *e = &l->app->emit;

	emit_document(e, l->app->command_words);
	audit_scene_emit(e, l->scene);
	emit_json_uint(e, "matched", 0);
	emit_array(e, "records");
	return end(l, false);
}

static int run_list(struct app *app, const void *opts_, char *const *operands)
{
	const struct list_opts *opts = opts_;
	cleanup_(audit_scene_fini) struct audit_scene scene = { .state_dirfd = -1 };
	struct audit_query query = { .limit = opts->limit > 0 ? opts->limit : LIST_DEFAULT,
				     .action = opts->action,
				     .begin = begin };
	struct listing l = { .app = app, .scene = &scene, .limit = query.limit };
	struct vs_err err = { 0 };
	int status, r;

	if (opts->since && !time_parse(opts->since, clock_now_ns(app->clock), &query.since_ns))
		return app_usage(app, "--since takes a time such as 2026-01-22T14:03 or 24h");
	status = audit_scene_open(&scene, app, operands[0], opts->state);
	if (status >= 0)
		return status;
	r = scene.state_dirfd < 0 ? VS_ENOENT
				  : audit_list(scene.state_dirfd, &query, show, &l, &err);
	if (r == VS_ENOENT) {
		emit_line(&app->emit,
			  "no audit log: no command that writes has been given for this store");
		return end_without(&l);
	}
	return r < 0 ? app_error(app, &err) : end(&l, r > 0);
}

static const struct example list_examples[] = {
	{ "vsctl audit-log list /var/lib/app/store",
	  "the newest records; the word list may be left out" },
	{ "vsctl audit-log --since 24h --action quarantine /var/lib/app/store",
	  "what was set aside or put back since yesterday" },
	{ "vsctl audit-log --limit 1000 --json /var/lib/app/store",
	  "the records as the log has them, with command lines and digests" },
	{ NULL, NULL },
};

static const struct command cmd_audit_log_list = {
	.name = "list",
	.operands = "STORE",
	.summary = "list who did what, when, and what became of it",
	.examples = list_examples,
	.options = list_options,
	.opts_size = sizeof(struct list_opts),
	.run = run_list,
};

static const struct command *const verbs[] = {
	&cmd_audit_log_list,
	&cmd_audit_log_verify,
	&cmd_audit_log_seal,
	NULL,
};

static const struct example group_examples[] = {
	{ "vsctl audit-log /var/lib/app/store", "the newest records" },
	{ "vsctl audit-log verify /var/lib/app/store", "has anybody changed the log?" },
	{ NULL, NULL },
};

const struct command cmd_audit_log = {
	.name = "audit-log",
	.summary = "show and verify the record of everything that was done",
	.examples = group_examples,
	.details =
		"Every command that writes appends a record before it begins and one when it ends; dry runs, cancelled and "
		"refused commands are recorded as well. Each record carries the digest of the one before it, so that a "
		"line that was changed, removed, moved or repeated is found.",
	.verbs = verbs,
	.default_verb = &cmd_audit_log_list,
};
