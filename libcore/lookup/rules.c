/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names by contextd's rules. What they make of a document is chromem's to say (chromem/contextd.c).
 * Here they are given documents as they are, none at all, and made-up ones: every owner with every
 * project that is mentioned anywhere.
 */

#include "lookup/search.h"

#include <limits.h>

/* What to cross: the words seen most. */
#define CROSS_TENANTS 32
#define CROSS_PROJECTS 128
#define CROSS_TEAMS 16

void append_quoted(struct buf *out, struct slice text)
{
	buf_append_byte(out, '"');
	text_escape(out, text);
	buf_append_byte(out, '"');
}

const char *word_tag_text(unsigned tags)
{
	if (tags & WORD_DOCUMENT)
		return "from documents";
	if (tags & WORD_REGISTRY)
		return "from registry.json";
	if (tags & WORD_PATH)
		return "from the path of the store";
	if (tags & WORD_SIBLING)
		return "from other collections' names";
	return "common";
}

/* ---- names by contextd's rules ---- */

#define RULE(name) (1u << CONTEXTD_##name)
#define RULES_ALL UINT_MAX
#define RULES_PLAIN (RULE(FIXED) | RULE(ROUTER))
#define RULES_OF_DOCUMENTS (RULES_ALL & ~RULE(FIXED))

/* A name that the router makes of nothing. */
static bool is_router_fixed(const struct contextd_name *made)
{
	return made->rule == CONTEXTD_ROUTER && made->name.len > 4 &&
	       memcmp(made->name.ptr, "org_", 4) == 0;
}

/* What contextd writes today: then an older rule made nothing else than one of the others. */
static bool is_modern(struct slice name)
{
	bool is_scoped = name.len > 13 && memcmp(name.ptr, "remediations_", 13) == 0;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = name.ptr[i];
		bool is_edge = i == 0 || i + 1 == name.len || name.ptr[i - 1] == '_';

		if (c == '_' && is_edge && !is_scoped)
			return false;
		if (c != '_' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			return false;
	}
	return name.len <= CONTEXTD_NAME_MAX;
}

/*
 * Try what those of contextd's rules that are in the set @rules make of a document. Names that do
 * not depend on the document are left to RULES_PLAIN, so that they are tried once. False when the
 * budget is used up.
 */
static bool try_rules(struct trial *t, const struct chromem_pair *pairs, size_t count,
		      struct origin origin, unsigned rules)
{
	struct contextd_names it;
	struct contextd_name made;

	contextd_names_init(&it, pairs, count);
	while (contextd_names_next(&it, &made)) {
		if ((rules >> made.rule & 1) == 0 ||
		    (is_router_fixed(&made) && rules != RULES_PLAIN) ||
		    (made.rule == CONTEXTD_OLDER && is_modern(made.name)))
			continue;
		origin.n = made.rule;
		if (!trial_add(t, &made.name, 1, &origin))
			return false;
	}
	return true;
}

static void describe_document(const struct lookup *l, const struct origin *o, struct buf *out)
{
	const struct tally_item *item = o->a;
	struct chromem_pair pairs[5];
	struct facts facts;
	size_t count;

	(void)l;
	facts_unpack(tally_text(item), &facts);
	count = facts_pairs(&facts, pairs);
	buf_printf(out, "%" PRIu64 " document%s of %08" PRIx32 " with", item->count,
		   item->count == 1 ? "" : "s", facts.hash);
	for (size_t i = 0; i < count; i++) {
		buf_append_str(out, i == 0 ? " " : ", ");
		text_escape(out, pairs[i].key);
		buf_append_byte(out, '=');
		append_quoted(out, pairs[i].value);
	}
	buf_printf(out, ", by the rule \"%s\"", contextd_rule_name((enum contextd_rule)o->n));
}

