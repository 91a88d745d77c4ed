/* SPDX-License-Identifier: Apache-2.0 */

/* The value of an option, from wherever it comes, into the field that its row names. */

#include "parse.h"

static int choice_index(const struct opt *o, const char *shown_name, const char *text,
			unsigned *out, struct vs_err *err)
{
	struct nearest n = { .word = text, .distance = UINT_MAX };
	cleanup_(buf_fini) struct buf shown = { 0 };
	char words[8][32];
	struct slice word;

	for (unsigned i = 0; choice_word(o->words, i, &word); i++) {
		if (slice_eq_str(word, text)) {
			*out = i;
			return 0;
		}
		assert(i < VS_COUNT(words) && word.len < sizeof(words[0]));
		snprintf(words[i], sizeof(words[i]), "%.*s", (int)word.len, word.ptr);
		nearest_try(&n, words[i]);
	}
	text_escape(&shown, slice_str(text));
	if (nearest_word(&n))
		return vs_fail(err, VS_EUSAGE, "%s takes %s, not '%s'; did you mean %s?",
			       shown_name, o->words, buf_cstr(&shown), n.best);
	return vs_fail(err, VS_EUSAGE, "%s takes %s, not '%s'", shown_name, o->words,
		       buf_cstr(&shown));
}

static int number(const struct opt *o, const char *shown_name, const char *text, uint64_t *out,
		  struct vs_err *err)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	if (parse_u64(text, o->value, out) && (*out > 0 || !o->is_above_0))
		return 0;
	text_escape(&shown, slice_str(text));
	return vs_fail(err, VS_EUSAGE, "%s takes a number %sup to %" PRIu64 ", not '%s'",
		       shown_name, o->is_above_0 ? "from 1 " : "", o->value, buf_cstr(&shown));
}

/* On the command line a switch has no argument; a file has to say which way it stands. */
static int truth(const char *shown_name, const char *text, bool *out, struct vs_err *err)
{
	static const char *const words[] = { "no", "yes", "false", "true", "0", "1", "off", "on" };
	cleanup_(buf_fini) struct buf shown = { 0 };

	*out = true;
	for (size_t i = 0; text && i < VS_COUNT(words); i++) {
		*out = i % 2 == 1;
		if (strcmp(text, words[i]) == 0)
			return 0;
	}
	if (!text)
		return 0;
	text_escape(&shown, slice_str(text));
	return vs_fail(err, VS_EUSAGE, "%s takes yes or no, not '%s'", shown_name,
		       buf_cstr(&shown));
}

int opt_store(const struct opt *o, void *opts, const char *shown_name, const char *argument,
	      struct vs_err *err)
{
	char *field = (char *)opts + o->offset;
	unsigned index = (unsigned)o->value;
	uint64_t count;
	bool yes;
	int r = 0;

	switch (o->kind) {
	case OPT_KIND_FLAG:
		r = truth(shown_name, argument, &yes, err);
		if (r == 0)
			memcpy(field, &yes, sizeof(yes));
		return r;
	case OPT_KIND_CHOICE:
		assert(argument);
		r = choice_index(o, shown_name, argument, &index, err);
		if (r < 0)
			return r;
		__attribute__((fallthrough));
	case OPT_KIND_SET:
		memcpy(field, &index, sizeof(index));
		return 0;
	case OPT_KIND_TEXT:
	case OPT_KIND_FILE:
	case OPT_KIND_DIR:
		assert(argument);
		if (*argument == '\0')
			return vs_fail(err, VS_EUSAGE, "%s needs %s, and got nothing", shown_name,
				       o->words);
		memcpy(field, &argument, sizeof(argument));
		return 0;
	case OPT_KIND_NUMBER:
		assert(argument);
		r = number(o, shown_name, argument, &count, err);
		if (r == 0)
			memcpy(field, &count, sizeof(count));
		return r;
	case OPT_KIND_END:
		break;
	}
	assert(false);
	return VS_EUSAGE;
}
