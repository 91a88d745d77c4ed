/* SPDX-License-Identifier: Apache-2.0 */

/* The gob reader: what it hands over, what it refuses and with which words, where it stops. */

#include "gob/gob.h"

#include <criterion/criterion.h>

/* ---- shapes ---- */

#define PLAIN(id, what, text)                                                                      \
	static const struct gob_shape id = { .kind = (what), .go_type = (text) }

PLAIN(bool_shape, GOB_BOOL, "bool");
PLAIN(int8_shape, GOB_INT8, "int8");
PLAIN(int16_shape, GOB_INT16, "int16");
PLAIN(int32_shape, GOB_INT32, "int32");
PLAIN(int64_shape, GOB_INT64, "int64");
PLAIN(int_shape, GOB_INT64, "int");
PLAIN(uint8_shape, GOB_UINT8, "uint8");
PLAIN(uint16_shape, GOB_UINT16, "uint16");
PLAIN(uint32_shape, GOB_UINT32, "uint32");
PLAIN(uint64_shape, GOB_UINT64, "uint64");
PLAIN(float32_shape, GOB_FLOAT32, "float32");
PLAIN(float64_shape, GOB_FLOAT64, "float64");
PLAIN(string_shape, GOB_STRING, "string");
PLAIN(bytes_shape, GOB_BYTES, "[]uint8");
PLAIN(time_shape, GOB_BLOB, "time.Time");

static const struct gob_shape strings_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]string",
	.elem = &string_shape,
};
static const struct gob_shape ints_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]int",
	.elem = &int_shape,
};
static const struct gob_shape floats_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]float32",
	.elem = &float32_shape,
};
static const struct gob_shape deep_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string][]int",
	.key = &string_shape,
	.elem = &ints_shape,
};
static const struct gob_member inner_members[] = { { "X", &int_shape }, { "Deep", &deep_shape } };
static const struct gob_shape inner_shape = {
	.kind = GOB_STRUCT,
	.go_type = "main.Inner",
	.go_name = "Inner",
	.go_size = 16,
	.members = inner_members,
	.member_count = VS_COUNT(inner_members),
};
static const struct gob_shape inners_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]main.Inner",
	.elem = &inner_shape,
};

/* map[string]interface{} may hold itself. */
static const struct gob_shape anything_shape;
static const struct gob_shape map_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]interface {}",
	.key = &string_shape,
	.elem = &anything_shape,
};
static const struct gob_member concrete[] = {
	{ "int", &int_shape },
	{ "string", &string_shape },
	{ "[]string", &strings_shape },
	{ "map[string]interface {}", &map_shape },
};
static const struct gob_shape anything_shape = {
	.kind = GOB_INTERFACE,
	.go_type = "interface {}",
	.members = concrete,
	.member_count = VS_COUNT(concrete),
};

static const struct gob_member rich_members[] = {
	{ "B", &bool_shape },      { "I8", &int8_shape },     { "I16", &int16_shape },
	{ "I32", &int32_shape },   { "I64", &int64_shape },   { "U8", &uint8_shape },
	{ "U16", &uint16_shape },  { "U32", &uint32_shape },  { "U64", &uint64_shape },
	{ "F32", &float32_shape }, { "F64", &float64_shape }, { "S", &string_shape },
	{ "By", &bytes_shape },    { "Ss", &strings_shape },  { "In", &inners_shape },
	{ "Ptr", &inner_shape },   { "M", &map_shape },       { "T", &time_shape },
	{ "Last", &uint64_shape }, { "Fs", &floats_shape },
};
static const struct gob_shape rich_shape = {
	.kind = GOB_STRUCT,
	.go_type = "main.Rich",
	.go_name = "Rich",
	.members = rich_members,
	.member_count = VS_COUNT(rich_members),
};

/* ---- a trace of what is called back ---- */

