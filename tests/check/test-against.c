/* SPDX-License-Identifier: Apache-2.0 */

/* A store held against an export file made earlier: what is gone, what has changed. */

#include "kit.h"

#include <criterion/criterion.h>

static struct kit_result *check_against(const struct kit_dir *dir, const char *export)
{
	const struct check_request req = { .level = CHECK_FULL, .jobs = 2, .against = export };
	struct kit_result *r = kit_check(dir->path, &req);

	cr_assert_eq(r->status, 0, "%s", r->err.text);
	return r;
}

/* The store that the export files were made from. */
static struct kit_dir *original(char **export)
{
	*export = kit_source("tests/data/chromem/exports/store.gob");
	return kit_fixture("healthy-plain");
}

static void first_document(const struct kit_dir *dir, struct buf *path)
{
	cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, CHECK_QUICK);
	cleanup_(vs_freep) char *full = kit_path(dir, r->collections[0].id);
	cleanup_(vs_freep) char *command = NULL;
	char name[64] = "";
	FILE *list;

	cr_assert_gt(asprintf(&command, "ls '%s' | sed -n 2p", full), 0);
	list = popen(command, "r");
	cr_assert(list && fgets(name, sizeof(name), list));
	pclose(list);
	name[strcspn(name, "\n")] = '\0';
	buf_printf(path, "%s/%s", r->collections[0].id, name);
}

Test(against, the_same)
{
	cleanup_(vs_freep) char *export = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *dir = original(&export);
	cleanup_(kit_result_freep) struct kit_result *r = check_against(dir, export);

	kit_expect_clean(r);
	cr_assert_eq(r->limits, 0, "now everything can be seen");
}

Test(against, document_missing)
{
	cleanup_(vs_freep) char *export = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *dir = original(&export);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	const struct finding *f;

	first_document(dir, &path);
	kit_remove(dir, buf_cstr(&path));
	r = check_against(dir, export);
	kit_expect_only(r, "chromem-document-missing", 1);
	f = kit_finding(r, "chromem-document-missing");
	cr_assert_str_eq(f->path, buf_cstr(&path));
	cr_assert_gt(f->document.len, 0);
	cr_assert_str_eq(f->other, export);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

Test(against, document_differs)
{
	cleanup_(vs_freep) char *export = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *dir = original(&export);
	cleanup_(kit_result_freep) struct kit_result *alone = NULL;
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };

	/* The last byte but the end mark is in the text. */
	first_document(dir, &path);
	kit_read(dir, buf_cstr(&path), &bytes);
	kit_flip(dir, buf_cstr(&path), bytes.len - 3, 0);
	alone = kit_check_dir(dir, CHECK_DEEP);
	kit_expect_clean(alone);
	r = check_against(dir, export);
	kit_expect_only(r, "chromem-document-differs", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-document-differs")->path, buf_cstr(&path));
}

Test(against, collection_missing)
{
	cleanup_(vs_freep) char *export = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *dir = original(&export);
	cleanup_(vs_freep) char *gone = kit_collection_path("contextd_memories");
	cleanup_(kit_dir_freep) struct kit_dir *away = kit_dir_new();
	cleanup_(vs_freep) char *from = kit_path(dir, gone);
	cleanup_(vs_freep) char *to = kit_path(away, gone);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	cr_assert_eq(rename(from, to), 0);
	r = check_against(dir, export);
	kit_expect_only(r, "chromem-collection-missing", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-collection-missing")->expected,
			 "contextd_memories");
	cr_assert_eq(kit_finding(r, "chromem-collection-missing")->count, 14);
	cr_assert_str_eq(kit_finding(r, "chromem-collection-missing")->collection, gone);
}

/* Documents of a collection whose metadata file is gone are still known by its directory. */
Test(against, a_missing_name_is_no_missing_collection)
{
	cleanup_(vs_freep) char *export = NULL;
	cleanup_(kit_dir_freep) struct kit_dir *dir = original(&export);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "contextd_memories");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_remove(dir, path);
	r = check_against(dir, export);
	kit_expect_only(r, "chromem-metadata-missing", 1);
}

/* Two ids of one hash: the second document has overwritten the first, and only the export tells. */
Test(against, document_hash_collision)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture("id-hash-collision");
	cleanup_(buf_fini) struct buf export = { 0 };
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	const struct finding *f;

	buf_printf(&export, "%s/export.gob", dir->root);
	r = check_against(dir, buf_cstr(&export));
	kit_expect_only(r, "chromem-document-hash-collision", 1);
	f = kit_finding(r, "chromem-document-hash-collision");
	cr_assert_str_eq(f->path, "9c62d17a/a6445983.gob");
	cr_assert_str_eq(f->expected, "43a3e2c4-3663-4e84-a2e7-70c940b053d9");
	cr_assert_str_eq(f->actual, "01e31a31-76a3-4f52-97ad-b119158ddddc");
}

Test(against, encrypted_and_packed)
{
	static const char *const names[] = { "store.gob.gz", "store.gob.enc", "store.gob.gz.enc" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture("healthy-gz");
		cleanup_(buf_fini) struct buf path = { 0 };
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		cleanup_(vs_freep) char *export = NULL;
		struct check_request req = { .level = CHECK_FULL, .jobs = 1 };

		buf_printf(&path, "tests/data/chromem/exports/%s", names[i]);
		export = kit_source(buf_cstr(&path));
		req.against = export;
		if (strstr(names[i], ".enc"))
			req.key = (const unsigned char *)"fixture-key-of-exactly-32-bytes!";
		r = kit_check(dir->path, &req);
		cr_assert_eq(r->status, 0, "%s", r->err.text);
		kit_expect_clean(r);
	}
}

Test(against, an_export_that_cannot_be_read_is_an_error)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture("healthy-plain");
	cleanup_(vs_freep) char *export =
		kit_source("tests/data/chromem/exports-damaged/truncated.gob");
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1, .against = export };
	cleanup_(kit_result_freep) struct kit_result *r = kit_check(dir->path, &req);

	cr_assert_eq(r->status, VS_EFORMAT);
	cr_assert_not_null(strstr(r->err.text, "truncated.gob"));
}
