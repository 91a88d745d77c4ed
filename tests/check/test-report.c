/* SPDX-License-Identifier: Apache-2.0 */

/* Reports: order, limits, verdicts; the problem table; sentences. */

#include "check/gaps.h"
#include "check/report.h"

#include <criterion/criterion.h>

#define SEEN_MAX 64

struct seen {
	enum problem code[SEEN_MAX];
	char path[SEEN_MAX][16];
	size_t count, gaps;
};

static void on_finding(void *ctx, const struct finding *f)
{
	struct seen *seen = ctx;

	cr_assert_lt(seen->count, SEEN_MAX);
	seen->code[seen->count] = f->code;
	snprintf(seen->path[seen->count++], sizeof(seen->path[0]), "%s", f->path);
}

static void on_gap(void *ctx, const struct check_gap *gap)
{
	(void)gap;
	((struct seen *)ctx)->gaps++;
}

static void add(struct report *r, enum problem code, const char *collection, const char *path,
		uint64_t offset)
{
	struct finding f = {
		.code = code, .collection = collection, .path = path, .offset = offset
	};

	report_add(r, &f);
}

static struct check_summary emit(struct report *r, struct seen *seen)
{
	const struct check_sink sink = { .ctx = seen, .finding = on_finding, .gap = on_gap };
	struct check_summary summary = { 0 };

	report_emit(r, &sink, &summary);
	return summary;
}

Test(report, findings_come_in_order)
{
	cleanup_(report_fini) struct report r = { 0 };
	struct seen seen = { 0 };

	add(&r, PROB_CHROMEM_DOCUMENT_GOB, "b", "b/2", 9);
	add(&r, PROB_CHROMEM_DOCUMENT_GOB, "b", "b/2", 3);
	add(&r, PROB_CHROMEM_DOCUMENT_GOB, "b", "b/1", 5);
	add(&r, PROB_CHROMEM_STRAY_FILE, NULL, "z", 0);
	add(&r, PROB_CHROMEM_DOCUMENT_GOB, "a", "a/9", 0);
	emit(&r, &seen);
	cr_assert_eq(seen.count, 5);
	cr_assert_str_eq(seen.path[0], "z", "the store itself comes first");
	cr_assert_str_eq(seen.path[1], "a/9");
	cr_assert_str_eq(seen.path[2], "b/1");
	cr_assert_str_eq(seen.path[3], "b/2");
	cr_assert_str_eq(seen.path[4], "b/2");
}

Test(report, what_is_kept_is_a_copy)
{
	cleanup_(report_fini) struct report r = { 0 };
	struct seen seen = { 0 };
	char path[8] = "before";
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_GOB, .path = path };

	report_add(&r, &f);
	snprintf(path, sizeof(path), "after");
	emit(&r, &seen);
	cr_assert_str_eq(seen.path[0], "before");
}

Test(report, errors_are_not_pushed_out)
{
	cleanup_(report_fini) struct report r = { .max = 5 };
	struct check_summary summary;
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 1000; i++)
		add(&r, PROB_CHROMEM_STRAY_FILE, "a", "a/x", i);
	for (unsigned i = 0; i < 3; i++)
		add(&r, PROB_CHROMEM_DOCUMENT_GOB, "b", "b/x", i);
	add(&r, PROB_CHROMEM_DOCUMENT_MISNAMED, "b", "b/y", 0);
	cr_assert_leq(r.count, 9);
	summary = emit(&r, &seen);
	cr_assert_eq(seen.count, 5);
	cr_assert_eq(seen.code[1], PROB_CHROMEM_DOCUMENT_GOB);
	cr_assert_eq(seen.code[4], PROB_CHROMEM_DOCUMENT_MISNAMED);
	cr_assert_eq(summary.errors, 3);
	cr_assert_eq(summary.warnings, 1);
	cr_assert_eq(summary.infos, 1000);
	cr_assert_eq(summary.omitted, 999);
}

Test(report, moving_keeps_counts_and_limits)
{
	cleanup_(report_fini) struct report to = { .max = 2 };
	struct report from = { .max = 2 };
	struct check_summary summary;
	struct seen seen = { 0 };

	add(&to, PROB_CHROMEM_DOCUMENT_GOB, "a", "a/1", 0);
	for (unsigned i = 0; i < 4; i++)
		add(&from, PROB_CHROMEM_DOCUMENT_GOB, "b", "b/1", i);
	report_move(&to, &from);
	cr_assert_eq(from.count, 0);
	cr_assert_eq(to.count, 2);
	summary = emit(&to, &seen);
	cr_assert_eq(summary.errors, 5);
	cr_assert_eq(summary.omitted, 3);
}

Test(report, the_worst_decides)
{
	static const struct {
		enum problem code;
		enum verdict verdict;
		enum loadable loadable;
	} rows[] = {
		{ PROB_CHROMEM_STRAY_FILE, VERDICT_HEALTHY, LOADABLE_YES },
		{ PROB_CHROMEM_DOCUMENT_MISNAMED, VERDICT_DEGRADED, LOADABLE_YES },
		{ PROB_CHROMEM_EMBEDDING_NAN, VERDICT_CORRUPT, LOADABLE_SILENTLY_WRONG },
		{ PROB_CHROMEM_DOCUMENT_GOB, VERDICT_CORRUPT, LOADABLE_NO },
		{ PROB_CHROMEM_DOCUMENT_NOT_A_FILE, VERDICT_CORRUPT, LOADABLE_NO },
	};
	cleanup_(report_fini) struct report r = { 0 };

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct check_summary summary;
		struct seen seen = { 0 };

		add(&r, rows[i].code, "a", "a/x", i);
		summary = emit(&r, &seen);
		cr_assert_eq(summary.verdict, rows[i].verdict, "row %zu", i);
		cr_assert_eq(summary.loadable, rows[i].loadable, "row %zu", i);
	}
}

Test(gaps, a_broken_promise_makes_unverified)
{
	cleanup_(gaps_fini) struct gaps g = { 0 };
	struct check_summary summary = { .verdict = VERDICT_HEALTHY };
	struct seen seen = { 0 };
	const struct check_sink sink = { .ctx = &seen, .finding = on_finding, .gap = on_gap };

	gaps_add(&g, ".", "what", "a limit of the level", true);
	gaps_emit(&g, &sink, &summary);
	cr_assert_eq(summary.verdict, VERDICT_HEALTHY);
	gaps_add(&g, "a", "what", "it could not be read", false);
	gaps_emit(&g, &sink, &summary);
	cr_assert_eq(summary.verdict, VERDICT_UNVERIFIED);
	cr_assert_eq(seen.gaps, 3);
	summary.verdict = VERDICT_CORRUPT;
	gaps_emit(&g, &sink, &summary);
	cr_assert_eq(summary.verdict, VERDICT_CORRUPT, "what is known to be wrong stays wrong");
}

Test(gaps, their_number_is_bounded)
{
	cleanup_(gaps_fini) struct gaps g = { 0 };
	struct check_summary summary = { .verdict = VERDICT_HEALTHY };
	struct seen seen = { 0 };
	const struct check_sink sink = { .ctx = &seen, .finding = on_finding, .gap = on_gap };

	for (unsigned i = 0; i < 5000; i++)
		gaps_add(&g, "a", "what", "why", false);
	gaps_emit(&g, &sink, &summary);
	cr_assert_lt(seen.gaps, 2000);
	cr_assert_eq(g.broken_promises, 5000);
}
