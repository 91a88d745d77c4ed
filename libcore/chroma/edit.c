/* SPDX-License-Identifier: Apache-2.0 */

/* A private copy of a database, changed inside one transaction; see edit.h. */

#include "chroma/db-private.h"

#include <fcntl.h>

/* Statements that come again and again, row by row, are prepared once. */
#define STATEMENTS_KEPT 16

struct chroma_edit {
	struct chroma_db *db; /* its handle is NULL once the edit is finished */
	char *path;           /* of the file that is changed */
	sqlite3_stmt *kept[STATEMENTS_KEPT];
	unsigned next; /* which is given up for another */
};

static void forget_statements(struct chroma_edit *e)
{
	for (unsigned i = 0; i < STATEMENTS_KEPT; i++) {
		sqlite3_finalize(e->kept[i]);
		e->kept[i] = NULL;
	}
}

void chroma_edit_freep(struct chroma_edit **e)
{
	if (!*e)
		return;
	forget_statements(*e);
	chroma_db_closep(&(*e)->db);
	free((*e)->path);
	free(*e);
	*e = NULL;
}

struct chroma_db *chroma_edit_db(struct chroma_edit *e)
{
	return e->db;
}

/* Statements come from plans that a person may have edited: they change rows and tables, no more. */
static int authority(void *ctx, int action, const char *a, const char *b, const char *c,
		     const char *d)
{
	(void)ctx, (void)b, (void)c, (void)d;
	if (action == SQLITE_ATTACH || action == SQLITE_DETACH || action == SQLITE_TRANSACTION ||
	    action == SQLITE_SAVEPOINT)
		return SQLITE_DENY;
	/* What virtual tables and our own questions ask for; none of these writes. */
	if (action == SQLITE_PRAGMA)
		return strcmp(a, "data_version") == 0 || strcmp(a, "integrity_check") == 0 ||
				       strcmp(a, "foreign_key_check") == 0 ||
				       strcmp(a, "table_info") == 0 || strcmp(a, "page_size") == 0
			       ? SQLITE_OK
			       : SQLITE_DENY;
	return SQLITE_OK;
}

/* A statement of our own, which may be one that is refused otherwise. */
static int do_ours(struct chroma_edit *e, const char *sql, struct vs_err *err)
{
	sqlite3 *handle = e->db->handle;
	int code;

	forget_statements(e);
	(void)sqlite3_set_authorizer(handle, NULL, NULL);
	code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
	(void)sqlite3_set_authorizer(handle, authority, NULL);
	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(handle, code, err);
}

static int start(struct chroma_edit *e, struct vs_err *err)
{
	int code, r;

	code = sqlite3_open_v2(e->path, &e->db->handle,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_PRIVATECACHE,
			       NULL);
	if (code != SQLITE_OK)
		return chroma_fail_sqlite(e->db->handle, code, err);
	r = chroma_db_settle(e->db->handle, err);
	if (r < 0)
		return r;
	/* A full-text index that is damaged is mended by writing to the tables it consists of. */
	(void)sqlite3_db_config(e->db->handle, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	/* The copy is private and not yet anything: it is made durable where it is put in place. */
	return do_ours(e, "PRAGMA synchronous=OFF; BEGIN IMMEDIATE", err);
}

/* A journal or log of another time does not go into the copy. */
static int drop_foreign(struct chroma_edit *e, struct vs_err *err)
{
	static const char *const beside[] = { "-journal", "-wal" };
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(file_closep) int fd = -1;
	struct vs_err ignored = { 0 };
	char name[64];
	int r;

	if (chroma_db_open(&db, e->db->dirfd, e->db->scratch, &ignored) < 0 ||
	    !chroma_db_info(db)->is_foreign)
		return 0;
	r = file_open_dir(AT_FDCWD, e->db->copy.dir, FILE_NO_FOLLOW, &fd, err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(beside); i++) {
		snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, beside[i]);
		r = file_unlink_at(fd, name, err);
		r = r == VS_ENOENT ? 0 : r;
	}
	return r;
}

