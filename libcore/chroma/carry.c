/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collection's rows into a database from another; see carry.h. How they are numbered here stands in
 * temp.carried_rows.
 */

#include "chroma/carry-private.h"

/* What a collection that was removed has left behind, as no cascade ever fires: by its own id, and
 * by those of the segments that come. */
static int drop_leftovers(struct carrying *c, struct vs_err *err)
{
	static const char *const rest[] = {
		"DELETE FROM main.max_seq_id WHERE segment_id IN " SEGMENTS_OF("carried"),
		"DELETE FROM main.segment_metadata WHERE segment_id IN " SEGMENTS_OF("carried"),
	};
	int r = carry_drop_rows(c, err);

	if (r == 0)
		r = carry_drop_records(c, SEGMENTS_OF("carried"), err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(rest); i++)
		r = carry_run(c, rest[i], NULL, err);
	c->out = (struct chroma_carried){ 0 };
	return r;
}

/* ---- in: may it come? ---- */

int carry_check_schema(struct carrying *c, struct vs_err *err)
{
	int64_t differences = 0;
	int r = carry_ask(
		c,
		"SELECT (SELECT count(*) FROM (SELECT dir, version FROM main.migrations EXCEPT "
		"SELECT dir, version FROM carried.migrations)) + (SELECT count(*) FROM "
		"(SELECT dir, version FROM carried.migrations EXCEPT SELECT dir, version FROM "
		"main.migrations))",
		&differences, err);

	if (r == 0 && differences > 0)
		return vs_fail(
			err, VS_ENOTSUP,
			"the tables of the one database and of the other are those of "
			"different releases of Chroma, so a single collection cannot go from "
			"one to the other");
	return r;
}

static int check_collection(struct carrying *c, bool has_databases, struct vs_err *err)
{
	int64_t there = 0, here = 0, named = 0, placed = 1, foreign = 0;
	int r = carry_ask(c, "SELECT count(*) FROM carried.collections WHERE id = ?1", &there, err);

	if (r == 0)
		r = carry_ask(c, "SELECT count(*) FROM main.collections WHERE id = ?1", &here, err);
	if (r == 0)
		r = carry_ask(
			c,
			has_databases
				? "SELECT count(*) FROM main.collections m JOIN "
				  "carried.collections f ON m.name = f.name AND m.database_id = "
				  "f.database_id WHERE f.id = ?1"
				: "SELECT count(*) FROM main.collections m JOIN "
				  "carried.collections f ON m.name = f.name WHERE f.id = ?1",
			&named, err);
	/* A database of that name may have been made again since, under another id. */
	if (r == 0 && has_databases)
		r = carry_ask(
			c,
			"SELECT NOT EXISTS (SELECT 1 FROM carried.collections f JOIN "
			"carried.databases d ON d.id = f.database_id JOIN main.databases m ON m.name = "
			"d.name AND m.tenant_id = d.tenant_id AND m.id <> d.id WHERE f.id = ?1)",
			&placed, err);
	if (r == 0)
		r = carry_ask(
			c,
			"SELECT count(*) FROM main.segments WHERE collection <> ?1 AND id IN " SEGMENTS_OF(
				"carried"),
			&foreign, err);
	if (r < 0)
		return r;
	if (foreign > 0)
		return vs_fail(err, VS_EBUSY,
			       "%s: a segment of %s belongs to another collection by now",
			       CHROMA_DATABASE, c->id);
	if (there == 0)
		return vs_fail(err, VS_ENOENT, "no collection there has the id %s", c->id);
	if (here > 0)
		return vs_fail(err, VS_EBUSY, "%s: there is a collection with the id %s",
			       CHROMA_DATABASE, c->id);
	if (named > 0)
		return vs_fail(err, VS_EBUSY,
			       "%s: another collection has the name of %s by now; rename or "
			       "remove that one first",
			       CHROMA_DATABASE, c->id);
	if (placed == 0)
		return vs_fail(err, VS_EBUSY,
			       "%s: the database that %s was in is another by now, of the same "
			       "name; rename that one first",
			       CHROMA_DATABASE, c->id);
	return 0;
}

/* ---- in: numbers ---- */

