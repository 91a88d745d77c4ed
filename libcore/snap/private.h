/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of this room share: names on disk, packed pieces, archives as streams.
 */

#include "snap/backend.h"
#include "snap/snap.h"

#define SNAP_DIR "snapshots"
#define MANIFEST_DIR "manifests"
#define LOG_DIR "logs"

/* Below SNAP_DIR, while a snapshot of a Chroma store is made: a copy of its database. */
#define SNAP_COPY_DIR ".database"

/* Longest name of a file of ours: an id with the longest ending and a temporary one's dots. */
#define SNAP_FILE_MAX 200

/* ---- how far it is; @p may be NULL ---- */

static inline void snap_progress_begin(struct vs_progress *p, uint64_t files)
{
	if (!p)
		return;
	p->part_items_done = 0;
	p->part_items = files;
	p->parts = 1;
}

static inline void snap_progress_step(struct vs_progress *p)
{
	if (!p)
		return;
	atomic_fetch_add(&p->items, 1);
	atomic_fetch_add(&p->part_items_done, 1);
}

/* ---- place.c ---- */

/* The three directories, open; -1 where one is not there. */
struct snap_place {
	int snapshots, manifests, logs;
};
#define SNAP_PLACE_CLOSED                                                                          \
	{                                                                                          \
		-1, -1, -1                                                                         \
	}
must_check_ int snap_place_open(int state_dirfd, bool make, struct snap_place *out,
				struct vs_err *err);
void snap_place_close(struct snap_place *place);

void snap_archive_name(const char *id, bool is_sealed, char out[SNAP_FILE_MAX]);
void snap_manifest_name(const char *id, char out[SNAP_FILE_MAX]);
void snap_members_name(const char *id, char out[SNAP_FILE_MAX]);
/* What a manifest is called while its snapshot is being made, or removed: see save.c. */
void snap_pending_name(const char *id, char out[SNAP_FILE_MAX]);
void snap_temp_name(const char *id, char out[SNAP_FILE_MAX]);

/* 1 when there is something called @name, 0 when not. */
must_check_ int snap_exists(int dirfd, const char *name, struct vs_err *err);

/* Remove a file; that it is not there is fine. */
must_check_ int snap_unlink(int dirfd, const char *name, struct vs_err *err);

/* ---- paths (path.c) ---- */

/* Relative, no empty part, no "." and no "..", no longer than a path may be. */
bool snap_path_is_safe(struct slice path);

/* Order of the list: bytes of the paths. */
int snap_path_cmp(const char *a, const char *b);

/* ---- manifest.c ---- */

/* Give up the list, as if it had not been loaded. */
void snap_drop_members(struct snap_manifest *m);

/* ---- manifest-write.c ---- */

/* Its last key is the digest of all text before it. */
#define MANIFEST_SEAL ",\"manifest_sha256\":\""
void snap_format_manifest(const struct snap_manifest *m, struct buf *out);

/* Of manifests and lists: with a whole list, and with one that builds on another's. */
#define SNAP_SCHEMA_WHOLE 1
#define SNAP_SCHEMA_BASED 2

/* ---- members-write.c ---- */

void snap_format_members(const struct snap_manifest *m, struct buf *out);

/* ---- members-scan.c ---- */

/* Take what stands next in a list; false when it is something else, and then the cursor is anywhere. */
bool snap_scan_is(struct cursor *c, const char *text); /* the cursor stays where it is not */
bool snap_scan_uint(struct cursor *c, uint64_t max, uint64_t *out);
bool snap_scan_int(struct cursor *c, int64_t *out);
/* A string, an array or an object, as text that is borrowed. */
bool snap_scan_value(struct cursor *c, struct slice *out);
/* A string, or an object with the bytes in "name_hex": its bytes are appended. */
bool snap_scan_name(struct cursor *c, struct buf *out);

/* ---- members-base.c ---- */

/* Let the list of @m, which is complete, build on that of @parent or on what that one builds on,
 * where it is the smaller for it. @parent may be NULL; its list is loaded. */
void snap_base_choose(struct snap_manifest *m, const struct snap_manifest *parent);

