/* SPDX-License-Identifier: Apache-2.0 */

/* Reading files and directories: whole, bounded, and never the wrong kind of thing. */

#include "file/file.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LIMIT ((uint64_t)1 << 20)

/* Bytes that differ from place to place, so that a misplaced block shows. */
static unsigned char *pattern(size_t len)
{
	unsigned char *bytes = vs_alloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	return bytes;
}

static void expect_content(int dirfd, size_t len, enum file_flags flags, struct buf *out)
{
	cleanup_(vs_freep) unsigned char *bytes = pattern(len);
	enum file_type type = FILE_UNKNOWN;
	struct vs_err err = { 0 };

	scratch_write(dirfd, "file", bytes, len);
	cr_assert_eq(file_read_at(dirfd, "file", flags, LIMIT, out, &type, &err), 0, "%s",
		     err.text);
	cr_assert_eq(type, FILE_REGULAR);
	cr_assert_eq(out->len, len);
	cr_assert(len == 0 || memcmp(out->ptr, bytes, len) == 0);
}

Test(file_read, gives_every_byte_at_every_size)
{
	const size_t sizes[] = { 0,     1,     4095,   4096,   4097,   65535, 65536,
				 65537, 69632, 131072, 131073, 500000, LIMIT };
	cleanup_(buf_fini) struct buf reused = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(sizes); i++) {
		cleanup_(buf_fini) struct buf fresh = { 0 };

		expect_content(dirfd, sizes[i], FILE_FOLLOW, &fresh);
		expect_content(dirfd, sizes[i], FILE_FOLLOW, &reused);
		expect_content(dirfd, sizes[VS_COUNT(sizes) - 1 - i], FILE_SEEN_REGULAR, &reused);
	}
}

Test(file_read, keeps_its_memory_and_forgets_its_content)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	const unsigned char *before;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	expect_content(dirfd, 300000, FILE_FOLLOW, &out);
	before = out.ptr;
	scratch_text(dirfd, "small", "seven b");
	cr_assert_eq(file_read_at(dirfd, "small", FILE_FOLLOW, LIMIT, &out, NULL, &err), 0);
	cr_assert(slice_eq_str(buf_slice(&out), "seven b"));
	cr_assert_eq(out.ptr, before);
	cr_assert_eq((uintptr_t)out.ptr % 4096, 0, "copies into it would be slow");
}

Test(file_read, stops_at_the_limit)
{
	const enum file_flags flags[] = { FILE_FOLLOW, FILE_SEEN_REGULAR };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "0123456789");
	for (size_t i = 0; i < VS_COUNT(flags); i++) {
		cleanup_(buf_fini) struct buf out = { 0 };

		cr_assert_eq(file_read_at(dirfd, "file", flags[i], 10, &out, NULL, &err), 0);
		cr_assert_eq(file_read_at(dirfd, "file", flags[i], 9, &out, NULL, &err), VS_ELIMIT);
		cr_assert(strstr(err.text, "file: more than 9 bytes"), "%s", err.text);
	}
}

Test(file_read, a_huge_file_costs_no_memory)
{
	const enum file_flags flags[] = { FILE_FOLLOW, FILE_SEEN_REGULAR };
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd, fd;

	scratch_new(&dirfd);
	fd = openat(dirfd, "sparse", O_WRONLY | O_CREAT, 0644);
	cr_assert_eq(ftruncate(fd, (off_t)1 << 40), 0);
	close(fd);
	for (size_t i = 0; i < VS_COUNT(flags); i++) {
		cr_assert_eq(file_read_at(dirfd, "sparse", flags[i], LIMIT, &out, NULL, &err),
			     VS_ELIMIT);
		cr_assert_leq(out.cap, LIMIT);
	}
}

