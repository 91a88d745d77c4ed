/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The composing of names. Each generator is one way to do it, with a budget of its own, so that a
 * store full of odd words in one place cannot keep the others from their turn. All of them run,
 * whatever the ones before have found: two explanations of one directory are worth knowing.
 */

#include "lookup/search.h"

#define PIECES_CROSSED 64 /* pieces of siblings' names that are taken for owners and so on */

/* The names that each generator may try; together LOOKUP_COMPOSED_MAX. */
enum {
	BUDGET_DOCUMENTS = 1 << 19,
	BUDGET_SIBLINGS = 1 << 19,
	BUDGET_PLAIN = 1 << 17,
	BUDGET_VALUES = 1 << 18,
	BUDGET_CROSSED = 1 << 18,
	BUDGET_ENDINGS = 1 << 18,
	BUDGET_WORDS = 1 << 17,
};
_Static_assert(BUDGET_DOCUMENTS + BUDGET_SIBLINGS + BUDGET_PLAIN + BUDGET_VALUES + BUDGET_CROSSED +
			       BUDGET_ENDINGS + BUDGET_WORDS ==
		       LOOKUP_COMPOSED_MAX,
	       "the shares are the whole");

/* Owners, teams and projects are words of names too, cleaned as names are. */
static void add_words(struct lookup *l, const struct tally *from)
{
	cleanup_(buf_fini) struct buf clean = { 0 };

	for (size_t i = 0; i < from->count; i++) {
		buf_clear(&clean);
		contextd_identify(tally_text(&from->items[i]), &clean);
		if (clean.len > 0)
			tally_add(&l->words, buf_slice(&clean), from->items[i].tags);
	}
}

/* Words that names have for another reason than an owner's or a project's sake. */
static bool is_fixed_word(struct slice word)
{
	static const char *const fixed[] = { "org",       "team", "project", "coding",
					     "standards", "repo", "anti",    "patterns" };
	const char *kind;

	for (size_t i = 0; i < VS_COUNT(fixed); i++) {
		if (slice_eq_str(word, fixed[i]))
			return true;
	}
	for (size_t i = 0; (kind = record_kind_at(i)) != NULL; i++) {
		if (slice_eq_str(word, kind))
			return true;
	}
	return false;
}

/* A piece of a collection's name may be anybody's. */
static void add_pieces(struct lookup *l, const struct tally *pieces)
{
	for (size_t i = 0; i < VS_MIN(pieces->count, (size_t)PIECES_CROSSED); i++) {
		struct slice piece = tally_text(&pieces->items[i]);

		if (is_fixed_word(piece))
			continue;
		tally_add(&l->tenants, piece, WORD_SIBLING);
		tally_add(&l->teams, piece, WORD_SIBLING);
		tally_add(&l->projects, piece, WORD_SIBLING);
	}
}

static void settle(struct lookup *l, const struct tally *pieces)
{
	add_pieces(l, pieces);
	for (size_t i = 0; common_projects[i]; i++) {
		struct slice project = slice_str(common_projects[i]);

		tally_add(&l->tenants, project, WORD_COMMON);
		tally_add(&l->projects, project, WORD_COMMON);
	}
	tally_settle(&l->facts);
	tally_settle(&l->values);
	tally_settle(&l->tenants);
	tally_settle(&l->teams);
	tally_settle(&l->projects);
	tally_settle(&l->paths);
	add_words(l, &l->tenants);
	add_words(l, &l->teams);
	add_words(l, &l->projects);
	tally_settle(&l->words);
}

enum generator {
	GENERATE_DOCUMENTS,
	GENERATE_SIBLINGS,
	GENERATE_PLAIN,
	GENERATE_VALUES,
	GENERATE_CROSSED,
	GENERATE_ENDINGS,
	GENERATE_WORDS,
	GENERATE_END,
};

static const struct {
	enum lookup_source source;
	uint64_t budget;
} generators[] = {
	[GENERATE_DOCUMENTS] = { LOOKUP_DOCUMENT, BUDGET_DOCUMENTS },
	[GENERATE_SIBLINGS] = { LOOKUP_SIBLING, BUDGET_SIBLINGS },
	[GENERATE_PLAIN] = { LOOKUP_RULE, BUDGET_PLAIN },
	[GENERATE_VALUES] = { LOOKUP_DOCUMENT, BUDGET_VALUES },
	[GENERATE_CROSSED] = { LOOKUP_RULE, BUDGET_CROSSED },
	[GENERATE_ENDINGS] = { LOOKUP_SIBLING, BUDGET_ENDINGS },
	[GENERATE_WORDS] = { LOOKUP_RULE, BUDGET_WORDS },
};

static void generate(const struct lookup *l, enum generator which, const struct splits *splits,
		     struct trial *t)
{
	switch (which) {
	case GENERATE_DOCUMENTS:
		compose_documents(l, t);
		break;
	case GENERATE_SIBLINGS:
		compose_siblings(l, splits, t);
		break;
	case GENERATE_PLAIN:
		compose_plain(t);
		break;
	case GENERATE_VALUES:
		compose_values(l, t);
		break;
	case GENERATE_CROSSED:
		compose_crossed(l, t);
		break;
	case GENERATE_ENDINGS:
		compose_endings(splits, t);
		break;
	case GENERATE_WORDS:
		compose_words(&splits->pieces, t);
		break;
	case GENERATE_END:
		break;
	}
	trial_flush(t);
}

void lookup_try_composed(struct lookup *l)
{
	cleanup_(splits_fini) struct splits splits = { 0 };
	cleanup_(vs_freep) struct trial *t = NULL;
	uint64_t tried = 0;

	if (!group_begin(l))
		return;
	splits_init(&splits, l);
	settle(l, &splits.pieces);
	splits_add_words(&splits, &l->words);
	t = vs_alloc(sizeof(*t));
	for (enum generator g = GENERATE_DOCUMENTS; g < GENERATE_END; g++) {
		trial_init(t, &l->sieve, l->engine, generators[g].budget);
		generate(l, g, &splits, t);
		group_collect(l, &t->hits, generators[g].source);
		tried += t->tried;
		trial_fini(t);
	}
	group_end(l, tried);
}
