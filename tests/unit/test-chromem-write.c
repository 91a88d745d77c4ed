/* SPDX-License-Identifier: Apache-2.0 */

/* What the writers put, byte for byte as the library does, and what their digests say of it. */

#include "chromem/chromem.h"
#include "gob/gob.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <math.h>

#define S(literal)                                                                                 \
	{                                                                                          \
		(const unsigned char *)(literal), sizeof(literal) - 1                              \
	}

/* The two files of tests/data/chromem/healthy-example. */
static const struct chromem_pair note_owner = { S("owner"), S("") };
static const struct chromem_pair note_lang = { S("lang"), S("en") };
static const float note_vector[] = { 0.6f, -0.8f, 0.0f, -0.0f, 0x1p-149f };
static const struct chromem_doc note = {
	.id = S("note-1"),
	.content = S("Hi \xe2\x98\x95"),
	.metadata = &note_lang,
	.metadata_count = 1,
	.has_metadata = true,
	.embedding = note_vector,
	.dimension = VS_COUNT(note_vector),
};

/* A file of tests/data, at most 4096 bytes of it. */
static struct slice read_data(const char *name, unsigned char bytes[4096])
{
	char path[1024];
	const char *root = getenv("SOURCE_ROOT");
	ssize_t len;
	int fd;

