/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* keep: the state of a store before a change that replaces much of it, as a snapshot of its own */

#include "change.h"

/* Make it, for @command. *@id is owned; free what was there before. */
must_check_ int keep_state_before(const struct change *c, const struct check_summary *before,
				  const char *command, char **id, struct vs_err *err);
