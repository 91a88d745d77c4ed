/* SPDX-License-Identifier: Apache-2.0 */

/* The search: each source of names, the order of trust, and what must never be proposed. */

#include "lookup-kit.h"

/* ---- without a hint ---- */

Test(lookup, the_incident_needs_no_hint)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(0xe9f85bf6);
	struct lookup_answer a;

	lookup_try_composed(l);
	a = kit_expect(l, "contextd_memories", LOOKUP_RULE);
	cr_assert_lt(a.expected_false_matches, 1e-4);
}

Test(lookup, an_unknown_hash_stays_unknown)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("nobody would call it that 8c1f");
	struct lookup_answer a;

	lookup_try_seen(l);
	lookup_try_composed(l);
	kit_expect_nothing(l, kit_hash_str("nobody would call it that 8c1f"));
	lookup_answer(l, kit_hash_str("nobody would call it that 8c1f"), &a);
	cr_assert_gt(a.tried, 100);
	cr_assert_eq(lookup_open_count(l), 1);
}

Test(lookup, a_search_for_nothing)
{
	cleanup_(lookup_freep) struct lookup *l = lookup_new(&(struct lookup_request){ 0 });

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("a"), NULL);
	lookup_try_seen(l);
	lookup_try_composed(l);
	cr_assert_eq(lookup_open_count(l), 0);
}

Test(lookup, hashes_may_be_given_twice)
{
	const uint32_t hashes[] = { 0xe9f85bf6, 0x5c0dc939, 0xe9f85bf6 };
	cleanup_(lookup_freep) struct lookup *l =
		lookup_new(&(struct lookup_request){ .hashes = hashes, .count = 3 });

	cr_assert_eq(lookup_open_count(l), 2);
	lookup_try_composed(l);
	kit_expect(l, "contextd_memories", LOOKUP_RULE);
	kit_expect(l, "conversations", LOOKUP_RULE);
	cr_assert_eq(lookup_open_count(l), 0);
}

/* ---- names that were written down ---- */

Test(lookup, each_kind_of_seen_name)
{
	static const enum lookup_source sources[] = { LOOKUP_GIVEN, LOOKUP_BACKUP, LOOKUP_LOGGED,
						      LOOKUP_REMEMBERED };

	for (size_t i = 0; i < VS_COUNT(sources); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost and found");
		struct lookup_answer a;

		lookup_add_name(l, sources[i], slice_str("another"), NULL);
		lookup_add_name(l, sources[i], slice_str("lost and found"), "a place\x1b[1m");
		lookup_try_seen(l);
		a = kit_expect(l, "lost and found", sources[i]);
		cr_assert(kit_has_evidence(a.candidates, "a place\\x1b[1m"));
		cr_assert_eq(a.tried, 2);
	}
}

Test(lookup, a_name_with_another_hash_is_no_candidate)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost and found");

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("lost and found "), NULL);
	lookup_try_seen(l);
	kit_expect_nothing(l, kit_hash_str("lost and found"));
}

Test(lookup, the_best_source_counts_and_all_evidence_is_kept)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost and found");
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_REMEMBERED, slice_str("lost and found"), "seen in March");
	lookup_add_name(l, LOOKUP_BACKUP, slice_str("lost and found"), "backup of May");
	lookup_add_name(l, LOOKUP_BACKUP, slice_str("lost and found"), "backup of May");
	lookup_try_seen(l);
	a = kit_expect(l, "lost and found", LOOKUP_BACKUP);
	cr_assert_eq(a.candidates->evidence_count, 2);
	cr_assert_str_eq(a.candidates->evidence[0], "backup of May");
	cr_assert_str_eq(a.candidates->evidence[1], "seen in March");
}

Test(lookup, seen_names_are_tried_once)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost and found");
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("one"), NULL);
	lookup_try_seen(l);
	lookup_try_seen(l);
	lookup_add_name(l, LOOKUP_GIVEN, slice_str("two"), NULL);
	lookup_try_seen(l);
	lookup_answer(l, kit_hash_str("lost and found"), &a);
	cr_assert_eq(a.tried, 2);
}

/* ---- order of trust ---- */

Test(lookup, a_trusted_name_ends_the_search)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("contextd_memories");
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("contextd_memories"), NULL);
	lookup_try_seen(l);
	cr_assert_eq(lookup_open_count(l), 0);
	lookup_try_composed(l);
	a = kit_expect(l, "contextd_memories", LOOKUP_GIVEN);
	cr_assert_eq(a.tried, 1);
	cr_assert_eq(a.candidates->evidence_count, 1);
}

