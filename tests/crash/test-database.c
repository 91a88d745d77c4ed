/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The database of a Chroma store changed by a plan's statements, failed and killed at each disk call:
 * afterwards it is as before or as after, what SQLite had beside it included.
 */

#include "fault.h"

#include "repair/repair.h"

#include <criterion/criterion.h>
#include <fcntl.h>

struct scene {
	char root[64];
	char path[96];
	int rootfd;
};

static void shell(const struct scene *s, const char *command)
{
	char text[512];

	snprintf(text, sizeof(text), "cd '%s' && %s", s->root, command);
	cr_assert_eq(system(text), 0, "%s", command);
}

static void scene_end(struct scene *s)
{
	char command[96];

	close(s->rootfd);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->root);
	cr_assert_eq(system(command), 0);
}

/* One store of the collection of damaged ones, by its name. */
static void scene_make(struct scene *s, const char *name)
{
	char command[256];

	if (s->root[0] != '\0')
		scene_end(s);
	snprintf(s->root, sizeof(s->root), "%s/vsctl-database-XXXXXX", fault_scratch());
	cr_assert_not_null(mkdtemp(s->root));
	s->rootfd = open(s->root, O_RDONLY | O_DIRECTORY);
	snprintf(s->path, sizeof(s->path), "%s/%s", s->root, name);
	snprintf(
		command, sizeof(command),
		"test -d /dev/shm/vsctl-stores.%ld/%s || (mkdir -p /dev/shm/vsctl-stores.%ld && "
		"tar -C /dev/shm/vsctl-stores.%ld -xJf \"$SOURCE_ROOT/tests/data/chroma/stores.tar.xz\" %s)",
		(long)getpid(), name, (long)getpid(), (long)getpid(), name);
	shell(s, command);
	snprintf(command, sizeof(command), "cp -a /dev/shm/vsctl-stores.%ld/%s .", (long)getpid(),
		 name);
	shell(s, command);
}

static void stores_end(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf /dev/shm/vsctl-stores.%ld", (long)getpid());
	cr_assert_eq(system(command), 0);
}

static struct digest tree(struct scene *s)
{
	const char *name = strrchr(s->path, '/') + 1;
	struct vs_err err = { 0 };
	struct digest digest = { 0 };

	cr_assert_gt(journal_look(s->rootfd, name, &digest, &err), 0, "%s", err.text);
	return digest;
}

static bool same(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

static int64_t fixed_now(void *ctx)
{
	(void)ctx;
	return INT64_C(1769090589000000000);
}

static const struct vs_clock fixed_clock = { .now_ns = fixed_now };

static int run(struct scene *s, bool undo, const char *sql, struct vs_err *err)
{
	struct session_opts opts = { .command = "test", .force = true, .clock = &fixed_clock };
	cleanup_(session_closep) struct session *session = NULL;
	struct check_request check = { .level = CHECK_FULL, .jobs = 1 };
	cleanup_(plan_fini) struct plan plan = { 0 };
	cleanup_(store_closep) struct store *store = NULL;
	struct apply_result result = { 0 };
	int r;

	r = store_open(&store, s->path, 0, err);
	if (r == 0)
		r = session_open(&session, store, &opts, err);
	if (r < 0)
		return r;
	if (undo)
		return session_undo(session, NULL, err);
	plan.command = vs_strdup("test");
	plan_add_sql(&plan, "first-half", "UPDATE collections SET name = name || '-1'");
	plan_add_sql(&plan, "second-half", sql);
	r = plan_stamp(&plan, store->dirfd, err);
	return r < 0 ? r : session_apply(session, &plan, &check, false, &result, err);
}

static int change(void *ctx)
{
	struct vs_err err = { 0 };

	return run(ctx, false, "UPDATE collections SET name = name || '-2'", &err);
}

static int open_only(void *ctx)
{
	struct session_opts opts = { .command = "test", .force = true, .clock = &fixed_clock };
	cleanup_(session_closep) struct session *session = NULL;
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };
	struct scene *s = ctx;
	int r = store_open(&store, s->path, 0, &err);

	r = r < 0 ? r : session_open(&session, store, &opts, &err);
	cr_assert_eq(r, 0, "%s", err.text);
	return r;
}

static void names_are(struct scene *s, const char *want)
{
	char command[256];

	snprintf(
		command, sizeof(command),
		"test \"$(sqlite3 '%s/chroma.sqlite3' 'SELECT count(*) FROM collections WHERE name "
		"LIKE \"%%-1-2\"')\" = %s",
		s->path, want);
	shell(s, command);
}

static void walk(const char *name)
{
	struct scene s = { 0 };
	struct digest old, new, now;
	struct vs_err err = { 0 };
	unsigned points = 0;

	scene_make(&s, name);
	old = tree(&s);
	cr_assert_eq(change(&s), 0);
	new = tree(&s);
	names_are(&s, "3");
	shell(&s, "! ls */chroma.sqlite3-* 2>/dev/null");
	cr_assert_eq(run(&s, true, NULL, &err), 0, "%s", err.text);
	now = tree(&s);
	cr_assert(same(&now, &old), "%s: undo gives back what was there", name);
	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES_; mode++) {
		for (unsigned n = 1;; n += 3) {
			enum fault_outcome outcome;

			scene_make(&s, name);
			outcome = fault_run(n + (unsigned)mode % 3, mode, change, &s);
			if (outcome == FAULT_NOT_REACHED)
				break;
			points++;
			cr_assert_eq(open_only(&s), 0);
			now = tree(&s);
			cr_assert(same(&now, &old) || same(&now, &new),
				  "%s: neither old nor new: call %u, %s", name, n,
				  fault_mode_name(mode));
		}
	}
	cr_assert_gt(points, 20, "%u", points);
	scene_end(&s);
	stores_end();
}

Test(database, old_or_new_at_every_fault)
{
	walk("base");
}

Test(database, with_a_log_beside_it)
{
	walk("leftover-wal");
}

Test(database, with_a_journal_beside_it)
{
	walk("hot-journal");
}

/* Statements that fail, or that SQLite does not find sound afterwards, leave everything as it was. */
Test(database, a_change_that_fails_is_none)
{
	struct scene s = { 0 };
	struct digest old, now;
	struct vs_err err = { 0 };

	scene_make(&s, "base");
	old = tree(&s);
	cr_assert_eq(run(&s, false, "UPDATE no_such_table SET x = 1", &err), VS_ENOTSUP);
	cr_assert_not_null(strstr(err.text, "second-half"), "%s", err.text);
	now = tree(&s);
	cr_assert(same(&now, &old));
	/* The check afterwards finds positions that the index never came to: taken back. */
	cr_assert_eq(run(&s, false, "UPDATE max_seq_id SET seq_id = seq_id + 5000", &err),
		     VS_EFORMAT, "%s", err.text);
	now = tree(&s);
	cr_assert(same(&now, &old));
	scene_end(&s);
	stores_end();
}
