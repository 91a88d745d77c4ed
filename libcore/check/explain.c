/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From findings to causes.
 *
 * One table says which way of breaking a store each problem speaks for, and how strongly; the few
 * problems that speak for different ones depending on their circumstances have a function. The
 * cause with the most weight comes first. It is a diagnosis, not a proof: what is certain is in the
 * findings.
 */

#include "check/check.h"

#include "chromem/chromem.h"

#define EVIDENCE_MAX 4 /* findings that are named for a cause */
#define PROBES_MAX 16  /* directories whose times are looked at */

enum cause_id {
	CAUSE_REMOVED_UNDER_PROCESS,
	CAUSE_METADATA_LOST,
	CAUSE_CRASH_AT_CREATION,
	CAUSE_CRASH_WHILE_WRITING,
	CAUSE_POWER_LOSS,
	CAUSE_BIT_ROT,
	CAUSE_OPERATOR_COPY,
	CAUSE_WRONG_SETTING,
	CAUSE_FOREIGN_WRITER,
	CAUSE_EMBEDDING_FUNCTION,
	CAUSE_PERMISSIONS,
	CAUSE_INTERRUPTED_WRITER,
	CAUSE_NAME_COLLISION,
	CAUSE_MOVED_AWAY,
	CAUSE_COUNT_,
	CAUSE_NONE = CAUSE_COUNT_,
};

static const struct {
	const char *code;
	const char *summary;
} cause_rows[CAUSE_COUNT_] = {
	[CAUSE_REMOVED_UNDER_PROCESS] = { "directory-removed-under-live-process",
					  "the collection's directory was removed while a program still had it in memory: each "
					  "document that it wrote since made the directory again, and nothing writes the "
					  "metadata again" },
	[CAUSE_METADATA_LOST] = { "metadata-file-lost",
				  "the metadata file alone was deleted or lost" },
	[CAUSE_CRASH_AT_CREATION] = { "crash-at-creation",
				      "the program or the machine died between making the collection's directory and "
				      "writing its metadata" },
	[CAUSE_CRASH_WHILE_WRITING] = { "disk-full-or-crash-while-writing",
					"the disk was full, or the program died, while files were written: they are written "
					"in place, in several steps" },
	[CAUSE_POWER_LOSS] = { "power-loss",
			       "the machine lost power: sizes reached the disk and data did not, because nothing is "
			       "synced" },
	[CAUSE_BIT_ROT] = { "bit-rot",
			    "single bits or bytes have changed, on the disk, in memory or in a copy" },
	[CAUSE_OPERATOR_COPY] = { "operator-copy",
				  "somebody copied, renamed or put files inside the store; the library takes them for "
				  "its own" },
	[CAUSE_WRONG_SETTING] = { "wrong-compression-setting",
				  "the application was started with the other compression setting and saw an empty "
				  "store" },
	[CAUSE_FOREIGN_WRITER] = { "foreign-writer",
				   "another program than the library wrote these files" },
	[CAUSE_EMBEDDING_FUNCTION] = { "embedding-function",
				       "the embedding function failed or was changed: the vectors were stored as they are "
				       "here" },
	[CAUSE_PERMISSIONS] = { "permissions",
				"owner or permission bits were changed, or another user wrote files" },
	[CAUSE_INTERRUPTED_WRITER] = { "interrupted-writer",
				       "a program that copies or replaces files was interrupted" },
	[CAUSE_NAME_COLLISION] = { "name-collision",
				   "two names have the same 32-bit hash, and the library stores both in one place" },
	[CAUSE_MOVED_AWAY] = { "moved-with-links",
			       "files were moved elsewhere and symbolic links put in their place" },
};

/* ---- which problem speaks for what ---- */

static enum cause_id cause_of_truncated_metadata(const struct finding *f)
{
	return f->count == 0 ? CAUSE_CRASH_AT_CREATION : CAUSE_CRASH_WHILE_WRITING;
}

static enum cause_id cause_of_metadata_document(const struct finding *f)
{
	return f->document.len > 0 && chromem_hash(f->document) == CHROMEM_META_KEY
		       ? CAUSE_NAME_COLLISION
		       : CAUSE_OPERATOR_COPY;
}

