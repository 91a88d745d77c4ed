/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files below the source directory, whole; what goes wrong here fails the test. */

#include "util/util.h"

#include <criterion/criterion.h>

static inline void fixture_load(const char *name, struct buf *out)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	const char *root = getenv("SOURCE_ROOT");
	unsigned char block[4096];
	FILE *file;
	size_t n;

	cr_assert_not_null(root, "SOURCE_ROOT is not set");
	buf_printf(&path, "%s/%s", root, name);
	file = fopen(buf_cstr(&path), "rb");
	cr_assert_not_null(file, "%s", buf_cstr(&path));
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_append(out, block, n);
	(void)fclose(file);
}
