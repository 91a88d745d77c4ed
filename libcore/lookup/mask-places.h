/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a mask consists of. Internal to the room. */

#include "lookup/mask.h"

struct mask_place {
	size_t count;
	unsigned char bytes[256]; /* each once, in the order of the mask */
};

struct mask {
	size_t len;
	uint64_t size;
	struct mask_place places[MASK_LEN_MAX];
};

/* Number of @name, which must be one of the mask's: the reverse of mask_at(). */
uint64_t mask_index(const struct mask *mask, const unsigned char *name);
