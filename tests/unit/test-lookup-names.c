/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every kind of collection that contextd makes, found from the metadata of its documents alone: the
 * directory is what is known of it, and one document in it.
 */

#include "lookup-kit.h"

#define PAIRS_MAX 4

struct row {
	uint32_t hash;
	char name[80];
	enum lookup_source source;
	char pairs[PAIRS_MAX][2][64];
};

static void expect_row(const struct row *row)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(row->hash);
	struct chromem_pair pairs[PAIRS_MAX];
	size_t count = 0;

	for (; count < PAIRS_MAX && row->pairs[count][0][0] != '\0'; count++)
		pairs[count] = (struct chromem_pair){ slice_str(row->pairs[count][0]),
						      slice_str(row->pairs[count][1]) };
	cr_assert_eq(kit_hash_str(row->name), row->hash, "%s", row->name);
	lookup_add_document(l, row->hash, slice_str("1769074240109487073"), pairs, count);
	lookup_try_composed(l);
	kit_expect(l, row->name, row->source);
}

#define EXPECT_ROWS(rows)                                                                          \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < VS_COUNT(rows); i_++)                                     \
			expect_row(&(rows)[i_]);                                                   \
	} while (0)

Test(lookup_names, project_collections)
{
	static const struct row rows[] = {
		{ 0xe9f85bf6,
		  "contextd_memories",
		  LOOKUP_DOCUMENT,
		  { { "project_id", "contextd" } } },
		{ 0xa1ef3a3d,
		  "contextd_checkpoints",
		  LOOKUP_DOCUMENT,
		  { { "project_id", "ContextD" } } },
		{ 0xf546c161,
		  "contextd_remediations",
		  LOOKUP_DOCUMENT,
		  { { "project_id", "contextd" } } },
	};

	EXPECT_ROWS(rows);
}

Test(lookup_names, repository_index)
{
	static const struct row rows[] = {
		{ 0x31c726ad,
		  "github_com_user_my_project_codebase",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "github.com/user" },
		    { "project_path", "/home/user/my-project" } } },
	};

	EXPECT_ROWS(rows);
}

Test(lookup_names, fixed_names)
{
	static const struct row rows[] = {
		{ 0x6c7f5464, "checkpoints", LOOKUP_RULE, { { "session_id", "s-1" } } },
		{ 0xbef58a7a, "remediations", LOOKUP_RULE, { { "problem", "p" } } },
		{ 0x75c374cb, "memories", LOOKUP_RULE, { { "title", "t" } } },
		{ 0x6461554f, "codebase", LOOKUP_RULE, { { "file_path", "a.go" } } },
		{ 0x655f126a, "contextd_default", LOOKUP_RULE, { { "error_type", "e" } } },
		{ 0xe2885f2b, "repository", LOOKUP_RULE, { { "branch", "main" } } },
		{ 0x5c0dc939, "conversations", LOOKUP_RULE, { { "role", "user" } } },
	};

	EXPECT_ROWS(rows);
}

Test(lookup_names, scopes_of_remediations)
{
	static const struct row rows[] = {
		{ 0x9632c050,
		  "remediations_org_acme",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "acme" } } },
		{ 0xd611633b,
		  "remediations_team_acme_platform",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "acme" }, { "team_id", "platform" } } },
		{ 0x19930f74,
		  "remediations_project_acme__home_dev_src_ledger",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "acme" }, { "project_path", "/home/dev/src/ledger" } } },
		{ 0xd647fa2b,
		  "remediations_project_fyrsmithlabs__users_dahendel_proje_e7c9463a",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "fyrsmithlabs" },
		    { "project_id", "/Users/dahendel/projects/contextd" } } },
	};

	EXPECT_ROWS(rows);
}

Test(lookup_names, conversations)
{
	static const struct row rows[] = {
		{ 0x89680b68,
		  "my_org_my_project_v2_conversations",
		  LOOKUP_DOCUMENT,
		  { { "tenant_id", "my-org" }, { "project_path", "/srv/my project.v2" } } },
		{ 0x0f11a038,
		  "My Notes (2026)",
		  LOOKUP_DOCUMENT,
		  { { "collection", "My Notes (2026)" } } },
	};

	EXPECT_ROWS(rows);
}

