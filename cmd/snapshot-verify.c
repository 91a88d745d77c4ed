/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl snapshot verify`: can what there is be trusted? */

#include "snapshot.h"

#include "progress.h"

struct verify_opts {
	struct snapshot_opts common;
};

static const struct opt verify_options[] = {
	SNAPSHOT_KEY(struct verify_opts),
	SNAPSHOT_STATE(struct verify_opts),
	OPT_END,
};

static const struct emit_field verify_fields[] = {
	{ .key = "snapshot", .heading = "snapshot" },
	{ .key = "check", .heading = "check" },
	{ .key = "result", .heading = "result" },
	{ .key = "message", .heading = "what is wrong" },
	{ 0 },
};

struct verified {
	char *id;
	struct snap_verdict verdict;
};

struct verifying {
	struct snapshot_cmd *c;
	struct verified *of; /* owned */
	size_t count, bad;
};

static void verifying_fini(struct verifying *v)
{
	for (size_t i = 0; i < v->count; i++) {
		snap_verdict_fini(&v->of[i].verdict);
		free(v->of[i].id);
	}
	free(v->of);
}

static const char *first_message(const struct snap_verdict *v)
{
	for (size_t i = 0; i < SNAP_CHECK_COUNT_; i++) {
		if (v->was_made[i] && !v->is_good[i])
			return v->message[i];
	}
	return NULL;
}

/* Keep the status in the manifest true, where there is a lock to be had for it. */
static void keep_status(struct verifying *v, const struct verified *one)
{
	bool is_good = snap_verdict_is_good(&one->verdict);
	struct file_lock lock = { -1 };
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct vs_err err = { 0 };

	/* What is unreadable without its key is not known to be damaged. */
	if (!one->verdict.is_good[SNAP_CHECK_MANIFEST] ||
	    snap_load(v->c->state_dirfd, one->id, &m, &err) < 0)
		return;
	if (m->is_older || (!is_good && m->archives[0].is_sealed && !v->c->has_key))
		return;
	if (m->status == (is_good ? SNAP_VERIFIED : SNAP_FAILED) ||
	    (is_good && m->status == SNAP_RESTORED))
		return;
	if (file_lock_take(&lock, v->c->state_dirfd, FILE_LOCK_EXCLUSIVE, 0,
			   v->c->app->command_words, &err) < 0 ||
	    snap_set_status(v->c->state_dirfd, one->id, is_good ? SNAP_VERIFIED : SNAP_FAILED,
			    first_message(&one->verdict), &err) < 0)
		app_note(v->c->app, "%s: the status in its manifest stays %s: %s", one->id,
			 snap_status_name(m->status), err.text);
	file_lock_release(&lock);
}

static int verify_one(struct verifying *v, const char *id, struct vs_err *err)
{
	struct vs_progress progress = { 0 };
	struct snap_access access = {
		.state_dirfd = v->c->state_dirfd,
		.key = v->c->has_key ? v->c->key : NULL,
		.jobs = app_jobs(v->c->app),
		.progress = &progress,
	};
	struct verified *one = &v->of[v->count++];
	int r;

	one->id = vs_strdup(id);
	progress_begin(v->c->app, &progress, "file");
	r = snap_verify(&access, id, &one->verdict, NULL, err);
	progress_end();
	if (r < 0)
		return r;
	v->bad += !snap_verdict_is_good(&one->verdict);
	keep_status(v, one);
	return 0;
}

static int verify_all(struct verifying *v, char *const *ids, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	size_t count = 0;
	int r;

	while (ids[count])
		count++;
	r = snapshot_list_load(v->c, &list, err);
	if (r < 0)
		return r;
	v->of = vs_alloc_array(count > 0 ? count : list.count, sizeof(*v->of));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = verify_one(v, ids[i], err);
	for (size_t i = 0; r == 0 && count == 0 && i < list.count; i++)
		r = verify_one(v, list.entries[i].id, err);
	return r;
}

static void verify_rows(struct emit *e, const struct verifying *v)
{
	emit_table(e, "checks", verify_fields);
	for (size_t i = 0; i < v->count; i++) {
		const struct snap_verdict *verdict = &v->of[i].verdict;

		for (size_t k = 0; k < SNAP_CHECK_COUNT_; k++) {
			const char *result = !verdict->was_made[k] ? "not possible"
					     : verdict->is_good[k] ? "good"
								   : "bad";

			emit_text(e, v->of[i].id);
			emit_str(e, snap_check_name((enum snap_check)k));
			emit_styled(e, verdict->is_good[k] ? EMIT_GOOD : EMIT_BAD, result);
			emit_text(e, verdict->message[k]);
		}
	}
	emit_table_end(e);
}

static int run_verify(struct app *app, const void *opts_, char *const *operands)
{
	const struct verify_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	cleanup_(verifying_fini) struct verifying v = { .c = &c };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	int status;

	status = snapshot_open(&c, app, &opts->common, operands[0]);
	if (status >= 0)
		return status;
	if (verify_all(&v, operands + 1, &err) < 0)
		return app_error(app, &err);
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	emit_json_uint(e, "verified", v.count);
	emit_json_uint(e, "bad", v.bad);
	if (v.bad > 0)
		emit_line(e, "damaged: %zu of %zu snapshot%s", v.bad, v.count,
			  v.count == 1 ? "" : "s");
	else if (!app->common.quiet)
		emit_line(e, "good: %zu snapshot%s verified", v.count, v.count == 1 ? "" : "s");
	if (v.bad > 0 || e->is_json || app->common.verbose)
		verify_rows(e, &v);
	emit_document_end(e);
	if (v.bad > 0)
		snapshot_next(&c, "vsctl snapshot create --full STORE", NULL);
	else if (!app->common.quiet)
		snapshot_next(&c, "vsctl snapshot drill STORE", NULL);
	return v.bad > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static const struct example verify_examples[] = {
	{ "vsctl snapshot verify /var/lib/app/store", "all snapshots, every byte" },
	{ "vsctl snapshot verify /var/lib/app/store snapshot_20260122_140309", "one" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_verify = {
	.name = "verify",
	.operands = "STORE [SNAPSHOT...]",
	.summary = "read snapshots as restoring would, and compare every digest",
	.details =
		"The store is not needed. Four checks, each of which can fail by itself: the manifest and its "
		"list, that the archives are there, their digests, and that they unpack to what the list says.",
	.examples = verify_examples,
	.options = verify_options,
	.opts_size = sizeof(struct verify_opts),
	.run = run_verify,
};
