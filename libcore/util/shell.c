/* SPDX-License-Identifier: Apache-2.0 */

/* Words quoted for a shell, so that a printed command can be pasted whatever the names in it are.
 */

#include "util/util.h"

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("_./-+=:,@%", c));
}

/* Would a terminal show these bytes as something else, or not at all? */
static bool needs_codes(struct slice word)
{
	cleanup_(buf_fini) struct buf escaped = { 0 };
	size_t backslashes = 0;

	for (size_t i = 0; i < word.len; i++)
		backslashes += word.ptr[i] == '\\';
	text_escape(&escaped, word);
	return escaped.len != word.len + backslashes;
}

/* 'it'\''s': everything but the quote itself stands for itself. */
static void append_quoted(struct buf *out, struct slice word)
{
	buf_append_byte(out, '\'');
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] == '\'')
			buf_append_str(out, "'\\''");
		else
			buf_append_byte(out, word.ptr[i]);
	}
	buf_append_byte(out, '\'');
}

/* $'\x1b': bash, zsh and ksh read it, and so will the next POSIX. */
static void append_codes(struct buf *out, struct slice word)
{
	buf_append_str(out, "$'");
	for (size_t i = 0; i < word.len; i++) {
		unsigned char c = word.ptr[i];

		/* Three octal digits: a digit behind them is never taken for a part of the code. */
		if (c < 0x20 || c >= 0x7f)
			buf_printf(out, "\\%03o", c);
		else if (c == '\\' || c == '\'')
			buf_printf(out, "\\%c", c);
		else
			buf_append_byte(out, c);
	}
	buf_append_byte(out, '\'');
}

void text_quote(struct buf *out, struct slice word)
{
	bool plain = word.len > 0;

	for (size_t i = 0; plain && i < word.len; i++)
		plain = is_plain(word.ptr[i]);
	if (plain)
		buf_append(out, word.ptr, word.len);
	else if (needs_codes(word))
		append_codes(out, word);
	else
		append_quoted(out, word);
}
