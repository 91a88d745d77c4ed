/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * chroma: the database of a Chroma store, read without the server and without changing anything; and
 * the statements that change a copy of it, which somebody else puts in its place
 *
 *	DIR/chroma.sqlite3		collections, records, full-text index, write-ahead queue
 *	DIR/chroma.sqlite3-journal	a transaction that runs, or that a crash left ("hot")
 *	DIR/chroma.sqlite3-wal, -shm	where somebody has switched the journal mode
 *	DIR/<vector segment id>/	the index of one collection, see hnsw/hnsw.h
 *
 * The file is opened as one that never changes, so that SQLite takes no lock and makes no file. A
 * journal or log beside it belongs to its content, and taking it in means writing: then a copy is
 * opened, in a scratch directory outside the store that is removed at the end. A store in the middle
 * of somebody's transaction is busy, not damaged.
 *
 * Which release wrote a store tells its table of migrations, never a version string: the server
 * reports "1.0.0" over HTTP whatever it is. Everything here was checked against stores of the
 * releases 0.4.14, 0.4.24, 0.5.23, 0.6.3 (Python) and 1.0, 1.5 (Rust).
 */

#include "file/file.h"
#include "hnsw/hnsw.h"
#include "util/util.h"

#define CHROMA_DATABASE "chroma.sqlite3"

/*
 * SQL: row @c of the full-text table's content is the document of a record that has lost its own.
 * Releases up to 0.4 leave such rows of deleted records, and their numbers are used again; so only
 * of records that a release since 1.0 wrote, where no row is anybody's leftover.
 */
#define CHROMA_TEXT_LOST                                                                           \
	"c.c0 IS NOT NULL AND EXISTS (SELECT 1 FROM embeddings e WHERE e.id = c.id AND "           \
	"typeof(e.seq_id) = 'integer') AND NOT EXISTS (SELECT 1 FROM embedding_metadata d "        \
	"WHERE d.id = c.id AND d.key = 'chroma:document' AND (d.string_value IS NOT NULL OR "      \
	"d.int_value IS NOT NULL OR d.float_value IS NOT NULL OR d.bool_value IS NOT NULL)) AND "  \
	"NOT EXISTS (SELECT 1 FROM embedding_fulltext_search_content o "                           \
	"WHERE o.id NOT IN (SELECT id FROM embeddings))"

/* ---- the database (db.c, copy.c) ---- */

struct chroma_db;

struct chroma_db_info {
	uint64_t bytes;
	uint64_t wal_bytes; /* of -wal */
	bool has_journal;   /* -journal is there and not empty */
	bool has_wal;
	/* Either belongs to another time: taken in it would damage the database, which is sound
	 * without it and was opened so. */
	bool is_foreign;
	bool is_truncated; /* its header speaks of more pages than there are */
	uint64_t page_size;
	uint64_t pages;      /* by the header; 0 where an old release did not fill it in */
	uint64_t free_pages; /* by the header */
};

/*
 * Open the database of the store at @dirfd for reading. @scratch is a directory outside the store
 * for a copy, where one is needed, and is borrowed until the end; NULL: /tmp. *@out is owned.
 *
 * VS_ENOENT: there is none. VS_EBUSY: a transaction is running; the text names the process where
 * the system tells. VS_EFORMAT: not an SQLite database. VS_EIO: no room for the copy, and more.
 * That pages are damaged shows only when they are read.
 */
must_check_ int chroma_db_open(struct chroma_db **out, int dirfd, const char *scratch,
			       struct vs_err *err);
void chroma_db_closep(struct chroma_db **db);
const struct chroma_db_info *chroma_db_info(const struct chroma_db *db);

/* Has the file been written since it was opened? Then what was read may be two states in one. */
must_check_ int chroma_db_has_changed(struct chroma_db *db, bool *out, struct vs_err *err);

/* A row of a result; borrowed for the call. Texts and blobs are bytes of it. */
struct chroma_row;

enum chroma_type { CHROMA_NULL, CHROMA_INTEGER, CHROMA_FLOAT, CHROMA_TEXT, CHROMA_BLOB };

enum chroma_type chroma_type(const struct chroma_row *row, int column);
int64_t chroma_int(const struct chroma_row *row, int column);
double chroma_double(const struct chroma_row *row, int column);
struct slice chroma_bytes(const struct chroma_row *row, int column);
int chroma_columns(const struct chroma_row *row); /* how many it has */

/*
 * A number of the queue. Releases before 1.0 wrote 8 bytes, big-endian, later ones an integer; a
 * table may have both. False: neither.
 */
