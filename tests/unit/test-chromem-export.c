/* SPDX-License-Identifier: Apache-2.0 */

/* Sealed bytes and export files: written, read back, damaged. */

#include "gob/gob.h"
#include "kit/samples.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>

/* ---- sealed bytes ---- */

#define TEXT_LEN 100

/* Seal @len bytes of a pattern in two pieces. */
static void seal_pattern(struct buf *out, const unsigned char *key, size_t len)
{
	cleanup_(chromem_seal_freep) struct chromem_seal *seal = NULL;
	unsigned char nonce[CHROMEM_NONCE_LEN];
	unsigned char tag[CHROMEM_TAG_LEN];
	struct vs_err err = { 0 };
	unsigned char *text;

	cr_assert_eq(chromem_seal_new(&seal, key, nonce, &err), 0, "%s", err.text);
	buf_append(out, nonce, sizeof(nonce));
	for (size_t i = 0; i < len; i++)
		buf_append_byte(out, (unsigned char)(i * 3));
	text = out->ptr + sizeof(nonce);
	cr_assert_eq(chromem_seal_add(seal, text, len / 3, &err), 0);
	cr_assert_eq(chromem_seal_add(seal, text + len / 3, len - len / 3, &err), 0);
	cr_assert_eq(chromem_seal_end(seal, tag, &err), 0);
	buf_append(out, tag, sizeof(tag));
}

Test(seal, a_known_answer_is_opened)
{
	/* Test case 14 of the specification of GCM: all zero, 16 bytes of text. */
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };
	unsigned char sealed[CHROMEM_NONCE_LEN + 16 + CHROMEM_TAG_LEN];
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	struct slice plain;

	cr_assert(hex_parse(slice_str("000000000000000000000000"
				      "cea7403d4d606b6e074ec5d3baf39d18"
				      "d0d1c8a799996bf0265b98b5d48ab919"),
			    sealed, sizeof(sealed)));
	cr_assert_eq(chromem_unseal(key, sealed, sizeof(sealed), &plain, &fault, &err), 0);
	cr_assert_eq(plain.len, 16);
	cr_assert_arr_eq(plain.ptr, key, 16);
}

Test(seal, what_was_sealed_comes_back)
{
	static const size_t lens[] = { 0, 1, 15, 16, 17, 1000, 1 << 20 };
	unsigned char key[CHROMEM_KEY_LEN] = "0123456789abcdef0123456789abcde";

	for (size_t i = 0; i < VS_COUNT(lens); i++) {
		cleanup_(buf_fini) struct buf sealed = { 0 };
		struct chromem_fault fault;
		struct vs_err err = { 0 };
		struct slice plain;

		seal_pattern(&sealed, key, lens[i]);
		cr_assert_eq(sealed.len, CHROMEM_NONCE_LEN + lens[i] + CHROMEM_TAG_LEN);
		cr_assert_eq(chromem_unseal(key, sealed.ptr, sealed.len, &plain, &fault, &err), 0);
		cr_assert_eq(plain.len, lens[i]);
		for (size_t k = 0; k < lens[i]; k++)
			cr_assert_eq(plain.ptr[k], (unsigned char)(k * 3));
	}
}

Test(seal, no_nonce_comes_twice)
{
	cleanup_(buf_fini) struct buf one = { 0 };
	cleanup_(buf_fini) struct buf two = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 1 };

	seal_pattern(&one, key, TEXT_LEN);
	seal_pattern(&two, key, TEXT_LEN);
	cr_assert_neq(memcmp(one.ptr, two.ptr, CHROMEM_NONCE_LEN), 0);
	cr_assert_neq(memcmp(one.ptr + CHROMEM_NONCE_LEN, two.ptr + CHROMEM_NONCE_LEN, TEXT_LEN),
		      0);
}

static void expect_refused(const unsigned char *key, const struct buf *sealed, size_t len,
			   enum chromem_fault_kind kind, const char *loader_text)
{
	cleanup_(vs_freep) unsigned char *copy = vs_alloc(len);
	struct chromem_fault fault = { 0 };
	struct vs_err err = { 0 };
	struct slice plain;

