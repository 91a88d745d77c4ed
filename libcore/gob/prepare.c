/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Before a value is read: does its type fit what it is to be decoded into, and can the rest of it
 * be skipped?
 *
 * Go finds out for the whole type at once, fields in the order of the definition, before it looks
 * at the first byte of the value. So a stream whose value is cut short as well as of a wrong type
 * is refused for its type.
 */

#include "gob/wire.h"

const struct gob_member *gob_shape_member(const struct gob_shape *shape, struct slice name)
{
	for (size_t i = 0; i < shape->member_count; i++) {
		if (slice_eq_str(name, shape->members[i].name))
			return &shape->members[i];
	}
	return NULL;
}

static bool is_compatible(const struct gob_reader *r, const struct gob_shape *shape, int32_t number)
{
	const struct gob_type *type = gob_type_find(r, number);
	int32_t elem;

	if ((shape->kind == GOB_BLOB) != gob_type_is(type, GOB_WIRE_BLOB) ||
	    (shape->kind == GOB_BLOB_BINARY) != gob_type_is(type, GOB_WIRE_BLOB_BINARY) ||
	    (shape->kind == GOB_BLOB_TEXT) != gob_type_is(type, GOB_WIRE_BLOB_TEXT))
		return false;
	switch (shape->kind) {
	case GOB_BOOL:
		return number == GOB_TYPE_BOOL;
	case GOB_INT8:
	case GOB_INT16:
	case GOB_INT32:
	case GOB_INT64:
		return number == GOB_TYPE_INT;
	case GOB_UINT8:
	case GOB_UINT16:
	case GOB_UINT32:
	case GOB_UINT64:
		return number == GOB_TYPE_UINT;
	case GOB_FLOAT32:
	case GOB_FLOAT64:
		return number == GOB_TYPE_FLOAT;
	case GOB_STRING:
		return number == GOB_TYPE_STRING;
	case GOB_BYTES:
		return number == GOB_TYPE_BYTES;
	case GOB_INTERFACE:
		return number == GOB_TYPE_INTERFACE;
	case GOB_SLICE:
		return gob_slice_elem(r, number, &elem) && is_compatible(r, shape->elem, elem);
	case GOB_MAP:
		return gob_type_is(type, GOB_WIRE_MAP) &&
		       is_compatible(r, shape->key, type->map_key) &&
		       is_compatible(r, shape->elem, type->map_elem);
	case GOB_STRUCT: /* its fields come later */
	case GOB_BLOB:
	case GOB_BLOB_BINARY:
	case GOB_BLOB_TEXT:
		return true;
	}
	return false;
}

/* One more step of a walk over types; a stream only gets so many. */
static int work(struct gob_reader *r)
{
	if (++r->work <= GOB_WORK_MAX)
		return 0;
	return gob_refuse(r, GOB_FAULT_LIMIT, r->pos, "",
			  "types that are too entangled, at offset %zu", r->pos);
}

static int refuse_empty_name(struct gob_reader *r, const struct gob_struct_type *s)
{
	struct slice name = gob_struct_type_name(r, s);
	char go[192];

	snprintf(go, sizeof(go), "gob: empty name for remote field of type %.*s",
		 (int)VS_MIN(name.len, (size_t)150), (const char *)name.ptr);
	return gob_refuse(r, GOB_FAULT_DATA, r->pos, go,
			  "value at offset %zu of a struct that has a field without a name",
			  r->pos);
}

static int prepare_skip(struct gob_reader *r, int32_t number, uint32_t walk);

/* Every field in a walk of its own, as Go does; a type met in a walk is not looked at again in it.
 */
static int prepare_skip_field(struct gob_reader *r, int32_t number)
{
	return prepare_skip(r, number, ++r->walk);
}

