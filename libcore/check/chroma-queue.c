/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The write-ahead queue, and how far each segment has taken it in.
 *
 * A write is one row here before it is anything else. Numbers rise; a segment skips whatever is not
 * above its own position. So a position above the numbers that are still to be given loses every
 * write to come, without a word.
 */

#include "check/chroma-run.h"

#define OPERATION_MARKER 4 /* of newer releases: carries no record */
#define CONSUMED_MANY 1000 /* rows that both segments have, and that are kept all the same */

/* ---- rows ---- */

/* What is wrong with a vector; NULL: nothing. */
static const char *vector_fault(struct slice bytes, const struct chroma_collection *c)
{
	if (bytes.len == 0 || bytes.len % sizeof(float) != 0)
		return "its vector has no whole number of elements";
	if (c && c->has_dimension && bytes.len / sizeof(float) != (uint64_t)c->dimension)
		return "its vector has another dimension than the collection";
	for (size_t at = 0; at < bytes.len; at += sizeof(float)) {
		uint32_t bits;

		memcpy(&bits, bytes.ptr + at, sizeof(bits));
		if ((bits & 0x7fffffffu) > 0x7f800000u)
			return "its vector has an element that is no number";
	}
	return NULL;
}

/* A sparse vector says what it is. */
static int find_object(void *ctx, const char *key, const struct jr *value)
{
	(void)ctx, (void)key;
	return jr_is_object(value) && !jr_get(value, "#type");
}

static const char *metadata_fault(struct slice text)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct vs_err ignored = { 0 };
	const struct jr *document;
	const char *value;

	if (text.len == 0)
		return NULL;
	if (jr_parse_foreign(&doc, text, &ignored) < 0 || !jr_is_object(doc))
		return "its metadata are no JSON object";
	document = jr_get(doc, "chroma:document");
	if (document && !jr_is_null(document) && !jr_as_str(document, &value))
		return "its document is no text";
	if (jr_each(doc, find_object, NULL) != 0)
		return "a value of its metadata is an object";
	return NULL;
}

/* Tenants and databases are not in it, whatever they are. */
static bool is_topic_read(struct slice topic)
{
	static const char prefix[] = "persistent://default/default/";

	return topic.len >= sizeof(prefix) - 1 &&
	       memcmp(topic.ptr, prefix, sizeof(prefix) - 1) == 0;
}

/* seq_id, operation, topic, id, vector, encoding, metadata */
static const char *row_fault(const struct chroma_row *row, const struct chroma_collection *c)
{
	int64_t operation = chroma_int(row, 1);

	if (c && !is_topic_read(chroma_bytes(row, 2)))
		return "its topic is not the one by which the server reads the collection's rows";

	if (chroma_type(row, 1) != CHROMA_INTEGER || operation < 0 || operation > OPERATION_MARKER)
		return "its operation is none of add, update, upsert and delete";
	if (operation == OPERATION_MARKER)
		return NULL;
	if (chroma_type(row, 4) != CHROMA_NULL) {
		if (!slice_eq_str(chroma_bytes(row, 5), "FLOAT32"))
			return "its vector is not of 32-bit floats";
		if (vector_fault(chroma_bytes(row, 4), c))
			return vector_fault(chroma_bytes(row, 4), c);
	} else if (operation == CHROMA_SEGMENT_ADD) {
		return "it adds a record without a vector";
	}
	return metadata_fault(chroma_bytes(row, 6));
}

/* "persistent://default/default/<collection id>" */
static struct slice topic_collection(struct slice topic)
{
	size_t at = topic.len;

	while (at > 0 && topic.ptr[at - 1] != '/')
		at--;
	return slice_of(topic.ptr + at, topic.len - at);
}

static void log_row(struct chroma_run *run, const struct chroma_collection *c,
		    const struct chroma_row *row)
{
	struct chroma_log *log = &run->logs[c - run->catalog.collections];
	struct slice id = chroma_bytes(row, 3);

	log->rows = vs_grow(log->rows, &log->cap, log->count + 1, sizeof(*log->rows));
	log->rows[log->count++] = (struct chroma_segment_row){
		.id = slice_of(vs_strndup(id), id.len),
		.seq_id = chroma_int(row, 0),
		.operation = (uint8_t)chroma_int(row, 1),
		.has_vector = c->has_dimension && chroma_type(row, 4) == CHROMA_BLOB &&
			      chroma_bytes(row, 4).len == (uint64_t)c->dimension * 4,
	};
}

static int on_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_run *run = ctx;
	const struct chroma_collection *c =
		chroma_catalog_find(&run->catalog, topic_collection(chroma_bytes(row, 2)));
	const char *fault = row_fault(row, c);
	char path[128];
	struct finding f = { .path = path };

	(void)err;
	run->queue_rows++;
	run->queue_max = chroma_int(row, 0);
	snprintf(path, sizeof(path), "%s#embeddings_queue/%" PRId64, CHROMA_DATABASE,
		 run->queue_max);
	if (fault) {
		f.code = PROB_CHROMA_QUEUE_ROW;
		f.detail = fault;
		f.document = chroma_bytes(row, 3);
		chroma_report(run, &f, c);
	}
	if (!c) {
		f.code = PROB_CHROMA_QUEUE_TOPIC;
		chroma_report(run, &f, NULL);
	} else if (is_topic_read(chroma_bytes(row, 2)) && chroma_int(row, 1) >= 0 &&
		   chroma_int(row, 1) <= CHROMA_SEGMENT_DELETE) {
		log_row(run, c, row);
	}
	return 0;
}