/* Those of wanted directories first: they are the ones to speak for them. */
void compose_documents(const struct lookup *l, struct trial *t)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < l->facts.count; i++) {
			const struct tally_item *item = &l->facts.items[i];
			struct origin origin = { .describe = describe_document, .a = item };
			struct chromem_pair pairs[5];
			struct facts facts;

			facts_unpack(tally_text(item), &facts);
			origin.home = facts.hash;
			if ((sieve_next(&l->sieve, &facts.hash, 0, 1) == 0) != (pass == 0))
				continue;
			if (!try_rules(t, pairs, facts_pairs(&facts, pairs), origin,
				       RULES_OF_DOCUMENTS))
				return;
		}
	}
}

static void describe_plain(const struct lookup *l, const struct origin *o, struct buf *out)
{
	(void)l;
	if (o->a)
		buf_printf(out, "%s, a common name", (const char *)o->a);
	else
		buf_printf(out, "a name that contextd uses everywhere, by the rule \"%s\"",
			   contextd_rule_name((enum contextd_rule)o->n));
}

static void describe_ending(const struct lookup *l, const struct origin *o, struct buf *out)
{
	(void)l;
	buf_printf(out, "\"%s\", a common project, with \"%s\", a kind of record",
		   (const char *)o->a, (const char *)o->b);
}

void compose_plain(struct trial *t)
{
	struct origin plain = { .describe = describe_plain };

	(void)try_rules(t, NULL, 0, plain, RULES_PLAIN);
	for (size_t i = 0; common_projects[i]; i++) {
		struct slice project = slice_str(common_projects[i]);
		const char *kind;

		for (size_t k = 0; (kind = record_kind_at(k)) != NULL; k++) {
			const struct slice parts[] = { project, slice_str("_"), slice_str(kind) };
			struct origin origin = { .describe = describe_ending,
						 .a = project.ptr,
						 .b = kind };

			(void)trial_add(t, parts, VS_COUNT(parts), &origin);
		}
	}
	for (size_t i = 0; common_names[i]; i++) {
		struct slice name = slice_str(common_names[i]);
		struct origin origin = { .describe = describe_plain, .a = name.ptr };

		(void)trial_add(t, &name, 1, &origin);
	}
}

/* ---- made-up documents ---- */

static void describe_word(struct buf *out, const char *what, const struct tally_item *item)
{
	if (!item)
		return;
	buf_printf(out, "%s ", what);
	append_quoted(out, tally_text(item));
	buf_printf(out, " (%s), ", word_tag_text(item->tags));
}

static void describe_crossed(const struct lookup *l, const struct origin *o, struct buf *out)
{
	(void)l;
	describe_word(out, "owner", o->a);
	describe_word(out, "project", o->b);
	describe_word(out, "team", o->c);
	buf_printf(out, "by the rule \"%s\"", contextd_rule_name((enum contextd_rule)o->n));
}

/* A document that nobody wrote, of what is not NULL; the project as an id or as a path. */
struct made_up {
	const struct tally_item *tenant, *team, *project;
	const char *project_key;
	unsigned rules;
};

static bool try_made_up(struct trial *t, const struct made_up *m)
{
	struct origin origin = {
		.describe = describe_crossed, .a = m->tenant, .b = m->project, .c = m->team
	};
	struct chromem_pair pairs[3];
	size_t count = 0;

	if (m->tenant)
		pairs[count++] =
			(struct chromem_pair){ slice_str("tenant_id"), tally_text(m->tenant) };
	if (m->project)
		pairs[count++] =
			(struct chromem_pair){ slice_str(m->project_key), tally_text(m->project) };
	if (m->team)
		pairs[count++] = (struct chromem_pair){ slice_str("team_id"), tally_text(m->team) };
	return try_rules(t, pairs, count, origin, m->rules);
}

