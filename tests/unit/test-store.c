/* SPDX-License-Identifier: Apache-2.0 */

/* What is a store, what is none, and what vsctl says about that. */

#include "kit/scratch.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

/* The head of a gob file with these bytes of field names behind a type definition. */
#define GOB_HEAD "\x22\x7f\x03\x01\x02\xff\x80\x00"
#define GOB_EXPORT                                                                                 \
	GOB_HEAD "\x01\x01\x01\x0b"                                                                \
		 "Collections"
#define GOB_DOCUMENT                                                                               \
	GOB_HEAD "\x01\x04\x01\x02ID\x01\x0c\x00\x01\x09"                                          \
		 "Embedding"

static int root;
static const char *root_path;

static void begin(void)
{
	root_path = scratch_new(&root);
}

static const char *at(const char *below)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", root_path, below);
	return path;
}

/* Make the directories of a path. */
static void make(const char *path)
{
	char part[256];

	for (size_t i = 0; path[i]; i++) {
		if (path[i + 1] == '/' || path[i + 1] == '\0') {
			snprintf(part, sizeof(part), "%.*s", (int)i + 1, path);
			(void)!mkdirat(root, part, 0755);
		}
	}
}

static void make_file(const char *path, const char *text)
{
	char directory[256];
	const char *slash = strrchr(path, '/');

	if (slash) {
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
		make(directory);
	}
	scratch_text(root, path, text);
}

#define MAKE_BYTES(path, literal) scratch_write(root, path, literal, sizeof(literal) - 1)

static void make_gzip(const char *path, const void *bytes, size_t len)
{
	unsigned char packed[4096];
	z_stream z = { 0 };

	cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)bytes;
	z.avail_in = (uInt)len;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	scratch_write(root, path, packed, sizeof(packed) - z.avail_out);
	deflateEnd(&z);
}

static void expect_kind(const char *path, unsigned flags, enum store_kind kind)
{
	cleanup_(store_closep) struct store *store = NULL;
	struct vs_err err = { 0 };

	cr_assert_eq(store_open(&store, at(path), flags, &err), 0, "%s", err.text);
	cr_assert_eq(store->kind, kind, "%s", path);
	cr_assert_str_eq(store->path, at(path));
	cr_assert_eq(store->dirfd >= 0, kind != STORE_CHROMEM_EXPORT);
}

/* ROOT in what is expected stands for the scratch directory. */
static void expect_refusal(const char *path, enum vs_status status, const char *expected)
{
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(buf_fini) struct buf want = { 0 };
	struct vs_err err = { 0 };

	for (const char *s = expected; *s; s++) {
		if (strncmp(s, "ROOT", 4) == 0) {
			buf_append_str(&want, root_path);
			s += 3;
		} else {
			buf_append_byte(&want, (unsigned char)*s);
		}
	}
	cr_assert_eq(store_open(&store, at(path), 0, &err), status, "%s", path);
	cr_assert_null(store);
	cr_assert_str_eq(err.text, buf_cstr(&want));
}

/* ---- stores ---- */

Test(store, chromem_with_whatever_is_left_of_it)
{
	begin();
	make_file("healthy/ab5aa970/00000000.gob", "x");
	make_file("no-metadata/e9f85bf6/0123abcd.gob", "");
	make("no-files/e9f85bf6");
	make_file("packed/ab5aa970/00000000.gob.gz", "");
	make_file("odd-name/copy of ab5aa970/x.gob", "");
	make_file("stray/note.txt", "x");
	make_file("stray/ab5aa970/notes", "x");
	make_file("flat-files/00000000.gob", "");
	make("flat-files/ab5aa970");
	make("empty");
	make("linked");
	cr_assert_eq(symlinkat("../healthy/ab5aa970", root, "linked/ab5aa970"), 0);
	expect_kind("healthy", 0, STORE_CHROMEM);
	expect_kind("healthy/", 0, STORE_CHROMEM);
	expect_kind("no-metadata", 0, STORE_CHROMEM);
	expect_kind("no-files", 0, STORE_CHROMEM);
	expect_kind("packed", 0, STORE_CHROMEM);
	expect_kind("odd-name", 0, STORE_CHROMEM);
	expect_kind("stray", 0, STORE_CHROMEM);
	expect_kind("flat-files", 0, STORE_CHROMEM);
	expect_kind("empty", 0, STORE_CHROMEM);
	expect_kind("linked", 0, STORE_CHROMEM);
	expect_kind("healthy/ab5aa970", STORE_ASSUME_CHROMEM, STORE_CHROMEM);
	cr_assert_str_eq(store_kind_name(STORE_CHROMEM), "chromem");
}

