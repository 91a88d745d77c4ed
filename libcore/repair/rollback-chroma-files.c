/* SPDX-License-Identifier: Apache-2.0 */

/* Which files of a Chroma store a rollback concerns: the database, and directories of indexes. */

#include "repair/rollback-chroma.h"

#include <fcntl.h>
#include <unistd.h>

bool chroma_is_chosen(const struct rollback_request *req, const char *id)
{
	for (size_t i = 0; i < req->collection_count; i++) {
		if (strcmp(req->collections[i], id) == 0)
			return true;
	}
	return req->collection_count == 0;
}

/* ---- directories ---- */

/* Index directories have the id of their segment as a name. */
static bool is_uuid(struct slice name)
{
	if (name.len != 36)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? name.ptr[i] != '-'
			    : !memchr("0123456789abcdefABCDEF", name.ptr[i], 22))
			return false;
	}
	return true;
}

/* The directory of an index that the file @path is in, one way or the other. */
bool chroma_index_of(const char *path, struct slice *out)
{
	const char *slash = strchr(path, '/');

	if (!slash)
		return false;
	*out = slice_of(path, (size_t)(slash - path));
	return !strchr(slash + 1, '/') && is_uuid(*out);
}

static const char *owner_on(const struct chroma_side *side, struct slice directory)
{
	cleanup_(vs_freep) char *id = vs_strndup(directory);
	const struct chroma_segment_ref *segment;

	if (!side->is_there)
		return NULL;
	segment = chroma_catalog_segment(&side->catalog, id);
	return segment && segment->scope == CHROMA_SCOPE_VECTOR ? segment->collection : NULL;
}

/* The collection whose index is in @directory, now or then; NULL: of none. */
const char *chroma_owner_of(const struct chroma_side *then, const struct chroma_side *now,
			    struct slice directory)
{
	const char *owner = owner_on(now, directory);

	return owner ? owner : owner_on(then, directory);
}

/* Does the rollback concern the directory? All of the store: each that may be an index. */
bool chroma_concerns(const struct rollback_request *req, const struct chroma_side *then,
		     const struct chroma_side *now, struct slice directory)
{
	const char *owner = chroma_owner_of(then, now, directory);

	return req->collection_count == 0 || (owner && chroma_is_chosen(req, owner));
}

/* ---- beside the database ---- */

static bool has_file(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What is beside the database is part of what it says, and must not stay. */
bool chroma_has_beside(int dirfd)
{
	return has_file(dirfd, CHROMA_DATABASE "-journal") ||
	       has_file(dirfd, CHROMA_DATABASE "-wal") || has_file(dirfd, CHROMA_DATABASE "-shm");
}
