/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rollback: a store back to one of its snapshots
 *
 * `vsctl rollback` and `vsctl restore` without --to are the same change, asked for in two ways.
 */

#include "change.h"

#include "snap/snap.h"

struct rollback_opts {
	struct change_opts change;
	bool partial;
	const char *collections; /* "a,b": names or directories */
	const char *failed_collections;
	const char *batches; /* "a:batch_000000,batch_000001,b:batch_000003" */
	const char *at;
	bool rehash;
	const char *key_file;
	const char *pre_cmd;
	const char *post_cmd;
	bool latest_good;  /* instead of an id */
	bool is_automatic; /* no person asked for it */
	bool is_whole;     /* every file of the store's directory, not those of collections only */
};

/* @id NULL: the newest good one, when opts->latest_good. Returns the exit status. */
must_check_ int rollback_run(struct app *app, const struct rollback_opts *opts, const char *store,
			     const char *id);

/*
 * What `vsctl restore` does without --to: a rollback, or, where nothing is left of the store, all of
 * it anew in its place. @id as above.
 */
must_check_ int restore_in_place(struct app *app, const struct rollback_opts *opts,
				 const char *store, const char *id);

/* ---- rollback-choose.c: which snapshot ---- */

/*
 * Load snapshot @id, or when it is NULL the newest good one that verifies, and verify all of it.
 * Owned, with its members. VS_EFORMAT says what is damaged and how to look closer. The newest is one
 * of the store at @absolute; NULL: wherever that was.
 */
must_check_ int rollback_choose(struct app *app, const struct snap_access *access,
				const char *store_path, const char *absolute, const char *id,
				struct snap_manifest **out, struct vs_err *err);

/* That it is damaged, as @check found, and where others are to be had: VS_EFORMAT. */
must_check_ int rollback_damaged(const char *store_path, const char *id, enum snap_check check,
				 const char *why, struct vs_err *err);

/* ---- rollback-words.c: what the options name ---- */

struct rollback_words {
	char **collections; /* directories; owned */
	size_t count, cap;
	struct rollback_batch *batches; /* their directories are among the above */
	size_t batch_count, batch_cap;
};
void rollback_words_fini(struct rollback_words *w);

/* Look up the names of @opts in @m. VS_EUSAGE names what is not there, and the nearest. */
must_check_ int rollback_words_parse(struct rollback_words *w, const struct rollback_opts *opts,
				     const struct snap_manifest *m, struct vs_err *err);
