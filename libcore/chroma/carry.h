/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * carry: one collection out of a database, or into it from another; records out of a collection
 *
 * A collection is rows in a dozen tables: its own and its segments', records with their values,
 * documents and lists, how far its segments have come, and what the queue has of it. These
 * functions take all of them and no other. Index directories are files, and the caller's.
 *
 * Included by chroma/chroma.h, the front door of the room.
 */

struct chroma_carried {
	uint64_t records;
	uint64_t queued; /* rows of the queue */
	/* Numbers that were taken by others by now, so that all of the collection's are new:
	 * rows of records from the next free one on, in their order; numbers of the queue by
	 * this much. */
	bool is_renumbered;
	int64_t shift;
};

/*
 * Take the collection @id out of the copy. VS_ENOENT: it is not there. Numbering of the queue
 * goes on above what the segments of the others have seen. @out may be NULL.
 */
must_check_ int chroma_drop(struct chroma_edit *e, const char *id, struct chroma_carried *out,
			    struct vs_err *err);

/*
 * Bring the collection @id in from the database file @from, which lies where it may be opened for
 * writing and has nothing beside it. The same file for all calls with one edit. Its tenant and its
 * database come along where they are missing; rows that it left behind here when it was removed go.
 *
 * VS_EBUSY: there is a collection of that id, or another of its name. VS_ENOENT: @from has none.
 * VS_ENOTSUP: another release made the tables of @from, or numbers of the queue that are taken
 * cannot be changed, since it wrote them as bytes. @out may be NULL.
 */
must_check_ int chroma_carry(struct chroma_edit *e, const char *from, const char *id,
			     struct chroma_carried *out, struct vs_err *err);

/*
 * Make the collection @id what it is in @from: as chroma_drop(), where it is there, and
 * chroma_carry() do, but records of which each row is the same in both stay where they are, so that
 * what this costs goes by what differs. In @out are those that came.
 */
must_check_ int chroma_exchange(struct chroma_edit *e, const char *from, const char *id,
				struct chroma_carried *out, struct vs_err *err);

/*
 * A digest over the rows that an exchange of the collection @id with @from has no business with,
 * byte by byte and with their numbers: what is another collection's, or nobody's. How far segments
 * of others have come in the queue is not in it: see chroma_drop().
 */
must_check_ int chroma_others_sum(struct chroma_edit *e, const char *from, const char *id,
				  struct digest *out, struct vs_err *err);

/*
 * Take single records out of the collection @id, as the server does when it is asked to: their
 * rows go at once, and the queue says so to the index, which has to be told when it is loaded
 * next. Ids that are not there are passed over.
 */
must_check_ int chroma_remove_records(struct chroma_edit *e, const char *id,
				      const struct slice *records, size_t count,
				      struct vs_err *err);
