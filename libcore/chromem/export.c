/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Export files, read: a whole store as one gob value, of the types in export-types.c.
 *
 * The file is read into memory once, opened there if it is sealed, and unpacked if it is gzip data;
 * of its content only the one document is held that is being passed on. It is not mapped: a map of
 * a file that is cut short meanwhile, or lies on a bad sector, ends the process.
 *
 * A collection is announced when its documents begin, as its name and metadata come before them in
 * what the library writes. Where the types of a file say otherwise, a first pass leaves the
 * documents out and keeps the rest.
 */

#include "chromem/read.h"

/* ---- what the first pass keeps ---- */

/* More collections, or pairs of them all, than this are not taken out of order. */
#define KEPT_MAX ((size_t)1 << 20)

struct kept_meta {
	struct slice name;
	size_t first, count; /* of the pairs */
	bool has_metadata;
};

struct kept {
	struct kept_meta *metas; /* owned, as the pairs are */
	size_t meta_count, meta_cap;
	struct chromem_pair *pairs;
	size_t pair_count, pair_cap;
};

static void kept_fini(struct kept *kept)
{
	free(kept->metas);
	free(kept->pairs);
}

static int keep_meta(struct kept *kept, const struct chromem_meta *meta, struct vs_err *err)
{
	size_t count = meta->metadata_count;

	if (kept->meta_count == KEPT_MAX || count > KEPT_MAX - kept->pair_count)
		return vs_fail(err, VS_ELIMIT,
			       "more than %zu collections or their metadata entries", KEPT_MAX);
	kept->metas =
		vs_grow(kept->metas, &kept->meta_cap, kept->meta_count + 1, sizeof(*kept->metas));
	kept->metas[kept->meta_count++] = (struct kept_meta){
		.name = meta->name,
		.first = kept->pair_count,
		.count = count,
		.has_metadata = meta->has_metadata,
	};
	if (count == 0)
		return 0;
	kept->pairs = vs_grow(kept->pairs, &kept->pair_cap, kept->pair_count + count,
			      sizeof(*kept->pairs));
	memcpy(kept->pairs + kept->pair_count, meta->metadata, count * sizeof(*kept->pairs));
	kept->pair_count += count;
	return 0;
}

/* ---- a pass over the value ---- */

enum pass_kind {
	PASS_ORDERED, /* the only one */
	PASS_KEEP,    /* the first of two: nobody is called */
	PASS_KEPT,    /* the second */
};

struct export_pass {
	enum pass_kind kind;
	struct chromem_reader *reader;
	const struct chromem_export_visitor *visitor;
	struct kept *kept;
	size_t begun; /* collections */

	struct slice collection_key;
	struct chromem_meta meta;
	bool is_announced;

	struct slice document_key;
	struct chromem_doc doc;
	struct doc_pass doc_pass;
	bool is_in_doc;

	uint32_t oddities; /* of documents and metadata */
	bool is_out_of_order;
	bool has_visitor_failed;
};

static int visited(struct export_pass *p, int r)
{
	p->has_visitor_failed = r < 0;
	return r;
}

/* Nothing more comes of the collection's own fields. */
static int announce(struct export_pass *p, struct vs_err *err)
{
	struct pairs *pairs = &p->reader->meta_pairs;
	int r;

	if (p->is_announced)
		return 0;
	p->is_announced = true;
	r = pairs_settle(pairs, err);
	if (r < 0)
		return r;
	if (pairs->repeated.ptr)
		p->oddities |= CHROMEM_ODD_DUPLICATE_KEY;
	p->meta.metadata = pairs->at;
	p->meta.metadata_count = pairs->count;
	if (p->kind == PASS_KEEP)
		return keep_meta(p->kept, &p->meta, err);
	return visited(p,
		       p->visitor->collection(p->visitor->ctx, p->collection_key, &p->meta, err));
}

static bool is_beyond_kept(const struct export_pass *p)
{
	return p->kind == PASS_KEPT && p->begun > p->kept->meta_count;
}

/* The same where the fields are known from the first pass. */
static int announce_kept(struct export_pass *p, struct vs_err *err)
{
	const struct kept_meta *kept;

	p->is_announced = true;
	/* Here the first pass met its end, and this one will. */
	if (is_beyond_kept(p))
		return 0;
	kept = &p->kept->metas[p->begun - 1];
	p->meta.name = kept->name;
	p->meta.has_metadata = kept->has_metadata;
	p->meta.metadata_count = kept->count;
	p->meta.metadata = kept->count > 0 ? p->kept->pairs + kept->first : NULL;
	return visited(p,
		       p->visitor->collection(p->visitor->ctx, p->collection_key, &p->meta, err));
}

static int begin_collection(struct export_pass *p, struct vs_err *err)
{
	p->begun++;
	p->meta = (struct chromem_meta){ 0 };
	p->reader->meta_pairs.count = 0;
	p->is_announced = false;
	return p->kind == PASS_KEPT ? announce_kept(p, err) : 0;
}

static int end_document(struct export_pass *p, struct vs_err *err)
{
	int r = doc_pass_finish(&p->doc_pass, err);

	p->is_in_doc = false;
	if (r < 0)
		return r;
	p->oddities |= p->doc.oddities;
	if (is_beyond_kept(p))
		return 0;
	return visited(p, p->visitor->document(p->visitor->ctx, p->document_key, &p->doc, err));
}

