/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The proof of a full-text index against FTS5: whatever FTS5 writes is proven, and whatever is proven
 * FTS5 finds sound.
 */

#include "chroma/db-private.h"

#include <criterion/criterion.h>

#define TABLE "embedding_fulltext_search"

static uint64_t state;

static unsigned draw(unsigned below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((state >> 33) % below);
}

static sqlite3 *open_memory(void)
{
	sqlite3 *handle = NULL;

	cr_assert_eq(sqlite3_open(":memory:", &handle), SQLITE_OK);
	return handle;
}

static void run(sqlite3 *handle, const char *sql)
{
	char *why = NULL;

	cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, &why), SQLITE_OK, "%s: %s", sql, why);
}

static bool is_proven(sqlite3 *handle)
{
	struct vs_err err = { 0 };
	int r = chroma_fulltext_is_proven(handle, &err);

	cr_assert_geq(r, 0, "%s", err.text);
	return r == 1;
}

static bool is_sound(sqlite3 *handle)
{
	return sqlite3_exec(handle, "INSERT INTO " TABLE "(" TABLE ") VALUES('integrity-check')",
			    NULL, NULL, NULL) == SQLITE_OK;
}

/* Has a list an index of its rows that takes more than a page? That is left to FTS5. */
static bool has_large_index(sqlite3 *handle)
{
	sqlite3_stmt *stmt = NULL;
	bool out;

	cr_assert_eq(sqlite3_prepare_v2(handle,
					"SELECT count(*) FROM " TABLE
					"_data WHERE id & (1 << 36) AND "
					"substr(block, 1, 1) <> x'00'",
					-1, &stmt, NULL),
		     SQLITE_OK);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
	out = sqlite3_column_int(stmt, 0) > 0;
	sqlite3_finalize(stmt);
	return out;
}

static void make_table(sqlite3 *handle, unsigned page_size)
{
	char sql[200];

	run(handle, "CREATE VIRTUAL TABLE " TABLE " USING fts5(string_value, tokenize='trigram')");
	snprintf(sql, sizeof(sql), "INSERT INTO " TABLE "(" TABLE ", rank) VALUES('pgsz', %u)",
		 page_size);
	run(handle, sql);
}

/* Words of few letters, so that lists are long; some texts are not plain. */
static char *make_text(void)
{
	static const char *const pieces[] = { "ab",
					      "Ba",
					      "abc",
					      " ",
					      "CAB",
					      "a",
					      "\xc3\x84",
					      "\xe2\x80\x9c",
					      "b",
					      "\xf0\x9f\x98\x80",
					      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
					      "x" };
	struct buf out = { 0 };
	unsigned plain = draw(3);

	buf_append_str(&out, "");
	for (unsigned i = draw(draw(12) == 0 ? 400 : 40); i > 0; i--) {
		unsigned which = draw(VS_COUNT(pieces));

		if (plain == 0 || (unsigned char)pieces[which][0] < 0x80)
			buf_append_str(&out, pieces[which]);
	}
	return buf_take_str(&out);
}

static void put(sqlite3 *handle, const char *sql, int64_t row, const char *text)
{
	sqlite3_stmt *stmt = NULL;

	cr_assert_eq(sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL), SQLITE_OK);
	sqlite3_bind_int64(stmt, 1, row);
	sqlite3_bind_text(stmt, 2, text, -1, SQLITE_STATIC);
	cr_assert_eq(sqlite3_step(stmt), SQLITE_DONE, "%s", sqlite3_errmsg(handle));
	sqlite3_finalize(stmt);
}

/* Insert, replace, remove, merge, in transactions of some statements. */
static void work(sqlite3 *handle, unsigned steps)
{
	run(handle, "BEGIN");
	for (unsigned i = 0; i < steps; i++) {
		cleanup_(vs_freep) char *text = make_text();
		unsigned what = draw(100);
		int64_t row = (int64_t)draw(300) - (draw(20) == 0 ? 400 : 0);

		if (what < 50)
			put(handle,
			    "INSERT OR REPLACE INTO " TABLE "(rowid, string_value) VALUES(?, ?)",
			    row, text);
		else if (what < 70)
			put(handle, "UPDATE " TABLE " SET string_value = ?2 WHERE rowid = ?1", row,
			    text);
		else if (what < 85)
			put(handle, "DELETE FROM " TABLE " WHERE rowid = ?1 AND ?2 NOTNULL", row,
			    "");
		else if (what < 88)
			put(handle,
			    "INSERT OR REPLACE INTO " TABLE "(rowid, string_value) VALUES(?, ?)",
			    row, NULL);
		else if (what < 97)
			run(handle, "COMMIT; BEGIN");
		else if (what == 97)
			run(handle, "INSERT INTO " TABLE "(" TABLE ", rank) VALUES('merge', 4)");
		else if (what == 98)
			run(handle, "INSERT INTO " TABLE "(" TABLE ", rank) VALUES('merge', -30)");
		else if (draw(4) == 0)
			run(handle, "INSERT INTO " TABLE "(" TABLE ") VALUES('optimize')");
	}
	run(handle, "COMMIT");
}

static const unsigned page_sizes[] = { 64, 100, 500, 4050 };

