/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collection's metadata file as a snapshot has it. The list of the snapshot says which member it
 * is and what its digest must be; that one member is read and decoded, nothing is written.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <limits.h>

void archived_meta_fini(struct archived_meta *meta)
{
	free(meta->path);
	buf_fini(&meta->bytes);
	chromem_reader_freep(&meta->reader);
	*meta = (struct archived_meta){ 0 };
}

int archived_check_store(const struct snap_manifest *m, const struct store *store,
			 struct vs_err *err)
{
	char path[PATH_MAX];

	if (!realpath(store->path, path))
		return vs_fail_errno(err, "%s", store->path);
	if (m->is_older)
		return vs_fail(err, VS_ENOTSUP,
			       "%s was made by the older tool: it holds documents, not files",
			       m->id);
	if (!m->store_path || strcmp(m->store_path, path) != 0)
		return vs_fail(err, VS_EUSAGE, "%s is a snapshot of another store, %s", m->id,
			       m->store_path ? m->store_path : "unknown");
	return 0;
}

/* The directory in the store that a target belongs to: an item of the quarantine is named after
 * the one it came from. */
static void directory_of(const char *collection, struct buf *out)
{
	const char *name = strrchr(collection, '/');

	if (name)
		buf_append(out, name + 1, strcspn(name + 1, "."));
	else
		buf_append_str(out, collection);
}

static bool is_member(void *ctx, const struct snap_member *member)
{
	const struct archived_meta *meta = ctx;

	return strcmp(member->path, meta->path) == 0;
}

static int take(void *ctx, const struct snap_member *member, struct slice bytes, struct vs_err *err)
{
	struct archived_meta *meta = ctx;
	int r = buf_try_reserve(&meta->bytes, bytes.len, err);

	(void)member;
	if (r == 0)
		buf_append(&meta->bytes, bytes.ptr, bytes.len);
	return r;
}

/* A store has one of the two forms; in one that has both, the plain file is what the library reads
 * unless it is told otherwise. */
static const struct snap_member *find_file(const struct snap_manifest *m, const char *directory)
{
	static const char *const names[] = { "00000000.gob", "00000000.gob.gz" };
	const struct snap_member *found = NULL;

	for (size_t i = 0; !found && i < VS_COUNT(names); i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		buf_printf(&path, "%s/%s", directory, names[i]);
		found = snap_find_member(m, buf_cstr(&path));
	}
	return found;
}

int archived_meta_load(const struct snap_access *access, const struct snap_manifest *m,
		       const char *collection, struct archived_meta *out, struct vs_err *err)
{
	cleanup_(archived_meta_fini) struct archived_meta meta = { .reader = chromem_reader_new() };
	cleanup_(buf_fini) struct buf directory = { 0 };
	struct chromem_fault fault = { 0 };
	const struct snap_member *member;
	int r;

	directory_of(collection, &directory);
	member = find_file(m, buf_cstr(&directory));
	if (!member)
		return 1;
	meta.path = vs_strdup(member->path);
	if (member->size > CHROMEM_FILE_MAX)
		return vs_fail(err, VS_EFORMAT,
			       "snapshot %s, %s: %" PRIu64 " bytes are no metadata file", m->id,
			       meta.path, member->size);
	r = snap_read(access, m, is_member, take, &meta, err);
	if (r < 0)
		return vs_err_in(err, "snapshot %s", m->id);
	r = chromem_decode_meta(meta.reader, buf_slice(&meta.bytes), &meta.meta, &fault, err);
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "snapshot %s, %s: the copy is damaged as well: %s",
			       m->id, meta.path, fault.detail);
	if (r == 0 && (meta.meta.name.len == 0 || meta.meta.looks_like_document))
		return vs_fail(err, VS_EFORMAT, "snapshot %s, %s: has no name in it", m->id,
			       meta.path);
	if (r < 0)
		return r;
	*out = meta;
	meta = (struct archived_meta){ 0 };
	return 0;
}

static bool has_collection(const struct snap_manifest *m, const char *directory, struct slice name)
{
	for (size_t i = 0; i < m->collection_count; i++) {
		if (strcmp(m->collections[i].directory, directory) == 0)
			return slice_eq(m->collections[i].name, name);
	}
	return false;
}

int archived_meta_newest(int state_dirfd, const struct store *store, const char *collection,
			 struct slice name, struct archived_meta *out, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	cleanup_(buf_fini) struct buf directory = { 0 };
	struct snap_access access = { .state_dirfd = state_dirfd, .jobs = 1 };
	int r;

	directory_of(collection, &directory);
	r = snap_list_load(&list, state_dirfd, err);
	if (r < 0)
		return r;
	for (size_t i = list.count; i > 0; i--) {
		struct snap_manifest *m = list.entries[i - 1].m;
		struct vs_err why = { 0 };

		/* One that cannot be used is passed over: nobody asked for it. */
		if (!m || m->status == SNAP_FAILED ||
		    !has_collection(m, buf_cstr(&directory), name) ||
		    archived_check_store(m, store, &why) < 0 ||
		    snap_load_members(state_dirfd, m, &why) < 0 ||
		    archived_meta_load(&access, m, collection, out, &why) != 0)
			continue;
		return 0;
	}
	return 1;
}
