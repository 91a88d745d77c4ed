/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What documents, collections and stores say, as digests
 *
 * Bytes of files cannot be compared: each writing gives map entries another order, and each process
 * numbers its types anew. A digest here is SHA-256 over the content in one fixed form:
 *
 *	number      8 bytes, little endian
 *	string      length, bytes
 *	map         count, then key and value of each entry in byte order of the keys
 *	document    id, metadata, number of elements, 4 bytes for each, content
 *	collection  name, metadata, number of documents, each document in byte order of the ids
 *	store       number of collections, each one's digest in hex, in byte order of the names
 */

#include "chromem/chromem.h"

/* Maps of so many entries are put in order without taking memory. */
#define SMALL_MAP 64

static void add_string(struct digest_ctx *ctx, struct slice text)
{
	digest_ctx_add_u64(ctx, text.len);
	digest_ctx_add(ctx, text.ptr, text.len);
}

/* By insertion, as maps are small and files of one writer mostly in some order already. */
static void sort_small(struct chromem_pair *sorted, const struct chromem_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = i;

		for (; k > 0 && slice_cmp(pairs[i].key, sorted[k - 1].key) < 0; k--)
			sorted[k] = sorted[k - 1];
		sorted[k] = pairs[i];
	}
}

static int compare_keys(const void *a, const void *b)
{
	const struct chromem_pair *left = a;
	const struct chromem_pair *right = b;

	return slice_cmp(left->key, right->key);
}

static void add_sorted(struct digest_ctx *ctx, const struct chromem_pair *sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		add_string(ctx, sorted[i].key);
		add_string(ctx, sorted[i].value);
	}
}

static void add_map(struct digest_ctx *ctx, const struct chromem_pair *pairs, size_t count)
{
	cleanup_(vs_freep) struct chromem_pair *large = NULL;
	struct chromem_pair small[SMALL_MAP];

	digest_ctx_add_u64(ctx, count);
	if (count <= SMALL_MAP) {
		sort_small(small, pairs, count);
		add_sorted(ctx, small, count);
		return;
	}
	large = vs_alloc_array(count, sizeof(*large));
	memcpy(large, pairs, count * sizeof(*large));
	qsort(large, count, sizeof(*large), compare_keys);
	add_sorted(ctx, large, count);
}

static void add_vector(struct digest_ctx *ctx, const float *v, size_t count)
{
	digest_ctx_add_u64(ctx, count);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	digest_ctx_add(ctx, v, count * sizeof(*v));
#else
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &v[i], sizeof(bits));
		bits = __builtin_bswap32(bits);
		digest_ctx_add(ctx, &bits, sizeof(bits));
	}
#endif
}

static void add_doc(struct digest_ctx *ctx, const struct chromem_doc *doc)
{
	add_string(ctx, doc->id);
	add_map(ctx, doc->metadata, doc->metadata_count);
	add_vector(ctx, doc->embedding, doc->dimension);
	add_string(ctx, doc->content);
}

void chromem_doc_digest(struct digest_ctx *ctx, const struct chromem_doc *doc, struct digest *out)
{
	digest_ctx_reset(ctx);
	add_doc(ctx, doc);
	digest_ctx_final(ctx, out);
}

void chromem_collection_digest_begin(struct digest_ctx *ctx, const struct chromem_meta *meta,
				     uint64_t documents)
{
	digest_ctx_reset(ctx);
	add_string(ctx, meta->name);
	add_map(ctx, meta->metadata, meta->metadata_count);
	digest_ctx_add_u64(ctx, documents);
}

void chromem_collection_digest_add(struct digest_ctx *ctx, const struct chromem_doc *doc)
{
	add_doc(ctx, doc);
}

void chromem_store_digest_begin(struct digest_ctx *ctx, uint64_t collections)
{
	digest_ctx_reset(ctx);
	digest_ctx_add_u64(ctx, collections);
}

void chromem_store_digest_add(struct digest_ctx *ctx, const struct digest *collection)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(collection, hex);
	digest_ctx_add(ctx, hex, DIGEST_HEX_LEN);
}