	cr_assert_not_null(root, "SOURCE_ROOT is not set");
	snprintf(path, sizeof(path), "%s/tests/data/%s", root, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", path);
	len = read(fd, bytes, 4096);
	close(fd);
	cr_assert_gt(len, 0, "%s", path);
	return slice_of(bytes, (size_t)len);
}

static void expect_bytes(const struct buf *got, struct slice want, const char *what)
{
	cleanup_(vs_freep) char *got_hex = vs_alloc(2 * got->len + 1);
	cleanup_(vs_freep) char *want_hex = vs_alloc(2 * want.len + 1);

	hex_format(got->ptr, got->len, got_hex);
	hex_format(want.ptr, want.len, want_hex);
	cr_assert_str_eq(got_hex, want_hex, "%s", what);
}

#define EXPECT_HEX(got, text)                                                                      \
	do {                                                                                       \
		unsigned char bytes_[sizeof(text) / 2];                                            \
		cr_assert(hex_parse(slice_str(text), bytes_, sizeof(bytes_)));                     \
		expect_bytes(got, slice_of(bytes_, sizeof(bytes_)), text);                         \
	} while (0)

Test(gob_write, unsigned_integers_take_the_shortest_form)
{
	static const struct {
		uint64_t value;
		char hex[20];
	} rows[] = {
		{ 0, "00" },
		{ 0x7f, "7f" },
		{ 0x80, "ff80" },
		{ 0xff, "ffff" },
		{ 0x100, "fe0100" },
		{ 0xffff, "feffff" },
		{ 0x10000, "fd010000" },
		{ 0x1000000, "fc01000000" },
		{ 0x100000000, "fb0100000000" },
		{ 0x10000000000, "fa010000000000" },
		{ 0x1000000000000, "f901000000000000" },
		{ 0x100000000000000, "f80100000000000000" },
		{ UINT64_MAX, "f8ffffffffffffffff" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf out = { 0 };
		char got[32];

		gob_put_uint(&out, rows[i].value);
		hex_format(out.ptr, out.len, got);
		cr_assert_str_eq(got, rows[i].hex);
	}
}

Test(gob_write, signed_integers)
{
	static const struct {
		int64_t value;
		char hex[20];
	} rows[] = {
		{ 0, "00" },
		{ -1, "01" },
		{ 1, "02" },
		{ -64, "7f" },
		{ 64, "ff80" },
		{ -65, "ff81" },
		{ INT64_MAX, "f8fffffffffffffffe" },
		{ INT64_MIN, "f8ffffffffffffffff" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(buf_fini) struct buf out = { 0 };
		char got[32];

		gob_put_int(&out, rows[i].value);
		hex_format(out.ptr, out.len, got);
		cr_assert_str_eq(got, rows[i].hex);
	}
}

Test(gob_write, floats_are_doubles_backwards)
{
	const float values[] = { 0.0f, -0.0f,     1.0f,     -1.0f, 2.0f,     -2.0f,
				 0.6f, 0x1p-149f, INFINITY, NAN,   -INFINITY };
	cleanup_(buf_fini) struct buf out = { 0 };

	gob_put_float32s(&out, values, VS_COUNT(values));
	EXPECT_HEX(&out, "0b"
			 "00"
			 "ff80"
			 "fef03f"
			 "fef0bf"
			 "40"
			 "ffc0"
			 "fb403333e33f"
			 "fea036"
			 "fef07f"
			 "fef87f"
			 "fef0ff");

	buf_clear(&out);
	gob_put_float(&out, 0.1);
	EXPECT_HEX(&out, "f89a9999999999b93f");

	/* The smallest double: few bits, and still all 8 bytes, as the end that counts is full. */
	buf_clear(&out);
	gob_put_float(&out, 0x1p-1074);
	EXPECT_HEX(&out, "f80100000000000000");
}

/* Long enough to pass through the writer's own buffer several times, with every length of float. */
Test(gob_write, a_long_vector_is_its_elements_one_by_one)
{
	cleanup_(buf_fini) struct buf whole = { 0 };
	cleanup_(buf_fini) struct buf single = { 0 };
	float values[1000];

	for (size_t i = 0; i < VS_COUNT(values); i++)
		values[i] = i % 7 == 0 ? 0.0f : (float)(1 + i) / (float)(i % 5 == 0 ? 64 : 3);
	gob_put_float32s(&whole, values, VS_COUNT(values));
	gob_put_uint(&single, VS_COUNT(values));
	for (size_t i = 0; i < VS_COUNT(values); i++)
		gob_put_float(&single, (double)values[i]);
	expect_bytes(&whole, buf_slice(&single), "1000 elements");
}

Test(gob_write, a_message_has_its_length_in_front)
{
	static const size_t lens[] = { 1, 127, 128, 255, 256, 65536 };

	for (size_t i = 0; i < VS_COUNT(lens); i++) {
		cleanup_(buf_fini) struct buf out = { 0 };
		cleanup_(buf_fini) struct buf want = { 0 };
		size_t begin;

		buf_append_str(&out, "before");
		begin = gob_message_begin(&out);
		for (size_t k = 0; k < lens[i]; k++)
			buf_append_byte(&out, (unsigned char)(k * 31));
		gob_message_end(&out, begin);

		buf_append_str(&want, "before");
		gob_put_uint(&want, lens[i]);
		for (size_t k = 0; k < lens[i]; k++)
			buf_append_byte(&want, (unsigned char)(k * 31));
		cr_assert(slice_eq(buf_slice(&out), buf_slice(&want)), "%zu bytes", lens[i]);
	}
}

Test(chromem_write, metadata_is_what_the_library_wrote)
{
	unsigned char bytes[4096];
	cleanup_(buf_fini) struct buf out = { 0 };
	struct slice want;

	want = read_data("chromem/healthy-example/store/ab5aa970/00000000.gob", bytes);
	chromem_encode_meta(&out, slice_str("notes"), &note_owner, 1);
	expect_bytes(&out, want, "notes");
}

Test(chromem_write, metadata_without_entries_is_what_the_library_wrote)
{
	unsigned char bytes[4096];
	cleanup_(buf_fini) struct buf out = { 0 };
	struct slice want = read_data("golden/contextd_memories-metadata.gob", bytes);

	cr_assert_eq(want.len, 94);
	chromem_encode_meta(&out, slice_str("contextd_memories"), NULL, 0);
	expect_bytes(&out, want, "contextd_memories");
}

Test(chromem_write, a_document_is_what_the_library_wrote)
{
	unsigned char bytes[4096];
	cleanup_(buf_fini) struct buf out = { 0 };
	struct slice want;

	want = read_data("chromem/healthy-example/store/ab5aa970/ea503d89.gob", bytes);
	chromem_encode_doc(&out, &note);
	expect_bytes(&out, want, "note-1");
}

/* ---- every file of the library's, read and written again ---- */

struct rewriting {
	int dirfd;
	struct chromem_reader *reader;
	size_t count;
};

static int rewrite_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct rewriting *rw = ctx;
	cleanup_(buf_fini) struct buf file = { 0 };
	cleanup_(buf_fini) struct buf again = { 0 };
	struct chromem_fault fault;
	struct chromem_meta meta;
	struct chromem_doc doc;
	int r;

	(void)type;
	r = file_read_at(rw->dirfd, name, FILE_FOLLOW, CHROMEM_FILE_MAX, &file, NULL, err);
	cr_assert_eq(r, 0, "%s", err->text);
	if (strcmp(name, "00000000.gob") == 0) {
		r = chromem_decode_meta(rw->reader, buf_slice(&file), &meta, &fault, err);
		cr_assert_eq(r, 0, "%s: %s", name, fault.detail);
		chromem_encode_meta(&again, meta.name, meta.metadata, meta.metadata_count);
	} else {
		r = chromem_decode_doc(rw->reader, buf_slice(&file), &doc, &fault, err);
		cr_assert_eq(r, 0, "%s: %s", name, fault.detail);
		chromem_encode_doc(&again, &doc);
	}
	expect_bytes(&again, buf_slice(&file), name);
	rw->count++;
	return 0;
}

static int rewrite_collection(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct rewriting *outer = ctx;
	cleanup_(file_closep) int dirfd = -1;
	struct rewriting rw = { .reader = outer->reader };
	int r;

	if (type != FILE_DIRECTORY || strlen(name) != CHROMEM_ID_LEN)
		return 0;
	r = file_open_dir(outer->dirfd, name, FILE_NO_FOLLOW, &dirfd, err);
	cr_assert_eq(r, 0, "%s", err->text);
	rw.dirfd = dirfd;
	r = file_list(dirfd, rewrite_file, &rw, err);
	outer->count += rw.count;
	return r;
}

Test(chromem_write, all_that_the_library_wrote_comes_out_again)
{
	static const struct {
		char store[24];
		size_t files;
	} rows[] = { { "healthy-plain", 75 }, { "healthy-contextd", 20 }, { "healthy-odd", 26 } };
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(file_closep) int dirfd = -1;
		struct rewriting rw = { .reader = reader };
		struct vs_err err = { 0 };
		char path[1024];

		snprintf(path, sizeof(path), "%s/tests/data/chromem/%s/store",
			 getenv("SOURCE_ROOT"), rows[i].store);
		cr_assert_eq(file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &dirfd, &err), 0, "%s",
			     err.text);
		rw.dirfd = dirfd;
		cr_assert_eq(file_list(dirfd, rewrite_collection, &rw, &err), 0);
		cr_assert_eq(rw.count, rows[i].files, "%s: %zu", rows[i].store, rw.count);
	}
}

