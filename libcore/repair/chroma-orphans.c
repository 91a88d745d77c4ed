/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of nobody: of records, segments and collections that are not there. The server leaves them when
 * a collection is dropped, and never looks at them again, save that row numbers are used again: then
 * they show up as somebody else's. They are kept in the quarantine and leave the database.
 */

#include "repair/chroma-private.h"

/* A statement for each table that has rows of the kind; those of @table are counted. */
struct orphan {
	enum problem code;
	const char *table, *where;
	const char *what, *noun; /* "of records" */
	enum loss loss;
	/* Other tables whose rows go with them, with what tells which; the main one goes last. */
	struct {
		const char *table, *where;
	} also[4];
};

#define NO_SEGMENT                                                                                 \
	"segment_id NOT IN (SELECT id FROM segments WHERE scope = 'METADATA') AND "                \
	"typeof(seq_id) <> 'integer'"
#define OF_NO_SEGMENT "id IN (SELECT id FROM embeddings WHERE " NO_SEGMENT ")"
#define EMPTY_SEGMENT                                                                              \
	"collection NOT IN (SELECT id FROM collections) AND "                                      \
	"id NOT IN (SELECT segment_id FROM embeddings)"

static const struct orphan orphans[] = {
	{ PROB_CHROMA_METADATA_ARRAY_ORPHAN,
	  "embedding_metadata_array",
	  "id NOT IN (SELECT id FROM embeddings)",
	  "remove-orphan-metadata",
	  "of array metadata without a record",
	  LOSS_NOTHING,
	  { { NULL, NULL } } },
	{ PROB_CHROMA_METADATA_ORPHAN,
	  "embedding_metadata",
	  "id NOT IN (SELECT id FROM embeddings)",
	  "remove-orphan-metadata",
	  "of metadata without a record",
	  LOSS_NOTHING,
	  { { NULL, NULL } } },
	{ PROB_CHROMA_RECORD_NO_SEGMENT,
	  "embeddings",
	  NO_SEGMENT,
	  "remove-orphan-records",
	  "of records without a segment",
	  LOSS_DOCUMENTS,
	  { { "embedding_metadata", OF_NO_SEGMENT },
	    { "embedding_metadata_array", OF_NO_SEGMENT },
	    { "embedding_fulltext_search",
	      "rowid IN (SELECT id FROM embeddings WHERE " NO_SEGMENT ")" } } },
	{ PROB_CHROMA_FTS_EXTRA,
	  "embedding_fulltext_search",
	  "rowid NOT IN (SELECT id FROM embedding_metadata WHERE key = 'chroma:document')",
	  "remove-orphan-text",
	  "of the full-text table without a document",
	  LOSS_NOTHING,
	  { { NULL, NULL } } },
	{ PROB_CHROMA_POSITION_ORPHAN,
	  "max_seq_id",
	  "segment_id NOT IN (SELECT id FROM segments)",
	  "remove-orphan-positions",
	  "of max_seq_id without a segment",
	  LOSS_NOTHING,
	  { { NULL, NULL } } },
};

/* Keep and remove the rows of one table. */
static int take_out(struct chroma_fixing *f, enum problem code, const char *table,
		    const char *where, struct buf *sql, uint64_t *count, struct vs_err *err)
{
	*count = 0;
	if (!chroma_has_table(f, table))
		return 0;
	buf_printf(sql, "DELETE FROM %s WHERE %s;\n", table, where);
	return chroma_keep(f, code, table, where, count, err);
}

static int fix_one(struct chroma_fixing *f, const struct orphan *o, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	uint64_t count = 0, ignored;
	int r = 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(o->also) && o->also[i].table; i++)
		r = take_out(f, o->code, o->also[i].table, o->also[i].where, &sql, &ignored, err);
	if (r == 0)
		r = take_out(f, o->code, o->table, o->where, &sql, &count, err);
	if (r < 0 || count == 0)
		return r;
	text_count(&detail, count, "row");
	buf_printf(&detail, " %s go%s to the quarantine", o->noun, count == 1 ? "es" : "");
	chroma_fault_done(f, o->code);
	return chroma_change(f, o->code, o->what, o->loss, buf_cstr(&detail), buf_cstr(&sql), err);
}

/* ---- segments ---- */

