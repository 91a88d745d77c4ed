/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JSON writer: appends one document to a buffer
 *
 * It remembers what is open, so that commas and nesting are right by construction; closing the
 * wrong thing is a bug and asserts. Strings must be text; bytes that are not valid UTF-8 are
 * written as U+FFFD, and jw_bytes_field() adds the exact bytes in hex beside them. Compact form,
 * no line breaks.
 */

#define JW_DEPTH_MAX 32

struct jw {
	struct buf *out;
	unsigned depth;
	bool has_items[JW_DEPTH_MAX];
	bool is_object[JW_DEPTH_MAX];
	bool after_key;
};

void jw_init(struct jw *j, struct buf *out);

void jw_object(struct jw *j);
void jw_object_end(struct jw *j);
void jw_array(struct jw *j);
void jw_array_end(struct jw *j);
void jw_key(struct jw *j, const char *key);

void jw_str(struct jw *j, const char *text); /* NULL writes null */
void jw_text(struct jw *j, struct slice text);
void jw_int(struct jw *j, int64_t value);
void jw_uint(struct jw *j, uint64_t value);
void jw_double(struct jw *j, double value, int decimals); /* not finite: null */
void jw_float(struct jw *j,
	      float value); /* the shortest form that reads back the same; not finite: null */
void jw_bool(struct jw *j, bool value);
void jw_null(struct jw *j);
void jw_raw(struct jw *j, struct slice json); /* a value that is JSON already */

/* key and value in one call, for objects */
void jw_str_field(struct jw *j, const char *key, const char *text);
void jw_uint_field(struct jw *j, const char *key, uint64_t value);
void jw_bool_field(struct jw *j, const char *key, bool value);

/* "key": text, and "key_hex": all its bytes where they are not valid UTF-8, or a NUL is among them. */
void jw_bytes_field(struct jw *j, const char *key, struct slice bytes);
