/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Index directories: those of real stores say what happened to them and nothing else, each damage
 * made here is told under its code, and no damage makes the check crash, hang or take memory.
 */

#include "segment-kit.h"

#include "hnsw/graph.h"
#include "pickle/pickle.h"

#include <math.h>
#include <sys/stat.h>

#define CODES_MAX 4

/* ---- what real software left behind ---- */

struct scene {
	char store[32];
	char collection[24]; /* the one that is not healthy; empty: all are */
	char codes[CODES_MAX][40];
};

static struct scene scenes[] = {
	{ "base", "", { "" } },
	{ "healthy-1.0", "", { "" } },
	{ "healthy-1.3", "", { "" } },
	{ "legacy-0.4.14", "", { "" } },
	{ "legacy-0.6.3", "", { "" } },
	{ "max-seq-id-missing", "", { "" } },
	{ "queue-unpurged", "", { "" } },
	{ "segment-dir-orphan", "", { "" } },
	{ "data-level0-truncated", "docs", { "chroma-index-vectors-short" } },
	{ "dimension-mismatch", "docs", { "chroma-index-dimension" } },
	{ "disk-full",
	  "full-disk",
	  { "chroma-index-pickle-truncated", "chroma-index-vectors-short" } },
	{ "graph-disconnected", "notes", { "chroma-index-cut-off" } },
	{ "header-count-huge", "docs", { "chroma-index-header" } },
	{ "header-entry-damage", "docs", { "chroma-index-entry" } },
	{ "killed-while-persisting", "ccc", { "chroma-index-pickle-truncated" } },
	{ "length-missing", "docs", { "chroma-index-file-missing" } },
	{ "link-list-size-damage", "notes", { "chroma-index-links-broken" } },
	{ "link-lists-truncated", "notes", { "chroma-index-links-broken" } },
	{ "link-out-of-range", "notes", { "chroma-index-link" } },
	{ "max-seq-id-too-high", "docs", { "chroma-index-id-extra", "chroma-index-id-missing" } },
	{ "pickle-empty", "docs", { "chroma-index-pickle-truncated" } },
	{ "pickle-missing", "docs", { "chroma-index-pickle-missing" } },
	{ "pickle-sqlite-disagree",
	  "notes",
	  { "chroma-index-id-extra", "chroma-index-id-missing", "chroma-index-label-unmapped" } },
	{ "pickle-truncated", "docs", { "chroma-index-pickle-truncated" } },
	{ "segment-dir-missing", "docs", { "chroma-index-directory-missing" } },
	{ "torn-persist",
	  "notes",
	  { "chroma-index-counter", "chroma-index-deleted-mapped",
	    "chroma-index-label-unmapped" } },
	{ "two-writers",
	  "shared-by-two",
	  { "chroma-index-id-missing", "chroma-index-label-duplicate",
	    "chroma-index-label-missing" } },
};

static size_t worth_fixing(const struct kit_findings *f)
{
	return f->report.severity[SEV_ERROR] + f->report.severity[SEV_WARNING];
}

/* Exactly these, and no gap. */
static void expect_codes(const struct kit_findings *f, char codes[][40], const char *where)
{
	cleanup_(vs_freep) char *text = kit_findings_text(f);
	size_t count = 0;

	for (size_t i = 0; i < CODES_MAX && codes[i][0] != '\0'; i++, count++)
		cr_assert_eq(kit_findings_count(f, codes[i]), 1, "%s: no %s in:%s", where, codes[i],
			     text);
	cr_assert_eq(worth_fixing(f), count, "%s: %s", where, text);
	cr_assert_eq(f->gaps.count, 0, "%s: %s", where, text);
}

