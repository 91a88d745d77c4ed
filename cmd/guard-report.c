/* SPDX-License-Identifier: Apache-2.0 */

/* What became of a guarded command, as a status, for people and as a document. */

#include "guard.h"
#include "shown.h"

int guard_status(const struct guarding *g)
{
	if (g->outcome == GUARD_BACK_FAILED)
		return GUARD_EXIT_BACK_FAILED;
	if (g->result.end == GUARD_END_TIME)
		return GUARD_EXIT_TIME;
	if (g->outcome == GUARD_NOT_STARTED || g->outcome == GUARD_KEPT)
		return guard_run_status(&g->result);
	if (g->outcome == GUARD_ROLLED_BACK)
		return g->cause && strcmp(g->cause, "loss") == 0 ? GUARD_EXIT_LOSS
								 : GUARD_EXIT_ROLLED_BACK;
	/* Unchanged. Where the command has failed, its own status says so. */
	if (!g->cause || strcmp(g->cause, "command-failed") == 0)
		return guard_run_status(&g->result);
	return GUARD_EXIT_ROLLED_BACK;
}

/* ---- text ---- */

static void say_end(const struct guarding *g, struct buf *out)
{
	double seconds = (double)g->result.duration_ns / 1e9;

	if (g->result.is_killed)
		buf_printf(out, "the command was ended by signal %d", g->result.status);
	else
		buf_printf(out, "the command ended with status %d", g->result.status);
	buf_printf(out, " after %.2f s", seconds);
}

static void say_counts(const struct guarding *g, struct buf *out)
{
	const struct guard_change *c = &g->change;

	text_count(out, c->before, "document");
	buf_printf(out, " before, %" PRIu64 " after", c->after);
	if (c->lost > 0)
		buf_printf(out, ", %" PRIu64 " lost (%.2f %%)", c->lost,
			   c->before > 0 ? (double)c->lost * 100 / (double)c->before : 0);
	if (c->moved > 0)
		buf_printf(out, ", %" PRIu64 " moved to new collections", c->moved);
	if (c->gained > 0)
		buf_printf(out, ", %" PRIu64 " new", c->gained);
}

void guard_say_outcome(struct guarding *g, struct buf *out)
{
	switch (g->outcome) {
	case GUARD_KEPT:
		buf_append_str(out, "kept: ");
		say_end(g, out);
		buf_append_str(out, "; ");
		say_counts(g, out);
		return;
	case GUARD_UNCHANGED:
		buf_append_str(out, "unchanged: nothing in the store has changed; ");
		if (g->cause)
			buf_append_str(out, buf_cstr(&g->why));
		else
			say_end(g, out);
		return;
	case GUARD_ROLLED_BACK:
		buf_printf(out, "rolled back: %s", buf_cstr(&g->why));
		return;
	case GUARD_BACK_FAILED:
		buf_printf(out, "rollback failed: %s; it was to be rolled back because %s",
			   buf_cstr(&g->back_failure), buf_cstr(&g->why));
		return;
	case GUARD_NOT_STARTED:
		buf_printf(out, "not started: %s", buf_cstr(&g->why));
		return;
	}
}

/* The last line: what to do next. */
static void next_command(struct guarding *g, struct buf *out)
{
	const char *state = g->opts->common.state;
	struct buf text = { 0 };

	if (g->outcome == GUARD_BACK_FAILED)
		buf_printf(&text, "vsctl restore --to %s.restored STORE %s", g->c.store_path,
			   g->snapshot);
	else if (g->outcome == GUARD_ROLLED_BACK)
		buf_append_str(&text, "vsctl snapshot list STORE");
	else if (g->outcome == GUARD_KEPT)
		buf_printf(&text, "vsctl rollback STORE %s", g->snapshot);
	else
		buf_append_str(&text, "vsctl verify STORE");
	text_command(out, buf_cstr(&text), g->c.store_path,
		     strstr(buf_cstr(&text), "verify") ? NULL : state);
	buf_fini(&text);
}

static const char *next_words(const struct guarding *g)
{
	if (g->outcome == GUARD_KEPT)
		return "to go back all the same";
	return g->outcome == GUARD_ROLLED_BACK ? "what the command left is kept; next" : "next";
}

/* ---- both ---- */

static const struct emit_field row_fields[] = {
	{ .key = "id", .heading = "collection" },
	{ .key = "name", .heading = "name" },
	{ .key = "state", .heading = NULL },
	{ .key = "before", .heading = "before", .is_number = true },
	{ .key = "after", .heading = "after", .is_number = true },
	{ .key = "lost", .heading = "lost", .is_number = true },
	{ .key = "moved", .heading = NULL },
	{ .key = "gained", .heading = "new", .is_number = true },
	{ .key = "unusable_embeddings", .heading = "unusable", .is_number = true },
	{ .key = "other_dimension", .heading = NULL },
	{ 0 },
};

static const struct emit_field key_fields[] = {
	{ .key = "collection", .heading = "collection" },
	{ .key = "key", .heading = "metadata key" },
	{ .key = "had", .heading = "had it", .is_number = true },
	{ .key = "lost", .heading = "lost it", .is_number = true },
	{ .key = "changed", .heading = "other kind", .is_number = true },
	{ 0 },
};

static bool has_change(const struct guard_row *row)
{
	return row->is_gone || row->is_new || row->lost + row->moved + row->gained > 0 ||
	       row->zeroed + row->not_finite + row->without + row->redimensioned > 0;
}

