/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What stands above the records: SQLite's own files and indexes, tables, migrations, collections,
 * dimensions. Corrected where the rest of the store proves what was there.
 */

#include "repair/chroma-private.h"
#include "repair/index-private.h"

/* ---- SQLite's own ---- */

/* What is beside the database is taken in by the copy already. */
static int take_in(struct chroma_fixing *f, enum problem code, const char *what, const char *detail,
		   struct vs_err *err)
{
	if (!chroma_fault_find(f, code))
		return 0;
	chroma_fault_done(f, code);
	return chroma_change(f, code, what, LOSS_NOTHING, detail, "", err);
}

struct lines {
	bool has_any;
	bool has_other; /* a line that speaks of more than an index */
};

/* "row 12 missing from index x", "wrong # of entries in index x": the table itself is whole. */
static int on_line(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct lines *lines = ctx;
	cleanup_(vs_freep) char *text = vs_strndup(chroma_bytes(row, 0));
	char *rest = text, *line;

	(void)err;
	lines->has_any = true;
	while ((line = strsep(&rest, "\n")) != NULL)
		lines->has_other |= line[0] != '\0' && !strstr(line, "missing from index ") &&
				    !strstr(line, "wrong # of entries in index ");
	return 0;
}

static int reindex(struct chroma_fixing *f, struct vs_err *err)
{
	struct lines lines = { 0 };
	int r;

	if (!chroma_fault_find(f, PROB_CHROMA_DATABASE_CORRUPT))
		return 0;
	r = chroma_db_integrity(chroma_fixing_db(f), 100, on_line, &lines, err);
	/* What verify saw and this does not is more than an index, too. */
	f->is_damaged = r == VS_EFORMAT || lines.has_other || (r == 0 && !lines.has_any);
	if (r < 0 || f->is_damaged)
		return f->is_damaged ? 0 : r;
	chroma_fault_done(f, PROB_CHROMA_DATABASE_CORRUPT);
	return chroma_change(f, PROB_CHROMA_DATABASE_CORRUPT, "rebuild-indexes", LOSS_NOTHING,
			     "make SQLite's indexes anew from their tables, which are whole",
			     "REINDEX;\n", err);
}

/* ---- tables that are made empty, or filled from others ---- */

static const struct {
	const char *table, *sql;
} tables[] = {
	{ "maintenance_log",
	  "CREATE TABLE maintenance_log (id INT PRIMARY KEY, timestamp INT NOT NULL, "
	  "operation TEXT NOT NULL);\n" },
	{ "embeddings_queue_config",
	  "CREATE TABLE embeddings_queue_config (id INTEGER PRIMARY KEY, config_json_str TEXT);\n" },
	{ "embedding_fulltext_search",
	  "DROP TABLE IF EXISTS embedding_fulltext_search_data;\n"
	  "DROP TABLE IF EXISTS embedding_fulltext_search_idx;\n"
	  "DROP TABLE IF EXISTS embedding_fulltext_search_content;\n"
	  "DROP TABLE IF EXISTS embedding_fulltext_search_docsize;\n"
	  "DROP TABLE IF EXISTS embedding_fulltext_search_config;\n"
	  "CREATE VIRTUAL TABLE embedding_fulltext_search USING fts5(string_value, "
	  "tokenize='trigram');\n"
	  "INSERT INTO embedding_fulltext_search(rowid, string_value) SELECT id, string_value FROM "
	  "embedding_metadata WHERE +key = 'chroma:document' AND string_value IS NOT NULL ORDER BY id;\n" },
};

static int make_tables(struct chroma_fixing *f, struct vs_err *err)
{
	for (size_t i = 0; i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		cleanup_(buf_fini) struct buf detail = { 0 };

		if (fault->code != PROB_CHROMA_DATABASE_TABLE || !fault->actual)
			continue;
		chroma_fault_leave(fault, "what was in the table nothing else tells");
		for (size_t k = 0; k < VS_COUNT(tables); k++) {
			int r;

			if (strcmp(tables[k].table, fault->actual) != 0)
				continue;
			buf_printf(&detail, "make the table %s anew", fault->actual);
			r = chroma_change(f, fault->code, "make-table", LOSS_NOTHING,
					  buf_cstr(&detail), tables[k].sql, err);
			if (r < 0)
				return r;
			fault->is_planned = true;
		}
	}
	return 0;
}

/* ---- collections ---- */

#define DEFAULT_DATABASE "00000000-0000-0000-0000-000000000000"

