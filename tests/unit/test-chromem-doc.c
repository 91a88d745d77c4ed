/* SPDX-License-Identifier: Apache-2.0 */

/* Documents and metadata, read: what is in them, what is odd about them, why they are refused. */

#include "chromem/chromem.h"
#include "gob/gob.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <limits.h>
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define GOLDEN "chromem/healthy-example/store/ab5aa970/"

/* ---- files and readers ---- */

static int data_dir(void)
{
	const char *root = getenv("SOURCE_ROOT");
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/tests/data", root ? root : ".");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", path);
	return fd;
}

static struct buf file_bytes(const char *path)
{
	struct buf out = { 0 };
	struct vs_err err = { 0 };
	int dir = data_dir();

	cr_assert_eq(file_read_at(dir, path, FILE_FOLLOW, CHROMEM_FILE_MAX, &out, NULL, &err), 0,
		     "%s", err.text);
	close(dir);
	return out;
}

/* One thing read, by a reader of its own. */
struct reading {
	struct chromem_reader *reader;
	struct chromem_doc doc;
	struct chromem_meta meta;
	struct chromem_fault fault;
	int ret;
};

static void reading_fini(struct reading *r)
{
	chromem_reader_freep(&r->reader);
}

static struct reading read_doc(struct slice bytes)
{
	struct reading r = { .reader = chromem_reader_new() };
	struct vs_err err = { 0 };

	r.ret = chromem_decode_doc(r.reader, bytes, &r.doc, &r.fault, &err);
	cr_assert_geq(r.ret, 0, "%s", err.text);
	return r;
}

static struct reading read_meta(struct slice bytes)
{
	struct reading r = { .reader = chromem_reader_new() };
	struct vs_err err = { 0 };

	r.ret = chromem_decode_meta(r.reader, bytes, &r.meta, &r.fault, &err);
	cr_assert_geq(r.ret, 0, "%s", err.text);
	return r;
}

#define assert_text(slice, want)                                                                   \
	cr_assert(slice_eq_str((slice), (want)), "%.*s", (int)(slice).len,                         \
		  (const char *)(slice).ptr)

/* ---- what the library wrote ---- */

Test(chromem_doc, golden_document)
{
	cleanup_(buf_fini) struct buf bytes = file_bytes(GOLDEN "ea503d89.gob");
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));
	static const float want[] = { 0.6F, -0.8F, 0.0F, -0.0F, 0x1p-149F };

	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	assert_text(r.doc.id, "note-1");
	assert_text(r.doc.content, "Hi \xe2\x98\x95");
	cr_assert_eq(r.doc.metadata_count, 1);
	assert_text(r.doc.metadata[0].key, "lang");
	assert_text(r.doc.metadata[0].value, "en");
	cr_assert(r.doc.has_metadata);
	cr_assert_eq(r.doc.dimension, 5);
	cr_assert_arr_eq(r.doc.embedding, want, sizeof(want));
	cr_assert_eq(r.doc.oddities, 0);
	cr_assert_eq(r.doc.id_off, 0x86);
	cr_assert_eq(r.doc.embedding_off, 0x98);
	cr_assert_eq(r.doc.content_off, 0xac);
	cr_assert_eq(r.doc.facts.unpacked_size, bytes.len);
	cr_assert_eq(r.doc.facts.value_end, bytes.len);
}

Test(chromem_doc, golden_metadata)
{
	cleanup_(buf_fini) struct buf bytes = file_bytes(GOLDEN "00000000.gob");
	cleanup_(reading_fini) struct reading r = read_meta(buf_slice(&bytes));

	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	assert_text(r.meta.name, "notes");
	cr_assert_eq(r.meta.name_off, 0x4a);
	cr_assert_eq(r.meta.metadata_count, 1);
	assert_text(r.meta.metadata[0].key, "owner");
	cr_assert_eq(r.meta.metadata[0].value.len, 0);
	cr_assert_eq(r.meta.oddities, 0);
	cr_assert_not(r.meta.looks_like_document);
}

/* ---- the collection of damages ---- */

enum kind { DOC, META };

