/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values, decoded as a shape asks for. prepare.c has seen to it that the type of the value fits;
 * what can still be wrong are lengths, ranges and the end of the message.
 */

#include "gob/wire.h"

#include <float.h>

/* What a call needs that does not change on the way down. */
struct pass {
	struct gob_reader *r;
	const struct gob_sink *sink;
	struct vs_err *err;
};

/* What Go calls the value: `element of element of Embedding`, innermost first. */
struct name {
	const char *text;
	const struct name *of;
};

/* A value: its type, and its names for what is out of range in it and for what is inside it. */
struct item {
	const struct gob_shape *shape;
	int32_t number;
	const struct name *range_name;
	const struct name *name;
	bool is_in_slice;
};

static int read_item(const struct pass *p, const struct item *item);

static int emit(const struct pass *p, enum gob_event_kind kind, const struct gob_shape *shape,
		uint64_t count, size_t off)
{
	struct gob_event event = { .kind = kind, .shape = shape, .off = off, .count = count };

	return p->sink->value(p->sink->ctx, &event, p->err);
}

static int refuse_range(const struct pass *p, const struct item *item, size_t off)
{
	char name[96] = "";
	char go[192];
	size_t len = 0;

	for (const struct name *n = item->range_name; n && len < sizeof(name); n = n->of)
		len += (size_t)snprintf(name + len, sizeof(name) - len, "%s", n->text);
	snprintf(go, sizeof(go), "value for \"%s\" out of range", name);
	return gob_refuse(p->r, GOB_FAULT_DATA, off, go, "%s at offset %zu is out of range for %s",
			  name, off, item->shape->go_type);
}

/* ---- numbers ---- */

static int read_signed(const struct pass *p, const struct item *item, struct gob_event *event)
{
	int shift = 56;
	int ret = gob_read_int(p->r, &event->i);

	if (ret != 0 || item->shape->kind == GOB_INT64)
		return ret;
	if (item->shape->kind == GOB_INT16)
		shift = 48;
	else if (item->shape->kind == GOB_INT32)
		shift = 32;
	if (event->i > INT64_MAX >> shift || event->i < INT64_MIN >> shift)
		return refuse_range(p, item, (size_t)event->off);
	return 0;
}

static int read_unsigned(const struct pass *p, const struct item *item, struct gob_event *event)
{
	int shift = 56;
	int ret = gob_read_uint(p->r, &event->u);

	if (ret != 0 || item->shape->kind == GOB_UINT64)
		return ret;
	if (item->shape->kind == GOB_UINT16)
		shift = 48;
	else if (item->shape->kind == GOB_UINT32)
		shift = 32;
	if (event->u > UINT64_MAX >> shift)
		return refuse_range(p, item, (size_t)event->off);
	return 0;
}

static int read_float(const struct pass *p, const struct item *item, struct gob_event *event)
{
	uint64_t u;
	double size;
	int ret = gob_read_uint(p->r, &u);

	if (ret != 0)
		return ret;
	event->f = gob_double(u);
	size = event->f < 0 ? -event->f : event->f;
	/* Infinity is fine, and what is too small becomes zero. */
	if (item->shape->kind == GOB_FLOAT32 && size > (double)FLT_MAX && size <= DBL_MAX)
		return refuse_range(p, item, (size_t)event->off);
	return 0;
}

/* ---- strings and bytes ---- */

/* In a slice of strings Go has other words for the same. */
static int read_text(const struct pass *p, bool is_in_slice, struct gob_event *event)
{
	struct gob_reader *r = p->r;
	bool is_possible;
	uint64_t len;
	char go[96];
	int ret;

	if (!is_in_slice)
		return gob_read_string(r, &event->bytes);
	ret = gob_read_uint(r, &len);
	if (ret != 0)
		return ret;
	is_possible = len <= gob_left(r);
	if (!is_possible) {
		snprintf(go, sizeof(go),
			 "gob: length of string exceeds input size (%" PRIu64 " bytes)", len);
		return gob_refuse(r, GOB_FAULT_DATA, (size_t)event->off, go,
				  "string of %" PRIu64 " bytes at offset %" PRIu64
				  ", message has %zu left",
				  len, event->off, gob_left(r));
	}
	event->bytes = slice_of(r->input.ptr + r->pos, (size_t)len);
	r->pos += (size_t)len;
	return 0;
}

