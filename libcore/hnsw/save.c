/* SPDX-License-Identifier: Apache-2.0 */

/* Handing out the bytes of the files: but for the header they are in memory as they are saved. */

#include "hnsw/graph.h"

#define PIECE ((size_t)1 << 20)

int hnsw_graph_save(const struct hnsw_graph *g, enum hnsw_file file,
		    int (*put)(void *ctx, struct slice bytes, struct vs_err *err), void *ctx,
		    struct vs_err *err)
{
	unsigned char header[HNSW_HEADER_LEN];
	struct slice all[HNSW_FILES];
	struct slice rest;
	int r;

	assert(g->is_linked);
	hnsw_header_encode(&g->index.header, header);
	all[HNSW_HEADER] = slice_of(header, sizeof(header));
	all[HNSW_LEVEL0] = g->index.level0;
	all[HNSW_LENGTH] = g->index.length;
	all[HNSW_LINKS] = slice_of(g->links, g->links_len);
	rest = all[file];
	while (rest.len > 0) {
		struct slice piece = slice_of(rest.ptr, VS_MIN(rest.len, PIECE));

		r = put(ctx, piece, err);
		if (r < 0)
			return r;
		rest = slice_of(rest.ptr + piece.len, rest.len - piece.len);
	}
	return 0;
}
