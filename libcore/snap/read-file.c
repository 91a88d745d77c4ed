/* SPDX-License-Identifier: Apache-2.0 */

/* One file of a store that may be written to meanwhile: whole, or not at all. */

#include "snap/making.h"

#include <fcntl.h>
#include <time.h>

/* A document caught half-written: when it may be that, and how long its writer is waited for. */
#define YOUNG_NS (INT64_C(10) * 1000000000)
#define HALF_WAIT_NS 20000000
#define HALF_TRIES 25

int making_open(struct making *mk, const struct snap_found *found, int *fd, struct file_info *info,
		struct vs_err *err)
{
	int how = O_RDONLY | O_NONBLOCK | O_CLOEXEC | (found->is_link ? 0 : O_NOFOLLOW);

	if (mk->backend->open)
		return mk->backend->open(mk->store, mk->state, found->path, fd, info, err);
	do {
		*fd = openat(mk->store->dirfd, found->path, how);
	} while (*fd < 0 && errno == EINTR);
	return *fd < 0 ? vs_fail_errno(err, "%s", found->path) : file_stat_fd(*fd, info, err);
}

/* The same as file_read_info_at() for a file that the backend opens. */
static int read_opened(struct making *mk, const struct snap_found *found, struct buf *out,
		       struct file_info *info, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	buf_clear(out);
	r = making_open(mk, found, &fd, info, err);
	if (r == 0)
		r = buf_try_reserve(out, (size_t)info->size, err);
	while (r == 0 && out->len < info->size) {
		ssize_t n = pread(fd, out->ptr + out->len, (size_t)info->size - out->len,
				  (off_t)out->len);

		if (n < 0 && errno != EINTR)
			return vs_fail_errno(err, "cannot be read");
		if (n == 0)
			break;
		out->len += n > 0 ? (size_t)n : 0;
	}
	return r;
}

static int read_once(struct making *mk, const struct snap_found *found, struct buf *out,
		     struct file_info *info, struct vs_err *err)
{
	enum file_flags flags = found->is_link ? FILE_FOLLOW : FILE_NO_FOLLOW;
	int r = mk->backend->open ? read_opened(mk, found, out, info, err)
				  : file_read_info_at(mk->store->dirfd, found->path, flags,
						      INT64_MAX, out, info, err);

	info->inode &= INT64_MAX;
	if (r == VS_ENOENT || r > 0)
		return 1; /* gone, or something else by now: the next look at the store shows it */
	return r;
}

int making_read(struct making *mk, const struct snap_found *found, struct buf *out,
		struct file_info *info, struct vs_err *err)
{
	static const struct timespec wait = { .tv_nsec = HALF_WAIT_NS };

	for (unsigned try = 0;; try++) {
		bool is_young;
		int r = read_once(mk, found, out, info, err);

		if (r != 0)
			return r;
		is_young = clock_now_ns(mk->req->clock) - info->modified_ns < YOUNG_NS;
		if (try >= HALF_TRIES || (out->len == info->size &&
					  (!is_young || !mk->backend->is_half ||
					   !mk->backend->is_half(found->path, buf_slice(out)))))
			return 0;
		nanosleep(&wait, NULL);
	}
}
