/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All vectors of a Chroma collection: the index directory as of the segment's position in the
 * queue, then the rows above it as the server plays them (see chroma/vector.c, which does the same
 * for one record), then which of the ids have a record.
 */

#include "file/file.h"
#include "pickle/pickle.h"
#include "search/search-private.h"

#include <math.h>

/* More than a server keeps in memory, and enough for ten million ids. */
#define PICKLE_MAX ((uint64_t)1 << 30)
#define PICKLE "index_metadata.pickle"

void vectors_fini(struct vectors *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->row[i].values);
	for (size_t i = 0; i < v->kept_count; i++)
		vs_free_const(v->kept[i].ptr);
	free(v->kept);
	free(v->row);
	free(v->slot);
	free(v->of_element);
	buf_fini(&v->header);
	buf_fini(&v->level0);
	buf_fini(&v->links);
	buf_fini(&v->pickle);
	hnsw_index_fini(&v->index);
}

/* ---- rows by id ---- */

/* Ids come from outside: where the table lies in memory keeps them from being made to collide. */
static size_t slot_of(const struct vectors *v, struct slice id)
{
	uint64_t hash = (uint64_t)(uintptr_t)v->slot | 1;

	for (size_t i = 0; i < id.len; i++) {
		hash = (hash ^ id.ptr[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return (size_t)hash & (v->slot_count - 1);
}

size_t vectors_find(const struct vectors *v, struct slice id)
{
	if (v->slot_count == 0)
		return SIZE_MAX;
	for (size_t at = slot_of(v, id); v->slot[at] != 0; at = (at + 1) & (v->slot_count - 1))
		if (slice_eq(v->row[v->slot[at] - 1].id, id))
			return v->slot[at] - 1;
	return SIZE_MAX;
}

static void put_slot(struct vectors *v, size_t row)
{
	size_t at = slot_of(v, v->row[row].id);

	while (v->slot[at] != 0)
		at = (at + 1) & (v->slot_count - 1);
	v->slot[at] = (uint32_t)row + 1;
}

static int grow_slots(struct vectors *v, struct vs_err *err)
{
	size_t count = v->slot_count > 0 ? v->slot_count * 2 : 1024;
	uint32_t *slot;

	if (v->slot_count > 0 && v->count * 2 < v->slot_count)
		return 0;
	if (v->count > UINT32_MAX / 4)
		return vs_fail(err, VS_ELIMIT, "more ids than can be searched");
	slot = vs_try_alloc(count, sizeof(*slot));
	if (!slot)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu ids", v->count);
	free(v->slot);
	v->slot = slot;
	v->slot_count = count;
	for (size_t i = 0; i < v->count; i++)
		put_slot(v, i);
	return 0;
}

/* The row of @id, made where there is none; @id is borrowed for as long as @v. */
static int need_row(struct vectors *v, struct slice id, size_t *out, struct vs_err *err)
{
	size_t row = vectors_find(v, id);
	int r = 0;

	if (row == SIZE_MAX) {
		r = grow_slots(v, err);
		if (r < 0)
			return r;
		row = v->count;
		v->row = vs_grow(v->row, &v->cap, v->count + 1, sizeof(*v->row));
		v->row[v->count++] = (struct vector_row){ .id = id, .element = HNSW_NO_ELEMENT };
		put_slot(v, row);
	}
	*out = row;
	return 0;
}

/* ---- the index directory ---- */

static int on_entry(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct vectors *v = ctx;
	size_t row;
	int r;

	if (entry->map != PICKLE_ID_TO_LABEL)
		return 0;
	r = need_row(v, entry->id, &row, err);
	/* Until elements are known; no element has label 0, and labels fit the count of elements. */
	if (r == 0)
		v->row[row].element = entry->number > 0 && entry->number < UINT32_MAX
					      ? (uint32_t)entry->number
					      : HNSW_NO_ELEMENT;
	return r;
}

/* Returns 1 with v->why filled when the file cannot be read. */
static int read_part(struct vectors *v, int dirfd, const char *name, uint64_t max, struct buf *out,
		     struct vs_err *err)
{
	struct vs_err why = { 0 };
	enum file_type type;
	int r = file_read_head_at(dirfd, name, FILE_NO_FOLLOW, (size_t)max, out, &type, &why);

	if (r == VS_ENOMEM || r == VS_EIO)
		return vs_fail(err, (enum vs_status)r, "%s", why.text);
	if (r < 0)
		snprintf(v->why, sizeof(v->why), "%.190s", why.text);
	else if (r > 0)
		snprintf(v->why, sizeof(v->why), "%.60s: not a file", name);
	return r != 0;
}

static int load_pickle(struct vectors *v, int dirfd, struct vs_err *err)
{
	const struct pickle_sink sink = { .ctx = v, .entry = on_entry };
	struct pickle_fault fault;
	struct pickle_meta meta;
	struct file_info info;
	struct vs_err none = { 0 };
	int r = file_stat_at(dirfd, PICKLE, FILE_NO_FOLLOW, &info, &none);

	/* The files of an index that was never saved are there and mean nothing. */
	if (r == VS_ENOENT && !v->has_position)
		return 1;
	r = read_part(v, dirfd, PICKLE, PICKLE_MAX, &v->pickle, err);
	if (r != 0)
		return r;
	r = pickle_read(buf_slice(&v->pickle), &sink, &meta, &fault, err);
	if (r < 0)
		return r;
	if (!v->has_position && meta.max_seq_id.is_set) {
		v->has_position = true;
		v->position = meta.max_seq_id.value;
	}
	if (r == 0)
		snprintf(v->why, sizeof(v->why), PICKLE ": %.150s", fault.text);
	return r == 0;
}

/* The bytes that the links of so many elements can have: one in M has lists, and twice the room. */
static uint64_t links_wanted(const struct hnsw_index *x)
{
	uint64_t count = VS_MIN(x->header.count, (uint64_t)HNSW_ELEMENTS_MAX);

	return count * 4 +
	       (4 * (count / VS_MAX(x->header.max_m, 1u)) + count + 64) * (uint64_t)x->list_size;
}

static int open_index(struct vectors *v, struct vs_err *err)
{
	const struct hnsw_files files = { .file = {
						  [HNSW_HEADER] = buf_slice(&v->header),
						  [HNSW_LEVEL0] = buf_slice(&v->level0),
						  [HNSW_LINKS] = buf_slice(&v->links),
					  } };
	struct hnsw_fault fault;
	int r;

	hnsw_index_fini(&v->index);
	r = hnsw_open(&files, &v->index, &fault, err);
	if (r == 0)
		snprintf(v->why, sizeof(v->why), "%s: %.150s", hnsw_file_name(fault.file),
			 fault.text);
	return r < 0 ? r : r == 0;
}

static int load_elements(struct vectors *v, int dirfd, struct vs_err *err)
{
	uint64_t count;
	int r = read_part(v, dirfd, hnsw_file_name(HNSW_HEADER), HNSW_HEADER_LEN, &v->header, err);

	/* Opened without the others, for the sizes that bound what is read of them. */
	if (r == 0)
		r = open_index(v, err);
	if (r != 0)
		return r;
	count = VS_MIN(v->index.header.count, (uint64_t)HNSW_ELEMENTS_MAX);
	r = read_part(v, dirfd, hnsw_file_name(HNSW_LEVEL0), count * v->index.record_size,
		      &v->level0, err);
	if (r == 0)
		r = read_part(v, dirfd, hnsw_file_name(HNSW_LINKS), links_wanted(&v->index),
			      &v->links, err);
	if (r < 0)
		return r;
	/* Without lists every element is on level 0 only, and that is where the search ends. */
	r = open_index(v, err);
	if (r == 0 && v->index.count < v->index.header.count)
		snprintf(v->why, sizeof(v->why),
			 "data_level0.bin ends behind element %" PRIu32 " of %" PRIu64,
			 v->index.count, v->index.header.count);
	return r;
}

struct label {
	uint64_t label;
	uint32_t element;
};

static int by_label(const void *a_, const void *b_)
{
	const struct label *a = a_, *b = b_;

	if (a->label != b->label)
		return a->label < b->label ? -1 : 1;
	return a->element < b->element ? -1 : a->element > b->element;
}

static bool is_finite(const float *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(values[i]))
			return false;
	return true;
}

static void give_element(struct vectors *v, struct vector_row *row, const struct label *labels,
			 size_t count)
{
	const struct label wanted = { .label = row->element };
	const struct label *found = NULL;

	if (row->element != HNSW_NO_ELEMENT && count > 0) {
		/* Of two elements with the label either may be meant; the first is taken. */
		size_t low = 0, high = count;

		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (by_label(&labels[middle], &wanted) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < count && labels[low].label == wanted.label)
			found = &labels[low];
	}
	row->element = HNSW_NO_ELEMENT;
	if (!found)
		return;
	row->element = found->element;
	row->dimension = v->index.dim;
	row->has_vector = is_finite(hnsw_vector(&v->index, row->element), v->index.dim);
	row->is_not_finite = !row->has_vector;
	if (!row->has_vector)
		search_gap_add(v->gap, "the vector of %.100s has a value that is not finite",
			       (const char *)row->id.ptr);
	v->of_element[found->element] = (size_t)(row - v->row);
}

/* From the label that on_entry() left in each row to its element. */
static int join_elements(struct vectors *v, struct vs_err *err)
{
	cleanup_(vs_freep) struct label *labels = NULL;
	uint32_t elements = v->has_index ? v->index.count : 0;
	size_t count = 0;

	labels = vs_try_alloc((size_t)elements + 1, sizeof(*labels));
	v->of_element = vs_try_alloc((size_t)elements + 1, sizeof(*v->of_element));
	if (!labels || !v->of_element)
		return vs_fail(err, VS_ENOMEM, "no memory for %" PRIu32 " elements", elements);
	for (uint32_t id = 0; id < elements; id++) {
		v->of_element[id] = SIZE_MAX;
		if (!hnsw_is_deleted(&v->index, id))
			labels[count++] = (struct label){ hnsw_label(&v->index, id), id };
	}
	if (count > 0)
		qsort(labels, count, sizeof(*labels), by_label);
	for (size_t i = 0; i < v->count; i++)
		give_element(v, &v->row[i], labels, count);
	return 0;
}

static int load_index(struct vectors *v, int dirfd, const char *segment, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err why = { 0 };
	int r;

	/* The name comes from the database. */
	if (segment[0] == '\0' || segment[0] == '.' || strchr(segment, '/')) {
		snprintf(v->why, sizeof(v->why), "the segment has no id that can name a directory");
		return 0;
	}
	r = file_open_dir(dirfd, segment, FILE_NO_FOLLOW, &fd, &why);
	if (r < 0) {
		/* Nothing was taken in so far: it is made with the first save. */
		if (r != VS_ENOENT || v->has_position)
			snprintf(v->why, sizeof(v->why), "%.150s", why.text);
		return 0;
	}
	r = load_pickle(v, fd, err);
	if (r == 0 || (r > 0 && v->why[0] != '\0')) {
		r = load_elements(v, fd, err);
		v->has_index = r == 0;
	}
	return r < 0 ? r : join_elements(v, err);
}

/* ---- the queue ---- */

enum { OPERATION_ADD, OPERATION_UPDATE, OPERATION_UPSERT, OPERATION_DELETE };

/* "persistent://default/default/<collection id>" */
static bool is_topic_of(struct slice topic, const char *collection)
{
	size_t len = strlen(collection);

	return slice_ends_with(topic, collection) &&
	       (topic.len == len || topic.ptr[topic.len - len - 1] == '/');
}

static int need_kept_row(struct vectors *v, struct slice id, size_t *out, struct vs_err *err)
{
	*out = vectors_find(v, id);
	if (*out != SIZE_MAX)
		return 0;
	v->kept = vs_grow(v->kept, &v->kept_cap, v->kept_count + 1, sizeof(*v->kept));
	v->kept[v->kept_count++] = slice_of(vs_strndup(id), id.len);
	return need_row(v, v->kept[v->kept_count - 1], out, err);
}

static void take_queue_vector(struct vectors *v, struct vector_row *row,
			      const struct chroma_row *from)
{
	struct chroma_vector vector = { 0 };
	const char *fault =
		chroma_vector_decode(chroma_bytes(from, 4), chroma_bytes(from, 5), &vector);

	row->is_not_finite = !fault && !is_finite(vector.values, vector.dimension);
	if (row->is_not_finite)
		fault = "has a value that is not finite";
	free(row->values);
	row->values = NULL;
	row->has_vector = !fault;
	row->is_from_queue = true;
	row->is_deleted = false;
	row->is_unserved = v->has_position && chroma_int(from, 0) <= v->position;
	if (fault) {
		search_gap_add(v->gap, "the vector of row %" PRId64 " of the queue %s",
			       chroma_int(from, 0), fault);
		chroma_vector_fini(&vector);
		return;
	}
	row->values = vector.values;
	row->dimension = vector.dimension;
	if (v->space == HNSW_COSINE)
		hnsw_normalize(row->values, row->dimension, row->values);
}

/* seq_id, topic, operation, id, vector, encoding; rising */
static int on_queue_row(void *ctx, const struct chroma_row *from, struct vs_err *err)
{
	struct vectors *v = ctx;
	int64_t operation = chroma_int(from, 2);
	struct vector_row *row;
	size_t at;
	int r;

	if (!is_topic_of(chroma_bytes(from, 1), v->collection) || operation < OPERATION_ADD ||
	    operation > OPERATION_DELETE)
		return 0;
	r = need_kept_row(v, chroma_bytes(from, 3), &at, err);
	if (r < 0)
		return r;
	row = &v->row[at];
	/* What the index has is as of the position; only what it lacks may come from before. */
	if (row->element != HNSW_NO_ELEMENT && v->has_position &&
	    chroma_int(from, 0) <= v->position)
		return 0;
	if (operation == OPERATION_DELETE) {
		row->has_vector = false;
		row->is_not_finite = false;
		row->is_deleted = true;
	}
	if (chroma_type(from, 4) == CHROMA_BLOB &&
	    (operation == OPERATION_UPSERT ||
	     operation == (row->has_vector ? OPERATION_UPDATE : OPERATION_ADD)))
		take_queue_vector(v, row, from);
	return 0;
}

/* ---- records ---- */

static int on_record(void *ctx, const struct chroma_row *from, struct vs_err *err)
{
	struct vectors *v = ctx;
	size_t at = vectors_find(v, chroma_bytes(from, 0));

	(void)err;
	v->records++;
	if (at != SIZE_MAX)
		v->row[at].has_record = true;
	if (at == SIZE_MAX || (!v->row[at].has_vector && !v->row[at].is_deleted))
		search_gap_add(v->gap, "neither index nor queue has the vector of %.*s",
			       (int)VS_MIN(chroma_bytes(from, 0).len, (size_t)100),
			       chroma_bytes(from, 0).ptr);
	return 0;
}

/* ---- */

int vectors_load(struct vectors *v, struct chroma_db *db, int dirfd,
		 const struct chroma_catalog *catalog, const struct chroma_collection *c,
		 struct search_gap *gap, struct vs_err *err)
{
	const struct chroma_position *position = NULL;
	int r = 0;

	v->gap = gap;
	v->space = c->config.space;
	v->collection = c->id;
	if (c->vector == SIZE_MAX) {
		snprintf(v->why, sizeof(v->why), "the collection has no vector segment");
	} else {
		const char *segment = catalog->segments[c->vector].id;

		position = chroma_catalog_position(catalog, segment);
		v->has_position = position && position->is_readable;
		v->position = v->has_position ? position->seq_id : 0;
		r = load_index(v, dirfd, segment, err);
	}
	if (r == 0)
		r = chroma_query(db,
				 "SELECT seq_id, topic, operation, id, vector, encoding "
				 "FROM embeddings_queue ORDER BY seq_id",
				 NULL, on_queue_row, v, err);
	if (r == 0 && c->metadata != SIZE_MAX)
		r = chroma_query(db, "SELECT embedding_id FROM embeddings WHERE segment_id = ?",
				 catalog->segments[c->metadata].id, on_record, v, err);
	return r;
}

const float *vectors_values(const struct vectors *v, size_t row, uint32_t *dimension)
{
	*dimension = v->row[row].dimension;
	return v->row[row].is_from_queue ? v->row[row].values
					 : hnsw_vector(&v->index, v->row[row].element);
}

/* ---- for other rooms ---- */

int search_vectors_each(struct chroma_db *db, int dirfd, const struct chroma_catalog *catalog,
			const struct chroma_collection *c,
			void (*fn)(void *ctx, const struct search_vector *vector), void *ctx,
			struct vs_err *err)
{
	cleanup_(vectors_fini) struct vectors v = { 0 };
	struct search_gap gap = { 0 };
	int r;

	r = vectors_load(&v, db, dirfd, catalog, c, &gap, err);
	for (size_t i = 0; r == 0 && i < v.count; i++) {
		const struct vector_row *row = &v.row[i];
		struct search_vector out = { .id = row->id,
					     .dimension = row->dimension,
					     .is_not_finite = row->is_not_finite };

		if (row->has_vector)
			out.values = vectors_values(&v, i, &out.dimension);
		if (out.values || out.is_not_finite)
			fn(ctx, &out);
	}
	return r;
}