static int read_bytes(const struct pass *p, const struct item *item, struct gob_event *event)
{
	bool is_blob = item->shape->kind != GOB_BYTES;
	bool is_possible;
	char go[96];
	int ret = gob_read_bytes(p->r, &event->bytes, &is_possible);

	if (ret != 0 || is_possible)
		return ret;
	snprintf(go, sizeof(go), "gob: bad %s slice length: 0", item->shape->go_type);
	return gob_refuse(p->r, GOB_FAULT_DATA, (size_t)event->off,
			  is_blob ? "gob: GobDecoder: length too large for buffer" : go,
			  "length at offset %" PRIu64 " is more than the message has left",
			  event->off);
}

/* ---- structs, slices, maps ---- */

static int read_struct(const struct pass *p, const struct gob_shape *shape, int32_t number)
{
	struct gob_reader *r = p->r;
	const struct gob_member *member;
	struct gob_type_field field;
	struct gob_struct_type s;
	bool has_end_mark;
	int64_t step = -1;
	int ret = emit(p, GOB_BEGIN, shape, 0, r->pos);

	gob_struct_type_find(r, number, &s);
	while (ret == 0) {
		ret = gob_read_step(r, "", s.count, &step, &has_end_mark);
		if (ret != 0)
			return ret;
		if (step < 0) {
			r->notes.has_end_mark = has_end_mark;
			return emit(p, GOB_END, shape, 0, r->pos);
		}
		field = gob_struct_type_field(r, &s, (uint32_t)step);
		member = gob_shape_member(shape, field.name);
		if (member) {
			struct name name = { member->name, NULL };
			struct item item = { member->shape, field.type, &name, &name, false };

			ret = read_item(p, &item);
		} else {
			ret = gob_skip_value(r, field.type);
		}
	}
	return ret;
}

/* What Go calls the element in its texts, and its size in memory. */
static const char *element_text(const struct gob_shape *shape, uint64_t *size)
{
	static const struct {
		const char *text;
		uint64_t size;
	} kinds[] = {
		[GOB_BOOL] = { "bool", 1 },       [GOB_INT8] = { "int8", 1 },
		[GOB_INT16] = { "int16", 2 },     [GOB_INT32] = { "int32", 4 },
		[GOB_INT64] = { "int64", 8 },     [GOB_UINT8] = { NULL, 1 },
		[GOB_UINT16] = { "uint16", 2 },   [GOB_UINT32] = { "uint32", 4 },
		[GOB_UINT64] = { "uint64", 8 },   [GOB_FLOAT32] = { "float32", 4 },
		[GOB_FLOAT64] = { "float64", 8 }, [GOB_STRING] = { "string", 16 },
		[GOB_BYTES] = { NULL, 24 },       [GOB_SLICE] = { NULL, 24 },
		[GOB_MAP] = { NULL, 8 },          [GOB_STRUCT] = { NULL, 0 },
		[GOB_INTERFACE] = { NULL, 16 },   [GOB_BLOB] = { NULL, 0 },
		[GOB_BLOB_BINARY] = { NULL, 0 },  [GOB_BLOB_TEXT] = { NULL, 0 },
	};

	*size = shape->go_size > 0 ? shape->go_size : kinds[shape->kind].size;
	/* Plain types have a loop of their own in Go, with texts of its own: int is not int64. */
	return kinds[shape->kind].text ? shape->go_type : NULL;
}

static int refuse_short_slice(const struct pass *p, const struct gob_shape *elem, uint64_t i,
			      uint64_t count)
{
	struct gob_reader *r = p->r;
	uint64_t size;
	const char *text = element_text(elem, &size);
	char go[160];

	snprintf(go, sizeof(go),
		 "gob: decoding %s%sarray or slice: length exceeds input size (%" PRIu64
		 " elements)",
		 text ? text : "", text ? " " : "", count);
	return gob_refuse(r, GOB_FAULT_DATA, r->pos, go,
			  "message ends at offset %zu, after %" PRIu64 " of %" PRIu64 " elements",
			  r->pos, i, count);
}

