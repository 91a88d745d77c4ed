/* SPDX-License-Identifier: Apache-2.0 */

/* Snapshots from their files: one, its list of members, or all there are. */

#include "snap/private.h"

#define SNAPSHOTS_MAX 100000u

int snap_load(int state_dirfd, const char *id, struct snap_manifest **out, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	cleanup_(buf_fini) struct buf text = { 0 };
	char name[SNAP_FILE_MAX];
	int r;

	if (!snap_id_is_valid(id))
		return vs_fail(
			err, VS_EUSAGE,
			"a snapshot's name has letters, digits, '_' and '-', at most %d of them",
			SNAP_ID_MAX);
	snap_manifest_name(id, name);
	r = snap_place_open(state_dirfd, false, &place, err);
	if (r < 0)
		return r;
	r = place.manifests < 0 ? VS_ENOENT
				: file_read_at(place.manifests, name, FILE_NO_FOLLOW,
					       SNAP_MANIFEST_MAX, &text, NULL, err);
	if (r == VS_ENOENT)
		return vs_fail(err, VS_ENOENT, "there is no snapshot %s", id);
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s/%s: not a file", MANIFEST_DIR, name);
	if (r == 0)
		r = snap_parse_manifest(buf_slice(&text), id, out, err);
	return r < 0 ? vs_err_in(err, "%s/%s", MANIFEST_DIR, name) : 0;
}

/* The text of snapshot @id's list, which must be @size bytes of that digest in its file. */
static int read_list(int manifests_dirfd, const char *id, uint64_t size,
		     const struct digest *wanted, struct buf *text, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	char name[SNAP_FILE_MAX];
	struct digest digest;
	int r;

	snap_members_name(id, name);
	r = file_read_at(manifests_dirfd, name, FILE_NO_FOLLOW, SNAP_MEMBERS_MAX, &packed, NULL,
			 err);
	if (r > 0)
		r = vs_fail(err, VS_EFORMAT, "not a file");
	if (r == 0)
		digest_of(buf_slice(&packed), &digest);
	if (r == 0 && (packed.len != size || memcmp(&digest, wanted, sizeof(digest)) != 0))
		r = vs_fail(err, VS_EFORMAT, "not the list of files that the manifest names");
	if (r == 0)
		r = snap_unpack_all(buf_slice(&packed), SNAP_MEMBERS_MAX, text, err);
	return r < 0 ? vs_err_in(err, "%s/%s", MANIFEST_DIR, name) : 0;
}

static int read_members(int manifests_dirfd, struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf base = { 0 };
	int r;

	r = read_list(manifests_dirfd, m->id, m->members_size, &m->members_digest, &text, err);
	if (r == 0 && m->base.snapshot) {
		r = read_list(manifests_dirfd, m->base.snapshot, m->base.size, &m->base.digest,
			      &base, err);
		if (r < 0)
			return vs_err_in(err, "the list of %s builds on that of %s", m->id,
					 m->base.snapshot);
	}
	if (r < 0)
		return r;
	r = snap_parse_members(buf_slice(&text), buf_slice(&base), m, err);
	return r < 0 ? vs_err_in(err, "%s/%s.members.gz", MANIFEST_DIR, m->id) : 0;
}

int snap_load_members(int state_dirfd, struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	int r;

	if (m->is_older)
		return vs_fail(err, VS_ENOTSUP,
			       "%s was made by the older tool: it holds documents, not files",
			       m->id);
	if (m->members || m->directories)
		return 0;
	r = snap_place_open(state_dirfd, false, &place, err);
	if (r == 0 && place.manifests < 0)
		return vs_fail(err, VS_ENOENT, "there is no snapshot %s", m->id);
	return r == 0 ? read_members(place.manifests, m, err) : r;
}

/* ---- all ---- */

static int add_id(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct snap_list *list = ctx;
	char id[SNAP_FILE_MAX];

	if (type == FILE_DIRECTORY || name[0] == '.' || !slice_ends_with(slice_str(name), ".json"))
		return 0;
	snprintf(id, sizeof(id), "%.*s", (int)VS_MIN(strlen(name) - 5, sizeof(id) - 1), name);
	if (!snap_id_is_valid(id))
		return 0;
	if (list->count >= SNAPSHOTS_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u snapshots", SNAPSHOTS_MAX);
	list->entries = vs_grow(list->entries, &list->cap, list->count + 1, sizeof(*list->entries));
	list->entries[list->count++] = (struct snap_entry){ .id = vs_strdup(id) };
	return 0;
}

/* Those that cannot be loaded come first: they have no time. */
static int compare_entries(const void *a_, const void *b_)
{
	const struct snap_entry *a = a_;
	const struct snap_entry *b = b_;
	int64_t a_ns = a->m ? a->m->time_ns : INT64_MIN;
	int64_t b_ns = b->m ? b->m->time_ns : INT64_MIN;

	if (a_ns != b_ns)
		return a_ns < b_ns ? -1 : 1;
	return strcmp(a->id, b->id);
}

int snap_list_load(struct snap_list *out, int state_dirfd, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	int r;

	r = snap_place_open(state_dirfd, false, &place, err);
	if (r < 0 || place.manifests < 0)
		return r;
	r = file_list(place.manifests, add_id, out, err);
	for (size_t i = 0; r == 0 && i < out->count; i++) {
		struct vs_err why = { 0 };

		if (snap_load(state_dirfd, out->entries[i].id, &out->entries[i].m, &why) < 0)
			out->entries[i].why = vs_strdup(why.text);
	}
	if (r == 0 && out->count > 0)
		qsort(out->entries, out->count, sizeof(*out->entries), compare_entries);
	return r;
}

void snap_list_fini(struct snap_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->entries[i].id);
		free(list->entries[i].why);
		snap_manifest_freep(&list->entries[i].m);
	}
	free(list->entries);
	*list = (struct snap_list){ 0 };
}

const struct snap_manifest *snap_list_newest_good(const struct snap_list *list)
{
	for (size_t i = list->count; i > 0; i--) {
		const struct snap_manifest *m = list->entries[i - 1].m;

		if (m && snap_is_good(m))
			return m;
	}
	return NULL;
}
