/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * gob: the stream format of Go's encoding/gob
 *
 * The reader accepts and refuses what Go's decoder accepts and refuses, in the same order of
 * checks, so that a refusal carries the text that a Go program would print beside our own text with
 * the byte offset. The caller describes the Go type that the value is decoded into (a shape) and is
 * called back with the values; fields are matched by name, unknown ones are skipped, missing ones
 * are not reported. Strings are slices of the input, and nothing is allocated per value. One thread
 * uses a reader.
 *
 *	stream     = message*
 *	message    = uint(length) body
 *	body       = int(-type) wireType		definition of a type
 *	           | int(type) value			value of a type
 *	           | int(type) 00 value			the same when it is no struct
 *	uint       = 00..7f | (100 - n) byte{n}		n = 1..8, big endian
 *	int        = uint				even u: u >> 1, odd u: ~(u >> 1)
 *	bool       = uint				0 or another
 *	float      = uint				the 8 bytes of a double, reversed
 *	complex    = float float
 *	string, bytes, blob = uint(length) byte{length}
 *	slice, array = uint(count) value{count}
 *	map        = uint(count) (key value){count}
 *	struct     = (uint(step) value)* end		a step is added to the field number,
 *	end        = 00 | end of message		which starts at -1
 *	interface  = 00 | string(name) definition* int(type) uint(length) value
 *	definition = int(-type) wireType [uint]		or in messages of their own
 *
 *	wireType   = struct { array, slice, struct, map, encoder, marshaler, textMarshaler }
 *	array      = struct { common, element int, length int }
 *	slice      = struct { common, element int }
 *	struct     = struct { common, fields []struct { name string, type int } }
 *	map        = struct { common, key int, element int }
 *	others     = struct { common }
 *	common     = struct { name string, number int }
 *
 * Types: 1 bool, 2 int, 3 uint, 4 float, 5 bytes, 6 string, 7 complex, 8 interface, 16..24 the
 * types of definitions themselves, from 64 what the stream defines. A type may be defined after
 * another names it.
 *
 * Differences on purpose: where Go would allocate what a count claims, recurse until its stack is
 * full or go round for ever, this reader stops at one of the limits below.
 */

#include "util/util.h"

#include "gob/gob-write.h"

#define GOB_TYPES_MAX 16384       /* definitions in one stream */
#define GOB_FIELDS_MAX (1u << 18) /* fields of all of them together */
#define GOB_WORK_MAX (1u << 20)   /* types looked at while preparing to read a stream's values */
#define GOB_DEPTH_MAX 10000u      /* values inside values */
#define GOB_NESTING_MAX 10000u    /* Go's own: types inside types that are skipped */
#define GOB_MESSAGE_MAX (UINT64_C(1) << 33) /* Go's own: bytes in a message */

/* ---- the Go type to decode into ---- */

enum gob_kind {
	GOB_BOOL,
	GOB_INT8,
	GOB_INT16,
	GOB_INT32,
	GOB_INT64, /* and int */
	GOB_UINT8,
	GOB_UINT16,
	GOB_UINT32,
	GOB_UINT64, /* and uint, uintptr */
	GOB_FLOAT32,
	GOB_FLOAT64,
	GOB_STRING,
	GOB_BYTES,
	GOB_SLICE,     /* of @elem */
	GOB_MAP,       /* from @key to @elem */
	GOB_STRUCT,    /* of @fields */
	GOB_INTERFACE, /* holding one of @concrete, which are registered under their names */
	/* Types that encode themselves, as bytes: */
	GOB_BLOB,        /* with a GobEncoder, like time.Time */
	GOB_BLOB_BINARY, /* with a BinaryMarshaler */
	GOB_BLOB_TEXT,   /* with a TextMarshaler */
};

struct gob_shape;

/* A field of a struct, or a type registered for interface values. */
struct gob_member {
	const char *name;
	const struct gob_shape *shape;
};

/*
 * Describes a Go type; pointers are left out. Shapes are constants of the caller and outlive the
 * reader. A shape may contain itself only by way of an interface.
 */
struct gob_shape {
	enum gob_kind kind;
	int tag;             /* of the caller's own choice */
	const char *go_type; /* as Go prints the type: "map[string]string" */
	const char *go_name; /* of a struct: its name without package, "" when it has none */
	size_t go_size;      /* of the element of a slice, where that is a struct */
	const struct gob_shape *key;
	const struct gob_shape *elem;
	const struct gob_member *members;
	size_t member_count;
};

/* ---- the values ---- */

enum gob_event_kind {
	GOB_BEGIN, /* of a slice, map or struct; a map's keys and elements come in turn */
	GOB_END,   /* of the same */
	GOB_VALUE, /* anything else */
	GOB_NIL,   /* an interface without a value */
};

struct gob_event {
	enum gob_event_kind kind;
	const struct gob_shape *shape;
	uint64_t off; /* of the value in the input, behind its step or count */
	union {
		struct slice bytes; /* string, bytes, blob: borrowed from the input */
		int64_t i;
		uint64_t u; /* unsigned integers and bool */
		double f;
		uint64_t count; /* at the beginning of a slice or map, as claimed */
	};
};

