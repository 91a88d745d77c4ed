/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records: rows of embeddings, their metadata, and the full-text copy of their documents, held
 * against each other. A rule is a query that finds nothing in a sound store: how many rows break it,
 * and the first of them.
 */

#include "check/chroma-run.h"

struct rule {
	enum problem code;
	const char *table;        /* of which the query gives a row number */
	int metadb, metadb_below; /* versions for which it holds; 0: no bound */
	const char *what;
	const char *sql; /* count, first row number */
};

#define VALUES_SET                                                                                 \
	"(string_value IS NOT NULL) + (int_value IS NOT NULL) + (float_value IS NOT NULL)"
#define BOOL_SET " + (bool_value IS NOT NULL)"

static const struct rule rules[] = {
	{ PROB_CHROMA_RECORD_NO_SEGMENT, "embeddings", 1, 0, "records without a segment",
	  "SELECT count(*), min(id) FROM embeddings "
	  "WHERE segment_id NOT IN (SELECT id FROM segments WHERE scope = 'METADATA') "
	  "AND typeof(seq_id) <> 'integer'" },
	/* Releases before 1.0, which number records by blobs, leave them when a collection is
	 * dropped. Those after it do not. */
	{ PROB_CHROMA_COLLECTION_MISSING, "embeddings", 1, 0, "records without a collection",
	  "SELECT count(*), min(e.id) FROM embeddings e WHERE typeof(e.seq_id) = 'integer' AND "
	  "e.segment_id NOT IN (SELECT s.id FROM segments s JOIN collections c "
	  "ON c.id = s.collection WHERE s.scope = 'METADATA')" },
	{ PROB_CHROMA_METADATA_ORPHAN, "embedding_metadata", 1, 0, "metadata without a record",
	  "SELECT count(*), min(id) FROM embedding_metadata "
	  "WHERE id NOT IN (SELECT id FROM embeddings)" },
	{ PROB_CHROMA_METADATA_ARRAY_ORPHAN, "embedding_metadata_array", 6, 0,
	  "array metadata without a record",
	  "SELECT count(*), min(id) FROM embedding_metadata_array "
	  "WHERE id NOT IN (SELECT id FROM embeddings)" },
	{ PROB_CHROMA_METADATA_TWICE, "embedding_metadata", 6, 0, "keys in both tables of metadata",
	  "SELECT count(*), min(m.id) FROM embedding_metadata m WHERE EXISTS "
	  "(SELECT 1 FROM embedding_metadata_array a WHERE a.id = m.id AND a.key = m.key)" },
	{ PROB_CHROMA_METADATA_VALUE, "embedding_metadata", 1, 2, "values of metadata",
	  "SELECT count(*), min(id) FROM embedding_metadata WHERE " VALUES_SET " > 1" },
	{ PROB_CHROMA_METADATA_VALUE, "embedding_metadata", 2, 0, "values of metadata",
	  "SELECT count(*), min(id) FROM embedding_metadata WHERE " VALUES_SET BOOL_SET
	  " > 1 OR bool_value NOT IN (0, 1)" },
	{ PROB_CHROMA_DOCUMENT_NOT_INDEXED, "embedding_metadata", 3, 0,
	  "documents in the full-text table",
	  "SELECT count(*), min(m.id) FROM embedding_metadata m "
	  "LEFT JOIN embedding_fulltext_search_content c ON c.id = m.id "
	  "WHERE m.key = 'chroma:document' AND m.string_value IS NOT NULL AND c.id IS NULL" },
	{ PROB_CHROMA_DOCUMENT_DIFFERS, "embedding_metadata", 3, 0,
	  "documents in the full-text table",
	  "SELECT count(*), min(m.id) FROM embedding_metadata m "
	  "JOIN embedding_fulltext_search_content c ON c.id = m.id "
	  "WHERE m.key = 'chroma:document' AND m.string_value IS NOT c.c0 "
	  "AND m.string_value IS NOT NULL" },
	{ PROB_CHROMA_DOCUMENT_MISSING, "embeddings", 5, 0, "documents of the full-text table",
	  "SELECT count(*), min(c.id) FROM embedding_fulltext_search_content c "
	  "WHERE " CHROMA_TEXT_LOST },
	{ PROB_CHROMA_FTS_EXTRA, "embedding_fulltext_search_content", 3, 0,
	  "rows of the full-text table",
	  "SELECT count(*), min(c.id) FROM embedding_fulltext_search_content c "
	  "LEFT JOIN embedding_metadata m ON m.id = c.id AND m.key = 'chroma:document' "
	  "WHERE m.id IS NULL AND NOT (" CHROMA_TEXT_LOST ")" },
};

