/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Archives of snapshots that are gone, made as small as what others still need of them.
 *
 * A new archive, <snapshot>.kept-<n>.tar.gz, gets the members that some list takes from the old
 * one. It is synced and read back before anything names it. Then the manifests name it instead, one
 * after the other, each replaced in one step; lists stay as they are, since they name archives by
 * their number in the manifest. Last the old one goes. At any moment all that a manifest names is
 * there. A run that finds some manifests changed goes on with the archive that these name. What a
 * kill leaves is an archive that nothing names: the next sweep removes it, by its name where it is a
 * kept one, by a .pending file where it is the old one.
 */

#include "snap/private.h"

#include <fcntl.h>

/* Packed in pieces of that much. */
#define KEPT_PIECE ((size_t)1 << 20)
#define KEPT_MAX 1000000u
/* Worth it when at least one part of so many would go. */
#define WORTH_ONE_IN 4

struct compacting {
	const struct snap_access *access;
	struct snap_place place;
	struct snap_list list;
	struct snap_manifest *m; /* what is needed of the archive that is worked on: no snapshot */
	char part[SNAP_FILE_MAX];
	char kept[SNAP_FILE_MAX];
	char **seen; /* names of the archives that were looked at */
	size_t seen_count, seen_cap;
	/* While it is written. */
	int fd;
	struct snap_packer *packer;
	struct digest_ctx *file_digest, *member_digest;
	struct buf raw, packed;
	uint64_t written;
};

static void compacting_fini(struct compacting *c)
{
	snap_place_close(&c->place);
	snap_list_fini(&c->list);
	snap_manifest_freep(&c->m);
	file_closep(&c->fd);
	snap_packer_freep(&c->packer);
	digest_ctx_freep(&c->file_digest);
	digest_ctx_freep(&c->member_digest);
	buf_fini(&c->raw);
	buf_fini(&c->packed);
	for (size_t i = 0; i < c->seen_count; i++)
		free(c->seen[i]);
	free(c->seen);
}

/* ---- what is needed ---- */

static int compare_members(const void *a_, const void *b_)
{
	const struct snap_member *a = a_;
	const struct snap_member *b = b_;

	return snap_path_cmp(a->path, b->path);
}

static bool is_same_member(const struct snap_member *a, const struct snap_member *b)
{
	return a->size == b->size && memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0;
}

/* One of each path; two lists that do not agree about one archive are not both right. */
static int settle_members(struct snap_manifest *m, struct vs_err *err)
{
	size_t kept = 0;

	if (m->member_count > 0)
		qsort(m->members, m->member_count, sizeof(*m->members), compare_members);
	for (size_t i = 0; i < m->member_count; i++) {
		struct snap_member *member = &m->members[i];

		if (kept == 0 || strcmp(m->members[kept - 1].path, member->path) != 0) {
			m->members[kept++] = *member;
			continue;
		}
		if (!is_same_member(&m->members[kept - 1], member))
			return vs_fail(err, VS_EFORMAT,
				       "%s/%s: two snapshots do not agree about %s in it", SNAP_DIR,
				       m->archives[1].file, member->path);
		free(member->path);
		member->path = NULL;
	}
	m->member_count = kept;
	return 0;
}

/* One list at a time is in memory. */
static int add_members(struct compacting *c, const char *id, size_t archive, size_t *cap,
		       struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *from = NULL;
	struct snap_manifest *m = c->m;
	int r;

	r = snap_load(c->access->state_dirfd, id, &from, err);
	if (r == 0)
		r = snap_load_members(c->access->state_dirfd, from, err);
	for (size_t i = 0; r == 0 && i < from->member_count; i++) {
		if (from->members[i].archive != archive)
			continue;
		m->members = vs_grow(m->members, cap, m->member_count + 1, sizeof(*m->members));
		m->members[m->member_count] = from->members[i];
		m->members[m->member_count].path = vs_strdup(from->members[i].path);
		m->members[m->member_count++].archive = 1;
	}
	return r;
}

static struct snap_archive copy_archive(const struct snap_archive *a)
{
	return (struct snap_archive){ vs_strdup(a->file), vs_strdup(a->snapshot), a->size,
				      a->digest, a->is_sealed };
}

/*
 * The members of @archive that are in some list, as a manifest of which it is the second archive:
 * in a snapshot's own one, everything would have to be in the list.
 */
