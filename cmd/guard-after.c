/* SPDX-License-Identifier: Apache-2.0 */

/*
 * After the command: what is the store now, and may it stay so? A store that cannot be looked at any
 * more is no reason to stop: it is the clearest reason to go back.
 */

#include "guard.h"

#include "file/file.h"

/* The first cause is the one that is named; everything that speaks against it is in the text. */
static void against(struct guarding *g, const char *cause, const char *fmt, ...) printf_(3, 4);

static void against(struct guarding *g, const char *cause, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!g->cause)
		g->cause = cause;
	if (g->why.len > 0)
		buf_append_str(&g->why, "; ");
	buf_append_str(&g->why, text);
}

/* ---- how it ended ---- */

static void judge_end(struct guarding *g)
{
	const struct guard_run_result *r = &g->result;

	switch (r->end) {
	case GUARD_END_TIME:
		against(g, "time-limit", "the command was ended after %" PRId64 " s",
			g->timeout_ns / 1000000000);
		return;
	case GUARD_END_SIGNAL:
		against(g, "signal", "the command was ended by signal %d that vsctl got",
			r->signal);
		return;
	case GUARD_END_PROBE:
		against(g, "probe", "the probe failed for more than %" PRId64 " s: %.200s",
			g->probe_give_up_ns / 1000000000, g->opts->probe);
		return;
	case GUARD_END_ITSELF:
	case GUARD_END_NOT_STARTED:
		break;
	}
	if (g->opts->keep_on_failure)
		return;
	if (r->is_killed)
		against(g, "command-failed", "the command was ended by signal %d", r->status);
	else if (r->status != 0)
		against(g, "command-failed", "the command ended with status %d", r->status);
}

/* ---- what it left ---- */

static int stop_at_first(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)ctx;
	(void)name;
	(void)type;
	(void)err;
	return 1;
}

/* An empty directory is a new chromem store to whoever opens it, and tells nothing of what it was. */
static int other_kind(const struct guarding *g, const struct store *store, struct vs_err *err)
{
	int r = file_list(store->dirfd, stop_at_first, NULL, err);

	if (r < 0)
		return r;
	if (r == 0)
		return vs_fail(err, VS_EFORMAT, "its directory is empty, and it was a %s store",
			       store_kind_name(g->kind));
	return vs_fail(err, VS_EFORMAT, "it is a %s store now, and was a %s store",
		       store_kind_name(store->kind), store_kind_name(g->kind));
}

static int look(struct guarding *g, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = NULL;
	struct digest digest;
	int r = store_open(&store, GUARD_STORE(g),
			   g->kind == STORE_CHROMEM ? STORE_ASSUME_CHROMEM : 0, err);

	if (r == 0 && store->kind != g->kind)
		return other_kind(g, store, err);
	if (r == 0)
		r = audit_tree_digest(g->tree, store->dirfd, app_jobs(g->app), &digest, err);
	if (r == 0) {
		digest_format(&digest, g->digest_after);
		digest_format(&digest, g->digest_end);
		g->is_unchanged = strcmp(g->digest_before, g->digest_after) == 0;
	}
	if (r == 0 && !g->is_unchanged)
		r = guard_census_take(&g->after, store, app_jobs(g->app), g->before, err);
	return r;
}

static void compare(struct guarding *g)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	const char *cause = NULL;

	guard_compare(g->before, g->after, g->opts->by_count, &g->change);
	g->reasons = guard_judge(&g->change, g->max_loss, g->allowed, &text);
	for (size_t i = GUARD_REASON_COUNT; i > 0; i--) {
		if (g->reasons & 1u << (i - 1))
			cause = guard_reason_name((enum guard_reason)(1u << (i - 1)));
	}
	if (cause)
		against(g, cause, "%.1000s", buf_cstr(&text));
}

/* ---- the operator's own check ---- */

static void on_check_event(void *ctx, enum guard_event event, const char *text)
{
	(void)event;
	guard_alert(ctx, text);
}

static void run_check(struct guarding *g)
{
	char shell[] = "/bin/sh", option[] = "-c";
	cleanup_(vs_freep) char *command = vs_strdup(g->opts->check_cmd);
	char *const argv[] = { shell, option, command, NULL };
	const struct guard_run_request req = {
		.argv = argv,
		.store = GUARD_STORE(g),
		.keeps_stdout = !g->app->emit.is_json,
		.limit_ns = g->timeout_ns,
		.grace_ns = g->grace_ns,
		.mask = &g->mask,
		.event = on_check_event,
		.ctx = g,
	};
	struct vs_err err = { 0 };

	g->has_check = true;
	if (guard_run(&req, &g->check, &err) < 0) {
		against(g, "check-cmd", "the check could not be run: %s", err.text);
		return;
	}
	if (g->check.end != GUARD_END_ITSELF)
		against(g, "check-cmd", "the check did not end by itself: %.200s", command);
	else if (g->check.is_killed || g->check.status != 0)
		against(g, "check-cmd", "the check ended with status %d: %.200s",
			guard_run_status(&g->check), command);
}

void guard_look_after(struct guarding *g)
{
	struct vs_err err = { 0 };
	int r;

	judge_end(g);
	r = look(g, &err);
	if (r == VS_ENOENT)
		against(g, "store-lost", "the store's directory is gone");
	else if (r < 0)
		against(g, "store-lost", "the store cannot be read any more: %s", err.text);
	else if (!g->is_unchanged)
		compare(g);
	/* Nothing that it says could help a store that goes back anyway. */
	if (g->opts->check_cmd && !g->cause)
		run_check(g);
}
