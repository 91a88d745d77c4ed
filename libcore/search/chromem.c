/* SPDX-License-Identifier: Apache-2.0 */

/*
 * chromem: every document of a collection against the query, once. What is remembered of a document
 * is where it is, 8 bytes of the digest of its id and its similarity; the few nearest are read
 * again for their id and text.
 */

#include "chromem/chromem.h"
#include "hnsw/hnsw.h"
#include "search/search-private.h"

#include <math.h>

/* A document that was compared. */
struct scored {
	uint64_t id;  /* first bytes of the digest */
	size_t index; /* in the listing: of two with one id the library keeps the last */
	float similarity;
	uint32_t dimension;
	bool is_readable;
};

struct chunk {
	struct scored *row; /* owned */
	size_t count, cap;
	char fault[192]; /* the first document that cannot be read; "" */
};

struct searching {
	const struct search_request *req;
	struct search_result *out;
	const struct store *store;
	const struct hnsw_kernels *kernels;
	struct chromem_reader *reader;
	enum chromem_compression compression;
	char *dir; /* owned */
	int dirfd;
	float *query; /* owned; normalised */
	size_t dimension;
	struct scored *row; /* owned */
	size_t count, cap;
};

static void searching_fini(struct searching *s)
{
	chromem_reader_freep(&s->reader);
	file_closep(&s->dirfd);
	free(s->dir);
	free(s->query);
	free(s->row);
}

/* ---- the collection ---- */

static int try_name(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	(void)err;
	alike_try(ctx, c->meta ? c->meta->name : slice_str(c->dir));
	return 0;
}

static int no_collection(struct searching *s, struct vs_err *err)
{
	cleanup_(alike_fini) struct alike alike = { .wanted = s->req->collection };
	const struct chromem_scan_request scan = { .compression = s->compression,
						   .pool = s->req->pool };
	const struct chromem_visitor visitor = { .ctx = &alike, .collection_begin = try_name };
	int r = chromem_scan(s->store->dirfd, &scan, &visitor, err);

	return r < 0 ? r : alike_fail(&alike, s->store, err);
}

static int open_collection(struct searching *s, struct vs_err *err)
{
	struct chromem_form form = { 0 };
	int r = chromem_detect_form(s->store->dirfd, &form, err);

	if (r < 0)
		return r;
	s->compression = form.compression;
	r = chromem_find_collection(s->store->dirfd, s->compression, s->req->collection,
				    s->req->pool, &s->dir, err);
	if (r == VS_ENOENT)
		return no_collection(s, err);
	if (r < 0)
		return r;
	s->out->collection = vs_strdup(s->dir);
	return file_open_dir(s->store->dirfd, s->dir, FILE_NO_FOLLOW, &s->dirfd, err);
}

/* ---- the query ---- */

/* Normalised as the library does it; a vector of zeros has no direction. */
static int take_query(struct searching *s, const float *values, size_t count, struct vs_err *err)
{
	double norm = hnsw_norm(values, count);

	if (!isfinite(norm) || norm == 0)
		return vs_fail(err, VS_EUSAGE,
			       "the vector has the length %g, and so no direction: nothing is "
			       "nearer to it than anything else",
			       norm);
	s->query = vs_alloc_array(count, sizeof(*s->query));
	s->dimension = count;
	for (size_t i = 0; i < count; i++)
		s->query[i] = (float)((double)values[i] / norm);
	return 0;
}

static int try_document(struct searching *s, const char *name, bool *found, struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct file_info info;
	int r = file_stat_at(s->dirfd, name, FILE_FOLLOW, &info, err);

	*found = false;
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		r = chromem_reader_doc(s->reader, s->dirfd, name, &doc, &fault, err);
	if (r != 0 || !slice_eq_str(doc.id, s->req->id))
		return r < 0 ? r : 0;
	*found = true;
	if (doc.dimension == 0)
		return vs_fail(err, VS_EUSAGE, "%s/%s: the document %s has no vector", s->dir, name,
			       s->req->id);
	r = take_query(s, doc.embedding, doc.dimension, err);
	return r < 0 ? vs_err_in(err, "%s/%s", s->dir, name) : 0;
}

