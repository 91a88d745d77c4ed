/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which piece of an archive begins with which file, so that a few files are had without unpacking
 * all. Behind the last piece stand pieces of nothing that carry the index in their heads, and a last
 * one of fixed length that says where these begin:
 *
 *	'V' 'I' len{2}		 subfield behind the one of every piece: bytes of the index
 *	'V' 'L' 0c 00 off{8} len{4}  likewise: where its pieces begin in the file, and their length
 *
 * tar and gzip see empty members. The index is the bytes of all its subfields in a row:
 *
 *	count{4}
 *	packed raw shared rest  varints, a row for each piece, and then the last bytes of the path of
 *				the file that the piece begins with: it has as many bytes as @shared
 *				says in common with the path before. Both 0: it goes on with what
 *				the piece before began
 *	SHA-256 of all before
 *
 * Paths rise strictly, as the files in the archive do. An index that is not as it should be is none:
 * the archive is read through then. Nothing is believed on its word, since every file that is taken
 * out is compared with its digest.
 */

#include "snap/private.h"

#define SUBFIELD_HEAD 4
#define EMPTY_LEN 10 /* an empty deflate block, CRC-32, length */
#define DATA_MAX 60000u
#define LOCATOR_DATA 12
#define ROW_MIN 4 /* bytes */
#define TEXT_MAX ((size_t)256 << 20)

_Static_assert(SNAP_LOCATOR_LEN == PIECE_HEAD + SUBFIELD_HEAD + LOCATOR_DATA + EMPTY_LEN,
	       "the last piece has one length");

void snap_index_fini(struct snap_index *x)
{
	free(x->rows);
	buf_fini(&x->text);
	*x = (struct snap_index){ 0 };
}

const char *snap_index_path(const struct snap_index *x, size_t row)
{
	assert(row < x->count);
	return x->rows[row].path == SIZE_MAX ? NULL : (const char *)x->text.ptr + x->rows[row].path;
}

void snap_index_add(struct snap_index *x, size_t packed, size_t raw, const char *path)
{
	const struct snap_index_row *last;

	x->rows = vs_grow(x->rows, &x->cap, x->count + 1, sizeof(*x->rows));
	assert(x->rows);
	last = x->count > 0 ? &x->rows[x->count - 1] : NULL;
	x->rows[x->count] = (struct snap_index_row){ last ? last->off + last->packed : 0,
						     (uint32_t)packed, (uint32_t)raw, SIZE_MAX };
	if (path) {
		x->rows[x->count].path = x->text.len;
		buf_append(&x->text, path, strlen(path) + 1);
	}
	x->count++;
}

/* ---- writing ---- */

static void append_varint(struct buf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_append_byte(out, (unsigned char)(value | 0x80));
	buf_append_byte(out, (unsigned char)value);
}

static void append_le(struct buf *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_append_byte(out, (unsigned char)(value >> (8 * i)));
}

static void append_rows(const struct snap_index *x, struct buf *out)
{
	const char *before = "";

	append_le(out, x->count, 4);
	for (size_t i = 0; i < x->count; i++) {
		const char *path = snap_index_path(x, i);
		size_t shared = 0;

		append_varint(out, x->rows[i].packed);
		append_varint(out, x->rows[i].raw);
		while (path && path[shared] != '\0' && path[shared] == before[shared])
			shared++;
		append_varint(out, shared);
		append_varint(out, path ? strlen(path) - shared : 0);
		if (path)
			buf_append_str(out, path + shared);
		before = path ? path : before;
	}
}

/* A piece of nothing, with @data in a subfield of its head. */
static void append_carrier(struct buf *out, char kind, struct slice data)
{
	static const unsigned char head[10] = { 0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff };
	static const unsigned char nothing[EMPTY_LEN] = { 3, 0 };

	buf_append(out, head, sizeof(head));
	append_le(out, PIECE_HEAD - 12 + SUBFIELD_HEAD + data.len, 2);
	buf_append_str(out, "VS");
	append_le(out, 8, 2);
	append_le(out, PIECE_HEAD + SUBFIELD_HEAD + data.len + EMPTY_LEN, 4);
	append_le(out, 0, 4);
	buf_append_byte(out, 'V');
	buf_append_byte(out, (unsigned char)kind);
	append_le(out, data.len, 2);
	buf_append(out, data.ptr, data.len);
	buf_append(out, nothing, sizeof(nothing));
}

void snap_index_format(const struct snap_index *x, struct buf *out)
{
	cleanup_(buf_fini) struct buf data = { 0 };
	cleanup_(buf_fini) struct buf place = { 0 };
	size_t start = out->len;
	struct digest digest;

	append_rows(x, &data);
	digest_of(buf_slice(&data), &digest);
	buf_append(&data, digest.bytes, DIGEST_LEN);
	for (size_t off = 0; off < data.len; off += DATA_MAX)
		append_carrier(out, 'I',
			       slice_of(data.ptr + off, VS_MIN(data.len - off, (size_t)DATA_MAX)));
	append_le(&place,
		  x->count > 0 ? x->rows[x->count - 1].off + x->rows[x->count - 1].packed : 0, 8);
	append_le(&place, out->len - start, 4);
	append_carrier(out, 'L', buf_slice(&place));
}

/* ---- reading ---- */

/* The data of the piece of nothing that @bytes begin with; false when it is none. */
static bool take_carrier(struct slice *bytes, char kind, struct slice *data)
{
	struct snap_piece piece;
	const unsigned char *sub;
	size_t len;

	if (!snap_piece_head(*bytes, &piece) || piece.raw != 0 || piece.packed > bytes->len ||
	    piece.head < PIECE_HEAD + SUBFIELD_HEAD)
		return false;
	sub = bytes->ptr + PIECE_HEAD;
	len = (size_t)sub[2] | (size_t)sub[3] << 8;
	if (sub[0] != 'V' || sub[1] != (unsigned char)kind ||
	    len != piece.head - PIECE_HEAD - SUBFIELD_HEAD)
		return false;
	*data = slice_of(sub + SUBFIELD_HEAD, len);
	*bytes = slice_of(bytes->ptr + piece.packed, bytes->len - piece.packed);
	return true;
}

