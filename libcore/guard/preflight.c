/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Before anything is written: is there memory, and is there room on the disk? A job that ends for
 * want of either is undone by the journal, but one that is not begun has nothing to undo, and leaves
 * the service beside it alive.
 */

#include "guard/guard.h"

#include "file/file.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#define TEXT_MAX 16384
#define PATH_LEN_MAX 4096

/* ---- memory ---- */

static bool read_text(const char *path, struct buf *out)
{
	struct vs_err err = { 0 };

	return file_read_head_at(AT_FDCWD, path, FILE_FOLLOW, TEXT_MAX, out, NULL, &err) == 0;
}

/* The number behind the line start @key; a text as "max" is none. */
static bool number_behind(struct buf *text, const char *key, double *out)
{
	const char *at = buf_cstr(text);
	size_t len = strlen(key);
	char *end;

	while (at && strncmp(at, key, len) != 0) {
		at = strchr(at, '\n');
		at += at != NULL;
	}
	if (!at)
		return false;
	*out = strtod(at + len, &end);
	return end != at + len;
}

static double machine_used(void)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	double total, left;

	if (!read_text("/proc/meminfo", &text) || !number_behind(&text, "MemTotal:", &total) ||
	    !number_behind(&text, "MemAvailable:", &left) || total <= 0)
		return -1;
	return (total - left) * 100 / total;
}

static bool group_number(const char *group, const char *file, const char *key, double *out)
{
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf text = { 0 };

	buf_printf(&path, "/sys/fs/cgroup%s/%s", group, file);
	return read_text(buf_cstr(&path), &text) && number_behind(&text, key, out);
}

/*
 * Version 2 of control groups: the line "0::/path" names the group. Every group above it may have a
 * limit as well, and the tightest counts. A file cache that nobody uses is given up before anything
 * is refused.
 */
static double group_used(void)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char group[PATH_LEN_MAX];
	const char *at;
	double most = -1;

	if (!read_text("/proc/self/cgroup", &text))
		return -1;
	at = strstr(buf_cstr(&text), "0::/");
	if (!at)
		return -1;
	snprintf(group, sizeof(group), "%.*s", (int)strcspn(at + 3, "\n"), at + 3);
	for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
		double limit, now, idle = 0;

		*slash = '\0';
		if (!group_number(group, "memory.max", "", &limit) || limit <= 0 ||
		    !group_number(group, "memory.current", "", &now))
			continue;
		(void)group_number(group, "memory.stat", "inactive_file ", &idle);
		most = VS_MAX(most, (now - VS_MIN(idle, now)) * 100 / limit);
	}
	return most;
}

double guard_memory_used(void)
{
	double machine = machine_used();
	double group = group_used();

	return VS_MAX(machine, group);
}

/* ---- disk ---- */

int guard_disk_free(const char *path, uint64_t *out, struct vs_err *err)
{
	cleanup_(vs_freep) char *at = vs_strdup(path);
	struct statvfs fs;

	while (statvfs(at, &fs) < 0) {
		char *slash = strrchr(at, '/');

		if ((errno != ENOENT && errno != ENOTDIR) || strcmp(at, "/") == 0 ||
		    strcmp(at, ".") == 0)
			return vs_fail_errno(err, "%s", path);
		if (!slash)
			memcpy(at, ".", 2); /* what was there had a letter or more */
		else
			slash[slash == at ? 1 : 0] = '\0';
	}
	*out = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int guard_preflight(const struct guard_limits *limits, const char *const *paths, struct vs_err *err)
{
	double memory = limits->memory_percent < 100 ? guard_memory_used() : -1;

	if (memory > limits->memory_percent)
		return vs_fail(
			err, VS_EIO,
			"%.1f %% of the memory is in use, and nothing is begun above %g %%: wait, or give --max-memory",
			memory, limits->memory_percent);
	for (size_t i = 0; paths[i] && limits->free_bytes > 0; i++) {
		char has[16], wants[16];
		uint64_t left;
		int r = guard_disk_free(paths[i], &left, err);

		if (r < 0)
			return r;
		if (left >= limits->free_bytes)
			continue;
		size_format(left, has);
		size_format(limits->free_bytes, wants);
		return vs_fail(
			err, VS_EIO,
			"%s: %s of the disk are free, and nothing is begun below %s: make room, or give --min-free",
			paths[i], has, wants);
	}
	return 0;
}

/* ---- room for the way back ---- */

int guard_reserve_release(int dirfd, struct vs_err *err)
{
	int r = file_unlink_at(dirfd, GUARD_RESERVE_NAME, err);

	if (r == VS_ENOENT) {
		*err = (struct vs_err){ 0 };
		return 0;
	}
	return r;
}

int guard_reserve(int dirfd, uint64_t size, uint64_t free_bytes, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err ignored = { 0 };
	struct statvfs fs;
	uint64_t want;
	int r;

	r = guard_reserve_release(dirfd, err); /* of one that was killed */
	if (r < 0)
		return r;
	if (fstatvfs(dirfd, &fs) < 0)
		return vs_fail_errno(err, "room for the way back");
	if (__builtin_add_overflow(size, free_bytes, &want) ||
	    (uint64_t)fs.f_bavail * fs.f_frsize < want)
		return 1;
	r = file_create_at(dirfd, GUARD_RESERVE_NAME, 0600, &fd, err);
	if (r < 0)
		return r;
	if (file_allocate(fd, size, &ignored) == 0)
		return 0;
	r = guard_reserve_release(dirfd, err);
	return r < 0 ? r : 1;
}
