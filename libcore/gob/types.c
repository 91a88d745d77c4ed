/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Types: those that every decoder knows, and the definitions in a stream. Of a definition no more
 * is checked than that it can be read; the numbers and names in it may be anything (prepare.c).
 */

#include "gob/wire.h"

/* ---- types that need no definition ---- */

struct builtin_field {
	const char *name;
	int32_t type;
};

struct gob_builtin {
	int32_t number;
	bool is_struct;
	const char *name; /* of the type, where it is a struct */
	const char *text; /* Go's description */
	struct builtin_field fields[7];
};

#define COMMON_TEXT "CommonType CommonType = struct { Name string; Id int; }; "
#define FIELD_TEXT " = struct { Name string; Id int; }"

static const struct gob_builtin builtins[] = {
	{ 1, false, "", "bool", { { 0 } } },
	{ 2, false, "", "int", { { 0 } } },
	{ 3, false, "", "uint", { { 0 } } },
	{ 4, false, "", "float", { { 0 } } },
	{ 5, false, "", "bytes", { { 0 } } },
	{ 6, false, "", "string", { { 0 } } },
	{ 7, false, "", "complex", { { 0 } } },
	{ 8, false, "", "interface", { { 0 } } },
	{ 9, false, "", "_reserved1", { { 0 } } },
	{ 10, false, "", "_reserved1", { { 0 } } },
	{ 11, false, "", "_reserved1", { { 0 } } },
	{ 12, false, "", "_reserved1", { { 0 } } },
	{ 13, false, "", "_reserved1", { { 0 } } },
	{ 14, false, "", "_reserved1", { { 0 } } },
	{ 15, false, "", "_reserved1", { { 0 } } },
	{ 16,
	  true,
	  "wireType",
	  "wireType = struct { ArrayT arrayType = struct { " COMMON_TEXT
	  "Elem int; Len int; }; SliceT sliceType = struct { CommonType CommonType; Elem int; }; "
	  "StructT structType = struct { CommonType CommonType; Field []" FIELD_TEXT "; }; "
	  "MapT mapType = struct { CommonType CommonType; Key int; Elem int; }; "
	  "GobEncoderT gobEncoderType = struct { CommonType CommonType; }; "
	  "BinaryMarshalerT gobEncoderType; TextMarshalerT gobEncoderType; }",
	  { { "ArrayT", 17 },
	    { "SliceT", 19 },
	    { "StructT", 20 },
	    { "MapT", 23 },
	    { "GobEncoderT", 24 },
	    { "BinaryMarshalerT", 24 },
	    { "TextMarshalerT", 24 } } },
	{ 17,
	  true,
	  "arrayType",
	  "arrayType = struct { " COMMON_TEXT "Elem int; Len int; }",
	  { { "CommonType", 18 }, { "Elem", 2 }, { "Len", 2 } } },
	{ 18, true, "CommonType", "CommonType" FIELD_TEXT, { { "Name", 6 }, { "Id", 2 } } },
	{ 19,
	  true,
	  "sliceType",
	  "sliceType = struct { " COMMON_TEXT "Elem int; }",
	  { { "CommonType", 18 }, { "Elem", 2 } } },
	{ 20,
	  true,
	  "structType",
	  "structType = struct { " COMMON_TEXT "Field []" FIELD_TEXT "; }",
	  { { "CommonType", 18 }, { "Field", 22 } } },
	{ 21, true, "", FIELD_TEXT, { { "Name", 6 }, { "Id", 2 } } },
	{ 22, false, "", "[]" FIELD_TEXT, { { 0 } } },
	{ 23,
	  true,
	  "mapType",
	  "mapType = struct { " COMMON_TEXT "Key int; Elem int; }",
	  { { "CommonType", 18 }, { "Key", 2 }, { "Elem", 2 } } },
	{ 24,
	  true,
	  "gobEncoderType",
	  "gobEncoderType = struct { " COMMON_TEXT "}",
	  { { "CommonType", 18 } } },
};

static const struct gob_builtin *builtin_find(int32_t number)
{
	if (number < 1 || (size_t)number > VS_COUNT(builtins))
		return NULL;
	return &builtins[number - 1];
}

/* ---- the table of definitions ---- */

static uint32_t table_slot(const struct gob_reader *r, int32_t number)
{
	size_t mask = r->table_size - 1;
	uint32_t mixed = (uint32_t)number * UINT32_C(2654435761);
	size_t slot = mixed & mask;

	/* Entries are positions plus one; there are always free ones. */
	while (r->table[slot] != 0 && r->types[r->table[slot] - 1].number != number)
		slot = (slot + 1) & mask;
	return (uint32_t)slot;
}

