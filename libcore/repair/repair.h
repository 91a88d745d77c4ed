/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * repair: the one way to change a store
 *
 *	findings or a request -> plan -> shown by --dry-run -> confirmed -> journal -> applied
 *	-> verified -> audited
 *
 * A planner is pure: it reads the store and makes a plan, a list of reversible actions. The same
 * plan is printed, stored as a file, and applied. A new writing command adds a planner (recover.c,
 * quarantine.c, fixes.c), never a new way to write: session_apply() is the only one.
 */

#include "audit/audit.h"
#include "check/check.h"
#include "chromem/chromem.h"
#include "file/file.h"
#include "journal/journal.h"
#include "snap/snap.h"
#include "store/store.h"
#include "util/util.h"

/* ---- plans (plan.c) ---- */

/* What an action takes away, if anything. Whatever it is, the journal or the quarantine keeps a
 * copy. */
enum loss {
	LOSS_NOTHING,
	LOSS_INDEX,     /* can be computed again */
	LOSS_DOCUMENTS, /* documents leave the store, into quarantine */
};

const char *loss_name(enum loss loss); /* "nothing", "index", "documents" */

/* One reversible step of a plan, with what a person needs to judge it. */
struct action {
	enum step_kind kind;
	char *what;       /* for people and scripts: "write-metadata", "quarantine-document", ... */
	char *path;       /* relative to the store */
	char *to;         /* MOVE and EXCHANGE */
	char *detail;     /* one sentence; NULL for steps that only serve another */
	char *reason;     /* the problem code that asked for it; NULL when a person did */
	char *collection; /* directory; NULL when it concerns no collection */
	enum loss loss;
	uint32_t mode;      /* WRITE, MKDIR, MODE */
	struct buf content; /* WRITE */
	/* WRITE: content comes from the plan's source when its turn is there, with this time. */
	bool is_sourced;
	bool is_file; /* likewise, as a file that the source opens: content that is not for memory */
	int64_t modified_ns;
	/* WRITE: a part of the change of a Chroma store's database, see plan_add_sql(). */
	bool is_database;
	char *sql;
	/* What it was made from. Applying refuses when it has changed. */
	bool is_stamped;
	bool was_there;
	struct digest before;
};

/* A problem that a plan leaves alone, and why. */
struct plan_leftover {
	char *code;
	char *path;
	char *why;
	char *fix; /* the command that a person may decide for; NULL */
};

struct chroma_edit;

/*
 * What a plan needs that is too much to be part of it. All functions may be NULL. @ctx is borrowed
 * until the plan was applied.
 */
struct plan_source {
	void *ctx;
	/* Before the journal begins; a failure leaves the store as it is. @before is what the check
	 * of the whole store has found. */
	int (*prepare)(void *ctx, const struct check_summary *before, struct vs_err *err);
	int (*content)(void *ctx, const struct action *a, struct buf *out, struct vs_err *err);
	/* For actions with is_sourced or is_file: where the content is the file *@name of *@dirfd, which is
	 * in the state directory and which the journal may take. Both are borrowed. False: it is to be
	 * asked for as below. May be NULL. */
	bool (*staged)(void *ctx, const struct action *a, int *dirfd, const char **name);
	/* For actions with is_file: *@fd is read from its beginning, and closed. */
	int (*file)(void *ctx, const struct action *a, int *fd, struct vs_err *err);
	/* For actions of plan_add_sql() without statements. */
	int (*edit)(void *ctx, const struct action *a, struct chroma_edit *e, struct vs_err *err);
	/* After the steps, before the run is closed; a failure takes it back. */
	int (*verify)(void *ctx, struct vs_err *err);
};

struct plan {
	const struct plan_source *source; /* borrowed; NULL: all content is in the actions */
	char *command;
	struct action *actions;
	size_t count, cap;
	struct plan_leftover *leftovers;
	size_t leftover_count, leftover_cap;
};

void plan_fini(struct plan *plan);

/*
 * Add an action; texts are copied, NULL stays NULL. The returned one is valid until the next is
 * added; its content is the caller's to fill.
 */
struct action *plan_add(struct plan *plan, enum step_kind kind, const char *what, const char *path,
			const char *to);
void plan_leave(struct plan *plan, const char *code, const char *path, const char *why,
		const char *fix);

/*
 * Add a part of the change of a Chroma store's database: SQL statements, or NULL, then the plan's
 * source makes it. All such parts are done in their order, in one transaction on a private copy (see
 * chroma/edit.h), which takes the place of the database where the last of them stands; what SQLite has
 * beside the old one is taken in. Returned as by plan_add().
 */
