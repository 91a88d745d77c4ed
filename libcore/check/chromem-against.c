/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Against an export: what an earlier export file has and the store has not, or has otherwise.
 *
 * This is the only check that sees documents that are gone without a trace and changes that leave a
 * document valid. Of the store 16 bytes a document are kept; the export is read once, behind it.
 */

#include "check/chromem-run.h"

#include <fcntl.h>

void fingerprints_merge(struct fingerprints *to, struct fingerprints *from)
{
	if (from->count == 0)
		return;
	to->row = vs_grow(to->row, &to->cap, to->count + from->count, sizeof(*to->row));
	memcpy(to->row + to->count, from->row, from->count * sizeof(*to->row));
	to->count += from->count;
	from->count = 0;
}

/* @collection: the hash of its name. Two names of one hash share a directory, so this tells. */
static void fingerprint_of(struct digest_ctx *digest, uint32_t collection,
			   const struct chromem_doc *doc, struct fingerprint *out)
{
	struct digest d;

	digest_ctx_reset(digest);
	digest_ctx_add_u64(digest, collection);
	digest_ctx_add(digest, doc->id.ptr, doc->id.len);
	digest_ctx_final(digest, &d);
	out->key = load_le64(d.bytes);
	chromem_doc_digest(digest, doc, &d);
	out->content = load_le64(d.bytes);
}

static uint32_t collection_hash(const struct chromem_collection *c)
{
	return c->meta && c->meta->name.len > 0 ? chromem_hash(c->meta->name) : c->hash;
}

static void against_document(const struct sight *s)
{
	struct fingerprints *list = &s->chunk->fingerprints;

	if (!s->run->digests || !s->doc)
		return;
	list->row = vs_grow(list->row, &list->cap, list->count + 1, sizeof(*list->row));
	fingerprint_of(s->run->digests[s->worker], collection_hash(s->c), s->doc,
		       &list->row[list->count++]);
}

/* ---- the export ---- */

struct comparison {
	struct chromem_run *run;
	struct buf name;       /* of the collection being read */
	struct record *record; /* the same in the store; NULL: it is not there */
	uint32_t hash;
	uint64_t missing; /* documents of a collection that is not there */
};

static int compare_fingerprints(const void *a_, const void *b_)
{
	const struct fingerprint *a = a_;
	const struct fingerprint *b = b_;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (a->content > b->content) - (a->content < b->content);
}

/* Is the document there? *@same: with this content. */
static bool find_fingerprint(const struct fingerprints *list, const struct fingerprint *wanted,
			     bool *same)
{
	const struct fingerprint *found = NULL;
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->row[middle].key < wanted->key)
			low = middle + 1;
		else
			high = middle;
	}
	*same = false;
	for (; low < list->count && list->row[low].key == wanted->key; low++) {
		found = &list->row[low];
		*same |= found->content == wanted->content;
	}
	return found != NULL;
}

static struct record *find_record(struct chromem_run *run, struct slice name, uint32_t hash)
{
	char dir[CHROMEM_ID_LEN + 1];

	chromem_hash_format(hash, dir);
	for (size_t i = 0; i < run->record_count; i++) {
		struct record *record = run->records[i];

		if (record->is_listed && (slice_eq(buf_slice(&record->name), name) ||
					  (record->name.len == 0 && strcmp(record->dir, dir) == 0)))
			return record;
	}
	return NULL;
}

static void end_collection(struct comparison *cmp)
{
	struct finding f = { .code = PROB_CHROMEM_COLLECTION_MISSING,
			     .expected = buf_cstr(&cmp->name),
			     .other = cmp->run->req->against,
			     .has_count = true,
			     .count = cmp->missing };
	char dir[CHROMEM_ID_LEN + 1];

	if (cmp->name.len == 0 || cmp->record || cmp->run->only)
		return;
	chromem_hash_format(cmp->hash, dir);
	f.collection = dir;
	run_report(cmp->run, dir, &f);
}

