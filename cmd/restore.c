/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl restore`: what a snapshot has, into a new place, or where the store was.
 *
 * Into a new place: unpacked beside it under another name, compared with the digests of the list,
 * checked as a store, and then renamed. Killed at any instant, there is all of it or nothing of it.
 * Over a store that is there it is a rollback, with the journal and the snapshot of the state
 * before.
 */

#include "place.h"
#include "progress.h"
#include "restore-archive.h"
#include "rollback.h"
#include "shown.h"
#include "snapshot.h"

struct restore_opts {
	struct rollback_opts rollback;
	struct archive_opts archive;
	const char *to;
};

struct restoring {
	struct snapshot_cmd c;
	struct snapshot_opts common;
	const struct restore_opts *opts;
	const char *to;
	struct place target;
	struct snap_manifest *m; /* owned */
	struct rollback_words words;
	struct snap_health health;
	uint64_t files, documents, bytes;
	bool is_begun; /* the part may be there */
};

static void restoring_fini(struct restoring *rs)
{
	struct vs_err err = { 0 };

	if (rs->is_begun && snap_remove_tree(rs->target.parent_dirfd, rs->target.part, &err) < 0)
		app_note(rs->c.app, "%s/%s could not be removed: %s", rs->target.parent,
			 rs->target.part, err.text);
	place_fini(&rs->target);
	snap_manifest_freep(&rs->m);
	rollback_words_fini(&rs->words);
	snapshot_health_fini(&rs->health);
	snapshot_cmd_fini(&rs->c);
}

/* ---- what ---- */

static bool is_wanted(void *ctx, const struct snap_member *member)
{
	const struct restoring *rs = ctx;

	if (rs->words.count == 0)
		return true;
	if (member->collection == UINT32_MAX)
		return false;
	for (size_t i = 0; i < rs->words.count; i++) {
		if (strcmp(rs->m->collections[member->collection].directory,
			   rs->words.collections[i]) == 0)
			return true;
	}
	return false;
}

/* Of a Chroma store, the database of all collections is one file. */
static int refuse_part(const struct restoring *rs, struct vs_err *err)
{
	if (!rs->opts->rollback.collections || !rs->m->store_kind ||
	    strcmp(rs->m->store_kind, store_kind_name(STORE_CHROMA)) != 0)
		return 0;
	return vs_fail(err, VS_EUSAGE,
		       "the collections of a Chroma store share one database, so --collection "
		       "cannot take one out of it; restore all of it to a new place, or bring the "
		       "collection back in the store: vsctl rollback --partial --collections %s",
		       rs->opts->rollback.collections);
}

static int choose(struct restoring *rs, const struct snap_access *access, const char *id,
		  struct vs_err *err)
{
	int r;

	r = rollback_choose(rs->c.app, access, rs->c.store_path,
			    rs->opts->rollback.change.force ? NULL : rs->c.absolute, id, &rs->m,
			    err);
	if (r == 0)
		r = refuse_part(rs, err);
	if (r == 0)
		r = rollback_words_parse(&rs->words, &rs->opts->rollback, rs->m, err);
	for (size_t i = 0; r == 0 && i < rs->m->member_count; i++) {
		if (!is_wanted(rs, &rs->m->members[i]))
			continue;
		rs->files++;
		rs->bytes += rs->m->members[i].size;
		rs->documents += rs->m->members[i].batch != SNAP_NO_BATCH;
	}
	for (size_t i = 0; r == 0 && i < rs->m->collection_count; i++)
		rs->documents +=
			rs->m->collections[i].has_rows ? rs->m->collections[i].documents : 0;
	return r == 0 ? snap_check_room(rs->target.parent_dirfd,
					rs->bytes + rs->files * 4096 + ((uint64_t)1 << 20),
					"the restored store", err)
		      : r;
}

/* ---- doing it ---- */

static int on_difference(void *ctx, enum snap_change change, const char *path,
			 const struct snap_member *member, struct vs_err *err)
{
	struct restoring *rs = ctx;

	if (change == SNAP_SAME || (change == SNAP_MISSING && !is_wanted(rs, member)))
		return 0;
	return vs_fail(err, VS_EFORMAT, "%s: came out different; nothing was restored", path);
}

static int verify_part(struct restoring *rs, struct vs_err *err)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	int r;

	buf_printf(&path, "%s/%s", rs->target.parent, rs->target.part);
	r = store_open(&store, buf_cstr(&path), STORE_ASSUME_CHROMEM, err);
	if (r == 0)
		r = snap_compare(rs->m, store, true, app_jobs(rs->c.app), on_difference, rs, err);
	if (r == 0)
		r = snap_check_rows(rs->m, store, NULL, NULL, err);
	return r == 0 ? snapshot_health(&rs->c, store, CHECK_FULL, &rs->health, err) : r;
}

static int unpack(struct restoring *rs, const struct snap_access *access, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	rs->is_begun = true;
	r = snap_remove_tree(rs->target.parent_dirfd, rs->target.part, err); /* of a killed one */
	if (r == 0)
		r = file_mkdir_at(rs->target.parent_dirfd, rs->target.part, 0700, err);
	if (r == 0)
		r = file_open_dir(rs->target.parent_dirfd, rs->target.part, FILE_NO_FOLLOW, &fd,
				  err);
	return r == 0 ? snap_extract(access, rs->m, is_wanted, rs, fd, err) : r;
}

static int restore(struct restoring *rs, const char *id, struct vs_err *err)
{
	struct vs_progress progress = { 0 };
	struct snap_access access = {
		.state_dirfd = rs->c.state_dirfd,
		.key = rs->c.has_key ? rs->c.key : NULL,
		.jobs = app_jobs(rs->c.app),
		.progress = &progress,
		.trusts_digest = true,
		/* All that is wanted is taken out, and compared; else another one is looked for. */
		.trusts_size = id && !rs->opts->rollback.change.dry_run,
	};
	int r;

	progress_begin(rs->c.app, &progress, "file");
	r = choose(rs, &access, id, err);
	if (r == 0 && rs->opts->rollback.change.dry_run) {
		progress_end();
		return 0;
	}
	if (r == 0)
		r = snapshot_record(&rs->c, AUDIT_STARTED, 0, rs->m->id, err);
	if (r == 0)
		r = unpack(rs, &access, err);
	progress_end();
	if (r == 0)
		r = verify_part(rs, err);
	if (r == 0)
		r = place_put(&rs->target, err);
	rs->is_begun &= r < 0;
	return r;
}

/* ---- the report ---- */

static void tell(struct restoring *rs, bool is_done, uint64_t duration_ms)
{
	cleanup_(buf_fini) struct buf command = { 0 };
	cleanup_(buf_fini) struct buf documents = { 0 };
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct emit *e = &rs->c.app->emit;

	emit_document(e, rs->c.app->command_words);
	snapshot_members_json(&rs->c);
	emit_json_str(e, "snapshot", rs->m->id);
	emit_json_bytes(e, "to", slice_str(rs->to));
	emit_json_str(e, "outcome", is_done ? "restored" : "dry-run");
	emit_json_uint(e, "files", rs->files);
	emit_json_uint(e, "documents", rs->documents);
	emit_json_uint(e, "bytes", rs->bytes);
	emit_json_uint(e, "duration_ms", duration_ms);
	emit_json_str(e, "verdict", rs->health.verdict);
	emit_json_str(e, "loadable", rs->health.loadable);
	emit_document_end(e);
	text_count(&documents, rs->documents, "document");
	text_escape(&shown, slice_str(rs->to));
	if (!is_done) {
		emit_line(e, "dry run: %s would be restored to %s (%s)", rs->m->id,
			  buf_cstr(&shown), buf_cstr(&documents));
		emit_line(e, "nothing was written; run it again without --dry-run to do it");
		return;
	}
	if (rs->c.app->common.quiet)
		return;
	emit_line(e, "done: %s was restored to %s in %.2f s (%s, every byte compared; loads: %s)",
		  rs->m->id, buf_cstr(&shown), (double)duration_ms / 1000, buf_cstr(&documents),
		  rs->health.loadable);
	text_command(&command, "vsctl verify STORE", rs->to, NULL);
	emit_line(e, "next: %s", buf_cstr(&command));
}

static void set_status(struct restoring *rs)
{
	struct vs_err err = { 0 };

	if (snap_set_status(rs->c.state_dirfd, rs->m->id, SNAP_RESTORED, NULL, &err) < 0)
		app_note(rs->c.app, "the manifest does not say that it was restored: %s", err.text);
}

static int restore_to(struct app *app, const struct restore_opts *opts, const char *store_path,
		      const char *to, const char *id)
{
	cleanup_(restoring_fini) struct restoring rs = {
		.c = SNAPSHOT_CMD_CLOSED,
		.opts = opts,
		.to = to,
		.target = PLACE_CLOSED,
		.common = { .state = opts->rollback.change.state,
			    .lock_wait_s = opts->rollback.change.lock_wait_s,
			    .key_file = opts->rollback.key_file },
	};
	bool is_dry_run = opts->rollback.change.dry_run;
	struct vs_err err = { 0 };
	int64_t start = clock_elapsed_ns();
	int status = snapshot_open_locked(&rs.c, app, &rs.common, store_path, false);

	if (status >= 0)
		return status;
	if (place_open(&rs.target, to, "vsctl-restore", &err) < 0 ||
	    (!opts->rollback.change.dry_run &&
	     app_preflight(app, rs.target.parent, rs.c.state_path, &err) < 0))
		return app_error(app, &err);
	if (restore(&rs, id, &err) < 0) {
		status = app_error(app, &err);
		snapshot_record_end(&rs.c, status, err.text);
		return status;
	}
	status = rs.health.loadable && strcmp(rs.health.loadable, "no") == 0 ? EXIT_PROBLEMS
									     : EXIT_CLEAN;
	if (is_dry_run) {
		if (snapshot_record(&rs.c, AUDIT_DRY_RUN, status, rs.m->id, &err) < 0)
			app_note(app, "the dry run is not in the audit log: %s", err.text);
	} else {
		set_status(&rs);
		snapshot_record_end(&rs.c, status, rs.m->id);
	}
	tell(&rs, !is_dry_run, (uint64_t)(clock_elapsed_ns() - start) / 1000000);
	return status;
}

int restore_in_place(struct app *app, const struct rollback_opts *opts, const char *store,
		     const char *id)
{
	const struct restore_opts restore = { .rollback = *opts };

	/* A store of which nothing is left is restored like one into a new place. */
	return place_is_free(store) ? restore_to(app, &restore, store, store, id)
				    : rollback_run(app, opts, store, id);
}

static const struct opt options[] = {
	OPT_DIR("to", 0, struct restore_opts, to, "DIR",
		"into this directory, which must be new or empty; the store is not touched"),
	OPT_TEXT("collection", 0, struct restore_opts, rollback.collections, "A,B",
		 "these collections only, by name or directory"),
	OPT_FLAG("latest-good", 0, struct restore_opts, rollback.latest_good,
		 "the newest snapshot of a sound store that is not damaged itself"),
	OPT_FILE("from-archive", 0, struct restore_opts, archive.file, "FILE",
		 "a new STORE out of an archive of the older tool, or an export of the library"),
	OPT_FLAG("gzip", 'z', struct restore_opts, archive.gzip,
		 "with --from-archive: a packed store"),
	OPT_FLAG("allow-missing-embeddings", 0, struct restore_opts, archive.allow_missing,
		 "with --from-archive: go on with documents that have none"),
	CHANGE_OPTIONS_IN(struct restore_opts, rollback.change),
	OPT_FILE("key-file", 0, struct restore_opts, rollback.key_file, "FILE",
		 "the 32 bytes of the key of encrypted archives"),
	OPT_TEXT("pre-cmd", 0, struct restore_opts, rollback.pre_cmd, "CMD",
		 "without --to: run before the store is changed; when it fails, nothing is"),
	OPT_TEXT("post-cmd", 0, struct restore_opts, rollback.post_cmd, "CMD",
		 "without --to: run when the store is back"),
	OPT_END,
};

static int run_archive(struct app *app, const struct restore_opts *opts, const char *store,
		       const char *id)
{
	struct archive_opts archive = opts->archive;

	if (id || opts->to || opts->rollback.latest_good || opts->rollback.collections)
		return app_usage(app,
				 "--from-archive makes all of a new STORE out of one file: give "
				 "nothing else to restore");
	archive.key_file = opts->rollback.key_file;
	return restore_archive(app, &archive, &opts->rollback.change, store);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct restore_opts *opts = opts_;
	const char *store = operands[0], *id = operands[1];

	if (opts->archive.file)
		return run_archive(app, opts, store, id);
	if (opts->archive.gzip || opts->archive.allow_missing)
		return app_usage(app, "%s goes with --from-archive",
				 opts->archive.gzip ? "--gzip" : "--allow-missing-embeddings");
	if (!id && !opts->rollback.latest_good)
		return app_usage(app, "which snapshot? Name one, or give --latest-good");
	if (id && opts->rollback.latest_good)
		return app_usage(app, "%s and --latest-good: give one of them", id);
	if (opts->to)
		return restore_to(app, opts, store, opts->to, id);
	return restore_in_place(app, &opts->rollback, store, id);
}

static const struct example examples[] = {
	{ "vsctl restore --latest-good /var/lib/app/store", "the store as it last was sound" },
	{ "vsctl restore --to /srv/look /var/lib/app/store before-upgrade",
	  "into a new place, to look at it" },
	{ "vsctl restore --to /srv/look --collection contextd_memories /var/lib/app/store "
	  "before-upgrade",
	  "one collection" },
	{ "vsctl restore --from-archive snapshot_20260122_120000.tar.gz /srv/store",
	  "a store out of an archive of the older tool" },
	{ NULL, NULL },
};

const struct command cmd_restore = {
	.name = "restore",
	.operands = "STORE [SNAPSHOT]",
	.summary = "bring back what a snapshot has, also into a new place",
	.details =
		"With --to, or when nothing is left of the store, the snapshot is verified, unpacked beside the "
		"new directory, compared byte for byte, checked, and renamed: killed at any instant, there is all "
		"of it or nothing. With --from-archive it comes out of one file, in batches, and a run that was "
		"killed goes on when it is run again. Otherwise this is vsctl rollback of the whole store or of the named collections.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct restore_opts),
	.run = run,
};
