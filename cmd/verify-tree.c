/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl verify --recursive`: a store and all stores below it.
 *
 * Services keep a store for each tenant or project, one inside another. The store that was named
 * gives the document; those below it are its member "nested", each with the same members.
 */

#include "progress.h"
#include "shown.h"
#include "verify.h"

struct tree_store {
	char *path;
	struct verify_report report;
	struct vs_err err; /* why it could not be checked; status 0 when it was */
};

struct tree {
	struct app *app;
	struct tree_store *stores; /* the first is the one that was named */
	size_t count;
	char **found; /* relative paths */
	size_t found_count;
};

static void tree_fini(struct tree *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->stores[i].path);
		verify_report_fini(&t->stores[i].report);
	}
	for (size_t i = 0; i < t->found_count; i++)
		free(t->found[i]);
	free(t->stores);
	free(t->found);
}

/* A directory that only holds stores is no store, but the library would open it as an empty one. */
static void check_one(struct tree_store *s, const struct verify_request *req, bool is_root)
{
	static char *const all[] = { NULL };
	cleanup_(store_closep) struct store *store = NULL;

	if (store_open(&store, s->path, is_root ? STORE_ASSUME_CHROMEM : 0, &s->err) < 0)
		return;
	if (verify_store(&s->report, store, req, all, &s->err) < 0)
		return;
	s->report.path = s->path;
}

static char *join(const char *root, const char *below)
{
	struct buf path = { 0 };
	size_t len = strlen(root);

	buf_append_str(&path, root);
	if (len == 0 || root[len - 1] != '/')
		buf_append_byte(&path, '/');
	buf_append_str(&path, below);
	return buf_take_str(&path);
}

static int tree_check(struct tree *t, const struct verify_request *req, const char *root,
		      struct vs_err *err)
{
	int r = store_find_nested(root, &t->found, &t->found_count, err);

	if (r < 0)
		return r;
	t->stores = vs_alloc_array(t->found_count + 1, sizeof(*t->stores));
	t->stores[t->count++].path = vs_strdup(root);
	for (size_t i = 0; i < t->found_count; i++) {
		if (strcmp(t->found[i], ".") != 0)
			t->stores[t->count++].path = join(root, t->found[i]);
	}
	progress_begin(t->app, req->check.progress, "document");
	for (size_t i = 0; i < t->count; i++)
		check_one(&t->stores[i], req, i == 0 && t->count > 1);
	progress_end();
	return 0;
}

/* ---- printing ---- */

static void store_json(struct emit *e, const struct tree_store *s)
{
	if (s->err.status == 0) {
		verify_json(e, &s->report);
		return;
	}
	emit_store_begin(e, s->path, NULL);
	emit_json_null(e, "compression");
	emit_object_end(e);
	emit_object(e, "error");
	emit_json_uint(e, "status", EXIT_OPERATIONAL);
	emit_json_str(e, "message", s->err.text);
	emit_json_bytes(e, "path", slice_str(s->path));
	emit_object_end(e);
}

static void tree_json(const struct tree *t)
{
	struct emit *e = &t->app->emit;

	if (!e->is_json)
		return;
	emit_document(e, t->app->command_words);
	store_json(e, &t->stores[0]);
	emit_array(e, "nested");
	for (size_t i = 1; i < t->count; i++) {
		emit_object(e, NULL);
		store_json(e, &t->stores[i]);
		emit_object_end(e);
	}
	emit_array_end(e);
	emit_document_end(e);
}

/* The store that is worst off, by what it does to its application; NULL when none could be checked.
 */
static const struct tree_store *tree_worst(const struct tree *t)
{
	static const unsigned rank[] = { [VERDICT_HEALTHY] = 0,
					 [VERDICT_DEGRADED] = 1,
					 [VERDICT_UNVERIFIED] = 2,
					 [VERDICT_CORRUPT] = 3 };
	const struct tree_store *worst = NULL;
	unsigned worst_rank = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct check_summary *s = &t->stores[i].report.summary;
		unsigned at = rank[s->verdict] * 4 + (unsigned)s->loadable;

		if (t->stores[i].err.status == 0 && (!worst || at > worst_rank)) {
			worst = &t->stores[i];
			worst_rank = at;
		}
	}
	return worst;
}

static void tree_headline(const struct tree *t, const struct tree_store *worst)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	size_t like_worst = 0;
	size_t failed = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct tree_store *s = &t->stores[i];

		failed += s->err.status != 0;
		like_worst += worst && s->err.status == 0 &&
			      s->report.summary.verdict == worst->report.summary.verdict;
	}
	if (worst && worst->report.summary.verdict != VERDICT_HEALTHY)
		buf_printf(&text, "%s: %zu of %zu stores",
			   verdict_name(worst->report.summary.verdict), like_worst, t->count);
	else
		buf_printf(&text, "healthy: %zu of %zu stores", like_worst, t->count);
	if (failed > 0)
		buf_printf(&text, "; %zu could not be checked", failed);
	emit_line(&t->app->emit, "%s", buf_cstr(&text));
}

static void tree_text(const struct tree *t, const struct tree_store *worst)
{
	const struct verify_text_opts opts = { .is_quiet = t->app->common.quiet,
					       .is_verbose = t->app->common.verbose,
					       .is_nested = true };
	struct emit *e = &t->app->emit;

	if (e->is_json)
		return;
	if (!opts.is_quiet)
		tree_headline(t, worst);
	for (size_t i = 0; i < t->count; i++) {
		const struct tree_store *s = &t->stores[i];

		if (s->err.status != 0)
			continue;
		if (!opts.is_quiet && s->report.summary.verdict != VERDICT_HEALTHY)
			emit_line(e, "%s", "");
		verify_text(e, &s->report, &opts);
	}
	if (worst && !opts.is_quiet)
		verify_next(e, &worst->report);
}

int verify_tree(struct app *app, const struct verify_request *req, const char *root)
{
	cleanup_(tree_fini) struct tree t = { .app = app };
	struct vs_err err = { 0 };
	int status = EXIT_CLEAN;

	if (tree_check(&t, req, root, &err) < 0)
		return app_error(app, &err);
	/* With nothing below it, what is wrong with the path is what there is to say. */
	if (t.count == 1 && t.stores[0].err.status != 0)
		return app_error(app, &t.stores[0].err);
	tree_json(&t);
	tree_text(&t, tree_worst(&t));
	for (size_t i = 0; i < t.count; i++) {
		if (t.stores[i].err.status != 0) {
			app_note(app, "%s", t.stores[i].err.text);
			status |= EXIT_OPERATIONAL;
		} else {
			status |= verify_status(&t.stores[i].report, req);
		}
	}
	return status;
}
