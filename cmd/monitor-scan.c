/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One store, looked at. A store that is as it was when everything in it was read is not read again,
 * save every so many scans: bits can rot without a trace in the directory. That it is as it was the
 * kernel says, when nothing was written since; or else the names, sizes, times and inodes do.
 */

#include "monitor.h"

#include "audit/audit.h"
#include "file/file.h"
#include "repair/repair.h"

#include <fcntl.h>

#define MAX_FINDINGS 1000
/* Two changes of a file within this time may leave the same time behind. */
#define CALM_NS INT64_C(2000000000)
#define TRIES 3

/* In the state directory; both are only ever replaced or appended to. */
#define MANIFESTS "manifests"
#define AUDIT_LOG "audit.jsonl"

/* ---- one scan ---- */

void monitor_target_fini(struct monitor_target *t)
{
	verify_report_fini(&t->report);
	file_watch_closep(&t->watch);
	file_closep(&t->state_dirfd);
	free(t->state);
	*t = (struct monitor_target){ .state_dirfd = -1 };
}

int monitor_target_open(struct monitor_target *t, struct app *app, const char *state,
			struct vs_err *err)
{
	struct vs_err bad = { 0 };
	int r;

	r = state_path_for(t->path, state ? state : getenv("VSCTL_STATE"), &t->state, err);
	if (r < 0)
		return r;
	r = state_make(t->state, &t->state_dirfd, err);
	if (r < 0)
		return r;
	if (monitor_record_load(t->state_dirfd, &t->record, &bad) < 0)
		app_note(app, "%s; counting begins anew", bad.text);
	return 0;
}

static void count_duration(struct monitor_record *rec, uint64_t ns)
{
	double s = (double)ns / 1e9;
	size_t i = 0;

	rec->duration_ns = ns;
	rec->seconds_sum += s;
	while (i < MONITOR_BUCKETS && s > monitor_bucket_s[i])
		i++;
	if (i < MONITOR_BUCKETS)
		rec->bucket[i]++;
	else
		rec->bucket_over++;
}

static void keep_summary(struct monitor_record *rec, const struct check_summary *s)
{
	/* What was sound at the last scan and is not now. */
	if (s->corrupt > rec->corrupt)
		rec->detected += s->corrupt - rec->corrupt;
	rec->is_there = true;
	rec->verdict = s->verdict;
	rec->loadable = s->loadable;
	rec->collections = s->collections;
	rec->healthy = s->healthy;
	rec->corrupt = s->corrupt;
	rec->empty = s->empty;
	rec->documents = s->documents;
	rec->bytes = s->bytes;
	rec->errors = s->errors;
	rec->warnings = s->warnings;
}

/* The first look before reading. What is written from here on is told by the watch, if there is one. */
static int look_before(struct monitor_target *t, const struct store *store, struct tree_print *out,
		       struct vs_err *err)
{
	struct vs_err unwatched = { 0 };

	file_watch_closep(&t->watch);
	(void)!file_watch_open(&t->watch, &unwatched);
	return tree_print_take(store->dirfd, t->watch, out, err);
}

/* Is the store as it was at @before? With a watch, that says so for the time since its last word. */
static int is_as_before(struct monitor_target *t, const struct store *store,
			const struct tree_print *before, bool *out, struct vs_err *err)
{
	struct tree_print now;
	int r;

	*out = before->is_watched && !file_watch_take(t->watch);
	if (before->is_watched)
		return 0;
	r = tree_print_take(store->dirfd, NULL, &now, err);
	*out = r == 0 && tree_print_eq(before, &now);
	return r;
}

/* Read everything. What is found while somebody writes counts when it is still there after. */
static int read_store(struct monitor_target *t, const struct store *store, struct app *app,
		      struct vs_err *err)
{
	struct verify_request req = { .check = { .level = CHECK_FULL,
						 .max_findings = MAX_FINDINGS,
						 .jobs = app_jobs(app) } };
	const struct timespec pause = { .tv_nsec = 200000000L };
	char *none = NULL;

	t->has_print = false;
	t->is_watched = false;
	for (unsigned try = 1;; try++) {
		struct verify_report report = { 0 };
		struct tree_print before;
		int64_t start = clock_now_ns(app->clock);
		bool is_still = false;
		int r;

		r = look_before(t, store, &before, err);
		if (r == 0)
			r = verify_store(&report, store, &req, &none, err);
		if (r == 0)
			r = is_as_before(t, store, &before, &is_still, err);
		if (r < 0) {
			verify_report_fini(&report);
			return r;
		}
		t->record.documents_read += report.summary.documents;
		if (!is_still && report.summary.errors > 0 && try < TRIES) {
			verify_report_fini(&report);
			nanosleep(&pause, NULL);
			continue;
		}
		verify_report_fini(&t->report);
		t->report = report;
		t->has_report = true;
		t->print = before;
		t->is_watched = is_still && before.is_watched;
		t->has_print = is_still && before.newest_ns + CALM_NS < start;
		t->record.scans_read++;
		t->reused = 0;
		return 0;
	}
}

