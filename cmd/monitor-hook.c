/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commands of the operator. Each runs in a process group of its own, which is ended as a whole when
 * the time is over: asked first, then killed. Waiting polls, so that no signal handler and no
 * thread is needed for it.
 */

#include "monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define POLL_NS 10000000L
#define GRACE_NS INT64_C(2000000000)

/* The environment of this process with four more; the strings of the former are borrowed. */
static char **environment(const struct monitor_event *event)
{
	const char *const names[] = { "MONITOR_EVENT", "MONITOR_STORE", "MONITOR_VERDICT",
				      "MONITOR_MESSAGE" };
	const char *const values[] = { event->name, event->store, event->verdict, event->message };
	size_t count = 0;
	char **out;

	while (environ[count])
		count++;
	out = vs_alloc_array(count + VS_COUNT(names) + 1, sizeof(*out));
	for (size_t i = 0; i < VS_COUNT(names); i++) {
		struct buf text = { 0 };

		buf_printf(&text, "%s=%s", names[i], values[i] ? values[i] : "");
		out[i] = buf_take_str(&text);
	}
	memcpy(out + VS_COUNT(names), environ, count * sizeof(*out));
	return out;
}

static void environment_freep(char ***env)
{
	for (size_t i = 0; *env && i < 4; i++)
		free((*env)[i]);
	free(*env);
}

static int start(const char *command, char **env, pid_t *pid)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int r;

	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	/* posix_spawn() does not change its arguments. */
	r = posix_spawn(pid, "/bin/sh", &actions, &attr, (char *const *)(uintptr_t)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* True when it ended within @limit_ns. It stays a zombie, so that its group keeps its number. */
static bool wait_for(pid_t pid, int64_t limit_ns)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	int64_t begin = clock_elapsed_ns();

	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    info.si_pid != 0)
			return true;
		if (clock_elapsed_ns() - begin >= limit_ns)
			return false;
		nanosleep(&pause, NULL);
	}
}

int monitor_hook_run(const char *command, const struct monitor_event *event, uint64_t limit_s,
		     struct vs_err *err)
{
	cleanup_(environment_freep) char **env = environment(event);
	bool is_late;
	int status = 0;
	pid_t pid;
	int r;

	r = start(command, env, &pid);
	if (r != 0)
		return vs_fail(err, VS_EIO, "/bin/sh: %s", strerror(r));
	is_late = !wait_for(pid, (int64_t)limit_s * 1000000000);
	if (is_late) {
		kill(-pid, SIGTERM);
		(void)wait_for(pid, GRACE_NS);
		/* What the shell left behind goes with it. */
		kill(-pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (is_late)
		return vs_fail(err, VS_EIO,
			       "the command for %s was ended after %" PRIu64 " s: %.200s",
			       event->name, limit_s, command);
	if (WIFSIGNALED(status))
		return vs_fail(err, VS_EIO, "the command for %s was ended by signal %d: %.200s",
			       event->name, WTERMSIG(status), command);
	if (WEXITSTATUS(status) != 0)
		return vs_fail(err, VS_EIO, "the command for %s ended with status %d: %.200s",
			       event->name, WEXITSTATUS(status), command);
	return 0;
}