/* The definitions, 129 bytes, stand in front of a value of any kind. */
static void expect_value(const struct chromem_doc *doc, const char *hex)
{
	cleanup_(buf_fini) struct buf out = { 0 };
	char got[512];

	chromem_encode_doc(&out, doc);
	cr_assert_gt(out.len, 129);
	hex_format(out.ptr + 129, out.len - 129, got);
	cr_assert_str_eq(got, hex);
}

Test(chromem_write, zero_fields_are_left_out)
{
	struct chromem_doc doc = note;

	doc.dimension = 0;
	expect_value(&doc, "1d"
			   "ff84"
			   "01066e6f74652d31"
			   "0101046c616e6702656e"
			   "0206486920e29895"
			   "00");
	doc.has_metadata = false;
	expect_value(&doc, "13"
			   "ff84"
			   "01066e6f74652d31"
			   "0306486920e29895"
			   "00");
	doc.content.len = 0;
	expect_value(&doc, "0b"
			   "ff84"
			   "01066e6f74652d31"
			   "00");
	doc.id.len = 0;
	expect_value(&doc, "03"
			   "ff84"
			   "00");
	doc.has_metadata = true;
	doc.metadata_count = 0;
	expect_value(&doc, "05"
			   "ff84"
			   "0200"
			   "00");
}

