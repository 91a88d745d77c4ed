/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Collections out of databases of four releases and back into them: the rows of the others are what
 * they were, and those of the one as well, but for numbers that were taken.
 */

#include "chroma/chroma.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

struct scene {
	char root[64];
	char database[128]; /* that is changed */
	char original[128];
};

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void scene_make(struct scene *s, const char *store)
{
	snprintf(s->root, sizeof(s->root), "/tmp/vsctl-carry-XXXXXX");
	cr_assert_not_null(mkdtemp(s->root));
	shell("tar -C %s --strip-components=1 -xJf '%s/tests/data/chroma/stores.tar.xz' %s",
	      s->root, getenv("SOURCE_ROOT"), store);
	snprintf(s->database, sizeof(s->database), "%s/%s", s->root, CHROMA_DATABASE);
	snprintf(s->original, sizeof(s->original), "%s/original", s->root);
	shell("cp %s %s", s->database, s->original);
}

static void scene_end(struct scene *s)
{
	shell("rm -rf '%s'", s->root);
}

static struct chroma_edit *open_edit(const struct scene *s)
{
	struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_edit_open(&e, s->database, &err), 0, "%s", err.text);
	return e;
}

static void finish(struct chroma_edit *e)
{
	struct vs_err err = { 0 };
	const char *path;

	cr_assert_eq(chroma_edit_finish(e, &path, &err), 0, "%s", err.text);
}

static void exec(struct chroma_edit *e, const char *sql)
{
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_edit_exec(e, sql, &err), 0, "%s", err.text);
}

static int64_t count(struct chroma_db *db, const char *sql, const char *id)
{
	struct vs_err err = { 0 };
	int64_t n = -1;

	cr_assert_eq(chroma_query_int(db, sql, id, &n, &err), 0, "%s", err.text);
	return n;
}

static void drop(struct chroma_edit *e, const char *id, struct chroma_carried *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_drop(e, id, out, &err), 0, "%s", err.text);
}

static void carry(const struct scene *s, struct chroma_edit *e, const char *id,
		  struct chroma_carried *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_carry(e, s->original, id, out, &err), 0, "%s", err.text);
}

/* Both databases as statements, in the same order: the inverted index aside, which is laid out
 * anew, and the order in which rows of a table without a key of its own were made. */
static void expect_same(const struct scene *s)
{
	shell("cd %s && for f in original " CHROMA_DATABASE "; do sqlite3 $f .dump | "
	      "grep -vE 'embedding_fulltext_search_(data|idx)' | LC_ALL=C sort > $f.sql; done && "
	      "diff original.sql " CHROMA_DATABASE ".sql > differences || "
	      "{ cat differences; false; }",
	      s->root);
}

static void out_and_in(const char *store)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s;

	scene_make(&s, store);
	e = open_edit(&s);
	cr_assert_eq(chroma_catalog_load(&catalog, chroma_edit_db(e), &err), 0, "%s", err.text);
	cr_assert_gt(catalog.collection_count, 1);
	for (size_t i = 0; i < catalog.collection_count; i++) {
		const struct chroma_collection *c = &catalog.collections[i];
		struct chroma_carried gone = { 0 }, back = { 0 };

		drop(e, c->id, &gone);
		cr_assert_eq(chroma_drop(e, c->id, NULL, &err), VS_ENOENT);
		cr_assert_eq(count(chroma_edit_db(e),
				   "SELECT count(*) FROM segments WHERE collection = ?", c->id),
			     0);
		carry(&s, e, c->id, &back);
		cr_assert_eq(gone.records, back.records);
		cr_assert_eq(gone.queued, back.queued);
		cr_assert_not(back.is_renumbered);
		cr_assert_eq(back.shift, 0);
		cr_assert_eq(chroma_carry(e, s.original, c->id, NULL, &err), VS_EBUSY);
	}
	finish(e);
	expect_same(&s);
	scene_end(&s);
}

Test(chroma_carry, base)
{
	out_and_in("base");
}

Test(chroma_carry, release_1_0)
{
	out_and_in("healthy-1.0");
}

Test(chroma_carry, release_1_5_with_lists)
{
	out_and_in("healthy-1.3");
}

