/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A small Chroma store, for a test without one: the tables that the migrations of the server make,
 * records as a client adds them, indexes as the server saves them. The last records of each
 * collection are in the queue only, as they are until the next save.
 */

#include "file/file.h"
#include "pickle/pickle.h"
#include "selftest/selftest-private.h"

#include <math.h>

#define MADE_DIMENSION 16
#define MADE_QUEUED 4 /* of each collection */

struct made {
	const char *name;
	const char *space;
	enum hnsw_space hnsw;
	const char *id, *vector, *metadata; /* of the collection and its segments */
	uint32_t records;
};

/* The first is large enough for all that depends on the number of elements. */
static const struct made collections[] = {
	{ "selftest_docs", "cosine", HNSW_COSINE, "5e1f7e57-0001-4000-8000-000000000001",
	  "5e1f7e57-0001-4000-8000-000000000002", "5e1f7e57-0001-4000-8000-000000000003", 240 },
	{ "selftest_notes", "l2", HNSW_L2, "5e1f7e57-0002-4000-8000-000000000001",
	  "5e1f7e57-0002-4000-8000-000000000002", "5e1f7e57-0002-4000-8000-000000000003", 24 },
};

static void make_vector(uint32_t number, float out[MADE_DIMENSION])
{
	uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (unsigned i = 0; i < MADE_DIMENSION; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		out[i] = (float)(state >> 40) / (float)(1u << 24) - 0.5f;
	}
}

static void make_id(char out[32], uint32_t number)
{
	snprintf(out, 32, "record-%" PRIu32, number);
}

static void make_document(char out[96], const struct made *c, uint32_t number)
{
	snprintf(out, 96, "record %" PRIu32 " of %s, made to be damaged", number, c->name);
}

static struct chroma_arg text(const char *s)
{
	return (struct chroma_arg){ .type = CHROMA_TEXT, .bytes = slice_str(s) };
}

static struct chroma_arg number(int64_t value)
{
	return (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = value };
}

/* ---- the database ---- */

/* What is indexed how, as the server writes it since 1.3. */
#define HNSW_CONFIG                                                                                   \
	"\"hnsw\":{\"ef_construction\":100,\"max_neighbors\":16,\"ef_search\":100,\"num_threads\":2," \
	"\"batch_size\":100,\"sync_threshold\":1000,\"resize_factor\":1.2}"
#define FTS_INDEX(enabled) "\"fts_index\":{\"enabled\":" enabled ",\"config\":{}}"
#define STRING_INDEX(enabled) "\"string_inverted_index\":{\"enabled\":" enabled ",\"config\":{}}"
#define SCHEMA                                                                                                                          \
	"{\"defaults\":{\"string\":{" FTS_INDEX("false") "," STRING_INDEX(                                                              \
		"true") "},\"float_list\":{\"vector_index\":{\"enabled\":false,\"config\":{\"space\":\"%s\"," HNSW_CONFIG               \
			"}}}},\"keys\":{\"#document\":{\"string\":{" FTS_INDEX("true") "," STRING_INDEX(                                \
				"false") "}},\"#embedding\":{\"float_list\":{\"vector_index\":{\"enabled\":true,\"config\":{\"space\":" \
					 "\"%s\",\"source_key\":\"#document\"," HNSW_CONFIG                                             \
					 "}}}}}}"

static int add_rows(struct chroma_edit *e, const struct made *c, struct vs_err *err)
{
	char schema[2048];
	struct chroma_arg row[] = { text(c->id), text(c->name), number(MADE_DIMENSION), text("") };
	const struct chroma_arg segments[] = { text(c->vector), text(c->metadata), text(c->id) };
	int r;

	snprintf(schema, sizeof(schema), SCHEMA, c->space, c->space);
	row[3] = text(schema);
	r = chroma_edit_run(
		e,
		"INSERT INTO collections (id, name, dimension, database_id, config_json_str, schema_str) "
		"SELECT ?1, ?2, ?3, id, '{}', ?4 FROM databases LIMIT 1",
		row, VS_COUNT(row), NULL, err);
	if (r == 0)
		r = chroma_edit_run(
			e,
			"INSERT INTO segments (id, type, scope, collection) VALUES "
			"(?1, 'urn:chroma:segment/vector/hnsw-local-persisted', 'VECTOR', ?3), "
			"(?2, 'urn:chroma:segment/metadata/sqlite', 'METADATA', ?3)",
			segments, VS_COUNT(segments), NULL, err);
	return r;
}

static int add_record(struct chroma_edit *e, const struct made *c, int64_t seq, uint32_t i,
		      struct vs_err *err)
{
	char id[32], document[96];
	struct chroma_arg args[] = { number(seq), text(c->metadata), text(""), text("") };
	int r;

	make_id(id, i);
	make_document(document, c, i);
	args[2] = text(id);
	args[3] = text(document);
	r = chroma_edit_run(e,
			    "INSERT INTO embeddings (id, segment_id, embedding_id, seq_id) "
			    "VALUES (?1, ?2, ?3, ?1)",
			    args, 3, NULL, err);
	if (r == 0)
		r = chroma_edit_run(e,
				    "INSERT INTO embedding_metadata (id, key, string_value) VALUES "
				    "(?1, 'chroma:document', ?4), (?1, 'source', ?3)",
				    args, 4, NULL, err);
	if (r == 0)
		r = chroma_edit_run(e,
				    "INSERT INTO embedding_fulltext_search (rowid, string_value) "
				    "VALUES (?1, ?4)",
				    args, 4, NULL, err);
	return r;
}

