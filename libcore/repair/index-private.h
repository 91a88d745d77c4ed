/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Shared by index*.c: the old directory as far as it can be read. */

#include "file/file.h"
#include "pickle/pickle.h"
#include "repair/repair.h"

struct old_pair {
	struct slice id; /* borrowed from the pickle's bytes */
	uint64_t label;
};

struct old_element {
	uint64_t label;
	uint32_t id; /* internal */
};

struct old_index {
	struct file_info info[INDEX_FILES]; /* zeroed where there is no file */
	struct buf bytes[INDEX_FILES];
	struct pickle_meta meta;
	bool is_pickle_whole;
	bool is_doubtful;      /* header or maps were wrong: the graph is not mended but built */
	bool is_of_two;        /* two processes wrote it at the same time */
	struct old_pair *pair; /* owned; sorted by id, each id once */
	size_t pair_count, pair_cap;
	struct hnsw_index index; /* views of bytes */
	uint64_t live;           /* elements not deleted */
	uint64_t label_highest;
	struct old_element *element; /* owned; live, usable, surely the label's; sorted by it */
	size_t element_count;
};

void old_index_fini(struct old_index *old);
must_check_ int old_index_load(const struct index_facts *facts, struct old_index *old,
			       struct vs_err *err);

uint64_t old_label(const struct old_index *old, struct slice id); /* 0: none */
must_check_ bool old_element(const struct old_index *old, uint64_t label, uint32_t *out);

/* Can the vector be given back as it was sent? In a cosine index that needs its length. */
bool has_norm(const struct index_facts *facts, const struct old_index *old, uint32_t element);

/* Is what the index has for this element what a client sent? @scratch has room for two vectors. */
bool index_has_vector(const struct index_facts *facts, const struct old_index *old,
		      uint32_t element, struct slice vector, float *scratch);

/*
 * Of an index that two processes wrote, the elements that are surely those of the one whose pickle
 * it is, and of records that were not changed since (index-mixed.c). @is_sure has a zeroed place for
 * each element. None where the queue does not tell where its last save was. VS_ENOMEM.
 */
must_check_ int mixed_index_settle(const struct index_facts *facts, const struct old_index *old,
				   bool *is_sure, struct vs_err *err);

/*
 * The elements whose links say that they are of the same index as the seeds (index-agree.c): of each
 * whether it is sure, in @is_sure, which is zeroed. @is_known says which may be. What is linked with a
 * seed at both ends becomes one. VS_ENOMEM.
 */
must_check_ int index_links_agree(const struct hnsw_index *x, const bool *is_known, bool *is_seed,
				  bool *is_sure, struct vs_err *err);

void summary_add_lost(struct index_summary *s, struct slice id);
void summary_add_norm_lost(struct index_summary *s, struct slice id);

/* ---- choosing (index-choose.c) ---- */

/* A record of the new index. */
struct choice {
	struct slice id;
	uint64_t label; /* 0: to be given */
	enum index_source source;
	uint32_t element;    /* from the index */
	struct slice vector; /* from the queue */
};

struct choices {
	struct choice *row; /* owned */
	size_t count, cap;
	bool is_same; /* ids, labels and vectors are those of the old index, all of them */
};

must_check_ int choices_make(const struct index_facts *facts, const struct old_index *old,
			     struct choices *out, struct index_summary *summary,
			     struct vs_err *err);
