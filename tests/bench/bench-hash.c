/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many names a second each hash engine does on one core, and how many times that is what
 * libcrypto does when asked for one digest at a time: once through a call that looks the
 * algorithm up each time (digest_of), once through a context that keeps it.
 *
 * Rounds of all contestants alternate and the best round of each counts, so that a busy machine
 * slows all alike. Ends with 1 when an engine and libcrypto disagree.
 */

#include "lookup/lookup.h"

#define NAMES 512
#define NAME_LEN 20
#define ROUNDS 30

struct bench {
	struct hash_block blocks[NAMES];
	struct slice names[NAMES];
	uint32_t want[NAMES];
	uint32_t out[NAMES];
	struct digest_ctx *ctx;
	enum hash_engine engine;
};

static uint32_t first_word(const struct digest *d)
{
	return (uint32_t)d->bytes[0] << 24 | (uint32_t)d->bytes[1] << 16 |
	       (uint32_t)d->bytes[2] << 8 | d->bytes[3];
}

static void with_one_call(struct bench *b)
{
	struct digest d;

	for (size_t i = 0; i < NAMES; i++) {
		digest_of(b->names[i], &d);
		b->out[i] = first_word(&d);
	}
}

static void with_context(struct bench *b)
{
	struct digest d;

	for (size_t i = 0; i < NAMES; i++) {
		digest_ctx_reset(b->ctx);
		digest_ctx_add(b->ctx, b->names[i].ptr, b->names[i].len);
		digest_ctx_final(b->ctx, &d);
		b->out[i] = first_word(&d);
	}
}

static void with_names(struct bench *b)
{
	hash_names(b->engine, b->names, NAMES, b->out);
}

static void with_blocks(struct bench *b)
{
	hash_blocks(b->engine, NULL, b->blocks, NAMES, b->out);
}

struct contestant {
	void (*run)(struct bench *b);
	unsigned repeats;
	enum hash_engine engine;
	const char *what;
	int64_t best_ns;
};

static double rate(const struct contestant *c)
{
	return (double)NAMES * c->repeats * 1e9 / (double)c->best_ns;
}

static void run_round(struct bench *b, struct contestant *c)
{
	int64_t begin, took;

	b->engine = c->engine;
	begin = clock_elapsed_ns();
	for (unsigned i = 0; i < c->repeats; i++)
		c->run(b);
	took = VS_MAX(clock_elapsed_ns() - begin, 1);
	if (c->best_ns == 0 || took < c->best_ns)
		c->best_ns = took;
	if (memcmp(b->out, b->want, sizeof(b->want)) != 0) {
		fprintf(stderr, "%s: wrong hashes\n", c->what);
		exit(1);
	}
	memset(b->out, 0, sizeof(b->out));
}

static void bench_init(struct bench *b)
{
	b->ctx = digest_ctx_new();
	for (unsigned i = 0; i < NAMES; i++) {
		struct hash_block *block = &b->blocks[i];

		snprintf((char *)block->byte, sizeof(block->byte), "tenant_%04u_memories", i);
		hash_block_pad(block, NULL, NAME_LEN);
		b->names[i] = slice_of(block->byte, NAME_LEN);
	}
	with_one_call(b);
	memcpy(b->want, b->out, sizeof(b->want));
}

int main(void)
{
	static struct bench b;
	struct contestant field[2 + 2 * HASH_AVX512] = {
		{ with_one_call, 10, HASH_AUTO, "libcrypto one call", 0 },
		{ with_context, 10, HASH_AUTO, "libcrypto context", 0 },
	};
	size_t count = 2;

	bench_init(&b);
	for (enum hash_engine e = HASH_PORTABLE; e <= HASH_AVX512; e++) {
		if (!hash_engine_available(e))
			continue;
		field[count++] = (struct contestant){ with_names, 100, e, "names", 0 };
		field[count++] = (struct contestant){ with_blocks, 100, e, "blocks", 0 };
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < count; i++)
			run_round(&b, &field[i]);
	}

	printf("%-24s %14s %12s %12s\n", "names of 20 bytes", "million/s", "x one call",
	       "x context");
	for (size_t i = 0; i < count; i++) {
		const struct contestant *c = &field[i];

		printf("%-10s %-13s %14.2f %12.1f %12.1f\n",
		       i < 2 ? "" : hash_engine_name(c->engine), c->what, rate(c) / 1e6,
		       rate(c) / rate(&field[0]), rate(c) / rate(&field[1]));
	}
	digest_ctx_freep(&b.ctx);
	return 0;
}
