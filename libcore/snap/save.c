/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How a snapshot comes to be, and how it goes, in steps that may be cut short anywhere:
 *
 *	made:     .<id>.part archive -> .<id>.pending manifest -> list -> archive's name
 *		  -> manifest's
 *	removed:  manifest renamed to .<id>.pending -> archives that no other manifest names
 *		  -> lists that none names -> .<id>.pending
 *
 * There is a snapshot exactly as long as its manifest has its name. A .pending one says that the
 * other files of that name are nobody's, so what a kill left can be removed, and nothing else is. An
 * archive that others take files from stays when its snapshot goes, see compact.c, and so does a list
 * that others build on, until the last of them goes.
 */

#include "snap/private.h"

int snap_save_manifest(int manifests_dirfd, const struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char name[SNAP_FILE_MAX];

	if (m->is_older)
		return vs_fail(err, VS_ENOTSUP, "%s was made by the older tool", m->id);
	snap_format_manifest(m, &text);
	snap_manifest_name(m->id, name);
	return file_replace_at(manifests_dirfd, name, 0600, buf_slice(&text), err);
}

int snap_pack_members(struct snap_manifest *m, struct buf *packed, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	int r;

	snap_format_members(m, &text);
	r = snap_pack_all(buf_slice(&text), packed, err);
	if (r < 0)
		return r;
	digest_of(buf_slice(packed), &m->members_digest);
	m->members_size = packed->len;
	return 0;
}

int snap_publish(struct snap_place *place, const struct snap_manifest *m, struct slice list,
		 const char *part, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char pending[SNAP_FILE_MAX], manifest[SNAP_FILE_MAX], members[SNAP_FILE_MAX];
	int r;

	snap_pending_name(m->id, pending);
	snap_manifest_name(m->id, manifest);
	snap_members_name(m->id, members);
	snap_format_manifest(m, &text);
	r = file_replace_at(place->manifests, pending, 0600, buf_slice(&text), err);
	if (r == 0)
		r = file_replace_at(place->manifests, members, 0600, list, err);
	if (r == 0)
		r = file_rename_at(place->snapshots, part, place->snapshots, m->archives[0].file,
				   false, err);
	if (r == 0)
		r = file_sync_dir(place->snapshots, err);
	if (r == 0)
		r = file_rename_at(place->manifests, pending, place->manifests, manifest, false,
				   err);
	if (r == 0)
		r = file_sync_dir(place->manifests, err);
	return r;
}

static int change_manifest(int state_dirfd, const char *id,
			   void (*change)(struct snap_manifest *m, const void *ctx),
			   const void *ctx, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	int r;

	r = snap_load(state_dirfd, id, &m, err);
	if (r == 0)
		r = snap_place_open(state_dirfd, false, &place, err);
	if (r < 0)
		return r;
	change(m, ctx);
	return snap_save_manifest(place.manifests, m, err);
}

struct status_change {
	enum snap_status status;
	const char *message;
};

static void change_status(struct snap_manifest *m, const void *ctx)
{
	const struct status_change *c = ctx;

	m->status = c->status;
	free(m->error_message);
	m->error_message = c->message ? vs_strdup(c->message) : NULL;
}

int snap_set_status(int state_dirfd, const char *id, enum snap_status status, const char *message,
		    struct vs_err *err)
{
	struct status_change c = { status, message };

	return change_manifest(state_dirfd, id, change_status, &c, err);
}

static void change_drill(struct snap_manifest *m, const void *ctx)
{
	const struct snap_drill *drill = ctx;

	free(m->drill.message);
	m->drill = *drill;
	m->drill.message = drill->message ? vs_strdup(drill->message) : NULL;
}

int snap_set_drill(int state_dirfd, const char *id, const struct snap_drill *drill,
		   struct vs_err *err)
{
	return change_manifest(state_dirfd, id, change_drill, drill, err);
}

/* ---- what others need ---- */

/* Does a manifest of @list name the archive @file? */
static bool is_named(const struct snap_list *list, const char *file)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct snap_manifest *m = list->entries[i].m;

		for (size_t k = 0; m && k < m->archive_count; k++) {
			if (strcmp(m->archives[k].file, file) == 0)
				return true;
		}
	}
	return false;
}

