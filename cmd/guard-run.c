/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The watch over a program: one loop that wakes for signals and ten times a second, in which
 * everything happens that may happen, so that no handler and no thread is needed.
 */

#include "guard-run.h"

#include "file/file.h"
#include "guard/guard.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

#define TICK_MS 100
#define ENDING_TICK_MS 20
#define NS_PER_S INT64_C(1000000000)

static const int held_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

struct watch {
	const struct guard_run_request *req;
	struct guard_run_result *out;
	int signal_fd;
	int terminal;   /* -1: there is none */
	bool has_modes; /* the terminal was ours to give */
	struct termios modes;
	pid_t main, probe; /* 0: none */
	bool is_main_done;
	unsigned paused; /* enum guard_pause */
	int64_t start_ns, paused_at_ns;
	int64_t probe_next_ns, probe_began_ns, probe_failed_ns; /* 0: it does not fail */
	bool is_ending, is_killing;
	int64_t kill_ns;
};

/* ---- signals ---- */

/* One that was ignored when we began, as under nohup, stays so. */
static bool is_held(int signo)
{
	struct sigaction action;

	return sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

void guard_signals_hold(sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < VS_COUNT(held_signals); i++) {
		if (is_held(held_signals[i]))
			sigaddset(&set, held_signals[i]);
	}
	/* Nobody who starts this may keep it from hearing of its children's ends. */
	signal(SIGCHLD, SIG_DFL);
	sigaddset(&set, SIGCHLD);
	/* Giving and taking the terminal from the background. */
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, before);
}

static int open_signals(struct vs_err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < VS_COUNT(held_signals); i++) {
		if (is_held(held_signals[i]))
			sigaddset(&set, held_signals[i]);
	}
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? vs_fail_errno(err, "signals") : fd;
}

static void tell(struct watch *w, enum guard_event event, const char *fmt, ...) printf_(3, 4);

static void tell(struct watch *w, enum guard_event event, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->req->event)
		w->req->event(w->req->ctx, event, text);
}

/* ---- the end ---- */

static void begin_end(struct watch *w, enum guard_end end, int signo)
{
	if (!w->is_main_done)
		w->out->end = end;
	w->is_ending = true;
	w->kill_ns = clock_elapsed_ns() + w->req->grace_ns;
	if (w->probe > 0)
		kill(-w->probe, SIGKILL);
	guard_tree_signal(signo, w->probe);
	/* Whoever is stopped hears nothing. */
	guard_tree_signal(SIGCONT, w->probe);
}

static void kill_all(struct watch *w)
{
	w->is_killing = true;
	if (w->main > 0 && !w->is_main_done)
		kill(-w->main, SIGKILL);
	guard_tree_signal(SIGKILL, 0);
}

static void on_signal(struct watch *w, int signo)
{
	if (w->is_ending) {
		/* Asked twice: no more patience. */
		w->kill_ns = 0;
		return;
	}
	w->out->signal = signo;
	tell(w, GUARD_EVENT_ENDING, "got signal %d (%s): the command is being ended", signo,
	     sigabbrev_np(signo));
	begin_end(w, GUARD_END_SIGNAL, signo);
}

