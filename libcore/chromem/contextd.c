/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The collection names that a document's metadata compose, by the naming rules of contextd.
 *
 * The rules are one table of patterns. Each row is tried with every project that the metadata know
 * and with every kind of record, and is passed over when the metadata lack one of its parts. Two
 * ways of cleaning a text stand behind the parts:
 *
 *  - identifier: lower case, any other character than a-z 0-9 _ becomes _, runs of _ become one,
 *    none at the ends, "default" when nothing is left;
 *  - name: lower case and _ as above and nothing else; a result of more than 64 characters keeps
 * 55, loses the _ at their end, and gets _ and 8 hex digits of SHA-256 of the long form.
 */

#include "chromem/chromem.h"

enum form {
	FORM_NAME, /* cleaned as a name, shortened */
	FORM_LONG, /* cleaned as a name, not shortened */
	FORM_RAW,  /* as the parts are */
};

enum kinds {
	KINDS_NONE,
	KINDS_PROJECT,
	KINDS_ROUTER,
};

struct rule_row {
	enum contextd_rule rule;
	enum form form;
	enum kinds kinds;
	const char *pattern;
};

/*
 * Parts: {project} {tenant} {team} as identifiers, {raw-project} {raw-tenant} {raw-team} as they
 * are, {byte-tenant} {byte-path} with _ for each byte that is not a letter, digit or _,
 * {flat-tenant} {flat-project} as conversations write them, {kind}, {intended}.
 */
static const struct rule_row rows[] = {
	{ CONTEXTD_INTENDED, FORM_RAW, KINDS_NONE, "{intended}" },
	{ CONTEXTD_PROJECT, FORM_NAME, KINDS_PROJECT, "{project}_{kind}" },
	{ CONTEXTD_REPOSITORY, FORM_NAME, KINDS_NONE, "{tenant}_{project}_codebase" },
	{ CONTEXTD_SCOPED, FORM_NAME, KINDS_NONE, "remediations_org_{byte-tenant}" },
	{ CONTEXTD_SCOPED, FORM_NAME, KINDS_NONE, "remediations_team_{raw-tenant}_{raw-team}" },
	{ CONTEXTD_SCOPED, FORM_NAME, KINDS_NONE, "remediations_project_{raw-tenant}_{byte-path}" },
	{ CONTEXTD_CONVERSATIONS, FORM_NAME, KINDS_NONE,
	  "{flat-tenant}_{flat-project}_conversations" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "checkpoints" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "remediations" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "memories" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "codebase" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "default" },
	{ CONTEXTD_FIXED, FORM_RAW, KINDS_NONE, "contextd_default" },
	{ CONTEXTD_ROUTER, FORM_NAME, KINDS_ROUTER, "org_{kind}" },
	{ CONTEXTD_ROUTER, FORM_NAME, KINDS_ROUTER, "{team}_{kind}" },
	{ CONTEXTD_ROUTER, FORM_NAME, KINDS_ROUTER, "{team}_{project}_{kind}" },
	{ CONTEXTD_OLDER, FORM_RAW, KINDS_PROJECT, "{raw-project}_{kind}" },
	{ CONTEXTD_OLDER, FORM_LONG, KINDS_NONE, "remediations_org_{byte-tenant}" },
	{ CONTEXTD_OLDER, FORM_LONG, KINDS_NONE, "remediations_team_{raw-tenant}_{raw-team}" },
	{ CONTEXTD_OLDER, FORM_LONG, KINDS_NONE, "remediations_project_{raw-tenant}_{byte-path}" },
};

static const char *const project_kinds[] = { "memories", "checkpoints", "remediations", "sessions",
					     "codebase" };
static const char *const router_kinds[] = { "memories",       "remediations",  "checkpoints",
					    "policies",       "skills",        "agents",
					    "sessions",       "codebase",      "coding_standards",
					    "repo_standards", "anti_patterns", "feedback" };

static const char *const rule_names[] = {
	[CONTEXTD_INTENDED] = "intended",
	[CONTEXTD_PROJECT] = "project",
	[CONTEXTD_REPOSITORY] = "repository",
	[CONTEXTD_SCOPED] = "scoped",
	[CONTEXTD_CONVERSATIONS] = "conversations",
	[CONTEXTD_FIXED] = "fixed",
	[CONTEXTD_ROUTER] = "router",
	[CONTEXTD_OLDER] = "older",
};