static void trace_value(struct buf *out, const struct gob_event *event)
{
	char hex[129];

	switch (event->shape->kind) {
	case GOB_BOOL:
	case GOB_UINT8:
	case GOB_UINT16:
	case GOB_UINT32:
	case GOB_UINT64:
		buf_printf(out, "%" PRIu64 " ", event->u);
		break;
	case GOB_INT8:
	case GOB_INT16:
	case GOB_INT32:
	case GOB_INT64:
		buf_printf(out, "%" PRId64 " ", event->i);
		break;
	case GOB_FLOAT32:
	case GOB_FLOAT64:
		buf_printf(out, "%.9g ", event->f);
		break;
	case GOB_STRING:
		buf_printf(out, "'%.*s' ", (int)event->bytes.len, (const char *)event->bytes.ptr);
		break;
	case GOB_BYTES:
	case GOB_BLOB:
	case GOB_BLOB_BINARY:
	case GOB_BLOB_TEXT:
		hex_format(event->bytes.ptr, VS_MIN(event->bytes.len, (size_t)64), hex);
		buf_printf(out, "x%s ", hex);
		break;
	case GOB_SLICE:
	case GOB_MAP:
	case GOB_STRUCT:
	case GOB_INTERFACE:
		cr_assert_fail("no value of its own");
	}
}

static int trace(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct buf *out = ctx;

	(void)err;
	if (event->kind == GOB_BEGIN && event->shape->kind == GOB_STRUCT)
		buf_append_str(out, "{ ");
	else if (event->kind == GOB_BEGIN)
		buf_printf(out, "%" PRIu64 "[ ", event->count);
	else if (event->kind == GOB_END)
		buf_append_str(out, event->shape->kind == GOB_STRUCT ? "} " : "] ");
	else if (event->kind == GOB_NIL)
		buf_append_str(out, "nil ");
	else
		trace_value(out, event);
	return 0;
}

static struct buf bytes_of(const char *hex)
{
	struct buf out = { 0 };
	struct vs_err err = { 0 };
	size_t len = strlen(hex) / 2;

	cr_assert_eq(buf_try_reserve(&out, len, &err), 0);
	cr_assert(hex_parse(slice_str(hex), out.ptr, len));
	out.len = len;
	return out;
}

struct outcome {
	struct buf trace;
	struct gob_reader reader;
	int ret;
};

static void outcome_fini(struct outcome *o)
{
	buf_fini(&o->trace);
	gob_reader_fini(&o->reader);
}

static void read_next(struct outcome *o, const struct gob_shape *shape)
{
	struct gob_sink sink = { &o->trace, trace };
	struct vs_err err = { 0 };

	buf_clear(&o->trace);
	o->ret = gob_reader_next(&o->reader, shape, &sink, &err);
}

static struct outcome read_first(struct slice bytes, const struct gob_shape *shape)
{
	struct outcome o = { 0 };

	gob_reader_init(&o.reader, bytes, (struct gob_ending){ 0 });
	read_next(&o, shape);
	return o;
}

static void expect_refusal(struct outcome *o, enum gob_fault_kind kind, const char *go_text)
{
	cr_assert_eq(o->ret, 0, "trace %s", buf_cstr(&o->trace));
	cr_assert_str_eq(o->reader.fault.go_text, go_text);
	cr_assert_eq(o->reader.fault.kind, kind, "%s", o->reader.fault.text);
	cr_assert_neq(o->reader.fault.text[0], '\0');
}

/* ---- what Go wrote ---- */

/*
 * Two values of one type, by Go 1.19: every kind of number at its limit, strings, bytes, structs in
 * slices and behind pointers, interfaces in maps, a time; and fields Skip1 to Skip8 of all kinds of
 * types that the shape does not have.
 */
