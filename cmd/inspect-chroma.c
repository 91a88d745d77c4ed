/* SPDX-License-Identifier: Apache-2.0 */

/* What a Chroma store holds: its collections, the records of one, one record whole. */

#include "inspect.h"

#include "chroma/chroma.h"

#include <math.h>

/* The store, open; and what is being looked at of it. */
struct looking {
	struct inspect *in;
	struct chroma_db *db;
	struct chroma_catalog catalog;
	const struct chroma_collection *collection;
};

static void looking_fini(struct looking *l)
{
	chroma_catalog_fini(&l->catalog);
	chroma_db_closep(&l->db);
}

/* What was shown while somebody wrote may be of two states. */
static int end(struct looking *l, struct vs_err *err)
{
	bool has_changed = false;
	int r = chroma_db_has_changed(l->db, &has_changed, err);

	if (r == 0 && has_changed)
		r = vs_fail(
			err, VS_EBUSY,
			"%s: was written while it was read; inspect it again, or a snapshot of it",
			CHROMA_DATABASE);
	if (r < 0)
		return app_error(l->in->app, err);
	emit_document_end(&l->in->app->emit);
	return EXIT_CLEAN;
}

static const char *metadata_segment(const struct looking *l)
{
	size_t segment = l->collection->metadata;

	return segment == SIZE_MAX ? "" : l->catalog.segments[segment].id;
}

static void null_unless(struct emit *e, bool is_set, uint64_t value)
{
	if (is_set)
		emit_uint(e, value);
	else
		emit_null(e);
}

/* ---- collections ---- */

static const struct emit_field store_fields[] = {
	{ .key = "id", .heading = "id" },
	{ .key = "documents", .heading = "documents", .is_number = true },
	{ .key = "dimension", .heading = "dimension", .is_number = true },
	{ .key = "space", .heading = "space" },
	{ .key = "modified", .heading = NULL },
	{ .key = "metadata_file", .heading = NULL },
	{ .key = "name_fits", .heading = NULL },
	{ .key = "segment", .heading = NULL },
	{ .key = "tenant", .heading = "tenant" },
	{ .key = "database", .heading = "database" },
	{ .key = "name", .heading = "name" },
	{ 0 },
};

static int count_records(struct looking *l, const struct chroma_collection *c, uint64_t *out,
			 struct vs_err *err)
{
	int64_t count = 0;
	int r = 0;

	if (c->metadata != SIZE_MAX)
		r = chroma_query_int(l->db, "SELECT count(*) FROM embeddings WHERE segment_id = ?",
				     l->catalog.segments[c->metadata].id, &count, err);
	*out = (uint64_t)count;
	return r;
}

static int list_collection(struct looking *l, const struct chroma_collection *c, struct vs_err *err)
{
	struct emit *e = &l->in->app->emit;
	cleanup_(vs_freep) char *tenant = NULL;
	cleanup_(vs_freep) char *database = NULL;
	uint64_t documents = 0;
	int r;

	r = count_records(l, c, &documents, err);
	if (r == 0)
		r = chroma_database_find(l->db, c->database, &tenant, &database, err);
	if (r < 0)
		return r;
	emit_text(e, c->id);
	emit_uint(e, documents);
	null_unless(e, c->has_dimension && c->dimension >= 0, (uint64_t)c->dimension);
	emit_str(e, c->config.is_readable ? hnsw_space_name(c->config.space) : NULL);
	emit_null(e);
	emit_null(e);
	emit_null(e);
	emit_text(e, c->vector == SIZE_MAX ? NULL : l->catalog.segments[c->vector].id);
	emit_text(e, tenant);
	emit_text(e, database);
	emit_bytes(e, c->name);
	return 0;
}

static int list_collections(struct looking *l)
{
	struct emit *e = &l->in->app->emit;
	struct vs_err err = { 0 };

	inspect_begin(l->in);
	emit_table(e, "collections", store_fields);
	for (size_t i = 0; i < l->catalog.collection_count; i++)
		if (list_collection(l, &l->catalog.collections[i], &err) < 0)
			return app_error(l->in->app, &err);
	emit_table_end(e);
	return end(l, &err);
}

