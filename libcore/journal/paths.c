/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last step that concerns each path. Plans of a hundred thousand steps are real (a collection
 * whose documents are all rewritten), so asking must not mean reading all of them.
 */

#include "journal/journal-private.h"

struct path_slot {
	struct slice path; /* ptr NULL: free */
	size_t step;
};

void path_index_fini(struct path_index *x)
{
	free(x->slots);
	*x = (struct path_index){ 0 };
}

/* FNV-1a; the paths are our own or a plan's, and a bad spread costs time only. */
static uint64_t spread(struct slice path)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < path.len; i++)
		h = (h ^ path.ptr[i]) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

static struct path_slot *find_slot(const struct path_index *x, struct slice path)
{
	size_t at = (size_t)spread(path) & (x->cap - 1);

	while (x->slots[at].path.ptr && !slice_eq(x->slots[at].path, path))
		at = (at + 1) & (x->cap - 1);
	return &x->slots[at];
}

static void grow(struct path_index *x)
{
	struct path_index bigger = { .cap = x->cap > 0 ? 2 * x->cap : 64, .count = x->count };

	bigger.slots = vs_alloc_array(bigger.cap, sizeof(*bigger.slots));
	for (size_t i = 0; i < x->cap; i++) {
		if (x->slots[i].path.ptr)
			*find_slot(&bigger, x->slots[i].path) = x->slots[i];
	}
	free(x->slots);
	*x = bigger;
}

void path_index_note(struct path_index *x, struct slice path, size_t step)
{
	struct path_slot *slot;

	if (2 * (x->count + 1) > x->cap)
		grow(x);
	slot = find_slot(x, path);
	x->count += slot->path.ptr == NULL;
	*slot = (struct path_slot){ path, step };
}

bool path_index_find(const struct path_index *x, struct slice path, size_t *step)
{
	const struct path_slot *slot;

	if (x->cap == 0)
		return false;
	slot = find_slot(x, path);
	if (!slot->path.ptr)
		return false;
	*step = slot->step;
	return true;
}

void path_index_note_all(struct path_index *x, const char *path, size_t step)
{
	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/'))
		path_index_note(x, slice_of(path, (size_t)(end - path)), step);
	path_index_note(x, slice_str(path), step);
}
