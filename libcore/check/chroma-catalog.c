/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Collections and segments: everything refers to something that is there. The server switches
 * foreign keys off, so no reference is ever checked by SQLite.
 */

#include "check/chroma-run.h"

static void check_collection(struct chroma_run *run, const struct chroma_collection *c)
{
	char actual[64];
	struct finding f = { .path = CHROMA_DATABASE "#collections" };

	if (c->vectors != 1 || c->metadatas != 1) {
		f.code = PROB_CHROMA_COLLECTION_SEGMENTS;
		snprintf(actual, sizeof(actual), "%u and %u", c->vectors, c->metadatas);
		f.actual = actual;
		chroma_report(run, &f, c);
	}
	if (!c->config.is_readable) {
		f.code = PROB_CHROMA_COLLECTION_CONFIG;
		f.actual = c->config.what;
		chroma_report(run, &f, c);
	}
	if (c->has_dimension && (c->dimension <= 0 || c->dimension > HNSW_DIM_MAX)) {
		f.code = PROB_CHROMA_COLLECTION_DIMENSION;
		snprintf(actual, sizeof(actual), "%" PRId64, c->dimension);
		f.actual = actual;
		chroma_report(run, &f, c);
	}
}

/* collection id, what it refers to */
static int on_no_database(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_run *run = ctx;
	cleanup_(vs_freep) char *database = vs_strndup(chroma_bytes(row, 1));
	struct finding f = { .code = PROB_CHROMA_COLLECTION_DATABASE,
			     .path = CHROMA_DATABASE "#collections",
			     .actual = database };

	(void)err;
	chroma_report(run, &f, chroma_catalog_find(&run->catalog, chroma_bytes(row, 0)));
	return 0;
}

/* collection id, name, how many */
static int on_same_name(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_run *run = ctx;
	cleanup_(buf_fini) struct buf name = { 0 };
	struct finding f = { .code = PROB_CHROMA_COLLECTION_DUPLICATE_NAME,
			     .path = CHROMA_DATABASE "#collections",
			     .has_count = true,
			     .count = (uint64_t)chroma_int(row, 2) };

	(void)err;
	text_escape(&name, chroma_bytes(row, 1));
	f.actual = buf_cstr(&name);
	chroma_report(run, &f, chroma_catalog_find(&run->catalog, chroma_bytes(row, 0)));
	return 0;
}

static int check_databases(struct chroma_run *run, struct vs_err *err)
{
	int r;

	if (run->catalog.sysdb < 4)
		return 0;
	r = chroma_query(run->db,
			 "SELECT id, database_id FROM collections "
			 "WHERE database_id NOT IN (SELECT id FROM databases)",
			 NULL, on_no_database, run, err);
	return r == 0 ? chroma_query(run->db,
				     "SELECT min(id), name, count(*) FROM collections "
				     "GROUP BY name, database_id HAVING count(*) > 1",
				     NULL, on_same_name, run, err)
		      : r;
}

static void check_segments(struct chroma_run *run)
{
	for (size_t i = 0; i < run->catalog.segment_count; i++) {
		const struct chroma_segment_ref *segment = &run->catalog.segments[i];
		struct finding f = { .code = PROB_CHROMA_SEGMENT_ORPHAN,
				     .path = CHROMA_DATABASE "#segments",
				     .actual = segment->id };
		const struct chroma_collection *c;

		c = chroma_catalog_find(&run->catalog, slice_str(segment->collection));
		if (!c)
			chroma_report(run, &f, NULL);
		f.code = PROB_CHROMA_SEGMENT_TYPE;
		if (c && !segment->is_type_known)
			chroma_report(run, &f, c);
	}
}

int chroma_check_catalog(struct chroma_run *run, struct vs_err *err)
{
	if (!run->has_catalog)
		return 0;
	for (size_t i = 0; i < run->catalog.collection_count; i++)
		check_collection(run, &run->catalog.collections[i]);
	check_segments(run);
	return chroma_settle(run, check_databases(run, err), "databases of its collections", err);
}