static int add_queued(struct chroma_edit *e, const struct made *c, int64_t seq, uint32_t i,
		      struct vs_err *err)
{
	float vector[MADE_DIMENSION];
	unsigned char bytes[sizeof(vector)];
	char id[32], topic[96], document[96], metadata[192];
	struct chroma_arg args[] = {
		number(seq), text(""), text(""), { .type = CHROMA_BLOB }, text("")
	};

	make_id(id, i);
	make_vector(i, vector);
	memcpy(bytes, vector, sizeof(bytes));
	snprintf(topic, sizeof(topic), "persistent://default/default/%s", c->id);
	args[1] = text(topic);
	args[2] = text(id);
	args[3].bytes = slice_of(bytes, sizeof(bytes));
	make_document(document, c, i);
	snprintf(metadata, sizeof(metadata), "{\"chroma:document\":\"%s\",\"source\":\"%s\"}",
		 document, id);
	args[4] = text(metadata);
	return chroma_edit_run(
		e,
		"INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, "
		"encoding, metadata) VALUES (?1, 0, ?2, ?3, ?4, 'FLOAT32', ?5)",
		args, VS_COUNT(args), NULL, err);
}

static int add_position(struct chroma_edit *e, const char *segment, int64_t seq, struct vs_err *err)
{
	const struct chroma_arg args[] = { text(segment), number(seq) };

	return chroma_edit_run(e, "INSERT INTO max_seq_id (segment_id, seq_id) VALUES (?, ?)", args,
			       VS_COUNT(args), NULL, err);
}

/* Writes take @seq on; it is the number of the last one before. */
static int add_collection(struct chroma_edit *e, const struct made *c, int64_t *seq,
			  struct vs_err *err)
{
	int64_t first = *seq;
	int r = add_rows(e, c, err);

	for (uint32_t i = 1; r == 0 && i <= c->records; i++) {
		r = add_record(e, c, ++*seq, i, err);
		/* The server keeps the last row that an index has taken in. */
		if (r == 0 && i + MADE_QUEUED >= c->records)
			r = add_queued(e, c, *seq, i, err);
	}
	if (r == 0)
		r = add_position(e, c->vector, first + c->records - MADE_QUEUED, err);
	return r < 0 ? r : add_position(e, c->metadata, *seq, err);
}

static int make_database(const char *path, struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	struct chroma_versions known;
	const char *made;
	int64_t seq = 0;
	int r = chroma_edit_open(&e, path, err);

	chroma_versions_known(&known);
	if (r == 0)
		r = chroma_edit_migrate(e, &known, false, err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(collections); i++)
		r = add_collection(e, &collections[i], &seq, err);
	return r < 0 ? r : chroma_edit_finish(e, &made, err);
}

/* ---- the index ---- */

static int put(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

static int write_pickle(int fd, uint32_t count, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct pickle_writer w;
	char id[32];
	int r = 0;

	pickle_writer_begin(&w, &bytes, count);
	for (unsigned map = 0; map < 2; map++) {
		for (uint32_t i = 1; r == 0 && i <= count; i++) {
			make_id(id, i);
			r = pickle_writer_add(&w, slice_str(id), i, err);
		}
		if (map == 0)
			pickle_writer_turn(&w);
	}
	if (r == 0)
		r = pickle_writer_end(&w, err);
	return r < 0 ? r : damage_write(fd, "index_metadata.pickle", buf_slice(&bytes), err);
}

static int make_index(int to, const struct made *c, struct vs_err *err)
{
	const struct hnsw_params params = {
		.space = c->hnsw, .dim = MADE_DIMENSION, .m = 16, .ef_construction = 100, .seed = 1
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(file_closep) int fd = -1;
	const struct hnsw_index *index;
	uint32_t count = c->records - MADE_QUEUED;
	float vector[MADE_DIMENSION];
	int r = file_mkdir_at(to, c->vector, 0700, err);

	if (r == 0)
		r = file_open_dir(to, c->vector, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = hnsw_graph_new(&params, count, &g, err);
	for (uint32_t i = 1; r == 0 && i <= count; i++) {
		make_vector(i, vector);
		r = hnsw_graph_add(g, i, vector, false, err);
	}
	if (r == 0)
		r = hnsw_graph_link(g, NULL, &index, err);
	for (int file = 0; r == 0 && file < HNSW_FILES; file++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };

		r = hnsw_graph_save(g, (enum hnsw_file)file, put, &bytes, err);
		if (r == 0)
			r = damage_write(fd, hnsw_file_name((enum hnsw_file)file),
					 buf_slice(&bytes), err);
	}
	return r < 0 ? r : write_pickle(fd, count, err);
}

int made_chroma(const struct selftest_request *req, struct victim *victim,
		struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(file_closep) int to = -1;
	cleanup_(buf_fini) struct buf path = { 0 };
	int r = file_mkdir_at(req->scratch_dirfd, SAMPLE, 0700, err);

	buf_printf(&path, "%s/" SAMPLE "/" CHROMA_DATABASE, req->scratch);
	if (r == 0)
		r = file_open_dir(req->scratch_dirfd, SAMPLE, FILE_NO_FOLLOW, &to, err);
	if (r == 0)
		r = make_database(buf_cstr(&path), err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(collections); i++) {
		r = make_index(to, &collections[i], err);
		out->documents += collections[i].records;
	}
	snprintf(victim->dir, sizeof(victim->dir), "%s", collections[0].vector);
	snprintf(victim->unread, sizeof(victim->unread), "%s", collections[1].vector);
	victim->is_cosine = true;
	return r;
}
