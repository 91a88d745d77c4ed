/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The report of a check as text: the verdict first, what to do next last, and between them as much
 * as a person wants to read at night.
 */

#include "shown.h"
#include "verify.h"

#define SHOWN_OF_A_KIND 10 /* findings of one code in one collection, without --verbose */

static enum emit_style severity_style(enum severity s)
{
	static const enum emit_style styles[] = {
		[SEV_INFO] = EMIT_DIM, [SEV_WARNING] = EMIT_WARN, [SEV_ERROR] = EMIT_BAD
	};

	return styles[s];
}

static enum emit_style verdict_style(enum verdict v)
{
	static const enum emit_style styles[] = { [VERDICT_HEALTHY] = EMIT_GOOD,
						  [VERDICT_DEGRADED] = EMIT_WARN,
						  [VERDICT_CORRUPT] = EMIT_BAD,
						  [VERDICT_UNVERIFIED] = EMIT_WARN };

	return styles[v];
}

/* ---- the first line ---- */

static void append_contents(struct buf *out, const struct check_summary *s)
{
	text_count(out, s->collections, "collection");
	buf_append_str(out, ", ");
	text_count(out, s->documents, "document");
}

static void append_loading(struct buf *out, const struct verify_report *r)
{
	cleanup_(buf_fini) struct buf loader = { 0 };

	switch (r->summary.loadable) {
	case LOADABLE_YES:
		buf_append_str(out, r->level == CHECK_QUICK
					    ? "; nothing in its structure keeps it from loading"
					    : "; the store loads");
		break;
	case LOADABLE_SILENTLY_WRONG:
		buf_append_str(out,
			       "; the store loads without an error, and not as it was written");
		break;
	case LOADABLE_NO:
		verify_loader_error(r, &loader);
		buf_append_str(out, "; the store will not load");
		if (loader.len > 0) {
			buf_append_str(out, ": ");
			text_escape(out, buf_slice(&loader));
		}
		break;
	}
}

static void append_damage(struct buf *out, const struct check_summary *s)
{
	if (s->corrupt > 0)
		buf_printf(out, "%" PRIu64 " of %" PRIu64 " collection%s %s damaged", s->corrupt,
			   s->collections, s->collections == 1 ? "" : "s",
			   s->corrupt == 1 ? "is" : "are");
	else
		text_count(out, s->errors, "error");
}

static void headline(struct emit *e, const struct verify_report *r, bool is_nested)
{
	const struct check_summary *s = &r->summary;
	cleanup_(buf_fini) struct buf body = { 0 };
	char head[32];

	if (is_nested) {
		text_escape(&body, slice_str(r->path));
		buf_append_str(&body, ": ");
	}
	switch (s->verdict) {
	case VERDICT_HEALTHY:
		append_contents(&body, s);
		break;
	case VERDICT_DEGRADED:
		append_contents(&body, s);
		buf_append_str(&body, ", ");
		text_count(&body, s->warnings, "warning");
		break;
	case VERDICT_CORRUPT:
		append_damage(&body, s);
		break;
	case VERDICT_UNVERIFIED:
		buf_append_str(&body, "no error was seen, and not everything could be looked at");
		break;
	}
	if (s->verdict != VERDICT_UNVERIFIED)
		append_loading(&body, r);
	snprintf(head, sizeof(head), "%s: ", verdict_name(s->verdict));
	emit_paragraph(e, 2, verdict_style(s->verdict), head, buf_cstr(&body));
}

/* ---- findings, by collection ---- */

static bool same_collection(const struct verify_finding *a, const struct verify_finding *b)
{
	if (!a->collection || !b->collection)
		return a->collection == b->collection;
	return strcmp(a->collection, b->collection) == 0;
}

static const struct verify_collection *find_collection(const struct verify_report *r,
						       const char *id)
{
	for (size_t i = 0; i < r->collection_count; i++) {
		if (strcmp(r->collections[i].id, id) == 0)
			return &r->collections[i];
	}
	return NULL;
}

static void group_head(struct emit *e, const struct verify_report *r, const char *id)
{
	const struct verify_collection *c = id ? find_collection(r, id) : NULL;
	cleanup_(buf_fini) struct buf shown = { 0 };
	cleanup_(buf_fini) struct buf rest = { 0 };

	text_escape(&shown, slice_str(id ? id : "the store"));
	if (c && c->name.ptr) {
		buf_append_str(&rest, "  ");
		text_escape(&rest, c->name);
	} else if (c) {
		buf_append_str(&rest, "  name unknown");
	}
	if (c) {
		buf_append_str(&rest, ", ");
		text_count(&rest, c->documents, "document");
	}
	emit_line(e, "%s", "");
	emit_paragraph(e, 2, EMIT_BOLD, buf_cstr(&shown), buf_cstr(&rest));
}

