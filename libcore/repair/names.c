/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a store and its state directory know about names. The search itself is the lookup room's;
 * here it is told where to look.
 */

#include "chromem/chromem.h"
#include "lookup/lookup.h"
#include "repair/repair-private.h"

#include <fcntl.h>

/* A damaged metadata file is small; a document that took its place is looked at no further than
 * this. */
#define REMAINS_MAX ((size_t)4096)
#define META_NAME_MAX ((size_t)256)

/* Documents of other collections that are looked at. */
#define SAMPLE_OF_COLLECTION 16
#define SAMPLE_OF_STORE 4096

#define REGISTRY_MAX (UINT64_C(16) << 20)

bool names_hash_of(const char *collection, uint32_t *hash)
{
	const char *base = strrchr(collection, '/');
	size_t len;

	base = base ? base + 1 : collection;
	len = strlen(base);
	if (len < CHROMEM_ID_LEN || (len > CHROMEM_ID_LEN && base[CHROMEM_ID_LEN] != '.'))
		return false;
	return chromem_hash_parse(slice_of(base, CHROMEM_ID_LEN), hash);
}

/* ---- backups ---- */

static int tell_backup(void *ctx, const char *file, const char *id, struct slice name,
		       const struct chromem_pair *metadata, size_t count, struct vs_err *err)
{
	char where[128];

	(void)id;
	(void)metadata;
	(void)count;
	(void)err;
	snprintf(where, sizeof(where), "metadata backup %s", file);
	lookup_add_name(ctx, LOOKUP_BACKUP, name, where);
	return 0;
}

/* ---- the other collections ---- */

struct siblings {
	struct lookup *l;
	struct chromem_reader *reader;
	const struct name_target *targets; /* whose documents are all read anyway */
	size_t target_count;
	size_t left; /* documents that may still be read */
};

static bool is_target(const struct siblings *s, const char *dir)
{
	for (size_t i = 0; i < s->target_count; i++) {
		if (strcmp(s->targets[i].collection, dir) == 0)
			return true;
	}
	return false;
}

/*
 * Some documents of each collection: neighbours have the same owners and projects. The names of
 * files are hashes, so the first ones are as good as any.
 */
static int tell_some_documents(struct siblings *s, const struct chromem_collection *c,
			       struct vs_err *err)
{
	size_t count = chromem_list_count(c->list);
	size_t taken = 0;

	for (size_t i = 0; i < count && taken < SAMPLE_OF_COLLECTION && s->left > 0; i++) {
		struct chromem_fault fault;
		struct chromem_entry entry;
		struct chromem_doc doc;
		char scratch[32];
		int r;

		chromem_list_at(c->list, i, scratch, &entry);
		if (entry.entry_class != CHROMEM_ENTRY_DOCUMENT || entry.type == FILE_DIRECTORY)
			continue;
		taken++;
		s->left--;
		r = chromem_reader_doc(s->reader, c->dirfd, entry.name, &doc, &fault, err);
		if (r < 0)
			return r;
		if (r == 0)
			lookup_add_document(s->l, c->hash, doc.id, doc.metadata,
					    doc.metadata_count);
	}
	return 0;
}

static int tell_sibling(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct siblings *s = ctx;
	char where[64];

	if (c->meta && c->meta->name.len > 0) {
		snprintf(where, sizeof(where), "collection %.16s", c->dir);
		lookup_add_name(s->l, LOOKUP_SIBLING, c->meta->name, where);
	}
	if (!c->has_hash || is_target(s, c->dir))
		return 0;
	return tell_some_documents(s, c, err);
}

/* ---- documents ---- */

struct telling {
	struct lookup *l;
	uint32_t hash;
};

static void tell_document(void *ctx, unsigned worker, void *chunk,
			  const struct chromem_collection *c, size_t index,
			  const struct chromem_entry *entry, const struct chromem_doc *doc,
			  const struct chromem_fault *fault, uint64_t file_size)
{
	struct telling *t = ctx;

	(void)worker;
	(void)chunk;
	(void)c;
	(void)index;
	(void)entry;
	(void)fault;
	(void)file_size;
	if (doc)
		lookup_add_document(t->l, t->hash, doc->id, doc->metadata, doc->metadata_count);
}

/* ---- what is left of the metadata file ---- */

/*
 * A name that stands in the bytes of a damaged metadata file, whatever the damage: every run of
 * bytes whose hash is the directory's. A hit by chance would be one in 2^32 for each run tried.
 */
static void tell_remains(struct lookup *l, struct slice bytes, uint32_t hash)
{
	for (size_t start = 0; start < bytes.len; start++) {
		size_t most = VS_MIN(bytes.len - start, META_NAME_MAX);

		for (size_t n = 1; n <= most; n++) {
			struct slice name = slice_of(bytes.ptr + start, n);

			if (chromem_hash(name) == hash)
				lookup_add_name(l, LOOKUP_BACKUP, name,
						"the damaged metadata file itself");
		}
	}
}

