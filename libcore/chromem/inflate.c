/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Damaged deflate data, unpacked as far as Go's compress/flate would.
 *
 * A fast decompressor says of damaged data only that they are. But a value that is complete before
 * the damage loads, so what matters is how far the library gets and what it says then; and it takes
 * its bytes one at a time, always enough for the end-of-block code before it looks for any symbol,
 * so that it stops earlier at a cut than others do. This is the same procedure, a bit at a time: it
 * only ever sees files that the fast way has refused.
 *
 *	deflate  = block* last-block			RFC 1951
 *	block    = final:1 type:2 (stored | codes symbols)
 *	stored   = pad length:16 ~length:16 bytes
 *	codes    = lit:5 dist:5 meta:4 3{meta + 4} lengths	for type 2; type 1 has fixed codes
 */

#include "chromem/read.h"

#define CODE_MAX 15 /* bits */
#define LITERALS_MAX 286
#define DISTANCES_MAX 30
#define SYMBOLS_MAX 288
#define END_OF_BLOCK 256
#define WINDOW 32768

/* A canonical Huffman code. */
struct code {
	unsigned min; /* bits that are read before a symbol is looked for; 0: no symbols */
	bool is_single;
	uint16_t count[CODE_MAX + 1]; /* symbols by length */
	uint16_t symbol[SYMBOLS_MAX]; /* by code */
};

struct inflate {
	const unsigned char *pos, *end;
	uint32_t bits;
	unsigned bit_count;
	struct buf *out;
	size_t start; /* of this member in @out */
	size_t limit;
	struct code literals, distances;
	struct vs_err *err;
};

/* Functions return one of these where they do not return 0; negative is a status. */
enum {
	STOP_TRUNCATED = 1,
	STOP_CORRUPT,
	STOP_FULL,
};

/* Have at least @count bits at hand. */
static int need_bits(struct inflate *z, unsigned count)
{
	while (z->bit_count < count) {
		if (z->pos == z->end)
			return STOP_TRUNCATED;
		z->bits |= (uint32_t)*z->pos++ << z->bit_count;
		z->bit_count += 8;
	}
	return 0;
}

static unsigned take_bits(struct inflate *z, unsigned count)
{
	unsigned value = z->bits & ((1u << count) - 1);

	z->bits >>= count;
	z->bit_count -= count;
	return value;
}

static int read_bits(struct inflate *z, unsigned count, unsigned *out)
{
	int ret = need_bits(z, count);

	if (ret == 0)
		*out = take_bits(z, count);
	return ret;
}

/* Build the code whose symbols have these lengths; false when there is none. */
static bool code_init(struct code *code, const uint8_t *lengths, unsigned count)
{
	uint16_t next[CODE_MAX + 2] = { 0 };
	unsigned max = 0;
	uint32_t sum = 0;

	*code = (struct code){ 0 };
	for (unsigned i = 0; i < count; i++)
		code->count[lengths[i]]++;
	code->count[0] = 0;
	for (unsigned len = 1; len <= CODE_MAX; len++) {
		next[len + 1] = (uint16_t)(next[len] + code->count[len]);
		if (code->count[len] == 0)
			continue;
		code->min = code->min > 0 ? code->min : len;
		max = len;
		sum += (uint32_t)code->count[len] << (CODE_MAX - len);
	}
	if (max == 0)
		return true;
	/* Codes must be complete, except for a single symbol of one bit. */
	code->is_single = max == 1 && code->count[1] == 1;
	if (sum != 1u << CODE_MAX && !code->is_single)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (lengths[i] > 0)
			code->symbol[next[lengths[i]]++] = (uint16_t)i;
	}
	return true;
}

static int read_symbol(struct inflate *z, const struct code *code, unsigned *out)
{
	uint32_t value = 0, first = 0, index = 0;
	int ret = need_bits(z, code->min);

	if (ret != 0)
		return ret;
	if (code->min == 0 || (code->is_single && (z->bits & 1) != 0))
		return STOP_CORRUPT;
	for (unsigned len = 1; len <= CODE_MAX; len++) {
		ret = need_bits(z, len);
		if (ret != 0)
			return ret;
		value = value << 1 | (z->bits >> (len - 1) & 1);
		if (value - first < code->count[len]) {
			*out = code->symbol[index + value - first];
			take_bits(z, len);
			return 0;
		}
		index += code->count[len];
		first = (first + code->count[len]) << 1;
	}
	return STOP_CORRUPT;
}

