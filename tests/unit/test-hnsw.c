/* SPDX-License-Identifier: Apache-2.0 */

/* Distances, search, building, repairing, saving. */

#include "hnsw-kit.h"

#define K 10

/* ---- kernels ---- */

Test(hnsw, kernels_agree_at_every_length)
{
	cleanup_(vs_freep) float *v = kit_vectors(2, 1600, 5);
	const struct hnsw_kernels *k;
	size_t i;

	for (i = 0; (k = hnsw_kernels_at(i)) != NULL; i++) {
		for (size_t n = 0; n < 300; n++) {
			/* Any start that is a float, as records lie. */
			const float *a = v + n % 5;
			const float *b = v + 1600 + n % 3;
			double l2 = 0, dot = 0;

			for (size_t j = 0; j < n; j++) {
				l2 += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
				dot += (double)a[j] * b[j];
			}
			cr_assert_leq(fabs(k->l2(a, b, n) - l2), 1e-5 * (l2 + 1), "%s %zu", k->name,
				      n);
			cr_assert_leq(fabs(k->dot(a, b, n) - dot), 1e-5 * ((double)n + 1), "%s %zu",
				      k->name, n);
		}
	}
	cr_assert_eq(hnsw_kernels_best(), hnsw_kernels_at(i - 1));
}

/* Integers: every kernel gives the same, the largest values included. */
Test(hnsw, code_kernels_are_exact)
{
	int8_t a[608], b[608];
	const struct hnsw_kernels *k;
	uint64_t state = 3;

	for (size_t n = 0; n <= sizeof(a); n += 32) {
		for (int extreme = 0; extreme < 2; extreme++) {
			int32_t sum = 0;

			for (size_t i = 0; i < n; i++) {
				a[i] = (int8_t)(kit_random(&state) * 255 - 127);
				b[i] = (int8_t)(kit_random(&state) * 255 - 127);
				if (extreme)
					a[i] = i % 3 ? 127 : -127, b[i] = i % 5 ? 127 : -127;
				sum += a[i] * b[i];
			}
			for (size_t i = 0; (k = hnsw_kernels_at(i)) != NULL; i++)
				cr_assert_eq(k->dot8(a, b, n), sum, "%s %zu", k->name, n);
		}
	}
}

/* Far from the origin too, and within what is said of the error. */
Test(hnsw, codes_are_about_right)
{
	for (int space = HNSW_L2; space <= HNSW_IP; space++) {
		cleanup_(vs_freep) float *v = kit_vectors(1000, 100, 7);
		cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
		cleanup_(hnsw_codes_fini) struct hnsw_codes codes = { 0 };
		const struct hnsw_params params = {
			.space = (enum hnsw_space)space, .dim = 100, .m = 8, .ef_construction = 20
		};
		struct vs_err err = { 0 };
		double square = 0, most = 0;

		for (size_t i = 0; i < 1000 * 100; i++)
			v[i] += 2;
		g = kit_graph(v, 1000, &params);
		cr_assert_eq(hnsw_codes_make(&g->index, params.space, &codes, &err), 0);
		cr_assert(codes.is_usable);
		for (uint32_t id = 1; id < 1000; id++) {
			double off = hnsw_code_distance(&codes, id - 1, id) -
				     hnsw_distance(hnsw_kernels_best(), params.space,
						   hnsw_vector(&g->index, id - 1),
						   hnsw_vector(&g->index, id), 100);

			square += off * off / (codes.of[id].error * codes.of[id].error);
			most = VS_MAX(most, fabs(off) / codes.of[id].error);
		}
		cr_assert(square / 999 > 0.1 && square / 999 < 1.5, "%f", square / 999);
		cr_assert_lt(most, 5);
	}
}

Test(hnsw, codes_do_not_count_with_infinities)
{
	cleanup_(vs_freep) float *v = kit_vectors(1000, 64, 7);
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(hnsw_codes_fini) struct hnsw_codes codes = { 0 };
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = 64, .m = 8, .ef_construction = 20
	};
	struct vs_err err = { 0 };

	v[6400] = 3e38f;
	g = kit_graph(v, 1000, &params);
	cr_assert_eq(hnsw_codes_make(&g->index, HNSW_L2, &codes, &err), 0);
	cr_assert(!codes.is_usable);
}

