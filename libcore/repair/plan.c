/* SPDX-License-Identifier: Apache-2.0 */

/* Plans: built by planners, printed, stored as a file, and read back from one that anybody may have
 * edited. */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

#define PLAN_ACTIONS_MAX 1000000u

static const char *const loss_names[] = {
	[LOSS_NOTHING] = "nothing",
	[LOSS_INDEX] = "index",
	[LOSS_DOCUMENTS] = "documents",
};

const char *loss_name(enum loss loss)
{
	return loss_names[loss];
}

static void action_fini(struct action *a)
{
	free(a->what);
	free(a->path);
	free(a->to);
	free(a->detail);
	free(a->reason);
	free(a->collection);
	free(a->sql);
	buf_fini(&a->content);
}

void plan_fini(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		action_fini(&plan->actions[i]);
	for (size_t i = 0; i < plan->leftover_count; i++) {
		free(plan->leftovers[i].code);
		free(plan->leftovers[i].path);
		free(plan->leftovers[i].why);
		free(plan->leftovers[i].fix);
	}
	free(plan->actions);
	free(plan->leftovers);
	free(plan->command);
	*plan = (struct plan){ 0 };
}

static char *copy_or_null(const char *text)
{
	return text ? vs_strdup(text) : NULL;
}

struct action *plan_add(struct plan *plan, enum step_kind kind, const char *what, const char *path,
			const char *to)
{
	struct action *a;

	plan->actions = vs_grow(plan->actions, &plan->cap, plan->count + 1, sizeof(*plan->actions));
	a = &plan->actions[plan->count++];
	*a = (struct action){
		.kind = kind,
		.what = vs_strdup(what),
		.path = vs_strdup(path),
		.to = copy_or_null(to),
	};
	return a;
}

void plan_leave(struct plan *plan, const char *code, const char *path, const char *why,
		const char *fix)
{
	plan->leftovers = vs_grow(plan->leftovers, &plan->leftover_cap, plan->leftover_count + 1,
				  sizeof(*plan->leftovers));
	plan->leftovers[plan->leftover_count++] = (struct plan_leftover){
		.code = vs_strdup(code),
		.path = vs_strdup(path),
		.why = vs_strdup(why),
		.fix = copy_or_null(fix),
	};
}

bool plan_has(const struct plan *plan, enum step_kind kind, const char *path)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->actions[i].kind == kind && strcmp(plan->actions[i].path, path) == 0)
			return true;
	}
	return false;
}

const struct action *plan_first_on(const struct plan *plan, size_t index)
{
	const struct action *a = &plan->actions[index];

	/* Only parts of one change come many times to one path. */
	for (size_t i = 0; a->is_database && i < index; i++) {
		if (plan->actions[i].is_database)
			return &plan->actions[i];
	}
	return a;
}

int plan_stamp(struct plan *plan, int store_dirfd, struct vs_err *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct action *a = &plan->actions[i];
		const struct action *same = plan_first_on(plan, i);
		int r;

		if (same != a && same->is_stamped) {
			a->before = same->before;
			a->was_there = same->was_there;
			a->is_stamped = true;
			continue;
		}
		r = journal_look(store_dirfd, a->path, &a->before, err);
		/* What cannot be read gets its mode changed for that very reason. */
		if (r == VS_EACCES && a->kind == STEP_MODE)
			continue;
		if (r < 0)
			return r;
		a->was_there = r > 0;
		a->is_stamped = true;
	}
	return 0;
}

/* ---- as a file ---- */

static void format_action(struct jw *j, const struct action *a)
{
	char hex[DIGEST_HEX_LEN + 1];

	jw_object(j);
	jw_str_field(j, "action", a->what);
	jw_str_field(j, "step", step_kind_name(a->kind));
	jw_bytes_field(j, "path", slice_str(a->path));
	if (a->to)
		jw_bytes_field(j, "to", slice_str(a->to));
	jw_str_field(j, "collection", a->collection);
	jw_str_field(j, "detail", a->detail);
	jw_str_field(j, "reason", a->reason);
	jw_str_field(j, "loses", loss_names[a->loss]);
	jw_uint_field(j, "mode", a->mode);
	if (a->is_database) {
		if (a->sql)
			jw_bytes_field(j, "sql", slice_str(a->sql));
		else
			jw_str_field(j, "sql", NULL);
	} else if (a->kind == STEP_WRITE) {
		cleanup_(vs_freep) char *content = vs_alloc_array(a->content.len + 1, 2);

		hex_format(a->content.ptr, a->content.len, content);
		jw_str_field(j, "content_hex", content);
	}
	digest_format(&a->before, hex);
	jw_str_field(j, "before", a->was_there ? hex : NULL);
	jw_object_end(j);
}

void plan_format(const struct plan *plan, const char *store_path, struct buf *out)
{
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", 1);
	jw_str_field(&j, "kind", "vsctl-plan");
	jw_str_field(&j, "command", plan->command);
	jw_bytes_field(&j, "store", slice_str(store_path));
	jw_key(&j, "actions");
	jw_array(&j);
	for (size_t i = 0; i < plan->count; i++)
		format_action(&j, &plan->actions[i]);
	jw_array_end(&j);
	jw_key(&j, "left");
	jw_array(&j);
	for (size_t i = 0; i < plan->leftover_count; i++) {
		const struct plan_leftover *left = &plan->leftovers[i];

		jw_object(&j);
		jw_str_field(&j, "code", left->code);
		jw_bytes_field(&j, "path", slice_str(left->path));
		jw_str_field(&j, "why", left->why);
		jw_str_field(&j, "fix", left->fix);
		jw_object_end(&j);
	}
	jw_array_end(&j);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

/* The bytes of a field that jw_bytes_field() wrote; NULL when it is absent or holds a NUL. */
static char *parse_bytes(const struct jr *object, const char *key)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	if (!jr_get_bytes(object, key, &bytes) ||
	    (bytes.len > 0 && memchr(bytes.ptr, '\0', bytes.len)))
		return NULL;
	return buf_take_str(&bytes);
}