Test(lookup_names, deprecated_router)
{
	static const struct row rows[] = {
		{ 0xd65f4ad0, "org_memories", LOOKUP_RULE, { { "title", "t" } } },
		{ 0x08ba07c0, "org_anti_patterns", LOOKUP_RULE, { { "title", "t" } } },
		{ 0x1e49c3f5,
		  "platform_ledger_memories",
		  LOOKUP_DOCUMENT,
		  { { "team_id", "platform" }, { "project_id", "ledger" } } },
	};

	EXPECT_ROWS(rows);
}

/* Parts as they came, and nothing shortened. */
Test(lookup_names, older_versions)
{
	static const char raw[] = "6e0a4f2c-93d1-4c7e-8a55-0b9d6f1e2a33";
	static const char long_name[] =
		"remediations_project_fyrsmithlabs__users_dahendel_projects_contextd";
	struct row rows[2] = {
		{ .source = LOOKUP_DOCUMENT, .pairs = { { "project_id" } } },
		{ .source = LOOKUP_DOCUMENT,
		  .pairs = { { "tenant_id", "fyrsmithlabs" },
			     { "project_path", "/Users/dahendel/projects/contextd" } } },
	};

	snprintf(rows[0].pairs[0][1], sizeof(rows[0].pairs[0][1]), "%s", raw);
	snprintf(rows[0].name, sizeof(rows[0].name), "%s_memories", raw);
	rows[0].hash = kit_hash_str(rows[0].name);
	snprintf(rows[1].name, sizeof(rows[1].name), "%s", long_name);
	rows[1].hash = 0xe7c9463a;
	EXPECT_ROWS(rows);
}

/* A document speaks for its neighbours too, after those have spoken for themselves. */
Test(lookup_names, documents_of_other_directories)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("zenith_observatory_codebase");
	const struct chromem_pair pairs[] = {
		{ slice_str("tenant_id"), slice_str("zenith") },
		{ slice_str("project_path"), slice_str("/srv/observatory") },
	};
	struct lookup_answer a;

	lookup_add_document(l, 0x12345678, slice_str("x"), pairs, VS_COUNT(pairs));
	lookup_add_document(l, 0x12345678, slice_str("y"), pairs, VS_COUNT(pairs));
	lookup_try_composed(l);
	a = kit_expect(l, "zenith_observatory_codebase", LOOKUP_DOCUMENT);
	cr_assert(kit_has_evidence(
		a.candidates, "2 documents of 12345678 with tenant_id=\"zenith\", "
			      "project_path=\"/srv/observatory\", by the rule \"repository\""));
}

/* Documents come in any order; what they say is counted all the same. */
Test(lookup_names, equal_facts_are_counted)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("observatory_sessions");
	const struct chromem_pair here[] = { { slice_str("project_id"),
					       slice_str("observatory") } };
	const struct chromem_pair there[] = { { slice_str("project_id"), slice_str("harbour") } };
	struct lookup_answer a;

	for (unsigned i = 0; i < 7; i++) {
		lookup_add_document(l, 0xabcd, slice_str("x"), here, 1);
		if (i % 2 == 0)
			lookup_add_document(l, 0xabcd, slice_str("y"), there, 1);
	}
	lookup_try_composed(l);
	a = kit_expect(l, "observatory_sessions", LOOKUP_DOCUMENT);
	cr_assert(kit_has_evidence(a.candidates,
				   "7 documents of 0000abcd with project_id=\"observatory\""));
}

