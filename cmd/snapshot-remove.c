/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl snapshot delete` and `cleanup`: one that is named, or those that a policy does not keep. */

#include "snapshot.h"

/* What others need of those that are gone need not take more room than that. The snapshots are
 * removed by then, so a failure is told and is none of the command. */
static void compact(struct snapshot_cmd *c, struct snap_compaction *out)
{
	struct snap_access access = { .state_dirfd = c->state_dirfd, .jobs = app_jobs(c->app) };
	struct vs_err err = { 0 };

	if (snap_compact(&access, out, &err) < 0)
		app_note(c->app,
			 "an archive that other snapshots need could not be made smaller: %s",
			 err.text);
}

static void say_compaction(struct snapshot_cmd *c, const struct snap_compaction *done)
{
	struct emit *e = &c->app->emit;
	char freed[16];

	emit_json_uint(e, "archives_packed_anew", done->archives);
	emit_json_uint(e, "archives_freed_bytes", done->freed);
	size_format(done->freed, freed);
	if (done->archives > 0 && !c->app->common.quiet)
		emit_line(e, "packed anew what others need: %" PRIu64 " archive%s, %s less",
			  done->archives, done->archives == 1 ? "" : "s", freed);
}

/* ---- delete ---- */

struct delete_opts {
	struct snapshot_opts common;
	bool force;
};

static const struct opt delete_options[] = {
	OPT_FLAG("force", 0, struct delete_opts, force, "remove even the last good one"),
	SNAPSHOT_STATE(struct delete_opts),
	SNAPSHOT_LOCK(struct delete_opts),
	OPT_END,
};

/* In a state directory that was given, the name may be that of another store's snapshot. */
static int refuse_other(struct snapshot_cmd *c, const char *id, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct vs_err ignored = { 0 };

	if (!c->is_given_state || snap_load(c->state_dirfd, id, &m, &ignored) < 0 || m->is_older ||
	    strcmp(m->store_path, c->absolute) == 0)
		return 0;
	return vs_fail(err, VS_EUSAGE, "%s is a snapshot of another store, %s", id, m->store_path);
}

static int run_delete(struct app *app, const void *opts_, char *const *operands)
{
	const struct delete_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	struct snap_delete_request req = { .force = opts->force };
	struct snap_compaction done = { 0 };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	int status;

	if (!snap_id_is_valid(operands[1]))
		return app_usage(app, "the second operand is not the name of a snapshot");
	status = snapshot_open_locked(&c, app, &opts->common, operands[0], false);
	if (status >= 0)
		return status;
	if (refuse_other(&c, operands[1], &err) < 0 ||
	    snapshot_record(&c, AUDIT_STARTED, 0, operands[1], &err) < 0)
		return app_error(app, &err);
	if (snap_delete(c.state_dirfd, operands[1], &req, &err) < 0) {
		status = app_error(app, &err);
		snapshot_record_end(&c, status, err.text);
		return status;
	}
	compact(&c, &done);
	snapshot_record_end(&c, EXIT_CLEAN, operands[1]);
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	emit_json_str(e, "removed", operands[1]);
	if (!app->common.quiet)
		emit_line(e, "removed: %s", operands[1]);
	say_compaction(&c, &done);
	emit_document_end(e);
	return EXIT_CLEAN;
}

static const struct example delete_examples[] = {
	{ "vsctl snapshot delete /var/lib/app/store before-upgrade", "remove one" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_delete = {
	.name = "delete",
	.operands = "STORE SNAPSHOT",
	.summary = "remove one snapshot",
	.details =
		"What others need of its archive stays, packed anew where that saves a quarter or more. The last "
		"good one is refused.",
	.examples = delete_examples,
	.options = delete_options,
	.opts_size = sizeof(struct delete_opts),
	.run = run_delete,
};

/* ---- cleanup ---- */

#define KEEP_MAX UINT64_C(1000000)

struct cleanup_opts {
	struct snapshot_opts common;
	bool dry_run;
	struct snap_policy policy;
};

static const struct opt cleanup_options[] = {
	OPT_FLAG("dry-run", 'n', struct cleanup_opts, dry_run,
		 "say what would be removed, and remove nothing"),
	OPT_NUMBER("days", 0, struct cleanup_opts, policy.days, KEEP_MAX, "N",
		   "keep those younger than N days"),
	OPT_NUMBER("keep-last", 0, struct cleanup_opts, policy.last, KEEP_MAX, "N",
		   "keep the newest N"),
	OPT_NUMBER("keep-hourly", 0, struct cleanup_opts, policy.hourly, KEEP_MAX, "N",
		   "keep the newest of each of N hours"),
	OPT_NUMBER("keep-daily", 0, struct cleanup_opts, policy.daily, KEEP_MAX, "N",
		   "keep the newest of each of N days"),
	OPT_NUMBER("keep-weekly", 0, struct cleanup_opts, policy.weekly, KEEP_MAX, "N",
		   "keep the newest of each of N weeks"),
	OPT_NUMBER("keep-monthly", 0, struct cleanup_opts, policy.monthly, KEEP_MAX, "N",
		   "keep the newest of each of N months"),
	SNAPSHOT_STATE(struct cleanup_opts),
	SNAPSHOT_LOCK(struct cleanup_opts),
	OPT_END,
};

static const struct emit_field decision_fields[] = {
	{ .key = "snapshot", .heading = "snapshot" },
	{ .key = "keep", .heading = NULL },
	{ .key = NULL, .heading = "what" },
	{ .key = "reason", .heading = "why" },
	{ 0 },
};

static void show_decisions(struct emit *e, const struct snap_decision *all, size_t count)
{
	emit_table(e, "decisions", decision_fields);
	for (size_t i = count; i > 0; i--) {
		emit_text(e, all[i - 1].entry->id);
		emit_bool(e, all[i - 1].keep);
		emit_str(e, all[i - 1].keep ? "keep" : "remove");
		emit_str(e, all[i - 1].reason);
	}
	emit_table_end(e);
}

/* Newest first: what builds on others goes before them. */
static int remove_planned(struct snapshot_cmd *c, const struct snap_decision *all, size_t count,
			  uint64_t *removed, struct vs_err *err)
{
	struct snap_delete_request req = { 0 };
	int r = 0;

	for (size_t i = count; r == 0 && i > 0; i--) {
		if (all[i - 1].keep)
			continue;
		r = snap_delete(c->state_dirfd, all[i - 1].entry->id, &req, err);
		*removed += r == 0;
	}
	return r;
}

static int clean(struct snapshot_cmd *c, const struct snap_decision *all, size_t count,
		 uint64_t *removed, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	int r;

	r = snapshot_record(c, AUDIT_STARTED, 0, NULL, err);
	if (r < 0)
		return r;
	r = remove_planned(c, all, count, removed, err);
	buf_printf(&text, "%" PRIu64 " removed%s%s", *removed, r < 0 ? ", then: " : "",
		   r < 0 ? err->text : "");
	snapshot_record_end(c, r < 0 ? EXIT_OPERATIONAL : EXIT_CLEAN, buf_cstr(&text));
	return r;
}

static int run_cleanup(struct app *app, const void *opts_, char *const *operands)
{
	const struct cleanup_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	cleanup_(vs_freep) struct snap_decision *all = NULL;
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	struct snap_compaction done = { 0 };
	uint64_t removed = 0, going = 0;
	int r, status;

	status = opts->dry_run ? snapshot_open(&c, app, &opts->common, operands[0])
			       : snapshot_open_locked(&c, app, &opts->common, operands[0], false);
	if (status >= 0)
		return status;
	r = snapshot_list_load(&c, &list, &err);
	if (r == 0)
		r = snap_plan_cleanup(&list, &opts->policy, clock_now_ns(app->clock), &all, &err);
	if (r < 0)
		return app_error(app, &err);
	assert(all || list.count == 0);
	snapshot_say_others(&c);
	for (size_t i = 0; i < list.count; i++)
		going += !all[i].keep;
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	if (!app->common.quiet)
		emit_line(e, "plan: %" PRIu64 " of %zu snapshots go", going, list.count);
	if (!app->common.quiet || e->is_json)
		show_decisions(e, all, list.count);
	if (!opts->dry_run && clean(&c, all, list.count, &removed, &err) < 0)
		return app_error(app, &err);
	/* Also when nothing goes: an earlier run may have been cut short. */
	if (!opts->dry_run)
		compact(&c, &done);
	emit_json_bool(e, "dry_run", opts->dry_run);
	emit_json_uint(e, "removed", removed);
	say_compaction(&c, &done);
	emit_document_end(e);
	if (opts->dry_run)
		emit_line(e,
			  "dry run: nothing was removed; run it again without --dry-run to do it");
	else if (!app->common.quiet)
		emit_line(e, "done: %" PRIu64 " removed, %zu left", removed,
			  list.count - (size_t)removed);
	return EXIT_CLEAN;
}

static const struct example cleanup_examples[] = {
	{ "vsctl snapshot cleanup --dry-run --days 7 --keep-last 3 /var/lib/app/store",
	  "what would go, and why" },
	{ "vsctl snapshot cleanup --keep-hourly 24 --keep-daily 7 --keep-weekly 8 /var/lib/app/store",
	  "thin out with age" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_cleanup = {
	.name = "cleanup",
	.operands = "STORE",
	.summary = "remove the snapshots that no rule keeps",
	.details =
		"A snapshot stays when any rule keeps it; hours, days, weeks and months are those of UTC. The "
		"last good one always stays, and snapshots of a corrupt store take no place from good ones. What "
		"those that stay need of the others is packed anew. Without a rule nothing is done.",
	.examples = cleanup_examples,
	.options = cleanup_options,
	.opts_size = sizeof(struct cleanup_opts),
	.run = run_cleanup,
};
