/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Out of quarantine again: listed, and released into the store. For good: purge.c.
 *
 * Release puts every file back where it came from. When the collection has been made anew
 * meanwhile, its files and those of the item are merged: what is not there is moved, what is there
 * with the same content is dropped from the item, and what differs stays in quarantine as a
 * conflict, to be decided by a person.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

#define SIDECAR_MAX (UINT64_C(1) << 30)

void quarantine_item_fini(struct quarantine_item *item)
{
	free(item->name);
	free(item->collection);
	free(item->collection_name);
	free(item->time);
	free(item->reason);
	free(item->message);
	*item = (struct quarantine_item){ 0 };
}

static char *field(const struct jr *doc, const char *key)
{
	const char *text;

	return jr_get_str(doc, key, &text) ? vs_strdup(text) : NULL;
}

/* What the sidecar says; an item without a readable one is still an item. */
static void read_sidecar(int home, struct quarantine_item *item, struct jr **doc)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf collection = { 0 };
	struct vs_err err = { 0 };
	const char *content = NULL;

	buf_printf(&path, "%s.json", item->name);
	if (file_read_at(home, buf_cstr(&path), FILE_NO_FOLLOW, SIDECAR_MAX, &text, NULL, &err) ==
		    0 &&
	    jr_parse(doc, buf_slice(&text), &err) == 0) {
		item->has_sidecar = true;
		if (jr_get_bytes(*doc, "collection", &collection) && collection.len > 0 &&
		    !memchr(collection.ptr, '\0', collection.len))
			item->collection = buf_take_str(&collection);
		item->collection_name = field(*doc, "name");
		item->time = field(*doc, "time");
		item->reason = field(*doc, "reason");
		item->message = field(*doc, "message");
		item->is_files =
			jr_get_str(*doc, "content", &content) && strcmp(content, "files") == 0;
		item->is_rows = content && strcmp(content, "rows") == 0;
		item->is_chroma = content && strcmp(content, "chroma-collection") == 0;
		(void)!jr_get_uint(*doc, "documents", &item->documents);
		(void)!jr_get_uint(*doc, "bytes", &item->bytes);
	}
	/* A sidecar is a file that anybody may have edited; a path out of the store is not
	 * followed. */
	if (item->collection && !quarantine_takes(item->collection, item->is_files)) {
		free(item->collection);
		item->collection = NULL;
	}
	if (!item->collection) {
		/* A name may begin with a dot. */
		size_t len = item->name[0] ? 1 + strcspn(item->name + 1, ".") : 0;

		item->collection = vs_strndup(slice_of(item->name, len));
	}
}

struct item_names {
	char **names;
	size_t count, cap;
};

