/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A report for build servers: JUnit XML, a test case for each collection and one for the store
 * itself; and SARIF 2.1.0, a result for each finding.
 */

#include "verify-formats.h"

void verify_write(struct emit *e, const struct verify_report *r, enum verify_format format,
		  const struct vs_clock *clock)
{
	if (format == VERIFY_PROMETHEUS)
		verify_prometheus(e, r, clock);
	else if (format == VERIFY_JUNIT)
		verify_junit(e, r);
	else if (format == VERIFY_NAGIOS)
		verify_nagios(e, r);
	else if (format == VERIFY_SARIF)
		verify_sarif(e, r);
	else
		assert(false);
}

/* ---- JUnit ---- */

static void append_xml(struct buf *out, const char *text)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	/* Leaves no control byte, and no byte that is not UTF-8. */
	text_escape(&shown, slice_str(text));
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.ptr[i] == '<')
			buf_append_str(out, "&lt;");
		else if (shown.ptr[i] == '>')
			buf_append_str(out, "&gt;");
		else if (shown.ptr[i] == '&')
			buf_append_str(out, "&amp;");
		else if (shown.ptr[i] == '"')
			buf_append_str(out, "&quot;");
		else
			buf_append_byte(out, shown.ptr[i]);
	}
}

/* The test case that a finding belongs to: NULL stands for the store itself. */
static const char *case_of(const struct verify_report *r, const struct verify_finding *f)
{
	for (size_t i = 0; f->collection && i < r->collection_count; i++) {
		if (strcmp(r->collections[i].id, f->collection) == 0)
			return r->collections[i].id;
	}
	return NULL;
}

static void append_finding(struct buf *out, const struct verify_finding *f)
{
	append_xml(out, problem_row(f->code)->code);
	buf_append_byte(out, ' ');
	append_xml(out, f->path ? f->path : ".");
	buf_append_str(out, ": ");
	append_xml(out, f->message);
}

/* The findings of one part of the store; @collection NULL: of the store itself. */
static void test_case(struct emit *e, const struct verify_report *r, const char *collection,
		      const char *name)
{
	cleanup_(buf_fini) struct buf head = { 0 };
	cleanup_(buf_fini) struct buf notes = { 0 };

	append_xml(&head, name);
	emit_line(e, "    <testcase classname=\"vsctl.%s\" name=\"%s\">", r->kind, buf_cstr(&head));
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct verify_finding *f = &r->findings[i];
		cleanup_(buf_fini) struct buf text = { 0 };

		if (case_of(r, f) != collection)
			continue;
		append_finding(&text, f);
		if (f->severity == SEV_ERROR) {
			emit_line(e, "      <failure type=\"%s\" message=\"%s\"/>",
				  problem_row(f->code)->code, buf_cstr(&text));
			continue;
		}
		buf_printf(&notes, "%s%s ", notes.len > 0 ? "\n" : "", severity_name(f->severity));
		buf_append(&notes, text.ptr, text.len);
	}
	if (notes.len > 0)
		emit_line(e, "      <system-out>%s</system-out>", buf_cstr(&notes));
	emit_line(e, "    </testcase>");
}

/* Test cases with a failure: what a report counts, whatever the number of findings in each. */
static uint64_t failed_cases(const struct verify_report *r)
{
	uint64_t failed = r->summary.corrupt;

	for (size_t i = 0; i < r->finding_count; i++) {
		if (!case_of(r, &r->findings[i]) && r->findings[i].severity == SEV_ERROR)
			return failed + 1;
	}
	return failed;
}

