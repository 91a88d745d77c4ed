/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Digests of records, to tell two states of a collection apart. A record's covers what a client
 * sees of it in the database: keys, types, values, the document and lists among them. Numbers of
 * rows, which may be others in a copy, are not in it. The vector is not either; the record's
 * number in the queue changes with every operation, one on the vector included, and stands
 * beside the digest.
 *
 *	record: for each value in order of key: key {8 length, bytes}, column and type {8},
 *		value {8 length, bytes}; numbers as text of 17 digits at most;
 *		-1 {8} behind a document of which the full-text index has another copy
 *	collection: for each record in byte order of the ids: id {8 length, bytes}, number {8},
 *		digest {32}
 */

#include "chroma/chroma.h"

/* A digest that is fed many small pieces: they are gathered, since each call costs more than its
 * bytes. */
struct feed {
	struct digest_ctx *ctx;
	struct buf bytes;
};

#define FEED_MAX ((size_t)1 << 16)

static void feed_fini(struct feed *f)
{
	digest_ctx_freep(&f->ctx);
	buf_fini(&f->bytes);
}

static void feed_begin(struct feed *f)
{
	if (!f->ctx)
		f->ctx = digest_ctx_new();
	digest_ctx_reset(f->ctx);
	buf_clear(&f->bytes);
}

static void feed_add(struct feed *f, const void *ptr, size_t len)
{
	buf_append(&f->bytes, ptr, len);
	if (f->bytes.len < FEED_MAX)
		return;
	digest_ctx_add(f->ctx, f->bytes.ptr, f->bytes.len);
	buf_clear(&f->bytes);
}

/* As digest_ctx_add_u64() does. */
static void feed_u64(struct feed *f, uint64_t value)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(value >> (8 * i));
	feed_add(f, bytes, sizeof(bytes));
}

static void feed_slice(struct feed *f, struct slice bytes)
{
	feed_u64(f, bytes.len);
	feed_add(f, bytes.ptr, bytes.len);
}

static void feed_end(struct feed *f, struct digest *out)
{
	digest_ctx_add(f->ctx, f->bytes.ptr, f->bytes.len);
	buf_clear(&f->bytes);
	digest_ctx_final(f->ctx, out);
}

/* The lists of one record, in sum. */
struct list_sum {
	char *id;
	size_t id_len;
	struct digest digest;
};

struct lists {
	struct list_sum *sums; /* in byte order of the ids; owned */
	size_t count, cap;
	struct feed feed;
	struct buf id; /* whose lists are being read */
	bool has_any;
};

static void lists_fini(struct lists *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->sums[i].id);
	free(l->sums);
	feed_fini(&l->feed);
	buf_fini(&l->id);
}

/* key, string_value, int_value, float_value, bool_value from column @first on. */
static void add_value(struct feed *f, const struct chroma_row *row, int first)
{
	feed_slice(f, chroma_bytes(row, first));
	for (int column = first + 1; column <= first + 4; column++) {
		enum chroma_type type = chroma_type(row, column);

		if (type == CHROMA_NULL)
			continue;
		feed_u64(f, (uint64_t)(column - first) << 8 | (uint64_t)type);
		if (type == CHROMA_FLOAT) {
			char text[40];

			snprintf(text, sizeof(text), "%.17g", chroma_double(row, column));
			feed_slice(f, slice_str(text));
		} else {
			feed_slice(f, chroma_bytes(row, column));
		}
	}
}

/* ---- lists ---- */

static void end_list(struct lists *l)
{
	struct list_sum *sum;

	if (!l->has_any)
		return;
	l->sums = vs_grow(l->sums, &l->cap, l->count + 1, sizeof(*l->sums));
	sum = &l->sums[l->count++];
	*sum = (struct list_sum){ vs_strndup(buf_slice(&l->id)), l->id.len, { { 0 } } };
	feed_end(&l->feed, &sum->digest);
	l->has_any = false;
}

