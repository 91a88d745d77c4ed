/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Index directories written anew: from what real servers left broken, every vector that still has a
 * copy comes back as the client sent it, and the check finds nothing wrong with the result.
 */

#include "segment-kit.h"

#include "pickle/pickle.h"
#include "repair/repair.h"

#include <math.h>

struct rebuild {
	char store[32];
	char collection[24];
	uint64_t lost, paired;
	bool is_mended;
};

static struct rebuild rebuilds[] = {
	/* Sound ones are mended, which changes nothing. */
	{ "base", "docs", 0, 0, true },
	{ "base", "notes", 0, 0, true },
	{ "healthy-1.0", "cos-persisted", 0, 0, true },
	{ "legacy-0.6.3", "persisted", 0, 0, true },
	/* Links, entry point and lengths alone are mended, too. */
	{ "graph-disconnected", "notes", 0, 0, true },
	{ "header-entry-damage", "docs", 0, 0, true },
	{ "link-list-size-damage", "notes", 0, 0, true },
	{ "link-lists-truncated", "notes", 0, 0, true },
	{ "link-out-of-range", "notes", 0, 0, true },
	/* The rest is built. */
	{ "header-count-huge", "docs", 0, 0, false },
	{ "pickle-truncated", "docs", 3, 0, false },
	{ "killed-while-persisting", "ccc", 0, 38, false },
	{ "torn-persist", "notes", 0, 0, false },
	{ "disk-full", "full-disk", 0, 0, false },
	{ "data-level0-truncated", "docs", 14, 0, false },
	{ "segment-dir-missing", "docs", 26, 0, false },
};

/* ---- making it ---- */

struct kit_rebuilt {
	struct index_image *image;
	struct index_summary summary;
	struct buf file[INDEX_FILES];
};

static void kit_rebuilt_fini(struct kit_rebuilt *r)
{
	index_image_freep(&r->image);
	index_summary_fini(&r->summary);
	for (int i = 0; i < INDEX_FILES; i++)
		buf_fini(&r->file[i]);
}

static struct index_row *rows_of(const struct chroma_segment_row *from, const struct slice *vectors,
				 size_t count)
{
	struct index_row *out = vs_alloc_array(count + 1, sizeof(*out));

	for (size_t i = 0; i < count; i++)
		out[i] = (struct index_row){ from[i].id, from[i].seq_id, from[i].operation,
					     vectors ? vectors[i] : slice_of(NULL, 0), 0 };
	return out;
}

static int rebuild(const struct kit_segments *s, const struct kit_segment *k, bool is_python,
		   struct kit_rebuilt *out, struct vs_err *err)
{
	const struct chroma_segment *segment = &k->segment;
	cleanup_(vs_freep) struct index_row *rows =
		rows_of(segment->rows, NULL, segment->row_count);
	cleanup_(vs_freep) struct index_row *log =
		rows_of(segment->log, k->vectors, segment->log_count);
	const struct index_facts facts = { .dirfd = s->dirfd,
					   .segment = segment->id,
					   .params = { .space = segment->space,
						       .dim = segment->dimension,
						       .m = segment->m,
						       .ef_construction = 100,
						       .seed = 1 },
					   .is_python = is_python,
					   .has_position = segment->vector.is_set,
					   .position = segment->vector.seq_id,
					   .rows = rows,
					   .row_count = segment->row_count,
					   .log = log,
					   .log_count = segment->log_count };
	int r = index_image_make(&facts, &out->image, &out->summary, err);

	for (int i = 0; r == 0 && i < INDEX_FILES; i++)
		r = index_image_file(out->image, i, &out->file[i], err);
	return r;
}

/* Put it in the place of the old one. */
static void install(const struct kit_segments *s, const struct kit_segment *k,
		    const struct kit_rebuilt *made)
{
	struct vs_err err = { 0 };
	struct file_info info;

	if (file_stat_at(s->dirfd, k->id, FILE_NO_FOLLOW, &info, &err) < 0)
		kit_mkdir(s->dir, k->id);
	for (int i = 0; i < INDEX_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "%s/%s", k->id, index_file_name(i));
		kit_write(s->dir, buf_cstr(&path), buf_slice(&made->file[i]));
	}
}

/* ---- what a client gets ---- */

struct lookup_ctx {
	struct slice id;
	int64_t label;
};

static int find_entry(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct lookup_ctx *l = ctx;

	(void)err;
	if (entry->map == PICKLE_ID_TO_LABEL && slice_eq(entry->id, l->id))
		l->label = entry->number;
	return 0;
}