static const struct {
	const char *path;
	enum kind kind;
	enum chromem_fault_kind fault;
	uint64_t off; /* of the fault, or of the first oddity */
	uint32_t oddities;
	const char *loader_text;
} fixtures[] = {
	{ "doc-empty-file/store/e9f85bf6/378077b9.gob", DOC, CHROMEM_FAULT_EMPTY, 0, 0,
	  "couldn't read magic number to determine whether the stream is compressed: EOF" },
	{ "doc-zero-filled/store/e9f85bf6/8ac6f77b.gob", DOC, CHROMEM_FAULT_ZEROS, 0, 0,
	  "couldn't decode object: EOF" },
	{ "doc-one-byte/store/9c62d17a/b26b23ee.gob", DOC, CHROMEM_FAULT_TRUNCATED, 1, 0,
	  "couldn't decode object: unexpected EOF" },
	{ "doc-torn-after-types/store/9c62d17a/f68f9289.gob", DOC, CHROMEM_FAULT_TRUNCATED, 129, 0,
	  "couldn't decode object: unexpected EOF" },
	{ "doc-truncated/store/748200f7/116910ae.gob", DOC, CHROMEM_FAULT_TRUNCATED, 132, 0,
	  "couldn't decode object: unexpected EOF" },
	{ "doc-last-byte-missing/store/9c62d17a/2735c852.gob", DOC, CHROMEM_FAULT_TRUNCATED, 132, 0,
	  "couldn't decode object: unexpected EOF" },
	{ "doc-flip-content-length/store/0f11a038/83e6b4a8.gob", DOC, CHROMEM_FAULT_GOB, 986, 0,
	  "couldn't decode object: gob: bad data: field numbers out of bounds" },
	{ "doc-flip-embedding-exponent/store/a1ef3a3d/8b7dd40b.gob", DOC, CHROMEM_FAULT_GOB, 837, 0,
	  "couldn't decode object: value for \"element of Embedding\" out of range" },
	{ "doc-flip-type-id/store/e9f85bf6/148c86fc.gob", DOC, CHROMEM_FAULT_GOB, 72, 0,
	  "couldn't decode object: gob: duplicate type received" },
	{ "doc-flip-type-length/store/748200f7/c5976099.gob", DOC, CHROMEM_FAULT_GOB, 71, 0,
	  "couldn't decode object: extra data in buffer" },
	{ "doc-flip-field-type/store/9c62d17a/464e06a8.gob", DOC, CHROMEM_FAULT_SHAPE, 134, 0,
	  "couldn't decode object: gob: wrong type (string) for received field Document.Content" },
	{ "stray-gob-directory/store/exports/all.gob", DOC, CHROMEM_FAULT_SHAPE, 309, 0,
	  "couldn't decode object: gob: type mismatch: no fields matched compiling decoder for "
	  "Document" },
	{ "doc-flip-embedding-low-bits/store/a1ef3a3d/fdd2ee96.gob", DOC, CHROMEM_FAULT_NONE, 870,
	  CHROMEM_ODD_INEXACT_FLOAT, "" },
	{ "doc-flip-field-name-embedding/store/a1ef3a3d/503dc2a0.gob", DOC, CHROMEM_FAULT_NONE, 44,
	  CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD, "" },
	{ "doc-zero-tail-embedding/store/9c62d17a/039530f2.gob", DOC, CHROMEM_FAULT_NONE, 4092,
	  CHROMEM_ODD_LEFTOVER | CHROMEM_ODD_ZERO_TAIL | CHROMEM_ODD_INEXACT_FLOAT, "" },
	{ "doc-zero-tail-metadata/store/a1ef3a3d/ea9167d6.gob", DOC, CHROMEM_FAULT_NONE, 283,
	  CHROMEM_ODD_LEFTOVER | CHROMEM_ODD_ZERO_TAIL | CHROMEM_ODD_DUPLICATE_KEY, "" },
	{ "doc-is-metadata/store/748200f7/backup-00000000.gob", DOC, CHROMEM_FAULT_NONE, 1,
	  CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD | CHROMEM_ODD_FOREIGN_TYPES, "" },
	{ "gz-crc-wrong/store/e9f85bf6/799bbb23.gob.gz", DOC, CHROMEM_FAULT_NONE, 973,
	  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_CHECKSUM, "" },
	{ "gz-size-wrong/store/1e49c3f5/d8f5f131.gob.gz", DOC, CHROMEM_FAULT_NONE, 979,
	  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_CHECKSUM, "" },
	{ "gz-flip-data/store/e9f85bf6/27e294ad.gob.gz", DOC, CHROMEM_FAULT_NONE, 967,
	  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_CHECKSUM, "" },
	{ "gz-truncated-trailer/store/e9f85bf6/757bf050.gob.gz", DOC, CHROMEM_FAULT_NONE, 1035,
	  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_TRAILER, "" },
	{ "gz-truncated-data/store/9c62d17a/494559a4.gob.gz", DOC, CHROMEM_FAULT_GZIP_TRUNCATED,
	  381, 0, "couldn't decode object: unexpected EOF" },
	{ "gz-deflate-damaged/store/cc02d464/387b9be6.gob.gz", DOC, CHROMEM_FAULT_GZIP_CORRUPT, 11,
	  0, "couldn't decode object: flate: corrupt input before offset 1" },
	{ "gz-header-damaged/store/9c62d17a/6471703e.gob.gz", DOC, CHROMEM_FAULT_GZIP_CORRUPT, 0, 0,
	  "couldn't decode object: gob: encoded unsigned integer out of range" },
	{ "gz-in-plain-store/store/e9f85bf6/d2c638bf.gob", DOC, CHROMEM_FAULT_NONE, 0,
	  CHROMEM_ODD_IS_GZIP, "" },
	{ "meta-empty-file/store/a1ef3a3d/00000000.gob", META, CHROMEM_FAULT_EMPTY, 0, 0,
	  "couldn't read magic number to determine whether the stream is compressed: EOF" },
	{ "meta-zero-filled/store/f546c161/00000000.gob", META, CHROMEM_FAULT_ZEROS, 0, 0,
	  "couldn't decode object: EOF" },
	{ "meta-truncated/store/0f11a038/00000000.gob", META, CHROMEM_FAULT_TRUNCATED, 70, 0,
	  "couldn't decode object: unexpected EOF" },
	{ "meta-flip-field-name/store/0f11a038/00000000.gob", META, CHROMEM_FAULT_NONE, 12,
	  CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD, "" },
	{ "meta-no-name/store/e9f85bf6/00000000.gob", META, CHROMEM_FAULT_NONE, 0, 0, "" },
	{ "meta-is-document/store/748200f7/00000000.gob", META, CHROMEM_FAULT_NONE, 1,
	  CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD | CHROMEM_ODD_FOREIGN_TYPES, "" },
	/* A type with a name of its own; numbers from 65; another order and a field more. */
	{ "healthy-recovered-metadata/store/1e49c3f5/00000000.gob", META, CHROMEM_FAULT_NONE, 1,
	  CHROMEM_ODD_FOREIGN_TYPES, "" },
	{ "healthy-recovered-metadata/store/a1ef3a3d/00000000.gob", META, CHROMEM_FAULT_NONE, 0, 0,
	  "" },
	{ "healthy-recovered-metadata/store/f546c161/00000000.gob", META, CHROMEM_FAULT_NONE, 1,
	  CHROMEM_ODD_FOREIGN_TYPES | CHROMEM_ODD_UNKNOWN_FIELD, "" },
};