static const char rich_definitions[] =
	"fff8ff81030101045269636801ff8200011b010142010200010249380104000103493136010400010349333201"
	"040001034936340104000102553801060001035531360106000103553332010600010355363401060001034633"
	"320108000103463634010800010153010c0001024279010a000102537301ff84000102496e01ff8c0001035074"
	"7201ff86000105536b697031010e000105536b69703201ff8e000105536b69703301ff92000105536b69703401"
	"10000105536b69703501ff86000105536b69703601ff94000105536b69703701ff96000105536b697038010a00"
	"01014d01ff980001015401ff940001044c617374010600000016ff83020101085b5d737472696e6701ff840001"
	"0c00001bff8b0201010c5b5d6d61696e2e496e6e657201ff8c0001ff86000023ff8503010105496e6e657201ff"
	"8600010201015801040001044465657001ff8a00000021ff89040101106d61705b737472696e675d5b5d696e74"
	"01ff8a00010c01ff8800000cff87020102ff88000104000016ff8d010101065b335d696e7401ff8e0001040106"
	"000024ff91040101136d61705b696e745d5b5d636f6d706c6578363401ff9200010401ff9000000cff8f020102"
	"ff9000010e000010ff930501010454696d6501ff9400000014ff95020101065b5d626f6f6c01ff960001020000"
	"27ff97040101176d61705b737472696e675d696e74657266616365207b7d01ff9800010c01100000";
static const char rich_first[] =
	"ffefff82010101ffff01fefffe01fcffffffff01f8ffffffffffffffff01ffff01feffff01fcffffffff01f8ff"
	"ffffffffffffff01fba09999b93f01f89c7500883ce437fe01047465787401030102ff01020001610102000109"
	"0101016b0202030001010e0001fef03fffc001030204060101010100fef03f0106737472696e670c090007736b"
	"697070656401010200010f010000000e7791f700000000000000010201000101090101016d176d61705b737472"
	"696e675d696e74657266616365207b7dff98140001016e085b5d737472696e67ff840400010178010f01000000"
	"0ee1038aa500000006ffff01fe012c00";
static const char rich_second[] = "1cff820c067365636f6e6406030000000701016903696e740402000500";

Test(gob, all_kinds_of_values)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of(rich_definitions);
	cleanup_(buf_fini) struct buf first = bytes_of(rich_first);
	cleanup_(buf_fini) struct buf second = bytes_of(rich_second);
	cleanup_(outcome_fini) struct outcome o = { 0 };

	buf_append(&bytes, first.ptr, first.len);
	buf_append(&bytes, second.ptr, second.len);
	o = read_first(buf_slice(&bytes), &rich_shape);
	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace),
			 "{ 1 -128 32767 -2147483648 -9223372036854775808 255 65535 4294967295 "
			 "18446744073709551615 0.100000001 -1e+300 'text' x0102ff 2[ '' 'a' ] "
			 "2[ { } { -5 1[ 'k' 2[ 1 -2 ] ] } ] { 7 } 1[ 'm' 1[ 'n' 1[ 'x' ] ] ] "
			 "x010000000ee1038aa500000006ffff 300 } ");
	cr_assert(o.reader.notes.has_end_mark);
	cr_assert_not(o.reader.notes.has_long_integer);
	cr_assert_eq(o.reader.notes.value_end, bytes.len - second.len);
	cr_assert_eq(o.reader.notes.message_end, bytes.len - second.len);

	read_next(&o, &rich_shape);
	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "{ 'second' 1[ 'i' -3 ] } ");

	read_next(&o, &rich_shape);
	expect_refusal(&o, GOB_FAULT_END, "EOF");
}

Test(gob, strings_are_slices_of_the_input)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of("060c0003616263");
	struct gob_sink sink = { 0 };

	(void)sink;
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &string_shape);
	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "'abc' ");
}

Test(gob, every_cut_is_refused)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of(rich_definitions);
	cleanup_(buf_fini) struct buf first = bytes_of(rich_first);

	buf_append(&bytes, first.ptr, first.len);
	for (size_t len = 0; len < bytes.len; len++) {
		unsigned char *copy = vs_alloc(len);
		struct outcome o;

		memcpy(copy, bytes.ptr, len);
		o = read_first(slice_of(copy, len), &rich_shape);
		expect_refusal(&o, GOB_FAULT_END, len == 0 ? "EOF" : "unexpected EOF");
		cr_assert_leq(o.reader.fault.off, len);
		outcome_fini(&o);
		free(copy);
	}
}

