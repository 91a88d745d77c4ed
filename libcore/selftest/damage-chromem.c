/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to chromem stores: files lost, cut, emptied, overwritten, renamed, copied, and values
 * that should not be. */

#include "file/file.h"
#include "selftest/selftest-private.h"

#include <math.h>

/* ---- a document written again ---- */

struct changed_doc {
	struct chromem_doc doc;
	float *values; /* owned; one more than doc.dimension */
	struct buf content;
	struct buf id;
};

static void changed_doc_fini(struct changed_doc *c)
{
	free(c->values);
	buf_fini(&c->content);
	buf_fini(&c->id);
}

static int load(struct damaged *d, struct changed_doc *c, struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	int r = chromem_reader_doc(d->reader, d->fd, d->victim->document, &c->doc, &fault, err);

	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: %s", d->victim->document, fault.detail);
	if (r < 0)
		return r;
	c->values = vs_alloc_array(c->doc.dimension + 1, sizeof(*c->values));
	if (c->doc.dimension > 0)
		memcpy(c->values, c->doc.embedding, c->doc.dimension * sizeof(*c->values));
	c->doc.embedding = c->values;
	buf_append(&c->content, c->doc.content.ptr, c->doc.content.len);
	buf_append(&c->id, c->doc.id.ptr, c->doc.id.len);
	return 0;
}

static int save_as(struct damaged *d, const struct changed_doc *c, const char *name,
		   struct vs_err *err)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r;

	chromem_encode_doc(&gob, &c->doc);
	r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, name, buf_slice(&bytes), err);
}

static int save(struct damaged *d, const struct changed_doc *c, struct vs_err *err)
{
	return save_as(d, c, d->victim->document, err);
}

static int set_value(struct damaged *d, float value, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r == 0)
		c.values[1] = value;
	return r < 0 ? r : save(d, &c, err);
}

static int vector_nan(struct damaged *d, struct vs_err *err)
{
	return set_value(d, NAN, err);
}

static int vector_infinite(struct damaged *d, struct vs_err *err)
{
	return set_value(d, INFINITY, err);
}

static int scale_vector(struct damaged *d, float scale, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	for (size_t i = 0; r == 0 && i < c.doc.dimension; i++)
		c.values[i] *= scale;
	return r < 0 ? r : save(d, &c, err);
}

static int vector_zero(struct damaged *d, struct vs_err *err)
{
	return scale_vector(d, 0, err);
}

static int vector_long(struct damaged *d, struct vs_err *err)
{
	return scale_vector(d, 3, err);
}

static int set_dimension(struct damaged *d, bool is_none, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r == 0)
		c.doc.dimension = is_none ? 0 : c.doc.dimension + 1;
	return r < 0 ? r : save(d, &c, err);
}

static int vector_dimension(struct damaged *d, struct vs_err *err)
{
	return set_dimension(d, false, err);
}

static int vector_lost(struct damaged *d, struct vs_err *err)
{
	return set_dimension(d, true, err);
}

static int id_empty(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	c.doc.id = slice_str("");
	return r < 0 ? r : save(d, &c, err);
}

static int id_bit(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r < 0)
		return r;
	c.id.ptr[c.id.len - 1] ^= 16;
	c.doc.id = buf_slice(&c.id);
	return save(d, &c, err);
}

static int text_invalid(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r < 0)
		return r;
	if (c.content.len == 0)
		return cannot(d, "the document has no text");
	c.content.ptr[c.content.len / 2] = 0xff;
	c.doc.content = buf_slice(&c.content);
	return save(d, &c, err);
}

static int text_zeros(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r < 0)
		return r;
	if (c.content.len < 32)
		return cannot(d, "the text of the document is shorter than 32 bytes");
	memset(c.content.ptr + c.content.len - 16, 0, 16);
	c.doc.content = buf_slice(&c.content);
	return save(d, &c, err);
}

/* The name of a document file that there is not. */
static void free_name(const struct damaged *d, char out[64])
{
	snprintf(out, 64, "fffffff1%s", chromem_extension(d->victim->form));
}

