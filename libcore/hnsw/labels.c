/* SPDX-License-Identifier: Apache-2.0 */

/* Which labels came before: open addressing, at most half full. */

#include "hnsw/graph.h"

struct hnsw_labels_slot {
	uint64_t label;
	uint32_t id_plus_1; /* 0: free */
};

void hnsw_labels_fini(struct hnsw_labels *t)
{
	free(t->slots);
	*t = (struct hnsw_labels){ 0 };
}

/* The slot that has @label or is free for it. Labels are dense, so they are spread first. */
static struct hnsw_labels_slot *find(const struct hnsw_labels *t, uint64_t label)
{
	size_t i = (size_t)(label * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (t->size - 1);

	while (t->slots[i].id_plus_1 != 0 && t->slots[i].label != label)
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static int grow(struct hnsw_labels *t, struct vs_err *err)
{
	struct hnsw_labels bigger = { .size = VS_MAX(t->size * 2, (size_t)1024), .used = t->used };

	bigger.slots = vs_try_alloc(bigger.size, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %zu labels", bigger.size);
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].id_plus_1 != 0)
			*find(&bigger, t->slots[i].label) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return 0;
}

int hnsw_labels_add(struct hnsw_labels *t, uint64_t label, uint32_t id, uint32_t *earlier,
		    struct vs_err *err)
{
	struct hnsw_labels_slot *slot;
	int r;

	if (t->used * 2 >= t->size) {
		r = grow(t, err);
		if (r < 0)
			return r;
	}
	slot = find(t, label);
	if (slot->id_plus_1 != 0) {
		*earlier = slot->id_plus_1 - 1;
		return 0;
	}
	slot->label = label;
	slot->id_plus_1 = id + 1;
	t->used++;
	return 1;
}
