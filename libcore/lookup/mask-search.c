/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All names of a mask through the hash engine, by all workers.
 *
 * The places with more than one byte are of two sorts. Inner places make up a table of names that
 * stands in memory the whole time, padded and ready to be hashed: every combination of their bytes
 * once. Outer places are counted up, each step changing mostly one byte of every name in the table.
 * So the work beside hashing is about one store for each name.
 *
 *	mask  a b ?l ?l ?d	inner ?l ?d: 260 names	   outer ?l: 26 steps
 *
 * Steps are given to workers by the chunk. Where the end of a name does not fit into a padded
 * block beside the whole blocks of its fixed beginning, the same table holds bare names instead.
 */

#include "lookup/mask-places.h"
#include "lookup/search.h"

/* A table has at least as many names, if the mask has; then at most 256 times as many. */
#define TABLE_MIN 64

/* Names of a chunk, about: some hundredths of a second. */
#define CHUNK_NAMES (UINT64_C(1) << 20)

#define HASH_AT_ONCE 256

/* What all workers share. */
struct sweep {
	struct lookup *l;
	const struct mask *mask;
	size_t inner[MASK_LEN_MAX], inner_count;
	size_t outer[MASK_LEN_MAX], outer_count; /* the first is counted fastest */
	size_t table_count;                      /* names of a table */
	uint64_t steps;                          /* mask_size() / table_count */
	uint64_t chunk_steps, chunks;
	bool is_padded;            /* the table holds blocks */
	struct hash_prefix prefix; /* then: of the fixed beginning */
	size_t skip;               /* and that many bytes of it are not in the blocks */
	size_t stride;             /* from name to name in the table */
	struct worker *workers;
	unsigned worker_count;
	atomic_uint_fast64_t next_chunk;
	atomic_uint_fast64_t done; /* names */
};

struct worker {
	unsigned char *table;
	struct slice *names; /* where there are no blocks: the table, name by name */
	size_t digit[MASK_LEN_MAX];
	struct hits hits;
};

/* ---- planning ---- */

/* The last places that vary go into the table until it is large enough. */
static void choose_places(struct sweep *s)
{
	s->table_count = 1;
	for (size_t i = s->mask->len; i-- > 0;) {
		size_t count = s->mask->places[i].count;

		if (count == 1)
			continue;
		if (s->table_count < TABLE_MIN) {
			s->inner[s->inner_count++] = i;
			s->table_count *= count;
		} else {
			s->outer[s->outer_count++] = i;
		}
	}
	s->steps = s->mask->size / s->table_count;
}

static void choose_form(struct sweep *s)
{
	size_t fixed = 0;
	unsigned char head[MASK_LEN_MAX];

	while (fixed < s->mask->len && s->mask->places[fixed].count == 1)
		fixed++;
	mask_at(s->mask, 0, head);
	s->skip = hash_prefix_init(&s->prefix, s->l->engine, slice_of(head, fixed));
	s->is_padded = s->mask->len - s->skip <= HASH_TAIL_MAX;
	if (!s->is_padded)
		s->skip = 0;
	s->stride = s->is_padded ? HASH_BLOCK_LEN : s->mask->len;
}

static void plan(struct sweep *s)
{
	choose_places(s);
	choose_form(s);
	s->chunk_steps = VS_MAX(CHUNK_NAMES / s->table_count, UINT64_C(1));
	s->chunks = (s->steps - 1) / s->chunk_steps + 1;
}

/* ---- the table ---- */

/* The inner places of name @row of the table, and the first byte of all others. */
static void fill_row(const struct sweep *s, const struct worker *w, size_t row)
{
	unsigned char name[MASK_LEN_MAX];
	unsigned char *at = w->table + row * s->stride;

	for (size_t i = 0; i < s->mask->len; i++)
		name[i] = s->mask->places[i].bytes[0];
	for (size_t i = 0; i < s->inner_count; i++) {
		const struct mask_place *place = &s->mask->places[s->inner[i]];

		name[s->inner[i]] = place->bytes[row % place->count];
		row /= place->count;
	}
	memcpy(at, name + s->skip, s->mask->len - s->skip);
	if (s->is_padded)
		hash_block_pad((struct hash_block *)at, &s->prefix, s->mask->len - s->skip);
}

static void worker_init(const struct sweep *s, struct worker *w)
{
	w->table = vs_alloc_array(s->table_count, s->stride);
	for (size_t row = 0; row < s->table_count; row++)
		fill_row(s, w, row);
	if (s->is_padded)
		return;
	w->names = vs_alloc_array(s->table_count, sizeof(*w->names));
	for (size_t row = 0; row < s->table_count; row++)
		w->names[row] = slice_of(w->table + row * s->stride, s->stride);
}

