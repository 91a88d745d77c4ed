/* SPDX-License-Identifier: Apache-2.0 */

/* A key file holds the bytes of the key and nothing else, not even a line end. */

#include "key.h"

#include "file/file.h"

#include <fcntl.h>

int key_load(const char *path, unsigned char key[CHROMEM_KEY_LEN], struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = file_read_at(AT_FDCWD, path, FILE_FOLLOW, CHROMEM_KEY_LEN, &bytes, NULL, err);

	if (r > 0)
		return vs_fail(err, VS_EUSAGE, "%s: not a file", path);
	if (r == VS_ELIMIT || (r == 0 && bytes.len != CHROMEM_KEY_LEN))
		return vs_fail(err, VS_EUSAGE, "%s: a key is a file of exactly %d bytes", path,
			       CHROMEM_KEY_LEN);
	if (r < 0)
		return r;
	memcpy(key, bytes.ptr, CHROMEM_KEY_LEN);
	return 0;
}
