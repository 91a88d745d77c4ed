/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * guard: is there room for a change, and what has a change of somebody else's done to a store?
 *
 * Before: the preflight, which every command that writes asks first. Around a migration: a census of
 * the store before it and one after, what differs between them, and whether that may stay. Nothing
 * here starts or ends programs, and nothing here changes a store; the record of the run that is
 * under way is the only file that it writes, in the state directory.
 *
 * All of it is the same for every kind of store; only the reading of the documents is not
 * (census-chromem.c, census-chroma.c).
 */

#include "check/check.h"
#include "util/util.h"

/* ---- is there room? (preflight.c) ---- */

/* In STATE/guard: room on the disk that is kept for the way back. */
#define GUARD_RESERVE_NAME "reserve"

#define GUARD_MEMORY_PERCENT 80
#define GUARD_FREE_BYTES (UINT64_C(100) << 20)

struct guard_limits {
	double memory_percent; /* refuse above; 100 or more: never */
	uint64_t free_bytes;   /* refuse below; 0: never */
};

/*
 * Memory in use, of 100: that of the machine, or of the control group that this process is in,
 * whichever has less left. Caches that the system gives up when asked are not in use. Negative:
 * the system does not say.
 */
double guard_memory_used(void);

/* Bytes that this user may still write to the file system of @path, or of the nearest directory
 * above it that is there. */
must_check_ int guard_disk_free(const char *path, uint64_t *out, struct vs_err *err);

/*
 * VS_EIO, with figures and the option that overrules it, when more memory is in use than @limits
 * allow, or one of @paths (ends with NULL) has less room. Nothing was done by then.
 */
must_check_ int guard_preflight(const struct guard_limits *limits, const char *const *paths,
				struct vs_err *err);

/*
 * Keep @size bytes of the disk of @dirfd for later, unless less than @free_bytes would be left then.
 * 0; 1: it cannot be kept. guard_reserve_release() gives it back; that there is none is fine.
 */
must_check_ int guard_reserve(int dirfd, uint64_t size, uint64_t free_bytes, struct vs_err *err);
must_check_ int guard_reserve_release(int dirfd, struct vs_err *err);

/* ---- what a store holds (census.c) ---- */

/* What a document's vector is. */
enum guard_vector {
	GUARD_VECTOR_UNKNOWN, /* it was not looked at */
	GUARD_VECTOR_NONE,
	GUARD_VECTOR_SOUND,
	GUARD_VECTOR_ZERO,
	GUARD_VECTOR_NOT_FINITE,
};

/* What kind of value a key has in a document. In chromem all are texts, so it is what they spell. */
enum guard_kind {
	GUARD_KIND_ABSENT,
	GUARD_KIND_TEXT,
	GUARD_KIND_EMPTY, /* a text of no length */
	GUARD_KIND_NUMBER,
	GUARD_KIND_INTEGER,
	GUARD_KIND_BOOL,
	GUARD_KIND_LIST,
	GUARD_KIND_NULL,
	GUARD_KIND_COUNT_,
};
const char *guard_kind_name(enum guard_kind kind); /* "text", ... */

#define GUARD_KEYS_MAX                                                                             \
	32 /* of a collection; whatever comes after those seen first is not compared */

struct guard_document {
	uint64_t id; /* the first 8 bytes of the SHA-256 of its id */
	uint32_t dimension;
	uint8_t vector;                    /* enum guard_vector */
	uint8_t kinds[GUARD_KEYS_MAX / 2]; /* of each key 4 bits, enum guard_kind */
};

struct guard_collection {
	char *id;                          /* directory or UUID; owned */
	struct slice name;                 /* ptr owned; len 0 where it is not known */
	struct slice keys[GUARD_KEYS_MAX]; /* ptr owned */
	size_t key_count;
	struct guard_document *documents; /* by id once the census is taken; owned */
	size_t count, cap;
};

struct guard_census {
	struct guard_collection *collections; /* in the order of the store */
	size_t count, cap;
	uint64_t documents;
	struct check_summary summary;
	uint64_t *errors; /* of each finding that is an error, a digest of what and where; sorted */
	size_t error_count, error_cap;
	char *first_error; /* the message of the first; NULL */
	uint64_t unread;   /* documents that could not be read; they are in no collection's count */
};
void guard_census_freep(struct guard_census **census);

/*
 * Check the store at the full level and read every document. A damaged store has a census, too: of
 * what can be read. first_error is the first that @known, an earlier census or NULL, does not have.
 * Owned. 32 bytes a document.
 */
must_check_ int guard_census_take(struct guard_census **out, const struct store *store,
				  unsigned jobs, const struct guard_census *known,
				  struct vs_err *err);

/* For whoever reads documents: begin a collection, add a document to it, name a key's kind in it. */
struct guard_collection *guard_census_collection(struct guard_census *census, const char *id,
						 struct slice name);
