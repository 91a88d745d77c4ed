/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Documents of an archive as a chromem directory; see older.h.
 *
 * Every file is compared with the one that an earlier run may have left, and written only where they
 * differ, so a run that was killed is simply done again: what is there is kept, a document cut short by
 * the kill is written anew, and no record is needed of how far it came.
 */

#include "snap/older.h"
#include "snap/private.h"

#include <fcntl.h>

/* Larger files are nothing that this wrote. */
#define OLD_FILE_MAX (UINT64_C(256) << 20)

struct importing {
	const struct snap_import_request *req;
	struct snap_import_result *out;
	int dirfd;         /* of the collection; -1: none yet */
	uint64_t in_batch; /* documents since the last one was made durable */
	struct chromem_reader *reader;
	struct buf gob, packed, old;
};

static void importing_fini(struct importing *im)
{
	file_closep(&im->dirfd);
	chromem_reader_freep(&im->reader);
	buf_fini(&im->gob);
	buf_fini(&im->packed);
	buf_fini(&im->old);
}

/*
 * Two ids whose names begin alike would be one file, of which the library keeps the document that was
 * written last. Neither may be lost without a word.
 */
static int check_id(struct importing *im, const char *name, struct slice id, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc = { 0 };
	struct vs_err ignored = { 0 };

	if (chromem_decode_doc(im->reader, buf_slice(&im->old), &doc, &fault, &ignored) != 0 ||
	    (doc.id.len == id.len && memcmp(doc.id.ptr, id.ptr, id.len) == 0))
		return 0;
	text_escape(&text, id);
	buf_append_str(&text, " and ");
	text_escape(&text, doc.id);
	return vs_fail(
		err, VS_EFORMAT,
		"documents %s: both would be the file %s, so a chromem directory cannot hold "
		"them in one collection",
		buf_cstr(&text), name);
}

/* Is @name there with exactly these bytes? What else is there goes. */
static int is_done(struct importing *im, const char *name, struct slice bytes, struct slice id,
		   struct vs_err *err)
{
	struct vs_err absent = { 0 };
	int r = file_read_at(im->dirfd, name, FILE_NO_FOLLOW, OLD_FILE_MAX, &im->old, NULL,
			     &absent);

	if (r == VS_ENOENT)
		return 0;
	if (r == 0 && im->old.len == bytes.len &&
	    (bytes.len == 0 || memcmp(im->old.ptr, bytes.ptr, bytes.len) == 0))
		return 1;
	r = r == 0 && id.len > 0 ? check_id(im, name, id, err) : 0;
	return r < 0 ? r : file_unlink_at(im->dirfd, name, err);
}

static int put(struct importing *im, const char *name, struct slice id, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	struct slice bytes;
	int r;

	buf_clear(&im->packed);
	r = chromem_pack(im->req->compression, buf_slice(&im->gob), &im->packed, err);
	bytes = buf_slice(&im->packed);
	if (r == 0)
		r = is_done(im, name, bytes, id, err);
	if (r != 0)
		return VS_MIN(r, 0);
	r = file_create_at(im->dirfd, name, 0600, &fd, err);
	if (r == 0)
		r = file_write(fd, bytes, err);
	im->out->written++;
	im->out->bytes += bytes.len;
	return r;
}

/* What a batch has written is durable before the next one begins. */
static int end_batch(struct importing *im, struct vs_err *err)
{
	if (im->in_batch == 0)
		return 0;
	im->in_batch = 0;
	return file_sync_fs(im->req->dirfd, err);
}

static int on_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			 struct vs_err *err)
{
	struct importing *im = ctx;
	char dir[CHROMEM_ID_LEN + 1], name[32];
	int r;

	(void)key;
	file_closep(&im->dirfd);
	chromem_hash_format(chromem_hash(meta->name), dir);
	r = file_mkdir_at(im->req->dirfd, dir, 0700, err);
	if (r == 0 || r == VS_EBUSY)
		r = file_open_dir(im->req->dirfd, dir, FILE_NO_FOLLOW, &im->dirfd, err);
	if (r < 0)
		return r;
	im->out->collections++;
	buf_clear(&im->gob);
	chromem_encode_meta(&im->gob, meta->name, meta->metadata, meta->metadata_count);
	snprintf(name, sizeof(name), "00000000%s", chromem_extension(im->req->compression));
	return put(im, name, (struct slice){ 0 }, err);
}

static int on_document(void *ctx, struct slice key, const struct chromem_doc *doc,
		       struct vs_err *err)
{
	struct importing *im = ctx;
	char hash[CHROMEM_ID_LEN + 1], name[32];
	int r;

	(void)key;
	chromem_hash_format(chromem_hash(doc->id), hash);
	snprintf(name, sizeof(name), "%s%s", hash, chromem_extension(im->req->compression));
	buf_clear(&im->gob);
	chromem_encode_doc(&im->gob, doc);
	r = put(im, name, doc->id, err);
	im->out->documents++;
	if (im->req->progress)
		im->req->progress->items++;
	if (r == 0 && ++im->in_batch == SNAP_IMPORT_BATCH)
		r = end_batch(im, err);
	return r;
}

int snap_import(const struct snap_import_request *req, struct snap_import_result *out,
		struct vs_err *err)
{
	struct importing im = {
		.req = req, .out = out, .dirfd = -1, .reader = chromem_reader_new()
	};
	const struct chromem_export_visitor visitor = { &im, on_collection, on_document };
	int r;

	*out = (struct snap_import_result){ 0 };
	r = req->source->visit(req->source->ctx, &visitor, err);
	/* The names of the last collections, too. */
	im.in_batch = 1;
	if (r == 0)
		r = end_batch(&im, err);
	importing_fini(&im);
	return r;
}
