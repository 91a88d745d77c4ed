/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a rollback of a Chroma store is judged by: one value of a record, or one byte of an index, that
 * is not the snapshot's, and the store is what it was before.
 */

#include "chroma/chroma.h"
#include "repair/repair.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#define INDEX "24e69c0e-7aba-41e6-934b-8f72a5d57d41/length.bin"

struct scene {
	char root[64];
	struct store *store;
	struct session *session;
	struct snap_manifest *m;
	const char *collections[1];
	struct rollback_request req;
	const char *spoil; /* a statement after the exchange of the rows; NULL: none */
	bool spoils_index;
};

static void shell(const char *format, const char *root, const char *more)
{
	char command[1024];

	/* The formats are those below. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), format, root, more);
#pragma GCC diagnostic pop
	cr_assert_eq(system(command), 0, "%s", command);
}

static bool is_database(void *ctx, const struct snap_member *member)
{
	(void)ctx;
	return strcmp(member->path, CHROMA_DATABASE) == 0;
}

static void begin(struct scene *s)
{
	static const char *const argv[] = { "vsctl", "test", NULL };
	struct session_opts opts = { .command = "rollback",
				     .argv = argv,
				     .clock = &vs_clock_system };
	struct vs_err err = { 0 };

	session_closep(&s->session);
	cr_assert_eq(session_open(&s->session, s->store, &opts, &err), 0, "%s", err.text);
}

/* The store base, a snapshot of it, and its database beside; then a record and an index file change. */
static void scene_open(struct scene *s)
{
	struct snap_create_request req = {
		.name = "one", .tool_version = "test", .jobs = 1, .clock = &vs_clock_system
	};
	struct snap_access access = { .jobs = 1 };
	char path[128];
	struct vs_err err = { 0 };

	snprintf(s->root, sizeof(s->root), "/tmp/vsctl-back-XXXXXX");
	cr_assert_not_null(mkdtemp(s->root));
	shell("tar -C %s -xJf '%s/tests/data/chroma/stores.tar.xz' base", s->root,
	      getenv("SOURCE_ROOT"));
	shell("cd %s && mkdir stage && chmod -R u+w base && : %s", s->root, "");
	snprintf(path, sizeof(path), "%s/base", s->root);
	cr_assert_eq(store_open(&s->store, path, 0, &err), 0, "%s", err.text);
	begin(s);
	access.state_dirfd = session_state_dirfd(s->session);
	cr_assert_eq(snap_create(access.state_dirfd, s->store, &req, &s->m, &err), 0, "%s",
		     err.text);
	snprintf(path, sizeof(path), "%s/stage", s->root);
	s->req = (struct rollback_request){
		.store = s->store,
		.m = s->m,
		.jobs = 1,
		.database_dirfd = open(path, O_RDONLY | O_DIRECTORY),
	};
	cr_assert_eq(snap_extract(&access, s->m, is_database, s, s->req.database_dirfd, &err), 0);
	shell("cd %s && cp -a base kept && printf x >>base/%s", s->root, INDEX);
	shell("sqlite3 %s/base/chroma.sqlite3 \"UPDATE embedding_metadata SET int_value = %s WHERE "
	      "int_value IS NOT NULL\"",
	      s->root, "7");
	shell("cd %s && cp -a base bad && : %s", s->root, "");
	begin(s);
}

static void scene_end(struct scene *s)
{
	close(s->req.database_dirfd);
	session_closep(&s->session);
	snap_manifest_freep(&s->m);
	store_closep(&s->store);
	shell("rm -rf '%s'%s", s->root, "");
}

static int file(void *ctx, const struct action *a, int *fd, struct vs_err *err)
{
	struct scene *s = ctx;
	char path[256];

	(void)err;
	snprintf(path, sizeof(path), "%s/kept/%s", s->root, a->path);
	if (s->spoils_index && strcmp(a->path, INDEX) == 0)
		shell("printf y | dd of=%s/kept/%s bs=1 seek=8 conv=notrunc status=none", s->root,
		      a->path);
	*fd = open(path, O_RDONLY);
	return *fd < 0 ? VS_EIO : 0;
}

static int edit(void *ctx, const struct action *a, struct chroma_edit *e, struct vs_err *err)
{
	struct scene *s = ctx;
	int r = rollback_edit_chroma(&s->req, a, e, err);

	return r < 0 || !s->spoil ? r : chroma_edit_exec(e, s->spoil, err);
}

static int prove(void *ctx, struct vs_err *err)
{
	struct scene *s = ctx;

	return rollback_prove(&s->req, err);
}

/* Bring one collection back, and expect @want in the text of the failure; NULL: success. */
static void goes_back(struct scene *s, const char *want)
{
	const struct plan_source source = { .ctx = s, .file = file, .edit = edit, .verify = prove };
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("rollback") };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	struct apply_result result = { 0 };
	struct rollback_change *changes = NULL;
	struct vs_err err = { 0 };
	size_t count = 0;
	int r;

	s->collections[0] = snap_find_collection(s->m, "docs")->directory;
	s->req.collections = s->collections;
	s->req.collection_count = 1;
	cr_assert_eq(plan_rollback(&plan, &s->req, &changes, &count, &err), 0, "%s", err.text);
	cr_assert_eq(count, 1);
	cr_assert(changes[0].has_changes);
	rollback_changes_free(changes, count);
	plan.source = &source;
	r = session_apply(s->session, &plan, &check, true, &result, &err);
	cr_assert_eq(r, want ? VS_EFORMAT : 0, "%s", err.text);
	cr_assert_eq(result.is_taken_back, want != NULL);
	if (want) {
		cr_assert_not_null(strstr(err.text, want), "%s", err.text);
		shell("cd %s && diff -r base bad %s", s->root, "");
	}
}

Test(rollback_chroma, what_comes_back_right_stays)
{
	struct scene s = { 0 };

	scene_open(&s);
	goes_back(&s, NULL);
	scene_end(&s);
}

Test(rollback_chroma, one_altered_value_is_taken_back)
{
	struct scene s = {
		.spoil =
			"UPDATE embedding_metadata SET int_value = int_value + 1 WHERE id = (SELECT "
			"min(e.id) FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN "
			"collections c ON c.id = s.collection WHERE c.name = 'docs') AND int_value IS "
			"NOT NULL",
	};

	scene_open(&s);
	goes_back(&s, "is not what snapshot one has");
	scene_end(&s);
}

Test(rollback_chroma, one_record_too_few_is_taken_back)
{
	struct scene s = {
		.spoil =
			"DELETE FROM embeddings WHERE id = (SELECT min(e.id) FROM embeddings e JOIN "
			"segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection "
			"WHERE c.name = 'docs')",
	};

	scene_open(&s);
	goes_back(&s, "Document count mismatch: 38 vs 37");
	scene_end(&s);
}

Test(rollback_chroma, one_byte_of_an_index_is_taken_back)
{
	struct scene s = { .spoils_index = true };

	scene_open(&s);
	goes_back(&s, INDEX ": is not what snapshot one has");
	scene_end(&s);
}
