/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The room's inside: heaps, label tables, the walk through one level, the graph that is built
 */

#include "hnsw/distance.h"
#include "hnsw/hnsw.h"

#include <math.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors are used where they lie");

/* Fill the fault; always returns 0, so that an opener ends with it. */
int hnsw_refuse(struct hnsw_fault *fault, enum hnsw_file file, uint64_t off, const char *fmt, ...)
	printf_(4, 5);

/* Set the sizes of @x from @h where they agree with each other. Returns 1, or 0 with the fault. */
int hnsw_take_sizes(const struct hnsw_header *h, struct hnsw_index *x, struct hnsw_fault *fault);

/* Find the lists of the first elements in @links, as far as they can be followed. */
must_check_ int hnsw_walk_links(struct slice links, struct hnsw_index *x, struct vs_err *err);

/* Where in the file the header's fields are. */
enum {
	HNSW_AT_VERSION = 0,
	HNSW_AT_OFFSET_LEVEL0 = 4,
	HNSW_AT_MAX_ELEMENTS = 12,
	HNSW_AT_COUNT = 20,
	HNSW_AT_RECORD_SIZE = 28,
	HNSW_AT_LABEL_OFFSET = 36,
	HNSW_AT_VECTOR_OFFSET = 44,
	HNSW_AT_MAX_LEVEL = 52,
	HNSW_AT_ENTRY = 56,
	HNSW_AT_MAX_M = 60,
	HNSW_AT_MAX_M0 = 68,
	HNSW_AT_M = 76,
	HNSW_AT_MULT = 84,
	HNSW_AT_EF_CONSTRUCTION = 92,
};

static inline void store_le32(unsigned char *p, uint32_t value)
{
	memcpy(p, &value, sizeof(value));
}

static inline void store_le64(unsigned char *p, uint64_t value)
{
	memcpy(p, &value, sizeof(value));
}

/* ---- heaps: the largest distance first, equal ones by the larger id ---- */

static inline bool hnsw_is_farther(struct hnsw_hit a, struct hnsw_hit b)
{
	return a.distance > b.distance || (a.distance == b.distance && a.id > b.id);
}

/* Room for one more is the caller's matter. */
void hnsw_heap_push(struct hnsw_hit *heap, size_t *count, struct hnsw_hit hit);
struct hnsw_hit hnsw_heap_pop(struct hnsw_hit *heap, size_t *count);
/* Keep the @limit nearest: push, or replace the farthest where it is farther. */
void hnsw_heap_offer(struct hnsw_hit *heap, size_t *count, size_t limit, struct hnsw_hit hit);
/* Turn the heap into an array, nearest first. */
void hnsw_heap_sort(struct hnsw_hit *heap, size_t count);

/* ---- label tables ---- */

struct hnsw_labels {
	struct hnsw_labels_slot *slots; /* owned */
	size_t size, used;
};

void hnsw_labels_fini(struct hnsw_labels *t);
/* Returns 1 when @label is new, 0 when it is not, with the id it came with, or VS_ENOMEM. */
must_check_ int hnsw_labels_add(struct hnsw_labels *t, uint64_t label, uint32_t id,
				uint32_t *earlier, struct vs_err *err);

/* ---- one level of the graph ---- */

/*
 * While a graph is built by several threads the links of an element are only touched with its lock
 * held: a byte that spins, as it is held for less than a microsecond most of the time.
 */
struct hnsw_locks {
	atomic_uchar *byte; /* owned; one per element */
};

void hnsw_lock(struct hnsw_locks *locks, uint32_t id);
void hnsw_unlock(struct hnsw_locks *locks, uint32_t id);

/* ---- codes: a byte for each value ---- */

struct hnsw_code {
	float step;  /* of one in a byte */
	float term;  /* what the vector adds to each of its distances */
	float error; /* how far they are off, as a rule */
};

struct hnsw_codes {
	const struct hnsw_kernels *kernels;
	unsigned char *bytes; /* owned */
	int8_t *code;         /* in @bytes; @stride for each element, zeros behind the last value */
	struct hnsw_code *of; /* owned; by element */
	size_t stride;
	float base;   /* added to each distance */
	float factor; /* of the dot product: 2 for l2, else 1 */
	bool is_usable;
};

/* Not usable for short vectors, few elements, and values whose squares are no numbers. */
must_check_ int hnsw_codes_make(const struct hnsw_index *x, enum hnsw_space space,
				struct hnsw_codes *out, struct vs_err *err);
void hnsw_codes_fini(struct hnsw_codes *codes);

/* As hnsw_distance(), about. */
static inline float hnsw_code_distance(const struct hnsw_codes *c, uint32_t a, uint32_t b)
{
	int32_t dot = c->kernels->dot8(c->code + (size_t)a * c->stride,
				       c->code + (size_t)b * c->stride, c->stride);

	return c->base + c->of[a].term + c->of[b].term -
	       c->factor * c->of[a].step * c->of[b].step * (float)dot;
}

/* ---- walking ---- */