Test(chromem_doc, fixtures)
{
	struct chromem_reader *reader = chromem_reader_new();
	int dir = data_dir();

	for (size_t i = 0; i < VS_COUNT(fixtures); i++) {
		struct chromem_fault fault = { 0 };
		struct chromem_meta meta = { 0 };
		struct chromem_doc doc = { 0 };
		struct vs_err err = { 0 };
		char path[256];
		int ret;

		snprintf(path, sizeof(path), "chromem/%s", fixtures[i].path);
		if (fixtures[i].kind == DOC)
			ret = chromem_reader_doc(reader, dir, path, &doc, &fault, &err);
		else
			ret = chromem_reader_meta(reader, dir, path, &meta, &fault, &err);
		cr_expect_eq(ret, fixtures[i].fault == CHROMEM_FAULT_NONE ? 0 : 1, "%s: %s", path,
			     fault.detail);
		cr_expect_eq(fault.kind, fixtures[i].fault, "%s: %u, %s", path, fault.kind,
			     fault.detail);
		cr_expect_str_eq(fault.loader_text, fixtures[i].loader_text, "%s: %s", path,
				 fault.loader_text);
		cr_expect_eq(doc.oddities | meta.oddities, fixtures[i].oddities, "%s: %x", path,
			     doc.oddities | meta.oddities);
		cr_expect_eq(fault.off + doc.odd_off + meta.odd_off, fixtures[i].off,
			     "%s: %" PRIu64, path, fault.off + doc.odd_off + meta.odd_off);
		cr_expect((fault.detail[0] != '\0') == (ret == 1), "%s", path);
	}
	close(dir);
	chromem_reader_freep(&reader);
}