struct gob_type *gob_type_find(const struct gob_reader *r, int32_t number)
{
	uint32_t entry;

	if (r->type_count == 0)
		return NULL;
	entry = r->table[table_slot(r, number)];
	return entry > 0 ? &r->types[entry - 1] : NULL;
}

const struct gob_type *gob_reader_type(const struct gob_reader *r, int32_t number)
{
	return gob_type_find(r, number);
}

static void table_grow(struct gob_reader *r)
{
	size_t size = VS_MAX(r->table_size * 2, (size_t)32);

	free(r->table);
	r->table = vs_alloc_array(size, sizeof(*r->table));
	r->table_size = size;
	for (size_t i = 0; i < r->type_count; i++)
		r->table[table_slot(r, r->types[i].number)] = (uint32_t)i + 1;
}

static void type_add(struct gob_reader *r, const struct gob_type *type)
{
	if ((r->type_count + 1) * 2 > r->table_size)
		table_grow(r);
	r->types = vs_grow(r->types, &r->type_cap, r->type_count + 1, sizeof(*r->types));
	r->types[r->type_count++] = *type;
	r->table[table_slot(r, type->number)] = (uint32_t)r->type_count;
}

/* ---- reading a definition ---- */

/* A number in a definition; @field names it in Go's text. */
static int read_type_reference(struct gob_reader *r, const char *field, int32_t *out)
{
	size_t off = r->pos;
	int64_t number;
	char go[64];
	int ret = gob_read_int(r, &number);

	if (ret != 0)
		return ret;
	if (number < INT32_MIN || number > INT32_MAX) {
		snprintf(go, sizeof(go), "value for \"%s\" out of range", field);
		return gob_refuse(r, GOB_FAULT_DATA, off, go,
				  "type number %" PRId64 " at offset %zu", number, off);
	}
	*out = (int32_t)number;
	return 0;
}

/* { name string, number int }, which common parts and fields both are. */
static int read_name_and_number(struct gob_reader *r, struct slice *name, int32_t *number)
{
	int64_t field = -1;
	bool has_end_mark;
	int ret;

	*name = (struct slice){ 0 };
	*number = 0;
	for (;;) {
		ret = gob_read_step(r, "", 2, &field, &has_end_mark);
		if (ret != 0 || field < 0)
			return ret;
		if (field == 0)
			ret = gob_read_string(r, name);
		else
			ret = read_type_reference(r, "Id", number);
		if (ret != 0)
			return ret;
	}
}

static int read_fields(struct gob_reader *r, struct gob_type *type)
{
	struct gob_type_field field;
	size_t off = r->pos;
	uint64_t count;
	char go[96];
	int ret = gob_read_uint(r, &count);

	if (ret != 0)
		return ret;
	if (count > GOB_MESSAGE_MAX / 8) {
		snprintf(go, sizeof(go),
			 "gob: *gob.fieldType slice too big: %" PRIu64 " elements of 8 bytes",
			 count);
		return gob_refuse(r, GOB_FAULT_DATA, off, go,
				  "a struct of %" PRIu64 " fields at offset %zu", count, off);
	}
	for (uint64_t i = 0; i < count; i++) {
		if (gob_left(r) == 0) {
			snprintf(go, sizeof(go),
				 "gob: decoding array or slice: length exceeds input size "
				 "(%" PRIu64 " elements)",
				 count);
			return gob_refuse(r, GOB_FAULT_DATA, r->pos, go,
					  "message ends at offset %zu, after %" PRIu64
					  " of %" PRIu64 " fields",
					  r->pos, i, count);
		}
		ret = read_name_and_number(r, &field.name, &field.type);
		if (ret != 0)
			return ret;
		if (r->field_count == GOB_FIELDS_MAX)
			return gob_refuse(r, GOB_FAULT_LIMIT, r->pos, "",
					  "definitions of more than %u fields at offset %zu",
					  GOB_FIELDS_MAX, r->pos);
		r->fields =
			vs_grow(r->fields, &r->field_cap, r->field_count + 1, sizeof(*r->fields));
		r->fields[r->field_count++] = field;
		type->field_count++;
	}
	return 0;
}

