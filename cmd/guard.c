/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl guard`: somebody else's change to a store, between a snapshot and a judgement. Without a
 * terminal and without a question: what may stay is said before it begins.
 */

#include "guard.h"

static const struct opt options[] = {
	OPT_TEXT("snapshot", 0, struct guard_opts, snapshot, "ID",
		 "go back to this one instead of making one; it has to be the store as it is"),
	OPT_TEXT("timeout", 0, struct guard_opts, timeout, "TIME",
		 "end CMD and all that it started after this time; default: 1h; 0: never"),
	OPT_TEXT("kill-after", 0, struct guard_opts, kill_after, "TIME",
		 "kill what has not ended so long after it was asked to; default: 10s"),
	OPT_TEXT("max-loss", 0, struct guard_opts, max_loss, "PERCENT",
		 "roll back when more documents are lost, of a collection or in all; default: 5%"),
	OPT_FLAG("by-count", 0, struct guard_opts, by_count,
		 "compare numbers of documents only: CMD gives them other ids"),
	OPT_TEXT("allow", 0, struct guard_opts, allow, "WHAT",
		 "keep it although: collections, errors, vectors, dimension, schema"),
	OPT_TEXT("check-cmd", 0, struct guard_opts, check_cmd, "CMD",
		 "roll back unless this succeeds afterwards"),
	OPT_TEXT("probe", 0, struct guard_opts, probe, "CMD",
		 "pause while this fails, and go on when it succeeds"),
	OPT_TEXT("probe-interval", 0, struct guard_opts, probe_interval, "TIME",
		 "between two probes; default: 10s"),
	OPT_TEXT("probe-give-up", 0, struct guard_opts, probe_give_up, "TIME",
		 "roll back when the probe fails for so long; default: 5m"),
	OPT_FLAG("keep-on-failure", 0, struct guard_opts, keep_on_failure,
		 "a CMD that fails is judged by what it did, too"),
	OPT_CHOICE("unfinished", 0, struct guard_opts, unfinished, "refuse|back|keep",
		   "what becomes of the work of a guard that was killed"),
	OPT_FLAG("force", 0, struct guard_opts, force,
		 "take a --snapshot that is not the store as it is"),
	SNAPSHOT_KEY(struct guard_opts),
	SNAPSHOT_STATE(struct guard_opts),
	SNAPSHOT_LOCK(struct guard_opts),
	OPT_END,
};

static void guarding_fini(struct guarding *g)
{
	struct vs_err err = { 0 };

	if (oplog_end(g->log, &err) < 0)
		app_note(g->app, "%s", err.text);
	oplog_freep(&g->log);
	audit_tree_freep(&g->tree);
	guard_census_freep(&g->before);
	guard_census_freep(&g->after);
	guard_change_fini(&g->change);
	file_lock_release(&g->lock);
	file_closep(&g->dirfd);
	buf_fini(&g->why);
	buf_fini(&g->rollback);
	buf_fini(&g->back_failure);
	free(g->command);
	free(g->snapshot);
	free(g->aside);
	snapshot_cmd_fini(&g->c);
}

static void on_event(void *ctx, enum guard_event event, const char *text)
{
	(void)event;
	guard_alert(ctx, text);
}

static int run_command(struct guarding *g, struct vs_err *err)
{
	const struct guard_run_request req = {
		.argv = g->argv,
		.store = GUARD_STORE(g),
		/* Standard output has room for one document. */
		.keeps_stdout = !g->app->emit.is_json,
		.limit_ns = g->timeout_ns,
		.grace_ns = g->grace_ns,
		.disks = { GUARD_STORE(g), g->c.state_path },
		.min_free = g->min_free,
		.probe = g->opts->probe,
		.probe_interval_ns = g->probe_interval_ns,
		.probe_give_up_ns = g->probe_give_up_ns,
		.mask = &g->mask,
		.event = on_event,
		.ctx = g,
	};

	return guard_run(&req, &g->result, err);
}

static void decide(struct guarding *g)
{
	struct vs_err err = { 0 };

	/* Whoever could take it is dead. */
	if (guard_reserve_release(g->dirfd, &err) < 0)
		app_note(g->app, "%s", err.text);
	if (g->result.end == GUARD_END_NOT_STARTED) {
		g->outcome = GUARD_NOT_STARTED;
		buf_printf(&g->why, "%s: %s", g->argv[0], strerror(g->result.sysno));
		return;
	}
	guard_look_after(g);
	if (g->is_unchanged)
		g->outcome = GUARD_UNCHANGED;
	else if (!g->cause)
		g->outcome = GUARD_KEPT;
	else
		guard_go_back(g, g->snapshot);
}

/* It is decided: what is written down for others goes, unless the store still waits for its way back. */
static int finish(struct guarding *g)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	int status = guard_status(g);

	guard_say_outcome(g, &text);
	if (g->outcome != GUARD_BACK_FAILED && guard_record_remove(g->dirfd, &err) < 0)
		app_note(g->app, "the record of this run stays: %s", err.text);
	guard_record(g,
		     g->outcome == GUARD_KEPT || g->outcome == GUARD_UNCHANGED ? AUDIT_FINISHED
									       : AUDIT_FAILED,
		     status, buf_cstr(&text));
	guard_report(g, status);
	return status;
}

static void quote_command(struct guarding *g)
{
	struct buf text = { 0 };

	for (size_t i = 0; g->argv[i]; i++) {
		buf_append_str(&text, i > 0 ? " " : "");
		text_quote(&text, slice_str(g->argv[i]));
	}
	g->command = buf_take_str(&text);
}

static int run(struct app *app, const void *opts, char *const *operands)
{
	cleanup_(guarding_fini) struct guarding g = {
		.app = app,
		.opts = opts,
		.argv = operands + 1,
		.c = SNAPSHOT_CMD_CLOSED,
		.dirfd = -1,
		.lock = { -1 },
		.log = oplog_new("guard", app->clock),
		.tree = audit_tree_new(),
	};
	struct vs_err err = { 0 };
	int status = guard_read_options(&g);

	if (status < 0) {
		quote_command(&g);
		guard_signals_hold(&g.mask);
		status = guard_begin(&g, operands[0]);
	}
	if (status >= 0)
		return status;
	if (run_command(&g, &err) < 0) {
		status = app_error(app, &err);
		guard_record(&g, AUDIT_FAILED, status, err.text);
		(void)!guard_record_remove(g.dirfd, &err);
		return status;
	}
	decide(&g);
	return finish(&g);
}

static const struct example examples[] = {
	{ "vsctl guard /var/lib/app/store -- ./migrate.py --batch 500",
	  "kept when it succeeds and loses at most 5 % of the documents" },
	{ "vsctl guard --timeout 2h --max-loss 0 --check-cmd ./smoke-test /var/lib/app/store -- ./migrate.py",
	  "two hours at most, no document less, and your own test has the last word" },
	{ "vsctl guard --allow dimension --probe ./model-answers /var/lib/app/store -- ./embed-again.py",
	  "paused while the embedding service does not answer" },
	{ NULL, NULL },
};

const struct command cmd_guard = {
	.name = "guard",
	.operands = "STORE CMD...",
	.summary = "run a migration that is rolled back unless its result is sound",
	.details =
		"Makes a snapshot, runs CMD, checks the store and compares it with what it was: documents lost, "
		"embeddings that became zero, metadata keys gone, damage, your own check. Keeps the result or rolls "
		"back without asking. Write -- before CMD.\n\n"
		"The exit status is that of CMD when its work is kept, and then also when it changed nothing; 10 when it was rolled back, 11 "
		"for loss of documents, 12 when the rollback failed, 124 after the time limit; 126 and 127 when CMD could "
		"not be started; 8 when nothing was begun.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct guard_opts),
	.run = run,
};