Test(gob, an_input_that_ends_with_an_error_gives_that)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of(rich_definitions);
	cleanup_(outcome_fini) struct outcome o = { 0 };

	gob_reader_init(&o.reader, buf_slice(&bytes),
			(struct gob_ending){ .error = "gzip: invalid checksum" });
	read_next(&o, &rich_shape);
	expect_refusal(&o, GOB_FAULT_SOURCE, "gzip: invalid checksum");
	gob_reader_init(&o.reader, buf_slice(&bytes), (struct gob_ending){ .is_limit = true });
	read_next(&o, &rich_shape);
	expect_refusal(&o, GOB_FAULT_LIMIT, "");
}

/* ---- streams made here ---- */

/* One struct type with one field, and the value: a step and what @hex says. */
static struct buf stream(const char *field, int64_t type, const char *hex)
{
	struct gob_field_type fields[] = { { field, type } };
	cleanup_(buf_fini) struct buf value = bytes_of(hex);
	struct buf out = { 0 };
	size_t begin;

	gob_put_struct_type(&out, 64, "T", fields, 1);
	begin = gob_message_begin(&out);
	gob_put_int(&out, 64);
	buf_append(&out, value.ptr, value.len);
	gob_message_end(&out, begin);
	return out;
}

static void expect_field(const char *field, int64_t type, const char *hex, const char *want)
{
	cleanup_(buf_fini) struct buf bytes = stream(field, type, hex);
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	cr_assert_eq(o.ret, 1, "%s %s: %s", field, hex, o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), want);
}

static void refuse_field(const char *field, int64_t type, const char *hex, const char *go_text)
{
	cleanup_(buf_fini) struct buf bytes = stream(field, type, hex);
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	expect_refusal(&o, GOB_FAULT_DATA, go_text);
}

enum { BOOL = 1, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE };

Test(gob, numbers_are_checked_against_their_range)
{
	expect_field("I8", INT, "01fffe00", "{ 127 } ");
	refuse_field("I8", INT, "01fe010000", "value for \"I8\" out of range");
	refuse_field("I8", INT, "01fe010100", "value for \"I8\" out of range");
	refuse_field("I16", INT, "01fd01000000", "value for \"I16\" out of range");
	refuse_field("I32", INT, "01fb010000000000", "value for \"I32\" out of range");
	expect_field("I64", INT, "01f8fffffffffffffffe00", "{ 9223372036854775807 } ");
	expect_field("U8", UINT, "01ffff00", "{ 255 } ");
	refuse_field("U8", UINT, "01fe010000", "value for \"U8\" out of range");
	refuse_field("U16", UINT, "01fd01000000", "value for \"U16\" out of range");
	refuse_field("U32", UINT, "01fb010000000000", "value for \"U32\" out of range");
	expect_field("B", BOOL, "010700", "{ 1 } ");
	/* The largest float32, the next larger double, infinity, and what is too small. */
	expect_field("F32", FLOAT, "01fbe0ffffef4700", "{ 3.40282347e+38 } ");
	refuse_field("F32", FLOAT, "01f8010000e0ffffef4700", "value for \"F32\" out of range");
	expect_field("F32", FLOAT, "01fef07f00", "{ inf } ");
	expect_field("F32", FLOAT, "01f8010000000000000000", "{ 4.94065646e-324 } ");
	expect_field("F64", FLOAT, "01f8ffffffffffffef7f00", "{ 1.79769313e+308 } ");
}

Test(gob, elements_are_named_in_range_errors)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct gob_field_type fields[] = { { "Fs", 65 } };
	size_t begin;

	gob_put_struct_type(&bytes, 64, "T", fields, 1);
	gob_put_slice_type(&bytes, 65, "[]float32", FLOAT);
	begin = gob_message_begin(&bytes);
	gob_put_int(&bytes, 64);
	gob_put_uint(&bytes, 1);
	gob_put_uint(&bytes, 2);
	gob_put_float(&bytes, 0.5);
	gob_put_float(&bytes, 1e300);
	gob_message_end(&bytes, begin);
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	expect_refusal(&o, GOB_FAULT_DATA, "value for \"element of Fs\" out of range");
	cr_assert_eq(o.reader.fault.off, bytes.len - 9);
}

