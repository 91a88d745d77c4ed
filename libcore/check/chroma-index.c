/* SPDX-License-Identifier: Apache-2.0 */

/* Each collection's index directory, held against the rows of its records and of the queue. */

#include "check/chroma-run.h"

struct rows {
	struct chroma_segment_row *row; /* ids are owned */
	size_t count, cap;
};

static void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		vs_free_const(rows->row[i].id.ptr);
	free(rows->row);
}

static int on_record(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct rows *rows = ctx;
	struct slice id = chroma_bytes(row, 0);
	struct chroma_segment_row *r;

	(void)err;
	rows->row = vs_grow(rows->row, &rows->cap, rows->count + 1, sizeof(*rows->row));
	r = &rows->row[rows->count++];
	*r = (struct chroma_segment_row){ .id = slice_of(vs_strndup(id), id.len) };
	(void)!chroma_seq(row, 1, &r->seq_id);
	return 0;
}

static struct chroma_segment_position position_of(const struct chroma_run *run, size_t segment)
{
	const struct chroma_position *p =
		segment == SIZE_MAX
			? NULL
			: chroma_catalog_position(&run->catalog, run->catalog.segments[segment].id);

	return (struct chroma_segment_position){ .is_set = p && p->is_readable,
						 .seq_id = p ? p->seq_id : 0 };
}

static int load_rows(struct chroma_run *run, const struct chroma_collection *c, struct rows *rows,
		     bool *is_whole, struct vs_err *err)
{
	int r = 0;

	*is_whole = false;
	if (run->req->level == CHECK_QUICK || c->metadata == SIZE_MAX || !run->has_queue)
		return 0;
	r = chroma_query(run->db,
			 "SELECT embedding_id, seq_id FROM embeddings WHERE segment_id = ?",
			 run->catalog.segments[c->metadata].id, on_record, rows, err);
	*is_whole = r == 0;
	return chroma_settle(run, r, "records", err);
}

static int check_one(struct chroma_run *run, const struct chroma_collection *c,
		     const struct check_sink *sink, struct vs_err *err)
{
	size_t number = (size_t)(c - run->catalog.collections);
	cleanup_(rows_fini) struct rows rows = { 0 };
	struct chroma_segment_figures figures = { 0 };
	const struct chroma_segment_request req = { .dirfd = run->store->dirfd,
						    .level = run->req->level };
	struct chroma_segment segment = {
		.collection = c->id,
		.dimension = c->has_dimension && c->dimension > 0 && c->dimension <= HNSW_DIM_MAX
				     ? (uint32_t)c->dimension
				     : 0,
		.has_space = c->config.is_readable,
		.space = c->config.space,
		.m = c->config.m,
		.ef_search = c->config.ef_search,
		.vector = position_of(run, c->vector),
		.metadata = position_of(run, c->metadata),
		.log = run->logs[number].rows,
		.log_count = run->logs[number].count,
	};
	struct check_collection told = { .id = c->id,
					 .name = (const char *)c->name.ptr,
					 .name_bytes = c->name,
					 .dimension = segment.dimension };
	int r;

	r = load_rows(run, c, &rows, &segment.has_rows, err);
	if (r < 0)
		return r;
	segment.rows = rows.row;
	segment.row_count = rows.count;
	if (c->vector != SIZE_MAX) {
		segment.id = run->catalog.segments[c->vector].id;
		r = chroma_segment_check(&req, &segment, &run->report, &run->gaps, &figures, err);
		run->is_wrong[number] |= figures.errors > 0;
	}
	told.documents = rows.count;
	told.bytes = figures.bytes;
	told.state = run->is_wrong[number] ? COLLECTION_CORRUPT : COLLECTION_HEALTHY;
	run->documents += rows.count;
	run->bytes += figures.bytes;
	if (r == 0)
		sink->collection(sink->ctx, &told);
	return r;
}

int chroma_check_segments(struct chroma_run *run, const struct check_sink *sink, struct vs_err *err)
{
	cleanup_(vs_freep) const char **ids = NULL;
	size_t count = 0;
	int r = 0;

	if (!run->has_catalog)
		return 0;
	for (size_t i = 0; r == 0 && i < run->catalog.collection_count; i++) {
		if (chroma_is_asked_for(run, &run->catalog.collections[i]))
			r = check_one(run, &run->catalog.collections[i], sink, err);
	}
	ids = vs_alloc_array(run->catalog.segment_count + 1, sizeof(*ids));
	for (size_t i = 0; i < run->catalog.segment_count; i++) {
		if (run->catalog.segments[i].scope == CHROMA_SCOPE_VECTOR)
			ids[count++] = run->catalog.segments[i].id;
	}
	return r == 0 ? chroma_segment_check_strays(run->store->dirfd, ids, count, &run->report,
						    &run->gaps, err)
		      : r;
}
