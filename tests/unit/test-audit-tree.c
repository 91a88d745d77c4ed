/* SPDX-License-Identifier: Apache-2.0 */

/* The digest of a store's contents, and the logs of single runs. */

#include "audit/audit.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- the digest of a tree ---- */

static struct digest digest_of_tree(struct audit_tree *tree, int dirfd, unsigned threads)
{
	struct digest digest = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(audit_tree_digest(tree, dirfd, threads, &digest, &err), 0, "%s", err.text);
	return digest;
}

static struct digest fresh_digest(int dirfd)
{
	cleanup_(audit_tree_freep) struct audit_tree *tree = audit_tree_new();

	return digest_of_tree(tree, dirfd, 1);
}

static bool same(struct digest a, struct digest b)
{
	return memcmp(a.bytes, b.bytes, DIGEST_LEN) == 0;
}

/* What sha256sum prints for one file, and the digest of that. */
Test(audit_tree, is_what_sha256sum_prints)
{
	static const char listing[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ./a-b/x\0"
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  ./a/x";
	struct digest want;
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "a"));
	close(scratch_mkdir(dirfd, "a-b"));
	close(scratch_mkdir(dirfd, "empty"));
	scratch_text(dirfd, "a/x", "");
	scratch_text(dirfd, "a-b/x", "abc");
	/* Byte order of the whole path: "-" comes before "/". */
	digest_of(slice_of(listing, sizeof(listing)), &want);
	cr_assert(same(fresh_digest(dirfd), want));
}

Test(audit_tree, nothing_is_the_digest_of_nothing)
{
	struct digest want;
	int dirfd;

	scratch_new(&dirfd);
	digest_of(slice_of(NULL, 0), &want);
	cr_assert(same(fresh_digest(dirfd), want));
}

static void make_files(int dirfd, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[32];
		char text[32];

		snprintf(name, sizeof(name), "d%zu", i % 7);
		if (i < 7)
			close(scratch_mkdir(dirfd, name));
		snprintf(name, sizeof(name), "d%zu/f%zu", i % 7, i);
		snprintf(text, sizeof(text), "content %zu", i);
		scratch_text(dirfd, name, text);
	}
}

Test(audit_tree, threads_and_what_is_known_make_no_difference)
{
	cleanup_(audit_tree_freep) struct audit_tree *tree = audit_tree_new();
	struct digest first;
	int dirfd;

	scratch_new(&dirfd);
	make_files(dirfd, 1000);
	first = digest_of_tree(tree, dirfd, 4);
	cr_assert(same(first, fresh_digest(dirfd)));
	cr_assert(same(first, digest_of_tree(tree, dirfd, 4)));
	cr_assert(same(first, digest_of_tree(tree, dirfd, 1)));
}

static void set_back(int dirfd, const char *name, time_t seconds)
{
	const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	cr_assert_eq(utimensat(dirfd, name, times, 0), 0);
}

/* Every way in which a tree can change shows, also to one that knows it. */
Test(audit_tree, every_change_shows)
{
	cleanup_(audit_tree_freep) struct audit_tree *tree = audit_tree_new();
	struct digest was, now;
	int dirfd;

	scratch_new(&dirfd);
	make_files(dirfd, 20);
	was = digest_of_tree(tree, dirfd, 1);
	scratch_text(dirfd, "d0/f0", "content 1");
	now = digest_of_tree(tree, dirfd, 1);
	cr_assert_not(same(was, now), "the same size and another content");
	scratch_text(dirfd, "d0/f0", "content 0");
	cr_assert(same(was, digest_of_tree(tree, dirfd, 1)), "the content alone counts");
	cr_assert_eq(renameat(dirfd, "d0/f0", dirfd, "d0/g0"), 0);
	now = digest_of_tree(tree, dirfd, 1);
	cr_assert_not(same(was, now), "a name");
	cr_assert_eq(renameat(dirfd, "d0/g0", dirfd, "d0/f0"), 0);
	cr_assert_eq(unlinkat(dirfd, "d1/f1", 0), 0);
	cr_assert_not(same(was, digest_of_tree(tree, dirfd, 1)), "a file less");
	scratch_text(dirfd, "d1/f1", "content 1");
	scratch_text(dirfd, "d1/.hidden", "");
	cr_assert_not(same(was, digest_of_tree(tree, dirfd, 1)), "a file more");
	cr_assert_eq(unlinkat(dirfd, "d1/.hidden", 0), 0);
	cr_assert(same(was, digest_of_tree(tree, dirfd, 1)));
}

/*
 * Times that were set back hide nothing: the time of the change itself cannot be set. The wait
 * makes what was read first old enough to be believed.
 */
Test(audit_tree, what_is_known_is_not_believed_blindly, .timeout = 30)
{
	cleanup_(audit_tree_freep) struct audit_tree *tree = audit_tree_new();
	struct digest was;
	int dirfd;

	scratch_new(&dirfd);
	make_files(dirfd, 20);
	set_back(dirfd, "d0/f0", 1000000000);
	nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 200000000 }, NULL);
	was = digest_of_tree(tree, dirfd, 1);
	cr_assert(same(was, digest_of_tree(tree, dirfd, 1)));
	scratch_text(dirfd, "d0/f0", "content 1");
	set_back(dirfd, "d0/f0", 1000000000);
	cr_assert_not(same(was, digest_of_tree(tree, dirfd, 1)));
}

