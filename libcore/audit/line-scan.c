/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A line becomes a record, if line-write.c could have written it. One pass, nothing allocated: a
 * log has a million lines.
 */

#include "audit/audit-private.h"

/* "2026-01-22T14:03:09.123456789Z" */
#define TIME_LEN 30

static const char *const phase_names[] = {
	[AUDIT_STARTED] = "started", [AUDIT_FINISHED] = "finished",
	[AUDIT_FAILED] = "failed",   [AUDIT_CANCELLED] = "cancelled",
	[AUDIT_DRY_RUN] = "dry-run", [AUDIT_RECOVERED] = "recovered",
	[AUDIT_REFUSED] = "refused", [AUDIT_ALERT] = "alert",
};

const char *audit_phase_name(enum audit_phase phase)
{
	return phase_names[phase];
}

enum member_kind {
	MEMBER_TEXT,
	MEMBER_LIST,
	MEMBER_NUMBER,
	MEMBER_DIGEST,
	MEMBER_TIME,
	MEMBER_PHASE,
	MEMBER_ONE,
};

enum member_need {
	NEED_VALUE,
	NEED_NULL_ALLOWED,
	NEED_OPTIONAL, /* left out, or a value */
};

struct member {
	const char *key; /* as it stands: with quotes and colon */
	size_t key_len;
	enum member_kind kind;
	enum member_need need;
	size_t offset; /* of a struct slice or a number; NOWHERE when nobody asks for it */
};

#define NOWHERE SIZE_MAX
#define MEMBER(name, kind, need, offset)                                                           \
	{                                                                                          \
		"\"" name "\":", sizeof(name) + 2, kind, need, offset                              \
	}
#define TO(field) offsetof(struct audit_line, field)

