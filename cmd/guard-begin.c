/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Before the command: the options, the lock that keeps a second guard out, a run that was cut off,
 * what the store holds, and a snapshot that has all of it. Whatever fails here fails with nothing
 * begun.
 */

#include "guard.h"

#include <fcntl.h>

#define NS_PER_S INT64_C(1000000000)
/* Whatever a file holds, it takes as much of a disk as this. */
#define BLOCK_LEN 4096
#define ROOM_BESIDE (UINT64_C(2) << 20)
#define DURATION_MAX_S (UINT64_C(365) * 24 * 3600)

/* ---- options ---- */

static bool read_duration(const char *text, const char *otherwise, int64_t *out_ns)
{
	uint64_t seconds;

	if (!parse_duration(text ? text : otherwise, &seconds) || seconds > DURATION_MAX_S)
		return false;
	*out_ns = (int64_t)seconds * NS_PER_S;
	return true;
}

int guard_read_options(struct guarding *g)
{
	const struct guard_opts *o = g->opts;
	const char *disk = g->app->common.min_free;
	struct vs_err err = { 0 };
	const struct {
		const char *name, *text, *otherwise;
		int64_t *out;
	} durations[] = {
		{ "timeout", o->timeout, "1h", &g->timeout_ns },
		{ "kill-after", o->kill_after, "10s", &g->grace_ns },
		{ "probe-interval", o->probe_interval, "10s", &g->probe_interval_ns },
		{ "probe-give-up", o->probe_give_up, "5m", &g->probe_give_up_ns },
	};

	for (size_t i = 0; i < VS_COUNT(durations); i++) {
		if (!read_duration(durations[i].text, durations[i].otherwise, durations[i].out))
			return app_usage(g->app, "--%s takes 90s, 30m, 24h or 7d",
					 durations[i].name);
	}
	if (!guard_percent_parse(o->max_loss ? o->max_loss : "5%", &g->max_loss))
		return app_usage(g->app, "--max-loss takes a percentage such as 5%% or 2.5%%");
	if (guard_allow_parse(o->allow ? o->allow : "", &g->allowed, &err) < 0)
		return app_error(g->app, &err);
	g->min_free = GUARD_FREE_BYTES;
	if (disk && !parse_size(disk, &g->min_free))
		return app_usage(g->app, "--min-free takes a size such as 500M");
	return -1;
}

/* ---- records ---- */

void guard_record(struct guarding *g, enum audit_phase phase, int status, const char *message)
{
	struct audit_record rec = {
		.phase = phase,
		.action = g->app->command_words,
		.store = GUARD_STORE(g),
		.argv = (const char *const *)g->app->argv,
		.exit_status = status,
		.message = message,
		.digest_before = *g->digest_before ? g->digest_before : NULL,
		.digest_after = *g->digest_end ? g->digest_end : NULL,
	};
	struct vs_err err = { 0 };

	oplog_begin(g->log, g->c.state_dirfd);
	oplog_add(g->log, phase == AUDIT_FAILED ? OPLOG_ERROR : OPLOG_INFO, "%s%s%s",
		  audit_phase_name(phase), message ? ": " : "", message ? message : "");
	if (audit_append(g->c.state_dirfd, g->app->clock, &rec, &err) < 0)
		app_note(g->app, "this is not in the audit log: %s", err.text);
}

void guard_alert(struct guarding *g, const char *text)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	text_escape(&shown, slice_str(text));
	fprintf(stderr, "vsctl: %s\n", buf_cstr(&shown));
	guard_record(g, AUDIT_ALERT, 0, text);
}

static int refused(struct guarding *g, const struct vs_err *err)
{
	int status = app_error(g->app, err);

	guard_record(g, AUDIT_REFUSED, status, err->text);
	return status;
}

/* ---- a run that was cut off ---- */

static int on_difference(void *ctx, enum snap_change change, const char *path,
			 const struct snap_member *member, struct vs_err *err)
{
	(void)ctx;
	(void)path;
	(void)member;
	(void)err;
	return change == SNAP_SAME ? 0 : 1;
}

