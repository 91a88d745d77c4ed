/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is using a store.
 *
 * The library keeps no file open and takes no lock, so a live process can only be guessed at: by a
 * descriptor below the store, by the working directory, or by the store's path among its arguments
 * or in its environment. Our own ancestors name the store because they started us, and variables
 * such as PWD only remember directories. Other runs of this program are told by the lock, which they
 * wait for or hold: two that begin at once must not take each other for a user.
 */

#include "repair/repair.h"

#include <fcntl.h>
#include <limits.h>

#define PROC_TEXT_MAX (UINT64_C(4) << 20)
#define ANCESTORS_MAX 64

struct search {
	const char *store; /* absolute, no trailing slash */
	size_t store_len;
	pid_t spared[ANCESTORS_MAX]; /* ourselves and our ancestors */
	size_t spared_count;
	struct file_info own; /* our own program; inode 0: not known */
	int procfd;
	unsigned unseen;
	struct buf text; /* reused */
	char *who;
	size_t who_size;
};

/* Is @path the store, or something in it? The path may go on behind it with a slash only. */
static bool is_below(const struct search *s, const char *path)
{
	return strncmp(path, s->store, s->store_len) == 0 &&
	       (path[s->store_len] == '\0' || path[s->store_len] == '/');
}

static pid_t parent_of(struct search *s, pid_t pid)
{
	struct vs_err err = { 0 };
	char name[32];
	const char *close_paren;

	snprintf(name, sizeof(name), "%ld/stat", (long)pid);
	if (file_read_at(s->procfd, name, FILE_FOLLOW, PROC_TEXT_MAX, &s->text, NULL, &err) != 0)
		return 0;
	/* The program's name stands in parentheses and may hold anything, parentheses too. */
	close_paren = strrchr(buf_cstr(&s->text), ')');
	if (!close_paren || strlen(close_paren) <= 4)
		return 0;
	/* Behind it one letter, the state, and the parent: ") S 4711". */
	return (pid_t)strtol(close_paren + 4, NULL, 10);
}

static void spare_ancestors(struct search *s)
{
	pid_t pid = getpid();

	while (pid > 0 && s->spared_count < ANCESTORS_MAX) {
		s->spared[s->spared_count++] = pid;
		pid = parent_of(s, pid);
	}
}

static bool is_spared(const struct search *s, pid_t pid)
{
	for (size_t i = 0; i < s->spared_count; i++) {
		if (s->spared[i] == pid)
			return true;
	}
	return false;
}

/* Is it a run of this very program? */
static bool is_own_program(const struct search *s, const char *pid)
{
	struct vs_err ignored = { 0 };
	struct file_info info;
	char path[64];

	snprintf(path, sizeof(path), "%.20s/exe", pid);
	return s->own.inode != 0 &&
	       file_stat_at(s->procfd, path, FILE_FOLLOW, &info, &ignored) == 0 &&
	       info.inode == s->own.inode && info.device == s->own.device;
}

/* The program's name for messages, made harmless. */
static void describe(struct search *s, pid_t pid, const char *how)
{
	cleanup_(buf_fini) struct buf safe = { 0 };
	cleanup_(buf_fini) struct buf raw = { 0 };
	struct vs_err err = { 0 };
	char name[32];

	snprintf(name, sizeof(name), "%ld/comm", (long)pid);
	if (file_read_at(s->procfd, name, FILE_FOLLOW, PROC_TEXT_MAX, &raw, NULL, &err) == 0) {
		while (raw.len > 0 && raw.ptr[raw.len - 1] == '\n')
			raw.len--;
		text_escape(&safe, buf_slice(&raw));
	}
	snprintf(s->who, s->who_size, "process %ld (%s) %s", (long)pid,
		 safe.len > 0 ? buf_cstr(&safe) : "?", how);
}

/* Variables that remember where somebody was, or configure us, do not make a process a user of the
 * store. */
static bool is_idle_variable(const char *entry)
{
	static const char *const idle[] = { "PWD=", "OLDPWD=", "VSCTL_", "_=", "DIRSTACK=" };

	for (size_t i = 0; i < VS_COUNT(idle); i++) {
		if (strncmp(entry, idle[i], strlen(idle[i])) == 0)
			return true;
	}
	return false;
}