Test(chroma_carry, release_0_4)
{
	out_and_in("legacy-0.4.14");
}

Test(chroma_carry, release_0_6)
{
	out_and_in("legacy-0.6.3");
}

#define DOCS "SELECT id FROM collections WHERE name = 'docs'"

static char *docs_of(struct chroma_edit *e)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_catalog_load(&catalog, chroma_edit_db(e), &err), 0, "%s", err.text);
	for (size_t i = 0; i < catalog.collection_count; i++) {
		if (slice_eq_str(catalog.collections[i].name, "docs"))
			return vs_strdup(catalog.collections[i].id);
	}
	cr_assert_fail("no collection docs");
	return NULL;
}

static void sum_of(struct chroma_db *db, const char *id, struct digest *out, uint64_t *records)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_catalog_load(&catalog, db, &err), 0, "%s", err.text);
	cr_assert_eq(chroma_collection_sum(db, &catalog,
					   chroma_catalog_find(&catalog, slice_str(id)), records,
					   out, &err),
		     0, "%s", err.text);
}

/* Others have taken the numbers of the rows: the records get new ones, and everything follows. */
Test(chroma_carry, taken_rows)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(vs_freep) char *id = NULL;
	struct digest before, after;
	struct chroma_carried out = { 0 };
	uint64_t records, again;
	struct scene s;

	scene_make(&s, "healthy-1.3");
	e = open_edit(&s);
	exec(e,
	     "UPDATE collections SET name = 'docs' WHERE id = (SELECT s.collection FROM segments s "
	     "JOIN embeddings e ON e.segment_id = s.id JOIN embedding_metadata_array a ON a.id = "
	     "e.id LIMIT 1) AND NOT EXISTS (" DOCS ")");
	finish(e);
	chroma_edit_freep(&e);
	shell("cp %s %s", s.database, s.original);
	e = open_edit(&s);
	id = docs_of(e);
	sum_of(chroma_edit_db(e), id, &before, &records);
	exec(e,
	     "CREATE TEMP TABLE taken AS SELECT e.id FROM embeddings e JOIN segments s ON s.id = "
	     "e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = 'docs' LIMIT 3");
	drop(e, id, NULL);
	exec(e, "INSERT INTO embeddings (id, segment_id, embedding_id, seq_id) SELECT id, 'other', "
		"'o' || id, 1 FROM taken");
	carry(&s, e, id, &out);
	cr_assert(out.is_renumbered);
	cr_assert_eq(out.records, records);
	sum_of(chroma_edit_db(e), id, &after, &again);
	cr_assert_eq(records, again);
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	/* Each document is found under the number of its record. */
	cr_assert_eq(
		count(chroma_edit_db(e),
		      "SELECT count(*) FROM embedding_metadata m WHERE key = 'chroma:document' AND "
		      "NOT EXISTS (SELECT 1 FROM embedding_fulltext_search f WHERE f.rowid = m.id "
		      "AND f.string_value = m.string_value)",
		      NULL),
		0);
	finish(e);
	scene_end(&s);
}

/* Others have taken the numbers of the queue: all of the collection's rise by the same. */
Test(chroma_carry, taken_numbers)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(vs_freep) char *id = NULL;
	struct chroma_carried out = { 0 };
	struct scene s;
	int64_t before, after;

	scene_make(&s, "base");
	e = open_edit(&s);
	id = docs_of(e);
	before = count(
		chroma_edit_db(e),
		"SELECT sum(m.seq_id) FROM max_seq_id m JOIN segments s ON s.id = m.segment_id "
		"WHERE s.collection = ?",
		id);
	drop(e, id, NULL);
	exec(e,
	     "INSERT INTO embeddings_queue (seq_id, operation, topic, id) SELECT value, 2, "
	     "'persistent://default/default/other', 'x' FROM (SELECT row_number() OVER () AS value "
	     "FROM sqlite_master a, sqlite_master b) WHERE value < 300 AND value NOT IN (SELECT "
	     "seq_id FROM embeddings_queue)");
	carry(&s, e, id, &out);
	cr_assert_gt(out.shift, 0);
	after = count(
		chroma_edit_db(e),
		"SELECT sum(m.seq_id) FROM max_seq_id m JOIN segments s ON s.id = m.segment_id "
		"WHERE s.collection = ?",
		id);
	cr_assert_eq(after, before + 2 * out.shift);
	cr_assert_eq(
		count(chroma_edit_db(e),
		      "SELECT count(*) FROM embeddings_queue q JOIN max_seq_id m JOIN segments s "
		      "ON s.id = m.segment_id AND s.scope = 'METADATA' WHERE s.collection = ?1 AND "
		      "q.topic LIKE '%/' || ?1 AND q.seq_id = m.seq_id",
		      id),
		1);
	finish(e);
	scene_end(&s);
}

