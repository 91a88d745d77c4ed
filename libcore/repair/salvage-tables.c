/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the rows as they were found to tables that a server can work with, and from elsewhere what
 * their pages have lost. All of it is statements; s is the database of what was found, with a table
 * for each table (r_) and index (x_) of the old one, see salvage-kinds.c.
 */

#include "repair/salvage-private.h"

/* When a statement is run: always, or where one table, or a table and what tells of it, is damaged. */
struct statement {
	const char *sql;
	int sysdb, sysdb_to; /* generations that have what it names; 0: any */
	int metadb;
	bool is_mending;
	enum salvage_kind damaged; /* where is_mending */
	bool needs_both;           /* the second is damaged as well */
	enum salvage_kind also;
};

#define MENDS(kind) .is_mending = true, .damaged = (kind)
#define MENDS_BOTH(kind, other) MENDS(kind), .needs_both = true, .also = (other)

static int run_all(struct salvage_work *w, const struct statement *list, size_t count,
		   struct vs_err *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct statement *s = &list[i];
		int r;

		if (w->sysdb < s->sysdb || (s->sysdb_to > 0 && w->sysdb > s->sysdb_to) ||
		    w->metadb < s->metadb)
			continue;
		if (s->is_mending &&
		    (w->is_whole[s->damaged] || (s->needs_both && w->is_whole[s->also])))
			continue;
		r = chroma_edit_exec(w->edit, s->sql, err);
		if (r < 0)
			return vs_err_in(err, "making %.60s", s->sql);
	}
	return 0;
}

#define RUN_ALL(w, list, err) run_all(w, list, VS_COUNT(list), err)

/* ---- names and places ---- */

