/* SPDX-License-Identifier: Apache-2.0 */

/* Paths of members: relative to the store, and never a way out of it. */

#include "snap/private.h"

#include <limits.h>

bool snap_path_is_safe(struct slice path)
{
	size_t start = 0;

	if (path.len == 0 || path.len >= PATH_MAX || memchr(path.ptr, 0, path.len))
		return false;
	for (size_t i = 0; i <= path.len; i++) {
		size_t len = i - start;

		if (i < path.len && path.ptr[i] != '/')
			continue;
		if (len == 0 || len > NAME_MAX || (len == 1 && path.ptr[start] == '.') ||
		    (len == 2 && path.ptr[start] == '.' && path.ptr[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

int snap_path_cmp(const char *a, const char *b)
{
	return strcmp(a, b);
}
