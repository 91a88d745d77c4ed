/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of salvage share. */

#include "chroma/chroma.h"
#include "repair/repair.h"
#include "sqlitefile/sqlitefile.h"

/* The tables and indexes that matter. (salvage-kinds.c) */
enum salvage_kind {
	/* Tables, in the order in which a stray page is held against them. */
	KIND_MIGRATIONS,
	KIND_SEGMENTS,
	KIND_COLLECTIONS,
	KIND_QUEUE,
	KIND_EMBEDDINGS,
	KIND_METADATA,
	KIND_ARRAY,
	KIND_COLLECTION_METADATA,
	KIND_SEGMENT_METADATA,
	KIND_MAX_SEQ_ID,
	KIND_DATABASES,
	KIND_QUEUE_CONFIG,
	KIND_FTS_CONTENT,
	KIND_MAINTENANCE,
	KIND_TENANTS,
	KIND_ACQUIRE_WRITE,
	KIND_TABLES,
	/* Indexes. */
	KIND_IX_EMBEDDINGS = KIND_TABLES,
	KIND_IX_KEY,
	KIND_IX_STRING,
	KIND_IX_INT,
	KIND_IX_FLOAT,
	KIND_IX_ARRAY_KEY,
	KIND_IX_ARRAY_STRING,
	KIND_IX_ARRAY_INT,
	KIND_IX_ARRAY_FLOAT,
	KIND_IX_COLLECTION_ID,
	KIND_IX_COLLECTION_NAME,
	KIND_IX_DATABASE_ID,
	KIND_IX_DATABASE_NAME,
	KIND_COUNT,
};

struct kind_row {
	const char *name;     /* of the table or index in the database */
	const char *stage;    /* of the table that takes its rows as they were found */
	const char *shape[2]; /* see kind_fits(); the second may be NULL */
};
extern const struct kind_row salvage_kinds[KIND_COUNT];

/* Can the row be one of this kind: the number and types of its columns, UTF-8, and what is fixed? */
bool kind_fits(enum salvage_kind kind, const struct sqlitefile_row *row);

#define STAGE_COLUMNS 8

/* An entry of the schema. */
struct schema_entry {
	char *type, *name, *sql;
	uint32_t root;
};

struct salvage_work {
	const struct store *store;
	struct salvage *out;
	int fd; /* of the old database, or of its copy */
	uint64_t size;
	struct chroma_copy old;  /* with its journal or log taken in */
	struct chroma_copy made; /* the new one */
	struct chroma_copy side; /* rows as they were found */
	struct sqlitefile *file;
	struct chroma_edit *edit;
	struct schema_entry *schema;
	size_t schema_count, schema_cap;
	bool is_schema_whole;
	bool is_there[KIND_COUNT]; /* the schema, or a stray page, has it */
	bool is_whole[KIND_COUNT];
	bool has_whole_tables; /* all of them */
	uint64_t tree[KIND_COUNT], strays[KIND_COUNT];
	int sysdb, metadb, queue; /* the generation */
	const char *digest;       /* of migrations: "md5", "sha256" */
	const char *problem_of;   /* the table whose pages are being read */
};

/* Read all pages into the stage. (salvage-read.c) */
must_check_ int salvage_read(struct salvage_work *w, struct vs_err *err);
void salvage_note(struct salvage *s, const char *fmt, ...) printf_(2, 3);

/* Which generation, and its empty tables. (salvage-schema.c) */
must_check_ int salvage_schema(struct salvage_work *w, struct vs_err *err);

/* From the stage into the tables, and what is missing from elsewhere. (salvage-tables.c) */
must_check_ int salvage_tables(struct salvage_work *w, struct vs_err *err);

/* Segments whose row is lost, and ids that only an index directory has. (salvage-segments.c) */
must_check_ int salvage_read_pickles(struct salvage_work *w, struct vs_err *err);
must_check_ int salvage_segments(struct salvage_work *w, struct vs_err *err);

/* What became of each record. (salvage-report.c) */
must_check_ int salvage_report(struct salvage_work *w, struct vs_err *err);

/* One statement with texts for its `?`. */
must_check_ int salvage_run(struct salvage_work *w, const char *sql, const char *a, const char *b,
			    const char *c, struct vs_err *err);
must_check_ int salvage_ask(struct salvage_work *w, const char *sql, int64_t *out,
			    struct vs_err *err);
