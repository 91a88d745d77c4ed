/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Integers, messages and the order of definitions and values.
 *
 * Go reads the input as it goes, so that what counts is how many bytes there are when they are
 * needed: a message is wanted whole before any byte of it is looked at, and bytes behind the last
 * message that was needed are never seen.
 */

#include "gob/wire.h"

int gob_refuse(struct gob_reader *r, enum gob_fault_kind kind, uint64_t off, const char *go,
	       const char *fmt, ...)
{
	va_list ap;

	r->fault.kind = kind;
	r->fault.off = off;
	snprintf(r->fault.go_text, sizeof(r->fault.go_text), "%s", go);
	va_start(ap, fmt);
	vsnprintf(r->fault.text, sizeof(r->fault.text), fmt, ap);
	va_end(ap);
	return GOB_REFUSED;
}

void gob_reader_init(struct gob_reader *r, struct slice bytes, struct gob_ending ending)
{
	struct gob_reader fresh = {
		.input = bytes,
		.ending = ending,
		.types = r->types,
		.type_cap = r->type_cap,
		.fields = r->fields,
		.field_cap = r->field_cap,
		.table = r->table,
		.table_size = r->table_size,
	};

	if (fresh.table)
		memset(fresh.table, 0, fresh.table_size * sizeof(*fresh.table));
	*r = fresh;
}

void gob_reader_fini(struct gob_reader *r)
{
	free(r->types);
	free(r->fields);
	free(r->table);
	*r = (struct gob_reader){ 0 };
}

static void note_long_integer(struct gob_reader *r, size_t off)
{
	if (r->notes.has_long_integer)
		return;
	r->notes.has_long_integer = true;
	r->notes.long_integer_off = off;
}

/* The @len bytes of an integer behind its length byte, which is at r->input.ptr[@off]. */
static uint64_t take_big_endian(struct gob_reader *r, size_t off, unsigned len)
{
	const unsigned char *p = r->input.ptr + off + 1;
	uint64_t u = 0;

	if (p[0] == 0 || (len == 1 && p[0] <= 0x7f))
		note_long_integer(r, off);
	for (unsigned i = 0; i < len; i++)
		u = u << 8 | p[i];
	return u;
}

static int refuse_wide_integer(struct gob_reader *r, size_t off)
{
	return gob_refuse(r, GOB_FAULT_DATA, off, "gob: encoded unsigned integer out of range",
			  "an integer of more than 8 bytes at offset %zu", off);
}

int gob_read_uint_slow(struct gob_reader *r, uint64_t *out)
{
	size_t off = r->pos;
	unsigned len;
	char go[96];

	if (off == r->end)
		return gob_refuse(r, GOB_FAULT_DATA, off, "EOF",
				  "message ends at offset %zu, inside its value", off);
	r->pos++;
	if (r->input.ptr[off] <= 0x7f) {
		*out = r->input.ptr[off];
		return 0;
	}
	len = 256u - r->input.ptr[off];
	if (len > 8)
		return refuse_wide_integer(r, off);
	if (gob_left(r) < len) {
		snprintf(go, sizeof(go), "gob: invalid uint data length %u: exceeds input size %zu",
			 len, gob_left(r));
		return gob_refuse(r, GOB_FAULT_DATA, off, go,
				  "need an integer of %u bytes at offset %zu, message has %zu left",
				  len, off + 1, gob_left(r));
	}
	*out = take_big_endian(r, off, len);
	r->pos += len;
	return 0;
}

int gob_read_bytes(struct gob_reader *r, struct slice *out, bool *is_possible)
{
	uint64_t len = 0;
	int ret = gob_read_uint(r, &len);

	*is_possible = false;
	if (ret != 0)
		return ret;
	if (len > gob_left(r) || len >= GOB_MESSAGE_MAX)
		return 0;
	*is_possible = true;
	*out = slice_of(r->input.ptr + r->pos, (size_t)len);
	r->pos += (size_t)len;
	return 0;
}

int gob_read_string(struct gob_reader *r, struct slice *out)
{
	size_t off = r->pos;
	bool is_possible;
	int ret = gob_read_bytes(r, out, &is_possible);

	if (ret != 0 || is_possible)
		return ret;
	return gob_refuse(r, GOB_FAULT_DATA, off, "gob: bad string slice length: 0",
			  "length of the string at offset %zu is more than the message has left",
			  off);
}

