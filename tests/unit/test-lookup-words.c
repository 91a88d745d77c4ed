/* SPDX-License-Identifier: Apache-2.0 */

/* Word lists: files of names in whatever form people have them. */

#include "lookup-kit.h"

#include <fcntl.h>
#include <sys/mman.h>

/* A file in memory with @text in it, open at its beginning. */
static int list_of(struct slice text)
{
	int fd = memfd_create("list", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		cr_assert_gt(n, 0);
		text = slice_of(text.ptr + n, text.len - (size_t)n);
	}
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Try the list @text. Returns the number of lines that were too long. */
static uint64_t try_list(struct lookup *l, struct slice text, bool with_rules)
{
	struct vs_err err = { 0 };
	uint64_t too_long = 0;
	int fd = list_of(text);

	cr_assert_eq(lookup_try_words(l, fd, "names.txt", with_rules, &too_long, &err), 0, "%s",
		     err.text);
	close(fd);
	return too_long;
}

Test(words, line_ends)
{
	static const char *const lists[] = { "a\nlost\nb\n", "a\r\nlost\r\nb\r\n", "a\nlost",
					     "\xef\xbb\xbflost\n", "\n\n\nlost\r\n" };
	static const unsigned lines[] = { 2, 2, 2, 1, 4 };

	for (size_t i = 0; i < VS_COUNT(lists); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost");
		struct lookup_answer a;
		char says[32];

		cr_assert_eq(try_list(l, slice_str(lists[i]), false), 0);
		a = kit_expect(l, "lost", LOOKUP_WORD_LIST);
		snprintf(says, sizeof(says), "line %u of names.txt", lines[i]);
		cr_assert_str_eq(a.candidates->evidence[0], says);
	}
}

Test(words, what_is_no_line)
{
	static const char *const lists[] = {
		"", "\n", "\r\n\r\n", "lost \n", " lost\n", "los\nt\n"
	};

	for (size_t i = 0; i < VS_COUNT(lists); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost");

		cr_assert_eq(try_list(l, slice_str(lists[i]), false), 0);
		kit_expect_nothing(l, kit_hash_str("lost"));
	}
}

Test(words, names_tried_are_counted)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost");
	struct lookup_answer a;

	cr_assert_eq(try_list(l, slice_str("a\nb\n\nc"), false), 0);
	lookup_answer(l, kit_hash_str("lost"), &a);
	cr_assert_eq(a.tried, 3);
}

Test(words, bytes_of_all_kinds)
{
	static const unsigned char list[] = "a\0b\n/\n..\n\xff\x01\n";
	static const struct {
		size_t len;
		unsigned char bytes[4];
	} names[] = { { 3, "a\0b" }, { 1, "/" }, { 2, ".." }, { 2, "\xff\x01" } };

	for (size_t i = 0; i < VS_COUNT(names); i++) {
		struct slice name = slice_of(names[i].bytes, names[i].len);
		cleanup_(lookup_freep) struct lookup *l = kit_lookup(kit_hash(name));
		struct lookup_answer a;

		cr_assert_eq(try_list(l, slice_of(list, sizeof(list) - 1), false), 0);
		lookup_answer(l, kit_hash(name), &a);
		cr_assert_eq(a.verdict, LOOKUP_FOUND);
		cr_assert(slice_eq(slice_of(a.candidates->name, a.candidates->name_len), name));
	}
}

/* ---- rules ---- */

