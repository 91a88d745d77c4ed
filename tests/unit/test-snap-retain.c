/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshots a policy keeps: tables of times and verdicts, and what stays of them. */

#include "snap/snap.h"

#include <criterion/criterion.h>

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define DAY_NS (24 * HOUR_NS)
/* 2026-01-22 12:30:00 UTC, a Thursday */
#define NOON (INT64_C(1769085000) * 1000000000)

struct row {
	int64_t time_ns;
	char verdict;       /* 'g'ood, 'c'orrupt, 'f'ailed, 'u'nreadable, 'd'rill failed */
	const char *parent; /* whose archive it needs */
};

static void make_list(struct snap_list *list, const struct row *rows, size_t count)
{
	*list = (struct snap_list){ 0 };
	list->entries = vs_alloc_array(count, sizeof(*list->entries));
	list->count = count;
	for (size_t i = 0; i < count; i++) {
		struct snap_manifest *m = vs_alloc(sizeof(*m));
		char id[2] = { (char)('a' + i), '\0' };

		list->entries[i].id = vs_strdup(id);
		m->id = vs_strdup(id);
		m->time_ns = rows[i].time_ns;
		m->health.verdict = vs_strdup(rows[i].verdict == 'c' ? "corrupt" : "healthy");
		m->health.errors = rows[i].verdict == 'c';
		m->status = rows[i].verdict == 'f' ? SNAP_FAILED : SNAP_CREATED;
		m->drill.time_ns = rows[i].verdict == 'd';
		m->archives = vs_alloc_array(2, sizeof(*m->archives));
		m->archive_count = rows[i].parent ? 2 : 1;
		m->archives[0].snapshot = vs_strdup(id);
		m->archives[0].file = vs_strdup(id);
		if (rows[i].parent) {
			m->archives[1].snapshot = vs_strdup(rows[i].parent);
			m->archives[1].file = vs_strdup(rows[i].parent);
		}
		if (rows[i].verdict == 'u')
			snap_manifest_freep(&m);
		list->entries[i].m = m;
	}
}

/* The letters of those that stay. */
static void expect(const struct row *rows, size_t count, struct snap_policy policy,
		   const char *kept)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	cleanup_(vs_freep) struct snap_decision *all = NULL;
	struct vs_err err = { 0 };
	char got[32] = "";

	make_list(&list, rows, count);
	cr_assert_eq(snap_plan_cleanup(&list, &policy, NOON, &all, &err), 0, "%s", err.text);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(got);

		cr_assert_str_neq(all[i].reason, "");
		if (all[i].keep)
			snprintf(got + len, sizeof(got) - len, "%c", (char)('a' + i));
	}
	cr_assert_str_eq(got, kept, "kept %s instead of %s", got, kept);
}

static const struct row hourly[] = {
	{ NOON - 49 * HOUR_NS, 'g', NULL }, /* a: the 20th, 11:30 */
	{ NOON - 25 * HOUR_NS, 'g', NULL }, /* b: the 21st, 11:30 */
	{ NOON - 3 * HOUR_NS, 'g', NULL },  /* c */
	{ NOON - 2 * HOUR_NS, 'g', NULL },  /* d */
	{ NOON - HOUR_NS, 'g', NULL },      /* e: 11:30 */
	{ NOON - HOUR_NS / 2, 'g', NULL },  /* f: 12:00 */
};

Test(retain, rules)
{
	expect(hourly, 6, (struct snap_policy){ .last = 2 }, "ef");
	expect(hourly, 6, (struct snap_policy){ .last = 100 }, "abcdef");
	expect(hourly, 6, (struct snap_policy){ .days = 1 }, "cdef");
	expect(hourly, 6, (struct snap_policy){ .days = 2 }, "bcdef");
	expect(hourly, 6, (struct snap_policy){ .hourly = 2 }, "ef");
	expect(hourly, 6, (struct snap_policy){ .hourly = 4 }, "cdef");
	expect(hourly, 6, (struct snap_policy){ .daily = 2 }, "bf");
	expect(hourly, 6, (struct snap_policy){ .daily = 3 }, "abf");
	expect(hourly, 6, (struct snap_policy){ .weekly = 5 }, "f");
	expect(hourly, 6, (struct snap_policy){ .last = 1, .daily = 2, .hourly = 2 }, "bef");
}

