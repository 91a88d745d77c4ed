/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reading half of the room's inside: integers and messages (wire.c), types (types.c,
 * prepare.c), values (value.c, skip.c).
 *
 * Functions return 0, GOB_REFUSED with r->fault filled, or a negative status with @err filled.
 */

#include "gob/gob.h"

#define GOB_REFUSED 1

/* Fill the fault; @go is Go's text. Returns GOB_REFUSED. */
int gob_refuse(struct gob_reader *r, enum gob_fault_kind kind, uint64_t off, const char *go,
	       const char *fmt, ...) printf_(5, 6);

static inline size_t gob_left(const struct gob_reader *r)
{
	return r->end - r->pos;
}

int gob_read_uint_slow(struct gob_reader *r, uint64_t *out);

/* The next unsigned integer of the message. */
static inline int gob_read_uint(struct gob_reader *r, uint64_t *out)
{
	if (r->pos < r->end && r->input.ptr[r->pos] <= 0x7f) {
		*out = r->input.ptr[r->pos++];
		return 0;
	}
	return gob_read_uint_slow(r, out);
}

static inline int64_t gob_to_int(uint64_t u)
{
	int64_t i = (int64_t)(u >> 1);

	return u & 1 ? ~i : i;
}

static inline int gob_read_int(struct gob_reader *r, int64_t *out)
{
	uint64_t u = 0;
	int ret = gob_read_uint(r, &u);

	*out = gob_to_int(u);
	return ret;
}

/*
 * A length, and the bytes it speaks of. *@is_possible tells whether they are there; if not, nothing
 * but the length was read, and the caller refuses in its own words.
 */
int gob_read_bytes(struct gob_reader *r, struct slice *out, bool *is_possible);

/* Go's decString. */
int gob_read_string(struct gob_reader *r, struct slice *out);

/*
 * The next step of a struct with @count fields: *@field is moved to the next field, or set to -1 at
 * the end. @what is "" or "ignore ", for Go's text.
 */
int gob_read_step(struct gob_reader *r, const char *what, uint32_t count, int64_t *field,
		  bool *has_end_mark);

/*
 * Read definitions up to the number of the next value's type. Returns 0 with *@type >= 0 (a pending
 * fault is possible then, as in Go), or GOB_REFUSED.
 */
int gob_read_type_number(struct gob_reader *r, bool is_interface, int32_t *type);

/* ---- types.c ---- */

enum {
	GOB_TYPE_BOOL = 1,
	GOB_TYPE_INT,
	GOB_TYPE_UINT,
	GOB_TYPE_FLOAT,
	GOB_TYPE_BYTES,
	GOB_TYPE_STRING,
	GOB_TYPE_COMPLEX,
	GOB_TYPE_INTERFACE,
	GOB_TYPE_FIELD = 21,
	GOB_TYPE_FIELDS = 22,
	GOB_TYPE_FIRST = 64, /* that a stream may define */
};

/* Read a definition of type @number, which stands at @off, and remember it. */
int gob_read_definition(struct gob_reader *r, int32_t number, size_t off);

struct gob_type *gob_type_find(const struct gob_reader *r, int32_t number);

static inline bool gob_type_is(const struct gob_type *type, enum gob_wire wire)
{
	return type && (type->present & 1u << wire) != 0;
}

/* A struct type, built in or defined. */
struct gob_struct_type {
	const struct gob_builtin *builtin; /* NULL: defined */
	size_t index;                      /* in r->types */
	uint32_t count;                    /* fields */
};

/* The struct type @number; false when it is none. */
bool gob_struct_type_find(const struct gob_reader *r, int32_t number, struct gob_struct_type *out);
struct slice gob_struct_type_name(const struct gob_reader *r, const struct gob_struct_type *s);
struct gob_type_field gob_struct_type_field(const struct gob_reader *r,
					    const struct gob_struct_type *s, uint32_t index);

/* Go's text for a type; of a built-in one only, else NULL. */
struct slice gob_type_text(const struct gob_reader *r, int32_t number);
const char *gob_builtin_text(int32_t number);

/* The element type of a slice type, built in or defined. */
bool gob_slice_elem(const struct gob_reader *r, int32_t number, int32_t *elem);

/* ---- prepare.c ---- */

/* The member of a struct that a field of that name goes to. */
const struct gob_member *gob_shape_member(const struct gob_shape *shape, struct slice name);

/*
 * May a value of type @number be decoded into @shape, and can the rest of it be skipped? The next
 * byte is the value's first.
 */
int gob_prepare(struct gob_reader *r, const struct gob_shape *shape, int32_t number);

/* ---- value.c, skip.c ---- */

int gob_read_value(struct gob_reader *r, const struct gob_shape *shape, int32_t number,
		   const struct gob_sink *sink, struct vs_err *err);
int gob_skip_value(struct gob_reader *r, int32_t number);