Test(store, chromem_through_a_link)
{
	begin();
	make_file("healthy/ab5aa970/00000000.gob", "x");
	cr_assert_eq(symlinkat("healthy", root, "link"), 0);
	expect_kind("link", 0, STORE_CHROMEM);
}

#define UUID "0b5c1f8e-58f2-4f0a-9d7e-0123456789ab"

Test(store, chroma_with_or_without_its_database)
{
	begin();
	make_file("whole/chroma.sqlite3", "SQLite format 3");
	make_file("whole/" UUID "/header.bin", "");
	make_file("no-database/" UUID "/header.bin", "");
	make_file("both/chroma.sqlite3", "");
	make_file("both/ab5aa970/00000000.gob", "");
	expect_kind("whole", 0, STORE_CHROMA);
	expect_kind("no-database", 0, STORE_CHROMA);
	expect_kind("both", 0, STORE_CHROMA);
	cr_assert_str_eq(store_kind_name(STORE_CHROMA), "chroma");
}

Test(store, exports)
{
	begin();
	MAKE_BYTES("plain", GOB_EXPORT);
	MAKE_BYTES("backup.gob", "\x7f"
				 "damaged");
	make_gzip("packed", GOB_EXPORT, sizeof(GOB_EXPORT) - 1);
	MAKE_BYTES("chromem-go.gob.gz.enc", "\x91\x92\x93");
	MAKE_BYTES("sealed", "\x91\x92\x93");
	expect_kind("plain", 0, STORE_CHROMEM_EXPORT);
	expect_kind("backup.gob", 0, STORE_CHROMEM_EXPORT);
	expect_kind("packed", 0, STORE_CHROMEM_EXPORT);
	expect_kind("chromem-go.gob.gz.enc", 0, STORE_CHROMEM_EXPORT);
	expect_kind("sealed", STORE_HAS_KEY, STORE_CHROMEM_EXPORT);
	cr_assert_str_eq(store_kind_name(STORE_CHROMEM_EXPORT), "chromem");
	expect_refusal("sealed", VS_EFORMAT,
		       "ROOT/sealed: neither a store nor an export that can be read; if it is an "
		       "encrypted export, give its key: vsctl verify --key-file FILE");
}

/* ---- directories that are none ---- */

Test(store, a_collection_is_not_a_store)
{
	begin();
	make_file("store/ab5aa970/00000000.gob", "x");
	make_file("other store/0123abcd/notes.txt", "x");
	expect_refusal(
		"store/ab5aa970", VS_EFORMAT,
		"ROOT/store/ab5aa970: a collection directory inside a store; check the whole "
		"store: vsctl verify ROOT/store");
	expect_refusal(
		"store/ab5aa970/../ab5aa970/", VS_EFORMAT,
		"ROOT/store/ab5aa970/../ab5aa970/: a collection directory inside a store; check "
		"the whole store: vsctl verify ROOT/store");
	expect_refusal(
		"other store/0123abcd", VS_EFORMAT,
		"ROOT/other store/0123abcd: a collection directory inside a store; check the "
		"whole store: vsctl verify 'ROOT/other store'");
}

Test(store, a_vector_index_is_not_a_store)
{
	begin();
	make_file("store/" UUID "/header.bin", "x");
	expect_refusal("store/" UUID, VS_EFORMAT,
		       "ROOT/store/" UUID
		       ": the vector index of one collection of ChromaDB; check the "
		       "whole store: vsctl verify ROOT/store");
}

Test(store, state_directories)
{
	begin();
	make_file("it's.vsctl/audit.jsonl", "x");
	make("it's.vsctl/journal");
	make_file("state/audit.jsonl", "x");
	make("state/journal");
	expect_refusal(
		"it's.vsctl", VS_EFORMAT,
		"ROOT/it's.vsctl: the state directory that vsctl keeps for a store; check the "
		"store: vsctl verify 'ROOT/it'\\''s'");
	expect_refusal(
		"state", VS_EFORMAT,
		"ROOT/state: a state directory of vsctl (journal, audit log, snapshots), not a "
		"store; name the store that it belongs to: vsctl verify STORE");
}

