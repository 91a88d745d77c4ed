/* SPDX-License-Identifier: Apache-2.0 */

/* What was read of files counts exactly as long as they are what they were. */

#include "file/file.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static struct file_info info_of(int dirfd, const char *name)
{
	struct file_info info;
	struct vs_err err = { 0 };

	cr_assert_eq(file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &err), 0, "%s", err.text);
	return info;
}

static bool knows(const struct file_known *known, const struct file_info *info)
{
	struct digest digest;

	return file_known_find(known, info, &digest, NULL);
}

Test(file_known, every_trait_counts)
{
	cleanup_(file_known_freep) struct file_known *known = file_known_new_at(INT64_MAX);
	const struct digest digest = { { 7 } };
	struct digest found = { { 0 } };
	struct file_info info, other;
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "content");
	info = info_of(dirfd, "file");
	cr_assert(file_known_is_empty(known));
	cr_assert_not(knows(known, &info));
	file_known_add(known, &info, &digest);
	cr_assert_not(file_known_is_empty(known));
	cr_assert(file_known_find(known, &info, &found, NULL));
	cr_assert_eq(found.bytes[0], 7);
	other = info, other.size++;
	cr_assert_not(knows(known, &other), "size");
	other = info, other.inode++;
	cr_assert_not(knows(known, &other), "inode");
	other = info, other.device++;
	cr_assert_not(knows(known, &other), "device");
	other = info, other.modified_ns++;
	cr_assert_not(knows(known, &other), "time of modification");
	other = info, other.changed_ns++;
	cr_assert_not(knows(known, &other), "time of change");
	other = info, other.type = FILE_SYMLINK;
	cr_assert_not(knows(known, &other), "type");
}

/* The time of modification can be set back by anybody, the time of change by nobody. */
Test(file_known, another_content_with_the_old_time_is_another_file)
{
	cleanup_(file_known_freep) struct file_known *known = file_known_new_at(INT64_MAX);
	const struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	const struct digest digest = { { 7 } };
	struct file_info info, now;
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "content 0");
	cr_assert_eq(utimensat(dirfd, "file", times, 0), 0);
	info = info_of(dirfd, "file");
	file_known_add(known, &info, &digest);
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 },
		  NULL); /* a few of the kernel's ticks */
	scratch_text(dirfd, "file", "content 1");
	cr_assert_eq(utimensat(dirfd, "file", times, 0), 0);
	now = info_of(dirfd, "file");
	cr_assert_eq(now.size, info.size);
	cr_assert_eq(now.modified_ns, info.modified_ns);
	cr_assert_not(knows(known, &now));
}

Test(file_known, what_changed_a_moment_ago_is_not_kept)
{
	cleanup_(file_known_freep) struct file_known *known = NULL;
	const struct digest digest = { { 7 } };
	struct file_info info;
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "file", "content");
	info = info_of(dirfd, "file");
	known = file_known_new();
	file_known_add(known, &info, &digest);
	cr_assert_not(knows(known, &info));
	info.changed_ns -= INT64_C(3000000000);
	file_known_add(known, &info, &digest);
	cr_assert(knows(known, &info));
}

Test(file_known, a_remark_goes_with_what_was_read)
{
	cleanup_(file_known_freep) struct file_known *known = file_known_new_at(INT64_MAX);
	const struct file_remark remark = { { 1, 2 }, 3 };
	struct file_info info = { .type = FILE_REGULAR, .inode = 5, .size = 9 };
	struct file_info later = info;
	const struct digest digest = { { 7 } };
	struct file_remark found = { 0 };

	later.changed_ns = 1;
	file_known_remark(known, &info, &remark);
	cr_assert_not(file_known_find(known, &info, NULL, &found), "there is nothing to remark on");
	file_known_add(known, &info, &digest);
	file_known_remark(known, &later, &remark);
	cr_assert(file_known_find(known, &info, NULL, &found));
	cr_assert_eq(found.flags, 0, "of another state of the file");
	file_known_remark(known, &info, &remark);
	cr_assert(file_known_find(known, &info, NULL, &found));
	cr_assert_eq(found.flags, 3);
	cr_assert_eq(found.words[1], 2);
	file_known_add(known, &later, &digest);
	cr_assert(file_known_find(known, &later, NULL, &found));
	cr_assert_eq(found.flags, 0, "it went with what it was about");
}

#define MANY 20000u
#define THREADS 4u

struct filler {
	struct file_known *known;
	unsigned first;
};

static struct file_info nth(unsigned i)
{
	/* Inodes of real file systems lie close to each other. */
	return (struct file_info){
		.type = FILE_REGULAR, .inode = 1000 + i, .device = i % 3, .size = i
	};
}

static void *fill(void *arg)
{
	const struct filler *f = arg;

	for (unsigned i = f->first; i < MANY; i += THREADS) {
		struct file_info info = nth(i);
		struct digest digest = { { (unsigned char)i, (unsigned char)(i >> 8) } };

		file_known_add(f->known, &info, &digest);
		file_known_add(f->known, &info, &digest);
	}
	return NULL;
}

Test(file_known, holds_many_from_several_threads, .timeout = 60)
{
	cleanup_(file_known_freep) struct file_known *known = file_known_new_at(INT64_MAX);
	struct filler fillers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		fillers[i] = (struct filler){ known, i };
		cr_assert_eq(pthread_create(&threads[i], NULL, fill, &fillers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < MANY; i++) {
		struct file_info info = nth(i);
		struct digest digest;

		cr_assert(file_known_find(known, &info, &digest, NULL));
		cr_assert_eq(digest.bytes[0], (unsigned char)i);
		cr_assert_eq(digest.bytes[1], (unsigned char)(i >> 8));
	}
}
