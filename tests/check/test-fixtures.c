/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All stores below tests/data/chromem, made by the library and broken on purpose, held against what
 * is recorded beside them: what is wrong, and what the library makes of it.
 */

#include "kit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <unistd.h>

#define NAME_CAP 256
#define PROBLEMS_MAX 8

struct fixture {
	char name[NAME_CAP];
};

/* The classes of damage that the fixtures record, and which problems say the same. */
static const struct {
	const char *class;
	const char *problems[PROBLEMS_MAX];
} class_rows[] = {
	{ "collection-duplicate-name", { "chromem-collection-duplicate-name" } },
	{ "compression-mismatch",
	  { "chromem-document-form-mismatch", "chromem-metadata-form-mismatch",
	    "chromem-store-wrong-form" } },
	{ "document-bit-flip",
	  { "chromem-document-gob", "chromem-document-shape", "chromem-document-field-damaged",
	    "chromem-document-id-damaged", "chromem-document-float-inexact",
	    "chromem-document-text-damaged", "chromem-embedding-norm" } },
	{ "document-duplicate-id",
	  { "chromem-document-duplicate-id", "chromem-document-duplicate-copy" } },
	{ "document-empty-file", { "chromem-document-empty" } },
	{ "document-is-metadata", { "chromem-document-is-metadata" } },
	{ "document-name-mismatch", { "chromem-document-misnamed" } },
	{ "document-no-id", { "chromem-document-no-id" } },
	{ "document-truncated", { "chromem-document-truncated" } },
	{ "document-zero-filled", { "chromem-document-zero-filled" } },
	{ "document-zero-tail", { "chromem-document-zero-tail" } },
	{ "embedding-dimension", { "chromem-embedding-dimension" } },
	{ "embedding-inf", { "chromem-embedding-infinite" } },
	{ "embedding-missing", { "chromem-embedding-missing", "chromem-embedding-none" } },
	{ "embedding-nan", { "chromem-embedding-nan" } },
	{ "embedding-not-normalised", { "chromem-embedding-norm" } },
	{ "embedding-zero", { "chromem-embedding-zero" } },
	{ "empty-directory", { "chromem-collection-empty" } },
	{ "foreign-encoding", { "chromem-metadata-foreign-encoding" } },
	{ "gzip-checksum", { "chromem-document-checksum", "chromem-document-gzip-trailer" } },
	{ "gzip-corrupt", { "chromem-document-gzip-corrupt" } },
	{ "gzip-truncated",
	  { "chromem-document-gzip-truncated", "chromem-document-gzip-trailer" } },
	{ "leftover-temporary", { "chromem-leftover-temporary" } },
	{ "leftover-temporary-directory", { "chromem-stray-collection" } },
	{ "metadata-bit-flip", { "chromem-metadata-no-name" } },
	{ "metadata-empty-file", { "chromem-metadata-empty" } },
	{ "metadata-is-document", { "chromem-metadata-is-document" } },
	{ "metadata-missing", { "chromem-metadata-missing" } },
	{ "metadata-name-mismatch",
	  { "chromem-collection-name-damaged", "chromem-collection-other-name" } },
	{ "metadata-no-name", { "chromem-metadata-no-name" } },
	{ "metadata-truncated", { "chromem-metadata-truncated" } },
	{ "metadata-zero-filled", { "chromem-metadata-zero-filled" } },
	{ "mixed-extensions", { "chromem-collection-mixed-forms" } },
	{ "name-hash-collision", { "chromem-collection-shared" } },
	{ "nested-store", { "chromem-store-nested" } },
	{ "permission",
	  { "chromem-collection-unreadable", "chromem-document-unreadable",
	    "chromem-mode-read-only", "chromem-mode-world-writable" } },
	{ "quarantine-directory", { "chromem-store-quarantine" } },
	{ "stray-directory",
	  { "chromem-stray-directory", "chromem-stray-collection",
	    "chromem-document-is-directory" } },
	{ "stray-file", { "chromem-stray-file", "chromem-document-shape" } },
	{ "symlink",
	  { "chromem-document-symlink", "chromem-document-symlink-dangling",
	    "chromem-collection-symlink" } },
};

/* What was recorded for one fixture. */
struct expected {
	struct buf text;
	struct jr *json;
};

static void expected_fini(struct expected *e)
{
	jr_freep(&e->json);
	buf_fini(&e->text);
}