	memcpy(copy, sealed->ptr, len);
	cr_assert_eq(chromem_unseal(key, copy, len, &plain, &fault, &err), 1);
	cr_assert_eq(fault.kind, kind);
	cr_assert_str_eq(fault.loader_text, loader_text);
	cr_assert_neq(fault.detail[0], '\0');
}

#define NOT_AUTHENTIC "couldn't decrypt data: cipher: message authentication failed"

Test(seal, every_bit_counts)
{
	cleanup_(buf_fini) struct buf sealed = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };

	seal_pattern(&sealed, key, TEXT_LEN);
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
		expect_refused(key, &sealed, sealed.len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
		sealed.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 8] ^= (unsigned char)(1 << bit % 8);
		expect_refused(key, &sealed, sealed.len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
		key[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}

Test(seal, every_cut_is_refused)
{
	cleanup_(buf_fini) struct buf sealed = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };

	seal_pattern(&sealed, key, TEXT_LEN);
	for (size_t len = 0; len < sealed.len; len++) {
		if (len < CHROMEM_NONCE_LEN)
			expect_refused(key, &sealed, len, CHROMEM_FAULT_TRUNCATED,
				       "encrypted data too short");
		else if (len < CHROMEM_NONCE_LEN + CHROMEM_TAG_LEN)
			expect_refused(key, &sealed, len, CHROMEM_FAULT_TRUNCATED, NOT_AUTHENTIC);
		else
			expect_refused(key, &sealed, len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
	}
}

/* ---- writing ---- */

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* Ways in which a store may shrink (by -1) or grow. */
static void change_documents(struct sample_store *store, int by)
{
	store->collections[1].count += (size_t)by;
}

static void change_last_documents(struct sample_store *store, int by)
{
	store->collections[store->count - 1].count += (size_t)by;
}

static void change_collections(struct sample_store *store, int by)
{
	store->count += (size_t)by;
}

static void change_text(struct sample_store *store, int by)
{
	store->collections[1].docs[0].doc.content.len += (size_t)by;
}

/* A source that gives something else the second time. */
struct fickle {
	struct sample_store store;
	int visits;
	int by;
	void (*change)(struct sample_store *store, int by);
};

static int fickle_visit(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err)
{
	struct fickle *f = ctx;

	if (f->visits++ == 1)
		f->change(&f->store, f->by);
	return sample_store_visit(&f->store, to, err);
}

Test(export_write, a_source_that_changes_is_noticed)
{
	void (*const changes[])(struct sample_store *, int) = { change_documents,
								change_last_documents,
								change_collections, change_text };

	for (size_t i = 0; i < 2 * VS_COUNT(changes); i++) {
		struct fickle f = { .change = changes[i / 2], .by = i % 2 == 0 ? -1 : 1 };
		cleanup_(buf_fini) struct buf out = { 0 };
		const struct chromem_export_source source = { &f, fickle_visit };
		const struct chromem_export_sink sink = { &out, append };
		struct vs_err err = { 0 };

		sample_store_init(&f.store, 3, 20, 8);
		if (f.by > 0)
			f.change(&f.store, -1);
		cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, NULL, &sink, &err),
			     VS_EVANISHED, "%zu", i);
		cr_assert_eq(f.visits, 2);
		/* All is freed that is counted. */
		if (f.by < 0)
			f.change(&f.store, 1);
		sample_store_fini(&f.store);
	}
}

static int full(void *ctx, struct slice bytes, struct vs_err *err)
{
	size_t *left = ctx;

	if (bytes.len > *left)
		return vs_fail(err, VS_EIO, "no room");
	*left -= bytes.len;
	return 0;
}