Test(chromem_doc, a_document_in_the_place_of_metadata)
{
	cleanup_(buf_fini) struct buf bytes =
		file_bytes("chromem/meta-overwritten-by-document/store/f546c161/00000000.gob");
	cleanup_(reading_fini) struct reading r = read_meta(buf_slice(&bytes));

	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	cr_assert(r.meta.looks_like_document);
	assert_text(r.meta.document_id, "doc_1769074240109487073_3");
	cr_assert_eq(r.meta.name.len, 0);
	cr_assert(r.meta.has_metadata);
	assert_text(r.meta.unknown_field, "ID");
}

Test(chromem_doc, where_the_zeros_begin)
{
	cleanup_(buf_fini) struct buf bytes =
		file_bytes("chromem/doc-zero-tail-embedding/store/9c62d17a/039530f2.gob");
	cleanup_(buf_fini) struct buf text =
		file_bytes("chromem/doc-zero-tail-content/store/f546c161/f8f7b503.gob");
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));
	cleanup_(reading_fini) struct reading t = { 0 };

	cr_assert_eq(r.doc.facts.zero_tail_off, 4096);
	cr_assert_eq(r.doc.facts.value_end + r.doc.facts.leftover, bytes.len);
	cr_assert_eq(r.doc.content.len, 0);
	t = read_doc(buf_slice(&text));
	cr_assert_eq(t.doc.oddities, CHROMEM_ODD_ZERO_TAIL);
	cr_assert_eq(t.doc.facts.leftover, 0);
	cr_assert_gt(t.doc.facts.zero_tail_off, t.doc.content_off);
}

/* ---- documents of our own ---- */

static const float three[] = { 0.6F, -0.64F, 0.48F };

static struct chromem_doc plain_doc(struct chromem_pair pair[static 1])
{
	*pair = (struct chromem_pair){ slice_str("key"), slice_str("value") };
	return (struct chromem_doc){
		.id = slice_str("one"),
		.content = slice_str("some text"),
		.metadata = pair,
		.metadata_count = 1,
		.has_metadata = true,
		.embedding = three,
		.dimension = VS_COUNT(three),
	};
}

static struct buf encoded(void)
{
	struct buf out = { 0 };
	struct chromem_pair pair;
	struct chromem_doc doc = plain_doc(&pair);

	chromem_encode_doc(&out, &doc);
	return out;
}

/* The definitions of a document and a value of which @put makes the fields. */
static struct buf with_value(void (*put)(struct buf *out))
{
	cleanup_(buf_fini) struct buf whole = encoded();
	struct buf out = { 0 };
	size_t begin;

	/* The value is the fourth message. */
	for (int i = 0; i < 3; i++)
		out.len += 1u + whole.ptr[out.len];
	begin = out.len;
	out.len = 0;
	buf_append(&out, whole.ptr, begin);
	begin = gob_message_begin(&out);
	gob_put_int(&out, 66);
	put(&out);
	gob_message_end(&out, begin);
	return out;
}

static void expect_oddity(void (*put)(struct buf *out), uint32_t oddities)
{
	cleanup_(buf_fini) struct buf bytes = with_value(put);
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));

	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	cr_assert_eq(r.doc.oddities, oddities, "%x", r.doc.oddities);
}

static void put_twice(struct buf *out)
{
	buf_append(out,
		   "\x02\x03\x01k\x01"
		   "a\x01l\x01"
		   "b\x01k\x01"
		   "c\x00",
		   15);
}

static void put_no_end(struct buf *out)
{
	buf_append(out,
		   "\x01\x01"
		   "a",
		   3);
}

static void put_long(struct buf *out)
{
	buf_append(out,
		   "\x01\xff\x01"
		   "a\0",
		   5);
}

static void put_leftover(struct buf *out)
{
	buf_append(out,
		   "\x01\x01"
		   "a\0\0\x05",
		   6);
}

Test(chromem_doc, oddities)
{
	expect_oddity(put_twice, CHROMEM_ODD_DUPLICATE_KEY);
	expect_oddity(put_no_end, CHROMEM_ODD_NO_END);
	expect_oddity(put_long, CHROMEM_ODD_LONG_INTEGER);
	expect_oddity(put_leftover, CHROMEM_ODD_LEFTOVER);
}