Test(lookup, a_thorough_search_goes_on)
{
	const uint32_t hash = 0xe9f85bf6;
	cleanup_(lookup_freep) struct lookup *l = lookup_new(
		&(struct lookup_request){ .hashes = &hash, .count = 1, .is_thorough = true });
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("contextd_memories"), NULL);
	lookup_try_seen(l);
	cr_assert_eq(lookup_open_count(l), 1);
	lookup_try_composed(l);
	a = kit_expect(l, "contextd_memories", LOOKUP_GIVEN);
	cr_assert_gt(a.tried, 100);
	cr_assert_eq(a.candidates->tried, 1);
	cr_assert(kit_has_evidence(a.candidates, "given by the user"));
	cr_assert(kit_has_evidence(a.candidates, "\"contextd\", a common project"));
}

/* Only the hashes that are open pay for further names. */
Test(lookup, names_count_for_open_hashes_only)
{
	const uint32_t hashes[] = { kit_hash_str("first"), kit_hash_str("nothing like it") };
	cleanup_(lookup_freep) struct lookup *l =
		lookup_new(&(struct lookup_request){ .hashes = hashes, .count = 2 });
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_GIVEN, slice_str("first"), NULL);
	lookup_try_seen(l);
	lookup_try_composed(l);
	kit_expect(l, "first", LOOKUP_GIVEN);
	lookup_answer(l, hashes[0], &a);
	cr_assert_eq(a.tried, 1);
	lookup_answer(l, hashes[1], &a);
	cr_assert_gt(a.tried, 100);
}

Test(lookup, both_of_two_given_names_with_one_hash)
{
	const uint32_t hash = 0xce28adc0;
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(hash);
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_LOGGED, slice_str("umbrella_report_infra_remediations"), NULL);
	lookup_add_name(l, LOOKUP_BACKUP, slice_str("wonka_portal_queue_conversations"), NULL);
	lookup_try_seen(l);
	lookup_answer(l, hash, &a);
	cr_assert_str_eq(lookup_verdict_name(a.verdict), "ambiguous");
	cr_assert_eq(a.count, 2);
	cr_assert_str_eq(a.candidates[0].name, "wonka_portal_queue_conversations");
	cr_assert_eq(a.candidates[0].source, LOOKUP_BACKUP);
	cr_assert_eq(a.candidates[1].source, LOOKUP_LOGGED);
}

/* ---- siblings ---- */

static void add_siblings(struct lookup *l)
{
	static const char *const names[] = { "quartz_lamp_checkpoints", "acme-blueprints",
					     "basalt_inventory", "granite" };

	for (size_t i = 0; i < VS_COUNT(names); i++)
		lookup_add_name(l, LOOKUP_SIBLING, slice_str(names[i]), "3f2a51c0.bak");
}

Test(lookup, siblings_taken_apart)
{
	static const char *const names[] = {
		"quartz_lamp_sessions",  /* another kind of record */
		"quartz_memories",       /* a shorter beginning */
		"acme-codebase",         /* another separator */
		"acme-lamp_checkpoints", /* an ending of another sibling */
		"basalt_lamp_checkpoints",
	};

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(names[i]);
		struct lookup_answer a;

		add_siblings(l);
		lookup_try_composed(l);
		a = kit_expect(l, names[i], LOOKUP_SIBLING);
		cr_assert(kit_has_evidence(a.candidates, "begins with "), "%s", names[i]);
	}
}

Test(lookup, evidence_names_the_siblings)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("acme-lamp_checkpoints");
	struct lookup_answer a;

	add_siblings(l);
	lookup_try_composed(l);
	lookup_answer(l, kit_hash_str("acme-lamp_checkpoints"), &a);
	cr_assert_eq(a.count, 1);
	cr_assert_str_eq(a.candidates->evidence[0],
			 "begins with \"acme-\" as \"acme-blueprints\" does, ends in "
			 "\"lamp_checkpoints\" as \"quartz_lamp_checkpoints\" does");
}

/* A copy of a directory that an operator made still has the metadata. */
Test(lookup, a_sibling_with_the_very_name)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("granite");
	struct lookup_answer a;

	add_siblings(l);
	lookup_try_seen(l);
	kit_expect_nothing(l, kit_hash_str("granite"));
	lookup_try_composed(l);
	a = kit_expect(l, "granite", LOOKUP_SIBLING);
	cr_assert(kit_has_evidence(a.candidates, "the name that 3f2a51c0.bak has"));
}

Test(lookup, words_of_siblings_in_any_order)
{
	static const char *const names[] = { "lamp_granite", "granite_quartz_basalt",
					     "lamp_inventory_sessions", "blueprints" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(names[i]);
		struct lookup_answer a;

		add_siblings(l);
		lookup_try_composed(l);
		a = kit_expect(l, names[i], LOOKUP_RULE);
		cr_assert(kit_has_evidence(a.candidates, "made of "), "%s", names[i]);
	}
}

