/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * store: which kind of store a path holds, and a common handle for it
 */

#include "util/util.h"

enum store_kind {
	STORE_CHROMEM,        /* chromem-go's persistent directory */
	STORE_CHROMEM_EXPORT, /* one file with a whole chromem store in it */
	STORE_CHROMA,         /* ChromaDB's local directory */
};

const char *
store_kind_name(enum store_kind kind); /* "chromem", "chromem", "chroma", as in JSON output */

struct store {
	enum store_kind kind;
	char *path; /* as the user gave it */
	int dirfd;  /* of the store's directory; -1 for an export file */
};

/*
 * Open @path for reading and find out what it is; nothing is created or changed. *@out is owned and
 * freed with store_closep().
 *
 * Fails with VS_ENOENT when nothing is there; VS_EACCES; VS_EFORMAT when it is something else, and
 * then the text says what it looks like ("a directory of JPEG pictures" is beyond it; "an SQLite
 * database that is not Chroma's", "a collection directory inside a store: give the directory above
 * it", "a gzip archive", "an empty directory", "a restic repository" are not) and what to type
 * instead.
 *
 * An empty directory is an empty chromem store: the library would open it. So is one that has no
 * directories that look like collections, when @assume_chromem is set; without it, a directory in
 * which no entry is a collection directory (8 hex digits, or any directory that holds *.gob or
 * *.gob.gz files) is refused.
 */
must_check_ int store_open(struct store **out, const char *path, bool assume_chromem,
			   struct vs_err *err);
void store_closep(struct store **store);

/*
 * Find stores below @path, itself included, for checks of a whole tree (contextd keeps one store
 * per tenant and project: TENANT/PROJECT/<collection directories>). Bounded depth
 * (STORE_NESTING_MAX), symbolic links not followed, `.quarantine` and `*.vsctl` directories not
 * entered. @paths become owned strings relative to @path ("." for itself), sorted in byte order,
 * free each and the array.
 */
#define STORE_NESTING_MAX 8
must_check_ int store_find_nested(const char *path, char ***paths, size_t *count,
				  struct vs_err *err);
