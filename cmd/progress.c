/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lines are written by signal handlers, the one for SIGUSR1 and the one of a timer, so that the
 * workers never stop to tell how far they are. A handler only reads atomic counters and calls what
 * may be called there: the text is put together by hand.
 */

#include "progress.h"

#include <signal.h>
#include <sys/time.h>

#define FIRST_DRAW_MS 700
#define DRAW_MS 250

/* What the handlers know. There is one process and one job at a time. */
static struct {
	const struct vs_progress *_Atomic job; /* NULL: none is under way */
	const char *command, *items;
	int64_t process_start_ns, start_ns;
	bool redraws; /* one line again and again, instead of one after the other */
	atomic_bool is_drawn;
} now;

/* ---- text ---- */

struct line {
	char text[200];
	size_t len;
};

static void put(struct line *line, const char *text)
{
	while (*text && line->len < sizeof(line->text))
		line->text[line->len++] = *text++;
}

static void put_number(struct line *line, uint64_t value)
{
	char digits[24];
	char *at = digits + sizeof(digits);

	*--at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(line, at);
}

static void put_duration(struct line *line, uint64_t seconds)
{
	if (seconds >= 3600) {
		put_number(line, seconds / 3600);
		put(line, " h ");
	}
	if (seconds >= 60) {
		put_number(line, seconds / 60 % 60);
		put(line, " min ");
	}
	if (seconds < 3600) {
		put_number(line, seconds % 60);
		put(line, " s");
	}
}

/* How much of the job is done, from 0 to 1: parts, and of the one under way its items. */
static double fraction_done(const struct vs_progress *p)
{
	uint64_t parts = p->parts;
	uint64_t items = p->part_items;
	double done = (double)p->parts_done;

	if (items > 0)
		done += (double)VS_MIN(p->part_items_done, items) / (double)items;
	return parts > 0 ? VS_MIN(done / (double)parts, 1.0) : 0;
}

static void put_job(struct line *line, const struct vs_progress *p)
{
	double elapsed_s = (double)(clock_elapsed_ns() - now.start_ns) / 1e9;
	double done = fraction_done(p);
	uint64_t items = p->items;

	put_number(line, items);
	put(line, " ");
	put(line, now.items);
	put(line, "s");
	if (elapsed_s >= 0.1) {
		put(line, ", ");
		put_number(line, (uint64_t)((double)items / elapsed_s));
		put(line, "/s");
	}
	put(line, ", ");
	put_number(line, (uint64_t)(done * 100));
	put(line, "%, ");
	put_duration(line, (uint64_t)elapsed_s);
	if (done > 0.01 && elapsed_s >= 1) {
		put(line, ", about ");
		put_duration(line, (uint64_t)(elapsed_s * (1 - done) / done));
		put(line, " left");
	}
}

static void write_line(const struct line *line)
{
	/* Nothing can be done when stderr takes no more. */
	(void)!write(STDERR_FILENO, line->text, line->len);
}

/* ---- handlers ---- */

static void tell(bool redraw)
{
	const struct vs_progress *job = now.job;
	struct line line = { .len = 0 };
	int saved_errno = errno;

	put(&line, atomic_exchange(&now.is_drawn, redraw) ? "\r" : "");
	put(&line, "vsctl");
	put(&line, *now.command ? " " : "");
	put(&line, now.command);
	put(&line, ": ");
	if (job)
		put_job(&line, job);
	else
		put_duration(&line,
			     (uint64_t)(clock_elapsed_ns() - now.process_start_ns) / 1000000000);
	put(&line, now.redraws ? "\x1b[K" : "");
	put(&line, redraw ? "" : "\n");
	write_line(&line);
	errno = saved_errno;
}

static void on_usr1(int signo)
{
	(void)signo;
	tell(false);
}

static void on_timer(int signo)
{
	(void)signo;
	if (now.job)
		tell(now.redraws);
}

/* Reads and writes that a signal interrupts go on by themselves. */
static void handle(int signo, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	/* One handler at a time, so that lines do not run into each other. */
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaddset(&action.sa_mask, SIGALRM);
	sigaction(signo, &action, NULL);
}

static struct timeval timeval_of(uint64_t ms)
{
	return (struct timeval){ .tv_sec = (time_t)(ms / 1000),
				 .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
}

static void set_timer(uint64_t first_ms, uint64_t every_ms)
{
	struct itimerval timer = { .it_value = timeval_of(first_ms),
				   .it_interval = timeval_of(every_ms) };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- */

void progress_init(const struct app *app)
{
	now.command = app->command_words;
	now.process_start_ns = clock_elapsed_ns();
	handle(SIGUSR1, on_usr1);
}

void progress_begin(const struct app *app, const struct vs_progress *p, const char *items)
{
	uint64_t every_s = app->common.progress_s;

	now.items = items;
	now.start_ns = clock_elapsed_ns();
	now.redraws = every_s == 0 && !app->common.quiet && isatty(STDERR_FILENO);
	now.job = p;
	handle(SIGALRM, on_timer);
	if (every_s > 0)
		set_timer(every_s * 1000, every_s * 1000);
	else if (now.redraws)
		set_timer(FIRST_DRAW_MS, DRAW_MS);
}

void progress_end(void)
{
	set_timer(0, 0);
	now.job = NULL;
	if (atomic_exchange(&now.is_drawn, false))
		write_line(&(const struct line){ .text = "\r\x1b[K", .len = 4 });
	now.redraws = false;
}