static const struct statement catalog[] = {
	{ .sql = "INSERT OR IGNORE INTO tenants SELECT c0 FROM s.r_tenants WHERE lost = 0",
	  .sysdb = 4 },
	{ .sql = "INSERT OR IGNORE INTO databases(id, name, tenant_id) SELECT c0, c1, c2 "
		 "FROM s.r_databases WHERE lost = 0",
	  .sysdb = 4 },
	{ .sql = "INSERT OR IGNORE INTO databases(id, name, tenant_id) SELECT d.c0, n.c1, n.c0 "
		 "FROM s.x_did d JOIN s.x_dname n ON n.c2 = d.c1",
	  .sysdb = 4,
	  MENDS(KIND_DATABASES) },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, dimension, database_id, config_json_str, "
		 "schema_str) SELECT c0, c1, c2, c3, c4, c5 FROM s.r_collections WHERE n >= 4",
	  .sysdb = 10 },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, dimension, database_id, config_json_str) "
		 "SELECT c0, c1, c2, c3, c4 FROM s.r_collections WHERE n >= 4",
	  .sysdb = 7,
	  .sysdb_to = 9 },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, dimension, database_id) "
		 "SELECT c0, c1, c2, c3 FROM s.r_collections WHERE n >= 4",
	  .sysdb = 5,
	  .sysdb_to = 6 },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, topic, dimension, database_id) "
		 "SELECT c0, c1, c2, c3, c4 FROM s.r_collections WHERE n = 5",
	  .sysdb = 4,
	  .sysdb_to = 4 },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, topic, dimension) "
		 "SELECT c0, c1, c2, c3 FROM s.r_collections",
	  .sysdb = 1,
	  .sysdb_to = 3 },
	{ .sql = "INSERT OR IGNORE INTO segments(id, type, scope, collection) "
		 "SELECT c0, c1, c2, CASE n WHEN 5 THEN c4 ELSE c3 END FROM s.r_segments WHERE lost = 0 "
		 "AND CASE n WHEN 5 THEN c4 ELSE c3 END IS NOT NULL",
	  .sysdb = 5 },
	{ .sql = "INSERT OR IGNORE INTO segments(id, type, scope, topic, collection) "
		 "SELECT c0, c1, c2, c3, c4 FROM s.r_segments WHERE lost = 0",
	  .sysdb = 1,
	  .sysdb_to = 4 },
	/* Names by their index; then whatever segments and queue tell of. */
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, database_id) SELECT i.c0, n.c0, n.c1 "
		 "FROM s.x_cid i JOIN s.x_cname n ON n.c2 = i.c1",
	  .sysdb = 5,
	  MENDS(KIND_COLLECTIONS) },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, database_id, topic) SELECT i.c0, n.c0, n.c1, "
		 "'persistent://default/default/' || i.c0 FROM s.x_cid i JOIN s.x_cname n ON n.c2 = i.c1",
	  .sysdb = 4,
	  .sysdb_to = 4,
	  MENDS(KIND_COLLECTIONS) },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, topic) SELECT i.c0, n.c0, "
		 "'persistent://default/default/' || i.c0 FROM s.x_cid i JOIN s.x_cname n ON n.c1 = i.c1 "
		 "WHERE n.n = 2",
	  .sysdb = 1,
	  .sysdb_to = 3,
	  MENDS(KIND_COLLECTIONS) },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, database_id) "
		 "SELECT g, 'recovered-' || substr(g, 1, 8), '00000000-0000-0000-0000-000000000000' FROM "
		 "(SELECT collection AS g FROM segments UNION SELECT substr(c3, -36) FROM s.r_queue) "
		 "WHERE g LIKE '________-____-____-____-____________' AND g NOT IN (SELECT id FROM collections)",
	  .sysdb = 5,
	  MENDS(KIND_COLLECTIONS) },
	{ .sql = "INSERT OR IGNORE INTO collections(id, name, database_id, topic) "
		 "SELECT g, 'recovered-' || substr(g, 1, 8), '00000000-0000-0000-0000-000000000000', "
		 "'persistent://default/default/' || g FROM "
		 "(SELECT collection AS g FROM segments UNION SELECT substr(c3, -36) FROM s.r_queue) "
		 "WHERE g LIKE '________-____-____-____-____________' AND g NOT IN (SELECT id FROM collections)",
	  .sysdb = 4,
	  .sysdb_to = 4,
	  MENDS(KIND_COLLECTIONS) },
	{ .sql = "INSERT OR IGNORE INTO databases(id, name, tenant_id) SELECT DISTINCT database_id, "
		 "'recovered-' || substr(database_id, 1, 8), 'default_tenant' FROM collections "
		 "WHERE database_id NOT IN (SELECT id FROM databases)",
	  .sysdb = 4,
	  MENDS(KIND_DATABASES) },
	{ .sql = "INSERT OR IGNORE INTO tenants SELECT tenant_id FROM databases",
	  .sysdb = 4,
	  MENDS(KIND_TENANTS) },
	{ .sql = "CREATE TABLE s.unsure AS SELECT id FROM collections WHERE id NOT IN "
		 "(SELECT c0 FROM s.r_collections WHERE lost = 0)" },
	{ .sql = "UPDATE collections SET config_json_str = '{}' WHERE config_json_str IS NULL "
		 "AND id IN (SELECT id FROM s.unsure)",
	  .sysdb = 7,
	  .metadb = 5 },
	{ .sql = "INSERT OR IGNORE INTO max_seq_id SELECT c0, c1 FROM s.r_max_seq_id" },
	{ .sql = "INSERT OR IGNORE INTO embeddings_queue SELECT row, c1, c2, c3, c4, c5, c6, c7 "
		 "FROM s.r_queue WHERE lost = 0" },
	{ .sql = "INSERT OR IGNORE INTO embeddings_queue_config SELECT row, c1 FROM s.r_queue_config "
		 "WHERE lost = 0",
	  .sysdb = 8 },
	{ .sql = "INSERT OR IGNORE INTO maintenance_log SELECT c0, c1, c2 FROM s.r_maintenance",
	  .sysdb = 8 },
	{ .sql = "INSERT OR IGNORE INTO acquire_write SELECT row, c1 FROM s.r_acquire" },
	{ .sql = "INSERT OR IGNORE INTO embeddings SELECT row, c1, c2, c3, c4 FROM s.r_embeddings "
		 "WHERE lost = 0 ORDER BY row" },
};

