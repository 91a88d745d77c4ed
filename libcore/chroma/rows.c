/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records, to be shown: rows of `embeddings` with what hangs on their row number. Nothing is judged
 * here; a column of another type than the server writes shows as what it is.
 */

#include "chroma/chroma.h"

#define DOCUMENT "'chroma:document'"

/* What hangs on a record, as columns behind its own. */
#define RECORD                                                                                     \
	"SELECT e.id, e.embedding_id, e.seq_id, e.created_at, "                                    \
	"(SELECT length(CAST(d.string_value AS BLOB)) FROM embedding_metadata d "                  \
	"WHERE d.id = e.id AND d.key = " DOCUMENT "), "                                            \
	"(SELECT count(*) FROM embedding_metadata k WHERE k.id = e.id AND k.key <> " DOCUMENT ") " \
	"FROM embeddings e "

struct visiting {
	const char *segment; /* NULL: any */
	chroma_record_fn *fn;
	void *ctx;
};

/* The columns of RECORD, and where more than one segment was asked, the segment. */
static int on_record(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	const struct visiting *v = ctx;
	struct chroma_record record = {
		.row = chroma_int(row, 0),
		.id = chroma_bytes(row, 1),
		.created = chroma_bytes(row, 3),
		.has_document = chroma_type(row, 4) == CHROMA_INTEGER,
		.document_len = (uint64_t)VS_MAX(chroma_int(row, 4), 0),
		.keys = (uint64_t)VS_MAX(chroma_int(row, 5), 0),
	};

	record.has_seq = chroma_seq(row, 2, &record.seq_id);
	if (v->segment && !slice_eq_str(chroma_bytes(row, 6), v->segment))
		return 0;
	return v->fn(v->ctx, &record, err);
}

int chroma_records_each(struct chroma_db *db, const char *segment, chroma_record_fn *fn, void *ctx,
			struct vs_err *err)
{
	struct visiting v = { .fn = fn, .ctx = ctx };

	return chroma_query(db, RECORD "WHERE e.segment_id = ? ORDER BY e.id", segment, on_record,
			    &v, err);
}

/* Naming the segments lets SQLite use the index over segment and id. */
int chroma_record_find(struct chroma_db *db, const char *segment, const char *id,
		       chroma_record_fn *fn, void *ctx, struct vs_err *err)
{
	static const char sql[] =
		"SELECT e.id, e.embedding_id, e.seq_id, e.created_at, "
		"(SELECT length(CAST(d.string_value AS BLOB)) FROM embedding_metadata d "
		"WHERE d.id = e.id AND d.key = " DOCUMENT "), 0, e.segment_id FROM embeddings e "
		"WHERE e.segment_id IN (SELECT id FROM segments) AND e.embedding_id = ?";
	struct visiting v = { .segment = segment, .fn = fn, .ctx = ctx };

	return chroma_query(db, sql, id, on_record, &v, err);
}

/* ---- values ---- */

struct value_visiting {
	int (*fn)(void *ctx, const struct chroma_value *value, struct vs_err *err);
	void *ctx;
	bool is_element;
};

/* key, string_value, int_value, float_value, bool_value: the first that is set. */
static int on_value(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	const struct value_visiting *v = ctx;
	struct chroma_value value = { .key = chroma_bytes(row, 0), .is_element = v->is_element };

	for (int column = 1; column <= 4 && value.type == CHROMA_NULL; column++) {
		value.type = chroma_type(row, column);
		value.is_bool = column == 4 && value.type == CHROMA_INTEGER;
		value.integer = chroma_int(row, column);
		value.real = chroma_double(row, column);
		if (value.type == CHROMA_TEXT || value.type == CHROMA_BLOB)
			value.text = chroma_bytes(row, column);
	}
	return v->fn(v->ctx, &value, err);
}

int chroma_record_values(struct chroma_db *db, int64_t row,
			 int (*fn)(void *ctx, const struct chroma_value *value, struct vs_err *err),
			 void *ctx, struct vs_err *err)
{
	/* The newest shape first: truth values came with 0.4.4, lists with 1.5. */
	static const char *const shapes[] = {
		"SELECT key, string_value, int_value, float_value, bool_value "
		"FROM embedding_metadata WHERE id = CAST(? AS INTEGER) ORDER BY key",
		"SELECT key, string_value, int_value, float_value, NULL "
		"FROM embedding_metadata WHERE id = CAST(? AS INTEGER) ORDER BY key",
	};
	struct value_visiting v = { .fn = fn, .ctx = ctx };
	char number[32];
	int r = VS_ENOTSUP;

	snprintf(number, sizeof(number), "%" PRId64, row);
	for (size_t i = 0; r == VS_ENOTSUP && i < VS_COUNT(shapes); i++)
		r = chroma_query(db, shapes[i], number, on_value, &v, err);
	if (r != 0)
		return r;
	v.is_element = true;
	r = chroma_query(db,
			 "SELECT key, string_value, int_value, float_value, bool_value "
			 "FROM embedding_metadata_array WHERE id = CAST(? AS INTEGER) "
			 "ORDER BY key, rowid",
			 number, on_value, &v, err);
	return r == VS_ENOTSUP ? 0 : r;
}

/* ---- databases ---- */

struct place {
	char *tenant, *name;
};

static int on_place(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct place *place = ctx;

	(void)err;
	place->tenant = vs_strndup(chroma_bytes(row, 0));
	place->name = vs_strndup(chroma_bytes(row, 1));
	return 1;
}

int chroma_database_find(struct chroma_db *db, const char *id, char **tenant, char **name,
			 struct vs_err *err)
{
	struct place place = { 0 };
	int r = chroma_query(db, "SELECT tenant_id, name FROM databases WHERE id = ?", id, on_place,
			     &place, err);

	if (r < 0 && r != VS_ENOTSUP)
		return r;
	*tenant = place.tenant;
	*name = place.name;
	return 0;
}
