/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of members from text that is not trusted. What is accepted is what snap_format_members()
 * writes: safe paths in strictly rising order, so that none is there twice; archives, collections
 * and batches that exist.
 *
 *	{"schema":1,"kind":"vsctl-members","snapshot_id":ID,
 *	 "directories":[{"path","mode","modified_ns"}],
 *	 "files":[{"in":"748200f7/","rows":[[name,size,modified_ns,inode,sha256,archive,collection,
 *	 batch,mode]]}]}
 *
 * One that builds on another has schema 2, the files that are not in that one as they are here,
 * and before the directories
 *
 *	"base":{"snapshot":ID,"archives":[1,-1],"collections":[0],"gone":[[first,count]]}
 *
 * where the numbers of archives and collections in the other list lead to those in this one, and
 * "gone" has the rows of the other list that are not taken over, in rising order.
 */

#include "snap/private.h"

#define MEMBERS_MAX 100000000u
#define ROW_LEN 9
#define MODE_MAX 07777u

/* What the numbers in a list have to be below. */
struct bounds {
	const char *id;
	uint64_t schema;
	size_t archives, collections;
	const struct snap_collection *of; /* their batches; NULL: not known */
};

struct reading {
	const struct bounds *bounds;
	struct snap_rows *rows;
	struct buf path;
};

static int bad_row(const char *what, const char *path, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "the list of files has a bad %s%s%s", what,
		       path ? " at " : "", path ? path : "");
}

static bool row_name(const struct jr *item, struct buf *out)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	const char *text;

	if (jr_as_str(item, &text)) {
		buf_append_str(out, text);
		return true;
	}
	if (!snap_get_bytes(item, "name", &bytes))
		return false;
	buf_append(out, bytes.ptr, bytes.len);
	return true;
}

/* -1 is "none". */
static bool row_index(const struct jr *item, uint64_t below, uint32_t *out)
{
	int64_t value;

	if (!jr_as_int(item, &value) || value < -1 || (value >= 0 && (uint64_t)value >= below))
		return false;
	*out = value < 0 ? UINT32_MAX : (uint32_t)value;
	return true;
}

static bool read_values(const struct jr *row, const struct bounds *b, struct snap_member *out)
{
	uint64_t archive = 0, mode = 0;
	const char *hex;

	if (!jr_as_uint(jr_at(row, 1), &out->size) || out->size > INT64_MAX ||
	    !jr_as_int(jr_at(row, 2), &out->modified_ns) ||
	    !jr_as_uint(jr_at(row, 3), &out->inode) || !jr_as_str(jr_at(row, 4), &hex) ||
	    !hex_parse(slice_str(hex), out->digest.bytes, DIGEST_LEN) ||
	    !jr_as_uint(jr_at(row, 5), &archive) || archive >= b->archives ||
	    !row_index(jr_at(row, 6), b->collections, &out->collection) ||
	    !row_index(jr_at(row, 7), UINT32_MAX, &out->batch) ||
	    !jr_as_uint(jr_at(row, 8), &mode) || mode > MODE_MAX)
		return false;
	if (out->batch != SNAP_NO_BATCH &&
	    (out->collection == UINT32_MAX ||
	     (b->of && out->batch >= b->of[out->collection].batches)))
		return false;
	out->archive = (uint32_t)archive;
	out->mode = (uint32_t)mode;
	return true;
}

