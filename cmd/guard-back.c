/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The way back. First in place: a rollback under the journal, of every file that is not as in the
 * snapshot. Where that is refused, as of a store that is no store any more, what is there is set
 * aside beside it and the snapshot restored in its place. Then the digest of all of it has to be what
 * it was.
 */

#include "guard.h"
#include "rollback.h"

#include <fcntl.h>
#include <libgen.h>

/* What is to be done as if `vsctl rollback` were run: without questions, without limits. */
static int run_quietly(struct guarding *g, struct buf *out,
		       int (*fn)(struct app *app, const struct rollback_opts *opts,
				 const char *store, const char *id),
		       const char *snapshot)
{
	const struct rollback_opts opts = {
		.change = { .yes = true,
			    .force = true,
			    .state = g->c.state_path,
			    .lock_wait_s = VS_MAX(g->opts->common.lock_wait_s, 60) },
		.rehash = true,
		.is_whole = true,
		.is_automatic = true,
		.key_file = g->opts->common.key_file,
	};
	struct app app = *g->app;
	char *text = NULL;
	size_t len = 0;
	struct vs_err err = { 0 };
	FILE *stream = open_memstream(&text, &len);
	int status;

	if (!stream)
		return EXIT_OPERATIONAL;
	emit_init(&app.emit, stream);
	app.emit.is_json = true;
	app.common.quiet = true;
	app.common.verbose = false;
	app.common.max_memory = "100";
	app.common.min_free = "0";
	app.failed = NULL;
	app.group = NULL;
	snprintf(app.command_words, sizeof(app.command_words), "rollback");
	status = fn(&app, &opts, GUARD_STORE(g), snapshot);
	if (emit_finish(&app.emit, &err) < 0)
		app_note(g->app, "%s", err.text);
	emit_fini(&app.emit);
	fclose(stream);
	buf_clear(out);
	/* One line. */
	buf_append(out, text, len > 0 && text[len - 1] == '\n' ? len - 1 : len);
	free(text);
	return status;
}

/* The error that a document ends with. */
static void failure_of(struct buf *document, struct buf *out)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct vs_err err = { 0 };
	const struct jr *error = NULL;
	const char *message;

	if (out->len > 0)
		buf_append_str(out, "; ");
	if (jr_parse(&doc, buf_slice(document), &err) == 0)
		error = jr_get(doc, "error");
	buf_append_str(out, error && jr_get_str(error, "message", &message) ? message
									    : "no reason is known");
}

/* Everything as it was, to the byte? */
static bool is_exact(struct guarding *g)
{
	cleanup_(store_closep) struct store *store = NULL;
	struct digest digest;
	struct vs_err err = { 0 };

	/* Of a run before this one nothing is known. */
	if (!g->is_recorded)
		return true;
	if (store_open(&store, GUARD_STORE(g), g->kind == STORE_CHROMEM ? STORE_ASSUME_CHROMEM : 0,
		       &err) < 0 ||
	    audit_tree_digest(g->tree, store->dirfd, app_jobs(g->app), &digest, &err) < 0) {
		buf_append_str(&g->back_failure, err.text);
		return false;
	}
	digest_format(&digest, g->digest_end);
	if (strcmp(g->digest_end, g->digest_before) == 0)
		return true;
	if (g->opts->snapshot && g->opts->force)
		return true;
	buf_append_str(&g->back_failure,
		       "the store is not, byte for byte, what it was before the command");
	return false;
}

/* STORE becomes STORE.guard-TIME; that there is nothing is fine. */
static int set_aside(struct guarding *g, struct vs_err *err)
{
	cleanup_(vs_freep) char *above = vs_strdup(GUARD_STORE(g));
	cleanup_(vs_freep) char *last = vs_strdup(GUARD_STORE(g));
	cleanup_(buf_fini) struct buf name = { 0 };
	cleanup_(file_closep) int fd = -1;
	const char *parent = dirname(above);
	char when[32];
	int r;

	time_format_compact(clock_now_ns(g->app->clock), when);
	buf_printf(&name, "%s.guard-%s", basename(last), when);
	r = file_open_dir(AT_FDCWD, parent, FILE_FOLLOW, &fd, err);
	if (r == 0)
		r = file_rename_at(fd, strrchr(GUARD_STORE(g), '/') + 1, fd, buf_cstr(&name), false,
				   err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0) {
		struct buf path = { 0 };

		buf_printf(&path, "%s/%s", parent, buf_cstr(&name));
		g->aside = buf_take_str(&path);
	}
	return r;
}

/* A directory that is made anew has the mode of the one that was there. */
static void give_mode(struct guarding *g)
{
	struct vs_err err = { 0 };

	if (g->mode != 0 && file_chmod_at(AT_FDCWD, GUARD_STORE(g), g->mode, &err) < 0)
		app_note(g->app, "%s", err.text);
}

static bool go_in_place(struct guarding *g, const char *snapshot)
{
	if (run_quietly(g, &g->rollback, restore_in_place, snapshot) != EXIT_CLEAN) {
		failure_of(&g->rollback, &g->back_failure);
		return false;
	}
	give_mode(g);
	return is_exact(g);
}

static void on_recovered(void *ctx, const char *text)
{
	struct guarding *g = ctx;

	oplog_add(g->log, OPLOG_INFO, "%s", text);
}

/* What the try in place has left in the journal goes, and gives its room back. */
static void end_unfinished(struct guarding *g)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(file_lock_release) struct file_lock lock = { -1 };
	struct vs_err err = { 0 };

	if (store_open(&store, GUARD_STORE(g), STORE_ASSUME_CHROMEM, &err) == 0 &&
	    store->dirfd >= 0 &&
	    file_lock_take(&lock, g->c.state_dirfd, FILE_LOCK_EXCLUSIVE, 60, "guard", &err) == 0)
		(void)!journal_recover(g->c.state_dirfd, store->dirfd, on_recovered, g, &err);
}

static bool go_anew(struct guarding *g, const char *snapshot)
{
	struct vs_err err = { 0 };

	end_unfinished(g);
	if (set_aside(g, &err) < 0) {
		buf_printf(&g->back_failure, "; %s", err.text);
		return false;
	}
	return go_in_place(g, snapshot);
}

void guard_go_back(struct guarding *g, const char *snapshot)
{
	bool is_back = go_in_place(g, snapshot) || go_anew(g, snapshot);

	g->outcome = is_back ? GUARD_ROLLED_BACK : GUARD_BACK_FAILED;
}
