/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of members as text: whole, or what differs from the whole list of an older snapshot. The
 * grammar is in members-read.c.
 */

#include "snap/private.h"

static void name_item(struct jw *j, struct slice name)
{
	if (utf8_is_valid(name)) {
		jw_text(j, name);
		return;
	}
	jw_object(j);
	jw_bytes_field(j, "name", name);
	jw_object_end(j);
}

static void write_file(struct jw *j, const struct snap_member *member, struct slice name)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(&member->digest, hex);
	jw_array(j);
	name_item(j, name);
	jw_uint(j, member->size);
	jw_int(j, member->modified_ns);
	jw_uint(j, member->inode);
	jw_str(j, hex);
	jw_uint(j, member->archive);
	jw_int(j, member->collection == UINT32_MAX ? -1 : (int64_t)member->collection);
	jw_int(j, member->batch == SNAP_NO_BATCH ? -1 : (int64_t)member->batch);
	jw_uint(j, member->mode);
	jw_array_end(j);
}

/* Length of the path before the last '/', and of all up to it and with it. */
static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Is it in the list that this one builds on? */
static bool is_inherited(const struct snap_manifest *m, size_t at)
{
	return m->base.snapshot && m->members[at].row != SNAP_NO_ROW;
}

static void write_groups(struct jw *j, const struct snap_manifest *m)
{
	const char *group = NULL;
	size_t len = 0;

	jw_key(j, "files");
	jw_array(j);
	for (size_t at = 0; at < m->member_count; at++) {
		const char *path = m->members[at].path;

		if (is_inherited(m, at))
			continue;
		if (!group || parent_len(path) != len || memcmp(path, group, len) != 0) {
			if (group) {
				jw_array_end(j);
				jw_object_end(j);
			}
			group = path;
			len = parent_len(path);
			jw_object(j);
			jw_bytes_field(j, "in", slice_of(group, len));
			jw_key(j, "rows");
			jw_array(j);
		}
		write_file(j, &m->members[at], slice_str(path + len));
	}
	if (group) {
		jw_array_end(j);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static void write_directories(struct jw *j, const struct snap_manifest *m)
{
	jw_key(j, "directories");
	jw_array(j);
	for (size_t i = 0; i < m->directory_count; i++) {
		jw_object(j);
		jw_bytes_field(j, "path", slice_str(m->directories[i].path));
		jw_uint_field(j, "mode", m->directories[i].mode);
		jw_key(j, "modified_ns");
		jw_int(j, m->directories[i].modified_ns);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static void write_numbers(struct jw *j, const char *key, const uint32_t *numbers, size_t count)
{
	jw_key(j, key);
	jw_array(j);
	for (size_t i = 0; i < count; i++)
		jw_int(j, numbers[i] == UINT32_MAX ? -1 : (int64_t)numbers[i]);
	jw_array_end(j);
}

static void write_range(struct jw *j, uint64_t first, uint64_t end)
{
	if (first == end)
		return;
	jw_array(j);
	jw_uint(j, first);
	jw_uint(j, end - first);
	jw_array_end(j);
}

static void write_base(struct jw *j, const struct snap_manifest *m)
{
	uint64_t next = 0;

	jw_key(j, "base");
	jw_object(j);
	jw_str_field(j, "snapshot", m->base.snapshot);
	write_numbers(j, "archives", m->base.archives, m->base.archive_count);
	write_numbers(j, "collections", m->base.collections, m->base.collection_count);
	jw_key(j, "gone");
	jw_array(j);
	/* Both lists are in the order of the paths, so what is taken over has rising numbers. */
	for (size_t i = 0; i < m->member_count; i++) {
		if (!is_inherited(m, i))
			continue;
		write_range(j, next, m->members[i].row);
		next = (uint64_t)m->members[i].row + 1;
	}
	write_range(j, next, m->base.row_count);
	jw_array_end(j);
	jw_object_end(j);
}

void snap_format_members(const struct snap_manifest *m, struct buf *out)
{
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", m->base.snapshot ? SNAP_SCHEMA_BASED : SNAP_SCHEMA_WHOLE);
	jw_str_field(&j, "kind", "vsctl-members");
	jw_str_field(&j, "snapshot_id", m->id);
	if (m->base.snapshot)
		write_base(&j, m);
	write_directories(&j, m);
	write_groups(&j, m);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}
