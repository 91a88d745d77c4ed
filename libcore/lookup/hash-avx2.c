/* SPDX-License-Identifier: Apache-2.0 */

/* Eight messages in step, for processors with AVX2 and no SHA extensions. */

#include "lookup/hash-kernel.h"

#if HASH_HAS_X86

#include <immintrin.h>

#define LANE_COUNT 8
#define LANE_FN __attribute__((target("avx2")))
#define LANE_REGISTER __m256i
#define LANE_OP(op) _mm256_##op
#define LANE_ROW(blocks, offset) row(blocks, offset)

/* 16 bytes at @offset of the first block and of the fourth after it, as words. */
LANE_FN static inline __m256i row(const struct hash_block *blocks, size_t offset)
{
	const __m256i swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(HASH_SWAP_BYTES));
	const __m128i *low = (const __m128i *)(blocks[0].byte + offset);
	const __m128i *high = (const __m128i *)(blocks[4].byte + offset);

	return _mm256_shuffle_epi8(_mm256_set_m128i(_mm_loadu_si128(high), _mm_loadu_si128(low)),
				   swap);
}

#include "lookup/hash-lanes.h"

static bool is_available(void)
{
	return __builtin_cpu_supports("avx2");
}

const struct hash_kernel hash_kernel_avx2 = {
	.name = "avx2",
	.is_available = is_available,
	.finish = lanes_finish,
	.absorb = hash_absorb_scalar,
};

#endif
