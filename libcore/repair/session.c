/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sessions: from a plan to a changed, verified and recorded store. The order is always the same:
 * lock, end what was unfinished, look for users, compare with what the plan was made from, record
 * the intent, journal and apply, verify, commit or take back, record the outcome.
 */

#include "chroma/chroma.h"
#include "repair/repair-private.h"
#include "repair/session-private.h"

#include <fcntl.h>
#include <limits.h>

#define JOURNAL_RUNS_KEPT 50

/* Files that were written so many seconds ago or less are worth a note. */
#define RECENT_S 60

/* State inside the store would be copied, restored and quarantined with it. */
static int refuse_inside(const struct session *s, struct vs_err *err)
{
	cleanup_(vs_freep) char *state = NULL;
	size_t len = strlen(s->store_path);
	int r;

	r = path_absolute(s->state_path, &state, err);
	if (r < 0)
		return r;
	if (strncmp(state, s->store_path, len) == 0 && (state[len] == '/' || state[len] == '\0'))
		return vs_fail(
			err, VS_EUSAGE,
			"state directory %s is inside the store: give --state a place outside it",
			s->state_path);
	return 0;
}

static int open_state(struct session *s, struct vs_err *err)
{
	int r;

	r = refuse_inside(s, err);
	if (r < 0)
		return r;
	return state_make(s->state_path, &s->state_dirfd, err);
}

static void note_recovered(void *ctx, const char *text)
{
	struct session *s = ctx;
	struct vs_err err = { 0 };

	session_note(s, text);
	if (session_record(s, AUDIT_RECOVERED, 0, text, &err) < 0)
		session_note(s, err.text);
}

static int refuse_users(struct session *s, struct vs_err *err)
{
	char who[256];
	cleanup_(buf_fini) struct buf others = { 0 };
	char text[320];
	unsigned unseen = 0;
	int r;

	r = inuse_find(s->store_path, who, sizeof(who), &unseen, err);
	if (r < 0)
		return r;
	if (r > 0 && !s->opts.force)
		return vs_fail(
			err, VS_EBUSY,
			"the store seems to be in use: %s; stop it, or give --force when it is harmless",
			who);
	if (r > 0) {
		snprintf(text, sizeof(text), "going on although the store seems to be in use: %s",
			 who);
		session_note(s, text);
	} else if (unseen > 0) {
		text_count(&others, unseen, "process");
		buf_append_str(&others, " of other users could not be looked at");
		session_note(s, buf_cstr(&others));
	}
	return 0;
}

/* The first look, with which the store is compared before anything is changed. */
static int look_first(struct session *s, struct vs_err *err)
{
	char text[160];
	int64_t age;
	int r;

	r = look_at_store(&s->look, s->store->dirfd, file_known_seen(session_known(s)), err);
	if (r < 0)
		return r;
	age = look_age_s(&s->look, clock_now_ns(s->opts.clock));
	if (age < 0 || age > RECENT_S)
		return 0;
	snprintf(text, sizeof(text),
		 "the newest file was written %" PRId64
		 " s ago: if an application has the store open, stop it first",
		 age);
	session_note(s, text);
	return 0;
}

/* A process that writes now would have its writes lost, or ours. */
static int look_again(struct session *s, struct vs_err *err)
{
	cleanup_(look_fini) struct look now = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };
	const char *changed;
	int r;

	r = look_at_store(&now, s->store->dirfd, file_known_seen(session_known(s)), err);
	if (r < 0)
		return r;
	changed = look_difference(&s->look, &now);
	if (!changed)
		return 0;
	text_escape(&text, slice_str(changed));
	if (!s->opts.force)
		return vs_fail(
			err, VS_EBUSY,
			"%s has changed while it was being looked at: something is writing to the store; stop it, or give --force",
			buf_cstr(&text));
	buf_append_str(&text, " has changed while it was being looked at: going on all the same");
	session_note(s, buf_cstr(&text));
	return 0;
}

