/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl repair`: everything that has one safe answer. */

#include "change.h"
#include "index-report.h"
#include "names.h"

#include <fcntl.h>

#define PLAN_FILE_MAX (UINT64_C(1) << 30)

struct repair_opts {
	struct change_opts change;
	const char *prove;
	const char *only;
	const char *plan;
	const char *apply;
};

static const struct opt options[] = {
	CHANGE_OPTIONS(struct repair_opts),
	OPT_TEXT("only", 0, struct repair_opts, only, "CODE,...", "repair these problems only"),
	OPT_FILE("plan", 0, struct repair_opts, plan, "FILE",
		 "write the plan to FILE and change nothing"),
	OPT_FILE("apply", 0, struct repair_opts, apply, "FILE",
		 "apply a plan that --plan wrote, unless the store has changed since"),
	OPT_TEXT("prove", 0, struct repair_opts, prove, "CMD",
		 "run CMD on a copy of the result, and take everything back when it fails"),
	OPT_END,
};

/* The codes of --only; each must exist. The texts borrow from @copy. */
static int split_codes(struct app *app, char *copy, const char **out, size_t max)
{
	size_t count = 0;
	char *rest = NULL;

	for (char *code = strtok_r(copy, ",", &rest); code; code = strtok_r(NULL, ",", &rest)) {
		enum problem problem;

		if (!problem_find(code, &problem))
			return app_usage(
				app, "--only: there is no problem code '%s'; see vsctl-problems(7)",
				code);
		if (count + 1 >= max)
			return app_usage(app, "--only: more than %zu codes", max - 1);
		out[count++] = code;
	}
	out[count] = NULL;
	return 0;
}

static int load_plan(struct change *c, const char *path, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct plan plan = { 0 };
	int r;

	r = file_read_at(AT_FDCWD, path, FILE_FOLLOW, PLAN_FILE_MAX, &text, NULL, err);
	if (r > 0)
		return vs_fail(err, VS_EUSAGE, "%s: not a file", path);
	if (r == 0)
		r = plan_parse(&plan, buf_slice(&text), err);
	if (r < 0)
		return vs_err_in(err, "%s", path);
	plan_fini(&c->plan);
	c->plan = plan;
	return 0;
}

static int make_plan(struct change *c, const char *const *only, struct indexes *indexes,
		     struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(c->app));
	struct name_finder finder = { .change = c };
	struct fixes_request req = {
		.only = only[0] ? only : NULL,
		.state_dirfd = session_state_dirfd(c->session),
		.time_ns = clock_now_ns(c->app->clock),
		.find_name = names_find_one,
		.find_name_ctx = &finder,
		.scratch = change_scratch(c),
		.pool = pool,
		.indexes = indexes,
	};

	return plan_fixes(&c->plan, c->store, &c->check, &req, err);
}

/* A file has to stand by itself: what the source would give goes into the plan. */
static int take_contents(struct plan *plan, struct vs_err *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct action *a = &plan->actions[i];
		int r;

		if (!a->is_sourced)
			continue;
		r = plan->source->content(plan->source->ctx, a, &a->content, err);
		if (r < 0)
			return r;
		a->is_sourced = false;
	}
	return 0;
}

static int save_plan(struct change *c, const char *path, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	const char *slash = strrchr(path, '/');
	cleanup_(vs_freep) char *dir = NULL;
	int r;

	/* A file is replaced by its name in its own directory. */
	if (slash)
		dir = vs_strndup(slice_of(path, (size_t)(slash - path) + 1));
	r = take_contents(&c->plan, err);
	if (r < 0)
		return r;
	plan_format(&c->plan, session_store_path(c->session), &text);
	r = file_open_dir(AT_FDCWD, dir ? dir : ".", FILE_FOLLOW, &dirfd, err);
	if (r == 0)
		r = file_replace_at(dirfd, slash ? slash + 1 : path, 0600, buf_slice(&text), err);
	return r < 0 ? vs_err_in(err, "%s", path) : 0;
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct repair_opts *opts = opts_;
	cleanup_(indexes_fini) struct indexes indexes = { 0 };
	cleanup_(change_fini) struct change c = { .corrects = true,
						  .takes_chroma = true,
						  .prove = opts->prove };
	cleanup_(vs_freep) char *codes = opts->only ? vs_strdup(opts->only) : NULL;
	struct change_opts change = opts->change;
	const char *only[128] = { NULL };
	struct vs_err err = { 0 };
	int status;

	if (opts->plan && opts->apply)
		return app_usage(app,
				 "--plan makes a plan and --apply takes one: give one of them");
	status = codes ? split_codes(app, codes, only, VS_COUNT(only)) : 0;
	if (status != 0)
		return status;
	change.dry_run = change.dry_run || opts->plan;
	status = change_open(&c, app, &change, operands[0]);
	if (status >= 0)
		return status;
	if ((opts->apply ? load_plan(&c, opts->apply, &err) : make_plan(&c, only, &indexes, &err)) <
	    0)
		return app_error(app, &err);
	if (opts->plan && save_plan(&c, opts->plan, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, index_report, &indexes);
}

static const struct example examples[] = {
	{ "vsctl repair --dry-run /var/lib/app/store", "show what would be done" },
	{ "vsctl repair --yes /var/lib/app/store",
	  "do it, verify the result, and take it back if it is no better" },
	{ "vsctl repair --plan fix.json /var/lib/app/store",
	  "write the plan down, to be read and applied later" },
	{ NULL, NULL },
};

const struct command cmd_repair = {
	.name = "repair",
	.operands = "STORE",
	.summary = "repair everything that has one safe answer",
	.details =
		"Lost metadata are written anew where the collection's name can be proven, damaged documents go into "
		"quarantine with what could be salvaged of them, misnamed files get their names back. Of a Chroma store "
		"the full-text index, positions, rows of nobody and index directories are put right. What has more than "
		"one answer is left alone and listed. The result is verified; if it is no better, everything is taken "
		"back. vsctl undo takes a repair back later.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct repair_opts),
	.run = run,
};
