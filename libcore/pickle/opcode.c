/* SPDX-License-Identifier: Apache-2.0 */

/* The table of opcodes, after Python's pickletools, and the step from one to the next. */

#include "pickle/opcode.h"

#define PLAIN(name, argument)                                                                      \
	{                                                                                          \
		(name), (argument), false, PICKLE_IMPORTS                                          \
	}
#define DANGER(name, argument, kind)                                                               \
	{                                                                                          \
		(name), (argument), true, (kind)                                                   \
	}

static const struct pickle_opcode opcodes[256] = {
	['('] = PLAIN("MARK", ARG_NONE),
	[')'] = PLAIN("EMPTY_TUPLE", ARG_NONE),
	['.'] = PLAIN("STOP", ARG_NONE),
	['0'] = PLAIN("POP", ARG_NONE),
	['1'] = PLAIN("POP_MARK", ARG_NONE),
	['2'] = PLAIN("DUP", ARG_NONE),
	['B'] = PLAIN("BINBYTES", ARG_LEN4),
	['C'] = PLAIN("SHORT_BINBYTES", ARG_LEN1),
	['F'] = PLAIN("FLOAT", ARG_LINE),
	['G'] = PLAIN("BINFLOAT", ARG_8),
	['I'] = PLAIN("INT", ARG_LINE),
	['J'] = PLAIN("BININT", ARG_4),
	['K'] = PLAIN("BININT1", ARG_1),
	['L'] = PLAIN("LONG", ARG_LINE),
	['M'] = PLAIN("BININT2", ARG_2),
	['N'] = PLAIN("NONE", ARG_NONE),
	['P'] = DANGER("PERSID", ARG_LINE, PICKLE_PERSISTENT),
	['Q'] = DANGER("BINPERSID", ARG_NONE, PICKLE_PERSISTENT),
	['R'] = DANGER("REDUCE", ARG_NONE, PICKLE_CALLS),
	['S'] = PLAIN("STRING", ARG_LINE),
	['T'] = PLAIN("BINSTRING", ARG_LEN4),
	['U'] = PLAIN("SHORT_BINSTRING", ARG_LEN1),
	['V'] = PLAIN("UNICODE", ARG_LINE),
	['X'] = PLAIN("BINUNICODE", ARG_LEN4),
	[']'] = PLAIN("EMPTY_LIST", ARG_NONE),
	['a'] = PLAIN("APPEND", ARG_NONE),
	['b'] = DANGER("BUILD", ARG_NONE, PICKLE_SETS_STATE),
	['c'] = DANGER("GLOBAL", ARG_LINES, PICKLE_IMPORTS),
	['d'] = PLAIN("DICT", ARG_NONE),
	['e'] = PLAIN("APPENDS", ARG_NONE),
	['g'] = PLAIN("GET", ARG_LINE),
	['h'] = PLAIN("BINGET", ARG_1),
	['i'] = DANGER("INST", ARG_LINES, PICKLE_IMPORTS),
	['j'] = PLAIN("LONG_BINGET", ARG_4),
	['l'] = PLAIN("LIST", ARG_NONE),
	['o'] = DANGER("OBJ", ARG_NONE, PICKLE_CALLS),
	['p'] = PLAIN("PUT", ARG_LINE),
	['q'] = PLAIN("BINPUT", ARG_1),
	['r'] = PLAIN("LONG_BINPUT", ARG_4),
	['s'] = PLAIN("SETITEM", ARG_NONE),
	['t'] = PLAIN("TUPLE", ARG_NONE),
	['u'] = PLAIN("SETITEMS", ARG_NONE),
	['}'] = PLAIN("EMPTY_DICT", ARG_NONE),
	[0x80] = PLAIN("PROTO", ARG_1),
	[0x81] = DANGER("NEWOBJ", ARG_NONE, PICKLE_CALLS),
	[0x82] = DANGER("EXT1", ARG_1, PICKLE_EXTENSION),
	[0x83] = DANGER("EXT2", ARG_2, PICKLE_EXTENSION),
	[0x84] = DANGER("EXT4", ARG_4, PICKLE_EXTENSION),
	[0x85] = PLAIN("TUPLE1", ARG_NONE),
	[0x86] = PLAIN("TUPLE2", ARG_NONE),
	[0x87] = PLAIN("TUPLE3", ARG_NONE),
	[0x88] = PLAIN("NEWTRUE", ARG_NONE),
	[0x89] = PLAIN("NEWFALSE", ARG_NONE),
	[0x8a] = PLAIN("LONG1", ARG_LEN1),
	[0x8b] = PLAIN("LONG4", ARG_LEN4),
	[0x8c] = PLAIN("SHORT_BINUNICODE", ARG_LEN1),
	[0x8d] = PLAIN("BINUNICODE8", ARG_LEN8),
	[0x8e] = PLAIN("BINBYTES8", ARG_LEN8),
	[0x8f] = PLAIN("EMPTY_SET", ARG_NONE),
	[0x90] = PLAIN("ADDITEMS", ARG_NONE),
	[0x91] = PLAIN("FROZENSET", ARG_NONE),
	[0x92] = DANGER("NEWOBJ_EX", ARG_NONE, PICKLE_CALLS),
	[0x93] = DANGER("STACK_GLOBAL", ARG_NONE, PICKLE_IMPORTS),
	[0x94] = PLAIN("MEMOIZE", ARG_NONE),
	[0x95] = PLAIN("FRAME", ARG_8),
	[0x96] = PLAIN("BYTEARRAY8", ARG_LEN8),
	[0x97] = PLAIN("NEXT_BUFFER", ARG_NONE),
	[0x98] = PLAIN("READONLY_BUFFER", ARG_NONE),
};