bool chroma_seq(const struct chroma_row *row, int column, int64_t *out);

/*
 * Call @fn for each row of @sql, whose parameter, if it has one, is @param. Stops with what @fn
 * returns when that is not 0. VS_EFORMAT: the database is damaged where this reads; VS_ENOTSUP: it
 * has no such table or column.
 */
must_check_ int chroma_query(struct chroma_db *db, const char *sql, const char *param,
			     int (*fn)(void *ctx, const struct chroma_row *row, struct vs_err *err),
			     void *ctx, struct vs_err *err);

/* The first column of the first row as a number; 0 when there is no row. */
must_check_ int chroma_query_int(struct chroma_db *db, const char *sql, const char *param,
				 int64_t *out, struct vs_err *err);

/*
 * SQLite's own check: @fn for each complaint, which may be of several lines, up to about @max; NULL: 1
 * when there is any. From 3.44 on SQLite asks FTS5 too; its complaints are left out, since they are
 * no damage of the database: chroma_db_check_fts(). Returns as chroma_query().
 */
must_check_ int chroma_db_integrity(struct chroma_db *db, unsigned max,
				    int (*fn)(void *ctx, const struct chroma_row *row,
					      struct vs_err *err),
				    void *ctx, struct vs_err *err);

/*
 * Is it certain that the full-text index says what its content table says? False: it has to be asked
 * for with chroma_db_check_fts(). Uses a connection of its own, so that another thread may use @db
 * meanwhile.
 */
bool chroma_db_has_sound_fts(const struct chroma_db *db);

/* Likewise: is it certain that SQLite's own check finds nothing? */
bool chroma_db_has_sound_pages(const struct chroma_db *db);

/*
 * Does the inverted index say what its content table says? Where they are not plainly the same FTS5
 * is asked, which answers only on a database that may be written, so on a copy: in memory, or, of a
 * large database or where there is one already, in the scratch directory. Returns 1 when it does not,
 * or what is there cannot be read.
 */
must_check_ int chroma_db_check_fts(struct chroma_db *db, struct vs_err *err);

/* copy.c: a private copy of the database with what is beside it, in a directory of this prefix. */
#define CHROMA_COPY_PREFIX ".vsctl-chroma-"
struct chroma_copy {
	char *dir; /* owned; NULL: there is none */
	char *path;
};
must_check_ int chroma_copy_make(struct chroma_copy *copy, int dirfd, const char *scratch,
				 struct vs_err *err);
void chroma_copy_remove(struct chroma_copy *copy);

/* Only the directory: for a database that is going to be made at its path. */
must_check_ int chroma_copy_dir(struct chroma_copy *copy, const char *scratch, struct vs_err *err);

/* Copy the file @name from one directory to the other, where there must be none. */
must_check_ int chroma_copy_part(int from_dirfd, const char *name, int to_dirfd,
				 struct vs_err *err);

/* ---- its locks (lock.c) ---- */

/* VS_EBUSY, with the process where the system tells, when a transaction is running. */
must_check_ int chroma_look_for_writer(int dirfd, struct vs_err *err);

/*
 * Keep everybody from writing to the database until *@fd is closed, or its process ends. SQLite gives
 * others "database is locked"; reading goes on. VS_EBUSY: somebody is writing. The lock is on the file
 * as it is, not on its name.
 */
must_check_ int chroma_lock_take(int dirfd, int *fd, struct vs_err *err);

/* ---- beside a server that runs (take.c) ---- */

struct chroma_taken {
	struct file_info info; /* of the copy; time and inode are the store's unless is_merged */
	bool is_merged;        /* a journal or a log was taken in */
};

/*
 * Copy the database of the store at @dirfd into the directory @to_dirfd, which is our own, in place of
 * what is called so there: all of one moment, without -journal, -wal and -shm, whatever state it is
 * in. Waits @wait_ms for somebody's transaction to end (VS_EBUSY). VS_ENOENT: there is none.
 */
must_check_ int chroma_take(int dirfd, int to_dirfd, uint64_t wait_ms, struct chroma_taken *out,
			    struct vs_err *err);

/* ---- what it holds (catalog.c, config.c, migrations.c) ---- */

enum chroma_scope { CHROMA_SCOPE_METADATA, CHROMA_SCOPE_VECTOR, CHROMA_SCOPE_OTHER };

/* A row of `segments`. */
struct chroma_segment_ref {
	char *id;
	char *collection; /* id; may name none that there is */
	enum chroma_scope scope;
	bool is_type_known; /* one that a server of one machine has for this scope */
};

