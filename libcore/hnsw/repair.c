/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A sound graph out of a damaged one, keeping all links that still mean something
 *
 * Three steps: levels (as link_lists.bin tells them, else drawn), links (copied where they lead to
 * an element that has the level), and insertion of the elements that are left with too few, or
 * that nothing leads to.
 */

#include "hnsw/graph.h"

enum state {
	STATE_KEPT,
	STATE_TRIMMED,
	STATE_RELINK, /* insert on all levels */
	STATE_RAISE,  /* insert on the upper levels only, which are new */
	STATE_LOST,
};

struct repair {
	const struct hnsw_index *from;
	struct hnsw_graph *g;
	bool is_own;      /* its records are those of @from, which are changed where they lie */
	uint8_t *levels;  /* owned */
	uint8_t *state;   /* owned; enum state by element */
	uint32_t *copied; /* owned; scratch for one list */
	uint32_t *seen;   /* owned; by element, the list that it was copied into last */
	uint32_t list;    /* which one is being copied: counted from 1 */
	uint64_t *bits;   /* owned */
	uint32_t *queue;  /* owned */
	struct hnsw_repair *summary;
};

static void repair_fini(struct repair *p)
{
	free(p->levels);
	free(p->state);
	free(p->copied);
	free(p->seen);
	free(p->bits);
	free(p->queue);
}

static int prepare(struct repair *p, struct vs_err *err)
{
	size_t count = (size_t)p->from->count + 1;
	size_t links = (size_t)VS_MAX(p->from->header.max_m, p->from->header.max_m0);

	p->levels = vs_try_alloc(count, sizeof(*p->levels));
	p->state = vs_try_alloc(count, sizeof(*p->state));
	p->copied = vs_try_alloc(links, sizeof(*p->copied));
	p->seen = vs_try_alloc(count, sizeof(*p->seen));
	p->bits = vs_try_alloc(count / 64 + 1, sizeof(*p->bits));
	p->queue = vs_try_alloc(count, sizeof(*p->queue));
	if (p->levels == NULL || p->state == NULL || p->copied == NULL || p->seen == NULL ||
	    p->bits == NULL || p->queue == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory to repair %zu elements", count);
	return 0;
}

/* ---- elements and levels ---- */

static float length_of(const struct hnsw_index *x, uint32_t id)
{
	float length = hnsw_length(x, id);

	return x->length.len / sizeof(length) <= id || !isfinite(length) ? 1 : length;
}

/* Copy the record without its links. */
static int copy_element(struct repair *p, uint32_t id, struct vs_err *err)
{
	const struct hnsw_index *x = p->from;
	float length = length_of(x, id);
	cleanup_(vs_freep) float *zero = NULL;
	uint64_t label = hnsw_label(x, id);

	if (hnsw_all_finite(hnsw_vector(x, id), x->dim))
		return hnsw_graph_add_stored(p->g, label, hnsw_vector(x, id), length,
					     hnsw_is_deleted(x, id), err);
	p->state[id] = STATE_LOST;
	zero = vs_alloc_array(x->dim, sizeof(*zero));
	return hnsw_graph_add_stored(p->g, label, zero, length, true, err);
}

/* The same where it lies; its links are still to be read. */
static void keep_element(struct repair *p, uint32_t id)
{
	struct hnsw_graph *g = p->g;
	unsigned char *record = g->level0 + hnsw_record_off(&g->index, id);

	record[2] = hnsw_is_deleted(p->from, id) ? 1 : 0;
	record[3] = 0;
	g->length[id] = length_of(p->from, id);
	if (hnsw_all_finite(hnsw_vector(p->from, id), p->from->dim))
		return;
	p->state[id] = STATE_LOST;
	record[2] = 1;
	memset(record + g->index.vector_offset, 0, p->from->dim * sizeof(float));
}

/* Take the records over from @own, if they are what this graph has. */
static void take_records(struct repair *p, struct buf *own)
{
	const struct hnsw_index *x = p->from;
	struct hnsw_graph *g = p->g;

	if (own == NULL || own->ptr != x->level0.ptr || x->record_size != g->index.record_size ||
	    own->len / g->index.record_size < x->count)
		return;
	free(g->level0);
	g->level0 = own->ptr;
	*own = (struct buf){ 0 };
	g->index.count = x->count;
	g->index.level0 = slice_of(g->level0, x->count * g->index.record_size);
	g->index.length = slice_of(g->length, x->count * sizeof(*g->length));
	p->is_own = true;
}

static int copy_elements(struct repair *p, void (*lost)(void *ctx, uint32_t id, uint64_t label),
			 void *ctx, struct vs_err *err)
{
	const struct hnsw_index *x = p->from;
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < x->count; id++) {
		if (p->is_own)
			keep_element(p, id);
		else
			r = copy_element(p, id, err);
		if (p->state[id] == STATE_LOST && lost != NULL)
			lost(ctx, id, hnsw_label(x, id));
	}
	p->g->index.header.count = p->g->index.count;
	return r;
}

