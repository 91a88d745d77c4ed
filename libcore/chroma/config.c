/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How a collection's index is built. Three places have held it: since 1.3 (migration sysdb 10) the
 * schema, from 1.0 the configuration column, before that the metadata of the vector segment. 0.5 and
 * 0.6 wrote a configuration column of another shape, which holds defaults even where the metadata
 * say otherwise, so that shape is passed over.
 */

#include "chroma/chroma.h"

#define CONFIG_MAX (16u << 20)

/* What the server takes where nothing is said. */
void chroma_config_default(struct chroma_config *out)
{
	*out = (struct chroma_config){
		.is_readable = true,
		.space = HNSW_L2,
		.m = 16,
		.ef_construction = 100,
		.ef_search = 100,
		.sync_threshold = 1000,
	};
}

static void read_number(const struct jr *object, const char *key, uint32_t *out)
{
	uint64_t value;

	if (jr_get_uint(object, key, &value) && value > 0 && value <= HNSW_M_MAX)
		*out = (uint32_t)value;
}

static void read_hnsw(struct chroma_config *out, const struct jr *hnsw)
{
	const char *space;

	if (jr_get_str(hnsw, "space", &space))
		(void)!hnsw_space_parse(slice_str(space), &out->space);
	read_number(hnsw, "max_neighbors", &out->m);
	read_number(hnsw, "ef_construction", &out->ef_construction);
	read_number(hnsw, "ef_search", &out->ef_search);
	(void)!jr_get_uint(hnsw, "sync_threshold", &out->sync_threshold);
}

static const struct jr *walk(const struct jr *at, const char *const *keys)
{
	for (; at && *keys; keys++)
		at = jr_get(at, *keys);
	return at;
}

/* Returns false when @text is something and no JSON object. */
static bool parse(struct slice text, struct jr **out)
{
	struct vs_err err = { 0 };

	if (text.len == 0)
		return true;
	return text.len <= CONFIG_MAX && jr_parse_foreign(out, text, &err) == 0 &&
	       jr_is_object(*out);
}

/* A number that the server keeps without a sign; it may be left out. */
static bool is_count(const struct jr *object, const char *key)
{
	const struct jr *value = jr_get(object, key);
	uint64_t ignored;

	return !value || jr_is_null(value) || jr_as_uint(value, &ignored);
}

/* Are those parts there that the server does not do without, and of their types? */
static bool is_schema(const struct jr *doc, const struct jr *config)
{
	static const char *const counts[] = {
		"ef_construction", "max_neighbors", "ef_search",
		"num_threads",     "batch_size",    "sync_threshold"
	};
	const struct jr *hnsw = config ? jr_get(config, "hnsw") : NULL;
	const struct jr *space = config ? jr_get(config, "space") : NULL;
	enum hnsw_space ignored;
	const char *text;

	if (!jr_get(doc, "defaults") || !jr_is_object(jr_get(doc, "defaults")) ||
	    !jr_get(doc, "keys") || !jr_is_object(jr_get(doc, "keys")))
		return false;
	if (space && !jr_is_null(space) &&
	    (!jr_as_str(space, &text) || !hnsw_space_parse(slice_str(text), &ignored)))
		return false;
	for (size_t i = 0; hnsw && i < VS_COUNT(counts); i++) {
		if (!is_count(hnsw, counts[i]))
			return false;
	}
	return true;
}

/* NULL as a text is none, as NULL itself is. */
static bool parse_schema(struct slice text, struct jr **out, const struct jr **config)
{
	static const char *const in_schema[] = { "keys",         "#embedding", "float_list",
						 "vector_index", "config",     NULL };

	*config = NULL;
	if (slice_eq_str(text, "null") || text.len == 0)
		return true;
	if (!parse(text, out))
		return false;
	*config = walk(*out, in_schema);
	return is_schema(*out, *config);
}

void chroma_config_read(struct chroma_config *out, struct slice schema, struct slice config)
{
	static const char *const in_config[] = { "vector_index", "hnsw", NULL };
	cleanup_(jr_freep) struct jr *schema_doc = NULL;
	cleanup_(jr_freep) struct jr *config_doc = NULL;
	const struct jr *in_schema;
	const struct jr *found;
	const char *space;

	if (!parse_schema(schema, &schema_doc, &in_schema))
		out->what = "schema_str";
	else if (!parse(config, &config_doc))
		out->what = "config_json_str";
	if (out->what) {
		out->is_readable = false;
		return;
	}
	found = walk(config_doc, in_config);
	if (found)
		read_hnsw(out, found);
	if (!in_schema)
		return;
	if (jr_get_str(in_schema, "space", &space))
		(void)!hnsw_space_parse(slice_str(space), &out->space);
	found = jr_get(in_schema, "hnsw");
	if (found)
		read_hnsw(out, found);
}
