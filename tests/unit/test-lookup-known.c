/* SPDX-License-Identifier: Apache-2.0 */

/* The names that earlier runs saw: written, read again, and read when the file is not as it was. */

#include "file/file.h"
#include "kit/scratch.h"
#include "lookup-kit.h"

#include <sys/stat.h>

#define NOW_NS INT64_C(1769090589000000000) /* 2026-01-22T14:03:09Z */

static size_t add(int dirfd, const struct slice *names, size_t count)
{
	struct vs_err err = { 0 };
	size_t added = 0;

	cr_assert_eq(known_names_add(dirfd, names, count, "verify", NOW_NS, &added, &err), 0, "%s",
		     err.text);
	return added;
}

static size_t add_str(int dirfd, const char *name)
{
	struct slice s = slice_str(name);

	return add(dirfd, &s, 1);
}

/* The whole file, as text. */
static const char *content(int dirfd, struct buf *out)
{
	struct vs_err err = { 0 };

	cr_assert_eq(
		file_read_at(dirfd, KNOWN_NAMES_FILE, FILE_NO_FOLLOW, 1 << 20, out, NULL, &err), 0,
		"%s", err.text);
	return buf_cstr(out);
}

/* Was @name remembered? */
static bool remembers(int dirfd, struct slice name, uint64_t bad_lines)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(kit_hash(name));
	struct vs_err err = { 0 };
	struct lookup_answer a;
	uint64_t bad = 0;

	cr_assert_eq(known_names_load(l, dirfd, &bad, &err), 0, "%s", err.text);
	cr_assert_eq(bad, bad_lines);
	lookup_try_seen(l);
	lookup_answer(l, kit_hash(name), &a);
	if (a.verdict == LOOKUP_NOTHING)
		return false;
	cr_assert_eq(a.candidates->source, LOOKUP_REMEMBERED);
	cr_assert(slice_eq(slice_of(a.candidates->name, a.candidates->name_len), name));
	return true;
}

static bool remembers_str(int dirfd, const char *name, uint64_t bad_lines)
{
	return remembers(dirfd, slice_str(name), bad_lines);
}

Test(known, a_name_comes_back)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("contextd_memories");
	struct vs_err err = { 0 };
	struct lookup_answer a;
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(add_str(dirfd, "contextd_memories"), 1);
	cr_assert_str_eq(content(dirfd, &text),
			 "{\"schema\":1,\"hash\":\"e9f85bf6\",\"name\":\"contextd_memories\","
			 "\"first_seen\":\"2026-01-22T14:03:09Z\",\"source\":\"verify\"}\n");
	cr_assert_eq(known_names_load(l, dirfd, NULL, &err), 0);
	lookup_try_seen(l);
	a = kit_expect(l, "contextd_memories", LOOKUP_REMEMBERED);
	cr_assert(kit_has_evidence(a.candidates,
				   "seen in this store at 2026-01-22T14:03:09Z (verify)"));
}

Test(known, only_the_owner_may_read_it)
{
	struct stat st;
	int dirfd;

	scratch_new(&dirfd);
	add_str(dirfd, "a");
	cr_assert_eq(fstatat(dirfd, KNOWN_NAMES_FILE, &st, 0), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(known, nothing_is_remembered_without_a_file)
{
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_not(remembers_str(dirfd, "a", 0));
	cr_assert_eq(add(dirfd, NULL, 0), 0);
	cr_assert_eq(faccessat(dirfd, KNOWN_NAMES_FILE, F_OK, 0), -1);
}

Test(known, each_name_is_written_once)
{
	const struct slice names[] = { slice_str("b"), slice_str("a"), slice_str("b"),
				       slice_str("") };
	cleanup_(buf_fini) struct buf text = { 0 };
	int dirfd;
	size_t len;

	scratch_new(&dirfd);
	cr_assert_eq(add(dirfd, names, 4), 2);
	len = strlen(content(dirfd, &text));
	cr_assert_eq(add(dirfd, names, 4), 0);
	cr_assert_eq(strlen(content(dirfd, &text)), len);
	cr_assert_eq(add_str(dirfd, "c"), 1);
	cr_assert(remembers_str(dirfd, "a", 0));
	cr_assert(remembers_str(dirfd, "b", 0));
	cr_assert(remembers_str(dirfd, "c", 0));
	cr_assert_not(remembers_str(dirfd, "d", 0));
}

/* Two collections can have the same hash; both are remembered. */
Test(known, two_names_with_one_hash)
{
	const struct slice names[] = { slice_str("umbrella_report_infra_remediations"),
				       slice_str("wonka_portal_queue_conversations") };
	cleanup_(lookup_freep) struct lookup *l = kit_lookup(0xce28adc0);
	struct vs_err err = { 0 };
	struct lookup_answer a;
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(add(dirfd, names, 2), 2);
	cr_assert_eq(known_names_load(l, dirfd, NULL, &err), 0);
	lookup_try_seen(l);
	lookup_answer(l, 0xce28adc0, &a);
	cr_assert_eq(a.verdict, LOOKUP_AMBIGUOUS);
}

Test(known, names_of_any_bytes)
{
	static const struct {
		size_t len;
		unsigned char bytes[16];
	} rows[] = {
		{ 4, "a\0b" },       { 3, "\xff\xfe\xfd" }, { 7, "\"quote\"" },
		{ 2, "\\n" },        { 2, "x\n" },          { 1, "\x7f" },
		{ 5, "n\xc3\xa4h" }, { 2, ".." },           { 6, "\x1b[31m" },
	};
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct slice name = slice_of(rows[i].bytes, rows[i].len);

		cr_assert_eq(add(dirfd, &name, 1), 1, "row %zu", i);
		cr_assert_eq(add(dirfd, &name, 1), 0, "row %zu", i);
	}
	for (size_t i = 0; i < VS_COUNT(rows); i++)
		cr_assert(remembers(dirfd, slice_of(rows[i].bytes, rows[i].len), 0), "row %zu", i);
}

Test(known, the_longest_name)
{
	cleanup_(vs_freep) char *bytes = vs_alloc(LOOKUP_NAME_MAX + 1);
	const struct slice names[] = { slice_of(bytes, LOOKUP_NAME_MAX),
				       slice_of(bytes, LOOKUP_NAME_MAX + 1) };
	int dirfd;

	scratch_new(&dirfd);
	memset(bytes, 0x01, LOOKUP_NAME_MAX + 1);
	cr_assert_eq(add(dirfd, names, 2), 1);
	cr_assert(remembers(dirfd, names[0], 0));
}

/* A crash leaves the beginning of a line; what is added next stands on a line of its own. */
Test(known, a_torn_line)
{
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, KNOWN_NAMES_FILE,
		     "{\"schema\":1,\"hash\":\"ca978112\",\"name\":\"a\"}\n"
		     "{\"schema\":1,\"hash\":\"3e23");
	cr_assert(remembers_str(dirfd, "a", 1));
	cr_assert_eq(add_str(dirfd, "b"), 1);
	cr_assert(remembers_str(dirfd, "a", 1));
	cr_assert(remembers_str(dirfd, "b", 1));
}