static void expected_load(const struct kit_dir *dir, struct expected *e)
{
	struct kit_dir root = { .root = dir->root, .path = dir->root };
	struct vs_err err = { 0 };

	kit_read(&root, "expected.json", &e->text);
	cr_assert_eq(jr_parse(&e->json, buf_slice(&e->text), &err), 0, "%s", err.text);
}

static const char *text_of(const struct jr *object, const char *key)
{
	const char *text = NULL;

	return jr_get_str(object, key, &text) ? text : "";
}

/* Is this damage that the store itself cannot show? */
static bool is_invisible(const struct jr *finding)
{
	const char *evidence = text_of(finding, "evidence");

	/* Type numbers from 65 on are what the library writes when built with an old release of Go.
	 */
	return strcmp(evidence, "baseline") == 0 || strcmp(evidence, "export") == 0 ||
	       strcmp(text_of(finding, "class"), "collection-no-documents") == 0 ||
	       strcmp(text_of(finding, "detail"), "type numbers 65 and 66; valid") == 0;
}

static bool problem_fits_class(const char *problem, const char *class)
{
	for (size_t i = 0; i < VS_COUNT(class_rows); i++) {
		if (strcmp(class_rows[i].class, class) != 0)
			continue;
		for (size_t p = 0; p < PROBLEMS_MAX && class_rows[i].problems[p]; p++) {
			if (strcmp(class_rows[i].problems[p], problem) == 0)
				return true;
		}
	}
	return false;
}

/* The same place, or a file in the directory that was recorded. */
static bool path_fits(const char *path, const char *recorded)
{
	size_t len = strlen(recorded);

	return strcmp(path, recorded) == 0 || (strncmp(path, recorded, len) == 0 &&
					       path[len] == '/' && !strchr(path + len + 1, '/'));
}

static bool finding_fits(const struct finding *f, const struct jr *recorded)
{
	return problem_fits_class(problem_row(f->code)->code, text_of(recorded, "class")) &&
	       path_fits(f->path, text_of(recorded, "path"));
}

/* ---- what must hold ---- */

static void all_recorded_are_found(const struct kit_result *r, const struct jr *recorded,
				   struct buf *complaints)
{
	for (size_t i = 0; i < jr_count(recorded); i++) {
		const struct jr *one = jr_at(recorded, i);
		bool found = is_invisible(one);

		for (size_t f = 0; f < r->count && !found; f++)
			found = finding_fits(&r->findings[f], one);
		if (!found)
			buf_printf(complaints, "\n  not found: %s at %s", text_of(one, "class"),
				   text_of(one, "path"));
	}
}

/* Nothing but what was recorded may be an error or a warning. */
static void no_false_alarm(const struct kit_result *r, const struct jr *recorded,
			   struct buf *complaints)
{
	for (size_t f = 0; f < r->count; f++) {
		const struct finding *finding = &r->findings[f];
		bool expected = problem_row(finding->code)->severity == SEV_INFO;

		for (size_t i = 0; i < jr_count(recorded) && !expected; i++)
			expected = finding_fits(finding, jr_at(recorded, i));
		/* The other directory of a pair is reported too. */
		expected |= strcmp(problem_row(finding->code)->code,
				   "chromem-collection-duplicate-name") == 0;
		if (!expected)
			buf_printf(complaints, "\n  false alarm: %s %s: %s",
				   problem_row(finding->code)->code, finding->path, r->messages[f]);
	}
}

static enum loadable loadable_of(const char *effect)
{
	if (strcmp(effect, "none") == 0)
		return LOADABLE_YES;
	if (strcmp(effect, "fails-whole-store") == 0 || strcmp(effect, "hangs") == 0 ||
	    strcmp(effect, "process-dies") == 0)
		return LOADABLE_NO;
	return LOADABLE_SILENTLY_WRONG;
}

static void loadable_is_recorded(const struct kit_result *r, const struct expected *e,
				 struct buf *complaints)
{
	const struct jr *findings = jr_get(e->json, "findings");
	enum loadable expected = loadable_of(text_of(e->json, "effect"));
	const char *error = text_of(jr_get(e->json, "library"), "error");
	bool is_visible = jr_count(findings) == 0;

