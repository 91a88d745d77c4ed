/* SPDX-License-Identifier: Apache-2.0 */

/* Visiting a store: everything once, in order, whatever stands in the way. */

#include "chromem/chromem.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

/* ---- a store ---- */

static int root;

static void write_doc(int dirfd, const char *name, const char *id)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	static const float vector[] = { 0.6f, 0.8f };
	struct chromem_doc doc = { .id = slice_str(id),
				   .content = slice_str("text"),
				   .embedding = vector,
				   .dimension = 2 };

	chromem_encode_doc(&gob, &doc);
	scratch_write(dirfd, name, gob.ptr, gob.len);
	cr_assert_eq(fchmodat(dirfd, name, 0640, 0), 0);
}

/* A document under the name that belongs to its id. */
static void add_doc(int dirfd, const char *id)
{
	char name[32];

	snprintf(name, sizeof(name), "%08x.gob", chromem_hash(slice_str(id)));
	write_doc(dirfd, name, id);
}

static void write_meta(int dirfd, const char *name)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	struct chromem_pair pair = { slice_str("owner"), slice_str(name) };

	chromem_encode_meta(&gob, slice_str(name), &pair, 1);
	scratch_write(dirfd, "00000000.gob", gob.ptr, gob.len);
}

static int add_collection(const char *dir, const char *name, unsigned documents)
{
	int fd = scratch_mkdir(root, dir);

	write_meta(fd, name);
	for (unsigned i = 0; i < documents; i++) {
		char id[64];

		snprintf(id, sizeof(id), "%s-%u", name, i);
		add_doc(fd, id);
	}
	return fd;
}

/* ---- a visitor that writes down what it is told ---- */

struct chunk {
	struct buf log;
	size_t last; /* index of the last document, plus 1 */
	size_t documents;
};

struct log {
	struct buf text;
	pthread_t thread;
	const struct chromem_collection *open;
	size_t last; /* index of the last document of the open collection, plus 1 */
	size_t documents, chunks_out;
	bool is_brief;         /* documents are only counted */
	const char *stop_at;   /* callback that fails */
	const char *gone_file; /* removed when its collection begins */
	const char *gone_dir;  /* removed at the first entry */
};

static const char *const fault_names[] = {
	[CHROMEM_FAULT_NONE] = "none",
	[CHROMEM_FAULT_EMPTY] = "empty",
	[CHROMEM_FAULT_ZEROS] = "zeros",
	[CHROMEM_FAULT_TRUNCATED] = "truncated",
	[CHROMEM_FAULT_GZIP_TRUNCATED] = "gzip-truncated",
	[CHROMEM_FAULT_GZIP_CORRUPT] = "gzip-corrupt",
	[CHROMEM_FAULT_GOB] = "gob",
	[CHROMEM_FAULT_SHAPE] = "shape",
	[CHROMEM_FAULT_TOO_LARGE] = "too-large",
	[CHROMEM_FAULT_UNREADABLE] = "unreadable",
	[CHROMEM_FAULT_DANGLING] = "dangling",
	[CHROMEM_FAULT_NOT_A_FILE] = "not-a-file",
	[CHROMEM_FAULT_VANISHED] = "vanished",
	[CHROMEM_FAULT_BEING_WRITTEN] = "being-written",
};

static const char *const type_names[] = {
	[FILE_REGULAR] = "file", [FILE_DIRECTORY] = "directory", [FILE_SYMLINK] = "link",
	[FILE_FIFO] = "fifo",    [FILE_OTHER] = "other",         [FILE_UNKNOWN] = "unknown",
};

static int answer(struct log *log, const char *callback, struct vs_err *err)
{
	cr_assert(pthread_equal(pthread_self(), log->thread), "%s: on another thread", callback);
	if (log->stop_at && strcmp(log->stop_at, callback) == 0)
		return vs_fail(err, VS_EBUSY, "stopped at %s", callback);
	return 0;
}

static int on_entry(void *ctx, const char *name, enum file_type type,
		    const struct chromem_fault *fault, struct vs_err *err)
{
	struct log *log = ctx;

	cr_assert_null(log->open, "between begin and end");
	buf_printf(&log->text, "%s %s", name, type_names[type]);
	if (fault)
		buf_printf(&log->text, " %s: %s", fault_names[fault->kind], fault->detail);
	buf_append_str(&log->text, "\n");
	if (log->gone_dir)
		cr_assert_eq(unlinkat(root, log->gone_dir, AT_REMOVEDIR), 0);
	log->gone_dir = NULL;
	return answer(log, "entry", err);
}

