/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The vector of one record. The index has it as of the segment's position in the queue; the rows
 * above that are then played as the server plays them: an addition of an id that is there changes
 * nothing, an update of one that is not does nothing. The index knows labels only; its pickle says
 * which label an id has.
 */

#include "chroma/chroma.h"
#include "pickle/pickle.h"

/* More than a server keeps in memory, and enough for ten million ids. */
#define PICKLE_MAX ((uint64_t)1 << 30)
#define LEVEL0_MAX ((uint64_t)8 << 30)

void chroma_vector_fini(struct chroma_vector *v)
{
	free(v->values);
	*v = (struct chroma_vector){ 0 };
}

/* ---- the queue ---- */

const char *chroma_vector_decode(struct slice bytes, struct slice encoding,
				 struct chroma_vector *out)
{
	size_t count = bytes.len / sizeof(float);
	float *values;

	if (!slice_eq_str(encoding, "FLOAT32"))
		return "is not of 32-bit floats";
	if (bytes.len == 0 || bytes.len % sizeof(float) != 0)
		return "has no whole number of elements";
	if (count > HNSW_DIM_MAX)
		return "has more elements than any index takes";
	values = vs_alloc_array(count, sizeof(*values));
	for (size_t i = 0; i < count; i++) {
		uint32_t bits = load_le32(bytes.ptr + i * sizeof(bits));

		memcpy(&values[i], &bits, sizeof(bits));
	}
	free(out->values);
	out->values = values;
	out->dimension = (uint32_t)count;
	return NULL;
}

enum { OPERATION_ADD, OPERATION_UPDATE, OPERATION_UPSERT, OPERATION_DELETE };

struct replay {
	struct chroma_vector *out; /* the record is there when this has a source */
	const char *collection;
	int64_t position;  /* rows up to it are in the index */
	const char *fault; /* of the newest vector */
};

/* "persistent://default/default/<collection id>" */
static bool is_topic_of(struct slice topic, const char *collection)
{
	size_t len = strlen(collection);

	return slice_ends_with(topic, collection) &&
	       (topic.len == len || topic.ptr[topic.len - len - 1] == '/');
}

/* seq_id, topic, operation, vector, encoding; rising */
static int on_queue_row(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct replay *p = ctx;
	bool is_there = p->out->source != CHROMA_VECTOR_NONE;
	int64_t operation = chroma_int(row, 2);
	int64_t wanted = is_there ? OPERATION_UPDATE : OPERATION_ADD;

	(void)err;
	if (!is_topic_of(chroma_bytes(row, 1), p->collection) || chroma_int(row, 0) <= p->position)
		return 0;
	if (operation == OPERATION_DELETE)
		chroma_vector_fini(p->out);
	if (chroma_type(row, 3) != CHROMA_BLOB ||
	    (operation != OPERATION_UPSERT && operation != wanted))
		return 0;
	p->fault = chroma_vector_decode(chroma_bytes(row, 3), chroma_bytes(row, 4), p->out);
	p->out->source = p->fault ? CHROMA_VECTOR_NONE : CHROMA_VECTOR_QUEUE;
	return 0;
}

/* ---- the index directory ---- */

struct label_search {
	const char *id;
	bool is_found;
	int64_t label;
	struct pickle_integer position; /* releases before 0.5.6 kept it here */
};

static int on_entry(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct label_search *s = ctx;

	(void)err;
	if (entry->map == PICKLE_ID_TO_LABEL && slice_eq_str(entry->id, s->id)) {
		s->is_found = true;
		s->label = entry->number;
	}
	return 0;
}

/* Read a file of the directory. Returns 1 with @why filled when there is nothing to read. */
static int read_part(int dirfd, const char *name, uint64_t limit, struct buf *out, char why[256],
		     struct vs_err *err)
{
	enum file_type type;
	int r = file_read_at(dirfd, name, FILE_NO_FOLLOW, limit, out, &type, err);

	if (r == 0)
		return 0;
	snprintf(why, 256, "%.255s",
		 r > 0 ? "the index has something else in place of a file" : err->text);
	return r == 1 || r == VS_ENOENT || r == VS_EACCES || r == VS_ELIMIT ? 1 : r;
}

static int find_label(int dirfd, struct label_search *s, char why[256], struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	const struct pickle_sink sink = { .ctx = s, .entry = on_entry };
	struct pickle_fault fault;
	struct pickle_meta meta;
	int r;

	r = read_part(dirfd, "index_metadata.pickle", PICKLE_MAX, &bytes, why, err);
	if (r != 0)
		return r;
	r = pickle_read(buf_slice(&bytes), &sink, &meta, &fault, err);
	if (r < 0)
		return r;
	s->position = meta.max_seq_id;
	if (!s->is_found)
		snprintf(why, 256, "index_metadata.pickle %s",
			 r == 0 ? fault.text : "lacks the id");
	return s->is_found ? 0 : 1;
}

