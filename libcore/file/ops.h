/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ops: every call of this project that changes a disk
 *
 * ops.c is the only file that may call open(2) for writing, write, rename, link, unlink, mkdir,
 * chmod, fsync and their like; scripts/check-disk-calls.sh enforces it. That makes it the fault
 * seam: a test installs a hook that is asked before each call and may fail it or end the process,
 * and so walks through every point at which a power cut, a full disk or a kill could strike.
 *
 * Everything is relative to a directory descriptor and refuses to follow a symbolic link in the
 * last part. `file/file.h` includes this header; it is part of the room's front door.
 */

enum file_op {
	FILE_OP_CREATE,
	FILE_OP_WRITE,
	FILE_OP_SYNC,
	FILE_OP_SYNC_DIR,
	FILE_OP_RENAME,
	FILE_OP_EXCHANGE,
	FILE_OP_LINK,
	FILE_OP_UNLINK,
	FILE_OP_MKDIR,
	FILE_OP_RMDIR,
	FILE_OP_MODE,
	FILE_OP_OWNER,
	FILE_OP_TIMES,
	FILE_OP_TRUNCATE,
};

/*
 * The seam. Asked before each call with what is about to happen; returns 0 to let it pass, or an
 * errno to fail it with (a failing write may have written part of its bytes: *@partial is how many
 * to write first). NULL, as it is outside tests, costs one comparison.
 */
struct file_seam {
	int (*before)(void *ctx, enum file_op op, const char *name, size_t *partial);
	void *ctx;
};
extern const struct file_seam *file_seam;

/* Create a file that must not exist (VS_EBUSY when it does) for writing. *@fd is the caller's. */
must_check_ int file_create_at(int dirfd, const char *name, uint32_t mode, int *fd,
			       struct vs_err *err);

/* Open for appending, creating it with @mode when it is not there. */
must_check_ int file_append_at(int dirfd, const char *name, uint32_t mode, int *fd,
			       struct vs_err *err);

/* Write all of @bytes, or fail (VS_EIO with sysno ENOSPC, EDQUOT, EIO, ...). */
must_check_ int file_write(int fd, struct slice bytes, struct vs_err *err);
must_check_ int file_truncate(int fd, uint64_t size, struct vs_err *err);

/* Have the first @size bytes of a file allocated, so that they are there for certain. VS_ENOTSUP where
 * the file system cannot; VS_EIO with sysno ENOSPC. */
must_check_ int file_allocate(int fd, uint64_t size, struct vs_err *err);
must_check_ int file_sync(int fd, struct vs_err *err);

/*
 * Write all that the file @from holds, from its beginning, at the end of @to, through a small buffer.
 * @digest gets the SHA-256 of what was written; NULL: nobody asks.
 */
must_check_ int file_copy_fd(int from, int to, struct digest *digest, struct vs_err *err);

/* Let the system begin to write what a later file_sync() will wait for. Only a hint. */
void file_sync_begin(int fd);
must_check_ int file_sync_dir(int dirfd, struct vs_err *err);

/* Make everything durable that was written to the file system of @dirfd: for many new files at
 * once. */
must_check_ int file_sync_fs(int dirfd, struct vs_err *err);

/* Rename; an existing target is replaced only with @replace (else VS_EBUSY). Across file systems:
 * VS_ENOTSUP. */
must_check_ int file_rename_at(int from_dirfd, const char *from, int to_dirfd, const char *to,
			       bool replace, struct vs_err *err);

/*
 * A second name for a regular file; never the target of a link. VS_ENOTSUP: not here (other file system,
 * one without such names, or a file of somebody else's that the system guards). VS_EBUSY: @to is there.
 */
must_check_ int file_link_at(int from_dirfd, const char *from, int to_dirfd, const char *to,
			     struct vs_err *err);

/* Swap two names in one step (renameat2 EXCHANGE); VS_ENOTSUP where the file system cannot. */
must_check_ int file_exchange_at(int a_dirfd, const char *a, int b_dirfd, const char *b,
				 struct vs_err *err);
must_check_ int file_unlink_at(int dirfd, const char *name, struct vs_err *err);
must_check_ int file_mkdir_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err);
must_check_ int file_symlink_at(int dirfd, const char *target, const char *name,
				struct vs_err *err);
must_check_ int file_mkfifo_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err);
must_check_ int file_rmdir_at(int dirfd, const char *name, struct vs_err *err);
must_check_ int file_chmod_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err);
must_check_ int file_set_times_at(int dirfd, const char *name, int64_t modified_ns,
				  struct vs_err *err);

/* What a file has besides its bytes. */
struct file_look {
	uint32_t mode;
	bool has_owner; /* else that of what is replaced, or of the directory */
	uint32_t owner, group;
	bool has_time; /* else that of the writing */
	int64_t modified_ns;
};

/*
 * Give a file or directory to a user and a group; with @name "" the open file @dirfd itself. Only root
 * can give things away, and others choose no more than one of their groups, so what the system does
 * not allow is left as it is, and that is no failure. Changing the owner may change the mode: set that
 * afterwards.
 */
must_check_ int file_give_at(int dirfd, const char *name, uint32_t owner, uint32_t group,
			     struct vs_err *err);

/* Give the open file @fd all of @look. */
must_check_ int file_dress(int fd, const struct file_look *look, struct vs_err *err);

/*
 * Put @bytes under @name whatever was there, for the same user and group, or, where nothing was, for
 * those of the directory: root must not leave files that the store's own user cannot read.
 * Temporary file in the same directory, write, fsync, rename, fsync of the directory. Killed at any
 * instant, the old or the new content is there; a leftover `.NAME.vsctl-tmp` may stay, which the
 * next call for the same name removes.
 */
must_check_ int file_replace_at(int dirfd, const char *name, uint32_t mode, struct slice bytes,
				struct vs_err *err);

/* The same with all that the file @from holds, of whatever size. */
must_check_ int file_replace_from_at(int dirfd, const char *name, uint32_t mode, int from,
				     struct vs_err *err);

/* The same, and all of @look. */
must_check_ int file_put_at(int dirfd, const char *name, const struct file_look *look, int from,
			    struct vs_err *err);

/* Remove what a killed file_replace_at() of @name may have left; nothing there is fine. */
must_check_ int file_remove_leftover_at(int dirfd, const char *name, struct vs_err *err);
