/* SPDX-License-Identifier: Apache-2.0 */

/* Keeping, counting, sorting and handing out findings; what they amount to. */

#include "check/report.h"

void report_fini(struct report *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->kept[i]);
	free(r->kept);
	*r = (struct report){ 0 };
}

bool report_has_room(const struct report *r, enum problem code)
{
	return r->max == 0 || r->kept_of[problem_row(code)->severity] < r->max;
}

void report_count(struct report *r, enum problem code, uint64_t count)
{
	r->severity[problem_row(code)->severity] += count;
	r->effect[problem_row(code)->effect] += count;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Copy @text to *@to, advance it, and return the copy. */
static const char *copy_text(char **to, const char *text)
{
	size_t size = text_size(text);
	char *copy = *to;

	if (!text)
		return NULL;
	memcpy(copy, text, size);
	*to += size;
	return copy;
}

/* A finding and all it points to, in one allocation. */
static struct finding *finding_copy(const struct finding *f)
{
	size_t size = sizeof(*f) + text_size(f->collection) + text_size(f->path) + f->document.len +
		      text_size(f->expected) + text_size(f->actual) + text_size(f->detail) +
		      text_size(f->other) + text_size(f->loader_text);
	struct finding *copy = vs_alloc(size);
	char *to = (char *)(copy + 1);

	*copy = *f;
	if (f->document.ptr) {
		copy->document.ptr = (unsigned char *)to;
		if (f->document.len > 0)
			memcpy(to, f->document.ptr, f->document.len);
		to += f->document.len;
	}
	copy->collection = copy_text(&to, f->collection);
	copy->path = copy_text(&to, f->path);
	copy->expected = copy_text(&to, f->expected);
	copy->actual = copy_text(&to, f->actual);
	copy->detail = copy_text(&to, f->detail);
	copy->other = copy_text(&to, f->other);
	copy->loader_text = copy_text(&to, f->loader_text);
	return copy;
}

static void keep(struct report *r, struct finding *f)
{
	r->kept = vs_grow(r->kept, &r->cap, r->count + 1, sizeof(*r->kept));
	r->kept[r->count++] = f;
	r->kept_of[problem_row(f->code)->severity]++;
}

void report_add(struct report *r, const struct finding *f)
{
	report_count(r, f->code, 1);
	if (report_has_room(r, f->code))
		keep(r, finding_copy(f));
}

void report_move(struct report *to, struct report *from)
{
	for (size_t i = 0; i < SEVERITIES; i++)
		to->severity[i] += from->severity[i];
	for (size_t i = 0; i < EFFECTS; i++)
		to->effect[i] += from->effect[i];
	for (size_t i = 0; i < from->count; i++) {
		if (report_has_room(to, from->kept[i]->code))
			keep(to, from->kept[i]);
		else
			free(from->kept[i]);
	}
	free(from->kept);
	*from = (struct report){ .max = from->max };
}

/* ---- handing out ---- */

/* What is about the store itself comes first. */
static int compare_text(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int compare_findings(const void *a_, const void *b_)
{
	const struct finding *a = *(const struct finding *const *)a_;
	const struct finding *b = *(const struct finding *const *)b_;
	int r = compare_text(a->collection, b->collection);

	if (r == 0)
		r = compare_text(a->path, b->path);
	if (r == 0)
		r = (a->offset > b->offset) - (a->offset < b->offset);
	if (r == 0)
		r = (a->code > b->code) - (a->code < b->code);
	return r != 0 ? r : slice_cmp(a->document, b->document);
}

static enum verdict verdict_of(const struct report *r)
{
	if (r->severity[SEV_ERROR] > 0)
		return VERDICT_CORRUPT;
	return r->severity[SEV_WARNING] > 0 ? VERDICT_DEGRADED : VERDICT_HEALTHY;
}

static enum loadable loadable_of(const struct report *r)
{
	if (r->effect[EFFECT_REFUSED] > 0 || r->effect[EFFECT_HANGS] > 0)
		return LOADABLE_NO;
	return r->effect[EFFECT_SILENT] > 0 ? LOADABLE_SILENTLY_WRONG : LOADABLE_YES;
}

void report_emit(struct report *r, const struct check_sink *sink, struct check_summary *out)
{
	uint64_t quota[SEVERITIES];
	uint64_t left = r->max == 0 ? UINT64_MAX : r->max;
	uint64_t emitted = 0;

	for (size_t i = SEVERITIES; i-- > 0;) {
		quota[i] = VS_MIN(left, r->kept_of[i]);
		left -= quota[i];
	}
	if (r->count > 0)
		qsort(r->kept, r->count, sizeof(*r->kept), compare_findings);
	for (size_t i = 0; i < r->count; i++) {
		enum severity severity = problem_row(r->kept[i]->code)->severity;

		if (quota[severity] == 0)
			continue;
		quota[severity]--;
		emitted++;
		sink->finding(sink->ctx, r->kept[i]);
	}
	out->errors = r->severity[SEV_ERROR];
	out->warnings = r->severity[SEV_WARNING];
	out->infos = r->severity[SEV_INFO];
	out->omitted = out->errors + out->warnings + out->infos - emitted;
	out->verdict = verdict_of(r);
	out->loadable = loadable_of(r);
}