Test(file_read, only_the_head_of_a_large_file)
{
	cleanup_(vs_freep) unsigned char *bytes = pattern(200000);
	cleanup_(buf_fini) struct buf out = { 0 };
	enum file_type type;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_write(dirfd, "large", bytes, 200000);
	scratch_write(dirfd, "small", bytes, 10);
	scratch_fifo(dirfd, "fifo");
	cr_assert_eq(file_read_head_at(dirfd, "large", FILE_FOLLOW, 5000, &out, &type, &err), 0);
	cr_assert(slice_eq(buf_slice(&out), slice_of(bytes, 5000)));
	cr_assert_eq(file_read_head_at(dirfd, "small", FILE_FOLLOW, 5000, &out, &type, &err), 0);
	cr_assert(slice_eq(buf_slice(&out), slice_of(bytes, 10)));
	cr_assert_eq(
		file_read_head_at(dirfd, "large", FILE_FOLLOW, (size_t)1 << 46, &out, &type, &err),
		0);
	cr_assert(slice_eq(buf_slice(&out), slice_of(bytes, 200000)));
	cr_assert_leq(out.cap, 204800);
	cr_assert_eq(file_read_head_at(dirfd, "fifo", FILE_FOLLOW, 5000, &out, &type, &err), 1);
	cr_assert_eq(type, FILE_FIFO);
	cr_assert_eq(file_read_head_at(dirfd, "gone", FILE_FOLLOW, 5000, &out, &type, &err),
		     VS_ENOENT);
}

Test(file_read, with_what_is_known_of_the_file)
{
	const enum file_flags flags[] = { FILE_FOLLOW, FILE_SEEN_REGULAR };
	cleanup_(buf_fini) struct buf out = { 0 };
	struct file_info info;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "12345");
	close(scratch_mkdir(dirfd, "directory"));
	cr_assert_eq(fchmodat(dirfd, "file", 0604, 0), 0);
	for (size_t i = 0; i < VS_COUNT(flags); i++) {
		info = (struct file_info){ 0 };
		cr_assert_eq(file_read_info_at(dirfd, "file", flags[i], 5, &out, &info, &err), 0);
		cr_assert(slice_eq_str(buf_slice(&out), "12345"));
		cr_assert_eq(info.mode, 0604);
		cr_assert_eq(info.size, 5);
		cr_assert_eq(file_read_info_at(dirfd, "file", flags[i], 4, &out, &info, &err),
			     VS_ELIMIT);
		cr_assert_eq(file_read_info_at(dirfd, "directory", flags[i], 9, &out, &info, &err),
			     1);
		cr_assert_eq(info.type, FILE_DIRECTORY);
		cr_assert_eq(file_read_info_at(dirfd, "gone", flags[i], 9, &out, &info, &err),
			     VS_ENOENT);
	}
}

/* The kernel says 0 bytes for these, and gives them in pieces of less than a page. */
Test(file_read, a_file_larger_than_it_says_is_read_to_its_end)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	struct vs_err err = { 0 };
	void *mapped[200];
	size_t lines = 0;

	if (file_open_dir(AT_FDCWD, "/proc/self", FILE_FOLLOW, &dirfd, &err) < 0)
		cr_skip_test("no /proc here");
	/* Pages of different protection do not merge into one line. */
	for (size_t i = 0; i < VS_COUNT(mapped); i++)
		mapped[i] = mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_eq(file_read_at(dirfd, "maps", FILE_FOLLOW, LIMIT, &out, NULL, &err), 0);
	for (size_t i = 0; i < out.len; i++)
		lines += out.ptr[i] == '\n';
	cr_assert_gt(lines, VS_COUNT(mapped));
	for (size_t i = 0; i < VS_COUNT(mapped); i++)
		munmap(mapped[i], 4096);
}

static enum file_type refused_as(int dirfd, const char *name, enum file_flags flags)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	enum file_type type = FILE_UNKNOWN;
	struct vs_err err = { 0 };

	/* A read that blocks is ended by this. */
	alarm(10);
	cr_assert_eq(file_read_at(dirfd, name, flags, LIMIT, &out, &type, &err), 1, "%s", err.text);
	cr_assert_eq(out.len, 0);
	alarm(0);
	return type;
}

Test(file_read, other_kinds_are_told_apart)
{
	const enum file_flags flags[] = { FILE_FOLLOW, FILE_SEEN_REGULAR };
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "directory"));
	scratch_fifo(dirfd, "fifo");
	scratch_socket(dirfd, "socket");
	cr_assert_eq(symlinkat("fifo", dirfd, "link"), 0);
	for (size_t i = 0; i < VS_COUNT(flags); i++) {
		cr_assert_eq(refused_as(dirfd, "directory", flags[i]), FILE_DIRECTORY);
		cr_assert_eq(refused_as(dirfd, "fifo", flags[i]), FILE_FIFO);
		cr_assert_eq(refused_as(dirfd, "socket", flags[i]), FILE_OTHER);
		cr_assert_eq(refused_as(dirfd, "link", flags[i]), FILE_FIFO);
		cr_assert_eq(refused_as(dirfd, "link", flags[i] | FILE_NO_FOLLOW), FILE_SYMLINK);
	}
	cr_assert_eq(refused_as(AT_FDCWD, "/dev/zero", FILE_FOLLOW), FILE_OTHER);
}

