/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Vector elements as the library writes them, decoded fast (floats.c, floats-avx2.c)
 *
 *	element = 00 | 01..7f | (100 - n) byte{n}	n = 1..5 for what is exactly a float32
 *
 * The bytes are the last of the double as it lies in memory; zero bytes at its beginning are left
 * off. Of ordinary vectors seven elements in eight are fb and 5 bytes, nearly all others fc and 4.
 */

#include "util/util.h"

/*
 * Decode @count elements. Returns the byte behind them, or NULL when one of them is not finite, not
 * exactly a float32, or not in its shortest form; then @out is not worth anything. There are at
 * least FLOATS_BEFORE bytes before @p that may be read.
 */
#define FLOATS_BEFORE 8

const unsigned char *floats_decode(const unsigned char *p, const unsigned char *end, float *out,
				   size_t count);

/* The ways to do it, for floats.c and its tests. */
const unsigned char *floats_decode_portable(const unsigned char *p, const unsigned char *end,
					    float *out, size_t count);

/* One element; NULL as above. */
const unsigned char *floats_decode_one(const unsigned char *p, const unsigned char *end,
				       float *out);

#if defined(__x86_64__)
#define FLOATS_HAS_X86 1
/* Is it there, and worth it? */
bool floats_has_avx2(void);
const unsigned char *floats_decode_avx2(const unsigned char *p, const unsigned char *end,
					float *out, size_t count);
#else
#define FLOATS_HAS_X86 0
#endif
