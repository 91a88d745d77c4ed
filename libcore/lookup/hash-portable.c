/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The engine for every machine: the lane code over four lanes and no instruction set named, which
 * the compiler turns into SSE2, NEON or plain words as the target allows. Four lanes because that
 * is the register all current targets have; where there is none it is still right.
 */

#include "lookup/hash-kernel.h"

#define LANE_COUNT 4
#define LANE_FN
#include "lookup/hash-lanes.h"

static bool always(void)
{
	return true;
}

const struct hash_kernel hash_kernel_portable = {
	.name = "portable",
	.is_available = always,
	.finish = lanes_finish,
	.absorb = hash_absorb_scalar,
};
