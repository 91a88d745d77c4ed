/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl help --list`: every command and option, for programs. Completions and manual pages are
 * held against it. In text one record a line, its values divided by tabs:
 *
 *	command	WORDS	OPERANDS	SUMMARY
 *	group	WORD	DEFAULT VERB	SUMMARY
 *	option	WORDS	NAME	LETTER	KIND	ARGUMENT	HELP
 *
 * WORDS are empty for the options that every command has. With --json the same as one document.
 */

#include "cmd.h"

static const char *kind_name(enum opt_kind kind)
{
	switch (kind) {
	case OPT_KIND_FLAG:
	case OPT_KIND_SET:
		return "none";
	case OPT_KIND_TEXT:
		return "text";
	case OPT_KIND_FILE:
		return "file";
	case OPT_KIND_DIR:
		return "directory";
	case OPT_KIND_NUMBER:
		return "number";
	case OPT_KIND_CHOICE:
		return "choice";
	case OPT_KIND_END:
		break;
	}
	assert(false);
	return NULL;
}

static void list_option(struct emit *e, const char *words, const struct opt *o)
{
	const char letter[2] = { o->letter, '\0' };

	emit_line(e, "option\t%s\t%s\t%s\t%s\t%s\t%s", words, o->name, letter, kind_name(o->kind),
		  o->words ? o->words : "", o->help);
	emit_object(e, NULL);
	emit_json_str(e, "name", o->name);
	emit_json_str(e, "letter", o->letter ? letter : NULL);
	emit_json_str(e, "kind", kind_name(o->kind));
	emit_json_str(e, "argument", o->words);
	emit_json_str(e, "help", o->help);
	emit_object_end(e);
}

static void list_options(struct emit *e, const char *words, const struct opt *rows)
{
	emit_array(e, "options");
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (!o->is_hidden)
			list_option(e, words, o);
	}
	emit_array_end(e);
}

static void list_command(struct emit *e, const char *group, const struct command *c)
{
	char words[64];

	snprintf(words, sizeof(words), "%s%s%s", group, *group ? " " : "", c->name);
	if (c->verbs)
		emit_line(e, "group\t%s\t%s\t%s", words,
			  c->default_verb ? c->default_verb->name : "", c->summary);
	else
		emit_line(e, "command\t%s\t%s\t%s", words, c->operands ? c->operands : "",
			  c->summary);
	emit_object(e, NULL);
	emit_json_str(e, "words", words);
	emit_json_str(e, "operands", c->operands);
	emit_json_str(e, "summary", c->summary);
	emit_json_str(e, "default_verb", c->default_verb ? c->default_verb->name : NULL);
	list_options(e, words, c->options);
	emit_object_end(e);
}

void help_list(struct app *app)
{
	struct emit *e = &app->emit;

	emit_document(e, "help");
	emit_json_null(e, "store");
	list_options(e, "", common_options);
	emit_array(e, "commands");
	for (size_t i = 0; commands[i]; i++) {
		list_command(e, "", commands[i]);
		for (size_t k = 0; commands[i]->verbs && commands[i]->verbs[k]; k++)
			list_command(e, commands[i]->name, commands[i]->verbs[k]);
	}
	emit_array_end(e);
	emit_document_end(e);
}
