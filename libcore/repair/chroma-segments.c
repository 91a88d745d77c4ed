/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of the table of segments, given back or corrected where the rest of the store proves them.
 *
 * A segment of records is named in each record, and its collection in the rows of the queue that wrote
 * these, or by the ids that both the records and the collection's index have. A segment of vectors is
 * named by its directory and, once it was saved, by its position in the queue, which a release since
 * 1.0 takes away when it drops a collection; whose it is tell the dimension and the ids. Nothing is
 * given back where more than one answer fits.
 */

#include "repair/chroma-private.h"
#include "repair/index-private.h"

#define TYPE_METADATA "urn:chroma:segment/metadata/sqlite"
#define TYPE_VECTOR "urn:chroma:segment/vector/hnsw-local-persisted"

/* Segments that are for certain a collection's: the only ones of their scope that it has. */
#define OWNED(scope)                                                                               \
	"(SELECT min(o.id) FROM segments o JOIN collections oc ON oc.id = o.collection "           \
	"WHERE o.scope = '" scope "' GROUP BY o.collection HAVING count(*) = 1)"

/* ---- lists of ids, each of which is asked for or found once ---- */

struct ids {
	char **row; /* owned */
	size_t count, cap;
};

static void ids_fini(struct ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->row[i]);
	free(ids->row);
}

static bool ids_have(const struct ids *ids, const char *id)
{
	for (size_t i = 0; i < ids->count; i++) {
		if (strcmp(ids->row[i], id) == 0)
			return true;
	}
	return false;
}

static void ids_add(struct ids *ids, char *id_take)
{
	ids->row = vs_grow(ids->row, &ids->cap, ids->count + 1, sizeof(*ids->row));
	ids->row[ids->count++] = id_take;
}

static int on_id(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	(void)err;
	ids_add(ctx, vs_strndup(chroma_bytes(row, 0)));
	return 0;
}

static int list_ids(struct chroma_fixing *f, const char *sql, const char *param, struct ids *out,
		    struct vs_err *err)
{
	return chroma_query(chroma_fixing_db(f), sql, param, on_id, out, err);
}

/* ---- what a directory says ---- */

static bool is_plain(const char *id)
{
	return id[0] != '\0' && id[0] != '.' && !strchr(id, '/');
}

/* Its dimension; 0: no header, or none that can be read. *@is_saved: it has elements. */
static uint32_t header_dimension(const struct chroma_fixing *f, const char *segment, bool *is_saved)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err ignored = { 0 };
	struct hnsw_header h;
	uint64_t dim;

	*is_saved = false;
	if (!is_plain(segment))
		return 0;
	buf_printf(&path, "%s/%s", segment, hnsw_file_name(HNSW_HEADER));
	if (file_read_head_at(f->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, HNSW_HEADER_LEN,
			      &bytes, NULL, &ignored) < 0 ||
	    !hnsw_header_decode(buf_slice(&bytes), &h) || h.label_offset <= h.vector_offset)
		return 0;
	*is_saved = h.count > 0;
	dim = (h.label_offset - h.vector_offset) / 4;
	return dim <= HNSW_DIM_MAX ? (uint32_t)dim : 0;
}

/* Are the ids of an index those of the records of a segment? */
enum sharing { SHARES_UNKNOWN, SHARES_NONE, SHARES_MOST };

struct shared {
	const struct old_index *old;
	size_t count; /* of the ids that it has */
};

static int on_record(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct shared *shared = ctx;

	(void)err;
	shared->count += old_label(shared->old, chroma_bytes(row, 0)) > 0;
	return 0;
}

/* *@out: of the index @vector, as far as its pickle tells ids, and the records in @metadata. */
static int shares_ids(struct chroma_fixing *f, const struct chroma_collection *c,
		      const char *vector, const char *metadata, enum sharing *out,
		      struct vs_err *err)
{
	cleanup_(old_index_fini) struct old_index old = { 0 };
	struct shared shared = { .old = &old };
	bool is_saved;
	const struct index_facts facts = {
		.dirfd = f->store->dirfd,
		.segment = vector,
		.params = { .space = c->config.space,
			    .dim = header_dimension(f, vector, &is_saved),
			    .m = c->config.m,
			    .ef_construction = c->config.ef_construction,
			    .seed = 1 },
	};
	struct vs_err why = { 0 };
	int r;

