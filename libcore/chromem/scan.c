/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Visiting a whole store. Three things bound what it costs, whatever the store looks like:
 *
 *  - Collections are opened a window at a time, by all workers, because a store may have ten
 *    thousand of two documents each; a window ends where what it holds becomes large.
 *  - Documents are handed out in chunks of neighbours, and so many chunks at a time: enough to keep
 *    every worker busy, few enough that what visitors remember of them stays small.
 *  - Each worker reads into buffers of its own, again and again.
 *
 * Callbacks other than `document` come from the calling thread, one collection after the other.
 */

#include "chromem/chromem.h"
#include "chromem/collection.h"
#include "chromem/names.h"
#include "chromem/read.h"

#define WINDOW_COLLECTIONS 64
#define WINDOW_WEIGHT ((size_t)1 << 20)

#define CHUNKS_AT_A_TIME 64
#define CHUNK_MIN ((size_t)16)
#define CHUNK_MAX ((size_t)256)

/* Chunks of a collection for each worker: the last ones to finish leave the others idle. */
#define CHUNKS_PER_WORKER 8

struct slot {
	size_t name; /* index of the directory's name */
	bool is_tried;
	int status; /* of collection_open() */
	struct collection collection;
	struct vs_err err;
};

struct chunk {
	size_t first, end; /* entries of the listing */
	void *of_visitor;
};

struct scan {
	int dirfd;
	const struct chromem_scan_request *req;
	const struct chromem_visitor *visitor;
	struct names names;
	struct chromem_reader **readers; /* one for each worker */

	struct slot slots[WINDOW_COLLECTIONS];
	size_t slot_count, slot_next;
	atomic_size_t weight; /* of the collections opened in this window */

	const struct collection *collection; /* whose documents are being visited */
	struct file_seen_dir *seen;          /* its directory */
	struct chunk chunks[CHUNKS_AT_A_TIME];
	size_t chunk_count;

	/* The first error of a worker ends the scan. */
	atomic_bool has_failed;
	struct vs_err failure;
};

/* ---- the store's directory ---- */

static int add_name(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct scan *scan = ctx;
	struct file_info info;

	if (type == FILE_UNKNOWN) {
		int r = file_stat_at(scan->dirfd, name, FILE_NO_FOLLOW, &info, err);

		if (r == VS_ENOENT)
			return 0; /* gone since it was listed */
		if (r == 0)
			type = info.type;
	}
	return names_add(&scan->names, name, type, err);
}

static int list_store(struct scan *scan, struct vs_err *err)
{
	const char *only = scan->req->only;
	struct file_info info;
	int r;

	if (!only) {
		r = file_list(scan->dirfd, add_name, scan, err);
		names_sort(&scan->names);
		return r;
	}
	if (strchr(only, '/') || only[0] == '\0' || strcmp(only, ".") == 0 ||
	    strcmp(only, "..") == 0)
		return vs_fail(err, VS_EUSAGE, "%s: not the name of a directory in the store",
			       only);
	r = file_stat_at(scan->dirfd, only, FILE_NO_FOLLOW, &info, err);
	return r < 0 ? r : names_add(&scan->names, only, info.type, err);
}

/* ---- collections, a window at a time ---- */

static void open_slot(struct scan *scan, unsigned worker, struct slot *slot)
{
	slot->is_tried = true;
	slot->status =
		collection_open(&slot->collection, scan->dirfd, names_at(&scan->names, slot->name),
				scan->req, scan->readers[worker], &slot->err);
	atomic_fetch_add(&scan->weight, slot->collection.weight);
}

static void open_in_window(void *ctx, unsigned worker, size_t index)
{
	struct scan *scan = ctx;

	/* Those that are left closed are opened when it is their turn. */
	if (atomic_load(&scan->weight) < WINDOW_WEIGHT)
		open_slot(scan, worker, &scan->slots[index]);
}

/* Open the directories from that name on, as many as a window takes. */
static void open_window(struct scan *scan, size_t name)
{
	scan->slot_count = 0;
	scan->slot_next = 0;
	atomic_store(&scan->weight, 0);
	for (; name < scan->names.count && scan->slot_count < WINDOW_COLLECTIONS; name++)
		if (scan->names.row[name].type == FILE_DIRECTORY)
			scan->slots[scan->slot_count++] = (struct slot){
				.name = name,
				.collection = { .dirfd = -1 },
			};
	pool_run(scan->req->pool, scan->slot_count, open_in_window, scan);
}

/* ---- documents, some chunks at a time ---- */