static int read_row(struct reading *rd, struct slice in, const struct jr *row, struct vs_err *err)
{
	struct snap_rows *rows = rd->rows;
	struct snap_member member = { .row = SNAP_NO_ROW };

	buf_clear(&rd->path);
	buf_append(&rd->path, in.ptr, in.len);
	if (jr_count(row) != ROW_LEN || !row_name(jr_at(row, 0), &rd->path))
		return bad_row("row", NULL, err);
	if (!snap_path_is_safe(buf_slice(&rd->path)))
		return bad_row("path", NULL, err);
	if (rows->member_count > 0 &&
	    snap_path_cmp(rows->members[rows->member_count - 1].path, buf_cstr(&rd->path)) >= 0)
		return bad_row("order", buf_cstr(&rd->path), err);
	if (!read_values(row, rd->bounds, &member))
		return bad_row("row", buf_cstr(&rd->path), err);
	if (rows->member_count >= MEMBERS_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u files", MEMBERS_MAX);
	member.path = vs_strdup(buf_cstr(&rd->path));
	rows->members = vs_grow(rows->members, &rows->member_cap, rows->member_count + 1,
				sizeof(*rows->members));
	rows->members[rows->member_count++] = member;
	return 0;
}

static int read_files(struct reading *rd, const struct jr *doc, struct vs_err *err)
{
	const struct jr *groups = jr_get(doc, "files");
	cleanup_(buf_fini) struct buf in = { 0 };
	int r = 0;

	if (!jr_is_array(groups))
		return bad_row("group", NULL, err);
	for (size_t i = 0; r == 0 && i < jr_count(groups); i++) {
		const struct jr *list = jr_get(jr_at(groups, i), "rows");

		if (!snap_get_bytes(jr_at(groups, i), "in", &in) || !jr_is_array(list))
			return bad_row("group", NULL, err);
		for (size_t k = 0; r == 0 && k < jr_count(list); k++)
			r = read_row(rd, buf_slice(&in), jr_at(list, k), err);
	}
	return r;
}

static int read_directories(struct snap_rows *rows, const struct jr *doc, struct vs_err *err)
{
	const struct jr *list = jr_get(doc, "directories");
	cleanup_(buf_fini) struct buf path = { 0 };

	if (!jr_is_array(list))
		return bad_row("directory", NULL, err);
	for (size_t i = 0; i < jr_count(list); i++) {
		const struct jr *o = jr_at(list, i);
		uint64_t mode = 0;
		int64_t time = 0;

		if (!snap_get_bytes(o, "path", &path) || !snap_path_is_safe(buf_slice(&path)) ||
		    !jr_get_uint(o, "mode", &mode) || mode > MODE_MAX ||
		    !jr_get_int(o, "modified_ns", &time))
			return bad_row("directory", NULL, err);
		if (i > 0 && snap_path_cmp(rows->directories[i - 1].path, buf_cstr(&path)) >= 0)
			return bad_row("order of directories", buf_cstr(&path), err);
		rows->directories = vs_grow(rows->directories, &rows->directory_cap, i + 1,
					    sizeof(*rows->directories));
		rows->directories[rows->directory_count++] =
			(struct snap_directory){ vs_strdup(buf_cstr(&path)), (uint32_t)mode, time };
	}
	return 0;
}

static int read_list(const struct jr *doc, const struct bounds *bounds, struct snap_rows *out,
		     struct vs_err *err)
{
	struct reading rd = { .bounds = bounds, .rows = out };
	const char *kind = NULL;
	const char *id = NULL;
	uint64_t schema = 0;
	int r;

	if (!jr_get_str(doc, "kind", &kind) || strcmp(kind, "vsctl-members") != 0 ||
	    !jr_get_uint(doc, "schema", &schema) || schema != bounds->schema ||
	    !jr_get_str(doc, "snapshot_id", &id) || strcmp(id, bounds->id) != 0)
		return vs_fail(err, VS_EFORMAT, "not the list of files of snapshot %s", bounds->id);
	r = read_directories(out, doc, err);
	if (r == 0)
		r = read_files(&rd, doc, err);
	buf_fini(&rd.path);
	return r;
}

/* ---- what a list builds on ---- */

#define NUMBERS_MAX 1000000u

static bool read_numbers(const struct jr *o, const char *key, size_t below, uint32_t **out,
			 size_t *count_out)
{
	const struct jr *list = jr_get(o, key);
	size_t count = jr_count(list);

	if (!jr_is_array(list) || count > NUMBERS_MAX)
		return false;
	*out = vs_alloc_array(count, sizeof(**out));
	*count_out = count;
	for (size_t i = 0; i < count; i++) {
		if (!row_index(jr_at(list, i), below, &(*out)[i]))
			return false;
	}
	return true;
}

static bool read_gone(const struct jr *list, struct snap_range **out, size_t *count_out)
{
	size_t count = jr_count(list);
	uint64_t next = 0;

	if (!jr_is_array(list))
		return false;
	*out = vs_alloc_array(count, sizeof(**out));
	*count_out = count;
	for (size_t i = 0; i < count; i++) {
		const struct jr *pair = jr_at(list, i);
		struct snap_range *range = &(*out)[i];

		if (jr_count(pair) != 2 || !jr_as_uint(jr_at(pair, 0), &range->first) ||
		    !jr_as_uint(jr_at(pair, 1), &range->count) || range->first < next ||
		    range->count == 0 || range->count > MEMBERS_MAX || range->first > MEMBERS_MAX)
			return false;
		next = range->first + range->count;
	}
	return true;
}

static int read_base(struct snap_manifest *m, const struct jr *doc, struct snap_range **gone,
		     size_t *gone_count, struct vs_err *err)
{
	const struct jr *o = jr_get(doc, "base");
	struct snap_base *base = &m->base;
	const char *snapshot = NULL;

	if (!jr_get_str(o, "snapshot", &snapshot) || strcmp(snapshot, base->snapshot) != 0 ||
	    !read_numbers(o, "archives", m->archive_count, &base->archives, &base->archive_count) ||
	    !read_numbers(o, "collections", m->collection_count, &base->collections,
			  &base->collection_count) ||
	    !read_gone(jr_get(o, "gone"), gone, gone_count))
		return bad_row("base", NULL, err);
	return 0;
}

static int parse_base(struct slice text, const struct snap_manifest *m, struct snap_rows *out,
		      struct vs_err *err)
{
	const struct bounds bounds = { m->base.snapshot, SNAP_SCHEMA_WHOLE, m->base.archive_count,
				       m->base.collection_count, NULL };
	cleanup_(jr_freep) struct jr *doc = NULL;
	int r = jr_parse(&doc, text, err);

	return r < 0 ? r : read_list(doc, &bounds, out, err);
}

/* ---- the whole ---- */

static void take_rows(struct snap_manifest *m, struct snap_rows *rows)
{
	m->members = rows->members;
	m->member_count = rows->member_count;
	rows->members = NULL;
	rows->member_count = 0;
	for (size_t i = 0; i < m->member_count; i++)
		m->members[i].row = (uint32_t)i;
}

int snap_parse_members(struct slice text, struct slice base_text, struct snap_manifest *m,
		       struct vs_err *err)
{
	bool is_whole = !m->base.snapshot;
	const struct bounds bounds = { m->id, is_whole ? SNAP_SCHEMA_WHOLE : SNAP_SCHEMA_BASED,
				       m->archive_count, m->collection_count,
				       is_whole ? m->collections : NULL };
	cleanup_(jr_freep) struct jr *doc = NULL;
	cleanup_(snap_rows_fini) struct snap_rows rows = { 0 };
	cleanup_(snap_rows_fini) struct snap_rows base = { 0 };
	cleanup_(vs_freep) struct snap_range *gone = NULL;
	size_t gone_count = 0;
	int r;

	assert(!m->members && !m->directories);
	r = jr_parse(&doc, text, err);
	if (r == 0)
		r = read_list(doc, &bounds, &rows, err);
	if (r == 0 && !is_whole)
		r = read_base(m, doc, &gone, &gone_count, err);
	if (r == 0 && !is_whole)
		r = parse_base(base_text, m, &base, err);
	if (r == 0 && !is_whole)
		r = snap_base_merge(m, &base, gone, gone_count, &rows, err);
	if (r < 0) {
		snap_drop_members(m);
		return r;
	}
	if (is_whole)
		take_rows(m, &rows);
	m->directories = rows.directories;
	m->directory_count = rows.directory_count;
	rows.directories = NULL;
	rows.directory_count = 0;
	return 0;
}
