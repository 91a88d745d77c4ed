/* SPDX-License-Identifier: Apache-2.0 */

/* Structure: what entries of the store and of its collections are, and what the library ignores. */

#include "kit.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

static const struct slice bytes = { (const unsigned char *)"anything", 8 };

Test(structure, healthy_stores_are_clean)
{
	for (int c = CHROMEM_PLAIN; c <= CHROMEM_GZIP; c++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(c);

		for (int level = CHECK_QUICK; level <= CHECK_DEEP; level++) {
			cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, level);

			kit_expect_clean(r);
			cr_assert_eq(r->summary.collections, 3);
			cr_assert_eq(r->summary.healthy, 3);
			cr_assert_eq(r->summary.documents, 3 * KIT_DOCUMENTS);
			cr_assert_str_eq(r->summary.compression,
					 c == CHROMEM_GZIP ? "gzip" : "none");
			cr_assert_eq(r->gaps, 0);
			cr_assert_gt(r->limits, 0, "no level sees everything");
		}
	}
}

Test(structure, collections_are_listed_with_what_they_hold)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, CHECK_FULL);
	uint64_t total = 0;

	cr_assert_eq(r->collection_count, 3);
	for (size_t i = 0; i < r->collection_count; i++) {
		const struct check_collection *c = &r->collections[i];
		cleanup_(vs_freep) char *expected = kit_collection_path(c->name);

		cr_assert_str_eq(c->id, expected);
		cr_assert_eq(c->state, COLLECTION_HEALTHY);
		cr_assert_eq(c->documents, KIT_DOCUMENTS);
		cr_assert_eq(c->dimension, KIT_DIMENSION);
		cr_assert(i == 0 || strcmp(r->collections[i - 1].id, c->id) < 0);
		total += c->bytes;
	}
	cr_assert_eq(total, r->summary.bytes);
}

Test(structure, an_empty_store_is_healthy)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_dir_new();
	cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, CHECK_FULL);

	kit_expect_clean(r);
	cr_assert_eq(r->summary.collections, 0);
	cr_assert_null(r->summary.compression);
}

/* ---- collections ---- */

Test(structure, collection_empty)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_mkdir(dir, "01e68e25");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-empty", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_eq(r->summary.empty, 1);
	cr_assert_eq(r->summary.healthy, 3);
}

Test(structure, collection_no_documents)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", i);

		kit_remove(dir, path);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-no-documents", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
	cr_assert_eq(r->summary.healthy, 3);
}

Test(structure, collection_symlink)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_dir_freep) struct kit_dir *other = kit_dir_new();
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(vs_freep) char *here = kit_path(dir, notes);
	cleanup_(vs_freep) char *there = kit_path(other, "moved");

	cr_assert_eq(rename(here, there), 0);
	kit_symlink(dir, there, notes);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-symlink", 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

Test(structure, collection_unreadable)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(buf_fini) struct buf expected = { 0 };

	kit_chmod(dir, notes, 0);
	kit_drop_privileges(dir);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_regain_privileges();
	kit_expect_only(r, "chromem-collection-unreadable", 1);
	cr_assert_eq(r->gaps, 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_NO);
	buf_printf(&expected,
		   "couldn't read collection directory: open ${STORE}/%s: permission denied",
		   notes);
	cr_assert_str_eq(r->summary.loader_text, buf_cstr(&expected));
}

/* What the library says of a later directory does not count once it has given up. */
Test(structure, an_earlier_refusal_stands)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, CHECK_QUICK);
	cleanup_(vs_freep) char *last = vs_strdup(r->collections[2].id);
	cleanup_(buf_fini) struct buf metadata = { 0 };

	buf_printf(&metadata, "%s/00000000.gob", r->collections[0].id);
	kit_remove(dir, buf_cstr(&metadata));
	kit_chmod(dir, last, 0);
	kit_drop_privileges(dir);
	kit_result_freep(&r);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_regain_privileges();
	cr_assert_eq(r->summary.errors, 2);
	cr_assert_not_null(strstr(r->summary.loader_text, "metadata file not found"));
}

