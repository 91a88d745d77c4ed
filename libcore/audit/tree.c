/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The digest of a store's contents. List, sort, read what is not known, add up. Files are read by
 * several threads in batches of one directory each, opened part by part so that no link is
 * followed.
 */

#include "audit/audit-private.h"

#include <fcntl.h>
#include <limits.h>

#define BLOCK ((size_t)256 << 10)
#define BATCH 64

/* More files than this are worth threads. */
#define THREADS_FROM 256

struct tree_file {
	size_t path; /* offset in the list's text */
	struct digest digest;
};

struct tree_list {
	struct buf text; /* paths, each with a NUL behind it */
	struct tree_file *files;
	size_t count, cap;
};

struct audit_tree {
	struct file_known *known;
};

static void tree_list_fini(struct tree_list *l)
{
	buf_fini(&l->text);
	free(l->files);
	*l = (struct tree_list){ 0 };
}

struct audit_tree *audit_tree_new(void)
{
	struct audit_tree *tree = vs_alloc(sizeof(*tree));

	tree->known = file_known_new();
	return tree;
}

void audit_tree_freep(struct audit_tree **tree)
{
	if (*tree)
		file_known_freep(&(*tree)->known);
	free(*tree);
	*tree = NULL;
}

struct file_known *audit_tree_known(struct audit_tree *tree)
{
	return tree->known;
}

static const char *path_of(const struct tree_list *l, size_t index)
{
	return (const char *)l->text.ptr + l->files[index].path;
}

/* ---- listing ---- */

struct lister {
	struct tree_list *list;
	struct buf pending; /* directories to look into, each with a NUL behind it */
	char dir[PATH_MAX]; /* the one being listed; "" for the store itself */
	int dirfd;
	struct file_seen *seen;
};

static void lister_fini(struct lister *l)
{
	buf_fini(&l->pending);
	file_closep(&l->dirfd);
}

/* Open a directory by its path below @dirfd; "" is @dirfd itself. */
static int open_below(int dirfd, const char *path, size_t len, int *out, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	size_t start = 0;
	int r;

	r = file_open_dir(dirfd, ".", FILE_NO_FOLLOW, &fd, err);
	while (r == 0 && start < len) {
		cleanup_(file_closep) int above = fd;
		const char *slash = memchr(path + start, '/', len - start);
		size_t part = slash ? (size_t)(slash - path) - start : len - start;
		char name[NAME_MAX + 1];

		fd = -1;
		assert(part <= NAME_MAX);
		memcpy(name, path + start, part);
		name[part] = '\0';
		r = file_open_dir(above, name, FILE_NO_FOLLOW, &fd, err);
		start += part + 1;
	}
	if (r < 0)
		return r;
	*out = fd;
	fd = -1;
	return 0;
}

static int add_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct lister *l = ctx;
	const char *slash = l->dir[0] ? "/" : "";
	struct file_info info;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s%s%s", l->dir, slash, name) >= (int)sizeof(path))
		return vs_fail(err, VS_ELIMIT, "%s/%s: path too long", l->dir, name);
	if (type == FILE_UNKNOWN) {
		r = file_stat_at(l->dirfd, name, FILE_NO_FOLLOW, &info, err);
		if (r < 0)
			return r;
		type = info.type;
	}
	if (type == FILE_DIRECTORY)
		buf_append(&l->pending, path, strlen(path) + 1);
	if (type != FILE_REGULAR)
		return 0;
	l->list->files =
		vs_grow(l->list->files, &l->list->cap, l->list->count + 1, sizeof(*l->list->files));
	l->list->files[l->list->count++] = (struct tree_file){ .path = l->list->text.len };
	buf_append(&l->list->text, path, strlen(path) + 1);
	return 0;
}