struct action *plan_add_sql(struct plan *plan, const char *what, const char *sql);

/* Does the plan have an action of this kind on this path already? */
bool plan_has(const struct plan *plan, enum step_kind kind, const char *path);

/* Record what each action finds now, so that applying it later can tell whether that has changed.
 */
must_check_ int plan_stamp(struct plan *plan, int store_dirfd, struct vs_err *err);

/* A plan as a file, both ways. Loading checks every field; what is not a plan of this schema fails
 * with VS_EFORMAT. */
void plan_format(const struct plan *plan, const char *store_path, struct buf *out);
must_check_ int plan_parse(struct plan *out, struct slice json, struct vs_err *err);

/* ---- sessions (session.c) ---- */

struct apply_result;

struct session_opts {
	const char *command;
	const char *const *argv;
	const char *state_path; /* NULL: the store's path with ".vsctl" behind it */
	bool is_dry_run;        /* nothing is locked, recovered or created, save the audit record */
	bool only_reads;        /* the store is only read: who else uses it does not matter */
	bool force;             /* go on although something seems to use the store */
	uint64_t lock_wait_s;
	const struct vs_clock *clock;
	void (*note)(
		void *ctx,
		const char *text); /* told to the user: unfinished runs ended, what was looked at */
	void *note_ctx;
	/* What the command will end with when a change is applied, for its record. NULL: 0. */
	int (*exit_status)(void *ctx, const struct apply_result *result);
	/* A last word about the changed and verified store, NULL: none. Negative: taken back. */
	int (*prove)(void *ctx, struct vs_err *err);
	void *exit_ctx;
};

/*
 * A session: the state directory, the lock, and the promise that no unfinished run is about. Owned.
 *
 * Opening one makes the state directory, takes the lock (VS_EBUSY names the holder), ends what an
 * earlier process left unfinished, looks for users of the store (VS_EBUSY says which, unless
 * forced; files that were written in the last minute are told as a note), and remembers the names
 * of all collections. A state directory inside the store is
 * refused with VS_EUSAGE.
 */
struct session;
must_check_ int session_open(struct session **out, const struct store *store,
			     const struct session_opts *opts, struct vs_err *err);
void session_closep(struct session **s);
int session_state_dirfd(const struct session *s);
const char *session_state_path(const struct session *s);
const char *session_store_path(const struct session *s); /* absolute */

/*
 * What this run has read of the store (file/known.h), so that the checks before and after a change,
 * the digests of the store in the records and the proof of a rollback read each file once;
 * borrowed.
 */
struct file_known *session_known(const struct session *s);

/* The state directory's path for a store, as session_open() would choose it. Owned by the caller.
 */
must_check_ int state_path_for(const char *store_path, const char *state_path, char **out,
			       struct vs_err *err);

/*
 * Open the state directory; *@out is the caller's to close. VS_ENOENT when there is none, VS_EIO when
 * something else is there, VS_EACCES with whose it is. state_make() makes it where there is none.
 */
must_check_ int state_open(const char *path, int *out, struct vs_err *err);
must_check_ int state_make(const char *path, int *out, struct vs_err *err);

/* The absolute form of a path whose last part need not be there. Owned by the caller. */
must_check_ int path_absolute(const char *path, char **out, struct vs_err *err);

struct apply_result {
	char run[128];               /* of the journal; "" when there was nothing to do */
	struct check_summary before; /* of the whole store */
	struct check_summary after;
	bool is_taken_back; /* verification failed and everything is as it was */
	/* A collection that was moved out and is in the store again, as a live process that still
	 * has it in memory writes it; "" when there is none. What is in it was not judged. */
	char came_back[256];
};

/*
 * Apply a plan: compare with what it was made from (VS_EBUSY names what has changed; anything in
 * the store that changed since the session was opened counts, unless forced), journal, apply,
 * verify the store at the full level, audit: the records have the digests of the store's contents
 * before and after, see audit/tree.h for what they cost. When verification finds an error that was
 * not there before, or the reason of an action still there, the run is taken back and this fails
 * with VS_EFORMAT.
 */
must_check_ int session_apply(struct session *s, const struct plan *plan,
			      const struct check_request *check, bool accepts_errors,
			      struct apply_result *out, struct vs_err *err);

/* Take an applied run back (NULL: the newest), audited like everything else. */
must_check_ int session_undo(struct session *s, const char *run, struct vs_err *err);