static void set_outer(const struct sweep *s, const struct worker *w, size_t which)
{
	size_t place = s->outer[which];
	unsigned char byte = s->mask->places[place].bytes[w->digit[which]];
	unsigned char *at = w->table + place - s->skip;

	for (size_t row = 0; row < s->table_count; row++)
		at[row * s->stride] = byte;
}

static void go_to_step(const struct sweep *s, struct worker *w, uint64_t step)
{
	for (size_t i = 0; i < s->outer_count; i++) {
		size_t count = s->mask->places[s->outer[i]].count;

		w->digit[i] = (size_t)(step % count);
		step /= count;
		set_outer(s, w, i);
	}
}

static void next_step(const struct sweep *s, struct worker *w)
{
	for (size_t i = 0; i < s->outer_count; i++) {
		bool is_last = ++w->digit[i] == s->mask->places[s->outer[i]].count;

		if (is_last)
			w->digit[i] = 0;
		set_outer(s, w, i);
		if (!is_last)
			break;
	}
}

/* ---- the search ---- */

static void describe_mask(const struct lookup *l, const struct origin *o, struct buf *out)
{
	(void)l;
	buf_printf(out, "number %" PRIu64 " of the %" PRIu64 " names of the mask", o->n + 1,
		   mask_size(o->a));
}

static void add_hit(const struct sweep *s, struct worker *w, size_t row, uint32_t hash)
{
	unsigned char name[MASK_LEN_MAX];
	struct origin origin = { .describe = describe_mask, .a = s->mask };

	mask_at(s->mask, 0, name);
	memcpy(name + s->skip, w->table + row * s->stride, s->mask->len - s->skip);
	origin.n = mask_index(s->mask, name);
	hits_add(&w->hits, hash, slice_of(name, s->mask->len), &origin);
}

static void try_table(const struct sweep *s, struct worker *w)
{
	const struct sieve *sieve = &s->l->sieve;
	uint32_t hashes[HASH_AT_ONCE];

	for (size_t from = 0; from < s->table_count; from += HASH_AT_ONCE) {
		size_t count = VS_MIN(s->table_count - from, (size_t)HASH_AT_ONCE);

		if (s->is_padded)
			hash_blocks(s->l->engine, &s->prefix,
				    (const struct hash_block *)w->table + from, count, hashes);
		else
			hash_names(s->l->engine, w->names + from, count, hashes);
		for (size_t i = sieve_next(sieve, hashes, 0, count); i < count;
		     i = sieve_next(sieve, hashes, i + 1, count))
			add_hit(s, w, from + i, hashes[i]);
	}
}

static void try_chunk(struct sweep *s, struct worker *w, uint64_t chunk)
{
	uint64_t from = chunk * s->chunk_steps;
	uint64_t count = VS_MIN(s->steps - from, s->chunk_steps);

	go_to_step(s, w, from);
	for (uint64_t i = 0; i < count; i++) {
		if (i > 0)
			next_step(s, w);
		try_table(s, w);
	}
	atomic_fetch_add(&s->done, count * s->table_count);
}

/*
 * One worker's whole part. Chunks are counted here and not by the pool, since a mask may have more
 * of them than a cancelled search could skip one by one.
 */
static void work(void *ctx, unsigned worker, size_t index)
{
	struct sweep *s = ctx;
	struct worker *w = &s->workers[worker];

	(void)index;
	if (!w->table)
		worker_init(s, w);
	while (!lookup_cancelled(s->l)) {
		uint64_t chunk = atomic_fetch_add(&s->next_chunk, 1);

		if (chunk >= s->chunks)
			break;
		try_chunk(s, w, chunk);
		if (worker == 0)
			lookup_tell(s->l, atomic_load(&s->done), s->mask->size);
	}
}

static int by_number(const void *a_, const void *b_)
{
	const struct hit *a = a_, *b = b_;

	return (a->origin.n > b->origin.n) - (a->origin.n < b->origin.n);
}

/* The workers' hits in the order of the mask, so that the same ones are kept every time. */
static void collect(struct sweep *s)
{
	struct hits all = { 0 };

	for (unsigned i = 0; i < s->worker_count; i++) {
		hits_take(&all, &s->workers[i].hits);
		free(s->workers[i].table);
		free(s->workers[i].names);
	}
	hits_sort(&all, by_number);
	group_collect(s->l, &all, LOOKUP_MASK);
	hits_fini(&all);
}

int lookup_try_mask(struct lookup *l, const struct mask *mask)
{
	struct sweep s = { .l = l, .mask = mask };

	if (!group_begin(l))
		return 0;
	plan(&s);
	s.worker_count = l->pool ? pool_threads(l->pool) : 1;
	s.workers = vs_alloc_array(s.worker_count, sizeof(*s.workers));
	if (l->pool)
		pool_run(l->pool, s.worker_count, work, &s);
	else
		work(&s, 0, 0);
	collect(&s);
	free(s.workers);
	group_end(l, atomic_load(&s.done));
	return atomic_load(&s.done) < mask->size ? 1 : 0;
}
