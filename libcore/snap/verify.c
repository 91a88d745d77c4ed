/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is a snapshot what it says? Four checks, each of which can fail by itself, and none of which
 * needs the store. The last reads everything as restoring would, and writes nothing.
 */

#include "snap/private.h"

#include <fcntl.h>

const char *snap_check_name(enum snap_check check)
{
	static const char *const names[] = {
		[SNAP_CHECK_MANIFEST] = "manifest", [SNAP_CHECK_ARCHIVE] = "archive",
		[SNAP_CHECK_CHECKSUM] = "checksum", [SNAP_CHECK_READABLE] = "readable",
		[SNAP_CHECK_COUNT_] = NULL,
	};

	return names[check];
}

void snap_verdict_fini(struct snap_verdict *v)
{
	for (size_t i = 0; i < SNAP_CHECK_COUNT_; i++)
		free(v->message[i]);
	*v = (struct snap_verdict){ 0 };
}

bool snap_verdict_is_good(const struct snap_verdict *v)
{
	for (size_t i = 0; i < SNAP_CHECK_COUNT_; i++) {
		if (!v->was_made[i] || !v->is_good[i])
			return false;
	}
	return true;
}

/* A check was made: @r and @err say with what result. Only lack of memory is not a result. */
int snap_conclude(struct snap_verdict *v, enum snap_check check, int r, struct vs_err *err)
{
	if (r == VS_ENOMEM)
		return r;
	v->was_made[check] = true;
	v->is_good[check] = r >= 0;
	if (r < 0)
		v->message[check] = vs_strdup(err->text);
	*err = (struct vs_err){ 0 };
	return 0;
}

static int load_whole(int state_dirfd, const char *id, struct snap_manifest **out,
		      struct vs_err *err)
{
	int r = snap_load(state_dirfd, id, out, err);

	if (r < 0 || (*out)->is_older)
		return r;
	r = snap_load_members(state_dirfd, *out, err);
	return r == 0 ? snap_check_sums(*out, err) : r;
}

static int look_at_archives(int snapshots_dirfd, const struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf wrong = { 0 };

	for (size_t i = 0; i < m->archive_count; i++) {
		const struct snap_archive *a = &m->archives[i];
		struct vs_err why = { 0 };
		struct file_info info;
		int r = file_stat_at(snapshots_dirfd, a->file, FILE_NO_FOLLOW, &info, &why);

		if (r == 0 && info.type == FILE_REGULAR && info.size == a->size)
			continue;
		buf_printf(&wrong, "%s%s/%s ", wrong.len > 0 ? "; " : "", SNAP_DIR, a->file);
		if (r == VS_ENOENT)
			buf_append_str(&wrong, "is missing");
		else if (r < 0)
			buf_append_str(&wrong, "cannot be looked at");
		else if (info.type != FILE_REGULAR)
			buf_append_str(&wrong, "is not a file");
		else
			buf_printf(&wrong, "has %" PRIu64 " bytes instead of %" PRIu64, info.size,
				   a->size);
	}
	return wrong.len > 0 ? vs_fail(err, VS_EFORMAT, "%s", buf_cstr(&wrong)) : 0;
}

struct digesting {
	const struct snap_manifest *m;
	int snapshots_dirfd;
	struct vs_err *errors;
	int *results;
};

static void digest_one(void *ctx, unsigned worker, size_t index)
{
	struct digesting *d = ctx;
	const struct snap_archive *a = &d->m->archives[index];
	struct digest actual;
	int r;

	(void)worker;
	r = file_digest_at(d->snapshots_dirfd, a->file, FILE_NO_FOLLOW, &actual, NULL,
			   &d->errors[index]);
	if (r == 0 && memcmp(&actual, &a->digest, sizeof(actual)) != 0)
		r = vs_fail(&d->errors[index], VS_EFORMAT,
			    "its SHA-256 is not the one in the manifest");
	d->results[index] = r;
}

static int check_digests(int snapshots_dirfd, const struct snap_manifest *m, struct pool *pool,
			 struct vs_err *err)
{
	cleanup_(vs_freep) struct vs_err *errors =
		vs_alloc_array(m->archive_count, sizeof(*errors));
	cleanup_(vs_freep) int *results = vs_alloc_array(m->archive_count, sizeof(*results));
	struct digesting d = { m, snapshots_dirfd, errors, results };

	pool_run(pool, m->archive_count, digest_one, &d);
	for (size_t i = 0; i < m->archive_count; i++) {
		if (results[i] < 0)
			return vs_fail(err, results[i], "%s/%s: %s", SNAP_DIR, m->archives[i].file,
				       errors[i].text);
	}
	return 0;
}

/* ---- readable ---- */

/* Read one member to its end; 1 when its bytes are the ones that @member should have. */
int snap_read_member(struct snap_reader *reader, const struct snap_member *member,
		     struct digest_ctx *ctx,
		     int (*take)(void *to, struct slice bytes, struct vs_err *err), void *to,
		     struct vs_err *err)
{
	struct digest digest;
	struct slice bytes;
	uint64_t size = 0;
	int r;