/* Values of collections and segments, once it is known which of them there are. */
static const struct statement small_values[] = {
	{ .sql = "DELETE FROM s.r_collection_metadata WHERE c0 NOT IN (SELECT id FROM collections)",
	  MENDS(KIND_COLLECTION_METADATA) },
	{ .sql = "DELETE FROM s.r_segment_metadata WHERE c0 NOT IN (SELECT id FROM segments)",
	  MENDS(KIND_SEGMENT_METADATA) },
	{ .sql = "INSERT OR IGNORE INTO collection_metadata SELECT c0, c1, c2, c3, c4, c5 "
		 "FROM s.r_collection_metadata WHERE lost = 0",
	  .sysdb = 6 },
	{ .sql = "INSERT OR IGNORE INTO collection_metadata SELECT c0, c1, c2, c3, c4 "
		 "FROM s.r_collection_metadata WHERE lost = 0",
	  .sysdb = 1,
	  .sysdb_to = 5 },
	{ .sql = "INSERT OR IGNORE INTO segment_metadata SELECT c0, c1, c2, c3, c4, c5 "
		 "FROM s.r_segment_metadata WHERE lost = 0",
	  .sysdb = 6 },
	{ .sql = "INSERT OR IGNORE INTO segment_metadata SELECT c0, c1, c2, c3, c4 "
		 "FROM s.r_segment_metadata WHERE lost = 0",
	  .sysdb = 1,
	  .sysdb_to = 5 },
	/* What only the index directory still knows of a collection's settings. */
	{ .sql = "UPDATE collections SET dimension = (SELECT d.dimension FROM s.directory d "
		 "JOIN segments g ON g.id = d.segment WHERE g.collection = collections.id) "
		 "WHERE dimension IS NULL AND id IN (SELECT id FROM s.unsure)" },
	{ .sql = "UPDATE collections SET dimension = (SELECT length(vector) / 4 FROM embeddings_queue "
		 "WHERE vector IS NOT NULL AND topic LIKE '%/' || collections.id LIMIT 1) "
		 "WHERE dimension IS NULL AND id IN (SELECT id FROM s.unsure)" },
	{ .sql = "INSERT OR IGNORE INTO segment_metadata(segment_id, key, int_value) "
		 "SELECT g.id, 'hnsw:M', d.m FROM s.directory d JOIN segments g ON g.id = d.segment "
		 "JOIN s.unsure u ON u.id = g.collection WHERE d.m > 0 UNION ALL "
		 "SELECT g.id, 'hnsw:construction_ef', d.ef FROM s.directory d JOIN segments g ON "
		 "g.id = d.segment JOIN s.unsure u ON u.id = g.collection WHERE d.ef > 0" },
	{ .sql = "INSERT OR IGNORE INTO segment_metadata(segment_id, key, str_value) "
		 "SELECT g.id, 'hnsw:space', 'cosine' FROM s.directory d JOIN segments g ON "
		 "g.id = d.segment JOIN s.unsure u ON u.id = g.collection WHERE d.is_unit" },
};

/* ---- records ---- */

/* The row before it is of the same time, or earlier; what it has as numbers is of the right kind. */
#define NEIGHBOUR(column, segment, row)                                                            \
	"(SELECT e." column " FROM embeddings e WHERE e.segment_id = " segment " AND e.id < " row  \
	" ORDER BY e.id DESC LIMIT 1)"
#define POSITION(segment) "(SELECT p.seq_id FROM max_seq_id p WHERE p.segment_id = " segment ")"

/* Above every number that something is left of. */
#define NEW_ROW                                                                                        \
	"max(ifnull((SELECT max(id) FROM embeddings), 0), ifnull((SELECT max(c0) FROM s.r_metadata), " \
	"0), ifnull((SELECT max(row) FROM s.r_fts), 0), ifnull((SELECT max(c2) FROM s.x_id), 0))"

