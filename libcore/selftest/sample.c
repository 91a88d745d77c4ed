/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sample. Of a chromem store: the metadata and the first documents of each collection, as many
 * as the limits allow. A Chroma store has one database for all, so it is taken whole or not at all.
 * Links, and whatever else is no file, stay behind.
 */

#include "file/file.h"
#include "selftest/selftest-private.h"

#include <fcntl.h>

/* ---- trees ---- */

struct copying {
	int from, to;
	unsigned depth;
	uint64_t bytes, max_bytes;
};

#define COPY_DEPTH_MAX 4

static int copy_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err);

static int copy_directory(const struct copying *above, const char *name, struct copying *c,
			  struct vs_err *err)
{
	cleanup_(file_closep) int from = -1, to = -1;
	int r;

	*c = (struct copying){ .depth = above->depth + 1,
			       .bytes = above->bytes,
			       .max_bytes = above->max_bytes };
	r = file_open_dir(above->from, name, FILE_NO_FOLLOW, &from, err);
	if (r == 0)
		r = file_mkdir_at(above->to, name, 0700, err);
	if (r == 0)
		r = file_open_dir(above->to, name, FILE_NO_FOLLOW, &to, err);
	c->from = from;
	c->to = to;
	return r < 0 ? r : file_list(from, copy_entry, c, err);
}

static int copy_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct copying *c = ctx;
	struct copying below;
	struct file_info info;
	int r;

	if (type == FILE_UNKNOWN) {
		r = file_stat_at(c->from, name, FILE_NO_FOLLOW, &info, err);
		if (r < 0)
			return r;
		type = info.type;
	}
	if (type == FILE_DIRECTORY && c->depth < COPY_DEPTH_MAX &&
	    strcmp(name, ".quarantine") != 0) {
		r = copy_directory(c, name, &below, err);
		c->bytes = below.bytes;
		return r;
	}
	if (type != FILE_REGULAR)
		return 0;
	r = file_stat_at(c->from, name, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r;
	c->bytes += info.size;
	if (c->bytes > c->max_bytes)
		return vs_fail(err, VS_ELIMIT, "%s: more than %" PRIu64 " bytes with it", name,
			       c->max_bytes);
	return chroma_copy_part(c->from, name, c->to, err);
}

int sample_copy(int dirfd, const char *from, const char *to, struct vs_err *err)
{
	cleanup_(file_closep) int from_fd = -1, to_fd = -1;
	struct copying c = { .max_bytes = UINT64_MAX };
	int r = file_open_dir(dirfd, from, FILE_NO_FOLLOW, &from_fd, err);

	if (r == 0)
		r = file_mkdir_at(dirfd, to, 0700, err);
	if (r == 0)
		r = file_open_dir(dirfd, to, FILE_NO_FOLLOW, &to_fd, err);
	c.from = from_fd;
	c.to = to_fd;
	return r < 0 ? r : file_list(from_fd, copy_entry, &c, err);
}

/* ---- chromem ---- */

struct sampling {
	const struct selftest_request *req;
	struct selftest_summary *out;
	int to;        /* SAMPLE */
	uint64_t each; /* documents of a collection */
	enum chromem_compression form;
	struct chromem_reader *reader;
	struct victim *victim;
	size_t best; /* sound documents of the victim */
	int status;
};

static void sampling_fini(struct sampling *s)
{
	chromem_reader_freep(&s->reader);
	file_closep(&s->to);
}

static bool fits(struct sampling *s, int dirfd, const char *name)
{
	struct file_info info;
	struct vs_err ignored = { 0 };

	if (file_stat_at(dirfd, name, FILE_NO_FOLLOW, &info, &ignored) < 0 ||
	    info.type != FILE_REGULAR || s->out->bytes + info.size > s->req->max_bytes)
		return false;
	s->out->bytes += info.size;
	return true;
}

/* A document that the damage is to show in: sound by itself, with a vector and some text. */
static bool is_sound(struct sampling *s, int fd, const struct chromem_entry *entry)
{
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc;
	struct vs_err ignored = { 0 };

	return entry->is_ordinary &&
	       chromem_reader_doc(s->reader, fd, entry->name, &doc, &fault, &ignored) == 0 &&
	       doc.dimension > 1 && doc.id.len > 0 && chromem_hash(doc.id) == entry->key;
}

