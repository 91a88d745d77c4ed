/* SPDX-License-Identifier: Apache-2.0 */

/* The tables of a directory: its collections, and the documents of one. */

#include "inspect.h"

/* ---- collections ---- */

static const char *meta_state(const struct chromem_collection *c)
{
	if (c->meta)
		return c->meta->name.len > 0 ? "ok" : "no name";
	return c->meta_fault ? c->meta_fault->detail : "missing";
}

static int list_collection(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct inspect *in = ctx;
	struct collection_row row = {
		.dir = c->dir,
		.meta = c->meta,
		.meta_state = meta_state(c),
		.documents = chromem_list_documents(c->list),
		.modified_ns = c->info.modified_ns,
	};

	(void)err;
	if (!c->has_hash && row.documents == 0 && !c->meta && !c->meta_fault)
		return 0;
	collection_row_emit(&in->app->emit, &row);
	return 0;
}

int inspect_collections(struct inspect *in)
{
	struct emit *e = &in->app->emit;
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(in->app));
	const struct chromem_scan_request req = { .compression = in->form.compression,
						  .pool = pool };
	const struct chromem_visitor visitor = { .ctx = in, .collection_begin = list_collection };
	struct vs_err err = { 0 };

	inspect_begin(in);
	emit_table(e, "collections", collection_fields);
	if (chromem_scan(in->store->dirfd, &req, &visitor, &err) < 0)
		return app_error(in->app, &err);
	emit_table_end(e);
	emit_document_end(e);
	return EXIT_CLEAN;
}

/* ---- documents ---- */

/* Rows of neighbouring documents, filled by one worker; their texts are owned. */
struct row_chunk {
	struct row_chunk *next;
	struct document_row *rows;
	size_t count, cap;
};

struct listing {
	struct inspect *in;
	struct row_chunk *chunks; /* not yet written */
	bool has_fault;
};

static void chunk_free(struct row_chunk *chunk)
{
	for (size_t i = 0; i < chunk->count; i++) {
		vs_free_const(chunk->rows[i].id.ptr);
		vs_free_const(chunk->rows[i].file);
		vs_free_const(chunk->rows[i].fault);
	}
	free(chunk->rows);
	free(chunk);
}

static void listing_fini(struct listing *listing)
{
	while (listing->chunks) {
		struct row_chunk *chunk = listing->chunks;

		listing->chunks = chunk->next;
		chunk_free(chunk);
	}
}

static void *chunk_new(void *ctx, const struct chromem_collection *c)
{
	struct listing *listing = ctx;
	struct row_chunk *chunk = vs_alloc(sizeof(*chunk));

	(void)c;
	chunk->next = listing->chunks;
	listing->chunks = chunk;
	return chunk;
}

static void list_document(void *ctx, unsigned worker, void *chunk_,
			  const struct chromem_collection *c, size_t index,
			  const struct chromem_entry *entry, const struct chromem_doc *doc,
			  const struct chromem_fault *fault, uint64_t file_size)
{
	struct row_chunk *chunk = chunk_;
	struct document_row row = { .file = vs_strdup(entry->name), .size = file_size };

	(void)ctx, (void)worker, (void)c, (void)index;
	if (doc) {
		document_row_of(&row, doc);
		row.id.ptr = (unsigned char *)vs_strndup(doc->id);
	} else {
		row.fault = vs_strdup(fault->detail);
		row.fault_off = fault->off;
	}
	chunk->rows = vs_grow(chunk->rows, &chunk->cap, chunk->count + 1, sizeof(*chunk->rows));
	chunk->rows[chunk->count++] = row;
}

static int chunk_end(void *ctx, const struct chromem_collection *c, void *chunk_,
		     struct vs_err *err)
{
	struct listing *listing = ctx;
	struct row_chunk *chunk = chunk_;

	struct row_chunk **at = &listing->chunks;

	(void)c, (void)err;
	for (size_t i = 0; i < chunk->count; i++) {
		document_row_emit(&listing->in->app->emit, &chunk->rows[i]);
		listing->has_fault |= chunk->rows[i].fault != NULL;
	}
	while (*at != chunk)
		at = &(*at)->next;
	*at = chunk->next;
	chunk_free(chunk);
	return 0;
}

static const struct emit_field head_fields[] = {
	{ .key = "id", .heading = "directory" },
	{ .key = "name", .heading = "name" },
	{ .key = "metadata_file", .heading = "metadata file" },
	{ .key = "documents", .heading = "documents" },
	{ 0 },
};

static int list_head(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct listing *listing = ctx;
	struct emit *e = &listing->in->app->emit;
	bool has_name = c->meta && c->meta->name.len > 0;

	(void)err;
	emit_object(e, "collection");
	emit_form(e, head_fields);
	emit_text(e, c->dir);
	emit_bytes(e, has_name ? c->meta->name : slice_of(NULL, 0));
	emit_text(e, meta_state(c));
	emit_uint(e, chromem_list_documents(c->list));
	emit_form_end(e);
	pairs_emit(e, "metadata", c->meta ? c->meta->metadata : NULL,
		   c->meta ? c->meta->metadata_count : 0);
	emit_object_end(e);
	emit_line(e, "%s", "");
	emit_table(e, "documents", document_fields);
	return 0;
}

int inspect_documents(struct inspect *in, const char *dir)
{
	cleanup_(listing_fini) struct listing listing = { .in = in };
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(in->app));
	const struct chromem_scan_request req = {
		.compression = in->form.compression, .decode = true, .only = dir, .pool = pool
	};
	const struct chromem_visitor visitor = { .ctx = &listing,
						 .collection_begin = list_head,
						 .chunk_new = chunk_new,
						 .document = list_document,
						 .chunk_end = chunk_end };
	struct vs_err err = { 0 };

	inspect_begin(in);
	if (chromem_scan(in->store->dirfd, &req, &visitor, &err) < 0)
		return app_error(in->app, &err);
	emit_table_end(&in->app->emit);
	emit_document_end(&in->app->emit);
	return listing.has_fault ? EXIT_PROBLEMS : EXIT_CLEAN;
}
