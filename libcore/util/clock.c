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

/* Exactly @count digits. */
static bool take_digits(const char **p, unsigned count, int *out)
{
	*out = 0;
	for (; count > 0; count--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool take_byte(const char **p, char byte)
{
	if (**p != byte)
		return false;
	(*p)++;
	return true;
}

/* ".5": up to nine digits. */
static bool take_fraction(const char **p, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;

	*ns = 0;
	if (!take_byte(p, '.'))
		return true;
	for (; **p >= '0' && **p <= '9' && unit > 0; (*p)++, unit /= 10)
		*ns += (**p - '0') * unit;
	return (*p)[-1] != '.';
}

static bool take_clock(const char **p, struct tm *tm, int64_t *ns)
{
	if (!take_byte(p, 'T') && !take_byte(p, ' '))
		return false;
	if (!take_digits(p, 2, &tm->tm_hour) || !take_byte(p, ':') ||
	    !take_digits(p, 2, &tm->tm_min))
		return false;
	if (take_byte(p, ':') && (!take_digits(p, 2, &tm->tm_sec) || !take_fraction(p, ns)))
		return false;
	(void)take_byte(p, 'Z');
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static bool parse_ago(const char *text, int64_t now_ns, int64_t *out)
{
	uint64_t seconds;

	if (!parse_duration(text, &seconds) || seconds > (uint64_t)(INT64_MAX / NS_PER_S))
		return false;
	return !__builtin_sub_overflow(now_ns, (int64_t)seconds * NS_PER_S, out) && *out >= 0;
}

bool time_parse(const char *text, int64_t now_ns, int64_t *out)
{
	const char *p = text;
	struct tm tm = { 0 };
	struct tm again;
	int64_t ns = 0;
	time_t seconds;

	if (!take_digits(&p, 4, &tm.tm_year) || !take_byte(&p, '-'))
		return parse_ago(text, now_ns, out);
	if (!take_digits(&p, 2, &tm.tm_mon) || !take_byte(&p, '-') ||
	    !take_digits(&p, 2, &tm.tm_mday) || tm.tm_year < 1970 || tm.tm_year > 2261)
		return false;
	if (*p != '\0' && !take_clock(&p, &tm, &ns))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	again = tm;
	seconds = timegm(&again);
	/* A day that its month does not have has become another. */
	if (*p != '\0' || again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday)
		return false;
	*out = (int64_t)seconds * NS_PER_S + ns;
	return true;
}
