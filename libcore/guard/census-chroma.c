/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The records of a Chroma store, and their vectors as the server would have them. Whether index, map
 * of ids and queue fit each other is for the check; a vector that cannot be read counts as none.
 */

#include "guard/guard.h"

#include "chroma/chroma.h"
#include "search/search.h"

struct counting {
	struct guard_collection *collection;
	struct guard_document *document;
	struct chroma_db *db;
};

static enum guard_kind kind_of(const struct chroma_value *value)
{
	if (value->is_element)
		return GUARD_KIND_LIST;
	switch (value->type) {
	case CHROMA_INTEGER:
		return value->is_bool ? GUARD_KIND_BOOL : GUARD_KIND_INTEGER;
	case CHROMA_FLOAT:
		return GUARD_KIND_NUMBER;
	case CHROMA_NULL:
		return GUARD_KIND_NULL;
	case CHROMA_TEXT:
	case CHROMA_BLOB:
		break;
	}
	return GUARD_KIND_TEXT;
}

static int on_value(void *ctx, const struct chroma_value *value, struct vs_err *err)
{
	struct counting *c = ctx;

	(void)err;
	guard_document_value(c->collection, c->document, value->key, kind_of(value));
	return 0;
}

static int on_record(void *ctx, const struct chroma_record *record, struct vs_err *err)
{
	struct counting *c = ctx;

	c->document = guard_collection_document(c->collection, record->id);
	if (record->keys == 0 && !record->has_document)
		return 0;
	return chroma_record_values(c->db, record->row, on_value, c, err);
}

static void on_vector(void *ctx, const struct search_vector *vector)
{
	struct guard_document *d;
	size_t count = guard_collection_find(ctx, vector->id, &d);
	enum guard_vector state = GUARD_VECTOR_NOT_FINITE;

	if (!vector->is_not_finite)
		state = guard_vector_state(vector->values, vector->dimension);

	for (size_t i = 0; i < count; i++) {
		d[i].dimension = vector->dimension;
		d[i].vector = (uint8_t)state;
	}
}

static int take_collection(struct guard_census *census, const struct store *store,
			   struct chroma_db *db, const struct chroma_catalog *catalog,
			   const struct chroma_collection *one, struct vs_err *err)
{
	struct counting c = { .db = db };
	int r;

	c.collection = guard_census_collection(census, one->id, one->name);
	if (one->metadata == SIZE_MAX)
		return 0;
	r = chroma_records_each(db, catalog->segments[one->metadata].id, on_record, &c, err);
	if (r < 0)
		return r;
	guard_collection_sort(c.collection);
	for (size_t i = 0; i < c.collection->count; i++)
		c.collection->documents[i].vector = GUARD_VECTOR_NONE;
	return search_vectors_each(db, store->dirfd, catalog, one, on_vector, c.collection, err);
}

int guard_census_chroma(struct guard_census *census, const struct store *store, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	int r;

	r = chroma_db_open(&db, store->dirfd, NULL, err);
	if (r == 0)
		r = chroma_catalog_load(&catalog, db, err);
	for (size_t i = 0; r == 0 && i < catalog.collection_count; i++)
		r = take_collection(census, store, db, &catalog, &catalog.collections[i], err);
	return r;
}
