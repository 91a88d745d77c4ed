/* SPDX-License-Identifier: Apache-2.0 */

/* The JSON writer. */

#include "util/util.h"

#include <math.h>

void jw_init(struct jw *j, struct buf *out)
{
	*j = (struct jw){ .out = out };
}

static void before_value(struct jw *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	assert(j->depth == 0 || !j->is_object[j->depth]);
	if (j->has_items[j->depth])
		buf_append_byte(j->out, ',');
	j->has_items[j->depth] = true;
}

static void open_level(struct jw *j, bool is_object)
{
	before_value(j);
	assert(j->depth + 1 < JW_DEPTH_MAX);
	j->depth++;
	j->is_object[j->depth] = is_object;
	j->has_items[j->depth] = false;
	buf_append_byte(j->out, is_object ? '{' : '[');
}

static void close_level(struct jw *j, bool is_object)
{
	assert(j->depth > 0 && j->is_object[j->depth] == is_object && !j->after_key);
	j->depth--;
	buf_append_byte(j->out, is_object ? '}' : ']');
}

void jw_object(struct jw *j)
{
	open_level(j, true);
}

void jw_object_end(struct jw *j)
{
	close_level(j, true);
}

void jw_array(struct jw *j)
{
	open_level(j, false);
}

void jw_array_end(struct jw *j)
{
	close_level(j, false);
}

static void append_escaped(struct buf *out, struct slice text)
{
	size_t off = 0;

	while (off < text.len) {
		struct slice rest = slice_of(text.ptr + off, text.len - off);
		size_t valid = utf8_valid_len(rest);

		for (size_t i = 0; i < valid; i++) {
			unsigned char c = rest.ptr[i];

			if (c == '"' || c == '\\') {
				buf_append_byte(out, '\\');
				buf_append_byte(out, c);
			} else if (c == '\n') {
				buf_append_str(out, "\\n");
			} else if (c == '\t') {
				buf_append_str(out, "\\t");
			} else if (c == '\r') {
				buf_append_str(out, "\\r");
			} else if (c < 0x20 || c == 0x7f) {
				buf_printf(out, "\\u%04x", c);
			} else {
				buf_append_byte(out, c);
			}
		}
		off += valid;
		if (off < text.len) {
			buf_append_str(out, "\xef\xbf\xbd");
			off++;
		}
	}
}

void jw_key(struct jw *j, const char *key)
{
	assert(j->depth > 0 && j->is_object[j->depth] && !j->after_key);
	if (j->has_items[j->depth])
		buf_append_byte(j->out, ',');
	j->has_items[j->depth] = true;
	buf_append_byte(j->out, '"');
	append_escaped(j->out, slice_str(key));
	buf_append_str(j->out, "\":");
	j->after_key = true;
}

void jw_str(struct jw *j, const char *text)
{
	if (text)
		jw_text(j, slice_str(text));
	else
		jw_null(j);
}

void jw_text(struct jw *j, struct slice text)
{
	before_value(j);
	buf_append_byte(j->out, '"');
	append_escaped(j->out, text);
	buf_append_byte(j->out, '"');
}

/* Lists have millions of numbers, and printf() takes five times as long over one. */
static void append_digits(struct buf *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_append(out, digits + at, sizeof(digits) - at);
}

void jw_int(struct jw *j, int64_t value)
{
	before_value(j);
	if (value < 0)
		buf_append_byte(j->out, '-');
	append_digits(j->out, value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value);
}

void jw_uint(struct jw *j, uint64_t value)
{
	before_value(j);
	append_digits(j->out, value);
}

void jw_double(struct jw *j, double value, int decimals)
{
	if (!isfinite(value)) {
		jw_null(j);
		return;
	}
	before_value(j);
	buf_printf(j->out, "%.*f", decimals, value);
}

void jw_float(struct jw *j, float value)
{
	if (!isfinite(value)) {
		jw_null(j);
		return;
	}
	before_value(j);
	buf_printf(j->out, "%.9g", (double)value);
}

void jw_bool(struct jw *j, bool value)
{
	before_value(j);
	buf_append_str(j->out, value ? "true" : "false");
}

void jw_null(struct jw *j)
{
	before_value(j);
	buf_append_str(j->out, "null");
}

void jw_raw(struct jw *j, struct slice json)
{
	before_value(j);
	buf_append(j->out, json.ptr, json.len);
}

void jw_str_field(struct jw *j, const char *key, const char *text)
{
	jw_key(j, key);
	jw_str(j, text);
}

void jw_uint_field(struct jw *j, const char *key, uint64_t value)
{
	jw_key(j, key);
	jw_uint(j, value);
}

void jw_bool_field(struct jw *j, const char *key, bool value)
{
	jw_key(j, key);
	jw_bool(j, value);
}

void jw_bytes_field(struct jw *j, const char *key, struct slice bytes)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char hex_key[64];
	struct buf hex = { 0 };

	/* Our own reader, like many others, takes no NUL in a text. */
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.ptr[i] != '\0')
			buf_append_byte(&text, bytes.ptr[i]);
		else
			buf_append_str(&text, "\xef\xbf\xbd");
	}
	jw_key(j, key);
	jw_text(j, buf_slice(&text));
	if (text.len == bytes.len && utf8_is_valid(bytes))
		return;
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	for (size_t i = 0; i < bytes.len; i++)
		buf_printf(&hex, "%02x", bytes.ptr[i]);
	jw_str_field(j, hex_key, buf_cstr(&hex));
	buf_fini(&hex);
}
