/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Cursor: bounded reads from bytes that are not trusted
 *
 * Every decoder reads through one, so that no length taken from a file is used before it was
 * compared with the bytes left. Reads return false and leave the cursor where it was when there are
 * too few bytes.
 */
struct cursor {
	const unsigned char *start;
	const unsigned char *pos;
	const unsigned char *end;
};

static inline struct cursor cursor_of(struct slice bytes)
{
	/* Nothing may be added to a null pointer, not even nothing. */
	const unsigned char *end = bytes.len > 0 ? bytes.ptr + bytes.len : bytes.ptr;

	return (struct cursor){ bytes.ptr, bytes.ptr, end };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

/* Offset of the next byte from where the cursor began. */
static inline size_t cursor_off(const struct cursor *c)
{
	return (size_t)(c->pos - c->start);
}

must_check_ static inline bool cursor_take(struct cursor *c, uint64_t len, struct slice *out)
{
	if (len > cursor_left(c))
		return false;
	*out = slice_of(c->pos, (size_t)len);
	c->pos += len;
	return true;
}

must_check_ static inline bool cursor_skip(struct cursor *c, uint64_t len)
{
	struct slice skipped;

	return cursor_take(c, len, &skipped);
}

must_check_ static inline bool cursor_u8(struct cursor *c, uint8_t *out)
{
	if (cursor_left(c) < 1)
		return false;
	*out = *c->pos++;
	return true;
}

/* Little-endian integers; compilers turn these into single loads. */
static inline uint32_t load_le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load_le64(const unsigned char *p)
{
	return load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

static inline uint64_t load_be64(const unsigned char *p)
{
	return __builtin_bswap64(load_le64(p));
}

static inline uint32_t load_be32(const unsigned char *p)
{
	return __builtin_bswap32(load_le32(p));
}

must_check_ static inline bool cursor_le32(struct cursor *c, uint32_t *out)
{
	if (cursor_left(c) < 4)
		return false;
	*out = load_le32(c->pos);
	c->pos += 4;
	return true;
}

must_check_ static inline bool cursor_le64(struct cursor *c, uint64_t *out)
{
	if (cursor_left(c) < 8)
		return false;
	*out = load_le64(c->pos);
	c->pos += 8;
	return true;
}
