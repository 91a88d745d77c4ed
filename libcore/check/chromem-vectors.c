/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vectors: finite, not zero, of one dimension in a collection, and of length 1 where the others
 * are.
 *
 * The library normalises vectors that the caller gives it and takes what the embedding function
 * returns as it comes. So a collection of other lengths is a choice, but a single vector of another
 * length among normalised ones was altered, or came another way, and is ranked wrongly.
 */

#include "check/chromem-run.h"

#include <math.h>

/* Exceptions are at most one in so many. */
#define EXCEPTION_SHARE 4

static void vectors_document(const struct sight *s)
{
	struct chromem_vector_stats stats;
	struct finding f = { 0 };

	if (!s->doc || (*s->note & NOTE_EXPLAINED) != 0)
		return;
	if ((s->doc->oddities & CHROMEM_ODD_INEXACT_FLOAT) != 0) {
		*s->note |= NOTE_INEXACT;
		s->chunk->tally[TALLY_INEXACT]++;
	}
	if (s->doc->dimension == 0) {
		s->chunk->tally[TALLY_WITHOUT_VECTOR]++;
		return;
	}
	*s->note |= (uint32_t)VS_MIN(s->doc->dimension, (size_t)NOTE_DIMENSION);
	chromem_vector_measure(s->doc->embedding, s->doc->dimension, &stats);
	if (stats.has_nan || stats.has_inf || stats.is_zero) {
		f.code = stats.has_nan   ? PROB_CHROMEM_EMBEDDING_NAN
			 : stats.has_inf ? PROB_CHROMEM_EMBEDDING_INFINITE
					 : PROB_CHROMEM_EMBEDDING_ZERO;
		f.has_count = true;
		f.count = stats.first_bad;
		sight_report(s, &f);
		return;
	}
	s->chunk->tally[TALLY_VECTORS]++;
	if (fabs(stats.norm - 1) > CHROMEM_NORM_TOLERANCE) {
		*s->note |= NOTE_UNNORMALISED;
		s->chunk->tally[TALLY_UNNORMALISED]++;
	}
}

/* ---- dimension ---- */

static int compare_u32(const void *a_, const void *b_)
{
	uint32_t a = *(const uint32_t *)a_;
	uint32_t b = *(const uint32_t *)b_;

	return (a > b) - (a < b);
}

/* The value that comes most often; of several, the one that comes first in @values. */
static uint32_t most_frequent(uint32_t *values, size_t count)
{
	uint32_t first = values[0];
	size_t best_count = 0;
	uint32_t best = first;

	qsort(values, count, sizeof(*values), compare_u32);
	for (size_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && values[next] == values[i]; next++)
			;
		if (next - i > best_count || (next - i == best_count && values[i] == first)) {
			best_count = next - i;
			best = values[i];
		}
	}
	return best;
}

/* Dimension of the majority; 0 when there are no vectors. *@mixed: there are others. */
static int collection_dimension(const struct part *part, uint32_t *out, bool *mixed,
				struct vs_err *err)
{
	size_t entries = chromem_list_count(part->c->list);
	cleanup_(vs_freep) uint32_t *values = NULL;
	size_t count = 0;

	*out = 0;
	*mixed = false;
	for (size_t i = 0; i < entries; i++) {
		uint32_t dimension = part->notes[i] & NOTE_DIMENSION;

		count += dimension != 0;
		if (dimension != 0 && *out == 0)
			*out = dimension;
		*mixed |= dimension != 0 && dimension != *out;
	}
	if (!*mixed)
		return 0;
	values = vs_try_alloc(count, sizeof(*values));
	if (!values)
		return vs_fail(err, VS_ENOMEM, "%s: no memory for %zu dimensions", part->c->dir,
			       count);
	count = 0;
	for (size_t i = 0; i < entries; i++) {
		if ((part->notes[i] & NOTE_DIMENSION) != 0)
			values[count++] = part->notes[i] & NOTE_DIMENSION;
	}
	*out = most_frequent(values, count);
	return 0;
}