static void item_names_fini(struct item_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int add_item(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct item_names *n = ctx;

	(void)err;
	if (type != FILE_DIRECTORY)
		return 0;
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int quarantine_list(const struct store *store,
		    int (*fn)(void *ctx, const struct quarantine_item *item, struct vs_err *err),
		    void *ctx, struct vs_err *err)
{
	cleanup_(item_names_fini) struct item_names list = { 0 };
	cleanup_(file_closep) int home = -1;
	int r;

	r = file_open_dir(store->dirfd, QUARANTINE_DIR, FILE_NO_FOLLOW, &home, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		r = file_list(home, add_item, &list, err);
	if (list.count > 0)
		qsort(list.names, list.count, sizeof(*list.names), compare_items);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		cleanup_(quarantine_item_fini) struct quarantine_item item = {
			.name = vs_strdup(list.names[i])
		};
		cleanup_(jr_freep) struct jr *doc = NULL;

		read_sidecar(home, &item, &doc);
		item.sidecar = doc;
		r = fn(ctx, &item, err);
	}
	return r;
}

/* ---- one item, found ---- */

struct wanted {
	const char *name;
	struct quarantine_item found;
	unsigned matches;
};

static int match_item(void *ctx, const struct quarantine_item *item, struct vs_err *err)
{
	struct wanted *w = ctx;
	bool is_exact = strcmp(item->name, w->name) == 0;

	(void)err;
	if (!is_exact && strcmp(item->collection, w->name) != 0 &&
	    (!item->collection_name || strcmp(item->collection_name, w->name) != 0))
		return 0;
	w->matches++;
	quarantine_item_fini(&w->found);
	w->found = (struct quarantine_item){
		.name = vs_strdup(item->name),
		.collection = vs_strdup(item->collection),
		.is_files = item->is_files,
		.is_rows = item->is_rows,
		.is_chroma = item->is_chroma,
		.has_sidecar = item->has_sidecar,
		.documents = item->documents,
	};
	if (is_exact)
		w->matches = 1;
	return is_exact;
}

int quarantine_find(const struct store *store, const char *name, struct quarantine_item *out,
		    struct vs_err *err)
{
	struct wanted w = { .name = name };
	int r;

	r = quarantine_list(store, match_item, &w, err);
	if (r >= 0 && w.matches == 1) {
		*out = w.found;
		return 0;
	}
	quarantine_item_fini(&w.found);
	if (r < 0)
		return r;
	if (w.matches == 0)
		return vs_fail(err, VS_ENOENT, "nothing in quarantine is called %s", name);
	return vs_fail(err, VS_EUSAGE, "%u items in quarantine are of %s: give the item's name",
		       w.matches, name);
}

/* ---- release ---- */

struct releasing {
	struct plan *plan;
	const struct store *store;
	const struct quarantine_item *item;
	struct item_names files;
	uint64_t conflicts;
};

static int add_file(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct item_names *n = ctx;

	(void)type;
	(void)err;
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

void plan_sidecar_removal(struct plan *plan, const struct quarantine_item *item)
{
	cleanup_(buf_fini) struct buf path = { 0 };

	if (!item->has_sidecar)
		return;
	buf_printf(&path, QUARANTINE_DIR "/%s.json", item->name);
	plan_add(plan, STEP_REMOVE, "remove-sidecar", buf_cstr(&path), NULL);
}

/* One file of the item: moved, dropped, or a conflict. */
static int release_file(struct releasing *rel, const char *name, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf from = { 0 };
	cleanup_(buf_fini) struct buf to = { 0 };
	struct digest mine, theirs;
	struct action *a;
	int r;

	buf_printf(&from, QUARANTINE_DIR "/%s/%s", rel->item->name, name);
	buf_printf(&to, "%s/%s", rel->item->collection, name);
	r = journal_look(rel->store->dirfd, buf_cstr(&from), &mine, err);
	if (r >= 0)
		r = journal_look(rel->store->dirfd, buf_cstr(&to), &theirs, err);
	if (r < 0)
		return r;
	if (r == 0) {
		a = plan_add(rel->plan, STEP_MOVE, "release-document", buf_cstr(&from),
			     buf_cstr(&to));
		a->detail = vs_strdup("put the file back into its collection");
		a->collection = vs_strdup(rel->item->collection);
		return 0;
	}
	if (memcmp(mine.bytes, theirs.bytes, DIGEST_LEN) == 0) {
		a = plan_add(rel->plan, STEP_REMOVE, "drop-duplicate", buf_cstr(&from), NULL);
		a->detail = vs_strdup("the collection has the same file already");
		return 0;
	}
	rel->conflicts++;
	plan_leave(rel->plan, "quarantine-conflict", buf_cstr(&from),
		   "the collection has another file of that name", NULL);
	return 0;
}

static int release_into(struct releasing *rel, struct vs_err *err)
{
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf path = { 0 };
	int r;

	buf_printf(&path, QUARANTINE_DIR "/%s", rel->item->name);
	r = file_open_dir(rel->store->dirfd, buf_cstr(&path), FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = file_list(dirfd, add_file, &rel->files, err);
	if (rel->files.count > 0)
		qsort(rel->files.names, rel->files.count, sizeof(*rel->files.names), compare_items);
	for (size_t i = 0; r == 0 && i < rel->files.count; i++)
		r = release_file(rel, rel->files.names[i], err);
	if (r < 0 || rel->conflicts > 0)
		return r;
	plan_add(rel->plan, STEP_RMDIR, "remove-empty-directory", buf_cstr(&path), NULL);
	plan_sidecar_removal(rel->plan, rel->item);
	return 0;
}

static int count_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)name;
	(void)type;
	(void)err;
	++*(size_t *)ctx;
	return 0;
}

int plan_home_removal(struct plan *plan, const struct store *store,
		      const struct quarantine_item *item, struct vs_err *err)
{
	cleanup_(file_closep) int home = -1;
	size_t entries = 0;
	int r;

	r = file_open_dir(store->dirfd, QUARANTINE_DIR, FILE_NO_FOLLOW, &home, err);
	if (r == 0)
		r = file_list(home, count_entry, &entries, err);
	if (r == 0 && entries == 1u + item->has_sidecar)
		plan_add(plan, STEP_RMDIR, "remove-empty-directory", QUARANTINE_DIR, NULL);
	return r;
}

int plan_release(struct plan *plan, const struct store *store, const struct quarantine_item *item,
		 struct vs_err *err)
{
	struct releasing rel = { .plan = plan, .store = store, .item = item };
	cleanup_(buf_fini) struct buf from = { 0 };
	struct digest ignored;
	struct action *a;
	int r;

	if (!quarantine_takes(item->collection, item->is_files))
		return vs_fail(err, VS_EUSAGE, "%s: nothing says which collection it is of",
			       item->name);
	r = journal_look(store->dirfd, item->collection, &ignored, err);
	if (r < 0)
		return r;
	if (r == 0 && item->is_files)
		return vs_fail(
			err, VS_ENOENT,
			"the collection %s, which the files belong to, is not in the store: release it first",
			item->collection);
	if (r == 0) {
		buf_printf(&from, QUARANTINE_DIR "/%s", item->name);
		a = plan_add(plan, STEP_MOVE, "release-collection", buf_cstr(&from),
			     item->collection);
		a->detail = vs_strdup("put the collection back into the store");
		a->collection = vs_strdup(item->collection);
		plan_sidecar_removal(plan, item);
	} else {
		r = release_into(&rel, err);
		item_names_fini(&rel.files);
		if (r < 0 || rel.conflicts > 0)
			return r < 0 ? r : plan_stamp(plan, store->dirfd, err);
	}
	r = plan_home_removal(plan, store, item, err);
	return r < 0 ? r : plan_stamp(plan, store->dirfd, err);
}
