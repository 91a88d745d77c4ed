/* SPDX-License-Identifier: Apache-2.0 */

/* Stores of the chromem-go format, as the library writes them. */

#include "kit.h"

#include "file/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>

/* A number between -1 and 1 that depends on all arguments. */
static float pseudo_random(const char *collection, unsigned number, unsigned element)
{
	uint32_t x = number * 2654435761u ^ element * 40503u;

	for (; *collection != '\0'; collection++)
		x = (x ^ (unsigned char)*collection) * 16777619u;
	x ^= x >> 15;
	x *= 2246822519u;
	x ^= x >> 13;
	return (float)((double)x / 2147483648.0 - 1.0);
}

static void normalise(float *v, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)v[i] * (double)v[i];
	for (size_t i = 0; i < count; i++)
		v[i] = (float)((double)v[i] / sqrt(sum));
}

void kit_doc(struct kit_doc *out, const char *collection, unsigned number)
{
	*out = (struct kit_doc){ 0 };
	snprintf(out->id, sizeof(out->id), "%s-document-%04u", collection, number);
	snprintf(out->content, sizeof(out->content),
		 "What document %u of the collection %s has to say about tides and eclipses.",
		 number, collection);
	for (unsigned i = 0; i < KIT_DIMENSION; i++)
		out->embedding[i] = pseudo_random(collection, number, i);
	normalise(out->embedding, KIT_DIMENSION);
	out->pairs[0] = (struct chromem_pair){ slice_str("language"), slice_str("en") };
	out->pairs[1] = (struct chromem_pair){ slice_str("source"), slice_str("harbour office") };
	out->doc = (struct chromem_doc){ .id = slice_str(out->id),
					 .content = slice_str(out->content),
					 .metadata = out->pairs,
					 .metadata_count = 2,
					 .has_metadata = true,
					 .embedding = out->embedding,
					 .dimension = KIT_DIMENSION };
}

char *kit_collection_path(const char *name)
{
	char hash[CHROMEM_ID_LEN + 1];

	chromem_hash_format(chromem_hash(slice_str(name)), hash);
	return vs_strdup(hash);
}

static char *file_path(enum chromem_compression c, const char *collection, uint32_t key)
{
	cleanup_(vs_freep) char *dir = kit_collection_path(collection);
	char file[CHROMEM_ID_LEN + 1];
	struct buf out = { 0 };

	chromem_hash_format(key, file);
	buf_printf(&out, "%s/%s%s", dir, file, chromem_extension(c));
	return buf_take_str(&out);
}

char *kit_doc_path(enum chromem_compression c, const char *collection, unsigned number)
{
	struct kit_doc doc;

	kit_doc(&doc, collection, number);
	return file_path(c, collection, chromem_hash(doc.doc.id));
}

char *kit_metadata_path(enum chromem_compression c, const char *collection)
{
	return file_path(c, collection, CHROMEM_META_KEY);
}

static void write_packed(const struct kit_dir *dir, enum chromem_compression c, const char *path,
			 const struct buf *gob)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_pack(c, buf_slice(gob), &packed, &err), 0, "%s", err.text);
	kit_write(dir, path, buf_slice(&packed));
}

void kit_write_doc(const struct kit_dir *dir, enum chromem_compression c, const char *path,
		   const struct chromem_doc *doc)
{
	cleanup_(buf_fini) struct buf gob = { 0 };

	chromem_encode_doc(&gob, doc);
	write_packed(dir, c, path, &gob);
}

void kit_add_doc(const struct kit_dir *dir, enum chromem_compression c, const char *collection,
		 const struct chromem_doc *doc)
{
	cleanup_(vs_freep) char *path = file_path(c, collection, chromem_hash(doc->id));

	kit_write_doc(dir, c, path, doc);
}

void kit_write_metadata(const struct kit_dir *dir, enum chromem_compression c, const char *path,
			struct slice name)
{
	cleanup_(buf_fini) struct buf gob = { 0 };

	chromem_encode_meta(&gob, name, NULL, 0);
	write_packed(dir, c, path, &gob);
}

void kit_add_collection(const struct kit_dir *dir, enum chromem_compression c, const char *name)
{
	cleanup_(vs_freep) char *path = kit_collection_path(name);
	cleanup_(vs_freep) char *metadata = kit_metadata_path(c, name);

	kit_mkdir(dir, path);
	kit_write_metadata(dir, c, metadata, slice_str(name));
	for (unsigned i = 0; i < KIT_DOCUMENTS; i++) {
		struct kit_doc doc;

		kit_doc(&doc, name, i);
		kit_add_doc(dir, c, name, &doc.doc);
	}
}

struct kit_dir *kit_healthy(enum chromem_compression c)
{
	static const char *const names[] = { "notes", "papers", "letters" };
	struct kit_dir *dir = kit_dir_new();

	for (size_t i = 0; i < VS_COUNT(names); i++)
		kit_add_collection(dir, c, names[i]);
	return dir;
}

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

void kit_export(const struct kit_dir *dir, enum chromem_compression c, const char *path)
{
	cleanup_(chromem_source_freep) struct chromem_source *source = NULL;
	cleanup_(pool_freep) struct pool *pool = pool_new(1);
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(buf_fini) struct buf where = { 0 };
	cleanup_(buf_fini) struct buf bytes = { 0 };
	const struct chromem_export_sink sink = { &bytes, append };
	struct chromem_export_source from = { .visit = chromem_source_visit };
	struct chromem_fault fault;
	struct vs_err err;

	cr_assert_eq(file_open_dir(AT_FDCWD, dir->path, FILE_FOLLOW, &dirfd, &err), 0);
	cr_assert_eq(chromem_source_open(&source, dirfd, c, pool, &fault, &where, &err), 0);
	from.ctx = source;
	cr_assert_eq(chromem_export_write(&from, CHROMEM_PLAIN, NULL, &sink, &err), 0);
	kit_write(dir, path, buf_slice(&bytes));
}
