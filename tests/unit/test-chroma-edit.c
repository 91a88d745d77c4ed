/* SPDX-License-Identifier: Apache-2.0 */

/* A database changed on a private copy: what is taken in, what is refused, and what is left behind. */

#include "chroma/chroma.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene {
	char root[64];
	int store;
};

/* A store with a small database of our own making: two rows in a table, and a full-text index. */
static void scene_make(struct scene *s)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	const char *done;
	char path[96];

	snprintf(s->root, sizeof(s->root), "/tmp/vsctl-edit-XXXXXX");
	cr_assert_not_null(mkdtemp(s->root));
	s->store = open(s->root, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/%s", s->root, CHROMA_DATABASE);
	cr_assert_eq(chroma_edit_open(&e, path, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_edit_exec(e,
				      "CREATE TABLE t(id INTEGER PRIMARY KEY, v);"
				      "INSERT INTO t VALUES(1, 'one'), (2, 'two');"
				      "CREATE VIRTUAL TABLE embedding_fulltext_search USING "
				      "fts5(string_value, tokenize='trigram');",
				      &err),
		     0, "%s", err.text);
	cr_assert_eq(chroma_edit_finish(e, &done, &err), 0, "%s", err.text);
	cr_assert_str_eq(done, path);
}

static void scene_end(struct scene *s)
{
	char command[96];

	close(s->store);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
	cr_assert_eq(system(command), 0);
}

static unsigned entries(const char *dir)
{
	char command[160];
	unsigned n = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir);
	pipe = popen(command, "r");
	/* What wc prints. NOLINTNEXTLINE(cert-err34-c) */
	cr_assert_eq(fscanf(pipe, "%u", &n), 1);
	pclose(pipe);
	return n;
}

static int64_t count(struct chroma_db *db, const char *sql)
{
	struct vs_err err = { 0 };
	int64_t n = -1;

	cr_assert_eq(chroma_query_int(db, sql, NULL, &n, &err), 0, "%s", err.text);
	return n;
}

