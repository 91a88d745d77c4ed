/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl wal compact`: entries that the remote store has leave the log, by way of a journal that
 * keeps them. What is pending, or not proven to be synced, is never touched.
 */

#include "wal.h"

#include "repair/repair.h"

#include <fcntl.h>

struct compact_opts {
	bool dry_run;
	bool undo;
	const char *state;
	uint64_t lock_wait_s;
};

static const struct opt options[] = {
	OPT_FLAG("dry-run", 'n', struct compact_opts, dry_run, "show what would be removed"),
	OPT_FLAG("undo", 0, struct compact_opts, undo, "bring back what the last one removed"),
	OPT_DIR("state", 0, struct compact_opts, state, "DIR",
		"where journal and audit log are kept; default: the log's path with .vsctl"),
	OPT_NUMBER("lock-wait", 0, struct compact_opts, lock_wait_s, 86400, "SEC",
		   "how long to wait for another vsctl to finish"),
	OPT_END,
};

struct compact {
	struct app *app;
	const struct compact_opts *opts;
	struct wal w;
	char *state;
	int state_dirfd;
	struct file_lock lock;
};

static void compact_fini(struct compact *c)
{
	file_lock_release(&c->lock);
	file_closep(&c->state_dirfd);
	free(c->state);
	wal_fini(&c->w);
}

static int record(struct compact *c, enum audit_phase phase, int status, const char *message,
		  struct vs_err *err)
{
	struct audit_record rec = {
		.phase = phase,
		.action = c->app->command_words,
		.store = c->w.path,
		.argv = (const char *const *)c->app->argv,
		.exit_status = status,
		.message = message,
	};

	return audit_append(c->state_dirfd, c->app->clock, &rec, err);
}

static void note(void *ctx, const char *text)
{
	app_note(ctx, "%s", text);
}

/*
 * Lock the state directory and end what a run that was cut off has left. 1: there is none, and none
 * is needed.
 */
static int open_state(struct compact *c, bool make, struct vs_err *err)
{
	int r = make ? state_make(c->state, &c->state_dirfd, err)
		     : state_open(c->state, &c->state_dirfd, err);

	if (r == VS_ENOENT && !make)
		return 1;
	if (r == 0)
		r = file_lock_take(&c->lock, c->state_dirfd, FILE_LOCK_EXCLUSIVE,
				   c->opts->lock_wait_s, "vsctl wal compact", err);
	if (r == 0)
		r = journal_recover(c->state_dirfd, c->w.dirfd, note, c->app, err);
	return VS_MIN(r, 0);
}

static bool is_wanted(const struct compact *c)
{
	return c->opts->undo || c->w.counts[WAL_SYNCED] > 0;
}

/*
 * What is in the log, and, to change it, with nobody else at it. Looked at again under the lock: what
 * somebody else has done since, or an earlier run that was only ended now, is no surprise later.
 */
static int look(struct compact *c, const char *path, struct vs_err *err)
{
	int r;

	r = wal_load(&c->w, path, err);
	if (r == 0)
		r = state_path_for(c->w.path, c->opts->state, &c->state, err);
	if (r < 0 || c->opts->dry_run || c->w.only)
		return r;
	r = open_state(c, is_wanted(c), err);
	if (r != 0)
		return VS_MIN(r, 0);
	wal_fini(&c->w);
	return wal_load(&c->w, path, err);
}

/* Is the file still what it was when it was found to be synced? */
static int compare(const struct compact *c, const struct wal_file *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct digest now;
	int r;

	r = file_read_at(c->w.dirfd, f->name, FILE_NO_FOLLOW, f->size + 1, &bytes, NULL, err);
	if (r == 0)
		digest_of(buf_slice(&bytes), &now);
	if (r == 0 && memcmp(&now, &f->digest, sizeof(now)) == 0)
		return 0;
	return vs_fail(err, VS_EBUSY,
		       "%s has changed while it was looked at; stop contextd, or try again",
		       f->name);
}

static int apply(struct compact *c, struct vs_err *err)
{
	struct journal_header head = { .command = "wal-compact",
				       .argv = (const char *const *)c->app->argv,
				       .time_ns = clock_now_ns(c->app->clock) };
	cleanup_(journal_freep) struct journal *j = NULL;
	int r;

	r = journal_begin(&j, c->state_dirfd, c->w.dirfd, &head, err);
	for (size_t i = 0; r == 0 && i < c->w.count; i++) {
		const struct wal_file *f = &c->w.files[i];

		if (f->state != WAL_SYNCED)
			continue;
		r = journal_add_remove(j, f->name, err);
		if (r == 0)
			r = compare(c, f, err);
	}
	if (r == 0)
		r = journal_apply(j, err);
	return r < 0 ? r : journal_commit(j, err);
}

static const struct emit_field fields[] = {
	{ "action", "action", false },
	{ "path", "path", false },
	{ "detail", "what it does", false },
	{ 0 },
};

static void show_plan(struct compact *c)
{
	struct emit *e = &c->app->emit;

	emit_table(e, "plan", fields);
	for (size_t i = 0; i < c->w.count; i++) {
		if (c->w.files[i].state != WAL_SYNCED)
			continue;
		emit_str(e, "remove-entry");
		emit_text(e, c->w.files[i].name);
		emit_str(e, "remove an entry that the remote store has; the journal keeps it");
	}
	emit_table_end(e);
}

static void end(struct compact *c, bool is_applied)
{
	bool can_undo = is_applied && !c->opts->undo && c->w.counts[WAL_SYNCED] > 0;
	cleanup_(buf_fini) struct buf undo = { 0 };
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &c->app->emit;

	buf_append_str(&undo, "vsctl wal compact --undo ");
	if (c->opts->state) {
		buf_append_str(&undo, "--state ");
		text_shell_word(&undo, c->opts->state);
		buf_append_byte(&undo, ' ');
	}
	text_shell_word(&undo, c->w.path);
	buf_append_str(&next, "vsctl wal check ");
	text_shell_word(&next, c->w.path);
	emit_json_bool(e, "applied", is_applied);
	emit_json_str(e, "undo", can_undo ? buf_cstr(&undo) : NULL);
	emit_json_str(e, "next", buf_cstr(&next));
	if (can_undo)
		emit_line(e, "to take it back: %s", buf_cstr(&undo));
	emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
}

/* 0, or the exit status after the failure was reported and recorded. */
static int change(struct compact *c)
{
	struct vs_err err = { 0 }, late = { 0 };
	int r, status;

	if (record(c, AUDIT_STARTED, 0, NULL, &err) < 0)
		return app_error(c->app, &err);
	r = c->opts->undo ? journal_undo(c->state_dirfd, c->w.dirfd, NULL, &err) : apply(c, &err);
	if (r < 0) {
		status = app_error(c->app, &err);
		if (record(c, AUDIT_FAILED, status, err.text, &late) < 0)
			app_note(c->app, "%s", late.text);
		return status;
	}
	if (record(c, AUDIT_FINISHED, EXIT_CLEAN, NULL, &late) < 0)
		app_note(c->app, "%s", late.text);
	return 0;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct compact_opts *opts = opts_;
	cleanup_(compact_fini) struct compact c = {
		.app = app, .opts = opts, .w = WAL_CLOSED, .state_dirfd = -1, .lock = { -1 }
	};
	bool is_applied = false;
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	uint64_t synced;
	int status;

	if (look(&c, operands[0], &err) < 0)
		return app_error(app, &err);
	if (c.w.only)
		return app_usage(app, "compact takes the whole log, not one entry");
	synced = c.w.counts[WAL_SYNCED];
	if (!opts->dry_run && is_wanted(&c)) {
		status = change(&c);
		if (status != 0)
			return status;
		is_applied = true;
	}
	emit_document(e, app->command_words);
	wal_emit_head(app, &c.w);
	if (opts->undo)
		emit_line(e, opts->dry_run ? "dry run: nothing was taken back"
					   : "done: what the last compaction removed is back");
	else
		emit_line(e,
			  "%s: %" PRIu64 " synced entries %s; %" PRIu64 " pending and %" PRIu64
			  " others stay",
			  is_applied ? "done" : "plan", synced,
			  is_applied ? "are removed" : "can be removed", c.w.counts[WAL_PENDING],
			  c.w.count - synced - c.w.counts[WAL_PENDING]);
	if (!opts->undo && (synced > 0 || e->is_json))
		show_plan(&c);
	end(&c, is_applied);
	return EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl wal compact --dry-run .claude/contextd/wal", "what would be removed" },
	{ "vsctl wal compact .claude/contextd/wal", "remove what the remote store has" },
	{ NULL, NULL },
};

const struct command cmd_wal_compact = {
	.name = "compact",
	.operands = "STORE",
	.summary = "remove entries that are proven and synced",
	.details =
		"Pending entries are never removed, nor those whose checksum is wrong or cannot be computed. What is removed "
		"stays in the journal of the state directory, and --undo brings it back. Whether an entry is synced is what "
		"it says itself: its checksum does not cover that.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct compact_opts),
	.run = run,
};
