/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the two ways of a collection share: out (drop.c) and in (carry.c).
 *
 * In statements ?1 is the collection's id. The database that rows come from is attached as `carried`.
 */

#include "chroma/chroma.h"

/* Segments and records of ?1 in the database that is named before. */
#define SEGMENTS_OF(db) "(SELECT id FROM " db ".segments WHERE collection = ?1)"
#define RECORDS_OF(db) "(SELECT id FROM " db ".embeddings WHERE segment_id IN " SEGMENTS_OF(db) ")"
/* The last part of a topic is the collection's id. */
#define IS_TOPIC "substr(topic, -length(?1) - 1) = '/' || ?1"

/* Records that are the same in both, where an exchange has looked for them: they neither go nor
 * come. */
#define ARE_SAME "id IN (SELECT id FROM temp.carried_same)"

struct carrying {
	struct chroma_edit *e;
	struct chroma_db *db;
	const char *id;
	bool keeps_same; /* temp.carried_same is there */
	struct chroma_carried out;
};

/* One statement with ?1. */
must_check_ int carry_run(struct carrying *c, const char *sql, int64_t *changed,
			  struct vs_err *err);

/* A number that a question without rows leaves at 0; @sql may have ?1 in it. */
must_check_ int carry_ask(struct carrying *c, const char *sql, int64_t *out, struct vs_err *err);

/* Does @schema, "main" or "carried", have the table? */
must_check_ int carry_has_table(struct carrying *c, const char *schema, const char *table,
				bool *out, struct vs_err *err);

/* Attach @from, unless that was done. */
must_check_ int carry_attach(struct carrying *c, const char *from, struct vs_err *err);

/* Are the tables of both those of the same release? VS_ENOTSUP: no. */
must_check_ int carry_check_schema(struct carrying *c, struct vs_err *err);

/* Find the records that are the same in both, and say so in @c; same.c says what is compared. */
must_check_ int carry_find_same(struct carrying *c, struct vs_err *err);

/* Where numbering of the queue stands. */
must_check_ int carry_find_top(struct carrying *c, int64_t *top, struct vs_err *err);

/*
 * The server numbers on from the highest row of the queue, and passes over what a segment has seen
 * by its number. Where the highest rows have left, a segment that had come to @old must not be
 * ahead of the numbers that come next. One that was ahead before is not touched.
 */
must_check_ int carry_settle_positions(struct carrying *c, int64_t old, struct vs_err *err);

/* Records of the segments that the question @segments names, with what hangs on them. */
must_check_ int carry_drop_records(struct carrying *c, const char *segments, struct vs_err *err);

/* All that is the collection's by its id. */
must_check_ int carry_drop_rows(struct carrying *c, struct vs_err *err);
