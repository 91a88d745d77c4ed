/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Finding the elements that nothing can be said of, quickly and on all processors
 *
 * Nearly all elements of nearly all indexes are sound. They are looked at piece by piece, in any
 * order, and nothing is reported: a piece is clean, and its figures count, or the check goes through
 * it again, element by element. So findings come in the order of the elements, whoever looked.
 */

#include "hnsw/checker.h"

#define PIECE HNSW_CLEAN_PIECE
#define LABELS_PER_ELEMENT                                                                         \
	64u /* labels above that many times the elements are looked at one by one */

struct worker {
	struct hnsw_stats stats;
	uint32_t *linked; /* owned; as that of the checker */
	uint64_t *marks;  /* owned; bits of the links of a list, by a hash */
};

struct cleaning {
	struct hnsw_checker *c;
	bool *is_clean;           /* owned by the caller; by piece */
	_Atomic uint64_t *labels; /* owned; a bit for each that was seen */
	atomic_bool is_twice;     /* a label was seen twice, or is too high to tell */
	struct worker *workers;   /* owned */
	unsigned threads;
	unsigned mark_shift; /* of a 32-bit hash, to the number of a mark */
	const struct hnsw_kernels *kernels;
};

static void cleaning_fini(struct cleaning *p)
{
	for (unsigned i = 0; p->workers != NULL && i < p->threads; i++) {
		free(p->workers[i].linked);
		free(p->workers[i].marks);
	}
	free(p->workers);
	free(p->labels);
}

static size_t mark_words(const struct cleaning *p)
{
	return (((size_t)1 << (32 - p->mark_shift)) + 63) / 64;
}

