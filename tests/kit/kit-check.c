/* SPDX-License-Identifier: Apache-2.0 */

/* Running checks and looking at what they say. */

#include "kit.h"

#include "store/store.h"

#include <criterion/criterion.h>

static void keep_text(const char **text)
{
	if (*text)
		*text = vs_strdup(*text);
}

static void on_finding(void *ctx, const struct finding *f)
{
	struct kit_result *r = ctx;
	struct buf message = { 0 };
	struct finding copy = *f;

	r->findings = reallocarray(r->findings, r->count + 1, sizeof(*r->findings));
	r->messages = reallocarray(r->messages, r->count + 1, sizeof(*r->messages));
	cr_assert(r->findings && r->messages);
	finding_format_message(f, &message);
	if (f->document.ptr)
		copy.document.ptr = (unsigned char *)vs_strndup(f->document);
	keep_text(&copy.collection);
	keep_text(&copy.path);
	keep_text(&copy.expected);
	keep_text(&copy.actual);
	keep_text(&copy.detail);
	keep_text(&copy.other);
	keep_text(&copy.loader_text);
	r->findings[r->count] = copy;
	r->messages[r->count++] = buf_take_str(&message);
}

static void on_collection(void *ctx, const struct check_collection *c)
{
	struct kit_result *r = ctx;
	struct check_collection copy = *c;

	r->collections =
		reallocarray(r->collections, r->collection_count + 1, sizeof(*r->collections));
	cr_assert(r->collections);
	copy.name_bytes = (struct slice){ 0 };
	keep_text(&copy.id);
	keep_text(&copy.name);
	r->collections[r->collection_count++] = copy;
}

static void on_gap(void *ctx, const struct check_gap *gap)
{
	struct kit_result *r = ctx;

	cr_assert(gap->path && gap->what && gap->why);
	if (gap->is_limit)
		r->limits++;
	else
		r->gaps++;
}

struct kit_result *kit_check(const char *path, const struct check_request *req)
{
	const struct check_sink sink = { .collection = on_collection,
					 .finding = on_finding,
					 .gap = on_gap };
	struct kit_result *r = vs_alloc(sizeof(*r));
	cleanup_(store_closep) struct store *store = NULL;
	struct check_sink with_ctx = sink;

	with_ctx.ctx = r;
	r->status = store_open(&store, path, true, &r->err);
	if (r->status == 0)
		r->status = check_store(store, req, &with_ctx, &r->summary, &r->err);
	return r;
}

static void expect_same(const struct kit_result *a, const struct kit_result *b)
{
	cr_assert_eq(a->status, b->status, "%s", b->err.text);
	cr_assert_eq(a->count, b->count, "%zu findings, %zu when asked again", a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		cr_assert_eq(a->findings[i].code, b->findings[i].code);
		cr_assert_str_eq(a->messages[i], b->messages[i]);
	}
	cr_assert_eq(a->collection_count, b->collection_count);
	for (size_t i = 0; i < a->collection_count; i++) {
		cr_assert_eq(a->collections[i].state, b->collections[i].state);
		cr_assert_eq(a->collections[i].documents, b->collections[i].documents);
		cr_assert_eq(a->collections[i].dimension, b->collections[i].dimension);
		cr_assert_eq(a->collections[i].bytes, b->collections[i].bytes);
	}
	cr_assert_eq(a->gaps, b->gaps);
	cr_assert_eq(a->summary.verdict, b->summary.verdict);
	cr_assert_eq(a->summary.loadable, b->summary.loadable);
	cr_assert_eq(a->summary.documents, b->summary.documents);
	cr_assert_eq(a->summary.bytes, b->summary.bytes);
	cr_assert_str_eq(a->summary.loader_text, b->summary.loader_text);
}

struct kit_result *kit_check_dir(const struct kit_dir *dir, enum check_level level)
{
	/* The first few stores of a test will do: some tests make thousands. */
	static unsigned again_left = 4;
	/* Everything may be believed that is read from here on. */
	cleanup_(file_known_freep) struct file_known *known = file_known_new_at(INT64_MAX);
	const struct check_request req = { .level = level, .jobs = 2 };
	struct check_request again = req;
	struct kit_result *r = kit_check(dir->path, &req);

	cr_assert_eq(r->status, 0, "%s", r->err.text);
	again.known = known;
	for (unsigned i = 0; i < 2 && again_left > 0; i++) {
		cleanup_(kit_result_freep) struct kit_result *other = kit_check(dir->path, &again);

		expect_same(r, other);
	}
	again_left -= again_left > 0;
	return r;
}

static void free_text(const char *text)
{
	vs_free_const(text);
}

void kit_result_freep(struct kit_result **result)
{
	struct kit_result *r = *result;

	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++) {
		struct finding *f = &r->findings[i];

		vs_free_const(f->document.ptr);
		free_text(f->collection);
		free_text(f->path);
		free_text(f->expected);
		free_text(f->actual);
		free_text(f->detail);
		free_text(f->other);
		free_text(f->loader_text);
		free(r->messages[i]);
	}
	for (size_t i = 0; i < r->collection_count; i++) {
		free_text(r->collections[i].id);
		free_text(r->collections[i].name);
	}
	free(r->findings);
	free(r->messages);
	free(r->collections);
	free(r);
	*result = NULL;
}

/* All findings, a line each, for the message of a failing test. */
static char *describe(const struct kit_result *r)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < r->count; i++)
		buf_printf(&out, "\n  %s %s: %s", problem_row(r->findings[i].code)->code,
			   r->findings[i].path, r->messages[i]);
	if (r->count == 0)
		buf_append_str(&out, "\n  (none)");
	return buf_take_str(&out);
}

size_t kit_count(const struct kit_result *r, const char *code)
{
	enum problem wanted;
	size_t count = 0;

	cr_assert(problem_find(code, &wanted), "%s: no such problem", code);
	for (size_t i = 0; i < r->count; i++)
		count += r->findings[i].code == wanted;
	return count;
}

const struct finding *kit_finding(const struct kit_result *r, const char *code)
{
	cleanup_(vs_freep) char *all = describe(r);

	cr_assert_eq(kit_count(r, code), 1, "%s, findings are:%s", code, all);
	for (size_t i = 0; i < r->count; i++) {
		if (strcmp(problem_row(r->findings[i].code)->code, code) == 0)
			return &r->findings[i];
	}
	return NULL;
}

void kit_expect_only(const struct kit_result *r, const char *code, size_t count)
{
	cleanup_(vs_freep) char *all = describe(r);
	size_t others = 0;

	cr_assert_eq(kit_count(r, code), count, "%s, findings are:%s", code, all);
	for (size_t i = 0; i < r->count; i++)
		others += strcmp(problem_row(r->findings[i].code)->code, code) != 0;
	cr_assert_eq(others, 0, "%s, findings are:%s", code, all);
}

void kit_expect_clean(const struct kit_result *r)
{
	cleanup_(vs_freep) char *all = describe(r);

	cr_assert_eq(r->count, 0, "findings are:%s", all);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_str_empty(r->summary.loader_text);
}
