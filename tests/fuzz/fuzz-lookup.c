/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hostile hints for the search for names. The first byte says what the rest is:
 *
 *	m	lines: up to four sets, the mask last
 *	w	a word list; W with rules
 *	s	a store: lines "key=value" of a document, "#name" of another collection, "@id"
 *	r	contextd's registry
 *	k	the file of remembered names
 *
 * The oracles: a name that must be found is (the last name of a mask, the last line of a list, each
 * name of another collection), and whatever is found has the hash that it is found for.
 */

#include "lookup/lookup.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Masks are searched up to this many names. */
#define MASK_SEARCHED 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool claim)
{
	if (!claim)
		abort();
}

static uint32_t hash_of(struct slice name)
{
	struct digest digest;

	digest_of(name, &digest);
	return load_be32(digest.bytes);
}

/* Take the next line off @rest. */
static bool take_line(struct slice *rest, struct slice *line)
{
	const unsigned char *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->ptr, '\n', rest->len);
	*line = slice_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
	rest->ptr += line->len + (end ? 1 : 0);
	rest->len -= line->len + (end ? 1 : 0);
	return true;
}

static bool has_name(const struct lookup_answer *a, struct slice name)
{
	for (size_t i = 0; i < a->count; i++) {
		if (slice_eq(slice_of(a->candidates[i].name, a->candidates[i].name_len), name))
			return true;
	}
	return false;
}

/* All that was found for @hash has that hash, and a reason. */
static void check_answer(const struct lookup *l, uint32_t hash, struct lookup_answer *a)
{
	lookup_answer(l, hash, a);
	require((a->verdict == LOOKUP_NOTHING) == (a->count == 0));
	for (size_t i = 0; i < a->count; i++) {
		const struct lookup_candidate *c = &a->candidates[i];

		require(c->name_len > 0 && hash_of(slice_of(c->name, c->name_len)) == hash);
		require(c->evidence_count > 0 && c->tried > 0 && c->tried <= a->tried);
		for (size_t k = 0; k < c->evidence_count; k++)
			require(utf8_is_valid(slice_str(c->evidence[k])));
	}
}

static struct lookup *search_for(uint32_t hash)
{
	return lookup_new(&(struct lookup_request){ .hashes = &hash, .count = 1 });
}

static void try_mask(struct slice text)
{
	cleanup_(mask_freep) struct mask *mask = NULL;
	cleanup_(lookup_freep) struct lookup *l = NULL;
	char *lines[MASK_CUSTOM_COUNT + 1] = { NULL };
	const char *sets[MASK_CUSTOM_COUNT] = { NULL };
	unsigned char name[MASK_LEN_MAX];
	struct lookup_answer a;
	struct vs_err err;
	struct slice line;
	size_t count = 0;
	uint32_t hash;

	while (count < VS_COUNT(lines) && take_line(&text, &line))
		lines[count++] = vs_strndup(line);
	for (size_t i = 0; i + 1 < count; i++)
		sets[i] = lines[i];
	if (count > 0 && mask_parse(&mask, lines[count - 1], sets, &err) == 0 &&
	    mask_size(mask) <= MASK_SEARCHED) {
		mask_at(mask, mask_size(mask) - 1, name);
		hash = hash_of(slice_of(name, mask_len(mask)));
		l = search_for(hash);
		require(lookup_try_mask(l, mask) == 0);
		check_answer(l, hash, &a);
		require(has_name(&a, slice_of(name, mask_len(mask))));
		require(a.tried == mask_size(mask));
	}
	for (size_t i = 0; i < count; i++)
		free(lines[i]);
}