	for (size_t i = 0; i < jr_count(findings); i++)
		is_visible |= !is_invisible(jr_at(findings, i));
	if (!is_visible)
		expected = LOADABLE_YES;
	if (r->summary.loadable != expected)
		buf_printf(complaints, "\n  loadable: %s, should be %s",
			   loadable_name(r->summary.loadable), loadable_name(expected));
	if (strcmp(r->summary.loader_text, error) != 0)
		buf_printf(complaints, "\n  the library says: %s\n  not:              %s", error,
			   r->summary.loader_text);
}

/* ---- running them ---- */

static struct kit_result *check_fixture(const struct kit_dir *dir, const struct expected *e)
{
	struct check_request req = { .level = CHECK_FULL, .jobs = 2, .has_compression = true };

	cr_assert(jr_get_bool(e->json, "compress", &req.gzip));
	return kit_check(dir->path, &req);
}

ParameterizedTestParameters(fixtures, as_recorded)
{
	struct fixture *rows = cr_malloc(256 * sizeof(*rows));
	struct dirent **entries = NULL;
	char path[4096];
	size_t used = 0;
	int count;

	/* This runs outside of any test, where nothing may fail; there_are_many does. */
	snprintf(path, sizeof(path), "%s/tests/data/chromem", getenv("SOURCE_ROOT"));
	count = scandir(path, &entries, NULL, alphasort);

	for (int i = 0; i < count && used < 256; i++) {
		/* Export files have a test of their own. */
		if (entries[i]->d_type == DT_DIR && entries[i]->d_name[0] != '.' &&
		    strncmp(entries[i]->d_name, "exports", 7) != 0)
			snprintf(rows[used++].name, NAME_CAP, "%s", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return cr_make_param_array(struct fixture, rows, used, NULL);
}

ParameterizedTest(struct fixture *fixture, fixtures, as_recorded)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_fixture(fixture->name);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(expected_fini) struct expected e = { 0 };
	cleanup_(buf_fini) struct buf complaints = { 0 };

	expected_load(dir, &e);
	if (strcmp(text_of(e.json, "as_user"), "unprivileged") == 0)
		kit_drop_privileges(dir);
	r = check_fixture(dir, &e);
	kit_regain_privileges();
	cr_assert_eq(r->status, 0, "%s: %s", fixture->name, r->err.text);
	all_recorded_are_found(r, jr_get(e.json, "findings"), &complaints);
	no_false_alarm(r, jr_get(e.json, "findings"), &complaints);
	loadable_is_recorded(r, &e, &complaints);
	cr_assert_eq(complaints.len, 0, "%s:%s", fixture->name, buf_cstr(&complaints));
}

static void entries_free(struct dirent **entries, int count)
{
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
}

Test(fixtures, there_are_many)
{
	cleanup_(vs_freep) char *path = kit_source("tests/data/chromem");
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, NULL);

	cr_assert_gt(count, 90, "%s", path);
	entries_free(entries, count);
}

/* Every class that a fixture records is in the table above, and every row is used. */
Test(fixtures, all_classes_are_known)
{
	cleanup_(vs_freep) char *path = kit_source("tests/data/chromem");
	bool is_used[VS_COUNT(class_rows)] = { false };
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		struct kit_dir dir = { .root = NULL };
		cleanup_(expected_fini) struct expected e = { 0 };
		cleanup_(vs_freep) char *root = NULL;
		struct buf full = { 0 };

		if (entries[i]->d_type != DT_DIR || entries[i]->d_name[0] == '.')
			continue;
		buf_printf(&full, "%s/%s", path, entries[i]->d_name);
		root = buf_take_str(&full);
		dir.root = root;
		expected_load(&dir, &e);
		for (size_t f = 0; f < jr_count(jr_get(e.json, "findings")); f++) {
			const struct jr *one = jr_at(jr_get(e.json, "findings"), f);
			bool is_known = is_invisible(one);

			for (size_t row = 0; row < VS_COUNT(class_rows); row++) {
				if (strcmp(class_rows[row].class, text_of(one, "class")) == 0)
					is_known = is_used[row] = true;
			}
			cr_expect(is_known, "%s: class %s", entries[i]->d_name,
				  text_of(one, "class"));
		}
	}
	for (size_t row = 0; row < VS_COUNT(class_rows); row++)
		cr_expect(is_used[row], "no fixture of class %s", class_rows[row].class);
	entries_free(entries, count);
}
