/* SPDX-License-Identifier: Apache-2.0 */

/* A manifest in memory: made, looked into, freed. */

#include "snap/private.h"

const char *snap_status_name(enum snap_status status)
{
	static const char *const names[] = {
		[SNAP_CREATED] = "created",
		[SNAP_VERIFIED] = "verified",
		[SNAP_RESTORED] = "restored",
		[SNAP_FAILED] = "failed",
	};

	return names[status];
}

void snap_drop_members(struct snap_manifest *m)
{
	for (size_t i = 0; i < m->member_count; i++)
		free(m->members[i].path);
	for (size_t i = 0; i < m->directory_count; i++)
		free(m->directories[i].path);
	free(m->members);
	free(m->directories);
	free(m->base.archives);
	free(m->base.collections);
	m->members = NULL;
	m->directories = NULL;
	m->base.archives = NULL;
	m->base.collections = NULL;
	m->member_count = m->directory_count = 0;
	m->base.archive_count = m->base.collection_count = m->base.row_count = 0;
}

static void free_tables(struct snap_manifest *m)
{
	for (size_t i = 0; i < m->archive_count; i++) {
		free(m->archives[i].file);
		free(m->archives[i].snapshot);
	}
	for (size_t i = 0; i < m->collection_count; i++) {
		free(m->collections[i].directory);
		/* Owned here, borrowed everywhere else. */
		free((void *)(uintptr_t)m->collections[i].name.ptr);
	}
	for (size_t i = 0; i < m->skipped_count; i++) {
		free(m->skipped[i].path);
		free(m->skipped[i].why);
	}
	free(m->archives);
	free(m->collections);
	free(m->skipped);
}

void snap_manifest_freep(struct snap_manifest **m_)
{
	struct snap_manifest *m = *m_;

	if (!m)
		return;
	snap_drop_members(m);
	free_tables(m);
	free(m->id);
	free(m->tool_version);
	free(m->store_kind);
	free(m->store_path);
	free(m->parent);
	free(m->base.snapshot);
	free(m->error_message);
	free(m->reason);
	free(m->health.verdict);
	free(m->health.loadable);
	free(m->health.level);
	free(m->drill.message);
	free(m);
	*m_ = NULL;
}

bool snap_is_safety(const struct snap_manifest *m)
{
	return m->reason && strncmp(m->reason, SNAP_REASON_BEFORE, strlen(SNAP_REASON_BEFORE)) == 0;
}

bool snap_is_good(const struct snap_manifest *m)
{
	const struct snap_health *h = &m->health;

	if (m->status == SNAP_FAILED || (m->drill.time_ns != 0 && !m->drill.is_good))
		return false;
	if (m->is_older || snap_is_safety(m))
		return false;
	/* What was not checked is not known to be bad. */
	if (!h->verdict)
		return true;
	return h->errors == 0 && strcmp(h->verdict, "corrupt") != 0 &&
	       !(h->loadable && strcmp(h->loadable, "no") == 0);
}

const struct snap_member *snap_find_member(const struct snap_manifest *m, const char *path)
{
	size_t low = 0, high = m->member_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = snap_path_cmp(path, m->members[middle].path);

		if (r == 0)
			return &m->members[middle];
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct snap_member *snap_next_member_at(const struct snap_manifest *m, size_t *at,
					      const char *path)
{
	int order = -1;

	while (*at < m->member_count && (order = snap_path_cmp(m->members[*at].path, path)) < 0)
		(*at)++;
	return *at < m->member_count && order == 0 ? &m->members[*at] : NULL;
}

const struct snap_collection *snap_find_collection(const struct snap_manifest *m,
						   const char *wanted)
{
	for (size_t i = 0; i < m->collection_count; i++) {
		if (strcmp(m->collections[i].directory, wanted) == 0)
			return &m->collections[i];
	}
	/* Of two with one name the library serves the last. */
	for (size_t i = m->collection_count; i > 0; i--) {
		const struct snap_collection *c = &m->collections[i - 1];

		if (c->name.len > 0 && slice_eq_str(c->name, wanted))
			return c;
	}
	return NULL;
}
