/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Manifests from text that is not trusted: every field is there, has its type, and names nothing
 * outside the directories of snapshots. The digest at the end covers all of it, so a changed byte
 * is found before any of it is believed.
 */

#include "snap/private.h"

/* Counts that no real manifest has, checked before anything is allocated for them. */
#define ARCHIVES_MAX 1000u
#define COLLECTIONS_MAX 1000000u

/* What is being read, and the first thing that was wrong with it. */
struct reading {
	struct snap_manifest *m;
	const char *bad; /* key */
};

static bool bad(struct reading *rd, const char *key)
{
	if (!rd->bad)
		rd->bad = key;
	return false;
}

static bool get_text(struct reading *rd, const struct jr *object, const char *key, char **out)
{
	const char *text;

	if (!jr_get_str(object, key, &text))
		return bad(rd, key);
	*out = vs_strdup(text);
	return true;
}

/* The same, and null is NULL. */
static bool get_text_or_null(struct reading *rd, const struct jr *object, const char *key,
			     char **out)
{
	return jr_is_null(jr_get(object, key)) || get_text(rd, object, key, out);
}

/* A path: text or bytes, without a NUL. */
static bool get_path(struct reading *rd, const struct jr *object, const char *key, char **out)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };

	if (!jr_get_bytes(object, key, &bytes) ||
	    (bytes.len > 0 && memchr(bytes.ptr, 0, bytes.len)))
		return bad(rd, key);
	*out = buf_take_str(&bytes);
	return true;
}

static bool get_uint(struct reading *rd, const struct jr *object, const char *key, uint64_t max,
		     uint64_t *out)
{
	if (!jr_get_uint(object, key, out) || *out > max)
		return bad(rd, key);
	return true;
}

