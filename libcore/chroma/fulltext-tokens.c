/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens of texts as FTS5's trigram tokenizer makes them, and sums over them. A token is each three
 * characters that follow each other, with their case folded, and its position is the number of
 * characters before it. Only plain ASCII is cut up here; any other text is given to the tokenizer
 * itself, which folds as the release that is linked does.
 */

#include "chroma/db-private.h"

void token_sum_begin(struct token_sum *s)
{
	*s = (struct token_sum){ 0 };
	sqlite3_randomness(sizeof(s->keys), s->keys);
	/* Multipliers that lose nothing are odd. */
	s->keys[2] |= 1;
	s->keys[3] |= 1;
}

uint64_t token_of(const struct token_sum *s, const unsigned char *bytes, size_t len)
{
	uint64_t token = s->keys[1] + len;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = 0;

		for (size_t k = i; k < len && k < i + 8; k++)
			word = word << 8 | bytes[k];
		token = token_mix(token ^ word) + s->keys[0];
	}
	return token;
}

/* ---- the tokenizer ---- */

void trigrams_begin(struct trigrams *t, sqlite3 *handle)
{
	fts5_api *api = NULL;
	sqlite3_stmt *stmt = NULL;
	void *user = NULL;

	*t = (struct trigrams){ 0 };
	if (sqlite3_prepare_v2(handle, "SELECT fts5(?)", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_bind_pointer(stmt, 1, &api, "fts5_api_ptr", NULL) == SQLITE_OK)
		(void)sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	if (api && api->iVersion >= 2 &&
	    api->xFindTokenizer(api, "trigram", &user, &t->tokenizer) == SQLITE_OK &&
	    t->tokenizer.xCreate(user, NULL, 0, &t->instance) != SQLITE_OK)
		t->instance = NULL;
}

void trigrams_fini(struct trigrams *t)
{
	if (t->instance)
		t->tokenizer.xDelete(t->instance);
	*t = (struct trigrams){ 0 };
}

struct adding {
	struct token_sum *sum;
	int64_t row;
	uint64_t position;
};

static int on_token(void *ctx, int flags, const char *token, int len, int from, int to)
{
	struct adding *a = ctx;

	(void)flags, (void)from, (void)to;
	a->sum->sum += token_at(a->sum, token_of(a->sum, (const unsigned char *)token, (size_t)len),
				a->row, a->position++);
	a->sum->count++;
	return SQLITE_OK;
}

/* A text ends for the tokenizer where a character is 0, so such a one is not plain either. */
static bool is_plain(struct slice text)
{
	unsigned char seen = 0, least = 0x7f;

	for (size_t i = 0; i < text.len; i++) {
		seen |= text.ptr[i];
		least = VS_MIN(least, text.ptr[i]);
	}
	return seen < 0x80 && least > 0;
}

static unsigned char fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static void add_plain(int64_t row, struct slice text, struct token_sum *s)
{
	const struct token_sum keys = *s;
	const uint64_t first = keys.keys[1] + 3;
	uint64_t word, sum = 0;

	if (text.len < 3)
		return;
	word = (uint64_t)fold(text.ptr[0]) << 8 | fold(text.ptr[1]);
	for (size_t i = 2; i < text.len; i++) {
		word = (word << 8 | fold(text.ptr[i])) & 0xffffff;
		sum += token_at(&keys, token_mix(first ^ word) + keys.keys[0], row, i - 2);
	}
	s->sum += sum;
	s->count += text.len - 2;
}

bool trigrams_add(const struct trigrams *t, int64_t row, struct slice text, struct token_sum *s)
{
	struct adding a = { .sum = s, .row = row };

	if (is_plain(text)) {
		add_plain(row, text, s);
		return true;
	}
	return t->instance && text.len <= INT32_MAX &&
	       t->tokenizer.xTokenize(t->instance, &a, FTS5_TOKENIZE_DOCUMENT,
				      (const char *)text.ptr, (int)text.len, on_token) == SQLITE_OK;
}
