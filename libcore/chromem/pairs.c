/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata entries, in the order of the file. Go puts them into a map, so that of two with one key
 * the last counts.
 */

#include "chromem/read.h"

void pairs_fini(struct pairs *pairs)
{
	free(pairs->at);
	free(pairs->table);
}

static int pairs_add(struct pairs *pairs, struct slice key, struct vs_err *err)
{
	size_t cap = VS_MAX(pairs->cap * 2, (size_t)32);
	struct chromem_pair *grown;

	if (pairs->count >= CHROMEM_PAIRS_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u metadata entries", CHROMEM_PAIRS_MAX);
	if (pairs->count == pairs->cap) {
		grown = reallocarray(pairs->at, cap, sizeof(*grown));
		if (!grown)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu metadata entries", cap);
		pairs->at = grown;
		pairs->cap = cap;
	}
	pairs->at[pairs->count++] = (struct chromem_pair){ .key = key };
	return 0;
}

int pairs_take(struct pairs *pairs, const struct gob_event *event, struct vs_err *err)
{
	if (event->shape->tag == TAG_KEY)
		return pairs_add(pairs, event->bytes, err);
	pairs->at[pairs->count - 1].value = event->bytes;
	return 0;
}

/* Move the pair at @from to @to, or give its value to the one at @same that has its key. */
static void settle_one(struct pairs *pairs, size_t from, size_t *to, size_t same)
{
	if (same == *to) {
		pairs->at[(*to)++] = pairs->at[from];
		return;
	}
	if (!pairs->repeated.ptr)
		pairs->repeated = pairs->at[from].key;
	pairs->at[same].value = pairs->at[from].value;
}

static void settle_few(struct pairs *pairs)
{
	size_t to = 0, same;

	for (size_t from = 0; from < pairs->count; from++) {
		for (same = 0; same < to; same++) {
			if (slice_eq(pairs->at[same].key, pairs->at[from].key))
				break;
		}
		settle_one(pairs, from, &to, same);
	}
	pairs->count = to;
}

static uint32_t key_hash(struct slice key)
{
	uint32_t hash = UINT32_C(2166136261);

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ key.ptr[i]) * UINT32_C(16777619);
	return hash ^ hash >> 15;
}

/* The same for any number, by way of a table of positions plus one. */
static void settle_many(struct pairs *pairs, size_t mask)
{
	size_t to = 0, same, slot;

	for (size_t from = 0; from < pairs->count; from++) {
		slot = key_hash(pairs->at[from].key) & mask;
		while (pairs->table[slot] != 0 &&
		       !slice_eq(pairs->at[pairs->table[slot] - 1].key, pairs->at[from].key))
			slot = (slot + 1) & mask;
		same = pairs->table[slot] != 0 ? pairs->table[slot] - 1 : to;
		if (same == to)
			pairs->table[slot] = (uint32_t)to + 1;
		settle_one(pairs, from, &to, same);
	}
	pairs->count = to;
}

int pairs_settle(struct pairs *pairs, struct vs_err *err)
{
	size_t count = pairs->count, size = 64;
	uint32_t *grown;

	pairs->repeated = (struct slice){ 0 };
	if (count <= 16) {
		settle_few(pairs);
		return 0;
	}
	while (size < count * 2)
		size *= 2;
	if (size > pairs->table_cap) {
		grown = reallocarray(pairs->table, size, sizeof(*grown));
		if (!grown)
			return vs_fail(err, VS_ENOMEM, "no memory for %zu metadata keys", count);
		pairs->table = grown;
		pairs->table_cap = size;
	}
	memset(pairs->table, 0, size * sizeof(*pairs->table));
	settle_many(pairs, size - 1);
	return 0;
}
