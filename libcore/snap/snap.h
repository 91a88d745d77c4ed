/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * snap: copies of a store that can be trusted later
 *
 * In the state directory (STORE.vsctl unless another one is given):
 *
 *	snapshots/<id>.tar.gz	  the files that this snapshot stored itself, as <id>/<path>
 *	snapshots/<id>.kept-<n>.tar.gz  what others need of a snapshot that was removed
 *	manifests/<id>.json	  what the snapshot is; it exists exactly as long as this file does
 *	manifests/<id>.members.gz what it consists of: each file, its digest, which archive;
 *				  or what differs from the whole list of an older snapshot
 *	logs/snapshot_<time>.log  what was done, for people
 *
 * A snapshot is complete: its list names every file of the store. It is cheap: a file that has not
 * changed since the parent snapshot is in the archive that already holds it, and the list names
 * that one. So an archive stays as long as any list names it. The list itself is stored in the same
 * way: where little has changed, its file has only what differs from a list that is there whole,
 * and that one stays as long as any manifest names it.
 *
 * An archive is a plain tar in gzip members, each at most a few MB unpacked; tar, gzip and
 * sha256sum read it. Nothing in it carries the time or the user of its making, so equal files
 * make equal archives. The manifest ends with the digest of its own text, carries the digest of the
 * list, and the list that of each file; the manifest carries those of the archives. So every byte
 * is covered.
 *
 * Everything is written under a temporary name, synced, compared, and renamed: each piece of an archive
 * is unpacked again before it is written, and the file is read back for its digest. The manifest comes
 * last. Killed at any instant, there is the snapshot or there is not; what a kill left over is
 * removed by the next snap_create(), snap_delete() or snap_sweep().
 *
 * Functions that write expect the caller to hold the lock of the state directory exclusively
 * (file/lock.h) and no unfinished run (journal/journal.h). Reading takes no lock.
 */

#include "file/file.h"
#include "store/store.h"
#include "util/util.h"

/* ---- names (place.c) ---- */

#define SNAP_ID_MAX 128

/* Letters, digits, '_' and '-', not beginning with '-', at most SNAP_ID_MAX of them. */
bool snap_id_is_valid(const char *id);

/* "snapshot_20260122_140309", UTC. */
void snap_id_format(int64_t time_ns, char out[SNAP_ID_MAX + 1]);

/* ---- what a snapshot is (manifest.c) ---- */

enum snap_status {
	SNAP_CREATED,
	SNAP_VERIFIED, /* snap_verify() found everything right since */
	SNAP_RESTORED, /* a store was restored or rolled back from it */
	SNAP_FAILED,   /* snap_verify() found it damaged: error_message says what */
};

const char *snap_status_name(enum snap_status status); /* "created", ... */

#define SNAP_NO_BATCH UINT32_MAX
#define SNAP_BATCH_LEN 100 /* documents in a batch, as in the older tool */

/* One file of the store. */
struct snap_member {
	char *path; /* relative to the store, no "..", no symbolic link on the way */
	uint64_t size;
	uint64_t inode;
	int64_t modified_ns;
	uint32_t mode;       /* permission bits */
	uint32_t archive;    /* index in manifest->archives */
	uint32_t collection; /* index in manifest->collections; UINT32_MAX: of none */
	uint32_t batch; /* document's number in write order / SNAP_BATCH_LEN, or SNAP_NO_BATCH */
	/* Its number in the list that this one builds on, see struct snap_base, or SNAP_NO_ROW. In a
	 * whole list that was loaded: its own number. */
	uint32_t row;
	struct digest digest; /* of its bytes */
};
#define SNAP_NO_ROW UINT32_MAX

/* A directory below the store's. */
struct snap_directory {
	char *path;
	uint32_t mode;
	int64_t modified_ns;
};

/* A file of the archive directory in which members are. The first is the snapshot's own. */
struct snap_archive {
	char *file;     /* "snapshot_20260122_140309.tar.gz" */
	char *snapshot; /* the prefix of its members' names: the snapshot that wrote it */
	uint64_t size;
	struct digest digest; /* of the file, as sha256sum prints it */
	bool is_sealed;       /* AES-256-GCM over the whole file */
};