/* Monday the 19th begins week 4; Sunday the 18th ends week 3; the 31st of December is in week 1. */
Test(retain, weeks_and_months)
{
	static const struct row rows[] = {
		{ NOON - 53 * DAY_NS, 'g', NULL }, /* a: 2025-11-30 */
		{ NOON - 52 * DAY_NS, 'g', NULL }, /* b: 2025-12-01, Monday */
		{ NOON - 22 * DAY_NS, 'g', NULL }, /* c: 2025-12-31, of week 2026-W01 */
		{ NOON - 21 * DAY_NS, 'g', NULL }, /* d: 2026-01-01, of the same week */
		{ NOON - 4 * DAY_NS, 'g', NULL },  /* e: the 18th, Sunday */
		{ NOON - 3 * DAY_NS, 'g', NULL },  /* f: the 19th, Monday */
	};

	expect(rows, 6, (struct snap_policy){ .weekly = 2 }, "ef");
	expect(rows, 6, (struct snap_policy){ .weekly = 3 }, "def");
	expect(rows, 6, (struct snap_policy){ .weekly = 4 }, "bdef");
	expect(rows, 6, (struct snap_policy){ .monthly = 2 }, "cf");
	expect(rows, 6, (struct snap_policy){ .monthly = 3 }, "acf");
}

Test(retain, bad_ones_push_no_good_one_out)
{
	static const struct row rows[] = {
		{ NOON - 5 * HOUR_NS, 'c', NULL }, { NOON - 4 * HOUR_NS, 'g', NULL },
		{ NOON - 3 * HOUR_NS, 'g', NULL }, { NOON - 2 * HOUR_NS, 'c', NULL },
		{ NOON - HOUR_NS, 'f', NULL },     { NOON - HOUR_NS / 2, 'd', NULL },
	};

	expect(rows, 6, (struct snap_policy){ .last = 1 }, "cf");
	expect(rows, 6, (struct snap_policy){ .last = 2 }, "bcef");
	expect(rows, 6, (struct snap_policy){ .days = 1 }, "bcdef");
	expect(rows, 3, (struct snap_policy){ .last = 1 }, "c");
}

Test(retain, the_last_good_one_stays)
{
	static const struct row rows[] = {
		{ NOON - 400 * DAY_NS, 'g', NULL },
		{ NOON - 300 * DAY_NS, 'g', NULL },
		{ NOON - 200 * DAY_NS, 'c', NULL },
	};
	static const struct row none[] = {
		{ NOON - 400 * DAY_NS, 'c', NULL },
		{ NOON - 300 * DAY_NS, 'f', NULL },
	};

	expect(rows, 3, (struct snap_policy){ .days = 7 }, "bc");
	expect(none, 2, (struct snap_policy){ .days = 7 }, "ab");
	expect(none, 2, (struct snap_policy){ .last = 1 }, "ab");
}

/* The snapshot goes, and what others need of its archive stays: the reason says so. */
Test(retain, what_others_need_keeps_no_snapshot)
{
	static const struct row rows[] = {
		{ NOON - 5 * HOUR_NS, 'g', NULL }, { NOON - 4 * HOUR_NS, 'g', "a" },
		{ NOON - 3 * HOUR_NS, 'g', "a" },  { NOON - 2 * HOUR_NS, 'g', NULL },
		{ NOON - HOUR_NS, 'g', "c" },
	};

	struct snap_policy policy = { .last = 1 };
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	cleanup_(vs_freep) struct snap_decision *all = NULL;
	struct vs_err err = { 0 };

	expect(rows, 5, policy, "e");
	expect(rows, 4, policy, "d");
	make_list(&list, rows, 5);
	cr_assert_eq(snap_plan_cleanup(&list, &policy, NOON, &all, &err), 0, "%s", err.text);
	cr_assert_str_eq(all[2].reason, "no rule keeps it; what e needs of it stays");
	cr_assert_str_eq(all[0].reason, "no rule keeps it");
}

Test(retain, what_cannot_be_read_stays)
{
	static const struct row rows[] = {
		{ 0, 'u', NULL },
		{ NOON - 4 * HOUR_NS, 'g', NULL },
		{ NOON - 3 * HOUR_NS, 'g', NULL },
	};

	expect(rows, 3, (struct snap_policy){ .last = 1 }, "ac");
}

/* A clock that was set back makes no snapshot older than it is. */
Test(retain, from_the_future)
{
	static const struct row rows[] = {
		{ NOON - 9 * DAY_NS, 'g', NULL },
		{ NOON + 900 * DAY_NS, 'g', NULL },
	};

	expect(rows, 2, (struct snap_policy){ .days = 1 }, "b");
}

Test(retain, no_rule_is_refused)
{
	struct snap_list list = { 0 };
	struct snap_policy policy = { 0 };
	struct snap_decision *all = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(snap_plan_cleanup(&list, &policy, NOON, &all, &err), VS_EUSAGE);
	cr_assert_null(all);
}