const char *contextd_rule_name(enum contextd_rule rule)
{
	return rule_names[rule];
}

/* Those of the router include those of projects. */
const char *contextd_record_kind(size_t index)
{
	return index < VS_COUNT(router_kinds) ? router_kinds[index] : NULL;
}

/* ---- cleaning ---- */

/* Length of the character at the start of @s; a byte that is not UTF-8 counts as one. */
static size_t rune_len(struct slice s)
{
	for (size_t len = 1; len <= 4 && len <= s.len; len++) {
		if (utf8_is_valid(slice_of(s.ptr, len)))
			return len;
	}
	return 1;
}

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_upper(unsigned char c)
{
	return c >= 'A' && c <= 'Z';
}

/* The character in lower case where that is one of ours, else '_'. */
static char clean_rune(struct slice rune)
{
	unsigned char c = rune.ptr[0];

	if (rune.len == 1 && is_plain(c))
		return (char)c;
	if (rune.len == 1 && is_upper(c))
		return (char)(c - 'A' + 'a');
	/* Two characters beyond ASCII have a lower case within it. */
	if (slice_eq_str(rune, "\xc4\xb0"))
		return 'i';
	if (slice_eq_str(rune, "\xe2\x84\xaa"))
		return 'k';
	return '_';
}

static bool put(struct contextd_names *it, char c)
{
	if (it->len == sizeof(it->text))
		return false;
	it->text[it->len++] = c;
	return true;
}

static bool put_bytes(struct contextd_names *it, struct slice s)
{
	if (s.len > sizeof(it->text) - it->len)
		return false;
	if (s.len > 0)
		memcpy(it->text + it->len, s.ptr, s.len);
	it->len += s.len;
	return true;
}

static bool put_identifier(struct contextd_names *it, struct slice s)
{
	size_t start = it->len;

	for (size_t len; s.len > 0; s = slice_of(s.ptr + len, s.len - len)) {
		char c;

		len = rune_len(s);
		c = clean_rune(slice_of(s.ptr, len));
		if (c == '_' && (it->len == start || it->text[it->len - 1] == '_'))
			continue;
		if (!put(it, c))
			return false;
	}
	if (it->len > start && it->text[it->len - 1] == '_')
		it->len--;
	return it->len > start || put_bytes(it, slice_str("default"));
}

void contextd_identify(struct slice text, struct buf *out)
{
	struct contextd_names it;

	it.len = 0;
	if (text.len > 0 && text.len <= CONTEXTD_VALUE_MAX && put_identifier(&it, text))
		buf_append(out, it.text, it.len);
}

/* Every byte that is not a letter, digit or _ becomes _; upper case stays. */
static bool put_by_byte(struct contextd_names *it, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = '_';

		if (is_plain(s.ptr[i]) || is_upper(s.ptr[i]))
			c = (char)s.ptr[i];
		if (!put(it, c))
			return false;
	}
	return true;
}

/* Letters and digits stay, the usual separators become _, the rest goes; or a digest if all goes.
 */
static bool put_flat(struct contextd_names *it, struct slice s)
{
	size_t start = it->len;
	struct digest digest;
	char hex[DIGEST_HEX_LEN + 1];

	for (size_t len, i = 0; i < s.len; i += len) {
		struct slice rune;

		len = rune_len(slice_of(s.ptr + i, s.len - i));
		rune = slice_of(s.ptr + i, len);
		if (clean_rune(rune) == '_' && (len > 1 || !strchr("-._ ", s.ptr[i])))
			continue;
		if (!put(it, clean_rune(rune)))
			return false;
	}
	if (it->len > start)
		return true;
	digest_of(s, &digest);
	digest_format(&digest, hex);
	return put_bytes(it, slice_str("h_")) && put_bytes(it, slice_of(hex, 32));
}

/* Clean the whole text in place; characters only get shorter. */
static void clean_name(struct contextd_names *it)
{
	size_t to = 0;

	for (size_t len, from = 0; from < it->len; from += len) {
		len = rune_len(slice_of(it->text + from, it->len - from));
		it->text[to++] = clean_rune(slice_of(it->text + from, len));
	}
	it->len = to;
}

