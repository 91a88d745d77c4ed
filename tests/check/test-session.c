/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stores that are in use: what changes between looking and writing stops a change, and a collection
 * that a live process writes again after it was moved out is told.
 */

#include "kit.h"
#include "repair/repair.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <utime.h>

static int64_t now_ns(void *ctx)
{
	(void)ctx;
	return INT64_C(1900000000) * INT64_C(1000000000);
}

static const struct vs_clock fixed_clock = { .now_ns = now_ns };

struct scene {
	struct kit_dir *dir;
	struct store *store;
	struct session *session;
	char *state;
	struct buf notes;
};

static void take_note(void *ctx, const char *text)
{
	struct scene *s = ctx;

	buf_append_str(&s->notes, text);
	buf_append_byte(&s->notes, '\n');
}

static void scene_open(struct scene *s, bool force)
{
	static const char *const argv[] = { "vsctl", "test", NULL };
	cleanup_(buf_fini) struct buf state = { 0 };
	struct vs_err err = { 0 };
	struct session_opts opts = { .command = "test",
				     .argv = argv,
				     .force = force,
				     .clock = &fixed_clock,
				     .note = take_note,
				     .note_ctx = s };

	if (!s->dir)
		s->dir = kit_healthy(CHROMEM_PLAIN);
	buf_printf(&state, "%s.vsctl", s->dir->path);
	s->state = buf_take_str(&state);
	opts.state_path = s->state;
	cr_assert_eq(store_open(&s->store, s->dir->path, 0, &err), 0, "%s", err.text);
	cr_assert_eq(session_open(&s->session, s->store, &opts, &err), 0, "%s", err.text);
}

static void scene_end(struct scene *s)
{
	char command[4200];

	session_closep(&s->session);
	store_closep(&s->store);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->state);
	cr_assert_eq(system(command), 0);
	free(s->state);
	buf_fini(&s->notes);
	kit_dir_freep(&s->dir);
}

/* Set the collection "notes" aside. */
static int set_aside(struct scene *s, struct apply_result *result, struct vs_err *err)
{
	cleanup_(vs_freep) char *collection = kit_collection_path("notes");
	struct quarantine_request req = { .collection = collection,
					  .reason = "a test",
					  .time_ns = now_ns(NULL) };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("quarantine add") };
	int r;

	r = plan_quarantine(&plan, s->store, &req, err);
	if (r == 0)
		r = plan_stamp(&plan, s->store->dirfd, err);
	return r < 0 ? r : session_apply(s->session, &plan, &check, false, result, err);
}

static bool noted(struct scene *s, const char *text)
{
	return strstr(buf_cstr(&s->notes), text) != NULL;
}

Test(session, a_quiet_store_is_changed)
{
	struct scene s = { 0 };
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };

	scene_open(&s, false);
	cr_assert_eq(set_aside(&s, &result, &err), 0, "%s", err.text);
	cr_assert_str_eq(result.came_back, "");
	scene_end(&s);
}

/* ---- changes between the first look and the writing ---- */

static void touch_document(struct scene *s)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "papers", 0);
	cleanup_(vs_freep) char *absolute = kit_path(s->dir, path);
	struct utimbuf times = { 1, 1 };

	cr_assert_eq(utime(absolute, &times), 0);
}

static void add_document(struct scene *s)
{
	struct kit_doc doc;

	kit_doc(&doc, "papers", 77);
	kit_add_doc(s->dir, CHROMEM_PLAIN, "papers", &doc.doc);
}

static void remove_document(struct scene *s)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "papers", 1);

	kit_remove(s->dir, path);
}

static void add_collection(struct scene *s)
{
	kit_add_collection(s->dir, CHROMEM_PLAIN, "new");
}

static void remove_collection(struct scene *s)
{
	cleanup_(vs_freep) char *path = kit_collection_path("letters");

	kit_rename(s->dir, path, ".gone");
}

static void (*const changes[])(struct scene *s) = {
	touch_document, add_document, remove_document, add_collection, remove_collection,
};

Test(session, a_store_that_changes_is_left_alone)
{
	for (size_t i = 0; i < VS_COUNT(changes); i++) {
		struct scene s = { 0 };
		struct apply_result result = { 0 };
		struct vs_err err = { 0 };
		struct digest before, after;

		scene_open(&s, false);
		changes[i](&s);
		kit_tree_digest(s.dir, &before);
		cr_assert_eq(set_aside(&s, &result, &err), VS_EBUSY, "change %zu: %s", i, err.text);
		cr_assert(strstr(err.text, "something is writing to the store"), "%s", err.text);
		kit_tree_digest(s.dir, &after);
		cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0, "change %zu", i);
		scene_end(&s);
	}
}

