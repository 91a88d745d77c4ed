/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * selftest: does the checker find, in a copy of this very store, what it is there to find?
 *
 * A sample of the store is copied to a scratch directory of the caller's. For each class of damage
 * a fresh copy of that is damaged in one place and checked: the class is detected when there are
 * more findings of one of its problem codes than in the sample as it was, so that damage that the
 * store has already neither helps nor hinders. Of a store nothing is read but what the sample takes,
 * and nothing is written.
 */

#include "check/check.h"
#include "store/store.h"
#include "util/util.h"

enum selftest_outcome {
	SELFTEST_DETECTED,
	SELFTEST_MISSED,
	SELFTEST_SKIPPED, /* the sample has nothing that can be damaged so; see why */
};

enum selftest_repair {
	SELFTEST_NOT_REPAIRABLE, /* by itself: a person decides */
	SELFTEST_NOT_TRIED,
	SELFTEST_REPAIRED,
	SELFTEST_NOT_REPAIRED,
};

/* What became of one class; borrowed for the call. */
struct selftest_row {
	const char *name; /* "document-cut" */
	enum store_kind kind;
	const char *what; /* was done, in a few words */
	enum selftest_outcome outcome;
	enum selftest_repair repair;
	const char *code;     /* of the problem that was found; NULL */
	const char *expected; /* codes, divided by blanks */
	const char *why;      /* it was skipped; "" */
};

struct selftest_request {
	int scratch_dirfd;   /* an empty directory of the caller's, outside the store */
	const char *scratch; /* its path */
	uint64_t max_documents;
	uint64_t max_bytes;
	unsigned jobs;
	/* Repair the store @path, whatever it takes; NULL: repairs are not tried. */
	void (*repair)(void *ctx, const char *path, const char *state);
	void (*row)(void *ctx, const struct selftest_row *row);
	void *ctx;
	struct vs_progress *progress; /* items are classes; may be NULL */
};

struct selftest_summary {
	uint64_t documents, bytes; /* of the sample; of all samples */
	uint64_t detected, missed, skipped, repaired, not_repaired;
	uint64_t errors; /* that the sample has by itself */
};

/* A problem that no class makes, and why. */
struct selftest_omitted {
	const char *code;
	const char *why;
};
extern const struct selftest_omitted selftest_omitted[]; /* ends with a NULL code */

/*
 * Run all classes for the kind of @store, or, where that is NULL, on stores made for it: of both
 * kinds, and of both compression settings. VS_ELIMIT: a Chroma store, of which no part can be taken,
 * is larger than max_bytes. VS_EUSAGE: there is nothing in the store to damage.
 */
must_check_ int selftest_run(const struct store *store, const struct selftest_request *req,
			     struct selftest_summary *out, struct vs_err *err);
