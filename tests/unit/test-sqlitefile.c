/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reader of SQLite files against SQLite: the same rows of healthy files, of all page sizes; and of
 * damaged ones no more than they had, and all that is not on the damaged pages.
 */

#include "chroma/chroma.h"
#include "sqlitefile/sqlitefile.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

struct scene {
	char root[64];
	char path[96];
	int dirfd;
	struct buf bytes; /* of the file */
	uint32_t root_page, index_page;
};

static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command);
}

static int64_t ask(struct scene *s, const char *sql)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	struct vs_err err = { 0 };
	int64_t n;

	cr_assert_eq(chroma_db_open(&db, s->dirfd, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_query_int(db, sql, NULL, &n, &err), 0, "%s", err.text);
	return n;
}

/* Values of all kinds and sizes, some of them on overflow pages, and free pages behind them. */
static void scene_make(struct scene *s, unsigned page_size, unsigned rows)
{
	char command[1200];
	struct vs_err err = { 0 };

	*s = (struct scene){ 0 };
	snprintf(s->root, sizeof(s->root), "/tmp/vsctl-sqlitefile-XXXXXX");
	cr_assert_not_null(mkdtemp(s->root));
	snprintf(s->path, sizeof(s->path), "%s/%s", s->root, CHROMA_DATABASE);
	snprintf(
		command, sizeof(command),
		"sqlite3 %s \"PRAGMA page_size=%u; CREATE TABLE other(x); CREATE TABLE t(a, b, c, d);"
		"CREATE INDEX i ON t(c);"
		"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < %u) "
		"INSERT INTO t SELECT CASE x %% 6 WHEN 0 THEN NULL WHEN 1 THEN x * x * x * 7919 * 100003 "
		"WHEN 2 THEN -x WHEN 3 THEN x / 3.0 WHEN 4 THEN 1 ELSE 'text ' || x END, "
		"CASE WHEN x %% 7 = 0 THEN randomblob(x * 37 %% 20000) END, x || ' is a number', "
		"(x << 40) - 1 FROM n; DELETE FROM t WHERE rowid %% 11 = 3 OR rowid BETWEEN 50 AND 120; "
		"UPDATE t SET b = randomblob(300) WHERE rowid %% 13 = 0\"",
		s->path, page_size, rows);
	run(command);
	s->dirfd = open(s->root, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(file_read_at(s->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, 1 << 30, &s->bytes,
				  NULL, &err),
		     0, "%s", err.text);
	s->root_page = (uint32_t)ask(s, "SELECT rootpage FROM sqlite_master WHERE name = 't'");
	s->index_page = (uint32_t)ask(s, "SELECT rootpage FROM sqlite_master WHERE name = 'i'");
}

static void scene_end(struct scene *s)
{
	char command[128];

	close(s->dirfd);
	buf_fini(&s->bytes);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
	run(command);
}

static int read_bytes(void *ctx, uint64_t off, void *to, size_t len, struct vs_err *err)
{
	const struct buf *bytes = ctx;

	(void)err;
	cr_assert(off <= bytes->len && len <= bytes->len - off, "read behind the end");
	memcpy(to, bytes->ptr + off, len);
	return 0;
}

static struct sqlitefile *open_bytes(struct buf *bytes)
{
	const struct sqlitefile_source source = { bytes, bytes->len, read_bytes };
	struct sqlitefile *f = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(sqlitefile_open(&f, &source, &err), 0, "%s", err.text);
	return f;
}

/* ---- rows as text, by number ---- */

struct rows {
	struct buf text;
	uint64_t count, problems;
	int64_t last;
	bool is_rising;
};

static void put_bytes(struct buf *out, struct slice bytes)
{
	struct digest d;
	char hex[DIGEST_HEX_LEN + 1];

	digest_of(bytes, &d);
	digest_format(&d, hex);
	buf_printf(out, "%zu:%.16s", bytes.len, hex);
}

static int take(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct rows *rows = ctx;

	(void)err;
	cr_assert_eq(row->count, 4);
	rows->is_rising &= rows->count == 0 || row->rowid > rows->last;
	rows->last = row->rowid;
	rows->count++;
	buf_printf(&rows->text, "%" PRId64, row->rowid);
	for (uint32_t i = 0; i < row->count; i++) {
		const struct sqlitefile_value *v = &row->value[i];

		switch (v->type) {
		case SQLITEFILE_NULL:
			buf_append_str(&rows->text, "|null");
			break;
		case SQLITEFILE_INTEGER:
			buf_printf(&rows->text, "|i%" PRId64, v->integer);
			break;
		case SQLITEFILE_REAL:
			buf_printf(&rows->text, "|f%.17g", v->real);
			break;
		case SQLITEFILE_TEXT:
		case SQLITEFILE_BLOB:
			buf_append_str(&rows->text, v->type == SQLITEFILE_TEXT ? "|t" : "|b");
			put_bytes(&rows->text, v->bytes);
			break;
		case SQLITEFILE_LOST:
			buf_append_str(&rows->text, "|lost");
			break;
		}
	}
	buf_append_byte(&rows->text, '\n');
	return 0;
}

static void count_problem(void *ctx, const struct sqlitefile_problem *problem)
{
	struct rows *rows = ctx;

	cr_assert(problem->page > 0 && problem->what);
	rows->problems++;
}

static int take_sql(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct rows *rows = ctx;

	(void)err;
	buf_printf(&rows->text, "%" PRId64, chroma_int(row, 0));
	for (int i = 1; i <= 4; i++) {
		switch (chroma_type(row, i)) {
		case CHROMA_NULL:
			buf_append_str(&rows->text, "|null");
			break;
		case CHROMA_INTEGER:
			buf_printf(&rows->text, "|i%" PRId64, chroma_int(row, i));
			break;
		case CHROMA_FLOAT:
			buf_printf(&rows->text, "|f%.17g", chroma_double(row, i));
			break;
		case CHROMA_TEXT:
		case CHROMA_BLOB:
			buf_append_str(&rows->text,
				       chroma_type(row, i) == CHROMA_TEXT ? "|t" : "|b");
			put_bytes(&rows->text, chroma_bytes(row, i));
			break;
		}
	}
	buf_append_byte(&rows->text, '\n');
	rows->count++;
	return 0;
}

static void rows_of_sqlite(struct scene *s, struct rows *out)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_db_open(&db, s->dirfd, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_query(db, "SELECT rowid, a, b, c, d FROM t ORDER BY rowid", NULL,
				  take_sql, out, &err),
		     0, "%s", err.text);
}

