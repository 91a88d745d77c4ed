/* SPDX-License-Identifier: Apache-2.0 */

/* Collections, their segments, and how far each has come: the small tables, all of them. */

#include "chroma/chroma.h"

static char *take_text(const struct chroma_row *row, int column)
{
	return vs_strndup(chroma_bytes(row, column));
}

/* ---- collections ---- */

struct loading {
	struct chroma_catalog *c;
	struct chroma_db *db;
};

/* id, name, dimension, database_id, config_json_str, schema_str */
static int add_collection(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct loading *l = ctx;
	struct chroma_collection *collection;

	(void)err;
	l->c->collections = vs_grow(l->c->collections, &l->c->collection_cap,
				    l->c->collection_count + 1, sizeof(*l->c->collections));
	collection = &l->c->collections[l->c->collection_count++];
	*collection = (struct chroma_collection){
		.id = take_text(row, 0),
		.name = slice_of(take_text(row, 1), chroma_bytes(row, 1).len),
		.has_dimension = chroma_type(row, 2) == CHROMA_INTEGER,
		.dimension = chroma_int(row, 2),
		.database = take_text(row, 3),
		.vector = SIZE_MAX,
		.metadata = SIZE_MAX,
	};
	chroma_config_default(&collection->config);
	chroma_config_read(&collection->config, chroma_bytes(row, 5), chroma_bytes(row, 4));
	return 0;
}

static int load_collections(struct loading *l, struct vs_err *err)
{
	/* The newest shape of the table first; NULL stands for what an old release did not have. */
	static const char *const shapes[] = {
		"SELECT id, name, dimension, database_id, config_json_str, schema_str "
		"FROM collections ORDER BY id",
		"SELECT id, name, dimension, database_id, config_json_str, NULL "
		"FROM collections ORDER BY id",
		"SELECT id, name, dimension, database_id, NULL, NULL FROM collections ORDER BY id",
		"SELECT id, name, dimension, '', NULL, NULL FROM collections ORDER BY id",
	};
	int r = VS_ENOTSUP;

	for (size_t i = 0; r == VS_ENOTSUP && i < VS_COUNT(shapes); i++)
		r = chroma_query(l->db, shapes[i], NULL, add_collection, l, err);
	return r;
}

