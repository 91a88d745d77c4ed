/* SPDX-License-Identifier: Apache-2.0 */

/* Cells: the payload, with its end from overflow pages, and the record in it. */

#include "sqlitefile/sqlitefile-private.h"

bool varint_read(const unsigned char *bytes, size_t len, size_t *at, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 9; i++) {
		if (*at + i >= len)
			return false;
		/* The ninth byte has eight bits of the number. */
		if (i == 8) {
			*out = value << 8 | bytes[*at + i];
			*at += 9;
			return true;
		}
		value = value << 7 | (bytes[*at + i] & 0x7f);
		if (!(bytes[*at + i] & 0x80)) {
			*out = value;
			*at += i + 1;
			return true;
		}
	}
	return false;
}

/* So many bytes of a payload are in the cell itself; fileformat2, section 1.6. */
static uint64_t local_len(const struct sqlitefile *f, bool is_table, uint64_t len)
{
	uint64_t usable = f->info.usable;
	uint64_t most = is_table ? usable - 35 : (usable - 12) * 64 / 255 - 23;
	uint64_t least = (usable - 12) * 32 / 255 - 23;
	uint64_t local;

	if (len <= most)
		return len;
	local = least + (len - least) % (usable - 4);
	return local <= most ? local : least;
}

/* ---- overflow pages ---- */

/*
 * Append the rest of a payload of @len bytes. It stays short where the chain breaks: a page outside of
 * the file, one that a tree or the list of free pages has, one that is cut off, or an end too late. No
 * more pages are read than the payload needs, so a ring ends as well.
 */
static int read_chain(struct sqlitefile *f, uint32_t next, uint64_t len, struct vs_err *err)
{
	uint32_t piece = f->info.usable - 4;

	while (f->payload.len < len) {
		size_t take = (size_t)VS_MIN((uint64_t)piece, len - f->payload.len);
		uint64_t off;
		int r;

		if (next < 2 || next > f->info.pages ||
		    (f->state[next] & (PAGE_IS_TAKEN | PAGE_IS_FREE)) != 0)
			return 0;
		off = page_off(f, next);
		if (f->source.size - off < take + 4)
			return 0;
		r = f->source.read(f->source.ctx, off, f->overflow, take + 4, err);
		if (r < 0)
			return r;
		next = load_be32(f->overflow);
		/* The last says that it is the last. */
		if (f->payload.len + take == len && next != 0)
			return 0;
		buf_append(&f->payload, f->overflow + 4, take);
	}
	return 0;
}

static const char *take_payload(struct sqlitefile *f, const struct page *page, size_t at,
				uint64_t len, int *r, struct vs_err *err)
{
	bool is_table = page->kind == PAGE_TABLE_LEAF;
	uint64_t local;

	if (len > VS_MIN(SQLITEFILE_PAYLOAD_MAX, f->source.size))
		return "a cell larger than it can be";
	local = local_len(f, is_table, len);
	if (at + local + (local < len ? 4 : 0) > f->info.usable)
		return "a cell that does not fit its page";
	if (at + local + (local < len ? 4 : 0) > page->there)
		return "a cell that is cut off";
	buf_clear(&f->payload);
	*r = buf_try_reserve(&f->payload, (size_t)len, err);
	if (*r < 0)
		return "a cell that there is no memory for";
	buf_append(&f->payload, page->bytes + at, (size_t)local);
	if (local < len)
		*r = read_chain(f, load_be32(page->bytes + at + local), len, err);
	return *r < 0 ? "overflow pages that cannot be read" : NULL;
}

/* ---- the record ---- */

static uint64_t serial_len(uint64_t serial)
{
	static const unsigned char fixed[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0 };

	if (serial < VS_COUNT(fixed))
		return fixed[serial];
	return (serial - 12) / 2;
}

static int64_t load_signed(const unsigned char *p, uint64_t len)
{
	uint64_t value = p[0] & 0x80 ? UINT64_MAX : 0;

	for (uint64_t i = 0; i < len; i++)
		value = value << 8 | p[i];
	return (int64_t)value;
}

static void load_value(uint64_t serial, const unsigned char *p, uint64_t len,
		       struct sqlitefile_value *out)
{
	*out = (struct sqlitefile_value){ .type = SQLITEFILE_INTEGER };
	if (serial == 0) {
		out->type = SQLITEFILE_NULL;
	} else if (serial == 7) {
		uint64_t bits = load_be64(p);

		out->type = SQLITEFILE_REAL;
		memcpy(&out->real, &bits, sizeof(out->real));
	} else if (serial >= 12) {
		out->type = serial % 2 == 0 ? SQLITEFILE_BLOB : SQLITEFILE_TEXT;
		out->bytes = slice_of(p, (size_t)len);
	} else if (serial >= 8) {
		out->integer = serial == 9;
	} else {
		out->integer = load_signed(p, len);
	}
}

/* f->payload as columns; @len is how long it should be. */
static const char *read_record(struct sqlitefile *f, uint64_t len)
{
	const unsigned char *bytes = f->payload.ptr;
	struct sqlitefile_row *row = &f->row;
	uint64_t head, from;
	size_t at = 0;

	row->count = 0;
	row->is_partial = false;
	if (!varint_read(bytes, f->payload.len, &at, &head) || head < at || head > f->payload.len)
		return "a record without a head";
	for (from = head; at < head;) {
		struct sqlitefile_value *value = &row->value[row->count];
		uint64_t serial, bytes_len;

		if (row->count == SQLITEFILE_COLUMNS_MAX)
			return "a record with too many columns";
		if (!varint_read(bytes, (size_t)head, &at, &serial) || serial == 10 || serial == 11)
			return "a record whose head is damaged";
		bytes_len = serial_len(serial);
		if (bytes_len > len - from)
			return "a record that is longer than its cell";
		if (from + bytes_len <= f->payload.len) {
			load_value(serial, bytes + from, bytes_len, value);
		} else {
			*value = (struct sqlitefile_value){ .type = SQLITEFILE_LOST };
			row->is_partial = true;
		}
		from += bytes_len;
		row->count++;
	}
	return from == len ? NULL : "a record that is shorter than its cell";
}

const char *cell_read(struct sqlitefile *f, const struct page *page, uint32_t off, int *r,
		      struct vs_err *err)
{
	bool is_interior = page->kind == PAGE_INDEX_INTERIOR;
	size_t at = off + (is_interior ? 4 : 0);
	const char *wrong;
	uint64_t len, rowid = 0;

	*r = 0;
	if (!varint_read(page->bytes, f->info.usable, &at, &len))
		return "a cell that does not fit its page";
	if (page->kind == PAGE_TABLE_LEAF && !varint_read(page->bytes, f->info.usable, &at, &rowid))
		return "a cell that does not fit its page";
	f->row.page = page->number;
	f->row.off = page_off(f, page->number) + off;
	f->row.rowid = (int64_t)rowid;
	wrong = take_payload(f, page, at, len, r, err);
	return wrong ? wrong : read_record(f, len);
}
