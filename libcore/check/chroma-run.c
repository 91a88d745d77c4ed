/* SPDX-License-Identifier: Apache-2.0 */

/* One check of a Chroma store: opened, asked in order, summed up; again when it changed meanwhile. */

#include "check/chroma-run.h"

#include <fcntl.h>

/* A server that writes all the time is not waited for. */
#define TRIES 3

static void run_fini(struct chroma_run *run)
{
	for (size_t i = 0; run->logs && i < run->catalog.collection_count; i++) {
		for (size_t k = 0; k < run->logs[i].count; k++)
			vs_free_const(run->logs[i].rows[k].id.ptr);
		free(run->logs[i].rows);
	}
	free(run->logs);
	free(run->is_wrong);
	chroma_catalog_fini(&run->catalog);
	chroma_db_closep(&run->db);
	file_closep(&run->dirfd);
	report_fini(&run->report);
	gaps_fini(&run->gaps);
}

bool chroma_is_asked_for(const struct chroma_run *run, const struct chroma_collection *c)
{
	const char *only = run->req->only_collection;
	size_t len = only ? strlen(only) : 0;

	return !only || strcmp(c->id, only) == 0 ||
	       (c->name.len == len && memcmp(c->name.ptr, only, len) == 0);
}

void chroma_report(struct chroma_run *run, struct finding *f,
		   const struct chroma_collection *collection)
{
	if (collection && !chroma_is_asked_for(run, collection))
		return;
	if (collection) {
		f->collection = collection->id;
		if (problem_row(f->code)->severity == SEV_ERROR)
			run->is_wrong[collection - run->catalog.collections] = true;
	}
	if (!f->path)
		f->path = CHROMA_DATABASE;
	report_add(&run->report, f);
}

int chroma_settle(struct chroma_run *run, int r, const char *what, struct vs_err *err)
{
	static const char prefix[] = CHROMA_DATABASE ": ";
	const char *why = err->text;

	if (r >= 0 || (r != VS_EFORMAT && r != VS_ENOTSUP))
		return r < 0 ? r : 0;
	if (strncmp(why, prefix, strlen(prefix)) == 0)
		why += strlen(prefix);
	gaps_add(&run->gaps, CHROMA_DATABASE, what, why, false);
	/* Said once: every question that meets the damage says the same. */
	if (r == VS_EFORMAT && !run->is_damaged) {
		struct finding f = { .code = PROB_CHROMA_DATABASE_CORRUPT, .detail = why };

		run->is_damaged = true;
		chroma_report(run, &f, NULL);
	}
	return 0;
}

/* Of such a file SQLite makes a new database. */
static bool is_empty(const struct chroma_run *run)
{
	struct vs_err ignored = { 0 };
	struct file_info info;

	return file_stat_at(run->dirfd >= 0 ? run->dirfd : run->store->dirfd, CHROMA_DATABASE,
			    FILE_NO_FOLLOW, &info, &ignored) == 0 &&
	       info.type == FILE_REGULAR && info.size == 0;
}

static int open_database(struct chroma_run *run, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMA_DATABASE_MISSING,
			     .detail = "there are index directories, and no database" };
	int r = 0;

	if (run->req->database)
		r = file_open_dir(AT_FDCWD, run->req->database, FILE_NO_FOLLOW, &run->dirfd, err);
	if (r == 0)
		r = chroma_db_open(&run->db, run->dirfd >= 0 ? run->dirfd : run->store->dirfd,
				   run->req->scratch, err);
	if (r == VS_EFORMAT && is_empty(run)) {
		f.detail = "the database is an empty file";
	} else if (r == VS_EFORMAT) {
		f.code = PROB_CHROMA_DATABASE_FOREIGN;
		f.detail = err->text;
	}
	if (r != VS_ENOENT && r != VS_EFORMAT)
		return r;
	chroma_report(run, &f, NULL);
	return 1;
}

/* A name that no collection has is a slip of the person, and no finding. */
static int check_asked(const struct chroma_run *run, struct vs_err *err)
{
	for (size_t i = 0; i < run->catalog.collection_count; i++) {
		if (chroma_is_asked_for(run, &run->catalog.collections[i]))
			return 0;
	}
	if (!run->has_catalog || !run->req->only_collection)
		return 0;
	return vs_fail(err, VS_ENOENT, "no collection %s in the store", run->req->only_collection);
}

/* Everything but the full-text index. */
static int look_at_rest(struct chroma_run *run, const struct check_sink *sink, struct vs_err *err)
{
	int r = chroma_check_file(run, err);

	if (r == 0)
		r = chroma_check_schema(run, err);
	if (r == 0)
		r = chroma_check_catalog(run, err);
	if (r == 0)
		r = check_asked(run, err);
	if (r == 0)
		r = chroma_check_records(run, err);
	if (r == 0)
		r = chroma_check_queue(run, err);
	if (r == 0)
		r = chroma_check_positions(run, err);
	return r == 0 ? chroma_check_segments(run, sink, err) : r;
}

