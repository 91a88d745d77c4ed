/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of the queue that the server fails on. One such row stops the log of its collection, or of all.
 *
 * A row that the records have taken in already tells by them what it was, and is corrected where it can
 * be: its operation by the record that has its number, its encoding by the only one that was ever
 * written, its metadata by none, since the records have them. Any other leaves the queue, for the
 * quarantine. The numbering of the queue goes on above it: a number that is given twice is a write
 * that is lost.
 */

#include "repair/chroma-private.h"

#include <math.h>

#define MARKER 4

struct queue_row {
	int64_t seq_id, operation;
	bool is_operation_ok, is_encoding_ok, is_metadata_ok, is_vector_ok, is_topic_ok, has_vector;
	bool is_taken_in; /* by the records */
	bool is_record;   /* a record has its number */
	int64_t position;
	uint32_t dim; /* of the collection; 0 */
};

static bool is_finite_vector(struct slice bytes)
{
	for (size_t at = 0; at + sizeof(float) <= bytes.len; at += sizeof(float)) {
		float value;

		memcpy(&value, bytes.ptr + at, sizeof(value));
		if (isnan(value))
			return false;
	}
	return true;
}

/* operation, vector, encoding, metadata is sound, number of the record, position, topic is sound */
static int on_queue_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct queue_row *q = ctx;
	struct slice vector = chroma_bytes(row, 1);
	int64_t number;

	(void)err;
	q->operation = chroma_int(row, 0);
	q->is_operation_ok = chroma_type(row, 0) == CHROMA_INTEGER && q->operation >= 0 &&
			     q->operation <= MARKER;
	q->has_vector = chroma_type(row, 1) != CHROMA_NULL;
	q->is_vector_ok =
		!q->has_vector || (vector.len > 0 && vector.len % sizeof(float) == 0 &&
				   (q->dim == 0 || vector.len == (size_t)q->dim * sizeof(float)) &&
				   is_finite_vector(vector));
	q->is_vector_ok &= q->has_vector || q->operation != 0;
	q->is_encoding_ok = !q->has_vector || slice_eq_str(chroma_bytes(row, 2), "FLOAT32");
	q->is_metadata_ok = chroma_int(row, 3) != 0;
	q->is_record = chroma_seq(row, 4, &number) && number == q->seq_id;
	q->is_taken_in = chroma_seq(row, 5, &q->position) && q->position >= q->seq_id;
	q->is_topic_ok = chroma_int(row, 6) != 0;
	return 1;
}

static int load_row(struct chroma_fixing *f, const struct chroma_fault *fault, struct queue_row *q,
		    struct vs_err *err)
{
	const struct chroma_collection *c =
		fault->collection ? chroma_catalog_find(&f->catalog, slice_str(fault->collection))
				  : NULL;
	char number[32];
	int r;

	snprintf(number, sizeof(number), "%" PRId64, fault->number);
	*q = (struct queue_row){ .seq_id = fault->number };
	if (c && c->has_dimension && c->dimension > 0 && c->dimension <= HNSW_DIM_MAX)
		q->dim = (uint32_t)c->dimension;
	r = chroma_query(
		chroma_fixing_db(f),
		"SELECT q.operation, q.vector, q.encoding, "
		"q.metadata IS NULL OR q.metadata = '' OR (json_valid(q.metadata) AND "
		"json_type(CASE WHEN json_valid(q.metadata) THEN q.metadata ELSE '0' END) = 'object' AND "
		"coalesce(json_type(CASE WHEN json_valid(q.metadata) THEN q.metadata ELSE '0' END, "
		"'$.\"chroma:document\"'), 'text') IN ('text', 'null') AND NOT EXISTS (SELECT 1 FROM "
		"json_each(CASE WHEN json_valid(q.metadata) THEN q.metadata ELSE '{}' END) j WHERE "
		"j.type = 'object' AND json_type(j.value, '$.\"#type\"') IS NULL)), e.seq_id, m.seq_id, "
		"q.topic LIKE 'persistent://default/default/%' "
		"FROM embeddings_queue q "
		"LEFT JOIN segments s ON s.scope = 'METADATA' AND q.topic LIKE '%/' || s.collection "
		"LEFT JOIN max_seq_id m ON m.segment_id = s.id "
		"LEFT JOIN embeddings e ON e.segment_id = s.id AND e.embedding_id = q.id "
		"WHERE q.seq_id = CAST(? AS INTEGER)",
		number, on_queue_row, q, err);
	return VS_MIN(r, 0);
}

