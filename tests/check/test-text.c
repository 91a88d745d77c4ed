/* SPDX-License-Identifier: Apache-2.0 */

/* Text: a flipped bit among good text, and text of another encoding. */

#include "kit.h"

#include <criterion/criterion.h>

static void write_text(const struct kit_dir *dir, unsigned number, const char *text)
{
	struct kit_doc doc;

	kit_doc(&doc, "notes", number);
	doc.doc.content = slice_str(text);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
}

Test(text, damaged)
{
	static const struct {
		const char *text;
		size_t off; /* of the character */
	} rows[] = {
		{ "the ti\xe4"
		  "es of the moon",
		  6 },                                         /* d with its high bit set */
		{ "on the horizo\xee", 13 },                   /* n, at the end */
		{ "\xe6\x97\x25\xe6\x9c\xac\xe8\xaa\x9e", 0 }, /* the same bit of a Japanese text */
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 4);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		const struct finding *f;
		size_t start;

		write_text(dir, 4, rows[i].text);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-document-text-damaged", 1);
		f = kit_finding(r, "chromem-document-text-damaged");
		cr_assert_str_eq(f->path, path);
		start = kit_find(dir, path, slice_str(rows[i].text)) + rows[i].off;
		cr_assert_geq(f->offset, start);
		cr_assert_lt(f->offset, start + 3);
		cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	}
}

Test(text, damaged_metadata)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 4);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	size_t off = kit_find(dir, path, slice_str("harbour")) + 3;

	kit_flip(dir, path, off, 7);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-text-damaged", 1);
	cr_assert_eq(kit_finding(r, "chromem-document-text-damaged")->offset, off);
	cr_assert_str_eq(kit_finding(r, "chromem-document-text-damaged")->detail, "the metadata");
}

Test(text, invalid)
{
	static const char *const texts[] = {
		"\xff\xfe binary",                /* no single bit mends it */
		"\xe9 7 \xe9",                    /* no words */
		"two na\xefve na\xefve mistakes", /* more than one byte */
	};

	for (size_t i = 0; i < VS_COUNT(texts); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		write_text(dir, 4, texts[i]);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-document-text-invalid", 1);
		cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
		cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	}
}

/* Where several documents are not UTF-8, that is what the application stores. */
Test(text, several_invalid_texts_are_no_damage)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	write_text(dir, 3,
		   "the ti\xe4"
		   "es of the moon");
	write_text(dir, 4,
		   "the ti\xe4"
		   "es of the sun");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-text-invalid", 1);
	cr_assert_eq(kit_finding(r, "chromem-document-text-invalid")->count, 2);
}