Test(hnsw, spaces_have_names)
{
	enum hnsw_space space = HNSW_L2;

	cr_assert(hnsw_space_parse(slice_str("cosine"), &space) && space == HNSW_COSINE);
	cr_assert(!hnsw_space_parse(slice_str("Cosine"), &space));
	cr_assert_str_eq(hnsw_space_name(HNSW_IP), "ip");
}

/* ---- search ---- */

/* What the server itself links finds what is nearest, and never what is deleted. */
Test(hnsw, search_in_what_the_server_wrote)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = NULL;
	struct hnsw_hit hits[K], exact[K];
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	kit_load("l2-8-tombstones", &k);
	files = kit_files(&k);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	cr_assert_eq(hnsw_searcher_new(&x, HNSW_L2, &s, &err), 0);
	for (uint32_t id = 0; id < x.count; id++) {
		cr_assert_eq(hnsw_search(s, hnsw_vector(&x, id), K, 100, hits), K);
		cr_assert_eq(
			hnsw_search_exact(&x, HNSW_L2, hnsw_vector(&x, id), K, NULL, NULL, exact),
			K);
		for (size_t i = 0; i < K; i++) {
			cr_assert(!hnsw_is_deleted(&x, hits[i].id));
			cr_assert_eq(hits[i].distance, exact[i].distance);
		}
		if (!hnsw_is_deleted(&x, id))
			cr_assert(hits[0].distance == 0 && hits[0].id == id);
	}
}

static bool is_even(void *ctx, uint32_t id)
{
	(void)ctx;
	return id % 2 == 0;
}

Test(hnsw, exact_search_takes_what_is_allowed)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_hit hits[64];
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };
	size_t count;

	kit_load("cosine-12", &k);
	files = kit_files(&k);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	count = hnsw_search_exact(&x, HNSW_COSINE, hnsw_vector(&x, 4), 64, is_even, NULL, hits);
	cr_assert_eq(count, 16);
	for (size_t i = 0; i < count; i++)
		cr_assert(hits[i].id % 2 == 0 &&
			  (i == 0 || hits[i - 1].distance <= hits[i].distance));
	cr_assert_eq(hits[0].id, 4);
}

Test(hnsw, empty_index_finds_nothing)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_searcher_freep) struct hnsw_searcher *s = NULL;
	const float query[4] = { 1, 2, 3, 4 };
	struct hnsw_hit hits[K];
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	kit_load("ip-4-empty", &k);
	files = kit_files(&k);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	cr_assert_eq(hnsw_searcher_new(&x, HNSW_IP, &s, &err), 0);
	cr_assert_eq(hnsw_search(s, query, K, 10, hits), 0);
	cr_assert_eq(hnsw_search_exact(&x, HNSW_IP, query, K, NULL, NULL, hits), 0);
}

/* ---- building ---- */

static double recall_of(const struct hnsw_index *x, enum hnsw_space space)
{
	const struct hnsw_probe_request request = {
		.space = space,
		.k = K,
		.ef = 100,
		.samples = 100,
		.seed = 9,
	};
	struct hnsw_probe probe;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_probe(x, &request, &probe, &err), 0);
	cr_assert_eq(probe.samples, VS_MIN(x->count, 100u));
	cr_assert_geq(probe.recall, probe.worst);
	return probe.recall;
}

/* Clouds so small, so far from each other, that codes see a single point in each. */
Test(hnsw, small_clouds_are_measured_exactly)
{
	cleanup_(vs_freep) float *v = vs_alloc_array((size_t)4000 * 64, sizeof(*v));
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	const struct hnsw_params params = {
		.space = HNSW_L2, .dim = 64, .m = 16, .ef_construction = 100, .seed = 4
	};
	uint64_t state = 8;

	for (size_t i = 0; i < 4000; i++)
		for (size_t k = 0; k < 64; k++) {
			uint64_t cloud = i % 5 * 64 + k;

			v[i * 64 + k] = kit_random(&cloud) + 1e-4f * kit_random(&state);
		}
	g = kit_graph(v, 4000, &params);
	cr_assert_geq(recall_of(&g->index, HNSW_L2), 0.95, "%f", recall_of(&g->index, HNSW_L2));
}

