/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl optimize`: a Chroma database, purged and written anew, with a snapshot before. */

#include "change.h"
#include "keep.h"

struct optimize_opts {
	struct change_opts change;
	bool no_snapshot;
};

static const struct opt options[] = {
	CHANGE_OPTIONS(struct optimize_opts),
	OPT_FLAG("no-snapshot", 0, struct optimize_opts, no_snapshot,
		 "make no snapshot before; the journal keeps the old file all the same"),
	OPT_END,
};

struct optimize {
	struct change c;
	struct optimize_report report;
	char *snapshot; /* owned; id */
};

static void optimize_fini(struct optimize *o)
{
	change_fini(&o->c);
	optimize_report_fini(&o->report);
	free(o->snapshot);
}

static int prepare(void *ctx, const struct check_summary *before, struct vs_err *err)
{
	struct optimize *o = ctx;

	return keep_state_before(&o->c, before, "optimize", &o->snapshot, err);
}

/* ---- showing ---- */

static const struct emit_field size_fields[] = {
	{ .key = "bytes_before", .heading = "bytes before", .is_number = true },
	{ .key = "bytes_after", .heading = "bytes after", .is_number = true },
	{ 0 },
};

static const struct emit_field queue_fields[] = {
	{ .key = "collection", .heading = NULL },
	{ .key = "name", .heading = "collection" },
	{ .key = "rows", .heading = "queue rows that go", .is_number = true },
	{ .key = "kept", .heading = "not in the index yet", .is_number = true },
	{ 0 },
};

static const struct emit_field pragma_fields[] = {
	{ .key = "name", .heading = "setting" },
	{ .key = "value", .heading = "value" },
	{ .key = "persists", .heading = NULL },
	{ .key = "where", .heading = "where it is kept" },
	{ 0 },
};

static void show_pragma(struct emit *e, const char *name, const char *value, bool persists)
{
	emit_str(e, name);
	emit_str(e, value);
	emit_bool(e, persists);
	emit_str(e, persists ? "in the file: it stays"
			     : "in a connection: each program sets its own, and this command none");
}

static void show_pragmas(struct emit *e, const struct optimize_report *r)
{
	char number[32];

	emit_table(e, "pragmas", pragma_fields);
	show_pragma(e, "journal_mode", r->is_wal ? "wal" : "delete", true);
	snprintf(number, sizeof(number), "%" PRIu64, r->page_size);
	show_pragma(e, "page_size", number, true);
	show_pragma(e, "auto_vacuum",
		    r->auto_vacuum == 0   ? "none"
		    : r->auto_vacuum == 1 ? "full"
					  : "incremental",
		    true);
	show_pragma(e, "synchronous", NULL, false);
	show_pragma(e, "cache_size", NULL, false);
	show_pragma(e, "mmap_size", NULL, false);
	show_pragma(e, "foreign_keys", NULL, false);
	show_pragma(e, "case_sensitive_like", NULL, false);
	emit_table_end(e);
}

static void show(struct change *c, void *ctx)
{
	const struct optimize_report *r = ctx;
	struct emit *e = &c->app->emit;

	emit_form(e, size_fields);
	emit_uint(e, r->bytes_before);
	emit_uint(e, r->bytes_after);
	emit_form_end(e);
	emit_table(e, "queue", queue_fields);
	for (size_t i = 0; i < r->purge_count; i++) {
		emit_str(e, r->purges[i].collection);
		emit_bytes(e, r->purges[i].name);
		emit_uint(e, r->purges[i].rows);
		emit_uint(e, r->purges[i].kept);
	}
	emit_table_end(e);
	if (e->is_json || c->app->common.verbose)
		show_pragmas(e, r);
}

/* ---- the command ---- */

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct optimize_opts *opts = opts_;
	cleanup_(optimize_fini) struct optimize o = { .c = { .takes_chroma = true } };
	struct vs_err err = { 0 };
	int status = change_open(&o.c, app, &opts->change, operands[0]);

	if (status >= 0)
		return status;
	if (o.c.store->kind != STORE_CHROMA) {
		vs_fail(&err, VS_EUSAGE, "%s: a %s store has no database to optimize",
			o.c.store->path, store_kind_name(o.c.store->kind));
		return app_error(app, &err);
	}
	if (plan_optimize(&o.c.plan, o.c.store, &o.c.check, change_scratch(&o.c), &o.report, &err) <
	    0)
		return app_error(app, &err);
	o.report.source.ctx = &o;
	o.report.source.prepare = opts->no_snapshot ? NULL : prepare;
	status = change_run(&o.c, show, &o.report);
	if (o.snapshot && status == EXIT_CLEAN && !app->emit.is_json)
		app_note(app, "the state before is kept as the snapshot %s", o.snapshot);
	return status;
}

static const struct example examples[] = {
	{ "vsctl optimize --dry-run /var/lib/chroma", "what it would gain" },
	{ "vsctl optimize --yes /var/lib/chroma", "do it, with a snapshot before" },
	{ NULL, NULL },
};

const struct command cmd_optimize = {
	.name = "optimize",
	.operands = "STORE",
	.summary = "make a Chroma database smaller and quicker",
	.details =
		"Rows of the write queue that records and index are proven to have go, the full-text index is merged, and "
		"the database is written anew without free pages and with fresh statistics. It is done on a copy, which is "
		"checked and takes the place of the old file in one step; a snapshot is made before, and vsctl undo takes "
		"it back. Of a store with errors nothing is touched.\n\n"
		"Stop the server first.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct optimize_opts),
	.run = run,
};
