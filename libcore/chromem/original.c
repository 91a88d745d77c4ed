/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Undoing damage to a name by its hash.
 *
 * A directory or file name keeps 32 bits of what the text was. All texts within one bit of the
 * damaged one, then all within one byte, are few enough to hash them all: 288 and 9180 for an id of
 * 36 characters.
 */

#include "chromem/chromem.h"

/* Try every other value of one byte; @bits: only those that differ in one bit. */
static bool try_byte(struct slice text, unsigned char *at, uint32_t hash, bool bits)
{
	unsigned char was = *at;

	for (unsigned change = 1; change < 256; change++) {
		bool one_bit = (change & (change - 1)) == 0;

		if (one_bit != bits)
			continue;
		*at = (unsigned char)(was ^ change);
		if (chromem_hash(text) == hash)
			return true;
	}
	*at = was;
	return false;
}

bool chromem_find_original(struct slice damaged, uint32_t hash, struct buf *out)
{
	unsigned char text[CHROMEM_ORIGINAL_MAX];

	if (damaged.len == 0 || damaged.len > sizeof(text))
		return false;
	memcpy(text, damaged.ptr, damaged.len);
	for (int bits = 1; bits >= 0; bits--) {
		for (size_t i = 0; i < damaged.len; i++) {
			if (!try_byte(slice_of(text, damaged.len), &text[i], hash, bits))
				continue;
			buf_append(out, text, damaged.len);
			return true;
		}
	}
	return false;
}