Test(export_write, a_sink_that_fails_ends_it)
{
	static const unsigned char key[CHROMEM_KEY_LEN] = { 7 };
	cleanup_(sample_store_fini) struct sample_store store;
	const struct chromem_export_source source = { &store, sample_store_visit };
	cleanup_(buf_fini) struct buf whole = { 0 };
	struct chromem_export_sink sink = { &whole, append };
	struct vs_err err = { 0 };
	size_t rooms[4];

	sample_store_init(&store, 3, 20, 64);
	cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, key, &sink, &err), 0);

	/* In turn the nonce, the text and the tag find no room. */
	rooms[0] = CHROMEM_NONCE_LEN - 1;
	rooms[1] = CHROMEM_NONCE_LEN;
	rooms[2] = whole.len - 1;
	rooms[3] = whole.len;
	for (size_t i = 0; i < VS_COUNT(rooms); i++) {
		size_t left = rooms[i];

		sink = (struct chromem_export_sink){ &left, full };
		cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, key, &sink, &err),
			     i < 3 ? VS_EIO : 0, "%zu", rooms[i]);
	}
}

/* ---- reading ---- */

static int read_store(int dirfd, const char *name, const unsigned char *key,
		      struct sample_store *store, uint32_t *oddities, struct chromem_fault *fault)
{
	const struct chromem_export_visitor visitor = {
		.ctx = store,
		.collection = sample_store_take_collection,
		.document = sample_store_take_document,
	};
	struct vs_err err = { 0 };
	int r;

	*store = (struct sample_store){ 0 };
	*fault = (struct chromem_fault){ 0 };
	*oddities = 0;
	r = chromem_export_read(dirfd, name, key, &visitor, oddities, fault, &err);
	cr_assert_geq(r, 0, "%s: %s", name, err.text);
	return r;
}

/* A directory of exports in tests/data/chromem and its expected.json. */
struct recorded {
	int dirfd;
	struct jr *doc;
	const char *key;
};

/* What the library was given for a file: for one of them, a key that is not the file's. */
static const unsigned char *key_for(const struct recorded *recorded, const char *file)
{
	const char *key = recorded->key;

	if (!strstr(file, ".enc"))
		return NULL;
	if (strcmp(file, "wrong-key.gob.enc") == 0)
		cr_assert(jr_get_str(recorded->doc, "wrong_key", &key));
	return (const unsigned char *)key;
}

static void recorded_open(struct recorded *recorded, const char *name)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	struct vs_err err = { 0 };
	char path[1024];

	snprintf(path, sizeof(path), "%s/tests/data/chromem/%s", getenv("SOURCE_ROOT"), name);
	cr_assert_eq(file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &recorded->dirfd, &err), 0, "%s",
		     err.text);
	cr_assert_eq(file_read_at(recorded->dirfd, "expected.json", FILE_FOLLOW, 1 << 20, &text,
				  NULL, &err),
		     0);
	cr_assert_eq(jr_parse(&recorded->doc, buf_slice(&text), &err), 0, "%s", err.text);
	cr_assert(jr_get_str(recorded->doc, "key", &recorded->key));
	cr_assert_eq(strlen(recorded->key), CHROMEM_KEY_LEN);
}

static void recorded_close(struct recorded *recorded)
{
	file_closep(&recorded->dirfd);
	jr_freep(&recorded->doc);
}

static void expect_content(const struct sample_store *store, const char *want, const char *file)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;

	sample_store_digest(store, &d);
	digest_format(&d, hex);
	cr_assert_str_eq(hex, want, "%s", file);
}

/* One file as the library found it; @otherwise is the digest of those that do not say. */
static void check_recorded(const struct recorded *recorded, const struct jr *row,
			   const char *otherwise)
{
	static const char prefix[] = "couldn't read file: ";
	cleanup_(sample_store_fini) struct sample_store store;
	struct chromem_fault fault;
	const char *file, *text;
	bool loads;
	uint32_t oddities;
	int r;

	cr_assert(jr_get_str(row, "file", &file));
	cr_assert(jr_get_bool(row, "loads", &loads));
	r = read_store(recorded->dirfd, file, key_for(recorded, file), &store, &oddities, &fault);
	cr_assert_eq(r, loads ? 0 : 1, "%s: %s", file, fault.detail);
	if (loads) {
		if (!jr_get_str(row, "db_digest", &text))
			text = otherwise;
		expect_content(&store, text, file);
		return;
	}
	cr_assert(jr_get_str(row, "error", &text));
	cr_assert_eq(strncmp(text, prefix, strlen(prefix)), 0);
	cr_assert_str_eq(fault.loader_text, text + strlen(prefix), "%s", file);
	cr_assert_neq(fault.detail[0], '\0');
}