static int sample_documents(struct sampling *s, const struct chromem_collection *c, int to,
			    struct victim *victim, size_t *sound, struct vs_err *err)
{
	size_t count = chromem_list_count(c->list);
	uint64_t taken = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(c->list, i, scratch, &entry);
		if (entry.type != FILE_REGULAR || (entry.entry_class != CHROMEM_ENTRY_DOCUMENT &&
						   entry.entry_class != CHROMEM_ENTRY_METADATA))
			continue;
		if (entry.entry_class == CHROMEM_ENTRY_DOCUMENT &&
		    (taken >= s->each || s->out->documents >= s->req->max_documents))
			continue;
		if (!fits(s, c->dirfd, entry.name))
			continue;
		r = chroma_copy_part(c->dirfd, entry.name, to, err);
		if (entry.entry_class == CHROMEM_ENTRY_METADATA) {
			snprintf(victim->metadata, sizeof(victim->metadata), "%s", entry.name);
			continue;
		}
		taken++;
		s->out->documents++;
		if (!is_sound(s, c->dirfd, &entry))
			continue;
		/* The last ones: what comes first in a listing is read first and replaced. */
		snprintf(victim->other, sizeof(victim->other), "%.63s", victim->document);
		snprintf(victim->document, sizeof(victim->document), "%s", entry.name);
		(*sound)++;
	}
	return r;
}

static int sample_collection(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct sampling *s = ctx;
	struct victim victim = { .form = s->form };
	cleanup_(file_closep) int to = -1;
	size_t sound = 0;
	int r;

	if (s->out->documents >= s->req->max_documents || s->out->bytes >= s->req->max_bytes)
		return 0;
	r = file_mkdir_at(s->to, c->dir, 0700, err);
	if (r == 0)
		r = file_open_dir(s->to, c->dir, FILE_NO_FOLLOW, &to, err);
	if (r == 0)
		r = sample_documents(s, c, to, &victim, &sound, err);
	if (r < 0 || !c->meta || !c->has_hash || chromem_hash(c->meta->name) != c->hash ||
	    sound < 2 || sound <= s->best)
		return r;
	s->best = sound;
	snprintf(victim.dir, sizeof(victim.dir), "%.255s", c->dir);
	*s->victim = victim;
	return 0;
}

static int count_collection(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	(void)c;
	(void)err;
	(*(uint64_t *)ctx)++;
	return 0;
}

static int sample_chromem(const struct store *store, const struct selftest_request *req,
			  struct victim *victim, struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(req->jobs);
	cleanup_(sampling_fini) struct sampling s = {
		.req = req, .out = out, .to = -1, .victim = victim
	};
	struct chromem_visitor visitor = { .collection_begin = count_collection };
	struct chromem_scan_request scan = { .pool = pool };
	struct chromem_form form = { 0 };
	uint64_t collections = 0;
	int r;

	s.reader = chromem_reader_new();
	r = chromem_detect_form(store->dirfd, &form, err);
	s.form = scan.compression = form.compression;
	visitor.ctx = &collections;
	if (r == 0)
		r = chromem_scan(store->dirfd, &scan, &visitor, err);
	/* At least three of each, so that there is a majority to be different from. */
	s.each = VS_MAX(req->max_documents / VS_MAX(collections, UINT64_C(1)), UINT64_C(3));
	if (r == 0)
		r = file_open_dir(req->scratch_dirfd, SAMPLE, FILE_NO_FOLLOW, &s.to, err);
	visitor = (struct chromem_visitor){ .ctx = &s, .collection_begin = sample_collection };
	if (r == 0)
		r = chromem_scan(store->dirfd, &scan, &visitor, err);
	if (r == 0 && s.best == 0)
		return vs_fail(err, VS_EUSAGE,
			       "%s: no collection with two sound documents to damage copies of; "
			       "without STORE a store is made for the test",
			       store->path);
	return r;
}

/* ---- Chroma ---- */

/* An index directory that was saved, of a collection with records. */
static bool is_saved(int dirfd, const char *segment)
{
	cleanup_(file_closep) int fd = -1;
	struct vs_err ignored = { 0 };
	struct file_info info;

	return segment[0] != '\0' && segment[0] != '.' && !strchr(segment, '/') &&
	       file_open_dir(dirfd, segment, FILE_NO_FOLLOW, &fd, &ignored) == 0 &&
	       file_stat_at(fd, "index_metadata.pickle", FILE_NO_FOLLOW, &info, &ignored) == 0 &&
	       info.size > 200 &&
	       file_stat_at(fd, hnsw_file_name(HNSW_LEVEL0), FILE_NO_FOLLOW, &info, &ignored) ==
		       0 &&
	       info.size > 0;
}

