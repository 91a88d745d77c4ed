/* SPDX-License-Identifier: Apache-2.0 */

/*
 * measure: run a command once and print what it took
 *
 *	measure COMMAND [ARGUMENT...]
 *
 * Prints one line: wall clock and processor time in microseconds, peak resident memory in KiB, exit
 * status. The command's output is thrown away; its complaints are not. The clock runs from before
 * fork() to after the exit, so it contains the start of the process, for everybody alike.
 *
 * Exit status: 0 measured, 127 the command could not be run.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long time_us(const struct timeval *t)
{
	return t->tv_sec * 1000000LL + t->tv_usec;
}

static void run(char *const *argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0 && dup2(null, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage used;
	long long wall;
	int status = 0;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND [ARGUMENT...]\n");
		return 127;
	}
	wall = now_us();
	pid = fork();
	if (pid == 0)
		run(argv + 1);
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0) {
		perror("measure");
		return 127;
	}
	wall = now_us() - wall;
	printf("%lld %lld %ld %d\n", wall, time_us(&used.ru_utime) + time_us(&used.ru_stime),
	       used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? 127 : 0;
}
