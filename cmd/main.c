/* SPDX-License-Identifier: Apache-2.0 */

/* Start, dispatch, end: the process around a command. */

#include "log.h"
#include "progress.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

const struct command *const commands[] = {
#define COMMAND(id) &cmd_##id,
#include "commands.def"
#undef COMMAND
	NULL,
};

const struct command *command_find(const struct command *const *list, const char *name)
{
	for (size_t i = 0; list[i]; i++) {
		if (strcmp(list[i]->name, name) == 0)
			return list[i];
	}
	return NULL;
}

/* ---- what a command says beside its product ---- */

static void error_document(struct app *app, int status, const char *text)
{
	struct emit *e = &app->emit;

	if (!e->is_json)
		return;
	if (e->has_document)
		emit_unwind(e);
	else
		emit_document(e, app->command_words);
	emit_object(e, "error");
	emit_json_uint(e, "status", (uint64_t)status);
	emit_json_str(e, "message", text);
	emit_json_str(e, "path", app->path);
	emit_object_end(e);
	emit_document_end(e);
}

static void tell_failure(struct app *app, int status, const char *text)
{
	void (*failed)(void *ctx, int status, const char *text) = app->failed;

	app->failed = NULL;
	snprintf(app->failure, sizeof(app->failure), "%.511s", text);
	if (failed)
		failed(app->failed_ctx, status, text);
}

static int say_error(struct app *app, int status, const char *text)
{
	cleanup_(buf_fini) struct buf shown = { 0 };

	tell_failure(app, status, text);
	text_escape(&shown, slice_str(text));
	emit_unwind(&app->emit);
	error_document(app, status, text);
	fprintf(stderr, "vsctl: %s\n", buf_cstr(&shown));
	return status;
}

int app_error(struct app *app, const struct vs_err *err)
{
	return say_error(app, err->status == VS_EUSAGE ? EXIT_USAGE : EXIT_OPERATIONAL, err->text);
}

int app_usage(struct app *app, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell_failure(app, EXIT_USAGE, text);
	/* What came from outside is escaped already, each where it is quoted. */
	error_document(app, EXIT_USAGE, text);
	fprintf(stderr, "vsctl: %s\n", text);
	return EXIT_USAGE;
}

void app_note(const struct app *app, const char *fmt, ...)
{
	cleanup_(buf_fini) struct buf shown = { 0 };
	char text[1024];
	va_list ap;

	if (app->common.quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_escape(&shown, slice_str(text));
	fprintf(stderr, "vsctl: %s\n", buf_cstr(&shown));
}

unsigned app_jobs(const struct app *app)
{
	return app->common.jobs > 0 ? (unsigned)app->common.jobs : cpu_count();
}

/* ---- the process ---- */

/*
 * A descriptor that was closed would be given to the next file that is opened, and output would go
 * there. It is taken instead, by something that cannot be written to.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != fd)
			abort();
	}
}

static bool wants_color(const struct app *app)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (app->common.color != COLOR_AUTO)
		return app->common.color == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static size_t terminal_width(void)
{
	struct winsize size = { 0 };

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	/* Narrower than this nothing is gained by breaking lines. */
	return size.ws_col >= 40 ? size.ws_col : 0;
}

static int run(struct app *app, int argc, char **argv)
{
	cleanup_(parsed_fini) struct parsed parsed = { 0 };
	int r;

	r = options_parse(app, argc, argv, &parsed);
	if (r != 0)
		return r;
	app->emit.is_json = app->common.format == FORMAT_JSON;
	app->emit.has_color = wants_color(app);
	app->emit.width = terminal_width();
	if (app->common.version) {
		help_version(app);
		return EXIT_CLEAN;
	}
	if (app->common.help) {
		if (app->command)
			help_command(app, app->group, app->command);
		else
			help_overview(app);
		return EXIT_CLEAN;
	}
	r = app->command->run(app, parsed.opts, parsed.operands);
	log_end(app, r, parsed.operands);
	return r;
}

int main(int argc, char **argv)
{
	struct app app = { .argv = argv, .clock = &vs_clock_system };
	struct vs_err err = { 0 };
	int status;

	hold_standard_descriptors();
	/* A reader that went away is an error like any other that writing can meet. */
	signal(SIGPIPE, SIG_IGN);
	progress_init(&app);
	emit_init(&app.emit, stdout);
	app.emit.is_json = options_want_json(argc, argv);
	status = run(&app, argc, argv);
	if (emit_finish(&app.emit, &err) < 0) {
		if (err.sysno != EPIPE)
			fprintf(stderr, "vsctl: %s\n", err.text);
		status = EXIT_OPERATIONAL;
	}
	emit_fini(&app.emit);
	settings_fini(&app.settings);
	return status;
}
