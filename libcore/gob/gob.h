/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * gob: the stream written by Go's encoding/gob
 */

#include "util/util.h"

#include "gob/gob-write.h"
