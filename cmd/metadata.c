/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl metadata`: copies of the few bytes whose loss keeps a store from loading. */

#include "change.h"

struct metadata_opts {
	struct change_opts change;
	uint64_t keep;
};

static const struct opt backup_options[] = {
	OPT_DIR("state", 0, struct metadata_opts, change.state, "DIR",
		"where journal, audit log and backups are kept; default: STORE.vsctl"),
	OPT_COUNT("keep", 0, struct metadata_opts, keep, 100000, "N",
		  "how many backups to keep; default: 24"),
	OPT_NUMBER("lock-wait", 0, struct metadata_opts, change.lock_wait_s, 86400, "SEC",
		   "how long to wait for another vsctl to finish"),
	OPT_END,
};

static const struct emit_field fields[] = {
	{ .key = "file", .heading = "backup" },
	{ .key = "collections", .heading = "collections" },
	{ .key = "without", .heading = "without metadata" },
	{ .key = "removed", .heading = "older ones removed" },
	{ 0 },
};

static int run_backup(struct app *app, const void *opts_, char *const *operands)
{
	const struct metadata_opts *opts = opts_;
	/* The store is only read: it may be in use, which is what an hourly job will find. */
	cleanup_(change_fini) struct change c = { .only_reads = true };
	cleanup_(buf_fini) struct buf saved = { 0 };
	cleanup_(buf_fini) struct buf next = { 0 };
	struct backup_result result = { 0 };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	int status;

	status = change_open(&c, app, &opts->change, operands[0]);
	if (status >= 0)
		return status;
	if (backup_metadata(session_state_dirfd(c.session), c.store,
			    opts->keep > 0 ? (size_t)opts->keep : 24, app->clock, &result,
			    &err) < 0)
		return app_error(app, &err);
	if (session_record(c.session, AUDIT_FINISHED, EXIT_CLEAN, result.file, &err) < 0)
		app_note(app, "the backup is not in the audit log: %s", err.text);
	change_command(&c, &next, "vsctl recover-metadata STORE");
	emit_document(e, app->command_words);
	text_count(&saved, result.collections, "collection");
	emit_line(e, "saved the metadata of %s", buf_cstr(&saved));
	emit_form(e, fields);
	emit_text(e, result.file);
	emit_uint(e, result.collections);
	emit_uint(e, result.without);
	emit_uint(e, result.removed);
	emit_form_end(e);
	if (result.without > 0)
		emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
	return result.without > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl metadata backup /var/lib/app/store", "once an hour, from cron or a timer" },
	{ NULL, NULL },
};

static const struct command cmd_metadata_backup = {
	.name = "backup",
	.operands = "STORE",
	.summary = "save every collection's name and metadata outside the store",
	.examples = examples,
	.options = backup_options,
	.opts_size = sizeof(struct metadata_opts),
	.run = run_backup,
};

static const struct command *const verbs[] = { &cmd_metadata_backup, NULL };

static const struct example group_examples[] = {
	{ "vsctl metadata backup /var/lib/app/store", "once an hour, from cron or a timer" },
	{ NULL, NULL },
};

const struct command cmd_metadata = {
	.name = "metadata",
	.summary = "back up the metadata of all collections",
	.examples = group_examples,
	.details =
		"A collection's metadata are some hundred bytes, and without them the whole store refuses to load. Backups "
		"of them are the first thing that vsctl recover-metadata asks.",
	.verbs = verbs,
};