Test(chromem_pack, the_header_is_go_s_and_the_data_come_back)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	unsigned char back[4096];
	unsigned char text[3000];
	struct vs_err err = { 0 };
	size_t len = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)(i % 50 * 5);
	buf_append_str(&packed, "kept");
	cr_assert_eq(chromem_pack(CHROMEM_GZIP, slice_of(text, sizeof(text)), &packed, &err), 0);
	cr_assert_arr_eq(packed.ptr, "kept\x1f\x8b\x08\0\0\0\0\0\0\xff", 14);
	cr_assert_lt(packed.len, 300);
	cr_assert_eq(libdeflate_gzip_decompress(d, packed.ptr + 4, packed.len - 4, back,
						sizeof(back), &len),
		     LIBDEFLATE_SUCCESS);
	cr_assert_eq(len, sizeof(text));
	cr_assert_arr_eq(back, text, sizeof(text));
	libdeflate_free_decompressor(d);
}

Test(chromem_pack, nothing_can_be_packed_too)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	unsigned char back[1];
	struct vs_err err = { 0 };
	size_t len = 1;

	cr_assert_eq(chromem_pack(CHROMEM_GZIP, (struct slice){ 0 }, &packed, &err), 0);
	cr_assert_eq(libdeflate_gzip_decompress(d, packed.ptr, packed.len, back, 1, &len),
		     LIBDEFLATE_SUCCESS);
	cr_assert_eq(len, 0);
	libdeflate_free_decompressor(d);
}

Test(chromem_pack, plain_is_a_copy)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_pack(CHROMEM_PLAIN, slice_str("as it is"), &packed, &err), 0);
	cr_assert(slice_eq_str(buf_slice(&packed), "as it is"));
}

static void expect_digest(const struct digest *d, const char *want)
{
	char got[DIGEST_HEX_LEN + 1];

	digest_format(d, got);
	cr_assert_str_eq(got, want);
}

/* As tests/data/chromem/healthy-example/expected.json gives them. */
#define NOTES_DIGEST "c3f166b44a4e7fb1b587ff5f7941990bb30d0ffb0e27537fda49525d8256fb38"
#define NOTES_STORE_DIGEST "9621e8beca63fb41021b646b1c6569726fdbdb275b1a4bd653977df36e4e6e51"

Test(content, digests_are_those_of_the_reference)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	const struct chromem_meta meta = { .name = S("notes"),
					   .metadata = &note_owner,
					   .metadata_count = 1,
					   .has_metadata = true };
	struct digest d;

	chromem_collection_digest_begin(ctx, &meta, 1);
	chromem_collection_digest_add(ctx, &note);
	digest_ctx_final(ctx, &d);
	expect_digest(&d, NOTES_DIGEST);

	chromem_store_digest_begin(ctx, 1);
	chromem_store_digest_add(ctx, &d);
	digest_ctx_final(ctx, &d);
	expect_digest(&d, NOTES_STORE_DIGEST);
}

/* Keys from "k00" on, in one of several orders, below and above what is sorted without memory. */
static void digest_of_map(struct digest_ctx *ctx, size_t count, size_t step, struct digest *out)
{
	struct chromem_pair pairs[200];
	char keys[200][24];
	struct chromem_doc doc = note;

	for (size_t i = 0; i < count; i++) {
		size_t k = i * step % count;

		snprintf(keys[i], sizeof(keys[i]), "k%02zu", k);
		pairs[i] = (struct chromem_pair){ slice_str(keys[i]), slice_of(keys[i], k % 3) };
	}
	doc.metadata = pairs;
	doc.metadata_count = count;
	chromem_doc_digest(ctx, &doc, out);
}

Test(content, the_order_of_metadata_does_not_matter)
{
	static const size_t counts[] = { 2, 17, 64, 65, 199 };
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct digest first = { 0 };

	for (size_t i = 0; i < VS_COUNT(counts); i++) {
		struct digest sorted, mixed;

		digest_of_map(ctx, counts[i], 1, &sorted);
		cr_assert_neq(memcmp(&sorted, &first, sizeof(sorted)), 0);
		first = sorted;
		digest_of_map(ctx, counts[i], counts[i] - 1, &mixed);
		cr_assert_arr_eq(&mixed, &sorted, sizeof(mixed), "%zu backwards", counts[i]);
		if (counts[i] % 3 != 0) {
			digest_of_map(ctx, counts[i], 3, &mixed);
			cr_assert_arr_eq(&mixed, &sorted, sizeof(mixed), "%zu mixed", counts[i]);
		}
	}
}

