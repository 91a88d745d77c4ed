/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The records of a Chroma store. Whether its vectors are where they should be is for the check, which
 * holds index, map of ids and queue against each other; here they are not looked at.
 */

#include "guard/guard.h"

#include "chroma/chroma.h"

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

int guard_census_chroma(struct guard_census *census, const struct store *store, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	int r;

	r = chroma_db_open(&db, store->dirfd, NULL, err);
	if (r == 0)
		r = chroma_catalog_load(&catalog, db, err);
	for (size_t i = 0; r == 0 && i < catalog.collection_count; i++) {
		const struct chroma_collection *one = &catalog.collections[i];
		struct counting c = { .db = db };

		c.collection = guard_census_collection(census, one->id, one->name);
		if (one->metadata != SIZE_MAX)
			r = chroma_records_each(db, catalog.segments[one->metadata].id, on_record,
						&c, err);
	}
	return r;
}
