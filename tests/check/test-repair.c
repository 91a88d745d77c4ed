/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the problem table promises of repair, for every problem of a chromem directory: the damage
 * is built, repaired, and looked at again. Nothing is lost but what the row says; a second repair
 * has nothing to do; undo gives the identical tree.
 */

#include "kit.h"
#include "lookup/lookup.h"
#include "repair/repair.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two ids with one hash, and one whose hash is 00000000. */
#define SHADOW "doc_1769074240109487073_3"
#define TWIN_A "01e31a31-76a3-4f52-97ad-b119158ddddc"
#define TWIN_B "43a3e2c4-3663-4e84-a2e7-70c940b053d9"

enum promise {
	MENDED,          /* repaired, nothing is lost */
	MENDED_IF_ASKED, /* worth knowing only: repaired when it is named with --only */
	SET_ASIDE,       /* repaired, the document or collection is in quarantine */
	LEFT,            /* a person decides: listed, not touched */
	QUIET,           /* nothing to repair: not even listed */
};

/* ---- damage that no shipped store has ---- */

static char *notes_meta(enum chromem_compression c)
{
	return kit_metadata_path(c, "notes");
}

static void meta_append(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_append(dir, path, slice_str("xyz"));
}

static void meta_pairs(const struct kit_dir *dir, const char *path)
{
	struct chromem_pair pair = { slice_str("owner"), slice_str("the harbour office") };
	cleanup_(buf_fini) struct buf gob = { 0 };

	chromem_encode_meta(&gob, slice_str("notes"), &pair, 1);
	kit_write(dir, path, buf_slice(&gob));
}

static void meta_zero_tail(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	meta_pairs(dir, path);
	kit_zero(dir, path, kit_find(dir, path, slice_str("owner")) - 2);
}

static void meta_field(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_flip(dir, path, kit_find(dir, path, slice_str("\bMetadata")) + 3, 0);
}

static void meta_text(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_write(dir, path, slice_str("\xf0 is not the length of anything"));
}

static void meta_fifo(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_remove(dir, path);
	kit_mkfifo(dir, path);
}

static void meta_dangling(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_remove(dir, path);
	kit_symlink(dir, "gone", path);
}

static void meta_large(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(truncate(full, (off_t)CHROMEM_FILE_MAX + 1), 0);
}

static void meta_unused(const struct kit_dir *dir)
{
	kit_mkdir(dir, "01e68e25");
	kit_write_metadata(dir, CHROMEM_PLAIN, "01e68e25/00000000.gob", slice_str(""));
}

static void meta_unreadable(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_PLAIN);

	kit_chmod(dir, path, 0);
}

/* In a compressed store: the checksum behind the data has a flipped bit. */
static void meta_checksum(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = notes_meta(CHROMEM_GZIP);
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	kit_flip(dir, path, bytes.len - 7, 3);
}

static void collection_misnamed(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_rename(dir, notes, "my-collection");
}

static void collection_copy(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_copy(dir, notes, "copy-of-notes");
}

static void collection_unreadable(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");

	kit_chmod(dir, notes, 0);
}

static void doc_unreadable(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_chmod(dir, path, 0);
}

/* A directory that only holds what is no document, under a name that a collection does not have. */
static void stray_called(const struct kit_dir *dir, const char *name)
{
	cleanup_(buf_fini) struct buf path = { 0 };

	kit_mkdir(dir, name);
	buf_printf(&path, "%s/x.gob", name);
	kit_write(dir, buf_cstr(&path), slice_str("no document"));
}

static void stray_hidden(const struct kit_dir *dir)
{
	stray_called(dir, ".git");
}

static void stray_not_text(const struct kit_dir *dir)
{
	stray_called(dir, "not\xfftext");
}

static void stray_long(const struct kit_dir *dir)
{
	char name[251];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	stray_called(dir, name);
}

/* The directory cannot be moved into itself, and the file in it can. */
static void stray_in_quarantine(const struct kit_dir *dir)
{
	stray_called(dir, ".quarantine");
}

static void doc_append(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_append(dir, path, slice_str("xyz"));
}

/* Its own name has something else, which leaves it free. */
static void doc_under_another_name(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(buf_fini) struct buf other = { 0 };

	buf_printf(&other, "%s/zzz.gob", notes);
	kit_rename(dir, path, buf_cstr(&other));
	kit_write(dir, path, slice_str("no document"));
}

