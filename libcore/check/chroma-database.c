/* SPDX-License-Identifier: Apache-2.0 */

/* The database as a file and as tables: sizes, SQLite's own check, migrations, what must be there. */

#include "check/chroma-run.h"

/* From when on a size is worth a word. */
#define LARGE (UINT64_C(500) << 20)
#define LARGE_WAL (UINT64_C(64) << 20)
#define FREE_PERCENT 25u
#define FREE_BYTES (UINT64_C(10) << 20)

/* ---- the file ---- */

static void look_at_sizes(struct chroma_run *run)
{
	const struct chroma_db_info *info = chroma_db_info(run->db);
	uint64_t free_bytes = info->free_pages * info->page_size;
	char actual[16], expected[16];
	struct finding f = { .actual = actual, .expected = expected };

	size_format(info->bytes, actual);
	if (info->is_truncated) {
		f.code = PROB_CHROMA_DATABASE_TRUNCATED;
		size_format(info->pages * info->page_size, expected);
		run->is_damaged = true;
		chroma_report(run, &f, NULL);
	}
	if (info->bytes > LARGE) {
		f.code = PROB_CHROMA_DATABASE_LARGE;
		size_format(LARGE, expected);
		chroma_report(run, &f, NULL);
	}
	if (free_bytes > FREE_BYTES && free_bytes * 100 > info->bytes * FREE_PERCENT) {
		f.code = PROB_CHROMA_DATABASE_FRAGMENTED;
		size_format(free_bytes, actual);
		size_format(info->bytes, expected);
		chroma_report(run, &f, NULL);
	}
	if (info->wal_bytes > LARGE_WAL) {
		f.code = PROB_CHROMA_DATABASE_WAL_LARGE;
		f.expected = NULL;
		size_format(info->wal_bytes, actual);
		f.path = CHROMA_DATABASE "-wal";
		chroma_report(run, &f, NULL);
	}
}

static void look_beside(struct chroma_run *run)
{
	const struct chroma_db_info *info = chroma_db_info(run->db);
	struct finding f = { .code = PROB_CHROMA_DATABASE_JOURNAL,
			     .path = CHROMA_DATABASE "-journal" };

	if (info->is_foreign)
		f.code = PROB_CHROMA_DATABASE_LOG_FOREIGN;
	if (info->has_journal)
		chroma_report(run, &f, NULL);
	f.code = info->is_foreign ? PROB_CHROMA_DATABASE_LOG_FOREIGN : PROB_CHROMA_DATABASE_WAL;
	f.path = CHROMA_DATABASE "-wal";
	if (info->has_wal)
		chroma_report(run, &f, NULL);
}

/* "Page 49: btreeInitPage() returns error code 11" */
static void report_line(struct chroma_run *run, const char *line)
{
	struct finding f = { .code = PROB_CHROMA_DATABASE_CORRUPT, .detail = line };
	static const char prefix[] = "Page ";
	uint64_t page = 0;

	if (strncmp(line, prefix, strlen(prefix)) == 0)
		page = strtoull(line + strlen(prefix), NULL, 10);
	if (page > 0 && page <= UINT32_MAX) {
		f.has_offset = true;
		f.offset = (page - 1) * chroma_db_info(run->db)->page_size;
	}
	run->is_damaged = true;
	chroma_report(run, &f, NULL);
}

/* Lines of SQLite's integrity check, with a heading for the database. */
static int on_lines(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	cleanup_(vs_freep) char *lines = vs_strndup(chroma_bytes(row, 0));
	char *rest = lines, *line;

	(void)err;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] != '\0' && strncmp(line, "***", 3) != 0)
			report_line(ctx, line);
	}
	return 0;
}

int chroma_check_fts(struct chroma_run *run, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMA_FTS_DAMAGED,
			     .path = CHROMA_DATABASE "#embedding_fulltext_search" };
	int64_t count = 0;
	int r;

	if (run->req->level == CHECK_QUICK || run->has_bad_pages || run->is_fts_sound)
		return 0;
	r = chroma_db_check_fts(run->db, err);
	/* Before 0.4.6 there was another table. One that is there and cannot be asked has lost what
	 * it consists of. */
	if (r == VS_ENOTSUP) {
		struct vs_err ignored = { 0 };

		if (chroma_query_int(run->db,
				     "SELECT count(*) FROM sqlite_master WHERE name = "
				     "'embedding_fulltext_search'",
				     NULL, &count, &ignored) < 0 ||
		    count == 0)
			return 0;
		r = 1;
	}
	if (r == 1) {
		f.detail = err->text;
		chroma_report(run, &f, NULL);
		return 0;
	}
	if (r == VS_EIO || r == VS_ENOMEM || r == VS_ELIMIT) {
		gaps_add(&run->gaps, f.path, "the full-text index", err->text, false);
		return 0;
	}
	return r;
}

int chroma_check_file(struct chroma_run *run, struct vs_err *err)
{
	int r;

	run->bytes = chroma_db_info(run->db)->bytes;
	look_beside(run);
	look_at_sizes(run);
	if (run->req->level == CHECK_QUICK) {
		gaps_add(&run->gaps, CHROMA_DATABASE, "its pages", "not looked at with --quick",
			 true);
		return 0;
	}
	if (run->has_pages_apart)
		return 0;
	r = chroma_db_integrity(run->db, 100, on_lines, run, err);
	r = chroma_settle(run, r, "its pages", err);
	run->has_bad_pages = run->is_damaged;
	return r;
}