/* The database that every store has; of others nobody knows the name. */
static int restore_database(struct chroma_fixing *f, struct vs_err *err)
{
	for (size_t i = 0; i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];

		if (fault->code != PROB_CHROMA_COLLECTION_DATABASE)
			continue;
		if (!fault->actual || strcmp(fault->actual, DEFAULT_DATABASE) != 0) {
			chroma_fault_leave(fault, "the name of its database nothing tells");
			continue;
		}
		chroma_fault_done(f, fault->code);
		return chroma_change(
			f, fault->code, "restore-database", LOSS_NOTHING,
			"write the row of the default database, which every store has",
			"INSERT OR IGNORE INTO tenants(id) VALUES('default_tenant');\n"
			"INSERT OR IGNORE INTO databases(id, name, tenant_id) VALUES('" DEFAULT_DATABASE
			"', 'default_database', 'default_tenant');\n",
			err);
	}
	return 0;
}

/* A text that is none that the server reads; NULL is one. */
#define NO_OBJECT(column)                                                                          \
	"CASE WHEN json_valid(" column ") THEN json_type(" column ") <> 'object' "                 \
	"ELSE " column " IS NOT NULL END"

/* Where the schema is there, nothing else of the configuration is read, and the server writes "{}". */
static int correct_configuration(struct chroma_fixing *f, struct vs_err *err)
{
	static const char where[] = "json_valid(schema_str) AND " NO_OBJECT("config_json_str");
	struct chroma_fault *fault = chroma_fault_find(f, PROB_CHROMA_COLLECTION_CONFIG);
	uint64_t count = 0;
	int r;

	if (!fault)
		return 0;
	chroma_fault_leave(fault, "how the collection was set up nothing else tells for certain");
	if (f->catalog.sysdb < 10)
		return 0;
	r = chroma_keep(f, fault->code, "collections", where, &count, err);
	if (r < 0 || count == 0)
		return r;
	chroma_fault_done(f, PROB_CHROMA_COLLECTION_CONFIG);
	return chroma_change(
		f, PROB_CHROMA_COLLECTION_CONFIG, "correct-configuration", LOSS_NOTHING,
		"empty a configuration that the schema overrules",
		"UPDATE collections SET config_json_str = '{}' WHERE json_valid(schema_str) "
		"AND " NO_OBJECT("config_json_str") ";\n",
		err);
}

static const struct chroma_migration *find_migration(const char *name)
{
	const struct chroma_migration *m;
	char text[64];

	for (size_t i = 0; (m = chroma_migration_at(i)) != NULL; i++) {
		snprintf(text, sizeof(text), "%s %d", m->dir, m->version);
		if (strcmp(text, name) == 0)
			return m;
	}
	return NULL;
}

/*
 * A row of the migrations as it was released. Those before the newest of a directory were applied, as
 * each builds on the one before.
 */
static int restore_migration(struct chroma_fixing *f, enum problem code,
			     const struct chroma_migration *m, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf where = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };
	char hash[MD5_HEX_LEN + 1];
	uint64_t count;
	int r;

	buf_printf(&where, "dir = '%s' AND version = %d", m->dir, m->version);
	r = chroma_keep(f, code, "migrations", buf_cstr(&where), &count, err);
	if (r < 0)
		return r;
	md5_of(slice_str(m->sql), hash);
	buf_printf(
		&sql,
		"DELETE FROM migrations WHERE %s;\nINSERT INTO migrations(dir, version, filename, "
		"sql, hash) VALUES('%s', %d, '%s', ",
		buf_cstr(&where), m->dir, m->version, m->filename);
	sql_text(&sql, slice_str(m->sql));
	buf_printf(&sql, ", '%s');\n", hash);
	buf_printf(&detail, "write the row of migration %s %d as it was released", m->dir,
		   m->version);
	return chroma_change(f, code, "restore-migration", LOSS_NOTHING, buf_cstr(&detail),
			     buf_cstr(&sql), err);
}

static int restore_migrations(struct chroma_fixing *f, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		const struct chroma_migration *m;
		bool has_newer;

		if ((fault->code != PROB_CHROMA_MIGRATION_GAP &&
		     fault->code != PROB_CHROMA_MIGRATION_CHANGED) ||
		    !fault->actual)
			continue;
		m = find_migration(fault->actual);
		if (!m)
			continue;
		has_newer = m->version < (strcmp(m->dir, "sysdb") == 0    ? f->catalog.sysdb
					  : strcmp(m->dir, "metadb") == 0 ? f->catalog.metadb
									  : f->catalog.queue);
		if (!has_newer && fault->code == PROB_CHROMA_MIGRATION_GAP) {
			chroma_fault_leave(
				fault,
				"up to which one the tables were made is for a person to say");
			continue;
		}
		fault->is_planned = true;
		r = restore_migration(f, fault->code, m, err);
	}
	return r;
}

