/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One check of a chromem store under way
 *
 * The store is visited once. Documents are looked at on all workers; whatever is seen there goes
 * into the worker's chunk and into the note of the document, four bytes for each entry of the
 * directory. What can only be judged when the whole collection is known (is this the odd one out?)
 * is judged at its end, on the calling thread, from the notes; the few documents that stand out
 * are then read a second time for the details. So memory is bounded by the listing and the findings
 * kept, and a healthy document costs no allocation.
 *
 * The families (chromem-*.c) hang their hooks into registry.c, which also gives their order.
 */

#include "check/check.h"
#include "check/gaps.h"
#include "check/report.h"
#include "chromem/chromem.h"
#include "file/file.h"
#include "store/store.h"
#include "util/util.h"

/* A relative path of two parts, and some more for the longest words in front of one. */
#define PATH_CAP 1024
#define LOADER_TEXT_CAP 480
#define FAMILIES_MAX 16

/* ---- what the library would say ---- */

/* The first thing that makes the library give up, in the order in which it reads. */
struct refusal {
	bool is_set;
	size_t index;               /* of the entry in its directory; SIZE_MAX: behind them all */
	char text[LOADER_TEXT_CAP]; /* empty when it says nothing, because it hangs */
};

/* Keep the earlier of what is there and this. */
void refusal_note(struct refusal *r, size_t index, const char *text);

/* ---- a document's note ---- */

#define NOTE_DIMENSION UINT32_C(0x03ffffff) /* 0: no vector */
#define NOTE_TEXT (UINT32_C(1) << 26)       /* not valid UTF-8 */
#define NOTE_INEXACT (UINT32_C(1) << 27)    /* more precision than the library writes */
#define NOTE_UNNORMALISED (UINT32_C(1) << 28)
#define NOTE_FOREIGN (UINT32_C(1) << 29)   /* not encoded as the library does */
#define NOTE_EXPLAINED (UINT32_C(1) << 30) /* reported damage explains all else about it */
#define NOTE_DECODED (UINT32_C(1) << 31)

/* ---- what is counted ---- */

enum tally {
	TALLY_DECODED,
	TALLY_BYTES,
	TALLY_VECTORS, /* documents with a finite vector that is not zero */
	TALLY_UNNORMALISED,
	TALLY_WITHOUT_VECTOR,
	TALLY_INEXACT,
	TALLY_FOREIGN,
	TALLY_TEXT_VALID,
	TALLY_TEXT_INVALID,
	TALLY_UNREAD, /* documents of which nothing is known */
	TALLY_MODES,  /* documents whose mode is wrong, among those that were asked */
	TALLY_COUNT_
};

/* A document whose file name is not the hash of its id. */
struct misnamed {
	uint32_t hash; /* of the id */
	uint32_t index;
};

/*
 * The different answers that the documents of a collection give to the question whose they are, as
 * digests of a few metadata values, each with one document as an example. Only so many are kept.
 */
#define SCOPES_MAX 16
struct scope {
	uint64_t digest;
	uint64_t count;
	uint32_t index;
};
struct scopes {
	struct scope row[SCOPES_MAX];
	size_t count;
};

/* What an export is compared with: a digest of where and which, and one of the content. */
struct fingerprint {
	uint64_t key;
	uint64_t content;
};
struct fingerprints {
	struct fingerprint *row;
	size_t count, cap;
};

/* What one worker saw of neighbouring documents. */
struct chunk {
	struct chunk *next;
	struct report report;
	struct refusal refusal;
	uint64_t tally[TALLY_COUNT_];
	struct misnamed *misnamed;
	size_t misnamed_count, misnamed_cap;
	struct scopes scopes;
	struct fingerprints fingerprints;
	/* Of the document that was looked at last; see chromem-again.c. */
	struct {
		uint64_t tally[TALLY_COUNT_]; /* before */
		uint64_t findings;            /* likewise */
		size_t misnamed;              /* likewise */
		uint64_t scope;               /* what it says; 0: nothing */
	} last;
};

/* What a directory of the store is. */
enum part_kind {
	PART_COLLECTION,
	PART_STRAY_COLLECTION, /* no collection, and the library takes it for one */
	PART_QUARANTINE,
	PART_IGNORED,
};

/* How a collection's name and directory go together. */
enum name_state {
	NAME_NONE,  /* no usable name */
	NAME_RIGHT, /* hashes to the directory */
	NAME_DAMAGED,
	NAME_ELSEWHERE, /* hashes to another directory */
	NAME_OTHER,     /* likewise, and the documents tell that it is not theirs */
};

/* What is left of a collection after it has been visited; one for each directory that counts. */
struct record {
	char *dir;
	struct buf name;
	bool has_hash;
	enum name_state name_state;
	struct buf right_name; /* for NAME_OTHER: what the documents say, if they do */
	const char *kind;      /* likewise: what they are; NULL when not known */
	bool is_skipped;       /* by the library: neither name nor documents */
	bool is_listed;        /* goes into the summary's list of collections */
	uint64_t documents;
	uint64_t dimension;
	uint64_t bytes;
	uint64_t errors;
	uint64_t own_forms, other_forms; /* files of this and of the other compression setting */
};

/* The collection being visited. */
struct part {
	const struct chromem_collection *c;
	struct record *record;
	enum part_kind kind;
	size_t metadata_index; /* of its entry; SIZE_MAX: none */
	uint32_t *notes;
	struct chunk sum; /* its chunks, merged */
};