bool snap_index_locate(struct slice tail, uint64_t size, uint64_t *off, size_t *len)
{
	struct slice data;

	if (tail.len != SNAP_LOCATOR_LEN || !take_carrier(&tail, 'L', &data) || tail.len != 0 ||
	    data.len != LOCATOR_DATA)
		return false;
	*off = load_le64(data.ptr);
	*len = load_le32(data.ptr + 8);
	return *len <= SNAP_INDEX_MAX && *off < size && size - *off == *len + SNAP_LOCATOR_LEN;
}

/* The bytes of all subfields, without the digest behind them, which is right. */
static int join(struct slice pieces, struct buf *out, struct vs_err *err)
{
	struct digest digest;
	struct slice data;
	int r = buf_try_reserve(out, pieces.len, err);

	if (r < 0)
		return r;
	while (pieces.len > 0) {
		if (!take_carrier(&pieces, 'I', &data))
			return 0;
		buf_append(out, data.ptr, data.len);
	}
	if (out->len < DIGEST_LEN)
		return 0;
	out->len -= DIGEST_LEN;
	digest_of(buf_slice(out), &digest);
	return memcmp(digest.bytes, out->ptr + out->len, DIGEST_LEN) == 0;
}

static bool take_varint(struct slice *in, uint64_t max, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 35 && in->len > 0; shift += 7) {
		unsigned char byte = *in->ptr;

		*in = slice_of(in->ptr + 1, in->len - 1);
		*out |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return *out <= max;
	}
	return false;
}

/* The path of a row, behind the one before it. */
static bool take_path(struct snap_index *x, struct slice *in, size_t *before, size_t *out)
{
	size_t had = *before == SIZE_MAX ? 0 : strlen((const char *)x->text.ptr + *before);
	size_t start = x->text.len;
	struct vs_err ignored = { 0 };
	uint64_t shared, rest;

	*out = SIZE_MAX;
	if (!take_varint(in, had, &shared) || !take_varint(in, in->len, &rest))
		return false;
	if (shared == 0 && rest == 0)
		return true;
	if (rest == 0 || x->text.len + shared + rest + 1 > TEXT_MAX ||
	    memchr(in->ptr, '\0', rest) ||
	    buf_try_reserve(&x->text, shared + rest + 1, &ignored) < 0)
		return false;
	if (shared > 0)
		buf_append(&x->text, x->text.ptr + *before, shared);
	buf_append(&x->text, in->ptr, rest);
	buf_append_byte(&x->text, '\0');
	*in = slice_of(in->ptr + rest, in->len - rest);
	if (!snap_path_is_safe(slice_of(x->text.ptr + start, shared + rest)) ||
	    (*before != SIZE_MAX && snap_path_cmp((const char *)x->text.ptr + *before,
						  (const char *)x->text.ptr + start) >= 0))
		return false;
	*before = *out = start;
	return true;
}

static bool take_rows(struct snap_index *x, struct slice in, uint64_t end)
{
	size_t before = SIZE_MAX;
	uint64_t off = 0;

	for (; x->count < x->cap; x->count++) {
		struct snap_index_row *row = &x->rows[x->count];
		uint64_t packed, raw;

		if (!take_varint(&in, PIECE_PACKED_MAX, &packed) ||
		    !take_varint(&in, PIECE_RAW_MAX, &raw) || packed <= PIECE_HEAD ||
		    !take_path(x, &in, &before, &row->path))
			return false;
		row->off = off;
		row->packed = (uint32_t)packed;
		row->raw = (uint32_t)raw;
		off += packed;
		if (off > end)
			return false;
	}
	return in.len == 0 && off == end;
}

int snap_index_parse(struct snap_index *out, struct slice pieces, uint64_t end, struct vs_err *err)
{
	cleanup_(snap_index_fini) struct snap_index x = { 0 };
	cleanup_(buf_fini) struct buf data = { 0 };
	uint32_t count;
	int r = join(pieces, &data, err);

	if (r <= 0)
		return r;
	if (data.len < 4)
		return 0;
	count = load_le32(data.ptr);
	if (count > (data.len - 4) / ROW_MIN)
		return 0;
	x.rows = vs_try_alloc(VS_MAX(count, 1u), sizeof(*x.rows));
	if (!x.rows)
		return vs_fail(err, VS_ENOMEM, "no memory for an index of %" PRIu32 " rows", count);
	x.cap = count;
	if (!take_rows(&x, slice_of(data.ptr + 4, data.len - 4), end))
		return 0;
	*out = x;
	x = (struct snap_index){ 0 };
	return 1;
}

void snap_index_choose(const struct snap_index *x, const struct snap_selection *s, uint32_t archive,
		       unsigned char *is_needed)
{
	size_t at = 0; /* the row that the member is in, once it is not behind it */
	size_t next = 0;

	for (size_t i = 0; i < s->m->member_count; i++) {
		const struct snap_member *member = &s->m->members[i];

		if (!s->is_wanted[i] || member->archive != archive)
			continue;
		for (; next < x->count; next++) {
			const char *path = snap_index_path(x, next);

			if (path && snap_path_cmp(path, member->path) > 0)
				break;
			if (path)
				at = next;
		}
		for (size_t row = at; row < next && !is_needed[row]; row++)
			is_needed[row] = 1;
	}
}