Test(known, lines_that_are_none)
{
	static const char *const lines[] = {
		"{}",
		"[]",
		"nonsense",
		"{\"schema\":1,\"name\":\"a\"}",                             /* no hash */
		"{\"schema\":1,\"hash\":\"ca978112\"}",                      /* no name */
		"{\"schema\":1,\"hash\":\"ca978113\",\"name\":\"a\"}",       /* another's hash */
		"{\"schema\":1,\"hash\":\"ca978112\",\"name\":7}",           /* no text */
		"{\"schema\":1,\"hash\":\"e3b0c442\",\"name\":\"\"}",        /* no name at all */
		"{\"schema\":1,\"hash\":\"ca978112\",\"name_hex\":\"6\"}",   /* half a byte */
		"{\"schema\":1,\"hash\":\"ca978112\",\"name_hex\":\"6x\"}",  /* no digits */
		"{\"schema\":1,\"hash\":\"ca978112\",\"name_hex\":\"616\"}", /* a byte and a half */
	};

	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(lines); i++) {
		cleanup_(buf_fini) struct buf text = { 0 };

		buf_printf(&text, "\n%s\n\n{\"hash\":\"3e23e816\",\"name\":\"b\"}\n", lines[i]);
		scratch_write(dirfd, KNOWN_NAMES_FILE, text.ptr, text.len);
		cr_assert_not(remembers_str(dirfd, "a", 1), "%s", lines[i]);
		cr_assert(remembers_str(dirfd, "b", 1), "%s", lines[i]);
	}
}

Test(known, a_name_in_hex)
{
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, KNOWN_NAMES_FILE, "{\"hash\":\"CA978112\",\"name_hex\":\"61\"}\n");
	cr_assert(remembers_str(dirfd, "a", 0));
	cr_assert_eq(add_str(dirfd, "a"), 0);
}

/* Somebody put a link there: its target is neither read nor written. */
Test(known, a_link_is_not_followed)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("a");
	cleanup_(buf_fini) struct buf text = { 0 };
	const struct slice name = slice_str("b");
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	scratch_text(dirfd, "elsewhere", "{\"hash\":\"ca978112\",\"name\":\"a\"}\n");
	cr_assert_eq(symlinkat("elsewhere", dirfd, KNOWN_NAMES_FILE), 0);
	cr_assert_lt(known_names_load(l, dirfd, NULL, &err), 0);
	cr_assert(strstr(err.text, KNOWN_NAMES_FILE), "%s", err.text);
	cr_assert_lt(known_names_add(dirfd, &name, 1, "verify", NOW_NS, NULL, &err), 0);
	cr_assert_eq(file_read_at(dirfd, "elsewhere", FILE_FOLLOW, 1 << 20, &text, NULL, &err), 0);
	cr_assert_str_eq(buf_cstr(&text), "{\"hash\":\"ca978112\",\"name\":\"a\"}\n");
}

Test(known, a_directory_in_its_place)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("a");
	struct vs_err err = { 0 };
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, KNOWN_NAMES_FILE));
	cr_assert_lt(known_names_load(l, dirfd, NULL, &err), 0);
	cr_assert(strstr(err.text, KNOWN_NAMES_FILE), "%s", err.text);
}