int chroma_edit_begin(struct chroma_edit **out, int store_dirfd, const char *scratch,
		      struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = vs_alloc(sizeof(*e));
	int r;

	e->db = vs_alloc(sizeof(*e->db));
	e->db->dirfd = store_dirfd;
	e->db->scratch = scratch;
	r = chroma_copy_make(&e->db->copy, store_dirfd, scratch, err);
	if (r < 0)
		return r;
	e->path = vs_strdup(e->db->copy.path);
	r = drop_foreign(e, err);
	if (r == 0)
		r = start(e, err);
	if (r == 0)
		*out = VS_TAKE(e);
	return r;
}

int chroma_edit_open(struct chroma_edit **out, const char *path, struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = vs_alloc(sizeof(*e));
	int r;

	e->db = vs_alloc(sizeof(*e->db));
	e->db->dirfd = -1;
	e->path = vs_strdup(path);
	r = start(e, err);
	if (r == 0)
		*out = VS_TAKE(e);
	return r;
}

int chroma_edit_attach(struct chroma_edit *e, const char *path, const char *as, struct vs_err *err)
{
	struct chroma_arg args[] = {
		{ .type = CHROMA_TEXT, .bytes = slice_str(path) },
		{ .type = CHROMA_TEXT, .bytes = slice_str(as) },
	};
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r;

	/* Not inside a transaction. */
	r = do_ours(e, "COMMIT", err);
	if (r < 0)
		return r;
	(void)sqlite3_set_authorizer(e->db->handle, NULL, NULL);
	r = chroma_edit_run(e, "ATTACH ? AS ?", args, VS_COUNT(args), NULL, err);
	if (r < 0)
		return r;
	/* What start() and chroma_db_settle() set is of one database each. */
	buf_printf(&sql, "PRAGMA %s.synchronous=OFF; PRAGMA %s.cache_size=-65536; BEGIN IMMEDIATE",
		   as, as);
	return do_ours(e, buf_cstr(&sql), err);
}

