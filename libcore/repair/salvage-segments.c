/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What index directories know: ids, dimension, parameters. And segments whose row is lost:
 *
 *	METADATA	its id is in every record; a record's number of the queue leads to a row there,
 *			whose topic is the collection's id
 *	VECTOR		its id is a directory, and the ids in that are those of the collection's records
 *
 * Where neither tells, and only one of each is left, these belong together.
 */

#include "repair/salvage-private.h"

#include "pickle/pickle.h"

#include <math.h>

#define PICKLE_FILE_MAX ((uint64_t)4 << 30)

/* Vectors that are looked at, to tell a cosine index by their length. */
#define UNIT_SAMPLES 32u

/* ---- directories ---- */

struct picking {
	struct salvage_work *w;
	const char *segment;
};

static int take_id(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct picking *p = ctx;
	const struct chroma_arg args[] = {
		{ .type = CHROMA_TEXT, .bytes = slice_str(p->segment) },
		{ .type = CHROMA_TEXT, .bytes = entry->id },
		{ .type = CHROMA_INTEGER, .integer = entry->number },
	};

	if (entry->map == PICKLE_ID_TO_SEQ_ID)
		return 0;
	return chroma_edit_run(p->w->edit, "INSERT OR IGNORE INTO s.pickle VALUES(?, ?, ?)", args,
			       VS_COUNT(args), NULL, err);
}

/* 1: read to its end. */
static int read_pickle(struct salvage_work *w, int dirfd, const char *segment, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct picking p = { w, segment };
	const struct pickle_sink sink = { &p, take_id };
	struct pickle_meta meta;
	struct pickle_fault fault;
	struct vs_err absent = { 0 };
	int r;

	if (file_read_at(dirfd, "index_metadata.pickle", FILE_NO_FOLLOW, PICKLE_FILE_MAX, &bytes,
			 NULL, &absent) != 0)
		return 0;
	r = pickle_read(buf_slice(&bytes), &sink, &meta, &fault, err);
	return r;
}

static bool is_unit(const unsigned char *vector, uint64_t dimension)
{
	double sum = 0;

	for (uint64_t i = 0; i < dimension; i++) {
		uint32_t bits = load_le32(vector + 4 * i);
		float value;

		memcpy(&value, &bits, sizeof(value));
		sum += (double)value * (double)value;
	}
	return fabs(sum - 1) < 1e-3;
}

struct header {
	uint64_t dimension, m, ef;
	bool is_unit;
};

static void read_header(int dirfd, struct header *out)
{
	cleanup_(buf_fini) struct buf head = { 0 };
	cleanup_(buf_fini) struct buf data = { 0 };
	struct vs_err absent = { 0 };
	uint64_t size, label, offset, count;

	*out = (struct header){ 0 };
	if (file_read_head_at(dirfd, "header.bin", FILE_NO_FOLLOW, 100, &head, NULL, &absent) !=
		    0 ||
	    head.len < 100)
		return;
	count = load_le64(head.ptr + 20);
	size = load_le64(head.ptr + 28);
	label = load_le64(head.ptr + 36);
	offset = load_le64(head.ptr + 44);
	if (label <= offset || label - offset > UINT64_C(4) * HNSW_DIM_MAX || size != label + 8 ||
	    offset > 65536)
		return;
	out->dimension = (label - offset) / 4;
	out->m = load_le64(head.ptr + 76);
	out->ef = load_le64(head.ptr + 92);
	if (out->m > 10000 || out->ef > 1000000)
		out->m = out->ef = 0;
	count = VS_MIN(count, (uint64_t)UNIT_SAMPLES);
	if (file_read_head_at(dirfd, "data_level0.bin", FILE_NO_FOLLOW, (size_t)(count * size),
			      &data, NULL, &absent) != 0)
		return;
	count = VS_MIN(count, data.len / size);
	out->is_unit = count > 0;
	for (uint64_t i = 0; i < count; i++)
		out->is_unit &= is_unit(data.ptr + i * size + offset, out->dimension);
}

