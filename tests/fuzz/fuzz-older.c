/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile collections.json of the older tool. What is accepted is visited twice, as it is when it
 * is written again, and both times it has to be the same, of the number that was said, and fit to
 * be a document: with an id, and a vector of finite elements.
 */

#include "snap/older.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t collections, documents, missing;
	struct digest_ctx *digest;
};

static int see_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			  struct vs_err *err)
{
	struct seen *seen = ctx;

	(void)err;
	if (meta->name.len == 0 || !slice_eq(key, meta->name))
		abort();
	seen->collections++;
	digest_ctx_add(seen->digest, key.ptr, key.len);
	return 0;
}

static int see_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			struct vs_err *err)
{
	struct seen *seen = ctx;

	(void)err;
	if (doc->id.len == 0 || !slice_eq(key, doc->id))
		abort();
	for (size_t i = 0; i < doc->dimension; i++) {
		if (!isfinite(doc->embedding[i]))
			abort();
	}
	seen->documents++;
	seen->missing += doc->dimension == 0;
	digest_ctx_add(seen->digest, doc->id.ptr, doc->id.len);
	digest_ctx_add(seen->digest, doc->content.ptr, doc->content.len);
	for (size_t i = 0; i < doc->metadata_count; i++)
		digest_ctx_add(seen->digest, doc->metadata[i].value.ptr,
			       doc->metadata[i].value.len);
	return 0;
}

static void visit(struct snap_older *older, struct digest *out)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	struct seen seen = { .digest = digest };
	const struct chromem_export_visitor visitor = { &seen, see_collection, see_document };
	struct vs_err err = { 0 };

	digest_ctx_reset(digest);
	if (snap_older_visit(older, &visitor, &err) != 0 ||
	    seen.collections != snap_older_collections(older) ||
	    seen.documents != snap_older_documents(older) ||
	    seen.missing != snap_older_missing(older))
		abort();
	digest_ctx_final(digest, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(snap_older_freep) struct snap_older *older = NULL;
	struct digest first, second;
	struct vs_err err = { 0 };

	if (snap_older_parse(&older, slice_of(data, size), true, &err) < 0) {
		if (err.text[0] == '\0')
			abort();
		return 0;
	}
	visit(older, &first);
	visit(older, &second);
	if (memcmp(&first, &second, sizeof(first)) != 0)
		abort();
	snap_older_freep(&older);
	if (snap_older_parse(&older, slice_of(data, size), false, &err) == 0 &&
	    snap_older_missing(older) > 0)
		abort();
	return 0;
}