/* Where the library puts it; else wherever it is. */
static int find_document(struct searching *s, struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	char name[CHROMEM_ID_LEN + 16];
	char hash[CHROMEM_ID_LEN + 1];
	bool found = false;
	int r;

	chromem_hash_format(chromem_hash(slice_str(s->req->id)), hash);
	snprintf(name, sizeof(name), "%s%s", hash, chromem_extension(s->compression));
	r = try_document(s, name, &found, err);
	if (r < 0 || found)
		return r;
	r = chromem_list_load(&list, s->dirfd, NULL, s->compression, err);
	for (size_t i = r < 0 ? 0 : chromem_list_count(list); r == 0 && !found && i-- > 0;) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (entry.entry_class == CHROMEM_ENTRY_DOCUMENT)
			r = try_document(s, entry.name, &found, err);
	}
	if (r == 0 && !found)
		r = vs_fail(err, VS_EUSAGE,
			    "%s: no document %s in collection %s; vsctl inspect lists them",
			    s->store->path, s->req->id, s->req->collection);
	return r;
}

/* ---- comparing ---- */

static int begin(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct searching *s = ctx;

	(void)err;
	if (c->meta)
		s->out->name = slice_of(vs_strndup(c->meta->name), c->meta->name.len);
	return 0;
}

static void *chunk_new(void *ctx, const struct chromem_collection *c)
{
	(void)ctx;
	(void)c;
	return vs_alloc(sizeof(struct chunk));
}

static void chunk_freep(struct chunk **c)
{
	if (*c)
		free((*c)->row);
	free(*c);
}

static uint64_t short_digest(struct slice id)
{
	struct digest d;

	digest_of(id, &d);
	return load_le64(d.bytes);
}

static void compare(void *ctx, unsigned worker, void *chunk_, const struct chromem_collection *c,
		    size_t index, const struct chromem_entry *entry, const struct chromem_doc *doc,
		    const struct chromem_fault *fault, uint64_t file_size)
{
	const struct searching *s = ctx;
	struct chunk *chunk = chunk_;
	struct scored row = { .index = index, .is_readable = doc != NULL };

	(void)worker;
	(void)file_size;
	if (doc) {
		row.id = short_digest(doc->id);
		row.dimension = (uint32_t)doc->dimension;
		row.similarity = NAN;
		if (doc->dimension == s->dimension)
			row.similarity = s->kernels->dot(doc->embedding, s->query, s->dimension);
	} else if (chunk->fault[0] == '\0') {
		snprintf(chunk->fault, sizeof(chunk->fault), "%s/%.60s: %.100s", c->dir,
			 entry->name, fault->detail);
	}
	chunk->row = vs_grow(chunk->row, &chunk->cap, chunk->count + 1, sizeof(*chunk->row));
	chunk->row[chunk->count++] = row;
}

static int chunk_end(void *ctx, const struct chromem_collection *c, void *chunk_,
		     struct vs_err *err)
{
	struct searching *s = ctx;
	cleanup_(chunk_freep) struct chunk *chunk = chunk_;

	(void)c;
	(void)err;
	for (size_t i = 0; i < chunk->count; i++) {
		if (!chunk->row[i].is_readable) {
			search_gap_add(&s->out->gaps[SEARCH_GAP_UNREADABLE], "%s", chunk->fault);
			continue;
		}
		s->row = vs_grow(s->row, &s->cap, s->count + 1, sizeof(*s->row));
		s->row[s->count++] = chunk->row[i];
	}
	return 0;
}

