/* SPDX-License-Identifier: Apache-2.0 */

/* Names by the batch through the hash engine, and the wanted ones out of it. */

#include "lookup/search.h"

/* ---- the sieve ---- */

void sieve_init(struct sieve *s, const uint32_t *sorted, size_t count)
{
	*s = (struct sieve){ .count = count };
	s->hashes = vs_alloc_array(VS_MAX(count, (size_t)1), sizeof(*s->hashes));
	for (size_t i = 0; i < count; i++) {
		uint32_t head = sorted[i] >> (32 - SIEVE_BITS);

		s->hashes[i] = sorted[i];
		s->heads[head >> 6] |= UINT64_C(1) << (head & 63);
	}
}

void sieve_fini(struct sieve *s)
{
	free(s->hashes);
	*s = (struct sieve){ 0 };
}

static bool is_wanted(const struct sieve *s, uint32_t hash)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->hashes[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->count && s->hashes[low] == hash;
}

size_t sieve_next(const struct sieve *s, const uint32_t *hashes, size_t from, size_t count)
{
	for (; from < count; from++) {
		uint32_t head = hashes[from] >> (32 - SIEVE_BITS);

		if ((s->heads[head >> 6] >> (head & 63) & 1) != 0 && is_wanted(s, hashes[from]))
			break;
	}
	return from;
}

/* ---- hits ---- */

void hits_add(struct hits *h, uint32_t hash, struct slice name, const struct origin *origin)
{
	if (h->count == HITS_MAX) {
		h->dropped++;
		return;
	}
	h->list = vs_grow(h->list, &h->cap, h->count + 1, sizeof(*h->list));
	h->list[h->count++] = (struct hit){
		.hash = hash,
		.name = vs_strndup(name),
		.len = name.len,
		.origin = *origin,
	};
}

void hits_fini(struct hits *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->list[i].name);
	free(h->list);
	*h = (struct hits){ 0 };
}

void hits_take(struct hits *to, struct hits *from)
{
	to->dropped += from->dropped;
	to->list = vs_grow(to->list, &to->cap, to->count + from->count, sizeof(*to->list));
	for (size_t i = 0; i < from->count; i++)
		to->list[to->count++] = from->list[i];
	from->count = 0;
	hits_fini(from);
}

void hits_sort(struct hits *h, int (*compare)(const void *a, const void *b))
{
	if (h->count > 0)
		qsort(h->list, h->count, sizeof(*h->list), compare);
}

/* ---- the trial ---- */

void trial_init(struct trial *t, const struct sieve *sieve, enum hash_engine engine,
		uint64_t budget)
{
	t->sieve = sieve;
	t->engine = engine;
	t->left = budget;
	t->tried = 0;
	t->hits = (struct hits){ 0 };
	t->count = 0;
	t->used = 0;
}

void trial_fini(struct trial *t)
{
	hits_fini(&t->hits);
}

static void hash_and_sieve(struct trial *t, const struct slice *names, const struct origin *origins,
			   size_t count)
{
	uint32_t hashes[TRIAL_NAMES];

	hash_names(t->engine, names, count, hashes);
	for (size_t i = sieve_next(t->sieve, hashes, 0, count); i < count;
	     i = sieve_next(t->sieve, hashes, i + 1, count))
		hits_add(&t->hits, hashes[i], names[i], &origins[i]);
	t->tried += count;
}

void trial_flush(struct trial *t)
{
	if (t->count > 0)
		hash_and_sieve(t, t->names, t->origins, t->count);
	t->count = 0;
	t->used = 0;
}

/* A name that would not fit among others. */
static void try_alone(struct trial *t, const struct slice *parts, size_t count,
		      const struct origin *origin)
{
	cleanup_(buf_fini) struct buf name = { 0 };
	struct slice whole;

	for (size_t i = 0; i < count; i++)
		buf_append(&name, parts[i].ptr, parts[i].len);
	whole = buf_slice(&name);
	hash_and_sieve(t, &whole, origin, 1);
}

bool trial_add(struct trial *t, const struct slice *parts, size_t count,
	       const struct origin *origin)
{
	unsigned char *to;
	size_t len = 0;

	if (t->left == 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > LOOKUP_NAME_MAX - len)
			return true;
		len += parts[i].len;
	}
	if (len == 0)
		return true;
	t->left--;
	if (t->count == TRIAL_NAMES || len > TRIAL_BYTES - t->used)
		trial_flush(t);
	if (len > TRIAL_BYTES) {
		try_alone(t, parts, count, origin);
		return true;
	}

	to = t->bytes + t->used;
	t->names[t->count] = slice_of(to, len);
	t->origins[t->count++] = *origin;
	t->used += len;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > 0)
			memcpy(to, parts[i].ptr, parts[i].len);
		to += parts[i].len;
	}
	return true;
}