Test(hnsw, built_index_is_sound_and_finds)
{
	for (int space = HNSW_L2; space <= HNSW_IP; space++) {
		cleanup_(vs_freep) float *v = kit_vectors(1000, 24, 2);
		const struct hnsw_params params = {
			.space = (enum hnsw_space)space,
			.dim = 24,
			.m = 16,
			.ef_construction = 100,
			.seed = 1,
		};
		cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 1000, &params);
		cleanup_(kit_index_fini) struct kit_index k = { 0 };

		kit_save(g, &k);
		kit_expect_clean(&k, params.space);
		cr_assert_geq(recall_of(hnsw_graph_index(g), params.space), 0.99, "%s",
			      hnsw_space_name(params.space));
	}
}

Test(hnsw, one_thread_builds_the_same_bytes)
{
	cleanup_(vs_freep) float *v = kit_vectors(500, 8, 7);
	const struct hnsw_params params = { .space = HNSW_L2, .dim = 8, .m = 8, .seed = 5 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *a = kit_graph(v, 500, &params);
	cleanup_(hnsw_graph_freep) struct hnsw_graph *b = kit_graph(v, 500, &params);
	cleanup_(kit_index_fini) struct kit_index ka = { 0 };
	cleanup_(kit_index_fini) struct kit_index kb = { 0 };

	kit_save(a, &ka);
	kit_save(b, &kb);
	for (int i = 0; i < HNSW_FILES; i++)
		cr_assert(slice_eq(buf_slice(&ka.file[i]), buf_slice(&kb.file[i])));
}

Test(hnsw, threads_build_a_graph_as_good)
{
	cleanup_(vs_freep) float *v = kit_vectors(2000, 16, 4);
	cleanup_(pool_freep) struct pool *pool = pool_new(4);
	const struct hnsw_params params = {
		.space = HNSW_L2,
		.dim = 16,
		.m = 8,
		.seed = 5,
		.pool = pool,
	};
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 2000, &params);
	cleanup_(kit_index_fini) struct kit_index k = { 0 };

	kit_save(g, &k);
	kit_expect_clean(&k, HNSW_L2);
	cr_assert_geq(recall_of(hnsw_graph_index(g), HNSW_L2), 0.99);
}

/* A thousand times the same vector: distances tell nothing, and still all have to be reached. */
Test(hnsw, equal_vectors_are_all_reached)
{
	cleanup_(vs_freep) float *v = vs_alloc_array((size_t)1000 * 4, sizeof(*v));
	const struct hnsw_params params = { .space = HNSW_L2, .dim = 4, .m = 4, .seed = 1 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, 1000, &params);
	cleanup_(kit_index_fini) struct kit_index k = { 0 };

	kit_save(g, &k);
	kit_expect_clean(&k, HNSW_L2);
}

Test(hnsw, small_graphs)
{
	for (size_t count = 0; count < 6; count++) {
		cleanup_(vs_freep) float *v = kit_vectors(6, 3, 8);
		const struct hnsw_params params = { .space = HNSW_COSINE, .dim = 3, .m = 2 };
		cleanup_(hnsw_graph_freep) struct hnsw_graph *g = kit_graph(v, count, &params);
		cleanup_(kit_index_fini) struct kit_index k = { 0 };

		kit_save(g, &k);
		kit_expect_clean(&k, HNSW_COSINE);
		cr_assert_eq(k.file[HNSW_LENGTH].len, 4 * count);
		cr_assert_eq(recall_of(hnsw_graph_index(g), HNSW_COSINE), 1);
	}
}

/* What the server stored for its clients' vectors is what we would store. */
Test(hnsw, cosine_is_stored_as_the_server_does)
{
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_files files;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	kit_load("cosine-12", &k);
	files = kit_files(&k);
	cr_assert_eq(hnsw_open(&files, &x, &fault, &err), 1);
	for (uint32_t id = 0; id < x.count; id++) {
		float sent[12], stored[12];

		for (size_t i = 0; i < 12; i++)
			sent[i] = hnsw_vector(&x, id)[i] * hnsw_length(&x, id);
		hnsw_normalize(sent, 12, stored);
		for (size_t i = 0; i < 12; i++)
			cr_assert_leq(fabsf(stored[i] - hnsw_vector(&x, id)[i]), 1e-6f);
		cr_assert_leq(fabs(hnsw_norm(sent, 12) - hnsw_length(&x, id)), 1e-5);
	}
}

