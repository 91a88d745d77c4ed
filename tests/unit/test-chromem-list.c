/* SPDX-License-Identifier: Apache-2.0 */

/* Names of files and directories, and the sorted listing of one directory. */

#include "chromem/chromem.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>

Test(layout, hashes_of_known_names)
{
	char text[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(slice_str("contextd_memories")), text);
	cr_assert_str_eq(text, "e9f85bf6");
	chromem_hash_format(chromem_hash(slice_str("conversations")), text);
	cr_assert_str_eq(text, "5c0dc939");
	cr_assert_eq(chromem_hash(slice_str("doc_1769074240109487073_3")), CHROMEM_META_KEY);
}

Test(layout, only_lower_case_digits_are_read)
{
	static const char *const wrong[] = { "",          "e9f85bf",    "e9f85bf60", "E9f85bf6",
					     "e9f85bg6",  "e9f85b/6",   "e9f85b:6",  "e9f85b`6",
					     " e9f85bf6", "e9f85b\3776" };
	uint32_t hash = 1;

	for (size_t i = 0; i < VS_COUNT(wrong); i++)
		cr_assert_not(chromem_hash_parse(slice_str(wrong[i]), &hash), "%s", wrong[i]);
	cr_assert_eq(hash, 1);
	cr_assert(chromem_hash_parse(slice_str("0e9f85bf"), &hash));
	cr_assert_eq(hash, 0x0e9f85bf);
	for (uint32_t value = 0; value < 0xf0000000; value += 0x01234567) {
		char text[CHROMEM_ID_LEN + 1];

		chromem_hash_format(value, text);
		cr_assert(chromem_hash_parse(slice_str(text), &hash));
		cr_assert_eq(hash, value);
	}
}

static struct chromem_list *load(int dirfd, enum chromem_compression c)
{
	struct chromem_list *list = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_list_load(&list, dirfd, NULL, c, &err), 0, "%s", err.text);
	return list;
}

/* ---- order ---- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Names that are close to each other, so that every way of comparing them wrongly shows. */
static void random_name(uint32_t *state, char out[64])
{
	static const char *const odd[] = { ".gob.bak", " (copy).gob",  "_old.gob", ".go",
					   "",         "-1.gob",       ".gob~",    ".gob.gzip",
					   "0.gob",    "\xc3\xa4.gob", ".GOB",     "\x01",
					   "g.gob.gz" };
	uint32_t kind = next_random(state) % 8;
	uint32_t hash = next_random(state) % 64 << 26 | next_random(state) % 3;
	char id[CHROMEM_ID_LEN + 1];

	chromem_hash_format(hash, id);
	if (kind == 6)
		id[next_random(state) % CHROMEM_ID_LEN] = "GfZ_.A"[next_random(state) % 6];
	if (kind < 3)
		snprintf(out, 64, "%s.gob", id);
	else if (kind < 5)
		snprintf(out, 64, "%s.gob.gz", id);
	else
		snprintf(out, 64, "%.*s%s", kind == 7 ? 5 : 8, id,
			 odd[next_random(state) % VS_COUNT(odd)]);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(a, b);
}

#define NAMES 1500

static void expect_sorted(int dirfd, enum chromem_compression c, char (*names)[64], size_t count)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = load(dirfd, c);
	struct chromem_entry entry;
	char scratch[32];
	size_t found;

	cr_assert_eq(chromem_list_count(list), count);
	cr_assert_not(chromem_list_find(list, "no such name", &found));
	for (size_t i = 0; i < count; i++) {
		chromem_list_at(list, i, scratch, &entry);
		cr_assert_str_eq(entry.name, names[i], "entry %zu", i);
		cr_assert(chromem_list_find(list, names[i], &found));
		cr_assert_eq(found, i);
	}
}

/* Every file, and one in eight as a link, which is kept in another way. */
static void order_of(uint32_t seed)
{
	static char names[NAMES][64];
	size_t count = 0;
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < NAMES; i++)
		random_name(&seed, names[i]);
	qsort(names, NAMES, sizeof(names[0]), by_bytes);
	for (size_t i = 0; i < NAMES; i++) {
		if (i > 0 && strcmp(names[i], names[count - 1]) == 0)
			continue;
		memmove(names[count], names[i], sizeof(names[i]));
		if (next_random(&seed) % 8 == 0)
			cr_assert_eq(symlinkat("nowhere", dirfd, names[count]), 0);
		else
			scratch_text(dirfd, names[count], "");
		count++;
	}
	cr_assert_gt(count, 400);
	expect_sorted(dirfd, CHROMEM_PLAIN, names, count);
	expect_sorted(dirfd, CHROMEM_GZIP, names, count);
	close(dirfd);
}