/* The directory listed last goes first, so @pending holds siblings along one way down at most. */
static void take_pending(struct lister *l)
{
	size_t end = l->pending.len - 1;
	const unsigned char *nul = end > 0 ? memrchr(l->pending.ptr, '\0', end) : NULL;
	size_t start = nul ? (size_t)(nul - l->pending.ptr) + 1 : 0;

	memcpy(l->dir, l->pending.ptr + start, end - start + 1);
	l->pending.len = start;
}

static int compare_paths(const void *a, const void *b, void *text)
{
	const struct tree_file *x = a;
	const struct tree_file *y = b;

	return strcmp((const char *)text + x->path, (const char *)text + y->path);
}

static int list_files(struct tree_list *list, int store_dirfd, struct file_seen *seen,
		      struct vs_err *err)
{
	cleanup_(lister_fini) struct lister l = { .list = list, .dirfd = -1, .seen = seen };
	int r = 0;

	buf_append(&l.pending, "", 1);
	while (r == 0 && l.pending.len > 0) {
		take_pending(&l);
		file_closep(&l.dirfd);
		r = open_below(store_dirfd, l.dir, strlen(l.dir), &l.dirfd, err);
		if (r == 0)
			r = file_seen_list(file_seen_dir(l.seen, l.dirfd), l.dirfd, add_entry, &l,
					   err);
		if (r < 0 && l.dir[0] != '\0')
			return vs_err_in(err, "%s", l.dir);
	}
	if (r == 0 && list->count > 1)
		qsort_r(list->files, list->count, sizeof(*list->files), compare_paths,
			list->text.ptr);
	return r;
}

/* ---- reading ---- */

struct batch {
	size_t first, count; /* files of one directory */
	size_t dir_len;      /* of its path */
};

struct tree_worker {
	struct digest_ctx *digest;
	unsigned char *block;
	struct vs_err err;
	size_t failed; /* the batch; SIZE_MAX: none */
};

struct reading {
	struct file_known *known;
	struct tree_list *list;
	int store_dirfd;
	struct batch *batches;
	size_t batch_count, batch_cap;
	struct tree_worker *workers;
	unsigned worker_count;
};

static void reading_fini(struct reading *r)
{
	for (unsigned i = 0; i < r->worker_count; i++) {
		digest_ctx_freep(&r->workers[i].digest);
		free(r->workers[i].block);
	}
	free(r->workers);
	free(r->batches);
}

static size_t dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static void make_batches(struct reading *r)
{
	struct batch *last = NULL;

	for (size_t i = 0; i < r->list->count; i++) {
		const char *path = path_of(r->list, i);
		size_t len = dir_len(path);

		if (last && last->count < BATCH && last->dir_len == len &&
		    memcmp(path_of(r->list, last->first), path, len) == 0) {
			last->count++;
			continue;
		}
		r->batches =
			vs_grow(r->batches, &r->batch_cap, r->batch_count + 1, sizeof(*r->batches));
		last = &r->batches[r->batch_count++];
		*last = (struct batch){ .first = i, .count = 1, .dir_len = len };
	}
}

static int read_blocks(struct tree_worker *w, int fd, struct digest *out, uint64_t *len,
		       struct vs_err *err)
{
	ssize_t got;

	*len = 0;
	digest_ctx_reset(w->digest);
	while ((got = read(fd, w->block, BLOCK)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vs_fail_errno(err, "cannot be read at offset %" PRIu64, *len);
		digest_ctx_add(w->digest, w->block, (size_t)got);
		*len += (uint64_t)got;
	}
	digest_ctx_final(w->digest, out);
	return 0;
}

static int read_file(struct reading *r, struct tree_worker *w, int dirfd, const char *name,
		     struct tree_file *f, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct file_info info;
	uint64_t len;
	int status;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "cannot be read");
	status = file_stat_fd(fd, &info, err);
	if (status < 0)
		return status;
	if (info.type != FILE_REGULAR)
		return vs_fail(err, VS_EVANISHED, "is no file any more");
	status = read_blocks(w, fd, &f->digest, &len, err);
	if (status == 0 && len != info.size)
		return vs_fail(err, VS_EVANISHED, "has changed while it was read");
	if (status == 0)
		file_known_add(r->known, &info, &f->digest);
	return status;
}

