/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * watch: has anything been written below some directories?
 *
 * The kernel keeps a note for each directory that is watched (inotify(7)) and says whether an entry
 * came, went, was renamed or written to, in place too, however soon after the last look. What it
 * cannot tell: writes from another machine, so that only file systems of this machine are watched;
 * stores through a mapping of a file; and bits that rot. Only included through file/file.h.
 */

struct file_watch;

/*
 * A watch that sees nothing yet. Owned. VS_ENOTSUP where the system has none to give, be it for
 * this process or for all of this user.
 */
must_check_ int file_watch_open(struct file_watch **out, struct vs_err *err);
void file_watch_closep(struct file_watch **watch);

/*
 * Watch the entries of the directory that @dirfd stands for, but not what is in directories below
 * it. The descriptor may be closed afterwards.
 * Returns the number that events of it have, the same for the same directory, or
 * VS_ENOTSUP: its file system may be written to by others, or no further directory can be watched.
 */
must_check_ int file_watch_add(struct file_watch *watch, int dirfd, struct vs_err *err);

/*
 * Has anything happened since the last call? True as well when that cannot be told: there was more
 * than the kernel holds, or a directory is not watched any more.
 */
bool file_watch_take(struct file_watch *watch);

struct file_event {
	int number;       /* of the directory; -1: events were lost, of any of them */
	const char *name; /* of the entry; NULL: it is of the directory itself */
	bool is_listing;  /* an entry came, went or was renamed */
	bool is_gone; /* the directory is not watched any more: its inode may be another's next */
};

/* The same, one by one. */
void file_watch_each(struct file_watch *watch,
		     void (*fn)(void *ctx, const struct file_event *event), void *ctx);
