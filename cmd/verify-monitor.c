/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A report for monitors: numbers for Prometheus, as a file for its textfile collector, and one line
 * with performance data for what runs Nagios plugins.
 */

#include "verify-formats.h"

/* ---- Prometheus, text format 0.0.4 ---- */

/* A value between quotes: escaped as vsctl shows names, then as the format asks. */
static void append_label(struct buf *out, const char *name, const char *value)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	text_escape(&shown, slice_str(value));
	buf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.ptr[i] == '\\' || shown.ptr[i] == '"')
			buf_append_byte(out, '\\');
		buf_append_byte(out, shown.ptr[i]);
	}
	buf_append_byte(out, '"');
}

static void family(struct emit *e, const char *name, const char *help)
{
	emit_line(e, "# HELP %s %s", name, help);
	emit_line(e, "# TYPE %s gauge", name);
}

struct sample_label {
	const char *name, *value;
};

static void sample(struct emit *e, const char *name, const char *store,
		   const struct sample_label *more, double value)
{
	cleanup_(buf_fini) struct buf labels = { 0 };

	append_label(&labels, "store", store);
	if (more) {
		buf_append_byte(&labels, ',');
		append_label(&labels, more->name, more->value);
	}
	/* Counts stay whole numbers. */
	emit_line(e, "%s{%s} %.15g", name, buf_cstr(&labels), value);
}

static void gauge(struct emit *e, const char *store, const char *name, const char *help,
		  double value)
{
	family(e, name, help);
	sample(e, name, store, NULL, value);
}

/* One value for each of the words, in the order of the words. */
static void gauges(struct emit *e, const char *store, const char *name, const char *help,
		   const char *label, const char *const words[], const uint64_t values[],
		   size_t count)
{
	family(e, name, help);
	for (size_t i = 0; i < count; i++)
		sample(e, name, store, &(struct sample_label){ label, words[i] },
		       (double)values[i]);
}

void verify_prometheus(struct emit *e, const struct verify_report *r, const struct vs_clock *clock)
{
	static const char *const states[] = { "healthy", "corrupt", "empty" };
	static const char *const severities[] = { "error", "warning", "info" };
	const struct check_summary *s = &r->summary;
	const uint64_t by_state[] = { s->healthy, s->corrupt, s->empty };
	const uint64_t by_severity[] = { s->errors, s->warnings, s->infos };
	const int64_t seconds = clock_now_ns(clock) / 1000000000;

	gauge(e, r->path, "contextd_vectorstore_health_status",
	      "1 when the store has no error, 0 when it has.", s->errors == 0);
	gauge(e, r->path, "vectorstore_collections_healthy", "Collections without an error.",
	      (double)s->healthy);
	gauge(e, r->path, "vectorstore_collections_corrupt", "Collections with an error.",
	      (double)s->corrupt);
	gauges(e, r->path, "vsctl_collections", "Collections by state.", "status", states, by_state,
	       VS_COUNT(states));
	gauges(e, r->path, "vsctl_findings", "Findings by severity.", "severity", severities,
	       by_severity, VS_COUNT(severities));
	gauge(e, r->path, "vsctl_store_loadable",
	      "1 when the application's library loads the store as it was written.",
	      s->loadable == LOADABLE_YES);
	gauge(e, r->path, "vsctl_documents", "Documents in all collections.", (double)s->documents);
	gauge(e, r->path, "vsctl_store_bytes", "Bytes in the files of the store.",
	      (double)s->bytes);
	gauge(e, r->path, "vsctl_verify_complete",
	      "1 when everything that the level asks for could be looked at.",
	      s->verdict != VERDICT_UNVERIFIED);
	gauge(e, r->path, "vsctl_verify_duration_seconds", "How long the check took.",
	      r->elapsed_s);
	gauge(e, r->path, "vsctl_verify_timestamp_seconds", "When the check ended.",
	      (double)seconds);
}

/* ---- Nagios ---- */

enum nagios_status verify_nagios_status(const struct verify_report *r)
{
	static const enum nagios_status status[] = { [VERDICT_HEALTHY] = NAGIOS_OK,
						     [VERDICT_DEGRADED] = NAGIOS_WARNING,
						     [VERDICT_CORRUPT] = NAGIOS_CRITICAL,
						     [VERDICT_UNVERIFIED] = NAGIOS_UNKNOWN };

	return status[r->summary.verdict];
}

static const char *nagios_word(enum nagios_status status)
{
	static const char *const words[] = { [NAGIOS_OK] = "OK",
					     [NAGIOS_WARNING] = "WARNING",
					     [NAGIOS_CRITICAL] = "CRITICAL",
					     [NAGIOS_UNKNOWN] = "UNKNOWN" };

	return words[status];
}

/* A bar would begin the performance data. */
static void append_plain(struct buf *out, const char *text)
{
	size_t from = out->len;

	text_escape(out, slice_str(text));
	for (size_t i = from; i < out->len; i++) {
		if (out->ptr[i] == '|')
			out->ptr[i] = '/';
	}
}

void verify_nagios(struct emit *e, const struct verify_report *r)
{
	const struct check_summary *s = &r->summary;
	cleanup_(buf_fini) struct buf loader = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };

	verify_loader_error(r, &loader);
	buf_printf(&text, "%s, ", verdict_name(s->verdict));
	text_count(&text, s->collections, "collection");
	buf_append_str(&text, ", ");
	text_count(&text, s->documents, "document");
	if (s->loadable == LOADABLE_NO) {
		buf_append_str(&text, "; the store will not load");
		if (loader.len > 0) {
			buf_append_str(&text, ": ");
			append_plain(&text, buf_cstr(&loader));
		}
	} else if (s->loadable == LOADABLE_SILENTLY_WRONG) {
		buf_append_str(&text, "; it loads, and not as it was written");
	}
	emit_line(e,
		  "VECTORSTORE %s - %s | errors=%" PRIu64 ";;0 warnings=%" PRIu64
		  ";0 collections=%" PRIu64 " corrupt=%" PRIu64 ";;0 documents=%" PRIu64
		  " bytes=%" PRIu64 "B time=%.6fs",
		  nagios_word(verify_nagios_status(r)), buf_cstr(&text), s->errors, s->warnings,
		  s->collections, s->corrupt, s->documents, s->bytes, r->elapsed_s);
}

void verify_nagios_failure(struct emit *e, const char *text)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	append_plain(&shown, text);
	emit_line(e, "VECTORSTORE %s - %s", nagios_word(NAGIOS_UNKNOWN), buf_cstr(&shown));
}
