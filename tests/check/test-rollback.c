/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a rollback is judged by: one float that is not the snapshot's, or one document too few, and
 * the store is what it was before.
 */

#include "kit.h"
#include "repair/repair.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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
	struct snap_manifest *m;
	char *state;
	unsigned flip; /* byte from the end of each content that comes out wrong; 0: none does */
	unsigned prepared;
	bool before, after; /* when another program changes document 3 */
};

/* A session looks at the store when it begins. */
static void begin(struct scene *s)
{
	static const char *const argv[] = { "vsctl", "test", NULL };
	struct session_opts opts = {
		.command = "rollback", .argv = argv, .clock = &fixed_clock, .state_path = s->state
	};
	struct vs_err err = { 0 };

	session_closep(&s->session);
	cr_assert_eq(session_open(&s->session, s->store, &opts, &err), 0, "%s", err.text);
}

static void scene_open(struct scene *s)
{
	cleanup_(buf_fini) struct buf state = { 0 };
	struct snap_create_request req = {
		.name = "one", .tool_version = "test", .jobs = 1, .clock = &fixed_clock
	};
	struct vs_err err = { 0 };

	s->dir = kit_healthy(CHROMEM_PLAIN);
	buf_printf(&state, "%s.vsctl", s->dir->path);
	s->state = buf_take_str(&state);
	cr_assert_eq(store_open(&s->store, s->dir->path, 0, &err), 0, "%s", err.text);
	begin(s);
	cr_assert_eq(snap_create(session_state_dirfd(s->session), s->store, &req, &s->m, &err), 0,
		     "%s", err.text);
}

static void scene_end(struct scene *s)
{
	char command[4200];

	session_closep(&s->session);
	store_closep(&s->store);
	snap_manifest_freep(&s->m);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->state);
	cr_assert_eq(system(command), 0);
	free(s->state);
	kit_dir_freep(&s->dir);
}

static struct rollback_request everything(struct scene *s)
{
	return (struct rollback_request){ .store = s->store, .m = s->m, .jobs = 1 };
}

/* ---- the proof ---- */

static void expect_proof(struct scene *s, const char *want)
{
	struct rollback_request req = everything(s);
	struct vs_err err = { 0 };
	int r = rollback_prove(&req, &err);

	if (!want) {
		cr_assert_eq(r, 0, "%s", err.text);
		return;
	}
	cr_assert_eq(r, VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, want), "%s", err.text);
}

Test(rollback, one_altered_bit_of_a_vector_is_found)
{
	struct scene s = { 0 };
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	struct kit_doc d;
	size_t at;

	scene_open(&s);
	expect_proof(&s, NULL);
	kit_doc(&d, "notes", 2);
	/* The last bytes of a file are its text; the vector is before it. */
	at = kit_find(s.dir, path, d.doc.content) - 6;
	kit_flip(s.dir, path, at, 3);
	expect_proof(&s, path);
	kit_flip(s.dir, path, at, 3);
	expect_proof(&s, NULL);
	scene_end(&s);
}

Test(rollback, documents_are_counted)
{
	struct scene s = { 0 };
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(vs_freep) char *copy = kit_doc_path(CHROMEM_PLAIN, "notes", 77);

	scene_open(&s);
	kit_copy(s.dir, path, copy);
	expect_proof(&s, "Document count mismatch: 18 vs 19");
	kit_remove(s.dir, path);
	/* As many as there should be, and not those. */
	expect_proof(&s, "is not what snapshot one has");
	kit_remove(s.dir, copy);
	expect_proof(&s, "Document count mismatch: 18 vs 17");
	scene_end(&s);
}

/* ---- the judgement ---- */

/* Another program changes a bit of the vector of document 3, and sets the time back. */
static void meddle(struct scene *s)
{
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 3);
	struct vs_err err = { 0 };
	struct file_info info;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct kit_doc d;

	cr_assert_eq(file_stat_at(s->store->dirfd, path, FILE_NO_FOLLOW, &info, &err), 0);
	kit_doc(&d, "notes", 3);
	kit_flip(s->dir, path, kit_find(s->dir, path, d.doc.content) - 6, 3);
	times[1].tv_sec = info.modified_ns / 1000000000;
	times[1].tv_nsec = info.modified_ns % 1000000000;
	cr_assert_eq(utimensat(s->store->dirfd, path, times, 0), 0);
}

static int prepare(void *ctx, const struct check_summary *before, struct vs_err *err)
{
	struct scene *s = ctx;

	(void)err;
	s->prepared++;
	cr_assert_eq(before->documents, 17);
	if (s->before)
		meddle(s);
	return 0;
}

static int content(void *ctx, const struct action *a, struct buf *out, struct vs_err *err)
{
	struct scene *s = ctx;
	struct kit_doc d;

	(void)a;
	(void)err;
	kit_doc(&d, "notes", 2);
	chromem_encode_doc(out, &d.doc);
	if (s->flip > 0)
		out->ptr[out->len - s->flip] ^= 0x20;
	return 0;
}