static bool is_touched_above(const struct kit_segment *k, struct slice id)
{
	for (size_t i = 0; i < k->segment.log_count; i++)
		if (slice_eq(k->log[i].id, id) &&
		    (!k->segment.vector.is_set || k->log[i].seq_id > k->segment.vector.seq_id))
			return true;
	return false;
}

/* 1: as it was written; 0: not there; -1: another vector. */
static int compare_truth(const struct kit_segment *k, const struct kit_rebuilt *made,
			 const struct hnsw_index *x, const struct kit_truth *truth)
{
	struct lookup_ctx l = { .id = truth->id };
	const struct pickle_sink sink = { .ctx = &l, .entry = find_entry };
	struct pickle_meta meta;
	struct pickle_fault fault;
	struct vs_err err = { 0 };

	cr_assert_eq(pickle_read(buf_slice(&made->file[INDEX_PICKLE]), &sink, &meta, &fault, &err),
		     1, "%s", fault.text);
	for (uint32_t id = 0; l.label > 0 && id < x->count; id++) {
		bool is_cosine = k->segment.space == HNSW_COSINE;
		float scale = is_cosine ? hnsw_length(x, id) : 1;

		if (hnsw_label(x, id) != (uint64_t)l.label || hnsw_is_deleted(x, id))
			continue;
		for (uint32_t d = 0; d < x->dim; d++) {
			float want;

			memcpy(&want, truth->vector.ptr + (size_t)4 * d, sizeof(want));
			if (fabsf(want - scale * hnsw_vector(x, id)[d]) > 1e-5f * (1 + fabsf(want)))
				return -1;
		}
		return 1;
	}
	return 0;
}

/* How many come back; none may come back as another. */
static size_t check_truth(const struct kit_segment *k, const struct kit_rebuilt *made,
			  const char *store)
{
	const struct hnsw_files files = {
		.file = { buf_slice(&made->file[0]), buf_slice(&made->file[1]),
			  buf_slice(&made->file[2]), buf_slice(&made->file[3]) }
	};
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_fault fault;
	struct vs_err err = { 0 };
	size_t found = 0;

	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	for (size_t i = 0; i < k->truth_count; i++) {
		int r;

		if (is_touched_above(k, k->truth[i].id))
			continue;
		r = compare_truth(k, made, &x, &k->truth[i]);
		cr_assert_geq(r, 0, "%s: %.*s has another vector", store, (int)k->truth[i].id.len,
			      k->truth[i].id.ptr);
		found += r > 0;
	}
	return found;
}

ParameterizedTestParameters(index_rebuild, every_copy_is_used)
{
	return cr_make_param_array(struct rebuild, rebuilds, VS_COUNT(rebuilds));
}

ParameterizedTest(struct rebuild *row, index_rebuild, every_copy_is_used, .timeout = 60)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_findings_fini) struct kit_findings after = { 0 };
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt made = { 0 };
	cleanup_(vs_freep) char *text = NULL;
	struct kit_segment *k;
	struct vs_err err = { 0 };
	size_t settled = 0;
	size_t found;

	kit_segments_load(&s, row->store);
	k = kit_segment_named(&s, row->collection);
	cr_assert_eq(rebuild(&s, k, strncmp(row->store, "legacy", 6) == 0, &made, &err), 0,
		     "%s: %s", row->store, err.text);
	install(&s, k, &made);
	kit_segment_check(&s, k, CHECK_DEEP, &after);
	text = kit_findings_text(&after);
	cr_expect_eq(made.summary.lost, row->lost, "%s: lost %" PRIu64 " %s", row->store,
		     made.summary.lost, buf_cstr(&made.summary.lost_ids));
	cr_expect_eq(made.summary.paired, row->paired, "%s: paired %" PRIu64, row->store,
		     made.summary.paired);
	cr_expect_eq(made.summary.is_mended, row->is_mended, "%s", row->store);
	cr_expect_eq(after.report.severity[SEV_ERROR],
		     kit_findings_count(&after, "chroma-index-id-missing"), "%s: %s", row->store,
		     text);
	cr_expect_eq(kit_findings_count(&after, "chroma-index-id-missing"), row->lost > 0, "%s: %s",
		     row->store, text);
	for (size_t i = 0; i < k->truth_count; i++)
		settled += !is_touched_above(k, k->truth[i].id);
	found = check_truth(k, &made, row->store);
	cr_expect_eq(found + row->lost, settled, "%s: %zu of %zu", row->store, found, settled);
	cr_expect(!after.figures.has_recall || after.figures.recall > 0.99, "%s: %f", row->store,
		  after.figures.recall);
}

/* ---- what is refused ---- */

