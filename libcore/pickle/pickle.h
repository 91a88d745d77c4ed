/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pickle: the index_metadata.pickle of a Chroma vector segment
 *
 * A pickle is a program for a stack machine that Python runs to make a value; it can import
 * anything and call it. This room never does. Of the machine it has what index metadata needs:
 * None, booleans, integers, strings, dictionaries and the memo. Two shapes are read:
 *
 *	dict    protocol 3, written by the server in Rust (1.x):
 *		{ "dimensionality": None, "total_elements_added": n, "max_seq_id": None,
 *		  "id_to_label": {id: label}, "label_to_id": {label: id}, "id_to_seq_id": {} }
 *	class	protocol 4 or 5, written by Python (0.4 to 0.6): the same as the state of an object of
 *		chromadb.segment.impl.vector.local_persistent_hnsw.PersistentData, made by STACK_GLOBAL
 *		(or GLOBAL) EMPTY_TUPLE NEWOBJ and filled by BUILD. Equal strings are references into
 *		the memo. The dimension is set, id_to_seq_id is filled, max_seq_id is there up to 0.5.5.
 *
 * Naming that one class and building it is harmless. Any other opcode that imports or calls
 * something is refused as PICKLE_FAULT_CODE; pickle_scan() lists all of them in a file.
 *
 * Memory: eight bytes per memo entry (a string of the class shape each), else constant, whatever
 * the size of the maps. Strings are slices of the input, which the caller keeps alive. One thread
 * uses a reader or writer.
 */

#include "util/util.h"

#define PICKLE_MEMO_MAX ((size_t)1 << 26)   /* entries; writers make one per string */
#define PICKLE_STACK_MAX 32u                /* values on the stack; both shapes need 9 */
#define PICKLE_STRING_MAX ((size_t)1 << 24) /* bytes in one string */
#define PICKLE_INTEGER_MAX 8u               /* significant bytes in one integer, sign included */

/* ---- why a pickle was refused ---- */

enum pickle_fault_kind {
	PICKLE_FAULT_NONE,
	PICKLE_FAULT_END,   /* the bytes end where more was needed; an empty file too */
	PICKLE_FAULT_DATA,  /* no unpickler takes this: unknown opcode, empty stack, bad UTF-8 */
	PICKLE_FAULT_SHAPE, /* a pickle, but not of index metadata */
	PICKLE_FAULT_CODE,  /* would import or call something when Python loads it */
	PICKLE_FAULT_LIMIT, /* one of the limits above */
};

struct pickle_fault {
	enum pickle_fault_kind kind;
	uint64_t off;   /* of the opcode at which it was refused */
	char text[192]; /* one clause, with the offset; names from the file are escaped */
};

/* ---- what is in it ---- */

enum pickle_map {
	PICKLE_ID_TO_LABEL,
	PICKLE_LABEL_TO_ID,
	PICKLE_ID_TO_SEQ_ID,
	PICKLE_MAPS,
};

/* One item of a map, in the order of the file; either of the two was the key. */
struct pickle_entry {
	enum pickle_map map;
	struct slice id; /* valid UTF-8, borrowed from the input, may be empty */
	int64_t number;  /* label or sequence number as stored: a bad file may hold 0 and below */
	uint64_t off;    /* of the opcode that made the key */
};

/*
 * Where the entries go. Those that were handed over before a fault were read correctly: of a file
 * cut in its second half id_to_label is still whole (see pickle_meta). A key may come more than
 * once; Python keeps the last. @entry returns 0, or a negative status with @err filled to stop.
 */
struct pickle_sink {
	void *ctx;
	int (*entry)(void *ctx, const struct pickle_entry *entry, struct vs_err *err);
};

struct pickle_integer {
	bool is_set; /* false: not there, or None */
	int64_t value;
	uint64_t off; /* of the opcode that made it */
};

struct pickle_map_state {
	bool is_there; /* it was begun */
	bool is_whole; /* it was read to its end */
	uint64_t count;
	uint64_t off; /* of the dictionary */
};