static bool get_u32(struct reading *rd, const struct jr *object, const char *key, uint32_t *out)
{
	uint64_t value = 0;

	if (!get_uint(rd, object, key, UINT32_MAX - 1, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool get_bool(struct reading *rd, const struct jr *object, const char *key, bool *out)
{
	return jr_get_bool(object, key, out) || bad(rd, key);
}

static bool get_digest(struct reading *rd, const struct jr *object, const char *key,
		       struct digest *out)
{
	const char *hex;

	if (!jr_get_str(object, key, &hex) || !hex_parse(slice_str(hex), out->bytes, DIGEST_LEN))
		return bad(rd, key);
	return true;
}

static bool read_status(struct reading *rd, const struct jr *doc)
{
	const char *word;

	if (!jr_get_str(doc, "status", &word))
		return bad(rd, "status");
	for (unsigned i = 0; i <= SNAP_FAILED; i++) {
		if (strcmp(word, snap_status_name((enum snap_status)i)) == 0) {
			rd->m->status = (enum snap_status)i;
			return true;
		}
	}
	return bad(rd, "status");
}

static bool read_health(struct reading *rd, const struct jr *doc)
{
	const struct jr *o = jr_get(doc, "health");
	struct snap_health *h = &rd->m->health;

	if (jr_is_null(o))
		return true;
	return get_text(rd, o, "verdict", &h->verdict) &&
	       get_text(rd, o, "loadable", &h->loadable) && get_text(rd, o, "level", &h->level) &&
	       get_uint(rd, o, "errors", UINT64_MAX, &h->errors) &&
	       get_uint(rd, o, "warnings", UINT64_MAX, &h->warnings);
}

static bool read_drill(struct reading *rd, const struct jr *doc)
{
	const struct jr *o = jr_get(doc, "drill");
	struct snap_drill *d = &rd->m->drill;
	uint64_t time_ns = 0;

	if (jr_is_null(o))
		return true;
	if (!get_uint(rd, o, "time_ns", INT64_MAX, &time_ns) ||
	    !get_bool(rd, o, "good", &d->is_good) ||
	    !get_uint(rd, o, "duration_ms", UINT64_MAX, &d->duration_ms) ||
	    !get_text_or_null(rd, o, "message", &d->message))
		return false;
	d->time_ns = (int64_t)time_ns;
	return true;
}

static bool read_audit(struct reading *rd, const struct jr *doc)
{
	const struct jr *o = jr_get(doc, "audit");

	return get_uint(rd, o, "seq", UINT64_MAX, &rd->m->audit_seq) &&
	       get_digest(rd, o, "digest", &rd->m->audit_digest);
}

/* A file of the archive directory: no way out of it. */
static bool is_file_name(const char *name)
{
	return name[0] != '.' && snap_path_is_safe(slice_str(name)) && !strchr(name, '/') &&
	       strlen(name) < SNAP_FILE_MAX;
}

static bool read_archive(struct reading *rd, const struct jr *o, struct snap_archive *a)
{
	if (!get_text(rd, o, "file", &a->file) || !get_text(rd, o, "snapshot", &a->snapshot) ||
	    !get_uint(rd, o, "size", INT64_MAX, &a->size) ||
	    !get_digest(rd, o, "sha256", &a->digest) || !get_bool(rd, o, "sealed", &a->is_sealed))
		return false;
	if (!is_file_name(a->file) || !snap_id_is_valid(a->snapshot))
		return bad(rd, "archives");
	return true;
}

static bool read_archives(struct reading *rd, const struct jr *doc)
{
	const struct jr *array = jr_get(doc, "archives");
	size_t count = jr_count(array);

	if (count == 0 || count > ARCHIVES_MAX)
		return bad(rd, "archives");
	rd->m->archives = vs_alloc_array(count, sizeof(*rd->m->archives));
	rd->m->archive_count = count;
	for (size_t i = 0; i < count; i++) {
		if (!read_archive(rd, jr_at(array, i), &rd->m->archives[i]))
			return false;
	}
	return true;
}

static bool read_collection(struct reading *rd, const struct jr *o, struct snap_collection *c)
{
	cleanup_(buf_fini) struct buf name = { 0 };

	if (!jr_is_null(jr_get(o, "name")) && !jr_get_bytes(o, "name", &name))
		return bad(rd, "name");
	c->name.len = name.len;
	c->name.ptr = name.ptr;
	name = (struct buf){ 0 };
	c->has_rows = jr_get(o, "rows") != NULL;
	if (c->has_rows && !get_digest(rd, o, "rows", &c->rows))
		return false;
	return get_path(rd, o, "directory", &c->directory) &&
	       get_uint(rd, o, "documents", UINT64_MAX, &c->documents) &&
	       get_uint(rd, o, "bytes", UINT64_MAX, &c->bytes) &&
	       get_u32(rd, o, "batches", &c->batches) && get_digest(rd, o, "root", &c->root);
}

static bool read_collections(struct reading *rd, const struct jr *doc)
{
	const struct jr *array = jr_get(doc, "collection_list");
	size_t count = jr_count(array);

	if (!jr_is_array(array) || count > COLLECTIONS_MAX)
		return bad(rd, "collection_list");
	rd->m->collections = vs_alloc_array(count, sizeof(*rd->m->collections));
	rd->m->collection_count = count;
	for (size_t i = 0; i < count; i++) {
		if (!read_collection(rd, jr_at(array, i), &rd->m->collections[i]))
			return false;
		if (i > 0 && strcmp(rd->m->collections[i - 1].directory,
				    rd->m->collections[i].directory) >= 0)
			return bad(rd, "collection_list");
	}
	return true;
}

static bool read_skipped(struct reading *rd, const struct jr *doc)
{
	const struct jr *array = jr_get(doc, "skipped");
	size_t count = jr_count(array);

	if (!jr_is_array(array) || count > COLLECTIONS_MAX)
		return bad(rd, "skipped");
	rd->m->skipped = vs_alloc_array(count, sizeof(*rd->m->skipped));
	rd->m->skipped_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct jr *o = jr_at(array, i);

		if (!get_path(rd, o, "path", &rd->m->skipped[i].path) ||
		    !get_text(rd, o, "why", &rd->m->skipped[i].why))
			return false;
	}
	return true;
}

static bool read_numbers(struct reading *rd, const struct jr *doc)
{
	struct snap_manifest *m = rd->m;
	uint64_t time_ns = 0;

	if (!get_uint(rd, doc, "time_ns", INT64_MAX, &time_ns) ||
	    !get_u32(rd, doc, "chain", &m->chain) || !get_bool(rd, doc, "stable", &m->is_stable) ||
	    !get_uint(rd, doc, "bytes", UINT64_MAX, &m->bytes) ||
	    !get_uint(rd, doc, "files", UINT64_MAX, &m->member_count_total) ||
	    !get_uint(rd, doc, "stored_bytes", UINT64_MAX, &m->stored_bytes) ||
	    !get_uint(rd, doc, "stored_files", UINT64_MAX, &m->stored_members) ||
	    !get_uint(rd, doc, "total_chunks", UINT64_MAX, &m->documents) ||
	    !get_uint(rd, doc, "members_size", INT64_MAX, &m->members_size))
		return false;
	m->time_ns = (int64_t)time_ns;
	return get_digest(rd, doc, "root", &m->root) &&
	       get_digest(rd, doc, "members_sha256", &m->members_digest);
}

/* A list that builds on another's is schema 2: what knows only whole lists turns it away. */
static bool read_base(struct reading *rd, const struct jr *doc)
{
	const struct jr *o = jr_get(doc, "members_base");
	struct snap_base *base = &rd->m->base;
	uint64_t schema = 0;

	if (!jr_get_uint(doc, "schema", &schema) || (schema == SNAP_SCHEMA_BASED) != (o != NULL))
		return bad(rd, "members_base");
	if (!o)
		return true;
	if (!get_text(rd, o, "snapshot", &base->snapshot) ||
	    !get_uint(rd, o, "size", INT64_MAX, &base->size) ||
	    !get_digest(rd, o, "sha256", &base->digest))
		return false;
	if (!snap_id_is_valid(base->snapshot) || strcmp(base->snapshot, rd->m->id) == 0)
		return bad(rd, "members_base");
	return true;
}

static bool read_owner(struct reading *rd, const struct jr *doc)
{
	const struct jr *o = jr_get(doc, "store_owner");
	struct snap_manifest *m = rd->m;

	if (!o)
		return true;
	m->has_owner = true;
	return get_u32(rd, o, "user", &m->owner) && get_u32(rd, o, "group", &m->group);
}

static bool read_all(struct reading *rd, const struct jr *doc)
{
	struct snap_manifest *m = rd->m;

	return get_text(rd, doc, "snapshot_id", &m->id) &&
	       get_text(rd, doc, "tool_version", &m->tool_version) &&
	       get_text(rd, doc, "store_kind", &m->store_kind) &&
	       get_path(rd, doc, "store_path", &m->store_path) && read_owner(rd, doc) &&
	       get_text_or_null(rd, doc, "parent", &m->parent) &&
	       get_text_or_null(rd, doc, "reason", &m->reason) &&
	       get_text_or_null(rd, doc, "error_message", &m->error_message) &&
	       read_status(rd, doc) && read_numbers(rd, doc) && read_base(rd, doc) &&
	       read_health(rd, doc) && read_drill(rd, doc) && read_audit(rd, doc) &&
	       read_archives(rd, doc) && read_collections(rd, doc) && read_skipped(rd, doc);
}

/* The digest at the end is that of everything before it. */
static int check_seal(struct slice text, struct vs_err *err)
{
	static const char end[] = "\"}\n";
	size_t key_len = strlen(MANIFEST_SEAL);
	size_t tail = key_len + DIGEST_HEX_LEN + strlen(end);
	char hex[DIGEST_HEX_LEN + 1];
	struct digest actual;
	const unsigned char *seal;

	if (text.len <= tail)
		return vs_fail(err, VS_EFORMAT, "too short to be a manifest");
	seal = text.ptr + text.len - tail;
	if (memcmp(seal, MANIFEST_SEAL, key_len) != 0 || !slice_ends_with(text, end))
		return vs_fail(err, VS_EFORMAT,
			       "the digest at the end of the manifest is missing or damaged");
	digest_of(slice_of(text.ptr, text.len - tail), &actual);
	digest_format(&actual, hex);
	/* Compared as text: a digit in upper case is a changed bit, too. */
	if (memcmp(seal + key_len, hex, DIGEST_HEX_LEN) != 0)
		return vs_fail(
			err, VS_EFORMAT,
			"the manifest has been changed: its text does not have the digest at its end");
	return 0;
}

static int check_kind(const struct jr *doc, struct vs_err *err)
{
	const char *kind = NULL;
	uint64_t schema = 0;

	if (!jr_get_str(doc, "kind", &kind) || strcmp(kind, "vsctl-snapshot") != 0)
		return vs_fail(err, VS_EFORMAT, "not a manifest of a snapshot");
	if (!jr_get_uint(doc, "schema", &schema) || schema == 0)
		return vs_fail(err, VS_EFORMAT, "a manifest without a schema");
	if (schema != SNAP_SCHEMA_WHOLE && schema != SNAP_SCHEMA_BASED)
		return vs_fail(err, VS_ENOTSUP,
			       "schema %" PRIu64
			       ": written by a newer version of this program, which can read it",
			       schema);
	return 0;
}

int snap_parse_manifest(struct slice text, const char *id, struct snap_manifest **out,
			struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = vs_alloc(sizeof(*m));
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct reading rd = { .m = m };
	int r;

	r = jr_parse(&doc, text, err);
	if (r == 0 && snap_is_older_manifest(doc))
		return snap_parse_older(doc, id, out, err);
	if (r == 0)
		r = check_kind(doc, err);
	if (r == 0)
		r = check_seal(text, err);
	if (r < 0)
		return r;
	if (!read_all(&rd, doc))
		return vs_fail(err, VS_EFORMAT, "%s: missing, or not what a manifest has there",
			       rd.bad ? rd.bad : "manifest");
	if (strcmp(m->id, id) != 0)
		return vs_fail(err, VS_EFORMAT, "it is the manifest of another snapshot: %s",
			       m->id);
	if (strcmp(m->archives[0].snapshot, id) != 0)
		return vs_fail(err, VS_EFORMAT, "archives: the first is not the snapshot's own");
	*out = VS_TAKE(m);
	return 0;
}
