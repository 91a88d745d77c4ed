/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The check of one index directory under way: private to chroma-segment*.c
 *
 * Findings are gathered here first, and handed on only when the directory was the same before and
 * after it was read. Of each kind there is one finding, with the number of places and the first of
 * them: an index that lost its mind has millions.
 */

#include "check/chroma-segment.h"
#include "file/file.h"
#include "pickle/pickle.h"

#define SEGMENT_PICKLE HNSW_FILES /* behind those of the index */
#define SEGMENT_FILES (HNSW_FILES + 1)

/* An entry of one of the pickle's two maps. */
struct segment_pair {
	struct slice id; /* borrowed from the pickle's bytes */
	int64_t label;
};

struct segment_pairs {
	struct segment_pair *row; /* owned */
	size_t count, cap;
};

struct segment_pickle {
	bool is_whole; /* read to its end, without a fault */
	struct pickle_meta meta;
	struct segment_pairs by_id;    /* id_to_label, sorted by id */
	struct segment_pairs by_label; /* label_to_id, sorted by label */
};

struct segment_work {
	const struct chroma_segment_request *req;
	const struct chroma_segment *segment;
	struct report report;
	struct gaps gaps;
	struct chroma_segment_figures figures;
	int fd; /* of the directory; -1: it is not there */
	struct file_info info[SEGMENT_FILES];
	bool is_there[SEGMENT_FILES]; /* a regular file */
	bool is_read[SEGMENT_FILES];  /* bytes has what there is of it to be looked at */
	struct buf bytes[SEGMENT_FILES];
	struct segment_pickle pickle;
	/* Without a pickle, or with one that maps nothing, the server begins a new index over whatever
	 * files are there: nothing that is wrong in them matters. */
	bool is_ignored;
	bool has_index;
	struct hnsw_index index; /* of the bytes; when has_index */
	bool is_index_whole;     /* all elements that the header tells are there */
};

const char *segment_file_name(int file);

/* "ID/header.bin", and "ID" for -1; valid until the next call with the same buffer. */
#define SEGMENT_PATH_CAP 512
const char *segment_path(const struct segment_work *w, int file, char out[SEGMENT_PATH_CAP]);

/* Add a finding about one file; collection and path are filled in. */
void segment_report(struct segment_work *w, int file, struct finding f);
void segment_gap(struct segment_work *w, int file, const char *what, const char *why);

/* The four files: header, sizes, and at level full every byte. */
must_check_ int segment_check_index(struct segment_work *w, struct vs_err *err);

/* Read the pickle; its faults are reported. At level quick only where it may map nothing. */
must_check_ int segment_check_pickle(struct segment_work *w, struct vs_err *err);

/* Labels of the pickle against those of the elements. */
must_check_ int segment_check_labels(struct segment_work *w, struct vs_err *err);

/* Ids of the index and the queue against those of the database. */
must_check_ int segment_check_ids(struct segment_work *w, struct vs_err *err);

void segment_pickle_fini(struct segment_pickle *p);