/* Is a number of its records taken, be it by what hangs on a record that is no more? */
static int find_rows(struct carrying *c, bool has_lists, struct vs_err *err)
{
	static const char *const taken[] = {
		"SELECT count(*) FROM main.embeddings WHERE id IN " RECORDS_OF("carried"),
		"SELECT count(*) FROM main.embedding_metadata WHERE id IN " RECORDS_OF("carried"),
		"SELECT count(*) FROM main.embedding_fulltext_search_content WHERE id IN " RECORDS_OF(
			"carried"),
		"SELECT count(*) FROM main.embedding_metadata_array WHERE id IN " RECORDS_OF(
			"carried"),
	};
	const char *but = c->keeps_same ? " AND NOT " ARE_SAME : "";
	struct chroma_arg args[] = { { .type = CHROMA_TEXT, .bytes = slice_str(c->id) },
				     { .type = CHROMA_INTEGER } };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int64_t count = 0, base = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && !c->out.is_renumbered && i < VS_COUNT(taken) - !has_lists;
	     i++) {
		buf_clear(&sql);
		buf_printf(&sql, "%s%s", taken[i], but);
		r = carry_ask(c, buf_cstr(&sql), &count, err);
		c->out.is_renumbered = count > 0;
	}
	if (r == 0 && c->out.is_renumbered)
		r = carry_ask(
			c,
			"SELECT max((SELECT ifnull(max(id), 0) FROM main.embeddings), (SELECT "
			"ifnull(max(id), 0) FROM main.embedding_metadata), (SELECT ifnull(max(id), 0) "
			"FROM main.embedding_fulltext_search_content))",
			&base, err);
	count = 0;
	if (r == 0 && c->out.is_renumbered && has_lists)
		r = carry_ask(c, "SELECT ifnull(max(id), 0) FROM main.embedding_metadata_array",
			      &count, err);
	args[1].integer = VS_MAX(base, count);
	if (r == 0)
		r = chroma_edit_exec(c->e,
				     "CREATE TEMP TABLE IF NOT EXISTS carried_rows(old INTEGER "
				     "PRIMARY KEY, new INTEGER); DELETE FROM temp.carried_rows",
				     err);
	if (r < 0)
		return r;
	buf_clear(&sql);
	buf_printf(&sql,
		   "INSERT INTO temp.carried_rows SELECT id, %s FROM carried.embeddings WHERE "
		   "segment_id IN " SEGMENTS_OF("carried") "%s",
		   c->out.is_renumbered ? "?2 + row_number() OVER (ORDER BY id)" : "id", but);
	return chroma_edit_run(c->e, buf_cstr(&sql), args, c->out.is_renumbered ? 2 : 1, NULL, err);
}

/* By how much its numbers of the queue must rise where one of them is somebody else's by now. */
static int find_shift(struct carrying *c, struct vs_err *err)
{
	int64_t taken = 0, blobs = 0, top = 0, first = 0;
	int r = carry_ask(
		c,
		"SELECT count(*) FROM main.embeddings_queue WHERE seq_id IN (SELECT seq_id "
		"FROM carried.embeddings_queue WHERE " IS_TOPIC ")",
		&taken, err);

	if (r < 0 || taken == 0)
		return r;
	r = carry_ask(c,
		      "SELECT count(*) FROM carried.max_seq_id WHERE typeof(seq_id) = 'blob' AND "
		      "segment_id IN " SEGMENTS_OF("carried"),
		      &blobs, err);
	if (r == 0 && blobs > 0)
		return vs_fail(err, VS_ENOTSUP,
			       "numbers that the queue gave to collection %s are another's by now, "
			       "and a release before 1.0 wrote them as bytes; bring back the whole "
			       "store instead",
			       c->id);
	if (r == 0)
		r = carry_ask(c,
			      "SELECT max((SELECT max(seq_id) FROM main.embeddings_queue), (SELECT "
			      "ifnull(max(seq_id), 0) FROM main.max_seq_id WHERE typeof(seq_id) = "
			      "'integer'))",
			      &top, err);
	if (r == 0)
		r = carry_ask(c, "SELECT min(seq_id) FROM carried.embeddings_queue WHERE " IS_TOPIC,
			      &first, err);
	if (r == 0 && __builtin_sub_overflow(top + 1, first, &c->out.shift))
		return vs_fail(err, VS_EFORMAT, "%s: a number of the queue is out of range",
			       CHROMA_DATABASE);
	return r;
}

