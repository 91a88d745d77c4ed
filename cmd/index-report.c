/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the vectors of indexes that are written anew come from, and each record, by id, that has lost
 * something: its owner can have it embedded again.
 */

#include "index-report.h"

#define SHOWN 20

static const struct emit_field fields[] = {
	{ .key = "collection", .heading = NULL },
	{ .key = "name", .heading = "collection" },
	{ .key = "records", .heading = "vectors", .is_number = true },
	{ .key = "from_index", .heading = "old index", .is_number = true },
	{ .key = "from_queue", .heading = "queue", .is_number = true },
	{ .key = "by_order", .heading = "ids by order", .is_number = true },
	{ .key = "lost", .heading = "lost", .is_number = true },
	{ .key = "lengths_lost", .heading = "lengths lost", .is_number = true },
	{ .key = "relinked", .heading = "linked anew", .is_number = true },
	{ .key = "mended", .heading = NULL },
	{ 0 },
};

static const struct emit_field incomplete_fields[] = {
	{ .key = "collection", .heading = NULL },
	{ .key = "id", .heading = NULL },
	{ .key = "missing", .heading = NULL },
	{ 0 },
};

static void list_ids(struct emit *e, const struct index_job *job, struct slice ids,
		     const char *missing)
{
	struct slice id;

	while (index_ids_next(&ids, &id)) {
		emit_str(e, job->collection);
		emit_bytes(e, id);
		emit_str(e, missing);
	}
}

/* A few of them; all are in the JSON document. */
static void show_ids(struct change *c, uint64_t count, struct slice all, const char *what)
{
	cleanup_(buf_fini) struct buf ids = { 0 };
	struct slice id;

	for (unsigned i = 0; i < SHOWN && index_ids_next(&all, &id); i++) {
		buf_append_str(&ids, i > 0 ? ", " : "");
		text_escape(&ids, id);
	}
	if (count > 0)
		emit_line(&c->app->emit, "%" PRIu64 " without %s: %s%s", count, what,
			  buf_cstr(&ids),
			  count > SHOWN ? ", ... (all of them: --format json)" : "");
}

static void list_indexes(struct emit *e, const struct indexes *indexes)
{
	emit_table(e, "indexes", fields);
	for (size_t i = 0; i < indexes->count; i++) {
		const struct index_job *job = &indexes->row[i];
		const struct index_summary *s = &job->summary;

		emit_str(e, job->collection);
		emit_bytes(e, job->name);
		emit_uint(e, s->records);
		emit_uint(e, s->source[INDEX_FROM_INDEX]);
		emit_uint(e, s->source[INDEX_FROM_QUEUE]);
		emit_uint(e, s->paired);
		emit_uint(e, s->lost);
		emit_uint(e, s->norms_lost);
		emit_uint(e, s->is_mended ? s->relinked : s->records);
		emit_bool(e, s->is_mended);
	}
	emit_table_end(e);
}

void index_report(struct change *c, void *ctx)
{
	const struct indexes *indexes = ctx;
	struct emit *e = &c->app->emit;

	if (indexes->count == 0)
		return;
	list_indexes(e, indexes);
	emit_table(e, "incomplete", incomplete_fields);
	for (size_t i = 0; i < indexes->count; i++) {
		const struct index_summary *s = &indexes->row[i].summary;

		list_ids(e, &indexes->row[i], buf_slice(&s->lost_ids), "vector");
		list_ids(e, &indexes->row[i], buf_slice(&s->norm_lost_ids), "length");
	}
	emit_table_end(e);
	for (size_t i = 0; i < indexes->count; i++) {
		const struct index_summary *s = &indexes->row[i].summary;

		show_ids(c, s->lost, buf_slice(&s->lost_ids),
			 s->is_of_two ? "a copy of their vector that is surely theirs, as two "
					"processes wrote the index at the same time; to be "
					"embedded again"
				      : "any copy of their vector, to be embedded again");
		show_ids(c, s->norms_lost, buf_slice(&s->norm_lost_ids),
			 "the length of their vector, which is 1 now; its direction is whole");
	}
}
