/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The documents of a chromem store. Workers decode and note into their chunk; keys are put into the
 * collection's table one chunk after the other, as a table cannot be shared between workers.
 */

#include "guard/guard.h"

#include "chromem/chromem.h"

/* What a worker notes of a key. The key's bytes are the chunk's own. */
struct noted_value {
	size_t document; /* in the chunk */
	size_t key_off, key_len;
	enum guard_kind kind;
};

struct noted_document {
	struct digest id;
	uint32_t dimension;
	enum guard_vector vector;
};

struct noted {
	struct noted_document *documents;
	size_t count, cap;
	struct noted_value *values;
	size_t value_count, value_cap;
	struct buf keys;
	uint64_t unread;
};

struct counting {
	struct guard_census *census;
	struct guard_collection *current;
};

/* What a text spells. A number is one from its first byte to its last. */
static enum guard_kind kind_of(struct slice value)
{
	char text[64];
	char *end;

	if (value.len == 0)
		return GUARD_KIND_EMPTY;
	if (slice_eq_str(value, "true") || slice_eq_str(value, "false"))
		return GUARD_KIND_BOOL;
	if (value.len >= sizeof(text) || !memchr("+-.0123456789", value.ptr[0], 13))
		return GUARD_KIND_TEXT;
	snprintf(text, sizeof(text), "%.*s", (int)value.len, (const char *)value.ptr);
	(void)strtod(text, &end);
	return end == text + value.len ? GUARD_KIND_NUMBER : GUARD_KIND_TEXT;
}

static void *chunk_new(void *ctx, const struct chromem_collection *c)
{
	(void)ctx;
	(void)c;
	return vs_alloc(sizeof(struct noted));
}

static void chunk_free(struct noted *n)
{
	free(n->documents);
	free(n->values);
	buf_fini(&n->keys);
	free(n);
}

static void note_document(void *ctx, unsigned worker, void *chunk,
			  const struct chromem_collection *c, size_t index,
			  const struct chromem_entry *entry, const struct chromem_doc *doc,
			  const struct chromem_fault *fault, uint64_t file_size)
{
	struct noted *n = chunk;
	struct noted_document *d;

	(void)ctx;
	(void)worker;
	(void)c;
	(void)index;
	(void)entry;
	(void)fault;
	(void)file_size;
	if (!doc) {
		n->unread++;
		return;
	}
	n->documents = vs_grow(n->documents, &n->cap, n->count + 1, sizeof(*n->documents));
	d = &n->documents[n->count];
	digest_of(doc->id, &d->id);
	d->dimension = (uint32_t)VS_MIN(doc->dimension, (size_t)UINT32_MAX);
	d->vector = guard_vector_state(doc->embedding, doc->dimension);
	for (size_t i = 0; i < doc->metadata_count; i++) {
		const struct chromem_pair *pair = &doc->metadata[i];

		n->values =
			vs_grow(n->values, &n->value_cap, n->value_count + 1, sizeof(*n->values));
		n->values[n->value_count++] =
			(struct noted_value){ n->count, n->keys.len, pair->key.len,
					      kind_of(pair->value) };
		buf_append(&n->keys, pair->key.ptr, pair->key.len);
	}
	n->count++;
}

static int begin(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct counting *counting = ctx;

	(void)err;
	counting->current = guard_census_collection(counting->census, c->dir,
						    c->meta ? c->meta->name : slice_of(NULL, 0));
	return 0;
}

static int chunk_end(void *ctx, const struct chromem_collection *c, void *chunk, struct vs_err *err)
{
	struct counting *counting = ctx;
	struct guard_collection *to = counting->current;
	struct noted *n = chunk;
	size_t first = to->count;

	(void)c;
	(void)err;
	for (size_t i = 0; i < n->count; i++) {
		struct guard_document *d = guard_collection_document(to, slice_of(NULL, 0));

		memcpy(&d->id, n->documents[i].id.bytes, sizeof(d->id));
		d->dimension = n->documents[i].dimension;
		d->vector = (uint8_t)n->documents[i].vector;
	}
	for (size_t i = 0; i < n->value_count; i++) {
		const struct noted_value *v = &n->values[i];

		guard_document_value(to, &to->documents[first + v->document],
				     slice_of(n->keys.ptr + v->key_off, v->key_len), v->kind);
	}
	counting->census->unread += n->unread;
	chunk_free(n);
	return 0;
}

/* What has neither a name nor documents is no collection, as the library sees it. */
static int end(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct counting *counting = ctx;
	struct guard_census *census = counting->census;

	(void)err;
	if (counting->current->count == 0 && counting->current->name.len == 0 && !c->meta_fault) {
		free(counting->current->id);
		census->count--;
	}
	return 0;
}

int guard_census_chromem(struct guard_census *census, const struct store *store, unsigned jobs,
			 struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(jobs, 1));
	struct counting counting = { .census = census };
	const struct chromem_visitor visitor = {
		.ctx = &counting,
		.collection_begin = begin,
		.chunk_new = chunk_new,
		.document = note_document,
		.chunk_end = chunk_end,
		.collection_end = end,
	};
	struct chromem_scan_request req = { .decode = true, .pool = pool };
	struct chromem_form form;
	int r;

	r = chromem_detect_form(store->dirfd, &form, err);
	if (r < 0)
		return r;
	req.compression = form.compression;
	return chromem_scan(store->dirfd, &req, &visitor, err);
}
