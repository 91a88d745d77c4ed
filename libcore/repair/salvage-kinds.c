/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What rows of Chroma's tables look like, in all generations: by that a page that no tree leads to any
 * more is known.
 *
 *	U	a uuid as text		u	or NULL		X	a segment's type
 *	T	text			t	or NULL		N	anything
 *	I	integer			i	or NULL		P	NULL: the row's number
 *	r	number or NULL		b	blob or NULL	S	a number of the queue
 *
 * Columns behind a slash may be missing: ALTER TABLE adds them without touching the rows.
 */

#include "repair/salvage-private.h"

const struct kind_row salvage_kinds[KIND_COUNT] = {
	[KIND_MIGRATIONS] = { "migrations", "r_migrations", { "TITTT", NULL } },
	[KIND_SEGMENTS] = { "segments", "r_segments", { "UXTu", "UXTtu" } },
	[KIND_COLLECTIONS] = { "collections", "r_collections", { "UTiU/tt", "UTT/iU" } },
	[KIND_QUEUE] = { "embeddings_queue", "r_queue", { "PNITTbtt", NULL } },
	[KIND_EMBEDDINGS] = { "embeddings", "r_embeddings", { "PUTSN", NULL } },
	[KIND_METADATA] = { "embedding_metadata", "r_metadata", { "ITtir/i", NULL } },
	[KIND_ARRAY] = { "embedding_metadata_array", "r_array", { "ITtiri", NULL } },
	[KIND_COLLECTION_METADATA] = { "collection_metadata",
				       "r_collection_metadata",
				       { "UTtir/i", NULL } },
	[KIND_SEGMENT_METADATA] = { "segment_metadata", "r_segment_metadata", { "UTtir/i", NULL } },
	[KIND_MAX_SEQ_ID] = { "max_seq_id", "r_max_seq_id", { "US", NULL } },
	[KIND_DATABASES] = { "databases", "r_databases", { "UTT", NULL } },
	[KIND_QUEUE_CONFIG] = { "embeddings_queue_config", "r_queue_config", { "Pt", NULL } },
	[KIND_FTS_CONTENT] = { "embedding_fulltext_search_content", "r_fts", { "Pt", NULL } },
	[KIND_MAINTENANCE] = { "maintenance_log", "r_maintenance", { "iNT", NULL } },
	[KIND_TENANTS] = { "tenants", "r_tenants", { "T", NULL } },
	[KIND_ACQUIRE_WRITE] = { "acquire_write", "r_acquire", { "PI", NULL } },
	[KIND_IX_EMBEDDINGS] = { "sqlite_autoindex_embeddings_1", "x_id", { "UTI", NULL } },
	[KIND_IX_KEY] = { "sqlite_autoindex_embedding_metadata_1", "x_key", { "ITI", NULL } },
	[KIND_IX_STRING] = { "embedding_metadata_string_value", "x_string", { "TTI", NULL } },
	[KIND_IX_INT] = { "embedding_metadata_int_value", "x_int", { "TII", NULL } },
	[KIND_IX_FLOAT] = { "embedding_metadata_float_value", "x_float", { "TrI", NULL } },
	[KIND_IX_ARRAY_KEY] = { "embedding_metadata_array_id_key", "x_akey", { "ITI", NULL } },
	[KIND_IX_ARRAY_STRING] = { "embedding_metadata_array_key_string",
				   "x_astring",
				   { "TTI", NULL } },
	[KIND_IX_ARRAY_INT] = { "embedding_metadata_array_key_int", "x_aint", { "TII", NULL } },
	[KIND_IX_ARRAY_FLOAT] = { "embedding_metadata_array_key_float",
				  "x_afloat",
				  { "TrI", NULL } },
	[KIND_IX_COLLECTION_ID] = { "sqlite_autoindex_collections_1", "x_cid", { "UI", NULL } },
	[KIND_IX_COLLECTION_NAME] = { "sqlite_autoindex_collections_2",
				      "x_cname",
				      { "TUI", "TI" } },
	[KIND_IX_DATABASE_ID] = { "sqlite_autoindex_databases_1", "x_did", { "UI", NULL } },
	[KIND_IX_DATABASE_NAME] = { "sqlite_autoindex_databases_2", "x_dname", { "TTI", NULL } },
};

static bool is_uuid(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
		unsigned char c = text.ptr[i];

		if (is_dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return text.len == 36;
}

static bool value_fits(char letter, const struct sqlitefile_value *v)
{
	static const char urn[] = "urn:";
	bool is_text = v->type == SQLITEFILE_TEXT;
	bool is_null = v->type == SQLITEFILE_NULL;

	if (v->type == SQLITEFILE_LOST)
		return true;
	if (is_text && !utf8_is_valid(v->bytes))
		return false;
	switch (letter) {
	case 'U':
		return is_text && is_uuid(v->bytes);
	case 'u':
		return is_null || (is_text && is_uuid(v->bytes));
	case 'X':
		return is_text && v->bytes.len > 4 && memcmp(v->bytes.ptr, urn, 4) == 0;
	case 'T':
		return is_text;
	case 't':
		return is_text || is_null;
	case 'I':
		return v->type == SQLITEFILE_INTEGER;
	case 'i':
		return v->type == SQLITEFILE_INTEGER || is_null;
	case 'P':
		return is_null;
	case 'r':
		return v->type == SQLITEFILE_INTEGER || v->type == SQLITEFILE_REAL || is_null;
	case 'b':
		return v->type == SQLITEFILE_BLOB || is_null;
	case 'S':
		return v->type == SQLITEFILE_INTEGER ||
		       (v->type == SQLITEFILE_BLOB && v->bytes.len == 8);
	default:
		return true;
	}
}

static bool shape_fits(const char *shape, const struct sqlitefile_row *row)
{
	bool is_optional = false;
	uint32_t i = 0;

	for (; *shape != '\0'; shape++) {
		if (*shape == '/') {
			is_optional = true;
			continue;
		}
		if (i == row->count)
			return is_optional;
		if (!value_fits(*shape, &row->value[i++]))
			return false;
	}
	return i == row->count;
}

/* Two tables of a number and a text: the settings of the queue are JSON of one class. */
static bool is_queue_config(const struct sqlitefile_row *row)
{
	static const char class[] = "EmbeddingsQueueConfiguration";
	const struct slice text = row->value[1].bytes;

	return row->value[1].type == SQLITEFILE_TEXT && row->rowid == 1 &&
	       memmem(text.ptr, text.len, class, strlen(class)) != NULL;
}

bool kind_fits(enum salvage_kind kind, const struct sqlitefile_row *row)
{
	const struct kind_row *k = &salvage_kinds[kind];

	if (!shape_fits(k->shape[0], row) && !(k->shape[1] && shape_fits(k->shape[1], row)))
		return false;
	if (kind == KIND_QUEUE_CONFIG)
		return is_queue_config(row);
	return true;
}
