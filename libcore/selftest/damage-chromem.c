/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to chromem stores: files lost, cut, emptied, overwritten, renamed, copied, replaced by
 * what is no file. */

#include "file/file.h"
#include "selftest/selftest-private.h"

#include <unistd.h>

/* The name of a document file that there is not. */
static void free_name(const struct damaged *d, char out[64])
{
	snprintf(out, 64, "fffffff1%s", chromem_extension(d->victim->form));
}

/* ---- document files ---- */

static int document_lost_content(struct damaged *d, struct vs_err *err)
{
	return damage_write(d->fd, d->victim->document, slice_str(""), err);
}

static int zero(struct damaged *d, const char *name, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(d->fd, name, &bytes, err);

	if (r < 0)
		return r;
	if (bytes.len > 0)
		memset(bytes.ptr, 0, bytes.len);
	return damage_write(d->fd, name, buf_slice(&bytes), err);
}

static int document_zeros(struct damaged *d, struct vs_err *err)
{
	return zero(d, d->victim->document, err);
}

static int document_cut(struct damaged *d, struct vs_err *err)
{
	return damage_cut(d->fd, d->victim->document, err);
}

#define GARBAGE "selftest: these bytes are no document and no metadata of anything at all"

static int document_garbage(struct damaged *d, struct vs_err *err)
{
	return damage_write(d->fd, d->victim->document, slice_str(GARBAGE), err);
}

static int document_renamed(struct damaged *d, struct vs_err *err)
{
	char name[64];

	free_name(d, name);
	return file_rename_at(d->fd, d->victim->document, d->fd, name, false, err);
}

static int document_copied(struct damaged *d, struct vs_err *err)
{
	char name[64];

	free_name(d, name);
	return damage_copy(d->fd, d->victim->document, name, err);
}

static int document_directory(struct damaged *d, struct vs_err *err)
{
	char name[64];

	free_name(d, name);
	return file_mkdir_at(d->fd, name, 0700, err);
}

static int document_other_form(struct damaged *d, struct vs_err *err)
{
	char name[64];
	bool is_plain = d->victim->form == CHROMEM_PLAIN;

	snprintf(name, sizeof(name), "%.8s%s", d->victim->document,
		 chromem_extension(is_plain ? CHROMEM_GZIP : CHROMEM_PLAIN));
	return file_rename_at(d->fd, d->victim->document, d->fd, name, false, err);
}

static int temporary(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	char name[80];
	int r = damage_read(d->fd, d->victim->document, &bytes, err);

	snprintf(name, sizeof(name), "%.60s.tmp", d->victim->document);
	if (r == 0)
		r = damage_write(d->fd, name, slice_of(bytes.ptr, bytes.len / 2), err);
	/* A young one may belong to somebody who is writing. */
	return r < 0 ? r : file_set_times_at(d->fd, name, INT64_C(1577836800000000000), err);
}

/* ---- metadata ---- */

static int metadata_lost(struct damaged *d, struct vs_err *err)
{
	return file_unlink_at(d->fd, d->victim->metadata, err);
}

static int metadata_empty(struct damaged *d, struct vs_err *err)
{
	return damage_write(d->fd, d->victim->metadata, slice_str(""), err);
}

static int metadata_zeros(struct damaged *d, struct vs_err *err)
{
	return zero(d, d->victim->metadata, err);
}

static int metadata_cut(struct damaged *d, struct vs_err *err)
{
	return damage_cut(d->fd, d->victim->metadata, err);
}

static int metadata_garbage(struct damaged *d, struct vs_err *err)
{
	return damage_write(d->fd, d->victim->metadata, slice_str(GARBAGE), err);
}

static int metadata_document(struct damaged *d, struct vs_err *err)
{
	return damage_copy(d->fd, d->victim->document, d->victim->metadata, err);
}

static int write_name(struct damaged *d, const char *name, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r;

	chromem_encode_meta(&gob, slice_str(name), NULL, 0);
	r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, d->victim->metadata, buf_slice(&bytes), err);
}

static int metadata_no_name(struct damaged *d, struct vs_err *err)
{
	return write_name(d, "", err);
}

static int metadata_other_name(struct damaged *d, struct vs_err *err)
{
	return write_name(d, "selftest of another collection", err);
}

/* ---- what is no file, and what cannot be read ---- */

static int put_link(struct damaged *d, const char *target, const char *name, struct vs_err *err)
{
	int r = file_unlink_at(d->fd, name, err);

	return r < 0 ? r : file_symlink_at(d->fd, target, name, err);
}

static int put_pipe(struct damaged *d, const char *name, struct vs_err *err)
{
	int r = file_unlink_at(d->fd, name, err);

	return r < 0 ? r : file_mkfifo_at(d->fd, name, 0600, err);
}

static int document_pipe(struct damaged *d, struct vs_err *err)
{
	return put_pipe(d, d->victim->document, err);
}

static int document_dangling(struct damaged *d, struct vs_err *err)
{
	return put_link(d, "gone", d->victim->document, err);
}

