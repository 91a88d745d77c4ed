/* SPDX-License-Identifier: Apache-2.0 */

/* Export files: those that the library wrote, and damaged ones, held against what it made of them.
 */

#include "kit.h"

#include <criterion/criterion.h>
#include <math.h>

#define FIXTURE_KEY "fixture-key-of-exactly-32-bytes!"

/* @key: NULL for a file that is not encrypted. */
static struct kit_result *check_file(const char *dir, const char *name, const char *key)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(vs_freep) char *full = NULL;
	const struct check_request req = { .level = CHECK_FULL,
					   .jobs = 1,
					   .key = (const unsigned char *)key };
	struct kit_result *r;

	buf_printf(&path, "tests/data/chromem/%s/%s", dir, name);
	full = kit_source(buf_cstr(&path));
	r = kit_check(full, &req);
	cr_assert_eq(r->status, 0, "%s: %s", name, r->err.text);
	return r;
}

Test(export, whole_ones_are_clean)
{
	static const struct {
		const char *name;
		const char *key;
	} rows[] = { { "store.gob", NULL },
		     { "store.gob.gz", NULL },
		     { "store.gob.enc", FIXTURE_KEY },
		     { "store.gob.gz.enc", FIXTURE_KEY } };

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_result_freep) struct kit_result *r =
			check_file("exports", rows[i].name, rows[i].key);

		kit_expect_clean(r);
		cr_assert_eq(r->summary.collections, 5);
		cr_assert_eq(r->summary.documents, 70);
		cr_assert_gt(r->limits, 0);
	}
}

Test(export, odd_ones_have_no_errors)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_file("exports", "odd.gob.gz", NULL);

	cr_assert_eq(r->summary.errors + r->summary.warnings, 0);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_gt(kit_count(r, "chromem-embedding-none"), 0);
}

/* What the library did with each file, and what we call it; NULL: nothing in it shows. */
static const struct {
	const char *file;
	const char *problem;
} damaged[] = {
	{ "truncated.gob", "chromem-export-damaged" },
	{ "empty.gob", "chromem-export-damaged" },
	{ "truncated.gob.gz", "chromem-export-damaged" },
	{ "no-trailer.gob.gz", "chromem-export-checksum" },
	{ "crc-wrong.gob.gz", "chromem-export-checksum" },
	{ "flip-text.gob", NULL },
	{ "flip-field-name.gob", "chromem-export-field-damaged" },
	{ "flip.gob.enc", "chromem-export-key" },
	{ "flip-nonce.gob.enc", "chromem-export-key" },
	{ "truncated.gob.enc", "chromem-export-key" },
	{ "ten-bytes.gob.enc", "chromem-export-damaged" },
	{ "wrong-key.gob.enc", "chromem-export-key" },
	{ "encrypted-read-as-plain.gob", "chromem-export-encrypted" },
	{ "trailing.gob", "chromem-export-trailing" },
};

static const char *problem_of(const char *file)
{
	for (size_t i = 0; i < VS_COUNT(damaged); i++) {
		if (strcmp(damaged[i].file, file) == 0)
			return damaged[i].problem;
	}
	cr_assert(false, "%s has no row here", file);
	return NULL;
}

static void check_damaged(const struct jr *recorded, const char *wrong_key)
{
	const char *file, *key, *error = "";
	bool encrypted, loads, same_content = false;
	enum loadable loadable;
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	cr_assert(jr_get_str(recorded, "file", &file));
	cr_assert(jr_get_bool(recorded, "encrypted", &encrypted));
	cr_assert(jr_get_bool(recorded, "loads", &loads));
	jr_get_bool(recorded, "same_content", &same_content);
	jr_get_str(recorded, "error", &error);
	key = strcmp(file, "wrong-key.gob.enc") == 0 ? wrong_key : FIXTURE_KEY;
	r = check_file("exports-damaged", file, encrypted ? key : NULL);
	if (!problem_of(file)) {
		kit_expect_clean(r);
		return;
	}
	kit_expect_only(r, problem_of(file), 1);
	loadable = !loads ? LOADABLE_NO : same_content ? LOADABLE_YES : LOADABLE_SILENTLY_WRONG;
	cr_assert_str_eq(loadable_name(r->summary.loadable), loadable_name(loadable), "%s", file);
	cr_assert_str_eq(r->summary.loader_text, error, "%s", file);
}

