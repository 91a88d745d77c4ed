/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A command that is run on a copy. cp and rm do the copying and the removing: links, times, sparse
 * files and reflinks are their trade.
 */

#include "prove.h"

#include "file/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* Run @argv without input and with its output on stderr. Returns its wait status, or -1. */
static int run_program(const char *const *argv)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
			_exit(126);
		/* execvp() does not change its arguments. */
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return status;
}

static bool is_success(int status)
{
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* @command with the quoted path of the copy in place of each {}, or behind it. */
static void format_command(struct buf *out, const char *command, const char *copy)
{
	const char *from = command;
	const char *at;
	bool is_there = false;

	while ((at = strstr(from, "{}"))) {
		buf_append(out, from, (size_t)(at - from));
		text_shell_word(out, copy);
		from = at + 2;
		is_there = true;
	}
	buf_append_str(out, from);
	if (!is_there) {
		buf_append_byte(out, ' ');
		text_shell_word(out, copy);
	}
}

static int judge(const struct prove *prove, int status, struct vs_err *err)
{
	if (is_success(status))
		return 0;
	if (status < 0)
		return vs_fail(err, VS_EIO, "the proof could not be run: %s", prove->command);
	if (WIFSIGNALED(status))
		return vs_fail(
			err, VS_EFORMAT,
			"the proof was ended by signal %d, so everything was taken back: %.200s",
			WTERMSIG(status), prove->command);
	return vs_fail(err, VS_EFORMAT,
		       "the proof ended with status %d, so everything was taken back: %.200s",
		       WEXITSTATUS(status), prove->command);
}

int prove_run(const struct prove *prove, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf place = { 0 };
	cleanup_(buf_fini) struct buf copy = { 0 };
	cleanup_(buf_fini) struct buf from = { 0 };
	cleanup_(buf_fini) struct buf command = { 0 };
	int r;

	/* A path that begins with a dash is no option with this before it. */
	buf_printf(&place, "%s%s/prove-%ld", prove->state[0] == '/' ? "" : "./", prove->state,
		   (long)getpid());
	r = file_mkdir_at(AT_FDCWD, buf_cstr(&place), 0700, err);
	if (r < 0)
		return r;
	buf_printf(&from, "%s%s", prove->store[0] == '/' ? "" : "./", prove->store);
	buf_printf(&copy, "%s/store", buf_cstr(&place));
	format_command(&command, prove->command, buf_cstr(&copy));
	{
		const char *const copying[] = { "cp", "-a", "--", buf_cstr(&from), buf_cstr(&copy),
						NULL };
		const char *const proving[] = { "sh", "-c", buf_cstr(&command), NULL };
		const char *const removing[] = { "rm", "-rf", "--", buf_cstr(&place), NULL };

		if (is_success(run_program(copying)))
			r = judge(prove, run_program(proving), err);
		else
			r = vs_fail(err, VS_EIO,
				    "the store could not be copied to %s for the proof",
				    buf_cstr(&copy));
		if (!is_success(run_program(removing)) && r == 0)
			r = vs_fail(err, VS_EIO, "%s: could not be removed", buf_cstr(&place));
	}
	return r;
}
