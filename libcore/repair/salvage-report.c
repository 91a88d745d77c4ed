/* SPDX-License-Identifier: Apache-2.0 */

/* What became of each record: whole, partly, with what is missing, or lost. */

#include "repair/salvage-private.h"

const char *salvage_status_name(enum salvage_status status)
{
	static const char *const names[] = { "whole", "partly", "lost" };

	return names[status];
}

/*
 * What is missing, a row for each: by the keys that records had, by vectors that are nowhere, by keys
 * that cannot be known.
 */
static const struct {
	const char *sql;
	bool is_mending;
	enum salvage_kind damaged;
	int metadb;
} gaps[] = {
	{ "CREATE TABLE s.missing(id, what, UNIQUE(id, what));"
	  "CREATE TABLE s.lost(segment, id, row, what)",
	  false, 0, 0 },
	{ "INSERT OR IGNORE INTO s.missing SELECT k.c0, CASE k.c1 WHEN 'chroma:document' THEN "
	  "'document' ELSE 'metadata ' || k.c1 END FROM s.x_key k WHERE k.c0 IN (SELECT id FROM "
	  "embeddings) AND NOT EXISTS (SELECT 1 FROM embedding_metadata m WHERE m.id = k.c0 AND "
	  "m.key = k.c1)",
	  true, KIND_METADATA, 0 },
	{ "INSERT OR IGNORE INTO s.missing SELECT k.c0, 'metadata ' || k.c1 FROM s.x_akey k WHERE "
	  "k.c0 IN (SELECT id FROM embeddings) AND NOT EXISTS (SELECT 1 FROM embedding_metadata_array m "
	  "WHERE m.rowid = k.c2)",
	  true, KIND_ARRAY, 6 },
	{ "INSERT OR IGNORE INTO s.missing SELECT id, 'metadata, as far as it cannot be told' FROM "
	  "embeddings WHERE NOT (SELECT is_whole FROM s.state WHERE name = "
	  "'sqlite_autoindex_embedding_metadata_1')",
	  true, KIND_METADATA, 0 },
	{ "INSERT OR IGNORE INTO s.missing SELECT id, 'lists, as far as it cannot be told' FROM "
	  "embeddings WHERE NOT (SELECT is_whole FROM s.state WHERE name = "
	  "'embedding_metadata_array_id_key')",
	  true, KIND_ARRAY, 6 },
	/* Of these only the queue or the index directory knows, and these do not know of all. */
	{ "INSERT OR IGNORE INTO s.missing SELECT id, CASE is_queued WHEN 1 THEN 'what the write queue "
	  "does not say' ELSE 'all but its vector' END FROM s.revived",
	  true, KIND_EMBEDDINGS, 0 },
	{ "INSERT OR IGNORE INTO s.missing SELECT id, 'it may have been changed or deleted since' FROM s.revived "
	  "WHERE is_queued = 0 OR NOT (SELECT is_whole FROM s.state WHERE name = 'embeddings_queue')",
	  true, KIND_EMBEDDINGS, 0 },
	/* Only where the pickle could be read does it say that there is none. */
	{ "INSERT OR IGNORE INTO s.missing SELECT e.id, 'vector' FROM embeddings e JOIN segments g ON "
	  "g.id = e.segment_id LEFT JOIN segments v ON v.collection = g.collection AND "
	  "v.scope = 'VECTOR' WHERE NOT EXISTS (SELECT 1 FROM s.pickle p WHERE p.segment = v.id AND "
	  "p.id = e.embedding_id) AND NOT EXISTS (SELECT 1 FROM s.r_queue q WHERE q.c4 = e.embedding_id "
	  "AND q.c5 IS NOT NULL AND q.c3 LIKE '%/' || g.collection) AND (ifnull((SELECT is_read FROM "
	  "s.directory d WHERE d.segment = v.id), 0) = 1 OR NOT EXISTS (SELECT 1 FROM max_seq_id p "
	  "WHERE p.segment_id = v.id))",
	  true, KIND_QUEUE, 0 },
	/* A change that was not taken in everywhere may be among the lost rows of the queue. */
	{ "INSERT OR IGNORE INTO s.missing SELECT e.id, 'its last change' FROM embeddings e JOIN "
	  "segments g ON g.id = e.segment_id JOIN s.r_queue q ON q.lost = 1 AND q.c4 = e.embedding_id "
	  "AND q.c3 LIKE '%/' || g.collection",
	  true, KIND_QUEUE, 0 },
	{ "INSERT OR IGNORE INTO s.missing SELECT e.id, 'the latest vector, as far as it cannot be "
	  "told' FROM embeddings e JOIN s.r_embeddings o ON o.row = e.id JOIN segments g ON "
	  "g.id = e.segment_id LEFT JOIN segments v ON v.collection = g.collection AND "
	  "v.scope = 'VECTOR' WHERE o.seq > ifnull((SELECT m.seq FROM s.r_max_seq_id m WHERE "
	  "m.c0 = v.id), 0) AND NOT EXISTS (SELECT 1 FROM s.r_queue q WHERE q.row = o.seq)",
	  true, KIND_QUEUE, 0 },
	{ "INSERT INTO s.lost SELECT g.id, q.c4, NULL, 'an operation that was not taken in' FROM "
	  "s.r_queue q LEFT JOIN segments g ON g.scope = 'METADATA' AND q.c3 LIKE '%/' || g.collection "
	  "WHERE q.lost = 1 AND q.c2 IN (0, 2) AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE "
	  "e.segment_id = g.id AND e.embedding_id = q.c4)",
	  true, KIND_QUEUE, 0 },
	/* Values of a record whose id is nowhere. */
	{ "INSERT INTO s.lost SELECT NULL, NULL, n, 'id' FROM (SELECT c0 AS n FROM s.r_metadata UNION "
	  "SELECT row FROM s.r_fts UNION SELECT c0 FROM s.x_key) WHERE n NOT IN (SELECT id FROM "
	  "embeddings)",
	  true, KIND_EMBEDDINGS, 0 },
	/* Records of a collection that nothing names any more. */
	{ "INSERT INTO s.lost SELECT NULL, embedding_id, id, 'collection' FROM embeddings WHERE "
	  "segment_id NOT IN (SELECT id FROM segments)",
	  true, KIND_SEGMENTS, 0 },
	{ "DELETE FROM embedding_metadata WHERE id IN (SELECT row FROM s.lost WHERE what = "
	  "'collection'); DELETE FROM embedding_fulltext_search WHERE rowid IN (SELECT row FROM s.lost "
	  "WHERE what = 'collection'); DELETE FROM embeddings WHERE id IN (SELECT row FROM s.lost WHERE "
	  "what = 'collection')",
	  true, KIND_SEGMENTS, 0 },
};

