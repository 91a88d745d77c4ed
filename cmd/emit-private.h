/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What emit.c and emit-layout.c share.
 */

#include "emit.h"

/* Bytes held back before they are written. */
#define EMIT_HOLD ((size_t)1 << 16)

void emit_write_some(struct emit *e); /* once EMIT_HOLD is reached */

/* Append @text in @style; plain where the output has no colour. */
void emit_append_styled(struct emit *e, enum emit_style style, struct slice text);

/* Append @text from column @column on, broken at the terminal's width and continued at @indent. */
void emit_append_wrapped(struct emit *e, size_t indent, size_t column, struct slice text);