/* One audit record for what changes nothing: a dry run, a cancelled command. */
must_check_ int session_record(struct session *s, enum audit_phase phase, int exit_status,
			       const char *message, struct vs_err *err);

/*
 * The command ends with a failure before anything was begun: record that, unless a record says
 * already how it ended. session_open() does this itself for what it refuses, as far as there is a
 * state directory.
 */
void session_refused(struct session *s, int exit_status, const char *why);

/*
 * A plan that is not going to be applied, step by step, for the log of this run (audit/oplog.h);
 * session_apply() does this itself. The command line, notes, journal run, verdict and outcome get
 * there by themselves. A session that records nothing leaves no log.
 */
void session_log_plan(struct session *s, const struct plan *plan);

/* ---- who is using the store (inuse.c) ---- */

/*
 * Processes that have a file of @store_path open, name it in their command line or environment
 * (other than our own ancestors, and variables that only remember directories), or run in it.
 * Returns 1 and describes the first in
 * @who, 0 when there is none. What cannot be looked at (other users' processes) counts in *@unseen.
 * The library keeps no file open, so 0 is no proof.
 */
must_check_ int inuse_find(const char *store_path, char *who, size_t size, unsigned *unseen,
			   struct vs_err *err);

/* ---- planners ---- */

/* quarantine.c: whole collections, or single files, with a sidecar that says what, why and with
 * which digests. */
struct quarantine_file {
	const char *name;    /* in the collection's directory */
	const char *reason;  /* a problem code; may be NULL */
	const char *message; /* may be NULL */
	bool is_document;    /* then what decodes of it goes into the sidecar */
	bool has_copy;       /* the collection has the same document, byte for byte */
};

struct quarantine_request {
	const char *collection; /* directory */
	const char *name;       /* the collection's, where known */
	const char *reason;     /* a problem code, or a sentence of the operator's; may be NULL */
	const char *message;
	const struct quarantine_file *files; /* none: the whole collection */
	size_t file_count;
	int64_t time_ns;
};
must_check_ int plan_quarantine(struct plan *plan, const struct store *store,
				const struct quarantine_request *req, struct vs_err *err);

/* release.c: what is in quarantine, and its way back. */
struct quarantine_item {
	char *name;            /* "e9f85bf6.20260122T140309Z" */
	char *collection;      /* directory it came from */
	char *collection_name; /* NULL when it was not known */
	char *time;
	char *reason;
	char *message;
	bool is_files;  /* single files; else a whole collection */
	bool is_rows;   /* of a Chroma database, as lines of JSON */
	bool is_chroma; /* a collection of a Chroma store, as a store of its own */
	bool has_sidecar;
	uint64_t documents;
	uint64_t bytes;
	const struct jr *sidecar; /* for the call of quarantine_list() only; NULL without one */
};
void quarantine_item_fini(struct quarantine_item *item);

/* All items in byte order of their names; arguments are borrowed for the call. Stops when @fn
 * returns non-zero. */
must_check_ int quarantine_list(const struct store *store,
				int (*fn)(void *ctx, const struct quarantine_item *item,
					  struct vs_err *err),
				void *ctx, struct vs_err *err);

/*
 * chroma-aside.c: a collection of a Chroma store (an id, or the only one of a name) with its rows and its
 * index directory, and its way back. *@out is what the plan needs when it is applied: owned, freed
 * after the plan; borrows @scratch, a directory for private copies. What stands in the way of a release
 * becomes a leftover of the plan. VS_EUSAGE: no such collection, or several.
 */
struct chroma_aside_request {
	const char *collection;
	const char *reason; /* may be NULL */
	int64_t time_ns;
	const char *scratch;
};
struct chroma_aside;
void chroma_aside_freep(struct chroma_aside **aside);
must_check_ int plan_chroma_aside(struct plan *plan, const struct store *store,
				  const struct chroma_aside_request *req, struct chroma_aside **out,
				  struct vs_err *err);
must_check_ int plan_chroma_release(struct plan *plan, const struct store *store,
				    const struct quarantine_item *item, const char *scratch,
				    struct chroma_aside **out, struct vs_err *err);

/* One item by its name, or by its collection's when there is one only. Owned. VS_ENOENT, VS_EUSAGE
 * when several fit. */
must_check_ int quarantine_find(const struct store *store, const char *name,
				struct quarantine_item *out, struct vs_err *err);

/* Back into the store, merged with what is there; conflicts become leftovers of the plan. */
must_check_ int plan_release(struct plan *plan, const struct store *store,
			     const struct quarantine_item *item, struct vs_err *err);