static bool take_line(struct cursor *c, struct slice *out)
{
	const unsigned char *end = cursor_left(c) > 0 ? memchr(c->pos, '\n', cursor_left(c)) : NULL;

	if (end == NULL)
		return false;
	return cursor_take(c, (uint64_t)(end - c->pos), out) && cursor_skip(c, 1);
}

static bool take_counted(struct cursor *c, unsigned width, struct slice *out)
{
	struct slice len;
	uint64_t value = 0;

	if (!cursor_take(c, width, &len))
		return false;
	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)len.ptr[i] << (8 * i);
	return cursor_take(c, value, out);
}

static bool take_argument(struct cursor *c, struct pickle_op *op)
{
	switch (op->info->argument) {
	case ARG_NONE:
		return true;
	case ARG_1:
		return cursor_take(c, 1, &op->argument);
	case ARG_2:
		return cursor_take(c, 2, &op->argument);
	case ARG_4:
		return cursor_take(c, 4, &op->argument);
	case ARG_8:
		return cursor_take(c, 8, &op->argument);
	case ARG_LINE:
		return take_line(c, &op->argument);
	case ARG_LINES:
		return take_line(c, &op->argument) && take_line(c, &op->second);
	case ARG_LEN1:
		return take_counted(c, 1, &op->argument);
	case ARG_LEN4:
		return take_counted(c, 4, &op->argument);
	case ARG_LEN8:
		return take_counted(c, 8, &op->argument);
	}
	return false;
}

enum pickle_step pickle_step(struct cursor *c, struct pickle_op *op)
{
	*op = (struct pickle_op){ .off = cursor_off(c) };
	if (!cursor_u8(c, &op->code))
		return PICKLE_STEP_END;
	op->info = &opcodes[op->code];
	if (op->info->name == NULL)
		return PICKLE_STEP_UNKNOWN;
	return take_argument(c, op) ? PICKLE_STEP_OK : PICKLE_STEP_END;
}

uint64_t pickle_op_number(const struct pickle_op *op)
{
	uint64_t value = 0;

	for (size_t i = 0; i < op->argument.len && i < 8; i++)
		value |= (uint64_t)op->argument.ptr[i] << (8 * i);
	return value;
}

bool pickle_op_is_text(const struct pickle_op *op)
{
	return op->code == OP_BINUNICODE || op->code == OP_SHORT_BINUNICODE ||
	       op->code == OP_BINUNICODE8;
}

bool pickle_is_known_class(struct slice module, struct slice name)
{
	return slice_eq_str(module, "chromadb.segment.impl.vector.local_persistent_hnsw") &&
	       slice_eq_str(name, "PersistentData");
}
