/* SPDX-License-Identifier: Apache-2.0 */

/* Vector elements, one after the other, and the choice of the way. */

#include "chromem/floats.h"

#include <float.h>

/* What is finite and loses nothing as a float32. */
static inline bool take_double(uint64_t bits, float *out)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	if (!(d >= -(double)FLT_MAX && d <= (double)FLT_MAX))
		return false;
	*out = (float)d;
	return (double)*out == d;
}

const unsigned char *floats_decode_one(const unsigned char *p, const unsigned char *end, float *out)
{
	uint64_t bits = 0;
	unsigned len;

	if (p == end)
		return NULL;
	if (*p <= 0x7f)
		return take_double((uint64_t)*p << 56, out) ? p + 1 : NULL;
	len = 256u - *p++;
	if (len > 5 || (size_t)(end - p) < len || p[0] == 0 || (len == 1 && p[0] <= 0x7f))
		return NULL;
	for (unsigned i = 0; i < len; i++)
		bits |= (uint64_t)p[i] << (8 * (8 - len + i));
	return take_double(bits, out) ? p + len : NULL;
}

/* Where there are more than enough bytes, eight are loaded and those behind the element dropped. */
const unsigned char *floats_decode_portable(const unsigned char *p, const unsigned char *end,
					    float *out, size_t count)
{
	unsigned len;

	for (size_t i = 0; p && i < count; i++) {
		if (end - p < 9 || *p < 0xfb) {
			p = floats_decode_one(p, end, &out[i]);
			continue;
		}
		len = 256u - *p;
		if (p[1] == 0 || (len == 1 && p[1] <= 0x7f) ||
		    !take_double(load_le64(p + 1) << (8 * (8 - len)), &out[i]))
			return NULL;
		p += 1 + len;
	}
	return p;
}

const unsigned char *floats_decode(const unsigned char *p, const unsigned char *end, float *out,
				   size_t count)
{
#if FLOATS_HAS_X86
	if (floats_has_avx2())
		return floats_decode_avx2(p, end, out, count);
#endif
	return floats_decode_portable(p, end, out, count);
}