static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct salvage_work *w = ctx;
	cleanup_(file_closep) int fd = -1;
	struct vs_err absent = { 0 };
	struct chroma_arg args[6] = { { .type = CHROMA_TEXT, .bytes = slice_str(name) } };
	struct file_info info;
	struct header h;
	int r;

	(void)type;
	if (strlen(name) != 36 || name[8] != '-' ||
	    file_open_dir(w->store->dirfd, name, FILE_NO_FOLLOW, &fd, &absent) < 0 ||
	    file_stat_at(fd, "header.bin", FILE_NO_FOLLOW, &info, &absent) < 0)
		return 0;
	read_header(fd, &h);
	r = read_pickle(w, fd, name, err);
	if (r < 0)
		return r;
	if (h.dimension > 0)
		args[1] = (struct chroma_arg){ .type = CHROMA_INTEGER,
					       .integer = (int64_t)h.dimension };
	args[2] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = (int64_t)h.m };
	args[3] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = (int64_t)h.ef };
	args[4] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = h.is_unit };
	args[5] = (struct chroma_arg){ .type = CHROMA_INTEGER, .integer = r };
	return chroma_edit_run(w->edit, "INSERT INTO s.directory VALUES(?, ?, ?, ?, ?, ?)", args,
			       VS_COUNT(args), NULL, err);
}

int salvage_read_pickles(struct salvage_work *w, struct vs_err *err)
{
	return file_list(w->store->dirfd, on_entry, w, err);
}

/* ---- rows that are lost ---- */

static const char add_segment[] =
	"INSERT OR IGNORE INTO segments(id, type, scope, collection) SELECT segment, CASE scope WHEN "
	"'VECTOR' THEN 'urn:chroma:segment/vector/hnsw-local-persisted' ELSE "
	"'urn:chroma:segment/metadata/sqlite' END, scope, collection FROM s.pair";

/* Releases up to 0.4.24 have a topic in the row. */
static const char add_segment_topic[] =
	"INSERT OR IGNORE INTO segments(id, type, scope, topic, collection) SELECT segment, CASE "
	"scope WHEN 'VECTOR' THEN 'urn:chroma:segment/vector/hnsw-local-persisted' ELSE "
	"'urn:chroma:segment/metadata/sqlite' END, scope, 'persistent://default/default/' || "
	"collection, collection FROM s.pair";

