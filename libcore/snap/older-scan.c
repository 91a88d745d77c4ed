/* SPDX-License-Identifier: Apache-2.0 */

/*
 * collections.json, one document at a time. The file may be many times larger than the memory, so its
 * upper levels, which are nothing but names and brackets, are walked here, and only the text of one
 * document at a time is given to the JSON library.
 */

#include "snap/private.h"

/* No document's text is longer. */
#define VALUE_MAX ((size_t)256 << 20)
#define NESTING_MAX 64
/* What was read is dropped from the window when there is so much of it. */
#define DROP_AT ((size_t)1 << 20)

/* Names that have been seen, by the first 8 bytes of their SHA-256. 0: an empty place. */
struct seen {
	uint64_t *places;
	size_t count, cap;
};

struct scan {
	const struct older_text *text;
	const struct older_events *to;
	struct buf window;
	size_t at;        /* in the window */
	uint64_t dropped; /* bytes before it */
	bool is_end;
	struct vs_err *err;
};

static uint64_t mark_of(struct slice name)
{
	struct digest digest;
	uint64_t mark;

	digest_of(name, &digest);
	memcpy(&mark, digest.bytes, sizeof(mark));
	return mark | 1;
}

static bool put_mark(uint64_t *places, size_t cap, uint64_t mark)
{
	size_t i = (size_t)(mark >> 1) & (cap - 1);

	while (places[i] != 0 && places[i] != mark)
		i = (i + 1) & (cap - 1);
	if (places[i] == mark)
		return false;
	places[i] = mark;
	return true;
}

/* False: it was there already. */
static bool see(struct seen *s, struct slice name)
{
	bool is_new;

	if (s->count * 2 >= s->cap) {
		size_t cap = s->cap > 0 ? s->cap * 2 : 64;
		uint64_t *places = vs_alloc_array(cap, sizeof(*places));

		for (size_t i = 0; i < s->cap; i++) {
			if (s->places[i] != 0)
				put_mark(places, cap, s->places[i]);
		}
		free(s->places);
		s->places = places;
		s->cap = cap;
	}
	is_new = put_mark(s->places, s->cap, mark_of(name));
	s->count += is_new;
	return is_new;
}

static void seen_fini(struct seen *s)
{
	free(s->places);
}

static int fail_at(struct scan *s, const char *what)
{
	return vs_fail(s->err, VS_EFORMAT, "collections.json: %s at byte %" PRIu64, what,
		       s->dropped + s->at);
}

/* ---- bytes ---- */

/* More of the text; s->is_end when there is none. What lies before s->at may move. */
static int more(struct scan *s)
{
	struct slice bytes;
	int r;

	if (s->at >= DROP_AT) {
		memmove(s->window.ptr, s->window.ptr + s->at, s->window.len - s->at);
		s->window.len -= s->at;
		s->dropped += s->at;
		s->at = 0;
	}
	r = s->text->more(s->text->ctx, &bytes, s->err);
	if (r == 0)
		r = buf_try_reserve(&s->window, bytes.len, s->err);
	if (r < 0)
		return r;
	buf_append(&s->window, bytes.ptr, bytes.len);
	s->is_end = bytes.len == 0;
	return 0;
}

/* The byte at s->at + @ahead; -1 at the end of the text, or another negative. */
#define AT_END (-1000)

static int byte_at(struct scan *s, size_t ahead)
{
	while (s->at + ahead >= s->window.len) {
		int r;

		if (s->is_end)
			return AT_END;
		r = more(s);
		if (r < 0)
			return r;
	}
	return s->window.ptr[s->at + ahead];
}

/* The next byte that is no space, which stays. */
static int peek(struct scan *s)
{
	int c;

	while ((c = byte_at(s, 0)) == ' ' || c == '\n' || c == '\t' || c == '\r')
		s->at++;
	return c;
}

static int expect(struct scan *s, int want)
{
	char what[32];
	int c = peek(s);

	if (c == want) {
		s->at++;
		return 0;
	}
	if (c < 0 && c != AT_END)
		return c;
	snprintf(what, sizeof(what), "no '%c'", want);
	return fail_at(s, what);
}

/* Behind an element: 1 when another one follows, 0 at @end. */
static int next(struct scan *s, int end)
{
	int c = peek(s);

	if (c == ',' || c == end) {
		s->at++;
		return c == ',';
	}
	return c < 0 && c != AT_END ? c : fail_at(s, "neither ',' nor an end");
}

/* ---- values ---- */

/* How long the string at s->at + @from is, quotes included. */
static int string_end(struct scan *s, size_t from, size_t *end)
{
	size_t i = from + 1;
	int c;

	for (; (c = byte_at(s, i)) != '"'; i++) {
		if (c == '\\') {
			i++;
			c = byte_at(s, i);
		}
		if (c < 0)
			return c == AT_END ? fail_at(s, "a text without an end") : c;
		if (i > VALUE_MAX)
			return fail_at(s, "too long a text");
	}
	*end = i + 1;
	return 0;
}

