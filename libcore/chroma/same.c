/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an exchange of a collection leaves alone: its own records that are the same on both sides,
 * and the rows of all others, of which a digest is made before and after.
 *
 * A record is the same when its row, its values, and its text in the full-text index are, with the
 * number of the row; one with lists, which are few, is taken to be another. Where numbers of the
 * queue have to change, none is.
 */

#include "chroma/carry-private.h"

/* ---- the same on both sides ---- */

struct comparison {
	struct buf text;
};

static void comparison_fini(struct comparison *l)
{
	buf_fini(&l->text);
}

static int on_column(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct comparison *l = ctx;
	cleanup_(vs_freep) char *name = vs_strndup(chroma_bytes(row, 0));

	(void)err;
	/* Names are ours: the schema is that of a release, and was compared. */
	buf_printf(&l->text, "%sm.\"%s\" IS f.\"%s\"", l->text.len > 0 ? " AND " : "", name, name);
	return 0;
}

/* All columns of @table: `m` is the row here, `f` the one there. */
static int compare_columns(struct carrying *c, const char *table, struct comparison *out,
			   struct vs_err *err)
{
	int r = chroma_query(c->db, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table,
			     on_column, out, err);

	return r == 0 && out->text.len == 0
		       ? vs_fail(err, VS_ENOTSUP, "%s: no table %s", CHROMA_DATABASE, table)
		       : r;
}

/* Records whose own rows are. */
static int begin_same(struct carrying *c, struct vs_err *err)
{
	cleanup_(comparison_fini) struct comparison columns = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r = compare_columns(c, "embeddings", &columns, err);

	buf_printf(&sql,
		   "INSERT INTO temp.carried_same SELECT f.id FROM carried.embeddings f JOIN "
		   "main.embeddings m ON m.id = f.id WHERE f.segment_id IN " SEGMENTS_OF(
			   "carried") " AND m.segment_id IN " SEGMENTS_OF("main") " AND %s",
		   buf_cstr(&columns.text));
	return r == 0 ? carry_run(c, buf_cstr(&sql), NULL, err) : r;
}

/* Less those with another value: one that differs, is missing here, or is missing there. */
static int leave_out_values(struct carrying *c, struct vs_err *err)
{
	cleanup_(comparison_fini) struct comparison columns = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r = compare_columns(c, "embedding_metadata", &columns, err);

	buf_printf(
		&sql,
		"DELETE FROM temp.carried_same WHERE id IN (SELECT f.id FROM temp.carried_same s "
		"CROSS JOIN carried.embedding_metadata f ON f.id = s.id LEFT JOIN "
		"main.embedding_metadata m ON m.id = f.id AND m.key = f.key WHERE m.id IS NULL "
		"OR NOT (%s))",
		buf_cstr(&columns.text));
	if (r == 0)
		r = chroma_edit_exec(c->e, buf_cstr(&sql), err);
	return r < 0 ? r
		     : chroma_edit_exec(
			       c->e,
			       "DELETE FROM temp.carried_same WHERE id IN (SELECT s.id FROM "
			       "temp.carried_same s WHERE (SELECT count(*) FROM "
			       "main.embedding_metadata m WHERE m.id = s.id) <> (SELECT count(*) "
			       "FROM carried.embedding_metadata f WHERE f.id = s.id))",
			       err);
}

/* Less those that search finds by another text. */
static int leave_out_texts(struct carrying *c, struct vs_err *err)
{
	return chroma_edit_exec(
		c->e,
		"DELETE FROM temp.carried_same WHERE id IN (SELECT s.id FROM temp.carried_same s "
		"LEFT JOIN main.embedding_fulltext_search_content m ON m.id = s.id LEFT JOIN "
		"carried.embedding_fulltext_search_content f ON f.id = s.id WHERE m.id IS NOT f.id "
		"OR m.c0 IS NOT f.c0)",
		err);
}

static int leave_out_lists(struct carrying *c, struct vs_err *err)
{
	return chroma_edit_exec(c->e,
				"DELETE FROM temp.carried_same WHERE id IN (SELECT id FROM "
				"main.embedding_metadata_array UNION ALL SELECT id FROM "
				"carried.embedding_metadata_array)",
				err);
}