int chroma_fix_schema(struct chroma_fixing *f, struct vs_err *err)
{
	int r = reindex(f, err);

	if (r == 0)
		r = restore_migrations(f, err);

	if (r == 0)
		r = take_in(
			f, PROB_CHROMA_DATABASE_JOURNAL, "finish-transaction",
			"roll back the transaction that a crash has left, as the next server would",
			err);
	if (r == 0)
		r = take_in(
			f, PROB_CHROMA_DATABASE_LOG_FOREIGN, "leave-foreign-log",
			"take away a journal or log of another time, and leave the database as it is",
			err);
	if (r == 0)
		r = take_in(f, PROB_CHROMA_DATABASE_WAL, "finish-log",
			    "take the log that a crash has left into the database", err);
	if (r == 0)
		r = make_tables(f, err);
	if (r == 0)
		r = restore_database(f, err);
	return r < 0 ? r : correct_configuration(f, err);
}

/* ---- dimensions ---- */

/* What the vectors say that there are. */
struct votes {
	int64_t index;    /* by a header whose sizes agree, with vectors behind it; 0: none */
	int64_t queue;    /* the only one among the rows; 0: none, -1: several */
	bool has_current; /* some row of the queue has the dimension that stands there */
	int64_t current;
};

static int on_dimension(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct votes *v = ctx;
	int64_t dim = chroma_int(row, 0);

	(void)err;
	v->has_current |= dim == v->current;
	v->queue = v->queue == 0 ? dim : -1;
	return 0;
}

static int64_t index_dimension(const struct chroma_fixing *f, const char *segment)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err ignored = { 0 };
	struct file_info info;
	struct hnsw_header h;
	uint64_t dim;

	buf_printf(&path, "%s/header.bin", segment);
	if (file_read_head_at(f->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, HNSW_HEADER_LEN,
			      &bytes, NULL, &ignored) < 0 ||
	    !hnsw_header_decode(buf_slice(&bytes), &h))
		return 0;
	buf_clear(&path);
	buf_printf(&path, "%s/data_level0.bin", segment);
	if (h.version != 1 || h.count == 0 || h.count > h.max_elements ||
	    h.label_offset <= h.vector_offset || h.vector_offset != 4 + 4 * h.max_m0 ||
	    h.record_size != h.label_offset + 8)
		return 0;
	dim = (h.label_offset - h.vector_offset) / 4;
	if (dim == 0 || dim > HNSW_DIM_MAX ||
	    file_stat_at(f->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, &info, &ignored) < 0 ||
	    info.size % h.record_size != 0 || info.size / h.record_size < h.count)
		return 0;
	return (int64_t)dim;
}

/* All that there is must say the same. */
static int64_t decide(const struct votes *v)
{
	if (v->index > 0 && (v->queue == 0 || v->queue == v->index))
		return v->index;
	return v->index == 0 && v->queue > 0 ? v->queue : 0;
}

static int fix_dimension(struct chroma_fixing *f, const struct chroma_collection *c,
			 struct vs_err *err)
{
	struct votes v = { .current = c->has_dimension ? c->dimension : 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int64_t dim;
	int r = chroma_query(
		chroma_fixing_db(f),
		"SELECT length(vector) / 4 FROM embeddings_queue WHERE "
		"topic LIKE '%/' || ? AND typeof(vector) = 'blob' AND operation BETWEEN 0 "
		"AND 2 GROUP BY 1",
		c->id, on_dimension, &v, err);

	if (r < 0)
		return r;
	/* An index with ids that are none of its records' may be another collection's. */
	if (c->vector != SIZE_MAX && !chroma_fault_any(f, PROB_CHROMA_INDEX_ID_EXTRA, c->id))
		v.index = index_dimension(f, f->catalog.segments[c->vector].id);
	dim = decide(&v);
	if (dim <= 0 || dim > HNSW_DIM_MAX || dim == v.current)
		return 0;
	buf_append_str(&detail, "set the dimension of ");
	text_escape(&detail, c->name);
	buf_printf(&detail, " to %" PRId64 ", which all of its vectors have", dim);
	buf_printf(&sql, "UPDATE collections SET dimension = %" PRId64 " WHERE id = ", dim);
	sql_text(&sql, slice_str(c->id));
	buf_append_str(&sql, ";\n");
	return chroma_change(f,
			     chroma_fault_any(f, PROB_CHROMA_COLLECTION_DIMENSION, c->id)
				     ? PROB_CHROMA_COLLECTION_DIMENSION
				     : PROB_CHROMA_INDEX_DIMENSION,
			     "correct-dimension", LOSS_NOTHING, buf_cstr(&detail), buf_cstr(&sql),
			     err);
}

int chroma_fix_dimensions(struct chroma_fixing *f, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->catalog.collection_count; i++) {
		const struct chroma_collection *c = &f->catalog.collections[i];

		if (chroma_fault_any(f, PROB_CHROMA_COLLECTION_DIMENSION, c->id) ||
		    chroma_fault_any(f, PROB_CHROMA_INDEX_DIMENSION, c->id) ||
		    chroma_fault_any(f, PROB_CHROMA_QUEUE_ROW, c->id))
			r = fix_dimension(f, c, err);
	}
	return r;
}