/* ---- in: rows ---- */

struct columns {
	struct buf names, values;
	const struct carrying *c;
	const char *row; /* the column with a number of a record; NULL: none */
};

static void columns_fini(struct columns *l)
{
	buf_fini(&l->names);
	buf_fini(&l->values);
}

/* A column of the table, and where its value comes from: `f` is the row there, `r` its numbers. */
static int on_column(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct columns *l = ctx;
	cleanup_(vs_freep) char *name = vs_strndup(chroma_bytes(row, 0));
	const char *comma = l->names.len > 0 ? ", " : "";

	(void)err;
	/* Names are ours: the schema is that of a release, and was compared. */
	buf_printf(&l->names, "%s\"%s\"", comma, name);
	if (l->row && strcmp(name, l->row) == 0)
		buf_printf(&l->values, "%sr.new", comma);
	else if (strcmp(name, "seq_id") == 0 && l->c->out.shift != 0)
		buf_printf(&l->values,
			   "%sCASE WHEN typeof(f.seq_id) = 'integer' THEN f.seq_id + %" PRId64
			   " ELSE f.seq_id END",
			   comma, l->c->out.shift);
	else
		buf_printf(&l->values, "%sf.\"%s\"", comma, name);
	return 0;
}

/* Insert the rows of @table that @from, what stands behind FROM, selects as `f`. */
static int copy_rows(struct carrying *c, const char *table, const char *row, const char *from,
		     int64_t *count, struct vs_err *err)
{
	cleanup_(columns_fini) struct columns columns = { .c = c, .row = row };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r = chroma_query(c->db, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table,
			     on_column, &columns, err);

	if (r < 0)
		return r;
	buf_printf(&sql, "INSERT INTO main.%s (%s) SELECT %s FROM %s", table,
		   buf_cstr(&columns.names), buf_cstr(&columns.values), from);
	return strstr(from, "?1") ? carry_run(c, buf_cstr(&sql), count, err)
				  : chroma_edit_run(c->e, buf_cstr(&sql), NULL, 0, count, err);
}

/* The tenant and the database that the collection is in, where they are not there any more. */
static int copy_place(struct carrying *c, struct vs_err *err)
{
	int r = carry_run(
		c,
		"INSERT OR IGNORE INTO main.tenants (id) SELECT d.tenant_id FROM "
		"carried.databases d JOIN carried.collections f ON f.database_id = d.id WHERE "
		"f.id = ?1",
		NULL, err);

	return r < 0 ? r
		     : carry_run(
			       c,
			       "INSERT OR IGNORE INTO main.databases (id, name, tenant_id) SELECT d.id, "
			       "d.name, d.tenant_id FROM carried.databases d JOIN carried.collections f "
			       "ON f.database_id = d.id WHERE f.id = ?1",
			       NULL, err);
}

#define OF_RECORD(table) "carried." table " f JOIN temp.carried_rows r ON r.old = f.id"

static int copy_records(struct carrying *c, bool has_lists, struct vs_err *err)
{
	int64_t count = 0;
	int r = copy_rows(c, "embeddings", "id", OF_RECORD("embeddings") " ORDER BY f.id", &count,
			  err);

	c->out.records = (uint64_t)count;
	if (r == 0)
		r = copy_rows(c, "embedding_metadata", "id",
			      OF_RECORD("embedding_metadata") " ORDER BY f.rowid", NULL, err);
	if (r == 0 && has_lists)
		r = copy_rows(c, "embedding_metadata_array", "id",
			      OF_RECORD("embedding_metadata_array") " ORDER BY f.rowid", NULL, err);
	/* The content table, where reading needs no index that might be damaged. */
	return r < 0 ? r
		     : chroma_edit_exec(c->e,
					"INSERT INTO main.embedding_fulltext_search(rowid, "
					"string_value) SELECT r.new, f.c0 FROM "
					"carried.embedding_fulltext_search_content f JOIN "
					"temp.carried_rows r ON r.old = f.id ORDER BY r.new",
					err);
}

