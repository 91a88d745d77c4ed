/* SPDX-License-Identifier: Apache-2.0 */

/*
 * For each directory its last listing, and its files in a hash table. An event for a name drops what was
 * seen of it; one that adds or removes a name drops the listing too, and one that has no name, or events
 * that were lost, drop all. What a thread saw before an event that another has taken in is not kept.
 *
 * Of directories nothing is kept: what happens in one changes its times, and those who watch the one
 * above are not told.
 */

#include "file/file.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENTRIES_MAX ((size_t)1 << 20)
#define DIRS_MAX (1 << 20)
#define LISTING_MAX ((size_t)32 << 20)
#define FIRST_CAP ((size_t)16)

struct entry {
	size_t name; /* offset in the names */
	uint32_t hash;
	bool is_seen; /* @info holds */
	struct file_info info;
};

struct file_seen_dir {
	struct file_seen *seen;
	uint64_t device, inode;
	bool is_gone; /* it is not watched any more; the lock of the whole is held */
	pthread_mutex_t lock;
	struct buf names; /* each with a NUL behind it */
	struct entry *entries;
	size_t count, cap;
	uint32_t *slots;   /* of each the entry's index plus one, or 0; at most half of them used */
	size_t slot_count; /* a power of two, or 0 */
	struct buf listing; /* of each entry: the type, the name, a NUL */
	bool has_listing;
	uint64_t events; /* how often anything was dropped */
};

struct file_seen {
	pthread_mutex_t lock;     /* of the list and the watch, not of what is in a directory */
	struct file_watch *watch; /* owned; NULL: there is none to be had */
	/* By the number of their watch, which the kernel counts up; owned. */
	struct file_seen_dir **dirs;
	size_t count, cap;
	/* By inode: that number plus one, or 0. At most half of them are used. */
	uint32_t *slots;
	size_t slot_count, slots_used;
	atomic_size_t entries; /* in all directories */
};

struct file_seen *file_seen_new(void)
{
	struct file_seen *seen = vs_alloc(sizeof(*seen));
	struct vs_err ignored;

	pthread_mutex_init(&seen->lock, NULL);
	(void)!file_watch_open(&seen->watch, &ignored);
	return seen;
}

static void dir_free(struct file_seen_dir *dir)
{
	pthread_mutex_destroy(&dir->lock);
	buf_fini(&dir->names);
	buf_fini(&dir->listing);
	free(dir->entries);
	free(dir->slots);
	free(dir);
}

void file_seen_freep(struct file_seen **seen_)
{
	struct file_seen *seen = *seen_;

	if (!seen)
		return;
	for (size_t i = 0; i < seen->count; i++) {
		if (seen->dirs[i])
			dir_free(seen->dirs[i]);
	}
	free(seen->dirs);
	free(seen->slots);
	file_watch_closep(&seen->watch);
	pthread_mutex_destroy(&seen->lock);
	free(seen);
	*seen_ = NULL;
}

/* ---- names; the lock of the directory is held ---- */

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ^ h >> 15;
}

static const char *name_of(const struct file_seen_dir *dir, const struct entry *e)
{
	return (const char *)dir->names.ptr + e->name;
}

/* Where the name is, or would be; there are slots. */
static uint32_t *slot_of(const struct file_seen_dir *dir, const char *name, uint32_t hash)
{
	size_t at = hash & (dir->slot_count - 1);

	for (; dir->slots[at] != 0; at = (at + 1) & (dir->slot_count - 1)) {
		const struct entry *e = &dir->entries[dir->slots[at] - 1];

		if (e->hash == hash && strcmp(name_of(dir, e), name) == 0)
			break;
	}
	return &dir->slots[at];
}

static struct entry *find(const struct file_seen_dir *dir, const char *name)
{
	uint32_t slot = dir->slot_count > 0 ? *slot_of(dir, name, hash_of(name)) : 0;

	return slot == 0 ? NULL : &dir->entries[slot - 1];
}