static int find_collection(struct looking *l, struct vs_err *err)
{
	int r = chroma_catalog_find_named(&l->catalog, l->in->collection, &l->collection, err);

	if (r < 0)
		return vs_err_in(err, "%s", l->in->store->path);
	return r > 0 ? 0
		     : vs_fail(err, VS_ENOENT, "%s: no collection %s; vsctl inspect lists them",
			       l->in->store->path, l->in->collection);
}

/* ---- the records of one ---- */

static const struct emit_field head_fields[] = {
	{ .key = "id", .heading = "id" },
	{ .key = "name", .heading = "name" },
	{ .key = "metadata_file", .heading = NULL },
	{ .key = "documents", .heading = "documents" },
	{ .key = "dimension", .heading = "dimension" },
	{ .key = "space", .heading = "space" },
	{ .key = "segment", .heading = "index directory" },
	{ 0 },
};

static const struct emit_field record_fields[] = {
	{ .key = "row", .heading = "row", .is_number = true },
	{ .key = "seq_id", .heading = "number", .is_number = true },
	{ .key = "created", .heading = "created" },
	{ .key = "keys", .heading = "keys", .is_number = true },
	{ .key = "content_bytes", .heading = "content", .is_number = true },
	{ .key = "id", .heading = "id" },
	{ .key = "file", .heading = NULL },
	{ .key = "file_bytes", .heading = NULL },
	{ .key = "dimension", .heading = NULL },
	{ .key = "norm", .heading = NULL },
	{ .key = "fault", .heading = NULL },
	{ .key = "fault_offset", .heading = NULL },
	{ 0 },
};

static int list_record(void *ctx, const struct chroma_record *record, struct vs_err *err)
{
	struct looking *l = ctx;
	struct emit *e = &l->in->app->emit;

	(void)err;
	emit_uint(e, (uint64_t)record->row);
	null_unless(e, record->has_seq && record->seq_id >= 0, (uint64_t)record->seq_id);
	emit_bytes(e, record->created.len > 0 ? record->created : slice_of(NULL, 0));
	emit_uint(e, record->keys);
	if (record->has_document)
		emit_size(e, record->document_len);
	else
		emit_null(e);
	emit_bytes(e, record->id);
	for (size_t i = 0; i < 6; i++)
		emit_null(e);
	return 0;
}

static int list_records(struct looking *l)
{
	const struct chroma_collection *c = l->collection;
	struct emit *e = &l->in->app->emit;
	struct vs_err err = { 0 };
	uint64_t documents = 0;

	if (count_records(l, c, &documents, &err) < 0)
		return app_error(l->in->app, &err);
	inspect_begin(l->in);
	emit_object(e, "collection");
	emit_form(e, head_fields);
	emit_text(e, c->id);
	emit_bytes(e, c->name);
	emit_null(e);
	emit_uint(e, documents);
	null_unless(e, c->has_dimension && c->dimension >= 0, (uint64_t)c->dimension);
	emit_str(e, c->config.is_readable ? hnsw_space_name(c->config.space) : NULL);
	emit_text(e, c->vector == SIZE_MAX ? NULL : l->catalog.segments[c->vector].id);
	emit_form_end(e);
	emit_array(e, "metadata");
	emit_array_end(e);
	emit_object_end(e);
	emit_line(e, "%s", "");
	emit_table(e, "documents", record_fields);
	if (chroma_records_each(l->db, metadata_segment(l), list_record, l, &err) < 0)
		return app_error(l->in->app, &err);
	emit_table_end(e);
	return end(l, &err);
}

/* ---- one record ---- */

/* A record, kept: values come by other queries than the record. */
struct whole {
	struct looking *l;
	int64_t row;
	bool has_seq;
	int64_t seq_id;
	struct buf created;
	uint64_t document_len;
	bool has_document;
	struct buf document;
	struct chroma_vector vector;
	char why[256]; /* there is no vector */
};