Test(content, every_part_counts)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	const float other[] = { 0.6f, -0.8f, 0.0f, 0.0f, 0x1p-149f };
	const struct chromem_pair pair = { S("lang"), S("de") };
	struct chromem_doc docs[] = { note, note, note, note, note, note };
	struct digest digests[VS_COUNT(docs)];
	struct chromem_doc same = note;
	struct digest d;

	docs[1].id.len--;
	docs[2].content.len--;
	docs[3].embedding = other; /* a zero without its sign */
	docs[4].dimension--;
	docs[5].metadata = &pair;
	for (size_t i = 0; i < VS_COUNT(docs); i++) {
		chromem_doc_digest(ctx, &docs[i], &digests[i]);
		for (size_t k = 0; k < i; k++)
			cr_assert_neq(memcmp(&digests[i], &digests[k], sizeof(d)), 0, "%zu", i);
	}

	/* No map and an empty one are the same. */
	same.metadata_count = 0;
	chromem_doc_digest(ctx, &same, &digests[0]);
	same.has_metadata = false;
	chromem_doc_digest(ctx, &same, &digests[1]);
	cr_assert_arr_eq(&digests[0], &digests[1], sizeof(d));
}

Test(roster, names_come_in_byte_order_and_the_last_of_a_name_stays)
{
	static const struct {
		char name[12];
		size_t index;
	} rows[] = { { "b", 3 }, { "a", 9 },    { "ab", 1 }, { "a", 2 },
		     { "", 7 },  { "\xff", 0 }, { "a", 5 } };
	static const struct {
		char name[12];
		size_t index;
	} sorted[] = { { "", 7 }, { "a", 9 }, { "ab", 1 }, { "b", 3 }, { "\xff", 0 } };
	cleanup_(chromem_roster_freep) struct chromem_roster *roster = chromem_roster_new();
	struct vs_err err = { 0 };

	chromem_roster_sort(roster);
	cr_assert_eq(chromem_roster_count(roster), 0);
	for (size_t i = 0; i < VS_COUNT(rows); i++)
		cr_assert_eq(
			chromem_roster_add(roster, slice_str(rows[i].name), rows[i].index, &err),
			0);
	chromem_roster_sort(roster);
	cr_assert_eq(chromem_roster_count(roster), VS_COUNT(sorted));
	for (size_t i = 0; i < VS_COUNT(sorted); i++) {
		struct slice name;

		cr_assert_eq(chromem_roster_at(roster, i, &name), sorted[i].index);
		cr_assert(slice_eq_str(name, sorted[i].name));
	}
	cr_assert_eq(chromem_roster_add(roster, slice_str("x"), (size_t)UINT32_MAX + 1, &err),
		     VS_ELIMIT);
}

Test(roster, names_may_all_be_empty)
{
	cleanup_(chromem_roster_freep) struct chromem_roster *roster = chromem_roster_new();
	struct vs_err err = { 0 };

	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(chromem_roster_add(roster, (struct slice){ 0 }, i, &err), 0);
	chromem_roster_sort(roster);
	cr_assert_eq(chromem_roster_count(roster), 1);
	cr_assert_eq(chromem_roster_at(roster, 0, NULL), 2);
}

Test(roster, many_names)
{
	cleanup_(chromem_roster_freep) struct chromem_roster *roster = chromem_roster_new();
	struct vs_err err = { 0 };
	char name[16];

	/* 7919 is prime, so this meets every number below 50000 once, and then again. */
	for (size_t i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%05zu", i * 7919 % 50000);
		cr_assert_eq(chromem_roster_add(roster, slice_str(name), i, &err), 0);
	}
	chromem_roster_sort(roster);
	cr_assert_eq(chromem_roster_count(roster), 50000);
	for (size_t i = 0; i < 50000; i++) {
		struct slice got;
		size_t index = chromem_roster_at(roster, i, &got);

		snprintf(name, sizeof(name), "%05zu", i);
		cr_assert(slice_eq_str(got, name));
		cr_assert_geq(index, 50000);
		cr_assert_eq(index * 7919 % 50000, i);
	}
}
