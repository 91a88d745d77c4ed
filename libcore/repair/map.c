/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The metadata map of a collection whose metadata file is written anew: a lost name must not cost
 * what the owner said about the collection.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* With one of these the map decodes and need not be the one that was written. */
#define ODD_MAP                                                                                    \
	((uint32_t)CHROMEM_ODD_ZERO_TAIL | (uint32_t)CHROMEM_ODD_UNKNOWN_FIELD |                   \
	 (uint32_t)CHROMEM_ODD_GZIP_CHECKSUM)

static void free_pairs(struct meta_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		vs_free_const(map->pairs[i].key.ptr);
		vs_free_const(map->pairs[i].value.ptr);
	}
	free(map->pairs);
}

void meta_map_fini(struct meta_map *map)
{
	free_pairs(map);
	*map = (struct meta_map){ 0 };
}

static struct slice copy_slice(struct slice s)
{
	return slice_of(vs_strndup(s), s.len);
}

static void keep_pairs(struct meta_map *map, const struct chromem_pair *pairs, size_t count,
		       const char *from)
{
	map->from = from;
	map->pairs = vs_alloc_array(count, sizeof(*map->pairs));
	for (; map->count < count; map->count++)
		map->pairs[map->count] =
			(struct chromem_pair){ copy_slice(pairs[map->count].key),
					       copy_slice(pairs[map->count].value) };
}

/* ---- backups ---- */

struct asking {
	struct meta_map *map;
	uint32_t hash;
	struct slice name;
	bool is_found;
};

/* The newest backup comes first, so the first hit counts. */
static int look_at_backup(void *ctx, const char *file, const char *id, struct slice name,
			  const struct chromem_pair *metadata, size_t count, struct vs_err *err)
{
	struct asking *a = ctx;
	uint32_t hash;

	(void)file;
	(void)err;
	if (a->is_found || !names_hash_of(id, &hash) || hash != a->hash || !slice_eq(name, a->name))
		return 0;
	a->is_found = true;
	keep_pairs(a->map, metadata, count, "a metadata backup");
	return 0;
}

/* ---- the file itself ---- */

/* Returns 1 when it holds a whole map that nothing speaks against, 0 otherwise. */
static int read_whole(struct meta_map *map, struct chromem_reader *reader, struct slice bytes,
		      struct vs_err *err)
{
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta = { 0 };
	int r = chromem_decode_meta(reader, bytes, &meta, &fault, err);

	if (r != 0)
		return VS_MIN(r, 0);
	if (meta.looks_like_document || meta.metadata_count == 0 || (meta.oddities & ODD_MAP) != 0)
		return 0;
	keep_pairs(map, meta.metadata, meta.metadata_count, "the file in its place");
	return 1;
}

/* A metadata file has the map in a field of the same name and type as a document, and no id. */
static int read_rest(struct meta_map *map, struct chromem_reader *reader, struct slice bytes,
		     struct vs_err *err)
{
	struct chromem_salvage how = { 0 };
	struct chromem_doc doc = { 0 };
	int r = chromem_salvage_doc(reader, bytes, &doc, &how, err);

	if (r < 0 || doc.id.len > 0 || doc.content.len > 0 || doc.metadata_count == 0)
		return r;
	keep_pairs(map, doc.metadata, doc.metadata_count, "what is left of the file in its place");
	return 0;
}

/* ---- snapshots ---- */

static int ask_snapshots(struct meta_map *map, const struct store *store,
			 const struct recover_request *req, struct vs_err *err)
{
	cleanup_(archived_meta_fini) struct archived_meta found = { 0 };
	int r = archived_meta_newest(req->state_dirfd, store, req->collection, req->name, &found,
				     err);

	if (r != 0)
		return VS_MIN(r, 0);
	keep_pairs(map, found.meta.metadata, found.meta.metadata_count, "a snapshot");
	return 1;
}

/* What others know of it: the newest backup, then the newest snapshot. 1 when there is one. */
static int ask_others(struct meta_map *map, const struct store *store,
		      const struct recover_request *req, struct vs_err *err)
{
	struct asking asking = { .map = map, .name = req->name };
	struct backup_reader backups = { .ctx = &asking, .collection = look_at_backup };
	int r;

	if (req->state_dirfd < 0 || !names_hash_of(req->collection, &asking.hash))
		return 0;
	r = backup_read_all(req->state_dirfd, &backups, err);
	if (r < 0 || asking.is_found)
		return r < 0 ? r : 1;
	return ask_snapshots(map, store, req, err);
}

int meta_map_find(struct meta_map *out, const struct store *store,
		  const struct recover_request *req, int dirfd, const char *file,
		  struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	cleanup_(meta_map_fini) struct meta_map map = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct vs_err absent = { 0 };
	bool is_there;
	int r = 0;

	if (req->archived) {
		keep_pairs(out, req->archived->metadata, req->archived->metadata_count,
			   "the snapshot");
		return 0;
	}
	is_there = file_read_at(dirfd, file, FILE_NO_FOLLOW, CHROMEM_FILE_MAX, &bytes, NULL,
				&absent) == 0;
	if (is_there)
		r = read_whole(&map, reader, buf_slice(&bytes), err);
	if (r == 0)
		r = ask_others(&map, store, req, err);
	if (r == 0 && is_there)
		r = read_rest(&map, reader, buf_slice(&bytes), err);
	if (r < 0)
		return r;
	*out = map;
	map = (struct meta_map){ 0 };
	return 0;
}
