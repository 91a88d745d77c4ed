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

/* What is done to the document itself, and what to its encoding. */
enum way {
	VALUE_NAN,
	VALUE_INFINITE,
	VECTOR_ZERO,
	VECTOR_LONG,
	VECTOR_LOST,
	VECTOR_LONGER, /* by one value */
	ID_EMPTY,
	ID_BIT,
	TEXT_INVALID,
	TEXT_ZEROS,
	TEXT_BIT,
	BYTE_FIELD,
	BYTE_TYPE,
	BYTE_LENGTH,
	BYTE_TYPE_NAME,
	BYTES_APPENDED,
	LOW_BITS,
	OTHER_FORM, /* under a name that says it is of the other setting */
};

static int change_vector(struct damaged *d, struct changed_doc *c, enum way way)
{
	if (c->doc.dimension == 0)
		return cannot(d, "the document has no vector");
	if (way == VALUE_NAN)
		c->values[0] = NAN;
	else if (way == VALUE_INFINITE)
		c->values[0] = INFINITY;
	for (size_t i = 0; i < c->doc.dimension && (way == VECTOR_ZERO || way == VECTOR_LONG); i++)
		c->values[i] *= way == VECTOR_ZERO ? 0 : 3;
	if (way == VECTOR_LOST)
		c->doc.dimension = 0;
	return 0;
}

/* The highest bit of a letter in the middle. */
static int change_letter(struct damaged *d, struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		if ((text->ptr[i] | 0x20) < 'a' || (text->ptr[i] | 0x20) > 'z')
			return cannot(d, "the text of the document is not of plain letters");
		if (i >= text->len / 2 || text->ptr[i + 1] == ' ') {
			text->ptr[i] |= 0x80;
			return 0;
		}
	}
	return cannot(d, "the document has no text");
}

static int change_text(struct damaged *d, struct changed_doc *c, enum way way)
{
	struct buf *text = &c->content;

	c->doc.content = buf_slice(text);
	if (way == TEXT_BIT)
		return change_letter(d, text);
	if (text->len < (way == TEXT_ZEROS ? 32 : 1))
		return cannot(d, "the text of the document is too short");
	if (way == TEXT_INVALID)
		text->ptr[text->len / 2] = 0xff;
	else
		memset(text->ptr + text->len - 16, 0, 16);
	return 0;
}

static int change_doc(struct damaged *d, struct changed_doc *c, enum way way)
{
	if (way <= VECTOR_LOST)
		return change_vector(d, c, way);
	if (way == VECTOR_LONGER)
		c->doc.dimension++;
	if (way == ID_EMPTY)
		c->doc.id = slice_str("");
	if (way == ID_BIT) {
		c->id.ptr[c->id.len - 1] ^= 16;
		c->doc.id = buf_slice(&c->id);
	}
	return way >= TEXT_INVALID && way <= TEXT_BIT ? change_text(d, c, way) : 0;
}

/* A byte of the encoding that is found by what stands there. */
static const struct {
	const char *wanted;
	size_t off; /* from there */
	unsigned char value;
} gob_bytes[] = {
	[BYTE_FIELD] = { "\aContent", 4, 'u' },
	/* A string becomes an integer: name, a step, and 6 for strings as gob writes it. */
	[BYTE_TYPE] = { "\002ID\001\f", 4, 4 },
	[BYTE_LENGTH] = { "", 0, 0xf0 },
	[BYTE_TYPE_NAME] = { "[]float32", 2, 'g' },
};

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

/* Change the encoded document before it is packed. False: it has no such bytes. */
static bool change_gob(struct damaged *d, struct buf *gob, enum way way)
{
	unsigned char *found;

	if (way == BYTES_APPENDED)
		buf_append_str(gob, "xyz");
	if (way == LOW_BITS)
		return add_low_bits(gob, d);
	if (way < BYTE_FIELD || way > BYTE_TYPE_NAME)
		return true;
	found = memmem(gob->ptr, gob->len, gob_bytes[way].wanted, strlen(gob_bytes[way].wanted));
	if (found)
		found[gob_bytes[way].off] = gob_bytes[way].value;
	return found != NULL;
}

static int rewrite_named(struct damaged *d, const char *name, struct vs_err *err)
{
	enum chromem_compression form = d->victim->form;
	enum chromem_compression other = form == CHROMEM_PLAIN ? CHROMEM_GZIP : CHROMEM_PLAIN;
	enum way way = (enum way)d->class->way;
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = load_named(d, name, &c, err);

	if (r == 0)
		r = change_doc(d, &c, way);
	if (r != 0)
		return r;
	chromem_encode_doc(&gob, &c.doc);
	if (!change_gob(d, &gob, way))
		return cannot(d, "the document has nothing of the kind");
	r = chromem_pack(way == OTHER_FORM ? other : form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(d->fd, name, buf_slice(&bytes), err);
}

static int rewrite(struct damaged *d, struct vs_err *err)
{
	return rewrite_named(d, d->victim->document, err);
}

/* Every document of the collection that has what is to be changed. */
static int rewrite_all(struct damaged *d, struct vs_err *err)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int r = chromem_list_load(&list, d->fd, NULL, d->victim->form, err);
	bool has_changed = false;

	for (size_t i = 0; r >= 0 && i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (entry.type != FILE_REGULAR || entry.entry_class != CHROMEM_ENTRY_DOCUMENT)
			continue;
		r = rewrite_named(d, entry.name, err);
		has_changed |= r == 0;
	}
	return r < 0 ? r : has_changed ? 0 : 1;
}

