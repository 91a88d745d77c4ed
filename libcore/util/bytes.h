/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bytes: borrowed slices, owned buffers, allocation
 */

/* Bytes that somebody else owns; valid as long as their owner says. @ptr may be NULL when @len is
 * 0. */
struct slice {
	const unsigned char *ptr;
	size_t len;
};

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){ ptr, len };
}

static inline struct slice slice_str(const char *text)
{
	return slice_of(text, strlen(text));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *text)
{
	return slice_eq(a, slice_str(text));
}

static inline bool slice_ends_with(struct slice a, const char *tail)
{
	size_t len = strlen(tail);

	return a.len >= len && memcmp(a.ptr + a.len - len, tail, len) == 0;
}

/* Byte order, as memcmp; a prefix sorts first. */
int slice_cmp(struct slice a, struct slice b);

/* A growing buffer. Zeroed is a valid empty one. @ptr is owned. */
struct buf {
	unsigned char *ptr;
	size_t len;
	size_t cap;
};

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->ptr, b->len);
}

void buf_fini(struct buf *b);

/* Forget the content and keep the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

/*
 * Make room for @more bytes behind the content. Returns 0, or VS_ENOMEM without having changed @b;
 * for sizes that come from a file, after they were checked against a named limit.
 */
must_check_ int buf_try_reserve(struct buf *b, size_t more, struct vs_err *err);

/* Append; these abort when memory runs out, and are for text and records of our own making. */
void buf_append(struct buf *b, const void *ptr, size_t len);
void buf_append_str(struct buf *b, const char *text);
void buf_append_byte(struct buf *b, unsigned char byte);
void buf_printf(struct buf *b, const char *fmt, ...) printf_(2, 3);

/* The content as a C string owned by @b, valid until it next changes. */
const char *buf_cstr(struct buf *b);

/* Give the memory away as a malloc'ed C string; @b is empty afterwards. Never NULL. */
char *buf_take_str(struct buf *b);

/* Zeroed memory for small fixed sizes and tables of our own; abort on failure. Free with free(). */
void *vs_alloc(size_t size);
void *vs_alloc_array(size_t count, size_t size);
char *vs_strdup(const char *text);
char *vs_strndup(struct slice text);

/* Grow an array of our own to hold @need elements of @size (doubling @cap); aborts on failure. */
void *vs_grow(void *array, size_t *cap, size_t need, size_t size);

/* Zeroed memory of a size that came from outside; NULL on failure or overflow. */
void *vs_try_alloc(size_t count, size_t size);

void vs_freep(void *pointer_to_pointer);

/* free() for an owner that hands out what it owns as const, such as a slice. */
void vs_free_const(const void *owned);
