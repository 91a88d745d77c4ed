/* SPDX-License-Identifier: Apache-2.0 */

/* The stack machine: pushes, the memo, items, and the one class that may be named. */

#include "pickle/machine.h"

int pickle_refuse(struct pickle_machine *m, enum pickle_fault_kind kind, uint64_t off,
		  const char *fmt, ...)
{
	char what[144];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	m->fault->kind = kind;
	m->fault->off = off;
	(void)snprintf(m->fault->text, sizeof(m->fault->text), "%s at offset %" PRIu64, what, off);
	return PICKLE_REFUSED;
}

static struct pickle_value *top(struct pickle_machine *m, unsigned below)
{
	return m->depth > below ? &m->stack[m->depth - 1 - below] : NULL;
}

static bool is_kind(const struct pickle_value *v, enum pickle_value_kind kind)
{
	return v != NULL && v->kind == kind;
}

/* Hand over the item that lies complete above a mark, if one does. */
static int settle(struct pickle_machine *m)
{
	int r;

	if (!is_kind(top(m, 2), PICKLE_MARK) || is_kind(top(m, 1), PICKLE_MARK) ||
	    is_kind(top(m, 0), PICKLE_MARK))
		return 0;
	r = pickle_shape_item(m, top(m, 3), top(m, 1), top(m, 0));
	if (r == 0)
		m->depth -= 2;
	return r;
}

static int push(struct pickle_machine *m, const struct pickle_value *v)
{
	if (m->depth == PICKLE_STACK_MAX)
		return pickle_refuse(m, PICKLE_FAULT_LIMIT, v->off, "more than %u values stacked",
				     PICKLE_STACK_MAX);
	m->stack[m->depth++] = *v;
	return 0;
}

static int push_kind(struct pickle_machine *m, const struct pickle_op *op,
		     enum pickle_value_kind kind)
{
	struct pickle_value v = { .kind = kind, .off = op->off };
	int r;

	if (kind == PICKLE_DICT) {
		r = pickle_shape_role(m, op->off, &v.role);
		if (r != 0)
			return r;
	}
	if (kind == PICKLE_MARK && !is_kind(top(m, 0), PICKLE_DICT))
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, op->off,
				     "a mark where index metadata has none");
	return push(m, &v);
}

static int push_text(struct pickle_machine *m, const struct pickle_op *op, uint64_t off)
{
	const struct pickle_value v = {
		.kind = PICKLE_TEXT,
		.off = off,
		.text_off = op->off,
		.text = op->argument,
		.is_memoized = off != op->off,
	};

	if (op->argument.len > PICKLE_STRING_MAX)
		return pickle_refuse(m, PICKLE_FAULT_LIMIT, off, "a string of %zu bytes",
				     op->argument.len);
	if (off == op->off && !utf8_is_valid(op->argument))
		return pickle_refuse(m, PICKLE_FAULT_DATA, off, "a string that is not UTF-8");
	return push(m, &v);
}

/* Two's complement of any length, little-endian. */
static int push_long(struct pickle_machine *m, const struct pickle_op *op)
{
	struct pickle_value v = { .kind = PICKLE_INTEGER, .off = op->off };
	uint64_t bits = pickle_op_number(op);
	size_t len = op->argument.len;

	if (len > PICKLE_INTEGER_MAX)
		return pickle_refuse(m, PICKLE_FAULT_LIMIT, op->off, "an integer of %zu bytes",
				     len);
	if (len > 0 && len < 8 && (op->argument.ptr[len - 1] & 0x80) != 0)
		bits |= ~UINT64_C(0) << (8 * len);
	v.number = (int64_t)bits;
	return push(m, &v);
}

static int push_integer(struct pickle_machine *m, const struct pickle_op *op)
{
	struct pickle_value v = { .kind = PICKLE_INTEGER, .off = op->off };
	uint64_t bits = pickle_op_number(op);

	v.number = op->code == OP_BININT ? (int32_t)(uint32_t)bits : (int64_t)bits;
	return push(m, &v);
}

/* ---- the memo ---- */

static int memo_add(struct pickle_machine *m, const struct pickle_op *op)
{
	struct pickle_value *v = top(m, 0);
	uint64_t *grown;
	size_t cap;

	if (v == NULL || v->kind == PICKLE_MARK)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off, "nothing to remember");
	if (v->is_memoized)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, op->off, "a value remembered twice");
	if (m->memo_count == m->memo_cap) {
		if (m->memo_count >= PICKLE_MEMO_MAX)
			return pickle_refuse(m, PICKLE_FAULT_LIMIT, op->off,
					     "more than %zu values in the memo", PICKLE_MEMO_MAX);
		cap = VS_MAX(m->memo_cap * 2, (size_t)64);
		grown = realloc(m->memo, cap * sizeof(*grown));
		if (grown == NULL)
			return vs_fail(m->err, VS_ENOMEM, "no memory for %zu memo entries", cap);
		m->memo = grown;
		m->memo_cap = cap;
	}
	v->is_memoized = true;
	m->memo[m->memo_count++] = v->kind == PICKLE_TEXT ? v->text_off : PICKLE_NO_TEXT;
	return 0;
}