static void shorten_name(struct contextd_names *it)
{
	struct digest digest;
	char hex[DIGEST_HEX_LEN + 1];

	if (it->len <= CONTEXTD_NAME_MAX)
		return;
	digest_of(slice_of(it->text, it->len), &digest);
	digest_format(&digest, hex);
	it->len = CONTEXTD_NAME_MAX - 1 - 8;
	while (it->len > 0 && it->text[it->len - 1] == '_')
		it->len--;
	it->text[it->len++] = '_';
	memcpy(it->text + it->len, hex, 8);
	it->len += 8;
}

/* ---- composing ---- */

static bool put_part(struct contextd_names *it, struct slice part, const char *kind)
{
	struct slice none = { 0 };
	struct slice project = it->variant < it->project_count ? it->project[it->variant] : none;
	struct slice path = it->variant < it->path_count ? it->path[it->variant] : none;
	const struct {
		const char *name;
		struct slice value;
		bool (*put)(struct contextd_names *it, struct slice s);
	} parts[] = {
		{ "project", project, put_identifier },
		{ "tenant", it->tenant, put_identifier },
		{ "team", it->team, put_identifier },
		{ "raw-project", project, put_bytes },
		{ "raw-tenant", it->tenant, put_bytes },
		{ "raw-team", it->team, put_bytes },
		{ "byte-tenant", it->tenant, put_by_byte },
		{ "byte-path", path, put_by_byte },
		{ "flat-tenant", it->tenant, put_flat },
		{ "flat-project", project, put_flat },
		{ "kind", slice_str(kind), put_bytes },
		{ "intended", it->intended, put_bytes },
	};

	for (size_t i = 0; i < VS_COUNT(parts); i++) {
		if (slice_eq_str(part, parts[i].name))
			return parts[i].value.len > 0 && parts[i].put(it, parts[i].value);
	}
	assert(false);
	return false;
}

/* False when the metadata lack a part, or the name would be longer than any real one. */
static bool compose(struct contextd_names *it, const struct rule_row *row, const char *kind)
{
	const char *p = row->pattern;

	it->len = 0;
	while (*p != '\0') {
		size_t literal = strcspn(p, "{");
		size_t part;

		if (!put_bytes(it, slice_of(p, literal)))
			return false;
		p += literal;
		if (*p == '\0')
			break;
		part = strcspn(p, "}");
		if (!put_part(it, slice_of(p + 1, part - 1), kind))
			return false;
		p += part + 1;
	}
	if (row->form != FORM_RAW)
		clean_name(it);
	if (row->form == FORM_NAME)
		shorten_name(it);
	return true;
}

bool contextd_names_next(struct contextd_names *it, struct contextd_name *out)
{
	while (it->row < VS_COUNT(rows)) {
		const struct rule_row *row = &rows[it->row];
		const char *const *kinds =
			row->kinds == KINDS_ROUTER ? router_kinds : project_kinds;
		size_t kind_count = row->kinds == KINDS_ROUTER    ? VS_COUNT(router_kinds)
				    : row->kinds == KINDS_PROJECT ? VS_COUNT(project_kinds)
								  : 1;
		bool varies = strstr(row->pattern, "project}") || strstr(row->pattern, "path}");
		bool composed = compose(it, row, kinds[it->kind]);

		if (++it->kind == kind_count) {
			it->kind = 0;
			it->variant++;
		}
		if (it->variant > 0 &&
		    (!varies || it->variant >= VS_MAX(it->project_count, it->path_count))) {
			it->variant = 0;
			it->row++;
		}
		if (composed) {
			*out = (struct contextd_name){ slice_of(it->text, it->len), row->rule };
			return true;
		}
	}
	return false;
}

/* ---- reading the metadata ---- */

bool chromem_pairs_find(const struct chromem_pair *pairs, size_t count, const char *key,
			struct slice *out)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_eq_str(pairs[i].key, key) && pairs[i].value.len > 0) {
			*out = pairs[i].value;
			return true;
		}
	}
	return false;
}

