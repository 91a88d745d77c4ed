/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading whole files. A document is small and there are many, so the common case is three calls:
 * open, one read that comes back short (which is the end of the file), close. What a name stands
 * for is asked only when reading it did not tell: O_NONBLOCK keeps the open of a FIFO or a device
 * from blocking, and their reads fail or are refused.
 */

#include "file/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define READ_FIRST ((size_t)64 << 10)

static enum file_type type_of_mode(mode_t mode)
{
	if (S_ISREG(mode))
		return FILE_REGULAR;
	if (S_ISDIR(mode))
		return FILE_DIRECTORY;
	if (S_ISLNK(mode))
		return FILE_SYMLINK;
	return S_ISFIFO(mode) ? FILE_FIFO : FILE_OTHER;
}

static int64_t ns_of(const struct statx_timestamp *ts)
{
	return ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec;
}

static int stat_with(int dirfd, const char *name, int flags, struct file_info *out,
		     struct vs_err *err)
{
	struct statx sx;

	if (statx(dirfd, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &sx) < 0)
		return vs_fail_errno(err, "%s", name[0] != '\0' ? name : "open file");
	*out = (struct file_info){
		.type = type_of_mode(sx.stx_mode),
		.size = sx.stx_size,
		.device = (uint64_t)sx.stx_dev_major << 32 | sx.stx_dev_minor,
		.inode = sx.stx_ino,
		.mode = sx.stx_mode & 07777u,
		.owner = sx.stx_uid,
		.modified_ns = ns_of(&sx.stx_mtime),
		.changed_ns = ns_of(&sx.stx_ctime),
		.born_ns = sx.stx_mask & STATX_BTIME ? ns_of(&sx.stx_btime) : 0,
	};
	return 0;
}

int file_stat_at(int dirfd, const char *name, enum file_flags flags, struct file_info *out,
		 struct vs_err *err)
{
	return stat_with(dirfd, name, flags & FILE_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0, out, err);
}

int file_stat_fd(int fd, struct file_info *out, struct vs_err *err)
{
	return stat_with(fd, "", AT_EMPTY_PATH, out, err);
}

void file_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int file_open_dir(int dirfd, const char *path, enum file_flags flags, int *out, struct vs_err *err)
{
	int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (flags & FILE_NO_FOLLOW ? O_NOFOLLOW : 0);
	int fd = openat(dirfd, path, how);

	if (fd < 0)
		return vs_fail_errno(err, "%s", path);
	*out = fd;
	return 0;
}

/* Is the descriptor something that may be read? 1 and *@type when it is not. */
static int refuse_special(int fd, const char *name, enum file_type *type, uint64_t *size,
			  struct vs_err *err)
{
	struct file_info info;
	int r;

	r = file_stat_fd(fd, &info, err);
	if (r < 0)
		return vs_err_in(err, "%s", name);
	if (type)
		*type = info.type;
	*size = info.size;
	return info.type != FILE_REGULAR;
}

static ssize_t read_once(int fd, void *ptr, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, ptr, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/*
 * Read until the end. A read that fills less than was asked for is the end of a regular file; of
 * what else it might be, the caller has made sure, or the stat below does.
 */
static int read_rest(int fd, const char *name, uint64_t limit, struct buf *out,
		     enum file_type *type, struct vs_err *err)
{
	bool is_known_regular = false;
	uint64_t size = 0;
	int r;

	buf_clear(out);
	r = buf_try_reserve(out, READ_FIRST, err);
	while (r == 0) {
		size_t room = out->cap - out->len;
		ssize_t n = read_once(fd, out->ptr + out->len, room);

		if (n < 0 &&
		    (errno == EAGAIN || errno == EISDIR || errno == EINVAL || errno == ENXIO)) {
			r = refuse_special(fd, name, type, &size, err);
			return r != 0 ? r : vs_fail(err, VS_EIO, "%s: cannot be read", name);
		}
		if (n < 0)
			return vs_fail_errno(err, "%s", name);
		/* The end of a FIFO without a writer looks like that of an empty file, so ask. */
		if (!is_known_regular && ((size_t)n == room || out->len + (size_t)n == 0)) {
			r = refuse_special(fd, name, type, &size, err);
			if (r != 0)
				return r;
			is_known_regular = true;
		}
		out->len += (size_t)n;
		if (out->len > limit || size > limit)
			return vs_fail(err, VS_ELIMIT, "%s: more than %" PRIu64 " bytes", name,
				       limit);
		if ((size_t)n < room)
			return 0;
		/* One byte more than the size, so that the next read comes back short. */
		r = buf_try_reserve(
			out, size > out->len ? (size_t)(size - out->len) + 1 : READ_FIRST, err);
	}
	return r < 0 ? vs_err_in(err, "%s", name) : r;
}

int file_read_at(int dirfd, const char *name, enum file_flags flags, uint64_t limit,
		 struct buf *out, enum file_type *type, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct file_info info;
	int r;

	if (type)
		*type = FILE_REGULAR;
	fd = openat(dirfd, name,
		    O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
			    (flags & FILE_NO_FOLLOW ? O_NOFOLLOW : 0));
	if (fd >= 0)
		return read_rest(fd, name, limit, out, type, err);
	/* A socket cannot be opened at all, nor can a link that is not to be followed. */
	if (errno == ENXIO || errno == ELOOP || errno == ENODEV) {
		vs_fail_errno(err, "%s", name);
		r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, err);
		if (r < 0)
			return r;
		if (type)
			*type = info.type;
		return 1;
	}
	return vs_fail_errno(err, "%s", name);
}
