/* SPDX-License-Identifier: Apache-2.0 */

/* A small chromem store, for a test without one. */

#include "file/file.h"
#include "selftest/selftest-private.h"

#define MADE_DOCUMENTS 8
#define MADE_DIMENSION 16

static int make_document(int fd, enum chromem_compression form, const char *collection,
			 unsigned number, char name[64], struct vs_err *err)
{
	/* As applications tag documents, so that the name of the collection can be told. */
	const struct chromem_pair owner = { slice_str("project_id"), slice_str("selftest") };
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	float values[MADE_DIMENSION];
	struct chromem_doc doc = { .embedding = values,
				   .dimension = MADE_DIMENSION,
				   .has_metadata = true,
				   .metadata = &owner,
				   .metadata_count = 1 };
	char id[64], content[160], hash[CHROMEM_ID_LEN + 1];
	int r;

	for (unsigned i = 0; i < MADE_DIMENSION; i++)
		values[i] = i == number % MADE_DIMENSION         ? 0.8f
			    : i == (number + 3) % MADE_DIMENSION ? 0.6f
								 : 0.0f;
	snprintf(id, sizeof(id), "%s-%u", collection, number);
	snprintf(content, sizeof(content),
		 "document %u of a collection that was made to be damaged and found out", number);
	doc.id = slice_str(id);
	doc.content = slice_str(content);
	chromem_encode_doc(&gob, &doc);
	chromem_hash_format(chromem_hash(doc.id), hash);
	snprintf(name, 64, "%s%s", hash, chromem_extension(form));
	r = chromem_pack(form, buf_slice(&gob), &bytes, err);
	return r < 0 ? r : damage_write(fd, name, buf_slice(&bytes), err);
}

static int make_collection(int to, enum chromem_compression form, const char *collection,
			   struct victim *victim, struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r;

	chromem_hash_format(chromem_hash(slice_str(collection)), victim->dir);
	snprintf(victim->metadata, sizeof(victim->metadata), "00000000%s", chromem_extension(form));
	chromem_encode_meta(&gob, slice_str(collection), NULL, 0);
	r = chromem_pack(form, buf_slice(&gob), &bytes, err);
	if (r == 0)
		r = file_mkdir_at(to, victim->dir, 0700, err);
	if (r == 0)
		r = file_open_dir(to, victim->dir, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = damage_write(fd, victim->metadata, buf_slice(&bytes), err);
	for (unsigned i = 0; r == 0 && i < MADE_DOCUMENTS; i++, out->documents++)
		r = make_document(fd, form, collection, i, i % 2 ? victim->other : victim->document,
				  err);
	return r;
}

int made_chromem(const struct selftest_request *req, enum chromem_compression form,
		 struct victim *victim, struct selftest_summary *out, struct vs_err *err)
{
	cleanup_(file_closep) int to = -1;
	int r = file_mkdir_at(req->scratch_dirfd, SAMPLE, 0700, err);

	if (r == 0)
		r = file_open_dir(req->scratch_dirfd, SAMPLE, FILE_NO_FOLLOW, &to, err);
	if (r == 0)
		r = make_collection(to, form, "selftest_notes", victim, out, err);
	return r < 0 ? r : make_collection(to, form, "selftest_memories", victim, out, err);
}
