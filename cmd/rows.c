/* SPDX-License-Identifier: Apache-2.0 */

/* Option rows looked up, and the word that was probably meant. */

#include "parse.h"

bool choice_word(const char *words, unsigned index, struct slice *out)
{
	const char *start = words;

	for (; index > 0; index--) {
		start = strchr(start, '|');
		if (!start)
			return false;
		start++;
	}
	*out = slice_of(start, strcspn(start, "|"));
	return true;
}

bool opt_has_argument(const struct opt *o)
{
	return o->kind != OPT_KIND_FLAG && o->kind != OPT_KIND_SET;
}

const struct opt *rows_find_long(const struct opt *rows, struct slice name)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (slice_eq_str(name, o->name))
			return o;
	}
	return NULL;
}

const struct opt *rows_find_letter(const struct opt *rows, char letter)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++) {
		if (o->letter == letter)
			return o;
	}
	return NULL;
}

void nearest_try(struct nearest *n, const char *candidate)
{
	unsigned distance = text_distance(n->word, candidate);
	size_t len = strlen(n->word);

	/* The beginning of a word is as good as one wrong letter. */
	if (len >= 2 && strncmp(n->word, candidate, len) == 0)
		distance = VS_MIN(distance, 1u);
	if (distance < n->distance) {
		n->distance = distance;
		n->best = candidate;
	}
}

/* What was probably meant, or NULL: at most a third of the letters may be wrong. */
const char *nearest_word(const struct nearest *n)
{
	size_t len = strlen(n->word);

	return n->best && n->distance <= VS_MAX(len / 3, (size_t)1) ? n->best : NULL;
}

void nearest_try_rows(struct nearest *n, const struct opt *rows)
{
	for (const struct opt *o = rows; o && o->kind != OPT_KIND_END; o++)
		nearest_try(n, o->name);
}
