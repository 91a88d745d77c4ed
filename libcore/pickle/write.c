/* SPDX-License-Identifier: Apache-2.0 */

/* Writes index metadata as the server in Rust does: protocol 3, long forms only, no memo. */

#include "pickle/opcode.h"

static void put_le32(struct buf *out, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		buf_append_byte(out, (unsigned char)(value >> (8 * i)));
}

static void put_text(struct buf *out, struct slice text)
{
	buf_append_byte(out, OP_BINUNICODE);
	put_le32(out, (uint32_t)text.len);
	if (text.len > 0)
		buf_append(out, text.ptr, text.len);
}

static void put_name(struct buf *out, const char *name)
{
	put_text(out, slice_str(name));
}

/* As LONG1 in the fewest bytes of two's complement where 32 bits are too few. */
static void put_integer(struct buf *out, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	unsigned len = 8;

	if (value >= INT32_MIN && value <= INT32_MAX) {
		buf_append_byte(out, OP_BININT);
		put_le32(out, (uint32_t)bits);
		return;
	}
	while (len > 1 &&
	       ((int64_t)(bits << (64 - 8 * (len - 1))) >> (64 - 8 * (len - 1))) == value)
		len--;
	buf_append_byte(out, OP_LONG1);
	buf_append_byte(out, (unsigned char)len);
	for (unsigned i = 0; i < len; i++)
		buf_append_byte(out, (unsigned char)(bits >> (8 * i)));
}

static void begin_map(struct buf *out, const char *name)
{
	put_name(out, name);
	buf_append_byte(out, OP_EMPTY_DICT);
}

static void end_map(struct pickle_writer *w)
{
	if (w->count[w->is_turned] > 0)
		buf_append_byte(w->out, OP_SETITEMS);
}

void pickle_writer_begin(struct pickle_writer *w, struct buf *out, int64_t total_elements_added)
{
	*w = (struct pickle_writer){ .out = out };
	buf_append_byte(out, OP_PROTO);
	buf_append_byte(out, 3);
	buf_append_byte(out, OP_EMPTY_DICT);
	buf_append_byte(out, OP_MARK);
	put_name(out, "dimensionality");
	buf_append_byte(out, OP_NONE);
	put_name(out, "total_elements_added");
	put_integer(out, total_elements_added);
	put_name(out, "max_seq_id");
	buf_append_byte(out, OP_NONE);
	begin_map(out, "id_to_label");
}

int pickle_writer_add(struct pickle_writer *w, struct slice id, int64_t label, struct vs_err *err)
{
	if (id.len > PICKLE_STRING_MAX)
		return vs_fail(err, VS_ELIMIT, "an id of %zu bytes is too long for index metadata",
			       id.len);
	if (!utf8_is_valid(id))
		return vs_fail(err, VS_EFORMAT, "an id that is not UTF-8");
	if (label < 1)
		return vs_fail(err, VS_EUSAGE, "label %" PRId64 " is below 1", label);
	if (w->count[w->is_turned]++ == 0)
		buf_append_byte(w->out, OP_MARK);
	if (w->is_turned)
		put_integer(w->out, label);
	put_text(w->out, id);
	if (!w->is_turned)
		put_integer(w->out, label);
	return 0;
}

void pickle_writer_turn(struct pickle_writer *w)
{
	assert(!w->is_turned);
	end_map(w);
	begin_map(w->out, "label_to_id");
	w->is_turned = true;
}

int pickle_writer_end(struct pickle_writer *w, struct vs_err *err)
{
	if (!w->is_turned || w->count[0] != w->count[1])
		return vs_fail(err, VS_EUSAGE,
			       "%" PRIu64 " ids with labels and %" PRIu64 " labels with ids",
			       w->count[0], w->count[1]);
	end_map(w);
	begin_map(w->out, "id_to_seq_id");
	buf_append_byte(w->out, OP_SETITEMS);
	buf_append_byte(w->out, OP_STOP);
	return 0;
}