/* The same name from two sides: the more trusted one counts, and both are said. */
Test(lookup_names, a_sibling_and_documents_agree)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("observatory_sessions");
	const struct chromem_pair pair = { slice_str("project_id"), slice_str("observatory") };
	struct lookup_answer a;

	lookup_add_document(l, 0xabcd, slice_str("x"), &pair, 1);
	lookup_add_name(l, LOOKUP_SIBLING, slice_str("observatory_memories"), NULL);
	lookup_try_composed(l);
	a = kit_expect(l, "observatory_sessions", LOOKUP_SIBLING);
	cr_assert(kit_has_evidence(a.candidates, "1 document of 0000abcd"));
	cr_assert(kit_has_evidence(a.candidates, "begins with \"observatory_\""));
}

/* An owner of one document and a project of another: nobody said so, the rules may. */
Test(lookup_names, owners_and_projects_are_crossed)
{
	cleanup_(lookup_freep) struct lookup *l =
		kit_lookup_for("zenith_observatory_conversations");
	const struct chromem_pair owner[] = { { slice_str("tenant_id"), slice_str("Zenith") } };
	const struct chromem_pair project[] = { { slice_str("project_id"),
						  slice_str("observatory") } };
	struct lookup_answer a;

	lookup_add_document(l, 1, slice_str("x"), owner, 1);
	lookup_add_document(l, 2, slice_str("y"), project, 1);
	lookup_try_composed(l);
	a = kit_expect(l, "zenith_observatory_conversations", LOOKUP_RULE);
	cr_assert(kit_has_evidence(a.candidates, "owner \"Zenith\" (from documents)"));
	cr_assert(kit_has_evidence(a.candidates, "project \"observatory\" (from documents)"));
}

Test(lookup_names, any_value_may_be_a_name)
{
	static const struct row rows[] = {
		{ 0, "Field Notes", LOOKUP_DOCUMENT, { { "topic", "Field Notes" } } },
		{ 0, "Field Notes_memories", LOOKUP_DOCUMENT, { { "topic", "Field Notes" } } },
		{ 0, "field_notes_memories", LOOKUP_DOCUMENT, { { "topic", "Field Notes" } } },
		{ 0, "field_notes", LOOKUP_DOCUMENT, { { "topic", "Field Notes" } } },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct row row = rows[i];

		row.hash = kit_hash_str(row.name);
		expect_row(&row);
	}
}

Test(lookup_names, ids_may_begin_with_a_name)
{
	static const char *const names[] = { "herbarium", "herbarium/2026", "herbarium_codebase" };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(names[i]);
		struct lookup_answer a;

		lookup_add_document(l, 7, slice_str("herbarium/2026/0042"), NULL, 0);
		lookup_try_composed(l);
		a = kit_expect(l, names[i], LOOKUP_DOCUMENT);
		cr_assert(kit_has_evidence(a.candidates, "an id that begins with \"herbarium"));
	}
}

/* Two collections share a directory: the documents of both are there, and both names fit. */
Test(lookup_names, two_names_with_one_hash_are_both_listed)
{
	const uint32_t hash = 0xce28adc0;
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(hash);
	const struct chromem_pair umbrella[] = {
		{ slice_str("tenant_id"), slice_str("umbrella") },
		{ slice_str("project_id"), slice_str("report_infra") },
		{ slice_str("team_id"), slice_str("umbrella") },
	};
	const struct chromem_pair wonka[] = {
		{ slice_str("tenant_id"), slice_str("wonka") },
		{ slice_str("project_id"), slice_str("portal_queue") },
	};
	struct lookup_answer a;

	lookup_add_document(l, hash, slice_str("u-1"), umbrella, VS_COUNT(umbrella));
	lookup_add_document(l, hash, slice_str("w-1"), wonka, VS_COUNT(wonka));
	lookup_try_composed(l);
	lookup_answer(l, hash, &a);
	cr_assert_eq(a.verdict, LOOKUP_AMBIGUOUS);
	cr_assert_eq(a.count, 2);
	cr_assert_str_eq(a.candidates[0].name, "umbrella_report_infra_remediations");
	cr_assert_str_eq(a.candidates[1].name, "wonka_portal_queue_conversations");
	cr_assert(a.candidates[0].is_trusted && a.candidates[1].is_trusted);
}
