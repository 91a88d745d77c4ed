/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Making and removing snapshots, failed and killed at each disk call: what is listed afterwards is
 * whole, what was there before still is (or, when it was to go, may be gone), and doing it again
 * works and leaves nothing lying about.
 */

#include "fault.h"
#include "kit.h"
#include "kit/scratch.h"
#include "snap/snap.h"

#include <criterion/criterion.h>
#include <fcntl.h>

struct scene {
	struct store *store;
	int state;
	int64_t now_ns;
	struct vs_clock clock;
};

static int64_t scene_now(void *ctx)
{
	return ((struct scene *)ctx)->now_ns;
}

static int create(struct scene *s, const char *name, bool full, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct snap_create_request req = {
		.name = name,
		.tool_version = "test",
		.jobs = 1,
		.clock = &s->clock,
		.full = full,
	};

	s->clock = (struct vs_clock){ scene_now, s };
	s->now_ns += INT64_C(3600) * 1000000000;
	return snap_create(s->state, s->store, &req, &m, err);
}

/* Everything that is listed verifies; returns whether @id is. */
static bool all_good(struct scene *s, const char *id, const char *where)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 1 };
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	struct vs_err err = { 0 };
	bool found = false;

	cr_assert_eq(snap_list_load(&list, s->state, &err), 0, "%s", err.text);
	for (size_t i = 0; i < list.count; i++) {
		cleanup_(snap_verdict_fini) struct snap_verdict v = { 0 };

		cr_assert_eq(snap_verify(&access, list.entries[i].id, &v, NULL, &err), 0);
		cr_assert(snap_verdict_is_good(&v), "%s: %s is listed and damaged", where,
			  list.entries[i].id);
		found |= strcmp(list.entries[i].id, id) == 0;
	}
	return found;
}

static int count_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)name;
	(void)type;
	(void)err;
	++*(size_t *)ctx;
	return 0;
}

static size_t files_in(int state, const char *name)
{
	cleanup_(file_closep) int fd = openat(state, name, O_RDONLY | O_DIRECTORY);
	struct vs_err err = { 0 };
	size_t count = 0;

	if (fd >= 0)
		cr_assert_eq(file_list(fd, count_file, &count, &err), 0);
	return count;
}

/* Two files in manifests and one in snapshots for each, and no others. */
static void expect_tidy(struct scene *s, size_t snapshots, const char *where)
{
	cr_assert_eq(files_in(s->state, "snapshots"), snapshots, "%s", where);
	cr_assert_eq(files_in(s->state, "manifests"), 2 * snapshots, "%s", where);
}

/* ---- the operations ---- */

static int make_second(void *ctx)
{
	struct vs_err err = { 0 };

	return create(ctx, "second", false, &err);
}

static void after_make(struct scene *s, enum fault_outcome outcome, const char *where)
{
	struct vs_err err = { 0 };
	bool is_there;

	cr_assert_neq(outcome, FAULT_SURVIVED, "%s", where);
	cr_assert(all_good(s, "first", where), "%s", where);
	is_there = all_good(s, "second", where);
	if (outcome == FAULT_NOT_REACHED)
		cr_assert(is_there, "%s", where);
	if (!is_there)
		cr_assert_eq(create(s, "second", false, &err), 0, "%s: %s", where, err.text);
	cr_assert_eq(create(s, "third", false, &err), 0, "%s: %s", where, err.text);
	cr_assert(all_good(s, "second", where));
	expect_tidy(s, 3, where);
}

static int remove_first(void *ctx)
{
	struct scene *s = ctx;
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };

	return snap_delete(s->state, "first", &req, &err);
}

static void after_remove(struct scene *s, enum fault_outcome outcome, const char *where)
{
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };
	bool is_there = all_good(s, "first", where);

	cr_assert_neq(outcome, FAULT_SURVIVED, "%s", where);
	if (outcome == FAULT_NOT_REACHED)
		cr_assert_not(is_there, "%s", where);
	if (is_there)
		cr_assert_eq(snap_delete(s->state, "first", &req, &err), 0, "%s: %s", where,
			     err.text);
	cr_assert_eq(create(s, "other", true, &err), 0, "%s: %s", where, err.text);
	expect_tidy(s, 1, where);
}

/* Most of the first snapshot is needed by nobody else, the rest by two. */
#define PASSING 40

static void add_passing(struct kit_dir *dir)
{
	for (unsigned i = 0; i < PASSING; i++) {
		struct kit_doc doc;

		kit_doc(&doc, "papers", 100000 + i);
		kit_add_doc(dir, CHROMEM_PLAIN, "papers", &doc.doc);
	}
}

static void build_on_first(struct scene *s, struct kit_dir *dir, unsigned number)
{
	struct vs_err err = { 0 };

	(void)dir;
	(void)number;
	for (unsigned i = 0; i < PASSING; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "papers", 100000 + i);

		cr_assert_eq(file_unlink_at(s->store->dirfd, path, &err), 0, "%s", err.text);
	}
	cr_assert_eq(create(s, "second", false, &err), 0, "%s", err.text);
	cr_assert_eq(create(s, "third", false, &err), 0, "%s", err.text);
}

