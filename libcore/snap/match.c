/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What has changed since the parent snapshot. A file of the same size, time and inode is believed
 * to be the same, unless it was written so shortly before the parent was made that a later write
 * could carry the same time; all others are read, and stored when their digest differs.
 */

#include "snap/making.h"

/* Times of files are as coarse as the kernel's tick, and on some file systems two seconds. */
#define SETTLED_NS (INT64_C(2) * 1000000000)

static bool archives_are_there(const struct making *mk, const struct snap_manifest *m)
{
	for (size_t i = 0; i < m->archive_count; i++) {
		struct file_info info;
		struct vs_err err = { 0 };

		if (file_stat_at(mk->place.snapshots, m->archives[i].file, FILE_NO_FOLLOW, &info,
				 &err) < 0 ||
		    info.type != FILE_REGULAR || info.size != m->archives[i].size)
			return false;
		/* Who has the key of one has that of all, or none of them needs one. */
		if (m->archives[i].is_sealed != (mk->req->key != NULL))
			return false;
	}
	return true;
}

int making_find_parent(struct making *mk, struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	int r;

	if (mk->req->full)
		return 0;
	r = snap_list_load(&list, mk->state_dirfd, err);
	if (r < 0)
		return r;
	for (size_t i = list.count; i > 0; i--) {
		struct snap_manifest *m = list.entries[i - 1].m;
		struct vs_err why = { 0 };

		if (!m || m->is_older || m->status == SNAP_FAILED ||
		    strcmp(m->store_kind, mk->m->store_kind) != 0 ||
		    strcmp(m->store_path, mk->m->store_path) != 0)
			continue;
		if (!archives_are_there(mk, m) || snap_load_members(mk->state_dirfd, m, &why) < 0)
			continue;
		mk->parent = VS_TAKE(list.entries[i - 1].m);
		return 0;
	}
	return 0;
}

void making_match(struct making *mk)
{
	const struct snap_manifest *p = mk->parent;

	for (size_t i = 0, at = 0; i < mk->listing.file_count; i++) {
		struct item *item = &mk->items[i];
		const struct file_info *info = &mk->listing.files[i].info;
		const struct snap_member *before =
			p ? snap_next_member_at(p, &at, mk->listing.files[i].path) : NULL;

		*item = (struct item){ .found = &mk->listing.files[i],
				       .before = before,
				       .info = *info,
				       .must_read = true };
		if (!before || mk->req->rehash || before->size != info->size ||
		    before->modified_ns != info->modified_ns || before->inode != info->inode ||
		    before->modified_ns > p->time_ns - SETTLED_NS)
			continue;
		item->must_read = false;
		item->digest = before->digest;
	}
}

size_t making_chain(const struct making *mk)
{
	cleanup_(vs_freep) bool *is_needed = NULL;
	size_t count = 0;

	if (!mk->parent)
		return 0;
	is_needed = vs_alloc_array(mk->parent->archive_count, sizeof(*is_needed));
	for (size_t i = 0; i < mk->listing.file_count; i++) {
		const struct item *item = &mk->items[i];

		if (!item->is_stored && !item->is_gone && item->before)
			is_needed[item->before->archive] = true;
	}
	for (size_t i = 0; i < mk->parent->archive_count; i++)
		count += is_needed[i];
	return count;
}