/* ---- tables and migrations ---- */

/* A table, and the migration that makes it. */
static const struct {
	const char *table;
	const char *dir;
	int from;
} tables[] = {
	{ "collections", "sysdb", 1 },
	{ "collection_metadata", "sysdb", 1 },
	{ "segments", "sysdb", 2 },
	{ "segment_metadata", "sysdb", 2 },
	{ "tenants", "sysdb", 4 },
	{ "databases", "sysdb", 4 },
	{ "maintenance_log", "sysdb", 8 },
	{ "embeddings", "metadb", 1 },
	{ "embedding_metadata", "metadb", 1 },
	{ "max_seq_id", "metadb", 1 },
	{ "embedding_fulltext_search", "metadb", 3 },
	{ "embedding_metadata_array", "metadb", 6 },
	{ "embeddings_queue", "embeddings_queue", 1 },
	{ "embeddings_queue_config", "embeddings_queue", 2 },
};

static int version_of(const struct chroma_run *run, const char *dir)
{
	if (strcmp(dir, "sysdb") == 0)
		return run->catalog.sysdb;
	return strcmp(dir, "metadb") == 0 ? run->catalog.metadb : run->catalog.queue;
}

static void on_fault(void *ctx, enum chroma_migration_fault fault, const char *dir, int64_t version)
{
	static const enum problem codes[] = {
		[CHROMA_MIGRATION_GAP] = PROB_CHROMA_MIGRATION_GAP,
		[CHROMA_MIGRATION_CHANGED] = PROB_CHROMA_MIGRATION_CHANGED,
		[CHROMA_MIGRATION_NEWER] = PROB_CHROMA_MIGRATION_NEWER,
	};
	char name[128];
	struct finding f = { .code = codes[fault],
			     .actual = name,
			     .path = CHROMA_DATABASE "#migrations" };

	snprintf(name, sizeof(name), "%s %" PRId64, dir, version);
	chroma_report(ctx, &f, NULL);
}

static int check_tables(struct chroma_run *run, struct vs_err *err)
{
	for (size_t i = 0; i < VS_COUNT(tables); i++) {
		struct finding f = { .code = PROB_CHROMA_DATABASE_TABLE,
				     .actual = tables[i].table };
		int64_t count;
		int r;

		if (version_of(run, tables[i].dir) < tables[i].from)
			continue;
		r = chroma_query_int(
			run->db, "SELECT count(*) FROM sqlite_master WHERE type='table' AND name=?",
			tables[i].table, &count, err);
		if (r < 0)
			return r;
		if (count == 0)
			chroma_report(run, &f, NULL);
	}
	return 0;
}

/* Schema and migrations are what a server reads before it answers anything. */
static void report_start(struct chroma_run *run, const char *why)
{
	static const char prefix[] = CHROMA_DATABASE ": ";
	struct finding f = { .code = PROB_CHROMA_DATABASE_UNREADABLE };

	if (strncmp(why, prefix, strlen(prefix)) == 0)
		why += strlen(prefix);
	f.detail = why;
	if (strstr(why, "no such table: migrations")) {
		f.code = PROB_CHROMA_DATABASE_TABLE;
		f.actual = "migrations";
	}
	chroma_report(run, &f, NULL);
}

int chroma_check_schema(struct chroma_run *run, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMA_DATABASE_FOREIGN };
	int64_t count = 0;
	int r;

	r = chroma_query_int(run->db,
			     "SELECT count(*) FROM sqlite_master WHERE type='table' AND "
			     "name IN ('migrations','collections','segments')",
			     NULL, &count, err);
	if (r == 0 && count == 0) {
		f.detail = "it has none of Chroma's tables";
		chroma_report(run, &f, NULL);
		return 1;
	}
	if (r == 0)
		r = chroma_migrations_check(run->db, on_fault, run, err);
	if ((r == VS_EFORMAT || r == VS_ENOTSUP) && !chroma_db_info(run->db)->is_truncated)
		report_start(run, err->text);
	r = chroma_settle(run, r, "its migrations", err);
	if (r == 0)
		r = chroma_catalog_load(&run->catalog, run->db, err);
	run->has_catalog = r == 0;
	/* Every release that is known here has made the first of each. */
	if (r == 0 && run->catalog.sysdb == 0)
		on_fault(run, CHROMA_MIGRATION_GAP, "sysdb", 1);
	if (r == 0 && run->catalog.metadb == 0)
		on_fault(run, CHROMA_MIGRATION_GAP, "metadb", 1);
	if (r == 0 && run->catalog.queue == 0)
		on_fault(run, CHROMA_MIGRATION_GAP, "embeddings_queue", 1);
	r = chroma_settle(run, r, "its collections", err);
	run->logs = vs_alloc_array(run->catalog.collection_count + 1, sizeof(*run->logs));
	run->is_wrong = vs_alloc_array(run->catalog.collection_count + 1, sizeof(*run->is_wrong));
	return r == 0 ? chroma_settle(run, check_tables(run, err), "its tables", err) : r;
}
