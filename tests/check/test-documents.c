/* SPDX-License-Identifier: Apache-2.0 */

/* Documents: files that do not decode, and files that decode with something gone or odd. */

#include "kit-age.h"

#include <criterion/criterion.h>
#include <unistd.h>

/* Check a healthy store in which this was done to one document of "notes". */
static struct kit_result *check_with(enum chromem_compression c,
				     void (*damage)(const struct kit_dir *dir, const char *path))
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(c);
	cleanup_(vs_freep) char *path = kit_doc_path(c, "notes", 2);

	damage(dir, path);
	kit_age(dir, path);
	return kit_check_dir(dir, CHECK_FULL);
}

static const struct finding *expect_one(const struct kit_result *r, enum chromem_compression c,
					const char *code, enum loadable loadable)
{
	cleanup_(vs_freep) char *path = kit_doc_path(c, "notes", 2);

	kit_expect_only(r, code, 1);
	cr_assert_str_eq(kit_finding(r, code)->path, path);
	cr_assert_str_eq(loadable_name(r->summary.loadable), loadable_name(loadable));
	return kit_finding(r, code);
}

/* ---- what refuses the store ---- */

static void make_empty(const struct kit_dir *dir, const char *path)
{
	kit_truncate(dir, path, 0);
}

Test(documents, empty)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_empty);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-empty", LOADABLE_NO);
	cr_assert_str_eq(r->summary.loader_text,
			 "couldn't read document: couldn't read magic number to determine whether "
			 "the stream is compressed: EOF");
}

Test(documents, empty_is_seen_without_reading)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(kit_result_freep) struct kit_result *quick = NULL;
	cleanup_(kit_result_freep) struct kit_result *full = NULL;

	kit_truncate(dir, path, 0);
	quick = kit_check_dir(dir, CHECK_QUICK);
	full = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(quick, "chromem-document-empty", 1);
	cr_assert_str_eq(quick->summary.loader_text, full->summary.loader_text);
}

static void make_zeros(const struct kit_dir *dir, const char *path)
{
	kit_zero(dir, path, 0);
}

Test(documents, zero_filled)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_zeros);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-zero-filled", LOADABLE_NO);
}

Test(documents, truncated_at_every_byte)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(buf_fini) struct buf whole = { 0 };

	kit_read(dir, path, &whole);
	for (size_t len = whole.len - 1; len > 0; len--) {
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_write(dir, path, slice_of(whole.ptr, len));
		kit_age(dir, path);
		r = kit_check_dir(dir, CHECK_FULL);
		expect_one(r, CHROMEM_PLAIN, "chromem-document-truncated", LOADABLE_NO);
	}
}

static void cut_deflate(const struct kit_dir *dir, const char *path)
{
	kit_truncate(dir, path, 100);
}

Test(documents, gzip_truncated)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_GZIP, cut_deflate);

	expect_one(r, CHROMEM_GZIP, "chromem-document-gzip-truncated", LOADABLE_NO);
}

static void break_magic(const struct kit_dir *dir, const char *path)
{
	kit_flip(dir, path, 0, 6);
}

static void break_block(const struct kit_dir *dir, const char *path)
{
	/* The block type 3 does not exist. */
	kit_flip(dir, path, 10, 1);
}

Test(documents, gzip_corrupt)
{
	cleanup_(kit_result_freep) struct kit_result *magic = check_with(CHROMEM_GZIP, break_magic);
	cleanup_(kit_result_freep) struct kit_result *block = check_with(CHROMEM_GZIP, break_block);

	expect_one(magic, CHROMEM_GZIP, "chromem-document-gzip-corrupt", LOADABLE_NO);
	expect_one(block, CHROMEM_GZIP, "chromem-document-gzip-corrupt", LOADABLE_NO);
}

static void make_text(const struct kit_dir *dir, const char *path)
{
	kit_write(dir, path, slice_str("\xf0 is not the length of anything"));
}

Test(documents, gob)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_text);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-gob", LOADABLE_NO);
	cr_assert_eq(strncmp(r->summary.loader_text, "couldn't read document: couldn't decode", 39),
		     0);
}

static void make_other_value(const struct kit_dir *dir, const char *path)
{
	/* An int: one message with the type number 2 and the value 7. */
	kit_write(dir, path, slice_of("\x03\x04\x00\x0e", 4));
}

Test(documents, shape)
{
	cleanup_(kit_result_freep) struct kit_result *r =
		check_with(CHROMEM_PLAIN, make_other_value);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-shape", LOADABLE_NO);
}

static void make_large(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(truncate(full, (off_t)CHROMEM_FILE_MAX + 1), 0);
}

