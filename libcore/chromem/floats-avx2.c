/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vector elements, four at a step, for processors with AVX2 and BMI2.
 *
 * Where an element begins depends on the lengths of all before it, and going from one to the next
 * takes longer than decoding it. So the beginnings are found together, 64 bytes at a time. In a
 * vector of ordinary size an element ends in the byte 3f or bf (it lies between 2^-15 and 2), and
 * the next begins with fb or fc, a pair of bytes that seldom occurs elsewhere. All such places are
 * taken for beginnings, and then checked: moved on by the lengths that stand there, they have to
 * give each other. Up to the first place where they do not, and but for the last element, whose end
 * is not known, the elements are what they seem. Where there are too few of them, some are decoded
 * the slow way.
 *
 * Then only the lengths are needed, a bit for each element, four of which choose how the bytes of
 * four elements are put in place.
 */

#include "chromem/floats.h"

#if FLOATS_HAS_X86

#include <immintrin.h>

#define FLOATS_FN __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define WORD 64 /* bytes that are looked through at once */
#define WORDS_MAX 64
#define STEP ((size_t)4)
#define SLOW_STEP ((size_t)8)
#define REACH 32 /* bytes from the beginning of a step that may be loaded */

bool floats_has_avx2(void)
{
	/* pext takes a cycle, or a hundred on AMD's older processors. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
	       !__builtin_cpu_is("znver1") && !__builtin_cpu_is("znver2") &&
	       !__builtin_cpu_is("amdfam15h");
}

/* Beginnings among 64 bytes: a bit for each, and which of them are of elements of 5 bytes. */
struct places {
	uint64_t begins;
	uint64_t fives;
};

FLOATS_FN static inline struct places find_in_half(const unsigned char *p)
{
	const __m256i zero = _mm256_setzero_si256();
	const __m256i mantissa_end = _mm256_set1_epi8(0x1f);
	__m256i here = _mm256_loadu_si256((const __m256i_u *)p);
	__m256i before = _mm256_loadu_si256((const __m256i_u *)(p - 1));
	__m256i behind = _mm256_loadu_si256((const __m256i_u *)(p + 1));
	__m256i is_five = _mm256_cmpeq_epi8(here, _mm256_set1_epi8((char)0xfb));
	__m256i is_four = _mm256_cmpeq_epi8(here, _mm256_set1_epi8((char)0xfc));
	__m256i exact = _mm256_cmpeq_epi8(_mm256_and_si256(behind, mantissa_end), zero);
	__m256i ends = _mm256_cmpeq_epi8(_mm256_and_si256(before, _mm256_set1_epi8(0x7f)),
					 _mm256_set1_epi8(0x3f));
	__m256i begins;

	/* Of 5 bytes a float32 leaves the lowest bits unused; a zero byte would not be written. */
	begins = _mm256_or_si256(_mm256_and_si256(is_five, exact), is_four);
	begins = _mm256_andnot_si256(_mm256_cmpeq_epi8(behind, zero),
				     _mm256_and_si256(begins, ends));
	return (struct places){
		.begins = (uint32_t)_mm256_movemask_epi8(begins),
		.fives = (uint32_t)_mm256_movemask_epi8(is_five),
	};
}

/*
 * Find the elements from @p on, in whole words of the @len bytes there. Sets a bit in @kinds for
 * each that has 5 bytes. Returns how many there are with both ends known.
 */
FLOATS_FN static inline size_t find_elements(const unsigned char *p, size_t len,
					     unsigned char *kinds)
{
	uint64_t carry = 1, bits = 0, expected, found, fives, fours, wrong;
	struct places low, high;
	size_t count = 0, words = VS_MIN(len / WORD, (size_t)WORDS_MAX);
	unsigned fill, more;

	for (size_t i = 0; i < words; i++, p += WORD) {
		low = find_in_half(p);
		high = find_in_half(p + WORD / 2);
		found = low.begins | high.begins << 32;
		fives = found & (low.fives | high.fives << 32);
		fours = found ^ fives;
		expected = fives << 6 | fours << 5 | carry;
		carry = fives >> (WORD - 6) | fours >> (WORD - 5);
		wrong = expected ^ found;
		if (wrong != 0)
			found &= (wrong & -wrong) - 1;
		/* Add a bit for each to what is not yet a whole byte. */
		fill = (unsigned)count % 8;
		more = (unsigned)_mm_popcnt_u64(found);
		bits |= _pext_u64(fives, found) << fill;
		memcpy(kinds + count / 8, &bits, sizeof(bits));
		bits >>= (fill + more) & ~7u;
		count += more;
		if (wrong != 0)
			break;
	}
	return count > 0 ? count - 1 : 0;
}

/* Bytes of a double, of which there are 5 or 4 at @at; what is not there is zero. */
#define NONE (-128)
#define FIVE(at) NONE, NONE, NONE, (at), (at) + 1, (at) + 2, (at) + 3, (at) + 4
#define FOUR(at) NONE, NONE, NONE, NONE, (at), (at) + 1, (at) + 2, (at) + 3

/* Where the bytes of two elements are, by their kinds, and how many both take. */
#define PAIR_0 FOUR(1), FOUR(6)
#define PAIR_1 FIVE(1), FOUR(7)
#define PAIR_2 FOUR(1), FIVE(6)
#define PAIR_3 FIVE(1), FIVE(7)
#define LEN_0 10
#define LEN_1 11
#define LEN_2 11
#define LEN_3 12

/* Of a step: two elements, and two more that begin behind them. */
struct step {
	signed char order[32];
};
#define STEP_OF(first, second)                                                                     \
	{                                                                                          \
		{                                                                                  \
			PAIR_##first, PAIR_##second                                                \
		}                                                                                  \
	}
static const struct step steps[16] __attribute__((aligned(32))) = {
	STEP_OF(0, 0), STEP_OF(1, 0), STEP_OF(2, 0), STEP_OF(3, 0), STEP_OF(0, 1), STEP_OF(1, 1),
	STEP_OF(2, 1), STEP_OF(3, 1), STEP_OF(0, 2), STEP_OF(1, 2), STEP_OF(2, 2), STEP_OF(3, 2),
	STEP_OF(0, 3), STEP_OF(1, 3), STEP_OF(2, 3), STEP_OF(3, 3),
};
static const unsigned char pair_len[4] = { LEN_0, LEN_1, LEN_2, LEN_3 };
static const unsigned char step_len[16] = {
#define LENS_OF(second) LEN_0 + (second), LEN_1 + (second), LEN_2 + (second), LEN_3 + (second)
	LENS_OF(LEN_0),
	LENS_OF(LEN_1),
	LENS_OF(LEN_2),
	LENS_OF(LEN_3),
};

FLOATS_FN static inline const unsigned char *decode_step(const unsigned char *p, unsigned kinds,
							 float *out)
{
	const unsigned char *next = p + pair_len[kinds & 3];
	__m256i bytes, order;

	order = _mm256_load_si256((const __m256i *)&steps[kinds]);
	bytes = _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)p)),
		_mm_loadu_si128((const __m128i_u *)next), 1);
	_mm_storeu_ps(out, _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_shuffle_epi8(bytes, order))));
	return p + step_len[kinds];
}

FLOATS_FN const unsigned char *floats_decode_avx2(const unsigned char *p, const unsigned char *end,
						  float *out, size_t count)
{
	unsigned char kinds[WORDS_MAX * WORD / 5 / 8 + 16];
	size_t found, slow;

	while (p && count >= SLOW_STEP && end - p > WORD + REACH) {
		found = find_elements(p, (size_t)(end - p) - REACH, kinds);
		found = VS_MIN(found, count);
		for (size_t i = 0; i + 2 * STEP <= found; i += 2 * STEP) {
			p = decode_step(p, kinds[i / 8] & 15u, out);
			p = decode_step(p, kinds[i / 8] >> STEP, out + STEP);
			out += 2 * STEP;
			count -= 2 * STEP;
		}
		if (found >= 2 * STEP)
			continue;
		slow = VS_MIN(count, (size_t)SLOW_STEP);
		p = floats_decode_portable(p, end, out, slow);
		out += slow;
		count -= slow;
	}
	return p ? floats_decode_portable(p, end, out, count) : NULL;
}

#endif
