/* SPDX-License-Identifier: Apache-2.0 */

/* Time, always UTC. */

#include "util/util.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t system_now_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

const struct vs_clock vs_clock_system = { .now_ns = system_now_ns };

int64_t clock_elapsed_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Split so that the fraction is never negative, also before 1970. */
static void split_ns(int64_t ns, struct tm *tm, long *fraction)
{
	time_t seconds = (time_t)(ns / NS_PER_S);

	*fraction = (long)(ns % NS_PER_S);
	if (*fraction < 0) {
		*fraction += NS_PER_S;
		seconds--;
	}
	gmtime_r(&seconds, tm);
}

void time_format(int64_t ns, bool with_ns, char out[32])
{
	char fraction_text[16] = "";
	struct tm tm = { 0 };
	long fraction;
	size_t len;

	split_ns(ns, &tm, &fraction);
	len = strftime(out, 21, "%Y-%m-%dT%H:%M:%S", &tm);
	if (with_ns)
		snprintf(fraction_text, sizeof(fraction_text), ".%09ld", fraction);
	snprintf(out + len, 32 - len, "%sZ", fraction_text);
}

void time_format_compact(int64_t ns, char out[32])
{
	struct tm tm = { 0 };
	long fraction;

	split_ns(ns, &tm, &fraction);
	strftime(out, 32, "%Y%m%dT%H%M%SZ", &tm);
}
