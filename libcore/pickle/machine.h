/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reader's inside: a stack machine that only makes index metadata (read.c), and what the parts
 * of that mean (shape.c)
 *
 * A map of a million entries lies between one MARK and one SETITEMS, so its items are handed over
 * and dropped from the stack as soon as the next value comes. That is sound because every opcode
 * that could see them later, other than SETITEMS, is refused.
 *
 * Functions return 0, PICKLE_REFUSED with the fault filled, or a negative status with @err filled.
 */

#include "pickle/opcode.h"

#define PICKLE_REFUSED 1

enum pickle_value_kind {
	PICKLE_MARK,
	PICKLE_NONE,
	PICKLE_INTEGER,
	PICKLE_TEXT,
	PICKLE_OTHER, /* a boolean or float: kept only to be skipped */
	PICKLE_DICT,
	PICKLE_CLASS,
	PICKLE_TUPLE, /* the empty one */
	PICKLE_OBJECT,
};

/* What a dictionary is for; the maps come first, by enum pickle_map. */
enum pickle_role {
	PICKLE_ROLE_STATE = PICKLE_MAPS, /* the outer one */
	PICKLE_ROLE_UNKNOWN,             /* below a key that we do not know */
};

struct pickle_value {
	enum pickle_value_kind kind;
	int role; /* of a dictionary */
	bool is_memoized;
	bool is_built; /* an object that got its state */
	uint64_t off;  /* of the opcode that made it */
	uint64_t
		text_off; /* of the opcode that has the text: that of @off, or what the memo names */
	struct slice text;
	int64_t number;
};

struct pickle_machine {
	struct slice bytes;
	struct cursor cursor;
	const struct pickle_sink *sink;
	struct pickle_meta *meta;
	struct pickle_fault *fault;
	struct vs_err *err;
	struct pickle_value stack[PICKLE_STACK_MAX];
	unsigned depth;
	uint32_t keys_seen; /* bits of the outer dictionary's known keys */
	uint64_t *memo;     /* owned; offsets of the opcodes that made texts, or PICKLE_NO_TEXT */
	size_t memo_count, memo_cap;
	uint64_t frame_end; /* the furthest that a frame claims to reach */
};

#define PICKLE_NO_TEXT UINT64_MAX

int pickle_refuse(struct pickle_machine *m, enum pickle_fault_kind kind, uint64_t off,
		  const char *fmt, ...) printf_(4, 5);

/* The role of a dictionary that is about to be pushed; refuses where none may stand. */
int pickle_shape_role(struct pickle_machine *m, uint64_t off, int *role);

/* An item of a dictionary is complete. */
int pickle_shape_item(struct pickle_machine *m, const struct pickle_value *dict,
		      const struct pickle_value *key, const struct pickle_value *value);

/* STOP was reached with @value alone on the stack. */
int pickle_shape_finish(struct pickle_machine *m, const struct pickle_value *value, uint64_t off);
