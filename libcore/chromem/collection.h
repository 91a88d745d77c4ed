/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * collection: one collection directory, opened, listed, and its metadata read
 *
 * Owns all that a struct chromem_collection points to, so that several can be open at a time.
 * Private to the room.
 */

#include "chromem/chromem.h"

struct collection {
	struct chromem_collection shown; /* what visitors get */
	int dirfd;
	enum file_flags atime; /* FILE_NO_ATIME where the directory is our own, and so its files */
	struct chromem_list *list;
	struct chromem_meta meta;
	struct chromem_fault fault; /* of the directory when it was not opened, else of metadata */
	unsigned char *text;        /* what the slices of @meta point to */
	struct chromem_pair *pairs;
	size_t weight; /* roughly its bytes in memory */
};

/*
 * Open the directory @name of the store at @dirfd into @out, as @req has it; @name is borrowed. Returns 0; 1 with
 * @out->fault filled when the directory cannot be opened or listed; negative when we cannot go on
 * (no memory, no descriptors). @out is zeroed before, and needs collection_fini() in every case.
 */
must_check_ int collection_open(struct collection *out, int dirfd, const char *name,
				const struct chromem_scan_request *req,
				struct chromem_reader *reader, struct vs_err *err);
void collection_fini(struct collection *collection);

/* The fault of a file that is no file: nothing was opened. */
void fault_not_a_file(struct chromem_fault *fault, enum file_type type);