/* Does one of the NUL-separated texts name the store, alone or behind "=" or ":"? */
static bool names_store(struct search *s, pid_t pid, const char *file, bool is_environment)
{
	struct vs_err err = { 0 };
	char name[32];
	const char *p;
	const char *end;

	snprintf(name, sizeof(name), "%ld/%s", (long)pid, file);
	if (file_read_at(s->procfd, name, FILE_FOLLOW, PROC_TEXT_MAX, &s->text, NULL, &err) != 0) {
		s->unseen += err.status == VS_EACCES;
		return false;
	}
	p = buf_cstr(&s->text);
	end = p + s->text.len;
	for (; p < end; p += strlen(p) + 1) {
		const char *hit = p;

		if (is_environment && is_idle_variable(p))
			continue;
		while ((hit = strstr(hit, s->store)) != NULL) {
			bool starts = hit == p || strchr("=:, '\"", hit[-1]) != NULL;
			char after = hit[s->store_len];

			if (starts && (after == '\0' || strchr("/:, '\"", after) != NULL))
				return true;
			hit++;
		}
	}
	return false;
}

static bool link_is_below(struct search *s, int dirfd, const char *name)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (len < 0)
		return false;
	target[len] = '\0';
	return is_below(s, target);
}

struct fd_search {
	struct search *s;
	int dirfd;
};

static int look_at_fd(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct fd_search *f = ctx;

	(void)type;
	(void)err;
	return link_is_below(f->s, f->dirfd, name);
}

static bool has_open_file(struct search *s, pid_t pid)
{
	cleanup_(file_closep) int dirfd = -1;
	struct fd_search f = { .s = s };
	struct vs_err err = { 0 };
	char name[32];
	int r;

	snprintf(name, sizeof(name), "%ld/fd", (long)pid);
	r = file_open_dir(s->procfd, name, FILE_FOLLOW, &dirfd, &err);
	if (r == 0) {
		f.dirfd = dirfd;
		r = file_list(dirfd, look_at_fd, &f, &err);
	}
	s->unseen += r == VS_EACCES;
	return r > 0;
}

static bool runs_inside(struct search *s, pid_t pid)
{
	char name[32];

	snprintf(name, sizeof(name), "%ld/cwd", (long)pid);
	return link_is_below(s, s->procfd, name);
}

static int look_at_process(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct search *s = ctx;
	uint64_t number;
	pid_t pid;

	(void)type;
	(void)err;
	if (!parse_u64(name, INT32_MAX, &number))
		return 0;
	pid = (pid_t)number;
	if (is_spared(s, pid) || is_own_program(s, name))
		return 0;
	if (has_open_file(s, pid))
		describe(s, pid, "has a file of it open");
	else if (names_store(s, pid, "cmdline", false))
		describe(s, pid, "names it in its command line");
	else if (names_store(s, pid, "environ", true))
		describe(s, pid, "names it in its environment");
	else if (runs_inside(s, pid))
		describe(s, pid, "runs in it");
	else
		return 0;
	return 1;
}

int inuse_find(const char *store_path, char *who, size_t size, unsigned *unseen, struct vs_err *err)
{
	cleanup_(file_closep) int procfd = -1;
	struct search s = { .who_size = size };
	char real[PATH_MAX];
	int r;

	if (!realpath(store_path, real))
		return vs_fail_errno(err, "%s", store_path);
	s.who = who;
	s.store = real;
	s.store_len = strlen(real);
	r = file_open_dir(AT_FDCWD, "/proc", FILE_FOLLOW, &procfd, err);
	if (r < 0)
		return r;
	s.procfd = procfd;
	spare_ancestors(&s);
	if (file_stat_at(procfd, "self/exe", FILE_FOLLOW, &s.own, err) < 0)
		s.own.inode = 0;
	r = file_list(procfd, look_at_process, &s, err);
	*unseen = s.unseen;
	buf_fini(&s.text);
	return r;
}