static int on_begin(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct log *log = ctx;

	cr_assert_null(log->open, "between begin and end of another");
	log->open = c;
	log->last = 0;
	buf_printf(&log->text, "%s{", c->dir);
	if (c->meta)
		buf_printf(&log->text, " %.*s of %.*s", (int)c->meta->name.len, c->meta->name.ptr,
			   (int)c->meta->metadata[0].value.len, c->meta->metadata[0].value.ptr);
	if (c->meta_fault)
		buf_printf(&log->text, " %s", fault_names[c->meta_fault->kind]);
	cr_assert_eq(c->info.type, FILE_DIRECTORY);
	cr_assert_eq(c->has_hash, strlen(c->dir) == 8 && c->dir[0] != 'x');
	if (log->gone_file)
		cr_assert_eq(unlinkat(c->dirfd, log->gone_file, 0), 0);
	log->gone_file = NULL;
	return answer(log, "begin", err);
}

static void *on_chunk_new(void *ctx, const struct chromem_collection *c)
{
	struct log *log = ctx;
	struct vs_err err;

	cr_assert_eq(log->open, c);
	cr_assert_eq(answer(log, "chunk_new", &err), 0);
	log->chunks_out++;
	return vs_alloc(sizeof(struct chunk));
}

static void on_document(void *ctx, unsigned worker, void *chunk_,
			const struct chromem_collection *c, size_t index,
			const struct chromem_entry *entry, const struct chromem_doc *doc,
			const struct chromem_fault *fault, uint64_t file_size)
{
	const struct log *log = ctx;
	struct chunk *chunk = chunk_;
	struct chromem_entry same;
	char scratch[32];

	cr_assert_lt(worker, 4);
	cr_assert_eq(log->open, c);
	cr_assert_neq(!doc, !fault);
	chromem_list_at(c->list, index, scratch, &same);
	cr_assert_str_eq(entry->name, same.name);
	cr_assert_geq(index, chunk->last, "out of order");
	chunk->last = index + 1;
	chunk->documents++;
	if (log->is_brief)
		return;
	if (fault)
		buf_printf(&chunk->log, " %s %s", entry->name, fault_names[fault->kind]);
	else
		buf_printf(&chunk->log, " %.*s", (int)doc->id.len, doc->id.ptr);
	if (doc) {
		cr_assert_eq(doc->dimension, 2);
		cr_assert_gt(file_size, 100);
	}
}

static int on_chunk_end(void *ctx, const struct chromem_collection *c, void *chunk_,
			struct vs_err *err)
{
	struct log *log = ctx;
	struct chunk *chunk = chunk_;

	cr_assert_eq(log->open, c);
	cr_assert(chunk->documents == 0 || chunk->last > log->last, "chunks out of order");
	log->last = VS_MAX(log->last, chunk->last);
	log->documents += chunk->documents;
	log->chunks_out--;
	buf_append(&log->text, chunk->log.ptr, chunk->log.len);
	buf_fini(&chunk->log);
	free(chunk);
	return answer(log, "chunk_end", err);
}

static int on_end(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct log *log = ctx;

	cr_assert_eq(log->open, c);
	cr_assert_eq(log->chunks_out, 0);
	log->open = NULL;
	buf_append_str(&log->text, " }\n");
	return answer(log, "end", err);
}

static int scan_with(struct log *log, const struct chromem_scan_request *req, struct vs_err *err)
{
	const struct chromem_visitor visitor = { log,          on_entry,    on_begin,
						 on_chunk_new, on_document, on_chunk_end,
						 on_end,       NULL,        NULL };

	log->thread = pthread_self();
	return chromem_scan(root, req, &visitor, err);
}

static void scan(struct log *log, unsigned threads)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(threads);
	struct chromem_scan_request req = { .decode = true, .pool = pool };
	struct vs_err err = { 0 };

	/* A FIFO that is opened after all is ended by this. */
	alarm(60);
	cr_assert_eq(scan_with(log, &req, &err), 0, "%s", err.text);
	alarm(0);
}

