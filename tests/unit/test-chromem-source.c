/* SPDX-License-Identifier: Apache-2.0 */

/* Stores as the library has them in memory: the digests that were recorded of them, and exports. */

#include "kit/samples.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>

/* ---- stores of the library's, with what it made of them ---- */

struct fixtures {
	int dirfd;
	struct pool *pool;
	size_t loaded, refused;
};

/* Does the store load as @expected says of it, with the setting @c? */
static void check_store(struct fixtures *f, const char *name, int dirfd, enum chromem_compression c,
			const struct jr *expected)
{
	cleanup_(chromem_source_freep) struct chromem_source *source = NULL;
	cleanup_(buf_fini) struct buf path = { 0 };
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	char hex[DIGEST_HEX_LEN + 1];
	struct digest digest;
	const char *want;
	uint64_t count;
	bool loads;
	int r;

	cr_assert(jr_get_bool(expected, "loads", &loads), "%s", name);
	r = chromem_source_open(&source, dirfd, c, f->pool, &fault, &path, &err);
	cr_assert_eq(r, loads ? 0 : 1, "%s: %d %s %s", name, r, err.text, buf_cstr(&path));
	if (!loads) {
		cr_assert_gt(path.len, 0, "%s", name);
		cr_assert_neq(fault.kind, CHROMEM_FAULT_NONE, "%s", name);
		f->refused++;
		return;
	}
	f->loaded++;
	if (jr_get_uint(expected, "collection_count", &count))
		cr_assert_eq(chromem_source_collections(source), count, "%s", name);
	if (jr_get_uint(expected, "document_count", &count))
		cr_assert_eq(chromem_source_documents(source), count, "%s", name);
	if (!jr_get_str(expected, "db_digest", &want))
		return;
	cr_assert_eq(chromem_source_digest(source, &digest, &err), 0, "%s: %s", name, err.text);
	digest_format(&digest, hex);
	cr_assert_str_eq(hex, want, "%s", name);
}

static int check_fixture(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct fixtures *f = ctx;
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *expected = NULL;
	cleanup_(file_closep) int dirfd = -1;
	const struct jr *library, *other;
	struct file_info info;
	char path[512];
	bool compress;

	/* What git does not keep is made elsewhere. */
	snprintf(path, sizeof(path), "%s/setup.sh", name);
	if (type != FILE_DIRECTORY || file_stat_at(f->dirfd, path, FILE_FOLLOW, &info, err) == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/store", name);
	if (file_open_dir(f->dirfd, path, FILE_FOLLOW, &dirfd, err) < 0)
		return 0;
	snprintf(path, sizeof(path), "%s/expected.json", name);
	cr_assert_eq(file_read_at(f->dirfd, path, FILE_FOLLOW, 1 << 20, &text, NULL, err), 0);
	cr_assert_eq(jr_parse(&expected, buf_slice(&text), err), 0, "%s", err->text);
	library = jr_get(expected, "library");
	cr_assert(jr_get_bool(expected, "compress", &compress));
	check_store(f, name, dirfd, compress ? CHROMEM_GZIP : CHROMEM_PLAIN, library);
	other = jr_get(library, "with_other_compress_setting");
	if (jr_is_object(other))
		check_store(f, name, dirfd, compress ? CHROMEM_PLAIN : CHROMEM_GZIP, other);
	return 0;
}

Test(source, stores_are_as_the_library_had_them)
{
	cleanup_(file_closep) int dirfd = -1;
	cleanup_(pool_freep) struct pool *pool = pool_new(3);
	struct fixtures f = { .pool = pool };
	struct vs_err err = { 0 };
	char path[1024];

	snprintf(path, sizeof(path), "%s/tests/data/chromem", getenv("SOURCE_ROOT"));
	cr_assert_eq(file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &dirfd, &err), 0, "%s", err.text);
	f.dirfd = dirfd;
	cr_assert_eq(file_list(dirfd, check_fixture, &f, &err), 0);
	cr_assert_gt(f.loaded, 90, "%zu", f.loaded);
	cr_assert_gt(f.refused, 25, "%zu", f.refused);
}

