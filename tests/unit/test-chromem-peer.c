/* SPDX-License-Identifier: Apache-2.0 */

/* Go reads what we write: gobcheck decodes it with Go's own gob and says what it found. */

#include "kit/samples.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>

/* Exactly 32 bytes, and no NUL among them, as it goes through a command line. */
#define KEY "a-key-of-32-bytes-for-these-test"

static char output[1 << 16];

/* Run gobcheck on a file of the scratch directory and take its JSON. */
static const struct jr *ask(struct jr **doc, const char *mode, const char *dir, const char *name,
			    const char *options)
{
	const char *program = getenv("GOBCHECK");
	struct vs_err err = { 0 };
	char command[4096];
	size_t len;
	FILE *pipe;

	cr_assert_not_null(program, "GOBCHECK is not set");
	snprintf(command, sizeof(command), "'%s' %s '%s/%s' %s", program, mode, dir, name, options);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	len = fread(output, 1, sizeof(output), pipe);
	cr_assert_eq(pclose(pipe), 0, "%s: %.*s", command, (int)len, output);
	cr_assert_eq(jr_parse(doc, slice_of(output, len), &err), 0, "%s", err.text);
	return *doc;
}

static void expect_digest(const struct jr *answer, const char *key, const struct digest *want)
{
	char hex[DIGEST_HEX_LEN + 1];
	const char *got;

	digest_format(want, hex);
	cr_assert(jr_get_str(answer, key, &got));
	cr_assert_str_eq(got, hex);
}

static void write_packed(int dirfd, const char *name, enum chromem_compression c,
			 const struct buf *gob)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct vs_err err = { 0 };

	cr_assert_eq(chromem_pack(c, buf_slice(gob), &packed, &err), 0, "%s", err.text);
	scratch_write(dirfd, name, packed.ptr, packed.len);
}

Test(peer, documents_of_all_kinds_are_read)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	cleanup_(sample_store_fini) struct sample_store store;
	cleanup_(buf_fini) struct buf gob = { 0 };
	int dirfd;
	const char *dir = scratch_new(&dirfd);

	sample_store_init(&store, 1, 60, 24);
	for (size_t i = 0; i < store.collections[0].count; i++) {
		const struct chromem_doc *doc = &store.collections[0].docs[i].doc;
		enum chromem_compression c = i % 2 == 0 ? CHROMEM_PLAIN : CHROMEM_GZIP;
		cleanup_(jr_freep) struct jr *answer = NULL;
		struct digest want;
		uint64_t left;

		buf_clear(&gob);
		chromem_encode_doc(&gob, doc);
		write_packed(dirfd, "x.gob", c, &gob);
		chromem_doc_digest(ctx, doc, &want);
		ask(&answer, "file", dir, "x.gob", "--as doc");
		expect_digest(answer, "digest", &want);
		cr_assert(jr_get_uint(answer, "undecoded_bytes", &left));
		cr_assert_eq(left, 0);
	}
}

Test(peer, metadata_is_read)
{
	cleanup_(sample_store_fini) struct sample_store store;
	cleanup_(buf_fini) struct buf gob = { 0 };
	int dirfd;
	const char *dir = scratch_new(&dirfd);

	sample_store_init(&store, 4, 0, 1);
	for (size_t i = 0; i < store.count; i++) {
		const struct chromem_meta *meta = &store.collections[i].meta;
		cleanup_(jr_freep) struct jr *answer = NULL;
		const struct jr *metadata;
		const char *text;

		buf_clear(&gob);
		chromem_encode_meta(&gob, meta->name, meta->metadata, meta->metadata_count);
		write_packed(dirfd, "x.gob", i < 2 ? CHROMEM_PLAIN : CHROMEM_GZIP, &gob);
		ask(&answer, "file", dir, "x.gob", "--as meta");
		cr_assert(jr_get_str(answer, "name", &text));
		cr_assert(slice_eq_str(meta->name, text));
		metadata = jr_get(answer, "metadata");
		cr_assert(jr_is_object(metadata), "an empty map is sent, too");
		for (size_t k = 0; k < meta->metadata_count; k++) {
			cleanup_(vs_freep) char *key = vs_strndup(meta->metadata[k].key);

			cr_assert(jr_get_str(metadata, key, &text));
			cr_assert(slice_eq_str(meta->metadata[k].value, text));
		}
	}
}

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* As many documents as make more than one gzip member, and one collection without any. */
static void check_export(enum chromem_compression c, const char *key, size_t collections)
{
	cleanup_(sample_store_fini) struct sample_store store;
	cleanup_(jr_freep) struct jr *answer = NULL;
	cleanup_(buf_fini) struct buf file = { 0 };
	const struct chromem_export_source source = { &store, sample_store_visit };
	const struct chromem_export_sink sink = { &file, append };
	struct vs_err err = { 0 };
	struct digest want;
	uint64_t count;
	int dirfd;
	const char *dir = scratch_new(&dirfd);

	sample_store_init(&store, collections, 400, 384);
	cr_assert_eq(chromem_export_write(&source, c, (const unsigned char *)key, &sink, &err), 0,
		     "%s", err.text);
	scratch_write(dirfd, "x", file.ptr, file.len);
	ask(&answer, "export", dir, "x", key ? "--key " KEY : "");
	cr_assert(jr_get_uint(answer, "collection_count", &count));
	cr_assert_eq(count, collections);
	sample_store_digest(&store, &want);
	expect_digest(answer, "db_digest", &want);
}

Test(peer, a_plain_export_is_read)
{
	check_export(CHROMEM_PLAIN, NULL, 4);
}

Test(peer, a_compressed_export_is_read)
{
	check_export(CHROMEM_GZIP, NULL, 4);
}

Test(peer, a_sealed_export_is_read)
{
	check_export(CHROMEM_PLAIN, KEY, 4);
}

Test(peer, a_compressed_and_sealed_export_is_read)
{
	check_export(CHROMEM_GZIP, KEY, 4);
}

Test(peer, an_export_of_nothing_is_read)
{
	check_export(CHROMEM_PLAIN, NULL, 0);
}
