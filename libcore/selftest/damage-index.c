/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to the index of a Chroma collection: files cut, overwritten and lost, pickles that
 * say something else, links that lead nowhere. */

#include "file/file.h"
#include "pickle/pickle.h"
#include "selftest/selftest-private.h"
#include "snap/snap.h"

#define HEADER "header.bin"
#define VECTORS "data_level0.bin"
#define LENGTHS "length.bin"
#define PICKLE "index_metadata.pickle"

/* ---- the files of an index ---- */

static int need_index(struct damaged *d)
{
	return d->fd < 0 ? cannot(d, "no collection has an index that was saved") : 0;
}

static int read_index(struct damaged *d, enum hnsw_file file, struct buf *out, struct vs_err *err)
{
	int r = need_index(d);

	return r != 0 ? r : damage_read(d->fd, hnsw_file_name(file), out, err);
}

static int write_index(struct damaged *d, enum hnsw_file file, const struct buf *bytes,
		       struct vs_err *err)
{
	return damage_write(d->fd, hnsw_file_name(file), buf_slice(bytes), err);
}

static int file_lost(struct damaged *d, struct vs_err *err)
{
	int r = need_index(d);

	return r != 0 ? r : file_unlink_at(d->fd, d->class->text, err);
}

static int file_cut(struct damaged *d, struct vs_err *err)
{
	int r = need_index(d);

	return r != 0 ? r : damage_cut(d->fd, d->class->text, err);
}

enum content { VECTORS_SHORT, LENGTHS_SHORT, PICKLE_EMPTY, PICKLE_GARBAGE, PICKLE_CODE };

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
	const char *file, *bytes;
	size_t len;
} contents[] = {
	[VECTORS_SHORT] = { VECTORS, BYTES("half a record") },
	[LENGTHS_SHORT] = { LENGTHS, BYTES("abc") },
	[PICKLE_EMPTY] = { PICKLE, BYTES("") },
	[PICKLE_GARBAGE] = { PICKLE, BYTES("\xff\xfe selftest") },
	/* What Python would import and call when it loads this; nothing here does. */
	[PICKLE_CODE] = { PICKLE, BYTES("\x80\x03"
					"cos\nsystem\nX\x04\0\0\0true\x85R.") },
};

static int overwritten(struct damaged *d, struct vs_err *err)
{
	int r = need_index(d);

	return r != 0 ? r
		      : damage_write(d->fd, contents[d->class->way].file,
				     slice_of(contents[d->class->way].bytes,
					      contents[d->class->way].len),
				     err);
}

/*
 * Where the position of the index is kept in its pickle, as before 0.5.6, the server begins anew from
 * the queue, which still has everything then: no loss.
 */
static int check_position(struct damaged *d, struct vs_err *err)
{
	int r = need_index(d);

	return r != 0 ? r
		      : damage_sql(d, "UPDATE max_seq_id SET seq_id = seq_id WHERE segment_id = ?",
				   d->victim->dir, err);
}

static int pickle_lost(struct damaged *d, struct vs_err *err)
{
	int r = check_position(d, err);

	return r != 0 ? r : file_unlink_at(d->fd, PICKLE, err);
}

static int directory_lost(struct damaged *d, struct vs_err *err)
{
	int r = check_position(d, err);

	return r != 0 ? r : snap_remove_tree(d->dirfd, d->victim->dir, err);
}

static int directory_stray(struct damaged *d, struct vs_err *err)
{
	static const char name[] = "5e1f7e57-0000-4000-8000-000000000000";
	int r = need_index(d);

	return r != 0 ? r : sample_copy(d->dirfd, d->victim->dir, name, err);
}

/* In a space in which nothing reads them. */
static int lengths_unread(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r;

	if (d->victim->unread[0] == '\0')
		return cannot(d, "no collection of another space than cosine has an index");
	r = file_open_dir(d->dirfd, d->victim->unread, FILE_NO_FOLLOW, &fd, err);
	return r < 0 ? r : damage_write(fd, LENGTHS, slice_str("abc"), err);
}