int chroma_edit_exec(struct chroma_edit *e, const char *sql, struct vs_err *err)
{
	int code = sqlite3_exec(e->db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : chroma_fail_sqlite(e->db->handle, code, err);
}

static int bind(sqlite3_stmt *stmt, int at, const struct chroma_arg *arg)
{
	const char *bytes = (const char *)arg->bytes.ptr;

	switch (arg->type) {
	case CHROMA_NULL:
		return sqlite3_bind_null(stmt, at);
	case CHROMA_INTEGER:
		return sqlite3_bind_int64(stmt, at, arg->integer);
	case CHROMA_FLOAT:
		return sqlite3_bind_double(stmt, at, arg->real);
	case CHROMA_TEXT:
		return sqlite3_bind_text64(stmt, at, bytes ? bytes : "", arg->bytes.len,
					   SQLITE_STATIC, SQLITE_UTF8);
	case CHROMA_BLOB:
		return sqlite3_bind_blob64(stmt, at, bytes ? bytes : "", arg->bytes.len,
					   SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

/* The statement for @sql, which stays the edit's; NULL: *@code says why. */
static sqlite3_stmt *statement(struct chroma_edit *e, const char *sql, int *code)
{
	sqlite3_stmt *made = NULL;

	*code = SQLITE_OK;
	for (unsigned i = 0; i < STATEMENTS_KEPT; i++) {
		if (e->kept[i] && strcmp(sqlite3_sql(e->kept[i]), sql) == 0)
			return e->kept[i];
	}
	*code = sqlite3_prepare_v2(e->db->handle, sql, -1, &made, NULL);
	if (*code != SQLITE_OK || !made)
		return NULL;
	sqlite3_finalize(e->kept[e->next]);
	e->kept[e->next] = made;
	e->next = (e->next + 1) % STATEMENTS_KEPT;
	return made;
}

int chroma_edit_run(struct chroma_edit *e, const char *sql, const struct chroma_arg *args,
		    size_t count, int64_t *changed, struct vs_err *err)
{
	sqlite3 *handle = e->db->handle;
	int code, r = 0;
	sqlite3_stmt *stmt = statement(e, sql, &code);

	if (!stmt)
		return chroma_fail_sqlite(handle, code, err);
	for (size_t i = 0; code == SQLITE_OK && i < count; i++)
		code = bind(stmt, (int)i + 1, &args[i]);
	while (code == SQLITE_OK || code == SQLITE_ROW)
		code = sqlite3_step(stmt);
	if (code != SQLITE_DONE)
		r = chroma_fail_sqlite(handle, code, err);
	/* Values are borrowed for the call, so none stays bound. */
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	/* The statement's own: what FTS5 writes behind it, at a time of its choice, is not counted. */
	if (r == 0 && changed)
		*changed = sqlite3_changes64(handle);
	return r;
}

int chroma_edit_vacuum(struct chroma_edit *e, struct vs_err *err)
{
	return do_ours(e, "COMMIT; VACUUM; ANALYZE; BEGIN IMMEDIATE", err);
}

static int on_finding(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct slice text = chroma_bytes(row, 0);
	cleanup_(buf_fini) struct buf shown = { 0 };

	(void)ctx;
	text_escape(&shown, slice_of(text.ptr, VS_MIN(text.len, 200)));
	return vs_fail(err, VS_EFORMAT, "the changed %s is not sound: %s", CHROMA_DATABASE,
		       buf_cstr(&shown));
}

/* A log is taken into the file, and goes with the last connection. */
static int commit(struct chroma_edit *e, struct vs_err *err)
{
	return do_ours(e, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", err);
}

static int close_file(struct chroma_edit *e, const char **path, struct vs_err *err)
{
	if (sqlite3_close(e->db->handle) != SQLITE_OK)
		return vs_fail(err, VS_EIO, "%s: its copy cannot be closed", CHROMA_DATABASE);
	e->db->handle = NULL;
	*path = e->path;
	return 0;
}

int chroma_edit_finish(struct chroma_edit *e, const char **path, struct vs_err *err)
{
	int r = commit(e, err);

	if (r == 0)
		r = chroma_db_integrity(e->db, 1, on_finding, NULL, err);
	return r < 0 ? r : close_file(e, path, err);
}

int chroma_edit_end(struct chroma_edit *e, const char **path, struct vs_err *err)
{
	int r = commit(e, err);

	return r < 0 ? r : close_file(e, path, err);
}

/* What is damaged is for the caller to find; that the copy cannot be written is not damage. */
static int settled(sqlite3 *handle, int code, struct vs_err *err)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR:
		return 0;
	default:
		return chroma_fail_sqlite(handle, code, err);
	}
}

int chroma_edit_settle(const char *path, struct vs_err *err)
{
	sqlite3 *handle = NULL;
	int code =
		sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	int r = code == SQLITE_OK ? 0 : chroma_fail_sqlite(handle, code, err);

	/* It makes do with reading then, and would leave a log beside the file. */
	if (r == 0 && sqlite3_db_readonly(handle, "main") == 1)
		r = vs_fail(err, VS_EIO, "%s: cannot be opened for writing", path);
	/*
	 * Pages are rolled back, and a log is opened, before anything looks at a page, so that a
	 * damaged schema is no hindrance; as a pragma the checkpoint would read it first.
	 */
	if (r == 0)
		r = settled(handle,
			    sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", NULL, NULL,
					 NULL),
			    err);
	if (r == 0)
		r = settled(handle,
			    sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_TRUNCATE,
						      NULL, NULL),
			    err);
	(void)sqlite3_close(handle);
	return r;
}

struct sweeping {
	const char *scratch;
};

static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct sweeping *s = ctx;
	struct chroma_copy copy = { 0 };
	struct buf path = { 0 };

	(void)type, (void)err;
	if (strncmp(name, CHROMA_COPY_PREFIX, strlen(CHROMA_COPY_PREFIX)) != 0)
		return 0;
	buf_printf(&path, "%s/%s", s->scratch, name);
	copy.dir = buf_take_str(&path);
	chroma_copy_remove(&copy);
	return 0;
}

int chroma_edit_sweep(const char *scratch, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct sweeping s = { scratch };
	int r = file_open_dir(AT_FDCWD, scratch, FILE_FOLLOW, &fd, err);

	return r < 0 ? r : file_list(fd, on_entry, &s, err);
}
