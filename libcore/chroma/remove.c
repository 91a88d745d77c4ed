/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records out of a collection, without touching its index: that is what the queue is for. The
 * metadata segment has seen the removal at once, and the vector segment takes it from the queue,
 * where the server leaves it until the next time it saves the index.
 */

#include "chroma/chroma.h"

#define OF_SEGMENTS "(SELECT id FROM main.segments WHERE collection = ?1)"
#define ROWS                                                                                       \
	"(SELECT e.id FROM main.embeddings e JOIN temp.removed r ON r.id = e.embedding_id WHERE "  \
	"e.segment_id IN " OF_SEGMENTS ")"

struct removing {
	struct chroma_edit *e;
	struct chroma_db *db;
	const char *id;
	bool has_lists, has_bytes; /* numbers are bytes, as before 1.0 */
	int64_t top;
};

static int run(struct removing *m, const char *sql, struct vs_err *err)
{
	struct chroma_arg arg = { .type = CHROMA_TEXT, .bytes = slice_str(m->id) };

	return chroma_edit_run(m->e, sql, &arg, 1, NULL, err);
}

static int look(struct removing *m, struct vs_err *err)
{
	int64_t lists = 0, bytes = 0;
	int r = chroma_query_int(m->db,
				 "SELECT count(*) FROM main.sqlite_master WHERE name = "
				 "'embedding_metadata_array'",
				 NULL, &lists, err);

	if (r == 0)
		r = chroma_query_int(m->db,
				     "SELECT NOT EXISTS (SELECT 1 FROM main.migrations WHERE dir = "
				     "'metadb' AND version >= 5)",
				     NULL, &bytes, err);
	/* Above what any segment has seen, so that none passes over it. */
	if (r == 0)
		r = chroma_query_int(m->db,
				     "SELECT max((SELECT ifnull(max(seq_id), 0) FROM "
				     "main.embeddings_queue), (SELECT ifnull(max(seq_id), 0) FROM "
				     "main.max_seq_id WHERE typeof(seq_id) = 'integer'))",
				     NULL, &m->top, err);
	m->has_lists = lists > 0;
	m->has_bytes = bytes > 0;
	return r;
}

static int list_records(struct removing *m, const struct slice *records, size_t count,
			struct vs_err *err)
{
	int r = chroma_edit_exec(m->e,
				 "CREATE TEMP TABLE IF NOT EXISTS removed(id TEXT PRIMARY KEY, seq "
				 "INTEGER); DELETE FROM temp.removed",
				 err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct chroma_arg args[] = {
			{ .type = CHROMA_TEXT, .bytes = slice_str(m->id) },
			{ .type = CHROMA_TEXT, .bytes = records[i] },
			{ .type = CHROMA_INTEGER, .integer = m->top + 1 },
		};
		int64_t added = 0;

		r = chroma_edit_run(
			m->e,
			"INSERT OR IGNORE INTO temp.removed SELECT embedding_id, ?3 FROM "
			"main.embeddings WHERE embedding_id = ?2 AND segment_id "
			"IN " OF_SEGMENTS,
			args, VS_COUNT(args), &added, err);
		m->top += added > 0;
	}
	return r;
}

static int remove_rows(struct removing *m, struct vs_err *err)
{
	int r = run(m, "DELETE FROM main.embedding_fulltext_search WHERE rowid IN " ROWS, err);

	if (r == 0 && m->has_lists)
		r = run(m, "DELETE FROM main.embedding_metadata_array WHERE id IN " ROWS, err);
	if (r == 0)
		r = run(m, "DELETE FROM main.embedding_metadata WHERE id IN " ROWS, err);
	return r < 0 ? r
		     : run(m,
			   "DELETE FROM main.embeddings WHERE segment_id IN " OF_SEGMENTS
			   " AND embedding_id IN (SELECT id FROM temp.removed)",
			   err);
}

/* As each release writes a removal, and how far its metadata segment has come by it. */
static int tell_queue(struct removing *m, struct vs_err *err)
{
	unsigned char bytes[8];
	struct chroma_arg args[] = { { .type = CHROMA_TEXT, .bytes = slice_str(m->id) },
				     { .type = CHROMA_INTEGER, .integer = m->top } };
	int r = run(m,
		    m->has_bytes
			    ? "INSERT INTO main.embeddings_queue (seq_id, operation, topic, id) "
			      "SELECT seq, 3, 'persistent://default/default/' || ?1, id FROM "
			      "temp.removed"
			    : "INSERT INTO main.embeddings_queue (seq_id, operation, topic, id, "
			      "metadata) SELECT seq, 3, 'persistent://default/default/' || ?1, id, "
			      "'{}' FROM temp.removed",
		    err);

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)((uint64_t)m->top >> (56 - 8 * i));
	if (m->has_bytes)
		args[1] = (struct chroma_arg){ .type = CHROMA_BLOB, .bytes = slice_of(bytes, 8) };
	return r < 0 ? r
		     : chroma_edit_run(
			       m->e,
			       "INSERT OR REPLACE INTO main.max_seq_id (segment_id, seq_id) "
			       "SELECT id, ?2 FROM main.segments WHERE collection = ?1 AND scope "
			       "= 'METADATA'",
			       args, VS_COUNT(args), NULL, err);
}

int chroma_remove_records(struct chroma_edit *e, const char *id, const struct slice *records,
			  size_t count, struct vs_err *err)
{
	struct removing m = { .e = e, .db = chroma_edit_db(e), .id = id };
	int64_t before;
	int r = look(&m, err);

	before = m.top;
	if (r == 0)
		r = list_records(&m, records, count, err);
	if (r < 0 || m.top == before)
		return r;
	r = remove_rows(&m, err);
	return r == 0 ? tell_queue(&m, err) : r;
}