static void whole_fini(struct whole *w)
{
	buf_fini(&w->created);
	buf_fini(&w->document);
	chroma_vector_fini(&w->vector);
}

static int take_record(void *ctx, const struct chroma_record *record, struct vs_err *err)
{
	struct whole *w = ctx;

	(void)err;
	w->row = record->row;
	w->has_seq = record->has_seq;
	w->seq_id = record->seq_id;
	w->document_len = record->document_len;
	buf_append(&w->created, record->created.ptr, record->created.len);
	return 1;
}

static const char *type_name(const struct chroma_value *value)
{
	switch (value->type) {
	case CHROMA_INTEGER:
		return value->is_bool ? "bool" : "int";
	case CHROMA_FLOAT:
		return "float";
	case CHROMA_TEXT:
		return "string";
	case CHROMA_BLOB:
		return "blob";
	case CHROMA_NULL:
		break;
	}
	return "none";
}

/* As the server's clients print it. */
static void format_value(struct buf *out, const struct chroma_value *value)
{
	if (value->is_bool && (value->integer == 0 || value->integer == 1))
		buf_append_str(out, value->integer ? "true" : "false");
	else if (value->type == CHROMA_INTEGER)
		buf_printf(out, "%" PRId64, value->integer);
	else if (value->type == CHROMA_FLOAT)
		buf_printf(out, "%.17g", value->real);
	else
		buf_append(out, value->text.ptr, value->text.len);
}

static int show_value(void *ctx, const struct chroma_value *value, struct vs_err *err)
{
	struct whole *w = ctx;
	struct emit *e = &w->l->in->app->emit;
	cleanup_(buf_fini) struct buf plain = { 0 };
	cleanup_(buf_fini) struct buf head = { 0 };
	cleanup_(buf_fini) struct buf shown = { 0 };

	(void)err;
	if (slice_eq_str(value->key, "chroma:document") && !value->is_element) {
		w->has_document = value->type == CHROMA_TEXT;
		buf_append(&w->document, value->text.ptr, value->text.len);
		return 0;
	}
	format_value(&plain, value);
	emit_object(e, NULL);
	emit_json_bytes(e, "key", value->key);
	emit_json_bytes(e, "value", plain.len > 0 ? buf_slice(&plain) : slice_str(""));
	emit_json_str(e, "type", type_name(value));
	emit_json_bool(e, "is_element", value->is_element);
	emit_object_end(e);
	if (e->is_json)
		return 0;
	buf_append_str(&head, "  ");
	text_escape(&head, value->key);
	buf_append_str(&head, value->is_element ? "[]: " : ": ");
	text_escape(&shown, buf_slice(&plain));
	emit_paragraph(e, 4, EMIT_PLAIN, buf_cstr(&head), buf_cstr(&shown));
	return 0;
}

static double norm_of(const struct chroma_vector *v)
{
	double sum = 0;

	for (uint32_t i = 0; i < v->dimension; i++)
		sum += (double)v->values[i] * (double)v->values[i];
	return sqrt(sum);
}

static void vector_emit(struct emit *e, const struct chroma_vector *v)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	emit_array(e, "vector");
	for (uint32_t i = 0; i < v->dimension; i++)
		emit_json_float(e, NULL, v->values[i]);
	emit_array_end(e);
	if (e->is_json || v->dimension == 0)
		return;
	for (uint32_t i = 0; i < v->dimension; i++)
		buf_printf(&text, "%s%.9g", i > 0 ? " " : "", (double)v->values[i]);
	emit_paragraph(e, 0, EMIT_BOLD, "vector", "");
	emit_paragraph(e, 2, EMIT_PLAIN, "  ", buf_cstr(&text));
}

static const struct emit_field whole_fields[] = {
	{ .key = "id", .heading = "id" },
	{ .key = "collection", .heading = "collection" },
	{ .key = "row", .heading = "row" },
	{ .key = "seq_id", .heading = "number" },
	{ .key = "created", .heading = "created" },
	{ .key = "dimension", .heading = "dimension" },
	{ .key = "norm", .heading = "norm" },
	{ .key = "vector_source", .heading = "vector from" },
	{ .key = "content_bytes", .heading = NULL },
	{ .key = "file", .heading = NULL },
	{ .key = "file_bytes", .heading = NULL },
	{ .key = "id_offset", .heading = NULL },
	{ .key = "vector_offset", .heading = NULL },
	{ .key = "content_offset", .heading = NULL },
	{ 0 },
};

