/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to the index of a Chroma collection: files cut, overwritten and lost, pickles that
 * say something else, links that lead nowhere. */

#include "file/file.h"
#include "pickle/pickle.h"
#include "selftest/selftest-private.h"
#include "snap/snap.h"

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

/*
 * Where the position of the index is kept in its pickle, as before 0.5.6, the server begins anew from
 * the queue, which still has everything then: no loss.
 */
static int check_position(struct damaged *d, struct vs_err *err)
{
	return d->fd < 0
		       ? cannot(d, "no collection has an index that was saved")
		       : damage_sql(d, "UPDATE max_seq_id SET seq_id = seq_id WHERE segment_id = ?",
				    d->victim->dir, err);
}

static int pickle_lost(struct damaged *d, struct vs_err *err)
{
	int r = check_position(d, err);

	return r != 0 ? r : remove_file(d, PICKLE, err);
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
	int r = check_position(d, err);

	return r != 0 ? r : snap_remove_tree(d->dirfd, d->victim->dir, err);
}

static int directory_stray(struct damaged *d, struct vs_err *err)
{
	static const char name[] = "5e1f7e57-0000-4000-8000-000000000000";

	return d->fd < 0 ? cannot(d, "no collection has an index that was saved")
			 : sample_copy(d->dirfd, d->victim->dir, name, err);
}

/* ---- the graph ---- */

/* Behind the last element: older releases write what memory held behind it. */
static uint64_t end_of(const struct place *at, const struct buf *level0)
{
	uint64_t there = level0->len / at->header.record_size;

	return VS_MIN(there, at->header.count) * at->header.record_size;
}

/* Every list of links on the lowest level emptied: nothing leads anywhere. */
static int links_lost(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	struct place at;
	int r = find_place(d, &at, err);

	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LEVEL0), &level0, err);
	if (r != 0)
		return r;
	for (uint64_t off = 0; off < end_of(&at, &level0); off += at.header.record_size)
		memset(level0.ptr + off, 0, 2);
	return damage_write(d->fd, hnsw_file_name(HNSW_LEVEL0), buf_slice(&level0), err);
}

/* The mark of deleted elements, on @most of them from the second on. */
static int mark_deleted(struct damaged *d, uint64_t most, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	struct place at;
	int r = find_place(d, &at, err);

	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LEVEL0), &level0, err);
	if (r != 0)
		return r;
	for (uint64_t off = at.record[1]; most > 0 && off < end_of(&at, &level0);
	     off += at.header.record_size, most--)
		level0.ptr[off + 2] |= 1;
	return damage_write(d->fd, hnsw_file_name(HNSW_LEVEL0), buf_slice(&level0), err);
}

static int deleted_mapped(struct damaged *d, struct vs_err *err)
{
	return mark_deleted(d, 1, err);
}

#define TOMBSTONES_TOLD 200u /* of fewer elements nothing is said */

static int tombstones(struct damaged *d, struct vs_err *err)
{
	struct place at;
	int r = find_place(d, &at, err);

	if (r != 0)
		return r;
	if (at.header.count < TOMBSTONES_TOLD)
		return cannot(d, "the index is too small for it to matter");
	return mark_deleted(d, at.header.count * 3 / 4, err);
}

/* Take the links to one element out of the list at @record. */
static void drop_link(unsigned char *record, uint32_t lost)
{
	unsigned count = record[0] | (unsigned)record[1] << 8;
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned char *link = record + 4 + (size_t)4 * i;

		if (load_le32(link) == lost)
			continue;
		memmove(record + 4 + (size_t)4 * kept++, link, 4);
	}
	record[0] = (unsigned char)kept;
	record[1] = (unsigned char)(kept >> 8);
}

/* An element of the lowest level only and not the entry point; by the sizes in link_lists.bin, which
 * are 0 for such. */