static void expect_scene(const struct scene *scene, enum check_level level)
{
	char none[CODES_MAX][40] = { "" };
	char codes[CODES_MAX][40];
	cleanup_(kit_segments_fini) struct kit_segments s;

	memcpy(codes, scene->codes, sizeof(codes));
	kit_segments_load(&s, scene->store);
	for (size_t i = 0; i < s.count; i++) {
		cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
		bool is_it = strcmp(s.row[i].collection, scene->collection) == 0;

		kit_segment_check(&s, &s.row[i], level, &f);
		expect_codes(&f, is_it ? codes : none, scene->store);
	}
}

ParameterizedTestParameters(chroma_segment, real_directories)
{
	return cr_make_param_array(struct scene, scenes, VS_COUNT(scenes));
}

ParameterizedTest(struct scene *scene, chroma_segment, real_directories, .timeout = 60)
{
	expect_scene(scene, CHECK_FULL);
	expect_scene(scene, CHECK_DEEP);
}

/* A quick check reads no element and still sees what sizes and the header show. */
Test(chroma_segment, quick_sees_sizes_and_the_header)
{
	static const struct scene rows[] = {
		{ "base", "", { "" } },
		{ "healthy-1.3", "", { "" } },
		{ "legacy-0.4.14", "", { "" } },
		{ "data-level0-truncated", "docs", { "chroma-index-vectors-short" } },
		{ "dimension-mismatch", "docs", { "chroma-index-dimension" } },
		{ "header-count-huge", "docs", { "chroma-index-header" } },
		{ "header-entry-damage", "docs", { "chroma-index-entry" } },
		{ "length-missing", "docs", { "chroma-index-file-missing" } },
		{ "link-lists-truncated", "", { "" } },
		{ "pickle-empty", "docs", { "chroma-index-pickle-truncated" } },
		{ "pickle-missing", "docs", { "chroma-index-pickle-missing" } },
		{ "segment-dir-missing", "docs", { "chroma-index-directory-missing" } },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++)
		expect_scene(&rows[i], CHECK_QUICK);
}

/* What only the queue had is named by number, and by the first of them. */
Test(chroma_segment, a_lost_queue_is_told_by_its_records)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };

	kit_segments_load(&s, "queue-emptied");
	kit_segment_check(&s, kit_segment_named(&s, "fresh"), CHECK_FULL, &f);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-id-missing"), 1);
	cr_assert_eq(f.report.kept[0]->count, 7);
	cr_assert(slice_eq_str(f.report.kept[0]->document, "f0"));
}

Test(chroma_segment, figures_are_those_of_the_index)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };

	kit_segments_load(&s, "base");
	kit_segment_check(&s, kit_segment_named(&s, "notes"), CHECK_DEEP, &f);
	cr_assert_eq(f.figures.elements, 38);
	cr_assert_eq(f.figures.deleted, 4);
	cr_assert_eq(f.figures.mapped, 34);
	cr_assert_eq(f.figures.counter, 38);
	cr_assert_eq(f.figures.dimension, 8);
	cr_assert(f.figures.is_there && f.figures.is_persisted && !f.figures.is_class);
	cr_assert(f.figures.has_recall && f.figures.recall > 0.99);
}

Test(chroma_segment, directories_of_no_segment_are_strays)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	const char *ids[SEGMENTS_MAX];
	struct vs_err err = { 0 };

	kit_segments_load(&s, "segment-dir-orphan");
	for (size_t i = 0; i < s.count; i++)
		ids[i] = s.row[i].id;
	kit_mkdir(s.dir, "24e69c0e-7aba-41e6-934b-000000000000"); /* no header in it */
	cr_assert_eq(chroma_segment_check_strays(s.dirfd, ids, s.count, &f.report, &f.gaps, &err),
		     0);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-stray"), 1);
	cr_assert_eq(f.report.count, 1);
	cr_assert_str_eq(f.report.kept[0]->path, "a7b974b9-729f-49f4-9382-5e68db2da9d4");
}

/* ---- damage made here ---- */

#define DOCS_DIM 12
#define DOCS_RECORD 188
#define DOCS_VECTOR 132
#define DOCS_LABEL 180

