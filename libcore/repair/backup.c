/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata backups: every collection's name and metadata map in one small file, kept outside the
 * store.
 *
 *	<state>/metadata/<YYYYMMDDTHHMMSSZ>.json
 *
 * What the outage lost was 94 bytes. An hourly copy of all such bytes costs next to nothing and is
 * the first thing that recovery asks.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

#define BACKUP_DIR "metadata"
#define BACKUP_MAX (UINT64_C(256) << 20)
#define BACKUPS_LISTED_MAX 100000u

/* ---- writing ---- */

struct writing {
	struct jw json;
	uint64_t written;
	uint64_t without; /* collections whose metadata cannot be read */
};

static void write_pairs(struct jw *j, const struct chromem_pair *pairs, size_t count)
{
	jw_key(j, "metadata");
	jw_array(j);
	for (size_t i = 0; i < count; i++) {
		jw_object(j);
		jw_bytes_field(j, "key", pairs[i].key);
		jw_bytes_field(j, "value", pairs[i].value);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static int write_collection(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct writing *w = ctx;

	(void)err;
	if (!c->meta || c->meta->name.len == 0) {
		w->without += chromem_list_documents(c->list) > 0;
		return 0;
	}
	jw_object(&w->json);
	jw_bytes_field(&w->json, "id", slice_str(c->dir));
	jw_bytes_field(&w->json, "name", c->meta->name);
	write_pairs(&w->json, c->meta->metadata, c->meta->metadata_count);
	jw_uint_field(&w->json, "documents", chromem_list_documents(c->list));
	jw_object_end(&w->json);
	w->written++;
	return 0;
}

static int format_backup(const struct store *store, int64_t time_ns, struct buf *out,
			 struct backup_result *result, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(1);
	struct writing w = { 0 };
	struct chromem_visitor visitor = { .ctx = &w, .collection_begin = write_collection };
	struct chromem_scan_request req = { .pool = pool };
	struct chromem_form form = { 0 };
	char when[32];
	int r;

	r = chromem_detect_form(store->dirfd, &form, err);
	if (r < 0)
		return r;
	req.compression = form.compression;
	time_format(time_ns, false, when);
	jw_init(&w.json, out);
	jw_object(&w.json);
	jw_uint_field(&w.json, "schema", 1);
	jw_str_field(&w.json, "kind", "vsctl-metadata");
	jw_str_field(&w.json, "time", when);
	jw_key(&w.json, "collections");
	jw_array(&w.json);
	r = chromem_scan(store->dirfd, &req, &visitor, err);
	if (r < 0)
		return r;
	jw_array_end(&w.json);
	jw_object_end(&w.json);
	buf_append_byte(out, '\n');
	result->collections = w.written;
	result->without = w.without;
	return 0;
}

/* ---- the files ---- */

struct backup_names {
	char **names;
	size_t count, cap;
};

static void backup_names_fini(struct backup_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
}

static int add_backup(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct backup_names *n = ctx;

	if (type == FILE_DIRECTORY || name[0] == '.' || !slice_ends_with(slice_str(name), ".json"))
		return 0;
	if (n->count >= BACKUPS_LISTED_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u metadata backups", BACKUPS_LISTED_MAX);
	n->names = vs_grow(n->names, &n->cap, n->count + 1, sizeof(*n->names));
	n->names[n->count++] = vs_strdup(name);
	return 0;
}

static int compare_backups(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Oldest first; none when there is no directory. */
static int list_backups(int state_dirfd, struct backup_names *out, int *dirfd, struct vs_err *err)
{
	int r;

	r = file_open_dir(state_dirfd, BACKUP_DIR, FILE_NO_FOLLOW, dirfd, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0)
		r = file_list(*dirfd, add_backup, out, err);
	if (r == 0 && out->count > 0)
		qsort(out->names, out->count, sizeof(*out->names), compare_backups);
	return r;
}

/* A backup of a store that lost something must not push a fuller one out: the newest of those with
 * most stays. */
static int remove_old(int dirfd, const struct backup_names *list, size_t keep,
		      struct backup_result *result, struct vs_err *err)
{
	size_t excess = list->count > keep ? list->count - keep : 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < excess; i++) {
		r = file_unlink_at(dirfd, list->names[i], err);
		result->removed += r == 0;
	}
	return r == 0 && excess > 0 ? file_sync_dir(dirfd, err) : r;
}

int backup_metadata(int state_dirfd, const struct store *store, size_t keep,
		    const struct vs_clock *clock, struct backup_result *out, struct vs_err *err)
{
	cleanup_(backup_names_fini) struct backup_names list = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf text = { 0 };
	int64_t now = clock_now_ns(clock);
	char when[32];
	int r;

	*out = (struct backup_result){ 0 };
	r = format_backup(store, now, &text, out, err);
	if (r < 0)
		return r;
	r = file_mkdir_at(state_dirfd, BACKUP_DIR, 0700, err);
	if (r < 0 && r != VS_EBUSY)
		return r;
	r = file_open_dir(state_dirfd, BACKUP_DIR, FILE_NO_FOLLOW, &dirfd, err);
	if (r < 0)
		return r;
	time_format_compact(now, when);
	snprintf(out->file, sizeof(out->file), BACKUP_DIR "/%s.json", when);
	r = file_replace_at(dirfd, out->file + strlen(BACKUP_DIR) + 1, 0600, buf_slice(&text), err);
	file_closep(&dirfd);
	if (r == 0)
		r = list_backups(state_dirfd, &list, &dirfd, err);
	return r < 0 ? r : remove_old(dirfd, &list, keep, out, err);
}

/* ---- reading ---- */

static int hand_on_collection(const struct jr *c, const char *file,
			      const struct backup_reader *reader, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf id = { 0 };
	cleanup_(buf_fini) struct buf name = { 0 };
	cleanup_(vs_freep) struct buf *texts = NULL;
	cleanup_(vs_freep) struct chromem_pair *pairs = NULL;
	const struct jr *list = jr_get(c, "metadata");
	size_t count = jr_count(list);
	size_t good = 0;
	int r;

	if (!jr_get_bytes(c, "id", &id) || !jr_get_bytes(c, "name", &name))
		return 0;
	texts = vs_alloc_array(2 * count, sizeof(*texts));
	pairs = vs_alloc_array(count, sizeof(*pairs));
	for (; good < count; good++) {
		const struct jr *pair = jr_at(list, good);

		if (!jr_get_bytes(pair, "key", &texts[2 * good]) ||
		    !jr_get_bytes(pair, "value", &texts[2 * good + 1]))
			break;
		pairs[good] = (struct chromem_pair){ buf_slice(&texts[2 * good]),
						     buf_slice(&texts[2 * good + 1]) };
	}
	r = reader->collection(reader->ctx, file, buf_cstr(&id), buf_slice(&name), pairs, good,
			       err);
	for (size_t i = 0; i < 2 * count; i++)
		buf_fini(&texts[i]);
	return r;
}

static int read_backup(int dirfd, const char *file, const struct backup_reader *reader,
		       struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err broken = { 0 };
	const struct jr *list;
	const char *kind;
	int r;

	r = file_read_at(dirfd, file, FILE_NO_FOLLOW, BACKUP_MAX, &text, NULL, err);
	if (r != 0)
		return r < 0 ? r : 0;
	/* One damaged backup must not keep the others from being asked. */
	if (jr_parse(&doc, buf_slice(&text), &broken) < 0 || !jr_get_str(doc, "kind", &kind) ||
	    strcmp(kind, "vsctl-metadata") != 0)
		return 0;
	list = jr_get(doc, "collections");
	for (size_t i = 0; r == 0 && i < jr_count(list); i++)
		r = hand_on_collection(jr_at(list, i), file, reader, err);
	return r;
}

int backup_read_all(int state_dirfd, const struct backup_reader *reader, struct vs_err *err)
{
	cleanup_(backup_names_fini) struct backup_names list = { 0 };
	cleanup_(file_closep) int dirfd = -1;
	int r;

	r = list_backups(state_dirfd, &list, &dirfd, err);
	for (size_t i = list.count; r == 0 && i > 0; i--)
		r = read_backup(dirfd, list.names[i - 1], reader, err);
	return r;
}
