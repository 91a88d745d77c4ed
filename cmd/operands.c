/* SPDX-License-Identifier: Apache-2.0 */

/* Operands: how many there may be, and the store that may come another way. */

#include "parse.h"

#include <sys/stat.h>

void operands_count(const char *operands, size_t *min, size_t *max)
{
	unsigned depth = 0;

	*min = 0;
	*max = 0;
	for (const char *p = operands; *p;) {
		size_t len = strcspn(p, " ");
		size_t opened = 0;

		for (; p[opened] == '['; opened++)
			depth++;
		*min += depth == 0;
		*max += *max != SIZE_MAX;
		if (memmem(p, len, "...", 3))
			*max = SIZE_MAX;
		for (size_t i = 0; i < len; i++)
			depth -= p[i] == ']';
		p += len;
		p += strspn(p, " ");
	}
	assert(depth == 0);
}

bool command_takes_store(const struct command *c)
{
	return c->operands && strncmp(c->operands, "STORE", 5) == 0;
}

/* The first word of the operands that was not given. */
static struct slice missing_operand(const char *operands, size_t given)
{
	const char *p = operands;

	for (; given > 0; given--)
		p += strcspn(p, " ") + 1;
	return slice_of(p, strcspn(p, " ."));
}

/*
 * With VSCTL_STORE set the first word may be a store all the same: when it has a slash in it or
 * names something that exists, it is one.
 */
static bool looks_like_path(const char *word)
{
	struct stat st;

	return strchr(word, '/') || lstat(word, &st) == 0;
}

void parse_store(const struct app *app, struct parsed *p, size_t *count)
{
	const char *from_env = settings_store(&app->settings);
	const char *store = app->common.store;
	size_t min, max;

	operands_count(app->command->operands, &min, &max);
	if (!store && from_env && (*count < min || *count == 0 || !looks_like_path(p->operands[0])))
		store = from_env;
	if (!store)
		return;
	p->store = vs_strdup(store);
	memmove(p->operands + 1, p->operands, *count * sizeof(*p->operands));
	p->operands[0] = p->store;
	(*count)++;
}

int parse_operands(struct app *app, char *const *operands, size_t count)
{
	const struct command *c = app->command;
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct slice missing;
	size_t min, max;

	operands_count(c->operands ? c->operands : "", &min, &max);
	if (count > max) {
		text_escape(&shown, slice_str(operands[max]));
		return app_usage(app, "'%s' is one word too many; usage: vsctl %s%s%s",
				 buf_cstr(&shown), app->command_words, max > 0 ? " " : "",
				 max > 0 ? c->operands : "");
	}
	if (count >= min)
		return 0;
	missing = missing_operand(c->operands, count);
	return app_usage(app, "%s needs %.*s; usage: vsctl %s %s", app->command_words,
			 (int)missing.len, missing.ptr, app->command_words, c->operands);
}
