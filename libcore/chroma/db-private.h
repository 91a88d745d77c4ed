/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the two files that talk to SQLite share: db.c reads, edit.c changes a copy. They are two so
 * that what only reads a store needs nothing that can write.
 */

#include "chroma/chroma.h"

#include <sqlite3.h>

struct chroma_db {
	sqlite3 *handle;
	int dirfd; /* of the store; borrowed */
	struct chroma_db_info info;
	struct file_info file; /* when it was opened */
	struct chroma_copy copy;
	const char *scratch; /* for another copy; borrowed */
};

/* The status and the text for a result code of SQLite. @handle may be NULL. */
int chroma_fail_sqlite(sqlite3 *handle, int code, struct vs_err *err);

/* What a hostile file could make SQLite do is switched off; sizes are limited. */
must_check_ int chroma_db_settle(sqlite3 *handle, struct vs_err *err);
