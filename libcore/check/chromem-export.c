/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Export files: one value with a whole store in it.
 *
 * The file is read twice: once to learn what is usual in each collection, once to report what is
 * not. Nothing but a few numbers for each collection is kept in between.
 */

#include "check/chromem-run.h"

#include <fcntl.h>
#include <math.h>

/* More different dimensions than this in one collection are not told apart. */
#define DIMENSIONS_MAX 8

struct usual {
	uint64_t documents, bytes;
	uint64_t vectors, unnormalised, without_vector, errors;
	struct {
		uint64_t dimension, count;
	} row[DIMENSIONS_MAX];
	struct buf name;
};

struct export_run {
	const struct store *store;
	const struct check_request *req;
	struct report report;
	struct gaps gaps;
	struct usual *collections;
	size_t count, cap;
	size_t at; /* the collection being read, from 1 */
	bool is_void;
	uint32_t oddities;
	struct chromem_fault fault;
	char loader_text[LOADER_TEXT_CAP];
};

static void export_fini(struct export_run *run)
{
	for (size_t i = 0; i < run->count; i++)
		buf_fini(&run->collections[i].name);
	free(run->collections);
	report_fini(&run->report);
	gaps_fini(&run->gaps);
}

static void export_report(struct export_run *run, struct finding *f)
{
	struct usual *usual = run->at > 0 ? &run->collections[run->at - 1] : NULL;
	char id[CHROMEM_ID_LEN + 1];

	f->path = ".";
	if (usual) {
		/* As its directory would be called. */
		chromem_hash_format(chromem_hash(buf_slice(&usual->name)), id);
		f->collection = id;
		usual->errors += problem_row(f->code)->severity == SEV_ERROR;
	}
	report_add(&run->report, f);
	f->collection = NULL;
}

/* ---- first reading ---- */

static int learn_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	struct export_run *run = ctx;
	struct usual *usual;

	(void)key, (void)err;
	run->collections =
		vs_grow(run->collections, &run->cap, run->count + 1, sizeof(*run->collections));
	usual = &run->collections[run->count++];
	*usual = (struct usual){ 0 };
	buf_append(&usual->name, meta->name.ptr, meta->name.len);
	return 0;
}

static void learn_dimension(struct usual *usual, uint64_t dimension)
{
	for (size_t i = 0; i < DIMENSIONS_MAX; i++) {
		if (usual->row[i].count > 0 && usual->row[i].dimension != dimension)
			continue;
		usual->row[i].dimension = dimension;
		usual->row[i].count++;
		return;
	}
}

static bool is_unnormalised(const struct chromem_vector_stats *stats)
{
	return !stats->has_nan && !stats->has_inf && !stats->is_zero &&
	       fabs(stats->norm - 1) > CHROMEM_NORM_TOLERANCE;
}

static int learn_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	struct export_run *run = ctx;
	struct usual *usual = &run->collections[run->count - 1];
	struct chromem_vector_stats stats;

	(void)key, (void)err;
	usual->documents++;
	if (doc->dimension == 0) {
		usual->without_vector++;
		return 0;
	}
	chromem_vector_measure(doc->embedding, doc->dimension, &stats);
	usual->vectors++;
	usual->unnormalised += is_unnormalised(&stats);
	learn_dimension(usual, doc->dimension);
	return 0;
}

static uint64_t usual_dimension(const struct usual *usual)
{
	size_t best = 0;

	for (size_t i = 1; i < DIMENSIONS_MAX; i++) {
		if (usual->row[i].count > usual->row[best].count)
			best = i;
	}
	return usual->row[best].dimension;
}

/* ---- second reading ---- */

static int judge_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	struct export_run *run = ctx;
	const struct usual *usual;
	struct finding f = { .code = PROB_CHROMEM_EMBEDDING_NONE };

	(void)key, (void)meta;
	if (run->at == run->count)
		return vs_fail(err, VS_EVANISHED, "%s: changed while it was read",
			       run->store->path);
	usual = &run->collections[run->at++];
	if (usual->documents > 0 && usual->vectors == 0)
		export_report(run, &f);
	return 0;
}

