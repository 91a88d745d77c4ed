/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A private copy of the database: the file and what SQLite keeps beside it, in a directory of our own
 * outside the store. A copy is what a journal can be rolled back in.
 */

#include "chroma/chroma.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *const parts[] = { "", "-journal", "-wal" };
static const char *const leftovers[] = { "", "-journal", "-wal", "-shm" };

/* One that is there and is a regular file. Returns 1 when it is not there. */
static int part_size(int dirfd, const char *name, uint64_t *size, struct vs_err *err)
{
	struct file_info info;
	int r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, err);

	*size = 0;
	if (r == VS_ENOENT)
		return 1;
	if (r == 0 && info.type != FILE_REGULAR)
		return vs_fail(err, VS_EFORMAT, "%s: is not a regular file", name);
	if (r == 0)
		*size = info.size;
	return r;
}

static int check_room(int scratch_dirfd, const char *scratch, uint64_t need, struct vs_err *err)
{
	struct statvfs fs;
	char need_text[16];

	if (fstatvfs(scratch_dirfd, &fs) < 0 || need <= (uint64_t)fs.f_bavail * fs.f_frsize)
		return 0;
	size_format(need, need_text);
	vs_fail(err, VS_EIO,
		"%s: no room for a copy of the database, %s; set TMPDIR to another place", scratch,
		need_text);
	err->sysno = ENOSPC;
	return VS_EIO;
}

int chroma_copy_part(int from_dirfd, const char *name, int to_dirfd, struct vs_err *err)
{
	static const size_t piece = (size_t)1 << 20;
	cleanup_(vs_freep) unsigned char *bytes = vs_alloc(piece);
	cleanup_(file_closep) int from = -1, to = -1;
	ssize_t n;
	int r;

	from = openat(from_dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return vs_fail_errno(err, "%s", name);
	r = file_create_at(to_dirfd, name, 0600, &to, err);
	while (r == 0 && (n = read(from, bytes, piece)) != 0) {
		if (n < 0)
			return vs_fail_errno(err, "%s", name);
		r = file_write(to, slice_of(bytes, (size_t)n), err);
	}
	return r;
}

/* A name that nobody else uses; not a secret, since the directory is ours alone. */
static int make_dir(struct chroma_copy *copy, int scratch_dirfd, const char *scratch,
		    struct vs_err *err)
{
	int r = VS_EBUSY;

	for (unsigned i = 0; r == VS_EBUSY && i < 1000; i++) {
		struct buf name = { 0 };
		cleanup_(vs_freep) char *text = NULL;

		buf_printf(&name, CHROMA_COPY_PREFIX "%ld-%u", (long)getpid(), i);
		text = buf_take_str(&name);
		r = file_mkdir_at(scratch_dirfd, text, 0700, err);
		if (r == 0) {
			buf_printf(&name, "%s/%s", scratch, text);
			copy->dir = buf_take_str(&name);
			buf_printf(&name, "%s/%s", copy->dir, CHROMA_DATABASE);
			copy->path = buf_take_str(&name);
		}
	}
	return r;
}

int chroma_copy_make(struct chroma_copy *copy, int dirfd, const char *scratch, struct vs_err *err)
{
	cleanup_(file_closep) int above = -1, to = -1;
	uint64_t sizes[VS_COUNT(parts)], need = 0;
	bool there[VS_COUNT(parts)];
	char name[64];
	int r;

	scratch = scratch ? scratch : "/tmp";
	r = file_open_dir(AT_FDCWD, scratch, FILE_FOLLOW, &above, err);
	for (size_t i = 0; r >= 0 && i < VS_COUNT(parts); i++) {
		snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, parts[i]);
		r = part_size(dirfd, name, &sizes[i], err);
		there[i] = r == 0;
		need += sizes[i];
	}
	/* What a log holds goes into the file as well. */
	r = r < 0 ? r : check_room(above, scratch, need * 2, err);
	if (r == 0)
		r = make_dir(copy, above, scratch, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, copy->dir, FILE_NO_FOLLOW, &to, err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(parts); i++) {
		snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, parts[i]);
		if (there[i])
			r = chroma_copy_part(dirfd, name, to, err);
	}
	if (r < 0)
		chroma_copy_remove(copy);
	return r;
}

int chroma_copy_dir(struct chroma_copy *copy, const char *scratch, struct vs_err *err)
{
	cleanup_(file_closep) int above = -1;
	int r = file_open_dir(AT_FDCWD, scratch, FILE_FOLLOW, &above, err);

	return r < 0 ? r : make_dir(copy, above, scratch, err);
}

/* Only names that SQLite or we have made; a directory with anything else in it stays. */
void chroma_copy_remove(struct chroma_copy *copy)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err ignored = { 0 };
	char name[64];

	if (!copy->dir)
		return;
	if (file_open_dir(AT_FDCWD, copy->dir, FILE_NO_FOLLOW, &fd, &ignored) == 0) {
		for (size_t i = 0; i < VS_COUNT(leftovers); i++) {
			snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, leftovers[i]);
			(void)!file_unlink_at(fd, name, &ignored);
		}
		(void)!file_rmdir_at(AT_FDCWD, copy->dir, &ignored);
	}
	free(copy->dir);
	free(copy->path);
	*copy = (struct chroma_copy){ 0 };
}
