/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Manifests as text. The first keys are the older tool's, with its meaning, so that what reads its
 * manifests reads these; the rest is described in vsctl-snapshot(5).
 */

#include "snap/private.h"

static void digest_field(struct jw *j, const char *key, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(d, hex);
	jw_str_field(j, key, hex);
}

static void batch_names(struct jw *j, uint32_t count)
{
	jw_array(j);
	for (uint32_t i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "batch_%06" PRIu32, i);
		jw_str(j, name);
	}
	jw_array_end(j);
}

/* A directory as a key; in hex behind a DEL where it is no text, or begins with one itself. */
static const char *directory_key(const char *directory, struct buf *scratch)
{
	struct slice s = slice_str(directory);

	if (utf8_is_valid(s) && directory[0] != 0x7f)
		return directory;
	buf_clear(scratch);
	buf_append_byte(scratch, 0x7f);
	for (size_t i = 0; i < s.len; i++)
		buf_printf(scratch, "%02x", s.ptr[i]);
	return buf_cstr(scratch);
}

/*
 * What the older format calls a collection: its name. Two with one name cannot both have it, and
 * one without needs something: these go by their directories. No two get the same.
 */
static const char *older_name(const struct snap_manifest *m, size_t index, struct buf *scratch)
{
	const struct snap_collection *c = &m->collections[index];

	if (c->name.len == 0 || !utf8_is_valid(c->name) || c->name.ptr[0] == 0x7f ||
	    memchr(c->name.ptr, 0, c->name.len))
		return directory_key(c->directory, scratch);
	for (size_t i = 0; i < m->collection_count; i++) {
		if (i != index && (slice_eq(m->collections[i].name, c->name) ||
				   slice_eq_str(c->name, m->collections[i].directory)))
			return directory_key(c->directory, scratch);
	}
	buf_clear(scratch);
	buf_append(scratch, c->name.ptr, c->name.len);
	return buf_cstr(scratch);
}

static void older_collections(struct jw *j, const struct snap_manifest *m)
{
	cleanup_(buf_fini) struct buf name = { 0 };

	jw_key(j, "collections");
	jw_object(j);
	for (size_t i = 0; i < m->collection_count; i++) {
		jw_key(j, older_name(m, i, &name));
		jw_object(j);
		jw_uint_field(j, "total_documents", m->collections[i].documents);
		jw_key(j, "batches");
		batch_names(j, m->collections[i].batches);
		jw_object_end(j);
	}
	jw_object_end(j);
	jw_key(j, "batch_metadata");
	jw_object(j);
	for (size_t i = 0; i < m->collection_count; i++) {
		jw_key(j, older_name(m, i, &name));
		batch_names(j, m->collections[i].batches);
	}
	jw_object_end(j);
}

/* (1 - archive / content) * 100, and never below 0: very small stores do not get smaller. */
static double ratio_of(const struct snap_manifest *m)
{
	double packed = (double)m->archives[0].size;

	if (m->stored_bytes == 0 || packed >= (double)m->stored_bytes)
		return 0;
	return (1 - packed / (double)m->stored_bytes) * 100;
}

static void older_keys(struct jw *j, const struct snap_manifest *m)
{
	char when[32];

	time_format(m->time_ns, false, when);
	jw_str_field(j, "snapshot_id", m->id);
	jw_str_field(j, "timestamp", when);
	jw_str_field(j, "chromadb_url", m->store_path);
	older_collections(j, m);
	jw_uint_field(j, "total_chunks", m->documents);
	jw_uint_field(j, "total_collections", m->collection_count);
	jw_key(j, "snapshot_size_mb");
	jw_double(j, (double)m->archives[0].size / (1 << 20), 3);
	digest_field(j, "checksum_sha256", &m->archives[0].digest);
	jw_key(j, "compression_ratio");
	jw_double(j, ratio_of(m), 2);
	jw_str_field(j, "status", snap_status_name(m->status));
	jw_str_field(j, "error_message", m->error_message);
	jw_key(j, "retention_until");
	jw_null(j);
}

static void write_health(struct jw *j, const struct snap_health *h)
{
	jw_key(j, "health");
	if (!h->verdict) {
		jw_null(j);
		return;
	}
	jw_object(j);
	jw_str_field(j, "verdict", h->verdict);
	jw_str_field(j, "loadable", h->loadable);
	jw_str_field(j, "level", h->level);
	jw_uint_field(j, "errors", h->errors);
	jw_uint_field(j, "warnings", h->warnings);
	jw_object_end(j);
}

