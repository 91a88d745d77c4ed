/* SPDX-License-Identifier: Apache-2.0 */

/* Every hash engine that this machine can run, against libcrypto. */

#include "lookup/lookup.h"

#include <criterion/criterion.h>

#define FOR_EACH_ENGINE(e)                                                                         \
	for (enum hash_engine e = HASH_AUTO; e <= HASH_AVX512; e++)                                \
		if (hash_engine_available(e))

#define UNTOUCHED 0x5ca1ab1eu

/* A repeatable sequence of numbers (xorshift). */
static uint32_t next_number(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Exactly as large as the name, so that reading past its end shows under sanitizers. Owned. */
static unsigned char *random_bytes(size_t len, uint32_t *state)
{
	unsigned char *bytes = vs_alloc(VS_MAX(len, (size_t)1));

	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)next_number(state);
	return bytes;
}

static uint32_t expected_hash(struct slice name)
{
	struct digest d;

	digest_of(name, &d);
	return (uint32_t)d.bytes[0] << 24 | (uint32_t)d.bytes[1] << 16 | (uint32_t)d.bytes[2] << 8 |
	       d.bytes[3];
}

static uint32_t hash_one(enum hash_engine engine, struct slice name)
{
	uint32_t out = 0;

	hash_names(engine, &name, 1, &out);
	return out;
}

Test(hash, known_values)
{
	static const struct {
		char name[120];
		uint32_t hash;
	} rows[] = {
		{ "contextd_memories", 0xe9f85bf6 },
		{ "conversations", 0x5c0dc939 },
		{ "", 0xe3b0c442 },
		{ "abc", 0xba7816bf },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 0x248d6a61 },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  0xcf5b16a7 },
	};

	FOR_EACH_ENGINE(e)
	{
		for (size_t i = 0; i < VS_COUNT(rows); i++) {
			cr_assert_eq(hash_one(e, slice_str(rows[i].name)), rows[i].hash,
				     "%s: \"%s\"", hash_engine_name(e), rows[i].name);
		}
	}
}

Test(hash, a_million_letters)
{
	const size_t len = 1000000;
	unsigned char *bytes = vs_alloc(len);

	memset(bytes, 'a', len);
	FOR_EACH_ENGINE(e)
	cr_assert_eq(hash_one(e, slice_of(bytes, len)), 0xcdc76e5c, "%s", hash_engine_name(e));
	free(bytes);
}

/* Every way in which the end of a name can fall into a block, with one to five blocks before. */
Test(hash, every_length)
{
	uint32_t state = 1;

	for (size_t len = 0; len <= 300; len++) {
		unsigned char *bytes = random_bytes(len, &state);
		struct slice name = slice_of(bytes, len);
		uint32_t want = expected_hash(name);

		FOR_EACH_ENGINE(e)
		cr_assert_eq(hash_one(e, name), want, "%s: %zu bytes", hash_engine_name(e), len);
		free(bytes);
	}
}

/* Full groups, partly filled ones, several batches; short names and long ones side by side. */
Test(hash, every_size_of_batch)
{
	uint32_t state = 2;

	for (size_t count = 0; count <= 150; count++) {
		unsigned char **bytes = vs_alloc_array(count + 1, sizeof(*bytes));
		struct slice *names = vs_alloc_array(count + 1, sizeof(*names));
		uint32_t *out = vs_alloc_array(count + 1, sizeof(*out));

		for (size_t i = 0; i < count; i++) {
			size_t len = next_number(&state) % 80;

			bytes[i] = random_bytes(len, &state);
			names[i] = slice_of(bytes[i], len);
		}
		FOR_EACH_ENGINE(e)
		{
			out[count] = UNTOUCHED;
			hash_names(e, names, count, out);
			for (size_t i = 0; i < count; i++)
				cr_assert_eq(out[i], expected_hash(names[i]), "%s: %zu of %zu",
					     hash_engine_name(e), i, count);
			cr_assert_eq(out[count], UNTOUCHED);
		}
		for (size_t i = 0; i < count; i++)
			free(bytes[i]);
		free(bytes);
		free(names);
		free(out);
	}
}

/* A length for each block, none of them aligned; nothing behind the last block is there to read. */
Test(hash, blocks_of_the_caller)
{
	uint32_t state = 3;

	for (size_t count = 1; count <= 70; count++) {
		unsigned char *memory = vs_alloc(1 + count * sizeof(struct hash_block));
		struct hash_block *blocks = (struct hash_block *)(memory + 1);
		uint32_t *want = vs_alloc_array(count, sizeof(*want));
		uint32_t *out = vs_alloc_array(count + 1, sizeof(*out));

		for (size_t i = 0; i < count; i++) {
			size_t len = next_number(&state) % (HASH_TAIL_MAX + 1);

			for (size_t k = 0; k < HASH_BLOCK_LEN; k++)
				blocks[i].byte[k] = (unsigned char)next_number(&state);
			hash_block_pad(&blocks[i], NULL, len);
			want[i] = expected_hash(slice_of(blocks[i].byte, len));
		}
		FOR_EACH_ENGINE(e)
		{
			out[count] = UNTOUCHED;
			hash_blocks(e, NULL, blocks, count, out);
			cr_assert_eq(memcmp(out, want, count * sizeof(*out)), 0, "%s: %zu",
				     hash_engine_name(e), count);
			cr_assert_eq(out[count], UNTOUCHED);
		}
		free(memory);
		free(want);
		free(out);
	}
}

Test(hash, blocks_after_a_shared_head)
{
	uint32_t state = 4;

	for (size_t len = 0; len <= 256; len++) {
		unsigned char *bytes = random_bytes(len, &state);
		struct slice name = slice_of(bytes, len);
		struct hash_block block;
		struct hash_prefix prefix;
		uint32_t out;

		FOR_EACH_ENGINE(e)
		{
			size_t done = hash_prefix_init(&prefix, e, name);

			cr_assert_eq(done, len / HASH_BLOCK_LEN * HASH_BLOCK_LEN);
			cr_assert_eq(prefix.len, done);
			if (len - done > HASH_TAIL_MAX)
				continue;
			memcpy(block.byte, name.ptr + done, len - done);
			hash_block_pad(&block, &prefix, len - done);
			hash_blocks(e, &prefix, &block, 1, &out);
			cr_assert_eq(out, expected_hash(name), "%s: %zu bytes", hash_engine_name(e),
				     len);
		}
		free(bytes);
	}
}

Test(hash, letters_change_under_the_padding)
{
	struct hash_block block = { 0 };
	uint32_t out;

	memcpy(block.byte, "a_memories", 10);
	hash_block_pad(&block, NULL, 10);
	FOR_EACH_ENGINE(e)
	{
		for (block.byte[0] = 'a'; block.byte[0] <= 'z'; block.byte[0]++) {
			hash_blocks(e, NULL, &block, 1, &out);
			cr_assert_eq(out, expected_hash(slice_of(block.byte, 10)), "%s",
				     hash_engine_name(e));
		}
	}
}

Test(hash, engines_are_told_apart)
{
	cr_assert(hash_engine_available(HASH_AUTO));
	cr_assert(hash_engine_available(HASH_PORTABLE));
	cr_assert(hash_engine_available(hash_engine_best()));
	cr_assert_neq(hash_engine_best(), HASH_AUTO);
	for (enum hash_engine a = HASH_AUTO; a <= HASH_AVX512; a++) {
		for (enum hash_engine b = HASH_AUTO; b < a; b++)
			cr_assert_str_neq(hash_engine_name(a), hash_engine_name(b));
	}
}