Test(hnsw, what_cannot_be_added)
{
	const float bad[2] = { 1, NAN };
	const float good[2] = { 1, 2 };
	const struct hnsw_params params = { .space = HNSW_L2, .dim = 2, .m = 2 };
	const struct hnsw_params wide = { .space = HNSW_L2, .dim = HNSW_DIM_MAX + 1, .m = 2 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	struct hnsw_graph *none = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_graph_new(&wide, 1, &none, &err), VS_ELIMIT);
	cr_assert_eq(hnsw_graph_new(&params, 1, &g, &err), 0);
	cr_assert_eq(hnsw_graph_add(g, 1, bad, false, &err), VS_EFORMAT);
	cr_assert_eq(hnsw_graph_add(g, 1, good, false, &err), 0);
	cr_assert_eq(hnsw_graph_add(g, 2, good, false, &err), VS_EUSAGE);
}

/* ---- repair ---- */

struct broken {
	struct kit_index files;
	float *vectors;
	struct hnsw_params params;
};

static void broken_fini(struct broken *b)
{
	kit_index_fini(&b->files);
	free(b->vectors);
}

static void broken_new(struct broken *b)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;

	b->params = (struct hnsw_params){ .space = HNSW_L2, .dim = 16, .m = 8, .seed = 2 };
	b->vectors = kit_vectors(1000, 16, 3);
	g = kit_graph(b->vectors, 1000, &b->params);
	kit_save(g, &b->files);
}

/* Mended where its records lie, the index is byte for byte what a copy of it becomes. */
static void expect_same_in_place(const struct broken *b, const struct hnsw_index *x,
				 struct kit_index *copied)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	cleanup_(buf_fini) struct buf own = { 0 };
	struct hnsw_index view = *x;
	struct hnsw_repair summary;
	struct vs_err err = { 0 };

	buf_append(&own, b->files.file[HNSW_LEVEL0].ptr, b->files.file[HNSW_LEVEL0].len);
	view.level0 = slice_of(own.ptr, x->level0.len);
	cr_assert_eq(hnsw_graph_repair(&view, &own, &b->params, NULL, NULL, &g, &summary, &err), 0,
		     "%s", err.text);
	cr_assert_null(own.ptr);
	kit_save(g, &k);
	for (int i = 0; i < HNSW_FILES; i++)
		cr_assert(slice_eq(buf_slice(&k.file[i]), buf_slice(&copied->file[i])), "file %d",
			  i);
}

/* Repair, and expect a sound graph in which every vector is where it was. */
static struct hnsw_repair expect_repaired(struct broken *b, const struct hnsw_index *x)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_repair summary;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_graph_repair(x, NULL, &b->params, NULL, NULL, &g, &summary, &err), 0,
		     "%s", err.text);
	kit_save(g, &k);
	kit_expect_clean(&k, HNSW_L2);
	expect_same_in_place(b, x, &k);
	cr_assert_eq(hnsw_graph_index(g)->count, x->count);
	for (uint32_t id = 0; id < x->count; id++)
		cr_assert(hnsw_label(hnsw_graph_index(g), id) == hnsw_label(x, id) &&
			  memcmp(hnsw_vector(hnsw_graph_index(g), id), hnsw_vector(x, id), 64) ==
				  0);
	cr_assert_geq(recall_of(hnsw_graph_index(g), HNSW_L2), 0.99);
	cr_assert_eq(summary.kept + summary.trimmed + summary.relinked + summary.lost, x->count);
	return summary;
}

static void open_broken(const struct broken *b, struct hnsw_index *x)
{
	struct hnsw_files files = kit_files(&b->files);
	struct hnsw_fault fault;
	struct vs_err err = { 0 };

	cr_assert_eq(hnsw_open(&files, x, &fault, &err), 1, "%s", fault.text);
}

