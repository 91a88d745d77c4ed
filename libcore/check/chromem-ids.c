/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ids: a document's file is named after the hash of its id.
 *
 * Only files of which that is not true need a thought; of two files with one id at least one is
 * such a file. They are collected as they are met, and at the end of the collection sorted by the
 * hash of the id: neighbours, and the file that has the hash for its name, may hold the same id.
 */

#include "check/chromem-run.h"

/*
 * Files with one hash that are compared with each other. There can only be more where one file was
 * copied under as many names, and then these say enough of the rest.
 */
#define GROUP_MAX 65536

/* Damage hits few documents; where more are misnamed, a program named them so. */
#define ORIGINALS_SOUGHT_MAX 64

static void ids_document(const struct sight *s)
{
	struct chunk *chunk = s->chunk;
	uint32_t hash;

	if (!s->doc || (*s->note & NOTE_EXPLAINED) != 0 || s->doc->id.len == 0)
		return;
	hash = chromem_hash(s->doc->id);
	if (s->entry->is_ordinary && hash == s->entry->key)
		return;
	chunk->misnamed = vs_grow(chunk->misnamed, &chunk->misnamed_cap, chunk->misnamed_count + 1,
				  sizeof(*chunk->misnamed));
	chunk->misnamed[chunk->misnamed_count++] = (struct misnamed){ hash, (uint32_t)s->index };
}

/* ---- files that may hold the same id ---- */

struct member {
	uint32_t index;
	bool is_proper; /* its name is the hash */
	struct digest id;
	struct digest content;
};

struct group {
	uint32_t hash;      /* of their ids */
	bool seek_original; /* of ids that may be damaged */
	struct member *row;
	size_t count, cap;
};

static void group_fini(struct group *g)
{
	free(g->row);
}

/* Read one candidate; one that has gone or changed is no member. */
static int group_add(struct chromem_run *run, struct part *part, struct group *g, uint32_t index,
		     bool is_proper, struct vs_err *err)
{
	struct member m = { .index = index, .is_proper = is_proper };
	struct chromem_doc doc;
	int r = part_look(run, part, index, &doc, err);

	if (r <= 0)
		return r;
	digest_of(doc.id, &m.id);
	chromem_doc_digest(run->digest, &doc, &m.content);
	g->row = vs_grow(g->row, &g->cap, g->count + 1, sizeof(*g->row));
	g->row[g->count++] = m;
	return 0;
}

static int compare_members(const void *a_, const void *b_)
{
	const struct member *a = a_;
	const struct member *b = b_;
	int r = memcmp(&a->id, &b->id, sizeof(a->id));

	return r != 0 ? r : (a->index > b->index) - (a->index < b->index);
}

static bool same_content(const struct member *a, const struct member *b)
{
	return memcmp(&a->content, &b->content, sizeof(a->content)) == 0;
}

/*
 * Members with one id, in the order in which the library reads them: the last one wins. They are
 * compared with the properly named one, or else with the winner.
 */
struct twins {
	const struct member *row;
	size_t count;
	const struct member *winner;
	const struct member *reference;
};

static struct twins twins_from(const struct group *g, size_t first)
{
	struct twins t = { .row = &g->row[first] };

	for (size_t i = first; i < g->count; i++) {
		if (memcmp(&g->row[i].id, &t.row->id, sizeof(t.row->id)) != 0)
			break;
		t.winner = &g->row[i];
		if (t.winner->is_proper)
			t.reference = t.winner;
		t.count++;
	}
	if (!t.reference)
		t.reference = t.winner;
	return t;
}

/* A file whose content the library drops, or serves in place of the right one. */
static bool is_harmful(const struct twins *t, const struct member *m)
{
	if (t->reference->is_proper)
		return m == t->winner && !same_content(m, t->reference);
	return !same_content(m, t->winner);
}

static int report_duplicate(struct chromem_run *run, struct part *part, const struct twins *t,
			    const struct member *m, struct vs_err *err)
{
	struct finding f = { .code = is_harmful(t, m) ? PROB_CHROMEM_DOCUMENT_DUPLICATE_ID
						      : PROB_CHROMEM_DOCUMENT_DUPLICATE_COPY };
	struct chromem_doc doc;
	char other[PATH_CAP], actual[PATH_CAP], scratch[32];
	int r;

	snprintf(other, sizeof(other), "%s/%s", part->c->dir,
		 part_entry_name(part, t->reference->index, scratch));
	snprintf(actual, sizeof(actual), "%s/%s", part->c->dir,
		 part_entry_name(part, t->winner->index, scratch));
	f.other = other;
	f.actual = actual;
	r = part_look(run, part, m->index, &doc, err);
	if (r <= 0)
		return r;
	f.document = doc.id;
	part_report(run, part, part_entry_name(part, m->index, scratch), &f);
	return 0;
}

