/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The database of a Chroma store as a plan changes it: all its statements on one private copy, which
 * then becomes one step of the journal.
 *
 * A journal or log of SQLite beside the old database belongs to its content, and must not be there when
 * the new one is. They go first, and for that moment the database may only be read, so that a server
 * which begins just then cannot write to half a state.
 */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

#include <fcntl.h>

struct action *plan_add_sql(struct plan *plan, const char *what, const char *sql)
{
	struct action *a = plan_add(plan, STEP_WRITE, what, CHROMA_DATABASE, NULL);

	a->is_database = true;
	a->sql = sql ? vs_strdup(sql) : NULL;
	return a;
}

/* Is it a new content of the database, whole or by statements? */
static bool writes_database(const struct action *a)
{
	return a->kind == STEP_WRITE && strcmp(a->path, CHROMA_DATABASE) == 0;
}

bool database_is_last(const struct plan *plan, size_t index)
{
	for (size_t i = index + 1; i < plan->count; i++) {
		if (plan->actions[i].is_database)
			return false;
	}
	return true;
}

int database_guard(const struct plan *plan, int store_dirfd, int *fd, struct vs_err *err)
{
	struct file_info info;
	int r;

	for (size_t i = 0; i < plan->count; i++) {
		if (!writes_database(&plan->actions[i]))
			continue;
		r = file_stat_at(store_dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, err);
		if (r < 0)
			return r == VS_ENOENT ? 0 : r;
		return chroma_lock_take(store_dirfd, fd, err);
	}
	return 0;
}

/* What is beside the old database, out of the way of the new one. */
int database_clear(struct journal *j, const struct plan *plan, const struct action *a,
		   int store_dirfd, struct vs_err *err)
{
	static const char *const beside[] = { CHROMA_DATABASE "-journal", CHROMA_DATABASE "-wal",
					      CHROMA_DATABASE "-shm" };
	bool is_read_only = false;
	struct file_info info;
	int r = 0;

	if (!writes_database(a))
		return 0;
	for (size_t i = 0; r == 0 && i < VS_COUNT(beside); i++) {
		struct vs_err absent = { 0 };

		if (plan_has(plan, STEP_REMOVE, beside[i]))
			continue;
		r = file_stat_at(store_dirfd, beside[i], FILE_NO_FOLLOW, &info, err);
		if (r == VS_ENOENT) {
			r = 0;
			continue;
		}
		if (r == 0 && !is_read_only &&
		    file_stat_at(store_dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, &absent) == 0)
			r = journal_add_mode(j, CHROMA_DATABASE, 0400, err);
		is_read_only = true;
		if (r == 0)
			r = journal_add_remove(j, beside[i], err);
	}
	return r;
}

static int change_copy(struct chroma_edit *e, const struct plan *plan, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		const struct action *a = &plan->actions[i];

		if (!a->is_database)
			continue;
		if (a->sql)
			r = chroma_edit_exec(e, a->sql, err);
		else if (plan->source && plan->source->edit)
			r = plan->source->edit(plan->source->ctx, a, e, err);
		else
			r = vs_fail(err, VS_EUSAGE, "an action that does not say what to change");
		if (r < 0)
			return vs_err_in(err, "%s", a->what);
	}
	return r;
}

int database_add(struct journal *j, const struct plan *plan, const struct action *a,
		 int store_dirfd, const char *scratch, bool is_judged, struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	const char *path = NULL;
	struct file_info info;
	int r;

	r = file_stat_at(store_dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, err);
	if (r == 0)
		r = chroma_edit_begin(&e, store_dirfd, scratch, err);
	if (r == 0)
		r = change_copy(e, plan, err);
	if (r == 0)
		r = is_judged ? chroma_edit_end(e, &path, err) : chroma_edit_finish(e, &path, err);
	if (r < 0)
		return r;
	r = database_clear(j, plan, a, store_dirfd, err);
	return r < 0 ? r
		     : journal_add_write_moved(j, CHROMA_DATABASE, info.mode, 0, AT_FDCWD, path,
					       err);
}
