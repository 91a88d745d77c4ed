/* SPDX-License-Identifier: Apache-2.0 */

/* A Chroma database made smaller and quicker; see optimize.h. */

#include "repair/chroma-private.h"

#include <fcntl.h>

/* What VACUUM gains without a purge is worth a change from here on: pages, not single bytes. */
#define GAIN_PERCENT 2u

struct optimizing {
	struct plan *plan;
	const struct store *store;
	struct optimize_report *report;
	struct chroma_edit *edit; /* owned */
	struct chroma_catalog catalog;
};

static void optimizing_fini(struct optimizing *o)
{
	chroma_catalog_fini(&o->catalog);
	chroma_edit_freep(&o->edit);
}

void optimize_report_fini(struct optimize_report *report)
{
	for (size_t i = 0; i < report->purge_count; i++) {
		free(report->purges[i].collection);
		vs_free_const(report->purges[i].name.ptr);
	}
	free(report->purges);
}

/* ---- the file ---- */

static int look_at_file(struct optimizing *o, struct vs_err *err)
{
	static const char *const parts[] = { CHROMA_DATABASE, CHROMA_DATABASE "-wal",
					     CHROMA_DATABASE "-journal" };
	cleanup_(buf_fini) struct buf head = { 0 };
	int r;

	for (size_t i = 0; i < VS_COUNT(parts); i++) {
		struct vs_err absent = { 0 };
		struct file_info info;

		if (file_stat_at(o->store->dirfd, parts[i], FILE_NO_FOLLOW, &info, &absent) == 0)
			o->report->bytes_before += info.size;
	}
	r = file_read_head_at(o->store->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, 100, &head, NULL,
			      err);
	/* Byte 18 of the header: 2 is a write-ahead log. */
	o->report->is_wal = r == 0 && head.len > 18 && head.ptr[18] == 2;
	return VS_MIN(r, 0);
}

/* Of the store's own file: the copy takes no such questions. */
static int look_at_settings(struct optimizing *o, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	int r = chroma_db_open(&db, o->store->dirfd, NULL, err);

	if (r < 0)
		return r;
	o->report->page_size = chroma_db_info(db)->page_size;
	return chroma_query_int(db, "PRAGMA auto_vacuum", NULL, &o->report->auto_vacuum, err);
}

/* Of a damaged store nothing is thrown away, and nothing is moved about. */
static int refuse_errors(const struct store *store, const struct check_request *check,
			 struct vs_err *err)
{
	cleanup_(buf_fini) struct buf errors = { 0 };
	struct check_request whole = *check;
	struct check_summary sum = { 0 };
	int r;

	whole.level = VS_MAX(whole.level, CHECK_FULL);
	r = check_store(store, &whole, NULL, &sum, err);
	if (r < 0 || sum.errors == 0)
		return r;
	text_count(&errors, sum.errors, "error");
	return vs_fail(err, VS_EUSAGE, "the store has %s; first: vsctl repair --dry-run",
		       buf_cstr(&errors));
}

/* ---- the queue ---- */

static int position_of(const struct optimizing *o, size_t segment, int64_t *out)
{
	const struct chroma_position *p =
		segment == SIZE_MAX
			? NULL
			: chroma_catalog_position(&o->catalog, o->catalog.segments[segment].id);

	if (!p || !p->is_readable)
		return 0;
	*out = p->seq_id;
	return 1;
}

static int64_t count_below(const struct chroma_log_rows *log, int64_t below)
{
	int64_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += log->row[i].seq_id < below;
	return count;
}

static int purge_collection(struct optimizing *o, const struct chroma_collection *c,
			    struct buf *sql, struct vs_err *err)
{
	cleanup_(chroma_log_fini) struct chroma_log_rows log = { 0 };
	int64_t vector, metadata, shown = 0, taken_in, rows = 0, could = 0;
	struct optimize_purge *purge;
	int r;

	if (!position_of(o, c->vector, &vector) || !position_of(o, c->metadata, &metadata))
		return 0;
	taken_in = VS_MIN(vector, metadata);
	r = chroma_log_load(chroma_edit_db(o->edit), c->id, &log, err);
	if (r < 0 || log.count == 0)
		return r;
	could = count_below(&log, taken_in);
	if (could == 0)
		return 0;
	r = chroma_index_position(o->store->dirfd, &o->catalog, c, &log, &shown, err);
	if (r < 0)
		return r;
	rows = count_below(&log, VS_MIN(taken_in, shown));
	o->report->purges = vs_grow(o->report->purges, &o->report->purge_cap,
				    o->report->purge_count + 1, sizeof(*o->report->purges));
	purge = &o->report->purges[o->report->purge_count++];
	*purge = (struct optimize_purge){ .collection = vs_strdup(c->id),
					  .name = slice_of(vs_strndup(c->name), c->name.len),
					  .rows = (uint64_t)rows,
					  .kept = (uint64_t)(could - rows) };
	if (rows == 0)
		return 0;
	buf_append_str(sql, "DELETE FROM embeddings_queue WHERE topic LIKE '%/' || ");
	sql_text(sql, slice_str(c->id));
	buf_printf(sql, " AND seq_id < %" PRId64 ";\n", VS_MIN(taken_in, shown));
	return 0;
}

