/* SPDX-License-Identifier: Apache-2.0 */

#include "kit/samples.h"

#include <assert.h>
#include <math.h>

#define PAIRS 4

/* Memory that lives as long as the store. */
static void *keep(struct sample_store *store, size_t size)
{
	store->kept =
		vs_grow(store->kept, &store->kept_cap, store->kept_count + 1, sizeof(*store->kept));
	return store->kept[store->kept_count++] = vs_alloc(size);
}

/* A text with a number in it; @pad letters are put behind. */
static struct slice keep_text(struct sample_store *store, const char *stem, size_t number,
			      size_t pad)
{
	size_t cap = strlen(stem) + 24 + pad;
	char *text = keep(store, cap);
	int len = snprintf(text, cap, "%s%zu", stem, number);

	memset(text + len, 'a' + (int)(number % 26), pad);
	return slice_of(text, (size_t)len + pad);
}

static const float *keep_vector(struct sample_store *store, size_t number, size_t dimension)
{
	static const float odd[] = { NAN,  INFINITY,  -INFINITY,  -0.0f,     0.0f,
				     2.0f, 0x1p-149f, -0x1p-126f, 0x1.8p127f };
	float *v = keep(store, dimension * sizeof(*v));

	for (size_t i = 0; i < dimension; i++)
		v[i] = (float)((number * 7919 + i * 104729) % 20011) / 20011.0f - 0.5f;
	if (number % 5 == 4)
		v[number % dimension] = odd[number / 5 % VS_COUNT(odd)];
	return v;
}

static const struct chromem_pair *keep_pairs(struct sample_store *store, size_t number)
{
	struct chromem_pair *pairs = keep(store, PAIRS * sizeof(*pairs));

	for (size_t i = 0; i < PAIRS; i++) {
		/* Not in byte order, and one of them with an empty value. */
		pairs[i].key = keep_text(store, "key-", (i * 3 + number) % PAIRS, 0);
		if (i > 0)
			pairs[i].value = keep_text(store, "value \xe2\x98\x95 ", number + i, 0);
	}
	return pairs;
}

static void doc_init(struct sample_store *store, struct chromem_doc *doc, size_t number,
		     size_t dimension)
{
	*doc = (struct chromem_doc){
		.id = keep_text(store, "document-", number, 0),
		.content = keep_text(store, "text \xff\xfe", number, number * 37 % 5000),
		.metadata = keep_pairs(store, number),
		.metadata_count = PAIRS,
		.has_metadata = true,
		.embedding = keep_vector(store, number, dimension),
		.dimension = dimension,
	};
	switch (number % 11) {
	case 1:
		doc->id.len = 0;
		break;
	case 3:
		doc->has_metadata = false;
		doc->metadata_count = 0;
		break;
	case 5:
		doc->metadata_count = 0;
		break;
	case 7:
		doc->dimension = 0;
		break;
	case 9:
		doc->content.len = 0;
		break;
	default:
		break;
	}
}

void sample_store_init(struct sample_store *store, size_t collections, size_t documents,
		       size_t dimension)
{
	assert(dimension > 0 && documents <= SAMPLE_DOCUMENTS_MAX);
	*store = (struct sample_store){ .count = collections };
	store->collections = vs_alloc_array(collections, sizeof(*store->collections));
	for (size_t i = 0; i < collections; i++) {
		struct sample_collection *c = &store->collections[i];

		/* Names fall, so that their order in the file is not byte order. */
		c->meta.name = keep_text(store, "collection ", collections - i, 0);
		c->meta.has_metadata = true;
		if (i % 2 == 1) {
			c->meta.metadata = keep_pairs(store, i);
			c->meta.metadata_count = PAIRS;
		}
		c->count = collections > 1 ? documents * i / (collections - 1) : documents;
		c->docs = vs_alloc_array(c->count, sizeof(*c->docs));
		for (size_t k = 0; k < c->count; k++) {
			doc_init(store, &c->docs[k].doc, i + k, dimension);
			c->docs[k].key = c->docs[k].doc.id;
		}
	}
}

void sample_store_fini(struct sample_store *store)
{
	for (size_t i = 0; i < store->kept_count; i++)
		free(store->kept[i]);
	free(store->kept);
	for (size_t i = 0; i < store->count; i++)
		free(store->collections[i].docs);
	free(store->collections);
	*store = (struct sample_store){ 0 };
}

