/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of the search share: a search for one name, and what must be found. */

#include "lookup/lookup.h"

#include <criterion/criterion.h>

/* The hash by another way than the engine's. */
static inline uint32_t kit_hash(struct slice name)
{
	struct digest digest;

	digest_of(name, &digest);
	return load_be32(digest.bytes);
}

static inline uint32_t kit_hash_str(const char *name)
{
	return kit_hash(slice_str(name));
}

/* A search for one hash, on the calling thread. Owned. */
static inline struct lookup *kit_lookup(uint32_t hash)
{
	return lookup_new(&(struct lookup_request){ .hashes = &hash, .count = 1 });
}

/* For the directory that @name has. */
static inline struct lookup *kit_lookup_for(const char *name)
{
	return kit_lookup(kit_hash_str(name));
}

static inline bool kit_has_evidence(const struct lookup_candidate *c, const char *part)
{
	for (size_t i = 0; i < c->evidence_count; i++) {
		if (strstr(c->evidence[i], part))
			return true;
	}
	return false;
}

/* Exactly @name was found, by @source, with the numbers that go with it. */
static inline struct lookup_answer kit_expect(const struct lookup *l, const char *name,
					      enum lookup_source source)
{
	struct lookup_answer a;

	lookup_answer(l, kit_hash_str(name), &a);
	cr_assert_str_eq(lookup_verdict_name(a.verdict), "found", "%s", name);
	cr_assert_eq(a.count, 1, "%s", name);
	cr_assert(slice_eq_str(slice_of(a.candidates->name, a.candidates->name_len), name),
		  "%s, not %s", a.candidates->name, name);
	cr_assert_str_eq(lookup_source_name(a.candidates->source), lookup_source_name(source), "%s",
			 name);
	cr_assert(a.candidates->is_trusted);
	cr_assert_gt(a.candidates->evidence_count, 0);
	cr_assert_gt(a.candidates->tried, 0);
	cr_assert_float_eq(a.candidates->expected_false_matches,
			   (double)a.candidates->tried / 4294967296.0, 1e-15);
	return a;
}

static inline void kit_expect_nothing(const struct lookup *l, uint32_t hash)
{
	struct lookup_answer a;

	lookup_answer(l, hash, &a);
	cr_assert_str_eq(lookup_verdict_name(a.verdict), "nothing", "%08x: %s", hash,
			 a.count > 0 ? a.candidates->name : "");
	cr_assert_eq(a.count, 0);
}