/*
 * purge.c: out for good, once another copy is proven: a directory outside the store that holds the
 * same tree, or, where none is given, a snapshot of the store that has each file of the item, by the
 * digests of its list and by its archives as they are now. Else VS_EUSAGE (the copy) or VS_ENOENT,
 * with what is missing.
 */
struct purge_request {
	const struct quarantine_item *item;
	const char *copy;         /* NULL: a snapshot */
	int state_dirfd;          /* where snapshots are; -1: there is none */
	const unsigned char *key; /* of sealed archives; NULL */
	unsigned jobs;
};
must_check_ int plan_purge(struct plan *plan, const struct store *store,
			   const struct purge_request *req, struct vs_err *err);

/* fixes.c: everything among @findings that has one safe answer; the rest is left, with the reason.
 */
struct indexes;
struct fixes_request {
	const char *const *only; /* problem codes; NULL for all */
	int state_dirfd;         /* where metadata backups are; -1: there is none */
	int64_t time_ns;
	/* Find the name of a collection whose metadata are lost. 1: found (owned *@name); 0: none
	 * or several. */
	int (*find_name)(void *ctx, const char *collection, char **name, char **evidence,
			 struct vs_err *err);
	void *find_name_ctx;
	/* Of a Chroma store: where a copy of the database is made, threads, and what the plan
	 * writes into index directories, which outlives the plan. */
	const char *scratch;
	struct pool *pool;
	struct indexes *indexes;
};
must_check_ int plan_fixes(struct plan *plan, const struct store *store,
			   const struct check_request *check, const struct fixes_request *req,
			   struct vs_err *err);

/*
 * archived.c: a collection's metadata file in a snapshot. Owned; what @meta points to lives as long
 * as this does.
 */
struct archived_meta {
	char *path; /* of the member */
	struct buf bytes;
	struct chromem_reader *reader;
	struct chromem_meta meta;
};
void archived_meta_fini(struct archived_meta *meta);

/* Is @m a snapshot of this store? VS_EUSAGE names the other one. */
must_check_ int archived_check_store(const struct snap_manifest *m, const struct store *store,
				     struct vs_err *err);

/*
 * The metadata file of @collection (a directory, or an item of the quarantine as
 * ".quarantine/ITEM") in the snapshot @m, whose members are loaded. 0, or 1 when the snapshot has
 * none; VS_EFORMAT when what it has is no metadata file, or not what its list says.
 */
must_check_ int archived_meta_load(const struct snap_access *access, const struct snap_manifest *m,
				   const char *collection, struct archived_meta *out,
				   struct vs_err *err);

/* The same from the newest snapshot of this store that has the collection under this name and can
 * be read. */
must_check_ int archived_meta_newest(int state_dirfd, const struct store *store,
				     const char *collection, struct slice name,
				     struct archived_meta *out, struct vs_err *err);

/*
 * recover.c: a metadata file written anew; what was in its place goes into quarantine. The metadata
 * map is the one that is given; else the one of the file in its place where that decodes, else the
 * one that the newest metadata backup has for this collection and name, else that of the newest
 * snapshot, else what can be read of the damaged file; else empty.
 */
struct recover_request {
	const char *collection; /* directory, or an item of the quarantine as ".quarantine/ITEM" */
	struct slice name;
	int state_dirfd;                       /* where backups are; -1: there is none */
	const struct chromem_meta *archived;   /* whose map is taken; NULL: look for one */
	const char *evidence;                  /* for the plan's text; NULL where there is none */
	const char *reason;                    /* problem code; NULL when a person asked */
	enum chromem_compression default_form; /* where the directory has no documents to tell */
	bool force_name;                       /* although its hash is not the directory */
	int64_t time_ns;
};
must_check_ int plan_recover(struct plan *plan, const struct store *store,
			     const struct recover_request *req, struct vs_err *err);

/* ---- back to a snapshot (rollback.c) ---- */

struct rollback_batch {
	const char *directory; /* of the collection */
	uint32_t batch;
};

struct rollback_request {
	const struct store *store;
	const struct snap_manifest *m;  /* with its members */
	const char *const *collections; /* directories; none: all */
	size_t collection_count;
	const struct rollback_batch *batches; /* the only documents wanted; none: all */
	size_t batch_count;
	int64_t at_ns;            /* none that was written later; 0: all */
	bool rehash;              /* believe no size, time and inode */
	struct file_known *known; /* what was read in this run; borrowed, NULL: nothing */
	bool is_whole; /* also what is in no collection: every file of the store's directory */
	unsigned jobs;
	/* Of a Chroma store: where the snapshot's database is, unpacked for us alone. Collections
	 * are named by their ids then; batches and times only choose among those that are named. */
	int database_dirfd;
};