static void read_signals(struct watch *w)
{
	struct signalfd_siginfo info;

	while (read(w->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			on_signal(w, (int)info.ssi_signo);
	}
}

/* ---- pausing ---- */

static void pause_for(struct watch *w, enum guard_pause why)
{
	if (w->paused == 0) {
		w->paused_at_ns = clock_elapsed_ns();
		w->out->pauses++;
	}
	w->paused |= why;
	guard_tree_signal(SIGSTOP, w->probe);
}

static void resume_from(struct watch *w, enum guard_pause why)
{
	w->paused &= ~(unsigned)why;
	if (w->paused != 0)
		return;
	w->out->paused_ns += clock_elapsed_ns() - w->paused_at_ns;
	guard_tree_signal(SIGCONT, w->probe);
}

static void watch_disk(struct watch *w)
{
	bool is_low = false;
	char has[16] = "", wants[16];

	for (size_t i = 0; i < VS_COUNT(w->req->disks) && w->req->min_free > 0; i++) {
		struct vs_err err = { 0 };
		uint64_t left;

		if (!w->req->disks[i] || guard_disk_free(w->req->disks[i], &left, &err) < 0 ||
		    left >= w->req->min_free)
			continue;
		is_low = true;
		size_format(left, has);
	}
	size_format(w->req->min_free, wants);
	if (is_low && !(w->paused & GUARD_PAUSE_DISK)) {
		pause_for(w, GUARD_PAUSE_DISK);
		tell(w, GUARD_EVENT_PAUSED,
		     "paused: %s of the disk are free, less than %s; the command goes on when there is room",
		     has, wants);
	} else if (!is_low && (w->paused & GUARD_PAUSE_DISK)) {
		resume_from(w, GUARD_PAUSE_DISK);
		tell(w, GUARD_EVENT_RESUMED, "resumed: %s of the disk are free again", wants);
	}
}

/* ---- the probe ---- */

static void probe_ended(struct watch *w, bool is_good)
{
	int64_t now = clock_elapsed_ns();

	w->probe = 0;
	w->probe_next_ns = now + w->req->probe_interval_ns;
	if (w->is_ending)
		return;
	if (is_good) {
		w->probe_failed_ns = 0;
		if (!(w->paused & GUARD_PAUSE_PROBE))
			return;
		resume_from(w, GUARD_PAUSE_PROBE);
		tell(w, GUARD_EVENT_RESUMED, "resumed: the probe succeeds again: %.200s",
		     w->req->probe);
		return;
	}
	if (w->probe_failed_ns == 0) {
		w->probe_failed_ns = now;
		pause_for(w, GUARD_PAUSE_PROBE);
		tell(w, GUARD_EVENT_PAUSED,
		     "paused: the probe failed, and the command goes on when it succeeds: %.200s",
		     w->req->probe);
	}
}

static void start_probe(struct watch *w)
{
	char shell[] = "/bin/sh", option[] = "-c";
	cleanup_(vs_freep) char *command = vs_strdup(w->req->probe);
	char *const argv[] = { shell, option, command, NULL };
	const struct guard_spawn spawn = {
		.argv = argv, .store = w->req->store, .mask = w->req->mask, .terminal = -1
	};

	w->probe_began_ns = clock_elapsed_ns();
	if (guard_spawn(&spawn, &w->probe) != 0)
		probe_ended(w, false);
}

static void watch_probe(struct watch *w)
{
	int64_t now = clock_elapsed_ns();

	if (!w->req->probe)
		return;
	/* One that hangs has failed. */
	if (w->probe > 0 &&
	    now - w->probe_began_ns > VS_MAX(w->req->probe_interval_ns, 10 * NS_PER_S))
		kill(-w->probe, SIGKILL);
	if (w->probe_failed_ns != 0 && now - w->probe_failed_ns >= w->req->probe_give_up_ns) {
		tell(w, GUARD_EVENT_ENDING,
		     "the probe has failed for %" PRId64 " s: the command is being ended",
		     (now - w->probe_failed_ns) / NS_PER_S);
		begin_end(w, GUARD_END_PROBE, SIGTERM);
		return;
	}
	if (w->probe == 0 && now >= w->probe_next_ns)
		start_probe(w);
}

/* ---- the terminal ---- */

static void open_terminal(struct watch *w)
{
	w->terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	w->has_modes = w->terminal >= 0 && tcgetattr(w->terminal, &w->modes) == 0;
}

static bool is_in_foreground(const struct watch *w)
{
	return w->terminal >= 0 && tcgetpgrp(w->terminal) == getpgrp();
}

/* The terminal comes back to us; one that the program died with is as it was before. */
static void take_terminal(struct watch *w, bool with_modes)
{
	if (w->terminal < 0 || tcgetpgrp(w->terminal) != w->main)
		return;
	tcsetpgrp(w->terminal, getpgrp());
	if (with_modes && w->has_modes)
		tcsetattr(w->terminal, TCSADRAIN, &w->modes);
}

/*
 * The program was stopped from the terminal: our group stops as well, so that the shell takes over,
 * and goes on when the shell says so. Where no shell is there to say it, nothing stops.
 */
static void stop_with_it(struct watch *w, int signo)
{
	if (w->terminal < 0 || w->paused != 0 || signo == SIGSTOP)
		return;
	if (!((signo == SIGTTIN || signo == SIGTTOU) && is_in_foreground(w))) {
		take_terminal(w, true);
		kill(0, SIGTSTP);
	}
	if (is_in_foreground(w))
		tcsetpgrp(w->terminal, w->main);
	kill(-w->main, SIGCONT);
}

/* ---- ends of processes ---- */

static void on_main(struct watch *w, const siginfo_t *info)
{
	if (info->si_code == CLD_STOPPED) {
		stop_with_it(w, info->si_status);
		return;
	}
	w->is_main_done = true;
	w->out->is_killed = info->si_code != CLD_EXITED;
	w->out->status = info->si_status;
	w->out->duration_ns = clock_elapsed_ns() - w->start_ns;
	take_terminal(w, w->out->is_killed);
}

/* False when there is no child any more, and so no descendant. */
static bool reap(struct watch *w)
{
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) < 0)
			return errno != ECHILD;
		if (info.si_pid == 0)
			return true;
		if (info.si_pid == w->main)
			on_main(w, &info);
		else if (info.si_pid == w->probe && info.si_code != CLD_STOPPED)
			probe_ended(w, info.si_code == CLD_EXITED && info.si_status == 0);
	}
}