/* A help for later, so that a failure is said and stops nothing. */
static void remember_names(struct session *s)
{
	struct vs_err err = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };

	if (names_remember(s->store, s->state_dirfd, session_known(s), s->opts.command,
			   clock_now_ns(s->opts.clock), &err) == 0)
		return;
	buf_printf(&text, "the names of the collections are not remembered: %s", err.text);
	session_note(s, buf_cstr(&text));
}

/* Alone with the store, and with nothing unfinished about. */
static int take_over(struct session *s, struct vs_err *err)
{
	int r;

	r = file_lock_take(&s->lock, s->state_dirfd, FILE_LOCK_EXCLUSIVE, s->opts.lock_wait_s,
			   s->opts.command, err);
	if (r == 0)
		r = chroma_edit_sweep(s->state_path, err);
	if (r == VS_EBUSY)
		return vs_err_in(err, "%s: locked by another vsctl (--lock-wait SEC waits for it)",
				 s->state_path);
	if (r == 0)
		r = journal_recover(s->state_dirfd, s->store->dirfd, note_recovered, s, err);
	if (r >= 0 && !s->opts.only_reads)
		r = refuse_users(s, err);
	if (r >= 0 && !s->opts.only_reads)
		r = look_first(s, err);
	return VS_MIN(r, 0);
}

int session_open(struct session **out, const struct store *store, const struct session_opts *opts,
		 struct vs_err *err)
{
	cleanup_(session_closep) struct session *s = vs_alloc(sizeof(*s));
	int r;

	*s = (struct session){ .store = store,
			       .opts = *opts,
			       .state_dirfd = -1,
			       .lock = { .fd = -1 },
			       .log = oplog_new(opts->command, opts->clock),
			       .tree = audit_tree_new() };
	if (!realpath(store->path, s->store_path))
		return vs_fail_errno(err, "%s", store->path);
	r = state_path_for(store->path, opts->state_path, &s->state_path, err);
	if (r == 0)
		r = open_state(s, err);
	if (r < 0)
		return r;
	session_log_start(s);
	if (!opts->is_dry_run)
		r = take_over(s, err);
	if (r < 0) {
		session_refused(s, session_status_of(r), err->text);
		return r;
	}
	if (!opts->is_dry_run)
		remember_names(s);
	*out = VS_TAKE(s);
	return 0;
}

void session_closep(struct session **s_)
{
	struct session *s = *s_;

	if (!s)
		return;
	session_log_end(s);
	oplog_freep(&s->log);
	audit_tree_freep(&s->tree);
	file_lock_release(&s->lock);
	file_closep(&s->state_dirfd);
	free(s->state_path);
	look_fini(&s->look);
	free(s);
	*s_ = NULL;
}

int session_state_dirfd(const struct session *s)
{
	return s->state_dirfd;
}

const char *session_state_path(const struct session *s)
{
	return s->state_path;
}

const char *session_store_path(const struct session *s)
{
	return s->store_path;
}

struct file_known *session_known(const struct session *s)
{
	return audit_tree_known(s->tree);
}

/* ---- applying ---- */

/* Nothing that the plan was made from may have changed since. */
static int compare_stamps(struct session *s, const struct plan *plan, struct vs_err *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct action *a = &plan->actions[i];
		struct digest now = { 0 };
		int r;

		if (!a->is_stamped || plan_first_on(plan, i) != a)
			continue;
		r = journal_look(s->store->dirfd, a->path, &now, err);
		if (r < 0)
			return r;
		if ((r > 0) != a->was_there ||
		    (r > 0 && memcmp(now.bytes, a->before.bytes, DIGEST_LEN) != 0))
			return vs_fail(
				err, VS_EBUSY,
				"%s: has changed since the plan was made, so nothing was done",
				a->path);
	}
	return 0;
}

static int add_sourced(struct journal *j, const struct plan_source *source, const struct action *a,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf content = { 0 };
	int r = source->content(source->ctx, a, &content, err);

	return r < 0 ? r
		     : journal_add_write_at(j, a->path, a->mode, a->modified_ns,
					    buf_slice(&content), err);
}

