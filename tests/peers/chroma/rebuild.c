/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Build or repair the index of a vector segment in place, for test-server.sh to give it back to the
 * server:
 *
 *	rebuild build|repair l2|cosine|ip DIRECTORY
 *
 * build takes labels, marks and vectors only and links them anew; repair keeps what links are sound.
 */

#include "hnsw/hnsw.h"

static void load(const char *dir, const char *name, struct buf *out)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	unsigned char block[4096];
	FILE *file;
	size_t n;

	buf_printf(&path, "%s/%s", dir, name);
	file = fopen(buf_cstr(&path), "rb");
	assert(file != NULL);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_append(out, block, n);
	(void)fclose(file);
}

static int write_piece(void *ctx, struct slice bytes, struct vs_err *err)
{
	if (fwrite(bytes.ptr, 1, bytes.len, ctx) != bytes.len)
		return vs_fail_errno(err, "cannot write");
	return 0;
}

static void save(const struct hnsw_graph *g, const char *dir)
{
	struct vs_err err = { 0 };

	for (int i = 0; i < HNSW_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };
		FILE *file;

		buf_printf(&path, "%s/%s", dir, hnsw_file_name((enum hnsw_file)i));
		file = fopen(buf_cstr(&path), "wb");
		if (file == NULL ||
		    hnsw_graph_save(g, (enum hnsw_file)i, write_piece, file, &err) < 0 ||
		    fclose(file) != 0)
			abort();
	}
}

static struct hnsw_graph *build(const struct hnsw_index *x, const struct hnsw_params *params)
{
	struct hnsw_graph *g = NULL;
	const struct hnsw_index *linked = NULL;
	struct vs_err err = { 0 };

	if (hnsw_graph_new(params, x->count, &g, &err) < 0)
		abort();
	for (uint32_t id = 0; id < x->count; id++)
		if (hnsw_graph_add_stored(g, hnsw_label(x, id), hnsw_vector(x, id),
					  hnsw_length(x, id), hnsw_is_deleted(x, id), &err) < 0)
			abort();
	if (hnsw_graph_link(g, NULL, &linked, &err) < 0)
		abort();
	return g;
}

static struct hnsw_graph *repair(const struct hnsw_index *x, const struct hnsw_params *params)
{
	struct hnsw_graph *g = NULL;
	struct hnsw_repair summary;
	struct vs_err err = { 0 };

	if (hnsw_graph_repair(x, NULL, params, NULL, NULL, &g, &summary, &err) < 0)
		abort();
	printf("kept %u, trimmed %u, relinked %u, levels redrawn %u, lost %u\n", summary.kept,
	       summary.trimmed, summary.relinked, summary.levels_redrawn, summary.lost);
	return g;
}

int main(int argc, char **argv)
{
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	struct buf bytes[HNSW_FILES] = { 0 };
	struct hnsw_params params = { .seed = 1 };
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	if (argc != 4 || !hnsw_space_parse(slice_str(argv[2]), &params.space))
		return 16;
	for (int i = 0; i < HNSW_FILES; i++) {
		load(argv[3], hnsw_file_name((enum hnsw_file)i), &bytes[i]);
		files.file[i] = buf_slice(&bytes[i]);
	}
	if (hnsw_open(&files, &x, &fault, &err) != 1)
		return 8;
	params.dim = x.dim;
	params.m = (uint32_t)x.header.m;
	params.ef_construction = (uint32_t)x.header.ef_construction;
	g = strcmp(argv[1], "build") == 0 ? build(&x, &params) : repair(&x, &params);
	save(g, argv[3]);
	for (int i = 0; i < HNSW_FILES; i++)
		buf_fini(&bytes[i]);
	return 0;
}
