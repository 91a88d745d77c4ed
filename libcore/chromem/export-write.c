/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Export files as a fresh process of the library writes them
 *
 * One value holds the whole store, with its length in front and the number of entries in front of
 * each map. So the source is visited twice: the first time to count, the second to write. Nothing
 * of a document is kept; of a collection, how many documents it has.
 *
 * Compressed data are cut into gzip members of GZIP_MEMBER bytes, which every reader of gzip takes
 * as one stream: memory stays small, and no decoder needs more than one window.
 */

#include "chromem/write.h"

#define GZIP_MEMBER ((size_t)1 << 20)

/* Lengths, steps and end marks of one piece are less than this. */
#define AROUND_MAX 64

/* Types in the order in which a process meets them that has only opened a store. */
enum {
	TYPE_STORE = 64,
	TYPE_COLLECTION = 65,
	TYPE_STRINGS = 66,
	TYPE_DOC = 67,
	TYPE_VECTOR = 68,
	TYPE_DOCS = 69,
	TYPE_COLLECTIONS = 70,
};

enum {
	FIELD_NAME,
	FIELD_METADATA,
	FIELD_DOCUMENTS,
};

/* ---- blocks: pack, seal, hand on ---- */

struct outlet {
	const struct chromem_export_sink *sink;
	enum chromem_compression compression;
	struct chromem_seal *seal; /* owned; NULL: in the clear */
	struct buf block;
	struct buf packed;
};

static void outlet_fini(struct outlet *o)
{
	chromem_seal_freep(&o->seal);
	buf_fini(&o->block);
	buf_fini(&o->packed);
}

static int outlet_begin(struct outlet *o, const unsigned char *key, struct vs_err *err)
{
	unsigned char nonce[CHROMEM_NONCE_LEN];
	int r;

	if (!key)
		return 0;
	r = chromem_seal_new(&o->seal, key, nonce, err);
	if (r < 0)
		return r;
	return o->sink->write(o->sink->ctx, slice_of(nonce, sizeof(nonce)), err);
}

static int outlet_flush(struct outlet *o, struct vs_err *err)
{
	struct buf *ready = &o->block;
	int r;

	if (o->block.len == 0)
		return 0;
	if (o->compression != CHROMEM_PLAIN) {
		buf_clear(&o->packed);
		r = chromem_pack(o->compression, buf_slice(&o->block), &o->packed, err);
		if (r < 0)
			return r;
		ready = &o->packed;
	}
	if (o->seal) {
		r = chromem_seal_add(o->seal, ready->ptr, ready->len, err);
		if (r < 0)
			return r;
	}
	r = o->sink->write(o->sink->ctx, buf_slice(ready), err);
	buf_clear(&o->block);
	return r;
}