/* Bytes cannot be counted up in the place where they are: said, and the copy is thrown away. */
Test(chroma_carry, taken_numbers_of_an_old_release)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct vs_err err = { 0 };
	struct scene s;

	scene_make(&s, "legacy-0.6.3");
	e = open_edit(&s);
	cr_assert_eq(chroma_catalog_load(&catalog, chroma_edit_db(e), &err), 0);
	drop(e, catalog.collections[0].id, NULL);
	exec(e,
	     "INSERT INTO embeddings_queue (seq_id, operation, topic, id) SELECT value, 2, "
	     "'persistent://default/default/other', 'x' FROM (SELECT row_number() OVER () AS value "
	     "FROM sqlite_master a, sqlite_master b) WHERE value < 300 AND value NOT IN (SELECT "
	     "seq_id FROM embeddings_queue)");
	cr_assert_eq(chroma_carry(e, s.original, catalog.collections[0].id, NULL, &err),
		     VS_ENOTSUP);
	cr_assert_not_null(strstr(err.text, "whole store"));
	scene_end(&s);
}

/* The highest rows of the queue leave: what is written next is not below what segments have
 * seen. */
Test(chroma_carry, numbering_goes_on)
{
	static const char *const stores[] = { "base", "legacy-0.6.3" };

	for (size_t k = 0; k < VS_COUNT(stores); k++) {
		cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
		cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
		struct vs_err err = { 0 };
		struct scene s;

		scene_make(&s, stores[k]);
		e = open_edit(&s);
		cr_assert_eq(chroma_catalog_load(&catalog, chroma_edit_db(e), &err), 0);
		/* The first one has the only rows that are left, and the highest number. */
		exec(e, "DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM "
			"embeddings_queue); UPDATE embeddings_queue SET topic = "
			"'persistent://default/default/' || (SELECT min(id) FROM collections)");
		drop(e, catalog.collections[0].id, NULL);
		cr_assert_eq(
			count(chroma_edit_db(e), "SELECT count(*) FROM embeddings_queue", NULL), 0);
		cr_assert_gt(count(chroma_edit_db(e), "SELECT count(*) FROM max_seq_id", NULL), 0);
		cr_assert_eq(
			count(chroma_edit_db(e),
			      "SELECT count(*) FROM max_seq_id m JOIN segments s ON s.id = "
			      "m.segment_id WHERE m.seq_id > CASE typeof(m.seq_id) WHEN 'blob' "
			      "THEN x'0000000000000000' ELSE 0 END",
			      NULL),
			0);
		scene_end(&s);
	}
}

/* ---- exchange ---- */

static void exchange(const struct scene *s, struct chroma_edit *e, const char *id,
		     struct chroma_carried *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(chroma_exchange(e, s->original, id, out, &err), 0, "%s", err.text);
}

static struct digest others(const struct scene *s, struct chroma_edit *e, const char *id)
{
	struct vs_err err = { 0 };
	struct digest out;

	cr_assert_eq(chroma_others_sum(e, s->original, id, &out, &err), 0, "%s", err.text);
	return out;
}

/* Records that an exchange never keeps. */
#define WITH_LISTS                                                                                 \
	"SELECT count(DISTINCT a.id) FROM carried.embedding_metadata_array a JOIN "                \
	"carried.embeddings e ON e.id = a.id JOIN carried.segments s ON s.id = e.segment_id "      \
	"WHERE s.collection = ?"

