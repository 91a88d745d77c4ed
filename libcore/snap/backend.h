/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * backend: what a snapshot needs to know of a kind of store
 *
 * One table of functions per kind; create.c, diff.c and the rest know no kind by name. To add
 * one, write a table and put it into snap_backend_for(). Private to the room.
 */

#include "snap/snap.h"

/* Files and directories of a store, as found at one moment. Sorted by path once complete. */
struct snap_found {
	char *path;
	bool is_link;
	struct file_info info; /* of the file that is read, behind a symbolic link */
};

struct snap_listing {
	unsigned jobs;          /* threads to list with; 0 is 1. Set before listing */
	struct file_seen *seen; /* likewise; borrowed, NULL: every file is looked at */
	struct snap_found *files;
	size_t file_count, file_cap;
	struct snap_directory *directories;
	size_t directory_count, directory_cap;
	struct snap_skipped *skipped;
	size_t skipped_count, skipped_cap;
};
void snap_listing_fini(struct snap_listing *l);

/* Every file below @dirfd, in byte order; symbolic links to files count as what they lead to. The
 * list() of a kind whose files are all its own. */
must_check_ int snap_list_tree(int dirfd, struct snap_listing *out, struct vs_err *err);

struct snap_backend {
	const char *kind; /* as store_kind_name() */

	/*
	 * Get ready to read: *@state is the backend's own, freed by end(). All three may be NULL. A
	 * kind whose files change in place under a transaction makes its copies in refresh(), which
	 * comes before each reading of the store; @scratch_dirfd is for them.
	 */
	int (*begin)(const struct store *store, int scratch_dirfd, void **state,
		     struct vs_err *err);
	int (*refresh)(const struct store *store, void *state, struct vs_err *err);
	void (*end)(void *state);

	/* Which files there are now. Asked before and after the reading: when both agree, it was
	 * stable. @state is NULL where no snapshot is being made. */
	int (*list)(const struct store *store, void *state, struct snap_listing *out,
		    struct vs_err *err);

	/* Does what was copied by refresh() belong to what the store is now? NULL: it does. */
	int (*is_current)(const struct store *store, void *state, bool *out, struct vs_err *err);

	/* The descriptor that holds @path's bytes, and what list() says of it; NULL: the file of
	 * that name in the store. @state is as for list(). */
	int (*open)(const struct store *store, void *state, const char *path, int *fd,
		    struct file_info *info, struct vs_err *err);

	/*
	 * May @bytes of a file that was written a moment ago be only the first part of what its
	 * writer is about to write? Then it is read again. Called by any thread. May be NULL.
	 */
	bool (*is_half)(const char *path, struct slice bytes);

	/*
	 * Group the members of @m: make its collections (directory, name, documents), and set
	 * collection and batch of each member. Sums and roots follow from these by themselves.
	 * @read gives the bytes of a member that the grouping needs (names, say). Where records are
	 * no files, it sets documents and rows of the collections as well.
	 */
	int (*group)(struct snap_manifest *m, void *state,
		     int (*read)(void *ctx, const struct snap_member *member, struct buf *out,
				 struct vs_err *err),
		     void *ctx, struct vs_err *err);
};

/* VS_ENOTSUP when there is none for this kind. */
must_check_ int snap_backend_for(enum store_kind kind, const struct snap_backend **out,
				 struct vs_err *err);

extern const struct snap_backend snap_backend_chromem;
extern const struct snap_backend snap_backend_chroma;
