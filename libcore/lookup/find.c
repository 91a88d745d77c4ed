/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The search: which hashes are open, which names were found for them, and how far to trust those.
 *
 * Every candidate goes through candidate_add(), which computes its hash once more with another
 * implementation than the one that found it. So no name with another hash can come out.
 */

#include "lookup/search.h"

/* The most distinct texts of a kind that are kept; rules.c says what becomes of them. */
#define FACTS_LIMIT 16384
#define VALUES_LIMIT 16384
#define WORDS_LIMIT 4096

#define PROGRESS_NS 100000000

const char *lookup_source_name(enum lookup_source source)
{
	static const char *const names[] = {
		[LOOKUP_GIVEN] = "given",     [LOOKUP_BACKUP] = "backup",
		[LOOKUP_LOGGED] = "log",      [LOOKUP_REMEMBERED] = "remembered",
		[LOOKUP_SIBLING] = "sibling", [LOOKUP_DOCUMENT] = "document",
		[LOOKUP_RULE] = "rule",       [LOOKUP_WORD_LIST] = "word-list",
		[LOOKUP_MASK] = "mask",
	};

	assert(source < VS_COUNT(names));
	return names[source];
}

const char *lookup_verdict_name(enum lookup_verdict verdict)
{
	static const char *const names[] = {
		[LOOKUP_NOTHING] = "nothing",
		[LOOKUP_FOUND] = "found",
		[LOOKUP_AMBIGUOUS] = "ambiguous",
		[LOOKUP_DOUBTFUL] = "doubtful",
	};

	assert(verdict < VS_COUNT(names));
	return names[verdict];
}

/* ---- making and freeing ---- */

static int by_number(const void *a_, const void *b_)
{
	const uint32_t *a = a_, *b = b_;

	return (*a > *b) - (*a < *b);
}

static void add_wants(struct lookup *l, const uint32_t *hashes, size_t count)
{
	cleanup_(vs_freep) uint32_t *sorted = vs_alloc_array(count + 1, sizeof(*sorted));

	if (count > 0)
		memcpy(sorted, hashes, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_number);
	l->wants = vs_alloc_array(count + 1, sizeof(*l->wants));
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || sorted[i] != sorted[i - 1])
			l->wants[l->want_count++] =
				(struct want){ .hash = sorted[i], .is_open = true };
	}
}

struct lookup *lookup_new(const struct lookup_request *request)
{
	struct lookup *l = vs_alloc(sizeof(*l));

	assert(hash_engine_available(request->engine));
	add_wants(l, request->hashes, request->count);
	l->pool = request->pool;
	/* Asked once here, since small batches would ask the processor each time. */
	l->engine = request->engine == HASH_AUTO ? hash_engine_best() : request->engine;
	l->is_thorough = request->is_thorough;
	l->progress = request->progress;
	l->ctx = request->ctx;
	l->cancel = request->cancel;
	l->facts.limit = FACTS_LIMIT;
	l->values.limit = VALUES_LIMIT;
	l->tenants.limit = WORDS_LIMIT;
	l->teams.limit = WORDS_LIMIT;
	l->projects.limit = WORDS_LIMIT;
	l->paths.limit = WORDS_LIMIT;
	l->words.limit = WORDS_LIMIT;
	return l;
}

static void candidate_fini(struct lookup_candidate *c)
{
	free(c->name);
	for (size_t i = 0; i < c->evidence_count; i++)
		free(c->evidence[i]);
	free(c->evidence);
}

static void seen_fini(struct seen_name *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].name);
		free(list[i].where);
	}
	free(list);
}

void lookup_freep(struct lookup **l_)
{
	struct lookup *l = *l_;

	if (!l)
		return;
	for (size_t i = 0; i < l->candidate_count; i++)
		candidate_fini(&l->candidates[i]);
	free(l->candidates);
	seen_fini(l->seen, l->seen_count);
	seen_fini(l->siblings, l->sibling_count);
	tally_fini(&l->facts);
	tally_fini(&l->values);
	tally_fini(&l->tenants);
	tally_fini(&l->teams);
	tally_fini(&l->projects);
	tally_fini(&l->paths);
	tally_fini(&l->words);
	sieve_fini(&l->sieve);
	free(l->wants);
	free(l);
	*l_ = NULL;
}

