/* SPDX-License-Identifier: Apache-2.0 */

/* Is a store better after a plan than before? Measured by what the plan set out to mend. */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

void error_list_fini(struct error_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].path);
	free(l->items);
}

static void collect_error(void *ctx, const struct finding *f)
{
	struct error_list *l = ctx;

	if (problem_row(f->code)->severity != SEV_ERROR)
		return;
	l->items = vs_grow(l->items, &l->cap, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct found){ f->code, vs_strdup(f->path ? f->path : "") };
}

int error_list_load(struct error_list *list, const struct store *store,
		    const struct check_request *req, struct check_summary *sum, struct vs_err *err)
{
	struct check_request whole = *req;
	const struct check_sink sink = { .ctx = list, .finding = collect_error };

	whole.only_collection = NULL;
	whole.level = VS_MAX(whole.level, CHECK_FULL);
	whole.max_findings = 0;
	return check_store(store, &whole, &sink, sum, err);
}

static bool list_has(const struct error_list *l, enum problem code, const char *path)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i].code == code && strcmp(l->items[i].path, path) == 0)
			return true;
	}
	return false;
}

static bool is_in(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return len > 0 && strncmp(path, directory, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/');
}

/* What could not be read before shows what is wrong with it only now. */
static bool was_hidden(const struct error_list *before, const char *path)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct problem_row *row = problem_row(before->items[i].code);

		if (row->remedy == REMEDY_FIX_MODE && is_in(path, before->items[i].path))
			return true;
	}
	return false;
}

/* The plan has said that it leaves this. */
static bool was_announced(const struct plan *plan, const struct found *f)
{
	for (size_t i = 0; i < plan->leftover_count; i++) {
		if (strcmp(plan->leftovers[i].code, problem_row(f->code)->code) == 0 &&
		    strcmp(plan->leftovers[i].path, f->path) == 0)
			return true;
	}
	return false;
}

/* Is there an error of this kind in the database that the plan did not say it would leave? */
static bool database_has(const struct plan *plan, const struct error_list *l, enum problem code)
{
	static const char database[] = CHROMA_DATABASE;

	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i].code == code && !was_announced(plan, &l->items[i]) &&
		    strncmp(l->items[i].path, database, strlen(database)) == 0)
			return true;
	}
	return false;
}

bool has_database_error(const struct error_list *l)
{
	static const char database[] = CHROMA_DATABASE;

	for (size_t i = 0; i < l->count; i++) {
		if (strncmp(l->items[i].path, database, strlen(database)) == 0)
			return true;
	}
	return false;
}

static bool is_still_there(const struct plan *plan, const struct action *a,
			   const struct error_list *after, enum problem code)
{
	return a->is_database ? database_has(plan, after, code) : list_has(after, code, a->path);
}

int judge_result(const struct plan *plan, const struct error_list *before,
		 const struct error_list *after, const char *except, struct vs_err *err)
{
	for (size_t i = 0; i < after->count; i++) {
		if (is_in(after->items[i].path, except) || was_hidden(before, after->items[i].path))
			continue;
		if (!list_has(before, after->items[i].code, after->items[i].path) &&
		    !was_announced(plan, &after->items[i]))
			return vs_fail(err, VS_EFORMAT,
				       "%s: %s was not there before, so everything was taken back",
				       after->items[i].path,
				       problem_row(after->items[i].code)->code);
	}
	for (size_t i = 0; i < plan->count; i++) {
		const struct action *a = &plan->actions[i];
		enum problem code;

		if (a->reason && a->detail && problem_find(a->reason, &code) &&
		    is_still_there(plan, a, after, code) && !is_in(a->path, except))
			return vs_fail(err, VS_EFORMAT,
				       "%s: still has %s, so everything was taken back", a->path,
				       a->reason);
	}
	return 0;
}
