/* SPDX-License-Identifier: Apache-2.0 */

/* What both kinds of store have in common: the result, and names that are alike. */

#include "search/search-private.h"

void search_result_fini(struct search_result *r)
{
	for (size_t i = 0; i < r->count; i++) {
		vs_free_const(r->hits[i].id.ptr);
		buf_fini(&r->hits[i].text);
	}
	free(r->hits);
	free(r->collection);
	vs_free_const(r->name.ptr);
	*r = (struct search_result){ 0 };
}

void search_gap_add(struct search_gap *gap, const char *fmt, ...)
{
	va_list ap;

	if (gap->count++ > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(gap->what, sizeof(gap->what), fmt, ap);
	va_end(ap);
}

/* ---- names ---- */

void alike_fini(struct alike *a)
{
	for (size_t i = 0; i < VS_COUNT(a->best); i++)
		free(a->best[i]);
}

/* Names are compared as far as people type them. */
#define ALIKE_LEN_MAX 256

void alike_try(struct alike *a, struct slice name)
{
	cleanup_(vs_freep) char *text = NULL;
	unsigned distance;

	a->count++;
	if (name.len == 0 || name.len > ALIKE_LEN_MAX || strlen(a->wanted) > ALIKE_LEN_MAX ||
	    memchr(name.ptr, '\0', name.len))
		return;
	text = vs_strndup(name);
	distance = text_distance(a->wanted, text);
	/* A part of a name is as good as one wrong letter. */
	if (strlen(a->wanted) >= 2 && strstr(text, a->wanted))
		distance = VS_MIN(distance, 1u);
	/* With more than half of its letters wrong it is another word. */
	if (distance > VS_MAX(strlen(a->wanted) / 2, (size_t)1))
		return;
	for (size_t i = 0; text && i < VS_COUNT(a->best); i++) {
		if (a->best[i] && a->distance[i] <= distance)
			continue;
		free(a->best[VS_COUNT(a->best) - 1]);
		for (size_t j = VS_COUNT(a->best) - 1; j > i; j--) {
			a->best[j] = a->best[j - 1];
			a->distance[j] = a->distance[j - 1];
		}
		a->best[i] = VS_TAKE(text);
		a->distance[i] = distance;
	}
}

int alike_fail(struct alike *a, const struct store *store, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf names = { 0 };

	for (size_t i = 0; i < VS_COUNT(a->best) && a->best[i]; i++)
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", a->best[i]);
	if (a->count == 0)
		return vs_fail(err, VS_EUSAGE, "%s: no collection %s: the store is empty",
			       store->path, a->wanted);
	if (names.len == 0)
		return vs_fail(err, VS_EUSAGE,
			       "%s: no collection %s; vsctl inspect lists the %" PRIu64
			       " that there are",
			       store->path, a->wanted, a->count);
	return vs_fail(err, VS_EUSAGE, "%s: no collection %s; did you mean %s?", store->path,
		       a->wanted, buf_cstr(&names));
}

/* ---- */

int search_store(const struct store *store, const struct search_request *req,
		 struct search_result *out, struct vs_err *err)
{
	assert(req->nearest >= 1 && req->nearest <= SEARCH_NEAREST_MAX);
	switch (store->kind) {
	case STORE_CHROMEM:
		return search_chromem(store, req, out, err);
	case STORE_CHROMA:
		return search_chroma(store, req, out, err);
	case STORE_CHROMEM_EXPORT:
		break;
	}
	return vs_fail(err, VS_ENOTSUP,
		       "%s: an export file cannot be searched; import it with the application, "
		       "or search the store that it was made of",
		       store->path);
}