/* Picklers number the memo from 0; a leap would make a loader allocate what was left out. */
static int memo_put(struct pickle_machine *m, const struct pickle_op *op)
{
	uint64_t number = pickle_op_number(op);

	if (number != m->memo_count)
		return pickle_refuse(m, PICKLE_FAULT_LIMIT, op->off,
				     "memo entry %" PRIu64 " is not the next one", number);
	return memo_add(m, op);
}

static int memo_fetch(struct pickle_machine *m, const struct pickle_op *op)
{
	uint64_t number = pickle_op_number(op);
	struct cursor c = cursor_of(m->bytes);
	struct pickle_op text;

	if (number >= m->memo_count)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off,
				     "memo entry %" PRIu64 " does not exist", number);
	if (m->memo[number] == PICKLE_NO_TEXT)
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, op->off,
				     "memo entry %" PRIu64 " is no text", number);
	/* It was read before, so it can only be there; the check is for the compiler's sake. */
	if (!cursor_skip(&c, m->memo[number]) || pickle_step(&c, &text) != PICKLE_STEP_OK)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off, "a text that is gone");
	return push_text(m, &text, op->off);
}

/* ---- the class ---- */

static int refuse_import(struct pickle_machine *m, const struct pickle_op *op, struct slice module,
			 struct slice name)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct slice shown = module;

	shown.len = VS_MIN(shown.len, (size_t)48);
	text_escape(&text, shown);
	buf_append_byte(&text, '.');
	shown = name;
	shown.len = VS_MIN(shown.len, (size_t)32);
	text_escape(&text, shown);
	return pickle_refuse(m, PICKLE_FAULT_CODE, op->off, "would import %.100s", buf_cstr(&text));
}

static int name_class(struct pickle_machine *m, const struct pickle_op *op)
{
	const struct pickle_value v = { .kind = PICKLE_CLASS, .off = op->off };
	const struct pickle_value *name = top(m, 0);
	const struct pickle_value *module = top(m, 1);
	bool is_stacked = op->code == OP_STACK_GLOBAL;

	if (is_stacked && (!is_kind(name, PICKLE_TEXT) || !is_kind(module, PICKLE_TEXT)))
		return pickle_refuse(m, PICKLE_FAULT_CODE, op->off,
				     "would import something without a plain name");
	if (!pickle_is_known_class(is_stacked ? module->text : op->argument,
				   is_stacked ? name->text : op->second))
		return refuse_import(m, op, is_stacked ? module->text : op->argument,
				     is_stacked ? name->text : op->second);
	if (m->depth != (is_stacked ? 2u : 0u))
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, op->off,
				     "the class of index metadata where it does not belong");
	m->depth = 0;
	return push(m, &v);
}

static int make_object(struct pickle_machine *m, const struct pickle_op *op)
{
	const struct pickle_value v = { .kind = PICKLE_OBJECT, .off = op->off };

	if (m->depth != 2 || !is_kind(top(m, 0), PICKLE_TUPLE) || !is_kind(top(m, 1), PICKLE_CLASS))
		return pickle_refuse(m, PICKLE_FAULT_CODE, op->off, "would call something");
	m->depth = 0;
	return push(m, &v);
}

static int build_object(struct pickle_machine *m, const struct pickle_op *op)
{
	struct pickle_value *state = top(m, 0);

	if (m->depth != 2 || !is_kind(state, PICKLE_DICT) || !is_kind(top(m, 1), PICKLE_OBJECT) ||
	    top(m, 1)->is_built)
		return pickle_refuse(m, PICKLE_FAULT_CODE, op->off,
				     "would set the state of something");
	m->depth = 1;
	top(m, 0)->is_built = true;
	return 0;
}

/* ---- items ---- */

static int set_items(struct pickle_machine *m, const struct pickle_op *op)
{
	int r = settle(m);

	if (r != 0)
		return r;
	if (!is_kind(top(m, 0), PICKLE_MARK))
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off,
				     "items without a mark or a value");
	m->depth--;
	return 0;
}

static int set_item(struct pickle_machine *m, const struct pickle_op *op)
{
	int r;

	if (!is_kind(top(m, 2), PICKLE_DICT) || is_kind(top(m, 1), PICKLE_MARK) ||
	    is_kind(top(m, 0), PICKLE_MARK))
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off, "an item without a dictionary");
	r = pickle_shape_item(m, top(m, 2), top(m, 1), top(m, 0));
	if (r == 0)
		m->depth -= 2;
	return r;
}

/* ---- instructions ---- */

