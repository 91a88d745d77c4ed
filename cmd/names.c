/* SPDX-License-Identifier: Apache-2.0 */

/* A name for one collection, from everything that the store and its state directory know. */

#include "names.h"

#include "lookup/lookup.h"

int names_find_one(void *ctx, const char *collection, char **name, char **evidence,
		   struct vs_err *err)
{
	struct name_finder *finder = ctx;
	struct change *c = finder->change;
	struct name_target target = { .collection = collection };
	struct lookup_request req = { .hashes = &target.hash,
				      .count = 1,
				      .engine = hash_engine_best() };
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct lookup_answer answer = { 0 };
	int r;

	if (!names_hash_of(collection, &target.hash))
		return 0;
	l = lookup_new(&req);
	r = names_gather(l, c->store, session_state_dirfd(c->session), &target, 1, err);
	if (r < 0)
		return r;
	lookup_try_seen(l);
	lookup_try_composed(l);
	lookup_answer(l, target.hash, &answer);
	if (answer.verdict != LOOKUP_FOUND ||
	    strlen(answer.candidates[0].name) != answer.candidates[0].name_len)
		return 0;
	*name = vs_strdup(answer.candidates[0].name);
	*evidence = vs_strdup(answer.candidates[0].evidence[0]);
	return 1;
}