int gob_read_step(struct gob_reader *r, const char *what, uint32_t count, int64_t *field,
		  bool *has_end_mark)
{
	size_t off = r->pos;
	uint64_t step = 0;
	char go[96];
	int ret;

	*has_end_mark = false;
	if (gob_left(r) == 0) {
		*field = -1;
		return 0;
	}
	ret = gob_read_uint(r, &step);
	if (ret != 0)
		return ret;
	if (step > INT64_MAX) {
		snprintf(go, sizeof(go), "gob: %sdecode: corrupted data: negative delta", what);
		return gob_refuse(r, GOB_FAULT_DATA, off, go,
				  "step of 2^63 or more to the next field at offset %zu", off);
	}
	if (step == 0) {
		*has_end_mark = true;
		*field = -1;
		return 0;
	}
	if (step >= (uint64_t)count - (uint64_t)*field)
		return gob_refuse(
			r, GOB_FAULT_DATA, off, "gob: bad data: field numbers out of bounds",
			"step to field %" PRIu64 " of a struct of %u fields at offset %zu",
			(uint64_t)*field + step + 1, count, off);
	*field += (int64_t)step;
	return 0;
}

/* ---- messages ---- */

static int refuse_end(struct gob_reader *r, const char *go, size_t off, const char *what,
		      uint64_t need)
{
	size_t have = r->input.len - off;

	if (r->ending.is_limit)
		return gob_refuse(r, GOB_FAULT_LIMIT, off, "",
				  "%s at offset %zu goes beyond the limit of %zu bytes", what, off,
				  r->input.len);
	if (r->ending.error)
		return gob_refuse(r, GOB_FAULT_SOURCE, r->input.len, r->ending.error,
				  "%s at offset %zu: %s after %zu bytes", what, off,
				  r->ending.error, r->input.len);
	return gob_refuse(r, GOB_FAULT_END, off, go,
			  "need %" PRIu64 " bytes at offset %zu for %s, %zu left", need, off, what,
			  have);
}

/* Take the next message off the input. */
static int read_message(struct gob_reader *r, bool is_first)
{
	size_t off = r->end;
	size_t left = r->input.len - off;
	unsigned extra = 0;
	uint64_t len;

	if (left == 0)
		return refuse_end(r, is_first ? "EOF" : "unexpected EOF", off, "a message", 1);
	len = r->input.ptr[off];
	if (len > 0x7f) {
		extra = 256u - (unsigned)len;
		if (extra > 8)
			return refuse_wide_integer(r, off);
		if (left - 1 < extra)
			return refuse_end(r, "unexpected EOF", off, "a message's length",
					  extra + 1);
		len = take_big_endian(r, off, extra);
	}
	if (len >= GOB_MESSAGE_MAX)
		return gob_refuse(r, GOB_FAULT_DATA, off, "invalid message length",
				  "a message of %" PRIu64 " bytes at offset %zu", len, off);
	off += 1 + extra;
	if (len > r->input.len - off)
		return refuse_end(r, "unexpected EOF", off, "a message", len);
	r->pos = off;
	r->end = off + (size_t)len;
	return 0;
}

/*
 * An integer in front of a value. Go notes its faults and goes on with the number 0, which is found
 * out by what follows, or at the end.
 */
static uint64_t read_number(struct gob_reader *r)
{
	size_t off = r->pos;
	unsigned len;
	uint64_t u;

	r->is_pending = true;
	if (off == r->end) {
		gob_refuse(r, GOB_FAULT_DATA, off, "EOF",
			   "message ends at offset %zu, before a type number", off);
		return 0;
	}
	u = r->input.ptr[r->pos++];
	if (u > 0x7f) {
		len = 256u - (unsigned)u;
		if (len > 8) {
			refuse_wide_integer(r, off);
			return 0;
		}
		if (gob_left(r) < len) {
			r->pos = r->end;
			gob_refuse(r, GOB_FAULT_DATA, off, "unexpected EOF",
				   "message ends inside the type number at offset %zu", off);
			return 0;
		}
		u = take_big_endian(r, off, len);
		r->pos += len;
	}
	r->is_pending = false;
	return u;
}

int gob_read_type_number(struct gob_reader *r, bool is_interface, int32_t *type)
{
	bool is_first = true;
	size_t off;
	int ret;

	while (!r->is_pending) {
		if (gob_left(r) == 0) {
			if (!is_interface)
				r->notes.definitions_end = r->end;
			ret = read_message(r, is_first);
			if (ret != 0)
				return ret;
		}
		/* Go keeps 32 bits of it. */
		off = r->pos;
		*type = (int32_t)gob_to_int(read_number(r));
		if (*type >= 0)
			return 0;
		ret = gob_read_definition(r, (int32_t)(0 - (uint32_t)*type), off);
		if (ret != 0)
			return ret;
		if (gob_left(r) > 0) {
			if (!is_interface)
				return gob_refuse(r, GOB_FAULT_DATA, r->pos, "extra data in buffer",
						  "%zu bytes behind a definition at offset %zu",
						  gob_left(r), r->pos);
			read_number(r);
		}
		is_first = false;
	}
	return GOB_REFUSED;
}