/* Is the list of snapshot @id that of one in @list, or what the list of one builds on? */
static bool is_base(const struct snap_list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct snap_manifest *m = list->entries[i].m;

		if (m && (strcmp(m->id, id) == 0 ||
			  (m->base.snapshot && strcmp(m->base.snapshot, id) == 0)))
			return true;
	}
	return false;
}

static bool all_can_be_read(const struct snap_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!list->entries[i].m)
			return false;
	}
	return true;
}

/* ---- sweeping ---- */

#define LEFT_MAX 10000u

struct left {
	char **ids;   /* of .pending files */
	char **files; /* other leftovers in the same directory */
	char **kept;  /* archives of compact.c, which may be in use */
	size_t id_count, id_cap, file_count, file_cap, kept_count, kept_cap;
};

static void left_fini(struct left *l)
{
	for (size_t i = 0; i < l->id_count; i++)
		free(l->ids[i]);
	for (size_t i = 0; i < l->file_count; i++)
		free(l->files[i]);
	for (size_t i = 0; i < l->kept_count; i++)
		free(l->kept[i]);
	free(l->ids);
	free(l->files);
	free(l->kept);
}

/* "<id>.kept-<n>.tar.gz" */
static bool is_kept_archive(const char *name)
{
	const char *mark = strstr(name, SNAP_KEPT);
	char id[SNAP_ID_MAX + 1];
	const char *end;

	if (!mark || mark - name > SNAP_ID_MAX)
		return false;
	snprintf(id, sizeof(id), "%.*s", (int)(mark - name), name);
	end = mark + strlen(SNAP_KEPT);
	return snap_id_is_valid(id) && strspn(end, "0123456789") > 0 &&
	       strcmp(end + strspn(end, "0123456789"), ".tar.gz") == 0;
}

static int find_left(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	static const char pending[] = ".pending";
	struct slice s = slice_str(name);
	struct left *l = ctx;

	(void)err;
	if (type == FILE_DIRECTORY || l->id_count + l->file_count + l->kept_count >= LEFT_MAX)
		return 0;
	if (is_kept_archive(name)) {
		l->kept = vs_grow(l->kept, &l->kept_cap, l->kept_count + 1, sizeof(*l->kept));
		l->kept[l->kept_count++] = vs_strdup(name);
	}
	if (name[0] != '.')
		return 0;
	if (slice_ends_with(s, pending)) {
		char *id = vs_strndup(slice_of(name + 1, s.len - sizeof(pending)));

		if (!snap_id_is_valid(id)) {
			free(id);
			return 0;
		}
		l->ids = vs_grow(l->ids, &l->id_cap, l->id_count + 1, sizeof(*l->ids));
		l->ids[l->id_count++] = id;
	} else if (slice_ends_with(s, ".part") || slice_ends_with(s, ".vsctl-tmp")) {
		l->files = vs_grow(l->files, &l->file_cap, l->file_count + 1, sizeof(*l->files));
		l->files[l->file_count++] = vs_strdup(name);
	}
	return 0;
}

static int remove_files(int dirfd, const struct left *l, uint64_t *removed, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->file_count; i++) {
		r = snap_unlink(dirfd, l->files[i], err);
		*removed += r == 0;
	}
	return r;
}

static int remove_archive(const struct snap_place *place, const struct snap_list *list,
			  const char *file, struct vs_err *err)
{
	return is_named(list, file) ? 0 : snap_unlink(place->snapshots, file, err);
}

/* What the manifest of a snapshot that is none said; NULL where there is nothing to read in what is
 * only a mark. */
static struct snap_manifest *read_pending(const struct snap_place *place, const char *id)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct snap_manifest *m = NULL;
	struct vs_err ignored = { 0 };
	char name[SNAP_FILE_MAX];

	snap_pending_name(id, name);
	if (file_read_at(place->manifests, name, FILE_NO_FOLLOW, SNAP_MANIFEST_MAX, &text, NULL,
			 &ignored) != 0 ||
	    snap_parse_manifest(buf_slice(&text), id, &m, &ignored) < 0)
		return NULL;
	return m;
}