void verify_junit(struct emit *e, const struct verify_report *r)
{
	cleanup_(buf_fini) struct buf store = { 0 };
	uint64_t tests = r->collection_count + 1, failures = failed_cases(r);

	append_xml(&store, r->path);
	emit_line(e, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
	emit_line(e,
		  "<testsuites tests=\"%" PRIu64 "\" failures=\"%" PRIu64
		  "\" errors=\"0\" time=\"%.6f\">",
		  tests, failures, r->elapsed_s);
	emit_line(e,
		  "  <testsuite name=\"vsctl verify %s\" tests=\"%" PRIu64 "\" failures=\"%" PRIu64
		  "\" errors=\"0\" skipped=\"0\" time=\"%.6f\">",
		  buf_cstr(&store), tests, failures, r->elapsed_s);
	test_case(e, r, NULL, "store");
	for (size_t i = 0; i < r->collection_count; i++) {
		const struct verify_collection *c = &r->collections[i];
		cleanup_(buf_fini) struct buf name = { 0 };

		buf_append_str(&name, c->id);
		if (c->name.ptr) {
			buf_append_byte(&name, ' ');
			text_escape(&name, c->name);
		}
		test_case(e, r, c->id, buf_cstr(&name));
	}
	emit_line(e, "  </testsuite>");
	emit_line(e, "</testsuites>");
}

/* ---- SARIF ---- */

static void sarif_rules(struct jw *j, const struct verify_report *r)
{
	cleanup_(vs_freep) bool *seen = vs_alloc_array(PROB_COUNT_, sizeof(*seen));

	jw_key(j, "rules");
	jw_array(j);
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct problem_row *row = problem_row(r->findings[i].code);

		if (seen[r->findings[i].code])
			continue;
		seen[r->findings[i].code] = true;
		jw_object(j);
		jw_str_field(j, "id", row->code);
		jw_key(j, "help");
		jw_object(j);
		jw_str_field(j, "text", "see vsctl-problems(7)");
		jw_object_end(j);
		jw_object_end(j);
	}
	jw_array_end(j);
}

/* Paths as a URI: all but letters, digits and a few marks as %XX. */
static void append_uri(struct buf *out, const char *path)
{
	for (const char *p = path; *p; p++) {
		bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(*p >= '0' && *p <= '9') || strchr("-._~/", *p);

		if (is_plain)
			buf_append_byte(out, (unsigned char)*p);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
	}
}

static void sarif_result(struct jw *j, const struct verify_finding *f)
{
	static const char *const levels[] = {
		[SEV_INFO] = "note", [SEV_WARNING] = "warning", [SEV_ERROR] = "error"
	};
	cleanup_(buf_fini) struct buf uri = { 0 };

	append_uri(&uri, f->path ? f->path : ".");
	jw_object(j);
	jw_str_field(j, "ruleId", problem_row(f->code)->code);
	jw_str_field(j, "level", levels[f->severity]);
	jw_key(j, "message");
	jw_object(j);
	jw_str_field(j, "text", f->message);
	jw_object_end(j);
	jw_key(j, "locations");
	jw_array(j);
	jw_object(j);
	jw_key(j, "physicalLocation");
	jw_object(j);
	jw_key(j, "artifactLocation");
	jw_object(j);
	jw_str_field(j, "uri", buf_cstr(&uri));
	jw_object_end(j);
	if (f->has_offset) {
		jw_key(j, "region");
		jw_object(j);
		jw_uint_field(j, "byteOffset", f->offset);
		jw_object_end(j);
	}
	jw_object_end(j);
	jw_object_end(j);
	jw_array_end(j);
	jw_object_end(j);
}

void verify_sarif(struct emit *e, const struct verify_report *r)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct jw j;

	jw_init(&j, &text);
	jw_object(&j);
	jw_str_field(&j, "version", "2.1.0");
	jw_key(&j, "runs");
	jw_array(&j);
	jw_object(&j);
	jw_key(&j, "tool");
	jw_object(&j);
	jw_key(&j, "driver");
	jw_object(&j);
	jw_str_field(&j, "name", "vsctl");
	jw_str_field(&j, "version", VSCTL_VERSION);
	sarif_rules(&j, r);
	jw_object_end(&j);
	jw_object_end(&j);
	jw_key(&j, "results");
	jw_array(&j);
	for (size_t i = 0; i < r->finding_count; i++)
		sarif_result(&j, &r->findings[i]);
	jw_array_end(&j);
	jw_object_end(&j);
	jw_array_end(&j);
	jw_object_end(&j);
	emit_line(e, "%s", buf_cstr(&text));
}
