/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to Chroma stores: index files cut and overwritten, pickles lost, pages of the
 * database gone, rows that contradict each other. */

#include "file/file.h"
#include "selftest/selftest-private.h"
#include "snap/snap.h"

#include <fcntl.h>

#define PICKLE "index_metadata.pickle"

/* ---- index files ---- */

/* Bytes of a file overwritten, or appended where @off is SIZE_MAX. */
static int patch(struct damaged *d, const char *name, size_t off, const void *ptr, size_t len,
		 struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r;

	if (d->fd < 0)
		return cannot(d, "no collection has an index that was saved");
	r = damage_read(d->fd, name, &bytes, err);
	if (r < 0)
		return r;
	if (off == SIZE_MAX)
		buf_append(&bytes, ptr, len);
	else if (off > bytes.len || len > bytes.len - off)
		return cannot(d, "the file is too short");
	else
		memcpy(bytes.ptr + off, ptr, len);
	return damage_write(d->fd, name, buf_slice(&bytes), err);
}

static int patch32(struct damaged *d, enum hnsw_file file, size_t off, uint32_t value,
		   struct vs_err *err)
{
	const unsigned char bytes[4] = { (unsigned char)value, (unsigned char)(value >> 8),
					 (unsigned char)(value >> 16),
					 (unsigned char)(value >> 24) };

	return patch(d, hnsw_file_name(file), off, bytes, sizeof(bytes), err);
}

/* Where things are in the first element that is not deleted and has links, and in the next. */
struct place {
	uint64_t record[2]; /* of both */
	struct hnsw_header header;
};

static int find_place(struct damaged *d, struct place *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf header = { 0 };
	cleanup_(buf_fini) struct buf level0 = { 0 };
	unsigned found = 0;
	int r;

	if (d->fd < 0)
		return cannot(d, "no collection has an index that was saved");
	r = damage_read(d->fd, hnsw_file_name(HNSW_HEADER), &header, err);
	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LEVEL0), &level0, err);
	if (r < 0)
		return r;
	if (!hnsw_header_decode(buf_slice(&header), &out->header) || out->header.record_size < 24 ||
	    out->header.label_offset > out->header.record_size - 8 ||
	    out->header.vector_offset > out->header.record_size - 4)
		return cannot(d, "the header of the index is damaged already");
	for (uint64_t off = 0; off + out->header.record_size <= level0.len && found < 2;
	     off += out->header.record_size)
		if (level0.ptr[off] > 0 && (level0.ptr[off + 2] & 1) == 0)
			out->record[found++] = off;
	return found == 2 ? 0 : cannot(d, "the index has not two elements with links");
}

static int header_cut(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : damage_cut(d->fd, hnsw_file_name(HNSW_HEADER), err);
}

/* Byte 20 is the count of elements, 56 the entry point; see hnsw/hnsw.h. */
static int header_count(struct damaged *d, struct vs_err *err)
{
	return patch32(d, HNSW_HEADER, 20, 0x7fffffff, err);
}

static int header_entry(struct damaged *d, struct vs_err *err)
{
	return patch32(d, HNSW_HEADER, 56, 0x7ffffff0, err);
}

static int vectors_cut(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : damage_write(d->fd, hnsw_file_name(HNSW_LEVEL0),
					slice_str("half a record"), err);
}

static int lengths_cut(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : damage_write(d->fd, hnsw_file_name(HNSW_LENGTH), slice_str("abc"), err);
}

static int lists_size(struct damaged *d, struct vs_err *err)
{
	return patch32(d, HNSW_LINKS, 0, 3, err);
}

static int lists_long(struct damaged *d, struct vs_err *err)
{
	static const char zeros[4096];

	return patch(d, hnsw_file_name(HNSW_LINKS), SIZE_MAX, zeros, sizeof(zeros), err);
}

static int link_range(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	return r != 0 ? r : patch32(d, HNSW_LEVEL0, at.record[0] + 4, 0x7ffffff0, err);
}

static int link_count(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	return r != 0 ? r : patch(d, hnsw_file_name(HNSW_LEVEL0), at.record[0], "\xff\x7f", 2, err);
}

static int link_self(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	if (r != 0)
		return r;
	return patch32(d, HNSW_LEVEL0, at.record[0] + 4,
		       (uint32_t)(at.record[0] / at.header.record_size), err);
}

static int label_zero(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	return r != 0 ? r
		      : patch(d, hnsw_file_name(HNSW_LEVEL0), at.record[0] + at.header.label_offset,
			      "\0\0\0\0\0\0\0", 8, err);
}

static int label_twice(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	struct place at;
	int r = find_place(d, &at, err);

	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LEVEL0), &level0, err);
	return r != 0 ? r
		      : patch(d, hnsw_file_name(HNSW_LEVEL0), at.record[1] + at.header.label_offset,
			      level0.ptr + at.record[0] + at.header.label_offset, 8, err);
}