static void expect_log(const char *expected)
{
	for (unsigned threads = 1; threads <= 4; threads++) {
		struct log log = { 0 };

		scan(&log, threads);
		cr_assert_str_eq(buf_cstr(&log.text), expected, "%u threads", threads);
		buf_fini(&log.text);
	}
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* ---- order ---- */

Test(chromem_scan, an_empty_store)
{
	scratch_new(&root);
	expect_log("");
}

Test(chromem_scan, entries_and_collections_in_byte_order)
{
	scratch_new(&root);
	scratch_text(root, "0 first", "x");
	close(add_collection("10000000", "two", 2));
	scratch_text(root, "10000000.txt", "x");
	close(add_collection("20000000", "none", 0));
	cr_assert_eq(symlinkat("10000000", root, "30000000"), 0);
	close(scratch_mkdir(root, "40000000"));
	scratch_fifo(root, "50000000");
	close(add_collection("x.hidden", "three", 3));
	expect_log("0 first file\n"
		   "10000000{ two of two two-0 two-1 }\n"
		   "10000000.txt file\n"
		   "20000000{ none of none }\n"
		   "30000000 link\n"
		   "40000000{ }\n"
		   "50000000 fifo\n"
		   "x.hidden{ three of three three-1 three-0 three-2 }\n");
}

/* More collections than are open at a time; the log with one thread is the measure. */
Test(chromem_scan, many_collections_of_few_documents)
{
	struct log alone = { 0 };
	char expected[32];

	scratch_new(&root);
	for (unsigned i = 0; i < 150; i++) {
		char dir[16], name[16];

		snprintf(dir, sizeof(dir), "%08x", i * 0x01010101u);
		snprintf(name, sizeof(name), "n%u", i);
		close(add_collection(dir, name, i % 3));
	}
	scan(&alone, 1);
	cr_assert_eq(alone.documents, 150);
	snprintf(expected, sizeof(expected), "%08x{ n149 of n149", 149 * 0x01010101u);
	cr_assert(strstr(buf_cstr(&alone.text), expected));
	expect_log(buf_cstr(&alone.text));
	buf_fini(&alone.text);
}

Test(chromem_scan, documents_of_a_large_collection)
{
	struct log alone = { 0 };
	const char *space;
	size_t spaces = 0;

	scratch_new(&root);
	close(add_collection("10000000", "large", 400));
	scan(&alone, 1);
	for (space = buf_cstr(&alone.text); (space = strchr(space, ' ')); space++)
		spaces++;
	cr_assert_eq(alone.documents, 400);
	cr_assert_eq(spaces, 404);
	expect_log(buf_cstr(&alone.text));
	buf_fini(&alone.text);
}

/* One file under many names, as making so many takes too long. */
Test(chromem_scan, more_documents_than_are_held_at_a_time)
{
	const unsigned count = 20000;
	int fd;

	scratch_new(&root);
	fd = add_collection("10000000", "linked", 0);
	write_doc(fd, "00000001.gob", "same");
	for (unsigned i = 2; i <= count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%08x.gob", i * 214013u);
		cr_assert_eq(linkat(fd, "00000001.gob", fd, name, 0), 0);
	}
	close(fd);
	for (unsigned threads = 1; threads <= 3; threads += 2) {
		struct log log = { .is_brief = true };

		scan(&log, threads);
		cr_assert_eq(log.documents, count);
		cr_assert_str_eq(buf_cstr(&log.text), "10000000{ linked of linked }\n");
		buf_fini(&log.text);
	}
}

/* ---- what is not as it should be ---- */

Test(chromem_scan, entries_that_are_no_files)
{
	int fd;

	scratch_new(&root);
	fd = add_collection("10000000", "odd", 0);
	scratch_fifo(fd, "00000001.gob");
	scratch_socket(fd, "00000002.gob");
	cr_assert_eq(symlinkat("nowhere", fd, "00000003.gob"), 0);
	cr_assert_eq(symlinkat("00000004.gob", fd, "00000004.gob"), 0);
	cr_assert_eq(symlinkat("..", fd, "00000005.gob"), 0);
	cr_assert_eq(symlinkat("note.txt", fd, "00000006.gob"), 0);
	cr_assert_eq(symlinkat("00000001.gob", fd, "00000007.gob"), 0);
	close(scratch_mkdir(fd, "00000008.gob"));
	scratch_text(fd, "00000009.gob", "");
	write_doc(fd, "0000000a.gob", "good");
	write_doc(fd, "note.txt", "linked");
	scratch_text(fd, "0000000b.gob.gz", "other form");
	close(fd);
	expect_log("10000000{ odd of odd 00000001.gob not-a-file 00000002.gob not-a-file"
		   " 00000003.gob dangling 00000004.gob dangling 00000005.gob not-a-file linked"
		   " 00000007.gob not-a-file 00000009.gob empty good }\n");
}

Test(chromem_scan, metadata_of_every_kind)
{
	int fd;

	scratch_new(&root);
	fd = scratch_mkdir(root, "10000000");
	scratch_fifo(fd, "00000000.gob");
	close(fd);
	fd = scratch_mkdir(root, "20000000");
	close(scratch_mkdir(fd, "00000000.gob"));
	close(fd);
	fd = scratch_mkdir(root, "30000000");
	scratch_text(fd, "00000000.gob", "");
	close(fd);
	fd = scratch_mkdir(root, "40000000");
	write_meta(fd, "linked");
	cr_assert_eq(renameat(fd, "00000000.gob", fd, "elsewhere"), 0);
	cr_assert_eq(symlinkat("elsewhere", fd, "00000000.gob"), 0);
	close(fd);
	fd = scratch_mkdir(root, "50000000");
	cr_assert_eq(symlinkat("nowhere", fd, "00000000.gob"), 0);
	close(fd);
	expect_log("10000000{ not-a-file }\n"
		   "20000000{ }\n"
		   "30000000{ empty }\n"
		   "40000000{ linked of linked }\n"
		   "50000000{ dangling }\n");
}

/* A collection of more documents than are read when it is opened. */
Test(chromem_scan, what_vanishes_is_no_damage)
{
	struct log log = { .gone_file = "00000005.gob", .gone_dir = "20000000" };
	struct buf expected = { 0 };
	int fd;

	scratch_new(&root);
	scratch_text(root, "0", "x");
	fd = add_collection("10000000", "one", 0);
	buf_append_str(&expected, "0 file\n10000000{ one of one");
	for (unsigned i = 1; i < 30; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%08x.gob", i);
		write_doc(fd, name, "stays");
		buf_append_str(&expected, i == 5 ? " 00000005.gob vanished" : " stays");
	}
	buf_append_str(&expected, " }\n20000000 directory vanished: No such file or directory\n");
	close(fd);
	close(scratch_mkdir(root, "20000000"));
	scan(&log, 2);
	cr_assert_str_eq(buf_cstr(&log.text), buf_cstr(&expected));
	buf_fini(&expected);
	buf_fini(&log.text);
}

/* Few documents, one of them too large to be kept and some together. */
Test(chromem_scan, small_collections_with_large_documents)
{
	cleanup_(vs_freep) char *id = vs_alloc(100000);
	struct buf expected = { 0 };
	int fd;

	scratch_new(&root);
	fd = add_collection("10000000", "one", 0);
	memset(id, 'x', 99999);
	buf_append_str(&expected, "10000000{ one of one");
	for (unsigned i = 1; i <= 16; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%08x.gob", i);
		write_doc(fd, name, id + (i == 3 ? 0 : 80000));
		buf_printf(&expected, " %s", id + (i == 3 ? 0 : 80000));
	}
	buf_append_str(&expected, " }\n");
	close(fd);
	expect_log(buf_cstr(&expected));
	buf_fini(&expected);
}

static int scan_forbidden(void *ctx)
{
	(void)ctx;
	expect_log("10000000 directory unreadable: Permission denied\n"
		   "20000000{ unreadable 00000001.gob unreadable }\n"
		   "30000000{ one of one 00000001.gob unreadable }\n");
	return 0;
}

Test(chromem_scan, what_may_not_be_read)
{
	int fd;

	scratch_new(&root);
	fd = add_collection("10000000", "closed", 1);
	cr_assert_eq(fchmod(fd, 0), 0);
	close(fd);
	/* Names can be listed, files not opened. */
	fd = add_collection("20000000", "unsearchable", 0);
	write_doc(fd, "00000001.gob", "x");
	cr_assert_eq(fchmod(fd, 0444), 0);
	close(fd);
	fd = add_collection("30000000", "one", 0);
	write_doc(fd, "00000001.gob", "x");
	cr_assert_eq(fchmodat(fd, "00000001.gob", 0, 0), 0);
	close(fd);
	cr_assert_eq(scratch_as_nobody(scan_forbidden, NULL), 0);
}

/* ---- requests ---- */

Test(chromem_scan, only_one_collection)
{
	static const char *const wrong[] = { "", ".", "..", "10000000/", "../10000000" };
	cleanup_(pool_freep) struct pool *pool = pool_new(2);
	struct chromem_scan_request req = { .decode = true, .pool = pool, .only = "20000000" };
	struct log log = { 0 };
	struct vs_err err = { 0 };

	scratch_new(&root);
	close(add_collection("10000000", "one", 1));
	close(add_collection("20000000", "two", 1));
	scratch_text(root, "note", "x");
	cr_assert_eq(scan_with(&log, &req, &err), 0);
	cr_assert_str_eq(buf_cstr(&log.text), "20000000{ two of two two-0 }\n");
	buf_fini(&log.text);
	req.only = "note";
	cr_assert_eq(scan_with(&log, &req, &err), 0);
	cr_assert_str_eq(buf_cstr(&log.text), "note file\n");
	buf_fini(&log.text);
	req.only = "30000000";
	cr_assert_eq(scan_with(&log, &req, &err), VS_ENOENT);
	for (size_t i = 0; i < VS_COUNT(wrong); i++) {
		req.only = wrong[i];
		cr_assert_eq(scan_with(&log, &req, &err), VS_EUSAGE, "%s", wrong[i]);
	}
}

Test(chromem_scan, without_documents)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(2);
	struct chromem_scan_request req = { .pool = pool };
	struct log log = { 0 };
	struct vs_err err = { 0 };

	scratch_new(&root);
	close(add_collection("10000000", "one", 1));
	cr_assert_eq(scan_with(&log, &req, &err), 0);
	cr_assert_str_eq(buf_cstr(&log.text), "10000000{ one of one }\n");
	buf_fini(&log.text);
}

