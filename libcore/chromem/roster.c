/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names in byte order, each with where it came from
 *
 * All names stand one behind the other in one buffer, and a row is 16 bytes, so that a million
 * documents with the usual ids take some 50 MB while their content is never in memory at once.
 */

#include "chromem/chromem.h"

struct row {
	uint64_t off; /* of the name in the buffer */
	uint32_t len;
	uint32_t index;
};

struct chromem_roster {
	struct buf names;
	struct row *rows;
	size_t count;
	size_t cap;
};

struct chromem_roster *chromem_roster_new(void)
{
	return vs_alloc(sizeof(struct chromem_roster));
}

void chromem_roster_freep(struct chromem_roster **roster)
{
	if (!*roster)
		return;
	buf_fini(&(*roster)->names);
	free((*roster)->rows);
	free(*roster);
	*roster = NULL;
}

static struct slice row_name(const struct chromem_roster *roster, const struct row *row)
{
	/* Where all names are empty there is no buffer. */
	return row->len > 0 ? slice_of(roster->names.ptr + row->off, row->len)
			    : (struct slice){ 0 };
}

int chromem_roster_add(struct chromem_roster *roster, struct slice name, size_t index,
		       struct vs_err *err)
{
	int r;

	if (name.len > UINT32_MAX || index > UINT32_MAX)
		return vs_fail(err, VS_ELIMIT, "a roster holds at most %" PRIu32 " names",
			       UINT32_MAX);
	r = buf_try_reserve(&roster->names, name.len, err);
	if (r < 0)
		return r;
	if (roster->count == roster->cap) {
		size_t cap = roster->cap > 0 ? roster->cap + roster->cap / 2 : 64;
		struct row *rows = reallocarray(roster->rows, cap, sizeof(*rows));

		if (!rows)
			return vs_fail(err, VS_ENOMEM, "no memory for a roster of %zu names", cap);
		roster->rows = rows;
		roster->cap = cap;
	}
	roster->rows[roster->count++] = (struct row){
		.off = roster->names.len,
		.len = (uint32_t)name.len,
		.index = (uint32_t)index,
	};
	buf_append(&roster->names, name.ptr, name.len);
	return 0;
}

static int compare_rows(const void *a, const void *b, void *roster)
{
	const struct row *left = a;
	const struct row *right = b;
	int r = slice_cmp(row_name(roster, left), row_name(roster, right));

	return r != 0 ? r : (left->index > right->index) - (left->index < right->index);
}

void chromem_roster_sort(struct chromem_roster *roster)
{
	struct row *rows = roster->rows;
	size_t kept = 0;

	if (roster->count == 0)
		return;
	qsort_r(rows, roster->count, sizeof(*rows), compare_rows, roster);
	for (size_t i = 0; i < roster->count; i++) {
		if (kept > 0 &&
		    slice_eq(row_name(roster, &rows[i]), row_name(roster, &rows[kept - 1])))
			kept--;
		rows[kept++] = rows[i];
	}
	roster->count = kept;
}

size_t chromem_roster_count(const struct chromem_roster *roster)
{
	return roster->count;
}

size_t chromem_roster_at(const struct chromem_roster *roster, size_t at, struct slice *name)
{
	assert(at < roster->count);
	if (name)
		*name = row_name(roster, &roster->rows[at]);
	return roster->rows[at].index;
}
