/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The problem table, and the sentences made from it.
 *
 * Whatever a user reads about a problem comes from problems.def: a check only supplies values for
 * the placeholders. Values may come from a damaged store, so they are escaped and cut to a length
 * that leaves a sentence readable; the full value is in the finding.
 */

#include "check/check.h"

#define VALUE_MAX 240

static const struct problem_row rows[] = {
#define PROBLEM(id, code, severity, effect, remedy, message, fix)                                  \
	[PROB_##id] = { code, severity, effect, remedy, message, fix },
#include "check/problems.def"
#undef PROBLEM
};

const struct problem_row *problem_row(enum problem p)
{
	assert(p < PROB_COUNT_);
	return &rows[p];
}

const struct remedy_row *remedy_row(enum remedy r)
{
	static const struct remedy_row remedies[] = {
#define REMEDY(id, name, is_automatic, loses, text)                                                \
	[REMEDY_##id] = { name, is_automatic, loses, text },
#include "check/remedies.def"
#undef REMEDY
	};

	assert(r < VS_COUNT(remedies));
	return &remedies[r];
}

static int compare_code(const void *key, const void *row)
{
	return strcmp(key, ((const struct problem_row *)row)->code);
}

bool problem_find(const char *code, enum problem *out)
{
	const struct problem_row *row =
		bsearch(code, rows, VS_COUNT(rows), sizeof(rows[0]), compare_code);

	if (!row)
		return false;
	*out = (enum problem)(row - rows);
	return true;
}

const char *severity_name(enum severity s)
{
	static const char *const names[] = { "info", "warning", "error" };

	return names[s];
}

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = { "healthy", "degraded", "corrupt", "unverified" };

	return names[v];
}

const char *loadable_name(enum loadable l)
{
	static const char *const names[] = { "yes", "silently-wrong", "no" };

	return names[l];
}

const char *collection_state_name(enum collection_state s)
{
	static const char *const names[] = { "healthy", "corrupt", "empty" };

	return names[s];
}

/* ---- sentences ---- */

static void append_value(struct buf *out, struct slice value)
{
	size_t len = value.len;

	if (len > VALUE_MAX) {
		/* Not inside a character, if these are characters. */
		len = VALUE_MAX;
		while (len > VALUE_MAX - 4 && (value.ptr[len] & 0xc0) == 0x80)
			len--;
	}
	text_escape(out, slice_of(value.ptr, len));
	if (len < value.len)
		buf_append_str(out, "...");
}

static void append_text(struct buf *out, const char *text)
{
	if (text)
		append_value(out, slice_str(text));
	else
		buf_append_str(out, "(unknown)");
}

/*
 * A value as a word of a command that will be pasted. It is whole: a name cut short would be
 * another's. An id that is not known, or that no program can be given, is left to the file that
 * holds it.
 */
static void append_word(struct buf *out, const struct finding *f, struct slice name)
{
	struct slice word = slice_of(NULL, 0);

	if (slice_eq_str(name, "collection") && f->collection)
		word = slice_str(f->collection);
	else if (slice_eq_str(name, "document") && f->document.len > 0 &&
		 !memchr(f->document.ptr, '\0', f->document.len))
		word = f->document;
	else if (f->path)
		word = slice_str(f->path);
	if (slice_eq_str(name, "document") && word.ptr && word.ptr != f->document.ptr) {
		const unsigned char *slash = memrchr(word.ptr, '/', word.len);

		if (slash)
			word = slice_of(slash + 1, word.len - (size_t)(slash + 1 - word.ptr));
	}
	text_quote(out, word);
}

static void append_placeholder(struct buf *out, const struct finding *f, struct slice name)
{
	const struct {
		const char *name;
		const char *text;
	} texts[] = {
		{ "collection", f->collection }, { "path", f->path },
		{ "expected", f->expected },     { "actual", f->actual },
		{ "detail", f->detail },         { "other", f->other },
	};

	for (size_t i = 0; i < VS_COUNT(texts); i++) {
		if (slice_eq_str(name, texts[i].name)) {
			append_text(out, texts[i].text);
			return;
		}
	}
	if (slice_eq_str(name, "document")) {
		if (f->document.ptr)
			append_value(out, f->document);
		else
			buf_append_str(out, "(unknown)");
	} else if (slice_eq_str(name, "offset")) {
		buf_printf(out, "%" PRIu64, f->offset);
	} else if (slice_eq_str(name, "count")) {
		buf_printf(out, "%" PRIu64, f->count);
	} else if (slice_eq_str(name, "s")) {
		buf_append_str(out, f->count == 1 ? "" : "s");
	} else {
		assert(false);
	}
}

static void format(const struct finding *f, const char *pattern,
		   void (*append)(struct buf *out, const struct finding *f, struct slice name),
		   struct buf *out)
{
	for (;;) {
		size_t literal = strcspn(pattern, "{");
		size_t name;

		buf_append(out, pattern, literal);
		pattern += literal;
		if (*pattern == '\0')
			return;
		name = strcspn(pattern, "}");
		append(out, f, slice_of(pattern + 1, name - 1));
		pattern += name + 1;
	}
}

void finding_format_message(const struct finding *f, struct buf *out)
{
	format(f, problem_row(f->code)->message, append_placeholder, out);
}

bool finding_format_fix(const struct finding *f, struct buf *out)
{
	const struct problem_row *row = problem_row(f->code);
	const char *fix = f->fix ? f->fix : row->fix;

	if (!fix && remedy_row(row->remedy)->is_automatic)
		fix = "vsctl repair STORE";
	if (!fix)
		return false;
	format(f, fix, append_word, out);
	return true;
}
