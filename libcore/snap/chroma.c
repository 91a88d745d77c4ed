/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a snapshot needs to know of a Chroma store: one database for all collections, and a
 * directory of index files for each. A server may be running beside it.
 *
 * The database is copied first, under SQLite's lock for readers, so it is of one moment; what
 * lies beside it (-journal, -wal, -shm) is taken in and never in a snapshot. The server writes
 * index files first and notes in the database afterwards how far they have come, so the copy
 * fits the index files as long as none of those was written between a look before the copy and
 * one after the reading. Then all of it is read again.
 *
 * Records are rows, so their number and the digest over them come from the copy; the members of a
 * collection are its index files, and the database belongs to none.
 */

#include "chroma/chroma.h"
#include "snap/private.h"

#include <fcntl.h>
#include <time.h>

/* As long as a server waits for another by default. */
#define WAIT_MS 10000

/* Two writes within a tick of the kernel's clock give a file the same time, so it is only told
 * apart from what it will be once it has rested longer than that. */
#define TICK_NS (INT64_C(20) * 1000000)
#define REST_TRIES 25

struct copying {
	int scratch_dirfd; /* borrowed */
	int dirfd;         /* of the directory with the copy; -1 */
	bool has_copy;
	bool is_restless; /* index files were written too often to tell whether they were */
	struct chroma_taken taken;
	struct snap_listing before; /* the store, before it was copied */
};

static void end(void *state)
{
	struct copying *c = state;
	struct vs_err ignored = { 0 };

	file_closep(&c->dirfd);
	(void)!snap_remove_tree(c->scratch_dirfd, SNAP_COPY_DIR, &ignored);
	snap_listing_fini(&c->before);
	free(c);
}

static int begin(const struct store *store, int scratch_dirfd, void **state, struct vs_err *err)
{
	struct copying *c = vs_alloc(sizeof(*c));
	int r;

	(void)store;
	*c = (struct copying){ .scratch_dirfd = scratch_dirfd, .dirfd = -1 };
	*state = c;
	r = snap_remove_tree(scratch_dirfd, SNAP_COPY_DIR, err); /* of a killed run */
	if (r == 0)
		r = file_mkdir_at(scratch_dirfd, SNAP_COPY_DIR, 0700, err);
	return r == 0 ? file_open_dir(scratch_dirfd, SNAP_COPY_DIR, FILE_NO_FOLLOW, &c->dirfd, err)
		      : r;
}

/* ---- which files ---- */

static bool is_beside_database(const char *path)
{
	return strcmp(path, CHROMA_DATABASE "-journal") == 0 ||
	       strcmp(path, CHROMA_DATABASE "-wal") == 0 ||
	       strcmp(path, CHROMA_DATABASE "-shm") == 0;
}

static int list(const struct store *store, void *state, struct snap_listing *out,
		struct vs_err *err)
{
	const struct copying *c = state;
	int r = snap_list_tree(store->dirfd, out, err);
	size_t kept = 0;

	for (size_t i = 0; i < out->file_count; i++) {
		if (is_beside_database(out->files[i].path)) {
			free(out->files[i].path);
			continue;
		}
		out->files[kept] = out->files[i];
		if (c && c->has_copy && strcmp(out->files[kept].path, CHROMA_DATABASE) == 0) {
			out->files[kept].info = c->taken.info;
			out->files[kept].info.inode &= INT64_MAX;
		}
		kept++;
	}
	out->file_count = kept;
	return r;
}

static bool is_resting(const struct snap_listing *l)
{
	int64_t now = clock_now_ns(&vs_clock_system);

	for (size_t i = 0; i < l->file_count; i++) {
		int64_t age = now - l->files[i].info.modified_ns;

		if (strcmp(l->files[i].path, CHROMA_DATABASE) != 0 && age >= 0 && age < TICK_NS)
			return false;
	}
	return true;
}

/* List the store once its index files have rested for a moment, or as they are. */
static int look_before(struct copying *c, const struct store *store, struct vs_err *err)
{
	static const struct timespec wait = { .tv_nsec = TICK_NS };
	int r = 0;

	c->is_restless = true;
	for (unsigned i = 0; r == 0 && c->is_restless && i < REST_TRIES; i++) {
		if (i > 0)
			nanosleep(&wait, NULL);
		snap_listing_fini(&c->before);
		r = list(store, NULL, &c->before, err);
		c->is_restless = !is_resting(&c->before);
	}
	return r;
}

