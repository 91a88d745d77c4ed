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

/* Each element by itself: flags, links, label, values. */
int hnsw_check_elements(struct hnsw_checker *c);

/* What leads where: entry point, levels, reachability. */
int hnsw_check_graph(struct hnsw_checker *c);
