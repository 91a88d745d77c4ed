/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files out of a snapshot, into a directory. Each archive that is needed is read once; each file is
 * made new, its bytes compared with the list on their way, and given its mode, its time and, where root
 * does it, the owner of the store. One sync at the end makes all of it durable.
 */

#include "snap/private.h"

#include <fcntl.h>

struct extraction {
	const struct snap_access *access;
	const struct snap_manifest *m;
	int snapshots; /* directories */
	int to;
	struct snap_selection selection;
	struct pool *pool;
	struct digest_ctx *digest;
	int fd; /* of the file that is being written */
};

static void extraction_fini(struct extraction *x)
{
	file_closep(&x->snapshots);
	file_closep(&x->fd);
	snap_selection_fini(&x->selection);
	pool_freep(&x->pool);
	digest_ctx_freep(&x->digest);
}

static int make_directory(int to, const char *path, struct vs_err *err)
{
	int r = file_mkdir_at(to, path, 0700, err);

	return r == VS_EBUSY ? 0 : r;
}

/* The directories in which wanted members are; all of them when everything is wanted. */
static int make_directories(struct extraction *x, bool all, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && all && i < x->m->directory_count; i++)
		r = make_directory(x->to, x->m->directories[i].path, err);
	for (size_t i = 0; r == 0 && !all && i < x->m->member_count; i++) {
		cleanup_(vs_freep) char *path = vs_strdup(x->m->members[i].path);

		for (char *p = strchr(path, '/'); r == 0 && x->selection.is_wanted[i] && p;
		     p = strchr(p + 1, '/')) {
			*p = '\0';
			if (faccessat(x->to, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
				r = make_directory(x->to, path, err);
			*p = '/';
		}
	}
	return r;
}

/* Modes and times of directories come last: making files in them changes them. */
static int finish_directories(struct extraction *x, struct vs_err *err)
{
	int r = 0;

	for (size_t i = x->m->directory_count; r == 0 && i > 0; i--) {
		const struct snap_directory *d = &x->m->directories[i - 1];
		struct file_info info;

		if (file_stat_at(x->to, d->path, FILE_NO_FOLLOW, &info, err) < 0)
			continue; /* not wanted */
		if (x->m->has_owner)
			r = file_give_at(x->to, d->path, x->m->owner, x->m->group, err);
		if (r == 0)
			r = file_chmod_at(x->to, d->path, d->mode, err);
		if (r == 0)
			r = file_set_times_at(x->to, d->path, d->modified_ns, err);
	}
	return r;
}

static int take(void *to, struct slice bytes, struct vs_err *err)
{
	struct extraction *x = to;

	return file_write(x->fd, bytes, err);
}

static int write_member(struct extraction *x, struct snap_reader *reader,
			const struct snap_member *member, struct vs_err *err)
{
	const struct file_look look = {
		.mode = member->mode,
		.has_owner = x->m->has_owner && !x->access->is_scratch,
		.owner = x->m->owner,
		.group = x->m->group,
		.has_time = true,
		.modified_ns = member->modified_ns,
	};
	int r;

	r = file_create_at(x->to, member->path, 0600, &x->fd, err);
	if (r < 0)
		return r;
	r = snap_read_member(reader, member, x->digest, take, x, err);
	if (r == 0)
		r = file_dress(x->fd, &look, err);
	file_closep(&x->fd);
	return r;
}

static int read_member(void *ctx, struct snap_reader *reader, const struct snap_member *member,
		       struct vs_err *err)
{
	return write_member(ctx, reader, member, err);
}

static int open_all(struct extraction *x, struct vs_err *err)
{
	int r = file_open_dir(x->access->state_dirfd, SNAP_DIR, FILE_NO_FOLLOW, &x->snapshots, err);

	return r < 0 ? r : snap_selection_find_missing(&x->selection, x->snapshots, err);
}

int snap_extract(const struct snap_access *access, const struct snap_manifest *m,
		 bool (*wanted)(void *ctx, const struct snap_member *member), void *ctx, int dirfd,
		 struct vs_err *err)
{
	cleanup_(extraction_fini) struct extraction x = {
		.access = access,
		.m = m,
		.snapshots = -1,
		.to = dirfd,
		.fd = -1,
	};
	int r;

	x.digest = digest_ctx_new();
	x.pool = pool_new(VS_MAX(access->jobs, 1));
	snap_progress_begin(access->progress, snap_select(&x.selection, m, wanted, ctx));
	r = open_all(&x, err);
	if (r == 0)
		r = make_directories(&x, !wanted, err);
	if (r == 0)
		r = snap_selection_read(&x.selection, access, x.snapshots, x.pool, read_member, &x,
					err);
	if (r == 0)
		r = finish_directories(&x, err);
	if (r == 0 && m->has_owner && !access->is_scratch)
		r = file_give_at(dirfd, "", m->owner, m->group, err);
	return r == 0 && !access->is_scratch ? file_sync_fs(dirfd, err) : r;
}