/* What is to be said of a row instead; false: it has to go. */
static bool correct_row(const struct queue_row *q, struct buf *sql)
{
	cleanup_(buf_fini) struct buf set = { 0 };
	bool is_certain = q->is_taken_in && q->is_record;

	if (!q->is_vector_ok || (!q->is_operation_ok && !is_certain) ||
	    (!q->is_metadata_ok && !q->is_taken_in))
		return false;
	/* The record is there with this number: the row made it, or changed it. */
	if (!q->is_operation_ok)
		buf_printf(&set, "operation = %d", q->has_vector ? 2 : 1);
	if (!q->is_encoding_ok)
		buf_printf(&set, "%sencoding = 'FLOAT32'", set.len > 0 ? ", " : "");
	if (!q->is_metadata_ok)
		buf_printf(&set, "%smetadata = '{}'", set.len > 0 ? ", " : "");
	/* The id of the collection is the last part of any topic. */
	if (!q->is_topic_ok)
		buf_printf(
			&set,
			"%stopic = 'persistent://default/default/' || replace(topic, rtrim(topic, "
			"replace(topic, '/', '')), '')",
			set.len > 0 ? ", " : "");
	if (set.len == 0)
		return false;
	buf_printf(sql, "UPDATE embeddings_queue SET %s WHERE seq_id = %" PRId64 ";\n",
		   buf_cstr(&set), q->seq_id);
	return true;
}

/* ---- the high-water mark ---- */

static int on_collection(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct buf *out = ctx;

	(void)err;
	buf_append(out, chroma_bytes(row, 0).ptr, chroma_bytes(row, 0).len);
	return 1;
}

/*
 * The next number of the queue is one above its highest row, so one row has to stay there: the delete of
 * a record that nobody has, which does nothing. The server purges it like any other once there is a
 * higher one.
 */
int chroma_mark_queue(struct chroma_fixing *f, int64_t number, struct buf *sql, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf collection = { 0 };
	cleanup_(buf_fini) struct buf topic = { 0 };
	char when[32];
	int r = chroma_query(
		chroma_fixing_db(f),
		"SELECT s.collection FROM segments s JOIN max_seq_id m ON m.segment_id = s.id "
		"WHERE s.scope = 'METADATA' AND s.collection IN (SELECT id FROM collections) "
		"ORDER BY m.seq_id DESC, s.collection LIMIT 1",
		NULL, on_collection, &collection, err);

	if (r < 0 || collection.len == 0)
		return VS_MIN(r, 0);
	time_format(f->req->time_ns, false, when);
	when[10] = ' ';
	when[19] = '\0';
	buf_append_str(&topic, "persistent://default/default/");
	buf_append(&topic, collection.ptr, collection.len);
	buf_printf(sql,
		   "INSERT INTO embeddings_queue(seq_id, created_at, operation, topic, id, vector, "
		   "encoding, metadata) SELECT %" PRId64 ", '%s', 3, ",
		   number, when);
	sql_text(sql, buf_slice(&topic));
	buf_printf(sql,
		   ", 'vsctl-mark-%" PRId64 "', NULL, NULL, '{}' WHERE NOT EXISTS (SELECT 1 FROM "
		   "embeddings_queue WHERE seq_id >= %" PRId64 ");\n",
		   number, number);
	return 0;
}

/* ---- the plan ---- */

struct sorted_rows {
	struct buf gone;      /* numbers, "1, 2" */
	struct buf correct;   /* statements */
	struct buf corrected; /* numbers */
	uint64_t gone_count, corrected_count;
	int64_t highest;
};

static void sorted_rows_fini(struct sorted_rows *s)
{
	buf_fini(&s->gone);
	buf_fini(&s->correct);
	buf_fini(&s->corrected);
}

static void add_number(struct buf *list, int64_t number)
{
	buf_printf(list, "%s%" PRId64, list->len > 0 ? ", " : "", number);
}

static void row_goes(struct sorted_rows *s, int64_t number)
{
	add_number(&s->gone, number);
	s->gone_count++;
	s->highest = VS_MAX(s->highest, number);
}

/* As long as a collection's dimension is in doubt, so are its rows. */
static bool is_in_doubt(const struct chroma_fixing *f, const struct chroma_fault *fault)
{
	return fault->collection &&
	       (chroma_fault_any(f, PROB_CHROMA_COLLECTION_DIMENSION, fault->collection) ||
		chroma_fault_any(f, PROB_CHROMA_INDEX_DIMENSION, fault->collection));
}