/* ---- documents beside it ---- */

static int same_id_other_text(struct damaged *d, struct vs_err *err)
{
	cleanup_(changed_doc_fini) struct changed_doc c = { 0 };
	char name[64];
	int r = load_named(d, d->victim->document, &c, err);

	snprintf(name, sizeof(name), FREE_STEM "%s", chromem_extension(d->victim->form));
	c.doc.content = slice_str("another text under the same id");
	return r < 0 ? r : save_as(d, &c, name, err);
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
	int r = load_named(d, d->victim->document, &c, err);

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

/* ---- gzip ---- */

/* The checksum; the whole trailer with it where that is cut off. */
static int change_end(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = damage_read(d->fd, d->victim->document, &bytes, err);

	if (r < 0 || bytes.len < 32)
		return r;
	/* One bit only would be a trailer that was hit, and data that are right. */
	bytes.ptr[bytes.len - 8] ^= 0xff;
	bytes.ptr[bytes.len - 6] ^= 0xff;
	bytes.len -= (size_t)d->class->way;
	return damage_write(d->fd, d->victim->document, buf_slice(&bytes), err);
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
	  .fn = same_id_other_text },
	{ "document-no-id", "a document without an id", DOC "no-id", rewrite, .way = ID_EMPTY },
	{ "document-id-bit", "one bit of an id",
	  DOC "id-damaged " DOC "misnamed " DOC "duplicate-id", rewrite, .way = ID_BIT },
	{ "text-invalid", "a byte in a text that no text has",
	  DOC "text-invalid " DOC "text-damaged", rewrite, .way = TEXT_INVALID },
	{ "text-zeros", "zeros at the end of a text", DOC "zero-tail " DOC "text-damaged", rewrite,
	  .way = TEXT_ZEROS },
	{ "vector-nan", "a value that is not a number", EMB "nan", rewrite, .way = VALUE_NAN },
	{ "vector-infinite", "an infinite value", EMB "infinite", rewrite, .way = VALUE_INFINITE },
	{ "vector-zero", "a vector of zeros", EMB "zero", rewrite, .way = VECTOR_ZERO },
	{ "vector-length", "a vector three times as long", EMB "unnormalised " EMB "norm", rewrite,
	  .way = VECTOR_LONG },
	{ "vector-dimension", "a vector with one value more", EMB "dimension", rewrite,
	  .way = VECTOR_LONGER },
	{ "vector-lost", "a document without its vector", EMB "missing " EMB "none", rewrite,
	  .way = VECTOR_LOST },
	{ "document-field", "one bit of a field's name", DOC "field-damaged", rewrite,
	  .way = BYTE_FIELD },
	{ "document-type", "another type of a field", DOC "shape", rewrite, .way = BYTE_TYPE },
	{ "document-length", "an impossible length", DOC "gob", rewrite, .way = BYTE_LENGTH },
	{ "document-foreign", "a type named as another program does", DOC "foreign-encoding",
	  rewrite, .way = BYTE_TYPE_NAME },
	{ "document-leftover", "bytes behind the end of a document", DOC "leftover-bytes", rewrite,
	  .way = BYTES_APPENDED },
	{ "document-form-inside", "a content of the other compression setting", DOC "form-mismatch",
	  rewrite, .way = OTHER_FORM },
	{ "document-name-taken", "two ids of one hash", DOC "name-taken", .fn = name_taken },
	{ "document-shadow", "an id that hashes to the name of the metadata file",
	  DOC "shadows-metadata", .fn = shadows_metadata },
	{ "text-bit", "one bit of a letter in a text", DOC "text-damaged " DOC "text-invalid",
	  rewrite, .way = TEXT_BIT },
	{ "vector-low-bits", "a value that no float32 has", EMB "precision " DOC "float-inexact",
	  rewrite, .way = LOW_BITS },
	{ "vectors-low-bits", "such a value in each document of a collection", EMB "precision",
	  rewrite_all, .way = LOW_BITS },
	{ "vectors-long", "all vectors of a collection three times as long", EMB "unnormalised",
	  rewrite_all, .way = VECTOR_LONG },
	{ "vectors-lost", "all vectors of a collection lost", EMB "none", rewrite_all,
	  .way = VECTOR_LOST },
	{ .name = NULL },
};

const struct damage_class selftest_packed_classes[] = {
	{ "document-checksum", "a gzip checksum that does not fit", DOC "checksum", change_end,
	  .way = 0 },
	{ "document-trailer", "a gzip trailer cut off", DOC "gzip-trailer", change_end, .way = 8 },
	{ "document-packed-data", "packed data overwritten", DOC "gzip-corrupt", .fn = gzip_data },
	{ "document-packed-cut", "packed data cut in half", DOC "gzip-truncated", .fn = gzip_cut },
	{ "metadata-checksum", "a gzip checksum of metadata that does not fit", META "checksum",
	  .fn = gzip_metadata },
	{ .name = NULL },
};
