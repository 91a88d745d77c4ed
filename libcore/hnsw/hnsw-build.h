/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Building an index from vectors, re-linking a damaged one, and writing either
 *
 * The whole graph is in memory in the form of the files: data_level0.bin as one block, the upper
 * lists as another. Elements get their levels first, from a seed, so that the highest comes first
 * as entry point; then each is inserted after Malkov & Yashunin with their heuristic choice of
 * neighbours, those with upper levels first, the others neighbour by neighbour. What lies near is
 * found by vectors of a byte per value, which are held beside the others meanwhile (a quarter more
 * memory); where that is not exact enough to tell neighbours apart, by the vectors themselves. With
 * one thread the same input gives the same bytes, whichever kernels run where no vectors had to be
 * measured themselves; with more, the order of insertion differs from run to run, and so does the
 * graph, but not its quality. At the end every element that nothing leads to is linked from a
 * neighbour.
 */

#include "util/util.h"

#include "hnsw/hnsw-search.h"

struct hnsw_params {
	enum hnsw_space space;
	uint32_t dim;
	uint32_t m; /* max_neighbors of the configuration; the server's default is 16 */
	uint32_t ef_construction; /* as the header says; the server's default is 100 */
	uint32_t build_ef;        /* used to build, where it is higher; 0: chosen by the room */
	uint64_t seed;
	struct pool *pool; /* may be NULL: one thread */
};

struct hnsw_graph;
void hnsw_graph_freep(struct hnsw_graph **g);

/*
 * Room for @count elements of params->dim values. VS_ELIMIT for sizes beyond the limits of hnsw.h and
 * for more than 2^31 elements, VS_ENOMEM. @params is copied; the pool outlives the graph.
 */
must_check_ int hnsw_graph_new(const struct hnsw_params *params, uint64_t count,
			       struct hnsw_graph **out, struct vs_err *err);

/*
 * Append an element: a vector as the client sent it, which for cosine is normalised here, its norm
 * going to length.bin. A value that is not finite is refused as VS_EFORMAT; more elements than the
 * graph has room for as VS_EUSAGE.
 */
must_check_ int hnsw_graph_add(struct hnsw_graph *g, uint64_t label, const float *vector,
			       bool is_deleted, struct vs_err *err);

/* The same for a vector that is as an index stores it, with the norm that belongs to it. */
must_check_ int hnsw_graph_add_stored(struct hnsw_graph *g, uint64_t label, const float *vector,
				      float length, bool is_deleted, struct vs_err *err);

/*
 * Link what was added; once. @progress may be NULL; items count the elements linked. The index it
 * gives is borrowed and searchable. VS_ENOMEM is the only failure.
 */
must_check_ int hnsw_graph_link(struct hnsw_graph *g, struct vs_progress *progress,
				const struct hnsw_index **out, struct vs_err *err);

/* ---- repair ---- */

struct hnsw_repair {
	uint32_t kept;           /* elements whose links were all sound */
	uint32_t trimmed;        /* lost some links and kept enough */
	uint32_t relinked;       /* linked anew on level 0 */
	uint32_t levels_redrawn; /* had upper levels that could not be read, or may have had */
	uint32_t lost;           /* vector not finite: made zero, marked deleted */
};

/*
 * A graph with the elements of @index, same internal ids, labels, marks and vectors, in which only
 * what is damaged is linked anew: links out of range, doubled, to itself or to a missing level are
 * dropped; elements that keep fewer than a quarter of M links or that nothing leads to are inserted
 * again; levels that link_lists.bin no longer tells are drawn anew. A norm that length.bin lacks
 * becomes 1. @lost, which may be NULL, is called with each element whose vector is gone. The result
 * is linked: hnsw_graph_index(), hnsw_graph_save().
 *
 * @own, which may be NULL, is the buffer that @index has its level 0 from: where the sizes of records
 * stay, the graph takes it and mends what is in it, as copying all vectors takes longer than linking a
 * few. @own is empty then, also after a failure, and @index is of use only for what is not a link.
 */
must_check_ int hnsw_graph_repair(const struct hnsw_index *index, struct buf *own,
				  const struct hnsw_params *params,
				  void (*lost)(void *ctx, uint32_t id, uint64_t label), void *ctx,
				  struct hnsw_graph **out, struct hnsw_repair *summary,
				  struct vs_err *err);

/* The index of a linked graph; borrowed. */
const struct hnsw_index *hnsw_graph_index(const struct hnsw_graph *g);

/* ---- saving ---- */

/*
 * Hand the bytes of one of the four files to @put in pieces, from the first to the last, as the
 * server writes them. @put returns 0, or a negative status with @err filled to stop.
 */
must_check_ int hnsw_graph_save(const struct hnsw_graph *g, enum hnsw_file file,
				int (*put)(void *ctx, struct slice bytes, struct vs_err *err),
				void *ctx, struct vs_err *err);
