/* SPDX-License-Identifier: Apache-2.0 */

/* The way in: each kind of store has its own run. */

#include "check/chroma-run.h"
#include "check/chromem-run.h"

int check_store(const struct store *store, const struct check_request *req,
		const struct check_sink *sink, struct check_summary *out, struct vs_err *err)
{
	struct check_summary summary = { 0 };
	int r = VS_ENOTSUP;

	switch (store->kind) {
	case STORE_CHROMEM:
		r = chromem_run_store(store, req, sink, &summary, err);
		break;
	case STORE_CHROMEM_EXPORT:
		r = chromem_run_export(store, req, sink, &summary, err);
		break;
	case STORE_CHROMA:
		r = chroma_run_store(store, req, sink, &summary, err);
		break;
	}
	if (r < 0)
		return r;
	*out = summary;
	return 0;
}