static void doc_fifo(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_remove(dir, path);
	kit_mkfifo(dir, path);
}

static void doc_directory(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 99);

	kit_mkdir(dir, path);
}

static void doc_large(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(truncate(full, (off_t)CHROMEM_FILE_MAX + 1), 0);
}

static void doc_foreign(const struct kit_dir *dir)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);

	kit_flip(dir, path, kit_find(dir, path, slice_str("[]float32")) + 2, 0);
}

static void put_doc(const struct kit_dir *dir, const char *id, const char *file)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	cleanup_(buf_fini) struct buf path = { 0 };
	struct kit_doc doc;

	kit_doc(&doc, "notes", 50);
	doc.doc.id = slice_str(id);
	if (!file) {
		kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
		return;
	}
	buf_printf(&path, "%s/%s", notes, file);
	kit_write_doc(dir, CHROMEM_PLAIN, buf_cstr(&path), &doc.doc);
}

static void doc_name_taken(const struct kit_dir *dir)
{
	put_doc(dir, TWIN_A, NULL);
	put_doc(dir, TWIN_B, "b.gob");
}

static void doc_shadows(const struct kit_dir *dir)
{
	put_doc(dir, SHADOW, "shadow.gob");
}

static void each_doc(const struct kit_dir *dir, void (*change)(struct kit_doc *doc))
{
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "notes", i);
		change(&doc);
		kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
}

static void longer(struct kit_doc *doc)
{
	for (size_t i = 0; i < KIT_DIMENSION; i++)
		doc->embedding[i] *= 2;
}

static void all_longer(const struct kit_dir *dir)
{
	each_doc(dir, longer);
}

/* The byte with the lowest bits of the first element, in all documents. */
static void all_inexact(const struct kit_dir *dir)
{
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", i);
		cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
		cleanup_(buf_fini) struct buf bytes = { 0 };
		struct chromem_fault fault;
		struct chromem_doc doc;
		struct vs_err err;
		size_t at;

		kit_read(dir, path, &bytes);
		cr_assert_eq(chromem_decode_doc(reader, buf_slice(&bytes), &doc, &fault, &err), 0);
		for (at = doc.embedding_off; bytes.ptr[at] != 0xfb; at++)
			cr_assert_lt(at + 1, bytes.len);
		kit_flip(dir, path, at + 1, 2);
	}
}

/* ---- the rows ---- */

struct row {
	const char *code;
	enum promise promise;
	const char *fixture;                       /* a shipped store, or */
	void (*damage)(const struct kit_dir *dir); /* done to a healthy one */
	bool is_gzip;
	bool as_user; /* somebody whom modes stop */
};

#define FIXTURE(code_, promise_, name)                                                             \
	{                                                                                          \
		.code = (code_), .promise = (promise_), .fixture = (name)                          \
	}
#define DAMAGE(code_, promise_, fn)                                                                \
	{                                                                                          \
		.code = (code_), .promise = (promise_), .damage = (fn)                             \
	}