Test(file_read, a_fifo_keeps_its_bytes)
{
	char got[16];
	int dirfd, fd;

	scratch_new(&dirfd);
	scratch_fifo(dirfd, "fifo");
	fd = openat(dirfd, "fifo", O_RDWR | O_NONBLOCK);
	cr_assert_eq(write(fd, "precious", 8), 8);
	cr_assert_eq(refused_as(dirfd, "fifo", FILE_SEEN_REGULAR), FILE_FIFO);
	cr_assert_eq(read(fd, got, sizeof(got)), 8);
}

Test(file_read, links)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "target", "here");
	cr_assert_eq(symlinkat("target", dirfd, "link"), 0);
	cr_assert_eq(symlinkat("nowhere", dirfd, "dangling"), 0);
	cr_assert_eq(symlinkat("loop", dirfd, "loop"), 0);
	cr_assert_eq(file_read_at(dirfd, "link", FILE_FOLLOW, LIMIT, &out, NULL, &err), 0);
	cr_assert(slice_eq_str(buf_slice(&out), "here"));
	cr_assert_eq(file_read_at(dirfd, "dangling", FILE_FOLLOW, LIMIT, &out, NULL, &err),
		     VS_ENOENT);
	cr_assert_eq(file_read_at(dirfd, "loop", FILE_FOLLOW, LIMIT, &out, NULL, &err), VS_EIO);
	cr_assert_eq(err.sysno, ELOOP);
	cr_assert_eq(file_read_at(dirfd, "loop", FILE_SEEN_REGULAR, LIMIT, &out, NULL, &err),
		     VS_EIO);
	cr_assert_eq(err.sysno, ELOOP);
}

Test(file_read, what_is_not_there)
{
	const enum file_flags flags[] = { FILE_FOLLOW, FILE_SEEN_REGULAR };
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(flags); i++) {
		cr_assert_eq(file_read_at(dirfd, "gone", flags[i], LIMIT, &out, NULL, &err),
			     VS_ENOENT);
		cr_assert_str_eq(err.text, "gone: No such file or directory");
	}
}

static int read_forbidden(void *ctx)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd = *(int *)ctx;

	return file_read_at(dirfd, "forbidden", FILE_FOLLOW, LIMIT, &out, NULL, &err) ==
				       VS_EACCES &&
			       err.sysno == EACCES
		       ? 0
		       : 1;
}

Test(file_read, what_may_not_be_read)
{
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "forbidden", "x");
	cr_assert_eq(fchmodat(dirfd, "forbidden", 0, 0), 0);
	cr_assert_eq(scratch_as_nobody(read_forbidden, &dirfd), 0);
}

Test(file_read, leaves_no_descriptor_open)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd, before, after;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "0123456789");
	close(scratch_mkdir(dirfd, "directory"));
	before = dup(dirfd);
	close(before);
	cr_assert_eq(file_read_at(dirfd, "file", FILE_FOLLOW, 10, &out, NULL, &err), 0);
	cr_assert_eq(file_read_at(dirfd, "file", FILE_SEEN_REGULAR, 9, &out, NULL, &err),
		     VS_ELIMIT);
	cr_assert_eq(file_read_at(dirfd, "directory", FILE_SEEN_REGULAR, 9, &out, NULL, &err), 1);
	after = dup(dirfd);
	close(after);
	cr_assert_eq(after, before);
}

/* ---- directories ---- */

struct seen {
	unsigned count;
	unsigned of_type[FILE_UNKNOWN + 1];
	unsigned stop_at; /* 0: never */
	bool saw_dots;
	bool *numbers; /* names that are numbers */
	size_t numbers_len;
};

static int note(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct seen *seen = ctx;
	uint64_t number;

	(void)err;
	seen->saw_dots |= strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	seen->of_type[type]++;
	if (parse_u64(name, UINT32_MAX, &number) && number < seen->numbers_len)
		seen->numbers[number] = true;
	return ++seen->count == seen->stop_at ? 77 : 0;
}

