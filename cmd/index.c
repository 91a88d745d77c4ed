/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl index rebuild`: the index directory of a Chroma collection, written anew. */

#include "change.h"
#include "index-report.h"

struct index_opts {
	struct change_opts change;
};

static const struct opt rebuild_options[] = {
	CHANGE_OPTIONS(struct index_opts),
	OPT_END,
};

/* ---- which ---- */

struct targets {
	char **items; /* ids */
	size_t count, cap;
};

static void targets_fini(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i]);
	free(t->items);
}

static void add_target(struct targets *t, const char *collection)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->items[i], collection) == 0)
			return;
	t->items = vs_grow(t->items, &t->cap, t->count + 1, sizeof(*t->items));
	t->items[t->count++] = vs_strdup(collection);
}

static void add_finding(void *ctx, const struct finding *f)
{
	const struct problem_row *row = problem_row(f->code);

	if (row->remedy == REMEDY_REBUILD_INDEX && row->severity > SEV_INFO && f->collection)
		add_target(ctx, f->collection);
}

static int find_targets(struct change *c, struct targets *t, struct vs_err *err)
{
	const struct check_sink sink = { .ctx = t, .finding = add_finding };
	struct check_request req = c->check;
	struct check_summary sum = { 0 };

	req.max_findings = 0;
	return check_store(c->store, &req, &sink, &sum, err);
}

/* ---- the command ---- */

/*
 * One of the indexes. Where it was found by looking, one that was never saved, and so cannot be built,
 * is no reason to leave the others as they are.
 */
static int plan_one(struct change *c, const char *collection, bool is_asked_for, struct pool *pool,
		    struct indexes *indexes, struct vs_err *err)
{
	int r = plan_index(&c->plan, c->store, collection, pool, indexes, err);

	if (r != VS_EUSAGE || is_asked_for)
		return r;
	plan_leave(&c->plan, "chroma-index-id-missing", collection, err->text, NULL);
	return 0;
}

/* What no rebuild can bring back; index_report() names them all. */
static void leave_lost(struct change *c, const struct index_job *job)
{
	cleanup_(buf_fini) struct buf why = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };

	if (job->summary.lost == 0)
		return;
	text_count(&why, job->summary.lost, "record");
	buf_append_str(&why, " to be embedded again, unless a snapshot has the vectors; text and "
			     "metadata are whole");
	buf_printf(&path, "%s/%s", job->segment, index_file_name(INDEX_PICKLE));
	plan_leave(&c->plan, "chroma-index-id-missing", buf_cstr(&path), buf_cstr(&why),
		   "vsctl snapshot list STORE");
	c->accepts_errors = true;
}

static int plan_all(struct change *c, char *const *operands, struct indexes *indexes,
		    struct vs_err *err)
{
	bool is_asked_for = *operands != NULL;
	cleanup_(targets_fini) struct targets t = { 0 };
	cleanup_(pool_freep) struct pool *pool = pool_new(app_jobs(c->app));
	int r = 0;

	for (; *operands; operands++)
		add_target(&t, *operands);
	if (t.count == 0)
		r = find_targets(c, &t, err);
	for (size_t i = 0; r == 0 && i < t.count; i++)
		r = plan_one(c, t.items[i], is_asked_for, pool, indexes, err);
	for (size_t i = 0; i < indexes->count; i++)
		leave_lost(c, &indexes->row[i]);
	return r < 0 ? r : plan_stamp(&c->plan, c->store->dirfd, err);
}

static int run_rebuild(struct app *app, const void *opts_, char *const *operands)
{
	const struct index_opts *opts = opts_;
	cleanup_(indexes_fini) struct indexes indexes = { .time_ns = clock_now_ns(app->clock) };
	cleanup_(change_fini) struct change c = { .takes_chroma = true, .corrects = true };
	struct vs_err err = { 0 };
	int status = change_open(&c, app, &opts->change, operands[0]);

	if (status >= 0)
		return status;
	if (c.store->kind != STORE_CHROMA) {
		vs_fail(&err, VS_EUSAGE, "%s: a %s store has no index to rebuild", c.store->path,
			store_kind_name(c.store->kind));
		return app_error(app, &err);
	}
	if (plan_all(&c, operands + 1, &indexes, &err) < 0)
		return app_error(app, &err);
	return change_run(&c, index_report, &indexes);
}

static const struct example examples[] = {
	{ "vsctl index rebuild --dry-run /var/lib/chroma", "which vectors would come from where" },
	{ "vsctl index rebuild /var/lib/chroma docs", "write the index of one collection anew" },
	{ NULL, NULL },
};

static const struct command cmd_index_rebuild = {
	.name = "rebuild",
	.operands = "STORE [COLLECTION...]",
	.summary = "write the index directory of a Chroma collection anew",
	.details =
		"Without a COLLECTION, which is an id or a name, every index that vsctl verify finds damaged is written "
		"anew. Each vector comes from the best copy there is: the write queue, or the old index. Where ids and "
		"vectors are sound, only damaged links are made anew. The old files stay in .quarantine, as they were.\n\n"
		"Stop the server first.",
	.examples = examples,
	.options = rebuild_options,
	.opts_size = sizeof(struct index_opts),
	.run = run_rebuild,
};

static const struct command *const verbs[] = { &cmd_index_check, &cmd_index_rebuild, NULL };

const struct command cmd_index = {
	.name = "index",
	.summary = "check and rebuild the vector indexes of a Chroma store",
	.examples = examples,
	.details =
		"The server checks nothing of an index directory but that its files open: a damaged one ends it, or loses "
		"records without a word. What vsctl verify finds there is mended here.",
	.verbs = verbs,
};