/* A list as its file has it. */
struct snap_rows {
	struct snap_member *members;
	size_t member_count, member_cap;
	struct snap_directory *directories;
	size_t directory_count, directory_cap;
};
void snap_rows_fini(struct snap_rows *rows);

/* Rows [first, first + count) of a base that are not taken over. */
struct snap_range {
	uint64_t first, count;
};

/* Make the list of @m out of @base without @gone, and its own @rows; both give up what they have. The
 * numbers in m->base are set. VS_EFORMAT. */
must_check_ int snap_base_merge(struct snap_manifest *m, struct snap_rows *base,
				const struct snap_range *gone, size_t gone_count,
				struct snap_rows *rows, struct vs_err *err);

/* The number of each member's batch: documents of a collection in the order in which they were
 * written, SNAP_BATCH_LEN each. A document is what has a number, whichever it is. Owned. */
uint32_t *snap_number_batches(const struct snap_manifest *m);

/* ---- manifest-read.c, members-read.c ---- */

#define SNAP_MANIFEST_MAX (UINT64_C(256) << 20)
#define SNAP_MEMBERS_MAX (UINT64_C(1) << 30) /* of the list, unpacked */
must_check_ int snap_parse_manifest(struct slice text, const char *id, struct snap_manifest **out,
				    struct vs_err *err);
/* The list of @m; @base is the text of the one that it builds on, if it does. After a failure there is
 * none. */
must_check_ int snap_parse_members(struct slice text, struct slice base, struct snap_manifest *m,
				   struct vs_err *err);

/* ---- manifest.c ---- */

/* The member at @path, or NULL, where the paths asked for rise: *@at begins as 0. */
const struct snap_member *snap_next_member_at(const struct snap_manifest *m, size_t *at,
					      const char *path);

/* ---- sums.c ---- */

/* Bytes, documents and roots of @m from its members; collections and batches must be set. */
void snap_sum(struct snap_manifest *m);

/* Do the sums in the manifest agree with the list? */
must_check_ int snap_check_sums(const struct snap_manifest *m, struct vs_err *err);

/* ---- pack.c ---- */

/*
 * A piece: one gzip member that says in a subfield of its header how long it is, packed and
 * unpacked, so that pieces can be unpacked by several threads.
 *
 *	1f 8b 08 04 0{4} 00 ff	 gzip, deflate, with extra field, no time
 *	0c 00 'V' 'S' 08 00	 one subfield of 8 bytes
 *	packed{4} raw{4}	 lengths, little-endian; packed: of the whole piece
 *	deflate data, CRC-32, length
 *
 * A piece of nothing may have more subfields behind that one.
 */
#define PIECE_HEAD 24
#define PIECE_RAW_MAX ((size_t)4 << 20)
#define PIECE_PACKED_MAX (PIECE_RAW_MAX + PIECE_RAW_MAX / 8 + 1024)

struct snap_packer; /* one per thread; owned */
struct snap_packer *snap_packer_new(void);
void snap_packer_freep(struct snap_packer **packer);

/*
 * Append @raw (at most PIECE_RAW_MAX) to @out as one piece. It is unpacked again at once and compared,
 * so that nothing is ever written that does not unpack to what it was. VS_ENOMEM; VS_EIO when it does
 * not.
 */
must_check_ int snap_pack(struct snap_packer *packer, struct slice raw, struct buf *out,
			  struct vs_err *err);

struct snap_piece {
	size_t packed, raw;
	size_t head; /* PIECE_HEAD, or more in a piece of nothing: see pieces.c */
};
/* Read a piece's head from its first PIECE_HEAD bytes; false when it is none of ours. */
bool snap_piece_head(struct slice bytes, struct snap_piece *out);

/* Unpack a whole piece into @raw, which has room for piece->raw bytes; checks everything. */
must_check_ bool snap_unpack(struct snap_packer *packer, struct slice piece, unsigned char *raw,
			     size_t raw_len);

/* Any number of bytes as pieces in a row, and back; @max bounds what is unpacked. */
must_check_ int snap_pack_all(struct slice raw, struct buf *out, struct vs_err *err);
must_check_ int snap_unpack_all(struct slice packed, uint64_t max, struct buf *out,
				struct vs_err *err);

