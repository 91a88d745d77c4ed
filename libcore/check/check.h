/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * check: what is wrong with a store
 *
 * Looks and reports; never prints, never repairs, never writes. What may be wrong is one table
 * (problems.def); what is looked at is another (registry.c). A check reports findings: a problem
 * code and the facts of this case. All wording comes from the table, so that text output, JSON and
 * the manual cannot drift apart.
 *
 * The verdict and `loadable` follow from the findings alone: each problem states what the real
 * loader makes of it (enum problem_effect), and the worst effect found decides.
 */

#include "file/file.h"
#include "store/store.h"
#include "util/util.h"

enum severity {
	SEV_INFO,    /* worth knowing, no action */
	SEV_WARNING, /* works today and will hurt */
	SEV_ERROR,   /* the store does not load, or data are lost, altered or unreachable */
};

/* What an application that opens the store experiences. */
enum problem_effect {
	EFFECT_NONE,
	EFFECT_SILENT, /* it loads, and documents are missing, shadowed, altered or wrongly found */
	EFFECT_REFUSED, /* the whole store is refused */
	EFFECT_HANGS,   /* the program does not come back, or is killed */
};

/* Which kind of repair fits; what it does and loses stands in vsctl-problems(7). */
enum remedy {
	REMEDY_NONE,
	REMEDY_RECOVER_METADATA,    /* write the metadata file anew */
	REMEDY_QUARANTINE_DOCUMENT, /* salvage what decodes, then set the file aside */
	REMEDY_QUARANTINE_COLLECTION,
	REMEDY_RENAME_DOCUMENT,  /* to the hash of its id */
	REMEDY_REWRITE_DOCUMENT, /* decode and write again (checksums, compression) */
	REMEDY_REMOVE_LEFTOVER,  /* set aside what no loader reads */
	REMEDY_FIX_MODE,
	REMEDY_BY_HAND,       /* there is more than one answer: a person decides */
	REMEDY_REBUILD_INDEX, /* of a Chroma segment, from the best copy of each vector */
	REMEDY_CORRECT_DATABASE, /* rows of a Chroma database, from what the rest of the store proves */
	REMEDY_ORPHANS_ASIDE,    /* rows that belong to nothing, to quarantine */
	REMEDY_ROWS_ASIDE,       /* rows that cannot be used, to quarantine */
	REMEDY_REBUILD_FULLTEXT, /* from the documents */
};

enum problem {
#define PROBLEM(id, code, severity, effect, remedy, message, fix) PROB_##id,
#include "check/problems.def"
#undef PROBLEM
	PROB_COUNT_
};

struct problem_row {
	const char *code;
	enum severity severity;
	enum problem_effect effect;
	enum remedy remedy;
	const char *message; /* with {placeholders}, see problem_format_message() */
	const char *fix;     /* the next command, with {placeholders}; NULL where there is none */
};

const struct problem_row *problem_row(enum problem p);

/* What `vsctl repair` does about a remedy (remedies.def). */
struct remedy_row {
	const char *name;
	bool is_automatic;
	const char *loses; /* "nothing", "index", "documents" */
	const char *text;
};
const struct remedy_row *remedy_row(enum remedy r);

bool problem_find(const char *code, enum problem *out); /* by its code */
const char *severity_name(enum severity s);             /* "error", "warning", "info" */

/*
 * One finding. Pointers are borrowed by the sink for the call. The fields that are set depend on
 * the problem; the placeholders of its message say which are used.
 */
struct finding {
	enum problem code;
	const char *collection; /* directory name; NULL for the store itself */
	const char *path;       /* relative to the store */
	struct slice document;  /* id; ptr NULL when unknown */
	bool has_offset;
	uint64_t offset; /* in bytes of the unpacked file, see vsctl-problems(7) */
	bool has_count;
	uint64_t count;
	const char *expected;
	const char *actual;
	const char *detail; /* what the decoder says */
	const char *other;  /* the other path, where two are concerned */
	/* What the library says when this refuses the store; NULL otherwise. */
	const char *loader_text;
	/* Static; where the problem's own would not help this once. NULL: it does. */
	const char *fix;
};

/*
 * Append the message or the fix of a finding. Placeholders: {collection} {path} {document} {offset}
 * {count} {expected} {actual} {detail} {other} {s} (plural s for count). "STORE" in a fix stays as
 * it is. Untrusted values are escaped in a message, and quoted for the shell in a fix.
 */
void finding_format_message(const struct finding *f, struct buf *out);
bool finding_format_fix(const struct finding *f, struct buf *out); /* false: there is none */

enum check_level {
	CHECK_QUICK, /* structure, names, metadata, file types and sizes */
	CHECK_FULL,  /* every byte decoded and cross-checked */
	CHECK_DEEP,  /* also what costs more than one pass */
};

enum loadable {
	LOADABLE_YES,
	LOADABLE_SILENTLY_WRONG,
	LOADABLE_NO,
};

enum verdict {
	VERDICT_HEALTHY,
	VERDICT_DEGRADED,   /* warnings only */
	VERDICT_CORRUPT,    /* any error */
	VERDICT_UNVERIFIED, /* no error was seen, but not everything could be looked at */
};

enum collection_state {
	COLLECTION_HEALTHY,
	COLLECTION_CORRUPT, /* has an error */
	COLLECTION_EMPTY,   /* the loader skips it */
};