/* ---- the loop ---- */

static void keep_watch(struct watch *w)
{
	int64_t now = clock_elapsed_ns();

	if (w->is_main_done) {
		w->out->left_behind = guard_tree_count(w->probe);
		if (w->out->left_behind > 0)
			tell(w, GUARD_EVENT_ENDING,
			     "%" PRIu64
			     " process%s that the command left behind: they are being ended",
			     w->out->left_behind, w->out->left_behind == 1 ? "" : "es");
		begin_end(w, GUARD_END_ITSELF, SIGTERM);
		return;
	}
	if (w->req->limit_ns > 0 && now - w->start_ns >= w->req->limit_ns) {
		tell(w, GUARD_EVENT_ENDING, "%" PRId64 " s are over: the command is being ended",
		     w->req->limit_ns / NS_PER_S);
		begin_end(w, GUARD_END_TIME, SIGTERM);
		return;
	}
	watch_disk(w);
	watch_probe(w);
	/* What was started while the others were being stopped. */
	if (w->paused != 0 && !w->is_ending)
		guard_tree_signal(SIGSTOP, w->probe);
}

static void watch_it(struct watch *w)
{
	while (reap(w)) {
		struct pollfd fd = { .fd = w->signal_fd, .events = POLLIN };

		read_signals(w);
		if (!w->is_ending)
			keep_watch(w);
		if (w->is_ending && (w->is_killing || clock_elapsed_ns() >= w->kill_ns))
			kill_all(w);
		(void)!poll(&fd, 1, w->is_ending ? ENDING_TICK_MS : TICK_MS);
	}
}

int guard_run(const struct guard_run_request *req, struct guard_run_result *out, struct vs_err *err)
{
	struct watch w = { .req = req, .out = out, .terminal = -1, .start_ns = clock_elapsed_ns() };
	struct guard_spawn spawn = { .argv = req->argv,
				     .store = req->store,
				     .keeps_stdout = req->keeps_stdout,
				     .has_stdin = true,
				     .mask = req->mask,
				     .terminal = -1 };

	*out = (struct guard_run_result){ 0 };
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return vs_fail_errno(err, "adopting orphans");
	w.signal_fd = open_signals(err);
	if (w.signal_fd < 0)
		return w.signal_fd;
	open_terminal(&w);
	if (is_in_foreground(&w))
		spawn.terminal = w.terminal;
	w.probe_next_ns = w.start_ns + req->probe_interval_ns;
	out->sysno = guard_spawn(&spawn, &w.main);
	if (out->sysno != 0)
		out->end = GUARD_END_NOT_STARTED;
	else
		watch_it(&w);
	if (out->sysno != 0)
		take_terminal(&w, false);
	if (w.paused != 0)
		out->paused_ns += clock_elapsed_ns() - w.paused_at_ns;
	file_closep(&w.terminal);
	file_closep(&w.signal_fd);
	return 0;
}

int guard_run_status(const struct guard_run_result *result)
{
	if (result->end == GUARD_END_NOT_STARTED)
		return result->sysno == ENOENT ? 127 : 126;
	return result->is_killed ? 128 + result->status : result->status;
}
