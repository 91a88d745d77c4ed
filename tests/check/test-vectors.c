/* SPDX-License-Identifier: Apache-2.0 */

/* Vectors: not finite, zero, absent, of another dimension, of another length, too precise. */

#include "kit.h"

#include <criterion/criterion.h>
#include <math.h>

/* A healthy store whose documents from @first to @last of "notes" were changed in this way. */
static struct kit_result *check_with(unsigned first, unsigned last,
				     void (*change)(struct kit_doc *doc))
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);

	for (unsigned i = first; i <= last; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "notes", i);
		change(&doc);
		kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
	return kit_check_dir(dir, CHECK_FULL);
}

static const struct finding *expect_one(const struct kit_result *r, const char *code)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 3);

	kit_expect_only(r, code, 1);
	cr_assert_str_eq(kit_finding(r, code)->path, path);
	cr_assert(slice_eq_str(kit_finding(r, code)->document, "notes-document-0003"));
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	return kit_finding(r, code);
}

static void one_nan(struct kit_doc *doc)
{
	doc->embedding[5] = NAN;
}

Test(vectors, nan)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, one_nan);

	cr_assert_eq(expect_one(r, "chromem-embedding-nan")->count, 5);
}

static void two_infinities(struct kit_doc *doc)
{
	doc->embedding[2] = INFINITY;
	doc->embedding[6] = -INFINITY;
}

Test(vectors, infinite)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, two_infinities);

	cr_assert_eq(expect_one(r, "chromem-embedding-infinite")->count, 2);
}

static void all_zero(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] = i % 2 == 0 ? 0.0f : -0.0f;
}

Test(vectors, zero)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, all_zero);

	expect_one(r, "chromem-embedding-zero");
}

static void without(struct kit_doc *doc)
{
	doc->doc.dimension = 0;
}

Test(vectors, missing)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, without);

	expect_one(r, "chromem-embedding-missing");
}

/* Every search fails, however few have a vector; those without are named. */
Test(vectors, most_are_missing)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(1, KIT_DOCUMENTS - 1, without);

	kit_expect_only(r, "chromem-embedding-missing", KIT_DOCUMENTS - 1);
}

Test(vectors, none)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(0, KIT_DOCUMENTS - 1, without);

	kit_expect_only(r, "chromem-embedding-none", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}

static void shorter(struct kit_doc *doc)
{
	doc->doc.dimension = 1;
	doc->embedding[0] = 1;
}

Test(vectors, dimension)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, shorter);
	const struct finding *f = expect_one(r, "chromem-embedding-dimension");

	cr_assert_str_eq(f->expected, "8");
	cr_assert_str_eq(f->actual, "1");
}

Test(vectors, the_majority_is_right_wherever_it_stands)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(0, KIT_DOCUMENTS - 3, shorter);

	kit_expect_only(r, "chromem-embedding-dimension", 2);
	cr_assert_str_eq(r->findings[0].expected, "1");
	cr_assert_str_eq(r->findings[0].actual, "8");
}

static void longer(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] *= 2;
}

Test(vectors, norm)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(3, 3, longer);

	cr_assert_str_eq(expect_one(r, "chromem-embedding-norm")->actual, "2");
}

static void barely_longer(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] *= 1.00002f;
}

static void within_tolerance(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] *= 1.000005f;
}

Test(vectors, norm_has_a_tolerance)
{
	cleanup_(kit_result_freep) struct kit_result *over = check_with(3, 3, barely_longer);
	cleanup_(kit_result_freep) struct kit_result *within = check_with(3, 3, within_tolerance);

	expect_one(over, "chromem-embedding-norm");
	kit_expect_clean(within);
}

Test(vectors, unnormalised)
{
	cleanup_(kit_result_freep) struct kit_result *all =
		check_with(0, KIT_DOCUMENTS - 1, longer);
	cleanup_(kit_result_freep) struct kit_result *half = check_with(0, 2, longer);

	kit_expect_only(all, "chromem-embedding-unnormalised", 1);
	cr_assert_eq(kit_finding(all, "chromem-embedding-unnormalised")->count, KIT_DOCUMENTS);
	cr_assert_eq(all->summary.verdict, VERDICT_HEALTHY);
	kit_expect_only(half, "chromem-embedding-unnormalised", 1);
}

/* Two of six, or the vectors of an empty comparison, are no exceptions. */
Test(vectors, exceptions_need_a_majority)
{
	cleanup_(kit_result_freep) struct kit_result *two = check_with(2, 3, longer);

	kit_expect_only(two, "chromem-embedding-unnormalised", 1);
}

/* ---- precision ---- */

static void make_inexact(const struct kit_dir *dir, unsigned number)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", number);
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct chromem_fault fault;
	struct chromem_doc doc;
	struct vs_err err;

	kit_read(dir, path, &bytes);
	cr_assert_eq(chromem_decode_doc(reader, buf_slice(&bytes), &doc, &fault, &err), 0);
	/* Of the first element in its long form, the byte with the lowest bits of the double. */
	for (size_t i = doc.embedding_off;; i++) {
		cr_assert_lt(i, bytes.len);
		if (bytes.ptr[i] == 0xfb) {
			kit_flip(dir, path, i + 1, 2);
			return;
		}
	}
}

Test(vectors, document_float_inexact)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 3);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	make_inexact(dir, 3);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-float-inexact", 1);
	cr_assert_str_eq(r->findings[0].path, path);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
}

Test(vectors, precision)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	for (unsigned i = 0; i < KIT_DOCUMENTS; i++)
		make_inexact(dir, i);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-embedding-precision", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}
