/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watching directories with inotify(7). An event is a reason to look, never an answer, and none at all
 * is what makes a look needless.
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
	int number;

	if (!is_of_this_machine(dirfd))
		return vs_fail(err, VS_ENOTSUP,
			       "the file system may be written to from another machine");
	/* The directory itself, whatever its name stands for by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
	number = inotify_add_watch(watch->fd, path, EVENTS);
	if (number < 0)
		return vs_fail(err, VS_ENOTSUP, "a directory cannot be watched: %s",
			       strerror(errno));
	return number;
}

static struct file_event event_of(const struct inotify_event *e)
{
	return (struct file_event){
		.number = e->mask & IN_Q_OVERFLOW ? -1 : e->wd,
		.name = e->len > 0 ? e->name : NULL,
		.is_listing =
			(e->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0,
		.is_gone = (e->mask & (IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0,
	};
}

void file_watch_each(struct file_watch *watch,
		     void (*fn)(void *ctx, const struct file_event *event), void *ctx)
{
	_Alignas(struct inotify_event) unsigned char events[4096];
	ssize_t len;

	do {
		len = read(watch->fd, events, sizeof(events));
		for (size_t at = 0; len > 0 && at < (size_t)len;) {
			const struct inotify_event *e = (const void *)(events + at);
			const struct file_event event = event_of(e);

			fn(ctx, &event);
			at += sizeof(*e) + e->len;
		}
	} while (len > 0 || (len < 0 && errno == EINTR));
	/* Without a word of the kernel nothing is known. */
	if (len == 0 || errno != EAGAIN)
		fn(ctx, &(struct file_event){ .number = -1, .is_gone = true });
}

static void note_event(void *ctx, const struct file_event *event)
{
	(void)event;
	*(bool *)ctx = true;
}

bool file_watch_take(struct file_watch *watch)
{
	bool has_any = false;

	file_watch_each(watch, note_event, &has_any);
	return has_any;
}