static int refresh(const struct store *store, void *state, struct vs_err *err)
{
	struct copying *c = state;
	struct file_info info;
	struct vs_err absent = { 0 };
	int r;

	c->has_copy = false;
	r = look_before(c, store, err);
	if (r < 0)
		return r;
	if (file_stat_at(store->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, &absent) < 0)
		return 0; /* lost: what is left is still worth a copy */
	r = snap_check_room(c->dirfd, info.size + ((uint64_t)1 << 20), "a copy of the database",
			    err);
	if (r == 0)
		r = chroma_take(store->dirfd, c->dirfd, WAIT_MS, &c->taken, err);
	c->has_copy = r == 0;
	return r;
}

/* The index files, that is; the database was copied. */
static int is_current(const struct store *store, void *state, bool *out, struct vs_err *err)
{
	cleanup_(snap_listing_fini) struct snap_listing now = { 0 };
	const struct copying *c = state;
	int r = list(store, NULL, &now, err);

	if (r < 0)
		return r;
	*out = !c->is_restless && now.file_count == c->before.file_count;
	for (size_t i = 0; *out && i < now.file_count; i++) {
		const struct snap_found *a = &now.files[i];
		const struct snap_found *b = &c->before.files[i];

		*out = strcmp(a->path, b->path) == 0 &&
		       (strcmp(a->path, CHROMA_DATABASE) == 0 ||
			(a->info.size == b->info.size && a->info.inode == b->info.inode &&
			 a->info.modified_ns == b->info.modified_ns));
	}
	return 0;
}

static int open_file(const struct store *store, void *state, const char *path, int *fd,
		     struct file_info *info, struct vs_err *err)
{
	const struct copying *c = state;
	bool is_copied = c && c->has_copy && strcmp(path, CHROMA_DATABASE) == 0;
	int r;

	do {
		*fd = openat(is_copied ? c->dirfd : store->dirfd, path,
			     O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	} while (*fd < 0 && errno == EINTR);
	if (*fd < 0)
		return vs_fail_errno(err, "%s", path);
	r = file_stat_fd(*fd, info, err);
	if (r == 0 && is_copied)
		*info = c->taken.info;
	return r;
}

/* ---- grouping ---- */

/* The collection that a vector segment is of; UINT32_MAX: of none. */
static uint32_t find_collection(const struct chroma_catalog *catalog, const char *path)
{
	cleanup_(vs_freep) char *id = NULL;
	const struct chroma_segment_ref *segment;
	const struct chroma_collection *c;
	const char *slash = strchr(path, '/');

	if (!slash)
		return UINT32_MAX;
	id = vs_strndup(slice_of(path, (size_t)(slash - path)));
	segment = chroma_catalog_segment(catalog, id);
	c = segment && segment->scope == CHROMA_SCOPE_VECTOR
		    ? chroma_catalog_find(catalog, slice_str(segment->collection))
		    : NULL;
	return c ? (uint32_t)(c - catalog->collections) : UINT32_MAX;
}

/* What cannot be read of a damaged database is left out; the snapshot is marked as what it is. */
static bool is_damage(int r)
{
	return r == VS_EFORMAT || r == VS_ENOTSUP || r == VS_ENOENT;
}

static int add_collections(struct snap_manifest *m, struct chroma_db *db,
			   const struct chroma_catalog *catalog, struct vs_err *err)
{
	m->collections = vs_alloc_array(catalog->collection_count, sizeof(*m->collections));
	for (size_t i = 0; i < catalog->collection_count; i++) {
		const struct chroma_collection *from = &catalog->collections[i];
		struct snap_collection *to = &m->collections[m->collection_count];
		uint64_t records = 0;
		int r;

		/* Sorted, so only a neighbour can have the same id; nothing else would stand for
		 * it. */
		if (!snap_path_is_safe(slice_str(from->id)) ||
		    (m->collection_count > 0 && strcmp(to[-1].directory, from->id) == 0))
			continue;
		m->collection_count++;
		to->directory = vs_strdup(from->id);
		if (from->name.len > 0)
			to->name = slice_of(vs_strndup(from->name), from->name.len);
		r = chroma_collection_sum(db, catalog, from, &records, &to->rows, err);
		if (r < 0 && !is_damage(r))
			return r;
		to->has_rows = r == 0;
		to->documents = r == 0 ? records : 0;
		to->batches = (uint32_t)((to->documents + SNAP_BATCH_LEN - 1) / SNAP_BATCH_LEN);
	}
	*err = (struct vs_err){ 0 };
	return 0;
}

static uint32_t place_of(const struct snap_manifest *m, const struct chroma_catalog *catalog,
			 uint32_t collection)
{
	if (collection == UINT32_MAX)
		return UINT32_MAX;
	for (size_t i = 0; i < m->collection_count; i++) {
		if (strcmp(m->collections[i].directory, catalog->collections[collection].id) == 0)
			return (uint32_t)i;
	}
	return UINT32_MAX;
}

static int group(struct snap_manifest *m, void *state,
		 int (*read)(void *ctx, const struct snap_member *member, struct buf *out,
			     struct vs_err *err),
		 void *ctx, struct vs_err *err)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	const struct copying *c = state;
	int r = 0;

