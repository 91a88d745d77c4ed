/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share. */

#include "repair/repair.h"

#define QUARANTINE_DIR ".quarantine"

/* A collection's metadata map, and where it was found (NULL: nowhere). Owned. (map.c) */
struct meta_map {
	struct chromem_pair *pairs;
	size_t count;
	const char *from;
};
void meta_map_fini(struct meta_map *map);

/* The map for @req; @file is what stands in the directory @dirfd where the metadata go. */
must_check_ int meta_map_find(struct meta_map *out, const struct recover_request *req, int dirfd,
			      const char *file, struct vs_err *err);

/*
 * What names_gather() reads outside the store: manifests of snapshots and the audit log in the
 * state directory (-1: there is none), contextd's write-ahead log beside the store (sources.c).
 */
struct lookup;
must_check_ int names_gather_written(struct lookup *l, const struct store *store, int state_dirfd,
				     const struct name_target *targets, size_t count,
				     struct vs_err *err);