struct damage {
	char collection[8];
	char file[24]; /* NULL-terminated name below the directory */
	size_t off;
	uint64_t value;
	size_t width; /* 0: cut to @off; 9: append @off bytes; 10: remove; 11: a FIFO */
	char code[40];
};

#define CUT 0
#define GROW 9
#define REMOVE 10
#define FIFO 11

/* Links begin 4 bytes into a record; those of docs' element 0 are known to be more than one. */
static struct damage damages[] = {
	{ "docs", "header.bin", 99, 0, CUT, "chroma-index-header" },
	{ "docs", "header.bin", 0, 2, 4, "chroma-index-header" },
	{ "docs", "header.bin", 28, 189, 8, "chroma-index-header" },
	{ "docs", "header.bin", 20, UINT64_MAX, 8, "chroma-index-header" },
	{ "docs", "header.bin", 12, 5, 8, "chroma-index-header" },
	{ "docs", "header.bin", 84, 0, 8, "chroma-index-header-odd" },
	{ "docs", "header.bin", 84, 0x7ff8000000000000, 8, "chroma-index-header" },
	{ "docs", "header.bin", 84, 0xbff0000000000000, 8, "chroma-index-header" },
	{ "docs", "header.bin", 84, 0x4059000000000000, 8, "chroma-index-header" },
	{ "docs", "data_level0.bin", DOCS_LABEL, 0, 8, "chroma-index-label" },
	{ "docs", "data_level0.bin", DOCS_VECTOR, 0x7f800000, 4, "chroma-index-vector-not-finite" },
	{ "docs", "data_level0.bin", DOCS_VECTOR, 0x41200000, 4, "chroma-index-norm" },
	{ "docs", "data_level0.bin", 0, 0xffff, 2, "chroma-index-link" },
	{ "docs", "data_level0.bin", 3, 7, 1, "chroma-index-link-odd" },
	{ "docs", "data_level0.bin", 4, 0, 4, "chroma-index-link-odd" },
	{ "docs", "length.bin", 100, 0, CUT, "chroma-index-lengths-short" },
	{ "notes", "length.bin", 100, 0, CUT, "chroma-index-lengths-unread" },
	{ "docs", "length.bin", 8, 0xbf800000, 4, "chroma-index-lengths-wrong" },
	{ "docs", "link_lists.bin", 1000, 0, GROW, "chroma-index-links-oversize" },
	{ "docs", "link_lists.bin", 0, 0, FIFO, "chroma-index-file-type" },
	{ "docs", "header.bin", 0, 0, REMOVE, "chroma-index-file-missing" },
	{ "docs", "index_metadata.pickle", 2, 0xff, 1, "chroma-index-pickle-unreadable" },
};

static void apply_damage(const struct kit_segments *s, const char *path, const struct damage *d)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(s->dir, path, &bytes);
	switch (d->width) {
	case CUT:
		bytes.len = d->off;
		break;
	case GROW:
		for (size_t i = 0; i < d->off; i++)
			buf_append_byte(&bytes, 0);
		break;
	case REMOVE:
		kit_remove(s->dir, path);
		return;
	case FIFO:
		kit_remove(s->dir, path);
		kit_mkfifo(s->dir, path);
		return;
	default:
		cr_assert_leq(d->off + d->width, bytes.len);
		for (size_t i = 0; i < d->width; i++)
			bytes.ptr[d->off + i] = (unsigned char)(d->value >> 8 * i);
	}
	kit_write(s->dir, path, buf_slice(&bytes));
}

ParameterizedTestParameters(chroma_segment, made_damage)
{
	return cr_make_param_array(struct damage, damages, VS_COUNT(damages));
}

ParameterizedTest(struct damage *d, chroma_segment, made_damage, .timeout = 60)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(vs_freep) char *text = NULL;
	struct kit_segment *k;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, d->collection);
	buf_printf(&path, "%s/%s", k->id, d->file);
	apply_damage(&s, buf_cstr(&path), d);
	kit_segment_check(&s, k, CHECK_FULL, &f);
	text = kit_findings_text(&f);
	cr_assert_geq(kit_findings_count(&f, d->code), 1, "%s: %s", d->code, text);
}