Test(chromem_doc, of_two_entries_with_one_key_the_last_counts)
{
	cleanup_(buf_fini) struct buf bytes = with_value(put_twice);
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));

	cr_assert_eq(r.doc.metadata_count, 2);
	assert_text(r.doc.metadata[0].key, "k");
	assert_text(r.doc.metadata[0].value, "c");
	assert_text(r.doc.metadata[1].key, "l");
}

/* 3000 entries, every third a repetition of an earlier one. */
static void put_many(struct buf *out)
{
	char text[32];

	gob_put_uint(out, 2);
	gob_put_uint(out, 3000);
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "key %d", i % 3 == 2 ? i - 2 : i);
		gob_put_string(out, slice_str(text));
		snprintf(text, sizeof(text), "value %d", i);
		gob_put_string(out, slice_str(text));
	}
	buf_append_byte(out, 0);
}

Test(chromem_doc, many_entries)
{
	cleanup_(buf_fini) struct buf bytes = with_value(put_many);
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));
	struct slice value;

	cr_assert_eq(r.doc.metadata_count, 2000);
	cr_assert_eq(r.doc.oddities, CHROMEM_ODD_DUPLICATE_KEY);
	cr_assert(chromem_pairs_find(r.doc.metadata, 2000, "key 300", &value));
	assert_text(value, "value 302");
	cr_assert(chromem_pairs_find(r.doc.metadata, 2000, "key 301", &value));
	assert_text(value, "value 301");
}

Test(chromem_doc, bytes_behind_the_message)
{
	cleanup_(buf_fini) struct buf bytes = encoded();
	cleanup_(reading_fini) struct reading r = { 0 };
	size_t len = bytes.len;

	buf_append(&bytes, "\0\0\0", 3);
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.ret, 0);
	/* The end mark is the first of the zeros. */
	cr_assert_eq(r.doc.oddities, CHROMEM_ODD_TRAILING | CHROMEM_ODD_ZERO_TAIL);
	cr_assert_eq(r.doc.facts.trailing, 3);
	cr_assert_eq(r.doc.facts.zero_tail_off, len - 1);
	reading_fini(&r);
	bytes.ptr[len + 2] = 7;
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.doc.oddities, CHROMEM_ODD_TRAILING);
	cr_assert_eq(r.doc.odd_off, len);
}

/* ---- gzip ---- */

/* A gzip member around @bytes, with @head behind the fixed part of the header. */
static void put_member(struct buf *out, struct slice bytes, unsigned flags, struct slice head)
{
	struct libdeflate_compressor *deflater = libdeflate_alloc_compressor(6);
	size_t bound = libdeflate_deflate_compress_bound(deflater, bytes.len);
	unsigned char *packed = vs_alloc(bound);
	uint32_t crc = libdeflate_crc32(0, bytes.ptr, bytes.len);
	unsigned char trailer[8];
	size_t len;

	buf_append(out, "\x1f\x8b\x08", 3);
	buf_append_byte(out, (unsigned char)flags);
	buf_append(out, "\0\0\0\0\0\xff", 6);
	buf_append(out, head.ptr, head.len);
	len = libdeflate_deflate_compress(deflater, bytes.ptr, bytes.len, packed, bound);
	cr_assert_gt(len, 0);
	buf_append(out, packed, len);
	for (unsigned i = 0; i < 4; i++) {
		trailer[i] = (unsigned char)(crc >> (8 * i));
		trailer[4 + i] = (unsigned char)(bytes.len >> (8 * i));
	}
	buf_append(out, trailer, sizeof(trailer));
	free(packed);
	libdeflate_free_compressor(deflater);
}

static void expect_header(unsigned flags, struct slice head, const char *loader_text)
{
	cleanup_(buf_fini) struct buf plain = encoded();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(reading_fini) struct reading r = { 0 };

	put_member(&bytes, buf_slice(&plain), flags, head);
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.ret, loader_text ? 1 : 0, "%s", r.fault.detail);
	if (loader_text) {
		cr_assert_str_eq(r.fault.loader_text, loader_text);
		return;
	}
	assert_text(r.doc.content, "some text");
	cr_assert_eq(r.doc.oddities, CHROMEM_ODD_IS_GZIP);
}

