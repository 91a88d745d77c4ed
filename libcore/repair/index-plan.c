/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The plan that writes an index directory anew. The old files are moved to the quarantine first,
 * which is on the same file system and which no server looks into, so no vector leaves the store;
 * the journal ends a run that was killed in between.
 */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* So that its name and a time fit into one. */
#define SEGMENT_MAX 200

static void job_fini(struct index_job *job)
{
	free(job->collection);
	vs_free_const(job->name.ptr);
	free(job->segment);
	free(job->target);
	index_summary_fini(&job->summary);
	index_image_freep(&job->image);
}

void indexes_fini(struct indexes *indexes)
{
	for (size_t i = 0; i < indexes->count; i++)
		job_fini(&indexes->row[i]);
	free(indexes->row);
	*indexes = (struct indexes){ 0 };
}

/* ---- what the database says ---- */

struct rows {
	struct index_row *row; /* ids and vectors are owned */
	size_t count, cap;
};

struct database {
	int dirfd; /* where it is another than the store's; else -1 */
	struct chroma_db *db;
	struct chroma_catalog catalog;
	struct rows records, log;
	int64_t *foreign; /* owned: row numbers of other collections' records */
	size_t foreign_count, foreign_cap;
};

static void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		vs_free_const(rows->row[i].id.ptr);
		vs_free_const(rows->row[i].vector.ptr);
	}
	free(rows->row);
}

static void database_fini(struct database *d)
{
	rows_fini(&d->records);
	rows_fini(&d->log);
	free(d->foreign);
	chroma_catalog_fini(&d->catalog);
	chroma_db_closep(&d->db);
	file_closep(&d->dirfd);
}

static struct slice copy(struct slice from)
{
	return slice_of(vs_strndup(from), from.len);
}

static struct index_row *add_row(struct rows *rows)
{
	rows->row = vs_grow(rows->row, &rows->cap, rows->count + 1, sizeof(*rows->row));
	rows->row[rows->count] = (struct index_row){ 0 };
	return &rows->row[rows->count++];
}

static int on_record(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct index_row *r = add_row(ctx);

	(void)err;
	r->id = copy(chroma_bytes(row, 0));
	(void)!chroma_seq(row, 1, &r->seq_id);
	r->row = chroma_int(row, 2);
	return 0;
}

static int on_foreign(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct database *d = ctx;

	(void)err;
	d->foreign =
		vs_grow(d->foreign, &d->foreign_cap, d->foreign_count + 1, sizeof(*d->foreign));
	d->foreign[d->foreign_count++] = chroma_int(row, 0);
	return 0;
}

static int on_log(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct index_row *r = add_row(ctx);
	int64_t operation = chroma_int(row, 1);

	(void)err;
	r->seq_id = chroma_int(row, 0);
	r->operation = operation >= 0 && operation <= 3 ? (uint8_t)operation : UINT8_MAX;
	r->id = copy(chroma_bytes(row, 2));
	/* The record is older than this add, which therefore changed nothing. */
	if (chroma_int(row, 4) != 0)
		r->operation = UINT8_MAX;
	else if (chroma_type(row, 3) == CHROMA_BLOB)
		r->vector = copy(chroma_bytes(row, 3));
	return 0;
}

static int load(struct database *d, const struct store *store, const char *other,
		struct vs_err *err)
{
	int r = other ? file_open_dir(AT_FDCWD, other, FILE_NO_FOLLOW, &d->dirfd, err) : 0;

	if (r == 0)
		r = chroma_db_open(&d->db, d->dirfd >= 0 ? d->dirfd : store->dirfd, NULL, err);
	return r < 0 ? r : chroma_catalog_load(&d->catalog, d->db, err);
}

static int load_rows(struct database *d, const struct chroma_collection *c, struct vs_err *err)
{
	int r = chroma_query(d->db,
			     "SELECT embedding_id, seq_id, id FROM embeddings WHERE segment_id = ? "
			     "ORDER BY id",
			     d->catalog.segments[c->metadata].id, on_record, &d->records, err);

	d->foreign_count = 0;
	if (r == 0)
		r = chroma_query(d->db,
				 "SELECT id FROM embeddings WHERE segment_id <> ? ORDER BY id",
				 d->catalog.segments[c->metadata].id, on_foreign, d, err);
	if (r < 0)
		return r;
	return chroma_query(
		d->db,
		"SELECT q.seq_id, q.operation, q.id, q.vector, q.operation = 0 AND EXISTS "
		"(SELECT 1 FROM embeddings e JOIN segments s ON s.id = e.segment_id "
		"JOIN max_seq_id m ON m.segment_id = s.id "
		"WHERE s.collection = ?1 AND e.embedding_id = q.id AND "
		"e.seq_id < q.seq_id AND q.seq_id <= m.seq_id) "
		"FROM embeddings_queue q WHERE q.topic LIKE '%/' || ?1 ORDER BY q.seq_id",
		c->id, on_log, &d->log, err);
}

