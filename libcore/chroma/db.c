/* SPDX-License-Identifier: Apache-2.0 */

/* The database opened so that nothing is written, and asked for rows. */

#include "chroma/db-private.h"

#include <fcntl.h>

#define HEADER_LEN 100

/* A database up to this size is copied into memory, where one that may be written is needed. */
#define IN_MEMORY_MAX (UINT64_C(256) << 20)

struct chroma_row; /* is sqlite3_stmt */

static sqlite3_stmt *stmt_of(const struct chroma_row *row)
{
	union {
		const struct chroma_row *row;
		sqlite3_stmt *stmt;
	} u = { .row = row };

	return u.stmt;
}

/* ---- rows ---- */

enum chroma_type chroma_type(const struct chroma_row *row, int column)
{
	switch (sqlite3_column_type(stmt_of(row), column)) {
	case SQLITE_INTEGER:
		return CHROMA_INTEGER;
	case SQLITE_FLOAT:
		return CHROMA_FLOAT;
	case SQLITE_TEXT:
		return CHROMA_TEXT;
	case SQLITE_BLOB:
		return CHROMA_BLOB;
	default:
		return CHROMA_NULL;
	}
}

int64_t chroma_int(const struct chroma_row *row, int column)
{
	return sqlite3_column_int64(stmt_of(row), column);
}

double chroma_double(const struct chroma_row *row, int column)
{
	return sqlite3_column_double(stmt_of(row), column);
}

struct slice chroma_bytes(const struct chroma_row *row, int column)
{
	const void *ptr = sqlite3_column_blob(stmt_of(row), column);
	int len = sqlite3_column_bytes(stmt_of(row), column);

	return slice_of(ptr ? ptr : "", ptr && len > 0 ? (size_t)len : 0);
}

int chroma_columns(const struct chroma_row *row)
{
	return sqlite3_column_count(stmt_of(row));
}

bool chroma_seq(const struct chroma_row *row, int column, int64_t *out)
{
	struct slice bytes;
	uint64_t value = 0;

	if (chroma_type(row, column) == CHROMA_INTEGER) {
		*out = chroma_int(row, column);
		return true;
	}
	if (chroma_type(row, column) != CHROMA_BLOB)
		return false;
	bytes = chroma_bytes(row, column);
	if (bytes.len != 8)
		return false;
	for (size_t i = 0; i < bytes.len; i++)
		value = value << 8 | bytes.ptr[i];
	if (value > INT64_MAX)
		return false;
	*out = (int64_t)value;
	return true;
}

/* ---- asking ---- */

int chroma_fail_sqlite(sqlite3 *handle, int code, struct vs_err *err)
{
	const char *text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return vs_fail(err, VS_EFORMAT, "%s: %s", CHROMA_DATABASE, text);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return vs_fail(err, VS_EBUSY, "%s: %s", CHROMA_DATABASE, text);
	case SQLITE_NOMEM:
		return vs_fail(err, VS_ENOMEM, "%s: %s", CHROMA_DATABASE, text);
	case SQLITE_ERROR: /* no such table, no such column */
		return vs_fail(err, VS_ENOTSUP, "%s: %s", CHROMA_DATABASE, text);
	default:
		return vs_fail(err, VS_EIO, "%s: %s", CHROMA_DATABASE, text);
	}
}

int chroma_query(struct chroma_db *db, const char *sql, const char *param,
		 int (*fn)(void *ctx, const struct chroma_row *row, struct vs_err *err), void *ctx,
		 struct vs_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int code, r = 0;

	code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
	if (code == SQLITE_OK && param)
		code = sqlite3_bind_text(stmt, 1, param, -1, SQLITE_STATIC);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(stmt);
		if (code != SQLITE_ROW)
			break;
		r = fn(ctx, (const struct chroma_row *)(const void *)stmt, err);
		if (r != 0)
			break;
	}
	if (r == 0 && code != SQLITE_DONE)
		r = chroma_fail_sqlite(db->handle, code, err);
	sqlite3_finalize(stmt);
	return r;
}

static int take_int(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	(void)err;
	*(int64_t *)ctx = chroma_int(row, 0);
	return 1;
}

int chroma_query_int(struct chroma_db *db, const char *sql, const char *param, int64_t *out,
		     struct vs_err *err)
{
	int r;

