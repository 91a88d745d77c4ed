/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lock: one writer at a time
 *
 * An open-file lock (fcntl OFD) on `lock` in the state directory. It dies with its process, so it
 * never has to be broken by hand. The file's content says who holds it: process, command, user,
 * since when; it is information only. Part of the room's front door.
 */

struct file_lock {
	int fd; /* -1 when not held */
};

enum file_lock_kind {
	FILE_LOCK_SHARED,    /* snapshots beside each other */
	FILE_LOCK_EXCLUSIVE, /* anything that changes the store or the state */
};

/*
 * Take the lock, waiting up to @wait_s seconds. Fails with VS_EBUSY and a text that names the
 * holder ("held by process 4711 (vsctl repair) of root since 2026-01-22T14:03:09Z") when somebody
 * else keeps it.
 */
must_check_ int file_lock_take(struct file_lock *lock, int state_dirfd, enum file_lock_kind kind,
			       uint64_t wait_s, const char *command, struct vs_err *err);
void file_lock_release(struct file_lock *lock); /* for cleanup_(); takes one that is not held */
