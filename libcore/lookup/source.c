/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a search is told. Whole names are kept as they are; everything else is taken apart into the
 * words that names may be made of, and counted. Nothing here tries a name.
 *
 * All of it may come from a damaged or hostile store: lengths are bounded before a copy is made,
 * and the tallies bound how many different texts are kept.
 */

#include "lookup/search.h"

/* Values that could be a part of a name; text is longer. */
#define VALUE_MAX 128
#define KEY_MAX 64

/* Parts at the end of the store's path, and beginnings of an id, that are looked at. */
#define PATH_PARTS 8
#define ID_PARTS 4

/* ---- whole names ---- */

void lookup_add_name(struct lookup *l, enum lookup_source source, struct slice name,
		     const char *where)
{
	struct seen_name seen;

	assert(source <= LOOKUP_SIBLING);
	if (name.len == 0 || name.len > LOOKUP_NAME_MAX)
		return;
	seen = (struct seen_name){
		.source = source,
		.name = vs_strndup(name),
		.len = name.len,
		.where = where ? vs_strdup(where) : NULL,
	};
	if (source == LOOKUP_SIBLING) {
		l->siblings = vs_grow(l->siblings, &l->sibling_cap, l->sibling_count + 1,
				      sizeof(*l->siblings));
		l->siblings[l->sibling_count++] = seen;
	} else {
		l->seen = vs_grow(l->seen, &l->seen_cap, l->seen_count + 1, sizeof(*l->seen));
		l->seen[l->seen_count++] = seen;
	}
}

/* ---- several texts in one: two bytes of length before each ---- */

static void pack_text(struct buf *out, struct slice text)
{
	assert(text.len <= UINT16_MAX);
	buf_append_byte(out, (unsigned char)(text.len >> 8));
	buf_append_byte(out, (unsigned char)text.len);
	buf_append(out, text.ptr, text.len);
}

static struct slice unpack_text(struct cursor *c)
{
	struct slice text = { 0 };
	uint8_t high = 0, low = 0;
	bool is_whole = cursor_u8(c, &high) && cursor_u8(c, &low) &&
			cursor_take(c, (uint64_t)high << 8 | low, &text);

	assert(is_whole);
	return text;
}

/* ---- documents ---- */

static const struct {
	const char *key;
	size_t off; /* in struct facts */
} fact_rows[] = {
	{ "tenant_id", offsetof(struct facts, tenant) },
	{ "team_id", offsetof(struct facts, team) },
	{ "project_id", offsetof(struct facts, project_id) },
	{ "project_path", offsetof(struct facts, project_path) },
	{ "collection", offsetof(struct facts, collection) },
};

static struct slice *fact_at(struct facts *f, size_t row)
{
	return (struct slice *)((char *)f + fact_rows[row].off);
}

void facts_unpack(struct slice packed, struct facts *out)
{
	struct cursor c = cursor_of(packed);
	struct slice hash = unpack_text(&c);

	*out = (struct facts){ .hash = load_be32(hash.ptr) };
	for (size_t i = 0; i < VS_COUNT(fact_rows); i++)
		*fact_at(out, i) = unpack_text(&c);
}

static void facts_pack(struct facts *f, struct buf *out)
{
	unsigned char hash[4] = { (unsigned char)(f->hash >> 24), (unsigned char)(f->hash >> 16),
				  (unsigned char)(f->hash >> 8), (unsigned char)f->hash };

	pack_text(out, slice_of(hash, sizeof(hash)));
	for (size_t i = 0; i < VS_COUNT(fact_rows); i++)
		pack_text(out, *fact_at(f, i));
}

size_t facts_pairs(const struct facts *f, struct chromem_pair *pairs)
{
	struct facts copy = *f;
	size_t count = 0;

	for (size_t i = 0; i < VS_COUNT(fact_rows); i++) {
		struct slice value = *fact_at(&copy, i);

		if (value.len > 0)
			pairs[count++] =
				(struct chromem_pair){ slice_str(fact_rows[i].key), value };
	}
	return count;
}

void value_unpack(struct slice packed, struct slice *key, struct slice *value)
{
	struct cursor c = cursor_of(packed);

	*key = unpack_text(&c);
	*value = unpack_text(&c);
}

static void add_value(struct lookup *l, struct slice key, struct slice value)
{
	cleanup_(buf_fini) struct buf packed = { 0 };

	if (key.len > KEY_MAX || value.len == 0 || value.len > VALUE_MAX)
		return;
	pack_text(&packed, key);
	pack_text(&packed, value);
	tally_add(&l->values, buf_slice(&packed), WORD_DOCUMENT);
}

