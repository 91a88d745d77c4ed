/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The full-text table. It holds a second copy of each document and an index of it, and both follow from
 * the rows of embedding_metadata. So a damaged index is made anew from these, and rows that are missing
 * are added. FTS5's own rebuild believes the copy, which may be what is wrong; so the copy is filled
 * first, and of the index only the two records are left that an empty one has: averages, and a structure
 * without segments. See https://www.sqlite.org/fts5.html and, for these records, fts5_index.c of SQLite.
 */

#include "repair/chroma-private.h"

#define DOCUMENTS                                                                                  \
	"FROM embedding_metadata WHERE key = 'chroma:document' AND string_value IS NOT NULL"
#define CONTENT "embedding_fulltext_search_content"

/* The row of the queue that wrote a record last, where it is still there and can be read. */
#define QUEUED_DOCUMENT                                                                            \
	"(SELECT json_extract(q.metadata, '$.\"chroma:document\"') FROM embeddings e "             \
	"JOIN embeddings_queue q ON q.seq_id = e.seq_id AND q.id = e.embedding_id "                \
	"WHERE e.id = embedding_metadata.id AND json_valid(q.metadata))"
#define DIFFERS                                                                                    \
	"key = 'chroma:document' AND string_value IS NOT NULL AND EXISTS (SELECT 1 FROM " CONTENT  \
	" c WHERE c.id = embedding_metadata.id AND c.c0 IS NOT string_value)"

static const char refill[] =
	"INSERT OR REPLACE INTO embedding_fulltext_search_config(k, v) VALUES('version', 4);\n"
	"DELETE FROM embedding_fulltext_search_data;\n"
	"DELETE FROM embedding_fulltext_search_idx;\n"
	"DELETE FROM embedding_fulltext_search_docsize;\n"
	"INSERT INTO embedding_fulltext_search_data(id, block) VALUES(1, x''), (10, x'00000000000000');\n"
	"DELETE FROM " CONTENT ";\n"
	"INSERT INTO " CONTENT "(id, c0) SELECT id, string_value " DOCUMENTS ";\n"
	"INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES('rebuild');\n";

static const char fill_missing[] =
	"INSERT INTO embedding_fulltext_search(rowid, string_value) SELECT id, string_value " DOCUMENTS
	" AND id NOT IN (SELECT id FROM " CONTENT ") ORDER BY id;\n";

static const char correct[] =
	"UPDATE embedding_fulltext_search SET string_value = (SELECT string_value FROM embedding_metadata m "
	"WHERE m.id = embedding_fulltext_search.rowid AND m.key = 'chroma:document') WHERE rowid IN "
	"(SELECT id FROM embedding_metadata WHERE " DIFFERS ");\n";

/* Texts that only the damaged table has. */
static int keep_texts(struct chroma_fixing *f, enum problem code, struct vs_err *err)
{
	return chroma_keep(
		f, code, "embedding_fulltext_search",
		"rowid NOT IN (SELECT id FROM embedding_metadata WHERE key = 'chroma:document') "
		"OR string_value IS NOT (SELECT m.string_value FROM embedding_metadata m WHERE "
		"m.id = t.rowid AND m.key = 'chroma:document')",
		NULL, err);
}

static int fill_anew(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	int64_t count = 0;
	int r = chroma_query_int(chroma_fixing_db(f), "SELECT count(*) " DOCUMENTS, NULL, &count,
				 err);

	if (r == 0 && chroma_has_table(f, CONTENT))
		r = keep_texts(f, PROB_CHROMA_FTS_DAMAGED, err);
	if (r < 0)
		return r;
	buf_append_str(&detail, "make the full-text index anew from ");
	text_count(&detail, (uint64_t)count, "document");
	chroma_fault_done(f, PROB_CHROMA_FTS_DAMAGED);
	chroma_fault_done(f, PROB_CHROMA_DOCUMENT_NOT_INDEXED);
	chroma_fault_done(f, PROB_CHROMA_FTS_EXTRA);
	return chroma_change(f, PROB_CHROMA_FTS_DAMAGED, "rebuild-fulltext", LOSS_NOTHING,
			     buf_cstr(&detail), refill, err);
}