static void check_all_recorded(const char *name, size_t count)
{
	cleanup_(recorded_close) struct recorded recorded = { .dirfd = -1 };
	const struct jr *files;
	const char *digest = NULL;

	recorded_open(&recorded, name);
	files = jr_get(recorded.doc, "files");
	jr_get_str(recorded.doc, "db_digest", &digest);
	cr_assert_eq(jr_count(files), count);
	for (size_t i = 0; i < count; i++)
		check_recorded(&recorded, jr_at(files, i), digest);
}

Test(export_read, healthy_exports_load_as_in_the_library)
{
	check_all_recorded("exports", 5);
}

Test(export_read, damaged_exports_do_as_in_the_library)
{
	check_all_recorded("exports-damaged", 14);
}

Test(export_read, what_is_wrong_is_told_apart)
{
	static const struct {
		char file[32];
		enum chromem_fault_kind kind;
		uint32_t oddities;
	} rows[] = {
		{ "truncated.gob", CHROMEM_FAULT_TRUNCATED, 0 },
		{ "empty.gob", CHROMEM_FAULT_EMPTY, 0 },
		{ "truncated.gob.gz", CHROMEM_FAULT_GZIP_TRUNCATED, 0 },
		{ "no-trailer.gob.gz", CHROMEM_FAULT_NONE,
		  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_TRAILER },
		{ "crc-wrong.gob.gz", CHROMEM_FAULT_NONE,
		  CHROMEM_ODD_IS_GZIP | CHROMEM_ODD_GZIP_CHECKSUM },
		{ "flip-text.gob", CHROMEM_FAULT_NONE, 0 },
		{ "flip-field-name.gob", CHROMEM_FAULT_NONE,
		  CHROMEM_ODD_UNKNOWN_FIELD | CHROMEM_ODD_MISSING_FIELD },
		{ "flip.gob.enc", CHROMEM_FAULT_SEALED, 0 },
		{ "flip-nonce.gob.enc", CHROMEM_FAULT_SEALED, 0 },
		{ "truncated.gob.enc", CHROMEM_FAULT_SEALED, 0 },
		{ "ten-bytes.gob.enc", CHROMEM_FAULT_TRUNCATED, 0 },
		{ "wrong-key.gob.enc", CHROMEM_FAULT_SEALED, 0 },
		{ "encrypted-read-as-plain.gob", CHROMEM_FAULT_GOB, 0 },
		{ "trailing.gob", CHROMEM_FAULT_NONE,
		  CHROMEM_ODD_TRAILING | CHROMEM_ODD_ZERO_TAIL },
	};
	cleanup_(recorded_close) struct recorded recorded = { .dirfd = -1 };

	recorded_open(&recorded, "exports-damaged");
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		cleanup_(sample_store_fini) struct sample_store store;
		struct chromem_fault fault;
		uint32_t oddities;

		read_store(recorded.dirfd, rows[i].file, key_for(&recorded, rows[i].file), &store,
			   &oddities, &fault);
		cr_assert_eq(fault.kind, rows[i].kind, "%s: %d", rows[i].file, (int)fault.kind);
		cr_assert_eq(oddities, rows[i].oddities, "%s: %x", rows[i].file, oddities);
	}
}

