/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a snapshot needs to know of chromem-go's directory. Every file is its own; the library
 * writes it in place, in several calls, so one that was written a moment ago and does not decode
 * may be only half of what it is going to be.
 */

#include "chromem/chromem.h"
#include "snap/private.h"

static int list(const struct store *store, void *state, struct snap_listing *out,
		struct vs_err *err)
{
	(void)state;
	return snap_list_tree(store->dirfd, out, err);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_extension(const char *path)
{
	struct slice name = slice_str(path);

	return slice_ends_with(name, ".gob") || slice_ends_with(name, ".gob.gz");
}

static bool is_metadata(const char *path)
{
	const char *base = base_of(path);

	return strcmp(base, "00000000.gob") == 0 || strcmp(base, "00000000.gob.gz") == 0;
}

static bool is_half(const char *path, struct slice bytes)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = NULL;
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct chromem_meta meta;
	struct vs_err err = { 0 };
	int r;

	if (!has_extension(path))
		return false;
	reader = chromem_reader_new();
	r = is_metadata(path) ? chromem_decode_meta(reader, bytes, &meta, &fault, &err)
			      : chromem_decode_doc(reader, bytes, &doc, &fault, &err);
	return r > 0 &&
	       (fault.kind == CHROMEM_FAULT_EMPTY || fault.kind == CHROMEM_FAULT_TRUNCATED ||
		fault.kind == CHROMEM_FAULT_GZIP_TRUNCATED);
}

/* ---- grouping ---- */

/* The members below one directory of the store. */
struct run {
	size_t first, end;
	size_t dir_len;
};

struct grouping {
	struct snap_manifest *m;
	struct run *runs;
	size_t count, cap;
	const char *extension; /* of the store's documents */
};

/* A document or metadata file directly in a directory of the store. */
static bool is_record(const char *path, size_t dir_len, const char *extension)
{
	return !strchr(path + dir_len + 1, '/') && slice_ends_with(slice_str(path), extension);
}

static void find_extension(struct grouping *g)
{
	size_t plain = 0, packed = 0;

	for (size_t i = 0; i < g->m->member_count; i++) {
		plain += slice_ends_with(slice_str(g->m->members[i].path), ".gob");
		packed += slice_ends_with(slice_str(g->m->members[i].path), ".gob.gz");
	}
	g->extension = packed > plain ? ".gob.gz" : ".gob";
}

static int compare_runs(const void *a_, const void *b_, void *m_)
{
	const struct snap_manifest *m = m_;
	const struct run *a = a_;
	const struct run *b = b_;

	return slice_cmp(slice_of(m->members[a->first].path, a->dir_len),
			 slice_of(m->members[b->first].path, b->dir_len));
}

static void find_runs(struct grouping *g)
{
	const struct snap_manifest *m = g->m;
	size_t i = 0;

	while (i < m->member_count) {
		const char *path = m->members[i].path;
		const char *slash = strchr(path, '/');
		struct run run = { .first = i };
		bool has_records = false;

		if (!slash) {
			i++;
			continue;
		}
		run.dir_len = (size_t)(slash - path);
		for (;
		     i < m->member_count && strncmp(m->members[i].path, path, run.dir_len + 1) == 0;
		     i++)
			has_records |= is_record(m->members[i].path, run.dir_len, g->extension);
		run.end = i;
		if (!has_records)
			continue;
		g->runs = vs_grow(g->runs, &g->cap, g->count + 1, sizeof(*g->runs));
		g->runs[g->count++] = run;
	}
	if (g->count > 0)
		qsort_r(g->runs, g->count, sizeof(*g->runs), compare_runs, g->m);
}

static void mark_documents(struct grouping *g, const struct run *run, uint32_t collection)
{
	for (size_t i = run->first; i < run->end; i++) {
		struct snap_member *member = &g->m->members[i];

		member->collection = collection;
		if (is_record(member->path, run->dir_len, g->extension) &&
		    !is_metadata(member->path))
			member->batch = 0;
	}
}

static void number_batches(struct snap_manifest *m)
{
	cleanup_(vs_freep) uint32_t *batches = snap_number_batches(m);

	for (size_t i = 0; i < m->member_count; i++)
		m->members[i].batch = batches[i];
}

static int read_name(struct grouping *g, struct snap_collection *c,
		     int (*read)(void *ctx, const struct snap_member *member, struct buf *out,
				 struct vs_err *err),
		     void *ctx, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = NULL;
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	const struct snap_member *member;
	struct chromem_fault fault;
	struct chromem_meta meta;
	int r;

	buf_printf(&path, "%s/00000000%s", c->directory, g->extension);
	member = snap_find_member(g->m, buf_cstr(&path));
	if (!member || member->size > CHROMEM_FILE_MAX)
		return 0;
	r = read(ctx, member, &bytes, err);
	if (r < 0)
		return r;
	reader = chromem_reader_new();
	r = chromem_decode_meta(reader, buf_slice(&bytes), &meta, &fault, err);
	if (r == 0 && meta.name.len > 0)
		c->name = slice_of(vs_strndup(meta.name), meta.name.len);
	return VS_MIN(r, 0);
}

static int group(struct snap_manifest *m, void *state,
		 int (*read)(void *ctx, const struct snap_member *member, struct buf *out,
			     struct vs_err *err),
		 void *ctx, struct vs_err *err)
{
	struct grouping g = { .m = m };
	int r = 0;

	(void)state;
	for (size_t i = 0; i < m->member_count; i++) {
		m->members[i].collection = UINT32_MAX;
		m->members[i].batch = SNAP_NO_BATCH;
	}
	find_extension(&g);
	find_runs(&g);
	m->collections = vs_alloc_array(g.count, sizeof(*m->collections));
	for (size_t i = 0; r == 0 && i < g.count; i++) {
		struct snap_collection *c = &m->collections[i];

		m->collection_count = i + 1;
		c->directory =
			vs_strndup(slice_of(m->members[g.runs[i].first].path, g.runs[i].dir_len));
		mark_documents(&g, &g.runs[i], (uint32_t)i);
		r = read_name(&g, c, read, ctx, err);
	}
	number_batches(m);
	free(g.runs);
	return r;
}

const struct snap_backend snap_backend_chromem = {
	.kind = "chromem",
	.list = list,
	.is_half = is_half,
	.group = group,
};

int snap_backend_for(enum store_kind kind, const struct snap_backend **out, struct vs_err *err)
{
	switch (kind) {
	case STORE_CHROMEM:
		*out = &snap_backend_chromem;
		return 0;
	case STORE_CHROMA:
		*out = &snap_backend_chroma;
		return 0;
	case STORE_CHROMEM_EXPORT:
		break;
	}
	return vs_fail(err, VS_ENOTSUP,
		       "snapshots are made of directories; an export is one file: copy it");
}
