/* SPDX-License-Identifier: Apache-2.0 */

/*
 * gzip as the library reads it.
 *
 *	file    = member*					one after the other, as one
 *	member  = 1f 8b 08 flags time:4 extra-flags os
 *		  [length:2 bytes] [name 00] [comment 00] [crc16:2]	as flags 4, 8, 10, 2 say
 *		  deflate crc32:4 size:4
 *
 * Only the first two bytes decide whether a file is read so. The library takes what it needs for
 * the value and looks no further. Hence two ways: where all is well, one call of libdeflate; where
 * it is not, everything up to the damage and the error that the library would meet there, which
 * counts only if the value is not complete by then.
 */

#include "chromem/read.h"

#include <libdeflate.h>

#define GZIP_HEADER_LEN 10
#define GZIP_TRAILER_LEN 8
#define DEFLATE_RATIO_MAX 1032
#define GZIP_NAME_MAX 512 /* the library's own limit for names and comments, NUL included */

enum gzip_flag {
	GZIP_HEADER_CRC = 1 << 1,
	GZIP_EXTRA = 1 << 2,
	GZIP_NAME = 1 << 3,
	GZIP_COMMENT = 1 << 4,
};

static const char truncated_text[] = "unexpected EOF";
static const char header_text[] = "gzip: invalid header";
static const char checksum_text[] = "gzip: invalid checksum";

/* ---- the header ---- */

/* Functions return NULL or the library's error. */
static const char *skip_field(struct cursor *c, uint64_t len)
{
	if (cursor_skip(c, len))
		return NULL;
	c->pos = c->end;
	return truncated_text;
}

static const char *skip_text(struct cursor *c)
{
	size_t len = VS_MIN(cursor_left(c), (size_t)GZIP_NAME_MAX);
	const unsigned char *nul = memchr(c->pos, 0, len);

	if (nul) {
		c->pos = nul + 1;
		return NULL;
	}
	if (len == GZIP_NAME_MAX)
		return header_text;
	c->pos = c->end;
	return truncated_text;
}

static const char *skip_extra(struct cursor *c)
{
	if (cursor_left(c) < 2)
		return skip_field(c, 2);
	return skip_field(c, 2 + (c->pos[0] | (uint64_t)c->pos[1] << 8));
}

/* Move @c behind the header of a member. */
static const char *skip_header(struct cursor *c)
{
	const unsigned char *start = c->pos;
	const char *error;
	unsigned flags, crc;

	error = skip_field(c, GZIP_HEADER_LEN);
	if (error)
		return error;
	if (start[0] != 0x1f || start[1] != 0x8b || start[2] != 8)
		return header_text;
	flags = start[3];
	error = flags & GZIP_EXTRA ? skip_extra(c) : NULL;
	if (!error && (flags & GZIP_NAME) != 0)
		error = skip_text(c);
	if (!error && (flags & GZIP_COMMENT) != 0)
		error = skip_text(c);
	if (error || (flags & GZIP_HEADER_CRC) == 0)
		return error;
	crc = libdeflate_crc32(0, start, (size_t)(c->pos - start)) & 0xffff;
	error = skip_field(c, 2);
	if (error)
		return error;
	return c->pos[-2] == (crc & 0xff) && c->pos[-1] == crc >> 8 ? NULL : header_text;
}

/* ---- all is well ---- */

/* The deflate data of a member, appended, with room for @room bytes tried first. */
static int unpack_clean_data(struct unpacker *u, struct slice in, size_t room, size_t *used,
			     struct vs_err *err)
{
	size_t start = u->out.len, len = 0, most = u->limit - start;
	enum libdeflate_result result = LIBDEFLATE_INSUFFICIENT_SPACE;
	int ret;

	while (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
		if (room > most || room / DEFLATE_RATIO_MAX > in.len)
			return 0;
		ret = buf_try_reserve(&u->out, VS_MAX(room, (size_t)1), err);
		if (ret < 0)
			return ret;
		result = libdeflate_deflate_decompress_ex(u->inflater, in.ptr, in.len,
							  u->out.ptr + start, room, used, &len);
		room = room == most ? most + 1 : VS_MIN(2 * room + 64, most);
	}
	u->out.len += len;
	return result == LIBDEFLATE_SUCCESS;
}

/* One or more members, all of them whole and right, and nothing else. Returns 1 if so, 0 if not. */
static int unpack_clean(struct unpacker *u, struct cursor c, struct slice *out, struct vs_err *err)
{
	size_t used = 0, start, len;
	int ret;

	if (!u->inflater)
		u->inflater = libdeflate_alloc_decompressor();
	if (!u->inflater)
		return vs_fail(err, VS_ENOMEM, "no memory for a decompressor");
	/* A size in a trailer is only a hint here, the last one for the first: mostly there is one.
	 */
	len = cursor_left(&c) < GZIP_TRAILER_LEN ? 0 : load_le32(c.end - 4);
	buf_clear(&u->out);
	while (cursor_left(&c) > 0) {
		if (skip_header(&c) || cursor_left(&c) < GZIP_TRAILER_LEN)
			return 0;
		start = u->out.len;
		ret = unpack_clean_data(u, slice_of(c.pos, cursor_left(&c) - GZIP_TRAILER_LEN), len,
					&used, err);
		if (ret <= 0)
			return ret;
		c.pos += used + GZIP_TRAILER_LEN;
		len = u->out.len - start;
		if (load_le32(c.pos - 4) != (uint32_t)len ||
		    load_le32(c.pos - 8) != libdeflate_crc32(0, u->out.ptr + start, len))
			return 0;
	}
	*out = buf_slice(&u->out);
	return 1;
}