/* Pairs of segment and collection, the surest first; each way sees what those before it have found. */
static const char *const ways[] = {
	/* A record's number of the queue is a row of the collection's topic. */
	"INSERT INTO s.pair SELECT segment, 'METADATA', collection FROM (SELECT e.segment_id AS "
	"segment, substr(q.c3, -36) AS collection, count(*) AS n FROM embeddings e JOIN "
	"s.r_embeddings o ON o.row = e.id JOIN s.r_queue q ON q.row = o.seq AND q.c4 = o.c2 GROUP BY 1, "
	"2 ORDER BY 3) WHERE segment NOT IN (SELECT id FROM segments) AND collection IN (SELECT id FROM "
	"s.lacking WHERE scope = 'METADATA') GROUP BY segment",
	/* The only one without, and the only one left. */
	"INSERT INTO s.pair SELECT segment, 'METADATA', collection FROM (SELECT DISTINCT segment_id AS "
	"segment FROM embeddings WHERE segment_id NOT IN (SELECT id FROM segments)), (SELECT id AS "
	"collection FROM s.lacking WHERE scope = 'METADATA') WHERE (SELECT count(DISTINCT segment_id) "
	"FROM embeddings WHERE segment_id NOT IN (SELECT id FROM segments)) = 1 AND (SELECT count(*) "
	"FROM s.lacking WHERE scope = 'METADATA') = 1",
	/* The directory with the most ids of the collection's records. */
	"INSERT INTO s.pair SELECT segment, 'VECTOR', collection FROM (SELECT p.segment AS segment, "
	"g.collection AS collection, count(*) AS n FROM s.pickle p JOIN embeddings e ON "
	"e.embedding_id = p.id JOIN segments g ON g.id = e.segment_id JOIN collections c ON "
	"c.id = g.collection JOIN s.directory d ON d.segment = p.segment WHERE (c.dimension IS NULL OR "
	"d.dimension IS NULL OR c.dimension = d.dimension) GROUP BY 1, 2 ORDER BY 3) WHERE segment NOT "
	"IN (SELECT id FROM segments) AND collection IN (SELECT id FROM s.lacking WHERE "
	"scope = 'VECTOR') GROUP BY collection",
	/* The only directory of its dimension, for the only collection of it. */
	"INSERT INTO s.pair SELECT d.segment, 'VECTOR', c.id FROM s.directory d JOIN collections c ON "
	"c.dimension = d.dimension WHERE d.segment NOT IN (SELECT id FROM segments) AND c.id IN "
	"(SELECT id FROM s.lacking WHERE scope = 'VECTOR') AND (SELECT count(*) FROM s.directory o "
	"WHERE o.dimension = d.dimension AND o.segment NOT IN (SELECT id FROM segments)) = 1 AND "
	"(SELECT count(*) FROM collections o JOIN s.lacking l ON l.id = o.id AND l.scope = 'VECTOR' "
	"WHERE o.dimension = c.dimension) = 1",
	/* The only directory, for the only collection. */
	"INSERT INTO s.pair SELECT d.segment, 'VECTOR', l.id FROM s.directory d JOIN s.lacking l ON "
	"l.scope = 'VECTOR' WHERE d.segment NOT IN (SELECT id FROM segments) AND (SELECT count(*) FROM "
	"s.directory o WHERE o.segment NOT IN (SELECT id FROM segments)) = 1 AND (SELECT count(*) FROM "
	"s.lacking WHERE scope = 'VECTOR') = 1",
	/* A new one, with a name that nothing has: the server fills it from the queue. */
	"INSERT INTO s.pair SELECT lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || "
	"substr(h, 14, 3) || '-8' || substr(h, 18, 3) || '-' || substr(h, 21, 12)), scope, id FROM "
	"(SELECT hex(randomblob(16)) AS h, scope, id FROM s.lacking)",
};

static const char lacking[] =
	"DELETE FROM s.pair; DELETE FROM s.lacking; INSERT INTO s.lacking SELECT c.id, w.scope FROM "
	"collections c, (SELECT 'METADATA' AS scope UNION SELECT 'VECTOR') w WHERE NOT EXISTS (SELECT 1 "
	"FROM segments g WHERE g.collection = c.id AND g.scope = w.scope);";

int salvage_segments(struct salvage_work *w, struct vs_err *err)
{
	int64_t count;
	int r;

	if (w->is_whole[KIND_SEGMENTS])
		return 0;
	r = chroma_edit_exec(w->edit,
			     "CREATE TABLE s.pair(segment, scope, collection);"
			     "CREATE TABLE s.lacking(id, scope);",
			     err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(ways); i++) {
		r = chroma_edit_exec(w->edit, lacking, err);
		if (r == 0)
			r = chroma_edit_exec(w->edit, ways[i], err);
		if (r == 0)
			r = chroma_edit_exec(w->edit,
					     w->sysdb >= 5 ? add_segment : add_segment_topic, err);
		if (r == 0 && i + 1 == VS_COUNT(ways)) {
			r = salvage_ask(w, "SELECT count(*) FROM s.pair", &count, err);
			if (r == 0 && count > 0)
				salvage_note(w->out,
					     "%" PRId64 " segments could not be told from each "
					     "other and are new ones",
					     count);
		}
	}
	return r;
}