/* Sixty-four marks a link, so that most lists have no two links on one. */
static int prepare(struct cleaning *p, struct vs_err *err)
{
	const struct hnsw_index *x = p->c->index;
	struct pool *pool = p->c->request->pool;
	uint64_t links = VS_MAX(x->header.max_m0, x->header.max_m);
	unsigned bits = 6;

	while (((uint64_t)1 << bits) < links * 64 && bits < 31)
		bits++;
	p->mark_shift = 32 - bits;
	p->kernels = hnsw_kernels_best();
	p->threads = pool != NULL ? pool_threads(pool) : 1;
	p->workers = vs_alloc_array(p->threads, sizeof(*p->workers));
	p->labels = vs_try_alloc(x->count + (size_t)1, sizeof(*p->labels));
	for (unsigned i = 0; i < p->threads; i++) {
		struct worker *w = &p->workers[i];

		w->stats.out_min = UINT32_MAX;
		w->linked = vs_try_alloc(x->count + (size_t)1, sizeof(*w->linked));
		w->marks = vs_try_alloc(mark_words(p), sizeof(*w->marks));
		if (w->linked == NULL || w->marks == NULL)
			return vs_fail(err, VS_ENOMEM, "no memory to check %u elements", x->count);
	}
	if (p->labels == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u labels", x->count);
	return 0;
}

/* ---- one element ---- */

/* True where @to is not among the links before it; its mark is set. */
static bool is_new(struct worker *w, unsigned shift, const struct hnsw_links *links, uint32_t i,
		   uint32_t to)
{
	uint32_t mark = to * UINT32_C(0x9e3779b1) >> shift;
	uint64_t bit = UINT64_C(1) << (mark & 63);
	bool is_marked = (w->marks[mark / 64] & bit) != 0;

	w->marks[mark / 64] |= bit;
	for (uint32_t k = 0; is_marked && k < i; k++)
		if (hnsw_link(links, k) == to)
			return false;
	return true;
}

static bool is_clean_list(struct cleaning *p, struct worker *w, uint32_t id, uint32_t level,
			  const struct hnsw_links *links)
{
	const struct hnsw_index *x = p->c->index;
	unsigned flags = links->ptr[-2];

	if ((level == 0 ? flags & ~1u : flags) != 0 || links->ptr[-1] != 0 ||
	    links->stored_count > links->max ||
	    (level == 0 && links->stored_count == 0 && x->count > 1))
		return false;
	memset(w->marks, 0, mark_words(p) * sizeof(*w->marks));
	for (uint32_t i = 0; i < links->count; i++) {
		uint32_t to = hnsw_link(links, i);

		if (to >= x->count || to == id || !is_new(w, p->mark_shift, links, i, to) ||
		    (level > 0 && to < x->links_count && hnsw_levels(x, to) < level))
			return false;
	}
	return true;
}

static bool is_clean_label(struct cleaning *p, struct worker *w, uint32_t id)
{
	const struct hnsw_index *x = p->c->index;
	uint64_t label = hnsw_label(x, id);
	uint64_t max = p->c->request->label_max;
	uint64_t bit = UINT64_C(1) << label % 64;

	w->stats.label_highest = VS_MAX(w->stats.label_highest, label);
	if (label == 0 || (max > 0 && label > max))
		return false;
	if (label / LABELS_PER_ELEMENT > x->count ||
	    (atomic_fetch_or_explicit(&p->labels[label / 64], bit, memory_order_relaxed) & bit) !=
		    0)
		atomic_store_explicit(&p->is_twice, true, memory_order_relaxed);
	return true;
}

static bool is_clean_vector(const struct cleaning *p, uint32_t id)
{
	const struct hnsw_index *x = p->c->index;
	const float *v = hnsw_vector(x, id);
	float length = hnsw_length(x, id);
	float square;

	if (!hnsw_all_finite(v, x->dim))
		return false;
	if (p->c->request->space != HNSW_COSINE)
		return true;
	/* Nearer to 1 than the norm has to be; what is farther is measured in double precision. */
	square = p->kernels->dot(v, v, x->dim);
	return fabsf(square - 1) < 1.8e-3f &&
	       (x->length.len / sizeof(length) <= id || (isfinite(length) && length > 0));
}

static void count_list(struct worker *w, const struct hnsw_links *links)
{
	w->stats.links0 += links->count;
	w->stats.out_min = VS_MIN(w->stats.out_min, links->count);
	w->stats.out_max = VS_MAX(w->stats.out_max, links->count);
	for (uint32_t i = 0; i < links->count; i++)
		w->linked[hnsw_link(links, i)]++;
}

static bool is_clean_element(struct cleaning *p, struct worker *w, uint32_t id, uint32_t levels)
{
	const struct hnsw_index *x = p->c->index;
	struct hnsw_links links = hnsw_links(x, id, 0);

	if (!is_clean_label(p, w, id) || !is_clean_list(p, w, id, 0, &links))
		return false;
	for (uint32_t level = 1; level <= levels; level++) {
		links = hnsw_links(x, id, level);
		if (!is_clean_list(p, w, id, level, &links))
			return false;
	}
	return is_clean_vector(p, id);
}

/* ---- a piece ---- */

static void look(void *ctx, unsigned worker, size_t piece)
{
	struct cleaning *p = ctx;
	struct worker *w = &p->workers[worker];
	const struct hnsw_index *x = p->c->index;
	uint32_t from = (uint32_t)(piece * PIECE);
	uint32_t to = (uint32_t)VS_MIN((uint64_t)from + PIECE, (uint64_t)x->count);
	uint8_t levels[PIECE];

	for (uint32_t id = from; id < to; id++) {
		levels[id - from] = (uint8_t)hnsw_levels(x, id);
		if (!is_clean_element(p, w, id, levels[id - from]))
			return;
	}
	for (uint32_t id = from; id < to; id++) {
		const struct hnsw_links links = hnsw_links(x, id, 0);
		uint32_t level = levels[id - from];

		count_list(w, &links);
		w->stats.deleted += hnsw_is_deleted(x, id);
		w->stats.max_level = VS_MAX(w->stats.max_level, level);
		w->stats.per_level[level]++;
	}
	p->is_clean[piece] = true;
}

static void add_figures(struct hnsw_stats *to, const struct hnsw_stats *from)
{
	to->deleted += from->deleted;
	to->links0 += from->links0;
	to->out_min = VS_MIN(to->out_min, from->out_min);
	to->out_max = VS_MAX(to->out_max, from->out_max);
	to->max_level = VS_MAX(to->max_level, from->max_level);
	to->label_highest = VS_MAX(to->label_highest, from->label_highest);
	for (uint32_t i = 0; i <= HNSW_LEVEL_MAX; i++)
		to->per_level[i] += from->per_level[i];
}

int hnsw_find_clean(struct hnsw_checker *c, bool *is_clean)
{
	cleanup_(cleaning_fini) struct cleaning p = { .c = c, .is_clean = is_clean };
	size_t pieces = ((size_t)c->index->count + PIECE - 1) / PIECE;
	int r = prepare(&p, c->err);

	if (r < 0)
		return r;
	if (p.threads > 1)
		pool_run(c->request->pool, pieces, look, &p);
	else
		for (size_t i = 0; i < pieces; i++)
			look(&p, 0, i);
	/* Whose label came first is told by going through all of them in order. */
	if (p.is_twice) {
		memset(is_clean, 0, pieces * sizeof(*is_clean));
		return 0;
	}
	for (unsigned i = 0; i < p.threads; i++) {
		add_figures(c->stats, &p.workers[i].stats);
		for (uint32_t id = 0; id < c->index->count; id++)
			c->linked[id] += p.workers[i].linked[id];
	}
	return 0;
}