Test(structure, collection_mixed_forms)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	struct kit_doc doc;

	kit_doc(&doc, "notes", 100);
	kit_add_doc(dir, CHROMEM_GZIP, "notes", &doc.doc);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-mixed-forms", 1);
	cr_assert_eq(kit_finding(r, "chromem-collection-mixed-forms")->count, 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

Test(structure, a_collection_of_the_other_form_alone)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_add_collection(dir, CHROMEM_GZIP, "packed");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-mixed-forms", 1);
	cr_assert_eq(kit_finding(r, "chromem-collection-mixed-forms")->count, KIT_DOCUMENTS + 1);
}

Test(structure, store_wrong_form)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_GZIP);
	const struct check_request req = { .level = CHECK_FULL,
					   .jobs = 1,
					   .has_compression = true };
	cleanup_(kit_result_freep) struct kit_result *r = kit_check(dir->path, &req);

	cr_assert_eq(r->status, 0);
	kit_expect_only(r, "chromem-store-wrong-form", 1);
	cr_assert_eq(kit_finding(r, "chromem-store-wrong-form")->count, 3 * (KIT_DOCUMENTS + 1));
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	cr_assert_str_eq(r->summary.compression, "gzip");
}

/* ---- what the library takes for a collection ---- */

Test(structure, stray_collection)
{
	static const char *const names[] = { "exports", ".hidden", "notes.tmp", ".quarantine" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		cleanup_(vs_freep) char *from = kit_doc_path(CHROMEM_PLAIN, "notes", 0);
		cleanup_(buf_fini) struct buf path = { 0 };

		kit_mkdir(dir, names[i]);
		buf_printf(&path, "%s/one.gob", names[i]);
		kit_copy(dir, from, buf_cstr(&path));
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-stray-collection", 1);
		cr_assert_eq(r->summary.loadable, LOADABLE_NO);
		cr_assert_not_null(strstr(r->summary.loader_text, "metadata file not found"));
		cr_assert_not_null(strstr(r->summary.loader_text, names[i]));
	}
}

Test(structure, stray_directory)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(buf_fini) struct buf inside = { 0 };

	kit_mkdir(dir, ".git");
	kit_write(dir, ".git/HEAD", bytes);
	buf_printf(&inside, "%s/old", notes);
	kit_mkdir(dir, buf_cstr(&inside));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-stray-directory", 2);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
	cr_assert_eq(r->summary.collections, 3);
}

Test(structure, store_nested)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_mkdir(dir, "acme");
	kit_mkdir(dir, "acme/ledger");
	kit_copy(dir, notes, "acme/ledger/");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-store-nested", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-store-nested")->path, "acme/ledger");
}

Test(structure, store_quarantine)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_mkdir(dir, ".quarantine");
	kit_copy(dir, notes, ".quarantine/one");
	kit_write(dir, ".quarantine/one.json", bytes);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-store-quarantine", 1);
	cr_assert_eq(kit_finding(r, "chromem-store-quarantine")->count, 1);
}

/* ---- files ---- */

Test(structure, stray_file)
{
	static const char *const names[] = { "README.md", "notes.txt", "x.gob~", "x.gob.bak",
					     "X.GOB",     "template",  "tmp" };
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_write(dir, "backup.gob", bytes);
	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "%s/%s", notes, names[i]);
		kit_write(dir, buf_cstr(&path), bytes);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-stray-file", VS_COUNT(names) + 1);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}

Test(structure, leftover_temporary)
{
	static const char *const names[] = { "a.gob.tmp", ".00000000.gob.tmp-4711", "tmp8k2j1x",
					     "upload.temp", "x.tmp.5f3a" };
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "%s/%s", notes, names[i]);
		kit_write(dir, buf_cstr(&path), bytes);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-leftover-temporary", VS_COUNT(names));
}

Test(structure, document_is_directory)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(buf_fini) struct buf path = { 0 };

	buf_printf(&path, "%s/deadbeef.gob", notes);
	kit_mkdir(dir, buf_cstr(&path));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-is-directory", 1);
	cr_assert_eq(r->summary.documents, 3 * KIT_DOCUMENTS);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
}

/* ---- links and worse ---- */

Test(structure, document_symlink)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_rename(dir, path, "elsewhere");
	kit_symlink(dir, "../elsewhere", path);
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_str_eq(kit_finding(r, "chromem-document-symlink")->actual, "../elsewhere");
	cr_assert_eq(r->summary.errors + r->summary.warnings, 0);
	cr_assert_eq(r->collections[0].dimension, KIT_DIMENSION);
}

