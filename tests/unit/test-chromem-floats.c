/* SPDX-License-Identifier: Apache-2.0 */

/* Vector elements: every form, and the fast way beside the slow one. */

#include "chromem/floats.h"
#include "gob/gob.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#define COUNT 3000

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* In front of what is decoded there are bytes that may be looked at. */
static struct buf start(void)
{
	struct buf out = { 0 };

	buf_append(&out, "before..", FLOATS_BEFORE);
	return out;
}

typedef const unsigned char *decode_fn(const unsigned char *p, const unsigned char *end, float *out,
				       size_t count);

/* Decode from a copy that ends where @bytes end; returns how many bytes were used, or -1. */
static ptrdiff_t decode_copy(decode_fn *decode, const struct buf *bytes, float *out, size_t count)
{
	unsigned char *copy = vs_alloc(bytes->len);
	const unsigned char *end;
	ptrdiff_t used;

	memcpy(copy, bytes->ptr, bytes->len);
	end = decode(copy + FLOATS_BEFORE, copy + bytes->len, out, count);
	used = end ? end - copy - FLOATS_BEFORE : -1;
	free(copy);
	return used;
}

/* The slow way, and the fast one where there is one, must give what @want says. */
static void expect(const struct buf *bytes, const float *want, size_t count)
{
	static decode_fn *const ways[] = {
		floats_decode_portable,
		floats_decode,
#if FLOATS_HAS_X86
		floats_decode_avx2,
#endif
	};
	float *out = vs_alloc_array(count, sizeof(*out));

	for (size_t i = 0; i < VS_COUNT(ways); i++) {
#if FLOATS_HAS_X86
		if (ways[i] == floats_decode_avx2 && !floats_has_avx2())
			continue;
#endif
		memset(out, 0xee, count * sizeof(*out));
		cr_assert_eq(decode_copy(ways[i], bytes, out, count),
			     want ? (ptrdiff_t)(bytes->len - FLOATS_BEFORE) : -1, "way %zu", i);
		if (want)
			cr_assert_arr_eq(out, want, count * sizeof(*out), "way %zu", i);
	}
	free(out);
}

static void expect_values(const float *values, size_t count, const char *behind)
{
	cleanup_(buf_fini) struct buf bytes = start();
	float *out;
	size_t len;

	for (size_t i = 0; i < count; i++)
		gob_put_float(&bytes, (double)values[i]);
	expect(&bytes, values, count);

	if (behind[0] == '\0')
		return;

	/* The same with something behind it, which must not be touched. */
	len = bytes.len;
	buf_append_str(&bytes, behind);
	out = vs_alloc_array(count, sizeof(*out));
	cr_assert_eq(decode_copy(floats_decode, &bytes, out, count),
		     (ptrdiff_t)(len - FLOATS_BEFORE));
	cr_assert_arr_eq(out, values, count * sizeof(*out));
	free(out);
}

/* Of all sizes that a float32 can have. */
static float any_float(uint64_t *seed)
{
	uint32_t bits = (uint32_t)next_random(seed);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return isfinite(f) ? f : 1.0F;
}

/* As in an embedding: below one, with a sign. */
static float ordinary_float(uint64_t *seed)
{
	return (float)((double)(next_random(seed) >> 11) / (double)(UINT64_C(1) << 53) - 0.5);
}

/* With trailing zeros in the mantissa, so that shorter forms are frequent. */
static float short_float(uint64_t *seed)
{
	float f = ordinary_float(seed);
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	bits &= UINT32_MAX << (next_random(seed) % 24);
	memcpy(&f, &bits, sizeof(f));
	return f;
}

Test(chromem_floats, all_sizes_and_forms)
{
	static const char behind[] = "\x01\xfb\x3f\xfb more, as long as what is loaded at once, "
				     "so that the fast way goes on to the last element";
	float values[COUNT];
	uint64_t seed = 7;

	for (int round = 0; round < 60; round++) {
		size_t count = next_random(&seed) % COUNT;

		for (size_t i = 0; i < count; i++) {
			uint64_t kind = next_random(&seed) % 64;

			if (round % 3 == 0 || (round % 3 == 1 && kind == 0))
				values[i] = any_float(&seed);
			else if (kind < 8)
				values[i] = short_float(&seed);
			else
				values[i] = ordinary_float(&seed);
		}
		expect_values(values, count, behind);
	}
}