int chroma_check_queue(struct chroma_run *run, struct vs_err *err)
{
	int r;

	if (!run->has_catalog)
		return 0;
	r = chroma_query(run->db,
			 "SELECT seq_id, operation, topic, id, vector, encoding, metadata "
			 "FROM embeddings_queue ORDER BY seq_id",
			 NULL, on_row, run, err);
	run->has_queue = r == 0;
	return chroma_settle(run, r, "the write-ahead queue", err);
}

/* ---- positions ---- */

static void report_position(struct chroma_run *run, enum problem code,
			    const struct chroma_position *p, int64_t expected,
			    const struct chroma_collection *c)
{
	char path[200], actual[32], limit[32];
	struct finding f = { .code = code, .path = path, .actual = actual, .expected = limit };

	snprintf(path, sizeof(path), "%s#max_seq_id/%.64s", CHROMA_DATABASE, p->segment);
	snprintf(actual, sizeof(actual), "%" PRId64, p->seq_id);
	snprintf(limit, sizeof(limit), "%" PRId64, expected);
	chroma_report(run, &f, c);
}

static void check_position(struct chroma_run *run, const struct chroma_position *p)
{
	const struct chroma_segment_ref *segment =
		chroma_catalog_segment(&run->catalog, p->segment);
	const struct chroma_collection *c =
		segment ? chroma_catalog_find(&run->catalog, slice_str(segment->collection)) : NULL;

	if (!segment) {
		report_position(run, PROB_CHROMA_POSITION_ORPHAN, p, 0, NULL);
		return;
	}
	if (!p->is_readable || (p->is_blob && run->catalog.metadb >= 5)) {
		report_position(run, PROB_CHROMA_POSITION_ENCODING, p, 0, c);
		return;
	}
	if (run->has_queue && run->queue_rows > 0 && p->seq_id > run->queue_max)
		report_position(run, PROB_CHROMA_POSITION_AHEAD, p, run->queue_max, c);
}

static const struct chroma_position *position_of(const struct chroma_run *run, size_t segment)
{
	return segment == SIZE_MAX
		       ? NULL
		       : chroma_catalog_position(&run->catalog, run->catalog.segments[segment].id);
}

static int on_highest(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	int64_t *highest = ctx;
	int64_t seq;

	(void)err;
	if (chroma_seq(row, 0, &seq))
		*highest = VS_MAX(*highest, seq);
	return 0;
}

/* The server writes the dimension in front of the first vector. */
static void check_dimension(struct chroma_run *run, const struct chroma_collection *c,
			    bool is_saved)
{
	const struct chroma_log *log = &run->logs[c - run->catalog.collections];
	struct finding f = { .code = PROB_CHROMA_COLLECTION_DIMENSION,
			     .path = CHROMA_DATABASE "#collections",
			     .actual = "NULL" };
	bool has_vector = is_saved;

	for (size_t i = 0; i < log->count && !has_vector; i++)
		has_vector = log->rows[i].operation == CHROMA_SEGMENT_ADD;
	if (!c->has_dimension && has_vector)
		chroma_report(run, &f, c);
}

/* A collection's two positions against each other and against its records and rows. */
static int check_pair(struct chroma_run *run, const struct chroma_collection *c, struct vs_err *err)
{
	const struct chroma_position *vector = position_of(run, c->vector);
	const struct chroma_position *metadata = position_of(run, c->metadata);
	const struct chroma_log *log = &run->logs[c - run->catalog.collections];
	int64_t highest = 0;
	uint64_t consumed = 0, skipped = 0;
	int r;

	for (size_t i = 0; vector && metadata && i < log->count; i++) {
		int64_t number = log->rows[i].seq_id;

		consumed += number <= VS_MIN(vector->seq_id, metadata->seq_id);
		skipped += number > metadata->seq_id && number <= vector->seq_id;
	}
	check_dimension(run, c, vector != NULL);
	/* Numbers of other collections' rows are nothing that an index could have missed. */
	if (skipped > 0)
		report_position(run, PROB_CHROMA_POSITION_ORDER, vector, metadata->seq_id, c);
	if (consumed > CONSUMED_MANY) {
		struct finding f = { .code = PROB_CHROMA_QUEUE_UNPURGED,
				     .path = CHROMA_DATABASE "#embeddings_queue",
				     .has_count = true,
				     .count = consumed };

		chroma_report(run, &f, c);
	}
	if (!metadata || run->req->level == CHECK_QUICK)
		return 0;
	/* Numbers and the older blobs, which compare as their bytes do. */
	r = chroma_query(run->db,
			 "SELECT max(seq_id) FROM embeddings WHERE segment_id = ? "
			 "GROUP BY typeof(seq_id)",
			 run->catalog.segments[c->metadata].id, on_highest, &highest, err);
	if (r == 0 && highest > metadata->seq_id)
		report_position(run, PROB_CHROMA_POSITION_BEHIND, metadata, highest, c);
	return r;
}

int chroma_check_positions(struct chroma_run *run, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMA_QUEUE_EMPTIED,
			     .path = CHROMA_DATABASE "#embeddings_queue",
			     .has_count = true };
	int64_t highest = 0;
	int r = 0;

	if (!run->has_catalog)
		return 0;
	for (size_t i = 0; i < run->catalog.position_count; i++) {
		highest = VS_MAX(highest, run->catalog.positions[i].seq_id);
		f.count += chroma_catalog_segment(&run->catalog,
						  run->catalog.positions[i].segment) != NULL;
		check_position(run, &run->catalog.positions[i]);
	}
	/* One row of each collection that was ever written always stays. */
	if (run->has_queue && run->queue_rows == 0 && highest > 0 && f.count > 0)
		chroma_report(run, &f, NULL);
	for (size_t i = 0; r == 0 && i < run->catalog.collection_count; i++)
		r = check_pair(run, &run->catalog.collections[i], err);
	return chroma_settle(run, r, "positions in the queue", err);
}
