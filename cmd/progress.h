/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * progress: how far a long command is, on stderr
 *
 * SIGUSR1 always prints one line. On a terminal a line is kept up to date once a command takes
 * longer than a moment, and taken away in the end; with --progress SEC a line is printed every so
 * many seconds, wherever stderr goes. Else nothing is printed.
 */

#include "cmd.h"

/* Handle SIGUSR1 from here on. */
void progress_init(const struct app *app);

/* Tell how far @p is until progress_end(); @items is what one item is called ("document"). */
void progress_begin(const struct app *app, const struct vs_progress *p, const char *items);
void progress_end(void);
