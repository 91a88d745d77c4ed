/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * report: findings kept until the whole store has been seen
 *
 * A report counts everything and keeps copies of at most a given number of findings of each
 * severity, so that neither a store of a million damaged documents nor one of a million curiosities
 * fills the memory, and curiosities never push out errors. What follows from the findings alone
 * (verdict, loadable) follows from the counts. Used by one thread at a time.
 */

#include "check/check.h"

#define SEVERITIES 3
#define EFFECTS 4

struct report {
	uint64_t max; /* kept of each severity; 0: no limit */
	struct finding **kept;
	size_t count, cap;
	uint64_t kept_of[SEVERITIES];
	uint64_t severity[SEVERITIES]; /* all, kept or not */
	uint64_t effect[EFFECTS];
};

void report_fini(struct report *r);

/* Copy @f into the report. */
void report_add(struct report *r, const struct finding *f);

/* Count @count findings of a problem without their details. */
void report_count(struct report *r, enum problem code, uint64_t count);

/* Would a finding of this problem be kept? When not, its details need not be worked out. */
bool report_has_room(const struct report *r, enum problem code);

/* Move all of @from behind what is in @to; @from is empty afterwards. */
void report_move(struct report *to, struct report *from);

/*
 * Hand the findings to the sink in their order, at most @r->max of them (errors before warnings
 * before information where not all fit), and fill the counts, verdict and loadable of @out.
 */
void report_emit(struct report *r, const struct check_sink *sink, struct check_summary *out);