/* A value of the store or a collection. */
static int take_outer(struct export_pass *p, const struct gob_event *event, struct vs_err *err)
{
	bool is_begin = event->kind == GOB_BEGIN;

	switch (event->shape->tag) {
	case TAG_COLLECTION_KEY:
		p->collection_key = event->bytes;
		break;
	case TAG_COLLECTION:
		return is_begin ? begin_collection(p, err) : announce(p, err);
	case TAG_NAME:
		p->meta.name = event->bytes;
		break;
	case TAG_METADATA:
		p->meta.has_metadata = true;
		break;
	case TAG_KEY:
	case TAG_VALUE:
		return pairs_take(&p->reader->meta_pairs, event, err);
	case TAG_DOCUMENTS:
		return announce(p, err);
	case TAG_DOCUMENT_KEY:
		p->document_key = event->bytes;
		break;
	case TAG_DOCUMENT:
		p->doc_pass = doc_pass_init(p->reader, &p->doc);
		p->is_in_doc = true;
		break;
	default:
		break;
	}
	return 0;
}

/* ---- the file ---- */

static int take(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct export_pass *p = ctx;
	int tag = event->shape->tag;

	if (p->is_in_doc && tag == TAG_DOCUMENT && event->kind == GOB_END)
		return end_document(p, err);
	if (p->is_in_doc)
		return doc_pass_take(&p->doc_pass, event, err);
	if (tag == TAG_STORE && p->kind == PASS_ORDERED && !store_is_in_order(&p->reader->gob)) {
		p->is_out_of_order = true;
		return vs_fail(err, VS_ENOTSUP, "an export with fields out of order");
	}
	return take_outer(p, event, err);
}

/* Returns 0, 1 with reader->gob.fault filled, or a negative status. */
static int run_pass(struct export_pass *p, const struct unpacked *in, struct vs_err *err)
{
	const struct gob_sink sink = { p, take };
	int r;

	gob_reader_init(&p->reader->gob, in->bytes, in->ending);
	r = gob_reader_next(&p->reader->gob,
			    p->kind == PASS_KEEP ? &chromem_bare_store_shape : &chromem_store_shape,
			    &sink, err);
	if (r > 0)
		return 0;
	if (r < 0 && (p->has_visitor_failed || p->is_out_of_order))
		return r;
	return reader_settle(p->reader, r, err);
}

static int run_two_passes(struct export_pass *p, const struct unpacked *in, struct vs_err *err)
{
	cleanup_(kept_fini) struct kept kept = { 0 };
	struct export_pass first = { .kind = PASS_KEEP, .reader = p->reader, .kept = &kept };
	struct gob_fault fault;
	int first_r;
	int r;

	*err = (struct vs_err){ 0 };
	first_r = run_pass(&first, in, err);
	if (first_r < 0)
		return first_r;
	fault = p->reader->gob.fault;
	*p = (struct export_pass){
		.kind = PASS_KEPT,
		.reader = p->reader,
		.visitor = p->visitor,
		.kept = &kept,
	};
	r = run_pass(p, in, err);
	if (r != 0 || first_r == 0)
		return r;
	p->reader->gob.fault = fault;
	return first_r;
}

static int decode(struct chromem_reader *reader, const struct unpacked *in,
		  const struct chromem_export_visitor *visitor, uint32_t *oddities,
		  struct vs_err *err)
{
	struct export_pass pass = { .reader = reader, .visitor = visitor };
	/* Takes what would be noted of the metadata file of a collection. */
	struct chromem_meta whole = { 0 };
	const struct odd odd = {
		.set = &whole.oddities,
		.off = &whole.odd_off,
		.unknown_field = &whole.unknown_field,
		.crc_stored = &whole.gzip_crc_stored,
		.crc_actual = &whole.gzip_crc_actual,
		.facts = &whole.facts,
	};
	int r = run_pass(&pass, in, err);

	if (pass.is_out_of_order)
		r = run_two_passes(&pass, in, err);
	if (r != 0)
		return r;
	odd_note_store_types(&odd, &reader->gob);
	odd_note_tail(&odd, &reader->gob, (struct slice){ 0 });
	odd_note_unpacked(&odd, in);
	*oddities = whole.oddities | pass.oddities;
	return 0;
}

static int read_bytes(struct chromem_reader *reader, struct slice bytes,
		      const struct chromem_export_visitor *visitor, uint32_t *oddities,
		      struct chromem_fault *fault, struct vs_err *err)
{
	struct unpacked in;
	int r = chromem_unpack(&reader->unpacker, bytes, false, &in, err);

	if (r < 0)
		return r;
	r = bytes.len == 0 || in.has_bad_header ? 1 : decode(reader, &in, visitor, oddities, err);
	return r > 0 ? reader_refuse(reader, bytes, &in, fault, err) : r;
}

int chromem_decode_export(struct slice bytes, const struct chromem_export_visitor *visitor,
			  uint32_t *oddities, struct chromem_fault *fault, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();

	reader->unpacker.limit = CHROMEM_EXPORT_MAX;
	return read_bytes(reader, bytes, visitor, oddities, fault, err);
}

int chromem_export_read(int dirfd, const char *name, const unsigned char *key,
			const struct chromem_export_visitor *visitor, uint32_t *oddities,
			struct chromem_fault *fault, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	struct slice bytes;
	int r;

	reader->unpacker.limit = CHROMEM_EXPORT_MAX;
	r = reader_load(reader, dirfd, name, FILE_FOLLOW, fault, err);
	if (r != 0)
		return r;
	bytes = buf_slice(&reader->file);
	if (key)
		r = chromem_unseal(key, reader->file.ptr, reader->file.len, &bytes, fault, err);
	return r != 0 ? r : read_bytes(reader, bytes, visitor, oddities, fault, err);
}