struct segment_copy {
	const struct store *store;
	int to;
	struct victim *victim;
	struct copying copying;
};

static void catalog_fini(struct chroma_catalog *c)
{
	chroma_catalog_fini(c);
}

/* One of cosine space where there is one: more can happen to it. */
static void choose_segment(const struct store *store, struct chroma_db *db,
			   const struct chroma_catalog *catalog, struct victim *victim,
			   struct selftest_summary *out, struct vs_err *err)
{
	int64_t records = 0;

	for (size_t i = 0; i < catalog->collection_count; i++) {
		const struct chroma_collection *c = &catalog->collections[i];

		if (c->vector == SIZE_MAX ||
		    !is_saved(store->dirfd, catalog->segments[c->vector].id))
			continue;
		if (c->config.space != HNSW_COSINE)
			snprintf(victim->unread, sizeof(victim->unread), "%.255s",
				 catalog->segments[c->vector].id);
		if (victim->dir[0] != '\0' && (victim->is_cosine || c->config.space != HNSW_COSINE))
			continue;
		snprintf(victim->dir, sizeof(victim->dir), "%.255s",
			 catalog->segments[c->vector].id);
		victim->is_cosine = c->config.space == HNSW_COSINE;
	}
	if (chroma_query_int(db, "SELECT count(*) FROM embeddings", NULL, &records, err) == 0)
		out->documents = (uint64_t)VS_MAX(records, 0);
}

static int copy_segment(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct copying *c = ctx;

	/* The database is taken by itself, in one state. */
	if (type == FILE_DIRECTORY || type == FILE_UNKNOWN)
		return copy_entry(c, name, type, err);
	return 0;
}

static int sample_chroma(const struct store *store, const struct selftest_request *req,
			 struct victim *victim, struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(catalog_fini) struct chroma_catalog catalog = { 0 };
	cleanup_(file_closep) int to = -1;
	struct chroma_taken taken = { 0 };
	struct copying copying = { .from = store->dirfd, .max_bytes = req->max_bytes };
	int r = chroma_db_open(&db, store->dirfd, req->scratch, err);

	if (r == 0)
		r = chroma_catalog_load(&catalog, db, err);
	if (r < 0)
		return vs_err_in(err, "%s: cannot be sampled", store->path);
	choose_segment(store, db, &catalog, victim, out, err);
	copying.bytes = chroma_db_info(db)->bytes + chroma_db_info(db)->wal_bytes;
	if (copying.bytes > req->max_bytes)
		return vs_fail(err, VS_ELIMIT,
			       "%s: the database alone has %" PRIu64
			       " bytes, and the copy may have %" PRIu64 "; allow more with "
			       "--max-bytes",
			       store->path, copying.bytes, req->max_bytes);
	r = file_open_dir(req->scratch_dirfd, SAMPLE, FILE_NO_FOLLOW, &to, err);
	copying.to = to;
	if (r == 0)
		r = chroma_take(store->dirfd, to, 5000, &taken, err);
	if (r == 0)
		r = file_list(store->dirfd, copy_segment, &copying, err);
	if (r == VS_ELIMIT)
		return vs_fail(err, VS_ELIMIT,
			       "%s: larger than the %" PRIu64
			       " bytes that the copy may have; allow more with --max-bytes",
			       store->path, req->max_bytes);
	out->bytes = copying.bytes;
	return r;
}

int sample_make(const struct store *store, const struct selftest_request *req,
		struct victim *victim, struct selftest_summary *out, struct vs_err *err)
{
	int r = file_mkdir_at(req->scratch_dirfd, SAMPLE, 0700, err);

	if (r < 0)
		return r;
	if (store->kind == STORE_CHROMA)
		return sample_chroma(store, req, victim, out, err);
	if (store->kind == STORE_CHROMEM)
		return sample_chromem(store, req, victim, out, err);
	return vs_fail(err, VS_EUSAGE, "%s: an export file has no files to damage; name a store",
		       store->path);
}