static int gather(struct compacting *c, const struct snap_archive *archive, struct vs_err *err)
{
	size_t cap = 0;
	int r = 0;

	snap_manifest_freep(&c->m);
	c->m = vs_alloc(sizeof(*c->m));
	c->m->id = vs_strdup(archive->snapshot);
	c->m->archives = vs_alloc_array(2, sizeof(*c->m->archives));
	c->m->archive_count = 2;
	c->m->archives[0] = copy_archive(archive);
	c->m->archives[1] = copy_archive(archive);
	for (size_t i = 0; r == 0 && i < c->list.count; i++) {
		struct snap_manifest *m = c->list.entries[i].m;

		for (size_t k = 1; r == 0 && k < m->archive_count; k++) {
			if (strcmp(m->archives[k].file, archive->file) == 0)
				r = add_members(c, m->id, k, &cap, err);
		}
	}
	return r == 0 ? settle_members(c->m, err) : r;
}

/* ---- is it worth it? ---- */

/* What the archive unpacks to, by the heads of its pieces; 0 when these are not ours. */
static int raw_size(struct compacting *c, const char *file, uint64_t *out, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	unsigned char head[PIECE_HEAD];
	struct snap_piece piece;
	uint64_t off = 0;

	*out = 0;
	fd = openat(c->place.snapshots, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "%s/%s", SNAP_DIR, file);
	for (;;) {
		ssize_t n = pread(fd, head, sizeof(head), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vs_fail_errno(err, "%s/%s", SNAP_DIR, file);
		if (n == 0)
			return 0;
		if (n < (ssize_t)sizeof(head) ||
		    !snap_piece_head(slice_of(head, sizeof(head)), &piece) || piece.packed == 0) {
			*out = 0;
			return 0;
		}
		*out += piece.raw;
		off += piece.packed;
	}
}

static uint64_t tar_size(const struct snap_manifest *m)
{
	uint64_t sum = TAR_END_LEN;

	for (size_t i = 0; i < m->member_count; i++)
		sum += 512 + (m->members[i].size + 511) / 512 * 512;
	return sum;
}

/* ---- writing ---- */

static int flush(struct compacting *c, bool all, struct vs_err *err)
{
	size_t off = 0;
	int r = 0;

	buf_clear(&c->packed);
	while (r == 0 && off < c->raw.len && (all || c->raw.len - off >= KEPT_PIECE)) {
		size_t len = VS_MIN(c->raw.len - off, KEPT_PIECE);

		r = snap_pack(c->packer, slice_of(c->raw.ptr + off, len), &c->packed, err);
		off += len;
	}
	if (r == 0 && c->packed.len > 0)
		r = file_write(c->fd, buf_slice(&c->packed), err);
	if (r < 0)
		return r;
	digest_ctx_add(c->file_digest, c->packed.ptr, c->packed.len);
	c->written += c->packed.len;
	memmove(c->raw.ptr, c->raw.ptr + off, c->raw.len - off);
	c->raw.len -= off;
	return 0;
}

static int take(void *to, struct slice bytes, struct vs_err *err)
{
	struct compacting *c = to;
	int r = buf_try_reserve(&c->raw, bytes.len + 512, err);

	if (r < 0)
		return r;
	buf_append(&c->raw, bytes.ptr, bytes.len);
	return c->raw.len >= KEPT_PIECE ? flush(c, false, err) : 0;
}

static int copy_member(void *ctx, struct snap_reader *reader, const struct snap_member *member,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf name = { 0 };
	struct compacting *c = ctx;
	int r;

	buf_printf(&name, "%s/%s", c->m->id, member->path);
	r = snap_tar_header(&c->raw, buf_cstr(&name), member->size, member->mode,
			    member->modified_ns, err);
	if (r == 0)
		r = snap_read_member(reader, member, c->member_digest, take, c, err);
	if (r == 0)
		snap_tar_pad(&c->raw, member->size);
	return r;
}

static int prove_member(void *ctx, struct snap_reader *reader, const struct snap_member *member,
			struct vs_err *err)
{
	struct compacting *c = ctx;

	return snap_read_member(reader, member, c->member_digest, NULL, NULL, err);
}

static int read_members(struct compacting *c,
			int (*read)(void *ctx, struct snap_reader *reader,
				    const struct snap_member *member, struct vs_err *err),
			struct vs_err *err)
{
	cleanup_(snap_selection_fini) struct snap_selection s = { 0 };
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(c->access->jobs, 1));
	struct snap_access quiet = *c->access;

	quiet.progress = NULL;
	snap_select(&s, c->m, NULL, NULL);
	return snap_selection_read(&s, &quiet, c->place.snapshots, pool, read, c, err);
}