struct hnsw_searcher {
	const struct hnsw_index *index;
	enum hnsw_space space;
	const struct hnsw_kernels *kernels;
	struct hnsw_locks *locks; /* NULL where nobody writes */
	uint16_t *seen;           /* owned; the number of the walk that saw the element */
	uint16_t walk;
	struct hnsw_hit *open; /* owned; heap of what is still to be expanded, by -distance */
	struct hnsw_hit *best; /* owned; heap of the nearest so far */
	size_t open_count, best_count;
	uint32_t *links;                /* owned; of the element under the walk */
	const struct hnsw_codes *codes; /* or NULL: distances of element query_id by their codes */
	uint32_t query_id;
};

/* A distance that is no number is as far as can be. */
static inline float hnsw_far(float distance)
{
	return distance == distance ? distance : INFINITY;
}

static inline float hnsw_to(const struct hnsw_searcher *s, const float *query, uint32_t id)
{
	if (s->codes != NULL)
		return hnsw_code_distance(s->codes, s->query_id, id);
	return hnsw_far(hnsw_distance(s->kernels, s->space, query, hnsw_vector(s->index, id),
				      s->index->dim));
}

/* Nothing is seen yet. */
void hnsw_begin_walk(struct hnsw_searcher *s);

/*
 * Links of the element to elements not seen yet go to s->links; returns how many. They are seen then,
 * and memory fetches what their distances are measured by.
 */
uint32_t hnsw_unseen_links(struct hnsw_searcher *s, uint32_t id, uint32_t level,
			   const struct hnsw_codes *codes);

/* From @at, go to the nearest element on the levels from @level down to @to + 1. */
struct hnsw_hit hnsw_descend(struct hnsw_searcher *s, const float *query, struct hnsw_hit at,
			     uint32_t level, uint32_t to);

/*
 * The up to @ef nearest on @level that the graph leads to from @at, in s->best as a heap. Deleted
 * elements are passed through, and kept as well when @with_deleted is set.
 */
void hnsw_walk(struct hnsw_searcher *s, const float *query, struct hnsw_hit at, uint32_t level,
	       size_t ef, bool with_deleted);

/* ---- the graph ---- */

#define HNSW_BUILD_MAX (UINT32_C(1) << 31) /* elements that can be built */

/* Scratch of the choice of neighbours. */
struct hnsw_select {
	struct hnsw_hit *candidates; /* owned */
	size_t count, cap;
	uint32_t *chosen; /* owned */
	uint32_t chosen_count;
};

struct hnsw_graph {
	struct hnsw_params params;
	struct hnsw_index index; /* a view of what follows */
	const struct hnsw_kernels *kernels;
	uint64_t room;         /* elements */
	unsigned char *level0; /* owned */
	float *length;         /* owned */
	unsigned char *links;  /* owned; as link_lists.bin */
	size_t links_len;
	struct hnsw_locks locks;
	struct hnsw_codes codes;
	atomic_uchar *is_close; /* owned; neighbours lie closer together than codes can tell */
	struct hnsw_searcher **searchers; /* owned; one per thread */
	struct hnsw_select *selects;      /* owned; scratch of the choice of neighbours, the same */
	unsigned threads;
	size_t build_ef;
	bool is_linked;
};

/* The level that @seed gives to element @id. */
uint32_t hnsw_draw_level(uint64_t seed, uint32_t id, double mult);

/*
 * Lay out link_lists.bin for elements with the highest level that @levels gives to each, and make
 * the first of the highest ones the entry point.
 */
must_check_ int hnsw_graph_layout(struct hnsw_graph *g, const uint8_t *levels, struct vs_err *err);

/* Searchers and locks for the time of linking; codes only where @with_codes is set, as making them
 * takes as long as inserting a few elements in a hundred. */
must_check_ int hnsw_graph_prepare(struct hnsw_graph *g, bool with_codes, struct vs_err *err);
void hnsw_graph_done(struct hnsw_graph *g);

/* Link one element on its levels down to @bottom, as far as the entry point has them. */
void hnsw_graph_insert(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t bottom);

/* The same in two steps: hnsw_descend() by codes, and all levels from @top down, starting at @at. */
struct hnsw_hit hnsw_graph_descend(struct hnsw_graph *g, unsigned worker, uint32_t id,
				   struct hnsw_hit at, uint32_t level, uint32_t to);
void hnsw_graph_insert_at(struct hnsw_graph *g, unsigned worker, uint32_t id, uint32_t top,
			  uint32_t bottom, struct hnsw_hit at);

/* Link what nothing on level 0 leads to from the nearest that is reached. */
must_check_ int hnsw_graph_connect(struct hnsw_graph *g, struct vs_err *err);

/* Overwrite the links of an element. */
void hnsw_set_links(struct hnsw_graph *g, uint32_t id, uint32_t level, const uint32_t *links,
		    uint32_t count);

/* Bits of all elements that level-0 links lead to from the entry point; @bits is zeroed and big
 * enough, @queue has room for all elements. Returns how many there are. */
uint32_t hnsw_reach(const struct hnsw_index *x, uint32_t from, uint64_t *bits, uint32_t *queue);

static inline bool hnsw_bit(const uint64_t *bits, uint32_t id)
{
	return (bits[id / 64] >> (id % 64) & 1) != 0;
}

static inline void hnsw_bit_set(uint64_t *bits, uint32_t id)
{
	bits[id / 64] |= UINT64_C(1) << (id % 64);
}
