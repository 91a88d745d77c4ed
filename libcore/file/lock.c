/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The lock. Open-file locks belong to the descriptor, so they survive other descriptors of the same
 * process being closed, and they end with the process however it ends.
 */

#include "file/file.h"

#include <fcntl.h>
#include <pwd.h>

static const char lock_name[] = "lock";

/* What the holder wrote about itself, cut to one line of harmless text. */
static void holder_text(int fd, char *out, size_t size)
{
	char raw[160];
	ssize_t len = pread(fd, raw, sizeof(raw) - 1, 0);
	cleanup_(buf_fini) struct buf safe = { 0 };

	snprintf(out, size, "another process");
	if (len <= 0)
		return;
	raw[len] = '\0';
	raw[strcspn(raw, "\n")] = '\0';
	text_escape(&safe, slice_str(raw));
	snprintf(out, size, "%s", buf_cstr(&safe));
}

static void write_holder(int fd, const char *command)
{
	const struct passwd *user = getpwuid(geteuid());
	char when[32];
	struct vs_err ignored = { 0 };
	char text[256];
	int len;

	time_format(clock_now_ns(&vs_clock_system), false, when);
	len = snprintf(text, sizeof(text), "process %ld (vsctl %s) of %s since %s\n",
		       (long)getpid(), command, user ? user->pw_name : "?", when);
	/* Information only: a full disk must not keep a repair from starting. */
	if (file_truncate(fd, 0, &ignored) == 0)
		(void)!file_write(fd,
				  slice_of(text, VS_MIN((size_t)VS_MAX(len, 0), sizeof(text) - 1)),
				  &ignored);
}

static int try_lock(int fd, enum file_lock_kind kind)
{
	struct flock want = {
		.l_type = kind == FILE_LOCK_SHARED ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	return fcntl(fd, F_OFD_SETLK, &want);
}

int file_lock_take(struct file_lock *lock, int state_dirfd, enum file_lock_kind kind,
		   uint64_t wait_s, const char *command, struct vs_err *err)
{
	int64_t give_up =
		clock_elapsed_ns() + (int64_t)VS_MIN(wait_s, UINT64_C(86400)) * 1000000000;
	cleanup_(file_closep) int fd = -1;
	char holder[200];
	int r;

	r = file_append_at(state_dirfd, lock_name, 0600, &fd, err);
	if (r < 0)
		return r;
	while (try_lock(fd, kind) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return vs_fail_errno(err, "cannot lock");
		if (clock_elapsed_ns() >= give_up) {
			holder_text(fd, holder, sizeof(holder));
			return vs_fail(err, VS_EBUSY, "held by %s", holder);
		}
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	if (kind == FILE_LOCK_EXCLUSIVE)
		write_holder(fd, command);
	lock->fd = fd;
	fd = -1;
	return 0;
}

void file_lock_release(struct file_lock *lock)
{
	file_closep(&lock->fd);
}
