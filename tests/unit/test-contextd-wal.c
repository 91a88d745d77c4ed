/* SPDX-License-Identifier: Apache-2.0 */

/* contextd's write-ahead log, as Go's encoder wrote it (tests/data/contextd-wal) and broken. */

#include "chromem/chromem.h"

#include <criterion/criterion.h>
#include <fcntl.h>

#define FIRST "add_00000000000000000000000000000001.wal"
#define ODD "add_00000000000000000000000000000002.wal"
#define DELETED "delete_00000000000000000000000000000003.wal"

/* What was handed on, as one text: "id>collection key=value;" and so on. */
static int append_doc(void *ctx, const struct contextd_wal_doc *doc, struct vs_err *err)
{
	struct buf *out = ctx;

	(void)err;
	buf_append(out, doc->id.ptr, doc->id.len);
	buf_append_byte(out, '>');
	buf_append(out, doc->collection.ptr, doc->collection.len);
	for (size_t i = 0; i < doc->metadata_count; i++) {
		buf_append_byte(out, ' ');
		buf_append(out, doc->metadata[i].key.ptr, doc->metadata[i].key.len);
		buf_append_byte(out, '=');
		buf_append(out, doc->metadata[i].value.ptr, doc->metadata[i].value.len);
	}
	buf_append_byte(out, ';');
	return 0;
}

static void load(const char *name, struct buf *out)
{
	char dir[4096];
	cleanup_(file_closep) int fd = -1;
	struct vs_err err = { 0 };

	snprintf(dir, sizeof(dir), "%s/tests/data/contextd-wal", getenv("SOURCE_ROOT"));
	cr_assert_eq(file_open_dir(AT_FDCWD, dir, FILE_FOLLOW, &fd, &err), 0, "%s", err.text);
	cr_assert_eq(file_read_at(fd, name, FILE_NO_FOLLOW, 1 << 20, out, NULL, &err), 0, "%s",
		     err.text);
}

static void expect(const char *name, const char *want)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf got = { 0 };
	struct vs_err err = { 0 };

	load(name, &bytes);
	cr_assert_eq(contextd_wal_docs(buf_slice(&bytes), append_doc, &got, &err), 0, "%s", name);
	cr_assert_str_eq(buf_cstr(&got), want);
}

Test(contextd_wal, documents_and_their_collections)
{
	expect(FIRST, "1769090589487073000>quarterly_figures_2026 project_id=ledger;"
		      "1769090589487073001>quarterly_figures_2026;");
}

/* Go's own decoder would refuse it where the type is not registered. */
Test(contextd_wal, metadata_of_an_unknown_type_are_left_out)
{
	expect(ODD, "odd>oddities_of_2026;");
}

Test(contextd_wal, deletions_name_no_collection)
{
	expect(DELETED, "");
}

static int stop(void *ctx, const struct contextd_wal_doc *doc, struct vs_err *err)
{
	(void)doc;
	(void)err;
	++*(unsigned *)ctx;
	return 7;
}

Test(contextd_wal, a_stop_is_handed_back)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };
	unsigned calls = 0;

	load(FIRST, &bytes);
	cr_assert_eq(contextd_wal_docs(buf_slice(&bytes), stop, &calls, &err), 7);
	cr_assert_eq(calls, 1);
}

/* Only the whole file is an entry; nothing is told of the beginning of one. */
Test(contextd_wal, cut_at_every_byte)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };

	load(FIRST, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		cleanup_(buf_fini) struct buf got = { 0 };

		cr_assert_eq(contextd_wal_docs(slice_of(bytes.ptr, len), append_doc, &got, &err), 1,
			     "%zu", len);
		cr_assert_eq(got.len, 0, "%zu", len);
	}
}

/* Whatever is changed: an answer, and slices that can be read. */
Test(contextd_wal, every_bit_flipped)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err err = { 0 };

	load(FIRST, &bytes);
	for (size_t at = 0; at < bytes.len * 8; at++) {
		cleanup_(buf_fini) struct buf got = { 0 };
		int r;

		bytes.ptr[at / 8] ^= (unsigned char)(1u << at % 8);
		r = contextd_wal_docs(buf_slice(&bytes), append_doc, &got, &err);
		cr_assert(r == 0 || r == 1, "bit %zu: %d", at, r);
		cr_assert(r == 0 || got.len == 0, "bit %zu", at);
		bytes.ptr[at / 8] ^= (unsigned char)(1u << at % 8);
	}
}