Test(hnsw, repair_leaves_a_sound_graph_alone)
{
	cleanup_(broken_fini) struct broken b = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_repair summary;

	broken_new(&b);
	open_broken(&b, &x);
	summary = expect_repaired(&b, &x);
	cr_assert_eq(summary.kept, 1000);
}

Test(hnsw, repair_links_only_damaged_elements)
{
	cleanup_(broken_fini) struct broken b = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_repair summary;

	broken_new(&b);
	open_broken(&b, &x);
	/* Ten elements get links full of noise. */
	for (uint32_t id = 100; id < 110; id++)
		memset(b.files.file[HNSW_LEVEL0].ptr + hnsw_record_off(&x, id), 0xee, 68);
	summary = expect_repaired(&b, &x);
	cr_assert_geq(summary.relinked, 10);
	cr_assert_geq(summary.kept, 980, "%u kept, %u trimmed, %u relinked", summary.kept,
		      summary.trimmed, summary.relinked);
}

/* Every list of the lowest level, or two of three: what is inserted again must not begin at elements
 * of the upper levels that are not linked either. */
Test(hnsw, repair_of_links_that_are_lost)
{
	for (uint32_t spared = 0; spared < 4; spared += 3) {
		cleanup_(broken_fini) struct broken b = { 0 };
		cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
		struct hnsw_repair summary;

		broken_new(&b);
		open_broken(&b, &x);
		for (uint32_t id = 0; id < x.count; id++)
			if (spared == 0 || id % spared != 0)
				memset(b.files.file[HNSW_LEVEL0].ptr + hnsw_record_off(&x, id), 0,
				       2);
		summary = expect_repaired(&b, &x);
		cr_assert_geq(summary.relinked, spared == 0 ? 999 : 666);
	}
}

Test(hnsw, repair_without_the_upper_levels)
{
	cleanup_(broken_fini) struct broken b = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_repair summary;

	broken_new(&b);
	b.files.file[HNSW_LINKS].len = 401;
	open_broken(&b, &x);
	cr_assert_lt(x.links_count, 101);
	summary = expect_repaired(&b, &x);
	cr_assert_eq(summary.levels_redrawn, 1000 - x.links_count);
	cr_assert_geq(summary.kept, 950);
}

Test(hnsw, repair_without_a_header)
{
	cleanup_(broken_fini) struct broken b = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	struct hnsw_files files;
	struct hnsw_header h;
	struct hnsw_fault fault;
	struct vs_err err = { 0 };
	uint64_t noise = 6;

	broken_new(&b);
	/* Behind the records is what memory held before. */
	for (size_t i = 0; i < (size_t)144 * 50; i++)
		buf_append_byte(&b.files.file[HNSW_LEVEL0],
				(unsigned char)(256 * kit_random(&noise)));
	files = kit_files(&b.files);
	cr_assert_eq(hnsw_header_make(0, 16, 8, 100, &h, &err), 0);
	cr_assert_eq(hnsw_open_as(&files, &h, 1000, &x, &fault, &err), 1, "%s", fault.text);
	cr_assert_eq(x.count, 1000);
	cr_assert_eq(expect_repaired(&b, &x).kept, 1000);
}

static void note_lost(void *ctx, uint32_t id, uint64_t label)
{
	*(uint64_t *)ctx += label;
	cr_assert_eq(label, id + UINT64_C(1));
}

Test(hnsw, repair_marks_what_is_lost)
{
	cleanup_(broken_fini) struct broken b = { 0 };
	cleanup_(hnsw_index_fini) struct hnsw_index x = { 0 };
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(kit_index_fini) struct kit_index k = { 0 };
	struct hnsw_repair summary;
	struct vs_err err = { 0 };
	uint64_t lost = 0;

	broken_new(&b);
	open_broken(&b, &x);
	store_le32(b.files.file[HNSW_LEVEL0].ptr + hnsw_record_off(&x, 50) + x.vector_offset,
		   0xffffffff);
	cr_assert_eq(hnsw_graph_repair(&x, NULL, &b.params, note_lost, &lost, &g, &summary, &err),
		     0);
	cr_assert(summary.lost == 1 && lost == 51);
	cr_assert(hnsw_is_deleted(hnsw_graph_index(g), 50));
	kit_save(g, &k);
	expect_same_in_place(&b, &x, &k);
}