Test(chromem_floats, every_number_of_elements)
{
	float values[200];
	uint64_t seed = 3;

	for (size_t i = 0; i < VS_COUNT(values); i++)
		values[i] = ordinary_float(&seed);
	for (size_t count = 0; count <= VS_COUNT(values); count++)
		expect_values(values, count, "\x01");
}

Test(chromem_floats, special_values)
{
	static const float values[] = { 0.0F,     -0.0F,   1.0F,      -1.0F,      2.0F, FLT_MAX,
					-FLT_MAX, FLT_MIN, 0x1p-149F, -0x1p-149F, 0.6F, -0.8F };

	expect_values(values, VS_COUNT(values), "");
}

/* An element at every place among ordinary ones, where it must be found out. */
static void refuse(const char *hex)
{
	unsigned char odd[16];
	size_t len = strlen(hex) / 2;
	uint64_t seed = 5;

	cr_assert(hex_parse(slice_str(hex), odd, len));
	for (size_t at = 0; at < 100; at++) {
		cleanup_(buf_fini) struct buf bytes = start();

		for (size_t i = 0; i < 100; i++) {
			if (i == at)
				buf_append(&bytes, odd, len);
			else
				gob_put_float(&bytes, (double)ordinary_float(&seed));
		}
		expect(&bytes, NULL, 100);
	}
}

Test(chromem_floats, others_are_left_to_the_general_way)
{
	refuse("fb413333e33f");         /* not a float32 by its lowest bit */
	refuse("fa01403333e33f");       /* nor by one further down */
	refuse("fb003333e33f");         /* 5 bytes where 4 are enough */
	refuse("fc0033e33f");           /* 4 where 3 are */
	refuse("ff40");                 /* 1 where it is its own length */
	refuse("fef07f");               /* infinity */
	refuse("fbe0ffffff7f");         /* NaN */
	refuse("fb000000f047");         /* beyond the largest float32 */
	refuse("fb2000008036");         /* too small for all of its bits */
	refuse("f700000000000000003f"); /* a length that does not exist */
}

Test(chromem_floats, every_cut_is_refused)
{
	cleanup_(buf_fini) struct buf bytes = start();
	uint64_t seed = 9;

	for (size_t i = 0; i < 60; i++)
		gob_put_float(&bytes, (double)ordinary_float(&seed));
	for (bytes.len--; bytes.len >= FLOATS_BEFORE; bytes.len--)
		expect(&bytes, NULL, 60);
}

/* Pairs of bytes inside elements that look like the end of one and the beginning of the next. */
Test(chromem_floats, beginnings_that_are_none)
{
	cleanup_(buf_fini) struct buf bytes = start();
	float values[512];

	for (size_t i = 0; i < VS_COUNT(values); i++) {
		/* Bytes 3f fb or bf fc where mantissas have theirs, at changing places. */
		static const unsigned char patterns[][6] = {
			{ 0xfb, 0x40, 0x3f, 0xfb, 0xe3, 0x3f },
			{ 0xfb, 0x20, 0xbf, 0xfc, 0xe1, 0xbf },
			{ 0xfc, 0x3f, 0xfb, 0xe2, 0x3f, 0 },
			{ 0xfb, 0xe0, 0x11, 0x3f, 0xfb, 0x3f },
			{ 0xfb, 0x60, 0xfb, 0x3f, 0xe7, 0xbf },
			{ 0xfb, 0x80, 0xfc, 0xbf, 0xfc, 0x3f },
		};
		const unsigned char *p = patterns[i * i % VS_COUNT(patterns)];
		size_t len = 257u - p[0];
		uint64_t bits = 0;
		double d;

		buf_append(&bytes, p, len);
		for (size_t k = 1; k < len; k++)
			bits |= (uint64_t)p[k] << (8 * (8 - len + k));
		memcpy(&d, &bits, sizeof(d));
		values[i] = (float)d;
	}
	expect(&bytes, values, VS_COUNT(values));
}
