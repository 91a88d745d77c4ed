/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Chroma: the exact answer over all vectors, the answer of the index, and the one held against the
 * other.
 */

#include "search/search-private.h"

#include <math.h>

/* Rows that a worker compares at a time. */
#define BLOCK ((size_t)1024)

struct searching {
	const struct search_request *req;
	struct search_result *out;
	const struct store *store;
	struct chroma_db *db;
	struct chroma_catalog catalog;
	const struct chroma_collection *collection;
	struct vectors vectors;
	const struct hnsw_kernels *kernels;
	float *query; /* owned; for cosine normalised */
	uint32_t dimension;
	float *distance;      /* owned; of each row; NaN: not compared */
	struct nearest exact; /* rows */
	struct nearest found; /* rows, by way of the index */
};

static void searching_fini(struct searching *s)
{
	nearest_fini(&s->exact);
	nearest_fini(&s->found);
	free(s->query);
	free(s->distance);
	vectors_fini(&s->vectors);
	chroma_catalog_fini(&s->catalog);
	chroma_db_closep(&s->db);
}

/* ---- the collection ---- */

static int no_collection(struct searching *s, struct vs_err *err)
{
	cleanup_(alike_fini) struct alike alike = { .wanted = s->req->collection };

	assert(s->catalog.collections || s->catalog.collection_count == 0);
	for (size_t i = 0; i < s->catalog.collection_count; i++)
		alike_try(&alike, s->catalog.collections[i].name);
	return alike_fail(&alike, s->store, err);
}

static int find_collection(struct searching *s, struct vs_err *err)
{
	int r = chroma_catalog_find_named(&s->catalog, s->req->collection, &s->collection, err);

	if (r < 0)
		return vs_err_in(err, "%s", s->store->path);
	return r > 0 ? 0 : no_collection(s, err);
}

/* ---- the query ---- */

static void take_query(struct searching *s, const float *values, size_t count)
{
	s->dimension = (uint32_t)count;
	s->query = vs_alloc_array(count, sizeof(*s->query));
	memcpy(s->query, values, count * sizeof(*s->query));
	if (s->collection->config.space == HNSW_COSINE)
		hnsw_normalize(values, count, s->query);
}

/* What all vectors of the collection should have; 0: there were none so far. */
static uint32_t dimension_of(const struct searching *s)
{
	const struct chroma_collection *c = s->collection;

	if (c->has_dimension && c->dimension > 0 && c->dimension <= HNSW_DIM_MAX)
		return (uint32_t)c->dimension;
	return s->vectors.has_index ? s->vectors.index.dim : 0;
}

static int use_query(struct searching *s, struct vs_err *err)
{
	uint32_t dimension = dimension_of(s);

	if (dimension > 0 && s->req->dimension != dimension)
		return vs_fail(
			err, VS_EUSAGE,
			"the vector has %zu values, and those of collection %s have %" PRIu32,
			s->req->dimension, s->req->collection, dimension);
	take_query(s, s->req->vector, s->req->dimension);
	return 0;
}

static int take_row(void *ctx, const struct chroma_record *record, struct vs_err *err)
{
	(void)err;
	*(int64_t *)ctx = record->row;
	return 1;
}

/* 1: there is such a record, and *@out is the number of its row. */
static int find_record(struct searching *s, const char *id, int64_t *out, struct vs_err *err)
{
	if (s->collection->metadata == SIZE_MAX)
		return 0;
	return chroma_record_find(s->db, s->catalog.segments[s->collection->metadata].id, id,
				  take_row, out, err);
}

static int find_query(struct searching *s, struct vs_err *err)
{
	size_t row = vectors_find(&s->vectors, slice_str(s->req->id));
	uint32_t dimension;
	const float *values;
	int64_t number;
	int r;

	if (row == SIZE_MAX || !s->vectors.row[row].has_vector) {
		r = find_record(s, s->req->id, &number, err);
		if (r > 0)
			return vs_fail(err, VS_EFORMAT,
				       "%s: neither index nor queue has the vector of %s; vsctl "
				       "verify says why",
				       s->store->path, s->req->id);
		return r < 0 ? r
			     : vs_fail(err, VS_EUSAGE,
				       "%s: no record %s in collection %s; vsctl inspect lists them",
				       s->store->path, s->req->id, s->req->collection);
	}
	values = vectors_values(&s->vectors, row, &dimension);
	take_query(s, values, dimension);
	if (dimension != dimension_of(s))
		search_gap_add(&s->out->gaps[SEARCH_GAP_INDEX],
			       "the vector has %" PRIu32
			       " values, and the collection is said to have %" PRIu32,
			       dimension, dimension_of(s));
	return 0;
}

