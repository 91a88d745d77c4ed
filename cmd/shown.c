/* SPDX-License-Identifier: Apache-2.0 */

/* The store as a member of every document, and commands that can be pasted whatever the names. */

#include "shown.h"

void emit_store_begin(struct emit *e, const char *path, const char *kind)
{
	emit_object(e, "store");
	emit_json_bytes(e, "path", slice_str(path));
	emit_json_str(e, "kind", kind);
}

void emit_store(struct emit *e, const struct store *store)
{
	emit_store_begin(e, store->path, store_kind_name(store->kind));
	emit_object_end(e);
}

void emit_store_path(struct emit *e, const char *path)
{
	emit_store_begin(e, path, NULL);
	emit_object_end(e);
}

/* Is the word at @at STORE, alone or with a path behind it? */
static bool is_store_word(const char *text, const char *at)
{
	return (at == text || at[-1] == ' ') && strchr(" /", at[5]) != NULL;
}

/* Does a word begin with a dash once the shell has taken its quotes off? */
static bool begins_with_dash(const char *word)
{
	if (word[0] == '$' && word[1] == '\'')
		word++;
	if (word[0] == '\'')
		word++;
	return word[0] == '-';
}

/* Words of @text from the first blank on; quoted ones may hold blanks, which only asks for "--"
 * where it is not needed. */
static bool has_dash_word(const char *text)
{
	while ((text = strchr(text, ' '))) {
		text++;
		if (begins_with_dash(text))
			return true;
	}
	return false;
}

void text_command(struct buf *out, const char *text, const char *store, const char *state)
{
	cleanup_(buf_fini) struct buf word = { 0 };
	const char *at = text;

	while ((at = strstr(at, "STORE")) && !is_store_word(text, at))
		at += 5;
	if (!at) {
		buf_append_str(out, text);
		return;
	}
	text_shell_word(&word, store);
	buf_append(out, text, (size_t)(at - text));
	if (state) {
		buf_append_str(out, "--state ");
		text_shell_word(out, state);
		buf_append_byte(out, ' ');
	}
	if (begins_with_dash(buf_cstr(&word)) || has_dash_word(at))
		buf_append_str(out, "-- ");
	buf_append(out, word.ptr, word.len);
	buf_append_str(out, at + 5);
}