static int walk(struct sqlitefile *f, uint32_t root, struct rows *out)
{
	const struct sqlitefile_sink sink = { .ctx = out, .row = take, .problem = count_problem };
	struct vs_err err = { 0 };
	int r;

	out->is_rising = true;
	r = sqlitefile_walk(f, root, SQLITEFILE_TABLE, &sink, &err);
	cr_assert_geq(r, 0, "%s", err.text);
	return r;
}

static bool has_four(void *ctx, const struct sqlitefile_row *row)
{
	(void)ctx;
	return row->count == 4;
}

static void take_strays(struct sqlitefile *f, struct rows *out)
{
	const struct sqlitefile_sink sink = {
		.ctx = out, .fits = has_four, .row = take, .problem = count_problem
	};
	enum sqlitefile_tree tree;
	struct vs_err err = { 0 };
	uint32_t page = 0;

	while (sqlitefile_next_stray(f, &page, &tree, &err) == 1)
		if (tree == SQLITEFILE_TABLE)
			cr_assert_geq(sqlitefile_leaf(f, page, tree, &sink, &err), 0, "%s",
				      err.text);
}

static void rows_fini(struct rows *rows)
{
	buf_fini(&rows->text);
}

/* ---- healthy ---- */

static const unsigned sizes[] = { 512, 1024, 4096, 8192, 65536 };

