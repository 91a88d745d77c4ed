/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a path holds. A directory's digest covers its whole tree, in byte order of the names, so
 * that a run can tell the state before a step from the state after it, and both from anything else.
 */

#include "journal/journal-private.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

bool node_equal(const struct node *a, const struct node *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == NODE_ABSENT)
		return true;
	return a->mode == b->mode && memcmp(a->digest.bytes, b->digest.bytes, DIGEST_LEN) == 0;
}

struct file_look node_dress(const struct node *node, bool has_time)
{
	return (struct file_look){
		.mode = node->mode,
		.has_owner = node->has_owner,
		.owner = node->owner,
		.group = node->group,
		.has_time = has_time,
		.modified_ns = node->modified_ns,
	};
}

int journal_open_parent(int dirfd, const char *path, int *parent, const char **name,
			struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	const char *rest = path;
	const char *slash;
	int r = 0;

	while (r == 0 && (slash = strchr(rest, '/')) != NULL) {
		cleanup_(file_closep) int above = fd;
		char part[NAME_MAX + 1];

		fd = -1;
		if (slash == rest || slash - rest > NAME_MAX)
			return vs_fail(err, VS_EUSAGE, "%s: not a path inside the store", path);
		memcpy(part, rest, (size_t)(slash - rest));
		part[slash - rest] = '\0';
		if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0)
			return vs_fail(err, VS_EUSAGE, "%s: not a path inside the store", path);
		r = file_open_dir(above >= 0 ? above : dirfd, part, FILE_NO_FOLLOW, &fd, err);
		rest = slash + 1;
	}
	if (r == 0 && rest == path)
		r = file_open_dir(dirfd, ".", FILE_NO_FOLLOW, &fd, err);
	if (r < 0)
		return r;
	if (rest[0] == '\0' || strcmp(rest, ".") == 0 || strcmp(rest, "..") == 0)
		return vs_fail(err, VS_EUSAGE, "%s: not a path inside the store", path);
	*parent = fd;
	fd = -1;
	*name = rest;
	return 0;
}

/* A sorted list of the names in one directory. */
struct names {
	char **names;
	size_t count, cap;
};

static void names_fini(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int add_name(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct names *n = ctx;

	(void)type;
	(void)err;
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum node_kind kind_of(enum file_type type)
{
	switch (type) {
	case FILE_REGULAR:
		return NODE_FILE;
	case FILE_DIRECTORY:
		return NODE_DIRECTORY;
	case FILE_SYMLINK:
		return NODE_LINK;
	case FILE_FIFO:
	case FILE_OTHER:
	case FILE_UNKNOWN:
		break;
	}
	return NODE_OTHER;
}

static int look_at(int dirfd, const char *name, unsigned depth, bool with_content, struct node *out,
		   struct vs_err *err);

static int digest_link(int dirfd, const char *name, struct digest *out, struct vs_err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target));

	if (len < 0)
		return vs_fail_errno(err, "cannot read the link %s", name);
	digest_of(slice_of(target, (size_t)len), out);
	return 0;
}

static int digest_file(int dirfd, const char *name, uint64_t size, struct digest *out,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r;

	if (size > JOURNAL_WHOLE_MAX)
		return file_digest_at(dirfd, name, FILE_NO_FOLLOW, out, NULL, err);
	r = file_read_at(dirfd, name, FILE_NO_FOLLOW, JOURNAL_WHOLE_MAX, &bytes, NULL, err);
	if (r < 0)
		return r;
	if (r > 0)
		return vs_fail(err, VS_EVANISHED, "%s: changed while it was read", name);
	digest_of(buf_slice(&bytes), out);
	return 0;
}

/* name, kind, mode and digest of each entry, in order */
static int digest_tree(int dirfd, const char *name, unsigned depth, struct digest *out,
		       struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	cleanup_(names_fini) struct names list = { 0 };
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	int r;

	if (depth >= JOURNAL_TREE_DEPTH_MAX)
		return vs_fail(err, VS_ELIMIT, "%s: directories nested deeper than %d", name,
			       JOURNAL_TREE_DEPTH_MAX);
	r = file_open_dir(dirfd, name, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = file_list(fd, add_name, &list, err);
	if (r < 0)
		return r;
	if (list.count > 0)
		qsort(list.names, list.count, sizeof(*list.names), compare_names);
	for (size_t i = 0; i < list.count; i++) {
		struct node node = { 0 };

		r = look_at(fd, list.names[i], depth + 1, true, &node, err);
		if (r < 0)
			return vs_err_in(err, "%s", name);
		digest_ctx_add_u64(ctx, strlen(list.names[i]));
		digest_ctx_add(ctx, list.names[i], strlen(list.names[i]));
		digest_ctx_add_u64(ctx, (uint64_t)node.kind << 32 | node.mode);
		digest_ctx_add(ctx, node.digest.bytes, DIGEST_LEN);
	}
	digest_ctx_final(ctx, out);
	return 0;
}

static int look_at(int dirfd, const char *name, unsigned depth, bool with_content, struct node *out,
		   struct vs_err *err)
{
	struct file_info info = { 0 };
	struct node node = { 0 };
	int r;

	r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r == VS_ENOENT) {
		*out = node;
		return 0;
	}
	if (r < 0)
		return r;
	node.kind = kind_of(info.type);
	node.mode = info.mode;
	node.has_owner = true;
	node.owner = info.owner;
	node.group = info.group;
	node.modified_ns = info.modified_ns;
	r = 0;
	if (with_content && node.kind == NODE_FILE)
		r = digest_file(dirfd, name, info.size, &node.digest, err);
	else if (with_content && node.kind == NODE_DIRECTORY)
		r = digest_tree(dirfd, name, depth, &node.digest, err);
	else if (with_content && node.kind == NODE_LINK)
		r = digest_link(dirfd, name, &node.digest, err);
	if (r == 0)
		*out = node;
	return r;
}

static int look(int dirfd, const char *path, bool with_content, struct node *out,
		struct vs_err *err)
{
	cleanup_(file_closep) int parent = -1;
	const char *name = NULL;
	int r;

	r = journal_open_parent(dirfd, path, &parent, &name, err);
	if (r == VS_ENOENT) {
		*out = (struct node){ .kind = NODE_ABSENT };
		return 0;
	}
	if (r == 0)
		r = look_at(parent, name, 0, with_content, out, err);
	return r < 0 ? vs_err_in(err, "%s", path) : 0;
}

int node_look(int dirfd, const char *path, struct node *out, struct vs_err *err)
{
	return look(dirfd, path, true, out, err);
}

int node_glance(int dirfd, const char *path, struct node *out, struct vs_err *err)
{
	return look(dirfd, path, false, out, err);
}

int journal_look(int store_dirfd, const char *path, struct digest *out, struct vs_err *err)
{
	struct node node = { 0 };
	int r;

	r = node_look(store_dirfd, path, &node, err);
	if (r < 0)
		return r;
	*out = node.digest;
	return node.kind != NODE_ABSENT;
}

int journal_tree_digest(const char *path, struct digest *out, struct vs_err *err)
{
	struct node node = { 0 };
	int r;

	r = look_at(AT_FDCWD, path, 0, true, &node, err);
	if (r < 0)
		return r;
	if (node.kind != NODE_DIRECTORY)
		return vs_fail(err, VS_ENOENT, "%s: not a directory", path);
	*out = node.digest;
	return 1;
}
