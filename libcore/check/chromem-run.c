/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The one visit of a chromem store: hands every directory and document to the families, keeps their
 * notes, merges what the workers saw, and in the end says what it amounts to.
 */

#include "check/chromem-run.h"
#include "check/registry.h"

void refusal_note(struct refusal *r, size_t index, const char *text)
{
	if (r->is_set && r->index <= index)
		return;
	r->is_set = true;
	r->index = index;
	snprintf(r->text, sizeof(r->text), "%s", text);
}

/* ---- families ---- */

#define FOR_EACH_FAMILY(run, family)                                                               \
	for (const struct chromem_check *family = NULL, *const *at_ = (run)->families;             \
	     (family = *at_) != NULL; at_++)

/* The families that the level asks for, in the order of the registry. */
static void choose_families(struct chromem_run *run)
{
	size_t count = 0;

	for (size_t i = 0; i < registry_count(); i++) {
		const struct check_row *row = registry_row(i);

		if (!row->chromem || row->level > run->req->level)
			continue;
		assert(count + 1 < VS_COUNT(run->families));
		run->families[count++] = row->chromem;
	}
	run->families[count] = NULL;
}

/* ---- chunks ---- */

static void chunk_fini(struct chunk *chunk)
{
	report_fini(&chunk->report);
	free(chunk->misnamed);
	free(chunk->fingerprints.row);
}

static void chunk_merge(struct chunk *to, struct chunk *from)
{
	report_move(&to->report, &from->report);
	if (from->refusal.is_set)
		refusal_note(&to->refusal, from->refusal.index, from->refusal.text);
	for (size_t i = 0; i < TALLY_COUNT_; i++)
		to->tally[i] += from->tally[i];
	scopes_merge(&to->scopes, &from->scopes);
	if (from->misnamed_count > 0) {
		to->misnamed =
			vs_grow(to->misnamed, &to->misnamed_cap,
				to->misnamed_count + from->misnamed_count, sizeof(*to->misnamed));
		memcpy(to->misnamed + to->misnamed_count, from->misnamed,
		       from->misnamed_count * sizeof(*to->misnamed));
		to->misnamed_count += from->misnamed_count;
	}
	fingerprints_merge(&to->fingerprints, &from->fingerprints);
}

static void *visit_chunk_new(void *ctx, const struct chromem_collection *c)
{
	struct chromem_run *run = ctx;
	struct chunk *chunk = vs_alloc(sizeof(*chunk));

	(void)c;
	chunk->report.max = run->report.max;
	chunk->next = run->chunks;
	run->chunks = chunk;
	return chunk;
}

static void chunk_free(struct chromem_run *run, struct chunk *chunk)
{
	struct chunk **at = &run->chunks;

	while (*at != chunk)
		at = &(*at)->next;
	*at = chunk->next;
	chunk_fini(chunk);
	free(chunk);
}

static int visit_chunk_end(void *ctx, const struct chromem_collection *c, void *chunk,
			   struct vs_err *err)
{
	struct chromem_run *run = ctx;

	(void)c, (void)err;
	chunk_merge(&run->part.sum, chunk);
	chunk_free(run, chunk);
	return 0;
}

/* ---- records ---- */

struct record *run_record_new(struct chromem_run *run, const char *dir)
{
	struct record *record = vs_alloc(sizeof(*record));

	record->dir = vs_strdup(dir);
	run->records = vs_grow(run->records, &run->record_cap, run->record_count + 1,
			       sizeof(*run->records));
	run->records[run->record_count++] = record;
	return record;
}

static void record_free(struct record *record)
{
	free(record->dir);
	buf_fini(&record->name);
	buf_fini(&record->right_name);
	free(record);
}

/* ---- the visit ---- */

