/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * known: the names that earlier runs saw in a store
 *
 * Every command that writes to a store, and every metadata backup, writes down the names of its
 * collections (reading commands write nothing). They name a collection whose metadata
 * file is lost later. The file is `known-names.jsonl` in the state directory, one object a line:
 *
 *	{"schema":1,"hash":"e9f85bf6","name":"contextd_memories",
 *	 "first_seen":"2026-01-22T14:03:09Z","source":"repair"}
 *
 * A name that is no plain text is kept as "name_hex", its bytes in hex, instead. Lines are only
 * ever added. One that cannot be read, as a crash may leave it, is passed over. Part of the room's
 * front door.
 */

#include "util/util.h"

#define KNOWN_NAMES_FILE "known-names.jsonl"
#define KNOWN_NAMES_SIZE_MAX (UINT64_C(64) << 20)

struct lookup;

/*
 * Tell @l all names of the state directory @state_dirfd; none when there is no such file. Lines
 * that cannot be read are counted in *@bad_lines, which may be NULL. Fails with VS_ELIMIT when the
 * file is over KNOWN_NAMES_SIZE_MAX, VS_EIO, VS_EACCES.
 */
must_check_ int known_names_load(struct lookup *l, int state_dirfd, uint64_t *bad_lines,
				 struct vs_err *err);

/*
 * Add those of @names that are not there yet, each once; *@added, which may be NULL, counts them.
 * @source says which command saw them ("repair"), @now_ns when. The caller holds the lock of the state
 * directory. Killed at any instant, whole lines and at most one broken one are there.
 */
must_check_ int known_names_add(int state_dirfd, const struct slice *names, size_t count,
				const char *source, int64_t now_ns, size_t *added,
				struct vs_err *err);