static int document_link(struct damaged *d, struct vs_err *err)
{
	int r = file_rename_at(d->fd, d->victim->document, d->fd, "moved.txt", false, err);

	return r < 0 ? r : file_symlink_at(d->fd, "moved.txt", d->victim->document, err);
}

static int metadata_pipe(struct damaged *d, struct vs_err *err)
{
	return put_pipe(d, d->victim->metadata, err);
}

static int metadata_dangling(struct damaged *d, struct vs_err *err)
{
	return put_link(d, "gone", d->victim->metadata, err);
}

static int grow(struct damaged *d, const char *name, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r = file_append_at(d->fd, name, 0600, &fd, err);

	return r < 0 ? r : file_truncate(fd, CHROMEM_FILE_MAX + 1, err);
}

static int document_large(struct damaged *d, struct vs_err *err)
{
	return grow(d, d->victim->document, err);
}

static int metadata_large(struct damaged *d, struct vs_err *err)
{
	return grow(d, d->victim->metadata, err);
}

static int lock_away(struct damaged *d, int dirfd, const char *name, struct vs_err *err)
{
	if (geteuid() == 0)
		return cannot(d, "no mode stops the superuser");
	return file_chmod_at(dirfd, name, 0, err);
}

static int document_unreadable(struct damaged *d, struct vs_err *err)
{
	return lock_away(d, d->fd, d->victim->document, err);
}

static int metadata_unreadable(struct damaged *d, struct vs_err *err)
{
	return lock_away(d, d->fd, d->victim->metadata, err);
}

static int collection_unreadable(struct damaged *d, struct vs_err *err)
{
	return lock_away(d, d->dirfd, d->victim->dir, err);
}

static int read_only(struct damaged *d, struct vs_err *err)
{
	return file_chmod_at(d->fd, d->victim->document, 0400, err);
}

static int document_metadata(struct damaged *d, struct vs_err *err)
{
	char name[64];

	free_name(d, name);
	return damage_copy(d->fd, d->victim->metadata, name, err);
}

/* ---- the bytes of metadata ---- */

/* The metadata of the collection as they are to be, with a pair or without, and changed where
 * @wanted is. */
static int write_gob(struct damaged *d, bool has_pair, const char *wanted,
		     void (*change)(struct buf *gob, size_t at), struct vs_err *err)
{
	const struct chromem_pair pair = { slice_str("owner"), slice_str("the harbour office") };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta;
	const unsigned char *found;
	int r = chromem_reader_meta(d->reader, d->fd, d->victim->metadata, &meta, &fault, err);

	if (r != 0)
		return r < 0 ? r : cannot(d, fault.detail);
	chromem_encode_meta(&gob, meta.name, &pair, has_pair ? 1 : 0);
	found = memmem(gob.ptr, gob.len, wanted, strlen(wanted));
	if (!found)
		return cannot(d, "the metadata have nothing of the kind");
	change(&gob, (size_t)(found - gob.ptr));
	r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, d->victim->metadata, buf_slice(&bytes), err);
}

static void flip_third(struct buf *gob, size_t at)
{
	gob->ptr[at + 3] ^= 1;
}

static void add_bytes(struct buf *gob, size_t at)
{
	(void)at;
	buf_append_str(gob, "xyz");
}

static void zero_from(struct buf *gob, size_t at)
{
	memset(gob->ptr + at - 2, 0, gob->len - at + 2);
}

static int metadata_field(struct damaged *d, struct vs_err *err)
{
	return write_gob(d, true, "\bMetadata", flip_third, err);
}

static int metadata_type_renamed(struct damaged *d, struct vs_err *err)
{
	return write_gob(d, true, "map[string]string", flip_third, err);
}

static int metadata_appended(struct damaged *d, struct vs_err *err)
{
	return write_gob(d, false, "", add_bytes, err);
}

static int metadata_zero_tail(struct damaged *d, struct vs_err *err)
{
	return write_gob(d, true, "owner", zero_from, err);
}

static int metadata_length(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = chromem_pack(d->victim->form, slice_str("\xf0 is not the length of anything"),
			     &bytes, err);

	return r < 0 ? r : damage_write(d->fd, d->victim->metadata, buf_slice(&bytes), err);
}

static int metadata_name_bit(struct damaged *d, struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta;
	cleanup_(vs_freep) char *name = NULL;
	int r = chromem_reader_meta(d->reader, d->fd, d->victim->metadata, &meta, &fault, err);

	if (r != 0)
		return r < 0 ? r : cannot(d, fault.detail);
	if (meta.name.len > CHROMEM_ORIGINAL_MAX)
		return cannot(d, "the name of the collection is too long");
	name = vs_strndup(meta.name);
	name[meta.name.len - 1] ^= 1;
	return write_name(d, name, err);
}

static int metadata_other_form(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta;
	int r = chromem_reader_meta(d->reader, d->fd, d->victim->metadata, &meta, &fault, err);

	if (r != 0)
		return r < 0 ? r : cannot(d, fault.detail);
	chromem_encode_meta(&gob, meta.name, meta.metadata, meta.metadata_count);
	r = chromem_pack(d->victim->form == CHROMEM_PLAIN ? CHROMEM_GZIP : CHROMEM_PLAIN,
			 buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, d->victim->metadata, buf_slice(&bytes), err);
}

