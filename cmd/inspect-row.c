/* SPDX-License-Identifier: Apache-2.0 */

/* The records that inspect shows, wherever they come from. */

#include "inspect.h"

#include <math.h>

/* ---- a collection in a table ---- */

const struct emit_field collection_fields[] = {
	{ .key = "id", .heading = "directory" },
	{ .key = "documents", .heading = "documents", .is_number = true },
	{ .key = "modified", .heading = "modified" },
	{ .key = "metadata_file", .heading = "metadata file" },
	{ .key = "name_fits", .heading = NULL },
	{ .key = "name", .heading = "name" },
	{ 0 },
};

void collection_row_emit(struct emit *e, const struct collection_row *row)
{
	bool has_name = row->meta && row->meta->name.len > 0;
	char text[CHROMEM_ID_LEN + 1] = "";
	char time[32];

	if (has_name)
		chromem_hash_format(chromem_hash(row->meta->name), text);
	emit_text(e, row->dir);
	emit_uint(e, row->documents);
	if (row->modified_ns != 0) {
		time_format(row->modified_ns, false, time);
		emit_str(e, time);
	} else {
		emit_null(e);
	}
	emit_text(e, row->meta_state);
	if (has_name && row->dir)
		emit_bool(e, strcmp(text, row->dir) == 0);
	else
		emit_null(e);
	emit_bytes(e, has_name ? row->meta->name : slice_of(NULL, 0));
}

/* ---- a document in a table ---- */

const struct emit_field document_fields[] = {
	{ .key = "file", .heading = "file" },
	{ .key = "file_bytes", .heading = NULL },
	{ .key = "dimension", .heading = "dimension", .is_number = true },
	{ .key = "norm", .heading = "norm", .is_number = true },
	{ .key = "content_bytes", .heading = "content", .is_number = true },
	{ .key = "id", .heading = "id" },
	{ .key = "fault", .heading = NULL },
	{ .key = "fault_offset", .heading = NULL },
	{ 0 },
};

void document_row_of(struct document_row *row, const struct chromem_doc *doc)
{
	struct chromem_vector_stats stats = { 0 };

	chromem_vector_measure(doc->embedding, doc->dimension, &stats);
	/* An empty id is an id; only one that is not known has no bytes. */
	row->id = slice_of(doc->id.ptr ? doc->id.ptr : (const unsigned char *)"", doc->id.len);
	row->dimension = doc->dimension;
	row->content_len = doc->content.len;
	row->norm = stats.norm;
}

/* A document that cannot be decoded has no id to show: text says there what is wrong. */
static void id_emit(struct emit *e, const struct document_row *row)
{
	cleanup_(buf_fini) struct buf text = { 0 };

	if (!row->fault || e->is_json) {
		emit_bytes(e, row->id);
		return;
	}
	buf_append_str(&text, "cannot be decoded: ");
	text_escape(&text, slice_str(row->fault));
	emit_styled(e, EMIT_BAD, buf_cstr(&text));
}

void document_row_emit(struct emit *e, const struct document_row *row)
{
	emit_text(e, row->file);
	if (row->file)
		emit_uint(e, row->size);
	else
		emit_null(e);
	if (row->fault) {
		emit_null(e);
		emit_null(e);
		emit_null(e);
	} else {
		emit_uint(e, row->dimension);
		emit_double(e, row->norm, 6);
		emit_size(e, row->content_len);
	}
	id_emit(e, row);
	emit_text(e, row->fault);
	if (row->fault)
		emit_uint(e, row->fault_off);
	else
		emit_null(e);
}

/* ---- metadata and texts ---- */

void pairs_emit(struct emit *e, const char *key, const struct chromem_pair *pairs, size_t count)
{
	emit_array(e, key);
	for (size_t i = 0; i < count; i++) {
		cleanup_(buf_fini) struct buf head = { 0 };
		cleanup_(buf_fini) struct buf value = { 0 };

		emit_object(e, NULL);
		emit_json_bytes(e, "key", pairs[i].key);
		emit_json_bytes(e, "value", pairs[i].value);
		emit_object_end(e);
		if (e->is_json)
			continue;
		buf_append_str(&head, "  ");
		text_escape(&head, pairs[i].key);
		buf_append_str(&head, ": ");
		text_escape(&value, pairs[i].value);
		emit_paragraph(e, 4, EMIT_PLAIN, buf_cstr(&head), buf_cstr(&value));
	}
	emit_array_end(e);
}

void block_emit(struct emit *e, const char *key, const char *heading, struct slice text)
{
	size_t off = 0;

	emit_json_bytes(e, key, text.ptr ? text : slice_str(""));
	if (e->is_json)
		return;
	emit_paragraph(e, 0, EMIT_BOLD, heading, "");
	assert(text.ptr || text.len == 0);
	while (text.ptr && off < text.len) {
		const unsigned char *end = memchr(text.ptr + off, '\n', text.len - off);
		size_t len = end ? (size_t)(end - text.ptr) - off : text.len - off;
		cleanup_(buf_fini) struct buf line = { 0 };

		text_escape(&line, slice_of(text.ptr + off, len));
		emit_paragraph(e, 2, EMIT_PLAIN, "  ", buf_cstr(&line));
		off += len + 1;
	}
}
