/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listing directories. Entries are taken in blocks straight from the kernel: a directory of a
 * million files is read with some hundred calls, and no stream object is allocated.
 */

#include "file/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define LIST_BLOCK ((size_t)128 << 10)

static enum file_type type_of_entry(unsigned char d_type)
{
	switch (d_type) {
	case DT_REG:
		return FILE_REGULAR;
	case DT_DIR:
		return FILE_DIRECTORY;
	case DT_LNK:
		return FILE_SYMLINK;
	case DT_FIFO:
		return FILE_FIFO;
	case DT_UNKNOWN:
		return FILE_UNKNOWN;
	default:
		return FILE_OTHER;
	}
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Hand on the entries of one block. The kernel's records are aligned for struct dirent64. */
static int hand_on(void *block, size_t len,
		   int (*fn)(void *ctx, const char *name, enum file_type type, struct vs_err *err),
		   void *ctx, struct vs_err *err)
{
	size_t off = 0;

	while (off < len) {
		const struct dirent64 *entry = (const void *)((const unsigned char *)block + off);
		int r;

		off += entry->d_reclen;
		if (is_dot(entry->d_name))
			continue;
		r = fn(ctx, entry->d_name, type_of_entry(entry->d_type), err);
		if (r != 0)
			return r;
	}
	return 0;
}

int file_list(int dirfd,
	      int (*fn)(void *ctx, const char *name, enum file_type type, struct vs_err *err),
	      void *ctx, struct vs_err *err)
{
	cleanup_(vs_freep) void *block = vs_alloc(LIST_BLOCK);
	cleanup_(file_closep) int fd = -1;
	int r = 0;

	/* A descriptor of our own: the position of the caller's is not ours to move. */
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "cannot list a directory");
	while (r == 0) {
		ssize_t len = getdents64(fd, block, LIST_BLOCK);

		if (len < 0)
			return vs_fail_errno(err, "cannot list a directory");
		if (len == 0)
			break;
		r = hand_on(block, (size_t)len, fn, ctx, err);
	}
	return r;
}