/* ---- codes ---- */

/* The lengths of @count symbols, themselves coded by @meta. */
static int read_lengths(struct inflate *z, const struct code *meta, uint8_t *lengths,
			unsigned count)
{
	static const uint8_t extra[] = { 2, 3, 7 };
	unsigned symbol, repeat, i = 0;
	uint8_t len;
	int ret;

	while (i < count) {
		ret = read_symbol(z, meta, &symbol);
		if (ret != 0)
			return ret;
		if (symbol < 16) {
			lengths[i++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == 16 && i == 0)
			return STOP_CORRUPT;
		len = symbol == 16 ? lengths[i - 1] : 0;
		ret = read_bits(z, extra[symbol - 16], &repeat);
		if (ret != 0)
			return ret;
		repeat += symbol == 18 ? 11 : 3;
		if (i + repeat > count)
			return STOP_CORRUPT;
		memset(lengths + i, len, repeat);
		i += repeat;
	}
	return 0;
}

static int read_codes(struct inflate *z)
{
	static const uint8_t order[] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					 11, 4,  12, 3, 13, 2, 14, 1, 15 };
	uint8_t lengths[LITERALS_MAX + DISTANCES_MAX] = { 0 };
	uint8_t meta_lengths[VS_COUNT(order)] = { 0 };
	unsigned literals, distances, metas, len;
	struct code meta;
	int ret = need_bits(z, 14);

	if (ret != 0)
		return ret;
	literals = take_bits(z, 5) + 257;
	distances = take_bits(z, 5) + 1;
	metas = take_bits(z, 4) + 4;
	if (literals > LITERALS_MAX || distances > DISTANCES_MAX)
		return STOP_CORRUPT;
	for (unsigned i = 0; i < metas; i++) {
		ret = read_bits(z, 3, &len);
		if (ret != 0)
			return ret;
		meta_lengths[order[i]] = (uint8_t)len;
	}
	if (!code_init(&meta, meta_lengths, VS_COUNT(meta_lengths)))
		return STOP_CORRUPT;
	ret = read_lengths(z, &meta, lengths, literals + distances);
	if (ret != 0)
		return ret;
	if (!code_init(&z->literals, lengths, literals) ||
	    !code_init(&z->distances, lengths + literals, distances))
		return STOP_CORRUPT;
	z->literals.min = VS_MAX(z->literals.min, (unsigned)lengths[END_OF_BLOCK]);
	return 0;
}

static void fixed_codes(struct inflate *z)
{
	uint8_t lengths[SYMBOLS_MAX];

	memset(lengths, 8, 144);
	memset(lengths + 144, 9, 112);
	memset(lengths + 256, 7, 24);
	memset(lengths + 280, 8, 8);
	code_init(&z->literals, lengths, SYMBOLS_MAX);
	memset(lengths, 5, 32);
	code_init(&z->distances, lengths, 32);
}

/* ---- output ---- */

/* Room for @len bytes more; STOP_FULL beyond the limit. */
static int reserve(struct inflate *z, size_t len)
{
	int ret;

	if (len > z->limit - z->out->len)
		return STOP_FULL;
	ret = buf_try_reserve(z->out, len, z->err);
	return ret < 0 ? ret : 0;
}

static int copy_match(struct inflate *z, size_t len, size_t distance)
{
	size_t room = z->limit - z->out->len;
	size_t fits = VS_MIN(len, room);
	unsigned char *to;
	int ret;

	if (distance > VS_MIN(z->out->len - z->start, (size_t)WINDOW))
		return STOP_CORRUPT;
	ret = reserve(z, fits);
	if (ret != 0)
		return ret;
	to = z->out->ptr + z->out->len;
	/* Byte by byte, as a match may reach into what it makes. */
	for (size_t i = 0; i < fits; i++)
		to[i] = (to - distance)[i];
	z->out->len += fits;
	return fits < len ? STOP_FULL : 0;
}