/* A row of `max_seq_id`: up to where a segment has taken the queue in. */
struct chroma_position {
	char *segment;
	int64_t seq_id;
	bool is_blob;
	bool is_readable; /* false: neither a number nor 8 bytes */
};

/* How a collection's index is to be built and asked. */
struct chroma_config {
	bool is_readable; /* false: a text that is to be JSON is not; see what */
	const char *what; /* static: the column */
	enum hnsw_space space;
	uint32_t m;
	uint32_t ef_construction;
	uint32_t ef_search;
	uint64_t sync_threshold;
};

struct chroma_collection {
	char *id;
	struct slice name; /* ptr owned */
	bool has_dimension;
	int64_t dimension;
	char *database; /* id */
	struct chroma_config config;
	/* Indexes of its first segments in the catalog; SIZE_MAX: none. */
	size_t vector, metadata;
	unsigned vectors, metadatas; /* how many it has; one each is right */
};

struct chroma_catalog {
	struct chroma_collection *collections; /* in byte order of the ids */
	size_t collection_count, collection_cap;
	struct chroma_segment_ref *segments; /* likewise */
	size_t segment_count, segment_cap;
	struct chroma_position *positions;
	size_t position_count, position_cap;
	/* Applied migrations, as far as they are known: the newest of each directory. */
	int sysdb, metadb, queue;
};

/* All of it; limits as the tables have them. Owned, freed with chroma_catalog_fini() whatever is
 * returned. */
must_check_ int chroma_catalog_load(struct chroma_catalog *out, struct chroma_db *db,
				    struct vs_err *err);
void chroma_catalog_fini(struct chroma_catalog *c);

/* By their ids; of positions by the segment's. Borrowed from the catalog; NULL: there is none. */
const struct chroma_collection *chroma_catalog_find(const struct chroma_catalog *c,
						    struct slice id);

const struct chroma_segment_ref *chroma_catalog_segment(const struct chroma_catalog *c,
							const char *id);
const struct chroma_position *chroma_catalog_position(const struct chroma_catalog *c,
						      const char *segment);

/*
 * The collection that a person means: @text is its id, or else its name, which is unique in a
 * database only. Returns 1 with @out, borrowed; 0 where there is none. VS_EUSAGE: several have that
 * name, two of which are named by their ids.
 */
must_check_ int chroma_catalog_find_named(const struct chroma_catalog *c, const char *text,
					  const struct chroma_collection **out, struct vs_err *err);

/* What the server builds an index with where nothing says otherwise. */
void chroma_config_default(struct chroma_config *out);
/*
 * Read the texts of the columns schema_str and config_json_str, either of which may be empty, over what
 * @out has by then: the defaults, or what the segment's metadata say. The server believes the schema
 * before the other column, and that before the metadata. A text that is no JSON, or not of that shape,
 * clears is_readable and changes nothing else.
 */
void chroma_config_read(struct chroma_config *out, struct slice schema, struct slice config);

/* ---- records (rows.c, vector.c) ---- */

/* A row of `embeddings` as lists need it; slices are borrowed for the call. */
struct chroma_record {
	int64_t row; /* its number, by which metadata and full-text index know it */
	struct slice id;
	bool has_seq; /* false: neither a number nor 8 bytes */
	int64_t seq_id;
	struct slice created; /* "2026-11-21 01:41:08", UTC; empty when not recorded */
	bool has_document;
	uint64_t document_len; /* in bytes */
	uint64_t keys;         /* of its metadata, the document aside */
};

typedef int chroma_record_fn(void *ctx, const struct chroma_record *record, struct vs_err *err);

/* Each record of the metadata segment @segment, in the order in which they were added. */
must_check_ int chroma_records_each(struct chroma_db *db, const char *segment, chroma_record_fn *fn,
				    void *ctx, struct vs_err *err);

/* Give @fn the record of that id; returns what it returns, or 0 without a call: there is none. */
must_check_ int chroma_record_find(struct chroma_db *db, const char *segment, const char *id,
				   chroma_record_fn *fn, void *ctx, struct vs_err *err);

/* A value of a record, or one element of a list of them. Slices are borrowed for the call. */
struct chroma_value {
	struct slice key; /* "chroma:document" among them */
	bool is_element;  /* of a list: the same key comes again for the next */
	bool is_bool;     /* @type is CHROMA_INTEGER then */
	enum chroma_type type;
	struct slice text; /* of a text */
	int64_t integer;
	double real;
};

