/* SPDX-License-Identifier: Apache-2.0 */

/* A directory of ours with all that is in it, removed. */

#include "snap/private.h"

int snap_remove_tree(int dirfd, const char *name, struct vs_err *err)
{
	cleanup_(snap_listing_fini) struct snap_listing l = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r;

	r = file_open_dir(dirfd, name, FILE_NO_FOLLOW, &fd, err);
	if (r == VS_ENOENT && err->sysno == ENOENT)
		return 0;
	if (r == 0)
		r = snap_list_tree(fd, &l, err);
	for (size_t i = 0; r == 0 && i < l.directory_count; i++)
		r = file_chmod_at(fd, l.directories[i].path, 0700, err);
	for (size_t i = 0; r == 0 && i < l.file_count; i++)
		r = file_unlink_at(fd, l.files[i].path, err);
	for (size_t i = 0; r == 0 && i < l.skipped_count; i++)
		r = file_unlink_at(fd, l.skipped[i].path, err);
	for (size_t i = l.directory_count; r == 0 && i > 0; i--)
		r = file_rmdir_at(fd, l.directories[i - 1].path, err);
	return r == 0 ? file_rmdir_at(dirfd, name, err) : r;
}