Test(store, repositories)
{
	begin();
	make_file("restic/config", "x");
	make("restic/data/ab");
	make("restic/index");
	make("restic/keys");
	make("restic/snapshots");
	make_file("borg/config", "[repository]\nversion = 1\n");
	make("borg/data/0");
	make_file("bare.git/HEAD", "ref: refs/heads/main\n");
	make("bare.git/objects/ab");
	make("bare.git/refs");
	expect_refusal(
		"restic", VS_EFORMAT,
		"ROOT/restic: a restic repository; take the store out of it first: restic -r "
		"ROOT/restic restore latest --target DIR");
	expect_refusal("borg", VS_EFORMAT,
		       "ROOT/borg: a borg repository; take the store out of it first: borg extract "
		       "ROOT/borg::ARCHIVE");
	expect_refusal("bare.git", VS_EFORMAT,
		       "ROOT/bare.git: a git repository; check out its files first: git clone "
		       "ROOT/bare.git DIR");
}

Test(store, a_write_ahead_log)
{
	begin();
	make_file("contextd/wal/.hmac_key", "x");
	make_file("contextd/wal/add_0123.wal", "x");
	expect_refusal(
		"contextd/wal", VS_EFORMAT,
		"ROOT/contextd/wal: a write-ahead log of contextd, not a store; its store is "
		"beside it: vsctl verify --recursive ROOT/contextd");
}

Test(store, directories_of_something_else)
{
	begin();
	make_file("tenants/registry.json", "{}");
	make_file("tenants/acme/web/ab5aa970/00000000.gob", "x");
	make_file("project/src/main.c", "x");
	make_file("one/file", "x");
	expect_refusal(
		"tenants", VS_EFORMAT,
		"ROOT/tenants: not a store, but there are stores below it; check them all: vsctl "
		"verify --recursive ROOT/tenants");
	expect_refusal(
		"project/src", VS_EFORMAT,
		"ROOT/project/src: a directory without any collection of a vector store in it (1 "
		"entry); look further down with: vsctl verify --recursive ROOT/project/src");
	make_file("one/other", "x");
	expect_refusal("one", VS_EFORMAT,
		       "ROOT/one: a directory without any collection of a vector store in it (2 "
		       "entries); look further down with: vsctl verify --recursive ROOT/one");
}

/* ---- files that are none ---- */

Test(store, a_file_of_a_store)
{
	begin();
	make("store/ab5aa970");
	MAKE_BYTES("store/ab5aa970/00000000.gob", GOB_DOCUMENT);
	MAKE_BYTES("store/ab5aa970/0000000a.gob", "\x7f"
						  "damaged");
	MAKE_BYTES("taken-out", GOB_DOCUMENT);
	make_gzip("taken-out.gz", GOB_DOCUMENT, sizeof(GOB_DOCUMENT) - 1);
	make("chroma");
	MAKE_BYTES("chroma/chroma.sqlite3", "SQLite format 3\0");
	expect_refusal(
		"store/ab5aa970/00000000.gob", VS_EFORMAT,
		"ROOT/store/ab5aa970/00000000.gob: one file of a collection; check the whole "
		"store: vsctl verify ROOT/store");
	expect_refusal(
		"store/ab5aa970/0000000a.gob", VS_EFORMAT,
		"ROOT/store/ab5aa970/0000000a.gob: one file of a collection; check the whole "
		"store: vsctl verify ROOT/store");
	expect_refusal(
		"taken-out", VS_EFORMAT,
		"ROOT/taken-out: a single document or metadata file of a chromem-go store; name "
		"the store that it came from: vsctl verify STORE");
	expect_refusal(
		"taken-out.gz", VS_EFORMAT,
		"ROOT/taken-out.gz: a single document or metadata file of a chromem-go store; "
		"name the store that it came from: vsctl verify STORE");
	expect_refusal(
		"chroma/chroma.sqlite3", VS_EFORMAT,
		"ROOT/chroma/chroma.sqlite3: the database of a ChromaDB store; check the whole "
		"store: vsctl verify ROOT/chroma");
}

