/* SPDX-License-Identifier: Apache-2.0 */

/* What one run of a command did, for people. */

#include "audit/audit.h"

#include <fcntl.h>

#define LOGS "logs"
#define LOGS_KEPT 1000

/* Runs of one command that can begin in one second. */
#define SAME_SECOND_MAX 1000

struct oplog {
	char *command;
	const struct vs_clock *clock;
	struct buf early; /* what was added before there was a file */
	char name[128];   /* with its directory; "" while there is none */
	int fd;
	bool has_begun;
	bool has_failed;
	struct vs_err err; /* the first failure */
};

struct oplog *oplog_new(const char *command, const struct vs_clock *clock)
{
	struct oplog *log = vs_alloc(sizeof(*log));

	*log = (struct oplog){ .command = vs_strdup(command), .clock = clock, .fd = -1 };
	for (char *c = log->command; *c; c++) {
		if (*c == ' ' || *c == '/')
			*c = '-';
	}
	return log;
}

void oplog_freep(struct oplog **log_)
{
	struct oplog *log = *log_;

	if (!log)
		return;
	file_closep(&log->fd);
	buf_fini(&log->early);
	free(log->command);
	free(log);
	*log_ = NULL;
}

static void fail(struct oplog *log, const struct vs_err *err)
{
	if (!log->has_failed)
		log->err = *err;
	log->has_failed = true;
}

/* ---- lines ---- */

static const char *level_name(enum oplog_level level)
{
	static const char *const names[] = {
		[OPLOG_INFO] = "INFO",
		[OPLOG_WARNING] = "WARNING",
		[OPLOG_ERROR] = "ERROR",
	};

	return names[level];
}

void oplog_add(struct oplog *log, enum oplog_level level, const char *fmt, ...)
{
	cleanup_(buf_fini) struct buf line = { 0 };
	cleanup_(vs_freep) char *text = NULL;
	struct vs_err err = { 0 };
	char when[32];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	assert(len >= 0);
	time_format(clock_now_ns(log->clock), true, when);
	buf_printf(&line, "%.23sZ %s ", when, level_name(level));
	text_escape(&line, slice_of(text, (size_t)len));
	buf_append_byte(&line, '\n');
	if (!log->has_begun)
		buf_append(&log->early, line.ptr, line.len);
	else if (log->fd >= 0 && file_write(log->fd, buf_slice(&line), &err) < 0)
		fail(log, &err);
}

/* ---- files ---- */

static int open_logs(int state_dirfd, int *out, struct vs_err *err)
{
	int r = file_open_dir(state_dirfd, LOGS, FILE_NO_FOLLOW, out, err);

	if (r != VS_ENOENT || err->sysno == ENOTDIR)
		return r;
	r = file_mkdir_at(state_dirfd, LOGS, 0700, err);
	/* Another command may have been faster. */
	if (r < 0 && r != VS_EBUSY)
		return r;
	return file_open_dir(state_dirfd, LOGS, FILE_NO_FOLLOW, out, err);
}

/* "20260122_140309", as the older tool writes it. */
static void stamp(int64_t now_ns, char out[16])
{
	char when[32];

	time_format_compact(now_ns, when);
	snprintf(out, 16, "%.8s_%.6s", when, when + 9);
}

static int create(struct oplog *log, int logs_dirfd, struct vs_err *err)
{
	char when[16];
	int r = VS_EBUSY;

	stamp(clock_now_ns(log->clock), when);
	for (unsigned n = 1; r == VS_EBUSY && n <= SAME_SECOND_MAX; n++) {
		char more[8] = "";

		if (n > 1)
			snprintf(more, sizeof(more), "-%u", n);
		snprintf(log->name, sizeof(log->name), LOGS "/%.64s_%s%s.log", log->command, when,
			 more);
		r = file_create_at(logs_dirfd, log->name + sizeof(LOGS), 0600, &log->fd, err);
	}
	if (r < 0)
		log->name[0] = '\0';
	return r;
}

/* ---- old files ---- */

struct old_log {
	char *name;
	char when[16]; /* that of its name */
};

struct old_logs {
	struct old_log *items;
	size_t count, cap;
};

static void old_logs_fini(struct old_logs *old)
{
	for (size_t i = 0; i < old->count; i++)
		free(old->items[i].name);
	free(old->items);
}

/* The time in "<command>_<8 digits>_<6 digits>[-<n>].log"; false for a name of another form. */
static bool time_in_name(const char *name, char out[16])
{
	const char *dot = strrchr(name, '.');
	const char *date = NULL;

	if (!dot || strcmp(dot, ".log") != 0)
		return false;
	for (const char *p = name; (p = strchr(p, '_')) != NULL; p++) {
		if (strspn(p + 1, "0123456789") == 8 && p[9] == '_' &&
		    strspn(p + 10, "0123456789") == 6 && (p[16] == '.' || p[16] == '-'))
			date = p + 1;
	}
	if (!date)
		return false;
	snprintf(out, 16, "%.15s", date);
	return true;
}

static int add_old(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct old_logs *old = ctx;
	struct old_log item = { 0 };

	(void)err;
	if ((type != FILE_REGULAR && type != FILE_UNKNOWN) || !time_in_name(name, item.when))
		return 0;
	item.name = vs_strdup(name);
	old->items = vs_grow(old->items, &old->cap, old->count + 1, sizeof(*old->items));
	old->items[old->count++] = item;
	return 0;
}

static int compare_old(const void *a, const void *b)
{
	const struct old_log *x = a;
	const struct old_log *y = b;
	int order = strcmp(x->when, y->when);

	return order != 0 ? order : strcmp(x->name, y->name);
}

static int remove_old(int logs_dirfd, struct vs_err *err)
{
	cleanup_(old_logs_fini) struct old_logs old = { 0 };
	int r = file_list(logs_dirfd, add_old, &old, err);

	if (r < 0 || old.count <= LOGS_KEPT)
		return r;
	qsort(old.items, old.count, sizeof(*old.items), compare_old);
	for (size_t i = 0; r == 0 && i < old.count - LOGS_KEPT; i++)
		r = file_unlink_at(logs_dirfd, old.items[i].name, err);
	return r;
}

/* ---- begin and end ---- */

void oplog_begin(struct oplog *log, int state_dirfd)
{
	cleanup_(file_closep) int logs_dirfd = -1;
	struct vs_err err = { 0 };
	int r;

	if (log->has_begun)
		return;
	log->has_begun = true;
	r = open_logs(state_dirfd, &logs_dirfd, &err);
	if (r == 0)
		r = create(log, logs_dirfd, &err);
	if (r == 0)
		r = file_write(log->fd, buf_slice(&log->early), &err);
	if (r == 0)
		r = remove_old(logs_dirfd, &err);
	if (r < 0)
		fail(log, &err);
	buf_fini(&log->early);
}

int oplog_end(struct oplog *log, struct vs_err *err)
{
	struct vs_err late = { 0 };

	if (log->fd >= 0 && file_sync(log->fd, &late) < 0)
		fail(log, &late);
	file_closep(&log->fd);
	if (!log->has_failed)
		return 0;
	*err = log->err;
	return vs_err_in(err, "the log of this run (%s)", log->name[0] ? log->name : LOGS);
}
