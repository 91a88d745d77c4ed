/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Checking a graph of many elements, and mending one of which a hundredth is damaged
 *
 * The graph that is checked is made here, with links to elements anywhere, which is the worst that
 * can be asked of a cache; its files lie on a disk and are mapped, as far as the page cache goes.
 */

#include "bench-hnsw.h"

#include <sys/mman.h>
#include <unistd.h>

#define M 16u
#define LEVEL_BITS 4u /* each level has a sixteenth of the elements of that below */

/* ---- checking ---- */

struct made {
	struct buf file[HNSW_FILES];
	struct hnsw_header header;
	uint32_t top;
};

static void made_fini(struct made *m)
{
	for (int i = 0; i < HNSW_FILES; i++)
		buf_fini(&m->file[i]);
}

static uint32_t level_of(const struct made *m, uint32_t id)
{
	uint32_t level = 0;

	while (level < m->top && id % (1u << (LEVEL_BITS * (level + 1))) == 0)
		level++;
	return level;
}

static void add32(struct buf *out, uint32_t value)
{
	buf_append(out, &value, sizeof(value));
}

/* Links to elements of the level: the next one, so that all are reached, and others anywhere. */
static void add_list(const struct made *m, struct buf *out, uint32_t id, uint32_t level,
		     uint32_t max)
{
	uint32_t step = 1u << (LEVEL_BITS * level);
	uint32_t there = ((uint32_t)m->header.count + step - 1) / step;
	uint32_t links[2 * M];
	uint32_t count = 0;

	while (count < VS_MIN(max, there - 1)) {
		uint32_t to =
			count == 0 ? (id / step + 1) % there : (uint32_t)(bench_random() * there);
		bool is_new = to * step != id;

		for (uint32_t i = 0; i < count; i++)
			is_new &= links[i] != to * step;
		if (is_new)
			links[count++] = to * step;
	}
	add32(out, count);
	for (uint32_t i = 0; i < max; i++)
		add32(out, i < count ? links[i] : 0);
}

static void make(struct made *m, uint32_t count, uint32_t dim)
{
	unsigned char header[HNSW_HEADER_LEN];
	struct vs_err err = { 0 };

	if (hnsw_header_make(count, dim, M, 100, &m->header, &err) < 0)
		abort();
	while (m->top < 7 && count >> (LEVEL_BITS * (m->top + 1)) > 0)
		m->top++;
	m->header.entry = 0;
	m->header.max_level = (int32_t)m->top;
	hnsw_header_encode(&m->header, header);
	buf_append(&m->file[HNSW_HEADER], header, sizeof(header));
	for (uint32_t id = 0; id < count; id++) {
		uint32_t levels = level_of(m, id);
		uint64_t label = id + UINT64_C(1);
		float value;

		add_list(m, &m->file[HNSW_LEVEL0], id, 0, 2 * M);
		for (uint32_t i = 0; i < dim; i++) {
			value = (float)bench_random();
			buf_append(&m->file[HNSW_LEVEL0], &value, sizeof(value));
		}
		buf_append(&m->file[HNSW_LEVEL0], &label, sizeof(label));
		add32(&m->file[HNSW_LENGTH], 0);
		add32(&m->file[HNSW_LINKS], (uint32_t)(levels * (4 + 4 * M)));
		for (uint32_t level = 1; level <= levels; level++)
			add_list(m, &m->file[HNSW_LINKS], id, level, M);
	}
}

/* The bytes from a file without a name; unmapped at the end of the process. */
static struct slice mapped(const struct buf *bytes)
{
	FILE *f = tmpfile();
	void *at;

	if (f == NULL || fwrite(bytes->ptr, 1, bytes->len, f) != bytes->len || fflush(f) != 0)
		abort();
	at = mmap(NULL, bytes->len, PROT_READ, MAP_PRIVATE, fileno(f), 0);
	if (at == MAP_FAILED)
		abort();
	(void)fclose(f);
	return slice_of(at, bytes->len);
}