static int add(struct optimizing *o, const char *what, const char *detail, const char *sql,
	       struct vs_err *err)
{
	int r = chroma_edit_exec(o->edit, sql, err);

	if (r == 0)
		plan_add_sql(o->plan, what, sql)->detail = vs_strdup(detail);
	return r;
}

static int purge_queue(struct optimizing *o, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	uint64_t rows = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->catalog.collection_count; i++)
		r = purge_collection(o, &o->catalog.collections[i], &sql, err);
	if (r < 0 || sql.len == 0)
		return r;
	for (size_t i = 0; i < o->report->purge_count; i++)
		rows += o->report->purges[i].rows;
	text_count(&detail, rows, "row");
	buf_append_str(&detail, " of the write queue go, which records and index have");
	return add(o, "purge-queue", buf_cstr(&detail), buf_cstr(&sql), err);
}

#define KEEPS_ROWS                                                                                 \
	"json_valid(config_json_str) AND json_extract(CASE WHEN json_valid(config_json_str) THEN " \
	"config_json_str ELSE '{}' END, '$.automatically_purge') = 0"

/* A store from before 0.5.6 keeps all rows for ever; the server's own vacuum switches that off. */
static int let_purge(struct optimizing *o, struct vs_err *err)
{
	int64_t count = 0;
	int r;

	if (o->catalog.queue < 2)
		return 0;
	r = chroma_query_int(chroma_edit_db(o->edit),
			     "SELECT count(*) FROM embeddings_queue_config WHERE " KEEPS_ROWS, NULL,
			     &count, err);
	if (r < 0 || count == 0)
		return r;
	o->report->was_kept = true;
	return add(o, "purge-automatically",
		   "let the server purge the write queue itself from now on",
		   "UPDATE embeddings_queue_config SET config_json_str = json_set(config_json_str, "
		   "'$.automatically_purge', json('true')) WHERE " KEEPS_ROWS ";\n",
		   err);
}

/* ---- the whole ---- */

/* The steps without statements: what SQL cannot do inside a transaction. */
static int vacuum(void *ctx, const struct action *a, struct chroma_edit *e, struct vs_err *err)
{
	(void)ctx, (void)a;
	return chroma_edit_vacuum(e, err);
}

static int compact(struct optimizing *o, bool has_statistics, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	char before[16], after[16];
	const char *path = NULL;
	struct file_info info = { 0 };
	int r = 0;

	if (o->catalog.metadb >= 3)
		r = chroma_edit_exec(o->edit,
				     "INSERT INTO embedding_fulltext_search("
				     "embedding_fulltext_search) VALUES('optimize');",
				     err);
	if (r == 0)
		r = chroma_edit_vacuum(o->edit, err);
	if (r == 0)
		r = chroma_edit_finish(o->edit, &path, err);
	if (r == 0)
		r = file_stat_at(AT_FDCWD, path, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r;
	o->report->bytes_after = info.size;
	if (o->plan->count == 0 && has_statistics &&
	    info.size * 100 > o->report->bytes_before * (100 - GAIN_PERCENT)) {
		o->report->bytes_after = o->report->bytes_before;
		return 0;
	}
	if (o->catalog.metadb >= 3)
		plan_add_sql(o->plan, "merge-fulltext",
			     "INSERT INTO embedding_fulltext_search(embedding_fulltext_search) "
			     "VALUES('optimize');\n");
	size_format(o->report->bytes_before, before);
	size_format(info.size, after);
	buf_printf(&detail, "write the database anew without free pages: %s before, %s after",
		   before, after);
	plan_add_sql(o->plan, "vacuum-database", NULL)->detail = buf_take_str(&detail);
	return 0;
}

int plan_optimize(struct plan *plan, const struct store *store, const struct check_request *check,
		  const char *scratch, struct optimize_report *report, struct vs_err *err)
{
	cleanup_(optimizing_fini) struct optimizing o = { .plan = plan,
							  .store = store,
							  .report = report };
	int64_t statistics = 0;
	int r = refuse_errors(store, check, err);

	if (r == 0)
		r = look_at_file(&o, err);
	if (r == 0)
		r = chroma_edit_begin(&o.edit, store->dirfd, scratch, err);
	if (r == 0)
		r = chroma_catalog_load(&o.catalog, chroma_edit_db(o.edit), err);
	if (r == 0)
		r = chroma_query_int(
			chroma_edit_db(o.edit),
			"SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'", NULL,
			&statistics, err);
	if (r == 0)
		r = look_at_settings(&o, err);
	if (r == 0)
		r = purge_queue(&o, err);
	if (r == 0)
		r = let_purge(&o, err);
	if (r == 0)
		r = compact(&o, statistics > 0, err);
	if (r < 0)
		return r;
	report->source.edit = vacuum;
	plan->source = &report->source;
	return plan_stamp(plan, store->dirfd, err);
}
