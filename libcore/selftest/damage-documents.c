/* SPDX-License-Identifier: Apache-2.0 */

/* Documents written again, with values that should not be, or with bytes of their encoding changed;
 * and what only compressed ones can suffer. */

#include "file/file.h"
#include "selftest/selftest-private.h"

#include <math.h>

#define FREE_STEM "fffffff1" /* of a document file that there is not */

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

static int load_named(struct damaged *d, const char *name, struct changed_doc *c,
		      struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	int r = chromem_reader_doc(d->reader, d->fd, name, &c->doc, &fault, err);

	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: %s", name, fault.detail);
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

static int load(struct damaged *d, struct changed_doc *c, struct vs_err *err)
{
	return load_named(d, d->victim->document, c, err);
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

static int same_id_other_text(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	char name[64];
	int r = load(d, &c, err);

	snprintf(name, sizeof(name), FREE_STEM "%s", chromem_extension(d->victim->form));
	c.doc.content = slice_str("another text under the same id");
	return r < 0 ? r : save_as(d, &c, name, err);
}

/* ---- bytes of the encoding ---- */

/* Change the encoded document before it is packed; returns false where it has no such bytes. */
typedef bool change_fn(struct buf *gob, struct damaged *d);

static bool find_bytes(const struct buf *gob, struct slice wanted, size_t *at)
{
	const unsigned char *found = memmem(gob->ptr, gob->len, wanted.ptr, wanted.len);

	*at = found ? (size_t)(found - gob->ptr) : 0;
	return found != NULL;
}

static int change_gob(struct damaged *d, const char *name, change_fn *change, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = load_named(d, name, &c, err);

	if (r < 0)
		return r;
	chromem_encode_doc(&gob, &c.doc);
	if (!change(&gob, d))
		return cannot(d, "the document has nothing of the kind");
	r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, name, buf_slice(&bytes), err);
}

static bool flip_field(struct buf *gob, struct damaged *d)
{
	size_t at;

	(void)d;
	if (!find_bytes(gob, slice_str("\aContent"), &at))
		return false;
	gob->ptr[at + 4] ^= 1;
	return true;
}

/* A string becomes an integer: name, a step, and 6 for strings as gob writes it. */
static bool change_type(struct buf *gob, struct damaged *d)
{
	size_t at;

	(void)d;
	if (!find_bytes(gob, slice_str("\002ID\001\f"), &at))
		return false;
	gob->ptr[at + 4] = 4;
	return true;
}

static bool break_length(struct buf *gob, struct damaged *d)
{
	(void)d;
	gob->ptr[0] = 0xf0;
	return true;
}

static bool rename_type(struct buf *gob, struct damaged *d)
{
	size_t at;

	(void)d;
	if (!find_bytes(gob, slice_str("[]float32"), &at))
		return false;
	gob->ptr[at + 2] ^= 1;
	return true;
}

static bool append(struct buf *gob, struct damaged *d)
{
	(void)d;
	buf_append_str(gob, "xyz");
	return true;
}

/*
 * A value of the vector whose double has bits that no float32 has. Its bytes are written from the
 * lowest that is not zero on, behind a count of them that is negative: 0xfb is five.
 */
static bool add_low_bits(struct buf *gob, struct damaged *d)
{
	struct chromem_fault fault = { 0 };
	struct vs_err ignored = { 0 };
	struct chromem_doc doc;

	if (chromem_decode_doc(d->reader, buf_slice(gob), &doc, &fault, &ignored) != 0)
		return false;
	for (size_t at = doc.embedding_off; at + 1 < gob->len; at++) {
		if (gob->ptr[at] != 0xfb)
			continue;
		gob->ptr[at + 1] ^= 4;
		return true;
	}
	return false;
}

static int field_damaged(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, flip_field, err);
}

static int type_changed(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, change_type, err);
}

static int length_broken(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, break_length, err);
}

static int type_renamed(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, rename_type, err);
}

static int bytes_appended(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, append, err);
}

static int low_bits(struct damaged *d, struct vs_err *err)
{
	return change_gob(d, d->victim->document, add_low_bits, err);
}

/* The content under a name that says it is of the other setting. */
static int other_form_inside(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = load(d, &c, err);

	if (r < 0)
		return r;
	chromem_encode_doc(&gob, &c.doc);
	r = chromem_pack(d->victim->form == CHROMEM_PLAIN ? CHROMEM_GZIP : CHROMEM_PLAIN,
			 buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, d->victim->document, buf_slice(&bytes), err);
}

/* ---- all documents of a collection ---- */

static int each_document(struct damaged *d,
			 int (*change)(struct damaged *d, const char *name, struct vs_err *err),
			 struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int r = chromem_list_load(&list, d->fd, NULL, d->victim->form, err);

	for (size_t i = 0; r == 0 && i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (entry.type == FILE_REGULAR && entry.entry_class == CHROMEM_ENTRY_DOCUMENT)
			r = change(d, entry.name, err);
	}
	return r;
}

static int lower_bits(struct damaged *d, const char *name, struct vs_err *err)
{
	return change_gob(d, name, add_low_bits, err);
}

static int lengthen(struct damaged *d, const char *name, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load_named(d, name, &c, err);

	for (size_t i = 0; r == 0 && i < c.doc.dimension; i++)
		c.values[i] *= 2;
	return r < 0 ? r : save_as(d, &c, name, err);
}

static int drop_vector(struct damaged *d, const char *name, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load_named(d, name, &c, err);

	c.doc.dimension = 0;
	return r < 0 ? r : save_as(d, &c, name, err);
}

static int all_low_bits(struct damaged *d, struct vs_err *err)
{
	return each_document(d, lower_bits, err);
}

