/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl snapshot`, and its first verb, `create`. */

#include "snapshot.h"

#include "progress.h"

enum check_word {
	CHECK_WORD_FULL,
	CHECK_WORD_QUICK,
	CHECK_WORD_DEEP,
	CHECK_WORD_NONE,
};

struct create_opts {
	struct snapshot_opts common;
	const char *name;
	const char *reason;
	const char *if_older;
	bool full;
	bool rehash;
	unsigned check;
};

static const struct opt create_options[] = {
	OPT_TEXT("name", 0, struct create_opts, name, "NAME",
		 "letters, digits, '_' and '-'; default: snapshot_YYYYMMDD_HHMMSS in UTC"),
	OPT_TEXT("reason", 0, struct create_opts, reason, "TEXT", "why, for the manifest"),
	OPT_TEXT("if-older", 0, struct create_opts, if_older, "TIME",
		 "do nothing when the newest good snapshot is younger than 90s, 30m, 24h or 7d"),
	OPT_FLAG("full", 0, struct create_opts, full,
		 "store every file again, whatever older snapshots hold"),
	OPT_FLAG("rehash", 0, struct create_opts, rehash,
		 "read every file, whatever its size and times say"),
	OPT_CHOICE("check", 0, struct create_opts, check, "full|quick|deep|none",
		   "how thoroughly the store is checked, for the manifest"),
	SNAPSHOT_KEY(struct create_opts),
	SNAPSHOT_STATE(struct create_opts),
	SNAPSHOT_LOCK(struct create_opts),
	OPT_END,
};

/* Is the newest good one young enough? 1, with its name. */
static int find_young(struct snapshot_cmd *c, const char *if_older, char id[SNAP_ID_MAX + 1],
		      struct vs_err *err)
{
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	const struct snap_manifest *newest;
	uint64_t age_s;
	int r;

	if (!if_older)
		return 0;
	if (!parse_duration(if_older, &age_s))
		return vs_fail(err, VS_EUSAGE, "--if-older takes 90s, 30m, 24h or 7d, not %s",
			       if_older);
	r = snapshot_list_load(c, &list, err);
	if (r < 0)
		return r;
	newest = snap_list_newest_good(&list);
	if (!newest ||
	    (uint64_t)((clock_now_ns(c->app->clock) - newest->time_ns) / 1000000000) >= age_s)
		return 0;
	snprintf(id, SNAP_ID_MAX + 1, "%s", newest->id);
	return 1;
}

static void created_json(struct snapshot_cmd *c, const struct snap_manifest *m)
{
	struct emit *e = &c->app->emit;
	char hex[DIGEST_HEX_LEN + 1];

	emit_json_bool(e, "created", true);
	emit_json_str(e, "snapshot", m->id);
	emit_json_bytes(e, "archive", slice_str(m->archives[0].file));
	emit_json_uint(e, "size", m->archives[0].size);
	digest_format(&m->archives[0].digest, hex);
	emit_json_str(e, "sha256", hex);
	emit_json_uint(e, "bytes", m->bytes);
	emit_json_uint(e, "stored_bytes", m->stored_bytes);
	emit_json_uint(e, "files", m->member_count);
	emit_json_uint(e, "stored_files", m->stored_members);
	emit_json_uint(e, "documents", m->documents);
	emit_json_uint(e, "collections", m->collection_count);
	emit_json_str(e, "parent", m->parent);
	emit_json_uint(e, "chain", m->chain);
	emit_json_bool(e, "stable", m->is_stable);
	emit_json_bool(e, "good", snap_is_good(m));
	emit_json_str(e, "verdict", m->health.verdict);
	emit_json_uint(e, "skipped", m->skipped_count);
}

static void created_text(struct snapshot_cmd *c, const struct snap_manifest *m)
{
	struct emit *e = &c->app->emit;
	char all[16], packed[16];

	size_format(m->bytes, all);
	size_format(m->archives[0].size, packed);
	emit_line(e,
		  "%s: %s (%" PRIu64 " documents, %" PRIu64 " files, %s); stored %" PRIu64
		  " files in %s",
		  snap_is_good(m) ? "done" : "done, of a corrupt store", m->id, m->documents,
		  m->member_count_total, all, m->stored_members, packed);
	if (m->parent)
		emit_line(e, "the rest is in %" PRIu32 " older archive%s, the newest of %s",
			  m->chain, m->chain == 1 ? "" : "s", m->parent);
	if (!m->is_stable)
		emit_line(e,
			  "the store changed all the time: every file is whole, but not all are of "
			  "one moment");
	for (size_t i = 0; i < m->skipped_count; i++) {
		cleanup_(buf_fini) struct buf path = { 0 };

		text_escape(&path, slice_str(m->skipped[i].path));
		emit_line(e, "left out: %s (%s)", buf_cstr(&path), m->skipped[i].why);
	}
	if (snap_is_good(m))
		snapshot_next(c, "vsctl snapshot verify STORE", m->id);
	else
		snapshot_next(c, "vsctl verify STORE", NULL);
}

static int create_now(struct snapshot_cmd *c, const struct create_opts *opts,
		      struct snap_manifest **out, struct vs_err *err)
{
	static const enum check_level levels[] = {
		[CHECK_WORD_FULL] = CHECK_FULL,
		[CHECK_WORD_QUICK] = CHECK_QUICK,
		[CHECK_WORD_DEEP] = CHECK_DEEP,
		[CHECK_WORD_NONE] = CHECK_QUICK,
	};
	cleanup_(snapshot_health_fini) struct snap_health health = { 0 };
	struct vs_progress progress = { 0 };
	struct snap_create_request req = {
		.name = opts->name,
		.reason = opts->reason,
		.tool_version = VSCTL_VERSION,
		.health = &health,
		.full = opts->full,
		.rehash = opts->rehash,
		.key = c->has_key ? c->key : NULL,
		.jobs = app_jobs(c->app),
		.clock = c->app->clock,
		.progress = &progress,
	};
	int r = 0;

	if (opts->check != CHECK_WORD_NONE)
		r = snapshot_health(c, c->store, levels[opts->check], &health, err);
	if (r < 0)
		return r;
	progress_begin(c->app, &progress, "file");
	r = snap_create(c->state_dirfd, c->store, &req, out, err);
	progress_end();
	return r;
}

static int create_and_tell(struct snapshot_cmd *c, const struct create_opts *opts)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	struct emit *e = &c->app->emit;
	struct vs_err err = { 0 };
	int status;

	if (snapshot_record(c, AUDIT_STARTED, 0, NULL, &err) < 0)
		return app_error(c->app, &err);
	if (create_now(c, opts, &m, &err) < 0) {
		status = app_error(c->app, &err);
		snapshot_record_end(c, status, err.text);
		return status;
	}
	status = snap_is_good(m) ? EXIT_CLEAN : EXIT_PROBLEMS;
	snapshot_record_end(c, status, m->id);
	emit_document(e, c->app->command_words);
	snapshot_members_json(c);
	created_json(c, m);
	emit_document_end(e);
	if (!c->app->common.quiet || status != EXIT_CLEAN)
		created_text(c, m);
	return status;
}

static int run_create(struct app *app, const void *opts_, char *const *operands)
{
	const struct create_opts *opts = opts_;
	cleanup_(snapshot_cmd_fini) struct snapshot_cmd c = SNAPSHOT_CMD_CLOSED;
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	char young[SNAP_ID_MAX + 1];
	int r, status;

	if (opts->name && !snap_id_is_valid(opts->name))
		return app_usage(app,
				 "--name takes letters, digits, '_' and '-', at most %d of them",
				 SNAP_ID_MAX);
	status = snapshot_open_locked(&c, app, &opts->common, operands[0], true);
	if (status >= 0)
		return status;
	r = find_young(&c, opts->if_older, young, &err);
	if (r < 0)
		return app_error(app, &err);
	if (r == 0)
		return create_and_tell(&c, opts);
	emit_document(e, app->command_words);
	snapshot_members_json(&c);
	emit_json_bool(e, "created", false);
	emit_json_str(e, "snapshot", young);
	emit_document_end(e);
	if (!app->common.quiet)
		emit_line(e, "nothing to do: %s is younger than %s", young, opts->if_older);
	return EXIT_CLEAN;
}

static const struct example create_examples[] = {
	{ "vsctl snapshot create /var/lib/app/store", "store what changed since the last one" },
	{ "vsctl snapshot create --name before-upgrade --full /var/lib/app/store",
	  "one that stands alone" },
	{ "vsctl snapshot create --quiet --if-older 24h /var/lib/app/store", "for cron" },
	{ NULL, NULL },
};

static const struct command cmd_snapshot_create = {
	.name = "create",
	.operands = "STORE",
	.summary = "copy a store as it is now; the store may be in use",
	.examples = create_examples,
	.options = create_options,
	.opts_size = sizeof(struct create_opts),
	.run = run_create,
};

/* ---- the group ---- */

static const struct command *const verbs[] = {
	&cmd_snapshot_create, &cmd_snapshot_list,    &cmd_snapshot_show,  &cmd_snapshot_verify,
	&cmd_snapshot_delete, &cmd_snapshot_cleanup, &cmd_snapshot_drill, NULL,
};

static const struct example group_examples[] = {
	{ "vsctl snapshot create /var/lib/app/store", "make one" },
	{ "vsctl snapshot list /var/lib/app/store", "which there are" },
	{ "vsctl snapshot cleanup --days 7 --keep-weekly 8 /var/lib/app/store", "remove old ones" },
	{ NULL, NULL },
};

const struct command cmd_snapshot = {
	.name = "snapshot",
	.summary = "copies of a store that can be trusted later",
	.details =
		"A snapshot is a plain tar.gz and a manifest with the digest of every file in it. It stores what "
		"changed since the one before and takes the rest from there; restoring any of them gives the whole "
		"store. Snapshots of a corrupt store are made, marked, and never push a good one out.",
	.examples = group_examples,
	.verbs = verbs,
};
