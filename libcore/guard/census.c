/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a store holds: its collections, and of each document as much as is needed to tell later
 * whether it is still there and still whole. And what the check says of it, so that damage that was
 * there before is not laid to whoever comes after.
 */

#include "guard/guard.h"

#include "chromem/chromem.h"

const char *guard_kind_name(enum guard_kind kind)
{
	static const char *const names[] = {
		[GUARD_KIND_ABSENT] = "absent",   [GUARD_KIND_TEXT] = "text",
		[GUARD_KIND_EMPTY] = "empty",     [GUARD_KIND_NUMBER] = "number",
		[GUARD_KIND_INTEGER] = "integer", [GUARD_KIND_BOOL] = "bool",
		[GUARD_KIND_LIST] = "list",       [GUARD_KIND_NULL] = "null",
	};

	return names[kind];
}

static void collection_fini(struct guard_collection *c)
{
	free(c->id);
	vs_free_const(c->name.ptr);
	for (size_t i = 0; i < c->key_count; i++)
		vs_free_const(c->keys[i].ptr);
	free(c->documents);
}

void guard_census_freep(struct guard_census **census)
{
	struct guard_census *c = *census;

	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++)
		collection_fini(&c->collections[i]);
	free(c->collections);
	free(c->errors);
	free(c->first_error);
	free(c);
	*census = NULL;
}

/* ---- filling ---- */

struct guard_collection *guard_census_collection(struct guard_census *census, const char *id,
						 struct slice name)
{
	struct guard_collection *c;

	census->collections = vs_grow(census->collections, &census->cap, census->count + 1,
				      sizeof(*census->collections));
	c = &census->collections[census->count++];
	*c = (struct guard_collection){ .id = vs_strdup(id) };
	if (name.len > 0)
		c->name = slice_of(vs_strndup(name), name.len);
	return c;
}

struct guard_document *guard_collection_document(struct guard_collection *c, struct slice id)
{
	struct guard_document *d;
	struct digest digest;

	c->documents = vs_grow(c->documents, &c->cap, c->count + 1, sizeof(*c->documents));
	d = &c->documents[c->count++];
	*d = (struct guard_document){ 0 };
	digest_of(id, &digest);
	memcpy(&d->id, digest.bytes, sizeof(d->id));
	return d;
}

static int by_id(const void *a, const void *b)
{
	const struct guard_document *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void guard_collection_sort(struct guard_collection *c)
{
	if (c->count > 1)
		qsort(c->documents, c->count, sizeof(*c->documents), by_id);
}

size_t guard_collection_find(struct guard_collection *c, struct slice id,
			     struct guard_document **first)
{
	size_t low = 0, high = c->count, count = 0;
	struct digest digest;
	uint64_t wanted;

	digest_of(id, &digest);
	memcpy(&wanted, digest.bytes, sizeof(wanted));
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->documents[middle].id < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + count < c->count && c->documents[low + count].id == wanted)
		count++;
	*first = count > 0 ? &c->documents[low] : NULL;
	return count;
}

void guard_document_value(struct guard_collection *c, struct guard_document *d, struct slice key,
			  enum guard_kind kind)
{
	unsigned shift;
	size_t i = 0;

	while (i < c->key_count && !slice_eq(c->keys[i], key))
		i++;
	if (i == GUARD_KEYS_MAX)
		return;
	if (i == c->key_count)
		c->keys[c->key_count++] = slice_of(vs_strndup(key), key.len);
	shift = i % 2 * 4;
	d->kinds[i / 2] = (uint8_t)((d->kinds[i / 2] & ~(15u << shift)) | (unsigned)kind << shift);
}

enum guard_vector guard_vector_state(const float *values, size_t count)
{
	struct chromem_vector_stats stats;

	if (count == 0)
		return GUARD_VECTOR_NONE;
	chromem_vector_measure(values, count, &stats);
	if (stats.has_nan || stats.has_inf)
		return GUARD_VECTOR_NOT_FINITE;
	return stats.is_zero ? GUARD_VECTOR_ZERO : GUARD_VECTOR_SOUND;
}

/* ---- the check ---- */

struct noting {
	struct guard_census *census;
	const struct guard_census *known;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static void note_finding(void *ctx, const struct finding *f)
{
	struct noting *n = ctx;
	struct guard_census *c = n->census;
	cleanup_(buf_fini) struct buf text = { 0 };
	struct digest digest;
	uint64_t key;

	if (problem_row(f->code)->severity != SEV_ERROR)
		return;
	buf_printf(&text, "%s%c%s%c", problem_row(f->code)->code, 0, f->path ? f->path : "", 0);
	buf_append(&text, f->document.ptr, f->document.len);
	digest_of(buf_slice(&text), &digest);
	memcpy(&key, digest.bytes, sizeof(key));
	c->errors = vs_grow(c->errors, &c->error_cap, c->error_count + 1, sizeof(*c->errors));
	c->errors[c->error_count++] = key;
	if (c->first_error ||
	    (n->known && n->known->error_count > 0 &&
	     bsearch(&key, n->known->errors, n->known->error_count, sizeof(key), by_number)))
		return;
	buf_clear(&text);
	if (f->path) {
		text_escape(&text, slice_str(f->path));
		buf_append_str(&text, ": ");
	}
	finding_format_message(f, &text);
	c->first_error = vs_strdup(buf_cstr(&text));
}

static void put_in_order(struct guard_census *c)
{
	if (c->error_count > 1)
		qsort(c->errors, c->error_count, sizeof(*c->errors), by_number);
	for (size_t i = 0; i < c->count; i++) {
		guard_collection_sort(&c->collections[i]);
		c->documents += c->collections[i].count;
	}
}

int guard_census_take(struct guard_census **out, const struct store *store, unsigned jobs,
		      const struct guard_census *known, struct vs_err *err)
{
	cleanup_(guard_census_freep) struct guard_census *c = vs_alloc(sizeof(*c));
	struct noting noting = { c, known };
	const struct check_request req = { .level = CHECK_FULL, .jobs = jobs };
	const struct check_sink sink = { .ctx = &noting, .finding = note_finding };
	int r;

	r = check_store(store, &req, &sink, &c->summary, err);
	if (r < 0)
		return r;
	if (store->kind == STORE_CHROMEM)
		r = guard_census_chromem(c, store, jobs, err);
	else if (store->kind == STORE_CHROMA)
		r = guard_census_chroma(c, store, err);
	else
		r = vs_fail(err, VS_ENOTSUP, "%s: an export file cannot be guarded", store->path);
	if (r < 0)
		return r;
	put_in_order(c);
	*out = VS_TAKE(c);
	return 0;
}