Test(gob, long_integers_are_read_and_noted)
{
	cleanup_(buf_fini) struct buf bytes = stream("U64", UINT, "01f8000000000000000500");
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	cr_assert_eq(o.ret, 1);
	cr_assert_str_eq(buf_cstr(&o.trace), "{ 5 } ");
	cr_assert(o.reader.notes.has_long_integer);
	cr_assert_eq(o.reader.notes.long_integer_off, bytes.len - 10);
	expect_field("U64", UINT, "01ff0500", "{ 5 } ");
	refuse_field("U64", UINT, "01f700000000000000000500",
		     "gob: encoded unsigned integer out of range");
	refuse_field("U64", UINT, "01f800",
		     "gob: invalid uint data length 8: exceeds input size 1");
}

Test(gob, a_value_may_end_without_a_mark)
{
	cleanup_(buf_fini) struct buf bytes = stream("U64", UINT, "0105");
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	cr_assert_eq(o.ret, 1);
	cr_assert_not(o.reader.notes.has_end_mark);
	cr_assert_eq(o.reader.notes.value_end, o.reader.notes.message_end);
}

Test(gob, what_is_behind_the_end_mark_is_left)
{
	cleanup_(buf_fini) struct buf bytes = stream("U64", UINT, "010500ffff");
	cleanup_(outcome_fini) struct outcome o = { 0 };

	buf_append(&bytes, "\xff", 1);
	o = read_first(buf_slice(&bytes), &rich_shape);
	cr_assert_eq(o.ret, 1);
	cr_assert_eq(o.reader.notes.value_end, bytes.len - 3);
	cr_assert_eq(o.reader.notes.message_end, bytes.len - 1);
}

Test(gob, lengths_beyond_the_message)
{
	refuse_field("S", STRING, "01056162", "gob: bad string slice length: 0");
	refuse_field("S", STRING, "01f87fffffffffffffff", "gob: bad string slice length: 0");
	refuse_field("By", BYTES, "01056162", "gob: bad []uint8 slice length: 0");
	refuse_field("U64", UINT, "05", "gob: bad data: field numbers out of bounds");
	refuse_field("U64", UINT, "01", "EOF");
	refuse_field("U64", UINT, "f8ffffffffffffffff",
		     "gob: decode: corrupted data: negative delta");
}

Test(gob, counts_beyond_the_message_allocate_nothing)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct gob_field_type fields[] = { { "Ss", 65 }, { "Fs", 66 }, { "Gone", 66 } };
	static const struct {
		unsigned step;
		uint64_t count;
		const char *go_text;
	} rows[] = {
		{ 1, UINT64_C(1) << 29,
		  "gob: decoding string array or slice: length exceeds input size (536870912 "
		  "elements)" },
		{ 1, (UINT64_C(1) << 29) + 1,
		  "gob: string slice too big: 536870913 elements of 16 bytes" },
		{ 2, UINT64_C(1) << 63,
		  "gob: float32 slice too big: 9223372036854775808 elements of 4 bytes" },
		{ 2, UINT64_C(1) << 31,
		  "gob: decoding float32 array or slice: length exceeds input size (2147483648 "
		  "elements)" },
		{ 3, UINT64_C(1) << 62,
		  "gob: decoding array or slice: length exceeds input size (4611686018427387904 "
		  "elements)" },
	};

	gob_put_struct_type(&bytes, 64, "T", fields, 3);
	gob_put_slice_type(&bytes, 65, "", STRING);
	gob_put_slice_type(&bytes, 66, "", FLOAT);
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf whole = { 0 };
		struct outcome o;
		size_t begin;

		buf_append(&whole, bytes.ptr, bytes.len);
		begin = gob_message_begin(&whole);
		gob_put_int(&whole, 64);
		gob_put_uint(&whole, rows[i].step);
		gob_put_uint(&whole, rows[i].count);
		buf_append(&whole, "\0\0\0", 3);
		gob_message_end(&whole, begin);
		o = read_first(buf_slice(&whole), &rich_shape);
		expect_refusal(&o, GOB_FAULT_DATA, rows[i].go_text);
		outcome_fini(&o);
	}
}

