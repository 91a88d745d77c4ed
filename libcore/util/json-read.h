/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JSON reader: our own files and the older tool's, through jansson
 *
 * A document is parsed whole, under a size limit of the caller's, with duplicate keys refused. A
 * child is borrowed from its document. Getters return false when the key is absent or of another
 * type, so that a reader states what it needs and turns everything else away.
 */

struct jr;

/* *@out is owned. VS_EFORMAT says what is wrong and at which byte. */
must_check_ int jr_parse(struct jr **out, struct slice text, struct vs_err *err);
/*
 * The same for JSON that another program wrote: keys may come twice, and a NUL in a key or a string,
 * which is valid and which no string here can hold, is read as U+FFFD.
 */
must_check_ int jr_parse_foreign(struct jr **out, struct slice text, struct vs_err *err);
void jr_freep(struct jr **doc);

bool jr_is_object(const struct jr *v);
bool jr_is_array(const struct jr *v);
bool jr_is_null(const struct jr *v);
bool jr_as_str(const struct jr *v, const char **out); /* no NUL inside */
bool jr_as_uint(const struct jr *v, uint64_t *out);
bool jr_as_int(const struct jr *v, int64_t *out);
bool jr_as_double(const struct jr *v, double *out); /* integers too */

const struct jr *jr_get(const struct jr *object, const char *key); /* NULL when absent */
bool jr_get_str(const struct jr *object, const char *key, const char **out);
bool jr_get_uint(const struct jr *object, const char *key, uint64_t *out);
bool jr_get_int(const struct jr *object, const char *key, int64_t *out);
bool jr_get_bool(const struct jr *object, const char *key, bool *out);
/*
 * The bytes that jw_bytes_field() wrote: the text at @key, or, where there is one, what "<key>_hex"
 * spells. @out is emptied first. False: not there, or no such text.
 */
must_check_ bool jr_get_bytes(const struct jr *object, const char *key, struct buf *out);

size_t jr_count(const struct jr *array); /* 0 for anything but an array */
const struct jr *jr_at(const struct jr *array, size_t index);

/* Each key of an object, in the order of the text. Stops and returns what @fn returns when it is
 * not 0. */
int jr_each(const struct jr *object, int (*fn)(void *ctx, const char *key, const struct jr *value),
	    void *ctx);