/* ---- the exact answer ---- */

static float distance_of(const struct searching *s, size_t row)
{
	uint32_t dimension;
	const float *values = vectors_values(&s->vectors, row, &dimension);

	if (dimension != s->dimension)
		return NAN;
	return hnsw_distance(s->kernels, s->collection->config.space, s->query, values, dimension);
}

static void compare_block(void *ctx, unsigned worker, size_t block)
{
	struct searching *s = ctx;
	size_t end = VS_MIN((block + 1) * BLOCK, s->vectors.count);

	(void)worker;
	for (size_t i = block * BLOCK; i < end; i++)
		s->distance[i] = s->vectors.row[i].has_vector ? distance_of(s, i) : NAN;
}

static int by_id(const void *ctx, size_t a, size_t b)
{
	const struct vectors *v = ctx;

	return slice_cmp(v->row[a].id, v->row[b].id);
}

static int compare_all(struct searching *s, struct vs_err *err)
{
	const struct vectors *v = &s->vectors;
	struct search_gap *gap = &s->out->gaps[SEARCH_GAP_VECTOR];

	s->distance = vs_try_alloc(v->count + 1, sizeof(*s->distance));
	if (!s->distance)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu distances", v->count);
	pool_run(s->req->pool, (v->count + BLOCK - 1) / BLOCK, compare_block, s);
	for (size_t i = 0; i < v->count; i++) {
		if (v->row[i].has_vector && isnan(s->distance[i]))
			search_gap_add(gap, "the vector of %.*s has %" PRIu32 " values",
				       (int)VS_MIN(v->row[i].id.len, (size_t)100), v->row[i].id.ptr,
				       v->row[i].dimension);
		if (isnan(s->distance[i]))
			continue;
		s->out->compared++;
		nearest_offer(&s->exact, s->distance[i], i);
		if (!v->row[i].is_from_queue && !v->row[i].has_record)
			search_gap_add(&s->out->gaps[SEARCH_GAP_RECORD],
				       "the index has %.*s, and the database has not",
				       (int)VS_MIN(v->row[i].id.len, (size_t)100),
				       v->row[i].id.ptr);
	}
	return 0;
}

/* ---- the answer of the index ---- */

/* Elements that rows of the queue have replaced or deleted; the graph still leads to them. */
static size_t count_replaced(const struct vectors *v)
{
	size_t count = 0;

	for (size_t i = 0; i < v->count; i++)
		count += v->row[i].element != HNSW_NO_ELEMENT &&
			 (v->row[i].is_from_queue || v->row[i].is_deleted);
	return count;
}

static int ask_graph(struct searching *s, struct vs_err *err)
{
	struct vectors *v = &s->vectors;
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *searcher = NULL;
	cleanup_(vs_freep) struct hnsw_hit *hits = NULL;
	size_t k = VS_MIN(s->req->nearest + count_replaced(v), (size_t)v->index.count);
	size_t count;
	int r = hnsw_searcher_new(&v->index, s->collection->config.space, &searcher, err);

	if (r < 0)
		return r;
	hits = vs_try_alloc(k + 1, sizeof(*hits));
	if (!hits)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu neighbours", k);
	count = hnsw_search(searcher, s->query, k, (size_t)s->out->ef, hits);
	for (size_t i = 0; i < count; i++) {
		size_t row = v->of_element[hits[i].id];

		if (row != SIZE_MAX && v->row[row].has_vector && !v->row[row].is_from_queue)
			nearest_offer(&s->found, hits[i].distance, row);
	}
	return 0;
}

static void hold_against(struct searching *s)
{
	struct search_result *out = s->out;
	size_t right = 0;

	/* What is as near as the farthest exact one counts, whichever of equals it is. */
	for (size_t i = 0; i < s->found.count; i++)
		right += s->exact.count > 0 &&
			 s->found.row[i].key <= s->exact.row[s->exact.count - 1].key;
	out->found = s->found.count;
	out->recall = s->exact.count > 0 ? (double)right / (double)s->exact.count : 1;
}

static int ask_index(struct searching *s, struct vs_err *err)
{
	struct vectors *v = &s->vectors;
	struct search_gap *gap = &s->out->gaps[SEARCH_GAP_INDEX];
	int r = 0;

	if (v->why[0] != '\0')
		search_gap_add(gap, "%s", v->why);
	if (s->req->is_exact)
		return 0;
	s->out->asked_index = true;
	s->out->ef = VS_MAX((uint64_t)s->collection->config.ef_search, (uint64_t)s->req->nearest);
	if (v->has_index && v->index.count > 0 && v->index.dim == s->dimension)
		r = ask_graph(s, err);
	if (r == 0 && v->has_index && v->index.count > 0 && v->index.header.entry >= v->index.count)
		search_gap_add(gap,
			       "header.bin: the search begins at element %" PRIu32
			       ", and there are %" PRIu32,
			       v->index.header.entry, v->index.count);
	for (size_t i = 0; i < v->count; i++)
		if (v->row[i].is_from_queue && !v->row[i].is_unserved && !isnan(s->distance[i]))
			nearest_offer(&s->found, s->distance[i], i);
	hold_against(s);
	return r;
}