static void show_rows(struct guarding *g)
{
	struct emit *e = &g->app->emit;

	emit_table(e, "collections", row_fields);
	for (size_t i = 0; i < g->change.count; i++) {
		const struct guard_row *row = &g->change.rows[i];

		if (!e->is_json && !g->app->common.verbose && !has_change(row))
			continue;
		emit_text(e, row->id);
		emit_bytes(e, row->name);
		emit_str(e, row->is_gone ? "gone" : row->is_new ? "new" : "there");
		emit_uint(e, row->before);
		emit_uint(e, row->after);
		emit_uint(e, row->lost);
		emit_uint(e, row->moved);
		emit_uint(e, row->gained);
		emit_uint(e, row->zeroed + row->not_finite + row->without);
		emit_uint(e, row->redimensioned);
	}
	emit_table_end(e);
}

static void show_keys(struct guarding *g)
{
	struct emit *e = &g->app->emit;

	if (!e->is_json && g->change.key_count == 0)
		return;
	emit_table(e, "metadata_keys", key_fields);
	for (size_t i = 0; i < g->change.key_count; i++) {
		const struct guard_key_change *key = &g->change.keys[i];

		emit_text(e, key->collection);
		emit_bytes(e, key->key);
		emit_uint(e, key->had);
		emit_uint(e, key->lost);
		emit_uint(e, key->changed);
	}
	emit_table_end(e);
}

/* ---- JSON ---- */

static void census_json(struct emit *e, const char *key, const struct guard_census *census,
			const char *digest)
{
	if (!census) {
		emit_json_null(e, key);
		return;
	}
	emit_object(e, key);
	emit_json_uint(e, "collections", census->count);
	emit_json_uint(e, "documents", census->documents);
	emit_json_str(e, "verdict", verdict_name(census->summary.verdict));
	emit_json_str(e, "loadable", loadable_name(census->summary.loadable));
	emit_json_uint(e, "errors", census->summary.errors);
	emit_json_str(e, "digest", digest);
	emit_object_end(e);
}

static void run_json(struct guarding *g)
{
	const struct guard_run_result *r = &g->result;
	struct emit *e = &g->app->emit;
	bool has_ended = r->end != GUARD_END_NOT_STARTED;

	emit_json_str(e, "guarded", g->command);
	if (has_ended && !r->is_killed)
		emit_json_uint(e, "command_status", (uint64_t)r->status);
	else
		emit_json_null(e, "command_status");
	if (has_ended && r->is_killed)
		emit_json_uint(e, "command_signal", (uint64_t)r->status);
	else
		emit_json_null(e, "command_signal");
	emit_json_double(e, "seconds", (double)r->duration_ns / 1e9, 3);
	emit_json_uint(e, "pauses", r->pauses);
	emit_json_double(e, "paused_seconds", (double)r->paused_ns / 1e9, 3);
	emit_json_uint(e, "left_behind", r->left_behind);
	if (g->has_check)
		emit_json_uint(e, "check_status", (uint64_t)guard_run_status(&g->check));
	else
		emit_json_null(e, "check_status");
}

static void outcome_json(struct guarding *g, int status)
{
	static const char *const names[] = {
		[GUARD_KEPT] = "kept",
		[GUARD_UNCHANGED] = "unchanged",
		[GUARD_ROLLED_BACK] = "rolled-back",
		[GUARD_BACK_FAILED] = "rollback-failed",
		[GUARD_NOT_STARTED] = "not-started",
	};
	const struct guard_change *c = &g->change;
	struct emit *e = &g->app->emit;

	emit_json_str(e, "outcome", names[g->outcome]);
	emit_json_uint(e, "status", (uint64_t)status);
	emit_json_str(e, "cause", g->cause);
	emit_json_str(e, "message", g->why.len > 0 ? buf_cstr(&g->why) : NULL);
	emit_json_str(e, "snapshot", g->snapshot);
	emit_json_bool(e, "snapshot_made", g->is_made);
	run_json(g);
	emit_json_bool(e, "changed", !g->is_unchanged && g->outcome != GUARD_NOT_STARTED);
	census_json(e, "before", g->before, g->digest_before);
	if (g->is_unchanged)
		census_json(e, "after", g->before, g->digest_before);
	else
		census_json(e, "after", g->after, g->digest_after);
	emit_json_uint(e, "lost", c->lost);
	emit_json_double(e, "loss_percent",
			 c->before > 0 ? (double)c->lost * 100 / (double)c->before : 0, 4);
	emit_json_uint(e, "moved", c->moved);
	emit_json_uint(e, "gained", c->gained);
	emit_json_uint(e, "new_errors", c->new_errors);
}

static void back_json(struct guarding *g)
{
	struct emit *e = &g->app->emit;

	if (g->rollback.len > 0)
		emit_json_raw(e, "rollback", buf_slice(&g->rollback));
	else
		emit_json_null(e, "rollback");
	emit_json_str(e, "rollback_failure",
		      g->outcome == GUARD_BACK_FAILED ? buf_cstr(&g->back_failure) : NULL);
	emit_json_str(e, "set_aside", g->aside);
}

void guard_report(struct guarding *g, int status)
{
	cleanup_(buf_fini) struct buf first = { 0 };
	cleanup_(buf_fini) struct buf shown = { 0 };
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &g->app->emit;
	bool is_well = g->outcome == GUARD_KEPT && status == 0;

	guard_say_outcome(g, &first);
	text_escape(&shown, buf_slice(&first));
	next_command(g, &next);
	emit_document(e, g->app->command_words);
	snapshot_members_json(&g->c);
	outcome_json(g, status);
	if (e->is_json || !g->app->common.quiet || !is_well) {
		emit_line(e, "%s", buf_cstr(&shown));
		show_rows(g);
		show_keys(g);
		if (g->aside)
			emit_line(e, "what was there is now %s", g->aside);
		emit_line(e, "%s: %s", next_words(g), buf_cstr(&next));
	}
	back_json(g);
	emit_json_str(e, "next", buf_cstr(&next));
	emit_document_end(e);
}