	*out = 0;
	r = chroma_query(db, sql, param, take_int, out, err);
	return r > 0 ? 0 : r;
}

/* ---- opening ---- */

static uint64_t be32(const unsigned char *at)
{
	return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
}

/* The header of the file, https://www.sqlite.org/fileformat2.html section 1.3. */
static int read_header(struct chroma_db *db, struct vs_err *err)
{
	static const char magic[] = "SQLite format 3";
	cleanup_(buf_fini) struct buf head = { 0 };
	struct chroma_db_info *info = &db->info;
	enum file_type type = FILE_REGULAR;
	int r;

	r = file_read_head_at(db->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, HEADER_LEN, &head, &type,
			      err);
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: is not a regular file", CHROMA_DATABASE);
	if (r < 0)
		return r;
	if (head.len < HEADER_LEN || memcmp(head.ptr, magic, sizeof(magic)) != 0)
		return vs_fail(err, VS_EFORMAT, "%s: is not an SQLite database", CHROMA_DATABASE);
	info->page_size = (uint64_t)head.ptr[16] << 8 | head.ptr[17];
	if (info->page_size == 1)
		info->page_size = 65536;
	/* The number of pages is valid when both change counters are the same. */
	if (memcmp(head.ptr + 24, head.ptr + 92, 4) == 0)
		info->pages = be32(head.ptr + 28);
	info->free_pages = be32(head.ptr + 36);
	info->is_truncated = info->pages * info->page_size > info->bytes;
	return 0;
}

static int look_beside(struct chroma_db *db, struct vs_err *err)
{
	struct vs_err absent = { 0 };
	struct file_info info;
	int r;

	r = file_stat_at(db->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &db->file, err);
	if (r < 0)
		return r;
	db->info.bytes = db->file.size;
	if (file_stat_at(db->dirfd, CHROMA_DATABASE "-journal", FILE_NO_FOLLOW, &info, &absent) ==
	    0)
		db->info.has_journal = info.size > 0;
	if (file_stat_at(db->dirfd, CHROMA_DATABASE "-wal", FILE_NO_FOLLOW, &info, &absent) == 0) {
		db->info.has_wal = info.size > 0;
		db->info.wal_bytes = info.size;
	}
	return chroma_look_for_writer(db->dirfd, err);
}

static int no_authority(void *ctx, int action, const char *a, const char *b, const char *c,
			const char *d)
{
	(void)ctx, (void)a, (void)b, (void)c, (void)d;
	return action == SQLITE_ATTACH || action == SQLITE_DETACH ? SQLITE_DENY : SQLITE_OK;
}

