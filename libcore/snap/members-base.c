/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists that build on another: the rows of a whole list that still hold, and the others.
 *
 * A row holds when everything in it is as it was, but for what is numbered anew with each snapshot:
 * archives and collections, whose new numbers the list has once for all of them, and batches, which
 * follow from the times. What is built on is always a whole list, the parent's own or the one that
 * the parent's builds on. As changes pile up the differences grow, and a list of which too little
 * holds is written whole again.
 */

#include "snap/private.h"

/* At most one row of so many may differ. */
#define DIFFERING_ONE_IN 8

void snap_rows_fini(struct snap_rows *rows)
{
	for (size_t i = 0; i < rows->member_count; i++)
		free(rows->members[i].path);
	for (size_t i = 0; i < rows->directory_count; i++)
		free(rows->directories[i].path);
	free(rows->members);
	free(rows->directories);
	*rows = (struct snap_rows){ 0 };
}

/* ---- batches ---- */

struct aged {
	int64_t modified_ns;
	uint32_t collection, member;
};

/* The list is in the order of the paths, which decides between equal times. */
static int compare_aged(const void *a_, const void *b_)
{
	const struct aged *a = a_;
	const struct aged *b = b_;

	if (a->collection != b->collection)
		return a->collection < b->collection ? -1 : 1;
	if (a->modified_ns != b->modified_ns)
		return a->modified_ns < b->modified_ns ? -1 : 1;
	return (a->member > b->member) - (a->member < b->member);
}

uint32_t *snap_number_batches(const struct snap_manifest *m)
{
	cleanup_(vs_freep) struct aged *by_age = vs_alloc_array(m->member_count, sizeof(*by_age));
	uint32_t *out = vs_alloc_array(m->member_count, sizeof(*out));
	size_t count = 0, first = 0;

	for (size_t i = 0; i < m->member_count; i++) {
		const struct snap_member *member = &m->members[i];

		out[i] = SNAP_NO_BATCH;
		if (member->batch != SNAP_NO_BATCH)
			by_age[count++] = (struct aged){ member->modified_ns, member->collection,
							 (uint32_t)i };
	}
	if (count > 0)
		qsort(by_age, count, sizeof(*by_age), compare_aged);
	for (size_t i = 0; i < count; i++) {
		if (by_age[i].collection != by_age[first].collection)
			first = i;
		out[by_age[i].member] = (uint32_t)((i - first) / SNAP_BATCH_LEN);
	}
	return out;
}

/* ---- writing: what to build on ---- */

/* New numbers of the parent's archives and collections. */
struct renumbering {
	uint32_t *archives, *collections;
};

static void renumbering_fini(struct renumbering *n)
{
	free(n->archives);
	free(n->collections);
}

static void renumber(const struct snap_manifest *from, const struct snap_manifest *to,
		     struct renumbering *out)
{
	size_t k = 0;

	out->archives = vs_alloc_array(from->archive_count, sizeof(*out->archives));
	out->collections = vs_alloc_array(from->collection_count, sizeof(*out->collections));
	for (size_t i = 0; i < from->archive_count; i++) {
		out->archives[i] = UINT32_MAX;
		for (size_t at = 0; at < to->archive_count; at++) {
			if (strcmp(from->archives[i].file, to->archives[at].file) == 0)
				out->archives[i] = (uint32_t)at;
		}
	}
	/* Both are in the order of their directories. */
	for (size_t i = 0; i < from->collection_count; i++) {
		const char *directory = from->collections[i].directory;

		while (k < to->collection_count &&
		       strcmp(to->collections[k].directory, directory) < 0)
			k++;
		out->collections[i] = UINT32_MAX;
		if (k < to->collection_count &&
		    strcmp(to->collections[k].directory, directory) == 0)
			out->collections[i] = (uint32_t)k;
	}
}

static bool holds(const struct snap_member *old, const struct snap_member *now,
		  const struct renumbering *n)
{
	uint32_t collection =
		old->collection == UINT32_MAX ? UINT32_MAX : n->collections[old->collection];

	return old->row != SNAP_NO_ROW && old->size == now->size && old->inode == now->inode &&
	       old->modified_ns == now->modified_ns && old->mode == now->mode &&
	       n->archives[old->archive] == now->archive && collection == now->collection &&
	       (collection == UINT32_MAX) == (old->collection == UINT32_MAX) &&
	       (old->batch == SNAP_NO_BATCH) == (now->batch == SNAP_NO_BATCH) &&
	       memcmp(&old->digest, &now->digest, sizeof(old->digest)) == 0;
}

/* Number the rows that hold; how many these are. */
static size_t find_rows(struct snap_manifest *m, const struct snap_manifest *parent,
			const struct renumbering *n)
{
	size_t at = 0, count = 0;

	for (size_t i = 0; i < m->member_count; i++) {
		struct snap_member *member = &m->members[i];
		int order = 1;

		while (at < parent->member_count &&
		       (order = snap_path_cmp(parent->members[at].path, member->path)) < 0)
			at++;
		member->row = SNAP_NO_ROW;
		if (order == 0 && holds(&parent->members[at], member, n)) {
			member->row = parent->members[at].row;
			count++;
		}
	}
	return count;
}

