/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every call that changes a disk, each behind the fault seam.
 *
 * Nothing here retries or hides a failure: what the system refuses is the caller's to report. The
 * exceptions are EINTR, and a short write, which is continued.
 */

#include "file/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

const struct file_seam *file_seam;

/* Ask the seam; false means that errno says why the call is to fail. */
static bool allowed(enum file_op op, const char *name)
{
	size_t partial = 0;
	int sysno;

	if (!file_seam)
		return true;
	sysno = file_seam->before(file_seam->ctx, op, name, &partial);
	errno = sysno;
	return sysno == 0;
}

int file_create_at(int dirfd, const char *name, uint32_t mode, int *fd, struct vs_err *err)
{
	int opened = -1;

	if (allowed(FILE_OP_CREATE, name))
		opened = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				mode);
	if (opened < 0 && errno == EEXIST)
		return vs_fail(err, VS_EBUSY, "%s: is there already", name);
	if (opened < 0)
		return vs_fail_errno(err, "cannot create %s", name);
	*fd = opened;
	return 0;
}

int file_append_at(int dirfd, const char *name, uint32_t mode, int *fd, struct vs_err *err)
{
	int opened = -1;

	if (allowed(FILE_OP_CREATE, name))
		opened = openat(dirfd, name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
				mode);
	if (opened < 0)
		return vs_fail_errno(err, "cannot open %s for writing", name);
	*fd = opened;
	return 0;
}

/*
 * So much in one call. What a call brings to an empty part of a file, the kernel gets memory for in one
 * piece where it can, and clears: measured on Linux 6.18 with ext4, 33 MB took 15 ms in calls of 128 or
 * 256 KiB, 43 ms in calls of 512 KiB, and 80 to 130 ms in those of 1 MiB and more.
 */
#define WRITE_MOST ((size_t)256 << 10)

/* Write part of @bytes; the seam may cut it short and fail afterwards, as a full disk does. */
static ssize_t write_some(int fd, struct slice bytes)
{
	size_t partial = 0;
	int sysno = 0;
	ssize_t n;

	if (file_seam)
		sysno = file_seam->before(file_seam->ctx, FILE_OP_WRITE, "", &partial);
	if (sysno != 0) {
		if (partial > 0 && write(fd, bytes.ptr, VS_MIN(partial, bytes.len)) < 0)
			return -1;
		errno = sysno;
		return -1;
	}
	do {
		n = write(fd, bytes.ptr, VS_MIN(bytes.len, WRITE_MOST));
	} while (n < 0 && errno == EINTR);
	return n;
}