Test(file_list, names_and_types)
{
	struct seen seen = { 0 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "directory"));
	scratch_text(dirfd, "file", "x");
	scratch_text(dirfd, "...", "x");
	scratch_text(dirfd, "..x", "x");
	scratch_fifo(dirfd, "fifo");
	scratch_socket(dirfd, "socket");
	cr_assert_eq(symlinkat("file", dirfd, "link"), 0);
	cr_assert_eq(file_list(dirfd, note, &seen, &err), 0, "%s", err.text);
	cr_assert_eq(seen.count, 7);
	cr_assert_not(seen.saw_dots);
	if (seen.of_type[FILE_UNKNOWN] > 0)
		cr_skip_test("this file system does not record types");
	cr_assert_eq(seen.of_type[FILE_REGULAR], 3);
	cr_assert_eq(seen.of_type[FILE_DIRECTORY], 1);
	cr_assert_eq(seen.of_type[FILE_FIFO], 1);
	cr_assert_eq(seen.of_type[FILE_OTHER], 1);
	cr_assert_eq(seen.of_type[FILE_SYMLINK], 1);
}

Test(file_list, many_entries_more_than_once)
{
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	for (unsigned i = 0; i < 5000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		scratch_text(dirfd, name, "");
	}
	for (unsigned round = 0; round < 2; round++) {
		bool numbers[5000] = { false };
		struct seen seen = { .numbers = numbers, .numbers_len = 5000 };

		cr_assert_eq(file_list(dirfd, note, &seen, &err), 0);
		cr_assert_eq(seen.count, 5000);
		for (unsigned i = 0; i < 5000; i++)
			cr_assert(numbers[i], "entry %u is missing", i);
	}
}

Test(file_list, stops_where_it_is_told)
{
	struct seen seen = { .stop_at = 2 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	for (unsigned i = 0; i < 5; i++) {
		char name[] = { (char)('a' + i), '\0' };

		scratch_text(dirfd, name, "");
	}
	cr_assert_eq(file_list(dirfd, note, &seen, &err), 77);
	cr_assert_eq(seen.count, 2);
}

static int list_unsearchable(void *ctx)
{
	cleanup_(file_closep) int fd = -1;
	struct seen seen = { 0 };
	struct vs_err err = { 0 };
	int dirfd = *(int *)ctx;

	if (file_open_dir(dirfd, "unsearchable", FILE_NO_FOLLOW, &fd, &err) < 0)
		return 1;
	if (file_list(fd, note, &seen, &err) != 0 || seen.count != 1)
		return 2;
	return file_open_dir(dirfd, "unreadable", FILE_NO_FOLLOW, &fd, &err) == VS_EACCES ? 0 : 3;
}

/* Mode 444: names can be read, nothing behind them. The library lists such a directory too. */
Test(file_list, a_directory_that_may_not_be_searched)
{
	int dirfd, fd;

	scratch_new(&dirfd);
	fd = scratch_mkdir(dirfd, "unsearchable");
	scratch_text(fd, "file", "x");
	cr_assert_eq(fchmod(fd, 0444), 0);
	close(fd);
	fd = scratch_mkdir(dirfd, "unreadable");
	cr_assert_eq(fchmod(fd, 0111), 0);
	close(fd);
	cr_assert_eq(scratch_as_nobody(list_unsearchable, &dirfd), 0);
}

Test(file_list, a_directory_that_was_removed_is_empty)
{
	struct seen seen = { 0 };
	struct vs_err err = { 0 };
	int dirfd, fd;

	scratch_new(&dirfd);
	fd = scratch_mkdir(dirfd, "gone");
	cr_assert_eq(unlinkat(dirfd, "gone", AT_REMOVEDIR), 0);
	cr_assert_eq(file_list(fd, note, &seen, &err), 0, "%s", err.text);
	cr_assert_eq(seen.count, 0);
	close(fd);
}

Test(file_open_dir, only_directories_and_links_only_where_allowed)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "directory"));
	scratch_text(dirfd, "file", "x");
	cr_assert_eq(symlinkat("directory", dirfd, "link"), 0);
	cr_assert_eq(file_open_dir(dirfd, "file", FILE_FOLLOW, &fd, &err), VS_ENOENT);
	cr_assert_eq(err.sysno, ENOTDIR);
	cr_assert_eq(file_open_dir(dirfd, "link", FILE_NO_FOLLOW, &fd, &err), VS_ENOENT);
	cr_assert_eq(file_open_dir(dirfd, "gone", FILE_FOLLOW, &fd, &err), VS_ENOENT);
	cr_assert_eq(err.sysno, ENOENT);
	cr_assert_eq(fd, -1);
	cr_assert_eq(file_open_dir(dirfd, "link", FILE_FOLLOW, &fd, &err), 0);
	cr_assert_geq(fd, 0);
}

