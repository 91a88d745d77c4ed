/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values that nobody asked for: read past, in full, since a value's length is only known from its
 * content. prepare.c has seen to it that every type met here is defined.
 */

#include "gob/wire.h"

static int skip_bytes(struct gob_reader *r, const char *go)
{
	size_t off = r->pos;
	struct slice bytes;
	bool is_possible;
	int ret = gob_read_bytes(r, &bytes, &is_possible);

	if (ret != 0 || is_possible)
		return ret;
	return gob_refuse(r, GOB_FAULT_DATA, off, go,
			  "length at offset %zu is more than the message has left", off);
}

static int skip_struct(struct gob_reader *r, int32_t number)
{
	struct gob_struct_type s;
	int64_t field = -1;
	bool has_end_mark;
	int ret;

	gob_struct_type_find(r, number, &s);
	for (;;) {
		ret = gob_read_step(r, "ignore ", s.count, &field, &has_end_mark);
		if (ret != 0 || field < 0)
			return ret;
		ret = gob_skip_value(r, gob_struct_type_field(r, &s, (uint32_t)field).type);
		if (ret != 0)
			return ret;
	}
}

static int skip_elements(struct gob_reader *r, int32_t elem, int64_t count)
{
	char go[96];
	int ret;

	for (int64_t i = 0; i < count; i++) {
		if (gob_left(r) == 0) {
			snprintf(go, sizeof(go),
				 "gob: decoding array or slice: length exceeds input size "
				 "(%" PRId64 " elements)",
				 count);
			return gob_refuse(r, GOB_FAULT_DATA, r->pos, go,
					  "message ends at offset %zu, after %" PRId64
					  " of %" PRId64 " elements",
					  r->pos, i, count);
		}
		ret = gob_skip_value(r, elem);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int skip_array(struct gob_reader *r, int32_t elem, int64_t len)
{
	size_t off = r->pos;
	uint64_t count;
	int ret = gob_read_uint(r, &count);

	if (ret != 0)
		return ret;
	if (count != (uint64_t)len)
		return gob_refuse(r, GOB_FAULT_DATA, off, "gob: length mismatch in ignoreArray",
				  "array at offset %zu has %" PRIu64 " elements, its type %" PRId64,
				  off, count, len);
	return skip_elements(r, elem, len);
}

static int skip_map(struct gob_reader *r, int32_t key, int32_t elem)
{
	uint64_t count;
	size_t before;
	int ret = gob_read_uint(r, &count);

	if (ret != 0)
		return ret;
	for (int64_t i = 0; i < (int64_t)count; i++) {
		before = r->pos;
		ret = gob_skip_value(r, key);
		if (ret != 0)
			return ret;
		ret = gob_skip_value(r, elem);
		if (ret != 0)
			return ret;
		/*
		 * Structs are empty at the end of a message, and so are all further ones: Go would
		 * count them.
		 */
		if (r->pos == before)
			return 0;
	}
	return 0;
}

static int skip_interface(struct gob_reader *r)
{
	int32_t type;
	int ret = skip_bytes(r, "gob: bad interface encoding: name too large for buffer");

	if (ret != 0)
		return ret;
	ret = gob_read_type_number(r, true, &type);
	if (ret != 0)
		return ret;
	return skip_bytes(r, "gob: bad interface encoding: data length too large for buffer");
}

static int skip_defined(struct gob_reader *r, int32_t number)
{
	const struct gob_type *type = gob_type_find(r, number);

	if (gob_type_is(type, GOB_WIRE_ARRAY))
		return skip_array(r, type->array_elem, type->array_len);
	if (gob_type_is(type, GOB_WIRE_MAP))
		return skip_map(r, type->map_key, type->map_elem);
	if (gob_type_is(type, GOB_WIRE_SLICE)) {
		int32_t elem = type->slice_elem;
		uint64_t count;
		int ret = gob_read_uint(r, &count);

		return ret != 0 ? ret : skip_elements(r, elem, (int64_t)count);
	}
	if (gob_type_is(type, GOB_WIRE_STRUCT))
		return skip_struct(r, number);
	return skip_bytes(r, "gob: GobDecoder: length too large for buffer");
}

int gob_skip_value(struct gob_reader *r, int32_t number)
{
	uint64_t u;
	int ret;

	switch (number) {
	case GOB_TYPE_COMPLEX:
		ret = gob_read_uint(r, &u);
		return ret != 0 ? ret : gob_read_uint(r, &u);
	case GOB_TYPE_BOOL:
	case GOB_TYPE_INT:
	case GOB_TYPE_UINT:
	case GOB_TYPE_FLOAT:
		return gob_read_uint(r, &u);
	case GOB_TYPE_BYTES:
	case GOB_TYPE_STRING:
		return skip_bytes(r, "gob: slice length too large");
	case GOB_TYPE_INTERFACE:
		return skip_interface(r);
	default:
		break;
	}
	if (r->depth == GOB_DEPTH_MAX)
		return gob_refuse(r, GOB_FAULT_LIMIT, r->pos, "",
				  "values nested deeper than %u at offset %zu", GOB_DEPTH_MAX,
				  r->pos);
	r->depth++;
	ret = skip_defined(r, number);
	r->depth--;
	return ret;
}
