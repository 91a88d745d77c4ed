/* SPDX-License-Identifier: Apache-2.0 */

/* Where snapshots are kept, and what their files are called. */

#include "snap/private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

bool snap_id_is_valid(const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > SNAP_ID_MAX || id[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		bool is_letter = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z');

		if (!is_letter && !(id[i] >= '0' && id[i] <= '9') && id[i] != '_' && id[i] != '-')
			return false;
	}
	return true;
}

void snap_id_format(int64_t time_ns, char out[SNAP_ID_MAX + 1])
{
	char when[32];

	time_format_compact(time_ns, when); /* 20260122T140309Z */
	snprintf(out, SNAP_ID_MAX + 1, "snapshot_%.8s_%.6s", when, when + 9);
}

void snap_archive_name(const char *id, bool is_sealed, char out[SNAP_FILE_MAX])
{
	snprintf(out, SNAP_FILE_MAX, "%s.tar.gz%s", id, is_sealed ? ".sealed" : "");
}

void snap_manifest_name(const char *id, char out[SNAP_FILE_MAX])
{
	snprintf(out, SNAP_FILE_MAX, "%s.json", id);
}

void snap_members_name(const char *id, char out[SNAP_FILE_MAX])
{
	snprintf(out, SNAP_FILE_MAX, "%s.members.gz", id);
}

void snap_pending_name(const char *id, char out[SNAP_FILE_MAX])
{
	snprintf(out, SNAP_FILE_MAX, ".%s.pending", id);
}

void snap_temp_name(const char *id, char out[SNAP_FILE_MAX])
{
	snprintf(out, SNAP_FILE_MAX, ".%s.part", id);
}

int snap_exists(int dirfd, const char *name, struct vs_err *err)
{
	struct file_info info;
	int r = file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, err);

	return r == VS_ENOENT ? 0 : r < 0 ? r : 1;
}

int snap_unlink(int dirfd, const char *name, struct vs_err *err)
{
	int r = snap_exists(dirfd, name, err);

	return r > 0 ? file_unlink_at(dirfd, name, err) : r;
}

static int open_one(int state_dirfd, const char *name, bool make, int *out, struct vs_err *err)
{
	int r = file_open_dir(state_dirfd, name, FILE_NO_FOLLOW, out, err);

	if (r != VS_ENOENT)
		return r;
	if (!make)
		return 0;
	if (err->sysno == ENOTDIR)
		return r;
	r = file_mkdir_at(state_dirfd, name, 0700, err);
	if (r == 0)
		r = file_sync_dir(state_dirfd, err);
	return r < 0 ? r : file_open_dir(state_dirfd, name, FILE_NO_FOLLOW, out, err);
}

int snap_place_open(int state_dirfd, bool make, struct snap_place *out, struct vs_err *err)
{
	int r;

	r = open_one(state_dirfd, SNAP_DIR, make, &out->snapshots, err);
	if (r == 0)
		r = open_one(state_dirfd, MANIFEST_DIR, make, &out->manifests, err);
	if (r == 0)
		r = open_one(state_dirfd, LOG_DIR, make, &out->logs, err);
	return r;
}

void snap_place_close(struct snap_place *place)
{
	file_closep(&place->snapshots);
	file_closep(&place->manifests);
	file_closep(&place->logs);
}

int snap_log(int state_dirfd, int64_t time_ns, const char *text, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	cleanup_(file_closep) int fd = -1;
	cleanup_(buf_fini) struct buf line = { 0 };
	char id[SNAP_ID_MAX + 1];
	char name[SNAP_FILE_MAX];
	char when[32];
	int r;

	snap_id_format(time_ns, id);
	time_format(time_ns, false, when);
	snprintf(name, sizeof(name), "%s.log", id);
	buf_printf(&line, "%s ", when);
	text_escape(&line, slice_str(text));
	buf_append_byte(&line, '\n');
	r = snap_place_open(state_dirfd, true, &place, err);
	if (r == 0)
		r = file_append_at(place.logs, name, 0600, &fd, err);
	if (r == 0)
		r = file_write(fd, buf_slice(&line), err);
	return r;
}

int snap_check_room(int dirfd, uint64_t need, const char *what, struct vs_err *err)
{
	struct statvfs fs;
	uint64_t room;
	char need_text[16], room_text[16];

	if (fstatvfs(dirfd, &fs) < 0)
		return 0; /* not known: then writing will tell */
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (need <= room)
		return 0;
	size_format(need, need_text);
	size_format(room, room_text);
	vs_fail(err, VS_EIO,
		"not enough space for %s: up to %s are needed and %s are free; nothing was written",
		what, need_text, room_text);
	err->sysno = ENOSPC;
	return VS_EIO;
}