	digest_ctx_reset(ctx);
	do {
		r = snap_reader_data(reader, &bytes, err);
		if (r == 0 && bytes.len > 0) {
			digest_ctx_add(ctx, bytes.ptr, bytes.len);
			size += bytes.len;
			if (take)
				r = take(to, bytes, err);
		}
		if (r < 0)
			return r;
	} while (bytes.len > 0);
	digest_ctx_final(ctx, &digest);
	if (size != member->size || memcmp(&digest, &member->digest, sizeof(digest)) != 0)
		return vs_fail(err, VS_EFORMAT, "%s: its bytes are not those of the list",
			       member->path);
	return 0;
}

int snap_next_member(struct snap_reader *reader, const struct snap_manifest *m, uint32_t archive,
		     unsigned char *seen, const struct snap_member **out, struct vs_err *err)
{
	for (;;) {
		struct snap_tar_entry entry;
		const struct snap_member *member;
		int r = snap_reader_next(reader, &entry, err);

		if (r <= 0)
			return r;
		member = snap_find_member(m, entry.name);
		/* Archives of other snapshots hold what this one does not have, or not any more. */
		if ((!member || member->archive != archive) && archive != 0)
			continue;
		if (!member || member->archive != archive)
			return vs_fail(err, VS_EFORMAT, "%s: a member that is not in the list",
				       entry.name);
		if (entry.size != member->size)
			return vs_fail(err, VS_EFORMAT,
				       "%s: has %" PRIu64 " bytes instead of %" PRIu64, entry.name,
				       entry.size, member->size);
		if (seen[member - m->members])
			return vs_fail(err, VS_EFORMAT, "%s: is there twice", entry.name);
		seen[member - m->members] = 1;
		*out = member;
		return 1;
	}
}

static int read_archive(const struct snap_access *access, int snapshots_dirfd,
			const struct snap_manifest *m, uint32_t index, struct pool *pool,
			unsigned char *seen, struct vs_err *err)
{
	cleanup_(snap_reader_freep) struct snap_reader *reader = NULL;
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	const struct snap_member *member;
	int r;

	r = snap_reader_open(&reader, access, snapshots_dirfd, &m->archives[index], pool, err);
	if (r < 0)
		return r;
	while ((r = snap_next_member(reader, m, index, seen, &member, err)) > 0) {
		r = snap_read_member(reader, member, ctx, NULL, NULL, err);
		if (r < 0)
			break;
		snap_progress_step(access->progress);
	}
	return r < 0 ? vs_err_in(err, "%s/%s", SNAP_DIR, m->archives[index].file) : 0;
}

int snap_read_back(const struct snap_access *access, int snapshots_dirfd,
		   const struct snap_manifest *m, size_t archives, struct pool *pool,
		   struct vs_err *err)
{
	cleanup_(vs_freep) unsigned char *seen = vs_alloc_array(m->member_count + 1, 1);
	int r = 0;

	snap_progress_begin(access->progress, m->member_count);
	for (size_t i = 0; r == 0 && i < archives; i++)
		r = read_archive(access, snapshots_dirfd, m, (uint32_t)i, pool, seen, err);
	for (size_t i = 0; r == 0 && i < m->member_count; i++) {
		if (!seen[i] && m->members[i].archive < archives)
			return vs_fail(err, VS_EFORMAT, "%s: is not in %s/%s", m->members[i].path,
				       SNAP_DIR, m->archives[m->members[i].archive].file);
	}
	return r;
}

int snap_verify(const struct snap_access *access, const char *id, struct snap_verdict *out,
		struct snap_manifest **m_out, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(access->jobs, 1));
	int r;

	r = load_whole(access->state_dirfd, id, &m, err);
	if (r == VS_EUSAGE || (r == VS_ENOENT && !m))
		return r;
	r = snap_conclude(out, SNAP_CHECK_MANIFEST, r, err);
	if (r < 0 || !out->is_good[SNAP_CHECK_MANIFEST])
		return r;
	if (m->is_older)
		return snap_verify_older(access, m, out, err);
	out->archives = m->archive_count;
	out->members = m->member_count;
	r = snap_place_open(access->state_dirfd, false, &place, err);
	if (r < 0)
		return r;
	r = look_at_archives(place.snapshots, m, err);
	r = snap_conclude(out, SNAP_CHECK_ARCHIVE, r, err);
	if (r == 0)
		r = snap_conclude(
			out, SNAP_CHECK_CHECKSUM,
			access->trusts_size ? 0 : check_digests(place.snapshots, m, pool, err),
			err);
	if (r == 0)
		r = snap_conclude(out, SNAP_CHECK_READABLE,
				  access->trusts_digest || access->trusts_size
					  ? 0
					  : snap_read_back(access, place.snapshots, m,
							   m->archive_count, pool, err),
				  err);
	if (r == 0 && m_out)
		*m_out = VS_TAKE(m);
	return r;
}
