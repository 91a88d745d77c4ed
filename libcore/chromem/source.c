/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A store as the library has it in memory once it has opened it: of two documents with one id, and
 * of two collections with one name, the one that was read last; without what it passes over; in
 * byte order of names and ids, which the library's maps do not have. A store that the library would
 * refuse is refused.
 *
 * Opening reads everything once, by all workers, and keeps the ids. Each visit reads the files
 * again, one after the other, and compares: a store that is being changed is noticed.
 */

#include "chromem/collection.h"

struct part {
	char *dir; /* owned */
	struct chromem_roster *ids;
};

/* Documents that one worker has read, until it is their turn. */
struct chunk {
	struct chunk *next; /* of all that were handed out */
	struct chunk **link;
	struct chromem_roster *ids;
	struct chromem_fault fault; /* of the first that cannot be read */
	struct buf fault_path;
	struct vs_err err; /* of ours */
};

struct chromem_source {
	int dirfd; /* borrowed */
	enum chromem_compression compression;
	struct chromem_reader *reader;
	struct part *parts; /* owned, of every directory that holds a collection */
	size_t part_count, part_cap;
	struct chromem_roster *names; /* of collections, with the index of the part */
	uint64_t documents;

	/* While opening: */
	struct chunk *chunks;
	bool is_refused;
	struct chromem_fault fault;
	struct buf fault_path;
};

static void chunk_free(struct chunk *chunk)
{
	*chunk->link = chunk->next;
	if (chunk->next)
		chunk->next->link = chunk->link;
	chromem_roster_freep(&chunk->ids);
	buf_fini(&chunk->fault_path);
	free(chunk);
}

void chromem_source_freep(struct chromem_source **source)
{
	struct chromem_source *s = *source;

	if (!s)
		return;
	for (struct chunk *chunk = s->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		chunk_free(chunk);
	}
	for (size_t i = 0; i < s->part_count; i++) {
		free(s->parts[i].dir);
		chromem_roster_freep(&s->parts[i].ids);
	}
	free(s->parts);
	chromem_roster_freep(&s->names);
	chromem_reader_freep(&s->reader);
	buf_fini(&s->fault_path);
	free(s);
	*source = NULL;
}

/* ---- opening ---- */

/* Ends the scan: the library goes no further, and neither do we. */
static int refuse(struct chromem_source *s, const char *path, const struct chromem_fault *fault)
{
	s->is_refused = true;
	s->fault = *fault;
	buf_clear(&s->fault_path);
	buf_append_str(&s->fault_path, path);
	return 1;
}

static int see_entry(void *ctx, const char *name, enum file_type type,
		     const struct chromem_fault *fault, struct vs_err *err)
{
	(void)type, (void)err;
	return fault ? refuse(ctx, name, fault) : 0;
}

static int begin_part(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct chromem_source *s = ctx;
	char path[4096];

	(void)err;
	if (c->meta_fault) {
		snprintf(path, sizeof(path), "%s/00000000%s", c->dir,
			 chromem_extension(s->compression));
		return refuse(s, path, c->meta_fault);
	}
	s->parts = vs_grow(s->parts, &s->part_cap, s->part_count + 1, sizeof(*s->parts));
	s->parts[s->part_count++] = (struct part){ vs_strdup(c->dir), chromem_roster_new() };
	return 0;
}

static void *new_chunk(void *ctx, const struct chromem_collection *c)
{
	struct chromem_source *s = ctx;
	struct chunk *chunk = vs_alloc(sizeof(*chunk));

	(void)c;
	chunk->ids = chromem_roster_new();
	chunk->next = s->chunks;
	chunk->link = &s->chunks;
	if (s->chunks)
		s->chunks->link = &chunk->next;
	s->chunks = chunk;
	return chunk;
}

static void take_document(void *ctx, unsigned worker, void *chunk_,
			  const struct chromem_collection *c, size_t index,
			  const struct chromem_entry *entry, const struct chromem_doc *doc,
			  const struct chromem_fault *fault, uint64_t file_size)
{
	struct chunk *chunk = chunk_;

	(void)ctx, (void)worker, (void)file_size;
	if (chunk->err.status < 0 || chunk->fault.kind != CHROMEM_FAULT_NONE)
		return;
	if (doc) {
		if (chromem_roster_add(chunk->ids, doc->id, index, &chunk->err) < 0)
			vs_err_in(&chunk->err, "%s", c->dir);
		return;
	}
	chunk->fault = *fault;
	buf_printf(&chunk->fault_path, "%s/%s", c->dir, entry->name);
}

static int end_chunk(void *ctx, const struct chromem_collection *c, void *chunk_,
		     struct vs_err *err)
{
	struct chromem_source *s = ctx;
	struct chunk *chunk = chunk_;
	struct part *part = &s->parts[s->part_count - 1];
	int r = chunk->err.status;

	(void)c;
	if (r < 0)
		*err = chunk->err;
	for (size_t i = 0; r == 0 && i < chromem_roster_count(chunk->ids); i++) {
		struct slice id;
		size_t index = chromem_roster_at(chunk->ids, i, &id);

		r = chromem_roster_add(part->ids, id, index, err);
	}
	if (r == 0 && chunk->fault.kind != CHROMEM_FAULT_NONE)
		r = refuse(s, buf_cstr(&chunk->fault_path), &chunk->fault);
	chunk_free(chunk);
	return r;
}

static int end_part(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct chromem_source *s = ctx;
	struct part *part = &s->parts[s->part_count - 1];
	struct chromem_fault fault = { .kind = CHROMEM_FAULT_SHAPE };

	chromem_roster_sort(part->ids);
	if (c->meta && c->meta->name.len > 0)
		return chromem_roster_add(s->names, c->meta->name, s->part_count - 1, err);
	if (chromem_roster_count(part->ids) == 0)
		return 0; /* passed over */
	snprintf(fault.detail, sizeof(fault.detail), "documents, but no name of the collection");
	return refuse(s, c->dir, &fault);
}