struct answer {
	int64_t count, first;
};

static int take_answer(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct answer *a = ctx;

	(void)err;
	a->count = chroma_int(row, 0);
	a->first = chroma_int(row, 1);
	return 1;
}

static int check_rule(struct chroma_run *run, const struct rule *rule, struct vs_err *err)
{
	struct answer a = { 0 };
	char path[128];
	struct finding f = { .code = rule->code, .path = path, .has_count = true };
	int r;

	if (run->catalog.metadb < rule->metadb ||
	    (rule->metadb_below > 0 && run->catalog.metadb >= rule->metadb_below))
		return 0;
	r = chroma_query(run->db, rule->sql, NULL, take_answer, &a, err);
	if (r < 0)
		return chroma_settle(run, r, rule->what, err);
	if (a.count == 0)
		return 0;
	snprintf(path, sizeof(path), "%s#%s/%" PRId64, CHROMA_DATABASE, rule->table, a.first);
	f.count = (uint64_t)a.count;
	chroma_report(run, &f, NULL);
	return 0;
}

/*
 * Row numbers are used again, and the server leaves the array metadata of a dropped collection
 * behind: a new record then inherits them. An added record has exactly the keys of its row in the
 * queue, as long as that is there.
 */
struct leak {
	struct chroma_run *run;
	uint64_t count;
	int64_t first;
};

/* record, key, the queue's metadata */
static int on_array_key(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct leak *leak = ctx;
	cleanup_(jr_freep) struct jr *metadata = NULL;
	cleanup_(vs_freep) char *key = vs_strndup(chroma_bytes(row, 1));
	struct vs_err ignored = { 0 };
	struct slice text = chroma_bytes(row, 2);

	(void)err;
	if (text.len == 0 || jr_parse_foreign(&metadata, text, &ignored) < 0 ||
	    jr_get(metadata, key))
		return 0;
	if (leak->count++ == 0)
		leak->first = chroma_int(row, 0);
	return 0;
}

static int check_leaks(struct chroma_run *run, struct vs_err *err)
{
	struct leak leak = { .run = run };
	char path[128];
	struct finding f = { .code = PROB_CHROMA_METADATA_ARRAY_LEAKED,
			     .path = path,
			     .has_count = true };
	int r;

	if (run->catalog.metadb < 6)
		return 0;
	r = chroma_query(run->db,
			 "SELECT DISTINCT a.id, a.key, q.metadata FROM embedding_metadata_array a "
			 "JOIN embeddings e ON e.id = a.id "
			 "JOIN embeddings_queue q ON q.seq_id = e.seq_id AND q.id = e.embedding_id "
			 "WHERE q.operation = 0",
			 NULL, on_array_key, &leak, err);
	if (r < 0 || leak.count == 0)
		return chroma_settle(run, r, "array metadata that leaked", err);
	snprintf(path, sizeof(path), "%s#embedding_metadata_array/%" PRId64, CHROMA_DATABASE,
		 leak.first);
	f.count = leak.count;
	chroma_report(run, &f, NULL);
	return 0;
}

int chroma_check_records(struct chroma_run *run, struct vs_err *err)
{
	int r = 0;

	if (run->req->level == CHECK_QUICK || !run->has_catalog)
		return 0;
	for (size_t i = 0; r == 0 && i < VS_COUNT(rules); i++)
		r = check_rule(run, &rules[i], err);
	return r == 0 ? check_leaks(run, err) : r;
}
