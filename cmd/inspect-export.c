/* SPDX-License-Identifier: Apache-2.0 */

/* What an export file holds, in the order of the file. It is read once and never held whole here.
 */

#include "inspect.h"

#include <fcntl.h>

struct reading {
	struct inspect *in;
	struct buf name;    /* of the collection being read */
	uint64_t documents; /* of it, so far */
	bool has_name;
	bool is_wanted;      /* it is the one that was asked for */
	bool has_collection; /* the one that was asked for was there */
	bool has_document;
};

static bool is_wanted(const struct reading *r, struct slice key, const struct chromem_meta *meta)
{
	char hash[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(meta->name), hash);
	return slice_eq_str(meta->name, r->in->collection) ||
	       slice_eq_str(key, r->in->collection) || strcmp(hash, r->in->collection) == 0;
}

/* ---- the collections ---- */

static void row_end(struct reading *r)
{
	const struct chromem_meta meta = { .name = buf_slice(&r->name) };
	const struct collection_row row = { .meta = &meta,
					    .meta_state = meta.name.len > 0 ? "ok" : "no name",
					    .documents = r->documents };

	if (r->has_name)
		collection_row_emit(&r->in->app->emit, &row);
	r->has_name = false;
}

static int list_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			   struct vs_err *err)
{
	struct reading *r = ctx;

	(void)key, (void)err;
	row_end(r);
	buf_clear(&r->name);
	buf_append(&r->name, meta->name.ptr, meta->name.len);
	r->has_name = true;
	r->documents = 0;
	return 0;
}

static int list_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			 struct vs_err *err)
{
	struct reading *r = ctx;

	(void)key, (void)doc, (void)err;
	r->documents++;
	return 0;
}

/* ---- the documents of one ---- */

static const struct emit_field head_fields[] = {
	{ .key = "id", .heading = NULL },
	{ .key = "name", .heading = "name" },
	{ .key = "metadata_file", .heading = NULL },
	{ .key = "documents", .heading = NULL },
	{ 0 },
};

static int open_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			   struct vs_err *err)
{
	struct reading *r = ctx;
	struct emit *e = &r->in->app->emit;

	(void)err;
	r->is_wanted = !r->has_collection && is_wanted(r, key, meta);
	if (!r->is_wanted)
		return 0;
	r->has_collection = true;
	if (r->in->document)
		return 0;
	inspect_begin(r->in);
	emit_object(e, "collection");
	emit_form(e, head_fields);
	emit_null(e);
	emit_bytes(e, meta->name);
	emit_null(e);
	emit_null(e);
	emit_form_end(e);
	pairs_emit(e, "metadata", meta->metadata, meta->metadata_count);
	emit_object_end(e);
	emit_line(e, "%s", "");
	emit_table(e, "documents", document_fields);
	return 0;
}

static int show_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			 struct vs_err *err)
{
	struct reading *r = ctx;
	struct document_row row = { 0 };

	(void)err;
	if (!r->is_wanted || r->has_document)
		return 0;
	if (!r->in->document) {
		document_row_of(&row, doc);
		document_row_emit(&r->in->app->emit, &row);
	} else if (slice_eq_str(doc->id, r->in->document) || slice_eq_str(key, r->in->document)) {
		r->has_document = true;
		inspect_begin(r->in);
		document_emit(r->in, NULL, NULL, 0, doc);
	}
	return 0;
}

/* ---- */

/* Was what was asked for there? */
static int check_found(const struct reading *r, struct vs_err *err)
{
	if (r->in->collection && !r->has_collection)
		return vs_fail(err, VS_ENOENT, "%s: no collection %s in this export",
			       r->in->store->path, r->in->collection);
	if (r->in->document && !r->has_document)
		return vs_fail(err, VS_ENOENT, "%s: no document %s in collection %s",
			       r->in->store->path, r->in->document, r->in->collection);
	return 0;
}

static int read_all(struct reading *r, struct vs_err *err)
{
	struct inspect *in = r->in;
	const struct chromem_export_visitor visitor = {
		.ctx = r,
		.collection = in->collection ? open_collection : list_collection,
		.document = in->collection ? show_document : list_document,
	};
	struct chromem_fault fault = { 0 };
	uint32_t oddities = 0;
	int status = chromem_export_read(AT_FDCWD, in->store->path, in->key, &visitor, &oddities,
					 &fault, err);

	if (status > 0)
		return vs_fail(err, VS_EFORMAT, "%s: %s", in->store->path, fault.detail);
	return status < 0 ? status : check_found(r, err);
}

static void reading_fini(struct reading *r)
{
	buf_fini(&r->name);
}

int inspect_export(struct inspect *in)
{
	cleanup_(reading_fini) struct reading r = { .in = in };
	struct emit *e = &in->app->emit;
	struct vs_err err = { 0 };

	if (!in->collection) {
		inspect_begin(in);
		emit_table(e, "collections", collection_fields);
	}
	if (read_all(&r, &err) < 0)
		return app_error(in->app, &err);
	if (!in->collection)
		row_end(&r);
	if (!in->document)
		emit_table_end(e);
	emit_document_end(e);
	return EXIT_CLEAN;
}
