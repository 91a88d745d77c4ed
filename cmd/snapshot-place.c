/* SPDX-License-Identifier: Apache-2.0 */

/* What the verbs of `vsctl snapshot` share: the state directory, records, the health of a store. */

#include "snapshot.h"

#include "key.h"
#include "shown.h"

#include <fcntl.h>
#include <limits.h>
#include <time.h>

/* ---- opening ---- */

void snapshot_cmd_fini(struct snapshot_cmd *c)
{
	file_lock_release(&c->lock);
	file_closep(&c->state_dirfd);
	store_closep(&c->store);
	free(c->store_path);
	free(c->state_path);
}

/* Also of a store that is lost, whose last part is not there. */
static void find_absolute(struct snapshot_cmd *c)
{
	cleanup_(vs_freep) char *path = NULL;
	struct vs_err ignored = { 0 };

	if (!realpath(c->store_path, c->absolute))
		snprintf(c->absolute, sizeof(c->absolute), "%s",
			 path_absolute(c->store_path, &path, &ignored) == 0 ? path : c->store_path);
}

static int prepare(struct snapshot_cmd *c, struct app *app, const struct snapshot_opts *opts,
		   const char *store_path)
{
	const char *state = opts->state ? opts->state : getenv("VSCTL_STATE");
	size_t len = strlen(store_path);
	struct vs_err err = { 0 };

	c->app = app;
	c->opts = opts;
	c->is_given_state = state != NULL;
	app->path = store_path;
	while (len > 1 && store_path[len - 1] == '/')
		len--;
	c->store_path = vs_strndup(slice_of(store_path, len));
	find_absolute(c);
	if (state_path_for(c->store_path, state, &c->state_path, &err) < 0)
		return app_error(app, &err);
	if (!opts->key_file)
		return -1;
	if (key_load(opts->key_file, c->key, &err) < 0)
		return app_error(app, &err);
	c->has_key = true;
	return -1;
}

int snapshot_open(struct snapshot_cmd *c, struct app *app, const struct snapshot_opts *opts,
		  const char *store_path)
{
	struct vs_err err = { 0 };
	int r, status;

	status = prepare(c, app, opts, store_path);
	if (status >= 0)
		return status;
	r = state_open(c->state_path, &c->state_dirfd, &err);
	if (r == VS_ENOENT)
		vs_fail(&err, VS_ENOENT,
			"there are no snapshots: %s does not exist; make one with vsctl snapshot create",
			c->state_path);
	return r < 0 ? app_error(app, &err) : -1;
}

/* Made inside the store, the directory would be part of it. */
static int refuse_inside(const struct snapshot_cmd *c, struct vs_err *err)
{
	char parent[PATH_MAX], state[PATH_MAX];
	const char *slash = strrchr(c->state_path, '/');
	size_t len = strlen(c->absolute);

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - c->state_path) + 1 : 1,
		 slash ? c->state_path : ".");
	if (!realpath(c->state_path, state) && !realpath(parent, state))
		return vs_fail_errno(err, "%s", parent);
	if (strncmp(state, c->absolute, len) == 0 && (state[len] == '/' || state[len] == '\0'))
		return vs_fail(
			err, VS_EUSAGE,
			"state directory %s is inside the store: give --state a place outside it",
			c->state_path);
	return 0;
}

static void note_recovered(void *ctx, const char *text)
{
	struct snapshot_cmd *c = ctx;
	struct vs_err err = { 0 };

	app_note(c->app, "%s", text);
	if (snapshot_record(c, AUDIT_RECOVERED, 0, text, &err) < 0)
		app_note(c->app, "%s", err.text);
}

static int open_state(struct snapshot_cmd *c, struct vs_err *err)
{
	int r;

	r = refuse_inside(c, err);
	return r < 0 ? r : state_make(c->state_path, &c->state_dirfd, err);
}

/* The state directory is open: be alone with it. -1 to go on, or the exit status. */
static int lock_state(struct snapshot_cmd *c, struct vs_err *err)
{
	int r = file_lock_take(&c->lock, c->state_dirfd, FILE_LOCK_EXCLUSIVE, c->opts->lock_wait_s,
			       c->app->command_words, err);

	if (r == 0 && c->store && c->store->dirfd >= 0)
		r = journal_recover(c->state_dirfd, c->store->dirfd, note_recovered, c, err);
	return r < 0 ? app_error(c->app, err) : -1;
}

int snapshot_open_new(struct snapshot_cmd *c, struct app *app, const struct snapshot_opts *opts,
		      const char *store_path)
{
	struct vs_err err = { 0 };
	int status = prepare(c, app, opts, store_path);

	if (status >= 0)
		return status;
	return open_state(c, &err) < 0 ? app_error(app, &err) : lock_state(c, &err);
}

int snapshot_open_locked(struct snapshot_cmd *c, struct app *app, const struct snapshot_opts *opts,
			 const char *store_path, bool needs_store)
{
	struct vs_err err = { 0 };
	int r, status;

	if (!needs_store) {
		status = snapshot_open(c, app, opts, store_path);
		r = 0;
	} else {
		status = prepare(c, app, opts, store_path);
		r = status >= 0 ? 0 : store_open(&c->store, store_path, 0, &err);
		/* Before anything is made beside it. */
		if (r == 0 && status < 0)
			r = snap_check_kind(c->store->kind, &err);
		if (r == 0 && status < 0)
			r = app_preflight(app, store_path, c->state_path, &err);
		if (r == 0 && status < 0)
			r = open_state(c, &err);
	}
	if (status >= 0)
		return status;
	return r < 0 ? app_error(app, &err) : lock_state(c, &err);
}

/* ---- the store's own ---- */