static int on_element(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct lists *l = ctx;
	struct slice id = chroma_bytes(row, 0);

	(void)err;
	if (l->has_any && !slice_eq(id, buf_slice(&l->id)))
		end_list(l);
	if (!l->has_any) {
		feed_begin(&l->feed);
		buf_clear(&l->id);
		buf_append(&l->id, id.ptr, id.len);
		l->has_any = true;
	}
	add_value(&l->feed, row, 1);
	return 0;
}

static int load_lists(struct lists *l, struct chroma_db *db, const char *segment,
		      struct vs_err *err)
{
	int r;

	r = chroma_query(db,
			 "SELECT e.embedding_id, a.key, a.string_value, a.int_value, "
			 "a.float_value, a.bool_value "
			 "FROM embeddings e JOIN embedding_metadata_array a ON a.id = e.id "
			 "WHERE e.segment_id = ? ORDER BY e.embedding_id, a.key, a.rowid",
			 segment, on_element, l, err);
	if (r == VS_ENOTSUP) /* older than lists */
		r = 0;
	end_list(l);
	return r;
}

/* ---- records ---- */

struct summing {
	struct lists lists;
	size_t next_list;
	struct feed feed;
	struct buf id, created;
	bool has_record, has_seq;
	int64_t seq_id;
	chroma_sum_fn *fn;
	void *fn_ctx;
};

static void summing_fini(struct summing *s)
{
	lists_fini(&s->lists);
	feed_fini(&s->feed);
	buf_fini(&s->id);
	buf_fini(&s->created);
}

static int end_record(struct summing *s, struct vs_err *err)
{
	struct chroma_sum sum = { .has_seq = s->has_seq, .seq_id = s->seq_id };
	const struct lists *l = &s->lists;

	if (!s->has_record)
		return 0;
	s->has_record = false;
	sum.id = buf_slice(&s->id);
	sum.created = buf_slice(&s->created);
	while (s->next_list < l->count &&
	       slice_cmp(slice_of(l->sums[s->next_list].id, l->sums[s->next_list].id_len), sum.id) <
		       0)
		s->next_list++;
	if (s->next_list < l->count &&
	    slice_eq(slice_of(l->sums[s->next_list].id, l->sums[s->next_list].id_len), sum.id))
		feed_add(&s->feed, l->sums[s->next_list].digest.bytes, DIGEST_LEN);
	feed_end(&s->feed, &sum.digest);
	return s->fn(s->fn_ctx, &sum, err);
}

/* embedding_id, seq_id, then the columns of a value, whose key is NULL where it has none. */
static int on_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct summing *s = ctx;
	struct slice id = chroma_bytes(row, 0);
	struct slice created = chroma_bytes(row, 8);
	int r = 0;

	if (s->has_record && !slice_eq(id, buf_slice(&s->id)))
		r = end_record(s, err);
	if (r != 0)
		return r;
	if (!s->has_record) {
		feed_begin(&s->feed);
		buf_clear(&s->id);
		buf_append(&s->id, id.ptr, id.len);
		buf_clear(&s->created);
		buf_append(&s->created, created.ptr, created.len);
		s->has_record = true;
		s->seq_id = 0;
		s->has_seq = chroma_seq(row, 1, &s->seq_id);
	}
	if (chroma_type(row, 2) != CHROMA_NULL)
		add_value(&s->feed, row, 2);
	/* A document that searching does not find is another one to a client. */
	if (chroma_type(row, 7) != CHROMA_NULL && chroma_int(row, 7) == 0)
		feed_u64(&s->feed, UINT64_MAX);
	return 0;
}

/* Has the full-text index the same copy of a document? Asked for documents only: a join would look
 * for one of every value. */
#define IS_FOUND                                                                                   \
	"CASE m.key WHEN 'chroma:document' THEN (SELECT f.c0 FROM "                                \
	"embedding_fulltext_search_content f WHERE f.id = e.id) IS m.string_value END"

