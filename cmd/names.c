/* SPDX-License-Identifier: Apache-2.0 */

/* A name for one collection, from everything that the store and its state directory know. */

#include "names.h"

int names_find_one(void *ctx, const char *collection, char **name, char **evidence,
		   struct vs_err *err)
{
	struct name_finder *finder = ctx;
	struct change *c = finder->change;

	return names_find_collection(c->store, session_state_dirfd(c->session), collection, name,
				     evidence, err);
}