Test(file_stat, what_there_is_to_know)
{
	struct file_info info, same;
	struct vs_err err = { 0 };
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 1700000000, 123456789 } };
	struct stat st;
	int dirfd, fd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "twelve bytes");
	cr_assert_eq(fchmodat(dirfd, "file", 0640, 0), 0);
	cr_assert_eq(utimensat(dirfd, "file", times, 0), 0);
	cr_assert_eq(symlinkat("file", dirfd, "link"), 0);
	fd = openat(dirfd, "file", O_RDONLY);
	cr_assert_eq(fstat(fd, &st), 0);

	cr_assert_eq(file_stat_at(dirfd, "link", FILE_FOLLOW, &info, &err), 0);
	cr_assert_eq(info.type, FILE_REGULAR);
	cr_assert_eq(info.size, 12);
	cr_assert_eq(info.mode, 0640);
	cr_assert_eq(info.owner, st.st_uid);
	cr_assert_eq(info.inode, st.st_ino);
	cr_assert_eq(info.modified_ns, INT64_C(1700000000123456789));
	cr_assert_eq(info.changed_ns, st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec);
	cr_assert_eq(file_stat_fd(fd, &same, &err), 0);
	cr_assert_eq(same.inode, info.inode);
	cr_assert_eq(same.device, info.device);
	cr_assert_eq(same.born_ns, info.born_ns);
	close(fd);

	cr_assert_eq(file_stat_at(dirfd, "link", FILE_NO_FOLLOW, &info, &err), 0);
	cr_assert_eq(info.type, FILE_SYMLINK);
	cr_assert_eq(file_stat_at(dirfd, "gone", FILE_FOLLOW, &info, &err), VS_ENOENT);
	cr_assert_eq(file_stat_fd(-1, &info, &err), VS_EIO);
}

/* ---- file_watch ---- */

static struct file_watch *watch_of(int dirfd)
{
	struct file_watch *watch = NULL;
	struct vs_err err = { 0 };

	/* Neither is given everywhere, and callers do without. */
	if (file_watch_open(&watch, &err) < 0 || file_watch_add(watch, dirfd, &err) < 0) {
		cr_assert_eq(err.status, VS_ENOTSUP, "%s", err.text);
		file_watch_closep(&watch);
		return NULL;
	}
	return watch;
}

Test(file_watch, tells_of_each_kind_of_change_once)
{
	cleanup_(file_watch_closep) struct file_watch *watch = NULL;
	int dirfd, fd;

	scratch_new(&dirfd);
	scratch_write(dirfd, "file", "abcd", 4);
	watch = watch_of(dirfd);
	if (!watch)
		return;
	cr_assert_not(file_watch_take(watch));
	fd = openat(dirfd, "file", O_WRONLY);
	cr_assert_eq(pwrite(fd, "x", 1, 0), 1);
	cr_assert(file_watch_take(watch));
	cr_assert_not(file_watch_take(watch));
	cr_assert_eq(ftruncate(fd, 2), 0);
	cr_assert(file_watch_take(watch));
	cr_assert_eq(fchmod(fd, 0600), 0);
	cr_assert(file_watch_take(watch));
	close(fd);
	cr_assert_eq(renameat(dirfd, "file", dirfd, "other"), 0);
	cr_assert(file_watch_take(watch));
	cr_assert_eq(unlinkat(dirfd, "other", 0), 0);
	cr_assert(file_watch_take(watch));
	cr_assert_eq(mkdirat(dirfd, "below", 0700), 0);
	cr_assert(file_watch_take(watch));
	cr_assert_not(file_watch_take(watch));
}