/* Where the queue still has what was written, that is the document. */
static int take_from_queue(struct chroma_fixing *f, struct vs_err *err)
{
	static const char where[] = DIFFERS " AND typeof(" QUEUED_DOCUMENT
					    ") = 'text' AND string_value IS NOT " QUEUED_DOCUMENT;
	uint64_t count = 0;
	int r = chroma_keep(f, PROB_CHROMA_DOCUMENT_DIFFERS, "embedding_metadata", where, &count,
			    err);

	if (r < 0 || count == 0)
		return r;
	return chroma_change(f, PROB_CHROMA_DOCUMENT_DIFFERS, "correct-documents", LOSS_NOTHING,
			     "documents of which the write queue has the text get that",
			     "UPDATE embedding_metadata SET string_value = " QUEUED_DOCUMENT
			     " WHERE " DIFFERS " AND typeof(" QUEUED_DOCUMENT ") = 'text';\n",
			     err);
}

static int fix_different(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct chroma_fault *fault = chroma_fault_find(f, PROB_CHROMA_DOCUMENT_DIFFERS);
	int r = chroma_has_table(f, "embeddings_queue") ? take_from_queue(f, err) : 0;

	if (r == 0)
		r = keep_texts(f, PROB_CHROMA_DOCUMENT_DIFFERS, err);
	if (r < 0)
		return r;
	text_count(&detail, fault->count, "row");
	buf_append_str(&detail, " of the full-text table get the document that reading shows");
	chroma_fault_done(f, PROB_CHROMA_DOCUMENT_DIFFERS);
	return chroma_change(f, PROB_CHROMA_DOCUMENT_DIFFERS, "correct-fulltext", LOSS_NOTHING,
			     buf_cstr(&detail), correct, err);
}

/* The copy of a document that is in no other place any more. */
static int restore_documents(struct chroma_fixing *f, struct vs_err *err)
{
	struct chroma_fault *fault = chroma_fault_find(f, PROB_CHROMA_DOCUMENT_MISSING);
	cleanup_(buf_fini) struct buf detail = { 0 };

	if (!fault)
		return 0;
	text_count(&detail, fault->count, "record");
	buf_append_str(&detail,
		       " without a document get back the one that the full-text table has");
	chroma_fault_done(f, PROB_CHROMA_DOCUMENT_MISSING);
	return chroma_change(f, PROB_CHROMA_DOCUMENT_MISSING, "restore-documents", LOSS_NOTHING,
			     buf_cstr(&detail),
			     "INSERT OR REPLACE INTO embedding_metadata(id, key, string_value) "
			     "SELECT c.id, 'chroma:document', c.c0 FROM " CONTENT
			     " c WHERE " CHROMA_TEXT_LOST ";\n",
			     err);
}

int chroma_fix_fulltext(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct chroma_fault *missing = chroma_fault_find(f, PROB_CHROMA_DOCUMENT_NOT_INDEXED);
	bool is_damaged = chroma_fault_find(f, PROB_CHROMA_FTS_DAMAGED) != NULL;
	int r = restore_documents(f, err);

	/* A damaged index takes no single rows. */
	if (r == 0 && is_damaged && chroma_fault_find(f, PROB_CHROMA_DOCUMENT_DIFFERS) &&
	    chroma_has_table(f, "embeddings_queue"))
		r = take_from_queue(f, err);
	if (is_damaged)
		return r < 0 ? r : fill_anew(f, err);
	if (r == 0 && missing) {
		text_count(&detail, missing->count, "document");
		buf_append_str(&detail, " that the full-text table lacks go into it");
		chroma_fault_done(f, PROB_CHROMA_DOCUMENT_NOT_INDEXED);
		r = chroma_change(f, PROB_CHROMA_DOCUMENT_NOT_INDEXED, "fill-fulltext",
				  LOSS_NOTHING, buf_cstr(&detail), fill_missing, err);
	}
	if (r == 0 && chroma_fault_find(f, PROB_CHROMA_DOCUMENT_DIFFERS))
		r = fix_different(f, err);
	return r;
}