/* The file says more elements than it holds, and no memory is taken for them. */
Test(chroma_segment, a_sparse_file_costs_nothing, .timeout = 30)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(vs_freep) char *whole = NULL;
	struct kit_segment *k;
	struct vs_err err = { 0 };
	struct file_info info;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "docs");
	buf_printf(&path, "%s/link_lists.bin", k->id);
	whole = kit_path(s.dir, buf_cstr(&path));
	cr_assert_eq(file_stat_at(AT_FDCWD, whole, FILE_FOLLOW, &info, &err), 0);
	if (truncate(whole, (off_t)5 << 40) != 0)
		cr_skip_test("this file system has no files of 5 TB");
	kit_segment_check(&s, k, CHECK_DEEP, &f);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-links-oversize"), 1);
	cr_assert_eq(f.report.kept[0]->count, ((uint64_t)5 << 40) - info.size);
}

Test(chroma_segment, settings_that_differ_are_told)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	struct kit_segment *k;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "docs");
	k->segment.m = 48;
	kit_segment_check(&s, k, CHECK_QUICK, &f);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-parameters"), 1);
	cr_assert_eq(worth_fixing(&f), 1);
}

/* The first save, stopped in front of the pickle: no position in the database, all in the queue. */
Test(chroma_segment, an_unfinished_save_is_no_loss)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	struct kit_segment *k, *queue;
	struct chroma_segment own;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "docs");
	queue = kit_segment_named(&s, "fresh");
	own = k->segment;
	buf_printf(&path, "%s/index_metadata.pickle", k->id);
	kit_remove(s.dir, buf_cstr(&path));
	k->segment.vector.is_set = false;
	k->segment.rows = queue->rows;
	k->segment.row_count = queue->segment.row_count;
	k->segment.log = queue->log;
	k->segment.log_count = queue->segment.log_count;
	k->segment.metadata = queue->segment.metadata;
	kit_segment_check(&s, k, CHECK_FULL, &f);
	k->segment = own;
	cr_assert_eq(kit_findings_count(&f, "chroma-index-unfinished"), 1);
	cr_assert_eq(worth_fixing(&f), 1);
}

/* An id from a database is not trusted to be a name. */
Test(chroma_segment, a_path_for_an_id_is_not_followed)
{
	static const char *const ids[] = { "../x", "a/b", "", ".", ".." };
	cleanup_(kit_segments_fini) struct kit_segments s;

	kit_segments_load(&s, "base");
	for (size_t i = 0; i < VS_COUNT(ids); i++) {
		cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
		struct kit_segment k = { .segment = { .id = ids[i] } };

		kit_segment_check(&s, &k, CHECK_FULL, &f);
		cr_assert_eq(f.gaps.count, 1);
		cr_assert_eq(f.report.count, 0);
	}
}

/* ---- pickles ---- */

static void expect_pickle(const char *bytes, size_t len, const char *code)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(vs_freep) char *text = NULL;
	struct kit_segment *k;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "docs");
	buf_printf(&path, "%s/index_metadata.pickle", k->id);
	kit_write(s.dir, buf_cstr(&path), slice_of(bytes, len));
	kit_segment_check(&s, k, CHECK_FULL, &f);
	text = kit_findings_text(&f);
	cr_assert_eq(kit_findings_count(&f, code), 1, "%s: %s", code, text);
}

Test(chroma_segment, a_pickle_that_would_run_code_is_told_and_not_run)
{
	static const char hidden[] = "\x80\x04}.cos\nsystem\n(S'echo'\ntR.";
	static const char bare[] = "cposix\nsystem\n(S'touch /tmp/vsctl-ran'\ntR.";

	expect_pickle(bare, sizeof(bare) - 1, "chroma-index-pickle-code");
	cr_assert_neq(access("/tmp/vsctl-ran", F_OK), 0);
	/* What stands behind STOP is read by nobody. */
	expect_pickle(hidden, sizeof(hidden) - 1, "chroma-index-pickle-unreadable");
}

