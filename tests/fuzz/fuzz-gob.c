/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile gob stream, read into each kind of Go type that there is. The first byte chooses the
 * type, the others are the stream.
 *
 * What holds of any stream: events nest, all they point to lies in the input, offsets never go
 * back to before the value, a refusal has a place and words in both languages; and a reader that
 * was used before reads the same as a new one.
 */

#include "gob/gob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the types ---- */

#define PLAIN(id, what, text)                                                                      \
	static const struct gob_shape id = { .kind = (what), .go_type = (text) }

PLAIN(bool_shape, GOB_BOOL, "bool");
PLAIN(int8_shape, GOB_INT8, "int8");
PLAIN(int_shape, GOB_INT64, "int");
PLAIN(uint16_shape, GOB_UINT16, "uint16");
PLAIN(uint64_shape, GOB_UINT64, "uint64");
PLAIN(float32_shape, GOB_FLOAT32, "float32");
PLAIN(float64_shape, GOB_FLOAT64, "float64");
PLAIN(string_shape, GOB_STRING, "string");
PLAIN(bytes_shape, GOB_BYTES, "[]uint8");
PLAIN(time_shape, GOB_BLOB, "time.Time");
PLAIN(address_shape, GOB_BLOB_TEXT, "netip.Addr");

static const struct gob_shape strings_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]string",
	.key = &string_shape,
	.elem = &string_shape,
};
static const struct gob_shape floats_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]float32",
	.elem = &float32_shape,
};

/* What the library stores. */
static const struct gob_member document_members[] = {
	{ "ID", &string_shape },
	{ "Metadata", &strings_shape },
	{ "Embedding", &floats_shape },
	{ "Content", &string_shape },
};
static const struct gob_shape document_shape = {
	.kind = GOB_STRUCT,
	.go_type = "chromem.Document",
	.go_name = "Document",
	.go_size = 72,
	.members = document_members,
	.member_count = VS_COUNT(document_members),
};
static const struct gob_member collection_members[] = {
	{ "Name", &string_shape },
	{ "Metadata", &strings_shape },
};
static const struct gob_shape collection_shape = {
	.kind = GOB_STRUCT,
	.go_type = "struct { Name string; Metadata map[string]string }",
	.go_name = "",
	.members = collection_members,
	.member_count = VS_COUNT(collection_members),
};

/* A map of structs that hold maps of structs, as an export does. */
static const struct gob_shape documents_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]*chromem.Document",
	.key = &string_shape,
	.elem = &document_shape,
};
static const struct gob_member shelf_members[] = {
	{ "Name", &string_shape },
	{ "Metadata", &strings_shape },
	{ "Documents", &documents_shape },
};
static const struct gob_shape shelf_shape = {
	.kind = GOB_STRUCT,
	.go_type = "main.Shelf",
	.go_name = "Shelf",
	.members = shelf_members,
	.member_count = VS_COUNT(shelf_members),
};
static const struct gob_shape shelves_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]*main.Shelf",
	.key = &string_shape,
	.elem = &shelf_shape,
};

/* Everything else; an interface may hold a map of interfaces. */
static const struct gob_shape anything_shape;
static const struct gob_shape things_shape = {
	.kind = GOB_MAP,
	.go_type = "map[string]interface {}",
	.key = &string_shape,
	.elem = &anything_shape,
};
static const struct gob_member concrete[] = {
	{ "int", &int_shape },
	{ "string", &string_shape },
	{ "time.Time", &time_shape },
	{ "map[string]interface {}", &things_shape },
};
static const struct gob_shape anything_shape = {
	.kind = GOB_INTERFACE,
	.go_type = "interface {}",
	.members = concrete,
	.member_count = VS_COUNT(concrete),
};
static const struct gob_member inner_members[] = { { "X", &int8_shape }, { "Y", &uint16_shape } };
static const struct gob_shape inner_shape = {
	.kind = GOB_STRUCT,
	.go_type = "main.Inner",
	.go_name = "Inner",
	.go_size = 4,
	.members = inner_members,
	.member_count = VS_COUNT(inner_members),
};
static const struct gob_shape inners_shape = {
	.kind = GOB_SLICE,
	.go_type = "[]main.Inner",
	.elem = &inner_shape,
};
static const struct gob_member mixed_members[] = {
	{ "Flag", &bool_shape },       { "Count", &int_shape },     { "Size", &uint64_shape },
	{ "Ratio", &float64_shape },   { "Raw", &bytes_shape },     { "When", &time_shape },
	{ "Address", &address_shape }, { "Inners", &inners_shape }, { "Any", &anything_shape },
	{ "Things", &things_shape },
};
static const struct gob_shape mixed_shape = {
	.kind = GOB_STRUCT,
	.go_type = "main.Mixed",
	.go_name = "Mixed",
	.members = mixed_members,
	.member_count = VS_COUNT(mixed_members),
};

