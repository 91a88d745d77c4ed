/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to the database of a Chroma store: pages gone, leftovers beside it, rows that
 * contradict each other. */

#include "file/file.h"
#include "selftest/selftest-private.h"

#include <fcntl.h>

/* ---- the database as a file ---- */

static int database_cut(struct damaged *d, struct vs_err *err)
{
	return damage_cut(d->dirfd, CHROMA_DATABASE, err);
}

static int database_lost(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "without an index directory nothing would tell a store")
			 : file_unlink_at(d->dirfd, CHROMA_DATABASE, err);
}

/* The page of the first table behind the schema. */
static int database_page(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	size_t page;
	int r = damage_read(d->dirfd, CHROMA_DATABASE, &bytes, err);

	if (r < 0)
		return r;
	if (bytes.len < 100)
		return cannot(d, "the database is no more than a header");
	page = (size_t)bytes.ptr[16] << 8 | bytes.ptr[17];
	page = page == 1 ? 65536 : page;
	if (page < 512 || bytes.len < 2 * page)
		return cannot(d, "the database has one page only");
	memset(bytes.ptr + page, 0, page);
	return damage_write(d->dirfd, CHROMA_DATABASE, buf_slice(&bytes), err);
}

static int database_foreign(struct damaged *d, struct vs_err *err)
{
	static const char text[] =
		"not a database, but long enough to be looked at as one: the header "
		"of a database has one hundred bytes";

	return damage_write(d->dirfd, CHROMA_DATABASE, slice_str(text), err);
}

static int grow(struct damaged *d, const char *name, uint64_t size, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct file_info info = { 0 };
	int r = file_append_at(d->dirfd, name, 0600, &fd, err);

	if (r == 0)
		r = file_stat_at(d->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r;
	return info.size >= size ? cannot(d, "it is that large already")
				 : file_truncate(fd, size, err);
}

/* Both files are sparse, and take no room. */
static int database_large(struct damaged *d, struct vs_err *err)
{
	return grow(d, CHROMA_DATABASE, UINT64_C(501) << 20, err);
}

static int log_large(struct damaged *d, struct vs_err *err)
{
	return grow(d, CHROMA_DATABASE "-wal", UINT64_C(65) << 20, err);
}

/* ---- what a crash leaves beside the database ---- */

/* Sizes as the header of the database has them; 1: there is none. */
static int page_size(struct damaged *d, const struct buf *db, uint32_t *out)
{
	uint32_t size = db->len < 100 ? 0 : (uint32_t)db->ptr[16] << 8 | db->ptr[17];

	*out = size == 1 ? 65536 : size;
	return *out < 512 || db->len < *out ? cannot(d, "the database has no page") : 0;
}

static void put32(struct buf *out, uint32_t value)
{
	const unsigned char bytes[4] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16),
					 (unsigned char)(value >> 8), (unsigned char)value };

	buf_append(out, bytes, sizeof(bytes));
}

#define JOURNAL_SECTOR 512u

/*
 * A rollback journal with the first page as it is: the transaction that it belongs to changed that
 * page and did not end. The header fills a sector; each record is a page number, the page, and a sum
 * of every 200th byte from its end.
 */
static int journal_left(struct damaged *d, struct vs_err *err)
{
	static const unsigned char magic[] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };
	cleanup_(buf_fini) struct buf db = { 0 };
	cleanup_(buf_fini) struct buf out = { 0 };
	uint32_t size, sum = 0;
	int r = damage_read(d->dirfd, CHROMA_DATABASE, &db, err);

	if (r == 0)
		r = page_size(d, &db, &size);
	if (r != 0)
		return r;
	buf_append(&out, magic, sizeof(magic));
	put32(&out, 1);
	put32(&out, 0);
	put32(&out, (uint32_t)(db.len / size));
	put32(&out, JOURNAL_SECTOR);
	put32(&out, size);
	while (out.len < JOURNAL_SECTOR)
		put32(&out, 0);
	for (uint32_t at = size - 200; at > 0 && at < size; at -= 200)
		sum += db.ptr[at];
	put32(&out, 1);
	buf_append(&out, db.ptr, size);
	put32(&out, sum);
	return damage_write(d->dirfd, CHROMA_DATABASE "-journal", buf_slice(&out), err);
}

