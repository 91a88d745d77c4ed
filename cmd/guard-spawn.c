/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Starting a program as a job: a group of its own, the foreground of the terminal, signals as this
 * process found them. Should this process be killed, the program is asked to end: nobody would judge
 * what it does from then on.
 */

#include "guard-run.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* In the child, where nothing but calls to the system is left to do. */
static void become(const struct guard_spawn *spawn, pid_t parent)
{
	setpgid(0, 0);
	/* Held back here is the signal that a background process gets for this. */
	if (spawn->terminal >= 0)
		tcsetpgrp(spawn->terminal, getpid());
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		return;
	if (!spawn->has_stdin) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0)
			return;
	}
	if (!spawn->keeps_stdout && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return;
	if (setenv("VSCTL_STORE", spawn->store, 1) < 0)
		return;
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, spawn->mask, NULL);
	execvp(spawn->argv[0], spawn->argv);
}

int guard_spawn(const struct guard_spawn *spawn, pid_t *pid)
{
	pid_t parent = getpid();
	int told[2], sysno = 0;
	pid_t child;

	if (pipe2(told, O_CLOEXEC) < 0)
		return errno;
	fflush(NULL);
	child = fork();
	if (child < 0)
		sysno = errno;
	if (child == 0) {
		become(spawn, parent);
		sysno = errno;
		/* When it cannot be told, the status says the same. */
		(void)!write(told[1], &sysno, sizeof(sysno));
		_exit(sysno == ENOENT ? 127 : 126);
	}
	close(told[1]);
	if (child > 0) {
		/* Both do it, as nobody knows who comes first. */
		setpgid(child, child);
		if (spawn->terminal >= 0)
			tcsetpgrp(spawn->terminal, child);
		/* Nothing comes when it has become the program. */
		if (read(told[0], &sysno, sizeof(sysno)) != sizeof(sysno))
			sysno = 0;
	}
	close(told[0]);
	if (sysno != 0 && child > 0)
		waitpid(child, NULL, 0);
	*pid = child;
	return sysno;
}
