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

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ (sum >> 29);
}

/* The order of a listing means nothing, so that the sum of these stands for all of them. */
static uint64_t facts_of(const char *name, const struct file_info *info)
{
	uint64_t sum = 0;

	for (const char *p = name; *p; p++)
		sum = mix(sum, (unsigned char)*p);
	sum = mix(sum, info->type);
	sum = mix(sum, info->size);
	sum = mix(sum, info->inode);
	sum = mix(sum, (uint64_t)info->modified_ns);
	sum = mix(sum, (uint64_t)info->changed_ns);
	return mix(sum, info->mode);
}

/* One part, and what is looked at in it, by one of several threads. */
struct looking {
	struct look_part *part;
	int64_t newest_ns, oldest_ns;
	bool is_directory; /* to be listed */
	int store_dirfd, dirfd;
	struct file_seen_dir *seen;
	int result;
	struct vs_err err;
};

struct watching {
	struct looking *row; /* of each part; owned */
	size_t count, cap;
	int dirfd;
	struct file_seen *seen; /* borrowed; NULL: none */
	struct look *look;
};

static void add_entry(struct looking *l, const char *name, const struct file_info *info)
{
	l->part->sum += facts_of(name, info);
	l->part->count++;
	if (info->type != FILE_REGULAR)
		return;
	l->newest_ns = VS_MAX(l->newest_ns, info->modified_ns);
	l->oldest_ns =
		l->oldest_ns == 0 ? info->modified_ns : VS_MIN(l->oldest_ns, info->modified_ns);
}

static int look_at_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct looking *l = ctx;
	struct file_info info;
	int r;

	if (type == FILE_DIRECTORY)
		return 0;
	r = file_seen_stat(l->seen, l->dirfd, name, &info, err);
	/* Gone again: the next look shows it. */
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		add_entry(l, name, &info);
	return r;
}

static int look_at_top(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct watching *w = ctx;
	struct look *look = w->look;
	struct file_info info;
	int r;

	(void)type;
	r = file_stat_at(w->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r == VS_ENOENT ? 0 : r;
	look->parts = vs_grow(look->parts, &look->cap, look->count + 1, sizeof(*look->parts));
	look->parts[look->count] = (struct look_part){ .name = vs_strdup(name) };
	w->row = vs_grow(w->row, &w->cap, w->count + 1, sizeof(*w->row));
	w->row[w->count] =
		(struct looking){ .part = &look->parts[look->count],
				  .is_directory = info.type == FILE_DIRECTORY && name[0] != '.',
				  .store_dirfd = w->dirfd };
	if (info.type != FILE_DIRECTORY)
		add_entry(&w->row[w->count], name, &info);
	look->count++;
	w->count++;
	return 0;
}

static void look_into(void *ctx, unsigned worker, size_t index)
{
	struct watching *w = ctx;
	struct looking *l = &w->row[index];
	cleanup_(file_closep) int dirfd = -1;

	(void)worker;
	if (!l->is_directory)
		return;
	l->result = file_open_dir(l->store_dirfd, l->part->name, FILE_NO_FOLLOW, &dirfd, &l->err);
	l->dirfd = dirfd;
	/* What cannot be read does not show changes; verification tells about it. */
	if (l->result == VS_ENOENT || l->result == VS_EACCES)
		l->result = 0;
	if (l->result < 0 || dirfd < 0)
		return;
	l->seen = file_seen_dir(w->seen, dirfd);
	l->result = file_seen_list(l->seen, dirfd, look_at_file, l, &l->err);
}

static int look_into_all(struct watching *w, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool =
		pool_new((unsigned)VS_MAX(VS_MIN(w->count, (size_t)cpu_count()), (size_t)1));

	pool_run(pool, w->count, look_into, w);
	for (size_t i = 0; i < w->count; i++) {
		const struct looking *l = &w->row[i];

		if (l->result < 0) {
			*err = l->err;
			return l->result;
		}
		w->look->newest_ns = VS_MAX(w->look->newest_ns, l->newest_ns);
		if (l->oldest_ns != 0)
			w->look->oldest_ns = w->look->oldest_ns == 0
						     ? l->oldest_ns
						     : VS_MIN(w->look->oldest_ns, l->oldest_ns);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct look_part *)a)->name, ((const struct look_part *)b)->name);
}

int look_at_store(struct look *out, int store_dirfd, struct file_seen *seen, struct vs_err *err)
{
	cleanup_(look_fini) struct look look = { 0 };
	struct watching w = { .look = &look, .dirfd = store_dirfd, .seen = seen };
	int r;

	r = file_list(store_dirfd, look_at_top, &w, err);
	/* The parts have moved while they were added. */
	for (size_t i = 0; i < w.count; i++)
		w.row[i].part = &look.parts[i];
	if (r == 0)
		r = look_into_all(&w, err);
	free(w.row);
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

		assert(a || b);
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