static int vector_nan(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	return r != 0 ? r
		      : patch32(d, HNSW_LEVEL0, at.record[0] + at.header.vector_offset, 0x7fc00000,
				err);
}

static int remove_file(struct damaged *d, const char *name, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : file_unlink_at(d->fd, name, err);
}

static int vectors_lost(struct damaged *d, struct vs_err *err)
{
	return remove_file(d, hnsw_file_name(HNSW_LEVEL0), err);
}

static int header_lost(struct damaged *d, struct vs_err *err)
{
	return remove_file(d, hnsw_file_name(HNSW_HEADER), err);
}

static int pickle_lost(struct damaged *d, struct vs_err *err)
{
	return remove_file(d, PICKLE, err);
}

static int pickle_cut(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : damage_cut(d->fd, PICKLE, err);
}

static int write_pickle(struct damaged *d, const void *ptr, size_t len, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : damage_write(d->fd, PICKLE, slice_of(ptr, len), err);
}

static int pickle_empty(struct damaged *d, struct vs_err *err)
{
	return write_pickle(d, "", 0, err);
}

static int pickle_garbage(struct damaged *d, struct vs_err *err)
{
	return write_pickle(d, "\xff\xfe selftest", 11, err);
}

/* What Python would import and call when it loads this; nothing here does. */
static int pickle_code(struct damaged *d, struct vs_err *err)
{
	static const char bytes[] = "\x80\x03"
				    "cos\nsystem\nX\x04\0\0\0true\x85R.";

	return write_pickle(d, bytes, sizeof(bytes) - 1, err);
}

static int directory_lost(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : snap_remove_tree(d->dirfd, d->victim->dir, err);
}

static int directory_stray(struct damaged *d, struct vs_err *err)
{
	static const char name[] = "5e1f7e57-0000-4000-8000-000000000000";

	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : sample_copy(d->dirfd, d->victim->dir, name, err);
}

/* ---- the database as a file ---- */

static int database_cut(struct damaged *d, struct vs_err *err)
{
	return damage_cut(d->dirfd, CHROMA_DATABASE, err);
}

static int database_lost(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0 ? cannot(d, "without an index directory nothing would tell a store")
			 : file_unlink_at(d->dirfd, CHROMA_DATABASE, err);
}

/* The page of the first table behind the schema. */
static int database_page(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	size_t page;
	int r = damage_read(d->dirfd, CHROMA_DATABASE, &bytes, err);

	if (r < 0)
		return r;
	if (bytes.len < 100)
		return cannot(d, "the database is no more than a header");
	page = (size_t)bytes.ptr[16] << 8 | bytes.ptr[17];
	page = page == 1 ? 65536 : page;
	if (page < 512 || bytes.len < 2 * page)
		return cannot(d, "the database has one page only");
	memset(bytes.ptr + page, 0, page);
	return damage_write(d->dirfd, CHROMA_DATABASE, buf_slice(&bytes), err);
}

/* ---- rows ---- */