static void find_levels(struct repair *p)
{
	const struct hnsw_index *x = p->from;

	for (uint32_t id = 0; id < x->count; id++) {
		if (id < x->links_count) {
			p->levels[id] = (uint8_t)hnsw_levels(x, id);
			continue;
		}
		p->levels[id] =
			(uint8_t)hnsw_draw_level(p->g->params.seed, id, p->g->index.header.mult);
		p->summary->levels_redrawn++;
		if (p->levels[id] > 0 && p->state[id] == STATE_KEPT)
			p->state[id] = STATE_RAISE;
	}
}

/* ---- links ---- */

/* Once in a list: then it is noted, so that the same link is not sound again. */
static bool take_sound(struct repair *p, uint32_t id, uint32_t level, uint32_t to)
{
	if (to >= p->from->count || to == id || p->state[to] == STATE_LOST ||
	    p->levels[to] < level || p->seen[to] == p->list)
		return false;
	p->seen[to] = p->list;
	return true;
}

/* Nothing is left of what was in the list on level 0 behind the first @count links. */
static void clear_rest(struct repair *p, uint32_t id, uint32_t count)
{
	unsigned char *list = p->g->level0 + hnsw_record_off(&p->g->index, id);

	memset(list + 4 + (size_t)4 * count, 0, ((size_t)p->g->index.header.max_m0 - count) * 4);
}

/*
 * Copy the sound links of one list; true when none was left out. Above level 0 nothing may lead to an
 * element that is to be inserted: the others would begin there, where no link leads on yet.
 */
static bool copy_list(struct repair *p, uint32_t id, uint32_t level, uint32_t *copied)
{
	struct hnsw_links links = hnsw_links(p->from, id, level);
	uint32_t max =
		(uint32_t)(level == 0 ? p->g->index.header.max_m0 : p->g->index.header.max_m);
	bool is_whole = links.stored_count <= links.max;
	uint32_t later = 0;

	*copied = 0;
	/* There may be more lists than numbers. */
	if (++p->list == 0) {
		memset(p->seen, 0, p->from->count * sizeof(*p->seen));
		p->list = 1;
	}
	/* A count that is impossible says nothing about what follows it. */
	for (uint32_t i = 0; is_whole && i < links.count && *copied < max; i++) {
		uint32_t to = hnsw_link(&links, i);

		if (!take_sound(p, id, level, to))
			continue;
		if (level > 0 && p->state[to] == STATE_RELINK)
			later++;
		else
			p->copied[(*copied)++] = to;
	}
	hnsw_set_links(p->g, id, level, p->copied, *copied);
	if (p->is_own && level == 0)
		clear_rest(p, id, *copied);
	return is_whole && *copied + later == links.count;
}

/* Level 0, by which it is known which elements have to be inserted again. */
static void copy_lowest(struct repair *p, uint32_t id)
{
	uint32_t least = VS_MAX(p->g->params.m / 4, 1u);
	uint32_t count;
	bool is_whole;

	if (p->state[id] == STATE_LOST) {
		hnsw_set_links(p->g, id, 0, NULL, 0);
		if (p->is_own)
			clear_rest(p, id, 0);
		return;
	}
	is_whole = copy_list(p, id, 0, &count);
	if (is_whole && count > 0)
		return;
	if (count < least && count + 1 < p->from->count)
		p->state[id] = STATE_RELINK;
	else if (p->state[id] == STATE_KEPT)
		p->state[id] = STATE_TRIMMED;
}

static void copy_upper(struct repair *p, uint32_t id)
{
	bool is_whole = true;
	uint32_t count;

	if (p->state[id] == STATE_LOST || p->state[id] == STATE_RELINK)
		return;
	for (uint32_t level = 1; id < p->from->links_count && level <= p->levels[id]; level++)
		is_whole = copy_list(p, id, level, &count) && is_whole;
	if (!is_whole && p->state[id] == STATE_KEPT)
		p->state[id] = STATE_TRIMMED;
}

/* What nothing leads to is inserted once more, now that all others are linked. Returns whether there
 * was anything. */
static bool insert_unreached(struct repair *p)
{
	struct hnsw_graph *g = p->g;
	uint32_t entry = g->index.header.entry;

	if (hnsw_reach(&g->index, entry, p->bits, p->queue) == g->index.count)
		return false;
	for (uint32_t id = 0; id < g->index.count; id++) {
		if (hnsw_bit(p->bits, id) || p->state[id] == STATE_LOST || id == entry)
			continue;
		p->state[id] = STATE_RELINK;
		hnsw_graph_insert(g, 0, id, 0);
		(void)hnsw_reach(&g->index, id, p->bits, p->queue);
	}
	return true;
}