/* A name that decodes and is one bit or byte away from one that has the hash. */
static int tell_original(struct lookup *l, struct slice bytes, uint32_t hash, struct vs_err *err)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	cleanup_(buf_fini) struct buf original = { 0 };
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta = { 0 };
	int r = chromem_decode_meta(reader, bytes, &meta, &fault, err);

	if (r == 0 && chromem_hash(meta.name) != hash &&
	    chromem_find_original(meta.name, hash, &original))
		lookup_add_name(l, LOOKUP_BACKUP, buf_slice(&original),
				"the damaged metadata file, with one byte of the name given back");
	return VS_MIN(r, 0);
}

static int read_remains(struct lookup *l, int dirfd, uint32_t hash, struct vs_err *err)
{
	static const char *const names[] = { "00000000.gob", "00000000.gob.gz" };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	unsigned char unpacked[REMAINS_MAX];
	struct vs_err ignored = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < VS_COUNT(names); i++) {
		size_t len;

		if (file_read_at(dirfd, names[i], FILE_NO_FOLLOW, CHROMEM_FILE_MAX, &bytes, NULL,
				 &ignored) != 0)
			continue;
		r = tell_original(l, buf_slice(&bytes), hash, err);
		len = chromem_unpack_head(buf_slice(&bytes), unpacked, sizeof(unpacked));
		tell_remains(l, slice_of(unpacked, len), hash);
		tell_remains(l, slice_of(bytes.ptr, VS_MIN(bytes.len, REMAINS_MAX)), hash);
	}
	return r;
}

/* ---- contextd's registry ---- */

/* It is a hint like any other: one that is damaged says nothing. */
static void tell_registry(struct lookup *l, int store_dirfd)
{
	cleanup_(buf_fini) struct buf json = { 0 };
	struct vs_err ignored = { 0 };

	if (file_read_at(store_dirfd, "registry.json", FILE_NO_FOLLOW, REGISTRY_MAX, &json, NULL,
			 &ignored) == 0)
		(void)!lookup_add_registry(l, buf_slice(&json), &ignored);
}

/* ---- all of it ---- */

static int tell_target(struct lookup *l, const struct store *store,
		       const struct name_target *target, struct chromem_scan_request *req,
		       struct vs_err *err)
{
	const char *slash = strchr(target->collection, '/');
	cleanup_(file_closep) int above = -1;
	cleanup_(file_closep) int dirfd = -1;
	struct telling t = { l, target->hash };
	struct chromem_visitor visitor = { .ctx = &t, .document = tell_document };
	int r;

	r = file_open_dir(store->dirfd, slash ? QUARANTINE_DIR : ".", FILE_NO_FOLLOW, &above, err);
	req->only = slash ? slash + 1 : target->collection;
	if (r == 0)
		r = file_open_dir(above, req->only, FILE_NO_FOLLOW, &dirfd, err);
	if (r == 0)
		r = read_remains(l, dirfd, target->hash, err);
	if (r < 0)
		return r;
	req->decode = true;
	for (enum chromem_compression c = CHROMEM_PLAIN; r == 0 && c <= CHROMEM_GZIP; c++) {
		req->compression = c;
		r = chromem_scan(above, req, &visitor, err);
	}
	return r;
}

int names_gather(struct lookup *l, const struct store *store, int state_dirfd,
		 const struct name_target *targets, size_t count, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(1);
	struct chromem_scan_request req = { .pool = pool };
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	struct siblings siblings = { l, reader, targets, count, SAMPLE_OF_STORE };
	struct chromem_visitor visitor = { .ctx = &siblings, .collection_begin = tell_sibling };
	struct backup_reader backups = { .ctx = l, .collection = tell_backup };
	struct chromem_form form = { 0 };
	int r = 0;

	if (state_dirfd >= 0)
		r = backup_read_all(state_dirfd, &backups, err);
	if (r == 0 && state_dirfd >= 0)
		r = known_names_load(l, state_dirfd, NULL, err);
	if (r == 0)
		r = names_gather_written(l, store, state_dirfd, targets, count, err);
	if (r == 0)
		r = chromem_detect_form(store->dirfd, &form, err);
	if (r < 0)
		return r;
	lookup_add_path(l, store->path);
	tell_registry(l, store->dirfd);
	req.compression = form.compression;
	r = chromem_scan(store->dirfd, &req, &visitor, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = tell_target(l, store, &targets[i], &req, err);
	return r;
}

int names_find_collection(const struct store *store, int state_dirfd, const char *collection,
			  char **name, char **evidence, struct vs_err *err)
{
	struct name_target target = { .collection = collection };
	struct lookup_request req = { .hashes = &target.hash,
				      .count = 1,
				      .engine = hash_engine_best() };
	cleanup_(lookup_freep) struct lookup *l = NULL;
	struct lookup_answer answer = { 0 };
	int r;

	if (!names_hash_of(collection, &target.hash))
		return 0;
	l = lookup_new(&req);
	r = names_gather(l, store, state_dirfd, &target, 1, err);
	if (r < 0)
		return r;
	lookup_try_seen(l);
	lookup_try_composed(l);
	lookup_answer(l, target.hash, &answer);
	if (answer.verdict != LOOKUP_FOUND ||
	    strlen(answer.candidates[0].name) != answer.candidates[0].name_len)
		return 0;
	*name = vs_strdup(answer.candidates[0].name);
	*evidence = vs_strdup(answer.candidates[0].evidence[0]);
	return 1;
}
