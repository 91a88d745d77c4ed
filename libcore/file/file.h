/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * file: reading directories and files, safely
 *
 * Names come from a directory that is not trusted: everything is opened relative to a directory
 * descriptor, nothing blocks (a FIFO or a device is told apart, never read), and nothing is read
 * past a limit. The only code that changes the disk is behind ops.h of this room; what is here never
 * does.
 */

#include "util/util.h"

enum file_type {
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_SYMLINK,
	FILE_FIFO,
	FILE_OTHER,   /* socket or device */
	FILE_UNKNOWN, /* the file system does not say; ask file_stat_at() */
};

struct file_info {
	enum file_type type;
	uint64_t size;
	uint64_t device;
	uint64_t inode;
	uint32_t mode;         /* permission bits */
	uint32_t owner, group; /* by number */
	uint32_t links;        /* names that it has */
	int64_t modified_ns;
	int64_t changed_ns;
	int64_t born_ns; /* 0 where the file system does not record it */
};

enum file_flags {
	FILE_FOLLOW = 0,
	FILE_NO_FOLLOW = 1,
	/*
	 * A listing said a moment ago that it is a regular file: do not ask again before opening.
	 * Saves file_read_at() a system call; should something else stand there by now, it is
	 * still told apart, and a FIFO still not read.
	 */
	FILE_SEEN_REGULAR = 2,
	/*
	 * Leave the access time alone. Only its owner and root may ask for that: of a file of
	 * somebody else it is left alone as far as the system does so by itself, and asking costs a
	 * system call, so see file_is_own() first.
	 */
	FILE_NO_ATIME = 4,
};

/*
 * Open a directory for reading. @path is relative to @dirfd (AT_FDCWD for the working directory).
 * With FILE_NO_FOLLOW the last part may not be a symbolic link. *@out is a descriptor that the
 * caller closes. Something that is not a directory gives VS_ENOENT with sysno ENOTDIR.
 */
must_check_ int file_open_dir(int dirfd, const char *path, enum file_flags flags, int *out,
			      struct vs_err *err);

/* Close the descriptor and set it to -1; takes -1. For cleanup_() on `int fd = -1`. */
void file_closep(int *fd);

/*
 * Call @fn for each entry of the directory but "." and "..", in whatever order the system gives;
 * @name is borrowed until @fn returns. Stops when @fn returns non-zero and returns that value.
 * Reads from the start whatever was read of @dirfd before, and moves its position: one listing of a
 * descriptor at a time.
 */
must_check_ int file_list(int dirfd,
			  int (*fn)(void *ctx, const char *name, enum file_type type,
				    struct vs_err *err),
			  void *ctx, struct vs_err *err);

must_check_ int file_stat_at(int dirfd, const char *name, enum file_flags flags,
			     struct file_info *out, struct vs_err *err);
must_check_ int file_stat_fd(int fd, struct file_info *out, struct vs_err *err);

/* Does it belong to the user that this process runs as? */
bool file_is_own(const struct file_info *info);

/*
 * Read a whole regular file into @out, replacing its content; its memory is kept, and is where a
 * buffer that is used for file after file saves time. The fewest system calls that do it: with
 * FILE_SEEN_REGULAR open, read and close. Bytes that are appended while it is read may be in or
 * not.
 *
 * Returns 0; 1 when it is not a regular file (*@type says what; nothing was read, nothing blocked);
 * VS_ENOENT, VS_EACCES, VS_EIO; VS_ELIMIT when it has more than @limit bytes. @type may be NULL.
 * @out holds nothing of use unless 0 was returned.
 */
must_check_ int file_read_at(int dirfd, const char *name, enum file_flags flags, uint64_t limit,
			     struct buf *out, enum file_type *type, struct vs_err *err);

/*
 * The same, and what is known of the file that was read, for one system call more. When 1 is
 * returned, @info->type says what stands there.
 */
must_check_ int file_read_info_at(int dirfd, const char *name, enum file_flags flags,
				  uint64_t limit, struct buf *out, struct file_info *info,
				  struct vs_err *err);

/*
 * The same for at most the first @max bytes of a file of any size. Takes no more memory than the
 * file has, however large @max is.
 */
must_check_ int file_read_head_at(int dirfd, const char *name, enum file_flags flags, size_t max,
				  struct buf *out, enum file_type *type, struct vs_err *err);

/*
 * Read a small file of the project's own: a JSON object with "schema" 1 and "kind" @kind. Returns
 * 0 with *@out owned; 1 when there is no such file; VS_EFORMAT when it is something else.
 */
must_check_ int file_read_record_at(int dirfd, const char *name, const char *kind, struct jr **out,
				    struct vs_err *err);

/*
 * SHA-256 of a regular file of any size, read once through a small buffer.
 * VS_EFORMAT: it is none. @size may be NULL.
 */
must_check_ int file_digest_at(int dirfd, const char *name, enum file_flags flags,
			       struct digest *out, uint64_t *size, struct vs_err *err);

/* The same for what a descriptor stands for, from its beginning, wherever it is read at present. */
must_check_ int file_digest_fd(int fd, struct digest *out, uint64_t *size, struct vs_err *err);

#include "file/known.h"
#include "file/lock.h"

#include "file/ops.h"

#include "file/seen.h"
#include "file/watch.h"
