/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * contextd: what the service that writes these stores tells of them
 *
 * Its names for collections, composed from the metadata of documents, and its write-ahead log. All of
 * it is evidence of what was there, never data that is believed.
 */

#include "chromem/chromem.h"

/* ---- names that documents speak for (contextd.c) ---- */

/*
 * contextd, the service whose outage made this tool, composes collection names from the owner, the
 * project and the kind of record, and puts the same facts into the metadata of every document. So a
 * document without its collection still tells a few names that the collection may have had. Such a
 * name is a guess: it counts only where its hash is the directory's.
 */
enum contextd_rule {
	CONTEXTD_INTENDED,   /* a document that names its collection itself */
	CONTEXTD_PROJECT,    /* <project>_<kind> */
	CONTEXTD_REPOSITORY, /* <owner>_<project>_codebase */
	CONTEXTD_SCOPED,     /* remediations_{org,team,project}_... */
	CONTEXTD_CONVERSATIONS,
	CONTEXTD_FIXED,  /* one name whatever the document says */
	CONTEXTD_ROUTER, /* org_<kind>, <team>_<kind>, <team>_<project>_<kind> */
	CONTEXTD_OLDER,  /* what early versions wrote: parts as they come, nothing shortened */
};

/* Values of metadata longer than this compose nothing. */
#define CONTEXTD_VALUE_MAX 1024
#define CONTEXTD_NAME_MAX 64
#define CONTEXTD_NAME_CAP (3 * CONTEXTD_VALUE_MAX)

/*
 * Walks the names that one document's metadata compose. Borrows the metadata; allocates nothing.
 * A name may come more than once, by different rules.
 */
struct contextd_names {
	struct slice project[3]; /* project_id and the last parts of the paths; distinct */
	size_t project_count;
	struct slice path[2]; /* absolute paths */
	size_t path_count;
	struct slice tenant, team, intended; /* len 0: not given */
	size_t row, variant, kind;           /* the next combination */
	size_t len;
	char text[CONTEXTD_NAME_CAP];
};

struct contextd_name {
	struct slice name; /* in the iterator, until its next use */
	enum contextd_rule rule;
};

void contextd_names_init(struct contextd_names *it, const struct chromem_pair *metadata,
			 size_t count);
bool contextd_names_next(struct contextd_names *it, struct contextd_name *out);

const char *contextd_rule_name(enum contextd_rule rule); /* "project", "router", ... */

/* Append @text as it stands in composed names: "github.com/Acme" as "github_com_acme". */
void contextd_identify(struct slice text, struct buf *out);

/* The kinds of records that names end in: "memories", "checkpoints", ...; NULL behind the last. */
const char *contextd_record_kind(size_t index);

/* What a document is, as far as the keys of its metadata tell. */
enum contextd_kind {
	CONTEXTD_KIND_UNKNOWN,
	CONTEXTD_KIND_MEMORY, /* the keys of memories; several other kinds have the same */
	CONTEXTD_KIND_CHECKPOINT,
	CONTEXTD_KIND_REMEDIATION,
	CONTEXTD_KIND_CODEBASE,
};

enum contextd_kind contextd_kind_of(const struct chromem_pair *metadata, size_t count);
const char *contextd_kind_name(enum contextd_kind kind); /* "codebase"; NULL for UNKNOWN */

/* May a collection of this name hold such documents? Only a clear no is false. */
bool contextd_kind_fits(enum contextd_kind kind, struct slice name);

/* ---- contextd's write-ahead log (contextd-wal.c) ---- */

/* A document that an entry wrote; borrowed for the call. Values that are no text are left out. */
struct contextd_wal_doc {
	struct slice id;
	struct slice collection; /* its name; may be empty */
	const struct chromem_pair *metadata;
	size_t metadata_count;
};

/* Stops with what it returns when that is not 0. */
typedef int contextd_wal_fn(void *ctx, const struct contextd_wal_doc *doc, struct vs_err *err);

/*
 * The documents of one `*.wal` file, in order. Checks no MAC: what it says is evidence, not data.
 * Returns 0; 1 when @bytes are no whole entry, and then @fn was not called; or negative.
 */
must_check_ int contextd_wal_docs(struct slice bytes, contextd_wal_fn *fn, void *ctx,
				  struct vs_err *err);

/* ---- the entries themselves (contextd-entry.c) ---- */

#define CONTEXTD_KEY_LEN 32

/* Slices point into the bytes that were read. */
struct contextd_wal_entry {
	struct slice id;
	struct slice operation; /* "add", "delete" */
	uint64_t document_count;
	uint64_t id_count; /* that a deletion names */
	int64_t time_ns;   /* of its writing; 0: before 1970, or no time */
	bool is_synced;    /* the remote store has it; the checksum does not cover this */
	bool is_proven;    /* the checksum is the one that the key gives */
};

/*
 * One `*.wal` file as a whole. @key is NULL when it is lost, and then nothing is proven. Returns 0;
 * 1 when @bytes are no whole entry; or negative.
 */
must_check_ int contextd_wal_entry(struct slice bytes, const unsigned char *key,
				   struct contextd_wal_entry *out, struct vs_err *err);