Test(session, unless_forced)
{
	for (size_t i = 0; i < VS_COUNT(changes); i++) {
		struct scene s = { 0 };
		struct apply_result result = { 0 };
		struct vs_err err = { 0 };

		scene_open(&s, true);
		changes[i](&s);
		cr_assert_eq(set_aside(&s, &result, &err), 0, "change %zu: %s", i, err.text);
		cr_assert(noted(&s, "going on all the same"), "change %zu", i);
		scene_end(&s);
	}
}

/* Stores inside this one have their own lock. */
Test(session, a_store_inside_may_change)
{
	struct scene s = { 0 };
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };

	s.dir = kit_healthy(CHROMEM_PLAIN);
	kit_mkdir(s.dir, "tenant");
	kit_mkdir(s.dir, "tenant/e9f85bf6");
	scene_open(&s, false);
	kit_write(s.dir, "tenant/e9f85bf6/00000001.gob", slice_str("x"));
	cr_assert_eq(set_aside(&s, &result, &err), 0, "%s", err.text);
	scene_end(&s);
}

/* ---- recent times ---- */

Test(session, recent_times_are_a_note)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "papers", 0);
	cleanup_(vs_freep) char *absolute = NULL;
	struct utimbuf times = { 1900000000 - 30, 1900000000 - 30 };
	struct apply_result result = { 0 };
	struct scene s = { 0 };
	struct vs_err err = { 0 };

	s.dir = kit_healthy(CHROMEM_PLAIN);
	absolute = kit_path(s.dir, path);
	cr_assert_eq(utime(absolute, &times), 0);
	scene_open(&s, false);
	cr_assert(noted(&s, "newest file was written 30 s ago"), "%s", buf_cstr(&s.notes));
	cr_assert_eq(set_aside(&s, &result, &err), 0, "%s", err.text);
	scene_end(&s);
}

/* All of one age: somebody has just copied the store. */
Test(session, times_of_a_copy_are_none)
{
	struct scene s = { 0 };
	char command[4200];

	s.dir = kit_healthy(CHROMEM_PLAIN);
	snprintf(command, sizeof(command), "find '%s' -exec touch -d @1899999990 {} +",
		 s.dir->path);
	cr_assert_eq(system(command), 0);
	scene_open(&s, false);
	cr_assert_not(noted(&s, "newest file"), "%s", buf_cstr(&s.notes));
	scene_end(&s);
}

Test(session, old_times_are_none)
{
	struct scene s = { 0 };

	scene_open(&s, false);
	cr_assert_not(noted(&s, "newest file"));
	scene_end(&s);
}

/* ---- a directory that comes back ---- */

struct ghost {
	struct scene *scene;
	char *path;
	bool with_document;
	bool was_here;
};

/* What a live process does: as soon as the directory is gone, it writes a document into it again.
 * NOLINTNEXTLINE(readability-non-const-parameter): the seam asks for it */
static int write_again(void *ctx, enum file_op op, const char *name, size_t *partial)
{
	struct ghost *g = ctx;
	struct stat st;
	struct kit_doc doc;

	(void)op;
	(void)name;
	(void)partial;
	if (!g->was_here && stat(g->path, &st) < 0) {
		g->was_here = true;
		cr_assert_eq(mkdir(g->path, 0700), 0);
		kit_doc(&doc, "notes", 5);
		if (g->with_document)
			kit_add_doc(g->scene->dir, CHROMEM_PLAIN, "notes", &doc.doc);
	}
	return 0;
}

static void come_back(bool with_document)
{
	cleanup_(vs_freep) char *collection = kit_collection_path("notes");
	struct scene s = { 0 };
	struct ghost ghost = { .scene = &s, .with_document = with_document };
	struct file_seam seam = { .before = write_again, .ctx = &ghost };
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };
	int r;

	scene_open(&s, false);
	ghost.path = kit_path(s.dir, collection);
	file_seam = &seam;
	r = set_aside(&s, &result, &err);
	file_seam = NULL;
	cr_assert(ghost.was_here);
	cr_assert_eq(r, 0, "%s", err.text);
	cr_assert_str_eq(result.came_back, collection);
	cr_assert_not(result.is_taken_back);
	free(ghost.path);
	scene_end(&s);
}

Test(session, a_directory_that_comes_back_is_told)
{
	come_back(false);
}

/* A document without metadata is an error that was not there before, and not the plan's. */
Test(session, with_a_document_too)
{
	come_back(true);
}
