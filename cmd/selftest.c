/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl selftest`: damage in copies of a store, and what is found of it. */

#include "progress.h"
#include "shown.h"

#include "file/file.h"
#include "selftest/selftest.h"
#include "snap/snap.h"

#include <fcntl.h>
#include <sys/wait.h>

#define MAX_DOCUMENTS 100
#define MAX_BYTES (UINT64_C(256) << 20)

struct selftest_opts {
	uint64_t max_documents;
	const char *max_bytes;
	const char *scratch;
	bool no_repair;
};

static const struct opt options[] = {
	OPT_COUNT("max-documents", 0, struct selftest_opts, max_documents, 100000, "N",
		  "documents in the sample of a chromem-go store; default: 100"),
	OPT_TEXT("max-bytes", 0, struct selftest_opts, max_bytes, "SIZE",
		 "bytes that the sample may have; default: 256M"),
	OPT_DIR("scratch", 0, struct selftest_opts, scratch, "DIR",
		"where the copies are made; default: TMPDIR, else /tmp"),
	OPT_FLAG("no-repair", 0, struct selftest_opts, no_repair,
		 "do not try what can be repaired"),
	OPT_END,
};

struct selftest {
	struct app *app;
	struct vs_progress progress;
	int place_dirfd;
	int dirfd;
	char name[64];      /* of the scratch directory; "" while there is none */
	char path[4096];    /* of the scratch directory */
	const char *missed; /* the first class that was missed */
};

static void selftest_fini(struct selftest *s)
{
	struct vs_err err = { 0 };

	file_closep(&s->dirfd);
	if (s->name[0] != '\0' && snap_remove_tree(s->place_dirfd, s->name, &err) < 0)
		app_note(s->app, "%s could not be removed: %s", s->path, err.text);
	file_closep(&s->place_dirfd);
}

/* ---- the scratch directory ---- */

/* What is inside of a store would be part of it. */
static int check_outside(const char *store, const char *place, struct vs_err *err)
{
	cleanup_(vs_freep) char *inside = realpath(place, NULL);
	cleanup_(vs_freep) char *outside = realpath(store, NULL);
	size_t len = outside ? strlen(outside) : 0;

	if (inside && outside && strncmp(inside, outside, len) == 0 &&
	    (inside[len] == '\0' || inside[len] == '/'))
		return vs_fail(err, VS_EUSAGE,
			       "%s: inside of the store; name another directory with "
			       "--scratch",
			       place);
	return 0;
}

static int make_scratch(struct selftest *s, const char *place, struct vs_err *err)
{
	cleanup_(vs_freep) char *real = realpath(place, NULL);
	int r = file_open_dir(AT_FDCWD, place, FILE_FOLLOW, &s->place_dirfd, err);
	char name[64];

	if (r < 0 || !real)
		return r < 0 ? r : vs_fail_errno(err, "%s", place);
	snprintf(name, sizeof(name), ".vsctl-selftest-%ld", (long)getpid());
	r = file_mkdir_at(s->place_dirfd, name, 0700, err);
	if (r < 0)
		return vs_err_in(err, "%s", place);
	memcpy(s->name, name, sizeof(s->name));
	if (snprintf(s->path, sizeof(s->path), "%s/%s", real, s->name) >= (int)sizeof(s->path))
		return vs_fail(err, VS_ELIMIT, "%s: the path is too long", place);
	return file_open_dir(s->place_dirfd, s->name, FILE_NO_FOLLOW, &s->dirfd, err);
}

/* ---- repairing ---- */

/* This program itself, as an operator would call it, without settings, and with nowhere to print. */
static void run_self(const char *const *argv)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		    dup2(null, STDERR_FILENO) < 0 || setenv("VSCTL_CONFIG", "", 1) < 0)
			_exit(126);
		/* execv() does not change its arguments. */
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static void repair(void *ctx, const char *path, const char *state)
{
	const char *const repairing[] = { "vsctl",   "repair", "--yes", "--force", "--quiet",
					  "--state", state,    "--",    path,      NULL };
	const char *const rebuilding[] = { "vsctl",   "index",   "rebuild", "--yes",
					   "--force", "--quiet", "--state", state,
					   "--",      path,      NULL };
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err ignored = { 0 };

	(void)ctx;
	run_self(repairing);
	if (store_open(&store, path, 0, &ignored) == 0 && store->kind == STORE_CHROMA)
		run_self(rebuilding);
}

/* ---- showing ---- */

static const struct emit_field fields[] = {
	{ .key = "kind", .heading = "store" },
	{ .key = "class", .heading = "class" },
	{ .key = "outcome", .heading = "outcome" },
	{ .key = "repair", .heading = "repair" },
	{ .key = "code", .heading = "found as" },
	{ .key = "what", .heading = "what was done" },
	{ .key = "expected", .heading = NULL },
	{ .key = "why", .heading = NULL },
	{ 0 },
};

static void show(void *ctx, const struct selftest_row *row)
{
	static const char *const outcomes[] = { [SELFTEST_DETECTED] = "detected",
						[SELFTEST_MISSED] = "missed",
						[SELFTEST_SKIPPED] = "skipped" };
	static const char *const repairs[] = { [SELFTEST_NOT_REPAIRABLE] = "by hand",
					       [SELFTEST_NOT_TRIED] = "not tried",
					       [SELFTEST_REPAIRED] = "repaired",
					       [SELFTEST_NOT_REPAIRED] = "not repaired" };
	struct selftest *s = ctx;
	struct emit *e = &s->app->emit;
	cleanup_(buf_fini) struct buf what = { 0 };

	if (row->outcome == SELFTEST_MISSED && !s->missed)
		s->missed = row->name;
	emit_str(e, store_kind_name(row->kind));
	emit_str(e, row->name);
	emit_styled(e, row->outcome == SELFTEST_MISSED ? EMIT_BAD : EMIT_PLAIN,
		    outcomes[row->outcome]);
	emit_str(e, row->outcome == SELFTEST_DETECTED ? repairs[row->repair] : NULL);
	emit_str(e, row->code);
	buf_append_str(&what, row->what);
	if (row->why[0] != '\0' && !e->is_json)
		buf_printf(&what, " (%s)", row->why);
	emit_text(e, buf_cstr(&what));
	emit_str(e, row->expected);
	emit_text(e, row->why[0] != '\0' ? row->why : NULL);
}

static const struct emit_field omitted_fields[] = {
	{ .key = "code", .heading = "code" },
	{ .key = "why", .heading = "why" },
	{ 0 },
};

/* In JSON only: in text the page says it. */
static void show_omitted(struct emit *e, const char *kind)
{
	if (!e->is_json)
		return;
	emit_table(e, "not_injected", omitted_fields);
	for (const struct selftest_omitted *o = selftest_omitted; o->code; o++) {
		/* Codes begin with the kind of store: chromem- or chroma-. */
		if (kind &&
		    (strncmp(o->code, kind, strlen(kind)) != 0 || o->code[strlen(kind)] != '-'))
			continue;
		emit_str(e, o->code);
		emit_str(e, o->why);
	}
	emit_table_end(e);
}

static int finish(struct selftest *s, const struct store *store, const struct selftest_summary *sum)
{
	struct emit *e = &s->app->emit;
	char size[16];

	emit_table_end(e);
	show_omitted(e, store ? store_kind_name(store->kind) : NULL);
	emit_object(e, "summary");
	emit_json_uint(e, "documents", sum->documents);
	emit_json_uint(e, "bytes", sum->bytes);
	emit_json_uint(e, "errors_before", sum->errors);
	emit_json_uint(e, "detected", sum->detected);
	emit_json_uint(e, "missed", sum->missed);
	emit_json_uint(e, "skipped", sum->skipped);
	emit_json_uint(e, "repaired", sum->repaired);
	emit_json_uint(e, "not_repaired", sum->not_repaired);
	emit_object_end(e);
	emit_document_end(e);
	size_format(sum->bytes, size);
	emit_line(e,
		  "%s: %" PRIu64 " of %" PRIu64 " classes detected in copies of %" PRIu64
		  " documents, %" PRIu64 " skipped; %" PRIu64 " of %" PRIu64 " repaired",
		  sum->missed > 0 ? "missed" : "good", sum->detected, sum->detected + sum->missed,
		  sum->documents, sum->skipped, sum->repaired, sum->repaired + sum->not_repaired);
	return sum->missed > 0 ? EXIT_PROBLEMS : EXIT_CLEAN;
}

/* ---- the command ---- */

static int test(struct selftest *s, const struct selftest_opts *opts, const struct store *store,
		uint64_t max_bytes)
{
	struct selftest_request req = {
		.scratch_dirfd = s->dirfd,
		.scratch = s->path,
		.max_documents = opts->max_documents > 0 ? opts->max_documents : MAX_DOCUMENTS,
		.max_bytes = max_bytes,
		.jobs = app_jobs(s->app),
		.repair = opts->no_repair ? NULL : repair,
		.row = show,
		.ctx = s,
		.progress = &s->progress,
	};
	struct selftest_summary sum = { 0 };
	struct emit *e = &s->app->emit;
	struct vs_err err = { 0 };
	int r;

	emit_document(e, s->app->command_words);
	if (store)
		emit_store(e, store);
	else
		emit_json_null(e, "store");
	emit_table(e, "classes", fields);
	progress_begin(s->app, &s->progress, "case");
	r = selftest_run(store, &req, &sum, &err);
	progress_end();
	return r < 0 ? app_error(s->app, &err) : finish(s, store, &sum);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct selftest_opts *opts = opts_;
	cleanup_(selftest_fini) struct selftest s = { .app = app, .place_dirfd = -1, .dirfd = -1 };
	cleanup_(store_closep) struct store *store = NULL;
	const char *place = opts->scratch ? opts->scratch : getenv("TMPDIR");
	uint64_t max_bytes = MAX_BYTES;
	struct vs_err err = { 0 };

	app->path = operands[0];
	if (opts->max_bytes && (!parse_size(opts->max_bytes, &max_bytes) || max_bytes == 0))
		return app_usage(app, "--max-bytes takes a size such as 256M");
	if (!place || *place == '\0')
		place = "/tmp";
	if (operands[0] && store_open(&store, operands[0], 0, &err) < 0)
		return app_error(app, &err);
	if ((store && check_outside(operands[0], place, &err) < 0) ||
	    make_scratch(&s, place, &err) < 0)
		return app_error(app, &err);
	return test(&s, opts, store, max_bytes);
}

static const struct example examples[] = {
	{ "vsctl selftest", "on stores of both kinds that are made for it" },
	{ "vsctl selftest /var/lib/app/vectorstore", "on copies of a sample of your own" },
	{ "vsctl selftest --no-repair --max-bytes 2G /var/lib/chroma",
	  "a large ChromaDB store, detection only" },
	{ NULL, NULL },
};

const struct command cmd_selftest = {
	.name = "selftest",
	.operands = "[STORE]",
	.summary = "damage copies of a store and show that each damage is found",
	.details =
		"A sample of the store is copied to a scratch directory. For each known class of damage a fresh copy is "
		"damaged in one place and checked, and where vsctl repairs such damage, repaired and checked again. The "
		"store itself is only read. Without STORE one of each kind is made for the test.\n\n"
		"The exit status is 4 when a class was missed.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct selftest_opts),
	.run = run,
};