static int add_file(struct journal *j, const struct plan_source *source, const struct action *a,
		    struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r = source->file(source->ctx, a, &fd, err);

	return r < 0 ? r : journal_add_write_file(j, a->path, a->mode, a->modified_ns, fd, err);
}

static int add_step(struct journal *j, const struct plan_source *source, const struct action *a,
		    struct vs_err *err)
{
	const char *name;
	int dirfd;

	switch (a->kind) {
	case STEP_WRITE:
		if ((a->is_file || a->is_sourced) && source->staged &&
		    source->staged(source->ctx, a, &dirfd, &name))
			return journal_add_write_moved(j, a->path, a->mode, a->modified_ns, dirfd,
						       name, err);
		if (a->is_file)
			return add_file(j, source, a, err);
		if (a->is_sourced)
			return add_sourced(j, source, a, err);
		return journal_add_write(j, a->path, a->mode, buf_slice(&a->content), err);
	case STEP_REMOVE:
		return journal_add_remove(j, a->path, err);
	case STEP_MOVE:
		return journal_add_move(j, a->path, a->to, err);
	case STEP_EXCHANGE:
		return journal_add_exchange(j, a->path, a->to, err);
	case STEP_MKDIR:
		return journal_add_mkdir(j, a->path, a->mode, err);
	case STEP_RMDIR:
		return journal_add_rmdir(j, a->path, err);
	case STEP_MODE:
		return journal_add_mode(j, a->path, a->mode, err);
	}
	return vs_fail(err, VS_EUSAGE, "%s: an action of no known kind", a->path);
}

static int add_steps(struct session *s, struct journal *j, const struct plan *plan,
		     struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		const struct action *a = &plan->actions[i];

		if (a->is_database && !database_is_last(plan, i))
			continue;
		if (a->is_database) {
			r = database_add(j, plan, a, s->store->dirfd, s->state_path,
					 s->is_database_judged, err);
			continue;
		}
		r = database_clear(j, plan, a, s->store->dirfd, err);
		if (r == 0)
			r = add_step(j, plan->source, a, err);
	}
	return r;
}

/* A collection that the plan moved out of the store, and that is there again. */
static void find_returned(struct session *s, const struct plan *plan, struct apply_result *out)
{
	for (size_t i = 0; i < plan->count && out->came_back[0] == '\0'; i++) {
		const struct action *a = &plan->actions[i];
		struct vs_err absent = { 0 };
		struct file_info info;

		if (a->kind == STEP_MOVE && !strchr(a->path, '/') &&
		    !plan_has(plan, STEP_MKDIR, a->path) &&
		    file_stat_at(s->store->dirfd, a->path, FILE_NO_FOLLOW, &info, &absent) == 0)
			snprintf(out->came_back, sizeof(out->came_back), "%s", a->path);
	}
}

static int run_journal(struct session *s, const struct plan *plan,
		       const struct check_summary *before, struct journal **out, struct vs_err *err)
{
	struct journal_header head = {
		.command = s->opts.command,
		.argv = s->opts.argv,
		.time_ns = clock_now_ns(s->opts.clock),
		.links_old = s->store->kind == STORE_CHROMEM,
	};
	cleanup_(journal_freep) struct journal *j = NULL;
	cleanup_(file_closep) int guard = -1;
	int r = 0;

	if (plan->source && plan->source->prepare)
		r = plan->source->prepare(plan->source->ctx, before, err);
	if (r == 0)
		r = database_guard(plan, s->store->dirfd, &guard, err);
	if (r == 0)
		r = journal_begin(&j, s->state_dirfd, s->store->dirfd, &head, err);
	if (r == 0)
		r = add_steps(s, j, plan, err);
	if (r == 0)
		r = journal_apply(j, err);
	if (r == 0)
		*out = VS_TAKE(j);
	return r;
}

