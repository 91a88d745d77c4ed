/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How far each segment has taken the queue in, found again from what it holds.
 *
 * Records: rows are taken in by their number, and each writes its own into the record, so everything up to
 * the highest number among the records has been taken in. What comes behind is taken in again, which
 * changes nothing: the last word on each record is the same.
 *
 * Index: see chroma-shown.c. Too low costs time; too high loses writes.
 *
 * Queue: numbers are given one above its highest row. Where rows were removed from its end, records or
 * positions are ahead of it, and a row has to stand where it has been.
 */

#include "repair/chroma-private.h"

/* No server has ever counted that far. */
#define POSITION_MAX (INT64_C(1) << 53)

/* ---- a collection ---- */

/* Its two positions, as they are and as they are to be; of a segment without a row, has is false. */
struct place {
	const char *segment;
	bool has, is_wrong;
	int64_t is, to;
};

struct facts {
	int64_t queue_max;   /* 0: there is no row */
	int64_t records_max; /* of all collections */
	int64_t mark;        /* where a row of the queue has to stand */
};

static int on_highest(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	int64_t *highest = ctx, number;

	(void)err;
	if (chroma_seq(row, 0, &number))
		*highest = VS_MAX(*highest, number);
	return 0;
}

static struct place place_of(const struct chroma_fixing *f, size_t segment)
{
	const struct chroma_position *p;
	struct place place = { 0 };

	if (segment == SIZE_MAX)
		return place;
	place.segment = f->catalog.segments[segment].id;
	p = chroma_catalog_position(&f->catalog, place.segment);
	place.has = p != NULL;
	place.is_wrong = p && !p->is_readable;
	place.is = place.to = p && p->is_readable ? p->seq_id : 0;
	return place;
}

/* The records' position; what they show cannot be too high. */
static void place_records(struct place *p, const struct place *index, const struct facts *facts,
			  int64_t highest, const struct chroma_log_rows *log)
{
	bool is_ahead = p->has && p->is > VS_MAX(facts->queue_max, facts->records_max);

	if (!p->has)
		return;
	if (!p->is_wrong && p->is >= highest &&
	    (!is_ahead || (facts->queue_max == 0 && p->is < POSITION_MAX)))
		return;
	p->to = highest;
	if (highest == 0 && log->count > 0)
		p->to = log->row[0].seq_id - 1;
	else if (highest == 0)
		p->to = facts->queue_max;
	/* Records come first, so they have at least what a sound index has. */
	if (index->has && !index->is_wrong && index->is <= facts->queue_max)
		p->to = VS_MAX(p->to, index->is);
}

/* Has the queue, between the two numbers, a vector of a record that is there? Else there is nothing
 * to be had by taking these rows in again. */
static int has_vectors(struct chroma_fixing *f, const char *collection, int64_t from, int64_t to,
		       bool *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf sql = { 0 };
	int64_t count = 0;
	int r;

	buf_printf(&sql,
		   "SELECT count(*) FROM embeddings_queue q JOIN embeddings e ON e.embedding_id = "
		   "q.id JOIN segments s ON s.id = e.segment_id WHERE q.seq_id > %" PRId64
		   " AND q.seq_id <= %" PRId64
		   " AND q.vector IS NOT NULL AND s.collection = ?1 AND "
		   "q.topic LIKE '%%/' || ?1",
		   from, to);
	r = chroma_query_int(chroma_fixing_db(f), buf_cstr(&sql), collection, &count, err);
	*out = count > 0;
	return r;
}

static int place_index(struct chroma_fixing *f, const struct chroma_collection *c, struct place *p,
		       const struct place *records, const struct facts *facts,
		       struct chroma_log_rows *log, struct vs_err *err)
{
	bool is_ahead = p->is > VS_MAX(facts->queue_max, facts->records_max) ||
			(records->has && p->is > records->to);
	bool lacks_rows = chroma_lacks_only_records(f, c->id, true);
	bool is_gain = true;
	int64_t found = 0;
	int r = 0;

	if (!p->has)
		return 0;
	/* With an empty queue there is nothing that could be skipped. */
	if (log->count > 0 && (p->is_wrong || is_ahead || lacks_rows)) {
		r = chroma_index_position(f->store->dirfd, &f->catalog, c, log, &found, err);
		if (r == 0 && !p->is_wrong && !is_ahead && found < p->is)
			r = has_vectors(f, c->id, found, p->is, &is_gain, err);
		if (r < 0)
			return r;
		if (p->is_wrong || is_ahead)
			p->to = found;
		else if (is_gain)
			p->to = VS_MIN(found, p->is);
	} else if (p->is_wrong) {
		p->to = records->to;
	}
	if (records->has)
		p->to = VS_MIN(p->to, records->to);
	return r;
}

