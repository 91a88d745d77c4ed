/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The writing commands, whole: session, plan, journal, verification, audit. Each is failed and
 * killed at each of its disk calls; afterwards the store is as before or as after, and the next
 * session ends what was left.
 */

#include "fault.h"

#include "chromem/chromem.h"
#include "repair/repair.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

struct scene {
	char root[64];
	char path[96];
	int rootfd;
};

/* Written long ago: a young file that cannot be decoded would be waited for. */
static void put(int dirfd, const char *path, struct slice bytes)
{
	static const struct timespec times[2] = { { .tv_sec = 1769000000 },
						  { .tv_sec = 1769000000 } };
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
	cr_assert_eq(futimens(fd, times), 0);
	close(fd);
}

static void put_meta(int storefd, const char *name)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	char hash[CHROMEM_ID_LEN + 1];
	char path[64];

	chromem_hash_format(chromem_hash(slice_str(name)), hash);
	cr_assert_eq(mkdirat(storefd, hash, 0700), 0);
	chromem_encode_meta(&gob, slice_str(name), NULL, 0);
	snprintf(path, sizeof(path), "%s/00000000.gob", hash);
	put(storefd, path, buf_slice(&gob));
}

static void put_doc(int storefd, const char *collection, const char *id, size_t cut)
{
	static const float vector[4] = { 0.5f, -0.5f, 0.5f, 0.5f };
	struct chromem_doc doc = { .id = slice_str(id),
				   .content = slice_str("some text"),
				   .embedding = vector,
				   .dimension = 4 };
	cleanup_(buf_fini) struct buf gob = { 0 };
	char dir[CHROMEM_ID_LEN + 1];
	char file[CHROMEM_ID_LEN + 1];
	char path[64];

	chromem_hash_format(chromem_hash(slice_str(collection)), dir);
	chromem_hash_format(chromem_hash(slice_str(id)), file);
	snprintf(path, sizeof(path), "%s/%s.gob", dir, file);
	chromem_encode_doc(&gob, &doc);
	put(storefd, path, slice_of(gob.ptr, gob.len - cut));
}

/* Two collections: one without metadata, one with a document cut short and a file that nobody
 * needs. */
static void scene_make(struct scene *s)
{
	char command[160];
	int storefd;

	if (s->root[0] != '\0') {
		close(s->rootfd);
		snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
		cr_assert_eq(system(command), 0);
	}
	snprintf(s->root, sizeof(s->root), "%s/vsctl-repair-XXXXXX", fault_scratch());
	cr_assert_not_null(mkdtemp(s->root));
	s->rootfd = open(s->root, O_RDONLY | O_DIRECTORY);
	snprintf(s->path, sizeof(s->path), "%s/store", s->root);
	cr_assert_eq(mkdirat(s->rootfd, "store", 0700), 0);
	storefd = openat(s->rootfd, "store", O_RDONLY | O_DIRECTORY);
	put_meta(storefd, "contextd_memories");
	put_meta(storefd, "notes");
	cr_assert_eq(unlinkat(storefd, "e9f85bf6/00000000.gob", 0), 0);
	put_doc(storefd, "contextd_memories", "m-1", 0);
	put_doc(storefd, "contextd_memories", "m-2", 0);
	put_doc(storefd, "notes", "n-1", 0);
	put_doc(storefd, "notes", "n-2", 9);
	put_doc(storefd, "notes", "n-3", 0);
	close(storefd);
}

static void scene_end(struct scene *s)
{
	char command[160];

	close(s->rootfd);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
	cr_assert_eq(system(command), 0);
}

static struct digest tree(struct scene *s)
{
	struct vs_err err = { 0 };
	struct digest digest = { 0 };

	cr_assert_gt(journal_look(s->rootfd, "store", &digest, &err), 0, "%s", err.text);
	return digest;
}

static bool same(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

/* Not the system's: what a run writes must be the same each time, names of quarantined items too.
 */
static int64_t fixed_now(void *ctx)
{
	(void)ctx;
	return INT64_C(1769090589000000000);
}

static const struct vs_clock fixed_clock = { .now_ns = fixed_now };

static int find_name(void *ctx, const char *collection, char **name, char **evidence,
		     struct vs_err *err)
{
	(void)ctx;
	(void)err;
	if (strcmp(collection, "e9f85bf6") != 0)
		return 0;
	*name = vs_strdup("contextd_memories");
	*evidence = vs_strdup("known to the test");
	return 1;
}

static int with_session(struct scene *s, const char *command,
			int (*job)(struct session *session, const struct store *store,
				   struct vs_err *err))
{
	static const char *const argv[] = { "vsctl", "test", NULL };
	struct session_opts opts = {
		.command = command, .argv = argv, .force = true, .clock = &fixed_clock
	};
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(session_closep) struct session *session = NULL;
	struct vs_err err = { 0 };

	if (store_open(&store, s->path, false, &err) < 0 ||
	    session_open(&session, store, &opts, &err) < 0)
		return err.status;
	return job(session, store, &err);
}

static int repair_job(struct session *session, const struct store *store, struct vs_err *err)
{
	struct fixes_request fixes = { .state_dirfd = -1,
				       .time_ns = fixed_now(NULL),
				       .find_name = find_name };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("repair") };
	struct apply_result result = { 0 };
	int r;

	r = plan_fixes(&plan, store, &check, &fixes, err);
	return r < 0 ? r : session_apply(session, &plan, &check, false, &result, err);
}

