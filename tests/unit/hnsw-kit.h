/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Indexes for tests: made here or read from tests/data/hnsw, as four owned files to be damaged. */

#include "fixture.h"
#include "hnsw/graph.h"

struct kit_index {
	struct buf file[HNSW_FILES];
};

static inline void kit_index_fini(struct kit_index *k)
{
	for (int i = 0; i < HNSW_FILES; i++)
		buf_fini(&k->file[i]);
}

static inline struct hnsw_files kit_files(const struct kit_index *k)
{
	struct hnsw_files files;

	for (int i = 0; i < HNSW_FILES; i++)
		files.file[i] = buf_slice(&k->file[i]);
	return files;
}

static inline void kit_load(const char *name, struct kit_index *out)
{
	for (int i = 0; i < HNSW_FILES; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "tests/data/hnsw/%s/%s", name, hnsw_file_name((enum hnsw_file)i));
		fixture_load(buf_cstr(&path), &out->file[i]);
	}
}

static inline int kit_append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

static inline void kit_save(const struct hnsw_graph *g, struct kit_index *out)
{
	struct vs_err err = { 0 };

	for (int i = 0; i < HNSW_FILES; i++) {
		buf_clear(&out->file[i]);
		cr_assert_eq(hnsw_graph_save(g, (enum hnsw_file)i, kit_append, &out->file[i], &err),
			     0);
	}
}

/* 0 to 1, the same every time. */
static inline float kit_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (float)((double)((z ^ z >> 31) >> 11) * 0x1p-53);
}

/* @count vectors in ten clouds; owned by the caller. */
static inline float *kit_vectors(size_t count, size_t dim, uint64_t seed)
{
	float *out = vs_alloc_array(count * dim, sizeof(*out));

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < dim; k++) {
			uint64_t centre = i * 10 / count * dim + k;

			out[i * dim + k] = kit_random(&centre) + 0.3f * kit_random(&seed) - 0.5f;
		}
	return out;
}

/* A linked graph of @count such vectors with labels from 1. */
static inline struct hnsw_graph *kit_graph(const float *vectors, size_t count,
					   const struct hnsw_params *params)
{
	struct hnsw_graph *g = NULL;
	const struct hnsw_index *x = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_graph_new(params, count, &g, &err), 0, "%s", err.text);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(hnsw_graph_add(g, i + 1, vectors + i * params->dim, false, &err), 0,
			     "%s", err.text);
	cr_assert_eq(hnsw_graph_link(g, NULL, &x, &err), 0, "%s", err.text);
	return g;
}

/* ---- what a check says ---- */

struct kit_findings {
	unsigned count[HNSW_CUT_OFF + 1];
	struct hnsw_finding last[HNSW_CUT_OFF + 1];
	unsigned all;
};

static inline int kit_note(void *ctx, const struct hnsw_finding *f, struct vs_err *err)
{
	struct kit_findings *k = ctx;

	(void)err;
	k->count[f->kind]++;
	k->last[f->kind] = *f;
	k->all++;
	return 0;
}

static inline int kit_check(const struct kit_index *k, enum hnsw_space space,
			    struct kit_findings *found, struct hnsw_stats *stats)
{
	const struct hnsw_files files = kit_files(k);
	const struct hnsw_check_request request = {
		.space = space,
		.finding = kit_note,
		.ctx = found,
	};
	struct vs_err err = { 0 };
	int r;

	*found = (struct kit_findings){ 0 };
	r = hnsw_check(&files, &request, stats, &err);
	cr_assert_geq(r, 0, "%s", err.text);
	cr_assert_eq(stats->findings, found->all);
	return r;
}

/* Exactly this kind is found, once, and nothing else; returns it. */
static inline struct hnsw_finding kit_expect(const struct kit_index *k, enum hnsw_space space,
					     enum hnsw_finding_kind kind)
{
	struct kit_findings found;
	struct hnsw_stats stats;

	(void)kit_check(k, space, &found, &stats);
	for (int i = 0; i <= HNSW_CUT_OFF; i++)
		cr_assert_eq(found.count[i], i == (int)kind ? 1 : 0, "%u of %s", found.count[i],
			     hnsw_finding_name((enum hnsw_finding_kind)i));
	return found.last[kind];
}

static inline void kit_expect_clean(const struct kit_index *k, enum hnsw_space space)
{
	struct kit_findings found;
	struct hnsw_stats stats;

	cr_assert_eq(kit_check(k, space, &found, &stats), 1);
	for (int i = 0; i <= HNSW_CUT_OFF; i++)
		cr_assert_eq(found.count[i], 0, "%u of %s", found.count[i],
			     hnsw_finding_name((enum hnsw_finding_kind)i));
}