static void finding_text(struct emit *e, const struct verify_finding *f)
{
	cleanup_(buf_fini) struct buf where = { 0 };
	char head[32];

	buf_append_str(&where, problem_row(f->code)->code);
	if (f->path) {
		buf_append_str(&where, "  ");
		text_escape(&where, slice_str(f->path));
	}
	if (f->document.ptr) {
		buf_append_str(&where, ", document ");
		text_escape(&where, f->document);
	}
	if (f->has_offset)
		buf_printf(&where, ", offset %" PRIu64, f->offset);
	snprintf(head, sizeof(head), "  %-8s", severity_name(f->severity));
	emit_paragraph(e, 4, severity_style(f->severity), head, buf_cstr(&where));
	emit_paragraph(e, 4, EMIT_PLAIN, "    ", f->message);
}

static bool is_shown(const struct verify_finding *f, const struct verify_text_opts *opts)
{
	return f->severity != SEV_INFO || opts->is_verbose;
}

/* The findings from @start on that are about one collection; returns the index behind them. */
static size_t group_text(struct emit *e, const struct verify_report *r, size_t start,
			 const struct verify_text_opts *opts)
{
	uint64_t seen[PROB_COUNT_] = { 0 };
	bool has_head = false;
	size_t i;

	for (i = start;
	     i < r->finding_count && same_collection(&r->findings[start], &r->findings[i]); i++) {
		const struct verify_finding *f = &r->findings[i];

		if (!is_shown(f, opts))
			continue;
		if (!has_head)
			group_head(e, r, f->collection);
		has_head = true;
		if (++seen[f->code] <= SHOWN_OF_A_KIND || opts->is_verbose)
			finding_text(e, f);
	}
	for (size_t code = 0; code < PROB_COUNT_; code++) {
		if (seen[code] > SHOWN_OF_A_KIND && !opts->is_verbose)
			emit_line(e, "  and %" PRIu64 " more of %s; -v shows them",
				  seen[code] - SHOWN_OF_A_KIND,
				  problem_row((enum problem)code)->code);
	}
	return i;
}

/* ---- the rest ---- */

static const struct emit_field collection_fields[] = {
	{ .heading = "directory" },
	{ .heading = "state" },
	{ .heading = "documents", .is_number = true },
	{ .heading = "dimension", .is_number = true },
	{ .heading = "size", .is_number = true },
	{ .heading = "name" },
	{ 0 },
};

static void collections_text(struct emit *e, const struct verify_report *r)
{
	static const enum emit_style styles[] = { [COLLECTION_HEALTHY] = EMIT_GOOD,
						  [COLLECTION_CORRUPT] = EMIT_BAD,
						  [COLLECTION_EMPTY] = EMIT_WARN };

	if (r->collection_count == 0)
		return;
	emit_line(e, "%s", "");
	emit_table(e, NULL, collection_fields);
	for (size_t i = 0; i < r->collection_count; i++) {
		const struct verify_collection *c = &r->collections[i];

		emit_text(e, c->id);
		emit_styled(e, styles[c->state], collection_state_name(c->state));
		emit_uint(e, c->documents);
		emit_uint(e, c->dimension);
		emit_size(e, c->bytes);
		emit_bytes(e, c->name);
	}
	emit_table_end(e);
}

static void causes_text(struct emit *e, const struct verify_report *r)
{
	if (!r->is_explained || r->summary.verdict == VERDICT_HEALTHY)
		return;
	emit_line(e, "%s", "");
	emit_paragraph(e, 0, EMIT_BOLD, "what probably happened", "");
	if (r->cause_count == 0)
		emit_line(e, "  nothing known fits these findings");
	for (size_t i = 0; i < r->cause_count; i++) {
		const struct verify_cause *c = &r->causes[i];
		cleanup_(buf_fini) struct buf head = { 0 };

		buf_append_str(&head, "  ");
		if (c->collection) {
			text_escape(&head, slice_str(c->collection));
			buf_append_str(&head, ": ");
		}
		emit_paragraph(e, 4, EMIT_PLAIN, buf_cstr(&head), c->summary);
		emit_paragraph(e, 4, EMIT_DIM, "    evidence: ", c->evidence);
	}
}