struct chromem_run {
	const struct store *store;
	const struct check_request *req;
	char *only; /* the one directory to look at; NULL for all */
	const struct chromem_check *families[FAMILIES_MAX]; /* up to a NULL */
	struct report report;
	struct gaps gaps;
	struct refusal refusal; /* of the first collection that has one; index unused */
	enum chromem_compression compression;
	struct pool *pool;
	struct chromem_reader *reader; /* of the calling thread, for second looks */
	struct digest_ctx *digest;     /* likewise */
	struct digest_ctx **digests;   /* one for each worker; NULL when nothing is compared */
	struct record **records;
	size_t record_count, record_cap;
	struct part part;
	struct chunk *chunks; /* handed out and not back yet */
	struct fingerprints fingerprints;
};

/* A document as a hook sees it, on a worker. Exactly one of @doc and @fault is not NULL. */
struct sight {
	const struct chromem_run *run;
	const struct chromem_collection *c;
	struct chunk *chunk;
	uint32_t *note;
	unsigned worker;
	size_t index;
	const struct chromem_entry *entry;
	const struct chromem_doc *doc;
	const struct chromem_fault *fault;
	uint64_t size;
};

/* Hooks of a family; any may be NULL. All but @document run on the calling thread. */
struct chromem_check {
	/* A top-level entry that is no readable directory. */
	int (*entry)(struct chromem_run *run, const char *name, enum file_type type,
		     const struct chromem_fault *fault, struct vs_err *err);
	int (*begin)(struct chromem_run *run, struct part *part, struct vs_err *err);
	void (*document)(const struct sight *s);
	int (*end)(struct chromem_run *run, struct part *part, struct vs_err *err);
	int (*finish)(struct chromem_run *run, struct vs_err *err);
};

/* ---- reporting ---- */

/*
 * These complete a finding with where it is (collection, path, and for a decoded document the id)
 * and add it. @name is a file in the collection; NULL for the directory itself.
 */
void run_report(struct chromem_run *run, const char *path, struct finding *f);
void part_report(struct chromem_run *run, struct part *part, const char *name, struct finding *f);
void sight_report(const struct sight *s, struct finding *f);

/* Count a finding without its details. */
void part_count(struct chromem_run *run, struct part *part, enum problem code);

/* A record for a directory that counts as a collection; owned by the run. */
struct record *run_record_new(struct chromem_run *run, const char *dir);

/* The same about a collection visited before. */
void record_report(struct chromem_run *run, struct record *record, struct finding *f);
void record_report_metadata(struct chromem_run *run, struct record *record, struct finding *f);

/* Something was not looked at. @is_limit: nor would it be in any other store at this level. */
void run_gap(struct chromem_run *run, const char *path, const char *what, const char *why,
	     bool is_limit);

/* ---- looking again ---- */

/*
 * Read the document at @index of the collection's list once more. Returns 1 with @out, which is
 * valid until the next look; 0 when it has gone or no longer decodes.
 */
must_check_ int part_look(struct chromem_run *run, struct part *part, size_t index,
			  struct chromem_doc *out, struct vs_err *err);

/* The name of that entry; @scratch takes 32 bytes. */
const char *part_entry_name(const struct part *part, size_t index, char scratch[32]);

/* The entry of the ordinary document file for @key, if there is one. */
bool part_find_key(const struct chromem_run *run, const struct part *part, uint32_t key,
		   size_t *index);

/* Next entry from *@index on whose note has all of @flags; false behind the last. */
bool part_next_noted(const struct part *part, uint32_t flags, size_t *index);

/* Is the level asked for at least this one? */
static inline bool run_is_full(const struct chromem_run *run)
{
	return run->req->level >= CHECK_FULL;
}

/* ---- documents that were seen before (chromem-again.c) ---- */

/* A document is going to be looked at. */
void again_begin(struct chunk *chunk);

/* remark() and again() of a visitor. */
bool again_remark(void *ctx, void *chunk, size_t index, const struct chromem_entry *entry,
		  struct file_remark *out);
bool again_take(void *ctx, void *chunk, size_t index, const struct chromem_entry *entry,
		const struct file_remark *remark, uint64_t file_size);

/* ---- between families ---- */

/* Report a file that does not decode. */
void faults_document(const struct sight *s);
void faults_metadata(struct chromem_run *run, struct part *part);

/* What Go says of an errno (0: EACCES), for the library's words. */
void loader_errno_text(int sysno, char *out, size_t size);

/* Note that the library refuses a directory of documents without a name; the text is for @f. */
void refuse_nameless(struct part *part, char text[LOADER_TEXT_CAP], struct finding *f);

/* Is @name one of the known ones but for a single byte? Then that one, else NULL. */
const char *encoding_damaged_field(struct slice name, const char *const *known, size_t count);

/* Append how an encoding differs from the library's own; nothing when it does not. */
void encoding_describe(uint32_t oddities, struct slice unknown_field, struct buf *out);

/* Count one of @scope, if there is room. */
void scopes_add(struct scopes *to, const struct scope *scope);
void scopes_merge(struct scopes *to, const struct scopes *from);
void fingerprints_merge(struct fingerprints *to, struct fingerprints *from);

/* ---- families ---- */

extern const struct chromem_check chromem_structure, chromem_stat, chromem_metadata,
	chromem_documents, chromem_text, chromem_vectors, chromem_ids, chromem_scopes,
	chromem_names, chromem_against;

/* Are @odd of @all vectors exceptions, rather than a habit of whatever made them? */
bool are_exceptions(uint64_t odd, uint64_t all);

must_check_ int chromem_run_export(const struct store *store, const struct check_request *req,
				   const struct check_sink *sink, struct check_summary *out,
				   struct vs_err *err);
must_check_ int chromem_run_store(const struct store *store, const struct check_request *req,
				  const struct check_sink *sink, struct check_summary *out,
				  struct vs_err *err);