struct snap_collection {
	char *directory;   /* of chromem: its directory; of Chroma: the collection's UUID */
	struct slice name; /* ptr owned; len 0 where it is not known */
	uint64_t documents;
	uint64_t bytes;
	uint32_t batches;
	struct digest root; /* see snap_root_begin() */
	/* Its documents are rows of a database, and no members: their number was counted there, and
	 * this is the digest over them, see chroma/sums.c. bytes and root are of its own files. */
	bool has_rows;
	struct digest rows;
};

/*
 * The list that the list of a snapshot builds on. It is always a whole one, so there are never more
 * than two files to read; its manifest need not be there any more.
 */
struct snap_base {
	char *snapshot; /* whose list it is; NULL: the snapshot's own is whole */
	uint64_t size;  /* of the list's file */
	struct digest digest;
	/* With the list: how many rows the base has, and which numbers its archives and collections
	 * have here, UINT32_MAX where nothing was taken over from there. Owned. */
	size_t row_count;
	uint32_t *archives, *collections;
	size_t archive_count, collection_count;
};

/* What was there and is not in the snapshot: FIFOs, links to nothing. */
struct snap_skipped {
	char *path;
	char *why;
};

/* The state of the store when the snapshot was made, as the caller's check found it. */
struct snap_health {
	char *verdict;  /* "healthy", "degraded", "corrupt", "unverified"; NULL: not checked */
	char *loadable; /* "yes", "no", "silently-wrong" */
	char *level;    /* "quick", "full", "deep" */
	uint64_t errors;
	uint64_t warnings;
};

struct snap_drill {
	int64_t time_ns; /* 0: there was none */
	bool is_good;
	uint64_t duration_ms;
	char *message; /* what was wrong; NULL */
};

struct snap_manifest {
	char *id;
	int64_t time_ns;
	char *tool_version;
	bool is_older;    /* the older tool made it: documents in JSON, no list, see older.c */
	char *store_kind; /* as store_kind_name() */
	char *store_path; /* absolute */
	/* The user and group of the store's directory, by number; snapshots made before 2026-11-21 do not
	 * say. What root restores is given to them. */
	bool has_owner;
	uint32_t owner, group;
	char *parent;   /* the snapshot that this one built on; NULL: it stands alone */
	uint32_t chain; /* archives beside its own that were needed at the time: 0 for a full one */
	bool is_stable; /* the store was one and the same while it was read */
	enum snap_status status;
	char *error_message;
	char *reason; /* why it was made: "asked for", "before rollback"; NULL */
	struct snap_health health;
	struct snap_drill drill;
	uint64_t audit_seq; /* newest record of the audit log at the time; 0: none */
	struct digest audit_digest;
	uint64_t bytes;        /* of all members */
	uint64_t stored_bytes; /* of those that are in its own archive */
	uint64_t stored_members;
	uint64_t member_count_total; /* also when the list is not loaded */
	uint64_t documents;
	struct digest root; /* over the roots of all collections and all other members */
	struct digest members_digest;
	uint64_t members_size; /* of the list's file */
	struct snap_base base;
	struct snap_archive *archives;
	size_t archive_count;
	struct snap_collection *collections; /* in byte order of their directories */
	size_t collection_count;
	struct snap_skipped *skipped;
	size_t skipped_count;
	/* The list; NULL and 0 until snap_load_members(). In byte order of the paths. */
	struct snap_member *members;
	size_t member_count;
	struct snap_directory *directories;
	size_t directory_count;
};

void snap_manifest_freep(struct snap_manifest **m);

/* What the reason of a snapshot begins with that keeps a state which is about to be changed: the one
 * that somebody had cause to leave. */
#define SNAP_REASON_BEFORE "before "
bool snap_is_safety(const struct snap_manifest *m);

/* A snapshot is good when the store was loadable and without errors, it is no safety copy of a
 * state that was left, and nothing damaged was found in the snapshot since. */