static bool find_low(struct slice links, const struct hnsw_header *h, uint32_t *out)
{
	size_t off = 0;

	for (uint32_t id = 0; id < h->count && links.len - off >= 4; id++) {
		uint32_t size = load_le32(links.ptr + off);

		*out = id;
		if (size == 0 && id != h->entry)
			return true;
		if (size > links.len - off - 4)
			return false;
		off += 4 + (size_t)size;
	}
	return false;
}

static int unreachable(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	cleanup_(buf_fini) struct buf links = { 0 };
	struct place at;
	uint32_t lost;
	int r = find_place(d, &at, err);

	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LEVEL0), &level0, err);
	if (r == 0)
		r = damage_read(d->fd, hnsw_file_name(HNSW_LINKS), &links, err);
	if (r != 0)
		return r;
	if (!find_low(buf_slice(&links), &at.header, &lost))
		return cannot(d, "every element is on an upper level");
	for (uint64_t off = 0; off < end_of(&at, &level0); off += at.header.record_size) {
		uint64_t room = (at.header.vector_offset - 4) / 4;

		if ((uint64_t)(level0.ptr[off] | level0.ptr[off + 1] << 8) > room)
			return cannot(d, "the lists of links are damaged already");
		drop_link(level0.ptr + off, lost);
	}
	return damage_write(d->fd, hnsw_file_name(HNSW_LEVEL0), buf_slice(&level0), err);
}

/* ---- values ---- */

static int vector_long(struct damaged *d, struct vs_err *err)
{
	static const unsigned char two[] = { 0, 0, 0, 0x40 };
	struct place at;
	int r = find_place(d, &at, err);

	if (r != 0)
		return r;
	if (!d->victim->is_cosine)
		return cannot(d, "vectors of this space may have any length");
	return patch(d, hnsw_file_name(HNSW_LEVEL0), at.record[0] + at.header.vector_offset, two,
		     sizeof(two), err);
}

static int length_wrong(struct damaged *d, struct vs_err *err)
{
	if (d->fd >= 0 && !d->victim->is_cosine)
		return cannot(d, "no length is read in this space");
	return patch32(d, HNSW_LENGTH, 0, 0x7fc00000, err);
}

/* In a space in which nothing reads them. */
static int lengths_unread(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	if (d->victim->unread[0] == '\0')
		return cannot(d, "no collection of another space than cosine has an index");
	r = file_open_dir(d->dirfd, d->victim->unread, FILE_NO_FOLLOW, &fd, err);
	return r < 0 ? r : damage_write(fd, hnsw_file_name(HNSW_LENGTH), slice_str("abc"), err);
}

static int lengths_directory(struct damaged *d, struct vs_err *err)
{
	int r = remove_file(d, hnsw_file_name(HNSW_LENGTH), err);

	return r != 0 ? r : file_mkdir_at(d->fd, hnsw_file_name(HNSW_LENGTH), 0700, err);
}

/* ---- the pickle written again ---- */

struct pickle_pair {
	struct slice id;
	int64_t label;
};

struct pairs {
	struct pickle_pair *row;
	size_t count, cap;
};

static void pairs_fini(struct pairs *p)
{
	free(p->row);
}

static int take_pair(void *ctx, const struct pickle_entry *entry, struct vs_err *err)
{
	struct pairs *p = ctx;

	(void)err;
	if (entry->map != PICKLE_ID_TO_LABEL)
		return 0;
	p->row = vs_grow(p->row, &p->cap, p->count + 1, sizeof(*p->row));
	p->row[p->count++] = (struct pickle_pair){ entry->id, entry->number };
	return 0;
}

enum pickle_change { COUNTER_LOW, LABEL_OFF, ID_GONE, MAPS_APART };

static int write_pairs(const struct pairs *p, int64_t counter, enum pickle_change change,
		       struct buf *out, struct vs_err *err)
{
	size_t first = change == ID_GONE ? 1 : 0;
	struct pickle_writer w;
	int r = 0;

