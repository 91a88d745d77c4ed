/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Copies for the self-test are made to look old. A young file that cannot be decoded may be one
 * that is being written, and a check waits until it is; nobody writes here, so that would be in
 * vain, for each damaged file and each check.
 */

#include "file/file.h"
#include "selftest/selftest-private.h"

#define AN_HOUR_NS INT64_C(3600000000000)

/* Stores have their files two levels down; what is deeper is not decoded. */
#define DEPTH_MAX 4u

struct aging {
	int dirfd;
	unsigned depth;
	int64_t modified_ns;
};

static int age_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct aging *above = ctx;
	struct aging a = *above;
	cleanup_(file_closep) int fd = -1;
	int r;

	if (type == FILE_REGULAR)
		return file_set_times_at(a.dirfd, name, a.modified_ns, err);
	if (type != FILE_DIRECTORY || a.depth == DEPTH_MAX)
		return 0;
	r = file_open_dir(a.dirfd, name, FILE_NO_FOLLOW, &fd, err);
	/* One that may not be listed is one of the damages. */
	if (r < 0)
		return err->sysno == EACCES ? 0 : r;
	a.dirfd = fd;
	a.depth++;
	return file_list(fd, age_entry, &a, err);
}

int sample_age(int dirfd, const char *name, struct vs_err *err)
{
	struct aging a = { .dirfd = dirfd,
			   .modified_ns = clock_now_ns(&vs_clock_system) - AN_HOUR_NS };

	return age_entry(&a, name, FILE_DIRECTORY, err);
}