/* What a hostile file could make SQLite do is switched off; sizes are limited. */
int chroma_db_settle(sqlite3 *handle, struct vs_err *err)
{
	int code;

	sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 256 << 20);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	code = sqlite3_set_authorizer(handle, no_authority, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(handle, "PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON",
				    NULL, NULL, NULL);
	/* Each page is asked for by several questions, and in the order of indexes: 64 MiB of them
	 * are kept. This one reads the schema; a file that has none does without. */
	if (code == SQLITE_OK)
		(void)sqlite3_exec(handle, "PRAGMA cache_size=-65536", NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(handle, code, err);
}

static int open_in_place(const struct chroma_db *db, sqlite3 **out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf uri = { 0 };
	int code;

	buf_printf(&uri, "file:/proc/self/fd/%d/%s?mode=ro&immutable=1", db->dirfd,
		   CHROMA_DATABASE);
	code = sqlite3_open_v2(buf_cstr(&uri), out,
			       SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_PRIVATECACHE,
			       NULL);
	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(*out, code, err);
}

static int open_copy(struct chroma_db *db, const char *scratch, struct vs_err *err)
{
	int code, r;

	r = chroma_copy_make(&db->copy, db->dirfd, scratch, err);
	if (r < 0)
		return r;
	code = sqlite3_open_v2(
		db->copy.path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(db->handle, code, err);
}

struct integrity {
	struct chroma_db *db;
	int (*fn)(void *ctx, const struct chroma_row *row, struct vs_err *err);
	void *ctx;
};

/* Of the full-text index: "malformed inverted index for FTS5 table main.x" */
static bool is_of_fulltext(struct slice line)
{
	static const char words[] = " FTS5 table ";

	return line.len > 0 && memmem(line.ptr, line.len, words, strlen(words)) != NULL;
}

static int pass_complaint(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	const struct integrity *i = ctx;
	struct slice line = chroma_bytes(row, 0);

	if (slice_eq_str(line, "ok") || is_of_fulltext(line))
		return 0;
	return i->fn ? i->fn(i->ctx, row, err) : 1;
}

static int check_table(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct integrity *i = ctx;
	cleanup_(vs_freep) char *name = vs_strndup(chroma_bytes(row, 0));
	char *sql = sqlite3_mprintf("PRAGMA integrity_check(%Q)", name);
	int r = sql ? chroma_query(i->db, sql, NULL, pass_complaint, i, err)
		    : vs_fail(err, VS_ENOMEM, "no memory for a statement");

	sqlite3_free(sql);
	return r;
}

int chroma_db_integrity(struct chroma_db *db, unsigned max,
			int (*fn)(void *ctx, const struct chroma_row *row, struct vs_err *err),
			void *ctx, struct vs_err *err)
{
	struct integrity i = { .db = db, .fn = fn, .ctx = ctx };
	char sql[48];
	int r;

	/* One more for the full-text index. */
	snprintf(sql, sizeof(sql), "PRAGMA integrity_check(%u)", max + 1);
	r = chroma_query(db, sql, NULL, pass_complaint, &i, err);
	/* Where FTS5 cannot even begin, all other tables are asked one by one. */
	if (r < 0 && strstr(err->text, "vtable constructor failed"))
		r = chroma_query(db,
				 "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT "
				 "LIKE 'CREATE VIRTUAL%'",
				 NULL, check_table, &i, err);
	return r;
}

static bool is_sound(sqlite3 *handle)
{
	struct chroma_db db = { .handle = handle };
	struct vs_err ignored = { 0 };

	return handle && chroma_db_integrity(&db, 1, NULL, NULL, &ignored) == 0;
}

/*
 * A journal or a log that was left from another time says nothing of the database as it is now, and
 * SQLite does not notice. Where the database is damaged with it and sound without it, it is no part
 * of it. @r is the outcome of opening the copy.
 */
static int leave_foreign(struct chroma_db *db, int r, struct vs_err *err)
{
	struct vs_err ignored = { 0 };
	sqlite3 *alone = NULL;

	/* Whoever was killed had told the new size before all of the pages were there. */
	if (r == 0 && is_sound(db->handle)) {
		db->info.is_truncated = false;
		return 0;
	}
	if (open_in_place(db, &alone, &ignored) < 0 || chroma_db_settle(alone, &ignored) < 0 ||
	    !is_sound(alone)) {
		sqlite3_close(alone);
		return r;
	}
	sqlite3_close(db->handle);
	db->handle = alone;
	chroma_copy_remove(&db->copy);
	db->info.is_foreign = true;
	*err = (struct vs_err){ 0 };
	return 0;
}

int chroma_db_open(struct chroma_db **out, int dirfd, const char *scratch, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = vs_alloc(sizeof(*db));
	int r;

	db->dirfd = dirfd;
	db->scratch = scratch;
	r = look_beside(db, err);
	if (r == 0)
		r = read_header(db, err);
	if (r < 0)
		return r;
	if (db->info.has_journal || db->info.has_wal)
		r = open_copy(db, scratch, err);
	else
		r = open_in_place(db, &db->handle, err);
	if (r == 0)
		r = chroma_db_settle(db->handle, err);
	if ((r == 0 || r == VS_EFORMAT) && db->copy.dir)
		r = leave_foreign(db, r, err);
	if (r < 0)
		return r;
	*out = VS_TAKE(db);
	return 0;
}

void chroma_db_closep(struct chroma_db **db)
{
	if (!*db)
		return;
	sqlite3_close((*db)->handle);
	chroma_copy_remove(&(*db)->copy);
	free(*db);
	*db = NULL;
}

const struct chroma_db_info *chroma_db_info(const struct chroma_db *db)
{
	return &db->info;
}

int chroma_db_has_changed(struct chroma_db *db, bool *out, struct vs_err *err)
{
	struct file_info now;
	int r = file_stat_at(db->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &now, err);

	if (r < 0)
		return r;
	*out = now.size != db->file.size || now.modified_ns != db->file.modified_ns ||
	       now.inode != db->file.inode;
	return chroma_look_for_writer(db->dirfd, err);
}

/* ---- the full-text index ---- */

static int ask_fts(sqlite3 *handle, struct vs_err *err)
{
	int code = sqlite3_exec(handle,
				"INSERT INTO embedding_fulltext_search(embedding_fulltext_search) "
				"VALUES('integrity-check')",
				NULL, NULL, NULL);
	int r;

	if (code == SQLITE_OK)
		return 0;
	r = chroma_fail_sqlite(handle, code, err);
	return r == VS_EFORMAT ? 1 : r;
}

/* The file's bytes as a database in memory, which owns them. */
static int open_in_memory(struct chroma_db *db, sqlite3 **out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	unsigned char *image;
	int code, r;

	r = file_read_at(db->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, IN_MEMORY_MAX, &bytes, NULL,
			 err);
	if (r != 0)
		return r < 0 ? r : vs_fail(err, VS_EFORMAT, "%s: no file", CHROMA_DATABASE);
	image = sqlite3_malloc64(bytes.len);
	if (!image)
		return vs_fail(err, VS_ENOMEM, "%s: %zu bytes", CHROMA_DATABASE, bytes.len);
	memcpy(image, bytes.ptr, bytes.len);
	/* In memory there is no log to switch to. */
	if (bytes.len > 20 && image[18] == 2)
		image[18] = image[19] = 1;
	code = sqlite3_open_v2(":memory:", out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK) {
		sqlite3_free(image);
		return chroma_fail_sqlite(*out, code, err);
	}
	/* Frees the bytes itself, also when it fails. */
	code = sqlite3_deserialize(*out, "main", image, (sqlite3_int64)bytes.len,
				   (sqlite3_int64)bytes.len,
				   SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(*out, code, err);
}

/* A large one is copied to disk. */
static int ask_on_disk(struct chroma_db *db, struct vs_err *err)
{
	cleanup_(chroma_copy_remove) struct chroma_copy copy = { 0 };
	sqlite3 *handle = NULL;
	int code;
	int r = chroma_copy_make(&copy, db->dirfd, db->scratch, err);

	if (r < 0)
		return r;
	code = sqlite3_open_v2(copy.path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			       NULL);
	r = code == SQLITE_OK ? ask_fts(handle, err) : chroma_fail_sqlite(handle, code, err);
	sqlite3_close(handle);
	return r;
}

/* Another connection, for another thread. False where there cannot be one: a copy may be written while
 * it is asked, and that the connection keeps to itself. */
static bool open_another(const struct chroma_db *db, sqlite3 **out)
{
	struct vs_err ignored = { 0 };

	return !db->copy.dir && open_in_place(db, out, &ignored) == 0 &&
	       chroma_db_settle(*out, &ignored) == 0;
}

bool chroma_db_has_sound_fts(const struct chroma_db *db)
{
	struct vs_err ignored = { 0 };
	sqlite3 *handle = NULL;
	bool out;

	out = open_another(db, &handle) &&
	      /* Its pages are read once. */
	      sqlite3_exec(handle, "PRAGMA cache_size=-1024", NULL, NULL, NULL) == SQLITE_OK &&
	      chroma_fulltext_is_proven(handle, &ignored) == 1;
	sqlite3_close(handle);
	return out;
}

bool chroma_db_has_sound_pages(const struct chroma_db *db)
{
	sqlite3 *handle = NULL;
	bool out;

	out = open_another(db, &handle) && is_sound(handle);
	sqlite3_close(handle);
	return out;
}

int chroma_db_check_fts(struct chroma_db *db, struct vs_err *err)
{
	sqlite3 *memory = NULL;
	int r = chroma_fulltext_is_proven(db->handle, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (db->copy.dir)
		return ask_fts(db->handle, err);
	if (db->info.bytes > IN_MEMORY_MAX)
		return ask_on_disk(db, err);
	r = open_in_memory(db, &memory, err);
	if (r == 0)
		r = ask_fts(memory, err);
	sqlite3_close(memory);
	return r;
}
