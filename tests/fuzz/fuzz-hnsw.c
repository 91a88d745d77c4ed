/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hostile index files: a header of 100 bytes, three lengths of 4 bytes, then data_level0.bin,
 * length.bin and link_lists.bin.
 *
 * The oracles: what opens can be searched, and finds nothing that is not there; what repair makes
 * of it is clean, with every label where it was.
 */

#include "hnsw/hnsw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HITS 4
#define REPAIR_MAX 512u /* elements; larger ones are only looked at */

static int ignore(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	unsigned char *seen = ctx;

	(void)err;
	if (hnsw_finding_name(f->kind) == NULL || hnsw_file_name(f->file) == NULL)
		abort();
	seen[f->kind]++;
	return 0;
}

/* Split the input; level 0 is copied to where it is aligned. */
static void split(const uint8_t *data, size_t size, struct buf *level0, struct hnsw_files *out)
{
	static const enum hnsw_file order[] = { HNSW_LEVEL0, HNSW_LENGTH, HNSW_LINKS };
	struct cursor c = cursor_of(slice_of(data, size));
	uint32_t len[3] = { 0 };

	if (!cursor_take(&c, HNSW_HEADER_LEN, &out->file[HNSW_HEADER]))
		out->file[HNSW_HEADER] = slice_of(data, size);
	for (size_t i = 0; i < 3; i++)
		if (!cursor_le32(&c, &len[i]))
			return;
	for (size_t i = 0; i < 3; i++)
		if (!cursor_take(&c, VS_MIN((size_t)len[i], cursor_left(&c)), &out->file[order[i]]))
			abort();
	buf_append(level0, out->file[HNSW_LEVEL0].ptr, out->file[HNSW_LEVEL0].len);
	out->file[HNSW_LEVEL0] = buf_slice(level0);
}

static void search(const struct hnsw_index *x, enum hnsw_space space)
{
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = NULL;
	struct hnsw_hit hits[HITS];
	struct vs_err err = { 0 };
	size_t n;

	if (x->count == 0)
		return;
	if (hnsw_searcher_new(x, space, &s, &err) < 0)
		return;
	n = hnsw_search(s, hnsw_vector(x, x->count / 2), HITS, 10, hits);
	n = n > HITS ? HITS + 1 : n;
	for (size_t i = 0; i < n; i++)
		if (n > HITS || hits[i].id >= x->count || hnsw_is_deleted(x, hits[i].id))
			abort();
	n = hnsw_search_exact(x, space, hnsw_vector(x, 0), HITS, NULL, NULL, hits);
	if (n > HITS)
		abort();
}

/* Labels and what cosine asks of values are as they were; all else has to be sound. */
static void repair(const struct hnsw_index *x, enum hnsw_space space)
{
	const struct hnsw_params params = {
		.space = space,
		.dim = x->dim,
		.m = (uint32_t)VS_MAX(x->header.max_m, (uint64_t)2),
		.ef_construction = 16,
		.build_ef = 16,
		.seed = 1,
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	unsigned char seen[HNSW_CUT_OFF + 1] = { 0 };
	const struct hnsw_check_request request = { .space = space,
						    .finding = ignore,
						    .ctx = seen };
	struct hnsw_repair summary;
	struct hnsw_stats stats;
	struct vs_err err = { 0 };
	int r;

	if (x->count > REPAIR_MAX || params.m > 64 || x->dim > 64)
		return;
	r = hnsw_graph_repair(x, NULL, &params, NULL, NULL, &g, &summary, &err);
	if (r == VS_ENOMEM)
		return;
	if (r < 0 || hnsw_check_index(hnsw_graph_index(g), &request, &stats, &err) != 1)
		abort();
	for (int kind = HNSW_HEADER_SIZE; kind <= HNSW_LINK_LEVEL; kind++)
		if (seen[kind] != 0 && kind != HNSW_ENTRY_DELETED)
			abort();
	if (seen[HNSW_VALUE_NOT_FINITE] != 0 || hnsw_graph_index(g)->count != x->count)
		abort();
	for (uint32_t id = 0; id < x->count; id++)
		if (hnsw_label(hnsw_graph_index(g), id) != hnsw_label(x, id))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index as = { 0 };
	unsigned char seen[HNSW_CUT_OFF + 1] = { 0 };
	enum hnsw_space space = size > 0 ? (enum hnsw_space)(data[size - 1] % 3) : HNSW_L2;
	const struct hnsw_check_request request = { .space = space,
						    .finding = ignore,
						    .ctx = seen };
	struct hnsw_files files = { 0 };
	struct hnsw_stats stats;
	struct hnsw_fault fault = { 0 };
	struct hnsw_header h;
	struct vs_err err = { 0 };
	int r;

	split(data, size, &level0, &files);
	r = hnsw_check(&files, &request, &stats, &err);
	if (r < 0 && r != VS_ENOMEM)
		abort();
	r = hnsw_open(&files, &x, &fault, &err);
	if (r < 0 || (r == 0 && fault.text[0] == '\0'))
		abort();
	if (r == 1) {
		search(&x, space);
		repair(&x, space);
	}
	if (hnsw_header_make(0, 8, 6, 100, &h, &err) == 0 &&
	    hnsw_open_as(&files, &h, 1000, &as, &fault, &err) == 1) {
		search(&as, space);
		repair(&as, space);
	}
	return 0;
}