static enum cause_id cause_of_stray_collection(const struct finding *f)
{
	return f->collection && strstr(f->collection, ".tmp") ? CAUSE_INTERRUPTED_WRITER
							      : CAUSE_OPERATOR_COPY;
}

static enum cause_id cause_of_nameless_metadata(const struct finding *f)
{
	/* With an offset: where the damaged field name stands. */
	return f->has_offset ? CAUSE_BIT_ROT : CAUSE_FOREIGN_WRITER;
}

static enum cause_id cause_of_trailer(const struct finding *f)
{
	return f->detail && strstr(f->detail, "cut off") ? CAUSE_CRASH_WHILE_WRITING
							 : CAUSE_BIT_ROT;
}

/* A flipped bit of one element in many moves the length a little; an embedding function a lot. */
static enum cause_id cause_of_norm(const struct finding *f)
{
	double norm = f->actual ? strtod(f->actual, NULL) : 1;

	return norm > 0.5 && norm < 1.5 ? CAUSE_BIT_ROT : CAUSE_EMBEDDING_FUNCTION;
}

static const struct {
	enum problem problem;
	enum cause_id cause;
	unsigned weight;
	enum cause_id (*decide)(const struct finding *f); /* in place of @cause */
} speaks_for[] = {
	{ PROB_CHROMEM_COLLECTION_DUPLICATE_COPY, CAUSE_OPERATOR_COPY, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_DUPLICATE_NAME, CAUSE_OPERATOR_COPY, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_EMPTY, CAUSE_CRASH_AT_CREATION, 2, NULL },
	{ PROB_CHROMEM_COLLECTION_MISNAMED, CAUSE_FOREIGN_WRITER, 2, NULL },
	{ PROB_CHROMEM_COLLECTION_MIXED_FORMS, CAUSE_WRONG_SETTING, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_NAME_DAMAGED, CAUSE_BIT_ROT, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_OTHER_NAME, CAUSE_OPERATOR_COPY, 2, NULL },
	{ PROB_CHROMEM_COLLECTION_SHARED, CAUSE_NAME_COLLISION, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_SYMLINK, CAUSE_MOVED_AWAY, 3, NULL },
	{ PROB_CHROMEM_COLLECTION_UNREADABLE, CAUSE_PERMISSIONS, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_CHECKSUM, CAUSE_BIT_ROT, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_DUPLICATE_COPY, CAUSE_OPERATOR_COPY, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_DUPLICATE_ID, CAUSE_OPERATOR_COPY, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_EMPTY, CAUSE_CRASH_WHILE_WRITING, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_FIELD_DAMAGED, CAUSE_BIT_ROT, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_FLOAT_INEXACT, CAUSE_BIT_ROT, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_FOREIGN_ENCODING, CAUSE_FOREIGN_WRITER, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_FORM_MISMATCH, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_GOB, CAUSE_BIT_ROT, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_GZIP_CORRUPT, CAUSE_BIT_ROT, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_GZIP_TRAILER, CAUSE_NONE, 2, cause_of_trailer },
	{ PROB_CHROMEM_DOCUMENT_GZIP_TRUNCATED, CAUSE_CRASH_WHILE_WRITING, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_HASH_COLLISION, CAUSE_NAME_COLLISION, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_ID_DAMAGED, CAUSE_BIT_ROT, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_IS_DIRECTORY, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_IS_METADATA, CAUSE_OPERATOR_COPY, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_LEFTOVER_BYTES, CAUSE_FOREIGN_WRITER, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_MISNAMED, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_NAME_TAKEN, CAUSE_NAME_COLLISION, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_NOT_A_FILE, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_NO_ID, CAUSE_FOREIGN_WRITER, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_SHADOWS_METADATA, CAUSE_NAME_COLLISION, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_SHAPE, CAUSE_BIT_ROT, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_SYMLINK, CAUSE_MOVED_AWAY, 1, NULL },
	{ PROB_CHROMEM_DOCUMENT_SYMLINK_DANGLING, CAUSE_MOVED_AWAY, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_TEXT_DAMAGED, CAUSE_BIT_ROT, 2, NULL },
	{ PROB_CHROMEM_DOCUMENT_TRUNCATED, CAUSE_CRASH_WHILE_WRITING, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_UNREADABLE, CAUSE_PERMISSIONS, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_ZERO_FILLED, CAUSE_POWER_LOSS, 3, NULL },
	{ PROB_CHROMEM_DOCUMENT_ZERO_TAIL, CAUSE_POWER_LOSS, 3, NULL },
	{ PROB_CHROMEM_EMBEDDING_DIMENSION, CAUSE_EMBEDDING_FUNCTION, 3, NULL },
	{ PROB_CHROMEM_EMBEDDING_INFINITE, CAUSE_EMBEDDING_FUNCTION, 3, NULL },
	{ PROB_CHROMEM_EMBEDDING_MISSING, CAUSE_EMBEDDING_FUNCTION, 3, NULL },
	{ PROB_CHROMEM_EMBEDDING_NAN, CAUSE_EMBEDDING_FUNCTION, 3, NULL },
	{ PROB_CHROMEM_EMBEDDING_NORM, CAUSE_NONE, 2, cause_of_norm },
	{ PROB_CHROMEM_EMBEDDING_PRECISION, CAUSE_FOREIGN_WRITER, 1, NULL },
	{ PROB_CHROMEM_EMBEDDING_ZERO, CAUSE_EMBEDDING_FUNCTION, 3, NULL },
	{ PROB_CHROMEM_LEFTOVER_TEMPORARY, CAUSE_INTERRUPTED_WRITER, 1, NULL },
	{ PROB_CHROMEM_METADATA_CHECKSUM, CAUSE_NONE, 1, cause_of_trailer },
	{ PROB_CHROMEM_METADATA_EMPTY, CAUSE_NONE, 3, cause_of_truncated_metadata },
	{ PROB_CHROMEM_METADATA_FIELD_DAMAGED, CAUSE_BIT_ROT, 3, NULL },
	{ PROB_CHROMEM_METADATA_FOREIGN_ENCODING, CAUSE_FOREIGN_WRITER, 1, NULL },
	{ PROB_CHROMEM_METADATA_FORM_MISMATCH, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_METADATA_IS_DOCUMENT, CAUSE_NONE, 3, cause_of_metadata_document },
	{ PROB_CHROMEM_METADATA_LEFTOVER_BYTES, CAUSE_FOREIGN_WRITER, 1, NULL },
	{ PROB_CHROMEM_METADATA_NO_NAME, CAUSE_NONE, 2, cause_of_nameless_metadata },
	{ PROB_CHROMEM_METADATA_NOT_A_FILE, CAUSE_OPERATOR_COPY, 1, NULL },
	{ PROB_CHROMEM_METADATA_SYMLINK_DANGLING, CAUSE_MOVED_AWAY, 3, NULL },
	{ PROB_CHROMEM_METADATA_TRUNCATED, CAUSE_NONE, 3, cause_of_truncated_metadata },
	{ PROB_CHROMEM_METADATA_UNDECODABLE, CAUSE_BIT_ROT, 2, NULL },
	{ PROB_CHROMEM_METADATA_UNREADABLE, CAUSE_PERMISSIONS, 3, NULL },
	{ PROB_CHROMEM_METADATA_ZERO_FILLED, CAUSE_POWER_LOSS, 3, NULL },
	{ PROB_CHROMEM_METADATA_ZERO_TAIL, CAUSE_POWER_LOSS, 3, NULL },
	{ PROB_CHROMEM_MODE_READ_ONLY, CAUSE_PERMISSIONS, 1, NULL },
	{ PROB_CHROMEM_MODE_WORLD_WRITABLE, CAUSE_PERMISSIONS, 1, NULL },
	{ PROB_CHROMEM_STORE_WRONG_FORM, CAUSE_WRONG_SETTING, 3, NULL },
	{ PROB_CHROMEM_STRAY_COLLECTION, CAUSE_NONE, 4, cause_of_stray_collection },
};

