/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sixteen messages in step, for processors with AVX-512. All that differs from hash-avx2.c is the
 * width, and that a choice, a majority or a sum of three is a single instruction here, given by
 * its truth table.
 */

#include "lookup/hash-kernel.h"

#if HASH_HAS_X86

#include <immintrin.h>

#define LANE_COUNT 16
#define LANE_FN __attribute__((target("avx512f,avx512bw")))
#define LANE_REGISTER __m512i
#define LANE_OP(op) _mm512_##op
#define LANE_ROW(blocks, offset) row(blocks, offset)

/* Bit 4x + 2y + z of the table is the result for the bits x, y and z. */
#define LANE_TERNARY(x, y, z, table)                                                               \
	((lanes)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), table))
#define LANE_XOR3(x, y, z) LANE_TERNARY(x, y, z, 0x96)
#define LANE_CHOOSE(e, f, g) LANE_TERNARY(e, f, g, 0xca)
#define LANE_MAJORITY(a, b, c) LANE_TERNARY(a, b, c, 0xe8)

LANE_FN static inline __m128i quarter(const struct hash_block *block, size_t offset)
{
	return _mm_loadu_si128((const __m128i *)(block->byte + offset));
}

/* 16 bytes at @offset of the first block and of every fourth after it, as words. */
LANE_FN static inline __m512i row(const struct hash_block *blocks, size_t offset)
{
	const __m512i swap = _mm512_broadcast_i32x4(_mm_setr_epi8(HASH_SWAP_BYTES));
	__m512i r = _mm512_castsi128_si512(quarter(blocks, offset));

	r = _mm512_inserti32x4(r, quarter(blocks + 4, offset), 1);
	r = _mm512_inserti32x4(r, quarter(blocks + 8, offset), 2);
	r = _mm512_inserti32x4(r, quarter(blocks + 12, offset), 3);
	return _mm512_shuffle_epi8(r, swap);
}

#include "lookup/hash-lanes.h"

static bool is_available(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

const struct hash_kernel hash_kernel_avx512 = {
	.name = "avx512",
	.is_available = is_available,
	.finish = lanes_finish,
	.absorb = hash_absorb_scalar,
};

#endif