Test(structure, document_symlink_dangling)
{
	for (int level = CHECK_QUICK; level <= CHECK_FULL; level++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
		cleanup_(buf_fini) struct buf expected = { 0 };

		kit_remove(dir, path);
		kit_symlink(dir, "/nonexistent", path);
		r = kit_check_dir(dir, level);
		kit_expect_only(r, "chromem-document-symlink-dangling", 1);
		buf_printf(&expected,
			   "couldn't read document: couldn't open file: open ${STORE}/%s: no such "
			   "file or directory",
			   path);
		cr_assert_str_eq(r->summary.loader_text, buf_cstr(&expected));
	}
}

Test(structure, document_not_a_file, .timeout = 20)
{
	for (int level = CHECK_QUICK; level <= CHECK_FULL; level++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

		kit_remove(dir, path);
		kit_mkfifo(dir, path);
		r = kit_check_dir(dir, level);
		kit_expect_only(r, "chromem-document-not-a-file", 1);
		cr_assert_str_eq(kit_finding(r, "chromem-document-not-a-file")->actual, "a FIFO");
		cr_assert_eq(r->summary.loadable, LOADABLE_NO);
		cr_assert_str_empty(r->summary.loader_text, "it hangs and says nothing");
	}
}

Test(structure, a_link_to_a_directory_is_not_a_file)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_remove(dir, path);
	kit_symlink(dir, "..", path);
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_eq(kit_count(r, "chromem-document-not-a-file"), 1);
	cr_assert_not_null(strstr(r->summary.loader_text, ": is a directory"));
}

/* ---- modes ---- */

Test(structure, mode_world_writable)
{
	for (int level = CHECK_QUICK; level <= CHECK_FULL; level++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		cleanup_(vs_freep) char *notes = kit_collection_path("notes");
		cleanup_(vs_freep) char *doc = kit_doc_path(CHROMEM_PLAIN, "papers", 1);
		cleanup_(vs_freep) char *metadata = kit_metadata_path(CHROMEM_PLAIN, "letters");

		kit_chmod(dir, notes, 0777);
		kit_chmod(dir, doc, 0666);
		kit_chmod(dir, metadata, 0646);
		kit_chmod(dir, ".", 0757);
		r = kit_check_dir(dir, level);
		kit_expect_only(r, "chromem-mode-world-writable", 4);
		cr_assert_str_eq(r->findings[0].path, ".");
		cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
	}
}

/* Of 600 documents about 38 are asked for their mode, unless one of them is wrong. */
Test(structure, modes_of_a_large_collection)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	size_t alone = 0;

	for (unsigned i = 0; i < 600; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "notes", 1000 + i);
		kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
	for (unsigned i = 0; i < 64 && alone < 32; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1000 + i);

		kit_chmod(dir, path, 0666);
		r = kit_check_dir(dir, CHECK_FULL);
		if (r->count > 0)
			break;
		alone++;
		kit_result_freep(&r);
		r = kit_check_dir(dir, CHECK_DEEP);
		kit_expect_only(r, "chromem-mode-world-writable", alone);
		kit_result_freep(&r);
	}
	cr_assert_gt(alone, 0, "asked for all");
	cr_assert_not_null(r, "asked for none");
	kit_expect_only(r, "chromem-mode-world-writable", alone + 1);
}

Test(structure, mode_read_only)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_chmod(dir, notes, 0500);
	r = kit_check_dir(dir, CHECK_QUICK);
	kit_expect_only(r, "chromem-mode-read-only", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-mode-read-only")->actual, "500");
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}

/* ---- one collection ---- */

Test(structure, one_collection_by_directory_or_name)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(vs_freep) char *broken = kit_doc_path(CHROMEM_PLAIN, "papers", 1);
	const char *const names[] = { notes, "notes", "papers", "no such name" };

	kit_truncate(dir, broken, 100);
	for (size_t i = 0; i < VS_COUNT(names); i++) {
		const struct check_request req = { .level = CHECK_FULL,
						   .jobs = 1,
						   .only_collection = names[i] };
		cleanup_(kit_result_freep) struct kit_result *r = kit_check(dir->path, &req);

		if (i == 3) {
			cr_assert_eq(r->status, VS_ENOENT);
			continue;
		}
		cr_assert_eq(r->status, 0);
		cr_assert_eq(r->collection_count, 1);
		cr_assert_eq(r->summary.errors, i == 2 ? 1 : 0);
		cr_assert_eq(r->limits, 2);
	}
}
