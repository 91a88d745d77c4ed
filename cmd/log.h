/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * log: lines about changes and failures, for whoever watches a machine (--log-file)
 *
 *	2026-01-22T14:03:09.123Z ERROR verify[4711]: status 4: /var/lib/app/store: corrupt: ...
 *
 * The file is opened for each line and written to in one call at its end: several processes may
 * share it, and it may be rotated at any time. A line that cannot be written is told on stderr and
 * changes nothing else.
 */

#include "cmd.h"

enum log_level {
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
};

/* A line about what happens while the command goes on. Nothing without --log-file. */
void log_event(const struct app *app, enum log_level level, const char *fmt, ...) printf_(3, 4);

/* The line about a command that ends with @status, if it is worth one: app->failure or
 * app->outcome says why. */
void log_end(const struct app *app, int status, char *const *operands);