/* clang-format off */
static const struct row rows[] = {
	DAMAGE("chromem-collection-duplicate-copy", LEFT, collection_copy),
	FIXTURE("chromem-collection-duplicate-name", LEFT, "collection-backup-copy"),
	FIXTURE("chromem-collection-empty", MENDED, "empty-collection-directory"),
	DAMAGE("chromem-collection-misnamed", LEFT, collection_misnamed),
	FIXTURE("chromem-collection-mixed-forms", LEFT, "mixed-extensions"),
	FIXTURE("chromem-collection-name-damaged", MENDED, "meta-flip-name"),
	FIXTURE("chromem-collection-no-documents", QUIET, "collection-only-metadata"),
	FIXTURE("chromem-collection-other-name", MENDED, "meta-other-name"),
	FIXTURE("chromem-collection-shared", LEFT, "name-hash-collision"),
	FIXTURE("chromem-collection-symlink", LEFT, "symlink-collection"),
	{ "chromem-collection-unreadable", MENDED, NULL, collection_unreadable, false, true },
	FIXTURE("chromem-document-checksum", SET_ASIDE, "gz-flip-data"),
	FIXTURE("chromem-document-duplicate-copy", LEFT, "doc-copy-suffix"),
	FIXTURE("chromem-document-duplicate-id", LEFT, "doc-duplicate-id"),
	FIXTURE("chromem-document-empty", SET_ASIDE, "doc-empty-file"),
	FIXTURE("chromem-document-field-damaged", MENDED, "doc-flip-field-name-content"),
	FIXTURE("chromem-document-float-inexact", MENDED, "doc-flip-embedding-low-bits"),
	DAMAGE("chromem-document-foreign-encoding", QUIET, doc_foreign),
	FIXTURE("chromem-document-form-mismatch", MENDED, "gz-in-plain-store"),
	FIXTURE("chromem-document-gob", SET_ASIDE, "doc-flip-type-id"),
	FIXTURE("chromem-document-gzip-corrupt", SET_ASIDE, "gz-deflate-damaged"),
	FIXTURE("chromem-document-gzip-trailer", MENDED, "gz-truncated-trailer"),
	FIXTURE("chromem-document-gzip-truncated", SET_ASIDE, "gz-truncated-data"),
	FIXTURE("chromem-document-id-damaged", MENDED, "doc-flip-id"),
	DAMAGE("chromem-document-is-directory", MENDED, doc_directory),
	FIXTURE("chromem-document-is-metadata", SET_ASIDE, "doc-is-metadata"),
	DAMAGE("chromem-document-leftover-bytes", MENDED, doc_append),
	FIXTURE("chromem-document-misnamed", MENDED, "doc-name-mismatch"),
	DAMAGE("chromem-document-name-taken", LEFT, doc_name_taken),
	FIXTURE("chromem-document-no-id", SET_ASIDE, "doc-no-id"),
	DAMAGE("chromem-document-not-a-file", SET_ASIDE, doc_fifo),
	DAMAGE("chromem-document-shadows-metadata", LEFT, doc_shadows),
	FIXTURE("chromem-document-shape", SET_ASIDE, "doc-flip-field-type"),
	FIXTURE("chromem-document-symlink", QUIET, "symlink-document"),
	FIXTURE("chromem-document-symlink-dangling", SET_ASIDE, "symlink-document-dangling"),
	FIXTURE("chromem-document-text-damaged", LEFT, "doc-flip-content-utf8"),
	FIXTURE("chromem-document-text-invalid", QUIET, "healthy-odd"),
	DAMAGE("chromem-document-too-large", LEFT, doc_large),
	FIXTURE("chromem-document-truncated", SET_ASIDE, "doc-truncated"),
	DAMAGE("chromem-document-truncated", SET_ASIDE, stray_in_quarantine),
	DAMAGE("chromem-document-truncated", SET_ASIDE, doc_under_another_name),
	{ "chromem-document-unreadable", MENDED, NULL, doc_unreadable, false, true },
	FIXTURE("chromem-document-zero-filled", SET_ASIDE, "doc-zero-filled"),
	FIXTURE("chromem-document-zero-tail", SET_ASIDE, "doc-zero-tail-content"),
	FIXTURE("chromem-embedding-dimension", SET_ASIDE, "embedding-dimension"),
	FIXTURE("chromem-embedding-infinite", SET_ASIDE, "embedding-inf"),
	FIXTURE("chromem-embedding-missing", SET_ASIDE, "embedding-missing"),
	FIXTURE("chromem-embedding-nan", SET_ASIDE, "embedding-nan"),
	FIXTURE("chromem-embedding-none", QUIET, "healthy-odd"),
	FIXTURE("chromem-embedding-norm", LEFT, "embedding-not-normalised"),
	DAMAGE("chromem-embedding-precision", QUIET, all_inexact),
	DAMAGE("chromem-embedding-unnormalised", QUIET, all_longer),
	FIXTURE("chromem-embedding-zero", SET_ASIDE, "embedding-zero"),
	FIXTURE("chromem-leftover-temporary", MENDED_IF_ASKED, "leftover-temporary"),
	{ "chromem-metadata-checksum", MENDED, NULL, meta_checksum, true, false },
	FIXTURE("chromem-metadata-empty", MENDED, "meta-empty-file"),
	DAMAGE("chromem-metadata-field-damaged", MENDED, meta_field),
	FIXTURE("chromem-metadata-foreign-encoding", QUIET, "healthy-recovered-metadata"),
	FIXTURE("chromem-metadata-form-mismatch", MENDED, "gz-plain-inside"),
	FIXTURE("chromem-metadata-is-document", MENDED, "meta-is-document"),
	DAMAGE("chromem-metadata-leftover-bytes", MENDED, meta_append),
	FIXTURE("chromem-metadata-missing", MENDED, "incident-missing-metadata"),
	FIXTURE("chromem-metadata-no-name", MENDED, "meta-no-name"),
	DAMAGE("chromem-metadata-not-a-file", MENDED, meta_fifo),
	DAMAGE("chromem-metadata-symlink-dangling", MENDED, meta_dangling),
	DAMAGE("chromem-metadata-too-large", LEFT, meta_large),
	FIXTURE("chromem-metadata-truncated", MENDED, "meta-truncated"),
	DAMAGE("chromem-metadata-undecodable", MENDED, meta_text),
	{ "chromem-metadata-unreadable", MENDED, NULL, meta_unreadable, false, true },
	DAMAGE("chromem-metadata-unused", MENDED, meta_unused),
	FIXTURE("chromem-metadata-zero-filled", MENDED, "meta-zero-filled"),
	DAMAGE("chromem-metadata-zero-tail", MENDED, meta_zero_tail),
	FIXTURE("chromem-mode-read-only", MENDED_IF_ASKED, "permission-read-only"),
	FIXTURE("chromem-mode-world-writable", MENDED, "permission-world-writable"),
	FIXTURE("chromem-store-nested", QUIET, "healthy-nested-stores"),
	FIXTURE("chromem-store-quarantine", QUIET, "healthy-contextd"),
	FIXTURE("chromem-stray-collection", SET_ASIDE, "stray-gob-directory"),
	DAMAGE("chromem-stray-collection", SET_ASIDE, stray_hidden),
	DAMAGE("chromem-stray-collection", SET_ASIDE, stray_not_text),
	DAMAGE("chromem-stray-collection", SET_ASIDE, stray_long),
	FIXTURE("chromem-stray-directory", QUIET, "stray-files"),
	FIXTURE("chromem-stray-file", QUIET, "stray-files"),
};
/* clang-format on */

