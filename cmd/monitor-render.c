/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The documents of the monitor. The two in JSON have the keys of contextd's own endpoints of those
 * paths, so what reads those reads these; several stores are summed up in them. The metrics tell
 * the stores apart by a label.
 */

#include "monitor.h"

bool monitor_is_well(const struct monitor_target *targets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (targets[i].record.is_failed || !monitor_record_is_sound(&targets[i].record))
			return false;
	}
	return count > 0;
}

/* ---- JSON ---- */

/* The directories of the collections in a state; of several stores with the path before. */
static void hashes(struct jw *j, const char *key, const struct monitor_target *targets,
		   size_t count, enum collection_state state)
{
	jw_key(j, key);
	jw_array(j);
	for (size_t i = 0; i < count; i++) {
		const struct verify_report *r = &targets[i].report;

		for (size_t k = 0; k < r->collection_count; k++) {
			struct buf text = { 0 };

			if (r->collections[k].state != state)
				continue;
			if (count > 1)
				buf_printf(&text, "%s/", targets[i].path);
			buf_append_str(&text, r->collections[k].id);
			jw_text(j, buf_slice(&text));
			buf_fini(&text);
		}
	}
	jw_array_end(j);
}

static void sums(const struct monitor_target *targets, size_t count, struct monitor_record *out)
{
	*out = (struct monitor_record){ 0 };
	for (size_t i = 0; i < count; i++) {
		const struct monitor_record *rec = &targets[i].record;

		out->collections += rec->collections;
		out->healthy += rec->healthy;
		out->corrupt += rec->corrupt;
		out->empty += rec->empty;
		out->duration_ns += rec->duration_ns;
		if (rec->time_ns > out->time_ns)
			out->time_ns = rec->time_ns;
	}
}

void monitor_render_health(const struct monitor_target *targets, size_t count, struct buf *out)
{
	bool is_well = monitor_is_well(targets, count);
	struct monitor_record all;
	struct jw j;

	sums(targets, count, &all);
	jw_init(&j, out);
	jw_object(&j);
	jw_str_field(&j, "status", is_well ? "ok" : "degraded");
	jw_key(&j, "metadata");
	jw_object(&j);
	jw_str_field(&j, "status", is_well ? "healthy" : "degraded");
	jw_uint_field(&j, "healthy_count", all.healthy);
	jw_uint_field(&j, "corrupt_count", all.corrupt);
	jw_uint_field(&j, "empty_count", all.empty);
	jw_uint_field(&j, "total", all.collections);
	hashes(&j, "corrupt_hashes", targets, count, COLLECTION_CORRUPT);
	jw_object_end(&j);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

/* For each collection that has one, its first finding that is an error; and why a scan failed. */
static void details(struct jw *j, const struct monitor_target *t, bool is_one)
{
	const struct verify_report *r = &t->report;
	const char *last = NULL;

	if (t->record.is_failed)
		jw_str_field(j, t->path, t->record.failure);
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct verify_finding *f = &r->findings[i];
		cleanup_(buf_fini) struct buf key = { 0 };

		if (!f->collection || f->severity != SEV_ERROR ||
		    (last && strcmp(last, f->collection) == 0))
			continue;
		last = f->collection;
		if (!is_one)
			buf_printf(&key, "%s/", t->path);
		text_escape(&key, slice_str(f->collection));
		jw_str_field(j, buf_cstr(&key), f->message);
	}
}

void monitor_render_details(const struct monitor_target *targets, size_t count, struct buf *out)
{
	struct monitor_record all;
	char when[32];
	struct jw j;

	sums(targets, count, &all);
	time_format(all.time_ns, true, when);
	jw_init(&j, out);
	jw_object(&j);
	hashes(&j, "healthy", targets, count, COLLECTION_HEALTHY);
	hashes(&j, "corrupt", targets, count, COLLECTION_CORRUPT);
	hashes(&j, "empty", targets, count, COLLECTION_EMPTY);
	jw_uint_field(&j, "total", all.collections);
	jw_uint_field(&j, "healthy_count", all.healthy);
	jw_uint_field(&j, "corrupt_count", all.corrupt);
	jw_str_field(&j, "last_check_time", when);
	jw_uint_field(&j, "check_duration", all.duration_ns);
	jw_key(&j, "details");
	jw_object(&j);
	for (size_t i = 0; i < count; i++)
		details(&j, &targets[i], count == 1);
	jw_object_end(&j);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

/* ---- Prometheus, text format 0.0.4 ---- */

struct metrics {
	const struct monitor_target *targets;
	size_t count;
	struct buf *out;
};

static void label_value(struct buf *out, const char *text)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	text_escape(&shown, slice_str(text));
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.ptr[i] == '\\' || shown.ptr[i] == '"')
			buf_append_byte(out, '\\');
		buf_append_byte(out, shown.ptr[i]);
	}
}

