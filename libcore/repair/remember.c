/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The names that a store's collections have now, written down in its state directory: should a
 * metadata file be lost later, its name is there.
 */

#include "chromem/chromem.h"
#include "lookup/lookup.h"
#include "repair/repair-private.h"

#define NAMES_MAX 1000000u

struct name_list {
	struct slice *names; /* each owned */
	size_t count, cap;
};

static void name_list_fini(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		vs_free_const(list->names[i].ptr);
	free(list->names);
}

static int add_name(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct name_list *list = ctx;

	(void)err;
	if (!c->meta || c->meta->name.len == 0 || c->meta->name.len > LOOKUP_NAME_MAX ||
	    list->count >= NAMES_MAX)
		return 0;
	list->names = vs_grow(list->names, &list->cap, list->count + 1, sizeof(*list->names));
	list->names[list->count++] = slice_of(vs_strndup(c->meta->name), c->meta->name.len);
	return 0;
}

int names_remember(const struct store *store, int state_dirfd, struct file_known *known,
		   const char *source, int64_t now_ns, struct vs_err *err)
{
	cleanup_(name_list_fini) struct name_list list = { 0 };
	cleanup_(pool_freep) struct pool *pool = NULL;
	struct chromem_visitor visitor = { .ctx = &list, .collection_begin = add_name };
	struct chromem_scan_request req = { .known = known };
	struct chromem_form form = { 0 };
	int r;

	if (store->kind != STORE_CHROMEM)
		return 0;
	r = chromem_detect_form(store->dirfd, &form, err);
	if (r < 0)
		return r;
	pool = pool_new(1);
	req.pool = pool;
	req.compression = form.compression;
	r = chromem_scan(store->dirfd, &req, &visitor, err);
	if (r < 0 || list.count == 0)
		return r;
	return known_names_add(state_dirfd, list.names, list.count, source, now_ns, NULL, err);
}