static int lengths_directory(struct damaged *d, struct vs_err *err)
{
	int r = file_lost(d, err);

	return r != 0 ? r : file_mkdir_at(d->fd, d->class->text, 0700, err);
}

static int lists_long(struct damaged *d, struct vs_err *err)
{
	static const char zeros[4096];
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = read_index(d, HNSW_LINKS, &bytes, err);

	if (r != 0)
		return r;
	buf_append(&bytes, zeros, sizeof(zeros));
	return write_index(d, HNSW_LINKS, &bytes, err);
}

/* ---- values in them ---- */

/* Where things are in the first element that is not deleted and has links, and in the next. */
struct place {
	uint64_t record[2]; /* of both */
	struct hnsw_header header;
};

static int find_place(struct damaged *d, struct buf *level0, struct place *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf header = { 0 };
	unsigned found = 0;
	int r = read_index(d, HNSW_HEADER, &header, err);

	if (r == 0)
		r = read_index(d, HNSW_LEVEL0, level0, err);
	if (r != 0)
		return r;
	if (!hnsw_header_decode(buf_slice(&header), &out->header) || out->header.record_size < 24 ||
	    out->header.label_offset > out->header.record_size - 8 ||
	    out->header.vector_offset > out->header.record_size - 4)
		return cannot(d, "the header of the index is damaged already");
	for (uint64_t off = 0; off + out->header.record_size <= level0->len && found < 2;
	     off += out->header.record_size)
		if (level0->ptr[off] > 0 && (level0->ptr[off + 2] & 1) == 0)
			out->record[found++] = off;
	return found == 2 ? 0 : cannot(d, "the index has not two elements with links");
}

enum value {
	HEADER_COUNT,
	HEADER_ENTRY,
	HEADER_MULT,
	LISTS_SIZE,
	LENGTH_WRONG,
	LINK_RANGE,
	LINK_COUNT,
	LINK_SELF,
	LABEL_ZERO,
	LABEL_TWICE,
	VECTOR_NAN,
	VECTOR_LONG,
};

#define NOT_A_NUMBER 0x7fc00000u
#define TWO 0x40000000u

/* A number of @len bytes, little-endian, in a file or in the first record; see hnsw/hnsw.h. */
static const struct {
	enum hnsw_file file;
	enum { IN_FILE, IN_RECORD, IN_LABEL, IN_VECTOR } base;
	unsigned off; /* from there */
	unsigned len;
	uint32_t value;
	bool needs_cosine;
} values[] = {
	[HEADER_COUNT] = { HNSW_HEADER, IN_FILE, 20, 4, 0x7fffffff, false },
	[HEADER_ENTRY] = { HNSW_HEADER, IN_FILE, 56, 4, 0x7ffffff0, false },
	/* The upper half of a floating point number: what is left is next to nothing. */
	[HEADER_MULT] = { HNSW_HEADER, IN_FILE, 88, 4, 0, false },
	[LISTS_SIZE] = { HNSW_LINKS, IN_FILE, 0, 4, 3, false },
	[LENGTH_WRONG] = { HNSW_LENGTH, IN_FILE, 0, 4, NOT_A_NUMBER, true },
	[LINK_RANGE] = { HNSW_LEVEL0, IN_RECORD, 4, 4, 0x7ffffff0, false },
	[LINK_COUNT] = { HNSW_LEVEL0, IN_RECORD, 0, 2, 0x7fff, false },
	[LINK_SELF] = { HNSW_LEVEL0, IN_RECORD, 4, 4, 0, false },
	[LABEL_ZERO] = { HNSW_LEVEL0, IN_LABEL, 0, 8, 0, false },
	[LABEL_TWICE] = { HNSW_LEVEL0, IN_LABEL, 0, 8, 0, false },
	[VECTOR_NAN] = { HNSW_LEVEL0, IN_VECTOR, 0, 4, NOT_A_NUMBER, false },
	[VECTOR_LONG] = { HNSW_LEVEL0, IN_VECTOR, 0, 4, TWO, true },
};

