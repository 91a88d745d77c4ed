/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The library's Go types of an export, which gob data are matched with, and how the types of a file
 * differ from them:
 *
 *	struct { Collections map[string]*persistenceCollection }
 *	persistenceCollection struct {
 *		Name string; Metadata map[string]string; Documents map[string]*Document
 *	}
 */

#include "chromem/read.h"

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
const struct gob_shape chromem_store_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_STORE,
	.go_type = "struct { Collections map[string]*chromem.persistenceCollection }",
	.go_name = "",
	.members = store_members,
	.member_count = VS_COUNT(store_members),
};
static const struct gob_member bare_store_members[] = { { "Collections",
							  &bare_collections_shape } };
const struct gob_shape chromem_bare_store_shape = {
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

bool store_is_in_order(const struct gob_reader *r)
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

void odd_note_store_types(const struct odd *odd, const struct gob_reader *r)
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
