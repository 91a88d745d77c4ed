/* SPDX-License-Identifier: Apache-2.0 */

/* Metadata files: absent, cut anywhere, zeroed, of something else, without a name. */

#include "kit-age.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Check a healthy store in which this was done to the metadata file of "notes". */
static struct kit_result *check_with(enum chromem_compression c,
				     void (*damage)(const struct kit_dir *dir, const char *path))
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(c);
	cleanup_(vs_freep) char *path = kit_metadata_path(c, "notes");

	damage(dir, path);
	return kit_check_dir(dir, CHECK_FULL);
}

static void expect_refused(const struct kit_result *r, const char *code)
{
	cleanup_(vs_freep) char *notes = kit_collection_path("notes");
	const struct finding *f;

	kit_expect_only(r, code, 1);
	f = kit_finding(r, code);
	cr_assert_str_eq(f->collection, notes);
	cr_assert_eq(f->count, KIT_DOCUMENTS, "%s must say what is at stake", code);
	cr_assert_eq(r->summary.verdict, VERDICT_CORRUPT);
	cr_assert_eq(r->summary.loadable, LOADABLE_NO);
	cr_assert_eq(r->summary.corrupt, 1);
	cr_assert_eq(r->summary.healthy, 2);
}

Test(metadata, missing)
{
	for (int c = CHROMEM_PLAIN; c <= CHROMEM_GZIP; c++) {
		cleanup_(kit_result_freep) struct kit_result *r = check_with(c, kit_remove);
		cleanup_(vs_freep) char *path = kit_metadata_path(c, "notes");
		cleanup_(buf_fini) struct buf expected = { 0 };
		cleanup_(buf_fini) struct buf fix = { 0 };
		const struct finding *f = kit_finding(r, "chromem-metadata-missing");

		expect_refused(r, "chromem-metadata-missing");
		cr_assert_str_eq(f->path, path);
		buf_printf(&expected, "collection metadata file not found: ${STORE}/%.8s", path);
		cr_assert_str_eq(r->summary.loader_text, buf_cstr(&expected));
		cr_assert(finding_format_fix(f, &fix));
		buf_clear(&expected);
		buf_printf(&expected, "vsctl recover-metadata STORE %.8s", path);
		cr_assert_str_eq(buf_cstr(&fix), buf_cstr(&expected));
	}
}

static void make_empty(const struct kit_dir *dir, const char *path)
{
	kit_truncate(dir, path, 0);
}

Test(metadata, empty)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_empty);

	expect_refused(r, "chromem-metadata-empty");
}

static void make_zeros(const struct kit_dir *dir, const char *path)
{
	kit_zero(dir, path, 0);
}

Test(metadata, zero_filled)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_zeros);

	expect_refused(r, "chromem-metadata-zero-filled");
}

Test(metadata, truncated_at_every_byte)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "notes");
	cleanup_(buf_fini) struct buf whole = { 0 };

	kit_read(dir, path, &whole);
	for (size_t len = whole.len - 1; len > 0; len--) {
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_write(dir, path, slice_of(whole.ptr, len));
		kit_age(dir, path);
		r = kit_check_dir(dir, CHECK_QUICK);
		expect_refused(r, "chromem-metadata-truncated");
	}
}

/* Behind the end of the value a cut is not noticed by the library; it is by us. */
Test(metadata, truncated_gzip_at_every_byte)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_GZIP);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_GZIP, "notes");
	cleanup_(buf_fini) struct buf whole = { 0 };
	size_t harmless = 0;

	kit_read(dir, path, &whole);
	for (size_t len = whole.len - 1; len > 0; len--) {
		cleanup_(kit_result_freep) struct kit_result *r = NULL;

		kit_write(dir, path, slice_of(whole.ptr, len));
		kit_age(dir, path);
		r = kit_check_dir(dir, CHECK_QUICK);
		if (r->summary.loadable == LOADABLE_YES) {
			kit_expect_only(r, "chromem-metadata-checksum", 1);
			harmless++;
		} else {
			expect_refused(r, "chromem-metadata-truncated");
		}
	}
	cr_assert_geq(harmless, 8);
	cr_assert_lt(harmless, 12);
}

