/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files that take the command line apart share.
 *
 * Options may stand anywhere before `--`, also before the command. So the words are walked twice:
 * first to find the command and its verb (find.c), with every option row of the program known well
 * enough to step over arguments; then to read the options that this command has (options.c). What
 * is left are operands (operands.c).
 */

#include "cmd.h"

#include <limits.h>

/* "-" alone is an operand. */
static inline bool is_option_word(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* Rows end with OPT_END; NULL is no rows. */
bool opt_has_argument(const struct opt *o);
const struct opt *rows_find_long(const struct opt *rows, struct slice name);
const struct opt *rows_find_letter(const struct opt *rows, char letter);

/*
 * Store @argument in the field of @opts that the row names; @shown_name is what the person called
 * the option. @argument is borrowed for as long as @opts; NULL where a switch was given. VS_EUSAGE
 * says what is wrong with it, with everything in it escaped.
 */
must_check_ int opt_store(const struct opt *o, void *opts, const char *shown_name,
			  const char *argument, struct vs_err *err);

/* The nearest word to one that is not known: start with .word and .distance = UINT_MAX. */
struct nearest {
	const char *word;
	const char *best;
	unsigned distance;
};

void nearest_try(struct nearest *n, const char *candidate);
void nearest_try_rows(struct nearest *n, const struct opt *rows);
const char *nearest_word(const struct nearest *n);

/*
 * Find app->command and app->group; @at gets the indexes of their words, 0 for a word not given.
 * app->command stays NULL when there is no command. Returns 0 or an exit status.
 */
must_check_ int parse_command(struct app *app, int argc, char **argv, int at[2]);

/* Say that @word is none of @list, the commands or the verbs of @group. Returns EXIT_USAGE. */
must_check_ int unknown_command(struct app *app, const struct command *group,
				const struct command *const *list, const char *word);

/* Put the store in front of the operands when it came another way than as the first of them. */
void parse_store(const struct app *app, struct parsed *p, size_t *count);

/* As many operands as the command asks for? Returns 0 or an exit status. */
must_check_ int parse_operands(struct app *app, char *const *operands, size_t count);

/* List all problems, or explain one (problems.c). Returns an exit status. */
must_check_ int help_problems(struct app *app, const char *code);
