/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One store, looked at. A store in which no name, size, time or inode has changed since everything
 * in it was read is not read again, save every so many scans: bits can rot without a trace in the
 * directory.
 */

#include "monitor.h"

#include "audit/audit.h"
#include "file/file.h"
#include "repair/repair.h"

#include <fcntl.h>

#define DEPTH_MAX 12
#define MAX_FINDINGS 1000
/* Two changes of a file within this time may leave the same time behind. */
#define CALM_NS INT64_C(2000000000)
#define TRIES 3

/* ---- has anything changed? ---- */

struct taking {
	struct tree_print *print;
	int dirfd;
	unsigned depth;
	uint64_t path; /* of the directory, mixed */
};

static uint64_t mix(uint64_t h, uint64_t value)
{
	h ^= value + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

static int take_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err);

static int take_directory(const struct taking *in, const char *name, uint64_t path,
			  struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct taking t = *in;
	int r;

	if (in->depth >= DEPTH_MAX)
		return 0;
	r = file_open_dir(in->dirfd, name, FILE_NO_FOLLOW, &fd, err);
	if (r == VS_ENOENT || r == VS_EVANISHED)
		return 0;
	if (r < 0)
		return r;
	t.dirfd = fd;
	t.depth++;
	t.path = path;
	return file_list(fd, take_entry, &t, err);
}

static int take_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct taking *t = ctx;
	struct file_info info;
	uint64_t h = t->path;
	int r;

	(void)type;
	r = file_stat_at(t->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r == VS_ENOENT || r == VS_EVANISHED)
		return 0;
	if (r < 0)
		return r;
	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	h = mix(mix(h, (uint64_t)info.type), info.inode);
	t->print->entries++;
	t->print->newest_ns = VS_MAX(t->print->newest_ns, info.changed_ns);
	if (info.type == FILE_DIRECTORY && strcmp(name, ".quarantine") != 0) {
		r = take_directory(t, name, h, err);
		if (r < 0)
			return r;
	}
	h = mix(mix(mix(mix(h, info.size), (uint64_t)info.modified_ns), (uint64_t)info.changed_ns),
		info.mode);
	t->print->a += h;
	t->print->b += mix(h, UINT64_C(0x632be59bd9b4e019));
	return 0;
}

int tree_print_take(int dirfd, struct tree_print *out, struct vs_err *err)
{
	struct taking t = { .print = out, .dirfd = dirfd, .path = UINT64_C(0xcbf29ce484222325) };

	*out = (struct tree_print){ 0 };
	return file_list(dirfd, take_entry, &t, err);
}

static bool print_eq(const struct tree_print *x, const struct tree_print *y)
{
	return x->a == y->a && x->b == y->b && x->entries == y->entries;
}

/* ---- one scan ---- */

void monitor_target_fini(struct monitor_target *t)
{
	verify_report_fini(&t->report);
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
	r = file_open_dir(AT_FDCWD, t->state, FILE_FOLLOW, &t->state_dirfd, err);
	if (r == VS_ENOENT && err->sysno != ENOTDIR) {
		r = file_mkdir_at(AT_FDCWD, t->state, 0700, err);
		if (r == 0)
			r = file_open_dir(AT_FDCWD, t->state, FILE_FOLLOW, &t->state_dirfd, err);
	}
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
	for (unsigned try = 1;; try++) {
		struct verify_report report = { 0 };
		struct tree_print before, after;
		int64_t start = clock_now_ns(app->clock);
		bool is_still;
		int r;

		r = tree_print_take(store->dirfd, &before, err);
		if (r == 0)
			r = verify_store(&report, store, &req, &none, err);
		if (r == 0)
			r = tree_print_take(store->dirfd, &after, err);
		if (r < 0) {
			verify_report_fini(&report);
			return r;
		}
		is_still = print_eq(&before, &after);
		if (!is_still && report.summary.errors > 0 && try < TRIES) {
			verify_report_fini(&report);
			nanosleep(&pause, NULL);
			continue;
		}
		verify_report_fini(&t->report);
		t->report = report;
		t->has_report = true;
		t->print = before;
		t->has_print = is_still && before.newest_ns + CALM_NS < start;
		t->reused = 0;
		return 0;
	}
}

static int look(struct monitor_target *t, const struct monitor_scan *scan, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = NULL;
	struct tree_print now;
	int r;

	r = store_open(&store, t->path, 0, err);
	if (r == 0 && store->dirfd < 0)
		r = vs_fail(err, VS_ENOTSUP, "%s: an export is no store that changes", t->path);
	if (r < 0)
		return r;
	if (t->has_print && t->reused + 1 < scan->full_every) {
		r = tree_print_take(store->dirfd, &now, err);
		if (r < 0)
			return r;
		if (print_eq(&now, &t->print)) {
			t->reused++;
			return 0;
		}
	}
	return read_store(t, store, scan->app, err);
}

static int count_quarantine(void *ctx, const struct audit_entry *e, struct vs_err *err)
{
	struct monitor_target *t = ctx;

	(void)err;
	t->quarantined += strcmp(e->phase, "finished") == 0;
	t->quarantine_failed += strcmp(e->phase, "failed") == 0;
	return 0;
}

/* What else the metrics tell; none of it is a reason for a scan to fail. */
static void look_at_state(struct monitor_target *t, struct app *app)
{
	struct audit_query query = { .action = "quarantine" };
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	const struct snap_manifest *m;
	struct vs_err err = { 0 };

	if (snap_list_load(&list, t->state_dirfd, &err) < 0)
		app_note(app, "%s: %s", t->path, err.text);
	t->snapshots = list.count;
	m = snap_list_newest_good(&list);
	t->newest_good_ns = m ? m->time_ns : 0;
	m = snap_list_drilled(&list, true);
	t->drilled_ns = m ? m->drill.time_ns : 0;
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