/* Nothing was written since it was read, and it is the same directory. */
static int is_unwritten(struct monitor_target *t, const struct store *store, bool *out,
			struct vs_err *err)
{
	struct file_info root;
	int r;

	*out = false;
	if (!t->is_watched)
		return 0;
	r = file_stat_fd(store->dirfd, &root, err);
	*out = r == 0 && root.device == t->print.device && root.inode == t->print.inode &&
	       !file_watch_take(t->watch);
	/* What it has told once it does not tell again: only an equal look makes up for it. */
	t->is_watched = *out;
	return r;
}

static int look(struct monitor_target *t, const struct monitor_scan *scan, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = NULL;
	struct tree_print now;
	bool is_same = false;
	int r;

	r = store_open(&store, t->path, 0, err);
	if (r == 0 && store->dirfd < 0)
		r = vs_fail(err, VS_ENOTSUP, "%s: an export is no store that changes", t->path);
	if (r == 0 && t->reused + 1 >= scan->full_every)
		return read_store(t, store, scan->app, err);
	if (r == 0)
		r = is_unwritten(t, store, &is_same, err);
	if (r < 0)
		return r;
	if (!is_same && t->has_print) {
		r = tree_print_take(store->dirfd, NULL, &now, err);
		if (r < 0)
			return r;
		is_same = tree_print_eq(&now, &t->print);
		t->is_watched = is_same && t->print.is_watched;
	}
	if (!is_same)
		return read_store(t, store, scan->app, err);
	t->reused++;
	return 0;
}

static int count_quarantine(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	struct monitor_target *t = ctx;

	(void)err;
	t->quarantined += strcmp(e->phase, "finished") == 0;
	t->quarantine_failed += strcmp(e->phase, "failed") == 0;
	return 0;
}

/*
 * Is what has this name in the state directory as it was when @stamp was taken? If not, it is taken
 * anew. A change within the last moments may leave the time as it is, so that it is no stamp yet.
 */
static bool is_as_stamped(const struct monitor_target *t, const char *name,
			  struct monitor_stamp *stamp, struct app *app)
{
	struct vs_err none = { 0 };
	struct file_info info;
	bool is_same;

	if (file_stat_at(t->state_dirfd, name, FILE_NO_FOLLOW, &info, &none) < 0)
		info = (struct file_info){ 0 };
	is_same = stamp->is_set && stamp->inode == info.inode && stamp->size == info.size &&
		  stamp->changed_ns == info.changed_ns;
	*stamp = (struct monitor_stamp){
		.is_set = info.changed_ns + CALM_NS < clock_now_ns(app->clock),
		.inode = info.inode,
		.size = info.size,
		.changed_ns = info.changed_ns,
	};
	return is_same;
}

static void look_at_snapshots(struct monitor_target *t, struct app *app)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	const struct snap_manifest *m;
	struct vs_err err = { 0 };

	if (is_as_stamped(t, MANIFESTS, &t->manifests_stamp, app))
		return;
	if (snap_list_load(&list, t->state_dirfd, &err) < 0)
		app_note(app, "%s: %s", t->path, err.text);
	t->snapshots = list.count;
	m = snap_list_newest_good(&list);
	t->newest_good_ns = m ? m->time_ns : 0;
	m = snap_list_drilled(&list, true);
	t->drilled_ns = m ? m->drill.time_ns : 0;
}

/* What else the metrics tell; none of it is a reason for a scan to fail. */
static void look_at_state(struct monitor_target *t, struct app *app)
{
	struct audit_query query = { .action = "quarantine" };
	struct vs_err err = { 0 };

	look_at_snapshots(t, app);
	if (is_as_stamped(t, AUDIT_LOG, &t->audit_stamp, app))
		return;
	t->quarantined = 0;
	t->quarantine_failed = 0;
	(void)!audit_list(t->state_dirfd, &query, count_quarantine, t, &err);
}

void monitor_target_scan(struct monitor_target *t, const struct monitor_scan *scan)
{
	struct monitor_record *rec = &t->record;
	int64_t begin = clock_elapsed_ns();
	struct vs_err err = { 0 };
	int r;

	r = look(t, scan, &err);
	rec->tried_ns = clock_now_ns(scan->app->clock);
	rec->is_failed = r < 0;
	snprintf(rec->failure, sizeof(rec->failure), "%.500s", r < 0 ? err.text : "");
	look_at_state(t, scan->app);
	if (r < 0) {
		rec->failures++;
		return;
	}
	rec->successes++;
	rec->time_ns = rec->tried_ns;
	keep_summary(rec, &t->report.summary);
	count_duration(rec, (uint64_t)(clock_elapsed_ns() - begin));
}