static void make_slots(struct file_seen_dir *dir)
{
	if (dir->count < dir->slot_count / 2)
		return;
	dir->slot_count = VS_MAX(dir->slot_count * 2, FIRST_CAP);
	free(dir->slots);
	dir->slots = vs_alloc_array(dir->slot_count, sizeof(*dir->slots));
	assert(dir->entries || dir->count == 0);
	for (size_t i = 0; i < dir->count; i++) {
		const struct entry *e = &dir->entries[i];

		*slot_of(dir, name_of(dir, e), e->hash) = (uint32_t)i + 1;
	}
}

/* The entry of that name, a new one where there was none; NULL when no more are kept. */
static struct entry *find_or_add(struct file_seen_dir *dir, const char *name)
{
	struct entry *e = find(dir, name);

	if (e)
		return e;
	if (atomic_fetch_add(&dir->seen->entries, 1) >= ENTRIES_MAX)
		return NULL;
	make_slots(dir);
	dir->entries = vs_grow(dir->entries, &dir->cap, dir->count + 1, sizeof(*dir->entries));
	e = &dir->entries[dir->count++];
	*e = (struct entry){ .name = dir->names.len, .hash = hash_of(name) };
	buf_append(&dir->names, name, strlen(name) + 1);
	*slot_of(dir, name, e->hash) = (uint32_t)dir->count;
	return e;
}

static void forget_all(struct file_seen_dir *dir)
{
	for (size_t i = 0; i < dir->count; i++)
		dir->entries[i].is_seen = false;
	dir->has_listing = false;
}

static void forget(struct file_seen_dir *dir, const struct file_event *event)
{
	struct entry *e;

	pthread_mutex_lock(&dir->lock);
	dir->events++;
	e = event->name ? find(dir, event->name) : NULL;
	if (e)
		e->is_seen = false;
	if (!event->name)
		forget_all(dir);
	dir->has_listing &= !event->is_listing;
	pthread_mutex_unlock(&dir->lock);
}

/* ---- events; the lock of the whole is held ---- */

static void on_event(void *ctx, const struct file_event *event)
{
	struct file_seen *seen = ctx;
	size_t first = event->number < 0 ? 0 : (size_t)event->number;
	size_t end = event->number < 0 ? seen->count : VS_MIN(first + 1, seen->count);

	for (size_t i = first; i < end; i++) {
		if (!seen->dirs[i])
			continue;
		forget(seen->dirs[i], event);
		seen->dirs[i]->is_gone |= event->is_gone;
	}
}

/* Where the directory is, or would be; there are slots. One that is gone is another. */
static uint32_t *place_of(const struct file_seen *seen, uint64_t device, uint64_t inode)
{
	size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (seen->slot_count - 1);

	for (; seen->slots[at] != 0; at = (at + 1) & (seen->slot_count - 1)) {
		const struct file_seen_dir *dir = seen->dirs[seen->slots[at] - 1];

		if (!dir->is_gone && dir->inode == inode && dir->device == device)
			break;
	}
	return &seen->slots[at];
}

static void make_places(struct file_seen *seen)
{
	if (seen->slots_used < seen->slot_count / 2)
		return;
	seen->slot_count = VS_MAX(seen->slot_count * 2, FIRST_CAP);
	seen->slots_used = 0;
	free(seen->slots);
	seen->slots = vs_alloc_array(seen->slot_count, sizeof(*seen->slots));
	for (size_t i = 0; i < seen->count; i++) {
		const struct file_seen_dir *dir = seen->dirs[i];

		if (!dir || dir->is_gone)
			continue;
		*place_of(seen, dir->device, dir->inode) = (uint32_t)i + 1;
		seen->slots_used++;
	}
}

static struct file_seen_dir *watched(struct file_seen *seen, int dirfd,
				     const struct file_info *info)
{
	struct file_seen_dir *dir;
	struct vs_err ignored;
	uint32_t *place;
	int number;

	make_places(seen);
	place = place_of(seen, info->device, info->inode);
	if (*place != 0)
		return seen->dirs[*place - 1];
	number = file_watch_add(seen->watch, dirfd, &ignored);
	if (number < 0 || number >= DIRS_MAX ||
	    ((size_t)number < seen->count && seen->dirs[number]))
		return NULL;
	dir = vs_alloc(sizeof(*dir));
	*dir = (struct file_seen_dir){ .seen = seen, .device = info->device, .inode = info->inode };
	pthread_mutex_init(&dir->lock, NULL);
	seen->dirs = vs_grow(seen->dirs, &seen->cap, (size_t)number + 1, sizeof(*seen->dirs));
	while (seen->count <= (size_t)number)
		seen->dirs[seen->count++] = NULL;
	seen->dirs[number] = dir;
	*place = (uint32_t)number + 1;
	seen->slots_used++;
	return dir;
}

