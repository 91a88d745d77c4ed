/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stores inside stores. contextd keeps TENANT/PROJECT/<collections>, where a tenant's directory may
 * be a store as well, and a fallback store in .claude/contextd/store below a project; so hidden
 * directories are searched, too.
 */

#include "store/detect.h"

#include <fcntl.h>

struct search {
	struct buf path; /* of the directory at hand; empty for the first */
	size_t left;     /* directories that may still be looked into */
	int (*fn)(void *ctx, const char *path);
	void *ctx;
};

static int search_below(struct search *search, int dirfd, unsigned depth, struct vs_err *err);

static int found(struct search *search)
{
	return search->fn(search->ctx, search->path.len > 0 ? buf_cstr(&search->path) : ".");
}

static int search_child(struct search *search, int dirfd, const char *name, unsigned depth,
			struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	size_t len = search->path.len;
	struct vs_err ignored;
	uint32_t hash;
	int r = 0;

	if (len > 0)
		buf_append_byte(&search->path, '/');
	buf_append_str(&search->path, name);
	if (file_open_dir(dirfd, name, FILE_NO_FOLLOW, &fd, &ignored) == 0) {
		r = search_below(search, fd, depth, err);
	} else if (ignored.status == VS_EACCES && strcmp(name, "lost+found") != 0 &&
		   !chromem_hash_parse(slice_str(name), &hash)) {
		/* There may be one. Whoever opens it will see why nobody knows. */
		r = found(search);
	}
	search->path.len = len;
	return r;
}

static int search_below(struct search *search, int dirfd, unsigned depth, struct vs_err *err)
{
	cleanup_(survey_fini) struct survey s = { 0 };
	enum store_kind kind;
	int r;

	if (search->left == 0)
		return 0;
	search->left--;
	r = survey_directory(&s, dirfd, SURVEY_THOROUGH, err);
	if (r == 0 && detect_directory(dirfd, &s, &kind))
		r = found(search);
	for (size_t i = 0; i < s.directory_count && r == 0 && depth < STORE_NESTING_MAX; i++)
		if (!survey_skips(s.directories[i]))
			r = search_child(search, dirfd, s.directories[i], depth + 1, err);
	return r;
}

int nested_search(int dirfd, size_t limit, int (*fn)(void *ctx, const char *path), void *ctx,
		  struct vs_err *err)
{
	struct search search = { .left = limit, .fn = fn, .ctx = ctx };
	int r;

	r = search_below(&search, dirfd, 0, err);
	buf_fini(&search.path);
	return r;
}

struct path_list {
	char **path;
	size_t count, cap;
};

static int add_path(void *ctx, const char *path)
{
	struct path_list *list = ctx;

	list->path = vs_grow(list->path, &list->cap, list->count + 1, sizeof(*list->path));
	list->path[list->count++] = vs_strdup(path);
	return 0;
}

static void path_list_fini(struct path_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->path[i]);
	free(list->path);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_find_nested(const char *path, char ***paths, size_t *count, struct vs_err *err)
{
	cleanup_(path_list_fini) struct path_list list = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &fd, err);
	if (r < 0)
		return describe_refusal(path, err);
	r = nested_search(fd, SIZE_MAX, add_path, &list, err);
	if (r < 0)
		return vs_err_in(err, "%s", path);
	if (list.count > 0)
		qsort(list.path, list.count, sizeof(*list.path), by_bytes);
	*count = list.count;
	*paths = VS_TAKE(list.path);
	list.count = 0;
	return 0;
}