int sample_store_visit(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err)
{
	const struct sample_store *store = ctx;
	int r = 0;

	for (size_t i = 0; r == 0 && i < store->count; i++) {
		const struct sample_collection *c = &store->collections[i];

		r = to->collection(to->ctx, c->meta.name, &c->meta, err);
		for (size_t k = 0; r == 0 && k < c->count; k++)
			r = to->document(to->ctx, c->docs[k].key, &c->docs[k].doc, err);
	}
	return r;
}

static void collection_digest(struct digest_ctx *ctx, const struct sample_collection *c,
			      struct digest *out)
{
	cleanup_(chromem_roster_freep) struct chromem_roster *keys = chromem_roster_new();
	struct vs_err err = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++)
		r = chromem_roster_add(keys, c->docs[i].key, i, &err);
	assert(r == 0);
	chromem_roster_sort(keys);
	chromem_collection_digest_begin(ctx, &c->meta, chromem_roster_count(keys));
	for (size_t i = 0; i < chromem_roster_count(keys); i++)
		chromem_collection_digest_add(ctx, &c->docs[chromem_roster_at(keys, i, NULL)].doc);
	digest_ctx_final(ctx, out);
}

void sample_store_digest(const struct sample_store *store, struct digest *out)
{
	cleanup_(chromem_roster_freep) struct chromem_roster *names = chromem_roster_new();
	cleanup_(digest_ctx_freep) struct digest_ctx *of_store = digest_ctx_new();
	cleanup_(digest_ctx_freep) struct digest_ctx *of_one = digest_ctx_new();
	struct vs_err err = { 0 };
	struct digest d;
	int r = 0;

	for (size_t i = 0; r == 0 && i < store->count; i++)
		r = chromem_roster_add(names, store->collections[i].meta.name, i, &err);
	assert(r == 0);
	chromem_roster_sort(names);
	chromem_store_digest_begin(of_store, chromem_roster_count(names));
	for (size_t i = 0; i < chromem_roster_count(names); i++) {
		collection_digest(of_one, &store->collections[chromem_roster_at(names, i, NULL)],
				  &d);
		chromem_store_digest_add(of_store, &d);
	}
	digest_ctx_final(of_store, out);
}

/* ---- what a visitor meets ---- */

static struct slice copy_text(struct sample_store *store, struct slice text)
{
	unsigned char *copy = keep(store, text.len);

	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	return slice_of(copy, text.len);
}

static const struct chromem_pair *copy_pairs(struct sample_store *store,
					     const struct chromem_pair *pairs, size_t count)
{
	struct chromem_pair *copy = keep(store, count * sizeof(*copy));

	for (size_t i = 0; i < count; i++) {
		copy[i].key = copy_text(store, pairs[i].key);
		copy[i].value = copy_text(store, pairs[i].value);
	}
	return copy;
}

int sample_store_take_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
				 struct vs_err *err)
{
	struct sample_store *store = ctx;
	struct sample_collection *c;

	(void)key, (void)err;
	store->collections = vs_grow(store->collections, &store->cap, store->count + 1, sizeof(*c));
	c = &store->collections[store->count++];
	*c = (struct sample_collection){ .meta = *meta };
	c->meta.name = copy_text(store, meta->name);
	c->meta.metadata = copy_pairs(store, meta->metadata, meta->metadata_count);
	return 0;
}

int sample_store_take_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			       struct vs_err *err)
{
	struct sample_store *store = ctx;
	struct sample_collection *c = &store->collections[store->count - 1];
	struct chromem_doc *copy;
	float *vector;

	(void)err;
	assert(store->count > 0);
	c->docs = vs_grow(c->docs, &c->cap, c->count + 1, sizeof(*c->docs));
	c->docs[c->count].key = copy_text(store, key);
	copy = &c->docs[c->count++].doc;
	*copy = *doc;
	copy->id = copy_text(store, doc->id);
	copy->content = copy_text(store, doc->content);
	copy->metadata = copy_pairs(store, doc->metadata, doc->metadata_count);
	vector = keep(store, doc->dimension * sizeof(*vector));
	if (doc->dimension > 0)
		memcpy(vector, doc->embedding, doc->dimension * sizeof(*vector));
	copy->embedding = vector;
	return 0;
}
