/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of hnsw_check(): one run over one index. */

#include "hnsw/graph.h"

struct hnsw_checker {
	const struct hnsw_check_request *request;
	struct hnsw_stats *stats;
	struct vs_err *err;
	const struct hnsw_index *index; /* NULL while the header is judged */
	uint32_t *linked; /* links on level 0 to each element; filled by the check of elements */
};

/* Hand over a finding; 0 or the callback's negative status. */
int hnsw_report(struct hnsw_checker *c, const struct hnsw_finding *f);

/* The fields of the header against each other. */
int hnsw_check_header(struct hnsw_checker *c, const struct hnsw_header *h);

#define HNSW_CLEAN_PIECE 256u

/*
 * Set @is_clean for each piece of elements, the last one shorter, that nothing is to be reported of:
 * all that hnsw_check_elements() would ask. Their figures go to the stats and to @linked. @is_clean
 * is zeroed, and a label that comes twice in the index leaves it so. VS_ENOMEM is the only failure.
 */
must_check_ int hnsw_find_clean(struct hnsw_checker *c, bool *is_clean);

/* Each element by itself: flags, links, label, values. */
int hnsw_check_elements(struct hnsw_checker *c);

/* What leads where: entry point, levels, reachability. */
int hnsw_check_graph(struct hnsw_checker *c);

/* How many live elements that are not in @reached were linked once, or have no link to the rest. */
must_check_ int hnsw_count_cut_off(const struct hnsw_checker *checker, const uint64_t *reached,
				   uint64_t *out);