/* The running sum of a write-ahead log, over pairs of words in the order of the machine that the
 * magic number names: here the largest byte first. */
static void add_sum(uint32_t sum[2], const unsigned char *ptr, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		sum[0] += load_be32(ptr + i) + sum[1];
		sum[1] += load_be32(ptr + i + 4) + sum[0];
	}
}

/* A log with one committed frame, the first page as it is. */
static int log_left(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf db = { 0 };
	cleanup_(buf_fini) struct buf out = { 0 };
	uint32_t size, sum[2] = { 0, 0 };
	int r = damage_read(d->dirfd, CHROMA_DATABASE, &db, err);

	if (r == 0)
		r = page_size(d, &db, &size);
	if (r != 0)
		return r;
	put32(&out, 0x377f0683);
	put32(&out, 3007000);
	put32(&out, size);
	put32(&out, 0);
	put32(&out, 1);
	put32(&out, 2);
	add_sum(sum, out.ptr, out.len);
	put32(&out, sum[0]);
	put32(&out, sum[1]);
	put32(&out, 1);
	put32(&out, (uint32_t)(db.len / size));
	add_sum(sum, out.ptr + 32, 8);
	add_sum(sum, db.ptr, size);
	put32(&out, 1);
	put32(&out, 2);
	put32(&out, sum[0]);
	put32(&out, sum[1]);
	buf_append(&out, db.ptr, size);
	return damage_write(d->dirfd, CHROMA_DATABASE "-wal", buf_slice(&out), err);
}

/* ---- rows ---- */

/* Put the changed copy in place of the database. */
static int put_back(struct damaged *d, const char *path, struct vs_err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_(vs_freep) char *dir =
		vs_strndup(slice_of(path, slash ? (size_t)(slash - path) : 0));
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r = file_open_dir(AT_FDCWD, dir, FILE_NO_FOLLOW, &fd, err);

	if (r == 0)
		r = damage_read(fd, slash ? slash + 1 : path, &bytes, err);
	return r < 0 ? r : damage_write(d->dirfd, CHROMA_DATABASE, buf_slice(&bytes), err);
}

/*
 * Run statements on a copy of the database. One statement with a parameter, which has to change a
 * row, or where @param is NULL any number of them.
 */
static int change_database(struct damaged *d, const char *sql, const char *param, bool is_script,
			   struct vs_err *err)
{
	const struct chroma_arg arg = { .type = CHROMA_TEXT,
					.bytes = slice_str(param ? param : "") };
	cleanup_(chroma_edit_freep) struct chroma_edit *edit = NULL;
	struct vs_err why = { 0 };
	const char *path = NULL;
	int64_t changed = 1;
	int r = chroma_edit_begin(&edit, d->dirfd, d->scratch, err);

	if (r < 0)
		return r;
	if (is_script)
		r = chroma_edit_exec(edit, sql, &why);
	else
		r = chroma_edit_run(edit, sql, &arg, param ? 1 : 0, &changed, &why);
	if (r == 0 && changed == 0)
		return cannot(d, "the store has no such row");
	if (r == 0)
		r = chroma_edit_finish(edit, &path, &why);
	/* Columns that this release does not have yet, or what SQLite itself prevents. */
	return r != 0 ? cannot(d, why.text) : put_back(d, path, err);
}

int damage_sql(struct damaged *d, const char *sql, const char *param, struct vs_err *err)
{
	return change_database(d, sql, param, false, err);
}

static int run_sql(struct damaged *d, struct vs_err *err)
{
	return change_database(d, d->class->text, NULL, false, err);
}

static int run_script(struct damaged *d, struct vs_err *err)
{
	return change_database(d, d->class->text, NULL, true, err);
}

/* A quarter of the file is what is worth a word. */
static int database_fragmented(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf sql = { 0 };
	struct file_info info;
	int r = file_stat_at(d->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, err);

	if (r < 0)
		return r;
	buf_printf(&sql,
		   "CREATE TABLE selftest(x); INSERT INTO selftest VALUES (zeroblob(%" PRIu64
		   ")); DROP TABLE selftest",
		   UINT64_C(12000000) + info.size / 2);
	return change_database(d, buf_cstr(&sql), NULL, true, err);
}