/* 1: the store is what the snapshot has; 0: it is not. */
static int is_as_snapshot(struct guarding *g, const char *id, struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	int r = snap_load(g->c.state_dirfd, id, &m, err);

	if (r == 0)
		r = snap_load_members(g->c.state_dirfd, m, err);
	if (r == 0)
		r = snap_compare(m, g->c.store, true, app_jobs(g->app), on_difference, NULL, err);
	return r < 0 ? r : r == 0;
}

static int settle_unfinished(struct guarding *g, const struct guard_record *rec, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf back = { 0 };
	struct vs_err ignored = { 0 };
	char when[32];

	if (is_as_snapshot(g, rec->snapshot, &ignored) == 1)
		return guard_record_remove(g->dirfd, err);
	text_shell_word(&back, g->c.store_path);
	time_format(rec->time_ns, false, when);
	if (g->opts->unfinished == GUARD_UNFINISHED_REFUSE)
		return vs_fail(
			err, VS_EBUSY,
			"a guarded run of %s was cut off: %.200s; go back with vsctl rollback %s %s, or give --unfinished back, or --unfinished keep",
			when, rec->command, buf_cstr(&back), rec->snapshot);
	if (g->opts->unfinished == GUARD_UNFINISHED_BACK) {
		guard_go_back(g, rec->snapshot);
		if (g->outcome != GUARD_ROLLED_BACK)
			return vs_fail(
				err, VS_EIO,
				"the run of %s that was cut off could not be rolled back: %s", when,
				buf_cstr(&g->back_failure));
		buf_clear(&g->rollback);
		app_note(g->app, "the run of %s that was cut off was rolled back to %s", when,
			 rec->snapshot);
	}
	return guard_record_remove(g->dirfd, err);
}

/* Alone among guards. Not among all: the command may well be a vsctl that writes. */
static int enter(struct guarding *g, struct vs_err *err)
{
	cleanup_(guard_record_fini) struct guard_record rec = { 0 };
	int r = file_mkdir_at(g->c.state_dirfd, "guard", 0700, err);

	if (r == 0 || r == VS_EBUSY)
		r = file_open_dir(g->c.state_dirfd, "guard", FILE_NO_FOLLOW, &g->dirfd, err);
	if (r == 0)
		r = file_lock_take(&g->lock, g->dirfd, FILE_LOCK_EXCLUSIVE, 0, "guard", err);
	if (r == VS_EBUSY)
		return vs_err_in(err, "the store is guarded already");
	if (r == 0)
		r = guard_record_load(g->dirfd, &rec, err);
	if (r != 0)
		return VS_MIN(r, 0);
	/* Going back takes the lock itself. */
	file_lock_release(&g->c.lock);
	r = settle_unfinished(g, &rec, err);
	return r == 0 ? file_lock_take(&g->c.lock, g->c.state_dirfd, FILE_LOCK_EXCLUSIVE,
				       g->opts->common.lock_wait_s, "guard", err)
		      : r;
}

/* ---- the snapshot ---- */

static int make_snapshot(struct guarding *g, struct vs_err *err)
{
	const struct check_summary *sum = &g->before->summary;
	cleanup_(vs_freep) char *verdict = vs_strdup(verdict_name(sum->verdict));
	cleanup_(vs_freep) char *loadable = vs_strdup(loadable_name(sum->loadable));
	cleanup_(vs_freep) char *level = vs_strdup("full");
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(buf_fini) struct buf reason = { 0 };
	const struct snap_health health = { .verdict = verdict,
					    .loadable = loadable,
					    .level = level,
					    .errors = sum->errors,
					    .warnings = sum->warnings };
	struct snap_create_request req = {
		.tool_version = VSCTL_VERSION,
		.health = &health,
		.key = g->c.has_key ? g->c.key : NULL,
		.jobs = app_jobs(g->app),
		.clock = g->app->clock,
	};
	int r;

	buf_printf(&reason, "guard: %.200s", g->command);
	req.reason = buf_cstr(&reason);
	r = snap_create(g->c.state_dirfd, g->c.store, &req, &m, err);
	if (r < 0)
		return r;
	g->snapshot = vs_strdup(m->id);
	g->is_made = true;
	g->bytes = m->bytes + m->member_count_total * BLOCK_LEN;
	return 0;
}