/* Each of these makes one record another one, so that one comes, and all else stays. */
Test(chroma_carry, what_differs_is_exchanged)
{
	static const char *const changes[] = {
		"SELECT 1",
		"DELETE FROM embedding_metadata WHERE id = (SELECT max(id) FROM temp.of) AND key = "
		"(SELECT min(key) FROM embedding_metadata WHERE id = (SELECT max(id) FROM temp.of))",
		"INSERT INTO embedding_metadata (id, key, int_value) SELECT max(id), 'zz', 7 FROM "
		"temp.of",
		"UPDATE embedding_metadata SET string_value = 'another' WHERE key = "
		"'chroma:document' AND id = (SELECT max(id) FROM temp.of)",
		"UPDATE embedding_fulltext_search SET string_value = 'another' WHERE rowid = (SELECT "
		"max(id) FROM temp.of)",
		"UPDATE embeddings SET embedding_id = 'another' WHERE id = (SELECT max(id) FROM "
		"temp.of)",
		"UPDATE embeddings SET seq_id = seq_id + 1000 WHERE id = (SELECT max(id) FROM "
		"temp.of)",
		"DELETE FROM embedding_metadata WHERE id = (SELECT max(id) FROM temp.of); DELETE FROM "
		"embedding_fulltext_search WHERE rowid = (SELECT max(id) FROM temp.of); DELETE FROM "
		"embeddings WHERE id = (SELECT max(id) FROM temp.of)",
	};

	for (size_t i = 0; i < VS_COUNT(changes); i++) {
		cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
		cleanup_(vs_freep) char *id = NULL;
		struct chroma_carried out;
		struct digest before, after;
		struct scene s;

		scene_make(&s, "base");
		e = open_edit(&s);
		id = docs_of(e);
		before = others(&s, e, id);
		exec(e,
		     "CREATE TEMP TABLE of AS SELECT e.id FROM embeddings e JOIN segments s ON s.id = "
		     "e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = 'docs' "
		     "AND e.id NOT IN (SELECT id FROM embedding_metadata_array) AND e.id IN (SELECT id "
		     "FROM embedding_metadata WHERE key = 'chroma:document')");
		cr_assert_gt(count(chroma_edit_db(e), "SELECT count(*) FROM temp.of", NULL), 1);
		exec(e, changes[i]);
		exchange(&s, e, id, &out);
		cr_assert_eq(out.records,
			     (uint64_t)count(chroma_edit_db(e), WITH_LISTS, id) + (i > 0),
			     "%zu: %u", i, (unsigned)out.records);
		after = others(&s, e, id);
		cr_assert_arr_eq(&before, &after, sizeof(before));
		finish(e);
		expect_same(&s);
		scene_end(&s);
	}
}

Test(chroma_carry, each_collection_of_each_release_is_exchanged)
{
	static const char *const stores[] = { "base", "legacy-0.6.3", "legacy-0.4.14" };

	for (size_t k = 0; k < VS_COUNT(stores); k++) {
		cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
		cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
		struct vs_err err = { 0 };
		struct scene s;

		scene_make(&s, stores[k]);
		e = open_edit(&s);
		cr_assert_eq(chroma_catalog_load(&catalog, chroma_edit_db(e), &err), 0);
		/* Not what hangs on a record that is no more, which is nobody's. */
		exec(e,
		     "CREATE TEMP TABLE of AS SELECT e.id FROM embeddings e JOIN segments s ON "
		     "s.id = e.segment_id JOIN collections c ON c.id = s.collection; "
		     "DELETE FROM embedding_metadata WHERE id IN temp.of AND id % 2 = 0 AND key "
		     "<> 'chroma:document'; UPDATE embedding_metadata SET key = key || 'x' WHERE "
		     "id IN temp.of AND id % 5 = 0 AND key <> 'chroma:document'");
		for (size_t i = 0; i < catalog.collection_count; i++)
			exchange(&s, e, catalog.collections[i].id, NULL);
		finish(e);
		expect_same(&s);
		scene_end(&s);
	}
}