bool snap_is_good(const struct snap_manifest *m);

/* The member at @path, or NULL. The list must be loaded. */
const struct snap_member *snap_find_member(const struct snap_manifest *m, const char *path);

/* A collection by its name or its directory; NULL when there is none. */
const struct snap_collection *snap_find_collection(const struct snap_manifest *m,
						   const char *wanted);

/*
 * The root digest of a collection: SHA-256 over each of its files in byte order of the paths: the
 * path (8-byte little-endian length, then the bytes), the size (8 bytes), the digest (32 bytes).
 * The root of a snapshot is the same over all its members. Call begin, add for each,
 * digest_ctx_final().
 */
void snap_root_begin(struct digest_ctx *ctx);
void snap_root_add(struct digest_ctx *ctx, const struct snap_member *member);

/* ---- reading (manifest-read.c, place.c) ---- */

/*
 * The manifest of snapshot @id, without the list of members; checked in all its fields. VS_ENOENT
 * when there is none, VS_EFORMAT when it is damaged, VS_ENOTSUP when a newer version wrote it. The
 * older tool's manifests are read as well (store_kind NULL, no members). Owned.
 */
must_check_ int snap_load(int state_dirfd, const char *id, struct snap_manifest **out,
			  struct vs_err *err);

/* Add the list of members. Its digest must be the manifest's, and so must that of the list it builds
 * on. */
must_check_ int snap_load_members(int state_dirfd, struct snap_manifest *m, struct vs_err *err);

/*
 * All snapshots, oldest first (by time, then id). What cannot be loaded is in the list with @m NULL
 * and the reason. Free with snap_list_fini().
 */
struct snap_entry {
	char *id;
	struct snap_manifest *m; /* NULL: see why */
	char *why;
};
struct snap_list {
	struct snap_entry *entries;
	size_t count, cap;
};
must_check_ int snap_list_load(struct snap_list *out, int state_dirfd, struct vs_err *err);
void snap_list_fini(struct snap_list *list);

/* The newest good one, or NULL; borrowed from the list. */
const struct snap_manifest *snap_list_newest_good(const struct snap_list *list);

/* ---- making one (create.c) ---- */

/* 0 when snapshots can be made of stores of this kind, else VS_ENOTSUP. */
must_check_ int snap_check_kind(enum store_kind kind, struct vs_err *err);

#define SNAP_CHAIN_MAX 8

struct snap_create_request {
	const char *name;   /* NULL: snap_id_format(), with a suffix when that is taken */
	const char *reason; /* NULL: "asked for" */
	const char *tool_version;
	const struct snap_health *health; /* NULL: not checked */
	bool full;                        /* store everything, whatever a parent has */
	bool rehash;              /* do not believe size, time and inode: compare the bytes */
	const unsigned char *key; /* NULL, or CHROMEM_KEY_LEN bytes: seal the archive */
	unsigned jobs;
	const struct vs_clock *clock;
	struct vs_progress *progress; /* items are files; may be NULL */
	struct file_seen *seen; /* what was seen of the store in this run; borrowed, may be NULL */
};

/*
 * Make a snapshot of @store, which may be in use: files are read until two looks at the store
 * agree, and a document that is caught half-written is read again. When the store does not come to
 * rest in SNAP_ROUNDS_MAX rounds, each file is still one that was there, and is_stable is false.
 *
 * VS_EBUSY: the name is taken. VS_EUSAGE: the name is no good, or the state directory is inside the
 * store. VS_EIO with sysno ENOSPC: not enough room, said before anything is written. *@out is owned
 * and has its members.
 */
#define SNAP_ROUNDS_MAX 3
must_check_ int snap_create(int state_dirfd, const struct store *store,
			    const struct snap_create_request *req, struct snap_manifest **out,
			    struct vs_err *err);

/* ---- using one (verify.c, extract.c, select.c, diff.c) ---- */

