/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * detect: which kind of store a directory or a file is, and what it is when it is none
 *
 * Private to the room.
 */

#include "store/store.h"
#include "store/survey.h"
#include "util/util.h"

/*
 * Is the directory, whose names are in @s, a store? Returns 1 with *@kind, 0 when it is none.
 * Damage does not hide a store: one collection directory is enough, whatever is left in it.
 */
int detect_directory(int dirfd, const struct survey *s, enum store_kind *kind);

/* So many bytes of a file are looked at. */
#define DETECT_HEAD_LEN 4096

/* The same for a file, from its name and its first bytes. */
bool detect_export(const char *path, struct slice head, bool has_key);

/*
 * Say what a directory or file that is no store looks like, and what to type instead; these return
 * the status of @err, VS_EFORMAT.
 */
int describe_directory(const char *path, int dirfd, const struct survey *s, struct vs_err *err);
int describe_file(const char *path, struct slice head, struct vs_err *err);
int describe_other(const char *path, enum file_type type, struct vs_err *err);

/* Why @path cannot be opened: completes @err with what to do about it, keeps its status. */
int describe_refusal(const char *path, struct vs_err *err);

/* How many directories nested_search() may look into when it only wants to know whether there is a
 * store. */
#define SEARCH_HINT_LIMIT 2000

/*
 * Look for stores in the directory and below it. Calls @fn with paths relative to it, "." for
 * itself, in no order; stops when @fn returns non-zero, and returns that. Gives up in silence after
 * @limit directories.
 */
int nested_search(int dirfd, size_t limit, int (*fn)(void *ctx, const char *path), void *ctx,
		  struct vs_err *err);