static int run_sql(struct damaged *d, struct vs_err *err)
{
	cleanup_(chroma_edit_freep) struct chroma_edit *edit = NULL;
	cleanup_(file_closep) int fd = -1;
	const char *path;
	const char *slash;
	cleanup_(vs_freep) char *dir = NULL;
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err why = { 0 };
	int64_t changed = 0;
	int r = chroma_edit_begin(&edit, d->dirfd, d->scratch, err);

	if (r < 0)
		return r;
	r = chroma_edit_exec(edit, "PRAGMA defer_foreign_keys = ON", &why);
	r = chroma_edit_run(edit, d->sql, NULL, 0, &changed, &why);
	if (r == 0 && changed == 0)
		return cannot(d, "the store has no such row");
	if (r == 0)
		r = chroma_edit_finish(edit, &path, &why);
	/* Columns that this release does not have yet, or what SQLite itself prevents. */
	if (r < 0)
		return cannot(d, why.text);
	slash = strrchr(path, '/');
	dir = vs_strndup(slice_of(path, slash ? (size_t)(slash - path) : 0));
	r = file_open_dir(AT_FDCWD, dir, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = damage_read(fd, slash ? slash + 1 : path, &bytes, err);
	return r < 0 ? r : damage_write(d->dirfd, CHROMA_DATABASE, buf_slice(&bytes), err);
}

#define IX "chroma-index-"
#define DB "chroma-database-"
#define DOCUMENT_ROW "(SELECT min(id) FROM embedding_metadata WHERE key = 'chroma:document')"

const struct damage_class selftest_chroma_classes[] = {
	{ "header-cut", "header.bin cut in half", IX "header", header_cut, NULL },
	{ "header-count", "a count of elements that there are not", IX "header " IX "vectors-short",
	  header_count, NULL },
	{ "header-entry", "an entry point that is no element", IX "entry", header_entry, NULL },
	{ "header-lost", "header.bin removed", IX "file-missing", header_lost, NULL },
	{ "vectors-cut", "data_level0.bin cut", IX "vectors-short", vectors_cut, NULL },
	{ "vectors-lost", "data_level0.bin removed", IX "file-missing", vectors_lost, NULL },
	{ "lengths-cut", "length.bin cut", IX "lengths-short " IX "lengths-unread", lengths_cut,
	  NULL },
	{ "lists-size", "an impossible size in link_lists.bin", IX "links-broken", lists_size,
	  NULL },
	{ "lists-long", "zeros behind link_lists.bin", IX "links-oversize", lists_long, NULL },
	{ "link-range", "a link to no element", IX "link", link_range, NULL },
	{ "link-count", "more links than fit", IX "link", link_count, NULL },
	{ "link-self", "a link to itself", IX "link-odd", link_self, NULL },
	{ "label-zero", "a label that is never given", IX "label", label_zero, NULL },
	{ "label-twice", "two elements with one label", IX "label-duplicate", label_twice, NULL },
	{ "vector-nan", "a value that is not a number", IX "vector-not-finite", vector_nan, NULL },
	{ "pickle-lost", "index_metadata.pickle removed", IX "pickle-missing", pickle_lost, NULL },
	{ "pickle-cut", "the pickle cut in half", IX "pickle-truncated", pickle_cut, NULL },
	{ "pickle-empty", "the pickle emptied", IX "pickle-truncated", pickle_empty, NULL },
	{ "pickle-garbage", "the pickle overwritten", IX "pickle-unreadable", pickle_garbage,
	  NULL },
	{ "pickle-code", "a pickle that would run a program", IX "pickle-code", pickle_code, NULL },
	{ "directory-lost", "the index directory removed", IX "directory-missing", directory_lost,
	  NULL },
	{ "directory-stray", "an index directory of no collection", IX "stray", directory_stray,
	  NULL },
	{ "database-cut", "the database cut in half", DB "truncated " DB "corrupt", database_cut,
	  NULL },
	{ "database-page", "a page of the database zeroed", DB "corrupt", database_page, NULL },
	{ "database-lost", "the database removed", DB "missing", database_lost, NULL },
	{ "fts-lost", "a document that the full-text index lacks", "chroma-document-not-indexed",
	  run_sql, "DELETE FROM embedding_fulltext_search WHERE rowid = " DOCUMENT_ROW },
	{ "fts-differs", "a document that differs from the full-text index",
	  "chroma-document-differs", run_sql,
	  "UPDATE embedding_fulltext_search SET string_value = 'selftest' WHERE rowid = " DOCUMENT_ROW },
	{ "metadata-orphan", "metadata of no record", "chroma-metadata-orphan", run_sql,
	  "INSERT INTO embedding_metadata (id, key, string_value) SELECT max(id) + 1000, 'selftest', "
	  "'x' FROM embeddings" },
	{ "record-lost", "a record that the index has and the table has not", IX "id-extra",
	  run_sql, "DELETE FROM embeddings WHERE id = (SELECT min(id) FROM embeddings)" },
	{ "record-no-segment", "a record of no segment", "chroma-record-no-segment", run_sql,
	  "UPDATE embeddings SET segment_id = 'selftest' WHERE id = (SELECT min(id) FROM "
	  "embeddings)" },
	{ "position-ahead", "a position behind the end of the queue", "chroma-position-ahead",
	  run_sql, "UPDATE max_seq_id SET seq_id = 1000000000" },
	{ "queue-row", "a vector in the queue that is none", "chroma-queue-row", run_sql,
	  "UPDATE embeddings_queue SET vector = x'00' WHERE seq_id = (SELECT max(seq_id) FROM "
	  "embeddings_queue WHERE vector IS NOT NULL)" },
	{ "queue-topic", "a row of the queue of no collection", "chroma-queue-topic", run_sql,
	  "UPDATE embeddings_queue SET topic = "
	  "'persistent://default/default/5e1f7e57-0000-4000-8000-000000000000' WHERE seq_id = "
	  "(SELECT max(seq_id) FROM embeddings_queue)" },
	{ "queue-emptied", "the queue emptied by hand", "chroma-queue-emptied", run_sql,
	  "DELETE FROM embeddings_queue" },
	{ "dimension", "another dimension of a collection",
	  "chroma-collection-dimension " IX "dimension", run_sql,
	  "UPDATE collections SET dimension = dimension + 4 WHERE id = (SELECT collection FROM segments "
	  "WHERE scope = 'VECTOR' AND id IN (SELECT segment_id FROM max_seq_id))" },
	{ "configuration", "a configuration that is no JSON", "chroma-collection-config", run_sql,
	  "UPDATE collections SET config_json_str = '{'" },
	{ "migration-changed", "a migration with another digest", "chroma-migration-changed",
	  run_sql, "UPDATE migrations SET hash = '00' WHERE dir = 'sysdb' AND version = 2" },
	{ "migration-gap", "a migration that is missing", "chroma-migration-gap", run_sql,
	  "DELETE FROM migrations WHERE dir = 'sysdb' AND version = 2" },
	{ NULL, NULL, NULL, NULL, NULL },
};