static int on_record(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct salvage *s = ctx;
	struct salvage_record *r;

	(void)err;
	s->records = vs_grow(s->records, &s->record_cap, s->record_count + 1, sizeof(*s->records));
	r = &s->records[s->record_count++];
	*r = (struct salvage_record){ .status = (enum salvage_status)chroma_int(row, 3),
				      .row = chroma_int(row, 2) };
	if (chroma_type(row, 0) == CHROMA_TEXT)
		r->collection = vs_strndup(chroma_bytes(row, 0));
	if (chroma_type(row, 1) == CHROMA_TEXT)
		r->id = slice_of(vs_strndup(chroma_bytes(row, 1)), chroma_bytes(row, 1).len);
	if (chroma_type(row, 5) == CHROMA_TEXT)
		r->collection_id = vs_strndup(chroma_bytes(row, 5));
	if (chroma_type(row, 4) == CHROMA_TEXT)
		r->missing = vs_strndup(chroma_bytes(row, 4));
	s->count[r->status]++;
	return 0;
}

static const char all_records[] =
	"SELECT c.name, e.embedding_id, e.id, EXISTS (SELECT 1 FROM s.missing m WHERE m.id = e.id), "
	"(SELECT group_concat(what, ', ') FROM s.missing m WHERE m.id = e.id), c.id FROM embeddings e "
	"LEFT JOIN segments g ON g.id = e.segment_id LEFT JOIN collections c ON c.id = g.collection UNION "
	"ALL SELECT c.name, l.id, l.row, 2, l.what, c.id FROM s.lost l LEFT JOIN segments g ON "
	"g.id = l.segment LEFT JOIN collections c ON c.id = g.collection ORDER BY 1, 6, 4 DESC, 3";