/* ---- files that do not belong there, or are anybody's ---- */

static int stray_file(struct damaged *d, struct vs_err *err)
{
	return damage_write(d->fd, "notes.txt", slice_str("left here by hand\n"), err);
}

static int world_writable(struct damaged *d, struct vs_err *err)
{
	return file_chmod_at(d->fd, d->victim->document, 0666, err);
}

#define DOC "chromem-document-"
#define META "chromem-metadata-"
#define COLL "chromem-collection-"

const struct damage_class selftest_chromem_classes[] = {
	{ "metadata-lost", "the metadata file of a collection removed", META "missing",
	  .fn = metadata_lost },
	{ "metadata-empty", "the metadata file emptied", META "empty", .fn = metadata_empty },
	{ "metadata-zeros", "the metadata file filled with zeros", META "zero-filled",
	  .fn = metadata_zeros },
	{ "metadata-cut", "the metadata file cut in half", META "truncated " META "undecodable",
	  .fn = metadata_cut },
	{ "metadata-garbage", "the metadata file overwritten", META "undecodable " META "truncated",
	  .fn = metadata_garbage },
	{ "metadata-document", "a document in place of the metadata", META "is-document",
	  .fn = metadata_document },
	{ "metadata-no-name", "metadata without a name", META "no-name", .fn = metadata_no_name },
	{ "metadata-other-name", "metadata with the name of another collection",
	  COLL "other-name " COLL "misnamed " COLL "name-damaged", .fn = metadata_other_name },
	{ "metadata-length", "an impossible length in the metadata", META "undecodable",
	  .fn = metadata_length },
	{ "metadata-name-bit", "one bit of the name of a collection", COLL "name-damaged",
	  .fn = metadata_name_bit },
	{ "metadata-field", "one bit of a field's name in the metadata", META "field-damaged",
	  .fn = metadata_field },
	{ "metadata-foreign", "a type named as another program does", META "foreign-encoding",
	  .fn = metadata_type_renamed },
	{ "metadata-leftover", "bytes behind the end of the metadata", META "leftover-bytes",
	  .fn = metadata_appended },
	{ "metadata-zero-tail", "zeros at the end of the metadata", META "zero-tail",
	  .fn = metadata_zero_tail },
	{ "metadata-form-inside", "metadata of the other compression setting", META "form-mismatch",
	  .fn = metadata_other_form },
	{ "metadata-pipe", "a pipe in place of the metadata", META "not-a-file",
	  .fn = metadata_pipe },
	{ "metadata-dangling", "a link to nothing in place of the metadata",
	  META "symlink-dangling", .fn = metadata_dangling },
	{ "metadata-large", "a metadata file larger than is read", META "too-large",
	  .fn = metadata_large },
	{ "metadata-unreadable", "metadata that may not be read", META "unreadable",
	  .fn = metadata_unreadable },
	{ "document-empty", "a document emptied", DOC "empty", .fn = document_lost_content },
	{ "document-zeros", "a document filled with zeros", DOC "zero-filled",
	  .fn = document_zeros },
	{ "document-cut", "a document cut in half", DOC "truncated " DOC "gzip-truncated",
	  .fn = document_cut },
	{ "document-garbage", "a document overwritten",
	  DOC "gob " DOC "shape " DOC "truncated " DOC "gzip-corrupt", .fn = document_garbage },
	{ "document-renamed", "a document under the name of another", DOC "misnamed",
	  .fn = document_renamed },
	{ "document-copied", "a copy of a document beside it",
	  DOC "duplicate-copy " DOC "duplicate-id", .fn = document_copied },
	{ "document-directory", "a directory named like a document", DOC "is-directory",
	  .fn = document_directory },
	{ "document-other-form", "a document named as under the other compression setting",
	  DOC "form-mismatch " COLL "mixed-forms", .fn = document_other_form },
	{ "document-metadata", "a copy of the metadata under the name of a document",
	  DOC "is-metadata", .fn = document_metadata },
	{ "document-pipe", "a pipe in place of a document", DOC "not-a-file", .fn = document_pipe },
	{ "document-link", "a link in place of a document", DOC "symlink", .fn = document_link },
	{ "document-dangling", "a link to nothing in place of a document", DOC "symlink-dangling",
	  .fn = document_dangling },
	{ "document-large", "a document larger than is read", DOC "too-large",
	  .fn = document_large },
	{ "document-unreadable", "a document that may not be read", DOC "unreadable",
	  .fn = document_unreadable },
	{ "read-only", "a document that its owner may not change", "chromem-mode-read-only",
	  .fn = read_only },
	{ "temporary", "a half written temporary file", "chromem-leftover-temporary",
	  .fn = temporary },
	{ "stray-file", "a file of somebody else's", "chromem-stray-file", .fn = stray_file },
	{ "world-writable", "a document that everybody may change", "chromem-mode-world-writable",
	  .fn = world_writable },
	{ "collection-unreadable", "a collection that may not be listed", COLL "unreadable",
	  .fn = collection_unreadable },
	{ .name = NULL },
};