	*out = SHARES_UNKNOWN;
	if (facts.params.dim == 0)
		return 0;
	r = old_index_load(&facts, &old, &why);
	if (r < 0 || old.pair_count == 0)
		return r == VS_ENOMEM ? vs_fail(err, VS_ENOMEM, "%s", why.text) : 0;
	r = chroma_query(chroma_fixing_db(f),
			 "SELECT DISTINCT embedding_id FROM embeddings WHERE segment_id = ?",
			 metadata, on_record, &shared, err);
	*out = shared.count * 2 >= old.pair_count ? SHARES_MOST : SHARES_NONE;
	return r;
}

/* 1: the pickle of the index has ids; 0: it has none, or is not there; or a negative status. */
static int has_ids(struct chroma_fixing *f, const struct chroma_collection *c, const char *vector,
		   struct vs_err *err)
{
	enum sharing sharing;
	int r = shares_ids(f, c, vector, "", &sharing, err);

	return r < 0 ? r : sharing != SHARES_UNKNOWN;
}

/* ---- writing a row ---- */

static int give_back(struct chroma_fixing *f, const struct chroma_collection *c, const char *id,
		     bool is_vector, const char *proof, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf sql = { 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };

	buf_append_str(&sql, "DELETE FROM segments WHERE id = ");
	sql_text(&sql, slice_str(id));
	buf_append_str(&sql, ";\nINSERT INTO segments(id, type, scope, collection) VALUES(");
	sql_text(&sql, slice_str(id));
	buf_append_str(&sql, is_vector ? ", '" TYPE_VECTOR "', 'VECTOR', "
				       : ", '" TYPE_METADATA "', 'METADATA', ");
	sql_text(&sql, slice_str(c->id));
	buf_append_str(&sql, ");\n");
	buf_append_str(&detail, "give ");
	text_escape(&detail, c->name);
	buf_printf(&detail, " its segment of %s back, which %s", is_vector ? "vectors" : "records",
		   proof);
	return chroma_change(f, PROB_CHROMA_COLLECTION_SEGMENTS, "restore-segment", LOSS_NOTHING,
			     buf_cstr(&detail), buf_cstr(&sql), err);
}

/* An id that no segment has: where nothing was kept under the old one, any will do. */
static void make_id(const struct chroma_collection *c, bool is_vector, char out[37])
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char hex[MD5_HEX_LEN + 1];

	buf_printf(&text, "segment of %s of %s", is_vector ? "vectors" : "records", c->id);
	md5_of(buf_slice(&text), hex);
	snprintf(out, 37, "%.8s-%.4s-3%.3s-8%.3s-%.12s", hex, hex + 8, hex + 13, hex + 17,
		 hex + 20);
}

/* ---- records ---- */

#define UNOWNED_RECORDS "e.segment_id NOT IN " OWNED("METADATA")

static int restore_metadata(struct chroma_fixing *f, const struct chroma_collection *c,
			    struct vs_err *err)
{
	cleanup_(ids_fini) struct ids proven = { 0 };
	cleanup_(ids_fini) struct ids all = { 0 };
	const char *vector = c->vectors == 1 ? f->catalog.segments[c->vector].id : NULL;
	const char *found = NULL;
	enum sharing sharing;
	char made[37];
	int r = list_ids(f,
			 "SELECT DISTINCT e.segment_id FROM embeddings e JOIN embeddings_queue q "
			 "ON q.seq_id = e.seq_id AND q.id = e.embedding_id WHERE q.topic LIKE "
			 "'%/' || ? AND " UNOWNED_RECORDS,
			 c->id, &proven, err);

	if (r == 0)
		r = list_ids(
			f, "SELECT DISTINCT e.segment_id FROM embeddings e WHERE " UNOWNED_RECORDS,
			NULL, &all, err);
	if (r < 0)
		return r;
	if (proven.count > 0)
		return proven.count > 1 ? 0
					: give_back(f, c, proven.row[0], false,
						    "the write queue proves", err);
	for (size_t i = 0; vector && i < all.count; i++) {
		r = shares_ids(f, c, vector, all.row[i], &sharing, err);
		if (r < 0 || (sharing == SHARES_MOST && found))
			return r;
		found = sharing == SHARES_MOST ? all.row[i] : found;
	}
	if (found)
		return give_back(f, c, found, false, "the ids in its index prove", err);
	/* Neither a record without a segment nor an index that knows of one. */
	if (all.count > 0 || (vector && (r = has_ids(f, c, vector, err)) != 0))
		return VS_MIN(r, 0);
	make_id(c, false, made);
	return give_back(f, c, made, false, "held no record", err);
}

/* ---- vectors ---- */

struct listing {
	const struct chroma_fixing *f;
	const struct ids *owned;
	struct ids *out;
};