/* ---- registry and path ---- */

static const char registry[] =
	"{\"version\":1,\"tenants\":{\"zenith\":{\"uuid\":\"u\",\"name\":\"zenith\"}},"
	"\"teams\":{\"zenith/optics\":{}},"
	"\"projects\":{\"zenith/observatory\":{},\"zenith/optics/mirror\":{}}}";

Test(lookup, the_registry)
{
	static const char *const names[] = { "zenith_observatory_codebase", "optics_mirror_skills",
					     "remediations_team_zenith_optics",
					     "observatory_sessions" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(names[i]);
		struct vs_err err = { 0 };
		struct lookup_answer a;

		cr_assert_eq(lookup_add_registry(l, slice_str(registry), &err), 0, "%s", err.text);
		lookup_try_composed(l);
		a = kit_expect(l, names[i], LOOKUP_RULE);
		cr_assert(kit_has_evidence(a.candidates, "from registry.json"), "%s", names[i]);
	}
}

Test(lookup, a_registry_that_is_none)
{
	static const char *const texts[] = { "", "{", "[]", "{\"tenants\":{\"zenith\":{}}}", "3" };

	for (size_t i = 0; i < VS_COUNT(texts); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("zenith_memories");
		struct vs_err err = { 0 };

		cr_assert_eq(lookup_add_registry(l, slice_str(texts[i]), &err), VS_EFORMAT, "%s",
			     texts[i]);
		cr_assert(strstr(err.text, "registry.json"), "%s", err.text);
		lookup_try_composed(l);
		kit_expect_nothing(l, kit_hash_str("zenith_memories"));
	}
}

Test(lookup, the_path_of_the_store)
{
	static const char *const names[] = {
		"zenith_observatory_conversations",
		"observatory_memories",
		"remediations_project_zenith__srv_zenith_observatory",
	};

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(names[i]);
		struct lookup_answer a;

		lookup_add_path(l, "/srv/zenith/observatory/./vectorstore/");
		lookup_try_composed(l);
		a = kit_expect(l, names[i], LOOKUP_RULE);
		cr_assert(kit_has_evidence(a.candidates, "from the path of the store"), "%s",
			  names[i]);
	}
}

Test(lookup, paths_without_parts)
{
	static const char *const paths[] = { "", "/", "//", ".", "..", "../..", "a" };

	for (size_t i = 0; i < VS_COUNT(paths); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("contextd_memories");

		lookup_add_path(l, paths[i]);
		lookup_try_composed(l);
		kit_expect(l, "contextd_memories", LOOKUP_RULE);
	}
}

/* ---- odd names ---- */

Test(lookup, names_of_any_bytes)
{
	static const struct {
		size_t len;
		unsigned char bytes[16];
	} rows[] = {
		{ 1, "/" }, { 2, ".." },          { 12, "../../passwd" }, { 4, "a\0b" },
		{ 1, "" },  { 5, "\x01\x1b[2J" }, { 3, "\xff\xfe\xfd" },  { 2, "\r\n" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct slice name = slice_of(rows[i].bytes, rows[i].len);
		cleanup_(lookup_freep) struct lookup *l = kit_lookup(kit_hash(name));
		struct lookup_answer a;

		lookup_add_name(l, LOOKUP_GIVEN, name, NULL);
		lookup_try_seen(l);
		lookup_answer(l, kit_hash(name), &a);
		cr_assert_eq(a.verdict, LOOKUP_FOUND, "row %zu", i);
		cr_assert(slice_eq(slice_of(a.candidates->name, a.candidates->name_len), name));
	}
}

Test(lookup, names_of_64_kib_and_more)
{
	cleanup_(vs_freep) unsigned char *bytes = vs_alloc(LOOKUP_NAME_MAX + 1);
	struct slice longest = slice_of(bytes, LOOKUP_NAME_MAX);
	struct slice too_long = slice_of(bytes, LOOKUP_NAME_MAX + 1);
	const uint32_t hashes[] = { kit_hash((memset(bytes, 'n', LOOKUP_NAME_MAX + 1), longest)),
				    kit_hash(too_long) };
	cleanup_(lookup_freep) struct lookup *l =
		lookup_new(&(struct lookup_request){ .hashes = hashes, .count = 2 });
	struct lookup_answer a;

	lookup_add_name(l, LOOKUP_GIVEN, longest, NULL);
	lookup_add_name(l, LOOKUP_GIVEN, too_long, NULL);
	lookup_add_name(l, LOOKUP_SIBLING, longest, NULL);
	lookup_try_seen(l);
	lookup_answer(l, hashes[0], &a);
	cr_assert_eq(a.verdict, LOOKUP_FOUND);
	cr_assert_eq(a.candidates->name_len, LOOKUP_NAME_MAX);
	kit_expect_nothing(l, hashes[1]);
	lookup_try_composed(l);
	kit_expect_nothing(l, hashes[1]);
}

/* chromem takes a collection without a name for none at all. */
Test(lookup, the_empty_name_is_never_proposed)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(0xe3b0c442);
	const struct chromem_pair pairs[] = { { slice_str("collection"), slice_str("") },
					      { slice_str(""), slice_str("") } };

	cr_assert_eq(kit_hash_str(""), 0xe3b0c442);
	lookup_add_name(l, LOOKUP_GIVEN, slice_str(""), NULL);
	lookup_add_name(l, LOOKUP_SIBLING, slice_str("_"), NULL);
	lookup_add_document(l, 0xe3b0c442, slice_str(""), pairs, 2);
	lookup_try_seen(l);
	lookup_try_composed(l);
	kit_expect_nothing(l, 0xe3b0c442);
}

