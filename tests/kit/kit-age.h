/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files that look old. A check looks at a young file that it cannot decode once more after 100 ms,
 * in case that it is being written; tests that damage hundreds of files need not wait for each.
 */

#include "kit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Let the file have been written an hour ago. */
static inline void kit_age(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - 3600 } };

	cr_assert_eq(utimensat(AT_FDCWD, full, times, 0), 0);
}
