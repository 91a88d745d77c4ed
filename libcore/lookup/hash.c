/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many SHA-256 at once: names into padded blocks, and the choice of the engine that hashes them.
 *
 * Only the first word of each digest is wanted, but the last round draws on all that went before,
 * so nothing is left out save the last additions to the other seven words.
 */

#include "lookup/hash-kernel.h"

#include <endian.h>

/* Names that hash_names() pads before it hashes them: 4 KiB of blocks, well inside the cache. */
#define BATCH 64

static const struct hash_prefix no_prefix = {
	.state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
		   0x1f83d9ab, 0x5be0cd19 },
};

/* NULL where this build does not have @engine. */
static const struct hash_kernel *kernel_of(enum hash_engine engine)
{
	switch (engine) {
	case HASH_AUTO:
		return kernel_of(hash_engine_best());
	case HASH_PORTABLE:
		return &hash_kernel_portable;
#if HASH_HAS_X86
	case HASH_SHANI:
		return &hash_kernel_shani;
	case HASH_AVX2:
		return &hash_kernel_avx2;
	case HASH_AVX512:
		return &hash_kernel_avx512;
#else
	case HASH_SHANI:
	case HASH_AVX2:
	case HASH_AVX512:
		return NULL;
#endif
	}
	return NULL;
}

bool hash_engine_available(enum hash_engine engine)
{
	const struct hash_kernel *kernel = kernel_of(engine);

	return kernel && kernel->is_available();
}

enum hash_engine hash_engine_best(void)
{
	static const enum hash_engine fastest_first[] = { HASH_AVX512, HASH_SHANI, HASH_AVX2 };

	for (size_t i = 0; i < VS_COUNT(fastest_first); i++) {
		if (hash_engine_available(fastest_first[i]))
			return fastest_first[i];
	}
	return HASH_PORTABLE;
}

const char *hash_engine_name(enum hash_engine engine)
{
	static const char *const names[] = {
		[HASH_AUTO] = "auto", [HASH_PORTABLE] = "portable", [HASH_SHANI] = "sha-ni",
		[HASH_AVX2] = "avx2", [HASH_AVX512] = "avx512",
	};

	assert(engine < VS_COUNT(names));
	return names[engine];
}

/*
 * Close a message of @message_len bytes, the last @len of which stand in the @count blocks at
 * @tail; what is behind them must be zero already.
 */
static void pad(unsigned char *tail, size_t len, size_t count, uint64_t message_len)
{
	uint64_t bits = htobe64(message_len * 8);

	tail[len] = 0x80;
	memcpy(tail + count * HASH_BLOCK_LEN - sizeof(bits), &bits, sizeof(bits));
}

void hash_block_pad(struct hash_block *block, const struct hash_prefix *prefix, size_t len)
{
	assert(len <= HASH_TAIL_MAX);
	memset(block->byte + len, 0, HASH_BLOCK_LEN - len);
	pad(block->byte, len, 1, (prefix ? prefix->len : 0) + len);
}

static size_t absorb_blocks(struct hash_prefix *prefix, const struct hash_kernel *kernel,
			    struct slice head)
{
	size_t count = head.len / HASH_BLOCK_LEN;

	*prefix = no_prefix;
	prefix->len = count * HASH_BLOCK_LEN;
	kernel->absorb(prefix->state, head.ptr, count);
	return count * HASH_BLOCK_LEN;
}

size_t hash_prefix_init(struct hash_prefix *prefix, enum hash_engine engine, struct slice head)
{
	const struct hash_kernel *kernel = kernel_of(engine);

	assert(kernel);
	return absorb_blocks(prefix, kernel, head);
}

/* A name of any length by itself. The padding takes a second block where the first is too full. */
static uint32_t hash_long(const struct hash_kernel *kernel, struct slice name)
{
	unsigned char tail[2 * HASH_BLOCK_LEN] = { 0 };
	struct hash_prefix prefix;
	size_t done = absorb_blocks(&prefix, kernel, name);
	size_t rest = name.len - done;
	size_t count = rest > HASH_TAIL_MAX ? 2 : 1;

	memcpy(tail, name.ptr + done, rest);
	pad(tail, rest, count, name.len);
	kernel->absorb(prefix.state, tail, count);
	return prefix.state[0];
}

static void hash_batch(const struct hash_kernel *kernel, const struct slice *names, size_t count,
		       uint32_t *out)
{
	struct hash_block blocks[BATCH];

	assert(count > 0 && count <= BATCH);
	for (size_t i = 0; i < count; i++) {
		blocks[i] = (struct hash_block){ 0 };
		if (names[i].len > HASH_TAIL_MAX)
			continue;
		if (names[i].len > 0)
			memcpy(blocks[i].byte, names[i].ptr, names[i].len);
		pad(blocks[i].byte, names[i].len, 1, names[i].len);
	}
	kernel->finish(no_prefix.state, blocks, count, out);

	/* The block of a long name stood empty, so that the others need not be told apart. */
	for (size_t i = 0; i < count; i++) {
		if (names[i].len > HASH_TAIL_MAX)
			out[i] = hash_long(kernel, names[i]);
	}
}

void hash_names(enum hash_engine engine, const struct slice *names, size_t count, uint32_t *out)
{
	const struct hash_kernel *kernel = kernel_of(engine);

	assert(kernel);
	for (size_t done = 0; done < count; done += BATCH)
		hash_batch(kernel, names + done, VS_MIN(count - done, (size_t)BATCH), out + done);
}

void hash_blocks(enum hash_engine engine, const struct hash_prefix *prefix,
		 const struct hash_block *blocks, size_t count, uint32_t *out)
{
	const struct hash_kernel *kernel = kernel_of(engine);

	assert(kernel);
	kernel->finish(prefix ? prefix->state : no_prefix.state, blocks, count, out);
}
