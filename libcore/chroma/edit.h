/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edit: a database changed where nobody sees it
 *
 * Nothing changes a store's database in place. A private copy is made, with a journal or log beside it
 * taken in, changed inside one transaction, checked as a whole, and is then one file, which the journal
 * of this program puts where the old one was (repair/database.c). So a kill leaves the old database or
 * the new one, and the old one is kept.
 *
 * Included by chroma/chroma.h, the front door of the room.
 *
 * SQLite writes to the copy itself, past the seam of file/ops.h: nothing there is part of a store.
 */

/* An open copy; owned. Freeing it removes the copy, whatever became of it. */
struct chroma_edit;

/*
 * Begin on a copy of the database of the store at @store_dirfd, made in the directory @scratch, which
 * has room for two more of it. The caller keeps writers out, see chroma_lock_take(). VS_EFORMAT: not a
 * database.
 */
must_check_ int chroma_edit_begin(struct chroma_edit **out, int store_dirfd, const char *scratch,
				  struct vs_err *err);

/* Begin on the file @path itself, which is the caller's own and no store's; made where it is not
 * there. */
must_check_ int chroma_edit_open(struct chroma_edit **out, const char *path, struct vs_err *err);
void chroma_edit_freep(struct chroma_edit **e);

/* To ask what the copy holds by now; valid until chroma_edit_finish(). */
struct chroma_db *chroma_edit_db(struct chroma_edit *e);

/*
 * Name another database file, for statements that read it as `@as`.table, a plain word. Only before the first
 * statement that changes something; the file is not written as long as no statement says so.
 */
must_check_ int chroma_edit_attach(struct chroma_edit *e, const char *path, const char *as,
				   struct vs_err *err);

/* Statements without results, one or more. ATTACH, and what would end the transaction, is refused. */
must_check_ int chroma_edit_exec(struct chroma_edit *e, const char *sql, struct vs_err *err);

/* A value for one `?` of a statement; bytes are borrowed for the call. */
struct chroma_arg {
	enum chroma_type type;
	int64_t integer;
	double real;
	struct slice bytes; /* TEXT and BLOB */
};

/* One statement with values, without results. *@changed, which may be NULL: rows that it changed. */
must_check_ int chroma_edit_run(struct chroma_edit *e, const char *sql,
				const struct chroma_arg *args, size_t count, int64_t *changed,
				struct vs_err *err);

/* Write what is there into as few pages as will do, and let SQLite count its rows anew. */
must_check_ int chroma_edit_vacuum(struct chroma_edit *e, struct vs_err *err);

/*
 * End the transaction and look whether SQLite finds the whole file sound; VS_EFORMAT says what it finds.
 * *@path is then one file with nothing beside it, borrowed until the edit is freed.
 */
must_check_ int chroma_edit_finish(struct chroma_edit *e, const char **path, struct vs_err *err);

/* The same without that look, for a caller who has the file looked at before anything relies on it. */
must_check_ int chroma_edit_end(struct chroma_edit *e, const char **path, struct vs_err *err);

/*
 * Have SQLite take the journal or log beside the file @path, a copy of the caller's own, into it, as far
 * as damage lets it. VS_EIO and VS_ENOMEM: it is not the damage that is in the way, and what the log has
 * is still beside the file.
 */
must_check_ int chroma_edit_settle(const char *path, struct vs_err *err);

/* Remove copies that a killed process has left in @scratch. The caller is the only one to use it. */
must_check_ int chroma_edit_sweep(const char *scratch, struct vs_err *err);
