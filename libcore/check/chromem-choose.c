/* SPDX-License-Identifier: Apache-2.0 */

/* One collection, asked for by its directory or by its name. */

#include "check/chromem-run.h"

static bool is_directory(const struct chromem_run *run, const char *name)
{
	struct file_info info;
	struct vs_err err = { 0 };

	return file_stat_at(run->store->dirfd, name, FILE_NO_FOLLOW, &info, &err) == 0 &&
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

/* A collection need not live where its name says: look at all names. */
static int search_names(struct chromem_run *run, struct vs_err *err)
{
	struct search search = { .name = run->req->only_collection };
	const struct chromem_scan_request req = { .compression = run->compression,
						  .pool = run->pool };
	const struct chromem_visitor visitor = { .ctx = &search, .collection_begin = search_begin };
	int r = chromem_scan(run->store->dirfd, &req, &visitor, err);

	run->only = search.dir;
	return r;
}

int run_choose_collection(struct chromem_run *run, struct vs_err *err)
{
	const char *wanted = run->req->only_collection;
	char hash[CHROMEM_ID_LEN + 1];
	int r;

	if (!wanted)
		return 0;
	if (!strchr(wanted, '/') && strcmp(wanted, ".") != 0 && strcmp(wanted, "..") != 0 &&
	    is_directory(run, wanted)) {
		run->only = vs_strdup(wanted);
		return 0;
	}
	r = search_names(run, err);
	if (r < 0 || run->only)
		return r;
	chromem_hash_format(chromem_hash(slice_str(wanted)), hash);
	if (!is_directory(run, hash))
		return vs_fail(err, VS_ENOENT, "no collection %s in the store", wanted);
	run->only = vs_strdup(hash);
	return 0;
}
