/* SPDX-License-Identifier: Apache-2.0 */

/* Keeping what a check reports. */

#include "verify.h"

static void finding_free(struct verify_finding *f)
{
	free(f->collection);
	free(f->path);
	vs_free_const(f->document.ptr);
	free(f->message);
	free(f->fix);
}

void verify_report_fini(struct verify_report *r)
{
	for (size_t i = 0; i < r->finding_count; i++)
		finding_free(&r->findings[i]);
	for (size_t i = 0; i < r->collection_count; i++) {
		free(r->collections[i].id);
		vs_free_const(r->collections[i].name.ptr);
	}
	for (size_t i = 0; i < r->gap_count; i++) {
		free(r->gaps[i].path);
		free(r->gaps[i].what);
		free(r->gaps[i].why);
	}
	for (size_t i = 0; i < r->cause_count; i++) {
		free(r->causes[i].code);
		free(r->causes[i].summary);
		free(r->causes[i].collection);
		free(r->causes[i].evidence);
	}
	explain_freep(&r->explain);
	free(r->causes);
	free(r->findings);
	free(r->collections);
	free(r->gaps);
	*r = (struct verify_report){ 0 };
}

static char *dup_or_null(const char *text)
{
	return text ? vs_strdup(text) : NULL;
}

static struct slice slice_dup(struct slice s)
{
	if (!s.ptr)
		return s;
	return slice_of(vs_strndup(s), s.len);
}

/* ---- the sink ---- */

static void sink_collection(void *ctx, const struct check_collection *c)
{
	struct verify_report *r = ctx;

	r->collections = vs_grow(r->collections, &r->collection_cap, r->collection_count + 1,
				 sizeof(*r->collections));
	r->collections[r->collection_count++] = (struct verify_collection){
		.id = vs_strdup(c->id),
		.name = c->name ? slice_dup(c->name_bytes) : slice_of(NULL, 0),
		.state = c->state,
		.documents = c->documents,
		.dimension = c->dimension,
		.bytes = c->bytes,
	};
}

static void sink_finding(void *ctx, const struct finding *f)
{
	struct verify_report *r = ctx;
	struct verify_finding kept = {
		.code = f->code,
		.severity = problem_row(f->code)->severity,
		.collection = dup_or_null(f->collection),
		.path = dup_or_null(f->path),
		.document = slice_dup(f->document),
		.has_offset = f->has_offset,
		.offset = f->offset,
	};
	struct buf text = { 0 };

	finding_format_message(f, &text);
	kept.message = buf_take_str(&text);
	if (finding_format_fix(f, &text))
		kept.fix = buf_take_str(&text);
	if (r->explain)
		explain_add(r->explain, f);
	r->findings =
		vs_grow(r->findings, &r->finding_cap, r->finding_count + 1, sizeof(*r->findings));
	r->findings[r->finding_count++] = kept;
}

static void sink_gap(void *ctx, const struct check_gap *g)
{
	struct verify_report *r = ctx;

	r->gaps = vs_grow(r->gaps, &r->gap_cap, r->gap_count + 1, sizeof(*r->gaps));
	r->gaps[r->gap_count++] = (struct verify_gap){
		.path = dup_or_null(g->path),
		.what = vs_strdup(g->what),
		.why = vs_strdup(g->why),
		.is_limit = g->is_limit,
	};
}

static void keep_cause(void *ctx, const struct cause *cause)
{
	struct verify_report *r = ctx;

	r->causes = vs_grow(r->causes, &r->cause_cap, r->cause_count + 1, sizeof(*r->causes));
	r->causes[r->cause_count++] = (struct verify_cause){
		.code = vs_strdup(cause->code),
		.summary = vs_strdup(cause->summary),
		.collection = dup_or_null(cause->collection),
		.evidence = vs_strdup(cause->evidence),
		.findings = cause->findings,
	};
}

/* ---- one check, or one for each collection ---- */

static int check_once(struct verify_report *r, const struct store *store,
		      const struct check_request *req, struct vs_err *err)
{
	const struct check_sink sink = {
		.ctx = r, .collection = sink_collection, .finding = sink_finding, .gap = sink_gap
	};

	return check_store(store, req, &sink, &r->summary, err);
}

static bool has_collection(const struct verify_report *r, const char *id)
{
	for (size_t i = 0; i < r->collection_count; i++) {
		if (strcmp(r->collections[i].id, id) == 0)
			return true;
	}
	return false;
}