Test(store, files_of_something_else)
{
	char tar[512] = "file";

	begin();
	memcpy(tar + 257, "ustar", 5);
	MAKE_BYTES("db", "SQLite format 3\0and more");
	MAKE_BYTES("zip", "PK\003\004 and more");
	MAKE_BYTES("zst", "\x28\xb5\x2f\xfd and more");
	MAKE_BYTES("xz", "\xfd"
			 "7zXZ\0 and more");
	MAKE_BYTES("bz2", "BZh91AY&SY");
	MAKE_BYTES("7z", "7z\xbc\xaf\x27\x1c");
	scratch_write(root, "tar", tar, sizeof(tar));
	make_gzip("tgz", tar, sizeof(tar));
	make_gzip("gz", "hello", 5);
	MAKE_BYTES("text", "caf\xc3\xa9\n");
	MAKE_BYTES("empty", "");
	expect_refusal(
		"db", VS_EFORMAT,
		"ROOT/db: an SQLite database that is not Chroma's; a store is a directory, name "
		"that one");
	expect_refusal("tar", VS_EFORMAT,
		       "ROOT/tar: a tar archive; unpack it, then vsctl verify DIR");
	expect_refusal(
		"tgz", VS_EFORMAT,
		"ROOT/tgz: a tar archive, packed with gzip; unpack it, then vsctl verify DIR");
	expect_refusal("zip", VS_EFORMAT,
		       "ROOT/zip: a zip archive; unpack it, then vsctl verify DIR");
	expect_refusal("zst", VS_EFORMAT,
		       "ROOT/zst: zstd-compressed data; if it is a snapshot of vsctl, restore it, "
		       "otherwise unpack it, then vsctl verify DIR");
	expect_refusal("xz", VS_EFORMAT,
		       "ROOT/xz: an xz-compressed file; unpack it, then vsctl verify DIR");
	expect_refusal("bz2", VS_EFORMAT,
		       "ROOT/bz2: a bzip2-compressed file; unpack it, then vsctl verify DIR");
	expect_refusal("7z", VS_EFORMAT,
		       "ROOT/7z: a 7-zip archive; unpack it, then vsctl verify DIR");
	expect_refusal(
		"gz", VS_EFORMAT,
		"ROOT/gz: gzip data that are no export of a store; name the directory that the "
		"application opens: vsctl verify DIR");
	expect_refusal(
		"text", VS_EFORMAT,
		"ROOT/text: a text file; name the directory that the application opens: vsctl "
		"verify DIR");
	expect_refusal("empty", VS_EFORMAT,
		       "ROOT/empty: an empty file; name the directory that the application opens: "
		       "vsctl verify DIR");
}

Test(store, neither_file_nor_directory)
{
	begin();
	scratch_fifo(root, "fifo");
	scratch_socket(root, "socket");
	alarm(10);
	expect_refusal(
		"fifo", VS_EFORMAT,
		"ROOT/fifo: a FIFO; name the directory that the application opens: vsctl verify "
		"DIR");
	expect_refusal("socket", VS_EFORMAT,
		       "ROOT/socket: a socket or device; name the directory that the application "
		       "opens: vsctl verify DIR");
}

/* ---- what cannot be opened ---- */

Test(store, nothing_there_and_nothing_made)
{
	struct stat st;

	begin();
	make_file("file", "x");
	expect_refusal("gone", VS_ENOENT,
		       "ROOT/gone: there is no such file or directory, and none was made; name the "
		       "directory that the application opens: vsctl verify DIR");
	expect_refusal(
		"file/below", VS_ENOENT,
		"ROOT/file/below: there is no such file or directory, and none was made; name "
		"the directory that the application opens: vsctl verify DIR");
	cr_assert_eq(fstatat(root, "gone", &st, 0), -1);
}

static int open_forbidden(void *ctx)
{
	struct stat st;
	char expected[8192];

	(void)ctx;
	if (fstatat(root, "forbidden", &st, 0) < 0)
		return 1;
	if (st.st_uid == geteuid())
		snprintf(expected, sizeof(expected),
			 "ROOT/forbidden: permission denied, though it is yours; give yourself the "
			 "right to read it: chmod u+rx ROOT/forbidden");
	else
		snprintf(expected, sizeof(expected),
			 "ROOT/forbidden: permission denied; run vsctl as its owner: sudo -u '#%u' "
			 "vsctl verify ROOT/forbidden",
			 st.st_uid);
	expect_refusal("forbidden", VS_EACCES, expected);
	expect_refusal(
		"closed/store", VS_EACCES,
		"ROOT/closed/store: permission denied on the way to it; run vsctl as the user "
		"that the application runs as");
	return 0;
}

Test(store, what_may_not_be_read)
{
	begin();
	make("forbidden");
	make("closed/store");
	cr_assert_eq(fchmodat(root, "forbidden", 0, 0), 0);
	cr_assert_eq(fchmodat(root, "closed", 0, 0), 0);
	cr_assert_eq(scratch_as_nobody(open_forbidden, NULL), 0);
	cr_assert_eq(fchmodat(root, "forbidden", 0755, 0), 0);
	cr_assert_eq(fchmodat(root, "closed", 0755, 0), 0);
}