static int outlet_put(struct outlet *o, struct slice bytes, struct vs_err *err)
{
	while (bytes.len > 0) {
		size_t piece = VS_MIN(bytes.len, GZIP_MEMBER - o->block.len);
		int r;

		buf_append(&o->block, bytes.ptr, piece);
		bytes = slice_of(bytes.ptr + piece, bytes.len - piece);
		if (o->block.len < GZIP_MEMBER)
			continue;
		r = outlet_flush(o, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int outlet_end(struct outlet *o, struct vs_err *err)
{
	unsigned char tag[CHROMEM_TAG_LEN];
	int r = outlet_flush(o, err);

	if (r < 0 || !o->seal)
		return r;
	r = chromem_seal_end(o->seal, tag, err);
	if (r < 0)
		return r;
	return o->sink->write(o->sink->ctx, slice_of(tag, sizeof(tag)), err);
}

/* ---- the value, counted and then written ---- */

struct writer {
	struct outlet *out;  /* NULL while counting */
	struct buf piece;    /* the part being encoded */
	uint64_t total;      /* bytes so far */
	uint64_t *documents; /* owned: of each collection */
	size_t count, cap;   /* collections counted */
	size_t at;           /* collections begun */
	uint64_t in_this;    /* documents begun in the current one */
};

static void writer_fini(struct writer *w)
{
	buf_fini(&w->piece);
	free(w->documents);
}

static int too_large(struct vs_err *err)
{
	return vs_fail(err, VS_ELIMIT, "an export of more than %" PRIu64 " bytes",
		       (uint64_t)CHROMEM_EXPORT_MAX);
}

static int changed(struct vs_err *err)
{
	return vs_fail(err, VS_EVANISHED, "the store has changed while it was exported");
}

/* Account for the piece, and write it. */
static int put_piece(struct writer *w, struct vs_err *err)
{
	int r = 0;

	w->total += w->piece.len;
	if (w->out)
		r = outlet_put(w->out, buf_slice(&w->piece), err);
	buf_clear(&w->piece);
	return r;
}

/* Make room for @len bytes of the source's, and for what stands around them. */
static int reserve(struct writer *w, uint64_t len, struct vs_err *err)
{
	if (len > CHROMEM_EXPORT_MAX)
		return too_large(err);
	return buf_try_reserve(&w->piece, (size_t)len + AROUND_MAX, err);
}

/* End the collection before, if there is one. */
static int end_collection(struct writer *w, struct vs_err *err)
{
	if (w->at == 0)
		return 0;
	if (w->out) {
		if (w->in_this != w->documents[w->at - 1])
			return changed(err);
	} else {
		w->documents[w->at - 1] = w->in_this;
		gob_put_uint(&w->piece, w->in_this);
	}
	buf_append_byte(&w->piece, 0);
	return put_piece(w, err);
}

static int put_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			  struct vs_err *err)
{
	struct writer *w = ctx;
	struct gob_struct s;
	int r = end_collection(w, err);

	if (r < 0)
		return r;
	if (!w->out) {
		w->documents = vs_grow(w->documents, &w->cap, w->at + 1, sizeof(*w->documents));
		w->count = w->at + 1;
	} else if (w->at == w->count) {
		return changed(err);
	}
	w->at++;
	w->in_this = 0;

	r = reserve(w,
		    key.len + meta->name.len +
			    chromem_strings_bound(meta->metadata, meta->metadata_count),
		    err);
	if (r < 0)
		return r;
	gob_put_string(&w->piece, key);
	s = gob_struct_begin(&w->piece);
	if (meta->name.len > 0) {
		gob_struct_field(&s, FIELD_NAME);
		gob_put_string(&w->piece, meta->name);
	}
	if (meta->has_metadata) {
		gob_struct_field(&s, FIELD_METADATA);
		chromem_put_strings(&w->piece, meta->metadata, meta->metadata_count);
	}
	gob_struct_field(&s, FIELD_DOCUMENTS);
	if (w->out)
		gob_put_uint(&w->piece, w->documents[w->at - 1]);
	return put_piece(w, err);
}

static int put_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			struct vs_err *err)
{
	struct writer *w = ctx;
	int r;

	assert(w->at > 0);
	if (w->out && w->in_this == w->documents[w->at - 1])
		return changed(err);
	w->in_this++;
	r = reserve(w, key.len + chromem_doc_bound(doc), err);
	if (r < 0)
		return r;
	gob_put_string(&w->piece, key);
	chromem_put_doc(&w->piece, doc);
	return put_piece(w, err);
}

/* Everything in front of the first collection: the type number, the field, how many there are. */
static void begin_value(struct writer *w)
{
	struct gob_struct s;

	gob_put_int(&w->piece, TYPE_STORE);
	s = gob_struct_begin(&w->piece);
	gob_struct_field(&s, 0);
	gob_put_uint(&w->piece, w->count);
}

static int end_value(struct writer *w, struct vs_err *err)
{
	int r = end_collection(w, err);

	if (r < 0)
		return r;
	if (w->at != w->count)
		return changed(err);
	buf_append_byte(&w->piece, 0);
	return put_piece(w, err);
}

static void put_types(struct buf *out)
{
	static const struct gob_field_type store[] = { { "Collections", TYPE_COLLECTIONS } };
	static const struct gob_field_type collection[] = {
		[FIELD_NAME] = { "Name", GOB_BASIC_STRING },
		[FIELD_METADATA] = { "Metadata", TYPE_STRINGS },
		[FIELD_DOCUMENTS] = { "Documents", TYPE_DOCS },
	};

	/* Types that are reached through a pointer first have no name in the stream. */
	gob_put_struct_type(out, TYPE_STORE, "", store, VS_COUNT(store));
	gob_put_map_type(out, TYPE_COLLECTIONS, "map[string]*chromem.persistenceCollection",
			 GOB_BASIC_STRING, TYPE_COLLECTION);
	gob_put_struct_type(out, TYPE_COLLECTION, "", collection, VS_COUNT(collection));
	chromem_put_strings_type(out, TYPE_STRINGS);
	gob_put_map_type(out, TYPE_DOCS, "map[string]*chromem.Document", GOB_BASIC_STRING,
			 TYPE_DOC);
	chromem_put_doc_type(out, TYPE_DOC, "", TYPE_STRINGS, TYPE_VECTOR);
	chromem_put_vector_type(out, TYPE_VECTOR);
}

/* Visit the source once, from the first collection to the end of the value. */
static int visit(const struct chromem_export_source *source, struct writer *w, struct vs_err *err)
{
	const struct chromem_export_visitor visitor = {
		.ctx = w,
		.collection = put_collection,
		.document = put_document,
	};
	int r;

	w->at = 0;
	w->in_this = 0;
	r = source->visit(source->ctx, &visitor, err);
	return r < 0 ? r : end_value(w, err);
}

/* How long the value is. */
static int measure(const struct chromem_export_source *source, struct writer *w, struct vs_err *err)
{
	int r = visit(source, w, err);

	if (r < 0)
		return r;
	begin_value(w);
	r = put_piece(w, err);
	if (r == 0 && w->total > CHROMEM_EXPORT_MAX)
		r = too_large(err);
	return r;
}

static int write_value(const struct chromem_export_source *source, struct writer *w,
		       struct vs_err *err)
{
	uint64_t len = w->total;
	int r;

	put_types(&w->piece);
	gob_put_uint(&w->piece, len);
	r = put_piece(w, err);
	if (r < 0)
		return r;
	w->total = 0;
	begin_value(w);
	r = put_piece(w, err);
	if (r == 0)
		r = visit(source, w, err);
	if (r == 0 && w->total != len)
		r = changed(err);
	return r;
}

int chromem_export_write(const struct chromem_export_source *source, enum chromem_compression c,
			 const unsigned char *key, const struct chromem_export_sink *sink,
			 struct vs_err *err)
{
	cleanup_(outlet_fini) struct outlet out = { .sink = sink, .compression = c };
	cleanup_(writer_fini) struct writer w = { 0 };
	int r = measure(source, &w, err);

	if (r < 0)
		return r;
	w.out = &out;
	r = outlet_begin(&out, key, err);
	if (r == 0)
		r = write_value(source, &w, err);
	return r < 0 ? r : outlet_end(&out, err);
}