/*
 * Not of a directory as repair opens it: compared with an export, or with a setting that only the
 * person knows.
 */
static const char *const elsewhere[] = {
	"chromem-collection-missing", "chromem-document-differs", "chromem-document-hash-collision",
	"chromem-document-missing",   "chromem-store-wrong-form",
};

/* ---- the scene ---- */

struct scene {
	struct kit_dir *dir;
	char *state;
	struct store *store;
	struct session *session;
};

static int64_t now_ns(void *ctx)
{
	(void)ctx;
	return INT64_C(1769090589000000000);
}

static const struct vs_clock fixed_clock = { .now_ns = now_ns };

static void scene_make(struct scene *s, const struct row *row)
{
	cleanup_(buf_fini) struct buf state = { 0 };

	if (row->fixture) {
		s->dir = kit_fixture(row->fixture);
	} else {
		s->dir = kit_healthy(row->is_gzip ? CHROMEM_GZIP : CHROMEM_PLAIN);
		row->damage(s->dir);
	}
	buf_printf(&state, "%s.vsctl", s->dir->path);
	s->state = buf_take_str(&state);
	/* Also for the user whom modes stop. */
	cr_assert_eq(mkdir(s->state, 0700), 0);
	cr_assert_eq(chmod(s->state, 0777), 0);
}

static void scene_open(struct scene *s)
{
	static const char *const argv[] = { "vsctl", "repair", NULL };
	struct session_opts opts = { .command = "repair",
				     .argv = argv,
				     .state_path = s->state,
				     .force = true,
				     .clock = &fixed_clock };
	struct vs_err err = { 0 };

	cr_assert_eq(store_open(&s->store, s->dir->path, 0, &err), 0, "%s", err.text);
	cr_assert_eq(session_open(&s->session, s->store, &opts, &err), 0, "%s", err.text);
}

static void scene_close(struct scene *s)
{
	session_closep(&s->session);
	store_closep(&s->store);
}

static void scene_end(struct scene *s)
{
	char command[4200];

	snprintf(command, sizeof(command), "chmod -R u+rwX '%s' '%s'; rm -rf '%s'", s->dir->path,
		 s->state, s->state);
	cr_assert_eq(system(command), 0);
	free(s->state);
	kit_dir_freep(&s->dir);
}

