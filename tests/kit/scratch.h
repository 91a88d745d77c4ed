/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * scratch: directories that tests fill and that go away with them
 *
 * Everything here asserts instead of failing: a test cannot go on without its files.
 */

#include "util/util.h"

/*
 * A new empty directory, removed with all that is in it when the test's process ends. @out gets a
 * descriptor of it; the path is valid as long as the process.
 */
const char *scratch_new(int *out);

/* Create directories and files; a file that exists is replaced. @name is relative to @dirfd. */
int scratch_mkdir(int dirfd, const char *name); /* returns a descriptor that the caller closes */
void scratch_write(int dirfd, const char *name, const void *bytes, size_t len);
void scratch_text(int dirfd, const char *name, const char *text);
void scratch_fifo(int dirfd, const char *name);
void scratch_socket(int dirfd, const char *name);

/*
 * Run @fn in a child process as a user without privileges and return what it returned, 0..100.
 * Root is stopped by no mode, so tests of permissions need this; another user runs it as himself.
 */
int scratch_as_nobody(int (*fn)(void *ctx), void *ctx);