/* Where one number of the queue must change, all of them do. */
Test(chroma_carry, none_stays_where_numbers_change)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(vs_freep) char *id = NULL;
	struct chroma_carried out;
	struct scene s;

	scene_make(&s, "base");
	e = open_edit(&s);
	id = docs_of(e);
	exec(e, "UPDATE embeddings_queue SET topic = 'persistent://default/default/other' WHERE "
		"substr(topic, -36) = (SELECT id FROM collections WHERE name = 'docs')");
	exchange(&s, e, id, &out);
	cr_assert_gt(out.shift, 0);
	cr_assert_eq((int64_t)out.records,
		     count(chroma_edit_db(e),
			   "SELECT count(*) FROM carried.embeddings e JOIN carried.segments s ON "
			   "s.id = e.segment_id WHERE s.collection = ?",
			   id));
	scene_end(&s);
}

/* Any row of another collection shows, and none of the one's own. */
Test(chroma_carry, rows_of_others_are_told)
{
	static const char *const changes[] = {
		"UPDATE embeddings SET seq_id = seq_id + 1 WHERE id = (SELECT max(id) FROM temp.of)",
		"UPDATE embeddings SET id = id + 100000 WHERE id = (SELECT max(id) FROM temp.of)",
		"UPDATE embedding_metadata SET key = key || 'x' WHERE id = (SELECT max(id) FROM "
		"temp.of)",
		"DELETE FROM embedding_metadata WHERE id = (SELECT max(id) FROM temp.of)",
		"UPDATE embedding_fulltext_search_content SET c0 = 'another' WHERE id = (SELECT "
		"max(id) FROM temp.of)",
		"INSERT INTO embedding_metadata_array (id, key, int_value) SELECT max(id), 'zz', 7 "
		"FROM temp.of",
	};

	for (size_t i = 0; i < 2 * VS_COUNT(changes); i++) {
		bool is_own = i % 2 == 0;
		cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
		cleanup_(vs_freep) char *id = NULL;
		cleanup_(buf_fini) struct buf sql = { 0 };
		struct digest before, after;
		struct scene s;

		scene_make(&s, "base");
		e = open_edit(&s);
		id = docs_of(e);
		before = others(&s, e, id);
		buf_printf(
			&sql,
			"CREATE TEMP TABLE of AS SELECT e.id FROM embeddings e JOIN segments s ON "
			"s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name "
			"%s 'docs' AND e.id IN (SELECT id FROM embedding_metadata) AND e.id IN "
			"(SELECT id FROM embedding_fulltext_search_content)",
			is_own ? "=" : "<>");
		exec(e, buf_cstr(&sql));
		exec(e, changes[i / 2]);
		after = others(&s, e, id);
		cr_assert_eq(memcmp(&before, &after, sizeof(before)) == 0,
			     /* A value without its record is nobody's. */
			     is_own && i / 2 != 1, "%s", changes[i / 2]);
		scene_end(&s);
	}
}

Test(chroma_carry, refusals)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(vs_freep) char *id = NULL;
	struct vs_err err = { 0 };
	struct scene s;

	scene_make(&s, "base");
	e = open_edit(&s);
	id = docs_of(e);
	cr_assert_eq(chroma_carry(e, s.original, "no-such-id", NULL, &err), VS_ENOENT);
	drop(e, id, NULL);
	exec(e,
	     "UPDATE collections SET name = 'docs' WHERE id = (SELECT max(id) FROM collections)");
	cr_assert_eq(chroma_carry(e, s.original, id, NULL, &err), VS_EBUSY);
	cr_assert_not_null(strstr(err.text, "has the name"));
	exec(e,
	     "UPDATE collections SET name = 'other' WHERE name = 'docs'; INSERT INTO segments SELECT "
	     "id, type, scope, (SELECT id FROM collections LIMIT 1) FROM carried.segments WHERE "
	     "collection = (SELECT id FROM carried.collections WHERE name = 'docs')");
	cr_assert_eq(chroma_carry(e, s.original, id, NULL, &err), VS_EBUSY);
	cr_assert_not_null(strstr(err.text, "belongs to another"));
	exec(e, "DELETE FROM migrations WHERE dir = 'metadb' AND version = 6");
	cr_assert_eq(chroma_carry(e, s.original, id, NULL, &err), VS_ENOTSUP);
	cr_assert_not_null(strstr(err.text, "different releases"));
	scene_end(&s);
}