/* The order of map entries is ours, so a copy in the order of the file has the file's bytes. */
Test(export_write, a_copy_of_the_library_s_export_has_its_bytes)
{
	cleanup_(recorded_close) struct recorded recorded = { .dirfd = -1 };
	cleanup_(sample_store_fini) struct sample_store store;
	const struct chromem_export_source source = { &store, sample_store_visit };
	cleanup_(buf_fini) struct buf copy = { 0 };
	cleanup_(buf_fini) struct buf file = { 0 };
	const struct chromem_export_sink sink = { &copy, append };
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	uint32_t oddities;

	recorded_open(&recorded, "exports");
	cr_assert_eq(read_store(recorded.dirfd, "store.gob", NULL, &store, &oddities, &fault), 0);
	cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, NULL, &sink, &err), 0);
	cr_assert_eq(
		file_read_at(recorded.dirfd, "store.gob", FILE_FOLLOW, 1 << 20, &file, NULL, &err),
		0);
	cr_assert_eq(copy.len, file.len);
	cr_assert_arr_eq(copy.ptr, file.ptr, file.len);
}

/* More than one gzip member, all kinds of documents. */
Test(export_read, what_was_written_comes_back)
{
	static const unsigned char key[CHROMEM_KEY_LEN] = { 1, 2, 3 };
	cleanup_(sample_store_fini) struct sample_store store;
	const struct chromem_export_source source = { &store, sample_store_visit };
	struct digest want;
	int dirfd;

	scratch_new(&dirfd);
	sample_store_init(&store, 5, 300, 384);
	sample_store_digest(&store, &want);
	for (int form = 0; form < 4; form++) {
		cleanup_(sample_store_fini) struct sample_store back;
		cleanup_(buf_fini) struct buf file = { 0 };
		const struct chromem_export_sink sink = { &file, append };
		enum chromem_compression c = form & 1 ? CHROMEM_GZIP : CHROMEM_PLAIN;
		struct chromem_fault fault;
		struct vs_err err = { 0 };
		uint32_t oddities;
		struct digest got;

		cr_assert_eq(chromem_export_write(&source, c, form & 2 ? key : NULL, &sink, &err),
			     0);
		scratch_write(dirfd, "x", file.ptr, file.len);
		cr_assert_eq(
			read_store(dirfd, "x", form & 2 ? key : NULL, &back, &oddities, &fault), 0,
			"%s", fault.detail);
		cr_assert_eq(oddities, form & 1 ? CHROMEM_ODD_IS_GZIP : 0);
		sample_store_digest(&back, &got);
		cr_assert_arr_eq(&got, &want, sizeof(got));
	}
}

/* ---- exports that the library did not write ---- */

/* The fields of a collection, in the order in which a made-up writer has them. */
static const struct gob_field_type foreign_fields[][3] = {
	{ { "Name", 6 }, { "Metadata", 66 }, { "Documents", 67 } },
	{ { "Documents", 67 }, { "Name", 6 }, { "Metadata", 66 } },
	{ { "Name", 6 }, { "Documents", 67 }, { "Metadata", 66 } },
	{ { "Metadata", 66 }, { "Documents", 67 }, { "Name", 6 } },
};

static void put_foreign_types(struct buf *out, const struct gob_field_type fields[3])
{
	static const struct gob_field_type store[] = { { "Collections", 69 } };
	static const struct gob_field_type document[] = { { "ID", 6 } };

	gob_put_struct_type(out, 64, "S", store, 1);
	gob_put_map_type(out, 69, "M", 6, 65);
	gob_put_struct_type(out, 65, "C", fields, 3);
	gob_put_map_type(out, 66, "P", 6, 6);
	gob_put_map_type(out, 67, "D", 6, 68);
	gob_put_struct_type(out, 68, "I", document, 1);
}

static void put_foreign_collection(struct buf *out, const struct gob_field_type fields[3],
				   size_t number)
{
	struct gob_struct s = gob_struct_begin(out);

	for (unsigned i = 0; i < 3; i++) {
		gob_struct_field(&s, i);
		if (fields[i].type == 6) {
			gob_put_string(out, slice_str(number == 0 ? "first" : "second"));
		} else if (fields[i].type == 66) {
			gob_put_uint(out, 1);
			gob_put_string(out, slice_str("key"));
			gob_put_string(out, slice_str(number == 0 ? "1" : "2"));
		} else {
			struct gob_struct document = gob_struct_begin(out);

			gob_put_uint(out, 1);
			gob_put_string(out, slice_str("id"));
			gob_struct_field(&document, 0);
			gob_put_string(out, slice_str(number == 0 ? "a" : "b"));
			gob_struct_end(&document);
		}
	}
	gob_struct_end(&s);
}

