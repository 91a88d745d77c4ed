/* SPDX-License-Identifier: Apache-2.0 */

/* Removing one snapshot, and never what another one needs. */

#include "snap/private.h"

/* What can be needed must be known. */
static int refuse_unreadable(const struct snap_list *list, const char *id, struct vs_err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!list->entries[i].m && strcmp(list->entries[i].id, id) != 0)
			return vs_fail(
				err, VS_EBUSY,
				"snapshot %s cannot be read, so nobody knows whether it needs %s: %s",
				list->entries[i].id, id, list->entries[i].why);
	}
	return 0;
}

static int refuse_last_good(const struct snap_list *list, const char *id, struct vs_err *err)
{
	const struct snap_manifest *last = snap_list_newest_good(list);
	size_t good = 0;

	for (size_t i = 0; i < list->count; i++)
		good += list->entries[i].m && snap_is_good(list->entries[i].m);
	if (last && good == 1 && strcmp(last->id, id) == 0)
		return vs_fail(
			err, VS_EBUSY,
			"%s is the last good snapshot; give --force to remove it all the same", id);
	return 0;
}

static const struct snap_entry *find_id(const struct snap_list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->entries[i].id, id) == 0)
			return &list->entries[i];
	}
	return NULL;
}

int snap_delete(int state_dirfd, const char *id, const struct snap_delete_request *req,
		struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	cleanup_(buf_fini) struct buf who = { 0 };
	const struct snap_entry *entry;
	uint64_t removed = 0;
	int r;

	if (!snap_id_is_valid(id))
		return vs_fail(err, VS_EUSAGE, "not the name of a snapshot");
	r = snap_sweep(state_dirfd, &removed, err);
	if (r == 0)
		r = snap_list_load(&list, state_dirfd, err);
	if (r < 0)
		return r;
	entry = find_id(&list, id);
	if (!entry)
		return vs_fail(err, VS_ENOENT, "there is no snapshot %s", id);
	if (entry->m && entry->m->is_older)
		return vs_fail(err, VS_ENOTSUP,
			       "%s was made by the older tool: remove it with that", id);
	if (!req->force)
		r = refuse_last_good(&list, id, err);
	if (r == 0)
		r = refuse_unreadable(&list, id, err);
	if (r < 0)
		return r;
	if (snap_needed_by(&list, id, &who) > 0)
		return vs_fail(err, VS_EBUSY, "%s holds files of %s: remove these first", id,
			       buf_cstr(&who));
	return snap_withdraw(state_dirfd, id, err);
}