static int digest_file(struct reading *r, struct tree_worker *w, struct file_seen_dir *seen,
		       int dirfd, size_t index, size_t dir, struct vs_err *err)
{
	struct tree_file *f = &r->list->files[index];
	const char *path = path_of(r->list, index);
	const char *name = dir > 0 ? path + dir + 1 : path;
	struct file_info info;
	int status;

	if (!file_known_is_empty(r->known) && file_seen_stat(seen, dirfd, name, &info, err) == 0 &&
	    file_known_find(r->known, &info, &f->digest, NULL))
		return 0;
	status = read_file(r, w, dirfd, name, f, err);
	return status < 0 ? vs_err_in(err, "%s", path) : 0;
}

static void run_batch(void *ctx, unsigned worker, size_t index)
{
	struct reading *r = ctx;
	struct tree_worker *w = &r->workers[worker];
	const struct batch *b = &r->batches[index];
	cleanup_(file_closep) int dirfd = -1;
	struct file_seen_dir *seen = NULL;
	int status;

	if (w->failed != SIZE_MAX)
		return;
	status =
		open_below(r->store_dirfd, path_of(r->list, b->first), b->dir_len, &dirfd, &w->err);
	if (status == 0)
		seen = file_seen_dir(file_known_seen(r->known), dirfd);
	for (size_t i = 0; status == 0 && i < b->count; i++)
		status = digest_file(r, w, seen, dirfd, b->first + i, b->dir_len, &w->err);
	if (status < 0)
		w->failed = index;
}

static int read_files(struct reading *r, unsigned threads, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool =
		pool_new(r->list->count < THREADS_FROM ? 1 : VS_MAX(threads, 1u));
	const struct tree_worker *first = NULL;

	r->worker_count = pool_threads(pool);
	r->workers = vs_alloc_array(r->worker_count, sizeof(*r->workers));
	for (unsigned i = 0; i < r->worker_count; i++)
		r->workers[i] = (struct tree_worker){ .digest = digest_ctx_new(),
						      .block = vs_alloc(BLOCK),
						      .failed = SIZE_MAX };
	pool_run(pool, r->batch_count, run_batch, r);
	/* The same failure is told whichever thread met which first, where one is all there is. */
	for (unsigned i = 0; i < r->worker_count; i++) {
		const struct tree_worker *w = &r->workers[i];

		if (w->failed != SIZE_MAX && (!first || w->failed < first->failed))
			first = w;
	}
	if (!first)
		return 0;
	*err = first->err;
	return first->err.status;
}

/* ---- adding up ---- */

static void add_up(const struct tree_list *list, struct digest *out)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *all = digest_ctx_new();
	char hex[DIGEST_HEX_LEN + 1];

	digest_ctx_reset(all);
	for (size_t i = 0; i < list->count; i++) {
		const char *path = path_of(list, i);

		digest_format(&list->files[i].digest, hex);
		digest_ctx_add(all, hex, DIGEST_HEX_LEN);
		digest_ctx_add(all, "  ./", 4);
		digest_ctx_add(all, path, strlen(path) + 1);
	}
	digest_ctx_final(all, out);
}

int audit_tree_digest(struct audit_tree *tree, int store_dirfd, unsigned threads,
		      struct digest *out, struct vs_err *err)
{
	cleanup_(tree_list_fini) struct tree_list list = { 0 };
	cleanup_(reading_fini) struct reading r = { .known = tree->known,
						    .list = &list,
						    .store_dirfd = store_dirfd };
	int status;

	status = list_files(&list, store_dirfd, file_known_seen(tree->known), err);
	if (status < 0)
		return status;
	make_batches(&r);
	status = read_files(&r, threads, err);
	if (status < 0)
		return status;
	add_up(&list, out);
	return 0;
}