/* ---- something is not ---- */

static void stop(struct unpacked *out, const char *error, uint32_t oddity, uint64_t file_off,
		 const struct unpacker *u)
{
	out->ending.error = error;
	out->oddities |= oddity;
	out->odd_off = u->out.len;
	out->end_off = file_off;
	out->is_truncated = error == truncated_text;
}

/* The deflate data of a member. Returns 1 when they are complete, 0 when unpacking stopped. */
static int unpack_data(struct unpacker *u, struct cursor *c, struct unpacked *out,
		       struct vs_err *err)
{
	struct inflate_result result = { 0 };
	int ret = inflate_append(slice_of(c->pos, cursor_left(c)), u->limit, &u->out, &result, err);

	if (ret < 0)
		return ret;
	c->pos += result.used;
	switch (result.end) {
	case INFLATE_DONE:
		return 1;
	case INFLATE_TRUNCATED:
		stop(out, truncated_text, CHROMEM_ODD_GZIP_TRAILER, cursor_off(c), u);
		return 0;
	case INFLATE_CORRUPT:
		snprintf(u->error, sizeof(u->error), "flate: corrupt input before offset %zu",
			 result.used);
		stop(out, u->error, CHROMEM_ODD_GZIP_CHECKSUM, cursor_off(c), u);
		out->crc_actual = UINT32_MAX;
		return 0;
	case INFLATE_FULL:
		stop(out, NULL, 0, cursor_off(c), u);
		out->ending.is_limit = true;
		return 0;
	}
	return 0;
}

/* The trailer of a member whose data begin at @start in the output. Returns as unpack_data(). */
static int check_trailer(struct unpacker *u, struct cursor *c, size_t start, struct unpacked *out)
{
	uint32_t crc = libdeflate_crc32(0, u->out.ptr + start, u->out.len - start);
	uint32_t size = (uint32_t)(u->out.len - start);
	size_t off = cursor_off(c);

	if (skip_field(c, GZIP_TRAILER_LEN)) {
		stop(out, truncated_text, CHROMEM_ODD_GZIP_TRAILER, off, u);
		return 0;
	}
	if (load_le32(c->pos - 8) == crc && load_le32(c->pos - 4) == size)
		return 1;
	out->crc_stored = load_le32(c->pos - 8);
	out->crc_actual = crc;
	stop(out, checksum_text, CHROMEM_ODD_GZIP_CHECKSUM, off, u);
	return 0;
}

static int unpack_members(struct unpacker *u, struct cursor *c, struct unpacked *out,
			  struct vs_err *err)
{
	const char *error;
	size_t off, start;
	int ret = 1;

	buf_clear(&u->out);
	/* So that the output is somewhere, even if it is empty. */
	ret = buf_try_reserve(&u->out, 1, err);
	if (ret < 0)
		return ret;
	for (bool is_first = true; is_first || cursor_left(c) > 0; is_first = false) {
		off = cursor_off(c);
		start = u->out.len;
		error = skip_header(c);
		if (error) {
			out->has_bad_header = is_first;
			stop(out, error, CHROMEM_ODD_GZIP_TRAILING, off, u);
			return 0;
		}
		ret = unpack_data(u, c, out, err);
		if (ret == 1)
			ret = check_trailer(u, c, start, out);
		if (ret != 1)
			return ret;
	}
	out->end_off = cursor_off(c);
	return 0;
}

static bool has_magic(struct slice file)
{
	return file.len >= 2 && file.ptr[0] == 0x1f && file.ptr[1] == 0x8b;
}

int chromem_unpack(struct unpacker *u, struct slice file, bool general_only, struct unpacked *out,
		   struct vs_err *err)
{
	struct cursor c = cursor_of(file);
	int ret;

	*out = (struct unpacked){ .bytes = file, .end_off = file.len };
	if (!has_magic(file))
		return 0;
	out->is_gzip = true;
	if (!general_only) {
		ret = unpack_clean(u, c, &out->bytes, err);
		if (ret != 0)
			return ret < 0 ? ret : 0;
	}
	ret = unpack_members(u, &c, out, err);
	out->bytes = buf_slice(&u->out);
	return ret;
}

int chromem_unpack_repaired(struct unpacker *u, struct slice file, bool *is_gzip,
			    struct vs_err *err)
{
	static const unsigned char magic[3] = { 0x1f, 0x8b, 8 };
	cleanup_(buf_fini) struct buf repaired = { 0 };
	struct slice unpacked;
	unsigned same = 0;
	int ret;

	*is_gzip = false;
	for (size_t i = 0; i < VS_COUNT(magic) && i < file.len; i++)
		same += file.ptr[i] == magic[i] ? 1 : 0;
	if (same != VS_COUNT(magic) - 1)
		return 0;
	ret = buf_try_reserve(&repaired, file.len, err);
	if (ret < 0)
		return ret;
	buf_append(&repaired, magic, sizeof(magic));
	buf_append(&repaired, file.ptr + sizeof(magic), file.len - sizeof(magic));
	ret = unpack_clean(u, cursor_of(buf_slice(&repaired)), &unpacked, err);
	*is_gzip = ret == 1;
	return ret < 0 ? ret : 0;
}

void unpacker_fini(struct unpacker *u)
{
	if (u->inflater)
		libdeflate_free_decompressor(u->inflater);
	buf_fini(&u->out);
}