static int put(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* The two maps of three ids, the second with two labels changed. */
Test(chroma_segment, maps_that_contradict_each_other_are_told)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct pickle_writer w;
	struct vs_err err = { 0 };

	pickle_writer_begin(&w, &out, 32);
	cr_assert_eq(pickle_writer_add(&w, slice_str("a"), 1, &err), 0);
	cr_assert_eq(pickle_writer_add(&w, slice_str("b"), 2, &err), 0);
	pickle_writer_turn(&w);
	cr_assert_eq(pickle_writer_add(&w, slice_str("a"), 2, &err), 0);
	cr_assert_eq(pickle_writer_add(&w, slice_str("b"), 1, &err), 0);
	cr_assert_eq(pickle_writer_end(&w, &err), 0);
	expect_pickle((const char *)out.ptr, out.len, "chroma-index-pickle-maps");
}

/* ---- indexes built here ---- */

static uint64_t state = 7;

static float noise(void)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (float)((double)(state >> 11) * 0x1p-53) - 0.5f;
}

struct built {
	uint32_t count, dim, m, deleted;
};

/* A directory "built" with ids "1", "2" ... of which the first are deleted. */
static void build(struct kit_segments *s, const struct built *b)
{
	const struct hnsw_params params = { .space = HNSW_L2,
					    .dim = b->dim,
					    .m = b->m,
					    .ef_construction = b->m,
					    .build_ef = b->m,
					    .seed = 1 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	const struct hnsw_index *x = NULL;
	cleanup_(buf_fini) struct buf out = { 0 };
	cleanup_(vs_freep) float *v = vs_alloc_array(b->dim, sizeof(*v));
	struct pickle_writer w;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_graph_new(&params, b->count, &g, &err), 0, "%s", err.text);
	for (uint32_t i = 0; i < b->count; i++) {
		for (uint32_t d = 0; d < b->dim; d++)
			v[d] = noise();
		cr_assert_eq(hnsw_graph_add(g, i + 1, v, i < b->deleted, &err), 0);
	}
	cr_assert_eq(hnsw_graph_link(g, NULL, &x, &err), 0);
	*s = (struct kit_segments){ .dir = kit_dir_new(), .dirfd = -1 };
	kit_mkdir(s->dir, "built");
	for (int i = 0; i < HNSW_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_clear(&out);
		cr_assert_eq(hnsw_graph_save(g, (enum hnsw_file)i, put, &out, &err), 0);
		buf_printf(&path, "built/%s", hnsw_file_name((enum hnsw_file)i));
		kit_write(s->dir, buf_cstr(&path), buf_slice(&out));
	}
	buf_clear(&out);
	pickle_writer_begin(&w, &out, b->count);
	for (int map = 0; map < 2; map++) {
		for (uint32_t i = b->deleted; i < b->count; i++) {
			char id[16];

			snprintf(id, sizeof(id), "%u", i + 1);
			cr_assert_eq(pickle_writer_add(&w, slice_str(id), i + 1, &err), 0);
		}
		if (map == 0)
			pickle_writer_turn(&w);
	}
	cr_assert_eq(pickle_writer_end(&w, &err), 0);
	kit_write(s->dir, "built/index_metadata.pickle", buf_slice(&out));
	cr_assert_eq(file_open_dir(AT_FDCWD, s->dir->path, FILE_FOLLOW, &s->dirfd, &err), 0);
	s->count = 1;
	s->row[0] = (struct kit_segment){ .segment = { .id = "built",
						       .has_space = true,
						       .dimension = b->dim,
						       .ef_search = 10,
						       .m = b->m } };
}

