/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The library's Go types, which gob data are matched with:
 *
 *	type Document struct {
 *		ID string; Metadata map[string]string; Embedding []float32; Content string
 *	}
 *	struct { Name string; Metadata map[string]string }
 */

#include "chromem/read.h"

const struct gob_shape chromem_string_shape = { .kind = GOB_STRING, .go_type = "string" };
const struct gob_shape chromem_name_shape = {
	.kind = GOB_STRING,
	.tag = TAG_NAME,
	.go_type = "string",
};
static const struct gob_shape id_shape = {
	.kind = GOB_STRING,
	.tag = TAG_ID,
	.go_type = "string",
};
static const struct gob_shape content_shape = {
	.kind = GOB_STRING,
	.tag = TAG_CONTENT,
	.go_type = "string",
};

static const struct gob_shape key_shape = {
	.kind = GOB_STRING,
	.tag = TAG_KEY,
	.go_type = "string",
};
static const struct gob_shape value_shape = {
	.kind = GOB_STRING,
	.tag = TAG_VALUE,
	.go_type = "string",
};
const struct gob_shape chromem_metadata_shape = {
	.kind = GOB_MAP,
	.tag = TAG_METADATA,
	.go_type = "map[string]string",
	.key = &key_shape,
	.elem = &value_shape,
};

static const struct gob_shape element_shape = {
	.kind = GOB_FLOAT32,
	.tag = TAG_ELEMENT,
	.go_type = "float32",
};
static const struct gob_shape embedding_shape = {
	.kind = GOB_SLICE,
	.tag = TAG_EMBEDDING,
	.go_type = "[]float32",
	.elem = &element_shape,
};

static const struct gob_member document_members[] = {
	{ "ID", &id_shape },
	{ "Metadata", &chromem_metadata_shape },
	{ "Embedding", &embedding_shape },
	{ "Content", &content_shape },
};
const struct gob_shape chromem_document_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_DOCUMENT,
	.go_type = "chromem.Document",
	.go_name = "Document",
	.members = document_members,
	.member_count = VS_COUNT(document_members),
};

static const struct gob_member collection_members[] = {
	{ "Name", &chromem_name_shape },
	{ "Metadata", &chromem_metadata_shape },
};
const struct gob_shape chromem_collection_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_COLLECTION,
	.go_type = "struct { Name string; Metadata map[string]string }",
	.go_name = "",
	.members = collection_members,
	.member_count = VS_COUNT(collection_members),
};

static const char *const document_fields[] = { "ID", "Metadata", "Embedding", "Content" };
const struct library_type chromem_library_document = {
	.name = "Document",
	.fields = document_fields,
	.field_count = VS_COUNT(document_fields),
	.definitions = 3,
};

static const char *const collection_fields[] = { "Name", "Metadata" };
const struct library_type chromem_library_collection = {
	.name = "",
	.fields = collection_fields,
	.field_count = VS_COUNT(collection_fields),
	.definitions = 2,
};
