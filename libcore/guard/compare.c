/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two censuses of a store held against each other, document by document: both are in the order of
 * their ids, so one walk over each collection does. A document counts once, however often its id is
 * there.
 */

#include "guard/guard.h"

struct comparing {
	const struct guard_census *before, *after;
	size_t *match; /* of each collection after, the one before; SIZE_MAX: it is new */
	bool by_count;
	struct guard_change *out;
};

void guard_change_fini(struct guard_change *change)
{
	free(change->rows);
	free(change->keys);
}

static enum guard_kind kind_at(const struct guard_document *d, size_t key)
{
	return (enum guard_kind)(d->kinds[key / 2] >> key % 2 * 4 & 15);
}

/* ---- which collection is which ---- */

static bool is_taken(const struct comparing *c, size_t before)
{
	for (size_t i = 0; i < c->after->count; i++) {
		if (c->match[i] == before)
			return true;
	}
	return false;
}

/* By its directory or UUID; else by its name, as of one that was made anew. */
static void match_collections(struct comparing *c)
{
	for (size_t i = 0; i < c->after->count; i++) {
		const struct guard_collection *now = &c->after->collections[i];

		c->match[i] = SIZE_MAX;
		for (size_t k = 0; k < c->before->count && c->match[i] == SIZE_MAX; k++) {
			if (strcmp(now->id, c->before->collections[k].id) == 0)
				c->match[i] = k;
		}
	}
	for (size_t i = 0; i < c->after->count; i++) {
		const struct guard_collection *now = &c->after->collections[i];

		for (size_t k = 0;
		     k < c->before->count && c->match[i] == SIZE_MAX && now->name.len > 0; k++) {
			if (slice_eq(now->name, c->before->collections[k].name) && !is_taken(c, k))
				c->match[i] = k;
		}
	}
}

/* ---- documents ---- */

static size_t unique_count(const struct guard_collection *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += i == 0 || c->documents[i].id != c->documents[i - 1].id;
	return count;
}

static bool has_document(const struct guard_collection *c, uint64_t id)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->documents[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->count && c->documents[low].id == id;
}

static bool has_moved(const struct comparing *c, uint64_t id)
{
	for (size_t i = 0; i < c->after->count; i++) {
		if (c->match[i] == SIZE_MAX && has_document(&c->after->collections[i], id))
			return true;
	}
	return false;
}

/* The keys of a collection before, with where they stand in the one after. */
struct keys {
	const struct guard_collection *before, *after;
	size_t at[GUARD_KEYS_MAX]; /* SIZE_MAX: no document has it any more */
	struct guard_key_change changes[GUARD_KEYS_MAX];
};

static void keys_init(struct keys *k, const struct guard_collection *before,
		      const struct guard_collection *after)
{
	k->before = before;
	k->after = after;
	for (size_t i = 0; i < before->key_count; i++) {
		k->at[i] = SIZE_MAX;
		for (size_t j = 0; j < after->key_count; j++) {
			if (slice_eq(before->keys[i], after->keys[j]))
				k->at[i] = j;
		}
		k->changes[i] = (struct guard_key_change){ .collection = before->id,
							   .name = before->name,
							   .key = before->keys[i] };
	}
}

/*
 * A text may spell a number today, so only what was a number, a truth or a list and is none any more
 * has changed, and what was something and is empty.
 */
static bool is_other_kind(enum guard_kind before, enum guard_kind after)
{
	if (before == after || before == GUARD_KIND_EMPTY || before == GUARD_KIND_NULL)
		return false;
	return before != GUARD_KIND_TEXT || after == GUARD_KIND_EMPTY || after == GUARD_KIND_NULL ||
	       after == GUARD_KIND_LIST;
}

static void compare_keys(struct keys *k, const struct guard_document *before,
			 const struct guard_document *after)
{
	for (size_t i = 0; i < k->before->key_count; i++) {
		enum guard_kind was = kind_at(before, i);
		enum guard_kind is =
			k->at[i] == SIZE_MAX ? GUARD_KIND_ABSENT : kind_at(after, k->at[i]);
		struct guard_key_change *change = &k->changes[i];

		if (was == GUARD_KIND_ABSENT)
			continue;
		change->had++;
		if (is == GUARD_KIND_ABSENT) {
			change->lost++;
		} else if (is_other_kind(was, is)) {
			change->changed++;
			change->from = was;
			change->to = is;
		}
	}
}

static void keys_end(struct comparing *c, struct keys *k)
{
	struct guard_change *out = c->out;

	/* Where the table was full, a key may only be past its end. */
	if (k->after->key_count == GUARD_KEYS_MAX)
		return;
	for (size_t i = 0; i < k->before->key_count; i++) {
		const struct guard_key_change *change = &k->changes[i];

		if (change->lost == 0 && change->changed == 0)
			continue;
		out->keys =
			vs_grow(out->keys, &out->key_cap, out->key_count + 1, sizeof(*out->keys));
		out->keys[out->key_count++] = *change;
	}
}