/* Each value of the record with that row number: by key, then lists in their order. */
must_check_ int chroma_record_values(struct chroma_db *db, int64_t row,
				     int (*fn)(void *ctx, const struct chroma_value *value,
					       struct vs_err *err),
				     void *ctx, struct vs_err *err);

/* What a record is, in short (sums.c says of what); slices are borrowed for the call. */
struct chroma_sum {
	struct slice id;
	struct slice created; /* when it was added: "2026-11-21 01:41:08", UTC; may be empty */
	bool has_seq;
	int64_t seq_id;
	struct digest digest;
};

typedef int chroma_sum_fn(void *ctx, const struct chroma_sum *sum, struct vs_err *err);

/* Each record of the metadata segment @segment, in byte order of the ids. Stops when @fn returns
 * anything but 0. */
must_check_ int chroma_sums_each(struct chroma_db *db, const char *segment, chroma_sum_fn *fn,
				 void *ctx, struct vs_err *err);

/* The number of a collection's records, and a digest over all of them. */
must_check_ int chroma_collection_sum(struct chroma_db *db, const struct chroma_catalog *catalog,
				      const struct chroma_collection *c, uint64_t *records,
				      struct digest *out, struct vs_err *err);

/* Add a record to that digest; all of them, in byte order of the ids, make it. */
void chroma_sum_add(struct digest_ctx *ctx, const struct chroma_sum *sum);

/* A digest over what a collection is beside its records: its row and those of its segments, and the
 * metadata of both. */
must_check_ int chroma_settings_sum(struct chroma_db *db, const char *id, struct digest *out,
				    struct vs_err *err);

/* Tenant and name of the database with that id. *@tenant and *@name become owned; NULL where
 * nothing says so, as in stores that are older than databases. */
must_check_ int chroma_database_find(struct chroma_db *db, const char *id, char **tenant,
				     char **name, struct vs_err *err);

enum chroma_vector_source {
	CHROMA_VECTOR_NONE,  /* neither has it */
	CHROMA_VECTOR_QUEUE, /* as the client sent it */
	CHROMA_VECTOR_INDEX, /* from the index directory: cosine up to rounding */
};

struct chroma_vector {
	enum chroma_vector_source source;
	uint32_t dimension;
	float *values; /* owned */
};

void chroma_vector_fini(struct chroma_vector *v);

/*
 * Read a vector of the queue: 32-bit little-endian floats, which the column `encoding` calls
 * FLOAT32. Returns NULL, or what is wrong with it and leaves @out alone.
 */
must_check_ const char *chroma_vector_decode(struct slice bytes, struct slice encoding,
					     struct chroma_vector *out);

/*
 * The vector of the record @id: the one in the index directory, which is believed as far as its
 * header and its pickle hold together, and then what the queue makes of it. CHROMA_VECTOR_NONE is
 * success, and @why then says what stands in the way.
 */
must_check_ int chroma_vector_load(struct chroma_vector *out, struct chroma_db *db, int dirfd,
				   const struct chroma_catalog *catalog,
				   const struct chroma_collection *c, const char *id, char why[256],
				   struct vs_err *err);

/* What is wrong with the table of migrations. */
enum chroma_migration_fault {
	CHROMA_MIGRATION_GAP,     /* a number is missing */
	CHROMA_MIGRATION_CHANGED, /* text and digest do not fit each other, or not what was released */
	CHROMA_MIGRATION_NEWER, /* one that this program does not know */
};
must_check_ int chroma_migrations_check(struct chroma_db *db,
					void (*fn)(void *ctx, enum chroma_migration_fault fault,
						   const char *dir, int64_t version),
					void *ctx, struct vs_err *err);

/* A migration as it was released, all of them in the order in which they are applied (released.c). */
struct chroma_migration {
	const char *dir;
	int version;
	const char *filename;
	const char *sql;
};
const struct chroma_migration *chroma_migration_at(size_t index); /* NULL: no more */

#include "chroma/edit.h"

/* The newest of each directory that a database has, or is to have (migrate.c). */
struct chroma_versions {
	int sysdb, metadb, queue;
};

/* What this program knows. */
void chroma_versions_known(struct chroma_versions *out);

/* Make the empty tables of these versions in a new database, and the table that says so, with SHA-256
 * digests where the server was set up for them and MD5 else. */
must_check_ int chroma_edit_migrate(struct chroma_edit *e, const struct chroma_versions *to,
				    bool is_sha256, struct vs_err *err);

#include "chroma/carry.h"
