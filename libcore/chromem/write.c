/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata and document files as a fresh process of the library writes them
 *
 * A file is a gob stream of its own: the definitions of all types that its value needs, in the
 * order in which Go's encoder meets them, then the value. All definitions are there even when the
 * fields that need them are left out. Type numbers count from 64 in the order in which a process
 * first encodes a type; here as in a process that creates a collection and adds documents to it.
 */

#include "chromem/write.h"

#include <libdeflate.h>

/* The default of gzip, and of Go. */
#define DEFLATE_LEVEL 6

enum {
	TYPE_META = 64,
	TYPE_STRINGS = 65,
	TYPE_DOC = 66,
	TYPE_VECTOR = 67,
};

void chromem_put_strings_type(struct buf *out, int64_t number)
{
	gob_put_map_type(out, number, "map[string]string", GOB_BASIC_STRING, GOB_BASIC_STRING);
}

void chromem_put_doc_type(struct buf *out, int64_t number, const char *name, int64_t strings,
			  int64_t vector)
{
	const struct gob_field_type fields[] = {
		[CHROMEM_DOC_ID] = { "ID", GOB_BASIC_STRING },
		[CHROMEM_DOC_METADATA] = { "Metadata", strings },
		[CHROMEM_DOC_EMBEDDING] = { "Embedding", vector },
		[CHROMEM_DOC_CONTENT] = { "Content", GOB_BASIC_STRING },
	};

	gob_put_struct_type(out, number, name, fields, VS_COUNT(fields));
}

void chromem_put_vector_type(struct buf *out, int64_t number)
{
	gob_put_slice_type(out, number, "[]float32", GOB_BASIC_FLOAT);
}

void chromem_put_strings(struct buf *out, const struct chromem_pair *pairs, size_t count)
{
	gob_put_uint(out, count);
	for (size_t i = 0; i < count; i++) {
		gob_put_string(out, pairs[i].key);
		gob_put_string(out, pairs[i].value);
	}
}

void chromem_put_doc(struct buf *out, const struct chromem_doc *doc)
{
	struct gob_struct s = gob_struct_begin(out);

	if (doc->id.len > 0) {
		gob_struct_field(&s, CHROMEM_DOC_ID);
		gob_put_string(out, doc->id);
	}
	if (doc->has_metadata) {
		gob_struct_field(&s, CHROMEM_DOC_METADATA);
		chromem_put_strings(out, doc->metadata, doc->metadata_count);
	}
	if (doc->dimension > 0) {
		gob_struct_field(&s, CHROMEM_DOC_EMBEDDING);
		gob_put_float32s(out, doc->embedding, doc->dimension);
	}
	if (doc->content.len > 0) {
		gob_struct_field(&s, CHROMEM_DOC_CONTENT);
		gob_put_string(out, doc->content);
	}
	gob_struct_end(&s);
}

/* A length takes at most 9 bytes, a float as many, a step to the next field or an end mark 1. */
#define LENGTH_CAP UINT64_C(9)

uint64_t chromem_strings_bound(const struct chromem_pair *pairs, size_t count)
{
	uint64_t bound = LENGTH_CAP;

	for (size_t i = 0; i < count; i++)
		bound += 2 * LENGTH_CAP + pairs[i].key.len + pairs[i].value.len;
	return bound;
}

uint64_t chromem_doc_bound(const struct chromem_doc *doc)
{
	return 5 + 3 * LENGTH_CAP + doc->id.len + doc->content.len + doc->dimension * LENGTH_CAP +
	       chromem_strings_bound(doc->metadata, doc->metadata_count);
}

void chromem_encode_meta(struct buf *out, struct slice name, const struct chromem_pair *metadata,
			 size_t count)
{
	static const struct gob_field_type fields[] = {
		[CHROMEM_META_NAME] = { "Name", GOB_BASIC_STRING },
		[CHROMEM_META_METADATA] = { "Metadata", TYPE_STRINGS },
	};
	struct gob_struct s;
	size_t message;

	gob_put_struct_type(out, TYPE_META, "", fields, VS_COUNT(fields));
	chromem_put_strings_type(out, TYPE_STRINGS);

	message = gob_message_begin(out);
	gob_put_int(out, TYPE_META);
	s = gob_struct_begin(out);
	if (name.len > 0) {
		gob_struct_field(&s, CHROMEM_META_NAME);
		gob_put_string(out, name);
	}
	/* The library never has a nil map here, so the field is sent without entries too. */
	gob_struct_field(&s, CHROMEM_META_METADATA);
	chromem_put_strings(out, metadata, count);
	gob_struct_end(&s);
	gob_message_end(out, message);
}

void chromem_encode_doc(struct buf *out, const struct chromem_doc *doc)
{
	size_t message;

	chromem_put_doc_type(out, TYPE_DOC, "Document", TYPE_STRINGS, TYPE_VECTOR);
	chromem_put_strings_type(out, TYPE_STRINGS);
	chromem_put_vector_type(out, TYPE_VECTOR);

	message = gob_message_begin(out);
	gob_put_int(out, TYPE_DOC);
	chromem_put_doc(out, doc);
	gob_message_end(out, message);
}

static void compressor_freep(struct libdeflate_compressor **compressor)
{
	libdeflate_free_compressor(*compressor);
}

int chromem_pack(enum chromem_compression c, struct slice gob, struct buf *out, struct vs_err *err)
{
	cleanup_(compressor_freep) struct libdeflate_compressor *compressor = NULL;
	size_t bound;
	size_t len;
	int r;

	if (c == CHROMEM_PLAIN) {
		r = buf_try_reserve(out, gob.len, err);
		if (r < 0)
			return r;
		buf_append(out, gob.ptr, gob.len);
		return 0;
	}

	compressor = libdeflate_alloc_compressor(DEFLATE_LEVEL);
	if (!compressor)
		return vs_fail(err, VS_ENOMEM, "no memory for a compressor");
	bound = libdeflate_gzip_compress_bound(compressor, gob.len);
	r = buf_try_reserve(out, bound, err);
	if (r < 0)
		return r;

	/* This library's gzip header happens to be Go's: no time, no flags, no system (255). */
	len = libdeflate_gzip_compress(compressor, gob.ptr, gob.len, out->ptr + out->len, bound);
	assert(len > 0);
	out->len += len;
	return 0;
}