static int sort_rows(struct chroma_fixing *f, struct sorted_rows *s, struct vs_err *err)
{
	for (size_t i = 0; i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		struct queue_row q;
		int r;

		if (fault->code != PROB_CHROMA_QUEUE_ROW)
			continue;
		if (is_in_doubt(f, fault)) {
			chroma_fault_leave(
				fault,
				"of which dimension the collection is has to be settled first");
			continue;
		}
		r = load_row(f, fault, &q, err);
		if (r < 0)
			return r;
		fault->is_planned = true;
		if (correct_row(&q, &s->correct)) {
			add_number(&s->corrected, q.seq_id);
			s->corrected_count++;
		} else {
			row_goes(s, q.seq_id);
		}
	}
	return 0;
}

static int correct_rows(struct chroma_fixing *f, const struct sorted_rows *s, const char *numbers,
			const char *sql, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf where = { 0 };
	int r;

	buf_printf(&where, "seq_id IN (%s)", numbers);
	r = chroma_keep(f, PROB_CHROMA_QUEUE_ROW, "embeddings_queue", buf_cstr(&where), NULL, err);
	if (r < 0)
		return r;
	text_count(&detail, s->corrected_count, "row");
	buf_append_str(&detail, " of the queue become what the records prove that they were");
	return chroma_change(f, PROB_CHROMA_QUEUE_ROW, "correct-queue-rows", LOSS_NOTHING,
			     buf_cstr(&detail), sql, err);
}

static int remove_rows(struct chroma_fixing *f, enum problem code, struct sorted_rows *s,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf where = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r;

	buf_printf(&where, "seq_id IN (%s)", buf_cstr(&s->gone));
	r = chroma_keep(f, code, "embeddings_queue", buf_cstr(&where), NULL, err);
	if (r < 0)
		return r;
	buf_printf(&sql, "DELETE FROM embeddings_queue WHERE %s;\n", buf_cstr(&where));
	r = chroma_mark_queue(f, s->highest, &sql, err);
	if (r < 0)
		return r;
	text_count(&detail, s->gone_count, "row");
	buf_printf(&detail, " of the queue that %s go%s to the quarantine",
		   code == PROB_CHROMA_QUEUE_TOPIC ? "no collection has" : "cannot be taken in",
		   s->gone_count == 1 ? "es" : "");
	return chroma_change(f, code, "remove-queue-rows", LOSS_DOCUMENTS, buf_cstr(&detail),
			     buf_cstr(&sql), err);
}

/* Rows of a collection that is not there; of one whose segments are, only its own row may be gone. */
static int sort_strays(struct chroma_fixing *f, struct sorted_rows *s, struct vs_err *err)
{
	for (size_t i = 0; i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		char number[32];
		int64_t count = 0;
		int r;

		if (fault->code != PROB_CHROMA_QUEUE_TOPIC)
			continue;
		snprintf(number, sizeof(number), "%" PRId64, fault->number);
		r = chroma_query_int(
			chroma_fixing_db(f),
			"SELECT count(*) FROM embeddings_queue q JOIN segments s ON "
			"q.topic LIKE '%/' || s.collection WHERE q.seq_id = CAST(?1 AS INTEGER) "
			"UNION ALL SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM embeddings_queue "
			"WHERE seq_id = CAST(?1 AS INTEGER)) ORDER BY 1 DESC",
			number, &count, err);
		if (r < 0)
			return r;
		if (count > 0) {
			chroma_fault_leave(fault, "the segments of its collection are still there");
			continue;
		}
		fault->is_planned = true;
		row_goes(s, fault->number);
	}
	return 0;
}

int chroma_fix_queue(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(sorted_rows_fini) struct sorted_rows s = { 0 };
	cleanup_(sorted_rows_fini) struct sorted_rows strays = { 0 };
	int r = sort_rows(f, &s, err);

	if (r == 0 && s.corrected_count > 0)
		r = correct_rows(f, &s, buf_cstr(&s.corrected), buf_cstr(&s.correct), err);
	if (r == 0 && s.gone_count > 0)
		r = remove_rows(f, PROB_CHROMA_QUEUE_ROW, &s, err);
	if (r == 0)
		r = sort_strays(f, &strays, err);
	if (r == 0 && strays.gone_count > 0)
		r = remove_rows(f, PROB_CHROMA_QUEUE_TOPIC, &strays, err);
	return r;
}
