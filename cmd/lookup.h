/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The two directions of `vsctl lookup`, and what the search for names shares. */

#include "cmd.h"

#include "lookup/lookup.h"
#include "store/store.h"

struct lookup_opts {
	bool of;
	bool rules;
	bool thorough;
	const char *store;
	const char *state;
	const char *names;
	const char *mask;
	const char *custom[MASK_CUSTOM_COUNT];
};

/* A search from the command line to the report. */
struct search {
	struct app *app;
	const struct lookup_opts *opts;
	uint32_t *hashes; /* owned */
	size_t count;
	struct mask *mask; /* NULL: none */
	struct pool *pool;
	struct lookup *l;
	struct store *store; /* NULL: none */
	int state_dirfd;     /* -1: none */
	struct name_target *targets;
	char **collections; /* that targets name; owned */
	size_t target_count, target_cap, collection_cap;
	atomic_bool cancel;
};

/* From directories to names. Returns the exit status. */
int lookup_search(struct app *app, const struct lookup_opts *opts, char *const *operands);

/* Tell the search what the store knows, where one was given (lookup-store.c). */
must_check_ int lookup_tell_store(struct search *s, struct vs_err *err);
void lookup_store_fini(struct search *s);

/* The answers for @count hashes in the order in which they were given, in the format asked for. */
struct lookup_report {
	const struct lookup *l;
	const uint32_t *hashes;
	size_t count;
	const char *store; /* the path that names were taken from; NULL: none */
	bool is_cancelled;
};

void lookup_report(struct app *app, const struct lookup_report *r);
