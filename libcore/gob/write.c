/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Go's encoding/gob sends, appended to a buffer
 *
 *	unsigned   below 128: one byte; else 256 - n, then n bytes, big endian, none needless
 *	signed     unsigned; i << 1, or ~i << 1 | 1 below zero
 *	float      the 8 bytes of the double in reverse order, as an unsigned
 *	string     length, bytes
 *	struct     (step to the next field, value)* 0
 *	message    length, bytes
 *	type       message: -number, then a struct with one field: what kind of type it is
 */

#include "gob/gob-write.h"

#include <endian.h>

/* Kinds of types, as fields of a definition. */
enum {
	KIND_SLICE = 1,
	KIND_STRUCT = 2,
	KIND_MAP = 3,
};

/* The longest integer: the byte that gives its length, and 8 more. */
#define UINT_CAP 9

/* Write @value to @at, where UINT_CAP bytes are free, and return how many it took. */
static size_t encode_uint(unsigned char *at, uint64_t value)
{
	uint64_t swapped;
	size_t count;

	if (value < 0x80) {
		*at = (unsigned char)value;
		return 1;
	}
	count = 8 - (size_t)__builtin_clzll(value) / 8;
	at[0] = (unsigned char)(256 - count);
	swapped = htobe64(value << (64 - 8 * count));
	memcpy(at + 1, &swapped, sizeof(swapped));
	return 1 + count;
}

/*
 * The bytes of the reversed double, highest first, are those of the double in memory, lowest first:
 * what an unsigned leaves off in front are the zero bytes at the low end.
 */
static size_t encode_float(unsigned char *at, double value)
{
	uint64_t bits;
	size_t zeros;

	memcpy(&bits, &value, sizeof(bits));
	zeros = bits != 0 ? (size_t)__builtin_ctzll(bits) / 8 : 7;
	bits >>= 8 * zeros;
	if (zeros == 7 && bits < 0x80) {
		*at = (unsigned char)bits;
		return 1;
	}
	at[0] = (unsigned char)(256 - (8 - zeros));
	bits = htole64(bits);
	memcpy(at + 1, &bits, sizeof(bits));
	return 1 + 8 - zeros;
}

void gob_put_uint(struct buf *out, uint64_t value)
{
	unsigned char bytes[UINT_CAP];

	buf_append(out, bytes, encode_uint(bytes, value));
}

void gob_put_int(struct buf *out, int64_t value)
{
	uint64_t bits = (uint64_t)value;

	gob_put_uint(out, value < 0 ? ~bits << 1 | 1 : bits << 1);
}

void gob_put_float(struct buf *out, double value)
{
	unsigned char bytes[UINT_CAP];

	buf_append(out, bytes, encode_float(bytes, value));
}

void gob_put_string(struct buf *out, struct slice text)
{
	gob_put_uint(out, text.len);
	buf_append(out, text.ptr, text.len);
}

void gob_put_float32s(struct buf *out, const float *values, size_t count)
{
	unsigned char bytes[64 * UINT_CAP];
	size_t len = 0;

	gob_put_uint(out, count);
	for (size_t i = 0; i < count; i++) {
		len += encode_float(bytes + len, (double)values[i]);
		if (len > sizeof(bytes) - UINT_CAP) {
			buf_append(out, bytes, len);
			len = 0;
		}
	}
	buf_append(out, bytes, len);
}

void gob_struct_field(struct gob_struct *s, unsigned number)
{
	assert(number >= s->next);
	gob_put_uint(s->out, number + 1 - s->next);
	s->next = number + 1;
}

void gob_struct_end(struct gob_struct *s)
{
	buf_append_byte(s->out, 0);
}

size_t gob_message_begin(const struct buf *out)
{
	return out->len;
}

void gob_message_end(struct buf *out, size_t begin)
{
	unsigned char head[UINT_CAP];
	size_t len = out->len - begin;
	size_t head_len;

	/* The length is known only now, and so is how many bytes it takes: make room in front. */
	assert(len > 0);
	head_len = encode_uint(head, len);
	buf_append(out, head, head_len);
	memmove(out->ptr + begin + head_len, out->ptr + begin, len);
	memcpy(out->ptr + begin, head, head_len);
}

/* The part that all definitions begin with: a struct of name and number. */
static void put_common(struct buf *out, int64_t number, const char *name)
{
	struct gob_struct common = gob_struct_begin(out);

	if (name[0] != '\0') {
		gob_struct_field(&common, 0);
		gob_put_string(out, slice_str(name));
	}
	gob_struct_field(&common, 1);
	gob_put_int(out, number);
	gob_struct_end(&common);
}

/* A definition under way: the message, what kind of type, and that kind's own struct. */
struct definition {
	size_t message;
	struct gob_struct kind;
	struct gob_struct body;
};

static struct definition definition_begin(struct buf *out, int64_t number, const char *name,
					  unsigned kind)
{
	struct definition d = { .message = gob_message_begin(out) };

	gob_put_int(out, -number);
	d.kind = gob_struct_begin(out);
	gob_struct_field(&d.kind, kind);
	d.body = gob_struct_begin(out);
	gob_struct_field(&d.body, 0);
	put_common(out, number, name);
	return d;
}

static void definition_end(struct definition *d)
{
	gob_struct_end(&d->body);
	gob_struct_end(&d->kind);
	gob_message_end(d->body.out, d->message);
}

void gob_put_struct_type(struct buf *out, int64_t number, const char *name,
			 const struct gob_field_type *fields, size_t count)
{
	struct definition d = definition_begin(out, number, name, KIND_STRUCT);

	if (count > 0) {
		gob_struct_field(&d.body, 1);
		gob_put_uint(out, count);
	}
	for (size_t i = 0; i < count; i++)
		put_common(out, fields[i].type, fields[i].name);
	definition_end(&d);
}

void gob_put_map_type(struct buf *out, int64_t number, const char *name, int64_t key,
		      int64_t element)
{
	struct definition d = definition_begin(out, number, name, KIND_MAP);

	gob_struct_field(&d.body, 1);
	gob_put_int(out, key);
	gob_struct_field(&d.body, 2);
	gob_put_int(out, element);
	definition_end(&d);
}

void gob_put_slice_type(struct buf *out, int64_t number, const char *name, int64_t element)
{
	struct definition d = definition_begin(out, number, name, KIND_SLICE);

	gob_struct_field(&d.body, 1);
	gob_put_int(out, element);
	definition_end(&d);
}