struct guard_document *guard_collection_document(struct guard_collection *c, struct slice id);

/*
 * The documents of that id, by which they are put in order for this: how many follow *@first. Those
 * that were handed out before may stand elsewhere then.
 */
void guard_collection_sort(struct guard_collection *c);
size_t guard_collection_find(struct guard_collection *c, struct slice id,
			     struct guard_document **first);
void guard_document_value(struct guard_collection *c, struct guard_document *d, struct slice key,
			  enum guard_kind kind);
enum guard_vector guard_vector_state(const float *values, size_t count);

must_check_ int guard_census_chromem(struct guard_census *census, const struct store *store,
				     unsigned jobs, struct vs_err *err);
must_check_ int guard_census_chroma(struct guard_census *census, const struct store *store,
				    struct vs_err *err);

/* ---- what has become of it (compare.c) ---- */

/* A key of a collection that documents lost, or that has another kind of value in them. */
struct guard_key_change {
	const char *collection; /* borrowed from the censuses, as all slices here */
	struct slice name, key;
	uint64_t had;     /* documents that had it, and that are still there */
	uint64_t lost;    /* of those: do not have it any more */
	uint64_t changed; /* have another kind of value */
	enum guard_kind from, to;
};

struct guard_row {
	const char *id; /* borrowed */
	struct slice name;
	bool is_gone, is_new;
	uint64_t before, after;
	uint64_t lost;                        /* documents that are not there any more */
	uint64_t moved;                       /* that are in a new collection instead */
	uint64_t gained;                      /* documents that were not there before */
	uint64_t zeroed, not_finite, without; /* vectors that became so */
	uint64_t redimensioned;
};

struct guard_change {
	struct guard_row *rows; /* of each collection of either census */
	size_t count;
	struct guard_key_change *keys;
	size_t key_count, key_cap;
	uint64_t before, after, lost, moved, gained;
	uint64_t new_errors;
	const char *first_error; /* borrowed from the later census */
	bool is_less_loadable; /* the application's library loaded it before, or loaded it right */
};
void guard_change_fini(struct guard_change *change);

/* @by_count: a document is not known again by its id, so only numbers are compared. */
void guard_compare(const struct guard_census *before, const struct guard_census *after,
		   bool by_count, struct guard_change *out);

/* ---- may that stay? (judge.c) ---- */

/* Reasons against it, each a bit, so that some of them can be allowed. */
enum guard_reason {
	GUARD_LOSS = 1 << 0,        /* more documents than allowed, of a collection or in all */
	GUARD_COLLECTIONS = 1 << 1, /* a collection is gone */
	GUARD_ERRORS = 1 << 2,      /* the check has errors that were not there before */
	GUARD_VECTORS = 1 << 3,     /* vectors became zero, not finite, or went */
	GUARD_DIMENSION = 1 << 4,   /* vectors have another number of elements */
	GUARD_SCHEMA = 1 << 5,      /* metadata keys are lost, or hold another kind of value */
};
#define GUARD_REASON_COUNT 6
const char *guard_reason_name(enum guard_reason reason); /* "loss", "collections", ... */

/* "5%", "2.5", "0": in millionths of a per cent. False for anything else, and for more than 100. */
#define GUARD_PERCENT UINT64_C(1000000)
must_check_ bool guard_percent_parse(const char *text, uint64_t *out);

/* Words of guard_reason_name() with commas between them, but for "loss". VS_EUSAGE. */
must_check_ int guard_allow_parse(const char *text, unsigned *out, struct vs_err *err);

/* Is @part more than @percent of @whole? Exact: 50 of 1000 is not more than 5 %. */
bool guard_exceeds(uint64_t part, uint64_t whole, uint64_t percent);

/*
 * The reasons against keeping @change, in the order of the enum, and a sentence for each, added to
 * @out with "; " between them. A key counts as lost, or changed, when it is so in more than
 * @max_loss of the documents that had it; a vector counts always.
 */
unsigned guard_judge(const struct guard_change *change, uint64_t max_loss, unsigned allowed,
		     struct buf *out);

/* ---- the run that is under way (record.c) ---- */

/*
 * STATE/guard/run.json: there from before the guarded command begins until it was decided what
 * becomes of its work. Whoever finds one and can take the lock beside it knows that a guard was
 * killed, and to which snapshot the store can go back. All texts are owned.
 */
struct guard_record {
	char *snapshot;
	char *store; /* absolute */
	char *command;
	int64_t time_ns;
};
void guard_record_fini(struct guard_record *rec);

/* @dirfd is that of STATE/guard. 0; 1: there is none; VS_EFORMAT: it is no such record. */
must_check_ int guard_record_load(int dirfd, struct guard_record *out, struct vs_err *err);
must_check_ int guard_record_save(int dirfd, const struct guard_record *rec, struct vs_err *err);
must_check_ int guard_record_remove(int dirfd, struct vs_err *err);
