/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The writing half of the room: appends to a buffer what Go's encoding/gob sends
 *
 * The caller states the shape: type definitions first, each a message of its own, then the value.
 * Whatever is stated comes out in the one form that Go's encoder would give it (shortest integers,
 * least number of bytes for a float). Nothing here fails; a buffer that cannot grow aborts, so
 * sizes from outside are checked before.
 */

#include "util/util.h"

/* Numbers of the types that gob knows without a definition. */
enum gob_basic {
	GOB_BASIC_FLOAT = 4,
	GOB_BASIC_STRING = 6,
};

/* ---- values ---- */

void gob_put_uint(struct buf *out, uint64_t value);
void gob_put_int(struct buf *out, int64_t value);
void gob_put_float(struct buf *out, double value);
void gob_put_string(struct buf *out, struct slice text);

/* A slice of float32: the count, then each element. The sign of zeros and what NaNs carry is kept.
 */
void gob_put_float32s(struct buf *out, const float *values, size_t count);

/* ---- structs ---- */

/*
 * The value of a struct: announce each field by its number (from 0, rising) with
 * gob_struct_field(), then put its value; fields with the zero value are left out, which is for the
 * caller to do. gob_struct_end() puts the end mark.
 */
struct gob_struct {
	struct buf *out;
	unsigned next; /* the lowest number that may come */
};

static inline struct gob_struct gob_struct_begin(struct buf *out)
{
	return (struct gob_struct){ out, 0 };
}

void gob_struct_field(struct gob_struct *s, unsigned number);
void gob_struct_end(struct gob_struct *s);

/* ---- messages ---- */

/* What is put between begin and end becomes one message, with its length in front. */
size_t gob_message_begin(const struct buf *out);
void gob_message_end(struct buf *out, size_t begin);

/* ---- type definitions, each a whole message ---- */

struct gob_field_type {
	const char *name;
	int64_t type;
};

/* @name may be empty, as it is for Go's struct types without a name. */
void gob_put_struct_type(struct buf *out, int64_t number, const char *name,
			 const struct gob_field_type *fields, size_t count);
void gob_put_map_type(struct buf *out, int64_t number, const char *name, int64_t key,
		      int64_t element);
void gob_put_slice_type(struct buf *out, int64_t number, const char *name, int64_t element);
