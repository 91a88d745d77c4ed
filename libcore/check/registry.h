/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * registry: THE list of checks, in the order in which they look at a document
 *
 * A family of checks has one row. Its name is what users see in documentation; its level is the
 * least at which it runs.
 */

#include "check/check.h"

struct chromem_check;

struct check_row {
	const char *name;
	enum store_kind kind;
	enum check_level level;
	const struct chromem_check *chromem; /* hooks, for STORE_CHROMEM */
};

size_t registry_count(void);
const struct check_row *registry_row(size_t index);
