/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl rollback`: a store, or some of its collections, as a snapshot has them.
 *
 * What is to change is found by comparing; what has to come back is unpacked beside the store; the
 * state before is kept as a snapshot of its own; and then single files are replaced under the
 * journal, which takes all of it back unless every byte is right in the end.
 */

#include "rollback.h"

#include "keep.h"
#include "key.h"
#include "progress.h"

#include "chroma/chroma.h"

#include <fcntl.h>

#define STAGE_DIR ".vsctl-rollback"

struct going_back {
	struct change c;
	const struct rollback_opts *opts;
	struct snap_access access;
	unsigned char key[CHROMEM_KEY_LEN];
	struct vs_progress progress;
	struct snap_manifest *m; /* owned */
	struct rollback_words words;
	struct rollback_request req;
	struct rollback_change *changes; /* owned */
	size_t change_count;
	bool *needed; /* of each member; owned */
	/* What has come out of the archives: in the state directory, or of a dry run in TMPDIR. */
	int stage_dirfd;
	int above_dirfd; /* the directory that it is in; -1: it was not made */
	char stage_name[64];
	char *safety;     /* id of the snapshot of the state before; owned */
	int64_t start_ns; /* of the change; 0: not begun */
};

static void going_back_fini(struct going_back *g)
{
	struct vs_err err = { 0 };

	file_closep(&g->stage_dirfd);
	if (g->above_dirfd >= 0 && snap_remove_tree(g->above_dirfd, g->stage_name, &err) < 0)
		app_note(g->c.app, "%s could not be removed: %s", g->stage_name, err.text);
	if (g->above_dirfd != g->access.state_dirfd)
		file_closep(&g->above_dirfd);
	rollback_changes_free(g->changes, g->change_count);
	rollback_words_fini(&g->words);
	snap_manifest_freep(&g->m);
	free(g->needed);
	free(g->safety);
	change_fini(&g->c);
}

/* ---- around the journal ---- */

/* For the readers of the older tool's log. What happened stands in the audit log, so a failure here
 * changes nothing. */
static void log_as_older(struct going_back *g, const char *status, const char *message)
{
	const struct rollback_opts *opts = g->opts;
	cleanup_(vs_freep) const char **names = vs_alloc_array(g->change_count + 1, sizeof(*names));
	struct audit_rollback_record rec = {
		.action = "rollback",
		.snapshot_id = g->m->id,
		.status = status,
		.trigger = opts->is_automatic ? "automatic" : "manual",
		.rollback_type = opts->batches || opts->at                       ? "point-in-time"
				 : opts->collections || opts->failed_collections ? "partial"
										 : "full",
		.duration_s = (double)(clock_elapsed_ns() - g->start_ns) / 1e9,
		.collections = names,
		.error_message = message,
		.success = strcmp(status, "completed") == 0,
	};
	struct vs_err err = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < g->change_count; i++) {
		const struct rollback_change *change = &g->changes[i];

		if (change->has_changes)
			names[count++] = change->name.ptr ? (const char *)change->name.ptr
							  : change->directory;
	}
	if (audit_rollback(g->access.state_dirfd, g->c.app->clock, &rec, &err) < 0)
		app_note(g->c.app, "this is not in the older tool's log: %s", err.text);
}

/* Only here are other programs run: what the operator asked for, by a shell, told the store. */
static int run_command(struct going_back *g, const char *command, struct vs_err *err)
{
	int status;

	if (setenv("VSCTL_STORE", session_store_path(g->c.session), 1) < 0)
		return vs_fail_errno(err, "environment");
	fflush(stdout);
	/* That a shell runs it is what the options promise. NOLINTNEXTLINE(cert-env33-c) */
	status = system(command);
	if (status < 0)
		return vs_fail_errno(err, "%s", command);
	if (status != 0)
		return vs_fail(err, VS_EIO, "%s: ended with status %d", command,
			       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

static int keep_before(struct going_back *g, const struct check_summary *before, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf command = { 0 };
	int r;

	buf_printf(&command, "rollback to %s", g->m->id);
	r = keep_state_before(&g->c, before, buf_cstr(&command), &g->safety, err);
	/* Nobody is there to make room, and the journal keeps every file that goes. */
	if (r < 0 && g->opts->is_automatic && err->sysno == ENOSPC) {
		app_note(g->c.app, "the state before is in the journal only: %s", err->text);
		return 0;
	}
	return r;
}

static bool is_needed(void *ctx, const struct snap_member *member)
{
	const struct going_back *g = ctx;

	return g->needed[member - g->m->members];
}

/* Names of dry runs differ, since they hold no lock. */
static int make_stage(struct going_back *g, struct vs_err *err)
{
	const char *scratch = getenv("TMPDIR");
	int r = 0;

	if (g->stage_dirfd >= 0)
		return 0;
	if (g->opts->change.dry_run) {
		snprintf(g->stage_name, sizeof(g->stage_name), STAGE_DIR "-%ld", (long)getpid());
		r = file_open_dir(AT_FDCWD, scratch && scratch[0] ? scratch : "/tmp", FILE_FOLLOW,
				  &g->above_dirfd, err);
	} else {
		snprintf(g->stage_name, sizeof(g->stage_name), STAGE_DIR);
		g->above_dirfd = g->access.state_dirfd;
	}
	if (r == 0)
		r = snap_remove_tree(g->above_dirfd, g->stage_name, err); /* of a killed run */
	if (r == 0)
		r = file_mkdir_at(g->above_dirfd, g->stage_name, 0700, err);
	if (r == 0)
		r = file_open_dir(g->above_dirfd, g->stage_name, FILE_NO_FOLLOW, &g->stage_dirfd,
				  err);
	return r;
}

static int unpack(struct going_back *g, uint64_t bytes, struct vs_err *err)
{
	struct snap_access access = g->access;
	int r = make_stage(g, err);

	/* The journal makes it durable. */
	access.is_scratch = true;
	if (r == 0)
		r = snap_check_room(g->stage_dirfd, bytes, "what comes out of the snapshot", err);
	return r == 0 ? snap_extract(&access, g->m, is_needed, g, g->stage_dirfd, err) : r;
}

/*
 * What has to come back, out of the archives before anybody is asked, so that no plan is shown that
 * a damaged archive makes impossible. A dry run proves that it could be had.
 */
static int fetch(struct going_back *g, struct vs_err *err)
{
	uint64_t bytes = 0, files = 0;
	struct vs_err why = { 0 };
	int r;

	for (size_t i = 0; i < g->m->member_count; i++) {
		files += g->needed[i];
		bytes += g->needed[i] ? g->m->members[i].size + 4096 : 0;
	}
	if (files == 0)
		return 0;
	if (g->opts->change.dry_run)
		r = snap_read(&g->access, g->m, is_needed, NULL, g, &why);
	else
		r = unpack(g, bytes, &why);
	if (r == VS_EFORMAT)
		return rollback_damaged(g->c.store->path, g->m->id, SNAP_CHECK_READABLE, why.text,
					err);
	if (r < 0)
		*err = why;
	return r;
}

static bool is_database(void *ctx, const struct snap_member *member)
{
	(void)ctx;
	return strcmp(member->path, CHROMA_DATABASE) == 0;
}

/* Records can only be compared with the database at hand. */
static int unpack_database(struct going_back *g, struct vs_err *err)
{
	struct snap_access access = g->access;
	const struct snap_member *member = snap_find_member(g->m, CHROMA_DATABASE);
	int r;

	r = make_stage(g, err);
	if (r == 0 && member)
		r = snap_check_room(g->stage_dirfd, member->size + ((uint64_t)1 << 20),
				    "the snapshot's database", err);
	access.is_scratch = g->opts->change.dry_run;
	if (r == 0)
		r = snap_extract(&access, g->m, is_database, g, g->stage_dirfd, err);
	g->req.database_dirfd = g->stage_dirfd;
	return r;
}

static int prepare(void *ctx, const struct check_summary *before, struct vs_err *err)
{
	struct going_back *g = ctx;
	int r = 0;

	g->start_ns = clock_elapsed_ns();
	log_as_older(g, "initiated", NULL);
	if (g->opts->pre_cmd)
		r = run_command(g, g->opts->pre_cmd, err);
	return r == 0 ? keep_before(g, before, err) : r;
}

/* The database of a Chroma store is compared with afterwards. */
static bool staged(void *ctx, const struct action *a, int *dirfd, const char **name)
{
	const struct going_back *g = ctx;

	*dirfd = g->stage_dirfd;
	*name = a->path;
	return strcmp(a->path, CHROMA_DATABASE) != 0;
}

static int file(void *ctx, const struct action *a, int *fd, struct vs_err *err)
{
	struct going_back *g = ctx;

	*fd = openat(g->stage_dirfd, a->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? vs_fail_errno(err, "%s", a->path) : 0;
}

static int edit(void *ctx, const struct action *a, struct chroma_edit *e, struct vs_err *err)
{
	struct going_back *g = ctx;

	return rollback_edit_chroma(&g->req, a, e, err);
}

static int prove(void *ctx, struct vs_err *err)
{
	struct going_back *g = ctx;

	return rollback_prove(&g->req, err);
}

/* ---- the plan ---- */

static const struct emit_field change_fields[] = {
	{ .key = "id", .heading = "collection" },
	{ .key = "name", .heading = "name" },
	{ .key = "added", .heading = "will go", .is_number = true },
	{ .key = "removed", .heading = "will be back", .is_number = true },
	{ .key = "changed", .heading = "as they were", .is_number = true },
	{ .key = "kept", .heading = "untouched", .is_number = true },
	{ 0 },
};

static void show_changes(struct change *c, void *ctx)
{
	const struct going_back *g = ctx;
	struct emit *e = &c->app->emit;

	emit_json_str(e, "snapshot", g->m->id);
	emit_table(e, "collections", change_fields);
	for (size_t i = 0; i < g->change_count; i++) {
		const struct rollback_change *change = &g->changes[i];

		if (!change->has_changes && !e->is_json && !c->app->common.verbose)
			continue;
		emit_text(e, change->directory);
		emit_bytes(e, change->name);
		emit_uint(e, change->added);
		emit_uint(e, change->removed);
		emit_uint(e, change->changed);
		emit_uint(e, change->kept);
	}
	emit_table_end(e);
}

static bool is_chroma(const struct going_back *g)
{
	return g->c.store->kind == STORE_CHROMA;
}

static void sum_up(struct going_back *g)
{
	struct buf text = { 0 };
	uint64_t back = 0, gone = 0, kept = 0;
	char when[32];

	for (size_t i = 0; i < g->change_count; i++) {
		back += g->changes[i].removed + g->changes[i].changed;
		gone += g->changes[i].added;
		kept += g->changes[i].kept;
	}
	if (g->c.plan.count == 0)
		return;
	time_format(g->m->time_ns, false, when);
	buf_printf(&text, "back to %s of %s: ", g->m->id, when);
	text_count(&text, back, is_chroma(g) ? "record" : "file");
	buf_append_str(&text, " as they were then, ");
	text_count(&text, gone, is_chroma(g) ? "record" : "file");
	buf_printf(&text, " of today to go, %" PRIu64 " untouched; a snapshot keeps today's state",
		   kept);
	g->c.summary = buf_take_str(&text);
}

static int make_plan(struct going_back *g, struct vs_err *err)
{
	const struct rollback_opts *opts = g->opts;
	int r;

	r = rollback_words_parse(&g->words, opts, g->m, err);
	if (r < 0)
		return r;
	g->req = (struct rollback_request){
		.store = g->c.store,
		.m = g->m,
		.collections = (const char *const *)g->words.collections,
		.collection_count = g->words.count,
		.batches = g->words.batches,
		.batch_count = g->words.batch_count,
		.rehash = opts->rehash,
		.known = opts->rehash ? NULL : session_known(g->c.session),
		.is_whole = opts->is_whole,
		.jobs = g->access.jobs,
	};
	if (is_chroma(g) && opts->at && g->words.count == 0)
		return vs_fail(
			err, VS_EUSAGE,
			"--at: the collections of a Chroma store share one database, which is of "
			"one moment; name those that are to go back: --partial --collections A,B");
	if (opts->at && !time_parse(opts->at, clock_now_ns(g->c.app->clock), &g->req.at_ns))
		return vs_fail(
			err, VS_EUSAGE,
			"--at %s: not a time; give 2026-01-22T14:03:09Z or a duration like 24h",
			opts->at);
	r = is_chroma(g) ? unpack_database(g, err) : 0;
	if (r == 0)
		r = plan_rollback(&g->c.plan, &g->req, &g->changes, &g->change_count, err);
	g->needed = vs_alloc_array(g->m->member_count + 1, sizeof(*g->needed));
	for (size_t i = 0; r == 0 && i < g->c.plan.count; i++) {
		const struct action *a = &g->c.plan.actions[i];

		/* The database is unpacked already. */
		if (a->is_sourced || (a->is_file && strcmp(a->path, CHROMA_DATABASE) != 0))
			g->needed[snap_find_member(g->m, a->path) - g->m->members] = true;
	}
	sum_up(g);
	return r == 0 ? fetch(g, err) : r;
}

/* ---- the command ---- */

static int open_snapshot(struct going_back *g, const char *id, struct vs_err *err)
{
	const char *store_path = g->c.store->path;
	int r;

	g->access = (struct snap_access){
		.state_dirfd = session_state_dirfd(g->c.session),
		.jobs = app_jobs(g->c.app),
		.progress = &g->progress,
		.trusts_digest = true,
		/* Which pieces are needed is known with the plan; see fetch(). Of one that was not named
		 * all must be right: else another one is chosen. */
		.trusts_size = id != NULL,
	};
	if (g->access.state_dirfd < 0)
		return vs_fail(err, VS_ENOENT,
			       "there are no snapshots of %s: vsctl snapshot create makes one",
			       store_path);
	if (g->opts->key_file) {
		r = key_load(g->opts->key_file, g->key, err);
		if (r < 0)
			return r;
		g->access.key = g->key;
	}
	progress_begin(g->c.app, &g->progress, "file");
	r = rollback_choose(g->c.app, &g->access, store_path,
			    g->opts->change.force ? NULL : session_store_path(g->c.session), id,
			    &g->m, err);
	progress_end();
	if (r < 0)
		return r;
	if (!g->opts->change.force && g->m->store_path &&
	    strcmp(g->m->store_path, session_store_path(g->c.session)) != 0)
		return vs_fail(
			err, VS_EUSAGE,
			"snapshot %s is of another store, %s; give --force if that is this one",
			g->m->id, g->m->store_path);
	if (g->m->store_kind && strcmp(g->m->store_kind, store_kind_name(g->c.store->kind)) != 0)
		return vs_fail(err, VS_EUSAGE, "snapshot %s is of a %s store, and %s is a %s store",
			       g->m->id, g->m->store_kind, store_path,
			       store_kind_name(g->c.store->kind));
	return 0;
}

/* What cannot undo the change any more is said and changes nothing. */
static void settle(struct going_back *g)
{
	struct vs_err err = { 0 };

	if (snap_set_status(g->access.state_dirfd, g->m->id, SNAP_RESTORED, NULL, &err) < 0)
		app_note(g->c.app, "the manifest does not say that it was restored: %s", err.text);
	if (g->opts->post_cmd && run_command(g, g->opts->post_cmd, &err) < 0)
		app_note(g->c.app, "the store is back, and --post-cmd failed: %s", err.text);
}

int rollback_run(struct app *app, const struct rollback_opts *opts, const char *store,
		 const char *id)
{
	cleanup_(going_back_fini) struct going_back g = {
		.c = { .takes_chroma = true },
		.opts = opts,
		.stage_dirfd = -1,
		.above_dirfd = -1,
		.access = { .state_dirfd = -1 },
	};
	const struct plan_source source = { .ctx = &g,
					    .prepare = prepare,
					    .staged = staged,
					    .file = file,
					    .edit = edit,
					    .verify = prove };
	struct vs_err err = { 0 };
	int status = change_open(&g.c, app, &opts->change, store);

	if (status >= 0)
		return status;
	if (open_snapshot(&g, id, &err) < 0 || make_plan(&g, &err) < 0)
		return app_error(app, &err);
	g.c.plan.source = &source;
	g.c.accepts_errors = g.m->health.errors > 0;
	status = change_run(&g.c, show_changes, &g);
	if (g.start_ns != 0)
		log_as_older(&g, status == EXIT_CLEAN ? "completed" : "failed",
			     status == EXIT_CLEAN ? NULL : "the store is as it was");
	if (status == EXIT_CLEAN && g.start_ns != 0)
		settle(&g);
	return status;
}

static const struct opt options[] = {
	CHANGE_OPTIONS(struct rollback_opts),
	OPT_FLAG("partial", 0, struct rollback_opts, partial,
		 "only some collections, which --collections names"),
	OPT_TEXT("collections", 0, struct rollback_opts, collections, "A,B",
		 "these only, by name or directory; all others stay as they are"),
	OPT_TEXT("failed-collections", 0, struct rollback_opts, failed_collections, "A,B",
		 "another word for --collections"),
	OPT_TEXT(
		"batches", 0, struct rollback_opts, batches, "C:BATCH",
		"of these collections only the documents of these batches, in the order of writing"),
	OPT_TEXT("at", 0, struct rollback_opts, at, "TIME",
		 "only documents that were written until then"),
	OPT_FLAG("rehash", 0, struct rollback_opts, rehash,
		 "compare bytes; do not believe size, time and inode"),
	OPT_FILE("key-file", 0, struct rollback_opts, key_file, "FILE",
		 "the 32 bytes of the key of encrypted archives"),
	OPT_TEXT("pre-cmd", 0, struct rollback_opts, pre_cmd, "CMD",
		 "run before the store is changed; when it fails, nothing is"),
	OPT_TEXT("post-cmd", 0, struct rollback_opts, post_cmd, "CMD",
		 "run when the store is back: start the application again"),
	OPT_END,
};

static int run(struct app *app, const void *opts, char *const *operands)
{
	return rollback_run(app, opts, operands[0], operands[1]);
}

static const struct example examples[] = {
	{ "vsctl rollback --dry-run /var/lib/app/store snapshot_20260122_140309",
	  "what would change" },
	{ "vsctl rollback --partial --collections contextd_memories /var/lib/app/store "
	  "snapshot_20260122_140309",
	  "one collection" },
	{ "vsctl rollback --yes --pre-cmd 'systemctl stop app' --post-cmd 'systemctl start app' "
	  "/var/lib/app/store snapshot_20260122_140309",
	  "with the application stopped meanwhile" },
	{ NULL, NULL },
};

const struct command cmd_rollback = {
	.name = "rollback",
	.operands = "STORE SNAPSHOT",
	.summary = "bring a store back to what one of its snapshots has",
	.details =
		"Compares the snapshot with the store, and changes only files that differ. The state "
		"before is kept as a snapshot of its own, and vsctl undo takes the rollback back. Afterwards every "
		"byte is compared; if one differs, the store is as it was.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct rollback_opts),
	.run = run,
};
