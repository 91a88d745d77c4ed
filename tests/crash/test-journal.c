/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A run with every kind of step, failed and killed at each of its disk calls: afterwards the store
 * is as before or as after, and undo gives back the tree that was there.
 */

#include "fault.h"
#include "journal/journal-private.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct scene {
	char root[64];
	int store;
	int state;
	bool links_old;
	char other[32]; /* where the state directory is, where that is elsewhere; "" */
};

static void put(int dirfd, const char *path, const char *text)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void scene_end(struct scene *s)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf '%s' %s", s->root, s->other);
	cr_assert_eq(system(command), 0);
	s->other[0] = '\0';
	close(s->store);
	close(s->state);
}

static void scene_make(struct scene *s)
{
	if (s->root[0] != '\0')
		scene_end(s);
	snprintf(s->root, sizeof(s->root), "%s/vsctl-journal-XXXXXX", fault_scratch());
	cr_assert_not_null(mkdtemp(s->root));
	s->store = open(s->root, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(mkdirat(s->store, "state", 0700), 0);
	s->state = openat(s->store, "state", O_RDONLY | O_DIRECTORY);
	close(s->store);
	s->store = openat(s->state, "..", O_RDONLY | O_DIRECTORY);
	cr_assert_eq(mkdirat(s->store, "store", 0700), 0);
	close(s->store);
	s->store = openat(s->state, "../store", O_RDONLY | O_DIRECTORY);
	cr_assert_eq(mkdirat(s->store, "aaaa", 0700), 0);
	cr_assert_eq(mkdirat(s->store, "bbbb", 0700), 0);
	cr_assert_eq(mkdirat(s->store, "gone", 0755), 0);
	put(s->store, "aaaa/one", "first");
	put(s->store, "aaaa/two", "second");
	put(s->store, "bbbb/three", "third");
	put(s->store, "bbbb/four", "fourth");
	put(s->store, "swap-a", "a");
	put(s->store, "swap-b", "b");
}

static void tree_digest(struct scene *s, struct digest *out)
{
	struct vs_err err = { 0 };
	struct node node = { 0 };

	cr_assert_eq(node_look(s->state, "../store", &node, &err), VS_EUSAGE);
	{
		int root = open(s->root, O_RDONLY | O_DIRECTORY);

		cr_assert_eq(node_look(root, "store", &node, &err), 0, "%s", err.text);
		close(root);
	}
	*out = node.digest;
}

/* More than the journal takes into memory at once; only its first bytes are written. */
#define LARGE ((off_t)JOURNAL_WHOLE_MAX + 12345)

static int large_file(const char *name, const char *text)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fault_scratch(), name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || unlink(path) < 0 || write(fd, text, strlen(text)) < 0 ||
	    ftruncate(fd, LARGE) < 0)
		return -1;
	return fd;
}

static int replace_large(void *ctx)
{
	struct journal_header head = { .command = "large",
				       .time_ns = INT64_C(1769090589000000000) };
	cleanup_(file_closep) int fd = large_file("vsctl-journal-new", "the new one");
	cleanup_(journal_freep) struct journal *j = NULL;
	struct vs_err err = { 0 };
	struct scene *s = ctx;

	if (fd < 0 || journal_begin(&j, s->state, s->store, &head, &err) < 0 ||
	    journal_add_write_file(j, "large", 0600, 0, fd, &err) < 0 ||
	    journal_add_write_file(j, "bbbb/large", 0600, 1769090589, fd, &err) < 0 ||
	    journal_apply(j, &err) < 0 || journal_commit(j, &err) < 0)
		return -1;
	return 0;
}

static int change_everything(void *ctx)
{
	static const char *const argv[] = { "vsctl", "test", NULL };
	struct journal_header head = { .command = "test",
				       .argv = argv,
				       .time_ns = INT64_C(1769090589000000000) };
	struct scene *s = ctx;
	cleanup_(journal_freep) struct journal *j = NULL;
	struct vs_err err = { 0 };

	head.links_old = s->links_old;
	if (journal_begin(&j, s->state, s->store, &head, &err) < 0 ||
	    journal_add_mkdir(j, ".quarantine", 0700, &err) < 0 ||
	    journal_add_move(j, "aaaa", ".quarantine/aaaa", &err) < 0 ||
	    journal_add_write(j, ".quarantine/aaaa.json", 0600, slice_str("{}"), &err) < 0 ||
	    journal_add_write(j, "bbbb/three", 0640, slice_str("third, rewritten"), &err) < 0 ||
	    journal_add_remove(j, "bbbb/four", &err) < 0 ||
	    journal_add_exchange(j, "swap-a", "swap-b", &err) < 0 ||
	    journal_add_mode(j, "bbbb", 0750, &err) < 0 || journal_add_rmdir(j, "gone", &err) < 0 ||
	    journal_apply(j, &err) < 0 || journal_commit(j, &err) < 0)
		return -1;
	return 0;
}

