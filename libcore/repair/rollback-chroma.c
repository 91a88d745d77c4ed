/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Chroma store back to a snapshot. All of it: the database is replaced whole, and index
 * directories file by file where they differ. Some collections: of their records those that differ
 * leave a copy of the database, and those of the snapshot come in (chroma/carry.h); the rows of all
 * others are compared before and after.
 *
 * The database comes last among the steps, and is what makes the rest count: index files of a
 * segment that no row names are nobody's. What is in the store's directory beside the database and
 * directories of indexes stays.
 */

#include "repair/rollback-chroma.h"

#include <fcntl.h>

struct chroma_rollback {
	struct plan *plan;
	const struct rollback_request *req;
	struct chroma_side then, now;
	struct rollback_change *changes;
	size_t count, cap;
	bool has_database; /* in the snapshot */
	bool differs;      /* the database */
	char *made;        /* the directory that the newest step made; owned */
	/* Directories that the snapshot does not have, in byte order; owned. */
	char **gone;
	size_t gone_count, gone_cap;
};

static void chroma_rollback_fini(struct chroma_rollback *rb)
{
	chroma_side_fini(&rb->then);
	chroma_side_fini(&rb->now);
	rollback_changes_free(rb->changes, rb->count);
	free(rb->made);
	for (size_t i = 0; i < rb->gone_count; i++)
		free(rb->gone[i]);
	free(rb->gone);
}

/* ---- what becomes of the collections ---- */

/* A collection that was removed since comes back, if nothing else has its place. */
static int check_place(const struct chroma_rollback *rb, const struct chroma_collection *was,
		       struct vs_err *err)
{
	for (size_t i = 0; i < rb->now.catalog.collection_count; i++) {
		const struct chroma_collection *c = &rb->now.catalog.collections[i];

		if (slice_eq(c->name, was->name) && strcmp(c->database, was->database) == 0)
			return vs_fail(
				err, VS_EUSAGE,
				"another collection, %s, has the name of %s by now; rename or "
				"remove that one first",
				c->id, was->id);
	}
	return 0;
}

static int add_change(struct chroma_rollback *rb, const char *id, struct vs_err *err)
{
	const struct chroma_collection *was = chroma_side_find(&rb->then, id);
	const struct chroma_collection *is = chroma_side_find(&rb->now, id);
	struct rollback_change *change;
	struct row_changes rows;
	struct slice name;
	int r = chroma_rows_compare(rb->req, &rb->then, &rb->now, id, &rows, err);

	/* Of a damaged database, what is to be read is not known; it is replaced. */
	if (r == VS_EFORMAT && rb->req->collection_count == 0) {
		rows = (struct row_changes){ .has_other_settings = true };
		*err = (struct vs_err){ 0 };
		r = 0;
	}
	if (r == 0 && was && !is && rb->req->collection_count > 0)
		r = check_place(rb, was, err);
	if (r < 0)
		return r;
	rb->changes = vs_grow(rb->changes, &rb->cap, rb->count + 1, sizeof(*rb->changes));
	change = &rb->changes[rb->count++];
	name = was ? was->name : is->name;
	*change = (struct rollback_change){
		.directory = vs_strdup(id),
		.name = slice_of(vs_strndup(name), name.len),
		.is_in_snapshot = was != NULL,
		.has_changes =
			rows.has_other_settings || rows.added + rows.removed + rows.changed > 0,
		.added = rows.added,
		.removed = rows.removed,
		.changed = rows.changed,
		.kept = rows.kept,
	};
	return 0;
}

/* Those of both catalogs, which are in byte order. */
static int add_changes(struct chroma_rollback *rb, struct vs_err *err)
{
	const struct chroma_catalog *then = &rb->then.catalog, *now = &rb->now.catalog;
	size_t then_count = rb->then.is_there ? then->collection_count : 0;
	size_t now_count = rb->now.is_there ? now->collection_count : 0;
	size_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < then_count || k < now_count)) {
		int order = i == then_count ? 1
			    : k == now_count
				    ? -1
				    : strcmp(then->collections[i].id, now->collections[k].id);
		const char *id = order <= 0 ? then->collections[i].id : now->collections[k].id;

		if (chroma_is_chosen(rb->req, id))
			r = add_change(rb, id, err);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}

static void mark_changed(struct chroma_rollback *rb, struct slice directory)
{
	const char *owner = chroma_owner_of(&rb->then, &rb->now, directory);

	for (size_t i = 0; owner && i < rb->count; i++)
		rb->changes[i].has_changes |= strcmp(rb->changes[i].directory, owner) == 0;
}

/* ---- steps ---- */