Test(words, rules)
{
	static const struct {
		char list[24];
		char name[40];
		char says[48];
	} rows[] = {
		{ "Zenith\n", "Zenith_memories", "with \"memories\", a kind of record" },
		{ "My Zenith\n", "my_zenith", "line 1 of names.txt" },
		{ "My Zenith\n", "my_zenith_anti_patterns", "with \"anti_patterns\"" },
		{ "x\nzenith\n", "remediations_org_zenith", "line 2 of names.txt, behind" },
		{ "zenith", "contextd_zenith", "behind \"contextd_\"" },
		{ "zenith", "zenith_conversations", "with \"conversations\"" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(lookup_freep) struct lookup *l = kit_lookup_for(rows[i].name);
		struct lookup_answer a;

		cr_assert_eq(try_list(l, slice_str(rows[i].list), false), 0);
		kit_expect_nothing(l, kit_hash_str(rows[i].name));
		cr_assert_eq(try_list(l, slice_str(rows[i].list), true), 0);
		a = kit_expect(l, rows[i].name, LOOKUP_WORD_LIST);
		cr_assert(kit_has_evidence(a.candidates, rows[i].says), "%s",
			  a.candidates->evidence[0]);
	}
}

/* ---- large lists ---- */

/* @count numbered lines; each of @wanted is found, with its number, whatever the threads. */
static void expect_lines(size_t count, unsigned threads)
{
	const size_t lines[] = { 0, 1, count / 2, count - 2, count - 1 };
	cleanup_(pool_freep) struct pool *pool = pool_new(threads);
	cleanup_(buf_fini) struct buf list = { 0 };
	cleanup_(lookup_freep) struct lookup *l = NULL;
	uint32_t hashes[VS_COUNT(lines)];
	char name[64];

	for (size_t i = 0; i < count; i++)
		buf_printf(&list, "collection number %zu\r\n", i);
	for (size_t i = 0; i < VS_COUNT(lines); i++) {
		snprintf(name, sizeof(name), "collection number %zu", lines[i]);
		hashes[i] = kit_hash_str(name);
	}
	l = lookup_new(&(struct lookup_request){
		.hashes = hashes, .count = VS_COUNT(hashes), .pool = pool });
	cr_assert_eq(try_list(l, buf_slice(&list), false), 0);
	for (size_t i = 0; i < VS_COUNT(lines); i++) {
		struct lookup_answer a;

		snprintf(name, sizeof(name), "collection number %zu", lines[i]);
		a = kit_expect(l, name, LOOKUP_WORD_LIST);
		cr_assert_eq(a.tried, count);
		snprintf(name, sizeof(name), "line %zu of names.txt", lines[i] + 1);
		cr_assert_str_eq(a.candidates->evidence[0], name);
	}
}

Test(words, lists_of_several_blocks)
{
	expect_lines(500000, 1);
	expect_lines(500000, 3);
}

Test(words, the_longest_line_and_one_more_byte)
{
	cleanup_(buf_fini) struct buf list = { 0 };
	cleanup_(vs_freep) char *name = vs_alloc(LOOKUP_NAME_MAX + 1);
	uint32_t hashes[2];
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct lookup_answer a;

	memset(name, 'w', LOOKUP_NAME_MAX + 1);
	hashes[0] = kit_hash(slice_of(name, LOOKUP_NAME_MAX));
	hashes[1] = kit_hash(slice_of(name, LOOKUP_NAME_MAX + 1));
	buf_append(&list, name, LOOKUP_NAME_MAX);
	buf_append_str(&list, "\r\n");
	buf_append(&list, name, LOOKUP_NAME_MAX + 1);
	buf_append_str(&list, "\n");
	l = lookup_new(&(struct lookup_request){ .hashes = hashes, .count = 2 });
	cr_assert_eq(try_list(l, buf_slice(&list), false), 1);
	lookup_answer(l, hashes[0], &a);
	cr_assert_eq(a.verdict, LOOKUP_FOUND);
	kit_expect_nothing(l, hashes[1]);
}

/* A line over several blocks is passed over, and the ones behind it still have their numbers. */
Test(words, a_line_of_ten_megabytes)
{
	const size_t len = (size_t)10 << 20;
	cleanup_(buf_fini) struct buf list = { 0 };
	cleanup_(vs_freep) char *line = vs_alloc(len);
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost");
	struct lookup_answer a;

	memset(line, 'x', len);
	buf_append_str(&list, "a\n");
	buf_append(&list, line, len);
	buf_append_str(&list, "\nlost\n");
	buf_append(&list, line, len);
	cr_assert_eq(try_list(l, buf_slice(&list), false), 2);
	a = kit_expect(l, "lost", LOOKUP_WORD_LIST);
	cr_assert_str_eq(a.candidates->evidence[0], "line 3 of names.txt");
	cr_assert_eq(a.tried, 2);
}

/* ---- what can go wrong ---- */

Test(words, a_list_that_cannot_be_read)
{
	cleanup_(lookup_freep) struct lookup *l = kit_lookup_for("lost");
	struct vs_err err = { 0 };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(lookup_try_words(l, fd, "a directory", false, NULL, &err), VS_EIO);
	cr_assert(strstr(err.text, "a directory"), "%s", err.text);
	close(fd);
}

Test(words, cancelled)
{
	const uint32_t hash = kit_hash_str("lost");
	atomic_bool cancel = true;
	cleanup_(lookup_freep) struct lookup *l = lookup_new(
		&(struct lookup_request){ .hashes = &hash, .count = 1, .cancel = &cancel });
	struct vs_err err = { 0 };
	int fd = list_of(slice_str("lost\n"));

	cr_assert_eq(lookup_try_words(l, fd, "names.txt", false, NULL, &err), 1);
	kit_expect_nothing(l, hash);
	close(fd);
}
