/* SPDX-License-Identifier: Apache-2.0 */

/* Buffers and allocation. Sizes from outside take the functions that can fail; all others abort. */

#include "util/util.h"

int slice_cmp(struct slice a, struct slice b)
{
	size_t len = VS_MIN(a.len, b.len);
	int r = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

	return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

void buf_fini(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){ 0 };
}

int buf_try_reserve(struct buf *b, size_t more, struct vs_err *err)
{
	unsigned char *ptr;
	size_t need;
	size_t cap;

	if (__builtin_add_overflow(b->len, more, &need))
		return vs_fail(err, VS_ENOMEM, "a buffer of more than %zu bytes", SIZE_MAX);
	if (need <= b->cap)
		return 0;
	cap = VS_MAX(need, VS_MAX(b->cap + b->cap / 2, (size_t)256));
	ptr = realloc(b->ptr, cap);
	if (!ptr)
		return vs_fail(err, VS_ENOMEM, "no memory for a buffer of %zu bytes", cap);
	b->ptr = ptr;
	b->cap = cap;
	return 0;
}

static void reserve_or_abort(struct buf *b, size_t more)
{
	struct vs_err err;

	/* Mostly there is room, and an error to fill is larger than what is appended. */
	if (more <= b->cap - b->len)
		return;
	err = (struct vs_err){ 0 };
	if (buf_try_reserve(b, more, &err) < 0)
		abort();
}

void buf_append(struct buf *b, const void *ptr, size_t len)
{
	if (len == 0)
		return;
	reserve_or_abort(b, len);
	memcpy(b->ptr + b->len, ptr, len);
	b->len += len;
}

void buf_append_str(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void buf_append_byte(struct buf *b, unsigned char byte)
{
	buf_append(b, &byte, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(len >= 0);
	reserve_or_abort(b, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf((char *)b->ptr + b->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)len;
}

const char *buf_cstr(struct buf *b)
{
	reserve_or_abort(b, 1);
	b->ptr[b->len] = '\0';
	return (const char *)b->ptr;
}

char *buf_take_str(struct buf *b)
{
	char *text;

	buf_cstr(b);
	text = (char *)b->ptr;
	*b = (struct buf){ 0 };
	return text;
}

void *vs_alloc(size_t size)
{
	return vs_alloc_array(1, size);
}

void *vs_alloc_array(size_t count, size_t size)
{
	void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	if (!ptr)
		abort();
	return ptr;
}

char *vs_strdup(const char *text)
{
	return vs_strndup(slice_str(text));
}

char *vs_strndup(struct slice text)
{
	char *copy = vs_alloc(text.len + 1);

	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	return copy;
}

void *vs_grow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t count = *cap;
	void *grown;

	if (need <= count)
		return array;
	count = VS_MAX(need, VS_MAX(count * 2, (size_t)8));
	grown = reallocarray(array, count, size);
	if (!grown)
		abort();
	*cap = count;
	return grown;
}

void *vs_try_alloc(size_t count, size_t size)
{
	return calloc(count > 0 ? count : 1, size > 0 ? size : 1);
}

void vs_freep(void *pointer_to_pointer)
{
	void **ptr = pointer_to_pointer;

	free(*ptr);
	*ptr = NULL;
}

void vs_free_const(const void *owned)
{
	void *mine;

	memcpy(&mine, &owned, sizeof(mine));
	free(mine);
}
