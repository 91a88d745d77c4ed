/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl restore --from-archive`: a chromem directory out of one file: an archive of the older tool, or
 * an export of the library.
 *
 * It is written in batches beside its place, under a name that holds the file's digest, checked, and
 * renamed. Killed, the next run with the same file goes on where it was.
 */

#include "restore-archive.h"

#include "place.h"
#include "progress.h"
#include "shown.h"
#include "snapshot.h"

#include <fcntl.h>

struct unpacking {
	struct snapshot_cmd c;
	struct snapshot_opts place_opts;
	const struct archive_opts *opts;
	struct place place;
	char *word; /* owned; in the name of the part */
	struct chromem_export_source source;
	struct snap_older *older; /* NULL: an export */
	struct snap_import_result result;
	struct check_summary sum;
	uint64_t documents; /* of the file */
};

static void unpacking_fini(struct unpacking *u)
{
	place_fini(&u->place);
	free(u->word);
	snap_older_freep(&u->older);
	snapshot_cmd_fini(&u->c);
}

/* ---- the file ---- */

static int visit_export(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err)
{
	struct unpacking *u = ctx;
	struct chromem_fault fault = { 0 };
	uint32_t oddities = 0;
	int r = chromem_export_read(AT_FDCWD, u->opts->file, u->c.has_key ? u->c.key : NULL, to,
				    &oddities, &fault, err);

	return r > 0 ? vs_fail(err, VS_EFORMAT, "%s: %s at offset %" PRIu64, u->opts->file,
			       fault.detail, fault.off)
		     : r;
}

static int count_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	(void)ctx, (void)key, (void)meta, (void)err;
	return 0;
}

static int count_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	struct unpacking *u = ctx;

	(void)key, (void)doc, (void)err;
	u->documents++;
	return 0;
}

static int open_file(struct unpacking *u, struct vs_err *err)
{
	const struct chromem_export_visitor counter = { u, count_collection, count_document };
	struct slice name = slice_str(u->opts->file);
	int r;

	if (slice_ends_with(name, ".tar.gz") || slice_ends_with(name, ".tar")) {
		r = snap_older_open(&u->older, AT_FDCWD, u->opts->file, u->opts->allow_missing,
				    err);
		if (r < 0)
			return vs_err_in(err, "%s", u->opts->file);
		u->source = (struct chromem_export_source){ u->older, snap_older_visit };
		u->documents = snap_older_documents(u->older);
		return 0;
	}
	u->source = (struct chromem_export_source){ u, visit_export };
	/* All of it is read before anything is written. */
	return visit_export(u, &counter, err);
}

/* Another file, or another form, has another part. */
static int name_part(struct unpacking *u, struct vs_err *err)
{
	struct buf word = { 0 };
	struct digest digest;
	char hex[DIGEST_HEX_LEN + 1];
	int r = file_digest_at(AT_FDCWD, u->opts->file, FILE_FOLLOW, &digest, NULL, err);

	if (r < 0)
		return r;
	digest_format(&digest, hex);
	buf_printf(&word, "vsctl-restore-%.12s%s", hex, u->opts->gzip ? "-gz" : "");
	u->word = buf_take_str(&word);
	return 0;
}

/* ---- the store ---- */

static int open_part(struct unpacking *u, int *fd, struct vs_err *err)
{
	int r = file_mkdir_at(u->place.parent_dirfd, u->place.part, 0700, err);

	if (r == VS_EBUSY)
		app_note(u->c.app, "going on with %s/%s, which an earlier run has begun",
			 u->place.parent, u->place.part);
	else if (r < 0)
		return r;
	return file_open_dir(u->place.parent_dirfd, u->place.part, FILE_NO_FOLLOW, fd, err);
}

static int write_part(struct unpacking *u, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_progress progress = { 0 };
	struct snap_import_request req = {
		.source = &u->source,
		.compression = u->opts->gzip ? CHROMEM_GZIP : CHROMEM_PLAIN,
		.progress = &progress,
	};
	int r = open_part(u, &fd, err);

	if (r < 0)
		return r;
	req.dirfd = fd;
	progress_begin(u->c.app, &progress, "document");
	r = snap_import(&req, &u->result, err);
	progress_end();
	return r;
}

/* What the file has is what would be loaded. */
static int verify_part(struct unpacking *u, struct vs_err *err)
{
	struct check_request req = { .level = CHECK_FULL, .jobs = app_jobs(u->c.app) };
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	int r;

	buf_printf(&path, "%s/%s", u->place.parent, u->place.part);
	r = store_open(&store, buf_cstr(&path), STORE_ASSUME_CHROMEM, err);
	if (r == 0)
		r = check_store(store, &req, NULL, &u->sum, err);
	if (r < 0)
		return r;
	if (u->sum.loadable == LOADABLE_NO)
		return vs_fail(err, VS_EFORMAT,
			       "what came out of the file does not load, and is left as %s: vsctl "
			       "verify says why",
			       buf_cstr(&path));
	/* Fewer where the file has an id twice: the library keeps the later one. */
	if (u->sum.documents > u->documents)
		return vs_fail(err, VS_EFORMAT,
			       "%s has %" PRIu64 " documents, and the file %" PRIu64
			       ": remove it, and run this again",
			       buf_cstr(&path), u->sum.documents, u->documents);
	return 0;
}

static int unpack(struct unpacking *u, bool is_dry_run, struct vs_err *err)
{
	int r;

	r = name_part(u, err);
	if (r == 0)
		r = place_open(&u->place, u->c.store_path, u->word, err);
	if (r == 0)
		r = open_file(u, err);
	if (r < 0 || is_dry_run)
		return r;
	r = snapshot_record(&u->c, AUDIT_STARTED, 0, u->opts->file, err);
	if (r == 0)
		r = write_part(u, err);
	if (r == 0)
		r = verify_part(u, err);
	return r == 0 ? place_put(&u->place, err) : r;
}

/* ---- the report ---- */

static void tell_text(struct unpacking *u, bool is_done)
{
	cleanup_(buf_fini) struct buf documents = { 0 };
	cleanup_(buf_fini) struct buf command = { 0 };
	cleanup_(buf_fini) struct buf shown = { 0 };
	struct emit *e = &u->c.app->emit;
	uint64_t count = is_done ? u->sum.documents : u->documents;

	text_count(&documents, count, "document");
	text_escape(&shown, slice_str(u->c.store_path));
	if (!is_done) {
		emit_line(e, "dry run: %s would become a store of %s", buf_cstr(&shown),
			  buf_cstr(&documents));
		emit_line(e, "nothing was written; run it again without --dry-run to do it");
		return;
	}
	if (u->c.app->common.quiet)
		return;
	emit_line(e, "done: %s is a store of %s (%" PRIu64 " files written now; loads: %s)",
		  buf_cstr(&shown), buf_cstr(&documents), u->result.written,
		  loadable_name(u->sum.loadable));
	if (u->older && snap_older_missing(u->older) > 0)
		emit_line(e, "%" PRIu64 " documents have no embedding: no search finds them",
			  snap_older_missing(u->older));
	text_command(&command, "vsctl verify STORE", u->c.store_path, NULL);
	emit_line(e, "next: %s", buf_cstr(&command));
}

static void tell(struct unpacking *u, bool is_done, uint64_t duration_ms)
{
	struct emit *e = &u->c.app->emit;

	emit_document(e, u->c.app->command_words);
	snapshot_members_json(&u->c);
	emit_json_bytes(e, "archive", slice_str(u->opts->file));
	emit_json_bytes(e, "to", slice_str(u->c.store_path));
	emit_json_str(e, "outcome", is_done ? "restored" : "dry-run");
	emit_json_uint(e, "files", u->result.written);
	emit_json_uint(e, "documents", is_done ? u->sum.documents : u->documents);
	emit_json_uint(e, "missing_embeddings", u->older ? snap_older_missing(u->older) : 0);
	emit_json_uint(e, "bytes", u->result.bytes);
	emit_json_uint(e, "duration_ms", duration_ms);
	emit_json_str(e, "verdict", is_done ? verdict_name(u->sum.verdict) : NULL);
	emit_json_str(e, "loadable", is_done ? loadable_name(u->sum.loadable) : NULL);
	emit_document_end(e);
	tell_text(u, is_done);
}

int restore_archive(struct app *app, const struct archive_opts *opts,
		    const struct change_opts *change, const char *store)
{
	cleanup_(unpacking_fini) struct unpacking u = {
		.c = SNAPSHOT_CMD_CLOSED,
		.place_opts = { .state = change->state,
				.lock_wait_s = change->lock_wait_s,
				.key_file = opts->key_file },
		.opts = opts,
		.place = PLACE_CLOSED,
	};
	struct vs_err err = { 0 };
	int64_t start = clock_elapsed_ns();
	int status = snapshot_open_new(&u.c, app, &u.place_opts, store);

	if (status >= 0)
		return status;
	if (unpack(&u, change->dry_run, &err) < 0) {
		status = app_error(app, &err);
		snapshot_record_end(&u.c, status, err.text);
		return status;
	}
	if (!change->dry_run)
		snapshot_record_end(&u.c, EXIT_CLEAN, opts->file);
	else if (snapshot_record(&u.c, AUDIT_DRY_RUN, EXIT_CLEAN, opts->file, &err) < 0)
		app_note(app, "the dry run is not in the audit log: %s", err.text);
	tell(&u, !change->dry_run, (uint64_t)(clock_elapsed_ns() - start) / 1000000);
	return EXIT_CLEAN;
}
