/* SPDX-License-Identifier: Apache-2.0 */

/* Scratch directories, the kinds of files that go into them, and a process without privileges. */

#include "kit/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* The user and group that own nothing, by convention. */
#define NOBODY 65534

static char path[4096];
static pid_t owner;

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	remove(name);
	return 0;
}

static void remove_all(void)
{
	/* A child that a test forked leaves its parent's files alone. */
	if (getpid() == owner)
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_new(int *out)
{
	const char *tmp = getenv("TMPDIR");
	char *made;

	assert(owner == 0);
	snprintf(path, sizeof(path), "%s/vsctl-test-XXXXXX", tmp ? tmp : "/tmp");
	made = mkdtemp(path);
	assert(made);
	owner = getpid();
	atexit(remove_all);
	/* For the user without privileges, too. */
	if (chmod(path, 0755) < 0)
		abort();
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(*out >= 0);
	return path;
}

int scratch_mkdir(int dirfd, const char *name)
{
	int r = mkdirat(dirfd, name, 0755);
	int fd;

	assert(r == 0);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	return fd;
}

void scratch_write(int dirfd, const char *name, const void *bytes, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const unsigned char *ptr = bytes;

	assert(fd >= 0);
	while (len > 0) {
		ssize_t n = write(fd, ptr, len);

		assert(n > 0);
		ptr += n;
		len -= (size_t)n;
	}
	close(fd);
}

void scratch_text(int dirfd, const char *name, const char *text)
{
	scratch_write(dirfd, name, text, strlen(text));
}

void scratch_fifo(int dirfd, const char *name)
{
	int r = mkfifoat(dirfd, name, 0644);

	assert(r == 0);
}

void scratch_socket(int dirfd, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	assert(fd >= 0);
	/* The path of a socket is short; the way through the descriptor always fits. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	assert(r == 0);
	close(fd);
}

int scratch_as_nobody(int (*fn)(void *ctx), void *ctx)
{
	pid_t child = fork();
	int status = 0;

	assert(child >= 0);
	if (child == 0) {
		bool dropped = geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 &&
						  setuid(NOBODY) == 0);

		_exit(dropped ? fn(ctx) : 101);
	}
	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}