/* What stands behind the common part of a definition of kind @wire. */
static int read_detail(struct gob_reader *r, struct gob_type *type, enum gob_wire wire,
		       int64_t field)
{
	if (wire == GOB_WIRE_STRUCT)
		return read_fields(r, type);
	if (wire == GOB_WIRE_ARRAY)
		return field == 1 ? read_type_reference(r, "Elem", &type->array_elem)
				  : gob_read_int(r, &type->array_len);
	if (wire == GOB_WIRE_SLICE)
		return read_type_reference(r, "Elem", &type->slice_elem);
	return field == 1 ? read_type_reference(r, "Key", &type->map_key)
			  : read_type_reference(r, "Elem", &type->map_elem);
}

static int read_kind(struct gob_reader *r, struct gob_type *type, enum gob_wire wire)
{
	static const uint32_t counts[GOB_WIRE_COUNT] = { 3, 2, 2, 3, 1, 1, 1 };
	int64_t field = -1;
	bool has_end_mark;
	int ret;

	type->present |= 1u << wire;
	for (;;) {
		ret = gob_read_step(r, "", counts[wire], &field, &has_end_mark);
		if (ret != 0 || field < 0)
			return ret;
		if (field == 0)
			ret = read_name_and_number(r, &type->name[wire], &type->own_number[wire]);
		else
			ret = read_detail(r, type, wire, field);
		if (ret != 0)
			return ret;
	}
}

int gob_read_definition(struct gob_reader *r, int32_t number, size_t off)
{
	struct gob_type type = {
		.number = number,
		.off = off,
		.field_first = (uint32_t)r->field_count,
	};
	int64_t field = -1;
	bool has_end_mark;
	int ret;

	if (number < GOB_TYPE_FIRST || gob_type_find(r, number))
		return gob_refuse(r, GOB_FAULT_DATA, off, "gob: duplicate type received",
				  "definition of type %d at offset %zu, which is %s", number, off,
				  number < GOB_TYPE_FIRST ? "built in" : "defined already");
	for (;;) {
		ret = gob_read_step(r, "", GOB_WIRE_COUNT, &field, &has_end_mark);
		if (ret != 0)
			return ret;
		if (field < 0)
			break;
		ret = read_kind(r, &type, (enum gob_wire)field);
		if (ret != 0)
			return ret;
	}
	if (r->type_count == GOB_TYPES_MAX)
		return gob_refuse(r, GOB_FAULT_LIMIT, r->pos, "",
				  "more than %d definitions at offset %zu", GOB_TYPES_MAX, r->pos);
	type_add(r, &type);
	return 0;
}

/* ---- looking at types ---- */

bool gob_struct_type_find(const struct gob_reader *r, int32_t number, struct gob_struct_type *out)
{
	const struct gob_builtin *builtin = builtin_find(number);
	const struct gob_type *type;

	*out = (struct gob_struct_type){ .builtin = builtin };
	if (builtin) {
		while (out->count < VS_COUNT(builtin->fields) && builtin->fields[out->count].name)
			out->count++;
		return builtin->is_struct;
	}
	type = gob_type_find(r, number);
	if (!gob_type_is(type, GOB_WIRE_STRUCT))
		return false;
	out->index = (size_t)(type - r->types);
	out->count = type->field_count;
	return true;
}

struct gob_type_field gob_struct_type_field(const struct gob_reader *r,
					    const struct gob_struct_type *s, uint32_t index)
{
	const struct builtin_field *field;

	if (!s->builtin)
		return r->fields[r->types[s->index].field_first + index];
	field = &s->builtin->fields[index];
	return (struct gob_type_field){ slice_str(field->name), field->type };
}

struct slice gob_struct_type_name(const struct gob_reader *r, const struct gob_struct_type *s)
{
	return s->builtin ? slice_str(s->builtin->name) : r->types[s->index].name[GOB_WIRE_STRUCT];
}

const char *gob_builtin_text(int32_t number)
{
	const struct gob_builtin *builtin = builtin_find(number);

	return builtin ? builtin->text : NULL;
}

struct slice gob_type_text(const struct gob_reader *r, int32_t number)
{
	const struct gob_type *type = gob_type_find(r, number);

	if (gob_builtin_text(number))
		return slice_str(gob_builtin_text(number));
	for (unsigned wire = 0; type && wire < GOB_WIRE_COUNT; wire++) {
		if (gob_type_is(type, (enum gob_wire)wire))
			return type->name[wire];
	}
	return slice_str("unknown type");
}

bool gob_slice_elem(const struct gob_reader *r, int32_t number, int32_t *elem)
{
	const struct gob_type *type = gob_type_find(r, number);

	if (number == GOB_TYPE_FIELDS) {
		*elem = GOB_TYPE_FIELD;
		return true;
	}
	if (!gob_type_is(type, GOB_WIRE_SLICE))
		return false;
	*elem = type->slice_elem;
	return true;
}
