/* SPDX-License-Identifier: Apache-2.0 */

/*
 * contextd's write-ahead log, as far as it tells where documents belong.
 *
 * A directory beside the store it protects (`.claude/contextd/wal` and `.../store`), with a file
 * `{add|delete}_{32 hex}.wal` for each write: one gob value, never compressed,
 *
 *	struct {
 *		ID, Operation string
 *		Docs []struct {
 *			ID, Content string
 *			Metadata map[string]interface{}
 *			Collection string
 *		}
 *		IDs []string
 *		Timestamp time.Time; Synced bool; Checksum []byte; RemoteState string
 *		SyncAttempts int; LastAttempt time.Time; SyncError string
 *	}
 *
 * Fields that are not asked for are skipped. Values of the metadata are strings in practice; a
 * value of any other registered type is read and dropped, and where one has a type that Go's own
 * decoder would not know here either, the entry is read again without the metadata.
 */

#include "chromem/chromem.h"

#include "gob/gob.h"

enum {
	TAG_NONE,
	TAG_DOC,
	TAG_ID,
	TAG_COLLECTION,
	TAG_KEY,
	TAG_VALUE,
};

static const struct gob_shape plain_string = { .kind = GOB_STRING, .go_type = "string" };
static const struct gob_shape id_shape = { .kind = GOB_STRING, .tag = TAG_ID, .go_type = "string" };
static const struct gob_shape collection_shape = { .kind = GOB_STRING,
						   .tag = TAG_COLLECTION,
						   .go_type = "string" };
static const struct gob_shape key_shape = { .kind = GOB_STRING,
					    .tag = TAG_KEY,
					    .go_type = "string" };
static const struct gob_shape value_shape = { .kind = GOB_STRING,
					      .tag = TAG_VALUE,
					      .go_type = "string" };
static const struct gob_shape bool_shape = { .kind = GOB_BOOL, .go_type = "bool" };
static const struct gob_shape int_shape = { .kind = GOB_INT64, .go_type = "int64" };
static const struct gob_shape uint_shape = { .kind = GOB_UINT64, .go_type = "uint64" };
static const struct gob_shape float_shape = { .kind = GOB_FLOAT64, .go_type = "float64" };
static const struct gob_shape strings_shape = { .kind = GOB_SLICE,
						.go_type = "[]string",
						.elem = &plain_string };

/* What encoding/gob registers by itself and a JSON value or a counter can be. */
static const struct gob_member registered[] = {
	{ "string", &value_shape },  { "bool", &bool_shape },        { "int", &int_shape },
	{ "int32", &int_shape },     { "int64", &int_shape },        { "uint", &uint_shape },
	{ "uint32", &uint_shape },   { "uint64", &uint_shape },      { "float32", &float_shape },
	{ "float64", &float_shape }, { "[]string", &strings_shape },
};
static const struct gob_shape any_shape = {
	.kind = GOB_INTERFACE,
	.go_type = "interface {}",
	.members = registered,
	.member_count = VS_COUNT(registered),
};
static const struct gob_shape metadata_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]interface {}",
	.key = &key_shape,
	.elem = &any_shape,
};