	pickle_writer_begin(&w, out, change == COUNTER_LOW ? 1 : counter);
	for (unsigned map = 0; map < 2; map++) {
		for (size_t i = first; r == 0 && i < p->count; i++) {
			/* The second map has the first two labels the other way round. */
			size_t from = change == MAPS_APART && map == 1 && i < 2 ? 1 - i : i;
			int64_t label = p->row[from].label;

			if (change == LABEL_OFF && i == 0)
				label = counter + 1000;
			r = pickle_writer_add(&w, p->row[i].id, label, err);
		}
		if (map == 0)
			pickle_writer_turn(&w);
	}
	return r < 0 ? r : pickle_writer_end(&w, err);
}

static int change_pickle(struct damaged *d, enum pickle_change change, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf made = { 0 };
	cleanup_(pairs_fini) struct pairs pairs = { 0 };
	const struct pickle_sink sink = { .ctx = &pairs, .entry = take_pair };
	struct pickle_fault fault = { 0 };
	struct pickle_meta meta;
	int r;

	if (d->fd < 0)
		return cannot(d, "no collection has an index that was saved");
	r = damage_read(d->fd, PICKLE, &bytes, err);
	if (r == 0)
		r = pickle_read(buf_slice(&bytes), &sink, &meta, &fault, err);
	if (r < 0)
		return r;
	if (r == 0 || pairs.count < 2)
		return cannot(d, "the pickle has not two ids");
	r = write_pairs(&pairs, meta.total_elements_added.value, change, &made, err);
	return r < 0 ? r : damage_write(d->fd, PICKLE, buf_slice(&made), err);
}

static int counter_low(struct damaged *d, struct vs_err *err)
{
	return change_pickle(d, COUNTER_LOW, err);
}

static int label_off(struct damaged *d, struct vs_err *err)
{
	return change_pickle(d, LABEL_OFF, err);
}

static int id_gone(struct damaged *d, struct vs_err *err)
{
	return change_pickle(d, ID_GONE, err);
}

static int maps_apart(struct damaged *d, struct vs_err *err)
{
	return change_pickle(d, MAPS_APART, err);
}

/* As after the first save of all, killed before the pickle was written. */
static int unfinished(struct damaged *d, struct vs_err *err)
{
	int r = pickle_lost(d, err);

	return r != 0 ? r
		      : damage_sql(d, "DELETE FROM max_seq_id WHERE segment_id = ?", d->victim->dir,
				   err);
}

#define IX "chroma-index-"

const struct damage_class selftest_index_classes[] = {
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
	{ "index-vector-nan", "a value that is not a number", IX "vector-not-finite", vector_nan,
	  NULL },
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
	{ "links-lost", "every list of links emptied", IX "cut-off", links_lost, NULL },
	{ "links-to-lost", "no link to an element any more", IX "unreachable " IX "cut-off",
	  unreachable, NULL },
	{ "deleted", "an element marked deleted", IX "deleted-mapped", deleted_mapped, NULL },
	{ "deleted-many", "most elements marked deleted", IX "tombstones", tombstones, NULL },
	{ "index-vector-length", "a vector that is not of length 1", IX "norm", vector_long, NULL },
	{ "length-wrong", "a length that is no number", IX "lengths-wrong", length_wrong, NULL },
	{ "lengths-unread", "length.bin cut where nothing reads it", IX "lengths-unread",
	  lengths_unread, NULL },
	{ "lengths-directory", "a directory in place of length.bin", IX "file-type",
	  lengths_directory, NULL },
	{ "pickle-counter", "a count of labels that is too low", IX "counter", counter_low, NULL },
	{ "pickle-label", "a label that no element has", IX "label-missing", label_off, NULL },
	{ "pickle-id-lost", "an id that the pickle lacks", IX "label-unmapped", id_gone, NULL },
	{ "pickle-maps", "two maps that contradict each other", IX "pickle-maps", maps_apart,
	  NULL },
	{ "index-unfinished", "an index that was saved without its pickle", IX "unfinished",
	  unfinished, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
