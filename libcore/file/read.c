/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading a whole file. There may be a million small ones, so what counts is the number of system
 * calls for each: open, read, close, and one look at its type unless the caller knows it.
 *
 * Reads name their offset (pread): that fails on a FIFO without taking bytes out of it, so even one
 * that took the place of a file after it was listed is neither drained nor waited for.
 */

#include "file/file.h"

#include <fcntl.h>

/* Room for most documents at the first try. */
#define READ_FIRST ((size_t)64 << 10)

/*
 * Copying out of the page cache is several times slower into memory that begins a few bytes into a
 * page, as large blocks from malloc() do.
 */
#define READ_ALIGN ((size_t)4096)

#define SIZE_NOT_ASKED UINT64_MAX

/* Make the capacity at least @cap, keeping the content. */
static int grow(struct buf *out, size_t cap, struct vs_err *err)
{
	unsigned char *ptr;

	if (cap <= out->cap)
		return 0;
	if (cap > SIZE_MAX - READ_ALIGN)
		return vs_fail(err, VS_ENOMEM, "a buffer of %zu bytes", cap);
	cap = (cap + READ_ALIGN - 1) / READ_ALIGN * READ_ALIGN;
	ptr = aligned_alloc(READ_ALIGN, cap);
	if (!ptr)
		return vs_fail(err, VS_ENOMEM, "no memory for a buffer of %zu bytes", cap);
	if (out->len > 0)
		memcpy(ptr, out->ptr, out->len);
	free(out->ptr);
	out->ptr = ptr;
	out->cap = cap;
	return 0;
}

static int too_large(const char *name, uint64_t limit, struct vs_err *err)
{
	return vs_fail(err, VS_ELIMIT, "%s: more than %" PRIu64 " bytes", name, limit);
}

/*
 * A read that fails because of what the descriptor stands for: 1 with *@type when that is no
 * regular file, else the error in errno.
 */
static int explain_failure(int fd, const char *name, size_t off, enum file_type *type,
			   struct vs_err *err)
{
	bool may_be_other = errno == ESPIPE || errno == EISDIR || errno == EINVAL ||
			    errno == ENXIO || errno == EAGAIN;
	struct file_info info;
	struct vs_err ignored;

	vs_fail_errno(err, "%s: cannot be read at offset %zu", name, off);
	if (may_be_other && file_stat_fd(fd, &info, &ignored) == 0 && info.type != FILE_REGULAR) {
		*type = info.type;
		return 1;
	}
	return err->status;
}

/* The buffer is full: make room for the rest of the file, as large as it says it is. */
static int make_room(int fd, const char *name, uint64_t limit, struct buf *out, struct vs_err *err)
{
	struct file_info info;
	uint64_t want = READ_FIRST;
	int r;

	if (out->cap > 0) {
		r = file_stat_fd(fd, &info, err);
		if (r < 0)
			return vs_err_in(err, "%s", name);
		if (info.size > limit)
			return too_large(name, limit, err);
		/* One byte more, so that the next read finds the end; more still if it grows. */
		want = VS_MAX(info.size + 1, (uint64_t)out->len + READ_FIRST);
	}
	r = grow(out, (size_t)VS_MIN(want, (uint64_t)SIZE_MAX), err);
	return r < 0 ? vs_err_in(err, "%s", name) : 0;
}

/*
 * A read that came back short has met the end of the file if it stopped inside a page. On the
 * border of a page it may as well have met one that the disk does not give back, so ask again; and
 * also where the file has another size than it says, as those of /proc do, which come in pieces.
 */
static bool is_end(size_t got, size_t room, size_t len, uint64_t expected)
{
	return got == 0 || (got < room && len % READ_ALIGN != 0 &&
			    (expected == SIZE_NOT_ASKED || expected == len));
}

static int read_all(int fd, const char *name, uint64_t limit, uint64_t expected, struct buf *out,
		    enum file_type *type, struct vs_err *err)
{
	size_t room;
	ssize_t got;
	int r;

	if (expected != SIZE_NOT_ASKED && expected > limit)
		return too_large(name, limit, err);
	for (;;) {
		if (out->len == out->cap) {
			r = make_room(fd, name, limit, out, err);
			if (r < 0)
				return r;
		}
		room = out->cap - out->len;
		do {
			got = pread(fd, out->ptr + out->len, room, (off_t)out->len);
		} while (got < 0 && errno == EINTR);
		if (got < 0)
			return explain_failure(fd, name, out->len, type, err);
		out->len += (size_t)got;
		if (out->len > limit)
			return too_large(name, limit, err);
		if (is_end((size_t)got, room, out->len, expected))
			return 0;
	}
}

/* Opening failed: 1 with *@type where that is because of what stands there. */
static int explain_open(int dirfd, const char *name, enum file_flags flags, enum file_type *type,
			struct vs_err *err)
{
	bool may_be_other =
		errno == ENXIO || errno == ENODEV || (errno == ELOOP && (flags & FILE_NO_FOLLOW));
	struct file_info info;
	struct vs_err ignored;

