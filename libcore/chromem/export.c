/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Export files, read: a whole store as one gob value.
 *
 *	struct { Collections map[string]*persistenceCollection }
 *	persistenceCollection struct {
 *		Name string; Metadata map[string]string; Documents map[string]*Document
 *	}
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

/* Tags beyond those of documents and metadata. */
enum {
	TAG_COLLECTION_KEY = TAG_COLLECTION + 1,
	TAG_DOCUMENTS,
	TAG_DOCUMENT_KEY,
	TAG_STORE,
};

/* ---- the Go types ---- */

static const struct gob_shape collection_key_shape = {
	.kind = GOB_STRING,
	.tag = TAG_COLLECTION_KEY,
	.go_type = "string",
};
static const struct gob_shape document_key_shape = {
	.kind = GOB_STRING,
	.tag = TAG_DOCUMENT_KEY,
	.go_type = "string",
};
static const struct gob_shape documents_shape = {
	.kind = GOB_MAP,
	.tag = TAG_DOCUMENTS,
	.go_type = "map[string]*chromem.Document",
	.key = &document_key_shape,
	.elem = &chromem_document_shape,
};

/* The first pass leaves out the last member. */
static const struct gob_member collection_members[] = {
	{ "Name", &chromem_name_shape },
	{ "Metadata", &chromem_metadata_shape },
	{ "Documents", &documents_shape },
};
static const struct gob_shape collection_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_COLLECTION,
	.go_type = "chromem.persistenceCollection",
	.go_name = "persistenceCollection",
	.members = collection_members,
	.member_count = VS_COUNT(collection_members),
};
static const struct gob_shape bare_collection_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_COLLECTION,
	.go_type = "chromem.persistenceCollection",
	.go_name = "persistenceCollection",
	.members = collection_members,
	.member_count = VS_COUNT(collection_members) - 1,
};

static const struct gob_shape collections_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]*chromem.persistenceCollection",
	.key = &collection_key_shape,
	.elem = &collection_shape,
};
static const struct gob_shape bare_collections_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]*chromem.persistenceCollection",
	.key = &collection_key_shape,
	.elem = &bare_collection_shape,
};

static const struct gob_member store_members[] = { { "Collections", &collections_shape } };
static const struct gob_shape store_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_STORE,
	.go_type = "struct { Collections map[string]*chromem.persistenceCollection }",
	.go_name = "",
	.members = store_members,
	.member_count = VS_COUNT(store_members),
};
static const struct gob_member bare_store_members[] = { { "Collections",
							  &bare_collections_shape } };
static const struct gob_shape bare_store_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_STORE,
	.go_type = "struct { Collections map[string]*chromem.persistenceCollection }",
	.go_name = "",
	.members = bare_store_members,
	.member_count = VS_COUNT(bare_store_members),
};

static const char *const store_fields[] = { "Collections" };
static const char *const collection_fields[] = { "Name", "Metadata", "Documents" };
static const struct library_type library_store = {
	.name = "",
	.fields = store_fields,
	.field_count = VS_COUNT(store_fields),
	.definitions = 7,
};
static const struct library_type library_collection = {
	.name = "",
	.fields = collection_fields,
	.field_count = VS_COUNT(collection_fields),
};

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
	bool had_duplicates;
	int r;

	if (p->is_announced)
		return 0;
	p->is_announced = true;
	r = pairs_settle(pairs, &had_duplicates, err);
	if (r < 0)
		return r;
	if (had_duplicates)
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
	const struct kept_meta *kept = &p->kept->metas[p->begun - 1];

	p->is_announced = true;
	/* Here the first pass met its end, and this one will. */
	if (is_beyond_kept(p))
		return 0;
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

/* ---- the types of the file ---- */

static const struct gob_type *struct_type(const struct gob_reader *r, int32_t number)
{
	const struct gob_type *type = gob_reader_type(r, number);

	return type && type->present == 1u << GOB_WIRE_STRUCT ? type : NULL;
}

/* The struct that @type has a map of, in the field @name; NULL when there is no such thing. */
static const struct gob_type *element_type(const struct gob_reader *r, const struct gob_type *type,
					   const char *name)
{
	const struct gob_type *map;

	for (uint32_t i = 0; type && i < type->field_count; i++) {
		const struct gob_type_field *field = gob_type_field_at(r, type, i);

		if (!slice_eq_str(field->name, name))
			continue;
		map = gob_reader_type(r, field->type);
		return map ? struct_type(r, map->map_elem) : NULL;
	}
	return NULL;
}

/*
 * Do name, metadata and documents of a collection come in this order, each at most once? The fields
 * of a value come as its type has them.
 */
static bool are_in_order(const struct gob_reader *r)
{
	const struct gob_type *store = struct_type(r, r->notes.type);
	const struct gob_type *type = element_type(r, store, "Collections");
	unsigned seen = 0;

	/* Something besides the collections; perhaps more collections, of another type. */
	if (!store || store->field_count != 1)
		return false;
	for (uint32_t i = 0; type && i < type->field_count; i++) {
		const struct gob_type_field *field = gob_type_field_at(r, type, i);

		for (unsigned k = 0; k < library_collection.field_count; k++) {
			if (!slice_eq_str(field->name, library_collection.fields[k]))
				continue;
			if (seen >= 1u << k)
				return false;
			seen |= 1u << k;
		}
	}
	return true;
}

/* Fields that the library's type has not, the reverse, and another order. */
static void note_types(const struct odd *odd, const struct gob_reader *r)
{
	const struct gob_type *store = struct_type(r, r->notes.type);
	const struct gob_type *collection = element_type(r, store, "Collections");
	const struct gob_type *document = element_type(r, collection, "Documents");
	bool are_ordered = r->type_count == library_store.definitions;

	if (store)
		are_ordered &= odd_note_fields(odd, r, store, &library_store);
	if (collection)
		are_ordered &= odd_note_fields(odd, r, collection, &library_collection);
	if (document)
		are_ordered &= odd_note_fields(odd, r, document, &chromem_library_document);
	if (!are_ordered)
		odd_note(odd, CHROMEM_ODD_FOREIGN_TYPES, r->notes.value_off);
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
	if (tag == TAG_STORE && p->kind == PASS_ORDERED && !are_in_order(&p->reader->gob)) {
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
			    p->kind == PASS_KEEP ? &bare_store_shape : &store_shape, &sink, err);
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
	note_types(&odd, &reader->gob);
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
