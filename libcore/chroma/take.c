/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The database as one file, while others may use it. SQLite's locks keep writers from changing
 * the file as long as it is copied; its bytes are then those of one moment, and, unlike with
 * SQLite's own way to copy, the file's own: a database that has not changed gives the same copy.
 * What a crash left beside the file, or a log, is taken into the copy.
 */

#include "chroma/chroma.h"

#include <time.h>

#define TRIES 5
#define STEP_MS 5

/* What of the three files there is: size, time and inode, 0 where there is none. */
struct beside {
	struct file_info database, journal, wal;
};

static int look_at(int dirfd, const char *name, struct file_info *out, struct vs_err *err)
{
	int r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, out, err);

	if (r != VS_ENOENT)
		return r;
	*out = (struct file_info){ 0 };
	*err = (struct vs_err){ 0 };
	return 0;
}

static int look(int dirfd, struct beside *out, struct vs_err *err)
{
	int r = file_stat_at(dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &out->database, err);

	if (r == 0 && out->database.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "%s: is not a regular file", CHROMA_DATABASE);
	if (r == 0)
		r = look_at(dirfd, CHROMA_DATABASE "-journal", &out->journal, err);
	return r == 0 ? look_at(dirfd, CHROMA_DATABASE "-wal", &out->wal, err) : r;
}

static bool is_same(const struct file_info *a, const struct file_info *b)
{
	return a->size == b->size && a->modified_ns == b->modified_ns && a->inode == b->inode;
}

static bool are_same(const struct beside *a, const struct beside *b)
{
	return is_same(&a->database, &b->database) && is_same(&a->journal, &b->journal) &&
	       is_same(&a->wal, &b->wal);
}

static int clear(int to_dirfd, struct vs_err *err)
{
	static const char *const names[] = { CHROMA_DATABASE, CHROMA_DATABASE "-journal",
					     CHROMA_DATABASE "-wal", CHROMA_DATABASE "-shm" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(names); i++) {
		r = file_unlink_at(to_dirfd, names[i], err);
		if (r == VS_ENOENT)
			r = 0;
	}
	return r;
}

/* The copy is the file itself where nothing was taken into it, and is told apart like it. */
static int describe(int to_dirfd, const struct beside *was, bool is_merged,
		    struct chroma_taken *out, struct vs_err *err)
{
	int r = file_stat_at(to_dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &out->info, err);

	if (r < 0)
		return r;
	out->is_merged = is_merged;
	out->info.mode = was->database.mode;
	if (is_merged)
		return 0;
	out->info.modified_ns = was->database.modified_ns;
	out->info.inode = was->database.inode;
	return 0;
}

/* Somebody's transaction is waited for. A file system without locks has no server on it that would
 * mind them. */
static int lock(int dirfd, uint64_t wait_ms, int *fd, struct vs_err *err)
{
	static const struct timespec step = { .tv_nsec = STEP_MS * INT64_C(1000000) };
	int r = chroma_lock_take(dirfd, fd, err);

	for (uint64_t waited = 0; r == VS_EBUSY && waited < wait_ms; waited += STEP_MS) {
		(void)nanosleep(&step, NULL);
		r = chroma_lock_take(dirfd, fd, err);
	}
	return r == VS_EBUSY || r == VS_ENOENT ? r : 0;
}

/* SQLite takes in what lies beside the copy; what a damaged database cannot take in is not part of
 * it. */
static int merge(int to_dirfd, struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *e = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	const char *ignored;
	int r;

	buf_printf(&path, "/proc/self/fd/%d/%s", to_dirfd, CHROMA_DATABASE);
	r = chroma_edit_open(&e, buf_cstr(&path), err);
	if (r == 0)
		r = chroma_edit_end(e, &ignored, err);
	return r == VS_EFORMAT ? 0 : r;
}

/* Returns 1 when the files changed meanwhile, which only those that are no database can. */
static int take_once(int dirfd, int to_dirfd, uint64_t wait_ms, struct chroma_taken *out,
		     struct vs_err *err)
{
	cleanup_(file_closep) int guard = -1;
	struct beside before = { 0 }, after = { 0 };
	bool has_journal, has_wal;
	int r = clear(to_dirfd, err);

	if (r == 0)
		r = lock(dirfd, wait_ms, &guard, err);
	if (r == 0)
		r = look(dirfd, &before, err);
	if (r < 0)
		return r;
	/* Nobody is writing: what is there, a crash has left. */
	has_journal = before.journal.size > 0;
	has_wal = before.wal.size > 0;
	r = chroma_copy_part(dirfd, CHROMA_DATABASE, to_dirfd, err);
	if (r == 0 && has_journal)
		r = chroma_copy_part(dirfd, CHROMA_DATABASE "-journal", to_dirfd, err);
	if (r == 0 && has_wal)
		r = chroma_copy_part(dirfd, CHROMA_DATABASE "-wal", to_dirfd, err);
	if (r == 0)
		r = look(dirfd, &after, err);
	if (r < 0)
		return r;
	if (!are_same(&before, &after))
		return 1;
	if (has_journal || has_wal)
		r = merge(to_dirfd, err);
	return r == 0 ? describe(to_dirfd, &before, has_journal || has_wal, out, err) : r;
}

int chroma_take(int dirfd, int to_dirfd, uint64_t wait_ms, struct chroma_taken *out,
		struct vs_err *err)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < TRIES; i++)
		r = take_once(dirfd, to_dirfd, wait_ms, out, err);
	if (r > 0)
		return vs_fail(err, VS_EBUSY, "%s: is being written all the time; try again later",
			       CHROMA_DATABASE);
	return r;
}