Test(chroma_edit, the_store_is_left_alone_and_the_copy_goes)
{
	struct chroma_arg args[] = { { .type = CHROMA_INTEGER, .integer = 3 },
				     { .type = CHROMA_BLOB, .bytes = slice_of("\0\1", 2) } };
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	struct vs_err err = { 0 };
	struct scene s;
	const char *path;
	int64_t changed = 0;

	scene_make(&s);
	cr_assert_eq(chroma_edit_begin(&e, s.store, s.root, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_edit_run(e, "INSERT INTO t VALUES(?, ?)", args, 2, &changed, &err), 0);
	cr_assert_eq(changed, 1);
	cr_assert_eq(count(chroma_edit_db(e), "SELECT count(*) FROM t"), 3);
	cr_assert_eq(chroma_edit_finish(e, &path, &err), 0, "%s", err.text);
	cr_assert_eq(access(path, R_OK), 0);
	cr_assert_eq(chroma_db_open(&db, s.store, s.root, &err), 0, "%s", err.text);
	cr_assert_eq(count(db, "SELECT count(*) FROM t"), 2, "the store has its old rows");
	chroma_edit_freep(&e);
	cr_assert_eq(entries(s.root), 1, "the copy is gone");
	scene_end(&s);
}

Test(chroma_edit, what_leaves_the_transaction_is_refused)
{
	static const char *const bad[] = {
		"ATTACH ':memory:' AS x",
		"COMMIT",
		"ROLLBACK",
		"SAVEPOINT a",
		"PRAGMA journal_mode=WAL",
		"PRAGMA writable_schema=1",
		"VACUUM",
		"SELECT load_extension('x')",
	};
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s;

	scene_make(&s);
	cr_assert_eq(chroma_edit_begin(&e, s.store, s.root, &err), 0, "%s", err.text);
	for (size_t i = 0; i < VS_COUNT(bad); i++)
		cr_assert_lt(chroma_edit_exec(e, bad[i], &err), 0, "%s", bad[i]);
	cr_assert_eq(chroma_edit_exec(e, "DELETE FROM t WHERE id = 1", &err), 0, "%s", err.text);
	scene_end(&s);
}

Test(chroma_edit, another_database_is_read_from)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s, other;
	char path[96];

	scene_make(&s);
	scene_make(&other);
	snprintf(path, sizeof(path), "%s/%s", other.root, CHROMA_DATABASE);
	cr_assert_eq(chroma_edit_begin(&e, s.store, s.root, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_edit_attach(e, path, "other", &err), 0, "%s", err.text);
	cr_assert_eq(chroma_edit_exec(e, "INSERT INTO t SELECT id + 10, v FROM other.t", &err), 0,
		     "%s", err.text);
	cr_assert_eq(count(chroma_edit_db(e), "SELECT count(*) FROM t"), 4);
	cr_assert_eq(chroma_edit_vacuum(e, &err), 0, "%s", err.text);
	scene_end(&other);
	scene_end(&s);
}

/* A log that a killed writer left is part of the content: it is in the finished file. */
Test(chroma_edit, a_log_beside_it_is_taken_in)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s;
	const char *path;
	char command[256];

	scene_make(&s);
	snprintf(command, sizeof(command),
		 "cd '%s' && printf \"PRAGMA journal_mode=WAL;\\nINSERT INTO t VALUES(9,'log');\\n"
		 ".shell kill -9 \\$PPID\\n\" | sqlite3 chroma.sqlite3 >/dev/null 2>&1; "
		 "test -s chroma.sqlite3-wal",
		 s.root);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(chroma_edit_begin(&e, s.store, s.root, &err), 0, "%s", err.text);
	cr_assert_eq(count(chroma_edit_db(e), "SELECT count(*) FROM t"), 3);
	cr_assert_eq(chroma_edit_finish(e, &path, &err), 0, "%s", err.text);
	snprintf(command, sizeof(command),
		 "cd \"$(dirname '%s')\" && test \"$(ls)\" = chroma.sqlite3", path);
	cr_assert_eq(system(command), 0, "one file and nothing beside it");
	scene_end(&s);
}

Test(chroma_edit, writers_are_kept_out_and_let_in_again)
{
	struct vs_err err = { 0 };
	struct scene s;
	char command[160];
	int fd = -1;

	scene_make(&s);
	snprintf(command, sizeof(command),
		 "sqlite3 '%s/chroma.sqlite3' \"INSERT INTO t VALUES(7,'x')\" 2>/dev/null", s.root);
	cr_assert_eq(chroma_lock_take(s.store, &fd, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_look_for_writer(s.store, &err), 0, "our own lock is no writer");
	cr_assert_neq(system(command), 0, "database is locked");
	close(fd);
	cr_assert_eq(system(command), 0);
	scene_end(&s);
}

Test(chroma_edit, a_writer_at_work_is_not_locked_out)
{
	struct vs_err err = { 0 };
	struct scene s;
	char command[256];
	int fd = -1;

	scene_make(&s);
	snprintf(command, sizeof(command),
		 "cd '%s' && (printf \"BEGIN IMMEDIATE;\\n.shell touch begun; sleep 5\\n\" | "
		 "sqlite3 chroma.sqlite3 & ) ; while ! test -e begun; do sleep 0.01; done",
		 s.root);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(chroma_lock_take(s.store, &fd, &err), VS_EBUSY);
	cr_assert_not_null(strstr(err.text, "transaction"), "%s", err.text);
	scene_end(&s);
}

Test(chroma_edit, copies_of_a_killed_process_are_swept)
{
	struct vs_err err = { 0 };
	struct scene s;
	int status;

	scene_make(&s);
	if (fork() == 0) {
		struct chroma_edit *e = NULL;

		if (chroma_edit_begin(&e, s.store, s.root, &err) == 0)
			_exit(0);
		_exit(1);
	}
	cr_assert(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	cr_assert_eq(entries(s.root), 2);
	cr_assert_eq(chroma_edit_sweep(s.root, &err), 0, "%s", err.text);
	cr_assert_eq(entries(s.root), 1);
	scene_end(&s);
}

/* What SQLite does not find sound does not become a store's. */
Test(chroma_edit, a_damaged_copy_is_not_finished)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s;
	const char *path = NULL;
	char file[96];
	int fd;

	scene_make(&s);
	snprintf(file, sizeof(file), "%s/%s", s.root, CHROMA_DATABASE);
	fd = open(file, O_WRONLY);
	/* The second page is the table's: a wild cell pointer in it. */
	cr_assert_eq(pwrite(fd, "\xff\xf0", 2, 4096 + 8), 2);
	close(fd);
	cr_assert_eq(chroma_edit_begin(&e, s.store, s.root, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_edit_finish(e, &path, &err), VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, "not sound"), "%s", err.text);
	scene_end(&s);
}

/* With a row in a log beside it, as a kill leaves that; page 1 is not in the log. */
static void scene_with_log(struct scene *s)
{
	char command[320];

	scene_make(s);
	snprintf(
		command, sizeof(command),
		"cd '%s' && printf \"PRAGMA journal_mode=WAL;\\nPRAGMA wal_checkpoint(TRUNCATE);\\n"
		"INSERT INTO t VALUES(3, 'three from the log');\\n.shell kill -9 \\$PPID\\n\" | "
		"sqlite3 chroma.sqlite3 >/dev/null 2>&1; test -s chroma.sqlite3-wal && "
		"rm -f chroma.sqlite3-shm",
		s->root);
	cr_assert_eq(system(command), 0);
}

static bool has_text(const struct scene *s, const char *name, const char *text)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(file_read_at(s->store, name, FILE_NO_FOLLOW, 1 << 20, &bytes, NULL, &err), 0,
		     "%s", err.text);
	return memmem(bytes.ptr, bytes.len, text, strlen(text)) != NULL;
}

