/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * collection: one collection directory, opened, listed, and its metadata read
 *
 * Owns all that a struct chromem_collection points to, so that several can be open at a time.
 * Private to the room.
 */

#include "chromem/chromem.h"

/*
 * The documents of a small collection are read when it is opened, so that this is done by all
 * workers: ten thousand collections of three documents would otherwise be read by one.
 */
#define AHEAD_DOCUMENTS 16
#define AHEAD_BYTES ((size_t)64 << 10)

struct ahead {
	size_t index; /* of its entry */
	size_t off, len;
};

struct collection {
	struct chromem_collection shown; /* what visitors get */
	int dirfd;
	enum file_flags atime; /* FILE_NO_ATIME where the directory is our own, and so its files */
	struct chromem_list *list;
	struct chromem_meta meta;
	struct chromem_fault fault; /* of the directory when it was not opened, else of metadata */
	unsigned char *text;        /* what the slices of @meta point to */
	struct chromem_pair *pairs;
	struct ahead ahead[AHEAD_DOCUMENTS];
	size_t ahead_count;
	struct buf ahead_bytes; /* as on disk */
	size_t weight;          /* roughly its bytes in memory */
};

/*
 * Open the directory @name of the store at @dirfd into @out; @name is borrowed. Returns 0; 1 with
 * @out->fault filled when the directory cannot be opened or listed; negative when we cannot go on
 * (no memory, no descriptors). @out is zeroed before, and needs collection_fini() in every case.
 */
must_check_ int collection_open(struct collection *out, int dirfd, const char *name,
				enum chromem_compression c, struct chromem_reader *reader,
				struct vs_err *err);
void collection_fini(struct collection *collection);

/*
 * Read documents ahead if there are few and they are small. What cannot be read is left for later,
 * to be reported then.
 */
void collection_read_ahead(struct collection *collection, struct chromem_reader *reader);

/* The document of that entry if it was read; NULL otherwise. */
const struct ahead *collection_find_ahead(const struct collection *collection, size_t index);

/* The fault of a file that is no file: nothing was opened. */
void fault_not_a_file(struct chromem_fault *fault, enum file_type type);