/* Offset and number, where they are in a record. */
static int locate(struct damaged *d, enum value way, uint64_t *off, uint64_t *number,
		  struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	struct place at;
	int r = find_place(d, &level0, &at, err);

	if (r != 0)
		return r;
	*off += at.record[0];
	if (values[way].base == IN_LABEL)
		*off += at.header.label_offset;
	else if (values[way].base == IN_VECTOR)
		*off += at.header.vector_offset;
	if (way == LINK_SELF)
		*number = at.record[0] / at.header.record_size;
	else if (way == LABEL_TWICE)
		*number = load_le64(level0.ptr + at.record[1] + at.header.label_offset);
	return 0;
}

static int set_value(struct damaged *d, struct vs_err *err)
{
	enum value way = (enum value)d->class->way;
	cleanup_(buf_fini) struct buf bytes = { 0 };
	uint64_t off = values[way].off;
	uint64_t number = values[way].value;
	int r = read_index(d, values[way].file, &bytes, err);

	if (r == 0 && values[way].base != IN_FILE)
		r = locate(d, way, &off, &number, err);
	if (r != 0)
		return r;
	if (values[way].needs_cosine && !d->victim->is_cosine)
		return cannot(d, "the length of a vector means nothing in this space");
	if (off > bytes.len || values[way].len > bytes.len - off)
		return cannot(d, "the file is too short");
	for (unsigned i = 0; i < values[way].len; i++)
		bytes.ptr[off + i] = (unsigned char)(number >> 8 * i);
	return write_index(d, values[way].file, &bytes, err);
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
	int r = find_place(d, &level0, &at, err);

	if (r != 0)
		return r;
	for (uint64_t off = 0; off < end_of(&at, &level0); off += at.header.record_size)
		memset(level0.ptr + off, 0, 2);
	return write_index(d, HNSW_LEVEL0, &level0, err);
}

#define TOMBSTONES_TOLD 200u /* of fewer elements nothing is said */