Test(audit_tree, follows_no_link_and_waits_for_nothing, .timeout = 30)
{
	struct digest was;
	int dirfd;

	scratch_new(&dirfd);
	make_files(dirfd, 3);
	was = fresh_digest(dirfd);
	scratch_fifo(dirfd, "pipe");
	scratch_socket(dirfd, "socket");
	cr_assert_eq(symlinkat("/etc/passwd", dirfd, "link"), 0);
	cr_assert_eq(symlinkat("/", dirfd, "root"), 0);
	cr_assert_eq(symlinkat(".", dirfd, "loop"), 0);
	cr_assert(same(was, fresh_digest(dirfd)));
}

static int digest_as_nobody(void *ctx)
{
	cleanup_(audit_tree_freep) struct audit_tree *tree = audit_tree_new();
	struct digest digest;
	struct vs_err err = { 0 };
	int r = audit_tree_digest(tree, *(int *)ctx, 2, &digest, &err);

	return r == VS_EACCES && strstr(err.text, "d1/f1") ? 0 : 1;
}

Test(audit_tree, names_what_cannot_be_read)
{
	int dirfd;

	scratch_new(&dirfd);
	make_files(dirfd, 300);
	cr_assert_eq(fchmod(dirfd, 0755), 0);
	cr_assert_eq(fchmodat(dirfd, "d1/f1", 0, 0), 0);
	for (unsigned i = 0; i < 7; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", i);
		cr_assert_eq(fchmodat(dirfd, name, 0755, 0), 0);
	}
	cr_assert_eq(scratch_as_nobody(digest_as_nobody, &dirfd), 0);
}

/* ---- the log of one run ---- */

static int64_t fixed_now(void *ctx)
{
	(void)ctx;
	return INT64_C(1769090589123456789);
}

static const struct vs_clock fixed = { .now_ns = fixed_now };

static void slurp(int dirfd, const char *name, struct buf *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(file_read_at(dirfd, name, FILE_NO_FOLLOW, 1 << 20, out, NULL, &err), 0, "%s",
		     err.text);
}

Test(oplog, has_what_was_added_before_and_after_it_began)
{
	cleanup_(oplog_freep) struct oplog *log = oplog_new("quarantine add", &fixed);
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	static const char name[] = "logs/quarantine-add_20260122_140309.log";
	struct file_info info;
	int dirfd;

	scratch_new(&dirfd);
	oplog_add(log, OPLOG_INFO, "one %d", 1);
	oplog_begin(log, dirfd);
	oplog_add(log, OPLOG_WARNING, "two\nlines, \x1b[1mbold");
	oplog_begin(log, dirfd);
	oplog_add(log, OPLOG_ERROR, "three");
	cr_assert_eq(oplog_end(log, &err), 0, "%s", err.text);
	slurp(dirfd, name, &text);
	cr_assert_str_eq(buf_cstr(&text),
			 "2026-01-22T14:03:09.123Z INFO one 1\n"
			 "2026-01-22T14:03:09.123Z WARNING two\\nlines, \\x1b[1mbold\n"
			 "2026-01-22T14:03:09.123Z ERROR three\n");
	cr_assert_eq(file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &err), 0);
	cr_assert_eq(info.mode, 0600);
}

Test(oplog, that_never_began_leaves_nothing)
{
	cleanup_(oplog_freep) struct oplog *log = oplog_new("undo", &fixed);
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	oplog_add(log, OPLOG_INFO, "nothing was done");
	cr_assert_eq(oplog_end(log, &err), 0);
	cr_assert_neq(faccessat(dirfd, "logs", F_OK, 0), 0);
}

Test(oplog, two_in_one_second_have_two_files)
{
	int dirfd;

	scratch_new(&dirfd);
	for (unsigned i = 0; i < 3; i++) {
		cleanup_(oplog_freep) struct oplog *log = oplog_new("repair", &fixed);
		struct vs_err err = { 0 };

		oplog_begin(log, dirfd);
		cr_assert_eq(oplog_end(log, &err), 0);
	}
	cr_assert_eq(faccessat(dirfd, "logs/repair_20260122_140309.log", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/repair_20260122_140309-2.log", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/repair_20260122_140309-3.log", F_OK, 0), 0);
}

/* A file where the directory should be: said once, at the end, and no reason to stop. */
Test(oplog, tells_that_it_could_not_be_written)
{
	cleanup_(oplog_freep) struct oplog *log = oplog_new("repair", &fixed);
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "logs", "in the way");
	oplog_begin(log, dirfd);
	oplog_add(log, OPLOG_INFO, "more");
	cr_assert_lt(oplog_end(log, &err), 0);
	cr_assert(strstr(err.text, "the log of this run"), "%s", err.text);
}

/* The oldest go, whatever command they are of; what looks otherwise is nobody's to remove. */
Test(oplog, keeps_a_thousand)
{
	cleanup_(oplog_freep) struct oplog *log = oplog_new("repair", &fixed);
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "logs"));
	for (unsigned i = 0; i < 1005; i++) {
		char name[64];

		snprintf(name, sizeof(name), "logs/%s_20250101_%06u.log",
			 i % 2 ? "undo" : "snapshot", i);
		scratch_text(dirfd, name, "");
	}
	scratch_text(dirfd, "logs/rollback_audit.jsonl", "");
	scratch_text(dirfd, "logs/a_1_2.log", "");
	oplog_begin(log, dirfd);
	cr_assert_eq(oplog_end(log, &err), 0, "%s", err.text);
	cr_assert_neq(faccessat(dirfd, "logs/snapshot_20250101_000000.log", F_OK, 0), 0);
	cr_assert_neq(faccessat(dirfd, "logs/undo_20250101_000005.log", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/snapshot_20250101_000006.log", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/repair_20260122_140309.log", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/rollback_audit.jsonl", F_OK, 0), 0);
	cr_assert_eq(faccessat(dirfd, "logs/a_1_2.log", F_OK, 0), 0);
}
