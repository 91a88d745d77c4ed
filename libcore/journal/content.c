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

	return file_dress(fd, &look, err);
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

/* A file of its own with the same bytes. */
static int copy_old(struct journal *j, int parent, const char *path_name, const char *name,
		    struct digest *digest, struct vs_err *err)
{
	cleanup_(file_closep) int from = -1;
	cleanup_(file_closep) int fd = -1;
	int r;

	from = openat(parent, path_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return vs_fail_errno(err, "%s", path_name);
	r = file_create_at(j->dirfd, name, 0600, &fd, err);
	return r == 0 ? file_copy_fd(from, fd, digest, err) : r;
}

/* The file itself, by a second name: it loses the first when the step is done. */
static int link_old(struct journal *j, int parent, const char *path_name, const char *name,
		    struct digest *digest, struct vs_err *err)
{
	int r = file_link_at(parent, path_name, j->dirfd, name, err);

	if (r == VS_ENOTSUP)
		return copy_old(j, parent, path_name, name, digest, err);
	return r == 0 ? file_digest_at(j->dirfd, name, FILE_NO_FOLLOW, digest, NULL, err) : r;
}

int content_keep(struct journal *j, const struct step *step, size_t number, struct vs_err *err)
{
	cleanup_(file_closep) int parent = -1;
	struct digest digest = { 0 };
	const char *path_name;
	char name[32];
	int r;

	r = journal_open_parent(j->store_dirfd, step->path, &parent, &path_name, err);
	if (r < 0)
		return r;
	staged_name(name, number, "old");
	r = j->links_old ? link_old(j, parent, path_name, name, &digest, err)
			 : copy_old(j, parent, path_name, name, &digest, err);
	if (r < 0)
		return vs_err_in(err, "run %s: %s", j->run, name);
	if (memcmp(digest.bytes, step->before.digest.bytes, DIGEST_LEN) != 0)
		r = content_changed(step->path, err);
	return r;
}

static int sync_one(struct journal *j, size_t number, const char *suffix, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[32];
	int r;

	staged_name(name, number, suffix);
	fd = openat(j->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "run %s: %s", j->run, name);
	r = file_sync(fd, err);
	return r < 0 ? vs_err_in(err, "run %s: %s", j->run, name) : 0;
}

int content_sync(struct journal *j, struct vs_err *err)
{
	int r = 0;

	if (j->count > SYNCED_ONE_BY_ONE)
		return file_sync_fs(j->dirfd, err);
	for (size_t i = 0; r == 0 && i < j->count; i++) {
		if (j->steps[i].kind == STEP_WRITE)
			r = sync_one(j, i + 1, "new", err);
		if (r == 0 && j->steps[i].has_old)
			r = sync_one(j, i + 1, "old", err);
	}
	return r;
}
