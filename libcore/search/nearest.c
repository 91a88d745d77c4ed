/* SPDX-License-Identifier: Apache-2.0 */

/* The few nearest of many: a sorted list, into which hardly any of the many ever gets. */

#include "search/search-private.h"

void nearest_init(struct nearest *n, size_t limit, int (*tie)(const void *ctx, size_t a, size_t b),
		  const void *ctx)
{
	*n = (struct nearest){ .limit = limit, .tie = tie, .ctx = ctx };
	n->row = vs_alloc_array(limit, sizeof(*n->row));
}

void nearest_fini(struct nearest *n)
{
	free(n->row);
}

static bool comes_before(const struct nearest *n, const struct ranked *a, const struct ranked *b)
{
	if (a->key < b->key || b->key < a->key)
		return a->key < b->key;
	return n->tie(n->ctx, a->row, b->row) < 0;
}

void nearest_offer(struct nearest *n, float key, size_t row)
{
	const struct ranked offered = { key, row };
	size_t at = n->count;

	if (n->count == n->limit && !comes_before(n, &offered, &n->row[n->count - 1]))
		return;
	if (n->count == n->limit)
		at--;
	else
		n->count++;
	for (; at > 0 && comes_before(n, &offered, &n->row[at - 1]); at--)
		n->row[at] = n->row[at - 1];
	n->row[at] = offered;
}
