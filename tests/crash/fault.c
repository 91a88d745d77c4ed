/* SPDX-License-Identifier: Apache-2.0 */

#include "fault.h"

#include <criterion/criterion.h>
#include <sys/wait.h>

#define EXIT_KILLED 77
#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_SURVIVED 2

struct countdown {
	unsigned left;
	enum fault_mode mode;
	bool was_reached;
};

static int count_down(void *ctx, enum file_op op, const char *name, size_t *partial)
{
	struct countdown *c = ctx;

	(void)name;
	if (c->left == 0 || --c->left > 0)
		return 0;
	c->was_reached = true;
	switch (c->mode) {
	case FAULT_EIO:
		return EIO;
	case FAULT_ENOSPC:
		*partial = op == FILE_OP_WRITE ? 7 : 0;
		return ENOSPC;
	case FAULT_KILL_AFTER_HALF:
		if (op == FILE_OP_WRITE) {
			/* The write happens, and the next call ends the process: see below. */
			*partial = 7;
			c->left = 1;
			c->mode = FAULT_KILL;
			return EIO;
		}
		_exit(EXIT_KILLED);
	case FAULT_KILL:
	case FAULT_MODES_:
		break;
	}
	_exit(EXIT_KILLED);
}

enum fault_outcome fault_run(unsigned n, enum fault_mode mode, int (*operation)(void *ctx),
			     void *ctx)
{
	int status = 0;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0) {
		struct countdown countdown = { .left = n, .mode = mode };
		struct file_seam seam = { .before = count_down, .ctx = &countdown };
		int r;

		file_seam = &seam;
		r = operation(ctx);
		_exit(r < 0 ? EXIT_FAILED : countdown.was_reached ? EXIT_SURVIVED : EXIT_DONE);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "the child was ended by signal %d at call %u (%s)",
		  WTERMSIG(status), n, fault_mode_name(mode));
	switch (WEXITSTATUS(status)) {
	case EXIT_DONE:
		return FAULT_NOT_REACHED;
	case EXIT_FAILED:
		return FAULT_FAILED;
	case EXIT_SURVIVED:
		return FAULT_SURVIVED;
	case EXIT_KILLED:
		return FAULT_KILLED;
	default:
		cr_assert_fail("the child ended with status %d at call %u", WEXITSTATUS(status), n);
	}
	return FAULT_FAILED;
}

const char *fault_scratch(void)
{
	return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

const char *fault_mode_name(enum fault_mode mode)
{
	static const char *const names[] = {
		[FAULT_EIO] = "EIO",
		[FAULT_ENOSPC] = "ENOSPC",
		[FAULT_KILL] = "killed",
		[FAULT_KILL_AFTER_HALF] = "killed after half a write",
	};

	return names[mode];
}

unsigned fault_stride(void)
{
	const char *text = getenv("CRASH_STRIDE");
	unsigned long stride = text ? strtoul(text, NULL, 10) : 1;

	return stride > 0 && stride < 100 ? (unsigned)stride : 1;
}
