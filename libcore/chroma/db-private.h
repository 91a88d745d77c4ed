/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files that talk to SQLite share: db.c and fulltext.c read, edit.c changes a copy. They are
 * apart so that what only reads a store needs nothing that can write.
 */

#include "chroma/chroma.h"

#include <sqlite3.h>

struct chroma_db {
	sqlite3 *handle;
	int dirfd; /* of the store; borrowed */
	struct chroma_db_info info;
	struct file_info file; /* when it was opened */
	struct chroma_copy copy;
	const char *scratch; /* for another copy; borrowed */
};

/* The status and the text for a result code of SQLite. @handle may be NULL. */
int chroma_fail_sqlite(sqlite3 *handle, int code, struct vs_err *err);

/* What a hostile file could make SQLite do is switched off; sizes are limited. */
must_check_ int chroma_db_settle(sqlite3 *handle, struct vs_err *err);

/*
 * Is the full-text index proven to say what its content table says? 1: yes. 0: not by this, so FTS5
 * has to be asked; @err is then left alone. Reads each page and each text once and writes nothing.
 */
must_check_ int chroma_fulltext_is_proven(sqlite3 *handle, struct vs_err *err);

/* ---- fulltext-tokens.c ---- */

/*
 * The tokens of texts, or entries of an index, in sum: the same set has the same sum, in any order,
 * and another one with a chance of one in 2^64, whatever the texts are: the keys are drawn anew each
 * time.
 */
struct token_sum {
	uint64_t keys[4];
	uint64_t sum;
	uint64_t count;
};
void token_sum_begin(struct token_sum *s);

/* A bijection of 64 bits of which each one of the result depends on each one of the input; the
 * multipliers are those of SplitMix64. */
static inline uint64_t token_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A term by its bytes, then each place where it is. */
uint64_t token_of(const struct token_sum *s, const unsigned char *bytes, size_t len);

/* One place, to be added up. There are millions of them, so this is not called but written out. */
static inline uint64_t token_at(const struct token_sum *s, uint64_t token, int64_t row,
				uint64_t position)
{
	return token_mix(token ^ ((uint64_t)row * s->keys[2] + position * s->keys[3]));
}

/* The trigram tokenizer of FTS5, as the library that is linked has it. */
struct trigrams {
	fts5_tokenizer tokenizer;
	Fts5Tokenizer *instance; /* NULL: the library has none */
};
void trigrams_begin(struct trigrams *t, sqlite3 *handle);
void trigrams_fini(struct trigrams *t);

/* Add the tokens of the text of @row to @s. False: its tokenizer cannot be asked. */
must_check_ bool trigrams_add(const struct trigrams *t, int64_t row, struct slice text,
			      struct token_sum *s);