static void make_document(const struct kit_dir *dir, const char *path)
{
	struct kit_doc doc;

	kit_doc(&doc, "notes", 3);
	kit_write_doc(dir, CHROMEM_PLAIN, path, &doc.doc);
}

Test(metadata, is_document)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_document);
	const struct finding *f = kit_finding(r, "chromem-metadata-is-document");

	expect_refused(r, "chromem-metadata-is-document");
	cr_assert(slice_eq_str(f->document, "notes-document-0003"));
	cr_assert_not_null(strstr(r->summary.loader_text, "collection metadata file not found"));
}

static void make_nameless(const struct kit_dir *dir, const char *path)
{
	kit_write_metadata(dir, CHROMEM_PLAIN, path, slice_str(""));
}

Test(metadata, no_name)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_nameless);

	expect_refused(r, "chromem-metadata-no-name");
}

static void flip_name_field(const struct kit_dir *dir, const char *path)
{
	kit_flip(dir, path, kit_find(dir, path, slice_str("Name")) + 2, 1);
}

Test(metadata, a_damaged_field_name_hides_the_name)
{
	cleanup_(kit_result_freep) struct kit_result *r =
		check_with(CHROMEM_PLAIN, flip_name_field);

	expect_refused(r, "chromem-metadata-no-name");
	cr_assert_not_null(strstr(kit_finding(r, "chromem-metadata-no-name")->detail, "Naoe"));
}

static void flip_metadata_field(const struct kit_dir *dir, const char *path)
{
	kit_flip(dir, path, kit_find(dir, path, slice_str("\bMetadata")) + 3, 0);
}

Test(metadata, field_damaged)
{
	cleanup_(kit_result_freep) struct kit_result *r =
		check_with(CHROMEM_PLAIN, flip_metadata_field);
	const struct finding *f = kit_finding(r, "chromem-metadata-field-damaged");

	kit_expect_only(r, "chromem-metadata-field-damaged", 1);
	cr_assert_str_eq(f->expected, "Metadata");
	cr_assert_str_eq(f->actual, "Meuadata");
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

static void make_text(const struct kit_dir *dir, const char *path)
{
	kit_write(dir, path, slice_str("\xf0 is not the length of anything"));
}

Test(metadata, undecodable)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_text);

	expect_refused(r, "chromem-metadata-undecodable");
	cr_assert_not_null(strstr(r->summary.loader_text, "couldn't read collection metadata: "));
}

static void make_fifo(const struct kit_dir *dir, const char *path)
{
	kit_remove(dir, path);
	kit_mkfifo(dir, path);
}

Test(metadata, not_a_file, .timeout = 20)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_fifo);

	expect_refused(r, "chromem-metadata-not-a-file");
	cr_assert_str_empty(r->summary.loader_text);
}

static void make_dangling(const struct kit_dir *dir, const char *path)
{
	kit_remove(dir, path);
	kit_symlink(dir, "gone", path);
}

Test(metadata, symlink_dangling)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_dangling);

	expect_refused(r, "chromem-metadata-symlink-dangling");
	cr_assert_not_null(strstr(r->summary.loader_text,
				  "couldn't read collection metadata: couldn't open file: open "));
}

static void make_loop(const struct kit_dir *dir, const char *path)
{
	kit_remove(dir, path);
	kit_symlink(dir, "00000000.gob", path);
}

Test(metadata, symlink_to_itself)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_loop);

	expect_refused(r, "chromem-metadata-symlink-dangling");
	cr_assert_not_null(strstr(r->summary.loader_text, ": too many levels of symbolic links"),
			   "%s", r->summary.loader_text);
}

static void make_socket(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	kit_remove(dir, path);
	cr_assert_eq(mknod(full, S_IFSOCK | 0600, 0), 0);
}

