/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * operate: what `status`, `health` and `monitor` share: a store with its state directory, and the
 * figures of the machine
 */

#include "cmd.h"
#include "monitor-record.h"

#include "snap/snap.h"

#define OPERATE_STATE(type)                                                                        \
	OPT_DIR("state", 0, type, state, "DIR",                                                    \
		"where snapshots, journal and audit log are kept; default: STORE.vsctl")

/* Bytes that are free for us on the file system of @path, and percent in use. */
must_check_ int machine_disk(const char *path, uint64_t *free_bytes, double *percent,
			     struct vs_err *err);

/* "3 h", "2 days": how long ago, for people. */
void age_format(int64_t age_ns, char out[32]);

/* The newest snapshot whose last drill was good, or with any drill when @good is false; NULL. */
const struct snap_manifest *snap_list_drilled(const struct snap_list *list, bool good);
