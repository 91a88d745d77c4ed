/* SPDX-License-Identifier: Apache-2.0 */

/* Names of collections: damaged, of another directory, twice, shared. */

#include "kit.h"

#include <criterion/criterion.h>

Test(names, misnamed)
{
	static const char *const dirs[] = { "deadbeef", "my-collection" };

	for (size_t i = 0; i < VS_COUNT(dirs); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *notes = kit_collection_path("notes");
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		const struct finding *f;

		kit_rename(dir, notes, dirs[i]);
		r = kit_check_dir(dir, CHECK_FULL);
		kit_expect_only(r, "chromem-collection-misnamed", 1);
		f = kit_finding(r, "chromem-collection-misnamed");
		cr_assert_str_eq(f->collection, dirs[i]);
		cr_assert_str_eq(f->actual, "notes");
		cr_assert_str_eq(f->expected, notes);
		cr_assert_eq(r->summary.loadable, LOADABLE_YES);
		cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
	}
}

Test(names, name_damaged)
{
	for (int level = CHECK_QUICK; level <= CHECK_FULL; level++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "papers");
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_flip(dir, path, kit_find(dir, path, slice_str("papers")) + 5, 2);
		r = kit_check_dir(dir, level);
		kit_expect_only(r, "chromem-collection-name-damaged", 1);
		cr_assert_str_eq(kit_finding(r, "chromem-collection-name-damaged")->expected,
				 "papers");
		cr_assert_str_eq(kit_finding(r, "chromem-collection-name-damaged")->path, path);
		cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	}
}

Test(names, duplicate_name)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(buf_fini) struct buf copy = { 0 };
	struct kit_doc doc;

	buf_printf(&copy, "%s.bak", notes);
	kit_copy(dir, notes, buf_cstr(&copy));
	kit_doc(&doc, "notes", 77);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	r = kit_check_dir(dir, CHECK_FULL);
	/* Both directories, the one that is served and the one that is not. */
	kit_expect_only(r, "chromem-collection-duplicate-name", 2);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_str_eq(r->findings[i].actual, buf_cstr(&copy));
		cr_assert_str_eq(r->findings[i].other, notes);
	}
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
	cr_assert_eq(r->summary.corrupt, 2);
}

Test(names, duplicate_copy)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_copy(dir, notes, "copy-of-notes");
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-duplicate-copy", 2);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
}

/* A copy that is older than the original takes nothing away where the original wins. */
Test(names, older_copy_that_loses)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(kit_result_freep) struct kit_result *older = NULL;
	cleanup_(kit_result_freep) struct kit_result *newer = NULL;
	struct kit_doc doc;

	kit_copy(dir, notes, ".before");
	kit_doc(&doc, "notes", 77);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	older = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(older, "chromem-collection-duplicate-copy", 2);
	cr_assert_eq(older->summary.loadable, LOADABLE_YES);

	/* One document that the original does not have. */
	kit_doc(&doc, "notes", 78);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	{
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 78);
		cleanup_(buf_fini) struct buf other = { 0 };

		buf_printf(&other, ".before/%s", strchr(path, '/') + 1);
		kit_rename(dir, path, buf_cstr(&other));
	}
	newer = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(newer, "chromem-collection-duplicate-name", 2);
	cr_assert_eq(newer->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

/* What the copy has more may have been removed from the original since, and is served again. */
Test(names, newer_copy_that_wins)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_copy(dir, notes, "zzz");
	kit_remove(dir, path);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-duplicate-name", 2);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

/* ---- what documents tell about their collection ---- */

static void add_owned(const struct kit_dir *dir, const char *collection, unsigned number,
		      const struct chromem_pair *pairs, size_t count)
{
	struct kit_doc doc;

	kit_doc(&doc, collection, number);
	doc.doc.metadata = pairs;
	doc.doc.metadata_count = count;
	kit_add_doc(dir, CHROMEM_PLAIN, collection, &doc.doc);
}

static struct kit_dir *with_owner(const char *collection, const struct chromem_pair *pairs,
				  size_t count)
{
	struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);

	kit_add_collection(dir, CHROMEM_PLAIN, collection);
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++)
		add_owned(dir, collection, i, pairs, count);
	return dir;
}

