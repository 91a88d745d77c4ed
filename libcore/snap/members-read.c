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
 */

#include "snap/private.h"

#define MEMBERS_MAX 100000000u
#define ROW_LEN 9
#define MODE_MAX 07777u

struct rows {
	struct snap_manifest *m;
	size_t cap;
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

static bool read_values(const struct jr *row, const struct snap_manifest *m,
			struct snap_member *out)
{
	uint64_t archive = 0, mode = 0;
	const char *hex;

	if (!jr_as_uint(jr_at(row, 1), &out->size) || out->size > INT64_MAX ||
	    !jr_as_int(jr_at(row, 2), &out->modified_ns) ||
	    !jr_as_uint(jr_at(row, 3), &out->inode) || !jr_as_str(jr_at(row, 4), &hex) ||
	    !hex_parse(slice_str(hex), out->digest.bytes, DIGEST_LEN) ||
	    !jr_as_uint(jr_at(row, 5), &archive) || archive >= m->archive_count ||
	    !row_index(jr_at(row, 6), m->collection_count, &out->collection) ||
	    !row_index(jr_at(row, 7), UINT32_MAX, &out->batch) ||
	    !jr_as_uint(jr_at(row, 8), &mode) || mode > MODE_MAX)
		return false;
	if (out->batch != SNAP_NO_BATCH && (out->collection == UINT32_MAX ||
					    out->batch >= m->collections[out->collection].batches))
		return false;
	out->archive = (uint32_t)archive;
	out->mode = (uint32_t)mode;
	return true;
}

static int read_row(struct rows *rows, struct slice in, const struct jr *row, struct vs_err *err)
{
	struct snap_manifest *m = rows->m;
	struct snap_member member = { 0 };

	buf_clear(&rows->path);
	buf_append(&rows->path, in.ptr, in.len);
	if (jr_count(row) != ROW_LEN || !row_name(jr_at(row, 0), &rows->path))
		return bad_row("row", NULL, err);
	if (!snap_path_is_safe(buf_slice(&rows->path)))
		return bad_row("path", NULL, err);
	if (m->member_count > 0 &&
	    snap_path_cmp(m->members[m->member_count - 1].path, buf_cstr(&rows->path)) >= 0)
		return bad_row("order", buf_cstr(&rows->path), err);
	if (!read_values(row, m, &member))
		return bad_row("row", buf_cstr(&rows->path), err);
	if (m->member_count >= MEMBERS_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %u files", MEMBERS_MAX);
	member.path = vs_strdup(buf_cstr(&rows->path));
	m->members = vs_grow(m->members, &rows->cap, m->member_count + 1, sizeof(*m->members));
	m->members[m->member_count++] = member;
	return 0;
}

static int read_files(struct rows *rows, const struct jr *doc, struct vs_err *err)
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
			r = read_row(rows, buf_slice(&in), jr_at(list, k), err);
	}
	return r;
}

static int read_directories(struct snap_manifest *m, const struct jr *doc, struct vs_err *err)
{
	const struct jr *list = jr_get(doc, "directories");
	cleanup_(buf_fini) struct buf path = { 0 };
	size_t cap = 0;

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
		if (i > 0 && snap_path_cmp(m->directories[i - 1].path, buf_cstr(&path)) >= 0)
			return bad_row("order of directories", buf_cstr(&path), err);
		m->directories = vs_grow(m->directories, &cap, i + 1, sizeof(*m->directories));
		m->directories[m->directory_count++] =
			(struct snap_directory){ vs_strdup(buf_cstr(&path)), (uint32_t)mode, time };
	}
	return 0;
}

int snap_parse_members(struct slice text, struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct rows rows = { .m = m };
	const char *kind = NULL;
	const char *id = NULL;
	uint64_t schema = 0;
	int r;

	assert(!m->members && !m->directories);
	r = jr_parse(&doc, text, err);
	if (r < 0)
		return r;
	if (!jr_get_str(doc, "kind", &kind) || strcmp(kind, "vsctl-members") != 0 ||
	    !jr_get_uint(doc, "schema", &schema) || schema != 1 ||
	    !jr_get_str(doc, "snapshot_id", &id) || strcmp(id, m->id) != 0)
		return vs_fail(err, VS_EFORMAT, "not the list of files of snapshot %s", m->id);
	r = read_directories(m, doc, err);
	if (r == 0)
		r = read_files(&rows, doc, err);
	buf_fini(&rows.path);
	return r;
}
