/* SPDX-License-Identifier: Apache-2.0 */

/* Opening a store: what is it, and if it is none, what is it then. */

#include "store/store.h"
#include "store/detect.h"

#include <fcntl.h>

const char *store_kind_name(enum store_kind kind)
{
	switch (kind) {
	case STORE_CHROMEM:
	case STORE_CHROMEM_EXPORT:
		return "chromem";
	case STORE_CHROMA:
		return "chroma";
	}
	return "unknown";
}

static int open_directory(struct store *store, unsigned flags, struct vs_err *err)
{
	cleanup_(survey_fini) struct survey s = { 0 };
	int r;

	store->kind = STORE_CHROMEM;
	if (flags & STORE_ASSUME_CHROMEM)
		return 0;
	r = survey_directory(&s, store->dirfd, SURVEY_THOROUGH, err);
	if (r < 0)
		return vs_err_in(err, "%s", store->path);
	if (s.entries == 0 || detect_directory(store->dirfd, &s, &store->kind))
		return 0;
	return describe_directory(store->path, store->dirfd, &s, err);
}

static int open_file(struct store *store, unsigned flags, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf head = { 0 };
	enum file_type type;
	int r;

	r = file_read_head_at(AT_FDCWD, store->path, FILE_FOLLOW, DETECT_HEAD_LEN, &head, &type,
			      err);
	if (r < 0)
		return describe_refusal(store->path, err);
	if (r > 0)
		return describe_other(store->path, type, err);
	if (!detect_export(store->path, buf_slice(&head), flags & STORE_HAS_KEY))
		return describe_file(store->path, buf_slice(&head), err);
	store->kind = STORE_CHROMEM_EXPORT;
	return 0;
}

int store_open(struct store **out, const char *path, unsigned flags, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = vs_alloc(sizeof(*store));
	int r;

	store->path = vs_strdup(path);
	store->dirfd = -1;
	r = file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &store->dirfd, err);
	if (r == 0)
		r = open_directory(store, flags, err);
	else if (err->sysno == ENOTDIR)
		r = open_file(store, flags, err);
	else
		r = describe_refusal(path, err);
	if (r < 0)
		return r;
	*out = VS_TAKE(store);
	return 0;
}

void store_closep(struct store **store_)
{
	struct store *store = *store_;

	if (!store)
		return;
	file_closep(&store->dirfd);
	free(store->path);
	free(store);
	*store_ = NULL;
}
