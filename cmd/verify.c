/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl verify`: what is wrong with a store. */

#include "verify-formats.h"

#include "key.h"
#include "progress.h"

/* What a person or a script can make use of, in memory that does not depend on the store. */
#define MAX_FINDINGS 10000

enum level_word {
	LEVEL_FULL,
	LEVEL_QUICK,
	LEVEL_DEEP,
};

enum fail_on {
	FAIL_ON_ERROR,
	FAIL_ON_WARNING,
	FAIL_ON_NEVER,
};

enum compression_word {
	COMPRESSION_AUTO,
	COMPRESSION_PLAIN,
	COMPRESSION_GZIP,
};

struct verify_opts {
	unsigned level;
	unsigned fail_on;
	unsigned compression;
	bool explain;
	bool recursive;
	unsigned format;
	const char *key_file;
	const char *against;
	uint64_t max_findings;
};

static const struct opt options[] = {
	OPT_CHOICE(
		"level", 0, struct verify_opts, level, "full|quick|deep",
		"full: every byte; quick: names, metadata and sizes only; deep: also what takes more than "
		"one pass"),
	OPT_SET("quick", 0, struct verify_opts, level, LEVEL_QUICK, "short for --level quick"),
	OPT_SET("deep", 0, struct verify_opts, level, LEVEL_DEEP, "short for --level deep"),
	OPT_FLAG("explain", 'e', struct verify_opts, explain,
		 "say what probably happened, and why"),
	OPT_FLAG("recursive", 'r', struct verify_opts, recursive,
		 "check every store below STORE as well"),
	OPT_CHOICE("fail-on", 0, struct verify_opts, fail_on, "error|warning|never",
		   "the least that gives exit status 4"),
	OPT_CHOICE(
		"compression", 0, struct verify_opts, compression, "auto|plain|gzip",
		"the setting that the application opens the store with; auto: what most files are"),
	OPT_CHOICE("format", 0, struct verify_opts, format, VERIFY_FORMATS,
		   "how to print the result; jsonl: a line for each finding"),
	OPT_FILE("key-file", 0, struct verify_opts, key_file, "FILE",
		 "the 32 bytes of the key of an encrypted export"),
	OPT_FILE("against", 0, struct verify_opts, against, "EXPORT",
		 "compare with an export file made earlier: what is missing, what has changed"),
	OPT_NUMBER("max-findings", 0, struct verify_opts, max_findings, UINT64_MAX, "N",
		   "list at most N findings of each severity (default 10000); all are counted"),
	OPT_END,
};

static enum check_level level_of(unsigned word)
{
	static const enum check_level levels[] = {
		[LEVEL_FULL] = CHECK_FULL, [LEVEL_QUICK] = CHECK_QUICK, [LEVEL_DEEP] = CHECK_DEEP
	};

	return levels[word];
}

int verify_status(const struct verify_report *r, const struct verify_request *req)
{
	const struct check_summary *s = &r->summary;

	if (req->fail_on == FAIL_ON_NEVER)
		return EXIT_CLEAN;
	if (s->errors > 0 || (req->fail_on == FAIL_ON_WARNING && s->warnings > 0))
		return EXIT_PROBLEMS;
	return s->verdict == VERDICT_UNVERIFIED ? EXIT_OPERATIONAL : EXIT_CLEAN;
}

/* Print the report. */
static void show(struct app *app, const struct verify_report *report, enum verify_format format)
{
	struct verify_text_opts text = { .is_quiet = app->common.quiet,
					 .is_verbose = app->common.verbose };

	if (format == VERIFY_JSON_LINES) {
		verify_json_lines(&app->emit, report, app->command_words);
	} else if (format > VERIFY_JSON_LINES) {
		verify_write(&app->emit, report, format, app->clock);
	} else {
		emit_document(&app->emit, app->command_words);
		verify_json(&app->emit, report);
		emit_document_end(&app->emit);
		verify_text(&app->emit, report, &text);
		if (!app->common.quiet)
			verify_next(&app->emit, report);
	}
}

static int verify_one(struct app *app, const struct verify_request *req, enum verify_format format,
		      char *const *operands)
{
	cleanup_(verify_report_fini) struct verify_report report = { 0 };
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };
	int r;

	if (store_open(&store, operands[0], req->check.key ? STORE_HAS_KEY : 0, &err) < 0)
		return app_error(app, &err);
	progress_begin(app, req->check.progress, "document");
	r = verify_store(&report, store, req, operands + 1, &err);
	progress_end();
	if (r < 0)
		return app_error(app, &err);
	snprintf(app->outcome, sizeof(app->outcome),
		 "%s: %" PRIu64 " errors, %" PRIu64 " warnings; loadable: %s",
		 verdict_name(report.summary.verdict), report.summary.errors,
		 report.summary.warnings, loadable_name(report.summary.loadable));
	show(app, &report, format);
	return format == VERIFY_NAGIOS ? (int)verify_nagios_status(&report)
				       : verify_status(&report, req);
}

static void tell_monitor(void *ctx, int status, const char *text)
{
	struct app *app = ctx;

	(void)status;
	verify_nagios_failure(&app->emit, text);
}

/* @key is of the caller, since the request refers to it. */
static int check(struct app *app, struct verify_request *req, const struct verify_opts *opts,
		 char *const *operands, unsigned char key[CHROMEM_KEY_LEN])
{
	struct vs_err err = { 0 };

	if (opts->key_file) {
		if (key_load(opts->key_file, key, &err) < 0)
			return app_error(app, &err);
		req->check.key = key;
	}
	if (!opts->recursive)
		return verify_one(app, req, opts->format, operands);
	if (operands[1])
		return app_usage(app,
				 "--recursive checks whole stores; name no collection with it");
	if (opts->format > VERIFY_JSON)
		return app_usage(app, "--recursive prints text or JSON; check one store at a time");
	return verify_tree(app, req, operands[0]);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct verify_opts *opts = opts_;
	struct vs_progress progress = { 0 };
	struct verify_request req = {
		.check = { .level = level_of(opts->level),
			   .has_compression = opts->compression != COMPRESSION_AUTO,
			   .gzip = opts->compression == COMPRESSION_GZIP,
			   .scratch = getenv("TMPDIR"),
			   .max_findings =
				   opts->max_findings > 0 ? opts->max_findings : MAX_FINDINGS,
			   .jobs = app_jobs(app),
			   .progress = &progress,
			   .against = opts->against },
		.explain = opts->explain,
		.fail_on = opts->fail_on,
	};
	unsigned char key[CHROMEM_KEY_LEN];
	int status;

	if (opts->format == VERIFY_JSON || opts->format == VERIFY_JSON_LINES)
		app->emit.is_json = true;
	if (opts->format == VERIFY_NAGIOS) {
		app->failed = tell_monitor;
		app->failed_ctx = app;
	}
	status = check(app, &req, opts, operands, key);
	return opts->format == VERIFY_NAGIOS && status > NAGIOS_UNKNOWN ? NAGIOS_UNKNOWN : status;
}

static const struct example examples[] = {
	{ "vsctl verify /var/lib/app/vectorstore", "check every byte of a store" },
	{ "vsctl verify --explain /var/lib/app/vectorstore",
	  "and say what probably happened to it" },
	{ "vsctl verify /var/lib/app/vectorstore contextd_memories", "check one collection" },
	{ "vsctl verify --quick --quiet --fail-on warning /var/lib/app/vectorstore",
	  "a gate for ExecStartPre= or CI" },
	{ "vsctl verify --format json /var/lib/app/vectorstore", "for programs" },
	{ "vsctl verify --format junit /var/lib/app/vectorstore", "for a build server" },
	{ NULL, NULL },
};

const struct command cmd_verify = {
	.name = "verify",
	.operands = "STORE [COLLECTION...]",
	.summary = "report what is wrong with a store",
	.details =
		"Reads the store and changes nothing. The first line is the verdict: healthy, degraded (warnings "
		"only), corrupt (any error) or unverified, and what the application that owns the store would "
		"find when it opens it. The last line says what to do next.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct verify_opts),
	.run = run,
};