/* What the log has is data, whatever became of the schema. */
Test(chroma_edit, a_log_is_taken_in_beside_a_damaged_schema)
{
	static const char *const where[] = { "100", "0" }; /* the tree of the schema, the header */

	for (size_t i = 0; i < VS_COUNT(where); i++) {
		struct vs_err err = { 0 };
		char command[256], path[128];
		struct scene s;

		scene_with_log(&s);
		cr_assert(has_text(&s, CHROMA_DATABASE "-wal", "three from the log"));
		cr_assert_not(has_text(&s, CHROMA_DATABASE, "three from the log"));
		snprintf(path, sizeof(path), "%s/%s", s.root, CHROMA_DATABASE);
		snprintf(command, sizeof(command),
			 "printf '\\245\\245\\245\\245\\245\\245\\245\\245' | dd of='%s' bs=1 "
			 "seek=%s conv=notrunc status=none",
			 path, where[i]);
		cr_assert_eq(system(command), 0);
		cr_assert_eq(chroma_edit_settle(path, &err), 0, "%s", err.text);
		cr_expect(has_text(&s, CHROMA_DATABASE, "three from the log"), "damaged at %s",
			  where[i]);
		scene_end(&s);
	}
}

/* Else what the log has would be passed over in silence. */
Test(chroma_edit, a_log_that_cannot_be_taken_in_is_no_success)
{
	struct vs_err err = { 0 };
	char path[128];
	struct scene s;

	scene_with_log(&s);
	snprintf(path, sizeof(path), "%s/%s", s.root, CHROMA_DATABASE);
	/* Where its index is to be made in the file system stands something else. */
	cr_assert_eq(mkdirat(s.store, CHROMA_DATABASE "-shm", 0700), 0);
	cr_assert_lt(chroma_edit_settle(path, &err), 0);
	cr_expect(has_text(&s, CHROMA_DATABASE "-wal", "three from the log"));
	cr_assert_eq(unlinkat(s.store, CHROMA_DATABASE "-shm", AT_REMOVEDIR), 0);
	cr_assert_eq(chroma_edit_settle(path, &err), 0, "%s", err.text);
	cr_expect(has_text(&s, CHROMA_DATABASE, "three from the log"));
	scene_end(&s);
}