Test(file_watch, reading_is_no_change)
{
	cleanup_(file_watch_closep) struct file_watch *watch = NULL;
	cleanup_(buf_fini) struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_write(dirfd, "file", "abcd", 4);
	watch = watch_of(dirfd);
	if (!watch)
		return;
	cr_assert_eq(file_read_at(dirfd, "file", FILE_FOLLOW, LIMIT, &out, NULL, &err), 0);
	cr_assert_not(file_watch_take(watch));
}

Test(file_watch, more_than_the_kernel_holds_and_what_is_gone)
{
	cleanup_(file_watch_closep) struct file_watch *watch = NULL;
	int dirfd, fds[2];

	scratch_new(&dirfd);
	watch = watch_of(dirfd);
	if (!watch)
		return;
	/* In turn, as the kernel tells of the same thing twice in a row only once. */
	scratch_write(dirfd, "a", "x", 1);
	scratch_write(dirfd, "b", "x", 1);
	for (int i = 0; i < 2; i++)
		fds[i] = openat(dirfd, i == 0 ? "a" : "b", O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 20000; i++)
		cr_assert_eq(pwrite(fds[i % 2], "x", 1, 0), 1);
	close(fds[0]);
	close(fds[1]);
	cr_assert(file_watch_take(watch));
	cr_assert_not(file_watch_take(watch));
	unlinkat(dirfd, "a", 0);
	cr_assert(file_watch_take(watch));
}

