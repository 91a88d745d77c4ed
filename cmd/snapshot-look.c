/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl snapshot list` and `show`: what there is. */

#include "snapshot.h"

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
	if (snapshot_list_load(&c, &list, &err) < 0)
		return app_error(app, &err);
	snapshot_say_others(&c);
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
		snapshot_next(&c, "vsctl snapshot create STORE", NULL);
	else
		snapshot_next(&c, "vsctl snapshot show STORE", list.entries[list.count - 1].id);
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
	snapshot_next(&c, "vsctl snapshot verify STORE", m->id);
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
