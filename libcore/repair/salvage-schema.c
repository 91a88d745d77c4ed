/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The generation of the old database, and the empty tables of that generation: made by the migrations
 * that a server of that release would run, so that it finds its own.
 */

#include "repair/salvage-private.h"

struct generation {
	int sysdb, metadb, queue;
};

/* What releases have in common, oldest first. */
static const struct generation releases[] = {
	{ 3, 3, 1 },  /* 0.4.6 */
	{ 4, 3, 1 },  /* 0.4.15 */
	{ 5, 3, 1 },  /* 0.5.0 */
	{ 6, 3, 1 },  /* 0.5.1 */
	{ 7, 3, 1 },  /* 0.5.4 */
	{ 9, 4, 2 },  /* 0.5.6 */
	{ 9, 5, 2 },  /* 1.0.0 */
	{ 10, 5, 2 }, /* 1.3.0 */
	{ 10, 6, 2 }, /* 1.5.0 */
};

static void raise(int *to, int64_t version)
{
	if (version > *to && version < 1000)
		*to = (int)version;
}

static int on_migration(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct salvage_work *w = ctx;
	struct slice dir = chroma_bytes(row, 0);

	(void)err;
	if (slice_eq_str(dir, "sysdb"))
		raise(&w->sysdb, chroma_int(row, 1));
	else if (slice_eq_str(dir, "metadb"))
		raise(&w->metadb, chroma_int(row, 1));
	else if (slice_eq_str(dir, "embeddings_queue"))
		raise(&w->queue, chroma_int(row, 1));
	if (chroma_int(row, 2) == DIGEST_HEX_LEN)
		w->digest = "sha256";
	return 0;
}

/* An entry of the schema that a migration has made: its name, or a word of its statement. */
static const struct {
	const char *name, *word;
	struct generation from;
} signs[] = {
	{ "tenants", "", { 4, 0, 0 } },
	{ "collections", "config_json_str", { 7, 0, 0 } },
	{ "collections", "schema_str", { 10, 0, 0 } },
	{ "segment_metadata", "bool_value", { 6, 0, 0 } },
	{ "maintenance_log", "", { 8, 0, 0 } },
	{ "embeddings_queue_config", "", { 0, 0, 2 } },
	{ "embedding_metadata_int_value", "", { 0, 4, 0 } },
	{ "max_seq_id", "seq_id INTEGER", { 0, 5, 0 } },
	{ "embedding_metadata_array", "", { 0, 6, 0 } },
};

static void look_at_schema(struct salvage_work *w)
{
	for (size_t i = 0; i < w->schema_count; i++) {
		const struct schema_entry *e = &w->schema[i];

		for (size_t k = 0; k < VS_COUNT(signs); k++) {
			if (strcmp(e->name, signs[k].name) != 0 || !strstr(e->sql, signs[k].word))
				continue;
			raise(&w->sysdb, signs[k].from.sysdb);
			raise(&w->metadb, signs[k].from.metadb);
			raise(&w->queue, signs[k].from.queue);
		}
	}
}

/* The same from rows: a column that is filled was there. */
static int look_at_rows(struct salvage_work *w, struct vs_err *err)
{
	static const struct {
		const char *sql;
		struct generation from;
	} asked[] = {
		{ "SELECT count(*) FROM s.r_collections WHERE n = 6", { 10, 0, 0 } },
		{ "SELECT count(*) FROM s.r_collections WHERE n = 5 AND c3 LIKE '________-%'",
		  { 7, 0, 0 } },
		{ "SELECT count(*) FROM s.r_collections WHERE n = 4 AND c3 LIKE '________-%'",
		  { 5, 0, 0 } },
		{ "SELECT count(*) FROM s.r_collections WHERE n = 5 AND c4 LIKE '________-%'",
		  { 4, 0, 0 } },
		{ "SELECT count(*) FROM s.r_databases", { 4, 0, 0 } },
		{ "SELECT count(*) FROM s.r_segments WHERE n = 4", { 5, 0, 0 } },
		{ "SELECT count(*) FROM s.r_queue_config", { 9, 4, 2 } },
		{ "SELECT count(*) FROM s.r_max_seq_id WHERE typeof(c1) = 'integer'", { 0, 5, 0 } },
	};

	for (size_t i = 0; i < VS_COUNT(asked); i++) {
		int64_t count;
		int r = salvage_ask(w, asked[i].sql, &count, err);

		if (r < 0)
			return r;
		if (count == 0)
			continue;
		raise(&w->sysdb, asked[i].from.sysdb);
		raise(&w->metadb, asked[i].from.metadb);
		raise(&w->queue, asked[i].from.queue);
	}
	return 0;
}

static int find_generation(struct salvage_work *w, struct vs_err *err)
{
	int64_t rows = 0;
	int r;

	w->digest = "md5";
	r = chroma_query(chroma_edit_db(w->edit),
			 "SELECT c0, max(c1), max(length(c4)) FROM s.r_migrations GROUP BY c0",
			 NULL, on_migration, w, err);
	if (r == 0)
		r = salvage_ask(w, "SELECT count(*) FROM s.r_migrations", &rows, err);
	if (r < 0 || (w->is_whole[KIND_MIGRATIONS] && rows > 0))
		return r;
	look_at_schema(w);
	r = look_at_rows(w, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < VS_COUNT(releases); i++) {
		const struct generation *g = &releases[i];

		if (g->sysdb < w->sysdb || g->metadb < w->metadb || g->queue < w->queue)
			continue;
		w->sysdb = g->sysdb;
		w->metadb = g->metadb;
		w->queue = g->queue;
		break;
	}
	salvage_note(
		w->out,
		"the table of migrations is damaged: sysdb %d, metadb %d and embeddings_queue %d "
		"are taken from what is left",
		w->sysdb, w->metadb, w->queue);
	return 0;
}

int salvage_schema(struct salvage_work *w, struct vs_err *err)
{
	struct chroma_versions known, to;
	int r = find_generation(w, err);

	if (r < 0)
		return r;
	chroma_versions_known(&known);
	if (w->sysdb > known.sysdb || w->metadb > known.metadb || w->queue > known.queue)
		return vs_fail(err, VS_ENOTSUP,
			       "%s: written by a newer release of Chroma than this program knows",
			       CHROMA_DATABASE);
	if (w->metadb < 3)
		return vs_fail(err, VS_ENOTSUP,
			       "%s: written by a release of Chroma before 0.4.6, which has another "
			       "full-text table; let a later one open a copy of it",
			       CHROMA_DATABASE);
	to = (struct chroma_versions){ w->sysdb, w->metadb, w->queue };
	return chroma_edit_migrate(w->edit, &to, strcmp(w->digest, "sha256") == 0, err);
}
