/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tally: texts and how often each was seen, in bounded memory
 *
 * Texts are collected as they come and put in order now and then: equal ones become one, and when
 * more than a limit remain, those seen least go. No hash table, so no store can be made so that
 * its texts fall into one bucket. Internal to the room.
 */

#include "util/util.h"

struct tally_item {
	char *text; /* owned; @len bytes and a NUL */
	size_t len;
	uint64_t count;
	unsigned tags; /* of all its adds, together */
};

static inline struct slice tally_text(const struct tally_item *item)
{
	return slice_of(item->text, item->len);
}

/* Zeroed but for @limit (at least 1) is an empty one. */
struct tally {
	struct tally_item *items;
	size_t count, cap;
	size_t limit;
};

/* Count @text once more. */
void tally_add(struct tally *t, struct slice text, unsigned tag);

/* Put in order: each text once, most frequent first, then in byte order; at most the limit. */
void tally_settle(struct tally *t);

void tally_fini(struct tally *t);
