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

/* What the caller knows about the path. */
enum store_flags {
	STORE_ASSUME_CHROMEM = 1, /* any directory is a chromem store, as it is for the library */
	STORE_HAS_KEY = 2,        /* a key is at hand: any file may be an encrypted export */
};

/*
 * Open @path for reading and find out what it is; nothing is created or changed. *@out is owned and
 * freed with store_closep(). @flags is a sum of enum store_flags.
 *
 * Fails with VS_ENOENT when nothing is there; VS_EACCES; VS_EFORMAT when it is something else. The
 * text then says in one sentence what it looks like and what to type instead.
 *
 * A chromem store is a directory in which at least one directory is a collection: named 8 hex
 * digits, or holding *.gob or *.gob.gz files, damaged or not. So is an empty directory, as the
 * library would open it. A Chroma store has chroma.sqlite3 in it, or at least a vector index. An
 * export is a file that begins as gob data do, packed or not, or that is named like one.
 */
must_check_ int store_open(struct store **out, const char *path, unsigned flags,
			   struct vs_err *err);
void store_closep(struct store **store);

/*
 * Find stores below @path, itself included, for checks of a whole tree (contextd keeps one store
 * per tenant and project, TENANT/PROJECT/<collection directories>, and its fallback store in
 * .claude/contextd/store). Bounded depth (STORE_NESTING_MAX), symbolic links not followed,
 * `.quarantine` and `*.vsctl` directories not entered. A directory that may not be read is in the
 * list, too: opening it tells why, and no store is passed over in silence. @paths become owned
 * strings relative to @path ("." for itself), sorted in byte order, free each and the array.
 */
#define STORE_NESTING_MAX 8
must_check_ int store_find_nested(const char *path, char ***paths, size_t *count,
				  struct vs_err *err);