const struct chroma_collection *chroma_catalog_find(const struct chroma_catalog *c, struct slice id)
{
	size_t from = 0, to = c->collection_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = slice_cmp(slice_str(c->collections[middle].id), id);

		if (order == 0)
			return &c->collections[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

int chroma_catalog_find_named(const struct chroma_catalog *c, const char *text,
			      const struct chroma_collection **out, struct vs_err *err)
{
	const struct chroma_collection *found = chroma_catalog_find(c, slice_str(text));
	bool is_id = found;

	for (size_t i = 0; !is_id && i < c->collection_count; i++) {
		if (!slice_eq_str(c->collections[i].name, text))
			continue;
		if (found)
			return vs_fail(err, VS_EUSAGE,
				       "two collections are named %.200s; give an id, %s or %s",
				       text, found->id, c->collections[i].id);
		found = &c->collections[i];
	}
	if (found)
		*out = found;
	return found ? 1 : 0;
}

static struct chroma_collection *find_mutable(struct chroma_catalog *c, const char *id)
{
	const struct chroma_collection *found = chroma_catalog_find(c, slice_str(id));

	return found ? &c->collections[found - c->collections] : NULL;
}

/* ---- segments ---- */

static enum chroma_scope scope_of(struct slice text)
{
	if (slice_eq_str(text, "METADATA"))
		return CHROMA_SCOPE_METADATA;
	if (slice_eq_str(text, "VECTOR"))
		return CHROMA_SCOPE_VECTOR;
	return CHROMA_SCOPE_OTHER;
}

static bool is_type_of(enum chroma_scope scope, struct slice type)
{
	if (scope == CHROMA_SCOPE_METADATA)
		return slice_eq_str(type, "urn:chroma:segment/metadata/sqlite");
	return scope == CHROMA_SCOPE_OTHER ||
	       slice_eq_str(type, "urn:chroma:segment/vector/hnsw-local-persisted") ||
	       slice_eq_str(type, "urn:chroma:segment/vector/hnsw-local-memory");
}

/* id, scope, collection, type */
static int add_segment(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_catalog *c = ((struct loading *)ctx)->c;
	struct chroma_collection *collection;
	struct chroma_segment_ref *segment;

	(void)err;
	c->segments =
		vs_grow(c->segments, &c->segment_cap, c->segment_count + 1, sizeof(*c->segments));
	segment = &c->segments[c->segment_count];
	*segment = (struct chroma_segment_ref){
		.id = take_text(row, 0),
		.scope = scope_of(chroma_bytes(row, 1)),
		.collection = take_text(row, 2),
	};
	segment->is_type_known = is_type_of(segment->scope, chroma_bytes(row, 3));
	collection = find_mutable(c, segment->collection);
	if (collection && segment->scope == CHROMA_SCOPE_VECTOR && collection->vectors++ == 0)
		collection->vector = c->segment_count;
	if (collection && segment->scope == CHROMA_SCOPE_METADATA && collection->metadatas++ == 0)
		collection->metadata = c->segment_count;
	c->segment_count++;
	return 0;
}

const struct chroma_segment_ref *chroma_catalog_segment(const struct chroma_catalog *c,
							const char *id)
{
	size_t from = 0, to = c->segment_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(c->segments[middle].id, id);

		if (order == 0)
			return &c->segments[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

/* segment_id, key, str_value, int_value: what releases before 1.0 configured an index with. */
static int apply_metadata(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_catalog *c = ((struct loading *)ctx)->c;
	cleanup_(vs_freep) char *id = take_text(row, 0);
	struct chroma_collection *collection = NULL;
	const struct chroma_segment_ref *segment;
	struct slice key = chroma_bytes(row, 1);
	struct chroma_config *config;
	int64_t value = chroma_int(row, 3);

	(void)err;
	segment = chroma_catalog_segment(c, id);
	if (segment && segment->scope == CHROMA_SCOPE_VECTOR)
		collection = find_mutable(c, segment->collection);
	if (!collection)
		return 0;
	config = &collection->config;
	if (slice_eq_str(key, "hnsw:space"))
		(void)!hnsw_space_parse(chroma_bytes(row, 2), &config->space);
	if (value <= 0 || value > HNSW_M_MAX)
		return 0;
	if (slice_eq_str(key, "hnsw:M"))
		config->m = (uint32_t)value;
	if (slice_eq_str(key, "hnsw:construction_ef"))
		config->ef_construction = (uint32_t)value;
	if (slice_eq_str(key, "hnsw:search_ef"))
		config->ef_search = (uint32_t)value;
	if (slice_eq_str(key, "hnsw:sync_threshold"))
		config->sync_threshold = (uint64_t)value;
	return 0;
}

static int load_segments(struct loading *l, struct vs_err *err)
{
	int r = chroma_query(l->db, "SELECT id, scope, collection, type FROM segments ORDER BY id",
			     NULL, add_segment, l, err);

	if (r < 0)
		return r;
	r = chroma_query(l->db,
			 "SELECT segment_id, key, str_value, int_value FROM segment_metadata "
			 "WHERE key LIKE 'hnsw:%'",
			 NULL, apply_metadata, l, err);
	return r == VS_ENOTSUP ? 0 : r;
}

/* ---- positions ---- */

static int add_position(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_catalog *c = ((struct loading *)ctx)->c;
	struct chroma_position *position;

	(void)err;
	c->positions = vs_grow(c->positions, &c->position_cap, c->position_count + 1,
			       sizeof(*c->positions));
	position = &c->positions[c->position_count++];
	*position = (struct chroma_position){ .segment = take_text(row, 0),
					      .is_blob = chroma_type(row, 1) == CHROMA_BLOB };
	position->is_readable = chroma_seq(row, 1, &position->seq_id);
	return 0;
}

const struct chroma_position *chroma_catalog_position(const struct chroma_catalog *c,
						      const char *segment)
{
	size_t from = 0, to = c->position_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(c->positions[middle].segment, segment);

		if (order == 0)
			return &c->positions[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

/* ---- all of it ---- */

static int take_version(void *ctx, const struct chroma_row *row, struct vs_err *err)
{
	struct chroma_catalog *c = ((struct loading *)ctx)->c;
	struct slice dir = chroma_bytes(row, 0);
	int version = (int)VS_MIN(chroma_int(row, 1), 1000000);

	(void)err;
	if (slice_eq_str(dir, "sysdb"))
		c->sysdb = version;
	else if (slice_eq_str(dir, "metadb"))
		c->metadb = version;
	else if (slice_eq_str(dir, "embeddings_queue"))
		c->queue = version;
	return 0;
}

int chroma_catalog_load(struct chroma_catalog *out, struct chroma_db *db, struct vs_err *err)
{
	struct loading l = { .c = out, .db = db };
	int r;

	r = chroma_query(db, "SELECT dir, max(version) FROM migrations GROUP BY dir", NULL,
			 take_version, &l, err);
	if (r == 0)
		r = load_collections(&l, err);
	if (r == 0)
		r = load_segments(&l, err);
	return r == 0 ? chroma_query(
				db, "SELECT segment_id, seq_id FROM max_seq_id ORDER BY segment_id",
				NULL, add_position, &l, err)
		      : r;
}

void chroma_catalog_fini(struct chroma_catalog *c)
{
	for (size_t i = 0; i < c->collection_count; i++) {
		free(c->collections[i].id);
		free(c->collections[i].database);
		vs_free_const(c->collections[i].name.ptr);
	}
	for (size_t i = 0; i < c->segment_count; i++) {
		free(c->segments[i].id);
		free(c->segments[i].collection);
	}
	for (size_t i = 0; i < c->position_count; i++)
		free(c->positions[i].segment);
	free(c->collections);
	free(c->segments);
	free(c->positions);
	*c = (struct chroma_catalog){ 0 };
}
