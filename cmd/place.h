/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * place: a directory that is made whole under another name, and then renamed
 *
 * Killed at any instant, there is all of it under its name, or nothing.
 */

#include "file/file.h"

struct place {
	const char *path; /* as given; borrowed */
	char *parent;     /* directory that holds it */
	char *name;       /* in the parent */
	char *part;       /* what it is called until it is whole */
	int parent_dirfd;
	uint32_t mode; /* of the new directory: as it was where it is there already */
};
#define PLACE_CLOSED                                                                               \
	{                                                                                          \
		.parent_dirfd = -1, .mode = 0700                                                   \
	}

/*
 * @path is to be made, as ".NAME.<word>" until it is. VS_EUSAGE when something is there that is not an
 * empty directory. Owned in any case, and freed with place_fini(), which removes nothing.
 */
must_check_ int place_open(struct place *p, const char *path, const char *word, struct vs_err *err);
void place_fini(struct place *p);

/* The part is whole: give it its mode and its name. */
must_check_ int place_put(struct place *p, struct vs_err *err);

/* Nothing is at @path, or an empty directory. */
bool place_is_free(const char *path);