/* The mark of deleted elements, on so many of a hundred from the second on; 0: on that one. */
static int mark_deleted(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf level0 = { 0 };
	struct place at;
	uint64_t most;
	int r = find_place(d, &level0, &at, err);

	if (r != 0)
		return r;
	if (d->class->way > 0 && at.header.count < TOMBSTONES_TOLD)
		return cannot(d, "the index is too small for it to matter");
	most = d->class->way > 0 ? at.header.count / 100 * (uint64_t)d->class->way : 1;
	for (uint64_t off = at.record[1]; most > 0 && off < end_of(&at, &level0);
	     off += at.header.record_size, most--)
		level0.ptr[off + 2] |= 1;
	return write_index(d, HNSW_LEVEL0, &level0, err);
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
	int r = find_place(d, &level0, &at, err);

	if (r == 0)
		r = read_index(d, HNSW_LINKS, &links, err);
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
	return write_index(d, HNSW_LEVEL0, &level0, err);
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

static int change_pickle(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf made = { 0 };
	cleanup_(pairs_fini) struct pairs pairs = { 0 };
	const struct pickle_sink sink = { .ctx = &pairs, .entry = take_pair };
	struct pickle_fault fault = { 0 };
	struct pickle_meta meta;
	int r = need_index(d);

	if (r == 0)
		r = damage_read(d->fd, PICKLE, &bytes, err);
	if (r != 0)
		return r;
	r = pickle_read(buf_slice(&bytes), &sink, &meta, &fault, err);
	if (r < 0)
		return r;
	if (r == 0 || pairs.count < 2)
		return cannot(d, "the pickle has not two ids");
	r = write_pairs(&pairs, meta.total_elements_added.value, (enum pickle_change)d->class->way,
			&made, err);
	return r < 0 ? r : damage_write(d->fd, PICKLE, buf_slice(&made), err);
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
	{ "header-cut", "header.bin cut in half", IX "header", file_cut, .text = HEADER },
	{ "header-count", "a count of elements that there are not", IX "header " IX "vectors-short",
	  set_value, .way = HEADER_COUNT },
	{ "header-entry", "an entry point that is no element", IX "entry", set_value,
	  .way = HEADER_ENTRY },
	{ "header-mult", "a factor for levels that is not that of the neighbours", IX "header-odd",
	  set_value, .way = HEADER_MULT },
	{ "header-lost", "header.bin removed", IX "file-missing", file_lost, .text = HEADER },
	{ "vectors-cut", "data_level0.bin cut", IX "vectors-short", overwritten,
	  .way = VECTORS_SHORT },
	{ "vectors-lost", "data_level0.bin removed", IX "file-missing", file_lost,
	  .text = VECTORS },
	{ "lengths-cut", "length.bin cut", IX "lengths-short " IX "lengths-unread", overwritten,
	  .way = LENGTHS_SHORT },
	{ "lists-size", "an impossible size in link_lists.bin", IX "links-broken", set_value,
	  .way = LISTS_SIZE },
	{ "lists-long", "zeros behind link_lists.bin", IX "links-oversize", .fn = lists_long },
	{ "link-range", "a link to no element", IX "link", set_value, .way = LINK_RANGE },
	{ "link-count", "more links than fit", IX "link", set_value, .way = LINK_COUNT },
	{ "link-self", "a link to itself", IX "link-odd", set_value, .way = LINK_SELF },
	{ "label-zero", "a label that is never given", IX "label", set_value, .way = LABEL_ZERO },
	{ "label-twice", "two elements with one label", IX "label-duplicate", set_value,
	  .way = LABEL_TWICE },
	{ "index-vector-nan", "a value that is not a number", IX "vector-not-finite", set_value,
	  .way = VECTOR_NAN },
	{ "pickle-lost", "index_metadata.pickle removed", IX "pickle-missing", .fn = pickle_lost },
	{ "pickle-cut", "the pickle cut in half", IX "pickle-truncated", file_cut, .text = PICKLE },
	{ "pickle-empty", "the pickle emptied", IX "pickle-truncated", overwritten,
	  .way = PICKLE_EMPTY },
	{ "pickle-garbage", "the pickle overwritten", IX "pickle-unreadable", overwritten,
	  .way = PICKLE_GARBAGE },
	{ "pickle-code", "a pickle that would run a program", IX "pickle-code", overwritten,
	  .way = PICKLE_CODE },
	{ "directory-lost", "the index directory removed", IX "directory-missing",
	  .fn = directory_lost },
	{ "directory-stray", "an index directory of no collection", IX "stray",
	  .fn = directory_stray },
	{ "links-lost", "every list of links emptied", IX "cut-off", .fn = links_lost },
	{ "links-to-lost", "no link to an element any more", IX "unreachable " IX "cut-off",
	  .fn = unreachable },
	{ "deleted", "an element marked deleted", IX "deleted-mapped", mark_deleted, .way = 0 },
	{ "deleted-many", "most elements marked deleted", IX "tombstones", mark_deleted,
	  .way = 75 },
	{ "index-vector-length", "a vector that is not of length 1", IX "norm", set_value,
	  .way = VECTOR_LONG },
	{ "length-wrong", "a length that is no number", IX "lengths-wrong", set_value,
	  .way = LENGTH_WRONG },
	{ "lengths-unread", "length.bin cut where nothing reads it", IX "lengths-unread",
	  .fn = lengths_unread },
	{ "lengths-directory", "a directory in place of length.bin", IX "file-type",
	  lengths_directory, .text = LENGTHS },
	{ "pickle-counter", "a count of labels that is too low", IX "counter", change_pickle,
	  .way = COUNTER_LOW },
	{ "pickle-label", "a label that no element has", IX "label-missing", change_pickle,
	  .way = LABEL_OFF },
	{ "pickle-id-lost", "an id that the pickle lacks", IX "label-unmapped", change_pickle,
	  .way = ID_GONE },
	{ "pickle-maps", "two maps that contradict each other", IX "pickle-maps", change_pickle,
	  .way = MAPS_APART },
	{ "index-unfinished", "an index that was saved without its pickle", IX "unfinished",
	  .fn = unfinished },
	{ .name = NULL },
};