Test(chromem_list, is_sorted_as_the_bytes_of_the_names)
{
	order_of(1);
}

Test(chromem_list, is_sorted_whatever_the_names)
{
	order_of(77);
}

Test(chromem_list, many_keys_of_both_forms)
{
	static char names[1200][64];
	uint32_t state = 5;
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(names); i += 2) {
		uint32_t hash = next_random(&state) << 12 ^ next_random(&state);

		snprintf(names[i], 64, "%08x.gob", hash);
		snprintf(names[i + 1], 64, "%08x.gob.gz", hash ^ (i % 6 == 0 ? 0 : hash << 7));
		scratch_text(dirfd, names[i], "");
		scratch_text(dirfd, names[i + 1], "");
	}
	qsort(names, VS_COUNT(names), sizeof(names[0]), by_bytes);
	expect_sorted(dirfd, CHROMEM_PLAIN, names, VS_COUNT(names));
	expect_sorted(dirfd, CHROMEM_GZIP, names, VS_COUNT(names));
}

Test(chromem_list, copies_stand_where_the_library_reads_them)
{
	static const char *const order[] = { "00000000.gob", "80ea53b5 (copy).gob",
					     "80ea53b5.gob", "80ea53b5_old.gob",
					     "80ea53b6.gob", "x.gob" };
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	struct chromem_entry entry;
	char scratch[32];
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = VS_COUNT(order); i-- > 0;)
		scratch_text(dirfd, order[i], "");
	list = load(dirfd, CHROMEM_PLAIN);
	cr_assert_eq(chromem_list_count(list), VS_COUNT(order));
	for (size_t i = 0; i < VS_COUNT(order); i++) {
		chromem_list_at(list, i, scratch, &entry);
		cr_assert_str_eq(entry.name, order[i]);
	}
	cr_assert_eq(chromem_list_documents(list), 5);
}

/* ---- what an entry is ---- */

static void expect_entry(int dirfd, enum chromem_compression c, const char *name,
			 enum chromem_entry_class entry_class, bool is_ordinary, uint32_t key)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	struct chromem_entry entry = { 0 };
	char scratch[32];

	scratch_text(dirfd, name, "");
	list = load(dirfd, c);
	cr_assert_eq(chromem_list_count(list), 1);
	chromem_list_at(list, 0, scratch, &entry);
	cr_assert_str_eq(entry.name, name);
	cr_assert_eq(entry.type, FILE_REGULAR);
	cr_assert_eq(entry.entry_class, entry_class, "%s", name);
	cr_assert_eq(entry.is_ordinary, is_ordinary, "%s", name);
	cr_assert_eq(entry.key, key, "%s", name);
	cr_assert_eq(chromem_list_documents(list), entry_class == CHROMEM_ENTRY_DOCUMENT);
	cr_assert_eq(unlinkat(dirfd, name, 0), 0);
}

Test(chromem_list, classes_as_the_library_sees_them)
{
	int dirfd;

	scratch_new(&dirfd);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000000.gob", CHROMEM_ENTRY_METADATA, true, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000001.gob", CHROMEM_ENTRY_DOCUMENT, true, 1);
	expect_entry(dirfd, CHROMEM_PLAIN, "fffefdfc.gob", CHROMEM_ENTRY_DOCUMENT, true,
		     0xfffefdfc);
	expect_entry(dirfd, CHROMEM_PLAIN, "FFFEFDFC.gob", CHROMEM_ENTRY_DOCUMENT, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, ".gob", CHROMEM_ENTRY_DOCUMENT, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, ".00000001.gob", CHROMEM_ENTRY_DOCUMENT, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "000000000.gob", CHROMEM_ENTRY_DOCUMENT, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000001.gob.bak", CHROMEM_ENTRY_IGNORED, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000001.GOB", CHROMEM_ENTRY_IGNORED, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "gob", CHROMEM_ENTRY_IGNORED, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000001.gob.gz", CHROMEM_ENTRY_OTHER_FORM, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "00000000.gob.gz", CHROMEM_ENTRY_OTHER_FORM, false, 0);
	expect_entry(dirfd, CHROMEM_PLAIN, "x.gob.gz", CHROMEM_ENTRY_OTHER_FORM, false, 0);
	expect_entry(dirfd, CHROMEM_GZIP, "00000000.gob.gz", CHROMEM_ENTRY_METADATA, true, 0);
	expect_entry(dirfd, CHROMEM_GZIP, "00000001.gob.gz", CHROMEM_ENTRY_DOCUMENT, true, 1);
	expect_entry(dirfd, CHROMEM_GZIP, "x.gob.gz", CHROMEM_ENTRY_DOCUMENT, false, 0);
	expect_entry(dirfd, CHROMEM_GZIP, "00000001.gob", CHROMEM_ENTRY_OTHER_FORM, false, 0);
	expect_entry(dirfd, CHROMEM_GZIP, "00000000.gob", CHROMEM_ENTRY_OTHER_FORM, false, 0);
	expect_entry(dirfd, CHROMEM_GZIP, "00000001.gz", CHROMEM_ENTRY_IGNORED, false, 0);
}

