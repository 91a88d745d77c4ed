/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Has anything in a store changed? Looking at the times of every file costs a system call each,
 * which is a third of reading small documents; where the kernel tells of writes nothing is looked
 * at. Either way the look alone decides what is equal: an event only says that a look is due.
 */

#include "monitor.h"

#include "file/file.h"

#define DEPTH_MAX 12

struct taking {
	struct tree_print *print;
	struct file_watch *watch; /* borrowed; NULL: none */
	int dirfd;
	unsigned depth;
	uint64_t path; /* of the directory, mixed */
};

static uint64_t mix(uint64_t h, uint64_t value)
{
	h ^= value + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

static int take_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err);

/*
 * Watched before it is listed, so that nothing happens in between. What cannot be watched is no
 * reason not to look.
 */
static int list(struct taking *t, struct vs_err *err)
{
	struct vs_err unwatched = { 0 };

	if (t->watch && t->print->is_watched)
		t->print->is_watched = file_watch_add(t->watch, t->dirfd, &unwatched) >= 0;
	return file_list(t->dirfd, take_entry, t, err);
}

static int take_directory(const struct taking *in, const char *name, uint64_t path,
			  struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct taking t = *in;
	int r;

	if (in->depth >= DEPTH_MAX)
		return 0;
	r = file_open_dir(in->dirfd, name, FILE_NO_FOLLOW, &fd, err);
	if (r == VS_ENOENT || r == VS_EVANISHED)
		return 0;
	if (r < 0)
		return r;
	t.dirfd = fd;
	t.depth++;
	t.path = path;
	return list(&t, err);
}

static int take_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	const struct taking *t = ctx;
	struct file_info info;
	uint64_t h = t->path;
	int r;

	(void)type;
	r = file_stat_at(t->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r == VS_ENOENT || r == VS_EVANISHED)
		return 0;
	if (r < 0)
		return r;
	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	h = mix(mix(h, (uint64_t)info.type), info.inode);
	t->print->entries++;
	t->print->newest_ns = VS_MAX(t->print->newest_ns, info.changed_ns);
	if (info.type == FILE_DIRECTORY && strcmp(name, ".quarantine") != 0) {
		r = take_directory(t, name, h, err);
		if (r < 0)
			return r;
	}
	h = mix(mix(mix(mix(h, info.size), (uint64_t)info.modified_ns), (uint64_t)info.changed_ns),
		info.mode);
	t->print->a += h;
	t->print->b += mix(h, UINT64_C(0x632be59bd9b4e019));
	return 0;
}

int tree_print_take(int dirfd, struct file_watch *watch, struct tree_print *out, struct vs_err *err)
{
	struct taking t = {
		.print = out, .watch = watch, .dirfd = dirfd, .path = UINT64_C(0xcbf29ce484222325)
	};
	struct file_info root;
	int r;

	*out = (struct tree_print){ .is_watched = watch != NULL };
	r = file_stat_fd(dirfd, &root, err);
	if (r < 0)
		return r;
	out->device = root.device;
	out->inode = root.inode;
	return list(&t, err);
}

bool tree_print_eq(const struct tree_print *x, const struct tree_print *y)
{
	return x->a == y->a && x->b == y->b && x->entries == y->entries && x->device == y->device &&
	       x->inode == y->inode;
}
