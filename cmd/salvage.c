/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl salvage`: a new database for a Chroma store whose own cannot be read whole. */

#include "change.h"
#include "shown.h"

#include <fcntl.h>
#include <libgen.h>

struct salvage_opts {
	struct change_opts change;
	const char *to;
	bool list;
};

static const struct opt options[] = {
	CHANGE_OPTIONS(struct salvage_opts),
	OPT_FILE(
		"to", 0, struct salvage_opts, to, "FILE",
		"write the new database there, which is not yet there or a directory; the store stays"),
	OPT_FLAG("list", 'l', struct salvage_opts, list, "name every record that is whole, too"),
	OPT_END,
};

/* ---- showing ---- */

static const struct emit_field summary_fields[] = {
	{ .key = "sound", .heading = NULL },
	{ .key = "whole", .heading = "whole", .is_number = true },
	{ .key = "partly", .heading = "partly", .is_number = true },
	{ .key = "lost", .heading = "lost", .is_number = true },
	{ .key = "collections", .heading = "collections", .is_number = true },
	{ .key = "all_ids_known", .heading = NULL },
	{ .key = "pages", .heading = "pages", .is_number = true },
	{ .key = "page_size", .heading = NULL },
	{ .key = "damaged_places", .heading = "damaged places", .is_number = true },
	{ 0 },
};

static const struct emit_field table_fields[] = {
	{ .key = "table", .heading = "table" },
	{ .key = "whole", .heading = NULL },
	{ .key = "in_tree", .heading = "in its tree", .is_number = true },
	{ .key = "stray", .heading = "on stray pages", .is_number = true },
	{ .key = "by_sqlite", .heading = NULL },
	{ .key = "kept", .heading = "in the new one", .is_number = true },
	{ 0 },
};

static const struct emit_field damage_fields[] = {
	{ .key = "table", .heading = "damage" },
	{ .key = "page", .heading = "page", .is_number = true },
	{ .key = "offset", .heading = "offset", .is_number = true },
	{ .key = "what", .heading = "what" },
	{ 0 },
};

static const struct emit_field record_fields[] = {
	{ .key = "collection", .heading = "collection" },
	{ .key = "collection_id", .heading = NULL },
	{ .key = "id", .heading = "record" },
	{ .key = "row", .heading = NULL },
	{ .key = "status", .heading = "is" },
	{ .key = "missing", .heading = "what is missing" },
	{ 0 },
};

static void show_tables(struct emit *e, const struct salvage *s)
{
	emit_table(e, "tables", table_fields);
	for (size_t i = 0; i < s->table_count; i++) {
		const struct salvage_table *t = &s->tables[i];

		/* People read of what is damaged. */
		if (t->is_whole && t->strays == 0 && !e->is_json)
			continue;
		emit_str(e, t->name);
		emit_bool(e, t->is_whole);
		emit_uint(e, t->tree);
		emit_uint(e, t->strays);
		if (t->sqlite < 0)
			emit_null(e);
		else
			emit_uint(e, (uint64_t)t->sqlite);
		emit_uint(e, t->kept);
	}
	emit_table_end(e);
}

static void show_damages(struct emit *e, const struct salvage *s)
{
	size_t count = e->is_json ? s->damage_count : VS_MIN(s->damage_count, (size_t)10);

	emit_table(e, "damages", damage_fields);
	for (size_t i = 0; i < count; i++) {
		emit_str(e, s->damages[i].table);
		emit_uint(e, s->damages[i].page);
		emit_uint(e, s->damages[i].off);
		emit_str(e, s->damages[i].what);
	}
	emit_table_end(e);
	if (s->damage_total > count)
		emit_line(e, "%" PRIu64 " more damaged places", s->damage_total - count);
}

static void show_records(struct emit *e, const struct salvage *s, bool all)
{
	emit_table(e, "records", record_fields);
	for (size_t i = 0; i < s->record_count; i++) {
		const struct salvage_record *r = &s->records[i];
		cleanup_(buf_fini) struct buf row = { 0 };

		if (r->status == SALVAGE_WHOLE && !all)
			continue;
		emit_text(e, r->collection);
		emit_text(e, r->collection_id);
		if (r->id.ptr || e->is_json) {
			emit_bytes(e, r->id);
		} else {
			buf_printf(&row, "(row %" PRId64 ")", r->row);
			emit_str(e, buf_cstr(&row));
		}
		emit_uint(e, (uint64_t)r->row);
		emit_str(e, salvage_status_name(r->status));
		emit_text(e, r->missing);
	}
	emit_table_end(e);
}

static void show_notes(struct emit *e, const struct salvage *s)
{
	emit_array(e, "notes");
	for (size_t i = 0; i < s->note_count; i++) {
		emit_object(e, NULL);
		emit_json_str(e, "text", s->notes[i]);
		emit_object_end(e);
	}
	emit_array_end(e);
}

struct showing {
	const struct salvage *salvage;
	bool all;
};

static void say_verdict(struct emit *e, const struct salvage *s)
{
	cleanup_(buf_fini) struct buf whole = { 0 };

	if (s->is_sound) {
		emit_line(e, "the database can be read whole: there is nothing to salvage");
		return;
	}
	text_count(&whole, s->count[SALVAGE_WHOLE], "record");
	emit_line(e, "%s come back whole, %" PRIu64 " partly, and %" PRIu64 " are lost",
		  buf_cstr(&whole), s->count[SALVAGE_PARTLY], s->count[SALVAGE_LOST]);
}

static void show_salvage(struct emit *e, const struct showing *x)
{
	const struct salvage *s = x->salvage;

	say_verdict(e, s);
	if (e->is_json) {
		emit_object(e, "salvage");
		emit_form(e, summary_fields);
		emit_bool(e, s->is_sound);
		emit_uint(e, s->count[SALVAGE_WHOLE]);
		emit_uint(e, s->count[SALVAGE_PARTLY]);
		emit_uint(e, s->count[SALVAGE_LOST]);
		emit_uint(e, s->collections);
		emit_bool(e, s->has_all_ids);
		emit_uint(e, s->pages);
		emit_uint(e, s->page_size);
		emit_uint(e, s->damage_total);
		emit_form_end(e);
		show_notes(e, s);
	} else if (s->is_sound) {
		return;
	}
	for (size_t i = 0; i < s->note_count; i++)
		emit_line(e, "%s", s->notes[i]);
	if (s->damage_total > 0 || e->is_json) {
		show_damages(e, s);
		show_tables(e, s);
	}
	if (e->is_json || x->all || s->count[SALVAGE_PARTLY] + s->count[SALVAGE_LOST] > 0)
		show_records(e, s, x->all || e->is_json);
	emit_object_end(e);
}

static void show(struct change *c, void *ctx)
{
	show_salvage(&c->app->emit, ctx);
}

/* ---- into another file ---- */

/* "DIR" becomes "DIR/chroma.sqlite3". */
static char *target_of(const char *to)
{
	struct vs_err absent = { 0 };
	struct file_info info;
	struct buf path = { 0 };

	buf_append_str(&path, to);
	if (file_stat_at(AT_FDCWD, to, FILE_FOLLOW, &info, &absent) == 0 &&
	    info.type == FILE_DIRECTORY)
		buf_append_str(&path, "/chroma.sqlite3");
	return buf_take_str(&path);
}

static int write_file(const char *to, const char *from, struct vs_err *err)
{
	cleanup_(vs_freep) char *above = vs_strdup(to);
	cleanup_(vs_freep) char *last = vs_strdup(to);
	cleanup_(file_closep) int dirfd = -1, fd = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const char *name = basename(last);
	struct file_info info;
	int r;

	if (fd < 0)
		return vs_fail_errno(err, "%s", from);
	r = file_open_dir(AT_FDCWD, dirname(above), FILE_FOLLOW, &dirfd, err);
	if (r < 0)
		return r;
	r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r == 0)
		return vs_fail(err, VS_EUSAGE, "%s: is there already; give a name that is not", to);
	return r == VS_ENOENT ? file_replace_from_at(dirfd, name, 0600, fd, err) : r;
}

static int status_of(const struct salvage *s)
{
	return s->count[SALVAGE_PARTLY] + s->count[SALVAGE_LOST] > 0 || !s->has_all_ids
		       ? EXIT_PROBLEMS
	       : s->is_sound ? EXIT_CLEAN
			     : EXIT_CORRECTED;
}

static int save_copy(struct change *c, const struct salvage_opts *opts, const struct showing *x)
{
	cleanup_(vs_freep) char *to = target_of(opts->to);
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct emit *e = &c->app->emit;
	int status = status_of(x->salvage);
	struct vs_err err = { 0 };

	if (!opts->change.dry_run && write_file(to, x->salvage->path, &err) < 0)
		return app_error(c->app, &err);
	if (session_record(c->session, opts->change.dry_run ? AUDIT_DRY_RUN : AUDIT_FINISHED,
			   status, opts->change.dry_run ? NULL : to, &err) < 0)
		app_note(c->app, "%s", err.text);
	emit_document(e, c->app->command_words);
	emit_store(e, c->store);
	show_salvage(e, x);
	emit_json_bytes(e, "to", slice_str(to));
	emit_array(e, "plan");
	emit_array_end(e);
	emit_array(e, "left");
	emit_array_end(e);
	emit_json_bool(e, "applied", false);
	emit_json_null(e, "undo");
	emit_json_str(e, "outcome", opts->change.dry_run ? "dry-run" : "written");
	emit_document_end(e);
	text_escape(&shown, slice_str(to));
	if (opts->change.dry_run)
		emit_line(e, "dry run: nothing was written to %s", buf_cstr(&shown));
	else
		emit_line(e, "written to %s; the store is as it was", buf_cstr(&shown));
	return status;
}

/* ---- the command ---- */

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct salvage_opts *opts = opts_;
	cleanup_(salvage_steps_fini) struct salvage_steps steps = { 0 };
	cleanup_(salvage_freep) struct salvage *salvage = NULL;
	cleanup_(change_fini) struct change c = { .takes_chroma = true,
						  .corrects = true,
						  .accepts_errors = true,
						  .only_reads = opts->to != NULL };
	struct showing x = { .all = opts->list };
	struct vs_err err = { 0 };
	int status = change_open(&c, app, &opts->change, operands[0]);

	if (status >= 0)
		return status;
	if (c.store->kind != STORE_CHROMA) {
		vs_fail(&err, VS_EUSAGE,
			"%s: a %s store has no database; see vsctl recover-metadata and vsctl repair",
			c.store->path, store_kind_name(c.store->kind));
		return app_error(app, &err);
	}
	if (salvage_make(&salvage, c.store, session_state_path(c.session), &err) < 0)
		return app_error(app, &err);
	x.salvage = salvage;
	if (opts->to)
		return save_copy(&c, opts, &x);
	if (!salvage->is_sound &&
	    plan_salvage(&c.plan, c.store, salvage, clock_now_ns(app->clock), &steps, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, show, &x);
}

static const struct example examples[] = {
	{ "vsctl salvage --dry-run /var/lib/chroma", "what would come back, and what not" },
	{ "vsctl salvage --yes /var/lib/chroma", "put a new database in place" },
	{ "vsctl salvage --to /tmp/new.sqlite3 /var/lib/chroma", "look at it elsewhere first" },
	{ NULL, NULL },
};

const struct command cmd_salvage = {
	.name = "salvage",
	.operands = "STORE",
	.summary = "make a new database out of a damaged one, page by page",
	.details =
		"For a chroma.sqlite3 that SQLite cannot read whole. Rows are read page by page, also those that no tree "
		"leads to any more; what pages have lost comes back from indexes, the full-text table, the write queue and "
		"the index directories. Each record is said to be whole, partly there, with what is missing, or lost.\n\n"
		"The old database stays in .quarantine in the store. Stop the server first.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct salvage_opts),
	.run = run,
};