/* The last part of a path, whatever its separators; the text itself when it has none. */
static struct slice base_of(struct slice path)
{
	size_t start;

	while (path.len > 1 && (path.ptr[path.len - 1] == '/' || path.ptr[path.len - 1] == '\\'))
		path.len--;
	for (start = path.len; start > 0; start--) {
		if (path.ptr[start - 1] == '/' || path.ptr[start - 1] == '\\')
			break;
	}
	return slice_of(path.ptr + start, path.len - start);
}

static void add_project(struct contextd_names *it, struct slice project)
{
	for (size_t i = 0; i < it->project_count; i++) {
		if (slice_eq(it->project[i], project))
			return;
	}
	if (project.len > 0 && it->project_count < VS_COUNT(it->project))
		it->project[it->project_count++] = project;
}

static void add_path(struct contextd_names *it, struct slice path)
{
	add_project(it, base_of(path));
	if (path.ptr[0] == '/' && it->path_count < VS_COUNT(it->path))
		it->path[it->path_count++] = path;
}

static bool find_usable(const struct chromem_pair *pairs, size_t count, const char *key,
			struct slice *out)
{
	return chromem_pairs_find(pairs, count, key, out) && out->len <= CONTEXTD_VALUE_MAX;
}

void contextd_names_init(struct contextd_names *it, const struct chromem_pair *metadata,
			 size_t count)
{
	struct slice value;

	/* The text is 3 kB and is written before it is read: only the rest needs clearing. */
	memset(it, 0, offsetof(struct contextd_names, text));
	if (find_usable(metadata, count, "project_id", &value)) {
		add_project(it, value);
		add_path(it, value);
	}
	if (find_usable(metadata, count, "project_path", &value))
		add_path(it, value);
	if (find_usable(metadata, count, "tenant_id", &value))
		it->tenant = value;
	if (find_usable(metadata, count, "team_id", &value))
		it->team = value;
	if (find_usable(metadata, count, "collection", &value))
		it->intended = value;
}

/* ---- kinds of documents ---- */

static const struct {
	const char *name;
	const char *keys[3];      /* all must be there */
	const char *fragments[4]; /* one must be in the collection's name; none given: no rule */
} kind_rows[] = {
	[CONTEXTD_KIND_UNKNOWN] = { NULL, { NULL }, { NULL } },
	[CONTEXTD_KIND_MEMORY] = { "memory", { "outcome", "usage_count", "confidence" }, { NULL } },
	[CONTEXTD_KIND_CHECKPOINT] = { "checkpoint",
				       { "session_id", "full_state", "summary" },
				       { "checkpoint" } },
	[CONTEXTD_KIND_REMEDIATION] = { "remediation",
					{ "problem", "root_cause", "solution" },
					{ "remediation" } },
	[CONTEXTD_KIND_CODEBASE] = { "codebase",
				     { "file_path", "extension", "project_path" },
				     { "code", "repo", "index", "file" } },
};

static bool has_key(const struct chromem_pair *metadata, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_eq_str(metadata[i].key, key))
			return true;
	}
	return false;
}

enum contextd_kind contextd_kind_of(const struct chromem_pair *metadata, size_t count)
{
	for (size_t kind = CONTEXTD_KIND_UNKNOWN + 1; kind < VS_COUNT(kind_rows); kind++) {
		size_t found = 0;

		for (size_t i = 0; i < VS_COUNT(kind_rows[kind].keys); i++)
			found += has_key(metadata, count, kind_rows[kind].keys[i]);
		if (found == VS_COUNT(kind_rows[kind].keys))
			return (enum contextd_kind)kind;
	}
	return CONTEXTD_KIND_UNKNOWN;
}

const char *contextd_kind_name(enum contextd_kind kind)
{
	return kind_rows[kind].name;
}

bool contextd_kind_fits(enum contextd_kind kind, struct slice name)
{
	const char *const *fragments = kind_rows[kind].fragments;

	if (!fragments[0] || memmem(name.ptr, name.len, "default", strlen("default")))
		return true;
	for (size_t i = 0; i < VS_COUNT(kind_rows[kind].fragments) && fragments[i]; i++) {
		if (memmem(name.ptr, name.len, fragments[i], strlen(fragments[i])))
			return true;
	}
	return false;
}
