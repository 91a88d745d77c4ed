/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which snapshots a policy keeps. Pure: it looks at times and verdicts only, all in UTC.
 *
 * Rules are asked newest first, and of good and bad snapshots apart: a bad one takes no place from a
 * good one. Bad ones have a place only while they are newer than some good one that is kept, and the
 * newest of all stays when it is bad: it may hold all that is left of the latest documents.
 */

#include "snap/private.h"

#include <time.h>

#define DAY_NS (INT64_C(86400) * 1000000000)

static void keep(struct snap_decision *d, const char *fmt, ...) printf_(2, 3);

static void keep(struct snap_decision *d, const char *fmt, ...)
{
	va_list ap;

	if (d->keep)
		return; /* the first reason stands */
	d->keep = true;
	va_start(ap, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, ap);
	va_end(ap);
}

static bool is_good(const struct snap_decision *d)
{
	return d->entry->m && snap_is_good(d->entry->m);
}

/* The snapshots that rules are asked of: the good ones, or the bad ones from @first on. */
struct population {
	struct snap_decision *all;
	size_t first, count;
	bool good;
};

static bool belongs(const struct population *p, size_t index)
{
	return index >= p->first && p->all[index].entry->m && !p->all[index].entry->m->is_older &&
	       is_good(&p->all[index]) == p->good;
}

/* ---- rules ---- */

static void keep_young(const struct population *p, uint64_t days, int64_t now_ns)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct snap_manifest *m = p->all[i].entry->m;
		int64_t age;

		if (!belongs(p, i))
			continue;
		if (__builtin_sub_overflow(now_ns, m->time_ns, &age) || age < 0)
			age = 0;
		if ((uint64_t)(age / DAY_NS) < days)
			keep(&p->all[i], "younger than %" PRIu64 " day%s", days,
			     days == 1 ? "" : "s");
	}
}

static void keep_last(const struct population *p, uint64_t last)
{
	uint64_t kept = 0;

	for (size_t i = p->count; i > 0 && kept < last; i--) {
		if (!belongs(p, i - 1))
			continue;
		kept++;
		keep(&p->all[i - 1], "one of the last %" PRIu64 "%s", last,
		     p->good ? "" : " bad ones");
	}
}

enum period {
	HOUR,
	DAY,
	WEEK,
	MONTH,
};

/* What periods are called: snapshots of one period have one name. */
static void period_name(enum period period, int64_t time_ns, char out[32])
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm tm = { 0 };
	size_t len = 0;

	snprintf(out, 32, "?");
	if (!gmtime_r(&seconds, &tm))
		return;
	switch (period) {
	case HOUR:
		len = strftime(out, 32, "%Y-%m-%d %H:00", &tm);
		break;
	case DAY:
		len = strftime(out, 32, "%Y-%m-%d", &tm);
		break;
	case WEEK:
		len = strftime(out, 32, "%G-W%V", &tm);
		break;
	case MONTH:
		len = strftime(out, 32, "%Y-%m", &tm);
		break;
	}
	assert(len > 0);
}

static void keep_newest_of(const struct population *p, enum period period, uint64_t number)
{
	char last[32] = "";
	uint64_t kept = 0;

	for (size_t i = p->count; i > 0 && kept < number; i--) {
		char name[32];

		if (!belongs(p, i - 1))
			continue;
		period_name(period, p->all[i - 1].entry->m->time_ns, name);
		if (strcmp(name, last) == 0)
			continue;
		snprintf(last, sizeof(last), "%s", name);
		kept++;
		keep(&p->all[i - 1], "newest%s of %s", p->good ? "" : " bad one", name);
	}
}

static void ask_rules(const struct population *p, const struct snap_policy *policy, int64_t now_ns)
{
	keep_young(p, policy->days, now_ns);
	keep_last(p, policy->last);
	keep_newest_of(p, HOUR, policy->hourly);
	keep_newest_of(p, DAY, policy->daily);
	keep_newest_of(p, WEEK, policy->weekly);
	keep_newest_of(p, MONTH, policy->monthly);
}

/* ---- what is kept whatever the rules say ---- */

static void keep_last_good(struct snap_decision *all, size_t count)
{
	for (size_t i = count; i > 0; i--) {
		if (is_good(&all[i - 1])) {
			keep(&all[i - 1], "the last good one");
			return;
		}
	}
	/* None is good: then nobody can say which one will be wanted. */
	for (size_t i = 0; i < count; i++)
		keep(&all[i], "none is good");
}

static void keep_unreadable(struct snap_decision *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!all[i].entry->m)
			keep(&all[i], "its manifest cannot be read");
		else if (all[i].entry->m->is_older)
			keep(&all[i], "the older tool made it");
	}
}

/* Behind the first good one that is kept. */
static size_t first_place_for_bad(const struct snap_decision *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (all[i].keep && is_good(&all[i]))
			return i + 1;
	}
	return count;
}

/* The first of those that stay and take files from the archive of @d; NULL: none. */
static const char *needed_by(const struct snap_decision *all, size_t count,
			     const struct snap_decision *d)
{
	for (size_t i = 0; d->entry->m && i < count; i++) {
		const struct snap_manifest *m = all[i].entry->m;

		for (size_t k = 1; all[i].keep && m && k < m->archive_count; k++) {
			if (strcmp(d->entry->m->archives[0].file, m->archives[k].file) == 0)
				return m->id;
		}
	}
	return NULL;
}

static void say_why_removed(const struct snap_decision *all, size_t count, struct snap_decision *d)
{
	const char *why =
		is_good(d) ? "no rule keeps it" : "bad, and no rule keeps it among the bad ones";
	const char *needed = needed_by(all, count, d);

	if (needed)
		snprintf(d->reason, sizeof(d->reason), "%s; what %.60s needs of it stays", why,
			 needed);
	else
		snprintf(d->reason, sizeof(d->reason), "%s", why);
}

int snap_plan_cleanup(const struct snap_list *list, const struct snap_policy *policy,
		      int64_t now_ns, struct snap_decision **out, struct vs_err *err)
{
	struct population good = { .count = list->count, .good = true };
	struct population bad = { .count = list->count };
	struct snap_decision *all;

	if (!policy->days && !policy->last && !policy->hourly && !policy->daily &&
	    !policy->weekly && !policy->monthly)
		return vs_fail(err, VS_EUSAGE,
			       "a policy without a rule would keep nothing: say what to keep");
	all = vs_alloc_array(list->count, sizeof(*all));
	for (size_t i = 0; i < list->count; i++)
		all[i].entry = &list->entries[i];
	good.all = bad.all = all;
	ask_rules(&good, policy, now_ns);
	keep_last_good(all, list->count);
	bad.first = first_place_for_bad(all, list->count);
	ask_rules(&bad, policy, now_ns);
	if (list->count > 0)
		keep(&all[list->count - 1], "the newest of all");
	keep_unreadable(all, list->count);
	for (size_t i = 0; i < list->count; i++) {
		if (!all[i].keep)
			say_why_removed(all, list->count, &all[i]);
	}
	*out = all;
	return 0;
}