static int copy_all(struct carrying *c, bool has_databases, bool has_lists, struct vs_err *err)
{
	static const char *const tables[][2] = {
		{ "collections", "carried.collections f WHERE f.id = ?1" },
		{ "collection_metadata",
		  "carried.collection_metadata f WHERE f.collection_id = ?1" },
		{ "segments", "carried.segments f WHERE f.collection = ?1 ORDER BY f.rowid" },
		{ "segment_metadata",
		  "carried.segment_metadata f WHERE f.segment_id IN " SEGMENTS_OF("carried") },
		{ "max_seq_id",
		  "carried.max_seq_id f WHERE f.segment_id IN " SEGMENTS_OF("carried") },
	};
	int64_t count = 0;
	int r = has_databases ? copy_place(c, err) : 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(tables); i++)
		r = copy_rows(c, tables[i][0], NULL, tables[i][1], NULL, err);
	if (r == 0)
		r = copy_records(c, has_lists, err);
	if (r == 0)
		r = copy_rows(c, "embeddings_queue", NULL,
			      "carried.embeddings_queue f WHERE " IS_TOPIC, &count, err);
	c->out.queued = (uint64_t)count;
	return r;
}

/* ---- in ---- */

int carry_attach(struct carrying *c, const char *from, struct vs_err *err)
{
	struct vs_err absent = { 0 };
	int64_t ignored;

	if (carry_ask(c, "SELECT count(*) FROM carried.sqlite_master", &ignored, &absent) == 0)
		return 0;
	return chroma_edit_attach(c->e, from, "carried", err);
}

/* How high numbering was, here or there, so that positions which were in order are. */
static int find_old_top(struct carrying *c, int64_t here, int64_t *out, struct vs_err *err)
{
	int r = carry_ask(c, "SELECT ifnull(max(seq_id), 0) FROM carried.embeddings_queue", out,
			  err);

	*out = VS_MAX(here, *out + c->out.shift);
	return r;
}

static int carry_in(struct carrying *c, struct vs_err *err)
{
	bool has_databases = false, has_lists = false;
	int64_t here = 0, top = 0;
	int r = carry_has_table(c, "main", "databases", &has_databases, err);

	if (r == 0)
		r = carry_has_table(c, "main", "embedding_metadata_array", &has_lists, err);
	if (r == 0)
		r = check_collection(c, has_databases, err);
	if (r == 0)
		r = carry_find_top(c, &here, err);
	if (r == 0)
		r = drop_leftovers(c, err);
	if (r == 0)
		r = find_rows(c, has_lists, err);
	if (r == 0)
		r = find_shift(c, err);
	/* Those that stay would not have moved with the others. */
	if (r == 0 && c->keeps_same && c->out.shift != 0)
		r = vs_fail(err, VS_EFORMAT, "%s: numbers of the queue are taken by others",
			    CHROMA_DATABASE);
	if (r == 0)
		r = copy_all(c, has_databases, has_lists, err);
	if (r == 0)
		r = find_old_top(c, here, &top, err);
	return r == 0 ? carry_settle_positions(c, top, err) : r;
}

int chroma_carry(struct chroma_edit *e, const char *from, const char *id,
		 struct chroma_carried *out, struct vs_err *err)
{
	struct carrying c = { .e = e, .db = chroma_edit_db(e), .id = id };
	int r = carry_attach(&c, from, err);

	if (r == 0)
		r = carry_check_schema(&c, err);
	if (r == 0)
		r = carry_in(&c, err);
	if (r == 0 && out)
		*out = c.out;
	return r;
}

int chroma_exchange(struct chroma_edit *e, const char *from, const char *id,
		    struct chroma_carried *out, struct vs_err *err)
{
	struct carrying c = { .e = e, .db = chroma_edit_db(e), .id = id };
	int64_t is_there = 0, top = 0;
	int r = carry_attach(&c, from, err);

	if (r == 0)
		r = carry_check_schema(&c, err);
	if (r == 0)
		r = carry_find_same(&c, err);
	if (r == 0)
		r = carry_ask(&c, "SELECT count(*) FROM main.collections WHERE id = ?1", &is_there,
			      err);
	if (r == 0 && is_there > 0)
		r = carry_find_top(&c, &top, err);
	if (r == 0 && is_there > 0)
		r = carry_drop_rows(&c, err);
	if (r == 0 && is_there > 0)
		r = carry_settle_positions(&c, top, err);
	if (r == 0)
		r = carry_in(&c, err);
	if (r == 0 && out)
		*out = c.out;
	return r;
}
