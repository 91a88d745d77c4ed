/* SPDX-License-Identifier: Apache-2.0 */

/* Directories of tests, the files in them, and simple damage. */

#include "kit.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>

/* Run a shell command on paths that have no quotes in them. */
static void shell(const char *fmt, ...) printf_(1, 2);

static void shell(const char *fmt, ...)
{
	cleanup_(vs_freep) char *command = NULL;
	va_list ap;

	va_start(ap, fmt);
	cr_assert_gt(vasprintf(&command, fmt, ap), 0);
	va_end(ap);
	cr_assert_eq(system(command), 0, "%s", command);
}

static char *join(const char *a, const char *b)
{
	struct buf out = { 0 };

	buf_printf(&out, "%s/%s", a, b);
	return buf_take_str(&out);
}

struct kit_dir *kit_dir_new(void)
{
	struct kit_dir *dir = vs_alloc(sizeof(*dir));
	const char *tmp = getenv("TMPDIR");

	dir->root = join(tmp ? tmp : "/tmp", "vsctl-test-XXXXXX");
	cr_assert_not_null(mkdtemp(dir->root), "%s: %s", dir->root, strerror(errno));
	dir->path = vs_strdup(dir->root);
	return dir;
}

void kit_dir_freep(struct kit_dir **dir_)
{
	struct kit_dir *dir = *dir_;

	if (!dir)
		return;
	shell("chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", dir->root, dir->root);
	free(dir->root);
	free(dir->path);
	free(dir);
	*dir_ = NULL;
}

char *kit_source(const char *path)
{
	const char *root = getenv("SOURCE_ROOT");

	cr_assert_not_null(root, "SOURCE_ROOT is not set");
	return join(root, path);
}

struct kit_dir *kit_fixture(const char *name)
{
	struct kit_dir *dir = kit_dir_new();
	cleanup_(vs_freep) char *data = kit_source("tests/data/chromem");
	struct stat st;

	shell("cp -R '%s/%s/.' '%s' && chmod -R u+w '%s'", data, name, dir->root, dir->root);
	shell("cd '%s' && { [ ! -e setup.sh ] || sh ./setup.sh; }", dir->root);
	free(dir->path);
	dir->path = join(dir->root, "store");
	if (stat(dir->path, &st) != 0) {
		free(dir->path);
		dir->path = vs_strdup(dir->root);
	}
	return dir;
}

void kit_drop_privileges(const struct kit_dir *dir)
{
	const unsigned nobody = 65534;

	if (geteuid() != 0)
		return;
	shell("chown -R %u:%u '%s'", nobody, nobody, dir->root);
	cr_assert_eq(setegid(nobody), 0);
	cr_assert_eq(seteuid(nobody), 0);
}

void kit_regain_privileges(void)
{
	if (getuid() != 0)
		return;
	cr_assert_eq(seteuid(0), 0);
	cr_assert_eq(setegid(0), 0);
}

char *kit_path(const struct kit_dir *dir, const char *path)
{
	return join(dir->path, path);
}

void kit_write(const struct kit_dir *dir, const char *path, struct slice bytes)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);
	FILE *file = fopen(full, "wbe");

	cr_assert_not_null(file, "%s: %s", full, strerror(errno));
	cr_assert_eq(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
	cr_assert_eq(fclose(file), 0);
}

void kit_read(const struct kit_dir *dir, const char *path, struct buf *out)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);
	FILE *file = fopen(full, "rbe");
	unsigned char block[4096];
	size_t len;

	cr_assert_not_null(file, "%s: %s", full, strerror(errno));
	while ((len = fread(block, 1, sizeof(block), file)) > 0)
		buf_append(out, block, len);
	cr_assert_eq(fclose(file), 0);
}

void kit_remove(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(remove(full), 0, "%s: %s", full, strerror(errno));
}

void kit_rename(const struct kit_dir *dir, const char *from, const char *to)
{
	cleanup_(vs_freep) char *full_from = kit_path(dir, from);
	cleanup_(vs_freep) char *full_to = kit_path(dir, to);

	cr_assert_eq(rename(full_from, full_to), 0, "%s: %s", full_from, strerror(errno));
}