Test(index_rebuild, an_index_that_was_never_saved_is_left)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt made = { 0 };
	struct vs_err err = { 0 };

	kit_segments_load(&s, "base");
	cr_assert_eq(rebuild(&s, kit_segment_named(&s, "fresh"), false, &made, &err), VS_EUSAGE);
}

/* Python loads no pickle but its own: where that is lost, nothing is put in its place. */
Test(index_rebuild, a_python_pickle_is_kept_or_nothing_is_done)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt made = { 0 };
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt none = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf old = { 0 };
	struct kit_segment *k;
	struct vs_err err = { 0 };

	kit_segments_load(&s, "legacy-0.4.14");
	k = kit_segment_named(&s, "persisted");
	buf_printf(&path, "%s/index_metadata.pickle", k->id);
	kit_read(s.dir, buf_cstr(&path), &old);
	cr_assert_eq(rebuild(&s, k, true, &made, &err), 0, "%s", err.text);
	cr_assert(slice_eq(buf_slice(&made.file[INDEX_PICKLE]), buf_slice(&old)));
	kit_truncate(s.dir, buf_cstr(&path), old.len / 2);
	k->segment.vector = (struct chroma_segment_position){ true, 40 };
	cr_assert_eq(rebuild(&s, k, true, &none, &err), VS_ENOTSUP, "%s", err.text);
}

/* A lost length costs the length, and only where the queue has not the vector. */
Test(index_rebuild, lost_lengths_are_counted)
{
	cleanup_(kit_segments_fini) struct kit_segments s;
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt made = { 0 };
	struct vs_err err = { 0 };

	kit_segments_load(&s, "length-missing");
	cr_assert_eq(rebuild(&s, kit_segment_named(&s, "docs"), false, &made, &err), 0, "%s",
		     err.text);
	cr_assert_eq(made.summary.lost, 0);
	cr_assert_eq(made.summary.norms_lost + made.summary.source[INDEX_FROM_QUEUE],
		     made.summary.records);
	cr_assert_gt(made.summary.source[INDEX_FROM_QUEUE], 0);
}

/* Two thousand records, and a search finds what comparing with all of them finds. */
Test(index_rebuild, a_built_index_is_searched_well, .timeout = 60)
{
	enum { COUNT = 2000, DIM = 24, TOP = 10 };
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_dir_new();
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(kit_rebuilt_fini) struct kit_rebuilt made = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(vs_freep) float *v = vs_alloc_array((size_t)COUNT * DIM, sizeof(*v));
	cleanup_(vs_freep) struct index_row *log = vs_alloc_array(COUNT, sizeof(*log));
	char(*ids)[16] = vs_alloc_array(COUNT, sizeof(*ids));
	struct index_facts facts = { .segment = "none",
				     .params = { .space = HNSW_COSINE,
						 .dim = DIM,
						 .m = 16,
						 .ef_construction = 100,
						 .seed = 1 },
				     .has_position = true,
				     .position = COUNT };
	struct hnsw_probe_request req = {
		.space = HNSW_COSINE, .k = TOP, .ef = 100, .samples = 300, .seed = 3
	};
	struct hnsw_probe probe;
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };
	uint64_t state = 11;

	for (size_t i = 0; i < (size_t)COUNT * DIM; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		v[i] = (float)((double)(state >> 11) * 0x1p-53) + (float)(i / DIM % 20 == i % 20);
	}
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(ids[i], sizeof(ids[i]), "r%zu", i);
		log[i] = (struct index_row){ slice_str(ids[i]), (int64_t)i + 1, 0,
					     slice_of(v + i * DIM, DIM * sizeof(*v)), 0 };
	}
	cr_assert_eq(file_open_dir(AT_FDCWD, dir->path, FILE_FOLLOW, &dirfd, &err), 0);
	facts.dirfd = dirfd;
	facts.rows = facts.log = log;
	facts.row_count = facts.log_count = COUNT;
	cr_assert_eq(index_image_make(&facts, &made.image, &made.summary, &err), 0, "%s", err.text);
	for (int i = 0; i < INDEX_FILES; i++)
		cr_assert_eq(index_image_file(made.image, i, &made.file[i], &err), 0);
	for (int i = 0; i < HNSW_FILES; i++)
		files.file[i] = buf_slice(&made.file[i]);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	cr_assert_eq(x.count, COUNT);
	cr_assert_eq(hnsw_probe(&x, &req, &probe, &err), 0);
	free(ids);
	cr_assert_geq(probe.recall, 0.99, "%f", probe.recall);
	cr_assert_eq(made.summary.source[INDEX_FROM_QUEUE], COUNT);
}
