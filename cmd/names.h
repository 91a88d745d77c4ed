/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* names: the search for a collection's name, as the writing commands use it. */

#include "change.h"

struct name_finder {
	struct change *change;
};

/*
 * For struct fixes_request: the name of @collection when exactly one trusted name fits. @ctx is a
 * struct name_finder. Returns 1 and owned texts, 0 when there is none or more than one, or
 * negative.
 */
int names_find_one(void *ctx, const char *collection, char **name, char **evidence,
		   struct vs_err *err);