/*
 * The highest element whose links on level 0 mean something: where the insertion of the others
 * starts from, the entry point itself among them where it is damaged.
 */
static uint32_t sound_start(const struct repair *p)
{
	uint32_t best = p->g->index.header.entry;
	int level = -1;

	if (best < p->from->count && p->state[best] != STATE_RELINK && p->state[best] != STATE_LOST)
		return best;
	for (uint32_t id = 0; id < p->from->count; id++) {
		if (p->state[id] == STATE_RELINK || p->state[id] == STATE_LOST ||
		    p->levels[id] <= level)
			continue;
		best = id;
		level = p->levels[id];
	}
	return best;
}

/* The levels of lost elements are of no use, and one of them must not be the entry point. */
static void ground_lost(struct repair *p)
{
	for (uint32_t id = 0; id < p->from->count; id++)
		if (p->state[id] == STATE_LOST)
			p->levels[id] = 0;
}

/* Are so many to be inserted that it is worth while to make codes of all? */
static bool are_many(const struct repair *p)
{
	uint32_t count = 0;

	for (uint32_t id = 0; id < p->from->count; id++)
		count += p->state[id] == STATE_RELINK;
	return count > p->from->count / 16;
}

/* Insert what has to be of one level; the entry point becomes the highest that is linked. */
static void insert_level(struct repair *p, uint32_t level, uint32_t *start)
{
	struct hnsw_graph *g = p->g;

	for (uint32_t id = 0; id < g->index.count; id++) {
		uint32_t bottom = p->state[id] == STATE_RAISE ? 1 : 0;
		uint32_t top = VS_MIN(level, (uint32_t)p->levels[*start]);

		if (p->levels[id] != level || id == *start || bottom > top ||
		    (p->state[id] != STATE_RELINK && p->state[id] != STATE_RAISE))
			continue;
		g->index.header.entry = *start;
		hnsw_graph_insert(g, 0, id, bottom);
		if (level > p->levels[*start])
			*start = id;
	}
}

static int insert_damaged(struct repair *p, struct vs_err *err)
{
	struct hnsw_graph *g = p->g;
	uint32_t entry = g->index.header.entry;
	uint32_t start = sound_start(p);
	int r = hnsw_graph_prepare(g, are_many(p), err);

	if (r < 0 || entry >= g->index.count)
		return r;
	/* From above, as an index is built: what is inserted later finds its way down by them. */
	for (uint32_t level = p->levels[entry] + 1u; level-- > 0;)
		insert_level(p, level, &start);
	g->index.header.entry = entry;
	return insert_unreached(p) ? hnsw_graph_connect(g, err) : 0;
}

static void sum_up(struct repair *p)
{
	struct hnsw_repair *s = p->summary;

	for (uint32_t id = 0; id < p->from->count; id++) {
		switch ((enum state)p->state[id]) {
		case STATE_KEPT:
		case STATE_RAISE:
			s->kept++;
			break;
		case STATE_TRIMMED:
			s->trimmed++;
			break;
		case STATE_RELINK:
			s->relinked++;
			break;
		case STATE_LOST:
			s->lost++;
			break;
		}
	}
}

int hnsw_graph_repair(const struct hnsw_index *index, struct buf *own,
		      const struct hnsw_params *params,
		      void (*lost)(void *ctx, uint32_t id, uint64_t label), void *ctx,
		      struct hnsw_graph **out, struct hnsw_repair *summary, struct vs_err *err)
{
	cleanup_(hnsw_graph_freep) struct hnsw_graph *g = NULL;
	cleanup_(repair_fini) struct repair p = { .from = index, .summary = summary };
	int r;

	*summary = (struct hnsw_repair){ 0 };
	if (params->dim != index->dim)
		return vs_fail(err, VS_EUSAGE, "vectors of %u values in an index of %u",
			       params->dim, index->dim);
	r = hnsw_graph_new(params, index->count, &g, err);
	if (r < 0)
		return r;
	p.g = g;
	r = prepare(&p, err);
	if (r == 0)
		take_records(&p, own);
	if (r == 0)
		r = copy_elements(&p, lost, ctx, err);
	if (r < 0)
		return r;
	find_levels(&p);
	ground_lost(&p);
	r = hnsw_graph_layout(g, p.levels, err);
	if (r < 0)
		return r;
	for (uint32_t id = 0; id < index->count; id++)
		copy_lowest(&p, id);
	for (uint32_t id = 0; id < index->count; id++)
		copy_upper(&p, id);
	r = insert_damaged(&p, err);
	hnsw_graph_done(g);
	if (r < 0)
		return r;
	g->is_linked = true;
	sum_up(&p);
	*out = VS_TAKE(g);
	return 0;
}