Test(export, damaged_ones_as_recorded)
{
	cleanup_(vs_freep) char *path = kit_source("tests/data/chromem/exports-damaged");
	const struct kit_dir dir = { .path = path };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *json = NULL;
	const struct jr *files;
	const char *wrong_key;
	struct vs_err err;

	kit_read(&dir, "expected.json", &text);
	cr_assert_eq(jr_parse(&json, buf_slice(&text), &err), 0, "%s", err.text);
	files = jr_get(json, "files");
	cr_assert(jr_get_str(json, "wrong_key", &wrong_key));
	cr_assert_eq(jr_count(files), VS_COUNT(damaged));
	for (size_t i = 0; i < jr_count(files); i++)
		check_damaged(jr_at(files, i), wrong_key);
}

#define DOCUMENT_ID "c9ee4221-8916-420b-bcce-4fa52709825e"

/* The map files a document under a key, which the library makes of the id inside: one bit of it
 * flips. */
Test(export, a_key_that_is_not_the_id)
{
	static const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_dir_new();
	cleanup_(kit_result_freep) struct kit_result *before = NULL;
	cleanup_(kit_result_freep) struct kit_result *after = NULL;
	cleanup_(vs_freep) char *source = kit_source("tests/data/chromem/exports");
	cleanup_(vs_freep) char *path = kit_path(dir, "store.gob");
	const struct kit_dir exports = { .path = source };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	const struct finding *f;
	size_t at;

	kit_read(&exports, "store.gob", &bytes);
	kit_write(dir, "store.gob", buf_slice(&bytes));
	before = kit_check(path, &req);
	kit_expect_clean(before);

	/* The key, then a step to the first field and the length of the id in it. */
	at = kit_find(dir, "store.gob", slice_str(DOCUMENT_ID "\x01\x24" DOCUMENT_ID));
	kit_flip(dir, "store.gob", at, 0);
	after = kit_check(path, &req);
	kit_expect_only(after, "chromem-export-document-key", 1);
	cr_assert_eq(after->summary.loadable, LOADABLE_SILENTLY_WRONG);
	f = kit_finding(after, "chromem-export-document-key");
	cr_assert(slice_eq_str(f->document, DOCUMENT_ID));
	cr_assert_str_eq(f->expected, "b9ee4221-8916-420b-bcce-4fa52709825e");
}

/* ---- what a whole export may hold ---- */

/* Check an export of a healthy store in which document 3 of "notes" was changed in this way. */
static struct kit_result *check_with(void (*change)(struct kit_doc *doc))
{
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_path(dir, "export.gob");
	struct kit_result *r;
	struct kit_doc doc;

	kit_doc(&doc, "notes", 3);
	change(&doc);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	kit_export(dir, CHROMEM_PLAIN, "export.gob");
	r = kit_check(path, &req);
	cr_assert_eq(r->status, 0, "%s", r->err.text);
	return r;
}

static void unchanged(struct kit_doc *doc)
{
	(void)doc;
}

static void one_nan(struct kit_doc *doc)
{
	doc->embedding[5] = NAN;
}

static void one_infinity(struct kit_doc *doc)
{
	doc->embedding[2] = INFINITY;
}

static void all_zero(struct kit_doc *doc)
{
	memset(doc->embedding, 0, sizeof(doc->embedding));
}

static void without(struct kit_doc *doc)
{
	doc->doc.dimension = 0;
}

static void shorter(struct kit_doc *doc)
{
	doc->doc.dimension = 1;
}

static void longer(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] *= 2;
}

Test(export, vectors)
{
	const struct {
		void (*change)(struct kit_doc *doc);
		const char *problem;
	} rows[] = {
		{ one_nan, "chromem-embedding-nan" },
		{ one_infinity, "chromem-embedding-infinite" },
		{ all_zero, "chromem-embedding-zero" },
		{ without, "chromem-embedding-missing" },
		{ shorter, "chromem-embedding-dimension" },
		{ longer, "chromem-embedding-norm" },
	};
	cleanup_(kit_result_freep) struct kit_result *clean = check_with(unchanged);

	kit_expect_clean(clean);
	cr_assert_eq(clean->summary.documents, 3 * KIT_DOCUMENTS);
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(kit_result_freep) struct kit_result *r = check_with(rows[i].change);
		const struct finding *f;

		kit_expect_only(r, rows[i].problem, 1);
		f = kit_finding(r, rows[i].problem);
		cr_assert(slice_eq_str(f->document, "notes-document-0003"));
		cr_assert_str_eq(f->collection, "ab5aa970");
		cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
		cr_assert_eq(r->summary.corrupt, 1);
	}
}

/* What was read of a file before it is refused is no content. */
Test(export, a_refused_file_has_no_collections)
{
	cleanup_(kit_result_freep) struct kit_result *r =
		check_file("exports-damaged", "truncated.gob", NULL);

	cr_assert_eq(r->collection_count, 0);
	cr_assert_eq(r->summary.documents, 0);
}
