/* SPDX-License-Identifier: Apache-2.0 */

/* The log file that --log-file names. */

#include "log.h"

#include "parse.h"

#include "file/file.h"

#include <fcntl.h>

#define LOG_MODE 0640

/* Appended to by name in its directory, as everything is that is written. */
static int append(const char *path, struct slice line, struct vs_err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_(vs_freep) char *dir =
		slash ? vs_strndup(slice_of(path, (size_t)(slash - path) + 1)) : vs_strdup(".");
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(file_closep) int fd = -1;
	int r = file_open_dir(AT_FDCWD, dir, FILE_FOLLOW, &dirfd, err);

	if (r == 0)
		r = file_append_at(dirfd, slash ? slash + 1 : path, LOG_MODE, &fd, err);
	return r < 0 ? r : file_write(fd, line, err);
}

void log_event(const struct app *app, enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { [LOG_LEVEL_INFO] = "INFO",
					     [LOG_LEVEL_WARNING] = "WARNING",
					     [LOG_LEVEL_ERROR] = "ERROR" };
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf line = { 0 };
	struct vs_err err = { 0 };
	char message[4096];
	char when[32];
	va_list ap;

	if (!app->common.log_file)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	time_format(clock_now_ns(app->clock), true, when);
	buf_printf(&line, "%.23sZ %s %s[%ld]: ", when, names[level], app->command_words,
		   (long)getpid());
	text_escape(&text, slice_str(message));
	buf_append(&line, text.ptr, text.len);
	buf_append_byte(&line, '\n');
	if (append(app->common.log_file, buf_slice(&line), &err) < 0)
		app_note(app, "%s: the log could not be written: %s", app->common.log_file,
			 err.text);
}

/* What takes the lock of a store may change something. */
static bool may_change(const struct app *app)
{
	return rows_find_long(app->command->options, slice_str("lock-wait")) != NULL;
}

static enum log_level level_of(int status)
{
	switch (status) {
	case EXIT_CLEAN:
		return LOG_LEVEL_INFO;
	case EXIT_CORRECTED:
	case EXIT_CANCELLED:
		return LOG_LEVEL_WARNING;
	default:
		return LOG_LEVEL_ERROR;
	}
}

void log_end(const struct app *app, int status, char *const *operands)
{
	bool has_store = command_takes_store(app->command) && operands[0];
	const char *outcome = app->failure[0] != '\0' ? app->failure : app->outcome;

	/* Help and settings are about nothing that could break. */
	if (strcmp(app->command_words, "help") == 0 || strcmp(app->command_words, "config") == 0 ||
	    (status == EXIT_CLEAN && !may_change(app)))
		return;
	log_event(app, level_of(status), "status %d%s%s%s%s", status, has_store ? ": " : "",
		  has_store ? operands[0] : "", *outcome ? ": " : "", outcome);
}