int chroma_sums_each(struct chroma_db *db, const char *segment, chroma_sum_fn *fn, void *ctx,
		     struct vs_err *err)
{
	/* The newest shape first: truth values came with 0.4.4. */
	static const char *const shapes[] = {
		"SELECT e.embedding_id, e.seq_id, m.key, m.string_value, m.int_value, "
		"m.float_value, m.bool_value, " IS_FOUND ", e.created_at "
		"FROM embeddings e LEFT JOIN embedding_metadata m ON m.id = e.id "
		"WHERE e.segment_id = ? ORDER BY e.embedding_id, m.key",
		"SELECT e.embedding_id, e.seq_id, m.key, m.string_value, m.int_value, "
		"m.float_value, NULL, " IS_FOUND ", e.created_at "
		"FROM embeddings e LEFT JOIN embedding_metadata m ON m.id = e.id "
		"WHERE e.segment_id = ? ORDER BY e.embedding_id, m.key",
	};
	cleanup_(summing_fini) struct summing s = { .fn = fn, .fn_ctx = ctx };
	int r = load_lists(&s.lists, db, segment, err);

	if (r < 0)
		return r;
	r = VS_ENOTSUP;
	for (size_t i = 0; r == VS_ENOTSUP && i < VS_COUNT(shapes); i++)
		r = chroma_query(db, shapes[i], segment, on_row, &s, err);
	return r == 0 ? end_record(&s, err) : r;
}

/* ---- a whole collection ---- */

static void add_slice(struct digest_ctx *ctx, struct slice bytes)
{
	digest_ctx_add_u64(ctx, bytes.len);
	digest_ctx_add(ctx, bytes.ptr, bytes.len);
}

struct whole {
	struct digest_ctx *ctx;
	uint64_t count;
};

void chroma_sum_add(struct digest_ctx *ctx, const struct chroma_sum *sum)
{
	add_slice(ctx, sum->id);
	digest_ctx_add_u64(ctx, sum->has_seq ? (uint64_t)sum->seq_id : UINT64_MAX);
	digest_ctx_add(ctx, sum->digest.bytes, DIGEST_LEN);
}

static int add_sum(void *ctx, const struct chroma_sum *sum, struct vs_err *err)
{
	struct whole *w = ctx;

	(void)err;
	chroma_sum_add(w->ctx, sum);
	w->count++;
	return 0;
}

int chroma_collection_sum(struct chroma_db *db, const struct chroma_catalog *catalog,
			  const struct chroma_collection *c, uint64_t *records, struct digest *out,
			  struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct whole w = { .ctx = ctx };
	int r = 0;

	digest_ctx_reset(ctx);
	if (c->metadata != SIZE_MAX)
		r = chroma_sums_each(db, catalog->segments[c->metadata].id, add_sum, &w, err);
	digest_ctx_final(ctx, out);
	*records = w.count;
	return r;
}

/* ---- settings ---- */

static int add_columns(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct digest_ctx *digest = ctx;

	(void)err;
	for (int i = 0; i < chroma_columns(row); i++) {
		enum chroma_type type = chroma_type(row, i);

		digest_ctx_add_u64(digest, (uint64_t)type);
		if (type == CHROMA_FLOAT) {
			char text[40];

			snprintf(text, sizeof(text), "%.17g", chroma_double(row, i));
			add_slice(digest, slice_str(text));
		} else if (type != CHROMA_NULL) {
			add_slice(digest, chroma_bytes(row, i));
		}
	}
	return 0;
}

int chroma_settings_sum(struct chroma_db *db, const char *id, struct digest *out,
			struct vs_err *err)
{
	static const char *const tables[] = {
		"SELECT * FROM collections WHERE id = ?",
		"SELECT * FROM collection_metadata WHERE collection_id = ? ORDER BY key",
		"SELECT * FROM segments WHERE collection = ? ORDER BY id",
		("SELECT * FROM segment_metadata WHERE segment_id IN (SELECT id FROM segments "
		 "WHERE collection = ?) ORDER BY segment_id, key"),
	};
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	int r = 0;

	digest_ctx_reset(ctx);
	for (size_t i = 0; r == 0 && i < VS_COUNT(tables); i++) {
		digest_ctx_add_u64(ctx, i);
		r = chroma_query(db, tables[i], id, add_columns, ctx, err);
	}
	digest_ctx_final(ctx, out);
	return r;
}
