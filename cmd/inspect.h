/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * inspect: what a store holds, shown from whatever of it can be read
 *
 * Nothing here judges; a file that cannot be decoded is a row that says so, and the rest goes on.
 */

#include "cmd.h"

#include "chromem/chromem.h"
#include "store/store.h"

struct inspect_opts {
	bool vector;
	bool timeline;
	const char *key_file;
};

/* One thing that is to be shown. Each function returns an exit status. */
struct inspect {
	struct app *app;
	const struct inspect_opts *opts;
	const struct store *store;
	struct chromem_form form; /* of a directory */
	const char *collection;   /* as it was given, or NULL */
	const char *document;     /* as it was given, or NULL */
	const unsigned char *key; /* of an export, or NULL */
};

must_check_ int inspect_collections(struct inspect *in);
must_check_ int inspect_documents(struct inspect *in, const char *dir);
must_check_ int inspect_document(struct inspect *in, const char *dir);
must_check_ int inspect_timeline(struct inspect *in,
				 const char *dir); /* NULL: of every collection */
must_check_ int inspect_export(struct inspect *in);
must_check_ int inspect_chroma(struct inspect *in);

/* The head of the document, up to "store". */
void inspect_begin(struct inspect *in);

/* ---- records that directories and exports have in common ---- */

struct collection_row {
	const char *dir;                 /* NULL in an export */
	const struct chromem_meta *meta; /* or NULL */
	const char *meta_state;          /* "ok", "missing", or what is wrong with it */
	uint64_t documents;
	int64_t modified_ns; /* 0: unknown */
};

extern const struct emit_field collection_fields[];
void collection_row_emit(struct emit *e, const struct collection_row *row);

struct document_row {
	struct slice id;  /* ptr NULL when it could not be decoded */
	const char *file; /* NULL in an export */
	uint64_t size;    /* of the file; 0 in an export */
	uint64_t dimension;
	uint64_t content_len;
	double norm;
	const char *fault; /* why it could not be decoded; NULL when it was */
	uint64_t fault_off;
};

extern const struct emit_field document_fields[];
void document_row_emit(struct emit *e, const struct document_row *row);
void document_row_of(struct document_row *row, const struct chromem_doc *doc);

/* One document whole: identity, metadata, content, and the vector when asked for. */
void document_emit(struct inspect *in, const char *dir, const char *file, uint64_t size,
		   const struct chromem_doc *doc);

/* A metadata map: in JSON an array of {key, value}, since keys may be any bytes. */
void pairs_emit(struct emit *e, const char *key, const struct chromem_pair *pairs, size_t count);

/* Whole texts: in text indented, with its lines kept and everything else escaped. */
void block_emit(struct emit *e, const char *key, const char *heading, struct slice text);
