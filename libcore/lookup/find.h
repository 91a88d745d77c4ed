/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * find: names for wanted hashes, in order of trust
 *
 * A search is told which hashes are wanted and what is known about the store, and then goes through
 * groups of sources, the trusted ones first:
 *
 *	lookup_try_seen()	names that somebody wrote down: given by the user, in metadata
 *				backups, in logs, remembered from earlier runs
 *	lookup_try_composed()	names made from what is in the store: other collections' names taken
 *				apart and put together anew, the metadata of documents, the naming
 *				rules of contextd, names that are common
 *	lookup_try_words()	a file of names, one a line
 *	lookup_try_mask()	every name that a mask describes
 *
 * A name counts only when its hash is a wanted one; nothing else is ever proposed. A hash that a
 * group found a trusted name for is closed: later groups leave it alone, unless the request is
 * thorough. Sources of one group are always tried together, so that two explanations that are
 * equally good are both seen.
 *
 * How far to trust a name follows from numbers. Among N names tried, N / 2^32 are expected to land
 * on a wanted hash by mere chance; a name is trusted while that is at most LOOKUP_FALSE_MAX. The
 * groups of names seen and composed stay below it by their limits; a word list of five million
 * lines or a mask of six letters does not.
 *
 * Text that comes from a store is data: names may hold any byte. Evidence is for people, in one
 * line, and escaped already. A search is used by one thread. Part of the room's front door.
 */

#include "chromem/chromem.h"
#include "util/util.h"

#include <stdatomic.h>

/* Where a name comes from, most trusted first. */
enum lookup_source {
	LOOKUP_GIVEN,      /* by the user, for this job */
	LOOKUP_BACKUP,     /* a metadata backup or a snapshot */
	LOOKUP_LOGGED,     /* the audit log, or contextd's write-ahead log */
	LOOKUP_REMEMBERED, /* seen in this store by an earlier run */
	LOOKUP_SIBLING,    /* other collections' names, whole or recombined */
	LOOKUP_DOCUMENT,   /* what documents say, by the naming rules */
	LOOKUP_RULE,       /* the naming rules by themselves, or with words from elsewhere */
	LOOKUP_WORD_LIST,
	LOOKUP_MASK,
};

/* "given", "backup", "log", "remembered", "sibling", "document", "rule", "word-list", "mask". */
const char *lookup_source_name(enum lookup_source source);

/* Longer names are never tried. */
#define LOOKUP_NAME_MAX ((size_t)64 << 10)

/* Expected false matches up to which a name is trusted. */
#define LOOKUP_FALSE_MAX 1e-3

/* Candidates kept for one hash, and texts of evidence for one candidate. */
#define LOOKUP_CANDIDATES_MAX 1024
#define LOOKUP_EVIDENCE_MAX 8

struct lookup_candidate {
	uint32_t hash;
	char *name; /* @name_len bytes, any, and a NUL behind them; never empty */
	size_t name_len;
	enum lookup_source source; /* the most trusted one that gave it */
	char **evidence;           /* at least one text */
	size_t evidence_count;
	uint64_t tried; /* names tried for this hash up to the end of that source's group */
	double expected_false_matches; /* among those */
	bool is_trusted;
};

enum lookup_verdict {
	LOOKUP_NOTHING,   /* no candidate */
	LOOKUP_FOUND,     /* exactly one that is trusted: the first */
	LOOKUP_AMBIGUOUS, /* several that are: nobody but a person may choose */
	LOOKUP_DOUBTFUL,  /* candidates, none of them trusted */
};

const char *lookup_verdict_name(enum lookup_verdict verdict); /* "nothing", "found", ... */

/* What is known about one hash. Borrowed from the search until its next group. */
struct lookup_answer {
	uint32_t hash;
	enum lookup_verdict verdict;
	const struct lookup_candidate *candidates; /* best first */
	size_t count;
	uint64_t dropped; /* further names that match, over LOOKUP_CANDIDATES_MAX */
	uint64_t tried;   /* names tried for this hash in all */
	double expected_false_matches;
};

struct lookup_request {
	const uint32_t *hashes; /* copied; doubles are fine */
	size_t count;
	struct pool *pool;       /* for word lists and masks; NULL: the calling thread alone */
	enum hash_engine engine; /* must be available */
	bool is_thorough;        /* go on with hashes that have a trusted name */

	/*
	 * For word lists and masks. @progress is called on the calling thread some ten times a
	 * second; @total is 0 when not known. Both may be NULL. Once *@cancel is true the search
	 * ends within a fraction of a second; another thread or a signal handler may set it.
	 */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	const atomic_bool *cancel;
};

struct lookup *lookup_new(const struct lookup_request *request);
void lookup_freep(struct lookup **l);

/* ---- what is known (source.c); all of it is copied ---- */

/*
 * A whole name. @where says where it stood ("metadata backup of 2026-01-22T14:00:00Z", "collection
 * 3f2a51c0"); NULL leaves it to the source. Empty names and those over LOOKUP_NAME_MAX are passed
 * over: no collection has one. Only for sources up to LOOKUP_SIBLING.
 */
void lookup_add_name(struct lookup *l, enum lookup_source source, struct slice name,
		     const char *where);

/*
 * One document of the collection directory @hash, wanted or not: what it says about itself. Some
 * thousands from each collection are as good as all of them.
 */
void lookup_add_document(struct lookup *l, uint32_t hash, struct slice id,
			 const struct chromem_pair *metadata, size_t count);

/*
 * contextd's list of who has stores: {"version":1,"tenants":{},"teams":{},"projects":{}}, whose
 * keys are "tenant", "tenant/team", "tenant/project" or "tenant/team/project". Fails with
 * VS_EFORMAT, having added nothing, when it is something else.
 */
must_check_ int lookup_add_registry(struct lookup *l, struct slice json, struct vs_err *err);

/* The path of the store: its last parts may be an owner and a project. */
void lookup_add_path(struct lookup *l, const char *path);

/* ---- the search ---- */

/* Hashes that have no trusted name yet; in a thorough search, all of them. */
size_t lookup_open_count(const struct lookup *l);

/* Whole names, as told with lookup_add_name() since the last call (LOOKUP_SIBLING not included). */
void lookup_try_seen(struct lookup *l);

/*
 * Compose names from all that was told (compose.c), at most LOOKUP_COMPOSED_MAX. Takes milliseconds
 * for an ordinary store. Meant to be called once, after everything is known.
 */
#define LOOKUP_COMPOSED_MAX (UINT64_C(1) << 21)
void lookup_try_composed(struct lookup *l);

/*
 * Read names from @fd, one a line (LF or CRLF, any bytes), until its end (wordlist.c). Memory does
 * not depend on its length. With @with_rules each is tried with every kind of record at its end
 * too, as it is and cleaned as contextd cleans. @label names the list in evidence and errors. Lines
 * over LOOKUP_NAME_MAX are counted in *@too_long, which may be NULL.
 *
 * Returns 0; 1 when cancelled, with what was found till then; VS_EIO.
 */
must_check_ int lookup_try_words(struct lookup *l, int fd, const char *label, bool with_rules,
				 uint64_t *too_long, struct vs_err *err);

/* Try all names of @mask (mask-search.c). Returns 0, or 1 when cancelled. */
struct mask;
must_check_ int lookup_try_mask(struct lookup *l, const struct mask *mask);

/* What was found for @hash, which must be one of the request. */
void lookup_answer(const struct lookup *l, uint32_t hash, struct lookup_answer *out);
