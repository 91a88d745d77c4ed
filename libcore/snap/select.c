/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Some members of a snapshot: in which archives they are, and their bytes, each held against the
 * list on its way. Nothing is written here.
 */

#include "snap/private.h"

void snap_selection_fini(struct snap_selection *s)
{
	free(s->is_wanted);
	free(s->seen);
}

uint64_t snap_select(struct snap_selection *s, const struct snap_manifest *m,
		     bool (*wanted)(void *ctx, const struct snap_member *member), void *ctx)
{
	uint64_t count = 0;

	s->m = m;
	s->is_wanted = vs_alloc_array(m->member_count, 1);
	s->seen = vs_alloc_array(m->member_count, 1);
	for (size_t i = 0; i < m->member_count; i++) {
		s->is_wanted[i] = !wanted || wanted(ctx, &m->members[i]);
		count += s->is_wanted[i];
	}
	return count;
}

bool snap_selection_needs(const struct snap_selection *s, uint32_t archive)
{
	for (size_t i = 0; i < s->m->member_count; i++) {
		if (s->is_wanted[i] && s->m->members[i].archive == archive)
			return true;
	}
	return false;
}

int snap_selection_find_missing(const struct snap_selection *s, int snapshots_dirfd,
				struct vs_err *err)
{
	cleanup_(buf_fini) struct buf missing = { 0 };

	for (size_t i = 0; i < s->m->archive_count; i++) {
		int r;

		if (!snap_selection_needs(s, (uint32_t)i))
			continue;
		r = snap_exists(snapshots_dirfd, s->m->archives[i].file, err);
		if (r < 0)
			return r;
		if (r == 0)
			buf_printf(&missing, "%s%s/%s", missing.len > 0 ? ", " : "", SNAP_DIR,
				   s->m->archives[i].file);
	}
	if (missing.len > 0)
		return vs_fail(err, VS_ENOENT, "snapshot %s needs archives that are missing: %s",
			       s->m->id, buf_cstr(&missing));
	return 0;
}

int snap_selection_check_seen(const struct snap_selection *s, struct vs_err *err)
{
	for (size_t i = 0; i < s->m->member_count; i++) {
		if (s->is_wanted[i] && !s->seen[i])
			return vs_fail(err, VS_EFORMAT, "%s: is not in %s/%s",
				       s->m->members[i].path, SNAP_DIR,
				       s->m->archives[s->m->members[i].archive].file);
	}
	return 0;
}

int snap_selection_read(struct snap_selection *s, const struct snap_access *access,
			int snapshots_dirfd, struct pool *pool,
			int (*read)(void *ctx, struct snap_reader *reader,
				    const struct snap_member *member, struct vs_err *err),
			void *ctx, struct vs_err *err)
{
	const struct snap_reading how = { access, snapshots_dirfd, pool };
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < s->m->archive_count; i++) {
		cleanup_(snap_reader_freep) struct snap_reader *reader = NULL;
		const struct snap_member *member;

		if (!snap_selection_needs(s, i))
			continue;
		r = snap_reader_open_chosen(&reader, &how, s, i, err);
		if (r < 0)
			return r;
		while ((r = snap_next_member(reader, s->m, i, s->seen, &member, err)) > 0) {
			if (!s->is_wanted[member - s->m->members])
				continue;
			r = read(ctx, reader, member, err);
			if (r < 0)
				break;
			snap_progress_step(access->progress);
		}
		if (r < 0)
			vs_err_in(err, "%s/%s", SNAP_DIR, s->m->archives[i].file);
	}
	return r < 0 ? r : snap_selection_check_seen(s, err);
}

/* ---- bytes in memory, or only proven ---- */

struct taking {
	struct digest_ctx *digest;
	int (*take)(void *ctx, const struct snap_member *member, struct slice bytes,
		    struct vs_err *err);
	void *ctx;
	const struct snap_member *member; /* that is being read */
};

static int take_bytes(void *to, struct slice bytes, struct vs_err *err)
{
	struct taking *t = to;

	return t->take(t->ctx, t->member, bytes, err);
}

static int take_member(void *ctx, struct snap_reader *reader, const struct snap_member *member,
		       struct vs_err *err)
{
	struct taking *t = ctx;

	t->member = member;
	return snap_read_member(reader, member, t->digest, t->take ? take_bytes : NULL, t, err);
}

int snap_read(const struct snap_access *access, const struct snap_manifest *m,
	      bool (*wanted)(void *ctx, const struct snap_member *member),
	      int (*take)(void *ctx, const struct snap_member *member, struct slice bytes,
			  struct vs_err *err),
	      void *ctx, struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	cleanup_(snap_selection_fini) struct snap_selection s = { 0 };
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(access->jobs, 1));
	cleanup_(file_closep) int snapshots = -1;
	struct taking t = { .digest = digest, .take = take, .ctx = ctx };
	int r;

	snap_progress_begin(access->progress, snap_select(&s, m, wanted, ctx));
	r = file_open_dir(access->state_dirfd, SNAP_DIR, FILE_NO_FOLLOW, &snapshots, err);
	if (r == 0)
		r = snap_selection_find_missing(&s, snapshots, err);
	return r == 0 ? snap_selection_read(&s, access, snapshots, pool, take_member, &t, err) : r;
}