/* ---- groups ---- */

static struct want *find_want(const struct lookup *l, uint32_t hash)
{
	size_t low = 0, high = l->want_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->wants[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	assert(low < l->want_count && l->wants[low].hash == hash);
	return &l->wants[low];
}

size_t lookup_open_count(const struct lookup *l)
{
	size_t count = 0;

	for (size_t i = 0; i < l->want_count; i++)
		count += l->wants[i].is_open;
	return count;
}

bool group_begin(struct lookup *l)
{
	cleanup_(vs_freep) uint32_t *open = vs_alloc_array(l->want_count + 1, sizeof(*open));
	size_t count = 0;

	for (size_t i = 0; i < l->want_count; i++) {
		if (l->wants[i].is_open)
			open[count++] = l->wants[i].hash;
	}
	sieve_fini(&l->sieve);
	sieve_init(&l->sieve, open, count);
	return count > 0;
}

static struct lookup_candidate *find_candidate(const struct lookup *l, uint32_t hash,
					       struct slice name)
{
	for (size_t i = 0; i < l->candidate_count; i++) {
		struct lookup_candidate *c = &l->candidates[i];

		if (c->hash == hash && slice_eq(slice_of(c->name, c->name_len), name))
			return c;
	}
	return NULL;
}

/* NULL when there are too many already. */
static struct lookup_candidate *candidate_add(struct lookup *l, uint32_t hash, struct slice name,
					      enum lookup_source source)
{
	struct want *want = find_want(l, hash);
	struct lookup_candidate *c;
	struct digest digest;