static void judge_vector(struct export_run *run, const struct chromem_doc *doc,
			 const struct usual *usual)
{
	struct finding f = { .document = doc->id };
	struct chromem_vector_stats stats;
	char expected[24], actual[24];

	chromem_vector_measure(doc->embedding, doc->dimension, &stats);
	f.has_count = true;
	f.count = stats.first_bad;
	f.expected = expected;
	f.actual = actual;
	snprintf(expected, sizeof(expected), "%" PRIu64, usual_dimension(usual));
	snprintf(actual, sizeof(actual), "%zu", doc->dimension);
	if (doc->dimension != usual_dimension(usual))
		f.code = PROB_CHROMEM_EMBEDDING_DIMENSION;
	else if (stats.has_nan)
		f.code = PROB_CHROMEM_EMBEDDING_NAN;
	else if (stats.has_inf)
		f.code = PROB_CHROMEM_EMBEDDING_INFINITE;
	else if (stats.is_zero)
		f.code = PROB_CHROMEM_EMBEDDING_ZERO;
	else if (is_unnormalised(&stats) && are_exceptions(usual->unnormalised, usual->vectors))
		f.code = PROB_CHROMEM_EMBEDDING_NORM;
	else
		return;
	if (f.code == PROB_CHROMEM_EMBEDDING_NORM)
		snprintf(actual, sizeof(actual), "%.6g", stats.norm);
	export_report(run, &f);
}

static int judge_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	struct export_run *run = ctx;
	const struct usual *usual = &run->collections[run->at - 1];
	struct finding f = { .document = doc->id };

	(void)err;
	if (!slice_eq(key, doc->id)) {
		cleanup_(vs_freep) char *expected = vs_strndup(key);

		f.code = PROB_CHROMEM_EXPORT_DOCUMENT_KEY;
		f.expected = expected;
		f.actual = buf_cstr(&run->collections[run->at - 1].name);
		export_report(run, &f);
	}
	if (doc->dimension > 0) {
		judge_vector(run, doc, usual);
	} else if (usual->vectors > 0) {
		f.code = PROB_CHROMEM_EMBEDDING_MISSING;
		export_report(run, &f);
	}
	return 0;
}

/* ---- the file ---- */

static int read_export(struct export_run *run, bool judge, struct vs_err *err)
{
	const struct chromem_export_visitor visitor = {
		.ctx = run,
		.collection = judge ? judge_collection : learn_collection,
		.document = judge ? judge_document : learn_document,
	};

	run->at = 0;
	return chromem_export_read(AT_FDCWD, run->store->path, run->req->key, &visitor,
				   &run->oddities, &run->fault, err);
}

/*
 * Bytes without any pattern, as encryption leaves them: each value comes about equally often. The
 * statistic is chi-square with 255 degrees of freedom, which stays below 1.5 times that for random
 * bytes and goes far beyond for gob data.
 */
