/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl health`: could this store be saved if something happened now? Each check is one row with a
 * result of its own; none of them writes, and none keeps another from being made.
 */

#include "operate.h"
#include "shown.h"

#include "repair/repair.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

enum result {
	RESULT_OK,
	RESULT_WARNING,
	RESULT_FAILED,
};

struct health_opts {
	const char *state;
	const char *min_free;
	const char *max_age;
	const char *max_drill_age;
	bool idle;
};

static const struct opt options[] = {
	OPT_TEXT("min-free", 0, struct health_opts, min_free, "SIZE",
		 "bytes that must be free for store and state directory; default: 100M"),
	OPT_TEXT("max-age", 0, struct health_opts, max_age, "TIME",
		 "how old the newest good snapshot may be; default: 48h"),
	OPT_TEXT("max-drill-age", 0, struct health_opts, max_drill_age, "TIME",
		 "how long ago the last good drill may be; default: 8d"),
	OPT_FLAG("idle", 0, struct health_opts, idle, "fail when something uses the store"),
	OPERATE_STATE(struct health_opts),
	OPT_END,
};

struct health {
	struct app *app;
	const char *path;
	const struct health_opts *opts;
	struct store *store; /* NULL: cannot be opened */
	char *state;
	int state_dirfd; /* -1: not there, or not to be opened */
	struct snap_list snapshots;
	uint64_t min_free, max_age_s, max_drill_age_s;
	int64_t now_ns;
	const char *next; /* of the first check that is not good; NULL */
	unsigned failed, warned;
};

static void health_fini(struct health *h)
{
	store_closep(&h->store);
	file_closep(&h->state_dirfd);
	snap_list_fini(&h->snapshots);
	free(h->state);
}

/* What a check says; @text is escaped when it is shown. */
struct outcome {
	enum result result;
	struct buf text;
	const char *next; /* with STORE in it */
};

static void say(struct outcome *o, enum result result, const char *next, const char *fmt, ...)
	printf_(4, 5);
static void say(struct outcome *o, enum result result, const char *next, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->result = result;
	o->next = result == RESULT_OK ? NULL : next;
	buf_clear(&o->text);
	buf_append_str(&o->text, text);
}

/* ---- the checks ---- */

struct unreadable {
	uint64_t count;
	char first[300];
};

static void note_gap(void *ctx, const struct check_gap *gap)
{
	struct unreadable *u = ctx;

	if (gap->is_limit)
		return;
	if (u->count++ == 0)
		snprintf(u->first, sizeof(u->first), "%s: %s", gap->path ? gap->path : ".",
			 gap->why);
}

static void check_readable(struct health *h, struct outcome *o)
{
	struct check_request req = { .level = CHECK_QUICK, .jobs = app_jobs(h->app) };
	struct unreadable gaps = { 0 };
	const struct check_sink sink = { .ctx = &gaps, .gap = note_gap };
	struct check_summary sum = { 0 };
	struct vs_err err = { 0 };

	if (store_open(&h->store, h->path, 0, &err) < 0 ||
	    check_store(h->store, &req, &sink, &sum, &err) < 0) {
		say(o, RESULT_FAILED, "vsctl verify STORE", "%s", err.text);
		return;
	}
	if (gaps.count > 0)
		say(o, RESULT_FAILED, "vsctl verify STORE", "cannot be read: %s", gaps.first);
	else if (sum.errors > 0)
		say(o, RESULT_FAILED, "vsctl verify STORE", "%" PRIu64 " errors at level quick",
		    sum.errors);
	if (o->result != RESULT_OK || o->text.len > 0)
		return;
	text_count(&o->text, sum.collections, "collection");
	buf_append_str(&o->text, ", ");
	text_count(&o->text, sum.documents, "document");
}

/* The nearest directory above @path that is there; returns how far above. */
static unsigned parent_of(const char *path, char out[PATH_MAX])
{
	unsigned steps = 0;
	struct stat st;

	snprintf(out, PATH_MAX, "%s", path);
	while (stat(out, &st) < 0 && strcmp(out, "/") != 0 && strcmp(out, ".") != 0) {
		char *slash = strrchr(out, '/');

		steps++;
		if (!slash)
			snprintf(out, PATH_MAX, ".");
		else
			slash[slash == out ? 1 : 0] = '\0';
	}
	return steps;
}

static void check_state(struct health *h, struct outcome *o)
{
	struct vs_err err = { 0 };
	char parent[PATH_MAX];
	int r;

	r = state_open(h->state, &h->state_dirfd, &err);
	if (r == VS_ENOENT) {
		if (parent_of(h->state, parent) > 1)
			say(o, RESULT_FAILED, "vsctl config --check",
			    "%s is not there, nor the directory it would be made in", h->state);
		else if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0)
			say(o, RESULT_FAILED, "vsctl config --check",
			    "%s is not there and cannot be made: %s: %s", h->state, parent,
			    strerror(errno));
		else
			say(o, RESULT_OK, NULL, "%s will be made by the first command that writes",
			    h->state);
		return;
	}
	if (r < 0)
		say(o, RESULT_FAILED, "vsctl config --check", "%s", err.text);
	else if (faccessat(AT_FDCWD, h->state, W_OK | X_OK, AT_EACCESS) < 0)
		say(o, RESULT_FAILED, "vsctl config --check", "%s cannot be written: %s", h->state,
		    strerror(errno));
	else
		say(o, RESULT_OK, NULL, "%s can be written", h->state);
}

static void check_disk(struct health *h, struct outcome *o)
{
	struct vs_err err = { 0 };
	char parent[PATH_MAX], left[16], wanted[16];
	uint64_t store_free = UINT64_MAX, state_free = 0;
	double percent;

	(void)parent_of(h->state, parent);
	if ((h->store && machine_disk(h->path, &store_free, &percent, &err) < 0) ||
	    machine_disk(parent, &state_free, &percent, &err) < 0) {
		say(o, RESULT_FAILED, NULL, "%s", err.text);
		return;
	}
	size_format(VS_MIN(store_free, state_free), left);
	size_format(h->min_free, wanted);
	if (VS_MIN(store_free, state_free) < h->min_free)
		say(o, RESULT_FAILED, "vsctl snapshot cleanup --dry-run STORE",
		    "%s free, less than %s", left, wanted);
	else
		say(o, RESULT_OK, NULL, "%s free", left);
}

/* What this program needs of its surroundings at run time: a right SHA-256, a shell for the
 * commands of the operator, /proc to see who uses a store. */
static void check_dependencies(struct health *h, struct outcome *o)
{
	static const char known[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest;

	(void)h;
	digest_of(slice_str("abc"), &digest);
	digest_format(&digest, hex);
	if (strcmp(hex, known) != 0)
		say(o, RESULT_FAILED, NULL, "libcrypto computes a wrong SHA-256");
	else if (access("/bin/sh", X_OK) < 0)
		say(o, RESULT_FAILED, NULL, "/bin/sh: %s; commands cannot be run", strerror(errno));
	else if (access("/proc/self/fd", R_OK) < 0)
		say(o, RESULT_FAILED, NULL,
		    "/proc is not mounted; who uses a store cannot be seen");
	else
		say(o, RESULT_OK, NULL, "libcrypto, /bin/sh and /proc are there");
}

static void check_writers(struct health *h, struct outcome *o)
{
	struct vs_err err = { 0 };
	char who[512] = "";
	unsigned unseen = 0;
	int r;

	if (!h->store) {
		say(o, RESULT_WARNING, NULL, "not looked at: the store cannot be opened");
		return;
	}
	r = inuse_find(h->path, who, sizeof(who), &unseen, &err);
	if (r < 0)
		say(o, RESULT_WARNING, NULL, "%s", err.text);
	else if (r > 0)
		say(o, h->opts->idle ? RESULT_FAILED : RESULT_OK, "vsctl health STORE", "%s", who);
	else if (unseen > 0)
		say(o, RESULT_OK, NULL, "none among the processes that may be looked at");
	else
		say(o, RESULT_OK, NULL, "none");
}

static void check_journal(struct health *h, struct outcome *o)
{
	struct journal_run_info *runs = NULL;
	const char *open_run = NULL;
	struct vs_err err = { 0 };
	size_t count = 0;

	if (h->state_dirfd >= 0 && journal_list(h->state_dirfd, &runs, &count, &err) < 0) {
		say(o, RESULT_FAILED, "vsctl undo --list STORE", "%s", err.text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (runs[i].state == RUN_PREPARED)
			open_run = runs[i].run;
	}
	if (open_run)
		say(o, RESULT_FAILED, "vsctl repair STORE",
		    "%s is not finished; the next command that writes ends it", open_run);
	else
		say(o, RESULT_OK, NULL, "no change is unfinished");
	journal_list_free(runs, count);
}

static void check_snapshot(struct health *h, struct outcome *o)
{
	const struct snap_manifest *m;
	struct vs_err err = { 0 };
	char age[32], limit[32];

	if (h->state_dirfd >= 0 && snap_list_load(&h->snapshots, h->state_dirfd, &err) < 0) {
		say(o, RESULT_FAILED, "vsctl snapshot list STORE", "%s", err.text);
		return;
	}
	m = snap_list_newest_good(&h->snapshots);
	if (!m) {
		say(o, RESULT_FAILED, "vsctl snapshot create STORE", "there is no good one");
		return;
	}
	age_format(h->now_ns - m->time_ns, age);
	age_format((int64_t)h->max_age_s * 1000000000, limit);
	if ((h->now_ns - m->time_ns) / 1000000000 > (int64_t)h->max_age_s)
		say(o, RESULT_FAILED, "vsctl snapshot create STORE",
		    "the newest good one, %s, is %s old; at most %s is wanted", m->id, age, limit);
	else
		say(o, RESULT_OK, NULL, "%s is %s old", m->id, age);
}

static void check_drill(struct health *h, struct outcome *o)
{
	const struct snap_manifest *last = snap_list_drilled(&h->snapshots, false);
	const struct snap_manifest *good = snap_list_drilled(&h->snapshots, true);
	const char *next = "vsctl snapshot drill STORE";
	char age[32], limit[32];

	if (!last) {
		say(o, RESULT_WARNING, next,
		    "no snapshot was ever restored to see whether it can be");
		return;
	}
	if (!last->drill.is_good || !good) {
		say(o, RESULT_FAILED, next, "the last one, of %s, failed: %s", last->id,
		    last->drill.message ? last->drill.message : "no reason is recorded");
		return;
	}
	age_format(h->now_ns - good->drill.time_ns, age);
	age_format((int64_t)h->max_drill_age_s * 1000000000, limit);
	if ((h->now_ns - good->drill.time_ns) / 1000000000 > (int64_t)h->max_drill_age_s)
		say(o, RESULT_FAILED, next, "the last good one is %s ago; at most %s is wanted",
		    age, limit);
	else
		say(o, RESULT_OK, NULL, "good, %s ago", age);
}

/* The order counts: the first opens the store, the second the state directory. */
static const struct check {
	const char *name;
	void (*run)(struct health *h, struct outcome *o);
} checks[] = {
	{ "store", check_readable },    { "state", check_state },
	{ "disk", check_disk },         { "dependencies", check_dependencies },
	{ "writers", check_writers },   { "journal", check_journal },
	{ "snapshot", check_snapshot }, { "drill", check_drill },
};

/* ---- told ---- */

static const struct emit_field fields[] = {
	{ "check", "check", false },
	{ "result", "result", false },
	{ "message", "what was found", false },
	{ 0 },
};

static void show(struct health *h, const struct outcome outcomes[])
{
	static const char *const words[] = { "ok", "warning", "failed" };
	static const enum emit_style styles[] = { EMIT_GOOD, EMIT_WARN, EMIT_BAD };
	struct emit *e = &h->app->emit;

	emit_table(e, "checks", fields);
	for (size_t i = 0; i < VS_COUNT(checks); i++) {
		enum result result = outcomes[i].result;

		emit_str(e, checks[i].name);
		emit_styled(e, styles[result], words[result]);
		emit_bytes(e, buf_slice(&outcomes[i].text));
	}
	emit_table_end(e);
}

static void tell(struct health *h, const struct outcome outcomes[])
{
	const char *verdict = h->failed > 0 ? "failed" : h->warned > 0 ? "warning" : "ok";
	const char *state = h->opts->state ? h->state : NULL;
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &h->app->emit;

	text_command(&next, h->next ? h->next : "vsctl status STORE", h->path, state);
	emit_document(e, h->app->command_words);
	emit_store_begin(e, h->path, h->store ? store_kind_name(h->store->kind) : NULL);
	emit_object_end(e);
	emit_json_str(e, "result", verdict);
	if (h->failed > 0 || !h->app->common.quiet || e->is_json) {
		emit_line(e, "%s: %u of %zu checks failed, %u with a warning", verdict, h->failed,
			  VS_COUNT(checks), h->warned);
		show(h, outcomes);
		emit_line(e, "next: %s", buf_cstr(&next));
	}
	emit_json_str(e, "next", buf_cstr(&next));
	emit_document_end(e);
}

static int parse_limits(struct health *h)
{
	const struct health_opts *o = h->opts;

	if (!parse_size(o->min_free ? o->min_free : "100M", &h->min_free))
		return app_usage(h->app, "--min-free takes a size such as 100M");
	if (!parse_duration(o->max_age ? o->max_age : "48h", &h->max_age_s) ||
	    h->max_age_s > INT32_MAX)
		return app_usage(h->app, "--max-age takes a duration such as 48h");
	if (!parse_duration(o->max_drill_age ? o->max_drill_age : "8d", &h->max_drill_age_s) ||
	    h->max_drill_age_s > INT32_MAX)
		return app_usage(h->app, "--max-drill-age takes a duration such as 8d");
	return 0;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct health_opts *opts = opts_;
	cleanup_(health_fini) struct health h = { .app = app,
						  .path = operands[0],
						  .opts = opts,
						  .state_dirfd = -1,
						  .now_ns = clock_now_ns(app->clock) };
	struct outcome outcomes[VS_COUNT(checks)] = { 0 };
	struct vs_err err = { 0 };
	int r;

	r = parse_limits(&h);
	if (r != 0)
		return r;
	if (state_path_for(h.path, opts->state ? opts->state : getenv("VSCTL_STATE"), &h.state,
			   &err) < 0)
		return app_error(app, &err);
	for (size_t i = 0; i < VS_COUNT(checks); i++) {
		checks[i].run(&h, &outcomes[i]);
		h.failed += outcomes[i].result == RESULT_FAILED;
		h.warned += outcomes[i].result == RESULT_WARNING;
		if (!h.next && outcomes[i].next)
			h.next = outcomes[i].next;
	}
	tell(&h, outcomes);
	for (size_t i = 0; i < VS_COUNT(checks); i++)
		buf_fini(&outcomes[i].text);
	return h.failed > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static const struct example health_examples[] = {
	{ "vsctl health /var/lib/app/store", "could it be saved if something happened now?" },
	{ "vsctl health --quiet --max-age 26h --min-free 1G /var/lib/app/store",
	  "for cron: silent while all is well" },
	{ "vsctl health --idle /var/lib/app/store",
	  "and is nothing using it, before a migration?" },
	{ NULL, NULL },
};

const struct command cmd_health = {
	.name = "health",
	.operands = "STORE",
	.summary = "check what recovery depends on: disk, state, snapshots, drills",
	.details =
		"The checks are: store (its structure can be read), state (the state directory can be written), disk, "
		"dependencies, writers (who uses the store; fails with --idle only), journal (no change is unfinished), "
		"snapshot (a good one that is not too old) and drill (one was restored to see whether it can be). "
		"Nothing is written. The exit status is 4 when any of them failed.",
	.examples = health_examples,
	.options = options,
	.opts_size = sizeof(struct health_opts),
	.run = run,
};
