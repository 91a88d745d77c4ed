/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Vectors in a byte per value, to find with what lies near before it is measured
 *
 * While a graph is built most distances only decide what is looked at next. A quarter of the bytes
 * is read for them here, and integers are added, so that the result is the same on every processor.
 * The mean of all vectors is taken from each first: it says nothing of who is near to whom, and the
 * bytes are better spent on the rest. How far a distance may be off is known for each vector, and
 * who uses it holds that against the distances at hand.
 */

#include "hnsw/graph.h"

#define CODE_MAX 127
#define DIM_LEAST 64u     /* shorter vectors are quickly measured as they are */
#define COUNT_LEAST 1000u /* fewer are in the cache anyway */

void hnsw_codes_fini(struct hnsw_codes *c)
{
	free(c->bytes);
	free(c->of);
	*c = (struct hnsw_codes){ 0 };
}

struct coding {
	const struct hnsw_index *x;
	struct hnsw_codes *codes;
	double *mean;   /* owned */
	bool is_usable; /* no value is too large to be calculated with */
};

static void coding_fini(struct coding *c)
{
	free(c->mean);
}

static void take_mean(struct coding *c)
{
	const struct hnsw_index *x = c->x;

	for (uint32_t id = 0; id < x->count; id++) {
		const float *v = hnsw_vector(x, id);

		for (uint32_t i = 0; i < x->dim; i++)
			c->mean[i] += v[i];
	}
	for (uint32_t i = 0; i < x->dim; i++)
		c->mean[i] /= x->count;
}

static void code_one(struct coding *c, uint32_t id, bool is_l2)
{
	struct hnsw_code *out = &c->codes->of[id];
	int8_t *code = c->codes->code + (size_t)id * c->codes->stride;
	const float *v = hnsw_vector(c->x, id);
	double largest = 0, square = 0, along = 0, step;

	for (uint32_t i = 0; i < c->x->dim; i++) {
		double d = v[i] - c->mean[i];

		largest = VS_MAX(largest, fabs(d));
		square += d * d;
		along += v[i] * c->mean[i];
	}
	step = largest / CODE_MAX;
	for (uint32_t i = 0; i < c->x->dim && step > 0; i++)
		code[i] = (int8_t)lrint((v[i] - c->mean[i]) / step);
	out->step = (float)step;
	out->term = (float)(is_l2 ? square : -along);
	/* Each value is off by up to half a step, evenly: the root of their mean square. */
	out->error = (float)(c->codes->factor * sqrt(square / 6) * step);
	c->is_usable &= isfinite(out->term) && isfinite(out->error) && isfinite(out->step);
}

int hnsw_codes_make(const struct hnsw_index *x, enum hnsw_space space, struct hnsw_codes *out,
		    struct vs_err *err)
{
	cleanup_(coding_fini) struct coding c = { .x = x, .codes = out, .is_usable = true };
	size_t room;

	*out = (struct hnsw_codes){ .kernels = hnsw_kernels_best(),
				    .stride = ((size_t)x->dim + 31) / 32 * 32,
				    .factor = space == HNSW_L2 ? 2 : 1 };
	if (x->dim < DIM_LEAST || x->count < COUNT_LEAST)
		return 0;
	c.mean = vs_try_alloc(x->dim, sizeof(*c.mean));
	out->of = vs_try_alloc(x->count, sizeof(*out->of));
	if (!__builtin_mul_overflow((size_t)x->count + 1, out->stride, &room))
		out->bytes = vs_try_alloc(room, 1);
	if (c.mean == NULL || out->of == NULL || out->bytes == NULL)
		return vs_fail(err, VS_ENOMEM, "no memory for %u codes", x->count);
	/* On a border of 32 bytes, which no load of a kernel then crosses a line at. */
	out->code = (int8_t *)out->bytes + (32 - (uintptr_t)out->bytes % 32) % 32;
	take_mean(&c);
	for (uint32_t i = 0; space != HNSW_L2 && i < x->dim; i++)
		out->base += (float)(c.mean[i] * c.mean[i]);
	out->base += space == HNSW_L2 ? 0 : 1;
	for (uint32_t id = 0; id < x->count; id++)
		code_one(&c, id, space == HNSW_L2);
	out->is_usable = c.is_usable && isfinite(out->base);
	return 0;
}