static void say_nothing(void *ctx, const char *text)
{
	(void)text;
	++*(unsigned *)ctx;
}

static void recover(struct scene *s)
{
	struct vs_err err = { 0 };
	unsigned told = 0;
	int ended;

	ended = journal_recover(s->state, s->store, say_nothing, &told, &err);
	cr_assert_geq(ended, 0, "%s", err.text);
	cr_assert_eq((int)told, ended);
	cr_assert_eq(journal_recover(s->state, s->store, say_nothing, &told, &err), 0,
		     "nothing is left to be ended");
}

static bool same(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

static void old_and_new(struct scene *s, struct digest *old, struct digest *new)
{
	scene_make(s);
	tree_digest(s, old);
	cr_assert_eq(change_everything(s), 0);
	tree_digest(s, new);
	cr_assert_not(same(old, new));
}

Test(journal, undo_gives_the_old_tree_back)
{
	struct scene s = { 0 };
	struct digest old, new, now;
	struct vs_err err = { 0 };

	old_and_new(&s, &old, &new);
	cr_assert_eq(journal_undo(s.state, s.store, NULL, &err), 0, "%s", err.text);
	tree_digest(&s, &now);
	cr_assert(same(&now, &old));
	cr_assert_eq(journal_undo(s.state, s.store, NULL, &err), VS_ENOENT,
		     "it is taken back once only");
	scene_end(&s);
}

Test(journal, undo_refuses_what_has_changed_since)
{
	struct scene s = { 0 };
	struct digest old, new, before, now;
	struct vs_err err = { 0 };

	old_and_new(&s, &old, &new);
	put(s.store, "bbbb/three", "edited by somebody");
	tree_digest(&s, &before);
	cr_assert_eq(journal_undo(s.state, s.store, NULL, &err), VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, "bbbb/three"), "%s", err.text);
	tree_digest(&s, &now);
	cr_assert(same(&now, &before), "nothing may have happened");
	scene_end(&s);
}

/* @change, in a new scene each time, failed and killed at each of its calls. */
static void walk_every_fault(struct scene *s, void (*make)(struct scene *),
			     int (*change)(void *ctx), const struct digest *old,
			     const struct digest *new)
{
	struct digest now;
	unsigned points = 0;

	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES_; mode++) {
		for (unsigned n = 1;; n++) {
			enum fault_outcome outcome;

			make(s);
			outcome = fault_run(n, mode, change, s);
			if (outcome == FAULT_NOT_REACHED)
				break;
			points++;
			recover(s);
			tree_digest(s, &now);
			cr_assert(same(&now, old) || same(&now, new),
				  "neither old nor new: call %u, %s", n, fault_mode_name(mode));
			if (outcome == FAULT_SURVIVED)
				cr_assert(same(&now, new), "reported success: call %u", n);
		}
	}
	cr_log_info("%u fault points", points);
	cr_assert_gt(points, 100);
	scene_end(s);
}

Test(journal, old_or_new_at_every_fault)
{
	struct scene s = { 0 };
	struct digest old, new;

	old_and_new(&s, &old, &new);
	walk_every_fault(&s, scene_make, change_everything, &old, &new);
}

Test(journal, old_or_new_at_every_fault_where_old_files_are_kept_themselves)
{
	struct scene s = { .links_old = true };
	struct digest old, new;

	old_and_new(&s, &old, &new);
	walk_every_fault(&s, scene_make, change_everything, &old, &new);
}

static void scene_changed(struct scene *s)
{
	scene_make(s);
	cr_assert_eq(change_everything(s), 0);
}

static int take_back(void *ctx)
{
	struct scene *s = ctx;
	struct vs_err err = { 0 };

	return journal_undo(s->state, s->store, NULL, &err);
}

Test(journal, undo_itself_at_every_fault)
{
	struct scene s = { 0 };
	struct digest old, new;

	old_and_new(&s, &old, &new);
	walk_every_fault(&s, scene_changed, take_back, &new, &old);
}

static ino_t inode_of(int dirfd, const char *path)
{
	struct stat st = { 0 };

	cr_assert_eq(fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW), 0, "%s", path);
	return st.st_ino;
}