static void family(struct metrics *m, const char *name, const char *type, const char *help)
{
	buf_printf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* @more: another label with its quotes, or NULL. */
static void sample(struct metrics *m, const struct monitor_target *t, const char *name,
		   const char *more, double value)
{
	buf_printf(m->out, "%s{store=\"", name);
	label_value(m->out, t->path);
	buf_printf(m->out, "\"%s%s} %.15g\n", more ? "," : "", more ? more : "", value);
}

enum metric_from {
	FROM_SOUND,
	FROM_LOADABLE,
	FROM_FAILED,
	FROM_HEALTHY,
	FROM_CORRUPT,
	FROM_DOCUMENTS,
	FROM_BYTES,
	FROM_SCAN_TIME,
	FROM_SNAPSHOTS,
	FROM_SNAPSHOT_TIME,
	FROM_DRILL_TIME,
	FROM_WATCHED,
};

static const struct metric_row {
	const char *name, *help;
	enum metric_from from;
} gauges[] = {
	{ "contextd_vectorstore_health_status", "1 when the store has no error, 0 when it has.",
	  FROM_SOUND },
	{ "vectorstore_collections_healthy", "Collections without an error.", FROM_HEALTHY },
	{ "vectorstore_collections_corrupt", "Collections with an error.", FROM_CORRUPT },
	{ "vsctl_store_loadable",
	  "1 when the application's library loads the store as it was written.", FROM_LOADABLE },
	{ "vsctl_scan_failed", "1 when the last scan could not be made.", FROM_FAILED },
	{ "vsctl_scan_timestamp_seconds", "When the last scan that could be made ended.",
	  FROM_SCAN_TIME },
	{ "vsctl_documents", "Documents in all collections.", FROM_DOCUMENTS },
	{ "vsctl_store_bytes", "Bytes in the files of the store.", FROM_BYTES },
	{ "vsctl_snapshots", "Snapshots in the state directory.", FROM_SNAPSHOTS },
	{ "vsctl_snapshot_good_timestamp_seconds",
	  "When the newest good snapshot was made; 0: there is none.", FROM_SNAPSHOT_TIME },
	{ "vsctl_drill_good_timestamp_seconds",
	  "When the last drill that was good was made; 0: there was none.", FROM_DRILL_TIME },
	{ "vsctl_store_watched",
	  "1 while the kernel tells of writes, 0 when each scan looks at the times of all files.",
	  FROM_WATCHED },
};

/* Metrics tell whole seconds. */
static double whole_seconds(int64_t ns)
{
	int64_t seconds = ns / 1000000000;

	return (double)seconds;
}

static double gauge_value(const struct monitor_target *t, enum metric_from from)
{
	const struct monitor_record *rec = &t->record;

	switch (from) {
	case FROM_SOUND:
		return monitor_record_is_sound(rec);
	case FROM_LOADABLE:
		return rec->is_there && rec->loadable == LOADABLE_YES;
	case FROM_FAILED:
		return rec->is_failed;
	case FROM_HEALTHY:
		return (double)rec->healthy;
	case FROM_CORRUPT:
		return (double)rec->corrupt;
	case FROM_DOCUMENTS:
		return (double)rec->documents;
	case FROM_BYTES:
		return (double)rec->bytes;
	case FROM_SCAN_TIME:
		return whole_seconds(rec->time_ns);
	case FROM_SNAPSHOTS:
		return (double)t->snapshots;
	case FROM_SNAPSHOT_TIME:
		return whole_seconds(t->newest_good_ns);
	case FROM_DRILL_TIME:
		return whole_seconds(t->drilled_ns);
	case FROM_WATCHED:
		return t->is_watched;
	}
	assert(false);
	return 0;
}

static void histogram(struct metrics *m)
{
	static const char name[] = "contextd_vectorstore_health_check_duration_seconds";

	family(m, name, "histogram", "How long scans took.");
	for (size_t i = 0; i < m->count; i++) {
		const struct monitor_record *rec = &m->targets[i].record;
		uint64_t so_far = 0;
		char full[80], le[32];

		snprintf(full, sizeof(full), "%s_bucket", name);
		for (size_t k = 0; k < MONITOR_BUCKETS; k++) {
			so_far += rec->bucket[k];
			snprintf(le, sizeof(le), "le=\"%g\"", monitor_bucket_s[k]);
			sample(m, &m->targets[i], full, le, (double)so_far);
		}
		so_far += rec->bucket_over;
		sample(m, &m->targets[i], full, "le=\"+Inf\"", (double)so_far);
		snprintf(full, sizeof(full), "%s_sum", name);
		sample(m, &m->targets[i], full, NULL, rec->seconds_sum);
		snprintf(full, sizeof(full), "%s_count", name);
		sample(m, &m->targets[i], full, NULL, (double)so_far);
	}
}

/* Two counters of one family, success and error. */
static void results(struct metrics *m, const char *name, const char *help, bool is_quarantine)
{
	family(m, name, "counter", help);
	for (size_t i = 0; i < m->count; i++) {
		const struct monitor_target *t = &m->targets[i];

		sample(m, t, name, "result=\"success\"",
		       (double)(is_quarantine ? t->quarantined : t->record.successes));
		sample(m, t, name, "result=\"error\"",
		       (double)(is_quarantine ? t->quarantine_failed : t->record.failures));
	}
}

static void counters(struct metrics *m)
{
	static const struct counter_row {
		const char *name, *help;
		size_t offset;
	} rows[] = {
		{ "contextd_vectorstore_corrupt_collections_detected_total",
		  "Collections that were found corrupt.",
		  offsetof(struct monitor_record, detected) },
		{ "vsctl_scans_read_total",
		  "Scans that read every document; the others found the store as it was.",
		  offsetof(struct monitor_record, scans_read) },
		{ "vsctl_documents_read_total", "Documents that scans have read and decoded.",
		  offsetof(struct monitor_record, documents_read) },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		family(m, rows[i].name, "counter", rows[i].help);
		for (size_t k = 0; k < m->count; k++) {
			uint64_t value;

			memcpy(&value, (const char *)&m->targets[k].record + rows[i].offset,
			       sizeof(value));
			sample(m, &m->targets[k], rows[i].name, NULL, (double)value);
		}
	}
}

void monitor_render_metrics(const struct monitor_target *targets, size_t count, struct buf *out)
{
	static const char total[] = "contextd_vectorstore_collections_total";
	struct metrics m = { targets, count, out };

	for (size_t i = 0; i < VS_COUNT(gauges); i++) {
		family(&m, gauges[i].name, "gauge", gauges[i].help);
		for (size_t k = 0; k < count; k++)
			sample(&m, &targets[k], gauges[i].name, NULL,
			       gauge_value(&targets[k], gauges[i].from));
	}
	/* It goes up and down, whatever its name says, so it is declared as neither. */
	family(&m, total, "untyped", "Collections by state.");
	for (size_t k = 0; k < count; k++) {
		sample(&m, &targets[k], total, "status=\"healthy\"",
		       (double)targets[k].record.healthy);
		sample(&m, &targets[k], total, "status=\"corrupt\"",
		       (double)targets[k].record.corrupt);
		sample(&m, &targets[k], total, "status=\"empty\"", (double)targets[k].record.empty);
	}
	histogram(&m);
	results(&m, "contextd_vectorstore_health_checks_total", "Scans by their result.", false);
	results(&m, "contextd_vectorstore_quarantine_operations_total",
		"Quarantine commands in the audit log by their result.", true);
	counters(&m);
}
