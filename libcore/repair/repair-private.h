/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share. */

#include "repair/repair.h"

#define QUARANTINE_DIR ".quarantine"