Test(chromem_gzip, headers)
{
	static const char bad[] = "couldn't create gzip reader: gzip: invalid header";
	unsigned char name[600];
	unsigned char crc_header[12] = { 0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0xff };
	uint32_t crc = libdeflate_crc32(0, crc_header, 10);

	memset(name, 'n', sizeof(name));
	expect_header(0, slice_str(""), NULL);
	expect_header(0xe1, slice_str(""), NULL); /* flags without a meaning, and text */
	expect_header(4, slice_of("\3\0abc", 5), NULL);
	expect_header(8, slice_of("name\0", 5), NULL);
	expect_header(0x18, slice_of("\0comment\0", 9), NULL);
	/* The library reads at most 511 characters of a name. */
	name[511] = 0;
	expect_header(8, slice_of(name, 512), NULL);
	name[511] = 'n';
	name[512] = 0;
	expect_header(8, slice_of(name, 513), bad);
	name[0] = (unsigned char)crc;
	name[1] = (unsigned char)(crc >> 8);
	expect_header(2, slice_of(name, 2), NULL);
	name[1] ^= 1;
	expect_header(2, slice_of(name, 2), bad);
}

Test(chromem_gzip, members_are_one)
{
	cleanup_(buf_fini) struct buf plain = encoded();

	for (size_t cut = 0; cut <= plain.len; cut++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		cleanup_(reading_fini) struct reading r = { 0 };

		put_member(&bytes, slice_of(plain.ptr, cut), 0, slice_str(""));
		put_member(&bytes, slice_of(plain.ptr + cut, plain.len - cut), 0, slice_str(""));
		r = read_doc(buf_slice(&bytes));
		cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
		assert_text(r.doc.content, "some text");
		cr_assert_eq(r.doc.oddities, CHROMEM_ODD_IS_GZIP);
	}
}

static uint32_t gzip_oddities(const struct buf *bytes)
{
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(bytes));

	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	assert_text(r.doc.content, "some text");
	return r.doc.oddities & ~(uint32_t)CHROMEM_ODD_IS_GZIP;
}

Test(chromem_gzip, what_is_behind_the_value_is_not_needed)
{
	cleanup_(buf_fini) struct buf plain = encoded();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	size_t len;

	put_member(&bytes, buf_slice(&plain), 0, slice_str(""));
	len = bytes.len;
	for (bytes.len = len - 1; bytes.len >= len - 8; bytes.len--)
		cr_assert_eq(gzip_oddities(&bytes), CHROMEM_ODD_GZIP_TRAILER);
	bytes.len = len;
	buf_append(&bytes, "\0", 1);
	cr_assert_eq(gzip_oddities(&bytes), CHROMEM_ODD_GZIP_TRAILING);
	bytes.len = len;
	bytes.ptr[len - 1] ^= 1;
	cr_assert_eq(gzip_oddities(&bytes), CHROMEM_ODD_GZIP_CHECKSUM);
}

Test(chromem_gzip, a_checksum_tells_whether_it_was_hit_itself)
{
	cleanup_(buf_fini) struct buf plain = encoded();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(reading_fini) struct reading r = { 0 };

	put_member(&bytes, buf_slice(&plain), 0, slice_str(""));
	bytes.ptr[bytes.len - 6] ^= 0x10;
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.doc.gzip_crc_stored ^ r.doc.gzip_crc_actual, 0x100000);
	reading_fini(&r);
	bytes.ptr[bytes.len - 6] ^= 0x10;
	bytes.ptr[bytes.len - 4] ^= 1;
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.doc.oddities, CHROMEM_ODD_GZIP_CHECKSUM | CHROMEM_ODD_IS_GZIP);
	cr_assert_eq(r.doc.gzip_crc_stored, r.doc.gzip_crc_actual);
}

/* ---- limits ---- */

static void limit_memory(void)
{
	struct rlimit limit = { 0 };

	/* The sanitizers keep a map of all addresses. */
#if !defined(__SANITIZE_ADDRESS__)
	limit.rlim_cur = limit.rlim_max = 512u << 20;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#else
	(void)limit;
#endif
}

/* @len bytes, mostly zeros, which take little when packed. */
static void put_bomb(struct buf *out, struct slice front, size_t len)
{
	unsigned char *bytes = vs_try_alloc(len, 1);

	cr_assert_not_null(bytes);
	memcpy(bytes, front.ptr, front.len);
	put_member(out, slice_of(bytes, len), 0, slice_str(""));
	free(bytes);
}