/* look() has found that the pages have to be asked first. */
#define LOOK_AGAIN 2

struct looking {
	struct chroma_run *run;
	const struct check_sink *sink;
	struct vs_err *err;
	int result;
	bool is_fts_sound, are_pages_sound;
};

/* The longest first; whoever is free does the next. */
static void look_at_part(void *ctx, unsigned worker, size_t index)
{
	struct looking *l = ctx;

	(void)worker;
	if (index == 0)
		l->are_pages_sound =
			!l->run->has_pages_apart || chroma_db_has_sound_pages(l->run->db);
	else if (index == 1)
		l->is_fts_sound = chroma_db_has_sound_fts(l->run->db);
	else
		l->result = look_at_rest(l->run, l->sink, l->err);
}

/*
 * Pages that are damaged are found before anything else is, so that what comes of them is told as
 * theirs. Nearly always they are sound, and then the rest need not wait until that is known.
 * Otherwise LOOK_AGAIN: all of it is looked at once more, in order.
 */
static int look(struct chroma_run *run, const struct check_sink *sink, struct vs_err *err)
{
	struct looking l = { .run = run, .sink = sink, .err = err };
	const struct chroma_db_info *info;
	cleanup_(pool_freep) struct pool *pool = NULL;
	int r = open_database(run, err);

	if (r != 0)
		return r;
	if (run->req->jobs < 2 || run->req->level == CHECK_QUICK) {
		r = look_at_rest(run, sink, err);
		return r == 0 ? chroma_check_fts(run, err) : r;
	}
	info = chroma_db_info(run->db);
	run->has_pages_apart =
		!run->is_suspect && !info->has_journal && !info->has_wal && !info->is_truncated;
	pool = pool_new(VS_MIN(run->req->jobs, 3));
	pool_run(pool, 3, look_at_part, &l);
	if (!l.are_pages_sound) {
		*err = (struct vs_err){ 0 };
		return LOOK_AGAIN;
	}
	run->is_fts_sound = l.is_fts_sound;
	return l.result == 0 ? chroma_check_fts(run, err) : l.result;
}

static void count_collections(struct chroma_run *run, struct check_summary *out)
{
	for (size_t i = 0; i < run->catalog.collection_count; i++) {
		out->collections += chroma_is_asked_for(run, &run->catalog.collections[i]);
		out->corrupt += run->is_wrong && run->is_wrong[i];
	}
	out->healthy = out->collections - out->corrupt;
	out->documents = run->documents;
	out->bytes = run->bytes;
}

/* Nothing is handed out before it is known that what was read is one state of the store. */
struct kept_collections {
	struct check_collection *rows;
	size_t count, cap;
};

static void keep_collection(void *ctx, const struct check_collection *c)
{
	struct kept_collections *kept = ctx;

	kept->rows = vs_grow(kept->rows, &kept->cap, kept->count + 1, sizeof(*kept->rows));
	kept->rows[kept->count++] = *c;
}

static int try_once(struct chroma_run *run, const struct check_sink *sink,
		    struct check_summary *out, bool is_last, struct vs_err *err)
{
	struct kept_collections kept = { 0 };
	const struct check_sink keeping = { .ctx = &kept, .collection = keep_collection };
	bool has_changed = false;
	int r;

	r = look(run, &keeping, err);
	if (r == LOOK_AGAIN) {
		free(kept.rows);
		return r;
	}
	if (r == 0)
		r = chroma_db_has_changed(run->db, &has_changed, err);
	if (r >= 0 && has_changed && is_last)
		r = vs_fail(
			err, VS_EBUSY,
			"%s: is being written all the time; check a snapshot of it, or try again",
			CHROMA_DATABASE);
	if (r >= 0 && !has_changed) {
		for (size_t i = 0; i < kept.count; i++)
			sink->collection(sink->ctx, &kept.rows[i]);
		count_collections(run, out);
		report_emit(&run->report, sink, out);
		gaps_emit(&run->gaps, sink, out);
	}
	free(kept.rows);
	return r < 0 ? r : has_changed;
}

int chroma_run_store(const struct store *store, const struct check_request *req,
		     const struct check_sink *sink, struct check_summary *out, struct vs_err *err)
{
	bool is_suspect = false;
	int r = 1;

	for (unsigned i = 0; r > 0 && i < TRIES; i += r != LOOK_AGAIN) {
		cleanup_(run_fini) struct chroma_run run = {
			.store = store, .req = req, .dirfd = -1, .is_suspect = is_suspect
		};

		run.report.max = req->max_findings;
		r = try_once(&run, sink, out, i + 1 == TRIES, err);
		is_suspect |= r == LOOK_AGAIN;
	}
	return r;
}
