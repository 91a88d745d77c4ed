/* SPDX-License-Identifier: Apache-2.0 */

/* Texts and how often each was seen. */

#include "lookup/tally.h"

static int by_text(const void *a_, const void *b_)
{
	const struct tally_item *a = a_, *b = b_;

	return slice_cmp(tally_text(a), tally_text(b));
}

static int by_count(const void *a_, const void *b_)
{
	const struct tally_item *a = a_, *b = b_;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return by_text(a_, b_);
}

/* Make neighbours with the same text one. */
static void merge(struct tally *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct tally_item *last = kept > 0 ? &t->items[kept - 1] : NULL;

		if (last && slice_eq(tally_text(last), tally_text(&t->items[i]))) {
			last->count += t->items[i].count;
			last->tags |= t->items[i].tags;
			free(t->items[i].text);
		} else {
			t->items[kept++] = t->items[i];
		}
	}
	t->count = kept;
}

void tally_settle(struct tally *t)
{
	if (!t->items)
		return;
	qsort(t->items, t->count, sizeof(*t->items), by_text);
	merge(t);
	qsort(t->items, t->count, sizeof(*t->items), by_count);
	while (t->count > t->limit)
		free(t->items[--t->count].text);
}

void tally_add(struct tally *t, struct slice text, unsigned tag)
{
	struct tally_item *last = t->count > 0 ? &t->items[t->count - 1] : NULL;

	/* Documents of one collection mostly say the same. */
	if (last && slice_eq(tally_text(last), text)) {
		last->count++;
		last->tags |= tag;
		return;
	}
	if (t->count >= 2 * t->limit)
		tally_settle(t);
	t->items = vs_grow(t->items, &t->cap, t->count + 1, sizeof(*t->items));
	t->items[t->count++] = (struct tally_item){
		.text = vs_strndup(text),
		.len = text.len,
		.count = 1,
		.tags = tag,
	};
}

void tally_fini(struct tally *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i].text);
	free(t->items);
	*t = (struct tally){ .limit = t->limit };
}