Test(sqlitefile, the_rows_are_those_of_sqlite)
{
	for (size_t i = 0; i < VS_COUNT(sizes); i++) {
		cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
		cleanup_(rows_fini) struct rows ours = { 0 }, theirs = { 0 }, more = { 0 };
		struct scene s;

		scene_make(&s, sizes[i], 700);
		f = open_bytes(&s.bytes);
		cr_assert(sqlitefile_info(f)->is_header_sound);
		cr_assert(sqlitefile_info(f)->is_freelist_sound);
		cr_assert_eq(sqlitefile_info(f)->page_size, sizes[i]);
		cr_assert_eq(walk(f, s.root_page, &ours), 0);
		rows_of_sqlite(&s, &theirs);
		cr_assert(ours.is_rising);
		cr_assert_eq(ours.problems, 0);
		cr_assert_str_eq(buf_cstr(&ours.text), buf_cstr(&theirs.text));
		/* And no leaf is left over, that is: nothing deleted comes back. */
		take_strays(f, &more);
		cr_assert_eq(more.count, 0);
		scene_end(&s);
	}
}

static int count_entry(void *ctx, const struct sqlitefile_row *row, struct vs_err *err)
{
	struct rows *rows = ctx;

	(void)err;
	cr_assert_eq(row->count, 2);
	cr_assert_eq(row->value[0].type, SQLITEFILE_TEXT);
	cr_assert_eq(row->value[1].type, SQLITEFILE_INTEGER);
	rows->count++;
	rows->last += row->value[1].integer;
	return 0;
}

Test(sqlitefile, an_index_has_an_entry_a_row)
{
	for (size_t i = 0; i < VS_COUNT(sizes); i++) {
		cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
		struct rows rows = { 0 };
		const struct sqlitefile_sink sink = { .ctx = &rows, .row = count_entry };
		struct vs_err err = { 0 };
		struct scene s;

		scene_make(&s, sizes[i], 700);
		f = open_bytes(&s.bytes);
		cr_assert_eq(sqlitefile_walk(f, s.index_page, SQLITEFILE_INDEX, &sink, &err), 0);
		cr_assert_eq(rows.count, (uint64_t)ask(&s, "SELECT count(*) FROM t"));
		cr_assert_eq(rows.last, ask(&s, "SELECT sum(rowid) FROM t"));
		scene_end(&s);
	}
}

/* ---- damaged ---- */

/* Without its header and its roots a file has the same rows. */
Test(sqlitefile, page_size_and_rows_are_found_without_page_1)
{
	for (size_t i = 0; i < VS_COUNT(sizes); i++) {
		cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
		cleanup_(rows_fini) struct rows ours = { 0 }, theirs = { 0 };
		struct scene s;

		scene_make(&s, sizes[i], 700);
		rows_of_sqlite(&s, &theirs);
		memset(s.bytes.ptr, 0xa5, sizes[i]);
		f = open_bytes(&s.bytes);
		cr_assert(!sqlitefile_info(f)->is_header_sound);
		cr_assert_eq(sqlitefile_info(f)->page_size, sizes[i], "%u for %u",
			     sqlitefile_info(f)->page_size, sizes[i]);
		take_strays(f, &ours);
		cr_assert_eq(ours.count, theirs.count, "%" PRIu64 " rows of %" PRIu64 " at %u",
			     ours.count, theirs.count, sizes[i]);
		scene_end(&s);
	}
}

/* Is each line of @part one of @whole? */
static void expect_part(struct rows *part, struct rows *whole)
{
	char *text = vs_strndup(buf_slice(&part->text));
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0' || strstr(line, "|lost"))
			continue;
		cr_assert_not_null(strstr(buf_cstr(&whole->text), line), "not a row: %s", line);
	}
	free(text);
}

