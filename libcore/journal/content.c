/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What stands beside a run's record: the content that steps put in place, with all that it is to have
 * there, and copies of what they replace or remove.
 */

#include "journal/journal-private.h"

#include <fcntl.h>

int content_changed(const char *path, struct vs_err *err)
{
	return vs_fail(err, VS_EBUSY, "%s: changed while the change was prepared", path);
}

static void staged_name(char out[32], size_t number, const char *suffix)
{
	snprintf(out, 32, "%zu.%s", number, suffix);
}

/* As it is to be in the store: it is moved there. */
static int finish_new(struct journal *j, size_t number, int fd, struct vs_err *err)
{
	const struct node *after = &j->steps[number - 1].after;
	const struct file_look look = node_dress(after, after->modified_ns != 0);
	int r = file_dress(fd, &look, err);

	return r == 0 && number <= SYNCED_ONE_BY_ONE ? file_sync(fd, err) : r;
}

int content_put(struct journal *j, size_t number, struct slice bytes, int from,
		struct digest *digest, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[32];
	int r;

	staged_name(name, number, "new");
	r = file_create_at(j->dirfd, name, 0600, &fd, err);
	if (r == 0)
		r = from >= 0 ? file_copy_fd(from, fd, digest, err) : file_write(fd, bytes, err);
	if (r == 0)
		r = finish_new(j, number, fd, err);
	return r < 0 ? vs_err_in(err, "run %s: %s", j->run, name) : 0;
}

/* Across file systems there is no moving. */
static int copy_staged(struct journal *j, int dirfd, const char *name, struct digest *digest,
		       struct vs_err *err)
{
	cleanup_(file_closep) int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return vs_fail_errno(err, "%s", name);
	return content_put(j, j->count, (struct slice){ 0 }, fd, digest, err);
}

int content_move(struct journal *j, int dirfd, const char *from, struct digest *digest,
		 struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[32];
	int r;

	staged_name(name, j->count, "new");
	r = file_rename_at(dirfd, from, j->dirfd, name, false, err);
	if (r == VS_ENOTSUP)
		return copy_staged(j, dirfd, from, digest, err);
	if (r < 0)
		return r;
	fd = openat(j->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "%s", name);
	r = finish_new(j, j->count, fd, err);
	return r < 0 ? vs_err_in(err, "run %s: %s", j->run, name) : 0;
}

int content_keep(struct journal *j, const struct step *step, size_t number, struct vs_err *err)
{
	cleanup_(file_closep) int parent = -1;
	cleanup_(file_closep) int from = -1;
	cleanup_(file_closep) int fd = -1;
	struct digest digest;
	const char *path_name;
	char name[32];
	int r;

	r = journal_open_parent(j->store_dirfd, step->path, &parent, &path_name, err);
	if (r < 0)
		return r;
	from = openat(parent, path_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return vs_fail_errno(err, "%s", step->path);
	staged_name(name, number, "old");
	r = file_create_at(j->dirfd, name, 0600, &fd, err);
	if (r == 0)
		r = file_copy_fd(from, fd, &digest, err);
	if (r == 0 && number <= SYNCED_ONE_BY_ONE)
		r = file_sync(fd, err);
	if (r < 0)
		return vs_err_in(err, "run %s: %s", j->run, name);
	if (memcmp(digest.bytes, step->before.digest.bytes, DIGEST_LEN) != 0)
		r = content_changed(step->path, err);
	return r;
}