static void write_drill(struct jw *j, const struct snap_drill *d)
{
	char when[32];

	jw_key(j, "drill");
	if (d->time_ns == 0) {
		jw_null(j);
		return;
	}
	time_format(d->time_ns, false, when);
	jw_object(j);
	jw_str_field(j, "time", when);
	jw_uint_field(j, "time_ns", (uint64_t)d->time_ns);
	jw_bool_field(j, "good", d->is_good);
	jw_uint_field(j, "duration_ms", d->duration_ms);
	jw_str_field(j, "message", d->message);
	jw_object_end(j);
}

static void write_archives(struct jw *j, const struct snap_manifest *m)
{
	jw_key(j, "archives");
	jw_array(j);
	for (size_t i = 0; i < m->archive_count; i++) {
		const struct snap_archive *a = &m->archives[i];

		jw_object(j);
		jw_str_field(j, "file", a->file);
		jw_str_field(j, "snapshot", a->snapshot);
		jw_uint_field(j, "size", a->size);
		digest_field(j, "sha256", &a->digest);
		jw_bool_field(j, "sealed", a->is_sealed);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static void write_collections(struct jw *j, const struct snap_manifest *m)
{
	jw_key(j, "collection_list");
	jw_array(j);
	for (size_t i = 0; i < m->collection_count; i++) {
		const struct snap_collection *c = &m->collections[i];

		jw_object(j);
		jw_bytes_field(j, "directory", slice_str(c->directory));
		if (c->name.len > 0)
			jw_bytes_field(j, "name", c->name);
		else
			jw_str_field(j, "name", NULL);
		jw_uint_field(j, "documents", c->documents);
		jw_uint_field(j, "bytes", c->bytes);
		jw_uint_field(j, "batches", c->batches);
		digest_field(j, "root", &c->root);
		if (c->has_rows)
			digest_field(j, "rows", &c->rows);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static void write_skipped(struct jw *j, const struct snap_manifest *m)
{
	jw_key(j, "skipped");
	jw_array(j);
	for (size_t i = 0; i < m->skipped_count; i++) {
		jw_object(j);
		jw_bytes_field(j, "path", slice_str(m->skipped[i].path));
		jw_str_field(j, "why", m->skipped[i].why);
		jw_object_end(j);
	}
	jw_array_end(j);
}

static void write_base(struct jw *j, const struct snap_manifest *m)
{
	if (!m->base.snapshot)
		return;
	jw_key(j, "members_base");
	jw_object(j);
	jw_str_field(j, "snapshot", m->base.snapshot);
	jw_uint_field(j, "size", m->base.size);
	digest_field(j, "sha256", &m->base.digest);
	jw_object_end(j);
}

static void our_keys(struct jw *j, const struct snap_manifest *m)
{
	jw_str_field(j, "tool_version", m->tool_version);
	jw_uint_field(j, "time_ns", (uint64_t)m->time_ns);
	jw_str_field(j, "store_kind", m->store_kind);
	jw_bytes_field(j, "store_path", slice_str(m->store_path));
	if (m->has_owner) {
		jw_key(j, "store_owner");
		jw_object(j);
		jw_uint_field(j, "user", m->owner);
		jw_uint_field(j, "group", m->group);
		jw_object_end(j);
	}
	jw_str_field(j, "parent", m->parent);
	jw_uint_field(j, "chain", m->chain);
	jw_bool_field(j, "stable", m->is_stable);
	jw_str_field(j, "reason", m->reason);
	write_health(j, &m->health);
	write_drill(j, &m->drill);
	jw_key(j, "audit");
	jw_object(j);
	jw_uint_field(j, "seq", m->audit_seq);
	digest_field(j, "digest", &m->audit_digest);
	jw_object_end(j);
	jw_uint_field(j, "bytes", m->bytes);
	jw_uint_field(j, "files", m->member_count_total);
	jw_uint_field(j, "stored_bytes", m->stored_bytes);
	jw_uint_field(j, "stored_files", m->stored_members);
	digest_field(j, "root", &m->root);
	digest_field(j, "members_sha256", &m->members_digest);
	jw_uint_field(j, "members_size", m->members_size);
	write_base(j, m);
	write_archives(j, m);
	write_collections(j, m);
	write_skipped(j, m);
}

void snap_format_manifest(const struct snap_manifest *m, struct buf *out)
{
	struct digest seal;
	char hex[DIGEST_HEX_LEN + 1];
	size_t start = out->len;
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "schema", m->base.snapshot ? SNAP_SCHEMA_BASED : SNAP_SCHEMA_WHOLE);
	jw_str_field(&j, "kind", "vsctl-snapshot");
	older_keys(&j, m);
	our_keys(&j, m);
	digest_of(slice_of(out->ptr + start, out->len - start), &seal);
	digest_format(&seal, hex);
	jw_str_field(&j, "manifest_sha256", hex);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}
