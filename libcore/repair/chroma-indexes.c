/* SPDX-License-Identifier: Apache-2.0 */

/* Index directories: written anew where that mends something, and set aside where they are of nobody. */

#include "repair/chroma-private.h"

#define LOST_SHOWN 5
#define NO_COPY                                                                                      \
	"their vectors were in the queue and have no copy; text and metadata are whole, and can be " \
	"embedded again"

static bool is_rebuild(const struct chroma_fault *fault)
{
	/* Something else under the name of a file goes the same way as a damaged file. */
	return fault->collection &&
	       (problem_row(fault->code)->remedy == REMEDY_REBUILD_INDEX ||
		fault->code == PROB_CHROMA_INDEX_FILE_TYPE) &&
	       problem_row(fault->code)->severity > SEV_INFO;
}

static void settle(struct chroma_fixing *f, const char *collection, const char *why)
{
	for (size_t i = 0; i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];

		if (!is_rebuild(fault) || strcmp(fault->collection, collection) != 0)
			continue;
		if (why)
			chroma_fault_leave(fault, why);
		else
			fault->is_planned = true;
	}
}

/* Records without a copy of their vector stay without one, and that is no damage of the index. */
static void leave_lost(struct chroma_fixing *f, const struct index_job *job)
{
	const struct index_summary *s = &job->summary;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf why = { 0 };
	struct slice rest = buf_slice(&s->lost_ids), id;
	unsigned shown = 0;

	buf_printf(&path, "%s/%s", job->segment, index_file_name(INDEX_PICKLE));
	text_count(&why, s->lost, "record");
	buf_append_str(&why, s->is_of_two ? " without a copy of the vector that is surely theirs, "
					    "as two processes wrote the index at the same time"
					  : " without any copy of the vector");
	buf_append_str(&why, ", to be embedded again (text and metadata are whole): ");
	for (; shown < LOST_SHOWN && index_ids_next(&rest, &id); shown++) {
		buf_append_str(&why, shown > 0 ? ", " : "");
		text_escape(&why, id);
	}
	if (s->lost > shown)
		buf_append_str(&why, ", ...");
	plan_leave(f->plan, problem_row(PROB_CHROMA_INDEX_ID_MISSING)->code, buf_cstr(&path),
		   buf_cstr(&why), "vsctl snapshot list STORE");
}

bool chroma_lacks_only_records(const struct chroma_fixing *f, const char *collection,
			       bool may_have_more)
{
	bool lacks = false;

	for (size_t i = 0; i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];

		if (!is_rebuild(fault) || strcmp(fault->collection, collection) != 0)
			continue;
		if (fault->code != PROB_CHROMA_INDEX_ID_MISSING &&
		    !(may_have_more && fault->code == PROB_CHROMA_INDEX_ID_EXTRA))
			return false;
		lacks = true;
	}
	return lacks;
}

static uint64_t missing_in(const struct chroma_fixing *f, const char *collection)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];

		if (fault->code == PROB_CHROMA_INDEX_ID_MISSING && fault->collection &&
		    strcmp(fault->collection, collection) == 0)
			return fault->count;
	}
	return 0;
}

static void drop_actions(struct plan *plan, size_t from)
{
	struct plan rest = { .actions = plan->actions + from, .count = plan->count - from };
	struct plan kept = { .cap = rest.count + 1, .count = rest.count };

	/* plan_fini() frees the array too, so it gets one of its own. */
	kept.actions = vs_alloc_array(kept.cap, sizeof(*kept.actions));
	if (rest.count > 0)
		memcpy(kept.actions, rest.actions, rest.count * sizeof(*kept.actions));
	plan->count = from;
	plan_fini(&kept);
}

static int rebuild(struct chroma_fixing *f, const char *collection, struct vs_err *err)
{
	struct indexes *indexes = f->req->indexes;
	size_t before = f->plan->count, jobs = indexes->count;
	cleanup_(vs_freep) char *id = vs_strdup(collection);
	const struct index_job *job;
	struct vs_err why = { 0 };
	int r = plan_index(f->plan, f->store, id, f->req->pool, indexes, &why);

	if (r == VS_ENOMEM || r == VS_EIO)
		return vs_fail(err, (enum vs_status)r, "%s", why.text);
	if (r < 0) {
		drop_actions(f->plan, before);
		/* Of an index that was never saved the vectors were in the queue, and are gone. */
		settle(f, id,
		       r == VS_EUSAGE && chroma_lacks_only_records(f, id, false) ? NO_COPY
										 : why.text);
		return 0;
	}
	job = &indexes->row[jobs];
	if (job->summary.lost > 0 && chroma_lacks_only_records(f, id, false) &&
	    job->summary.lost >= missing_in(f, id))
		drop_actions(f->plan, before);
	if (job->summary.lost > 0) {
		leave_lost(f, job);
		settle(f, id, NULL);
		return 0;
	}
	settle(f, id, f->plan->count > before ? NULL : "the index is what it would be written as");
	return 0;
}

static int rebuild_all(struct chroma_fixing *f, struct vs_err *err)
{
	bool has_lost = chroma_lost_records(f);
	int r = 0;

	for (size_t i = 0; has_lost && i < f->count; i++) {
		if (f->faults[i].code == PROB_CHROMA_INDEX_ID_EXTRA)
			settle(f, f->faults[i].collection, CHROMA_LOST_WHY);
	}
	for (size_t i = 0; r == 0 && i < f->count; i++) {
		const struct chroma_fault *fault = &f->faults[i];

		if (is_rebuild(fault) && !fault->is_planned && !fault->why)
			r = rebuild(f, fault->collection, err);
	}
	return r;
}

/* What a dropped collection has left. It is moved whole, and can be put back. */
static int set_strays_aside(struct chroma_fixing *f, struct vs_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->count; i++) {
		struct chroma_fault *fault = &f->faults[i];
		cleanup_(buf_fini) struct buf message = { 0 };
		struct quarantine_request req = { .collection = fault->path,
						  .reason = problem_row(fault->code)->code,
						  .time_ns = f->req->time_ns };

		if (fault->code != PROB_CHROMA_INDEX_STRAY)
			continue;
		if (chroma_fault_find(f, PROB_CHROMA_COLLECTION_SEGMENTS)) {
			chroma_fault_leave(
				fault, "it may be that of a collection that has lost its segment");
			continue;
		}
		buf_append_str(&message,
			       "an index directory that no segment of the database names");
		req.message = buf_cstr(&message);
		fault->is_planned = true;
		r = plan_quarantine(f->plan, f->store, &req, err);
	}
	return r;
}

int chroma_fix_indexes(struct chroma_fixing *f, struct vs_err *err)
{
	int r;

	f->req->indexes->database = f->dir;
	f->req->indexes->time_ns = f->req->time_ns;
	r = rebuild_all(f, err);
	f->req->indexes->database = NULL;
	return r < 0 ? r : set_strays_aside(f, err);
}
