/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Guessing what a file holds from its first bytes. Gob data begin with the definition of a type:
 *
 *	length of the message	-type number	1..7 (kind of type)	...	names of fields
 *
 * and the names of the fields tell what the value is.
 */

#include "chromem/chromem.h"

/* Input that zlib promises not to write to. */
#define ZLIB_CONST
#include <zlib.h>

/* Type numbers of a program's own types. */
#define FIRST_TYPE 64

static bool peek_uint(struct cursor *c, uint64_t *out)
{
	uint8_t byte;

	if (!cursor_u8(c, &byte))
		return false;
	*out = byte;
	if (byte < 128)
		return true;
	*out = 0;
	for (unsigned left = 256u - byte; left > 0; left--) {
		uint8_t digit;

		if (*out > UINT64_MAX >> 8 || !cursor_u8(c, &digit))
			return false;
		*out = *out << 8 | digit;
	}
	return true;
}

static bool holds(struct slice head, const char *word)
{
	return head.len > 0 && memmem(head.ptr, head.len, word, strlen(word)) != NULL;
}

enum chromem_content chromem_peek(struct slice head)
{
	struct cursor c = cursor_of(head);
	uint64_t len, type, kind;

	if (!peek_uint(&c, &len) || len < 4 || !peek_uint(&c, &type) || !peek_uint(&c, &kind))
		return CHROMEM_CONTENT_OTHER;
	/* A signed integer has its sign in the lowest bit; the rest is ~number. */
	if ((type & 1) == 0 || (type >> 1) + 1 < FIRST_TYPE || kind < 1 || kind > 7)
		return CHROMEM_CONTENT_OTHER;
	/* A name stands behind its length. */
	if (holds(head, "\013Collections"))
		return CHROMEM_CONTENT_EXPORT;
	if (holds(head, "\011Embedding") || holds(head, "\007Content"))
		return CHROMEM_CONTENT_DOCUMENT;
	if (holds(head, "\004Name") && holds(head, "\010Metadata"))
		return CHROMEM_CONTENT_METADATA;
	return CHROMEM_CONTENT_GOB;
}

size_t chromem_unpack_head(struct slice head, unsigned char *out, size_t cap)
{
	z_stream z = { 0 };
	size_t len = 0;

	if (head.len < 2 || head.ptr[0] != 0x1f || head.ptr[1] != 0x8b)
		return 0;
	/* 16: a gzip header, not that of zlib. */
	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK)
		return 0;
	z.next_in = head.ptr;
	z.avail_in = (uInt)VS_MIN(head.len, (size_t)UINT_MAX);
	z.next_out = out;
	z.avail_out = (uInt)VS_MIN(cap, (size_t)UINT_MAX);
	if (inflate(&z, Z_SYNC_FLUSH) >= Z_OK || z.avail_out < cap)
		len = cap - z.avail_out;
	inflateEnd(&z);
	return len;
}
