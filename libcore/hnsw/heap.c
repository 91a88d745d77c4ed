/* SPDX-License-Identifier: Apache-2.0 */

/* Binary heaps of hits, the farthest on top. */

#include "hnsw/graph.h"

void hnsw_heap_push(struct hnsw_hit *heap, size_t *count, struct hnsw_hit hit)
{
	size_t i = (*count)++;

	while (i > 0 && hnsw_is_farther(hit, heap[(i - 1) / 2])) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = hit;
}

/* Let @hit sink from the top of a heap of @count whose top is free. */
static void sink(struct hnsw_hit *heap, size_t count, struct hnsw_hit hit)
{
	size_t i = 0;
	size_t child;

	while ((child = 2 * i + 1) < count) {
		if (child + 1 < count && hnsw_is_farther(heap[child + 1], heap[child]))
			child++;
		if (!hnsw_is_farther(heap[child], hit))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = hit;
}

struct hnsw_hit hnsw_heap_pop(struct hnsw_hit *heap, size_t *count)
{
	struct hnsw_hit farthest = heap[0];

	if (--*count > 0)
		sink(heap, *count, heap[*count]);
	return farthest;
}

void hnsw_heap_offer(struct hnsw_hit *heap, size_t *count, size_t limit, struct hnsw_hit hit)
{
	if (*count < limit)
		hnsw_heap_push(heap, count, hit);
	else if (limit > 0 && hnsw_is_farther(heap[0], hit))
		sink(heap, *count, hit);
}

void hnsw_heap_sort(struct hnsw_hit *heap, size_t count)
{
	while (count > 1) {
		struct hnsw_hit farthest = hnsw_heap_pop(heap, &count);

		heap[count] = farthest;
	}
}