/* Projects by themselves, and with each team. */
static bool cross_projects(const struct lookup *l, struct trial *t)
{
	for (size_t i = 0; i < VS_MIN(l->projects.count, (size_t)CROSS_PROJECTS); i++) {
		struct made_up m = { .project = &l->projects.items[i],
				     .project_key = "project_id",
				     .rules = RULE(PROJECT) | RULE(OLDER) };

		/* Those have had their turn without a hint. */
		if (m.project->tags != WORD_COMMON && !try_made_up(t, &m))
			return false;
		m.rules = RULE(ROUTER);
		for (size_t k = 0; k < VS_MIN(l->teams.count, (size_t)CROSS_TEAMS); k++) {
			m.team = &l->teams.items[k];
			if (!try_made_up(t, &m))
				return false;
		}
	}
	return true;
}

/* One owner by itself, with each team, with each project and with each path. */
static bool cross_tenant(const struct lookup *l, struct trial *t, const struct tally_item *tenant)
{
	struct made_up m = { .tenant = tenant, .rules = RULE(SCOPED) | RULE(OLDER) };
	bool goes_on = try_made_up(t, &m);

	for (size_t i = 0; goes_on && i < VS_MIN(l->teams.count, (size_t)CROSS_TEAMS); i++) {
		m.team = &l->teams.items[i];
		goes_on = try_made_up(t, &m);
	}
	m.team = NULL;
	m.project_key = "project_path";
	m.rules = RULE(SCOPED) | RULE(OLDER) | RULE(REPOSITORY) | RULE(CONVERSATIONS);
	for (size_t i = 0; goes_on && i < VS_MIN(l->paths.count, (size_t)CROSS_PROJECTS); i++) {
		m.project = &l->paths.items[i];
		goes_on = try_made_up(t, &m);
	}
	m.project_key = "project_id";
	m.rules = RULE(REPOSITORY) | RULE(CONVERSATIONS);
	for (size_t i = 0; goes_on && i < VS_MIN(l->projects.count, (size_t)CROSS_PROJECTS); i++) {
		m.project = &l->projects.items[i];
		goes_on = try_made_up(t, &m);
	}
	return goes_on;
}

void compose_crossed(const struct lookup *l, struct trial *t)
{
	bool goes_on = cross_projects(l, t);

	for (size_t i = 0; goes_on && i < VS_MIN(l->tenants.count, (size_t)CROSS_TENANTS); i++)
		goes_on = cross_tenant(l, t, &l->tenants.items[i]);
}

/* ---- values of documents ---- */

static void describe_value(const struct lookup *l, const struct origin *o, struct buf *out)
{
	const struct tally_item *item = o->a;
	struct slice key, value;

	(void)l;
	value_unpack(tally_text(item), &key, &value);
	buf_printf(out, "%" PRIu64 " document%s with ", item->count, item->count == 1 ? "" : "s");
	if (key.len > 0) {
		text_escape(out, key);
		buf_append_byte(out, '=');
	} else {
		buf_append_str(out, "an id that begins with ");
	}
	append_quoted(out, value);
	if (o->b)
		buf_printf(out, ", and \"%s\", a kind of record", (const char *)o->b);
}

/* @text as it is, and with every kind behind it. */
static bool try_with_kinds(struct trial *t, struct slice text, struct origin origin)
{
	const char *kind;

	if (!trial_add(t, &text, 1, &origin))
		return false;
	for (size_t k = 0; (kind = record_kind_at(k)) != NULL; k++) {
		const struct slice parts[] = { text, slice_str("_"), slice_str(kind) };

		origin.b = kind;
		if (!trial_add(t, parts, VS_COUNT(parts), &origin))
			return false;
	}
	return true;
}

void compose_values(const struct lookup *l, struct trial *t)
{
	cleanup_(buf_fini) struct buf clean = { 0 };

	for (size_t i = 0; i < l->values.count; i++) {
		struct origin origin = { .describe = describe_value, .a = &l->values.items[i] };
		struct slice key, value;

		value_unpack(tally_text(&l->values.items[i]), &key, &value);
		buf_clear(&clean);
		contextd_identify(value, &clean);
		if (!try_with_kinds(t, value, origin) ||
		    (!slice_eq(buf_slice(&clean), value) &&
		     !try_with_kinds(t, buf_slice(&clean), origin)))
			return;
	}
}
