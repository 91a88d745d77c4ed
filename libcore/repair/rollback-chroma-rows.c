/* SPDX-License-Identifier: Apache-2.0 */

/* Records of a collection in two databases, side by side in byte order of their ids. */

#include "repair/rollback-chroma.h"

void chroma_side_fini(struct chroma_side *side)
{
	chroma_catalog_fini(&side->catalog);
	chroma_db_closep(&side->db);
}

int chroma_side_open(struct chroma_side *side, int dirfd, struct vs_err *err)
{
	int r = chroma_db_open(&side->db, dirfd, NULL, err);

	if (r == 0)
		r = chroma_catalog_load(&side->catalog, side->db, err);
	side->is_there = r == 0;
	if (r != VS_EFORMAT && r != VS_ENOTSUP && r != VS_ENOENT)
		return r;
	snprintf(side->why, sizeof(side->why), "%s", err->text);
	*err = (struct vs_err){ 0 };
	return 0;
}

const struct chroma_collection *chroma_side_find(const struct chroma_side *side, const char *id)
{
	return side->is_there ? chroma_catalog_find(&side->catalog, slice_str(id)) : NULL;
}

/* ---- the records of one side ---- */

struct sum_list {
	struct chroma_sum *sums; /* ids are owned */
	size_t count, cap;
};

static void sum_list_fini(struct sum_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		vs_free_const(l->sums[i].id.ptr);
		vs_free_const(l->sums[i].created.ptr);
	}
	free(l->sums);
}

static int keep_sum(void *ctx, const struct chroma_sum *sum, struct vs_err *err)
{
	struct sum_list *l = ctx;

	(void)err;
	l->sums = vs_grow(l->sums, &l->cap, l->count + 1, sizeof(*l->sums));
	l->sums[l->count] = *sum;
	l->sums[l->count].id = slice_of(vs_strndup(sum->id), sum->id.len);
	l->sums[l->count++].created = slice_of(vs_strndup(sum->created), sum->created.len);
	return 0;
}

static int load(struct sum_list *l, const struct chroma_side *side,
		const struct chroma_collection *c, struct vs_err *err)
{
	if (!c || c->metadata == SIZE_MAX)
		return 0;
	return chroma_sums_each(side->db, side->catalog.segments[c->metadata].id, keep_sum, l, err);
}

/* ---- batches and times ---- */

static int compare_age(const void *a_, const void *b_)
{
	const struct chroma_sum *a = *(const struct chroma_sum *const *)a_;
	const struct chroma_sum *b = *(const struct chroma_sum *const *)b_;

	if (a->seq_id != b->seq_id)
		return a->seq_id < b->seq_id ? -1 : 1;
	return slice_cmp(a->id, b->id);
}

static bool has_batch(const struct rollback_request *req, const char *id, size_t batch)
{
	for (size_t i = 0; i < req->batch_count; i++) {
		if (req->batches[i].batch == batch && strcmp(req->batches[i].directory, id) == 0)
			return true;
	}
	return req->batch_count == 0;
}

/* Whether @sum was there at the time that is asked for. */
static int was_added(const struct rollback_request *req, const struct chroma_sum *sum, bool *out,
		     struct vs_err *err)
{
	const char *text = (const char *)sum->created.ptr; /* vs_strndup() has ended it */
	int64_t at = 0;

	*out = true;
	if (req->at_ns == 0)
		return 0;
	if (!time_parse(text, 0, &at))
		return vs_fail(
			err, VS_EFORMAT,
			"the database does not say when each record was added, so --at cannot "
			"choose among them");
	*out = at <= req->at_ns;
	return 0;
}

/* Which of @l are wanted; @out has a place for each, owned. A hundred are a batch, in the order
 * of the last operation on each. */
static int choose(const struct rollback_request *req, const char *id, const struct sum_list *l,
		  bool *out, struct vs_err *err)
{
	cleanup_(vs_freep) const struct chroma_sum **by_age =
		vs_alloc_array(l->count + 1, sizeof(*by_age));
	int r = 0;

	for (size_t i = 0; i < l->count; i++)
		by_age[i] = &l->sums[i];
	if (l->count > 0)
		qsort(by_age, l->count, sizeof(*by_age), compare_age);
	for (size_t i = 0; r == 0 && i < l->count; i++) {
		bool *wanted = &out[by_age[i] - l->sums];

		r = was_added(req, by_age[i], wanted, err);
		*wanted = *wanted && has_batch(req, id, i / SNAP_BATCH_LEN);
	}
	return r;
}

/* Leave the wanted ones in @l, and put the ids of the others into @rest, where that is asked. */
static int filter(const struct rollback_request *req, const char *id, struct sum_list *l,
		  struct record_ids *rest, struct vs_err *err)
{
	cleanup_(vs_freep) bool *wanted = vs_alloc_array(l->count + 1, sizeof(*wanted));
	size_t kept = 0;
	int r = 0;