/* A directory of nobody, saved for nobody yet. */
static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct listing *l = ctx;
	bool is_saved;

	(void)err;
	if ((type == FILE_DIRECTORY || type == FILE_UNKNOWN) && strlen(name) == 36 &&
	    !ids_have(l->owned, name) && header_dimension(l->f, name, &is_saved) > 0 && !is_saved)
		ids_add(l->out, vs_strdup(name));
	return 0;
}

/* Segments of vectors that have no collection: @saved by their positions, @fresh by their directories. */
static int list_vectors(struct chroma_fixing *f, struct ids *saved, struct ids *fresh,
			struct vs_err *err)
{
	cleanup_(ids_fini) struct ids owned = { 0 };
	struct listing l = { f, &owned, fresh };
	int r = list_ids(
		f,
		"SELECT DISTINCT m.segment_id FROM max_seq_id m WHERE m.segment_id NOT IN " OWNED(
			"VECTOR") " AND m.segment_id NOT IN " OWNED("METADATA") " AND m.segment_id NOT IN (SELECT segment_id FROM embeddings)",
		NULL, saved, err);

	if (r == 0)
		r = list_ids(f,
			     "SELECT segment_id FROM max_seq_id UNION SELECT id FROM segments o "
			     "WHERE o.id IN " OWNED("VECTOR"),
			     NULL, &owned, err);
	return r < 0 ? r : file_list(f->store->dirfd, on_entry, &l, err);
}

/* 1: @segment can be that of @c; 0: it cannot. */
static int fits(struct chroma_fixing *f, const struct chroma_collection *c, const char *segment,
		struct vs_err *err)
{
	bool is_saved;
	uint32_t dim = header_dimension(f, segment, &is_saved);
	enum sharing sharing;
	int r;

	if (!c->has_dimension || c->metadatas != 1 || dim == 0 || (int64_t)dim != c->dimension)
		return 0;
	r = shares_ids(f, c, segment, f->catalog.segments[c->metadata].id, &sharing, err);
	return r < 0 ? r : sharing != SHARES_NONE;
}

/* Exactly one of @from fits @c, and no other collection that lacks one. 1: found. */
static int choose(struct chroma_fixing *f, const struct chroma_collection *c,
		  const struct ids *from, const char **out, struct vs_err *err)
{
	size_t count = 0;

	for (size_t i = 0; i < from->count; i++) {
		int r = fits(f, c, from->row[i], err);

		if (r < 0)
			return r;
		count += r > 0;
		*out = r > 0 ? from->row[i] : *out;
	}
	for (size_t i = 0; count == 1 && i < f->catalog.collection_count; i++) {
		const struct chroma_collection *other = &f->catalog.collections[i];
		int r = other != c && other->vectors == 0 ? fits(f, other, *out, err) : 0;

		if (r < 0)
			return r;
		count += r > 0;
	}
	return count == 1;
}

/* Does the queue have the vector of every record? Then the index was never saved. */
static int is_all_queued(struct chroma_fixing *f, const struct chroma_collection *c, bool *out,
			 struct vs_err *err)
{
	int64_t count = 0;
	int r = chroma_query_int(
		chroma_fixing_db(f),
		"SELECT count(*) FROM embeddings e JOIN segments s ON s.id = e.segment_id WHERE "
		"s.scope = 'METADATA' AND s.collection = ?1 AND NOT EXISTS (SELECT 1 FROM "
		"embeddings_queue q WHERE q.id = e.embedding_id AND q.topic LIKE '%/' || ?1 AND "
		"q.operation IN (0, 2) AND q.vector IS NOT NULL)",
		c->id, &count, err);

	*out = count == 0;
	return r;
}

static int restore_vector(struct chroma_fixing *f, const struct chroma_collection *c,
			  struct vs_err *err)
{
	cleanup_(ids_fini) struct ids saved = { 0 };
	cleanup_(ids_fini) struct ids fresh = { 0 };
	const char *found = NULL;
	bool is_queued = false;
	char made[37];
	int r = list_vectors(f, &saved, &fresh, err);

	if (r == 0)
		r = choose(f, c, &saved, &found, err);
	if (r > 0)
		return give_back(f, c, found, true, "its position, its dimension and its ids prove",
				 err);
	if (r == 0)
		r = is_all_queued(f, c, &is_queued, err);
	if (r < 0 || !is_queued || found)
		return r;
	r = choose(f, c, &fresh, &found, err);
	if (r < 0)
		return r;
	make_id(c, true, made);
	return give_back(f, c, r > 0 ? found : made, true,
			 "was never saved: all of its vectors are in the queue", err);
}

/* ---- one too many ---- */

