/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * seen: directories looked at once for all who look in one run
 *
 * A change of a store is looked at again and again: before it is planned, before and after it is made,
 * for digests, for proofs. Here the entries of a directory and what file_stat_at() said of them are
 * kept for as long as the kernel says that nothing has touched them (see watch.h, and there what the
 * kernel cannot tell): what has an event is looked at anew, by itself. Events are taken in whenever a
 * directory is asked for, so an answer is as of then, which is what looking at that time would have
 * given.
 *
 * Kept is nothing of a file with more than one name, which could be written to under another one, and
 * nothing of directories that cannot be watched: then each look is one. A second name that a file is
 * given elsewhere while it is remembered does not show.
 *
 * Any thread may call any of these. About 200 bytes are kept of each entry, of a million at most.
 *
 * Part of the room's front door.
 */

struct file_seen;     /* owned, freed with file_seen_freep() */
struct file_seen_dir; /* borrowed from it */

struct file_seen *file_seen_new(void);
void file_seen_freep(struct file_seen **seen);

/*
 * The directory that @dirfd stands for, as of now. NULL where @seen is NULL or it cannot be watched,
 * which the functions below take: they then ask the kernel.
 */
struct file_seen_dir *file_seen_dir(struct file_seen *seen, int dirfd);

/* file_stat_at() with FILE_NO_FOLLOW. @dirfd is a descriptor of the same directory. */
must_check_ int file_seen_stat(struct file_seen_dir *dir, int dirfd, const char *name,
			       struct file_info *out, struct vs_err *err);

/* file_list(). @fn may call file_seen_stat(). */
must_check_ int file_seen_list(struct file_seen_dir *dir, int dirfd,
			       int (*fn)(void *ctx, const char *name, enum file_type type,
					 struct vs_err *err),
			       void *ctx, struct vs_err *err);