/* ---- types ---- */

static void expect_stream(const char *hex, enum gob_fault_kind kind, const char *go_text)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of(hex);
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	expect_refusal(&o, kind, go_text);
}

Test(gob, streams_that_are_none)
{
	expect_stream("00", GOB_FAULT_DATA, "EOF");
	expect_stream("0000000000", GOB_FAULT_DATA, "EOF");
	expect_stream("80", GOB_FAULT_DATA, "gob: encoded unsigned integer out of range");
	expect_stream("fb0200000000", GOB_FAULT_DATA, "invalid message length");
	expect_stream("fb01ffffffff", GOB_FAULT_END, "unexpected EOF");
	expect_stream("fd01", GOB_FAULT_END, "unexpected EOF");
	/* A number that ends with its message, and one of 9 bytes. */
	expect_stream("01fe", GOB_FAULT_DATA, "unexpected EOF");
	expect_stream("01f7", GOB_FAULT_DATA, "gob: encoded unsigned integer out of range");
	/* Definitions of 63 and of nothing; a value of a type that is not defined. */
	expect_stream("017d", GOB_FAULT_DATA, "gob: duplicate type received");
	expect_stream("027f00", GOB_FAULT_END, "unexpected EOF");
	expect_stream("03ff8000", GOB_FAULT_DATA, "gob: unknown type id or corrupted data");
	expect_stream("027f0003ff8000", GOB_FAULT_SHAPE,
		      "gob: type mismatch in decoder: want struct type main.Rich; got non-struct");
	expect_stream("020400", GOB_FAULT_SHAPE,
		      "gob: type mismatch in decoder: want struct type main.Rich; got non-struct");
	expect_stream("037f0000", GOB_FAULT_DATA, "extra data in buffer");
	expect_stream("027f00027f00", GOB_FAULT_DATA, "gob: duplicate type received");
}

Test(gob, types_that_do_not_fit)
{
	static const struct {
		char field[8];
		int64_t type;
		char go_text[96];
	} rows[] = {
		{ "S", UINT, "gob: wrong type (string) for received field T.S" },
		{ "I8", UINT, "gob: wrong type (int8) for received field T.I8" },
		{ "Fs", FLOAT, "gob: wrong type ([]float32) for received field T.Fs" },
		{ "M", 99, "gob: wrong type (map[string]interface {}) for received field T.M" },
		{ "Other", INT,
		  "gob: type mismatch: no fields matched compiling decoder for Rich" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf bytes = stream(rows[i].field, rows[i].type, "00");
		cleanup_(outcome_fini) struct outcome o =
			read_first(buf_slice(&bytes), &rich_shape);

		expect_refusal(&o, GOB_FAULT_SHAPE, rows[i].go_text);
	}
	/* Before a value is looked at, all of its types are. */
	refuse_field("Other", 99, "ffff", "gob: bad data: undefined type <nil>");
	refuse_field("Other", 22, "ffff",
		     "gob: bad data: undefined type [] = struct { Name string; Id int; }");
	refuse_field("", INT, "00", "gob: empty name for remote field of type T");
}

Test(gob, single_values)
{
	cleanup_(buf_fini) struct buf bytes = bytes_of("0304000903040109030c00ff");
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &int_shape);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "-5 ");
	read_next(&o, &int_shape);
	expect_refusal(&o, GOB_FAULT_DATA,
		       "gob: decode: corrupted data: non-zero delta for singleton");
	read_next(&o, &int_shape);
	expect_refusal(&o, GOB_FAULT_SHAPE,
		       "gob: decoding into local type int, received remote type string");
}