/* Report one document of which the note has told all but the id and the length. */
static int report_one(struct chromem_run *run, struct part *part, size_t index, enum problem code,
		      const char *expected, struct vs_err *err)
{
	struct finding f = { .code = code, .expected = expected };
	struct chromem_vector_stats stats;
	struct chromem_doc doc;
	char actual[32];
	char scratch[32];
	int r;

	if (!report_has_room(&run->report, code)) {
		part_count(run, part, code);
		return 0;
	}
	r = part_look(run, part, index, &doc, err);
	if (r <= 0)
		return r;
	snprintf(actual, sizeof(actual), "%zu", doc.dimension);
	if (code == PROB_CHROMEM_EMBEDDING_NORM) {
		chromem_vector_measure(doc.embedding, doc.dimension, &stats);
		snprintf(actual, sizeof(actual), "%.6g", stats.norm);
	}
	f.actual = actual;
	f.document = doc.id;
	f.has_count = true;
	f.count = doc.facts.inexact_floats;
	f.has_offset = doc.embedding_off > 0;
	f.offset = doc.embedding_off;
	part_report(run, part, part_entry_name(part, index, scratch), &f);
	return 0;
}

/* Does a document with this note lack the vector that others have, or have one that is too long? */
static bool has_other_dimension(uint32_t note, uint32_t dimension)
{
	return (note & NOTE_DECODED) != 0 && (note & NOTE_EXPLAINED) == 0 &&
	       (note & NOTE_DIMENSION) != dimension;
}

static int report_dimensions(struct chromem_run *run, struct part *part, uint32_t dimension,
			     struct vs_err *err)
{
	char expected[16];

	snprintf(expected, sizeof(expected), "%" PRIu32, dimension);
	for (size_t i = 0; i < chromem_list_count(part->c->list); i++) {
		uint32_t note = part->notes[i];
		int r;

		if (!has_other_dimension(note, dimension))
			continue;
		r = report_one(run, part, i,
			       (note & NOTE_DIMENSION) == 0 ? PROB_CHROMEM_EMBEDDING_MISSING
							    : PROB_CHROMEM_EMBEDDING_DIMENSION,
			       expected, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- length and precision: exceptions one by one, a rule in one word ---- */

bool are_exceptions(uint64_t odd, uint64_t all)
{
	return all - odd >= 2 && (odd == 1 || odd * EXCEPTION_SHARE <= all - odd);
}

static int report_noted(struct chromem_run *run, struct part *part, uint32_t flag,
			enum problem code, uint32_t dimension, struct vs_err *err)
{
	for (size_t i = 0; part_next_noted(part, flag, &i); i++) {
		int r;

		if (has_other_dimension(part->notes[i], dimension))
			continue;
		r = report_one(run, part, i, code, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int report_exceptions(struct chromem_run *run, struct part *part, uint32_t dimension,
			     struct vs_err *err)
{
	const struct {
		enum tally tally;
		uint32_t flag;
		enum problem exception, rule;
	} rows[] = {
		{ TALLY_UNNORMALISED, NOTE_UNNORMALISED, PROB_CHROMEM_EMBEDDING_NORM,
		  PROB_CHROMEM_EMBEDDING_UNNORMALISED },
		{ TALLY_INEXACT, NOTE_INEXACT, PROB_CHROMEM_DOCUMENT_FLOAT_INEXACT,
		  PROB_CHROMEM_EMBEDDING_PRECISION },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		struct finding f = { .code = rows[i].rule,
				     .has_count = true,
				     .count = part->sum.tally[rows[i].tally] };
		int r;

		if (f.count == 0)
			continue;
		if (!are_exceptions(f.count, part->sum.tally[TALLY_VECTORS])) {
			part_report(run, part, NULL, &f);
			continue;
		}
		r = report_noted(run, part, rows[i].flag, rows[i].exception, dimension, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int vectors_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_EMBEDDING_NONE };
	uint32_t dimension;
	bool mixed;
	int r;

	r = collection_dimension(part, &dimension, &mixed, err);
	if (r < 0)
		return r;
	part->record->dimension = dimension;
	if (dimension == 0) {
		if (part->sum.tally[TALLY_WITHOUT_VECTOR] > 0)
			part_report(run, part, NULL, &f);
		return 0;
	}
	if (mixed || part->sum.tally[TALLY_WITHOUT_VECTOR] > 0) {
		r = report_dimensions(run, part, dimension, err);
		if (r < 0)
			return r;
	}
	return report_exceptions(run, part, dimension, err);
}

const struct chromem_check chromem_vectors = {
	.document = vectors_document,
	.end = vectors_end,
};
