/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * emit: one stream of records, rendered as text or as JSON
 *
 * A command names each value once and in one order; whether it becomes a column of a table, a line
 * of a form or a member of a JSON object is decided here. In JSON a command writes one document, on
 * one line. Text is for people: what comes from a store is escaped so that it cannot steer a
 * terminal, lines are broken at the terminal's width (and never when the output is not a terminal,
 * so that scripts find one record on one line), and colour only repeats what words already say.
 *
 * Output that cannot be written is not reported at once: emit_finish() tells.
 */

#include "util/util.h"

enum emit_style {
	EMIT_PLAIN,
	EMIT_GOOD,
	EMIT_WARN,
	EMIT_BAD,
	EMIT_DIM,
	EMIT_BOLD,
};

/* One value of a record: its JSON key (NULL: text only) and its heading (NULL: JSON only). */
struct emit_field {
	const char *key;
	const char *heading;
	bool is_number; /* set to the right */
};

struct emit_layout; /* a table or a form being filled */

struct emit {
	FILE *out;
	bool is_json;
	bool has_color;
	size_t width;      /* of the terminal; 0: lines are not broken */
	struct buf buf;    /* not yet written */
	struct jw json;    /* writes to buf */
	bool has_document; /* a JSON document is open */
	struct emit_layout *layout;
	int sysno; /* why writing failed; 0 */
};

/* @out is borrowed. Colour and width are the caller's to decide. */
void emit_init(struct emit *e, FILE *out);
void emit_fini(struct emit *e);

/* Write everything out. Returns 0, or negative when some of the output was lost. */
must_check_ int emit_finish(struct emit *e, struct vs_err *err);

/* ---- JSON only: no-ops in text ---- */

void emit_document(struct emit *e, const char *command); /* {"schema":1,"command":... */
void emit_document_end(struct emit *e);
void emit_object(struct emit *e, const char *key); /* @key NULL: an element of an array */
void emit_object_end(struct emit *e);
void emit_array(struct emit *e, const char *key);
void emit_array_end(struct emit *e);
void emit_json_str(struct emit *e, const char *key, const char *text); /* NULL: null */
void emit_json_bytes(struct emit *e, const char *key, struct slice bytes);
void emit_json_uint(struct emit *e, const char *key, uint64_t value);
void emit_json_double(struct emit *e, const char *key, double value, int decimals);
void emit_json_float(struct emit *e, const char *key, float value); /* all its digits */
void emit_json_bool(struct emit *e, const char *key, bool value);
void emit_json_null(struct emit *e, const char *key);
void emit_json_raw(struct emit *e, const char *key, struct slice json); /* JSON already */

/* Close whatever is open in the document, up to its outermost object. */
void emit_unwind(struct emit *e);

/* ---- text only: no-ops in JSON ---- */

/* A whole line; printf-like. Nothing is escaped: use emit_escaped() for what comes from outside. */
void emit_line(struct emit *e, const char *fmt, ...) printf_(2, 3);

/*
 * A paragraph: broken at the terminal's width, continued at @indent columns. @head (may be "")
 * stands before it in @style and is not broken.
 */
void emit_paragraph(struct emit *e, size_t indent, enum emit_style style, const char *head,
		    const char *text);

/* ---- both ---- */

/*
 * A table: in text aligned columns under headings, in JSON the array @key of objects. Rows stream:
 * at most a few hundred are held back, to find the widths. @fields ends with {0} and is borrowed.
 */
void emit_table(struct emit *e, const char *key, const struct emit_field *fields);
void emit_table_end(struct emit *e);

/* A form: in text one `heading  value` per line, in JSON members of the object that is open. */
void emit_form(struct emit *e, const struct emit_field *fields);
void emit_form_end(struct emit *e);

/* The next value of the record, in the order of the fields; a row ends with its last field. */
void emit_str(struct emit *e, const char *text); /* ours; NULL: null, in text "-" */
void emit_styled(struct emit *e, enum emit_style style, const char *text);
void emit_bytes(struct emit *e, struct slice bytes); /* from outside; ptr NULL: null */
void emit_text(struct emit *e, const char *text);    /* from outside; NULL: null */
void emit_uint(struct emit *e, uint64_t value);
void emit_size(struct emit *e, uint64_t bytes); /* text: "1.4 MB" */
void emit_double(struct emit *e, double value,
		 int decimals); /* not finite: null, in text the word */
void emit_bool(struct emit *e, bool value);
void emit_null(struct emit *e);

/* ---- helpers for texts ---- */

/* A word as a shell needs it, pasted whole: quoted when anything in it is special. */
void text_shell_word(struct buf *out, const char *word);

/* Columns that @text takes on a terminal: its code points, escape sequences for colour not counted.
 */
size_t text_columns(struct slice text);