static int apply_and_verify(struct session *s, const struct plan *plan,
			    const struct check_request *check, const struct error_list *before,
			    bool accepts_errors, struct apply_result *out, struct vs_err *err)
{
	cleanup_(error_list_fini) struct error_list after = { 0 };
	cleanup_(journal_freep) struct journal *j = NULL;
	struct vs_err again = { 0 };
	int r;

	s->is_database_judged = !accepts_errors && !has_database_error(before);
	r = run_journal(s, plan, &out->before, &j, err);
	if (r < 0)
		return r;
	snprintf(out->run, sizeof(out->run), "%s", journal_run(j));
	r = error_list_load(&after, s->store, check, &out->after, err);
	if (r == 0)
		find_returned(s, plan, out);
	if (r == 0 && !accepts_errors)
		r = judge_result(plan, before, &after, out->came_back, err);
	if (r == 0 && plan->source && plan->source->verify)
		r = plan->source->verify(plan->source->ctx, err);
	if (r == 0 && s->opts.prove)
		r = s->opts.prove(s->opts.exit_ctx, err);
	if (r == 0)
		return journal_commit(j, err);
	if (journal_abort(j, &again) < 0)
		return vs_fail(err, VS_EIO,
			       "the result did not verify and could not be taken back: %s",
			       again.text);
	out->is_taken_back = true;
	return r;
}

/* Where a change began, for the record of its beginning and for that of its end. */
static int record_start(struct session *s, struct session_change *change, struct vs_err *err)
{
	session_digest(s, change->jobs, change->before);
	return session_append(s, AUDIT_STARTED, 0, NULL, change, err);
}

/*
 * The change stands whatever becomes of its record, so a failure here is said and does not undo it.
 */
static void record_end(struct session *s, struct session_change *change, int r, int exit_status,
		       const char *message)
{
	struct vs_err late = { 0 };

	session_digest(s, change->jobs, change->after);
	if (session_append(s, r < 0 ? AUDIT_FAILED : AUDIT_FINISHED, exit_status, message, change,
			   &late) < 0)
		session_note(s, late.text);
}

int session_apply(struct session *s, const struct plan *plan, const struct check_request *check,
		  bool accepts_errors, struct apply_result *out, struct vs_err *err)
{
	cleanup_(session_change_fini) struct session_change change = { .jobs = check->jobs };
	cleanup_(error_list_fini) struct error_list before = { 0 };
	struct check_request known = *check;
	struct vs_err late = { 0 };
	int r, looked = 0;

	known.known = session_known(s);
	assert(!s->opts.is_dry_run);
	session_log_plan(s, plan);
	session_change_collections(&change, plan);
	r = compare_stamps(s, plan, err);
	if (r == 0)
		r = look_again(s, err);
	if (r < 0)
		session_refused(s, session_status_of(r), err->text);
	else
		looked = error_list_load(&before, s->store, &known, &out->before, &late);
	/* The check has read what the digest is made of. */
	if (r == 0)
		r = record_start(s, &change, err);
	if (r < 0)
		return r;
	if (looked < 0)
		*err = late;
	r = looked < 0 ? looked
		       : apply_and_verify(s, plan, &known, &before, accepts_errors, out, err);
	if (r == 0)
		find_returned(s, plan, out);
	session_log_result(s, out, r);
	change.run = out->run[0] != '\0' ? out->run : NULL;
	if (r < 0)
		record_end(s, &change, r, session_status_of(r), err->text);
	else
		record_end(s, &change, r,
			   s->opts.exit_status ? s->opts.exit_status(s->opts.exit_ctx, out) : 0,
			   NULL);
	if (r == 0)
		remember_names(s);
	if (r == 0 && journal_prune(s->state_dirfd, JOURNAL_RUNS_KEPT, &late) < 0)
		session_note(s, late.text);
	return r;
}

int session_undo(struct session *s, const char *run, struct vs_err *err)
{
	cleanup_(session_change_fini) struct session_change change = { .run = run };
	int r;

	r = look_again(s, err);
	if (r < 0)
		session_refused(s, session_status_of(r), err->text);
	else
		r = record_start(s, &change, err);
	if (r < 0)
		return r;
	r = journal_undo(s->state_dirfd, s->store->dirfd, run, err);
	record_end(s, &change, r, r < 0 ? session_status_of(r) : 0, r < 0 ? err->text : NULL);
	return r;
}