/*
 * Where values go. When a stream is refused, what was called back before it is void. A field that
 * is there twice is called back twice; Go keeps the last of two strings, numbers or slices and
 * merges two maps. @value returns 0, or a negative status with @err filled to stop.
 */
struct gob_sink {
	void *ctx;
	int (*value)(void *ctx, const struct gob_event *event, struct vs_err *err);
};

/* ---- why a stream was refused ---- */

enum gob_fault_kind {
	GOB_FAULT_NONE,
	GOB_FAULT_END,    /* the input ended where more was needed */
	GOB_FAULT_SOURCE, /* the same, but the input ended with an error of its own */
	GOB_FAULT_DATA,   /* bytes that no encoder writes */
	GOB_FAULT_SHAPE,  /* values of another type than asked for */
	GOB_FAULT_LIMIT,  /* one of our own limits; Go might go on */
};

struct gob_fault {
	enum gob_fault_kind kind;
	uint64_t off;
	char text[192];    /* ours, with the offset */
	char go_text[192]; /* Go's, exactly, but cut where it is longer; empty for limits */
};

/* ---- types that the stream defines ---- */

enum gob_wire {
	GOB_WIRE_ARRAY,
	GOB_WIRE_SLICE,
	GOB_WIRE_STRUCT,
	GOB_WIRE_MAP,
	GOB_WIRE_BLOB,
	GOB_WIRE_BLOB_BINARY,
	GOB_WIRE_BLOB_TEXT,
	GOB_WIRE_COUNT,
};

struct gob_type {
	int32_t number;
	uint32_t present; /* bits 1 << enum gob_wire; a sound definition has exactly one */
	struct slice name[GOB_WIRE_COUNT];
	int32_t own_number[GOB_WIRE_COUNT]; /* what it says its number is; Go does not look */
	int32_t array_elem, slice_elem, map_key, map_elem;
	int64_t array_len;
	uint32_t field_first, field_count;
	uint64_t off;       /* of the number in its definition */
	uint32_t seen;      /* types.c: the last walk that came by */
	bool skip_prepared; /* types.c: its fields were looked at for skipping */
};

struct gob_type_field {
	struct slice name;
	int32_t type;
};

/* ---- the reader ---- */

/* How the input ends. */
struct gob_ending {
	const char *error; /* Go's text for the failure to get more; NULL for an ordinary end */
	bool is_limit;     /* there may be more, but it is more than we take */
};

/* What is noted in passing. Offsets are into the input; only meaningful after a value. */
struct gob_notes {
	uint64_t definitions_end; /* where the value's message begins */
	uint64_t value_off;       /* where the value begins, behind its type's number */
	uint64_t value_end;       /* behind the last byte that was needed */
	uint64_t message_end;     /* of the value's message */
	bool has_end_mark;        /* of the outermost struct */
	int32_t type;             /* of the value */
	bool has_long_integer;    /* an integer was in a longer form than needed */
	uint64_t long_integer_off;
};

struct gob_reader {
	struct slice input;
	struct gob_ending ending;
	size_t pos;
	size_t end; /* of the current message */
	unsigned depth;
	unsigned skip_depth;
	uint32_t work;
	uint32_t walk;   /* number of the current walk over types */
	bool is_pending; /* a fault that Go will only report at the end, as more may follow it */
	struct gob_fault fault;
	struct gob_notes notes;
	struct gob_type *types; /* owned */
	size_t type_count, type_cap;
	struct gob_type_field *fields; /* owned */
	size_t field_count, field_cap;
	uint32_t *table; /* owned; positions in @types by number, open addressing */
	size_t table_size;
	struct {
		const struct gob_shape *shape;
		int32_t type;
	} prepared[16]; /* pairs that fit each other, the latest */
	unsigned prepared_next;
};

/*
 * Start reading @bytes, which outlive the reading. A zeroed reader is valid; one that was used
 * before keeps its memory and forgets everything else.
 */
void gob_reader_init(struct gob_reader *r, struct slice bytes, struct gob_ending ending);
void gob_reader_fini(struct gob_reader *r);

/*
 * Read the next value. Returns 1 for a value, 0 when there is none, with r->fault saying why
 * (GOB_FAULT_END with Go's text "EOF" where the stream simply ends), or a negative status: the
 * sink's own, or VS_ENOMEM.
 */
must_check_ int gob_reader_next(struct gob_reader *r, const struct gob_shape *shape,
				const struct gob_sink *sink, struct vs_err *err);

/* The definition of type @number; NULL when the stream has none. */
const struct gob_type *gob_reader_type(const struct gob_reader *r, int32_t number);

/* Field @index of a struct type. */
static inline const struct gob_type_field *
gob_type_field_at(const struct gob_reader *r, const struct gob_type *type, uint32_t index)
{
	return &r->fields[type->field_first + index];
}

/* The double whose reversed bytes are @u. */
static inline double gob_double(uint64_t u)
{
	uint64_t bits = __builtin_bswap64(u);
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}