static int read_slice(const struct pass *p, const struct item *item)
{
	const struct gob_shape *elem = item->shape->elem;
	struct name name = { "element of ", item->name };
	struct item each = { elem, 0, &name, &name, true };
	struct gob_reader *r = p->r;
	size_t off = r->pos;
	uint64_t count, size;
	char go[160];
	int ret = gob_read_uint(r, &count);

	if (ret != 0)
		return ret;
	element_text(elem, &size);
	if (count > INT64_MAX || (size > 0 && count > GOB_MESSAGE_MAX / size)) {
		snprintf(go, sizeof(go),
			 "gob: %s slice too big: %" PRIu64 " elements of %" PRIu64 " bytes",
			 elem->go_type, count, size);
		return gob_refuse(r, GOB_FAULT_DATA, off, go,
				  "a slice of %" PRIu64 " elements at offset %zu", count, off);
	}
	gob_slice_elem(r, item->number, &each.number);
	ret = emit(p, GOB_BEGIN, item->shape, count, r->pos);
	for (uint64_t i = 0; i < count && ret == 0; i++) {
		if (gob_left(r) == 0)
			return refuse_short_slice(p, elem, i, count);
		ret = read_item(p, &each);
	}
	return ret != 0 ? ret : emit(p, GOB_END, item->shape, 0, r->pos);
}

static int read_map(const struct pass *p, const struct item *item)
{
	const struct gob_type *type = gob_type_find(p->r, item->number);
	struct name key_name = { "key of ", item->name };
	struct name elem_name = { "element of ", item->name };
	/* Go names the map where a number in it is out of range. */
	struct item key = { item->shape->key, type->map_key, item->name, &key_name, false };
	struct item elem = { item->shape->elem, type->map_elem, item->name, &elem_name, false };
	uint64_t count;
	size_t before;
	int ret = gob_read_uint(p->r, &count);

	if (ret != 0)
		return ret;
	ret = emit(p, GOB_BEGIN, item->shape, count, p->r->pos);
	for (int64_t i = 0; i < (int64_t)count && ret == 0; i++) {
		before = p->r->pos;
		ret = read_item(p, &key);
		if (ret == 0)
			ret = read_item(p, &elem);
		/* Only structs can be empty, and all that follow are. */
		if (ret == 0 && p->r->pos == before)
			break;
	}
	return ret != 0 ? ret : emit(p, GOB_END, item->shape, 0, p->r->pos);
}

/* ---- interfaces ---- */

static int refuse_name(struct gob_reader *r, size_t off, struct slice name)
{
	cleanup_(buf_fini) struct buf quoted = { 0 };
	struct slice shown = slice_of(name.ptr, VS_MIN(name.len, (size_t)64));
	char go[256];

	text_escape(&quoted, shown);
	if (name.len > 1024)
		snprintf(go, sizeof(go), "gob: name too long (%zu bytes): \"%.20s\"...", name.len,
			 buf_cstr(&quoted));
	else
		snprintf(go, sizeof(go), "gob: name not registered for interface: \"%s\"",
			 buf_cstr(&quoted));
	return gob_refuse(r, GOB_FAULT_SHAPE, off, go,
			  "value at offset %zu of a type that is not known: %s", off,
			  buf_cstr(&quoted));
}

static int refuse_name_length(struct gob_reader *r, size_t off, uint64_t len)
{
	char go[96];

	snprintf(go, sizeof(go), "gob: invalid type name length %" PRIu64 "%s", len,
		 len > UINT64_C(1) << 31 ? "" : ": exceeds input size");
	return gob_refuse(r, GOB_FAULT_DATA, off, go,
			  "a type's name of %" PRIu64 " bytes at offset %zu, message has %zu left",
			  len, off, gob_left(r));
}

static int read_interface(const struct pass *p, const struct gob_shape *shape)
{
	struct gob_reader *r = p->r;
	const struct gob_member *member;
	size_t off = r->pos;
	struct slice name;
	int32_t number;
	uint64_t len;
	int ret = gob_read_uint(r, &len);

	if (ret != 0)
		return ret;
	if (len > gob_left(r))
		return refuse_name_length(r, off, len);
	name = slice_of(r->input.ptr + r->pos, (size_t)len);
	r->pos += (size_t)len;
	if (len == 0)
		return emit(p, GOB_NIL, shape, 0, off);
	member = name.len <= 1024 ? gob_shape_member(shape, name) : NULL;
	if (!member)
		return refuse_name(r, off, name);
	ret = gob_read_type_number(r, true, &number);
	if (ret != 0)
		return ret;
	ret = gob_read_uint(r, &len);
	if (ret != 0)
		return ret;
	/* What is still pending, Go forgets here. */
	r->is_pending = false;
	return gob_read_value(r, member->shape, number, p->sink, p->err);
}