	(void)read;
	(void)ctx;
	for (size_t i = 0; i < m->member_count; i++) {
		m->members[i].collection = UINT32_MAX;
		m->members[i].batch = SNAP_NO_BATCH;
	}
	if (!c->has_copy)
		return 0;
	r = chroma_db_open(&db, c->dirfd, NULL, err);
	if (r == 0)
		r = chroma_catalog_load(&catalog, db, err);
	if (r == 0)
		r = add_collections(m, db, &catalog, err);
	for (size_t i = 0; r == 0 && i < m->member_count; i++)
		m->members[i].collection =
			place_of(m, &catalog, find_collection(&catalog, m->members[i].path));
	if (is_damage(r)) {
		*err = (struct vs_err){ 0 };
		return 0;
	}
	return r;
}

/* ---- what was restored ---- */

static int check_collection(const struct snap_collection *want, struct chroma_db *db,
			    const struct chroma_catalog *catalog, struct vs_err *err)
{
	const struct chroma_collection *c =
		chroma_catalog_find(catalog, slice_str(want->directory));
	struct digest rows = { { 0 } };
	uint64_t records = 0;
	int r;

	if (!c)
		return vs_fail(err, VS_EFORMAT, "%s: collection %s is not in it", CHROMA_DATABASE,
			       want->directory);
	r = chroma_collection_sum(db, catalog, c, &records, &rows, err);
	if (r < 0)
		return r;
	if (records != want->documents)
		return vs_fail(err, VS_EFORMAT,
			       "%s: collection %s: Document count mismatch: %" PRIu64
			       " vs %" PRIu64,
			       CHROMA_DATABASE, want->directory, want->documents, records);
	if (memcmp(&rows, &want->rows, sizeof(rows)) != 0)
		return vs_fail(err, VS_EFORMAT,
			       "%s: collection %s: its records are not those of the snapshot",
			       CHROMA_DATABASE, want->directory);
	return 0;
}

static bool has_rows(const struct snap_manifest *m)
{
	bool out = false;

	for (size_t i = 0; i < m->collection_count; i++)
		out |= m->collections[i].has_rows;
	return out;
}

int snap_check_rows(const struct snap_manifest *m, const struct store *store,
		    bool (*wanted)(void *ctx, const struct snap_collection *c), void *ctx,
		    struct vs_err *err)
{
	cleanup_(chroma_catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	int r;

	if (!has_rows(m))
		return 0;
	r = chroma_db_open(&db, store->dirfd, NULL, err);
	if (r == 0)
		r = chroma_catalog_load(&catalog, db, err);
	for (size_t i = 0; r == 0 && i < m->collection_count; i++) {
		const struct snap_collection *c = &m->collections[i];

		if (c->has_rows && (!wanted || wanted(ctx, c)))
			r = check_collection(c, db, &catalog, err);
	}
	return r;
}

const struct snap_backend snap_backend_chroma = {
	.kind = "chroma",
	.begin = begin,
	.refresh = refresh,
	.end = end,
	.list = list,
	.is_current = is_current,
	.open = open_file,
	.group = group,
};
