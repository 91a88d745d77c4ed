/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * gaps: what was not looked at
 *
 * A verdict is worth as much as what it is based on, so everything that was passed over is listed.
 * Limits of the level asked for are listed too and change no verdict; a part that the level
 * promises to look at, and that could not be, does.
 */

#include "check/check.h"

struct kept_gap {
	char *path, *what, *why;
	bool is_limit;
};

struct gaps {
	struct kept_gap *row;
	size_t count, cap;
	uint64_t broken_promises; /* gaps that are not limits of the level */
	uint64_t omitted;         /* over the number that is kept */
};

void gaps_fini(struct gaps *g);
void gaps_add(struct gaps *g, const char *path, const char *what, const char *why, bool is_limit);

/* Hand them out, and make the verdict `unverified` where a promise was not kept and no error seen. */
void gaps_emit(const struct gaps *g, const struct check_sink *sink, struct check_summary *out);
