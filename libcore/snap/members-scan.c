/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists of members as text, from left to right. A list of a large store is tens of MB; a tree of all
 * its values would be ten times that and take longer than all the rest of a snapshot. So the rows are
 * read as they were written, in compact form and with their values in order, and only what is rare is
 * left to the JSON reader: names with escapes, or that are no text.
 */

#include "snap/private.h"

bool snap_scan_is(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if (cursor_left(c) < len || memcmp(c->pos, text, len) != 0)
		return false;
	c->pos += len;
	return true;
}

bool snap_scan_uint(struct cursor *c, uint64_t max, uint64_t *out)
{
	const unsigned char *start = c->pos;
	uint64_t value = 0;

	for (; c->pos < c->end && *c->pos >= '0' && *c->pos <= '9'; c->pos++) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c->pos - '0'), &value))
			return false;
	}
	*out = value;
	return c->pos > start && (*start != '0' || c->pos == start + 1) && value <= max;
}

bool snap_scan_int(struct cursor *c, int64_t *out)
{
	bool is_negative = snap_scan_is(c, "-");
	uint64_t value;

	if (!snap_scan_uint(c, (uint64_t)INT64_MAX + is_negative, &value))
		return false;
	*out = is_negative ? (int64_t)(UINT64_C(0) - value) : (int64_t)value;
	return true;
}

/* To behind the quote that ends the string in which the cursor is. */
static bool skip_string(struct cursor *c, bool *has_escape)
{
	for (; c->pos < c->end; c->pos++) {
		if (*c->pos == '"') {
			c->pos++;
			return true;
		}
		if (*c->pos == '\\') {
			*has_escape = true;
			c->pos++;
			if (c->pos == c->end)
				return false;
		}
	}
	return false;
}

bool snap_scan_value(struct cursor *c, struct slice *out)
{
	const unsigned char *start = c->pos;
	bool has_escape = false;
	size_t depth = 0;

	do {
		if (c->pos == c->end)
			return false;
		switch (*c->pos++) {
		case '"':
			if (!skip_string(c, &has_escape))
				return false;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return false;
			depth--;
			break;
		default:
			/* Numbers and words do not stand alone where this is asked. */
			if (depth == 0)
				return false;
			break;
		}
	} while (depth > 0);
	*out = slice_of(start, (size_t)(c->pos - start));
	return true;
}

static bool read_odd_name(struct slice value, struct buf *out)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct vs_err ignored = { 0 };
	const char *name;

	buf_append_byte(&text, '[');
	buf_append(&text, value.ptr, value.len);
	buf_append_byte(&text, ']');
	if (jr_parse(&doc, buf_slice(&text), &ignored) < 0)
		return false;
	if (jr_as_str(jr_at(doc, 0), &name)) {
		buf_append_str(out, name);
		return true;
	}
	if (!jr_get_bytes(jr_at(doc, 0), "name", &bytes))
		return false;
	buf_append(out, bytes.ptr, bytes.len);
	return true;
}

bool snap_scan_name(struct cursor *c, struct buf *out)
{
	struct cursor string = *c;
	bool has_escape = false;
	struct slice text;

	if (!snap_scan_is(&string, "\"") || !skip_string(&string, &has_escape) || has_escape)
		return snap_scan_value(c, &text) && read_odd_name(text, out);
	text = slice_of(c->pos + 1, (size_t)(string.pos - c->pos) - 2);
	*c = string;
	if (!utf8_is_valid(text) || (text.len > 0 && memchr(text.ptr, 0, text.len)))
		return false;
	buf_append(out, text.ptr, text.len);
	return true;
}
