/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vector elements as gob writes them: a length byte, then the last bytes of the double as it lies
 *in memory, without the zero bytes it begins with.
 *
 *	fb xx xx xx xx 3f	most float32: 5 bytes
 *	fc xx xx xx 3f		one in 8
 */

#include "chromem/read.h"

#include <float.h>

/* One element, in whatever form; NULL when it is not the shortest, or not exactly a float32. */
static const unsigned char *decode_one(const unsigned char *p, const unsigned char *end, float *out)
{
	uint64_t bits = 0;
	unsigned len;
	double d;

	if (p == end)
		return NULL;
	if (*p <= 0x7f) {
		len = 1;
		bits = (uint64_t)*p << 56;
	} else {
		len = 256u - *p++;
		if (len > 5 || (size_t)(end - p) < len || p[0] == 0 || (len == 1 && p[0] <= 0x7f))
			return NULL;
		for (unsigned i = 0; i < len; i++)
			bits |= (uint64_t)p[i] << (8 * (8 - len + i));
	}
	memcpy(&d, &bits, sizeof(d));
	/* NaN and infinity are left to others, as is what is out of range. */
	if (!(d >= -(double)FLT_MAX && d <= (double)FLT_MAX))
		return NULL;
	*out = (float)d;
	return (double)*out == d ? p + len : NULL;
}

const unsigned char *floats_decode(const unsigned char *p, const unsigned char *end, float *out,
				   size_t count)
{
	for (size_t i = 0; p && i < count; i++)
		p = decode_one(p, end, &out[i]);
	return p;
}