	vs_fail_errno(err, "%s", name);
	if (!may_be_other)
		return err->status;
	if (file_stat_at(dirfd, name, flags, &info, &ignored) < 0 || info.type == FILE_REGULAR)
		return err->status;
	*type = info.type;
	return 1;
}

/* Open what stands there if it is a regular file; 1 with *@type when it is something else. */
static int open_regular(int dirfd, const char *name, enum file_flags flags, int *fd, uint64_t *size,
			enum file_type *type, struct vs_err *err)
{
	int how = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct file_info info;
	int r;

	*type = FILE_REGULAR;
	*size = SIZE_NOT_ASKED;
	if (flags & FILE_NO_FOLLOW)
		how |= O_NOFOLLOW;
	if (!(flags & FILE_SEEN_REGULAR)) {
		/* Before opening: that alone would wake the writer of a FIFO, or wind a tape. */
		r = file_stat_at(dirfd, name, flags, &info, err);
		if (r < 0)
			return r;
		*type = info.type;
		*size = info.size;
		if (info.type != FILE_REGULAR)
			return 1;
	}
	if (flags & FILE_NO_ATIME)
		how |= O_NOATIME;
	do {
		*fd = openat(dirfd, name, how);
		if (*fd < 0 && errno == EPERM && (how & O_NOATIME)) {
			how &= ~O_NOATIME;
			errno = EINTR;
		}
	} while (*fd < 0 && errno == EINTR);
	return *fd < 0 ? explain_open(dirfd, name, flags, type, err) : 0;
}

#define DIGEST_PIECE ((size_t)64 << 10)

int file_digest_fd(int fd, struct digest *out, uint64_t *size, struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	cleanup_(vs_freep) unsigned char *piece = vs_alloc(DIGEST_PIECE);
	uint64_t at = 0;
	ssize_t got;

	for (;;) {
		got = pread(fd, piece, DIGEST_PIECE, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vs_fail_errno(err, "cannot be read at offset %" PRIu64, at);
		if (got == 0)
			break;
		digest_ctx_add(ctx, piece, (size_t)got);
		at += (uint64_t)got;
	}
	digest_ctx_final(ctx, out);
	if (size)
		*size = at;
	return 0;
}

int file_digest_at(int dirfd, const char *name, enum file_flags flags, struct digest *out,
		   uint64_t *size, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	enum file_type type;
	uint64_t said;
	int r;

	r = open_regular(dirfd, name, flags, &fd, &said, &type, err);
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: is not a regular file", name);
	if (r < 0)
		return r;
	r = file_digest_fd(fd, out, size, err);
	return r < 0 ? vs_err_in(err, "%s", name) : 0;
}

int file_read_at(int dirfd, const char *name, enum file_flags flags, uint64_t limit,
		 struct buf *out, enum file_type *type, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	enum file_type unused;
	uint64_t size;
	int r;

	if (!type)
		type = &unused;
	buf_clear(out);
	r = open_regular(dirfd, name, flags, &fd, &size, type, err);
	return r != 0 ? r : read_all(fd, name, limit, size, out, type, err);
}

int file_read_info_at(int dirfd, const char *name, enum file_flags flags, uint64_t limit,
		      struct buf *out, struct file_info *info, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	uint64_t size;
	int r;

	buf_clear(out);
	r = open_regular(dirfd, name, flags, &fd, &size, &info->type, err);
	if (r != 0)
		return r;
	r = file_stat_fd(fd, info, err);
	if (r < 0)
		return vs_err_in(err, "%s", name);
	if (info->type != FILE_REGULAR)
		return 1;
	return read_all(fd, name, limit, info->size, out, &info->type, err);
}

/*
 * No more than the file has is made room for: @max may be the largest that a format allows. What
 * files of /proc say of their size is not so, but those are short.
 */
static int room_for_head(int fd, const char *name, size_t *max, struct vs_err *err)
{
	struct file_info info;

	if (*max <= READ_FIRST)
		return 0;
	if (file_stat_fd(fd, &info, err) < 0)
		return vs_err_in(err, "%s", name);
	*max = (size_t)VS_MIN((uint64_t)*max, VS_MAX(info.size, (uint64_t)READ_FIRST));
	return 0;
}

int file_read_head_at(int dirfd, const char *name, enum file_flags flags, size_t max,
		      struct buf *out, enum file_type *type, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	enum file_type unused;
	uint64_t size;
	ssize_t got;
	int r;

	if (!type)
		type = &unused;
	buf_clear(out);
	r = open_regular(dirfd, name, flags, &fd, &size, type, err);
	if (r == 0)
		r = room_for_head(fd, name, &max, err);
	if (r == 0)
		r = grow(out, max, err);
	if (r != 0)
		return r;
	do {
		got = pread(fd, out->ptr + out->len, max - out->len, (off_t)out->len);
		if (got > 0)
			out->len += (size_t)got;
	} while ((got > 0 && out->len < max) || (got < 0 && errno == EINTR));
	return got < 0 ? explain_failure(fd, name, out->len, type, err) : 0;
}