/* Archives that only this snapshot named: those of its manifest, and its own by its name. */
static int remove_archives(const struct snap_place *place, const struct snap_list *list,
			   const char *id, const struct snap_manifest *m, struct vs_err *err)
{
	char name[SNAP_FILE_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && m && i < m->archive_count; i++)
		r = remove_archive(place, list, m->archives[i].file, err);
	for (int is_sealed = 0; r == 0 && is_sealed < 2; is_sealed++) {
		snap_archive_name(id, is_sealed, name);
		r = remove_archive(place, list, name, err);
	}
	return r == 0 ? file_sync_dir(place->snapshots, err) : r;
}

static int remove_list(const struct snap_place *place, const struct snap_list *list, const char *id,
		       struct vs_err *err)
{
	char name[SNAP_FILE_MAX];

	snap_members_name(id, name);
	return is_base(list, id) ? 0 : snap_unlink(place->manifests, name, err);
}

/* Everything of a snapshot that is not one, its .pending manifest last. */
static int remove_all(const struct snap_place *place, const struct snap_list *list, const char *id,
		      struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = read_pending(place, id);
	char name[SNAP_FILE_MAX];
	int r;

	r = remove_archives(place, list, id, m, err);
	if (r == 0)
		r = remove_list(place, list, id, err);
	if (r == 0 && m && m->base.snapshot)
		r = remove_list(place, list, m->base.snapshot, err);
	if (r == 0) {
		snap_pending_name(id, name);
		r = snap_unlink(place->manifests, name, err);
	}
	return r == 0 ? file_sync_dir(place->manifests, err) : r;
}

static int end_pending(const struct snap_place *place, const struct snap_list *list,
		       const struct left *l, uint64_t *removed, struct vs_err *err)
{
	char name[SNAP_FILE_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->id_count; i++) {
		snap_manifest_name(l->ids[i], name);
		r = snap_exists(place->manifests, name, err);
		if (r < 0)
			return r;
		/* A snapshot that is there is not touched. */
		if (r > 0) {
			r = 0;
			continue;
		}
		r = remove_all(place, list, l->ids[i], err);
		*removed += r == 0;
	}
	return r;
}

static int end_kept(const struct snap_place *place, const struct snap_list *list,
		    const struct left *l, uint64_t *removed, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->kept_count; i++) {
		if (is_named(list, l->kept[i]))
			continue;
		r = snap_unlink(place->snapshots, l->kept[i], err);
		*removed += r == 0;
	}
	return r;
}

/* What manifests must be asked for: an archive that somebody may need is not touched. */
static int end_unnamed(int state_dirfd, const struct snap_place *place, const struct left *archives,
		       const struct left *manifests, uint64_t *removed, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	int r;

	if (manifests->id_count == 0 && archives->kept_count == 0)
		return 0;
	r = snap_list_load(&list, state_dirfd, err);
	if (r < 0 || !all_can_be_read(&list))
		return r;
	r = end_pending(place, &list, manifests, removed, err);
	return r == 0 ? end_kept(place, &list, archives, removed, err) : r;
}

int snap_sweep(int state_dirfd, uint64_t *removed, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	cleanup_(left_fini) struct left archives = { 0 };
	cleanup_(left_fini) struct left manifests = { 0 };
	int r;

	*removed = 0;
	r = snap_place_open(state_dirfd, false, &place, err);
	if (r < 0 || place.snapshots < 0 || place.manifests < 0)
		return r;
	r = file_list(place.snapshots, find_left, &archives, err);
	if (r == 0)
		r = file_list(place.manifests, find_left, &manifests, err);
	if (r == 0)
		r = remove_files(place.snapshots, &archives, removed, err);
	if (r == 0)
		r = remove_files(place.manifests, &manifests, removed, err);
	if (r == 0)
		r = snap_remove_tree(place.snapshots, SNAP_COPY_DIR, err);
	return r == 0 ? end_unnamed(state_dirfd, &place, &archives, &manifests, removed, err) : r;
}

/* ---- deleting ---- */

int snap_withdraw(int state_dirfd, const char *id, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	char manifest[SNAP_FILE_MAX], pending[SNAP_FILE_MAX];
	uint64_t removed = 0;
	int r;

	snap_manifest_name(id, manifest);
	snap_pending_name(id, pending);
	r = snap_place_open(state_dirfd, false, &place, err);
	if (r == 0)
		r = file_rename_at(place.manifests, manifest, place.manifests, pending, true, err);
	if (r == 0)
		r = file_sync_dir(place.manifests, err);
	return r == 0 ? snap_sweep(state_dirfd, &removed, err) : r;
}
