/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers, sizes and durations as people type them, and sizes and counts as people read them. */

#include "util/util.h"

/* Digits at the start of @text; @rest is what follows. False when there is none or it does not fit.
 */
static bool parse_digits(const char *text, uint64_t *out, const char **rest)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	}
	if (p == text)
		return false;
	*out = value;
	*rest = p;
	return true;
}

bool parse_u64(const char *text, uint64_t max, uint64_t *out)
{
	const char *rest;
	uint64_t value;

	if (!parse_digits(text, &value, &rest) || *rest != '\0' || value > max)
		return false;
	*out = value;
	return true;
}

bool parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *rest;
	uint64_t value;

	if (!parse_digits(text, &value, &rest))
		return false;
	if (*rest != '\0' && *rest != 'B') {
		const char *unit = strchr(units, *rest >= 'a' ? *rest - 32 : *rest);

		if (!unit)
			return false;
		for (const char *u = units; u <= unit; u++) {
			if (__builtin_mul_overflow(value, UINT64_C(1024), &value))
				return false;
		}
		rest++;
		if (*rest == 'i')
			rest++;
	}
	if (*rest == 'B')
		rest++;
	if (*rest != '\0')
		return false;
	*out = value;
	return true;
}

bool parse_duration(const char *text, uint64_t *out_s)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	const char *rest;
	uint64_t value;

	if (!parse_digits(text, &value, &rest))
		return false;
	if (*rest == '\0') {
		*out_s = value;
		return true;
	}
	for (size_t i = 0; i < VS_COUNT(units); i++) {
		if (*rest != units[i].unit || rest[1] != '\0')
			continue;
		return !__builtin_mul_overflow(value, (uint64_t)units[i].seconds, out_s);
	}
	return false;
}

void size_format(uint64_t bytes, char out[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < VS_COUNT(units)) {
		value /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(out, 16, "%u B", (unsigned)bytes);
	else
		snprintf(out, 16,
			 value < 9.995   ? "%.2f %s"
			 : value < 99.95 ? "%.1f %s"
					 : "%.0f %s",
			 value, units[unit]);
}

void text_count(struct buf *out, uint64_t count, const char *noun)
{
	size_t len = strlen(noun);
	bool has_y = len > 1 && noun[len - 1] == 'y' && !strchr("aeiou", noun[len - 2]);
	bool has_s = len > 0 && noun[len - 1] == 's';

	if (count == 1) {
		buf_printf(out, "1 %s", noun);
		return;
	}
	if (count == 0)
		buf_append_str(out, "no ");
	else
		buf_printf(out, "%" PRIu64 " ", count);
	buf_append(out, noun, has_y ? len - 1 : len);
	buf_append_str(out, has_y ? "ies" : has_s ? "es" : "s");
}

unsigned text_distance(const char *a, const char *b)
{
	unsigned rows[3][64];
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);
	unsigned(*before)[64] = &rows[0];
	unsigned(*above)[64] = &rows[1];
	unsigned(*row)[64] = &rows[2];

	if (a_len >= 64 || b_len >= 64)
		return 64;
	for (size_t j = 0; j <= b_len; j++) {
		(*above)[j] = (unsigned)j;
		(*before)[j] = 0;
	}
	for (size_t i = 1; i <= a_len; i++) {
		unsigned(*oldest)[64] = before;

		(*row)[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = (*above)[j - 1] + (a[i - 1] != b[j - 1]);

			best = VS_MIN(best, (*above)[j] + 1);
			best = VS_MIN(best, (*row)[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = VS_MIN(best, (*before)[j - 2] + 1);
			(*row)[j] = best;
		}
		before = above;
		above = row;
		row = oldest;
	}
	return (*above)[b_len];
}
