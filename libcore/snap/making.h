/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * making: a snapshot under construction
 *
 * create.c says what happens in which order; match.c decides which files must be read; archive.c
 * reads, packs and writes them. Private to the room.
 */

#include "snap/private.h"

struct chromem_seal;

/* One file of the listing, and what becomes of it. */
struct item {
	const struct snap_found *found;
	const struct snap_member *before; /* of the parent; NULL: it had none there */
	struct file_info info;            /* when it was read */
	struct digest digest;
	bool must_read;
	bool is_stored; /* in the new archive */
	bool is_gone;   /* listed, and not there any more */
};

struct making {
	const struct snap_create_request *req;
	const struct store *store;
	const struct snap_backend *backend;
	void *state; /* the backend's */
	int state_dirfd;
	int64_t now_ns;
	struct snap_place place;
	char id[SNAP_ID_MAX + 1];
	char part[SNAP_FILE_MAX];     /* the archive, while it is written */
	struct snap_manifest *parent; /* NULL: none that may be built on; owned */
	struct file_seen *seen;       /* what looks at the store have seen: the request's, or */
	struct file_seen *own_seen;   /* owned; that where the request has none */
	struct snap_listing listing;
	struct item *items; /* one for each file of the listing; owned */
	struct pool *pool;
	struct snap_manifest *m; /* what is being made; owned */
	struct buf list;         /* of its members, packed */

	/* The archive. */
	int fd;
	uint64_t written;
	struct digest written_digest;
	struct digest_ctx *digest;
	struct chromem_seal *seal;
};

/* match.c: find a parent, and set before and must_read of each item. */
must_check_ int making_find_parent(struct making *mk, struct vs_err *err);
void making_match(struct making *mk);
/* The archives of the parent that the items still need; more than SNAP_CHAIN_MAX ask for a full
 * snapshot. */
size_t making_chain(const struct making *mk);

/* archive.c: read what must be read, and write mk->part, which stays open as mk->fd and is not synced
 * yet. Sets m->archives[0]. */
must_check_ int making_write_archive(struct making *mk, struct vs_err *err);

/* read-file.c: open a file of the store, and say what it is. VS_ENOENT: it is gone. */
must_check_ int making_open(struct making *mk, const struct snap_found *found, int *fd,
			    struct file_info *info, struct vs_err *err);

/* Read the bytes of one file as it is now. 1: it is gone. */
must_check_ int making_read(struct making *mk, const struct snap_found *found, struct buf *out,
			    struct file_info *info, struct vs_err *err);
