/* SPDX-License-Identifier: Apache-2.0 */

/*
 * SHA-256 of LANE_COUNT separate messages in step: a vector holds the same word of each message,
 * so that the code is that of one message and no step waits for another lane.
 *
 * This is a template without an include guard. A file that includes it defines before:
 *
 *	LANE_COUNT	how many messages; 1 makes plain scalar code
 *	LANE_FN		the function attributes that let the compiler use the instruction set
 *
 * and may define, where the instruction set has something better than plain operators:
 *
 *	LANE_XOR3, LANE_CHOOSE, LANE_MAJORITY
 *	LANE_REGISTER	the type of a register in intrinsics; then also
 *	LANE_OP(op)	the intrinsic of that width, such as _mm256_##op
 *	LANE_ROW(b, o)	16 bytes at offset o of the blocks b, b + 4, b + 8 and so on, as words
 *
 * Everything is static: each includer gets code of its own, for its instruction set alone.
 */

#if LANE_COUNT == 1
typedef uint32_t lanes;
#else
typedef uint32_t lanes __attribute__((vector_size(4 * LANE_COUNT)));
#endif

#ifndef LANE_XOR3
#define LANE_XOR3(x, y, z) ((x) ^ (y) ^ (z))
#define LANE_CHOOSE(e, f, g) ((((f) ^ (g)) & (e)) ^ (g))
/* In this shape a ^ b of one round is b ^ c of the next: the compiler computes it once. */
#define LANE_MAJORITY(a, b, c) ((((a) ^ (b)) & ((b) ^ (c))) ^ (b))
#endif

/* Compilers turn this into a rotate where there is one. */
#define LANE_ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define LANE_ROUND(a, b, c, d, e, f, g, h, i)                                                      \
	do {                                                                                       \
		h += w[i] + k[i] + LANE_CHOOSE(e, f, g) +                                          \
		     LANE_XOR3(LANE_ROTATE(e, 6), LANE_ROTATE(e, 11), LANE_ROTATE(e, 25));         \
		d += h;                                                                            \
		h += LANE_MAJORITY(a, b, c) +                                                      \
		     LANE_XOR3(LANE_ROTATE(a, 2), LANE_ROTATE(a, 13), LANE_ROTATE(a, 22));         \
	} while (0)

/* After eight rounds every variable is back in its role. */
#define LANE_ROUNDS_8(i)                                                                           \
	do {                                                                                       \
		LANE_ROUND(a, b, c, d, e, f, g, h, (i) + 0);                                       \
		LANE_ROUND(h, a, b, c, d, e, f, g, (i) + 1);                                       \
		LANE_ROUND(g, h, a, b, c, d, e, f, (i) + 2);                                       \
		LANE_ROUND(f, g, h, a, b, c, d, e, (i) + 3);                                       \
		LANE_ROUND(e, f, g, h, a, b, c, d, (i) + 4);                                       \
		LANE_ROUND(d, e, f, g, h, a, b, c, (i) + 5);                                       \
		LANE_ROUND(c, d, e, f, g, h, a, b, (i) + 6);                                       \
		LANE_ROUND(b, c, d, e, f, g, h, a, (i) + 7);                                       \
	} while (0)

/* Replace word i of the schedule by word i + 16. */
#define LANE_EXTEND(i)                                                                             \
	w[i] += w[((i) + 9) & 15] +                                                                \
		LANE_XOR3(LANE_ROTATE(w[((i) + 1) & 15], 7), LANE_ROTATE(w[((i) + 1) & 15], 18),   \
			  w[((i) + 1) & 15] >> 3) +                                                \
		LANE_XOR3(LANE_ROTATE(w[((i) + 14) & 15], 17),                                     \
			  LANE_ROTATE(w[((i) + 14) & 15], 19), w[((i) + 14) & 15] >> 10)

#define LANE_EXTEND_8(i)                                                                           \
	do {                                                                                       \
		LANE_EXTEND((i) + 0);                                                              \
		LANE_EXTEND((i) + 1);                                                              \
		LANE_EXTEND((i) + 2);                                                              \
		LANE_EXTEND((i) + 3);                                                              \
		LANE_EXTEND((i) + 4);                                                              \
		LANE_EXTEND((i) + 5);                                                              \
		LANE_EXTEND((i) + 6);                                                              \
		LANE_EXTEND((i) + 7);                                                              \
	} while (0)