Test(names, other_name_by_composition)
{
	const struct chromem_pair pairs[] = { { slice_str("project_id"), slice_str("ledger") } };
	cleanup_(kit_dir_freep) struct kit_dir *dir = with_owner("ledger_memories", pairs, 1);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "ledger_memories");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	const struct finding *f;

	kit_write_metadata(dir, CHROMEM_PLAIN, path, slice_str("something_else"));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-other-name", 1);
	f = kit_finding(r, "chromem-collection-other-name");
	cr_assert_str_eq(f->path, path);
	cr_assert_not_null(strstr(f->detail, "ledger_memories"));
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

Test(names, other_name_by_kind)
{
	const struct chromem_pair pairs[] = {
		{ slice_str("tenant_id"), slice_str("acme") },
		{ slice_str("problem"), slice_str("p") },
		{ slice_str("root_cause"), slice_str("r") },
		{ slice_str("solution"), slice_str("s") },
	};
	cleanup_(kit_dir_freep) struct kit_dir *dir = with_owner("x_remediations", pairs, 4);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "x_remediations");
	cleanup_(vs_freep) char *old = kit_collection_path("x_remediations");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_write_metadata(dir, CHROMEM_PLAIN, path, slice_str("contextd_signals"));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-other-name", 1);
	/* The same documents under a fitting name that was moved are no error. */
	kit_write_metadata(dir, CHROMEM_PLAIN, path, slice_str("y_remediations"));
	kit_rename(dir, old, "deadbeef");
	kit_result_freep(&r);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-misnamed", 1);
}

/* Two names with one hash, of different owners. */
#define SHARED_A "umbrella_report_infra_remediations"
#define SHARED_B "wonka_portal_queue_conversations"

Test(names, shared)
{
	const struct chromem_pair a[] = { { slice_str("tenant_id"), slice_str("umbrella") },
					  { slice_str("project_id"), slice_str("report") } };
	const struct chromem_pair b[] = { { slice_str("tenant_id"), slice_str("wonka") },
					  { slice_str("project_id"), slice_str("portal") } };
	cleanup_(kit_dir_freep) struct kit_dir *dir = with_owner(SHARED_B, b, 2);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	const struct finding *f;

	cr_assert_eq(chromem_hash(slice_str(SHARED_A)), chromem_hash(slice_str(SHARED_B)));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_clean(r);
	add_owned(dir, SHARED_A, 1, a, 2);
	add_owned(dir, SHARED_A, 2, a, 2);
	kit_result_freep(&r);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-collection-shared", 1);
	f = kit_finding(r, "chromem-collection-shared");
	cr_assert_str_eq(f->expected, "umbrella/report");
	cr_assert_str_eq(f->actual, SHARED_B);
	cr_assert_eq(f->count, 2);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

/* A collection may hold documents of many owners as long as its name does not say otherwise. */
Test(names, owners_may_share_a_common_collection)
{
	const struct chromem_pair pairs[] = { { slice_str("tenant_id"), slice_str("acme") },
					      { slice_str("project_id"), slice_str("ledger") } };
	cleanup_(kit_dir_freep) struct kit_dir *dir = with_owner("checkpoints", pairs, 2);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	for (unsigned i = 0; i < 40; i++) {
		char tenant[16], project[16];
		struct chromem_pair other[] = { { slice_str("tenant_id"), { 0 } },
						{ slice_str("project_id"), { 0 } } };

		snprintf(tenant, sizeof(tenant), "tenant%u", i);
		snprintf(project, sizeof(project), "project%u", i);
		other[0].value = slice_str(tenant);
		other[1].value = slice_str(project);
		add_owned(dir, "checkpoints", 100 + i, other, 2);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_clean(r);
}