struct file_seen_dir *file_seen_dir(struct file_seen *seen, int dirfd)
{
	struct file_seen_dir *dir = NULL;
	struct file_info info;
	struct vs_err ignored;

	if (!seen || !seen->watch || file_stat_fd(dirfd, &info, &ignored) < 0)
		return NULL;
	pthread_mutex_lock(&seen->lock);
	file_watch_each(seen->watch, on_event, seen);
	dir = watched(seen, dirfd, &info);
	pthread_mutex_unlock(&seen->lock);
	return dir;
}

/* ---- looking ---- */

/* @events: what is found next is kept when nothing was dropped in between. */
static bool is_kept(struct file_seen_dir *dir, const char *name, struct file_info *out,
		    uint64_t *events)
{
	const struct entry *e;
	bool is_seen;

	pthread_mutex_lock(&dir->lock);
	e = find(dir, name);
	is_seen = e && e->is_seen;
	if (is_seen)
		*out = e->info;
	*events = dir->events;
	pthread_mutex_unlock(&dir->lock);
	return is_seen;
}

static void keep(struct file_seen_dir *dir, const char *name, const struct file_info *info,
		 uint64_t events)
{
	struct entry *e;

	if (info->type != FILE_REGULAR || info->links != 1)
		return;
	pthread_mutex_lock(&dir->lock);
	e = dir->events == events ? find_or_add(dir, name) : NULL;
	if (e) {
		e->info = *info;
		e->is_seen = true;
	}
	pthread_mutex_unlock(&dir->lock);
}

int file_seen_stat(struct file_seen_dir *dir, int dirfd, const char *name, struct file_info *out,
		   struct vs_err *err)
{
	uint64_t events = 0;
	int r;

	if (dir && is_kept(dir, name, out, &events))
		return 0;
	r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, out, err);
	if (r == 0 && dir)
		keep(dir, name, out, events);
	return r;
}

/* ---- listing ---- */

static int note_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct buf *listing = ctx;

	(void)err;
	buf_append_byte(listing, (unsigned char)type);
	buf_append(listing, name, strlen(name) + 1);
	return 0;
}

static int list_anew(struct file_seen_dir *dir, int dirfd, struct buf *out, struct vs_err *err)
{
	uint64_t events;
	int r;

	pthread_mutex_lock(&dir->lock);
	events = dir->events;
	pthread_mutex_unlock(&dir->lock);
	r = file_list(dirfd, note_entry, out, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	if (dir->events == events && out->len <= LISTING_MAX) {
		buf_clear(&dir->listing);
		buf_append(&dir->listing, out->ptr, out->len);
		dir->has_listing = true;
	}
	pthread_mutex_unlock(&dir->lock);
	return 0;
}

static bool copy_listing(struct file_seen_dir *dir, struct buf *out)
{
	bool has_listing;

	pthread_mutex_lock(&dir->lock);
	has_listing = dir->has_listing;
	if (has_listing)
		buf_append(out, dir->listing.ptr, dir->listing.len);
	pthread_mutex_unlock(&dir->lock);
	return has_listing;
}

int file_seen_list(struct file_seen_dir *dir, int dirfd,
		   int (*fn)(void *ctx, const char *name, enum file_type type, struct vs_err *err),
		   void *ctx, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf listing = { 0 };
	int r = 0;

	if (!dir)
		return file_list(dirfd, fn, ctx, err);
	if (!copy_listing(dir, &listing))
		r = list_anew(dir, dirfd, &listing, err);
	for (size_t at = 0; r == 0 && at < listing.len;) {
		const char *name = (const char *)listing.ptr + at + 1;

		r = fn(ctx, name, (enum file_type)listing.ptr[at], err);
		at += 2 + strlen(name);
	}
	return r;
}
