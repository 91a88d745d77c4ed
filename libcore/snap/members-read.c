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
#define MODE_MAX 07777u

/* What the numbers in a list have to be below. */
struct bounds {
	const char *id;
	size_t archives, collections;
	const struct snap_collection *of; /* their batches; NULL: not known */
};

struct reading {
	const struct bounds *bounds;
	struct snap_rows *rows;
	struct cursor text;
	struct buf in, path; /* of the group, and of the row */
};

static void reading_fini(struct reading *rd)
{
	buf_fini(&rd->in);
	buf_fini(&rd->path);
}

static int bad_row(const char *what, const char *path, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "the list of files has a bad %s%s%s", what,
		       path ? " at " : "", path ? path : "");
}

static int bad_text(const struct reading *rd, const char *what, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "the list of files has a bad %s before byte %zu", what,
		       cursor_off(&rd->text));
}

/* -1 is "none". */
static bool is_index(int64_t value, uint64_t below, uint32_t *out)
{
	if (value < -1 || (value >= 0 && (uint64_t)value >= below))
		return false;
	*out = value < 0 ? UINT32_MAX : (uint32_t)value;
	return true;
}

static bool scan_index(struct cursor *c, uint64_t below, uint32_t *out)
{
	int64_t value;

	return snap_scan_int(c, &value) && is_index(value, below, out);
}

static bool scan_digest(struct cursor *c, struct digest *out)
{
	struct slice hex;

	return snap_scan_is(c, "\"") && cursor_take(c, DIGEST_HEX_LEN, &hex) &&
	       hex_parse(hex, out->bytes, DIGEST_LEN) && snap_scan_is(c, "\"");
}

/* What stands behind the name. */
static bool scan_values(struct cursor *c, const struct bounds *b, struct snap_member *out)
{
	uint64_t archive = 0, mode = 0;

	if (!snap_scan_is(c, ",") || !snap_scan_uint(c, INT64_MAX, &out->size) ||
	    !snap_scan_is(c, ",") || !snap_scan_int(c, &out->modified_ns) ||
	    !snap_scan_is(c, ",") || !snap_scan_uint(c, INT64_MAX, &out->inode) ||
	    !snap_scan_is(c, ",") || !scan_digest(c, &out->digest) || !snap_scan_is(c, ",") ||
	    !snap_scan_uint(c, UINT32_MAX, &archive) || archive >= b->archives ||
	    !snap_scan_is(c, ",") || !scan_index(c, b->collections, &out->collection) ||
	    !snap_scan_is(c, ",") || !scan_index(c, UINT32_MAX, &out->batch) ||
	    !snap_scan_is(c, ",") || !snap_scan_uint(c, MODE_MAX, &mode) || !snap_scan_is(c, "]"))
		return false;
	if (out->batch != SNAP_NO_BATCH &&
	    (out->collection == UINT32_MAX ||
	     (b->of && out->batch >= b->of[out->collection].batches)))
		return false;
	out->archive = (uint32_t)archive;
	out->mode = (uint32_t)mode;
	return true;
}