static const struct statement records[] = {
	{ .sql = "INSERT OR IGNORE INTO embeddings SELECT x.c2, x.c0, x.c1, ifnull(ifnull(" NEIGHBOUR(
		  "seq_id", "x.c0",
		  "x.c2") ", " POSITION("x.c0") "), 0), ifnull(" NEIGHBOUR("created_at", "x.c0",
									   "x.c2") ", CURRENT_TIMESTAMP) FROM s.x_id x WHERE x.lost = 0 "
										   "AND x.c0 IN (SELECT id FROM segments WHERE scope = 'METADATA')",
	  MENDS(KIND_EMBEDDINGS) },
	/* Added by the queue and taken in, and not deleted again. */
	{ .sql = "INSERT OR IGNORE INTO embeddings SELECT " NEW_ROW
		 " + row_number() OVER (ORDER BY q.row), "
		 "g.id, q.c4, q.row, q.c1 FROM s.r_queue q JOIN segments g ON g.scope = 'METADATA' AND "
		 "q.c3 LIKE '%/' || g.collection WHERE (q.c2 = 2 OR (q.c2 = 0 AND q.c4 NOT IN (SELECT id FROM "
		 "s.pickle))) AND q.row <= ifnull((SELECT m.seq FROM "
		 "s.r_max_seq_id m WHERE m.c0 = g.id), 0) AND NOT EXISTS (SELECT 1 FROM s.r_queue l WHERE "
		 "l.c4 = q.c4 AND l.c3 = q.c3 AND l.row > q.row AND l.c2 IN (0, 2, 3)) AND NOT EXISTS "
		 "(SELECT 1 FROM embeddings e WHERE e.segment_id = g.id AND e.embedding_id = q.c4)",
	  MENDS_BOTH(KIND_EMBEDDINGS, KIND_IX_EMBEDDINGS) },
	{ .sql = "INSERT OR IGNORE INTO embeddings SELECT " NEW_ROW
		 " + row_number() OVER (ORDER BY p.segment, p.label), g.id, p.id, ifnull(ifnull((SELECT "
		 "e.seq_id FROM embeddings e WHERE e.segment_id = g.id ORDER BY e.id DESC LIMIT 1), " POSITION(
			 "g.id") "), 0), CURRENT_TIMESTAMP FROM s.pickle p JOIN segments v ON v.id = p.segment "
				 "JOIN segments g ON g.collection = v.collection AND g.scope = 'METADATA' WHERE NOT EXISTS "
				 "(SELECT 1 FROM embeddings e WHERE e.segment_id = g.id AND e.embedding_id = p.id) AND "
				 "ifnull((SELECT l.c2 FROM s.r_queue l WHERE l.c4 = p.id AND l.c3 LIKE '%/' || g.collection "
				 "ORDER BY l.row DESC LIMIT 1), 0) <> 3",
	  MENDS_BOTH(KIND_EMBEDDINGS, KIND_IX_EMBEDDINGS) },
	{ .sql = "CREATE TABLE s.revived AS SELECT id, EXISTS (SELECT 1 FROM s.r_queue q WHERE q.row = "
		 "e.seq_id AND q.c4 = e.embedding_id) AS is_queued FROM embeddings e WHERE id NOT IN "
		 "(SELECT row FROM s.r_embeddings) AND id NOT IN (SELECT c2 FROM s.x_id WHERE c2 IS NOT "
		 "NULL)" },
};

/* ---- their values ---- */

static const struct statement values[] = {
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(rowid, id, key, string_value, int_value, "
		 "float_value, bool_value) SELECT row, c0, c1, c2, c3, c4, c5 FROM s.r_metadata "
		 "WHERE lost = 0 AND c0 IN (SELECT id FROM embeddings) ORDER BY row" },
	/* A row whose value is gone still says that there was one. */
	{ .sql = "INSERT INTO s.x_key(lost, c0, c1, c2) SELECT 1, c0, c1, row FROM s.r_metadata "
		 "WHERE lost = 1" },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(rowid, id, key, string_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_key k JOIN s.x_string v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE v.lost = 0 AND k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 4,
	  MENDS(KIND_METADATA) },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(rowid, id, key, int_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_key k JOIN s.x_int v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 4,
	  MENDS(KIND_METADATA) },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(rowid, id, key, float_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_key k JOIN s.x_float v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 4,
	  MENDS(KIND_METADATA) },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(id, key, string_value) "
		 "SELECT f.row, 'chroma:document', f.c1 FROM s.r_fts f WHERE f.lost = 0 AND "
		 "f.c1 IS NOT NULL AND f.row IN (SELECT id FROM embeddings)",
	  MENDS(KIND_METADATA) },
};