/* What becomes of one collection, in files; of a Chroma store in records. */
struct rollback_change {
	char *directory;
	struct slice name; /* ptr owned; NULL where the snapshot does not know */
	bool is_in_snapshot;
	bool has_changes;
	uint64_t added;   /* since the snapshot, or not wanted: will go */
	uint64_t removed; /* since: will be back */
	uint64_t changed; /* since: will be as they were */
	uint64_t kept;
};
void rollback_changes_free(struct rollback_change *changes, size_t count);

/*
 * The actions that make the chosen collections what the snapshot has, and a row for each of them,
 * owned, in byte order of the directories. Contents come from the plan's source, by path. Only
 * files in collection directories are touched, unless the request is for the whole; then there are
 * rows for other directories, too, and "." is the store's own.
 */
must_check_ int plan_rollback(struct plan *plan, const struct rollback_request *req,
			      struct rollback_change **changes, size_t *count, struct vs_err *err);

/* For the edit() of the plan's source: exchange the rows of the collection that @a names. Fails with
 * VS_EFORMAT rather than change a row of another. */
must_check_ int rollback_edit_chroma(const struct rollback_request *req, const struct action *a,
				     struct chroma_edit *e, struct vs_err *err);

/* Are the chosen collections byte for byte what the snapshot has? VS_EFORMAT names the first file
 * that is not. */
must_check_ int rollback_prove(const struct rollback_request *req, struct vs_err *err);

/* ---- index directories (index.h) ---- */

#include "repair/index.h"

/* ---- salvage of a database (salvage.h) ---- */

#include "repair/salvage.h"

/* ---- a smaller database (optimize.h) ---- */

#include "repair/optimize.h"

/* ---- metadata backups (backup.c) ---- */

struct backup_result {
	char file[64];        /* in the state directory */
	uint64_t collections; /* whose name and metadata it holds */
	uint64_t without; /* with documents and no readable metadata: in older ones, if at all */
	uint64_t removed; /* older backups beyond those to keep */
};

/* Write one, and remove the oldest beyond the newest @keep. The caller holds the lock of the state
 * directory. */
must_check_ int backup_metadata(int state_dirfd, const struct store *store, size_t keep,
				const struct vs_clock *clock, struct backup_result *out,
				struct vs_err *err);

/* All collections of all backups, newest backup first; what cannot be read is passed over.
 * Arguments are borrowed. */
struct backup_reader {
	void *ctx;
	int (*collection)(void *ctx, const char *file, const char *id, struct slice name,
			  const struct chromem_pair *metadata, size_t count, struct vs_err *err);
};
must_check_ int backup_read_all(int state_dirfd, const struct backup_reader *reader,
				struct vs_err *err);

/* ---- names for collections that lost theirs (names.c) ---- */

/* One collection whose name is looked for, and what was found. */
struct name_target {
	const char *collection; /* directory, or ".quarantine/ITEM" */
	uint32_t hash;
};

/*
 * Tell @l everything that the store and its state directory (-1: there is none) know: metadata
 * backups, manifests of snapshots, the audit log, contextd's write-ahead log beside the store,
 * remembered names, names of the other collections, what the targets' documents and some of the
 * others' say, contextd's registry, names that stand in what is left of a damaged metadata file.
 */
struct lookup;
must_check_ int names_gather(struct lookup *l, const struct store *store, int state_dirfd,
			     const struct name_target *targets, size_t count, struct vs_err *err);

/*
 * The name of one collection, when exactly one trusted name fits: 1 and owned texts, 0 when there
 * is none or more than one, or negative. Takes from what names_gather() knows, and composes.
 */
must_check_ int names_find_collection(const struct store *store, int state_dirfd,
				      const char *collection, char **name, char **evidence,
				      struct vs_err *err);

/*
 * Write the names of all collections into the state directory, for later (remember.c). @source says
 * who saw them ("repair"). Reads metadata files only; @known as for chromem_scan(). The caller holds
 * the lock of the state directory. Does nothing for other kinds of stores.
 */
must_check_ int names_remember(const struct store *store, int state_dirfd, struct file_known *known,
			       const char *source, int64_t now_ns, struct vs_err *err);

/* The hash that a collection directory or an item of the quarantine is named after. */
bool names_hash_of(const char *collection, uint32_t *hash);
