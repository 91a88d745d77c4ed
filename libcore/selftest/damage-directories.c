/* SPDX-License-Identifier: Apache-2.0 */

/* What happens to the directories of chromem stores: renamed, copied, emptied, shared by two names, and
 * those that do not belong there. */

#include "file/file.h"
#include "selftest/selftest-private.h"

static int collection_renamed(struct damaged *d, struct vs_err *err)
{
	return file_rename_at(d->dirfd, d->victim->dir, d->dirfd, "fffffff2", false, err);
}

static int collection_copied(struct damaged *d, struct vs_err *err)
{
	char name[300];

	snprintf(name, sizeof(name), "%s.bak", d->victim->dir);
	return sample_copy(d->dirfd, d->victim->dir, name, err);
}

static int collection_empty(struct damaged *d, struct vs_err *err)
{
	return file_mkdir_at(d->dirfd, "fffffff3", 0700, err);
}

/* A directory beside the collections. */
static int make_dir(struct damaged *d, const char *name, int *fd, struct vs_err *err)
{
	int r = file_mkdir_at(d->dirfd, name, 0700, err);

	return r < 0 ? r : file_open_dir(d->dirfd, name, FILE_NO_FOLLOW, fd, err);
}

/* A copy that has lost a document: no copy any more, but another collection of that name. */
static int collection_twice(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[300];
	int r = collection_copied(d, err);

	snprintf(name, sizeof(name), "%s.bak", d->victim->dir);
	if (r == 0)
		r = file_open_dir(d->dirfd, name, FILE_NO_FOLLOW, &fd, err);
	return r < 0 ? r : file_unlink_at(fd, d->victim->document, err);
}

/* Metadata alone, in the directory that belongs to the name or to none. */
static int put_metadata(struct damaged *d, const char *dir, const char *name, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	int r = make_dir(d, dir, &fd, err);

	chromem_encode_meta(&gob, slice_str(name), NULL, 0);
	if (r == 0)
		r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(fd, d->victim->metadata, buf_slice(&bytes), err);
}

static int collection_no_documents(struct damaged *d, struct vs_err *err)
{
	static const char name[] = "selftest without a document";
	char dir[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(slice_str(name)), dir);
	return put_metadata(d, dir, name, err);
}

static int metadata_unused(struct damaged *d, struct vs_err *err)
{
	return put_metadata(d, "fffffff4", "", err);
}

static int put_owned(struct damaged *d, int fd, const char *id, const char *tenant,
		     const char *project, struct vs_err *err)
{
	const struct chromem_pair pairs[] = { { slice_str("tenant_id"), slice_str(tenant) },
					      { slice_str("project_id"), slice_str(project) } };
	static const float vector[] = { 0.6f, 0.8f };
	const struct chromem_doc doc = { .id = slice_str(id),
					 .content = slice_str("a note"),
					 .metadata = pairs,
					 .metadata_count = VS_COUNT(pairs),
					 .has_metadata = true,
					 .embedding = vector,
					 .dimension = VS_COUNT(vector) };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	char name[64], hash[CHROMEM_ID_LEN + 1];
	int r;

	chromem_hash_format(chromem_hash(doc.id), hash);
	snprintf(name, sizeof(name), "%s%s", hash, chromem_extension(d->victim->form));
	chromem_encode_doc(&gob, &doc);
	r = chromem_pack(d->victim->form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(fd, name, buf_slice(&bytes), err);
}

/* "umbrella_report_messages"-like names and this one have one hash, so documents of both are in one
 * directory. */
static int collection_shared(struct damaged *d, struct vs_err *err)
{
	static const char name[] = "wonka_portal_queue_conversations";
	static const char *const ids[] = { "one", "two", "three", "four" };
	cleanup_(file_closep) int fd = -1;
	char dir[CHROMEM_ID_LEN + 1];
	int r;

	chromem_hash_format(chromem_hash(slice_str(name)), dir);
	r = put_metadata(d, dir, name, err);
	if (r == 0)
		r = file_open_dir(d->dirfd, dir, FILE_NO_FOLLOW, &fd, err);
	for (size_t i = 0; r == 0 && i < VS_COUNT(ids); i++)
		r = put_owned(d, fd, ids[i], i < 2 ? "wonka" : "umbrella",
			      i < 2 ? "portal" : "report", err);
	return r;
}

static int collection_link(struct damaged *d, struct vs_err *err)
{
	return file_symlink_at(d->dirfd, d->victim->dir, "fffffff5", err);
}

static int stray_collection(struct damaged *d, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r = make_dir(d, "exports", &fd, err);

	if (r == 0)
		r = damage_read(d->fd, d->victim->document, &bytes, err);
	return r < 0 ? r : damage_write(fd, d->victim->document, buf_slice(&bytes), err);
}

static int stray_directory(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r = make_dir(d, "exports", &fd, err);

	return r < 0 ? r : damage_write(fd, "notes.txt", slice_str("left here by hand\n"), err);
}

static int store_nested(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	char name[300];
	int r = make_dir(d, "acme", &fd, err);

	if (r == 0)
		r = file_mkdir_at(fd, "ledger", 0700, err);
	snprintf(name, sizeof(name), "acme/ledger/%s", d->victim->dir);
	return r < 0 ? r : sample_copy(d->dirfd, d->victim->dir, name, err);
}

static int store_quarantine(struct damaged *d, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	int r = make_dir(d, ".quarantine", &fd, err);

	if (r == 0)
		r = damage_write(fd, "one.json", slice_str("{}"), err);
	return r < 0 ? r : sample_copy(d->dirfd, d->victim->dir, ".quarantine/one", err);
}

/* Not the store is changed, but what the application is said to open it as. */
static int other_setting(struct damaged *d, struct vs_err *err)
{
	(void)err;
	d->is_other_setting = true;
	return 0;
}

#define META "chromem-metadata-"
#define COLL "chromem-collection-"

const struct damage_class selftest_directory_classes[] = {
	{ "metadata-unused", "metadata without a name, alone in a directory", META "unused",
	  .fn = metadata_unused },
	{ "collection-renamed", "the directory of a collection renamed", COLL "misnamed",
	  .fn = collection_renamed },
	{ "collection-copied", "a copy of a collection beside it",
	  COLL "duplicate-copy " COLL "duplicate-name", .fn = collection_copied },
	{ "collection-empty", "an empty directory", COLL "empty", .fn = collection_empty },
	{ "collection-twice", "two collections of one name", COLL "duplicate-name",
	  .fn = collection_twice },
	{ "collection-no-documents", "a collection without a document", COLL "no-documents",
	  .fn = collection_no_documents },
	{ "collection-shared", "documents of two names that have one hash", COLL "shared",
	  .fn = collection_shared },
	{ "collection-link", "a link to a collection", COLL "symlink", .fn = collection_link },
	{ "stray-collection", "documents in a directory that is no collection",
	  "chromem-stray-collection", .fn = stray_collection },
	{ "stray-directory", "a directory of somebody else's", "chromem-stray-directory",
	  .fn = stray_directory },
	{ "store-nested", "a store inside of the store", "chromem-store-nested",
	  .fn = store_nested },
	{ "store-quarantine", "a collection in quarantine", "chromem-store-quarantine",
	  .fn = store_quarantine },
	{ "store-setting", "an application of the other compression setting",
	  "chromem-store-wrong-form", .fn = other_setting },
	{ .name = NULL },
};
