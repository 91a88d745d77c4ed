/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * key: the key of an encrypted export, from a file
 */

#include "chromem/chromem.h"
#include "util/util.h"

/* VS_EUSAGE when the file does not hold exactly CHROMEM_KEY_LEN bytes. */
must_check_ int key_load(const char *path, unsigned char key[CHROMEM_KEY_LEN], struct vs_err *err);