/* ---- what holds for any input ---- */

static uint32_t next_number(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Letters, separators and now and then any byte. */
static struct slice random_text(unsigned char *bytes, size_t max, uint32_t *state)
{
	static const char letters[] = "abcde_-/.: AZ09";
	size_t len = next_number(state) % (max + 1);

	for (size_t i = 0; i < len; i++) {
		uint32_t number = next_number(state);

		bytes[i] = number % 16 == 0 ? (unsigned char)(number >> 8)
					    : (unsigned char)letters[number % 15];
	}
	return slice_of(bytes, len);
}

static void add_random_document(struct lookup *l, uint32_t *state)
{
	static const char *const keys[] = { "tenant_id",    "team_id",    "project_id",
					    "project_path", "collection", "topic" };
	unsigned char values[VS_COUNT(keys)][40], id[40];
	struct chromem_pair pairs[VS_COUNT(keys)];

	for (size_t i = 0; i < VS_COUNT(keys); i++)
		pairs[i] =
			(struct chromem_pair){ slice_str(keys[i]),
					       random_text(values[i], sizeof(values[i]), state) };
	lookup_add_document(l, next_number(state), random_text(id, sizeof(id), state), pairs,
			    VS_COUNT(keys));
}

/*
 * With a quarter of a million hashes wanted and many thousand names tried, some land on one by
 * chance. Whatever comes out has the hash that it is proposed for, and is a name.
 */
Test(lookup, no_proposal_has_another_hash)
{
	const size_t count = 1 << 18;
	cleanup_(vs_freep) uint32_t *hashes = vs_alloc_array(count, sizeof(*hashes));
	cleanup_(lookup_freep) struct lookup *l = NULL;
	uint32_t state = 20260122;
	size_t proposals = 0;

	for (size_t i = 0; i < count; i++)
		hashes[i] = next_number(&state);
	l = lookup_new(&(struct lookup_request){ .hashes = hashes, .count = count });
	for (size_t i = 0; i < 60; i++) {
		unsigned char bytes[60];

		lookup_add_name(l, LOOKUP_SIBLING, random_text(bytes, sizeof(bytes), &state), NULL);
		add_random_document(l, &state);
	}
	lookup_try_composed(l);
	for (size_t i = 0; i < count; i++) {
		struct lookup_answer a;

		lookup_answer(l, hashes[i], &a);
		proposals += a.count;
		for (size_t k = 0; k < a.count; k++) {
			const struct lookup_candidate *c = &a.candidates[k];

			cr_assert_eq(c->hash, hashes[i]);
			cr_assert_gt(c->name_len, 0);
			cr_assert_eq(kit_hash(slice_of(c->name, c->name_len)), hashes[i]);
			cr_assert_gt(c->evidence_count, 0);
		}
	}
	cr_assert_gt(proposals, 0, "a test without proposals tests nothing");
}

/* A store of very many odd names costs bounded work, and what needs no hint is found all the same.
 */
Test(lookup, a_flood_of_siblings_and_documents)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(0x5c0dc939);
	uint32_t state = 7;
	struct lookup_answer a;

	for (size_t i = 0; i < 20000; i++) {
		unsigned char bytes[60];

		lookup_add_name(l, LOOKUP_SIBLING, random_text(bytes, sizeof(bytes), &state), NULL);
		if (i % 2 == 0)
			add_random_document(l, &state);
	}
	lookup_try_composed(l);
	a = kit_expect(l, "conversations", LOOKUP_RULE);
	cr_assert_leq(a.tried, LOOKUP_COMPOSED_MAX);
	cr_assert_gt(a.tried, LOOKUP_COMPOSED_MAX / 4);
}
