/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl snapshot drill`: restore into a scratch directory and look at what comes out, as one would
 * have to on the day it is needed.
 */

#include "snapshot.h"

#include "progress.h"

#include <fcntl.h>

struct drill_opts {
	struct snapshot_opts common;
	const char *scratch;
};

static const struct opt drill_options[] = {
	OPT_DIR("scratch", 0, struct drill_opts, scratch, "DIR",
		"where to restore to, for as long as it takes; default: the state directory"),
	SNAPSHOT_KEY(struct drill_opts),
	SNAPSHOT_STATE(struct drill_opts),
	SNAPSHOT_LOCK(struct drill_opts),
	OPT_END,
};

#define DRILL_DIR ".vsctl-drill"

struct drill {
	struct snapshot_cmd *c;
	const char *scratch; /* path of the directory that holds DRILL_DIR */
	int scratch_dirfd;
	struct snap_manifest *m; /* owned */
	struct snap_health health;
	uint64_t different;
	char first[256]; /* of the files that differ */
};

static void drill_fini(struct drill *d)
{
	struct vs_err err = { 0 };

	if (d->scratch_dirfd >= 0 && snap_remove_tree(d->scratch_dirfd, DRILL_DIR, &err) < 0)
		app_note(d->c->app, "%s/%s could not be removed: %s", d->scratch, DRILL_DIR,
			 err.text);
	file_closep(&d->scratch_dirfd);
	snap_manifest_freep(&d->m);
	snapshot_health_fini(&d->health);
}

static int choose(struct drill *d, const char *id, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	const struct snap_manifest *newest;
	int r;

	if (id)
		return snap_load(d->c->state_dirfd, id, &d->m, err);
	r = snapshot_list_load(d->c, &list, err);
	if (r < 0)
		return r;
	newest = snap_list_newest_good(&list);
	if (!newest)
		return vs_fail(err, VS_ENOENT, "there is no good snapshot");
	return snap_load(d->c->state_dirfd, newest->id, &d->m, err);
}

static int make_scratch(struct drill *d, int *fd, struct vs_err *err)
{
	int r;

	r = file_open_dir(AT_FDCWD, d->scratch, FILE_FOLLOW, &d->scratch_dirfd, err);
	if (r == 0)
		r = snap_remove_tree(d->scratch_dirfd, DRILL_DIR, err); /* of a killed drill */
	if (r == 0)
		r = file_mkdir_at(d->scratch_dirfd, DRILL_DIR, 0700, err);
	return r < 0 ? r : file_open_dir(d->scratch_dirfd, DRILL_DIR, FILE_NO_FOLLOW, fd, err);
}

static int note_change(void *ctx, enum snap_change change, const char *path,
		       const struct snap_member *member, struct vs_err *err)
{
	struct drill *d = ctx;

	(void)member;
	(void)err;
	if (change == SNAP_SAME)
		return 0;
	if (d->different++ == 0)
		snprintf(d->first, sizeof(d->first), "%s", path);
	return 0;
}

/* Bytes against the list, and the store against what it was then. */
static int judge(struct drill *d, struct vs_err *err)
{
	cleanup_(vs_freep) char *path = NULL;
	cleanup_(store_closep) struct store *store = NULL;
	struct buf text = { 0 };
	int r;

	buf_printf(&text, "%s/%s", d->scratch, DRILL_DIR);
	path = buf_take_str(&text);
	r = store_open(&store, path, STORE_ASSUME_CHROMEM, err);
	if (r == 0)
		r = snap_compare(d->m, store, true, app_jobs(d->c->app), note_change, d, err);
	if (r == 0 && d->different > 0)
		return vs_fail(err, VS_EFORMAT,
			       "%" PRIu64 " restored files differ, the first is %s", d->different,
			       d->first);
	if (r == 0)
		r = snap_check_rows(d->m, store, NULL, NULL, err);
	if (r == 0)
		r = snapshot_health(d->c, store, CHECK_DEEP, &d->health, err);
	if (r < 0 || !d->m->health.verdict)
		return r;
	/* Deeper than what was looked at then, so only what could have been seen is compared. */
	if (d->m->health.errors == 0 && d->health.errors > 0)
		return vs_fail(err, VS_EFORMAT,
			       "the restored store has %" PRIu64
			       " errors, and had none when the snapshot was made",
			       d->health.errors);
	return 0;
}

static int restore_and_judge(struct drill *d, struct vs_err *err)
{
	struct vs_progress progress = { 0 };
	struct snap_access access = {
		.state_dirfd = d->c->state_dirfd,
		.key = d->c->has_key ? d->c->key : NULL,
		.jobs = app_jobs(d->c->app),
		.progress = &progress,
		.is_scratch = true,
	};
	cleanup_(file_closep) int fd = -1;
	int r;

	r = make_scratch(d, &fd, err);
	if (r == 0)
		r = snap_load_members(d->c->state_dirfd, d->m, err);
	if (r < 0)
		return r;
	progress_begin(d->c->app, &progress, "file");
	r = snap_extract(&access, d->m, NULL, NULL, fd, err);
	progress_end();
	return r == 0 ? judge(d, err) : r;
}

static void tell(struct drill *d, const struct snap_drill *result)
{
	cleanup_(buf_fini) struct buf message = { 0 };
	struct emit *e = &d->c->app->emit;

	emit_document(e, d->c->app->command_words);
	snapshot_members_json(d->c);
	emit_json_str(e, "snapshot", d->m->id);
	emit_json_bool(e, "good", result->is_good);
	emit_json_uint(e, "duration_ms", result->duration_ms);
	emit_json_uint(e, "files", d->m->member_count_total);
	emit_json_uint(e, "documents", d->m->documents);
	emit_json_str(e, "verdict", d->health.verdict);
	emit_json_str(e, "message", result->message);
	emit_document_end(e);
	if (!result->is_good) {
		text_escape(&message, slice_str(result->message));
		emit_line(e, "failed: %s: %s", d->m->id, buf_cstr(&message));
		snapshot_next(d->c, "vsctl snapshot verify STORE", d->m->id);
	} else if (!d->c->app->common.quiet) {
		emit_line(e,
			  "good: %s was restored and verified in %.2f s (%" PRIu64
			  " documents, %" PRIu64 " files; the store is %s)",
			  d->m->id, (double)result->duration_ms / 1000, d->m->documents,
			  d->m->member_count_total, d->health.verdict);
		snapshot_next(d->c, "vsctl snapshot list STORE", NULL);
	}
}

/* What says something about the snapshot, and not about the machine or the key. */
static bool is_verdict(int r)
{
	return r == VS_EFORMAT || r == VS_ENOENT;
}

static int run_drill(struct app *app, const void *opts_, char *const *operands)
{
	const struct drill_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	cleanup_(drill_fini) struct drill d = { .c = &c, .scratch_dirfd = -1 };
	struct snap_drill result = { 0 };
	struct vs_err err = { 0 }, late = { 0 };
	int64_t start = clock_elapsed_ns();
	int r, status;

	status = snapshot_open_locked(&c, app, &opts->common, operands[0], false);
	if (status >= 0)
		return status;
	d.scratch = opts->scratch ? opts->scratch : c.state_path;
	if (choose(&d, operands[1], &err) < 0 ||
	    snapshot_record(&c, AUDIT_STARTED, 0, d.m->id, &err) < 0)
		return app_error(app, &err);
	r = restore_and_judge(&d, &err);
	if (r < 0 && !is_verdict(r)) {
		status = app_error(app, &err);
		snapshot_record_end(&c, status, err.text);
		return status;
	}
	result = (struct snap_drill){
		.time_ns = clock_now_ns(app->clock),
		.is_good = r == 0,
		.duration_ms = (uint64_t)(clock_elapsed_ns() - start) / 1000000,
		.message = r == 0 ? NULL : err.text,
	};
	if (snap_set_drill(c.state_dirfd, d.m->id, &result, &late) < 0)
		app_note(app, "the result is not in the manifest: %s", late.text);
	status = r == 0 ? EXIT_CLEAN : EXIT_PROBLEMS;
	snapshot_record_end(&c, status, r == 0 ? d.m->id : err.text);
	tell(&d, &result);
	return status;
}

static const struct example drill_examples[] = {
	{ "vsctl snapshot drill /var/lib/app/store", "the newest good one" },
	{ "vsctl snapshot drill --scratch /tmp /var/lib/app/store before-upgrade",
	  "another one, elsewhere" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_drill = {
	.name = "drill",
	.operands = "STORE [SNAPSHOT]",
	.summary = "restore a snapshot into a scratch directory and verify what comes out",
	.details =
		"The store is not touched. What is restored is compared with the digests of the list and checked "
		"as deeply as vsctl verify can; the time it took and the result are kept in the manifest.",
	.examples = drill_examples,
	.options = drill_options,
	.opts_size = sizeof(struct drill_opts),
	.run = run_drill,
};