/* Take the elements of an array that is emptied by it. */
#define APPEND_ALL(to, from, array, n, cap)                                                        \
	do {                                                                                       \
		(to)->array = vs_grow((to)->array, &(to)->cap, (to)->n + (from)->n,                \
				      sizeof(*(to)->array));                                       \
		for (size_t i_ = 0; i_ < (from)->n; i_++)                                          \
			(to)->array[(to)->n++] = (from)->array[i_];                                \
		(from)->n = 0;                                                                     \
	} while (0)

/* What is about the store itself was found each time; it is kept, and counted, once. */
static void drop_store_findings(struct verify_report *r)
{
	uint64_t *counts[] = { [SEV_INFO] = &r->summary.infos,
			       [SEV_WARNING] = &r->summary.warnings,
			       [SEV_ERROR] = &r->summary.errors };
	size_t kept = 0;

	for (size_t i = 0; i < r->finding_count; i++) {
		if (r->findings[i].collection) {
			r->findings[kept++] = r->findings[i];
			continue;
		}
		(*counts[r->findings[i].severity])--;
		finding_free(&r->findings[i]);
	}
	r->finding_count = kept;
}

static void summary_add(struct check_summary *to, const struct check_summary *from)
{
	to->collections += from->collections;
	to->healthy += from->healthy;
	to->corrupt += from->corrupt;
	to->empty += from->empty;
	to->documents += from->documents;
	to->bytes += from->bytes;
	to->errors += from->errors;
	to->warnings += from->warnings;
	to->infos += from->infos;
	to->omitted += from->omitted;
	to->loadable = VS_MAX(to->loadable, from->loadable);
	if (!*to->loader_text)
		memcpy(to->loader_text, from->loader_text, sizeof(to->loader_text));
	if (to->errors > 0)
		to->verdict = VERDICT_CORRUPT;
	else if (to->warnings > 0)
		to->verdict = VERDICT_DEGRADED;
	else if (from->verdict == VERDICT_UNVERIFIED)
		to->verdict = VERDICT_UNVERIFIED;
}

static void report_add(struct verify_report *to, struct verify_report *from)
{
	if (from->collection_count > 0 && has_collection(to, from->collections[0].id))
		return;
	drop_store_findings(from);
	summary_add(&to->summary, &from->summary);
	APPEND_ALL(to, from, collections, collection_count, collection_cap);
	APPEND_ALL(to, from, findings, finding_count, finding_cap);
	/* The gaps are those of the level and the same each time, but for what is named by path. */
	for (size_t i = 0; i < from->gap_count; i++) {
		if (!from->gaps[i].is_limit) {
			sink_gap(to, &(struct check_gap){ .path = from->gaps[i].path,
							  .what = from->gaps[i].what,
							  .why = from->gaps[i].why });
		}
	}
}

int verify_store(struct verify_report *out, const struct store *store,
		 const struct verify_request *req, char *const *collections, struct vs_err *err)
{
	cleanup_(verify_report_fini) struct verify_report r = { 0 };
	int64_t start_ns = clock_elapsed_ns();
	struct check_request one = req->check;
	int status;

	r.explain = req->explain ? explain_new(store) : NULL;
	one.only_collection = collections[0];
	status = check_once(&r, store, &one, err);
	for (size_t i = 1; status >= 0 && collections[0] && collections[i]; i++) {
		cleanup_(verify_report_fini) struct verify_report more = { 0 };

		one.only_collection = collections[i];
		more.explain = VS_TAKE(r.explain);
		status = check_once(&more, store, &one, err);
		r.explain = VS_TAKE(more.explain);
		if (status >= 0)
			report_add(&r, &more);
	}
	if (status < 0)
		return status;
	r.path = store->path;
	r.kind = store_kind_name(store->kind);
	r.level = req->check.level;
	r.elapsed_s = (double)(clock_elapsed_ns() - start_ns) / 1e9;
	r.is_explained = req->explain;
	if (r.explain)
		explain_causes(r.explain, keep_cause, &r);
	explain_freep(&r.explain);
	*out = r;
	r = (struct verify_report){ 0 };
	return 0;
}

void verify_loader_error(const struct verify_report *r, struct buf *out)
{
	static const char variable[] = "${STORE}";
	const char *text = r->summary.loader_text;
	const char *at;

	while ((at = strstr(text, variable))) {
		buf_append(out, text, (size_t)(at - text));
		buf_append_str(out, r->path);
		text = at + strlen(variable);
	}
	buf_append_str(out, text);
}