Test(file_watch, not_what_other_machines_may_write)
{
	cleanup_(file_watch_closep) struct file_watch *watch = NULL;
	cleanup_(file_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct vs_err err = { 0 };

	if (proc < 0 || file_watch_open(&watch, &err) < 0)
		return;
	cr_assert_eq(file_watch_add(watch, proc, &err), VS_ENOTSUP);
}

/* ---- file_seen ---- */

struct told {
	char names[200];
	unsigned count;
};

static int tell_name(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct told *told = ctx;
	size_t len = strlen(told->names);

	(void)type;
	(void)err;
	snprintf(told->names + len, sizeof(told->names) - len, "%s ", name);
	told->count++;
	return 0;
}

static bool is_same_info(const struct file_info *a, const struct file_info *b)
{
	return a->type == b->type && a->size == b->size && a->device == b->device &&
	       a->inode == b->inode && a->mode == b->mode && a->owner == b->owner &&
	       a->group == b->group && a->links == b->links && a->modified_ns == b->modified_ns &&
	       a->changed_ns == b->changed_ns && a->born_ns == b->born_ns;
}

static uint64_t seen_size(struct file_seen *seen, int dirfd, const char *name)
{
	struct file_seen_dir *dir = file_seen_dir(seen, dirfd);
	struct file_info info = { 0 }, now = { 0 };
	struct vs_err err = { 0 };
	int r = file_seen_stat(dir, dirfd, name, &info, &err);

	cr_assert_eq(r, file_stat_at(dirfd, name, FILE_NO_FOLLOW, &now, &err), "%s", name);
	cr_assert(is_same_info(&info, &now), "%s is not seen as it is", name);
	return info.size;
}

static void seen_list_is(struct file_seen *seen, int dirfd, unsigned count, const char *has)
{
	struct told told = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(file_seen_list(file_seen_dir(seen, dirfd), dirfd, tell_name, &told, &err), 0);
	cr_assert_eq(told.count, count, "%s", told.names);
	cr_assert_not_null(strstr(told.names, has), "%s", told.names);
}

/* Nothing is asked twice: what is remembered stands although the descriptor is of another directory. */
Test(file_seen, is_remembered)
{
	cleanup_(file_seen_freep) struct file_seen *seen = file_seen_new();
	cleanup_(file_closep) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct file_seen_dir *dir;
	struct told told = { 0 };
	struct file_info info;
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_write(dirfd, "file", "abcd", 4);
	dir = file_seen_dir(seen, dirfd);
	if (!dir)
		return;
	cr_assert_eq(file_seen_stat(dir, dirfd, "file", &info, &err), 0);
	cr_assert_eq(file_seen_list(dir, dirfd, tell_name, &told, &err), 0);
	cr_assert_eq(file_seen_stat(dir, proc, "file", &info, &err), 0, "%s", err.text);
	cr_assert_eq(info.size, 4);
	cr_assert_eq(file_seen_list(dir, proc, tell_name, &told, &err), 0);
	cr_assert_str_eq(told.names, "file file ");
	cr_assert_eq(file_seen_dir(seen, dirfd), dir);
	cr_assert_null(file_seen_dir(seen, proc), "another machine may write there");
	cr_assert_null(file_seen_dir(NULL, dirfd));
}

Test(file_seen, each_change_shows)
{
	cleanup_(file_seen_freep) struct file_seen *seen = file_seen_new();
	int dirfd, below, fd;

	scratch_new(&dirfd);
	scratch_write(dirfd, "file", "abcd", 4);
	cr_assert_eq(mkdirat(dirfd, "below", 0700), 0);
	cr_assert_eq(seen_size(seen, dirfd, "file"), 4);
	seen_list_is(seen, dirfd, 2, "file");
	fd = openat(dirfd, "file", O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "x", 1, 10), 1);
	cr_assert_eq(seen_size(seen, dirfd, "file"), 11);
	cr_assert_eq(fchmod(fd, 0640), 0);
	seen_size(seen, dirfd, "file");
	cr_assert_eq(pwrite(fd, "y", 1, 10), 1);
	seen_size(seen, dirfd, "file");
	close(fd);
	/* By another name, which nobody watches. */
	scratch_write(dirfd, "below/two", "abcd", 4);
	cr_assert_eq(linkat(dirfd, "below/two", dirfd, "two", 0), 0);
	cr_assert_eq(seen_size(seen, dirfd, "two"), 4);
	fd = openat(dirfd, "below/two", O_WRONLY | O_TRUNC | O_CLOEXEC);
	cr_assert_eq(seen_size(seen, dirfd, "two"), 0);
	close(fd);
	cr_assert_eq(unlinkat(dirfd, "two", 0), 0);
	seen_size(seen, dirfd, "below");
	scratch_write(dirfd, "below/more", "x", 1);
	seen_size(seen, dirfd, "below");
	cr_assert_eq(renameat(dirfd, "file", dirfd, "moved"), 0);
	seen_size(seen, dirfd, "file");
	seen_list_is(seen, dirfd, 2, "moved");
	cr_assert_eq(unlinkat(dirfd, "moved", 0), 0);
	seen_list_is(seen, dirfd, 1, "below");
	below = openat(dirfd, "below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	seen_list_is(seen, below, 2, "more");
	close(below);
}

/* One that is made where another was may have its number, and is not it. */
Test(file_seen, a_directory_in_the_place_of_another)
{
	cleanup_(file_seen_freep) struct file_seen *seen = file_seen_new();
	int dirfd;

	scratch_new(&dirfd);
	for (unsigned i = 1; i < 5; i++) {
		char name[16];
		int below;

		cr_assert_eq(mkdirat(dirfd, "below", 0700), 0);
		snprintf(name, sizeof(name), "below/%u", i);
		scratch_write(dirfd, name, "xxxx", i);
		scratch_write(dirfd, "below/file", "xxxx", i);
		below = openat(dirfd, "below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		seen_list_is(seen, below, 2, name + 6);
		cr_assert_eq(seen_size(seen, below, "file"), i);
		close(below);
		cr_assert_eq(unlinkat(dirfd, name, 0), 0);
		cr_assert_eq(unlinkat(dirfd, "below/file", 0), 0);
		cr_assert_eq(unlinkat(dirfd, "below", AT_REMOVEDIR), 0);
	}
}

/* More events than the kernel keeps: all is looked at again. */
Test(file_seen, after_more_than_the_kernel_holds)
{
	cleanup_(file_seen_freep) struct file_seen *seen = file_seen_new();
	int dirfd, fds[2];

	scratch_new(&dirfd);
	scratch_write(dirfd, "a", "x", 1);
	scratch_write(dirfd, "b", "x", 1);
	scratch_write(dirfd, "c", "x", 1);
	seen_size(seen, dirfd, "c");
	for (int i = 0; i < 2; i++)
		fds[i] = openat(dirfd, i == 0 ? "a" : "b", O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 40000; i++)
		cr_assert_eq(pwrite(fds[i % 2], "x", 1, 0), 1);
	scratch_write(dirfd, "c", "longer", 6);
	cr_assert_eq(seen_size(seen, dirfd, "c"), 6);
	close(fds[0]);
	close(fds[1]);
}