/* ---- blocks ---- */

static int read_match(struct inflate *z, unsigned symbol)
{
	unsigned len, distance, high, extra = 0;
	int ret;

	if (symbol >= LITERALS_MAX)
		return STOP_CORRUPT;
	len = symbol - 254;
	if (symbol == 285) {
		len = 258;
	} else if (symbol >= 265) {
		extra = (symbol - 261) / 4;
		len = (((symbol - 261) % 4 + 4) << extra) + 3;
	}
	ret = read_bits(z, extra, &high);
	if (ret != 0)
		return ret;
	len += high;
	ret = read_symbol(z, &z->distances, &symbol);
	if (ret != 0)
		return ret;
	if (symbol >= DISTANCES_MAX)
		return STOP_CORRUPT;
	extra = symbol < 4 ? 0 : symbol / 2 - 1;
	ret = read_bits(z, extra, &high);
	if (ret != 0)
		return ret;
	distance = symbol < 4 ? symbol + 1 : ((symbol % 2 + 2) << extra) + high + 1;
	return copy_match(z, len, distance);
}

static int read_symbols(struct inflate *z)
{
	unsigned symbol;
	int ret;

	for (;;) {
		ret = read_symbol(z, &z->literals, &symbol);
		if (ret != 0 || symbol == END_OF_BLOCK)
			return ret;
		if (symbol > END_OF_BLOCK) {
			ret = read_match(z, symbol);
		} else {
			ret = reserve(z, 1);
			if (ret == 0)
				z->out->ptr[z->out->len++] = (unsigned char)symbol;
		}
		if (ret != 0)
			return ret;
	}
}

static int read_stored(struct inflate *z)
{
	size_t len, have;
	int ret;

	z->bits = 0;
	z->bit_count = 0;
	if (z->end - z->pos < 4) {
		z->pos = z->end;
		return STOP_TRUNCATED;
	}
	len = load_le32(z->pos) & 0xffff;
	z->pos += 4;
	if (len != (uint16_t) ~(load_le32(z->pos - 4) >> 16))
		return STOP_CORRUPT;
	have = VS_MIN(len, (size_t)(z->end - z->pos));
	have = VS_MIN(have, z->limit - z->out->len);
	ret = reserve(z, have);
	if (ret != 0)
		return ret;
	if (have > 0)
		memcpy(z->out->ptr + z->out->len, z->pos, have);
	z->out->len += have;
	z->pos += have;
	if (have == len)
		return 0;
	return z->pos == z->end ? STOP_TRUNCATED : STOP_FULL;
}

static int read_block(struct inflate *z, bool *is_last)
{
	int ret = need_bits(z, 3);

	if (ret != 0)
		return ret;
	*is_last = take_bits(z, 1) != 0;
	switch (take_bits(z, 2)) {
	case 0:
		return read_stored(z);
	case 1:
		fixed_codes(z);
		return read_symbols(z);
	case 2:
		ret = read_codes(z);
		return ret != 0 ? ret : read_symbols(z);
	default:
		return STOP_CORRUPT;
	}
}

int inflate_append(struct slice in, size_t limit, struct buf *out, struct inflate_result *result,
		   struct vs_err *err)
{
	static const enum inflate_end ends[] = {
		INFLATE_DONE,
		INFLATE_TRUNCATED,
		INFLATE_CORRUPT,
		INFLATE_FULL,
	};
	struct inflate z = {
		.pos = in.ptr,
		.end = in.ptr + in.len,
		.out = out,
		.start = out->len,
		.limit = limit,
		.err = err,
	};
	bool is_last = false;
	int ret = 0;

	while (ret == 0 && !is_last)
		ret = read_block(&z, &is_last);
	if (ret < 0)
		return ret;
	result->end = ends[ret];
	result->used = (size_t)(z.pos - in.ptr);
	return 0;
}
