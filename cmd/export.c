/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vsctl export`: a store as one file, as the library exports it or as the older tool archived it.
 *
 * The file is written under another name beside its place, synced, and renamed: it is there whole
 * or not at all. The store is only read.
 */

#include "cmd.h"
#include "key.h"
#include "shown.h"

#include "file/file.h"
#include "snap/snap.h"

#include <fcntl.h>
#include <limits.h>

enum export_as {
	EXPORT_CHROMEM,
	EXPORT_COLLECTIONS_JSON,
};

struct export_opts {
	unsigned as;
	bool gzip;
	bool force;
	bool allow_missing;
	const char *key_file;
};

static const struct opt options[] = {
	OPT_CHOICE("as", 0, struct export_opts, as, "chromem|collections-json",
		   "what the library imports (the default), or an archive of the older tool"),
	OPT_FLAG("gzip", 'z', struct export_opts, gzip, "packed, as the library can as well"),
	OPT_FILE("key-file", 0, struct export_opts, key_file, "FILE",
		 "encrypt with the 32 bytes of this key"),
	OPT_FLAG("allow-missing-embeddings", 0, struct export_opts, allow_missing,
		 "go on with documents that have none"),
	OPT_FLAG("force", 0, struct export_opts, force, "replace FILE when it is there"),
	OPT_END,
};

/* ---- where it comes from ---- */

struct origin {
	struct chromem_export_source source; /* one of the two below */
	struct chromem_source *store;
	struct snap_older *older;
	uint64_t collections, documents, missing;
	char path[PATH_MAX]; /* absolute */
};

static void origin_fini(struct origin *o)
{
	chromem_source_freep(&o->store);
	snap_older_freep(&o->older);
}

static bool is_archive(const char *path)
{
	struct slice name = slice_str(path);

	return slice_ends_with(name, ".tar.gz") || slice_ends_with(name, ".tar");
}

static int open_store(struct origin *o, const struct store *store, unsigned jobs,
		      struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(jobs);
	cleanup_(buf_fini) struct buf where = { 0 };
	struct chromem_form form = { 0 };
	struct chromem_fault fault = { 0 };
	int r;

	if (store->kind != STORE_CHROMEM)
		return vs_fail(err, VS_ENOTSUP, "%s: only chromem directories are exported",
			       store->path);
	r = chromem_detect_form(store->dirfd, &form, err);
	if (r == 0)
		r = chromem_source_open(&o->store, store->dirfd, form.compression, pool, &fault,
					&where, err);
	if (r > 0) {
		cleanup_(buf_fini) struct buf name = { 0 };

		text_escape(&name, buf_slice(&where));
		return vs_fail(
			err, VS_EFORMAT,
			"the store does not load, so there is nothing to export: %.300s: %s; "
			"vsctl verify says what can be done",
			buf_cstr(&name), fault.detail);
	}
	if (r < 0)
		return r;
	o->source = (struct chromem_export_source){ o->store, chromem_source_visit };
	o->collections = chromem_source_collections(o->store);
	o->documents = chromem_source_documents(o->store);
	return 0;
}

static int open_archive(struct origin *o, const char *path, bool allow_missing, struct vs_err *err)
{
	int r = snap_older_open(&o->older, AT_FDCWD, path, allow_missing, err);

	if (r < 0)
		return vs_err_in(err, "%s", path);
	o->source = (struct chromem_export_source){ o->older, snap_older_visit };
	o->collections = snap_older_collections(o->older);
	o->documents = snap_older_documents(o->older);
	o->missing = snap_older_missing(o->older);
	return 0;
}

/* ---- where it goes ---- */

struct target {
	char *dir, *name, *part;
	int dirfd, fd;
	struct digest_ctx *digest;
	uint64_t size;
};

static void target_fini(struct target *t)
{
	struct vs_err ignored = { 0 };

	/* Still open: it was not finished. */
	if (t->fd >= 0)
		(void)!file_unlink_at(t->dirfd, t->part, &ignored);
	file_closep(&t->fd);
	file_closep(&t->dirfd);
	free(t->dir);
	free(t->name);
	free(t->part);
	digest_ctx_freep(&t->digest);
}

/* A file in the store would be part of it. */
static int refuse_inside(const struct target *t, const struct origin *o, struct vs_err *err)
{
	char dir[PATH_MAX];
	size_t len = strlen(o->path);

	if (!realpath(t->dir, dir))
		return vs_fail_errno(err, "%s", t->dir);
	if (!o->older && strncmp(dir, o->path, len) == 0 && (dir[len] == '/' || dir[len] == '\0'))
		return vs_fail(err, VS_EUSAGE, "%s/%s is inside the store", t->dir, t->name);
	return 0;
}

static int target_open(struct target *t, const char *path, bool force, const struct origin *o,
		       struct vs_err *err)
{
	cleanup_(buf_fini) struct buf part = { 0 };
	const char *slash = strrchr(path, '/');
	struct file_info info;
	struct vs_err absent = { 0 };
	int r;

	t->name = vs_strdup(slash ? slash + 1 : path);
	t->dir = slash ? vs_strndup(slice_of(path, VS_MAX((size_t)(slash - path), 1)))
		       : vs_strdup(".");
	if (t->name[0] == '\0')
		return vs_fail(err, VS_EUSAGE, "%s: not the name of a file", path);
	r = refuse_inside(t, o, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, t->dir, FILE_FOLLOW, &t->dirfd, err);
	if (r < 0)
		return r;
	r = file_stat_at(t->dirfd, t->name, FILE_NO_FOLLOW, &info, &absent);
	if (r == 0 && (!force || info.type == FILE_DIRECTORY))
		return vs_fail(err, VS_EBUSY, "%s is there already%s", path,
			       info.type == FILE_DIRECTORY ? ", and a directory"
							   : "; give --force to replace the file");
	buf_printf(&part, ".%s.vsctl-part", t->name);
	t->part = buf_take_str(&part);
	(void)!file_unlink_at(t->dirfd, t->part, &absent); /* of a run that was killed */
	t->digest = digest_ctx_new();
	digest_ctx_reset(t->digest);
	return file_create_at(t->dirfd, t->part, 0600, &t->fd, err);
}

static int target_write(void *ctx, struct slice bytes, struct vs_err *err)
{
	struct target *t = ctx;
	int r = file_write(t->fd, bytes, err);

	digest_ctx_add(t->digest, bytes.ptr, bytes.len);
	t->size += bytes.len;
	return r;
}

static int target_finish(struct target *t, bool force, struct digest *digest, struct vs_err *err)
{
	int r = file_sync(t->fd, err);

	if (r == 0)
		r = file_rename_at(t->dirfd, t->part, t->dirfd, t->name, force, err);
	if (r < 0)
		return r;
	file_closep(&t->fd);
	digest_ctx_final(t->digest, digest);
	return file_sync_dir(t->dirfd, err);
}

/* ---- as the older tool does ---- */

/* The manifest lies beside the archives, as that tool looks for it. */
static int write_manifest(const struct target *t, const struct snap_older_request *req,
			  const struct snap_older_result *result, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	char name[SNAP_ID_MAX + 8];
	int r;

	snap_older_format_manifest(req, result, &text);
	snprintf(name, sizeof(name), "%s.json", req->id);
	r = file_open_dir(t->dirfd, "manifests", FILE_NO_FOLLOW, &dirfd, err);
	if (r == VS_ENOENT && err->sysno != ENOTDIR) {
		r = file_mkdir_at(t->dirfd, "manifests", 0755, err);
		if (r == 0)
			r = file_open_dir(t->dirfd, "manifests", FILE_NO_FOLLOW, &dirfd, err);
	}
	return r == 0 ? file_replace_at(dirfd, name, 0644, buf_slice(&text), err) : r;
}

static int id_of(const struct target *t, char id[SNAP_ID_MAX + 1], struct vs_err *err)
{
	size_t len = strlen(t->name);

	if (len <= 7 || len - 7 > SNAP_ID_MAX || !slice_ends_with(slice_str(t->name), ".tar.gz"))
		return vs_fail(err, VS_EUSAGE,
			       "an archive of the older tool is called ID.tar.gz, not %s", t->name);
	snprintf(id, SNAP_ID_MAX + 1, "%.*s", (int)(len - 7), t->name);
	if (!snap_id_is_valid(id))
		return vs_fail(err, VS_EUSAGE, "%s: an ID has letters, digits, '_' and '-'", id);
	return 0;
}

/* ---- the whole ---- */

static const struct emit_field fields[] = {
	{ .key = "file", .heading = "file" },
	{ .key = "as", .heading = "as" },
	{ .key = "collections", .heading = "collections" },
	{ .key = "documents", .heading = "documents" },
	{ .key = "missing_embeddings", .heading = NULL },
	{ .key = "size", .heading = "takes" },
	{ .key = "sha256", .heading = "SHA-256" },
	{ .key = "packed", .heading = NULL },
	{ .key = "encrypted", .heading = NULL },
	{ 0 },
};

struct exporting {
	struct app *app;
	const struct export_opts *opts;
	struct origin origin;
	struct target target;
	const char *file;
	unsigned char key[CHROMEM_KEY_LEN];
	struct digest digest;
};

static void exporting_fini(struct exporting *x)
{
	origin_fini(&x->origin);
	target_fini(&x->target);
}

static int write_file(struct exporting *x, struct vs_err *err)
{
	const struct chromem_export_sink sink = { &x->target, target_write };
	struct snap_older_request req = {
		.path = x->origin.path,
		.time_ns = clock_now_ns(x->app->clock),
		.allow_missing = x->opts->allow_missing,
		.source = &x->origin.source,
		.sink = &sink,
	};
	struct snap_older_result result = { 0 };
	char id[SNAP_ID_MAX + 1];
	int r;

	if (x->opts->as == EXPORT_CHROMEM) {
		r = chromem_export_write(&x->origin.source,
					 x->opts->gzip ? CHROMEM_GZIP : CHROMEM_PLAIN,
					 x->opts->key_file ? x->key : NULL, &sink, err);
		return r == 0 ? target_finish(&x->target, x->opts->force, &x->digest, err) : r;
	}
	r = id_of(&x->target, id, err);
	req.id = id;
	if (r == 0)
		r = snap_older_write(&req, &result, err);
	if (r == 0)
		r = target_finish(&x->target, x->opts->force, &x->digest, err);
	return r == 0 ? write_manifest(&x->target, &req, &result, err) : r;
}

static int open_origin(struct exporting *x, struct store **store, const char *path,
		       struct vs_err *err)
{
	struct file_info info;
	struct vs_err ignored = { 0 };
	int r;

	if (is_archive(path) && file_stat_at(AT_FDCWD, path, FILE_FOLLOW, &info, &ignored) == 0 &&
	    info.type == FILE_REGULAR) {
		r = open_archive(&x->origin, path, x->opts->allow_missing, err);
	} else {
		r = store_open(store, path, 0, err);
		if (r == 0)
			r = open_store(&x->origin, *store, app_jobs(x->app), err);
	}
	if (r == 0 && !realpath(path, x->origin.path))
		return vs_fail_errno(err, "%s", path);
	return r;
}

static void tell(struct exporting *x, const char *path)
{
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &x->app->emit;
	char hex[DIGEST_HEX_LEN + 1];

	emit_document(e, x->app->command_words);
	emit_store_begin(e, path, x->origin.older ? "older-archive" : "chromem");
	emit_object_end(e);
	emit_line(e, "done: %" PRIu64 " collections, %" PRIu64 " documents", x->origin.collections,
		  x->origin.documents);
	emit_form(e, fields);
	emit_text(e, x->file);
	emit_str(e, x->opts->as == EXPORT_CHROMEM ? "chromem" : "collections-json");
	emit_uint(e, x->origin.collections);
	emit_uint(e, x->origin.documents);
	emit_uint(e, x->origin.missing);
	emit_size(e, x->target.size);
	digest_format(&x->digest, hex);
	emit_str(e, hex);
	emit_bool(e, x->opts->gzip || x->opts->as != EXPORT_CHROMEM);
	emit_bool(e, x->opts->key_file != NULL);
	emit_form_end(e);
	emit_document_end(e);
	if (x->opts->as != EXPORT_CHROMEM)
		return;
	buf_append_str(&next, "vsctl verify ");
	if (x->opts->key_file) {
		buf_append_str(&next, "--key-file ");
		text_shell_word(&next, x->opts->key_file);
		buf_append_str(&next, " ");
	}
	text_shell_word(&next, x->file);
	emit_line(e, "next: %s", buf_cstr(&next));
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct export_opts *opts = opts_;
	cleanup_(exporting_fini) struct exporting x = {
		.app = app,
		.opts = opts,
		.target = { .dirfd = -1, .fd = -1 },
		.file = operands[1],
	};
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };
	int r = 0;

	if (opts->as != EXPORT_CHROMEM && (opts->key_file || opts->gzip))
		return app_usage(app, "archives of the older tool are packed, and never encrypted: "
				      "--gzip and --key-file are for --as chromem");
	app->path = operands[0];
	if (opts->key_file)
		r = key_load(opts->key_file, x.key, &err);
	if (r == 0)
		r = app_preflight(app, operands[1], NULL, &err);
	if (r == 0)
		r = open_origin(&x, &store, operands[0], &err);
	if (r == 0)
		r = target_open(&x.target, operands[1], opts->force, &x.origin, &err);
	if (r == 0)
		r = write_file(&x, &err);
	if (r < 0)
		return app_error(app, &err);
	tell(&x, operands[0]);
	return EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl export /var/lib/app/store /backup/store.gob.gz --gzip",
	  "one file that the library imports" },
	{ "vsctl export /var/lib/app/store /backup/store.gob.enc --key-file /etc/app/key",
	  "the same, encrypted" },
	{ "vsctl export --as collections-json /var/lib/app/store /backup/nightly.tar.gz",
	  "an archive that the older tool restores" },
	{ "vsctl export /backup/snapshot_20260122_140309.tar.gz /tmp/store.gob",
	  "from an archive of the older tool to a file that the library imports" },
	{ NULL, NULL },
};

const struct command cmd_export = {
	.name = "export",
	.operands = "STORE FILE",
	.summary = "write a store into one file, which the library or the older tool reads",
	.details =
		"What is written is what the library would load. STORE may be an archive of the older tool as well, "
		"ID.tar.gz. One without embeddings is refused, since every vector would be lost.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct export_opts),
	.run = run,
};