static int set_protocol(struct pickle_machine *m, const struct pickle_op *op)
{
	if (op->argument.ptr[0] > 5)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off, "protocol %u",
				     op->argument.ptr[0]);
	m->meta->protocol = op->argument.ptr[0];
	return 0;
}

static void enter_frame(struct pickle_machine *m, const struct pickle_op *op)
{
	uint64_t end;

	if (__builtin_add_overflow(cursor_off(&m->cursor), pickle_op_number(op), &end))
		end = UINT64_MAX;
	m->frame_end = VS_MAX(m->frame_end, end);
}

/* What pushes something. */
static int do_push(struct pickle_machine *m, const struct pickle_op *op)
{
	int r = settle(m);

	if (r != 0)
		return r;
	switch (op->code) {
	case OP_NONE:
		return push_kind(m, op, PICKLE_NONE);
	case OP_NEWTRUE:
	case OP_NEWFALSE:
	case OP_BINFLOAT:
		return push_kind(m, op, PICKLE_OTHER);
	case OP_BININT:
	case OP_BININT1:
	case OP_BININT2:
		return push_integer(m, op);
	case OP_LONG1:
	case OP_LONG4:
		return push_long(m, op);
	case OP_BINUNICODE:
	case OP_SHORT_BINUNICODE:
	case OP_BINUNICODE8:
		return push_text(m, op, op->off);
	case OP_BINGET:
	case OP_LONG_BINGET:
		return memo_fetch(m, op);
	case OP_EMPTY_DICT:
		return push_kind(m, op, PICKLE_DICT);
	case OP_EMPTY_TUPLE:
		return push_kind(m, op, PICKLE_TUPLE);
	default:
		return pickle_refuse(m, PICKLE_FAULT_SHAPE, op->off,
				     "%s, which index metadata never uses,", op->info->name);
	}
}

static int do_op(struct pickle_machine *m, const struct pickle_op *op)
{
	switch (op->code) {
	case OP_PROTO:
		return set_protocol(m, op);
	case OP_FRAME:
		enter_frame(m, op);
		return 0;
	case OP_MEMOIZE:
		return memo_add(m, op);
	case OP_BINPUT:
	case OP_LONG_BINPUT:
		return memo_put(m, op);
	case OP_MARK:
		return push_kind(m, op, PICKLE_MARK);
	case OP_SETITEM:
		return set_item(m, op);
	case OP_SETITEMS:
		return set_items(m, op);
	case OP_GLOBAL:
	case OP_STACK_GLOBAL:
		return name_class(m, op);
	case OP_NEWOBJ:
		return make_object(m, op);
	case OP_BUILD:
		return build_object(m, op);
	default:
		break;
	}
	if (op->code == OP_INST)
		return refuse_import(m, op, op->argument, op->second);
	if (op->info->is_danger)
		return pickle_refuse(m, PICKLE_FAULT_CODE, op->off, "would run code (%s)",
				     op->info->name);
	return do_push(m, op);
}

static int stop(struct pickle_machine *m, const struct pickle_op *op)
{
	if (m->depth != 1)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off, "%u values left at the end",
				     m->depth);
	if (m->frame_end > m->bytes.len)
		return pickle_refuse(m, PICKLE_FAULT_DATA, op->off,
				     "a frame that is longer than the file, found");
	m->meta->end_off = cursor_off(&m->cursor);
	return pickle_shape_finish(m, top(m, 0), op->off);
}

static int run(struct pickle_machine *m)
{
	struct pickle_op op;
	int r;

	for (;;) {
		switch (pickle_step(&m->cursor, &op)) {
		case PICKLE_STEP_END:
			return pickle_refuse(m, PICKLE_FAULT_END, op.off,
					     m->bytes.len == 0
						     ? "the file is empty, it ends"
						     : "the file ends in the instruction");
		case PICKLE_STEP_UNKNOWN:
			return pickle_refuse(m, PICKLE_FAULT_DATA, op.off, "byte %02x is no opcode",
					     op.code);
		case PICKLE_STEP_OK:
			break;
		}
		if (op.code == OP_STOP)
			return stop(m, &op);
		r = do_op(m, &op);
		if (r != 0)
			return r;
	}
}

int pickle_read(struct slice bytes, const struct pickle_sink *sink, struct pickle_meta *meta,
		struct pickle_fault *fault, struct vs_err *err)
{
	struct pickle_machine m = {
		.bytes = bytes,
		.cursor = cursor_of(bytes),
		.sink = sink,
		.meta = meta,
		.fault = fault,
		.err = err,
	};
	int r;

	*meta = (struct pickle_meta){ 0 };
	*fault = (struct pickle_fault){ .kind = PICKLE_FAULT_NONE };
	r = run(&m);
	meta->memo_count = m.memo_count;
	free(m.memo);
	if (r < 0)
		return r;
	return r == PICKLE_REFUSED ? 0 : 1;
}
