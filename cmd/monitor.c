/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl monitor`: the rounds, and what is done between them. */

#include "monitor.h"
#include "log.h"

#include "file/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#define FULL_EVERY 12
#define SCAN_NICE 10
#define SCAN_MAX_NS (INT64_C(3600) * 1000000000)

struct monitor_opts {
	const char *interval;
	const char *listen;
	bool listen_any;
	const char *textfile;
	const char *on_degraded;
	const char *on_recovered;
	const char *on_error;
	uint64_t hook_limit_s;
	uint64_t full_every;
	bool once;
	const char *state;
};

static const struct opt options[] = {
	OPT_TEXT("interval", 0, struct monitor_opts, interval, "TIME",
		 "from one scan to the next; default: 5m"),
	OPT_TEXT("listen", 0, struct monitor_opts, listen, "ADDRESS",
		 "answer HTTP here, such as 127.0.0.1:9090; default: nowhere"),
	OPT_FLAG("listen-any", 0, struct monitor_opts, listen_any,
		 "let --listen take an address that other machines reach"),
	OPT_FILE("textfile", 0, struct monitor_opts, textfile, "FILE",
		 "write the metrics to this file after each round"),
	OPT_TEXT("on-degraded", 0, struct monitor_opts, on_degraded, "CMD",
		 "run when a sound store has errors, once"),
	OPT_TEXT("on-recovered", 0, struct monitor_opts, on_recovered, "CMD",
		 "run when they are gone, once"),
	OPT_TEXT("on-error", 0, struct monitor_opts, on_error, "CMD",
		 "run when a store cannot be looked at any more, once"),
	OPT_NUMBER("hook-limit", 0, struct monitor_opts, hook_limit_s, 3600, "SEC",
		   "end such a command after SEC seconds; default: 30"),
	OPT_NUMBER("full-every", 0, struct monitor_opts, full_every, 1000000, "N",
		   "read an unchanged store every N scans all the same; default: 12"),
	OPT_FLAG("once", 0, struct monitor_opts, once, "one scan of each store, and stop"),
	OPERATE_STATE(struct monitor_opts),
	OPT_END,
};

struct monitor {
	struct app *app;
	const struct monitor_opts *opts;
	struct monitor_target *targets;
	size_t count;
	struct monitor_scan scan;
	uint64_t interval_s, hook_limit_s;
	struct monitor_http *http;
	/* The watchdog hears of us until then; a scan that hangs is meant to be noticed. */
	_Atomic int64_t alive_until_ns;
	_Atomic bool is_stopping;
	pthread_t heart;
	bool has_heart;
	bool could_not_write; /* the textfile or a record, in the last round */
};

/* ---- the service manager ---- */

static void alive_for(struct monitor *m, int64_t ns)
{
	atomic_store(&m->alive_until_ns, clock_elapsed_ns() + ns);
}

static void *heartbeat(void *ctx)
{
	struct monitor *m = ctx;
	int64_t every_ns = sd_watchdog_ns() / 3;
	struct timespec step = { .tv_nsec = 50000000L };
	int64_t last_ns = 0;

	while (!atomic_load(&m->is_stopping)) {
		int64_t now = clock_elapsed_ns();

		if (now - last_ns >= every_ns && now < atomic_load(&m->alive_until_ns)) {
			sd_notify_send("WATCHDOG=1");
			last_ns = now;
		}
		nanosleep(&step, NULL);
	}
	return NULL;
}

static void heart_start(struct monitor *m)
{
	alive_for(m, SCAN_MAX_NS);
	if (sd_watchdog_ns() > 0)
		m->has_heart = pthread_create(&m->heart, NULL, heartbeat, m) == 0;
}

static void monitor_fini(struct monitor *m)
{
	atomic_store(&m->is_stopping, true);
	if (m->has_heart)
		pthread_join(m->heart, NULL);
	monitor_http_stopp(&m->http);
	for (size_t i = 0; i < m->count; i++)
		monitor_target_fini(&m->targets[i]);
	free(m->targets);
}

/* ---- transitions ---- */

static void run_hook(struct monitor *m, const struct monitor_target *t, const char *name,
		     const char *command)
{
	const struct monitor_record *rec = &t->record;
	struct monitor_event event = {
		.name = name,
		.store = t->path,
		.verdict = rec->is_there ? verdict_name((enum verdict)rec->verdict) : "unknown",
		.message = rec->failure,
	};
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };

	if (!rec->is_failed) {
		text_count(&text, rec->errors, "error");
		buf_append_str(&text, " in ");
		text_count(&text, rec->collections, "collection");
		event.message = buf_cstr(&text);
	}
	app_note(m->app, "%s: %s: %s", t->path, name, event.message);
	log_event(m->app, strcmp(name, "recovered") == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
		  "%s: %s: %s", t->path, name, event.message);
	if (!command)
		return;
	alive_for(m, (int64_t)(m->hook_limit_s + 10) * 1000000000);
	if (monitor_hook_run(command, &event, m->hook_limit_s, &err) < 0)
		app_note(m->app, "%s", err.text);
}

/* A scan that failed says nothing about the store, so that what was told of it stays. */
static void tell_transitions(struct monitor *m, struct monitor_target *t)
{
	struct monitor_record *rec = &t->record;
	bool is_degraded = rec->is_there && !monitor_record_is_sound(rec);

	if (rec->is_failed) {
		if (!rec->is_told_failed)
			run_hook(m, t, "error", m->opts->on_error);
		rec->is_told_failed = true;
		return;
	}
	rec->is_told_failed = false;
	if (is_degraded == rec->is_told_degraded)
		return;
	if (is_degraded)
		run_hook(m, t, "degraded", m->opts->on_degraded);
	else
		run_hook(m, t, "recovered", m->opts->on_recovered);
	rec->is_told_degraded = is_degraded;
}

/* ---- a round ---- */

static int write_textfile(const char *path, struct slice text, struct vs_err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_(vs_freep) char *dir =
		slash ? vs_strndup(slice_of(path, (size_t)(slash - path) + 1)) : vs_strdup(".");
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_open_dir(AT_FDCWD, dir, FILE_FOLLOW, &fd, err);
	if (r < 0)
		return r;
	return file_replace_at(fd, slash ? slash + 1 : path, 0644, text, err);
}

static void publish(struct monitor *m)
{
	cleanup_(buf_fini) struct buf health = { 0 };
	cleanup_(buf_fini) struct buf details = { 0 };
	cleanup_(buf_fini) struct buf metrics = { 0 };
	struct vs_err err = { 0 };

	monitor_render_health(m->targets, m->count, &health);
	monitor_render_details(m->targets, m->count, &details);
	monitor_render_metrics(m->targets, m->count, &metrics);
	if (m->http)
		monitor_http_publish(m->http, monitor_is_well(m->targets, m->count),
				     buf_slice(&health), buf_slice(&details), buf_slice(&metrics));
	if (m->opts->textfile && write_textfile(m->opts->textfile, buf_slice(&metrics), &err) < 0) {
		app_note(m->app, "%s: %s", m->opts->textfile, err.text);
		m->could_not_write = true;
	}
}

static void *scan_all(void *ctx)
{
	struct monitor *m = ctx;

	for (size_t i = 0; i < m->count; i++) {
		alive_for(m, SCAN_MAX_NS);
		monitor_target_scan(&m->targets[i], &m->scan);
	}
	return NULL;
}

static void *scan_all_nicely(void *ctx)
{
	/* Linux has it for each thread, and those that this one starts get it, too. */
	(void)!setpriority(PRIO_PROCESS, (id_t)gettid(), SCAN_NICE);
	return scan_all(ctx);
}

/*
 * Clients and the application come first. In a thread of its own, because being nice cannot be
 * taken back, and the commands of the operator are not meant to be.
 */
static void scan_in_background(struct monitor *m)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, scan_all_nicely, m) != 0)
		scan_all(m);
	else
		pthread_join(thread, NULL);
}

static void round_of_scans(struct monitor *m)
{
	m->could_not_write = false;
	if (m->opts->once)
		scan_all(m);
	else
		scan_in_background(m);
	/* Clients see it before anybody is called, who may look at once. */
	publish(m);
	for (size_t i = 0; i < m->count; i++) {
		struct monitor_target *t = &m->targets[i];
		struct vs_err err = { 0 };

		tell_transitions(m, t);
		if (monitor_record_save(t->state_dirfd, &t->record, &err) < 0) {
			app_note(m->app, "%s: %s", t->state, err.text);
			m->could_not_write = true;
		}
	}
}

/* ---- --once ---- */

static const struct emit_field fields[] = {
	{ "store", "store", false },
	{ "verdict", "verdict", false },
	{ "collections", "collections", true },
	{ "corrupt", "corrupt", true },
	{ "documents", "documents", true },
	{ "errors", "errors", true },
	{ "failure", NULL, false },
	{ 0 },
};

static void show_target(struct emit *e, const struct monitor_target *t)
{
	const struct monitor_record *rec = &t->record;

	emit_text(e, t->path);
	if (rec->is_failed || !rec->is_there) {
		emit_styled(e, EMIT_BAD, "failed");
		for (size_t i = 0; i < 4; i++)
			emit_null(e);
		emit_text(e, rec->failure);
		return;
	}
	emit_str(e, verdict_name((enum verdict)rec->verdict));
	emit_uint(e, rec->collections);
	emit_uint(e, rec->corrupt);
	emit_uint(e, rec->documents);
	emit_uint(e, rec->errors);
	emit_null(e);
}

static int end_once(struct monitor *m)
{
	struct emit *e = &m->app->emit;
	cleanup_(buf_fini) struct buf next = { 0 };
	const struct monitor_target *bad = NULL;
	size_t corrupt = 0, failed = 0;

	for (size_t i = 0; i < m->count; i++) {
		const struct monitor_record *rec = &m->targets[i].record;

		failed += rec->is_failed;
		corrupt += !rec->is_failed && !monitor_record_is_sound(rec);
		if (!bad && !monitor_is_well(&m->targets[i], 1))
			bad = &m->targets[i];
	}
	buf_append_str(&next, bad ? "vsctl verify " : "vsctl status ");
	text_shell_word(&next, bad ? bad->path : m->targets[0].path);
	emit_document(e, m->app->command_words);
	emit_json_null(e, "store");
	emit_json_bool(e, "well", !bad);
	if (bad || !m->app->common.quiet || e->is_json) {
		emit_line(e, "%s: %zu of %zu stores corrupt, %zu could not be looked at",
			  bad ? "degraded" : "ok", corrupt, m->count, failed);
		emit_table(e, "stores", fields);
		for (size_t i = 0; i < m->count; i++)
			show_target(e, &m->targets[i]);
		emit_table_end(e);
		emit_line(e, "next: %s", buf_cstr(&next));
	}
	emit_json_str(e, "next", buf_cstr(&next));
	emit_document_end(e);
	if (failed > 0 || m->could_not_write)
		return (corrupt > 0 ? EXIT_PROBLEMS : 0) | EXIT_OPERATIONAL;
	return corrupt > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

/* ---- the loop ---- */

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* False when it is time to stop. SIGHUP: look now. */
static bool wait_for_next(struct monitor *m, const sigset_t *set)
{
	int64_t until = clock_elapsed_ns() + (int64_t)m->interval_s * 1000000000;

	alive_for(m, (int64_t)(m->interval_s + 60) * 1000000000);
	for (;;) {
		int64_t left = VS_MAX(until - clock_elapsed_ns(), (int64_t)0);
		struct timespec time = { left / 1000000000, left % 1000000000 };
		int sig = sigtimedwait(set, NULL, &time);

		if (sig == SIGHUP)
			return true;
		if (sig > 0)
			return false;
		if (errno == EAGAIN)
			return true;
	}
}

static int loop(struct monitor *m, const sigset_t *set)
{
	bool is_first = true;

	do {
		cleanup_(buf_fini) struct buf status = { 0 };

		round_of_scans(m);
		buf_printf(&status, "%sSTATUS=%s", is_first ? "READY=1\n" : "",
			   monitor_is_well(m->targets, m->count) ? "all is well"
								 : "a store is degraded");
		sd_notify_send(buf_cstr(&status));
		is_first = false;
	} while (wait_for_next(m, set));
	sd_notify_send("STOPPING=1");
	return EXIT_CLEAN;
}

static int open_targets(struct monitor *m, char *const *operands)
{
	struct vs_err err = { 0 };

	while (operands[m->count])
		m->count++;
	if (m->opts->state && m->count > 1) {
		m->count = 0;
		return app_usage(m->app, "--state is for one store; each has its own otherwise");
	}
	m->targets = vs_alloc_array(m->count, sizeof(*m->targets));
	for (size_t i = 0; i < m->count; i++)
		m->targets[i] = (struct monitor_target){ .path = operands[i], .state_dirfd = -1 };
	for (size_t i = 0; i < m->count; i++) {
		m->app->path = operands[i];
		if (monitor_target_open(&m->targets[i], m->app, m->opts->state, &err) < 0)
			return app_error(m->app, &err);
	}
	return 0;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct monitor_opts *opts = opts_;
	cleanup_(monitor_fini) struct monitor m = { .app = app, .opts = opts };
	struct vs_err err = { 0 };
	unsigned port = 0;
	sigset_t set;
	int r;

	m.scan = (struct monitor_scan){ app, opts->full_every > 0 ? (unsigned)opts->full_every
								  : FULL_EVERY };
	m.hook_limit_s = opts->hook_limit_s > 0 ? opts->hook_limit_s : 30;
	if (!parse_duration(opts->interval ? opts->interval : "5m", &m.interval_s) ||
	    m.interval_s == 0 || m.interval_s > INT32_MAX)
		return app_usage(app, "--interval takes a time such as 5m");
	r = open_targets(&m, operands);
	if (r != 0)
		return r;
	if (opts->once) {
		round_of_scans(&m);
		return end_once(&m);
	}
	block_signals(&set);
	if (opts->listen) {
		if (monitor_http_start(&m.http, opts->listen, opts->listen_any, &port, &err) < 0)
			return app_error(app, &err);
		app_note(app, "port %u: /health, /api/v1/health/metadata, /metrics", port);
	}
	heart_start(&m);
	return loop(&m, &set);
}

static const struct example monitor_examples[] = {
	{ "vsctl monitor --listen 127.0.0.1:9090 /var/lib/app/store",
	  "scan every five minutes and answer HTTP" },
	{ "vsctl monitor --on-degraded '/usr/local/bin/page-me' /var/lib/app/store",
	  "be told when it breaks, once" },
	{ "vsctl monitor --once --textfile /var/lib/node_exporter/vsctl.prom /var/lib/app/store",
	  "one scan, for cron" },
	{ NULL, NULL },
};

const struct command cmd_monitor = {
	.name = "monitor",
	.operands = "STORE...",
	.summary = "scan stores again and again, and tell what changes",
	.details =
		"Each store is scanned at once and then every --interval; SIGHUP asks for a scan now, SIGTERM ends it. A store "
		"in which nothing has changed since all of it was read is not read again, save every --full-every scans. "
		"What was found, the counters and what was told already survive a restart, in monitor.json of the state "
		"directory.\n\nOver HTTP: /health and /api/v1/health/metadata (200, or 503 when a store has errors or cannot be "
		"looked at), and /metrics for Prometheus.\n\nCommands get MONITOR_EVENT, MONITOR_STORE, MONITOR_VERDICT and "
		"MONITOR_MESSAGE in their environment.",
	.examples = monitor_examples,
	.options = options,
	.opts_size = sizeof(struct monitor_opts),
	.run = run,
};