static int by_id(const void *a_, const void *b_)
{
	const struct scored *a = a_, *b = b_;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static int by_index(const void *ctx, size_t a, size_t b)
{
	const struct searching *s = ctx;

	return s->row[a].index < s->row[b].index ? -1 : 1;
}

/* ---- the nearest ---- */

static int add_hit(struct searching *s, const struct chromem_list *list, const struct scored *row,
		   struct vs_err *err)
{
	struct search_hit *hit = &s->out->hits[s->out->count];
	struct chromem_fault fault = { 0 };
	struct chromem_entry entry = { 0 };
	struct chromem_doc doc;
	char scratch[32];
	int r = 1;

	if (row->index < chromem_list_count(list)) {
		chromem_list_at(list, row->index, scratch, &entry);
		r = chromem_reader_doc(s->reader, s->dirfd, entry.name, &doc, &fault, err);
	}
	if (r < 0)
		return r;
	if (r > 0 || short_digest(doc.id) != row->id)
		return vs_fail(err, VS_EBUSY,
			       "%s: was written while it was searched; search it again, or a "
			       "snapshot of it",
			       s->dir);
	hit->id = slice_of(vs_strndup(doc.id), doc.id.len);
	hit->score = row->similarity;
	hit->has_text = true;
	hit->text_len = doc.content.len;
	buf_append(&hit->text, doc.content.ptr, VS_MIN(doc.content.len, (size_t)SEARCH_TEXT_MAX));
	s->out->count++;
	return 0;
}

/* A vector of another dimension ends each query of the library. */
static void count_row(struct searching *s, const struct scored *row, struct nearest *nearest)
{
	struct search_gap *gap = &s->out->gaps[SEARCH_GAP_VECTOR];

	if (row->dimension != s->dimension)
		search_gap_add(gap,
			       "one has %" PRIu32 " values and not %zu: the library refuses "
			       "every query of the collection",
			       row->dimension, s->dimension);
	else if (isnan(row->similarity))
		search_gap_add(gap, "one has values that are not numbers");
	else
		nearest_offer(nearest, -row->similarity, (size_t)(row - s->row));
	s->out->compared += row->dimension == s->dimension && !isnan(row->similarity);
}

/* Does any document have the dimension of the query? Else the query is wrong, not the store. */
static int check_dimension(const struct searching *s, struct vs_err *err)
{
	uint32_t other = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (s->row[i].dimension == s->dimension)
			return 0;
		other = VS_MAX(other, s->row[i].dimension);
	}
	if (other == 0)
		return 0;
	return vs_fail(err, VS_EUSAGE,
		       "the vector has %zu values, and those of collection %s have %" PRIu32,
		       s->dimension, s->req->collection, other);
}

static int choose(struct searching *s, struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	cleanup_(nearest_fini) struct nearest nearest = { 0 };
	int r = check_dimension(s, err);

	if (r == 0)
		r = chromem_list_load(&list, s->dirfd, NULL, s->compression, err);
	if (r < 0)
		return r;
	if (s->count > 0)
		qsort(s->row, s->count, sizeof(*s->row), by_id);
	nearest_init(&nearest, s->req->nearest, by_index, s);
	for (size_t i = 0; i < s->count; i++)
		if (i + 1 == s->count || s->row[i].id != s->row[i + 1].id)
			count_row(s, &s->row[i], &nearest);
	s->out->hits = vs_alloc_array(VS_MAX(nearest.count, (size_t)1), sizeof(*s->out->hits));
	for (size_t i = 0; r == 0 && i < nearest.count; i++)
		r = add_hit(s, list, &s->row[nearest.row[i].row], err);
	return r;
}

int search_chromem(const struct store *store, const struct search_request *req,
		   struct search_result *out, struct vs_err *err)
{
	cleanup_(searching_fini) struct searching s = {
		.req = req, .out = out, .store = store, .dirfd = -1
	};
	const struct chromem_visitor visitor = { .ctx = &s,
						 .collection_begin = begin,
						 .chunk_new = chunk_new,
						 .document = compare,
						 .chunk_end = chunk_end };
	struct chromem_scan_request scan = { .decode = true, .pool = req->pool };
	int r;

	s.kernels = hnsw_kernels_best();
	s.reader = chromem_reader_new();
	out->is_similarity = true;
	out->space = hnsw_space_name(HNSW_COSINE);
	r = open_collection(&s, err);
	if (r == 0)
		r = req->id ? find_document(&s, err)
			    : take_query(&s, req->vector, req->dimension, err);
	if (r < 0)
		return r;
	out->dimension = (uint32_t)s.dimension;
	scan.compression = s.compression;
	scan.only = s.dir;
	r = chromem_scan(store->dirfd, &scan, &visitor, err);
	return r < 0 ? r : choose(&s, err);
}