static void fail(struct scan *scan, const struct vs_err *err)
{
	if (!atomic_exchange(&scan->has_failed, true))
		scan->failure = *err;
}

static int read_document(const struct scan *scan, unsigned worker,
			 const struct chromem_entry *entry, struct chromem_doc *doc,
			 struct chromem_fault *fault, uint64_t *size, struct vs_err *err)
{
	const struct collection *c = scan->collection;
	struct chromem_reader *reader = scan->readers[worker];
	int r;

	r = chromem_reader_entry(reader, c->dirfd, c->atime, entry, doc, fault, err);
	*size = chromem_reader_file_size(reader);
	return r;
}

/* Was it read before, and is all that was seen then known still? */
static bool is_seen(struct scan *scan, void *chunk, size_t index, const struct chromem_entry *entry)
{
	const struct chromem_visitor *v = scan->visitor;
	struct file_remark remark = { 0 };
	struct file_info info;
	struct vs_err ignored;

	if (!scan->req->known || !v->again || entry->type != FILE_REGULAR ||
	    file_known_is_empty(scan->req->known) ||
	    file_seen_stat(scan->seen, scan->collection->dirfd, entry->name, &info, &ignored) < 0)
		return false;
	return file_known_find(scan->req->known, &info, NULL, &remark) && remark.flags != 0 &&
	       v->again(v->ctx, chunk, index, entry, &remark, info.size);
}

static void keep_remark(struct scan *scan, unsigned worker, void *chunk, size_t index,
			const struct chromem_entry *entry)
{
	const struct chromem_visitor *v = scan->visitor;
	struct file_remark remark = { 0 };

	if (scan->req->known && v->remark && entry->type == FILE_REGULAR &&
	    v->remark(v->ctx, chunk, index, entry, &remark))
		file_known_remark(scan->req->known, &scan->readers[worker]->info, &remark);
}

static void visit_document(struct scan *scan, unsigned worker, void *chunk, size_t index)
{
	const struct chromem_collection *c = &scan->collection->shown;
	const struct chromem_visitor *v = scan->visitor;
	struct chromem_fault fault;
	struct chromem_entry entry;
	struct chromem_doc doc;
	struct vs_err err;
	char scratch[32];
	uint64_t size;
	int r;

	chromem_list_at(c->list, index, scratch, &entry);
	if (entry.entry_class != CHROMEM_ENTRY_DOCUMENT || entry.type == FILE_DIRECTORY)
		return;
	if (entry.type == FILE_FIFO || entry.type == FILE_OTHER) {
		fault_not_a_file(&fault, entry.type);
		v->document(v->ctx, worker, chunk, c, index, &entry, NULL, &fault, 0);
		return;
	}
	if (is_seen(scan, chunk, index, &entry))
		return;
	r = read_document(scan, worker, &entry, &doc, &fault, &size, &err);
	if (r < 0) {
		vs_err_in(&err, "%s/%s", c->dir, entry.name);
		fail(scan, &err);
		return;
	}
	v->document(v->ctx, worker, chunk, c, index, &entry, r == 0 ? &doc : NULL,
		    r == 0 ? NULL : &fault, size);
	if (r == 0)
		keep_remark(scan, worker, chunk, index, &entry);
}

static void visit_chunk(void *ctx, unsigned worker, size_t index)
{
	struct scan *scan = ctx;
	const struct chunk *chunk = &scan->chunks[index];

	for (size_t i = chunk->first; i < chunk->end; i++) {
		if (atomic_load_explicit(&scan->has_failed, memory_order_relaxed))
			return;
		visit_document(scan, worker, chunk->of_visitor, i);
	}
	if (scan->req->progress) {
		atomic_fetch_add(&scan->req->progress->part_items_done, chunk->end - chunk->first);
		atomic_fetch_add(&scan->req->progress->items, chunk->end - chunk->first);
	}
}

/* A part of the job begins, with that many items, or ends. */
static void progress_begin(const struct scan *scan, size_t items)
{
	if (!scan->req->progress)
		return;
	atomic_store(&scan->req->progress->part_items_done, 0);
	atomic_store(&scan->req->progress->part_items, items);
}

static void progress_end(const struct scan *scan)
{
	progress_begin(scan, 0);
	if (scan->req->progress)
		atomic_fetch_add(&scan->req->progress->parts_done, 1);
}

