/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of a search share: the wanted hashes, names on their way through the hash engine,
 * and the search itself. Internal to the room.
 *
 * A generator puts names into a trial, which hashes them by the batch and keeps the hits. Why a
 * name was tried is an origin: a few pointers, from which words are made only for hits. Trials of
 * several workers run at once; collecting their hits into the search is for one thread.
 */

#include "lookup/lookup.h"
#include "lookup/tally.h"

/* ---- wanted hashes (trial.c) ---- */

#define SIEVE_BITS 16

/* A set of hashes to which millions of others a second are compared. */
struct sieve {
	uint32_t *hashes; /* sorted, distinct */
	size_t count;
	uint64_t heads[1 << (SIEVE_BITS - 6)]; /* a bit for the upper half of each */
};

void sieve_init(struct sieve *s, const uint32_t *sorted, size_t count);
void sieve_fini(struct sieve *s);

/* Index of the first wanted one among @hashes from @from on, or @count. */
size_t sieve_next(const struct sieve *s, const uint32_t *hashes, size_t from, size_t count);

/* ---- names under trial (trial.c) ---- */

struct origin {
	/* Append one line of evidence. Pointers stay valid until the hits are collected. */
	void (*describe)(const struct lookup *l, const struct origin *o, struct buf *out);
	const void *a, *b, *c;
	uint64_t n;
	uint32_t home; /* the directory that it is about, if any: its own evidence comes first */
};

struct hit {
	uint32_t hash;
	char *name; /* owned; @len bytes and a NUL */
	size_t len;
	struct origin origin;
};

struct hits {
	struct hit *list;
	size_t count, cap;
	uint64_t dropped; /* over HITS_MAX */
};

#define HITS_MAX 65536

void hits_add(struct hits *h, uint32_t hash, struct slice name, const struct origin *origin);
void hits_fini(struct hits *h);

/* Move all of @from behind those of @to. */
void hits_take(struct hits *to, struct hits *from);
void hits_sort(struct hits *h, int (*compare)(const void *a, const void *b));

#define TRIAL_NAMES 128
#define TRIAL_BYTES 16384

struct trial {
	const struct sieve *sieve;
	enum hash_engine engine;
	uint64_t left; /* names that may still be tried */
	uint64_t tried;
	struct hits hits;
	size_t count, used; /* of names and bytes waiting */
	struct slice names[TRIAL_NAMES];
	struct origin origins[TRIAL_NAMES];
	unsigned char bytes[TRIAL_BYTES];
};

/* Large: allocate it. */
void trial_init(struct trial *t, const struct sieve *sieve, enum hash_engine engine,
		uint64_t budget);
void trial_fini(struct trial *t);

/*
 * Try the name that the @count parts make together (at most LOOKUP_NAME_MAX bytes; the empty name
 * and longer ones are passed over). False when the budget is used up.
 */
bool trial_add(struct trial *t, const struct slice *parts, size_t count,
	       const struct origin *origin);

/* Hash what is waiting. */
void trial_flush(struct trial *t);

/* ---- the search (find.c) ---- */

struct want {
	uint32_t hash;
	bool is_open;
	size_t candidates;
	uint64_t dropped;
	uint64_t tried;
};

/* A whole name that somebody wrote down. */
struct seen_name {
	enum lookup_source source;
	char *name;
	size_t len;
	char *where; /* may be NULL */
};

struct lookup {
	struct want *wants; /* sorted by hash, distinct */
	size_t want_count;
	struct pool *pool; /* may be NULL */
	enum hash_engine engine;
	bool is_thorough;
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	const atomic_bool *cancel;
	int64_t told_ns; /* when progress was last told */

	struct lookup_candidate *candidates; /* in order of hash, then best first, between groups */
	size_t candidate_count, candidate_cap;

	struct seen_name *seen; /* up to LOOKUP_REMEMBERED */
	size_t seen_count, seen_cap;
	size_t seen_done; /* tried before */
	struct seen_name *siblings;
	size_t sibling_count, sibling_cap;

	/* What was told, ready to compose from (source.c says how facts and values are packed). */
	struct tally facts, values;
	struct tally tenants, teams, projects, paths, words;

	struct sieve sieve; /* of the group under way */
};

/* Where a word was found; the tags of tallies. */
enum word_tag {
	WORD_DOCUMENT = 1 << 0,
	WORD_REGISTRY = 1 << 1,
	WORD_PATH = 1 << 2,
	WORD_SIBLING = 1 << 3,
	WORD_COMMON = 1 << 4,
};

/*
 * A group: every name tried between begin and end counts for all open hashes. Begin returns false
 * when none is open, and then there is nothing to do.
 */
bool group_begin(struct lookup *l);
void group_collect(struct lookup *l, const struct hits *hits, enum lookup_source source);
void group_end(struct lookup *l, uint64_t tried);

/* Tell the caller how far it is, if it is time again. For the calling thread. */
void lookup_tell(struct lookup *l, uint64_t done, uint64_t total);

static inline bool lookup_cancelled(const struct lookup *l)
{
	return l->cancel && atomic_load_explicit(l->cancel, memory_order_relaxed);
}

/* ---- composing (compose.c; rules.c, recombine.c) ---- */

/* Kinds of records that names end in: contextd's and some more; NULL behind the last (common.c). */
const char *record_kind_at(size_t index);

/* For evidence: @text escaped and in quotes; "from documents" and the like. */
void append_quoted(struct buf *out, struct slice text);
const char *word_tag_text(unsigned tags);

/* Owners and projects, and whole names, that need no evidence (common.c). End with NULL. */
extern const char *const common_projects[];
extern const char *const common_names[];

/* What the rules make of the documents. */
void compose_documents(const struct lookup *l, struct trial *t);

/* What needs no hint at all. */
void compose_plain(struct trial *t);

/* What the rules make of every owner with every project. */
void compose_crossed(const struct lookup *l, struct trial *t);

/* What else documents say, as it is and with every kind of record. */
void compose_values(const struct lookup *l, struct trial *t);

/* Siblings' names taken apart. Zeroed is an empty one. */
struct splits {
	struct tally heads;  /* up to and with a separator */
	struct tally tails;  /* behind one */
	struct tally pieces; /* between two; and the words of owners and projects */
};

void splits_init(struct splits *s, const struct lookup *l);
void splits_fini(struct splits *s);

/* Words from elsewhere are pieces too. */
void splits_add_words(struct splits *s, const struct tally *words);

/* Siblings' own names, and their beginnings with every kind of record. */
void compose_siblings(const struct lookup *l, const struct splits *s, struct trial *t);

/* Every beginning with every ending. */
void compose_endings(const struct splits *s, struct trial *t);

/* Words in every order: A, A_B and A_B_C. */
void compose_words(const struct tally *pieces, struct trial *t);

/* ---- what was told (source.c) ---- */

/* What one document says about where it belongs, packed into the text of a tally. */
struct facts {
	uint32_t hash; /* of its directory */
	struct slice tenant, team, project_id, project_path, collection;
};

void facts_unpack(struct slice packed, struct facts *out);

/* As contextd_names_init() reads them; @pairs takes 5. Returns their number. */
size_t facts_pairs(const struct facts *f, struct chromem_pair *pairs);

/* A value of some other key, or the beginning of an id (@key empty). */
void value_unpack(struct slice packed, struct slice *key, struct slice *value);