struct snap_access {
	int state_dirfd;
	const unsigned char *key; /* for sealed archives; NULL */
	unsigned jobs;
	struct vs_progress *progress; /* items are files; may be NULL */
	bool is_scratch;              /* what is extracted need not outlive a power cut */
	/*
	 * An archive with the right digest counts as readable: each piece of it was unpacked again
	 * when it was made, and whatever is taken out of it is compared with the list again.
	 */
	bool trusts_digest;
	/* One that is there with the right size does: for those who take out next what they need. */
	bool trusts_size;
	/*
	 * Read archives from beginning to end, also where their index tells what would do: for those
	 * who remove what an archive is proven to hold, and so want it whole.
	 */
	bool reads_whole;
};

/* The four checks, each of which can fail by itself. */
enum snap_check {
	SNAP_CHECK_MANIFEST, /* manifest and list: text, digests, roots, sums */
	SNAP_CHECK_ARCHIVE,  /* every archive that is needed is there, with its size */
	SNAP_CHECK_CHECKSUM, /* and its digest */
	SNAP_CHECK_READABLE, /* unpacks; holds what the list says and no more, digests right */
	SNAP_CHECK_COUNT_,
};

const char *snap_check_name(enum snap_check check); /* "manifest", ... */

struct snap_verdict {
	bool was_made[SNAP_CHECK_COUNT_]; /* false: not possible after an earlier one failed */
	bool is_good[SNAP_CHECK_COUNT_];
	char *message[SNAP_CHECK_COUNT_]; /* owned; NULL where it is good */
	uint64_t archives, members;       /* that were looked at */
};
void snap_verdict_fini(struct snap_verdict *v);
bool snap_verdict_is_good(const struct snap_verdict *v);

/*
 * Check a snapshot without the store. Returns 0 when the checks were made, whatever they found;
 * negative when they could not be made (VS_ENOENT: no such snapshot). @m gets the manifest with its
 * members when it is good (owned); may be NULL.
 */
must_check_ int snap_verify(const struct snap_access *access, const char *id,
			    struct snap_verdict *out, struct snap_manifest **m, struct vs_err *err);

/* Write what became of it into the manifest. @message may be NULL. */
must_check_ int snap_set_status(int state_dirfd, const char *id, enum snap_status status,
				const char *message, struct vs_err *err);
must_check_ int snap_set_drill(int state_dirfd, const char *id, const struct snap_drill *drill,
			       struct vs_err *err);

/*
 * Write the members for which @wanted says true (NULL: all) into the directory @dirfd, with the
 * directories they are in, modes and times. Everything is checked on its way: a name that is not in
 * the list, a size or digest that differs, a member twice or not at all fail with VS_EFORMAT, and
 * what was written by then is of no use. Nothing that exists is replaced (VS_EBUSY). All is synced.
 * Archives that are missing are all named in the error (VS_ENOENT).
 */
must_check_ int snap_extract(const struct snap_access *access, const struct snap_manifest *m,
			     bool (*wanted)(void *ctx, const struct snap_member *member), void *ctx,
			     int dirfd, struct vs_err *err);

/*
 * The bytes of the members for which @wanted says true, in parts, in the order of the archives;
 * @take NULL: they are only proven to be there. As in snap_extract(), everything is checked on its
 * way, so what @take has got counts once this has returned 0.
 */
must_check_ int snap_read(const struct snap_access *access, const struct snap_manifest *m,
			  bool (*wanted)(void *ctx, const struct snap_member *member),
			  int (*take)(void *ctx, const struct snap_member *member,
				      struct slice bytes, struct vs_err *err),
			  void *ctx, struct vs_err *err);

/* Is there room for @need bytes on the file system of @dirfd? Else VS_EIO with sysno ENOSPC and both
 * figures; @what is named as what they are for. */
must_check_ int snap_check_room(int dirfd, uint64_t need, const char *what, struct vs_err *err);

/* How one file of a store differs from a snapshot. */
enum snap_change {
	SNAP_SAME,
	SNAP_MODIFIED,
	SNAP_MISSING, /* in the snapshot only */
	SNAP_ADDED,   /* in the store only: @member is NULL */
};

/*
 * Compare a snapshot with the store as it is, in byte order of the paths. With @rehash bytes are
 * read whatever size and times say; without, a file of the same size, time and inode is the same.
 * @fn stops the comparison with anything but 0.
 */