/* A file in memory; -1 when the system gives none. */
static int file_of(struct slice text)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	require(fd >= 0);
	require(write(fd, text.ptr, text.len) == (ssize_t)text.len);
	require(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void try_words(struct slice text, bool with_rules)
{
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct slice rest = text, line, last = { 0 };
	struct lookup_answer a;
	struct vs_err err;
	uint64_t too_long;
	int fd = file_of(text);

	if (rest.len >= 3 && memcmp(rest.ptr, "\xef\xbb\xbf", 3) == 0)
		rest = slice_of(rest.ptr + 3, rest.len - 3);
	while (take_line(&rest, &line)) {
		if (slice_ends_with(line, "\r"))
			line.len--;
		if (line.len > 0 && line.len <= LOOKUP_NAME_MAX)
			last = line;
	}
	l = search_for(hash_of(last));
	require(lookup_try_words(l, fd, "list", with_rules, &too_long, &err) == 0);
	check_answer(l, hash_of(last), &a);
	require(last.len == 0 || has_name(&a, last));
	close(fd);
}

#define PAIRS_MAX 64

static void try_store(struct slice text)
{
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct chromem_pair pairs[PAIRS_MAX];
	struct slice rest = text, line, id = { 0 }, sibling = { 0 };
	struct lookup_answer a;
	size_t count = 0;
	uint32_t hash;

	while (take_line(&rest, &line)) {
		if (line.len > 0 && line.ptr[0] == '#')
			sibling = slice_of(line.ptr + 1, line.len - 1);
	}
	hash = hash_of(sibling);
	l = search_for(hash);
	for (rest = text; take_line(&rest, &line);) {
		const unsigned char *equals = memchr(line.ptr, '=', line.len);
		size_t len = equals ? (size_t)(equals - line.ptr) : 0;

		if (line.len > 0 && line.ptr[0] == '#')
			lookup_add_name(l, LOOKUP_SIBLING, slice_of(line.ptr + 1, line.len - 1),
					NULL);
		else if (line.len > 0 && line.ptr[0] == '@')
			id = slice_of(line.ptr + 1, line.len - 1);
		else if (equals && count < PAIRS_MAX)
			pairs[count++] =
				(struct chromem_pair){ slice_of(line.ptr, len),
						       slice_of(equals + 1, line.len - len - 1) };
	}
	lookup_add_document(l, hash, id, pairs, count);
	lookup_add_document(l, 0, id, pairs, count / 2);
	lookup_try_composed(l);
	check_answer(l, hash, &a);
	require(a.tried <= LOOKUP_COMPOSED_MAX);
	require(sibling.len == 0 || sibling.len > LOOKUP_NAME_MAX || has_name(&a, sibling));
}

static void try_registry(struct slice text)
{
	cleanup_(lookup_freep) struct lookup *l = search_for(0xe9f85bf6);
	struct lookup_answer a;
	struct vs_err err;

	(void)!lookup_add_registry(l, text, &err);
	lookup_try_composed(l);
	check_answer(l, 0xe9f85bf6, &a);
	require(has_name(&a, slice_str("contextd_memories")));
}

/* The reader wants a directory: one that goes away with the process. */
static char known_path[] = "/tmp/fuzz-lookup-XXXXXX";

static void remove_known(void)
{
	rmdir(known_path);
}

static void try_known(struct slice text)
{
	static int dirfd = -1;
	cleanup_(lookup_freep) struct lookup *l = search_for(0xe9f85bf6);
	const struct slice name = slice_str("contextd_memories");
	struct lookup_answer a;
	struct vs_err err;
	int fd;

	if (dirfd < 0) {
		require(mkdtemp(known_path) && atexit(remove_known) == 0);
		dirfd = open(known_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		require(dirfd >= 0);
	}
	fd = openat(dirfd, KNOWN_NAMES_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
	close(fd);
	require(known_names_add(dirfd, &name, 1, "fuzz", 0, NULL, &err) == 0);
	require(known_names_load(l, dirfd, NULL, &err) == 0);
	lookup_try_seen(l);
	check_answer(l, 0xe9f85bf6, &a);
	require(has_name(&a, name));
	unlinkat(dirfd, KNOWN_NAMES_FILE, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;

	if (size == 0)
		return 0;
	rest = slice_of(data + 1, size - 1);
	switch (data[0]) {
	case 'm':
		try_mask(rest);
		break;
	case 'w':
	case 'W':
		try_words(rest, data[0] == 'W');
		break;
	case 's':
		try_store(rest);
		break;
	case 'r':
		try_registry(rest);
		break;
	case 'k':
		try_known(rest);
		break;
	default:
		break;
	}
	return 0;
}
