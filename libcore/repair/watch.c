/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Does a store change while it is being looked at?
 *
 * The library keeps no file open and takes no lock, so the writes of a live process are the surest
 * sign of it. A look takes name, kind, size, times and inode of every file that the library would
 * read, and one number for each collection; two looks tell which collection something has written
 * to. Deeper directories are stores of their own, and ours: they are left out.
 */

#include "repair/repair-private.h"

#include <fcntl.h>

#define SECOND_NS INT64_C(1000000000)

/* Files that were all written within ten minutes are more likely a copy than somebody's work. */
#define COPY_NS (600 * SECOND_NS)

/* The order of a listing means nothing, so that the sum of the digests stands for all of them. */
static void add_entry(struct look_part *part, struct look *look, const char *name,
		      const struct file_info *info)
{
	cleanup_(buf_fini) struct buf facts = { 0 };
	struct digest digest;

	buf_printf(&facts, "%s%c%d %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %o", name, 0,
		   info->type, info->size, info->inode, info->modified_ns, info->changed_ns,
		   info->mode);
	digest_of(buf_slice(&facts), &digest);
	part->sum += (uint64_t)load_be32(digest.bytes) << 32 | load_be32(digest.bytes + 4);
	part->count++;
	if (info->type != FILE_REGULAR)
		return;
	look->newest_ns = VS_MAX(look->newest_ns, info->modified_ns);
	look->oldest_ns = look->oldest_ns == 0 ? info->modified_ns
					       : VS_MIN(look->oldest_ns, info->modified_ns);
}

struct looking {
	struct look *look;
	int dirfd;
};

static struct look_part *add_part(struct look *look, const char *name)
{
	look->parts = vs_grow(look->parts, &look->cap, look->count + 1, sizeof(*look->parts));
	look->parts[look->count] = (struct look_part){ .name = vs_strdup(name) };
	return &look->parts[look->count++];
}

static int look_at_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct looking *l = ctx;
	struct file_info info;
	int r;

	if (type == FILE_DIRECTORY)
		return 0;
	r = file_stat_at(l->dirfd, name, FILE_NO_FOLLOW, &info, err);
	/* Gone again: the next look shows it. */
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		add_entry(&l->look->parts[l->look->count - 1], l->look, name, &info);
	return r;
}

static int look_at_top(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct looking *l = ctx;
	cleanup_(file_closep) int dirfd = -1;
	struct looking inner = { .look = l->look };
	struct look_part *part;
	struct file_info info;
	int r;

	(void)type;
	r = file_stat_at(l->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r == VS_ENOENT ? 0 : r;
	part = add_part(l->look, name);
	if (info.type != FILE_DIRECTORY || name[0] == '.') {
		if (info.type != FILE_DIRECTORY)
			add_entry(part, l->look, name, &info);
		return 0;
	}
	r = file_open_dir(l->dirfd, name, FILE_NO_FOLLOW, &dirfd, err);
	/* What cannot be read does not show changes; verification tells about it. */
	if (r == VS_ENOENT || r == VS_EACCES)
		return 0;
	inner.dirfd = dirfd;
	return r < 0 ? r : file_list(dirfd, look_at_file, &inner, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct look_part *)a)->name, ((const struct look_part *)b)->name);
}

int look_at_store(struct look *out, int store_dirfd, struct vs_err *err)
{
	cleanup_(look_fini) struct look look = { 0 };
	struct looking l = { .look = &look, .dirfd = store_dirfd };
	int r;

	r = file_list(store_dirfd, look_at_top, &l, err);
	if (r < 0)
		return r;
	if (look.count > 0)
		qsort(look.parts, look.count, sizeof(*look.parts), by_name);
	*out = look;
	look = (struct look){ 0 };
	return 0;
}

void look_fini(struct look *look)
{
	for (size_t i = 0; i < look->count; i++)
		free(look->parts[i].name);
	free(look->parts);
	*look = (struct look){ 0 };
}

const char *look_difference(const struct look *before, const struct look *after)
{
	for (size_t i = 0; i < before->count || i < after->count; i++) {
		const struct look_part *a = i < before->count ? &before->parts[i] : NULL;
		const struct look_part *b = i < after->count ? &after->parts[i] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);

		if (order != 0)
			return order < 0 ? a->name : b->name;
		if (a->sum != b->sum || a->count != b->count)
			return a->name;
	}
	return NULL;
}

int64_t look_age_s(const struct look *look, int64_t now_ns)
{
	if (look->newest_ns == 0 || look->newest_ns > now_ns ||
	    look->newest_ns - look->oldest_ns < COPY_NS)
		return -1;
	return (now_ns - look->newest_ns) / SECOND_NS;
}