/* ---- any value ---- */

static int read_plain(const struct pass *p, const struct item *item)
{
	struct gob_event event = { .kind = GOB_VALUE, .shape = item->shape, .off = p->r->pos };
	enum gob_kind kind = item->shape->kind;
	int ret;

	if (kind == GOB_STRING) {
		ret = read_text(p, item->is_in_slice, &event);
	} else if (kind == GOB_FLOAT32 || kind == GOB_FLOAT64) {
		ret = read_float(p, item, &event);
	} else if (kind >= GOB_INT8 && kind <= GOB_INT64) {
		ret = read_signed(p, item, &event);
	} else if (kind >= GOB_UINT8 && kind <= GOB_UINT64) {
		ret = read_unsigned(p, item, &event);
	} else if (kind == GOB_BOOL) {
		ret = gob_read_uint(p->r, &event.u);
		event.u = event.u != 0;
	} else {
		ret = read_bytes(p, item, &event);
	}
	return ret != 0 ? ret : p->sink->value(p->sink->ctx, &event, p->err);
}

static int read_item(const struct pass *p, const struct item *item)
{
	struct gob_reader *r = p->r;
	int ret;

	if (item->shape->kind < GOB_SLICE || item->shape->kind > GOB_INTERFACE)
		return read_plain(p, item);
	if (r->depth == GOB_DEPTH_MAX)
		return gob_refuse(r, GOB_FAULT_LIMIT, r->pos, "",
				  "values nested deeper than %u at offset %zu", GOB_DEPTH_MAX,
				  r->pos);
	r->depth++;
	if (item->shape->kind == GOB_STRUCT)
		ret = read_struct(p, item->shape, item->number);
	else if (item->shape->kind == GOB_SLICE)
		ret = read_slice(p, item);
	else if (item->shape->kind == GOB_MAP)
		ret = read_map(p, item);
	else
		ret = read_interface(p, item->shape);
	r->depth--;
	return ret;
}

int gob_read_value(struct gob_reader *r, const struct gob_shape *shape, int32_t number,
		   const struct gob_sink *sink, struct vs_err *err)
{
	struct pass pass = { r, sink, err };
	struct name name = { shape->go_type, NULL };
	struct item item = { shape, number, &name, &name, false };
	size_t off = r->pos;
	uint64_t step;
	int ret = gob_prepare(r, shape, number);

	if (ret != 0 || shape->kind == GOB_STRUCT)
		return ret != 0 ? ret : read_item(&pass, &item);
	ret = gob_read_uint(r, &step);
	if (ret != 0)
		return ret;
	if (step != 0)
		return gob_refuse(r, GOB_FAULT_DATA, off,
				  "gob: decode: corrupted data: non-zero delta for singleton",
				  "no zero byte before the value at offset %zu", off);
	return read_item(&pass, &item);
}

int gob_reader_next(struct gob_reader *r, const struct gob_shape *shape,
		    const struct gob_sink *sink, struct vs_err *err)
{
	int32_t number;
	int ret;

	/* What an earlier value left of its message is dropped. */
	r->pos = r->end;
	r->is_pending = false;
	r->depth = 0;
	r->skip_depth = 0;
	r->fault.kind = GOB_FAULT_NONE;
	ret = gob_read_type_number(r, false, &number);
	if (ret == 0 && r->is_pending)
		ret = GOB_REFUSED;
	if (ret == 0) {
		r->notes.type = number;
		r->notes.value_off = r->pos;
		ret = gob_read_value(r, shape, number, sink, err);
	}
	if (ret == 0 && r->is_pending)
		ret = GOB_REFUSED;
	if (ret < 0)
		return ret;
	r->notes.value_end = r->pos;
	r->notes.message_end = r->end;
	return ret == 0 ? 1 : 0;
}