Test(chromem_scan, the_setting_decides_what_is_a_document)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(2);
	struct chromem_scan_request req = { .decode = true,
					    .pool = pool,
					    .compression = CHROMEM_GZIP };
	struct log log = { 0 };
	struct vs_err err = { 0 };
	int fd;

	scratch_new(&root);
	fd = add_collection("10000000", "one", 1);
	write_doc(fd, "00000001.gob.gz", "named gzip");
	close(fd);
	cr_assert_eq(scan_with(&log, &req, &err), 0);
	cr_assert_str_eq(buf_cstr(&log.text), "10000000{ named gzip }\n");
	buf_fini(&log.text);
}

static void free_chunks_out(struct log *log)
{
	buf_fini(&log->text);
	*log = (struct log){ 0 };
}

Test(chromem_scan, a_callback_can_stop_it)
{
	static const char *const callbacks[] = { "entry", "begin", "chunk_end", "end" };
	unsigned before;

	scratch_new(&root);
	scratch_text(root, "0", "x");
	for (char dir[] = "10000000"; dir[0] < '9'; dir[0]++)
		close(add_collection(dir, "one", 3));
	before = open_descriptors();
	for (size_t i = 0; i < VS_COUNT(callbacks); i++) {
		cleanup_(pool_freep) struct pool *pool = pool_new(2);
		struct chromem_scan_request req = { .decode = true, .pool = pool };
		struct log log = { .stop_at = callbacks[i] };
		struct vs_err err = { 0 };
		char expected[32];

		snprintf(expected, sizeof(expected), "stopped at %s", callbacks[i]);
		cr_assert_eq(scan_with(&log, &req, &err), VS_EBUSY);
		cr_assert_str_eq(err.text, expected);
		cr_assert_null(strstr(buf_cstr(&log.text), "20000000"));
		free_chunks_out(&log);
		cr_assert_eq(open_descriptors(), before, "descriptors left open");
	}
}

