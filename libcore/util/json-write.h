/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JSON writer: appends one document to a buffer
 *
 * It remembers what is open, so that commas and nesting are right by construction; closing the
 * wrong thing is a bug and asserts. Strings must be text; bytes that are not valid UTF-8 are
 * written as U+FFFD, and json_bytes_field() adds the exact bytes in hex beside them. Compact form,
 * no line breaks.
 */

#define JSON_DEPTH_MAX 32

struct json {
	struct buf *out;
	unsigned depth;
	bool has_items[JSON_DEPTH_MAX];
	bool is_object[JSON_DEPTH_MAX];
	bool after_key;
};

void json_init(struct json *j, struct buf *out);

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);
void json_key(struct json *j, const char *key);

void json_str(struct json *j, const char *text); /* NULL writes null */
void json_text(struct json *j, struct slice text);
void json_int(struct json *j, int64_t value);
void json_uint(struct json *j, uint64_t value);
void json_double(struct json *j, double value, int decimals); /* not finite: null */
void json_float(struct json *j,
		float value); /* the shortest form that reads back the same; not finite: null */
void json_bool(struct json *j, bool value);
void json_null(struct json *j);

/* key and value in one call, for objects */
void json_str_field(struct json *j, const char *key, const char *text);
void json_uint_field(struct json *j, const char *key, uint64_t value);
void json_bool_field(struct json *j, const char *key, bool value);

/* "key": text, and "key_hex": all its bytes where they are not valid UTF-8. */
void json_bytes_field(struct json *j, const char *key, struct slice bytes);
