/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl help`, --help and --version, all from the rows. */

#include "parse.h"

#define OPTION_COLUMNS 26 /* where what an option does begins */

struct help_opts {
	bool list;
};

static const struct opt options[] = {
	{ .name = "list",
	  .is_hidden = true,
	  .kind = OPT_KIND_FLAG,
	  .help = "print commands and options for programs",
	  .offset = OPT_FIELD(struct help_opts, list, bool) },
	OPT_END,
};

static void heading(struct emit *e, const char *text)
{
	emit_line(e, "%s", "");
	emit_paragraph(e, 0, EMIT_BOLD, text, "");
}

static void row(struct emit *e, const char *left, const char *right)
{
	char head[128];
	size_t len = strlen(left);

	if (len + 4 > OPTION_COLUMNS) {
		emit_line(e, "  %s", left);
		left = "";
	}
	snprintf(head, sizeof(head), "  %-*s", OPTION_COLUMNS - 2, left);
	emit_paragraph(e, OPTION_COLUMNS, EMIT_PLAIN, head, right);
}

static bool has_option(const struct opt *rows, const char *name)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (strcmp(o->name, name) == 0)
			return true;
	}
	return false;
}

/* @own: the rows of a command, which stand for common ones of the same name; or NULL. */
static void option_rows(struct emit *e, const struct opt *rows, const struct opt *own)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		char letter[8] = "    ";
		char left[100];

		if (o->is_hidden || has_option(own, o->name))
			continue;
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->words ? " " : "",
			 o->words ? o->words : "");
		row(e, left, o->help);
	}
}

static bool has_shown_option(const struct opt *rows)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (!o->is_hidden)
			return true;
	}
	return false;
}

/* Paragraphs divided by an empty line; the lines of one are joined by the text itself. */
static void details(struct emit *e, const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t len = end ? (size_t)(end - text) : strlen(text);
		cleanup_(vs_freep) char *paragraph = vs_strndup(slice_of(text, len));

		emit_line(e, "%s", "");
		emit_paragraph(e, 0, EMIT_PLAIN, "", paragraph);
		text += len;
		text += strspn(text, "\n");
	}
}

static void exit_rows(struct emit *e)
{
	heading(e, "exit status");
	emit_paragraph(
		e, 2, EMIT_PLAIN, "  ",
		"0 clean or done, 1 problems found and all corrected, 4 problems left, 8 could not "
		"be done, 16 the command line makes no sense, 32 cancelled or not confirmed");
}

void help_version(struct app *app)
{
	struct emit *e = &app->emit;

	emit_document(e, "version");
	emit_json_null(e, "store");
	emit_json_str(e, "version", VSCTL_VERSION);
	if (e->is_json)
		emit_document_end(e);
	emit_line(e, "vsctl %s", VSCTL_VERSION);
}

void help_overview(struct app *app)
{
	struct emit *e = &app->emit;

	if (e->is_json) {
		help_list(app);
		return;
	}
	emit_line(e, "vsctl checks and repairs vector stores.");
	emit_line(e, "%s", "");
	emit_paragraph(e, 7, EMIT_PLAIN,
		       "usage: ", "vsctl [options] COMMAND [VERB] [options] [STORE] [operands]");
	heading(e, "commands");
	for (size_t i = 0; commands[i]; i++)
		row(e, commands[i]->name, commands[i]->summary);
	heading(e, "options of every command");
	option_rows(e, common_options, NULL);
	exit_rows(e);
	emit_line(e, "%s", "");
	emit_line(e, "vsctl help COMMAND tells more and shows examples.");
}

static void verb_rows(struct emit *e, const struct command *group)
{
	heading(e, "verbs");
	for (size_t i = 0; group->verbs[i]; i++)
		row(e, group->verbs[i]->name, group->verbs[i]->summary);
	if (group->default_verb) {
		emit_line(e, "%s", "");
		emit_line(e, "Without a verb: %s.", group->default_verb->name);
	}
}

static void usage_line(struct emit *e, const struct command *group, const struct command *c)
{
	cleanup_(buf_fini) struct buf line = { 0 };

	buf_printf(&line, "vsctl %s%s%s", group ? group->name : "", group ? " " : "", c->name);
	if (c->verbs)
		buf_append_str(&line, c->default_verb ? " [VERB]" : " VERB");
	buf_append_str(&line, " [options]");
	if (c->operands)
		buf_printf(&line, " %s", c->operands);
	emit_paragraph(e, 7, EMIT_PLAIN, "usage: ", buf_cstr(&line));
}

static void example_rows(struct emit *e, const struct example *list, bool *has_head)
{
	for (; list && list->line; list++) {
		if (!*has_head)
			heading(e, "examples");
		*has_head = true;
		emit_line(e, "  %s", list->line);
		emit_paragraph(e, 6, EMIT_PLAIN, "      ", list->what);
	}
}

/* A group has the examples of its verbs. */
static void examples(struct emit *e, const struct command *c)
{
	bool has_head = false;

	example_rows(e, c->examples, &has_head);
	for (size_t i = 0; c->verbs && c->verbs[i]; i++)
		example_rows(e, c->verbs[i]->examples, &has_head);
}

void help_command(struct app *app, const struct command *group, const struct command *c)
{
	struct emit *e = &app->emit;

	if (e->is_json) {
		help_list(app);
		return;
	}
	/* A verb that was only implied: the group's help names it. */
	if (app->is_implied_verb) {
		assert(group);
		c = group;
		group = NULL;
	}
	emit_paragraph(e, 0, EMIT_PLAIN, "", c->summary);
	emit_line(e, "%s", "");
	usage_line(e, group, c);
	if (c->details)
		details(e, c->details);
	if (c->verbs)
		verb_rows(e, c);
	if (has_shown_option(c->options)) {
		heading(e, "options");
		option_rows(e, c->options, NULL);
	}
	heading(e, "options of every command");
	option_rows(e, common_options, c->options);
	examples(e, c);
	exit_rows(e);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct help_opts *opts = opts_;
	const struct command *group = NULL;
	const struct command *c;

	if (!opts->list && operands[0] && strcmp(operands[0], "problems") == 0)
		return help_problems(app, operands[1]);
	if (opts->list || app->emit.is_json) {
		help_list(app);
		return EXIT_CLEAN;
	}
	if (!operands[0]) {
		help_overview(app);
		return EXIT_CLEAN;
	}
	c = command_find(commands, operands[0]);
	if (!c)
		return unknown_command(app, NULL, commands, operands[0]);
	if (operands[1] && c->verbs) {
		group = c;
		c = command_find(group->verbs, operands[1]);
		if (!c)
			return unknown_command(app, group, group->verbs, operands[1]);
	}
	help_command(app, group, c);
	return EXIT_CLEAN;
}

static const struct example help_examples[] = {
	{ "vsctl help verify", "what verify does, its options and examples" },
	{ "vsctl help problems", "every problem, and what repair does about it" },
	{ NULL, NULL },
};

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND [VERB]]",
	.summary = "list the commands, or explain one",
	.details =
		"vsctl help problems [CODE] lists the problems that verify reports, with what repair does about "
		"each and what that loses.",
	.examples = help_examples,
	.options = options,
	.opts_size = sizeof(struct help_opts),
	.run = run,
};
