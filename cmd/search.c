/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl search`: the nearest neighbours of a vector, from the files alone. */

#include "progress.h"
#include "shown.h"

#include "file/file.h"
#include "search/search.h"

#include <fcntl.h>

#define NEAREST_DEFAULT 10

struct search_opts {
	const char *id;
	const char *vector;
	unsigned format;
	uint64_t nearest;
	bool exact;
};

static const struct opt options[] = {
	OPT_TEXT("id", 0, struct search_opts, id, "ID", "what lies near the vector of this record"),
	OPT_FILE("vector", 0, struct search_opts, vector, "FILE",
		 "what lies near the vector in this file; - is standard input"),
	OPT_CHOICE("vector-format", 0, struct search_opts, format, "auto|json|float32",
		   "how FILE is written; auto: text is JSON, anything else float32"),
	OPT_COUNT("nearest", 'k', struct search_opts, nearest, SEARCH_NEAREST_MAX, "N",
		  "how many to show; default: 10"),
	OPT_FLAG("exact", 0, struct search_opts, exact, "do not ask the index as well"),
	OPT_END,
};

/* ---- the query ---- */

static int read_stdin(struct buf *out, struct vs_err *err)
{
	unsigned char block[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "standard input");
		buf_append(out, block, (size_t)n);
		if (out->len > SEARCH_QUERY_BYTES_MAX)
			return vs_fail(err, VS_EUSAGE,
				       "standard input: no vector has more than %" PRIu64 " bytes",
				       SEARCH_QUERY_BYTES_MAX);
	}
	return 0;
}

static int read_vector(const struct search_opts *opts, float **out, size_t *count,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	bool is_stdin = strcmp(opts->vector, "-") == 0;
	int r = is_stdin ? read_stdin(&bytes, err)
			 : file_read_at(AT_FDCWD, opts->vector, FILE_FOLLOW, SEARCH_QUERY_BYTES_MAX,
					&bytes, NULL, err);

	if (r == 1)
		return vs_fail(err, VS_EUSAGE,
			       "%s: not a file; give what comes from a pipe as --vector -",
			       opts->vector);
	if (r < 0)
		return r;
	r = search_query_parse(buf_slice(&bytes), (enum search_format)opts->format, out, count,
			       err);
	return r < 0 ? vs_err_in(err, "%s", is_stdin ? "standard input" : opts->vector) : 0;
}

/* ---- the result ---- */

static const struct emit_field similarity_fields[] = {
	{ .key = "rank", .heading = "rank", .is_number = true },
	{ .key = "score", .heading = "similarity", .is_number = true },
	{ .key = "index_rank", .heading = NULL },
	{ .key = "source", .heading = NULL },
	{ .key = "id", .heading = "id" },
	{ .key = "text", .heading = "text" },
	{ .key = "text_bytes", .heading = NULL },
	{ 0 },
};

static const struct emit_field exact_fields[] = {
	{ .key = "rank", .heading = "rank", .is_number = true },
	{ .key = "score", .heading = "distance", .is_number = true },
	{ .key = "index_rank", .heading = NULL },
	{ .key = "source", .heading = "from" },
	{ .key = "id", .heading = "id" },
	{ .key = "text", .heading = "text" },
	{ .key = "text_bytes", .heading = NULL },
	{ 0 },
};

static const struct emit_field index_fields[] = {
	{ .key = "rank", .heading = "rank", .is_number = true },
	{ .key = "score", .heading = "distance", .is_number = true },
	{ .key = "index_rank", .heading = "by index", .is_number = true },
	{ .key = "source", .heading = "from" },
	{ .key = "id", .heading = "id" },
	{ .key = "text", .heading = "text" },
	{ .key = "text_bytes", .heading = NULL },
	{ 0 },
};

static const char *source_name(enum search_source source)
{
	static const char *const names[] = { [SEARCH_FROM_FILE] = "file",
					     [SEARCH_FROM_INDEX] = "index",
					     [SEARCH_FROM_QUEUE] = "queue" };

	return names[source];
}

/* Columns of text that a table has room for; JSON has all that was kept. */
#define TEXT_SHOWN ((size_t)60)

static void text_emit(struct emit *e, const struct search_hit *hit)
{
	struct slice text = buf_slice(&hit->text);
	cleanup_(buf_fini) struct buf shown = { 0 };
	size_t whole;

	if (!hit->has_text) {
		emit_null(e);
		return;
	}
	/* A character that the limit has cut in two is none. */
	whole = utf8_valid_len(text);
	if (hit->text_len > text.len && text.len - whole < 4)
		text.len = whole;
	if (!e->is_json && text.len > TEXT_SHOWN) {
		text.len = TEXT_SHOWN;
		while (text.len > TEXT_SHOWN - 4 && (text.ptr[text.len] & 0xc0) == 0x80)
			text.len--;
	}
	buf_append(&shown, text.ptr, text.len);
	if (!e->is_json && text.len < hit->text_len)
		buf_append_str(&shown, "...");
	emit_bytes(e, shown.len > 0 ? buf_slice(&shown) : slice_str(""));
}

static void hits_emit(struct emit *e, const struct search_result *result)
{
	emit_table(e, "results",
		   result->is_similarity ? similarity_fields
		   : result->asked_index ? index_fields
					 : exact_fields);
	for (size_t i = 0; i < result->count; i++) {
		const struct search_hit *hit = &result->hits[i];

		emit_uint(e, i + 1);
		emit_double(e, (double)hit->score, 6);
		if (hit->index_rank > 0)
			emit_uint(e, hit->index_rank);
		else
			emit_null(e);
		emit_str(e, source_name(hit->source));
		emit_bytes(e, hit->id);
		text_emit(e, hit);
		if (hit->has_text)
			emit_uint(e, hit->text_len);
		else
			emit_null(e);
	}
	emit_table_end(e);
}

static const struct {
	const char *key;
	const char *noun;
	const char *what;
} gap_rows[SEARCH_GAPS] = {
	[SEARCH_GAP_UNREADABLE] = { "unreadable", "document", "cannot be read" },
	[SEARCH_GAP_VECTOR] = { "without_vector", "vector", "cannot be compared" },
	[SEARCH_GAP_RECORD] = { "without_record", "vector", "without a record" },
	[SEARCH_GAP_INDEX] = { "index", "fault", "in the index" },
};

/* True when something could not be compared. */
static bool gaps_emit(struct emit *e, const struct search_result *result)
{
	bool any = false;

	emit_array(e, "gaps");
	for (int i = 0; i < SEARCH_GAPS; i++) {
		const struct search_gap *gap = &result->gaps[i];
		cleanup_(buf_fini) struct buf line = { 0 };

		if (gap->count == 0)
			continue;
		any = true;
		emit_object(e, NULL);
		emit_json_str(e, "kind", gap_rows[i].key);
		emit_json_uint(e, "count", gap->count);
		emit_json_bytes(e, "first", slice_str(gap->what));
		emit_object_end(e);
		text_count(&line, gap->count, gap_rows[i].noun);
		buf_printf(&line, " %s: ", gap_rows[i].what);
		text_escape(&line, slice_str(gap->what));
		emit_paragraph(e, 2, EMIT_WARN, "", buf_cstr(&line));
	}
	emit_array_end(e);
	return any;
}

static void head_emit(struct app *app, const struct store *store,
		      const struct search_result *result)
{
	struct emit *e = &app->emit;
	cleanup_(buf_fini) struct buf line = { 0 };

	emit_document(e, app->command_words);
	emit_store(e, store);
	emit_object(e, "collection");
	emit_json_bytes(e, "id", slice_str(result->collection));
	emit_json_bytes(e, "name", result->name);
	emit_json_str(e, "space", result->space);
	emit_json_uint(e, "dimension", result->dimension);
	emit_object_end(e);
	emit_json_uint(e, "compared", result->compared);
	if (e->is_json)
		return;
	buf_printf(&line, "%zu nearest of ", result->count);
	text_count(&line, result->compared, "vector");
	buf_append_str(&line, " in ");
	text_escape(&line, result->name.ptr ? result->name : slice_str(result->collection));
	buf_printf(&line, " (%s, %" PRIu32 " dimensions)", result->space, result->dimension);
	emit_line(e, "%s", buf_cstr(&line));
}

static void index_emit(struct emit *e, const struct search_result *result)
{
	if (!result->asked_index) {
		emit_json_null(e, "index");
		return;
	}
	emit_object(e, "index");
	emit_json_uint(e, "ef_search", result->ef);
	emit_json_uint(e, "found", result->found);
	emit_json_double(e, "recall", result->recall, 4);
	emit_object_end(e);
	emit_line(e,
		  "through the index: %" PRIu64 " found among %" PRIu64 " candidates, recall %.2f",
		  result->found, result->ef, result->recall);
}

/* Below this, and with enough to tell, the graph of anything but noise has lost its ways. */
#define RECALL_LOW 0.8

static int result_emit(struct app *app, const struct store *store,
		       const struct search_result *result)
{
	struct emit *e = &app->emit;
	cleanup_(buf_fini) struct buf next = { 0 };
	bool is_low = result->asked_index && result->recall < RECALL_LOW;
	bool has_gaps;

	head_emit(app, store, result);
	hits_emit(e, result);
	index_emit(e, result);
	has_gaps = gaps_emit(e, result);
	if (has_gaps || is_low)
		text_command(&next,
			     is_low ? "vsctl verify --level deep STORE" : "vsctl verify STORE",
			     store->path, NULL);
	emit_json_str(e, "next", next.len > 0 ? buf_cstr(&next) : NULL);
	if (next.len > 0)
		emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
	return has_gaps ? EXIT_PROBLEMS : EXIT_CLEAN;
}

/* ---- the command ---- */

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct search_opts *opts = opts_;
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(search_result_fini) struct search_result result = { 0 };
	cleanup_(pool_freep) struct pool *pool = NULL;
	cleanup_(vs_freep) float *vector = NULL;
	struct search_request req = { .collection = operands[1],
				      .id = opts->id,
				      .is_exact = opts->exact,
				      .nearest = (size_t)opts->nearest,
				      .scratch = getenv("TMPDIR") };
	struct vs_err err = { 0 };

	app->path = operands[0];
	if (!opts->id == !opts->vector)
		return app_usage(app, "search needs either --id ID or --vector FILE");
	if (opts->vector && read_vector(opts, &vector, &req.dimension, &err) < 0)
		return app_error(app, &err);
	if (req.nearest == 0)
		req.nearest = NEAREST_DEFAULT;
	req.vector = vector;
	if (store_open(&store, operands[0], 0, &err) < 0)
		return app_error(app, &err);
	pool = pool_new(app_jobs(app));
	req.pool = pool;
	if (search_store(store, &req, &result, &err) < 0)
		return app_error(app, &err);
	return result_emit(app, store, &result);
}

static const struct example examples[] = {
	{ "vsctl search --id mem-17 /var/lib/app/vectorstore contextd_memories",
	  "what lies near a document" },
	{ "vsctl search -k 3 --vector query.json /var/lib/chroma docs",
	  "what lies near a vector, exactly and as the index finds it" },
	{ NULL, NULL },
};

const struct command cmd_search = {
	.name = "search",
	.operands = "STORE COLLECTION",
	.summary = "find the nearest neighbours of a vector",
	.details =
		"Compares the vector with every one of the collection, straight from the files: what a restored store has "
		"to answer. Of a ChromaDB collection the index is asked as well, as the server asks it, and the share of "
		"the exact answer that it finds is the recall. The store is not changed.\n\n"
		"The exit status is 4 when something could not be compared, or the index not be asked.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct search_opts),
	.run = run,
};