/* A field of unknown name, of a type that @put defines as 65 and which @hex is a value of. */
static struct outcome skip(void (*put)(struct buf *out), const char *hex, struct buf *bytes)
{
	struct gob_field_type fields[] = { { "Gone", 65 }, { "U64", UINT } };
	cleanup_(buf_fini) struct buf value = bytes_of(hex);
	size_t begin;

	gob_put_struct_type(bytes, 64, "T", fields, 2);
	put(bytes);
	begin = gob_message_begin(bytes);
	gob_put_int(bytes, 64);
	gob_put_uint(bytes, 1);
	buf_append(bytes, value.ptr, value.len);
	gob_message_end(bytes, begin);
	return read_first(buf_slice(bytes), &rich_shape);
}

static void put_slice_of_itself(struct buf *out)
{
	gob_put_slice_type(out, 65, "", 65);
}

static void put_map_of_structs(struct buf *out)
{
	gob_put_map_type(out, 65, "", 66, 66);
	gob_put_struct_type(out, 66, "", NULL, 0);
}

static void put_slice_of_interfaces(struct buf *out)
{
	gob_put_slice_type(out, 65, "", INTERFACE);
}

/* Type 65 is an array of 2 ints. */
static void put_array(struct buf *out)
{
	cleanup_(buf_fini) struct buf array = bytes_of("0cff81010102ff8200010401040000");

	array.ptr[0] = (unsigned char)(array.len - 1);
	buf_append(out, array.ptr, array.len);
}

Test(gob, a_type_may_be_its_own_element)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o =
		skip(put_slice_of_itself, "03010002000102010000010700", &bytes);

	(void)o;
	cr_assert_eq(o.ret, 0);
	buf_clear(&bytes);
	outcome_fini(&o);
	/* { {{}, {}}, {}, {{{}}} }, and then U64 = 7 */
	o = skip(put_slice_of_itself, "0302000000010100010700", &bytes);
	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "{ 7 } ");
}

static struct outcome skip_nested(size_t depth, struct buf *bytes)
{
	char *hex = vs_alloc(2 * depth + 3);
	struct outcome o;

	for (size_t i = 0; i < depth; i++)
		memcpy(hex + 2 * i, "01", 2);
	memcpy(hex + 2 * depth, "00", 2);
	o = skip(put_slice_of_itself, hex, bytes);
	free(hex);
	return o;
}

Test(gob, values_inside_values_have_a_limit)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o = skip_nested(GOB_DEPTH_MAX - 2, &bytes);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	outcome_fini(&o);
	buf_clear(&bytes);
	o = skip_nested(3000000, &bytes);
	expect_refusal(&o, GOB_FAULT_LIMIT, "");
}

Test(gob, a_map_without_bytes_ends)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o =
		skip(put_map_of_structs, "f87fffffffffffffff", &bytes);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_eq(o.reader.notes.value_end, bytes.len);
}

Test(gob, arrays_have_the_length_of_their_type)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o = skip(put_array, "020305010700", &bytes);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "{ 7 } ");
	outcome_fini(&o);
	buf_clear(&bytes);
	o = skip(put_array, "03030507010700", &bytes);
	expect_refusal(&o, GOB_FAULT_DATA, "gob: length mismatch in ignoreArray");
}

Test(gob, interfaces_that_are_skipped_may_define_types)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	/* "T" of type 70, which is defined on the way ([]70), 2 bytes. Go cannot skip nil. */
	cleanup_(outcome_fini) struct outcome o = skip(put_slice_of_interfaces,
						       "010154ff8b020102ff8c0001ff8c000005ff8c02"
						       "0000010700",
						       &bytes);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	cr_assert_str_eq(buf_cstr(&o.trace), "{ 7 } ");
	cr_assert_eq(gob_reader_type(&o.reader, 70)->slice_elem, 70);
}

static void put_strings(struct buf *out)
{
	gob_put_slice_type(out, 65, "", STRING);
}

