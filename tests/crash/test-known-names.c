/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Remembering a name, failed and killed at each of its disk calls: the names from before are there
 * afterwards whatever happens, and the new one can be added again.
 */

#include "fault.h"
#include "kit/scratch.h"
#include "lookup/lookup.h"

#include <criterion/criterion.h>

static int add(int dirfd, const char *name)
{
	struct slice s = slice_str(name);
	struct vs_err err = { 0 };

	return known_names_add(dirfd, &s, 1, "verify", 0, NULL, &err);
}

static int operation(void *ctx)
{
	const int *dirfd = ctx;

	return add(*dirfd, "new");
}

static bool remembers(int dirfd, const char *name)
{
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct lookup_answer answer;
	struct digest digest;
	struct vs_err err = { 0 };
	uint32_t hash;

	digest_of(slice_str(name), &digest);
	hash = load_be32(digest.bytes);
	l = lookup_new(&(struct lookup_request){ .hashes = &hash, .count = 1 });
	cr_assert_eq(known_names_load(l, dirfd, NULL, &err), 0, "%s", err.text);
	lookup_try_seen(l);
	lookup_answer(l, hash, &answer);
	return answer.verdict == LOOKUP_FOUND;
}

/* One fault; false when the operation ended before it. */
static bool survive(int dirfd, const char *scene, unsigned n, enum fault_mode mode)
{
	enum fault_outcome outcome;
	int place = scratch_mkdir(dirfd, scene);

	cr_assert_eq(add(place, "old"), 0);
	outcome = fault_run(n, mode, operation, &place);
	cr_assert_neq(outcome, FAULT_SURVIVED, "%s %u", fault_mode_name(mode), n);
	cr_assert(remembers(place, "old"), "%s %u", fault_mode_name(mode), n);
	cr_assert(outcome != FAULT_NOT_REACHED || remembers(place, "new"));
	cr_assert_eq(add(place, "new"), 0);
	cr_assert(remembers(place, "old") && remembers(place, "new"), "%s %u",
		  fault_mode_name(mode), n);
	close(place);
	return outcome != FAULT_NOT_REACHED;
}

Test(known_names, every_fault)
{
	int dirfd;

	scratch_new(&dirfd);
	for (enum fault_mode mode = 0; mode < FAULT_MODES_; mode++) {
		unsigned n = 1;
		char scene[32];

		do {
			snprintf(scene, sizeof(scene), "%s-%u", fault_mode_name(mode), n);
		} while (survive(dirfd, scene, n, mode) && ++n < 100);
		cr_assert_gt(n, 2, "%s: no call was reached", fault_mode_name(mode));
		cr_assert_lt(n, 100);
	}
}
