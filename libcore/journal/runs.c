/* SPDX-License-Identifier: Apache-2.0 */

/* Past and unfinished runs: listed, ended, taken back. */

#include "journal/journal-private.h"

#include <fcntl.h>

struct run_names {
	char **names;
	size_t count, cap;
};

static void run_names_fini(struct run_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int add_run(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct run_names *n = ctx;

	(void)err;
	if (name[0] == '.' || (type != FILE_DIRECTORY && type != FILE_UNKNOWN))
		return 0;
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

/* By the second, then by its part, which is at the end: the command in between says nothing. */
static int compare_runs(const void *a_, const void *b_)
{
	const char *a = *(char *const *)a_, *b = *(char *const *)b_;
	const char *a_part = strrchr(a, '-'), *b_part = strrchr(b, '-');
	int order = strncmp(a, b, strlen("20260122T140309Z"));

	if (order == 0 && a_part && b_part)
		order = strcmp(a_part, b_part);
	return order != 0 ? order : strcmp(a, b);
}

/* The runs in the order of their names, which is that of their times. *@dirfd is the journal's
 * directory. */
static int load_names(int state_dirfd, struct run_names *out, int *dirfd, struct vs_err *err)
{
	int r;

	r = file_open_dir(state_dirfd, JOURNAL_DIR, FILE_NO_FOLLOW, dirfd, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		r = file_list(*dirfd, add_run, out, err);
	if (r == 0 && out->count > 0)
		qsort(out->names, out->count, sizeof(*out->names), compare_runs);
	return r;
}

/* Was the run prepared, that is, does its record have its name; and was it ended? */
static int look_at_run(int journal_dirfd, const char *run, bool *is_prepared, bool *is_ended,
		       struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	*is_ended = false;
	r = file_open_dir(journal_dirfd, run, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = record_is_ended(fd, is_ended, err);
	*is_prepared = r == 0;
	return r == VS_ENOENT ? 0 : r;
}

static int remove_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)type;
	return file_unlink_at(*(int *)ctx, name, err);
}

/* A run that never began, or one that is old enough to go: its directory holds plain files only. */
static int remove_run(int journal_dirfd, const char *run, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_open_dir(journal_dirfd, run, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = file_list(fd, remove_entry, &fd, err);
	if (r == 0)
		r = file_rmdir_at(journal_dirfd, run, err);
	return r < 0 ? vs_err_in(err, "run %s", run) : 0;
}

static int64_t run_time(const char *run)
{
	struct tm tm = { 0 };

	if (!strptime(run, "%Y%m%dT%H%M%SZ", &tm))
		return 0;
	return (int64_t)timegm(&tm) * 1000000000;
}

int journal_list(int state_dirfd, struct journal_run_info **runs, size_t *count, struct vs_err *err)
{
	cleanup_(run_names_fini) struct run_names names = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	struct journal_run_info *list;
	size_t found = 0;
	int r;

	r = load_names(state_dirfd, &names, &dirfd, err);
	if (r < 0)
		return r;
	list = vs_alloc_array(names.count, sizeof(*list));
	for (size_t i = 0; i < names.count; i++) {
		cleanup_(journal_freep) struct journal *j = NULL;
		bool prepared, ended;

		r = look_at_run(dirfd, names.names[i], &prepared, &ended, err);
		if (r == 0 && !prepared)
			continue;
		if (r == 0)
			r = record_load(&j, state_dirfd, -1, names.names[i], err);
		if (r < 0) {
			journal_list_free(list, found);
			return r;
		}
		assert(j);
		list[found++] = (struct journal_run_info){
			.run = vs_strdup(j->run),
			.command = vs_strdup(j->command),
			.state = j->state,
			.steps = j->count,
			.time_ns = run_time(j->run),
		};
	}
	*runs = list;
	*count = found;
	return 0;
}

void journal_list_free(struct journal_run_info *runs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(runs[i].run);
		free(runs[i].command);
	}
	free(runs);
}

static void say(void (*report)(void *ctx, const char *text), void *ctx, const char *what,
		const struct journal *j)
{
	char text[256];

	snprintf(text, sizeof(text), "%s run %s (%s)", what, j->run, j->command);
	report(ctx, text);
}

/* Forward where the store is in a state that the run knows, else back. */
static int end_run(struct journal *j, void (*report)(void *ctx, const char *text), void *ctx,
		   struct vs_err *err)
{
	struct vs_err why = { 0 };
	int r;

	if (!j->is_taking_back && journal_forward(j, &why) == 0) {
		r = journal_commit(j, err);
		if (r == 0)
			say(report, ctx, "finished", j);
		return r;
	}
	r = journal_abort(j, err);
	if (r == 0)
		say(report, ctx, "took back unfinished", j);
	return r < 0 ? vs_err_in(
			       err,
			       "run %s (%s) is unfinished and can be neither finished nor taken back",
			       j->run, j->command)
		     : 0;
}

int journal_recover(int state_dirfd, int store_dirfd, void (*report)(void *ctx, const char *text),
		    void *ctx, struct vs_err *err)
{
	cleanup_(run_names_fini) struct run_names names = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	int count = 0;
	int r;

	r = load_names(state_dirfd, &names, &dirfd, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		cleanup_(journal_freep) struct journal *j = NULL;
		bool prepared, ended;

		r = look_at_run(dirfd, names.names[i], &prepared, &ended, err);
		if (r == 0 && !prepared) {
			r = remove_run(dirfd, names.names[i], err);
			continue;
		}
		if (r == 0 && ended)
			continue;
		if (r == 0)
			r = record_load(&j, state_dirfd, store_dirfd, names.names[i], err);
		if (r < 0)
			continue;
		assert(j);
		if (j->state != RUN_PREPARED)
			continue;
		r = end_run(j, report, ctx, err);
		count += r == 0;
	}
	return r < 0 ? r : count;
}

int journal_prune(int state_dirfd, size_t keep, struct vs_err *err)
{
	cleanup_(run_names_fini) struct run_names names = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	size_t excess;
	int r;

	r = load_names(state_dirfd, &names, &dirfd, err);
	excess = names.count > keep ? names.count - keep : 0;
	for (size_t i = 0; r == 0 && i < names.count && excess > 0; i++) {
		bool prepared, ended;

		r = look_at_run(dirfd, names.names[i], &prepared, &ended, err);
		if (r < 0 || !ended)
			continue;
		r = remove_run(dirfd, names.names[i], err);
		excess--;
	}
	return r;
}

/* The newest run that is done, for undo without a name. */
static int newest_done(int state_dirfd, char **out, struct vs_err *err)
{
	struct journal_run_info *runs = NULL;
	size_t count = 0;
	int r;

	r = journal_list(state_dirfd, &runs, &count, err);
	if (r < 0)
		return r;
	*out = NULL;
	for (size_t i = count; i > 0 && !*out; i--) {
		if (runs[i - 1].state == RUN_DONE)
			*out = vs_strdup(runs[i - 1].run);
	}
	journal_list_free(runs, count);
	return *out ? 0 : vs_fail(err, VS_ENOENT, "there is no run to take back");
}

/*
 * Is @path, or something below it, the business of a step after @index? Then its state is that
 * step's to compare.
 */
static bool touched_later(const struct path_index *last, size_t index, const char *path)
{
	size_t step;

	return path_index_find(last, slice_str(path), &step) && step > index;
}

static int changed_since(const struct journal *j, const char *path, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "%s: has changed since run %s, so it is not taken back",
		       path, j->run);
}

static int compare_end_state(struct journal *j, const struct step *step, const char *path,
			     const struct node *want, struct vs_err *err)
{
	bool with_content = step_compares_content(step, want);
	struct node now = { 0 };
	bool same;
	int r;

	r = with_content ? node_look(j->store_dirfd, path, &now, err)
			 : node_glance(j->store_dirfd, path, &now, err);
	if (r < 0)
		return r;
	same = with_content ? node_equal(&now, want)
			    : now.kind == want->kind && now.mode == want->mode;
	if (!same)
		return changed_since(j, path, err);
	return 0;
}

/* What comes back needs the directory that it was in: there, or coming back itself. */
static int check_parent(struct journal *j, const struct path_index *last, size_t index,
			struct vs_err *err)
{
	const struct step *step = &j->steps[index];
	const char *slash = strrchr(step->path, '/');
	cleanup_(vs_freep) char *parent = NULL;
	struct node now = { 0 };
	int r;

	if (!slash || step->before.kind == NODE_ABSENT)
		return 0;
	parent = vs_strndup(slice_of(step->path, (size_t)(slash - step->path)));
	if (touched_later(last, index, parent))
		return 0;
	r = node_glance(j->store_dirfd, parent, &now, err);
	if (r == 0 && now.kind != NODE_DIRECTORY)
		return changed_since(j, parent, err);
	return r;
}

struct made_dir {
	struct journal *j;
	const struct path_index *last;
	size_t index;
};

static int check_made_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct made_dir *made = ctx;
	cleanup_(buf_fini) struct buf path = { 0 };

	(void)type;
	buf_printf(&path, "%s/%s", made->j->steps[made->index].path, name);
	if (touched_later(made->last, made->index, buf_cstr(&path)))
		return 0;
	return changed_since(made->j, buf_cstr(&path), err);
}