int file_write(int fd, struct slice bytes, struct vs_err *err)
{
	while (bytes.len > 0) {
		ssize_t n = write_some(fd, bytes);

		if (n < 0)
			return vs_fail_errno(err, "cannot write");
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

#define COPY_PIECE WRITE_MOST

int file_copy_fd(int from, int to, struct digest *digest, struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest ? digest_ctx_new() : NULL;
	cleanup_(vs_freep) unsigned char *piece = vs_alloc(COPY_PIECE);
	uint64_t at = 0;
	ssize_t got;
	int r = 0;

	while (r == 0) {
		got = pread(from, piece, COPY_PIECE, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vs_fail_errno(err, "cannot read at offset %" PRIu64, at);
		if (got == 0)
			break;
		if (ctx)
			digest_ctx_add(ctx, piece, (size_t)got);
		at += (uint64_t)got;
		r = file_write(to, slice_of(piece, (size_t)got), err);
	}
	if (r == 0 && ctx)
		digest_ctx_final(ctx, digest);
	return r;
}

int file_truncate(int fd, uint64_t size, struct vs_err *err)
{
	if (size > INT64_MAX)
		return vs_fail(err, VS_ELIMIT, "a file of %" PRIu64 " bytes", size);
	if (!allowed(FILE_OP_TRUNCATE, "") || ftruncate(fd, (off_t)size) < 0)
		return vs_fail_errno(err, "cannot set the size");
	return 0;
}

int file_allocate(int fd, uint64_t size, struct vs_err *err)
{
	if (size > INT64_MAX)
		return vs_fail(err, VS_ELIMIT, "a file of %" PRIu64 " bytes", size);
	if (!allowed(FILE_OP_TRUNCATE, "") || fallocate(fd, 0, 0, (off_t)size) < 0) {
		if (errno == EOPNOTSUPP)
			return vs_fail(err, VS_ENOTSUP, "the file system cannot keep room");
		return vs_fail_errno(err, "cannot keep room");
	}
	return 0;
}

int file_sync(int fd, struct vs_err *err)
{
	if (!allowed(FILE_OP_SYNC, "") || fsync(fd) < 0)
		return vs_fail_errno(err, "cannot sync");
	return 0;
}

void file_sync_begin(int fd)
{
	(void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int file_sync_dir(int dirfd, struct vs_err *err)
{
	/* Some file systems cannot sync a directory and say EINVAL; they have nothing to make
	 * durable there. */
	if (!allowed(FILE_OP_SYNC_DIR, "") || (fsync(dirfd) < 0 && errno != EINVAL))
		return vs_fail_errno(err, "cannot sync a directory");
	return 0;
}

int file_sync_fs(int dirfd, struct vs_err *err)
{
	if (!allowed(FILE_OP_SYNC_DIR, "") || syncfs(dirfd) < 0)
		return vs_fail_errno(err, "cannot sync the file system");
	return 0;
}

int file_rename_at(int from_dirfd, const char *from, int to_dirfd, const char *to, bool replace,
		   struct vs_err *err)
{
	int r = -1;

	if (allowed(FILE_OP_RENAME, from)) {
		r = renameat2(from_dirfd, from, to_dirfd, to, replace ? 0 : RENAME_NOREPLACE);
		/* File systems without the flag: look first. The lock keeps our own kind out
		 * meanwhile. */
		if (r < 0 && errno == EINVAL && !replace) {
			if (faccessat(to_dirfd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
				errno = EEXIST;
			else if (errno == ENOENT)
				r = renameat(from_dirfd, from, to_dirfd, to);
		}
	}
	if (r == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return vs_fail(err, VS_EBUSY, "%s: is there already", to);
	if (errno == EXDEV)
		return vs_fail(err, VS_ENOTSUP, "%s and %s are on different file systems", from,
			       to);
	return vs_fail_errno(err, "cannot rename %s to %s", from, to);
}

int file_link_at(int from_dirfd, const char *from, int to_dirfd, const char *to, struct vs_err *err)
{
	if (allowed(FILE_OP_LINK, to) && linkat(from_dirfd, from, to_dirfd, to, 0) == 0)
		return 0;
	if (errno == EEXIST)
		return vs_fail(err, VS_EBUSY, "%s: is there already", to);
	if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP)
		return vs_fail(err, VS_ENOTSUP, "%s: cannot be given a second name here", from);
	return vs_fail_errno(err, "cannot link %s to %s", from, to);
}

int file_exchange_at(int a_dirfd, const char *a, int b_dirfd, const char *b, struct vs_err *err)
{
	if (allowed(FILE_OP_EXCHANGE, a) && renameat2(a_dirfd, a, b_dirfd, b, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return vs_fail(err, VS_ENOTSUP, "the file system cannot exchange %s and %s", a, b);
	return vs_fail_errno(err, "cannot exchange %s and %s", a, b);
}

int file_unlink_at(int dirfd, const char *name, struct vs_err *err)
{
	if (!allowed(FILE_OP_UNLINK, name) || unlinkat(dirfd, name, 0) < 0)
		return vs_fail_errno(err, "cannot remove %s", name);
	return 0;
}

int file_mkdir_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err)
{
	if (allowed(FILE_OP_MKDIR, name) && mkdirat(dirfd, name, mode) == 0)
		return 0;
	if (errno == EEXIST)
		return vs_fail(err, VS_EBUSY, "%s: is there already", name);
	return vs_fail_errno(err, "cannot make directory %s", name);
}

int file_symlink_at(int dirfd, const char *target, const char *name, struct vs_err *err)
{
	if (!allowed(FILE_OP_LINK, name) || symlinkat(target, dirfd, name) < 0)
		return vs_fail_errno(err, "cannot make the link %s", name);
	return 0;
}

int file_mkfifo_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err)
{
	if (!allowed(FILE_OP_CREATE, name) || mkfifoat(dirfd, name, mode) < 0)
		return vs_fail_errno(err, "cannot make the pipe %s", name);
	return 0;
}

int file_rmdir_at(int dirfd, const char *name, struct vs_err *err)
{
	if (!allowed(FILE_OP_RMDIR, name) || unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return vs_fail_errno(err, "cannot remove directory %s", name);
	return 0;
}

int file_chmod_at(int dirfd, const char *name, uint32_t mode, struct vs_err *err)
{
	struct stat st;

	/* There is no chmod that stops at a symbolic link, so look first. */
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return vs_fail_errno(err, "%s", name);
	if (S_ISLNK(st.st_mode))
		return vs_fail(err, VS_ENOTSUP, "%s: is a symbolic link", name);
	if (!allowed(FILE_OP_MODE, name) || fchmodat(dirfd, name, mode, 0) < 0)
		return vs_fail_errno(err, "cannot set the mode of %s", name);
	return 0;
}

/* The time of the last access stays. */
static void to_times(int64_t modified_ns, struct timespec times[2])
{
	int64_t seconds = modified_ns / 1000000000;
	int64_t fraction = modified_ns % 1000000000;

	if (fraction < 0) {
		fraction += 1000000000;
		seconds--;
	}
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)fraction };
}

int file_set_times_at(int dirfd, const char *name, int64_t modified_ns, struct vs_err *err)
{
	struct timespec times[2];

	to_times(modified_ns, times);
	if (!allowed(FILE_OP_TIMES, name) || utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return vs_fail_errno(err, "cannot set the time of %s", name);
	return 0;
}

int file_give_at(int dirfd, const char *name, uint32_t owner, uint32_t group, struct vs_err *err)
{
	const int how = AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
	struct stat st;
	int r = -1;

	if (fstatat(dirfd, name, &st, how) < 0)
		return vs_fail_errno(err, "%s", name);
	if (st.st_uid == owner && st.st_gid == group)
		return 0;
	if (allowed(FILE_OP_OWNER, name)) {
		r = fchownat(dirfd, name, owner, group, how);
		if (r < 0 && (errno == EPERM || errno == EINVAL) && st.st_gid != group)
			r = fchownat(dirfd, name, (uid_t)-1, group, how);
	}
	return r < 0 && errno != EPERM && errno != EINVAL
		       ? vs_fail_errno(err, "cannot set the owner of %s", name)
		       : 0;
}

int file_dress(int fd, const struct file_look *look, struct vs_err *err)
{
	struct timespec times[2];
	int r = 0;

	if (look->has_owner)
		r = file_give_at(fd, "", look->owner, look->group, err);
	if (r < 0)
		return r;
	/* The mode given is meant exactly, whatever the umask takes away on creation. */
	if (!allowed(FILE_OP_MODE, "") || fchmod(fd, look->mode) < 0)
		return vs_fail_errno(err, "cannot set the mode");
	if (!look->has_time)
		return 0;
	to_times(look->modified_ns, times);
	if (!allowed(FILE_OP_TIMES, "") || futimens(fd, times) < 0)
		return vs_fail_errno(err, "cannot set the time");
	return 0;
}

/* Write @bytes, or with a descriptor @from what it holds, and sync @name, which does not exist yet. */
static int create_whole(int dirfd, const char *name, const struct file_look *look,
			struct slice bytes, int from, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_create_at(dirfd, name, look->mode, &fd, err);
	if (r < 0)
		return r;
	r = from >= 0 ? file_copy_fd(from, fd, NULL, err) : file_write(fd, bytes, err);
	if (r == 0)
		r = file_dress(fd, look, err);
	if (r == 0)
		r = file_sync(fd, err);
	return r < 0 ? vs_err_in(err, "%s", name) : 0;
}

/* For whom a file is that nobody said an owner for. */
static struct file_look with_owner(int dirfd, const char *name, const struct file_look *look)
{
	struct file_look out = *look;
	struct vs_err ignored = { 0 };
	struct file_info info;

	if (!out.has_owner && (file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &ignored) == 0 ||
			       file_stat_at(dirfd, ".", FILE_NO_FOLLOW, &info, &ignored) == 0)) {
		out.has_owner = true;
		out.owner = info.owner;
		out.group = info.group;
	}
	return out;
}

static int leftover_name(const char *name, char tmp[NAME_MAX + 1], struct vs_err *err)
{
	if (snprintf(tmp, NAME_MAX + 1, ".%s.vsctl-tmp", name) > NAME_MAX)
		return vs_fail(err, VS_EUSAGE, "%s: name too long to be replaced safely", name);
	return 0;
}

int file_remove_leftover_at(int dirfd, const char *name, struct vs_err *err)
{
	char tmp[NAME_MAX + 1];
	int r;

	r = leftover_name(name, tmp, err);
	if (r < 0)
		return r;
	if (faccessat(dirfd, tmp, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	return file_unlink_at(dirfd, tmp, err);
}

static int replace(int dirfd, const char *name, const struct file_look *asked, struct slice bytes,
		   int from, struct vs_err *err)
{
	const struct file_look look = with_owner(dirfd, name, asked);
	char tmp[NAME_MAX + 1];
	struct vs_err ignored = { 0 };
	int r;

	r = leftover_name(name, tmp, err);
	if (r == 0)
		r = file_remove_leftover_at(dirfd, name, err);
	if (r < 0)
		return r;
	r = create_whole(dirfd, tmp, &look, bytes, from, err);
	if (r == 0)
		r = file_rename_at(dirfd, tmp, dirfd, name, true, err);
	if (r == 0)
		return file_sync_dir(dirfd, err);
	(void)!file_unlink_at(dirfd, tmp, &ignored);
	return r;
}

int file_replace_at(int dirfd, const char *name, uint32_t mode, struct slice bytes,
		    struct vs_err *err)
{
	return replace(dirfd, name, &(struct file_look){ .mode = mode }, bytes, -1, err);
}

int file_replace_from_at(int dirfd, const char *name, uint32_t mode, int from, struct vs_err *err)
{
	return file_put_at(dirfd, name, &(struct file_look){ .mode = mode }, from, err);
}

int file_put_at(int dirfd, const char *name, const struct file_look *look, int from,
		struct vs_err *err)
{
	return replace(dirfd, name, look, (struct slice){ 0 }, from, err);
}