struct check_collection {
	const char *id;          /* directory */
	const char *name;        /* NULL when not known */
	struct slice name_bytes; /* the same with NULs and invalid UTF-8 */
	enum collection_state state;
	uint64_t documents;
	uint64_t dimension; /* of the majority; 0 when there are no vectors */
	uint64_t bytes;
};

/* Something that was not checked, and why. */
struct check_gap {
	const char *path;
	const char *what;
	const char *why;
	bool is_limit; /* of the level or the format, not of this store: changes no verdict */
};

struct check_summary {
	uint64_t collections, healthy, corrupt, empty;
	uint64_t documents;
	uint64_t bytes; /* on disk, of what was read */
	uint64_t errors, warnings, infos;
	uint64_t omitted; /* findings counted but not reported, over the limit */
	enum verdict verdict;
	enum loadable loadable;
	/* The library's own words when it refuses; "" otherwise. ${STORE} stands for the path. */
	char loader_text[512];
	const char *compression; /* "none", "gzip"; NULL when the store has no files */
};

struct check_request {
	enum check_level level;
	bool has_compression; /* the application's setting is known; else the majority of files */
	bool gzip;
	const char *only_collection; /* by directory or name; NULL for all */
	uint64_t max_findings;       /* reported; all are counted. 0: no limit */
	unsigned jobs;
	const unsigned char *key;     /* of an encrypted export file; NULL or 32 bytes */
	struct vs_progress *progress; /* kept up to date when not NULL */
	const char *scratch;          /* for a private copy of a Chroma database; NULL: /tmp */
	/* A directory whose Chroma database is taken for that of the store: a copy that was changed
	 * and is to be put in its place. NULL: the store's own. */
	const char *database;
	/*
	 * Of a chromem directory: the digest of each document is written down there, and documents
	 * that are known, and that nothing was wrong with, are not read again. NULL: nothing is known.
	 */
	struct file_known *known;
	const char *against; /* an export file to compare the store with; NULL for none */
};

/*
 * Where results go, on the calling thread: findings sorted by collection directory, then path, then
 * offset; collections in byte order of their directories. All calls come after the scan; arguments
 * are borrowed. A member that is NULL is not told.
 */
struct check_sink {
	void *ctx;
	void (*collection)(void *ctx, const struct check_collection *c);
	void (*finding)(void *ctx, const struct finding *f);
	void (*gap)(void *ctx, const struct check_gap *g);
};

/*
 * Check a store. Returns 0 when the check was made, whatever it found; negative when it could not
 * be made. @sink may be NULL where only the summary is wanted.
 */
must_check_ int check_store(const struct store *store, const struct check_request *req,
			    const struct check_sink *sink, struct check_summary *out,
			    struct vs_err *err);

const char *verdict_name(enum verdict v);
const char *loadable_name(enum loadable l);
const char *collection_state_name(enum collection_state s);

/* ---- when it happened (timeline.c) ---- */

#define TIMELINE_BUCKETS 24

/* How a collection came to have no metadata file, as far as the times of its files show. */
enum metadata_gap {
	GAP_NONE,        /* it has one */
	GAP_UNKNOWN,     /* the times are those of a copy, or not recorded */
	GAP_NEVER_THERE, /* made for a document, and no metadata were written since */
	GAP_REMOVED,     /* something left the directory after the last document was written */
};

/* Times in nanoseconds since 1970; 0 where the file system does not record one. */
struct timeline {
	int64_t directory_born_ns;
	int64_t directory_modified_ns; /* an entry came or went */
	bool has_metadata;
	bool is_copy; /* made in one go, as a copy is: the times tell nothing of what was before */
	int64_t metadata_born_ns, metadata_modified_ns;
	uint64_t documents;
	int64_t first_ns, last_ns;         /* of the documents' times of modification */
	uint64_t bucket[TIMELINE_BUCKETS]; /* documents by time, from first to last */
	enum metadata_gap gap;
	int64_t gap_from_ns, gap_to_ns; /* in which the metadata file was lost; 0: not known */
	uint64_t in_gap;                /* documents written since the gap began */
};

/* The timeline of the collection in directory @dir of a chromem store. */
must_check_ int check_timeline(const struct store *store, const char *dir, struct timeline *out,
			       struct vs_err *err);

const char *metadata_gap_name(enum metadata_gap gap); /* "none", "unknown", "never-there", ... */

/* ---- why it happened (explain.c) ---- */

/*
 * Which known way of breaking a store fits the findings: a crash while a collection was created, a
 * full disk, a power loss, one lost file, a directory removed under a live process, bit rot, an
 * operator's copy, the other compression setting, a foreign writer, the embedding function,
 * permissions, and so on. @evidence says what speaks for it.
 */
struct cause {
	const char *code;       /* "directory-removed-under-live-process" */
	const char *summary;    /* one sentence */
	const char *collection; /* NULL when it is about more than one, or the store */
	const char *evidence;
	uint64_t findings; /* that it explains */
};

/* Give it every finding of a run, and ask it once in the end. Owned. */
struct explain;
struct explain *explain_new(const struct store *store);
void explain_freep(struct explain **explain);
void explain_add(struct explain *explain, const struct finding *f);

/* Call @fn for each cause, best first; arguments are borrowed for the call. */
void explain_causes(struct explain *explain, void (*fn)(void *ctx, const struct cause *cause),
		    void *ctx);
