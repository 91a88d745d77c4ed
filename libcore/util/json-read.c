/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The JSON reader: a narrow face on jansson, which bounds nesting itself. The opaque type is
 * jansson's own value; the casts stay in this file.
 */

#include "util/util.h"

#include <jansson.h>

static const json_t *inner(const struct jr *v)
{
	return (const json_t *)v;
}

static const struct jr *outer(const json_t *v)
{
	return (const struct jr *)v;
}

static int load(struct jr **out, struct slice text, size_t flags, struct vs_err *err)
{
	json_error_t why;
	json_t *root = json_loadb((const char *)text.ptr, text.len, flags, &why);

	if (!root)
		return vs_fail(err, VS_EFORMAT, "not JSON: %s at byte %d", why.text, why.position);
	*out = (struct jr *)root;
	return 0;
}

int jr_parse(struct jr **out, struct slice text, struct vs_err *err)
{
	return load(out, text, JSON_REJECT_DUPLICATES, err);
}

int jr_parse_foreign(struct jr **out, struct slice text, struct vs_err *err)
{
	static const char nul[] = "\\u0000";
	static const char instead[] = "\\ufffd";
	cleanup_(buf_fini) struct buf copy = { 0 };

	if (memmem(text.ptr, text.len, nul, sizeof(nul) - 1) == NULL)
		return load(out, text, 0, err);
	buf_append(&copy, text.ptr, text.len);
	for (size_t at = 0; at + sizeof(nul) - 1 <= copy.len; at++) {
		if (copy.ptr[at] != '\\')
			continue;
		if (memcmp(copy.ptr + at, nul, sizeof(nul) - 1) == 0)
			memcpy(copy.ptr + at, instead, sizeof(instead) - 1);
		/* What follows belongs to it, were it another one of them. */
		at++;
	}
	return load(out, buf_slice(&copy), 0, err);
}

void jr_freep(struct jr **doc)
{
	json_decref((json_t *)*doc);
	*doc = NULL;
}

static bool has_type(const struct jr *v, json_type type)
{
	return v && json_typeof(inner(v)) == type;
}

bool jr_is_object(const struct jr *v)
{
	return has_type(v, JSON_OBJECT);
}

bool jr_is_array(const struct jr *v)
{
	return has_type(v, JSON_ARRAY);
}

bool jr_is_null(const struct jr *v)
{
	return has_type(v, JSON_NULL);
}

bool jr_as_str(const struct jr *v, const char **out)
{
	if (!has_type(v, JSON_STRING))
		return false;
	*out = json_string_value(inner(v));
	return true;
}

bool jr_as_uint(const struct jr *v, uint64_t *out)
{
	if (!has_type(v, JSON_INTEGER) || json_integer_value(inner(v)) < 0)
		return false;
	*out = (uint64_t)json_integer_value(inner(v));
	return true;
}

bool jr_as_int(const struct jr *v, int64_t *out)
{
	if (!has_type(v, JSON_INTEGER))
		return false;
	*out = json_integer_value(inner(v));
	return true;
}

bool jr_as_double(const struct jr *v, double *out)
{
	if (!has_type(v, JSON_REAL) && !has_type(v, JSON_INTEGER))
		return false;
	*out = json_number_value(inner(v));
	return true;
}

const struct jr *jr_get(const struct jr *object, const char *key)
{
	return has_type(object, JSON_OBJECT) ? outer(json_object_get(inner(object), key)) : NULL;
}

bool jr_get_str(const struct jr *object, const char *key, const char **out)
{
	return jr_as_str(jr_get(object, key), out);
}

bool jr_get_uint(const struct jr *object, const char *key, uint64_t *out)
{
	return jr_as_uint(jr_get(object, key), out);
}

bool jr_get_int(const struct jr *object, const char *key, int64_t *out)
{
	return jr_as_int(jr_get(object, key), out);
}

bool jr_get_bool(const struct jr *object, const char *key, bool *out)
{
	const struct jr *v = jr_get(object, key);

	if (!has_type(v, JSON_TRUE) && !has_type(v, JSON_FALSE))
		return false;
	*out = has_type(v, JSON_TRUE);
	return true;
}

bool jr_get_bytes(const struct jr *object, const char *key, struct buf *out)
{
	char hex_key[64];
	const char *text;
	struct vs_err err;
	size_t len;

	buf_clear(out);
	if (!jr_get_str(object, key, &text))
		return false;
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	if (!jr_get(object, hex_key)) {
		buf_append_str(out, text);
		return true;
	}
	if (!jr_get_str(object, hex_key, &text))
		return false;
	len = strlen(text) / 2;
	if (buf_try_reserve(out, len + 1, &err) < 0 || !hex_parse(slice_str(text), out->ptr, len))
		return false;
	out->len = len;
	return true;
}

size_t jr_count(const struct jr *array)
{
	return has_type(array, JSON_ARRAY) ? json_array_size(inner(array)) : 0;
}

const struct jr *jr_at(const struct jr *array, size_t index)
{
	return has_type(array, JSON_ARRAY) ? outer(json_array_get(inner(array), index)) : NULL;
}

int jr_each(const struct jr *object, int (*fn)(void *ctx, const char *key, const struct jr *value),
	    void *ctx)
{
	/* The iterator takes a mutable object and does not change it. */
	json_t *root = (json_t *)(uintptr_t)object;
	int r;

	if (!has_type(object, JSON_OBJECT))
		return 0;
	for (void *it = json_object_iter(root); it; it = json_object_iter_next(root, it)) {
		r = fn(ctx, json_object_iter_key(it), outer(json_object_iter_value(it)));
		if (r != 0)
			return r;
	}
	return 0;
}