static int same_id_other_text(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	char name[64];
	int r = load(d, &c, err);

	free_name(d, name);
	c.doc.content = slice_str("another text under the same id");
	return r < 0 ? r : save_as(d, &c, name, err);
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

static int change_end(struct damaged *d, size_t cut, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r;

	if (d->victim->form != CHROMEM_GZIP)
		return cannot(d, "the store is not compressed");
	r = damage_read(d->fd, d->victim->document, &bytes, err);
	if (r < 0 || bytes.len < 32)
		return r;
	/* One bit only would be a trailer that was hit, and data that are right. */
	bytes.ptr[bytes.len - 8] ^= 0xff;
	bytes.ptr[bytes.len - 6] ^= 0xff;
	bytes.len -= cut;
	return damage_write(d->fd, d->victim->document, buf_slice(&bytes), err);
}

static int gzip_checksum(struct damaged *d, struct vs_err *err)
{
	return change_end(d, 0, err);
}

static int gzip_trailer(struct damaged *d, struct vs_err *err)
{
	return change_end(d, 8, err);
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

/* ---- directories ---- */

static int collection_renamed(struct damaged *d, struct vs_err *err)
{
	return file_rename_at(d->dirfd, d->victim->dir, d->dirfd, "fffffff2", false, err);
}

static int collection_copied(struct damaged *d, struct vs_err *err)
{
	char name[300];

	snprintf(name, sizeof(name), "%s.bak", d->victim->dir);
	return sample_copy(d->dirfd, d->victim->dir, name, err);
}

static int collection_empty(struct damaged *d, struct vs_err *err)
{
	return file_mkdir_at(d->dirfd, "fffffff3", 0700, err);
}

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
#define EMB "chromem-embedding-"

const struct damage_class selftest_chromem_classes[] = {
	{ "metadata-lost", "the metadata file of a collection removed", META "missing",
	  metadata_lost, NULL },
	{ "metadata-empty", "the metadata file emptied", META "empty", metadata_empty, NULL },
	{ "metadata-zeros", "the metadata file filled with zeros", META "zero-filled",
	  metadata_zeros, NULL },
	{ "metadata-cut", "the metadata file cut in half", META "truncated " META "undecodable",
	  metadata_cut, NULL },
	{ "metadata-garbage", "the metadata file overwritten", META "undecodable " META "truncated",
	  metadata_garbage, NULL },
	{ "metadata-document", "a document in place of the metadata", META "is-document",
	  metadata_document, NULL },
	{ "metadata-no-name", "metadata without a name", META "no-name", metadata_no_name, NULL },
	{ "metadata-other-name", "metadata with the name of another collection",
	  COLL "other-name " COLL "misnamed " COLL "name-damaged", metadata_other_name, NULL },
	{ "document-empty", "a document emptied", DOC "empty", document_lost_content, NULL },
	{ "document-zeros", "a document filled with zeros", DOC "zero-filled", document_zeros,
	  NULL },
	{ "document-cut", "a document cut in half", DOC "truncated " DOC "gzip-truncated",
	  document_cut, NULL },
	{ "document-garbage", "a document overwritten",
	  DOC "gob " DOC "shape " DOC "truncated " DOC "gzip-corrupt", document_garbage, NULL },
	{ "document-renamed", "a document under the name of another", DOC "misnamed",
	  document_renamed, NULL },
	{ "document-copied", "a copy of a document beside it",
	  DOC "duplicate-copy " DOC "duplicate-id", document_copied, NULL },
	{ "document-twice", "two documents with one id", DOC "duplicate-id " DOC "duplicate-copy",
	  same_id_other_text, NULL },
	{ "document-no-id", "a document without an id", DOC "no-id", id_empty, NULL },
	{ "document-id-bit", "one bit of an id",
	  DOC "id-damaged " DOC "misnamed " DOC "duplicate-id", id_bit, NULL },
	{ "document-directory", "a directory named like a document", DOC "is-directory",
	  document_directory, NULL },
	{ "document-other-form", "a document named as under the other compression setting",
	  DOC "form-mismatch " COLL "mixed-forms", document_other_form, NULL },
	{ "document-checksum", "a gzip checksum that does not fit", DOC "checksum", gzip_checksum,
	  NULL },
	{ "document-trailer", "a gzip trailer cut off", DOC "gzip-trailer", gzip_trailer, NULL },
	{ "text-invalid", "a byte in a text that no text has",
	  DOC "text-invalid " DOC "text-damaged", text_invalid, NULL },
	{ "text-zeros", "zeros at the end of a text", DOC "zero-tail " DOC "text-damaged",
	  text_zeros, NULL },
	{ "vector-nan", "a value that is not a number", EMB "nan", vector_nan, NULL },
	{ "vector-infinite", "an infinite value", EMB "infinite", vector_infinite, NULL },
	{ "vector-zero", "a vector of zeros", EMB "zero", vector_zero, NULL },
	{ "vector-length", "a vector three times as long", EMB "unnormalised " EMB "norm",
	  vector_long, NULL },
	{ "vector-dimension", "a vector with one value more", EMB "dimension", vector_dimension,
	  NULL },
	{ "vector-lost", "a document without its vector", EMB "missing " EMB "none", vector_lost,
	  NULL },
	{ "temporary", "a half written temporary file", "chromem-leftover-temporary", temporary,
	  NULL },
	{ "stray-file", "a file of somebody else's", "chromem-stray-file", stray_file, NULL },
	{ "world-writable", "a document that everybody may change", "chromem-mode-world-writable",
	  world_writable, NULL },
	{ "collection-renamed", "the directory of a collection renamed", COLL "misnamed",
	  collection_renamed, NULL },
	{ "collection-copied", "a copy of a collection beside it",
	  COLL "duplicate-copy " COLL "duplicate-name", collection_copied, NULL },
	{ "collection-empty", "an empty directory", COLL "empty", collection_empty, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