/* ---- gathering ---- */

struct hypothesis {
	uint64_t weight;
	uint64_t findings;
	char *collection;
	bool has_several; /* collections */
	struct buf evidence;
};

struct explain {
	const struct store *store;
	unsigned probes;
	struct hypothesis of[CAUSE_COUNT_];
};

struct explain *explain_new(const struct store *store)
{
	struct explain *x = vs_alloc(sizeof(*x));

	x->store = store;
	return x;
}

void explain_freep(struct explain **explain)
{
	struct explain *x = *explain;

	if (!x)
		return;
	for (size_t i = 0; i < CAUSE_COUNT_; i++) {
		free(x->of[i].collection);
		buf_fini(&x->of[i].evidence);
	}
	free(x);
	*explain = NULL;
}

static void note(struct explain *x, enum cause_id cause, unsigned weight, const struct finding *f,
		 const char *remark)
{
	struct hypothesis *h = &x->of[cause];

	if (h->findings == 0 && f->collection)
		h->collection = vs_strdup(f->collection);
	else if (!f->collection || !h->collection || strcmp(h->collection, f->collection) != 0)
		h->has_several = true;
	h->weight += weight;
	if (h->findings++ >= EVIDENCE_MAX)
		return;
	buf_append_str(&h->evidence, h->evidence.len > 0 ? "; " : "");
	buf_printf(&h->evidence, "%s at ", problem_row(f->code)->code);
	text_escape(&h->evidence, slice_str(f->path ? f->path : "."));
	if (remark)
		buf_printf(&h->evidence, " (%s)", remark);
}