static bool parse_kind(const char *text, enum step_kind *out)
{
	for (enum step_kind k = STEP_WRITE; k <= STEP_MODE; k++) {
		if (strcmp(step_kind_name(k), text) == 0) {
			*out = k;
			return true;
		}
	}
	return false;
}

static bool parse_loss(const char *text, enum loss *out)
{
	for (enum loss l = LOSS_NOTHING; l <= LOSS_DOCUMENTS; l++) {
		if (strcmp(loss_names[l], text) == 0) {
			*out = l;
			return true;
		}
	}
	return false;
}

static bool parse_content(const struct jr *v, struct action *a)
{
	const char *text;
	struct vs_err err = { 0 };
	size_t len;

	if (a->kind != STEP_WRITE)
		return true;
	if (jr_get(v, "sql")) {
		a->is_database = strcmp(a->path, CHROMA_DATABASE) == 0;
		a->sql = parse_bytes(v, "sql");
		return a->is_database && a->sql;
	}
	if (!jr_get_str(v, "content_hex", &text))
		return false;
	len = strlen(text) / 2;
	if (buf_try_reserve(&a->content, len + 1, &err) < 0 ||
	    !hex_parse(slice_str(text), a->content.ptr, len))
		return false;
	a->content.len = len;
	return true;
}

static bool parse_before(const struct jr *v, struct action *a)
{
	const struct jr *before = jr_get(v, "before");
	const char *text;

	a->is_stamped = true;
	a->was_there = jr_as_str(before, &text);
	if (a->was_there)
		return hex_parse(slice_str(text), a->before.bytes, DIGEST_LEN);
	return jr_is_null(before);
}

static bool parse_action(struct plan *plan, const struct jr *v)
{
	cleanup_(vs_freep) char *path = parse_bytes(v, "path");
	cleanup_(vs_freep) char *to = parse_bytes(v, "to");
	const char *what, *step, *loses, *text;
	enum step_kind kind;
	uint64_t mode;
	struct action *a;

	if (!path || !jr_get_str(v, "action", &what) || !jr_get_str(v, "step", &step) ||
	    !parse_kind(step, &kind) || !jr_get_str(v, "loses", &loses) ||
	    !jr_get_uint(v, "mode", &mode) || mode > 07777)
		return false;
	if ((kind == STEP_MOVE || kind == STEP_EXCHANGE) != (to != NULL))
		return false;
	a = plan_add(plan, kind, what, path, to);
	a->mode = (uint32_t)mode;
	a->detail = jr_get_str(v, "detail", &text) ? vs_strdup(text) : NULL;
	a->reason = jr_get_str(v, "reason", &text) ? vs_strdup(text) : NULL;
	a->collection = jr_get_str(v, "collection", &text) ? vs_strdup(text) : NULL;
	return parse_loss(loses, &a->loss) && parse_content(v, a) && parse_before(v, a);
}

static bool parse_leftover(struct plan *plan, const struct jr *v)
{
	cleanup_(vs_freep) char *path = parse_bytes(v, "path");
	const char *code, *why, *fix;

	if (!path || !jr_get_str(v, "code", &code) || !jr_get_str(v, "why", &why))
		return false;
	plan_leave(plan, code, path, why, jr_get_str(v, "fix", &fix) ? fix : NULL);
	return true;
}

int plan_parse(struct plan *out, struct slice json, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	cleanup_(plan_fini) struct plan plan = { 0 };
	const struct jr *actions, *left;
	const char *text;
	uint64_t schema;
	int r;

	r = jr_parse(&doc, json, err);
	if (r < 0)
		return r;
	if (!jr_get_uint(doc, "schema", &schema) || schema != 1 ||
	    !jr_get_str(doc, "kind", &text) || strcmp(text, "vsctl-plan") != 0)
		return vs_fail(err, VS_EFORMAT, "not a plan of this version");
	actions = jr_get(doc, "actions");
	left = jr_get(doc, "left");
	if (!jr_is_array(actions) || !jr_is_array(left) || !jr_get_str(doc, "command", &text))
		return vs_fail(err, VS_EFORMAT, "a plan without actions");
	if (jr_count(actions) > PLAN_ACTIONS_MAX)
		return vs_fail(err, VS_ELIMIT, "a plan of more than %u actions", PLAN_ACTIONS_MAX);
	plan.command = vs_strdup(text);
	for (size_t i = 0; i < jr_count(actions); i++) {
		if (!parse_action(&plan, jr_at(actions, i)))
			return vs_fail(err, VS_EFORMAT, "action %zu is not one that can be applied",
				       i + 1);
	}
	for (size_t i = 0; i < jr_count(left); i++) {
		if (!parse_leftover(&plan, jr_at(left, i)))
			return vs_fail(err, VS_EFORMAT,
				       "entry %zu of what was left is not complete", i + 1);
	}
	*out = plan;
	plan = (struct plan){ 0 };
	return 0;
}