Test(chromem_scan, leaves_no_descriptor_open)
{
	struct log log = { 0 };
	unsigned before;

	scratch_new(&root);
	for (char dir[] = "10000000"; dir[0] < '9'; dir[0]++)
		close(add_collection(dir, "one", 3));
	before = open_descriptors();
	scan(&log, 2);
	buf_fini(&log.text);
	cr_assert_eq(open_descriptors(), before);
}

/* ---- which setting ---- */

static struct chromem_form detect(void)
{
	struct chromem_form form;
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_detect_form(root, &form, &err), 0, "%s", err.text);
	return form;
}

Test(chromem_form, the_majority_of_files)
{
	int fd;

	scratch_new(&root);
	cr_assert_eq(detect().compression, CHROMEM_PLAIN);
	fd = scratch_mkdir(root, "10000000");
	scratch_text(fd, "00000000.gob.gz", "");
	scratch_text(fd, "00000001.gob.gz.bak", "");
	close(scratch_mkdir(fd, "00000002.gob"));
	close(scratch_mkdir(fd, "00000003.gob"));
	cr_assert_eq(detect().compression, CHROMEM_GZIP);
	cr_assert_eq(detect().plain, 0);
	cr_assert_eq(detect().gzip, 1);
	scratch_text(fd, "00000004.gob", "");
	cr_assert_eq(detect().compression, CHROMEM_PLAIN, "of equals, the default");
	scratch_text(fd, "x.gob.gz", "");
	close(fd);
	cr_assert_eq(detect().compression, CHROMEM_GZIP);
	scratch_text(root, "flat.gob", "");
	cr_assert_eq(detect().plain, 1, "files of the store itself do not count");
}

Test(chromem_form, a_store_that_cannot_be_listed)
{
	struct chromem_form form;
	struct vs_err err = { 0 };

	cr_assert_lt(chromem_detect_form(-1, &form, &err), 0);
}