/* The new archive under its temporary name, synced and read back. */
static int write_part(struct compacting *c, struct snap_archive *out, struct vs_err *err)
{
	static const unsigned char end[TAR_END_LEN];
	int r;

	c->written = 0;
	buf_clear(&c->raw);
	digest_ctx_reset(c->file_digest);
	r = snap_unlink(c->place.snapshots, c->part, err);
	if (r == 0)
		r = file_create_at(c->place.snapshots, c->part, 0600, &c->fd, err);
	if (r == 0)
		r = read_members(c, copy_member, err);
	if (r < 0)
		return r;
	buf_append(&c->raw, end, sizeof(end));
	r = flush(c, true, err);
	if (r == 0)
		r = file_sync(c->fd, err);
	file_closep(&c->fd);
	digest_ctx_final(c->file_digest, &out->digest);
	out->size = c->written;
	free(c->m->archives[1].file);
	c->m->archives[1].file = vs_strdup(c->part);
	if (r == 0)
		r = read_members(c, prove_member, err);
	return r;
}

/* ---- taking its place ---- */

static int choose_name(struct compacting *c, struct vs_err *err)
{
	int r = 1;

	for (unsigned n = 1; r > 0 && n < KEPT_MAX; n++) {
		snprintf(c->kept, sizeof(c->kept), "%s" SNAP_KEPT "%u.tar.gz", c->m->id, n);
		r = snap_exists(c->place.snapshots, c->kept, err);
	}
	return r > 0 ? vs_fail(err, VS_ELIMIT, "too many archives of %s", c->m->id) : r;
}

/* All manifests that name @old name @now instead. */
static int replace_archive(struct compacting *c, const struct snap_archive *old,
			   const struct snap_archive *now, struct vs_err *err)
{
	cleanup_(vs_freep) char *file = vs_strdup(old->file);
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->list.count; i++) {
		struct snap_manifest *m = c->list.entries[i].m;

		for (size_t k = 1; r == 0 && k < m->archive_count; k++) {
			struct snap_archive *a = &m->archives[k];

			if (strcmp(a->file, file) != 0)
				continue;
			free(a->file);
			a->file = vs_strdup(now->file);
			a->size = now->size;
			a->digest = now->digest;
			r = snap_save_manifest(c->place.manifests, m, err);
		}
	}
	return r;
}

/* A sweep shall know that an archive under the name of a snapshot is nobody's. */
static int mark_pending(struct compacting *c, const char *id, struct vs_err *err)
{
	char name[SNAP_FILE_MAX];

	snap_pending_name(id, name);
	return file_replace_at(c->place.manifests, name, 0600, slice_str("{}\n"), err);
}

/* Is it the own archive of a snapshot that is there? */
static bool has_owner(const struct snap_list *list, const char *file)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct snap_manifest *m = list->entries[i].m;

		if (m->archive_count > 0 && strcmp(m->archives[0].file, file) == 0)
			return true;
	}
	return false;
}

/* Written anew, and given a name. */
static int write_kept(struct compacting *c, struct snap_archive *out, struct vs_err *err)
{
	int r;

	snap_temp_name(c->m->id, c->part);
	r = choose_name(c, err);
	if (r == 0)
		r = write_part(c, out, err);
	file_closep(&c->fd);
	if (r == 0)
		r = file_rename_at(c->place.snapshots, c->part, c->place.snapshots, c->kept, false,
				   err);
	out->file = c->kept;
	return r == 0 ? file_sync_dir(c->place.snapshots, err) : r;
}

/* Does @a hold all that is needed? It is read. */
static bool holds_all(struct compacting *c, const struct snap_archive *a)
{
	struct vs_err ignored = { 0 };

	free(c->m->archives[1].file);
	c->m->archives[1].file = vs_strdup(a->file);
	return read_members(c, prove_member, &ignored) == 0;
}