/* What there is nothing to make an index of is refused. */
static int choose_collection(const struct chroma_catalog *catalog, const char *text,
			     const struct chroma_collection **out, struct vs_err *err)
{
	const struct chroma_collection *found = NULL;
	int r = chroma_catalog_find_named(catalog, text, &found, err);

	if (r < 0)
		return r;
	if (!found)
		return vs_fail(err, VS_EUSAGE, "%.200s: the store has no such collection", text);
	if (found->vector == SIZE_MAX || found->metadata == SIZE_MAX)
		return vs_fail(err, VS_EUSAGE, "%.200s: the collection has no index segment", text);
	if (!found->has_dimension || found->dimension < 1 || found->dimension > HNSW_DIM_MAX)
		return vs_fail(err, VS_EUSAGE,
			       "%.200s: the database gives no dimension; nothing was ever written",
			       text);
	*out = found;
	return 0;
}

/* ---- the image ---- */

static int make_image(struct database *d, const struct store *store,
		      const struct chroma_collection *c, struct pool *pool, struct index_job *job,
		      struct vs_err *err)
{
	const struct chroma_position *position =
		chroma_catalog_position(&d->catalog, d->catalog.segments[c->vector].id);
	struct index_facts facts = {
		.dirfd = store->dirfd,
		.segment = job->segment,
		.params = { .space = c->config.space,
			    .dim = (uint32_t)c->dimension,
			    .m = c->config.m,
			    .ef_construction = c->config.ef_construction,
			    .seed = 1,
			    .pool = pool },
		.is_python = d->catalog.metadb < 5,
		.has_position = position && position->is_readable,
		.position = position ? position->seq_id : 0,
		.saves_after = c->config.sync_threshold,
	};
	int r = load_rows(d, c, err);

	if (r < 0)
		return r;
	facts.foreign = d->foreign;
	facts.foreign_count = d->foreign_count;
	facts.rows = d->records.row;
	facts.row_count = d->records.count;
	facts.log = d->log.row;
	facts.log_count = d->log.count;
	return index_image_make(&facts, &job->image, &job->summary, err);
}

/* ---- the steps ---- */

static int content(void *ctx, const struct action *a, struct buf *out, struct vs_err *err)
{
	const struct indexes *indexes = ctx;

	for (size_t i = 0; i < indexes->count; i++) {
		const struct index_job *job = &indexes->row[i];
		size_t len = strlen(job->segment);

		if (strncmp(a->path, job->segment, len) != 0 || a->path[len] != '/')
			continue;
		for (int file = 0; file < INDEX_FILES; file++)
			if (strcmp(a->path + len + 1, index_file_name(file)) == 0)
				return index_image_file(job->image, file, out, err);
	}
	return vs_fail(err, VS_EUSAGE, "%s: nothing is known of this file", a->path);
}

/* The server has to read what is written: modes are those of the old ones. */
static uint32_t mode_of(const struct store *store, const char *path, uint32_t otherwise)
{
	struct vs_err err = { 0 };
	struct file_info info;

	return file_stat_at(store->dirfd, path, FILE_NO_FOLLOW, &info, &err) == 0 ? info.mode
										  : otherwise;
}

static void describe(const struct index_summary *s, struct buf *out)
{
	text_count(out, s->records, "vector");
	buf_printf(out, ": %" PRIu64 " from the old index, %" PRIu64 " from the queue",
		   s->source[INDEX_FROM_INDEX], s->source[INDEX_FROM_QUEUE]);
	if (s->paired > 0)
		buf_printf(out, "; %" PRIu64 " ids found by their order", s->paired);
	if (s->is_mended)
		buf_printf(out, "; links of %" PRIu32 " made anew, %" PRIu32 " kept", s->relinked,
			   s->kept);
	if (s->norms_lost > 0)
		buf_printf(out, "; %" PRIu64 " without their length", s->norms_lost);
	if (s->dropped > 0)
		buf_printf(out, "; %" PRIu64 " of no record left out", s->dropped);
	if (s->lost > 0)
		buf_printf(out, "; %" PRIu64 " have no copy %s", s->lost,
			   s->is_of_two ? "that is surely theirs" : "anywhere");
}

/* Which files stay: those that would be written as they are. */
static int find_same(const struct store *store, struct index_job *job, struct vs_err *err)
{
	for (int i = 0; i < INDEX_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };
		cleanup_(buf_fini) struct buf made = { 0 };
		cleanup_(buf_fini) struct buf there = { 0 };
		struct vs_err ignored = { 0 };
		int r = index_image_file(job->image, i, &made, err);

		if (r < 0)
			return r;
		buf_printf(&path, "%s/%s", job->segment, index_file_name(i));
		r = file_read_at(store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, made.len, &there,
				 NULL, &ignored);
		job->is_same[i] = r == 0 && slice_eq(buf_slice(&made), buf_slice(&there));
	}
	return 0;
}

/* The old files go to the quarantine, each under its name. */
static int plan_old(struct plan *plan, const struct store *store, const struct index_job *job,
		    struct vs_err *err)
{
	int r = quarantine_plan_home(plan, store, err);