static int quarantine_job(struct session *session, const struct store *store, struct vs_err *err)
{
	struct quarantine_request req = { .collection = "e9f85bf6",
					  .reason = "a test",
					  .time_ns = fixed_now(NULL) };
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("quarantine add") };
	struct apply_result result = { 0 };
	int r;

	r = plan_quarantine(&plan, store, &req, err);
	return r < 0 ? r : session_apply(session, &plan, &check, false, &result, err);
}

static int release_job(struct session *session, const struct store *store, struct vs_err *err)
{
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(quarantine_item_fini) struct quarantine_item item = { 0 };
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("quarantine release") };
	struct apply_result result = { 0 };
	int r;

	r = quarantine_find(store, "e9f85bf6", &item, err);
	if (r == 0)
		r = plan_release(&plan, store, &item, err);
	return r < 0 ? r : session_apply(session, &plan, &check, true, &result, err);
}

static int nothing_job(struct session *session, const struct store *store, struct vs_err *err)
{
	(void)session;
	(void)store;
	(void)err;
	return 0;
}

static int repair(void *ctx)
{
	return with_session(ctx, "repair", repair_job);
}

static int quarantine(void *ctx)
{
	return with_session(ctx, "quarantine add", quarantine_job);
}

static int release(void *ctx)
{
	return with_session(ctx, "quarantine release", release_job);
}

static void no_finding(void *ctx, const struct audit_finding *f)
{
	(void)ctx;
	cr_assert(audit_fault_is_note(f->fault), "line %" PRIu64 ": %s: %s", f->line,
		  audit_fault_name(f->fault), f->detail);
}

struct last_record {
	uint64_t started, ended;
};

static int look_at_record(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	struct last_record *last = ctx;

	(void)err;
	last->started += strcmp(e->phase, "started") == 0;
	last->ended += strcmp(e->phase, "finished") == 0 || strcmp(e->phase, "failed") == 0;
	return 0;
}

/* Wherever it was killed: nobody takes the log for tampered, and nothing ends that did not begin.
 */
static void look_at_log(struct scene *s)
{
	static const struct audit_query all = { 0 };
	cleanup_(file_closep) int state = openat(s->rootfd, "store.vsctl", O_RDONLY | O_DIRECTORY);
	struct last_record last = { 0 };
	struct vs_err err = { 0 };
	uint64_t records;
	int r;

	if (state < 0)
		return;
	r = audit_verify(state, NULL, NULL, no_finding, NULL, &records, &err);
	cr_assert_eq(r, 0, "%s", err.text);
	r = audit_list(state, &all, look_at_record, &last, &err);
	cr_assert(r >= 0 || r == VS_ENOENT, "%s", err.text);
	cr_assert_leq(last.ended, last.started);
}

/* Walk through the faults of @operation, begun on a scene that @prepare made: about how many there
 * are. */
static unsigned walk(int (*operation)(void *ctx), int (*prepare)(void *ctx))
{
	struct scene s = { 0 };
	struct digest old, new, now;
	unsigned points = 0;

	scene_make(&s);
	if (prepare)
		cr_assert_eq(prepare(&s), 0);
	old = tree(&s);
	cr_assert_eq(operation(&s), 0);
	new = tree(&s);
	cr_assert_not(same(&old, &new));
	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES_; mode++) {
		for (unsigned n = 1;; n += fault_stride()) {
			enum fault_outcome outcome;

			scene_make(&s);
			if (prepare)
				cr_assert_eq(prepare(&s), 0);
			outcome = fault_run(n, mode, operation, &s);
			if (outcome == FAULT_NOT_REACHED)
				break;
			points += fault_stride();
			look_at_log(&s);
			cr_assert_eq(with_session(&s, "next", nothing_job), 0);
			look_at_log(&s);
			now = tree(&s);
			cr_assert(same(&now, &old) || same(&now, &new),
				  "neither old nor new: call %u, %s", n, fault_mode_name(mode));
		}
	}
	scene_end(&s);
	return points;
}

Test(repair, old_or_new_at_every_fault)
{
	unsigned points = walk(repair, NULL);

	cr_log_info("%u fault points", points);
	cr_assert_gt(points, 100);
}

Test(quarantine, old_or_new_at_every_fault)
{
	cr_assert_gt(walk(quarantine, NULL), 60);
}

Test(release, old_or_new_at_every_fault)
{
	cr_assert_gt(walk(release, quarantine), 60);
}