static int visit_entry(void *ctx, const char *name, enum file_type type,
		       const struct chromem_fault *fault, struct vs_err *err)
{
	struct chromem_run *run = ctx;

	FOR_EACH_FAMILY(run, family)
	{
		int r = family->entry ? family->entry(run, name, type, fault, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Count the files of either compression setting, and find the metadata file. */
static void survey(struct part *part)
{
	const struct chromem_list *list = part->c->list;

	part->metadata_index = SIZE_MAX;
	for (size_t i = 0; i < chromem_list_count(list); i++) {
		struct chromem_entry entry;
		char scratch[32];

		chromem_list_at(list, i, scratch, &entry);
		if (entry.type == FILE_DIRECTORY)
			continue;
		if (entry.entry_class == CHROMEM_ENTRY_METADATA)
			part->metadata_index = i;
		part->record->documents += entry.entry_class == CHROMEM_ENTRY_DOCUMENT;
		part->record->own_forms += entry.entry_class == CHROMEM_ENTRY_DOCUMENT ||
					   entry.entry_class == CHROMEM_ENTRY_METADATA;
		part->record->other_forms += entry.entry_class == CHROMEM_ENTRY_OTHER_FORM;
	}
}

static enum part_kind kind_of(const struct part *part)
{
	const struct record *record = part->record;

	if (part->c->has_hash || part->metadata_index != SIZE_MAX)
		return PART_COLLECTION;
	if (record->documents > 0)
		return PART_STRAY_COLLECTION;
	return strcmp(part->c->dir, ".quarantine") == 0 ? PART_QUARANTINE : PART_IGNORED;
}

static int visit_begin(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct chromem_run *run = ctx;
	struct part *part = &run->part;

	*part = (struct part){ .c = c, .record = run_record_new(run, c->dir) };
	part->sum.report.max = run->report.max;
	survey(part);
	part->kind = kind_of(part);
	part->record->has_hash = c->has_hash;
	part->record->is_listed =
		part->kind == PART_COLLECTION || part->kind == PART_STRAY_COLLECTION;
	if (!part->record->is_listed)
		part->record->own_forms = part->record->other_forms = 0;
	if (c->meta)
		buf_append(&part->record->name, c->meta->name.ptr, c->meta->name.len);
	part->record->is_skipped =
		part->record->documents == 0 && !c->meta_fault && part->record->name.len == 0;
	part->notes = vs_try_alloc(chromem_list_count(c->list) + 1, sizeof(*part->notes));
	if (!part->notes)
		return vs_fail(err, VS_ENOMEM, "%s: no memory for %zu entries", c->dir,
			       chromem_list_count(c->list));
	FOR_EACH_FAMILY(run, family)
	{
		int r = family->begin ? family->begin(run, part, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static void visit_document(void *ctx, unsigned worker, void *chunk_,
			   const struct chromem_collection *c, size_t index,
			   const struct chromem_entry *entry, const struct chromem_doc *doc,
			   const struct chromem_fault *fault, uint64_t file_size)
{
	const struct chromem_run *run = ctx;
	struct chunk *chunk = chunk_;
	const struct sight sight = { .run = run,
				     .c = c,
				     .chunk = chunk,
				     .note = &run->part.notes[index],
				     .worker = worker,
				     .index = index,
				     .entry = entry,
				     .doc = doc,
				     .fault = fault,
				     .size = file_size };

	again_begin(chunk);
	chunk->tally[TALLY_BYTES] += file_size;
	FOR_EACH_FAMILY(run, family)
	{
		if (family->document)
			family->document(&sight);
	}
}

static int visit_end(void *ctx, const struct chromem_collection *c, struct vs_err *err)
{
	struct chromem_run *run = ctx;
	struct part *part = &run->part;
	int r = 0;

	(void)c;
	FOR_EACH_FAMILY(run, family)
	{
		r = family->end && part->kind == PART_COLLECTION ? family->end(run, part, err) : 0;
		if (r < 0)
			break;
	}
	part->record->bytes += part->sum.tally[TALLY_BYTES];
	part->record->errors += part->sum.report.severity[SEV_ERROR];
	if (part->sum.refusal.is_set && !run->refusal.is_set)
		run->refusal = part->sum.refusal;
	report_move(&run->report, &part->sum.report);
	fingerprints_merge(&run->fingerprints, &part->sum.fingerprints);
	chunk_fini(&part->sum);
	free(part->notes);
	*part = (struct part){ 0 };
	return r;
}

static int visit(struct chromem_run *run, struct vs_err *err)
{
	const struct chromem_scan_request req = { .compression = run->compression,
						  .decode = run_is_full(run),
						  .only = run->only,
						  .pool = run->pool,
						  .progress = run->req->progress,
						  .known = run->req->known };
	const struct chromem_visitor visitor = { .ctx = run,
						 .entry = visit_entry,
						 .collection_begin = visit_begin,
						 .chunk_new = visit_chunk_new,
						 .document = visit_document,
						 .remark = again_remark,
						 .again = again_take,
						 .chunk_end = visit_chunk_end,
						 .collection_end = visit_end };
	int r = chromem_scan(run->store->dirfd, &req, &visitor, err);

	if (r < 0)
		return r;
	FOR_EACH_FAMILY(run, family)
	{
		r = family->finish ? family->finish(run, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- begin and end ---- */

static void run_fini(struct chromem_run *run)
{
	while (run->chunks)
		chunk_free(run, run->chunks);
	chunk_fini(&run->part.sum);
	free(run->part.notes);
	for (size_t i = 0; i < run->record_count; i++)
		record_free(run->records[i]);
	free(run->records);
	free(run->only);
	free(run->fingerprints.row);
	report_fini(&run->report);
	gaps_fini(&run->gaps);
	chromem_reader_freep(&run->reader);
	digest_ctx_freep(&run->digest);
	for (unsigned i = 0; run->digests && i < pool_threads(run->pool); i++)
		digest_ctx_freep(&run->digests[i]);
	free(run->digests);
	pool_freep(&run->pool);
}

static int run_init(struct chromem_run *run, struct check_summary *out, struct vs_err *err)
{
	struct chromem_form form;
	int r = chromem_detect_form(run->store->dirfd, &form, err);

	if (r < 0)
		return r;
	run->compression = form.compression;
	if (run->req->has_compression)
		run->compression = run->req->gzip ? CHROMEM_GZIP : CHROMEM_PLAIN;
	if (form.plain + form.gzip > 0)
		out->compression = chromem_compression_name(form.compression);
	run->report.max = run->req->max_findings;
	run->reader = chromem_reader_new();
	run->digest = digest_ctx_new();
	run->pool = pool_new(VS_MAX(run->req->jobs, 1u));
	if (run->req->against) {
		run->digests = vs_alloc_array(pool_threads(run->pool), sizeof(*run->digests));
		for (unsigned i = 0; i < pool_threads(run->pool); i++)
			run->digests[i] = digest_ctx_new();
	}
	choose_families(run);
	if (!run->req->only_collection)
		return 0;
	return chromem_find_collection(run->store->dirfd, run->compression,
				       run->req->only_collection, run->pool, &run->only, err);
}

static void emit_collections(const struct chromem_run *run, const struct check_sink *sink,
			     struct check_summary *out)
{
	for (size_t i = 0; i < run->record_count; i++) {
		struct record *record = run->records[i];
		struct check_collection c = { .id = record->dir,
					      .state = record->errors > 0   ? COLLECTION_CORRUPT
						       : record->is_skipped ? COLLECTION_EMPTY
									    : COLLECTION_HEALTHY,
					      .documents = record->documents,
					      .dimension = record->dimension,
					      .bytes = record->bytes };

		out->bytes += record->bytes;
		if (!record->is_listed)
			continue;
		out->collections++;
		out->healthy += c.state == COLLECTION_HEALTHY;
		out->corrupt += c.state == COLLECTION_CORRUPT;
		out->empty += c.state == COLLECTION_EMPTY;
		out->documents += record->documents;
		if (record->name.len > 0) {
			c.name = buf_cstr(&record->name);
			c.name_bytes = buf_slice(&record->name);
		}
		sink->collection(sink->ctx, &c);
	}
}

/* What no check of this level can see in any store. */
static void note_limits(struct chromem_run *run)
{
	if (!run_is_full(run))
		run_gap(run, ".", "the contents of documents",
			"level quick reads directories and metadata only", true);
	else if (!run->req->against)
		run_gap(run, ".", "changes that leave a document valid",
			"the format has no checksums, and there was no earlier copy to compare with",
			true);
	if (run->only)
		run_gap(run, ".", "the other collections", "one collection was asked for", true);
}

int chromem_run_store(const struct store *store, const struct check_request *req,
		      const struct check_sink *sink, struct check_summary *out, struct vs_err *err)
{
	cleanup_(run_fini) struct chromem_run run = { .store = store, .req = req };
	int r = run_init(&run, out, err);

	if (r >= 0)
		r = visit(&run, err);
	if (r < 0)
		return r;
	note_limits(&run);
	emit_collections(&run, sink, out);
	report_emit(&run.report, sink, out);
	gaps_emit(&run.gaps, sink, out);
	if (run.refusal.is_set)
		snprintf(out->loader_text, sizeof(out->loader_text), "%s", run.refusal.text);
	return 0;
}