static int prove(void *ctx, struct vs_err *err)
{
	struct scene *s = ctx;
	struct rollback_request req = everything(s);

	req.known = session_known(s->session);
	if (s->after)
		meddle(s);
	return rollback_prove(&req, err);
}

/* Document 2 is gone and comes back, with @flip. */
static int bring_back(struct scene *s, struct apply_result *result, struct vs_err *err)
{
	struct rollback_request req = everything(s);
	const struct plan_source source = {
		.ctx = s, .prepare = prepare, .content = content, .verify = prove
	};
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("rollback") };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	struct rollback_change *changes = NULL;
	size_t count = 0;
	int r;

	r = plan_rollback(&plan, &req, &changes, &count, err);
	cr_assert_eq(r, 0, "%s", err->text);
	cr_assert_eq(count, 3);
	cr_assert_eq(plan.count, 1);
	cr_assert(plan.actions[0].is_sourced);
	rollback_changes_free(changes, count);
	plan.source = &source;
	return session_apply(s->session, &plan, &check, false, result, err);
}

static void with_content(unsigned flip, int want)
{
	struct scene s = { .flip = flip };
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };

	scene_open(&s);
	kit_remove(s.dir, path);
	begin(&s);
	cr_assert_eq(bring_back(&s, &result, &err), want, "%s", err.text);
	cr_assert_eq(s.prepared, 1);
	cr_assert_eq(result.is_taken_back, want < 0);
	if (want < 0) {
		cr_assert_neq(faccessat(s.store->dirfd, path, F_OK, 0), 0);
		cr_assert_not_null(strstr(err.text, "is not what snapshot one has"), "%s",
				   err.text);
	} else {
		expect_proof(&s, NULL);
	}
	scene_end(&s);
}

Test(rollback, what_comes_back_right_stays)
{
	with_content(0, 0);
}

/* A lowest bit of a float: the store verifies, and yet is not what it was. */
Test(rollback, one_altered_float_is_taken_back)
{
	struct kit_doc d;

	kit_doc(&d, "notes", 2);
	/*
	 * The end of the message, the text, its length and field, and then a float: its bytes in
	 * reverse order, the highest last, of which those that are zero are left out.
	 */
	with_content((unsigned)d.doc.content.len + 3 + 5, VS_EFORMAT);
}

/* ---- what is read once serves all, and hides nothing ---- */

/* Files that were written a moment ago are not believed, so the store has to be a little older. */
static void let_settle(struct scene *s)
{
	nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 300000000 }, NULL);
	begin(s);
}

static void with_meddler(bool before, bool after)
{
	struct scene s = { .before = before, .after = after };
	cleanup_(vs_freep) char *gone = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(vs_freep) char *changed = kit_doc_path(CHROMEM_PLAIN, "notes", 3);
	struct apply_result result = { 0 };
	struct vs_err err = { 0 };

	scene_open(&s);
	kit_remove(s.dir, gone);
	let_settle(&s);
	cr_assert_eq(bring_back(&s, &result, &err), before || after ? VS_EFORMAT : 0, "%s",
		     err.text);
	cr_assert_eq(result.is_taken_back, before || after);
	if (before || after)
		cr_assert_not_null(strstr(err.text, changed), "%s", err.text);
	cr_assert_eq(faccessat(s.store->dirfd, gone, F_OK, 0) == 0, !before && !after);
	scene_end(&s);
}

/* Same size, same time: but the time of the change itself cannot be set. */
Test(rollback, a_change_before_the_apply_is_found, .timeout = 60)
{
	with_meddler(true, false);
}

Test(rollback, a_change_after_the_apply_is_found, .timeout = 60)
{
	with_meddler(false, true);
}

Test(rollback, nothing_is_found_where_nobody_meddles, .timeout = 60)
{
	with_meddler(false, false);
}

/* What the session has read is not read again: a wrong entry is believed, as long as the file is the
 * one that it is of. */
Test(rollback, what_is_known_is_asked_first, .timeout = 60)
{
	struct scene s = { 0 };
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 3);
	struct rollback_request req;
	struct digest wrong = { { 1 } };
	struct vs_err err = { 0 };
	struct file_info info;

	scene_open(&s);
	let_settle(&s);
	req = everything(&s);
	req.known = session_known(s.session);
	cr_assert_eq(rollback_prove(&req, &err), 0, "%s", err.text);
	cr_assert_eq(file_stat_at(s.store->dirfd, path, FILE_NO_FOLLOW, &info, &err), 0);
	file_known_add(session_known(s.session), &info, &wrong);
	cr_assert_eq(rollback_prove(&req, &err), VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, path), "%s", err.text);
	req.known = NULL;
	cr_assert_eq(rollback_prove(&req, &err), 0, "without, every byte is read");
	scene_end(&s);
}
