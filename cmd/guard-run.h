/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * guard-run: one program of somebody else's, run under watch
 *
 * The program leads a process group of its own and gets the standard input and the terminal that
 * this process has. Whatever it starts, and whatever that starts, is a descendant of this process
 * and stays one: an orphan becomes our child. When guard_run() returns, none of them is alive.
 *
 * A signal that this process gets meanwhile goes to all of them. Between guard_signals_hold() and
 * the end of the process INT, TERM, HUP and QUIT do nothing by themselves: what a guard does after
 * its program has ended must not be cut off half-way.
 */

#include "util/util.h"

#include <signal.h>

enum guard_pause {
	GUARD_PAUSE_DISK = 1,
	GUARD_PAUSE_PROBE = 2,
};

enum guard_event {
	GUARD_EVENT_PAUSED,
	GUARD_EVENT_RESUMED,
	GUARD_EVENT_ENDING, /* the processes are being ended */
};

struct guard_run_request {
	char *const *argv;
	const char *store;    /* becomes VSCTL_STORE */
	bool keeps_stdout;    /* false: its output goes to standard error */
	int64_t limit_ns;     /* 0: none. A pause counts. */
	int64_t grace_ns;     /* between asking to end and killing */
	const char *disks[2]; /* any path on each; NULL: none */
	uint64_t min_free;    /* 0: not watched */
	const char *probe;    /* for a shell; NULL: none */
	int64_t probe_interval_ns;
	int64_t probe_give_up_ns;
	const sigset_t *mask; /* of the program, from guard_signals_hold() */
	void (*event)(void *ctx, enum guard_event event, const char *text);
	void *ctx;
};

enum guard_end {
	GUARD_END_ITSELF,
	GUARD_END_NOT_STARTED, /* see sysno */
	GUARD_END_TIME,
	GUARD_END_SIGNAL, /* this process was asked to end: see signal */
	GUARD_END_PROBE,  /* the probe failed for too long */
};

struct guard_run_result {
	enum guard_end end;
	int sysno;
	int signal;
	bool is_killed; /* the program ended by the signal @status; else with the status */
	int status;
	uint64_t left_behind; /* processes that were still there when it had ended by itself */
	uint64_t pauses;
	int64_t paused_ns;
	int64_t duration_ns;
};

/* Hold those signals back; @before is what a program gets. */
void guard_signals_hold(sigset_t *before);

/* Negative only when nothing could be begun. */
must_check_ int guard_run(const struct guard_run_request *req, struct guard_run_result *out,
			  struct vs_err *err);

/* What a shell would call it: its status, or 128 and the signal. */
int guard_run_status(const struct guard_run_result *result);

/* ---- guard-tree.c: everything that descends from this process ---- */

/*
 * Send @signo to all of them but @except (0: none) and what descends from it; SIGSTOP only to those
 * that run. Returns how many got it.
 */
uint64_t guard_tree_signal(int signo, pid_t except);

/* How many there are that are not dead. */
uint64_t guard_tree_count(pid_t except);

/* ---- guard-spawn.c ---- */

struct guard_spawn {
	char *const *argv;
	const char *store;
	bool keeps_stdout;
	bool has_stdin;
	const sigset_t *mask;
	int terminal; /* its foreground goes to the program; -1: none */
};

/* Start a program in a group of its own. 0 with *@pid, or the errno why it could not be. */
must_check_ int guard_spawn(const struct guard_spawn *spawn, pid_t *pid);