int carry_find_same(struct carrying *c, struct vs_err *err)
{
	bool has_lists = false;
	int64_t taken = 0;
	int r = chroma_edit_exec(c->e,
				 "CREATE TEMP TABLE IF NOT EXISTS carried_same(id INTEGER PRIMARY "
				 "KEY); DELETE FROM temp.carried_same",
				 err);

	if (r == 0)
		r = carry_ask(
			c,
			"SELECT count(*) FROM main.embeddings_queue WHERE NOT (" IS_TOPIC
			") AND seq_id IN (SELECT seq_id FROM carried.embeddings_queue WHERE " IS_TOPIC
			")",
			&taken, err);
	if (r == 0)
		r = carry_has_table(c, "main", "embedding_metadata_array", &has_lists, err);
	if (r < 0 || taken > 0)
		return r;
	r = begin_same(c, err);
	if (r == 0)
		r = leave_out_values(c, err);
	if (r == 0)
		r = leave_out_texts(c, err);
	if (r == 0 && has_lists)
		r = leave_out_lists(c, err);
	c->keeps_same = r == 0;
	return r;
}

/* ---- all others ---- */

/* Enough to make a call of the digest worth while. */
#define PIECE ((size_t)1 << 16)

struct adding {
	struct digest_ctx *ctx;
	struct buf bytes;
};

static void adding_fini(struct adding *a)
{
	digest_ctx_freep(&a->ctx);
	buf_fini(&a->bytes);
}

static void flush(struct adding *a)
{
	digest_ctx_add(a->ctx, a->bytes.ptr, a->bytes.len);
	buf_clear(&a->bytes);
}

/* Type and length say where each value ends. */
static int on_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct adding *a = ctx;

	(void)err;
	for (int i = 0, n = chroma_columns(row); i < n; i++) {
		uint64_t head[2] = { (uint64_t)chroma_type(row, i), 8 };
		int64_t integer;
		double real;
		const void *ptr = NULL;

		if (head[0] == CHROMA_INTEGER) {
			integer = chroma_int(row, i);
			ptr = &integer;
		} else if (head[0] == CHROMA_FLOAT) {
			real = chroma_double(row, i);
			ptr = &real;
		} else {
			struct slice bytes = chroma_bytes(row, i);

			ptr = bytes.ptr;
			head[1] = bytes.len;
		}
		buf_append(&a->bytes, head, sizeof(head));
		buf_append(&a->bytes, ptr, (size_t)head[1]);
	}
	if (a->bytes.len >= PIECE)
		flush(a);
	return 0;
}

/* Segments that are the collection's on either side, and their records. */
#define OWN_SEGMENTS                                                                               \
	"(SELECT id FROM main.segments WHERE collection = ?1 UNION SELECT id FROM "                \
	"carried.segments WHERE collection = ?1)"
#define OWN_RECORDS "(SELECT id FROM main.embeddings WHERE segment_id IN " OWN_SEGMENTS ")"

int chroma_others_sum(struct chroma_edit *e, const char *from, const char *id, struct digest *out,
		      struct vs_err *err)
{
	/* In the order of their rows, none of which moves. */
	static const char *const tables[][2] = {
		{ "embeddings", "segment_id NOT IN " OWN_SEGMENTS },
		{ "embedding_metadata", "id NOT IN " OWN_RECORDS },
		{ "embedding_fulltext_search_content", "id NOT IN " OWN_RECORDS },
		{ "embedding_metadata_array", "id NOT IN " OWN_RECORDS },
		{ "embeddings_queue", "NOT (" IS_TOPIC ")" },
		{ "collections", "id <> ?1" },
		{ "collection_metadata", "collection_id <> ?1" },
		{ "segments", "collection <> ?1" },
		{ "segment_metadata", "segment_id NOT IN " OWN_SEGMENTS },
	};
	struct carrying c = { .e = e, .db = chroma_edit_db(e), .id = id };
	cleanup_(adding_fini) struct adding a = { .ctx = digest_ctx_new() };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r = carry_attach(&c, from, err);

	digest_ctx_reset(a.ctx);
	for (size_t i = 0; r == 0 && i < VS_COUNT(tables); i++) {
		bool is_there = false;

		digest_ctx_add_u64(a.ctx, i);
		r = carry_has_table(&c, "main", tables[i][0], &is_there, err);
		if (r < 0 || !is_there)
			continue;
		buf_clear(&sql);
		buf_printf(&sql, "SELECT rowid, * FROM main.%s WHERE %s ORDER BY rowid",
			   tables[i][0], tables[i][1]);
		r = chroma_query(c.db, buf_cstr(&sql), id, on_row, &a, err);
		flush(&a);
	}
	digest_ctx_final(a.ctx, out);
	return r;
}
