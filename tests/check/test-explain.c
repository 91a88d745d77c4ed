/* SPDX-License-Identifier: Apache-2.0 */

/* Timelines, and causes: what each recorded case of damage is put down to. */

#include "kit.h"

#include "store/store.h"

#include <criterion/criterion.h>

/* ---- times ---- */

static struct timeline timeline_of(const struct kit_dir *dir, const char *collection)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(vs_freep) char *path = kit_collection_path(collection);
	struct timeline t;
	struct vs_err err;

	cr_assert_eq(store_open(&store, dir->path, true, &err), 0, "%s", err.text);
	cr_assert_eq(check_timeline(store, path, &t, &err), 0, "%s", err.text);
	return t;
}

static void wait_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	cr_assert_eq(nanosleep(&t, NULL), 0);
}

static void add_documents(const struct kit_dir *dir, const char *collection)
{
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		struct kit_doc doc;

		kit_doc(&doc, collection, i);
		kit_add_doc(dir, CHROMEM_PLAIN, collection, &doc.doc);
	}
}

Test(timeline, of_a_healthy_collection)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	struct timeline t = timeline_of(dir, "notes");
	uint64_t sum = 0;

	cr_assert(t.has_metadata);
	cr_assert_eq(t.gap, GAP_NONE);
	cr_assert_eq(t.documents, KIT_DOCUMENTS);
	cr_assert_leq(t.metadata_modified_ns, t.first_ns);
	cr_assert_leq(t.first_ns, t.last_ns);
	for (size_t i = 0; i < TIMELINE_BUCKETS; i++)
		sum += t.bucket[i];
	cr_assert_eq(sum, KIT_DOCUMENTS);
	cr_assert_gt(t.bucket[0], 0);
	cr_assert_gt(t.bucket[TIMELINE_BUCKETS - 1], 0);
}

/* A process that still has the collection writes documents after its directory was removed. */
Test(timeline, directory_made_again_by_a_document)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_collection_path("again");
	struct timeline t;

	wait_ms(1200);
	kit_mkdir(dir, path);
	add_documents(dir, "again");
	t = timeline_of(dir, "again");
	if (t.directory_born_ns == 0)
		cr_skip("this file system does not record when files were made");
	cr_assert_eq(t.gap, GAP_NEVER_THERE);
	cr_assert_eq(t.in_gap, KIT_DOCUMENTS);
	cr_assert_eq(t.gap_to_ns, t.directory_born_ns);
}

/* Each directory right after the one before, and filled at once: so it is copied, and so it was not
 * written. */
Test(timeline, of_a_copy_without_times)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture("incident-missing-metadata");
	struct timeline t = timeline_of(dir, "contextd_memories");

	if (t.directory_born_ns == 0)
		cr_skip("this file system does not record when files were made");
	cr_assert(t.is_copy);
	cr_assert_eq(t.gap, GAP_UNKNOWN);
}

Test(timeline, metadata_removed_later)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "notes");
	struct timeline t;

	wait_ms(1200);
	kit_remove(dir, path);
	t = timeline_of(dir, "notes");
	if (t.directory_born_ns == 0)
		cr_skip("this file system does not record when files were made");
	cr_assert_eq(t.gap, GAP_REMOVED);
	cr_assert_eq(t.gap_to_ns, t.directory_modified_ns);
	cr_assert_lt(t.gap_from_ns, t.gap_to_ns);
}

/* ---- causes ---- */

#define CODE_CAP 48

struct causes {
	char code[8][CODE_CAP];
	char collection[8][CODE_CAP];
	char evidence[512];
	size_t count;
};

static void on_cause(void *ctx, const struct cause *cause)
{
	struct causes *causes = ctx;

	cr_assert_lt(causes->count, 8);
	cr_assert_gt(strlen(cause->summary), 20);
	cr_assert_gt(strlen(cause->evidence), 10);
	cr_assert_gt(cause->findings, 0);
	if (causes->count == 0)
		snprintf(causes->evidence, sizeof(causes->evidence), "%s", cause->evidence);
	snprintf(causes->code[causes->count], CODE_CAP, "%s", cause->code);
	snprintf(causes->collection[causes->count++], CODE_CAP, "%s",
		 cause->collection ? cause->collection : "");
}

static struct causes causes_of(const struct kit_dir *dir, const struct check_request *req)
{
	cleanup_(kit_result_freep) struct kit_result *r = kit_check(dir->path, req);
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(explain_freep) struct explain *explain = NULL;
	struct causes causes = { 0 };
	struct vs_err err;

	cr_assert_eq(r->status, 0, "%s", r->err.text);
	cr_assert_eq(store_open(&store, dir->path, true, &err), 0);
	explain = explain_new(store);
	for (size_t i = 0; i < r->count; i++)
		explain_add(explain, &r->findings[i]);
	explain_causes(explain, on_cause, &causes);
	return causes;
}

