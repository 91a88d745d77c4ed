/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a Chroma database may hold. The first byte chooses:
 *
 *	v	a vector of the queue
 *	c	a schema and a configuration, divided by a NUL
 *	d	a whole database, as chroma.sqlite3 of a store: all of it is read
 *
 * The oracles: a vector is its own bytes again, a refusal has words, and of a database neither a
 * byte changes nor a file comes or stays beside it.
 */

#include "chroma/chroma.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- parts ---- */

static void try_vector(struct slice bytes)
{
	struct chroma_vector v = { 0 };
	const char *fault = chroma_vector_decode(bytes, slice_str("FLOAT32"), &v);

	require(fault ? fault[0] != '\0' && !v.values : v.dimension * sizeof(float) == bytes.len);
	/* On the machines that this is built for, the bytes in memory are those of the file. */
	require(fault || memcmp(v.values, bytes.ptr, bytes.len) == 0);
	chroma_vector_fini(&v);
	require(chroma_vector_decode(bytes, slice_str("INT32"), &v) != NULL);
}

static void try_config(struct slice text)
{
	const unsigned char *middle = text.len > 0 ? memchr(text.ptr, 0, text.len) : NULL;
	size_t len = middle ? (size_t)(middle - text.ptr) : text.len;
	struct slice rest = middle ? slice_of(middle + 1, text.len - len - 1) : slice_str("");
	struct chroma_config config;

	chroma_config_default(&config);
	chroma_config_read(&config, slice_of(text.ptr, len), rest);
	require(config.is_readable == (config.what == NULL));
	require(config.m > 0 && config.m <= HNSW_M_MAX && config.ef_search > 0);
}

/* ---- a database ---- */

static int on_value(void *ctx, const struct chroma_value *value, struct vs_err *err)
{
	(void)ctx, (void)err;
	require(value->type == CHROMA_TEXT || value->type == CHROMA_BLOB || value->text.len == 0);
	return 0;
}

static int on_record(void *ctx, const struct chroma_record *record, struct vs_err *err)
{
	struct vs_err inner = { 0 };

	(void)err;
	(void)!chroma_record_values(ctx, record->row, on_value, NULL, &inner);
	return 0;
}

static void on_fault(void *ctx, enum chroma_migration_fault fault, const char *dir, int64_t version)
{
	(void)ctx, (void)fault, (void)version;
	require(dir != NULL);
}

static void look_at_collection(struct chroma_db *db, int dirfd,
			       const struct chroma_catalog *catalog,
			       const struct chroma_collection *c)
{
	struct chroma_vector v = { 0 };
	struct vs_err err = { 0 };
	char why[256];
	int r;

	if (c->metadata != SIZE_MAX)
		(void)!chroma_records_each(db, catalog->segments[c->metadata].id, on_record, db,
					   &err);
	r = chroma_vector_load(&v, db, dirfd, catalog, c, "a", why, &err);
	require((v.source == CHROMA_VECTOR_NONE) == (v.values == NULL));
	require(r != 0 || v.source != CHROMA_VECTOR_NONE || why[0] != '\0');
	chroma_vector_fini(&v);
}

static void look(struct chroma_db *db, int dirfd)
{
	struct chroma_catalog catalog = { 0 };
	struct vs_err err = { 0 };

	if (chroma_catalog_load(&catalog, db, &err) < 0)
		require(err.text[0] != '\0');
	for (size_t i = 0; i < catalog.collection_count; i++)
		look_at_collection(db, dirfd, &catalog, &catalog.collections[i]);
	(void)!chroma_migrations_check(db, on_fault, NULL, &err);
	(void)!chroma_db_check_fts(db, &err);
	chroma_catalog_fini(&catalog);
}

static int count_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	(void)name, (void)type, (void)err;
	++*(unsigned *)ctx;
	return 0;
}

static void store_is(int dirfd, struct slice database)
{
	cleanup_(buf_fini) struct buf now = { 0 };
	struct vs_err err = { 0 };
	unsigned entries = 0;

	require(file_list(dirfd, count_entry, &entries, &err) == 0 && entries == 1);
	require(file_read_at(dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, UINT64_C(1) << 30, &now, NULL,
			     &err) == 0);
	require(slice_eq(buf_slice(&now), database));
}

static void try_database(struct slice bytes)
{
	char path[] = "/dev/shm/fuzz-chroma-XXXXXX";
	cleanup_(chroma_db_closep) struct chroma_db *db = NULL;
	cleanup_(file_closep) int dirfd = -1, fd = -1;
	struct vs_err err = { 0 };

	require(mkdtemp(path) != NULL);
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dirfd, CHROMA_DATABASE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	require(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
	if (chroma_db_open(&db, dirfd, NULL, &err) == 0)
		look(db, dirfd);
	else
		require(err.text[0] != '\0');
	store_is(dirfd, bytes);
	unlinkat(dirfd, CHROMA_DATABASE, 0);
	rmdir(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'v')
		try_vector(slice_of(data + 1, size - 1));
	else if (data[0] == 'c')
		try_config(slice_of(data + 1, size - 1));
	else if (data[0] == 'd')
		try_database(slice_of(data + 1, size - 1));
	return 0;
}
