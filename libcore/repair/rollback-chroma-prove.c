/* SPDX-License-Identifier: Apache-2.0 */

/* The exchange of a collection's rows, and what the store must be after a rollback. */

#include "repair/rollback-chroma.h"

/* ---- the change of the copy ---- */

/* Of what has come in, what batches and times leave out. */
static int remove_unwanted(const struct rollback_request *req, const char *id,
			   struct chroma_edit *e, struct vs_err *err)
{
	cleanup_(chroma_side_fini) struct chroma_side then = { 0 };
	cleanup_(record_ids_fini) struct record_ids rest = { 0 };
	int r;

	if (req->batch_count == 0 && req->at_ns == 0)
		return 0;
	r = chroma_side_open(&then, req->database_dirfd, err);
	if (r == 0)
		r = chroma_rows_unwanted(req, &then, id, &rest, err);
	return r == 0 ? chroma_remove_records(e, id, rest.ids, rest.count, err) : r;
}

int rollback_edit_chroma(const struct rollback_request *req, const struct action *a,
			 struct chroma_edit *e, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf from = { 0 };
	struct digest before, after;
	int r;

	buf_printf(&from, "/proc/self/fd/%d/%s", req->database_dirfd, CHROMA_DATABASE);
	r = chroma_others_sum(e, buf_cstr(&from), a->collection, &before, err);
	if (r == 0)
		r = chroma_exchange(e, buf_cstr(&from), a->collection, NULL, err);
	if (r == 0)
		r = remove_unwanted(req, a->collection, e, err);
	if (r == 0)
		r = chroma_others_sum(e, buf_cstr(&from), a->collection, &after, err);
	if (r == 0 && memcmp(&before, &after, sizeof(before)) != 0)
		return vs_fail(err, VS_EFORMAT,
			       "rows of other collections than %s would change; nothing was done",
			       a->collection);
	return r;
}

/* ---- what the store must be afterwards ---- */

struct chroma_proof {
	const struct rollback_request *req;
	struct chroma_side then, now;
	char wrong[300];        /* the first file that is */
	bool has_same_database; /* byte for byte */
};

static void chroma_proof_fini(struct chroma_proof *p)
{
	chroma_side_fini(&p->then);
	chroma_side_fini(&p->now);
}

static int on_difference(void *ctx, enum snap_change kind, const char *path,
			 const struct snap_member *member, struct vs_err *err)
{
	struct chroma_proof *p = ctx;
	bool is_whole = p->req->collection_count == 0;
	struct slice directory;
	bool matters;

	(void)member, (void)err;
	p->has_same_database |= kind == SNAP_SAME && strcmp(path, CHROMA_DATABASE) == 0;
	matters = chroma_index_of(path, &directory)
			  ? chroma_concerns(p->req, &p->then, &p->now, directory)
			  : is_whole && strcmp(path, CHROMA_DATABASE) == 0;
	if (matters && kind != SNAP_SAME && p->wrong[0] == '\0')
		snprintf(p->wrong, sizeof(p->wrong), "%s", path);
	return 0;
}

static int prove_rows(const struct chroma_proof *p, const char *id, struct vs_err *err)
{
	struct row_changes rows;
	int r = chroma_rows_compare(p->req, &p->then, &p->now, id, &rows, err);
	uint64_t there = rows.kept + rows.changed;

	if (r < 0)
		return r;
	if (rows.added + rows.removed > 0)
		return vs_fail(err, VS_EFORMAT,
			       "collection %s: Document count mismatch: %" PRIu64 " vs %" PRIu64,
			       id, there + rows.removed, there + rows.added);
	/* Numbers that others have by now are others here, and all by the same. */
	if (rows.has_other_settings ||
	    (rows.changed > 0 && !(rows.shift != 0 && rows.is_shifted_evenly)))
		return vs_fail(err, VS_EFORMAT, "collection %s: is not what snapshot %s has", id,
			       p->req->m->id);
	return 0;
}

int rollback_prove_chroma(const struct rollback_request *req, struct vs_err *err)
{
	cleanup_(chroma_proof_fini) struct chroma_proof p = { .req = req };
	const struct snap_comparison what = { req->m, req->store, true, req->jobs, req->known };
	int r = chroma_side_open(&p.then, req->database_dirfd, err);

	if (r == 0)
		r = chroma_side_open(&p.now, req->store->dirfd, err);
	if (r == 0)
		r = snap_compare_known(&what, on_difference, &p, err);
	if (r == 0 && p.wrong[0] != '\0')
		return vs_fail(err, VS_EFORMAT, "%s: is not what snapshot %s has", p.wrong,
			       req->m->id);
	if (r == 0 && chroma_has_beside(req->store->dirfd))
		return vs_fail(err, VS_EBUSY,
			       "something is beside %s that was not there: a server writes to it",
			       CHROMA_DATABASE);
	/* Then every row is what it was. */
	if (r < 0 || !p.then.is_there || p.has_same_database)
		return r;
	if (!p.now.is_there)
		return vs_fail(err, VS_EFORMAT, "%s", p.now.why);
	for (size_t i = 0; r == 0 && i < p.then.catalog.collection_count; i++) {
		const char *id = p.then.catalog.collections[i].id;

		if (chroma_is_chosen(req, id))
			r = prove_rows(&p, id, err);
	}
	return r;
}