/* As the command does it; these collections say nothing about their names. */
static int find_name(void *ctx, const char *collection, char **name, char **evidence,
		     struct vs_err *err)
{
	static const char *const kit_names[] = { "notes", "papers", "letters",
						 "github_com_acme_payments_api_codebase",
						 "My Notes (2026)" };
	struct scene *s = ctx;
	int r;

	r = names_find_collection(s->store, session_state_dirfd(s->session), collection, name,
				  evidence, err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(kit_names); i++) {
		cleanup_(vs_freep) char *path = kit_collection_path(kit_names[i]);

		if (strcmp(path, collection) != 0)
			continue;
		*name = vs_strdup(kit_names[i]);
		*evidence = vs_strdup("known to the test");
		return 1;
	}
	return r;
}

static void make_plan(struct scene *s, const struct row *row, struct plan *plan)
{
	const char *const only[] = { row->code, NULL };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	struct fixes_request req = { .only = row->promise == MENDED_IF_ASKED ? only : NULL,
				     .state_dirfd = session_state_dirfd(s->session),
				     .time_ns = now_ns(NULL),
				     .find_name = find_name,
				     .find_name_ctx = s };
	struct vs_err err = { 0 };

	plan->command = vs_strdup("repair");
	cr_assert_eq(plan_fixes(plan, s->store, &check, &req, &err), 0, "%s: %s", row->code,
		     err.text);
}

static enum loss worst_loss(const struct plan *plan)
{
	enum loss worst = LOSS_NOTHING;

	for (size_t i = 0; i < plan->count; i++)
		worst = VS_MAX(worst, plan->actions[i].loss);
	return worst;
}

static bool is_left(const struct plan *plan, const char *code)
{
	for (size_t i = 0; i < plan->leftover_count; i++) {
		if (strcmp(plan->leftovers[i].code, code) == 0)
			return plan->leftovers[i].why[0] != '\0';
	}
	return false;
}

static bool has_reason(const struct plan *plan, const char *code)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->actions[i].reason && strcmp(plan->actions[i].reason, code) == 0)
			return true;
	}
	return false;
}

static void check_plan(const struct row *row, const struct plan *plan)
{
	switch (row->promise) {
	case MENDED:
	case MENDED_IF_ASKED:
		cr_assert(has_reason(plan, row->code), "%s: nothing is planned", row->code);
		cr_assert_eq(worst_loss(plan), LOSS_NOTHING, "%s loses something", row->code);
		cr_assert_not(is_left(plan, row->code), "%s is left as well", row->code);
		break;
	case SET_ASIDE:
		cr_assert(has_reason(plan, row->code), "%s: nothing is planned", row->code);
		cr_assert_eq(worst_loss(plan), LOSS_DOCUMENTS, "%s: nobody is warned", row->code);
		break;
	case LEFT:
		cr_assert_not(has_reason(plan, row->code), "%s is touched", row->code);
		cr_assert(is_left(plan, row->code), "%s is not listed", row->code);
		break;
	case QUIET:
		cr_assert_not(has_reason(plan, row->code), "%s is touched", row->code);
		cr_assert_not(is_left(plan, row->code), "%s is listed", row->code);
		break;
	}
}

/* The remedy in the table and what is done must be the same. */
static void check_table(const struct row *row)
{
	const struct remedy_row *remedy;
	enum problem code;

	cr_assert(problem_find(row->code, &code), "%s", row->code);
	remedy = remedy_row(problem_row(code)->remedy);
	switch (row->promise) {
	case MENDED:
	case MENDED_IF_ASKED:
		cr_assert(remedy->is_automatic, "%s", row->code);
		cr_assert_str_eq(remedy->loses, "nothing", "%s", row->code);
		break;
	case SET_ASIDE:
		cr_assert(remedy->is_automatic, "%s", row->code);
		cr_assert_str_eq(remedy->loses, "documents", "%s", row->code);
		break;
	case LEFT:
	case QUIET:
		cr_assert_not(remedy->is_automatic, "%s", row->code);
		break;
	}
}

static struct digest tree_of(const struct scene *s)
{
	struct vs_err err = { 0 };
	struct digest digest = { 0 };

	cr_assert_eq(journal_tree_digest(s->dir->path, &digest, &err), 1, "%s", err.text);
	return digest;
}