/* A run that was cut short may have written it already, and some manifests name it. */
static const struct snap_archive *find_kept(struct compacting *c, const struct snap_archive *old)
{
	for (size_t i = 0; i < c->list.count; i++) {
		const struct snap_manifest *m = c->list.entries[i].m;

		for (size_t k = 1; k < m->archive_count; k++) {
			const struct snap_archive *a = &m->archives[k];

			if (strcmp(a->snapshot, old->snapshot) == 0 && !a->is_sealed &&
			    strcmp(a->file, old->file) != 0 && a->size < old->size &&
			    !has_owner(&c->list, a->file) && holds_all(c, a))
				return a;
		}
	}
	free(c->m->archives[1].file);
	c->m->archives[1].file = vs_strdup(old->file);
	return NULL;
}

static int take_place(struct compacting *c, const struct snap_archive *old,
		      struct snap_compaction *out, struct vs_err *err)
{
	const struct snap_archive *found = find_kept(c, old);
	struct snap_archive now = { 0 };
	char own[SNAP_FILE_MAX];
	uint64_t removed = 0;
	int r = 0;

	if (found)
		now = *found;
	else
		r = write_kept(c, &now, err);
	snap_archive_name(old->snapshot, false, own);
	if (r == 0 && strcmp(own, old->file) == 0)
		r = mark_pending(c, old->snapshot, err);
	if (r == 0)
		r = replace_archive(c, old, &now, err);
	if (r == 0)
		r = snap_sweep(c->access->state_dirfd, &removed, err);
	if (r < 0)
		return vs_err_in(err, "%s/%s", SNAP_DIR, old->file);
	out->archives++;
	out->freed += old->size > now.size ? old->size - now.size : 0;
	return 0;
}

static int compact_one(struct compacting *c, const struct snap_archive *from,
		       struct snap_compaction *out, struct vs_err *err)
{
	struct snap_archive old = copy_archive(from); /* the list's own is replaced */
	int r = take_place(c, &old, out, err);

	free(old.file);
	free(old.snapshot);
	return r;
}

/* ---- all of them ---- */

/* Most archives are named by many manifests. */
static bool is_seen(struct compacting *c, const char *file)
{
	for (size_t i = 0; i < c->seen_count; i++) {
		if (strcmp(c->seen[i], file) == 0)
			return true;
	}
	c->seen = vs_grow(c->seen, &c->seen_cap, c->seen_count + 1, sizeof(*c->seen));
	c->seen[c->seen_count++] = vs_strdup(file);
	return false;
}

static int look_at(struct compacting *c, const struct snap_archive *archive,
		   struct snap_compaction *out, struct vs_err *err)
{
	uint64_t all, needed;
	int r;

	/* What is sealed stays as it is: that needs no key. */
	if (archive->is_sealed || is_seen(c, archive->file) || has_owner(&c->list, archive->file))
		return 0;
	r = raw_size(c, archive->file, &all, err);
	if (r == 0)
		r = gather(c, archive, err);
	if (r < 0)
		return r;
	needed = tar_size(c->m);
	if (all < needed || (all - needed) < all / WORTH_ONE_IN)
		return 0;
	return compact_one(c, archive, out, err);
}

int snap_compact(const struct snap_access *access, struct snap_compaction *out, struct vs_err *err)
{
	cleanup_(compacting_fini) struct compacting c = {
		.access = access,
		.place = SNAP_PLACE_CLOSED,
		.fd = -1,
		.packer = snap_packer_new(),
		.file_digest = digest_ctx_new(),
		.member_digest = digest_ctx_new(),
	};
	uint64_t removed = 0;
	int r;

	*out = (struct snap_compaction){ 0 };
	r = snap_sweep(access->state_dirfd, &removed, err);
	if (r == 0)
		r = snap_place_open(access->state_dirfd, false, &c.place, err);
	if (r < 0 || c.place.snapshots < 0 || c.place.manifests < 0)
		return r;
	r = snap_list_load(&c.list, access->state_dirfd, err);
	for (size_t i = 0; r == 0 && i < c.list.count; i++) {
		/* Nobody knows what such a one needs. */
		if (!c.list.entries[i].m)
			return 0;
	}
	for (size_t i = 0; r == 0 && i < c.list.count; i++) {
		struct snap_manifest *m = c.list.entries[i].m;

		for (size_t k = 1; r == 0 && k < m->archive_count; k++)
			r = look_at(&c, &m->archives[k], out, err);
	}
	if (r < 0) {
		struct vs_err ignored = { 0 };

		(void)!snap_sweep(access->state_dirfd, &removed, &ignored);
	}
	return r;
}
