/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stores whose application is at work: a file that is written at this moment is no damage, and
 * damage is found however young it is.
 */

#include "kit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITTEN 4

/* What another process writes again and again. */
struct work {
	char *path[WRITTEN];
	struct buf bytes[WRITTEN];
	bool is_endless; /* never comes to the end of a file */
};

static void pause_us(long us)
{
	const struct timespec t = { .tv_nsec = us * 1000 };

	nanosleep(&t, NULL);
}

/* As Go does it: cut to nothing, then a call for each message. */
static void write_as_go(const char *path, struct slice bytes, size_t until)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t at = 0;

	if (fd < 0)
		_exit(1);
	while (at < until) {
		size_t len = VS_MIN(until - at, bytes.len / 4 + 1);

		if (write(fd, bytes.ptr + at, len) != (ssize_t)len)
			_exit(1);
		at += len;
		pause_us(200);
	}
	close(fd);
}

static pid_t start(const struct work *w)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid != 0)
		return pid;
	for (size_t i = 0;; i++) {
		struct slice bytes = buf_slice(&w->bytes[i % WRITTEN]);

		write_as_go(w->path[i % WRITTEN], bytes,
			    w->is_endless ? bytes.len / 2 + i % 8 : bytes.len);
		pause_us(300);
		if (getppid() != parent)
			_exit(0);
	}
}

static void stop(pid_t pid)
{
	int status;

	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status), "the writer has failed");
}

static void work_init(struct work *w, const struct kit_dir *dir, enum chromem_compression c)
{
	for (unsigned i = 0; i < WRITTEN; i++) {
		cleanup_(vs_freep) char *path =
			i == 0 ? kit_metadata_path(c, "notes") : kit_doc_path(c, "notes", i - 1);

		kit_read(dir, path, &w->bytes[i]);
		w->path[i] = kit_path(dir, path);
	}
}

/* Once: a second look would be at other bytes. */
static struct kit_result *look(const struct kit_dir *dir, enum check_level level)
{
	const struct check_request req = { .level = level, .jobs = 2 };
	struct kit_result *r = kit_check(dir->path, &req);

	cr_assert_eq(r->status, 0, "%s", r->err.text);
	return r;
}

static void work_fini(struct work *w)
{
	for (unsigned i = 0; i < WRITTEN; i++) {
		free(w->path[i]);
		buf_fini(&w->bytes[i]);
	}
}

static void expect_no_damage(const struct kit_result *r)
{
	if (r->summary.errors + r->summary.warnings > 0)
		kit_expect_clean(r);
}

/* Check for @seconds while the writer writes; the number of checks. */
static unsigned check_for(const struct kit_dir *dir, enum check_level level, int64_t seconds)
{
	int64_t end = clock_elapsed_ns() + seconds * 1000000000;
	unsigned checks = 0;

	while (clock_elapsed_ns() < end) {
		cleanup_(kit_result_freep) struct kit_result *r = look(dir, level);

		expect_no_damage(r);
		checks++;
	}
	return checks;
}

static void check_live(enum chromem_compression c, enum check_level level, int64_t seconds)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(c);
	cleanup_(work_fini) struct work w = { 0 };
	pid_t writer;

	work_init(&w, dir, c);
	writer = start(&w);
	cr_assert_gt(check_for(dir, level, seconds), 3);
	stop(writer);
}

Test(live, documents_being_written_are_no_damage)
{
	check_live(CHROMEM_PLAIN, CHECK_FULL, 3);
}

Test(live, nor_are_packed_ones)
{
	check_live(CHROMEM_GZIP, CHECK_FULL, 2);
}

Test(live, nor_are_empty_files_of_the_quick_level)
{
	check_live(CHROMEM_PLAIN, CHECK_QUICK, 2);
}

Test(live, what_is_cut_is_found_however_young)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 1);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_truncate(dir, path, 150);
	r = look(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-truncated", 1);
}

/* Nobody can say what will become of a file that is never finished. */
Test(live, what_never_settles_is_not_judged)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	cleanup_(work_fini) struct work w = { .is_endless = true };
	pid_t writer;

	work_init(&w, dir, CHROMEM_PLAIN);
	writer = start(&w);
	pause_us(50000);
	r = look(dir, CHECK_FULL);
	stop(writer);
	expect_no_damage(r);
	cr_assert_eq(r->summary.verdict, VERDICT_UNVERIFIED);
	cr_assert_gt(r->gaps, 0);
}