/* Unlike a pipe it does not make the library wait. */
Test(metadata, socket)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_socket);

	expect_refused(r, "chromem-metadata-not-a-file");
	cr_assert_not_null(strstr(r->summary.loader_text, ": no such device or address"), "%s",
			   r->summary.loader_text);
}

static void make_directory(const struct kit_dir *dir, const char *path)
{
	kit_remove(dir, path);
	kit_mkdir(dir, path);
}

Test(metadata, a_directory_in_its_place_is_no_metadata)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_directory);

	expect_refused(r, "chromem-metadata-missing");
}

Test(metadata, unreadable)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "notes");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_chmod(dir, path, 0);
	kit_drop_privileges(dir);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_regain_privileges();
	cr_assert_eq(kit_count(r, "chromem-metadata-unreadable"), 1);
	cr_assert_eq(r->summary.errors, 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_NO);
}

static void make_large(const struct kit_dir *dir, const char *path)
{
	cleanup_(vs_freep) char *full = kit_path(dir, path);

	cr_assert_eq(truncate(full, (off_t)CHROMEM_FILE_MAX + 1), 0);
}

Test(metadata, too_large)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, make_large);

	kit_expect_only(r, "chromem-metadata-too-large", 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_gt(r->gaps, 0, "nothing is known of it");
}

/* ---- what loads all the same ---- */

static void append_bytes(const struct kit_dir *dir, const char *path)
{
	kit_append(dir, path, slice_str("xyz"));
}

Test(metadata, leftover_bytes)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, append_bytes);

	kit_expect_only(r, "chromem-metadata-leftover-bytes", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
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

Test(metadata, form_mismatch)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, pack);

	kit_expect_only(r, "chromem-metadata-form-mismatch", 1);
	cr_assert_str_eq(kit_finding(r, "chromem-metadata-form-mismatch")->actual, "gzip");
}

static void flip_checksum(const struct kit_dir *dir, const char *path)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	kit_read(dir, path, &bytes);
	kit_flip(dir, path, bytes.len - 7, 3);
}

Test(metadata, checksum)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_GZIP, flip_checksum);

	kit_expect_only(r, "chromem-metadata-checksum", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_DEGRADED);
}

static void rename_type(const struct kit_dir *dir, const char *path)
{
	kit_flip(dir, path, kit_find(dir, path, slice_str("map[string]string")), 0);
}

Test(metadata, foreign_encoding)
{
	cleanup_(kit_result_freep) struct kit_result *r = check_with(CHROMEM_PLAIN, rename_type);

	kit_expect_only(r, "chromem-metadata-foreign-encoding", 1);
	cr_assert_eq(r->summary.verdict, VERDICT_HEALTHY);
}

Test(metadata, zero_tail)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(vs_freep) char *path = kit_metadata_path(CHROMEM_PLAIN, "notes");
	cleanup_(kit_result_freep) struct kit_result *r = NULL;
	struct chromem_pair pair = { slice_str("owner"), slice_str("the harbour office") };
	cleanup_(buf_fini) struct buf gob = { 0 };

	chromem_encode_meta(&gob, slice_str("notes"), &pair, 1);
	kit_write(dir, path, buf_slice(&gob));
	kit_zero(dir, path, kit_find(dir, path, slice_str("owner")) - 2);
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-metadata-zero-tail", 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_SILENTLY_WRONG);
}

Test(metadata, unused)
{
	cleanup_(kit_dir_freep) struct kit_dir *dir = kit_healthy(CHROMEM_PLAIN);
	cleanup_(kit_result_freep) struct kit_result *r = NULL;

	kit_mkdir(dir, "01e68e25");
	kit_write_metadata(dir, CHROMEM_PLAIN, "01e68e25/00000000.gob", slice_str(""));
	r = kit_check_dir(dir, CHECK_FULL);
	kit_expect_only(r, "chromem-metadata-unused", 1);
	cr_assert_eq(r->summary.loadable, LOADABLE_YES);
	cr_assert_eq(r->summary.empty, 1);
}
