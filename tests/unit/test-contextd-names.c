/* SPDX-License-Identifier: Apache-2.0 */

/* The names that documents of contextd compose, held against names and directories known to be. */

#include "chromem/chromem.h"

#include <criterion/criterion.h>

#define PAIRS_MAX 8

struct evidence {
	struct chromem_pair pairs[PAIRS_MAX];
	size_t count;
};

static void add(struct evidence *e, const char *key, const char *value)
{
	cr_assert_lt(e->count, PAIRS_MAX);
	e->pairs[e->count++] = (struct chromem_pair){ slice_str(key), slice_str(value) };
}

/* How often @name comes, by any rule; *@rule is the first. */
static unsigned count_name(const struct evidence *e, const char *name, enum contextd_rule *rule)
{
	struct contextd_names it;
	struct contextd_name n;
	unsigned count = 0;

	contextd_names_init(&it, e->pairs, e->count);
	while (contextd_names_next(&it, &n)) {
		if (!slice_eq_str(n.name, name))
			continue;
		if (count++ == 0)
			*rule = n.rule;
	}
	return count;
}

static void expect(const struct evidence *e, const char *name, const char *directory,
		   enum contextd_rule rule)
{
	enum contextd_rule found = CONTEXTD_OLDER;
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest;

	digest_of(slice_str(name), &digest);
	digest_format(&digest, hex);
	cr_assert(slice_eq_str(slice_of(hex, 8), directory), "%s", name);
	cr_assert_gt(count_name(e, name, &found), 0, "%s is not composed", name);
	cr_assert_str_eq(contextd_rule_name(found), contextd_rule_name(rule), "%s", name);
}

static void expect_not(const struct evidence *e, const char *name)
{
	enum contextd_rule rule;

	cr_assert_eq(count_name(e, name, &rule), 0, "%s is composed", name);
}

Test(contextd, project_collections)
{
	struct evidence e = { 0 };

	add(&e, "project_id", "ContextD");
	expect(&e, "contextd_memories", "e9f85bf6", CONTEXTD_PROJECT);
	expect_not(&e, "contextd_conversations");
}

Test(contextd, repository_index)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "github.com/user");
	add(&e, "project_path", "/home/user/src/my-project/");
	expect(&e, "github_com_user_my_project_codebase", "31c726ad", CONTEXTD_REPOSITORY);
}

Test(contextd, long_names_are_shortened)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "fyrsmithlabs");
	add(&e, "project_path", "/Users/dahendel/projects/contextd");
	expect(&e, "remediations_project_fyrsmithlabs__users_dahendel_proje_e7c9463a", "d647fa2b",
	       CONTEXTD_SCOPED);
	/* Early versions did not. */
	expect(&e, "remediations_project_fyrsmithlabs__users_dahendel_projects_contextd",
	       "e7c9463a", CONTEXTD_OLDER);
}

Test(contextd, a_cut_in_a_run_of_underscores_takes_them_all)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "abcdefghijklmnopqrstuvwxyz01234567890..............................");
	expect(&e, "remediations_org_abcdefghijklmnopqrstuvwxyz01234567890_7321dde3", "aff1e478",
	       CONTEXTD_SCOPED);
}

Test(contextd, scopes_of_remediations)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "Acme");
	add(&e, "team_id", "platform");
	add(&e, "project_id", "/home/dev/src/ledger");
	expect(&e, "remediations_org_acme", "9632c050", CONTEXTD_SCOPED);
	expect(&e, "remediations_team_acme_platform", "d611633b", CONTEXTD_SCOPED);
	expect(&e, "remediations_project_acme__home_dev_src_ledger", "19930f74", CONTEXTD_SCOPED);
}

Test(contextd, conversations)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "my-org");
	add(&e, "project_path", "/srv/My Project.v2");
	expect(&e, "my_org_my_project_v2_conversations", "89680b68", CONTEXTD_CONVERSATIONS);
}

Test(contextd, a_name_of_no_usable_letters_becomes_a_digest)
{
	struct evidence e = { 0 };

	add(&e, "tenant_id", "日本");
	add(&e, "project_path", "/srv/x");
	expect(&e, "h_cf2abf0c5be326cb922a70f8163f9107_x_conversations", "c08b9776",
	       CONTEXTD_CONVERSATIONS);
}