/* A directory that was made can go when all that is in it came with the same run. */
static int check_made(struct journal *j, const struct path_index *last, size_t index,
		      struct vs_err *err)
{
	struct made_dir made = { .j = j, .last = last, .index = index };
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_open_dir(j->store_dirfd, j->steps[index].path, FILE_NO_FOLLOW, &fd, err);
	if (r < 0)
		return changed_since(j, j->steps[index].path, err);
	return file_list(fd, check_made_entry, &made, err);
}

static int check_end_state(struct journal *j, struct vs_err *err)
{
	cleanup_(path_index_fini) struct path_index last = { 0 };
	int r = 0;

	for (size_t i = 0; i < j->count; i++) {
		path_index_note_all(&last, j->steps[i].path, i);
		if (j->steps[i].to)
			path_index_note_all(&last, j->steps[i].to, i);
	}
	for (size_t i = 0; r == 0 && i < j->count; i++) {
		const struct step *step = &j->steps[i];

		if (step->kind == STEP_MKDIR)
			r = check_made(j, &last, i, err);
		else if (!touched_later(&last, i, step->path))
			r = compare_end_state(j, step, step->path, &step->after, err);
		if (r == 0 && step->to && !touched_later(&last, i, step->to))
			r = compare_end_state(j, step, step->to, &step->to_after, err);
		if (r == 0)
			r = check_parent(j, &last, i, err);
	}
	return r;
}

int journal_undo(int state_dirfd, int store_dirfd, const char *run, struct vs_err *err)
{
	cleanup_(journal_freep) struct journal *j = NULL;
	cleanup_(vs_freep) char *newest = NULL;
	int r = 0;

	if (!run)
		r = newest_done(state_dirfd, &newest, err);
	if (r == 0)
		r = record_load(&j, state_dirfd, store_dirfd, run ? run : newest, err);
	if (r != 0)
		return r;
	if (j->state != RUN_DONE)
		return vs_fail(err, VS_EUSAGE, "run %s has been taken back already", j->run);
	r = check_end_state(j, err);
	return r < 0 ? r : journal_abort(j, err);
}

int journal_steps(int state_dirfd, const char *run,
		  void (*fn)(void *ctx, const struct journal_step_info *step), void *ctx,
		  struct vs_err *err)
{
	cleanup_(journal_freep) struct journal *j = NULL;
	int r;

	r = record_load(&j, state_dirfd, -1, run, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < j->count; i++) {
		struct journal_step_info info = { j->steps[i].kind, j->steps[i].path,
						  j->steps[i].to };

		fn(ctx, &info);
	}
	return 0;
}
