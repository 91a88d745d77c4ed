/* SPDX-License-Identifier: Apache-2.0 */

/* The list of what was not looked at. */

#include "check/gaps.h"

/* A store of unreadable directories needs no line for each. */
#define GAPS_MAX 1000

void gaps_fini(struct gaps *g)
{
	for (size_t i = 0; i < g->count; i++) {
		free(g->row[i].path);
		free(g->row[i].what);
		free(g->row[i].why);
	}
	free(g->row);
	*g = (struct gaps){ 0 };
}

void gaps_add(struct gaps *g, const char *path, const char *what, const char *why, bool is_limit)
{
	g->broken_promises += !is_limit;
	if (g->count >= GAPS_MAX && !is_limit) {
		g->omitted++;
		return;
	}
	g->row = vs_grow(g->row, &g->cap, g->count + 1, sizeof(*g->row));
	g->row[g->count++] =
		(struct kept_gap){ vs_strdup(path), vs_strdup(what), vs_strdup(why), is_limit };
}

void gaps_emit(const struct gaps *g, const struct check_sink *sink, struct check_summary *out)
{
	char what[64];
	struct check_gap rest = { .path = ".", .what = what, .why = "for the same reasons" };

	for (size_t i = 0; i < g->count; i++) {
		const struct kept_gap *kept = &g->row[i];
		struct check_gap gap = { kept->path, kept->what, kept->why, kept->is_limit };

		sink->gap(sink->ctx, &gap);
	}
	if (g->omitted > 0) {
		snprintf(what, sizeof(what), "%" PRIu64 " more places", g->omitted);
		sink->gap(sink->ctx, &rest);
	}
	if (g->broken_promises > 0 && out->verdict != VERDICT_CORRUPT)
		out->verdict = VERDICT_UNVERIFIED;
}
