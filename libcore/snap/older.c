/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Snapshots of the older tool: recognised, listed and verified, never changed.
 *
 *	<id>.tar.gz or .tar, beside the manifests' directory or in snapshots/
 *		<id>/collections.json	documents, a hundred a batch
 *		<id>/metadata.json
 *	manifests/<id>.json	the first keys of ours, without a list of files
 *
 * Such an archive holds documents and not files, most often without their vectors, so there is
 * nothing in it to build on, and it counts as no good copy of a store.
 */

#include "snap/private.h"

#include <time.h>

/* "2026-01-22T14:03:09", and whatever fraction or zone stands behind it: UTC is what it writes. */
static int64_t parse_time(const char *text)
{
	struct tm tm = { 0 };

	if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		return 0;
	return (int64_t)timegm(&tm) * 1000000000;
}

static bool read_keys(const struct jr *doc, struct snap_manifest *m)
{
	const char *id, *time, *url, *hex, *status;
	uint64_t collections;

	if (!jr_get_str(doc, "snapshot_id", &id) || !jr_get_str(doc, "timestamp", &time) ||
	    !jr_get_str(doc, "chromadb_url", &url) || !jr_get_str(doc, "status", &status) ||
	    !jr_get_uint(doc, "total_chunks", &m->documents) ||
	    !jr_get_uint(doc, "total_collections", &collections) ||
	    !jr_get_str(doc, "checksum_sha256", &hex) ||
	    !hex_parse(slice_str(hex), m->archives[0].digest.bytes, DIGEST_LEN))
		return false;
	m->id = vs_strdup(id);
	m->store_path = vs_strdup(url);
	m->time_ns = parse_time(time);
	for (unsigned i = 0; i <= SNAP_FAILED; i++) {
		if (strcmp(status, snap_status_name((enum snap_status)i)) == 0)
			m->status = (enum snap_status)i;
	}
	return true;
}

bool snap_is_older_manifest(const struct jr *doc)
{
	return !jr_get(doc, "kind") && !jr_get(doc, "schema") && jr_get(doc, "snapshot_id") &&
	       jr_get(doc, "checksum_sha256");
}

int snap_parse_older(const struct jr *doc, const char *id, struct snap_manifest **out,
		     struct vs_err *err)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = vs_alloc(sizeof(*m));
	char name[SNAP_FILE_MAX];

	m->is_older = true;
	m->archives = vs_alloc_array(1, sizeof(*m->archives));
	m->archive_count = 1;
	if (!read_keys(doc, m) || strcmp(m->id, id) != 0)
		return vs_fail(err, VS_EFORMAT,
			       "a manifest of the older tool with a key that is missing or wrong");
	snap_archive_name(id, false, name);
	m->archives[0].file = vs_strdup(name);
	m->archives[0].snapshot = vs_strdup(id);
	*out = VS_TAKE(m);
	return 0;
}

/* Where the archive is: *@dirfd is borrowed from what is open. */
static int find_archive(int state_dirfd, const struct snap_place *place, struct snap_manifest *m,
			int *dirfd, struct vs_err *err)
{
	const int dirs[] = { place->snapshots, state_dirfd };
	static const char *const ends[] = { ".tar.gz", ".tar" };
	char name[SNAP_FILE_MAX];

	for (size_t i = 0; i < 4; i++) {
		struct vs_err why = { 0 };

		*dirfd = dirs[i / 2];
		snprintf(name, sizeof(name), "%s%s", m->id, ends[i % 2]);
		if (*dirfd >= 0 && snap_exists(*dirfd, name, &why) > 0) {
			free(m->archives[0].file);
			m->archives[0].file = vs_strdup(name);
			return 0;
		}
	}
	return vs_fail(err, VS_ENOENT, "%s.tar.gz is missing", m->id);
}

/* Both members, once each, to their ends. */
static int read_members(const struct snap_access *access, int dirfd, const struct snap_manifest *m,
			struct vs_err *err)
{
	static const char *const names[] = { "collections.json", "metadata.json" };
	cleanup_(snap_reader_freep) struct snap_reader *reader = NULL;
	struct snap_tar_entry entry;
	unsigned seen[VS_COUNT(names)] = { 0 };
	int r;

	r = snap_reader_open(&reader, access, dirfd, &m->archives[0], NULL, err);
	while (r >= 0 && (r = snap_reader_next(reader, &entry, err)) > 0) {
		struct slice bytes;

		for (size_t i = 0; i < VS_COUNT(names); i++)
			seen[i] += strcmp(entry.name, names[i]) == 0;
		do {
			r = snap_reader_data(reader, &bytes, err);
		} while (r == 0 && bytes.len > 0);
	}
	for (size_t i = 0; r == 0 && i < VS_COUNT(names); i++) {
		if (seen[i] != 1)
			return vs_fail(err, VS_EFORMAT, "%s: has %u members %s instead of one",
				       m->archives[0].file, seen[i], names[i]);
	}
	return r;
}

int snap_verify_older(const struct snap_access *access, struct snap_manifest *m,
		      struct snap_verdict *out, struct vs_err *err)
{
	cleanup_(snap_place_close) struct snap_place place = SNAP_PLACE_CLOSED;
	struct digest digest;
	int dirfd = -1;
	int r;

	r = snap_place_open(access->state_dirfd, false, &place, err);
	if (r < 0)
		return r;
	out->archives = 1;
	r = find_archive(access->state_dirfd, &place, m, &dirfd, err);
	r = snap_conclude(out, SNAP_CHECK_ARCHIVE, r, err);
	if (r < 0 || !out->is_good[SNAP_CHECK_ARCHIVE])
		return r;
	r = file_digest_at(dirfd, m->archives[0].file, FILE_NO_FOLLOW, &digest, NULL, err);
	if (r == 0 && memcmp(&digest, &m->archives[0].digest, sizeof(digest)) != 0)
		r = vs_fail(err, VS_EFORMAT, "%s: its SHA-256 is not the one in the manifest",
			    m->archives[0].file);
	r = snap_conclude(out, SNAP_CHECK_CHECKSUM, r, err);
	if (r == 0)
		r = snap_conclude(out, SNAP_CHECK_READABLE, read_members(access, dirfd, m, err),
				  err);
	return r;
}