static bool looks_encrypted(const char *path)
{
	cleanup_(file_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char sample[65536];
	uint64_t seen[256] = { 0 };
	double expected, sum = 0;
	ssize_t len = fd < 0 ? -1 : read(fd, sample, sizeof(sample));

	if (len < 64 || (sample[0] == 0x1f && sample[1] == 0x8b))
		return false;
	for (ssize_t i = 0; i < len; i++)
		seen[sample[i]]++;
	expected = (double)len / 256;
	for (size_t i = 0; i < VS_COUNT(seen); i++)
		sum += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
	return sum < 1.5 * 255;
}

static void report_fault(struct export_run *run)
{
	const struct chromem_fault *fault = &run->fault;
	struct finding f = { .code = PROB_CHROMEM_EXPORT_DAMAGED,
			     .detail = fault->detail,
			     .has_offset = true,
			     .offset = fault->off,
			     .loader_text = run->loader_text };

	if (run->req->key && strstr(fault->loader_text, "decrypt"))
		f.code = PROB_CHROMEM_EXPORT_KEY;
	else if (!run->req->key && looks_encrypted(run->store->path))
		f.code = PROB_CHROMEM_EXPORT_ENCRYPTED;
	snprintf(run->loader_text, sizeof(run->loader_text), "couldn't read file: %s",
		 fault->loader_text);
	run->at = 0;
	export_report(run, &f);
}

static void report_oddities(struct export_run *run)
{
	const uint32_t behind =
		CHROMEM_ODD_LEFTOVER | CHROMEM_ODD_TRAILING | CHROMEM_ODD_GZIP_TRAILING;
	const uint32_t field = CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD;
	struct finding f = { .code = PROB_CHROMEM_EXPORT_FIELD_DAMAGED };

	run->at = 0;
	if ((run->oddities & field) == field)
		export_report(run, &f);
	if ((run->oddities & behind) != 0) {
		f.code = PROB_CHROMEM_EXPORT_TRAILING;
		export_report(run, &f);
	}
	if ((run->oddities & (CHROMEM_ODD_GZIP_CHECKSUM | CHROMEM_ODD_GZIP_TRAILER)) != 0) {
		f.code = PROB_CHROMEM_EXPORT_CHECKSUM;
		f.detail = (run->oddities & CHROMEM_ODD_GZIP_CHECKSUM) != 0
				   ? "the recorded checksum or length is not that of the data"
				   : "the recorded checksum and length are cut off";
		export_report(run, &f);
	}
}

static void emit_collections(struct export_run *run, const struct check_sink *sink,
			     struct check_summary *out)
{
	for (size_t i = 0; i < run->count && !run->is_void; i++) {
		struct usual *usual = &run->collections[i];
		char id[CHROMEM_ID_LEN + 1];
		struct check_collection c = { .id = id,
					      .name = buf_cstr(&usual->name),
					      .name_bytes = buf_slice(&usual->name),
					      .state = usual->errors > 0 ? COLLECTION_CORRUPT
									 : COLLECTION_HEALTHY,
					      .documents = usual->documents,
					      .dimension = usual_dimension(usual) };

		chromem_hash_format(chromem_hash(buf_slice(&usual->name)), id);
		out->collections++;
		out->healthy += usual->errors == 0;
		out->corrupt += usual->errors > 0;
		out->documents += usual->documents;
		sink->collection(sink->ctx, &c);
	}
}

int chromem_run_export(const struct store *store, const struct check_request *req,
		       const struct check_sink *sink, struct check_summary *out, struct vs_err *err)
{
	cleanup_(export_fini) struct export_run run = { .store = store, .req = req };
	struct file_info info;
	int r;

	run.report.max = req->max_findings;
	r = file_stat_at(AT_FDCWD, store->path, FILE_FOLLOW, &info, err);
	if (r < 0)
		return r;
	r = read_export(&run, false, err);
	if (r == 0)
		r = read_export(&run, true, err);
	if (r < 0)
		return r;
	if (r == 1)
		report_fault(&run);
	else
		report_oddities(&run);
	/* What was passed on before the fault is void. */
	run.is_void = r == 1;
	gaps_add(&run.gaps, ".", "changes that leave a document valid",
		 "the format has no checksums, and there was no earlier copy to compare with",
		 true);
	out->bytes = info.size;
	out->compression = chromem_compression_name(
		(run.oddities & CHROMEM_ODD_IS_GZIP) != 0 ? CHROMEM_GZIP : CHROMEM_PLAIN);
	emit_collections(&run, sink, out);
	report_emit(&run.report, sink, out);
	gaps_emit(&run.gaps, sink, out);
	snprintf(out->loader_text, sizeof(out->loader_text), "%s", run.loader_text);
	return 0;
}