/* Two collections with one document each. */
static void put_foreign(struct buf *out, const struct gob_field_type fields[3])
{
	struct gob_struct s;
	size_t message;

	put_foreign_types(out, fields);
	message = gob_message_begin(out);
	gob_put_int(out, 64);
	s = gob_struct_begin(out);
	gob_struct_field(&s, 0);
	gob_put_uint(out, 2);
	for (size_t i = 0; i < 2; i++) {
		gob_put_string(out, slice_str(i == 0 ? "first" : "second"));
		put_foreign_collection(out, fields, i);
	}
	gob_struct_end(&s);
	gob_message_end(out, message);
}

static int decode_store(const struct buf *bytes, struct sample_store *store,
			struct chromem_fault *fault)
{
	const struct chromem_export_visitor visitor = {
		.ctx = store,
		.collection = sample_store_take_collection,
		.document = sample_store_take_document,
	};
	struct vs_err err = { 0 };
	uint32_t oddities = 0;
	int r;

	*store = (struct sample_store){ 0 };
	*fault = (struct chromem_fault){ 0 };
	r = chromem_decode_export(buf_slice(bytes), &visitor, &oddities, fault, &err);
	cr_assert_geq(r, 0, "%s", err.text);
	return r;
}

Test(export_read, fields_may_come_in_any_order)
{
	for (size_t i = 0; i < VS_COUNT(foreign_fields); i++) {
		cleanup_(sample_store_fini) struct sample_store store;
		cleanup_(buf_fini) struct buf bytes = { 0 };
		struct chromem_fault fault;

		put_foreign(&bytes, foreign_fields[i]);
		cr_assert_eq(decode_store(&bytes, &store, &fault), 0, "%s", fault.detail);
		cr_assert_eq(store.count, 2);
		for (size_t k = 0; k < 2; k++) {
			const struct sample_collection *c = &store.collections[k];

			cr_assert(slice_eq_str(c->meta.name, k == 0 ? "first" : "second"));
			cr_assert_eq(c->meta.metadata_count, 1);
			cr_assert(slice_eq_str(c->meta.metadata[0].value, k == 0 ? "1" : "2"));
			cr_assert_eq(c->count, 1);
			cr_assert(slice_eq_str(c->docs[0].doc.id, k == 0 ? "a" : "b"));
		}
	}
}

