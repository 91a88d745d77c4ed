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
	*l = (struct snap_listing){ .jobs = l->jobs, .seen = l->seen };
}

struct walk {
	struct snap_listing *out;
	const char *in; /* path of the directory being listed, "" for the store */
	int dirfd;
	struct file_seen_dir *seen; /* borrowed; NULL: nothing is kept of it */
};

static char *path_below(const char *in, const char *name)
{
	size_t len = strlen(in), name_len = strlen(name);
	char *path = vs_alloc(len + name_len + 2);

	memcpy(path, in, len);
	if (len > 0)
		path[len++] = '/';
	memcpy(path + len, name, name_len);
	return path;
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
	r = file_seen_stat(w->seen, w->dirfd, name, &info, err);
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

/* Order all but what is in order already, as directories that are listed one after the other are. */
static void sort_files(struct snap_listing *l)
{
	for (size_t i = 1; i < l->file_count; i++) {
		if (compare_found(&l->files[i - 1], &l->files[i]) <= 0)
			continue;
		qsort(l->files, l->file_count, sizeof(*l->files), compare_found);
		return;
	}
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
	w.seen = file_seen_dir(out->seen, fd);
	r = file_seen_list(w.seen, fd, add_entry, &w, err);
	return r < 0 && path[0] ? vs_err_in(err, "%s", path) : r;
}

/* The directories that one look has found, each listed by one of several threads. */
struct wave {
	int dirfd;
	const struct snap_directory *directories;
	struct snap_listing *found; /* of each; owned */
	struct vs_err *errors;      /* likewise */
	int *results;
};

static void walk_in_wave(void *ctx, unsigned worker, size_t index)
{
	struct wave *w = ctx;

	(void)worker;
	w->results[index] =
		walk_one(w->dirfd, w->directories[index].path, &w->found[index], &w->errors[index]);
	sort_files(&w->found[index]);
}

/* Move all that @from has behind what is in @to. */
static void append_listing(struct snap_listing *to, struct snap_listing *from)
{
	if (from->file_count > 0) {
		to->files = vs_grow(to->files, &to->file_cap, to->file_count + from->file_count,
				    sizeof(*to->files));
		memcpy(to->files + to->file_count, from->files,
		       from->file_count * sizeof(*to->files));
		to->file_count += from->file_count;
	}
	if (from->directory_count > 0) {
		to->directories = vs_grow(to->directories, &to->directory_cap,
					  to->directory_count + from->directory_count,
					  sizeof(*to->directories));
		memcpy(to->directories + to->directory_count, from->directories,
		       from->directory_count * sizeof(*to->directories));
		to->directory_count += from->directory_count;
	}
	if (from->skipped_count > 0) {
		to->skipped =
			vs_grow(to->skipped, &to->skipped_cap,
				to->skipped_count + from->skipped_count, sizeof(*to->skipped));
		memcpy(to->skipped + to->skipped_count, from->skipped,
		       from->skipped_count * sizeof(*to->skipped));
		to->skipped_count += from->skipped_count;
	}
	from->file_count = from->directory_count = from->skipped_count = 0;
}

/* Those from @first on; what is in them is appended. */
static int walk_wave(int dirfd, struct pool *pool, struct snap_listing *out, size_t first,
		     struct vs_err *err)
{
	size_t count = out->directory_count - first;
	cleanup_(vs_freep) struct snap_listing *found = vs_alloc_array(count, sizeof(*found));
	cleanup_(vs_freep) struct vs_err *errors = vs_alloc_array(count, sizeof(*errors));
	cleanup_(vs_freep) int *results = vs_alloc_array(count, sizeof(*results));
	struct wave w = { dirfd, out->directories + first, found, errors, results };
	int r = 0;

	for (size_t i = 0; i < count; i++)
		found[i].seen = out->seen;

	qsort(out->directories + first, count, sizeof(*out->directories), compare_directories);
	pool_run(pool, count, walk_in_wave, &w);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && results[i] != 0) {
			r = results[i];
			*err = errors[i];
		}
		if (r == 0 && out->file_count + found[i].file_count > FILES_MAX)
			r = vs_fail(err, VS_ELIMIT, "more than %u files", FILES_MAX);
		if (r == 0)
			append_listing(out, &found[i]);
		snap_listing_fini(&found[i]);
	}
	return r;
}

int snap_list_tree(int dirfd, struct snap_listing *out, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(VS_MAX(out->jobs, 1u));
	size_t done = 0;
	int r;

	r = walk_one(dirfd, "", out, err);
	while (r == 0 && done < out->directory_count) {
		size_t first = done;

		done = out->directory_count;
		r = walk_wave(dirfd, pool, out, first, err);
	}
	sort_files(out);
	if (out->directory_count > 0)
		qsort(out->directories, out->directory_count, sizeof(*out->directories),
		      compare_directories);
	return r;
}
