/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the choice of records and vectors for a new index shares with the pairing of lost labels. */

#include "repair/index-private.h"

/* What the queue says of one id. */
struct news {
	struct slice id;
	size_t from, to;    /* its rows in `order` */
	struct slice below; /* newest vector at or below the position */
	struct slice above; /* newest above */
	bool is_made_above; /* an add or upsert above: playing the queue makes it */
	bool is_made_first; /* by the first row above: it may have been there, or not */
	bool has_above;
	bool is_gone_above;  /* a delete above */
	bool was_below;      /* any row at or below */
	bool is_made_at_all; /* there is an add, so every vector it ever had is in the queue */
};

struct chooser {
	const struct index_facts *facts;
	const struct old_index *old;
	struct index_summary *summary;
	struct choices *out;
	int64_t position;
	const struct index_row **order; /* owned: the queue by id, then by number */
	struct news *news;              /* owned: sorted by id */
	size_t news_count;
	uint64_t *paired; /* owned: label by row, 0 none; NULL where pairing failed */
	float *scratch;   /* owned: two vectors */
};

/* What the queue says of @id; NULL: nothing. */
const struct news *chooser_find_news(const struct chooser *c, struct slice id);

/* Does the old index have, for @element, the @vector that a client sent? */
bool chooser_is_vector_of(const struct chooser *c, uint32_t element, struct slice vector);

/*
 * Labels for the rows that the pickle no longer has, where their order gives them (index-pair.c):
 * c->paired, or NULL there where it does not.
 */
must_check_ int chooser_pair(struct chooser *c, struct vs_err *err);