/* The element with the label, and the vector as the client gave it: cosine was made of length 1. */
static bool take_element(const struct hnsw_index *x, int64_t label, bool is_cosine,
			 struct chroma_vector *out)
{
	for (uint32_t id = 0; id < x->count; id++) {
		float scale;

		if (hnsw_is_deleted(x, id) || hnsw_label(x, id) != (uint64_t)label)
			continue;
		scale = is_cosine ? hnsw_length(x, id) : 1.0f;
		out->values = vs_alloc_array(x->dim, sizeof(*out->values));
		out->dimension = x->dim;
		out->source = CHROMA_VECTOR_INDEX;
		for (uint32_t i = 0; i < x->dim; i++)
			out->values[i] = hnsw_vector(x, id)[i] * scale;
		return true;
	}
	return false;
}

static void index_fini(struct hnsw_index *x)
{
	hnsw_index_fini(x);
}

static int load_element(int dirfd, const struct chroma_collection *c, int64_t label,
			struct chroma_vector *out, char why[256], struct vs_err *err)
{
	cleanup_(buf_fini) struct buf header = { 0 };
	cleanup_(buf_fini) struct buf level0 = { 0 };
	cleanup_(buf_fini) struct buf length = { 0 };
	cleanup_(index_fini) struct hnsw_index x = { 0 };
	struct hnsw_files files = { 0 };
	struct hnsw_fault fault;
	int r;

	r = read_part(dirfd, hnsw_file_name(HNSW_HEADER), HNSW_HEADER_LEN, &header, why, err);
	if (r == 0)
		r = read_part(dirfd, hnsw_file_name(HNSW_LEVEL0), LEVEL0_MAX, &level0, why, err);
	if (r == 0)
		r = read_part(dirfd, hnsw_file_name(HNSW_LENGTH), LEVEL0_MAX, &length, why, err);
	if (r != 0)
		return r;
	files.file[HNSW_HEADER] = buf_slice(&header);
	files.file[HNSW_LEVEL0] = buf_slice(&level0);
	files.file[HNSW_LENGTH] = buf_slice(&length);
	r = hnsw_open(&files, &x, &fault, err);
	if (r < 0)
		return r;
	if (r == 0)
		snprintf(why, 256, "%s: %s", hnsw_file_name(fault.file), fault.text);
	else if (!take_element(&x, label, c->config.space == HNSW_COSINE, out))
		snprintf(why, 256, "the index has no element with label %" PRId64, label);
	return 0;
}

static int load_from_index(struct chroma_vector *out, int dirfd, const char *segment,
			   const struct chroma_collection *c, struct label_search *s, char why[256],
			   struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	/* The name comes from the database. */
	if (segment[0] == '\0' || segment[0] == '.' || strchr(segment, '/')) {
		snprintf(why, 256, "the segment has no id that can name a directory");
		return 0;
	}
	r = file_open_dir(dirfd, segment, FILE_NO_FOLLOW, &fd, err);
	if (r == VS_ENOENT || r == VS_EACCES) {
		snprintf(why, 256, "%.255s", err->text);
		return 0;
	}
	if (r == 0)
		r = find_label(fd, s, why, err);
	if (r == 0)
		r = load_element(fd, c, s->label, out, why, err);
	return r > 0 ? 0 : r;
}

int chroma_vector_load(struct chroma_vector *out, struct chroma_db *db, int dirfd,
		       const struct chroma_catalog *catalog, const struct chroma_collection *c,
		       const char *id, char why[256], struct vs_err *err)
{
	struct replay replay = { .out = out, .collection = c->id, .position = INT64_MIN };
	const struct chroma_position *position = NULL;
	struct label_search search = { .id = id };
	int r = 0;

	snprintf(why, 256, "the collection has no vector segment");
	if (c->vector != SIZE_MAX) {
		const char *segment = catalog->segments[c->vector].id;

		position = chroma_catalog_position(catalog, segment);
		r = load_from_index(out, dirfd, segment, c, &search, why, err);
	}
	if (r < 0)
		return r;
	/* Where the index does not have it, rows that the index had taken in may. */
	if (out->source == CHROMA_VECTOR_INDEX && position && position->is_readable)
		replay.position = position->seq_id;
	else if (out->source == CHROMA_VECTOR_INDEX && search.position.is_set)
		replay.position = search.position.value;
	r = chroma_query(db,
			 "SELECT seq_id, topic, operation, vector, encoding FROM embeddings_queue "
			 "WHERE id = ? ORDER BY seq_id",
			 id, on_queue_row, &replay, err);
	if (r == 0 && replay.fault)
		snprintf(why, 256, "the vector in the queue %s", replay.fault);
	return r;
}
