/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An archive as the older tool makes them, with real embeddings. The tar wants the size of a member
 * before its bytes, so the source is visited twice: to count, and to write.
 */

#include "snap/older.h"
#include "snap/private.h"

#include <math.h>

#define OUT_PIECE ((size_t)1 << 20)

struct writing {
	const struct snap_older_request *req;
	struct snap_older_result *result;
	bool is_counting;
	uint64_t json_bytes; /* of collections.json, counted */
	uint64_t written;    /* of it, in this visit */
	struct buf json;     /* of one document, or what stands between two */
	/* The archive. */
	struct snap_packer *packer;
	struct digest_ctx *digest;
	struct buf raw, packed;
	/* Where the visit is. */
	uint64_t collections, documents, in_collection;
};

static void writing_fini(struct writing *w)
{
	snap_packer_freep(&w->packer);
	digest_ctx_freep(&w->digest);
	buf_fini(&w->json);
	buf_fini(&w->raw);
	buf_fini(&w->packed);
}

/* ---- out ---- */

static int flush(struct writing *w, bool all, struct vs_err *err)
{
	size_t off = 0;
	int r = 0;

	buf_clear(&w->packed);
	while (r == 0 && off < w->raw.len && (all || w->raw.len - off >= OUT_PIECE)) {
		size_t len = VS_MIN(w->raw.len - off, OUT_PIECE);

		r = snap_pack(w->packer, slice_of(w->raw.ptr + off, len), &w->packed, err);
		off += len;
	}
	if (r == 0 && w->packed.len > 0)
		r = w->req->sink->write(w->req->sink->ctx, buf_slice(&w->packed), err);
	if (r < 0)
		return r;
	digest_ctx_add(w->digest, w->packed.ptr, w->packed.len);
	w->result->size += w->packed.len;
	memmove(w->raw.ptr, w->raw.ptr + off, w->raw.len - off);
	w->raw.len -= off;
	return 0;
}

/* What stands in w->json, counted or written. */
static int put(struct writing *w, struct vs_err *err)
{
	int r;

	w->written += w->json.len;
	if (w->is_counting)
		return 0;
	r = buf_try_reserve(&w->raw, w->json.len + 512, err);
	if (r < 0)
		return r;
	buf_append(&w->raw, w->json.ptr, w->json.len);
	return w->raw.len >= OUT_PIECE ? flush(w, false, err) : 0;
}

/* ---- the text ---- */

static int check_text(struct slice text, const char *what, struct slice id, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf name = { 0 };

	if (utf8_is_valid(text))
		return 0;
	text_escape(&name, id);
	return vs_fail(err, VS_EFORMAT, "%s of %.200s is no UTF-8, so JSON cannot hold it", what,
		       buf_cstr(&name));
}

static void end_collection(struct writing *w)
{
	if (w->in_collection > 0)
		buf_append_str(&w->json, "]");
	buf_append_str(&w->json, "}");
}

static int put_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			  struct vs_err *err)
{
	struct writing *w = ctx;
	struct jw j;
	int r;

	(void)key;
	r = check_text(meta->name, "the name", meta->name, err);
	if (r < 0)
		return r;
	buf_clear(&w->json);
	if (w->collections > 0) {
		end_collection(w);
		buf_append_str(&w->json, ",");
	}
	w->collections++;
	w->in_collection = 0;
	jw_init(&j, &w->json);
	jw_text(&j, meta->name);
	buf_append_str(&w->json, ":{");
	return put(w, err);
}

static void format_document(struct buf *out, const struct chromem_doc *doc)
{
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_key(&j, "id");
	jw_text(&j, doc->id);
	jw_key(&j, "text");
	jw_text(&j, doc->content);
	jw_key(&j, "embedding");
	jw_array(&j);
	for (size_t i = 0; i < doc->dimension; i++) {
		/* "-0" would be read as an integer, which has no sign then. */
		if (doc->embedding[i] == 0 && signbit(doc->embedding[i]))
			jw_raw(&j, slice_str("-0.0"));
		else
			jw_float(&j, doc->embedding[i]);
	}
	jw_array_end(&j);
	jw_key(&j, "metadata");
	if (doc->metadata_count == 0) {
		jw_null(&j);
	} else {
		jw_object(&j);
		for (size_t i = 0; i < doc->metadata_count; i++) {
			cleanup_(vs_freep) char *key = vs_strndup(doc->metadata[i].key);

			jw_key(&j, key);
			jw_text(&j, doc->metadata[i].value);
		}
		jw_object_end(&j);
	}
	jw_object_end(&j);
}

static int check_document(const struct writing *w, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	cleanup_(buf_fini) struct buf name = { 0 };
	int r = check_text(doc->id, "the id", doc->id, err);

	if (r == 0)
		r = check_text(doc->content, "the text", doc->id, err);
	for (size_t i = 0; r == 0 && i < doc->metadata_count; i++) {
		const struct chromem_pair *pair = &doc->metadata[i];

		r = check_text(pair->value, "a value in the metadata", doc->id, err);
		if (r == 0)
			r = check_text(pair->key, "a key in the metadata", doc->id, err);
		if (r == 0 && memchr(pair->key.ptr, 0, pair->key.len))
			r = vs_fail(err, VS_EFORMAT, "a key in the metadata holds a NUL");
	}
	if (r < 0 || doc->dimension > 0 || w->req->allow_missing)
		return r;
	text_escape(&name, doc->id);
	return vs_fail(err, VS_ENOTSUP,
		       "document %.200s has no embedding; give --allow-missing-embeddings to go on "
		       "without",
		       buf_cstr(&name));
}

