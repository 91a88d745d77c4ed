/* SPDX-License-Identifier: Apache-2.0 */

/*
 * UTF-8: validation, and text made safe for a terminal.
 *
 * Documents are mostly ASCII, so validation runs over eight bytes at a time while their top bits
 * are clear.
 */

#include "util/util.h"

/* Length of the valid sequence at the start of @p, or 0. */
static size_t sequence_len(const unsigned char *p, size_t left, uint32_t *rune)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char lead = p[0];
	size_t len;
	uint32_t r;

	if (lead < 0x80) {
		*rune = lead;
		return 1;
	}
	if (lead >= 0xc2 && lead <= 0xdf) {
		len = 2;
		r = lead & 0x1f;
	} else if ((lead & 0xf0) == 0xe0) {
		len = 3;
		r = lead & 0x0f;
	} else if (lead >= 0xf0 && lead <= 0xf4) {
		len = 4;
		r = lead & 0x07;
	} else {
		return 0;
	}
	if (left < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		r = r << 6 | (p[i] & 0x3f);
	}
	if (r < least[len] || r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff))
		return 0;
	*rune = r;
	return len;
}

size_t utf8_valid_len(struct slice text)
{
	size_t off = 0;

	while (off < text.len) {
		uint32_t rune;
		size_t len;

		while (text.len - off >= 8 &&
		       (load_le64(text.ptr + off) & UINT64_C(0x8080808080808080)) == 0)
			off += 8;
		if (off == text.len)
			break;
		len = sequence_len(text.ptr + off, text.len - off, &rune);
		if (len == 0)
			return off;
		off += len;
	}
	return off;
}

bool utf8_is_valid(struct slice text)
{
	return utf8_valid_len(text) == text.len;
}

static bool steers_terminal(uint32_t rune)
{
	return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || rune == 0x200e || rune == 0x200f ||
	       (rune >= 0x2028 && rune <= 0x202e) || (rune >= 0x2066 && rune <= 0x2069) ||
	       rune == 0xfeff;
}

static void escape_rune(struct buf *out, uint32_t rune)
{
	switch (rune) {
	case '\n':
		buf_append_str(out, "\\n");
		break;
	case '\t':
		buf_append_str(out, "\\t");
		break;
	case '\r':
		buf_append_str(out, "\\r");
		break;
	default:
		buf_printf(out, rune < 0x80 ? "\\x%02x" : "\\u%04x", rune);
	}
}

void text_escape(struct buf *out, struct slice text)
{
	size_t off = 0;

	while (off < text.len) {
		uint32_t rune = 0;
		size_t len = sequence_len(text.ptr + off, text.len - off, &rune);

		if (len == 0) {
			buf_printf(out, "\\x%02x", text.ptr[off]);
			off++;
			continue;
		}
		if (steers_terminal(rune))
			escape_rune(out, rune);
		else if (rune == '\\')
			buf_append_str(out, "\\\\");
		else
			buf_append(out, text.ptr + off, len);
		off += len;
	}
}