Test(chromem_list, counts_by_setting)
{
	cleanup_(chromem_list_freep) struct chromem_list *plain = NULL;
	cleanup_(chromem_list_freep) struct chromem_list *gzip = NULL;
	static const char *const files[] = { "00000000.gob",    "00000000.gob.gz", "00000001.gob",
					     "00000001.gob.gz", "00000002.gob.gz", "x.gob",
					     "y.gob.gz",        "z.gob.gz",        "note.txt" };
	int dirfd;

	scratch_new(&dirfd);
	for (size_t i = 0; i < VS_COUNT(files); i++)
		scratch_text(dirfd, files[i], "");
	plain = load(dirfd, CHROMEM_PLAIN);
	gzip = load(dirfd, CHROMEM_GZIP);
	cr_assert_eq(chromem_list_documents(plain), 2);
	cr_assert_eq(chromem_list_documents(gzip), 4);
}

Test(chromem_list, types_stay_with_the_names)
{
	static const struct {
		const char *name;
		enum file_type type;
	} expected[] = {
		{ "00000000.gob", FILE_DIRECTORY },  { "00000001.gob", FILE_DIRECTORY },
		{ "00000002.gob", FILE_SYMLINK },    { "00000003.gob", FILE_FIFO },
		{ "00000004.gob", FILE_OTHER },      { "00000005.gob", FILE_REGULAR },
		{ "00000006.gob.gz", FILE_SYMLINK }, { "directory", FILE_DIRECTORY },
	};
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int dirfd;

	scratch_new(&dirfd);
	close(scratch_mkdir(dirfd, "00000000.gob"));
	close(scratch_mkdir(dirfd, "00000001.gob"));
	close(scratch_mkdir(dirfd, "directory"));
	cr_assert_eq(symlinkat("x", dirfd, "00000002.gob"), 0);
	cr_assert_eq(symlinkat("x", dirfd, "00000006.gob.gz"), 0);
	scratch_fifo(dirfd, "00000003.gob");
	scratch_socket(dirfd, "00000004.gob");
	scratch_text(dirfd, "00000005.gob", "");
	list = load(dirfd, CHROMEM_PLAIN);
	cr_assert_eq(chromem_list_count(list), VS_COUNT(expected));
	for (size_t i = 0; i < VS_COUNT(expected); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		cr_assert_str_eq(entry.name, expected[i].name);
		cr_assert_eq(entry.type, expected[i].type, "%s", entry.name);
		cr_assert_eq(entry.is_ordinary, i < 6);
	}
	cr_assert_eq(chromem_list_documents(list), 4);
}

Test(chromem_list, a_linked_metadata_file_is_no_document)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(symlinkat("elsewhere", dirfd, "00000000.gob"), 0);
	list = load(dirfd, CHROMEM_PLAIN);
	cr_assert_eq(chromem_list_documents(list), 0);
}

Test(chromem_list, an_empty_directory)
{
	cleanup_(chromem_list_freep) struct chromem_list *list = NULL;
	int dirfd;

	scratch_new(&dirfd);
	list = load(dirfd, CHROMEM_PLAIN);
	cr_assert_eq(chromem_list_count(list), 0);
	cr_assert_eq(chromem_list_documents(list), 0);
}