static bool is_of_another(const struct snapshot_cmd *c, const struct snap_manifest *m)
{
	return m && !m->is_older && m->store_path && strcmp(m->store_path, c->absolute) != 0;
}

int snapshot_list_load(struct snapshot_cmd *c, struct snap_list *out, struct vs_err *err)
{
	size_t kept = 0;
	int r = snap_list_load(out, c->state_dirfd, err);

	for (size_t i = 0; r == 0 && c->is_given_state && i < out->count; i++) {
		if (is_of_another(c, out->entries[i].m))
			continue;
		if (kept != i) {
			struct snap_entry own = out->entries[i];

			out->entries[i] = out->entries[kept];
			out->entries[kept] = own;
		}
		kept++;
	}
	if (r < 0 || !c->is_given_state)
		return r;
	c->others = out->count - kept;
	while (out->count > kept) {
		struct snap_entry *other = &out->entries[--out->count];

		free(other->id);
		free(other->why);
		snap_manifest_freep(&other->m);
	}
	return 0;
}

void snapshot_say_others(struct snapshot_cmd *c)
{
	if (c->others > 0)
		app_note(c->app, "%s also has %zu snapshot%s of other stores", c->state_path,
			 c->others, c->others == 1 ? "" : "s");
}

/* ---- records ---- */

int snapshot_record(struct snapshot_cmd *c, enum audit_phase phase, int status, const char *message,
		    struct vs_err *err)
{
	struct audit_record rec = {
		.phase = phase,
		.action = c->app->command_words,
		.store = c->absolute,
		.argv = (const char *const *)c->app->argv,
		.exit_status = status,
		.message = message,
	};

	return audit_append(c->state_dirfd, c->app->clock, &rec, err);
}

void snapshot_record_end(struct snapshot_cmd *c, int status, const char *message)
{
	enum audit_phase phase = status >= EXIT_OPERATIONAL ? AUDIT_FAILED : AUDIT_FINISHED;
	struct vs_err err = { 0 };

	if (snapshot_record(c, phase, status, message, &err) < 0)
		app_note(c->app, "this is not in the audit log: %s", err.text);
	if (message && snap_log(c->state_dirfd, clock_now_ns(c->app->clock), message, &err) < 0)
		app_note(c->app, "there is no log of this: %s", err.text);
}

void snapshot_members_json(struct snapshot_cmd *c)
{
	struct emit *e = &c->app->emit;

	emit_store_path(e, c->store_path);
	emit_json_bytes(e, "state", slice_str(c->state_path));
}

void snapshot_next(struct snapshot_cmd *c, const char *text, const char *id)
{
	const char *state = c->opts->state && strstr(text, "snapshot") ? c->opts->state : NULL;
	cleanup_(buf_fini) struct buf asked = { 0 };
	cleanup_(buf_fini) struct buf command = { 0 };

	buf_append_str(&asked, text);
	if (id)
		buf_printf(&asked, " %s", id);
	text_command(&command, buf_cstr(&asked), c->store_path, state);
	emit_line(&c->app->emit, "next: %s", buf_cstr(&command));
}

/* The command that came after is the first word behind the mark. */
static const char *safety_word(const struct snap_manifest *m)
{
	const char *command = m->reason + strlen(SNAP_REASON_BEFORE);

	if (strncmp(command, "rollback", strlen("rollback")) == 0)
		return "before a rollback";
	return strcmp(command, "optimize") == 0 ? "before optimize" : "before a change";
}

const char *snapshot_state_word(const struct snap_entry *e)
{
	if (!e->m)
		return "unreadable";
	if (e->m->is_older)
		return "of the older tool";
	if (e->m->status == SNAP_FAILED)
		return "damaged";
	if (e->m->drill.time_ns != 0 && !e->m->drill.is_good)
		return "failed its drill";
	if (snap_is_safety(e->m))
		return safety_word(e->m);
	if (!snap_is_good(e->m))
		return "of a corrupt store";
	return e->m->health.verdict ? "good" : "not checked";
}

/* ---- health ---- */

/* A server that runs is in the middle of a transaction now and then. */
#define BUSY_TRIES 50
#define BUSY_WAIT_NS (INT64_C(200) * 1000000)

static int check_when_free(const struct store *store, const struct check_request *req,
			   struct check_summary *sum, struct vs_err *err)
{
	static const struct timespec wait = { .tv_nsec = BUSY_WAIT_NS };
	int r = check_store(store, req, NULL, sum, err);

	for (unsigned i = 0; r == VS_EBUSY && i < BUSY_TRIES; i++) {
		nanosleep(&wait, NULL);
		*sum = (struct check_summary){ 0 };
		r = check_store(store, req, NULL, sum, err);
	}
	return r;
}

int snapshot_health(struct snapshot_cmd *c, const struct store *store, enum check_level level,
		    struct snap_health *out, struct vs_err *err)
{
	static const char *const levels[] = {
		[CHECK_QUICK] = "quick", [CHECK_FULL] = "full", [CHECK_DEEP] = "deep"
	};
	struct check_request req = { .level = level, .jobs = app_jobs(c->app) };
	struct check_summary sum = { 0 };
	int r;

	r = check_when_free(store, &req, &sum, err);
	if (r < 0)
		return r;
	out->verdict = vs_strdup(verdict_name(sum.verdict));
	out->loadable = vs_strdup(loadable_name(sum.loadable));
	out->level = vs_strdup(levels[level]);
	out->errors = sum.errors;
	out->warnings = sum.warnings;
	return 0;
}

void snapshot_health_fini(struct snap_health *h)
{
	free(h->verdict);
	free(h->loadable);
	free(h->level);
	*h = (struct snap_health){ 0 };
}