static int put_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			struct vs_err *err)
{
	struct writing *w = ctx;
	int r = check_document(w, doc, err);

	(void)key;
	if (r < 0)
		return r;
	buf_clear(&w->json);
	if (w->in_collection % SNAP_BATCH_LEN != 0)
		buf_append_str(&w->json, ",");
	else
		buf_printf(&w->json, "%s\"batch_%06" PRIu64 "\":[",
			   w->in_collection > 0 ? "]," : "", w->in_collection / SNAP_BATCH_LEN);
	format_document(&w->json, doc);
	w->in_collection++;
	w->documents++;
	return put(w, err);
}

static int visit(struct writing *w, struct vs_err *err)
{
	const struct chromem_export_visitor visitor = { w, put_collection, put_document };
	int r;

	w->collections = w->documents = w->in_collection = w->written = 0;
	buf_clear(&w->json);
	buf_append_str(&w->json, "{");
	r = put(w, err);
	if (r == 0)
		r = w->req->source->visit(w->req->source->ctx, &visitor, err);
	if (r < 0)
		return r;
	buf_clear(&w->json);
	if (w->collections > 0)
		end_collection(w);
	buf_append_str(&w->json, "}");
	return put(w, err);
}

/* ---- the members ---- */

static int begin_member(struct writing *w, const char *name, uint64_t size, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };

	buf_printf(&path, "%s/%s", w->req->id, name);
	w->result->raw_bytes += size;
	return snap_tar_header(&w->raw, buf_cstr(&path), size, 0644, w->req->time_ns, err);
}

static int write_metadata(struct writing *w, struct vs_err *err)
{
	struct jw j;
	char when[32];
	int r;

	time_format(w->req->time_ns, false, when);
	buf_clear(&w->json);
	jw_init(&j, &w->json);
	jw_object(&j);
	jw_str_field(&j, "chromadb_version", "chromem-go");
	jw_str_field(&j, "snapshot_timestamp", when);
	jw_bytes_field(&j, "chromadb_url", slice_str(w->req->path));
	jw_uint_field(&j, "collections_count", w->collections);
	jw_uint_field(&j, "total_chunks", w->documents);
	jw_object_end(&j);
	r = begin_member(w, "metadata.json", w->json.len, err);
	if (r == 0)
		buf_append(&w->raw, w->json.ptr, w->json.len);
	if (r == 0)
		snap_tar_pad(&w->raw, w->json.len);
	return r;
}

static int write_collections(struct writing *w, struct vs_err *err)
{
	int r;

	w->is_counting = true;
	r = visit(w, err);
	w->json_bytes = w->written;
	if (r == 0 && w->json_bytes > SNAP_OLDER_MAX)
		r = vs_fail(err, VS_ELIMIT,
			    "as JSON the store has %" PRIu64 " bytes, more than %" PRIu64,
			    w->json_bytes, SNAP_OLDER_MAX);
	w->is_counting = false;
	if (r == 0)
		r = begin_member(w, "collections.json", w->json_bytes, err);
	if (r == 0)
		r = visit(w, err);
	if (r == 0 && w->written != w->json_bytes)
		r = vs_fail(err, VS_EVANISHED, "the store changed while it was read");
	if (r == 0)
		snap_tar_pad(&w->raw, w->json_bytes);
	return r;
}

int snap_older_write(const struct snap_older_request *req, struct snap_older_result *out,
		     struct vs_err *err)
{
	static const unsigned char end[TAR_END_LEN];
	cleanup_(writing_fini) struct writing w = { .req = req, .result = out };
	int r;

	*out = (struct snap_older_result){ 0 };
	w.packer = snap_packer_new();
	w.digest = digest_ctx_new();
	digest_ctx_reset(w.digest);
	r = write_collections(&w, err);
	if (r == 0)
		r = write_metadata(&w, err);
	if (r < 0)
		return r;
	buf_append(&w.raw, end, sizeof(end));
	r = flush(&w, true, err);
	digest_ctx_final(w.digest, &out->digest);
	out->collections = w.collections;
	out->documents = w.documents;
	return r;
}

void snap_older_format_manifest(const struct snap_older_request *req,
				const struct snap_older_result *result, struct buf *out)
{
	char hex[DIGEST_HEX_LEN + 1], when[32];
	struct jw j;

	digest_format(&result->digest, hex);
	time_format(req->time_ns, false, when);
	jw_init(&j, out);
	jw_object(&j);
	jw_str_field(&j, "snapshot_id", req->id);
	jw_str_field(&j, "timestamp", when);
	jw_bytes_field(&j, "chromadb_url", slice_str(req->path));
	jw_str_field(&j, "chromadb_version", "chromem-go");
	jw_uint_field(&j, "total_chunks", result->documents);
	jw_uint_field(&j, "total_collections", result->collections);
	jw_key(&j, "snapshot_size_mb");
	jw_double(&j, (double)result->size / 1048576, 6);
	jw_str_field(&j, "checksum_sha256", hex);
	jw_key(&j, "compression_ratio");
	jw_double(&j,
		  result->raw_bytes > result->size
			  ? (1 - (double)result->size / (double)result->raw_bytes) * 100
			  : 0,
		  2);
	jw_str_field(&j, "status", "created");
	jw_key(&j, "error_message");
	jw_null(&j);
	jw_object_end(&j);
	buf_append_str(out, "\n");
}