Test(documents, too_large)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_large);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-too-large", LOADABLE_YES);
	cr_assert_eq(r->gaps, 1);
	cr_assert_eq(r->summary.verdict, VERDICT_UNVERIFIED);
}

Test(documents, unreadable)
{
	for (int level = CHECK_QUICK; level <= CHECK_FULL; level++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		if (level == CHECK_QUICK)
			continue; /* which opens no documents */
		kit_chmod(dir, path, 0);
		kit_drop_privileges(dir);
		r = kit_check_dir(dir, level);
		kit_regain_privileges();
		cr_assert_eq(kit_count(r, "chromem-document-unreadable"), 1);
		cr_assert_eq(r->summary.errors, 1);
		cr_assert_eq(r->gaps, 1);
		cr_assert_not_null(strstr(r->summary.loader_text, ": permission denied"));
	}
}

/* A file that opens, and whose first read fails as on a bad disk. The words are Go's. */
Test(documents, a_failing_disk)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	char expected[400];

	kit_remove(dir, path);
	kit_symlink(dir, "/proc/self/mem", path);
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_eq(kit_count(r, "chromem-document-unreadable"), 1);
	snprintf(expected, sizeof(expected),
		 "couldn't read document: couldn't read magic number to determine whether the "
		 "stream is compressed: read ${STORE}/%s: input/output error",
		 path);
	cr_assert_str_eq(r->summary.loader_text, expected);
}

/* The first file that the library comes to decides what it says. */
Test(documents, the_first_refusal_counts)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = kit_check_dir(dir, CHECK_FULL);
	cleanup_(vs_freep) char *first = vs_strdup(r->collections[0].id);
	cleanup_(vs_freep) char *last = vs_strdup(r->collections[2].id);
	cleanup_(buf_fini) struct buf path = { 0 };

	/* Its metadata are missed only when all documents of the directory have been read. */
	buf_printf(&path, "%s/00000000.gob", first);
	kit_remove(dir, buf_cstr(&path));
	buf_clear(&path);
	buf_printf(&path, "%s/00000000.gob", last);
	kit_truncate(dir, buf_cstr(&path), 0);
	kit_result_freep(&r);
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_not_null(strstr(r->summary.loader_text, "metadata file not found"));
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		static const char *const names[] = { "notes", "papers", "letters" };

		for (size_t n = 0; n < VS_COUNT(names); n++) {
			cleanup_(vs_freep) char *doc = kit_doc_path(CHROMEM_PLAIN, names[n], i);

			if (strncmp(doc, first, 8) == 0)
				kit_truncate(dir, doc, 40 + i);
		}
	}
	kit_result_freep(&r);
	r = kit_check_dir(dir, CHECK_FULL);
	cr_assert_str_eq(r->summary.loader_text,
			 "couldn't read document: couldn't decode object: unexpected EOF");
	cr_assert_eq(r->summary.errors, KIT_DOCUMENTS + 2);
}

/* ---- what loads, with something gone ---- */

Test(documents, field_damaged)
{
	static const char *const fields[] = { "\x02ID", "\bMetadata", "\tEmbedding", "\aContent" };

	for (size_t i = 0; i < VS_COUNT(fields); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;
		const struct finding *f;

		kit_flip(dir, path, kit_find(dir, path, slice_str(fields[i])) + 2, 0);
		r = kit_check_dir(dir, CHECK_FULL);
		f = expect_one(r, CHROMEM_PLAIN, "chromem-document-field-damaged",
			       LOADABLE_SILENTLY_WRONG);
		cr_assert_str_eq(f->expected, fields[i] + 1);
	}
}

static void make_nameless(const struct kit_dir *dir, const char *path)
{
	struct kit_doc doc;

	kit_doc(&doc, "notes", 2);
	doc.doc.id = slice_str("");
	kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
}

Test(documents, no_id)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_nameless);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-no-id", LOADABLE_SILENTLY_WRONG);
}

static void make_metadata(const struct kit_dir *dir, const char *path)
{
	kit_write_metadata(dir, CHROMEM_PLAIN, path, slice_str("notes"));
}

Test(documents, is_metadata)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_metadata);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-is-metadata", LOADABLE_SILENTLY_WRONG);
}

Test(documents, zero_tail)
{
	static const char *const from[] = { "harbour office", "tides", "language" };

	for (size_t i = 0; i < VS_COUNT(from); i++) {
		cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", 2);
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_zero(dir, path, kit_find(dir, path, slice_str(from[i])));
		r = kit_check_dir(dir, CHECK_FULL);
		expect_one(r, CHROMEM_PLAIN, "chromem-document-zero-tail", LOADABLE_SILENTLY_WRONG);
	}
}

