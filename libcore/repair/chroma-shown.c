/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How far an index has taken the queue in, by what it holds. It has no numbers. A row is in it when the id
 * has the row's vector, or, of a delete, when the id is not there. The position is the last row up to
 * which all are in it. Where the ids are lost with the pickle, any element that has the vector will do;
 * where the index cannot be asked at all, the position is the one before the first row that is left.
 */

#include "repair/chroma-private.h"
#include "repair/index-private.h"

void chroma_log_fini(struct chroma_log_rows *log)
{
	for (size_t i = 0; i < log->count; i++) {
		vs_free_const(log->row[i].id.ptr);
		vs_free_const(log->row[i].vector.ptr);
	}
	free(log->row);
}

static int on_log(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_log_rows *log = ctx;
	struct slice id = chroma_bytes(row, 2);
	struct chroma_log_row *r;

	(void)err;
	log->row = vs_grow(log->row, &log->cap, log->count + 1, sizeof(*log->row));
	r = &log->row[log->count++];
	*r = (struct chroma_log_row){ .seq_id = chroma_int(row, 0),
				      .operation = chroma_int(row, 1),
				      .id = slice_of(vs_strndup(id), id.len) };
	if (chroma_type(row, 3) == CHROMA_BLOB) {
		struct slice vector = chroma_bytes(row, 3);

		r->vector = slice_of(vs_strndup(vector), vector.len);
	}
	return 0;
}

int chroma_log_load(struct chroma_db *db, const char *collection, struct chroma_log_rows *log,
		    struct vs_err *err)
{
	return chroma_query(db,
			    "SELECT seq_id, operation, id, vector FROM embeddings_queue "
			    "WHERE topic LIKE '%/' || ? ORDER BY seq_id",
			    collection, on_log, log, err);
}

/* ---- what an index has taken in ---- */

static int compare_ids(const void *a_, const void *b_)
{
	const struct chroma_log_row *a = *(struct chroma_log_row *const *)a_;
	const struct chroma_log_row *b = *(struct chroma_log_row *const *)b_;

	return slice_cmp(a->id, b->id);
}

static void group_by_id(struct chroma_log_rows *log)
{
	cleanup_(vs_freep) struct chroma_log_row **order =
		vs_alloc_array(log->count + 1, sizeof(*order));
	size_t group = 0;

	for (size_t i = 0; i < log->count; i++)
		order[i] = &log->row[i];
	if (log->count > 1)
		qsort(order, log->count, sizeof(*order), compare_ids);
	for (size_t i = 0; i < log->count; i++) {
		group += i > 0 && !slice_eq(order[i]->id, order[i - 1]->id);
		order[i]->group = group;
	}
}

/* 1: the index shows the row; 0: it does not; -1: the row leaves no trace in an index. */
static int shows(const struct index_facts *facts, const struct old_index *old,
		 const struct chroma_log_row *row, float *scratch)
{
	uint64_t label = old_label(old, row->id);
	uint32_t element;

	if (row->operation == 3)
		return label == 0;
	if (row->operation < 0 || row->operation > 3 || row->vector.len == 0 ||
	    (row->operation == 1 && label == 0))
		return -1;
	return label > 0 && old_element(old, label, &element) &&
	       index_has_vector(facts, old, element, row->vector, scratch);
}

/* The same without ids: does any element have the row's vector? */
static int shows_vector(const struct index_facts *facts, const struct old_index *old,
			const struct chroma_log_row *row, float *scratch)
{
	if (row->operation < 0 || row->operation > 2 ||
	    row->vector.len != (size_t)4 * facts->params.dim)
		return -1;
	for (size_t i = 0; i < old->element_count; i++) {
		if (index_has_vector(facts, old, old->element[i].id, row->vector, scratch))
			return 1;
	}
	return 0;
}

/* More comparisons than that are not worth the time that a position which is too low costs. */
#define COMPARISONS_MAX (UINT64_C(1) << 28)

static bool can_compare(const struct index_facts *facts, const struct old_index *old,
			const struct chroma_log_rows *log)
{
	return old->element_count > 0 &&
	       log->count <= COMPARISONS_MAX / old->element_count / facts->params.dim;
}

static int64_t last_shown(const struct index_facts *facts, const struct old_index *old,
			  struct chroma_log_rows *log)
{
	cleanup_(vs_freep) bool *is_missing = vs_alloc_array(log->count + 1, sizeof(*is_missing));
	cleanup_(vs_freep) float *scratch =
		vs_alloc_array((size_t)2 * facts->params.dim + 1, sizeof(*scratch));
	int64_t last = log->row[0].seq_id - 1;
	size_t missing = 0;

	group_by_id(log);
	for (size_t i = 0; i < log->count; i++) {
		const struct chroma_log_row *row = &log->row[i];
		int r = old->is_pickle_whole ? shows(facts, old, row, scratch)
					     : shows_vector(facts, old, row, scratch);

		if (r >= 0) {
			missing -= is_missing[row->group];
			is_missing[row->group] = r == 0;
			missing += is_missing[row->group];
		}
		if (missing == 0)
			last = row->seq_id;
	}
	return last;
}

int chroma_index_position(int dirfd, const struct chroma_catalog *catalog,
			  const struct chroma_collection *c, struct chroma_log_rows *log,
			  int64_t *out, struct vs_err *err)
{
	cleanup_(old_index_fini) struct old_index old = { 0 };
	struct index_facts facts = {
		.dirfd = dirfd,
		.segment = catalog->segments[c->vector].id,
		.params = { .space = c->config.space,
			    .m = c->config.m,
			    .ef_construction = c->config.ef_construction,
			    .seed = 1 },
	};
	int r;

	*out = log->row[0].seq_id - 1;
	if (!c->has_dimension || c->dimension < 1 || c->dimension > HNSW_DIM_MAX ||
	    facts.segment[0] == '.' || facts.segment[0] == '\0' || strchr(facts.segment, '/'))
		return 0;
	facts.params.dim = (uint32_t)c->dimension;
	r = old_index_load(&facts, &old, err);
	if (r == VS_ENOMEM || r == VS_EIO)
		return r;
	if (r == 0 && old.index.count > 0 &&
	    (old.is_pickle_whole || can_compare(&facts, &old, log)))
		*out = last_shown(&facts, &old, log);
	return 0;
}
