/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl index check`: indexes against everything that can be held against them: their files, the
 * database, the write queue, and an exact search. Only reads.
 */

#include "index-report.h"
#include "progress.h"
#include "verify.h"

static const struct opt options[] = {
	OPT_END,
};

static int run(struct app *app, const void *opts, char *const *operands)
{
	struct vs_progress progress = { 0 };
	struct verify_request req = { .check = { .level = CHECK_DEEP,
						 .scratch = getenv("TMPDIR"),
						 .jobs = app_jobs(app),
						 .progress = &progress } };
	struct verify_text_opts text = { .is_quiet = app->common.quiet,
					 .is_verbose = app->common.verbose };
	cleanup_(verify_report_fini) struct verify_report report = { 0 };
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };
	int r = store_open(&store, operands[0], 0, &err);

	(void)opts;
	if (r == 0 && store->kind != STORE_CHROMA)
		r = vs_fail(&err, VS_EUSAGE, "%s: a %s store has no index to check", store->path,
			    store_kind_name(store->kind));
	if (r == 0) {
		progress_begin(app, &progress, "document");
		r = verify_store(&report, store, &req, operands + 1, &err);
		progress_end();
	}
	if (r < 0)
		return app_error(app, &err);
	emit_document(&app->emit, app->command_words);
	verify_json(&app->emit, &report);
	emit_document_end(&app->emit);
	verify_text(&app->emit, &report, &text);
	if (!app->common.quiet)
		verify_next(&app->emit, &report);
	return verify_status(&report, &req);
}

static const struct example examples[] = {
	{ "vsctl index check /var/lib/chroma", "every index, and how well it finds" },
	{ "vsctl index check /var/lib/chroma docs", "that of one collection" },
	{ NULL, NULL },
};

const struct command cmd_index_check = {
	.name = "check",
	.operands = "STORE [COLLECTION...]",
	.summary = "hold indexes against the database, the queue and an exact search",
	.details =
		"Reads the store and changes nothing: the files of each index, every link and vector, ids and labels "
		"against the database and the write queue, how many elements can be reached, and whether a search "
		"through the index finds what an exact one does. It is vsctl verify --level deep of these collections.",
	.examples = examples,
	.options = options,
	.run = run,
};
