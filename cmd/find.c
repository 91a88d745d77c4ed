/* SPDX-License-Identifier: Apache-2.0 */

/* The first walk over the command line: which command, and which verb. */

#include "parse.h"

#include <sys/stat.h>

/* The row of an option that any command has; only to know whether an argument follows. */
static const struct opt *any_find_long(const struct command *const *list, struct slice name)
{
	const struct opt *found = rows_find_long(common_options, name);

	for (size_t i = 0; !found && list[i]; i++) {
		found = rows_find_long(list[i]->options, name);
		if (!found && list[i]->verbs)
			found = any_find_long(list[i]->verbs, name);
	}
	return found;
}

static const struct opt *any_find_letter(const struct command *const *list, char letter)
{
	const struct opt *found = rows_find_letter(common_options, letter);

	for (size_t i = 0; !found && list[i]; i++) {
		found = rows_find_letter(list[i]->options, letter);
		if (!found && list[i]->verbs)
			found = any_find_letter(list[i]->verbs, letter);
	}
	return found;
}

/* Does the argument of option @word follow as a word of its own? */
static bool argument_follows(const char *word)
{
	const struct opt *o = NULL;

	if (word[1] == '-') {
		if (strchr(word, '='))
			return false;
		o = any_find_long(commands, slice_str(word + 2));
		return o && opt_has_argument(o);
	}
	for (size_t i = 1; word[i]; i++) {
		o = any_find_letter(commands, word[i]);
		if (o && opt_has_argument(o))
			return word[i + 1] == '\0';
	}
	return false;
}

/* Index of the first operand at or behind @from; @argc when there is none. */
static int next_operand(int argc, char **argv, int from)
{
	for (int i = from; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : argc;
		if (!is_option_word(argv[i]))
			return i;
		if (argument_follows(argv[i]))
			i++;
	}
	return argc;
}

int unknown_command(struct app *app, const struct command *group, const struct command *const *list,
		    const char *word)
{
	struct nearest n = { .word = word, .distance = UINT_MAX };
	cleanup_(buf_fini) struct buf shown = { 0 };
	cleanup_(buf_fini) struct buf pasted = { 0 };
	const char *before = group ? group->name : "";
	const char *gap = group ? " " : "";
	const char *what = group ? "verb" : "command";
	const char *best;
	struct stat st;

	for (size_t i = 0; list[i]; i++)
		nearest_try(&n, list[i]->name);
	best = nearest_word(&n);
	text_escape(&shown, slice_str(word));
	if (best)
		return app_usage(app, "unknown %s '%s'; did you mean vsctl %s%s%s?", what,
				 buf_cstr(&shown), before, gap, best);
	text_shell_word(&pasted, word);
	if (!group && stat(word, &st) == 0)
		return app_usage(app, "'%s' is a path, not a command; to check it: vsctl verify %s",
				 buf_cstr(&shown), buf_cstr(&pasted));
	return app_usage(app, "unknown %s '%s'; vsctl help%s%s lists what there is", what,
			 buf_cstr(&shown), gap, before);
}

static void set_command_words(struct app *app)
{
	snprintf(app->command_words, sizeof(app->command_words), "%s%s%s",
		 app->group ? app->group->name : "", app->group ? " " : "", app->command->name);
}

int parse_command(struct app *app, int argc, char **argv, int at[2])
{
	const struct command *verb = NULL;

	at[0] = next_operand(argc, argv, 1);
	at[1] = 0;
	if (at[0] == argc) {
		at[0] = 0;
		return 0;
	}
	app->command = command_find(commands, argv[at[0]]);
	if (!app->command)
		return unknown_command(app, NULL, commands, argv[at[0]]);
	set_command_words(app);
	if (!app->command->verbs)
		return 0;

	at[1] = next_operand(argc, argv, at[0] + 1);
	if (at[1] < argc)
		verb = command_find(app->command->verbs, argv[at[1]]);
	if (!verb) {
		verb = app->command->default_verb;
		if (!verb && at[1] < argc)
			return unknown_command(app, app->command, app->command->verbs, argv[at[1]]);
		app->is_implied_verb = verb != NULL;
		at[1] = 0;
	}
	if (verb) {
		app->group = app->command;
		app->command = verb;
		set_command_words(app);
	}
	return 0;
}
