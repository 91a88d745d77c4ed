/* SPDX-License-Identifier: Apache-2.0 */

/* The state directory of a store: where it is, opened, and made. */

#include "repair/repair-private.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>

int state_path_for(const char *store_path, const char *state_path, char **out, struct vs_err *err)
{
	size_t len = strlen(store_path);
	struct buf text = { 0 };

	if (state_path) {
		*out = vs_strdup(state_path);
		return 0;
	}
	while (len > 1 && store_path[len - 1] == '/')
		len--;
	if (len == 0 || (len == 1 && store_path[0] == '/'))
		return vs_fail(err, VS_EUSAGE,
			       "%s has no place beside it for state: give --state DIR", store_path);
	buf_append(&text, store_path, len);
	buf_append_str(&text, ".vsctl");
	*out = buf_take_str(&text);
	return 0;
}

static int absolute(const char *path, char out[PATH_MAX], struct vs_err *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	size_t len;

	if (realpath(path, out))
		return 0;
	if (errno != ENOENT)
		return vs_fail_errno(err, "%s", path);
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1,
		 slash ? path : ".");
	if (!realpath(slash == path ? "/" : parent, out))
		return vs_fail_errno(err, "%s", parent);
	len = strlen(out);
	if (snprintf(out + len, PATH_MAX - len, "/%s", last) >= (int)(PATH_MAX - len))
		return vs_fail(err, VS_EUSAGE, "%s: path too long", path);
	return 0;
}

int path_absolute(const char *path, char **out, struct vs_err *err)
{
	cleanup_(vs_freep) char *bare = vs_strdup(path);
	char found[PATH_MAX];
	int r;

	for (size_t len = strlen(bare); len > 1 && bare[len - 1] == '/'; len--)
		bare[len - 1] = '\0';
	r = absolute(bare, found, err);
	if (r == 0)
		*out = vs_strdup(found);
	return r;
}

/* Run once as root and once by a schedule as somebody else: whose it is says what to do. */
static int refused(const char *path, struct vs_err *err)
{
	const struct passwd *user;
	struct vs_err ignored;
	struct file_info info;

	if (file_stat_at(AT_FDCWD, path, FILE_FOLLOW, &info, &ignored) < 0 || file_is_own(&info))
		return err->status;
	user = getpwuid(info.owner);
	if (!user)
		return vs_fail(err, VS_EACCES,
			       "%s: belongs to the user with the number %" PRIu32
			       "; run this as that user, or give another --state",
			       path, info.owner);
	return vs_fail(err, VS_EACCES,
		       "%s: belongs to the user %s; run this as that user, or give another --state",
		       path, user->pw_name);
}

int state_open(const char *path, int *out, struct vs_err *err)
{
	int r = file_open_dir(AT_FDCWD, path, FILE_FOLLOW, out, err);

	/* A file in its place is not the same as nothing. */
	if (r == VS_ENOENT && err->sysno == ENOTDIR)
		return vs_fail(err, VS_EIO, "%s: is not a directory", path);
	return r == VS_EACCES ? refused(path, err) : r;
}

int state_make(const char *path, int *out, struct vs_err *err)
{
	int r = state_open(path, out, err);

	if (r != VS_ENOENT)
		return r;
	r = file_mkdir_at(AT_FDCWD, path, 0700, err);
	return r < 0 ? r : state_open(path, out, err);
}