	digest_of(name, &digest);
	assert(load_be32(digest.bytes) == hash);
	if (want->candidates == LOOKUP_CANDIDATES_MAX) {
		want->dropped++;
		return NULL;
	}
	want->candidates++;
	l->candidates = vs_grow(l->candidates, &l->candidate_cap, l->candidate_count + 1,
				sizeof(*l->candidates));
	c = &l->candidates[l->candidate_count++];
	*c = (struct lookup_candidate){
		.hash = hash,
		.name = vs_strndup(name),
		.name_len = name.len,
		.source = source,
	};
	c->evidence = vs_alloc_array(LOOKUP_EVIDENCE_MAX, sizeof(*c->evidence));
	return c;
}

static void evidence_add(struct lookup_candidate *c, char *text)
{
	for (size_t i = 0; i < c->evidence_count; i++) {
		if (strcmp(c->evidence[i], text) == 0) {
			free(text);
			return;
		}
	}
	if (c->evidence_count == LOOKUP_EVIDENCE_MAX)
		free(text);
	else
		c->evidence[c->evidence_count++] = text;
}

static void collect_hit(struct lookup *l, const struct hit *hit, enum lookup_source source)
{
	struct slice name = slice_of(hit->name, hit->len);
	struct lookup_candidate *c = find_candidate(l, hit->hash, name);
	cleanup_(buf_fini) struct buf text = { 0 };

	if (!c)
		c = candidate_add(l, hit->hash, name, source);
	if (!c)
		return;
	c->source = VS_MIN(c->source, source);
	hit->origin.describe(l, &hit->origin, &text);
	evidence_add(c, buf_take_str(&text));
}

void group_collect(struct lookup *l, const struct hits *hits, enum lookup_source source)
{
	/* What a directory says about itself is told before what others say about it. */
	for (size_t i = 0; i < hits->count; i++) {
		if (hits->list[i].origin.home == hits->list[i].hash)
			collect_hit(l, &hits->list[i], source);
	}
	for (size_t i = 0; i < hits->count; i++) {
		if (hits->list[i].origin.home != hits->list[i].hash)
			collect_hit(l, &hits->list[i], source);
	}
}

static int by_trust(const void *a_, const void *b_)
{
	const struct lookup_candidate *a = a_, *b = b_;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	if (a->is_trusted != b->is_trusted)
		return a->is_trusted ? -1 : 1;
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	return slice_cmp(slice_of(a->name, a->name_len), slice_of(b->name, b->name_len));
}

static double expected_false_matches(uint64_t tried)
{
	return (double)tried / 4294967296.0;
}

void group_end(struct lookup *l, uint64_t tried)
{
	for (size_t i = 0; i < l->want_count; i++) {
		if (l->wants[i].is_open)
			l->wants[i].tried += tried;
	}
	for (size_t i = 0; i < l->candidate_count; i++) {
		struct lookup_candidate *c = &l->candidates[i];
		struct want *want = find_want(l, c->hash);

		if (c->tried == 0) {
			c->tried = want->tried;
			c->expected_false_matches = expected_false_matches(c->tried);
			c->is_trusted = c->expected_false_matches <= LOOKUP_FALSE_MAX;
		}
		if (c->is_trusted && !l->is_thorough)
			want->is_open = false;
	}
	if (l->candidate_count > 0)
		qsort(l->candidates, l->candidate_count, sizeof(*l->candidates), by_trust);
}

void lookup_tell(struct lookup *l, uint64_t done, uint64_t total)
{
	int64_t now_ns;

	if (!l->progress)
		return;
	now_ns = clock_elapsed_ns();
	if (now_ns - l->told_ns < PROGRESS_NS)
		return;
	l->told_ns = now_ns;
	l->progress(l->ctx, done, total);
}

/* ---- names seen ---- */

static void describe_seen(const struct lookup *l, const struct origin *o, struct buf *out)
{
	static const char *const whence[] = {
		[LOOKUP_GIVEN] = "given by the user",
		[LOOKUP_BACKUP] = "in a backup of the metadata",
		[LOOKUP_LOGGED] = "in a log",
		[LOOKUP_REMEMBERED] = "seen in this store before",
	};
	const struct seen_name *seen = o->a;

	(void)l;
	if (seen->where)
		text_escape(out, slice_str(seen->where));
	else
		buf_append_str(out, whence[seen->source]);
}

void lookup_try_seen(struct lookup *l)
{
	cleanup_(vs_freep) struct trial *t = NULL;
	uint64_t tried = 0;
	size_t from = l->seen_done;

	l->seen_done = l->seen_count;
	if (from == l->seen_count || !group_begin(l))
		return;
	t = vs_alloc(sizeof(*t));
	for (enum lookup_source source = LOOKUP_GIVEN; source <= LOOKUP_REMEMBERED; source++) {
		trial_init(t, &l->sieve, l->engine, UINT64_MAX);
		for (size_t i = from; i < l->seen_count; i++) {
			const struct seen_name *seen = &l->seen[i];
			struct origin origin = { .describe = describe_seen, .a = seen };
			struct slice name = slice_of(seen->name, seen->len);

			if (seen->source == source)
				(void)trial_add(t, &name, 1, &origin);
		}
		trial_flush(t);
		group_collect(l, &t->hits, source);
		tried += t->tried;
		trial_fini(t);
	}
	group_end(l, tried);
}

/* ---- answers ---- */

void lookup_answer(const struct lookup *l, uint32_t hash, struct lookup_answer *out)
{
	const struct want *want = find_want(l, hash);
	size_t trusted = 0;

	*out = (struct lookup_answer){
		.hash = hash,
		.verdict = LOOKUP_NOTHING,
		.dropped = want->dropped,
		.tried = want->tried,
		.expected_false_matches = expected_false_matches(want->tried),
	};
	for (size_t i = 0; i < l->candidate_count; i++) {
		if (l->candidates[i].hash != hash)
			continue;
		if (out->count++ == 0)
			out->candidates = &l->candidates[i];
		trusted += l->candidates[i].is_trusted;
	}
	if (trusted > 0)
		out->verdict = trusted == 1 ? LOOKUP_FOUND : LOOKUP_AMBIGUOUS;
	else if (out->count > 0)
		out->verdict = LOOKUP_DOUBTFUL;
}