/* The cause that comes first for each fixture that was broken in one way. */
static const struct {
	const char *fixture;
	const char *cause;
} fixture_causes[] = {
	{ "collection-backup-copy", "operator-copy" },
	{ "collection-duplicate-name", "operator-copy" },
	{ "directory-named-like-document", "directory-removed-under-live-process" },
	{ "doc-copy-suffix", "operator-copy" },
	{ "doc-duplicate-id", "operator-copy" },
	{ "doc-empty-file", "disk-full-or-crash-while-writing" },
	{ "doc-flip-content-length", "bit-rot" },
	{ "doc-flip-content-utf8", "bit-rot" },
	{ "doc-flip-embedding-count", "bit-rot" },
	{ "doc-flip-embedding-exponent", "bit-rot" },
	{ "doc-flip-embedding-length", "bit-rot" },
	{ "doc-flip-embedding-low-bits", "bit-rot" },
	{ "doc-flip-embedding-value", "bit-rot" },
	{ "doc-flip-field-name-content", "bit-rot" },
	{ "doc-flip-field-name-embedding", "bit-rot" },
	{ "doc-flip-field-name-id", "bit-rot" },
	{ "doc-flip-field-type", "bit-rot" },
	{ "doc-flip-id", "bit-rot" },
	{ "doc-flip-metadata-count", "bit-rot" },
	{ "doc-flip-type-id", "bit-rot" },
	{ "doc-flip-type-length", "bit-rot" },
	{ "doc-is-metadata", "operator-copy" },
	{ "doc-last-byte-missing", "disk-full-or-crash-while-writing" },
	{ "doc-name-mismatch", "operator-copy" },
	{ "doc-no-id", "foreign-writer" },
	{ "doc-one-byte", "disk-full-or-crash-while-writing" },
	{ "doc-torn-after-types", "disk-full-or-crash-while-writing" },
	{ "doc-truncated", "disk-full-or-crash-while-writing" },
	{ "doc-zero-filled", "power-loss" },
	{ "doc-zero-tail-content", "power-loss" },
	{ "doc-zero-tail-embedding", "power-loss" },
	{ "doc-zero-tail-metadata", "power-loss" },
	{ "embedding-dimension", "embedding-function" },
	{ "embedding-inf", "embedding-function" },
	{ "embedding-missing", "embedding-function" },
	{ "embedding-nan", "embedding-function" },
	{ "embedding-nan-single", "embedding-function" },
	{ "embedding-not-normalised", "embedding-function" },
	{ "embedding-zero", "embedding-function" },
	{ "empty-collection-directory", "crash-at-creation" },
	{ "gz-crc-wrong", "bit-rot" },
	{ "gz-deflate-damaged", "bit-rot" },
	{ "gz-flip-data", "bit-rot" },
	{ "gz-header-damaged", "bit-rot" },
	{ "gz-in-plain-store", "operator-copy" },
	{ "gz-plain-inside", "operator-copy" },
	{ "gz-truncated-data", "disk-full-or-crash-while-writing" },
	{ "gz-truncated-trailer", "disk-full-or-crash-while-writing" },
	{ "healthy-recovered-metadata", "foreign-writer" },
	{ "incident-missing-metadata", "directory-removed-under-live-process" },
	{ "leftover-temporary", "interrupted-writer" },
	{ "leftover-temporary-directory", "interrupted-writer" },
	{ "meta-empty-file", "disk-full-or-crash-while-writing" },
	{ "meta-flip-field-name", "bit-rot" },
	{ "meta-flip-name", "bit-rot" },
	{ "meta-is-document", "operator-copy" },
	{ "meta-no-name", "foreign-writer" },
	{ "meta-other-name", "operator-copy" },
	{ "meta-overwritten-by-document", "name-collision" },
	{ "meta-torn-after-types", "disk-full-or-crash-while-writing" },
	{ "meta-truncated", "disk-full-or-crash-while-writing" },
	{ "meta-zero-filled", "power-loss" },
	{ "mixed-extensions", "wrong-compression-setting" },
	{ "name-hash-collision", "name-collision" },
	{ "opened-with-wrong-compress-setting", "wrong-compression-setting" },
	{ "stray-gob-directory", "operator-copy" },
	{ "symlink-collection", "moved-with-links" },
	{ "symlink-document", "moved-with-links" },
	{ "symlink-document-dangling", "moved-with-links" },
};

Test(explain, each_case_has_its_cause)
{
	for (size_t i = 0; i < VS_COUNT(fixture_causes); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir =
			kit_fixture(fixture_causes[i].fixture);
		struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
		struct causes causes;

		req.has_compression = strncmp(fixture_causes[i].fixture, "opened-", 7) == 0;
		causes = causes_of(dir, &req);
		cr_expect_gt(causes.count, 0, "%s", fixture_causes[i].fixture);
		cr_expect_str_eq(causes.code[0], fixture_causes[i].cause, "%s",
				 fixture_causes[i].fixture);
	}
}

Test(explain, healthy_stores_need_no_cause)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };

	cr_assert_eq(causes_of(dir, &req).count, 0);
}

Test(explain, times_tell_a_lost_file_from_a_removed_directory)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "notes");
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
	struct causes causes;

	if (timeline_of(dir, "notes").directory_born_ns == 0)
		cr_skip("this file system does not record when files were made");
	wait_ms(1200);
	kit_remove(dir, path);
	causes = causes_of(dir, &req);
	cr_assert_eq(causes.count, 1);
	cr_assert_str_eq(causes.code[0], "metadata-file-lost");
	cr_assert_str_eq(causes.collection[0], notes);
	cr_assert_not_null(strstr(causes.evidence, "after the last document"));
}

Test(explain, several_causes_best_first)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture("many-damages");
	const struct check_request req = { .level = CHECK_FULL, .jobs = 1 };
	struct causes causes = causes_of(dir, &req);

	cr_assert_gt(causes.count, 3);
	cr_assert_str_eq(causes.code[0], "disk-full-or-crash-while-writing");
	cr_assert_str_empty(causes.collection[0], "it is about several collections");
}