/* ---- tar-write.c ---- */

/* Append the tar header of a regular file, as the archive has it. */
must_check_ int snap_tar_header(struct buf *out, const char *name, uint64_t size, uint32_t mode,
				int64_t modified_ns, struct vs_err *err);

/* Zeros behind @size bytes of content, up to the next block of 512. */
void snap_tar_pad(struct buf *out, uint64_t size);
#define TAR_END_LEN 1024

/* ---- reader.c ---- */

/* The members of one archive, in turn. Owned. */
struct snap_reader;
must_check_ int snap_reader_open(struct snap_reader **out, const struct snap_access *access,
				 int snapshots_dirfd, const struct snap_archive *archive,
				 struct pool *pool, struct vs_err *err);
void snap_reader_freep(struct snap_reader **reader);

/* The same, passing over pieces without members that are chosen, where the archive has an index. */
struct snap_selection;
struct snap_reading {
	const struct snap_access *access;
	int snapshots_dirfd;
	struct pool *pool;
};
must_check_ int snap_reader_open_chosen(struct snap_reader **out, const struct snap_reading *how,
					const struct snap_selection *s, uint32_t archive,
					struct vs_err *err);

struct snap_tar_entry {
	const char *name; /* without the snapshot's prefix; borrowed until the next call */
	uint64_t size;
};

/* 1, 0 at the end, negative. Anything but a regular file with a safe name is VS_EFORMAT. */
must_check_ int snap_reader_next(struct snap_reader *reader, struct snap_tar_entry *out,
				 struct vs_err *err);

/* The next bytes of the member; len 0 at its end. */
must_check_ int snap_reader_data(struct snap_reader *reader, struct slice *out, struct vs_err *err);

/* ---- older.c ---- */

bool snap_is_older_manifest(const struct jr *doc);
must_check_ int snap_parse_older(const struct jr *doc, const char *id, struct snap_manifest **out,
				 struct vs_err *err);

/* The checks behind the first, for a snapshot of the older tool. */
must_check_ int snap_verify_older(const struct snap_access *access, struct snap_manifest *m,
				  struct snap_verdict *out, struct vs_err *err);

/* ---- verify.c ---- */

/* A check was made: @r and @err say with what result. Only lack of memory is not a result. */
must_check_ int snap_conclude(struct snap_verdict *v, enum snap_check check, int r,
			      struct vs_err *err);

/*
 * The next member of archive @archive of @m that the list wants from it. What the list does not
 * have is passed over in archives of other snapshots, and VS_EFORMAT in the snapshot's own (0).
 * @seen has a byte for each member of @m.
 */
must_check_ int snap_next_member(struct snap_reader *reader, const struct snap_manifest *m,
				 uint32_t archive, unsigned char *seen,
				 const struct snap_member **out, struct vs_err *err);

/* Read a member to its end, giving its bytes to @take unless that is NULL; VS_EFORMAT when they
 * are not what the list says. */
must_check_ int snap_read_member(struct snap_reader *reader, const struct snap_member *member,
				 struct digest_ctx *ctx,
				 int (*take)(void *to, struct slice bytes, struct vs_err *err),
				 void *to, struct vs_err *err);

/* Read the first @archives archives of @m whole, as restoring would. */
must_check_ int snap_read_back(const struct snap_access *access, int snapshots_dirfd,
			       const struct snap_manifest *m, size_t archives, struct pool *pool,
			       struct vs_err *err);

/* ---- pieces.c ---- */

/* Where the pieces of an archive are, and with which files they begin. */
struct snap_index_row {
	uint64_t off;
	uint32_t packed, raw;
	size_t path; /* in the text; SIZE_MAX: it goes on with a file of the piece before */
};
struct snap_index {
	struct snap_index_row *rows; /* owned */
	size_t count, cap;
	struct buf text; /* paths, each with a NUL behind it */
};
void snap_index_fini(struct snap_index *x);

/* The next piece; @path NULL: no file begins where it begins. Paths rise. */
void snap_index_add(struct snap_index *x, size_t packed, size_t raw, const char *path);
const char *snap_index_path(const struct snap_index *x, size_t row); /* or NULL */

