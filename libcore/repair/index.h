/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * index: the index directory of a Chroma collection written anew
 *
 * What is written is the state at the segment's position in the queue, so that the database need
 * not be touched: the server plays the queue from there as it always does. Records keep their
 * labels. Each vector comes from the best copy there is:
 *
 *	1. the newest row of the queue at or below the position, which is what the client sent;
 *	2. the old index, by the label that its pickle gives the id, or that it can only have had:
 *	   labels and row ids both rise with each new record, so in segments of the server in Rust
 *	   the live labels pair with the ids in the order of embeddings.id; done where both are as
 *	   many, and where no vector of the queue contradicts it;
 *	3. a row of the queue above the position, where the record is older than that row.
 *
 * Where two processes have written one index, elements of either are left. Those are believed that
 * the one that saved last has written, as their places, the queue and their links prove, or that
 * both have with one vector under one label; every other record without a vector in the queue is
 * lost. (Where each has overwritten all of the other's, no label is there twice, and nothing shows.)
 *
 * Where the old ids, labels and vectors are all sound, the graph is mended in place of being built:
 * only elements with damaged links are linked anew, and internal ids and deleted marks stay.
 */

#include "hnsw/hnsw.h"
#include "store/store.h"
#include "util/util.h"

#define INDEX_FILES (HNSW_FILES + 1)
#define INDEX_PICKLE HNSW_FILES

/* "header.bin" ... "index_metadata.pickle"; static. */
const char *index_file_name(int file);

/* A row of the embeddings table or of the queue; all borrowed. */
struct index_row {
	struct slice id;
	int64_t seq_id;
	uint8_t operation;   /* 0 add, 1 update, 2 upsert, 3 delete; queue only */
	struct slice vector; /* 4 bytes a value, as the client sent it; empty: none. Queue only */
	int64_t row;         /* embeddings.id; 0: not known */
};

struct index_facts {
	int dirfd;                 /* of the store */
	const char *segment;       /* name of the directory */
	struct hnsw_params params; /* space, dim, m, ef_construction, seed, pool */
	/* A Python release wrote it last: it reads only pickles of its own making, which this does
	 * not write; the old one is kept where it is sound. */
	bool is_python;
	bool has_position;
	int64_t position;
	uint64_t saves_after; /* so many changes lead to a save: sync_threshold; 0: not known */
	const struct index_row *rows; /* of the metadata segment, in the order of embeddings.id */
	size_t row_count;
	/* Row numbers of other collections' records, rising: gaps in ours that are nobody's loss. */
	const int64_t *foreign;
	size_t foreign_count;
	const struct index_row *log; /* of the collection, rising by seq_id */
	size_t log_count;
};

enum index_source {
	INDEX_FROM_INDEX, /* the old one */
	INDEX_FROM_QUEUE,
	INDEX_SOURCES,
};

struct index_summary {
	uint64_t records;               /* in the new index */
	uint64_t source[INDEX_SOURCES]; /* by where their vectors come from */
	uint64_t paired;                /* of those from the index: by order, not by the pickle */
	uint64_t norms_lost;            /* cosine: have their direction, and the length 1 */
	uint64_t lost;                  /* records without any copy that is surely theirs */
	uint64_t dropped;               /* ids of the old index that no record has */
	bool is_of_two;                 /* two processes wrote the old one */
	bool is_mended;                 /* graph mended; the figures below say how */
	uint32_t kept, relinked;
	struct buf lost_ids;      /* of the lost, as they are: index_ids_next() */
	struct buf norm_lost_ids; /* likewise */
};

/* The first of the ids in @rest, which is then without it; false: there is none. Borrowed. */
bool index_ids_next(struct slice *rest, struct slice *id);

void index_summary_fini(struct index_summary *s);

/* What is going to be written. Owned. */
struct index_image;
void index_image_freep(struct index_image **image);

/*
 * Read the old directory, choose, and build. VS_EUSAGE: nothing was ever saved, so there is nothing
 * to rebuild; VS_ENOTSUP: a pickle is needed that only Python writes; VS_ENOMEM, VS_ELIMIT. @out
 * refers to nothing in @facts afterwards.
 */
must_check_ int index_image_make(const struct index_facts *facts, struct index_image **out,
				 struct index_summary *summary, struct vs_err *err);

/* The bytes of one file, appended to @out. */
must_check_ int index_image_file(const struct index_image *image, int file, struct buf *out,
				 struct vs_err *err);

/* ---- the plan (index-plan.c) ---- */

/* One collection whose index is to be written anew. */
struct index_job {
	char *collection;  /* id */
	struct slice name; /* ptr owned */
	char *segment;
	struct index_summary summary;
	struct index_image *image;
	char *target;              /* where the old files go */
	bool is_same[INDEX_FILES]; /* the old file is what would be written, and stays */
};

/* What plan_index() made; lives until the plan was applied. Zeroed, then indexes_fini(). */
struct indexes {
	struct index_job *row;
	size_t count, cap;
	int64_t time_ns; /* the caller's to set */
	/* A directory with the database as it will be, where the plan changes that too; borrowed for
	 * the call of plan_index(). NULL: the store's own. */
	const char *database;
	struct plan_source source;
};
void indexes_fini(struct indexes *indexes);

/*
 * Add the index of @collection (an id or a name) to the plan: the old files go to the quarantine of
 * the store, and new ones take their place. The plan's source is set; @indexes outlives the plan.
 * VS_EUSAGE: no such collection, more than one of that name, or nothing was ever saved; else as
 * index_image_make().
 */
must_check_ int plan_index(struct plan *plan, const struct store *store, const char *collection,
			   struct pool *pool, struct indexes *indexes, struct vs_err *err);
