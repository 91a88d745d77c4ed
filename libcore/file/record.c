/* SPDX-License-Identifier: Apache-2.0 */

/* Small JSON files of the project's own, which say what they are. */

#include "file/file.h"

#define RECORD_SIZE_MAX (UINT64_C(64) << 10)

int file_read_record_at(int dirfd, const char *name, const char *kind, struct jr **out,
			struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *doc = NULL;
	uint64_t schema = 0;
	const char *found;
	int r;

	r = file_read_at(dirfd, name, FILE_NO_FOLLOW, RECORD_SIZE_MAX, &text, NULL, err);
	if (r == VS_ENOENT) {
		*err = (struct vs_err){ 0 };
		return 1;
	}
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s is not a regular file", name);
	if (r == 0)
		r = jr_parse(&doc, buf_slice(&text), err);
	if (r < 0)
		return vs_err_in(err, "%s", name);
	if (!jr_is_object(doc) || !jr_get_uint(doc, "schema", &schema) || schema != 1 ||
	    !jr_get_str(doc, "kind", &found) || strcmp(found, kind) != 0)
		return vs_fail(err, VS_EFORMAT, "%s is no %s file of schema 1", name, kind);
	*out = doc;
	doc = NULL;
	return 0;
}
