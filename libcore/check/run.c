/* SPDX-License-Identifier: Apache-2.0 */

/* The way in: each kind of store has its own run. */

#include "check/chroma-run.h"
#include "check/chromem-run.h"

static void untold_collection(void *ctx, const struct check_collection *c)
{
	(void)ctx;
	(void)c;
}

static void untold_finding(void *ctx, const struct finding *f)
{
	(void)ctx;
	(void)f;
}

static void untold_gap(void *ctx, const struct check_gap *g)
{
	(void)ctx;
	(void)g;
}

/* The runs may then call every member. */
static struct check_sink whole_sink(const struct check_sink *sink)
{
	struct check_sink whole = { 0 };

	if (sink)
		whole = *sink;
	if (!whole.collection)
		whole.collection = untold_collection;
	if (!whole.finding)
		whole.finding = untold_finding;
	if (!whole.gap)
		whole.gap = untold_gap;
	return whole;
}

int check_store(const struct store *store, const struct check_request *req,
		const struct check_sink *sink, struct check_summary *out, struct vs_err *err)
{
	const struct check_sink whole = whole_sink(sink);
	struct check_summary summary = { 0 };
	int r = VS_ENOTSUP;

	switch (store->kind) {
	case STORE_CHROMEM:
		r = chromem_run_store(store, req, &whole, &summary, err);
		break;
	case STORE_CHROMEM_EXPORT:
		r = chromem_run_export(store, req, &whole, &summary, err);
		break;
	case STORE_CHROMA:
		r = chroma_run_store(store, req, &whole, &summary, err);
		break;
	}
	if (r < 0)
		return r;
	*out = summary;
	return 0;
}