/* Not every NUL is damage. */
Test(documents, a_text_may_end_in_a_nul)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	struct kit_doc doc;

	kit_doc(&doc, "notes", 2);
	doc.doc.content = slice_of("a C string\0", 11);
	kit_add_doc(dir, CHROMEM_PLAIN, "notes", &doc.doc);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_clean(r);
}

/* ---- what loads and is odd ---- */

static void append_bytes(const struct kit_dir *dir, const char *path)
{
	kit_append(dir, path, slice_str("xyz"));
}

static void append_zeros(const struct kit_dir *dir, const char *path)
{
	static const unsigned char zeros[4000];

	kit_append(dir, path, slice_of(zeros, sizeof(zeros)));
}

Test(documents, leftover_bytes)
{
	cleanup_(kit_result_freep) struct kit_result *some =
		check_with(CHROMEM_PLAIN, append_bytes);
	cleanup_(kit_result_freep) struct kit_result *zeros =
		check_with(CHROMEM_PLAIN, append_zeros);

	expect_one(some, CHROMEM_PLAIN, "chromem-document-leftover-bytes", LOADABLE_YES);
	expect_one(zeros, CHROMEM_PLAIN, "chromem-document-leftover-bytes", LOADABLE_YES);
}

static void pack(const struct kit_dir *dir, const char *path)
{
	cleanup_(buf_fini) struct buf plain = { 0 };
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct vs_err err;

	kit_read(dir, path, &plain);
	cr_assert_eq(chromem_pack(CHROMEM_GZIP, buf_slice(&plain), &packed, &err), 0);
	kit_write(dir, path, buf_slice(&packed));
}

Test(documents, form_mismatch)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, pack);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-form-mismatch", LOADABLE_YES);
}

static void rename_type(const struct kit_dir *dir, const char *path)
{
	kit_flip(dir, path, kit_find(dir, path, slice_str("[]float32")) + 2, 0);
}

Test(documents, foreign_encoding)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, rename_type);

	expect_one(r, CHROMEM_PLAIN, "chromem-document-foreign-encoding", LOADABLE_YES);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}

Test(documents, a_foreign_program_gets_one_word_for_all)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		cleanup_(vs_freep) char *path = kit_doc_path(CHROMEM_PLAIN, "notes", i);

		rename_type(dir, path);
	}
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-document-foreign-encoding", 1);
	cr_assert_eq(kit_finding(r, "chromem-document-foreign-encoding")->count, KIT_DOCUMENTS);
}

/* ---- gzip trailers ---- */

static void change_trailer(const struct kit_dir *dir, const char *path, size_t from_end,
			   unsigned char with)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	bytes.ptr[bytes.len - from_end] ^= with;
	kit_write(dir, path, buf_slice(&bytes));
}

static void flip_crc_bit(const struct kit_dir *dir, const char *path)
{
	change_trailer(dir, path, 6, 0x20);
}

static void change_length(const struct kit_dir *dir, const char *path)
{
	change_trailer(dir, path, 3, 0x7f);
}

static void change_crc(const struct kit_dir *dir, const char *path)
{
	change_trailer(dir, path, 6, 0x7f);
}

static void cut_trailer(const struct kit_dir *dir, const char *path)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	kit_truncate(dir, path, bytes.len - 5);
}

Test(documents, gzip_trailer)
{
	cleanup_(kit_result_freep) struct kit_result *crc = check_with(CHROMEM_GZIP, flip_crc_bit);
	cleanup_(kit_result_freep) struct kit_result *len = check_with(CHROMEM_GZIP, change_length);
	cleanup_(kit_result_freep) struct kit_result *cut = check_with(CHROMEM_GZIP, cut_trailer);

	expect_one(crc, CHROMEM_GZIP, "chromem-document-gzip-trailer", LOADABLE_YES);
	expect_one(len, CHROMEM_GZIP, "chromem-document-gzip-trailer", LOADABLE_YES);
	expect_one(cut, CHROMEM_GZIP, "chromem-document-gzip-trailer", LOADABLE_YES);
	cr_assert_not_null(
		strstr(kit_finding(crc, "chromem-document-gzip-trailer")->detail, "one bit"));
	cr_assert_not_null(
		strstr(kit_finding(len, "chromem-document-gzip-trailer")->detail, "length"));
}

Test(documents, checksum)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_GZIP, change_crc);

	expect_one(r, CHROMEM_GZIP, "chromem-document-checksum", LOADABLE_SILENTLY_WRONG);
}
