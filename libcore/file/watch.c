/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watching directories with inotify(7). Events are counted and never interpreted: one is enough for
 * a caller to look, and none at all is what makes a look needless.
 */

#include "file/file.h"

#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

/* Not in every <linux/magic.h>. */
#define MAGIC_ZFS 0x2fc12fc1u
#define MAGIC_BCACHEFS 0xca451a4eu

#define EVENTS                                                                                     \
	(IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |             \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct file_watch {
	int fd;
};

int file_watch_open(struct file_watch **out, struct vs_err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return vs_fail(err, VS_ENOTSUP, "directories cannot be watched: %s",
			       strerror(errno));
	*out = vs_alloc(sizeof(**out));
	(*out)->fd = fd;
	return 0;
}

void file_watch_closep(struct file_watch **watch)
{
	if (*watch)
		file_closep(&(*watch)->fd);
	free(*watch);
	*watch = NULL;
}

/* Everybody who writes to it does so through this kernel. */
static bool is_of_this_machine(int fd)
{
	static const uint32_t known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
					  TMPFS_MAGIC,      F2FS_SUPER_MAGIC, RAMFS_MAGIC,
					  MAGIC_ZFS,        MAGIC_BCACHEFS };
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < VS_COUNT(known); i++) {
		if ((uint32_t)fs.f_type == known[i])
			return true;
	}
	return false;
}

int file_watch_add(struct file_watch *watch, int dirfd, struct vs_err *err)
{
	char path[32];

	if (!is_of_this_machine(dirfd))
		return vs_fail(err, VS_ENOTSUP,
			       "the file system may be written to from another machine");
	/* The directory itself, whatever its name stands for by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
	if (inotify_add_watch(watch->fd, path, EVENTS) < 0)
		return vs_fail(err, VS_ENOTSUP, "a directory cannot be watched: %s",
			       strerror(errno));
	return 0;
}

bool file_watch_take(struct file_watch *watch)
{
	_Alignas(struct inotify_event) unsigned char events[4096];
	bool has_any = false;
	ssize_t len;

	do {
		len = read(watch->fd, events, sizeof(events));
		has_any |= len > 0;
	} while (len > 0 || (len < 0 && errno == EINTR));
	return has_any || len == 0 || errno != EAGAIN;
}