/* What keeps the verdict from being whole is always said; what no check can see, when asked. */
static void gaps_text(struct emit *e, const struct verify_report *r, bool is_verbose)
{
	bool has_head = false;

	for (size_t i = 0; i < r->gap_count; i++) {
		const struct verify_gap *g = &r->gaps[i];
		cleanup_(buf_fini) struct buf text = { 0 };

		if (g->is_limit && !is_verbose)
			continue;
		if (!has_head) {
			emit_line(e, "%s", "");
			emit_paragraph(e, 0, EMIT_BOLD, "not checked", "");
		}
		has_head = true;
		if (g->path && strcmp(g->path, ".") != 0) {
			text_escape(&text, slice_str(g->path));
			buf_append_str(&text, ": ");
		}
		text_escape(&text, slice_str(g->what));
		buf_append_str(&text, ": ");
		text_escape(&text, slice_str(g->why));
		emit_paragraph(e, 4, EMIT_PLAIN, "  ", buf_cstr(&text));
	}
}

static void summary_text(struct emit *e, const struct verify_report *r, bool is_verbose)
{
	const struct check_summary *s = &r->summary;
	cleanup_(buf_fini) struct buf text = { 0 };
	char size[16];

	size_format(s->bytes, size);
	buf_append_str(&text, "checked ");
	append_contents(&text, s);
	buf_printf(&text, ", %s at level %s in %.*f s: ", size, verify_level_name(r->level),
		   r->elapsed_s < 10 ? 2 : 0, r->elapsed_s);
	text_count(&text, s->errors, "error");
	buf_append_str(&text, ", ");
	text_count(&text, s->warnings, "warning");
	if (s->infos > 0) {
		buf_append_str(&text, ", ");
		text_count(&text, s->infos, "note");
		if (!is_verbose)
			buf_append_str(&text, " (-v shows)");
	}
	if (s->omitted > 0)
		buf_printf(&text, "; %" PRIu64 " not listed (--max-findings)", s->omitted);
	emit_line(e, "%s", "");
	emit_paragraph(e, 0, EMIT_PLAIN, "", buf_cstr(&text));
}

/* Of many stores, those without a problem take one line each. */
static bool is_brief(const struct verify_report *r, const struct verify_text_opts *opts)
{
	return opts->is_nested && !opts->is_verbose && r->summary.verdict == VERDICT_HEALTHY;
}

void verify_text(struct emit *e, const struct verify_report *r, const struct verify_text_opts *opts)
{
	if (e->is_json || (opts->is_quiet && r->summary.verdict == VERDICT_HEALTHY))
		return;
	headline(e, r, opts->is_nested);
	if (opts->is_quiet || is_brief(r, opts))
		return;
	for (size_t i = 0; i < r->finding_count;)
		i = group_text(e, r, i, opts);
	causes_text(e, r);
	if (opts->is_verbose)
		collections_text(e, r);
	gaps_text(e, r, opts->is_verbose);
	summary_text(e, r, opts->is_verbose);
}

/* ---- the last line ---- */

/* How much a finding wants to be dealt with first. */
static unsigned urgency(const struct verify_finding *f)
{
	const struct problem_row *row = problem_row(f->code);

	if (f->severity == SEV_INFO)
		return 0;
	return 1 + (unsigned)f->severity * 4 + (unsigned)row->effect;
}

/* Nothing else of a database can be mended before its pages are. */
static bool comes_first(const struct verify_finding *f)
{
	return f->severity == SEV_ERROR && f->fix && strcmp(f->fix, "vsctl salvage STORE") == 0;
}

void verify_next(struct emit *e, const struct verify_report *r)
{
	const struct verify_finding *first = NULL;
	bool has_several = false;
	cleanup_(buf_fini) struct buf text = { 0 };

	if (e->is_json)
		return;
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct verify_finding *f = &r->findings[i];

		if (urgency(f) > 0 && (!first || urgency(f) > urgency(first)))
			first = f;
	}
	for (size_t i = 0; first && first->fix && i < r->finding_count; i++) {
		const struct verify_finding *f = &r->findings[i];

		has_several |= urgency(f) > 0 && f->fix && strcmp(f->fix, first->fix) != 0;
	}
	for (size_t i = 0; has_several && i < r->finding_count; i++) {
		if (!comes_first(&r->findings[i]))
			continue;
		first = &r->findings[i];
		has_several = false;
	}
	if (first && has_several)
		text_command(&text, "vsctl repair --dry-run STORE", r->path, NULL);
	else if (first && first->fix)
		text_command(&text, first->fix, r->path, NULL);
	else if (first)
		buf_printf(&text, "man vsctl-problems, under %s", problem_row(first->code)->code);
	if (first)
		emit_line(e, "next: %s", buf_cstr(&text));
	else if (r->summary.verdict == VERDICT_UNVERIFIED)
		emit_line(e, "next: remove what kept it from being checked, and run it again");
	else
		emit_line(e, "nothing to do");
}