static int export_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			     struct vs_err *err)
{
	struct comparison *cmp = ctx;

	(void)key, (void)err;
	end_collection(cmp);
	buf_clear(&cmp->name);
	buf_append(&cmp->name, meta->name.ptr, meta->name.len);
	cmp->hash = chromem_hash(meta->name);
	cmp->record = find_record(cmp->run, meta->name, cmp->hash);
	cmp->missing = 0;
	return 0;
}

/* Another document in the place of the one that is missing, because both ids have one hash. */
static int find_usurper(struct comparison *cmp, const char *path, struct slice id, struct buf *out,
			struct vs_err *err)
{
	struct chromem_fault fault;
	struct chromem_doc doc;
	int r = chromem_reader_doc(cmp->run->reader, cmp->run->store->dirfd, path, &doc, &fault,
				   err);

	if (r != 0 || slice_eq(doc.id, id))
		return r < 0 ? r : 0;
	buf_append(out, doc.id.ptr, doc.id.len);
	return 0;
}

static int report_missing(struct comparison *cmp, const struct chromem_doc *doc, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_MISSING,
			     .collection = cmp->record->dir,
			     .document = doc->id,
			     .other = cmp->run->req->against };
	cleanup_(buf_fini) struct buf usurper = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	char *id = NULL;
	char file[CHROMEM_ID_LEN + 1];
	int r;

	chromem_hash_format(chromem_hash(doc->id), file);
	buf_printf(&path, "%s/%s%s", cmp->record->dir, file,
		   chromem_extension(cmp->run->compression));
	f.path = buf_cstr(&path);
	r = find_usurper(cmp, f.path, doc->id, &usurper, err);
	if (r < 0)
		return r;
	if (usurper.len > 0) {
		id = vs_strndup(doc->id);
		f.code = PROB_CHROMEM_DOCUMENT_HASH_COLLISION;
		f.expected = id;
		f.actual = buf_cstr(&usurper);
	}
	cmp->record->errors++;
	run_report(cmp->run, f.path, &f);
	free(id);
	return 0;
}

static void report_differing(struct comparison *cmp, const struct chromem_doc *doc)
{
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_DIFFERS,
			     .collection = cmp->record->dir,
			     .document = doc->id,
			     .other = cmp->run->req->against };
	char path[PATH_CAP];
	char file[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(doc->id), file);
	snprintf(path, sizeof(path), "%s/%s%s", cmp->record->dir, file,
		 chromem_extension(cmp->run->compression));
	cmp->record->errors++;
	run_report(cmp->run, path, &f);
}

static int export_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			   struct vs_err *err)
{
	struct comparison *cmp = ctx;
	struct fingerprint wanted;
	bool same;

	(void)key;
	if (!cmp->record) {
		cmp->missing++;
		return 0;
	}
	fingerprint_of(cmp->run->digest, cmp->hash, doc, &wanted);
	if (!find_fingerprint(&cmp->run->fingerprints, &wanted, &same))
		return report_missing(cmp, doc, err);
	if (!same)
		report_differing(cmp, doc);
	return 0;
}

static void comparison_fini(struct comparison *cmp)
{
	buf_fini(&cmp->name);
}

static int against_finish(struct chromem_run *run, struct vs_err *err)
{
	cleanup_(comparison_fini) struct comparison cmp = { .run = run };
	const struct chromem_export_visitor visitor = { .ctx = &cmp,
							.collection = export_collection,
							.document = export_document };
	struct chromem_fault fault;
	uint32_t oddities;
	int r;

	if (!run->digests)
		return 0;
	if (run->fingerprints.count > 0)
		qsort(run->fingerprints.row, run->fingerprints.count,
		      sizeof(*run->fingerprints.row), compare_fingerprints);
	r = chromem_export_read(AT_FDCWD, run->req->against, run->req->key, &visitor, &oddities,
				&fault, err);
	if (r < 0)
		return r;
	if (r == 1)
		return vs_fail(err, VS_EFORMAT, "%s: cannot compare with it: %s", run->req->against,
			       fault.detail);
	end_collection(&cmp);
	return 0;
}

const struct chromem_check chromem_against = {
	.document = against_document,
	.finish = against_finish,
};
