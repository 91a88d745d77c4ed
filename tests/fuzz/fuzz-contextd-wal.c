/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An entry of contextd's write-ahead log that anybody may have written. The oracle: all that is
 * handed on lies inside the input.
 */

#include "chromem/chromem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_inside(struct slice outer, struct slice inner)
{
	if (inner.len > 0 &&
	    (inner.ptr < outer.ptr || inner.ptr + inner.len > outer.ptr + outer.len))
		abort();
}

static int look(void *ctx, const struct contextd_wal_doc *doc, struct vs_err *err)
{
	const struct slice *input = ctx;

	(void)err;
	require_inside(*input, doc->id);
	require_inside(*input, doc->collection);
	for (size_t i = 0; i < doc->metadata_count; i++) {
		require_inside(*input, doc->metadata[i].key);
		require_inside(*input, doc->metadata[i].value);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key[CONTEXTD_KEY_LEN] = "a key that made no checksum here";
	struct slice input = slice_of(data, size);
	struct contextd_wal_entry entry;
	struct vs_err err = { 0 };

	(void)!contextd_wal_docs(input, look, &input, &err);
	if (contextd_wal_entry(input, key, &entry, &err) == 0) {
		require_inside(input, entry.id);
		require_inside(input, entry.operation);
		if (entry.is_proven)
			abort();
	}
	return 0;
}