static void compare_vectors(struct guard_row *row, const struct guard_document *before,
			    const struct guard_document *after)
{
	if (before->vector == GUARD_VECTOR_SOUND) {
		row->zeroed += after->vector == GUARD_VECTOR_ZERO;
		row->not_finite += after->vector == GUARD_VECTOR_NOT_FINITE;
		row->without += after->vector == GUARD_VECTOR_NONE;
	}
	row->redimensioned += before->dimension != after->dimension && before->dimension > 0 &&
			      after->dimension > 0;
}

/* A document that is new has no vector to compare with: a zero one is wrong all the same. */
static void judge_new(struct guard_row *row, const struct guard_document *after)
{
	row->gained++;
	row->zeroed += after->vector == GUARD_VECTOR_ZERO;
	row->not_finite += after->vector == GUARD_VECTOR_NOT_FINITE;
}

static void compare_documents(struct comparing *c, struct guard_row *row,
			      const struct guard_collection *before,
			      const struct guard_collection *after)
{
	struct keys keys;
	size_t i = 0, k = 0;

	keys_init(&keys, before, after);
	while (i < before->count || k < after->count) {
		const struct guard_document *was = i < before->count ? &before->documents[i] : NULL;
		const struct guard_document *is = k < after->count ? &after->documents[k] : NULL;

		if (is && k > 0 && is->id == after->documents[k - 1].id) {
			k++;
		} else if (was && i > 0 && was->id == before->documents[i - 1].id) {
			i++;
		} else if (was && is && was->id == is->id) {
			compare_vectors(row, was, is);
			compare_keys(&keys, was, is);
			i++;
			k++;
		} else if (was && (!is || was->id < is->id)) {
			bool moved = has_moved(c, was->id);

			row->moved += moved;
			row->lost += !moved;
			i++;
		} else {
			assert(is);
			judge_new(row, is);
			k++;
		}
	}
	keys_end(c, &keys);
}

static uint64_t vectors_that_are(const struct guard_collection *c, enum guard_vector state)
{
	uint64_t count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += c->documents[i].vector == state;
	return count;
}

static uint64_t more_than(uint64_t after, uint64_t before)
{
	return after > before ? after - before : 0;
}

/* Numbers only, for migrations that give documents other ids. */
static void compare_counts(struct guard_row *row, const struct guard_collection *before,
			   const struct guard_collection *after)
{
	row->lost = more_than(row->before, row->after);
	row->gained = more_than(row->after, row->before);
	row->zeroed = more_than(vectors_that_are(after, GUARD_VECTOR_ZERO),
				vectors_that_are(before, GUARD_VECTOR_ZERO));
	row->not_finite = more_than(vectors_that_are(after, GUARD_VECTOR_NOT_FINITE),
				    vectors_that_are(before, GUARD_VECTOR_NOT_FINITE));
	row->without = more_than(vectors_that_are(after, GUARD_VECTOR_NONE),
				 vectors_that_are(before, GUARD_VECTOR_NONE));
}

/* ---- all of it ---- */

static void compare_pair(struct comparing *c, const struct guard_collection *before,
			 const struct guard_collection *after)
{
	static const struct guard_collection none = { 0 };
	struct guard_row *row = &c->out->rows[c->out->count++];
	const struct guard_collection *either = before ? before : after;

	assert(either);
	*row = (struct guard_row){
		.id = either->id,
		.name = either->name,
		.is_gone = !after,
		.is_new = !before,
		.before = before ? unique_count(before) : 0,
		.after = after ? unique_count(after) : 0,
	};
	if (c->by_count)
		compare_counts(row, before ? before : &none, after ? after : &none);
	else
		compare_documents(c, row, before ? before : &none, after ? after : &none);
	c->out->before += row->before;
	c->out->after += row->after;
	c->out->lost += row->lost;
	c->out->moved += row->moved;
	c->out->gained += row->gained;
}

static void compare_errors(struct comparing *c)
{
	size_t k = 0;

	for (size_t i = 0; i < c->after->error_count; i++) {
		uint64_t key = c->after->errors[i];

		while (k < c->before->error_count && c->before->errors[k] < key)
			k++;
		if (k < c->before->error_count && c->before->errors[k] == key)
			k++;
		else
			c->out->new_errors++;
	}
	c->out->first_error = c->after->first_error;
	c->out->is_less_loadable = c->after->summary.loadable > c->before->summary.loadable;
}

void guard_compare(const struct guard_census *before, const struct guard_census *after,
		   bool by_count, struct guard_change *out)
{
	cleanup_(vs_freep) size_t *match = vs_alloc_array(after->count + 1, sizeof(*match));
	struct comparing c = { before, after, match, by_count, out };

	*out = (struct guard_change){ 0 };
	out->rows = vs_alloc_array(before->count + after->count + 1, sizeof(*out->rows));
	match_collections(&c);
	for (size_t i = 0; i < before->count; i++) {
		const struct guard_collection *now = NULL;

		for (size_t k = 0; k < after->count; k++) {
			if (match[k] == i)
				now = &after->collections[k];
		}
		compare_pair(&c, &before->collections[i], now);
	}
	for (size_t k = 0; k < after->count; k++) {
		if (match[k] == SIZE_MAX)
			compare_pair(&c, NULL, &after->collections[k]);
	}
	compare_errors(&c);
}
