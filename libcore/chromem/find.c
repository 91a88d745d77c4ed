/* SPDX-License-Identifier: Apache-2.0 */

/* One collection, asked for by its directory or by its name. */

#include "chromem/chromem.h"

static bool is_directory(int dirfd, const char *name)
{
	struct file_info info;
	struct vs_err ignored = { 0 };

	return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 &&
	       file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &ignored) == 0 &&
	       info.type == FILE_DIRECTORY;
}

struct search {
	const char *name;
	char *dir;
};

static int search_begin(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct search *search = ctx;

	(void)err;
	/* Of two with one name the library serves the last. */
	if (c->meta && slice_eq_str(c->meta->name, search->name)) {
		free(search->dir);
		search->dir = vs_strdup(c->dir);
	}
	return 0;
}

int chromem_find_collection(int dirfd, enum chromem_compression c, const char *wanted,
			    struct pool *pool, char **dir, struct vs_err *err)
{
	struct search search = { .name = wanted };
	const struct chromem_scan_request req = { .compression = c, .pool = pool };
	const struct chromem_visitor visitor = { .ctx = &search, .collection_begin = search_begin };
	char hash[CHROMEM_ID_LEN + 1];
	int r;

	if (is_directory(dirfd, wanted)) {
		*dir = vs_strdup(wanted);
		return 0;
	}
	/* A collection need not live where its name says: look at all names. */
	r = chromem_scan(dirfd, &req, &visitor, err);
	if (r < 0) {
		free(search.dir);
		return r;
	}
	chromem_hash_format(chromem_hash(slice_str(wanted)), hash);
	if (!search.dir && is_directory(dirfd, hash))
		search.dir = vs_strdup(hash);
	if (!search.dir)
		return vs_fail(err, VS_ENOENT, "no collection %s in the store", wanted);
	*dir = search.dir;
	return 0;
}