Test(contextd, fixed_names_need_no_evidence)
{
	struct evidence e = { 0 };

	expect(&e, "checkpoints", "6c7f5464", CONTEXTD_FIXED);
	expect(&e, "remediations", "bef58a7a", CONTEXTD_FIXED);
	expect(&e, "contextd_default", "655f126a", CONTEXTD_FIXED);
	expect(&e, "memories", "75c374cb", CONTEXTD_FIXED);
	expect(&e, "codebase", "6461554f", CONTEXTD_FIXED);
	expect(&e, "org_memories", "d65f4ad0", CONTEXTD_ROUTER);
}

Test(contextd, deprecated_router)
{
	struct evidence e = { 0 };

	add(&e, "team_id", "platform");
	add(&e, "project_id", "ledger");
	expect(&e, "platform_ledger_memories", "1e49c3f5", CONTEXTD_ROUTER);
	expect(&e, "platform_ledger_sessions", "4c2fa394", CONTEXTD_ROUTER);
	expect(&e, "org_anti_patterns", "08ba07c0", CONTEXTD_ROUTER);
	expect(&e, "org_coding_standards", "280088b1", CONTEXTD_ROUTER);
}

Test(contextd, older_versions_kept_what_they_got)
{
	struct evidence e = { 0 };
	enum contextd_rule rule = CONTEXTD_FIXED;

	add(&e, "project_id", "6e0A-4f-x");
	cr_assert_eq(count_name(&e, "6e0A-4f-x_sessions", &rule), 1);
	cr_assert_eq(rule, CONTEXTD_OLDER);
}

Test(contextd, a_document_may_name_its_collection)
{
	struct evidence e = { 0 };
	enum contextd_rule rule = CONTEXTD_FIXED;

	add(&e, "collection", "My Notes (2026)");
	expect(&e, "My Notes (2026)", "0f11a038", CONTEXTD_INTENDED);
	cr_assert_eq(count_name(&e, "My Notes (2026)", &rule), 1);
}

Test(contextd, identifiers)
{
	static const struct {
		char text[16];
		char name[40];
	} rows[] = {
		{ "a--b", "a_b_memories" },       { "__A__", "a_memories" },
		{ "...", "default_memories" },    { "\xff\xfeq", "q_memories" },
		{ "n\xc3\xa4h", "n_h_memories" }, { "\xe2\x84\xaa\xc4\xb0", "ki_memories" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct evidence e = { 0 };
		enum contextd_rule rule;

		cleanup_(buf_fini) struct buf identifier = { 0 };

		add(&e, "project_id", rows[i].text);
		cr_assert_gt(count_name(&e, rows[i].name, &rule), 0, "row %zu", i);
		contextd_identify(slice_str(rows[i].text), &identifier);
		buf_append_str(&identifier, "_memories");
		cr_assert_str_eq(buf_cstr(&identifier), rows[i].name);
	}
}

Test(contextd, values_out_of_all_proportion_compose_nothing)
{
	static char value[CONTEXTD_VALUE_MAX + 2];
	struct evidence e = { 0 };
	struct contextd_names it;
	struct contextd_name n;

	memset(value, 'a', sizeof(value) - 1);
	add(&e, "project_id", value);
	add(&e, "project_path", value + 1);
	contextd_names_init(&it, e.pairs, e.count);
	cr_assert_eq(it.project_count, 1);
	while (contextd_names_next(&it, &n))
		cr_assert_leq(n.name.len, (size_t)CONTEXTD_NAME_CAP);
}

Test(contextd, kinds_by_keys)
{
	struct evidence e = { 0 };

	cr_assert_eq(contextd_kind_of(e.pairs, 0), CONTEXTD_KIND_UNKNOWN);
	add(&e, "file_path", "a.go");
	add(&e, "extension", "");
	cr_assert_eq(contextd_kind_of(e.pairs, e.count), CONTEXTD_KIND_UNKNOWN);
	add(&e, "project_path", "/src/ledger");
	cr_assert_eq(contextd_kind_of(e.pairs, e.count), CONTEXTD_KIND_CODEBASE);
	cr_assert(contextd_kind_fits(CONTEXTD_KIND_CODEBASE, slice_str("acme_ledger_codebase")));
	cr_assert(contextd_kind_fits(CONTEXTD_KIND_CODEBASE, slice_str("contextd_default")));
	cr_assert_not(contextd_kind_fits(CONTEXTD_KIND_CODEBASE, slice_str("contextd_signals")));
	cr_assert(contextd_kind_fits(CONTEXTD_KIND_MEMORY, slice_str("anything")));
}

Test(contextd, kinds_of_records)
{
	size_t count = 0;
	bool has_memories = false;

	for (; contextd_record_kind(count); count++)
		has_memories |= strcmp(contextd_record_kind(count), "memories") == 0;
	cr_assert_eq(count, 12);
	cr_assert(has_memories);
}