	if (req->batch_count == 0 && req->at_ns == 0)
		return 0;
	r = choose(req, id, l, wanted, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->count; i++) {
		struct chroma_sum sum = l->sums[i];

		if (wanted[i]) {
			/* Exchanged, so that the list still owns all of its texts. */
			l->sums[i] = l->sums[kept];
			l->sums[kept++] = sum;
		} else if (rest) {
			rest->ids =
				vs_grow(rest->ids, &rest->cap, rest->count + 1, sizeof(*rest->ids));
			rest->ids[rest->count++] = slice_of(vs_strndup(sum.id), sum.id.len);
		}
	}
	for (size_t i = kept; i < l->count; i++) {
		vs_free_const(l->sums[i].id.ptr);
		vs_free_const(l->sums[i].created.ptr);
	}
	l->count = kept;
	return 0;
}

void record_ids_fini(struct record_ids *l)
{
	for (size_t i = 0; i < l->count; i++)
		vs_free_const(l->ids[i].ptr);
	free(l->ids);
	*l = (struct record_ids){ 0 };
}

int chroma_rows_unwanted(const struct rollback_request *req, const struct chroma_side *then,
			 const char *id, struct record_ids *out, struct vs_err *err)
{
	cleanup_(sum_list_fini) struct sum_list old = { 0 };
	int r = load(&old, then, chroma_side_find(then, id), err);

	return r == 0 ? filter(req, id, &old, out, err) : r;
}

/* ---- side by side ---- */

/* An operation that left everything as it was, as one on the vector alone does, shows in the number
 * of the queue. */
static void compare_one(const struct chroma_sum *then, const struct chroma_sum *now,
			struct row_changes *out)
{
	bool is_same = memcmp(&then->digest, &now->digest, sizeof(then->digest)) == 0;
	int64_t shift = now->seq_id - then->seq_id;

	if (out->kept + out->changed == 0)
		out->shift = shift;
	else if (shift != out->shift)
		out->is_shifted_evenly = false;
	if (is_same && then->has_seq == now->has_seq && shift == 0)
		out->kept++;
	else
		out->changed++;
}

static void merge(const struct sum_list *then, const struct sum_list *now, struct row_changes *out)
{
	size_t i = 0, k = 0;

	while (i < then->count || k < now->count) {
		int order = i == then->count  ? 1
			    : k == now->count ? -1
					      : slice_cmp(then->sums[i].id, now->sums[k].id);

		if (order == 0)
			compare_one(&then->sums[i], &now->sums[k], out);
		out->removed += order < 0;
		out->added += order > 0;
		i += order <= 0;
		k += order >= 0;
	}
}

/* Are these all records that the snapshot has of the collection, by the digest in its manifest? */
static bool is_as_recorded(const struct rollback_request *req, const char *id,
			   const struct sum_list *now)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct digest rows;

	if (req->batch_count > 0 || req->at_ns != 0)
		return false;
	for (size_t i = 0; i < now->count; i++)
		chroma_sum_add(ctx, &now->sums[i]);
	digest_ctx_final(ctx, &rows);
	for (size_t i = 0; i < req->m->collection_count; i++) {
		const struct snap_collection *c = &req->m->collections[i];

		if (strcmp(c->directory, id) == 0)
			return c->has_rows && c->documents == now->count &&
			       memcmp(&c->rows, &rows, sizeof(rows)) == 0;
	}
	return false;
}

int chroma_rows_compare(const struct rollback_request *req, const struct chroma_side *then,
			const struct chroma_side *now, const char *id, struct row_changes *out,
			struct vs_err *err)
{
	const struct chroma_collection *was = chroma_side_find(then, id);
	const struct chroma_collection *is = chroma_side_find(now, id);
	cleanup_(sum_list_fini) struct sum_list old = { 0 };
	cleanup_(sum_list_fini) struct sum_list new = { 0 };
	struct digest a = { { 0 } }, b = { { 0 } };
	bool is_recorded;
	int r;

	*out = (struct row_changes){ .is_shifted_evenly = true };
	r = load(&new, now, is, err);
	is_recorded = r == 0 && was && is && is_as_recorded(req, id, &new);
	if (r == 0 && !is_recorded)
		r = load(&old, then, was, err);
	if (r == 0)
		r = filter(req, id, &old, NULL, err);
	if (r == 0 && was)
		r = chroma_settings_sum(then->db, id, &a, err);
	if (r == 0 && is)
		r = chroma_settings_sum(now->db, id, &b, err);
	if (r < 0)
		return r;
	if (is_recorded)
		out->kept = new.count;
	else
		merge(&old, &new, out);
	out->has_other_settings = !was != !is || memcmp(&a, &b, sizeof(a)) != 0;
	return 0;
}