static void source_emit(struct emit *e, const struct whole *w)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	if (w->vector.source != CHROMA_VECTOR_NONE) {
		emit_str(e, w->vector.source == CHROMA_VECTOR_QUEUE ? "queue" : "index");
		return;
	}
	if (e->is_json) {
		emit_null(e);
		return;
	}
	buf_printf(&text, "nowhere: ");
	text_escape(&text, slice_str(w->why));
	emit_styled(e, EMIT_BAD, buf_cstr(&text));
}

static void form_emit(struct emit *e, const struct whole *w)
{
	const struct looking *l = w->l;
	bool has_vector = w->vector.source != CHROMA_VECTOR_NONE;

	emit_form(e, whole_fields);
	emit_text(e, l->in->document);
	emit_text(e, l->collection->id);
	emit_uint(e, (uint64_t)w->row);
	null_unless(e, w->has_seq && w->seq_id >= 0, (uint64_t)w->seq_id);
	emit_bytes(e, w->created.len > 0 ? buf_slice(&w->created) : slice_of(NULL, 0));
	emit_uint(e, has_vector ? w->vector.dimension : 0);
	if (has_vector)
		emit_double(e, norm_of(&w->vector), 9);
	else
		emit_null(e);
	source_emit(e, w);
	emit_size(e, w->document_len);
	for (size_t i = 0; i < 5; i++)
		emit_null(e);
	emit_form_end(e);
	emit_json_null(e, "fault");
	emit_array(e, "oddities");
	emit_array_end(e);
}

static int show_record(struct looking *l)
{
	cleanup_(whole_fini) struct whole w = { .l = l };
	struct inspect *in = l->in;
	struct emit *e = &in->app->emit;
	struct vs_err err = { 0 };
	int r;

	r = chroma_record_find(l->db, metadata_segment(l), in->document, take_record, &w, &err);
	if (r == 0)
		r = vs_fail(&err, VS_ENOENT, "%s: no document %s in collection %s", in->store->path,
			    in->document, in->collection);
	if (r >= 0)
		r = chroma_vector_load(&w.vector, l->db, in->store->dirfd, &l->catalog,
				       l->collection, in->document, w.why, &err);
	if (r < 0)
		return app_error(in->app, &err);
	inspect_begin(in);
	emit_object(e, "document");
	form_emit(e, &w);
	emit_paragraph(e, 0, EMIT_BOLD, "metadata", "");
	emit_array(e, "metadata");
	if (chroma_record_values(l->db, w.row, show_value, &w, &err) < 0)
		return app_error(in->app, &err);
	emit_array_end(e);
	emit_json_bool(e, "has_content", w.has_document);
	block_emit(e, "content", "content", buf_slice(&w.document));
	if (in->opts->vector)
		vector_emit(e, &w.vector);
	emit_object_end(e);
	r = end(l, &err);
	return r == EXIT_CLEAN && w.vector.source == CHROMA_VECTOR_NONE ? EXIT_PROBLEMS : r;
}

/* ---- */

int inspect_chroma(struct inspect *in)
{
	cleanup_(looking_fini) struct looking l = { .in = in };
	struct vs_err err = { 0 };
	int r;

	r = chroma_db_open(&l.db, in->store->dirfd, getenv("TMPDIR"), &err);
	if (r == 0)
		r = chroma_catalog_load(&l.catalog, l.db, &err);
	if (r < 0) {
		vs_err_in(&err, "%s", in->store->path);
		return app_error(in->app, &err);
	}
	if (!in->collection)
		return list_collections(&l);
	if (find_collection(&l, &err) < 0)
		return app_error(in->app, &err);
	return in->document ? show_record(&l) : list_records(&l);
}