int chromem_source_open(struct chromem_source **out, int dirfd, enum chromem_compression c,
			struct pool *pool, struct chromem_fault *fault, struct buf *path,
			struct vs_err *err)
{
	cleanup_(chromem_source_freep) struct chromem_source *s = vs_alloc(sizeof(*s));
	const struct chromem_scan_request req = { .compression = c, .decode = true, .pool = pool };
	const struct chromem_visitor visitor = {
		.ctx = s,
		.entry = see_entry,
		.collection_begin = begin_part,
		.chunk_new = new_chunk,
		.document = take_document,
		.chunk_end = end_chunk,
		.collection_end = end_part,
	};
	int r;

	s->dirfd = dirfd;
	s->compression = c;
	s->reader = chromem_reader_new();
	s->names = chromem_roster_new();
	r = chromem_scan(dirfd, &req, &visitor, err);
	if (r < 0)
		return r;
	if (s->is_refused) {
		*fault = s->fault;
		buf_append(path, s->fault_path.ptr, s->fault_path.len);
		return 1;
	}
	chromem_roster_sort(s->names);
	for (size_t i = 0; i < chromem_roster_count(s->names); i++)
		s->documents +=
			chromem_roster_count(s->parts[chromem_roster_at(s->names, i, NULL)].ids);
	*out = VS_TAKE(s);
	return 0;
}

size_t chromem_source_collections(const struct chromem_source *source)
{
	return chromem_roster_count(source->names);
}

uint64_t chromem_source_documents(const struct chromem_source *source)
{
	return source->documents;
}

/* ---- visiting ---- */

static int changed(struct vs_err *err, const char *dir, const char *name)
{
	return vs_fail(err, VS_EVANISHED, "%s/%s: changed while the store was read", dir, name);
}

static int visit_doc(struct chromem_source *s, const struct collection *c, size_t index,
		     struct slice id, const struct chromem_export_visitor *to, struct vs_err *err)
{
	struct chromem_entry entry;
	struct chromem_fault fault;
	struct chromem_doc doc;
	char scratch[32];
	int r;

	if (index >= chromem_list_count(c->list))
		return changed(err, c->shown.dir, "");
	chromem_list_at(c->list, index, scratch, &entry);
	r = chromem_reader_entry(s->reader, c->dirfd, c->atime, &entry, &doc, &fault, err);
	if (r < 0)
		return vs_err_in(err, "%s", c->shown.dir);
	if (r > 0 || !slice_eq(doc.id, id))
		return changed(err, c->shown.dir, entry.name);
	return to->document(to->ctx, doc.id, &doc, err);
}

static int visit_part(struct chromem_source *s, const struct part *part, struct slice name,
		      const struct chromem_export_visitor *to, struct vs_err *err)
{
	const struct chromem_scan_request req = { .compression = s->compression };
	cleanup_(collection_fini) struct collection c = { .dirfd = -1 };
	int r = collection_open(&c, s->dirfd, part->dir, &req, s->reader, err);

	if (r < 0)
		return r;
	if (r > 0 || !c.shown.meta || !slice_eq(c.meta.name, name))
		return changed(err, part->dir, "");
	r = to->collection(to->ctx, name, &c.meta, err);
	for (size_t i = 0; r == 0 && i < chromem_roster_count(part->ids); i++) {
		struct slice id;
		size_t index = chromem_roster_at(part->ids, i, &id);

		r = visit_doc(s, &c, index, id, to, err);
	}
	return r;
}

int chromem_source_visit(void *source, const struct chromem_export_visitor *to, struct vs_err *err)
{
	struct chromem_source *s = source;
	int r = 0;

	for (size_t i = 0; r == 0 && i < chromem_roster_count(s->names); i++) {
		struct slice name;
		size_t part = chromem_roster_at(s->names, i, &name);

		r = visit_part(s, &s->parts[part], name, to, err);
	}
	return r;
}

/* ---- its digest ---- */

struct digesting {
	struct chromem_source *source;
	struct digest_ctx *of_store, *of_collection;
	size_t begun;
};

static void end_digest(struct digesting *d)
{
	struct digest digest;

	if (d->begun == 0)
		return;
	digest_ctx_final(d->of_collection, &digest);
	chromem_store_digest_add(d->of_store, &digest);
}

static int digest_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			     struct vs_err *err)
{
	struct digesting *d = ctx;
	const struct chromem_source *s = d->source;
	size_t part = chromem_roster_at(s->names, d->begun, NULL);

	(void)key, (void)err;
	end_digest(d);
	d->begun++;
	chromem_collection_digest_begin(d->of_collection, meta,
					chromem_roster_count(s->parts[part].ids));
	return 0;
}

static int digest_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			   struct vs_err *err)
{
	struct digesting *d = ctx;

	(void)key, (void)err;
	chromem_collection_digest_add(d->of_collection, doc);
	return 0;
}

int chromem_source_digest(struct chromem_source *source, struct digest *out, struct vs_err *err)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *of_store = digest_ctx_new();
	cleanup_(digest_ctx_freep) struct digest_ctx *of_collection = digest_ctx_new();
	struct digesting d = { source, of_store, of_collection, 0 };
	const struct chromem_export_visitor visitor = { &d, digest_collection, digest_document };
	int r;

	chromem_store_digest_begin(of_store, chromem_source_collections(source));
	r = chromem_source_visit(source, &visitor, err);
	if (r < 0)
		return r;
	end_digest(&d);
	digest_ctx_final(of_store, out);
	return 0;
}