/* How long the object at s->at is. */
static int object_end(struct scan *s, size_t *end)
{
	unsigned depth = 0;
	size_t i = 0;

	do {
		int c = byte_at(s, i);
		int r = 0;

		if (c < 0)
			return c == AT_END ? fail_at(s, "an object without an end") : c;
		if (c == '"') {
			r = string_end(s, i, &i);
		} else {
			depth += c == '{' || c == '[';
			depth -= c == '}' || c == ']';
			i++;
		}
		if (r < 0)
			return r;
		if (depth > NESTING_MAX || i > VALUE_MAX)
			return fail_at(s, depth > NESTING_MAX ? "nesting too deep"
							      : "too long an object");
	} while (depth > 0);
	*end = i;
	return 0;
}

/* The JSON library's reading of @len bytes, in @before and @after. */
static int parse(struct scan *s, size_t len, bool in_array, struct jr **out)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct slice bytes = slice_of(s->window.ptr + s->at, len);
	int r;

	if (in_array) {
		buf_append_byte(&text, '[');
		buf_append(&text, bytes.ptr, bytes.len);
		buf_append_byte(&text, ']');
		bytes = buf_slice(&text);
	}
	r = jr_parse(out, bytes, s->err);
	if (r < 0)
		return vs_err_in(s->err, "collections.json: from byte %" PRIu64,
				 s->dropped + s->at);
	s->at += len;
	return 0;
}

/* A name and its ':'. *@out points into *@doc, which is the caller's. */
static int name(struct scan *s, struct seen *seen, struct jr **doc, const char **out)
{
	size_t end;
	int r, c = peek(s);

	if (c != '"')
		return c < 0 && c != AT_END ? c : fail_at(s, "no name");
	r = string_end(s, 0, &end);
	if (r == 0)
		r = parse(s, end, true, doc);
	if (r < 0)
		return r;
	if (!jr_as_str(jr_at(*doc, 0), out))
		return fail_at(s, "a name with a NUL in it");
	if (!see(seen, slice_str(*out)))
		return fail_at(s, "a name that was there before");
	return expect(s, ':');
}

/* ---- the levels ---- */

static int document(struct scan *s, size_t index)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	size_t end = 0;
	int r, c = peek(s);

	if (c != '{')
		return c < 0 && c != AT_END ? c : fail_at(s, "a document that is no object");
	r = object_end(s, &end);
	if (r == 0)
		r = parse(s, end, false, &doc);
	return r == 0 ? s->to->document(s->to->ctx, index, doc, s->err) : r;
}

static int batch(struct scan *s, const char *key)
{
	int r;

	if (strncmp(key, "batch_", 6) != 0 || peek(s) != '[')
		return vs_fail(s->err, VS_EFORMAT,
			       "collections.json: a collection has something that is no batch");
	s->at++;
	r = s->to->batch(s->to->ctx, key, s->err);
	if (r != 0)
		return r;
	if (peek(s) == ']') {
		s->at++;
		return 0;
	}
	for (size_t i = 0;; i++) {
		r = document(s, i);
		if (r == 0)
			r = next(s, ']');
		if (r <= 0)
			return r;
	}
}

typedef int member_fn(struct scan *s, const char *key);

/* What is behind the '{' of an object, each name of which comes once. */
static int members(struct scan *s, member_fn *one)
{
	cleanup_(seen_fini) struct seen seen = { 0 };

	if (peek(s) == '}') {
		s->at++;
		return 0;
	}
	for (;;) {
		cleanup_(jr_freep) struct jr *doc = NULL;
		const char *key;
		int r = name(s, &seen, &doc, &key);

		if (r == 0)
			r = one(s, key);
		if (r == 0)
			r = next(s, '}');
		if (r <= 0)
			return r;
	}
}

static int collection(struct scan *s, const char *key)
{
	int r;

	if (key[0] == '\0' || peek(s) != '{')
		return vs_fail(s->err, VS_EFORMAT,
			       "collections.json: a collection without a name, or without batches");
	s->at++;
	r = s->to->collection(s->to->ctx, key, s->err);
	return r == 0 ? members(s, batch) : r;
}

static int collections(struct scan *s)
{
	if (peek(s) != '{')
		return vs_fail(s->err, VS_EFORMAT,
			       "collections.json: not an object of collections");
	s->at++;
	return members(s, collection);
}

int older_scan(const struct older_text *text, const struct older_events *to, struct vs_err *err)
{
	struct scan s = { .text = text, .to = to, .err = err };
	int c, r = collections(&s);

	if (r == 0) {
		c = peek(&s);
		if (c != AT_END)
			r = c < 0 ? c : fail_at(&s, "something behind the end");
	}
	buf_fini(&s.window);
	return r;
}