/* For the victim, where this release keeps what an index is built with. */
static int other_parameters(struct damaged *d, struct vs_err *err)
{
#define OTHER(column)                                                                              \
	"UPDATE collections SET " column " = replace(" column ", '\"max_neighbors\":', "           \
	"'\"max_neighbors\":1') WHERE " column " LIKE '%\"max_neighbors\":%' AND id IN (SELECT "   \
	"collection FROM segments WHERE id = ?)"
	static const char *const sql[] = { OTHER("schema_str"), OTHER("config_json_str") };
#undef OTHER
	int r = 1;

	for (size_t i = 0; r == 1 && i < VS_COUNT(sql); i++)
		r = damage_sql(d, sql[i], d->victim->dir, err);
	return r;
}

/* The first record that the queue still has as it was added. */
#define QUEUED_ROW                                                                                  \
	"(SELECT min(e.id) FROM embeddings e JOIN embeddings_queue q ON q.seq_id = e.seq_id WHERE " \
	"q.operation = 0 AND q.metadata IS NOT NULL)"
#define IX "chroma-index-"
#define DB "chroma-database-"
#define DOCUMENT_ROW "(SELECT min(id) FROM embedding_metadata WHERE key = 'chroma:document')"

const struct damage_class selftest_chroma_classes[] = {
	{ "database-cut", "the database cut in half", DB "truncated " DB "corrupt",
	  .fn = database_cut },
	{ "database-page", "a page of the database zeroed", DB "corrupt", .fn = database_page },
	{ "database-lost", "the database removed", DB "missing", .fn = database_lost },
	{ "fts-lost", "a document that the full-text index lacks", "chroma-document-not-indexed",
	  run_sql, .text = "DELETE FROM embedding_fulltext_search WHERE rowid = " DOCUMENT_ROW },
	{ "fts-differs", "a document that differs from the full-text index",
	  "chroma-document-differs", run_sql,
	  .text = "UPDATE embedding_fulltext_search SET string_value = 'selftest' WHERE rowid = " DOCUMENT_ROW },
	{ "metadata-orphan", "metadata of no record", "chroma-metadata-orphan", run_sql,
	  .text = "INSERT INTO embedding_metadata (id, key, string_value) SELECT max(id) + 1000, 'selftest', "
		  "'x' FROM embeddings" },
	{ "record-lost", "a record that the index has and the table has not", IX "id-extra",
	  run_sql, .text = "DELETE FROM embeddings WHERE id = (SELECT min(id) FROM embeddings)" },
	{ "record-no-segment", "a record of no segment", "chroma-record-no-segment", run_sql,
	  .text = "UPDATE embeddings SET segment_id = 'selftest', seq_id = x'0000000000000001' WHERE id = "
		  "(SELECT min(id) FROM embeddings)" },
	{ "collection-missing", "a record of a collection that is gone",
	  "chroma-collection-missing", run_sql,
	  .text = "UPDATE embeddings SET segment_id = 'selftest', seq_id = 1 WHERE id = (SELECT min(id) FROM "
		  "embeddings)" },
	{ "document-missing", "a document that only the full-text index has",
	  "chroma-document-missing", run_sql,
	  .text = "UPDATE embedding_metadata SET string_value = NULL WHERE key = 'chroma:document' AND id = "
		  "(SELECT min(e.id) FROM embeddings e JOIN embedding_fulltext_search_content c ON c.id = "
		  "e.id WHERE typeof(e.seq_id) = 'integer')" },
	{ "position-ahead", "a position behind the end of the queue", "chroma-position-ahead",
	  run_sql, .text = "UPDATE max_seq_id SET seq_id = 1000000000" },
	{ "queue-row", "a vector in the queue that is none", "chroma-queue-row", run_sql,
	  .text = "UPDATE embeddings_queue SET vector = x'00' WHERE seq_id = (SELECT max(seq_id) FROM "
		  "embeddings_queue WHERE vector IS NOT NULL)" },
	{ "queue-topic", "a row of the queue of no collection", "chroma-queue-topic", run_sql,
	  .text = "UPDATE embeddings_queue SET topic = "
		  "'persistent://default/default/5e1f7e57-0000-4000-8000-000000000000' WHERE seq_id = "
		  "(SELECT max(seq_id) FROM embeddings_queue)" },
	{ "queue-emptied", "the queue emptied by hand", "chroma-queue-emptied", run_sql,
	  .text = "DELETE FROM embeddings_queue" },
	{ "dimension", "another dimension of a collection",
	  "chroma-collection-dimension " IX "dimension", run_sql,
	  .text = "UPDATE collections SET dimension = dimension + 4 WHERE id = (SELECT collection FROM segments "
		  "WHERE scope = 'VECTOR' AND id IN (SELECT segment_id FROM max_seq_id))" },
	{ "configuration", "a configuration that is no JSON", "chroma-collection-config", run_sql,
	  .text = "UPDATE collections SET config_json_str = '{'" },
	{ "migration-changed", "a migration with another digest", "chroma-migration-changed",
	  run_sql,
	  .text = "UPDATE migrations SET hash = '00' WHERE dir = 'sysdb' AND version = 2" },
	{ "migration-gap", "a migration that is missing", "chroma-migration-gap", run_sql,
	  .text = "DELETE FROM migrations WHERE dir = 'sysdb' AND version = 2" },
	{ "database-foreign", "something else in place of the database", DB "foreign",
	  .fn = database_foreign },
	{ "database-large", "a database of half a gigabyte", DB "large", .fn = database_large },
	{ "database-fragmented", "much of the database freed", DB "fragmented",
	  .fn = database_fragmented },
	{ "database-table", "a table dropped", DB "table", run_script,
	  .text = "DROP TABLE maintenance_log" },
	{ "journal-left", "an unfinished transaction beside the database", DB "journal",
	  .fn = journal_left },
	{ "log-left", "a log of committed changes beside the database", DB "wal", .fn = log_left },
	{ "log-large", "a log of 65 megabytes", DB "wal-large", .fn = log_large },
	{ "fts-damaged", "blocks of the full-text index zeroed", "chroma-fts-damaged", run_sql,
	  .text = "UPDATE embedding_fulltext_search_data SET block = zeroblob(length(block)) WHERE id > 10" },
	{ "fts-extra", "a row of the full-text index of no document", "chroma-fts-extra", run_sql,
	  .text = "INSERT INTO embedding_fulltext_search(rowid, string_value) SELECT max(id) + 1000, 'selftest' "
		  "FROM embeddings" },
	{ "metadata-two-types", "a value of two types", "chroma-metadata-value", run_sql,
	  .text = "UPDATE embedding_metadata SET int_value = 1 WHERE string_value IS NOT NULL AND key <> "
		  "'chroma:document' AND id IN " QUEUED_ROW },
	{ "metadata-array-orphan", "a list of no record", "chroma-metadata-array-orphan", run_sql,
	  .text = "INSERT INTO embedding_metadata_array (id, key, string_value) SELECT max(id) + 1000, "
		  "'selftest', 'x' FROM embeddings" },
	{ "metadata-array-leaked", "a list that a record never had", "chroma-metadata-array-leaked",
	  run_sql,
	  .text = "INSERT INTO embedding_metadata_array (id, key, string_value) SELECT id, 'selftest', 'x' FROM "
		  "embeddings WHERE id IN " QUEUED_ROW },
	{ "metadata-twice", "a key with a value and a list", "chroma-metadata-twice", run_sql,
	  .text = "INSERT INTO embedding_metadata_array (id, key, string_value) SELECT id, key, 'x' FROM "
		  "embedding_metadata WHERE key <> 'chroma:document' AND id IN " QUEUED_ROW
		  " LIMIT 1" },
	{ "record-not-indexed", "records that neither the index has nor the rest of the queue",
	  IX "id-missing", run_sql,
	  .text = "UPDATE max_seq_id SET seq_id = (SELECT max(seq_id) FROM embeddings_queue) WHERE typeof(seq_id) "
		  "= 'integer' AND segment_id IN (SELECT v.id FROM segments v JOIN segments m ON m.collection = "
		  "v.collection JOIN max_seq_id p ON p.segment_id = v.id JOIN embeddings e ON e.segment_id = m.id "
		  "JOIN embeddings_queue q ON q.seq_id = e.seq_id WHERE v.scope = 'VECTOR' AND m.scope = 'METADATA' "
		  "AND q.operation = 0 AND q.seq_id > p.seq_id)" },
	{ "position-behind", "a position behind the records", "chroma-position-behind", run_sql,
	  .text = "UPDATE max_seq_id SET seq_id = 0 WHERE segment_id IN (SELECT id FROM segments WHERE scope = "
		  "'METADATA')" },
	{ "position-encoding", "a position that is no number", "chroma-position-encoding", run_sql,
	  .text = "UPDATE max_seq_id SET seq_id = x'0102'" },
	{ "position-order", "an index that is ahead of the records", "chroma-position-order",
	  run_sql,
	  .text = "UPDATE max_seq_id SET seq_id = CASE WHEN segment_id IN (SELECT id FROM segments WHERE scope = "
		  "'VECTOR') THEN (SELECT max(seq_id) FROM embeddings_queue) ELSE (SELECT min(seq_id) - 1 FROM "
		  "embeddings_queue) END WHERE typeof(seq_id) = 'integer'" },
	{ "position-orphan", "a position of no segment", "chroma-position-orphan", run_sql,
	  .text = "INSERT INTO max_seq_id (segment_id, seq_id) VALUES ('selftest', 1)" },
	{ "queue-unpurged", "a thousand rows of the queue that nobody needs",
	  "chroma-queue-unpurged", run_sql,
	  .text = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) INSERT INTO "
		  "embeddings_queue (seq_id, operation, topic, id) SELECT -i, 3, 'persistent://default/default/' "
		  "|| (SELECT v.collection FROM segments v JOIN max_seq_id p ON p.segment_id = v.id WHERE v.scope "
		  "= 'VECTOR' LIMIT 1), 'selftest' FROM n" },
	{ "segment-orphan", "a segment of no collection", "chroma-segment-orphan", run_sql,
	  .text = "INSERT INTO segments (id, type, scope, collection) VALUES ('selftest', "
		  "'urn:chroma:segment/metadata/sqlite', 'METADATA', 'selftest')" },
	{ "segment-type", "a segment of a type that no server knows", "chroma-segment-type",
	  run_sql,
	  .text = "UPDATE segments SET type = 'selftest' WHERE id = (SELECT min(id) FROM segments)" },
	{ "collection-database", "a collection of no database", "chroma-collection-database",
	  run_sql,
	  .text = "UPDATE collections SET database_id = 'selftest' WHERE id = (SELECT min(id) FROM "
		  "collections)" },
	{ "collection-segment", "a collection that lacks a segment", "chroma-collection-segments",
	  run_sql, .text = "DELETE FROM segments WHERE scope = 'METADATA'" },
	{ "collection-named-twice", "two collections of one name",
	  "chroma-collection-duplicate-name", run_script,
	  .text = "SELECT database_id FROM collections; CREATE TABLE selftest AS SELECT * FROM collections; INSERT INTO selftest SELECT * FROM selftest "
		  "LIMIT 1; UPDATE selftest SET id = '5e1f7e57-0000-4000-8000-000000000000' WHERE rowid = (SELECT "
		  "max(rowid) FROM selftest); DROP TABLE collections; ALTER TABLE selftest RENAME TO collections" },
	{ "dimension-none", "a dimension that is none", "chroma-collection-dimension", run_sql,
	  .text = "UPDATE collections SET dimension = 0" },
	{ "parameters", "an index that is to be built otherwise", IX "parameters",
	  .fn = other_parameters },
	{ "migration-newer", "a migration that is not known", "chroma-migration-newer", run_sql,
	  .text = "INSERT INTO migrations VALUES ('sysdb', 999, 'selftest', 'selftest', '00')" },
	{ .name = NULL },
};
