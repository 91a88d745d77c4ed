/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Oddities: what the library does not notice in a file that it loads, and what tells of damage or
 * of another writer.
 */

#include "chromem/read.h"

void odd_note(const struct odd *odd, uint32_t which, uint64_t off)
{
	if (*odd->set == 0 || off < *odd->off)
		*odd->off = off;
	*odd->set |= which;
}

void odd_note_unpacked(const struct odd *odd, const struct unpacked *in)
{
	odd->facts->unpacked_size = in->bytes.len;
	*odd->crc_stored = in->crc_stored;
	*odd->crc_actual = in->crc_actual;
	if (in->oddities != 0)
		odd_note(odd, in->oddities, in->odd_off);
	/* That is a property of the whole file, and of no place in it. */
	if (in->is_gzip)
		*odd->set |= CHROMEM_ODD_IS_GZIP;
}

/* ---- definitions ---- */

static bool is_library_map(const struct gob_type *type)
{
	return type && type->present == 1u << GOB_WIRE_MAP &&
	       type->own_number[GOB_WIRE_MAP] == type->number &&
	       slice_eq_str(type->name[GOB_WIRE_MAP], "map[string]string");
}

static bool is_library_slice(const struct gob_type *type)
{
	return type && type->present == 1u << GOB_WIRE_SLICE &&
	       type->own_number[GOB_WIRE_SLICE] == type->number &&
	       slice_eq_str(type->name[GOB_WIRE_SLICE], "[]float32");
}

static bool is_library_struct(const struct gob_type *type, const struct library_type *library)
{
	return type && type->present == 1u << GOB_WIRE_STRUCT &&
	       type->own_number[GOB_WIRE_STRUCT] == type->number &&
	       slice_eq_str(type->name[GOB_WIRE_STRUCT], library->name);
}

/* The library defines the struct, the map and for documents the slice, in that order. */
static bool are_library_types(const struct gob_reader *r, const struct library_type *library)
{
	return r->type_count == library->definitions && r->types[0].number == r->notes.type &&
	       is_library_struct(&r->types[0], library) && is_library_map(&r->types[1]) &&
	       (library->definitions < 3 || is_library_slice(&r->types[2]));
}

static size_t library_field(const struct library_type *library, struct slice name)
{
	for (size_t i = 0; i < library->field_count; i++) {
		if (slice_eq_str(name, library->fields[i]))
			return i;
	}
	return library->field_count;
}

bool odd_note_fields(const struct odd *odd, const struct gob_reader *r, const struct gob_type *type,
		     const struct library_type *library)
{
	const struct gob_type_field *field;
	size_t next = 0, known = 0, at;
	uint64_t off = type->off;
	bool is_ordered = true;

	for (uint32_t i = 0; i < type->field_count; i++) {
		field = gob_type_field_at(r, type, i);
		at = library_field(library, field->name);
		if (at < library->field_count) {
			is_ordered = is_ordered && at >= next;
			next = at + 1;
			known |= (size_t)1 << at;
			continue;
		}
		if ((*odd->set & CHROMEM_ODD_UNKNOWN_FIELD) == 0)
			*odd->unknown_field = field->name;
		/* A field that is missing is nowhere, but this may have been it. */
		off = offset_in(field->name, r->input);
		odd_note(odd, CHROMEM_ODD_UNKNOWN_FIELD, off);
	}
	if (known != ((size_t)1 << library->field_count) - 1)
		odd_note(odd, CHROMEM_ODD_MISSING_FIELD, off);
	return is_ordered;
}

void odd_note_types(const struct odd *odd, const struct gob_reader *r,
		    const struct library_type *library)
{
	const struct gob_type *type = gob_reader_type(r, r->notes.type);
	bool is_ordered = type && odd_note_fields(odd, r, type, library);

	if (!type)
		odd_note(odd, CHROMEM_ODD_MISSING_FIELD, 0);
	if (!is_ordered || !are_library_types(r, library))
		odd_note(odd, CHROMEM_ODD_FOREIGN_TYPES, type ? type->off : 0);
}

/* ---- the end ---- */

/* Where the zeros begin that reach to the end of @bytes. */
static size_t zeros_begin(struct slice bytes)
{
	size_t off = bytes.len;

	while (off > 0 && bytes.ptr[off - 1] == 0)
		off--;
	return off;
}

void odd_note_tail(const struct odd *odd, const struct gob_reader *r, struct slice content)
{
	const struct gob_notes *notes = &r->notes;
	struct chromem_facts *facts = odd->facts;
	size_t zeros = zeros_begin(r->input);
	bool ends_in_nul;

	facts->value_end = notes->value_end;
	facts->leftover = notes->message_end - notes->value_end;
	facts->trailing = r->input.len - notes->message_end;
	if (notes->has_long_integer)
		odd_note(odd, CHROMEM_ODD_LONG_INTEGER, notes->long_integer_off);
	if (facts->leftover > 0)
		odd_note(odd, CHROMEM_ODD_LEFTOVER, notes->value_end);
	if (facts->trailing > 0)
		odd_note(odd, CHROMEM_ODD_TRAILING, notes->message_end);
	if (!notes->has_end_mark)
		odd_note(odd, CHROMEM_ODD_NO_END, notes->value_end);
	/* The text comes last: NULs at its end, and only the end mark behind them. */
	ends_in_nul = content.len > 0 && content.ptr[content.len - 1] == 0;
	if (facts->leftover + facts->trailing > 0 ? zeros <= notes->value_end : ends_in_nul) {
		if (facts->leftover + facts->trailing == 0 &&
		    content.ptr + content.len + 1 != r->input.ptr + r->input.len)
			return;
		facts->zero_tail_off = zeros;
		odd_note(odd, CHROMEM_ODD_ZERO_TAIL, zeros);
	}
}
