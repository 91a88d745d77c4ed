/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * hnsw: the vector index of a Chroma segment, as its fork of hnswlib writes it (version 1)
 *
 * A graph in layers (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search
 * using Hierarchical Navigable Small World graphs"): each element has links on level 0, and one in
 * M also on levels above. Four files, all little-endian, the same from Chroma 0.4 to 1.5:
 *
 *	header.bin       i32 version = 1, u64 offset_level0 = 0, u64 max_elements, u64 count,
 *	                 u64 record_size, u64 label_offset, u64 vector_offset, i32 max_level,
 *	                 u32 entry, u64 max_m, u64 max_m0, u64 m, f64 mult, u64 ef_construction
 *	                 (100 bytes; max_level -1 and entry ffffffff while the index is empty)
 *	data_level0.bin  record*   record = u16 links, u8 flags (1: deleted), u8 0, u32 link{max_m0},
 *	                           f32 value{dim}, u64 label
 *	length.bin       f32*      cosine: the norm the vector had; else never read
 *	link_lists.bin   upper*    upper = u32 size, list{size / (4 + 4 * max_m)}, one per element
 *	                           list = u16 links, u16 0, u32 link{max_m}, for levels 1, 2 ...
 *
 * Links behind a record's count are left over from before. Only @count records mean something:
 * what follows them in data_level0.bin and length.bin is memory that the server never initialised,
 * and must never be shown. max_elements may exceed what the file holds. link_lists.bin has no
 * index: behind one wrong size nothing can be found.
 *
 * The caller reads or maps the files; all functions only look at the bytes that a healthy file of
 * @count elements has, so that a sparse file of terabytes costs nothing. Slices must start at an
 * address divisible by 4, as allocated and mapped memory does.
 *
 * Three parts, each with a header of its own: hnsw-check.h judges, hnsw-search.h finds neighbours,
 * hnsw-build.h builds, repairs and saves.
 */

#include "util/util.h"

#define HNSW_HEADER_LEN 100u
#define HNSW_NO_ENTRY UINT32_MAX
#define HNSW_DIM_MAX 65536u                /* values in a vector */
#define HNSW_M_MAX 16384u                  /* links on an upper level; half of what level 0 takes */
#define HNSW_ELEMENTS_MAX (UINT32_MAX - 1) /* internal ids are 32 bits and the last means none */
#define HNSW_LEVEL_MAX 31u                 /* highest level; a thousand million elements reach 8 */

enum hnsw_file { HNSW_HEADER, HNSW_LEVEL0, HNSW_LENGTH, HNSW_LINKS, HNSW_FILES };

/* "header.bin" and so on; static. */
const char *hnsw_file_name(enum hnsw_file file);

/* ---- header.bin ---- */

struct hnsw_header {
	int32_t version;
	uint64_t offset_level0;
	uint64_t max_elements;
	uint64_t count; /* of elements, deleted ones included */
	uint64_t record_size;
	uint64_t label_offset;
	uint64_t vector_offset;
	int32_t max_level;
	uint32_t entry;
	uint64_t max_m;
	uint64_t max_m0;
	uint64_t m;
	double mult;
	uint64_t ef_construction;
};

/* The fields as they are, unchecked. False when there are fewer than HNSW_HEADER_LEN bytes. */
must_check_ bool hnsw_header_decode(struct slice bytes, struct hnsw_header *out);
void hnsw_header_encode(const struct hnsw_header *h, unsigned char out[HNSW_HEADER_LEN]);

/*
 * The header that the server writes for @count elements of @dim values: for a new index, or to look
 * at files whose header is lost. Entry and level are those of an empty index. @dim is 1 to
 * HNSW_DIM_MAX and @m 2 to HNSW_M_MAX, else VS_ELIMIT.
 */
must_check_ int hnsw_header_make(uint64_t count, uint32_t dim, uint32_t m, uint32_t ef_construction,
				 struct hnsw_header *out, struct vs_err *err);

/* ---- the files together ---- */

struct hnsw_files {
	struct slice file[HNSW_FILES]; /* by enum hnsw_file; an empty slice where it is missing */
};

/* An element that has levels above 0. */
struct hnsw_upper {
	uint32_t id;
	uint32_t levels; /* 1 and more */
	uint64_t off;    /* of its first list in @links, behind the size */
};

/*
 * An index to look at or to search; a borrowed view of the bytes, save for @upper. Every offset
 * derived from it is inside the slices. One thread opens it; then any number may read.
 */
struct hnsw_index {
	struct hnsw_header header;
	uint32_t dim;
	uint32_t count;       /* records that are there: at most header.count */
	uint32_t links_count; /* elements whose place in link_lists.bin is known: the first ones */
	uint64_t links_end;   /* offset behind the last of them */
	struct slice level0;  /* count * record_size bytes */
	struct slice length;  /* 4 bytes per element, maybe fewer */
	struct slice links;   /* the bytes of the known lists */
	size_t record_size, label_offset, vector_offset, list_size;
	struct hnsw_upper *upper; /* owned; sorted by id */
	size_t upper_count, upper_cap;
};

/* Why files cannot be opened as an index. */
struct hnsw_fault {
	enum hnsw_file file;
	uint64_t off;
	char text[192]; /* one clause, with the offset */
};

/*
 * Open for looking, with whatever damage can be lived with: a short data_level0.bin lowers @count,
 * a broken link_lists.bin lowers @links_count, a bad entry stays in the header. What must be right
 * are the sizes in the header, which everything else is computed from. Returns 1, or 0 with @fault
 * filled, or VS_ENOMEM. An empty index opens.
 */
must_check_ int hnsw_open(const struct hnsw_files *files, struct hnsw_index *out,
			  struct hnsw_fault *fault, struct vs_err *err);

/*
 * The same with a header of the caller's, for files whose own is damaged: dimension and M come from
 * the collection's configuration (hnsw_header_make()). When @h->count is 0 the number of elements
 * is found by looking: records are counted from the first as long as they can be records with a
 * label of 1 to @label_max that did not come before. (@label_max is total_elements_added of the
 * pickle, or any bound.) Where the file ends with memory that the server never initialised, such
 * records hardly ever pass. The entry point is set to the first of the highest elements.
 */
must_check_ int hnsw_open_as(const struct hnsw_files *files, const struct hnsw_header *h,
			     uint64_t label_max, struct hnsw_index *out, struct hnsw_fault *fault,
			     struct vs_err *err);

void hnsw_index_fini(struct hnsw_index *index);

/* ---- elements; @id is below index->count ---- */

static inline uint64_t hnsw_record_off(const struct hnsw_index *x, uint32_t id)
{
	return (uint64_t)id * x->record_size;
}

static inline const unsigned char *hnsw_record(const struct hnsw_index *x, uint32_t id)
{
	return x->level0.ptr + hnsw_record_off(x, id);
}

static inline uint64_t hnsw_label(const struct hnsw_index *x, uint32_t id)
{
	return load_le64(hnsw_record(x, id) + x->label_offset);
}

static inline bool hnsw_is_deleted(const struct hnsw_index *x, uint32_t id)
{
	return (hnsw_record(x, id)[2] & 1) != 0;
}

/* @dim values as stored: for cosine of norm 1. Borrowed from the index. */
static inline const float *hnsw_vector(const struct hnsw_index *x, uint32_t id)
{
	return (const float *)(const void *)(hnsw_record(x, id) + x->vector_offset);
}

/* The norm in length.bin; 0 when the file is too short for it. */
float hnsw_length(const struct hnsw_index *x, uint32_t id);

/* Levels above 0 that the element has; 0 too where link_lists.bin cannot tell. */
uint32_t hnsw_levels(const struct hnsw_index *x, uint32_t id);

/* Links of one element on one level: little-endian 32-bit numbers, borrowed, maybe out of range. */
struct hnsw_links {
	const unsigned char *ptr;
	uint32_t count; /* as stored, but at most @max */
	uint32_t max;   /* max_m0 on level 0, max_m above */
	uint32_t stored_count;
};

static inline uint32_t hnsw_link(const struct hnsw_links *links, uint32_t i)
{
	return load_le32(links->ptr + (size_t)4 * i);
}

/* @level is at most hnsw_levels(); an element that lacks the level has no links there. */
struct hnsw_links hnsw_links(const struct hnsw_index *x, uint32_t id, uint32_t level);

/* Where the list begins in its file: data_level0.bin for level 0, else link_lists.bin. */
uint64_t hnsw_links_off(const struct hnsw_index *x, uint32_t id, uint32_t level);

#include "hnsw/hnsw-search.h"

#include "hnsw/hnsw-check.h"

#include "hnsw/hnsw-build.h"
