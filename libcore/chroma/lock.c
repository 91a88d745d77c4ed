/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keeping writers out of a database, and telling that one is at work, by the locks that SQLite itself
 * takes: https://www.sqlite.org/lockingv3.html.
 */

#include "chroma/chroma.h"

#include <fcntl.h>

/* SQLite's lock bytes, at 1 GiB: pending, reserved, and 510 that are shared. Whoever holds one of
 * them for writing is in the middle of a transaction. */
#define LOCK_BYTES_AT 0x40000000
#define LOCK_BYTES 512

static struct flock all_bytes(void)
{
	return (struct flock){ .l_type = F_RDLCK,
			       .l_whence = SEEK_SET,
			       .l_start = LOCK_BYTES_AT,
			       .l_len = LOCK_BYTES };
}

static int open_database(int dirfd)
{
	return openat(dirfd, CHROMA_DATABASE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

int chroma_look_for_writer(int dirfd, struct vs_err *err)
{
	cleanup_(file_closep) int fd = open_database(dirfd);
	struct flock lock = all_bytes();

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	if (lock.l_pid > 0)
		return vs_fail(
			err, VS_EBUSY,
			"%s: process %ld is in the middle of a transaction; try again when it "
			"has ended",
			CHROMA_DATABASE, (long)lock.l_pid);
	return vs_fail(err, VS_EBUSY, "%s: a transaction is running; try again when it has ended",
		       CHROMA_DATABASE);
}

int chroma_lock_take(int dirfd, int *out, struct vs_err *err)
{
	cleanup_(file_closep) int fd = open_database(dirfd);
	struct flock lock = all_bytes();

	if (fd < 0)
		return vs_fail_errno(err, "%s", CHROMA_DATABASE);
	/* Of the descriptor, not of the process: others that are opened and closed do not end it. */
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		int sysno = errno;
		int r = chroma_look_for_writer(dirfd, err);

		if (r < 0)
			return r;
		errno = sysno;
		return vs_fail_errno(err, "%s cannot be locked", CHROMA_DATABASE);
	}
	*out = fd;
	fd = -1;
	return 0;
}
