/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names: a collection's directory is named after the hash of its name, and no two collections may
 * have one name.
 *
 * The library never compares the two. Programs that move collections have made directories that
 * are not the hash of the name, and such a collection loads: that alone is a warning. It is more
 * than that when a bit of the name has flipped, when the documents tell that the name is not
 * theirs, or when another directory has the same name, for then one of the two is dropped.
 */

#include "check/chromem-run.h"

static int names_begin(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_NAME_DAMAGED };
	cleanup_(buf_fini) struct buf original = { 0 };
	const struct chromem_collection *c = part->c;
	struct record *record = part->record;
	struct slice name = buf_slice(&record->name);
	char scratch[32];

	(void)err;
	if (name.len == 0) {
		record->name_state = NAME_NONE;
	} else if (c->has_hash && chromem_hash(name) == c->hash) {
		record->name_state = NAME_RIGHT;
	} else if (c->has_hash && chromem_find_original(name, c->hash, &original)) {
		record->name_state = NAME_DAMAGED;
		f.expected = buf_cstr(&original);
		f.actual = buf_cstr(&record->name);
		part_report(run, part, part_entry_name(part, part->metadata_index, scratch), &f);
	} else {
		record->name_state = NAME_ELSEWHERE;
	}
	return 0;
}

/* ---- two directories, one name ---- */

/* What a collection's documents say, in whatever order and files. */
struct content {
	struct digest_ctx *digest;
	struct digest *row; /* sorted once all are there */
	size_t count, cap;
};

static void content_fini(struct content *content)
{
	free(content->row);
}

static void *content_chunk(void *ctx, const struct chromem_collection *c)
{
	(void)c;
	return ctx;
}

static void content_document(void *ctx, unsigned worker, void *chunk,
			     const struct chromem_collection *c, size_t index,
			     const struct chromem_entry *entry, const struct chromem_doc *doc,
			     const struct chromem_fault *fault, uint64_t file_size)
{
	struct content *content = ctx;

	(void)worker, (void)chunk, (void)c, (void)index, (void)entry, (void)fault, (void)file_size;
	if (!doc)
		return;
	content->row =
		vs_grow(content->row, &content->cap, content->count + 1, sizeof(*content->row));
	chromem_doc_digest(content->digest, doc, &content->row[content->count++]);
}

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

static int read_content(struct chromem_run *run, const char *dir, struct content *out,
			struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *alone = pool_new(1);
	struct chromem_scan_request req = {
		.compression = run->compression, .decode = true, .only = dir, .pool = alone
	};
	const struct chromem_visitor visitor = { .ctx = out,
						 .chunk_new = content_chunk,
						 .document = content_document };
	int r;

	out->digest = run->digest;
	r = chromem_scan(run->store->dirfd, &req, &visitor, err);
	if (r == 0 && out->count > 0)
		qsort(out->row, out->count, sizeof(*out->row), compare_digests);
	return r;
}

static bool holds_all(const struct content *content, const struct content *of)
{
	size_t at = 0;

	for (size_t i = 0; i < of->count; i++) {
		while (at < content->count && compare_digests(&content->row[at], &of->row[i]) < 0)
			at++;
		if (at == content->count || compare_digests(&content->row[at], &of->row[i]) != 0)
			return false;
	}
	return true;
}

/*
 * 1: nothing is lost by dropping @loser; 0: something is, or it is not known. A winner that has the
 * directory of the name is where writes go, so it may be newer. Another one may not: what it has more
 * was perhaps removed.
 */
static int is_harmless(struct chromem_run *run, const struct record *loser,
		       const struct record *winner, struct vs_err *err)
{
	cleanup_(content_fini) struct content of_loser = { 0 };
	cleanup_(content_fini) struct content of_winner = { 0 };
	int r;

	if (!run_is_full(run) ||
	    (winner->name_state == NAME_RIGHT ? loser->documents > winner->documents
					      : loser->documents != winner->documents))
		return 0;
	r = read_content(run, loser->dir, &of_loser, err);
	if (r == 0)
		r = read_content(run, winner->dir, &of_winner, err);
	return r < 0 ? r
		     : holds_all(&of_winner, &of_loser) && (winner->name_state == NAME_RIGHT ||
							    holds_all(&of_loser, &of_winner));
}

/* A few directories of one name, in the order in which the library reads them: the last one wins.
 */
static int report_same_name(struct chromem_run *run, struct record **row, size_t count,
			    struct vs_err *err)
{
	struct record *winner = row[count - 1];

	for (size_t i = 0; i + 1 < count; i++) {
		struct finding f = { .expected = buf_cstr(&winner->name),
				     .actual = winner->dir,
				     .other = row[i]->dir };
		int r = is_harmless(run, row[i], winner, err);

		if (r < 0)
			return r;
		f.code = r == 1 ? PROB_CHROMEM_COLLECTION_DUPLICATE_COPY
				: PROB_CHROMEM_COLLECTION_DUPLICATE_NAME;
		record_report(run, row[i], &f);
		record_report(run, winner, &f);
	}
	return 0;
}

static int compare_names(const void *a_, const void *b_)
{
	const struct record *a = *(const struct record *const *)a_;
	const struct record *b = *(const struct record *const *)b_;
	int r = slice_cmp(buf_slice(&a->name), buf_slice(&b->name));

	return r != 0 ? r : strcmp(a->dir, b->dir);
}

/* ---- a name that is not the directory's ---- */

static void report_other_name(struct chromem_run *run, struct record *record)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_OTHER_NAME,
			     .actual = buf_cstr(&record->name) };
	cleanup_(buf_fini) struct buf detail = { 0 };
	char expected[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(buf_slice(&record->name)), expected);
	f.expected = expected;
	if (record->right_name.len > 0)
		buf_printf(&detail, "they say %s", buf_cstr(&record->right_name));
	else
		buf_printf(&detail, "they are of the kind %s", record->kind);
	f.detail = buf_cstr(&detail);
	record_report_metadata(run, record, &f);
}

static void report_misnamed(struct chromem_run *run, struct record *record)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_MISNAMED,
			     .actual = buf_cstr(&record->name) };
	char expected[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(buf_slice(&record->name)), expected);
	f.expected = expected;
	record_report_metadata(run, record, &f);
}

static int names_finish(struct chromem_run *run, struct vs_err *err)
{
	cleanup_(vs_freep) struct record **row =
		vs_alloc_array(run->record_count + 1, sizeof(*row));
	size_t count = 0;

	for (size_t i = 0; i < run->record_count; i++) {
		if (run->records[i]->name.len > 0)
			row[count++] = run->records[i];
	}
	qsort(row, count, sizeof(*row), compare_names);
	for (size_t i = 0, next; i < count; i = next) {
		int r = 0;

		for (next = i + 1; next < count &&
				   slice_eq(buf_slice(&row[next]->name), buf_slice(&row[i]->name));
		     next++)
			;
		if (next - i > 1)
			r = report_same_name(run, row + i, next - i, err);
		else if (row[i]->name_state == NAME_ELSEWHERE)
			report_misnamed(run, row[i]);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < count; i++) {
		if (row[i]->name_state == NAME_OTHER)
			report_other_name(run, row[i]);
	}
	return 0;
}

const struct chromem_check chromem_names = {
	.begin = names_begin,
	.finish = names_finish,
};
