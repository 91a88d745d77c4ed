/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl inspect --timeline`: when a collection was made and written, from the times of its files.
 */

#include "inspect.h"

#include "check/check.h"

#define BAR_COLUMNS 30

static void time_text(int64_t ns, char out[32])
{
	if (ns == 0)
		snprintf(out, 32, "not recorded");
	else
		time_format(ns, false, out);
}

/* ---- JSON ---- */

static void time_json(struct emit *e, const char *key, int64_t ns)
{
	char text[32];

	time_format(ns, true, text);
	emit_json_str(e, key, ns == 0 ? NULL : text);
}

static void timeline_json(struct emit *e, const char *dir, const struct timeline *t)
{
	emit_object(e, NULL);
	emit_json_bytes(e, "id", slice_str(dir));
	time_json(e, "directory_born", t->directory_born_ns);
	time_json(e, "directory_modified", t->directory_modified_ns);
	emit_json_bool(e, "has_metadata", t->has_metadata);
	time_json(e, "metadata_born", t->metadata_born_ns);
	time_json(e, "metadata_modified", t->metadata_modified_ns);
	emit_json_uint(e, "documents", t->documents);
	time_json(e, "first", t->first_ns);
	time_json(e, "last", t->last_ns);
	emit_array(e, "buckets");
	for (size_t i = 0; i < TIMELINE_BUCKETS; i++)
		emit_json_uint(e, NULL, t->bucket[i]);
	emit_array_end(e);
	emit_json_str(e, "gap", metadata_gap_name(t->gap));
	time_json(e, "gap_from", t->gap_from_ns);
	time_json(e, "gap_to", t->gap_to_ns);
	emit_json_uint(e, "documents_in_gap", t->in_gap);
	emit_object_end(e);
}

/* ---- one collection as text ---- */

static const struct emit_field form_fields[] = {
	{ .heading = "directory" },
	{ .heading = "made" },
	{ .heading = "last entry came or went" },
	{ .heading = "metadata file" },
	{ .heading = "documents" },
	{ .heading = "metadata lost" },
	{ 0 },
};

static void gap_text(struct buf *out, const struct timeline *t)
{
	char from[32], to[32];

	time_text(t->gap_from_ns, from);
	time_text(t->gap_to_ns, to);
	switch (t->gap) {
	case GAP_NONE:
		buf_append_str(out, "no");
		return;
	case GAP_UNKNOWN:
		buf_append_str(out, t->is_copy
					    ? "yes; the times are those of a copy and tell nothing"
					    : "yes; the times do not tell when");
		return;
	case GAP_NEVER_THERE:
		buf_append_str(out, "no metadata were written since the directory was made");
		break;
	case GAP_REMOVED:
		buf_append_str(out, "removed");
		break;
	}
	if (t->gap_from_ns != 0)
		buf_printf(out, ", after %s", from);
	if (t->gap_to_ns != 0)
		buf_printf(out, ", before %s", to);
	buf_append_str(out, "; ");
	text_count(out, t->in_gap, "document");
	buf_append_str(out, " written since");
}

static void form_text(struct emit *e, const char *dir, const struct timeline *t)
{
	cleanup_(buf_fini) struct buf documents = { 0 };
	cleanup_(buf_fini) struct buf gap = { 0 };
	char made[32], changed[32], metadata[32], first[32], last[32];

	time_text(t->directory_born_ns, made);
	time_text(t->directory_modified_ns, changed);
	time_text(t->metadata_modified_ns, metadata);
	time_text(t->first_ns, first);
	time_text(t->last_ns, last);
	text_count(&documents, t->documents, "document");
	if (t->documents > 0)
		buf_printf(&documents, ", written from %s to %s", first, last);
	gap_text(&gap, t);
	emit_form(e, form_fields);
	emit_text(e, dir);
	emit_str(e, made);
	emit_str(e, changed);
	emit_str(e, t->has_metadata ? metadata : "missing");
	emit_str(e, buf_cstr(&documents));
	emit_styled(e, t->gap == GAP_NONE ? EMIT_PLAIN : EMIT_BAD, buf_cstr(&gap));
	emit_form_end(e);
}

/* Documents by time: a bar for each stretch in which one was written. */
static void bars_text(struct emit *e, const struct timeline *t)
{
	int64_t span = t->last_ns - t->first_ns;
	uint64_t most = 0;

	for (size_t i = 0; i < TIMELINE_BUCKETS; i++)
		most = VS_MAX(most, t->bucket[i]);
	/* Times are shown in seconds. */
	if (most == 0 || span < TIMELINE_BUCKETS * INT64_C(1000000000))
		return;
	emit_line(e, "%s", "");
	for (size_t i = 0; i < TIMELINE_BUCKETS; i++) {
		int64_t start_ns = t->first_ns + span / TIMELINE_BUCKETS * (int64_t)i;
		char bar[BAR_COLUMNS + 1] = "";
		char time[32];

		if (t->bucket[i] == 0)
			continue;
		memset(bar, '#', (size_t)VS_MAX(t->bucket[i] * BAR_COLUMNS / most, UINT64_C(1)));
		time_text(start_ns, time);
		emit_line(e, "  %s %8" PRIu64 "  %s", time, t->bucket[i], bar);
	}
}

/* ---- all collections as text ---- */

static const struct emit_field table_fields[] = {
	{ .heading = "directory" },
	{ .heading = "made" },
	{ .heading = "documents", .is_number = true },
	{ .heading = "first" },
	{ .heading = "last" },
	{ .heading = "metadata lost" },
	{ 0 },
};

static void row_text(struct emit *e, const char *dir, const struct timeline *t)
{
	char made[32], first[32], last[32];

	time_text(t->directory_born_ns, made);
	time_text(t->first_ns, first);
	time_text(t->last_ns, last);
	emit_text(e, dir);
	emit_str(e, made);
	emit_uint(e, t->documents);
	emit_str(e, first);
	emit_str(e, last);
	emit_styled(e, t->gap == GAP_NONE ? EMIT_PLAIN : EMIT_BAD,
		    t->gap == GAP_NONE ? "no" : metadata_gap_name(t->gap));
}

static int visit(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct inspect *in = ctx;
	struct timeline t = { 0 };
	int r;

	if (!c->has_hash && chromem_list_documents(c->list) == 0)
		return 0;
	r = check_timeline(in->store, c->dir, &t, err);
	if (r < 0)
		return r;
	if (in->app->emit.is_json)
		timeline_json(&in->app->emit, c->dir, &t);
	else
		row_text(&in->app->emit, c->dir, &t);
	return 0;
}

static int all_timelines(struct inspect *in, struct vs_err *err)
{
	struct emit *e = &in->app->emit;
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(in->app));
	const struct chromem_scan_request req = { .compression = in->form.compression,
						  .pool = pool };
	const struct chromem_visitor visitor = { .ctx = in, .collection_begin = visit };
	int r;

	if (!e->is_json)
		emit_table(e, NULL, table_fields);
	r = chromem_scan(in->store->dirfd, &req, &visitor, err);
	if (r < 0)
		return r;
	if (!e->is_json)
		emit_table_end(e);
	return 0;
}

int inspect_timeline(struct inspect *in, const char *dir)
{
	struct emit *e = &in->app->emit;
	struct timeline t = { 0 };
	struct vs_err err = { 0 };

	if (dir && check_timeline(in->store, dir, &t, &err) < 0)
		return app_error(in->app, &err);
	inspect_begin(in);
	emit_array(e, "timelines");
	if (!dir) {
		if (all_timelines(in, &err) < 0)
			return app_error(in->app, &err);
	} else if (e->is_json) {
		timeline_json(e, dir, &t);
	} else {
		form_text(e, dir, &t);
		bars_text(e, &t);
	}
	emit_array_end(e);
	emit_document_end(e);
	return EXIT_CLEAN;
}
