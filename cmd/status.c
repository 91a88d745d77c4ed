/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl status`: how a store stands, from the records alone: the last scan of the monitor, the
 * manifests, the audit log. No document is read, so it answers at once whatever the store's size.
 */

#include "audit-log.h"
#include "operate.h"
#include "shown.h"

#include "guard/guard.h"
#include "store/store.h"

#define OPERATIONS_SHOWN 5
#define SNAPSHOT_OLD_NS ((int64_t)48 * 3600 * 1000000000)
#define DISK_WARNING 90.0
#define DISK_ERROR 98.0

struct status_opts {
	const char *state;
};

static const struct opt options[] = {
	OPERATE_STATE(struct status_opts),
	OPT_END,
};

/* All that the records say. */
struct standing {
	struct app *app;
	struct audit_scene scene;
	const char *kind;
	struct snap_list snapshots;
	const struct snap_manifest *newest, *newest_good, *drilled, *last_drill;
	struct monitor_record record;
	struct vs_err record_fault; /* of monitor.json */
	int64_t now_ns;
	uint64_t free_bytes;
	double disk_percent; /* negative: not known */
	/* What was last known of the contents, from scan or snapshot. */
	const char *source; /* "scan", "snapshot"; NULL */
	const char *verdict;
	int64_t verdict_ns;
	uint64_t bytes, documents, collections;
	/* Why the standing is no better; texts are ours. */
	const char *reasons[8];
	size_t reason_count;
	bool is_error;
};

static void standing_fini(struct standing *s)
{
	audit_scene_fini(&s->scene);
	snap_list_fini(&s->snapshots);
}

static void from_scan(struct standing *s)
{
	const struct monitor_record *rec = &s->record;

	s->source = "scan";
	s->verdict = verdict_name((enum verdict)rec->verdict);
	s->verdict_ns = rec->time_ns;
	s->bytes = rec->bytes;
	s->documents = rec->documents;
	s->collections = rec->collections;
}

static void from_snapshot(struct standing *s, const struct snap_manifest *m)
{
	s->source = "snapshot";
	s->verdict = m->health.verdict;
	s->verdict_ns = m->time_ns;
	s->bytes = m->bytes;
	s->documents = m->documents;
	s->collections = m->collection_count;
}

static int gather_state(struct standing *s, struct vs_err *err)
{
	int r;

	if (s->scene.state_dirfd < 0)
		return 0;
	r = snap_list_load(&s->snapshots, s->scene.state_dirfd, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->snapshots.count; i++) {
		if (s->snapshots.entries[i].m)
			s->newest = s->snapshots.entries[i].m;
	}
	s->newest_good = snap_list_newest_good(&s->snapshots);
	s->drilled = snap_list_drilled(&s->snapshots, true);
	s->last_drill = snap_list_drilled(&s->snapshots, false);
	(void)!monitor_record_load(s->scene.state_dirfd, &s->record, &s->record_fault);
	if (s->record.is_there)
		from_scan(s);
	if (s->newest && (!s->source || s->newest->time_ns > s->verdict_ns))
		from_snapshot(s, s->newest);
	return 0;
}

static void add_reason(struct standing *s, bool is_error, const char *text)
{
	assert(s->reason_count < VS_COUNT(s->reasons));
	s->reasons[s->reason_count++] = text;
	s->is_error = s->is_error || is_error;
}

static void judge(struct standing *s)
{
	bool is_corrupt = s->verdict && strcmp(s->verdict, "corrupt") == 0;

	if (!s->kind)
		add_reason(s, true, "the store cannot be opened");
	if (is_corrupt)
		add_reason(s, true, "the store was corrupt when it was last looked at");
	else if (!s->verdict)
		add_reason(s, false, "no record says whether the store is sound");
	if (s->record_fault.status < 0)
		add_reason(s, false, "the record of the monitor cannot be read");
	if (s->record.is_failed)
		add_reason(s, false, "the last scan of the monitor failed");
	if (s->disk_percent >= DISK_ERROR)
		add_reason(s, true, "the disk is full");
	else if (s->disk_percent >= DISK_WARNING)
		add_reason(s, false, "the disk is nearly full");
	if (!s->newest_good)
		add_reason(s, false, "there is no good snapshot");
	else if (s->now_ns - s->newest_good->time_ns > SNAPSHOT_OLD_NS)
		add_reason(s, false, "the newest good snapshot is older than two days");
	if (s->last_drill && !s->last_drill->drill.is_good)
		add_reason(s, false, "the last drill failed");
}

static const char *word(const struct standing *s)
{
	return s->is_error ? "ERROR" : s->reason_count > 0 ? "WARNING" : "GOOD";
}

/* ---- told ---- */

static void json_time(struct emit *e, const char *key, int64_t ns)
{
	char when[32];

	if (ns == 0) {
		emit_json_null(e, key);
		return;
	}
	time_format(ns, false, when);
	emit_json_str(e, key, when);
}

static void json_percent(struct emit *e, const char *key, double percent)
{
	if (percent < 0)
		emit_json_null(e, key);
	else
		emit_json_double(e, key, percent, 1);
}

static double hours_since(const struct standing *s, int64_t ns)
{
	return (double)VS_MAX(s->now_ns - ns, (int64_t)0) / 3600e9;
}

/* The keys that dashboards of older tools read. */
static void json_system(struct standing *s)
{
	struct emit *e = &s->app->emit;

	if (s->source) {
		emit_json_double(e, "database_size_mb", (double)s->bytes / (1024 * 1024), 2);
		emit_json_uint(e, "collections_count", s->collections);
	} else {
		emit_json_null(e, "database_size_mb");
		emit_json_null(e, "collections_count");
	}
	json_percent(e, "memory_usage_percent", guard_memory_used());
	json_percent(e, "disk_usage_percent", s->disk_percent);
	emit_json_uint(e, "backups_count", s->snapshots.count);
	if (s->newest)
		emit_json_double(e, "latest_backup_age_hours", hours_since(s, s->newest->time_ns),
				 2);
	else
		emit_json_null(e, "latest_backup_age_hours");
	if (s->verdict)
		emit_json_bool(e, "corruption_free", strcmp(s->verdict, "corrupt") != 0);
	else
		emit_json_null(e, "corruption_free");
	emit_json_str(e, "health_status", word(s));
}

static void json_records(struct standing *s)
{
	struct emit *e = &s->app->emit;

	emit_array(e, "reasons");
	for (size_t i = 0; e->is_json && i < s->reason_count; i++) {
		emit_object(e, NULL);
		emit_json_str(e, "text", s->reasons[i]);
		emit_object_end(e);
	}
	emit_array_end(e);
	emit_object(e, "last_verify");
	emit_json_str(e, "source", s->source);
	emit_json_str(e, "verdict", s->verdict);
	json_time(e, "time", s->verdict ? s->verdict_ns : 0);
	if (s->source)
		emit_json_uint(e, "documents", s->documents);
	else
		emit_json_null(e, "documents");
	emit_object_end(e);
	emit_json_str(e, "newest_snapshot", s->newest ? s->newest->id : NULL);
	emit_json_str(e, "newest_good_snapshot", s->newest_good ? s->newest_good->id : NULL);
	json_time(e, "last_good_drill", s->drilled ? s->drilled->drill.time_ns : 0);
	json_time(e, "last_scan", s->record.tried_ns);
}

static void form_row(struct emit *e, const char *heading, const char *fmt, ...) printf_(3, 4);
static void form_row(struct emit *e, const char *heading, const char *fmt, ...)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	char text[512];
	va_list ap;

	if (e->is_json)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_escape(&shown, slice_str(text));
	emit_line(e, "%-10s  %s", heading, buf_cstr(&shown));
}

static void text_drill(struct standing *s)
{
	struct emit *e = &s->app->emit;
	char age[32] = "";

	if (!s->last_drill) {
		form_row(e, "drill", "never");
		return;
	}
	age_format(s->now_ns - s->last_drill->drill.time_ns, age);
	form_row(e, "drill", "%s, %s ago, of %s", s->last_drill->drill.is_good ? "good" : "failed",
		 age, s->last_drill->id);
}

static void text_records(struct standing *s)
{
	struct emit *e = &s->app->emit;
	char size[16], age[32];

	size_format(s->bytes, size);
	age_format(s->now_ns - s->verdict_ns, age);
	if (s->source)
		form_row(e, "contents",
			 "%" PRIu64 " collections, %" PRIu64
			 " documents, %s; %s by the %s of %s ago",
			 s->collections, s->documents, size,
			 s->verdict ? s->verdict : "not verified", s->source, age);
	else
		form_row(e, "contents", "no record");
	if (s->newest) {
		age_format(s->now_ns - s->newest->time_ns, age);
		form_row(e, "snapshots", "%zu, the newest %s ago (%s)", s->snapshots.count, age,
			 s->newest->id);
	} else {
		form_row(e, "snapshots", "none");
	}
	text_drill(s);
	if (s->record.tried_ns != 0) {
		age_format(s->now_ns - s->record.tried_ns, age);
		form_row(e, "monitor", "last scan %s ago%s%s", age,
			 s->record.is_failed ? ", which failed: " : "", s->record.failure);
	} else {
		form_row(e, "monitor", "%s",
			 s->record_fault.status < 0 ? s->record_fault.text : "no scan");
	}
	size_format(s->free_bytes, size);
	if (s->disk_percent >= 0)
		form_row(e, "disk", "%.1f %% in use, %s free", s->disk_percent, size);
}

/* What `snapshot cleanup` keeps when it is not told otherwise. */
static void tell_retention(struct standing *s)
{
	static const char *const rules[] = { "days",       "keep-last",   "keep-hourly",
					     "keep-daily", "keep-weekly", "keep-monthly" };
	cleanup_(buf_fini) struct buf text = { 0 };
	struct emit *e = &s->app->emit;

	emit_array(e, "retention");
	for (size_t i = 0; i < VS_COUNT(rules); i++) {
		const struct setting *one =
			settings_find(&s->app->settings, "snapshot cleanup", rules[i]);

		if (!one)
			continue;
		emit_object(e, NULL);
		emit_json_str(e, "rule", rules[i]);
		emit_json_str(e, "value", one->value);
		emit_object_end(e);
		buf_printf(&text, "%s%s %s", text.len > 0 ? ", " : "", rules[i], one->value);
	}
	emit_array_end(e);
	form_row(e, "retention", "%s", text.len > 0 ? buf_cstr(&text) : "not configured");
}

static const struct emit_field operation_fields[] = {
	{ "time", "time", false },
	{ "action", "last operations", false },
	{ "phase", "phase", false },
	{ "exit_status", "status", true },
	{ "user", "user", false },
	{ "message", NULL, false },
	{ 0 },
};

static int show_operation(void *ctx, const struct audit_entry *entry, struct vs_err *err)
{
	struct emit *e = ctx;

	(void)err;
	emit_text(e, entry->time);
	emit_text(e, entry->action);
	emit_text(e, entry->phase);
	if (entry->exit_status >= 0)
		emit_uint(e, (uint64_t)entry->exit_status);
	else
		emit_null(e);
	emit_text(e, entry->user);
	emit_text(e, entry->message);
	return 0;
}

/* A log that cannot be read makes a short table; what is wrong with it is for audit-log verify. */
static void tell_operations(struct standing *s)
{
	struct audit_query query = { .limit = OPERATIONS_SHOWN };
	struct emit *e = &s->app->emit;
	struct vs_err err = { 0 };
	int r = 0;

	if (!e->is_json && s->scene.state_dirfd < 0)
		return;
	emit_table(e, "operations", operation_fields);
	if (s->scene.state_dirfd >= 0)
		r = audit_list(s->scene.state_dirfd, &query, show_operation, e, &err);
	emit_table_end(e);
	if (r < 0 && r != VS_ENOENT)
		app_note(s->app, "%s", err.text);
}

static const char *next_command(const struct standing *s)
{
	if (s->is_error || !s->verdict)
		return "vsctl verify STORE";
	if (!s->newest_good || s->now_ns - s->newest_good->time_ns > SNAPSHOT_OLD_NS)
		return "vsctl snapshot create STORE";
	return s->reason_count > 0 ? "vsctl health STORE" : "vsctl snapshot list STORE";
}

static void tell(struct standing *s)
{
	cleanup_(buf_fini) struct buf next = { 0 };
	cleanup_(buf_fini) struct buf reasons = { 0 };
	struct emit *e = &s->app->emit;

	for (size_t i = 0; i < s->reason_count; i++)
		buf_printf(&reasons, "%s%s", i > 0 ? "; " : ": ", s->reasons[i]);
	text_command(&next, next_command(s), s->scene.operand,
		     s->scene.has_state_option ? s->scene.state : NULL);
	emit_document(e, s->app->command_words);
	emit_store_begin(e, s->scene.operand, s->kind);
	emit_object_end(e);
	emit_json_bytes(e, "state", slice_str(s->scene.state));
	emit_line(e, "%s%s", word(s), buf_cstr(&reasons));
	form_row(e, "store", "%s (%s)", s->scene.operand, s->kind ? s->kind : "not there");
	json_system(s);
	json_records(s);
	text_records(s);
	tell_retention(s);
	tell_operations(s);
	emit_json_str(e, "next", buf_cstr(&next));
	emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct status_opts *opts = opts_;
	cleanup_(standing_fini) struct standing s = { .app = app,
						      .scene = { .state_dirfd = -1 },
						      .disk_percent = -1,
						      .now_ns = clock_now_ns(app->clock) };
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };
	int status;

	status = audit_scene_open(&s.scene, app, operands[0], opts->state);
	if (status >= 0)
		return status;
	if (store_open(&store, operands[0], 0, &err) == 0)
		s.kind = store_kind_name(store->kind);
	if (machine_disk(s.kind ? operands[0] : s.scene.state, &s.free_bytes, &s.disk_percent,
			 &err) < 0)
		s.disk_percent = -1;
	if (gather_state(&s, &err) < 0)
		return app_error(app, &err);
	judge(&s);
	tell(&s);
	return EXIT_CLEAN;
}

static const struct example status_examples[] = {
	{ "vsctl status /var/lib/app/store", "how it stands, at once" },
	{ "vsctl status --json /var/lib/app/store", "for a dashboard" },
	{ NULL, NULL },
};

const struct command cmd_status = {
	.name = "status",
	.operands = "STORE",
	.summary = "tell how a store stands, from the records",
	.details =
		"Reads the last scan of vsctl monitor, the manifests of the snapshots and the audit log, and no document, "
		"so it answers at once. GOOD, WARNING or ERROR with the reasons comes first. To look at the store "
		"itself use vsctl verify, to be told by an exit status vsctl health.",
	.examples = status_examples,
	.options = options,
	.opts_size = sizeof(struct status_opts),
	.run = run,
};
