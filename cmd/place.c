/* SPDX-License-Identifier: Apache-2.0 */

/* A directory that is made whole under another name, and then renamed; see place.h. */

#include "place.h"

#include <fcntl.h>
#include <libgen.h>

static int on_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)ctx, (void)name, (void)type, (void)err;
	return 1;
}

bool place_is_free(const char *path)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err err = { 0 };
	int r = file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &fd, &err);

	return r == VS_ENOENT || (r == 0 && file_list(fd, on_entry, NULL, &err) == 0);
}

static void split_path(struct place *p, const char *word)
{
	cleanup_(vs_freep) char *above = vs_strdup(p->path);
	cleanup_(vs_freep) char *last = vs_strdup(p->path);
	struct buf part = { 0 };

	p->parent = vs_strdup(dirname(above));
	p->name = vs_strdup(basename(last));
	buf_printf(&part, ".%.200s.%s", p->name, word);
	p->part = buf_take_str(&part);
}

int place_open(struct place *p, const char *path, const char *word, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err absent = { 0 };
	struct file_info info;
	int r;

	p->path = path;
	split_path(p, word);
	if (strcmp(p->name, "/") == 0 || strcmp(p->name, ".") == 0 || strcmp(p->name, "..") == 0)
		return vs_fail(err, VS_EUSAGE, "%s: give the name of a new directory", path);
	r = file_open_dir(AT_FDCWD, p->parent, FILE_FOLLOW, &p->parent_dirfd, err);
	if (r < 0)
		return r;
	if (file_stat_at(p->parent_dirfd, p->name, FILE_NO_FOLLOW, &info, &absent) == VS_ENOENT)
		return 0;
	r = file_open_dir(p->parent_dirfd, p->name, FILE_NO_FOLLOW, &fd, &absent);
	if (r < 0)
		return vs_fail(err, VS_EUSAGE, "%s: is there, and no directory", path);
	p->mode = info.mode;
	r = file_list(fd, on_entry, NULL, err);
	if (r > 0)
		return vs_fail(err, VS_EUSAGE,
			       "%s: is not empty; restore into a new directory, or bring the store "
			       "itself back with vsctl rollback",
			       path);
	return r;
}

void place_fini(struct place *p)
{
	file_closep(&p->parent_dirfd);
	free(p->parent);
	free(p->name);
	free(p->part);
}

int place_put(struct place *p, struct vs_err *err)
{
	int r;

	r = file_chmod_at(p->parent_dirfd, p->part, p->mode, err);
	if (r == 0)
		r = file_rename_at(p->parent_dirfd, p->part, p->parent_dirfd, p->name, true, err);
	return r == 0 ? file_sync_dir(p->parent_dirfd, err) : r;
}