	if (r < 0)
		return r;
	plan_add(plan, STEP_MKDIR, "make-directory", job->target, NULL)->mode = 0700;
	for (int i = 0; i < INDEX_FILES; i++) {
		cleanup_(buf_fini) struct buf from = { 0 };
		cleanup_(buf_fini) struct buf to = { 0 };
		struct vs_err absent = { 0 };
		struct file_info info;

		if (job->is_same[i])
			continue;
		buf_printf(&from, "%s/%s", job->segment, index_file_name(i));
		buf_printf(&to, "%s/%s", job->target, index_file_name(i));
		r = file_stat_at(store->dirfd, buf_cstr(&from), FILE_NO_FOLLOW, &info, &absent);
		if (r == VS_ENOENT)
			continue;
		if (r < 0)
			return vs_fail(err, (enum vs_status)r, "%s", absent.text);
		plan_add(plan, STEP_MOVE, "keep-index-file", buf_cstr(&from), buf_cstr(&to));
	}
	return 0;
}

static void plan_new(struct plan *plan, const struct indexes *indexes, const struct index_job *job,
		     uint32_t mode)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	struct action *a;

	describe(&job->summary, &detail);
	for (int i = 0; i < INDEX_FILES; i++) {
		if (job->is_same[i])
			continue;
		buf_clear(&path);
		buf_printf(&path, "%s/%s", job->segment, index_file_name(i));
		a = plan_add(plan, STEP_WRITE, "write-index-file", buf_cstr(&path), NULL);
		a->mode = mode;
		a->is_sourced = true;
		a->modified_ns = indexes->time_ns;
		a->collection = vs_strdup(job->collection);
		if (detail.len > 0)
			a->detail = buf_take_str(&detail);
	}
}

static int plan_steps(struct plan *plan, const struct store *store, const struct indexes *indexes,
		      const struct index_job *job, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	struct file_info info;
	bool is_done = true;
	uint32_t mode;
	int r = file_stat_at(store->dirfd, job->segment, FILE_NO_FOLLOW, &info, err);

	for (int i = 0; i < INDEX_FILES; i++)
		is_done &= job->is_same[i];
	if (is_done || (r < 0 && r != VS_ENOENT))
		return is_done ? 0 : r;
	if (r == 0 && info.type != FILE_DIRECTORY)
		return vs_fail(err, VS_EUSAGE, "%s: not a directory; move it away first",
			       job->segment);
	buf_printf(&path, "%s/%s", job->segment, index_file_name(HNSW_LEVEL0));
	mode = mode_of(store, buf_cstr(&path), 0644);
	if (r == VS_ENOENT) {
		plan_add(plan, STEP_MKDIR, "make-directory", job->segment, NULL)->mode = 0755;
	} else {
		r = plan_old(plan, store, job, err);
		if (r < 0)
			return r;
	}
	plan_new(plan, indexes, job, mode);
	return 0;
}

/* Where the old index is set aside. */
static int choose_target(const struct plan *plan, const struct store *store,
			 const struct indexes *indexes, struct index_job *job, struct vs_err *err)
{
	char target[256];
	int r = quarantine_choose_item(plan, store, job->segment, indexes->time_ns, target,
				       sizeof(target), err);

	if (r == 0)
		job->target = vs_strdup(target);
	return r;
}

static int plan_job(struct plan *plan, const struct store *store, struct database *d,
		    const struct chroma_collection *c, struct pool *pool, struct indexes *indexes,
		    struct index_job *job, struct vs_err *err)
{
	int r;

	if (job->segment[0] == '.' || job->segment[0] == '\0' || strchr(job->segment, '/') ||
	    strlen(job->segment) > SEGMENT_MAX)
		return vs_fail(err, VS_EUSAGE, "%.200s: the segment's id is no name of a directory",
			       job->collection);
	r = choose_target(plan, store, indexes, job, err);
	if (r == 0)
		r = make_image(d, store, c, pool, job, err);
	if (r == 0)
		r = find_same(store, job, err);
	if (r < 0)
		return r;
	indexes->source = (struct plan_source){ .ctx = indexes, .content = content };
	plan->source = &indexes->source;
	return plan_steps(plan, store, indexes, job, err);
}

int plan_index(struct plan *plan, const struct store *store, const char *collection,
	       struct pool *pool, struct indexes *indexes, struct vs_err *err)
{
	cleanup_(database_fini) struct database d = { .dirfd = -1 };
	const struct chroma_collection *c = NULL;
	struct index_job job = { 0 };
	int r = load(&d, store, indexes->database, err);

	if (r == 0)
		r = choose_collection(&d.catalog, collection, &c, err);
	if (r < 0)
		return r;
	assert(c);
	job.collection = vs_strdup(c->id);
	job.name = copy(c->name);
	job.segment = vs_strdup(d.catalog.segments[c->vector].id);
	r = plan_job(plan, store, &d, c, pool, indexes, &job, err);
	if (r < 0) {
		job_fini(&job);
		return r;
	}
	indexes->row =
		vs_grow(indexes->row, &indexes->cap, indexes->count + 1, sizeof(*indexes->row));
	indexes->row[indexes->count++] = job;
	return 0;
}