/* Append what stands behind the last piece. */
void snap_index_format(const struct snap_index *x, struct buf *out);

/* Where the index is, from the last bytes of an archive of @size bytes. False: there is none. */
#define SNAP_LOCATOR_LEN 50
#define SNAP_INDEX_MAX ((size_t)256 << 20)
bool snap_index_locate(struct slice tail, uint64_t size, uint64_t *off, size_t *len);

/* Read the index out of its pieces; the others end at @end. 1, 0 when it is not as it should be,
 * VS_ENOMEM. */
must_check_ int snap_index_parse(struct snap_index *out, struct slice pieces, uint64_t end,
				 struct vs_err *err);

/* Mark the rows that hold the chosen members of an archive. */
void snap_index_choose(const struct snap_index *x, const struct snap_selection *s, uint32_t archive,
		       unsigned char *is_needed);

/* ---- select.c ---- */

/* Some members of a snapshot; begin with snap_select(). */
struct snap_selection {
	const struct snap_manifest *m;
	unsigned char *is_wanted, *seen; /* for each member; owned */
};
void snap_selection_fini(struct snap_selection *s);

/* Choose those for which @wanted says true (NULL: all) and return how many these are. */
uint64_t snap_select(struct snap_selection *s, const struct snap_manifest *m,
		     bool (*wanted)(void *ctx, const struct snap_member *member), void *ctx);
bool snap_selection_needs(const struct snap_selection *s, uint32_t archive);

/* Which archives there must be is known before anything is read: VS_ENOENT names those that are
 * missing. */
must_check_ int snap_selection_find_missing(const struct snap_selection *s, int snapshots_dirfd,
					    struct vs_err *err);
must_check_ int snap_selection_check_seen(const struct snap_selection *s, struct vs_err *err);

/* Call @read at each chosen member, which it reads to its end; then all must have been there. */
must_check_ int snap_selection_read(struct snap_selection *s, const struct snap_access *access,
				    int snapshots_dirfd, struct pool *pool,
				    int (*read)(void *ctx, struct snap_reader *reader,
						const struct snap_member *member,
						struct vs_err *err),
				    void *ctx, struct vs_err *err);

/* ---- save.c ---- */

/* Write the manifest of @m, which has none yet or has one to be replaced. */
must_check_ int snap_save_manifest(int manifests_dirfd, const struct snap_manifest *m,
				   struct vs_err *err);

/* The list as its file has it; sets its size and digest in @m. */
must_check_ int snap_pack_members(struct snap_manifest *m, struct buf *packed, struct vs_err *err);

/* Give a finished archive, the packed list and @m their names: from here on there is the snapshot. */
must_check_ int snap_publish(struct snap_place *place, const struct snap_manifest *m,
			     struct slice list, const char *part, struct vs_err *err);

/* The manifest loses its name, and then all its files go. */
must_check_ int snap_withdraw(int state_dirfd, const char *id, struct vs_err *err);

/* What stands between the snapshot and a number in the name of an archive of compact.c. No id has a
 * dot, so nothing else is called so. */
#define SNAP_KEPT ".kept-"

/* ---- older-scan.c ---- */

/* A text in pieces; an empty one is the end. Each is borrowed until the next is asked for. */
struct older_text {
	void *ctx;
	int (*more)(void *ctx, struct slice *out, struct vs_err *err);
};

/* What comes in a collections.json, in its order. Texts and documents are borrowed for the call; what
 * is not 0 ends the walk and is returned. */
struct older_events {
	void *ctx;
	int (*collection)(void *ctx, const char *name, struct vs_err *err);
	int (*batch)(void *ctx, const char *key, struct vs_err *err);
	int (*document)(void *ctx, size_t index, const struct jr *document, struct vs_err *err);
};

/*
 * Walk through it, with no more of it in memory than one document and a piece. VS_EFORMAT, with the
 * byte, where it is not the JSON that older.h describes; what was told before that stands.
 */
must_check_ int older_scan(const struct older_text *text, const struct older_events *to,
			   struct vs_err *err);