static int on_unsure(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct salvage_work *w = ctx;
	cleanup_(buf_fini) struct buf name = { 0 };

	(void)err;
	text_escape(&name, chroma_bytes(row, 0));
	salvage_note(w->out,
		     "collection %s: its row is damaged; settings are those of its index, or the "
		     "server's own%s",
		     buf_cstr(&name),
		     strncmp(buf_cstr(&name), "recovered-", 10) == 0 ? ", and its name is made up"
								     : "");
	return 0;
}

/* ---- tables ---- */

/* Where SQLite can read a table it must not see more than was read here. */
static int64_t rows_of_sqlite(struct chroma_db *db, const char *table)
{
	struct vs_err unreadable = { 0 };
	char sql[128];
	int64_t count;

	if (!db)
		return -1;
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s NOT INDEXED", table);
	return chroma_query_int(db, sql, NULL, &count, &unreadable) == 0 ? count : -1;
}

static int fill_table(struct salvage_work *w, struct chroma_db *db, enum salvage_kind kind,
		      struct salvage_table *t, struct vs_err *err)
{
	char sql[128];
	int64_t kept = 0;
	int r;

	*t = (struct salvage_table){ .name = salvage_kinds[kind].name,
				     .tree = w->tree[kind],
				     .strays = w->strays[kind],
				     .is_whole = w->is_whole[kind],
				     .sqlite = rows_of_sqlite(db, salvage_kinds[kind].name) };
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM main.%s", t->name);
	r = salvage_ask(w, sql, &kept, err);
	/* A generation that has no such table. */
	if (r == VS_ENOTSUP)
		r = 0;
	t->kept = (uint64_t)kept;
	if (t->sqlite > 0 && (uint64_t)t->sqlite > t->tree + t->strays)
		salvage_note(w->out,
			     "%s: SQLite reads %" PRId64 " rows where %" PRIu64
			     " were found; please report this",
			     t->name, t->sqlite, t->tree + t->strays);
	return r;
}

/* Directories that do not hold the ids of the records any more. */
static int ask_index(struct salvage_work *w, struct vs_err *err)
{
	int64_t count;
	int r = salvage_ask(
		w,
		"SELECT (SELECT count(*) FROM s.pickle p JOIN segments v ON v.id = p.segment JOIN segments g "
		"ON g.collection = v.collection AND g.scope = 'METADATA' WHERE NOT EXISTS (SELECT 1 FROM "
		"embeddings e WHERE e.segment_id = g.id AND e.embedding_id = p.id) AND NOT EXISTS (SELECT 1 "
		"FROM embeddings_queue q WHERE q.id = p.id)) + (SELECT count(*) FROM s.missing WHERE what = "
		"'vector')",
		&count, err);

	w->out->needs_index = r == 0 && count > 0;
	return r;
}

int salvage_report(struct salvage_work *w, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *old = NULL;
	struct vs_err unreadable = { 0 };
	int64_t count = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(gaps); i++)
		if (w->metadb >= gaps[i].metadb &&
		    (!gaps[i].is_mending || !w->is_whole[gaps[i].damaged]))
			r = chroma_edit_exec(w->edit, gaps[i].sql, err);
	if (r == 0)
		r = chroma_query(chroma_edit_db(w->edit), all_records, NULL, on_record, w->out,
				 err);
	if (r == 0)
		r = chroma_query(
			chroma_edit_db(w->edit),
			"SELECT name FROM collections WHERE id IN (SELECT id FROM s.unsure)", NULL,
			on_unsure, w, err);
	if (r == 0)
		r = salvage_ask(w, "SELECT count(*) FROM collections", &count, err);
	if (r < 0)
		return r;
	w->out->collections = (uint64_t)count;
	w->out->tables = vs_alloc_array(KIND_TABLES, sizeof(*w->out->tables));
	if (chroma_db_open(&old, w->store->dirfd, NULL, &unreadable) < 0)
		old = NULL;
	for (int k = 0; r == 0 && k < KIND_TABLES; k++)
		if (w->is_there[k])
			r = fill_table(w, old, (enum salvage_kind)k,
				       &w->out->tables[w->out->table_count++], err);
	return r < 0 ? r : ask_index(w, err);
}