static void set_position(const struct chroma_fixing *f, const struct place *p, struct buf *sql)
{
	bool is_old = f->catalog.metadb < 5;
	const struct chroma_position *now = chroma_catalog_position(&f->catalog, p->segment);

	if (p->to == p->is && !p->is_wrong && !(now->is_blob && !is_old))
		return;
	buf_append_str(sql, "UPDATE max_seq_id SET seq_id = ");
	if (is_old)
		buf_printf(sql, "x'%016" PRIx64 "'", (uint64_t)p->to);
	else
		buf_printf(sql, "%" PRId64, p->to);
	buf_append_str(sql, " WHERE segment_id = ");
	sql_text(sql, slice_str(p->segment));
	buf_append_str(sql, ";\n");
}

static int place_collection(struct chroma_fixing *f, const struct chroma_collection *c,
			    struct facts *facts, struct buf *sql, struct vs_err *err)
{
	struct place records = place_of(f, c->metadata);
	struct place index = place_of(f, c->vector);
	cleanup_(chroma_log_fini) struct chroma_log_rows log = { 0 };
	int64_t highest = 0;
	int r = chroma_log_load(chroma_fixing_db(f), c->id, &log, err);

	if (r == 0 && records.segment)
		r = chroma_query(chroma_fixing_db(f),
				 "SELECT DISTINCT seq_id FROM embeddings WHERE segment_id = ?",
				 records.segment, on_highest, &highest, err);
	if (r < 0)
		return r;
	place_records(&records, &index, facts, highest, &log);
	r = place_index(f, c, &index, &records, facts, &log, err);
	if (r < 0)
		return r;
	facts->mark = VS_MAX(facts->mark, records.has ? records.to : 0);
	facts->mark = VS_MAX(facts->mark, index.has ? index.to : 0);
	if (records.has)
		set_position(f, &records, sql);
	if (index.has)
		set_position(f, &index, sql);
	return 0;
}

/* ---- the plan ---- */

static const enum problem codes[] = { PROB_CHROMA_QUEUE_EMPTIED, PROB_CHROMA_POSITION_AHEAD,
				      PROB_CHROMA_POSITION_BEHIND, PROB_CHROMA_POSITION_ENCODING,
				      PROB_CHROMA_POSITION_ORDER };

/* A sound index that lacks records may never have got them: then they are in the queue, above what it
 * has. */
static const struct chroma_fault *find_lack(const struct chroma_fixing *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];

		if ((fault->code == PROB_CHROMA_INDEX_ID_MISSING ||
		     fault->code == PROB_CHROMA_INDEX_ID_EXTRA) &&
		    fault->collection && chroma_lacks_only_records(f, fault->collection, true))
			return fault;
	}
	return NULL;
}

static const struct chroma_fault *find_any(const struct chroma_fixing *f)
{
	for (size_t i = 0; i < VS_COUNT(codes); i++) {
		const struct chroma_fault *fault = chroma_fault_find(f, codes[i]);

		if (fault)
			return fault;
	}
	return find_lack(f);
}

static int load_facts(struct chroma_fixing *f, struct facts *facts, struct vs_err *err)
{
	int r = chroma_query_int(chroma_fixing_db(f),
				 "SELECT coalesce(max(seq_id), 0) FROM embeddings_queue", NULL,
				 &facts->queue_max, err);

	return r < 0 ? r
		     : chroma_query(chroma_fixing_db(f),
				    "SELECT DISTINCT seq_id FROM embeddings WHERE segment_id IN "
				    "(SELECT id FROM segments)",
				    NULL, on_highest, &facts->records_max, err);
}

static int mark_end(struct chroma_fixing *f, enum problem code, const struct facts *facts,
		    struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	int r;

	if (facts->mark <= facts->queue_max)
		return 0;
	r = chroma_mark_queue(f, facts->mark, &sql, err);
	if (r < 0 || sql.len == 0)
		return r;
	buf_printf(
		&detail,
		"let the queue count on from %" PRId64
		", so that writes to come are above what was taken in; its rows up to there are gone",
		facts->mark);
	return chroma_change(f, code, "mark-queue", LOSS_NOTHING, buf_cstr(&detail), buf_cstr(&sql),
			     err);
}

int chroma_fix_positions(struct chroma_fixing *f, struct vs_err *err)
{
	const struct chroma_fault *fault = find_any(f);
	cleanup_(buf_fini) struct buf sql = { 0 };
	struct facts facts = { 0 };
	enum problem code;
	int r;

	if (!fault || !chroma_has_table(f, "embeddings_queue") ||
	    !chroma_has_table(f, "max_seq_id"))
		return 0;
	code = fault->code;
	r = load_facts(f, &facts, err);
	for (size_t i = 0; r == 0 && i < f->catalog.collection_count; i++)
		r = place_collection(f, &f->catalog.collections[i], &facts, &sql, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < VS_COUNT(codes); i++)
		chroma_fault_done(f, codes[i]);
	if (sql.len > 0)
		r = chroma_change(
			f, code, "correct-positions", LOSS_NOTHING,
			"set positions in the queue to what records and index have taken in",
			buf_cstr(&sql), err);
	return r < 0 ? r : mark_end(f, code, &facts, err);
}