/* ---- a store of our own ---- */

static void write_packed(int dirfd, uint32_t hash, enum chromem_compression c,
			 const struct buf *gob)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct vs_err err = { 0 };
	char name[32];

	chromem_hash_format(hash, name);
	strncat(name, chromem_extension(c), sizeof(name) - strlen(name) - 1);
	cr_assert_eq(chromem_pack(c, buf_slice(gob), &packed, &err), 0);
	scratch_write(dirfd, name, packed.ptr, packed.len);
}

static void write_store(int root, enum chromem_compression c, const struct sample_store *store)
{
	cleanup_(buf_fini) struct buf gob = { 0 };
	char dir[CHROMEM_ID_LEN + 1];

	for (size_t i = 0; i < store->count; i++) {
		const struct sample_collection *collection = &store->collections[i];
		const struct chromem_meta *meta = &collection->meta;
		cleanup_(file_closep) int dirfd = -1;

		chromem_hash_format(chromem_hash(meta->name), dir);
		dirfd = scratch_mkdir(root, dir);
		buf_clear(&gob);
		chromem_encode_meta(&gob, meta->name, meta->metadata, meta->metadata_count);
		write_packed(dirfd, CHROMEM_META_KEY, c, &gob);
		for (size_t k = 0; k < collection->count; k++) {
			const struct chromem_doc *doc = &collection->docs[k].doc;

			buf_clear(&gob);
			chromem_encode_doc(&gob, doc);
			write_packed(dirfd, chromem_hash(doc->id), c, &gob);
		}
	}
}

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

static struct chromem_source *open_or_fail(int root, enum chromem_compression c)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(2);
	cleanup_(buf_fini) struct buf path = { 0 };
	struct chromem_source *source = NULL;
	struct chromem_fault fault;
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_source_open(&source, root, c, pool, &fault, &path, &err), 0, "%s %s",
		     err.text, buf_cstr(&path));
	return source;
}

/* Directory, export, and what the export holds: all the same. */
Test(source, a_store_is_exported)
{
	int scratch;

	scratch_new(&scratch);
	for (int form = 0; form < 2; form++) {
		enum chromem_compression c = form == 0 ? CHROMEM_PLAIN : CHROMEM_GZIP;
		cleanup_(chromem_source_freep) struct chromem_source *source = NULL;
		cleanup_(sample_store_fini) struct sample_store store;
		cleanup_(sample_store_fini) struct sample_store back = { 0 };
		cleanup_(buf_fini) struct buf file = { 0 };
		const struct chromem_export_visitor visitor = { &back, sample_store_take_collection,
								sample_store_take_document };
		const struct chromem_export_sink sink = { &file, append };
		struct chromem_export_source from;
		struct digest want, got;
		struct chromem_fault fault;
		struct vs_err err = { 0 };
		uint32_t oddities;
		cleanup_(file_closep) int root =
			scratch_mkdir(scratch, form == 0 ? "plain" : "gzip");

		sample_store_init(&store, 4, 90, 16);
		sample_store_digest(&store, &want);
		write_store(root, c, &store);
		source = open_or_fail(root, c);
		cr_assert_eq(chromem_source_digest(source, &got, &err), 0);
		cr_assert_arr_eq(&got, &want, sizeof(got));

		from = (struct chromem_export_source){ source, chromem_source_visit };
		cr_assert_eq(chromem_export_write(&from, c, NULL, &sink, &err), 0, "%s", err.text);
		cr_assert_eq(
			chromem_decode_export(buf_slice(&file), &visitor, &oddities, &fault, &err),
			0);
		sample_store_digest(&back, &got);
		cr_assert_arr_eq(&got, &want, sizeof(got));
	}
}

