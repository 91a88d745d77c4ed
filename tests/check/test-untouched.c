/* SPDX-License-Identifier: Apache-2.0 */

/* Looking changes nothing: not a byte, not a time, not a name. */

#include "kit.h"

#include "store/store.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

static void expect_untouched(const struct kit_dir *dir, const char *what)
{
	struct digest before, after;

	kit_tree_digest(dir, &before);
	for (int level = CHECK_QUICK; level <= CHECK_DEEP; level++) {
		const struct check_request req = { .level = level, .jobs = 2 };
		cleanup_(kit_result_freep) struct kit_result *r = kit_check(dir->path, &req);

		cr_assert_eq(r->status, 0, "%s: %s", what, r->err.text);
	}
	kit_tree_digest(dir, &after);
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "%s was changed", what);
}

Test(untouched, the_digest_sees_changes)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 0);
	struct digest before, after;

	kit_tree_digest(dir, &before);
	kit_flip(dir, path, 20, 0);
	kit_tree_digest(dir, &after);
	cr_assert_neq(memcmp(&before, &after, sizeof(before)), 0);
	kit_flip(dir, path, 20, 0);
	kit_chmod(dir, path, 0640);
	kit_tree_digest(dir, &before);
	cr_assert_neq(memcmp(&before, &after, sizeof(before)), 0);
}

Test(untouched, stores_healthy_and_damaged)
{
	static const char *const names[] = { "healthy-gz",         "healthy-nested-stores",
					     "healthy-contextd",   "many-damages",
					     "leftover-temporary", "symlink-document",
					     "doc-copy-suffix",    "collection-backup-copy" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture(names[i]);

		expect_untouched(dir, names[i]);
	}
}

Test(untouched, a_path_that_is_not_there_stays_away)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_dir_new();
	cleanup_(vs_freep) char *path = kit_path(dir, "missing/store");
	cleanup_(vs_freep) char *parent = kit_path(dir, "missing");
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(kit_result_freep) struct kit_result *r = kit_check(path, &req);
	struct stat st;

	cr_assert_eq(r->status, VS_ENOENT);
	cr_assert_neq(stat(path, &st), 0);
	cr_assert_neq(access(path, F_OK), 0);
	cr_assert_neq(stat(parent, &st), 0);
}