static int remove_and_compact(void *ctx)
{
	struct scene *s = ctx;
	struct snap_access access = { .state_dirfd = s->state, .jobs = 1 };
	struct snap_delete_request req = { .force = true };
	struct snap_compaction done = { 0 };
	struct vs_err err = { 0 };
	int r = snap_delete(s->state, "first", &req, &err);

	return r < 0 ? r : snap_compact(&access, &done, &err);
}

static void after_compact(struct scene *s, enum fault_outcome outcome, const char *where)
{
	struct snap_access access = { .state_dirfd = s->state, .jobs = 1 };
	struct snap_delete_request req = { .force = true };
	struct snap_compaction done = { 0 };
	struct vs_err err = { 0 };

	cr_assert_neq(outcome, FAULT_SURVIVED, "%s", where);
	cr_assert(all_good(s, "second", where), "%s", where);
	cr_assert(all_good(s, "third", where), "%s", where);
	if (all_good(s, "first", where))
		cr_assert_eq(snap_delete(s->state, "first", &req, &err), 0, "%s: %s", where,
			     err.text);
	cr_assert_eq(snap_compact(&access, &done, &err), 0, "%s: %s", where, err.text);
	cr_assert(all_good(s, "third", where), "%s", where);
	cr_assert_neq(faccessat(s->state, "snapshots/first.tar.gz", F_OK, 0), 0, "%s", where);
	cr_assert_eq(files_in(s->state, "snapshots"), 3, "%s", where); /* one is the kept one */
	cr_assert_eq(files_in(s->state, "manifests"), 4, "%s", where);
	cr_assert_eq(snap_delete(s->state, "second", &req, &err), 0, "%s: %s", where, err.text);
	cr_assert_eq(snap_delete(s->state, "third", &req, &err), 0, "%s: %s", where, err.text);
	expect_tidy(s, 0, where);
}

/* The list of the second builds on that of the first, which has no manifest any more. */
static void build_list_on_first(struct scene *s, struct kit_dir *dir, unsigned number)
{
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };

	(void)dir;
	(void)number;
	cr_assert_eq(create(s, "second", false, &err), 0, "%s", err.text);
	cr_assert_eq(snap_delete(s->state, "first", &req, &err), 0, "%s", err.text);
	cr_assert_eq(files_in(s->state, "manifests"), 3);
}

static int remove_second(void *ctx)
{
	struct scene *s = ctx;
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };

	return snap_delete(s->state, "second", &req, &err);
}

static void after_remove_second(struct scene *s, enum fault_outcome outcome, const char *where)
{
	struct snap_delete_request req = { .force = true };
	struct vs_err err = { 0 };
	bool is_there = all_good(s, "second", where);

	cr_assert_neq(outcome, FAULT_SURVIVED, "%s", where);
	if (is_there)
		cr_assert_eq(snap_delete(s->state, "second", &req, &err), 0, "%s: %s", where,
			     err.text);
	cr_assert_eq(create(s, "other", true, &err), 0, "%s: %s", where, err.text);
	expect_tidy(s, 1, where);
}

/* ---- the walk ---- */

static void change_little(struct scene *s, struct kit_dir *dir, unsigned number)
{
	struct kit_doc doc;

	(void)s;
	kit_doc(&doc, "notes", number);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
}

/* @before comes between the first snapshot and the operation. */
static void walk(void (*before)(struct scene *s, struct kit_dir *dir, unsigned number),
		 bool is_passing, int (*operation)(void *ctx),
		 void (*after)(struct scene *s, enum fault_outcome outcome, const char *where))
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	struct scene s = { .now_ns = clock_now_ns(&vs_clock_system) };
	struct vs_err err = { 0 };
	int place;

	scratch_new(&place);
	cr_assert_eq(store_open(&s.store, dir->path, 0, &err), 0, "%s", err.text);
	for (enum fault_mode mode = 0; mode < FAULT_MODES_; mode++) {
		enum fault_outcome outcome;
		unsigned n = 1;

		do {
			char where[64];

			snprintf(where, sizeof(where), "%s at call %u", fault_mode_name(mode), n);
			s.state = scratch_mkdir(place, where);
			if (is_passing)
				add_passing(dir);
			cr_assert_eq(create(&s, "first", false, &err), 0, "%s", err.text);
			before(&s, dir, 1000 * mode + n);
			outcome = fault_run(n, mode, operation, &s);
			after(&s, outcome, where);
			close(s.state);
		} while (outcome != FAULT_NOT_REACHED && ++n < 200);
		cr_assert_gt(n, 4, "%s: no call was reached", fault_mode_name(mode));
		cr_assert_lt(n, 200);
	}
	store_closep(&s.store);
}

Test(snap, made, .timeout = 280)
{
	walk(change_little, false, make_second, after_make);
}

Test(snap, removed, .timeout = 280)
{
	walk(change_little, false, remove_first, after_remove);
}

Test(snap, packed_anew, .timeout = 280)
{
	walk(build_on_first, true, remove_and_compact, after_compact);
}

Test(snap, removed_with_a_list_of_another, .timeout = 280)
{
	walk(build_list_on_first, false, remove_second, after_remove_second);
}