must_check_ int snap_compare(const struct snap_manifest *m, const struct store *store, bool rehash,
			     unsigned jobs,
			     int (*fn)(void *ctx, enum snap_change change, const char *path,
				       const struct snap_member *member, struct vs_err *err),
			     void *ctx, struct vs_err *err);

/* The same, for those who share what they have read (file/known.h): a file of which the digest is
 * known is not read again, nor is what is read here by others. */
struct snap_comparison {
	const struct snap_manifest *m;
	const struct store *store;
	bool rehash;
	unsigned jobs;
	struct file_known *known; /* borrowed; NULL: nothing is known */
};
must_check_ int snap_compare_known(const struct snap_comparison *what,
				   int (*fn)(void *ctx, enum snap_change change, const char *path,
					     const struct snap_member *member, struct vs_err *err),
				   void *ctx, struct vs_err *err);

/*
 * Are the records in the database of @store those that the manifest counted, by number and digest
 * over them? VS_EFORMAT names the first collection where not. Collections without rows (every one of a
 * store whose documents are files) are passed over, and those for which @wanted says false (NULL:
 * none).
 */
must_check_ int snap_check_rows(const struct snap_manifest *m, const struct store *store,
				bool (*wanted)(void *ctx, const struct snap_collection *c),
				void *ctx, struct vs_err *err);

/* ---- removing (retain.c, delete.c, compact.c) ---- */

struct snap_policy {
	uint64_t days; /* keep what is younger; 0: no such rule. The same for the others. */
	uint64_t last; /* newest that many */
	/* The newest of that many hours, days, ... (UTC). */
	uint64_t hourly, daily, weekly, monthly;
};

struct snap_decision {
	const struct snap_entry *entry; /* borrowed from the list */
	bool keep;
	/* "newest of 2026-01-22", "last good one", "no rule keeps it". */
	char reason[160];
};

/*
 * Which of @list a policy keeps: pure. The last good one stays whatever the policy says. Bad ones
 * never count for a rule of good ones, so they push none out; among themselves the same rules are
 * asked, as long as they are newer than a good one that is kept. The newest of all stays. What a
 * kept one needs of the archive of another that goes stays as well. An empty policy is VS_EUSAGE. @out becomes an owned array of list->count,
 * in the list's order.
 */
must_check_ int snap_plan_cleanup(const struct snap_list *list, const struct snap_policy *policy,
				  int64_t now_ns, struct snap_decision **out, struct vs_err *err);

/*
 * Remove a snapshot. An archive that others take files from stays until none does, and snap_compact()
 * makes it smaller. The last good one is refused (VS_EBUSY) unless @force, and any, while a manifest
 * cannot be read.
 */
struct snap_delete_request {
	bool force;
};
must_check_ int snap_delete(int state_dirfd, const char *id, const struct snap_delete_request *req,
			    struct vs_err *err);

/*
 * Write the archives of snapshots that are gone anew, with what others still need of them, where
 * that saves a quarter or more (compact.c). Killed or failed at any moment, every snapshot is whole,
 * and the next call does the rest. Sealed archives stay as they are. @access->key is not used.
 */
struct snap_compaction {
	uint64_t archives; /* written anew */
	uint64_t freed;    /* bytes of the disk */
};
must_check_ int snap_compact(const struct snap_access *access, struct snap_compaction *out,
			     struct vs_err *err);

/* Remove what killed runs left over: files that no manifest names. *@removed counts them. */
must_check_ int snap_sweep(int state_dirfd, uint64_t *removed, struct vs_err *err);

/* Remove directory @name of @dirfd with everything in it, for scratch of our own; that it is not
 * there is fine. */
must_check_ int snap_remove_tree(int dirfd, const char *name, struct vs_err *err);

/* Append a line to logs/snapshot_<time>.log; for people, so a failure is no reason to stop. */
must_check_ int snap_log(int state_dirfd, int64_t time_ns, const char *text, struct vs_err *err);

#include "snap/older.h"
