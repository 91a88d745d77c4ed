/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The instructions of a pickle, one by one: what both the reader and the scan walk over
 *
 *	pickle      = instruction* STOP
 *	instruction = opcode argument		one byte, and what the table in opcode.c says
 *
 * All opcodes of protocols 0 to 5 are known by their length here, whatever becomes of them later,
 * so that a walk never loses its place before the first byte that is no opcode.
 */

#include "pickle/pickle.h"

enum pickle_code {
	OP_MARK = '(',
	OP_STOP = '.',
	OP_BININT = 'J',
	OP_BININT1 = 'K',
	OP_BININT2 = 'M',
	OP_NONE = 'N',
	OP_REDUCE = 'R',
	OP_BINUNICODE = 'X',
	OP_BUILD = 'b',
	OP_GLOBAL = 'c',
	OP_BINGET = 'h',
	OP_INST = 'i',
	OP_LONG_BINGET = 'j',
	OP_BINPUT = 'q',
	OP_LONG_BINPUT = 'r',
	OP_PUT = 'p',
	OP_SETITEM = 's',
	OP_SETITEMS = 'u',
	OP_EMPTY_DICT = '}',
	OP_EMPTY_TUPLE = ')',
	OP_BINFLOAT = 'G',
	OP_UNICODE = 'V',
	OP_PROTO = 0x80,
	OP_NEWOBJ = 0x81,
	OP_NEWTRUE = 0x88,
	OP_NEWFALSE = 0x89,
	OP_LONG1 = 0x8a,
	OP_LONG4 = 0x8b,
	OP_SHORT_BINUNICODE = 0x8c,
	OP_BINUNICODE8 = 0x8d,
	OP_STACK_GLOBAL = 0x93,
	OP_MEMOIZE = 0x94,
	OP_FRAME = 0x95,
};

enum pickle_argument {
	ARG_NONE,
	ARG_1, /* so many bytes */
	ARG_2,
	ARG_4,
	ARG_8,
	ARG_LINE,  /* up to a newline */
	ARG_LINES, /* two of them */
	ARG_LEN1,  /* a length of so many bytes, and as many bytes as it says */
	ARG_LEN4,
	ARG_LEN8,
};

struct pickle_opcode {
	const char *name; /* NULL where the byte is no opcode */
	enum pickle_argument argument;
	bool is_danger;
	enum pickle_danger_kind danger;
};

struct pickle_op {
	uint8_t code;
	const struct pickle_opcode *info;
	uint64_t off;
	struct slice argument; /* without its length or newline */
	struct slice second;   /* the second of two lines */
};

enum pickle_step { PICKLE_STEP_OK, PICKLE_STEP_END, PICKLE_STEP_UNKNOWN };

/* Take the next instruction. Unless it is PICKLE_STEP_OK only op->off and op->code are set. */
enum pickle_step pickle_step(struct cursor *c, struct pickle_op *op);

/* The unsigned little-endian number that a fixed argument is. */
uint64_t pickle_op_number(const struct pickle_op *op);

bool pickle_op_is_text(const struct pickle_op *op);

/* Is this the class that index metadata may name? */
bool pickle_is_known_class(struct slice module, struct slice name);