/* The only name that it has then is that in the journal, and undo gives the store a file of its own. */
Test(journal, old_files_are_kept_themselves)
{
	for (unsigned links = 0; links < 2; links++) {
		struct scene s = { .links_old = links > 0 };
		struct journal_run_info *runs = NULL;
		struct digest old, now;
		struct vs_err err = { 0 };
		char path[400];
		size_t count = 0;
		ino_t inode;

		scene_make(&s);
		tree_digest(&s, &old);
		inode = inode_of(s.store, "bbbb/three");
		cr_assert_eq(change_everything(&s), 0);
		cr_assert_eq(journal_list(s.state, &runs, &count, &err), 0, "%s", err.text);
		snprintf(path, sizeof(path), "journal/%s/4.old", runs[0].run);
		cr_assert_eq(inode_of(s.state, path) == inode, links > 0);
		cr_assert_neq(inode_of(s.store, "bbbb/three"), inode);
		cr_assert_eq(journal_undo(s.state, s.store, NULL, &err), 0, "%s", err.text);
		tree_digest(&s, &now);
		cr_assert(same(&now, &old));
		journal_list_free(runs, count);
		scene_end(&s);
	}
}

/* ---- files that are written and removed one after the other ---- */

#define FREE_STEPS 4u

static int change_files(void *ctx)
{
	struct journal_header head = { .command = "files",
				       .time_ns = INT64_C(1769090589000000000) };
	struct scene *s = ctx;
	cleanup_(journal_freep) struct journal *j = NULL;
	struct vs_err err = { 0 };

	head.links_old = s->links_old;
	if (journal_begin(&j, s->state, s->store, &head, &err) < 0 ||
	    journal_add_write(j, "bbbb/three", 0640, slice_str("third, rewritten"), &err) < 0 ||
	    journal_add_remove(j, "bbbb/four", &err) < 0 ||
	    journal_add_write(j, "bbbb/five", 0600, slice_str("fifth"), &err) < 0 ||
	    journal_add_remove(j, "aaaa/two", &err) < 0 || journal_apply(j, &err) < 0 ||
	    journal_commit(j, &err) < 0)
		return -1;
	return 0;
}

/* Killed when the first of them is about to be put in place.
 * NOLINTNEXTLINE(readability-non-const-parameter): the seam asks for it */
static int killed_when_prepared(void *ctx, enum file_op op, const char *name, size_t *partial)
{
	(void)ctx;
	(void)partial;
	if (op == FILE_OP_RENAME && strcmp(name, "1.new") == 0)
		_exit(0);
	return 0;
}

static void prepare_files(struct scene *s, char run[NAME_MAX + 1])
{
	const struct file_seam seam = { .before = killed_when_prepared };
	struct journal_run_info *runs = NULL;
	struct vs_err err = { 0 };
	size_t count = 0;
	int status;
	pid_t child;

	scene_make(s);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		file_seam = &seam;
		_exit(change_files(s) == 0 ? 1 : 2);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	cr_assert_eq(journal_list(s->state, &runs, &count, &err), 0, "%s", err.text);
	cr_assert_eq(count, 1);
	cr_assert_eq(runs[0].state, RUN_PREPARED);
	snprintf(run, NAME_MAX + 1, "%s", runs[0].run);
	journal_list_free(runs, count);
}

/* As a power cut may leave them: those of @mask, and no others. */
static void do_some(struct scene *s, const char *run, unsigned mask)
{
	char from[400];

	for (unsigned i = 0; i < FREE_STEPS; i++) {
		static const char *const paths[] = { "bbbb/three", "bbbb/four", "bbbb/five",
						     "aaaa/two" };

		snprintf(from, sizeof(from), "journal/%s/%u.new", run, i + 1);
		if (!(mask >> i & 1u))
			continue;
		if (i % 2 == 0)
			cr_assert_eq(renameat(s->state, from, s->store, paths[i]), 0);
		else
			cr_assert_eq(unlinkat(s->store, paths[i], 0), 0);
	}
}

static void begin_taking_back(struct scene *s, const char *run)
{
	cleanup_(journal_freep) struct journal *j = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(record_load(&j, s->state, s->store, run, &err), 0, "%s", err.text);
	cr_assert_eq(record_append_state(j, "taking-back", &err), 0, "%s", err.text);
}

static void any_part(bool links_old)
{
	struct scene s = { .links_old = links_old };
	struct digest old, new, now;
	char run[NAME_MAX + 1];

	scene_make(&s);
	tree_digest(&s, &old);
	cr_assert_eq(change_files(&s), 0);
	tree_digest(&s, &new);
	for (unsigned mask = 0; mask < 1u << FREE_STEPS; mask++) {
		prepare_files(&s, run);
		do_some(&s, run, mask);
		recover(&s);
		tree_digest(&s, &now);
		cr_assert(same(&now, &new), "forward from %#x", mask);
		prepare_files(&s, run);
		do_some(&s, run, mask);
		begin_taking_back(&s, run);
		recover(&s);
		tree_digest(&s, &now);
		cr_assert(same(&now, &old), "back from %#x", mask);
	}
	scene_end(&s);
}

Test(journal, any_part_of_what_is_written_at_once)
{
	any_part(false);
	any_part(true);
}