static void append_time(struct buf *out, int64_t ns)
{
	char text[32];

	time_format(ns, false, text);
	buf_append_str(out, text);
}

/* A missing metadata file has three causes, and only times can tell them apart. */
static void note_missing_metadata(struct explain *x, const struct finding *f)
{
	struct timeline t = { .gap = GAP_UNKNOWN };
	cleanup_(buf_fini) struct buf remark = { 0 };
	struct vs_err err = { 0 };

	if (x->probes < PROBES_MAX && f->collection) {
		x->probes++;
		if (check_timeline(x->store, f->collection, &t, &err) < 0)
			t.gap = GAP_UNKNOWN;
	}
	if (t.gap == GAP_REMOVED) {
		buf_append_str(&remark, "something left the directory at ");
		append_time(&remark, t.gap_to_ns);
		buf_append_str(&remark, ", after the last document");
		note(x, CAUSE_METADATA_LOST, 4, f, buf_cstr(&remark));
		return;
	}
	if (t.gap == GAP_NEVER_THERE) {
		buf_append_str(&remark, "the directory is as old as its first document, ");
		append_time(&remark, t.directory_born_ns);
		note(x, CAUSE_REMOVED_UNDER_PROCESS, 4, f, buf_cstr(&remark));
		return;
	}
	note(x, CAUSE_REMOVED_UNDER_PROCESS, 3, f, "documents without metadata");
	note(x, CAUSE_METADATA_LOST, 2, f, "the times of the files do not tell");
}

void explain_add(struct explain *x, const struct finding *f)
{
	if (f->code == PROB_CHROMEM_METADATA_MISSING) {
		note_missing_metadata(x, f);
		return;
	}
	for (size_t i = 0; i < VS_COUNT(speaks_for); i++) {
		if (speaks_for[i].problem != f->code)
			continue;
		note(x, speaks_for[i].decide ? speaks_for[i].decide(f) : speaks_for[i].cause,
		     speaks_for[i].weight, f, NULL);
		return;
	}
}

/* ---- answering ---- */

void explain_causes(struct explain *x, void (*fn)(void *ctx, const struct cause *cause), void *ctx)
{
	bool is_told[CAUSE_COUNT_] = { false };

	for (;;) {
		enum cause_id best = CAUSE_NONE;
		struct hypothesis *h;
		struct cause cause;

		for (enum cause_id i = 0; i < CAUSE_COUNT_; i++) {
			if (!is_told[i] && x->of[i].findings > 0 &&
			    (best == CAUSE_NONE || x->of[i].weight > x->of[best].weight))
				best = i;
		}
		if (best == CAUSE_NONE)
			return;
		is_told[best] = true;
		h = &x->of[best];
		if (h->findings > EVIDENCE_MAX)
			buf_printf(&h->evidence, "; and %" PRIu64 " more",
				   h->findings - EVIDENCE_MAX);
		cause = (struct cause){ .code = cause_rows[best].code,
					.summary = cause_rows[best].summary,
					.collection = h->has_several ? NULL : h->collection,
					.evidence = buf_cstr(&h->evidence),
					.findings = h->findings };
		fn(ctx, &cause);
	}
}