static int note(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	(void)ctx;
	(void)err;
	printf("  finding: %s, element %" PRIu32 "\n", hnsw_finding_name(f->kind), f->element);
	return 0;
}

bool bench_check(size_t count, size_t dim)
{
	struct hnsw_files files;
	bool is_good = true;

	{
		cleanup_(made_fini) struct made m = { 0 };

		make(&m, (uint32_t)count, (uint32_t)dim);
		for (int i = 0; i < HNSW_FILES; i++)
			files.file[i] = mapped(&m.file[i]);
	}
	printf("check, %zu elements of %zu values, links to anywhere, %zu bytes\n", count, dim,
	       files.file[HNSW_LEVEL0].len + files.file[HNSW_LINKS].len);
	for (unsigned threads = 1; threads <= cpu_count(); threads++) {
		cleanup_(pool_freep) struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
		const struct hnsw_check_request request = { .space = HNSW_L2,
							    .pool = pool,
							    .finding = note };
		struct hnsw_stats stats;
		struct vs_err err = { 0 };
		struct bench_time from = bench_now(), took;

		if (hnsw_check(&files, &request, &stats, &err) != 1)
			abort();
		took = bench_since(from);
		printf("  %u thread%s %.2f s (processors %.2f), %" PRIu64 " links, %" PRIu32
		       " not reached, %" PRIu64 " findings\n",
		       threads, threads == 1 ? " " : "s", took.clock, took.processor, stats.links0,
		       stats.unreachable, stats.findings);
		is_good &= stats.findings == 0;
	}
	return is_good;
}

/* ---- mending ---- */

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* All links of every hundredth element lead nowhere. */
static void damage(const struct hnsw_index *x, struct buf *level0)
{
	for (uint32_t id = 50; id < x->count; id += 100)
		memset(level0->ptr + hnsw_record_off(x, id) + 4, 0xff,
		       (size_t)4 * x->header.max_m0);
}

bool bench_relink(size_t count, size_t dim)
{
	cleanup_(bench_data_freep) struct bench_data *d = bench_data_new("clustered", count, dim);
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(hnsw_graph_freep) struct hnsw_graph *mended = NULL;
	cleanup_(hnsw_index_fini) struct hnsw_index broken = { 0 };
	cleanup_(made_fini) struct made m = { 0 };
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = (uint32_t)dim, .m = M, .ef_construction = 100, .seed = 1
	};
	struct bench_time building, mending, searching;
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct hnsw_repair done;
	struct vs_err err = { 0 };
	double before, after;

	g = bench_build(d, NULL, &building);
	(void)bench_find_exact(d, hnsw_graph_index(g));
	before = bench_recall(d, hnsw_graph_index(g), 100, &searching);
	for (int i = 0; i < HNSW_FILES; i++) {
		if (hnsw_graph_save(g, (enum hnsw_file)i, append, &m.file[i], &err) < 0)
			abort();
		if (i == HNSW_LEVEL0)
			damage(hnsw_graph_index(g), &m.file[i]);
		files.file[i] = buf_slice(&m.file[i]);
	}
	if (hnsw_open(&files, &broken, &fault, &err) != 1)
		abort();
	mending = bench_now();
	if (hnsw_graph_repair(&broken, &m.file[HNSW_LEVEL0], &params, NULL, NULL, &mended, &done,
			      &err) < 0)
		abort();
	mending = bench_since(mending);
	after = bench_recall(d, hnsw_graph_index(mended), 100, &searching);
	printf("relink, %zu vectors of %zu values, links of every hundredth gone\n", count, dim);
	printf("  build %.2f s (processors %.2f), recall@10 %.4f\n", building.clock,
	       building.processor, before);
	printf("  mend  %.3f s (processors %.3f), recall@10 %.4f, %" PRIu32 " linked anew, %" PRIu32
	       " trimmed\n",
	       mending.clock, mending.processor, after, done.relinked, done.trimmed);
	printf("  build / mend %.1f (processors %.1f)\n", building.clock / mending.clock,
	       building.processor / mending.processor);
	return after >= before - 0.001;
}
