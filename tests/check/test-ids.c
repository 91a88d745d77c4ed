/* SPDX-License-Identifier: Apache-2.0 */

/* Ids: files under other names, copies, collisions, damaged ids. */

#include "kit.h"

#include <criterion/criterion.h>

static char *in_notes(const char *file)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	struct buf out = { 0 };

	buf_printf(&out, "%s/%s", notes, file);
	return buf_take_str(&out);
}

Test(ids, misnamed)
{
	static const char *const names[] = { "f00dcafe.gob", "00000001.gob", "copy.gob" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *from = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
		cleanup_(vs_freep) char *to = in_notes(names[i]);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		const struct finding *f;

		kit_rename(dir, from, to);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-document-misnamed", 1);
		f = kit_finding(r, "chromem-document-misnamed");
		cr_assert_str_eq(f->path, to);
		cr_assert_str_eq(f->expected, from + 9);
		cr_assert(slice_eq_str(f->document, "notes-document-0001"));
		cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	}
}

/* So many that their originals are not looked for; those that are not listed are counted. */
Test(ids, many_misnamed)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);

	for (unsigned i = 0; i < 100; i++) {
		cleanup_(vs_freep) char *path = NULL;
		struct kit_doc doc;
		char name[32];

		snprintf(name, sizeof(name), "%08x.gob", 0xf0000000u + i);
		path = in_notes(name);
		kit_doc(&doc, "notes", 2000 + i);
		kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
	}
	for (unsigned max = 0; max <= 7; max += 7) {
		cleanup_(kit_result_freep) struct kit_result *r = kit_check(
			dir->path, &(struct check_request){
					   .level = CHECK_FULL, .jobs = 2, .max_findings = max });

		cr_assert_eq(r->summary.warnings, 100);
		cr_assert_eq(r->count, max > 0 ? max : 100);
		cr_assert_eq(r->summary.omitted, 100 - r->count);
		cr_assert_eq(kit_count(r, "chromem-document-misnamed"), r->count);
	}
}

Test(ids, id_damaged)
{
	for (unsigned bit = 0; bit < 8; bit++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_flip(dir, path, kit_find(dir, path, slice_str("notes-document")) + 3, bit);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-document-id-damaged", 1);
		cr_assert_str_eq(kit_finding(r, "chromem-document-id-damaged")->expected,
				 "notes-document-0001");
		cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	}
}

Test(ids, a_damaged_byte_is_found_too)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	size_t off = kit_find(dir, path, slice_str("notes-document")) + 7;

	for (unsigned bit = 0; bit < 8; bit++)
		kit_flip(dir, path, off, bit);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-id-damaged", 1);
}

/* Document 1 with another text, under a name of the test's choice. */
static void write_variant(const struct kit_dir *dir, const char *file, const char *text)
{
	cleanup_(vs_freep) char *path = in_notes(file);
	struct kit_doc doc;

	kit_doc(&doc, "notes", 1);
	if (text)
		doc.doc.content = slice_str(text);
	kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
}

Test(ids, duplicate_id)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *proper = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	const struct finding *f;

	write_variant(dir, "fffffff0.gob", "an older version");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-duplicate-id", 1);
	f = kit_finding(r, "chromem-document-duplicate-id");
	cr_assert_str_eq(f->other, proper);
	cr_assert_str_eq(f->actual, f->path, "it wins");
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

/* Copies that change nothing today: the same content, or a name that comes first and so loses. */
Test(ids, duplicate_copy)
{
	static const struct {
		const char *file;
		const char *text;
	} rows[] = { { "zz.gob", NULL }, { "(copy).gob", NULL }, { "(copy).gob", "older" } };

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		write_variant(dir, rows[i].file, rows[i].text);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-document-duplicate-copy", 1);
		cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	}
}

Test(ids, copies_without_a_proper_one)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *proper = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_remove(dir, proper);
	write_variant(dir, "x (1).gob", "one");
	write_variant(dir, "x (2).gob", "two");
	write_variant(dir, "x (3).gob", "three");
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_eq(kit_count(r, "chromem-document-duplicate-id"), 2);
	cr_assert_eq(kit_count(r, "chromem-document-misnamed"), 1);
	cr_assert_eq(r->count, 3);
	for (size_t i = 0; i < r->count; i++) {
		if (r->findings[i].actual)
			cr_assert_not_null(strstr(r->findings[i].actual, "x (3).gob"));
	}
}

/* Two ids with one hash, known from elsewhere. */
#define TWIN_A "01e31a31-76a3-4f52-97ad-b119158ddddc"
#define TWIN_B "43a3e2c4-3663-4e84-a2e7-70c940b053d9"

Test(ids, name_taken)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = in_notes("b.gob");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	struct kit_doc doc;

	cr_assert_eq(chromem_hash(slice_str(TWIN_A)), chromem_hash(slice_str(TWIN_B)));
	kit_doc(&doc, "notes", 50);
	doc.doc.id = slice_str(TWIN_A);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	doc.doc.id = slice_str(TWIN_B);
	kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-name-taken", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-document-name-taken")->path, path);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
}

Test(ids, shadows_metadata)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = in_notes("x.gob");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	struct kit_doc doc;

	kit_doc(&doc, "notes", 50);
	doc.doc.id = slice_str("doc_1769074240109487073_3");
	cr_assert_eq(chromem_hash(doc.doc.id), CHROMEM_META_KEY);
	kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-shadows-metadata", 1);
}

/* Damage is sought in a few files; thousands of other names are somebody's habit. */
Test(ids, many_misnamed_documents)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	for (unsigned i = 0; i < 300; i++) {
		struct kit_doc doc;
		char file[32];
		cleanup_(vs_freep) char *path = NULL;

		kit_doc(&doc, "notes", 1000 + i);
		snprintf(file, sizeof(file), "%08x.gob", i + 1);
		path = in_notes(file);
		kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-misnamed", 300);
}