/*
 * What the queue says of records, where the server took it in. An add of a record that is older than it
 * has changed nothing; and where the row of a record's last change is lost, those before it tell of
 * values that it may not have any more.
 */
static const struct statement said[] = {
	{ .sql = "CREATE TABLE s.said AS SELECT e.id AS id, j.key AS key, j.type AS type, j.value AS value, "
		 "max(q.row) FROM s.r_queue q JOIN segments g ON g.scope = 'METADATA' AND q.c3 LIKE '%/' || "
		 "g.collection JOIN embeddings e ON e.segment_id = g.id AND e.embedding_id = q.c4 "
		 "JOIN json_each(q.c7) j WHERE q.lost = 0 AND q.c2 IN (0, 1, 2) AND json_valid(q.c7) AND "
		 "q.row <= ifnull((SELECT m.seq FROM s.r_max_seq_id m WHERE m.c0 = g.id), 0) AND (q.c2 <> 0 "
		 "OR EXISTS (SELECT 1 FROM s.r_embeddings o WHERE o.row = e.id AND o.seq = q.row) OR (e.id IN "
		 "(SELECT id FROM s.revived) AND NOT EXISTS (SELECT 1 FROM s.r_queue b WHERE b.c4 = q.c4 AND "
		 "b.c3 = q.c3 AND b.row < q.row AND b.c2 IN (0, 2) AND NOT EXISTS (SELECT 1 FROM s.r_queue d "
		 "WHERE d.c4 = q.c4 AND d.c3 = q.c3 AND d.c2 = 3 AND d.row BETWEEN b.row AND q.row)))) "
		 "AND (e.id IN (SELECT id FROM s.revived) OR (SELECT is_whole FROM s.state WHERE name = "
		 "'embeddings_queue') OR EXISTS (SELECT 1 FROM s.r_embeddings o JOIN s.r_queue l ON "
		 "l.row = o.seq WHERE o.row = e.id)) GROUP BY e.id, j.key" },
	/* Keys are only added where the list of keys has them, or is damaged itself. */
	{ .sql = "DELETE FROM s.said WHERE id NOT IN (SELECT id FROM s.revived) AND NOT EXISTS (SELECT 1 "
		 "FROM s.x_key k WHERE k.c0 = said.id AND k.c1 = said.key) AND (SELECT is_whole FROM s.state "
		 "WHERE name = 'sqlite_autoindex_embedding_metadata_1')" },
	{ .sql = "DELETE FROM s.said WHERE id NOT IN (SELECT id FROM s.revived) AND (SELECT is_whole FROM "
		 "s.state WHERE name = 'embedding_metadata')" },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata(id, key, string_value, int_value, float_value, "
		 "bool_value) SELECT id, key, CASE type WHEN 'text' THEN value END, CASE type WHEN 'integer' "
		 "THEN value END, CASE type WHEN 'real' THEN value END, CASE WHEN type IN ('true', 'false') "
		 "THEN value END FROM s.said WHERE type IN ('text', 'integer', 'real', 'true', 'false')" },
};

static const struct statement lists[] = {
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata_array(rowid, id, key, string_value, int_value, "
		 "float_value, bool_value) SELECT row, c0, c1, c2, c3, c4, c5 FROM s.r_array WHERE lost = 0 "
		 "AND c0 IN (SELECT id FROM embeddings) ORDER BY row",
	  .metadb = 6 },
	{ .sql = "INSERT INTO s.x_akey(lost, c0, c1, c2) SELECT 1, c0, c1, row FROM s.r_array WHERE lost = 1" },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata_array(rowid, id, key, string_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_akey k JOIN s.x_astring v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE v.lost = 0 AND k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 6,
	  MENDS(KIND_ARRAY) },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata_array(rowid, id, key, int_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_akey k JOIN s.x_aint v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 6,
	  MENDS(KIND_ARRAY) },
	{ .sql = "INSERT OR IGNORE INTO embedding_metadata_array(rowid, id, key, float_value) "
		 "SELECT k.c2, k.c0, k.c1, v.c1 FROM s.x_akey k JOIN s.x_afloat v ON v.c2 = k.c2 AND "
		 "v.c0 = k.c1 WHERE k.c0 IN (SELECT id FROM embeddings)",
	  .metadb = 6,
	  MENDS(KIND_ARRAY) },
	/* In order: FTS5 writes out what it has gathered whenever a row is not above the last one. The
	 * plus keeps SQLite from taking an index by text, and sorting. */
	{ .sql = "INSERT INTO embedding_fulltext_search(rowid, string_value) SELECT id, string_value "
		 "FROM embedding_metadata WHERE +key = 'chroma:document' AND string_value IS NOT NULL "
		 "ORDER BY id" },
};