/* In byte order of the keys. */
static const struct member members[] = {
	MEMBER("action", MEMBER_TEXT, NEED_VALUE, TO(action)),
	MEMBER("argv", MEMBER_LIST, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("argv_hex", MEMBER_LIST, NEED_OPTIONAL, NOWHERE),
	MEMBER("boot_id", MEMBER_TEXT, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("collections", MEMBER_LIST, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("digest_after", MEMBER_TEXT, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("digest_before", MEMBER_TEXT, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("exit_status", MEMBER_NUMBER, NEED_NULL_ALLOWED, TO(exit_status)),
	MEMBER("host", MEMBER_TEXT, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("login_user", MEMBER_TEXT, NEED_NULL_ALLOWED, NOWHERE),
	MEMBER("message", MEMBER_TEXT, NEED_NULL_ALLOWED, TO(message)),
	MEMBER("phase", MEMBER_PHASE, NEED_VALUE, TO(phase)),
	MEMBER("pid", MEMBER_NUMBER, NEED_VALUE, NOWHERE),
	MEMBER("prev", MEMBER_DIGEST, NEED_VALUE, TO(prev)),
	MEMBER("run", MEMBER_TEXT, NEED_NULL_ALLOWED, TO(run)),
	MEMBER("schema", MEMBER_ONE, NEED_VALUE, NOWHERE),
	MEMBER("seal", MEMBER_DIGEST, NEED_OPTIONAL, TO(seal)),
	MEMBER("seq", MEMBER_NUMBER, NEED_VALUE, TO(seq)),
	MEMBER("store", MEMBER_TEXT, NEED_NULL_ALLOWED, TO(store)),
	MEMBER("store_hex", MEMBER_TEXT, NEED_OPTIONAL, NOWHERE),
	MEMBER("time", MEMBER_TIME, NEED_VALUE, TO(time)),
	MEMBER("user", MEMBER_TEXT, NEED_NULL_ALLOWED, TO(user)),
};

static bool skip_byte(struct cursor *c, unsigned char byte)
{
	if (c->pos == c->end || *c->pos != byte)
		return false;
	c->pos++;
	return true;
}

static bool skip_word(struct cursor *c, const char *word, size_t len)
{
	if (cursor_left(c) < len || memcmp(c->pos, word, len) != 0)
		return false;
	c->pos += len;
	return true;
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* 0 for what is no lower-case digit, else its value and 16. */
static const unsigned char hex_digits[256] = {
	['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21,
	['6'] = 22, ['7'] = 23, ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27,
	['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
};

/*
 * An escape behind its backslash: its length, and the byte it stands for; 0 when the JSON writer
 * would not have written it.
 */
static size_t scan_escape(const unsigned char *p, size_t left, unsigned char *out)
{
	static const char letters[] = "\"\\ntr";
	static const char bytes[] = "\"\\\n\t\r";
	const char *letter = left > 0 && p[0] != '\0' ? strchr(letters, p[0]) : NULL;
	unsigned char high, low;

	if (letter) {
		*out = (unsigned char)bytes[letter - letters];
		return 1;
	}
	if (left < 5 || memcmp(p, "u00", 3) != 0)
		return 0;
	high = hex_digits[p[3]];
	low = hex_digits[p[4]];
	if (high == 0 || low == 0)
		return 0;
	*out = (unsigned char)((high & 15) << 4 | (low & 15));
	if (*out == '\0' || !is_control(*out) || strchr(bytes, *out))
		return 0;
	return 5;
}

/*
 * How many of eight bytes, from the first on, are plain: ASCII, no control, quote or backslash. A
 * subtraction borrows only from a byte behind one that is a hit itself, so the first hit is exact.
 */
static unsigned plain_bytes(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t quotes = word ^ ones * '"';
	uint64_t slashes = word ^ ones * '\\';
	uint64_t deletes = word ^ ones * 0x7f;
	uint64_t hits = ((word - ones * 0x20) | (quotes - ones) | (slashes - ones) |
			 (deletes - ones) | word) &
			ones << 7;

	return hits ? (unsigned)__builtin_ctzll(hits) / 8 : 8;
}

static bool scan_text(struct cursor *c, struct slice *out)
{
	const unsigned char *start;
	const unsigned char *p;
	bool is_ascii = true;

	if (!skip_byte(c, '"'))
		return false;
	start = c->pos;
	for (p = start; p < c->end && *p != '"';) {
		unsigned plain = c->end - p >= 8 ? plain_bytes(load_le64(p)) : 0;
		unsigned char byte;

		if (plain > 0) {
			p += plain;
		} else if (*p == '\\') {
			size_t len = scan_escape(p + 1, (size_t)(c->end - p - 1), &byte);

			if (len == 0)
				return false;
			p += 1 + len;
		} else if (is_control(*p)) {
			return false;
		} else {
			is_ascii = is_ascii && *p < 0x80;
			p++;
		}
	}
	c->pos = p;
	*out = slice_of(start, (size_t)(p - start));
	return skip_byte(c, '"') && (is_ascii || utf8_is_valid(*out));
}

static bool scan_list(struct cursor *c)
{
	struct slice element;

	if (!skip_byte(c, '['))
		return false;
	if (skip_byte(c, ']'))
		return true;
	do {
		if (!scan_text(c, &element))
			return false;
	} while (skip_byte(c, ','));
	return skip_byte(c, ']');
}

static bool scan_number(struct cursor *c, uint64_t *out)
{
	const unsigned char *start = c->pos;
	uint64_t value = 0;

	while (c->pos < c->end && *c->pos >= '0' && *c->pos <= '9') {
		value = value * 10 + (uint64_t)(*c->pos++ - '0');
		if (value > AUDIT_SEQ_MAX)
			return false;
	}
	*out = value;
	return c->pos > start && (*start != '0' || c->pos == start + 1);
}

static bool scan_digest(struct cursor *c, struct slice *out)
{
	unsigned char all = 16;

	if (!skip_byte(c, '"') || !cursor_take(c, DIGEST_HEX_LEN, out))
		return false;
	for (size_t i = 0; i < DIGEST_HEX_LEN; i++)
		all &= hex_digits[out->ptr[i]];
	return all != 0 && skip_byte(c, '"');
}

static bool is_time(struct slice text)
{
	static const char shape[] = "0000-00-00T00:00:00.000000000Z";

	if (text.len != TIME_LEN)
		return false;
	for (size_t i = 0; i < TIME_LEN; i++) {
		bool is_digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';

		if (shape[i] == '0' ? !is_digit : text.ptr[i] != (unsigned char)shape[i])
			return false;
	}
	return true;
}

static bool is_phase(struct slice text)
{
	for (size_t i = 0; i < VS_COUNT(phase_names); i++) {
		if (slice_eq_str(text, phase_names[i]))
			return true;
	}
	return false;
}

static bool scan_value(struct cursor *c, enum member_kind kind, struct slice *text,
		       uint64_t *number)
{
	switch (kind) {
	case MEMBER_TEXT:
		return scan_text(c, text);
	case MEMBER_LIST:
		return scan_list(c);
	case MEMBER_NUMBER:
		return scan_number(c, number);
	case MEMBER_DIGEST:
		return scan_digest(c, text);
	case MEMBER_TIME:
		return scan_text(c, text) && is_time(*text);
	case MEMBER_PHASE:
		return scan_text(c, text) && is_phase(*text);
	case MEMBER_ONE:
		return scan_number(c, number) && *number == 1;
	}
	return false;
}

static bool scan_member(struct cursor *c, const struct member *m, struct audit_line *out)
{
	struct slice text = { 0 };
	uint64_t number = 0;

	if (m->need == NEED_NULL_ALLOWED && skip_word(c, "null", 4))
		return true;
	if (!scan_value(c, m->kind, &text, &number))
		return false;
	if (m->offset == NOWHERE)
		return true;
	/* Both numbers that are kept have eight bytes; neither is above INT64_MAX. */
	if (m->kind == MEMBER_NUMBER)
		memcpy((unsigned char *)out + m->offset, &number, sizeof(number));
	else
		memcpy((unsigned char *)out + m->offset, &text, sizeof(text));
	return true;
}

bool audit_line_scan(struct slice text, struct audit_line *out)
{
	struct cursor c = cursor_of(text);

	*out = (struct audit_line){ .exit_status = -1 };
	for (size_t i = 0; i < VS_COUNT(members); i++) {
		const struct member *m = &members[i];

		if (!skip_byte(&c, i == 0 ? '{' : ','))
			return false;
		if (skip_word(&c, m->key, m->key_len)) {
			if (!scan_member(&c, m, out))
				return false;
		} else if (m->need == NEED_OPTIONAL) {
			c.pos--; /* the comma is the next member's */
		} else {
			return false;
		}
	}
	return skip_byte(&c, '}') && cursor_left(&c) == 0 && out->seq > 0;
}

const char *audit_line_text(struct slice escaped, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < escaped.len; i++) {
		unsigned char byte = escaped.ptr[i];

		if (byte == '\\')
			i += scan_escape(escaped.ptr + i + 1, escaped.len - i - 1, &byte);
		buf_append_byte(out, byte);
	}
	return buf_cstr(out);
}
