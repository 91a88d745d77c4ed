/* SPDX-License-Identifier: Apache-2.0 */

/* What differs between a snapshot and the store as it is now. */

#include "snap/making.h"

struct digests {
	struct making mk;
	const struct snap_manifest *m;
	struct snap_listing *now;
	struct file_known *known; /* borrowed; NULL: every file is read */
	struct digest *of;        /* of each file of the listing that was read; owned */
	int *results;             /* 1: gone */
	bool *must_read;
	struct vs_err *errors;
};

static bool looks_same(const struct snap_member *member, const struct file_info *info)
{
	return member->size == info->size && member->modified_ns == info->modified_ns &&
	       member->inode == info->inode;
}

static void read_one(void *ctx, unsigned worker, size_t index)
{
	struct digests *d = ctx;
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct file_info info;

	(void)worker;
	if (!d->must_read[index] ||
	    (d->known &&
	     file_known_find(d->known, &d->now->files[index].info, &d->of[index], NULL)))
		return;
	d->results[index] =
		making_read(&d->mk, &d->now->files[index], &bytes, &info, &d->errors[index]);
	if (d->results[index] != 0)
		return;
	digest_of(buf_slice(&bytes), &d->of[index]);
	if (d->known && bytes.len == info.size)
		file_known_add(d->known, &info, &d->of[index]);
}

static void digests_fini(struct digests *d)
{
	free(d->of);
	free(d->results);
	free(d->must_read);
	free(d->errors);
}

/* Digests of all files that must be read to know. */
static int take_digests(struct digests *d, bool rehash, unsigned jobs, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(jobs, 1));
	size_t count = d->now->file_count;

	d->of = vs_alloc_array(count, sizeof(*d->of));
	d->results = vs_alloc_array(count, sizeof(*d->results));
	d->must_read = vs_alloc_array(count, sizeof(*d->must_read));
	d->errors = vs_alloc_array(count, sizeof(*d->errors));
	for (size_t i = 0, at = 0; i < count; i++) {
		const struct snap_member *member =
			snap_next_member_at(d->m, &at, d->now->files[i].path);

		/* A size that differs says enough. */
		d->must_read[i] = member && member->size == d->now->files[i].info.size &&
				  (rehash || !looks_same(member, &d->now->files[i].info));
	}
	pool_run(pool, count, read_one, d);
	for (size_t i = 0; i < count; i++) {
		if (d->results[i] < 0) {
			*err = d->errors[i];
			return vs_err_in(err, "%s", d->now->files[i].path);
		}
	}
	return 0;
}

static enum snap_change change_of(const struct digests *d, size_t index,
				  const struct snap_member *member)
{
	if (member->size != d->now->files[index].info.size)
		return SNAP_MODIFIED;
	if (!d->must_read[index])
		return SNAP_SAME;
	return memcmp(&d->of[index], &member->digest, sizeof(member->digest)) == 0 ? SNAP_SAME
										   : SNAP_MODIFIED;
}

/* Walk the two lists, both in byte order, side by side. */
static int report(const struct digests *d,
		  int (*fn)(void *ctx, enum snap_change change, const char *path,
			    const struct snap_member *member, struct vs_err *err),
		  void *ctx, struct vs_err *err)
{
	size_t at = 0, i = 0;
	int r = 0;

	while (r == 0 && (at < d->m->member_count || i < d->now->file_count)) {
		const struct snap_member *member =
			at < d->m->member_count ? &d->m->members[at] : NULL;
		const char *path = i < d->now->file_count ? d->now->files[i].path : NULL;
		int order = !member ? 1 : !path ? -1 : snap_path_cmp(member->path, path);

		if (order < 0 || (order == 0 && d->results[i] > 0)) {
			r = fn(ctx, SNAP_MISSING, member->path, member, err);
			i += order == 0;
			at++;
		} else if (order > 0) {
			r = fn(ctx, SNAP_ADDED, path, NULL, err);
			i++;
		} else {
			r = fn(ctx, change_of(d, i, member), path, member, err);
			i++;
			at++;
		}
	}
	return r;
}

int snap_compare(const struct snap_manifest *m, const struct store *store, bool rehash,
		 unsigned jobs,
		 int (*fn)(void *ctx, enum snap_change change, const char *path,
			   const struct snap_member *member, struct vs_err *err),
		 void *ctx, struct vs_err *err)
{
	const struct snap_comparison what = { m, store, rehash, jobs, NULL };

	return snap_compare_known(&what, fn, ctx, err);
}

int snap_compare_known(const struct snap_comparison *what,
		       int (*fn)(void *ctx, enum snap_change change, const char *path,
				 const struct snap_member *member, struct vs_err *err),
		       void *ctx, struct vs_err *err)
{
	cleanup_(snap_listing_fini) struct snap_listing now = {
		.jobs = what->jobs,
		.seen = file_known_seen(what->known),
	};
	struct snap_create_request req = { .clock = &vs_clock_system };
	cleanup_(digests_fini) struct digests d = {
		.mk = { .req = &req, .store = what->store },
		.m = what->m,
		.now = &now,
	};
	int r;

	r = snap_backend_for(what->store->kind, &d.mk.backend, err);
	/* Of other kinds it is not the file of that name that is read. */
	if (r == 0 && !d.mk.backend->open)
		d.known = what->known;
	if (r == 0)
		r = d.mk.backend->list(what->store, NULL, &now, err);
	if (r == 0)
		r = take_digests(&d, what->rehash, what->jobs, err);
	return r == 0 ? report(&d, fn, ctx, err) : r;
}
