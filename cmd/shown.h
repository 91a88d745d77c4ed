/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* shown: what several commands print in the same way: the store, and the command to type next. */

#include "cmd.h"

#include "store/store.h"

/* Open the member "store" of the document and give its path and kind; more may follow. */
void emit_store_begin(struct emit *e, const char *path, const char *kind);

/* The whole member. */
void emit_store(struct emit *e, const struct store *store);

/* The same of a store that is not looked at, or not there: its kind is null. */
void emit_store_path(struct emit *e, const char *path);

/*
 * Append a command as it can be pasted: @text with the word STORE replaced by @store, alone or with
 * a path behind it. Everything behind STORE is operands, quoted already; where one of them, or the
 * store, begins with a dash, "--" is put before the store. @state, which may be NULL, becomes the
 * option --state.
 */
void text_command(struct buf *out, const char *text, const char *store, const char *state);