/* ---- positions ---- */

static const struct statement positions[] = {
	{ .sql = "INSERT OR IGNORE INTO max_seq_id SELECT c1, max(seq) FROM s.r_embeddings "
		 "WHERE c1 IN (SELECT id FROM segments) AND seq IS NOT NULL GROUP BY c1",
	  .metadb = 5,
	  MENDS(KIND_MAX_SEQ_ID) },
	/* Numbers as that generation writes them: the first fills in nothing where it was 5 or later. */
	{ .sql = "INSERT OR IGNORE INTO max_seq_id SELECT segment, raw FROM (SELECT c1 AS segment, max(seq), "
		 "c3 AS raw FROM s.r_embeddings WHERE c1 IN (SELECT id FROM segments) AND seq IS NOT NULL "
		 "GROUP BY c1)",
	  MENDS(KIND_MAX_SEQ_ID) },
};

/*
 * The queue gives numbers above the highest that it holds. Where its last rows are lost it would give
 * numbers again that segments have passed, and what is written under them would never be taken in. So
 * one row stays at the highest: a change of no record, which every segment has passed.
 */
static int keep_high_water(struct salvage_work *w, struct vs_err *err)
{
	int64_t highest = 0, last = 0, collections = 0;
	int r;

	if (w->is_whole[KIND_QUEUE])
		return 0;
	r = salvage_ask(w,
			"SELECT max(ifnull((SELECT max(seq) FROM s.r_max_seq_id), 0), "
			"ifnull((SELECT max(seq) FROM s.r_embeddings), 0))",
			&highest, err);
	if (r == 0)
		r = salvage_ask(w, "SELECT ifnull(max(seq_id), 0) FROM embeddings_queue", &last,
				err);
	if (r == 0)
		r = salvage_ask(w, "SELECT count(*) FROM collections", &collections, err);
	if (r < 0 || highest <= last || collections == 0)
		return r;
	salvage_note(w->out,
		     "the end of the write queue is lost: numbers go on from %" PRId64
		     "; what was written and not yet taken in is gone",
		     highest);
	return chroma_edit_exec(
		w->edit,
		"INSERT INTO embeddings_queue(seq_id, operation, topic, id, metadata) SELECT "
		"max(ifnull((SELECT max(seq) FROM s.r_max_seq_id), 0), "
		"ifnull((SELECT max(seq) FROM s.r_embeddings), 0)), 1, "
		"'persistent://default/default/' || (SELECT g.collection FROM segments g LEFT JOIN "
		"s.r_max_seq_id m ON m.c0 = g.id WHERE g.scope = 'VECTOR' ORDER BY m.seq DESC LIMIT 1), "
		"'vsctl-end-of-queue', '{}'",
		err);
}

int salvage_tables(struct salvage_work *w, struct vs_err *err)
{
	int r = RUN_ALL(w, catalog, err);

	if (r == 0)
		r = salvage_read_pickles(w, err);
	if (r == 0)
		r = salvage_segments(w, err);
	if (r == 0)
		r = RUN_ALL(w, small_values, err);
	if (r == 0)
		r = RUN_ALL(w, records, err);
	if (r == 0)
		r = RUN_ALL(w, values, err);
	if (r == 0 && !(w->is_whole[KIND_METADATA] && w->is_whole[KIND_EMBEDDINGS]))
		r = RUN_ALL(w, said, err);
	if (r == 0)
		r = RUN_ALL(w, lists, err);
	if (r == 0)
		r = RUN_ALL(w, positions, err);
	return r < 0 ? r : keep_high_water(w, err);
}
