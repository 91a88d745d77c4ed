/* SPDX-License-Identifier: Apache-2.0 */

/* Everything below a directory, as found at one moment. */

#include "snap/private.h"

/* Deeper than any store of ours, and its quarantine, ever is. */
#define DEPTH_MAX 32u
#define FILES_MAX 100000000u

void snap_listing_fini(struct snap_listing *l)
{
	for (size_t i = 0; i < l->file_count; i++)
		free(l->files[i].path);
	for (size_t i = 0; i < l->directory_count; i++)
		free(l->directories[i].path);
	for (size_t i = 0; i < l->skipped_count; i++) {
		free(l->skipped[i].path);
		free(l->skipped[i].why);
	}
	free(l->files);
	free(l->directories);
	free(l->skipped);
	*l = (struct snap_listing){ 0 };
}

struct walk {
	struct snap_listing *out;
	const char *in; /* path of the directory being listed, "" for the store */
	int dirfd;
};

static char *path_below(const char *in, const char *name)
{
	struct buf path = { 0 };

	if (in[0] != '\0')
		buf_printf(&path, "%s/", in);
	buf_append_str(&path, name);
	return buf_take_str(&path);
}

static void skip(struct walk *w, const char *name, const char *why)
{
	struct snap_listing *l = w->out;

	l->skipped =
		vs_grow(l->skipped, &l->skipped_cap, l->skipped_count + 1, sizeof(*l->skipped));
	l->skipped[l->skipped_count++] =
		(struct snap_skipped){ path_below(w->in, name), vs_strdup(why) };
}

static int add_file(struct walk *w, const char *name, bool is_link, const struct file_info *info,
		    struct vs_err *err)
{
	struct snap_listing *l = w->out;

	if (l->file_count >= FILES_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u files", FILES_MAX);
	l->files = vs_grow(l->files, &l->file_cap, l->file_count + 1, sizeof(*l->files));
	l->files[l->file_count++] = (struct snap_found){ path_below(w->in, name), is_link, *info };
	/* JSON's integers are signed. */
	l->files[l->file_count - 1].info.inode &= INT64_MAX;
	return 0;
}

static void add_directory(struct walk *w, const char *name, const struct file_info *info)
{
	struct snap_listing *l = w->out;

	l->directories = vs_grow(l->directories, &l->directory_cap, l->directory_count + 1,
				 sizeof(*l->directories));
	l->directories[l->directory_count++] =
		(struct snap_directory){ path_below(w->in, name), info->mode, info->modified_ns };
}

static int add_link(struct walk *w, const char *name, struct vs_err *err)
{
	struct file_info info;
	struct vs_err why = { 0 };
	int r = file_stat_at(w->dirfd, name, FILE_FOLLOW, &info, &why);

	if (r == 0 && info.type == FILE_REGULAR)
		return add_file(w, name, true, &info, err);
	skip(w, name,
	     r < 0 ? "a symbolic link that leads nowhere"
		   : "a symbolic link to something that is not a file");
	return 0;
}

static int add_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct walk *w = ctx;
	struct file_info info;
	int r;

	(void)type;
	r = file_stat_at(w->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r == VS_ENOENT)
		return 0; /* gone since it was listed */
	if (r < 0)
		return r;
	switch (info.type) {
	case FILE_REGULAR:
		return add_file(w, name, false, &info, err);
	case FILE_DIRECTORY:
		add_directory(w, name, &info);
		return 0;
	case FILE_SYMLINK:
		return add_link(w, name, err);
	case FILE_FIFO:
	case FILE_OTHER:
	case FILE_UNKNOWN:
		skip(w, name, "neither a file nor a directory");
		return 0;
	}
	return 0;
}

static unsigned depth_of(const char *path)
{
	unsigned depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

static int compare_found(const void *a, const void *b)
{
	return snap_path_cmp(((const struct snap_found *)a)->path,
			     ((const struct snap_found *)b)->path);
}

static int compare_directories(const void *a, const void *b)
{
	return snap_path_cmp(((const struct snap_directory *)a)->path,
			     ((const struct snap_directory *)b)->path);
}

static int walk_one(int dirfd, const char *path, struct snap_listing *out, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct walk w = { .out = out, .in = path };
	int r;

	if (depth_of(path) > DEPTH_MAX)
		return vs_fail(err, VS_ELIMIT, "%s: more than %u directories deep", path,
			       DEPTH_MAX);
	r = file_open_dir(dirfd, path[0] ? path : ".", FILE_NO_FOLLOW, &fd, err);
	if (r == VS_ENOENT && path[0] != '\0')
		return 0;
	if (r < 0)
		return r;
	w.dirfd = fd;
	r = file_list(fd, add_entry, &w, err);
	return r < 0 && path[0] ? vs_err_in(err, "%s", path) : r;
}

int snap_list_tree(int dirfd, struct snap_listing *out, struct vs_err *err)
{
	int r;

	r = walk_one(dirfd, "", out, err);
	/* What is found is appended: the list is its own queue. */
	for (size_t i = 0; r == 0 && i < out->directory_count; i++) {
		cleanup_(vs_freep) char *path = vs_strdup(out->directories[i].path);

		r = walk_one(dirfd, path, out, err);
	}
	if (out->file_count > 0)
		qsort(out->files, out->file_count, sizeof(*out->files), compare_found);
	if (out->directory_count > 0)
		qsort(out->directories, out->directory_count, sizeof(*out->directories),
		      compare_directories);
	return r;
}
