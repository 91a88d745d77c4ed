/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl snapshot list`, `show` and `verify`: what there is, and whether it can be trusted. */

#include "snapshot.h"

#include "progress.h"

struct look_opts {
	struct snapshot_opts common;
};

static const struct opt look_options[] = {
	SNAPSHOT_STATE(struct look_opts),
	OPT_END,
};

/* ---- list ---- */

static const struct emit_field list_fields[] = {
	{ .key = "snapshot", .heading = "snapshot" },
	{ .key = "time", .heading = "time" },
	{ .key = "documents", .heading = "documents", .is_number = true },
	{ .key = "bytes", .heading = "holds", .is_number = true },
	{ .key = "size", .heading = "takes", .is_number = true },
	{ .key = "parent", .heading = "builds on" },
	{ .key = "status", .heading = NULL },
	{ .key = "verdict", .heading = NULL },
	{ .key = "good", .heading = NULL },
	{ .key = "state", .heading = "state" },
	{ .key = "why", .heading = NULL },
	{ 0 },
};

static void list_row(struct emit *e, const struct snap_entry *entry)
{
	const struct snap_manifest *m = entry->m;
	char when[32] = "";

	emit_text(e, entry->id);
	if (!m) {
		for (size_t i = 0; i < 7; i++)
			emit_null(e);
		emit_bool(e, false);
		emit_str(e, snapshot_state_word(entry));
		emit_text(e, entry->why);
		return;
	}
	time_format(m->time_ns, false, when);
	emit_str(e, when);
	emit_uint(e, m->documents);
	emit_size(e, m->bytes);
	emit_size(e, m->archives[0].size + m->members_size);
	emit_text(e, m->parent);
	emit_str(e, snap_status_name(m->status));
	emit_text(e, m->health.verdict);
	emit_bool(e, snap_is_good(m));
	emit_str(e, snapshot_state_word(entry));
	emit_text(e, m->error_message);
}

static int run_list(struct app *app, const void *opts_, char *const *operands)
{
	const struct look_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	size_t good = 0;
	int status;

	status = snapshot_open(&c, app, &opts->common, operands[0]);
	if (status >= 0)
		return status;
	if (snap_list_load(&list, c.state_dirfd, &err) < 0)
		return app_error(app, &err);
	for (size_t i = 0; i < list.count; i++)
		good += list.entries[i].m && snap_is_good(list.entries[i].m);
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	if (list.count == 0)
		emit_line(e, "there are no snapshots");
	else
		emit_line(e, "%zu snapshot%s, %zu of them good", list.count,
			  list.count == 1 ? "" : "s", good);
	emit_table(e, "snapshots", list_fields);
	for (size_t i = list.count; i > 0; i--)
		list_row(e, &list.entries[i - 1]);
	emit_table_end(e);
	emit_document_end(e);
	if (list.count == 0)
		emit_line(e, "next: vsctl snapshot create %s", c.store_path);
	else
		emit_line(e, "next: vsctl snapshot show %s %s", c.store_path,
			  list.entries[list.count - 1].id);
	return EXIT_CLEAN;
}

static const struct example list_examples[] = {
	{ "vsctl snapshot list /var/lib/app/store", "newest first" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_list = {
	.name = "list",
	.operands = "STORE",
	.summary = "list the snapshots of a store, newest first",
	.details = "The store itself need not be there any more.",
	.examples = list_examples,
	.options = look_options,
	.opts_size = sizeof(struct look_opts),
	.run = run_list,
};

/* ---- show ---- */

static const struct emit_field show_fields[] = {
	{ .key = "snapshot", .heading = "snapshot" },
	{ .key = "time", .heading = "time" },
	{ .key = "reason", .heading = "reason" },
	{ .key = "status", .heading = "status" },
	{ .key = "verdict", .heading = "store was" },
	{ .key = "errors", .heading = "errors" },
	{ .key = "warnings", .heading = "warnings" },
	{ .key = "stable", .heading = "one moment" },
	{ .key = "documents", .heading = "documents" },
	{ .key = "files", .heading = "files" },
	{ .key = "bytes", .heading = "holds" },
	{ .key = "stored_bytes", .heading = "stored itself" },
	{ .key = "parent", .heading = "builds on" },
	{ .key = "tool_version", .heading = "made by version" },
	{ .key = "store_kind", .heading = "kind" },
	{ .key = "store_path", .heading = "store" },
	{ .key = "root", .heading = "root digest" },
	{ .key = "drill", .heading = "last drill" },
	{ .key = "error_message", .heading = "damage" },
	{ 0 },
};

static const struct emit_field collection_fields[] = {
	{ .key = "directory", .heading = "collection" },
	{ .key = "name", .heading = "name" },
	{ .key = "documents", .heading = "documents", .is_number = true },
	{ .key = "batches", .heading = "batches", .is_number = true },
	{ .key = "bytes", .heading = "size", .is_number = true },
	{ .key = "root", .heading = NULL },
	{ 0 },
};

static const struct emit_field archive_fields[] = {
	{ .key = "file", .heading = "archive" },
	{ .key = "size", .heading = "size", .is_number = true },
	{ .key = "sha256", .heading = "sha256" },
	{ .key = "sealed", .heading = "encrypted" },
	{ 0 },
};

static void show_form(struct emit *e, const struct snap_manifest *m)
{
	char when[32], drill[64] = "", hex[DIGEST_HEX_LEN + 1];

	time_format(m->time_ns, false, when);
	if (m->drill.time_ns != 0) {
		char at[32];

		time_format(m->drill.time_ns, false, at);
		snprintf(drill, sizeof(drill), "%s %s", at, m->drill.is_good ? "good" : "failed");
	}
	digest_format(&m->root, hex);
	emit_form(e, show_fields);
	emit_text(e, m->id);
	emit_str(e, when);
	emit_text(e, m->reason);
	emit_str(e, snap_status_name(m->status));
	emit_text(e, m->health.verdict);
	emit_uint(e, m->health.errors);
	emit_uint(e, m->health.warnings);
	emit_bool(e, m->is_stable);
	emit_uint(e, m->documents);
	emit_uint(e, m->member_count_total);
	emit_size(e, m->bytes);
	emit_size(e, m->stored_bytes);
	emit_text(e, m->parent);
	emit_text(e, m->tool_version);
	emit_text(e, m->store_kind);
	emit_text(e, m->store_path);
	emit_str(e, hex);
	emit_str(e, m->drill.time_ns != 0 ? drill : NULL);
	emit_text(e, m->error_message);
	emit_form_end(e);
}

static void show_tables(struct emit *e, const struct snap_manifest *m)
{
	char hex[DIGEST_HEX_LEN + 1];

	emit_table(e, "collections", collection_fields);
	for (size_t i = 0; i < m->collection_count; i++) {
		const struct snap_collection *c = &m->collections[i];

		digest_format(&c->root, hex);
		emit_text(e, c->directory);
		emit_bytes(e, c->name.len > 0 ? c->name : (struct slice){ 0 });
		emit_uint(e, c->documents);
		emit_uint(e, c->batches);
		emit_size(e, c->bytes);
		emit_str(e, hex);
	}
	emit_table_end(e);
	emit_table(e, "archives", archive_fields);
	for (size_t i = 0; i < m->archive_count; i++) {
		digest_format(&m->archives[i].digest, hex);
		emit_text(e, m->archives[i].file);
		emit_size(e, m->archives[i].size);
		emit_str(e, hex);
		emit_bool(e, m->archives[i].is_sealed);
	}
	emit_table_end(e);
}

static int run_show(struct app *app, const void *opts_, char *const *operands)
{
	const struct look_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	int status;

	status = snapshot_open(&c, app, &opts->common, operands[0]);
	if (status >= 0)
		return status;
	if (snap_load(c.state_dirfd, operands[1], &m, &err) < 0)
		return app_error(app, &err);
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	show_form(e, m);
	show_tables(e, m);
	emit_document_end(e);
	emit_line(e, "next: vsctl snapshot verify %s %s", c.store_path, m->id);
	return EXIT_CLEAN;
}

static const struct example show_examples[] = {
	{ "vsctl snapshot show /var/lib/app/store snapshot_20260122_140309",
	  "its collections, archives and digests" },
	{ NULL, NULL },
};

const struct command cmd_snapshot_show = {
	.name = "show",
	.operands = "STORE SNAPSHOT",
	.summary = "show one snapshot: when, why, what it holds, where it is",
	.examples = show_examples,
	.options = look_options,
	.opts_size = sizeof(struct look_opts),
	.run = run_show,
};

/* ---- verify ---- */

static const struct opt verify_options[] = {
	SNAPSHOT_KEY(struct look_opts),
	SNAPSHOT_STATE(struct look_opts),
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
	r = snap_list_load(&list, v->c->state_dirfd, err);
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
	const struct look_opts *opts = opts_;
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
	else
		emit_line(e, "good: %zu snapshot%s verified", v.count, v.count == 1 ? "" : "s");
	if (v.bad > 0 || e->is_json || app->common.verbose)
		verify_rows(e, &v);
	emit_document_end(e);
	if (v.bad > 0)
		emit_line(e, "next: vsctl snapshot create --full %s, while the store is good",
			  c.store_path);
	else
		emit_line(e, "next: vsctl snapshot drill %s", c.store_path);
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
	.opts_size = sizeof(struct look_opts),
	.run = run_verify,
};
