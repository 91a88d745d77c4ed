/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a damaged document still holds.
 *
 * A document's fields stand in the file one after another: id, metadata, embedding, text. Whatever
 * decodes before the damage is whole. Behind it the text can often be found from the other end,
 * since it is the last field: its length, its bytes and the end mark must meet the end of the file
 * exactly. What is found that way is marked as such.
 */

#include "chromem/read.h"

/* The text is looked for no further than this before the end. */
#define TAIL_MAX ((size_t)1 << 20)

/* A gob unsigned integer at @p; its length, or 0. */
static size_t uint_at(const unsigned char *p, size_t left, uint64_t *out)
{
	size_t n;

	if (left == 0)
		return 0;
	if (p[0] < 0x80) {
		*out = p[0];
		return 1;
	}
	n = 256u - p[0];
	if (n > 8 || left < n + 1)
		return 0;
	*out = 0;
	for (size_t i = 1; i <= n; i++)
		*out = *out << 8 | p[i];
	return n + 1;
}

/*
 * The stream with its last message announced as long as it is: a file that was cut then decodes as
 * far as it goes. Returns true when there was something to mend; @out is then the mended copy.
 */
static bool mend_last_message(struct slice in, struct buf *out)
{
	size_t off = 0;

	while (off < in.len) {
		uint64_t len;
		size_t head = uint_at(in.ptr + off, in.len - off, &len);
		size_t left;

		if (head == 0 || len == 0)
			return false;
		left = in.len - off - head;
		if (len <= left) {
			off += head + (size_t)len;
			continue;
		}
		if (left == 0)
			return false;
		buf_append(out, in.ptr, off);
		buf_append_byte(out, 0xf8);
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_append_byte(out, (unsigned char)((uint64_t)left >> shift));
		buf_append(out, in.ptr + off + head, left);
		return true;
	}
	return false;
}

/*
 * The text at the end: step byte, length, that many bytes of UTF-8, end mark. The longest that fits
 * is taken, as a shorter one may be the tail of it that happens to look like one.
 */
static bool find_text(struct slice in, size_t from, struct slice *out)
{
	size_t end = in.len;
	size_t first;

	if (end == 0 || in.ptr[end - 1] != 0)
		return false;
	end--;
	first = end > TAIL_MAX ? VS_MAX(from, end - TAIL_MAX) : from;
	for (size_t at = first; at + 2 < end; at++) {
		uint64_t len;
		size_t head;

		if (in.ptr[at] == 0 || in.ptr[at] > 4)
			continue;
		head = uint_at(in.ptr + at + 1, end - at - 1, &len);
		if (head == 0 || len < 4 || len != end - at - 1 - head)
			continue;
		*out = slice_of(in.ptr + at + 1 + head, (size_t)len);
		if (utf8_is_valid(*out))
			return true;
	}
	return false;
}

static int decode(struct chromem_reader *reader, const struct unpacked *in, struct chromem_doc *out,
		  struct vs_err *err)
{
	int r = doc_decode_general(reader, in, out, err);

	/* Refused: the values that came before the fault are those of whole fields, but for the
	 * embedding. */
	if (r > 0) {
		r = pairs_settle(&reader->doc_pairs, err);
		out->metadata = reader->doc_pairs.at;
		out->metadata_count = reader->doc_pairs.count;
		out->embedding = reader->embedding;
	}
	return r;
}

int chromem_salvage_doc(struct chromem_reader *reader, struct slice bytes, struct chromem_doc *out,
			struct chromem_salvage *how, struct vs_err *err)
{
	struct unpacked in;
	int r;

	*how = (struct chromem_salvage){ 0 };
	*out = (struct chromem_doc){ 0 };
	r = chromem_unpack(&reader->unpacker, bytes, true, &in, err);
	if (r < 0 || bytes.len == 0 || in.has_bad_header)
		return r;
	buf_clear(&reader->mended);
	if (mend_last_message(in.bytes, &reader->mended)) {
		how->was_cut = true;
		in.bytes = buf_slice(&reader->mended);
	}
	r = decode(reader, &in, out, err);
	if (r < 0)
		return r;
	if (!out->content.ptr && !how->was_cut && out->id.ptr)
		how->text_was_searched =
			find_text(in.bytes, (size_t)(out->id.ptr - in.bytes.ptr) + out->id.len,
				  &out->content);
	return 0;
}

int chromem_mend_field(struct chromem_reader *reader, struct slice bytes, const char *wrong,
		       const char *right, struct buf *gob, struct vs_err *err)
{
	size_t len = strlen(wrong);
	struct chromem_doc doc = { 0 };
	struct chromem_fault fault = { 0 };
	struct unpacked in;
	unsigned char *at;
	int r;

	if (len == 0 || len != strlen(right))
		return 1;
	r = chromem_unpack(&reader->unpacker, bytes, true, &in, err);
	if (r < 0 || in.bytes.len == 0)
		return r < 0 ? r : 1;
	buf_clear(gob);
	buf_append(gob, in.bytes.ptr, in.bytes.len);
	at = memmem(gob->ptr, gob->len, wrong, len);
	/* A name stands behind its length. */
	if (!at || at == gob->ptr || at[-1] != len)
		return 1;
	memcpy(at, right, len);
	r = chromem_decode_doc(reader, buf_slice(gob), &doc, &fault, err);
	return r == 0 && (doc.oddities & CHROMEM_ODD_UNKNOWN_FIELD) != 0 ? 1 : r;
}
