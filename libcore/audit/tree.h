/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tree: the digest of a store's contents, for the records before and after a change
 *
 * SHA-256 over "<64 hex digits of the file's SHA-256>  ./<path>\0" for each regular file below the
 * store, hidden ones and the quarantine included, in byte order of the paths: what
 *
 *	find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z | sha256sum
 *
 * prints in the store, so that nobody needs this program to hold a record against a store. Modes,
 * times, links and empty directories are not in it.
 *
 * What it costs: the first digest reads every byte once, with as many threads as given. One made
 * again from the same struct reads only files whose inode, size or times have changed, and looks at
 * the rest: a call to the system each. What others have read of the store and written down in what
 * audit_tree_known() gives (file/known.h) is not read again, nor do they read what stands there.
 *
 * Part of the room's front door.
 */

struct audit_tree; /* what was read; owned, freed with audit_tree_freep() */

struct audit_tree *audit_tree_new(void);
void audit_tree_freep(struct audit_tree **tree);

/* What was read of files; borrowed. */
struct file_known *audit_tree_known(struct audit_tree *tree);

/*
 * The digest of what is below @store_dirfd now. Fails, with the path, where a file cannot be read
 * or changes while it is read; what @tree knows stays true then.
 */
must_check_ int audit_tree_digest(struct audit_tree *tree, int store_dirfd, unsigned threads,
				  struct digest *out, struct vs_err *err);