/* The numbers of what the parent builds on, by way of the parent's. */
static uint32_t *follow(const uint32_t *first, size_t count, const uint32_t *then)
{
	uint32_t *out = vs_alloc_array(count, sizeof(*out));

	for (size_t i = 0; i < count; i++) {
		uint32_t middle = first ? first[i] : (uint32_t)i;

		out[i] = middle == UINT32_MAX ? UINT32_MAX : then[middle];
	}
	return out;
}

static void build_on(struct snap_manifest *m, const struct snap_manifest *parent, size_t row_count,
		     const struct renumbering *n)
{
	const struct snap_base *from = &parent->base;
	struct snap_base *to = &m->base;
	bool is_whole = !from->snapshot;

	to->snapshot = vs_strdup(is_whole ? parent->id : from->snapshot);
	to->size = is_whole ? parent->members_size : from->size;
	to->digest = is_whole ? parent->members_digest : from->digest;
	to->row_count = row_count;
	to->archive_count = is_whole ? parent->archive_count : from->archive_count;
	to->collection_count = is_whole ? parent->collection_count : from->collection_count;
	to->archives = follow(from->archives, to->archive_count, n->archives);
	to->collections = follow(from->collections, to->collection_count, n->collections);
}

void snap_base_choose(struct snap_manifest *m, const struct snap_manifest *parent)
{
	cleanup_(renumbering_fini) struct renumbering n = { 0 };
	size_t row_count, kept;

	if (!parent || !m->parent)
		return;
	row_count = parent->base.snapshot ? parent->base.row_count : parent->member_count;
	renumber(parent, m, &n);
	kept = find_rows(m, parent, &n);
	if (m->member_count - kept + row_count - kept <= row_count / DIFFERING_ONE_IN)
		build_on(m, parent, row_count, &n);
}

/* ---- reading ---- */

static int bad_base(const char *what, const char *path, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "the list of files and what it builds on: %s%s%s", what,
		       path ? " at " : "", path ? path : "");
}

static int take_member(struct snap_manifest *m, struct snap_member *from, struct vs_err *err)
{
	if (m->member_count > 0 &&
	    snap_path_cmp(m->members[m->member_count - 1].path, from->path) >= 0)
		return bad_base("twice the same file", from->path, err);
	m->members[m->member_count++] = *from;
	from->path = NULL;
	return 0;
}

/* A row of the base, with its numbers in this list. */
static int take_over(struct snap_manifest *m, struct snap_member *from, size_t row,
		     struct vs_err *err)
{
	const struct snap_base *base = &m->base;

	from->row = (uint32_t)row;
	from->archive = base->archives[from->archive];
	if (from->archive == UINT32_MAX)
		return bad_base("no archive", from->path, err);
	if (from->collection != UINT32_MAX) {
		from->collection = base->collections[from->collection];
		if (from->collection == UINT32_MAX)
			return bad_base("no collection", from->path, err);
	}
	return take_member(m, from, err);
}

/* Those of the rows that were read must agree with those that follow. */
static int settle_batches(struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(vs_freep) uint32_t *batches = snap_number_batches(m);

	for (size_t i = 0; i < m->member_count; i++) {
		struct snap_member *member = &m->members[i];

		if ((member->row == SNAP_NO_ROW && member->batch != batches[i]) ||
		    (batches[i] != SNAP_NO_BATCH &&
		     batches[i] >= m->collections[member->collection].batches))
			return bad_base("another batch", member->path, err);
		member->batch = batches[i];
	}
	return 0;
}

int snap_base_merge(struct snap_manifest *m, struct snap_rows *base, const struct snap_range *gone,
		    size_t gone_count, struct snap_rows *rows, struct vs_err *err)
{
	size_t own = 0;
	int r = 0;

	m->members = vs_alloc_array(base->member_count + rows->member_count, sizeof(*m->members));
	m->base.row_count = base->member_count;
	for (size_t row = 0; r == 0 && row < base->member_count; row++) {
		struct snap_member *from = &base->members[row];

		if (gone_count > 0 && row >= gone->first) {
			bool is_last = row - gone->first == gone->count - 1;

			gone += is_last;
			gone_count -= is_last;
			continue;
		}
		while (r == 0 && own < rows->member_count &&
		       snap_path_cmp(rows->members[own].path, from->path) < 0)
			r = take_member(m, &rows->members[own++], err);
		if (r == 0)
			r = take_over(m, from, row, err);
	}
	if (r == 0 && gone_count > 0)
		r = bad_base("more rows are gone than there are", NULL, err);
	while (r == 0 && own < rows->member_count)
		r = take_member(m, &rows->members[own++], err);
	return r == 0 ? settle_batches(m, err) : r;
}