Test(fulltext, what_fts5_writes_is_proven)
{
	unsigned proven = 0;

	for (unsigned seed = 0; seed < 24; seed++) {
		sqlite3 *handle = open_memory();

		state = seed + 1;
		make_table(handle, page_sizes[seed % VS_COUNT(page_sizes)]);
		cr_assert(is_proven(handle), "an empty table");
		for (unsigned i = 0; i < 6; i++) {
			work(handle, 60);
			cr_assert(is_sound(handle));
			proven += is_proven(handle);
			cr_assert(is_proven(handle) || has_large_index(handle), "seed %u, part %u",
				  seed, i);
		}
		sqlite3_close(handle);
	}
	cr_assert_gt(proven, 100);
}

/* A list of so many rows that its pages have an index. */
Test(fulltext, long_lists_are_proven)
{
	sqlite3 *handle = open_memory();

	make_table(handle, 4050);
	run(handle,
	    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60000) "
	    "INSERT INTO " TABLE "(rowid, string_value) SELECT x * 50, 'abc' FROM n");
	cr_assert(is_proven(handle));
	run(handle, "UPDATE " TABLE "_data SET block = substr(block, 1, length(block) - 1) "
		    "WHERE id & (1 << 36)");
	cr_assert_eq(sqlite3_changes(handle), 1, "a list of 60000 rows has an index");
	cr_assert(!is_proven(handle), "its last row is cut off");
	sqlite3_close(handle);
}

/* ---- damage ---- */

static const char *const columns[][2] = {
	{ "_data", "block" }, { "_data", "block" }, { "_data", "block" }, { "_idx", "term" },
	{ "_idx", "pgno" },   { "_docsize", "sz" }, { "_content", "c0" },
};

/* Change one byte of one value, or remove its row. False: there was no such. */
static bool spoil(sqlite3 *handle, char sql[600])
{
	unsigned which = draw(VS_COUNT(columns));
	const char *table = columns[which][0], *column = columns[which][1];
	bool is_number = strcmp(column, "pgno") == 0;

	if (draw(8) == 0)
		snprintf(sql, 600,
			 "DELETE FROM " TABLE "%s WHERE %s IN (SELECT %s FROM " TABLE
			 "%s ORDER BY 1 LIMIT 1 OFFSET %u)",
			 table, column, column, table, draw(20));
	else if (is_number)
		snprintf(sql, 600,
			 "UPDATE " TABLE
			 "_idx SET pgno = pgno + %d WHERE term IN (SELECT term FROM " TABLE
			 "_idx LIMIT 1 OFFSET %u)",
			 (int)draw(5) - 2, draw(20));
	else
		snprintf(
			sql, 600,
			"UPDATE " TABLE "%s SET %s = CAST(substr(%s, 1, %u) || x'%02x' || "
			"substr(%s, %u) AS %s) WHERE length(%s) > %u AND rowid IN (SELECT rowid FROM " TABLE
			"%s LIMIT 1 OFFSET %u)",
			table, column, column, draw(40), draw(2) == 0 ? draw(256) : draw(8), column,
			draw(42) + 1, strcmp(column, "c0") == 0 ? "TEXT" : "BLOB", column, 1u,
			table, draw(40));
	return sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK &&
	       sqlite3_changes(handle) > 0;
}

static sqlite3 *copy_of(sqlite3 *handle)
{
	sqlite3 *copy = open_memory();
	sqlite3_int64 len = 0;
	unsigned char *image = sqlite3_serialize(handle, "main", &len, 0);

	cr_assert_not_null(image);
	cr_assert_eq(
		sqlite3_deserialize(copy, "main", image, len, len,
				    SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE),
		SQLITE_OK);
	return copy;
}

Test(fulltext, what_is_proven_is_sound)
{
	unsigned spoiled = 0, refused = 0;

	for (unsigned seed = 0; seed < 8; seed++) {
		sqlite3 *handle = open_memory();

		state = seed + 100;
		make_table(handle, page_sizes[seed % VS_COUNT(page_sizes)]);
		work(handle, 150);
		for (unsigned i = 0; i < 150; i++) {
			sqlite3 *copy = copy_of(handle), *fresh;

			char sql[600];

			if (spoil(copy, sql)) {
				fresh = copy_of(copy);
				spoiled++;
				if (is_proven(copy))
					cr_assert(is_sound(fresh), "seed %u, %u: %s", seed, i, sql);
				else
					refused++;
				sqlite3_close(fresh);
			}
			sqlite3_close(copy);
		}
		sqlite3_close(handle);
	}
	cr_assert_gt(spoiled, 300);
	cr_assert_gt(refused, spoiled / 2, "%u of %u", refused, spoiled);
}

/* What is not known is left to FTS5. */
Test(fulltext, other_tables_are_not_judged)
{
	static const char *const tables[] = {
		"CREATE VIRTUAL TABLE " TABLE " USING fts5(string_value)",
		"CREATE VIRTUAL TABLE " TABLE
		" USING fts5(string_value, tokenize='trigram case_sensitive 1')",
		"CREATE VIRTUAL TABLE " TABLE " USING fts5(string_value, b, tokenize='trigram')",
		"CREATE TABLE " TABLE "(string_value)",
		"CREATE TABLE other(a)",
	};

	for (size_t i = 0; i < VS_COUNT(tables); i++) {
		sqlite3 *handle = open_memory();

		run(handle, tables[i]);
		cr_assert(!is_proven(handle), "%s", tables[i]);
		sqlite3_close(handle);
	}
}