/* ---- a file of its own ---- */

/* @is_taken: a document of another id rightly has, or wants, the name. */
static int report_misnamed(struct chromem_run *run, struct part *part, const struct group *g,
			   size_t index, bool is_taken, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_MISNAMED };
	cleanup_(buf_fini) struct buf expected = { 0 };
	struct chromem_entry entry;
	struct chromem_doc doc;
	char scratch[32];
	int r;

	chromem_list_at(part->c->list, index, scratch, &entry);
	r = part_look(run, part, index, &doc, err);
	if (r <= 0)
		return r;
	if (g->seek_original && entry.is_ordinary &&
	    chromem_find_original(doc.id, entry.key, &expected)) {
		f.code = PROB_CHROMEM_DOCUMENT_ID_DAMAGED;
	} else {
		char hash[CHROMEM_ID_LEN + 1];

		chromem_hash_format(g->hash, hash);
		buf_printf(&expected, "%s%s", hash, chromem_extension(run->compression));
		if (g->hash == CHROMEM_META_KEY)
			f.code = PROB_CHROMEM_DOCUMENT_SHADOWS_METADATA;
		else if (is_taken)
			f.code = PROB_CHROMEM_DOCUMENT_NAME_TAKEN;
	}
	f.expected = buf_cstr(&expected);
	f.document = doc.id;
	part_report(run, part, part_entry_name(part, index, scratch), &f);
	return 0;
}

/* Members with one id: what is wrong with each but the properly named one. */
static int judge_twins(struct chromem_run *run, struct part *part, const struct group *g,
		       const struct twins *t, struct vs_err *err)
{
	for (size_t i = 0; i < t->count; i++) {
		int r = 0;

		if (&t->row[i] != t->reference)
			r = report_duplicate(run, part, t, &t->row[i], err);
		else if (!t->row[i].is_proper)
			r = report_misnamed(run, part, g, t->row[i].index, g->count > t->count,
					    err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* No other file can hold its id. Where it would not be listed, it need not be read again either. */
static int judge_single(struct chromem_run *run, struct part *part, const struct misnamed *file,
			bool seek_original, struct vs_err *err)
{
	const struct group g = { .hash = file->hash, .seek_original = seek_original, .count = 1 };

	if (!seek_original && file->hash != CHROMEM_META_KEY &&
	    !report_has_room(&run->report, PROB_CHROMEM_DOCUMENT_MISNAMED)) {
		part_count(run, part, PROB_CHROMEM_DOCUMENT_MISNAMED);
		return 0;
	}
	return report_misnamed(run, part, &g, file->index, false, err);
}

/* All misnamed files whose ids have one hash, and the file that rightly has it. */
static int judge_group(struct chromem_run *run, struct part *part, const struct misnamed *row,
		       size_t count, bool seek_original, struct vs_err *err)
{
	cleanup_(group_fini) struct group g = { .hash = row->hash, .seek_original = seek_original };
	bool has_proper;
	size_t proper;
	int r;

	has_proper = row->hash != CHROMEM_META_KEY && part_find_key(run, part, row->hash, &proper);
	if (!has_proper && count == 1)
		return judge_single(run, part, row, seek_original, err);
	if (has_proper) {
		r = group_add(run, part, &g, (uint32_t)proper, true, err);
		if (r < 0)
			return r;
	}
	if (count > GROUP_MAX) {
		run_gap(run, part->c->dir, "some of the files that hold one id",
			"so many are not compared with each other", false);
		count = GROUP_MAX;
	}
	for (size_t i = 0; i < count; i++) {
		r = group_add(run, part, &g, row[i].index, false, err);
		if (r < 0)
			return r;
	}
	if (g.count > 0)
		qsort(g.row, g.count, sizeof(*g.row), compare_members);
	for (size_t i = 0; i < g.count;) {
		struct twins t = twins_from(&g, i);

		r = judge_twins(run, part, &g, &t, err);
		if (r < 0)
			return r;
		i += t.count;
	}
	return 0;
}

static int compare_misnamed(const void *a_, const void *b_)
{
	const struct misnamed *a = a_;
	const struct misnamed *b = b_;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static int ids_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct misnamed *row = part->sum.misnamed;
	size_t count = part->sum.misnamed_count;

	if (count == 0)
		return 0;
	qsort(row, count, sizeof(*row), compare_misnamed);
	for (size_t i = 0, next; i < count; i = next) {
		int r;

		for (next = i + 1; next < count && row[next].hash == row[i].hash; next++)
			;
		r = judge_group(run, part, row + i, next - i, count <= ORIGINALS_SOUGHT_MAX, err);
		if (r < 0)
			return r;
	}
	return 0;
}

const struct chromem_check chromem_ids = {
	.document = ids_document,
	.end = ids_end,
};
