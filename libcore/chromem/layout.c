/* SPDX-License-Identifier: Apache-2.0 */

/* How names become file names, and what the extensions mean. */

#include "chromem/chromem.h"

uint32_t chromem_hash(struct slice name)
{
	struct digest digest;

	digest_of(name, &digest);
	return load_be32(digest.bytes);
}

void chromem_hash_format(uint32_t hash, char out[CHROMEM_ID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < CHROMEM_ID_LEN; i++)
		out[i] = digits[hash >> (4 * (CHROMEM_ID_LEN - 1 - i)) & 15];
	out[CHROMEM_ID_LEN] = '\0';
}

bool chromem_hash_parse(struct slice text, uint32_t *hash)
{
	uint32_t value = 0;

	if (text.len != CHROMEM_ID_LEN)
		return false;
	for (unsigned i = 0; i < CHROMEM_ID_LEN; i++) {
		unsigned c = text.ptr[i];
		unsigned digit = c - '0';

		if (digit > 9) {
			digit = c - 'a' + 10;
			if (digit < 10 || digit > 15)
				return false;
		}
		value = value << 4 | digit;
	}
	*hash = value;
	return true;
}

const char *chromem_extension(enum chromem_compression c)
{
	return c == CHROMEM_GZIP ? ".gob.gz" : ".gob";
}

const char *chromem_compression_name(enum chromem_compression c)
{
	return c == CHROMEM_GZIP ? "gzip" : "none";
}
