/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault: fail, or die at, the n-th disk-changing call
 *
 * An operation runs in a forked child with a seam that counts. fault_run() says whether the child
 * came to the fault point at all, so a test walks n = 1, 2, ... until it does not, and looks at the
 * disk after each.
 */

#include "file/file.h"
#include "util/util.h"

enum fault_mode {
	FAULT_EIO,
	FAULT_ENOSPC,          /* writes put half of their bytes first */
	FAULT_KILL,            /* the process ends before the call */
	FAULT_KILL_AFTER_HALF, /* as KILL, but a write puts half of its bytes first */
	FAULT_MODES_,
};

enum fault_outcome {
	FAULT_NOT_REACHED, /* the operation ended before the n-th call, and succeeded */
	FAULT_FAILED,      /* the operation reported a failure */
	FAULT_SURVIVED,    /* it succeeded although a call failed */
	FAULT_KILLED,
};

/*
 * Run @operation(ctx) in a child whose n-th disk-changing call meets @mode. It returns 0 or
 * negative, and prints nothing. A crash of the child, or anything else unexpected, fails the test
 * at once.
 */
enum fault_outcome fault_run(unsigned n, enum fault_mode mode, int (*operation)(void *ctx),
			     void *ctx);

/*
 * From one fault point to the next: 1, unless CRASH_STRIDE says a larger number, as scripts/test
 * does for scenes that take long under sanitizers.
 */
unsigned fault_stride(void);

/* Where scenes go: in memory where that is to be had, since thousands of them are synced thousands
 * of times. */
const char *fault_scratch(void);

const char *fault_mode_name(enum fault_mode mode);