static int all_long(struct damaged *d, struct vs_err *err)
{
	return each_document(d, lengthen, err);
}

static int all_lost(struct damaged *d, struct vs_err *err)
{
	return each_document(d, drop_vector, err);
}

/* ---- ids that collide ---- */

/* Two ids of one hash, and one that hashes to the name of the metadata file. */
#define TWIN_A "01e31a31-76a3-4f52-97ad-b119158ddddc"
#define TWIN_B "43a3e2c4-3663-4e84-a2e7-70c940b053d9"
#define SHADOW "doc_1769074240109487073_3"

static int add_id(struct damaged *d, const char *id, const char *stem, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	char hash[CHROMEM_ID_LEN + 1], name[64];
	int r = load(d, &c, err);

	chromem_hash_format(chromem_hash(slice_str(id)), hash);
	snprintf(name, sizeof(name), "%s%s", stem ? stem : hash,
		 chromem_extension(d->victim->form));
	c.doc.id = slice_str(id);
	return r < 0 ? r : save_as(d, &c, name, err);
}

static int name_taken(struct damaged *d, struct vs_err *err)
{
	int r = add_id(d, TWIN_A, NULL, err);

	return r < 0 ? r : add_id(d, TWIN_B, FREE_STEM, err);
}

static int shadows_metadata(struct damaged *d, struct vs_err *err)
{
	return add_id(d, SHADOW, FREE_STEM, err);
}

/* ---- texts ---- */

/* The highest bit of a letter in the middle. */
static int text_bit(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	int r = load(d, &c, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c.content.len; i++)
		if ((c.content.ptr[i] | 0x20) < 'a' || (c.content.ptr[i] | 0x20) > 'z')
			return cannot(d, "the text of the document is not of plain letters");
		else if (i >= c.content.len / 2 || c.content.ptr[i + 1] == ' ') {
			c.content.ptr[i] |= 0x80;
			c.doc.content = buf_slice(&c.content);
			return save(d, &c, err);
		}
	return cannot(d, "the document has no text");
}

/* ---- gzip ---- */

static int change_end(struct damaged *d, size_t cut, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(d->fd, d->victim->document, &bytes, err);

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

/* A byte in the middle of what is packed. */
static int gzip_data(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(d->fd, d->victim->document, &bytes, err);

	if (r < 0 || bytes.len < 64)
		return r < 0 ? r : cannot(d, "the document is too short");
	memset(bytes.ptr + 12, 0xff, 24);
	return damage_write(d->fd, d->victim->document, buf_slice(&bytes), err);
}

static int gzip_cut(struct damaged *d, struct vs_err *err)
{
	return damage_cut(d->fd, d->victim->document, err);
}

static int gzip_metadata(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(d->fd, d->victim->metadata, &bytes, err);

	if (r < 0 || bytes.len < 32)
		return r < 0 ? r : cannot(d, "the metadata file is too short");
	bytes.ptr[bytes.len - 7] ^= 8;
	return damage_write(d->fd, d->victim->metadata, buf_slice(&bytes), err);
}

#define DOC "chromem-document-"
#define META "chromem-metadata-"
#define EMB "chromem-embedding-"

const struct damage_class selftest_document_classes[] = {
	{ "document-twice", "two documents with one id", DOC "duplicate-id " DOC "duplicate-copy",
	  same_id_other_text, NULL },
	{ "document-no-id", "a document without an id", DOC "no-id", id_empty, NULL },
	{ "document-id-bit", "one bit of an id",
	  DOC "id-damaged " DOC "misnamed " DOC "duplicate-id", id_bit, NULL },
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
	{ "document-field", "one bit of a field's name", DOC "field-damaged", field_damaged, NULL },
	{ "document-type", "another type of a field", DOC "shape", type_changed, NULL },
	{ "document-length", "an impossible length", DOC "gob", length_broken, NULL },
	{ "document-foreign", "a type named as another program does", DOC "foreign-encoding",
	  type_renamed, NULL },
	{ "document-leftover", "bytes behind the end of a document", DOC "leftover-bytes",
	  bytes_appended, NULL },
	{ "document-form-inside", "a content of the other compression setting", DOC "form-mismatch",
	  other_form_inside, NULL },
	{ "document-name-taken", "two ids of one hash", DOC "name-taken", name_taken, NULL },
	{ "document-shadow", "an id that hashes to the name of the metadata file",
	  DOC "shadows-metadata", shadows_metadata, NULL },
	{ "text-bit", "one bit of a letter in a text", DOC "text-damaged " DOC "text-invalid",
	  text_bit, NULL },
	{ "vector-low-bits", "a value that no float32 has", EMB "precision " DOC "float-inexact",
	  low_bits, NULL },
	{ "vectors-low-bits", "such a value in each document of a collection", EMB "precision",
	  all_low_bits, NULL },
	{ "vectors-long", "all vectors of a collection twice as long", EMB "unnormalised", all_long,
	  NULL },
	{ "vectors-lost", "all vectors of a collection lost", EMB "none", all_lost, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct damage_class selftest_packed_classes[] = {
	{ "document-checksum", "a gzip checksum that does not fit", DOC "checksum", gzip_checksum,
	  NULL },
	{ "document-trailer", "a gzip trailer cut off", DOC "gzip-trailer", gzip_trailer, NULL },
	{ "document-packed-data", "packed data overwritten", DOC "gzip-corrupt", gzip_data, NULL },
	{ "document-packed-cut", "packed data cut in half", DOC "gzip-truncated", gzip_cut, NULL },
	{ "metadata-checksum", "a gzip checksum of metadata that does not fit", META "checksum",
	  gzip_metadata, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