/* Nothing was ever kept under it. */
static bool is_idle(struct chroma_fixing *f, const char *id)
{
	struct vs_err ignored = { 0 };
	int64_t count = 1;
	bool is_saved;

	return chroma_query_int(chroma_fixing_db(f),
				"SELECT (SELECT count(*) FROM max_seq_id WHERE segment_id = ?1) + "
				"(SELECT count(*) FROM embeddings WHERE segment_id = ?1)",
				id, &count, &ignored) == 0 &&
	       count == 0 && header_dimension(f, id, &is_saved) == 0;
}

/* Of several segments of one scope the only one that holds anything stays. */
static int remove_idle(struct chroma_fixing *f, const struct chroma_collection *c,
		       enum chroma_scope scope, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf where = { 0 };
	cleanup_(buf_fini) struct buf sql = { 0 };
	size_t idle = 0, used = 0;
	uint64_t count = 0;
	int r;

	buf_append_str(&where, "id IN (");
	for (size_t i = 0; i < f->catalog.segment_count; i++) {
		const struct chroma_segment_ref *s = &f->catalog.segments[i];

		if (s->scope != scope || strcmp(s->collection, c->id) != 0)
			continue;
		if (!is_idle(f, s->id)) {
			used++;
			continue;
		}
		buf_append_str(&where, idle++ > 0 ? ", " : "");
		sql_text(&where, slice_str(s->id));
	}
	buf_append_byte(&where, ')');
	if (used != 1 || idle == 0)
		return 0;
	r = chroma_keep(f, PROB_CHROMA_COLLECTION_SEGMENTS, "segments", buf_cstr(&where), &count,
			err);
	if (r < 0 || count == 0)
		return r;
	buf_printf(&sql, "DELETE FROM segments WHERE %s;\n", buf_cstr(&where));
	return chroma_change(
		f, PROB_CHROMA_COLLECTION_SEGMENTS, "remove-idle-segment", LOSS_NOTHING,
		"a second segment that holds nothing goes to the quarantine", buf_cstr(&sql), err);
}

static bool is_any_without(const struct chroma_fixing *f, enum chroma_scope scope)
{
	for (size_t i = 0; i < f->catalog.collection_count; i++) {
		const struct chroma_collection *c = &f->catalog.collections[i];

		if ((scope == CHROMA_SCOPE_VECTOR ? c->vectors : c->metadatas) == 0)
			return true;
	}
	return false;
}

/* ---- the plan ---- */

static int correct_types(struct chroma_fixing *f, struct vs_err *err)
{
	if (!chroma_fault_find(f, PROB_CHROMA_SEGMENT_TYPE))
		return 0;
	chroma_fault_done(f, PROB_CHROMA_SEGMENT_TYPE);
	return chroma_change(f, PROB_CHROMA_SEGMENT_TYPE, "correct-segment-type", LOSS_NOTHING,
			     "set the types of segments to the only ones for their scopes",
			     "UPDATE segments SET type = '" TYPE_METADATA
			     "' WHERE scope = 'METADATA';\n"
			     "UPDATE segments SET type = '" TYPE_VECTOR "' WHERE scope = 'VECTOR' "
			     "AND type <> 'urn:chroma:segment/vector/hnsw-local-memory';\n",
			     err);
}

static int fix_collection(struct chroma_fixing *f, const struct chroma_collection *c,
			  struct vs_err *err)
{
	int r = 0;

	if (c->metadatas == 0)
		return restore_metadata(f, c, err);
	if (c->vectors == 0 && c->metadatas == 1)
		return restore_vector(f, c, err);
	if (c->metadatas > 1 && !is_any_without(f, CHROMA_SCOPE_METADATA))
		r = remove_idle(f, c, CHROMA_SCOPE_METADATA, err);
	if (r == 0 && c->vectors > 1 && !is_any_without(f, CHROMA_SCOPE_VECTOR))
		r = remove_idle(f, c, CHROMA_SCOPE_VECTOR, err);
	return r;
}

int chroma_fix_segments(struct chroma_fixing *f, struct vs_err *err)
{
	int r = correct_types(f, err);

	/* Before 0.5 a segment had a topic besides, which nothing tells. */
	if (f->catalog.sysdb < 5 || !chroma_has_table(f, "embeddings_queue"))
		return r;
	for (size_t i = 0; r == 0 && i < f->catalog.collection_count; i++) {
		const struct chroma_collection *c = &f->catalog.collections[i];

		if (chroma_fault_any(f, PROB_CHROMA_COLLECTION_SEGMENTS, c->id))
			r = fix_collection(f, c, err);
	}
	return r;
}