/* One that exists has to be whole, and to be the store as it is now: else more would go than what
 * the command does. */
static int use_snapshot(struct guarding *g, struct vs_err *err)
{
	const struct snap_access access = { .state_dirfd = g->c.state_dirfd,
					    .key = g->c.has_key ? g->c.key : NULL,
					    .jobs = app_jobs(g->app),
					    .trusts_digest = true };
	cleanup_(snap_verdict_fini) struct snap_verdict verdict = { 0 };
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	const char *id = g->opts->snapshot;
	int r = snap_verify(&access, id, &verdict, &m, err);

	if (r == 0 && !snap_verdict_is_good(&verdict))
		r = vs_fail(err, VS_EFORMAT, "snapshot %s is damaged; leave --snapshot out", id);
	if (r == 0)
		r = is_as_snapshot(g, id, err);
	if (r == 0 && !g->opts->force)
		return vs_fail(
			err, VS_EUSAGE,
			"snapshot %s is not the store as it is now: leave --snapshot out, or give --force",
			id);
	if (r < 0)
		return r;
	g->snapshot = vs_strdup(id);
	g->bytes = m ? m->bytes + m->member_count_total * BLOCK_LEN : 0;
	return 0;
}

/*
 * Enough for the whole store once more, with what goes beside it: then there is a way back from a
 * disk that is full to the last byte.
 */
static int keep_room(struct guarding *g, struct vs_err *err)
{
	uint64_t size = g->bytes + ROOM_BESIDE;
	char text[16];
	int r = guard_reserve(g->dirfd, size, g->min_free, err);

	if (r <= 0)
		return r;
	size_format(size, text);
	app_note(
		g->app,
		"there is no room to keep %s for the way back; a command that fills the disk may block it",
		text);
	return 0;
}

/* ---- all of it ---- */

static int look_before(struct guarding *g, struct vs_err *err)
{
	struct digest digest;
	struct file_info info;
	int r = file_stat_fd(g->c.store->dirfd, &info, err);

	if (r < 0)
		return r;
	g->mode = info.mode;
	g->kind = g->c.store->kind;
	r = guard_census_take(&g->before, g->c.store, app_jobs(g->app), NULL, err);
	if (r == 0)
		r = audit_tree_digest(g->tree, g->c.store->dirfd, app_jobs(g->app), &digest, err);
	if (r == 0)
		digest_format(&digest, g->digest_before);
	return r;
}

static int write_record(struct guarding *g, struct vs_err *err)
{
	const struct guard_record rec = {
		.snapshot = g->snapshot,
		.store = GUARD_STORE(g),
		.command = g->command,
		.time_ns = clock_now_ns(g->app->clock),
	};
	int r = guard_record_save(g->dirfd, &rec, err);

	g->is_recorded = r == 0;
	return r;
}

int guard_begin(struct guarding *g, const char *store_path)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	int status = snapshot_open_locked(&g->c, g->app, &g->opts->common, store_path, true);
	int r;

	if (status >= 0)
		return status;
	r = enter(g, &err);
	if (r == 0)
		r = look_before(g, &err);
	if (r == 0)
		r = g->opts->snapshot ? use_snapshot(g, &err) : make_snapshot(g, &err);
	if (r == 0)
		r = keep_room(g, &err);
	if (r == 0)
		r = write_record(g, &err);
	file_lock_release(&g->c.lock);
	if (r < 0)
		return refused(g, &err);
	buf_printf(&text, "snapshot %s; command: %s", g->snapshot, g->command);
	guard_record(g, AUDIT_STARTED, 0, buf_cstr(&text));
	return -1;
}
