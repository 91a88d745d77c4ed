/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What people give by mistake in place of a store, in one sentence each: what it looks like, then
 * what to type instead.
 */

#include "store/detect.h"

#include <fcntl.h>

/* ---- paths as one would type them ---- */

/* Owned. */
static char *quote(const char *path)
{
	struct buf out = { 0 };

	text_quote(&out, slice_str(path));
	return buf_take_str(&out);
}

/* The directory so many levels above, ready to be typed; owned. */
static char *above(const char *path, unsigned levels)
{
	cleanup_(vs_freep) char *real = realpath(path, NULL);

	if (!real)
		return vs_strdup("..");
	for (; levels > 0; levels--) {
		char *slash = strrchr(real, '/');

		if (slash)
			*(slash > real ? slash : slash + 1) = '\0';
	}
	return quote(real);
}

static const char *last_part(const char *path, char out[256])
{
	cleanup_(vs_freep) char *real = realpath(path, NULL);
	const char *slash = real ? strrchr(real, '/') : NULL;

	snprintf(out, 256, "%s", slash ? slash + 1 : "");
	return out;
}

/* ---- directories ---- */

static int belongs_above(const char *path, unsigned levels, const char *what, struct vs_err *err)
{
	cleanup_(vs_freep) char *store = above(path, levels);

	return vs_fail(err, VS_EFORMAT, "%s: %s; check the whole store: vsctl verify %s", path,
		       what, store);
}

static int is_state_directory(const char *path, struct vs_err *err)
{
	cleanup_(vs_freep) char *state = realpath(path, NULL);
	cleanup_(vs_freep) char *store = NULL;
	size_t len = state ? strlen(state) : 0;
	const char *end = ".vsctl";

	if (len <= strlen(end) || strcmp(state + len - strlen(end), end) != 0)
		return vs_fail(
			err, VS_EFORMAT,
			"%s: a state directory of vsctl (journal, audit log, snapshots), not a "
			"store; name the store that it belongs to: vsctl verify STORE",
			path);
	state[len - strlen(end)] = '\0';
	store = quote(state);
	return vs_fail(
		err, VS_EFORMAT,
		"%s: the state directory that vsctl keeps for a store; check the store: vsctl "
		"verify %s",
		path, store);
}

static bool is_borg(int dirfd)
{
	cleanup_(buf_fini) struct buf head = { 0 };
	struct vs_err ignored;

	return file_read_head_at(dirfd, "config", FILE_NO_FOLLOW, 64, &head, NULL, &ignored) == 0 &&
	       head.len >= 12 && memcmp(head.ptr, "[repository]", 12) == 0;
}

/* Copies of stores may be in these, but packed. */
static int is_repository(const char *path, int dirfd, const struct survey *s, struct vs_err *err)
{
	cleanup_(vs_freep) char *typed = quote(path);

	if (survey_has(s, MARK_CONFIG | MARK_DATA | MARK_INDEX | MARK_KEYS | MARK_SNAPSHOTS))
		return vs_fail(
			err, VS_EFORMAT,
			"%s: a restic repository; take the store out of it first: restic -r %s "
			"restore latest --target DIR",
			path, typed);
	if (survey_has(s, MARK_CONFIG | MARK_DATA) && is_borg(dirfd))
		return vs_fail(
			err, VS_EFORMAT,
			"%s: a borg repository; take the store out of it first: borg extract "
			"%s::ARCHIVE",
			path, typed);
	if (survey_has(s, MARK_GIT_HEAD | MARK_GIT_OBJECTS | MARK_GIT_REFS))
		return vs_fail(err, VS_EFORMAT,
			       "%s: a git repository; check out its files first: git clone %s DIR",
			       path, typed);
	return 0;
}

/* contextd puts it beside the store that it belongs to. */
static int is_wal(const char *path, struct vs_err *err)
{
	cleanup_(vs_freep) char *parent = above(path, 1);

	return vs_fail(
		err, VS_EFORMAT,
		"%s: a write-ahead log of contextd, not a store; its store is beside it: vsctl "
		"verify --recursive %s",
		path, parent);
}

static int stop_at_first(void *ctx, const char *path)
{
	(void)path;
	*(bool *)ctx = true;
	return 1;
}

static bool has_stores_below(int dirfd)
{
	struct vs_err ignored;
	bool found = false;

	return nested_search(dirfd, SEARCH_HINT_LIMIT, stop_at_first, &found, &ignored) >= 0 &&
	       found;
}

/* Nothing that has a name. */
static int is_some_directory(const char *path, int dirfd, const struct survey *s,
			     struct vs_err *err)
{
	cleanup_(vs_freep) char *typed = quote(path);

	if (has_stores_below(dirfd))
		return vs_fail(
			err, VS_EFORMAT,
			"%s: not a store, but there are stores below it; check them all: vsctl "
			"verify --recursive %s",
			path, typed);
	return vs_fail(
		err, VS_EFORMAT,
		"%s: a directory without any collection of a vector store in it (%zu entr%s); "
		"look further down with: vsctl verify --recursive %s",
		path, s->entries, s->entries == 1 ? "y" : "ies", typed);
}

int describe_directory(const char *path, int dirfd, const struct survey *s, struct vs_err *err)
{
	char name[256];
	int r;

	last_part(path, name);
	if (survey_has(s, MARK_AUDIT | MARK_JOURNAL) ||
	    (survey_skips(name) && strcmp(name, ".quarantine") != 0))
		return is_state_directory(path, err);
	if (survey_is_collection(s, name))
		return belongs_above(path, 1, "a collection directory inside a store", err);
	if (survey_has(s, MARK_HNSW))
		return belongs_above(path, 1, "the vector index of one collection of ChromaDB",
				     err);
	r = is_repository(path, dirfd, s, err);
	if (r < 0)
		return r;
	if (survey_has(s, MARK_WAL) && s->directory_count == 0)
		return is_wal(path, err);
	return is_some_directory(path, dirfd, s, err);
}

