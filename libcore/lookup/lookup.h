/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lookup: find the collection name behind a directory name
 *
 * chromem names a collection's directory after the first four bytes of the SHA-256 of the
 * collection's name, in hex. Nothing can turn that back, but names are guessable: this room makes
 * candidates by the million, hashes them and keeps those that land on a wanted directory.
 *
 *	find.h	the search: what is known, where names come from, how far to trust one
 *	mask.h	sets of names written as patterns
 *	known.h	names remembered from one run to the next
 *
 * Here: the hash engine. A "hash" below is the first four bytes of a SHA-256 read as a big-endian
 * number, so printing it with %08x gives the directory name. Nothing here allocates, fails or
 * keeps state between calls; every function may be called from any number of threads.
 */

#include "util/util.h"

/* Ways to compute the same hashes. HASH_AUTO stands for the fastest that this machine can run. */
enum hash_engine {
	HASH_AUTO,
	HASH_PORTABLE, /* four messages in step, in whatever the compiler makes of that */
	HASH_SHANI,    /* two messages in step through the x86 SHA extensions */
	HASH_AVX2,     /* eight messages in step, one a lane */
	HASH_AVX512,   /* sixteen */
};

/* True where this build and this processor can run @engine; always for AUTO and PORTABLE. */
bool hash_engine_available(enum hash_engine engine);

/*
 * The engine that HASH_AUTO stands for here. Asking the processor can cost a microsecond in a
 * virtual machine, so a caller with many small batches asks once and passes on the answer.
 */
enum hash_engine hash_engine_best(void);

/* A short lower-case name: "auto", "portable", "sha-ni", "avx2", "avx512". Never NULL. */
const char *hash_engine_name(enum hash_engine engine);

/*
 * Hash @count names of any length, in the order given: out[i] belongs to names[i]. The names are
 * read during the call only. Fast for names of up to HASH_TAIL_MAX bytes; longer ones take one
 * step for each 64 bytes and do not run side by side. @engine must be available.
 */
void hash_names(enum hash_engine engine, const struct slice *names, size_t count, uint32_t *out);

#define HASH_BLOCK_LEN 64
#define HASH_TAIL_MAX 55 /* what fits into a name's last block beside the padding */

/* The last (mostly the only) block of a padded message, in the byte order of the message. */
struct hash_block {
	unsigned char byte[HASH_BLOCK_LEN];
};

/*
 * Whole blocks at the head of a name, hashed already. A generator that changes only the end of a
 * long name pays for its head once. The state belongs to no engine.
 */
struct hash_prefix {
	uint32_t state[8];
	uint64_t len; /* bytes hashed, a multiple of HASH_BLOCK_LEN */
};

/*
 * Hash as many whole blocks of @head as there are into @prefix and return how many bytes that
 * took. The remaining head.len % HASH_BLOCK_LEN bytes are for the caller to put at the start of
 * each block. @engine must be available.
 */
size_t hash_prefix_init(struct hash_prefix *prefix, enum hash_engine engine, struct slice head);

/*
 * Complete @block, whose first @len <= HASH_TAIL_MAX bytes hold the end of a name, with the
 * padding of SHA-256. @prefix is what was hashed before the block, NULL for nothing. All bytes
 * from @len on are overwritten. As long as a name keeps its length its padding stays right, so a
 * generator pads a block once and then changes letters in place.
 */
void hash_block_pad(struct hash_block *block, const struct hash_prefix *prefix, size_t len);

/*
 * Hash @count names whose last blocks stand padded in @blocks, all of them after the same
 * @prefix (NULL: names of one block). No copy is made. out[i] belongs to blocks[i]. A count that
 * is a multiple of 16 wastes no lane in any engine; some hundreds at a time stay in the first
 * cache. @engine must be available.
 */
void hash_blocks(enum hash_engine engine, const struct hash_prefix *prefix,
		 const struct hash_block *blocks, size_t count, uint32_t *out);

#include "lookup/find.h"
#include "lookup/known.h"
#include "lookup/mask.h"
