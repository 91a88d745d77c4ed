/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collection's rows out of a database; see carry.h. Foreign keys are never enforced in these
 * databases, so each table is named here.
 */

#include "chroma/carry-private.h"

/* ---- asking ---- */

int carry_run(struct carrying *c, const char *sql, int64_t *changed, struct vs_err *err)
{
	struct chroma_arg arg = { .type = CHROMA_TEXT, .bytes = slice_str(c->id) };

	return chroma_edit_run(c->e, sql, &arg, 1, changed, err);
}

int carry_ask(struct carrying *c, const char *sql, int64_t *out, struct vs_err *err)
{
	return chroma_query_int(c->db, sql, strstr(sql, "?1") ? c->id : NULL, out, err);
}

int carry_has_table(struct carrying *c, const char *schema, const char *table, bool *out,
		    struct vs_err *err)
{
	char sql[128];
	int64_t count = 0;
	int r;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s.sqlite_master WHERE name = '%s'",
		 schema, table);
	r = carry_ask(c, sql, &count, err);
	*out = count > 0;
	return r;
}

/* ---- numbering of the queue ---- */

int carry_find_top(struct carrying *c, int64_t *top, struct vs_err *err)
{
	return carry_ask(c, "SELECT ifnull(max(seq_id), 0) FROM main.embeddings_queue", top, err);
}

static void format_seq(int64_t value, unsigned char out[8])
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char)((uint64_t)value >> (56 - 8 * i));
}

int carry_settle_positions(struct carrying *c, int64_t old, struct vs_err *err)
{
	unsigned char top_bytes[8], old_bytes[8];
	struct chroma_arg args[2] = { { .type = CHROMA_INTEGER },
				      { .type = CHROMA_INTEGER, .integer = old } };
	int64_t top = 0;
	int r = carry_find_top(c, &top, err);

	if (r < 0 || top >= old)
		return r;
	args[0].integer = top;
	r = chroma_edit_run(c->e,
			    "UPDATE main.max_seq_id SET seq_id = ?1 WHERE typeof(seq_id) = "
			    "'integer' AND seq_id > ?1 AND seq_id <= ?2",
			    args, VS_COUNT(args), NULL, err);
	if (r < 0)
		return r;
	/* As bytes they have the same order. */
	format_seq(top, top_bytes);
	format_seq(old, old_bytes);
	args[0] = (struct chroma_arg){ .type = CHROMA_BLOB, .bytes = slice_of(top_bytes, 8) };
	args[1] = (struct chroma_arg){ .type = CHROMA_BLOB, .bytes = slice_of(old_bytes, 8) };
	return chroma_edit_run(c->e,
			       "UPDATE main.max_seq_id SET seq_id = ?1 WHERE typeof(seq_id) = "
			       "'blob' AND length(seq_id) = 8 AND seq_id > ?1 AND seq_id <= ?2",
			       args, VS_COUNT(args), NULL, err);
}

/* ---- out ---- */

int carry_drop_records(struct carrying *c, const char *segments, struct vs_err *err)
{
	static const char *const tables[][2] = {
		{ "embedding_fulltext_search", "rowid" },
		{ "embedding_metadata_array", "id" },
		{ "embedding_metadata", "id" },
	};
	const char *but = c->keeps_same ? " AND NOT " ARE_SAME : "";
	cleanup_(buf_fini) struct buf sql = { 0 };
	int64_t count = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(tables); i++) {
		bool is_there = false;

		r = carry_has_table(c, "main", tables[i][0], &is_there, err);
		if (r < 0 || !is_there)
			continue;
		buf_clear(&sql);
		buf_printf(&sql,
			   "DELETE FROM main.%s WHERE %s IN (SELECT id FROM main.embeddings WHERE "
			   "segment_id IN %s%s)",
			   tables[i][0], tables[i][1], segments, but);
		r = carry_run(c, buf_cstr(&sql), NULL, err);
	}
	buf_clear(&sql);
	buf_printf(&sql, "DELETE FROM main.embeddings WHERE segment_id IN %s%s", segments, but);
	if (r == 0)
		r = carry_run(c, buf_cstr(&sql), &count, err);
	c->out.records += (uint64_t)count;
	return r;
}

int carry_drop_rows(struct carrying *c, struct vs_err *err)
{
	static const char *const rest[] = {
		"DELETE FROM main.max_seq_id WHERE segment_id IN " SEGMENTS_OF("main"),
		"DELETE FROM main.segment_metadata WHERE segment_id IN " SEGMENTS_OF("main"),
		"DELETE FROM main.segments WHERE collection = ?1",
		"DELETE FROM main.collection_metadata WHERE collection_id = ?1",
		"DELETE FROM main.collections WHERE id = ?1",
	};
	int64_t count = 0;
	int r = carry_drop_records(c, SEGMENTS_OF("main"), err);

	if (r == 0)
		r = carry_run(c, "DELETE FROM main.embeddings_queue WHERE " IS_TOPIC, &count, err);
	c->out.queued = (uint64_t)count;
	for (size_t i = 0; r == 0 && i < VS_COUNT(rest); i++)
		r = carry_run(c, rest[i], NULL, err);
	return r;
}

int chroma_drop(struct chroma_edit *e, const char *id, struct chroma_carried *out,
		struct vs_err *err)
{
	struct carrying c = { .e = e, .db = chroma_edit_db(e), .id = id };
	int64_t count = 0, top = 0;
	int r = carry_ask(&c, "SELECT count(*) FROM main.collections WHERE id = ?1", &count, err);

	if (r == 0 && count == 0)
		return vs_fail(err, VS_ENOENT, "%s: no collection has the id %s", CHROMA_DATABASE,
			       id);
	if (r == 0)
		r = carry_find_top(&c, &top, err);
	if (r == 0)
		r = carry_drop_rows(&c, err);
	if (r == 0)
		r = carry_settle_positions(&c, top, err);
	if (r == 0 && out)
		*out = c.out;
	return r;
}