static void make_directory(struct chroma_rollback *rb, struct slice directory)
{
	cleanup_(vs_freep) char *path = vs_strndup(directory);
	struct action *a;

	if (faccessat(rb->req->store->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    (rb->made && strcmp(rb->made, path) == 0))
		return;
	a = plan_add(rb->plan, STEP_MKDIR, "make-directory", path, NULL);
	a->mode = 0755;
	for (size_t i = 0; i < rb->req->m->directory_count; i++) {
		if (strcmp(rb->req->m->directories[i].path, path) == 0)
			a->mode = rb->req->m->directories[i].mode;
	}
	free(rb->made);
	rb->made = VS_TAKE(path);
}

static struct action *put_back(struct chroma_rollback *rb, const char *what,
			       const struct snap_member *member)
{
	struct action *a = plan_add(rb->plan, STEP_WRITE, what, member->path, NULL);

	a->mode = member->mode;
	a->modified_ns = member->modified_ns;
	a->is_file = true;
	return a;
}

static bool has_directory(const struct snap_manifest *m, struct slice directory)
{
	for (size_t i = 0; i < m->directory_count; i++) {
		if (slice_eq_str(directory, m->directories[i].path))
			return true;
	}
	return false;
}

/* It goes with its last file, unless something else than files of an index is in it. */
static void note_gone(struct chroma_rollback *rb, struct slice directory)
{
	if (has_directory(rb->req->m, directory) ||
	    (rb->gone_count > 0 && slice_eq_str(directory, rb->gone[rb->gone_count - 1])))
		return;
	rb->gone = vs_grow(rb->gone, &rb->gone_cap, rb->gone_count + 1, sizeof(*rb->gone));
	rb->gone[rb->gone_count++] = vs_strndup(directory);
}

static int on_file(void *ctx, enum snap_change kind, const char *path,
		   const struct snap_member *member, struct vs_err *err)
{
	struct chroma_rollback *rb = ctx;
	struct slice directory;

	(void)err;
	if (strcmp(path, CHROMA_DATABASE) == 0) {
		rb->has_database = member != NULL;
		rb->differs = kind != SNAP_SAME;
		return 0;
	}
	if (!chroma_index_of(path, &directory) ||
	    !chroma_concerns(rb->req, &rb->then, &rb->now, directory) || kind == SNAP_SAME)
		return 0;
	mark_changed(rb, directory);
	if (!member) {
		(void)plan_add(rb->plan, STEP_REMOVE, "remove-file", path, NULL);
		note_gone(rb, directory);
		return 0;
	}
	make_directory(rb, directory);
	(void)put_back(rb, "restore-file", member);
	return 0;
}

static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)name, (void)err;
	*(bool *)ctx |= type == FILE_DIRECTORY;
	return 0;
}

/* Directories whose files all go, so those without directories in them. */
static void remove_directories(struct chroma_rollback *rb)
{
	for (size_t i = 0; i < rb->gone_count; i++) {
		cleanup_(file_closep) int fd = -1;
		struct vs_err ignored = { 0 };
		bool has_more = false;

		if (file_open_dir(rb->req->store->dirfd, rb->gone[i], FILE_NO_FOLLOW, &fd,
				  &ignored) == 0 &&
		    file_list(fd, on_entry, &has_more, &ignored) == 0 && !has_more)
			(void)plan_add(rb->plan, STEP_RMDIR, "remove-directory", rb->gone[i], NULL);
	}
}

/* ---- the database ---- */

static int replace_database(struct chroma_rollback *rb, struct vs_err *err)
{
	if (!rb->has_database)
		return vs_fail(err, VS_EFORMAT,
			       "snapshot %s was made when the database was lost; take an older one",
			       rb->req->m->id);
	if (rb->differs || chroma_has_beside(rb->req->store->dirfd))
		(void)put_back(rb, "restore-database",
			       snap_find_member(rb->req->m, CHROMA_DATABASE));
	return 0;
}

static void exchange_rows(struct chroma_rollback *rb)
{
	for (size_t i = 0; i < rb->count; i++) {
		struct action *a;

		if (!rb->changes[i].has_changes)
			continue;
		a = plan_add_sql(rb->plan, "restore-collection", NULL);
		a->collection = vs_strdup(rb->changes[i].directory);
	}
}

static int check_sides(const struct chroma_rollback *rb, struct vs_err *err)
{
	if (rb->req->collection_count == 0)
		return 0;
	if (!rb->then.is_there)
		return vs_fail(
			err, VS_EFORMAT,
			"the database in snapshot %s cannot be read, so no single collection "
			"can be taken out of it: %s",
			rb->req->m->id, rb->then.why);
	if (!rb->now.is_there)
		return vs_fail(err, VS_EFORMAT,
			       "the store's database cannot be read, so a single collection cannot "
			       "be exchanged in it; bring back the whole store: %s",
			       rb->now.why);
	return 0;
}

int plan_rollback_chroma(struct plan *plan, const struct rollback_request *req,
			 struct rollback_change **changes, size_t *count, struct vs_err *err)
{
	const struct snap_comparison what = { req->m, req->store, req->rehash, req->jobs,
					      req->known };
	cleanup_(chroma_rollback_fini) struct chroma_rollback rb = { .plan = plan, .req = req };
	int r = chroma_side_open(&rb.then, req->database_dirfd, err);

	if (r == 0)
		r = chroma_side_open(&rb.now, req->store->dirfd, err);
	if (r == 0)
		r = check_sides(&rb, err);
	if (r == 0)
		r = add_changes(&rb, err);
	if (r == 0)
		r = snap_compare_known(&what, on_file, &rb, err);
	if (r < 0)
		return r;
	remove_directories(&rb);
	if (req->collection_count > 0)
		exchange_rows(&rb);
	else
		r = replace_database(&rb, err);
	if (r == 0)
		r = plan_stamp(plan, req->store->dirfd, err);
	if (r < 0)
		return r;
	*changes = VS_TAKE(rb.changes);
	*count = rb.count;
	rb.count = 0;
	return 0;
}
