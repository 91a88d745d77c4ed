/* SPDX-License-Identifier: Apache-2.0 */

/* The report of a check as JSON. Its members are what scripts rely on: added to, never renamed. */

#include "shown.h"
#include "verify.h"

const char *verify_level_name(enum check_level level)
{
	static const char *const names[] = {
		[CHECK_QUICK] = "quick", [CHECK_FULL] = "full", [CHECK_DEEP] = "deep"
	};

	return names[level];
}

static void summary_json(struct emit *e, const struct verify_report *r)
{
	const struct check_summary *s = &r->summary;

	emit_object(e, "summary");
	emit_json_uint(e, "collections", s->collections);
	emit_json_uint(e, "healthy", s->healthy);
	emit_json_uint(e, "corrupt", s->corrupt);
	emit_json_uint(e, "empty", s->empty);
	emit_json_uint(e, "documents", s->documents);
	emit_json_uint(e, "bytes", s->bytes);
	emit_json_uint(e, "errors", s->errors);
	emit_json_uint(e, "warnings", s->warnings);
	emit_json_uint(e, "infos", s->infos);
	emit_json_uint(e, "omitted", s->omitted);
	emit_json_double(e, "elapsed_seconds", r->elapsed_s, 6);
	emit_object_end(e);
}

static void collection_json(struct emit *e, const struct verify_collection *c)
{
	emit_object(e, NULL);
	emit_json_bytes(e, "id", slice_str(c->id));
	emit_json_bytes(e, "name", c->name);
	emit_json_str(e, "state", collection_state_name(c->state));
	emit_json_uint(e, "documents", c->documents);
	emit_json_uint(e, "dimension", c->dimension);
	emit_json_uint(e, "bytes", c->bytes);
	emit_object_end(e);
}

static void text_member(struct emit *e, const char *key, const char *text)
{
	emit_json_bytes(e, key, text ? slice_str(text) : slice_of(NULL, 0));
}

static void finding_members(struct emit *e, const struct verify_finding *f)
{
	emit_json_str(e, "code", problem_row(f->code)->code);
	emit_json_str(e, "severity", severity_name(f->severity));
	text_member(e, "collection", f->collection);
	text_member(e, "path", f->path);
	emit_json_bytes(e, "document", f->document);
	if (f->has_offset)
		emit_json_uint(e, "offset", f->offset);
	else
		emit_json_null(e, "offset");
	emit_json_str(e, "message", f->message);
	emit_json_str(e, "fix", f->fix);
}

static void finding_json(struct emit *e, const struct verify_finding *f)
{
	emit_object(e, NULL);
	finding_members(e, f);
	emit_object_end(e);
}

static void gap_json(struct emit *e, const struct verify_gap *g)
{
	emit_object(e, NULL);
	text_member(e, "path", g->path);
	emit_json_str(e, "what", g->what);
	emit_json_str(e, "why", g->why);
	emit_json_bool(e, "expected", g->is_limit);
	emit_object_end(e);
}

static void causes_json(struct emit *e, const struct verify_report *r)
{
	emit_array(e, "causes");
	for (size_t i = 0; i < r->cause_count; i++) {
		const struct verify_cause *c = &r->causes[i];

		emit_object(e, NULL);
		emit_json_str(e, "code", c->code);
		emit_json_str(e, "summary", c->summary);
		text_member(e, "collection", c->collection);
		emit_json_str(e, "evidence", c->evidence);
		emit_json_uint(e, "findings", c->findings);
		emit_object_end(e);
	}
	emit_array_end(e);
}

static void head_members(struct emit *e, const struct verify_report *r)
{
	cleanup_(buf_fini) struct buf loader = { 0 };

	verify_loader_error(r, &loader);
	emit_store_begin(e, r->path, r->kind);
	emit_json_str(e, "compression", r->summary.compression);
	emit_object_end(e);
	emit_json_str(e, "verdict", verdict_name(r->summary.verdict));
	emit_json_str(e, "loadable", loadable_name(r->summary.loadable));
	emit_json_str(e, "loader_error", loader.len > 0 ? buf_cstr(&loader) : NULL);
	emit_json_str(e, "level", verify_level_name(r->level));
	summary_json(e, r);
}

void verify_json_lines(struct emit *e, const struct verify_report *r, const char *command)
{
	for (size_t i = 0; i < r->finding_count; i++) {
		emit_document(e, command);
		emit_json_str(e, "record", "finding");
		finding_members(e, &r->findings[i]);
		emit_document_end(e);
	}
	emit_document(e, command);
	emit_json_str(e, "record", "summary");
	head_members(e, r);
	emit_document_end(e);
}

void verify_json(struct emit *e, const struct verify_report *r)
{
	head_members(e, r);
	emit_array(e, "collections");
	for (size_t i = 0; i < r->collection_count; i++)
		collection_json(e, &r->collections[i]);
	emit_array_end(e);
	emit_array(e, "findings");
	for (size_t i = 0; i < r->finding_count; i++)
		finding_json(e, &r->findings[i]);
	emit_array_end(e);
	emit_array(e, "unchecked");
	for (size_t i = 0; i < r->gap_count; i++)
		gap_json(e, &r->gaps[i]);
	emit_array_end(e);
	if (r->is_explained)
		causes_json(e, r);
}
