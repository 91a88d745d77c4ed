/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many names a second a search tries, from the making of the name to the look whether it is
 * wanted, against libcrypto asked for one digest at a time.
 *
 * All ways try the same names; libcrypto through SHA256() and through a context that is kept.
 * Rounds alternate and the best round of each counts, so that a busy machine slows all alike.
 * Ends with 1 when a search misses the name that is there.
 */

#include "lookup/lookup.h"

#include <openssl/sha.h>
#include <sys/mman.h>

#define MASK "tenant?l?l?l?d?d_memories"
#define NAMES UINT64_C(1757600)
#define ROUNDS 10

struct bench {
	struct mask *mask;
	uint32_t want;    /* the last name of the mask */
	struct buf names; /* all names of the mask, one a line */
	int list;         /* a file with them */
	struct pool *one, *all;
	struct digest_ctx *ctx;
};

static bool hit(const unsigned char *digest, uint32_t want)
{
	return load_be32(digest) == want;
}

/* libcrypto is spared the making of names: they stand in memory. */
static bool run_libcrypto(struct bench *b)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	size_t len = mask_len(b->mask);
	bool found = false;

	for (uint64_t i = 0; i < NAMES; i++) {
		SHA256(b->names.ptr + i * (len + 1), len, digest);
		found |= hit(digest, b->want);
	}
	return found;
}

/* The algorithm looked up once and not for every name: the best that libcrypto does. */
static bool run_context(struct bench *b)
{
	size_t len = mask_len(b->mask);
	bool found = false;

	for (uint64_t i = 0; i < NAMES; i++) {
		struct digest digest;

		digest_ctx_reset(b->ctx);
		digest_ctx_add(b->ctx, b->names.ptr + i * (len + 1), len);
		digest_ctx_final(b->ctx, &digest);
		found |= hit(digest.bytes, b->want);
	}
	return found;
}

static bool is_found(struct lookup *l, uint32_t want)
{
	struct lookup_answer a;

	lookup_answer(l, want, &a);
	return a.verdict == LOOKUP_FOUND && a.tried == NAMES;
}

static bool run_mask(struct bench *b, struct pool *pool)
{
	cleanup_(lookup_freep) struct lookup *l = lookup_new(
		&(struct lookup_request){ .hashes = &b->want, .count = 1, .pool = pool });

	return lookup_try_mask(l, b->mask) == 0 && is_found(l, b->want);
}

static bool run_mask_one(struct bench *b)
{
	return run_mask(b, b->one);
}

static bool run_mask_all(struct bench *b)
{
	return run_mask(b, b->all);
}

/* A thousand hashes wanted at once. */
static bool run_mask_many(struct bench *b)
{
	cleanup_(lookup_freep) struct lookup *l = NULL;
	uint32_t wants[1000];

	wants[0] = b->want;
	for (uint32_t i = 1; i < VS_COUNT(wants); i++)
		wants[i] = wants[i - 1] * 2654435761u + 1;
	l = lookup_new(&(struct lookup_request){
		.hashes = wants, .count = VS_COUNT(wants), .pool = b->one });
	return lookup_try_mask(l, b->mask) == 0 && is_found(l, b->want);
}

static bool run_words(struct bench *b, struct pool *pool)
{
	cleanup_(lookup_freep) struct lookup *l = lookup_new(
		&(struct lookup_request){ .hashes = &b->want, .count = 1, .pool = pool });
	struct vs_err err = { 0 };

	if (lseek(b->list, 0, SEEK_SET) != 0)
		return false;
	return lookup_try_words(l, b->list, "list", false, NULL, &err) == 0 && is_found(l, b->want);
}

static bool run_words_one(struct bench *b)
{
	return run_words(b, b->one);
}

static bool run_words_all(struct bench *b)
{
	return run_words(b, b->all);
}

static void bench_init(struct bench *b)
{
	unsigned char name[MASK_LEN_MAX], digest[SHA256_DIGEST_LENGTH];
	struct vs_err err = { 0 };

	if (mask_parse(&b->mask, MASK, NULL, &err) < 0 || mask_size(b->mask) != NAMES)
		exit(1);
	for (uint64_t i = 0; i < NAMES; i++) {
		mask_at(b->mask, i, name);
		buf_append(&b->names, name, mask_len(b->mask));
		buf_append_byte(&b->names, '\n');
	}
	SHA256(name, mask_len(b->mask), digest);
	b->want = load_be32(digest);
	b->list = memfd_create("list", MFD_CLOEXEC);
	if (write(b->list, b->names.ptr, b->names.len) != (ssize_t)b->names.len)
		exit(1);
	b->ctx = digest_ctx_new();
	b->one = pool_new(1);
	b->all = pool_new(cpu_count());
}

static void bench_fini(struct bench *b)
{
	mask_freep(&b->mask);
	buf_fini(&b->names);
	pool_freep(&b->one);
	pool_freep(&b->all);
	digest_ctx_freep(&b->ctx);
	close(b->list);
}

struct contestant {
	const char *what;
	bool (*run)(struct bench *b);
	unsigned threads; /* 0: all */
	int64_t best_ns;
};

static void run_round(struct bench *b, struct contestant *c)
{
	int64_t begin = clock_elapsed_ns();
	int64_t took;

	if (!c->run(b)) {
		fprintf(stderr, "%s: the name was not found\n", c->what);
		exit(1);
	}
	took = VS_MAX(clock_elapsed_ns() - begin, 1);
	if (c->best_ns == 0 || took < c->best_ns)
		c->best_ns = took;
}

int main(void)
{
	cleanup_(bench_fini) struct bench b = { 0 };
	struct contestant field[] = {
		{ "libcrypto, SHA256()", run_libcrypto, 1, 0 },
		{ "libcrypto, one context", run_context, 1, 0 },
		{ "mask", run_mask_one, 1, 0 },
		{ "mask, 1000 hashes wanted", run_mask_many, 1, 0 },
		{ "word list", run_words_one, 1, 0 },
		{ "mask", run_mask_all, 0, 0 },
		{ "word list", run_words_all, 0, 0 },
	};

	bench_init(&b);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < VS_COUNT(field); i++)
			run_round(&b, &field[i]);
	}
	printf("%-26s %7s %12s %12s %12s\n", "names of 20 bytes", "threads", "million/s",
	       "x SHA256()", "x context");
	for (size_t i = 0; i < VS_COUNT(field); i++) {
		double rate = (double)NAMES * 1e3 / (double)field[i].best_ns;

		printf("%-26s %7u %12.2f %12.1f %12.1f\n", field[i].what,
		       field[i].threads ? field[i].threads : pool_threads(b.all), rate,
		       (double)field[0].best_ns / (double)field[i].best_ns,
		       (double)field[1].best_ns / (double)field[i].best_ns);
	}
	return 0;
}