static int prepare_skip_struct(struct gob_reader *r, struct gob_type *type)
{
	struct gob_type_field field;
	struct gob_struct_type s;
	int ret;

	if (type->skip_prepared)
		return 0;
	type->skip_prepared = true;
	gob_struct_type_find(r, type->number, &s);
	for (uint32_t i = 0; i < s.count; i++) {
		ret = work(r);
		if (ret != 0)
			return ret;
		field = gob_struct_type_field(r, &s, i);
		if (field.name.len == 0)
			return refuse_empty_name(r, &s);
		ret = prepare_skip_field(r, field.type);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int refuse_unskippable(struct gob_reader *r, int32_t number, const char *go_prefix,
			      const char *what)
{
	const char *name = gob_builtin_text(number);
	char go[192];

	/* Go names only types of its own here, and would need to be told of those in the stream. */
	snprintf(go, sizeof(go), "gob: bad data: %s %s", go_prefix, name ? name : "<nil>");
	return gob_refuse(r, GOB_FAULT_DATA, r->pos, go,
			  "value at offset %zu has a field of type %d, which %s", r->pos, number,
			  what);
}

static int prepare_skip_parts(struct gob_reader *r, struct gob_type *type, uint32_t walk)
{
	int ret;

	if (gob_type_is(type, GOB_WIRE_ARRAY))
		return prepare_skip(r, type->array_elem, walk);
	if (gob_type_is(type, GOB_WIRE_MAP)) {
		ret = prepare_skip(r, type->map_key, walk);
		return ret != 0 ? ret : prepare_skip(r, type->map_elem, walk);
	}
	if (gob_type_is(type, GOB_WIRE_SLICE))
		return prepare_skip(r, type->slice_elem, walk);
	if (gob_type_is(type, GOB_WIRE_STRUCT))
		return prepare_skip_struct(r, type);
	if (type->present == 0)
		return refuse_unskippable(r, type->number, "ignore can't handle type",
					  "is defined as nothing");
	return 0;
}

/* Can values of this type be skipped? */
static int prepare_skip(struct gob_reader *r, int32_t number, uint32_t walk)
{
	struct gob_type *type;
	int ret = work(r);

	if (ret != 0)
		return ret;
	if (r->skip_depth == GOB_NESTING_MAX)
		return gob_refuse(r, GOB_FAULT_DATA, r->pos, "invalid nesting depth",
				  "value at offset %zu of a type nested deeper than %u", r->pos,
				  GOB_NESTING_MAX);
	if (number >= GOB_TYPE_BOOL && number <= GOB_TYPE_INTERFACE)
		return 0;
	type = gob_type_find(r, number);
	if (!type)
		return refuse_unskippable(r, number, "undefined type", "is not defined");
	if (type->seen >= walk)
		return 0;
	type->seen = walk;
	r->skip_depth++;
	ret = prepare_skip_parts(r, type, walk);
	r->skip_depth--;
	return ret;
}

static int prepare_struct(struct gob_reader *r, const struct gob_shape *shape, int32_t number,
			  bool is_outermost);

static int prepare_parts(struct gob_reader *r, const struct gob_shape *shape, int32_t number)
{
	const struct gob_type *type;
	int32_t elem = 0;
	int ret;

	if (shape->kind == GOB_STRUCT)
		return prepare_struct(r, shape, number, false);
	if (shape->kind == GOB_SLICE) {
		gob_slice_elem(r, number, &elem);
		return prepare_parts(r, shape->elem, elem);
	}
	if (shape->kind == GOB_MAP) {
		type = gob_type_find(r, number);
		elem = type->map_elem;
		ret = prepare_parts(r, shape->key, type->map_key);
		return ret != 0 ? ret : prepare_parts(r, shape->elem, elem);
	}
	return 0;
}

static int refuse_field(struct gob_reader *r, const struct gob_member *member,
			const struct gob_struct_type *s)
{
	struct slice name = gob_struct_type_name(r, s);
	char go[192];

	snprintf(go, sizeof(go), "gob: wrong type (%s) for received field %.*s.%s",
		 member->shape->go_type, (int)VS_MIN(name.len, (size_t)150), (const char *)name.ptr,
		 member->name);
	return gob_refuse(r, GOB_FAULT_SHAPE, r->pos, go,
			  "value at offset %zu has a field %s that is no %s", r->pos, member->name,
			  member->shape->go_type);
}

static int prepare_struct(struct gob_reader *r, const struct gob_shape *shape, int32_t number,
			  bool is_outermost)
{
	const struct gob_member *member;
	struct gob_type_field field;
	struct gob_struct_type s;
	uint32_t known = 0;
	char go[192];
	int ret;

	if (!gob_struct_type_find(r, number, &s)) {
		if (!s.builtin && !gob_type_find(r, number))
			return gob_refuse(r, GOB_FAULT_DATA, r->pos,
					  "gob: unknown type id or corrupted data",
					  "value at offset %zu of type %d, which is not defined",
					  r->pos, number);
		snprintf(go, sizeof(go),
			 "gob: type mismatch in decoder: want struct type %s; got non-struct",
			 shape->go_type);
		return gob_refuse(r, GOB_FAULT_SHAPE, r->pos, go,
				  "value at offset %zu of type %d, which is no struct", r->pos,
				  number);
	}
	for (uint32_t i = 0; i < s.count; i++) {
		ret = work(r);
		if (ret != 0)
			return ret;
		field = gob_struct_type_field(r, &s, i);
		if (field.name.len == 0)
			return refuse_empty_name(r, &s);
		member = gob_shape_member(shape, field.name);
		if (member && !is_compatible(r, member->shape, field.type))
			return refuse_field(r, member, &s);
		ret = member ? prepare_parts(r, member->shape, field.type)
			     : prepare_skip_field(r, field.type);
		if (ret != 0)
			return ret;
		known += member ? 1 : 0;
	}
	if (!is_outermost || known > 0 || s.count == 0 || s.builtin || shape->member_count == 0)
		return 0;
	snprintf(go, sizeof(go), "gob: type mismatch: no fields matched compiling decoder for %s",
		 shape->go_name);
	return gob_refuse(r, GOB_FAULT_SHAPE, r->pos, go,
			  "value at offset %zu of a struct without a field that is known", r->pos);
}

static int refuse_single(struct gob_reader *r, const struct gob_shape *shape, int32_t number)
{
	struct slice text = gob_type_text(r, number);
	int len = (int)VS_MIN(text.len, (size_t)120);
	char go[256];

	if (shape->kind == GOB_INTERFACE)
		snprintf(go, sizeof(go),
			 "gob: local interface type %s can only be decoded from remote interface "
			 "type; received concrete type %.*s",
			 shape->go_type, len, (const char *)text.ptr);
	else
		snprintf(go, sizeof(go),
			 "gob: decoding into local type %s, received remote type %.*s",
			 shape->go_type, len, (const char *)text.ptr);
	return gob_refuse(r, GOB_FAULT_SHAPE, r->pos, go, "value at offset %zu is %.*s, not %s",
			  r->pos, len, (const char *)text.ptr, shape->go_type);
}

int gob_prepare(struct gob_reader *r, const struct gob_shape *shape, int32_t number)
{
	int ret;

	for (size_t i = 0; i < VS_COUNT(r->prepared); i++) {
		if (r->prepared[i].shape == shape && r->prepared[i].type == number)
			return 0;
	}
	if (shape->kind == GOB_STRUCT)
		ret = prepare_struct(r, shape, number, true);
	else if (is_compatible(r, shape, number))
		ret = prepare_parts(r, shape, number);
	else
		ret = refuse_single(r, shape, number);
	if (ret != 0)
		return ret;
	r->prepared[r->prepared_next].shape = shape;
	r->prepared[r->prepared_next].type = number;
	r->prepared_next = (r->prepared_next + 1) % VS_COUNT(r->prepared);
	return 0;
}
