/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The index directory of one collection of a Chroma store
 *
 * A vector segment is a directory named by the segment's id, with four files of the index (see
 * hnsw/hnsw.h) and index_metadata.pickle, which maps ids to labels (see pickle/pickle.h). The
 * server checks next to nothing of it: that the files open and that the version is 1. A bad count,
 * entry point or link ends the whole server; a lost pickle or directory makes it begin an empty
 * index without a word.
 *
 * The caller knows the database; it hands over what the directory has to agree with. Nothing here
 * reads chroma.sqlite3, and nothing is unpickled: a pickle that would run code is told by its
 * opcodes.
 *
 * When the server writes the directory: the index files at a save (after sync_threshold rows of the
 * queue), then the pickle, then the row of max_seq_id. Before the first save the four files
 * describe an empty index, there is no pickle and no row, and every vector is in the queue. Up to
 * 0.5.5 the position stood in the pickle. So what the index knows is the pickle's ids plus the
 * queue's rows above the segment's position, and that has to be what the metadata side knows.
 *
 * Memory: the files, as far as a healthy index of that many elements has them, up to half of the
 * machine's memory, 44 bytes per element, and 24 bytes per id on either side.
 */

#include "check/check.h"
#include "check/gaps.h"
#include "check/report.h"
#include "hnsw/hnsw.h"
#include "util/util.h"

/* Operations of the queue as the database has them. */
enum chroma_segment_operation {
	CHROMA_SEGMENT_ADD = 0,
	CHROMA_SEGMENT_UPDATE = 1,
	CHROMA_SEGMENT_UPSERT = 2,
	CHROMA_SEGMENT_DELETE = 3,
};

/* A row of the embeddings table, or of the queue. */
struct chroma_segment_row {
	struct slice id;
	int64_t seq_id;
	uint8_t operation; /* of the queue; unused for embeddings, as is has_vector */
	bool has_vector;
};

/* A position in the queue: everything up to it has been taken in. */
struct chroma_segment_position {
	bool is_set; /* false: there is no row in max_seq_id */
	int64_t seq_id;
};

/* What the database says of the segment. All pointers are borrowed for the call. */
struct chroma_segment {
	const char *id;         /* name of the directory */
	const char *collection; /* as findings are to name it; NULL where no row names one */
	uint32_t dimension;     /* 0: NULL in the database, nothing was ever written */
	bool has_space;         /* false: the configuration could not be read */
	enum hnsw_space space;
	uint32_t m;         /* max_neighbors, 0: not known */
	uint32_t ef_search; /* 0: not known */

	struct chroma_segment_position vector;   /* of this segment */
	struct chroma_segment_position metadata; /* of the collection's other segment */

	/*
	 * Rows of the metadata segment in `embeddings`, in any order, and the collection's rows in
	 * the queue, rising. Where either could not be read whole, has_rows is false and nothing is
	 * held against them.
	 */
	bool has_rows;
	const struct chroma_segment_row *rows;
	size_t row_count;
	const struct chroma_segment_row *log;
	size_t log_count;
};

struct chroma_segment_request {
	int dirfd; /* of the store */
	enum check_level level;
	struct pool *pool; /* for the deep level; may be NULL */
};

/* What was seen, for lists and summaries. Zero where the level does not look. */
struct chroma_segment_figures {
	bool is_there;     /* the directory */
	bool is_persisted; /* it has a pickle */
	bool is_class;     /* the pickle is a Python release's */
	uint64_t bytes;    /* of the files, as their sizes say */
	uint32_t dimension;
	uint64_t elements, deleted, unreachable;
	uint64_t mapped;     /* ids in the pickle */
	uint64_t only_queue; /* ids whose vector is in the queue alone */
	uint64_t counter;    /* total_elements_added */
	bool has_recall;     /* deep level */
	double recall;       /* of the 10 nearest, 0..1 */
	uint64_t errors;     /* findings of that severity */
	uint64_t warnings;
};

/*
 * Check the directory of one segment. Levels: quick looks at the directory, the sizes and the
 * header; full at every byte, and at both sides' ids; deep also searches and compares with exact
 * search. A directory that is being saved while it is read is read again, and given up as a gap
 * after some tries. Returns 0 when the check was made, whatever it found, or VS_ENOMEM.
 */
must_check_ int chroma_segment_check(const struct chroma_segment_request *req,
				     const struct chroma_segment *segment, struct report *report,
				     struct gaps *gaps, struct chroma_segment_figures *out,
				     struct vs_err *err);

/*
 * Report directories of the store that look like a segment (named by a UUID, with header.bin in
 * them) and are none of @ids: what the server leaves behind when a collection is dropped. @ids has
 * the ids of all vector segments of all databases, in any order.
 */
must_check_ int chroma_segment_check_strays(int dirfd, const char *const *ids, size_t count,
					    struct report *report, struct gaps *gaps,
					    struct vs_err *err);