/* Each page in its turn overwritten: the other rows are there, and no row that never was. */
Test(sqlitefile, every_page_overwritten)
{
	cleanup_(rows_fini) struct rows whole = { 0 };
	cleanup_(vs_freep) unsigned char *kept = vs_alloc(1024);
	struct scene s;
	uint32_t random = 1;

	scene_make(&s, 1024, 400);
	rows_of_sqlite(&s, &whole);
	for (size_t page = 0; page < s.bytes.len / 1024; page++) {
		cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
		cleanup_(rows_fini) struct rows ours = { 0 };
		unsigned char *at = s.bytes.ptr + page * 1024;

		memcpy(kept, at, 1024);
		for (size_t i = 0; i < 1024; i++)
			at[i] = (unsigned char)((random = random * 1103515245 + 12345) >> 16);
		f = open_bytes(&s.bytes);
		if (page + 1 != s.root_page)
			(void)!walk(f, s.root_page, &ours);
		take_strays(f, &ours);
		/* At most those of one leaf are missing. */
		cr_assert_geq(ours.count + 60, whole.count, "page %zu: %" PRIu64 " rows", page + 1,
			      ours.count);
		/* A blob of random bytes may have lost some of them. */
		if (ours.problems == 0)
			cr_assert_leq(ours.count, whole.count);
		memcpy(at, kept, 1024);
	}
	scene_end(&s);
}

Test(sqlitefile, cut_at_every_page_and_in_between)
{
	cleanup_(rows_fini) struct rows whole = { 0 };
	struct scene s;
	size_t full;

	scene_make(&s, 1024, 200);
	rows_of_sqlite(&s, &whole);
	full = s.bytes.len;
	for (size_t len = full; len > (size_t)3 * 1024; len -= 400) {
		cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
		cleanup_(rows_fini) struct rows ours = { 0 };
		/* Where it ends in memory, reading behind it shows. */
		unsigned char *exact = vs_alloc(len);
		struct buf view = { exact, len, len };

		memcpy(exact, s.bytes.ptr, len);
		f = open_bytes(&view);
		cr_assert_eq(sqlitefile_info(f)->is_truncated, len != full);
		(void)!walk(f, s.root_page, &ours);
		expect_part(&ours, &whole);
		free(exact);
	}
	scene_end(&s);
}

/* A child that leads back, and a chain that leads to itself. */
Test(sqlitefile, rings_end)
{
	cleanup_(sqlitefile_freep) struct sqlitefile *f = NULL;
	cleanup_(rows_fini) struct rows ours = { 0 };
	struct scene s;
	unsigned char *root;

	scene_make(&s, 512, 400);
	root = s.bytes.ptr + (size_t)(s.root_page - 1) * 512;
	cr_assert_eq(root[0], 5);
	for (size_t page = 1; page < s.bytes.len / 512; page++) {
		unsigned char *at = s.bytes.ptr + page * 512;

		/* Every chain ends in itself. */
		if (at[0] == 0)
			for (int i = 0; i < 4; i++)
				at[i] = (unsigned char)((page + 1) >> (8 * (3 - i)));
	}
	for (int i = 0; i < 4; i++)
		root[8 + i] = (unsigned char)(s.root_page >> (8 * (3 - i)));
	f = open_bytes(&s.bytes);
	cr_assert_eq(walk(f, s.root_page, &ours), 1);
	cr_assert_gt(ours.problems, 0);
	cr_assert_gt(ours.count, 0);
	scene_end(&s);
}

Test(sqlitefile, what_is_no_database_is_refused)
{
	struct sqlitefile *f = NULL;
	struct vs_err err = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	const struct sqlitefile_source source = { &bytes, 100000, read_bytes };
	const struct sqlitefile_source empty = { &bytes, 0, read_bytes };

	for (int i = 0; i < 100000; i++)
		buf_append_byte(&bytes, (unsigned char)"some text"[i % 9]);
	cr_assert_eq(sqlitefile_open(&f, &source, &err), VS_EFORMAT);
	cr_assert_eq(sqlitefile_open(&f, &empty, &err), VS_EFORMAT);
	cr_assert_null(f);
}