static const struct gob_shape *const shapes[] = {
	&document_shape, &collection_shape, &shelves_shape, &mixed_shape,  &things_shape,
	&string_shape,   &int_shape,        &bool_shape,    &floats_shape, &anything_shape,
};

/* ---- what must hold ---- */

struct watch {
	struct slice input;
	uint64_t depth;
	uint64_t events;
	uint64_t sum; /* over all events */
};

static void add(struct watch *w, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		w->sum = (w->sum ^ p[i]) * UINT64_C(0x100000001b3);
}

static bool is_text(const struct gob_shape *shape)
{
	return shape->kind == GOB_STRING || shape->kind == GOB_BYTES || shape->kind >= GOB_BLOB;
}

static int take(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct watch *w = ctx;
	const unsigned char *end = w->input.ptr + w->input.len;

	(void)err;
	if (event->off > w->input.len || ++w->events == 0)
		abort();
	add(w, &event->kind, sizeof(event->kind));
	add(w, &event->off, sizeof(event->off));
	if (event->kind == GOB_BEGIN) {
		w->depth++;
	} else if (event->kind == GOB_END) {
		if (w->depth-- == 0)
			abort();
	} else if (event->kind == GOB_VALUE && is_text(event->shape)) {
		if (event->bytes.len > 0 &&
		    (event->bytes.ptr < w->input.ptr || event->bytes.ptr > end ||
		     event->bytes.len > (size_t)(end - event->bytes.ptr)))
			abort();
		add(w, event->bytes.ptr, event->bytes.len);
	} else if (event->kind == GOB_VALUE) {
		add(w, &event->u, sizeof(event->u));
	}
	return 0;
}

static void check_value(const struct gob_notes *notes, const struct watch *w)
{
	if (w->depth != 0 || w->events == 0 || notes->value_off > notes->value_end ||
	    notes->value_end > notes->message_end || notes->message_end > w->input.len ||
	    notes->definitions_end > notes->value_off)
		abort();
}

static void check_fault(const struct gob_fault *fault, const struct watch *w)
{
	if (fault->kind == GOB_FAULT_NONE || fault->text[0] == '\0' || fault->off > w->input.len ||
	    (fault->go_text[0] == '\0') != (fault->kind == GOB_FAULT_LIMIT))
		abort();
}

/* Read all values of the stream; what was seen, as a sum. */
static uint64_t read_all(struct gob_reader *r, const struct gob_shape *shape, struct slice input)
{
	struct watch w = { .input = input };
	const struct gob_sink sink = { &w, take };
	struct vs_err err = { 0 };
	int ret;

	gob_reader_init(r, input, (struct gob_ending){ 0 });
	while ((ret = gob_reader_next(r, shape, &sink, &err)) == 1) {
		check_value(&r->notes, &w);
		w.events = 0;
	}
	if (ret < 0)
		abort();
	check_fault(&r->fault, &w);
	add(&w, r->fault.text, strlen(r->fault.text));
	add(&w, r->fault.go_text, strlen(r->fault.go_text));
	return w.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(gob_reader_fini) struct gob_reader r = { 0 };
	const struct gob_shape *shape;
	uint64_t first;

	if (size == 0)
		return 0;
	shape = shapes[data[0] % VS_COUNT(shapes)];
	first = read_all(&r, shape, slice_of(data + 1, size - 1));
	if (read_all(&r, shape, slice_of(data + 1, size - 1)) != first)
		abort();
	return 0;
}
