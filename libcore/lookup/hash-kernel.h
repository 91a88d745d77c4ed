/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of the hash engine share: the two steps that every engine supplies, and the
 * constants of SHA-256 (FIPS 180-4). Padding, lengths and the choice of an engine are in hash.c,
 * so a kernel sees whole blocks only and never a name.
 */

#include "lookup/lookup.h"

#if defined(__x86_64__)
#define HASH_HAS_X86 1
#else
#define HASH_HAS_X86 0
#endif

struct hash_kernel {
	const char *name;
	bool (*is_available)(void);

	/*
	 * The first word of the state that @start becomes by each one of @count blocks: the
	 * blocks are the last ones of @count separate messages.
	 */
	void (*finish)(const uint32_t start[8], const struct hash_block *blocks, size_t count,
		       uint32_t *out);

	/* Carry @state over @count successive blocks of one message. */
	void (*absorb)(uint32_t state[8], const unsigned char *bytes, size_t count);
};

extern const struct hash_kernel hash_kernel_portable;
#if HASH_HAS_X86
extern const struct hash_kernel hash_kernel_shani;
extern const struct hash_kernel hash_kernel_avx2;
extern const struct hash_kernel hash_kernel_avx512;
#endif

/* The round constants. */
extern const uint32_t hash_k[64];

/* The four bytes at @at as a word of the message. */
static inline uint32_t hash_word(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Bytes of a 128-bit register in the order that makes big-endian words of them, for shuffles. */
#define HASH_SWAP_BYTES 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12

/* One message, one word at a time: what lane engines use for the head of a long name. */
void hash_absorb_scalar(uint32_t state[8], const unsigned char *bytes, size_t count);