struct pickle_meta {
	bool is_class; /* Python's shape, else the server's dict */
	uint8_t protocol;
	struct pickle_integer dimensionality;
	struct pickle_integer total_elements_added;
	struct pickle_integer max_seq_id;
	struct pickle_map_state maps[PICKLE_MAPS];
	uint32_t unknown_keys; /* keys of the outer dictionary that are not named above, skipped */
	uint64_t end_off;      /* behind STOP; Python ignores what follows, the server refuses it */
	uint64_t memo_count;
};

/*
 * Read index metadata. @sink may be NULL. Returns 1 when it is whole, 0 when it was refused, with
 * @fault filled and @meta holding what was read before, or a negative status: the sink's own, or
 * VS_ENOMEM. Both outputs are filled in every case.
 */
must_check_ int pickle_read(struct slice bytes, const struct pickle_sink *sink,
			    struct pickle_meta *meta, struct pickle_fault *fault,
			    struct vs_err *err);

/* ---- what it would run ---- */

enum pickle_danger_kind {
	PICKLE_IMPORTS,    /* GLOBAL, STACK_GLOBAL, INST: names something to import */
	PICKLE_CALLS,      /* REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, INST: calls what was imported */
	PICKLE_SETS_STATE, /* BUILD: may call __setstate__ */
	PICKLE_EXTENSION,  /* EXT1, EXT2, EXT4: imports by registered number */
	PICKLE_PERSISTENT, /* PERSID, BINPERSID: calls persistent_load of the program */
};

struct pickle_danger {
	enum pickle_danger_kind kind;
	uint64_t off;
	const char *opcode; /* its name, static */
	/* For imports, borrowed from the input; empty where they cannot be told. Not escaped. */
	struct slice module;
	struct slice name;
};

struct pickle_scan {
	uint64_t imports;       /* of anything but the known class */
	uint64_t known_imports; /* of the class of index metadata */
	uint64_t calls;         /* opcodes that call, set state, extend or persist */
	uint64_t opcodes;
	bool is_harmless; /* nothing but what the two shapes need: see pickle_scan() */
	bool is_whole;    /* the opcodes could be followed to STOP */
};

/*
 * Walk all opcodes up to STOP without running them, whatever they would do to the stack, and hand
 * over all that would run code. The known class with one NEWOBJ and one BUILD is no danger and is
 * not handed over. STACK_GLOBAL takes its names from the two strings made last, as all picklers
 * write it; where something else stands in between the names are left empty and it counts as
 * unknown. @danger may be NULL. Returns 0, or the callback's negative status. A file whose opcodes
 * cannot be followed ends the walk there; what was found stands.
 */
must_check_ int pickle_scan(struct slice bytes,
			    int (*danger)(void *ctx, const struct pickle_danger *danger,
					  struct vs_err *err),
			    void *ctx, struct pickle_scan *out, struct vs_err *err);

/* ---- writing ---- */

/*
 * Writes the dict shape, byte for byte as the server does, into a growing buffer: begin, then each
 * id_to_label entry, turn, then each label_to_id entry, end. @out is borrowed and may be emptied by
 * the caller between calls. The order of entries is the caller's; the server's is random. A label
 * is 1 to 2^63 - 1; an id is at most PICKLE_STRING_MAX bytes of UTF-8 (else VS_ELIMIT, VS_EFORMAT).
 */
struct pickle_writer {
	struct buf *out;
	uint64_t count[2];
	bool is_turned;
};

void pickle_writer_begin(struct pickle_writer *w, struct buf *out, int64_t total_elements_added);
must_check_ int pickle_writer_add(struct pickle_writer *w, struct slice id, int64_t label,
				  struct vs_err *err);
void pickle_writer_turn(struct pickle_writer *w);
/* VS_EUSAGE when the two maps have not the same number of entries. */
must_check_ int pickle_writer_end(struct pickle_writer *w, struct vs_err *err);