void kit_copy(const struct kit_dir *dir, const char *from, const char *to)
{
	cleanup_(vs_freep) char *full_from = kit_path(dir, from);
	cleanup_(vs_freep) char *full_to = kit_path(dir, to);

	shell("cp -R '%s' '%s'", full_from, full_to);
}

void kit_mkdir(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(mkdir(full, 0700), 0, "%s: %s", full, strerror(errno));
}

void kit_mkfifo(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(mkfifo(full, 0600), 0, "%s: %s", full, strerror(errno));
}

void kit_symlink(const struct kit_dir *dir, const char *target, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(symlink(target, full), 0, "%s: %s", full, strerror(errno));
}

void kit_chmod(const struct kit_dir *dir, const char *path, unsigned mode)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(chmod(full, mode), 0, "%s: %s", full, strerror(errno));
}

/* ---- damage ---- */

void kit_truncate(const struct kit_dir *dir, const char *path, size_t len)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	cr_assert_lt(len, bytes.len);
	kit_write(dir, path, slice_of(bytes.ptr, len));
}

void kit_flip(const struct kit_dir *dir, const char *path, size_t off, unsigned bit)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	cr_assert_lt(off, bytes.len);
	bytes.ptr[off] = (unsigned char)(bytes.ptr[off] ^ (1u << bit));
	kit_write(dir, path, buf_slice(&bytes));
}

void kit_zero(const struct kit_dir *dir, const char *path, size_t from)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	cr_assert_lt(from, bytes.len);
	memset(bytes.ptr + from, 0, bytes.len - from);
	kit_write(dir, path, buf_slice(&bytes));
}

void kit_append(const struct kit_dir *dir, const char *path, struct slice bytes)
{
	cleanup_(buf_fini) struct buf all = { 0 };

	kit_read(dir, path, &all);
	buf_append(&all, bytes.ptr, bytes.len);
	kit_write(dir, path, buf_slice(&all));
}

size_t kit_find(const struct kit_dir *dir, const char *path, struct slice bytes)
{
	cleanup_(buf_fini) struct buf all = { 0 };
	const unsigned char *at;
	size_t off;

	kit_read(dir, path, &all);
	at = all.len > 0 ? memmem(all.ptr, all.len, bytes.ptr, bytes.len) : NULL;
	cr_assert_not_null(at, "%s: not there", path);
	off = (size_t)(at - all.ptr);
	cr_assert_null(memmem(at + 1, all.len - off - 1, bytes.ptr, bytes.len), "%s: there twice",
		       path);
	return off;
}

/* ---- the whole tree ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void digest_file(struct digest_ctx *ctx, const char *path)
{
	FILE *file = fopen(path, "rbe");
	unsigned char block[4096];
	size_t len;

	if (!file)
		return;
	while ((len = fread(block, 1, sizeof(block), file)) > 0)
		digest_ctx_add(ctx, block, len);
	fclose(file);
}

static void digest_tree(struct digest_ctx *ctx, const char *path)
{
	struct dirent **entries;
	struct stat st;
	int count;

	cr_assert_eq(lstat(path, &st), 0);
	digest_ctx_add(ctx, path, strlen(path) + 1);
	digest_ctx_add_u64(ctx, st.st_mode);
	digest_ctx_add_u64(ctx, (uint64_t)st.st_size);
	digest_ctx_add_u64(ctx, (uint64_t)st.st_mtim.tv_sec);
	digest_ctx_add_u64(ctx, (uint64_t)st.st_mtim.tv_nsec);
	digest_ctx_add_u64(ctx, (uint64_t)st.st_ctim.tv_sec);
	digest_ctx_add_u64(ctx, (uint64_t)st.st_ctim.tv_nsec);
	if (S_ISREG(st.st_mode))
		digest_file(ctx, path);
	if (!S_ISDIR(st.st_mode))
		return;
	count = scandir(path, &entries, NULL, by_name);
	cr_assert_geq(count, 2);
	for (int i = 0; i < count; i++) {
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) {
			cleanup_(vs_freep) char *child = join(path, entries[i]->d_name);

			digest_tree(ctx, child);
		}
		free(entries[i]);
	}
	free(entries);
}

void kit_tree_digest(const struct kit_dir *dir, struct digest *out)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();

	digest_tree(ctx, dir->root);
	digest_ctx_final(ctx, out);
}
