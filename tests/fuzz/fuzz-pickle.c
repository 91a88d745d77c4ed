/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hostile index metadata.
 *
 * Three oracles: the scan calls harmless whatever the reader takes; a refusal says why and where;
 * and what was read, written again, reads the same.
 */

#include "pickle/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copy {
	struct pickle_entry *entries;
	size_t count, cap;
};

static void copy_fini(struct copy *c)
{
	free(c->entries);
}

static int take(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct copy *c = ctx;

	(void)err;
	c->entries = vs_grow(c->entries, &c->cap, c->count + 1, sizeof(*c->entries));
	c->entries[c->count++] = *entry;
	return 0;
}

static int read_into(struct slice bytes, struct copy *c, struct pickle_meta *meta,
		     struct pickle_fault *fault)
{
	const struct pickle_sink sink = { c, take };
	struct vs_err err = { 0 };
	int r = pickle_read(bytes, &sink, meta, fault, &err);

	if (r < 0 && r != VS_ENOMEM)
		abort();
	if (r == 0 &&
	    (fault->kind == PICKLE_FAULT_NONE || fault->text[0] == '\0' || fault->off > bytes.len))
		abort();
	return r;
}

/* Only maps that a writer would take can be written again. */
static bool write_again(const struct copy *c, int64_t total, struct buf *out)
{
	struct pickle_writer w;
	struct vs_err err = { 0 };

	pickle_writer_begin(&w, out, total);
	for (int map = PICKLE_ID_TO_LABEL; map <= PICKLE_LABEL_TO_ID; map++) {
		for (size_t i = 0; i < c->count; i++)
			if (c->entries[i].map == (enum pickle_map)map &&
			    pickle_writer_add(&w, c->entries[i].id, c->entries[i].number, &err) < 0)
				return false;
		if (map == PICKLE_ID_TO_LABEL)
			pickle_writer_turn(&w);
	}
	return pickle_writer_end(&w, &err) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(copy_fini) struct copy first = { 0 };
	cleanup_(copy_fini) struct copy second = { 0 };
	cleanup_(buf_fini) struct buf again = { 0 };
	cleanup_(buf_fini) struct buf thrice = { 0 };
	struct pickle_meta meta;
	struct pickle_fault fault;
	struct pickle_scan scan;
	struct vs_err err = { 0 };

	if (pickle_scan(slice_of(data, size), NULL, NULL, &scan, &err) != 0)
		abort();
	if (read_into(slice_of(data, size), &first, &meta, &fault) != 1)
		return 0;
	if (!scan.is_harmless || !scan.is_whole || scan.known_imports != meta.is_class)
		abort();
	if (!write_again(&first, meta.total_elements_added.value, &again))
		return 0;
	if (read_into(buf_slice(&again), &second, &meta, &fault) != 1 ||
	    !write_again(&second, meta.total_elements_added.value, &thrice) ||
	    !slice_eq(buf_slice(&again), buf_slice(&thrice)))
		abort();
	return 0;
}