/* The second pass leaves out the last member. */
static const struct gob_member doc_members[] = {
	{ "ID", &id_shape },
	{ "Collection", &collection_shape },
	{ "Metadata", &metadata_shape },
};
static const struct gob_shape doc_shapes[] = {
	{ .kind = GOB_STRUCT,
	  .tag = TAG_DOC,
	  .go_type = "vectorstore.Document",
	  .go_name = "Document",
	  .members = doc_members,
	  .member_count = VS_COUNT(doc_members) },
	{ .kind = GOB_STRUCT,
	  .tag = TAG_DOC,
	  .go_type = "vectorstore.Document",
	  .go_name = "Document",
	  .members = doc_members,
	  .member_count = VS_COUNT(doc_members) - 1 },
};
static const struct gob_shape docs_shapes[] = {
	{ .kind = GOB_SLICE, .go_type = "[]vectorstore.Document", .elem = &doc_shapes[0] },
	{ .kind = GOB_SLICE, .go_type = "[]vectorstore.Document", .elem = &doc_shapes[1] },
};
static const struct gob_member entry_members[][1] = {
	{ { "Docs", &docs_shapes[0] } },
	{ { "Docs", &docs_shapes[1] } },
};
static const struct gob_shape entry_shapes[] = {
	{ .kind = GOB_STRUCT,
	  .go_type = "vectorstore.WALEntry",
	  .go_name = "WALEntry",
	  .members = entry_members[0],
	  .member_count = 1 },
	{ .kind = GOB_STRUCT,
	  .go_type = "vectorstore.WALEntry",
	  .go_name = "WALEntry",
	  .members = entry_members[1],
	  .member_count = 1 },
};

/* Documents as they are read. Slices point into the input. */
struct wal_reading {
	struct wal_doc {
		struct slice id, collection;
		size_t first_pair, pair_count;
	} * docs;
	size_t count, cap;
	struct chromem_pair *pairs;
	size_t pair_count, pair_cap;
	struct slice key;
};

static void wal_reading_fini(struct wal_reading *w)
{
	free(w->docs);
	free(w->pairs);
}

static void wal_string(struct wal_reading *w, const struct gob_event *event)
{
	struct wal_doc *doc = w->count > 0 ? &w->docs[w->count - 1] : NULL;

	if (!doc)
		return;
	switch (event->shape->tag) {
	case TAG_ID:
		doc->id = event->bytes;
		break;
	case TAG_COLLECTION:
		doc->collection = event->bytes;
		break;
	case TAG_KEY:
		w->key = event->bytes;
		break;
	case TAG_VALUE:
		w->pairs = vs_grow(w->pairs, &w->pair_cap, w->pair_count + 1, sizeof(*w->pairs));
		w->pairs[w->pair_count++] = (struct chromem_pair){ w->key, event->bytes };
		doc->pair_count++;
		break;
	default:
		break;
	}
}

static int wal_value(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct wal_reading *w = ctx;

	(void)err;
	if (event->kind == GOB_BEGIN && event->shape->tag == TAG_DOC) {
		w->docs = vs_grow(w->docs, &w->cap, w->count + 1, sizeof(*w->docs));
		w->docs[w->count++] = (struct wal_doc){ .first_pair = w->pair_count };
	} else if (event->kind == GOB_VALUE && event->shape->kind == GOB_STRING) {
		wal_string(w, event);
	}
	return 0;
}

int contextd_wal_docs(struct slice bytes, contextd_wal_fn *fn, void *ctx, struct vs_err *err)
{
	cleanup_(gob_reader_fini) struct gob_reader reader = { 0 };
	cleanup_(wal_reading_fini) struct wal_reading w = { 0 };
	struct gob_sink sink = { .ctx = &w, .value = wal_value };
	int r = 0;

	for (size_t pass = 0; r == 0 && pass < VS_COUNT(entry_shapes); pass++) {
		w.count = 0;
		w.pair_count = 0;
		gob_reader_init(&reader, bytes, (struct gob_ending){ 0 });
		r = gob_reader_next(&reader, &entry_shapes[pass], &sink, err);
	}
	if (r <= 0)
		return r < 0 ? r : 1;
	for (size_t i = 0; i < w.count; i++) {
		const struct wal_doc *doc = &w.docs[i];
		struct contextd_wal_doc out = {
			.id = doc->id,
			.collection = doc->collection,
			.metadata = w.pairs + (w.pair_count > 0 ? doc->first_pair : 0),
			.metadata_count = doc->pair_count,
		};

		r = fn(ctx, &out, err);
		if (r != 0)
			return r;
	}
	return 0;
}
