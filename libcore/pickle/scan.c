/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a pickle would run, told without running it
 *
 * The walk does not follow the stack: it takes every opcode for one that runs, as it does unless
 * the pickle is broken before.
 */

#include "pickle/opcode.h"

struct walk {
	struct pickle_scan *out;
	struct slice text[2]; /* the two made last, the latter second */
	unsigned texts;       /* how many of them directly precede */
	bool has_built, has_made;
};

/* The strings made last stay what STACK_GLOBAL sees while only the memo is written between. */
static void note_texts(struct walk *w, const struct pickle_op *op)
{
	if (pickle_op_is_text(op)) {
		w->text[0] = w->text[1];
		w->text[1] = op->argument;
		w->texts = VS_MIN(w->texts + 1, 2u);
	} else if (op->code != OP_MEMOIZE && op->code != OP_BINPUT && op->code != OP_LONG_BINPUT &&
		   op->code != OP_PUT && op->code != OP_FRAME) {
		w->texts = 0;
	}
}

/* The known class is named and then made and filled once each; more than that is no metadata. */
static bool is_expected(struct walk *w, const struct pickle_op *op, const struct pickle_danger *d)
{
	bool *done = op->code == OP_NEWOBJ ? &w->has_made : &w->has_built;

	if (d->kind == PICKLE_IMPORTS) {
		if (op->code == OP_INST || !pickle_is_known_class(d->module, d->name))
			return false;
		w->out->known_imports++;
		return true;
	}
	if ((op->code != OP_NEWOBJ && op->code != OP_BUILD) || w->out->known_imports == 0 || *done)
		return false;
	*done = true;
	return true;
}

static bool look(struct walk *w, const struct pickle_op *op, struct pickle_danger *d)
{
	*d = (struct pickle_danger){
		.kind = op->info->danger,
		.off = op->off,
		.opcode = op->info->name,
		.module = op->argument,
		.name = op->second,
	};
	if (op->info->argument != ARG_LINES)
		d->module = d->name = slice_of(NULL, 0);
	if (op->code == OP_STACK_GLOBAL && w->texts == 2) {
		d->module = w->text[0];
		d->name = w->text[1];
	}
	if (is_expected(w, op, d))
		return false;
	if (d->kind == PICKLE_IMPORTS)
		w->out->imports++;
	else
		w->out->calls++;
	return true;
}

int pickle_scan(struct slice bytes,
		int (*danger)(void *ctx, const struct pickle_danger *danger, struct vs_err *err),
		void *ctx, struct pickle_scan *out, struct vs_err *err)
{
	struct cursor c = cursor_of(bytes);
	struct walk w = { .out = out };
	struct pickle_danger d;
	struct pickle_op op;
	int r;

	*out = (struct pickle_scan){ 0 };
	while (pickle_step(&c, &op) == PICKLE_STEP_OK) {
		out->opcodes++;
		if (op.info->is_danger && look(&w, &op, &d) && danger != NULL) {
			r = danger(ctx, &d, err);
			if (r < 0)
				return r;
		}
		note_texts(&w, &op);
		if (op.code == OP_STOP) {
			out->is_whole = true;
			break;
		}
	}
	out->is_harmless = out->imports == 0 && out->calls == 0;
	return 0;
}