/* Does the directory of a segment hold vectors? Then its collection's row may be what was lost. */
static bool has_vectors(const struct chroma_fixing *f, const char *segment)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err ignored = { 0 };
	struct hnsw_header h;

	if (segment[0] == '\0' || segment[0] == '.' || strchr(segment, '/'))
		return false;
	buf_printf(&path, "%s/header.bin", segment);
	return file_read_head_at(f->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, HNSW_HEADER_LEN,
				 &bytes, NULL, &ignored) == 0 &&
	       hnsw_header_decode(buf_slice(&bytes), &h) && h.count > 0;
}

struct counting {
	int64_t count;
};

static int on_count(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct counting *c = ctx;

	(void)err;
	c->count = chroma_int(row, 0);
	return 1;
}

/* Row of a segment whose collection is not there, where nothing else is of that collection. */
static int fix_segments(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf ids = { 0 };
	cleanup_(buf_fini) struct buf where = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	uint64_t count = 0, ignored;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		struct counting c = { 0 };

		if (fault->code != PROB_CHROMA_SEGMENT_ORPHAN || !fault->actual)
			continue;
		r = chroma_query(chroma_fixing_db(f),
				 "SELECT count(*) FROM segments s JOIN collections c ON c.id = "
				 "s.collection WHERE s.id = ?",
				 fault->actual, on_count, &c, err);
		/* This round has found out whose it is. */
		if (r < 0 || c.count > 0)
			continue;
		r = chroma_query(
			chroma_fixing_db(f),
			"SELECT count(*) FROM embeddings e JOIN segments s ON s.id = "
			"e.segment_id WHERE s.collection = (SELECT collection FROM segments "
			"WHERE id = ?)",
			fault->actual, on_count, &c, err);
		if (r < 0)
			return r;
		if (c.count > 0 || has_vectors(f, fault->actual)) {
			chroma_fault_leave(fault,
					   "it has records or vectors: whether its collection was "
					   "dropped, or its row was lost, nothing tells");
			continue;
		}
		buf_append_str(&ids, ids.len > 0 ? ", " : "");
		sql_text(&ids, slice_str(fault->actual));
		fault->is_planned = true;
	}
	if (r < 0 || ids.len == 0)
		return VS_MIN(r, 0);
	buf_printf(&where, "segment_id IN (%s)", buf_cstr(&ids));
	r = take_out(f, PROB_CHROMA_SEGMENT_ORPHAN, "segment_metadata", buf_cstr(&where), &sql,
		     &ignored, err);
	buf_clear(&where);
	buf_printf(&where, "id IN (%s)", buf_cstr(&ids));
	if (r == 0)
		r = take_out(f, PROB_CHROMA_SEGMENT_ORPHAN, "segments", buf_cstr(&where), &sql,
			     &count, err);
	if (r < 0)
		return r;
	return chroma_change(
		f, PROB_CHROMA_SEGMENT_ORPHAN, "remove-orphan-segments", LOSS_NOTHING,
		"segments without a collection, records and vectors go to the quarantine",
		buf_cstr(&sql), err);
}

int chroma_fix_orphans(struct chroma_fixing *f, struct vs_err *err)
{
	struct chroma_fault *records = chroma_fault_find(f, PROB_CHROMA_RECORD_NO_SEGMENT);
	bool is_doubtful = chroma_fault_find(f, PROB_CHROMA_COLLECTION_SEGMENTS) != NULL;
	int r = fix_segments(f, err);

	if (records && is_doubtful)
		chroma_fault_leave(records,
				   "they may be those of a collection that has lost its segment");
	if (chroma_lost_records(f)) {
		chroma_fault_leave(chroma_fault_find(f, PROB_CHROMA_METADATA_ORPHAN),
				   CHROMA_LOST_WHY);
		return r;
	}
	for (size_t i = 0; r == 0 && i < VS_COUNT(orphans); i++) {
		bool is_of_segment = orphans[i].code == PROB_CHROMA_RECORD_NO_SEGMENT ||
				     orphans[i].code == PROB_CHROMA_POSITION_ORPHAN;

		if (chroma_fault_find(f, orphans[i].code) && !(is_doubtful && is_of_segment))
			r = fix_one(f, &orphans[i], err);
	}
	return r;
}
