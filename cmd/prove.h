/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * prove: a program of the user's decides whether a changed store is good
 *
 * What the application's own loader makes of a store is the last word. It never gets the store
 * itself, only a copy in the state directory, which is removed afterwards.
 */

#include "cmd.h"

struct prove {
	const char *command; /* for sh -c; {} stands for the copy's path, else it comes last */
	const char *store;
	const char *state; /* directory, which exists */
};

/*
 * Copy the store, run the command on the copy with its output on stderr, remove the copy. Returns
 * 0 when the command ended with status 0; VS_EFORMAT with what it ended with; VS_EIO when it could
 * not be tried.
 */
must_check_ int prove_run(const struct prove *prove, struct vs_err *err);
