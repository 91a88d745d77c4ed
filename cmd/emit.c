/* SPDX-License-Identifier: Apache-2.0 */

/* The output stream: writing it out, JSON documents, lines and paragraphs of text. */

#include "emit-private.h"

void emit_init(struct emit *e, FILE *out)
{
	*e = (struct emit){ .out = out };
	jw_init(&e->json, &e->buf);
}

static void write_out(struct emit *e)
{
	if (e->buf.len > 0 && e->sysno == 0 &&
	    fwrite(e->buf.ptr, 1, e->buf.len, e->out) != e->buf.len)
		e->sysno = errno;
	buf_clear(&e->buf);
}

void emit_write_some(struct emit *e)
{
	if (e->buf.len >= EMIT_HOLD)
		write_out(e);
}

int emit_finish(struct emit *e, struct vs_err *err)
{
	write_out(e);
	if (e->sysno == 0 && fflush(e->out) != 0)
		e->sysno = errno;
	if (e->sysno == 0)
		return 0;
	errno = e->sysno;
	return vs_fail_errno(err, "cannot write the output");
}

/* ---- JSON ---- */

void emit_document(struct emit *e, const char *command)
{
	if (!e->is_json)
		return;
	assert(!e->has_document);
	e->has_document = true;
	jw_object(&e->json);
	jw_uint_field(&e->json, "schema", 1);
	jw_str_field(&e->json, "command", command && *command ? command : NULL);
}

void emit_document_end(struct emit *e)
{
	if (!e->is_json)
		return;
	assert(e->has_document && e->json.depth == 1);
	jw_object_end(&e->json);
	buf_append_byte(&e->buf, '\n');
	e->has_document = false;
	jw_init(&e->json, &e->buf);
}

static bool json_key(struct emit *e, const char *key)
{
	if (!e->is_json)
		return false;
	if (key)
		jw_key(&e->json, key);
	emit_write_some(e);
	return true;
}

void emit_object(struct emit *e, const char *key)
{
	if (json_key(e, key))
		jw_object(&e->json);
}

void emit_object_end(struct emit *e)
{
	if (e->is_json)
		jw_object_end(&e->json);
}

void emit_array(struct emit *e, const char *key)
{
	if (json_key(e, key))
		jw_array(&e->json);
}

void emit_array_end(struct emit *e)
{
	if (e->is_json)
		jw_array_end(&e->json);
}

void emit_json_str(struct emit *e, const char *key, const char *text)
{
	if (json_key(e, key))
		jw_str(&e->json, text);
}

void emit_json_bytes(struct emit *e, const char *key, struct slice bytes)
{
	if (!e->is_json)
		return;
	if (bytes.ptr)
		jw_bytes_field(&e->json, key, bytes);
	else
		emit_json_null(e, key);
	emit_write_some(e);
}

void emit_json_uint(struct emit *e, const char *key, uint64_t value)
{
	if (json_key(e, key))
		jw_uint(&e->json, value);
}

void emit_json_double(struct emit *e, const char *key, double value, int decimals)
{
	if (json_key(e, key))
		jw_double(&e->json, value, decimals);
}

void emit_json_float(struct emit *e, const char *key, float value)
{
	if (json_key(e, key))
		jw_float(&e->json, value);
}

void emit_json_bool(struct emit *e, const char *key, bool value)
{
	if (json_key(e, key))
		jw_bool(&e->json, value);
}

void emit_json_null(struct emit *e, const char *key)
{
	if (json_key(e, key))
		jw_null(&e->json);
}

void emit_json_raw(struct emit *e, const char *key, struct slice json)
{
	if (json_key(e, key))
		jw_raw(&e->json, json);
}

/* ---- text ---- */

void emit_append_styled(struct emit *e, enum emit_style style, struct slice text)
{
	static const char *const codes[] = {
		[EMIT_PLAIN] = "",   [EMIT_GOOD] = "32", [EMIT_WARN] = "33",
		[EMIT_BAD] = "1;31", [EMIT_DIM] = "2",   [EMIT_BOLD] = "1",
	};
	bool is_styled = e->has_color && style != EMIT_PLAIN && text.len > 0;

	if (is_styled)
		buf_printf(&e->buf, "\x1b[%sm", codes[style]);
	buf_append(&e->buf, text.ptr, text.len);
	if (is_styled)
		buf_append_str(&e->buf, "\x1b[0m");
}

static void append_indent(struct emit *e, size_t indent)
{
	for (size_t i = 0; i < indent; i++)
		buf_append_byte(&e->buf, ' ');
}

/* The word at @off with the spaces before it. */
static struct slice next_word(struct slice text, size_t off, size_t *spaces)
{
	size_t start = off;
	size_t end;

	while (start < text.len && text.ptr[start] == ' ')
		start++;
	*spaces = start - off;
	for (end = start; end < text.len && text.ptr[end] != ' ';)
		end++;
	return slice_of(text.ptr + start, end - start);
}

void emit_append_wrapped(struct emit *e, size_t indent, size_t column, struct slice text)
{
	bool is_first = true;
	size_t off = 0;

	if (e->width == 0) {
		buf_append(&e->buf, text.ptr, text.len);
		return;
	}
	while (off < text.len) {
		size_t spaces;
		struct slice word = next_word(text, off, &spaces);
		size_t columns = text_columns(word);

		off += spaces + word.len;
		if (!is_first && column + spaces + columns > e->width) {
			buf_append_byte(&e->buf, '\n');
			append_indent(e, indent);
			column = indent;
		} else {
			append_indent(e, spaces);
			column += spaces;
		}
		buf_append(&e->buf, word.ptr, word.len);
		column += columns;
		is_first = false;
	}
}

void emit_line(struct emit *e, const char *fmt, ...)
{
	cleanup_(vs_freep) char *text = NULL;
	va_list ap;
	int len;

	if (e->is_json)
		return;
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	assert(len >= 0);
	buf_append(&e->buf, text, (size_t)len);
	buf_append_byte(&e->buf, '\n');
	emit_write_some(e);
}

void emit_paragraph(struct emit *e, size_t indent, enum emit_style style, const char *head,
		    const char *text)
{
	if (e->is_json)
		return;
	emit_append_styled(e, style, slice_str(head));
	emit_append_wrapped(e, indent, text_columns(slice_str(head)), slice_str(text));
	buf_append_byte(&e->buf, '\n');
	emit_write_some(e);
}

/* ---- helpers ---- */

void text_shell_word(struct buf *out, const char *word)
{
	text_quote(out, slice_str(word));
}

size_t text_columns(struct slice text)
{
	size_t columns = 0;

	for (size_t i = 0; i < text.len; i++)
		columns += (text.ptr[i] & 0xc0) != 0x80;
	return columns;
}