static int read_row(struct reading *rd, struct vs_err *err)
{
	struct snap_rows *rows = rd->rows;
	struct snap_member member = { .row = SNAP_NO_ROW };

	buf_clear(&rd->path);
	buf_append(&rd->path, rd->in.ptr, rd->in.len);
	if (!snap_scan_is(&rd->text, "[") || !snap_scan_name(&rd->text, &rd->path))
		return bad_text(rd, "row", err);
	if (!snap_path_is_safe(buf_slice(&rd->path)))
		return bad_text(rd, "path", err);
	if (rows->member_count > 0 &&
	    snap_path_cmp(rows->members[rows->member_count - 1].path, buf_cstr(&rd->path)) >= 0)
		return bad_row("order", buf_cstr(&rd->path), err);
	if (!scan_values(&rd->text, rd->bounds, &member))
		return bad_row("row", buf_cstr(&rd->path), err);
	if (rows->member_count >= MEMBERS_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u files", MEMBERS_MAX);
	member.path = vs_strdup(buf_cstr(&rd->path));
	rows->members = vs_grow(rows->members, &rows->member_cap, rows->member_count + 1,
				sizeof(*rows->members));
	rows->members[rows->member_count++] = member;
	return 0;
}

/* {"in":"748200f7/","rows":[, where "in_hex" may stand between the two. */
static int read_group_head(struct reading *rd, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf head = { 0 };
	cleanup_(jr_freep) struct jr *doc = NULL;
	const unsigned char *start = rd->text.pos;
	struct vs_err ignored = { 0 };
	struct slice value;

	if (!snap_scan_is(&rd->text, "{\"in\":") || !snap_scan_value(&rd->text, &value) ||
	    (snap_scan_is(&rd->text, ",\"in_hex\":") && !snap_scan_value(&rd->text, &value)))
		return bad_text(rd, "group", err);
	buf_append(&head, start, (size_t)(rd->text.pos - start));
	buf_append_byte(&head, '}');
	if (jr_parse(&doc, buf_slice(&head), &ignored) < 0 || !jr_get_bytes(doc, "in", &rd->in) ||
	    !snap_scan_is(&rd->text, ",\"rows\":["))
		return bad_text(rd, "group", err);
	return 0;
}

static int read_files(struct reading *rd, struct vs_err *err)
{
	bool is_first = true;
	int r = 0;

	while (r == 0 && !snap_scan_is(&rd->text, "]}\n")) {
		if (!is_first && !snap_scan_is(&rd->text, ","))
			return bad_text(rd, "group", err);
		is_first = false;
		r = read_group_head(rd, err);
		do {
			if (r == 0)
				r = read_row(rd, err);
		} while (r == 0 && snap_scan_is(&rd->text, ","));
		if (r == 0 && !snap_scan_is(&rd->text, "]}"))
			return bad_text(rd, "group", err);
	}
	if (r == 0 && cursor_left(&rd->text) > 0)
		return bad_text(rd, "end", err);
	return r;
}

static int read_directories(struct snap_rows *rows, const struct jr *list, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf path = { 0 };

	if (!jr_is_array(list))
		return bad_row("directory", NULL, err);
	for (size_t i = 0; i < jr_count(list); i++) {
		const struct jr *o = jr_at(list, i);
		uint64_t mode = 0;
		int64_t time = 0;

		if (!jr_get_bytes(o, "path", &path) || !snap_path_is_safe(buf_slice(&path)) ||
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

/* A value in the middle of the list, by the JSON reader. */
static int read_value(struct reading *rd, const char *key, struct jr **out, struct vs_err *err)
{
	struct slice value;

	if (!snap_scan_is(&rd->text, key) || !snap_scan_value(&rd->text, &value))
		return bad_text(rd, "head", err);
	return jr_parse(out, value, err);
}

/* @base gets what stands under that key; NULL: it must not be there. */
static int read_list(struct slice text, const struct bounds *bounds, struct snap_rows *out,
		     struct jr **base, struct vs_err *err)
{
	cleanup_(reading_fini) struct reading rd = { .bounds = bounds,
						     .rows = out,
						     .text = cursor_of(text) };
	cleanup_(jr_freep) struct jr *directories = NULL;
	cleanup_(buf_fini) struct buf head = { 0 };
	int r;

	buf_printf(&head, "{\"schema\":%d,\"kind\":\"vsctl-members\",\"snapshot_id\":\"%s\"",
		   base ? SNAP_SCHEMA_BASED : SNAP_SCHEMA_WHOLE, bounds->id);
	if (!snap_scan_is(&rd.text, buf_cstr(&head)))
		return vs_fail(err, VS_EFORMAT, "not the list of files of snapshot %s", bounds->id);
	r = base ? read_value(&rd, ",\"base\":", base, err) : 0;
	if (r == 0)
		r = read_value(&rd, ",\"directories\":", &directories, err);
	if (r == 0)
		r = read_directories(out, directories, err);
	if (r == 0 && !snap_scan_is(&rd.text, ",\"files\":["))
		return bad_text(&rd, "head", err);
	return r == 0 ? read_files(&rd, err) : r;
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
		int64_t value;

		if (!jr_as_int(jr_at(list, i), &value) || !is_index(value, below, &(*out)[i]))
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

static int read_base(struct snap_manifest *m, const struct jr *o, struct snap_range **gone,
		     size_t *gone_count, struct vs_err *err)
{
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

/* ---- the whole ---- */

static int parse_whole(struct slice text, struct snap_manifest *m, struct snap_rows *rows,
		       struct vs_err *err)
{
	const struct bounds bounds = { m->id, m->archive_count, m->collection_count,
				       m->collections };
	int r = read_list(text, &bounds, rows, NULL, err);

	if (r < 0)
		return r;
	m->members = rows->members;
	m->member_count = rows->member_count;
	rows->members = NULL;
	rows->member_count = 0;
	for (size_t i = 0; i < m->member_count; i++)
		m->members[i].row = (uint32_t)i;
	return 0;
}

static int parse_based(struct slice text, struct slice base_text, struct snap_manifest *m,
		       struct snap_rows *rows, struct vs_err *err)
{
	const struct bounds bounds = { m->id, m->archive_count, m->collection_count, NULL };
	struct bounds base_bounds = { .id = m->base.snapshot };
	cleanup_(snap_rows_fini) struct snap_rows base = { 0 };
	cleanup_(jr_freep) struct jr *head = NULL;
	cleanup_(vs_freep) struct snap_range *gone = NULL;
	size_t gone_count = 0;
	int r;

	r = read_list(text, &bounds, rows, &head, err);
	if (r == 0)
		r = read_base(m, head, &gone, &gone_count, err);
	base_bounds.archives = m->base.archive_count;
	base_bounds.collections = m->base.collection_count;
	if (r == 0)
		r = read_list(base_text, &base_bounds, &base, NULL, err);
	return r == 0 ? snap_base_merge(m, &base, gone, gone_count, rows, err) : r;
}

int snap_parse_members(struct slice text, struct slice base, struct snap_manifest *m,
		       struct vs_err *err)
{
	cleanup_(snap_rows_fini) struct snap_rows rows = { 0 };
	int r;

	assert(!m->members && !m->directories);
	r = m->base.snapshot ? parse_based(text, base, m, &rows, err)
			     : parse_whole(text, m, &rows, err);
	if (r < 0) {
		snap_drop_members(m);
		return r;
	}
	m->directories = rows.directories;
	m->directory_count = rows.directory_count;
	rows.directories = NULL;
	rows.directory_count = 0;
	return 0;
}