Test(chromem_limits, bombs)
{
	cleanup_(buf_fini) struct buf plain = encoded();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(reading_fini) struct reading r = { 0 };

	limit_memory();
	/* The value is complete long before: loads, as in the library. */
	put_bomb(&bytes, buf_slice(&plain), 100u << 20);
	cr_assert_lt(bytes.len, 1u << 20);
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.ret, 0, "%s", r.fault.detail);
	assert_text(r.doc.content, "some text");
	cr_assert_eq(r.doc.facts.unpacked_size, CHROMEM_FILE_MAX);
	reading_fini(&r);

	/* It is not. */
	buf_clear(&bytes);
	put_bomb(&bytes, slice_of("\xfc\x05\xf0\x00\x00", 5), 100u << 20);
	r = read_doc(buf_slice(&bytes));
	cr_assert_eq(r.ret, 1);
	cr_assert_eq(r.fault.kind, CHROMEM_FAULT_TOO_LARGE, "%s", r.fault.detail);
}

static void put_too_many(struct buf *out)
{
	gob_put_uint(out, 2);
	gob_put_uint(out, 3u << 20);
	for (size_t i = 0; i < 3u << 20; i++)
		buf_append(out, "\0\0", 2);
	buf_append_byte(out, 0);
}

Test(chromem_limits, metadata_entries)
{
	cleanup_(buf_fini) struct buf bytes = with_value(put_too_many);
	cleanup_(reading_fini) struct reading r = read_doc(buf_slice(&bytes));

	cr_assert_eq(r.ret, 1);
	cr_assert_eq(r.fault.kind, CHROMEM_FAULT_TOO_LARGE);
	cr_assert(strstr(r.fault.detail, "1048576 metadata entries"), "%s", r.fault.detail);
}

/* ---- files that are none ---- */

static enum chromem_fault_kind fault_of(struct chromem_reader *reader, int dir, const char *name,
					const char *loader_text)
{
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_reader_doc(reader, dir, name, &doc, &fault, &err), 1, "%s", name);
	cr_assert_neq(fault.detail[0], '\0', "%s", name);
	cr_assert_str_eq(fault.loader_text, loader_text);
	return fault.kind;
}

Test(chromem_files, faults)
{
	struct chromem_reader *reader = chromem_reader_new();
	int dir;

	scratch_new(&dir);
	scratch_fifo(dir, "fifo");
	scratch_socket(dir, "socket");
	close(scratch_mkdir(dir, "directory"));
	scratch_text(dir, "large", "x");
	cr_assert_eq(symlinkat("nowhere", dir, "dangling"), 0);
	cr_assert_eq(fault_of(reader, dir, "fifo", ""), CHROMEM_FAULT_NOT_A_FILE);
	cr_assert_eq(fault_of(reader, dir, "socket", ""), CHROMEM_FAULT_NOT_A_FILE);
	cr_assert_eq(fault_of(reader, dir, "directory", ""), CHROMEM_FAULT_NOT_A_FILE);
	cr_assert_eq(fault_of(reader, dir, "absent",
			      "couldn't open file: open absent: no such file or directory"),
		     CHROMEM_FAULT_VANISHED);
	cr_assert_eq(fault_of(reader, dir, "dangling",
			      "couldn't open file: open dangling: no such file or directory"),
		     CHROMEM_FAULT_DANGLING);
	{
		int fd = openat(dir, "large", O_WRONLY | O_CLOEXEC);

		cr_assert_eq(ftruncate(fd, (off_t)CHROMEM_FILE_MAX + 1), 0);
		close(fd);
	}
	cr_assert_eq(fault_of(reader, dir, "large", ""), CHROMEM_FAULT_TOO_LARGE);
	cr_assert_eq(chromem_reader_file_size(reader), 0);
	chromem_reader_freep(&reader);
	close(dir);
}

static int read_forbidden(void *ctx)
{
	struct chromem_reader *reader = chromem_reader_new();
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct vs_err err = { 0 };
	const int *dir = ctx;
	int ret = chromem_reader_doc(reader, *dir, "forbidden", &doc, &fault, &err);

	chromem_reader_freep(&reader);
	return ret == 1 && fault.kind == CHROMEM_FAULT_UNREADABLE &&
			       strcmp(fault.loader_text,
				      "couldn't open file: open forbidden: permission denied") == 0
		       ? 0
		       : 1;
}