/* ---- the hits ---- */

static int take_text(void *ctx, const struct chroma_value *value, struct vs_err *err)
{
	struct search_hit *hit = ctx;

	(void)err;
	if (!slice_eq_str(value->key, "chroma:document") || value->is_element ||
	    value->type != CHROMA_TEXT)
		return 0;
	hit->has_text = true;
	hit->text_len = value->text.len;
	buf_append(&hit->text, value->text.ptr, VS_MIN(value->text.len, (size_t)SEARCH_TEXT_MAX));
	return 0;
}

static int add_text(struct searching *s, struct search_hit *hit, struct vs_err *err)
{
	int64_t row = 0;
	int r = find_record(s, (const char *)hit->id.ptr, &row, err);

	if (r <= 0)
		return r;
	return chroma_record_values(s->db, row, take_text, hit, err);
}

static int add_hits(struct searching *s, struct vs_err *err)
{
	int r = 0;

	s->out->hits = vs_alloc_array(VS_MAX(s->exact.count, (size_t)1), sizeof(*s->out->hits));
	for (size_t i = 0; r == 0 && i < s->exact.count; i++) {
		const struct vector_row *row = &s->vectors.row[s->exact.row[i].row];
		struct search_hit *hit = &s->out->hits[s->out->count++];

		hit->id = slice_of(vs_strndup(row->id), row->id.len);
		hit->score = s->exact.row[i].key;
		hit->source = row->is_from_queue ? SEARCH_FROM_QUEUE : SEARCH_FROM_INDEX;
		for (size_t j = 0; j < s->found.count && hit->index_rank == 0; j++)
			if (s->found.row[j].row == s->exact.row[i].row)
				hit->index_rank = j + 1;
		r = add_text(s, hit, err);
	}
	return r;
}

/* What was read while somebody wrote may be of two states. */
static int check_unchanged(struct searching *s, struct vs_err *err)
{
	bool has_changed = false;
	int r = chroma_db_has_changed(s->db, &has_changed, err);

	if (r == 0 && has_changed)
		return vs_fail(err, VS_EBUSY,
			       "%s: was written while it was searched; search it again, or a "
			       "snapshot of it",
			       CHROMA_DATABASE);
	return r;
}

static int search_open(struct searching *s, struct vs_err *err)
{
	const struct chroma_collection *c;
	int r = find_collection(s, err);

	if (r < 0)
		return r;
	c = s->collection;
	s->out->collection = vs_strdup(c->id);
	s->out->name = slice_of(vs_strndup(c->name), c->name.len);
	s->out->space = hnsw_space_name(c->config.space);
	if (!c->config.is_readable)
		search_gap_add(&s->out->gaps[SEARCH_GAP_INDEX],
			       "the configuration (%s) cannot be read: %s is a guess",
			       c->config.what, s->out->space);
	r = vectors_load(&s->vectors, s->db, s->store->dirfd, &s->catalog, c,
			 &s->out->gaps[SEARCH_GAP_VECTOR], err);
	if (r == 0)
		r = s->req->id ? find_query(s, err) : use_query(s, err);
	if (r < 0)
		return r;
	s->out->dimension = s->dimension;
	nearest_init(&s->exact, s->req->nearest, by_id, &s->vectors);
	nearest_init(&s->found, s->req->nearest, by_id, &s->vectors);
	r = compare_all(s, err);
	if (r == 0)
		r = ask_index(s, err);
	if (r == 0)
		r = add_hits(s, err);
	return r < 0 ? r : check_unchanged(s, err);
}

int search_chroma(const struct store *store, const struct search_request *req,
		  struct search_result *out, struct vs_err *err)
{
	cleanup_(searching_fini) struct searching s = { .req = req, .out = out, .store = store };
	int r = chroma_db_open(&s.db, store->dirfd, req->scratch, err);

	s.kernels = hnsw_kernels_best();
	if (r == 0)
		r = chroma_catalog_load(&s.catalog, s.db, err);
	if (r < 0)
		return vs_err_in(err, "%s", store->path);
	return search_open(&s, err);
}