/* A file that somebody else has changed meanwhile is neither replaced nor removed. */
Test(journal, what_was_not_done_must_be_as_it_was)
{
	struct scene s = { 0 };
	struct vs_err err = { 0 };
	char run[NAME_MAX + 1];
	char text[16] = { 0 };
	unsigned told = 0;
	int fd;

	prepare_files(&s, run);
	do_some(&s, run, 1u);
	put(s.store, "bbbb/four", "edited");
	cr_assert_eq(journal_recover(s.state, s.store, say_nothing, &told, &err), VS_EFORMAT);
	cr_assert_not_null(strstr(err.text, "bbbb/four"), "%s", err.text);
	fd = openat(s.store, "bbbb/four", O_RDONLY);
	cr_assert_eq(read(fd, text, sizeof(text) - 1), 6);
	cr_assert_str_eq(text, "edited");
	close(fd);
	scene_end(&s);
}

/* ---- a state directory on another file system ---- */

/* Move the state of a new scene there. False: there is none. */
static bool part(struct scene *s)
{
	const char *scratch = strcmp(fault_scratch(), "/tmp") == 0 ? "/dev/shm" : "/tmp";
	struct stat here, there;

	if (stat(scratch, &there) < 0 || fstat(s->store, &here) < 0 || here.st_dev == there.st_dev)
		return false;
	snprintf(s->other, sizeof(s->other), "%s/vsctl-state-XXXXXX", scratch);
	cr_assert_not_null(mkdtemp(s->other));
	close(s->state);
	s->state = open(s->other, O_RDONLY | O_DIRECTORY);
	return true;
}

static void scene_parted(struct scene *s)
{
	scene_make(s);
	cr_assert(part(s));
}

/* Nothing can be moved from there to the store, so it is copied. */
Test(journal, across_file_systems_at_every_fault)
{
	struct scene s = { .links_old = true };
	struct digest old, new;

	scene_make(&s);
	tree_digest(&s, &old);
	if (!part(&s)) {
		scene_end(&s);
		cr_skip_test("there is one file system only");
	}
	cr_assert_eq(change_files(&s), 0);
	tree_digest(&s, &new);
	walk_every_fault(&s, scene_parted, change_files, &old, &new);
}

static void scene_with_large(struct scene *s)
{
	cleanup_(file_closep) int fd = -1;

	scene_make(s);
	put(s->store, "large", "the old one");
	fd = openat(s->store, "large", O_WRONLY);
	cr_assert_eq(ftruncate(fd, LARGE), 0);
}

Test(journal, large_files_go_through_a_small_buffer)
{
	struct scene s = { 0 };
	struct digest old, new, now;
	struct vs_err err = { 0 };
	unsigned points = 0;

	scene_with_large(&s);
	tree_digest(&s, &old);
	cr_assert_eq(replace_large(&s), 0);
	tree_digest(&s, &new);
	cr_assert_not(same(&old, &new));
	cr_assert_eq(journal_undo(s.state, s.store, NULL, &err), 0, "%s", err.text);
	tree_digest(&s, &now);
	cr_assert(same(&now, &old));
	/* Every seventh call: most are writes of one piece like the one before. */
	for (unsigned n = 1;; n += 7) {
		enum fault_outcome outcome;

		scene_with_large(&s);
		outcome = fault_run(n, n % 2 ? FAULT_KILL : FAULT_ENOSPC, replace_large, &s);
		if (outcome == FAULT_NOT_REACHED)
			break;
		points++;
		recover(&s);
		tree_digest(&s, &now);
		cr_assert(same(&now, &old) || same(&now, &new), "neither old nor new: call %u", n);
	}
	cr_assert_gt(points, 10);
	scene_end(&s);
}

Test(journal, a_run_that_meets_a_stranger_state_is_left_alone)
{
	struct scene s = { 0 };
	struct vs_err err = { 0 };
	unsigned told = 0;

	scene_make(&s);
	/* Killed in the middle, and then somebody changes a file that the run had still to replace.
	 */
	for (unsigned n = 1;; n++) {
		struct journal_run_info *runs = NULL;
		size_t count = 0;
		bool is_halfway;

		scene_make(&s);
		cr_assert_neq(fault_run(n, FAULT_KILL, change_everything, &s), FAULT_NOT_REACHED);
		cr_assert_eq(journal_list(s.state, &runs, &count, &err), 0, "%s", err.text);
		is_halfway = count == 1 && faccessat(s.store, ".quarantine/aaaa", F_OK, 0) == 0;
		journal_list_free(runs, count);
		if (is_halfway)
			break;
	}
	put(s.store, "bbbb/three", "edited by somebody");
	put(s.store, ".quarantine/aaaa/one", "edited too");
	cr_assert_lt(journal_recover(s.state, s.store, say_nothing, &told, &err), 0);
	cr_assert_eq(told, 0);
	scene_end(&s);
}