/* The chunks of the listing from *@next on that are done at a time. */
static void make_chunks(struct scan *scan, size_t *next)
{
	const struct chromem_visitor *v = scan->visitor;
	const struct chromem_collection *c = &scan->collection->shown;
	size_t count = chromem_list_count(c->list);
	size_t len = count / ((size_t)pool_threads(scan->req->pool) * CHUNKS_PER_WORKER);

	len = VS_MIN(VS_MAX(len, CHUNK_MIN), CHUNK_MAX);
	scan->chunk_count = 0;
	while (*next < count && scan->chunk_count < CHUNKS_AT_A_TIME) {
		struct chunk *chunk = &scan->chunks[scan->chunk_count++];

		chunk->first = *next;
		chunk->end = VS_MIN(*next + len, count);
		chunk->of_visitor = v->chunk_new ? v->chunk_new(v->ctx, c) : NULL;
		*next = chunk->end;
	}
}

static int visit_documents(struct scan *scan, struct vs_err *err)
{
	const struct chromem_visitor *v = scan->visitor;
	const struct chromem_collection *c = &scan->collection->shown;
	size_t next = 0;
	int r = 0;

	progress_begin(scan, chromem_list_count(c->list));
	while (next < chromem_list_count(c->list)) {
		make_chunks(scan, &next);
		pool_run(scan->req->pool, scan->chunk_count, visit_chunk, scan);
		if (atomic_load(&scan->has_failed)) {
			*err = scan->failure;
			return err->status;
		}
		for (size_t i = 0; i < scan->chunk_count && v->chunk_end && r == 0; i++)
			r = v->chunk_end(v->ctx, c, scan->chunks[i].of_visitor, err);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- one after the other ---- */

static int visit_collection(struct scan *scan, const struct collection *collection,
			    struct vs_err *err)
{
	const struct chromem_visitor *v = scan->visitor;
	int r = 0;

	scan->collection = collection;
	scan->seen = file_seen_dir(file_known_seen(scan->req->known), collection->dirfd);
	if (v->collection_begin)
		r = v->collection_begin(v->ctx, &collection->shown, err);
	if (r == 0 && scan->req->decode)
		r = visit_documents(scan, err);
	if (r == 0 && v->collection_end)
		r = v->collection_end(v->ctx, &collection->shown, err);
	return r;
}

static int visit_entry(struct scan *scan, size_t name, const struct chromem_fault *fault,
		       struct vs_err *err)
{
	const struct chromem_visitor *v = scan->visitor;

	if (!v->entry)
		return 0;
	return v->entry(v->ctx, names_at(&scan->names, name), scan->names.row[name].type, fault,
			err);
}

static int visit_directory(struct scan *scan, size_t name, struct vs_err *err)
{
	struct slot *slot;
	int r;

	if (scan->slot_next == scan->slot_count)
		open_window(scan, name);
	slot = &scan->slots[scan->slot_next++];
	assert(slot->name == name);
	if (!slot->is_tried)
		open_slot(scan, 0, slot);
	if (slot->status < 0) {
		*err = slot->err;
		r = slot->status;
	} else if (slot->status > 0) {
		r = visit_entry(scan, name, &slot->collection.fault, err);
	} else {
		r = visit_collection(scan, &slot->collection, err);
	}
	collection_fini(&slot->collection);
	progress_end(scan);
	return r;
}

static void scan_freep(struct scan **scan_)
{
	struct scan *scan = *scan_;

	for (size_t i = scan->slot_next; i < scan->slot_count; i++)
		collection_fini(&scan->slots[i].collection);
	for (unsigned i = 0; i < pool_threads(scan->req->pool); i++)
		chromem_reader_freep(&scan->readers[i]);
	free(scan->readers);
	names_fini(&scan->names);
	free(scan);
}

int chromem_scan(int dirfd, const struct chromem_scan_request *req,
		 const struct chromem_visitor *visitor, struct vs_err *err)
{
	cleanup_(scan_freep) struct scan *scan = vs_alloc(sizeof(*scan));
	unsigned threads = pool_threads(req->pool);
	int r;

	scan->dirfd = dirfd;
	scan->req = req;
	scan->visitor = visitor;
	scan->readers = vs_alloc_array(threads, sizeof(struct chromem_reader *));
	for (unsigned i = 0; i < threads; i++) {
		scan->readers[i] = chromem_reader_new();
		chromem_reader_set_known(scan->readers[i], req->known);
	}
	r = list_store(scan, err);
	for (size_t i = 0; req->progress && i < scan->names.count; i++)
		req->progress->parts += scan->names.row[i].type == FILE_DIRECTORY;
	for (size_t i = 0; i < scan->names.count && r == 0; i++) {
		if (scan->names.row[i].type == FILE_DIRECTORY)
			r = visit_directory(scan, i, err);
		else
			r = visit_entry(scan, i, NULL, err);
	}
	return r;
}
