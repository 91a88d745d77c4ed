/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * older: archives of the older tool, as documents, both ways
 *
 *	<id>.tar.gz or .tar	<id>/collections.json, <id>/metadata.json, in any order
 *	collections.json	{name: {"batch_000000": [document, ...], ...}}, a hundred a batch
 *	a document		{"id", "text", "embedding": [...], "metadata": {...} or null}
 *	manifests/<id>.json	what the archive is, with its SHA-256; beside the archive's directory
 *
 * The older tool left embeddings empty, so restoring its archives loses every vector: they are
 * refused unless the caller says that they may be missing. Part of the room's front door.
 */

#include "chromem/chromem.h"
#include "util/util.h"

/* No collections.json larger than this, unpacked, is read. */
#define SNAP_OLDER_MAX (UINT64_C(1) << 40)

/*
 * The documents of an archive. The archive is read whole when it is opened, and everything in it
 * is checked then: the names of its members (none leaves its directory), the form of each document,
 * the number of them. It is read again at each visit, one document at a time, so it needs no more memory
 * than the largest of them. @dirfd is borrowed until the end. Owned.
 *
 * VS_EFORMAT names what is wrong, VS_ENOTSUP how many documents have no embedding unless
 * @allow_missing.
 */
struct snap_older;
must_check_ int snap_older_open(struct snap_older **out, int dirfd, const char *file,
				bool allow_missing, struct vs_err *err);
void snap_older_freep(struct snap_older **older);

/* The same from the text of a collections.json, which is borrowed until the end. */
must_check_ int snap_older_parse(struct snap_older **out, struct slice json, bool allow_missing,
				 struct vs_err *err);

uint64_t snap_older_collections(const struct snap_older *older);
uint64_t snap_older_documents(const struct snap_older *older);
uint64_t snap_older_missing(const struct snap_older *older); /* embeddings */

/*
 * The visit of a struct chromem_export_source; @older is the struct snap_older. Embeddings that are
 * not of length one are given that length, as the library does when a document is added; values of
 * metadata that are no text become text.
 */
int snap_older_visit(void *older, const struct chromem_export_visitor *to, struct vs_err *err);

struct snap_older_request {
	const char *id;   /* snap_id_is_valid() */
	const char *path; /* of the store, for the manifest */
	int64_t time_ns;
	bool allow_missing;
	const struct chromem_export_source *source; /* visited twice */
	const struct chromem_export_sink *sink;     /* what it got before a failure is void */
};

struct snap_older_result {
	uint64_t collections, documents;
	uint64_t raw_bytes; /* of both members */
	uint64_t size;      /* of the archive */
	struct digest digest;
};

/* Write the archive. VS_EFORMAT names a text that is no UTF-8: JSON has no other; VS_ENOTSUP a
 * document without an embedding unless @req->allow_missing. */
must_check_ int snap_older_write(const struct snap_older_request *req,
				 struct snap_older_result *out, struct vs_err *err);

/* The manifest of an archive that was written, after its archive has its name. */
void snap_older_format_manifest(const struct snap_older_request *req,
				const struct snap_older_result *result, struct buf *out);

/* ---- documents as a chromem directory (import.c) ---- */

/* So many documents are made durable together. */
#define SNAP_IMPORT_BATCH 100

struct snap_import_request {
	const struct chromem_export_source *source; /* an archive, or an export of the library */
	int dirfd; /* a directory that is empty, or that an earlier run of the same did not finish */
	enum chromem_compression compression;
	struct vs_progress *progress; /* NULL: nobody asks */
};

struct snap_import_result {
	uint64_t collections, documents;
	uint64_t written; /* files; those that an earlier run had written are not among them */
	uint64_t bytes;
};

/*
 * Write each collection and document as the library does, in batches. Whatever ends it, the same
 * request goes on where it was. VS_EFORMAT names two documents that cannot be in one directory.
 */
must_check_ int snap_import(const struct snap_import_request *req, struct snap_import_result *out,
			    struct vs_err *err);