static int open_with_closed_collection(void *ctx)
{
	(void)ctx;
	expect_kind("store", 0, STORE_CHROMEM);
	return 0;
}

Test(store, a_collection_that_may_not_be_read_is_damage)
{
	begin();
	make("store/ab5aa970");
	cr_assert_eq(fchmodat(root, "store/ab5aa970", 0, 0), 0);
	cr_assert_eq(scratch_as_nobody(open_with_closed_collection, NULL), 0);
	cr_assert_eq(fchmodat(root, "store/ab5aa970", 0755, 0), 0);
}

/* ---- stores inside stores ---- */

static void expect_nested(const char *path, const char *expected)
{
	cleanup_(buf_fini) struct buf got = { 0 };
	struct vs_err err = { 0 };
	char **paths = NULL;
	size_t count = 0;

	cr_assert_eq(store_find_nested(at(path), &paths, &count, &err), 0, "%s", err.text);
	for (size_t i = 0; i < count; i++) {
		buf_printf(&got, "%s\n", paths[i]);
		free(paths[i]);
	}
	free(paths);
	cr_assert_str_eq(buf_cstr(&got), expected);
}

Test(store_nested, every_level_of_a_tree)
{
	begin();
	make_file("base/registry.json", "{}");
	make_file("base/acme/ab5aa970/00000000.gob", "x");
	make_file("base/acme/web/ab5aa970/00000000.gob", "x");
	make_file("base/acme/web-2/ab5aa970/00000000.gob.gz", "x");
	make_file("base/acme/team/app/ab5aa970/00000000.gob", "x");
	make_file("base/deadbeef/app/ab5aa970/00000000.gob", "x");
	make_file("base/acme/.quarantine/ab5aa971/00000000.gob", "x");
	make_file("base/acme.vsctl/old/ab5aa971/00000000.gob", "x");
	make_file("base/python/chroma.sqlite3", "x");
	make("base/empty/nothing");
	cr_assert_eq(symlinkat("acme", root, "base/link"), 0);
	expect_nested("base", "acme\nacme/team/app\nacme/web\nacme/web-2\ndeadbeef/app\npython\n");
	expect_nested("base/acme", ".\nteam/app\nweb\nweb-2\n");
	expect_nested("base/empty", "");
}

Test(store_nested, the_fallback_store_of_a_project)
{
	begin();
	make_file("project/src/main.c", "x");
	make_file("project/.claude/contextd/store/ab5aa970/00000000.gob", "x");
	make_file("project/.claude/contextd/wal/.hmac_key", "x");
	expect_nested("project", ".claude/contextd/store\n");
}

Test(store_nested, depth_is_bounded)
{
	begin();
	make_file("1/2/3/4/5/6/7/8/ab5aa970/00000000.gob", "x");
	make_file("1/2/3/4/5/6/7/8/9/ab5aa970/00000000.gob", "x");
	expect_nested("", "1/2/3/4/5/6/7/8\n");
}

Test(store_nested, a_stray_file_does_not_hide_what_is_below)
{
	begin();
	make_file("base/team/stray.gob", "x");
	make_file("base/team/app/ab5aa970/00000000.gob", "x");
	/* The stray file makes a collection of the directory, and so a store of the one above. */
	expect_nested("base", ".\nteam/app\n");
}

static int find_with_closed_directory(void *ctx)
{
	(void)ctx;
	expect_nested("base", "acme\nclosed\n");
	return 0;
}

Test(store_nested, what_may_not_be_read_is_not_passed_over)
{
	begin();
	make_file("base/acme/ab5aa970/00000000.gob", "x");
	make("base/acme/ab5aa971");
	make("base/closed");
	cr_assert_eq(fchmodat(root, "base/closed", 0, 0), 0);
	cr_assert_eq(fchmodat(root, "base/acme/ab5aa971", 0, 0), 0);
	cr_assert_eq(scratch_as_nobody(find_with_closed_directory, NULL), 0);
	cr_assert_eq(fchmodat(root, "base/closed", 0755, 0), 0);
	cr_assert_eq(fchmodat(root, "base/acme/ab5aa971", 0755, 0), 0);
}

Test(store_nested, the_first_directory_must_be_there)
{
	struct vs_err err = { 0 };
	char **paths = NULL;
	size_t count = 0;

	begin();
	cr_assert_eq(store_find_nested(at("gone"), &paths, &count, &err), VS_ENOENT);
	cr_assert(strstr(err.text, "/gone: there is no such"), "%s", err.text);
}
