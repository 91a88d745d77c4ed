/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hash table by device and inode, in parts that are locked each by itself. What stands there is
 * only ever replaced by what was read later.
 */

#include "file/file.h"

#include <pthread.h>
#include <stdatomic.h>

/* As coarse as the times of any file system that is still in use. */
#define SETTLED_NS (INT64_C(2) * 1000000000)

#define PARTS 64u
#define FIRST_CAP ((size_t)16)

struct entry {
	uint64_t inode, device, size;
	int64_t modified_ns, changed_ns;
	struct digest digest;
	struct file_remark remark;
	bool is_used;
};

struct part {
	pthread_mutex_t lock;
	struct entry *entries; /* owned; open addressing, never more than three quarters full */
	size_t count, cap;     /* a power of two, or 0 */
};

struct file_known {
	struct file_seen *seen; /* owned */
	int64_t settled_ns;     /* what changed before is kept */
	atomic_size_t count;
	struct part parts[PARTS];
};

struct file_known *file_known_new(void)
{
	return file_known_new_at(clock_now_ns(&vs_clock_system));
}

struct file_known *file_known_new_at(int64_t now_ns)
{
	struct file_known *known = vs_alloc(sizeof(*known));

	known->seen = file_seen_new();
	known->settled_ns = now_ns - SETTLED_NS;
	for (size_t i = 0; i < PARTS; i++)
		pthread_mutex_init(&known->parts[i].lock, NULL);
	return known;
}

void file_known_freep(struct file_known **known_)
{
	struct file_known *known = *known_;

	if (!known)
		return;
	for (size_t i = 0; i < PARTS; i++) {
		pthread_mutex_destroy(&known->parts[i].lock);
		free(known->parts[i].entries);
	}
	file_seen_freep(&known->seen);
	free(known);
	*known_ = NULL;
}

struct file_seen *file_known_seen(const struct file_known *known)
{
	return known ? known->seen : NULL;
}

bool file_known_is_empty(const struct file_known *known)
{
	return atomic_load_explicit(&known->count, memory_order_relaxed) == 0;
}

/* Some list inodes with a bit less than there are; see snap. */
static uint64_t bare_inode(const struct file_info *info)
{
	return info->inode & INT64_MAX;
}

static uint64_t hash_of(uint64_t inode, uint64_t device)
{
	uint64_t h = (inode ^ (device << 17)) * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ (h >> 32);
}

static bool is_of(const struct entry *e, uint64_t inode, uint64_t device)
{
	return e->inode == inode && e->device == device;
}

/* Its entry, or the free one where it would be; the part has room. */
static struct entry *slot_of(struct entry *entries, size_t cap, uint64_t inode, uint64_t device)
{
	size_t at = (size_t)(hash_of(inode, device) / PARTS) & (cap - 1);

	while (entries[at].is_used && !is_of(&entries[at], inode, device))
		at = (at + 1) & (cap - 1);
	return &entries[at];
}

static void make_room(struct part *part)
{
	size_t cap = VS_MAX(part->cap * 2, FIRST_CAP);
	struct entry *grown;

	if (part->count < part->cap / 4 * 3)
		return;
	grown = vs_alloc_array(cap, sizeof(*grown));
	for (size_t i = 0; i < part->cap; i++) {
		const struct entry *e = &part->entries[i];

		if (e->is_used)
			*slot_of(grown, cap, e->inode, e->device) = *e;
	}
	free(part->entries);
	part->entries = grown;
	part->cap = cap;
}

static struct part *part_of(struct file_known *known, const struct file_info *info)
{
	return &known->parts[hash_of(bare_inode(info), info->device) % PARTS];
}

void file_known_add(struct file_known *known, const struct file_info *info,
		    const struct digest *digest)
{
	struct part *part = part_of(known, info);
	struct entry *e;

	if (info->type != FILE_REGULAR || info->changed_ns >= known->settled_ns)
		return;
	pthread_mutex_lock(&part->lock);
	make_room(part);
	e = slot_of(part->entries, part->cap, bare_inode(info), info->device);
	if (!e->is_used) {
		part->count++;
		atomic_fetch_add_explicit(&known->count, 1, memory_order_relaxed);
	}
	*e = (struct entry){ .inode = bare_inode(info),
			     .device = info->device,
			     .size = info->size,
			     .modified_ns = info->modified_ns,
			     .changed_ns = info->changed_ns,
			     .digest = *digest,
			     .is_used = true };
	pthread_mutex_unlock(&part->lock);
}

/* The lock of @part is held. */
static struct entry *find(const struct part *part, const struct file_info *info)
{
	struct entry *e;

	if (part->cap == 0)
		return NULL;
	e = slot_of(part->entries, part->cap, bare_inode(info), info->device);
	return e->is_used && info->type == FILE_REGULAR && e->size == info->size &&
			       e->modified_ns == info->modified_ns &&
			       e->changed_ns == info->changed_ns
		       ? e
		       : NULL;
}

void file_known_remark(struct file_known *known, const struct file_info *info,
		       const struct file_remark *remark)
{
	struct part *part = part_of(known, info);
	struct entry *e;

	pthread_mutex_lock(&part->lock);
	e = find(part, info);
	if (e)
		e->remark = *remark;
	pthread_mutex_unlock(&part->lock);
}

bool file_known_find(const struct file_known *known_, const struct file_info *info,
		     struct digest *digest, struct file_remark *remark)
{
	/* Only the lock changes. */
	struct file_known *known = (struct file_known *)(uintptr_t)known_;
	struct part *part = part_of(known, info);
	const struct entry *e;

	pthread_mutex_lock(&part->lock);
	e = find(part, info);
	if (e && digest)
		*digest = e->digest;
	if (e && remark)
		*remark = e->remark;
	pthread_mutex_unlock(&part->lock);
	return e != NULL;
}