/* Carry the states @s over one block each, whose words are @w; @w is used up. */
LANE_FN static inline void lanes_compress(lanes s[8], lanes w[16])
{
	lanes a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	const uint32_t *k = hash_k;

	for (;;) {
		LANE_ROUNDS_8(0);
		LANE_ROUNDS_8(8);
		k += 16;
		if (k == hash_k + 64)
			break;
		LANE_EXTEND_8(0);
		LANE_EXTEND_8(8);
	}
	s[0] += a;
	s[1] += b;
	s[2] += c;
	s[3] += d;
	s[4] += e;
	s[5] += f;
	s[6] += g;
	s[7] += h;
}

#if LANE_COUNT > 1

/* The words of the next LANE_COUNT messages, each message in its lane. */
LANE_FN static inline void lanes_load(lanes w[16], const struct hash_block *blocks)
{
#ifdef LANE_REGISTER
	/*
	 * Row i of a quarter q holds bytes 16q to 16q + 15 of the blocks i, i + 4, i + 8 and so on,
	 * each in a 128-bit part of its own. Transposing four by four within the parts, the only
	 * way that wide registers do at full speed, then leaves the blocks in order.
	 */
	for (size_t q = 0; q < 4; q++) {
		LANE_REGISTER r0 = LANE_ROW(blocks, 16 * q);
		LANE_REGISTER r1 = LANE_ROW(blocks + 1, 16 * q);
		LANE_REGISTER r2 = LANE_ROW(blocks + 2, 16 * q);
		LANE_REGISTER r3 = LANE_ROW(blocks + 3, 16 * q);
		LANE_REGISTER low01 = LANE_OP(unpacklo_epi32)(r0, r1);
		LANE_REGISTER low23 = LANE_OP(unpacklo_epi32)(r2, r3);
		LANE_REGISTER high01 = LANE_OP(unpackhi_epi32)(r0, r1);
		LANE_REGISTER high23 = LANE_OP(unpackhi_epi32)(r2, r3);

		w[4 * q] = (lanes)LANE_OP(unpacklo_epi64)(low01, low23);
		w[4 * q + 1] = (lanes)LANE_OP(unpackhi_epi64)(low01, low23);
		w[4 * q + 2] = (lanes)LANE_OP(unpacklo_epi64)(high01, high23);
		w[4 * q + 3] = (lanes)LANE_OP(unpackhi_epi64)(high01, high23);
	}
#else
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned lane = 0; lane < LANE_COUNT; lane++)
			w[i][lane] = hash_word(blocks[lane].byte + (size_t)4 * i);
	}
#endif
}

/* What struct hash_kernel calls finish, for exactly LANE_COUNT blocks. */
LANE_FN static void lanes_finish_group(const uint32_t start[8], const struct hash_block *blocks,
				       uint32_t *out)
{
	lanes s[8], w[16];

	for (unsigned i = 0; i < 8; i++)
		s[i] = start[i] - (lanes){ 0 };
	lanes_load(w, blocks);
	lanes_compress(s, w);
	memcpy(out, &s[0], sizeof(s[0]));
}

/* The same for fewer. */
LANE_FN static void lanes_finish_rest(const uint32_t start[8], const struct hash_block *blocks,
				      size_t count, uint32_t *out)
{
	struct hash_block group[LANE_COUNT] = { 0 };
	uint32_t group_out[LANE_COUNT];

	memcpy(group, blocks, count * sizeof(group[0]));
	lanes_finish_group(start, group, group_out);
	memcpy(out, group_out, count * sizeof(group_out[0]));
}

LANE_FN static void lanes_finish(const uint32_t start[8], const struct hash_block *blocks,
				 size_t count, uint32_t *out)
{
	for (; count >= LANE_COUNT; count -= LANE_COUNT) {
		lanes_finish_group(start, blocks, out);
		blocks += LANE_COUNT;
		out += LANE_COUNT;
	}
	if (count > 0)
		lanes_finish_rest(start, blocks, count, out);
}

#endif