/* Whatever the order, what is cut or changed is refused or read, but never more than is there. */
Test(export_read, foreign_exports_may_be_damaged)
{
	for (size_t i = 0; i < VS_COUNT(foreign_fields); i++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		size_t whole;

		put_foreign(&bytes, foreign_fields[i]);
		whole = bytes.len;
		for (bytes.len = 0; bytes.len < whole; bytes.len++) {
			cleanup_(sample_store_fini) struct sample_store store;
			struct chromem_fault fault;

			cr_assert_eq(decode_store(&bytes, &store, &fault), 1, "%zu", bytes.len);
			cr_assert_eq(fault.kind, bytes.len == 0 ? CHROMEM_FAULT_EMPTY
								: CHROMEM_FAULT_TRUNCATED);
		}
		for (size_t bit = 0; bit < 8 * whole; bit++) {
			cleanup_(sample_store_fini) struct sample_store store;
			struct chromem_fault fault;
			int r;

			bytes.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
			r = decode_store(&bytes, &store, &fault);
			cr_assert_eq(r, fault.kind != CHROMEM_FAULT_NONE);
			bytes.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

Test(export_read, what_is_no_file_is_a_fault)
{
	cleanup_(sample_store_fini) struct sample_store store;
	struct chromem_fault fault;
	uint32_t oddities;
	int dirfd;

	scratch_new(&dirfd);
	cr_assert_eq(read_store(dirfd, "absent", NULL, &store, &oddities, &fault), 1);
	cr_assert_eq(fault.kind, CHROMEM_FAULT_VANISHED);
	cr_assert_eq(read_store(dirfd, ".", NULL, &store, &oddities, &fault), 1);
	cr_assert_eq(fault.kind, CHROMEM_FAULT_NOT_A_FILE);
	scratch_fifo(dirfd, "pipe");
	cr_assert_eq(read_store(dirfd, "pipe", NULL, &store, &oddities, &fault), 1);
	cr_assert_eq(fault.kind, CHROMEM_FAULT_NOT_A_FILE);
}

/* A visitor that has had enough; any status is its own, even one that a limit would give. */
struct weary {
	int status;
	int left;
};

static int weary_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	struct weary *w = ctx;

	(void)key, (void)meta;
	return w->left-- > 0 ? 0 : vs_fail(err, (enum vs_status)w->status, "enough");
}

static int weary_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	(void)doc;
	return weary_collection(ctx, key, NULL, err);
}

Test(export_read, a_visitor_can_end_it)
{
	static const int statuses[] = { VS_EIO, VS_ELIMIT, VS_EFORMAT };

	for (size_t i = 0; i < VS_COUNT(statuses) * VS_COUNT(foreign_fields); i++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };

		put_foreign(&bytes, foreign_fields[i / VS_COUNT(statuses)]);
		for (int left = 0; left < 5; left++) {
			struct weary w = { statuses[i % VS_COUNT(statuses)], left };
			const struct chromem_export_visitor visitor = { &w, weary_collection,
									weary_document };
			struct chromem_fault fault;
			struct vs_err err = { 0 };
			uint32_t oddities;
			int r = chromem_decode_export(buf_slice(&bytes), &visitor, &oddities,
						      &fault, &err);

			cr_assert_eq(r, left < 4 ? statuses[i % VS_COUNT(statuses)] : 0);
			cr_assert_str_eq(err.text, left < 4 ? "enough" : "");
		}
	}
}

/* Damage in a later member is met when the value needs what is in it. */
Test(export_read, a_later_gzip_member_may_be_damaged)
{
	cleanup_(sample_store_fini) struct sample_store store;
	const struct chromem_export_source source = { &store, sample_store_visit };
	cleanup_(buf_fini) struct buf file = { 0 };
	const struct chromem_export_sink sink = { &file, append };
	struct vs_err err = { 0 };
	size_t at;

	sample_store_init(&store, 3, 600, 384);
	cr_assert_eq(chromem_export_write(&source, CHROMEM_GZIP, NULL, &sink, &err), 0);
	for (at = file.len / 2; at < file.len; at++) {
		if (memcmp(file.ptr + at, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10) == 0)
			break;
	}
	cr_assert_lt(at, file.len, "there is more than one member");
	for (int damage = 0; damage < 3; damage++) {
		static const char *const texts[] = {
			"couldn't decode object: gzip: invalid header",
			"couldn't decode object: unexpected EOF",
			"couldn't decode object: gzip: invalid checksum",
		};
		cleanup_(sample_store_fini) struct sample_store back;
		cleanup_(buf_fini) struct buf copy = { 0 };
		struct chromem_fault fault;

		buf_append(&copy, file.ptr, damage == 1 ? at + 5 : file.len);
		if (damage == 0)
			copy.ptr[at + 2] = 9;
		else if (damage == 2)
			copy.ptr[at - 8] ^= 1;
		cr_assert_eq(decode_store(&copy, &back, &fault), 1);
		cr_assert_eq(fault.kind, damage == 1 ? CHROMEM_FAULT_GZIP_TRUNCATED
						     : CHROMEM_FAULT_GZIP_CORRUPT);
		cr_assert_str_eq(fault.loader_text, texts[damage]);
	}
}
