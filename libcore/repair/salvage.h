/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * salvage: a new database for a Chroma store, out of one that SQLite cannot read whole
 *
 *	pages -> rows -> a new database of the same generation -> what is missing, from other layers
 *	-> each record: whole, partly, lost
 *
 * Rows come from the file page by page (sqlitefile/sqlitefile.h). What pages have lost comes back from
 * where the same is kept again:
 *
 *	a record's id	the unique index, the write queue, the index's pickle
 *	metadata	the index of their keys with those of their values, the write queue
 *	a document	the full-text table, the write queue
 *	a name		the unique index over names
 *	segments	the store's directories, ids and numbers of the queue
 *
 * Something is only concluded to be missing where the table that it would be in is damaged: a sound
 * table without it means that there is none. Included by repair/repair.h.
 */

#include "store/store.h"
#include "util/util.h"

struct plan;
struct plan_source;

enum salvage_status { SALVAGE_WHOLE, SALVAGE_PARTLY, SALVAGE_LOST };
const char *salvage_status_name(enum salvage_status status); /* "whole", "partly", "lost" */

/* A record, or what is left of one. Owned by the salvage. */
struct salvage_record {
	char *collection;    /* name; NULL: not known */
	char *collection_id; /* more than one tenant may have a collection of that name */
	struct slice id;     /* ptr owned; NULL: only its row is known */
	int64_t row;         /* 0: not known */
	enum salvage_status status;
	char *missing; /* "document, page"; NULL: nothing */
};

/* A table as it was read. */
struct salvage_table {
	const char *name;
	uint64_t tree, strays; /* rows by where they were found */
	uint64_t kept;         /* rows in the new one, with those from elsewhere */
	bool is_whole;
	int64_t sqlite; /* rows that SQLite itself reads; -1: it cannot */
};

struct salvage_damage {
	const char *table; /* or index; "" where that is not known */
	uint32_t page;
	uint64_t off;
	const char *what;
};

#define SALVAGE_DAMAGES_MAX 200u

struct salvage {
	bool is_sound; /* the old database can be read whole: nothing needs to be salvaged */
	uint32_t pages, page_size;
	struct salvage_damage *damages; /* the first of them */
	size_t damage_count, damage_cap;
	uint64_t damage_total;
	struct salvage_table *tables;
	size_t table_count;
	struct salvage_record *records; /* by collection and id */
	size_t record_count, record_cap;
	uint64_t count[SALVAGE_LOST + 1];
	uint64_t collections;
	bool has_all_ids; /* false: there may be lost records of which not even the id is left */
	char **notes;     /* what else a person should know; owned */
	size_t note_count, note_cap;
	bool needs_index; /* an index directory holds ids that no record has, or lacks some */
	const char *path; /* the new database; lives as long as this */
	struct salvage_work *work;
};

/*
 * Read the database of @store and make the new one in @scratch, a directory outside of the store with
 * room for three of it. The store is only read. VS_EFORMAT: nothing in the file looks like a database;
 * VS_ENOTSUP: a generation that this program does not know, or one before 0.4.6. *@out is owned.
 */
must_check_ int salvage_make(struct salvage **out, const struct store *store, const char *scratch,
			     struct vs_err *err);
void salvage_freep(struct salvage **s);

/* What plan_salvage() needs until the plan was applied. Zeroed, then salvage_plan_fini(). */
struct salvage_steps {
	const struct salvage *salvage;
	int store_dirfd; /* borrowed */
	struct plan_source *source;
};
void salvage_steps_fini(struct salvage_steps *steps);

/*
 * The plan that puts the new database in place. The old one, with a journal or log beside it, is kept
 * in the store's .quarantine under a name that nothing there has yet.
 */
must_check_ int plan_salvage(struct plan *plan, const struct store *store,
			     const struct salvage *salvage, int64_t time_ns,
			     struct salvage_steps *steps, struct vs_err *err);
