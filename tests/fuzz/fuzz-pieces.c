/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile index behind the pieces of an archive. The digest at its end is put right first, where
 * there is room for one: so what is tried is what somebody can write who knows the format.
 *
 * The oracle is the writer: what can be read is written again, and that has to read the same.
 */

#include "snap/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CARRIER_HEAD (PIECE_HEAD + 4)
#define CARRIER_END 10

static void require(bool claim)
{
	if (!claim)
		abort();
}

/* The data in one carrier, as the writer would have it but for the frame's length. */
static void carry(struct slice rows, struct buf *out)
{
	static const unsigned char head[10] = { 0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff };
	size_t len = VS_MIN(rows.len, (size_t)60000) + DIGEST_LEN;
	size_t all = CARRIER_HEAD + len + CARRIER_END;
	unsigned char sub[] = { (unsigned char)(len + 16),
				(unsigned char)((len + 16) >> 8),
				'V',
				'S',
				8,
				0,
				(unsigned char)all,
				(unsigned char)(all >> 8),
				(unsigned char)(all >> 16),
				0,
				0,
				0,
				0,
				0,
				'V',
				'I',
				(unsigned char)len,
				(unsigned char)(len >> 8) };
	static const unsigned char end[CARRIER_END] = { 3, 0 };
	struct digest digest;

	buf_append(out, head, sizeof(head));
	buf_append(out, sub, sizeof(sub));
	digest_of(slice_of(rows.ptr, len - DIGEST_LEN), &digest);
	buf_append(out, rows.ptr, len - DIGEST_LEN);
	buf_append(out, digest.bytes, DIGEST_LEN);
	buf_append(out, end, sizeof(end));
}

static void check(struct slice pieces, uint64_t end)
{
	cleanup_(snap_index_fini) struct snap_index x = { 0 };
	cleanup_(snap_index_fini) struct snap_index again = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };
	uint64_t off = 0;
	size_t len = 0;

	if (snap_index_parse(&x, pieces, end, &err) != 1)
		return;
	for (size_t i = 0; i < x.count; i++) {
		const char *path = snap_index_path(&x, i);

		require(x.rows[i].off == off && x.rows[i].raw <= PIECE_RAW_MAX);
		require(!path || snap_path_is_safe(slice_str(path)));
		off += x.rows[i].packed;
	}
	require(off == end);
	snap_index_format(&x, &bytes);
	require(snap_index_locate(
		slice_of(bytes.ptr + bytes.len - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN),
		end + bytes.len, &off, &len));
	require(off == end);
	require(snap_index_parse(&again, slice_of(bytes.ptr, len), end, &err) == 1);
	require(again.count == x.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(buf_fini) struct buf carrier = { 0 };
	struct slice bytes = slice_of(data, size);
	uint64_t end, off;
	size_t len;

	if (size >= SNAP_LOCATOR_LEN &&
	    snap_index_locate(slice_of(data + size - SNAP_LOCATOR_LEN, SNAP_LOCATOR_LEN), size,
			      &off, &len))
		check(slice_of(data + off, len), off);
	/* The first bytes say where the pieces end, the rest are rows. */
	if (size < 4)
		return 0;
	end = load_le32(data);
	carry(slice_of(bytes.ptr + 4, bytes.len - 4), &carrier);
	check(buf_slice(&carrier), end);
	return 0;
}
