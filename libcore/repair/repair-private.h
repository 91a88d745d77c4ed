/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share. */

#include "repair/repair.h"

#define QUARANTINE_DIR ".quarantine"

/* ---- what changes while one looks (watch.c) ---- */

/* One entry of the store's directory with the files directly in it. */
struct look_part {
	char *name;
	uint64_t sum; /* of digests over what each file is */
	uint64_t count;
};

struct look {
	struct look_part *parts; /* in byte order of the names */
	size_t count, cap;
	int64_t newest_ns; /* when a file was last written; 0: there is none */
	int64_t oldest_ns;
};

must_check_ int look_at_store(struct look *out, int store_dirfd, struct file_seen *seen,
			      struct vs_err *err);
void look_fini(struct look *look);

/* The first entry in which two looks differ, borrowed from one of them; NULL: they are alike. */
const char *look_difference(const struct look *before, const struct look *after);

/* Seconds since the newest file was written; -1 when that is not known or means nothing. */
int64_t look_age_s(const struct look *look, int64_t now_ns);

/* The first of the actions that are a change of one database with this one; else this one. (plan.c) */
const struct action *plan_first_on(const struct plan *plan, size_t index);

/* ---- the result of a plan (judge.c) ---- */

/* Errors by problem and path, before and after, so that a repair is measured by what it was to
 * repair. */
struct error_list {
	struct found {
		enum problem code;
		char *path;
	} * items;
	size_t count, cap;
};
void error_list_fini(struct error_list *l);

/* All errors of the whole store, at the full level or above. */
must_check_ int error_list_load(struct error_list *list, const struct store *store,
				const struct check_request *req, struct check_summary *sum,
				struct vs_err *err);

/* Is any of them about a Chroma store's database or what is beside it? */
bool has_database_error(const struct error_list *l);

/*
 * No error that was not there before, and none left of those that the plan set out to end; else
 * VS_EFORMAT. What somebody else has put into the directory @except ("": none) meanwhile is not the
 * plan's.
 */
must_check_ int judge_result(const struct plan *plan, const struct error_list *before,
			     const struct error_list *after, const char *except,
			     struct vs_err *err);

/* ---- a changed database (database.c) ---- */

/* Is no action behind this one a part of the change? Then this is where it happens. */
bool database_is_last(const struct plan *plan, size_t index);

/* Keep others from writing to the database, where the plan changes it, until *@fd is closed. */
must_check_ int database_guard(const struct plan *plan, int store_dirfd, int *fd,
			       struct vs_err *err);

/* Where @a puts a database: steps for what SQLite has beside the old one and the plan forgot. */
must_check_ int database_clear(struct journal *j, const struct plan *plan, const struct action *a,
			       int store_dirfd, struct vs_err *err);

/* The steps for all parts of the change; @scratch is a directory for the copy. @is_judged: the store
 * is checked when it is in place, and taken back where SQLite finds the database unsound; else that is
 * asked here. */
must_check_ int database_add(struct journal *j, const struct plan *plan, const struct action *a,
			     int store_dirfd, const char *scratch, bool is_judged,
			     struct vs_err *err);

/* A collection's metadata map, and where it was found (NULL: nowhere). Owned. (map.c) */
struct meta_map {
	struct chromem_pair *pairs;
	size_t count;
	const char *from;
};
void meta_map_fini(struct meta_map *map);

/* The map for @req; @file is what stands in the directory @dirfd where the metadata go. */
must_check_ int meta_map_find(struct meta_map *out, const struct store *store,
			      const struct recover_request *req, int dirfd, const char *file,
			      struct vs_err *err);

/*
 * What names_gather() reads outside the store: manifests of snapshots and the audit log in the
 * state directory (-1: there is none), contextd's write-ahead log beside the store (sources.c).
 */
struct lookup;
must_check_ int names_gather_written(struct lookup *l, const struct store *store, int state_dirfd,
				     const struct name_target *targets, size_t count,
				     struct vs_err *err);

/* ---- items of the quarantine (quarantine.c) ---- */

/* Can this directory of the store, or files in it, be set aside? The quarantine cannot be moved into
 * itself. */
bool quarantine_takes(const char *collection, bool is_files);

/* A name for an item of @collection that is free in the store and in the plan, as ".quarantine/...". */
must_check_ int quarantine_choose_item(const struct plan *plan, const struct store *store,
				       const char *collection, int64_t time_ns, char *out,
				       size_t size, struct vs_err *err);

/* The directory `.quarantine` itself, once a plan. */
must_check_ int quarantine_plan_home(struct plan *plan, const struct store *store,
				     struct vs_err *err);

/* ---- what goes with an item of the quarantine (release.c) ---- */

void plan_sidecar_removal(struct plan *plan, const struct quarantine_item *item);

/* With the last item gone the directory goes too, so that setting aside and releasing leave no
 * trace. */
must_check_ int plan_home_removal(struct plan *plan, const struct store *store,
				  const struct quarantine_item *item, struct vs_err *err);