Test(chromem_files, forbidden)
{
	int dir;

	scratch_new(&dir);
	scratch_text(dir, "forbidden", "x");
	cr_assert_eq(fchmodat(dir, "forbidden", 0, 0), 0);
	cr_assert_eq(fchmod(dir, 0755), 0);
	cr_assert_eq(scratch_as_nobody(read_forbidden, &dir), 0);
	close(dir);
}

/* ---- both ways ---- */

static bool same_doc(const struct chromem_doc *a, const struct chromem_doc *b)
{
	if (!slice_eq(a->id, b->id) || !slice_eq(a->content, b->content) ||
	    a->metadata_count != b->metadata_count || a->has_metadata != b->has_metadata ||
	    a->dimension != b->dimension || a->oddities != b->oddities ||
	    a->odd_off != b->odd_off || a->id_off != b->id_off ||
	    a->embedding_off != b->embedding_off || a->content_off != b->content_off ||
	    memcmp(&a->facts, &b->facts, sizeof(a->facts)) != 0)
		return false;
	for (size_t i = 0; i < a->metadata_count; i++) {
		if (!slice_eq(a->metadata[i].key, b->metadata[i].key) ||
		    !slice_eq(a->metadata[i].value, b->metadata[i].value))
			return false;
	}
	return a->dimension == 0 ||
	       memcmp(a->embedding, b->embedding, a->dimension * sizeof(float)) == 0;
}

/* Documents of many kinds, each read by a reader that has seen others before and by one that takes
 * the general way. */
Test(chromem_doc, the_short_cut_gives_what_the_general_way_gives)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
	struct chromem_reader *fast = chromem_reader_new(), *general = chromem_reader_new();
	float embedding[400];
	char text[64];

	chromem_reader_set_general(general, true);
	for (unsigned i = 0; i < 4096; i++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		struct chromem_pair pairs[40];
		struct chromem_doc doc = plain_doc(pairs), a, b;
		struct chromem_fault fault;
		struct vs_err err = { 0 };

		for (size_t k = 0; k < VS_COUNT(embedding); k++)
			embedding[k] =
				(float)((double)(((size_t)i * 7919 + k * 104729) % 20011) / 20011 -
					0.5);
		if (i % 64 == 5)
			embedding[i % 30] = i % 128 == 5 ? NAN : 0.0F;
		for (size_t k = 0; k < VS_COUNT(pairs); k++)
			pairs[k] = (struct chromem_pair){ slice_of(&letters[k % 39], 1 + k % 13),
							  slice_str("value") };
		snprintf(text, sizeof(text), "document %u", i);
		doc.id = i & 1 ? slice_str(text) : (struct slice){ 0 };
		doc.has_metadata = (i & 2) != 0;
		doc.metadata_count = i & 2 ? i % 41 : 0;
		doc.embedding = embedding;
		doc.dimension = i & 4 ? i % VS_COUNT(embedding) : 0;
		doc.content = i & 8 ? slice_of(text, i % 20) : (struct slice){ 0 };
		chromem_encode_doc(&bytes, &doc);
		cr_assert_eq(chromem_decode_doc(fast, buf_slice(&bytes), &a, &fault, &err), 0);
		cr_assert_eq(chromem_decode_doc(general, buf_slice(&bytes), &b, &fault, &err), 0);
		cr_assert(same_doc(&a, &b), "document %u", i);
		cr_assert(slice_eq(a.id, doc.id));
		cr_assert_eq(a.dimension, doc.dimension);
	}
	chromem_reader_freep(&fast);
	chromem_reader_freep(&general);
}

/* Two kinds of files by turns, and one that begins like the other but is longer. */
Test(chromem_doc, several_beginnings)
{
	cleanup_(buf_fini) struct buf ours = encoded();
	cleanup_(buf_fini) struct buf theirs = file_bytes(GOLDEN "ea503d89.gob");
	struct chromem_reader *reader = chromem_reader_new();

	for (int i = 0; i < 20; i++) {
		const struct buf *bytes = i & 1 ? &ours : &theirs;
		struct chromem_fault fault;
		struct chromem_doc doc;
		struct vs_err err = { 0 };

		cr_assert_eq(chromem_decode_doc(reader, buf_slice(bytes), &doc, &fault, &err), 0);
		assert_text(doc.id, i & 1 ? "one" : "note-1");
		cr_assert_eq(doc.dimension, i & 1 ? 3 : 5);
	}
	chromem_reader_freep(&reader);
}