Test(gob, lengths_of_what_is_skipped)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o = skip(put_strings, "0201610561", &bytes);

	expect_refusal(&o, GOB_FAULT_DATA, "gob: slice length too large");
	cr_assert_eq(o.reader.fault.off, bytes.len - 2);
}

/* A row of types, each a slice of the next. */
static void put_nested_types(struct buf *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		gob_put_slice_type(out, 65 + (int64_t)i, "", i + 1 < count ? 66 + (int64_t)i : INT);
}

static void put_9999(struct buf *out)
{
	put_nested_types(out, GOB_NESTING_MAX - 1);
}

static void put_10000(struct buf *out)
{
	put_nested_types(out, GOB_NESTING_MAX);
}

static void put_too_many(struct buf *out)
{
	put_nested_types(out, GOB_TYPES_MAX);
}

Test(gob, types_inside_types_have_a_limit)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o = skip(put_9999, "00010700", &bytes);

	cr_assert_eq(o.ret, 1, "%s", o.reader.fault.text);
	outcome_fini(&o);
	buf_clear(&bytes);
	o = skip(put_10000, "00010700", &bytes);
	expect_refusal(&o, GOB_FAULT_DATA, "invalid nesting depth");
	outcome_fini(&o);
	buf_clear(&bytes);
	o = skip(put_too_many, "00010700", &bytes);
	expect_refusal(&o, GOB_FAULT_LIMIT, "");
}

/* A struct of many fields, each of a type that takes many steps to look at. */
static void put_entangled(struct buf *out)
{
	struct gob_field_type *fields = vs_alloc_array(4000, sizeof(*fields));

	for (size_t i = 0; i < 4000; i++)
		fields[i] = (struct gob_field_type){ "F", 66 };
	gob_put_struct_type(out, 65, "", fields, 4000);
	for (int64_t i = 66; i < 2066; i++)
		gob_put_slice_type(out, i, "", i + 1 < 2066 ? i + 1 : INT);
	free(fields);
}

Test(gob, entangled_types_have_a_limit)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(outcome_fini) struct outcome o = skip(put_entangled, "00010700", &bytes);

	expect_refusal(&o, GOB_FAULT_LIMIT, "");
	cr_assert(strstr(o.reader.fault.text, "entangled"));
}

/* ---- interfaces that are read ---- */

static void expect_map(const char *hex, bool is_read, const char *want)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf value = bytes_of(hex);
	struct gob_field_type fields[] = { { "M", 65 } };
	size_t begin;

	gob_put_struct_type(&bytes, 64, "T", fields, 1);
	gob_put_map_type(&bytes, 65, "", STRING, INTERFACE);
	begin = gob_message_begin(&bytes);
	gob_put_int(&bytes, 64);
	buf_append(&bytes, "\x01\x01\x01k", 4);
	buf_append(&bytes, value.ptr, value.len);
	gob_message_end(&bytes, begin);
	cleanup_(outcome_fini) struct outcome o = read_first(buf_slice(&bytes), &rich_shape);

	cr_assert_eq(o.ret, is_read ? 1 : 0, "%s", o.reader.fault.text);
	cr_assert_str_eq(is_read ? buf_cstr(&o.trace) : o.reader.fault.go_text, want);
}

Test(gob, interfaces)
{
	expect_map("0000", true, "{ 1[ 'k' nil ] } ");
	expect_map("03696e740402000500", true, "{ 1[ 'k' -3 ] } ");
	expect_map("03666f6f0402000500", false, "gob: name not registered for interface: \"foo\"");
	expect_map("03696e740c02000500", false,
		   "gob: decoding into local type int, received remote type string");
	expect_map("03696e740402010500", false,
		   "gob: decode: corrupted data: non-zero delta for singleton");
	expect_map("7f", false, "gob: invalid type name length 127: exceeds input size");
	expect_map("fc8000000100", false, "gob: invalid type name length 2147483649");
	expect_map("03696e74", false, "EOF");
}