static int count_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	(void)ctx, (void)key, (void)meta, (void)err;
	return 0;
}

static int count_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	size_t *count = ctx;

	(void)key, (void)doc, (void)err;
	++*count;
	return 0;
}

/* One way of changing a store after it was opened; the first document's file is @name. */
static void change_store(int root, const char *dir, const char *name, int way)
{
	cleanup_(file_closep) int dirfd = openat(root, dir, O_RDONLY | O_DIRECTORY);
	struct vs_err err = { 0 };

	cr_assert_geq(dirfd, 0);
	switch (way) {
	case 0: /* gone */
		cr_assert_eq(file_unlink_at(dirfd, name, &err), 0);
		break;
	case 1: /* damaged */
		scratch_write(dirfd, name, "damage", 6);
		break;
	case 2: /* another one in front of it */
		scratch_write(dirfd, "00000001.gob", "x", 1);
		break;
	default: /* without metadata */
		cr_assert_eq(file_unlink_at(dirfd, "00000000.gob", &err), 0);
		break;
	}
}

Test(source, a_store_that_changes_is_noticed)
{
	static const char *const ways[] = { "gone", "damaged", "pushed", "nameless" };
	int scratch;

	scratch_new(&scratch);
	for (int way = 0; way < 4; way++) {
		cleanup_(chromem_source_freep) struct chromem_source *source = NULL;
		cleanup_(sample_store_fini) struct sample_store store;
		cleanup_(file_closep) int root = scratch_mkdir(scratch, ways[way]);
		size_t count = 0;
		const struct chromem_export_visitor visitor = { &count, count_collection,
								count_document };
		char dir[CHROMEM_ID_LEN + 1], name[32];
		struct vs_err err = { 0 };

		sample_store_init(&store, 1, 5, 4);
		write_store(root, CHROMEM_PLAIN, &store);
		source = open_or_fail(root, CHROMEM_PLAIN);
		cr_assert_eq(chromem_source_visit(source, &visitor, &err), 0);
		cr_assert_eq(count, 5);

		chromem_hash_format(chromem_hash(store.collections[0].meta.name), dir);
		chromem_hash_format(chromem_hash(store.collections[0].docs[0].doc.id), name);
		strncat(name, ".gob", sizeof(name) - strlen(name) - 1);
		change_store(root, dir, name, way);
		cr_assert_eq(chromem_source_visit(source, &visitor, &err), VS_EVANISHED, "%d", way);
	}
}

/* The first directory that is refused ends it, and nothing that was begun is lost. */
Test(source, damage_in_a_large_store_is_named)
{
	cleanup_(pool_freep) struct pool *pool = pool_new(3);
	cleanup_(sample_store_fini) struct sample_store store;
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(file_closep) int root = -1;
	cleanup_(file_closep) int dirfd = -1;
	struct chromem_source *source = NULL;
	struct chromem_fault fault;
	char dir[CHROMEM_ID_LEN + 1];
	struct vs_err err = { 0 };

	scratch_new(&root);
	sample_store_init(&store, 1, 1000, 2);
	write_store(root, CHROMEM_PLAIN, &store);
	chromem_hash_format(chromem_hash(store.collections[0].meta.name), dir);
	dirfd = openat(root, dir, O_RDONLY | O_DIRECTORY);
	scratch_write(dirfd, "0000000a.gob", "", 0);
	scratch_write(dirfd, "fffffffa.gob", "damage", 6);
	cr_assert_eq(chromem_source_open(&source, root, CHROMEM_PLAIN, pool, &fault, &path, &err),
		     1);
	cr_assert_null(source);
	cr_assert_eq(fault.kind, CHROMEM_FAULT_EMPTY);
	cr_assert_eq(strcspn(buf_cstr(&path), "/"), CHROMEM_ID_LEN);
	cr_assert_str_eq(buf_cstr(&path) + CHROMEM_ID_LEN, "/0000000a.gob");
}