/* ---- files ---- */

static const struct signature {
	size_t off;
	const char *bytes;
	size_t len;
	const char *what;
	const char *instead;
} signatures[] = {
	{ 0, "SQLite format 3", 16, "an SQLite database that is not Chroma's",
	  "a store is a directory, name that one" },
	{ 257, "ustar", 5, "a tar archive", "unpack it, then vsctl verify DIR" },
	{ 0, "PK\003\004", 4, "a zip archive", "unpack it, then vsctl verify DIR" },
	{ 0, "\x28\xb5\x2f\xfd", 4, "zstd-compressed data",
	  "if it is a snapshot of vsctl, restore it, otherwise unpack it, then vsctl verify DIR" },
	{ 0,
	  "\xfd"
	  "7zXZ",
	  5, "an xz-compressed file", "unpack it, then vsctl verify DIR" },
	{ 0, "BZh", 3, "a bzip2-compressed file", "unpack it, then vsctl verify DIR" },
	{ 0, "7z\xbc\xaf", 4, "a 7-zip archive", "unpack it, then vsctl verify DIR" },
};

static const struct signature *find_signature(struct slice head)
{
	for (size_t i = 0; i < VS_COUNT(signatures); i++) {
		const struct signature *s = &signatures[i];

		if (head.len >= s->off + s->len && memcmp(head.ptr + s->off, s->bytes, s->len) == 0)
			return s;
	}
	return NULL;
}

/* Valid UTF-8, but for a character that the end of the head cuts, and no control bytes but white
 * space. */
static bool is_text(struct slice head)
{
	if (utf8_valid_len(head) + (head.len < DETECT_HEAD_LEN ? 0 : 3) < head.len)
		return false;
	for (size_t i = 0; i < head.len; i++)
		if (head.ptr[i] < 9 || (head.ptr[i] > 13 && head.ptr[i] < 32))
			return false;
	return true;
}

static int is_plain_file(const char *path, struct slice head, bool is_packed, struct vs_err *err)
{
	const struct signature *s = find_signature(head);

	if (s)
		return vs_fail(err, VS_EFORMAT, "%s: %s%s; %s", path, s->what,
			       is_packed ? ", packed with gzip" : "", s->instead);
	if (is_packed)
		return vs_fail(
			err, VS_EFORMAT,
			"%s: gzip data that are no export of a store; name the directory that "
			"the application opens: vsctl verify DIR",
			path);
	if (is_text(head))
		return vs_fail(
			err, VS_EFORMAT,
			"%s: a text file; name the directory that the application opens: vsctl "
			"verify DIR",
			path);
	return vs_fail(err, VS_EFORMAT,
		       "%s: neither a store nor an export that can be read; if it is an encrypted "
		       "export, give its key: vsctl verify --key-file FILE",
		       path);
}

int describe_file(const char *path, struct slice head, struct vs_err *err)
{
	unsigned char unpacked[DETECT_HEAD_LEN];
	size_t len = chromem_unpack_head(head, unpacked, sizeof(unpacked));
	struct slice content = len > 0 ? slice_of(unpacked, len) : head;
	char name[256];
	uint32_t hash;

	last_part(path, name);
	if (head.len == 0)
		return vs_fail(err, VS_EFORMAT,
			       "%s: an empty file; name the directory that the application opens: "
			       "vsctl verify DIR",
			       path);
	if (strcmp(name, "chroma.sqlite3") == 0)
		return belongs_above(path, 1, "the database of a ChromaDB store", err);
	if (chromem_hash_parse(slice_of(name, strcspn(name, ".")), &hash) &&
	    (strstr(name, ".gob") || chromem_peek(content) != CHROMEM_CONTENT_OTHER))
		return belongs_above(path, 2, "one file of a collection", err);
	if (chromem_peek(content) != CHROMEM_CONTENT_OTHER)
		return vs_fail(err, VS_EFORMAT,
			       "%s: a single document or metadata file of a chromem-go store; name "
			       "the store that it came from: vsctl verify STORE",
			       path);
	return is_plain_file(path, content, len > 0, err);
}

int describe_other(const char *path, enum file_type type, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT,
		       "%s: %s; name the directory that the application opens: vsctl verify DIR",
		       path, type == FILE_FIFO ? "a FIFO" : "a socket or device");
}

/* ---- what cannot be opened ---- */

int describe_refusal(const char *path, struct vs_err *err)
{
	cleanup_(vs_freep) char *typed = quote(path);
	struct file_info info;
	struct vs_err ignored;

	if (err->sysno == ENOENT || err->sysno == ENOTDIR)
		return vs_fail(
			err, VS_ENOENT,
			"%s: there is no such file or directory, and none was made; name the "
			"directory that the application opens: vsctl verify DIR",
			path);
	if (err->status != VS_EACCES)
		return err->status;
	if (file_stat_at(AT_FDCWD, path, FILE_FOLLOW, &info, &ignored) < 0)
		return vs_fail(
			err, VS_EACCES,
			"%s: permission denied on the way to it; run vsctl as the user that the "
			"application runs as",
			path);
	if (info.owner == geteuid())
		return vs_fail(
			err, VS_EACCES,
			"%s: permission denied, though it is yours; give yourself the right to "
			"read it: chmod u+r%s %s",
			path, info.type == FILE_DIRECTORY ? "x" : "", typed);
	return vs_fail(err, VS_EACCES,
		       "%s: permission denied; run vsctl as its owner: sudo -u '#%" PRIu32
		       "' vsctl verify %s",
		       path, info.owner, typed);
}
