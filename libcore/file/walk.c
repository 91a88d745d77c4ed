/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Directories and what stands in them. Entries come in blocks straight from the kernel, with their
 * types where the file system records them, so that listing a million files takes some hundred
 * calls and no look at each.
 */

#include "file/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* The first block is small, because some callers only want to see a few entries. */
#define LIST_FIRST ((size_t)8 << 10)
#define LIST_BLOCK ((size_t)32 << 10)

void file_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int file_open_dir(int dirfd, const char *path, enum file_flags flags, int *out, struct vs_err *err)
{
	int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd;

	if (flags & FILE_NO_FOLLOW)
		how |= O_NOFOLLOW;
	do {
		fd = openat(dirfd, path, how);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return vs_fail_errno(err, "%s", path);
	*out = fd;
	return 0;
}

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

/* Fill the block with records, as many as fit: their length in bytes, 0 at the end. */
static ssize_t next_block(int dirfd, void *block, size_t cap, struct vs_err *err)
{
	ssize_t len;

	do {
		len = getdents64(dirfd, block, cap);
	} while (len < 0 && errno == EINTR);
	/* A directory that was removed while it was open has no entries any more. */
	if (len < 0 && errno == ENOENT)
		return 0;
	return len < 0 ? vs_fail_errno(err, "cannot list the directory") : len;
}

int file_list(int dirfd,
	      int (*fn)(void *ctx, const char *name, enum file_type type, struct vs_err *err),
	      void *ctx, struct vs_err *err)
{
	_Alignas(struct dirent64) unsigned char block[LIST_BLOCK];
	size_t cap = LIST_FIRST;
	ssize_t len;
	int r;

	/* Not a second descriptor through ".": a directory may be readable and not searchable. */
	if (lseek(dirfd, 0, SEEK_SET) < 0)
		return vs_fail_errno(err, "cannot list the directory");
	for (; (len = next_block(dirfd, block, cap, err)) > 0; cap = LIST_BLOCK) {
		/* The kernel keeps the records aligned, as it does their lengths. */
		for (size_t off = 0; off < (size_t)len;) {
			const struct dirent64 *entry = (const void *)(block + off);

			off += entry->d_reclen;
			if (is_dot(entry->d_name))
				continue;
			r = fn(ctx, entry->d_name, type_of_entry(entry->d_type), err);
			if (r != 0)
				return r;
		}
	}
	return (int)len;
}

static enum file_type type_of_mode(uint16_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return FILE_REGULAR;
	case S_IFDIR:
		return FILE_DIRECTORY;
	case S_IFLNK:
		return FILE_SYMLINK;
	case S_IFIFO:
		return FILE_FIFO;
	default:
		return FILE_OTHER;
	}
}

static int64_t nanoseconds(const struct statx_timestamp *t)
{
	int64_t ns;

	/* What lies outside of 1677..2262 has no place in 64 bits. */
	if (__builtin_mul_overflow(t->tv_sec, INT64_C(1000000000), &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static int look(int dirfd, const char *name, int how, struct file_info *out, struct vs_err *err)
{
	struct statx st;

	if (statx(dirfd, name, how | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return vs_fail_errno(err, "%s", name[0] ? name : "cannot look at an open file");
	*out = (struct file_info){
		.type = type_of_mode(st.stx_mode),
		.size = st.stx_size,
		.device = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor,
		.inode = st.stx_ino,
		.mode = st.stx_mode & 07777u,
		.owner = st.stx_uid,
		.group = st.stx_gid,
		.links = st.stx_nlink,
		.modified_ns = nanoseconds(&st.stx_mtime),
		.changed_ns = nanoseconds(&st.stx_ctime),
		.born_ns = st.stx_mask & STATX_BTIME ? nanoseconds(&st.stx_btime) : 0,
	};
	return 0;
}

int file_stat_at(int dirfd, const char *name, enum file_flags flags, struct file_info *out,
		 struct vs_err *err)
{
	return look(dirfd, name, flags & FILE_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0, out, err);
}

bool file_is_own(const struct file_info *info)
{
	return info->owner == geteuid();
}

int file_stat_fd(int fd, struct file_info *out, struct vs_err *err)
{
	return look(fd, "", AT_EMPTY_PATH, out, err);
}
