/* SPDX-License-Identifier: Apache-2.0 */

/* The new index: mended where the old one is sound but for its links, else built, and its files. */

#include "repair/index-private.h"

struct index_image {
	struct hnsw_graph *graph;
	struct buf pickle;
};

void index_image_freep(struct index_image **image_)
{
	struct index_image *image = *image_;

	if (!image)
		return;
	hnsw_graph_freep(&image->graph);
	buf_fini(&image->pickle);
	free(image);
	*image_ = NULL;
}

static void choices_fini(struct choices *choices)
{
	free(choices->row);
}

/* ---- the pickle ---- */

static int write_pickle(const struct choices *choices, uint64_t counter, struct buf *out,
			struct vs_err *err)
{
	struct pickle_writer w;
	int r = 0;

	pickle_writer_begin(&w, out, (int64_t)counter);
	for (int map = 0; map < 2; map++) {
		for (size_t i = 0; r == 0 && i < choices->count; i++)
			r = pickle_writer_add(&w, choices->row[i].id,
					      (int64_t)choices->row[i].label, err);
		if (map == 0)
			pickle_writer_turn(&w);
	}
	return r < 0 ? r : pickle_writer_end(&w, err);
}

/* The highest label that was ever given, as far as anything tells. */
static uint64_t counter_of(const struct old_index *old)
{
	int64_t told = old->meta.total_elements_added.value;
	uint64_t counter = told > 0 && told <= UINT32_MAX ? (uint64_t)told : 0;

	for (size_t i = 0; i < old->pair_count; i++)
		counter = VS_MAX(counter, old->pair[i].label);
	/* A label of a damaged record may be anything; one that no server got to is none. */
	return VS_MAX(counter, old->label_highest);
}

/* Are its numbers what the server can take? Then it can stay as it is. */
static bool has_sound_numbers(const struct pickle_meta *meta, uint64_t counter)
{
	return (uint64_t)meta->total_elements_added.value == counter &&
	       meta->dimensionality.value >= 0 && meta->max_seq_id.value >= 0;
}

/* ---- mending ---- */

static bool can_mend(const struct old_index *old, const struct choices *choices)
{
	const struct hnsw_index *x = &old->index;

	return choices->is_same && !old->is_doubtful && old->is_pickle_whole && x->count > 0 &&
	       x->count == x->header.count && old->element_count == old->live &&
	       old->live == old->pair_count && choices->count == old->live;
}

static int mend(const struct index_facts *facts, struct old_index *old,
		const struct choices *choices, struct index_image *image,
		struct index_summary *summary, struct vs_err *err)
{
	struct hnsw_params params = facts->params;
	struct hnsw_repair done;
	int r;

	params.m = (uint32_t)old->index.header.m;
	r = hnsw_graph_repair(&old->index, &old->bytes[HNSW_LEVEL0], &params, NULL, NULL,
			      &image->graph, &done, err);
	if (r < 0)
		return r;
	summary->is_mended = true;
	summary->kept = done.kept;
	summary->relinked = done.relinked + done.trimmed;
	for (size_t i = 0; i < choices->count; i++) {
		if (!has_norm(facts, old, choices->row[i].element))
			summary_add_norm_lost(summary, choices->row[i].id);
	}
	return 0;
}

/* ---- building ---- */

static int add_from_index(const struct index_facts *facts, const struct old_index *old,
			  struct hnsw_graph *g, const struct choice *c,
			  struct index_summary *summary, struct vs_err *err)
{
	float length = hnsw_length(&old->index, c->element);

	bool is_known = has_norm(facts, old, c->element);

	if (!is_known)
		summary_add_norm_lost(summary, c->id);
	return hnsw_graph_add_stored(g, c->label, hnsw_vector(&old->index, c->element),
				     is_known ? length : 1, false, err);
}

static int build(const struct index_facts *facts, const struct old_index *old,
		 struct choices *choices, uint64_t *counter, struct index_image *image,
		 struct index_summary *summary, struct vs_err *err)
{
	cleanup_(vs_freep) float *v = vs_alloc_array(facts->params.dim, sizeof(*v));
	const struct hnsw_index *index;
	int r = hnsw_graph_new(&facts->params, choices->count, &image->graph, err);

	for (size_t i = 0; r == 0 && i < choices->count; i++) {
		struct choice *c = &choices->row[i];

		if (c->label == 0)
			c->label = ++*counter;
		if (c->source == INDEX_FROM_INDEX) {
			r = add_from_index(facts, old, image->graph, c, summary, err);
			continue;
		}
		memcpy(v, c->vector.ptr, c->vector.len);
		r = hnsw_graph_add(image->graph, c->label, v, false, err);
	}
	return r < 0 ? r : hnsw_graph_link(image->graph, NULL, &index, err);
}

static int make(const struct index_facts *facts, struct old_index *old, struct choices *choices,
		struct index_image *image, struct index_summary *summary, struct vs_err *err)
{
	uint64_t counter = counter_of(old);
	/* With other links than the collection asks for there is nothing to keep, but where the pickle
	 * that must be kept goes with it. */
	bool is_mendable = can_mend(old, choices) &&
			   (facts->is_python || old->index.header.m == facts->params.m);
	int r;

	if (is_mendable && has_sound_numbers(&old->meta, counter)) {
		/* Byte for byte: a Python release would not read another's. */
		buf_append(&image->pickle, old->bytes[INDEX_PICKLE].ptr,
			   old->bytes[INDEX_PICKLE].len);
		return mend(facts, old, choices, image, summary, err);
	}
	if (facts->is_python)
		return vs_fail(err, VS_ENOTSUP,
			       "%s: a Python release wrote this store last, and its "
			       "index_metadata.pickle cannot be kept; open the store once with a "
			       "server of 1.0 or later, or restore the directory from a snapshot",
			       facts->segment);
	r = is_mendable ? mend(facts, old, choices, image, summary, err)
			: build(facts, old, choices, &counter, image, summary, err);
	return r < 0 ? r : write_pickle(choices, counter, &image->pickle, err);
}

int index_image_make(const struct index_facts *facts, struct index_image **out,
		     struct index_summary *summary, struct vs_err *err)
{
	cleanup_(old_index_fini) struct old_index old = { 0 };
	cleanup_(choices_fini) struct choices choices = { 0 };
	cleanup_(index_image_freep) struct index_image *image = vs_alloc(sizeof(*image));
	int r;

	*summary = (struct index_summary){ 0 };
	r = old_index_load(facts, &old, err);
	summary->is_of_two = old.is_of_two;
	if (r == 0)
		r = choices_make(facts, &old, &choices, summary, err);
	if (r == 0)
		r = make(facts, &old, &choices, image, summary, err);
	if (r < 0)
		return r;
	*out = VS_TAKE(image);
	return 0;
}

static int put(void *ctx, struct slice bytes, struct vs_err *err)
{
	int r = buf_try_reserve(ctx, bytes.len, err);

	if (r == 0)
		buf_append(ctx, bytes.ptr, bytes.len);
	return r;
}

int index_image_file(const struct index_image *image, int file, struct buf *out, struct vs_err *err)
{
	if (file == INDEX_PICKLE)
		return put(out, buf_slice(&image->pickle), err);
	return hnsw_graph_save(image->graph, (enum hnsw_file)file, put, out, err);
}
