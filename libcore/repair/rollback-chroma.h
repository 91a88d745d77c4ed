/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Two states of a Chroma store's database, then and now, and how the records of a collection
 * differ. Private to the planner of rollbacks.
 */

#include "chroma/chroma.h"
#include "repair/repair.h"

struct chroma_side {
	struct chroma_db *db;
	struct chroma_catalog catalog;
	bool is_there; /* false: damaged or lost, and @why says how */
	char why[1024];
};
void chroma_side_fini(struct chroma_side *side);

/* Open the database in @dirfd. That it cannot be read is no failure. */
must_check_ int chroma_side_open(struct chroma_side *side, int dirfd, struct vs_err *err);

/* The collection @id, or NULL. */
const struct chroma_collection *chroma_side_find(const struct chroma_side *side, const char *id);

struct row_changes {
	uint64_t added, removed, changed, kept; /* as in struct rollback_change */
	/* Numbers of the queue of all records that both have differ by this much. */
	int64_t shift;
	bool is_shifted_evenly;
	bool has_other_settings; /* name, configuration, metadata, segments */
};

/* What has happened to the collection @id, which one of the sides may lack. Records of then that
 * @req does not want count as if they were not there. */
must_check_ int chroma_rows_compare(const struct rollback_request *req,
				    const struct chroma_side *then, const struct chroma_side *now,
				    const char *id, struct row_changes *out, struct vs_err *err);

/* The ids of records of then that @req does not want, by batch or time. Owned, each of them. */
struct record_ids {
	struct slice *ids;
	size_t count, cap;
};
void record_ids_fini(struct record_ids *l);
must_check_ int chroma_rows_unwanted(const struct rollback_request *req,
				     const struct chroma_side *then, const char *id,
				     struct record_ids *out, struct vs_err *err);

/* ---- rollback-chroma-files.c ---- */

bool chroma_is_chosen(const struct rollback_request *req, const char *id);

/* The directory of an index that the file @path is right in, one way or the other. */
bool chroma_index_of(const char *path, struct slice *out);

/* The collection whose index is in @directory, now or then; NULL: of none. */
const char *chroma_owner_of(const struct chroma_side *then, const struct chroma_side *now,
			    struct slice directory);

/* Does the rollback concern the directory? All of the store: each that may be an index. */
bool chroma_concerns(const struct rollback_request *req, const struct chroma_side *then,
		     const struct chroma_side *now, struct slice directory);

/* Is there anything beside the database that SQLite made? */
bool chroma_has_beside(int dirfd);

/* ---- rollback-chroma.c, for rollback.c ---- */

must_check_ int plan_rollback_chroma(struct plan *plan, const struct rollback_request *req,
				     struct rollback_change **changes, size_t *count,
				     struct vs_err *err);
must_check_ int rollback_prove_chroma(const struct rollback_request *req, struct vs_err *err);