/* Somebody whom modes stop could not read all of it. */
static void check_untouched(const struct scene *s, const struct row *row, const struct digest *old,
			    const char *by)
{
	struct digest now;

	if (row->as_user && geteuid() != 0)
		return;
	now = tree_of(s);
	cr_assert_eq(memcmp(old->bytes, now.bytes, DIGEST_LEN), 0, "%s: %s left a change",
		     row->code, by);
}

static void apply(struct scene *s, const struct row *row, const struct plan *plan)
{
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(session_apply(s->session, plan, &check, false, &result, &err), 0, "%s: %s",
		     row->code, err.text);
}

/* Afterwards: not there any more, no more errors than before, and the store loads as far as the
 * problem kept it from loading. */
static void check_result(const struct scene *s, const struct row *row,
			 const struct kit_result *before)
{
	cleanup_(kit_result_freep) struct kit_result *after = kit_check_dir(s->dir, CHECK_FULL);

	cr_assert_eq(kit_count(after, row->code), 0, "%s is still there", row->code);
	cr_assert_leq(after->summary.errors, before->summary.errors, "%s", row->code);
	if (before->summary.errors > 0 && before->count == 1)
		cr_assert_eq(after->summary.errors, 0, "%s", row->code);
	cr_assert_neq(after->summary.loadable, LOADABLE_NO, "%s", row->code);
}

static void repair_row(const struct row *row)
{
	cleanup_(kit_result_freep) struct kit_result *before = NULL;
	struct scene s = { 0 };
	struct digest old;
	struct vs_err err = { 0 };

	check_table(row);
	scene_make(&s, row);
	old = tree_of(&s);
	if (row->as_user)
		kit_drop_privileges(s.dir);
	before = kit_check_dir(s.dir, CHECK_FULL);
	cr_assert_gt(kit_count(before, row->code), 0, "%s is not there", row->code);
	scene_open(&s);
	{
		cleanup_(plan_fini) struct plan plan = { 0 };

		make_plan(&s, row, &plan);
		check_plan(row, &plan);
		check_untouched(&s, row, &old, "planning");
		if (plan.count > 0)
			apply(&s, row, &plan);
		if (row->promise != LEFT && row->promise != QUIET)
			check_result(&s, row, before);
		scene_close(&s);
		scene_open(&s);
		{
			cleanup_(plan_fini) struct plan again = { 0 };

			make_plan(&s, row, &again);
			cr_assert_eq(again.count, 0, "%s: a second repair does more", row->code);
		}
		if (plan.count > 0) {
			scene_close(&s);
			scene_open(&s);
			cr_assert_eq(session_undo(s.session, NULL, &err), 0, "%s: %s", row->code,
				     err.text);
		}
	}
	scene_close(&s);
	if (row->as_user)
		kit_regain_privileges();
	check_untouched(&s, row, &old, "repair and undo");
	scene_end(&s);
}

ParameterizedTestParameters(repair, keeps_its_promise)
{
	static size_t indices[VS_COUNT(rows)];

	for (size_t i = 0; i < VS_COUNT(rows); i++)
		indices[i] = i;
	return cr_make_param_array(size_t, indices, VS_COUNT(rows));
}

ParameterizedTest(const size_t *index, repair, keeps_its_promise, .timeout = 60)
{
	repair_row(&rows[*index]);
}

/* No problem of a directory is left out. */
Test(repair, every_problem_has_a_row)
{
	for (size_t p = 0; p < PROB_COUNT_; p++) {
		const char *code = problem_row((enum problem)p)->code;
		bool is_there = strncmp(code, "chromem-", 8) != 0 ||
				strncmp(code, "chromem-export-", 15) == 0;

		for (size_t i = 0; i < VS_COUNT(rows); i++)
			is_there |= strcmp(rows[i].code, code) == 0;
		for (size_t i = 0; i < VS_COUNT(elsewhere); i++)
			is_there |= strcmp(elsewhere[i], code) == 0;
		cr_expect(is_there, "%s", code);
	}
}

/* What repair cannot meet must not be promised. */
Test(repair, nothing_is_promised_elsewhere)
{
	for (size_t i = 0; i < VS_COUNT(elsewhere); i++) {
		enum problem code;

		cr_assert(problem_find(elsewhere[i], &code), "%s", elsewhere[i]);
		cr_expect_not(remedy_row(problem_row(code)->remedy)->is_automatic, "%s",
			      elsewhere[i]);
	}
}