/* An id such as notes/2026/0042 may begin with the name of what it belongs to. */
static void add_id(struct lookup *l, struct slice id)
{
	size_t parts = 0;

	for (size_t i = 1; i < id.len && i <= VALUE_MAX && parts < ID_PARTS; i++) {
		if (id.ptr[i] != '\0' && strchr("/:#|._- ", id.ptr[i])) {
			add_value(l, slice_of(NULL, 0), slice_of(id.ptr, i));
			parts++;
		}
	}
}

/* The last part of a path, without separators; empty when there is none. */
static struct slice last_part(struct slice path)
{
	size_t start;

	while (path.len > 0 && path.ptr[path.len - 1] == '/')
		path.len--;
	for (start = path.len; start > 0 && path.ptr[start - 1] != '/'; start--)
		;
	return slice_of(path.ptr + start, path.len - start);
}

static void add_word(struct tally *t, struct slice word, enum word_tag tag)
{
	if (word.len > 0 && word.len <= VALUE_MAX)
		tally_add(t, word, tag);
}

static void add_facts_words(struct lookup *l, const struct facts *f, enum word_tag tag)
{
	add_word(&l->tenants, f->tenant, tag);
	add_word(&l->teams, f->team, tag);
	if (f->project_id.len > 0 && f->project_id.ptr[0] == '/')
		add_word(&l->paths, f->project_id, tag);
	else
		add_word(&l->projects, f->project_id, tag);
	if (f->project_path.len > 0) {
		add_word(&l->paths, f->project_path, tag);
		add_word(&l->projects, last_part(f->project_path), tag);
	}
}

void lookup_add_document(struct lookup *l, uint32_t hash, struct slice id,
			 const struct chromem_pair *metadata, size_t count)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct facts facts = { .hash = hash };
	bool has_facts = false;

	for (size_t i = 0; i < count; i++) {
		bool is_fact = false;

		for (size_t row = 0; row < VS_COUNT(fact_rows) && !is_fact; row++) {
			is_fact = slice_eq_str(metadata[i].key, fact_rows[row].key);
			if (is_fact && metadata[i].value.len <= CONTEXTD_VALUE_MAX)
				*fact_at(&facts, row) = metadata[i].value;
		}
		if (is_fact)
			has_facts = true;
		else
			add_value(l, metadata[i].key, metadata[i].value);
	}
	add_id(l, id);
	if (!has_facts)
		return;
	facts_pack(&facts, &packed);
	tally_add(&l->facts, buf_slice(&packed), WORD_DOCUMENT);
	add_facts_words(l, &facts, WORD_DOCUMENT);
}

/* ---- the registry ---- */

static int add_registry_key(void *ctx, const char *key, const struct jr *value)
{
	struct lookup *l = ctx;
	struct slice parts[3];
	size_t count = 0;

	(void)value;
	for (const char *p = key; count < VS_COUNT(parts); count++) {
		size_t len = strcspn(p, "/");

		parts[count] = slice_of(p, len);
		p += len;
		if (*p == '\0') {
			count++;
			break;
		}
		p++;
	}
	/* Any part may name a tenant, a team or a project: which one depends on the list. */
	add_word(&l->tenants, parts[0], WORD_REGISTRY);
	for (size_t i = 1; i < count; i++) {
		add_word(&l->teams, parts[i], WORD_REGISTRY);
		add_word(&l->projects, parts[i], WORD_REGISTRY);
	}
	return 0;
}

int lookup_add_registry(struct lookup *l, struct slice json, struct vs_err *err)
{
	static const char *const lists[] = { "tenants", "teams", "projects" };
	cleanup_(jr_freep) struct jr *doc = NULL;
	int r;

	r = jr_parse(&doc, json, err);
	if (r < 0)
		return vs_err_in(err, "registry.json");
	if (!jr_is_object(doc) || !jr_get(doc, "version"))
		return vs_fail(err, VS_EFORMAT, "registry.json: no list of tenants and projects");
	for (size_t i = 0; i < VS_COUNT(lists); i++) {
		const struct jr *list = jr_get(doc, lists[i]);

		if (list && jr_is_object(list))
			(void)jr_each(list, add_registry_key, l);
	}
	return 0;
}

/* ---- the path of the store ---- */

void lookup_add_path(struct lookup *l, const char *path)
{
	struct slice rest = slice_str(path);

	for (size_t i = 0; i < PATH_PARTS && rest.len > 0; i++) {
		struct slice part = last_part(rest);
		size_t len = part.len > 0 ? (size_t)(part.ptr - rest.ptr) : 0;

		if (part.len == 0)
			break;
		if (!slice_eq_str(part, ".") && !slice_eq_str(part, "..")) {
			add_word(&l->tenants, part, WORD_PATH);
			add_word(&l->projects, part, WORD_PATH);
			if (path[0] == '/')
				add_word(&l->paths, slice_of(path, len + part.len), WORD_PATH);
		}
		rest.len = len;
	}
}
