/* SPDX-License-Identifier: Apache-2.0 */

/* Removing one snapshot, and never what another one needs: its archive stays as long as any list
 * names it. */

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

/* Of its store: the good ones of another are no way back for this one. */
static int refuse_last_good(const struct snap_list *list, const char *id,
			    const struct snap_manifest *m, struct vs_err *err)
{
	size_t good = 0;

	for (size_t i = 0; m && i < list->count; i++) {
		const struct snap_manifest *other = list->entries[i].m;

		good += other && snap_is_good(other) &&
			strcmp(other->store_path, m->store_path) == 0;
	}
	if (m && snap_is_good(m) && good == 1)
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
		r = refuse_last_good(&list, id, entry->m, err);
	if (r == 0)
		r = refuse_unreadable(&list, id, err);
	return r == 0 ? snap_withdraw(state_dirfd, id, err) : r;
}
