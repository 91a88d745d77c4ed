/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The x86 SHA extensions. One instruction does two rounds, but the next one needs its result; two
 * messages in step fill the waiting time of each other, and a third finds no registers left.
 *
 * The instructions want the eight words of the state as two registers, A B E F and C D G H, the
 * first-named word on top.
 */

#include "lookup/hash-kernel.h"

#if HASH_HAS_X86

#include <cpuid.h>
#include <immintrin.h>

#define SHANI_FN __attribute__((target("sha,sse4.1")))

/* A message under way: its state, and the 16 words of the schedule that are in use. */
struct stream {
	__m128i abef;
	__m128i cdgh;
	__m128i m0;
	__m128i m1;
	__m128i m2;
	__m128i m3;
};

SHANI_FN static inline __m128i load_words(const unsigned char *at)
{
	const __m128i swap = _mm_setr_epi8(HASH_SWAP_BYTES);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)at), swap);
}

SHANI_FN static inline void stream_start(struct stream *s, const uint32_t state[8],
					 const unsigned char *block)
{
	s->abef = _mm_setr_epi32((int)state[5], (int)state[4], (int)state[1], (int)state[0]);
	s->cdgh = _mm_setr_epi32((int)state[7], (int)state[6], (int)state[3], (int)state[2]);
	s->m0 = load_words(block);
	s->m1 = load_words(block + 16);
	s->m2 = load_words(block + 32);
	s->m3 = load_words(block + 48);
}

/* Four rounds with the words @m and the constants at @k. */
SHANI_FN static inline void rounds_4(struct stream *s, __m128i m, const uint32_t *k)
{
	__m128i sum = _mm_add_epi32(m, _mm_loadu_si128((const __m128i *)k));

	s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
	s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

SHANI_FN static inline void rounds_16(struct stream *s, const uint32_t *k)
{
	rounds_4(s, s->m0, k);
	rounds_4(s, s->m1, k + 4);
	rounds_4(s, s->m2, k + 8);
	rounds_4(s, s->m3, k + 12);
}

/* The four words that follow @a, @b, @c and @d in the schedule. */
SHANI_FN static inline __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));

	return _mm_sha256msg2_epu32(sum, d);
}

SHANI_FN static inline void extend_16(struct stream *s)
{
	s->m0 = next_words(s->m0, s->m1, s->m2, s->m3);
	s->m1 = next_words(s->m1, s->m2, s->m3, s->m0);
	s->m2 = next_words(s->m2, s->m3, s->m0, s->m1);
	s->m3 = next_words(s->m3, s->m0, s->m1, s->m2);
}

/* The last blocks of two messages, which may be the same one. */
SHANI_FN static inline void finish_pair(const uint32_t start[8], const struct hash_block *first,
					const struct hash_block *second, uint32_t out[2])
{
	struct stream x, y;

	stream_start(&x, start, first->byte);
	stream_start(&y, start, second->byte);
	for (unsigned i = 0;; i += 16) {
		rounds_16(&x, hash_k + i);
		rounds_16(&y, hash_k + i);
		if (i == 48)
			break;
		extend_16(&x);
		extend_16(&y);
	}
	out[0] = start[0] + (uint32_t)_mm_extract_epi32(x.abef, 3);
	out[1] = start[0] + (uint32_t)_mm_extract_epi32(y.abef, 3);
}

SHANI_FN static void finish(const uint32_t start[8], const struct hash_block *blocks, size_t count,
			    uint32_t *out)
{
	uint32_t last[2];

	for (; count >= 2; count -= 2) {
		finish_pair(start, blocks, blocks + 1, out);
		blocks += 2;
		out += 2;
	}
	if (count == 0)
		return;
	finish_pair(start, blocks, blocks, last);
	*out = last[0];
}

SHANI_FN static void absorb(uint32_t state[8], const unsigned char *bytes, size_t count)
{
	struct stream s;

	for (; count > 0; count--) {
		uint32_t abef[4], cdgh[4];

		stream_start(&s, state, bytes);
		for (unsigned i = 0;; i += 16) {
			rounds_16(&s, hash_k + i);
			if (i == 48)
				break;
			extend_16(&s);
		}
		_mm_storeu_si128((__m128i *)abef, s.abef);
		_mm_storeu_si128((__m128i *)cdgh, s.cdgh);
		state[0] += abef[3];
		state[1] += abef[2];
		state[2] += cdgh[3];
		state[3] += cdgh[2];
		state[4] += abef[1];
		state[5] += abef[0];
		state[6] += cdgh[1];
		state[7] += cdgh[0];
		bytes += HASH_BLOCK_LEN;
	}
}

/* Compilers disagree on a name for this feature, hence the bit: leaf 7, EBX bit 29. */
static bool is_available(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) &&
	       __builtin_cpu_supports("sse4.1");
}

const struct hash_kernel hash_kernel_shani = {
	.name = "sha-ni",
	.is_available = is_available,
	.finish = finish,
	.absorb = absorb,
};

#endif