/* Noise of many dimensions, hardly linked: the graph is sound and finds little. */
Test(chroma_segment, low_recall_is_measured, .timeout = 60)
{
	static const struct built b = { .count = 4000, .dim = 96, .m = 3 };
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings deep = { 0 };
	cleanup_(kit_findings_fini) struct kit_findings full = { 0 };
	cleanup_(vs_freep) char *text = NULL;

	build(&s, &b);
	kit_segment_check(&s, &s.row[0], CHECK_FULL, &full);
	kit_segment_check(&s, &s.row[0], CHECK_DEEP, &deep);
	text = kit_findings_text(&deep);
	cr_assert_eq(worth_fixing(&full), 0);
	cr_assert_eq(kit_findings_count(&deep, "chroma-index-recall"), 1, "%f %s",
		     deep.figures.recall, text);
	cr_assert(deep.figures.recall > 0.01 && deep.figures.recall < 0.8);
}

Test(chroma_segment, tombstones_are_counted, .timeout = 60)
{
	static const struct built b = { .count = 250, .dim = 4, .m = 16, .deleted = 150 };
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };

	build(&s, &b);
	kit_segment_check(&s, &s.row[0], CHECK_FULL, &f);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-tombstones"), 1);
	cr_assert_eq(worth_fixing(&f), 0);
}

/* A few elements that no path leads to are worth a note and no more. */
Test(chroma_segment, a_few_unreachable_elements_are_a_note)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };

	kit_segments_load(&s, "queue-unpurged");
	kit_segment_check(&s, kit_segment_named(&s, "notes"), CHECK_FULL, &f);
	cr_assert_eq(kit_findings_count(&f, "chroma-index-unreachable"), 1);
	cr_assert_eq(f.figures.unreachable, 1);
}

/* ---- every bit ---- */

static void flip_all(struct kit_segments *s, struct kit_segment *k, const char *file, size_t step)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };

	buf_printf(&path, "%s/%s", k->id, file);
	kit_read(s->dir, buf_cstr(&path), &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit += step) {
		cleanup_(kit_findings_fini) struct kit_findings f = { .report = { .max = 20 } };

		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
		kit_write(s->dir, buf_cstr(&path), buf_slice(&bytes));
		kit_segment_check(s, k, CHECK_DEEP, &f);
		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	kit_write(s->dir, buf_cstr(&path), buf_slice(&bytes));
}

/* Whatever a flipped bit makes of a file, the check ends, and the header never takes memory. */
Test(chroma_segment, flipped_bits_do_no_harm, .timeout = 100)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings f = { 0 };
	struct kit_segment *k;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "notes");
	flip_all(&s, k, "header.bin", 1);
	flip_all(&s, k, "link_lists.bin", 3);
	flip_all(&s, k, "index_metadata.pickle", 5);
	flip_all(&s, k, "data_level0.bin", 23);
	kit_segment_check(&s, k, CHECK_DEEP, &f);
	cr_assert_eq(worth_fixing(&f), 0);
}

/* Each flipped bit of the header is told, save where it only lowers or raises what has slack. */
Test(chroma_segment, flipped_bits_of_the_header_are_told, .timeout = 60)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct kit_segment *k;
	size_t silent = 0;

	kit_segments_load(&s, "base");
	k = kit_segment_named(&s, "notes");
	buf_printf(&path, "%s/header.bin", k->id);
	kit_read(s.dir, buf_cstr(&path), &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		cleanup_(kit_findings_fini) struct kit_findings f = { 0 };

		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
		kit_write(s.dir, buf_cstr(&path), buf_slice(&bytes));
		kit_segment_check(&s, k, CHECK_FULL, &f);
		bytes.ptr[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (worth_fixing(&f) > 0)
			continue;
		silent++;
		/* max_elements, the entry point, the low digits of mult, ef_construction. */
		cr_assert((bit / 8 >= 12 && bit / 8 < 20) || (bit / 8 >= 56 && bit / 8 < 60) ||
				  (bit / 8 >= 84 && bit / 8 < 100),
			  "bit %zu", bit);
	}
	cr_assert_lt(silent, 160);
}
